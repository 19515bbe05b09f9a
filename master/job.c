/*
 * job.c - one delivery: its memory, its answers, its end.  The promise kept
 * here: every recipient of an accepted DELIVER is answered exactly once, and
 * DONE follows the last answer.
 */
#include "job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"

static unsigned
bucket(uint64_t id)
{
	return (unsigned)((id * 0x9e3779b97f4a7c15ULL) >> 32) %
	    SUBMIT_BUCKETS;
}

struct job *
job_find(struct submitter *s, uint64_t id)
{
	struct job *j;

	LIST_FOREACH(j, &s->jobs[bucket(id)], by_id)
		if (j->id == id)
			return j;
	return NULL;
}

struct job *
job_new(struct service *sv, const struct frame *f,
    const struct deliver_facts *facts)
{
	struct job *j = xmalloc(sizeof(*j) + facts->nrcpt + facts->names_len);

	memset(j, 0, sizeof(*j) + facts->nrcpt);
	names_init(&j->names, f, facts, (char *)j->rcpts + facts->nrcpt);
	j->names_len = facts->names_len;
	j->size = facts->body_len;
	LIST_INIT(&j->legs);
	j->service = sv;
	j->fd = -1;
	j->since_ms = loop_now_ms(sv->master->loop);
	j->since_us = loop_now_us(sv->master->loop);
	j->nrcpt = j->open = facts->nrcpt;
	sv->master->njobs++;
	sv->njobs++;
	return j;
}

uint32_t
job_age_ms(const struct job *j)
{
	return (uint32_t)(loop_now_ms(j->service->master->loop) -
	    j->since_ms);
}

void
job_attach(struct job *j, struct submitter *s, uint64_t id)
{
	j->root = j;
	j->from = s;
	j->id = id;
	j->waiting = j->nrcpt;
	LIST_INSERT_HEAD(&s->jobs[bucket(id)], j, by_id);
	s->nopen++;
	s->nrcpt_open += j->nrcpt;
}

void
job_detach(struct job *j)
{
	struct submitter *s = j->from;

	LIST_REMOVE(j, by_id);
	j->from = NULL;
	s->nopen--;
	s->nrcpt_open -= j->nrcpt;
	if (s->is_paused)
		submitter_update(s);
}

void
job_keep(struct job *j, const void *bytes, uint32_t len)
{
	j->bytes = xmalloc(len);
	memcpy(j->bytes, bytes, len);
	j->len = len;
	j->service->master->queued_bytes += len;
}

void
job_drop_bytes(struct job *j)
{
	if (j->bytes != NULL)
		j->service->master->queued_bytes -= j->len;
	free(j->bytes);
	j->bytes = NULL;
	if (j->fd != -1)
		close(j->fd);
	j->fd = -1;
}

void
job_unqueue(struct job *j)
{
	struct service *sv = j->crowding;

	if (j->place == QUEUED) {
		TAILQ_REMOVE(&j->service->queue, j, queue);
		j->service->nqueued--;
	} else if (j->place == HELD) {
		TAILQ_REMOVE(&j->from->held, j, queue);
		j->service->nheld--;
	}
	j->place = NOWHERE;
	if (sv != NULL) {
		j->crowding = NULL;
		if (--sv->ncrowding == 0)
			loop_later(sv->master->loop, &sv->pump_later);
	}
}

void
job_leave(struct job *j, bool is_owed)
{
	struct child *c = j->child;
	uint32_t slot = (uint32_t)j->child_id;

	c->slots[slot].job = NULL;
	if (is_owed)
		c->owed++;
	else {
		c->slots[slot].next_free = c->free_slot;
		c->free_slot = slot;
		c->open--;
	}
	j->service->names_bytes -= j->names_len;
	if (c->may_forward)
		j->service->master->nforwarding--;
	if (j->is_watched)
		TAILQ_REMOVE(&j->service->watched, j, watch);
	j->is_watched = false;
	j->child = NULL;
	j->place = NOWHERE;
}

/* Its legs run on for nobody. */
static void
free_job(struct job *j)
{
	struct service *sv = j->service;
	struct job *leg;

	while ((leg = LIST_FIRST(&j->legs)) != NULL) {
		LIST_REMOVE(leg, leg);
		leg->root = NULL;
	}
	if (j->root != NULL && j->root != j)
		LIST_REMOVE(j, leg);
	job_drop_bytes(j);
	free(j->map);
	free(j);
	sv->master->njobs--;
	sv->njobs--;
	if (sv->is_ending)
		service_check_end(sv);
}

/* ---- answers to the submitter ---- */

void
job_check_output(struct submitter *s, int result)
{
	if (result == -1)
		submitter_drop(s, "takes no answers: output is full");
	else if (channel_pending(s->channel) > SUBMIT_OUT_SLOW &&
	    !s->is_paused)
		submitter_update(s);
}

