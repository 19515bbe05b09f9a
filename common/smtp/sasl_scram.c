/*
 * sasl_scram.c - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
 *
 * Three responses: the name and a nonce; the proof that we know the password;
 * and nothing, once the server has proved that it does.  The hashing of the
 * password takes its time in the loop's thread, which is why its rounds have a
 * ceiling and its result is kept in a cache.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/base64.h"
#include "smtp/sasl.h"

#define KEY_LEN		32			/* SHA-256 */
#define SALT_MAX	1024			/* bytes; a choice */
#define GS2_MAX		(4 * SASL_NAME_MAX)	/* names grow threefold */
#define AUTH_MAX	(32 * 1024)		/* three messages */

struct server_first {		/* RFC 5802 §7; lies in the challenge */
	const char	*nonce;
	size_t		 nonce_len;
	uint8_t		 salt[SALT_MAX + 4];	/* room for the rounds */
	size_t		 salt_len;
	uint32_t	 rounds;
};

struct keys {
	uint8_t		 client[KEY_LEN];
	uint8_t		 server[KEY_LEN];
};

static int
fail(struct sasl *s, const char *why)
{
	return sasl_fail(s, why, NULL, 0);
}

static int
hmac(const void *key, size_t key_len, const void *data, size_t n,
    uint8_t to[KEY_LEN])
{
	unsigned len = KEY_LEN;

	return HMAC(EVP_sha256(), key, (int)key_len, data, n, to, &len) ==
	    NULL ? -1 : 0;
}

static int
put_base64(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, BASE64_LEN(n) + 1);

	if (to == NULL)
		return -1;
	buf_commit(b, base64_encode(to, p, n));
	return 0;
}

/* ---- the client's first message ---- */

int
scram_init(struct sasl *s)
{
	uint8_t random[SCRAM_NONCE_LEN / 4 * 3];

	buf_init(&s->scram.gs2, GS2_MAX);
	buf_init(&s->scram.auth, AUTH_MAX);
	if (RAND_bytes(random, sizeof(random)) != 1)
		return -1;
	base64_encode(s->scram.nonce, random, sizeof(random));
	return 0;
}

void
scram_clear(struct sasl *s)
{
	buf_clear(&s->scram.gs2);
	buf_clear(&s->scram.auth);
}

/* RFC 5802 §6 and §7 (gs2-header) */
static const char *
binding_flag(const struct sasl *s)
{
	switch (s->binding) {
	case SASL_BIND_TLS_EXPORTER:
		return "p=tls-exporter";	/* RFC 9266 §2 */
	case SASL_BIND_TLS_SERVER_END_POINT:
		return "p=tls-server-end-point"; /* RFC 5929 §4 */
	case SASL_BIND_NONE:
		break;
	}
	return s->no_plus ? "y" : "n";
}

static int
say_first(struct sasl *s)
{
	struct buf *gs2 = &s->scram.gs2, *auth = &s->scram.auth;

	buf_printf(gs2, "%s,", binding_flag(s));
	if (s->authzid != NULL) {
		buf_puts(gs2, "a=");
		sasl_put_name(gs2, s->authzid);
	}
	buf_puts(gs2, ",");

	buf_puts(auth, "n=");
	sasl_put_name(auth, s->username);
	buf_printf(auth, ",r=%s", s->scram.nonce);

	sasl_put(s, buf_data(gs2), buf_len(gs2));
	sasl_put(s, buf_data(auth), buf_len(auth));
	return 0;
}

/* ---- the server's first message ---- */

/* The value of the attribute at *p, which moves behind it and its comma. */
static bool
take(const char **p, char name, const char **value_r, size_t *n_r)
{
	const char *s = *p;

	if (s[0] != name || s[1] != '=')
		return false;
	*value_r = s + 2;
	*n_r = strcspn(s + 2, ",");
	*p = *value_r + *n_r;
	if (**p == ',')
		++*p;
	return true;
}

/* The server's nonce is ours and something more (RFC 5802 §5.1, r). */
static bool
is_nonce(const struct sasl *s, const char *nonce, size_t n)
{
	size_t i, ours = strlen(s->scram.nonce);

	if (n <= ours || memcmp(nonce, s->scram.nonce, ours) != 0)
		return false;
	for (i = 0; i < n; i++)
		if (nonce[i] < 0x21 || nonce[i] > 0x7e)
			return false;
	return true;
}

