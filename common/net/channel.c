/*
 * channel.c - frames over a UNIX stream socket.
 *
 * One recvmmsg() takes many pieces of the stream: the kernel ends a piece
 * behind each passed descriptor, so a plain recvmsg() would take one frame a
 * call.  sendmmsg() likewise: a piece starts at each frame that carries a
 * descriptor.  The pieces are read into memory shared by all channels of the
 * process; frames that are whole in a piece are handed out where they lie.
 *
 * LONG: reading, writing and closing share each state of the socket
 */
#include "net/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define PIECES		32
#define PIECE_BYTES	4096
#define FDS_PENDING_MAX	(2 * PIECES)
#define IN_BYTES_MAX	(FRAME_BYTES_MAX + 2 * PIECES * PIECE_BYTES)
#define RETRY_MS	20

struct out_fd {			/* a descriptor waiting to be sent */
	STAILQ_ENTRY(out_fd) next;
	uint64_t	 at;	/* queued_total of its frame's first byte */
	int		 fd;
};

struct channel {
	struct loop	*loop;
	int		 fd;	/* -1 once closed */
	const struct channel_ops *ops;
	void		*arg;
	struct event	 ev_read, ev_write;
	struct later	 flush_later, closed_later, free_later, read_later;
	struct timer	 retry, read_retry;
	bool		 is_paused;
	bool		 is_waiting;	/* ev_write is added */
	bool		 is_ended;	/* the peer closed; `in` waits */
	bool		 is_cut;	/* the peer takes nothing more */

	struct buf	 in;		/* what is left of earlier pieces */
	int		 in_fds[FDS_PENDING_MAX];
	size_t		 nin_fds;

	struct buf	 out;
	STAILQ_HEAD(, out_fd) out_fds;
	uint64_t	 queued_total, sent_total;
	const char	*error;		/* for closed_later */
};

static char	 pieces[PIECES][PIECE_BYTES];
static union {
	char		 bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr	 align;
} controls[PIECES];

static void	 channel_fail(struct channel *, const char *);

/* ---- closing ---- */

static void
drop_fds(struct channel *c)
{
	struct out_fd *o;
	size_t i;

	for (i = 0; i < c->nin_fds; i++)
		if (c->in_fds[i] != -1)
			close(c->in_fds[i]);
	c->nin_fds = 0;
	while ((o = STAILQ_FIRST(&c->out_fds)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->out_fds, next);
		close(o->fd);
		free(o);
	}
}

void
channel_close(struct channel *c)
{
	if (c->fd == -1)
		return;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	timer_clear(&c->retry);
	timer_clear(&c->read_retry);
	loop_forget(c->loop, &c->flush_later);
	loop_forget(c->loop, &c->closed_later);
	loop_forget(c->loop, &c->read_later);
	close(c->fd);
	c->fd = -1;
	drop_fds(c);
	/* A frame being handed out may lie in c->in: it goes with c. */
	buf_clear(&c->out);
}

static void
on_free(void *arg)
{
	struct channel *c = arg;

	buf_clear(&c->in);
	buf_clear(&c->out);	/* may have been written to after the close */
	free(c);
}

void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	channel_close(c);
	loop_later(c->loop, &c->free_later);
}

static void
on_closed(void *arg)
{
	struct channel *c = arg;
	const char *error = c->error;

	channel_close(c);
	c->ops->closed(c->arg, error);
}

/* Tell the owner at the end of the turn, never inside its own call. */
static void
channel_fail(struct channel *c, const char *error)
{
	if (c->fd == -1 || c->closed_later.is_queued)
		return;
	c->error = error;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	loop_later(c->loop, &c->closed_later);
}

static bool
is_over(const struct channel *c)
{
	return c->fd == -1 || c->closed_later.is_queued;
}

/* ---- reading ---- */

/* The descriptor of a frame that says it has one. */
static int
take_fd(struct channel *c, const struct frame *f)
{
	int fd;

	if ((f->flags & FRAME_HAS_FD) == 0)
		return -1;
	fd = c->in_fds[0];
	c->nin_fds--;
	memmove(c->in_fds, c->in_fds + 1, c->nin_fds * sizeof(int));
	return fd;
}

