/*
 * dialogue_model.h - what a server understands of an SMTP or LMTP client, and
 * what its own replies have promised: the judge of fuzz_dialogue.c.  Written
 * anew from the RFCs, with nothing of the client but the parser of replies.
 *
 * Replies are matched with commands in order.  Where the client must give the
 * connection up, the model is dead: nothing is promised after that.
 */
#ifndef DIALOGUE_MODEL_H
#define DIALOGUE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/reply_parser.h"

#define MODEL_RCPTS	8		/* different addresses */
#define MODEL_MAILS	2		/* senders s0, s1 */
#define MODEL_BODY_MAX	(512 * 1024)

enum model_verb { M_GREETING, M_HELLO, M_STARTTLS, M_AUTH, M_MAIL, M_RCPT,
    M_DATA, M_DOT, M_RSET, M_QUIT };

/* What is known of a message over all connections. */
struct model_mail {
	bool	 is_doubtful[MODEL_RCPTS];	/* the asker was told */
	unsigned ntaken[MODEL_RCPTS];	/* promised by a server */
	const char *wire;		/* what must arrive; NULL: not checked */
	size_t	 wire_len;
};

struct model {
	bool	 is_lmtp;
	bool	 must_hide;		/* TLS is required */
	bool	 is_tls;
	bool	 is_dead;
	struct model_mail *mails;
	const char *const *rcpts;	/* MODEL_RCPTS addresses */

	/* the client's side */
	char	 line[8192];
	size_t	 nline;
	bool	 in_body, in_bdat;
	unsigned nresponses;		/* owed in AUTH */
	uint64_t bdat_left;
	char	*body;
	size_t	 nbody, body_cap;
	int	 mail;			/* of the transaction; -1: none */

	/* the server's side */
	struct { uint8_t verb; int rcpt; } awaited[64];
	unsigned nawaited;
	bool	 has_pipelining, mail_ok;
	bool	 is_accepted[MODEL_RCPTS];
	struct reply_parser parser;
	char	*in;
	size_t	 nin;
	bool	 wants_hello;		/* EHLO or LHLO has come */
};

static void
model_check(bool holds)
{
	if (!holds)
		abort();
}

static void
model_expect(struct model *m, enum model_verb verb, int rcpt)
{
	/* RFC 2920 §3.1: in groups only where that is offered. */
	model_check(m->nawaited == 0 || m->has_pipelining ||
	    (m->is_lmtp && verb == M_DOT));
	model_check(m->nawaited < sizeof(m->awaited) / sizeof(m->awaited[0]));
	m->awaited[m->nawaited].verb = (uint8_t)verb;
	m->awaited[m->nawaited++].rcpt = rcpt;
}

/* ---- what the client says ---- */

/* All of the message is here: the asker knows that it may be delivered, and
 * it is what was to be sent. */
static void
model_end_of_data(struct model *m)
{
	const struct model_mail *mail;
	bool any = false;

	model_check(m->mail != -1);
	mail = &m->mails[m->mail];
	for (int i = 0; i < MODEL_RCPTS; i++)
		if (m->is_accepted[i] && m->mail_ok) {
			model_check(mail->is_doubtful[i]);
			any = true;
		}
	for (unsigned i = 0; i < m->nawaited; i++)
		if (m->awaited[i].verb == M_RCPT)
			model_check(mail->is_doubtful[m->awaited[i].rcpt]);
	if (m->nbody > 0 && mail->wire != NULL)
		model_check(m->nbody == mail->wire_len &&
		    memcmp(m->body, mail->wire, m->nbody) == 0);
	m->nbody = 0;
	if (m->is_lmtp && any) {		/* RFC 2033 §4.2 */
		for (int i = 0; i < MODEL_RCPTS; i++)
			if (m->is_accepted[i])
				model_expect(m, M_DOT, i);
	} else
		model_expect(m, M_DOT, -1);
}

static bool
model_is(const char *line, const char *verb)
{
	return strncmp(line, verb, strlen(verb)) == 0;
}

static void
model_mail(struct model *m, const char *line)
{
	int n;

	model_check(sscanf(line, "MAIL FROM:<s%1d@x.test>", &n) == 1);
	model_check(n >= 0 && n < MODEL_MAILS);
	m->mail = n;
	m->mail_ok = false;
	memset(m->is_accepted, 0, sizeof(m->is_accepted));
	model_expect(m, M_MAIL, -1);
}

static void
model_rcpt(struct model *m, const char *line)
{
	size_t n;

	model_check(m->mail != -1);
	for (int i = 0; i < MODEL_RCPTS; i++) {
		n = strlen(m->rcpts[i]);
		if (strncmp(line + 9, m->rcpts[i], n) == 0 &&
		    line[9 + n] == '>') {
			model_expect(m, M_RCPT, i);
			return;
		}
	}
	abort();
}

static void
model_command(struct model *m, const char *line)
{
	unsigned long long n;

	if (m->nresponses > 0) {	/* RFC 4954 §4 */
		m->nresponses--;
		return;
	}
	if (m->must_hide && !m->is_tls)
		model_check(model_is(line, "EHLO ") ||
		    model_is(line, "HELO ") || model_is(line, "LHLO ") ||
		    strcmp(line, "STARTTLS") == 0 ||
		    strcmp(line, "QUIT") == 0);
	if (model_is(line, m->is_lmtp ? "LHLO " : "EHLO ") ||
	    (!m->is_lmtp && model_is(line, "HELO "))) {
		m->has_pipelining = false;
		m->wants_hello = *line != 'H';
		model_expect(m, M_HELLO, -1);
	} else if (strcmp(line, "STARTTLS") == 0)
		model_expect(m, M_STARTTLS, -1);
	else if (model_is(line, "AUTH "))
		model_expect(m, M_AUTH, -1);
	else if (model_is(line, "MAIL FROM:<"))
		model_mail(m, line);
	else if (model_is(line, "RCPT TO:<"))
		model_rcpt(m, line);
	else if (strcmp(line, "DATA") == 0)
		model_expect(m, M_DATA, -1);
	else if (sscanf(line, "BDAT %llu LAST", &n) == 1) {
		model_check(n <= MODEL_BODY_MAX);
		m->in_bdat = true;
		m->bdat_left = n;
	} else if (strcmp(line, "RSET") == 0)
		model_expect(m, M_RSET, -1);
	else {
		model_check(strcmp(line, "QUIT") == 0);
		model_expect(m, M_QUIT, -1);
	}
}

