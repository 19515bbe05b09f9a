/*
 * sts.c - what MTA-STS says about a domain.
 *
 * Whether a policy is there and whether it is the kept one is asked of the
 * resolver, for each message: it keeps the TXT record by its TTL.  A policy
 * that is not kept is fetched, once for all who wait, a bounded number at a
 * time; a job does it.  Once a minute the folder is looked at for what other
 * processes have written, and policies that are due are fetched anew.
 */
#include "route/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "route/sts_cache.h"
#include "route/sts_fetch.h"
#include "route/sts_inner.h"
#include "route/sts_policy.h"
#include "route/sts_record.h"

#define AT(field)	offsetof(struct sts_conf, field)
#define MIN_MS		60000LL
#define TICK_MS		MIN_MS
#define CRAWL_MS	200
#define CRAWL_FILES	64		/* in one turn */
#define FETCHES_MAX	50		/* at once */
#define REFRESHES_MAX	20		/* begun in a minute */
#define RETRY_MS	(5 * MIN_MS)	/* RFC 8461 §3.3 */
#define DAY_S		86400
#define HOUR_S		3600
#define WHY_MAX		1024
#define PREFIX		"_mta-sts."
#define NAME_SIZE	(sizeof(PREFIX) + DNS_NAME_MAX)

const struct opt_row sts_conf_rows[] = {
	{ "mta_sts", OPT_BOOL, AT(mta_sts), "yes", 0, 0, NULL, NULL, 0,
	    "Heed the MTA-STS policies of recipient domains (RFC 8461): to "
	    "deliver only to hosts that the policy names, over TLS with a "
	    "verified certificate." },
	{ "mta_sts_cache", OPT_STRING, AT(mta_sts_cache), NULL, 0, 0, NULL,
	    NULL, 0, "Folder where policies are kept over a restart, which "
	    "the agent's user must be able to write to; relays may share it. "
	    "Without it they are in memory only, and who can suppress a "
	    "domain's DNS records undoes its policy at every restart." },
	{ "mta_sts_cache_size", OPT_INT, AT(mta_sts_cache_size), "10000", 1,
	    1000000, NULL, NULL, 0, "Policies kept; the least used go "
	    "first." },
	{ "mta_sts_timeout", OPT_TIME, AT(mta_sts_timeout_ms), "30s", 1,
	    600000, NULL, NULL, 0, "Wait for a policy, DNS included. When it "
	    "is over the message goes as if there were none, and the policy "
	    "is not asked for again for five minutes." },
	{ "mta_sts_ca_certs", OPT_STRING, AT(mta_sts_ca_certs), NULL, 0, 0,
	    NULL, NULL, OPT_FILE, "Certificates, in PEM, that policy hosts "
	    "are verified by, instead of those of the system." },
	{ "mta_sts_port", OPT_INT, AT(mta_sts_port), "443", 1, 65535, NULL,
	    NULL, 0, "Port of policy hosts. Another one than 443 is for "
	    "networks that redirect, and for tests." },
	{ .name = NULL }
};

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
	char		 why[WHY_MAX];
};

static int64_t
now_s(void)
{
	return clock_wall_ms() / 1000;
}

/* ---- answers ---- */

