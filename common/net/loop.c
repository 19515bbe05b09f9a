/* loop.c - libevent's base, timers that sleep on, jobs for the turn's end. */
#include "net/loop.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct loop {
	struct event_base	*base;
	struct later_list	 later;
	struct event		 log_due;	/* lines are kept until then */
	bool			 is_log_due;
	int64_t			 now_us;	/* 0 = not read in this turn */
	bool			 is_stopped;
	int			 status;
};

/*
 * Changes reach the kernel at the end of a turn, where libevent has nobody to
 * tell but its log.  One that failed (no memory, too many watches) is an event
 * that never comes: what waits for it would wait for ever, and answer nobody.
 * A process that ends is answered for by its master, or by Postfix.
 */
static void
on_libevent(int severity, const char *text)
{
	if (severity < EVENT_LOG_WARN)
		return;
	log_error("libevent: %s", text);
	if (strncmp(text, "Epoll", 5) != 0)
		return;
	log_flush();
	exit(EX_OSERR);
}

static void
on_log_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((struct loop *)arg)->is_log_due = false;
}

struct loop *
loop_new(void)
{
	struct event_config *conf = event_config_new();
	struct loop *l = xcalloc(1, sizeof(*l));

	event_set_log_callback(on_libevent);
	if (conf == NULL)
		errx(1, "libevent: no memory");
	/* One thread; several changes of one descriptor become one call. */
	event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(conf, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	event_config_set_flag(conf, EVENT_BASE_FLAG_IGNORE_ENV);
	if ((l->base = event_base_new_with_config(conf)) == NULL)
		errx(1, "libevent: no event base");
	event_config_free(conf);
	event_assign(&l->log_due, l->base, -1, 0, on_log_due, l);
	TAILQ_INIT(&l->later);
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	event_del(&l->log_due);
	event_base_free(l->base);
	free(l);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

int64_t
loop_now_ms(struct loop *l)
{
	return loop_now_us(l) / 1000;
}

int64_t
loop_now_us(struct loop *l)
{
	if (l->now_us == 0)
		l->now_us = clock_mono_us();
	return l->now_us;
}

/* Jobs registered by jobs run in the same sweep: nothing waits for an event
 * that may never come. */
static void
run_later(struct loop *l)
{
	struct later *job;

	while ((job = TAILQ_FIRST(&l->later)) != NULL) {
		TAILQ_REMOVE(&l->later, job, next);
		job->is_queued = false;
		job->cb(job->arg);
	}
}

/* Lines that are held back are looked at again after the turn that ends in time
 * for them. */
static void
end_turn(struct loop *l)
{
	struct timeval tv = { 0, 0 };
	int wait_ms;

	run_later(l);
	wait_ms = log_turn();
	if (wait_ms == 0 || l->is_log_due)
		return;
	l->is_log_due = true;
	tv.tv_usec = wait_ms * 1000;
	event_add(&l->log_due, &tv);
}

static void
on_max(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void
loop_turn(struct loop *l, int max_ms)
{
	struct timeval tv = { max_ms / 1000, max_ms % 1000 * 1000 };
	struct event max;

	run_later(l);
	log_flush();
	if (max_ms > 0) {
		event_assign(&max, l->base, -1, 0, on_max, NULL);
		event_add(&max, &tv);
	}
	l->now_us = 0;
	event_base_loop(l->base,
	    EVLOOP_ONCE | (max_ms == 0 ? EVLOOP_NONBLOCK : 0));
	if (max_ms > 0)
		event_del(&max);
	run_later(l);
	log_flush();
}

int
loop_run(struct loop *l)
{
	l->is_stopped = false;
	end_turn(l);
	while (!l->is_stopped) {
		l->now_us = 0;
		if (event_base_loop(l->base, EVLOOP_ONCE) == -1)
			errx(1, "event loop failed");
		end_turn(l);
	}
	log_flush();
	return l->status;
}

void
loop_stop(struct loop *l, int status)
{
	l->is_stopped = true;
	l->status = status;
}

void
later_init(struct later *job, loop_cb *cb, void *arg)
{
	job->cb = cb;
	job->arg = arg;
	job->is_queued = false;
}

void
loop_later(struct loop *l, struct later *job)
{
	if (job->is_queued)
		return;
	later_hold(&l->later, job);
}

void
later_hold(struct later_list *list, struct later *job)
{
	job->is_queued = true;
	job->list = list;
	TAILQ_INSERT_TAIL(list, job, next);
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

/* ---- timers ---- */

static void
timer_arm(struct timer *t, int64_t now_ms)
{
	int64_t wait = t->due_ms > now_ms ? t->due_ms - now_ms : 0;
	struct timeval tv = { wait / 1000, wait % 1000 * 1000 };

	t->armed_ms = t->due_ms;
	event_add(&t->ev, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;
	int64_t now = loop_now_ms(t->loop);

	(void)fd;
	(void)what;
	t->armed_ms = 0;
	if (t->due_ms == 0)
		return;
	if (t->due_ms > now) {
		timer_arm(t, now);
		return;
	}
	t->due_ms = 0;
	t->cb(t->arg);
}

void
timer_init(struct timer *t, struct loop *l, loop_cb *cb, void *arg)
{
	event_assign(&t->ev, l->base, -1, 0, on_timer, t);
	t->loop = l;
	t->cb = cb;
	t->arg = arg;
	t->due_ms = t->armed_ms = 0;
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	int64_t now = loop_now_ms(t->loop);

	t->due_ms = now + (after_ms > 0 ? after_ms : 0);
	if (t->due_ms == 0)
		t->due_ms = 1;
	if (t->armed_ms == 0 || t->armed_ms > t->due_ms)
		timer_arm(t, now);
}

void
timer_stop(struct timer *t)
{
	t->due_ms = 0;
}

void
timer_clear(struct timer *t)
{
	t->due_ms = t->armed_ms = 0;
	event_del(&t->ev);
}
