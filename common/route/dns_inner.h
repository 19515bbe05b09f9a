/* dns_inner.h - what the resolver's files share. */
#ifndef ROUTE_DNS_INNER_H
#define ROUTE_DNS_INNER_H

#include "route/dns_cache.h"
#include "route/dns_hosts.h"
#include "route/dns_question.h"
#include "route/dns_servers.h"

#define DNS_BUCKETS	1024
#define DNS_BURST_MAX	100	/* questions a millisecond: a server's socket
				 * holds some 250 */

struct dns {
	struct loop	*loop;
	const struct dns_conf *conf;
	struct dns_servers *servers;
	struct dns_hosts *hosts;		/* NULL: none */
	struct dns_cache *cache;
	struct dns_kept	*peeked;		/* not the cache's */
	LIST_HEAD(, dns_question) buckets[DNS_BUCKETS];
	TAILQ_HEAD(, dns_question) line;	/* wait to be started */
	unsigned	 nstarted, nline;
	struct later	 start_later;
	struct timer	 start_timer;
	struct dns_query_list ready;		/* their answers have come */
	struct later	 answer_later;
	struct dns_stats stats;
};

/* From the hosts file or the cache; NULL. Not the caller's. */
struct dns_kept	*dns_known(struct dns *, const struct dns_name *,
		    enum dns_type);

/*
 * The answer of a question, which is gone after this; the hold goes over.
 * keep_ms: for the cache, 0: not.
 */
void		 dns_question_done(struct dns_question *, struct dns_kept *,
		    int64_t keep_ms);

#endif
