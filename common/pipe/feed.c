/* feed.c - the message on its way into a program's stdin. */
#include "pipe/feed.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES	(32 * 1024)

/* One piece at a time is read, converted and mostly written. */
static char piece[PIECE_BYTES], converted[4 * PIECE_BYTES + 16];

/* ---- the descriptor itself ---- */

/*
 * The memory of this message and of no other: the program may read all of the
 * file, not only what is behind the offset.
 */
static int
open_itself(const struct feed_spec *spec)
{
	const struct body *body = spec->body;
	struct stat st;
	char path[64];

	if (!spec->is_as_is || *spec->prefix != '\0' || body->mem != NULL ||
	    body->offset != 0 || !body_is_sealed(body) ||
	    fstat(body->fd, &st) == -1 || (uint64_t)st.st_size != body->len)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", body->fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- a pipe ---- */

static void
unwatch(struct feed *f)
{
	if (f->has_ev)
		event_del(&f->ev);
	f->has_ev = false;
}

/* Half a message gets no end: the program is killed first, then feed_stop()
 * is called. */
static void
end(struct feed *f, enum feed_state state, int error)
{
	f->state = state;
	f->error = error;
	if (state == FEED_FAILED)
		unwatch(f);
	else
		feed_stop(f);
}

/* What waits; true once all of it is gone. */
static bool
write_pending(struct feed *f)
{
	ssize_t n;

	while (!buf_is_empty(&f->pending)) {
		n = write(f->fd, buf_data(&f->pending), buf_len(&f->pending));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			if (errno != EAGAIN)
				end(f, FEED_REFUSED, errno);
			return false;
		}
		buf_consume(&f->pending, (size_t)n);
	}
	return true;
}

/* Writes what the pipe takes and keeps the rest; true if there is none. */
static bool
write_out(struct feed *f, const char *p, size_t n)
{
	ssize_t took;

	do
		took = write(f->fd, p, n);
	while (took == -1 && errno == EINTR);
	if (took == -1 && errno != EAGAIN) {
		end(f, FEED_REFUSED, errno);
		return false;
	}
	if (took == -1)
		took = 0;
	if ((size_t)took == n)
		return true;
	/* Ceiling: a converted piece. */
	buf_add(&f->pending, p + took, n - (size_t)took);
	return false;
}

/* From file to pipe; true while it goes on. */
static bool
splice_some(struct feed *f)
{
	off_t at = (off_t)(f->spec->body->offset + f->reader.at);
	uint64_t left = body_left(&f->reader);
	ssize_t n;

	if (left > PIECE_BYTES * 32)
		left = PIECE_BYTES * 32;
	n = splice(f->spec->body->fd, &at, f->fd, NULL, (size_t)left,
	    SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n > 0) {
		f->reader.at += (uint64_t)n;
		return true;
	}
	if (n == 0)
		end(f, FEED_FAILED, 0);
	else if (errno == EPIPE)
		end(f, FEED_REFUSED, EPIPE);
	else if (errno == EINVAL || errno == ENOSYS)
		return f->no_splice = true;
	else if (errno != EAGAIN && errno != EINTR)
		end(f, FEED_FAILED, errno);
	return false;
}

static bool
convert_some(struct feed *f)
{
	const char *data;
	int64_t n = body_read(&f->reader, piece, sizeof(piece), &data);
	size_t len;

	if (n == -1) {
		end(f, FEED_FAILED, errno == EIO ? 0 : errno);
		return false;
	}
	if (f->spec->is_as_is)
		return write_out(f, data, (size_t)n);
	len = content_convert(&f->content, converted, data, (size_t)n);
	/* A small message goes with its end in one piece. */
	if (body_left(&f->reader) == 0 && !f->is_finished &&
	    len + CONTENT_END_MAX <= sizeof(converted)) {
		len += content_finish(&f->content, converted + len);
		f->is_finished = true;
	}
	return len == 0 || write_out(f, converted, len);
}

static void
add_end(struct feed *f)
{
	char last[CONTENT_END_MAX];

	buf_add(&f->pending, last, content_finish(&f->content, last));
	f->is_finished = true;
}

static void
pump(struct feed *f)
{
	while (f->state == FEED_ON && write_pending(f)) {
		if (body_left(&f->reader) == 0) {
			if (!f->is_finished && !f->spec->is_as_is) {
				add_end(f);
				continue;
			}
			end(f, FEED_DONE, 0);
		} else if (f->spec->is_as_is && f->spec->body->mem == NULL &&
		    !f->no_splice) {
			if (!splice_some(f))
				return;
		} else if (!convert_some(f))
			return;
	}
}

static void
on_room(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;

	(void)fd;
	(void)what;
	pump(f);
	if (f->state != FEED_ON)
		f->changed(f->arg);
}

int
feed_open(struct feed *f, struct loop *loop, const struct feed_spec *spec)
{
	int ends[2], fd;

	memset(f, 0, sizeof(*f));
	f->spec = spec;
	f->loop = loop;
	f->fd = -1;
	buf_init(&f->pending, sizeof(converted));
	if ((fd = open_itself(spec)) != -1) {
		f->state = FEED_DONE;
		return fd;
	}
	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	f->fd = ends[1];
	body_reader_init(&f->reader, spec->body);
	content_init(&f->content, spec->how);
	if (*spec->prefix != '\0') {
		f->content.is_empty = false;
		buf_add(&f->pending, spec->prefix, strlen(spec->prefix));
	}
	pump(f);
	return ends[0];
}

void
feed_start(struct feed *f, void (*changed)(void *), void *arg)
{
	if (f->state != FEED_ON)
		return;
	f->changed = changed;
	f->arg = arg;
	event_assign(&f->ev, loop_base(f->loop), f->fd, EV_WRITE | EV_PERSIST,
	    on_room, f);
	event_add(&f->ev, NULL);
	f->has_ev = true;
}

void
feed_stop(struct feed *f)
{
	if (f->fd == -1)
		return;
	unwatch(f);
	close(f->fd);
	f->fd = -1;
	buf_clear(&f->pending);
}
