/* hosts.c - the hosts of a delivery, and the addresses of each, in order. */
#include "smtp/work.h"

#include "base/mem.h"

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
	work_remember(w, &r, h->host, "", h->port);
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


static void
next_host(struct work *w)
{
	w->host++;
	work_try_host(w);
}

void
work_next_address(struct work *w)
{
	w->want_fresh = w->no_tls = false;
	if (++w->addr < w->naddrs)
		work_try_address(w);
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
		work_try_address(w);
}

void
work_try_host(struct work *w)
{
	struct smtp_relay *r = w->relay;
	const struct hostspec *h = &w->hosts[w->host];
	struct addr a;

	if (w->host == w->nhosts) {
		work_give_up(w);
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
		work_try_address(w);
}
