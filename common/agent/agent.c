/*
 * agent.c - the skeleton: finds the front, keeps count of deliveries, sees to
 * it that every recipient is answered once.
 *
 * LONG: one count of open deliveries decides when it rests and ends
 */
#include "agent/agent.h"

#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/front.h"
#include "agent/parent.h"
#include "base/event.h"
#include "base/log.h"
#include "base/process.h"
#include "mail/final.h"
#include "net/share.h"
#include "postfix/service.h"

#ifndef __has_feature			/* clang's; gcc has a macro */
#define __has_feature(x)	0
#endif

#define QUIET_MS	2000
#define REST_MS		1000
#define LOOK_MS		10000

/* ---- deliveries ---- */

static struct open_delivery *
outer(struct delivery *d)
{
	return (struct open_delivery *)(void *)d;
}

static const struct open_delivery *
outer_const(const struct delivery *d)
{
	return (const struct open_delivery *)(const void *)d;
}

static void
on_free(void *arg)
{
	struct open_delivery *o = arg;

	if (o->d.env.body.fd != -1)
		close(o->d.env.body.fd);
	arena_free(o->d.arena);
}

struct delivery *
delivery_new(struct agent *a, size_t bytes, const struct front_ops *front,
    void *front_data)
{
	struct arena *arena = arena_new(sizeof(struct open_delivery) + bytes);
	struct open_delivery *o = arena_calloc(arena, 1, sizeof(*o));

	o->d.arena = arena;
	o->d.env.body.fd = -1;
	o->d.front = front;
	o->d.front_data = front_data;
	o->agent = a;
	later_init(&o->free_later, on_free, o);
	return &o->d;
}

void
delivery_discard(struct delivery *d)
{
	on_free(outer(d));
}

static void
open_delivery(struct agent *a, struct delivery *d)
{
	struct open_delivery *o = outer(d);

	d->start_ms = loop_now_ms(a->loop);
	if (d->env.deadline_s != 0)
		d->deadline_ms = d->start_ms + (int64_t)d->env.deadline_s * 1000;
	d->open = d->env.nrcpt;
	d->answered = arena_calloc(d->arena, d->env.nrcpt, 1);
	TAILQ_INSERT_TAIL(&a->open, o, next);
	a->nopen++;
}

void
agent_deliver(struct agent *a, struct delivery *d)
{
	open_delivery(a, d);
	a->ops->deliver(a->state, d);
}

void
agent_refuse(struct agent *a, struct delivery *d, const struct reply *r)
{
	struct answer answer = { .reply = *r, .host = "", .address = "" };

	open_delivery(a, d);
	delivery_answer_rest(d, &answer);
}

struct delivery *
agent_find(struct agent *a, uint64_t id)
{
	struct open_delivery *o;

	TAILQ_FOREACH(o, &a->open, next)
		if (o->d.id == id)
			return &o->d;
	return NULL;
}

void
agent_cancel(struct agent *a, struct delivery *d)
{
	if ((d->is_past_end && !a->ops->has_parts) || d->is_cancelled)
		return;
	d->is_cancelled = true;
	a->ops->cancel(a->state, d);
}

void
agent_cancel_all(struct agent *a)
{
	struct open_delivery *o, *next;

	/* A cancelled delivery may be over inside the call; it stays in
	 * memory until the turn ends, but not in the list. */
	for (o = TAILQ_FIRST(&a->open); o != NULL; o = next) {
		next = TAILQ_NEXT(o, next);
		agent_cancel(a, &o->d);
	}
}

/* A burst is over: what it took goes back to the system, which the heap does
 * not do by itself where a few kept connections lie between. */
static void
on_rest(void *arg)
{
	struct agent *a = arg;

	if (a->nopen == 0)
		malloc_trim(0);
}

/* Nothing is being delivered; what is left is saying goodbye to hosts. */
static void
check_idle(struct agent *a)
{
	if (!a->is_draining || a->nopen > 0)
		return;
	if (a->ops->is_busy == NULL || !a->ops->is_busy(a->state))
		a->on_idle(a);
	else if (a->quiet.due_ms == 0)
		timer_set(&a->quiet, QUIET_MS);
}

void
agent_quiet(struct agent *a)
{
	check_idle(a);
}

static void
on_quiet_timeout(void *arg)
{
	struct agent *a = arg;

	if (a->nopen == 0)
		a->on_idle(a);
}

void
agent_drain(struct agent *a)
{
	if (a->is_draining)
		return;
	a->is_draining = true;
	if (a->ops->drain != NULL)
		a->ops->drain(a->state);
	check_idle(a);
}

/* Between two deliveries nobody is the worse for an end. */
static void
check_outdated(struct agent *a)
{
	if (a->is_outdated && a->nopen == 0 && !a->is_draining)
		a->on_outdated(a);
}

