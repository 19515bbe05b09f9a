/* tls_cert.h - the certificate of a server: facts, and is it the right one? */
#ifndef NET_TLS_CERT_H
#define NET_TLS_CERT_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* What a certificate has to hold. */
struct tls_wanted {
	const struct tls_conf *conf;
	const char	*host;
	const char *const *names;	/* NULL: tls.match, else the host */
	const struct tls_dane *dane;	/* not NULL: this alone; the store
					 * context knows the records */
	bool		 is_looked_at;	/* else it is just recorded */
};

/*
 * Checks the chain in the store context (validity, trust, purpose) and the
 * names of its first certificate, or fingerprints alone where they are given.
 * Leaves OpenSSL's error code in the store context.
 */
struct tls_cert	*tls_cert_check(X509_STORE_CTX *, const struct tls_wanted *);
struct tls_cert	*tls_cert_ref(struct tls_cert *);
void		 tls_cert_unref(struct tls_cert *);	/* NULL is fine */

#endif
