/* result.c - exit status and output of a program as a reply. */
#include "pipe/result.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"

/* As Postfix reads them. */
static const struct result_row general_rows[] = {
	{ EX_USAGE,	{ 5, 3, 0 }, "command line usage error" },
	{ EX_DATAERR,	{ 5, 6, 0 }, "data format error" },
	{ EX_NOINPUT,	{ 5, 3, 0 }, "cannot open input" },
	{ EX_NOUSER,	{ 5, 1, 1 }, "user unknown" },
	{ EX_NOHOST,	{ 5, 1, 2 }, "host name unknown" },
	{ EX_UNAVAILABLE, { 5, 3, 0 }, "service unavailable" },
	{ EX_SOFTWARE,	{ 5, 3, 0 }, "internal software error" },
	{ EX_OSERR,	{ 4, 3, 0 }, "system resource problem" },
	{ EX_OSFILE,	{ 5, 3, 0 }, "critical system file missing" },
	{ EX_CANTCREAT,	{ 5, 2, 0 }, "cannot create user output file" },
	{ EX_IOERR,	{ 5, 3, 0 }, "input or output error" },
	{ EX_TEMPFAIL,	{ 4, 3, 0 }, "temporary failure" },
	{ EX_PROTOCOL,	{ 5, 5, 0 }, "remote error in protocol" },
	{ EX_NOPERM,	{ 5, 7, 0 }, "permission denied" },
	{ EX_CONFIG,	{ 5, 3, 5 }, "configuration error" },
	{ -1,		{ 4, 0, 0 }, "Delivery failed" }
};

/* What is amiss on our side is no fault of the message. */
const struct result_row result_maildrop_rows[] = {
	{ EX_USAGE,	{ 4, 3, 5 }, "maildrop was called in a wrong way" },
	{ EX_SOFTWARE,	{ 4, 3, 0 }, "maildrop failed" },
	{ EX_OSFILE,	{ 4, 3, 5 }, "a system file of maildrop is missing" },
	{ EX_IOERR,	{ 4, 3, 0 }, "input or output error" },
	{ EX_CONFIG,	{ 4, 3, 5 }, "maildrop's configuration is wrong" },
	{ -1,		{ 5, 0, 0 }, "Delivery failed" }
};

/* Its own statuses for want of memory, of its log and the like lie above
 * those of sysexits(3). */
const struct result_row result_dovecot_rows[] = {
	{ EX_USAGE,	{ 4, 3, 5 }, "dovecot-lda was called in a wrong way" },
	{ EX_SOFTWARE,	{ 4, 3, 0 }, "LDA delivery failed" },
	{ EX_OSFILE,	{ 4, 3, 5 }, "a file of dovecot-lda is missing" },
	{ EX_IOERR,	{ 4, 3, 0 }, "input or output error" },
	{ EX_CONFIG,	{ 4, 3, 5 }, "dovecot-lda's configuration is wrong" },
	{ -1,		{ 4, 3, 0 }, "LDA delivery failed" }
};

struct text {
	const char	*p;
	size_t		 n;
};

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
trim(struct text *t)
{
	while (t->n > 0 && is_blank(t->p[t->n - 1]))
		t->n--;
}

/* ---- what it printed ---- */

static struct text
one_stream(const struct result_rules *rules, const char *p, size_t n)
{
	struct text t = { p, n };
	const char *lf;

	trim(&t);
	if (rules->form == RESULT_LAST_LINE && t.n > 0 &&
	    (lf = memrchr(t.p, '\n', t.n)) != NULL) {
		t.n -= (size_t)(lf + 1 - t.p);
		t.p = lf + 1;
	}
	return t;
}

/* "maildrop: ", also with the path that it was called by. */
static size_t
name_len(const struct text *t, const char *name)
{
	size_t n = strlen(name), at;
	const char *end = memmem(t->p, t->n, ": ", 2);

	if (end == NULL)
		return 0;
	at = (size_t)(end - t->p);
	if (at < n || memcmp(end - n, name, n) != 0 ||
	    (at > n && end[-(ssize_t)n - 1] != '/'))
		return 0;
	return at + 2;
}