static void
delivery_over(struct delivery *d)
{
	struct open_delivery *o = outer(d);
	struct agent *a = o->agent;

	d->front->done(d);
	if (a->ops->over != NULL)
		a->ops->over(a->state, d);
	TAILQ_REMOVE(&a->open, o, next);
	if (--a->nopen == 0)
		timer_set(&a->rest, REST_MS);
	loop_later(a->loop, &o->free_later);
	agent_touch_stats(a);
	check_idle(a);
	check_outdated(a);
}

static void
log_answer(const struct delivery *d, uint32_t i, const struct answer *a)
{
	const struct final f = { .id = d->env.id, .to = d->env.rcpts[i].addr,
		.from = d->env.sender, .answer = a, .has_times = true,
		.size = d->env.body.len };

	final_log(&f);
}

void
agent_log_open(struct agent *a)
{
	struct answer answer = { .host = "", .address = "" };
	struct open_delivery *o;
	uint32_t i;

	TAILQ_FOREACH(o, &a->open, next) {
		reply_cause(&answer.reply, o->d.arena, STAGE_DOT, CAUSE_HUNG);
		answer.total_ms = (uint32_t)(loop_now_ms(a->loop) -
		    o->d.start_ms);
		for (i = 0; i < o->d.env.nrcpt; i++)
			if (!o->d.answered[i])
				log_answer(&o->d, i, &answer);
	}
}

/* A bug of the agent's. */
static void
answered_twice(const struct delivery *d, uint32_t i)
{
	log_error("%s: recipient %u answered twice", d->env.id, i);
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
	abort();
#endif
}

void
delivery_answer(struct delivery *d, uint32_t i, const struct answer *a)
{
	struct answer whole = *a;

	if (i >= d->env.nrcpt || d->answered[i]) {
		answered_twice(d, i);
		return;
	}
	if (whole.host == NULL)
		whole.host = "";
	if (whole.address == NULL)
		whole.address = "";
	whole.total_ms = (uint32_t)(loop_now_ms(outer(d)->agent->loop) -
	    d->start_ms);
	d->answered[i] = 1;
	d->open--;
	if (!d->front->logs_itself)
		log_answer(d, i, &whole);
	if (outer(d)->agent->on_stats != NULL)
		telemetry_answer(&outer(d)->agent->telemetry, &whole);
	d->front->answer(d, i, &whole);
	if (d->open == 0)
		delivery_over(d);
}

bool
delivery_is_answered(const struct delivery *d, uint32_t i)
{
	return d->answered[i] != 0;
}

void
delivery_answer_rest(struct delivery *d, const struct answer *a)
{
	uint32_t i, n = d->env.nrcpt;

	/* The delivery outlives this turn, so d stays readable. */
	for (i = 0; i < n; i++)
		if (!d->answered[i])
			delivery_answer(d, i, a);
}

/* ---- forwarding ---- */

void
agent_may_forward(struct agent *a)
{
	a->may_forward = true;
}

static void
log_forward(const struct delivery *d, uint32_t i, const struct forward *to)
{
	const struct final f = { .id = d->env.id, .to = d->env.rcpts[i].addr,
		.from = d->env.sender };

	final_log_forwarded(&f, to->relay);
}

/* Those of the recipients that are open, once each. */
static uint32_t
open_rcpts(const struct delivery *d, const uint32_t *rcpts, uint32_t n,
    uint32_t *open)
{
	uint32_t i, k, nopen = 0;

	if (rcpts == NULL)
		n = d->env.nrcpt;
	for (i = 0; i < n; i++) {
		k = rcpts == NULL ? i : rcpts[i];
		if (k < d->env.nrcpt && !d->answered[k]) {
			d->answered[k] = 1;
			open[nopen++] = k;
		} else if (rcpts != NULL)
			answered_twice(d, k);
	}
	return nopen;
}

/* Why it cannot be, as an answer; false where it can. */
static bool
is_stuck(const struct delivery *d, const struct forward *to, struct reply *r)
{
	const struct agent *a = outer_const(d)->agent;

	if (!frame_forward_fits(to))
		reply_cause(r, d->arena, STAGE_NONE, CAUSE_INTERNAL,
		    "a text of FORWARD is missing or cannot be sent");
	else if (!a->may_forward)
		reply_cause(r, d->arena, STAGE_NONE, CAUSE_INTERNAL,
		    "this agent did not say that it forwards");
	else if (d->front->forward == NULL)
		reply_cause(r, d->arena, STAGE_NONE, CAUSE_FORWARD_ALONE,
		    to->relay);
	else
		return false;
	return true;
}

void
delivery_forward(struct delivery *d, const uint32_t *rcpts, uint32_t n,
    const struct forward *to)
{
	struct answer a = { .host = "" };
	uint32_t i, *open;

	if (is_stuck(d, to, &a.reply)) {
		for (i = 0; rcpts != NULL && i < n; i++)
			delivery_answer(d, rcpts[i], &a);
		if (rcpts == NULL)
			delivery_answer_rest(d, &a);
		return;
	}
	open = arena_alloc(d->arena, (d->env.nrcpt + 1) * sizeof(*open));
	n = open_rcpts(d, rcpts, n, open);
	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		log_forward(d, open[i], to);
	d->front->forward(d, to, open, n);
	d->open -= n;
	if (d->open == 0)
		delivery_over(d);
}

