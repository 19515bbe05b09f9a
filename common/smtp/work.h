/*
 * work.h - a delivery under way and the relay it belongs to; private to
 * relay.c, work.c, attempt.c, place.c, hosts.c and race.c.
 *
 *	relay.c		a delivery comes, is cancelled, is over
 *	work.c		what the envelope asks for, which recipients go
 *			together, answers to all of them
 *	hosts.c		the route, and which host and address is next
 *	place.c		under which policy, and a place in the pool
 *	attempt.c	a transaction, and what its end means
 *	race.c		one address beside another
 */
#ifndef SMTP_WORK_H
#define SMTP_WORK_H

#include "agent/telemetry.h"
#include "net/pool.h"
#include "net/tls.h"
#include "net/tls_dane.h"
#include "route/route.h"
#include "smtp/memo.h"
#include "smtp/relay.h"
#include "smtp/session.h"
#include "smtp/source.h"
#include "smtp/tx.h"

#define BROKEN_MS	(600 * 1000)

enum work_state { WORK_IDLE, WORK_ROUTING, WORK_WAITING, WORK_TALKING };

/* A failure to fall back on; texts in the delivery's arena. */
struct failure {
	struct reply	 reply;
	const char	*host, *address;
	uint16_t	 port;
};

/* A delivery: its recipients by the ways they go. In its arena. */
struct mail {
	struct delivery	*d;
	struct smtp_relay *relay;
	struct address	 sender;	/* local NULL: null reverse-path */
	struct address	*rcpts;		/* those that parsed */
	const char	**domains;	/* of them, where routes differ */
	uint32_t	*twin;		/* as in struct smtp_job */
	uint32_t	*todo;		/* all that can be said, by domain */
	uint32_t	 ntodo;
	bool		 has_source;	/* the envelope's */
	struct addr	 source;
	const char	*ehlo;
	struct smtp_look look;
	struct work	*works;
	uint32_t	 nworks;
};

/* The recipients of a delivery that have one route; in its arena. */
struct work {
	struct smtp_job	 job;
	struct smtp_relay *relay;
	struct mail	*mail;
	enum work_state	 state;
	const char	*domain;	/* "": any */
	struct route	*route;
	uint32_t	 host;		/* the present one */
	uint64_t	 put_back;	/* hosts left for the end, as bits */
	bool		 is_second;	/* the end has come */
	struct route_target *target;	/* of it */
	struct addr	*addrs;		/* of it, those that may be used */
	uint32_t	 naddrs, addr;
	uint32_t	 ntried, nsessions;	/* addresses, and sessions there */
	int64_t		 until_ms;	/* no new attempt from then; 0: none */
	uint32_t	*todo;		/* recipients in no transaction */
	uint32_t	 ntodo;
	bool		 has_bind;	/* source is to be bound */
	struct addr	 source;
	bool		 want_fresh;	/* a kept connection has failed us */
	bool		 has_retried;
	uint32_t	 nfailed;	/* addresses tried in vain */
	struct failure	 best;		/* nfailed > 0 */
	struct route_query *query;	/* WORK_ROUTING */
	int64_t		 asked_us;	/* when; or for a place in the pool */
	struct timer	 late;		/* the deadline comes while it is */
	bool		 has_late;
	struct pool_wait wait;
	struct tls_policy policy;	/* for the present address */
	struct tls_dane	*dane;		/* likewise; the target's */
	bool		 no_tls;	/* its TLS is broken, and not needed */
	const char	*key;		/* what a connection is made with */
	struct smtp_session *session;	/* WORK_TALKING */
	struct smtp_tx	*tx;
	struct smtp_session *rival;	/* connecting beside session, or NULL */
	uint32_t	 rival_addr;	/* its */
	struct timer	 slow;		/* session has lost its head start */
	bool		 has_timer;
};

struct smtp_relay {
	struct agent	*agent;
	struct loop	*loop;
	struct smtp_relay_conf conf;
	const struct smtp_conf *smtp;
	struct router	 router;
	char		*ehlo;
	struct source_set *sources;
	struct pool	*pool;
	struct tls_ctx	*tls_ctx;
	struct auth	*auth;		/* NULL: none */
	struct memo	 broken;	/* hosts that fail the handshake */
	struct memo	 dead;		/* hosts that take no connection */
	LIST_HEAD(, smtp_session) sessions;
	struct phases	*phases;	/* the agent's */
	uint64_t	 connections, reused;
	struct {		/* connections that were to have TLS */
		uint64_t verified, unverified, failed, not_offered;
	} tls;
};

/* ---- work.c ---- */

/* Source and EHLO name that the envelope asks for; who is to get it; a work
 * for each way.  false: all recipients are answered. */
bool	mail_take_overrides(struct mail *);
bool	mail_take_addressees(struct mail *);
/* The only one; false with what is wrong, and nobody is answered. */
bool	mail_take_addressee(struct mail *, const char **error_r);
void	mail_divide(struct mail *);
/* The answer for all of a work's who have none; none of them is in a
 * transaction. */
void	work_answer_rest(struct work *, const struct answer *);
void	work_answer_cause(struct work *, enum cause, const char *detail);
/* A host failed, the next one is tried; in the end the best failure holds. */
void	work_remember(struct work *, const struct reply *, const char *host,
	    const char *address, uint16_t port);
void	work_give_up(struct work *);

/* ---- hosts.c ---- */

void	work_find_route(struct work *);
/* Its family is wanted. */
bool	work_may_use(const struct smtp_conf *, const struct addr *);
void	work_next_address(struct work *);
void	work_forget_target(struct work *);
/* target->is_last: of the hosts left only those preferred to this one may be
 * tried; if it is ourselves, the others would send the message back (RFC 5321
 * §5.1). */
void	work_end_route(struct work *);
/* No answer about routes is waited for any more. */
void	work_forget_query(struct work *);
/* No time is left for this work, or no attempt: it is answered. */
bool	work_is_exhausted(struct work *);

/* ---- place.c ---- */

void	work_try_address(struct work *);
/* Source, policy and key for the present address, which has been tried. */
void	work_set_terms(struct work *);
extern const struct pool_ops relay_pool_ops;

/* ---- race.c ---- */

/* The session connects from now on. */
void	work_start_race(struct work *);
/* Without the rival, if there is one. */
void	work_end_race(struct work *);
void	work_forget_race(struct work *);
/* No other address is left: the rival's it is; false: there is none. */
bool	work_wait_for_rival(struct work *);
void	relay_on_opened(struct smtp_session *);
void	relay_rival_failed(struct smtp_session *, const struct reply *);

/* ---- attempt.c ---- */

/* A transaction for what is to do, over this session. */
void	work_talk(struct work *, struct smtp_session *);
/* What was under way is to be done again; the transaction is the caller's. */
struct smtp_tx *work_take_back(struct work *);
/* Stop, unless the end of data may have left. */
void	work_cancel(struct work *);
extern const struct smtp_session_ops relay_session_ops;

#endif
