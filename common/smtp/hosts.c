/*
 * hosts.c - the route of a work, its hosts, and the addresses of each, in
 * order.  Who did not answer lately comes last.
 */
#include "smtp/work.h"

#include "base/mem.h"
#include "net/tls_dane.h"

static void	try_host(struct work *);

static void
end_query(struct work *w)
{
	phase_observe(w->relay->phases, PHASE_DNS,
	    loop_now_us(w->relay->loop) - w->asked_us);
	w->query = NULL;
	w->state = WORK_IDLE;
	if (w->has_late)
		timer_stop(&w->late);
}

void
work_forget_query(struct work *w)
{
	struct router *router = &w->relay->router;

	if (w->state == WORK_ROUTING) {
		router->ops->cancel(router->state, w->query);
		end_query(w);
	}
	if (w->has_late)
		timer_clear(&w->late);
	w->has_late = false;
}

static void
on_late(void *arg)
{
	struct work *w = arg;

	work_forget_query(w);
	work_answer_cause(w, CAUSE_DEADLINE, NULL);
}

/* The router is about to be asked; dns_timeout may end after the deadline. */
static void
begin_query(struct work *w)
{
	int64_t left = w->job.d->deadline_ms - loop_now_ms(w->relay->loop);

	w->state = WORK_ROUTING;
	w->asked_us = loop_now_us(w->relay->loop);
	if (w->job.d->deadline_ms == 0)
		return;
	if (!w->has_late)
		timer_init(&w->late, w->relay->loop, on_late, w);
	w->has_late = true;
	timer_set(&w->late, left > 0 ? left : 0);
}

bool
work_may_use(const struct smtp_conf *conf, const struct addr *a)
{
	if (addr_family(a) == AF_INET)
		return conf->address_family != FAMILY_IPV6;
	if (addr_family(a) == AF_INET6)
		return conf->address_family != FAMILY_IPV4 &&
		    !conf->ipv4_only;
	return true;
}

static void
host_failed(struct work *w, const struct reply *r)
{
	const struct route_host *h = &w->route->hosts[w->host];

	work_remember(w, r, h->name, "", h->port);
}

static bool
is_dead(const struct work *w, const struct addr *a)
{
	return memo_is_live(memo_find(&w->relay->dead, a),
	    loop_now_ms(w->relay->loop));
}

static void
put_addresses(struct work *w, bool dead)
{
	const struct route_target *t = w->target;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (work_may_use(w->relay->smtp, &t->addrs[i]) &&
		    is_dead(w, &t->addrs[i]) == dead)
			w->addrs[w->naddrs++] = t->addrs[i];
}

/*
 * The addresses that may be used; false: this host is not for now, because
 * there is none, or all are dead and another host may not be.
 */
static bool
take_addresses(struct work *w)
{
	const struct route_host *h = &w->route->hosts[w->host];
	struct reply r;

	w->addrs = arena_alloc(w->job.d->arena, w->target->n *
	    sizeof(*w->addrs));
	w->naddrs = w->addr = 0;
	put_addresses(w, false);
	if (w->naddrs == 0 && !w->is_second && w->route->n > 1) {
		put_addresses(w, true);
		if (w->naddrs > 0) {
			w->put_back |= 1ULL << w->host;
			return false;
		}
	} else
		put_addresses(w, true);
	if (w->naddrs > 0)
		return true;
	reply_cause(&r, w->job.d->arena, STAGE_NONE, CAUSE_NO_ADDRESS, h->name,
	    w->relay->smtp->address_family == FAMILY_IPV6 ? "IPv6" : "IPv4");
	host_failed(w, &r);
	return false;
}

void
work_forget_target(struct work *w)
{
	if (w->target != NULL && w->target->dane != NULL) {
		tls_dane_unref(w->target->dane);
		w->target->dane = NULL;
	}
	w->target = NULL;
}

/* The next host; after the last one those that were put back. */
static void
next_host(struct work *w)
{
	work_forget_target(w);
	do {
		if (++w->host == w->route->n && !w->is_second) {
			w->is_second = true;
			w->host = 0;
		}
	} while (w->is_second && w->host < w->route->n &&
	    (w->put_back & 1ULL << w->host) == 0);
	try_host(w);
}

bool
work_is_exhausted(struct work *w)
{
	const struct smtp_conf *conf = w->relay->smtp;
	int64_t now = loop_now_ms(w->relay->loop);

	if (w->job.d->deadline_ms != 0 && w->job.d->deadline_ms <= now) {
		work_answer_cause(w, CAUSE_DEADLINE, NULL);
		return true;
	}
	if (w->nfailed > 0 && (w->until_ms <= now ||
	    w->ntried >= conf->address_limit ||
	    w->nsessions >= conf->session_limit)) {
		work_give_up(w);
		return true;
	}
	return false;
}

void
work_next_address(struct work *w)
{
	w->want_fresh = w->no_tls = false;
	if (++w->addr < w->naddrs)
		work_try_address(w);
	else if (!work_wait_for_rival(w))
		next_host(w);
}

void
work_end_route(struct work *w)
{
	const struct route_host *hosts = w->route->hosts;
	uint32_t n = w->host;

	while (n > 0 && hosts[n - 1].preference == hosts[w->host].preference)
		n--;
	w->put_back &= (1ULL << n) - 1;
	w->route->n = w->host + 1;
}

static void
take_target(struct work *w, struct route_target *target)
{
	w->target = target;
	if (target->n == 0) {
		if (target->is_last)
			work_end_route(w);
		host_failed(w, &target->failure);
		next_host(w);
	} else if (take_addresses(w))
		work_try_address(w);
	else
		next_host(w);
}

static void
on_target(void *arg, struct route_target *target)
{
	struct work *w = arg;

	end_query(w);
	take_target(w, target);
}

static void
try_host(struct work *w)
{
	struct router *router = &w->relay->router;
	struct arena *arena = w->job.d->arena;
	struct route_target *target;

	if (w->host >= w->route->n) {
		work_give_up(w);
		return;
	}
	if (work_is_exhausted(w))
		return;
	target = router->ops->peek_host(router->state, w->route, w->host,
	    arena);
	if (target != NULL) {
		take_target(w, target);
		return;
	}
	begin_query(w);
	w->query = router->ops->ask_host(router->state, w->route, w->host,
	    arena, on_target, w);
}

static void
take_route(struct work *w, struct route *route)
{
	struct answer a = { .host = "", .address = "" };

	w->route = route;
	if (route->n == 0) {
		a.reply = route->failure;
		work_answer_rest(w, &a);
	} else
		try_host(w);
}

static void
on_route(void *arg, struct route *route)
{
	struct work *w = arg;

	end_query(w);
	take_route(w, route);
}

void
work_find_route(struct work *w)
{
	struct router *router = &w->relay->router;
	struct delivery *d = w->job.d;
	struct route *route = router->ops->peek(router->state, w->domain,
	    d->env.nexthop, d->arena);

	if (route != NULL) {
		take_route(w, route);
		return;
	}
	begin_query(w);
	w->query = router->ops->ask(router->state, w->domain, d->env.nexthop,
	    d->arena, on_route, w);
}
