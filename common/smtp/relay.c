/*
 * relay.c - one envelope to the hosts that may take it.
 *
 * An attempt is one transaction with one address of one host.  It begins with
 * a place in the pool and ends in one of three ways: recipients are answered,
 * recipients go into another transaction (put off by 452, or more than
 * max_recipients), or the attempt failed and the next address or host gets
 * what is open.  What failed before is remembered: if no host is left, the
 * failure that got furthest is the answer.
 */
#include "smtp/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/pool.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "smtp/session.h"
#include "smtp/source.h"
#include "smtp/tx.h"

#define BROKEN_MAX	256
#define BROKEN_MS	(600 * 1000)

enum work_state { WORK_IDLE, WORK_RESOLVING, WORK_WAITING, WORK_TALKING };

/* A failure to fall back on; texts in the delivery's arena. */
struct failure {
	struct reply	 reply;
	const char	*host, *address;
	uint16_t	 port;
};

/* One delivery; in its arena. */
struct work {
	struct smtp_job	 job;
	struct smtp_relay *relay;
	enum work_state	 state;
	const struct hostspec *hosts;
	uint32_t	 nhosts, host;	/* host: the present one */
	struct addr	*addrs;		/* of it */
	uint32_t	 naddrs, addr;
	uint32_t	*todo;		/* recipients in no transaction */
	uint32_t	 ntodo;
	bool		 has_source;	/* the envelope's */
	bool		 has_bind;	/* source is to be bound */
	struct addr	 source;
	const char	*ehlo;
	bool		 want_fresh;	/* a kept connection has failed us */
	bool		 has_retried;
	uint32_t	 nfailed;	/* addresses tried in vain */
	struct failure	 best;		/* nfailed > 0 */
	struct resolve_query *query;
	struct pool_wait wait;
	struct tls_policy policy;	/* for the present address */
	bool		 no_tls;	/* its TLS is broken, and not needed */
	const char	*key;		/* what a connection is made with */
	struct smtp_session *session;	/* WORK_TALKING */
	struct smtp_tx	*tx;
};

struct broken_tls {		/* a host that fails the handshake */
	struct addr	 addr;
	int64_t		 until_ms;
};

struct smtp_relay {
	struct agent	*agent;
	struct loop	*loop;
	struct smtp_relay_conf conf;
	const struct smtp_conf *smtp;
	struct arena	*arena;		/* of hosts */
	struct hostspec	*hosts;
	char		*ehlo;
	struct source_set *sources;
	struct resolver	*resolver;	/* once a name was met */
	struct pool	*pool;
	struct tls_ctx	*tls_ctx;
	struct auth	*auth;		/* NULL: none */
	struct broken_tls broken[BROKEN_MAX];
	uint32_t	 nbroken;	/* used; the oldest goes first */
	LIST_HEAD(, smtp_session) sessions;
	uint64_t	 connections, reused;
};

static void	 try_address(struct work *);
static void	 next_address(struct work *);

/* ---- answers ---- */

static void
answer_rest(struct work *w, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };

	delivery_answer_rest(w->job.d, &a);
}

static void
answer_cause(struct work *w, enum cause cause, const char *detail)
{
	struct reply r;

	reply_cause(&r, w->job.d->arena, STAGE_NONE, cause, detail);
	answer_rest(w, &r);
}

/*
 * Which failure is told when no host is left: a transient one before a
 * permanent one, because another host might still take the message; then the
 * one that got furthest in a dialogue; of equals the last.
 */
static bool
is_better(const struct reply *new, const struct reply *old)
{
	bool new_soft = new->cls == REPLY_TRANSIENT;
	bool old_soft = old->cls == REPLY_TRANSIENT;

	return new_soft != old_soft ? new_soft : new->stage >= old->stage;
}

static void
remember(struct work *w, const struct reply *r, const char *host,
    const char *address, uint16_t port)
{
	struct arena *arena = w->job.d->arena;
	struct failure *best = &w->best;

	if (w->nfailed++ > 0 && !is_better(r, &best->reply))
		return;
	best->reply = *r;
	best->reply.text = arena_strdup(arena, r->text);
	best->host = arena_strdup(arena, host);
	best->address = arena_strdup(arena, address);
	best->port = port;
}

