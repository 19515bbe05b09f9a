/*
 * mx.c - the route of a domain: forced, an address literal, its MX records or
 * the domain itself; with its MTA-STS policy.
 */
#include "route/mx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/address.h"
#include "route/fixed.h"
#include "route/mx_router.h"

/* ---- the terms ---- */

static struct mx_terms *
terms_of(struct mx_router *r, struct route *route, struct arena *arena)
{
	struct mx_terms *t = arena_calloc(arena, 1, sizeof(*t));
	struct addr any;
	long at = domain_map_find(&r->policies, route->domain);

	addr_parse(&any, "0.0.0.0", 0);
	t->is_overridden = at != -1;
	t->policy = at != -1 ? r->policy[at] :
	    tls_policy_of(r->conf.tls, TLS_FOR_MX, &any);
	if (at == -1 && t->policy.level != TLS_NONE &&
	    t->policy.dane == TLS_DANE_OFF && r->conf.mx->dane)
		t->policy.dane = TLS_DANE_MAY;
	if (!dns_can_be_secure(r->conf.dns) &&
	    t->policy.dane == TLS_DANE_MAY)
		t->policy.dane = TLS_DANE_OFF;
	route->data = t;
	route->policy = at != -1 ? "the operator's, for this domain" : "";
	return t;
}

static bool
wants_sts(const struct mx_router *r, const struct mx_terms *t)
{
	return r->conf.sts != NULL && !t->is_overridden &&
	    t->policy.level != TLS_NONE;
}

/* What the answer says, for as long as the route lives. */
static void
take_sts(struct route_query *q, const struct sts_answer *a)
{
	struct mx_terms *t = q->route->data;
	const char **mx;
	size_t i;

	q->route->policy = arena_printf(q->arena, "MTA-STS: %s", a->why);
	if (*a->report != '\0')
		t->sts_fault = tlsrpt_result_find(a->report);
	if (a->result != STS_FOUND || a->policy->mode == STS_MODE_NONE)
		return;
	t->has_sts = true;
	t->sts = *a->policy;
	t->sts.id = arena_strdup(q->arena, a->policy->id);
	mx = arena_alloc(q->arena, (a->policy->nmx + 1) * sizeof(*mx));
	for (i = 0; i < a->policy->nmx; i++)
		mx[i] = arena_strdup(q->arena, a->policy->mx[i]);
	t->sts.mx = mx;
}

/* ---- routes ---- */

static struct route *
route_new(const char *domain, struct arena *arena)
{
	struct route *route = arena_calloc(arena, 1, sizeof(*route));

	route->domain = domain;
	route->why = route->policy = "";
	return route;
}

static struct route *
route_to(struct mx_router *r, struct route *route, enum route_kind kind,
    struct route_host *hosts, size_t n, const char *why,
    struct arena *arena)
{
	terms_of(r, route, arena);
	route->kind = kind;
	route->hosts = hosts;
	route->n = n;
	route->why = why;
	return route;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3). */
static struct route *
route_to_literal(struct mx_router *r, struct route *route,
    struct arena *arena)
{
	struct route_host *hosts;
	const char *error;
	size_t n;

	if (!r->conf.mx->address_literals ||
	    route_hosts_parse(route->domain, (uint16_t)r->conf.mx->port, arena,
	    &hosts, &n, &error) == -1 || n != 1 || !hosts->is_literal) {
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_NO_LITERALS, route->domain);
		return route;
	}
	return route_to(r, route, ROUTE_LITERAL, hosts, n,
	    "an address literal", arena);
}

/*
 * What the envelope asks for: "[host]:port" and lists of them are hosts, a
 * bare "domain" or "domain:port" has its MX records looked up.  NULL: look up
 * route->domain at port_r.
 */
