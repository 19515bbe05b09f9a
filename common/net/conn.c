/*
 * conn.c - one byte stream to a host.
 *
 * LONG: one state machine from connecting to closing
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/conn_layer.h"

#define READ_BYTES	(64 * 1024)
#define OUT_BYTES_MAX	((size_t)4 * 1024 * 1024)

struct conn {
	struct loop	*loop;
	int		 fd;		/* -1 once closed */
	bool		 is_open;	/* connected */
	bool		 is_waiting;	/* ev_write is added */
	bool		 is_paused;	/* ev_read is not added */
	bool		 is_ended;	/* ... for ever: ended() was called */
	bool		 is_over;	/* closed() was or will be called */
	int		 error;
	int		 cut;		/* why nothing can be sent any more */
	const struct conn_ops *ops;
	void		*arg;
	struct event	 ev_read, ev_write;
	struct later	 closed_later, free_later;
	struct buf	 out;		/* above the layer */

	/* TLS */
	const struct conn_layer_ops *layer_ops;	/* NULL: none */
	void		*layer;
	bool		 is_shaking;	/* the handshake is under way */
	bool		 read_wants_write;	/* and ev_read is not added */
	bool		 write_wants_read;
};

static char	 input[READ_BYTES];

static void
on_free(void *arg)
{
	struct conn *c = arg;

	if (c->layer_ops != NULL)
		c->layer_ops->free(c->layer);
	buf_clear(&c->out);
	free(c);
}

static void
conn_close(struct conn *c)
{
	if (c->fd == -1)
		return;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	close(c->fd);
	c->fd = -1;
}

static void
conn_end(struct conn *c, bool is_clean)
{
	if (c->layer_ops != NULL && c->fd != -1)
		c->layer_ops->close(c->layer, is_clean);
	c->is_over = true;
	loop_forget(c->loop, &c->closed_later);
	conn_close(c);
	loop_later(c->loop, &c->free_later);
}

void
conn_free(struct conn *c)
{
	if (c != NULL)
		conn_end(c, buf_is_empty(&c->out));
}

void
conn_abort(struct conn *c)
{
	struct linger l = { 1, 0 };

	if (c == NULL)
		return;
	if (c->fd != -1)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	conn_end(c, false);
}

static void
on_closed(void *arg)
{
	struct conn *c = arg;

	c->ops->closed(c->arg, c->error);
}

/* Never inside the owner's call. */
static void
conn_fail(struct conn *c, int error)
{
	if (c->is_over)
		return;
	c->is_over = true;
	c->error = error;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	loop_later(c->loop, &c->closed_later);
}

static void
wait_write(struct conn *c, bool want)
{
	if (want == c->is_waiting)
		return;
	if (want)
		event_add(&c->ev_write, NULL);
	else
		event_del(&c->ev_write);
	c->is_waiting = want;
}

/*
 * Sending failed: what the peer said before is still to be read, then comes
 * the end.  It may have to be asked for: the error was told once, to us.
 */
static void
conn_cut(struct conn *c, int error)
{
	wait_write(c, false);
	c->cut = error;
	event_active(&c->ev_read, EV_READ, 0);
}

/* ---- through a layer ---- */

static void
again(struct conn *c)
{
	event_active(&c->ev_read, EV_READ, 0);
}

/* The owner is called last: it may free the connection. */
static void
shake(struct conn *c)
{
	bool want_write = false;

	if (c->layer_ops->handshake(c->layer, &want_write) == -1) {
		if (errno == EAGAIN)
			wait_write(c, want_write);
		else
			conn_fail(c, errno);
		return;
	}
	c->is_shaking = false;
	wait_write(c, !buf_is_empty(&c->out));
	if (c->layer_ops->has_input(c->layer))
		again(c);
	c->ops->secured(c->arg);
}

/* No plain bytes came: the end (error 0), an error, or a wait. */
static void
nothing_read(struct conn *c, int error, bool want_write)
{
	if (error == 0)
		conn_fail(c, c->cut == EPIPE ? 0 : c->cut);
	else if (error != EAGAIN || c->cut != 0)
		conn_fail(c, error != EAGAIN ? error : c->cut);
	else if (want_write) {
		/* Until then the socket has nothing new to tell. */
		c->read_wants_write = true;
		event_del(&c->ev_read);
		wait_write(c, true);
	}
}

