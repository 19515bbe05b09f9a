/*
 * session_tls.c - TLS and AUTH of a session: the handshake and its failures,
 * the exchange of SASL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/session.h"

#define OFFER_BYTES	1024		/* of AUTH's parameters */

/* ---- TLS (RFC 3207) ---- */

static void
tell(struct smtp_session *s, bool is_offered, enum tls_fault fault,
    enum tls_cert_fault cert)
{
	struct route_outcome o = { is_offered, fault, cert };

	if (s->ops->tls_over != NULL && !s->has_told_tls)
		s->ops->tls_over(s, &o);
	s->has_told_tls = true;
}

void
session_no_tls(struct smtp_session *s)
{
	if (s->policy.level != TLS_NONE)
		tell(s, false, TLS_FAULT_NONE, TLS_CERT_GOOD);
}

void
session_start_tls(struct smtp_session *s)
{
	struct tls_peer peer = {
		.host = s->host,
		.addr = &s->addr,
		.level = s->policy.level,
		.dane = s->dane,
	};

	s->is_shaking = true;
	s->shaking_us = loop_now_us(s->loop);
	conn_start_tls(s->conn, s->tls_ctx, &peer);
}

/* All knowledge from before is void (RFC 3207 §4.2). */
void
session_secured(struct smtp_session *s)
{
	const struct tls_facts *facts = conn_tls(s->conn);
	char text[512];

	tell(s, true, TLS_FAULT_NONE, facts->cert == NULL ? TLS_CERT_BAD :
	    facts->cert->fault);
	s->begun_us += loop_now_us(s->loop) - s->shaking_us;	/* no hello */
	session_phase(s, PHASE_TLS, &s->shaking_us);
	s->is_shaking = false;
	s->has_tls = true;
	s->starttls = TAKEN;
	memset(&s->offer, 0, sizeof(s->offer));
	if (!s->policy.is_wrapper) {
		s->hello = UNSAID;
		s->no_ehlo = false;
	}
	free(s->tls_text);
	s->tls_text = xstrdup(tls_facts_text(facts, text,
	    sizeof(text)));
}

void
session_tls_failed(struct smtp_session *s, const char *why)
{
	enum tls_fault fault = TLS_FAULT_NONE;
	const char *text = NULL;
	char peer[512];
	struct reply r;

	if (why == NULL)
		fault = conn_tls_fault(s->conn, &text);
	tell(s, true, fault == TLS_FAULT_CERT ? fault : TLS_FAULT_HANDSHAKE,
	    conn_tls_cert_fault(s->conn));
	if (fault == TLS_FAULT_CERT)
		reply_cause(&r, session_arena(s), STAGE_TLS,
		    CAUSE_TLS_UNVERIFIED, text);
	else
		reply_cause(&r, session_arena(s), STAGE_TLS,
		    CAUSE_TLS_HANDSHAKE,
		    smtp_session_peer(s, peer, sizeof(peer)),
		    why != NULL ? why : text != NULL ? text :
		    "connection lost");
	session_fail(s, &r, FAIL_TLS);
}

/* Bytes in clear behind the answer to STARTTLS: somebody between us and the
 * server wants them taken for the server's words (CVE-2011-0411 and kin). */
void
session_injected(struct smtp_session *s)
{
	char peer[512];
	struct reply r;

	reply_cause(&r, session_arena(s), STAGE_TLS, CAUSE_TLS_INJECTION,
	    smtp_session_peer(s, peer, sizeof(peer)));
	session_fail(s, &r, FAIL_SESSION);
}

/* ---- AUTH (RFC 4954) ---- */

void
session_note_auth(struct smtp_session *s, const struct raw_reply *raw)
{
	char text[OFFER_BYTES];

	free(s->auth_offer);
	s->auth_offer = s->auth != NULL &&
	    ehlo_auth(raw, text, sizeof(text)) ? xstrdup(text) : NULL;
}

static void
describe_channel(struct smtp_session *s, struct sasl_channel *ch,
    uint8_t binding[TLS_BINDING_MAX])
{
	const char *name;
	int n = s->has_tls ? conn_tls_binding(s->conn, binding, &name) : -1;

	memset(ch, 0, sizeof(*ch));
	ch->is_protected = s->has_tls || addr_family(&s->addr) == AF_UNIX;
	ch->host = s->host;
	ch->port = addr_port(&s->addr);
	if (n <= 0)
		return;
	ch->binding = strcmp(name, "tls-exporter") == 0 ?
	    SASL_BIND_TLS_EXPORTER : SASL_BIND_TLS_SERVER_END_POINT;
	ch->binding_data = binding;
	ch->binding_len = (size_t)n;
}