static struct text
output(const struct result_rules *rules, const struct result *r)
{
	struct text t = one_stream(rules, r->out, r->out_len);
	const char *found;
	size_t n;

	if (t.n == 0)
		t = one_stream(rules, r->err, r->err_len);
	if (t.n > 0 && rules->name != NULL) {
		n = name_len(&t, rules->name);
		t.p += n;
		t.n -= n;
	}
	if (t.n > 0 && rules->marker != NULL && (found = memmem(t.p, t.n,
	    rules->marker, strlen(rules->marker))) != NULL) {
		found += strlen(rules->marker);
		t.n -= (size_t)(found - t.p);
		t.p = found;
	}
	return t;
}

/* ---- codes ---- */

/* An enhanced code of a failure that stands alone at the start; its length. */
static size_t
failure_dsn(const struct text *t, bool needs_blank, uint8_t dsn[3])
{
	size_t n = dsn_parse(t->p, t->n, dsn);

	if (n == 0 || dsn[0] == 2 || (n == t->n ? needs_blank :
	    !is_blank(t->p[n])))
		return 0;
	return n;
}

/* 4yz or 5yz that stands alone at the start; 0 if there is none. */
static unsigned
failure_code(const struct text *t)
{
	unsigned code;

	if (t->n < 3 || (t->p[0] != '4' && t->p[0] != '5') ||
	    t->p[1] < '0' || t->p[1] > '5' || t->p[2] < '0' || t->p[2] > '9' ||
	    (t->n > 3 && !is_blank(t->p[3])))
		return 0;
	code = (unsigned)(t->p[0] - '0') * 100 + (unsigned)(t->p[1] - '0') *
	    10 + (unsigned)(t->p[2] - '0');
	return code;
}

static void
skip(struct text *t, size_t n)
{
	t->p += n;
	t->n -= n;
	while (t->n > 0 && is_blank(*t->p)) {
		t->p++;
		t->n--;
	}
}

