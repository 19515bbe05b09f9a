/* dns_cache.c - a hash table whose entries also stand in order of use. */
#include "route/dns_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BUCKETS_MIN	64

LIST_HEAD(bucket, dns_kept);

struct dns_cache {
	struct bucket	*buckets;
	size_t		 nbuckets;	/* a power of two */
	size_t		 n, max;
	size_t		 bytes, bytes_max;
	TAILQ_HEAD(use_order, dns_kept) used;	/* the last one first */
};

static struct bucket *
new_buckets(size_t n)
{
	struct bucket *b = xcalloc(n, sizeof(*b));
	size_t i;

	for (i = 0; i < n; i++)
		LIST_INIT(&b[i]);
	return b;
}

struct dns_cache *
dns_cache_new(size_t answers_max)
{
	struct dns_cache *c = xcalloc(1, sizeof(*c));

	c->max = answers_max;
	c->bytes_max = answers_max * DNS_CACHE_BYTES;
	c->nbuckets = BUCKETS_MIN;
	c->buckets = new_buckets(c->nbuckets);
	TAILQ_INIT(&c->used);
	return c;
}

static void
drop(struct dns_cache *c, struct dns_kept *k)
{
	LIST_REMOVE(k, in_bucket);
	TAILQ_REMOVE(&c->used, k, in_use_order);
	c->n--;
	c->bytes -= k->bytes;
	dns_kept_unref(k);
}

void
dns_cache_free(struct dns_cache *c)
{
	struct dns_kept *k;

	if (c == NULL)
		return;
	while ((k = TAILQ_FIRST(&c->used)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		drop(c, k);
	free(c->buckets);
	free(c);
}

static inline struct bucket *
bucket_of(struct dns_cache *c, uint32_t hash)
{
	return &c->buckets[hash & (c->nbuckets - 1)];
}

static void
grow(struct dns_cache *c)
{
	struct dns_kept *k;

	free(c->buckets);
	c->nbuckets *= 2;
	c->buckets = new_buckets(c->nbuckets);
	TAILQ_FOREACH(k, &c->used, in_use_order)
		LIST_INSERT_HEAD(bucket_of(c, k->hash), k, in_bucket);
}

static struct dns_kept *
find(struct dns_cache *c, uint32_t hash, enum dns_type type,
    const uint8_t *wire, size_t n)
{
	struct dns_kept *k;

	LIST_FOREACH(k, bucket_of(c, hash), in_bucket)
		if (k->hash == hash && k->a.type == type &&
		    k->wire_len == n && memcmp(k->wire, wire, n) == 0)
			return k;
	return NULL;
}

void
dns_cache_put(struct dns_cache *c, struct dns_kept *k, int64_t until_ms)
{
	struct dns_kept *old = find(c, k->hash, k->a.type, k->wire,
	    k->wire_len);

	if (old != NULL)
		drop(c, old);
	if (k->bytes > c->bytes_max)
		return;
	while (c->n >= c->max || c->bytes + k->bytes > c->bytes_max)
		drop(c, TAILQ_LAST(&c->used, use_order));
	if (c->n >= c->nbuckets)
		grow(c);
	k->until_ms = until_ms;
	LIST_INSERT_HEAD(bucket_of(c, k->hash), k, in_bucket);
	TAILQ_INSERT_HEAD(&c->used, k, in_use_order);
	c->n++;
	c->bytes += k->bytes;
	dns_kept_ref(k);
}

struct dns_kept *
dns_cache_find(struct dns_cache *c, const struct dns_name *name,
    enum dns_type type, int64_t now_ms)
{
	struct dns_kept *k = find(c, dns_name_hash(name, type), type,
	    name->wire, name->len);

	if (k == NULL)
		return NULL;
	if (k->until_ms <= now_ms) {
		drop(c, k);
		return NULL;
	}
	if (k != TAILQ_FIRST(&c->used)) {
		TAILQ_REMOVE(&c->used, k, in_use_order);
		TAILQ_INSERT_HEAD(&c->used, k, in_use_order);
	}
	if (k->until_ms != INT64_MAX)
		k->a.ttl_s = (uint32_t)((k->until_ms - now_ms + 999) / 1000);
	return k;
}

size_t
dns_cache_count(const struct dns_cache *c)
{
	return c->n;
}

size_t
dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}
