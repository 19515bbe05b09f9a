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
set_verdict(struct tls_cert *cert, const char *verified_as,
    const char *why_not)
{
	cert->is_verified = *verified_as != '\0';
	cert->verified_as = xstrdup(verified_as);
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
	set_verdict(cert, is_known ? "fingerprint" : "",
	    is_known ? "" : "its fingerprint is none of tls.fingerprints");
}

static void
check_chain(struct tls_cert *cert, X509 *x, X509_STORE_CTX *sc,
    const struct tls_wanted *w)
{
	const char *name;
	char why[WHY_MAX];
	int error;

	if (X509_verify_cert(sc) != 1) {
		error = X509_STORE_CTX_get_error(sc);
		if (error == X509_V_OK) {
			error = X509_V_ERR_UNSPECIFIED;
			X509_STORE_CTX_set_error(sc, error);
		}
		set_verdict(cert, "", X509_verify_cert_error_string(error));
	} else if ((name = find_name(x, w)) == NULL) {
		X509_STORE_CTX_set_error(sc, X509_V_ERR_HOSTNAME_MISMATCH);
		say_names(x, w, cert, why, sizeof(why));
		set_verdict(cert, "", why);
	} else
		set_verdict(cert, name, "");
}

struct tls_cert *
tls_cert_check(X509_STORE_CTX *sc, const struct tls_wanted *w)
{
	X509 *x = X509_STORE_CTX_get0_cert(sc);
	struct tls_cert *cert;

	if (x == NULL)
		return NULL;
	cert = cert_new(x);
	if (w->conf->fingerprints.n > 0)
		check_fingerprint(cert, sc, w);
	else if (w->is_looked_at)
		check_chain(cert, x, sc, w);
	else
		set_verdict(cert, "", "not asked for");
	/* A refused name or signature is no error of ours. */
	ERR_clear_error();
	return cert;
}