/* The SMTP code that goes with an enhanced one. */
static unsigned
code_of(const uint8_t dsn[3])
{
	static const struct {
		uint8_t		 dsn[3];
		uint16_t	 code;
	} codes[] = {
		{ { 5, 2, 2 }, 552 }, { { 5, 3, 4 }, 552 },
		{ { 5, 2, 3 }, 552 }, { { 5, 1, 3 }, 553 },
		{ { 5, 6, 0 }, 554 }, { { 5, 4, 6 }, 554 }
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (memcmp(codes[i].dsn, dsn, 3) == 0)
			return codes[i].code;
	return dsn[0] == 5 ? 550 : 450;
}

/* ---- the reply ---- */

static void
set_reply(struct reply *r, struct arena *arena, unsigned code,
    const uint8_t dsn[3], const struct text *t)
{
	char buf[2 * RESULT_OUTPUT_MAX + 256];
	size_t n = t->n < sizeof(buf) - 16 ? t->n : sizeof(buf) - 16;
	int at = snprintf(buf, sizeof(buf), "%u.%u.%u ", code / 100, dsn[1],
	    dsn[2]);

	memcpy(buf + at, t->p, n);
	reply_from_server(r, arena, code, buf, (size_t)at + n, STAGE_RUN);
}

static const struct result_row *
find_row(const struct result_rules *rules, int status)
{
	const struct result_row *row, *other = NULL;

	if (rules->rows != NULL) {
		for (row = rules->rows; row->status != -1; row++)
			if (row->status == status)
				return row;
		other = row;
	}
	for (row = general_rows; row->status != -1; row++)
		if (row->status == status)
			return row;
	return other != NULL ? other : row;
}

/* By the status alone; the text is what was printed, or the row's. */
static void
reply_by_status(struct reply *r, const struct result_rules *rules,
    const struct result *res, const char *program, struct text t,
    struct arena *arena)
{
	static const uint8_t soft[3] = { 4, 0, 0 };
	const struct result_row *row;
	const char *doubt = res->has_all ? "; message may have been delivered" :
	    "", *name;
	int sig;

	if (WIFSIGNALED(res->wait_status)) {
		sig = WTERMSIG(res->wait_status);
		name = sigdescr_np(sig);
		reply_cause(r, arena, STAGE_RUN, CAUSE_PROGRAM_SIGNAL, program,
		    (unsigned long long)sig, name == NULL ? "unknown" : name,
		    doubt, t.n == 0 ? "" : arena_printf(arena, ": %.*s",
		    (int)t.n, t.p));
		return;
	}
	if (rules->is_strict) {
		if (t.n == 0)
			t = (struct text){ "Delivery failed", 15 };
		set_reply(r, arena, 450, soft, &t);
		return;
	}
	row = find_row(rules, WEXITSTATUS(res->wait_status));
	if (t.n == 0)
		t = (struct text){ row->text, strlen(row->text) };
	set_reply(r, arena, code_of(row->dsn), row->dsn, &t);
	if (t.p == row->text)
		r->by = BY_AGENT;
}

/*
 * By what the text begins with: a code, where a pattern has found it, and an
 * enhanced code.  False if there is none.
 */
static bool
reply_by_text(struct reply *r, const struct result_rules *rules, struct text t,
    unsigned code, const struct text *esc, struct arena *arena)
{
	bool is_strict = rules->is_strict && esc == NULL;
	uint8_t dsn[3];
	size_t n = 0;

	if (esc != NULL && esc->p != NULL)
		n = failure_dsn(esc, false, dsn) == esc->n ? esc->n : 0;
	if (n == 0 && (n = failure_dsn(&t, is_strict, dsn)) > 0)
		skip(&t, n);
	if (n == 0 && code == 0)
		return false;
	if (n == 0 || (code != 0 && dsn[0] != code / 100)) {
		dsn[0] = (uint8_t)(code / 100);
		dsn[1] = dsn[2] = 0;
	}
	if (code == 0)
		code = is_strict ? (dsn[0] == 5 ? 550 : 450) : code_of(dsn);
	set_reply(r, arena, code, dsn, &t);
	return true;
}

static bool
reply_by_pattern(struct reply *r, const struct result_rules *rules,
    const struct result *res, const char *program, struct arena *arena)
{
	struct pattern_match m;
	struct text t, code_text, esc, found;
	unsigned code;

	if (pattern_search(rules->pattern, res->out, res->out_len, &m))
		found = (struct text){ res->out, res->out_len };
	else if (pattern_search(rules->pattern, res->err, res->err_len, &m))
		found = (struct text){ res->err, res->err_len };
	else
		return false;
	trim(&found);
	t = m.message == NULL ? found :
	    (struct text){ m.message, m.message_len };
	trim(&t);
	skip(&t, 0);
	code_text = (struct text){ m.code, m.code_len };
	esc = (struct text){ m.esc, m.esc_len };
	code = m.code == NULL ? 0 : failure_code(&code_text);
	if (code == 0 && (code = failure_code(&t)) != 0)
		skip(&t, 3);
	if (!reply_by_text(r, rules, t, code, &esc, arena))
		reply_by_status(r, rules, res, program, t, arena);
	return true;
}

void
result_reply(struct reply *r, const struct result_rules *rules,
    const struct result *res, const char *program, struct arena *arena)
{
	struct text t;

	if (WIFEXITED(res->wait_status) && WEXITSTATUS(res->wait_status) == 0) {
		*r = (struct reply){ .code = 250, .cls = REPLY_DELIVERED,
		    .by = BY_REMOTE, .dsn = { 2, 0, 0 }, .stage = STAGE_RUN,
		    .text = arena_printf(arena, "delivered to command: %s",
		    program) };
		return;
	}
	if (rules->pattern != NULL &&
	    reply_by_pattern(r, rules, res, program, arena))
		return;
	t = output(rules, res);
	if (!reply_by_text(r, rules, t, 0, NULL, arena))
		reply_by_status(r, rules, res, program, t, arena);
}
