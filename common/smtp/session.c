/*
 * session.c - the engine of a session: says what dialogue.c has next, keeps
 * the order of awaited answers, reads replies, watches the time, and ends the
 * session in one place.  It knows no verb by name but QUIT's end.
 */
#include "smtp/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "smtp/tx.h"

#define OUT_BYTES_MAX	(1024 * 1024)
#define OUT_BYTES_TURN	(64 * 1024)	/* no more is made at once */
#define TURNS_MAX	4
#define IN_BYTES_MAX	(64 * 1024)
#define QUIT_WAIT_MS	5000
#define RESTED_MS	1000		/* idle so long, it may be dead */
#define SHOWN_BYTES	100		/* of a malformed reply */

/*
 * What is said in one go is put together here and leaves in one write; the
 * memory is shared, a session never leaves anything in it.
 */
static struct buf out = { .max = OUT_BYTES_MAX };
static bool out_is_secret;
static struct arena *scratch;		/* session_arena() without delivery */

/* ---- small things ---- */

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

static void
trace(const struct smtp_session *s, char who, const char *p, size_t n)
{
	char line[2 * SMTP_LINE_MAX];
	const char *lf;
	size_t len;

	if (!s->want_trace)
		return;
	for (; n > 0; p += len, n -= len) {
		lf = memchr(p, '\n', n);
		len = lf == NULL ? n : (size_t)(lf - p) + 1;
		str_escape(line, sizeof(line), p, len - (lf != NULL) -
		    (lf > p && lf[-1] == '\r'));
		fprintf(stderr, "%llu %c: %s\n",
		    (unsigned long long)s->serial, who, line);
	}
}

static void
trace_event(const struct smtp_session *s, const char *what)
{
	char peer[512];

	if (s->want_trace)
		fprintf(stderr, "%llu -- %s %s\n",
		    (unsigned long long)s->serial, what,
		    smtp_session_peer(s, peer, sizeof(peer)));
}

bool
smtp_session_is_verified(const struct smtp_session *s)
{
	return s->has_tls && tls_is_verified(conn_tls(s->conn));
}

/* Half a reply that nobody asked for: the next one would be taken for the rest
 * of it. */
static bool
has_surplus(const struct smtp_session *s)
{
	return s->nawaited == 0 && !buf_is_empty(&s->in);
}

