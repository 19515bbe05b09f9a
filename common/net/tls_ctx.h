/* tls_ctx.h - what the connections of one set of tls options share. */
#ifndef NET_TLS_CTX_H
#define NET_TLS_CTX_H

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_cache.h"

struct tls_ctx {
	unsigned	 refs;
	const struct tls_conf *conf;
	SSL_CTX		*ssl_ctx;	/* NULL until it is needed */
	struct tls_cache *cache;
};

/* What a connection is told of by OpenSSL. */
struct tls_ctx_ops {
	int	(*verify)(X509_STORE_CTX *, void *);
	int	(*new_session)(SSL *, SSL_SESSION *);
};

/* Makes the SSL_CTX where there is none yet; -1 with a text. */
int	 tls_ctx_load(struct tls_ctx *, char *error, size_t);
void	 tls_ctx_ref(struct tls_ctx *);

/*
 * Gives another SSL_CTX the same trust, certificate, ciphers and versions (1.2
 * at least); -1 with a text.  Verification is the caller's to set.
 */
int	 tls_ctx_dress(struct tls_ctx *, SSL_CTX *, char *error, size_t);

/* Why the last call of OpenSSL failed, in words; empties its queue. */
void	 tls_reason(char *, size_t);

extern const struct tls_ctx_ops tls_ctx_ops;	/* in tls.c */

#endif
