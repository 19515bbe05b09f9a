/*
 * pool.h - connections counted and kept per remote host (address and port).
 *
 * Who wants to talk to a host asks for a place.  Under the host's limit it is
 * granted at once: with a kept connection that fits, or with leave to open a
 * new one.  At the limit the asker waits in the host's FIFO.  A place is held
 * from the grant until pool_leave(): connecting, talking, idle and saying
 * goodbye all count, so the host never sees more connections than the limit.
 */
#ifndef NET_POOL_H
#define NET_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/addr.h"
#include "net/loop.h"

struct pool;
struct pool_host;
struct share;

/* A connection's place; embedded in it. */
struct pool_place {
	TAILQ_ENTRY(pool_place) next;
	struct pool_host *host;		/* NULL: holds no place */
	const char	*key;		/* what a reuse must match; owner's */
	int64_t		 idle_until_ms;
	bool		 is_idle;
	bool		 is_leaving;	/* close_idle() was called */
};

/* Someone who waits; embedded. */
struct pool_wait {
	TAILQ_ENTRY(pool_wait) next;
	struct pool_host *host;		/* NULL: not waiting */
	const char	*key;		/* borrowed until granted */
	bool		 want_fresh;	/* no kept connection, please */
	int64_t		 until_ms;	/* monotonic */
	void		*arg;		/* owner's */
};

struct pool_ops {
	/* A kept connection, or NULL: open one and pool_enter() it. */
	void	(*granted)(struct pool_wait *, struct pool_place *);
	void	(*timed_out)(struct pool_wait *);
	/* An idle connection is no longer wanted: say goodbye; it keeps its
	 * place until pool_leave(). */
	void	(*close_idle)(struct pool_place *);
};

struct pool_limits {
	uint32_t	 per_host;	/* places */
	int64_t		 idle_ms;	/* 0: kept only for one who waits */
	struct share	*share;		/* with other processes, or NULL */
};

struct pool	*pool_new(struct loop *, const struct pool_limits *,
		    const struct pool_ops *);
void		 pool_free(struct pool *);	/* no place may be held */

/* Fill in key, want_fresh, until_ms, arg first.  The grant comes at the end of
 * the turn at the earliest, never inside this call. */
void		 pool_ask(struct pool *, const struct addr *,
		    struct pool_wait *);
void		 pool_take_back(struct pool *, struct pool_wait *);

/* In granted() with NULL: the new connection takes the granted place. */
void		 pool_enter(struct pool_wait *, struct pool_place *,
		    const char *key);
/* In granted() with NULL: no connection could be opened after all. */
void		 pool_decline(struct pool *, struct pool_wait *);
/* The connection is free for the next one. */
void		 pool_idle(struct pool *, struct pool_place *);
/* The connection is gone. */
void		 pool_leave(struct pool *, struct pool_place *);

/* close_idle() for all that are idle; none is kept from now on. */
void		 pool_drain(struct pool *);

struct pool_stats {
	uint64_t	 places, idle, waiting, hosts;
};
void		 pool_stats(const struct pool *, struct pool_stats *);
/* Per host: for gauges. */
void		 pool_each(const struct pool *, void (*)(void *arg,
		    const struct addr *, uint32_t places, uint32_t idle,
		    uint32_t waiting), void *arg);

#endif
