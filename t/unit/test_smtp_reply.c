/* test_smtp_reply.c - X-Smtp-Reply and X-Smtp-Recipient-Reply. */
#include "http/smtp_reply.h"

#include <string.h>

#include "base/str.h"
#include "test.h"

static void
test_grammar(void)
{
	static const struct {
		const char	*value;
		int		 code;		/* 0: refused */
		const char	*message, *command;
	} rows[] = {
		{ "550", 550, "", "" },
		{ " 250 ", 250, "", "" },
		{ "550;message=\"x\"", 550, "x", "" },
		{ "550; message=\"5.1.1 No such user\"; command=\"RCPT\"", 550,
		    "5.1.1 No such user", "RCPT" },
		{ "550 ;\t Message=x ;COMMAND=DATA", 550, "x", "DATA" },
		{ "550; message=\"a \\\"b\\\" \\\\ \\c\"", 550,
		    "a \"b\" \\ c", "" },
		{ "550; other=1; x=\"y;\\\"z\"; message=\"m\"", 550, "m", "" },
		{ "550; message=one; message=two", 550, "one", "" },
		{ "550; message=\"\"; message=two", 550, "", "" },
		{ "550;;; ;message=x;", 550, "x", "" },
		{ "451; message=\"a\tb\001c\177\"", 451, "a bc", "" },
		{ "451; message=\"caf\303\251\"", 451, "caf\303\251", "" },
		{ "559", 559, "", "" },
		{ "", 0, NULL, NULL }, { "abc", 0, NULL, NULL },
		{ "55", 0, NULL, NULL }, { "5500", 0, NULL, NULL },
		{ "560", 0, NULL, NULL }, { "999", 0, NULL, NULL },
		{ "354; message=x", 0, NULL, NULL },
		{ "150", 0, NULL, NULL }, { "5a0", 0, NULL, NULL },
		{ "550 message=x", 0, NULL, NULL },
		{ "550; message", 0, NULL, NULL },
		{ "550; message=", 0, NULL, NULL },
		{ "550; message =x", 0, NULL, NULL },
		{ "550; message= x", 0, NULL, NULL },
		{ "550; =x", 0, NULL, NULL },
		{ "550; message=\"open", 0, NULL, NULL },
		{ "550; message=\"open\\", 0, NULL, NULL },
		{ "550; message=\"a\"b", 0, NULL, NULL },
		{ "550, message=x", 0, NULL, NULL },
	};
	struct smtp_reply r;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = smtp_reply_parse(&r, rows[i].value,
		    strlen(rows[i].value));
		is_int(rc, rows[i].code == 0 ? -1 : 0, "%s", rows[i].value);
		if (rc == -1)
			continue;
		is_int(r.code, rows[i].code, "its code");
		is_str(r.message, rows[i].message, "its message");
		is_str(r.command, rows[i].command, "its command");
	}
}

static void
test_long(void)
{
	static char value[20000];
	struct smtp_reply r;
	size_t n = (size_t)snprintf(value, sizeof(value), "550; message=\"");

	memset(value + n, 'x', 10240);
	strlcpy(value + n + 10240, "\"", 2);
	is_int(smtp_reply_parse(&r, value, strlen(value)), 0, "10 kB");
	is_int((long)strlen(r.message), SMTP_REPLY_MESSAGE_MAX, "is cut");
	/* A character of two bytes over the edge. */
	value[n + SMTP_REPLY_MESSAGE_MAX - 1] = '\303';
	value[n + SMTP_REPLY_MESSAGE_MAX] = '\251';
	is_int(smtp_reply_parse(&r, value, strlen(value)), 0, "once more");
	is_int((long)strlen(r.message), SMTP_REPLY_MESSAGE_MAX - 1,
	    "is cut before the character");
	ok(str_is_utf8(r.message, strlen(r.message)), "and is UTF-8");
}

static void
test_whose(void)
{
	const char *who, *rest, *value = " YUB4 ; 550; message=x";
	size_t n, len;

	n = smtp_reply_whose(value, strlen(value), &who, &rest, &len);
	is_mem(who, n, "YUB4", 4, "the word");
	is_mem(rest, len, " 550; message=x", 15, "the rest");
	is_int((long)smtp_reply_whose("550", 3, &who, &rest, &len), 0,
	    "no semicolon");
	is_int((long)smtp_reply_whose(" ;550", 5, &who, &rest, &len), 0,
	    "no word");
}

static void
test_stage(void)
{
	struct smtp_reply r = { .code = 550, .command = "rcpt" };

	is_int(smtp_reply_stage(&r), STAGE_RCPT, "rcpt");
	strlcpy(r.command, "[SEND_DATA]", sizeof(r.command));
	is_int(smtp_reply_stage(&r), STAGE_DOT, "[SEND_DATA]");
	strlcpy(r.command, "NOOP", sizeof(r.command));
	is_int(smtp_reply_stage(&r), STAGE_RUN, "unknown");
}

int
main(void)
{
	test_grammar();
	test_long();
	test_whose();
	test_stage();
	return done_testing();
}
