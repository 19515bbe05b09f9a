/*
 * mx_host.c - a host of a route: its addresses, and the terms on which it may
 * be connected to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_dane.h"
#include "route/mx_router.h"

static struct route_target *
target_new(struct arena *arena)
{
	struct route_target *t = arena_calloc(arena, 1, sizeof(*t));

	t->addrs = arena_alloc(arena, ROUTE_ADDRS_MAX * sizeof(*t->addrs));
	t->why = "";
	return t;
}

/* The next address of the wanted family, from i on; n: none. */
static size_t
next_of(const struct route_target *t, size_t i, int family)
{
	while (i < t->n && addr_family(&t->addrs[i]) != family)
		i++;
	return i;
}

/* IPv6 and IPv4 in turn, so that a dead family costs one wait (RFC 8305 §4);
 * within one in any order. */
static void
interleave(struct route_target *t)
{
	struct addr sorted[ROUTE_ADDRS_MAX], swap;
	size_t i, j, v4, v6, n = 0;

	for (i = t->n; i > 1; i--) {
		j = arc4random_uniform((uint32_t)i);
		swap = t->addrs[i - 1];
		t->addrs[i - 1] = t->addrs[j];
		t->addrs[j] = swap;
	}
	v6 = next_of(t, 0, AF_INET6);
	v4 = next_of(t, 0, AF_INET);
	while (n < t->n) {
		if (v6 < t->n) {
			sorted[n++] = t->addrs[v6];
			v6 = next_of(t, v6 + 1, AF_INET6);
		}
		if (v4 < t->n) {
			sorted[n++] = t->addrs[v4];
			v4 = next_of(t, v4 + 1, AF_INET);
		}
	}
	memcpy(t->addrs, sorted, n * sizeof(sorted[0]));
}

/* ---- addresses that must not be used ---- */

static bool
is_own_address(const struct mx_router *r, const struct addr *a)
{
	struct addr plain = *a;
	size_t i;

	addr_set_port(&plain, 0);
	for (i = 0; i < r->nown_addresses; i++)
		if (addr_equal(&plain, &r->own_addresses[i]))
			return true;
	return false;
}

static bool
is_private_4(uint32_t ip)
{
	return ip >> 24 == 0 || ip >> 24 == 10 || ip >> 24 == 127 ||
	    ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 || ip >> 16 == 0xa9fe ||
	    ip >> 22 == 0x64400000 >> 22 ||	/* RFC 6598 */
	    ip >> 28 >= 14;			/* multicast, reserved */
}

static bool
is_private(const struct addr *a)
{
	const struct in6_addr *ip = &a->u.in6.sin6_addr;
	uint32_t v4;

	if (addr_family(a) == AF_INET)
		return is_private_4(ntohl(a->u.in.sin_addr.s_addr));
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		memcpy(&v4, &ip->s6_addr[12], sizeof(v4));
		return is_private_4(ntohl(v4));
	}
	return IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip) ||
	    IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_SITELOCAL(ip) ||
	    IN6_IS_ADDR_MULTICAST(ip) || (ip->s6_addr[0] & 0xfe) == 0xfc;
}

/* ---- addresses ---- */

static void
take_addresses(struct route_query *q, const struct dns_answer *a)
{
	struct route_target *t = q->target;
	size_t i;

	if (a->status == DNS_FAILED) {
		q->dns_error = arena_strdup(q->arena, a->error);
		return;
	}
	if (a->status != DNS_OK)
		return;
	for (i = 0; i < a->n && t->n < ROUTE_ADDRS_MAX; i++) {
		t->addrs[t->n] = a->addrs[i];
		addr_set_port(&t->addrs[t->n++], q->host->port);
	}
}

static void
fail(struct route_query *q, enum cause cause, const char *a, const char *b)
{
	q->target->n = 0;
	reply_cause(&q->target->failure, q->arena, STAGE_NONE, cause, a, b);
}

/* Neither DNS nor the policy of a domain has chosen this host. */
static bool
is_operators(const struct route_query *q)
{
	return q->host->is_fallback || q->route->kind == ROUTE_FORCED ||
	    q->route->kind == ROUTE_NEXTHOP ||
	    q->route->kind == ROUTE_LITERAL;
}