/* No host is left. */
static void
give_up(struct work *w)
{
	struct failure *best = &w->best;
	struct answer a;

	memset(&a, 0, sizeof(a));
	if (w->nfailed == 0) {
		answer_cause(w, CAUSE_INTERNAL, "no host to try");
		return;
	}
	a.reply = best->reply;
	a.host = best->host;
	a.address = best->address;
	a.port = best->port;
	if (w->nfailed > 1)
		a.reply.text = arena_printf(w->job.d->arena,
		    "%s (%u hosts or addresses tried)", best->reply.text,
		    w->nfailed);
	delivery_answer_rest(w->job.d, &a);
}

/* ---- hosts whose TLS is broken ---- */

static struct broken_tls *
find_broken(struct smtp_relay *r, const struct addr *addr)
{
	uint32_t i;

	for (i = 0; i < r->nbroken && i < BROKEN_MAX; i++)
		if (r->broken[i].until_ms > loop_now_ms(r->loop) &&
		    addr_equal(&r->broken[i].addr, addr))
			return &r->broken[i];
	return NULL;
}

static void
note_broken(struct smtp_relay *r, const struct addr *addr)
{
	struct broken_tls *b = find_broken(r, addr);

	if (b == NULL)
		b = &r->broken[r->nbroken++ % BROKEN_MAX];
	b->addr = *addr;
	b->until_ms = loop_now_ms(r->loop) + BROKEN_MS;
}

/* ---- transactions ---- */

