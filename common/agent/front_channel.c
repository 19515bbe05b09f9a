/*
 * front_channel.c - envelopes from nexthop-master over the inherited
 * socketpair, answers back as frames (nexthop-agent(7)).
 */
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/front.h"
#include "agent/parent.h"
#include "base/buf.h"
#include "base/log.h"
#include "net/channel.h"

#define OUT_BYTES_MAX	((size_t)1 << 30)	/* bounded by window x recipients */
#define WORK_BYTES	768	/* what an agent adds to a delivery, mostly */
#define STATS_MS	1000
#define ORPHAN_MS	2000	/* the master is gone: finish what is in doubt */

struct channel_front {
	struct agent	*agent;
	struct channel	*channel;
	struct event	 ev_term;
	struct timer	 stats, orphan;
	struct later_list held;		/* after_said: wait for the flush */
	uint32_t	 window;
	bool		 is_ready;
	bool		 is_leaving;	/* exit once the output is gone */
	int		 status;
};

static void
leave(struct channel_front *f, int status)
{
	if (!f->is_leaving)
		f->status = status;
	f->is_leaving = true;
	if (channel_fd(f->channel) == -1 || channel_pending(f->channel) == 0)
		loop_stop(f->agent->loop, f->status);
}

/* The asker broke the protocol, or we cannot go on: no frame is safe. */
static void
fail(struct channel_front *f, const char *what)
{
	log_error("channel: %s", what);
	channel_close(f->channel);
	leave(f, EX_PROTOCOL);
}

/* ---- answers ---- */

static void
queued(struct channel_front *f, size_t start, int result)
{
	if (channel_fd(f->channel) == -1)
		buf_clear(channel_out(f->channel));
	else if (result == -1)
		fail(f, "output is full");
	else
		channel_queued(f->channel, start, -1);
}

static void
front_stage(struct delivery *d, enum stage stage, const uint32_t *rcpts,
    uint32_t n)
{
	struct channel_front *f = d->front_data;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);
	uint32_t *set, i;

	if (rcpts == NULL && d->open != d->env.nrcpt) {
		set = arena_alloc(d->arena, d->open * sizeof(*set));
		for (i = 0; i < d->env.nrcpt; i++)
			if (!d->answered[i])
				set[n++] = i;
		rcpts = set;
	}
	queued(f, start, frame_put_stage(out, d->id, stage, rcpts, n));
}

/* What was said must be in the kernel's hands before end-of-data is: `go` is
 * held until the channel has drained. */
static void
front_after_said(struct delivery *d, struct later *go)
{
	struct channel_front *f = d->front_data;

	d->held = go;
	if (channel_fd(f->channel) == -1)
		loop_later(f->agent->loop, go);
	else
		later_hold(&f->held, go);
}

static void
release_held(struct channel_front *f)
{
	struct later *go;

	while ((go = TAILQ_FIRST(&f->held)) != NULL) {
		loop_forget(f->agent->loop, go);
		loop_later(f->agent->loop, go);
	}
}

static void
front_answer(struct delivery *d, uint32_t i, const struct answer *a)
{
	struct channel_front *f = d->front_data;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);

	queued(f, start, frame_put_result(out, d->id, i, a));
}

static void
front_forward(struct delivery *d, const struct forward *to,
    const uint32_t *rcpts, uint32_t n)
{
	struct channel_front *f = d->front_data;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);

	queued(f, start, frame_put_forward(out, d->id, to, rcpts, n));
}

static void
front_done(struct delivery *d)
{
	struct channel_front *f = d->front_data;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);

	queued(f, start, frame_put_bare(out, FRAME_DONE, d->id));
}

static const struct front_ops channel_front_ops = {
	.stage = front_stage,
	.after_said = front_after_said,
	.answer = front_answer,
	.forward = front_forward,
	.done = front_done,
};

/* ---- statistics ---- */

static void
on_stats(void *arg)
{
	struct channel_front *f = arg;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);
	struct frame_out o;

	if (channel_fd(f->channel) == -1)
		return;
	frame_begin(&o, out, FRAME_STATS, 0, 0);
	if (f->agent->ops->stats != NULL)
		f->agent->ops->stats(f->agent->state, frame_put_stat, &o);
	telemetry_put(&f->agent->telemetry, &o);
	queued(f, start, frame_end(&o));
}

static void
want_stats(struct agent *a)
{
	struct channel_front *f = a->front;

	if (f->stats.due_ms == 0)
		timer_set(&f->stats, STATS_MS);
}

/* ---- CONFIG ---- */

static void
put_warning(void *arg, const char *name, const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s: %s", name, text);
	frame_put_text(arg, ATTR_WARNING, line);
}

/* For who only asks what the options are worth. */
static void
put_options(struct agent *a, struct parent_config *c)
{
	parent_config_put_options(c);
	if (a->ops->warn != NULL)
		a->ops->warn(opts_values(a->opts), put_warning, &c->ready);
}

static void
got_config(struct channel_front *f, const struct frame *frame)
{
	struct agent *a = f->agent;
	struct buf *out = channel_out(f->channel);
	size_t start = buf_len(out);
	struct parent_config c;
	char error[512];
	int status;

	if (f->is_ready ||
	    parent_config_take(&c, a->opts, frame, out) == -1) {
		fail(f, "malformed CONFIG");
		return;
	}
	parent_config_set_ident(&c, a->ops->name);
	if (c.nfaults == 0 && agent_start(a, error, sizeof(error)) == -1)
		parent_config_fault(&c, error);
	/* One who only asks is told, and that is all. */
	if (c.nfaults == 0 && !c.want_options &&
	    agent_confine(a, false, error, sizeof(error)) == -1)
		parent_config_fault(&c, error);
	if (c.nfaults == 0) {
		f->window = a->ops->window == NULL ? AGENT_WINDOW_DEFAULT :
		    a->ops->window(opts_values(a->opts));
		frame_put_u32(&c.ready, ATTR_WINDOW, f->window);
		if (a->may_forward)
			frame_put(&c.ready, ATTR_FORWARDS, "", 0);
		if (c.want_options)
			put_options(a, &c);
		f->is_ready = true;
	}
	queued(f, start, frame_end(&c.ready));
	if ((status = parent_config_status(&c)) != -1)
		leave(f, status);
}

