/* tls_cache.c - TLS sessions kept to resume them. */
#include "net/tls_cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_cert.h"

#define BUCKETS		256
#define KEY_SHARE	4	/* one key may hold a quarter of all */
#define KEY_MIN		8
#define AGE_MAX_S	86400	/* RFC 8446 §4.6.1 allows a week */

struct kept {
	TAILQ_ENTRY(kept) by_age;	/* of all, the newest first */
	TAILQ_ENTRY(kept) by_key;	/* of one key, the newest first */
	struct place	*place;
	SSL_SESSION	*session;
	struct tls_cert	*cert;
	int64_t		 until_ms;	/* wall clock, as tickets and
					 * certificates have it */
};
TAILQ_HEAD(kept_list, kept);

struct place {			/* one key */
	LIST_ENTRY(place) next;
	uint32_t	 hash;
	size_t		 n;
	struct kept_list kept;
	char		 key[];
};

struct tls_cache {
	size_t		 n, max;
	struct kept_list by_age;
	LIST_HEAD(, place) buckets[BUCKETS];
};

struct tls_cache *
tls_cache_new(size_t max)
{
	struct tls_cache *c = xcalloc(1, sizeof(*c));

	c->max = max;
	TAILQ_INIT(&c->by_age);
	return c;
}

static void
drop(struct tls_cache *c, struct kept *k)
{
	struct place *p = k->place;

	TAILQ_REMOVE(&c->by_age, k, by_age);
	TAILQ_REMOVE(&p->kept, k, by_key);
	c->n--;
	SSL_SESSION_free(k->session);
	tls_cert_unref(k->cert);
	free(k);
	if (--p->n == 0) {
		LIST_REMOVE(p, next);
		free(p);
	}
}

void
tls_cache_free(struct tls_cache *c)
{
	struct kept *k;

	if (c == NULL)
		return;
	while ((k = TAILQ_FIRST(&c->by_age)) != NULL)
		drop(c, k);
	free(c);
}

static uint32_t
hash_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return h;
}

static struct place *
find(const struct tls_cache *c, const char *key, uint32_t hash)
{
	struct place *p;

	LIST_FOREACH(p, &c->buckets[hash % BUCKETS], next)
		if (p->hash == hash && strcmp(p->key, key) == 0)
			return p;
	return NULL;
}

static struct place *
find_or_add(struct tls_cache *c, const char *key)
{
	uint32_t hash = hash_of(key);
	struct place *p = find(c, key, hash);
	size_t n = strlen(key) + 1;

	if (p != NULL)
		return p;
	p = xcalloc(1, sizeof(*p) + n);
	p->hash = hash;
	memcpy(p->key, key, n);
	TAILQ_INIT(&p->kept);
	LIST_INSERT_HEAD(&c->buckets[hash % BUCKETS], p, next);
	return p;
}

static bool
is_single_use(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

/* A session is never older than what it was verified by. */
static int64_t
good_until_ms(const SSL_SESSION *session, const struct tls_cert *cert)
{
	int64_t now_ms = clock_wall_ms(), s = AGE_MAX_S, hint;

	hint = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
	if (hint == 0 && !is_single_use(session))
		hint = (int64_t)SSL_SESSION_get_timeout(session);
	if (hint < s)
		s = hint;
	if (cert != NULL && cert->is_verified &&
	    cert->not_after_s - now_ms / 1000 < s)
		s = cert->not_after_s - now_ms / 1000;
	return now_ms + s * 1000;
}

bool
tls_cache_put(struct tls_cache *c, const char *key, SSL_SESSION *session,
    struct tls_cert *cert)
{
	size_t key_max = c->max / KEY_SHARE;
	struct place *p;
	struct kept *k;

	if (c->max == 0 || !SSL_SESSION_is_resumable(session) ||
	    !SSL_SESSION_up_ref(session))
		return false;
	if (key_max < KEY_MIN)
		key_max = KEY_MIN;
	p = find_or_add(c, key);
	k = xcalloc(1, sizeof(*k));
	k->place = p;
	k->session = session;
	k->cert = tls_cert_ref(cert);
	k->until_ms = good_until_ms(session, cert);
	TAILQ_INSERT_HEAD(&c->by_age, k, by_age);
	TAILQ_INSERT_HEAD(&p->kept, k, by_key);
	p->n++;
	c->n++;
	if (!is_single_use(session))
		key_max = 1;
	while (p->n > key_max)
		drop(c, TAILQ_LAST(&p->kept, kept_list));
	while (c->n > c->max)
		drop(c, TAILQ_LAST(&c->by_age, kept_list));
	return true;
}

SSL_SESSION *
tls_cache_take(struct tls_cache *c, const char *key, struct tls_cert **cert_r)
{
	struct place *p = find(c, key, hash_of(key));
	int64_t now_ms = clock_wall_ms();
	SSL_SESSION *session;
	struct kept *k, *older;

	*cert_r = NULL;
	for (k = p == NULL ? NULL : TAILQ_FIRST(&p->kept); k != NULL;
	    k = older) {
		older = TAILQ_NEXT(k, by_key);
		if (k->until_ms <= now_ms) {
			drop(c, k);	/* p goes with the last one */
			continue;
		}
		session = k->session;
		SSL_SESSION_up_ref(session);
		*cert_r = tls_cert_ref(k->cert);
		if (is_single_use(session))
			drop(c, k);
		return session;
	}
	return NULL;
}

void
tls_cache_forget(struct tls_cache *c, const char *key)
{
	struct place *p = find(c, key, hash_of(key));
	struct kept *k, *older;

	for (k = p == NULL ? NULL : TAILQ_FIRST(&p->kept); k != NULL;
	    k = older) {
		older = TAILQ_NEXT(k, by_key);
		drop(c, k);		/* p goes with the last one */
	}
}

size_t
tls_cache_count(const struct tls_cache *c)
{
	return c->n;
}
