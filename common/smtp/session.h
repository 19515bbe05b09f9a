/*
 * session.h - one connection to an SMTP or LMTP server: greeting, hello, and
 * one transaction after the other.
 *
 * The session says all it may say now (dialogue.c tells what comes next),
 * keeps the order of the answers it awaits, and watches the time.  Who owns it
 * gives it a transaction and hears when that is over, with the session usable
 * for another, or when the session has failed.
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/metric.h"
#include "mail/reply.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/tls.h"
#include "net/tls_dane.h"
#include "route/route.h"
#include "smtp/auth.h"
#include "smtp/conf.h"
#include "smtp/ehlo.h"
#include "smtp/reply_parser.h"

struct smtp_tx;

enum smtp_verb {
	IDLE,			/* nothing to say now */
	GREETING, EHLO, HELO, LHLO, STARTTLS, AUTH, PREPARE, MAIL, RCPT, DATA,
	BDAT, BODY, DOT, RSET, QUIT,
	SMTP_VERBS
};

/* What became of a thing the client says once. */
enum said { UNSAID, SAID, TAKEN, REFUSED };

/* An answer that will come. */
struct awaited {
	uint8_t		 verb;
	uint32_t	 rcpt;		/* RCPT, and DOT of LMTP: which one */
};

struct smtp_session;

enum smtp_failure {
	FAIL_CONNECT,		/* no connection */
	FAIL_SESSION,		/* refused or lost before MAIL was answered */
	FAIL_TLS,		/* the handshake failed: perhaps without TLS */
	FAIL_UNFIT,		/* not for this message; nothing was said */
	FAIL_CLOSING,		/* the server says 421 before end-of-data */
	FAIL_MESSAGE,		/* lost after MAIL was answered */
	FAIL_LOCAL		/* our side: body, deadline */
};

struct smtp_session_ops {
	/* Connected; nothing was said yet. May be NULL. */
	void	(*opened)(struct smtp_session *);
	/* What became of TLS, where it was to be tried; once. May be NULL. */
	void	(*tls_over)(struct smtp_session *,
		    const struct route_outcome *);
	/*
	 * The transaction is over, all its recipients are answered or put
	 * off; the session can take another by smtp_session_start(), or be
	 * left idle, or be ended by smtp_session_quit().
	 */
	void	(*tx_over)(struct smtp_session *, struct smtp_tx *);
	/*
	 * The session takes no (further) transaction.  tx is what was under
	 * way and now belongs to the owner again, or NULL; its open
	 * recipients have no answer.  r says why.
	 */
	void	(*failed)(struct smtp_session *, struct smtp_tx *,
		    const struct reply *r, enum smtp_failure);
	/* The connection is gone: give back its place, smtp_session_free(). */
	void	(*gone)(struct smtp_session *);
};

struct smtp_session {
	struct pool_place place;	/* the owner's business */
	LIST_ENTRY(smtp_session) next;	/* likewise */
	struct loop	*loop;
	const struct smtp_conf *conf;
	const struct smtp_session_ops *ops;
	void		*owner;
	void		*racer;		/* the owner's business */
	enum tlsrpt_policy report;	/* likewise */
	bool		 is_lmtp;
	struct transcript trace;	/* numbered by serial */

	/* the peer */
	struct addr	 addr;
	char		*host;		/* as asked for */
	char		*address;
	char		*key;		/* of the pool */
	char		*ehlo;
	struct tls_policy policy;
	struct tls_dane	*dane;		/* a reference, or NULL */
	struct tls_ctx	*tls_ctx;	/* borrowed; NULL with level none */
	struct auth	*auth;		/* borrowed; NULL: no AUTH */
	struct conn	*conn;
	bool		 is_open;
	uint64_t	 serial;	/* for traces and the log */

	/* facts */
	uint8_t		 greeting, hello, quit;	/* enum said */
	uint8_t		 starttls, login;	/* enum said */
	bool		 is_shaking;	/* a TLS handshake is under way */
	bool		 has_tls;
	bool		 has_told_tls;	/* the owner */
	bool		 no_ehlo;	/* the server does not know EHLO */
	bool		 want_rset, want_quit;
	bool		 is_doomed;	/* the server has said 421 */
	bool		 is_over;	/* the connection is gone */
	bool		 has_bad_line;	/* nothing more may be said */
	struct smtp_offer offer;
	char		*auth_offer;	/* AUTH's parameters, or NULL */
	struct sasl	*sasl;		/* while an exchange is under way */
	struct auth_try	 try;
	char		*tls_text;	/* facts for answers, or NULL */
	struct smtp_tx	*tx;

	/* the engine */
	struct reply_parser parser;
	struct buf	 in;		/* an answer that has not come whole */
	struct awaited	 first[4];	/* room that most sessions need */
	struct awaited	*awaited;	/* a ring */
	uint32_t	 nawaited, awaited_at, awaited_cap;
	bool		 is_running;	/* in session_run() */
	struct timer	 timer;
	struct later	 run_later, gone_later, free_later;

