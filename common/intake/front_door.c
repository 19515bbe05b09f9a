/*
 * front_door.c - an intake as a child of nexthop-master: HELO; LISTEN and
 * CONFIG; READY; then it is a submitter on the same channel (nexthop-agent(7)).
 */
#include "intake/front.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/parent.h"
#include "base/log.h"
#include "base/mem.h"
#include "intake/upstream.h"
#include "net/channel.h"

#define PROGRAM		"intake-lmtp"
#define OUT_BYTES_MAX	((size_t)64 * 1024 * 1024)
#define WINDOW		65535		/* what the master takes of a door */
#define STATS_MS	1000
#define LEAVE_MS	3000		/* for the last answers to be read */

struct door_socket {
	int		 fd;
	char		*name;
};

struct door {
	struct intake	*intake;
	struct loop	*loop;
	struct opts	*opts;
	struct channel	*channel;
	struct event	 ev_term;
	struct timer	 stats, leave;
	struct door_socket sockets[INTAKE_LISTENERS_MAX];
	uint32_t	 nsockets;	/* until they are listened on */
	struct cage	*cage;		/* NULL until CONFIG */
	bool		 is_ready;
	bool		 is_leaving;	/* exit once the output is gone */
	int		 status;
};

static void
door_leave(struct door *d, int status)
{
	if (!d->is_leaving)
		d->status = status;
	d->is_leaving = true;
	if (channel_fd(d->channel) == -1 || channel_pending(d->channel) == 0)
		loop_stop(d->loop, d->status);
}

/* The master broke the protocol, or is gone: nobody delivers any more. */
static void
lost(struct door *d, const char *why, int status)
{
	if (why != NULL)
		log_error("channel: %s", why);
	channel_close(d->channel);
	if (!d->is_ready) {
		door_leave(d, status);
		return;
	}
	d->status = status;
	d->is_leaving = true;
	upstream_detach(d->intake->upstream);
	timer_set(&d->leave, LEAVE_MS);
	intake_leave(d->intake);
}

static void
on_leave(void *arg)
{
	struct door *d = arg;

	loop_stop(d->loop, d->status);
}

static void
queued(struct door *d, size_t start, int result)
{
	if (result == -1)
		lost(d, "output is full", EX_SOFTWARE);
	else
		channel_queued(d->channel, start, -1);
}

/* ---- statistics ---- */

static void
on_stats(void *arg)
{
	struct door *d = arg;
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	struct frame_out o;

	if (channel_fd(d->channel) == -1)
		return;
	frame_begin(&o, out, FRAME_STATS, 0, 0);
	intake_each_stat(d->intake, frame_put_stat, &o);
	queued(d, start, frame_end(&o));
}

static void
on_changed(void *front)
{
	struct door *d = front;

	if (d->stats.due_ms == 0)
		timer_set(&d->stats, STATS_MS);
}

/* ---- CONFIG ---- */

static void
listen_all(struct door *d)
{
	struct door_socket *s;

	while (d->nsockets > 0) {
		s = &d->sockets[--d->nsockets];
		if (intake_listen(d->intake, s->fd, s->name) == -1) {
			log_error("%s: not listening: %s", s->name,
			    strerror(errno));
			close(s->fd);
		}
		free(s->name);
	}
}

/* All is open that has to be; 0, or -1 with a text. */
static int
confine(struct door *d, char *error, size_t size)
{
	d->cage = cage_new(&intake_cage, opts_values(d->opts));
	return cage_enter(d->cage, d->loop, false, error, size) ==
	    CAGE_FAILED ? -1 : 0;
}

static void
got_config(struct door *d, const struct frame *frame)
{
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	struct parent_config c;
	char error[512];
	int status;

	if (d->is_ready ||
	    parent_config_take(&c, d->opts, frame, out) == -1) {
		lost(d, "malformed CONFIG", EX_PROTOCOL);
		return;
	}
	log_set_unit("intake");
	parent_config_set_ident(&c, PROGRAM);
	if (c.nfaults == 0 && intake_start(d->intake, d->loop,
	    opts_values(d->opts), error, sizeof(error)) == -1)
		parent_config_fault(&c, error);
	if (c.nfaults == 0 && !c.want_options &&
	    confine(d, error, sizeof(error)) == -1)
		parent_config_fault(&c, error);
	if (c.nfaults == 0 && c.want_options)
		parent_config_put_options(&c);
	queued(d, start, frame_end(&c.ready));
	if ((status = parent_config_status(&c)) != -1) {
		door_leave(d, status);
		return;
	}
	d->is_ready = true;
	upstream_attach(d->intake->upstream, d->channel, WINDOW);
	listen_all(d);
}

