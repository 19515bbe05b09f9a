/* tls_guest.c - the tls options for a library that does TLS by itself. */
#include "net/tls_guest.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_cert.h"
#include "net/tls_ctx.h"

void
tls_guest_init(struct tls_guest *g, struct tls_ctx *ctx, enum tls_level level,
    const char *host)
{
	memset(g, 0, sizeof(*g));
	tls_ctx_ref(ctx);
	g->ctx = ctx;
	g->level = level;
	g->host = xstrdup(host);
}

void
tls_guest_clear(struct tls_guest *g)
{
	tls_cert_unref(g->cert);
	free(g->host);
	tls_ctx_free(g->ctx);
	memset(g, 0, sizeof(*g));
}

static int
on_verify(X509_STORE_CTX *sc, void *arg)
{
	struct tls_guest *g = arg;
	struct tls_wanted wanted = { .conf = g->ctx->conf, .host = g->host };

	wanted.is_looked_at = g->level == TLS_VERIFY ||
	    g->ctx->conf->cert_reqs != TLS_REQS_NONE;
	tls_cert_unref(g->cert);
	g->cert = tls_cert_check(sc, &wanted);
	if (g->level != TLS_VERIFY || (g->cert != NULL && g->cert->is_verified))
		return 1;
	g->is_refused = true;
	return 0;
}

int
tls_guest_dress(struct tls_guest *g, void *ssl_ctx, char *error, size_t size)
{
	SSL_CTX *to = ssl_ctx;

	tls_cert_unref(g->cert);
	g->cert = NULL;
	g->is_refused = false;
	if (tls_ctx_dress(g->ctx, to, error, size) == -1)
		return -1;
	SSL_CTX_set_verify(to, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(to, on_verify, g);
	return 0;
}

bool
tls_guest_admits(const struct tls_guest *g, const void *ssl)
{
	if (g->level != TLS_VERIFY)
		return true;
	if (ssl == NULL)
		return false;
	if (g->cert != NULL)
		return g->cert->is_verified;
	return SSL_session_reused(ssl) == 1 &&
	    SSL_get_verify_result(ssl) == X509_V_OK;
}

const char *
tls_guest_why(const struct tls_guest *g)
{
	if (!g->is_refused)
		return "";
	return g->cert == NULL ? "no certificate" : g->cert->why_not;
}

const char *
tls_guest_text(const struct tls_guest *g, const void *ssl, char *to,
    size_t size)
{
	struct tls_cert resumed = { .is_verified = true,
	    .verified_as = g->host };
	struct tls_facts facts = {
		.version = SSL_get_version(ssl),
		.cipher = SSL_get_cipher_name(ssl),
		.is_resumed = SSL_session_reused(ssl) == 1,
		.cert = g->cert,
	};

	if (g->cert == NULL && g->level == TLS_VERIFY &&
	    tls_guest_admits(g, ssl))
		facts.cert = &resumed;
	return tls_facts_text(&facts, to, size);
}
