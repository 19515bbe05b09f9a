/*
 * dispatch.c - deliveries: from a submitter to the relay's queue or straight
 * to a child, answers back.  The promise kept here: every recipient of an
 * accepted DELIVER is answered exactly once, whatever agents do, and DONE
 * follows the last answer.
 *
 * Bytes pass as they came, only the id differs: towards a child the low half
 * is a slot number and the high half a sequence, so that looking one up costs
 * nothing and an old one is told from one that never was.
 */
#include "master.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum place { NOWHERE, HELD, QUEUED, RUNNING };
enum { IS_ANSWERED = 0x01, IS_IN_DOUBT = 0x02 };

struct job {
	TAILQ_ENTRY(job) queue;		/* HELD, QUEUED */
	LIST_ENTRY(job)	 by_id;		/* while from != NULL */
	struct submitter *from;		/* NULL: nobody wants the answers */
	struct service	*service;
	struct child	*child;		/* RUNNING */
	uint64_t	 id;		/* the submitter's */
	uint64_t	 child_id;
	void		*bytes;		/* HELD, QUEUED: the frame, owned */
	uint32_t	 len;
	int		 fd;		/* that belongs to it, or -1 */
	int64_t		 since_ms;
	int64_t		 deadline_ms;	/* 0 = none */
	uint32_t	 nrcpt, open;
	uint8_t		 place;
	bool		 is_blamed;	/* one lie was logged */
	uint8_t		 rcpts[];	/* IS_ANSWERED, IS_IN_DOUBT */
};

/* ---- jobs ---- */

static unsigned
bucket(uint64_t id)
{
	return (unsigned)((id * 0x9e3779b97f4a7c15ULL) >> 32) %
	    SUBMIT_BUCKETS;
}

static struct job *
job_find(struct submitter *s, uint64_t id)
{
	struct job *j;

	LIST_FOREACH(j, &s->jobs[bucket(id)], by_id)
		if (j->id == id)
			return j;
	return NULL;
}

static struct job *
job_new(struct submitter *s, struct service *sv, const struct frame *f,
    const struct deliver_facts *facts, int fd)
{
	struct job *j = xmalloc(sizeof(*j) + facts->nrcpt);

	memset(j, 0, sizeof(*j));
	memset(j->rcpts, 0, facts->nrcpt);
	j->from = s;
	j->service = sv;
	j->id = f->id;
	j->fd = fd;
	j->since_ms = loop_now_ms(s->master->loop);
	if (facts->deadline_s != 0)
		j->deadline_ms = j->since_ms +
		    (int64_t)facts->deadline_s * 1000;
	j->nrcpt = j->open = facts->nrcpt;
	LIST_INSERT_HEAD(&s->jobs[bucket(j->id)], j, by_id);
	s->nopen++;
	s->nrcpt_open += j->nrcpt;
	s->master->njobs++;
	sv->njobs++;
	return j;
}

/* Keep the frame: it has to wait. */
static void
job_keep(struct job *j, const void *bytes, uint32_t len)
{
	j->bytes = xmalloc(len);
	memcpy(j->bytes, bytes, len);
	j->len = len;
	j->service->master->queued_bytes += len;
}

static void
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

/* Out of the queue it waits in. */
static void
job_unqueue(struct job *j)
{
	if (j->place == QUEUED) {
		TAILQ_REMOVE(&j->service->queue, j, queue);
		j->service->nqueued--;
	} else if (j->place == HELD) {
		TAILQ_REMOVE(&j->from->held, j, queue);
		j->service->nheld--;
	}
	j->place = NOWHERE;
}

/* The submitter has nothing to do with it any more. */
static void
job_detach(struct job *j, struct submitter *s)
{
	LIST_REMOVE(j, by_id);
	j->from = NULL;
	s->nopen--;
	s->nrcpt_open -= j->nrcpt;
	if (s->is_paused)
		submitter_update(s);
}

static void
job_free(struct job *j)
{
	struct service *sv = j->service;

	job_drop_bytes(j);
	free(j);
	sv->master->njobs--;
	sv->njobs--;
	if (sv->is_ending)
		service_check_end(sv);
}

