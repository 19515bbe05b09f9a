/*
 * overdue.c - agents that do not answer.  Those of type custom are the
 * operator's own code, so that the master sees to it that their deliveries
 * end: at `timeout`, or at the deadline of the delivery, comes CANCEL, and
 * OVERDUE_GRACE_MS later the master answers.
 *
 * An agent that owes an answer gets no new deliveries.  It is killed as soon
 * as nothing else is open at it, so that no other delivery is harmed.
 */
#include "job.h"

#include "base/mem.h"

#define OVERDUE_GRACE_MS	5000

void
overdue_watch(struct job *j)
{
	int64_t limit_ms = j->child->gen->conf->rows->timeout_ms;

	if (limit_ms == 0)
		return;
	j->due_ms = loop_now_ms(j->service->master->loop) + limit_ms;
	if (j->deadline_ms != 0 && j->deadline_ms < j->due_ms)
		j->due_ms = j->deadline_ms;
	j->is_watched = true;
	TAILQ_INSERT_TAIL(&j->service->watched, j, watch);
}

void
overdue_kill(struct child *c)
{
	child_break(c, "no answer in time");
}

static void
give_up(struct job *j)
{
	struct arena *arena = arena_new(4096);
	struct child *c = j->child;
	struct reply plain, doubt;

	job_blame(j, c, "no answer in time");
	reply_cause(&plain, arena, STAGE_NONE, CAUSE_OVERDUE);
	reply_cause(&doubt, arena, STAGE_DOT, CAUSE_OVERDUE_AFTER_DOT);
	job_leave(j, true);
	job_fail(j, &plain, &doubt);
	arena_free(arena);
	if (c->owed == c->open)
		overdue_kill(c);
}

void
overdue_tick(struct service *sv)
{
	int64_t now = loop_now_ms(sv->master->loop);
	struct job *j, *next;

	for (j = TAILQ_FIRST(&sv->watched); j != NULL; j = next) {
		next = TAILQ_NEXT(j, watch);
		if (j->due_ms > now)
			continue;
		if (j->is_told)
			give_up(j);
		else {
			job_cancel(j);
			j->is_told = true;
			j->due_ms = now + OVERDUE_GRACE_MS;
		}
	}
}