static void
layer_readable(struct conn *c)
{
	bool want_write = false, is_more;
	size_t n = 0;
	ssize_t got;
	int error;

	if (c->is_shaking) {
		shake(c);
		return;
	}
	do {
		got = c->layer_ops->read(c->layer, input + n,
		    sizeof(input) - n, &want_write);
		error = got == -1 ? errno : 0;
		if (got > 0)
			n += (size_t)got;
		is_more = c->layer_ops->has_input(c->layer);
	} while (got > 0 && is_more && n < sizeof(input));
	if (c->write_wants_read) {
		c->write_wants_read = false;
		wait_write(c, true);
	}
	if (n == 0) {
		nothing_read(c, error, want_write);
		return;
	}
	/* What else there is to tell comes in the next turn. */
	if (got > 0 ? is_more || c->cut != 0 : error != EAGAIN || want_write)
		again(c);
	c->ops->data(c->arg, input, n);
}

static ssize_t
layer_send(struct conn *c, const char *p, size_t n)
{
	ssize_t did;

	if (c->is_shaking || c->write_wants_read) {
		errno = EAGAIN;
		return -1;
	}
	did = c->layer_ops->write(c->layer, p, n, &c->write_wants_read);
	if (c->write_wants_read)
		wait_write(c, false);
	return did;
}

static inline ssize_t
send_some(struct conn *c, const char *p, size_t n)
{
	if (c->layer_ops != NULL)
		return layer_send(c, p, n);
	return send(c->fd, p, n, MSG_NOSIGNAL);
}

/* ---- what the socket tells ---- */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n;

	(void)what;
	if (c->is_over)
		return;
	if (c->layer_ops != NULL) {
		layer_readable(c);
		return;
	}
	do
		n = recv(fd, input, sizeof(input), 0);
	while (n == -1 && errno == EINTR);
	if (n > 0) {
		c->ops->data(c->arg, input, (size_t)n);
		if (c->cut != 0 && !c->is_over)
			event_active(&c->ev_read, EV_READ, 0);
	} else if (n == 0 && c->ops->ended != NULL && !c->is_ended &&
	    c->cut == 0) {
		c->is_ended = true;
		event_del(&c->ev_read);
		c->ops->ended(c->arg);
	} else if (n == 0)
		conn_fail(c, c->cut == EPIPE ? 0 : c->cut);
	else if (errno != EAGAIN || c->cut != 0)
		conn_fail(c, errno != EAGAIN ? errno : c->cut);
}

static void
connected(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	wait_write(c, !buf_is_empty(&c->out));
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		conn_fail(c, error);
		return;
	}
	c->is_open = true;
	event_add(&c->ev_read, NULL);
	c->ops->opened(c->arg);
}

/* The layer waited for the socket; true: all is said for this event. */
static bool
layer_writable(struct conn *c)
{
	if (c->is_shaking) {
		shake(c);
		return true;
	}
	if (!c->read_wants_write)
		return false;
	c->read_wants_write = false;
	event_add(&c->ev_read, NULL);
	layer_readable(c);
	return true;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n;

	(void)fd;
	(void)what;
	if (c->is_over)
		return;
	if (!c->is_open) {
		connected(c);
		return;
	}
	if (c->layer_ops != NULL && layer_writable(c))
		return;
	n = buf_is_empty(&c->out) ? 0 :
	    send_some(c, buf_data(&c->out), buf_len(&c->out));
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			conn_cut(c, errno);
		return;
	}
	buf_consume(&c->out, (size_t)n);
	if (!buf_is_empty(&c->out)) {
		c->ops->progress(c->arg);
		return;
	}
	wait_write(c, false);
	buf_shrink(&c->out);
	c->ops->drained(c->arg);
}

void
conn_write(struct conn *c, const char *p, size_t n)
{
	ssize_t did = 0;

	if (c->is_over || c->cut != 0 || n == 0)
		return;
	if (buf_is_empty(&c->out) && c->is_open) {
		did = send_some(c, p, n);
		if (did == -1 && errno != EAGAIN && errno != EINTR) {
			conn_cut(c, errno);
			return;
		}
		if (did == -1)
			did = 0;
	}
	if ((size_t)did == n)
		return;
	if (buf_add(&c->out, p + did, n - (size_t)did) == -1) {
		conn_fail(c, ENOBUFS);
		return;
	}
	if (!c->is_shaking && !c->write_wants_read)
		wait_write(c, true);
}

void
conn_want_room(struct conn *c)
{
	if (!c->is_over && !c->is_shaking)
		wait_write(c, true);
}

bool
conn_has_room(const struct conn *c)
{
	return !c->is_waiting && !c->is_shaking && buf_is_empty(&c->out);
}

/* What a call moved; a connection that is broken or full is waited for. */
static int64_t
moved(struct conn *c, ssize_t did)
{
	if (did >= 0)
		return did;
	if (errno == EPIPE || errno == ECONNRESET)
		errno = EAGAIN;		/* the reading side tells */
	if (errno == EAGAIN)
		wait_write(c, true);
	return -1;
}

