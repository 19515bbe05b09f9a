/*
 * relay.h - messages to a web server: an envelope becomes one request or
 * several, each over a kept or new connection, and each recipient gets an
 * answer.
 */
#ifndef HTTP_RELAY_H
#define HTTP_RELAY_H

#include "agent/agent.h"
#include "agent/cage.h"
#include "agent/telemetry.h"
#include "base/secret.h"
#include "http/conf.h"
#include "http/exchange.h"
#include "http/link.h"
#include "net/pool.h"

/* Header lines of recipients in one request; servers refuse more. */
#define RCPT_LINES_MAX	(16 * 1024)

enum work_state { WORK_IDLE, WORK_WAITING, WORK_TALKING };

/* A delivery under way; in its arena. */
struct work {
	TAILQ_ENTRY(work) next;		/* WORK_WAITING */
	struct delivery	*d;
	struct http_relay *relay;
	enum work_state	 state;
	const struct target *target;
	const char	*ehlo, *sender;
	bool		 has_source;
	struct addr	 source;
	const char	*key;		/* what a link is made with */
	uint32_t	*todo;		/* recipients in no request yet */
	const char	**addrs;	/* theirs, as in SMTP */
	uint32_t	 ntodo, at;
	uint32_t	*twin;		/* NULL: no equal ones; next of them */
	uint8_t		 digest[DIGEST_BYTES];	/* of the message */
	bool		 has_digest;
	struct pool_wait wait;
	int64_t		 wait_from_ms;
	struct exchange	*exchange;	/* WAITING, TALKING */
};

struct http_relay {
	struct agent	*agent;
	struct loop	*loop;
	const struct http_conf *conf;
	const struct tls_conf *tls;
	struct arena	*arena;		/* of targets */
	struct target	 target, proxy;
	char		*ehlo;
	struct secret	 token, password, hmac;
	struct tls_ctx	*tls_ctx;
	CURLSH		*sessions;	/* of TLS, kept for resumption */
	struct pool	*pool;
	struct resolver	*resolver;	/* once a name was met */
	bool		 is_multiplex;	/* the server speaks HTTP/2 */
	bool		 is_over;	/* all goes */
	TAILQ_HEAD(, work) waiting;
	LIST_HEAD(, link) links;
	LIST_HEAD(, easy) easies;	/* unused */
	unsigned	 neasies;
	uint64_t	 connections, reused, requests;
	char		 scratch[64 * 1024];
};

struct http_relay_conf {
	struct http_conf http;
	struct tls_conf	 tls;
	struct cage_conf cage;
};

/* These fit struct agent_ops; the values are a struct http_relay_conf. */
void	*http_relay_start(struct agent *, void *values, char *error, size_t);
void	 http_relay_deliver(void *, struct delivery *);
void	 http_relay_cancel(void *, struct delivery *);
void	 http_relay_drain(void *);
bool	 http_relay_is_busy(void *);
void	 http_relay_free(void *);
void	 http_relay_stats(void *, agent_stat *, void *arg);

/* ---- private to the files of this folder ---- */

extern const struct pool_ops http_pool_ops;

/* An idle link came to its end. */
void	 relay_link_lost(struct link *);
/* An exchange has left the link. */
void	 relay_link_free(struct link *);
/* The link has room: who waits for one like it comes in. */
void	 relay_link_room(struct link *);
/* The response is complete; or there is none, and what that means. */
void	 work_answered(struct work *);
void	 work_failed(struct work *, const struct reply *);

#endif