/* Hand out the whole frames at p; the bytes taken. */
static size_t
hand_out(struct channel *c, const char *p, size_t n)
{
	const char *error = NULL;
	struct frame f;
	size_t at = 0;
	int got;

	while (!is_over(c) && !c->is_paused) {
		got = frame_parse(p + at, n - at, &f, &error);
		if (got == 1 && (f.flags & FRAME_HAS_FD) != 0 &&
		    c->nin_fds == 0) {
			error = "frame without its descriptor";
			got = -1;
		}
		if (got == -1)
			channel_fail(c, error);
		if (got != 1)
			break;
		c->ops->frame(c->arg, &f, p + at, take_fd(c, &f));
		at += f.len;
	}
	return at;
}

/* One piece of the stream. */
static void
feed(struct channel *c, const char *p, size_t n)
{
	size_t done;

	if (is_over(c))
		return;
	if (buf_is_empty(&c->in)) {
		done = hand_out(c, p, n);
		p += done;
		n -= done;
	}
	if (n == 0 || is_over(c))
		return;
	if (buf_add(&c->in, p, n) == -1) {
		channel_fail(c, "too much input waits");
		return;
	}
	done = hand_out(c, buf_data(&c->in), buf_len(&c->in));
	buf_consume(&c->in, done);
}

/* Keep the next descriptor; -1 if there are too many already. */
static int
add_fd(struct channel *c, int fd)
{
	if (c->nin_fds == FDS_PENDING_MAX) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	c->in_fds[c->nin_fds++] = fd;
	return 0;
}

/*
 * The descriptors of one piece.  Room for one is, by alignment, room for two:
 * all that came must be looked at, or they stay open for ever.  If there should
 * be one and none came, this process has no more of them (RLIMIT_NOFILE): its
 * place is kept, and the frame is handed out without.
 */
static int
take_control(struct channel *c, struct msghdr *m)
{
	bool is_cut = (m->msg_flags & MSG_CTRUNC) != 0;
	int fd, result = 0;
	struct cmsghdr *h;
	size_t i, n, total = 0;

	for (h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
		total += n;
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (n > 1 || is_cut) {
				close(fd);
				result = -1;
			} else if (add_fd(c, fd) == -1)
				result = -1;
		}
	}
	return is_cut && total == 0 ? add_fd(c, -1) : result;
}

/*
 * A reset is a peer that closed and had not read all.  recvmmsg() tells it,
 * once, before the data that the peer sent; these come when asked again.
 */
