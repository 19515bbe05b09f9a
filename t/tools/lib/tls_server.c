/*
 * tls_server.c - the TLS side of a test server.
 */
#include "tls_server.h"

#include <err.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sysexits.h>

#define CERT_DAYS	30

const char *
tls_server_error(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text != NULL ? text : "unknown error";
}

static void
add_names(X509 *cert)
{
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *san;

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	    "DNS:localhost,IP:127.0.0.1,IP:::1");
	if (san == NULL || X509_add_ext(cert, san, -1) != 1)
		errx(EX_SOFTWARE, "certificate: %s", tls_server_error());
	X509_EXTENSION_free(san);
}

static void
use_own_cert(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	if (key == NULL || cert == NULL)
		errx(EX_SOFTWARE, "certificate: %s", tls_server_error());
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	/* An hour back, for a client whose clock is a little late. */
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * CERT_DAYS);
	X509_set_pubkey(cert, key);
	add_names(cert);
	if (X509_sign(cert, key, EVP_sha256()) == 0 ||
	    SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1)
		errx(EX_SOFTWARE, "certificate: %s", tls_server_error());
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
use_files(SSL_CTX *ctx, const char *chain, const char *key)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1)
		errx(EX_NOINPUT, "%s: %s", chain, tls_server_error());
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		errx(EX_NOINPUT, "%s: %s", key, tls_server_error());
}

SSL_CTX *
tls_server_new(const char *chain, const char *key)
{
	static const unsigned char context[] = "nexthop-test";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		errx(EX_SOFTWARE, "TLS: %s", tls_server_error());
	if (chain != NULL)
		use_files(ctx, chain, key != NULL ? key : chain);
	else
		use_own_cert(ctx);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Without a context OpenSSL refuses to resume when asked to verify. */
	SSL_CTX_set_session_id_context(ctx, context, sizeof context - 1);
	return ctx;
}
