/* request.c - the header of a request. */
#include "http/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/mem.h"
#include "http/header_value.h"
#include "http/relay.h"

#define PIECE		((size_t)1 << 20)	/* hashed in one turn */
#define KEY_HEX		(DIGEST_BYTES / 2)	/* 128 bits are enough */

struct lines {
	struct arena	*arena;
	struct curl_slist **end;
};

/* libcurl reads lists that were made elsewhere: no allocation for a line. */
static void
add(struct lines *l, const char *line)
{
	struct curl_slist *one = arena_alloc(l->arena, sizeof(*one));

	/* libcurl does not write to it. */
	memcpy(&one->data, &line, sizeof(line));
	one->next = NULL;
	*l->end = one;
	l->end = &one->next;
}

/* "Name: value"; libcurl leaves a header out unless its value is given, and
 * wants a semicolon where that is empty. */
static void
add_value(struct lines *l, const char *name, const char *value)
{
	if (*value == '\0')
		add(l, arena_printf(l->arena, "%s;", name));
	else
		add(l, arena_printf(l->arena, "%s: %s", name, value));
}

static void
add_base64(struct lines *l, const char *name, const char *text)
{
	size_t n = strlen(text);
	char *word = arena_alloc(l->arena, BASE64_LEN(n) + 1);

	base64_encode(word, text, n);
	add_value(l, name, word);
}

static void
add_envelope(struct lines *l, const struct exchange *x)
{
	uint32_t i;

	add_value(l, "X-Ehlo", x->work->ehlo);
	if (x->relay->conf->format != FORMAT_RFC822)
		return;
	add_base64(l, "X-Envelope-Sender", x->work->sender);
	for (i = 0; i < x->nrcpt; i++)
		add_value(l, "X-Envelope-Recipient", x->words[i]);
}

/* ---- digests ---- */

int
request_begin_digests(struct exchange *x, char *error, size_t size)
{
	struct http_relay *r = x->relay;

	if (r->conf->idempotency_key && !x->work->has_digest) {
		x->digest = digest_new();
		body_reader_init(&x->digest_reader, &x->d->env.body);
	}
	if (!http_is_given(r->conf->hmac_secret_file))
		return 0;
	if (secret_refresh(&r->hmac, error, size) == -1)
		return -1;
	snprintf(x->timestamp, sizeof(x->timestamp), "%lld",
	    (long long)time(NULL));
	x->signature = digest_new_hmac(r->hmac.value, r->hmac.len);
	digest_add(x->signature, x->timestamp, strlen(x->timestamp));
	digest_add(x->signature, ".", 1);
	return 0;
}

/* The message alone; for rfc822 that is what is signed, too. */
static int64_t
feed_message(struct exchange *x)
{
	const char *data;
	int64_t n = body_read(&x->digest_reader, x->relay->scratch,
	    sizeof(x->relay->scratch), &data);

	if (n > 0)
		digest_add(x->digest, data, (size_t)n);
	if (n == 0) {
		digest_finish(x->digest, x->work->digest);
		digest_free(x->digest);
		x->digest = NULL;
		x->work->has_digest = true;
	}
	return n;
}

static int64_t
feed_body(struct exchange *x)
{
	char *to = x->relay->scratch;
	int64_t n = http_body_read(&x->body, to, sizeof(x->relay->scratch));

	if (n > 0) {
		digest_add(x->signature, to, (size_t)n);
		if (x->digest != NULL && x->body.format == FORMAT_RFC822)
			digest_add(x->digest, to, (size_t)n);
	}
	return n;
}

/* All of a small body; it lies in memory. */
static void
feed_memory(struct exchange *x)
{
	if (x->signature != NULL)
		digest_add(x->signature, x->memory, (size_t)x->body.len);
	if (x->digest != NULL && x->body.format == FORMAT_RFC822) {
		digest_add(x->digest, x->memory, (size_t)x->body.len);
		x->digest_reader.at = x->d->env.body.len;
	}
}

bool
request_feed_digests(struct exchange *x, int *error_r)
{
	size_t done = 0;
	int64_t n;

	if (x->memory != NULL)
		feed_memory(x);
	while (x->memory == NULL && x->signature != NULL &&
	    http_body_left(&x->body) > 0) {
		if (done >= PIECE)
			return true;
		if ((n = feed_body(x)) <= 0) {
			*error_r = n == 0 ? EIO : errno;
			return false;
		}
		done += (size_t)n;
		if (x->digest != NULL && x->body.format == FORMAT_RFC822)
			x->digest_reader.at += (uint64_t)n;
	}
	while (x->digest != NULL) {
		if (done >= PIECE)
			return true;
		if ((n = feed_message(x)) == -1) {
			*error_r = errno;
			return false;
		}
		done += (size_t)n;
	}
	http_body_rewind(&x->body);
	return false;
}

