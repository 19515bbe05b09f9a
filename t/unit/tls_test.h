/* tls_test.h - certificates made for the tests of TLS. */
#ifndef TLS_TEST_H
#define TLS_TEST_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct pair {
	X509		*cert;
	EVP_PKEY	*key;
};

static inline void
add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

/* NULL issuer: signs itself; san NULL: a CA. */
static inline struct pair
make_cert(const char *cn, const char *san, const struct pair *issuer,
    long from_s, long to_s)
{
	static long serial = 1;
	struct pair p = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *name = X509_get_subject_name(p.cert);
	const struct pair *by = issuer != NULL ? issuer : &p;

	X509_set_version(p.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), to_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p.cert, X509_get_subject_name(by->cert));
	X509_set_pubkey(p.cert, p.key);
	if (san == NULL)
		add_ext(p.cert, by->cert, NID_basic_constraints,
		    "critical,CA:TRUE");
	else if (*san != '\0')
		add_ext(p.cert, by->cert, NID_subject_alt_name, san);
	X509_sign(p.cert, by->key, EVP_sha256());
	return p;
}

static inline void
free_pair(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

#endif
