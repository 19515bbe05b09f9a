/* test_reply.c - replies from rows and from servers. */
#include "mail/reply.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "test.h"

static struct arena *arena;

static void
is_reply(const struct reply *r, unsigned code, const char *dsn,
    enum reply_class cls, const char *text, const char *name)
{
	char got[32];

	snprintf(got, sizeof(got), "%u " DSN_FMT, r->code, DSN_ARG(r));
	is_int(r->code, code, "%s: code", name);
	is_str(strchr(got, ' ') + 1, dsn, "%s: enhanced code", name);
	is_int(r->cls, cls, "%s: class", name);
	is_str(r->text, text, "%s: text", name);
}

static void
test_dsn(void)
{
	static const struct {
		const char	*text;
		size_t		 taken;
		uint8_t		 dsn[3];
	} rows[] = {
		{ "5.1.1", 5, { 5, 1, 1 } },
		{ "2.0.0 ok", 5, { 2, 0, 0 } },
		{ "4.12.123", 8, { 4, 12, 123 } },
		{ "4.999.255", 9, { 4, 0, 255 } },
		{ "5.1.1x", 5, { 5, 1, 1 } },
		{ "5.1.1234", 0, { 9, 9, 9 } },
		{ "5.1234.1", 0, { 9, 9, 9 } },
		{ "3.1.1", 0, { 9, 9, 9 } },
		{ "55.1.1", 0, { 9, 9, 9 } },
		{ "5.1.", 0, { 9, 9, 9 } },
		{ "5.1", 0, { 9, 9, 9 } },
		{ "5..1", 0, { 9, 9, 9 } },
		{ "5", 0, { 9, 9, 9 } },
		{ "", 0, { 9, 9, 9 } },
		{ ".1.1", 0, { 9, 9, 9 } },
		{ " 5.1.1", 0, { 9, 9, 9 } },
		{ "-5.1.1", 0, { 9, 9, 9 } },
	};
	uint8_t	dsn[3];
	char	*exact;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].text);

		memset(dsn, 9, sizeof(dsn));
		exact = malloc(n + 1);	/* without the NUL: n counts */
		for (size_t k = 0; k < n; k++)
			exact[k + 1] = rows[i].text[k];
		is_int(dsn_parse(exact + 1, n, dsn), rows[i].taken,
		    "length of \"%s\"", rows[i].text);
		is_mem(dsn, 3, rows[i].dsn, 3, "numbers of \"%s\"",
		    rows[i].text);
		free(exact);
	}
}

static void
from(struct reply *r, unsigned code, const char *text)
{
	reply_from_server(r, arena, code, text, strlen(text), STAGE_RCPT);
}

static void
test_server(void)
{
	struct reply r;

	from(&r, 250, "2.1.5 ok");
	is_reply(&r, 250, "2.1.5", REPLY_DELIVERED, "ok", "a success");
	is_int(r.by, BY_REMOTE, "said by the server");
	is_int(r.stage, STAGE_RCPT, "at RCPT");
	from(&r, 550, "no such user");
	is_reply(&r, 550, "5.0.0", REPLY_PERMANENT, "no such user",
	    "without enhanced code");
	from(&r, 450, "4.2.1\tlater");
	is_reply(&r, 450, "4.2.1", REPLY_TRANSIENT, "later", "after a tab");
	from(&r, 550, "2.3.4 x");
	is_reply(&r, 550, "5.3.4", REPLY_PERMANENT, "x",
	    "the code decides the class");
	from(&r, 250, "");
	is_reply(&r, 250, "2.0.0", REPLY_DELIVERED, "", "250 alone");
	reply_from_server(&r, arena, 250, NULL, 0, STAGE_RCPT);
	is_reply(&r, 250, "2.0.0", REPLY_DELIVERED, "", "no text at all");
	from(&r, 550, "5.1.1");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "", "only enhanced code");
	from(&r, 550, "5.1.1  two");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, " two", "one blank taken");
	from(&r, 550, "5.1.1:x");
	is_reply(&r, 550, "5.0.0", REPLY_PERMANENT, "5.1.1:x",
	    "not followed by a blank");
	from(&r, 550, "no 5.1.1 x");
	is_reply(&r, 550, "5.0.0", REPLY_PERMANENT, "no 5.1.1 x",
	    "not at the start");
	from(&r, 354, "go ahead");
	is_reply(&r, 354, "4.0.0", REPLY_TRANSIENT, "go ahead",
	    "3yz is no success");
}