/* The same for the same message, sender, recipients and ENVID, whichever
 * submission of it this is. */
static void
add_key(struct lines *l, const struct exchange *x)
{
	const char *envid = x->d->env.envid;
	uint8_t bytes[DIGEST_BYTES];
	char hex[DIGEST_HEX];
	struct digest *d = digest_new();
	uint32_t i;

	digest_add(d, x->work->digest, DIGEST_BYTES);
	digest_add(d, x->work->sender, strlen(x->work->sender) + 1);
	digest_add(d, envid == NULL ? "" : envid,
	    envid == NULL ? 1 : strlen(envid) + 1);
	for (i = 0; i < x->nrcpt; i++)
		digest_add(d, x->addrs[i], strlen(x->addrs[i]) + 1);
	digest_finish(d, bytes);
	digest_free(d);
	digest_hex(bytes, KEY_HEX, hex);
	add(l, arena_printf(l->arena, "Idempotency-Key: \"%s\"", hex));
}

static void
add_signature(struct lines *l, struct exchange *x)
{
	uint8_t bytes[DIGEST_BYTES];
	char hex[DIGEST_HEX];

	digest_finish(x->signature, bytes);
	digest_free(x->signature);
	x->signature = NULL;
	digest_hex(bytes, DIGEST_BYTES, hex);
	add_value(l, "X-Nexthop-Timestamp", x->timestamp);
	add(l, arena_printf(l->arena, "X-Nexthop-Signature: sha256=%s", hex));
}

/* ---- authorization ---- */

static int
make_bearer(struct exchange *x, char *error, size_t size)
{
	struct secret *token = &x->relay->token;
	const char *p;

	if (secret_refresh(token, error, size) == -1)
		return -1;
	for (p = token->value; *p > 0x20 && *p < 0x7f; p++)
		;
	if (*p != '\0') {
		snprintf(error, size, "%s: is no token: it has a byte that "
		    "cannot be sent", token->path);
		return -1;
	}
	x->authorization = xasprintf("Authorization: Bearer %s", token->value);
	return 0;
}

static int
make_basic(struct exchange *x, char *error, size_t size)
{
	struct secret *password = &x->relay->password;
	char *pair, *word;
	size_t n;

	if (secret_refresh(password, error, size) == -1)
		return -1;
	pair = xasprintf("%s:%s", x->relay->conf->username, password->value);
	n = strlen(pair);
	word = xmalloc(BASE64_LEN(n) + 1);
	base64_encode(word, pair, n);
	x->authorization = xasprintf("Authorization: Basic %s", word);
	secret_free(word, BASE64_LEN(n));
	secret_free(pair, n);
	return 0;
}

static int
make_authorization(struct exchange *x, char *error, size_t size)
{
	if (secret_is_set(&x->relay->token))
		return make_bearer(x, error, size);
	if (secret_is_set(&x->relay->password))
		return make_basic(x, error, size);
	return 0;
}

int
request_headers(struct exchange *x, char *error, size_t size)
{
	const struct http_conf *conf = x->relay->conf;
	struct lines l = { x->d->arena, &x->headers };
	size_t i;

	x->headers = NULL;
	if (make_authorization(x, error, size) == -1)
		return -1;
	/* Not what libcurl would say by itself. */
	add(&l, "Accept:");
	add(&l, "Expect:");
	add(&l, "Accept-Encoding: identity");
	add(&l, conf->format == FORMAT_JSON ?
	    "Content-Type: application/json" : "Content-Type: message/rfc822");
	add_envelope(&l, x);
	if (conf->idempotency_key)
		add_key(&l, x);
	if (x->signature != NULL)
		add_signature(&l, x);
	if (x->authorization != NULL)
		add(&l, x->authorization);
	for (i = 0; i < conf->header.n; i++)
		add_value(&l, conf->header.v[i].key,
		    header_value_expand(conf->header.v[i].value, &x->d->env,
		    &x->d->env.rcpts[x->rcpts[0]], l.arena));
	return 0;
}