static int
receive(struct channel *c, struct mmsghdr *msgs, struct iovec *iov)
{
	int i, n, resets = 0;

	for (i = 0; i < PIECES; i++) {
		iov[i] = (struct iovec){ pieces[i], PIECE_BYTES };
		memset(&msgs[i], 0, sizeof(msgs[i]));
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_control = controls[i].bytes;
		msgs[i].msg_hdr.msg_controllen = sizeof(controls[i].bytes);
	}
	do
		n = recvmmsg(c->fd, msgs, PIECES,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (n == -1 && (errno == EINTR ||
	    (errno == ECONNRESET && resets++ == 0)));
	return n;
}

/* Nothing more comes.  Frames that wait for channel_resume() go first. */
static void
at_end(struct channel *c)
{
	if (c->is_paused && !buf_is_empty(&c->in))
		c->is_ended = true;
	else
		channel_fail(c, buf_is_empty(&c->in) ? NULL :
		    "connection closed inside a frame");
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	struct mmsghdr msgs[PIECES];
	struct iovec iov[PIECES];
	int i, n;

	(void)fd;
	(void)what;
	if (is_over(c))
		return;
	if ((n = receive(c, msgs, iov)) == -1) {
		if (errno == ECONNRESET || (errno == EAGAIN && c->is_cut))
			at_end(c);
		else if (errno == ENOMEM || errno == ENOBUFS) {
			event_del(&c->ev_read);
			timer_set(&c->read_retry, RETRY_MS);
		} else if (errno != EAGAIN)
			channel_fail(c, strerror(errno));
		return;
	}
	/* All descriptors first, so that none is lost when a frame ends it. */
	for (i = 0; i < n; i++)
		if (take_control(c, &msgs[i].msg_hdr) == -1)
			channel_fail(c, "too many descriptors");
	for (i = 0; i < n && msgs[i].msg_len > 0; i++)
		feed(c, pieces[i], msgs[i].msg_len);
	if (is_over(c))
		return;
	if (i < n)
		at_end(c);
	else if (c->nin_fds > 0 && buf_is_empty(&c->in))
		channel_fail(c, "descriptor without its frame");
	else if (c->is_cut)
		event_active(&c->ev_read, EV_READ, 0);
	buf_shrink(&c->in);
}

/* Frames that lay in c->in when the reading stopped. */
static void
on_read_later(void *arg)
{
	struct channel *c = arg;

	if (is_over(c) || c->is_paused)
		return;
	if (!buf_is_empty(&c->in))
		buf_consume(&c->in, hand_out(c, buf_data(&c->in),
		    buf_len(&c->in)));
	if (is_over(c) || c->is_paused)
		return;
	if (c->is_ended)
		at_end(c);
	else
		event_add(&c->ev_read, NULL);
}

void
channel_pause(struct channel *c)
{
	if (c->is_paused || is_over(c))
		return;
	c->is_paused = true;
	event_del(&c->ev_read);
	if (c->is_cut)
		channel_fail(c, NULL);
}

void
channel_resume(struct channel *c)
{
	if (!c->is_paused || is_over(c))
		return;
	c->is_paused = false;
	if (buf_is_empty(&c->in))
		event_add(&c->ev_read, NULL);
	else
		loop_later(c->loop, &c->read_later);
}

/* ---- writing ---- */

/* Fill msgs with pieces of out, a new one at each frame with a descriptor. */
static int
cut_pieces(struct channel *c, struct mmsghdr *msgs, struct iovec *iov)
{
	struct out_fd *o = STAILQ_FIRST(&c->out_fds);
	uint64_t at = c->sent_total;
	struct cmsghdr *h;
	struct msghdr *m;
	char *p = buf_data(&c->out);
	size_t len;
	int n;

	for (n = 0; n < PIECES && at < c->queued_total; n++) {
		m = &msgs[n].msg_hdr;
		memset(&msgs[n], 0, sizeof(msgs[n]));
		if (o != NULL && o->at == at) {
			m->msg_control = controls[n].bytes;
			m->msg_controllen = sizeof(controls[n].bytes);
			h = CMSG_FIRSTHDR(m);
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(h), &o->fd, sizeof(int));
			o = STAILQ_NEXT(o, next);
		}
		len = (size_t)((o != NULL ? o->at : c->queued_total) - at);
		iov[n] = (struct iovec){ p, len };
		m->msg_iov = &iov[n];
		m->msg_iovlen = 1;
		p += len;
		at += len;
	}
	return n;
}

/* n bytes have left: their descriptors have, too. */
static void
sent(struct channel *c, size_t n)
{
	struct out_fd *o;

	if (n == 0)
		return;
	buf_consume(&c->out, n);
	c->sent_total += n;
	while ((o = STAILQ_FIRST(&c->out_fds)) != NULL &&
	    o->at < c->sent_total) {
		STAILQ_REMOVE_HEAD(&c->out_fds, next);
		close(o->fd);
		free(o);
	}
}