/* ---- answers to the submitter ---- */

/* Its output passed all bounds: it does not read. */
static void
check_output(struct submitter *s, int result)
{
	if (result == -1)
		submitter_drop(s, "takes no answers: output is full");
	else if (channel_pending(s->channel) > SUBMIT_OUT_SLOW &&
	    !s->is_paused)
		submitter_update(s);
}

/* Forward a child's frame under the submitter's id. */
static void
forward(struct job *j, const struct frame *f, const void *bytes)
{
	struct submitter *s = j->from;
	struct buf *out;
	size_t start;

	if (s == NULL || s->channel == NULL)
		return;
	out = channel_out(s->channel);
	start = buf_len(out);
	if (buf_add(out, bytes, f->len) == -1) {
		check_output(s, -1);
		return;
	}
	frame_set_id(buf_data(out) + start, j->id);
	channel_queued(s->channel, start, -1);
	check_output(s, 0);
}

/* Our own answer for one recipient. */
static void
answer_one(struct job *j, uint32_t i, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	struct submitter *s = j->from;
	struct buf *out;
	size_t start;
	int result;

	j->rcpts[i] |= IS_ANSWERED;
	j->open--;
	j->service->answers[r->cls]++;
	if (s == NULL || s->channel == NULL)
		return;
	out = channel_out(s->channel);
	start = buf_len(out);
	result = frame_put_result(out, j->id, i, &a);
	if (result == 0)
		channel_queued(s->channel, start, -1);
	check_output(s, result);
}

/* All recipients are answered. */
static void
job_done(struct job *j)
{
	struct submitter *s = j->from;
	struct buf *out;
	size_t start;
	int result;

	if (s != NULL && s->channel != NULL) {
		out = channel_out(s->channel);
		start = buf_len(out);
		result = frame_put_bare(out, FRAME_DONE, j->id);
		if (result == 0)
			channel_queued(s->channel, start, -1);
		check_output(s, result);
	}
	if (s != NULL)
		job_detach(j, s);
	job_free(j);
}

/* The rest is answered by us: `doubt` where end-of-data may have been sent. */
static void
job_fail(struct job *j, const struct reply *plain, const struct reply *doubt)
{
	uint32_t i;

	for (i = 0; i < j->nrcpt; i++)
		if ((j->rcpts[i] & IS_ANSWERED) == 0)
			answer_one(j, i, (j->rcpts[i] & IS_IN_DOUBT) != 0 ?
			    doubt : plain);
	job_done(j);
}

/* Fails a job that no child has. */
#define job_refuse(j, ...)	do {					\
	struct arena *arena_ = arena_new(4096);				\
	struct reply reply_;						\
	reply_cause(&reply_, arena_, STAGE_NONE, __VA_ARGS__);		\
	job_fail((j), &reply_, &reply_);				\
	arena_free(arena_);						\
} while (0)

/* ---- to the child ---- */

static uint32_t
take_slot(struct child *c)
{
	uint32_t slot = c->free_slot;

	if (slot != SLOT_NONE) {
		c->free_slot = c->slots[slot].next_free;
		return slot;
	}
	if (c->nslots == c->slots_size) {
		c->slots_size = c->slots_size == 0 ? 16 : 2 * c->slots_size;
		c->slots = xreallocarray(c->slots, c->slots_size,
		    sizeof(*c->slots));
	}
	return c->nslots++;
}

static void
give_slot(struct job *j)
{
	struct child *c = j->child;
	uint32_t slot = (uint32_t)j->child_id;

	c->slots[slot].job = NULL;
	c->slots[slot].next_free = c->free_slot;
	c->free_slot = slot;
	c->open--;
	j->child = NULL;
}

/* A deadline counts from receipt: take off what was spent here. */
static void
shorten_deadline(struct job *j, uint8_t *bytes, uint32_t len)
{
	int64_t waited_s = (loop_now_ms(j->service->master->loop) -
	    j->since_ms) / 1000;
	const char *error;
	struct frame f;
	struct attr a;
	size_t at = 0;
	uint32_t left;

	if (j->deadline_ms == 0 || waited_s < 1 ||
	    frame_parse(bytes, len, &f, &error) != 1)
		return;
	while (frame_next(&f, &at, &a) == 1)
		if (a.tag == ATTR_DEADLINE) {
			left = get_be32(a.data);
			left = left > waited_s ? left - (uint32_t)waited_s : 1;
			put_be32(bytes + (a.data - bytes), left);
		}
}

