/* mx_router.h - the router of smtp-mx from inside; private to route/mx*.c. */
#ifndef ROUTE_MX_ROUTER_H
#define ROUTE_MX_ROUTER_H

#include "route/dane.h"
#include "route/domain_map.h"
#include "route/mx.h"
#include "route/tlsrpt.h"

struct arena;

struct mx_router {
	struct loop	*loop;
	struct mx_router_conf conf;
	struct arena	*arena;		/* of what follows */
	const char	**own_names;	/* lower case, ended by NULL */
	struct addr	*own_addresses;
	size_t		 nown_addresses;
	struct domain_map forced, policies;
	struct forced {			/* by the pair's number */
		struct route_host *hosts;
		size_t	 n;
	} *force;
	struct tls_policy *policy;	/* likewise */
	struct route_host *fallback;
	size_t		 nfallback;
	uint64_t	 routes;	/* asked for */
	struct tlsrpt	 report;
};

/* What a route has beyond its hosts. */
struct mx_terms {
	struct tls_policy policy;	/* the operator's */
	bool		 is_overridden;	/* by tls_policy.DOMAIN */
	struct sts_policy sts;		/* STS_FOUND and of mode testing or
					 * enforce */
	bool		 has_sts;
	enum tlsrpt_result sts_fault;	/* TLSRPT_SUCCESS: none */
	const char	*expanded;	/* where the domain's CNAMEs led; NULL:
					 * it has none */
};

/* One question under way; in the asker's arena. */
struct route_query {
	struct mx_router *r;
	struct arena	*arena;
	void		*arg;
	struct route	*route;
	/* for a route */
	route_cb	*on_route;
	uint16_t	 port;
	struct dns_query *mx;
	struct sts_query *sts;
	/* for a host */
	target_cb	*on_target;
	const struct route_host *host;
	struct route_target *target;
	struct dns_query *a, *aaaa;
	struct dane_query *dane;
	struct dane_question question;
	const char	*dns_error;	/* of a look-up that failed for now */
};

/* mx_conf.c: a word of tls_policy; -1: it is none. */
int	mx_policy_parse(const char *word, struct tls_policy *);

/* mx_host.c */
struct route_target *mx_peek_host(void *, struct route *, size_t host,
	    struct arena *);
struct route_query *mx_ask_host(void *, struct route *, size_t host,
	    struct arena *, target_cb *, void *arg);
void	mx_cancel_host(struct route_query *);

#endif