/* Of those that are left out the last one is named. */
static void
leave_out(struct route_query *q)
{
	struct route_target *t = q->target;
	const struct mx_router *r = q->r;
	size_t i, n = 0, all = t->n;
	bool is_own = false, may_be_private =
	    r->conf.mx->private_targets == MX_PRIVATE_ALLOWED ||
	    (is_operators(q) && q->route->kind != ROUTE_LITERAL);

	for (i = 0; i < all; i++)
		if (is_own_address(r, &t->addrs[i]))
			is_own = true;
		else if (may_be_private || !is_private(&t->addrs[i]))
			t->addrs[n++] = t->addrs[i];
	t->n = n;
	if (n > 0 || all == 0)
		return;
	t->is_last = is_own;
	if (is_own)
		fail(q, CAUSE_MX_LOOP, q->route->domain, NULL);
	else
		fail(q, CAUSE_NO_EXCHANGER, q->route->domain,
		    arena_printf(q->arena, "host %s has none but private "
		    "addresses", q->host->name));
}

/* All answers about addresses are in; false: there is none. */
static bool
settle_addresses(struct route_query *q)
{
	const char *domain = q->route->domain, *host = q->host->name;

	if (q->target->n > 0) {
		leave_out(q);
		interleave(q->target);
	} else if (q->dns_error != NULL)
		fail(q, CAUSE_DNS_FAILED, host, q->dns_error);
	else if (q->route->kind == ROUTE_IMPLICIT && !q->host->is_fallback) {
		q->target->is_last = true;
		fail(q, CAUSE_NO_RECORDS, domain, NULL);
	} else if (q->route->kind == ROUTE_MX && !q->host->is_fallback)
		fail(q, CAUSE_NO_EXCHANGER, domain, arena_printf(q->arena,
		    "host %s has no address", host));
	else
		fail(q, CAUSE_HOST_UNKNOWN, host, "no address in DNS");
	return q->target->n > 0;
}

/* ---- terms ---- */

static void
begin_terms(struct route_query *q)
{
	const struct mx_terms *terms = q->route->data;
	struct route_target *t = q->target;

	t->has_policy = true;
	t->policy = terms->policy;
	t->is_name_trusted = q->route->is_secure || is_operators(q) ||
	    (terms->has_sts && terms->sts.mode == STS_MODE_ENFORCE);
	t->report = terms->is_overridden || is_operators(q) ?
	    TLSRPT_NPOLICIES : TLSRPT_NO_POLICY;
	t->why = terms->is_overridden ? "tls_policy" : "tls_mode";
}

/* Whether the host's TLSA records are to be looked at. */
static bool
wants_dane(const struct route_query *q)
{
	const struct mx_terms *terms = q->route->data;

	if (q->host->is_literal || q->host->is_unix ||
	    terms->policy.dane == TLS_DANE_OFF)
		return false;
	return terms->policy.dane == TLS_DANE_MUST || q->route->is_secure ||
	    is_operators(q);
}

static void
apply_sts(struct route_query *q)
{
	const struct mx_terms *terms = q->route->data;
	struct route_target *t = q->target;
	bool matches;

	if (!terms->has_sts || is_operators(q))
		return;
	matches = sts_mx_matches(&terms->sts, q->host->name);
	t->report = matches ? TLSRPT_STS : TLSRPT_NPOLICIES;
	if (terms->sts.mode == STS_MODE_TESTING) {
		if (!matches)
			tlsrpt_count(&q->r->report, TLSRPT_STS,
			    TLSRPT_VALIDATION_FAILURE);
		t->why = matches ? "MTA-STS, testing" :
		    "MTA-STS, testing; the host is not in the policy";
		return;
	}
	if (!matches) {
		tlsrpt_count(&q->r->report, TLSRPT_STS,
		    TLSRPT_VALIDATION_FAILURE);
		fail(q, CAUSE_STS_MISMATCH, q->host->name, q->route->domain);
		return;
	}
	t->asked = TLS_VERIFY;
	t->why = "MTA-STS";
}

static void
apply_dane(struct route_query *q, const struct dane_plan *plan)
{
	const struct mx_terms *terms = q->route->data;
	struct route_target *t = q->target;
	bool must = terms->policy.dane == TLS_DANE_MUST;
	const char *host = q->host->name;

	t->why = arena_printf(q->arena, "DANE: %s", plan->why);
	switch (plan->result) {
	case DANE_USABLE:
		t->asked = TLS_VERIFY;
		t->report = TLSRPT_TLSA;
		t->dane = tls_dane_ref(plan->records);
		return;
	case DANE_FAILED:
		tlsrpt_count(&q->r->report, TLSRPT_TLSA,
		    TLSRPT_DNSSEC_INVALID);
		fail(q, CAUSE_DANE_FAILED, host, plan->why);
		return;
	case DANE_UNUSABLE:
		t->report = TLSRPT_NPOLICIES;
		tlsrpt_count(&q->r->report, TLSRPT_TLSA, TLSRPT_TLSA_INVALID);
		if (!must)
			t->asked = TLS_REQUIRE;
		break;
	case DANE_NONE:
		break;
	}
	if (must) {
		tlsrpt_count(&q->r->report, TLSRPT_TLSA, TLSRPT_DANE_REQUIRED);
		fail(q, CAUSE_DANE_MISSING, host, plan->why);
	} else
		apply_sts(q);
}

