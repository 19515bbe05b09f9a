/* tls_cert.c - the certificate of a server: facts, and is it the right one? */
#include "net/tls_cert.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_SHOWN	128	/* bytes of a name that a peer has chosen */
#define NAMES_SHOWN	5
#define WHY_MAX		1024

struct tls_cert *
tls_cert_ref(struct tls_cert *cert)
{
	if (cert != NULL)
		cert->refs++;
	return cert;
}

void
tls_cert_unref(struct tls_cert *cert)
{
	if (cert == NULL || --cert->refs > 0)
		return;
	free(cert->verified_as);
	free(cert->why_not);
	free(cert->subject);
	free(cert->issuer);
	free(cert);
}

/* ---- facts ---- */

/* A string of a certificate, for people; it may hold any byte. */
static void
show(char *to, size_t size, const ASN1_STRING *s)
{
	unsigned char *utf8 = NULL;
	int n = s == NULL ? -1 : ASN1_STRING_to_UTF8(&utf8, s);

	if (n < 0)
		n = 0;
	str_escape(to, size, utf8 == NULL ? (unsigned char *)"" : utf8,
	    n < NAME_MAX_SHOWN ? (size_t)n : NAME_MAX_SHOWN);
	OPENSSL_free(utf8);
}

static char *
common_name(const X509_NAME *name)
{
	char text[4 * NAME_MAX_SHOWN + 1] = "";
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

	if (at >= 0)
		show(text, sizeof(text),
		    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	return xstrdup(text);
}

static int64_t
seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void
hash_key(X509 *x, uint8_t to[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	if (n > 0)
		EVP_Digest(der, (size_t)n, to, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}

static struct tls_cert *
cert_new(X509 *x)
{
	struct tls_cert *cert = xcalloc(1, sizeof(*cert));

	cert->refs = 1;
	cert->subject = common_name(X509_get_subject_name(x));
	cert->issuer = common_name(X509_get_issuer_name(x));
	cert->not_after_s = seconds(X509_get0_notAfter(x));
	X509_digest(x, EVP_sha256(), cert->fingerprint, NULL);
	hash_key(x, cert->key_fingerprint);
	return cert;
}

static void
set_verified(struct tls_cert *cert, const char *as)
{
	cert->is_verified = true;
	cert->verified_as = xstrdup(as);
	cert->why_not = xstrdup("");
}

static void
set_refused(struct tls_cert *cert, enum tls_cert_fault fault,
    const char *why_not)
{
	cert->fault = fault;
	cert->verified_as = xstrdup("");
	cert->why_not = xstrdup(why_not);
}

/* ---- names ---- */

static bool
is_named(X509 *x, const char *name)
{
	char host[256];
	struct addr a;
	size_t n = strlcpy(host, name, sizeof(host));

	if (n >= sizeof(host))
		return false;
	if (addr_parse(&a, host, 0) == 0)
		return X509_check_ip_asc(x, host, 0) == 1;
	if (n > 1 && host[n - 1] == '.')
		host[n - 1] = '\0';
	return X509_check_host(x, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
	    NULL) == 1;
}

/* The name the certificate is for, of those that would do; or NULL. */
static const char *
find_name(X509 *x, const struct tls_wanted *w)
{
	const struct opt_list *match = &w->conf->match;
	size_t i;

	for (i = 0; w->names != NULL && w->names[i] != NULL; i++)
		if (is_named(x, w->names[i]))
			return w->names[i];
	if (w->names != NULL)
		return NULL;
	for (i = 0; i < match->n; i++)
		if (is_named(x, match->v[i]))
			return match->v[i];
	if (match->n > 0 || w->host == NULL)
		return NULL;
	return is_named(x, w->host) ? w->host : NULL;
}

static void
add_name(struct buf *b, const GENERAL_NAME *name, unsigned *n)
{
	char text[4 * NAME_MAX_SHOWN + 1];
	const ASN1_STRING *ip;
	struct addr a;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return;
	if (++*n > NAMES_SHOWN)
		return;
	if (name->type == GEN_DNS)
		show(text, sizeof(text), name->d.dNSName);
	else {
		ip = name->d.iPAddress;
		memset(&a, 0, sizeof(a));
		a.u.sa.sa_family = ASN1_STRING_length(ip) == 4 ? AF_INET :
		    AF_INET6;
		if (ASN1_STRING_length(ip) == 4)
			memcpy(&a.u.in.sin_addr, ASN1_STRING_get0_data(ip), 4);
		else if (ASN1_STRING_length(ip) == 16)
			memcpy(&a.u.in6.sin6_addr, ASN1_STRING_get0_data(ip),
			    16);
		addr_format(&a, text, sizeof(text));
	}
	buf_printf(b, "%s%s", *n > 1 ? ", " : "", text);
}

/* "certificate is for a.example, b.example, not for mail.example". */
static void
say_names(X509 *x, const struct tls_wanted *w, const struct tls_cert *cert,
    char *why, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	unsigned n = 0;
	struct buf b;
	int i;

	buf_init(&b, WHY_MAX * 4);
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++)
		add_name(&b, sk_GENERAL_NAME_value(names, i), &n);
	if (n > NAMES_SHOWN)
		buf_printf(&b, " and %u more", n - NAMES_SHOWN);
	if (n == 0)
		buf_puts(&b, *cert->subject != '\0' ? cert->subject :
		    "no name");
	snprintf(why, size, "certificate is for %.*s, not for %s",
	    (int)buf_len(&b), buf_data(&b), w->names != NULL &&
	    w->names[0] != NULL ? w->names[0] : w->conf->match.n > 0 ?
	    w->conf->match.v[0] : w->host != NULL ? w->host : "(no name)");
	buf_clear(&b);
	GENERAL_NAMES_free(names);
}

/* ---- the verdict ---- */

static bool
has_fingerprint(const struct tls_cert *cert, const struct opt_list *list)
{
	uint8_t wanted[32];
	size_t i;

	for (i = 0; i < list->n; i++)
		if (tls_fingerprint_parse(list->v[i], wanted) == 0 &&
		    (memcmp(wanted, cert->fingerprint, 32) == 0 ||
		    memcmp(wanted, cert->key_fingerprint, 32) == 0))
			return true;
	return false;
}

static void
check_fingerprint(struct tls_cert *cert, X509_STORE_CTX *sc,
    const struct tls_wanted *w)
{
	bool is_known = has_fingerprint(cert, &w->conf->fingerprints);

	X509_STORE_CTX_set_error(sc, is_known ? X509_V_OK :
	    X509_V_ERR_CERT_UNTRUSTED);
	if (is_known)
		set_verified(cert, "fingerprint");
	else
		set_refused(cert, TLS_CERT_UNTRUSTED,
		    "its fingerprint is none of tls.fingerprints");
}

static enum tls_cert_fault
fault_of(int error)
{
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_CERT_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_CERT_EXPIRED;
	case X509_V_ERR_DANE_NO_MATCH:
		return TLS_CERT_DANE;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_REJECTED:
	case X509_V_ERR_CERT_REVOKED:
	case X509_V_ERR_INVALID_CA:
		return TLS_CERT_UNTRUSTED;
	default:
		return TLS_CERT_BAD;
	}
}

/* The chain, and under DANE the names too; 0, or OpenSSL's error. */
static int
verify(X509_STORE_CTX *sc)
{
	int error;

	if (X509_verify_cert(sc) == 1)
		return X509_V_OK;
	error = X509_STORE_CTX_get_error(sc);
	if (error == X509_V_OK) {
		error = X509_V_ERR_UNSPECIFIED;
		X509_STORE_CTX_set_error(sc, error);
	}
	return error;
}

static void
check_chain(struct tls_cert *cert, X509 *x, X509_STORE_CTX *sc,
    const struct tls_wanted *w)
{
	const char *name;
	char why[WHY_MAX];
	int error = verify(sc);

	if (error != X509_V_OK) {
		set_refused(cert, fault_of(error),
		    X509_verify_cert_error_string(error));
	} else if ((name = find_name(x, w)) == NULL) {
		X509_STORE_CTX_set_error(sc, X509_V_ERR_HOSTNAME_MISMATCH);
		say_names(x, w, cert, why, sizeof(why));
		set_refused(cert, TLS_CERT_NAME, why);
	} else
		set_verified(cert, name);
}

static const char *
dane_name(X509 *x, const struct tls_dane *dane)
{
	size_t i;

	for (i = 0; dane->names[i] != NULL; i++)
		if (is_named(x, dane->names[i]))
			return dane->names[i];
	return "?";
}

/*
 * OpenSSL does all of it: digest agility (RFC 7671 §9), for DANE-EE neither
 * names nor times (RFC 7672 §3.1.1), for DANE-TA the chain and the names.
 */
static void
check_dane(struct tls_cert *cert, X509 *x, X509_STORE_CTX *sc,
    const struct tls_wanted *w)
{
	struct tls_wanted by_dane = { .conf = w->conf,
	    .names = (const char *const *)w->dane->names };
	char text[WHY_MAX];
	int error = verify(sc);

	if (error == X509_V_ERR_HOSTNAME_MISMATCH) {
		say_names(x, &by_dane, cert, text, sizeof(text));
		set_refused(cert, TLS_CERT_NAME, text);
	} else if (error == X509_V_ERR_DANE_NO_MATCH) {
		if (w->dane->n == 1)
			snprintf(text, sizeof(text), "the TLSA record of "
			    "%.255s does not match", w->dane->names[0]);
		else
			snprintf(text, sizeof(text), "none of the %zu TLSA "
			    "records of %.255s matches", w->dane->n,
			    w->dane->names[0]);
		set_refused(cert, TLS_CERT_DANE, text);
	} else if (error != X509_V_OK) {
		set_refused(cert, fault_of(error),
		    X509_verify_cert_error_string(error));
	} else if (X509_VERIFY_PARAM_get0_peername(
	    X509_STORE_CTX_get0_param(sc)) == NULL) {
		set_verified(cert, "dane");	/* names were not looked at */
	} else {
		snprintf(text, sizeof(text), "dane-ta:%.255s",
		    dane_name(x, w->dane));
		set_verified(cert, text);
	}
}

struct tls_cert *
tls_cert_check(X509_STORE_CTX *sc, const struct tls_wanted *w)
{
	X509 *x = X509_STORE_CTX_get0_cert(sc);
	struct tls_cert *cert;

	if (x == NULL)
		return NULL;
	cert = cert_new(x);
	if (w->dane != NULL)
		check_dane(cert, x, sc, w);
	else if (w->conf->fingerprints.n > 0)
		check_fingerprint(cert, sc, w);
	else if (w->is_looked_at)
		check_chain(cert, x, sc, w);
	else
		set_refused(cert, TLS_CERT_GOOD, "not asked for");
	/* A refused name or signature is no error of ours. */
	ERR_clear_error();
	return cert;
}
