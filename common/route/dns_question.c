/* dns_question.c - servers asked in turn, answers judged. */
#include "route/dns_question.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <string.h>

#include "base/mem.h"
#include "route/dns_inner.h"

static void	next_try(struct dns_question *);
static bool	on_answer(struct dns_try *, const uint8_t *, size_t);
static void	on_failed(struct dns_try *, int);

static const struct dns_try_ops try_ops = {
	.answer = on_answer,
	.failed = on_failed,
};

static int64_t
now_ms(const struct dns_question *q)
{
	return loop_now_ms(q->dns->loop);
}

/* ---- the end ---- */

static void
finish(struct dns_question *q, const struct dns_answer *said, int64_t keep_ms)
{
	struct dns_answer a = *said;
	char asked[DNS_TEXT_MAX];

	dns_name_format(&q->asked, asked);
	a.type = q->type;
	a.asked = asked;
	dns_question_done(q, dns_kept_new(&a, &q->asked), keep_ms);
}

static void
fail(struct dns_question *q, const char *error)
{
	struct dns_server *by = q->error_by;
	struct dns_answer a = { .status = DNS_FAILED };
	char name[DNS_TEXT_MAX];

	dns_name_format(&q->at, name);
	a.name = name;
	a.is_alias = q->ncnames > 0;
	a.error = error;
	a.server = by == NULL ? "" : by->text;
	q->dns->stats.failed++;
	finish(q, &a, 0);
}

/* At most so long (RFC 2308 §5 for the negative ones). */
static int64_t
time_to_keep(const struct dns_conf *conf, enum dns_status status,
    uint32_t ttl_s)
{
	int64_t ms = (int64_t)ttl_s * 1000;
	int64_t max = status == DNS_OK ? conf->dns_ttl_max_ms :
	    conf->dns_negative_ttl_max_ms;

	if (ttl_s == 0)
		return 0;
	if (ms < conf->dns_ttl_min_ms)
		ms = conf->dns_ttl_min_ms;
	return ms < max ? ms : max;
}

/* ---- tries ---- */

static size_t
index_of(const struct dns_question *q, const struct dns_server *s)
{
	size_t i;

	for (i = 0; q->order[i] != s; i++)
		;
	return i;
}

static void
drop_try(struct dns_question *q, struct dns_try *t)
{
	TAILQ_REMOVE(&q->tries, t, next);
	q->ntries--;
	dns_try_free(t);
}

