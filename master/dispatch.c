/*
 * dispatch.c - deliveries: from a submitter to the relay's queue or straight
 * to a child; the way back is dispatch_child.c.
 *
 * Bytes pass as they came, only the id differs: towards a child the low half
 * is a slot number and the high half a sequence, so that looking one up costs
 * nothing and an old one is told from one that never was.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

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

/* The descriptor that goes to the child: one that may forward leaves us ours. */
static int
fd_for(struct job *j, const struct child *c)
{
	int fd = j->fd;

	if (c->may_forward && fd != -1 &&
	    (fd = fcntl(j->fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		fd = j->fd;
		j->fd_error = errno;
		j->fd = -1;
	} else if (!c->may_forward)
		j->fd = -1;
	return fd;
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
	channel_queued(c->channel, start, fd_for(j, c));
	j->child = c;
	j->place = RUNNING;
	histogram_observe(&j->service->metrics.queue,
	    loop_now_us(c->gen->loop) - j->since_us);
	c->slots[slot].job = j;
	c->open++;
	j->service->names_bytes += j->names_len;
	if (!c->may_forward)
		job_drop_bytes(j);
	else {
		j->service->master->nforwarding++;
		if (j->bytes == NULL)
			job_keep(j, bytes, len);
	}
	overdue_watch(j);
}

bool
dispatch_has_room(const struct service *sv)
{
	return sv->nqueued < (sv->current == NULL ? 0 :
	    (uint64_t)sv->current->conf->rows->backlog) &&
	    sv->master->queued_bytes < QUEUED_BYTES_MAX;
}

void
dispatch_queue(struct job *j)
{
	j->place = QUEUED;
	TAILQ_INSERT_TAIL(&j->service->queue, j, queue);
	j->service->nqueued++;
}

bool
dispatch_offer(struct job *j, const void *bytes, uint32_t len)
{
	struct service *sv = j->service;
	struct child *c;

	/* One that may forward takes memory of ours as one that waits does. */
	if (sv->nqueued == 0 && (c = service_pick(sv)) != NULL &&
	    (!c->may_forward || sv->master->queued_bytes < QUEUED_BYTES_MAX)) {
		job_unqueue(j);
		job_run(j, c, bytes, len);
		return true;
	}
	if (!dispatch_has_room(sv))
		return false;
	job_unqueue(j);
	if (bytes != NULL && bytes != j->bytes)
		job_keep(j, bytes, len);
	dispatch_queue(j);
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
		if (!dispatch_offer(j, j->bytes, j->len))
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
	    (dispatch_has_room(sv) || (sv->nqueued == 0 && service_pick(sv) != NULL))) {
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

/* A recipient of a frame that does not become a job; sv as refuse() has it. */
static void
tell_refused(struct submitter *s, const struct deliver_facts *facts,
    struct service *sv, struct names *names, uint32_t i,
    const struct answer *a)
{
	struct master *m = s->master;

	if (sv == NULL)
		m->refused++;
	else
		service_answered(sv, &a->reply, loop_now_us(m->loop));
	job_log(names, i, sv == NULL ? NULL : sv->name, facts->body_len, a);
}

/* An answer for every recipient of a frame that does not become a job. */
static void
refuse_frame(struct submitter *s, const struct frame *f,
    const struct deliver_facts *facts, struct service *sv,
    struct arena *arena, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	struct buf *out = channel_out(s->channel);
	struct names names;
	uint32_t i;
	size_t start;

	names_init(&names, f, facts, arena_alloc(arena, facts->names_len));
	for (i = 0; i <= facts->nrcpt; i++) {
		if (i < facts->nrcpt)
			tell_refused(s, facts, sv, &names, i, &a);
		start = buf_len(out);
		if ((i < facts->nrcpt ? frame_put_result(out, f->id, i, &a) :
		    frame_put_bare(out, FRAME_DONE, f->id)) == -1) {
			job_check_output(s, -1);
			return;
		}
		channel_queued(s->channel, start, -1);
	}
	job_check_output(s, 0);
}

/* Whether no more deliveries come in this way. */
static bool
is_closed(const struct submitter *s)
{
	return s->master->state == MASTER_STOPPING ||
	    (s->master->state == MASTER_CLOSING && s->door == NULL &&
	    (!s->master->is_replaced || s->master->is_refusing));
}

/* sv: the relay it is for; NULL: there is none of this name, or it takes no
 * more.  Its descriptor could not be taken, or its queue is full. */
static void
refuse(struct submitter *s, const struct frame *f,
    const struct deliver_facts *facts, struct service *sv, bool is_bare)
{
	struct arena *arena = arena_new(4096);
	struct reply r;

	if (is_closed(s))
		reply_cause(&r, arena, STAGE_NONE, CAUSE_MASTER_STOPPING);
	else if (sv == NULL)
		reply_cause(&r, arena, STAGE_NONE, CAUSE_NO_RELAY,
		    facts->relay_len == 0 ? "(none given)" :
		    arena_strndup(arena, facts->relay, facts->relay_len));
	else if (is_bare)
		reply_cause(&r, arena, STAGE_NONE, CAUSE_MASTER_NO_DESCRIPTOR);
	else
		reply_cause(&r, arena, STAGE_NONE, CAUSE_QUEUE_FULL, sv->name);
	refuse_frame(s, f, facts, sv, arena, &r);
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
	bool is_bare;

	if (frame_deliver_facts(f, &facts, &error) == -1)
		;
	else if (s->nopen >= submitter_window(s) && s->door == NULL)
		error = "more deliveries open than the window";
	else if (job_find(s, f->id) != NULL)
		error = "a delivery of this id is open";
	if (error != NULL) {
		if (fd != -1)
			close(fd);
		submitter_drop(s, error);
		return;
	}
	is_bare = fd == -1 && (f->flags & FRAME_HAS_FD) != 0;
	sv = find_service(s, &facts);
	if (sv != NULL && sv->is_ending)
		sv = NULL;
	if (is_closed(s) || sv == NULL || is_bare ||
	    s->nopen >= submitter_window(s)) {
		if (fd != -1)
			close(fd);
		refuse(s, f, &facts, sv, is_bare);
		return;
	}
	master_need_tick(s->master);
	j = job_new(sv, f, &facts);
	job_attach(j, s, f->id);
	j->fd = fd;
	j->hops = facts.hops;
	if (facts.deadline_s != 0)
		j->deadline_ms = j->since_ms +
		    (int64_t)facts.deadline_s * 1000;
	/* One that does not wait may pass those that do. */
	if ((facts.no_wait || TAILQ_EMPTY(&s->held)) &&
	    dispatch_offer(j, bytes, f->len)) {
		if (s->nrcpt_open >= SUBMIT_RCPTS_MAX)
			submitter_update(s);
	} else if (facts.no_wait)
		job_refuse(j, CAUSE_QUEUE_FULL, sv->name);
	else
		job_hold(j, bytes, f->len);
}

void
dispatch_cancel(struct submitter *s, uint64_t id)
{
	struct job *j = job_find(s, id);
	bool was_waiting;

	if (j == NULL)
		return;		/* its DONE is on the way */
	was_waiting = j->place == HELD || j->place == QUEUED;
	job_give_up(j);
	if (was_waiting)
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
			if (j->place != RUNNING)
				job_unqueue(j);
			job_detach(j);
			job_give_up(j);
		}
	if (was != NULL)
		dispatch_pump(was);
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
	overdue_tick(sv);
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
