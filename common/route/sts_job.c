/*
 * sts_job.c - policies of MTA-STS on their way: one job for all who wait for a
 * domain's, a bounded number at a time.  Once a minute the folder is looked at
 * for what other processes have written, and policies that are due are fetched
 * anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "route/sts_inner.h"
#include "route/sts_policy.h"

#define MIN_MS		60000LL
#define TICK_MS		MIN_MS
#define CRAWL_MS	200
#define CRAWL_FILES	64		/* in one turn */
#define FETCHES_MAX	50		/* at once */
#define REFRESHES_MAX	20		/* begun in a minute */
#define RETRY_MS	(5 * MIN_MS)	/* RFC 8461 §3.3 */
#define DAY_S		86400
#define HOUR_S		3600

static void	run_waiting(struct sts *);

static int64_t
pick_refresh(const struct sts_entry *e)
{
	int64_t in_s = e->policy->max_age_s / 2;

	if (in_s > DAY_S)
		in_s = DAY_S;
	/* Not all of them at the same moment of each day. */
	in_s -= (int64_t)arc4random_uniform((uint32_t)in_s / 4 + 1);
	return e->fetched_s + (in_s > STS_AGE_MIN_S ? in_s : STS_AGE_MIN_S);
}

/* Takes the job out of its list and gives the entry free. */
static void
job_free(struct sts_job *job)
{
	struct sts *s = job->sts;

	loop_forget(s->loop, &job->later);
	if (job->txt != NULL)
		dns_cancel(job->txt);
	sts_fetch_cancel(job->fetch);
	if (job->is_running)
		s->nrunning--;
	job->entry->job = NULL;
	free(job);
}

static void
answer_all(struct sts_job *job, bool is_kept)
{
	struct sts *s = job->sts;
	struct sts_entry *e = job->entry;
	struct sts_query *q;

	while ((q = TAILQ_FIRST(&job->queries)) != NULL) {
		TAILQ_REMOVE(&job->queries, q, next);
		sts_tell(q, sts_answer_of(s, e, is_kept));
	}
}

static void
job_end(struct sts_job *job, bool is_kept)
{
	struct sts *s = job->sts;

	TAILQ_REMOVE(&s->running, job, next);
	answer_all(job, is_kept);
	job_free(job);
	run_waiting(s);
}

static void
job_failed(struct sts_job *job, const char *why, const char *report)
{
	struct sts_entry *e = job->entry;

	job->sts->stats.failed++;
	free(e->why);
	e->why = xstrdup(why);
	e->report = report;
	e->retry_ms = loop_now_ms(job->sts->loop) + RETRY_MS;
	if (e->policy != NULL)
		e->refresh_s = clock_wall_s() + HOUR_S;
	log_info("mta-sts: %s: %s%s", e->domain, why, e->policy != NULL ?
	    "; the kept policy holds" : "");
	job_end(job, true);
}

static void
forget_failure(struct sts_entry *e)
{
	free(e->why);
	e->why = NULL;
	e->report = "";
	e->retry_ms = 0;
}

static void
on_fetched(void *arg, const struct sts_fetched *fetched)
{
	struct sts_job *job = arg;
	struct sts *s = job->sts;
	struct sts_entry *e = job->entry;
	struct sts_policy *policy;
	char error[256], why[STS_WHY_MAX];

	job->fetch = NULL;
	if (fetched->body == NULL) {
		job_failed(job, fetched->why, fetched->report);
		return;
	}
	policy = sts_policy_parse(fetched->body, fetched->len, job->id, error,
	    sizeof(error));
	if (policy == NULL) {
		snprintf(why, sizeof(why), "policy of mta-sts.%s: %s",
		    e->domain, error);
		job_failed(job, why, "sts-policy-invalid");
		return;
	}
	s->stats.fetched++;
	forget_failure(e);
	if (sts_cache_put(s->cache, e, policy, clock_wall_s()) == -1)
		s->stats.disk_errors++;
	e->refresh_s = pick_refresh(e);
	log_debug("mta-sts: %s: policy id %s %s", e->domain, policy->id,
	    sts_mode_name(policy->mode));
	job_end(job, false);
}

static void
on_found_on_disk(void *arg)
{
	job_end(arg, true);
}

/* Has another process fetched it meanwhile? */
static bool
is_on_disk(struct sts_job *job)
{
	struct sts_entry *e = job->entry;

	if (!sts_cache_reread(job->sts->cache, e) ||
	    strcmp(e->policy->id, job->id) != 0)
		return false;
	sts_cache_expire(job->sts->cache, e, clock_wall_s());
	return e->policy != NULL;
}