/* ---- stages ---- */

void
delivery_connected(struct delivery *d)
{
	d->front->stage(d, STAGE_CONNECT, NULL, 0);
}

void
delivery_before_end(struct delivery *d, const uint32_t *rcpts, uint32_t n,
    struct later *go)
{
	d->is_past_end = true;
	d->front->stage(d, STAGE_DOT, rcpts, n);
	d->front->after_said(d, go);
}

/* ---- the process ---- */

struct loop *
agent_loop(struct agent *a)
{
	return a->loop;
}

struct share *
agent_share(const struct agent *a)
{
	return a->share;
}

bool
agent_trace(const struct agent *a)
{
	return a->want_trace;
}

void
agent_touch_stats(struct agent *a)
{
	if (a->on_stats != NULL)
		a->on_stats(a);
}

int
agent_start(struct agent *a, char *error, size_t size)
{
	a->state = a->ops->start(a, opts_values(a->opts), error, size);
	return a->state == NULL ? -1 : 0;
}

/* ---- the cage ---- */

static void
on_look(void *arg)
{
	struct agent *a = arg;
	const char *path = cage_outdated(a->cage);

	if (path == NULL) {
		timer_set(&a->look, LOOK_MS);
		return;
	}
	log_info("sandbox: %s is another file now, which this process may not "
	    "read; it ends, for a new one", path);
	a->is_outdated = true;
	check_outdated(a);
}

struct cage *
agent_cage(struct agent *a)
{
	if (a->cage == NULL && a->ops->cage != NULL)
		a->cage = cage_new(a->ops->cage, opts_values(a->opts));
	return a->cage;
}

int
agent_confine(struct agent *a, bool is_quiet, char *error, size_t size)
{
	if (agent_cage(a) == NULL)
		return 0;
	switch (cage_enter(a->cage, a->loop, is_quiet, error, size)) {
	case CAGE_DONE:
		if (a->on_outdated != NULL)
			timer_set(&a->look, LOOK_MS);
		return 0;
	case CAGE_OFF:
		return 0;
	default:
		return -1;
	}
}

/* Whatever still runs, given up by an orphan or at the second Ctrl-C, may call
 * back: nothing is freed under it, it goes with the process. */
void
agent_stop(struct agent *a)
{
	a->is_abandoned = a->nopen > 0 || (a->state != NULL &&
	    a->ops->is_busy != NULL && a->ops->is_busy(a->state));
	if (a->is_abandoned) {
		if (a->state != NULL && a->ops->abandon != NULL)
			a->ops->abandon(a->state);
		return;
	}
	if (a->state != NULL && a->ops->stop != NULL)
		a->ops->stop(a->state);
	a->state = NULL;
	timer_clear(&a->quiet);
	timer_clear(&a->rest);
	timer_clear(&a->look);
	loop_turn(a->loop, 0);		/* what was put off: frees */
}

/* "DESCRIPTOR:INDEX", where the relay has several processes. */
static int
open_share(struct agent *a)
{
	const char *env = getenv(SHARE_ENV);
	int fd, index;

	if (env == NULL)
		return 0;
	if (sscanf(env, "%d:%d", &fd, &index) == 2 && index >= 0)
		a->share = share_open(fd, (unsigned)index);
	if (a->share == NULL) {
		log_error("%s=%s: %s", SHARE_ENV, env, strerror(errno));
		return -1;
	}
	unsetenv(SHARE_ENV);
	close(fd);
	return 0;
}

int
agent_main(const struct agent_ops *ops, int argc, char **argv)
{
	struct agent a = { .ops = ops };
	const char *env = getenv(CHANNEL_ENV);
	int fd, status;

	hold_std_files();
	ignore_write_signals();
	log_open(ops->name);
	TAILQ_INIT(&a.open);
	telemetry_init(&a.telemetry);
	a.loop = loop_new();
	timer_init(&a.quiet, a.loop, on_quiet_timeout, &a);
	timer_init(&a.rest, a.loop, on_rest, &a);
	timer_init(&a.look, a.loop, on_look, &a);
	a.opts = opts_new(ops->table);
	if (env == NULL && pf_is_service())
		status = front_postfix(&a, argc, argv);
	else if (env == NULL)
		status = front_cli(&a, argc, argv);
	else if ((fd = parent_open(env)) == -1)
		status = EX_USAGE;
	else if (open_share(&a) == -1)
		status = EX_OSERR;
	else
		status = front_channel(&a, fd);
	share_free(a.share);
	if (a.is_abandoned) {
		log_flush();
		_exit(status);
	}
	telemetry_clear(&a.telemetry);
	cage_free(a.cage);
	opts_free(a.opts);
	loop_free(a.loop);
	return status;
}
