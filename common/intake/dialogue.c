/*
 * dialogue.c - what an LMTP client may say and what it is told, in the order of
 * RFC 5321 §4.1 (RFC 2033, 2034, 2920, 3030).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "intake/replies.h"
#include "intake/session_inner.h"
#include "intake/upstream.h"

/* A command that is wrong, or not at its place. */
void
dialogue_fault(struct session *s, const char *say)
{
	session_say(s, say);
	s->intake->stats.protocol_errors++;
	if (++s->nerrors >= s->intake->conf->max_errors)
		session_close(s, SAY_TOO_MANY_FAULTS);
}

/* One that leads to no message. */
static void
junk(struct session *s)
{
	if (++s->njunk > s->intake->conf->max_junk_commands)
		session_close(s, SAY_TOO_MUCH_JUNK);
}

static void
set_facts(char *to[CLIENT_FACTS], const char *const from[CLIENT_FACTS])
{
	int i;

	for (i = 0; i < CLIENT_FACTS; i++)
		if (from[i] != NULL) {
			free(to[i]);
			to[i] = xstrdup(from[i]);
		}
}

static void
forget_forwarded(struct session *s)
{
	int i;

	for (i = 0; s->is_forwarded && i < CLIENT_FACTS; i++) {
		free(s->forwarded[i]);
		s->forwarded[i] = NULL;
	}
	s->is_forwarded = false;
}

/* The end of a message, and whatever else leaves none begun. */
static void
reset(struct session *s)
{
	transaction_free(s->tx);
	s->tx = NULL;
	s->in_chunks = s->chunk_lost = false;
	forget_forwarded(s);
}

/* ---- greeting and LHLO ---- */

void
dialogue_greet(struct session *s, const char *code)
{
	struct intake *in = s->intake;

	snprintf(in->said, sizeof(in->said), "%s %s%s%s", code, in->hostname,
	    *in->conf->banner == '\0' ? "" : " ", in->conf->banner);
	session_say(s, in->said);
}

static void
lhlo(struct session *s, const struct lmtp_command *c)
{
	static const struct {
		unsigned	 bit;
		const char	*line;
	} rows[] = {
		{ KEYWORD_PIPELINING, "250-PIPELINING" },	/* RFC 2920 */
		{ KEYWORD_8BITMIME, "250-8BITMIME" },		/* RFC 6152 */
		{ KEYWORD_CHUNKING, "250-CHUNKING" },		/* RFC 3030 */
		{ KEYWORD_BINARYMIME, "250-BINARYMIME" },
		{ KEYWORD_SMTPUTF8, "250-SMTPUTF8" },		/* RFC 6531 */
		{ KEYWORD_DSN, "250-DSN" },			/* RFC 3461 */
		{ KEYWORD_ENHANCEDSTATUSCODES, "250-ENHANCEDSTATUSCODES" },
	};
	struct intake *in = s->intake;
	size_t i;

	reset(s);
	free(s->helo);
	s->helo = xstrdup(c->arg);
	snprintf(in->said, sizeof(in->said), "250-%s", in->hostname);
	session_say(s, in->said);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((in->keywords & rows[i].bit) != 0)
			session_say(s, rows[i].line);
	if (s->is_trusted) {
		session_say(s, "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN "
		    "DESTADDR DESTPORT");
		session_say(s, "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT "
		    "SOURCE");
	}
	/* RFC 1870; 0 says that there is no fixed limit. */
	if ((in->keywords & KEYWORD_SIZE) != 0)
		snprintf(in->said, sizeof(in->said), "250 SIZE %lld",
		    (long long)in->conf->message_size_limit);
	else
		snprintf(in->said, sizeof(in->said), "250 HELP");
	session_say(s, in->said);
	junk(s);
}

/* XCLIENT: the client stands for another, and all begins anew; XFORWARD: the
 * next message came from another, of whom nothing else is known. */
static void
client_facts(struct session *s, const struct lmtp_command *c)
{
	if (!s->is_trusted) {
		dialogue_fault(s, SAY_NOT_TRUSTED);
		return;
	}
	if (s->tx != NULL) {
		dialogue_fault(s, SAY_NOT_IN_MAIL);
		return;
	}
	if (c->verb == VERB_XCLIENT) {
		reset(s);
		set_facts(s->facts, c->client);
		free(s->helo);
		s->helo = NULL;
		dialogue_greet(s, "220");
	} else {
		s->is_forwarded = true;
		set_facts(s->forwarded, c->client);
		session_say(s, SAY_OK);
	}
	junk(s);
}

