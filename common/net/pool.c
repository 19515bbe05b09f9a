/*
 * pool.c - places per remote host, idle connections, FIFOs.
 *
 * All changes of a host end in serve(), which runs at the end of the turn and
 * gives what is free to who waits first; nobody is called back from inside his
 * own call.
 */
#include "net/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/share.h"

#define BUCKETS		4096
#define SWEEP_MS	1000
#define SHARED_SWEEP_MS	20		/* no other process wakes us */
#define YIELD_MS	(3 * SHARED_SWEEP_MS)	/* they have the first grasp */
#define AHEAD_MAX	32		/* looked at behind who waits first */

TAILQ_HEAD(place_list, pool_place);
TAILQ_HEAD(wait_list, pool_wait);

struct pool_host {
	LIST_ENTRY(pool_host) in_bucket;
	struct pool	*pool;
	struct addr	 addr;
	struct share_row *row;		/* counted with other processes ... */
	int64_t		 yielded_ms;	/* ... who were last let in then */
	uint32_t	 nplaces;	/* all, granted ones too */
	uint32_t	 nidle;
	uint32_t	 nleaving;	/* were idle, say goodbye */
	uint32_t	 nwaiting;
	struct place_list idle;		/* used last first */
	struct wait_list waiting;
	struct later	 serve_later;
	struct timer	 timer;		/* idle ends, waits end */
};

struct pool {
	struct loop	*loop;
	struct pool_limits limits;
	const struct pool_ops *ops;
	bool		 is_draining;
	struct pool_stats stats;
	LIST_HEAD(, pool_host) buckets[BUCKETS];
};

static void	 serve(void *);
static void	 on_timer(void *);

static struct pool_host *
host_of(struct pool *p, const struct addr *addr)
{
	uint32_t b = addr_hash(addr) % BUCKETS;
	struct pool_host *h;

	LIST_FOREACH(h, &p->buckets[b], in_bucket)
		if (addr_equal(&h->addr, addr))
			return h;
	h = xcalloc(1, sizeof(*h));
	h->pool = p;
	h->addr = *addr;
	if (p->limits.share != NULL)
		h->row = share_row(p->limits.share, addr);
	TAILQ_INIT(&h->idle);
	TAILQ_INIT(&h->waiting);
	later_init(&h->serve_later, serve, h);
	timer_init(&h->timer, p->loop, on_timer, h);
	LIST_INSERT_HEAD(&p->buckets[b], h, in_bucket);
	p->stats.hosts++;
	return h;
}

static void
host_free(struct pool_host *h)
{
	loop_forget(h->pool->loop, &h->serve_later);
	timer_clear(&h->timer);
	LIST_REMOVE(h, in_bucket);
	h->pool->stats.hosts--;
	free(h);
}

/* The timer fires in at most ms from now. */
static void
timer_by(struct pool_host *h, int64_t ms)
{
	if (h->timer.due_ms == 0 ||
	    h->timer.due_ms > loop_now_ms(h->pool->loop) + ms)
		timer_set(&h->timer, ms);
}

static void
serve_soon(struct pool_host *h)
{
	loop_later(h->pool->loop, &h->serve_later);
}

/* ---- idle connections ---- */

static void
take_idle(struct pool_place *pl)
{
	struct pool_host *h = pl->host;

	TAILQ_REMOVE(&h->idle, pl, next);
	pl->is_idle = false;
	h->nidle--;
	h->pool->stats.idle--;
}

static void
retire(struct pool_place *pl)
{
	take_idle(pl);
	pl->is_leaving = true;
	pl->host->nleaving++;
	pl->host->pool->ops->close_idle(pl);
}

/* The one used last: the others may grow old and go. */
static struct pool_place *
find_idle(struct pool_host *h, const struct pool_wait *w)
{
	struct pool_place *pl;

	if (w->want_fresh)
		return NULL;
	TAILQ_FOREACH(pl, &h->idle, next)
		if (strcmp(pl->key, w->key) == 0)
			return pl;
	return NULL;
}