/* One for as many of the recipients to do as may go together. */
static struct smtp_tx *
make_tx(struct work *w)
{
	uint32_t n = w->ntodo, max = (uint32_t)w->relay->smtp->max_recipients;
	struct smtp_tx *tx;

	if (n > max)
		n = max;
	tx = tx_new(&w->job, w->todo, n);
	w->ntodo -= n;
	memmove(w->todo, w->todo + n, w->ntodo * sizeof(*w->todo));
	tx->wait_ms = (uint32_t)(loop_now_ms(w->relay->loop) -
	    w->job.d->start_ms);
	w->tx = tx;
	return tx;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The recipients of tx that have no answer are to be done again, in their
 * order. */
static void
take_back(struct work *w, struct smtp_tx *tx)
{
	uint32_t i;

	for (i = 0; i < tx->nrcpt; i++)
		if (tx->rcpts[i].state != RCPT_DONE)
			w->todo[w->ntodo++] = tx->rcpts[i].index;
	if (w->ntodo > 1)
		qsort(w->todo, w->ntodo, sizeof(*w->todo), by_number);
	w->tx = NULL;
	w->session = NULL;
	w->state = WORK_IDLE;
}

/* The session is free: for the next one, or to be ended. */
static void
release(struct smtp_relay *r, struct smtp_session *s)
{
	if (smtp_session_is_usable(s))
		pool_idle(r->pool, &s->place);
	else
		smtp_session_quit(s);
}

/* A transaction for what is to do, over this session. */
static void
talk(struct work *w, struct smtp_session *s)
{
	w->state = WORK_TALKING;
	w->session = s;
	smtp_session_start(s, make_tx(w));
}

static void
on_tx_over(struct smtp_session *s, struct smtp_tx *tx)
{
	struct smtp_relay *r = s->owner;
	struct work *w = NULL;

	if (tx->job != NULL) {
		w = (struct work *)(void *)tx->job;
		w->job.d->is_past_end = false;
		take_back(w, tx);
	}
	tx_free(tx);
	agent_touch_stats(r->agent);
	if (w == NULL)
		release(r, s);
	else if (smtp_session_is_usable(s))
		talk(w, s);
	else {
		smtp_session_quit(s);
		try_address(w);
	}
}

static void
tell_failed(struct work *w, struct smtp_session *s, const struct reply *r)
{
	struct answer a = {
		.reply = *r,
		.host = s->host,
		.address = s->address,
		.port = addr_port(&s->addr),
	};

	delivery_answer_rest(w->job.d, &a);
}

/*
 * What is open goes on: to the same address if only a kept connection was
 * stale (once), or if the message is through and these had been put off; to
 * the next address or host if this one takes no mail now; else the failure is
 * the answer.
 */
static void
on_failed(struct smtp_session *s, struct smtp_tx *tx, const struct reply *r,
    enum smtp_failure how)
{
	struct work *w;
	bool is_stale, is_sent;

	if (tx == NULL)
		return;
	is_sent = tx->dot != UNSAID && tx_any_done(tx);
	is_stale = tx->is_reused && how != FAIL_LOCAL &&
	    (tx->dot == UNSAID || how == FAIL_CLOSING);
	w = tx->job == NULL ? NULL : (struct work *)(void *)tx->job;
	if (w != NULL)
		take_back(w, tx);
	tx_free(tx);
	if (w == NULL)
		return;
	if (is_sent || (is_stale && !w->has_retried)) {
		w->has_retried |= is_stale;
		w->want_fresh = true;
		w->job.d->is_past_end = false;
		try_address(w);
	} else if (how == FAIL_TLS && w->policy.level == TLS_MAY) {
		note_broken(w->relay, &w->addrs[w->addr]);
		w->no_tls = true;			/* RFC 7435 */
		try_address(w);
	} else if (how == FAIL_MESSAGE || how == FAIL_LOCAL)
		tell_failed(w, s, r);
	else {
		remember(w, r, s->host, s->address, addr_port(&s->addr));
		next_address(w);
	}
}

static void
on_gone(struct smtp_session *s)
{
	struct smtp_relay *r = s->owner;

	pool_leave(r->pool, &s->place);
	LIST_REMOVE(s, next);
	smtp_session_free(s);
	if (LIST_EMPTY(&r->sessions))
		agent_quiet(r->agent);
}

static const struct smtp_session_ops session_ops = {
	.tx_over = on_tx_over,
	.failed = on_failed,
	.gone = on_gone,
};

/* ---- a place at the host ---- */

/* The local address for a connection to addr: the envelope's, or one of the
 * relay's; false: there is none of that family. */
static bool
pick_source(struct work *w, const struct addr *addr,
    const struct addr **source_r)
{
	if (!w->has_source) {
		*source_r = source_pick(w->relay->sources, addr_family(addr),
		    &w->job.d->env);
		return true;
	}
	*source_r = &w->source;
	return addr_family(addr) == addr_family(&w->source);
}

/* What TLS must be on a connection for this envelope to this address. */
static void
pick_policy(struct work *w, const struct addr *addr)
{
	w->policy = tls_policy_of(w->relay->conf.tls, TLS_FOR_HOST, addr);
	if ((w->job.d->env.flags & ENV_REQUIRETLS) != 0)
		w->policy.level = TLS_VERIFY;		/* RFC 8689 §4.2.1 */
	if (w->policy.level == TLS_MAY && !w->policy.is_wrapper &&
	    (w->no_tls || find_broken(w->relay, addr) != NULL))
		w->policy.level = TLS_NONE;
}

/* What a kept connection must have been made with; the account is one for
 * the relay. */
static void
make_key(struct work *w, const struct addr *source)
{
	char text[ADDR_TEXT_MAX] = "";

	if (source != NULL)
		addr_format(source, text, sizeof(text));
	if (w->policy.level == TLS_NONE)
		w->key = arena_printf(w->job.d->arena, "%s %s", text, w->ehlo);
	else
		w->key = arena_printf(w->job.d->arena, "%s %s %s %s", text,
		    w->ehlo, tls_policy_text(&w->policy),
		    w->hosts[w->host].host);
}

static void
ask_for_place(struct work *w)
{
	struct smtp_relay *r = w->relay;
	int64_t until = loop_now_ms(r->loop) + r->smtp->queue_timeout_ms;

	if (w->job.d->deadline_ms != 0 && w->job.d->deadline_ms < until)
		until = w->job.d->deadline_ms;
	w->wait.key = w->key;
	w->wait.want_fresh = w->want_fresh;
	w->wait.until_ms = until;
	w->wait.arg = w;
	w->state = WORK_WAITING;
	pool_ask(r->pool, &w->addrs[w->addr], &w->wait);
}

/* The present address, once more or for the first time. */
static void
try_address(struct work *w)
{
	const struct addr *source, *addr = &w->addrs[w->addr];
	char text[ADDR_TEXT_MAX];
	struct reply r;

	if (w->job.d->deadline_ms != 0 &&
	    w->job.d->deadline_ms <= loop_now_ms(w->relay->loop)) {
		answer_cause(w, CAUSE_DEADLINE, NULL);
		return;
	}
	addr_format(addr, text, sizeof(text));
	if (!pick_source(w, addr, &source)) {
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_NO_SOURCE, text);
		remember(w, &r, w->hosts[w->host].host, text, addr_port(addr));
		next_address(w);
		return;
	}
	if (!w->has_source && source != NULL)
		w->source = *source;
	w->has_bind = source != NULL;
	pick_policy(w, addr);
	make_key(w, source);
	ask_for_place(w);
}

