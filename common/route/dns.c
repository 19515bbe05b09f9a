/*
 * dns.c - questions: known ones answered, equal ones asked once, the rest
 * given to dns_question.c, a bounded number at once.
 */
#include "route/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "route/dns_inner.h"

#define TIMEOUT_MS	30000		/* where the agent has none */

/* It waits with its question, or with its answer in the list of those ready. */
struct dns_query {
	TAILQ_ENTRY(dns_query) next;
	struct dns	*dns;
	struct dns_question *question;	/* NULL: ready */
	struct dns_kept	*kept;		/* a hold; if ready */
	dns_cb		*cb;
	void		*arg;
};

struct dns_kept *
dns_known(struct dns *d, const struct dns_name *name, enum dns_type type)
{
	struct dns_kept *k = NULL;

	if (d->hosts != NULL)
		k = dns_hosts_find(d->hosts, name, type, loop_now_ms(d->loop));
	return k != NULL ? k : dns_cache_find(d->cache, name, type,
	    loop_now_ms(d->loop));
}

/* ---- answers ---- */

static void
make_ready(struct dns_query *q, struct dns_kept *k)
{
	q->question = NULL;
	q->kept = dns_kept_ref(k);
	TAILQ_INSERT_TAIL(&q->dns->ready, q, next);
	loop_later(q->dns->loop, &q->dns->answer_later);
}

/* A callback may ask, peek and cancel. */
static void
on_answers(void *arg)
{
	struct dns *d = arg;
	struct dns_query *q;
	struct dns_kept *k;
	dns_cb *cb;
	void *cb_arg;

	while ((q = TAILQ_FIRST(&d->ready)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		k = q->kept;
		cb = q->cb;
		cb_arg = q->arg;
		TAILQ_REMOVE(&d->ready, q, next);
		free(q);
		cb(cb_arg, &k->a);
		dns_kept_unref(k);
	}
}

/* Out of all lists. */
static void
drop_question(struct dns_question *q)
{
	struct dns *d = q->dns;

	if (q->is_started)
		d->nstarted--;
	else {
		TAILQ_REMOVE(&d->line, q, in_line);
		d->nline--;
	}
	LIST_REMOVE(q, in_bucket);
	dns_question_clear(q);
	free(q);
	if (d->nline > 0)
		loop_later(d->loop, &d->start_later);
}

void
dns_question_done(struct dns_question *question, struct dns_kept *k,
    int64_t keep_ms)
{
	struct dns *d = question->dns;
	struct dns_query *q;

	if (keep_ms > 0)
		dns_cache_put(d->cache, k, loop_now_ms(d->loop) + keep_ms);
	while ((q = TAILQ_FIRST(&question->queries)) != NULL) {
		TAILQ_REMOVE(&question->queries, q, next);
		make_ready(q, k);
	}
	dns_kept_unref(k);
	drop_question(question);
}

/* ---- questions ---- */

static void
on_start(void *arg)
{
	struct dns *d = arg;
	struct dns_question *q;
	unsigned i;

	if (d->start_timer.due_ms != 0)
		return;			/* had its burst just now */
	for (i = 0; d->nstarted < DNS_ASKED_MAX &&
	    (q = TAILQ_FIRST(&d->line)) != NULL; i++) {
		if (i == DNS_BURST_MAX) {
			timer_set(&d->start_timer, 1);
			break;
		}
		TAILQ_REMOVE(&d->line, q, in_line);
		d->nline--;
		d->nstarted++;
		dns_question_start(q);
	}
}

static struct dns_question *
find_question(struct dns *d, const struct dns_name *name, enum dns_type type,
    uint32_t bucket)
{
	struct dns_question *q;

	LIST_FOREACH(q, &d->buckets[bucket], in_bucket)
		if (q->type == type && dns_name_equal(&q->asked, name))
			return q;
	return NULL;
}

/* With the query in it, which is answered at once if that is how it ends. */
static void
add_question(struct dns *d, struct dns_query *query,
    const struct dns_name *name, enum dns_type type)
{
	uint32_t bucket = dns_name_hash(name, type) % DNS_BUCKETS;
	struct dns_question *q = find_question(d, name, type, bucket);

	if (q == NULL) {
		q = xmalloc(sizeof(*q));
		dns_question_init(q, d, name, type,
		    d->conf->dns_timeout_ms > 0 ? d->conf->dns_timeout_ms :
		    TIMEOUT_MS);
		LIST_INSERT_HEAD(&d->buckets[bucket], q, in_bucket);
		TAILQ_INSERT_TAIL(&d->line, q, in_line);
		d->nline++;
		/* Others of this turn may ask the same, or take it back. */
		loop_later(d->loop, &d->start_later);
	}
	query->question = q;
	TAILQ_INSERT_TAIL(&q->queries, query, next);
}

/* An answer that no server gave. */
static struct dns_kept *
refusal(const char *name, enum dns_type type, enum dns_status status,
    const char *error)
{
	char text[DNS_TEXT_MAX];
	struct dns_answer a = { .type = type, .status = status,
	    .error = error, .server = "", .asked = text, .name = text };

	str_escape(text, sizeof(text), name, strnlen(name, sizeof(text)));
	str_lower(text);
	return dns_kept_new(&a, NULL);
}

struct dns_query *
dns_ask(struct dns *d, const char *text, enum dns_type type, dns_cb *cb,
    void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));
	struct dns_kept *known, *made = NULL;
	struct dns_name name;
	const char *error;

	q->dns = d;
	q->cb = cb;
	q->arg = arg;
	d->stats.asked++;
	if (dns_name_parse(&name, text, &error) == -1)
		made = refusal(text, type, DNS_BAD_NAME, error);
	else if ((known = dns_known(d, &name, type)) != NULL) {
		d->stats.cached++;
		make_ready(q, known);
	} else if (d->nline >= DNS_LINE_MAX)
		made = refusal(text, type, DNS_FAILED, "too many questions");
	else
		add_question(d, q, &name, type);
	if (made != NULL) {
		make_ready(q, made);
		dns_kept_unref(made);
	}
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	struct dns_question *question;

	if (q == NULL)
		return;
	if ((question = q->question) == NULL) {
		TAILQ_REMOVE(&q->dns->ready, q, next);
		dns_kept_unref(q->kept);
	} else {
		TAILQ_REMOVE(&question->queries, q, next);
		if (TAILQ_EMPTY(&question->queries))
			drop_question(question);
	}
	free(q);
}

