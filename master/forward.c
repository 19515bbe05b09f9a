/*
 * forward.c - an agent hands recipients on to another relay: they become a leg
 * of the delivery, whose answers go to the submitter as if the first relay had
 * given them.
 *
 * A leg that finds the other relay's queue full goes to its end all the same,
 * for there is no submitter to stop; instead the relay that forwards gets
 * nothing new until all such legs have left the queues.  What waits that way
 * is bounded by what it had open, and by FORWARD_BYTES_MAX.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* What is to be done with one FORWARD. */
struct onward {
	struct job	*job;		/* of the agent that says FORWARD */
	struct arena	*arena;
	struct forward	 to;
	struct service	*target;
	uint8_t		*chosen;	/* a byte for each recipient of job */
	uint32_t	 n;
};

/* ---- which recipients ---- */

static void
choose_one(struct onward *o, const struct child *c, uint32_t i)
{
	struct job *j = o->job;

	if (i >= j->nrcpt)
		job_blame(j, c, "FORWARD of a recipient that is not there");
	else if ((j->rcpts[i] & IS_SETTLED) != 0 || o->chosen[i])
		job_blame(j, c, "FORWARD of a recipient that it answered or "
		    "forwarded before");
	else {
		o->chosen[i] = 1;
		o->n++;
	}
}

static void
choose(struct onward *o, const struct child *c, const struct attr *set)
{
	struct job *j = o->job;
	uint32_t i;

	o->chosen = arena_calloc(o->arena, j->nrcpt, 1);
	if (set->data == NULL)
		for (i = 0; i < j->nrcpt; i++) {
			if ((j->rcpts[i] & IS_SETTLED) == 0)
				choose_one(o, c, i);
		}
	else
		for (i = 0; i < set->len; i += 4)
			choose_one(o, c, get_be32(set->data + i));
	if (o->n == 0)
		job_blame(j, c, "FORWARD of no recipient");
}

/* ---- whether ---- */

/* The relay of this name; one that ends takes what is forwarded to it as long
 * as a drain waits for that. */
static struct service *
find_target(const struct master *m, const char *name)
{
	size_t len = strlen(name);
	struct service *sv = master_service(m, name, len);

	if (sv != NULL || m->state != MASTER_STOPPING)
		return sv;
	TAILQ_FOREACH(sv, &m->services, next)
		if (sv->name_len == len && sv->end_limit_ms == 0 &&
		    sv->current != NULL && memcmp(sv->name, name, len) == 0)
			return sv;
	return NULL;
}

/* True where r says why it cannot be. */
static bool
is_refused(struct onward *o, struct reply *r)
{
	const struct job *j = o->job;
	struct master *m = j->service->master;
	const char *trouble;

	o->target = find_target(m, o->to.relay);
	if (j->root == NULL || j->root->from == NULL || j->root->is_cancelled)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_CANCELLED);
	else if (j->hops >= FORWARD_HOPS_MAX)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_FORWARD_LOOP,
		    (unsigned long long)j->hops, j->service->name, o->to.relay);
	else if (o->target == NULL && m->state == MASTER_STOPPING)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_MASTER_STOPPING);
	else if (o->target == NULL)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_NO_RELAY,
		    o->to.relay);
	else if (j->deadline_ms != 0 && j->deadline_ms <= loop_now_ms(m->loop))
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_DEADLINE);
	else if (j->fd_error != 0)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_FORWARD_FAILED,
		    o->to.relay, strerror(j->fd_error));
	else if (m->queued_bytes >= FORWARD_BYTES_MAX)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_QUEUE_TIME,
		    o->target->name);
	else if (!dispatch_has_room(o->target) &&
	    (trouble = service_trouble(o->target)) != NULL)
		reply_cause(r, o->arena, STAGE_NONE, CAUSE_AGENT_MISSING,
		    o->target->name, trouble);
	else
		return false;
	return true;
}

/* ---- the leg ---- */

static uint32_t
seconds_left(const struct job *j)
{
	int64_t left_ms;

	if (j->deadline_ms == 0)
		return 0;
	left_ms = j->deadline_ms - loop_now_ms(j->service->master->loop);
	return left_ms < 1000 ? 1 : (uint32_t)(left_ms / 1000);
}