/* ---- MAIL and RCPT ---- */

static void
transaction_reply(void *arg, const char *text, size_t n)
{
	struct session *s = arg;

	if (buf_add(&s->out, text, n) == -1)
		session_close(s, NULL);		/* else replies were missing */
	else
		loop_later(s->intake->loop, &s->flush_later);
}

static void
transaction_outcome(void *arg, const struct answer *a)
{
	struct session *s = arg;
	struct intake_stats *st = &s->intake->stats;

	switch (a->reply.cls) {
	case REPLY_DELIVERED:
		s->delivered++;
		st->rcpts_delivered++;
		break;
	case REPLY_TRANSIENT:
		s->transient++;
		st->rcpts_transient++;
		break;
	default:
		s->permanent++;
		st->rcpts_permanent++;
		break;
	}
}

static void
transaction_over(void *arg)
{
	struct session *s = arg;

	s->tx = NULL;
	reset(s);
	session_wait(s, PHASE_COMMAND);
	loop_later(s->intake->loop, &s->go_on_later);
}

static const struct transaction_ops transaction_ops = {
	.reply = transaction_reply,
	.outcome = transaction_outcome,
	.over = transaction_over,
};

/* A fact of XFORWARD; without one, of XCLIENT, else what is known by itself.
 * NULL: none, or said to be unavailable. */
static const char *
fact(const struct session *s, enum client_fact which, const char *known)
{
	const char *v = s->is_forwarded ? s->forwarded[which] :
	    s->facts[which] != NULL ? s->facts[which] : known;

	return v == NULL || *v == '\0' ? NULL : v;
}

static void
mail(struct session *s, const struct lmtp_command *c)
{
	struct intake *in = s->intake;
	const char *ident = fact(s, CLIENT_IDENT, s->name), *say = NULL;
	const struct envelope env = {
		.id = ident == NULL ? s->name : ident,
		.client_ip = fact(s, CLIENT_ADDR, s->ip),
		.client_host = fact(s, CLIENT_NAME, NULL),
		.client_helo = fact(s, CLIENT_HELO, s->helo),
		.client_proto = fact(s, CLIENT_PROTO, "LMTP"),
		.client_auth = fact(s, CLIENT_LOGIN, NULL),
	};

	if (s->helo == NULL)
		dialogue_fault(s, SAY_LHLO_FIRST);
	else if (s->tx != NULL)
		dialogue_fault(s, SAY_MAIL_AGAIN);
	else if (in->is_overdue)
		session_close(s, SAY_STOPPING);
	else if (!upstream_is_up(in->upstream))
		session_say(s, SAY_NO_MASTER);
	else if (in->conf->message_size_limit > 0 &&
	    c->size > (uint64_t)in->conf->message_size_limit)
		session_say(s, SAY_TOO_LARGE);
	else {
		/* Process, session, message: unlike any other's of a day. */
		snprintf(s->name, sizeof(s->name), "L%x.%llx.%llx",
		    (unsigned)getpid(), (unsigned long long)s->serial,
		    (unsigned long long)++s->nmails);
		s->tx = transaction_new(in, c, &env, &transaction_ops, s,
		    &say);
		session_say(s, s->tx != NULL ? SAY_SENDER_OK : say);
	}
}

static void
rcpt(struct session *s, const struct lmtp_command *c)
{
	const char *say;

	if (s->tx == NULL)
		dialogue_fault(s, SAY_MAIL_FIRST);
	else if (s->in_chunks)
		dialogue_fault(s, SAY_NOT_IN_CHUNKS);
	else {
		say = transaction_rcpt(s->tx, c);
		session_say(s, say);
		if (*say != '2') {
			s->refused++;
			s->intake->stats.rcpts_refused++;
		}
	}
}

/* ---- DATA and BDAT ---- */

/* The first bytes of a message are awaited. */
static void
begin_message(struct session *s, enum session_phase phase)
{
	session_wait(s, phase);
	s->message_ms = s->since_ms;
}

