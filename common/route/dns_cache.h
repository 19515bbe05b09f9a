/*
 * dns_cache.h - answers by question, each until its time is over; the one not
 * used for longest goes first.
 *
 * Bounded by the number of answers, and by their memory: DNS_CACHE_BYTES for
 * each of that number, so that one stranger's large records do not fill it.
 */
#ifndef ROUTE_DNS_CACHE_H
#define ROUTE_DNS_CACHE_H

#include "route/dns_kept.h"

#define DNS_CACHE_BYTES	2048

struct dns_cache;

struct dns_cache *dns_cache_new(size_t answers_max);	/* 0: keeps nothing */
void	dns_cache_free(struct dns_cache *);

/* Takes a hold of its own; one for the same question is replaced. */
void	dns_cache_put(struct dns_cache *, struct dns_kept *, int64_t until_ms);
/* NULL: none, or over. Its ttl_s is what is left. Not the caller's. */
struct dns_kept *dns_cache_find(struct dns_cache *, const struct dns_name *,
	    enum dns_type, int64_t now_ms);
size_t	dns_cache_count(const struct dns_cache *);
size_t	dns_cache_bytes(const struct dns_cache *);

#endif
