/*
 * upstream.c - deliveries on their way to the master and their answers.
 *
 * The low half of an id is a slot number and the high half a sequence, so that
 * looking one up costs nothing.
 */
#include "intake/upstream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/channel.h"

#define OUT_ENOUGH	((size_t)4 * 1024 * 1024)	/* then wait for room */

TAILQ_HEAD(parts, part);

struct upstream {
	struct channel	*channel;	/* NULL: none */
	uint32_t	 window;
	uint32_t	 sequence;
	struct part	**slots;	/* by number; NULL: free */
	uint32_t	 nslots;
	uint32_t	*free_slots;	/* a stack of numbers */
	uint32_t	 nfree;
	uint32_t	 nsent, nwaiting;
	struct parts	 waiting;
};

struct upstream *
upstream_new(void)
{
	struct upstream *u = xcalloc(1, sizeof(*u));

	TAILQ_INIT(&u->waiting);
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	upstream_detach(u);
	free(u->slots);
	free(u->free_slots);
	free(u);
}

struct part *
part_new(const struct part_ops *ops, void *owner, uint32_t *rcpts, uint32_t n)
{
	struct part *p = xcalloc(1, sizeof(*p));

	p->ops = ops;
	p->owner = owner;
	p->rcpts = rcpts;
	p->nrcpt = p->open = n;
	p->answered = xcalloc(n, 1);
	return p;
}

static void
part_over(struct part *p)
{
	if (p->owner != NULL)
		p->ops->over(p->owner, p);
	free(p->answered);
	free(p);
}

static void
part_answer(struct part *p, uint32_t i, const struct answer *a)
{
	p->answered[i] = 1;
	p->open--;
	if (p->owner != NULL)
		p->ops->answer(p->owner, p->rcpts[i], a);
}

/* The same for all that have none. */
static void
part_fail(struct part *p, enum cause cause)
{
	struct answer a = { .host = "", .address = "" };
	uint32_t i;

	if (p->owner != NULL)
		reply_cause(&a.reply, p->ops->arena(p->owner), STAGE_NONE,
		    cause);
	for (i = 0; i < p->nrcpt; i++)
		if (!p->answered[i])
			part_answer(p, i, &a);
	part_over(p);
}

/* ---- sending ---- */

static uint32_t
take_slot(struct upstream *u)
{
	uint32_t old = u->nslots, i;

	if (u->nfree == 0) {
		u->nslots = old == 0 ? 16 : 2 * old;
		u->slots = xreallocarray(u->slots, u->nslots,
		    sizeof(struct part *));
		u->free_slots = xreallocarray(u->free_slots, u->nslots,
		    sizeof(*u->free_slots));
		for (i = u->nslots; i > old; i--) {
			u->slots[i - 1] = NULL;
			u->free_slots[u->nfree++] = i - 1;
		}
	}
	return u->free_slots[--u->nfree];
}

/* Out of its slot. */
static void
unsend(struct upstream *u, struct part *p)
{
	uint32_t slot = (uint32_t)p->id;

	u->slots[slot] = NULL;
	u->free_slots[u->nfree++] = slot;
	u->nsent--;
	p->id = 0;
}

static void
wait_for_room(struct upstream *u, struct part *p)
{
	TAILQ_INSERT_TAIL(&u->waiting, p, next);
	u->nwaiting++;
}

static void
wait_no_more(struct upstream *u, struct part *p)
{
	TAILQ_REMOVE(&u->waiting, p, next);
	u->nwaiting--;
}

static bool
has_room(const struct upstream *u)
{
	return u->channel != NULL && u->nsent < u->window &&
	    channel_pending(u->channel) < OUT_ENOUGH;
}

