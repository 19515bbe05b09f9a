/*
 * tls_cache.h - sessions kept to resume them: at most a number of them, by the
 * text of a key that holds all that must be the same.  The oldest go first.
 */
#ifndef NET_TLS_CACHE_H
#define NET_TLS_CACHE_H

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_cache;

struct tls_cache *tls_cache_new(size_t max);
void	 tls_cache_free(struct tls_cache *);

/* Keeps a reference of the session; and of the certificate, which may be
 * NULL.  False: not kept, the caller's reference stays the caller's. */
bool	 tls_cache_put(struct tls_cache *, const char *key, SSL_SESSION *,
	    struct tls_cert *);
/*
 * The newest one, as references of the caller; NULL: none.  Those of TLS 1.3
 * are given out once (RFC 8446 appendix C.4).
 */
SSL_SESSION *tls_cache_take(struct tls_cache *, const char *key,
	    struct tls_cert **cert_r);
/* None of this key is good. */
void	 tls_cache_forget(struct tls_cache *, const char *key);
size_t	 tls_cache_count(const struct tls_cache *);

#endif