static int
read_salt(struct sasl *s, const char *text, size_t n, struct server_first *f)
{
	if (n == 0 || BASE64_BYTES(n) > SALT_MAX ||
	    base64_decode(f->salt, text, n, &f->salt_len) == -1)
		return fail(s, "the server's salt is not usable");
	return 0;
}

static int
read_rounds(struct sasl *s, const char *text, size_t n, struct server_first *f)
{
	size_t i;

	if (n == 0 || text[0] < '1' || text[0] > '9' ||
	    strspn(text, "0123456789") != n)
		return fail(s, "the server's count of rounds is no number");
	for (i = 0; i < n && f->rounds <= SCRAM_ROUNDS_MAX; i++)
		f->rounds = f->rounds * 10 + (uint32_t)(text[i] - '0');
	if (f->rounds < SCRAM_ROUNDS_MIN)
		return sasl_fail(s, "the server hashes passwords in too few "
		    "rounds", text, n);
	if (f->rounds > SCRAM_ROUNDS_MAX)
		return sasl_fail(s, "the server hashes passwords in too many "
		    "rounds", text, n);
	return 0;
}

/* What follows the three attributes may be anything (RFC 5802 §7). */
static int
read_first(struct sasl *s, const char *p, struct server_first *f)
{
	const char	*value;
	size_t		 n;

	if (take(&p, 'e', &value, &n))
		return sasl_fail(s, "the server refuses", value, n);
	if (*p == 'm')		/* RFC 5802 §5.1, m: must be an error */
		return fail(s, "the server wants an unknown extension");
	if (!take(&p, 'r', &f->nonce, &f->nonce_len))
		return fail(s, "the server's first message has no nonce");
	if (!is_nonce(s, f->nonce, f->nonce_len))
		return fail(s, "the server's nonce does not go with ours");
	if (!take(&p, 's', &value, &n))
		return fail(s, "the server's first message has no salt");
	if (read_salt(s, value, n, f) == -1)
		return -1;
	if (!take(&p, 'i', &value, &n))
		return fail(s, "the server's first message has no count of "
		    "rounds");
	return read_rounds(s, value, n, f);
}

/* ---- keys (RFC 5802 §3) ---- */

static int
hash_password(const struct sasl *s, const struct server_first *f,
    struct keys *k)
{
	uint8_t	salted[KEY_LEN];
	int	status = -1;

	if (PKCS5_PBKDF2_HMAC(s->secret, (int)s->secret_len, f->salt,
	    (int)f->salt_len, (int)f->rounds, EVP_sha256(), KEY_LEN,
	    salted) == 1 &&
	    hmac(salted, KEY_LEN, "Client Key", 10, k->client) == 0 &&
	    hmac(salted, KEY_LEN, "Server Key", 10, k->server) == 0)
		status = 0;
	OPENSSL_cleanse(salted, sizeof(salted));
	return status;
}

/* The same from the cache, where it is known there. */
static int
find_keys(struct sasl *s, struct server_first *f, struct keys *k)
{
	struct scram_cache	*cache = s->cache;
	uint8_t			 of[KEY_LEN];

	if (cache == NULL)
		return hash_password(s, f, k);
	put_be32(f->salt + f->salt_len, f->rounds);
	if (hmac(s->secret, s->secret_len, f->salt, f->salt_len + 4, of) == -1)
		return -1;
	if (cache->is_set && CRYPTO_memcmp(cache->of, of, KEY_LEN) == 0) {
		memcpy(k->client, cache->client_key, KEY_LEN);
		memcpy(k->server, cache->server_key, KEY_LEN);
	} else {
		if (hash_password(s, f, k) == -1)
			return -1;
		memcpy(cache->of, of, KEY_LEN);
		memcpy(cache->client_key, k->client, KEY_LEN);
		memcpy(cache->server_key, k->server, KEY_LEN);
		cache->is_set = true;
	}
	OPENSSL_cleanse(of, sizeof(of));
	return 0;
}

void
scram_cache_clear(struct scram_cache *cache)
{
	OPENSSL_cleanse(cache, sizeof(*cache));
}