static void __attribute__((format(printf, 2, 3)))
say(struct sts *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

static const struct sts_answer *
answer_none(struct sts *s)
{
	s->answer = (struct sts_answer){ .result = STS_NONE, .why = s->why,
	    .report = "" };
	return &s->answer;
}

/* more: why the kept one had to do, or "". */
static const struct sts_answer *
answer_policy(struct sts *s, const struct sts_entry *e, bool is_kept,
    const char *more, const char *report)
{
	const struct sts_policy *p = e->policy;

	say(s, "policy id %s %s, %s%s%s", p->id, sts_mode_name(p->mode),
	    is_kept ? "kept" : "fetched", *more != '\0' ? "; " : "", more);
	s->answer = (struct sts_answer){
		.result = p->mode == STS_MODE_NONE ? STS_NONE : STS_FOUND,
		.policy = p->mode == STS_MODE_NONE ? NULL : p,
		.is_kept = is_kept,
		.why = s->why,
		.report = report,
	};
	return &s->answer;
}

static const struct sts_answer *
answer_failed(struct sts *s, const struct sts_entry *e)
{
	if (e->policy != NULL)
		return answer_policy(s, e, true, e->why, e->report);
	say(s, "%s", e->why);
	s->answer = (struct sts_answer){ .result = STS_UNAVAILABLE,
	    .why = s->why, .report = e->report };
	return &s->answer;
}

/* What a job has come to. */
static const struct sts_answer *
answer_of(struct sts *s, const struct sts_entry *e, bool is_kept)
{
	if (e->why != NULL)
		return answer_failed(s, e);
	if (e->policy != NULL)
		return answer_policy(s, e, is_kept, "", "");
	say(s, "no TXT record");
	return answer_none(s);
}

/* ---- what is known ---- */

static struct sts_entry *
find(struct sts *s, const char *domain)
{
	struct sts_entry *e = sts_cache_find(s->cache, domain);

	if (e != NULL)
		sts_cache_expire(s->cache, e, now_s());
	return e;
}

/* Why no record says that there is a policy. */
static const char *
why_none(const struct dns_answer *a, const char *why_bad, char *text,
    size_t size)
{
	if (a->status == DNS_FAILED)
		snprintf(text, size, "TXT look-up failed: %s", a->error);
	else if (why_bad != NULL)
		snprintf(text, size, "TXT record is no use: %s", why_bad);
	else
		strlcpy(text, "no TXT record", size);
	return text;
}

/*
 * The answer, if the record and what is kept are enough for one; else NULL:
 * the policy of that id is to be fetched.  A record that is not there, or not
 * to be had, does not undo a policy (§3.1, §10.2).
 */
static const struct sts_answer *
judge(struct sts *s, const char *domain, const struct dns_answer *a,
    char id[STS_ID_MAX])
{
	enum sts_record_result record = STS_RECORD_NONE;
	const char *why_bad = NULL;
	char text[256];
	struct sts_entry *e;

	if (a->status == DNS_OK)
		record = sts_record_parse(a->txt, a->n, id, &why_bad);
	e = find(s, domain);
	if (record != STS_RECORD_FOUND) {
		why_none(a, why_bad, text, sizeof(text));
		if (e != NULL && e->policy != NULL)
			return answer_policy(s, e, true, text, "");
		say(s, "%s", text);
		return answer_none(s);
	}
	if (e != NULL && e->policy != NULL && strcmp(e->policy->id, id) == 0)
		return answer_policy(s, e, true, "", "");
	if (e != NULL && e->why != NULL &&
	    e->retry_ms > loop_now_ms(s->loop))
		return answer_failed(s, e);
	return NULL;
}

/* A name whose record can be asked for, in lower case; false: none. */
static bool
is_domain(const char *domain, char name[NAME_SIZE])
{
	size_t n = sizeof(PREFIX) - 1;

	if (strlen(domain) + n >= DNS_NAME_MAX)
		return false;
	snprintf(name, NAME_SIZE, PREFIX "%s", domain);
	str_lower(name + n);
	return name[n] != '.' && name[n] != '\0' && strspn(name + n,
	    "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name + n);
}

const struct sts_answer *
sts_peek(struct sts *s, const char *domain)
{
	char name[NAME_SIZE], id[STS_ID_MAX];
	const struct dns_answer *a;

	if (!s->conf->mta_sts) {
		say(s, "mta_sts = no");
		return answer_none(s);
	}
	if (!is_domain(domain, name)) {
		say(s, "not a domain that can have a policy");
		return answer_none(s);
	}
	if ((a = dns_peek(s->dns, name, DNS_TXT)) == NULL)
		return NULL;
	return judge(s, name + sizeof(PREFIX) - 1, a, id);
}

/* ---- questions ---- */

static void	job_join(struct sts_query *, const char *id);

static void
query_free(struct sts_query *q)
{
	free(q->domain);
	free(q);
}

static void
tell(struct sts_query *q, const struct sts_answer *answer)
{
	q->cb(q->arg, answer);
	query_free(q);
}

static void
on_txt(void *arg, const struct dns_answer *a)
{
	struct sts_query *q = arg;
	const struct sts_answer *answer;
	char id[STS_ID_MAX];

	q->txt = NULL;
	answer = judge(q->sts, q->domain, a, id);
	if (answer != NULL)
		tell(q, answer);
	else
		job_join(q, id);
}

static void
first_step(void *arg)
{
	struct sts_query *q = arg;
	const struct sts_answer *answer = sts_peek(q->sts, q->domain);
	char name[NAME_SIZE];

	if (answer != NULL) {
		tell(q, answer);
		return;
	}
	is_domain(q->domain, name);
	q->txt = dns_ask(q->sts->dns, name, DNS_TXT, on_txt, q);
}

struct sts_query *
sts_ask(struct sts *s, const char *domain, sts_cb *cb, void *arg)
{
	struct sts_query *q = xcalloc(1, sizeof(*q));

	q->sts = s;
	q->domain = xstrdup(domain);
	str_lower(q->domain);
	q->cb = cb;
	q->arg = arg;
	later_init(&q->later, first_step, q);
	loop_later(s->loop, &q->later);
	return q;
}

/* A policy that is on its way comes all the same: the next one will ask. */
void
sts_cancel(struct sts_query *q)
{
	if (q == NULL)
		return;
	loop_forget(q->sts->loop, &q->later);
	if (q->txt != NULL)
		dns_cancel(q->txt);
	if (q->job != NULL)
		TAILQ_REMOVE(&q->job->queries, q, next);
	query_free(q);
}

/* ---- jobs ---- */

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
		tell(q, answer_of(s, e, is_kept));
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
		e->refresh_s = now_s() + HOUR_S;
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
	char error[256], why[WHY_MAX];

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
	if (sts_cache_put(s->cache, e, policy, now_s()) == -1)
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
	sts_cache_expire(job->sts->cache, e, now_s());
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

static void
job_join(struct sts_query *q, const char *id)
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
	e->refresh_s = now_s() + HOUR_S;
	/* Who has come meanwhile gets what is kept. */
	TAILQ_INSERT_TAIL(&s->running, job, next);
	job_end(job, true);
}

static void
refresh(struct sts *s, struct sts_entry *e)
{
	struct sts_job *job = job_new(s, e);
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), PREFIX "%s", e->domain);
	TAILQ_INSERT_TAIL(&s->refreshing, job, next);
	job->txt = dns_ask(s->dns, name, DNS_TXT, on_refresh_txt, job);
}

