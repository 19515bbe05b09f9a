/*
 * sts.c - what MTA-STS says about a domain.
 *
 * Whether a policy is there and whether it is the kept one is asked of the
 * resolver, for each message: it keeps the TXT record by its TTL.  A policy
 * that is not kept is fetched by a job (sts_job.c).
 */
#include "route/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "route/sts_inner.h"
#include "route/sts_policy.h"

#define AT(field)	offsetof(struct sts_conf, field)

/* mta_sts_cache has no default: which folder an agent's user may write to is
 * known to who installs it, and in a chroot it is another one. */
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
const struct sts_answer *
sts_answer_of(struct sts *s, const struct sts_entry *e, bool is_kept)
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
		sts_cache_expire(s->cache, e, clock_wall_s());
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
is_domain(const char *domain, char name[STS_NAME_SIZE])
{
	size_t n = sizeof(STS_PREFIX) - 1;

	if (strlen(domain) + n >= DNS_NAME_MAX)
		return false;
	snprintf(name, STS_NAME_SIZE, STS_PREFIX "%s", domain);
	str_lower(name + n);
	return name[n] != '.' && name[n] != '\0' && strspn(name + n,
	    "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name + n);
}

const struct sts_answer *
sts_peek(struct sts *s, const char *domain)
{
	char name[STS_NAME_SIZE], id[STS_ID_MAX];
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
	return judge(s, name + sizeof(STS_PREFIX) - 1, a, id);
}

/* ---- questions ---- */

static void
query_free(struct sts_query *q)
{
	free(q->domain);
	free(q);
}

void
sts_tell(struct sts_query *q, const struct sts_answer *answer)
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
		sts_tell(q, answer);
	else
		sts_job_join(q, id);
}

static void
first_step(void *arg)
{
	struct sts_query *q = arg;
	const struct sts_answer *answer = sts_peek(q->sts, q->domain);
	char name[STS_NAME_SIZE];

	if (answer != NULL) {
		sts_tell(q, answer);
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

/* ---- all of it ---- */

struct sts *
sts_new(struct loop *loop, struct dns *dns, const struct sts_conf *conf,
    char *error, size_t size)
{
	struct sts *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->dns = dns;
	s->conf = conf;
	sts_jobs_init(s);
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
	sts_jobs_start(s);
	return s;
}

void
sts_free(struct sts *s)
{
	if (s == NULL)
		return;
	sts_jobs_free(s);
	sts_fetcher_free(s->fetcher);
	sts_cache_free(s->cache);
	free(s);
}

void
sts_stats(const struct sts *s, struct sts_stats *stats)
{
	*stats = s->stats;
	stats->kept = s->cache != NULL ? sts_cache_count(s->cache) : 0;
}