/* ---- deliveries ---- */

static void
got_deliver(struct channel_front *f, const struct frame *frame, int fd)
{
	struct delivery *d;
	const char *error;
	struct reply r;

	if (!f->is_ready || f->agent->nopen >= f->window) {
		if (fd != -1)
			close(fd);
		fail(f, f->is_ready ? "more deliveries than the window" :
		    "DELIVER before READY");
		return;
	}
	/* The strings take no more than the frame did. */
	d = delivery_new(f->agent, frame->len + WORK_BYTES, &channel_front_ops, f);
	d->id = frame->id;
	if (frame_get_deliver(frame, fd, d->arena, &d->env, &error) == -1) {
		delivery_discard(d);
		fail(f, error);
		return;
	}
	if (fd == -1 && (frame->flags & FRAME_HAS_FD) != 0) {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_NO_DESCRIPTOR);
		agent_refuse(f->agent, d, &r);
	} else
		agent_deliver(f->agent, d);
}

static void
on_frame(void *arg, const struct frame *frame, const void *bytes, int fd)
{
	struct channel_front *f = arg;
	struct delivery *d;
	const char *error;
	int got;

	(void)bytes;
	if (f->is_leaving && frame->type != FRAME_CANCEL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if ((got = parent_frame(frame, fd, FRAME_DELIVER, &error)) == -1)
		fail(f, error);
	if (got != 1)
		return;
	switch (frame->type) {
	case FRAME_CONFIG:
		got_config(f, frame);
		break;
	case FRAME_DELIVER:
		got_deliver(f, frame, fd);
		break;
	case FRAME_CANCEL:
		/* One that is over already is no fault: it crossed DONE. */
		if ((d = agent_find(f->agent, frame->id)) != NULL)
			agent_cancel(f->agent, d);
		break;
	case FRAME_DRAIN:
		agent_drain(f->agent);
		break;
	default:
		fail(f, "frame of a type that an agent does not take");
		break;
	}
}

static void
on_drained(void *arg)
{
	struct channel_front *f = arg;

	release_held(f);
	if (f->is_leaving)
		loop_stop(f->agent->loop, f->status);
}

/* End-of-data that has not left shall not leave: nobody would know. */
static void
forget_held(struct channel_front *f)
{
	struct open_delivery *o;
	struct later *go;

	while ((go = TAILQ_FIRST(&f->held)) != NULL) {
		loop_forget(f->agent->loop, go);
		TAILQ_FOREACH(o, &f->agent->open, next)
			if (o->d.held == go)
				o->d.is_past_end = false;
	}
}

/* The master is gone: nobody can hear an answer.  What is past end-of-data is
 * given a moment to end in order, everything else is dropped now. */
static void
on_closed(void *arg, const char *error)
{
	struct channel_front *f = arg;

	if (error != NULL)
		log_warning("channel: %s", error);
	forget_held(f);
	timer_set(&f->orphan, ORPHAN_MS);
	agent_cancel_all(f->agent);
	agent_drain(f->agent);
}

static void
on_orphan(void *arg)
{
	struct channel_front *f = arg;

	agent_log_open(f->agent);
	leave(f, EX_OK);
}

static void
on_idle(struct agent *a)
{
	struct channel_front *f = a->front;

	/* What was counted since the last STATS shall not be lost. */
	if (f->stats.due_ms != 0)
		on_stats(f);
	leave(f, EX_OK);
}

/* The master starts another one; meanwhile deliveries wait there. */
static void
on_outdated(struct agent *a)
{
	leave(a->front, EX_OK);
}

static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	struct channel_front *f = arg;

	(void)sig;
	(void)what;
	if (f->is_ready)
		agent_drain(f->agent);
	else
		leave(f, EX_OK);
}

static const struct channel_ops channel_front_channel_ops = {
	.frame = on_frame,
	.closed = on_closed,
	.drained = on_drained,
};

int
front_channel(struct agent *a, int fd)
{
	struct channel_front f = { .agent = a };
	int status;

	TAILQ_INIT(&f.held);
	a->front = &f;
	a->on_idle = on_idle;
	a->on_stats = want_stats;
	a->on_outdated = on_outdated;
	f.channel = channel_new(a->loop, fd, OUT_BYTES_MAX,
	    &channel_front_channel_ops, &f);
	timer_init(&f.stats, a->loop, on_stats, &f);
	timer_init(&f.orphan, a->loop, on_orphan, &f);
	event_assign(&f.ev_term, loop_base(a->loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_term, &f);
	event_add(&f.ev_term, NULL);
	queued(&f, 0, parent_put_hello(channel_out(f.channel), a->ops->name));
	status = loop_run(a->loop);
	channel_close(f.channel);	/* no frame may come while we stop */
	agent_stop(a);
	if (a->is_abandoned)
		return status;
	channel_free(f.channel);
	event_del(&f.ev_term);
	timer_clear(&f.stats);
	timer_clear(&f.orphan);
	loop_turn(a->loop, 0);
	return status;
}
