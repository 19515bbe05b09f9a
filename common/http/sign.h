/*
 * sign.h - digests of messages: SHA-256 (FIPS 180-4) for a key that tells
 * whether a request was made before, HMAC (RFC 2104) for a signature.
 */
#ifndef HTTP_SIGN_H
#define HTTP_SIGN_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES	32
#define DIGEST_HEX	(2 * DIGEST_BYTES + 1)	/* with the NUL */

struct digest;

/* For SHA-256; where OpenSSL has none, or no memory, the program ends with
 * EX_SOFTWARE: requests without their keys would be taken for one another. */
struct digest	*digest_new(void);
/* For HMAC-SHA256 with this key. */
struct digest	*digest_new_hmac(const void *key, size_t n);
void		 digest_free(struct digest *);	/* NULL is fine */
void		 digest_add(struct digest *, const void *, size_t);
/* The end; nothing may be added behind it. */
void		 digest_finish(struct digest *, uint8_t to[DIGEST_BYTES]);

/* The first n bytes as 2 n hexadecimal digits and a NUL. */
void		 digest_hex(const uint8_t *, size_t n, char *to);

#endif
