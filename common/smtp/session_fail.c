/*
 * session_fail.c - how a session ends before its time: what has failed, in
 * which words, and whose is the transaction then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/mem.h"
#include "smtp/session_engine.h"
#include "smtp/tx.h"

static struct arena *scratch;		/* session_arena() without delivery */

/* ---- texts ---- */

const char *
smtp_session_peer(const struct smtp_session *s, char *to, size_t size)
{
	if (addr_family(&s->addr) == AF_UNIX)
		snprintf(to, size, "%s", s->host);
	else
		snprintf(to, size, "%s[%s]:%u", s->host, s->address,
		    addr_port(&s->addr));
	return to;
}

struct arena *
session_arena(struct smtp_session *s)
{
	if (s->tx != NULL && s->tx->job != NULL)
		return s->tx->job->d->arena;
	arena_free(scratch);
	scratch = arena_new(REPLY_TEXT_MAX * 2);
	return scratch;
}

/* ---- the end ---- */

bool
session_has_sent_end(const struct smtp_session *s)
{
	return s->tx->dot == SAID && conn_pending(s->conn) == 0;
}

/* The server may have the message: end of data has left, and some recipient
 * is accepted or may be. */
static bool
is_in_doubt(const struct smtp_session *s, const struct smtp_tx *tx)
{
	return tx != NULL && tx->job != NULL && tx->nhope > 0 &&
	    session_has_sent_end(s);
}

void
session_ends(struct smtp_session *s, const char *why)
{
	if (s->why == NULL)
		s->why = xstrdup(why);
}

static void
log_end(const struct smtp_session *s)
{
	const struct event_session facts = {
		.protocol = s->is_lmtp ? "lmtp" : "smtp",
		.serial = s->serial,
		.host = s->host,
		.address = s->address,
		.port = addr_port(&s->addr),
		.tls = s->tls_text,
		.ehlo = s->ehlo,
		.messages = s->nmessages,
		.recipients = s->nrcpts,
		.bytes = s->nbytes,
		.reused = s->nmessages > 1 ? s->nmessages - 1 : 0,
		.duration_ms = loop_now_ms(s->loop) - s->opened_ms,
		.end = s->why == NULL ? "quit" : s->why,
	};

	event_session(EVENT_SESSION, &facts);
}

void
session_end(struct smtp_session *s, bool with_reset)
{
	s->is_over = true;
	session_trace_event(s, "closed");
	log_end(s);
	if (with_reset)
		conn_abort(s->conn);
	else
		conn_free(s->conn);
	s->conn = NULL;
	timer_clear(&s->timer);
	loop_forget(s->loop, &s->run_later);
	loop_later(s->loop, &s->gone_later);
}

/* The transaction goes back to the owner; what is pipelined stays awaited. */
struct smtp_tx *
session_detach(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;

	s->tx = NULL;
	if (tx != NULL)
		loop_forget(s->loop, &tx->go);
	return tx;
}

void
session_fail(struct smtp_session *s, const struct reply *r,
    enum smtp_failure how)
{
	struct smtp_tx *tx;
	bool is_cut;

	if (s->is_over)
		return;
	/* 421 is a clear answer: nothing after it is taken. */
	if (how != FAIL_CLOSING && is_in_doubt(s, s->tx))
		tx_in_doubt(s, s->tx, r);
	session_ends(s, r->text);
	tx = session_detach(s);
	/* A body without its end must not look like a whole one. */
	is_cut = tx != NULL && tx->data == TAKEN && (tx->dot == UNSAID ||
	    (tx->dot == SAID && conn_pending(s->conn) > 0));
	session_end(s, is_cut || how == FAIL_LOCAL);
	s->ops->failed(s, tx, r, how);
}

/* What the session was doing, for texts. */
enum smtp_verb
session_doing(const struct smtp_session *s)
{
	if (s->nawaited > 0)
		return s->awaited[s->awaited_at].verb;
	if (s->tx != NULL && s->tx->data == TAKEN)
		return BODY;
	return s->tx != NULL ? MAIL : GREETING;
}

