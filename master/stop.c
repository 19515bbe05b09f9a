/*
 * stop.c - the end: doors end their sessions, relays what they have, within a
 * time or without one; and the end of a master whose place was taken.
 */
#include "master.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/event.h"

#define FLUSH_LIMIT_MS	2000
#define REFUSE_MS	1000	/* before connections are cut */

/* Doors are over: nothing more comes in. */
static void
stop_services(struct master *m, int64_t limit_ms)
{
	struct service *sv, *next;

	m->state = MASTER_STOPPING;
	if (limit_ms > 0)
		dispatch_refuse_waiting(m);
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		service_end(sv, limit_ms);
	}
}

static void
begin_stop(struct master *m)
{
	m->state = MASTER_CLOSING;
	systemd_status("STOPPING=1", "stopping");
	upgrade_settle(m);
	submit_stop_listening(m);
	master_need_tick(m);
	upgrade_cancel(m->upgrade);
	if (m->rollout != NULL) {
		control_printf(m->reload_asker,
		    "nexthop-master is stopping\n");
		reload_end(m, EX_TEMPFAIL);
	}
}

void
master_stop(struct master *m, int64_t limit_ms)
{
	struct door *d, *next;

	if (m->state == MASTER_STARTING) {
		master_give_up(m, EX_TEMPFAIL);
		return;
	}
	if (m->state == MASTER_RUNNING)
		begin_stop(m);
	m->is_replaced = false;		/* no longer just that */
	if (m->state == MASTER_CLOSING && !TAILQ_EMPTY(&m->doors)) {
		m->stop_at_ms = limit_ms == 0 ? 0 : loop_now_ms(m->loop) +
		    limit_ms;
		if (limit_ms > 0)
			dispatch_refuse_waiting(m);
		for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
			next = TAILQ_NEXT(d, next);
			door_end(d, limit_ms);
		}
	} else
		stop_services(m, limit_ms);
}

static void
on_drain_limit(void *arg)
{
	struct master *m = arg;

	log_warning("the time to drain is over");
	master_stop(m, 1);
}

void
master_drain(struct master *m, int64_t limit_ms)
{
	master_stop(m, 0);
	if (limit_ms > 0)
		timer_set(&m->drain_limit, limit_ms);
}

/* ---- another master took over ---- */

static void
on_replaced_limit(void *arg)
{
	struct master *m = arg;

	if (m->state != MASTER_CLOSING)
		return;
	if (!m->is_refusing && m->nsubmitters > 0) {
		log_warning("%u submitters did not leave in time",
		    m->nsubmitters);
		m->is_refusing = true;
		timer_set(&m->replaced_limit, REFUSE_MS);
		return;
	}
	master_stop(m, m->config->master->stop_timeout_ms + 1);
}

/* "Connect anew for what is to come": those who are there. */
static void
drain_submitters(struct master *m)
{
	struct submitter *s;
	struct buf *out;
	size_t start;

	TAILQ_FOREACH(s, &m->submitters, next) {
		if (s->door != NULL || s->channel == NULL)
			continue;
		out = channel_out(s->channel);
		start = buf_len(out);
		if (frame_put_bare(out, FRAME_DRAIN, 0) == 0)
			channel_queued(s->channel, start, -1);
	}
}

void
master_hand_over(struct master *m)
{
	int64_t limit_ms = m->config->master->stop_timeout_ms + 1;
	struct door *d, *next;

	m->state = MASTER_CLOSING;
	m->is_replaced = true;
	m->sockets.is_handed_over = true;
	unsetenv("NOTIFY_SOCKET");	/* systemd listens to the new one */
	if (m->pid_file != NULL)
		daemon_pid_file_end(m->pid_file);
	free(m->pid_file);
	m->pid_file = NULL;
	submit_stop_listening(m);
	control_stop_listening(m);
	drain_submitters(m);
	for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
		next = TAILQ_NEXT(d, next);
		door_end(d, limit_ms);
	}
	m->stop_at_ms = 0;
	timer_set(&m->replaced_limit, limit_ms);
	master_need_tick(m);
	master_check_stopped(m);
}

/* CLOSING: whether anything may still come in. */
static bool
is_closed(const struct master *m)
{
	return TAILQ_EMPTY(&m->doors) &&
	    (!m->is_replaced || TAILQ_EMPTY(&m->submitters));
}

void
master_tell_stopping(const char *how)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_STOPPING, NULL))
		return;
	event_text(&e, "how", how);
	event_end(&e);
}

void
master_stop_now(struct master *m)
{
	master_tell_stopping("at once");
	master_stop(m, 1);
	reaper_kill_all(m->reaper, SIGKILL);
}

static void
finish(struct master *m)
{
	struct event_line e;

	if (m->is_finished)
		return;
	m->is_finished = true;
	timer_stop(&m->flush_limit);
	if (m->pid_file != NULL)
		daemon_pid_file_end(m->pid_file);
	if (event_begin(&e, EVENT_STOPPED, NULL))
		event_end(&e);
	loop_stop(m->loop, 0);
}

static void
on_flush_limit(void *arg)
{
	finish(arg);
}

void
master_check_stopped(struct master *m)
{
	struct submitter *s;

	int64_t left_ms = 0;

	if (m->state == MASTER_CLOSING && is_closed(m)) {
		if (m->stop_at_ms != 0 && (left_ms = m->stop_at_ms -
		    loop_now_ms(m->loop)) < 1)
			left_ms = 1;
		stop_services(m, left_ms);
	}
	if (m->state != MASTER_STOPPING || !TAILQ_EMPTY(&m->services) ||
	    !TAILQ_EMPTY(&m->doors) || m->upgrade != NULL)
		return;
	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->channel != NULL && channel_pending(s->channel) > 0) {
			if (m->flush_limit.due_ms == 0)
				timer_set(&m->flush_limit, FLUSH_LIMIT_MS);
			return;
		}
	finish(m);
}

void
stop_init(struct master *m)
{
	timer_init(&m->flush_limit, m->loop, on_flush_limit, m);
	timer_init(&m->drain_limit, m->loop, on_drain_limit, m);
	timer_init(&m->replaced_limit, m->loop, on_replaced_limit, m);
}

void
stop_clear(struct master *m)
{
	timer_clear(&m->flush_limit);
	timer_clear(&m->drain_limit);
	timer_clear(&m->replaced_limit);
}
