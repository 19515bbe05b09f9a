/*
 * route.h - where mail for a domain goes: the hosts in the order they are to
 * be tried, and for each host its addresses and the TLS it must speak.
 *
 * Two kinds of router answer these questions: fixed.c from a configured list,
 * router.c from DNS and its policies.  Whoever delivers, and whoever explains
 * what a delivery would do, asks through the same functions.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/reply.h"
#include "net/addr.h"
#include "net/tls.h"
#include "net/tls_conf.h"
#include "route/tlsrpt.h"

struct arena;
struct tls_dane;

#define ROUTE_HOSTS_MAX	64	/* of a route */
#define ROUTE_ADDRS_MAX	32	/* of a host */

enum route_kind {
	ROUTE_FIXED,		/* the relay's own hosts */
	ROUTE_NEXTHOP,		/* hosts the envelope asks for */
	ROUTE_FORCED,		/* hosts the configuration has for a domain */
	ROUTE_LITERAL,		/* user@[192.0.2.1] */
	ROUTE_MX,		/* MX records */
	ROUTE_IMPLICIT		/* none: the domain is the host (RFC 5321 §5.1) */
};

struct route_host {
	const char	*name;		/* A-labels in lower case, an address, or
					 * the path of a UNIX socket */
	struct addr	 addr;		/* is_literal, is_unix: with the port */
	uint16_t	 port;
	uint16_t	 preference;
	bool		 is_literal;
	bool		 is_unix;
	bool		 is_fallback;	/* not the domain's: the operator's */
};

/* In the arena it was asked with. */
struct route {
	const char	*domain;	/* asked for; "" for any */
	enum route_kind	 kind;
	struct reply	 failure;	/* n == 0: why */
	struct route_host *hosts;	/* as they are to be tried */
	size_t		 n;
	bool		 is_secure;	/* the MX answer was signed (DNSSEC) */
	const char	*why;		/* for people: "3 MX hosts, signed" */
	const char	*policy;	/* for people: "MTA-STS enforce (id 7)" */
	void		*data;		/* the router's */
};

/* A host's addresses, and the terms of a connection to them. */
struct route_target {
	struct reply	 failure;	/* n == 0: why not this host */
	bool		 is_last;	/* n == 0: no host after it may be tried,
					 * as it is ourselves, or as there is no
					 * such domain */
	struct addr	*addrs;		/* with the port, in the order of trial */
	size_t		 n;
	bool		 has_policy;	/* the operator's for this domain; else
					 * the relay's options decide, by the
					 * address */
	struct tls_policy policy;
	enum tls_level	 asked;		/* of TLS, by the recipient's domain:
					 * DANE, MTA-STS; TLS_NONE: nothing */
	struct tls_dane	*dane;		/* TLSA records to match, or NULL; a
					 * reference for the asker, who gives
					 * it back by tls_dane_unref() */
	bool		 is_name_trusted;	/* an operator, DNSSEC or
					 * MTA-STS vouches for the host (RFC
					 * 8689 §4.2.1) */
	enum tlsrpt_policy report;	/* for outcome(): where a session here
					 * counts; TLSRPT_NPOLICIES: nowhere */
	const char	*why;		/* the policy, for people */
};

/* What became of TLS on a new connection. */
struct route_outcome {
	bool		 is_offered;	/* else there is none, or it is refused */
	enum tls_fault	 fault;
	enum tls_cert_fault cert;	/* though nobody may have minded */
};

struct route_query;
typedef void route_cb(void *arg, struct route *);
typedef void target_cb(void *arg, struct route_target *);

/*
 * A router.  Answers come once, later, never inside the call; the query is
 * gone then.  peek() and its like give at once what needs no waiting, or NULL.
 * What is answered lies in the arena, which must stay until then.
 */
struct route_ops {
	/* False: all domains have one route; they are not looked at. */
	bool	 by_domain;
	/*
	 * domain: of the recipient, lower-case A-labels, or "[...]".
	 * nexthop: what the envelope asks for instead, or NULL.
	 */
	struct route *(*peek)(void *router, const char *domain,
		    const char *nexthop, struct arena *);
	struct route_query *(*ask)(void *router, const char *domain,
		    const char *nexthop, struct arena *, route_cb *, void *);
	struct route_target *(*peek_host)(void *router, struct route *,
		    size_t host, struct arena *);
	struct route_query *(*ask_host)(void *router, struct route *,
		    size_t host, struct arena *, target_cb *, void *arg);
	void	 (*cancel)(void *router, struct route_query *);
	void	 (*free)(void *router);
	/* A session of route_target.report; may be NULL. */
	void	 (*outcome)(void *router, enum tlsrpt_policy,
		    const struct route_outcome *);
	/* Counters of its own; may be NULL. */
	void	 (*stats)(void *router, void (*put)(void *arg, const char *,
		    uint64_t), void *arg);
};

struct router {
	const struct route_ops *ops;
	void		*state;
};

#endif
