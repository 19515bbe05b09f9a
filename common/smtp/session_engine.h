/*
 * session_engine.h - what the parts of the engine share; private to session.c,
 * session_say.c and session_fail.c.
 */
#ifndef SMTP_SESSION_ENGINE_H
#define SMTP_SESSION_ENGINE_H

#include "smtp/session.h"

#define SHOWN_BYTES	100		/* of a malformed reply */

/* ---- session.c ---- */

/* For what is waited for now, or not at all. */
void	session_set_timer(struct smtp_session *);

/* ---- session_say.c ---- */

/* who: "C:" or "S:"; lines with their ends. */
void	session_trace(struct smtp_session *, const char *who, const char *,
	    size_t);
void	session_trace_event(struct smtp_session *, const char *what);
/* The answer to what was said first has come. */
struct awaited session_take_awaited(struct smtp_session *);
/* Says all that may be said now. */
void	session_pump(struct smtp_session *);

/* ---- session_fail.c ---- */

/* Why it will have ended, for the log; the first reason holds. */
void	session_ends(struct smtp_session *, const char *why);
/* The connection is over; gone() follows. */
void	session_end(struct smtp_session *, bool with_reset);
/* The transaction goes back to the owner; what is pipelined stays awaited. */
struct smtp_tx *session_detach(struct smtp_session *);
/* All of the transaction's message has left this process. */
bool	session_has_sent_end(const struct smtp_session *);
/* What the session was doing, for texts. */
enum smtp_verb session_doing(const struct smtp_session *);
/* The connection broke or the time is over: one of a pair of causes, before
 * and after end of data. */
void	session_fail_while(struct smtp_session *, enum cause before,
	    enum cause after, const char *detail);
void	session_fail_connect(struct smtp_session *, const char *why);
/* With the server's own words. */
void	session_fail_as_told(struct smtp_session *, enum smtp_verb,
	    const struct raw_reply *);
/* As much as is shown of what is no reply; whoever shows the text escapes
 * it. */
const char *session_begin_of(char to[SHOWN_BYTES + 1], const char *, size_t);

#endif