static struct route *
route_to_nexthop(struct mx_router *r, struct route *route,
    const char *nexthop, uint16_t *port_r, struct arena *arena)
{
	struct route_host *hosts;
	const char *error, *name;
	size_t n;

	if (route_hosts_parse(nexthop, *port_r, arena, &hosts, &n,
	    &error) == -1) {
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_BAD_NEXTHOP, nexthop, error);
		return route;
	}
	if (n > 1 || *nexthop == '[' || hosts->is_literal || hosts->is_unix)
		return route_to(r, route, ROUTE_NEXTHOP, hosts, n,
		    "the envelope's next hop", arena);
	if ((name = address_domain_ascii(hosts->name, arena)) == NULL) {
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_BAD_NEXTHOP, nexthop, "not a domain");
		return route;
	}
	route->domain = name;
	*port_r = hosts->port;
	return NULL;
}

/* A route that needs no DNS; NULL: look up route->domain at port_r. */
static struct route *
route_at_once(struct mx_router *r, struct route *route, const char *nexthop,
    uint16_t *port_r, struct arena *arena)
{
	struct route *done;
	long at;

	*port_r = (uint16_t)r->conf.mx->port;
	if (nexthop != NULL && (done = route_to_nexthop(r, route, nexthop,
	    port_r, arena)) != NULL)
		return done;
	if ((at = domain_map_find(&r->forced, route->domain)) != -1)
		return route_to(r, route, ROUTE_FORCED, r->force[at].hosts,
		    r->force[at].n, "force_mx", arena);
	if (*route->domain == '[')
		return route_to_literal(r, route, arena);
	return NULL;
}

/* ---- MX records ---- */

static void
add_fallback(struct mx_router *r, struct route *route, struct arena *arena)
{
	struct route_host *hosts;
	size_t n = route->n;

	if (r->nfallback == 0)
		return;
	if (n > ROUTE_HOSTS_MAX - r->nfallback)
		n = ROUTE_HOSTS_MAX - r->nfallback;
	hosts = arena_alloc(arena, (n + r->nfallback) * sizeof(*hosts));
	if (n > 0)
		memcpy(hosts, route->hosts, n * sizeof(*hosts));
	memcpy(hosts + n, r->fallback, r->nfallback * sizeof(*hosts));
	route->hosts = hosts;
	route->n = n + r->nfallback;
}

/* No MX record: the domain is the host (RFC 5321 §5.1). */
static void
be_implicit(struct route *route, uint16_t port, struct arena *arena)
{
	route->kind = ROUTE_IMPLICIT;
	route->hosts = arena_calloc(arena, 1, sizeof(*route->hosts));
	route->hosts[0].name = route->domain;
	route->hosts[0].port = port;
	route->n = 1;
	route->why = "no MX record: the domain itself";
}

static void
take_mx(struct mx_router *r, struct route *route, uint16_t port,
    const struct dns_answer *a, struct arena *arena)
{
	struct mx_choice how = {
		.port = port,
		.own_names = r->own_names,
		.mx_is_address = r->conf.mx->mx_is_address,
		.pick = arc4random_uniform,
	};
	struct mx_terms *terms = route->data;

	if (a->is_alias)
		terms->expanded = arena_strdup(arena, a->name);
	route->kind = ROUTE_MX;
	route->is_secure = a->is_secure;
	switch (a->status) {
	case DNS_OK:
		mx_choose(route, a, &how, arena);
		route->why = arena_printf(arena, "%zu MX record%s%s%s%s%s",
		    a->n, a->n == 1 ? "" : "s", a->is_secure ? ", signed" : "",
		    a->is_alias ? ", of " : "", a->is_alias ? a->name : "",
		    *a->server == '\0' ? "" : arena_printf(arena, ", from %s",
		    a->server));
		break;
	case DNS_NO_DATA:
	case DNS_NO_NAME:
		be_implicit(route, port, arena);
		break;
	case DNS_BAD_NAME:
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_BAD_NAME, route->domain, a->error);
		break;
	case DNS_FAILED:
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_DNS_FAILED, route->domain, a->error);
		route->why = "DNS failed";
		break;
	}
	if (route->n > 0 || a->status == DNS_FAILED)
		add_fallback(r, route, arena);
}

/* RFC 8460 §4.3.2.2: a policy that could not be had. */
static void
count_sts_fault(struct mx_router *r, const struct route *route)
{
	const struct mx_terms *t = route->data;

	if (t->sts_fault != TLSRPT_SUCCESS)
		tlsrpt_count(&r->report, TLSRPT_STS, t->sts_fault);
}