static enum smtp_failure
failure_kind(const struct smtp_session *s)
{
	if (s->starttls == SAID)
		return FAIL_TLS;	/* it may still do without */
	return s->tx != NULL && (s->tx->mail == TAKEN ||
	    s->tx->mail == REFUSED) ? FAIL_MESSAGE : FAIL_SESSION;
}

static const char *
doing_text(const struct smtp_session *s, enum smtp_verb v)
{
	return s->is_met && s->tx == NULL && s->nawaited == 0 ?
	    "waiting for the next message" : smtp_steps[v].doing;
}

/* The connection broke or the time is over: one of a pair of causes. */
void
session_fail_while(struct smtp_session *s, enum cause before, enum cause after,
    const char *detail)
{
	enum smtp_verb v = session_doing(s);
	char peer[512];
	struct reply r;

	smtp_session_peer(s, peer, sizeof(peer));
	if (is_in_doubt(s, s->tx))
		reply_cause(&r, session_arena(s), STAGE_DOT, after, peer,
		    detail);
	else
		reply_cause(&r, session_arena(s), smtp_steps[v].stage, before,
		    peer, doing_text(s, v), detail);
	session_fail(s, &r, failure_kind(s));
}

void
session_fail_connect(struct smtp_session *s, const char *why)
{
	char peer[512];
	struct reply r;

	reply_cause(&r, session_arena(s), STAGE_CONNECT, CAUSE_CONNECT_FAILED,
	    smtp_session_peer(s, peer, sizeof(peer)), why);
	session_fail(s, &r, FAIL_CONNECT);
}

/* The bytes are escaped by whoever shows the text; it ends at a NUL. */
const char *
session_begin_of(char to[SHOWN_BYTES + 1], const char *p, size_t n)
{
	size_t i;

	if (n > SHOWN_BYTES)
		n = SHOWN_BYTES;
	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	for (i = 0; i < n; i++)
		to[i] = p[i] == '\0' ? '?' : p[i];
	to[n] = '\0';
	return to;
}

void
session_unexpected(struct smtp_session *s, enum smtp_verb v,
    const struct raw_reply *raw)
{
	char shown[SHOWN_BYTES + 1];

	(void)v;
	session_fail_while(s, CAUSE_UNEXPECTED, CAUSE_MALFORMED_AFTER_DOT,
	    session_begin_of(shown, raw->lines, raw->len));
}

static void
decline(struct smtp_session *s, const struct reply *r, enum smtp_failure how)
{
	struct smtp_tx *tx = session_detach(s);

	session_ends(s, r->text);
	s->want_quit = true;
	s->ops->failed(s, tx, r, how);
}

void
session_decline(struct smtp_session *s, const struct reply *r)
{
	decline(s, r, FAIL_SESSION);
}

void
session_unfit(struct smtp_session *s, const struct reply *r)
{
	decline(s, r, FAIL_UNFIT);
}

void
session_refused(struct smtp_session *s, const struct raw_reply *raw,
    enum smtp_verb v)
{
	char text[REPLY_TEXT_MAX * 2];
	struct reply r;

	reply_from_server(&r, session_arena(s), raw->code, text,
	    raw_reply_text(raw, text, sizeof(text)), smtp_steps[v].stage);
	session_decline(s, &r);
}

/* The session ends with the server's own words. */
void
session_fail_as_told(struct smtp_session *s, enum smtp_verb v,
    const struct raw_reply *raw)
{
	char text[REPLY_TEXT_MAX * 2];
	struct reply r;

	reply_from_server(&r, session_arena(s), raw->code, text,
	    raw_reply_text(raw, text, sizeof(text)), smtp_steps[v].stage);
	session_fail(s, &r, s->starttls == SAID ? FAIL_TLS :
	    raw->code == 421 ? FAIL_CLOSING : FAIL_MESSAGE);
}
