/*
 * sign.c - digests of messages.  HMAC is made of two SHA-256 (RFC 2104 §2), so
 * that one kind of object does both, and the key is hashed in no second way.
 */
#include "http/sign.h"

#include <openssl/evp.h>
#include <err.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"

#define BLOCK	64

struct digest {
	EVP_MD_CTX	*ctx;
	bool		 is_hmac;
	uint8_t		 key[BLOCK];	/* padded; of an HMAC */
};

/* Looked up once: that costs more than a small message. */
static const EVP_MD *
sha256(void)
{
	static EVP_MD *md;

	if (md == NULL)
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
	return md;
}

struct digest *
digest_new(void)
{
	struct digest *d = xcalloc(1, sizeof(*d));

	d->ctx = EVP_MD_CTX_new();
	if (d->ctx == NULL || sha256() == NULL ||
	    EVP_DigestInit_ex2(d->ctx, sha256(), NULL) != 1)
		errx(EX_SOFTWARE, "OpenSSL gives no SHA-256");
	return d;
}

static void
add_key(struct digest *d, uint8_t pad)
{
	uint8_t block[BLOCK];
	size_t i;

	for (i = 0; i < BLOCK; i++)
		block[i] = d->key[i] ^ pad;
	EVP_DigestUpdate(d->ctx, block, BLOCK);
	explicit_bzero(block, sizeof(block));
}

struct digest *
digest_new_hmac(const void *key, size_t n)
{
	struct digest *d = digest_new();

	d->is_hmac = true;
	if (n > BLOCK)
		EVP_Digest(key, n, d->key, NULL, sha256(), NULL);
	else
		memcpy(d->key, key, n);
	add_key(d, 0x36);
	return d;
}

void
digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	freezero(d, sizeof(*d));
}

void
digest_add(struct digest *d, const void *p, size_t n)
{
	EVP_DigestUpdate(d->ctx, p, n);
}

void
digest_finish(struct digest *d, uint8_t to[DIGEST_BYTES])
{
	EVP_DigestFinal_ex(d->ctx, to, NULL);
	if (!d->is_hmac)
		return;
	EVP_DigestInit_ex2(d->ctx, sha256(), NULL);
	add_key(d, 0x5c);
	EVP_DigestUpdate(d->ctx, to, DIGEST_BYTES);
	EVP_DigestFinal_ex(d->ctx, to, NULL);
}

void
digest_hex(const uint8_t *p, size_t n, char *to)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		*to++ = digits[p[i] >> 4];
		*to++ = digits[p[i] & 15];
	}
	*to = '\0';
}