static struct route *
mx_peek(void *state, const char *domain, const char *nexthop,
    struct arena *arena)
{
	struct mx_router *r = state;
	struct route *route = route_new(domain, arena);
	struct route_query q = { .r = r, .arena = arena, .route = route };
	const struct sts_answer *sts = NULL;
	const struct dns_answer *mx;
	struct mx_terms *terms;
	uint16_t port;

	r->routes++;
	if (route_at_once(r, route, nexthop, &port, arena) != NULL)
		return route;
	terms = terms_of(r, route, arena);
	if (wants_sts(r, terms)) {
		if ((sts = sts_peek(r->conf.sts, route->domain)) == NULL)
			return NULL;
		take_sts(&q, sts);
	}
	if ((mx = dns_peek(r->conf.dns, route->domain, DNS_MX)) == NULL)
		return NULL;
	take_mx(r, route, port, mx, arena);
	count_sts_fault(r, route);
	return route;
}

static void
route_is_ready(struct route_query *q)
{
	if (q->mx != NULL || q->sts != NULL)
		return;
	count_sts_fault(q->r, q->route);
	q->on_route(q->arg, q->route);
}

static void
on_mx(void *arg, const struct dns_answer *a)
{
	struct route_query *q = arg;

	q->mx = NULL;
	take_mx(q->r, q->route, q->port, a, q->arena);
	route_is_ready(q);
}

static void
on_sts(void *arg, const struct sts_answer *a)
{
	struct route_query *q = arg;

	q->sts = NULL;
	take_sts(q, a);
	route_is_ready(q);
}

/* Only after mx_peek() had no answer. */
static struct route_query *
mx_ask(void *state, const char *domain, const char *nexthop,
    struct arena *arena, route_cb *cb, void *arg)
{
	struct mx_router *r = state;
	struct route_query *q = arena_calloc(arena, 1, sizeof(*q));
	struct mx_terms *terms;

	q->r = r;
	q->arena = arena;
	q->on_route = cb;
	q->arg = arg;
	q->route = route_new(domain, arena);
	route_at_once(r, q->route, nexthop, &q->port, arena);
	terms = terms_of(r, q->route, arena);
	if (wants_sts(r, terms))
		q->sts = sts_ask(r->conf.sts, q->route->domain, on_sts, q);
	q->mx = dns_ask(r->conf.dns, q->route->domain, DNS_MX, on_mx, q);
	return q;
}

static void
mx_cancel(void *state, struct route_query *q)
{
	(void)state;
	if (q->mx != NULL)
		dns_cancel(q->mx);
	if (q->sts != NULL)
		sts_cancel(q->sts);
	mx_cancel_host(q);
}

/* ---- the whole ---- */

static void
mx_free(void *state)
{
	struct mx_router *r = state;

	if (r->conf.sts != NULL)
		sts_free(r->conf.sts);
	dns_free(r->conf.dns);
	domain_map_clear(&r->forced);
	domain_map_clear(&r->policies);
	arena_free(r->arena);
	free(r);
}

static void
mx_stats(void *state, void (*put)(void *, const char *, uint64_t), void *arg)
{
	struct mx_router *r = state;
	struct dns_stats dns;
	struct sts_stats sts;

	dns_stats(r->conf.dns, &dns);
	put(arg, "routes_asked", r->routes);
	put(arg, "dns_asked", dns.asked);
	put(arg, "dns_cached", dns.cached);
	put(arg, "dns_sent", dns.sent);
	put(arg, "dns_failed", dns.failed);
	put(arg, "dns_timed_out", dns.timed_out);
	put(arg, "dns_cache_entries", dns.entries);
	if (r->conf.sts != NULL) {
		sts_stats(r->conf.sts, &sts);
		put(arg, "sts_policies", sts.kept);
		put(arg, "sts_fetched", sts.fetched);
		put(arg, "sts_failed", sts.failed);
		put(arg, "sts_disk_errors", sts.disk_errors);
	}
	tlsrpt_each(&r->report, put, arg);
}