static void
job_run(struct job *j, struct child *c, const void *bytes, uint32_t len)
{
	struct buf *out = channel_out(c->channel);
	size_t start = buf_len(out);
	uint32_t slot;

	if (buf_add(out, bytes, len) == -1) {
		/* CHILD_OUT_SLOW leaves room for any frame. */
		job_refuse(j, CAUSE_QUEUE_TIME, j->service->name);
		return;
	}
	slot = take_slot(c);
	j->child_id = (uint64_t)++c->sequence << 32 | slot;
	frame_set_id(buf_data(out) + start, j->child_id);
	shorten_deadline(j, (uint8_t *)buf_data(out) + start, len);
	channel_queued(c->channel, start, j->fd);
	j->fd = -1;
	j->child = c;
	j->place = RUNNING;
	c->slots[slot].job = j;
	c->open++;
	job_drop_bytes(j);
}

static bool
has_room(const struct service *sv)
{
	return sv->nqueued < (sv->current == NULL ? 0 :
	    (uint64_t)sv->current->conf->rows->backlog) &&
	    sv->master->queued_bytes < QUEUED_BYTES_MAX;
}

/*
 * Give a job to a child, or queue it; false if there is no room for it.  bytes
 * are the frame unless the job keeps it already.
 */
static bool
job_offer(struct job *j, const void *bytes, uint32_t len)
{
	struct service *sv = j->service;
	struct child *c;

	if (sv->nqueued == 0 && (c = service_pick(sv)) != NULL) {
		job_unqueue(j);
		job_run(j, c, bytes, len);
		return true;
	}
	if (!has_room(sv))
		return false;
	job_unqueue(j);
	if (bytes != NULL && bytes != j->bytes)
		job_keep(j, bytes, len);
	j->place = QUEUED;
	TAILQ_INSERT_TAIL(&sv->queue, j, queue);
	sv->nqueued++;
	return true;
}

static void
block_on(struct submitter *s, struct service *sv)
{
	if (s->blocked_on == sv)
		return;
	if (s->blocked_on != NULL)
		TAILQ_REMOVE(&s->blocked_on->blocked, s, next_blocked);
	s->blocked_on = sv;
	if (sv != NULL)
		TAILQ_INSERT_TAIL(&sv->blocked, s, next_blocked);
}

static void
job_hold(struct job *j, const void *bytes, uint32_t len)
{
	job_keep(j, bytes, len);
	j->place = HELD;
	TAILQ_INSERT_TAIL(&j->from->held, j, queue);
	j->service->nheld++;
	if (j->from->blocked_on == NULL)
		block_on(j->from, j->service);
	submitter_update(j->from);
}

/* What a submitter has waiting goes on as far as there is room. */
void
dispatch_retry(struct submitter *s)
{
	struct job *j, *next;

	for (j = TAILQ_FIRST(&s->held); j != NULL; j = next) {
		next = TAILQ_NEXT(j, queue);
		if (!job_offer(j, j->bytes, j->len))
			break;
	}
	block_on(s, j == NULL ? NULL : j->service);
	submitter_update(s);
}

void
dispatch_pump(struct service *sv)
{
	int64_t now = loop_now_ms(sv->master->loop);
	struct submitter *s, *last = NULL;
	struct job *j, *next;
	struct child *c;

	for (j = TAILQ_FIRST(&sv->queue); j != NULL &&
	    (c = service_pick(sv)) != NULL; j = next) {
		next = TAILQ_NEXT(j, queue);
		job_unqueue(j);
		if (j->deadline_ms != 0 && j->deadline_ms <= now)
			job_refuse(j, CAUSE_DEADLINE);
		else
			job_run(j, c, j->bytes, j->len);
	}
	while ((s = TAILQ_FIRST(&sv->blocked)) != NULL && s != last &&
	    (has_room(sv) || (sv->nqueued == 0 && service_pick(sv) != NULL))) {
		dispatch_retry(s);
		last = s;
	}
	if (sv->is_ending)
		service_check_end(sv);
}

