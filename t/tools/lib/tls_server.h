/*
 * tls_server.h - the TLS side of a test server.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <openssl/ssl.h>

/*
 * A server context with the PEM chain and key of the given files, or, without
 * a chain, with a P-256 certificate signed by itself and made on the spot for
 * localhost, 127.0.0.1 and ::1.  A missing key is looked for in the chain's
 * file.  The caller frees it.  Ends the program when that fails: no test can
 * go on then.
 */
SSL_CTX	*tls_server_new(const char *chain, const char *key);

/* The newest error of OpenSSL as static text; clears the error queue. */
const char *tls_server_error(void);

#endif
