/*
 * dns.h - a stub resolver on the event loop: one question, one answer, later.
 *
 * Packets are ldns's, the transport is our own: UDP with EDNS0 from a random
 * port with a random id, TCP where the answer was truncated, the servers of
 * resolv.conf or of an option, each with its health.  Answers are kept by the
 * smallest TTL of their records, negative ones by the SOA's (RFC 2308 §5); a
 * question under way is asked once, whoever asks it.
 *
 * An answer is secure when a trusted server says so (the AD bit, RFC 6840
 * §5.8): one on a loopback address, or one declared trusted, by the option or
 * by trust-ad in resolv.conf.  For anyone else nothing is secure.  A trusted
 * server's SERVFAIL is not taken to servers that are not: it may mean forged
 * records.
 *
 * Implements RFC 1035, 2308, 3596, 5452 (§4, §9), 6891, 7766 as a stub.
 */
#ifndef ROUTE_DNS_H
#define ROUTE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/option.h"
#include "net/addr.h"
#include "net/loop.h"

#define DNS_NAME_MAX	254	/* as text without the last dot, NUL included;
				 * names with \DDD may be longer, below 1024 */
#define DNS_RECORDS_MAX	256	/* more than these are left out */
#define DNS_ASKED_MAX	1000	/* questions under way at once; others wait */
#define DNS_LINE_MAX	20000	/* of these; more fail at once */

struct dns;
struct dns_query;

/* The rows join an agent's table; they and smtp_conf_rows are disjoint. */
struct dns_conf {
	struct opt_list	 resolver;	/* addr, addr:port; empty: resolv_conf */
	char		*resolv_conf;	/* its file */
	char		*hosts_file;	/* NULL or "": none */
	bool		 resolver_trusted;
	int64_t		 dns_timeout_ms;	/* for an answer, all tries; without a
					 * row: the agent's own dns_timeout
					 * goes here before dns_new(); 0: 30 s */
	int64_t		 dns_cache_size;	/* answers */
	int64_t		 dns_ttl_min_ms, dns_ttl_max_ms, dns_negative_ttl_max_ms;
};

extern const struct opt_row dns_conf_rows[];

/* What is legal but dangerous; see tls_conf_warn(). */
void	dns_conf_warn(const struct dns_conf *, opt_report *, void *arg);

enum dns_type { DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_TLSA, DNS_CNAME };

enum dns_status {
	DNS_OK,			/* n > 0 */
	DNS_NO_DATA,		/* the name is there, or may be; no such record */
	DNS_NO_NAME,		/* NXDOMAIN */
	DNS_BAD_NAME,		/* no name that can be asked for: too long, an
				 * empty label; nobody was asked */
	DNS_FAILED		/* SERVFAIL, REFUSED, no answer in time, answers
				 * that are none: may work later */
};

struct dns_mx {
	uint16_t	 preference;
	const char	*host;		/* "": the root (RFC 7505) */
};

struct dns_tlsa {
	uint8_t		 usage, selector, matching;	/* RFC 6698 §2.1 */
	const uint8_t	*data;
	size_t		 len;
};

struct dns_txt {		/* the strings of a record, joined */
	const char	*text;		/* NUL behind it; may hold NULs */
	size_t		 len;
};

/*
 * What was asked and what came.  Names are in lower case, in A-labels, without
 * the last dot, bytes outside of letters, digits, '-', '_', '.' as \DDD.
 * Records are in the server's order.  It belongs to the resolver and is valid
 * until the callback returns, or for one from dns_peek() until the next call
 * into the resolver or turn of the loop.
 */
struct dns_answer {
	enum dns_type	 type;
	enum dns_status	 status;
	bool		 is_secure;	/* all of it, with the CNAMEs on the way;
					 * also for DNS_NO_DATA, DNS_NO_NAME */
	bool		 is_alias;	/* a CNAME led to name */
	const char	*asked;
	const char	*name;		/* whose records these are: the end of
					 * the CNAMEs (at most 8 are followed) */
	const char	*error;		/* DNS_FAILED, DNS_BAD_NAME: a text such
					 * as "server failure", "timed out" */
	const char	*server;	/* who said it: "127.0.0.1:53", "cache" is
					 * never said; "" if nobody */
	uint32_t	 ttl_s;		/* left of it */
	size_t		 n;
	union {			/* by type; [n] */
		const struct dns_mx	*mx;
		const struct addr	*addrs;	/* port 0 */
		const struct dns_tlsa	*tlsa;
		const struct dns_txt	*txt;
		const char		*const *cnames;
	};
};

typedef void dns_cb(void *arg, const struct dns_answer *);

/* NULL with a text: a server that is no address, no server at all. The conf
 * must stay as long as the resolver. */
struct dns	*dns_new(struct loop *, const struct dns_conf *, char *error,
		    size_t);
void		 dns_free(struct dns *);	/* no question may be open */

/*
 * Asks; the answer comes once, later, never inside this call.  The query is
 * gone when the callback runs.  The name may end in a dot, and hold \DDD;
 * U-labels are the caller's to convert.  Who joins a question under way shares
 * the rest of its time.
 */
struct dns_query *dns_ask(struct dns *, const char *name, enum dns_type,
		    dns_cb *, void *arg);
void		 dns_cancel(struct dns_query *);

/* What is known without asking: the cache, the hosts file. NULL: nothing. */
const struct dns_answer *dns_peek(struct dns *, const char *name,
		    enum dns_type);

/* Is any server trusted to say that an answer is secure? */
bool		 dns_can_be_secure(const struct dns *);

struct dns_stats {
	uint64_t	 asked;		/* dns_ask(), dns_peek() with an answer */
	uint64_t	 cached;	/* of them from the cache */
	uint64_t	 sent;		/* packets and TCP questions */
	uint64_t	 failed, timed_out;
	uint64_t	 entries;	/* in the cache now */
};
void		 dns_stats(const struct dns *, struct dns_stats *);

const char	*dns_type_name(enum dns_type);	/* "MX" */

#endif