static void
open_failed(struct work *w, int error)
{
	const struct addr *addr = &w->addrs[w->addr];
	char text[ADDR_TEXT_MAX], source[ADDR_TEXT_MAX];
	struct reply r;

	addr_format(addr, text, sizeof(text));
	if (w->has_bind && (error == EADDRNOTAVAIL || error == EADDRINUSE))
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_SOURCE_FAILED, addr_format(&w->source, source,
		    sizeof(source)), strerror(error));
	else
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_LOCAL_ERROR, strerror(error));
	remember(w, &r, w->hosts[w->host].host, text, addr_port(addr));
	next_address(w);
}

static struct smtp_session *
session_of(struct pool_place *place)
{
	return (struct smtp_session *)(void *)place;
}

static void
on_granted(struct pool_wait *wait, struct pool_place *place)
{
	struct work *w = wait->arg;
	struct smtp_relay *r = w->relay;
	struct smtp_session *s;

	w->state = WORK_IDLE;
	if (place != NULL && !smtp_session_is_usable(session_of(place))) {
		/* It was idle until it was too old. */
		smtp_session_quit(session_of(place));
		ask_for_place(w);
		return;
	}
	if (place != NULL) {
		r->reused++;
		talk(w, session_of(place));
		return;
	}
	s = smtp_session_open(r->loop, r->smtp, &(struct smtp_target){
		.host = w->hosts[w->host].host,
		.addr = &w->addrs[w->addr],
		.source = w->has_bind ? &w->source : NULL,
		.key = w->key,
		.ehlo = w->ehlo,
		.is_lmtp = r->conf.is_lmtp,
		.policy = w->policy,
		.tls_ctx = r->tls_ctx,
		.auth = r->auth,
	}, &session_ops, r);
	if (s == NULL) {
		int error = errno;

		pool_decline(r->pool, wait);
		open_failed(w, error);
		return;
	}
	s->want_trace = agent_trace(r->agent);
	LIST_INSERT_HEAD(&r->sessions, s, next);
	r->connections++;
	pool_enter(wait, &s->place, s->key);
	talk(w, s);
}

static void
on_wait_over(struct pool_wait *wait)
{
	struct work *w = wait->arg;
	const struct addr *addr = &w->addrs[w->addr];
	char text[ADDR_TEXT_MAX], peer[512];

	w->state = WORK_IDLE;
	if (w->job.d->deadline_ms != 0 &&
	    w->job.d->deadline_ms <= loop_now_ms(w->relay->loop)) {
		answer_cause(w, CAUSE_DEADLINE, NULL);
		return;
	}
	snprintf(peer, sizeof(peer), "%s[%s]:%u", w->hosts[w->host].host,
	    addr_format(addr, text, sizeof(text)), addr_port(addr));
	answer_cause(w, CAUSE_BUSY, peer);
}

static void
on_close_idle(struct pool_place *place)
{
	smtp_session_quit(session_of(place));
}

static const struct pool_ops pool_ops = {
	.granted = on_granted,
	.timed_out = on_wait_over,
	.close_idle = on_close_idle,
};

/* ---- hosts and their addresses ---- */

static bool
family_fits(const struct smtp_conf *conf, const struct addr *a)
{
	if (addr_family(a) == AF_INET)
		return conf->address_family != FAMILY_IPV6;
	if (addr_family(a) == AF_INET6)
		return conf->address_family != FAMILY_IPV4 &&
		    !conf->ipv4_only;
	return true;
}

static void
host_failed(struct work *w, enum cause cause, const char *a, const char *b)
{
	const struct hostspec *h = &w->hosts[w->host];
	struct reply r;

	reply_cause(&r, w->job.d->arena, STAGE_NONE, cause, a, b);
	remember(w, &r, h->host, "", h->port);
}