/* Its agent has settled recipient i; the root whose submitter wants to know,
 * or NULL, and which recipient it is there. */
static struct job *
settle(struct job *j, uint32_t i, const struct reply *r, uint32_t *index_r)
{
	struct job *root = j->root;

	j->rcpts[i] |= IS_ANSWERED;
	j->open--;
	service_answered(j->service, r, j->since_us);
	*index_r = j->map == NULL ? i : j->map[i];
	if (root == NULL)
		return NULL;
	root->waiting--;
	return root->from == NULL || root->from->channel == NULL ? NULL : root;
}

void
job_answer(struct job *j, uint32_t i, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	struct submitter *s;
	struct job *root;
	struct buf *out;
	uint32_t index;
	size_t start;
	int result;

	a.total_ms = job_age_ms(j);
	job_log(&j->names, i, j->service->name, j->size, &a);
	if ((root = settle(j, i, r, &index)) == NULL)
		return;
	s = root->from;
	out = channel_out(s->channel);
	start = buf_len(out);
	result = frame_put_result(out, root->id, index, &a);
	if (result == 0)
		channel_queued(s->channel, start, -1);
	job_check_output(s, result);
}

/* The bytes pass as they came but for the id, and for the index of a leg. */
void
job_pass_result(struct job *j, uint32_t i, const struct reply *r,
    const struct frame *f, const void *bytes)
{
	struct submitter *s;
	struct job *root;
	struct buf *out;
	uint32_t index;
	size_t start;

	if ((root = settle(j, i, r, &index)) == NULL)
		return;
	s = root->from;
	out = channel_out(s->channel);
	start = buf_len(out);
	if (buf_add(out, bytes, f->len) == -1) {
		job_check_output(s, -1);
		return;
	}
	frame_set_id(buf_data(out) + start, root->id);
	if (j->map != NULL)
		frame_set_index(buf_data(out) + start, index);
	channel_queued(s->channel, start, -1);
	job_check_output(s, 0);
}

/* ---- the end ---- */

static void
say_done(struct job *root)
{
	struct submitter *s = root->from;
	struct buf *out;
	size_t start;
	int result;

	if (s->channel == NULL)
		return;
	out = channel_out(s->channel);
	start = buf_len(out);
	result = frame_put_bare(out, FRAME_DONE, root->id);
	if (result == 0)
		channel_queued(s->channel, start, -1);
	job_check_output(s, result);
}

/* Nobody answers for it any more, or nobody asks. */
static void
check_root(struct job *root)
{
	if (!root->is_over || root->is_walked ||
	    (root->waiting > 0 && root->from != NULL))
		return;
	if (root->from != NULL) {
		say_done(root);
		job_detach(root);
	}
	free_job(root);
}

void
job_over(struct job *j)
{
	struct job *root = j->root;

	if (root != j)
		free_job(j);
	else {
		j->is_over = true;
		job_drop_bytes(j);
	}
	if (root != NULL)
		check_root(root);
}

void
job_fail(struct job *j, const struct reply *plain, const struct reply *doubt)
{
	uint32_t i;

	for (i = 0; i < j->nrcpt; i++)
		if ((j->rcpts[i] & IS_SETTLED) == 0)
			job_answer(j, i, (j->rcpts[i] & IS_IN_DOUBT) != 0 ?
			    doubt : plain);
	job_over(j);
}

/* ---- to and about the child ---- */

void
job_cancel(struct job *j)
{
	struct buf *out;
	size_t start;

	if (j->child->channel == NULL)
		return;
	out = channel_out(j->child->channel);
	start = buf_len(out);
	if (frame_put_bare(out, FRAME_CANCEL, j->child_id) == 0)
		channel_queued(j->child->channel, start, -1);
}

/* One that waits. */
static void
give_up(struct job *j)
{
	job_unqueue(j);
	job_refuse(j, CAUSE_CANCELLED);
}

void
job_give_up(struct job *root)
{
	struct job *leg, *next;

	root->is_cancelled = true;
	root->is_walked = true;		/* stays, and so do the links */
	for (leg = LIST_FIRST(&root->legs); leg != NULL; leg = next) {
		next = LIST_NEXT(leg, leg);
		if (leg->place == RUNNING)
			job_cancel(leg);
		else
			give_up(leg);
	}
	root->is_walked = false;
	if (root->place == RUNNING)
		job_cancel(root);
	else if (root->is_over)
		check_root(root);
	else
		give_up(root);
}

void
job_blame(struct job *j, const struct child *c, const char *what)
{
	struct event_line e;

	if (j->is_blamed)
		return;
	j->is_blamed = true;
	if (!event_begin(&e, EVENT_AGENT_RULES, NULL))
		return;
	event_text(&e, "relay", j->service->name);
	event_text(&e, "agent", c->gen->conf->program);
	event_message(&e, "%s: %s", c->gen->conf->program, what);
	event_end(&e);
}
