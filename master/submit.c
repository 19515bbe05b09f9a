/*
 * submit.c - submitters: connections on the submission socket.  The master
 * greets like an agent, with HELO and READY, then takes DELIVER and CANCEL.
 *
 * Back-pressure, all by not reading on: a relay's queue is full, the master as
 * a whole keeps too many bytes, the submitter has too many recipients open or
 * does not read its answers.  Who reads none of them for submit_timeout is
 * disconnected.
 */
#include "master.h"

#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"
#include "paths.h"

static void
on_gone(void *arg)
{
	struct submitter *s = arg;
	struct master *m = s->master;

	bool is_door = s->door != NULL;

	dispatch_abandon(s);
	TAILQ_REMOVE(&m->submitters, s, next);
	free(s);
	if (!is_door) {
		m->nsubmitters--;
		listener_pause(m->submit_listener, false);
	}
	master_check_stopped(m);
}

static void
submitter_close(struct submitter *s)
{
	event_del(&s->ev_gone);
	channel_free(s->channel);
	s->channel = NULL;
	loop_later(s->master->loop, &s->gone_later);
}

void
submitter_drop(struct submitter *s, const char *why)
{
	struct event_line e;

	if (s->channel == NULL)
		return;
	if (s->door != NULL) {
		if (why != NULL)
			child_break(s->door, "%s", why);
		return;
	}
	if (why != NULL && event_begin(&e, EVENT_SUBMITTER_REFUSED, NULL)) {
		event_int(&e, "submitter_pid", s->pid);
		event_int(&e, "uid", s->uid);
		event_message(&e, "submitter %d (uid %u) disconnected: %s",
		    (int)s->pid, (unsigned)s->uid, why);
		event_end(&e);
	}
	submitter_close(s);
}

void
submitter_update(struct submitter *s)
{
	bool pause;

	if (s->channel == NULL)
		return;
	pause = !TAILQ_EMPTY(&s->held) ||
	    s->nrcpt_open >= SUBMIT_RCPTS_MAX ||
	    channel_pending(s->channel) > SUBMIT_OUT_SLOW;
	if (pause == s->is_paused)
		return;
	s->is_paused = pause;
	if (pause)
		channel_pause(s->channel);
	else
		channel_resume(s->channel);
	if (s->door != NULL)	/* its end is seen as that of a process */
		return;
	if (pause)
		event_add(&s->ev_gone, NULL);
	else
		event_del(&s->ev_gone);
}

uint32_t
submitter_window(const struct submitter *s)
{
	return s->door != NULL ? FRAME_WINDOW_MAX : SUBMIT_WINDOW;
}

/* ---- doors ---- */

static struct submitter *
submitter_new(struct master *m)
{
	struct submitter *s = xcalloc(1, sizeof(*s));

	s->master = m;
	TAILQ_INIT(&s->held);
	later_init(&s->gone_later, on_gone, s);
	s->stuck_since_ms = loop_now_ms(m->loop);
	TAILQ_INSERT_TAIL(&m->submitters, s, next);
	return s;
}

struct submitter *
submitter_of_door(struct master *m, struct child *c)
{
	struct submitter *s = submitter_new(m);

	s->door = c;
	s->channel = c->channel;
	s->pid = c->process.pid;
	return s;
}

void
submitter_lost(struct submitter *s)
{
	s->channel = NULL;
	loop_later(s->master->loop, &s->gone_later);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	submitter_close(arg);
}

/* ---- frames ---- */

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct submitter *s = arg;

	switch (f->type) {
	case FRAME_DELIVER:
		dispatch_deliver(s, f, bytes, fd);
		return;
	case FRAME_CANCEL:
		if (fd == -1 && f->attrs_len == 0) {
			dispatch_cancel(s, f->id);
			return;
		}
		/* FALLTHROUGH */
	default:
		if (fd != -1)
			close(fd);
		submitter_drop(s, "sent a frame that it must not send");
	}
}

static void
on_closed(void *arg, const char *error)
{
	struct submitter *s = arg;

	if (error != NULL)
		submitter_drop(s, error);
	else
		submitter_close(s);
}

static void
on_drained(void *arg)
{
	struct submitter *s = arg;

	if (s->is_paused)
		submitter_update(s);
	if (s->master->state >= MASTER_CLOSING)
		master_check_stopped(s->master);
}

static void
greet(struct submitter *s)
{
	struct buf *out = channel_out(s->channel);
	size_t start = buf_len(out);
	struct frame_out o;

	frame_begin(&o, out, FRAME_HELO, 0, 0);
	frame_put_u8(&o, ATTR_VERSION_MIN, FRAME_VERSION);
	frame_put_u8(&o, ATTR_VERSION_MAX, FRAME_VERSION);
	frame_put_text(&o, ATTR_AGENT, "nexthop-master");
	frame_put_text(&o, ATTR_PROGRAM, "nexthop " NEXTHOP_VERSION);
	frame_end(&o);
	frame_begin(&o, out, FRAME_READY, 0, 0);
	frame_put_u32(&o, ATTR_WINDOW, SUBMIT_WINDOW);
	frame_end(&o);
	channel_queued(s->channel, start, -1);
}

static const struct channel_ops channel_ops = {
	on_frame, on_closed, on_drained
};

static void
on_accepted(void *arg, int fd)
{
	struct master *m = arg;
	struct submitter *s = submitter_new(m);
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
		s->pid = who.pid;
		s->uid = who.uid;
	}
	s->channel = channel_new(m->loop, fd, SUBMIT_OUT_MAX, &channel_ops,
	    s);
	event_assign(&s->ev_gone, loop_base(m->loop), fd,
	    EV_CLOSED | EV_PERSIST, on_end, s);
	if (++m->nsubmitters >= m->config->master->max_submitters)
		listener_pause(m->submit_listener, true);
	greet(s);
}

int
submit_listen(struct master *m, char *error, size_t size)
{
	const struct master_conf *c = m->config->master;
	const struct socket_look look = { config_mode(c->socket_mode),
	    c->socket_user, c->socket_group };
	int status;

	m->submit_listener = listener_open(m->loop, &m->sockets, c->socket,
	    &look, on_accepted, m, error, size, &status);
	return m->submit_listener == NULL ? status : 0;
}

void
submit_stop_listening(struct master *m)
{
	listener_close(m->submit_listener);
	m->submit_listener = NULL;
}

void
submit_tick(struct master *m)
{
	int64_t now = loop_now_ms(m->loop);
	struct submitter *s;
	uint64_t sent;

	TAILQ_FOREACH(s, &m->submitters, next) {
		if (s->channel == NULL)
			continue;
		sent = channel_sent_total(s->channel);
		if (channel_pending(s->channel) == 0 || sent != s->sent_total)
			s->stuck_since_ms = now;
		else if (now - s->stuck_since_ms >=
		    m->config->master->submit_timeout_ms)
			submitter_drop(s, "takes no answers");
		s->sent_total = sent;
	}
}

bool
submit_has_output(const struct master *m)
{
	const struct submitter *s;

	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->channel != NULL && channel_pending(s->channel) > 0)
			return true;
	return false;
}