/* Keeps those that may be used, with the host's port. */
static void
take_addresses(struct work *w, const struct addr *addrs, size_t n)
{
	const struct hostspec *h = &w->hosts[w->host];
	const struct smtp_conf *conf = w->relay->smtp;
	size_t i;

	w->addrs = arena_alloc(w->job.d->arena, n * sizeof(*w->addrs));
	w->naddrs = w->addr = 0;
	for (i = 0; i < n; i++)
		if (family_fits(conf, &addrs[i])) {
			w->addrs[w->naddrs] = addrs[i];
			addr_set_port(&w->addrs[w->naddrs++], h->port);
		}
	if (w->naddrs == 0)
		host_failed(w, CAUSE_NO_ADDRESS, h->host,
		    conf->address_family == FAMILY_IPV6 ? "IPv6" : "IPv4");
}

static void	 try_host(struct work *);

static void
next_host(struct work *w)
{
	w->host++;
	try_host(w);
}

static void
next_address(struct work *w)
{
	w->want_fresh = w->no_tls = false;
	if (++w->addr < w->naddrs)
		try_address(w);
	else
		next_host(w);
}

static void
on_resolved(void *arg, const struct resolved *found)
{
	struct work *w = arg;
	const struct hostspec *h = &w->hosts[w->host];

	w->query = NULL;
	w->state = WORK_IDLE;
	if (found->n == 0) {
		host_failed(w, found->is_temporary ? CAUSE_DNS_FAILED :
		    CAUSE_HOST_UNKNOWN, h->host, found->error);
		next_host(w);
		return;
	}
	take_addresses(w, found->addrs, found->n);
	if (w->naddrs == 0)
		next_host(w);
	else
		try_address(w);
}

static void
try_host(struct work *w)
{
	struct smtp_relay *r = w->relay;
	const struct hostspec *h = &w->hosts[w->host];
	struct addr a;

	if (w->host == w->nhosts) {
		give_up(w);
		return;
	}
	if (!h->is_unix && !h->is_literal) {
		if (r->resolver == NULL)
			r->resolver = resolver_new(r->loop,
			    r->smtp->dns_timeout_ms);
		w->state = WORK_RESOLVING;
		w->query = resolve(r->resolver, h->host, on_resolved, w);
		return;
	}
	if (h->is_unix)
		addr_unix(&a, h->host);
	else
		addr_parse(&a, h->host, h->port);
	take_addresses(w, &a, 1);
	if (w->naddrs == 0)
		next_host(w);
	else
		try_address(w);
}

/* ---- an envelope comes in ---- */

/* "host, [host]:port, unix:/path"; the array lies in the arena. */
static int
parse_hosts(const char *text, uint16_t default_port, struct arena *arena,
    struct work *w, const char **error_r)
{
	struct hostspec *hosts = arena_calloc(arena, RELAY_HOSTS_MAX,
	    sizeof(*hosts));
	const char *p = text, *one;
	size_t len;

	w->hosts = hosts;
	w->nhosts = 0;
	for (; *p != '\0'; p += len + strspn(p + len, ", ")) {
		len = strcspn(p, ", ");
		one = arena_strndup(arena, p, len);
		*error_r = "more hosts than are allowed";
		if (w->nhosts == RELAY_HOSTS_MAX ||
		    hostspec_parse(&hosts[w->nhosts++], one, default_port,
		    arena, error_r) == -1)
			return -1;
	}
	*error_r = "no host";
	return w->nhosts == 0 ? -1 : 0;
}

