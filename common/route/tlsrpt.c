/* tlsrpt.c - the words of RFC 8460, and how often each was true. */
#include "route/tlsrpt.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE	80

static const char *const policy_names[TLSRPT_NPOLICIES] = {
	[TLSRPT_TLSA] = "tlsa",
	[TLSRPT_STS] = "sts",
	[TLSRPT_NO_POLICY] = "no-policy-found",
};

static const char *const result_names[TLSRPT_NRESULTS] = {
	[TLSRPT_SUCCESS] = "success",
	[TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
	[TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
	[TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
	[TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
	[TLSRPT_VALIDATION_FAILURE] = "validation-failure",
	[TLSRPT_TLSA_INVALID] = "tlsa-invalid",
	[TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
	[TLSRPT_DANE_REQUIRED] = "dane-required",
	[TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
	[TLSRPT_STS_POLICY_INVALID] = "sts-policy-invalid",
	[TLSRPT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

const char *
tlsrpt_policy_name(enum tlsrpt_policy policy)
{
	return policy_names[policy];
}

const char *
tlsrpt_result_name(enum tlsrpt_result result)
{
	return result_names[result];
}

enum tlsrpt_result
tlsrpt_result_find(const char *name)
{
	int i;

	for (i = 0; i < TLSRPT_NRESULTS; i++)
		if (strcmp(result_names[i], name) == 0)
			return (enum tlsrpt_result)i;
	return TLSRPT_VALIDATION_FAILURE;
}

enum tlsrpt_result
tlsrpt_of_fault(enum tls_fault fault, enum tls_cert_fault cert)
{
	if (fault == TLS_FAULT_NONE)
		return TLSRPT_SUCCESS;
	if (fault != TLS_FAULT_CERT)
		return TLSRPT_VALIDATION_FAILURE;
	switch (cert) {
	case TLS_CERT_NAME:
		return TLSRPT_CERTIFICATE_HOST_MISMATCH;
	case TLS_CERT_EXPIRED:
		return TLSRPT_CERTIFICATE_EXPIRED;
	case TLS_CERT_UNTRUSTED:
		return TLSRPT_CERTIFICATE_NOT_TRUSTED;
	default:
		return TLSRPT_VALIDATION_FAILURE;
	}
}

void
tlsrpt_count(struct tlsrpt *t, enum tlsrpt_policy policy,
    enum tlsrpt_result result)
{
	t->n[policy][result]++;
}

static void
put_one(void (*put)(void *, const char *, uint64_t), void *arg, int policy,
    int result, uint64_t n)
{
	char name[NAME_SIZE], *p;

	snprintf(name, sizeof(name), "tls_%s_%s", policy_names[policy],
	    result_names[result]);
	for (p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	put(arg, name, n);
}

void
tlsrpt_each(const struct tlsrpt *t, void (*put)(void *, const char *,
    uint64_t), void *arg)
{
	int policy, result;

	for (policy = 0; policy < TLSRPT_NPOLICIES; policy++)
		for (result = 0; result < TLSRPT_NRESULTS; result++)
			if (t->n[policy][result] > 0)
				put_one(put, arg, policy, result,
				    t->n[policy][result]);
}
