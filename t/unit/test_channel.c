/* test_channel.c - frames and descriptors over a socket, whatever happens. */
#include "net/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net_test.h"

#define SEEN_MAX	4096

enum action { NOTHING, PAUSE, PAUSE_RESUME, CLOSE, FREE };

struct end {			/* one side of a channel */
	struct channel	*c;
	unsigned	 nframes, nfds, ndrained, nclosed;
	uint64_t	 ids[SEEN_MAX];
	size_t		 bytes;
	bool		 is_wrong;	/* a frame that was not sent so */
	bool		 is_closed;
	char		 error[64];
	enum action	 action;	/* upon the frame of this id */
	uint64_t	 at;
	enum action	 on_closed, on_drained;
};

static struct loop *loop;
static struct end a, b;

/* ---- both ends ---- */

static void
act(struct end *e, enum action action)
{
	switch (action) {
	case PAUSE:
		channel_pause(e->c);
		break;
	case PAUSE_RESUME:
		channel_pause(e->c);
		channel_resume(e->c);
		break;
	case CLOSE:
		channel_close(e->c);
		break;
	case FREE:
		channel_free(e->c);
		e->c = NULL;
		break;
	case NOTHING:
		break;
	}
}

/* The number in a descriptor's file says whose it is. */
static int
numbered_fd(uint64_t id)
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	if (write(fd, &id, sizeof(id)) != sizeof(id))
		diag("write: %s", strerror(errno));
	return fd;
}

static void
check_fd(struct end *e, const struct frame *f, int fd)
{
	uint64_t id = 0;

	if ((fd != -1) != ((f->flags & FRAME_HAS_FD) != 0))
		e->is_wrong = true;
	if (fd == -1)
		return;
	if (pread(fd, &id, sizeof(id), 0) != sizeof(id) || id != f->id)
		e->is_wrong = true;
	if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
		e->is_wrong = true;
	e->nfds++;
	close(fd);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct end *e = arg;
	size_t i;

	check_fd(e, f, fd);
	if ((const uint8_t *)bytes + FRAME_HEADER_BYTES != f->attrs)
		e->is_wrong = true;
	for (i = 0; i < f->attrs_len; i++)
		if (f->attrs[i] != (uint8_t)(f->id + i))
			e->is_wrong = true;
	if (e->nframes < SEEN_MAX)
		e->ids[e->nframes] = f->id;
	e->nframes++;
	e->bytes += f->len;
	if (f->id == e->at)
		act(e, e->action);
}

static void
on_closed(void *arg, const char *error)
{
	struct end *e = arg;

	e->nclosed++;
	e->is_closed = true;
	snprintf(e->error, sizeof(e->error), "%s", error == NULL ? "" : error);
	act(e, e->on_closed);
}

static void
on_drained(void *arg)
{
	struct end *e = arg;

	e->ndrained++;
	act(e, e->on_drained);
}

static const struct channel_ops ops = { on_frame, on_closed, on_drained };

/* ids first, first + 1, ... were seen, and nothing else. */
static bool
saw(const struct end *e, uint64_t first, unsigned n)
{
	unsigned i;

	if (e->nframes != n || e->is_wrong) {
		diag("%u frames instead of %u%s", e->nframes, n,
		    e->is_wrong ? ", a wrong one" : "");
		return false;
	}
	for (i = 0; i < n; i++)
		if (e->ids[i] != first + i) {
			diag("frame %u is %ju", i, (uintmax_t)e->ids[i]);
			return false;
		}
	return true;
}

static void
pair(int fds[2], int buffer)
{
	int i;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	for (i = 0; buffer > 0 && i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer,
		    sizeof(buffer));
}

/* a and b are connected. */
static void
connect_both(int buffer)
{
	int fds[2];

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	pair(fds, buffer);
	a.c = channel_new(loop, fds[0], 64 * 1024 * 1024, &ops, &a);
	b.c = channel_new(loop, fds[1], 64 * 1024 * 1024, &ops, &b);
}