/* next hop, source, EHLO name that the envelope asks for; false: answered. */
static bool
take_overrides(struct work *w)
{
	struct delivery *d = w->job.d;
	const struct envelope *env = &d->env;
	const char *error;
	struct reply r;

	if (env->nexthop != NULL && parse_hosts(env->nexthop,
	    w->relay->conf.default_port, d->arena, w, &error) == -1) {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_NEXTHOP,
		    env->nexthop, error);
		answer_rest(w, &r);
		return false;
	}
	if (env->source != NULL) {
		w->has_source = addr_parse(&w->source, env->source, 0) == 0;
		if (!w->has_source) {
			reply_cause(&r, d->arena, STAGE_NONE,
			    CAUSE_BAD_OVERRIDE, "source address", env->source,
			    "not an IPv4 or IPv6 address");
			answer_rest(w, &r);
			return false;
		}
	}
	if (env->envid != NULL && !xtext_is_valid(env->envid)) {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_OVERRIDE,
		    "ENVID", env->envid, "not xtext");
		answer_rest(w, &r);
		return false;
	}
	w->ehlo = env->ehlo != NULL ? env->ehlo : w->relay->ehlo;
	if (strlen(w->ehlo) > DOMAIN_MAX || strpbrk(w->ehlo, " \t<>") != NULL ||
	    *w->ehlo == '\0') {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_OVERRIDE,
		    "EHLO name", w->ehlo, "not a host name");
		answer_rest(w, &r);
		return false;
	}
	return true;
}

static uint32_t
text_hash(const char *s)
{
	uint32_t h = 2166136261U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619U;
	return h;
}

static bool
is_equal(const struct rcpt *a, const struct rcpt *b)
{
	return strcmp(a->addr, b->addr) == 0 && a->notify == b->notify &&
	    (a->orcpt == NULL) == (b->orcpt == NULL) &&
	    (a->orcpt == NULL || strcmp(a->orcpt, b->orcpt) == 0);
}

/*
 * Of equal recipients only the first is to be done; the others hang on it as
 * twins and get its answer.  A table of twice their number, open addressing.
 */
static void
join_twins(struct work *w)
{
	const struct rcpt *rcpts = w->job.d->env.rcpts;
	uint32_t i, n = 0, who, at, size = 2 * w->ntodo, *table, *twin;
	struct arena *arena = w->job.d->arena;

	table = arena_alloc(arena, size * sizeof(*table));
	twin = arena_alloc(arena, w->job.d->env.nrcpt * sizeof(*twin));
	memset(table, 0xff, size * sizeof(*table));
	memset(twin, 0xff, w->job.d->env.nrcpt * sizeof(*twin));
	for (i = 0; i < w->ntodo; i++) {
		who = w->todo[i];
		at = text_hash(rcpts[who].addr) % size;
		while (table[at] != NO_TWIN &&
		    !is_equal(&rcpts[table[at]], &rcpts[who]))
			at = (at + 1) % size;
		if (table[at] == NO_TWIN)
			w->todo[n++] = table[at] = who;
		else {
			twin[who] = twin[table[at]];
			twin[table[at]] = who;
			w->job.twin = twin;
		}
	}
	w->ntodo = n;
}

/* The sender, and the recipients that can be said at all. */
static bool
take_addressees(struct work *w)
{
	struct delivery *d = w->job.d;
	struct answer a = { .host = "", .address = "" };
	uint32_t i, n = d->env.nrcpt;
	const char *error;

	if (*d->env.sender != '\0' && address_parse(d->env.sender, d->arena,
	    &w->job.sender, &error) == -1) {
		answer_cause(w, CAUSE_BAD_SENDER, error);
		return false;
	}
	w->todo = arena_alloc(d->arena, n * sizeof(*w->todo));
	w->job.rcpts = arena_calloc(d->arena, n, sizeof(*w->job.rcpts));
	for (i = 0; i < n; i++) {
		error = "its ORCPT is no xtext";
		if ((d->env.rcpts[i].orcpt == NULL ||
		    xtext_is_valid(d->env.rcpts[i].orcpt)) &&
		    address_parse(d->env.rcpts[i].addr, d->arena,
		    &w->job.rcpts[i], &error) == 0) {
			w->todo[w->ntodo++] = i;
			continue;
		}
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		delivery_answer(d, i, &a);
	}
	if (w->ntodo > 1)
		join_twins(w);
	return w->ntodo > 0;
}

void
smtp_relay_deliver(void *state, struct delivery *d)
{
	struct smtp_relay *r = state;
	struct work *w = arena_calloc(d->arena, 1, sizeof(*w));

	w->job.d = d;
	w->relay = r;
	w->hosts = r->hosts;
	w->nhosts = (uint32_t)r->conf.hosts->n;
	d->work = w;
	if (take_addressees(w) && take_overrides(w))
		try_host(w);
}

