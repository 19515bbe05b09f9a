/* sts_record.h - the TXT record of MTA-STS (RFC 8461 §3.1). */
#ifndef ROUTE_STS_RECORD_H
#define ROUTE_STS_RECORD_H

#include "route/dns.h"

#define STS_ID_MAX	33		/* with the NUL */

enum sts_record_result {
	STS_RECORD_NONE,	/* no record of ours among them */
	STS_RECORD_FOUND,
	STS_RECORD_BAD		/* several, or one that is malformed: none
				 * (§3.1), but worth a word */
};

/* The id of the record; *why_r is static text for STS_RECORD_BAD. */
enum sts_record_result sts_record_parse(const struct dns_txt *, size_t n,
	    char id[STS_ID_MAX], const char **why_r);

#endif