/* Only b is a channel; the other end is bare. */
static int
connect_bare(void)
{
	int fds[2];

	memset(&b, 0, sizeof(b));
	pair(fds, 0);
	b.c = channel_new(loop, fds[1], 64 * 1024, &ops, &b);
	return fds[0];
}

static void
disconnect(void)
{
	channel_free(a.c);
	channel_free(b.c);
	a.c = b.c = NULL;
	turn_some(loop);
}

/* ---- frames to send ---- */

/* A frame whose bytes follow from its id. */
static size_t
make_frame(char *p, uint64_t id, size_t len, bool has_fd)
{
	size_t i;

	put_be32(p, (uint32_t)len);
	p[4] = FRAME_VERSION;
	p[5] = FRAME_DELIVER;
	put_be16(p + 6, has_fd ? FRAME_HAS_FD : 0);
	put_be64(p + 8, id);
	for (i = FRAME_HEADER_BYTES; i < len; i++)
		p[i] = (char)(id + i - FRAME_HEADER_BYTES);
	return len;
}

static int
put_frame(struct channel *c, uint64_t id, size_t len, bool has_fd)
{
	static char bytes[FRAME_BYTES_MAX];

	make_frame(bytes, id, len, has_fd);
	return channel_put(c, bytes, len, has_fd ? numbered_fd(id) : -1);
}