void
smtp_relay_cancel(void *state, struct delivery *d)
{
	struct smtp_relay *r = state;
	struct work *w = d->work;

	switch (w->state) {
	case WORK_RESOLVING:
		resolve_cancel(w->query);
		break;
	case WORK_WAITING:
		pool_take_back(r->pool, &w->wait);
		break;
	case WORK_TALKING:
		smtp_session_abort(w->session);
		tx_free(w->tx);
		break;
	case WORK_IDLE:
		break;
	}
	w->state = WORK_IDLE;
	answer_cause(w, CAUSE_CANCELLED, NULL);
}

/* ---- the whole ---- */

void
smtp_relay_drain(void *state)
{
	struct smtp_relay *r = state;

	pool_drain(r->pool);
}

bool
smtp_relay_is_busy(void *state)
{
	return !LIST_EMPTY(&((struct smtp_relay *)state)->sessions);
}

void
smtp_relay_stats(void *state, agent_stat *put, void *arg)
{
	const struct smtp_relay *r = state;
	struct pool_stats p;

	pool_stats(r->pool, &p);
	put(arg, "connections_opened", r->connections);
	put(arg, "connections_reused", r->reused);
	put(arg, "connections_now", p.places);
	put(arg, "connections_idle", p.idle);
	put(arg, "deliveries_waiting", p.waiting);
	put(arg, "hosts_now", p.hosts);
}

const char *
smtp_relay_check_host(const char *value)
{
	struct arena *arena = arena_new(256);
	struct hostspec h;
	const char *error;
	int result = hostspec_parse(&h, value, 1, arena, &error);

	arena_free(arena);
	return result == 0 ? NULL : "is not a name, an address, host:port, "
	    "[host]:port or unix:/path";
}

static int
take_hosts(struct smtp_relay *r, char *error, size_t size)
{
	const struct opt_list *list = r->conf.hosts;
	const char *why;
	size_t i;

	r->hosts = arena_calloc(r->arena, list->n, sizeof(*r->hosts));
	for (i = 0; i < list->n; i++)
		if (hostspec_parse(&r->hosts[i], list->v[i],
		    r->conf.default_port, r->arena, &why) == -1) {
			snprintf(error, size, "host: %s is %s", list->v[i],
			    why);
			return -1;
		}
	return 0;
}

struct smtp_relay *
smtp_relay_new(struct agent *agent, const struct smtp_relay_conf *conf,
    char *error, size_t size)
{
	struct smtp_relay *r = xcalloc(1, sizeof(*r));
	struct pool_limits limits = {
		.per_host = (uint32_t)conf->smtp->concurrent_connections,
		.idle_ms = conf->smtp->idle_timeout_ms,
		.share = agent_share(agent),
	};

	r->agent = agent;
	r->loop = agent_loop(agent);
	r->conf = *conf;
	r->smtp = conf->smtp;
	r->arena = arena_new(1024);
	if (take_hosts(r, error, size) == -1 || (r->ehlo =
	    smtp_ehlo_name(conf->smtp->ehlo_as, error, size)) == NULL) {
		smtp_relay_free(r);
		return NULL;
	}
	if ((r->tls_ctx = tls_ctx_new(conf->tls, error, size)) == NULL ||
	    ((r->auth = auth_new(conf->auth, conf->tls->certfile != NULL &&
	    *conf->tls->certfile != '\0', error, size)) == NULL &&
	    *error != '\0')) {
		smtp_relay_free(r);
		return NULL;
	}
	r->sources = source_set_new(conf->smtp);
	r->pool = pool_new(r->loop, &limits, &pool_ops);
	return r;
}

void
smtp_relay_free(void *state)
{
	struct smtp_relay *r = state;
	struct smtp_session *s;
	struct smtp_tx *tx;

	/* Who has not answered QUIT until now is not waited for. */
	while ((s = LIST_FIRST(&r->sessions)) != NULL) {
		tx = s->tx;
		smtp_session_abort(s);
		tx_free(tx);
		pool_leave(r->pool, &s->place);
		LIST_REMOVE(s, next);
		smtp_session_free(s);
	}
	pool_free(r->pool);
	resolver_free(r->resolver);
	tls_ctx_free(r->tls_ctx);
	auth_free(r->auth);
	source_set_free(r->sources);
	arena_free(r->arena);
	free(r->ehlo);
	free(r);
}
