/* mx_choose.c - which of a domain's MX records are tried, in which order. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "route/mx.h"

static int
by_preference(const void *a, const void *b)
{
	const struct route_host *x = a, *y = b;

	return x->preference < y->preference ? -1 :
	    x->preference > y->preference;
}

/* Equal preferences in any order, each as likely (RFC 5321 §5.1). */
static void
shuffle_equals(struct route_host *hosts, size_t n,
    uint32_t (*pick)(uint32_t))
{
	struct route_host swap;
	size_t first, i, j;

	for (first = 0; first < n; first = i) {
		for (i = first + 1; i < n &&
		    hosts[i].preference == hosts[first].preference; i++)
			;
		for (j = i - 1; j > first; j--) {
			struct route_host *other = &hosts[first +
			    pick((uint32_t)(j - first + 1))];

			swap = hosts[j];
			hosts[j] = *other;
			*other = swap;
		}
	}
}

static bool
is_own(const char *name, const struct mx_choice *how)
{
	const char *const *own;

	for (own = how->own_names; own != NULL && *own != NULL; own++)
		if (strcmp(*own, name) == 0)
			return true;
	return false;
}

/* A host that is named twice is tried once, where it is preferred. */
static bool
is_there(struct route *route, const struct dns_mx *mx)
{
	size_t i;

	for (i = 0; i < route->n; i++) {
		struct route_host *h = &route->hosts[i];

		if (strcmp(h->name, mx->host) != 0)
			continue;
		if (mx->preference < h->preference)
			h->preference = mx->preference;
		return true;
	}
	return false;
}

/* The lowest preference that has our name; UINT32_MAX: none has. */
static uint32_t
own_preference(const struct dns_answer *mx, const struct mx_choice *how)
{
	uint32_t own = UINT32_MAX;
	size_t i;

	for (i = 0; i < mx->n; i++)
		if (is_own(mx->mx[i].host, how) && mx->mx[i].preference < own)
			own = mx->mx[i].preference;
	return own;
}

static void
take(struct route *route, const struct dns_mx *mx,
    const struct mx_choice *how, struct arena *arena)
{
	struct route_host *h = &route->hosts[route->n++];

	*h = (struct route_host){
		.name = arena_strdup(arena, mx->host),
		.port = how->port,
		.preference = mx->preference,
	};
	h->is_literal = addr_parse(&h->addr, h->name, h->port) == 0;
}

/*
 * All are looked at before the ceiling is drawn, so that it cuts off the
 * least preferred ones.
 */
void
mx_choose(struct route *route, const struct dns_answer *mx,
    const struct mx_choice *how, struct arena *arena)
{
	uint32_t own = own_preference(mx, how);
	const char *refused = NULL;
	struct addr a;
	size_t i;

	route->hosts = arena_alloc(arena, mx->n * sizeof(*route->hosts));
	route->n = 0;
	if (mx->n == 1 && *mx->mx[0].host == '\0') {	/* RFC 7505 §3 */
		reply_cause(&route->failure, arena, STAGE_NONE, CAUSE_NULL_MX,
		    route->domain);
		return;
	}
	for (i = 0; i < mx->n; i++) {
		if (*mx->mx[i].host == '\0' || mx->mx[i].preference >= own ||
		    is_there(route, &mx->mx[i]))
			continue;
		if (!how->mx_is_address &&
		    addr_parse(&a, mx->mx[i].host, 0) == 0)
			refused = mx->mx[i].host;
		else
			take(route, &mx->mx[i], how, arena);
	}
	if (route->n > 0) {
		qsort(route->hosts, route->n, sizeof(*route->hosts),
		    by_preference);
		shuffle_equals(route->hosts, route->n, how->pick);
		if (route->n > ROUTE_HOSTS_MAX)
			route->n = ROUTE_HOSTS_MAX;
	} else if (own != UINT32_MAX)
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_MX_LOOP, route->domain);
	else
		reply_cause(&route->failure, arena, STAGE_NONE,
		    CAUSE_NO_EXCHANGER, route->domain, refused == NULL ?
		    "its MX records name no host" :
		    "its MX record is an address, not a host name");
}