/* Bytes and descriptors as a rude peer sends them. */
static ssize_t
send_raw(int fd, const void *p, size_t n, const int *fds, size_t nfds)
{
	union {
		char		 bytes[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr	 align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *h;

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
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* ---- passing ---- */

static void
test_both_ways(void)
{
	unsigned i;

	connect_both(0);
	for (i = 0; i < 1000; i++) {
		put_frame(a.c, i, 16 + i % 200, false);
		put_frame(b.c, i, 16 + i % 7, false);
	}
	is_int(a.nframes + b.nframes, 0, "nothing comes inside a call");
	is_int((intmax_t)channel_sent_total(a.c), 0, "nothing is sent yet");
	turn_some(loop);
	ok(saw(&b, 0, 1000), "a thousand one way");
	ok(saw(&a, 0, 1000), "a thousand the other");
	is_int((intmax_t)channel_pending(a.c), 0, "nothing is left");
	ok(channel_sent_total(a.c) == channel_queued_total(a.c) &&
	    channel_sent_total(a.c) == b.bytes, "totals");
	ok(a.ndrained >= 1, "drained was called");
	disconnect();
}

static void
test_lengths(void)
{
	static const size_t lens[] = { 16, 17, 4095, 4096, 4097, 8192, 131071,
		131072, 131073, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX };
	size_t i, n = sizeof(lens) / sizeof(lens[0]);

	connect_both(0);
	for (i = 0; i < n; i++)
		put_frame(a.c, i, lens[i], i % 2 == 1);
	for (i = 0; i < 200 && b.nframes < n; i++)
		loop_turn(loop, 50);
	ok(saw(&b, 0, (unsigned)n), "frames of all lengths");
	disconnect();
}

/* Every way to cut three frames in two writes, and byte by byte. */
static void
test_splits(void)
{
	char bytes[16 + 20 + 30];
	size_t n = 0, cut, bad = 0;
	int fd;

	n += make_frame(bytes, 0, 16, false);
	n += make_frame(bytes + n, 1, 20, false);
	n += make_frame(bytes + n, 2, 30, false);
	for (cut = 0; cut <= n; cut++) {
		fd = connect_bare();
		send_raw(fd, bytes, cut, NULL, 0);
		turn_some(loop);
		send_raw(fd, bytes + cut, n - cut, NULL, 0);
		turn_some(loop);
		if (!saw(&b, 0, 3))
			bad++;
		disconnect();
		close(fd);
	}
	is_int((intmax_t)bad, 0, "cut anywhere");
	fd = connect_bare();
	for (cut = 0; cut < n; cut++) {
		send_raw(fd, bytes + cut, 1, NULL, 0);
		loop_turn(loop, 0);
	}
	turn_some(loop);
	ok(saw(&b, 0, 3), "byte by byte");
	disconnect();
	close(fd);
}

static void
test_descriptors(void)
{
	int before = count_fds();
	unsigned i;

	connect_both(0);
	for (i = 0; i < 300; i++) {
		put_frame(a.c, i, 16 + i, i % 3 != 0);
		if (i % 50 == 0)
			turn_some(loop);
	}
	turn_some(loop);
	ok(saw(&b, 0, 300), "descriptors come with their frames");
	is_int(b.nfds, 200, "all of them");
	disconnect();
	is_int(count_fds(), before, "none is left open");
}

/* The socket takes a few bytes at a time. */
static void
test_small_buffers(void)
{
	int before = count_fds();
	size_t sent;
	unsigned i;

	connect_both(2048);
	channel_pause(b.c);
	for (i = 0; i < 200; i++)
		put_frame(a.c, i, 16 + i * 997 % 30000, i % 2 == 0);
	turn_some(loop);
	sent = channel_sent_total(a.c);
	ok(sent > 0 && channel_pending(a.c) > 0, "partly sent");
	ok(sent + channel_pending(a.c) == channel_queued_total(a.c),
	    "totals while it is partly sent");
	is_int(a.ndrained, 0, "not drained");
	channel_resume(b.c);
	for (i = 0; i < 20000 && b.nframes < 200; i++)
		loop_turn(loop, 50);
	ok(saw(&b, 0, 200), "all arrive in order");
	is_int(b.nfds, 100, "each descriptor with its frame");
	turn_some(loop);
	is_int(a.ndrained, 1, "drained once, at the end");
	is_int((intmax_t)channel_pending(a.c), 0, "nothing is left");
	disconnect();
	is_int(count_fds(), before, "no descriptor is left open");
}

static void
test_unsent(void)
{
	int before = count_fds();
	unsigned i;

	connect_both(2048);
	channel_pause(b.c);
	for (i = 0; i < 50; i++)
		put_frame(a.c, i, 10000, true);
	turn_some(loop);
	disconnect();
	is_int(count_fds(), before,
	    "freed: unsent and unread descriptors are closed");

	connect_both(0);
	put_frame(a.c, 1, 16, true);
	channel_close(a.c);
	is_int(channel_fd(a.c), -1, "closed: no descriptor");
	is_int(put_frame(a.c, 2, 16, true), 0, "closed: a frame is taken");
	frame_put_bare(channel_out(a.c), FRAME_DONE, 1);
	channel_queued(a.c, 16, numbered_fd(1));
	turn_some(loop);
	is_int(b.nframes, 0, "closed: output is lost");
	is_int(b.nclosed, 1, "closed: the peer sees it");
	is_int(a.nclosed, 0, "closed: the owner is not told");
	disconnect();
	is_int(count_fds(), before, "closed: descriptors are closed");
}

static void
test_ceiling(void)
{
	int fds[2], fd = numbered_fd(1), before;

	memset(&a, 0, sizeof(a));
	pair(fds, 0);
	a.c = channel_new(loop, fds[0], 100, &ops, &a);
	is_int(put_frame(a.c, 1, 84, false), 0, "ceiling: below");
	is_int(put_frame(a.c, 2, 16, false), 0, "ceiling: at it");
	before = count_fds();
	errno = 0;
	is_int(channel_put(a.c, "xxxxxxxxxxxxxxxx", 16, fd), -1,
	    "ceiling: beyond");
	is_int(errno, ENOBUFS, "ceiling: errno");
	is_int(count_fds(), before, "ceiling: the descriptor is still ours");
	close(fd);
	turn_some(loop);
	is_int(put_frame(a.c, 3, 100, false), 0, "ceiling: sent, room again");
	disconnect();
	close(fds[1]);
}

static void
test_flush(void)
{
	connect_both(0);
	put_frame(a.c, 0, 16, false);
	channel_flush(a.c);
	is_int((intmax_t)channel_sent_total(a.c), 16, "flush: sent at once");
	turn_some(loop);
	ok(saw(&b, 0, 1), "flush: sent once");
	disconnect();
}

/* ---- what a peer may not do ---- */

struct fault_row {
	const char	*name;
	const char	*error;
	size_t		 nfds, len;	/* with the first byte */
	bool		 has_flag;
	const char	*header;	/* other bytes, NULL = a frame */
};

static const struct fault_row fault_rows[] = {
	{ "flag alone", "frame without its descriptor", 0, 16, true, NULL },
	{ "descriptor alone", "descriptor without its frame", 1, 16, false,
	    NULL },
	{ "two descriptors", "too many descriptors", 2, 16, true, NULL },
	{ "three descriptors", "too many descriptors", 3, 16, true, NULL },
	{ "eight descriptors", "too many descriptors", 8, 16, false, NULL },
	{ "two, frame cut", "too many descriptors", 2, 10, true, NULL },
	{ "short", "frame length out of range", 1, 16, true,
	    "\0\0\0\17\1\4\0\1\0\0\0\0\0\0\0\1" },
	{ "long", "frame length out of range", 1, 16, true,
	    "\0\20\0\1\1\4\0\1\0\0\0\0\0\0\0\1" },
	{ "version", "unknown frame version", 1, 16, true,
	    "\0\0\0\20\2\4\0\1\0\0\0\0\0\0\0\1" },
	{ "type", "unknown frame type", 1, 16, true,
	    "\0\0\0\20\1\177\0\1\0\0\0\0\0\0\0\1" },
	{ "flag", "unknown frame flag", 1, 16, true,
	    "\0\0\0\20\1\4\0\3\0\0\0\0\0\0\0\1" },
};

static void
test_faults(void)
{
	const struct fault_row *row;
	char bytes[64], good[16];
	int fds[8], fd, before = count_fds();
	size_t i, j;

	for (i = 0; i < sizeof(fault_rows) / sizeof(fault_rows[0]); i++) {
		row = &fault_rows[i];
		fd = connect_bare();
		make_frame(good, 1, 16, false);
		send_raw(fd, good, 16, NULL, 0);
		make_frame(bytes, 2, 16, row->has_flag);
		if (row->header != NULL)
			memcpy(bytes, row->header, 16);
		for (j = 0; j < row->nfds; j++)
			fds[j] = numbered_fd(2);
		send_raw(fd, bytes, row->len, fds, row->nfds);
		for (j = 0; j < row->nfds; j++)
			close(fds[j]);
		turn_some(loop);
		is_int(b.nclosed, 1, "%s: closed once", row->name);
		is_str(b.error, row->error, "%s: error", row->name);
		is_int(channel_fd(b.c), -1, "%s: no socket", row->name);
		disconnect();
		close(fd);
		is_int(count_fds(), before, "%s: nothing stays open",
		    row->name);
	}
}

/* No descriptor is free: frames come without, and the channel stays. */
static void
test_no_room(void)
{
	int before = count_fds(), fd = connect_bare(), one = numbered_fd(2);
	struct rlimit was, none;
	char bytes[16 * 3];

	make_frame(bytes, 0, 16, false);
	make_frame(bytes + 16, 1, 16, true);
	make_frame(bytes + 32, 2, 16, true);
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 0;
	send_raw(fd, bytes, 16, NULL, 0);
	send_raw(fd, bytes + 16, 16, &one, 1);
	setrlimit(RLIMIT_NOFILE, &none);
	turn_some(loop);
	setrlimit(RLIMIT_NOFILE, &was);
	is_int(b.nclosed, 0, "no room: stays open");
	is_int(b.nframes, 2, "no room: the frames come");
	is_int(b.nfds, 0, "no room: without descriptors");
	send_raw(fd, bytes + 32, 16, &one, 1);
	turn_some(loop);
	is_int(b.nframes, 3, "no room: once there is some again");
	is_int(b.nfds, 1, "no room: with the descriptor");
	disconnect();
	close(fd);
	close(one);
	is_int(count_fds(), before, "no room: nothing stays open");
}

/* Descriptors with single bytes of a frame that never ends. */
static void
test_flood(void)
{
	int before = count_fds(), fd = connect_bare(), one = numbered_fd(1), i;
	char head[16];

	make_frame(head, 1, 16, false);
	put_be32(head, 4096);
	send_raw(fd, head, 16, NULL, 0);
	for (i = 0; i < 200 && !b.is_closed; i++) {
		send_raw(fd, "x", 1, &one, 1);
		if (i % 20 == 0)
			turn_some(loop);
	}
	turn_some(loop);
	is_str(b.error, "too many descriptors", "flood: stopped");
	ok(i < 120, "flood: in time");
	disconnect();
	close(fd);
	close(one);
	is_int(count_fds(), before, "flood: nothing stays open");
}

/* ---- the end ---- */

static void
test_end(void)
{
	char bytes[32];
	int fd = connect_bare();

	close(fd);
	turn_some(loop);
	is_int(b.nclosed, 1, "end: told once");
	is_str(b.error, "", "end: without an error");
	disconnect();

	fd = connect_bare();
	make_frame(bytes, 0, 32, false);
	send_raw(fd, bytes, 31, NULL, 0);
	close(fd);
	turn_some(loop);
	is_str(b.error, "connection closed inside a frame",
	    "end: inside a frame");
	is_int(b.nframes, 0, "end: no frame then");
	disconnect();
}

/* More than one reading takes lies before it. */
static void
test_end_behind(void)
{
	unsigned i;

	connect_both(1024 * 1024);
	for (i = 0; i < 300; i++)
		put_frame(a.c, i, 1000, false);
	turn_some(loop);
	b.nframes = 0;
	channel_pause(b.c);
	for (i = 0; i < 300; i++)
		put_frame(a.c, i, 1000, false);
	turn_some(loop);
	channel_close(a.c);
	turn_some(loop);
	is_int(b.nframes + b.nclosed, 0, "end behind data: nothing yet");
	channel_resume(b.c);
	turn_some(loop);
	ok(saw(&b, 0, 300), "end behind data: data first");
	is_int(b.nclosed, 1, "end behind data: then the end");
	is_str(b.error, "", "end behind data: no error");
	disconnect();
}

/* The peer closed and had not read: the kernel says "reset". */
static void
test_reset(void)
{
	char bytes[16];
	int fd = connect_bare();

	put_frame(b.c, 1, 16, true);
	turn_some(loop);
	make_frame(bytes, 0, 16, false);
	send_raw(fd, bytes, 16, NULL, 0);
	close(fd);
	turn_some(loop);
	ok(saw(&b, 0, 1), "unread at the peer: what it said is read");
	is_int(b.nclosed, 1, "unread at the peer: closed");
	is_str(b.error, "", "unread at the peer: that is no fault");
	disconnect();
}

/* We write to a peer that is gone while its last frames wait here. */
static void
test_pipe(void)
{
	int fd, before = count_fds(), last;
	char bytes[4000];	/* more of them than one reading takes */
	unsigned i;

	fd = connect_bare();
	for (i = 0; i < 40; i++) {
		make_frame(bytes, i, sizeof(bytes), i == 7);
		last = numbered_fd(i);
		send_raw(fd, bytes, sizeof(bytes), &last, i == 7);
		close(last);
	}
	close(fd);
	put_frame(b.c, 1, 16, true);
	channel_flush(b.c);
	is_int(b.nframes + b.nclosed, 0, "gone: nothing inside the call");
	turn_some(loop);
	ok(saw(&b, 0, 40), "gone: its last frames are read");
	is_int(b.nclosed, 1, "gone: closed once");
	is_str(b.error, "", "gone: without an error");
	disconnect();
	is_int(count_fds(), before, "gone: nothing stays open");
}

/* It only stopped reading: no end is ever read. */
static void
test_half(void)
{
	char bytes[16], page[4096];
	int fd = connect_bare();
	unsigned i;

	make_frame(bytes, 0, 16, false);
	send_raw(fd, bytes, 16, NULL, 0);
	shutdown(fd, SHUT_RD);
	put_frame(b.c, 1, 16, false);
	turn_some(loop);
	ok(saw(&b, 0, 1), "peer stopped reading: its frame is read");
	is_int(b.nclosed, 1, "peer stopped reading: closed");
	disconnect();
	close(fd);

	/* Exactly as much as one reading takes. */
	fd = connect_bare();
	for (i = 0; i < 32; i++) {
		make_frame(page, i, sizeof(page), false);
		send_raw(fd, page, sizeof(page), NULL, 0);
	}
	shutdown(fd, SHUT_RD);
	put_frame(b.c, 1, 16, false);
	turn_some(loop);
	is_int(b.nclosed, 1, "peer stopped reading: closed after a full read");
	disconnect();
	close(fd);
}

/* ---- pausing ---- */

static void
put_some(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		put_frame(a.c, i, 100, i % 4 == 0);
	turn_some(loop);
}

static void
test_pause(void)
{
	int before = count_fds();

	connect_both(0);
	b.at = 9;
	b.action = PAUSE;
	put_some(100);
	is_int(b.nframes, 10, "pause: no frame after it");
	channel_resume(b.c);
	is_int(b.nframes, 10, "pause: none inside the call that resumes");
	turn_some(loop);
	ok(saw(&b, 0, 100), "pause: the rest, in order");
	is_int(b.nfds, 25, "pause: with the descriptors");

	b.nframes = 0;
	b.action = PAUSE_RESUME;
	put_some(100);
	ok(saw(&b, 0, 100), "pause: resumed at once");

	b.nframes = 0;
	channel_pause(b.c);
	channel_pause(b.c);
	put_some(5);
	is_int(b.nframes, 0, "pause: nothing is read");
	channel_resume(b.c);
	channel_resume(b.c);
	channel_pause(b.c);
	turn_some(loop);
	is_int(b.nframes, 0, "pause: resumed and paused again");
	channel_resume(b.c);
	b.action = NOTHING;
	turn_some(loop);
	ok(saw(&b, 0, 5), "pause: resumed at last");
	disconnect();
	is_int(count_fds(), before, "pause: nothing stays open");
}

/* Paused again by a frame that waited: the others wait on. */
static void
test_pause_again(void)
{
	connect_both(0);
	b.at = 3;
	b.action = PAUSE;
	put_some(20);
	b.at = 7;
	channel_resume(b.c);
	turn_some(loop);
	is_int(b.nframes, 8, "paused twice: no frame after it");
	b.at = 9;
	b.action = PAUSE_RESUME;
	channel_resume(b.c);
	turn_some(loop);
	ok(saw(&b, 0, 20), "paused twice: the rest, in order");
	b.nframes = 0;
	put_some(4);
	ok(saw(&b, 0, 4), "paused twice: reading goes on");
	disconnect();
}

static void
test_pause_end(void)
{
	int before = count_fds();

	connect_both(0);
	b.at = 3;
	b.action = PAUSE;
	for (unsigned i = 0; i < 20; i++)
		put_frame(a.c, i, 100, i % 4 == 0);
	channel_flush(a.c);
	channel_close(a.c);
	turn_some(loop);
	is_int(b.nframes, 4, "pause, end: frames wait");
	is_int(b.nclosed, 0, "pause, end: the end waits, too");
	channel_resume(b.c);
	turn_some(loop);
	ok(saw(&b, 0, 20), "pause, end: no frame is lost");
	is_int(b.nclosed, 1, "pause, end: closed behind them");
	is_str(b.error, "", "pause, end: no error");
	disconnect();
	is_int(count_fds(), before, "pause, end: nothing stays open");

	connect_both(0);
	b.at = 3;
	b.action = PAUSE;
	for (unsigned i = 0; i < 20; i++)
		put_frame(a.c, i, 100, i % 4 == 0);
	channel_flush(a.c);
	channel_close(a.c);
	turn_some(loop);
	disconnect();
	is_int(count_fds(), before, "pause, end: freed while it waits");
}

/* Nobody wants its frames, nobody hears the answers. */
static void
test_pause_pipe(void)
{
	int before = count_fds();

	connect_both(0);
	b.at = 3;
	b.action = PAUSE;
	put_some(20);
	channel_close(a.c);
	put_frame(b.c, 1, 16, true);
	turn_some(loop);
	is_int(b.nframes, 4, "pause, gone: no frame");
	is_int(b.nclosed, 1, "pause, gone: closed at once");
	is_str(b.error, "", "pause, gone: no error");
	disconnect();
	is_int(count_fds(), before, "pause, gone: nothing stays open");
}

/* ---- the owner's ways to end it ---- */

static void
test_close_inside(void)
{
	static const enum action ways[] = { CLOSE, FREE };
	int before = count_fds();
	size_t i, waits;

	for (i = 0; i < 2; i++)
		for (waits = 0; waits < 2; waits++) {
			connect_both(0);
			if (waits) {
				b.at = 2;
				b.action = PAUSE;
				put_some(3);
			}
			put_some(20);
			b.nframes = 0;
			b.at = waits ? 1 : 5;
			b.action = ways[i];
			if (!waits)
				put_some(20);
			else
				channel_resume(b.c);
			turn_some(loop);
			if (waits)
				is_int(b.nframes, 2, "end by a frame that "
				    "waited, way %zu", i);
			else
				is_int(b.nframes, 6, "end by a frame, way %zu",
				    i);
			is_int(b.nclosed, 0, "not told of it, way %zu", i);
			disconnect();
			is_int(count_fds(), before,
			    "nothing stays open, way %zu", i);
		}
}

static void
test_free_inside(void)
{
	int fd = connect_bare();

	b.on_closed = FREE;
	close(fd);
	turn_some(loop);
	is_int(b.nclosed, 1, "freed by closed()");
	fd = connect_bare();
	b.on_drained = FREE;
	put_frame(b.c, 1, 16, false);
	turn_some(loop);
	is_int(b.ndrained, 1, "freed by drained()");
	close(fd);
	channel_free(NULL);
	/* Failed, but the owner does not want to hear of it any more. */
	fd = connect_bare();
	send_raw(fd, "\0\0\0\0", 4, NULL, 0);
	b.at = UINT64_MAX;
	loop_turn(loop, 0);
	channel_free(b.c);
	b.c = NULL;
	turn_some(loop);
	ok(b.nclosed <= 1, "freed after a fault");
	close(fd);
}

int
main(void)
{
	loop = loop_new();
	test_both_ways();
	test_lengths();
	test_splits();
	test_descriptors();
	test_small_buffers();
	test_unsent();
	test_ceiling();
	test_flush();
	test_faults();
	test_no_room();
	test_flood();
	test_end();
	test_end_behind();
	test_reset();
	test_pipe();
	test_half();
	test_pause();
	test_pause_again();
	test_pause_end();
	test_pause_pipe();
	test_close_inside();
	test_free_inside();
	turn_some(loop);
	loop_free(loop);
	return done_testing();
}