void
pool_idle(struct pool *p, struct pool_place *pl)
{
	struct pool_host *h = pl->host;

	pl->is_idle = true;
	pl->idle_until_ms = loop_now_ms(p->loop) + p->limits.idle_ms;
	TAILQ_INSERT_HEAD(&h->idle, pl, next);
	h->nidle++;
	p->stats.idle++;
	/* With no one waiting and nothing to keep, serve() retires it. */
	serve_soon(h);
	if (p->limits.idle_ms > 0)
		timer_by(h, p->limits.idle_ms);
}

/* ---- waiting ---- */

static void
take_waiting(struct pool_wait *w)
{
	struct pool_host *h = w->host;

	TAILQ_REMOVE(&h->waiting, w, next);
	h->nwaiting--;
	h->pool->stats.waiting--;
	w->host = NULL;
}

void
pool_ask(struct pool *p, const struct addr *addr, struct pool_wait *w)
{
	struct pool_host *h = host_of(p, addr);
	int64_t now = loop_now_ms(p->loop);

	w->host = h;
	TAILQ_INSERT_TAIL(&h->waiting, w, next);
	h->nwaiting++;
	p->stats.waiting++;
	timer_by(h, w->until_ms > now ? w->until_ms - now : 0);
	serve_soon(h);
}

void
pool_take_back(struct pool *p, struct pool_wait *w)
{
	(void)p;
	if (w->host != NULL) {
		serve_soon(w->host);
		take_waiting(w);
	}
}

/* ---- places ---- */

static bool
take_place(struct pool_host *h)
{
	const struct pool_limits *limits = &h->pool->limits;

	if (h->nplaces >= limits->per_host)
		return false;
	if (h->row != NULL && (loop_now_ms(h->pool->loop) <
	    h->yielded_ms + YIELD_MS ||
	    !share_take(limits->share, h->row, limits->per_host)))
		return false;
	h->nplaces++;
	h->pool->stats.places++;
	return true;
}

static void
place_freed(struct pool_host *h)
{
	if (h->row != NULL)
		share_give(h->pool->limits.share, h->row);
	h->nplaces--;
	h->pool->stats.places--;
	serve_soon(h);
}

void
pool_enter(struct pool_wait *w, struct pool_place *pl, const char *key)
{
	pl->host = w->host;
	pl->key = key;
	pl->is_idle = false;
	w->host = NULL;
}

void
pool_decline(struct pool *p, struct pool_wait *w)
{
	struct pool_host *h = w->host;

	(void)p;
	w->host = NULL;
	place_freed(h);
}

void
pool_leave(struct pool *p, struct pool_place *pl)
{
	struct pool_host *h = pl->host;

	(void)p;
	if (h == NULL)
		return;
	if (pl->is_idle)
		take_idle(pl);
	if (pl->is_leaving)
		h->nleaving--;
	pl->host = NULL;
	place_freed(h);
}

static void
grant_idle(struct pool_wait *w, struct pool_place *pl)
{
	struct pool_host *h = w->host;

	take_idle(pl);
	take_waiting(w);
	h->pool->ops->granted(w, pl);
}

/* Who can use this kept connection, of those who have waited longest. */
static struct pool_wait *
find_waiting(struct pool_host *h, const struct pool_place *pl)
{
	struct pool_wait *w;
	unsigned n = 0;

	TAILQ_FOREACH(w, &h->waiting, next)
		if (n++ == AHEAD_MAX)
			break;
		else if (!w->want_fresh && strcmp(pl->key, w->key) == 0)
			return w;
	return NULL;
}

/*
 * At the limit, and no kept connection fits who waits first.  One that is kept
 * gives up its place for him; the others go to somebody behind him or give up
 * theirs too, as many as there are who wait.  The places come with
 * pool_leave(), later.
 */
static bool
make_room(struct pool_host *h)
{
	uint32_t nroom = h->nleaving;
	struct pool_place *pl;
	struct pool_wait *w;

	while (nroom < h->nwaiting &&
	    (pl = TAILQ_LAST(&h->idle, place_list)) != NULL) {
		if (nroom > 0 && (w = find_waiting(h, pl)) != NULL) {
			grant_idle(w, pl);
			return true;
		}
		retire(pl);
		nroom++;
	}
	return false;
}