static void
data(struct session *s, bool has_more)
{
	if (s->tx == NULL)
		dialogue_fault(s, SAY_MAIL_FIRST);
	else if (s->in_chunks)
		dialogue_fault(s, SAY_NOT_IN_CHUNKS);
	else if (transaction_nrcpt(s->tx) == 0)
		dialogue_fault(s, SAY_NO_RCPT);
	else if (transaction_is_binary(s->tx))
		dialogue_fault(s, SAY_NEED_BDAT);
	else if (has_more)
		/* DATA ends a group (RFC 2920 §3.1): whoever talks on does not
		 * know what we will take for commands and what for data. */
		session_close(s, SAY_OUT_OF_STEP);
	else {
		session_say(s, SAY_GO_AHEAD);
		lmtp_data_init(&s->data);
		begin_message(s, PHASE_DATA);
	}
}

static void
bdat(struct session *s, const struct lmtp_command *c)
{
	uint64_t max = (uint64_t)s->intake->conf->message_size_limit;

	s->chunk_fault = NULL;
	if (s->tx == NULL)
		s->chunk_fault = SAY_MAIL_FIRST;
	else if (transaction_nrcpt(s->tx) == 0)
		s->chunk_fault = SAY_NO_RCPT;
	else if (s->chunk_lost)
		s->chunk_fault = SAY_CHUNK_LOST;
	else if (max != 0 && (c->chunk > max ||
	    transaction_spool(s->tx)->len > max - c->chunk))
		s->chunk_fault = SAY_TOO_LARGE;
	s->chunk_left = c->chunk;
	s->is_last_chunk = c->is_last;
	/* Its bytes come whatever we say of them (RFC 3030 §2). */
	if (s->in_chunks)
		session_wait(s, PHASE_CHUNK);
	else
		begin_message(s, PHASE_CHUNK);
	s->in_chunks = s->in_chunks || s->chunk_fault == NULL;
	if (s->chunk_left == 0)
		dialogue_chunk_end(s);
}

/* The last BDAT is answered once for each recipient, also where it is refused:
 * the client counts (RFC 2033 §4.2). */
static void
refuse_chunk(struct session *s, const char *fault)
{
	uint32_t n = s->tx != NULL && s->is_last_chunk ?
	    transaction_nrcpt(s->tx) : 0, i;

	s->permanent += n;
	s->intake->stats.rcpts_permanent += n;
	s->chunk_lost = s->tx != NULL;
	if (s->is_last_chunk)
		reset(s);
	for (i = 1; i < n; i++)
		session_say(s, fault);
	if (strcmp(fault, SAY_TOO_LARGE) == 0)
		session_say(s, fault);
	else
		dialogue_fault(s, fault);
}

void
dialogue_chunk_end(struct session *s)
{
	const char *fault = s->chunk_fault;

	if (fault == NULL && s->is_last_chunk) {
		session_message_end(s);
		return;
	}
	session_wait(s, PHASE_COMMAND);
	if (fault == NULL)
		session_say(s, SAY_OK);
	else
		refuse_chunk(s, fault);
}

/* ---- all of them ---- */

static void
run(struct session *s, const struct lmtp_command *c, bool has_more)
{
	switch (c->verb) {
	case VERB_LHLO:
		lhlo(s, c);
		break;
	case VERB_XCLIENT:
	case VERB_XFORWARD:
		client_facts(s, c);
		break;
	case VERB_MAIL:
		mail(s, c);
		break;
	case VERB_RCPT:
		rcpt(s, c);
		break;
	case VERB_DATA:
		data(s, has_more);
		break;
	case VERB_BDAT:
		bdat(s, c);
		break;
	case VERB_RSET:
		reset(s);
		session_say(s, SAY_OK);
		junk(s);
		break;
	case VERB_QUIT:
		session_close(s, SAY_BYE);
		break;
	case VERB_VRFY:
		session_say(s, SAY_CANNOT_VRFY);
		junk(s);
		break;
	case VERB_HELP:
		session_say(s, SAY_HELP);
		junk(s);
		break;
	default:
		session_say(s, SAY_OK);		/* NOOP */
		junk(s);
		break;
	}
}

void
dialogue_line(struct session *s, const char *line, size_t n, bool has_more)
{
	char *copy = s->intake->line;
	struct lmtp_command c;
	const char *fault;

	memcpy(copy, line, n);
	copy[n] = '\0';
	fault = lmtp_command_parse(copy, n, &c);
	if (fault == NULL)
		run(s, &c, has_more);
	else if (c.verb == VERB_BDAT)
		/* How much of what comes is data nobody knows. */
		session_close(s, fault);
	else
		dialogue_fault(s, fault);
}