static void
cannot_login(struct smtp_session *s, enum cause cause, const char *why)
{
	char peer[512];
	struct reply r;

	reply_cause(&r, session_arena(s), STAGE_AUTH, cause,
	    smtp_session_peer(s, peer, sizeof(peer)), why);
	s->login = REFUSED;
	session_decline(s, &r);
}

/* Since this connection was asked for, another one was refused. */
static bool
is_refused(struct smtp_session *s)
{
	int64_t now = loop_now_ms(s->loop);
	const struct memo_row *row = auth_refusal(s->auth, &s->addr, now);
	char peer[512];
	struct reply r;

	if (row == NULL)
		return false;
	auth_refusal_answer(s->auth, session_arena(s),
	    smtp_session_peer(s, peer, sizeof(peer)), row, now, &r);
	s->login = REFUSED;
	session_decline(s, &r);
	return true;
}

void
session_login(struct smtp_session *s)
{
	struct auth *auth = s->auth;
	uint8_t binding[TLS_BINDING_MAX];
	char error[SASL_ERROR_MAX];
	struct sasl_channel ch;
	struct sasl_choice choice;
	enum sasl_choosing how;
	const char *line;

	if (is_refused(s))
		return;
	describe_channel(s, &ch, binding);
	how = sasl_choose(s->auth_offer, &auth->conf->mechanisms,
	    &auth->credentials, &ch, &choice, error, sizeof(error));
	if (how == SASL_NOT_OFFERED) {
		cannot_login(s, CAUSE_AUTH_NOT_OFFERED, NULL);
		return;
	}
	if (how != SASL_CHOSEN || credentials_refresh(&auth->credentials,
	    error, sizeof(error)) == -1 ||
	    (s->sasl = sasl_new(&choice, &auth->credentials, &ch,
	    &auth->cache, error, sizeof(error))) == NULL) {
		cannot_login(s, CAUSE_AUTH_UNUSABLE, error);
		return;
	}
	auth_begins(auth, &s->addr, loop_now_ms(s->loop), &s->try);
	s->login = SAID;
	line = sasl_start(s->sasl);
	session_say_secret(s, line, sasl_trace(s->sasl));
	session_expect(s, AUTH, 0);
}

/* why: what is known on our side, instead of the server's words. */
static void
login_failed(struct smtp_session *s, const struct raw_reply *raw,
    const char *why)
{
	char peer[512], text[REPLY_TEXT_MAX];
	size_t n = raw_reply_text(raw, text, sizeof(text) - 1);
	unsigned code = why == NULL ? raw->code : 0;
	struct reply r;

	text[n] = '\0';
	s->login = REFUSED;
	if (why == NULL)
		why = text;
	if (raw->code / 100 == 5 && !sasl_is_cancelled(s->sasl))
		auth_refused(s->auth, &s->addr, loop_now_ms(s->loop),
		    &s->try, code, why);
	else
		auth_undecided(s->auth, &s->addr, &s->try);
	auth_answer(s->auth, session_arena(s), smtp_session_peer(s, peer,
	    sizeof(peer)), code, why, &r);
	session_decline(s, &r);
}

void
session_login_reply(struct smtp_session *s, const struct raw_reply *raw)
{
	static char text[SMTP_CHALLENGE_MAX + 1];
	const char *line, *why = NULL;

	if (raw->code == 334) {
		line = sasl_continue(s->sasl, text,
		    raw_reply_text(raw, text, sizeof(text)));
		session_say_secret(s, line, sasl_trace(s->sasl));
		session_expect(s, AUTH, 0);
		return;
	}
	if (raw->code / 100 == 2 && sasl_is_complete(s->sasl))
		s->login = TAKEN;
	else if (raw->code / 100 == 2 || sasl_error(s->sasl) != NULL)
		why = sasl_error(s->sasl) != NULL ? sasl_error(s->sasl) :
		    "the exchange is not complete";
	if (s->login == TAKEN)
		auth_taken(s->auth, &s->addr);
	else
		login_failed(s, raw, why);
	sasl_free(s->sasl);
	s->sasl = NULL;
}
