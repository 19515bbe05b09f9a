/*
 * dialogue.c - what an SMTP or LMTP client says and how it takes the answers,
 * in the order of RFC 5321 §3 (LMTP: RFC 2033); DATA and what follows it are
 * in dialogue_data.c.
 *
 * A verb is a pair: what is sent, and what its answer means.  Answers only
 * record facts; smtp_next() alone tells what comes next.
 *
 * LONG: the dialogue, to be read from top to bottom
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/dialogue.h"
#include "smtp/tx.h"

void
dialogue_take_words(struct smtp_session *s, struct reply *r,
    const struct raw_reply *raw, enum smtp_verb verb)
{
	char text[REPLY_TEXT_MAX * 2];
	size_t n = raw_reply_text(raw, text, sizeof(text));

	reply_from_server(r, session_arena(s), raw->code, text, n,
	    smtp_steps[verb].stage);
}

/* ---- greeting (RFC 5321 §3.1, §4.2; 554 and 521: RFC 7504) ---- */

static void
greeting_wait(struct smtp_session *s)
{
	s->greeting = SAID;
	session_expect(s, GREETING, 0);
}

static void
greeting_reply(struct smtp_session *s, uint32_t none,
    const struct raw_reply *r)
{
	(void)none;
	if (is_positive(r))
		s->greeting = TAKEN;
	else if (is_refusal(r))
		session_refused(s, r, GREETING);
	else
		session_unexpected(s, GREETING, r);
}

/* ---- EHLO, HELO (RFC 5321 §4.1.1.1), LHLO (RFC 2033 §4.1) ---- */

static void
ehlo_send(struct smtp_session *s)
{
	session_say(s, "EHLO %s", s->ehlo);
	s->hello = SAID;
	session_expect(s, EHLO, 0);
}

static void
hello_taken(struct smtp_session *s, const struct raw_reply *r)
{
	ehlo_parse(r, &s->offer);
	session_note_auth(s, r);
	s->hello = TAKEN;
	s->ready_ms = loop_now_ms(s->loop);
	if (!has(s, EXT_STARTTLS))
		session_no_tls(s);
}

/* Whatever a server says to EHLO, it may still know HELO (RFC 5321 §3.2). */
static void
ehlo_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *r)
{
	(void)none;
	if (is_positive(r))
		hello_taken(s, r);
	else if (is_refusal(r)) {
		s->no_ehlo = true;
		s->hello = UNSAID;
	} else
		session_unexpected(s, EHLO, r);
}

static void
helo_send(struct smtp_session *s)
{
	session_say(s, "HELO %s", s->ehlo);
	s->hello = SAID;
	session_expect(s, HELO, 0);
}

static void
helo_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *r)
{
	(void)none;
	if (is_positive(r)) {
		s->hello = TAKEN;
		s->ready_ms = loop_now_ms(s->loop);
		session_no_tls(s);
	} else if (is_refusal(r))
		session_refused(s, r, HELO);
	else
		session_unexpected(s, HELO, r);
}

static void
lhlo_send(struct smtp_session *s)
{
	session_say(s, "LHLO %s", s->ehlo);
	s->hello = SAID;
	session_expect(s, LHLO, 0);
}

static void
lhlo_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *r)
{
	(void)none;
	if (is_positive(r))
		hello_taken(s, r);
	else if (is_refusal(r))
		session_refused(s, r, LHLO);
	else
		session_unexpected(s, LHLO, r);
}

/* ---- STARTTLS (RFC 3207) ---- */

static void
starttls_send(struct smtp_session *s)
{
	char peer[512];
	struct reply r;

	if (!has(s, EXT_STARTTLS)) {
		reply_cause(&r, session_arena(s), STAGE_TLS,
		    CAUSE_TLS_NOT_OFFERED,
		    smtp_session_peer(s, peer, sizeof(peer)));
		s->starttls = REFUSED;
		session_decline(s, &r);
		return;
	}
	session_say(s, "STARTTLS");
	s->starttls = SAID;
	session_expect(s, STARTTLS, 0);
}

static void
starttls_reply(struct smtp_session *s, uint32_t none,
    const struct raw_reply *raw)
{
	struct arena *arena = session_arena(s);
	char peer[512], text[512];
	struct reply r;
	size_t n;

	(void)none;
	if (is_positive(raw)) {
		s->is_shaking = true;	/* once all input is known to be used */
		return;
	}
	if (s->policy.level == TLS_MAY && !is_refusal(raw)) {
		session_unexpected(s, STARTTLS, raw);
		return;
	}
	s->starttls = REFUSED;
	session_no_tls(s);
	if (s->policy.level == TLS_MAY)
		return;				/* goes on in clear */
	n = raw_reply_text(raw, text, sizeof(text) - 1);
	text[n] = '\0';
	reply_cause(&r, arena, STAGE_TLS, CAUSE_TLS_REFUSED,
	    smtp_session_peer(s, peer, sizeof(peer)),
	    arena_printf(arena, "%u %s", raw->code, text));
	session_decline(s, &r);
}