/* ---- from the submitter ---- */

static struct service *
find_service(struct submitter *s, const struct deliver_facts *facts)
{
	struct master *m = s->master;
	struct service *sv = s->last;

	if (facts->relay_len == 0) {
		/* None named: it is clear where there is only one. */
		sv = TAILQ_FIRST(&m->services);
		return sv != NULL && TAILQ_NEXT(sv, next) == NULL ? sv : NULL;
	}
	if (sv == NULL || sv->is_ending || sv->name_len != facts->relay_len ||
	    memcmp(sv->name, facts->relay, sv->name_len) != 0)
		sv = master_service(m, facts->relay, facts->relay_len);
	s->last = sv;
	return sv;
}

/* An answer for every recipient of a frame that does not become a job. */
static void
refuse_frame(struct submitter *s, const struct frame *f,
    const struct deliver_facts *facts, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	struct buf *out = channel_out(s->channel);
	uint32_t i;
	size_t start;

	for (i = 0; i <= facts->nrcpt; i++) {
		start = buf_len(out);
		if ((i < facts->nrcpt ? frame_put_result(out, f->id, i, &a) :
		    frame_put_bare(out, FRAME_DONE, f->id)) == -1) {
			check_output(s, -1);
			return;
		}
		channel_queued(s->channel, start, -1);
	}
	check_output(s, 0);
}

static void
refuse_relay(struct submitter *s, const struct frame *f,
    const struct deliver_facts *facts)
{
	bool is_stopping = s->master->state == MASTER_STOPPING;
	struct arena *arena = arena_new(4096);
	struct reply r;

	if (is_stopping)
		reply_cause(&r, arena, STAGE_NONE, CAUSE_MASTER_STOPPING);
	else
		reply_cause(&r, arena, STAGE_NONE, CAUSE_NO_RELAY,
		    facts->relay_len == 0 ? "(none given)" :
		    arena_strndup(arena, facts->relay, facts->relay_len));
	refuse_frame(s, f, facts, &r);
	arena_free(arena);
}

void
dispatch_deliver(struct submitter *s, const struct frame *f,
    const void *bytes, int fd)
{
	struct deliver_facts facts;
	const char *error = NULL;
	struct service *sv;
	struct job *j;

	if (frame_deliver_facts(f, &facts, &error) == -1)
		;
	else if (s->nopen >= SUBMIT_WINDOW)
		error = "more deliveries open than the window";
	else if (job_find(s, f->id) != NULL)
		error = "a delivery of this id is open";
	if (error != NULL) {
		if (fd != -1)
			close(fd);
		submitter_drop(s, error);
		return;
	}
	sv = find_service(s, &facts);
	if (s->master->state == MASTER_STOPPING || sv == NULL ||
	    sv->is_ending) {
		if (fd != -1)
			close(fd);
		refuse_relay(s, f, &facts);
		return;
	}
	master_need_tick(s->master);
	j = job_new(s, sv, f, &facts, fd);
	if (!TAILQ_EMPTY(&s->held) || !job_offer(j, bytes, f->len))
		job_hold(j, bytes, f->len);
	else if (s->nrcpt_open >= SUBMIT_RCPTS_MAX)
		submitter_update(s);
}

static void
cancel_running(struct job *j)
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

void
dispatch_cancel(struct submitter *s, uint64_t id)
{
	struct job *j = job_find(s, id);

	if (j == NULL)
		return;		/* its DONE is on the way */
	if (j->place == RUNNING) {
		cancel_running(j);
		return;
	}
	job_unqueue(j);
	job_refuse(j, CAUSE_CANCELLED);
	dispatch_retry(s);
}