static void
drop_tries(struct dns_question *q)
{
	struct dns_try *t;

	while ((t = TAILQ_FIRST(&q->tries)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		drop_try(q, t);
}

static void
set_error(struct dns_question *q, struct dns_server *by, const char *error)
{
	q->error = error;
	dns_server_ref(by);
	dns_server_unref(q->error_by);
	q->error_by = by;
}

/* What a server said is worth more than that one cannot be reached. */
static void
set_weak_error(struct dns_question *q, struct dns_server *by,
    const char *error)
{
	if (q->out == 0)
		set_error(q, by, error);
}

/* So that every server has its turns within the time. */
static int64_t
time_to_wait(const struct dns_question *q)
{
	const struct dns_resolv *r = dns_servers_now(q->dns->servers,
	    now_ms(q));
	int64_t part = q->timeout_ms / (int64_t)(q->nservers * r->attempts);
	int64_t ms = r->timeout_ms << q->round;
	int64_t left = q->deadline_ms - now_ms(q);

	if (ms > part)
		ms = part;
	if (ms < DNS_WAIT_MIN_MS)
		ms = DNS_WAIT_MIN_MS;
	return ms < left ? ms : left;
}

/* The end of this try's wait, or its repetition before. */
static void
set_timer(struct dns_question *q, const struct dns_try *t)
{
	int64_t wait = t->until_ms - now_ms(q);

	timer_set(&q->timer, t->is_tcp || wait < q->repeat_ms ? wait :
	    q->repeat_ms);
}

static int
ask(struct dns_question *q, struct dns_server *s, bool is_tcp)
{
	bool has_edns = s->no_edns_until_ms <= now_ms(q) &&
	    !(q->without_edns & 1U << index_of(q, s));
	struct dns_try *t = dns_try_new(q->dns->loop, s, &q->at, q->type,
	    has_edns, is_tcp, &try_ops, q);

	int error = errno;

	if (t == NULL) {
		set_weak_error(q, s, strerror(error));
		/* EMFILE and the like are none of the server's. */
		if (error == ECONNREFUSED || error == ENETUNREACH ||
		    error == EHOSTUNREACH)
			dns_server_is_down(s, now_ms(q));
		return -1;
	}
	q->dns->stats.sent++;
	q->repeat_ms = DNS_REPEAT_MS;
	TAILQ_INSERT_TAIL(&q->tries, t, next);
	if (++q->ntries > DNS_TRIES_OPEN_MAX)
		drop_try(q, TAILQ_FIRST(&q->tries));
	t->until_ms = now_ms(q) + time_to_wait(q);
	set_timer(q, t);
	return 0;
}

/* The same server in another way. */
static void
ask_again(struct dns_question *q, struct dns_server *s, bool is_tcp)
{
	if (ask(q, s, is_tcp) == -1 && TAILQ_EMPTY(&q->tries))
		next_try(q);
}

static void
set_pause(struct dns_question *q)
{
	int64_t left = q->deadline_ms - now_ms(q);

	timer_set(&q->timer, left < DNS_PAUSE_MS ? left : DNS_PAUSE_MS);
}

static void
next_try(struct dns_question *q)
{
	const struct dns_resolv *r = dns_servers_now(q->dns->servers,
	    now_ms(q));
	unsigned all = (1U << q->nservers) - 1;
	struct dns_try *t;
	size_t i;

	for (;;) {
		if (q->turn == q->nservers) {
			q->turn = 0;
			q->round++;
		}
		if (q->round >= r->attempts || (q->out & all) == all)
			break;
		if (q->turn == 0 && q->round > q->paused &&
		    TAILQ_EMPTY(&q->tries)) {
			q->paused = q->round;
			set_pause(q);
			return;
		}
		i = q->turn++;
		if (!(q->out & 1U << i) && ask(q, q->order[i], r->is_tcp) == 0)
			return;
	}
	if (TAILQ_EMPTY(&q->tries)) {
		fail(q, q->error);
		return;
	}
	t = TAILQ_LAST(&q->tries, dns_try_list);
	t->until_ms = q->deadline_ms;
	set_timer(q, t);
}

static void
on_timer(void *arg)
{
	struct dns_question *q = arg;
	struct dns_try *t = TAILQ_LAST(&q->tries, dns_try_list);

	if (t != NULL && t->until_ms > now_ms(q)) {
		if (dns_try_repeat(t))
			q->dns->stats.sent++;
		q->repeat_ms *= 2;
		set_timer(q, t);
		return;
	}
	if (t != NULL)
		dns_server_missed(t->server, t->sent_ms, now_ms(q));
	if (q->deadline_ms > now_ms(q)) {
		next_try(q);
		return;
	}
	q->dns->stats.timed_out++;
	if (t != NULL && q->error == NULL)
		set_error(q, t->server, "timed out");
	fail(q, q->error == NULL ? "timed out" : q->error);
}

/* ---- what came ---- */

/* This server has nothing to say to this question. */
static void
rule_out(struct dns_question *q, struct dns_server *s, const char *error,
    bool was_newest)
{
	q->out |= 1U << index_of(q, s);
	set_error(q, s, error);
	if (was_newest || TAILQ_EMPTY(&q->tries))
		next_try(q);
}

/*
 * A validating server says SERVFAIL where signatures are wrong.  Servers that
 * are not trusted would tell the forged answer then.
 */
static void
rule_out_untrusted(struct dns_question *q)
{
	struct dns_try *t, *next;
	size_t i;

	for (i = 0; i < q->nservers; i++)
		if (!q->order[i]->is_trusted)
			q->out |= 1U << i;
	for (t = TAILQ_FIRST(&q->tries); t != NULL; t = next) {
		next = TAILQ_NEXT(t, next);
		if (!t->server->is_trusted)
			drop_try(q, t);
	}
}

static void
lower_ttl(struct dns_question *q, uint32_t ttl_s)
{
	if (ttl_s < q->ttl_s)
		q->ttl_s = ttl_s;
}

static void
answer(struct dns_question *q, const struct dns_reply *reply,
    struct dns_server *by)
{
	struct dns_answer a = reply->a;
	char name[DNS_TEXT_MAX];
	int64_t keep_ms = 0;

	q->ncnames += reply->ncnames;
	lower_ttl(q, reply->has_ttl ? reply->a.ttl_s : 0);
	if (reply->has_ttl)
		keep_ms = time_to_keep(q->dns->conf, a.status, q->ttl_s);
	dns_name_format(&reply->name, name);
	a.name = name;
	a.is_alias = q->ncnames > 0;
	a.is_secure = q->is_secure && by->is_trusted && reply->is_ad;
	a.server = by->text;
	a.ttl_s = keep_ms > 0 ? (uint32_t)((keep_ms + 999) / 1000) : q->ttl_s;
	finish(q, &a, keep_ms);
}

/* The end of the CNAMEs is known from before. */
static void
answer_known(struct dns_question *q, const struct dns_kept *known)
{
	struct dns_answer a = known->a;

	lower_ttl(q, a.ttl_s);
	a.is_alias = true;
	a.is_secure &= q->is_secure;
	a.ttl_s = q->ttl_s;
	finish(q, &a, time_to_keep(q->dns->conf, a.status, q->ttl_s));
}

static void
follow(struct dns_question *q, const struct dns_reply *reply,
    struct dns_server *by)
{
	const struct dns_kept *known;

	q->ncnames += reply->ncnames;
	q->is_secure &= by->is_trusted && reply->is_ad;
	lower_ttl(q, reply->a.ttl_s);
	q->at = reply->name;
	if ((known = dns_known(q->dns, &q->at, q->type)) != NULL) {
		answer_known(q, known);
		return;
	}
	drop_tries(q);
	q->turn = 0;
	q->round = q->paused = q->out = 0;
	next_try(q);
}

/* Those who do not know EDNS (RFC 6891 §7) say so in one of these ways. */
static bool
is_about_edns(unsigned rcode)
{
	return rcode == LDNS_RCODE_FORMERR || rcode == LDNS_RCODE_NOTIMPL;
}

static void
judge(struct dns_question *q, const struct dns_reply *reply,
    struct dns_server *s, const struct dns_try *was, bool was_newest)
{
	unsigned bit = 1U << index_of(q, s);

	if (reply->kind == DNS_REPLY_ERROR && was->has_edns &&
	    is_about_edns(reply->rcode)) {
		q->without_edns |= bit;
		ask_again(q, s, was->is_tcp);
		return;
	}
	if ((q->without_edns & bit) && reply->kind != DNS_REPLY_ERROR)
		s->no_edns_until_ms = now_ms(q) + DNS_NO_EDNS_MS;
	switch (reply->kind) {
	case DNS_REPLY_FOREIGN:
		break;			/* never comes here */
	case DNS_REPLY_TRUNCATED:
		if (was->is_tcp)
			rule_out(q, s, "truncated answer over TCP",
			    was_newest);
		else
			ask_again(q, s, true);
		break;
	case DNS_REPLY_ERROR:
		if (reply->rcode == LDNS_RCODE_SERVFAIL && s->is_trusted)
			rule_out_untrusted(q);
		rule_out(q, s, dns_rcode_text(reply->rcode), was_newest);
		break;
	case DNS_REPLY_LAME:
		rule_out(q, s, "server does not recurse", was_newest);
		break;
	case DNS_REPLY_GARBAGE:
		rule_out(q, s, "broken answer", was_newest);
		break;
	case DNS_REPLY_CHAIN:
		set_error(q, s, NULL);
		fail(q, "too many CNAMEs");
		break;
	case DNS_REPLY_FOLLOW:
		follow(q, reply, s);
		break;
	case DNS_REPLY_ANSWER:
		answer(q, reply, s);
		break;
	}
}

static bool
on_answer(struct dns_try *t, const uint8_t *packet, size_t n)
{
	struct dns_question *q = t->arg;
	struct dns_server *s = t->server;
	struct arena *arena = arena_new(1024);
	struct dns_reply reply;
	struct dns_try was = *t;
	bool was_newest = TAILQ_NEXT(t, next) == NULL;

	dns_packet_read(&reply, packet, n, t->id, &q->at, q->type,
	    DNS_CNAMES_MAX - q->ncnames, arena);
	if (reply.kind == DNS_REPLY_FOREIGN) {
		arena_free(arena);
		return false;
	}
	dns_server_ref(s);
	drop_try(q, t);
	dns_server_answered(s, now_ms(q));
	judge(q, &reply, s, &was, was_newest);
	dns_server_unref(s);
	arena_free(arena);
	return true;
}

static void
on_failed(struct dns_try *t, int error)
{
	struct dns_question *q = t->arg;
	struct dns_server *s = dns_server_ref(t->server);
	bool was_newest = TAILQ_NEXT(t, next) == NULL, was_tcp = t->is_tcp;

	drop_try(q, t);
	if (error == EBADMSG && !was_tcp)
		ask_again(q, s, true);	/* where nobody can guess */
	else {
		if (!was_tcp || dns_servers_now(q->dns->servers,
		    now_ms(q))->is_tcp)
			dns_server_is_down(s, now_ms(q));
		set_weak_error(q, s, error == EBADMSG ?
		    "answers to other questions" : strerror(error));
		if (was_newest || TAILQ_EMPTY(&q->tries))
			next_try(q);
	}
	dns_server_unref(s);
}

/* ---- life ---- */

void
dns_question_init(struct dns_question *q, struct dns *dns,
    const struct dns_name *name, enum dns_type type, int64_t timeout_ms)
{
	memset(q, 0, sizeof(*q));
	q->dns = dns;
	q->asked = q->at = *name;
	q->type = type;
	q->is_secure = true;
	q->ttl_s = UINT32_MAX;
	TAILQ_INIT(&q->queries);
	TAILQ_INIT(&q->tries);
	q->timeout_ms = timeout_ms;
	q->deadline_ms = now_ms(q) + timeout_ms;
	timer_init(&q->timer, dns->loop, on_timer, q);
	timer_set(&q->timer, timeout_ms);
}

void
dns_question_start(struct dns_question *q)
{
	q->is_started = true;
	q->nservers = dns_servers_order(q->dns->servers, now_ms(q), q->order);
	next_try(q);
}

void
dns_question_clear(struct dns_question *q)
{
	size_t i;

	drop_tries(q);
	for (i = 0; i < q->nservers; i++)
		dns_server_unref(q->order[i]);
	dns_server_unref(q->error_by);
	timer_clear(&q->timer);
}