/* ---- AUTH (RFC 4954) ---- */

static void
auth_send(struct smtp_session *s)
{
	session_login(s);
}

static void
auth_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *raw)
{
	(void)none;
	if (is_positive(raw) || is_refusal(raw) || raw->code == 334)
		session_login_reply(s, raw);
	else
		session_unexpected(s, AUTH, raw);
}

/* ---- MAIL (RFC 5321 §4.1.1.2) ---- */

static const char *
mail_dsn(const struct smtp_session *s, const struct envelope *env,
    struct arena *arena)
{
	const char *ret = env->ret == RET_FULL ? " RET=FULL" :
	    env->ret == RET_HDRS ? " RET=HDRS" : "";

	if (!has(s, EXT_DSN))			/* RFC 3461 §4.3, §4.4 */
		return "";
	if (env->envid == NULL)
		return ret;
	return arena_printf(arena, "%s ENVID=%s", ret, env->envid);
}

/* A host that would not keep what REQUIRETLS promises: the next one may (RFC
 * 8689 §4.2.1). */
static bool
lacks_requiretls(struct smtp_session *s)
{
	char peer[512];
	struct reply r;

	if ((s->tx->job->d->env.flags & ENV_REQUIRETLS) == 0 ||
	    (smtp_session_is_verified(s) && has(s, EXT_REQUIRETLS)))
		return false;
	reply_cause(&r, session_arena(s), STAGE_MAIL, CAUSE_NEED_REQUIRETLS,
	    smtp_session_peer(s, peer, sizeof(peer)));
	session_unfit(s, &r);
	return true;
}

/*
 * Whether the server can take the message, and how it will be sent.  A small
 * one goes with its commands in one piece, end of data included, so that the
 * outcome is in doubt from the first byte on; not over a connection that has
 * rested and may be dead, where a refused or lost MAIL shall cost nothing.
 */
static void
prepare(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;

	if (!s->is_met)
		session_phase(s, PHASE_HELLO, &s->begun_us);
	s->is_met = true;
	if (lacks_requiretls(s))
		return;			/* the transaction is gone */
	tx->prepared = TAKEN;
	tx->begun_us = loop_now_us(s->loop);
	if (tx_prepare(s, tx) == -1) {
		tx->mail = REFUSED;
		return;
	}
	tx->is_chunked = has(s, EXT_CHUNKING) &&
	    (s->conf->chunking || tx->is_binary);
	tx->is_early = tx->is_chunked && has(s, EXT_PIPELINING) &&
	    !s->is_lmtp && !tx->is_rested && tx->source.mem != NULL &&
	    !tx_is_probe(tx) && tx->wire_len <= EARLY_BYTES;
	/*
	 * Without a length before it, a file that can still change might be
	 * given an end of data of its own after the look at it.
	 */
	tx->is_raw = (tx->job->look->facts.is_clean || tx->is_binary) &&
	    (tx->source.mem == NULL || tx->source.len > EARLY_BYTES) &&
	    tx->writer == NULL &&
	    (tx->is_chunked || (!tx->job->look->facts.has_dot_line &&
	    (tx->source.mem != NULL || body_is_sealed(&tx->source))));
	crlf_init(&tx->crlf, !tx->is_chunked);
	if (tx->is_early)
		tx_announce_end(s, tx);
}

static bool
needs_smtputf8(const struct smtp_tx *tx)
{
	const struct smtp_job *job = tx->job;
	uint32_t i;

	if (job->sender.is_utf8 ||
	    ((job->d->env.flags & ENV_SMTPUTF8) != 0 && job->look->facts.header_8bit))
		return true;
	for (i = 0; i < tx->nrcpt; i++)
		if (job->rcpts[tx->rcpts[i].index].is_utf8)
			return true;
	return false;
}