/* -1: no descriptor, or a text too long for a frame. */
static int
send_part(struct upstream *u, struct part *p)
{
	struct buf *out = channel_out(u->channel);
	size_t start = buf_len(out);
	uint32_t slot;
	int fd = -1;

	if (p->env.body.mem == NULL &&
	    (fd = fcntl(p->env.body.fd, F_DUPFD_CLOEXEC, 3)) == -1)
		return -1;
	slot = take_slot(u);
	p->id = (uint64_t)++u->sequence << 32 | slot;
	u->slots[slot] = p;
	u->nsent++;
	if (frame_put_deliver(out, p->id, &p->env) == -1) {
		unsend(u, p);
		if (fd != -1)
			close(fd);
		return -1;
	}
	channel_queued(u->channel, start, fd);
	if (p->owner != NULL)
		p->ops->sent(p->owner);
	return 0;
}

static void
send_or_fail(struct upstream *u, struct part *p)
{
	if (send_part(u, p) == -1)
		part_fail(p, CAUSE_NOT_SUBMITTED);
}

void
upstream_drained(struct upstream *u)
{
	struct part *p;

	while (has_room(u) && (p = TAILQ_FIRST(&u->waiting)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		wait_no_more(u, p);
		send_or_fail(u, p);
	}
}

void
upstream_submit(struct upstream *u, struct part *p)
{
	if (u->channel == NULL)
		part_fail(p, CAUSE_MASTER_AWAY);
	else if (u->nwaiting == 0 && has_room(u))
		send_or_fail(u, p);
	else
		wait_for_room(u, p);
}

void
upstream_abandon(struct upstream *u, struct part *p)
{
	struct buf *out;
	size_t start;

	p->owner = NULL;
	if (p->id == 0) {
		wait_no_more(u, p);
		part_over(p);
		return;
	}
	out = channel_out(u->channel);
	start = buf_len(out);
	if (frame_put_bare(out, FRAME_CANCEL, p->id) == 0)
		channel_queued(u->channel, start, -1);
}

/* ---- the channel ---- */

void
upstream_attach(struct upstream *u, struct channel *c, uint32_t window)
{
	u->channel = c;
	u->window = window;
}

void
upstream_detach(struct upstream *u)
{
	struct part *p;
	uint32_t i;

	u->channel = NULL;
	for (i = 0; i < u->nslots; i++)
		if ((p = u->slots[i]) != NULL) {
			unsend(u, p);
			part_fail(p, CAUSE_MASTER_LOST);
		}
	while ((p = TAILQ_FIRST(&u->waiting)) != NULL) {
		wait_no_more(u, p);
		part_fail(p, CAUSE_MASTER_AWAY);
	}
}

bool
upstream_is_up(const struct upstream *u)
{
	return u->channel != NULL;
}

uint32_t
upstream_open(const struct upstream *u)
{
	return u->nsent + u->nwaiting;
}

/* ---- answers ---- */

static struct part *
part_of(const struct upstream *u, uint64_t id)
{
	uint32_t slot = (uint32_t)id;

	return slot < u->nslots && u->slots[slot] != NULL &&
	    u->slots[slot]->id == id ? u->slots[slot] : NULL;
}

static const char *
take_result(struct part *p, const struct frame *f)
{
	const char *error;
	struct answer a;
	uint32_t i;

	if (frame_get_result(f, p->owner == NULL ? NULL :
	    p->ops->arena(p->owner), &i, &a, &error) == -1)
		return error;
	if (i >= p->nrcpt || p->answered[i])
		return "RESULT for no open recipient";
	part_answer(p, i, &a);
	return NULL;
}

const char *
upstream_frame(struct upstream *u, const struct frame *f)
{
	struct part *p = part_of(u, f->id);

	if (f->type == FRAME_STAGE)
		return NULL;
	if (p == NULL)
		return "answer to a delivery that is not open";
	if (f->type == FRAME_RESULT)
		return take_result(p, f);
	if (p->open > 0)
		return "DONE before the last RESULT";
	unsend(u, p);
	part_over(p);
	upstream_drained(u);
	return NULL;
}
