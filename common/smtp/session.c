/*
 * session.c - the engine of a session: has said what dialogue.c has next
 * (session_say.c), reads replies, watches the time, and begins and ends the
 * session (session_fail.c).  It knows no verb by name but QUIT's end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/session_engine.h"
#include "smtp/tx.h"

#define IN_BYTES_MAX	(64 * 1024)
#define QUIT_WAIT_MS	5000
#define RESTED_MS	1000		/* idle so long, it may be dead */

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

void
smtp_session_leave(struct smtp_session *s)
{
	session_detach(s);
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

/* ---- time ---- */

void
session_phase(struct smtp_session *s, enum phase phase, int64_t *since_us)
{
	int64_t now = loop_now_us(s->loop);

	phase_observe(s->phases, phase, now - *since_us);
	*since_us = now;
}

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

void
session_set_timer(struct smtp_session *s)
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

/* ---- hearing ---- */

/* Some servers refuse a message before its end has come and hang up: without
 * end of data they cannot have taken it. */
static void
got_unawaited(struct smtp_session *s, const struct raw_reply *raw)
{
	if (s->tx != NULL && s->tx->data == TAKEN &&
	    !session_has_sent_end(s) && s->tx->dot <= SAID && raw->code >= 400)
		session_fail_as_told(s, BODY, raw);
	else
		session_fail_while(s, CAUSE_UNSOLICITED,
		    CAUSE_MALFORMED_AFTER_DOT, "unexpected data");
}

static void
got_reply(struct smtp_session *s, const struct raw_reply *raw)
{
	struct awaited a;

	if (raw->code == 334 && s->login == SAID)
		session_trace(s, "S:", SASL_TRACE_CHALLENGE,
		    strlen(SASL_TRACE_CHALLENGE));
	else
		session_trace(s, "S:", raw->lines, raw->len);
	if (s->nawaited == 0) {
		got_unawaited(s, raw);
		return;
	}
	/* The failure of a reply is told with its verb still at the head. */
	a = s->awaited[s->awaited_at];
	/* Nothing can be the answer to what has not left yet. */
	if (a.verb == DOT && s->tx != NULL && conn_pending(s->conn) > 0) {
		got_unawaited(s, raw);
		return;
	}
	if (raw->code == 421 && a.verb != DOT && a.verb != QUIT) {
		session_fail_as_told(s, a.verb, raw);
		return;
	}
	if (!smtp_steps[a.verb].is_of_tx || s->tx != NULL)
		smtp_steps[a.verb].reply(s, a.rcpt, raw);
	if (s->is_over)
		return;
	session_take_awaited(s);
	if (s->quit == TAKEN)
		session_end(s, false);
}

static void
got_garbage(struct smtp_session *s, const char *p, size_t n)
{
	char shown[SHOWN_BYTES + 1];

	session_fail_while(s, CAUSE_MALFORMED, CAUSE_MALFORMED_AFTER_DOT,
	    session_begin_of(shown, p, n));
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
	session_phase(s, PHASE_CONNECT, &s->begun_us);
	session_trace_event(s, "connected");
	if (s->ops->opened != NULL)
		s->ops->opened(s);
	if (s->tx != NULL && s->tx->job != NULL)
		delivery_connected(s->tx->job->d);
	if (s->policy.is_wrapper) {
		session_start_tls(s);
		session_set_timer(s);
	} else
		session_run(s);
}

static void
on_secured(void *arg)
{
	struct smtp_session *s = arg;

	session_secured(s);
	session_trace_event(s, s->tls_text);
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
	session_set_timer(arg);
}

static void
on_closed(void *arg, int error)
{
	struct smtp_session *s = arg;
	const char *text;

	if (!s->is_open)
		session_fail_connect(s, strerror(error));
	else if (s->quit == SAID)
		session_end(s, false);
	else if (s->is_shaking)
		session_tls_failed(s, error == EPROTO || error == 0 ? NULL :
		    strerror(error));
	else if (error == 0)
		session_fail_while(s, CAUSE_LOST, CAUSE_LOST_AFTER_DOT, NULL);
	else
		session_fail_while(s, CAUSE_LOST_ERROR, CAUSE_LOST_AFTER_DOT,
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
		session_ends(s, "quit, without an answer");
		session_end(s, false);
		return;
	}
	if (tx != NULL && tx->job != NULL && tx->dot == UNSAID &&
	    tx->job->d->deadline_ms != 0 &&
	    tx->job->d->deadline_ms <= loop_now_ms(s->loop)) {
		reply_cause(&r, session_arena(s),
		    smtp_steps[session_doing(s)].stage, CAUSE_DEADLINE);
		session_fail(s, &r, FAIL_LOCAL);
	} else if (!s->is_open)
		session_fail_connect(s, strerror(ETIMEDOUT));
	else if (s->is_shaking)
		session_tls_failed(s, strerror(ETIMEDOUT));
	else
		session_fail_while(s, CAUSE_TIMEOUT,
		    CAUSE_TIMEOUT_AFTER_DOT, NULL);
}

/* ---- the engine ---- */

static void
finish_tx(struct smtp_session *s)
{
	struct smtp_tx *tx = session_detach(s);

	if (tx->dot == TAKEN)
		session_phase(s, PHASE_REPLY, &tx->begun_us);
	/* RFC 5321 §4.1.1.5; after success there is nothing to reset. */
	if (!tx->is_delivered && tx->nsaid > 0)
		s->want_rset = true;
	if (tx->mail != UNSAID)
		s->nmessages++;
	if (tx->dot != UNSAID)
		s->nbytes += tx->source.len;
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
		session_pump(s);
		if (s->is_over || s->tx == NULL || !tx_is_over(s->tx))
			break;
		finish_tx(s);
		if (s->is_over)
			break;
	}
	s->is_running = false;
	if (!s->is_over)
		session_set_timer(s);
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
	free(s->why);
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
	s->phases = to->phases;
	s->begun_us = loop_now_us(loop);
	s->awaited = s->first;
	s->awaited_cap = sizeof(s->first) / sizeof(s->first[0]);
	s->opened_ms = loop_now_ms(loop);
	buf_init(&s->in, IN_BYTES_MAX + SMTP_CHALLENGE_MAX);
	timer_init(&s->timer, loop, on_timeout, s);
	later_init(&s->run_later, on_run, s);
	later_init(&s->gone_later, on_gone, s);
	later_init(&s->free_later, on_free, s);
	session_set_timer(s);
	return s;
}

void
smtp_session_start(struct smtp_session *s, struct smtp_tx *tx)
{
	s->tx = tx;
	transcript_choose(&s->trace, &s->conf->transcript, s->host, &s->addr,
	    &tx->job->d->env);
	tx->is_reused = s->nmessages > 0;
	tx->is_rested = tx->is_reused &&
	    loop_now_ms(s->loop) - s->last_ms > RESTED_MS;
	if (!s->is_running)
		loop_later(s->loop, &s->run_later);
}

void
smtp_session_rename(struct smtp_session *s, const char *host)
{
	if (strcmp(s->host, host) == 0)
		return;
	free(s->host);
	s->host = xstrdup(host);
}

void
smtp_session_quit(struct smtp_session *s)
{
	if (s->is_over)
		return;
	if (!s->is_open || s->is_doomed || has_surplus(s)) {
		session_ends(s, !s->is_open ? "not needed" : s->is_doomed ?
		    "the server has said 421" : "the server talks unasked");
		session_end(s, false);
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
	session_detach(s);
	session_ends(s, "given up");
	session_end(s, true);
}

void
smtp_session_free(struct smtp_session *s)
{
	loop_forget(s->loop, &s->gone_later);
	loop_later(s->loop, &s->free_later);
}