/* The client's proof, and what the server has to answer. */
static int
sign(struct sasl *s, const struct keys *k, uint8_t proof[KEY_LEN])
{
	const struct buf	*auth = &s->scram.auth;
	uint8_t			 stored[KEY_LEN], signature[KEY_LEN];
	size_t			 i;

	if (EVP_Digest(k->client, KEY_LEN, stored, NULL, EVP_sha256(),
	    NULL) != 1 ||
	    hmac(stored, KEY_LEN, buf_data(auth), buf_len(auth),
	    signature) == -1 ||
	    hmac(k->server, KEY_LEN, buf_data(auth), buf_len(auth),
	    s->scram.server_signature) == -1)
		return -1;
	for (i = 0; i < KEY_LEN; i++)
		proof[i] = k->client[i] ^ signature[i];
	OPENSSL_cleanse(stored, sizeof(stored));
	OPENSSL_cleanse(signature, sizeof(signature));
	return 0;
}

static int
prove(struct sasl *s, struct server_first *f, uint8_t proof[KEY_LEN])
{
	struct keys	k;
	int		status = -1;

	if (find_keys(s, f, &k) == 0)
		status = sign(s, &k, proof);
	OPENSSL_cleanse(&k, sizeof(k));
	return status;
}

/* ---- the client's final message ---- */

/*
 * AuthMessage: our first message, the server's, and our final one without its
 * proof, which starts at *final_r.
 */
static int
finish_auth(struct sasl *s, const char *challenge, size_t n,
    const struct server_first *f, size_t *final_r)
{
	struct buf *auth = &s->scram.auth, *gs2 = &s->scram.gs2;

	if (buf_add(gs2, s->binding_data, s->binding_len) == -1 ||
	    buf_puts(auth, ",") == -1 || buf_add(auth, challenge, n) == -1 ||
	    buf_puts(auth, ",") == -1)
		return -1;
	*final_r = buf_len(auth);
	if (buf_puts(auth, "c=") == -1 ||
	    put_base64(auth, buf_data(gs2), buf_len(gs2)) == -1 ||
	    buf_puts(auth, ",r=") == -1)
		return -1;
	return buf_add(auth, f->nonce, f->nonce_len);
}

static int
say_final(struct sasl *s, const char *challenge, size_t n)
{
	struct server_first	 f = { .rounds = 0 };
	struct buf		*auth = &s->scram.auth;
	uint8_t			 proof[KEY_LEN];
	char			 text[BASE64_LEN(KEY_LEN) + 1];
	size_t			 final = 0;

	if (strlen(challenge) != n)
		return fail(s, "the server's first message has a NUL byte");
	if (read_first(s, challenge, &f) == -1)
		return -1;
	if (finish_auth(s, challenge, n, &f, &final) == -1)
		return fail(s, "the server's first message is too long");
	if (prove(s, &f, proof) == -1)
		return fail(s, "SHA-256 is not available here");
	sasl_put(s, buf_data(auth) + final, buf_len(auth) - final);
	sasl_put(s, ",p=", 3);
	sasl_put(s, text, base64_encode(text, proof, sizeof(proof)));
	OPENSSL_cleanse(proof, sizeof(proof));
	OPENSSL_cleanse(text, sizeof(text));
	return 0;
}

/* ---- the server's final message ---- */

static int
check_final(struct sasl *s, const char *challenge, size_t n)
{
	uint8_t		 signature[BASE64_BYTES(BASE64_LEN(KEY_LEN))];
	const char	*p = challenge, *value;
	size_t		 len = 0;

	if (strlen(challenge) != n)
		return fail(s, "the server's final message has a NUL byte");
	if (take(&p, 'e', &value, &n))
		return sasl_fail(s, "the server refuses", value, n);
	if (!take(&p, 'v', &value, &n) || n != BASE64_LEN(KEY_LEN) ||
	    base64_decode(signature, value, n, &len) == -1 || len != KEY_LEN)
		return fail(s, "the server's final message has no signature");
	if (CRYPTO_memcmp(signature, s->scram.server_signature, KEY_LEN) != 0)
		return fail(s, "the server's signature is wrong: it does not "
		    "know the password");
	s->is_done = true;
	return 0;
}

int
scram_respond(struct sasl *s, const char *challenge, size_t n)
{
	switch (s->nsaid) {
	case 0:
		return say_first(s);
	case 1:
		return say_final(s, challenge, n);
	case 2:
		return check_final(s, challenge, n);
	default:
		return sasl_fail_unexpected(s);
	}
}