static void
model_body_add(struct model *m, const char *p, size_t n)
{
	model_check(m->nbody + n <= MODEL_BODY_MAX);
	while (m->nbody + n > m->body_cap) {
		m->body_cap = m->body_cap == 0 ? 1024 : 2 * m->body_cap;
		m->body = realloc(m->body, m->body_cap);
	}
	memcpy(m->body + m->nbody, p, n);
	m->nbody += n;
}

/* A line of the message after DATA, its end taken away. */
static void
model_body_line(struct model *m)
{
	size_t dot = m->nline > 0 && m->line[0] == '.';

	if (dot && m->nline == 1) {
		m->in_body = false;
		model_end_of_data(m);
		return;
	}
	model_body_add(m, m->line + dot, m->nline - dot);
	model_body_add(m, "\r\n", 2);
}

static void
model_line(struct model *m)
{
	m->line[m->nline] = '\0';
	if (m->in_body)
		model_body_line(m);
	else {
		model_check(strlen(m->line) == m->nline);
		model_command(m, m->line);
	}
	m->nline = 0;
}

/* Bytes from the client, as they come. */
static void
model_said(struct model *m, const char *p, size_t n)
{
	size_t len;

	while (n > 0) {
		if (m->in_bdat) {
			len = n < m->bdat_left ? n : (size_t)m->bdat_left;
			model_body_add(m, p, len);
			m->bdat_left -= len;
		} else {
			len = 1;
			model_check(m->nline < sizeof(m->line) - 1);
			m->line[m->nline++] = *p;
			if (*p == '\n') {
				model_check(m->nline > 1 &&
				    m->line[m->nline - 2] == '\r');
				m->nline -= 2;
				model_line(m);
			}
		}
		if (m->in_bdat && m->bdat_left == 0) {
			m->in_bdat = false;
			model_end_of_data(m);
		}
		p += len;
		n -= len;
	}
}

/* ---- what the server says ---- */

static void
model_taken(struct model *m, int rcpt)
{
	if (m->mail_ok)
		for (int i = 0; i < MODEL_RCPTS; i++)
			if (m->is_accepted[i] && (rcpt == -1 || rcpt == i))
				m->mails[m->mail].ntaken[i]++;
}

static void
model_note_hello(struct model *m, const struct raw_reply *r)
{
	const char *line;
	size_t n;

	m->has_pipelining = false;
	for (unsigned i = 1; (line = raw_reply_line(r, i, &n)) != NULL; i++)
		if (n >= 10 && strncasecmp(line, "PIPELINING", 10) == 0)
			m->has_pipelining = true;
}

static void
model_reply(struct model *m, const struct raw_reply *r)
{
	bool ok = r->code / 100 == 2, refused = r->code >= 400;
	uint8_t verb;
	int rcpt;

	if (m->nawaited == 0) {
		m->is_dead = true;
		return;
	}
	verb = m->awaited[0].verb;
	rcpt = m->awaited[0].rcpt;
	memmove(m->awaited, m->awaited + 1,
	    --m->nawaited * sizeof(m->awaited[0]));
	if (r->code == 421 && verb != M_DOT && verb != M_QUIT)
		m->is_dead = true;
	else if (verb == M_AUTH && r->code == 334) {
		m->nresponses++;
		model_expect(m, M_AUTH, -1);
	} else if (verb == M_DATA) {
		m->in_body = r->code == 354;
		m->is_dead = r->code != 354 && !refused;
	} else if (verb != M_RSET && verb != M_QUIT && !ok && !refused)
		m->is_dead = true;
	else if (verb == M_HELLO && ok)
		model_note_hello(m, r);
	else if (verb == M_MAIL)
		m->mail_ok = ok;
	else if (verb == M_RCPT)
		m->is_accepted[rcpt] = ok;
	else if (verb == M_DOT && ok)
		model_taken(m, rcpt);
}

/* Bytes to the client, before it gets them. */
static void
model_heard(struct model *m, const char *p, size_t n)
{
	struct raw_reply r;
	enum parse_result result;
	size_t at = 0;

	m->in = realloc(m->in, m->nin + n);
	memcpy(m->in + m->nin, p, n);
	m->nin += n;
	while (!m->is_dead && at < m->nin && (result = reply_parse(&m->parser,
	    m->in + at, m->nin - at, &r)) != PARSE_MORE) {
		if (result == PARSE_BAD)
			m->is_dead = true;
		else {
			model_reply(m, &r);
			at += r.len;
		}
	}
	memmove(m->in, m->in + at, m->nin - at);
	m->nin -= at;
}

static void
model_secured(struct model *m)
{
	m->is_tls = true;
	m->has_pipelining = false;
}

static struct model *
model_new(void)
{
	struct model *m = calloc(1, sizeof(*m));

	m->mail = -1;
	model_expect(m, M_GREETING, -1);
	return m;
}

static void
model_free(struct model *m)
{
	free(m->body);
	free(m->in);
	free(m);
}

#endif
