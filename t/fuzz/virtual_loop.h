/*
 * virtual_loop.h - the event loop and the clocks without the system: time
 * passes only when nothing else is left to do.  For one program that tests
 * what waits for hours; its definitions come before those of the library
 * (net/loop.c, base/clock.c).  What loop.h says of the order of callbacks
 * holds.
 */
#ifndef VIRTUAL_LOOP_H
#define VIRTUAL_LOOP_H

#include <stdlib.h>

#include "base/clock.h"
#include "net/loop.h"

#define VIRTUAL_TIMERS	64
#define VIRTUAL_START	1000000

struct loop {
	struct later_list later;
	struct timer	*timers[VIRTUAL_TIMERS];	/* those that are on */
	size_t		 ntimers;
	int64_t		 now_ms;
};

static struct loop virtual_loop;

int64_t
clock_mono_ms(void)
{
	return virtual_loop.now_ms;
}

int64_t
clock_wall_ms(void)
{
	return virtual_loop.now_ms + INT64_C(1700000000000);
}

int64_t
loop_now_ms(struct loop *l)
{
	return l->now_ms;
}

int64_t
loop_now_us(struct loop *l)
{
	return l->now_ms * 1000;
}

void
later_init(struct later *job, loop_cb *cb, void *arg)
{
	*job = (struct later){ .cb = cb, .arg = arg };
}

void
later_hold(struct later_list *list, struct later *job)
{
	job->is_queued = true;
	job->list = list;
	TAILQ_INSERT_TAIL(list, job, next);
}

void
loop_later(struct loop *l, struct later *job)
{
	if (!job->is_queued)
		later_hold(&l->later, job);
}

void
loop_forget(struct loop *l, struct later *job)
{
	(void)l;
	if (!job->is_queued)
		return;
	job->is_queued = false;
	TAILQ_REMOVE(job->list, job, next);
}

void
timer_init(struct timer *t, struct loop *l, loop_cb *cb, void *arg)
{
	*t = (struct timer){ .loop = l, .cb = cb, .arg = arg };
}

void
timer_stop(struct timer *t)
{
	struct loop *l = t->loop;

	t->due_ms = 0;
	for (size_t i = 0; i < l->ntimers; i++)
		if (l->timers[i] == t)
			l->timers[i] = l->timers[--l->ntimers];
}

void
timer_clear(struct timer *t)
{
	timer_stop(t);
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	struct loop *l = t->loop;

	timer_stop(t);
	if (l->ntimers == VIRTUAL_TIMERS)
		abort();
	t->due_ms = l->now_ms + (after_ms > 0 ? after_ms : 0);
	l->timers[l->ntimers++] = t;
}

/* For what is linked but never used here. */
struct event_base *
loop_base(struct loop *l)
{
	(void)l;
	abort();
}

struct loop *
loop_new(void)
{
	abort();
}

void
loop_free(struct loop *l)
{
	(void)l;
}

int
loop_run(struct loop *l)
{
	(void)l;
	abort();
}

void
loop_turn(struct loop *l, int max_ms)
{
	(void)l;
	(void)max_ms;
	abort();
}

void
loop_stop(struct loop *l, int status)
{
	(void)l;
	(void)status;
}

/* ---- for the test ---- */

static void
virtual_start(void)
{
	virtual_loop = (struct loop){ .now_ms = VIRTUAL_START };
	TAILQ_INIT(&virtual_loop.later);
}

/* Jobs put off, also those that they put off. */
static void
virtual_run_later(void)
{
	struct later *job;

	while ((job = TAILQ_FIRST(&virtual_loop.later)) != NULL) {
		loop_forget(&virtual_loop, job);
		job->cb(job->arg);
	}
}

/* The next timer that is due until then fires, and time is as late as that;
 * else it is then: false. */
static bool
virtual_fire(int64_t until_ms)
{
	struct loop *l = &virtual_loop;
	struct timer *next = NULL;

	for (size_t i = 0; i < l->ntimers; i++)
		if (next == NULL || l->timers[i]->due_ms < next->due_ms)
			next = l->timers[i];
	if (next == NULL || next->due_ms > until_ms) {
		if (until_ms != INT64_MAX)
			l->now_ms = until_ms;
		return false;
	}
	if (l->now_ms < next->due_ms)
		l->now_ms = next->due_ms;
	timer_stop(next);
	next->cb(next->arg);
	return true;
}

#endif