static void
refresh_due(struct sts *s)
{
	unsigned n = 0;
	struct sts_entry *e, *next;
	int64_t at_s = now_s();

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

/* ---- all of it ---- */

struct sts *
sts_new(struct loop *loop, struct dns *dns, const struct sts_conf *conf,
    char *error, size_t size)
{
	struct sts *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->dns = dns;
	s->conf = conf;
	TAILQ_INIT(&s->refreshing);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->running);
	timer_init(&s->tick, loop, on_tick, s);
	if (!conf->mta_sts)
		return s;
	s->cache = sts_cache_new(conf->mta_sts_cache,
	    (size_t)conf->mta_sts_cache_size, error, size);
	if (s->cache != NULL)
		s->fetcher = sts_fetcher_new(loop, dns, conf, error, size);
	if (s->fetcher == NULL) {
		sts_free(s);
		return NULL;
	}
	timer_set(&s->tick, 1);
	return s;
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
sts_free(struct sts *s)
{
	if (s == NULL)
		return;
	free_jobs(&s->refreshing);
	free_jobs(&s->waiting);
	free_jobs(&s->running);
	sts_fetcher_free(s->fetcher);
	sts_cache_free(s->cache);
	timer_clear(&s->tick);
	free(s);
}

void
sts_stats(const struct sts *s, struct sts_stats *stats)
{
	*stats = s->stats;
	stats->kept = s->cache != NULL ? sts_cache_count(s->cache) : 0;
}