/* ---- the other frames ---- */

static void
got_listen(struct door *d, const struct frame *frame, int fd)
{
	struct arena *arena = arena_new(256);
	const char *address, *error = NULL;

	if (frame_get_listen(frame, arena, &address, &error) == -1)
		;
	else if (d->is_ready)
		error = "LISTEN after CONFIG";
	else if (d->nsockets == INTAKE_LISTENERS_MAX)
		error = "too many listening sockets";
	else
		d->sockets[d->nsockets++] = (struct door_socket){ fd,
		    xstrdup(address) };
	if (error != NULL) {
		if (fd != -1)
			close(fd);
		lost(d, error, EX_PROTOCOL);
	}
	arena_free(arena);
}

static void
got_answer(struct door *d, const struct frame *frame)
{
	const char *error = d->is_ready ?
	    upstream_frame(d->intake->upstream, frame) :
	    "answer before READY";

	if (error != NULL)
		lost(d, error, EX_PROTOCOL);
	else
		on_changed(d);
}

static void
on_frame(void *arg, const struct frame *frame, const void *bytes, int fd)
{
	struct door *d = arg;
	const char *error;
	int got;

	(void)bytes;
	if ((got = parent_frame(frame, fd, FRAME_LISTEN, &error)) == -1)
		lost(d, error, EX_PROTOCOL);
	if (got != 1)
		return;
	switch (frame->type) {
	case FRAME_LISTEN:
		got_listen(d, frame, fd);
		break;
	case FRAME_CONFIG:
		got_config(d, frame);
		break;
	case FRAME_RESULT:
	case FRAME_STAGE:
	case FRAME_DONE:
		got_answer(d, frame);
		break;
	case FRAME_DRAIN:
		if (d->is_ready)
			intake_drain(d->intake);
		else
			door_leave(d, EX_OK);
		break;
	default:
		lost(d, "frame of a type that an intake does not take",
		    EX_PROTOCOL);
		break;
	}
}

static void
on_closed(void *arg, const char *error)
{
	if (error != NULL)
		log_warning("channel: %s", error);
	lost(arg, NULL, EX_OK);
}

static void
on_drained(void *arg)
{
	struct door *d = arg;

	if (d->is_ready)
		upstream_drained(d->intake->upstream);
	if (d->is_leaving)
		loop_stop(d->loop, d->status);
}

static const struct channel_ops channel_ops = {
	.frame = on_frame,
	.closed = on_closed,
	.drained = on_drained,
};

/* The last session is over. */
static void
on_idle(void *front)
{
	struct door *d = front;

	on_stats(d);
	door_leave(d, EX_OK);
}

static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	struct door *d = arg;

	(void)sig;
	(void)what;
	if (!d->is_ready)
		door_leave(d, EX_OK);
	else if (d->intake->is_draining)
		intake_hurry(d->intake);	/* SIGKILL is near */
	else
		intake_drain(d->intake);
}

int
front_door(struct intake *in, struct loop *loop, struct opts *opts, int fd)
{
	struct door d = { .intake = in, .loop = loop, .opts = opts };
	int status;

	in->front = &d;
	in->changed = on_changed;
	in->idle = on_idle;
	d.channel = channel_new(loop, fd, OUT_BYTES_MAX, &channel_ops, &d);
	timer_init(&d.stats, loop, on_stats, &d);
	timer_init(&d.leave, loop, on_leave, &d);
	event_assign(&d.ev_term, loop_base(loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_term, &d);
	event_add(&d.ev_term, NULL);
	queued(&d, 0, parent_put_hello(channel_out(d.channel), PROGRAM));
	status = loop_run(loop);
	channel_close(d.channel);
	intake_stop(in);
	while (d.nsockets > 0) {
		close(d.sockets[--d.nsockets].fd);
		free(d.sockets[d.nsockets].name);
	}
	channel_free(d.channel);
	event_del(&d.ev_term);
	timer_clear(&d.stats);
	timer_clear(&d.leave);
	loop_turn(loop, 0);
	cage_free(d.cage);
	return status;
}