	/* times, for limits and answers; of phases in us */
	struct phases	*phases;	/* borrowed; NULL: nobody asks */
	int64_t		 begun_us;	/* the present phase of the session */
	int64_t		 shaking_us;	/* since when */
	bool		 is_met;	/* greeting to AUTH are behind it */
	int64_t		 opened_ms;
	int64_t		 ready_ms;	/* hello was taken */
	int64_t		 last_ms;	/* the last transaction ended */
	uint32_t	 nmessages;

	/* for the log */
	uint64_t	 nrcpts;	/* recipients it took the message for */
	uint64_t	 nbytes;	/* of messages that went out whole */
	char		*why;		/* it ends, or NULL: by QUIT */
};

/* Where to, and how; strings are copied. */
struct smtp_target {
	const char	*host;		/* the name it is known by */
	const struct addr *addr;
	const struct addr *source;	/* NULL: the system's choice */
	const char	*key;		/* for the pool */
	const char	*ehlo;		/* the name given */
	bool		 is_lmtp;
	struct tls_policy policy;
	struct tls_dane	*dane;		/* NULL: no TLSA records to match */
	struct tls_ctx	*tls_ctx;	/* both must outlive the session */
	struct auth	*auth;
	struct phases	*phases;	/* to be told its times, or NULL */
};

/* Starts connecting.  NULL with errno where that fails at once. */
struct smtp_session *smtp_session_open(struct loop *, const struct smtp_conf *,
		const struct smtp_target *, const struct smtp_session_ops *,
		void *owner);
/* A transaction for a session that has none; it begins at the end of the turn,
 * or when the server has been greeted. */
void	smtp_session_start(struct smtp_session *, struct smtp_tx *);
/* Its transaction is the caller's again; only while it is connecting. */
void	smtp_session_leave(struct smtp_session *);
/* May it take another transaction? */
bool	smtp_session_is_usable(const struct smtp_session *);
/* The name that answers from now on give; between transactions. */
void	smtp_session_rename(struct smtp_session *, const char *host);
/* Say goodbye; gone() follows. */
void	smtp_session_quit(struct smtp_session *);
/* Drop the connection now, with what is under way; gone() follows. The
 * transaction is the caller's again. */
void	smtp_session_abort(struct smtp_session *);
/* In gone() only. */
void	smtp_session_free(struct smtp_session *);

/* TLS, and the server is who it should be. */
bool	smtp_session_is_verified(const struct smtp_session *);

/* "host[address]:port" */
const char *smtp_session_peer(const struct smtp_session *, char *, size_t);

/* ---- for dialogue.c and tx.c ---- */

struct smtp_step {
	const char	*name;		/* "RCPT TO" */
	const char	*doing;		/* "sending RCPT TO" */
	enum stage	 stage;
	void		(*send)(struct smtp_session *);
	void		(*reply)(struct smtp_session *, uint32_t rcpt,
			    const struct raw_reply *);
	bool		 is_last;	/* of a group (RFC 2920 §3.1) */
	bool		 is_data;	/* waits data_timeout */
	bool		 is_of_tx;
};
extern const struct smtp_step smtp_steps[SMTP_VERBS];

/* The dialogue: facts in, next verb out; no side effects. */
enum smtp_verb	smtp_next(const struct smtp_session *);

/* A line; refuses (drops the session) what holds CR or LF inside. */
void	session_say(struct smtp_session *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
void	session_expect(struct smtp_session *, enum smtp_verb, uint32_t rcpt);
/* Room for n bytes of output; session_wrote() what was used. */
char	*session_room(size_t n);
void	session_wrote(size_t n);
/* What was said so far leaves now. */
void	session_flush(struct smtp_session *);
/* For traces: a message of n bytes has been said. */
void	session_trace_message(struct smtp_session *, uint64_t n);
/* The session cannot go on; nothing more is read from it. */
void	session_fail(struct smtp_session *, const struct reply *,
	    enum smtp_failure);
/* A line that holds a secret: traces show `shown` instead. */
void	session_say_secret(struct smtp_session *, const char *line,
	    const char *shown);
/* We do not want this server: the transaction goes back, QUIT follows. */
void	session_decline(struct smtp_session *, const struct reply *);
/* ... because of what this message needs; other hosts may have it. */
void	session_unfit(struct smtp_session *, const struct reply *);
/* The server takes no mail: likewise. */
void	session_refused(struct smtp_session *, const struct raw_reply *,
	    enum smtp_verb);
/* A reply that does not fit: protocol error. */
void	session_unexpected(struct smtp_session *, enum smtp_verb,
	    const struct raw_reply *);
void	session_run(struct smtp_session *);
/* A phase is over; the next one begins now. */
void	session_phase(struct smtp_session *, enum phase, int64_t *since_us);

/* session_tls.c */
void	session_start_tls(struct smtp_session *);
void	session_secured(struct smtp_session *);
void	session_tls_failed(struct smtp_session *, const char *why);
/* The server has no TLS for us, or will not start it. */
void	session_no_tls(struct smtp_session *);
void	session_injected(struct smtp_session *);
void	session_note_auth(struct smtp_session *, const struct raw_reply *);
void	session_login(struct smtp_session *);
void	session_login_reply(struct smtp_session *, const struct raw_reply *);

/* Memory for the texts of a failure: the delivery's, or short-lived. */
struct arena *session_arena(struct smtp_session *);

#endif