static void
test_lines(void)
{
	struct reply r;

	from(&r, 550, "5.1.1 a\n5.1.1 b\n5.1.1\n5.1.2 c\nd");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "a\nb\n\n5.1.2 c\nd",
	    "a repeated enhanced code");
	from(&r, 550, "5.1.1 a\r\n5.1.1 b\r\r\nc\rd\r");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "a\nb\nc\rd",
	    "CR before LF");
	from(&r, 550, "5.1.1\r\nx");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "\nx",
	    "enhanced code alone on a line");
	from(&r, 550, "a\n5.1.1 b");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "a\nb",
	    "an enhanced code in the last line only");
	from(&r, 550, "a\n5.1.1 b\n5.1.2 c\n5.1.1 d");
	is_reply(&r, 550, "5.1.1", REPLY_PERMANENT, "a\nb\n5.1.2 c\nd",
	    "the first line that has one decides");
	from(&r, 450, "a\n5.2.2 b");
	is_reply(&r, 450, "4.2.2", REPLY_TRANSIENT, "a\nb",
	    "the code decides the class there too");
	reply_from_server(&r, arena, 550, "a\0\xff b", 5, STAGE_RCPT);
	is_str(r.text, "a?\xff b", "NUL is shown, other bytes pass");
}

static void
test_ceiling(void)
{
	static const char	code[] = { '5', '.', '1', '.', '1', ' ' };
	static const char	face[] = { '\xf0', '\x9f', '\x98', '\x80' };
	static char		long_text[70000];
	struct reply		r;

	memset(long_text, 'x', sizeof(long_text) - 1);
	from(&r, 550, long_text);
	is_int(strlen(r.text), REPLY_TEXT_MAX, "text is cut");
	memcpy(long_text, code, sizeof(code));
	from(&r, 550, long_text);
	is_int(strlen(r.text), REPLY_TEXT_MAX, "after the enhanced code");
	memset(long_text, '\n', sizeof(long_text) - 1);
	from(&r, 550, long_text);
	is_int(strlen(r.text), REPLY_TEXT_MAX, "many empty lines are cut");

	for (int i = 0; i < 5; i++) {
		memset(long_text, 'x', sizeof(long_text) - 1);
		for (int k = i; k < 60000; k += 4)
			memcpy(long_text + k, face, sizeof(face));
		from(&r, 550, long_text);
		ok(str_is_utf8(r.text, strlen(r.text)) &&
		    strlen(r.text) > REPLY_TEXT_MAX - 4,
		    "not in the middle of a sequence, %d", i);
		reply_cause(&r, arena, STAGE_NONE, CAUSE_INTERNAL, long_text);
		ok(str_is_utf8(r.text, strlen(r.text)) &&
		    strlen(r.text) > REPLY_TEXT_MAX - 4 &&
		    strlen(r.text) <= REPLY_TEXT_MAX, "nor in a cause, %d", i);
	}
	memset(long_text, '\x80', sizeof(long_text) - 1);
	from(&r, 550, long_text);
	is_int(strlen(r.text), REPLY_TEXT_MAX, "what is not UTF-8 is cut too");
}

static void
test_causes(void)
{
	static const char *const formats[] = {
#define CAUSE(name, code, c, s, d, by, fmt)	fmt,
#include "mail/causes.h"
#undef CAUSE
	};
	struct reply	r;
	bool		known = true, plain = true;

	reply_cause(&r, arena, STAGE_DATA, CAUSE_TIMEOUT, "h[192.0.2.1]:25",
	    "sending DATA");
	is_reply(&r, 421, "4.4.2", REPLY_TRANSIENT, "conversation with "
	    "h[192.0.2.1]:25 timed out while sending DATA", "a time-out");
	is_int(r.by, BY_AGENT, "said by the agent");
	is_int(r.stage, STAGE_DATA, "at DATA");
	is_int(r.retry_after_s, 0, "without a hint");
	reply_cause(&r, arena, STAGE_EHLO, CAUSE_TOO_LARGE,
	    18446744073709551615ULL, 1ULL, "h");
	is_reply(&r, 552, "5.3.4", REPLY_PERMANENT, "message size "
	    "18446744073709551615 exceeds size limit 1 of h", "a size");

	/* What callers pass is a string or an unsigned long long. */
	for (size_t i = 0; i < CAUSE_COUNT; i++) {
		const char *p = formats[i];

		while ((p = strchr(p, '%')) != NULL) {
			p++;
			known &= *p == 's' || strncmp(p, "llu", 3) == 0;
		}
		plain &= str_is_ascii(formats[i]) &&
		    !str_has_control(formats[i]);
	}
	ok(known, "rows use %%s and %%llu only");
	ok(plain, "rows are one line of ASCII");
}

