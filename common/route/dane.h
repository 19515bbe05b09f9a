/*
 * dane.h - what DANE says about one SMTP host (RFC 7672, RFC 6698, 7671).
 *
 * A plan is made of DNS answers only: are the host's addresses secure, is its
 * name an alias, which TLSA records are at the TLSA base domain.  A host whose
 * plan has failed must not be used, in clear or otherwise (§2.1.1, §2.2.1):
 * an attacker who can make a look-up fail must win nothing.
 */
#ifndef ROUTE_DANE_H
#define ROUTE_DANE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/tls.h"
#include "route/dns.h"

enum dane_result {
	DANE_NONE,		/* no TLSA records, or nothing secure: DANE
				 * says nothing about this host */
	DANE_USABLE,		/* TLS, and the certificate must match one */
	DANE_UNUSABLE,		/* records, none of which can be used: TLS,
				 * whoever the server is (§2.2) */
	DANE_FAILED		/* do not use this host now */
};

struct dane_question {		/* what it points to must stay until the answer */
	const char	*host;		/* MX host name, lower case A-labels */
	uint16_t	 port;
	bool		 is_mx_secure;	/* the MX answer that named it; true for a
					 * host that the operator has named */
	bool		 wants_insecure_mx;	/* look for records though the MX
					 * answer is not secure: that helps
					 * against who listens, not against
					 * who changes DNS answers (§2.2.1) */
	const char	*domain;	/* next-hop domain: a reference identifier
					 * of usage 2 (§3.2.2); may be the host */
	const char	*expanded;	/* where its CNAMEs led in the MX answer:
					 * one more of them; NULL: it has none */
};

/* Valid until the callback returns; records are taken with tls_dane_ref(). */
struct dane_plan {
	enum dane_result result;
	struct tls_dane	*records;	/* DANE_USABLE; with the names */
	const char	*base;		/* TLSA base domain, "" if none was found */
	size_t		 n, nunusable;	/* records there, and of them those that
					 * cannot be used */
	const char	*why;		/* "3 TLSA records at _25._tcp.mx.example",
					 * "addresses of H are not signed", ... */
};

struct dane_query;
typedef void dane_cb(void *arg, const struct dane_plan *);

/*
 * The plan comes once, later, never inside this call; where all answers are
 * known, at the end of this turn.  The query is gone when the callback runs.
 */
struct dane_query *dane_ask(struct dns *, struct loop *,
		    const struct dane_question *, dane_cb *, void *arg);
void		 dane_cancel(struct dane_query *);

const char	*dane_result_name(enum dane_result);	/* "usable" */

#endif