static void
mail_send(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;
	struct arena *arena = tx->job->d->arena;
	const char *from, *error;
	char size[32] = "";

	if (has(s, EXT_SIZE))				/* RFC 1870 §6 */
		snprintf(size, sizeof(size), " SIZE=%llu",
		    (unsigned long long)tx->wire_len);
	from = tx->job->sender.local == NULL ? "" :
	    address_wire(&tx->job->sender, has(s, EXT_SMTPUTF8), arena,
	    &error);
	session_say(s, "MAIL FROM:<%s>%s%s%s%s%s%s", from == NULL ? "" : from,
	    size,
	    tx->is_binary ? " BODY=BINARYMIME" :	/* RFC 3030 §3 */
	    has(s, EXT_8BITMIME) && tx->job->look->facts.has_8bit &&
	    tx->writer == NULL ? " BODY=8BITMIME" : "",		/* RFC 6152 */
	    has(s, EXT_SMTPUTF8) && needs_smtputf8(tx) ?
	    " SMTPUTF8" : "",					/* RFC 6531 */
	    s->login == TAKEN ? " AUTH=<>" : "",	/* RFC 4954 §5 */
	    (tx->job->d->env.flags & ENV_REQUIRETLS) != 0 ?
	    " REQUIRETLS" : "",					/* RFC 8689 */
	    mail_dsn(s, &tx->job->d->env, arena));
	tx->mail = SAID;
	session_expect(s, MAIL, 0);
}

static void
mail_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *raw)
{
	struct reply r;

	(void)none;
	if (is_positive(raw))
		s->tx->mail = TAKEN;
	else if (is_refusal(raw)) {
		s->tx->mail = REFUSED;
		dialogue_take_words(s, &r, raw, MAIL);
		tx_fail(s, s->tx, &r);
	} else
		session_unexpected(s, MAIL, raw);
}

/* ---- RCPT (RFC 5321 §4.1.1.3) ---- */

static const char *
rcpt_dsn(const struct smtp_session *s, const struct rcpt *rcpt,
    struct arena *arena)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE",
	    "DELAY" };
	char list[64] = "";
	size_t i;

	if (!has(s, EXT_DSN) || (rcpt->notify == 0 && rcpt->orcpt == NULL))
		return "";
	for (i = 0; i < 4; i++)				/* RFC 3461 §4.1 */
		if ((rcpt->notify & 1U << i) != 0) {
			strlcat(list, *list == '\0' ? " NOTIFY=" : ",",
			    sizeof(list));
			strlcat(list, words[i], sizeof(list));
		}
	if (rcpt->orcpt == NULL)
		return arena_strdup(arena, list);
	return arena_printf(arena, "%s ORCPT=%s", list, rcpt->orcpt);
}

static void
rcpt_send(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;
	uint32_t i = tx->nsaid++;
	struct tx_rcpt *rcpt = &tx->rcpts[i];
	struct arena *arena = tx->job->d->arena;
	const char *to, *error = NULL;
	struct reply r;

	if (rcpt->state != RCPT_OPEN)
		return;			/* answered without asking */
	if (s->offer.rcpt_max != 0 && tx->nasked >= s->offer.rcpt_max) {
		tx_put_off(tx, i);			/* RFC 9422 §4 */
		return;
	}
	to = address_wire(&tx->job->rcpts[rcpt->index],
	    has(s, EXT_SMTPUTF8), arena, &error);
	if (to == NULL) {		/* a domain without A-labels */
		reply_cause(&r, arena, STAGE_RCPT, CAUSE_BAD_DOMAIN, error);
		tx_answer(s, tx, i, &r);
		return;
	}
	session_say(s, "RCPT TO:<%s>%s", to,
	    rcpt_dsn(s, &tx->job->d->env.rcpts[rcpt->index], arena));
	rcpt->state = RCPT_SAID;
	tx->nasked++;
	session_expect(s, RCPT, i);
}

/*
 * "Too many recipients" (RFC 5321 §4.5.3.1.10), not a word on the mailbox: 452
 * or 552 whose enhanced code does not speak of the address or mailbox, when
 * others were accepted.
 */
static bool
is_too_many(const struct smtp_tx *tx, const struct reply *r)
{
	if (tx->naccepted == 0)
		return false;
	if (r->code == 452)
		return r->dsn[1] != 1 && r->dsn[1] != 2;
	return r->code == 552 && (r->dsn[1] == 0 || r->dsn[1] == 5);
}

static void
rcpt_reply(struct smtp_session *s, uint32_t i, const struct raw_reply *raw)
{
	struct smtp_tx *tx = s->tx;
	struct reply r;

	if (!is_positive(raw) && !is_refusal(raw)) {
		session_unexpected(s, RCPT, raw);
		return;
	}
	if (tx->rcpts[i].state != RCPT_SAID)
		return;			/* answered by MAIL already */
	if (is_positive(raw) && !tx_is_probe(tx)) {
		tx->rcpts[i].state = RCPT_ACCEPTED;
		tx->naccepted++;
		return;
	}
	dialogue_take_words(s, &r, raw, RCPT);
	if (is_too_many(tx, &r))
		tx_put_off(tx, i);
	else
		tx_answer(s, tx, i, &r);
}

/* ---- RSET, QUIT (RFC 5321 §4.1.1.5, §4.1.1.10) ---- */

static void
rset_send(struct smtp_session *s)
{
	session_say(s, "RSET");
	s->want_rset = false;
	session_expect(s, RSET, 0);
}

