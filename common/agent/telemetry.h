/*
 * telemetry.h - what the skeleton counts for every agent: where the time of
 * deliveries goes, and what became of them by destination.  Sent as STATS once
 * a second while something changes (nexthop-agent(7)).
 */
#ifndef AGENT_TELEMETRY_H
#define AGENT_TELEMETRY_H

#include <stdint.h>
#include <sys/queue.h>

#include "base/metric.h"
#include "mail/frame.h"

struct agent;
struct pool;

#define DESTINATIONS_KEPT	512	/* remembered by an agent */
#define DESTINATIONS_SENT	100	/* told in a STATS, the largest */
#define DESTINATION_ERROR_MAX	160	/* bytes of a last error */

/* The agent's; what an agent measures goes there by phase_observe(). */
struct phases	*agent_phases(struct agent *);
/* The connections of destinations are told from this pool, which must stay. */
void		 agent_watch_pool(struct agent *, const struct pool *);

/* ---- for the skeleton ---- */

struct destination {
	TAILQ_ENTRY(destination) used;
	LIST_ENTRY(destination) in_bucket;
	uint32_t	 hash;
	uint16_t	 port;		/* 0: a path, a name */
	uint16_t	 host_at;	/* the host within name */
	uint16_t	 host_len;
	uint32_t	 waiting, connections, idle;
	uint64_t	 answers[REPLY_PERMANENT + 1];	/* by class */
	int64_t		 error_s;	/* wall clock; 0 = none */
	char		*error;		/* owned, or NULL */
	char		 name[];	/* "192.0.2.1:25", a path, a name */
};

#define TELEMETRY_BUCKETS	256

struct telemetry {		/* embedded in struct agent */
	struct phases	 phases;
	const struct pool *pool;
	TAILQ_HEAD(destination_list, destination) used;	/* last used first */
	LIST_HEAD(, destination) buckets[TELEMETRY_BUCKETS];
	unsigned	 ndestinations;
};

void		 telemetry_init(struct telemetry *);
void		 telemetry_clear(struct telemetry *);
/* A recipient was answered. */
void		 telemetry_answer(struct telemetry *, const struct answer *);
/* As attributes of STATS. */
void		 telemetry_put(struct telemetry *, struct frame_out *);

#endif
