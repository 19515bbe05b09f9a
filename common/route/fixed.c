/* fixed.c - routes to configured hosts; names by the system's resolver. */
#include "route/fixed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/resolve.h"

struct fixed {
	struct loop	*loop;
	struct arena	*arena;		/* of hosts */
	struct route_host *hosts;
	size_t		 n;
	uint16_t	 default_port;
	int64_t		 dns_timeout_ms;
	struct resolver	*resolver;	/* once a name was met */
};

/* A host whose name is being resolved; in the asker's arena. */
struct route_query {
	const struct route_host *host;
	struct arena	*arena;
	struct resolve_query *query;
	target_cb	*cb;
	void		*arg;
};

static int
host_parse(struct route_host *h, const char *text, uint16_t default_port,
    struct arena *arena, const char **error_r)
{
	struct hostspec spec;

	if (hostspec_parse(&spec, text, default_port, arena, error_r) == -1)
		return -1;
	memset(h, 0, sizeof(*h));
	h->name = spec.host;
	h->port = spec.port;
	h->is_unix = spec.is_unix;
	h->is_literal = spec.is_literal;
	if (h->is_unix)
		addr_unix(&h->addr, h->name);
	else if (h->is_literal)
		addr_parse(&h->addr, h->name, h->port);
	return 0;
}

int
route_hosts_parse(const char *text, uint16_t default_port, struct arena *arena,
    struct route_host **hosts_r, size_t *n_r, const char **error_r)
{
	struct route_host *hosts;
	const char *p, *one;
	size_t len, n = 0;

	for (p = text; *p != '\0' && n < ROUTE_HOSTS_MAX; n++) {
		p += strcspn(p, ", ");
		p += strspn(p, ", ");
	}
	hosts = arena_alloc(arena, n * sizeof(*hosts));
	for (n = 0, p = text; *p != '\0'; p += len + strspn(p + len, ", ")) {
		len = strcspn(p, ", ");
		one = arena_strndup(arena, p, len);
		*error_r = "more hosts than are allowed";
		if (n == ROUTE_HOSTS_MAX || host_parse(&hosts[n++], one,
		    default_port, arena, error_r) == -1)
			return -1;
	}
	*hosts_r = hosts;
	*n_r = n;
	*error_r = "no host";
	return n == 0 ? -1 : 0;
}

static struct route *
fixed_peek(void *state, const char *domain, const char *nexthop,
    struct arena *arena)
{
	struct fixed *f = state;
	struct route *route = arena_calloc(arena, 1, sizeof(*route));
	const char *error;

	route->domain = domain;
	route->policy = "";
	if (nexthop == NULL) {
		route->kind = ROUTE_FIXED;
		route->why = "the relay's hosts";
		route->hosts = f->hosts;
		route->n = f->n;
		return route;
	}
	route->kind = ROUTE_NEXTHOP;
	route->why = "the envelope's next hop";
	if (route_hosts_parse(nexthop, f->default_port, arena, &route->hosts,
	    &route->n, &error) == -1) {
		route->n = 0;
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_BAD_NEXTHOP, nexthop, error);
	}
	return route;
}

/* peek() always answers. */
static struct route_query *
fixed_ask(void *state, const char *domain, const char *nexthop,
    struct arena *arena, route_cb *cb, void *arg)
{
	(void)state;
	(void)domain;
	(void)nexthop;
	(void)arena;
	(void)cb;
	(void)arg;
	abort();
}

static struct route_target *
target_new(struct arena *arena, size_t naddrs)
{
	struct route_target *t = arena_calloc(arena, 1, sizeof(*t));

	t->addrs = arena_alloc(arena, naddrs * sizeof(*t->addrs));
	t->why = "";
	t->is_name_trusted = true;
	return t;
}

static struct route_target *
fixed_peek_host(void *state, struct route *route, size_t host,
    struct arena *arena)
{
	const struct route_host *h = &route->hosts[host];
	struct route_target *t;

	(void)state;
	if (!h->is_literal && !h->is_unix)
		return NULL;
	t = target_new(arena, 1);
	t->addrs[t->n++] = h->addr;
	return t;
}

static void
on_resolved(void *arg, const struct resolved *found)
{
	struct route_query *q = arg;
	struct route_target *t = target_new(q->arena, found->n);
	size_t i;

	for (i = 0; i < found->n; i++) {
		t->addrs[t->n] = found->addrs[i];
		addr_set_port(&t->addrs[t->n++], q->host->port);
	}
	if (t->n == 0)
		reply_cause(&t->failure, q->arena, STAGE_NONE,
		    found->is_temporary ? CAUSE_DNS_FAILED :
		    CAUSE_HOST_UNKNOWN, q->host->name, found->error);
	q->cb(q->arg, t);
}

static struct route_query *
fixed_ask_host(void *state, struct route *route, size_t host,
    struct arena *arena, target_cb *cb, void *arg)
{
	struct fixed *f = state;
	struct route_query *q = arena_alloc(arena, sizeof(*q));

	if (f->resolver == NULL)
		f->resolver = resolver_new(f->loop, f->dns_timeout_ms);
	*q = (struct route_query){ &route->hosts[host], arena, NULL, cb, arg };
	q->query = resolve(f->resolver, q->host->name, on_resolved, q);
	return q;
}

static void
fixed_cancel(void *state, struct route_query *q)
{
	(void)state;
	resolve_cancel(q->query);
}

static void
fixed_free(void *state)
{
	struct fixed *f = state;

	resolver_free(f->resolver);
	arena_free(f->arena);
	free(f);
}

static const struct route_ops fixed_ops = {
	.by_domain = false,
	.peek = fixed_peek,
	.ask = fixed_ask,
	.peek_host = fixed_peek_host,
	.ask_host = fixed_ask_host,
	.cancel = fixed_cancel,
	.free = fixed_free,
};

struct router
fixed_router(struct loop *loop, const struct opt_list *list,
    uint16_t default_port, int64_t dns_timeout_ms, char *error, size_t size)
{
	struct fixed *f = xcalloc(1, sizeof(*f));
	const char *why;

	f->loop = loop;
	f->arena = arena_new(1024);
	f->default_port = default_port;
	f->dns_timeout_ms = dns_timeout_ms;
	f->hosts = arena_alloc(f->arena, list->n * sizeof(*f->hosts));
	for (f->n = 0; f->n < list->n; f->n++)
		if (host_parse(&f->hosts[f->n], list->v[f->n], default_port,
		    f->arena, &why) == -1) {
			snprintf(error, size, "host: %s is %s",
			    list->v[f->n], why);
			fixed_free(f);
			return (struct router){ &fixed_ops, NULL };
		}
	return (struct router){ &fixed_ops, f };
}
