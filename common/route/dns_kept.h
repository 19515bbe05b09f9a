/*
 * dns_kept.h - an answer in one piece of memory, counted by its holders.
 */
#ifndef ROUTE_DNS_KEPT_H
#define ROUTE_DNS_KEPT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "route/dns.h"
#include "route/dns_name.h"

struct dns_kept {
	LIST_ENTRY(dns_kept) in_bucket;		/* the cache's */
	TAILQ_ENTRY(dns_kept) in_use_order;	/* the cache's */
	unsigned	 refs;
	uint32_t	 hash;		/* of the question */
	size_t		 bytes;
	int64_t		 until_ms;
	const uint8_t	*wire;		/* the name asked for; NULL: none */
	uint8_t		 wire_len;
	struct dns_answer a;		/* all it points to is in data[] */
	_Alignas(max_align_t) char data[];
};

/* A copy with one holder; asked: NULL where nobody could be asked. */
struct dns_kept	*dns_kept_new(const struct dns_answer *,
		    const struct dns_name *asked);
void		 dns_kept_unref(struct dns_kept *);	/* NULL is fine */

static inline struct dns_kept *
dns_kept_ref(struct dns_kept *k)
{
	k->refs++;
	return k;
}

#endif
