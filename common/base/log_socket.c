/*
 * log_socket.c - the log as datagrams for syslogd or the journal, or as lines
 * of a stream: many in one system call, connected again when the daemon was
 * restarted.
 *
 * A daemon that takes nothing for a second is not waited for again until it
 * does; what it could not take is counted, and log.c says so when it can.
 */
#include "base/log_inner.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BATCH		64
#define RETRY_MS	1000
#define WAIT_S		1	/* for room in the daemon's queue */

static bool
say_header(const struct log_socket *s)
{
	size_t n = s->header == NULL ? 0 : strlen(s->header);

	return n == 0 || send(s->fd, s->header, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static int
connect_as(struct log_socket *s, int type)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_S };
	int error;

	s->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return -1;
	strlcpy(sun.sun_path, s->path, sizeof(sun.sun_path));
	/* Nor is a daemon waited for that accepts nobody. */
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(s->fd, (struct sockaddr *)(void *)&sun,
	    sizeof(sun)) == 0 && say_header(s)) {
		s->is_stream = type == SOCK_STREAM;
		fcntl(s->fd, F_SETFL, 0);
		return 0;
	}
	error = errno;
	log_socket_close(s);
	errno = error;
	return -1;
}

int
log_socket_connect(struct log_socket *s)
{
	log_socket_close(s);
	s->tried_ms = clock_mono_ms();
	if (s->header != NULL)
		return connect_as(s, SOCK_STREAM);
	if (connect_as(s, SOCK_DGRAM) == 0)
		return 0;
	return errno == EPROTOTYPE ? connect_as(s, SOCK_STREAM) : -1;
}

void
log_socket_close(struct log_socket *s)
{
	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
}

/* What is larger than a datagram may be goes in sealed memory. */
static int
send_memfd(const struct log_socket *s, const char *p, size_t n)
{
	union {
		struct cmsghdr align;
		char	 space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_control = control.space,
	    .msg_controllen = sizeof(control.space) };
	struct cmsghdr *c;
	int fd = memfd_create("nexthop-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result = -1;

	if (fd == -1)
		return -1;
	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (write(fd, p, n) == (ssize_t)n && fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0 &&
	    sendmsg(s->fd, &msg, MSG_NOSIGNAL) != -1)
		result = 0;
	close(fd);
	return result;
}

/* How many of the first n were sent; 0 with errno. */
static unsigned
send_batch(struct log_socket *s, const char *bytes,
    const uint32_t *begins, const uint32_t *ends, unsigned n)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	unsigned i;
	int sent;

	if (n > BATCH)
		n = BATCH;
	memset(msgs, 0, n * sizeof(msgs[0]));
	for (i = 0; i < n; i++) {
		iov[i].iov_base = (char *)(uintptr_t)bytes + begins[i];
		iov[i].iov_len = ends[i] - begins[i];
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	do
		sent = sendmmsg(s->fd, msgs, n, MSG_NOSIGNAL |
		    (s->is_stuck ? MSG_DONTWAIT : 0));
	while (sent == -1 && errno == EINTR);
	s->is_stuck = sent == -1 && errno == EAGAIN;
	return sent == -1 ? 0 : (unsigned)sent;
}

/* The same by a stream.  Where one of them went in part, the connection ends,
 * for a while: the next must not be taken for its rest. */
static unsigned
send_stream(struct log_socket *s, const char *bytes, uint32_t begin,
    const uint32_t *ends, unsigned n)
{
	size_t at = begin, end = (size_t)ends[n - 1] + 1;
	unsigned sent = 0;
	ssize_t k;

	do {
		k = send(s->fd, bytes + at, end - at, MSG_NOSIGNAL |
		    (s->is_stuck ? MSG_DONTWAIT : 0));
		at += k > 0 ? (size_t)k : 0;
	} while (k > 0 ? at < end : errno == EINTR);
	s->is_stuck = at < end && errno == EAGAIN;
	while (sent < n && ends[sent] < at)
		sent++;
	if (at > (sent == 0 ? begin : (size_t)ends[sent - 1] + 1)) {
		log_socket_close(s);
		s->tried_ms = clock_mono_ms();
		errno = EAGAIN;
	}
	return sent;
}

/* One that cannot go as it is; false: nor otherwise. */
static bool
send_large(const struct log_socket *s, const char *p, size_t n)
{
	return (errno == EMSGSIZE || errno == ENOBUFS) && s->has_memfd &&
	    send_memfd(s, p, n) == 0;
}

static bool
may_reconnect(const struct log_socket *s, bool has_tried)
{
	return s->fd == -1 ? clock_mono_ms() - s->tried_ms >= RETRY_MS : !has_tried;
}

unsigned
log_socket_send(struct log_socket *s, const char *bytes, const uint32_t *ends,
    unsigned n)
{
	uint32_t begins[BATCH];
	unsigned at = 0, i, sent, lost = 0;
	bool has_tried = false;

	while (at < n) {
		if (s->fd == -1 && (!may_reconnect(s, has_tried) ||
		    log_socket_connect(s) == -1))
			return lost + (n - at);
		for (i = 0; i < BATCH && at + i < n; i++)
			begins[i] = at + i == 0 ? 0 : ends[at + i - 1] + 1;
		sent = s->is_stream ?
		    send_stream(s, bytes, begins[0], ends + at, n - at) :
		    send_batch(s, bytes, begins, ends + at, n - at);
		if (sent == 0 && send_large(s, bytes + begins[0],
		    ends[at] - begins[0]))
			sent = 1;
		at += sent;
		if (sent > 0)
			continue;
		if (errno == EMSGSIZE || errno == EAGAIN) {
			/* Too large for it, or it takes nothing: then the
			 * others are not waited for either. */
			lost += errno == EAGAIN ? n - at : 1;
			at = errno == EAGAIN ? n : at + 1;
		} else if (has_tried || log_socket_connect(s) == -1) {
			log_socket_close(s);
			return lost + (n - at);
		} else
			has_tried = true;
	}
	return lost;
}
