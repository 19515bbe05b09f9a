/*
 * relay.c - deliveries to a program.
 *
 * Recipients of an envelope have a run each, several at once if there is room;
 * at the limit deliveries wait in a FIFO, and one that has more recipients
 * goes to its end after each start, so that none is held up by a long list.
 */
#include "pipe/relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/twins.h"
#include "pipe/job.h"

/* ---- answers ---- */

void
relay_answer(struct work *w, const uint32_t *rcpts, uint32_t n,
    const struct answer *a)
{
	struct delivery *d = w->d;
	uint32_t i, left = n, who;

	/* With the last one the delivery is over; it outlives this turn. */
	for (i = 0; i < left; i++)
		for (who = rcpts[i]; who != NO_TWIN;
		    who = w->twin == NULL ? NO_TWIN : w->twin[who])
			delivery_answer(d, who, a);
}

void
relay_answer_cause(struct work *w, const uint32_t *rcpts, uint32_t n,
    enum cause cause, const char *detail)
{
	struct answer a = { .host = w->relay->command->name };

	reply_cause(&a.reply, w->d->arena, STAGE_NONE, cause, detail);
	relay_answer(w, rcpts, n, &a);
}

/* ---- whose turn it is ---- */

static void
stop_waiting(struct work *w)
{
	if (!w->is_waiting)
		return;
	w->is_waiting = false;
	TAILQ_REMOVE(&w->relay->waiting, w, next);
	w->relay->nwaiting--;
	timer_clear(&w->timer);
}

static void
start_waiting(struct work *w)
{
	struct pipe_relay *r = w->relay;
	int64_t wait = r->conf->queue_timeout_ms, left;

	if (w->d->deadline_ms != 0) {
		left = w->d->deadline_ms - loop_now_ms(r->loop);
		if (left < wait)
			wait = left > 0 ? left : 0;
	}
	w->is_waiting = true;
	TAILQ_INSERT_TAIL(&r->waiting, w, next);
	r->nwaiting++;
	timer_set(&w->timer, wait);
}

/* Those that have no run are answered and forgotten. */
static void
give_up_rest(struct work *w, enum cause cause, const char *detail)
{
	const uint32_t *rest = w->todo + w->at;
	uint32_t n = w->ntodo - w->at;

	stop_waiting(w);
	w->at = w->ntodo;
	relay_answer_cause(w, rest, n, cause, detail);
}

static void
on_waited(void *arg)
{
	struct work *w = arg;
	int64_t deadline = w->d->deadline_ms;

	if (deadline != 0 && deadline <= loop_now_ms(w->relay->loop))
		give_up_rest(w, CAUSE_DEADLINE, NULL);
	else
		give_up_rest(w, CAUSE_PROGRAM_BUSY, w->relay->command->name);
}

/* A run for a delivery that has its turn; if it has more to do, it waits for
 * the next. */
static void
take_turn(struct work *w)
{
	while (w->at < w->ntodo && !job_start(w))
		continue;
	if (w->at < w->ntodo)
		start_waiting(w);
}

static bool
has_room(const struct pipe_relay *r)
{
	return r->njobs < (uint64_t)r->conf->max_processes;
}

static void
on_pump(void *arg)
{
	struct pipe_relay *r = arg;
	struct work *w;

	while (has_room(r) && (w = TAILQ_FIRST(&r->waiting)) != NULL) {
		stop_waiting(w);
		take_turn(w);
	}
	agent_touch_stats(r->agent);
}

void
relay_job_gone(struct pipe_relay *r)
{
	loop_later(r->loop, &r->pump);
	if (r->njobs == 0)
		agent_quiet(r->agent);
}

/* ---- an envelope comes in ---- */

void
pipe_relay_deliver(void *state, struct delivery *d)
{
	struct pipe_relay *r = state;
	struct work *w = arena_calloc(d->arena, 1, sizeof(*w));
	uint64_t limit = (uint64_t)r->conf->size_limit;
	struct answer a = { .host = "" };
	uint32_t i;

	w->relay = r;
	w->d = d;
	d->work = w;
	timer_init(&w->timer, r->loop, on_waited, w);
	if (limit > 0 && d->env.body.len > limit) {
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_TOO_LARGE,
		    (unsigned long long)d->env.body.len,
		    (unsigned long long)limit, r->command->name);
		delivery_answer_rest(d, &a);
		return;
	}
	w->todo = arena_alloc(d->arena, d->env.nrcpt * sizeof(*w->todo));
	for (i = 0; i < d->env.nrcpt; i++)
		w->todo[i] = i;
	w->ntodo = twins_join(d->env.rcpts, d->env.nrcpt, w->todo,
	    d->env.nrcpt, d->arena, &w->twin);
	if (TAILQ_EMPTY(&r->waiting) && has_room(r))
		take_turn(w);
	else
		start_waiting(w);
	if (w->is_waiting)
		loop_later(r->loop, &r->pump);
	agent_touch_stats(r->agent);
}

/*
 * Called although runs of the delivery are past the point where their outcome
 * is in doubt (see job.c): these go on and are answered by their end.
 */
void
pipe_relay_cancel(void *state, struct delivery *d)
{
	struct pipe_relay *r = state;
	struct work *w = d->work;
	struct job *j, *next;

	for (j = LIST_FIRST(&r->jobs); j != NULL; j = next) {
		next = LIST_NEXT(j, next);
		if (j->work == w && !j->is_started)
			job_cancel(j);
	}
	give_up_rest(w, CAUSE_CANCELLED, NULL);
}

/* ---- the whole ---- */

bool
pipe_relay_is_busy(void *state)
{
	return ((struct pipe_relay *)state)->njobs > 0;
}

void
pipe_relay_stats(void *state, agent_stat *put, void *arg)
{
	const struct pipe_relay *r = state;

	put(arg, "runs", r->runs);
	put(arg, "runs_failed", r->failures);
	put(arg, "runs_timed_out", r->timeouts);
	put(arg, "runs_now", r->njobs);
	put(arg, "deliveries_waiting", r->nwaiting);
}

struct pipe_relay *
pipe_relay_new(struct agent *agent, const struct pipe_conf *conf, char *error,
    size_t size)
{
	struct pipe_relay *r = xcalloc(1, sizeof(*r));

	r->agent = agent;
	r->loop = agent_loop(agent);
	r->conf = conf;
	r->arena = arena_new(4096);
	TAILQ_INIT(&r->waiting);
	LIST_INIT(&r->jobs);
	later_init(&r->pump, on_pump, r);
	r->command = pipe_command_new(conf, r->arena, error, size);
	if (r->command == NULL) {
		pipe_relay_free(r);
		return NULL;
	}
	return r;
}

void
pipe_relay_abandon(void *state)
{
	struct pipe_relay *r = state;
	struct job *j;

	LIST_FOREACH(j, &r->jobs, next)
		if (j->run != NULL)
			run_abandon(j->run);
}

void
pipe_relay_free(void *state)
{
	struct pipe_relay *r = state;

	loop_forget(r->loop, &r->pump);
	pipe_command_free(r->command);
	arena_free(r->arena);
	free(r);
}