const struct dns_answer *
dns_peek(struct dns *d, const char *text, enum dns_type type)
{
	struct dns_kept *k;
	struct dns_name name;
	const char *error;

	if (dns_name_parse(&name, text, &error) == -1) {
		dns_kept_unref(d->peeked);
		k = d->peeked = refusal(text, type, DNS_BAD_NAME, error);
	} else {
		if ((k = dns_known(d, &name, type)) == NULL)
			return NULL;
		d->stats.cached++;
	}
	d->stats.asked++;
	return &k->a;
}

/* ---- life ---- */

struct dns *
dns_new(struct loop *loop, const struct dns_conf *conf, char *error,
    size_t size)
{
	struct dns_servers *servers = dns_servers_new(conf, error, size);
	struct dns *d;
	size_t i;

	if (servers == NULL)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->loop = loop;
	d->conf = conf;
	d->servers = servers;
	if (conf->hosts_file != NULL && *conf->hosts_file != '\0')
		d->hosts = dns_hosts_new(conf->hosts_file);
	d->cache = dns_cache_new((size_t)conf->dns_cache_size);
	for (i = 0; i < DNS_BUCKETS; i++)
		LIST_INIT(&d->buckets[i]);
	TAILQ_INIT(&d->line);
	TAILQ_INIT(&d->ready);
	later_init(&d->start_later, on_start, d);
	timer_init(&d->start_timer, loop, on_start, d);
	later_init(&d->answer_later, on_answers, d);
	return d;
}

/* Questions that are open all the same are never answered. */
void
dns_free(struct dns *d)
{
	struct dns_question *question;
	struct dns_query *q;
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < DNS_BUCKETS; i++)
		while ((question = LIST_FIRST(&d->buckets[i])) != NULL) {
			while ((q = TAILQ_FIRST(&question->queries)) != NULL) {
				TAILQ_REMOVE(&question->queries, q, next);
				free(q);
			}
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			drop_question(question);
		}
	while ((q = TAILQ_FIRST(&d->ready)) != NULL)
		dns_cancel(q);
	loop_forget(d->loop, &d->start_later);
	timer_clear(&d->start_timer);
	loop_forget(d->loop, &d->answer_later);
	dns_servers_free(d->servers);
	dns_hosts_free(d->hosts);
	dns_cache_free(d->cache);
	dns_kept_unref(d->peeked);
	free(d);
}

bool
dns_can_be_secure(const struct dns *d)
{
	return dns_servers_have_trusted(d->servers);
}

void
dns_stats(const struct dns *d, struct dns_stats *stats)
{
	*stats = d->stats;
	stats->entries = dns_cache_count(d->cache);
}