/* 0: all sent or the socket is full (is_waiting); -1 with errno. */
static int
send_pieces(struct channel *c)
{
	struct mmsghdr msgs[PIECES];
	struct iovec iov[PIECES];
	int i, n, done;
	size_t bytes;

	while (!buf_is_empty(&c->out)) {
		n = cut_pieces(c, msgs, iov);
		done = sendmmsg(c->fd, msgs, (unsigned)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return -1;
		for (i = 0, bytes = 0; i < done; i++)
			bytes += msgs[i].msg_len;
		sent(c, bytes);
	}
	return 0;
}

static void
wait_write(struct channel *c, bool want)
{
	if (want && !c->is_waiting)
		event_add(&c->ev_write, NULL);
	else if (!want && c->is_waiting)
		event_del(&c->ev_write);
	c->is_waiting = want;
}

/*
 * The peer takes nothing more.  What it still sent is read before the end is
 * told; but not where the owner wants no more of it.
 */
static void
cut(struct channel *c)
{
	wait_write(c, false);
	if (c->is_paused) {
		channel_fail(c, NULL);
		return;
	}
	c->is_cut = true;
	event_active(&c->ev_read, EV_READ, 0);
}

void
channel_flush(struct channel *c)
{
	if (is_over(c) || c->is_cut || buf_is_empty(&c->out))
		return;
	/* What is told stands in the log file, however soon we may end; with a
	 * daemon some of it may be on its way for LOG_HOLD_MS. */
	log_turn();
	if (send_pieces(c) == 0) {
		wait_write(c, false);
		buf_shrink(&c->out);
		if (c->ops->drained != NULL)
			c->ops->drained(c->arg);
	} else if (errno == EAGAIN)
		wait_write(c, true);
	else if (errno == ETOOMANYREFS || errno == ENOBUFS ||
	    errno == ENOMEM) {
		/* Descriptors in flight, or no memory: that the socket takes
		 * bytes is no sign that it takes these. */
		wait_write(c, false);
		timer_set(&c->retry, RETRY_MS);
	} else if (errno == EPIPE || errno == ECONNRESET)
		cut(c);
	else
		channel_fail(c, strerror(errno));
}

static void
on_flush(void *arg)
{
	channel_flush(arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	channel_flush(arg);
}

struct buf *
channel_out(struct channel *c)
{
	return &c->out;
}

void
channel_queued(struct channel *c, size_t frame_start, int fd)
{
	size_t n = buf_len(&c->out) - frame_start;
	struct out_fd *o;

	if (is_over(c)) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (fd != -1) {
		o = xmalloc(sizeof(*o));
		o->at = c->queued_total;
		o->fd = fd;
		STAILQ_INSERT_TAIL(&c->out_fds, o, next);
	}
	c->queued_total += n;
	if (!c->is_waiting)
		loop_later(c->loop, &c->flush_later);
}

int
channel_put(struct channel *c, const void *frame, size_t n, int fd)
{
	size_t start = buf_len(&c->out);

	if (buf_add(&c->out, frame, n) == -1)
		return -1;
	channel_queued(c, start, fd);
	return 0;
}

size_t
channel_pending(const struct channel *c)
{
	return buf_len(&c->out);
}

uint64_t
channel_queued_total(const struct channel *c)
{
	return c->queued_total;
}

uint64_t
channel_sent_total(const struct channel *c)
{
	return c->sent_total;
}

int
channel_fd(const struct channel *c)
{
	return c->fd;
}

struct channel *
channel_new(struct loop *loop, int fd, size_t out_max,
    const struct channel_ops *ops, void *arg)
{
	struct channel *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->fd = fd;
	c->ops = ops;
	c->arg = arg;
	buf_init(&c->in, IN_BYTES_MAX);
	buf_init(&c->out, out_max);
	STAILQ_INIT(&c->out_fds);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	event_assign(&c->ev_read, loop_base(loop), fd, EV_READ | EV_PERSIST,
	    on_readable, c);
	event_assign(&c->ev_write, loop_base(loop), fd, EV_WRITE | EV_PERSIST,
	    on_writable, c);
	later_init(&c->flush_later, on_flush, c);
	later_init(&c->closed_later, on_closed, c);
	later_init(&c->free_later, on_free, c);
	later_init(&c->read_later, on_read_later, c);
	timer_init(&c->retry, loop, on_flush, c);
	timer_init(&c->read_retry, loop, on_read_later, c);
	event_add(&c->ev_read, NULL);
	return c;
}
