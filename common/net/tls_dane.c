/* tls_dane.c - the TLSA records a server's certificate must match. */
#include "net/tls_dane.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* RFC 7218 §2 has the names of these. */
enum { DANE_TA = 2, DANE_EE = 3 };
enum { SELECT_CERT = 0, SELECT_KEY = 1 };
enum { MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2 };

#define TEXT_BYTES	20	/* of a record, shown */

struct tls_dane *
tls_dane_new(const char *const *names)
{
	struct tls_dane *d = xcalloc(1, sizeof(*d));
	size_t n = 0, i;

	while (n < TLS_DANE_NAMES_MAX && names[n] != NULL)
		n++;
	d->refs = 1;
	d->names = xcalloc(n + 1, sizeof(*d->names));
	for (i = 0; i < n; i++)
		d->names[i] = xstrdup(names[i]);
	return d;
}

struct tls_dane *
tls_dane_ref(struct tls_dane *d)
{
	if (d != NULL)
		d->refs++;
	return d;
}

void
tls_dane_unref(struct tls_dane *d)
{
	size_t i;

	if (d == NULL || --d->refs > 0)
		return;
	for (i = 0; d->names[i] != NULL; i++)
		free(d->names[i]);
	free(d->names);
	for (i = 0; i < d->n; i++)
		free(d->records[i].data);
	free(d->records);
	free(d);
}

/* ---- what can be used ---- */

static bool
is_cert(const uint8_t *data, size_t len)
{
	const unsigned char *p = data;
	X509 *x = d2i_X509(NULL, &p, (long)len);
	bool is = x != NULL && p == data + len &&
	    X509_get0_pubkey(x) != NULL;

	X509_free(x);
	ERR_clear_error();
	return is;
}

static bool
is_key(const uint8_t *data, size_t len)
{
	const unsigned char *p = data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)len);
	bool is = key != NULL && p == data + len;

	EVP_PKEY_free(key);
	ERR_clear_error();
	return is;
}

static const char *
check_data(uint8_t selector, uint8_t matching, const uint8_t *data, size_t len)
{
	if (len == 0)
		return "no data";
	switch (matching) {
	case MATCH_SHA256:
		return len == 32 ? NULL : "a SHA-256 digest that is not of 32 "
		    "bytes";
	case MATCH_SHA512:
		return len == 64 ? NULL : "a SHA-512 digest that is not of 64 "
		    "bytes";
	default:
		break;
	}
	if (len > TLS_DANE_DATA_MAX)
		return "too long";
	if (selector == SELECT_CERT)
		return is_cert(data, len) ? NULL : "not a certificate";
	return is_key(data, len) ? NULL : "not a public key";
}

static const char *
find_fault(uint8_t usage, uint8_t selector, uint8_t matching,
    const uint8_t *data, size_t len)
{
	if (usage < DANE_TA)
		return "usage 0 or 1, which is not for SMTP";
	if (usage > DANE_EE)
		return "unknown usage";
	if (selector > SELECT_KEY)
		return "unknown selector";
	if (matching > MATCH_SHA512)
		return "unknown matching type";
	return check_data(selector, matching, data, len);
}

/* ---- the set ---- */

static int
compare(const struct tls_tlsa *a, const struct tls_tlsa *b)
{
	if (a->usage != b->usage)
		return a->usage < b->usage ? -1 : 1;
	if (a->selector != b->selector)
		return a->selector < b->selector ? -1 : 1;
	if (a->matching != b->matching)
		return a->matching < b->matching ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->data, b->data, a->len);
}

bool
tls_dane_add(struct tls_dane *d, uint8_t usage, uint8_t selector,
    uint8_t matching, const void *data, size_t len, const char **why_not_r)
{
	/* Compared only until it is copied. */
	struct tls_tlsa r = { usage, selector, matching, len,
	    (uint8_t *)(uintptr_t)data };
	const char *why = find_fault(usage, selector, matching, data, len);
	size_t at = 0;
	int order = 1;

	*why_not_r = why;
	if (why != NULL)
		return false;
	while (at < d->n && (order = compare(&d->records[at], &r)) < 0)
		at++;
	if (at < d->n && order == 0)
		return true;
	if (d->n == TLS_DANE_RECORDS_MAX) {
		*why_not_r = "too many";
		return false;
	}
	d->records = xreallocarray(d->records, d->n + 1, sizeof(*d->records));
	memmove(&d->records[at + 1], &d->records[at],
	    (d->n - at) * sizeof(*d->records));
	r.data = xmalloc(len);
	memcpy(r.data, data, len);
	d->records[at] = r;
	d->n++;
	d->digest[0] = '\0';
	return true;
}

static void
hash_records(const struct tls_dane *d, EVP_MD_CTX *md)
{
	uint8_t head[7];
	size_t i;

	for (i = 0; d->names[i] != NULL; i++)
		EVP_DigestUpdate(md, d->names[i], strlen(d->names[i]) + 1);
	EVP_DigestUpdate(md, "", 1);
	for (i = 0; i < d->n; i++) {
		head[0] = d->records[i].usage;
		head[1] = d->records[i].selector;
		head[2] = d->records[i].matching;
		put_be32(head + 3, (uint32_t)d->records[i].len);
		EVP_DigestUpdate(md, head, sizeof(head));
		EVP_DigestUpdate(md, d->records[i].data, d->records[i].len);
	}
}

const char *
tls_dane_digest(struct tls_dane *d)
{
	EVP_MD_CTX *md;
	uint8_t hash[32] = { 0 };
	size_t i;

	if (d->digest[0] != '\0')
		return d->digest;
	md = EVP_MD_CTX_new();
	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		abort();	/* one key for different sets would be worse */
	hash_records(d, md);
	EVP_DigestFinal_ex(md, hash, NULL);
	EVP_MD_CTX_free(md);
	for (i = 0; i < sizeof(hash); i++)
		snprintf(d->digest + 2 * i, 3, "%02x", hash[i]);
	return d->digest;
}

const char *
tls_tlsa_text(const struct tls_tlsa *r, char *to, size_t size)
{
	char hex[2 * TEXT_BYTES + 1] = "";
	size_t i;

	for (i = 0; i < r->len && i < TEXT_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", r->data[i]);
	snprintf(to, size, "%u %u %u %s%s", r->usage, r->selector,
	    r->matching, hex, r->len > TEXT_BYTES ? "..." : "");
	return to;
}
