/*
 * work.h - a delivery under way and the relay it belongs to; private to
 * relay.c, work.c, attempt.c, place.c and hosts.c.
 *
 *	work.c		what the envelope asks for, answers to the whole
 *	hosts.c		which host and address is next
 *	place.c		under which policy, and a place in the pool
 *	attempt.c	a transaction, and what its end means
 */
#ifndef SMTP_WORK_H
#define SMTP_WORK_H

#include "net/pool.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "smtp/memo.h"
#include "smtp/relay.h"
#include "smtp/session.h"
#include "smtp/source.h"
#include "smtp/tx.h"

#define BROKEN_MS	(600 * 1000)

enum work_state { WORK_IDLE, WORK_RESOLVING, WORK_WAITING, WORK_TALKING };

/* A failure to fall back on; texts in the delivery's arena. */
struct failure {
	struct reply	 reply;
	const char	*host, *address;
	uint16_t	 port;
};

/* One delivery; in its arena. */
struct work {
	struct smtp_job	 job;
	struct smtp_relay *relay;
	enum work_state	 state;
	const struct hostspec *hosts;
	uint32_t	 nhosts, host;	/* host: the present one */
	struct addr	*addrs;		/* of it */
	uint32_t	 naddrs, addr;
	uint32_t	*todo;		/* recipients in no transaction */
	uint32_t	 ntodo;
	bool		 has_source;	/* the envelope's */
	bool		 has_bind;	/* source is to be bound */
	struct addr	 source;
	const char	*ehlo;
	bool		 want_fresh;	/* a kept connection has failed us */
	bool		 has_retried;
	uint32_t	 nfailed;	/* addresses tried in vain */
	struct failure	 best;		/* nfailed > 0 */
	struct resolve_query *query;
	struct pool_wait wait;
	struct tls_policy policy;	/* for the present address */
	bool		 no_tls;	/* its TLS is broken, and not needed */
	const char	*key;		/* what a connection is made with */
	struct smtp_session *session;	/* WORK_TALKING */
	struct smtp_tx	*tx;
};

struct smtp_relay {
	struct agent	*agent;
	struct loop	*loop;
	struct smtp_relay_conf conf;
	const struct smtp_conf *smtp;
	struct arena	*arena;		/* of hosts */
	struct hostspec	*hosts;
	char		*ehlo;
	struct source_set *sources;
	struct resolver	*resolver;	/* once a name was met */
	struct pool	*pool;
	struct tls_ctx	*tls_ctx;
	struct auth	*auth;		/* NULL: none */
	struct memo	 broken;	/* hosts that fail the handshake */
	LIST_HEAD(, smtp_session) sessions;
	uint64_t	 connections, reused;
};

/* ---- work.c ---- */

/* Next hop, source, EHLO name that the envelope asks for; and who is to get
 * it.  false: all recipients are answered. */
bool	work_take_overrides(struct work *);
bool	work_take_addressees(struct work *);
/* The answer for all who have none. */
void	work_answer_rest(struct work *, const struct reply *);
void	work_answer_cause(struct work *, enum cause, const char *detail);
/* A host failed, the next one is tried; in the end the best failure holds. */
void	work_remember(struct work *, const struct reply *, const char *host,
	    const char *address, uint16_t port);
void	work_give_up(struct work *);

/* ---- hosts.c ---- */

void	work_try_host(struct work *);
void	work_next_address(struct work *);

/* ---- place.c ---- */

void	work_try_address(struct work *);
void	relay_note_broken(struct smtp_relay *, const struct addr *);
extern const struct pool_ops relay_pool_ops;

/* ---- attempt.c ---- */

/* A transaction for what is to do, over this session. */
void	work_talk(struct work *, struct smtp_session *);
extern const struct smtp_session_ops relay_session_ops;

#endif