bool
smtp_session_is_usable(const struct smtp_session *s)
{
	int64_t age = loop_now_ms(s->loop) - s->opened_ms;

	return !s->is_over && !s->is_doomed && !s->want_quit &&
	    s->hello == TAKEN && s->tx == NULL && !has_surplus(s) &&
	    (s->conf->max_connection_time_ms == 0 ||
	    age < s->conf->max_connection_time_ms) &&
	    (s->offer.mail_max == 0 || s->nmessages < s->offer.mail_max) &&
	    (s->conf->max_messages_per_connection == 0 ||
	    s->nmessages < s->conf->max_messages_per_connection);
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

static struct awaited
take_awaited(struct smtp_session *s)
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
	trace(s, 'C', buf_data(&out) + start, n + 2);
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
	trace(s, 'C', shown, strlen(shown));
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

	while (!s->is_over && !s->has_bad_line && s->is_open && conn_has_room(s->conn) &&
	    buf_len(&out) < OUT_BYTES_TURN &&
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
static void
pump(struct smtp_session *s)
{
	int turns = 0;

	while (turns++ < TURNS_MAX && say_some(s))
		;
	if (turns > TURNS_MAX && !s->is_over && conn_has_room(s->conn))
		conn_want_room(s->conn);
}

/* ---- time ---- */

static int64_t
time_allowed(const struct smtp_session *s)
{
	const struct smtp_step *step;
	bool is_body = s->tx != NULL && s->tx->data == TAKEN;

	if (!s->is_open)
		return s->conf->connect_timeout_ms;
	if (s->quit == SAID)
		return s->conf->command_timeout_ms < QUIT_WAIT_MS ?
		    s->conf->command_timeout_ms : QUIT_WAIT_MS;
	if (s->nawaited > 0) {
		step = &smtp_steps[s->awaited[s->awaited_at].verb];
		return step->is_data ? s->conf->data_timeout_ms :
		    s->conf->command_timeout_ms;
	}
	if (!conn_has_room(s->conn))
		return is_body ? s->conf->data_timeout_ms :
		    s->conf->command_timeout_ms;
	/* Waiting for the asker; no transaction is ever without a limit. */
	if (s->tx != NULL)
		return s->conf->data_timeout_ms;
	return 0;
}

static void
set_timer(struct smtp_session *s)
{
	int64_t wait = time_allowed(s), left;

	if (wait == 0) {
		timer_stop(&s->timer);
		return;
	}
	if (s->tx != NULL && s->tx->job != NULL && s->tx->dot == UNSAID &&
	    s->tx->job->d->deadline_ms != 0) {
		left = s->tx->job->d->deadline_ms - loop_now_ms(s->loop);
		if (left < wait)
			wait = left;
	}
	timer_set(&s->timer, wait);
}

/* ---- the end ---- */

/* The server may have the message: end of data has left this process, and
 * some recipient is accepted or may be. */
static bool
is_in_doubt(const struct smtp_session *s, const struct smtp_tx *tx)
{
	return tx != NULL && tx->job != NULL && tx->dot == SAID &&
	    tx->nhope > 0 && conn_pending(s->conn) == 0;
}

static void
end(struct smtp_session *s, bool with_reset)
{
	s->is_over = true;
	trace_event(s, "closed");
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
static struct smtp_tx *
detach(struct smtp_session *s)
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
	tx = detach(s);
	/* A body without its end must not look like a whole one. */
	is_cut = tx != NULL && tx->data == TAKEN && tx->dot == UNSAID;
	end(s, is_cut || how == FAIL_LOCAL);
	s->ops->failed(s, tx, r, how);
}

/* What the session was doing, for texts. */
static enum smtp_verb
doing(const struct smtp_session *s)
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

/* The connection broke or the time is over: one of a pair of causes. */
static void
fail_while(struct smtp_session *s, enum cause before, enum cause after,
    const char *detail)
{
	enum smtp_verb v = doing(s);
	char peer[512];
	struct reply r;

	smtp_session_peer(s, peer, sizeof(peer));
	if (is_in_doubt(s, s->tx))
		reply_cause(&r, session_arena(s), STAGE_DOT, after, peer,
		    detail);
	else
		reply_cause(&r, session_arena(s), smtp_steps[v].stage, before,
		    peer, smtp_steps[v].doing, detail);
	session_fail(s, &r, failure_kind(s));
}

static void
fail_connect(struct smtp_session *s, const char *why)
{
	char peer[512];
	struct reply r;

	reply_cause(&r, session_arena(s), STAGE_CONNECT, CAUSE_CONNECT_FAILED,
	    smtp_session_peer(s, peer, sizeof(peer)), why);
	session_fail(s, &r, FAIL_CONNECT);
}

/* The bytes are escaped by whoever shows the text; it ends at a NUL. */
static const char *
begin_of(char to[SHOWN_BYTES + 1], const char *p, size_t n)
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
	fail_while(s, CAUSE_UNEXPECTED, CAUSE_MALFORMED_AFTER_DOT,
	    begin_of(shown, raw->lines, raw->len));
}

static void
decline(struct smtp_session *s, const struct reply *r, enum smtp_failure how)
{
	struct smtp_tx *tx = detach(s);

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

/* ---- hearing ---- */

/* The session ends with the server's own words. */
static void
fail_as_told(struct smtp_session *s, enum smtp_verb v,
    const struct raw_reply *raw)
{
	char text[REPLY_TEXT_MAX * 2];
	struct reply r;

	reply_from_server(&r, session_arena(s), raw->code, text,
	    raw_reply_text(raw, text, sizeof(text)), smtp_steps[v].stage);
	session_fail(s, &r, s->starttls == SAID ? FAIL_TLS :
	    raw->code == 421 ? FAIL_CLOSING : FAIL_MESSAGE);
}

/* Some servers refuse a message before its end has come and hang up: without
 * end of data they cannot have taken it. */
static void
got_unawaited(struct smtp_session *s, const struct raw_reply *raw)
{
	if (s->tx != NULL && s->tx->data == TAKEN && s->tx->dot == UNSAID &&
	    raw->code >= 400)
		fail_as_told(s, BODY, raw);
	else
		fail_while(s, CAUSE_UNSOLICITED, CAUSE_MALFORMED_AFTER_DOT,
		    "unexpected data");
}

static void
got_reply(struct smtp_session *s, const struct raw_reply *raw)
{
	struct awaited a;

	if (raw->code == 334 && s->login == SAID)
		trace(s, 'S', SASL_TRACE_CHALLENGE,
		    strlen(SASL_TRACE_CHALLENGE));
	else
		trace(s, 'S', raw->lines, raw->len);
	if (s->nawaited == 0) {
		got_unawaited(s, raw);
		return;
	}
	/* The failure of a reply is told with its verb still at the head. */
	a = s->awaited[s->awaited_at];
	if (raw->code == 421 && a.verb != DOT && a.verb != QUIT) {
		fail_as_told(s, a.verb, raw);
		return;
	}
	if (!smtp_steps[a.verb].is_of_tx || s->tx != NULL)
		smtp_steps[a.verb].reply(s, a.rcpt, raw);
	if (s->is_over)
		return;
	take_awaited(s);
	if (s->quit == TAKEN)
		end(s, false);
}

static void
got_garbage(struct smtp_session *s, const char *p, size_t n)
{
	char shown[SHOWN_BYTES + 1];

	fail_while(s, CAUSE_MALFORMED, CAUSE_MALFORMED_AFTER_DOT,
	    begin_of(shown, p, n));
}

/* The whole replies in p; the bytes taken, or n where the session is over. */
static size_t
hear(struct smtp_session *s, const char *p, size_t n, bool *any_r)
{
	struct raw_reply raw;
	size_t at = 0;

	while (at < n) {
		switch (reply_parse(&s->parser, p + at, n - at, &raw)) {
		case PARSE_MORE:
			return at;
		case PARSE_BAD:
			got_garbage(s, p + at, n - at);
			return n;
		case PARSE_DONE:
			*any_r = true;
			got_reply(s, &raw);
			at += raw.len;
			break;
		}
		if (!s->is_over && s->is_shaking && at < n)
			session_injected(s);
		if (s->is_over)
			return n;
	}
	return at;
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct smtp_session *s = arg;
	bool any = false;
	size_t done = 0;

	if (buf_is_empty(&s->in)) {
		done = hear(s, p, n, &any);
		if (!s->is_over && done < n &&
		    buf_add(&s->in, p + done, n - done) == -1)
			got_garbage(s, p + done, n - done);
	} else if (buf_add(&s->in, p, n) == -1)
		got_garbage(s, p, n);
	else {
		done = hear(s, buf_data(&s->in), buf_len(&s->in), &any);
		if (!s->is_over)
			buf_consume(&s->in, done);
	}
	if (s->is_over)
		return;
	buf_shrink(&s->in);
	if (s->is_shaking)
		session_start_tls(s);
	/* Half a reply is no sign of life: the time goes on. */
	if (any)
		session_run(s);
}

static void
on_opened(void *arg)
{
	struct smtp_session *s = arg;

	s->is_open = true;
	trace_event(s, "connected");
	if (s->tx != NULL && s->tx->job != NULL)
		delivery_connected(s->tx->job->d);
	if (s->policy.is_wrapper) {
		session_start_tls(s);
		set_timer(s);
	} else
		session_run(s);
}

static void
on_secured(void *arg)
{
	struct smtp_session *s = arg;

	session_secured(s);
	trace_event(s, s->tls_text);
	session_run(s);
}

static void
on_drained(void *arg)
{
	session_run(arg);
}

static void
on_progress(void *arg)
{
	set_timer(arg);
}

static void
on_closed(void *arg, int error)
{
	struct smtp_session *s = arg;
	const char *text;

	if (!s->is_open)
		fail_connect(s, strerror(error));
	else if (s->quit == SAID)
		end(s, false);
	else if (s->is_shaking)
		session_tls_failed(s, error == EPROTO || error == 0 ? NULL :
		    strerror(error));
	else if (error == 0)
		fail_while(s, CAUSE_LOST, CAUSE_LOST_AFTER_DOT, NULL);
	else
		fail_while(s, CAUSE_LOST_ERROR, CAUSE_LOST_AFTER_DOT,
		    error == EPROTO && conn_tls_fault(s->conn, &text) !=
		    TLS_FAULT_NONE ? text : strerror(error));
}

static void
on_timeout(void *arg)
{
	struct smtp_session *s = arg;
	struct smtp_tx *tx = s->tx;
	struct reply r;

	if (s->quit == SAID) {
		end(s, false);
		return;
	}
	if (tx != NULL && tx->job != NULL && tx->dot == UNSAID &&
	    tx->job->d->deadline_ms != 0 &&
	    tx->job->d->deadline_ms <= loop_now_ms(s->loop)) {
		reply_cause(&r, session_arena(s), smtp_steps[doing(s)].stage,
		    CAUSE_DEADLINE);
		session_fail(s, &r, FAIL_LOCAL);
	} else if (!s->is_open)
		fail_connect(s, strerror(ETIMEDOUT));
	else if (s->is_shaking)
		session_tls_failed(s, strerror(ETIMEDOUT));
	else
		fail_while(s, CAUSE_TIMEOUT, CAUSE_TIMEOUT_AFTER_DOT, NULL);
}

/* ---- the engine ---- */

static void
finish_tx(struct smtp_session *s)
{
	struct smtp_tx *tx = detach(s);

	/* RFC 5321 §4.1.1.5; after success there is nothing to reset. */
	if (!tx->is_delivered && tx->nsaid > 0)
		s->want_rset = true;
	if (tx->mail != UNSAID)
		s->nmessages++;
	s->last_ms = loop_now_ms(s->loop);
	s->ops->tx_over(s, tx);
}

void
session_run(struct smtp_session *s)
{
	if (s->is_running || s->is_over)
		return;
	s->is_running = true;
	for (;;) {
		pump(s);
		if (s->is_over || s->tx == NULL || !tx_is_over(s->tx))
			break;
		finish_tx(s);
		if (s->is_over)
			break;
	}
	s->is_running = false;
	if (!s->is_over)
		set_timer(s);
}

static void
on_run(void *arg)
{
	session_run(arg);
}

static void
on_gone(void *arg)
{
	struct smtp_session *s = arg;

	s->ops->gone(s);
}

static void
on_free(void *arg)
{
	struct smtp_session *s = arg;

	if (s->awaited != s->first)
		free(s->awaited);
	buf_clear(&s->in);
	free(s->host);
	free(s->address);
	free(s->key);
	free(s->ehlo);
	free(s->auth_offer);
	free(s->tls_text);
	sasl_free(s->sasl);
	tls_dane_unref(s->dane);
	free(s);
}

static const struct conn_ops session_conn_ops = {
	.opened = on_opened,
	.data = on_data,
	.secured = on_secured,
	.drained = on_drained,
	.progress = on_progress,
	.closed = on_closed,
};

struct smtp_session *
smtp_session_open(struct loop *loop, const struct smtp_conf *conf,
    const struct smtp_target *to, const struct smtp_session_ops *ops,
    void *owner)
{
	static uint64_t serial;
	struct smtp_session *s = xcalloc(1, sizeof(*s));
	char text[ADDR_TEXT_MAX];

	s->conn = conn_open(loop, to->addr, to->source, &session_conn_ops, s);
	if (s->conn == NULL) {
		free(s);
		return NULL;
	}
	s->serial = ++serial;
	s->loop = loop;
	s->conf = conf;
	s->ops = ops;
	s->owner = owner;
	s->is_lmtp = to->is_lmtp;
	s->addr = *to->addr;
	s->host = xstrdup(to->host);
	s->address = xstrdup(addr_family(to->addr) == AF_UNIX ? "" :
	    addr_format(to->addr, text, sizeof(text)));
	s->key = xstrdup(to->key);
	s->ehlo = xstrdup(to->ehlo);
	s->policy = to->policy;
	s->dane = tls_dane_ref(to->dane);
	s->tls_ctx = to->tls_ctx;
	s->auth = to->auth;
	s->awaited = s->first;
	s->awaited_cap = sizeof(s->first) / sizeof(s->first[0]);
	s->opened_ms = loop_now_ms(loop);
	buf_init(&s->in, IN_BYTES_MAX + SMTP_CHALLENGE_MAX);
	timer_init(&s->timer, loop, on_timeout, s);
	later_init(&s->run_later, on_run, s);
	later_init(&s->gone_later, on_gone, s);
	later_init(&s->free_later, on_free, s);
	set_timer(s);
	return s;
}

void
smtp_session_start(struct smtp_session *s, struct smtp_tx *tx)
{
	s->tx = tx;
	tx->is_reused = s->nmessages > 0;
	tx->is_rested = tx->is_reused &&
	    loop_now_ms(s->loop) - s->last_ms > RESTED_MS;
	if (!s->is_running)
		loop_later(s->loop, &s->run_later);
}

void
smtp_session_quit(struct smtp_session *s)
{
	if (s->is_over)
		return;
	if (!s->is_open || s->is_doomed || has_surplus(s)) {
		end(s, false);
		return;
	}
	s->want_quit = true;
	if (!s->is_running)
		loop_later(s->loop, &s->run_later);
}

void
smtp_session_abort(struct smtp_session *s)
{
	if (s->is_over)
		return;
	detach(s);
	end(s, true);
}

void
smtp_session_free(struct smtp_session *s)
{
	loop_forget(s->loop, &s->gone_later);
	loop_later(s->loop, &s->free_later);
}
