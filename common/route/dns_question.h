/*
 * dns_question.h - one question and how it is put to the servers.
 *
 * Servers are asked one after the other, each with a wait, in rounds.  Within
 * its wait a packet is repeated after 1, 3, 7, ... seconds, as it may be lost.
 * A try stays open while the next server is asked, so that a slow answer still
 * counts.  A server that says it cannot (SERVFAIL, REFUSED, nonsense) is out
 * for this question; one that is not there is asked again in the next round.
 * After the last round what is left of the time-out is waited for an answer.
 */
#ifndef ROUTE_DNS_QUESTION_H
#define ROUTE_DNS_QUESTION_H

#include "route/dns_kept.h"
#include "route/dns_try.h"

#define DNS_TRIES_OPEN_MAX	4	/* the oldest one goes */
#define DNS_PAUSE_MS		300	/* before a round, if nobody is there */
#define DNS_WAIT_MIN_MS		50	/* for a try, however short the time */
#define DNS_REPEAT_MS		1000	/* the first time, then twice as long */

struct dns;

TAILQ_HEAD(dns_query_list, dns_query);
TAILQ_HEAD(dns_try_list, dns_try);

struct dns_question {
	LIST_ENTRY(dns_question) in_bucket;
	TAILQ_ENTRY(dns_question) in_line;	/* not started yet */
	struct dns	*dns;
	struct dns_name	 asked;
	enum dns_type	 type;
	struct dns_query_list queries;
	int64_t		 timeout_ms, deadline_ms;
	bool		 is_started;
	struct timer	 timer;
	/* where the CNAMEs led, and what they said */
	struct dns_name	 at;
	unsigned	 ncnames;
	bool		 is_secure;
	uint32_t	 ttl_s;
	/* who is asked */
	struct dns_server *order[DNS_SERVERS_MAX];
	size_t		 nservers, turn;
	unsigned	 round, paused;		/* rounds; the last pause's */
	unsigned	 out;			/* a bit for each server */
	unsigned	 without_edns;		/* the same */
	struct dns_try_list tries;		/* the newest last */
	unsigned	 ntries;
	int64_t		 repeat_ms;		/* the newest one, next time */
	const char	*error;			/* static or strerror()'s */
	struct dns_server *error_by;		/* a hold; or NULL */
};

void	dns_question_init(struct dns_question *, struct dns *,
	    const struct dns_name *, enum dns_type, int64_t timeout_ms);
/* May call dns_question_done() before it returns. */
void	dns_question_start(struct dns_question *);
void	dns_question_clear(struct dns_question *);

#endif