static void
run_waiting(struct sts *s)
{
	struct sts_job *job;

	while (s->nrunning < FETCHES_MAX &&
	    (job = TAILQ_FIRST(&s->waiting)) != NULL) {
		TAILQ_REMOVE(&s->waiting, job, next);
		TAILQ_INSERT_TAIL(&s->running, job, next);
		job->is_running = true;
		s->nrunning++;
		if (is_on_disk(job)) {
			job->entry->refresh_s = pick_refresh(job->entry);
			loop_later(s->loop, &job->later);
		} else
			job->fetch = sts_fetch(s->fetcher, job->entry->domain,
			    on_fetched, job);
	}
}

static struct sts_job *
job_new(struct sts *s, struct sts_entry *e)
{
	struct sts_job *job = xcalloc(1, sizeof(*job));

	forget_failure(e);	/* of the last one */
	job->sts = s;
	job->entry = e;
	e->job = job;
	TAILQ_INIT(&job->queries);
	later_init(&job->later, on_found_on_disk, job);
	return job;
}

/* Behind the others, or with them who want the same. */
static void
job_queue(struct sts_job *job, const char *id)
{
	strlcpy(job->id, id, sizeof(job->id));
	TAILQ_INSERT_TAIL(&job->sts->waiting, job, next);
	run_waiting(job->sts);
}

void
sts_job_join(struct sts_query *q, const char *id)
{
	struct sts *s = q->sts;
	struct sts_entry *e = sts_cache_need(s->cache, q->domain);
	struct sts_job *job = e->job;
	bool is_new = job == NULL;

	if (is_new)
		job = job_new(s, e);
	q->job = job;
	TAILQ_INSERT_TAIL(&job->queries, q, next);
	if (is_new)
		job_queue(job, id);
}

/* ---- what is done without being asked ---- */

/* A domain that takes its record away lets the policy run out. */
static void
on_refresh_txt(void *arg, const struct dns_answer *a)
{
	struct sts_job *job = arg;
	struct sts *s = job->sts;
	struct sts_entry *e = job->entry;
	enum sts_record_result record = STS_RECORD_NONE;
	char id[STS_ID_MAX];
	const char *why;

	job->txt = NULL;
	TAILQ_REMOVE(&s->refreshing, job, next);
	if (a->status == DNS_OK)
		record = sts_record_parse(a->txt, a->n, id, &why);
	if (record == STS_RECORD_FOUND) {
		job_queue(job, id);
		return;
	}
	e->refresh_s = clock_wall_s() + HOUR_S;
	/* Who has come meanwhile gets what is kept. */
	TAILQ_INSERT_TAIL(&s->running, job, next);
	job_end(job, true);
}

static void
refresh(struct sts *s, struct sts_entry *e)
{
	struct sts_job *job = job_new(s, e);
	char name[STS_NAME_SIZE];

	snprintf(name, sizeof(name), STS_PREFIX "%s", e->domain);
	TAILQ_INSERT_TAIL(&s->refreshing, job, next);
	job->txt = dns_ask(s->dns, name, DNS_TXT, on_refresh_txt, job);
}

static void
refresh_due(struct sts *s)
{
	unsigned n = 0;
	struct sts_entry *e, *next;
	int64_t at_s = clock_wall_s();

	for (e = TAILQ_FIRST(sts_cache_kept(s->cache)); e != NULL; e = next) {
		next = TAILQ_NEXT(e, by_use);
		if (n == REFRESHES_MAX || !TAILQ_EMPTY(&s->waiting))
			break;
		if (e->job != NULL || (e->why != NULL &&
		    e->retry_ms > loop_now_ms(s->loop)))
			continue;
		sts_cache_expire(s->cache, e, at_s);
		if (e->policy == NULL)
			continue;
		if (e->refresh_s == 0)	/* from the folder */
			e->refresh_s = pick_refresh(e);
		if (e->refresh_s > at_s)
			continue;
		refresh(s, e);
		n++;
	}
}

bool
sts_tend(struct sts *s)
{
	if (sts_cache_crawl(s->cache, CRAWL_FILES))
		return true;
	refresh_due(s);
	return false;
}

static void
on_tick(void *arg)
{
	struct sts *s = arg;

	timer_set(&s->tick, sts_tend(s) ? CRAWL_MS : TICK_MS);
}

/* ---- all of them ---- */

void
sts_jobs_init(struct sts *s)
{
	TAILQ_INIT(&s->refreshing);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->running);
	timer_init(&s->tick, s->loop, on_tick, s);
}

void
sts_jobs_start(struct sts *s)
{
	timer_set(&s->tick, 1);
}

static void
free_jobs(struct job_list *jobs)
{
	struct sts_job *job;

	while ((job = TAILQ_FIRST(jobs)) != NULL) {
		TAILQ_REMOVE(jobs, job, next);
		job_free(job);
	}
}

void
sts_jobs_free(struct sts *s)
{
	free_jobs(&s->refreshing);
	free_jobs(&s->waiting);
	free_jobs(&s->running);
	timer_clear(&s->tick);
}
