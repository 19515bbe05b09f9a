/*
 * tls_guest.h - the tls options for a library that does TLS by itself with
 * OpenSSL: the same trust, certificate, ciphers and judgement of the server.
 *
 * The library makes an SSL_CTX and an SSL for each connection and hands them
 * over: the first before the handshake, the second before anything is said.
 */
#ifndef NET_TLS_GUEST_H
#define NET_TLS_GUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "net/tls.h"

/* One connection, or several to the same server one after the other. */
struct tls_guest {
	struct tls_ctx	*ctx;
	enum tls_level	 level;		/* TLS_REQUIRE or TLS_VERIFY */
	char		*host;		/* whom to look for; owned */
	struct tls_cert	*cert;		/* of the present one; or NULL */
	bool		 is_refused;	/* the certificate was */
};

void	 tls_guest_init(struct tls_guest *, struct tls_ctx *, enum tls_level,
	    const char *host);
void	 tls_guest_clear(struct tls_guest *);

/* ssl_ctx: an SSL_CTX, which must not live longer.  -1 with a text. */
int	 tls_guest_dress(struct tls_guest *, void *ssl_ctx, char *error,
	    size_t);
/*
 * After the handshake: may anything be said?  A resumed session is as good as
 * the one it comes from; sessions must be kept for one server and one set of
 * options.
 */
bool	 tls_guest_admits(const struct tls_guest *, const void *ssl);
/* Why the certificate was refused, "" if it was not. */
const char *tls_guest_why(const struct tls_guest *);
/* As tls_facts_text(). */
const char *tls_guest_text(const struct tls_guest *, const void *ssl, char *,
	    size_t);

#endif
