/*
 * tlsrpt.h - how sessions went under DANE and MTA-STS, in the words of RFC
 * 8460 (SMTP TLS reporting), counted for the agent's statistics.
 */
#ifndef ROUTE_TLSRPT_H
#define ROUTE_TLSRPT_H

#include <stdint.h>

#include "net/tls.h"

enum tlsrpt_policy {		/* §4.4, "policy-type" */
	TLSRPT_TLSA,
	TLSRPT_STS,
	TLSRPT_NO_POLICY,
	TLSRPT_NPOLICIES
};

enum tlsrpt_result {		/* §4.3 */
	TLSRPT_SUCCESS,		/* §4.4, "total-successful-session-count" */
	TLSRPT_STARTTLS_NOT_SUPPORTED,
	TLSRPT_CERTIFICATE_HOST_MISMATCH,
	TLSRPT_CERTIFICATE_EXPIRED,
	TLSRPT_CERTIFICATE_NOT_TRUSTED,
	TLSRPT_VALIDATION_FAILURE,	/* and whatever has no word */
	TLSRPT_TLSA_INVALID,
	TLSRPT_DNSSEC_INVALID,
	TLSRPT_DANE_REQUIRED,
	TLSRPT_STS_POLICY_FETCH_ERROR,
	TLSRPT_STS_POLICY_INVALID,
	TLSRPT_STS_WEBPKI_INVALID,
	TLSRPT_NRESULTS
};

const char	*tlsrpt_policy_name(enum tlsrpt_policy);	/* "tlsa" */
const char	*tlsrpt_result_name(enum tlsrpt_result);
/* Of sts_answer.report; TLSRPT_VALIDATION_FAILURE for no word of the RFC. */
enum tlsrpt_result tlsrpt_result_find(const char *name);

/* The result for a session that TLS has ended; TLS_FAULT_NONE: success. */
enum tlsrpt_result tlsrpt_of_fault(enum tls_fault, enum tls_cert_fault);

struct tlsrpt {			/* sessions; begins as zeros */
	uint64_t	 n[TLSRPT_NPOLICIES][TLSRPT_NRESULTS];
};

void		 tlsrpt_count(struct tlsrpt *, enum tlsrpt_policy,
		    enum tlsrpt_result);
/*
 * Every counter that is not 0 as "tls_sts_certificate_expired": put has the
 * form of an agent's stats.
 */
void		 tlsrpt_each(const struct tlsrpt *, void (*put)(void *arg,
		    const char *name, uint64_t), void *arg);

#endif
