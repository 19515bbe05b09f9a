/*
 * mx.h - the router of smtp-mx: a recipient domain's mail exchangers by DNS
 * (RFC 5321 §5.1), and what its DANE records, its MTA-STS policy and the
 * operator's own policy ask of a connection to them.
 *
 * The policy belongs to the recipient's domain and is settled for a host
 * before connections are shared, so that one domain's wrong policy harms no
 * other domain with the same hosts.
 */
#ifndef ROUTE_MX_H
#define ROUTE_MX_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/option.h"
#include "net/loop.h"
#include "net/tls_conf.h"
#include "route/dns.h"
#include "route/route.h"
#include "route/sts.h"

enum mx_private { MX_PRIVATE_ALLOWED, MX_PRIVATE_REFUSED };

struct mx_conf {
	int64_t		 port;
	struct opt_dict	 force_mx;	/* domain -> hosts */
	struct opt_list	 fallback_hosts;
	struct opt_list	 own_names, own_addresses;
	struct opt_dict	 tls_policy;	/* domain -> a word of tls_mode */
	bool		 address_literals;
	bool		 mx_is_address;	/* an MX target that is an address */
	int		 private_targets;	/* enum mx_private */
	bool		 dane;
};

extern const struct opt_row mx_conf_rows[];

/* For the table's check(); the number of faults. */
int	mx_conf_check(const struct mx_conf *, opt_report *, void *arg);

/* What it points to must stay; dns and sts are the router's from then on. */
struct mx_router_conf {
	const struct mx_conf *mx;
	const struct tls_conf *tls;
	const char	*ehlo;		/* a name of our own, too */
	bool		 want_ipv4, want_ipv6;
	struct dns	*dns;
	struct sts	*sts;		/* NULL: no MTA-STS */
};

/* The state is NULL with a text where an option cannot be used; dns and sts
 * are freed then, too. */
struct router mx_router(struct loop *, const struct mx_router_conf *,
	    char *error, size_t);

/* ---- for unit tests: the choice from an answer, without asking ---- */

struct arena;

/*
 * The hosts of an MX answer in the order of RFC 5321 §5.1 into route->hosts:
 * by preference, equal ones shuffled by pick(n) (0..n-1), without those that
 * are not before ourselves.  n == 0: route->failure says why.
 */
struct mx_choice {
	uint16_t	 port;
	const char	*const *own_names;	/* lower case, ended by NULL */
	bool		 mx_is_address;
	uint32_t	 (*pick)(uint32_t n);
};
void	mx_choose(struct route *, const struct dns_answer *,
	    const struct mx_choice *, struct arena *);

#endif