void
dispatch_abandon(struct submitter *s)
{
	struct service *was = s->blocked_on;
	struct job *j, *next;
	unsigned i;

	block_on(s, NULL);
	for (i = 0; i < SUBMIT_BUCKETS; i++)
		for (j = LIST_FIRST(&s->jobs[i]); j != NULL; j = next) {
			next = LIST_NEXT(j, by_id);
			if (j->place == RUNNING) {
				cancel_running(j);
				job_detach(j, s);
			} else {
				job_unqueue(j);
				job_detach(j, s);
				job_free(j);
			}
		}
	if (was != NULL)
		dispatch_pump(was);
}

/* ---- from the child ---- */

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

/* A lie about recipients harms that delivery and is logged once. */
static void
blame(struct job *j, const struct child *c, const char *what)
{
	if (j->is_blamed)
		return;
	j->is_blamed = true;
	log_warning("relay %s: agent %s: %s", j->service->name,
	    c->gen->conf->program, what);
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
		blame(j, c, "RESULT for a recipient that is not there");
	else if ((j->rcpts[i] & IS_ANSWERED) != 0)
		blame(j, c, "second RESULT for a recipient");
	else {
		j->rcpts[i] |= IS_ANSWERED;
		j->open--;
		j->service->answers[a.reply.cls]++;
		c->has_delivered = true;
		forward(j, f, bytes);
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
take_done(struct child *c, struct job *j, const struct frame *f,
    const void *bytes)
{
	struct service *sv = j->service;

	give_slot(j);
	if (f->attrs_len > 0)
		child_break(c, "DONE with attributes");
	if (j->open > 0) {
		blame(j, c, "DONE with recipients unanswered");
		answer_missing(j);
	} else {
		forward(j, f, bytes);
		if (j->from != NULL)
			job_detach(j, j->from);
		job_free(j);
	}
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
		take_done(c, j, f, bytes);
		break;
	case FRAME_STAGE:
		take_stage(c, j, f);
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
			give_slot(j);
			job_fail(j, &plain, &doubt);
		}
	arena_free(arena);
}

/* ---- time ---- */

/* Whether a job that waits has waited too long; then it is answered. */
static bool
expire(struct job *j, int64_t now)
{
	struct service *sv = j->service;
	int64_t limit = sv->current == NULL ? 0 :
	    sv->current->conf->rows->backlog_timeout_ms;
	const char *trouble;

	if (j->deadline_ms != 0 && j->deadline_ms <= now) {
		job_unqueue(j);
		job_refuse(j, CAUSE_DEADLINE);
		return true;
	}
	if (now - j->since_ms < limit)
		return false;
	job_unqueue(j);
	if ((trouble = service_trouble(sv)) != NULL)
		job_refuse(j, CAUSE_AGENT_MISSING, sv->name, trouble);
	else
		job_refuse(j, CAUSE_QUEUE_TIME, sv->name);
	return true;
}

static void
expire_list(struct jobs *list, int64_t now)
{
	struct job *j, *next;

	for (j = TAILQ_FIRST(list); j != NULL; j = next) {
		next = TAILQ_NEXT(j, queue);
		expire(j, now);
	}
}

void
dispatch_tick(struct service *sv)
{
	int64_t now = loop_now_ms(sv->master->loop);
	struct submitter *s, *next;

	expire_list(&sv->queue, now);
	for (s = TAILQ_FIRST(&sv->blocked); s != NULL; s = next) {
		next = TAILQ_NEXT(s, next_blocked);
		expire_list(&s->held, now);
		if (TAILQ_EMPTY(&s->held))
			dispatch_retry(s);
	}
	dispatch_pump(sv);
}

static void
refuse_list(struct jobs *list)
{
	struct job *j, *next;

	for (j = TAILQ_FIRST(list); j != NULL; j = next) {
		next = TAILQ_NEXT(j, queue);
		job_unqueue(j);
		job_refuse(j, CAUSE_MASTER_STOPPING);
	}
}

void
dispatch_refuse_waiting(struct master *m)
{
	struct submitter *s;
	struct service *sv;

	TAILQ_FOREACH(sv, &m->services, next)
		refuse_list(&sv->queue);
	TAILQ_FOREACH(s, &m->submitters, next) {
		refuse_list(&s->held);
		dispatch_retry(s);
	}
}
