/*
 * sts.h - MTA-STS (RFC 8461): which MX hosts a domain has promised, and that
 * they speak TLS with a valid certificate.
 *
 * The TXT record says whether there is a policy and whether the kept one is
 * still right; the policy comes over HTTPS.  Policies are kept in memory and
 * on disk, so that neither a restart nor an attacker who suppresses the record
 * or the web server undoes them before max_age (§5.1, §10.2).
 *
 * A record with a new id is a reason to fetch before the answer; what is kept
 * holds where that fails.  A fetch that failed is not repeated for 5 minutes
 * (§3.3).  Kept policies are fetched anew after half of their max_age, but at
 * least once a day, whether anybody asks or not (§3.3, §10.2).
 */
#ifndef ROUTE_STS_H
#define ROUTE_STS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/option.h"
#include "route/dns.h"

#define STS_BODY_MAX	65536		/* §3.3 */
#define STS_MX_MAX	100		/* patterns of a policy */
#define STS_MAX_AGE_MAX	31557600	/* §3.2 */

enum sts_mode { STS_MODE_NONE, STS_MODE_TESTING, STS_MODE_ENFORCE };

struct sts_conf {
	bool		 mta_sts;	/* at all */
	char		*mta_sts_cache;	/* folder; NULL or "": memory only */
	int64_t		 mta_sts_cache_size;	/* policies */
	int64_t		 mta_sts_timeout_ms;	/* for a policy */
	char		*mta_sts_ca_certs;	/* NULL or "": the system's */
	int64_t		 mta_sts_port;	/* of policy hosts */
};

extern const struct opt_row sts_conf_rows[];

struct sts_policy {
	enum sts_mode	 mode;
	int64_t		 max_age_s;
	const char	*id;		/* of the TXT record it came with */
	const char	*const *mx;	/* patterns, lower case A-labels */
	size_t		 nmx;
};

enum sts_result {
	STS_NONE,		/* the domain has no policy, or one of mode none */
	STS_FOUND,		/* policy holds */
	STS_UNAVAILABLE		/* there should be one, but none could be had and
				 * none is kept: as if there were none (§3.3) */
};

/* Valid until the callback returns (sts_peek: until the next turn), or until
 * the next call of sts_peek(). */
struct sts_answer {
	enum sts_result	 result;
	const struct sts_policy *policy;	/* STS_FOUND */
	bool		 is_kept;	/* from the cache, not fetched now */
	const char	*why;		/* for people: "no TXT record", "policy
					 * id 2026 enforce, kept", "HTTP 404 ..." */
	const char	*report;	/* RFC 8460 §4.3 result type for
					 * STS_UNAVAILABLE: "sts-policy-fetch-error",
					 * "sts-policy-invalid",
					 * "sts-webpki-invalid"; also where the
					 * kept policy holds because a new one
					 * could not be had; else "" */
};

struct sts;
struct sts_query;
typedef void sts_cb(void *arg, const struct sts_answer *);

/*
 * NULL with a text: a folder that cannot be used, an unreadable file of
 * certificates.  The conf and the resolver must stay.  The folder is the
 * operator's to make; the processes of a relay share it, and so may relays.
 */
struct sts	*sts_new(struct loop *, struct dns *, const struct sts_conf *,
		    char *error, size_t);
void		 sts_free(struct sts *);	/* no question may be open */

/*
 * The domain in lower case A-labels without the last dot; never an address
 * literal.  The answer comes once, later; the query is gone when the callback
 * runs.
 */
struct sts_query *sts_ask(struct sts *, const char *domain, sts_cb *, void *);
void		 sts_cancel(struct sts_query *);
/* What is kept and needs no question; NULL: ask. */
const struct sts_answer *sts_peek(struct sts *, const char *domain);

struct sts_stats {
	uint64_t	 kept;		/* policies now */
	uint64_t	 fetched, failed;	/* policies asked for over HTTPS */
	uint64_t	 disk_errors;
};
void		 sts_stats(const struct sts *, struct sts_stats *);

/* §4.1: "mail.example.com", "*.example.net" (one label). */
bool		 sts_mx_matches(const struct sts_policy *, const char *host);

#endif