/* What is free goes to who waits first. */
static bool
grant_one(struct pool_host *h)
{
	struct pool_wait *w = TAILQ_FIRST(&h->waiting);
	struct pool_place *pl;

	if (w == NULL)
		return false;
	if (h->row != NULL && share_must_yield(h->pool->limits.share, h->row,
	    h->pool->limits.per_host)) {
		h->yielded_ms = loop_now_ms(h->pool->loop);
		return false;
	}
	if ((pl = find_idle(h, w)) != NULL) {
		grant_idle(w, pl);
		return true;
	}
	if (take_place(h)) {
		take_waiting(w);
		w->host = h;		/* for pool_enter(), pool_decline() */
		h->pool->ops->granted(w, NULL);
		return true;
	}
	return make_room(h);
}

/* What other processes see of this one, and what it owes them. */
static void
serve_others(struct pool_host *h)
{
	struct share *share = h->pool->limits.share;
	struct pool_place *pl;

	if (h->row == NULL)
		return;
	share_set_waiting(share, h->row, h->nwaiting > 0);
	if (share_others_wait(share, h->row))
		while ((pl = TAILQ_FIRST(&h->idle)) != NULL)
			retire(pl);
	if (h->nwaiting > 0 || h->nidle > 0)
		timer_by(h, SHARED_SWEEP_MS);
}

static void
serve(void *arg)
{
	struct pool_host *h = arg;
	struct pool_place *pl;

	while (grant_one(h))
		;
	if (h->pool->limits.idle_ms == 0 || h->pool->is_draining)
		while ((pl = TAILQ_FIRST(&h->idle)) != NULL)
			retire(pl);
	serve_others(h);
	if (h->nwaiting > 0)
		timer_by(h, SWEEP_MS);
	if (h->nplaces == 0 && h->nwaiting == 0 && !h->serve_later.is_queued)
		host_free(h);
}

/* Ends what has waited or idled long enough. */
static void
on_timer(void *arg)
{
	struct pool_host *h = arg;
	struct pool *p = h->pool;
	struct pool_place *pl, *prev;
	struct pool_wait *w;
	int64_t now = loop_now_ms(p->loop), soonest = INT64_MAX;

	for (pl = TAILQ_LAST(&h->idle, place_list); pl != NULL; pl = prev) {
		prev = TAILQ_PREV(pl, place_list, next);
		if (pl->idle_until_ms > now) {
			soonest = pl->idle_until_ms;
			break;		/* the others were used later */
		}
		retire(pl);
	}
	/* From the start again after each: the callback may change the list. */
	w = TAILQ_FIRST(&h->waiting);
	while (w != NULL)
		if (w->until_ms <= now) {
			take_waiting(w);
			p->ops->timed_out(w);
			w = TAILQ_FIRST(&h->waiting);
		} else {
			if (w->until_ms < soonest)
				soonest = w->until_ms;
			w = TAILQ_NEXT(w, next);
		}
	if (h->nwaiting > 0 && soonest > now + SWEEP_MS)
		soonest = now + SWEEP_MS;
	if (soonest != INT64_MAX)
		timer_set(&h->timer, soonest - now);
	serve_soon(h);
}

/* ---- the whole ---- */

void
pool_drain(struct pool *p)
{
	struct pool_host *h;
	size_t b;

	p->is_draining = true;
	for (b = 0; b < BUCKETS; b++)
		LIST_FOREACH(h, &p->buckets[b], in_bucket)
			serve_soon(h);
}

struct pool *
pool_new(struct loop *loop, const struct pool_limits *limits,
    const struct pool_ops *ops)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->limits = *limits;
	p->ops = ops;
	return p;
}

void
pool_free(struct pool *p)
{
	struct pool_host *h;
	size_t b;

	if (p == NULL)
		return;
	for (b = 0; b < BUCKETS; b++)
		while ((h = LIST_FIRST(&p->buckets[b])) != NULL)
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			host_free(h);		/* leaves the list */
	free(p);
}

void
pool_stats(const struct pool *p, struct pool_stats *stats)
{
	*stats = p->stats;
}

void
pool_each(const struct pool *p, void (*cb)(void *, const struct addr *,
    uint32_t, uint32_t, uint32_t), void *arg)
{
	struct pool_host *h;
	size_t b;

	for (b = 0; b < BUCKETS; b++)
		LIST_FOREACH(h, &p->buckets[b], in_bucket)
			cb(arg, &h->addr, h->nplaces, h->nidle, h->nwaiting);
}
