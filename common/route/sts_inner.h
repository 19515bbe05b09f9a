/* sts_inner.h - what sts.c and sts_job.c share, and of it for their test. */
#ifndef ROUTE_STS_INNER_H
#define ROUTE_STS_INNER_H

#include "net/loop.h"
#include "route/sts.h"
#include "route/sts_cache.h"
#include "route/sts_fetch.h"
#include "route/sts_record.h"

#define STS_WHY_MAX	1024
#define STS_PREFIX	"_mta-sts."
#define STS_NAME_SIZE	(sizeof(STS_PREFIX) + DNS_NAME_MAX)

struct sts_query {
	TAILQ_ENTRY(sts_query) next;	/* of the job */
	struct sts	*sts;
	struct later	 later;		/* the first step */
	struct dns_query *txt;
	struct sts_job	*job;
	char		*domain;
	sts_cb		*cb;
	void		*arg;
};

/* A policy on its way. */
struct sts_job {
	TAILQ_ENTRY(sts_job) next;	/* waiting, or running */
	struct sts	*sts;
	struct sts_entry *entry;	/* held */
	struct dns_query *txt;		/* of a refresh */
	struct sts_fetch *fetch;
	struct later	 later;		/* another process was faster */
	bool		 is_running;
	char		 id[STS_ID_MAX];
	TAILQ_HEAD(, sts_query) queries;
};
TAILQ_HEAD(job_list, sts_job);

struct sts {
	struct loop	*loop;
	struct dns	*dns;
	const struct sts_conf *conf;
	struct sts_cache *cache;
	struct sts_fetcher *fetcher;
	struct timer	 tick;
	struct job_list	 refreshing, waiting, running;
	size_t		 nrunning;
	struct sts_stats stats;

	struct sts_answer answer;	/* the last one given */
	char		 why[STS_WHY_MAX];
};

/* ---- sts.c ---- */

/* What is kept of it, or why nothing is; valid until the next one. */
const struct sts_answer *sts_answer_of(struct sts *, const struct sts_entry *,
	    bool is_kept);
/* The answer; the query is gone then. */
void	sts_tell(struct sts_query *, const struct sts_answer *);

/* ---- sts_job.c ---- */

void	sts_jobs_init(struct sts *);
void	sts_jobs_start(struct sts *);	/* looks around by itself from now on */
void	sts_jobs_free(struct sts *);
/* Waits for the policy of this id. */
void	sts_job_join(struct sts_query *, const char *id);
/*
 * What is done once a minute: reads what other processes have written, and if
 * there is no more of that (false) fetches policies that are due anew.
 */
bool	sts_tend(struct sts *);

#endif