static void
test_names(void)
{
	static const char *const stages[] = { "", "connect", "greeting",
		"EHLO", "STARTTLS", "AUTH", "MAIL FROM", "RCPT TO", "DATA",
		"body", "end of data", "run", "?" };

	for (unsigned i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		is_str(stage_name((enum stage)i), stages[i], "stage %u", i);
	is_str(reply_class_name(REPLY_DELIVERED), "delivered", "class 1");
	is_str(reply_class_name(REPLY_TRANSIENT), "transient", "class 2");
	is_str(reply_class_name(REPLY_PERMANENT), "permanent", "class 3");
	is_str(reply_class_name((enum reply_class)0), "?", "no class");
	is_str(reply_by_name(BY_REMOTE), "remote", "by the server");
	is_str(reply_by_name(BY_MASTER), "master", "by the master");
	is_str(reply_by_name((enum reply_by)6), "?", "by nobody");
}

static void
test_blame(void)
{
	static const struct {
		const char	*name;
		struct reply	 r;
		bool		 want;
	} rows[] = {
		{ "no connection", { .cls = REPLY_TRANSIENT, .by = BY_AGENT,
		    .stage = STAGE_CONNECT, .dsn = { 4, 4, 1 } }, true },
		{ "no TLS", { .cls = REPLY_TRANSIENT, .by = BY_TLS,
		    .stage = STAGE_TLS, .dsn = { 4, 7, 5 } }, true },
		{ "no login", { .cls = REPLY_TRANSIENT, .by = BY_AGENT,
		    .stage = STAGE_AUTH, .dsn = { 4, 7, 0 } }, true },
		{ "no such host", { .cls = REPLY_TRANSIENT, .by = BY_DNS,
		    .stage = STAGE_NONE, .dsn = { 4, 4, 4 } }, true },
		{ "421", { .cls = REPLY_TRANSIENT, .by = BY_REMOTE, .code = 421,
		    .stage = STAGE_MAIL, .dsn = { 4, 3, 2 } }, true },
		{ "a request that got nowhere", { .cls = REPLY_TRANSIENT,
		    .by = BY_AGENT, .stage = STAGE_RUN, .dsn = { 4, 4, 1 } },
		    true },
		{ "a program that failed", { .cls = REPLY_TRANSIENT,
		    .by = BY_REMOTE, .stage = STAGE_RUN, .dsn = { 4, 3, 0 } },
		    false },
		{ "a busy mailbox", { .cls = REPLY_TRANSIENT, .by = BY_REMOTE,
		    .code = 450, .stage = STAGE_RCPT, .dsn = { 4, 2, 1 } },
		    false },
		{ "a message that is refused", { .cls = REPLY_PERMANENT,
		    .by = BY_REMOTE, .code = 554, .stage = STAGE_DOT,
		    .dsn = { 5, 6, 0 } }, false },
		{ "our own limit", { .cls = REPLY_TRANSIENT, .by = BY_AGENT,
		    .stage = STAGE_NONE, .dsn = { 4, 4, 5 } }, false },
		{ "success", { .cls = REPLY_DELIVERED, .by = BY_REMOTE,
		    .stage = STAGE_DOT, .dsn = { 2, 0, 0 } }, false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(reply_blames_host(&rows[i].r) == rows[i].want,
		    "the host is %s: %s", rows[i].want ? "to blame" :
		    "not to blame", rows[i].name);
}

int
main(void)
{
	arena = arena_new(0);
	test_dsn();
	test_server();
	test_lines();
	test_ceiling();
	test_causes();
	test_names();
	test_blame();
	arena_free(arena);
	return done_testing();
}