int64_t
conn_sendfile(struct conn *c, int fd, uint64_t offset, size_t n)
{
	off_t at = (off_t)offset;
	ssize_t did;

	do
		did = c->layer_ops != NULL ?
		    c->layer_ops->sendfile(c->layer, fd, offset, n) :
		    sendfile(c->fd, fd, &at, n);
	while (did == -1 && errno == EINTR);
	return moved(c, did);
}

int64_t
conn_send(struct conn *c, const char *p, size_t n)
{
	ssize_t did;

	if (c->layer_ops != NULL) {
		errno = EOPNOTSUPP;
		return -1;
	}
	do
		did = send(c->fd, p, n, MSG_NOSIGNAL);
	while (did == -1 && errno == EINTR);
	return moved(c, did);
}

size_t
conn_pending(const struct conn *c)
{
	return buf_len(&c->out);
}

int
conn_local(const struct conn *c, struct addr *a)
{
	memset(a, 0, sizeof(*a));
	a->len = sizeof(a->u);
	return getsockname(c->fd, &a->u.sa, &a->len);
}

void
conn_set_layer(struct conn *c, const struct conn_layer_ops *ops, void *layer)
{
	bool want_write = false;

	if (c->layer_ops != NULL || !c->is_open || c->is_over ||
	    !buf_is_empty(&c->out) || c->ops->secured == NULL) {
		ops->free(layer);
		conn_fail(c, EPROTO);
		return;
	}
	c->layer_ops = ops;
	c->layer = layer;
	c->is_shaking = true;
	wait_write(c, false);
	if (ops->handshake(layer, &want_write) == 0)
		again(c);		/* secured() comes from there */
	else if (errno == EAGAIN)
		wait_write(c, want_write);
	else
		conn_fail(c, errno);
}

void *
conn_layer(const struct conn *c, const struct conn_layer_ops *ops)
{
	return c->layer_ops == ops ? c->layer : NULL;
}

int
conn_fd(const struct conn *c)
{
	return c->fd;
}

/*
 * A source address without a port: the kernel shall choose the port when it
 * knows the peer, so that one address can hold many connections.
 */
static int
bind_source(int fd, const struct addr *source)
{
	int on = 1;

	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, &source->u.sa, source->len);
}

static int
open_socket(const struct addr *to, const struct addr *source)
{
	int on = 1, error, fd;

	fd = socket(addr_family(to), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return -1;
	if (addr_family(to) != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (source != NULL && bind_source(fd, source) == -1) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static struct conn *
conn_new(struct loop *loop, int fd, const struct conn_ops *ops, void *arg)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->fd = fd;
	c->ops = ops;
	c->arg = arg;
	buf_init(&c->out, OUT_BYTES_MAX);
	event_assign(&c->ev_read, loop_base(loop), fd, EV_READ | EV_PERSIST,
	    on_readable, c);
	event_assign(&c->ev_write, loop_base(loop), fd, EV_WRITE | EV_PERSIST,
	    on_writable, c);
	later_init(&c->closed_later, on_closed, c);
	later_init(&c->free_later, on_free, c);
	return c;
}

struct conn *
conn_open(struct loop *loop, const struct addr *to, const struct addr *source,
    const struct conn_ops *ops, void *arg)
{
	struct conn *c;
	int fd;

	if ((fd = open_socket(to, source)) == -1)
		return NULL;
	c = conn_new(loop, fd, ops, arg);
	if (connect(fd, &to->u.sa, to->len) == 0 || errno == EINPROGRESS)
		wait_write(c, true);
	else
		conn_fail(c, errno);
	return c;
}

/* ---- accepted ones ---- */

struct conn *
conn_accepted(struct loop *loop, int fd, const struct conn_ops *ops, void *arg)
{
	struct conn *c = conn_new(loop, fd, ops, arg);
	int on = 1;

	/* A UNIX socket has no such option. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_add(&c->ev_read, NULL);
	c->is_open = true;
	return c;
}

void
conn_pause(struct conn *c, bool pause)
{
	if (c->is_over || c->is_ended || c->is_paused == pause)
		return;
	c->is_paused = pause;
	if (pause)
		event_del(&c->ev_read);
	else
		event_add(&c->ev_read, NULL);
}

/* Not by EV_CLOSED: libevent tells it only without an error of the socket, and
 * would wake us for that again and again. */
bool
conn_is_gone(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	return c->is_over || (poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLHUP | POLLERR)) != 0);
}
