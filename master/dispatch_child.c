/*
 * dispatch_child.c - the way back of deliveries: what a child says about those
 * that it has, and what becomes of them when it is gone.
 */
#include "job.h"

#include "base/mem.h"

/* The job a child's frame is about; NULL where there is none to tell. */
static struct job *
job_of(struct child *c, const struct frame *f)
{
	uint32_t slot = (uint32_t)f->id, sequence = (uint32_t)(f->id >> 32);
	struct job *j;

	if (slot < c->nslots && (j = c->slots[slot].job) != NULL &&
	    j->child_id == f->id)
		return j;
	/* One that is over: the agent said DONE before. */
	if (slot < c->nslots && sequence != 0 &&
	    (int32_t)(c->sequence - sequence) >= 0)
		log_warning("relay %s: agent %s: %s for a delivery that is "
		    "over", child_service(c)->name, c->gen->conf->program,
		    frame_type_name(f->type));
	else
		child_break(c, "%s for an unknown delivery",
		    frame_type_name(f->type));
	return NULL;
}

static void
take_result(struct child *c, struct job *j, const struct frame *f,
    const void *bytes)
{
	const char *error;
	struct answer a;
	uint32_t i;

	if (frame_get_result(f, NULL, &i, &a, &error) == -1)
		child_break(c, "%s", error);
	else if (i >= j->nrcpt)
		job_blame(j, c, "RESULT for a recipient that is not there");
	else if ((j->rcpts[i] & IS_ANSWERED) != 0)
		job_blame(j, c, "second RESULT for a recipient");
	else if ((j->rcpts[i] & IS_FORWARDED) != 0)
		job_blame(j, c, "RESULT for a recipient that it forwarded");
	else {
		c->has_delivered = true;
		if (!c->takes_log)
			job_log_result(j, i, f);
		job_pass_result(j, i, &a.reply, f, bytes);
	}
}

/* The agent says that it is done with recipients it never answered. */
static void
answer_missing(struct job *j)
{
	struct arena *arena = arena_new(4096);
	struct reply plain, doubt;

	reply_cause(&plain, arena, STAGE_NONE, CAUSE_NO_ANSWER);
	reply_cause(&doubt, arena, STAGE_DOT, CAUSE_AGENT_BROKEN_AFTER_DOT,
	    "no answer for this recipient");
	job_fail(j, &plain, &doubt);
	arena_free(arena);
}

static void
take_done(struct child *c, struct job *j, const struct frame *f)
{
	struct service *sv = j->service;

	job_leave(j, false);
	if (f->attrs_len > 0)
		child_break(c, "DONE with attributes");
	if (j->open > 0) {
		job_blame(j, c, "DONE with recipients unanswered");
		answer_missing(j);
	} else
		job_over(j);
	if (c->owed > 0 && c->owed == c->open)
		overdue_kill(c);
	if (sv->nqueued > 0 || !TAILQ_EMPTY(&sv->blocked))
		dispatch_pump(sv);
}

static void
set_stage(struct job *j, const struct attr *set)
{
	uint32_t i, n;
	size_t at;

	if (set->data == NULL) {
		for (i = 0; i < j->nrcpt; i++)
			j->rcpts[i] |= IS_IN_DOUBT;
		return;
	}
	for (at = 0; at + 4 <= set->len; at += 4)
		if ((n = get_be32(set->data + at)) < j->nrcpt)
			j->rcpts[n] |= IS_IN_DOUBT;
}

static void
take_stage(struct child *c, struct job *j, const struct frame *f)
{
	struct attr a, set = { 0, 0, NULL };
	uint8_t stage = UINT8_MAX;
	size_t at = 0;
	int n;

	while ((n = frame_next(f, &at, &a)) == 1) {
		if (a.tag == ATTR_STAGE)
			n = attr_u8(&a, &stage);
		else if (a.tag == ATTR_RCPT_SET)
			set = a;
		else if ((a.tag & ATTR_SKIPPABLE) == 0)
			n = -1;
		if (n == -1)
			break;
	}
	if (n != 0 || stage > STAGE_RUN || set.len % 4 != 0)
		child_break(c, "malformed STAGE");
	else if (stage >= STAGE_DOT)
		set_stage(j, &set);
}

void
dispatch_child_frame(struct child *c, const struct frame *f,
    const void *bytes)
{
	struct job *j = job_of(c, f);

	if (j == NULL)
		return;
	switch (f->type) {
	case FRAME_RESULT:
		take_result(c, j, f, bytes);
		break;
	case FRAME_DONE:
		take_done(c, j, f);
		break;
	case FRAME_STAGE:
		take_stage(c, j, f);
		break;
	case FRAME_FORWARD:
		forward_take(c, j, f);
		break;
	default:
		break;
	}
}

void
dispatch_child_gone(struct child *c, const char *text)
{
	struct reply plain, doubt;
	struct arena *arena;
	struct job *j;
	uint32_t i;

	if (c->open == 0)
		return;
	arena = arena_new(8192);
	reply_cause(&plain, arena, STAGE_NONE, c->is_broken ?
	    CAUSE_AGENT_BROKEN : CAUSE_AGENT_DIED, text);
	reply_cause(&doubt, arena, STAGE_DOT, c->is_broken ?
	    CAUSE_AGENT_BROKEN_AFTER_DOT : CAUSE_AGENT_DIED_AFTER_DOT, text);
	for (i = 0; i < c->nslots; i++)
		if ((j = c->slots[i].job) != NULL) {
			job_leave(j, false);
			job_fail(j, &plain, &doubt);
		}
	arena_free(arena);
}
