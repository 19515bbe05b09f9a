/*
 * fuzz_channel.c - a peer that sends any bytes, cut anywhere, with any
 * descriptors, while the owner of the channel does what comes to his mind.
 * The input is a list of steps: a byte that says what, and what it needs.
 */
#include "net/channel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct run {
	const uint8_t	*p, *end;	/* steps */
	int		 peer;
	struct channel	*c;
	unsigned	 nclosed, nframes;
	bool		 is_closed_by_us;
	bool		 is_paused;
	unsigned	 odd;		/* what frame() does, by its count */
};

static struct loop *loop;
static int null_fd;

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static unsigned
next(struct run *r)
{
	return r->p < r->end ? *r->p++ : 0;
}

static void
put(struct run *r, bool with_fd)
{
	uint8_t bytes[FRAME_HEADER_BYTES] = { 0, 0, 0, 16, 1, FRAME_DONE };
	int fd = with_fd ? fcntl(null_fd, F_DUPFD_CLOEXEC, 0) : -1;

	bytes[7] = with_fd ? FRAME_HAS_FD : 0;
	if (channel_put(r->c, bytes, sizeof(bytes), fd) == -1 && fd != -1)
		close(fd);
}

static void
close_by_us(struct run *r, bool want_free)
{
	r->is_closed_by_us = true;
	if (want_free) {
		channel_free(r->c);
		r->c = NULL;
	} else
		channel_close(r->c);
}

static void
pause_it(struct run *r, bool want)
{
	r->is_paused = want;
	if (want)
		channel_pause(r->c);
	else
		channel_resume(r->c);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct run *r = arg;
	struct frame again;
	const char *error;

	check(r->nclosed == 0 && !r->is_closed_by_us && !r->is_paused);
	check(frame_parse(bytes, f->len, &again, &error) == 1);
	check((fd != -1) == ((f->flags & FRAME_HAS_FD) != 0));
	if (fd != -1) {
		check(fcntl(fd, F_GETFD) == FD_CLOEXEC);
		close(fd);
	}
	switch (r->odd >> (r->nframes++ % 8 * 4) & 15) {
	case 1:
		pause_it(r, true);
		break;
	case 2:
		pause_it(r, true);
		pause_it(r, false);
		break;
	case 3:
		put(r, true);
		break;
	case 4:
		put(r, false);
		channel_flush(r->c);
		break;
	case 5:
		close_by_us(r, false);
		break;
	case 6:
		close_by_us(r, true);
		break;
	default:
		break;
	}
}

static void
on_closed(void *arg, const char *error)
{
	struct run *r = arg;

	(void)error;
	check(r->nclosed++ == 0 && !r->is_closed_by_us);
}

static void
on_drained(void *arg)
{
	struct run *r = arg;

	check(r->c == NULL || channel_pending(r->c) == 0);
}

static const struct channel_ops ops = { on_frame, on_closed, on_drained };

/* n bytes of the input, with this many descriptors. */
static void
send_bytes(struct run *r, size_t n, size_t nfds)
{
	union {
		char		 bytes[CMSG_SPACE(sizeof(int) * 4)];
		struct cmsghdr	 align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)r->p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *h;
	int fds[4] = { null_fd, null_fd, null_fd, null_fd };

	if (n > (size_t)(r->end - r->p))
		iov.iov_len = (size_t)(r->end - r->p);
	r->p += iov.iov_len;
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * nfds);
	}
	if (iov.iov_len > 0)
		(void)!sendmsg(r->peer, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
read_some(struct run *r)
{
	char bytes[256];

	(void)!recv(r->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void
step(struct run *r)
{
	unsigned what = next(r);

	switch (what % 16) {
	case 0: case 1: case 2:
		send_bytes(r, 1 + next(r), what % 16 == 2);
		break;
	case 3:
		send_bytes(r, 1 + next(r), 1 + what / 16 % 4);
		break;
	case 4: case 5: case 6:
		loop_turn(loop, 0);
		break;
	case 7: case 8:
		if (r->c != NULL)
			pause_it(r, what % 16 == 7);
		break;
	case 9: case 10:
		if (r->c != NULL)
			put(r, what % 16 == 9);
		break;
	case 11:
		if (r->c != NULL)
			channel_flush(r->c);
		break;
	case 12:
		read_some(r);
		break;
	case 13:
		shutdown(r->peer, (int)(what / 16 % 3));
		break;
	case 14:
		if (r->c != NULL && what / 16 % 4 == 0)
			close_by_us(r, what & 0x80);
		break;
	case 15:
		r->odd = next(r) << 8 | next(r);
		r->odd |= r->odd << 16;
		break;
	}
}

/* A lowest free descriptor tells whether one was left open below it. */
static int
lowest(void)
{
	int fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd;
}

static void
start(void)
{
	if (loop != NULL)
		return;
	loop = loop_new();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct run r = { .p = data, .end = data + n };
	int fds[2], before, i;

	start();
	loop_turn(loop, 0);
	before = lowest();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		abort();
	r.peer = fds[0];
	r.c = channel_new(loop, fds[1], 4096, &ops, &r);
	while (r.p < r.end)
		step(&r);
	for (i = 0; i < 3; i++)
		loop_turn(loop, 0);
	if (r.c != NULL && r.is_paused)
		pause_it(&r, false);
	r.odd = 0;
	close(r.peer);
	for (i = 0; i < 20; i++)
		loop_turn(loop, 0);
	if (r.c != NULL && !r.is_closed_by_us)
		check(r.nclosed == 1);
	channel_free(r.c);
	r.c = NULL;
	loop_turn(loop, 0);
	check(lowest() == before);
	return 0;
}