/* In testing mode a wrong certificate is a failure that does not count for
 * the delivery (RFC 8461 §5). */
static void
mx_outcome(void *state, enum tlsrpt_policy policy,
    const struct route_outcome *o)
{
	struct mx_router *r = state;
	enum tls_fault fault = o->fault;

	if (policy >= TLSRPT_NPOLICIES)
		return;
	if (policy == TLSRPT_STS && fault == TLS_FAULT_NONE &&
	    o->cert != TLS_CERT_GOOD)
		fault = TLS_FAULT_CERT;
	tlsrpt_count(&r->report, policy, o->is_offered ?
	    tlsrpt_of_fault(fault, o->cert) : TLSRPT_STARTTLS_NOT_SUPPORTED);
}

static const struct route_ops mx_ops = {
	.by_domain = true,
	.peek = mx_peek,
	.ask = mx_ask,
	.peek_host = mx_peek_host,
	.ask_host = mx_ask_host,
	.cancel = mx_cancel,
	.free = mx_free,
	.outcome = mx_outcome,
	.stats = mx_stats,
};

static void
take_own(struct mx_router *r, const struct mx_conf *mx)
{
	size_t i, n = 0;

	r->own_names = arena_calloc(r->arena, mx->own_names.n + 2,
	    sizeof(*r->own_names));
	for (i = 0; i <= mx->own_names.n; i++) {
		const char *name = address_domain_ascii(i == mx->own_names.n ?
		    r->conf.ehlo : mx->own_names.v[i], r->arena);

		if (name != NULL)
			r->own_names[n++] = name;
	}
	r->own_addresses = arena_alloc(r->arena, mx->own_addresses.n *
	    sizeof(*r->own_addresses));
	for (i = 0; i < mx->own_addresses.n; i++)
		r->nown_addresses += addr_parse(&r->own_addresses[i],
		    mx->own_addresses.v[i], 0) == 0;
}

static int
take_forced(struct mx_router *r, const struct opt_dict *dict,
    const char **error_r)
{
	size_t i;

	r->force = arena_alloc(r->arena, dict->n * sizeof(*r->force));
	for (i = 0; i < dict->n; i++)
		if (route_hosts_parse(dict->v[i].value,
		    (uint16_t)r->conf.mx->port, r->arena, &r->force[i].hosts,
		    &r->force[i].n, error_r) == -1)
			return -1;
	return 0;
}

static int
take_fallback(struct mx_router *r, const struct opt_list *list,
    const char **error_r)
{
	struct route_host *one;
	size_t i, n;

	r->fallback = arena_alloc(r->arena, list->n * sizeof(*r->fallback));
	for (i = 0; i < list->n; i++) {
		if (route_hosts_parse(list->v[i], (uint16_t)r->conf.mx->port,
		    r->arena, &one, &n, error_r) == -1)
			return -1;
		r->fallback[i] = *one;
		r->fallback[i].is_fallback = true;
	}
	r->nfallback = list->n;
	return 0;
}

struct router
mx_router(struct loop *loop, const struct mx_router_conf *conf, char *error,
    size_t size)
{
	struct mx_router *r = xcalloc(1, sizeof(*r));
	const struct mx_conf *mx = conf->mx;
	const char *why = "";
	size_t i;

	r->loop = loop;
	r->conf = *conf;
	r->arena = arena_new(4096);
	take_own(r, mx);
	r->policy = arena_calloc(r->arena, mx->tls_policy.n + 1,
	    sizeof(*r->policy));
	for (i = 0; i < mx->tls_policy.n; i++)
		mx_policy_parse(mx->tls_policy.v[i].value, &r->policy[i]);
	if (domain_map_init(&r->forced, &mx->force_mx) != NULL ||
	    domain_map_init(&r->policies, &mx->tls_policy) != NULL ||
	    take_forced(r, &mx->force_mx, &why) == -1 ||
	    take_fallback(r, &mx->fallback_hosts, &why) == -1) {
		snprintf(error, size, "a domain or host is wrong: %s", why);
		mx_free(r);
		return (struct router){ &mx_ops, NULL };
	}
	return (struct router){ &mx_ops, r };
}