/* The frame for it, or why there cannot be one. */
static const char *
make_frame(const struct onward *o, struct buf *b)
{
	const struct job *j = o->job;
	const char *error;
	struct frame f;

	if (frame_parse(j->bytes, j->len, &f, &error) != 1)
		return "its message was not kept";
	if (frame_put_forwarded(b, &f, o->chosen, &o->to,
	    (uint8_t)(j->hops + 1), seconds_left(j)) == -1)
		return "the envelope is too long for a frame";
	return NULL;
}

static struct job *
leg_new(const struct onward *o, const struct frame *f,
    const struct deliver_facts *facts, int fd)
{
	struct job *j = o->job, *leg = job_new(o->target, f, facts);
	uint32_t i, n = 0;

	leg->root = j->root;
	LIST_INSERT_HEAD(&j->root->legs, leg, leg);
	leg->fd = fd;
	leg->hops = j->hops + 1;
	leg->deadline_ms = j->deadline_ms;
	leg->map = xreallocarray(NULL, o->n, sizeof(*leg->map));
	for (i = 0; i < j->nrcpt; i++)
		if (o->chosen[i]) {
			leg->map[n++] = j->map == NULL ? i : j->map[i];
			j->rcpts[i] |= IS_FORWARDED;
			j->open--;
			if (!j->child->takes_log)
				job_log_forwarded(&j->names, i,
				    j->service->name, o->to.relay);
		}
	j->service->forwarded += o->n;
	return leg;
}

static void
leg_start(struct job *leg, struct service *from, const struct buf *b)
{
	if (dispatch_offer(leg, buf_data(b), (uint32_t)buf_len(b)))
		return;
	job_keep(leg, buf_data(b), (uint32_t)buf_len(b));
	if (leg->service != from) {	/* else it waited for itself */
		leg->crowding = from;
		from->ncrowding++;
	}
	dispatch_queue(leg);
}

/* Why not, or NULL. */
static const char *
send_on(struct onward *o)
{
	struct job *j = o->job;
	struct service *from = j->service;
	struct deliver_facts facts;
	const char *error;
	struct frame f;
	struct buf b;
	int fd = -1;

	buf_init(&b, FRAME_BYTES_MAX);
	error = make_frame(o, &b);
	if (error == NULL && (frame_parse(buf_data(&b), buf_len(&b), &f,
	    &error) != 1 || frame_deliver_facts(&f, &facts, &error) == -1))
		error = "its message cannot be read";
	if (error == NULL && j->fd != -1 &&
	    (fd = fcntl(j->fd, F_DUPFD_CLOEXEC, 3)) == -1)
		error = strerror(errno);
	if (error == NULL) {
		log_debug("relay %s: %u recipients forwarded to relay %s",
		    from->name, o->n, o->target->name);
		leg_start(leg_new(o, &f, &facts, fd), from, &b);
	}
	buf_clear(&b);
	return error;
}

void
forward_take(struct child *c, struct job *j, const struct frame *f)
{
	struct onward o = { .job = j, .arena = arena_new(8192) };
	const char *error;
	struct attr set;
	struct reply r;
	uint32_t i;
	bool is_done = false;

	if (!c->may_forward)
		child_break(c, "FORWARD, but its READY did not say FORWARDS");
	else if (frame_get_forward(f, o.arena, &o.to, &set, &error) == -1)
		child_break(c, "%s", error);
	else
		choose(&o, c, &set);
	if (o.n > 0 && !is_refused(&o, &r)) {
		c->has_delivered = true;
		is_done = (error = send_on(&o)) == NULL;
		if (!is_done)
			reply_cause(&r, o.arena, STAGE_NONE,
			    CAUSE_FORWARD_FAILED, o.to.relay, error);
	}
	for (i = 0; o.n > 0 && !is_done && i < j->nrcpt; i++)
		if (o.chosen[i])
			job_answer(j, i, &r);
	arena_free(o.arena);
}
