/* test_tlsrpt.c - the words of RFC 8460 §4.3 and §4.4, and their counters. */
#include "route/tlsrpt.h"

#include "test.h"

static char seen[512];

static void
put(void *arg, const char *name, uint64_t n)
{
	size_t at = strlen(seen);

	(void)arg;
	snprintf(seen + at, sizeof(seen) - at, "%s %ju\n", name,
	    (uintmax_t)n);
}

int
main(void)
{
	static const char *const words[] = { "success",
	    "starttls-not-supported", "certificate-host-mismatch",
	    "certificate-expired", "certificate-not-trusted",
	    "validation-failure", "tlsa-invalid", "dnssec-invalid",
	    "dane-required", "sts-policy-fetch-error", "sts-policy-invalid",
	    "sts-webpki-invalid" };
	struct tlsrpt t = { .n = { { 0 } } };
	int i;

	is_int(sizeof(words) / sizeof(words[0]), TLSRPT_NRESULTS, "results");
	for (i = 0; i < TLSRPT_NRESULTS; i++)
		is_str(tlsrpt_result_name((enum tlsrpt_result)i), words[i],
		    "a word of the RFC");
	is_int(tlsrpt_result_find("sts-webpki-invalid"),
	    TLSRPT_STS_WEBPKI_INVALID, "and back");
	is_int(tlsrpt_result_find(""), TLSRPT_VALIDATION_FAILURE, "no word");
	is_str(tlsrpt_policy_name(TLSRPT_TLSA), "tlsa", "policy type");
	is_str(tlsrpt_policy_name(TLSRPT_STS), "sts", "policy type");
	is_str(tlsrpt_policy_name(TLSRPT_NO_POLICY), "no-policy-found",
	    "policy type");

	is_int(tlsrpt_of_fault(TLS_FAULT_NONE, TLS_CERT_GOOD),
	    TLSRPT_SUCCESS, "no fault");
	is_int(tlsrpt_of_fault(TLS_FAULT_HANDSHAKE, TLS_CERT_GOOD),
	    TLSRPT_VALIDATION_FAILURE, "a handshake");
	is_int(tlsrpt_of_fault(TLS_FAULT_CERT, TLS_CERT_NAME),
	    TLSRPT_CERTIFICATE_HOST_MISMATCH, "a name");
	is_int(tlsrpt_of_fault(TLS_FAULT_CERT, TLS_CERT_EXPIRED),
	    TLSRPT_CERTIFICATE_EXPIRED, "a date");
	is_int(tlsrpt_of_fault(TLS_FAULT_CERT, TLS_CERT_UNTRUSTED),
	    TLSRPT_CERTIFICATE_NOT_TRUSTED, "an issuer");
	is_int(tlsrpt_of_fault(TLS_FAULT_CERT, TLS_CERT_DANE),
	    TLSRPT_VALIDATION_FAILURE, "TLSA records");
	is_int(tlsrpt_of_fault(TLS_FAULT_CERT, TLS_CERT_BAD),
	    TLSRPT_VALIDATION_FAILURE, "anything else");

	tlsrpt_each(&t, put, NULL);
	is_str(seen, "", "nothing yet");
	tlsrpt_count(&t, TLSRPT_STS, TLSRPT_SUCCESS);
	tlsrpt_count(&t, TLSRPT_STS, TLSRPT_SUCCESS);
	tlsrpt_count(&t, TLSRPT_TLSA, TLSRPT_DNSSEC_INVALID);
	tlsrpt_count(&t, TLSRPT_NO_POLICY, TLSRPT_STARTTLS_NOT_SUPPORTED);
	tlsrpt_each(&t, put, NULL);
	is_str(seen, "tls_tlsa_dnssec_invalid 1\ntls_sts_success 2\n"
	    "tls_no_policy_found_starttls_not_supported 1\n", "counters");
	return done_testing();
}