/* ---- the questions ---- */

static void
answer(struct route_query *q)
{
	struct route_target *t = q->target;

	t->policy.dane = TLS_DANE_OFF;	/* it is settled */
	q->on_target(q->arg, t);
}

static void
on_dane(void *arg, const struct dane_plan *plan)
{
	struct route_query *q = arg;

	q->dane = NULL;
	apply_dane(q, plan);
	answer(q);
}

static void
ask_dane(struct route_query *q)
{
	const struct mx_terms *terms = q->route->data;

	q->question = (struct dane_question){
		.host = q->host->name,
		.port = q->host->port,
		.is_mx_secure = q->route->is_secure || is_operators(q),
		.domain = is_operators(q) ? q->host->name : q->route->domain,
		.expanded = is_operators(q) ? NULL : terms->expanded,
	};
	q->dane = dane_ask(q->r->conf.dns, q->r->loop, &q->question, on_dane,
	    q);
}

static void
host_is_known(struct route_query *q)
{
	if (q->a != NULL || q->aaaa != NULL)
		return;
	begin_terms(q);
	if (!settle_addresses(q)) {
		answer(q);
		return;
	}
	if (wants_dane(q)) {
		ask_dane(q);
		return;
	}
	apply_sts(q);
	answer(q);
}

static void
on_a(void *arg, const struct dns_answer *a)
{
	struct route_query *q = arg;

	q->a = NULL;
	take_addresses(q, a);
	host_is_known(q);
}

static void
on_aaaa(void *arg, const struct dns_answer *a)
{
	struct route_query *q = arg;

	q->aaaa = NULL;
	take_addresses(q, a);
	host_is_known(q);
}

/* What is known of the addresses already; false: not all. */
static bool
peek_addresses(struct route_query *q)
{
	const struct mx_router_conf *conf = &q->r->conf;
	const struct dns_answer *a;

	if (q->host->is_literal || q->host->is_unix) {
		q->target->addrs[q->target->n++] = q->host->addr;
		return true;
	}
	if (conf->want_ipv4) {
		if ((a = dns_peek(conf->dns, q->host->name, DNS_A)) == NULL)
			return false;
		take_addresses(q, a);
	}
	if (conf->want_ipv6) {
		if ((a = dns_peek(conf->dns, q->host->name, DNS_AAAA)) == NULL)
			return false;
		take_addresses(q, a);
	}
	return true;
}

static void
query_init(struct route_query *q, struct mx_router *r, struct route *route,
    size_t host, struct arena *arena)
{
	*q = (struct route_query){
		.r = r,
		.arena = arena,
		.route = route,
		.host = &route->hosts[host],
		.target = target_new(arena),
	};
}

struct route_target *
mx_peek_host(void *state, struct route *route, size_t host,
    struct arena *arena)
{
	struct route_query q;

	query_init(&q, state, route, host, arena);
	if (wants_dane(&q) || !peek_addresses(&q))
		return NULL;
	begin_terms(&q);
	if (settle_addresses(&q))
		apply_sts(&q);
	q.target->policy.dane = TLS_DANE_OFF;
	return q.target;
}

struct route_query *
mx_ask_host(void *state, struct route *route, size_t host,
    struct arena *arena, target_cb *cb, void *arg)
{
	struct route_query *q = arena_alloc(arena, sizeof(*q));
	const struct mx_router_conf *conf;

	query_init(q, state, route, host, arena);
	q->on_target = cb;
	q->arg = arg;
	conf = &q->r->conf;
	if (conf->want_ipv4)
		q->a = dns_ask(conf->dns, q->host->name, DNS_A, on_a, q);
	if (conf->want_ipv6)
		q->aaaa = dns_ask(conf->dns, q->host->name, DNS_AAAA, on_aaaa,
		    q);
	return q;
}

void
mx_cancel_host(struct route_query *q)
{
	if (q->a != NULL)
		dns_cancel(q->a);
	if (q->aaaa != NULL)
		dns_cancel(q->aaaa);
	if (q->dane != NULL)
		dane_cancel(q->dane);
}