static void
rset_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *r)
{
	(void)none;
	if (!is_positive(r))
		s->is_doomed = true;
}

static void
quit_send(struct smtp_session *s)
{
	session_say(s, "QUIT");
	s->quit = SAID;
	session_expect(s, QUIT, 0);
}

static void
quit_reply(struct smtp_session *s, uint32_t none, const struct raw_reply *r)
{
	(void)none;
	(void)r;
	s->quit = TAKEN;
}

const struct smtp_step smtp_steps[SMTP_VERBS] = {
	[GREETING] = { "greeting", "receiving the greeting", STAGE_GREETING,
	    greeting_wait, greeting_reply, .is_last = true },
	[EHLO] = { "EHLO", "sending EHLO", STAGE_EHLO,
	    ehlo_send, ehlo_reply, .is_last = true },
	[HELO] = { "HELO", "sending HELO", STAGE_EHLO,
	    helo_send, helo_reply, .is_last = true },
	[LHLO] = { "LHLO", "sending LHLO", STAGE_EHLO,
	    lhlo_send, lhlo_reply, .is_last = true },
	[STARTTLS] = { "STARTTLS", "sending STARTTLS", STAGE_TLS,
	    starttls_send, starttls_reply, .is_last = true },
	[AUTH] = { "AUTH", "performing AUTH", STAGE_AUTH,
	    auth_send, auth_reply, .is_last = true },
	[PREPARE] = { "", "preparing", STAGE_MAIL,
	    prepare, NULL, .is_last = false },
	[MAIL] = { "MAIL FROM", "sending MAIL FROM", STAGE_MAIL,
	    mail_send, mail_reply, .is_of_tx = true },
	[RCPT] = { "RCPT TO", "sending RCPT TO", STAGE_RCPT,
	    rcpt_send, rcpt_reply, .is_of_tx = true },
	[DATA] = { "DATA", "sending DATA", STAGE_DATA,
	    dialogue_data_send, dialogue_data_reply, .is_last = true,
	    .is_of_tx = true },
	[BDAT] = { "BDAT", "sending BDAT", STAGE_DATA,
	    dialogue_bdat_send, NULL, .is_data = true },
	[BODY] = { "body", "sending message body", STAGE_BODY,
	    dialogue_body_send, NULL, .is_data = true },
	[DOT] = { "end of data", "sending end of data", STAGE_DOT,
	    dialogue_dot_send, dialogue_dot_reply, .is_last = true,
	    .is_data = true, .is_of_tx = true },
	[RSET] = { "RSET", "sending RSET", STAGE_EHLO,
	    rset_send, rset_reply, .is_last = false },
	[QUIT] = { "QUIT", "sending QUIT", STAGE_EHLO,
	    quit_send, quit_reply, .is_last = true },
};

enum smtp_verb
smtp_next(const struct smtp_session *s)
{
	const struct smtp_tx *tx = s->tx;

	if (s->greeting == UNSAID)
		return GREETING;			/* §3.1 */
	if (s->want_quit)
		return s->quit == UNSAID ? QUIT : IDLE;
	if (s->hello == UNSAID)
		return s->is_lmtp ? LHLO : s->no_ehlo ? HELO : EHLO;
	if (s->hello == SAID || s->starttls == SAID || s->login == SAID)
		return IDLE;
	if (s->policy.level != TLS_NONE && s->starttls == UNSAID &&
	    (has(s, EXT_STARTTLS) || s->policy.level != TLS_MAY))
		return STARTTLS;	/* then EHLO again: RFC 3207 §4.2 */
	if (s->auth != NULL && s->login == UNSAID)
		return AUTH;				/* RFC 4954 §4 */
	if (s->want_rset)
		return RSET;
	if (tx == NULL)
		return IDLE;
	if (tx->prepared == UNSAID)
		return PREPARE;
	if (tx->end == SAID)
		return IDLE;				/* the asker first */
	if (tx->mail == UNSAID)
		return MAIL;				/* §3.3 */
	if (tx_hope(tx) && tx->nsaid < tx->nrcpt)
		return RCPT;
	if (tx_is_probe(tx))
		return IDLE;			/* RSET once all are answered */
	if (tx_hope(tx) && tx->data == UNSAID && !tx->is_chunked)
		return DATA;
	if (tx_hope(tx) && tx->data == UNSAID &&
	    (tx->is_early || tx->nawaited == 0))
		return BDAT;
	if (tx->data != TAKEN)
		return IDLE;
	if (tx->body == UNSAID && tx_hope(tx))
		return BODY;
	if (tx->dot == UNSAID)
		return DOT;	/* also 354 for nobody: RFC 2920 §3.1 */
	return IDLE;
}
