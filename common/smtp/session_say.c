/*
 * session_say.c - what a session says: lines put together and sent in one go,
 * the order of the answers they await, and traces of both sides.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "smtp/session_engine.h"
#include "smtp/tx.h"

#define OUT_BYTES_MAX	(1024 * 1024)
#define OUT_BYTES_TURN	(64 * 1024)	/* no more is made at once */
#define TURNS_MAX	4

/*
 * What is said in one go is put together here and leaves in one write; the
 * memory is shared, a session never leaves anything in it.
 */
static struct buf out = { .max = OUT_BYTES_MAX };
static bool out_is_secret;

/* ---- traces ---- */

static const struct envelope *
present_envelope(const struct smtp_session *s)
{
	return s->tx == NULL || s->tx->job == NULL ? NULL :
	    &s->tx->job->d->env;
}

void
session_trace(struct smtp_session *s, const char *who, const char *p, size_t n)
{
	transcript_lines(&s->trace, present_envelope(s), who, p, n);
}

void
session_trace_event(struct smtp_session *s, const char *what)
{
	char peer[512];

	if (transcript_is_on(&s->trace))
		transcript_say(&s->trace, present_envelope(s), "--", "%s %s",
		    what, smtp_session_peer(s, peer, sizeof(peer)));
}

void
session_trace_message(struct smtp_session *s, uint64_t n)
{
	transcript_say(&s->trace, present_envelope(s), "C:",
	    "(%llu bytes of the message)", (unsigned long long)n);
}

/* ---- awaited answers ---- */

static void
grow_awaited(struct smtp_session *s)
{
	uint32_t i, cap = s->awaited_cap * 4;
	struct awaited *ring = xcalloc(cap, sizeof(*ring));

	for (i = 0; i < s->nawaited; i++)
		ring[i] = s->awaited[(s->awaited_at + i) % s->awaited_cap];
	if (s->awaited != s->first)
		free(s->awaited);
	s->awaited = ring;
	s->awaited_cap = cap;
	s->awaited_at = 0;
}

void
session_expect(struct smtp_session *s, enum smtp_verb verb, uint32_t rcpt)
{
	uint32_t at;

	/* At most one for each recipient and a few verbs: bounded. */
	if (s->nawaited == s->awaited_cap)
		grow_awaited(s);
	/* NOLINTNEXTLINE(clang-analyzer-core.*): all three are set */
	at = (s->awaited_at + s->nawaited) % s->awaited_cap;
	s->awaited[at] = (struct awaited){ (uint8_t)verb, rcpt };
	s->nawaited++;
	if (smtp_steps[verb].is_of_tx && s->tx != NULL)
		s->tx->nawaited++;
}

struct awaited
session_take_awaited(struct smtp_session *s)
{
	struct awaited a = s->awaited[s->awaited_at];

	s->awaited_at = (s->awaited_at + 1) % s->awaited_cap;
	s->nawaited--;
	if (s->nawaited == 0 && s->awaited != s->first) {
		free(s->awaited);
		s->awaited = s->first;
		s->awaited_cap = sizeof(s->first) / sizeof(s->first[0]);
		s->awaited_at = 0;
	}
	if (smtp_steps[a.verb].is_of_tx && s->tx != NULL)
		s->tx->nawaited--;
	return a;
}

/* ---- saying ---- */

char *
session_room(size_t n)
{
	char *p = buf_reserve(&out, n);

	if (p == NULL)
		abort();	/* one turn's output is bounded far below */
	return p;
}

void
session_wrote(size_t n)
{
	buf_commit(&out, n);
}

void
session_say(struct smtp_session *s, const char *fmt, ...)
{
	size_t start = buf_len(&out), n;
	va_list ap;
	char *p;
	int len;

	va_start(ap, fmt);
	p = session_room(SMTP_LINE_MAX * 2);
	len = vsnprintf(p, SMTP_LINE_MAX * 2 - 2, fmt, ap);
	va_end(ap);
	n = len < 0 ? SIZE_MAX : (size_t)len;
	if (n > SMTP_LINE_MAX * 2 - 3 || memchr(p, '\r', n) != NULL ||
	    memchr(p, '\n', n) != NULL) {
		/* Addresses were checked long before: this cannot be.  The
		 * verb has the transaction in its hands: fail after it. */
		s->has_bad_line = true;
		return;
	}
	memcpy(p + n, "\r\n", 2);
	buf_commit(&out, n + 2);
	session_trace(s, "C:", buf_data(&out) + start, n + 2);
}

void
session_say_secret(struct smtp_session *s, const char *line, const char *shown)
{
	size_t n = strlen(line);
	char *p = session_room(n + 2);

	memcpy(p, line, n);
	memcpy(p + n, "\r\n", 2);
	buf_commit(&out, n + 2);
	out_is_secret = true;
	session_trace(s, "C:", shown, strlen(shown));
}

/* May a verb be said while answers are awaited? (RFC 2920 §3.1) */
static bool
may_say(const struct smtp_session *s)
{
	uint32_t last;

	if (s->nawaited == 0)
		return true;
	if ((s->offer.exts & EXT_PIPELINING) == 0 || s->hello != TAKEN)
		return false;
	last = (s->awaited_at + s->nawaited - 1) % s->awaited_cap;
	return !smtp_steps[s->awaited[last].verb].is_last;
}

void
session_flush(struct smtp_session *s)
{
	if (!s->is_over && !buf_is_empty(&out))
		conn_write(s->conn, buf_data(&out), buf_len(&out));
	if (out_is_secret)
		explicit_bzero(buf_data(&out), buf_len(&out));
	out_is_secret = false;
	buf_consume(&out, buf_len(&out));
}

/* Say what may be said now, up to a turn's worth; false: nothing was. */
static bool
say_some(struct smtp_session *s)
{
	enum smtp_verb v;
	struct reply r;
	bool any;

	while (!s->is_over && !s->has_bad_line && s->is_open &&
	    conn_has_room(s->conn) && buf_len(&out) < OUT_BYTES_TURN &&
	    (v = smtp_next(s)) != IDLE && may_say(s))
		smtp_steps[v].send(s);
	if (!s->is_over && s->has_bad_line) {
		reply_cause(&r, session_arena(s), STAGE_NONE, CAUSE_INTERNAL,
		    "a command that is no line");
		session_fail(s, &r, FAIL_LOCAL);
	}
	any = !buf_is_empty(&out);
	session_flush(s);
	return any;
}

/* A fast peer must not keep the others waiting: a few turns' worth, then the
 * socket says when to go on. */
void
session_pump(struct smtp_session *s)
{
	int turns = 0;

	while (turns++ < TURNS_MAX && say_some(s))
		;
	if (turns > TURNS_MAX && !s->is_over && conn_has_room(s->conn))
		conn_want_room(s->conn);
}
