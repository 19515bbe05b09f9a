/* test_intake_command.c - lines of an LMTP client. */
#include "intake/command.h"

#include <stdlib.h>

#include "intake/replies.h"
#include "mail/envelope.h"
#include "test.h"

/* A copy of its own size, so that a sanitizer sees a step too far. */
static char *line;

static const char *
parse_n(const char *text, size_t n, struct lmtp_command *c)
{
	free(line);
	line = malloc(n + 1);
	memcpy(line, text, n);
	line[n] = '\0';
	return lmtp_command_parse(line, n, c);
}

static const char *
parse(const char *text, struct lmtp_command *c)
{
	return parse_n(text, strlen(text), c);
}

static void
test_verbs(void)
{
	static const struct {
		const char	*line;
		enum lmtp_verb	 verb;
		const char	*fault;
	} rows[] = {
		{ "LHLO client.test", VERB_LHLO, NULL },
		{ "lhlo [192.0.2.1]", VERB_LHLO, NULL },
		{ "LHLO", VERB_LHLO, SAY_LHLO_NAME },
		{ "LHLO two names", VERB_LHLO, SAY_LHLO_NAME },
		{ "EHLO client.test", VERB_HELO, SAY_SAY_LHLO },
		{ "HELO client.test", VERB_HELO, SAY_SAY_LHLO },
		{ "DATA", VERB_DATA, NULL },
		{ "data  ", VERB_DATA, NULL },
		{ "DATA now", VERB_DATA, SAY_SYNTAX },
		{ "RSET", VERB_RSET, NULL },
		{ "RSET x", VERB_RSET, SAY_SYNTAX },
		{ "QUIT", VERB_QUIT, NULL },
		{ "QUIT x", VERB_QUIT, SAY_SYNTAX },
		{ "NOOP", VERB_NOOP, NULL },
		{ "NOOP any text", VERB_NOOP, NULL },
		{ "VRFY <x@y>", VERB_VRFY, NULL },
		{ "HELP", VERB_HELP, NULL },
		{ "", VERB_UNKNOWN, SAY_UNKNOWN },
		{ " DATA", VERB_UNKNOWN, SAY_UNKNOWN },
		{ "DATAX", VERB_UNKNOWN, SAY_UNKNOWN },
		{ "STARTTLS", VERB_UNKNOWN, SAY_UNKNOWN },
		{ "MAIL\tFROM:<>", VERB_MAIL, SAY_LINE_BYTES },
		{ "NOOP \x01", VERB_NOOP, SAY_LINE_BYTES },
		{ "NOOP \xff", VERB_NOOP, SAY_LINE_BYTES },
		{ "BDAT\t5", VERB_BDAT, SAY_LINE_BYTES },
		{ "\x01QUIT", VERB_UNKNOWN, SAY_LINE_BYTES },
		{ "NOOP a\nRCPT TO:<x@y>", VERB_NOOP, SAY_LINE_BYTES },
		{ "NOOP a\r", VERB_NOOP, SAY_LINE_BYTES },
	};
	struct lmtp_command c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_str(parse(rows[i].line, &c), rows[i].fault, "line %s",
		    rows[i].line);
		is_int(c.verb, rows[i].verb, "... verb");
	}
	is_str(parse_n("NOOP\0x", 6, &c), SAY_LINE_BYTES, "NUL in a line");
}

static void
test_paths(void)
{
	static const struct {
		const char	*line;
		const char	*path;		/* NULL: a fault */
	} rows[] = {
		{ "MAIL FROM:<a@b.test>", "a@b.test" },
		{ "MAIL FROM: <a@b.test>", "a@b.test" },
		{ "mail from:<>", "" },
		{ "RCPT TO:<\"a>b\"@c.test>", "\"a>b\"@c.test" },
		{ "RCPT TO:<\"a\\\">\"@c.test> NOTIFY=NEVER",
		    "\"a\\\">\"@c.test" },
		{ "RCPT TO:<@r.test:a@b.test>", "@r.test:a@b.test" },
		{ "RCPT TO:<p\xc3\xa9@b.test>", "p\xc3\xa9@b.test" },
		{ "MAIL FROM:a@b.test", NULL },
		{ "MAIL FROM:<a@b.test", NULL },
		{ "MAIL FROM:<a@b.test>x", NULL },
		{ "MAIL FROM:<\"a@b.test>", NULL },
		{ "MAIL FROM <a@b.test>", NULL },
		{ "MAIL", NULL },
		{ "MAIL TO:<a@b.test>", NULL },
		{ "RCPT FROM:<a@b.test>", NULL },
		{ "RCPT TO:", NULL },
	};
	struct lmtp_command c;
	const char *fault;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fault = parse(rows[i].line, &c);
		ok((fault == NULL) == (rows[i].path != NULL), "path of %s",
		    rows[i].line);
		if (rows[i].path != NULL)
			is_str(c.path, rows[i].path, "... the path");
		else
			is_str(fault, c.verb == VERB_MAIL ? SAY_MAIL_SYNTAX :
			    SAY_RCPT_SYNTAX, "... the fault");
	}
}

static void
test_params(void)
{
	static const struct {
		const char	*params;
		const char	*fault;
	} rows[] = {
		{ "BODY=6BIT", SAY_BAD_BODY },
		{ "BODY=7BIT BODY=7BIT", SAY_TWICE },
		{ "BODY", SAY_BAD_PARAM },
		{ "SIZE=", SAY_BAD_SIZE },
		{ "SIZE=-1", SAY_BAD_SIZE },
		{ "SIZE=0 SIZE=9 SIZE=1", NULL },
		{ "SIZE=9 SIZE=x", SAY_BAD_SIZE },
		{ "SIZE=1x", SAY_BAD_SIZE },
		{ "SIZE=123456789012345678901", SAY_BAD_SIZE },
		{ "RET=BODY", SAY_BAD_RET },
		{ "RET=FULL RET=HDRS", SAY_TWICE },
		{ "ENVID=", SAY_BAD_ENVID },
		{ "ENVID=a=b", SAY_BAD_ENVID },
		{ "ENVID=a+4", SAY_BAD_ENVID },
		{ "ENVID=a ENVID=b", SAY_TWICE },
		{ "SMTPUTF8=1", SAY_BAD_PARAM },
		{ "SMTPUTF8 SMTPUTF8", NULL },
		{ "AUTH=<>", SAY_BAD_PARAM },
		{ "X", SAY_BAD_PARAM },
		{ "=", SAY_BAD_PARAM },
	};
	struct lmtp_command c;
	char text[256];

	is_str(parse("MAIL FROM:<a@b> SIZE=1000  body=8bitmime RET=hdrs "
	    "ENVID=id+2B7 SMTPUTF8 ", &c), NULL, "all parameters of MAIL");
	is_int((intmax_t)c.size, 1000, "SIZE");
	is_int(c.body, BODY_8BITMIME, "BODY");
	is_int(c.ret, RET_HDRS, "RET");
	is_str(c.envid, "id+2B7", "ENVID");
	ok(c.is_smtputf8, "SMTPUTF8");
	is_str(parse("MAIL FROM:<a@b> SIZE=99999999999999999999", &c), NULL,
	    "SIZE of 20 digits");
	ok(c.size == INT64_MAX, "... is as large as can be");
	parse("MAIL FROM:<a@b> SIZE=3 SIZE=9 SIZE=4", &c);
	is_int((intmax_t)c.size, 9, "of several the largest SIZE counts");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "MAIL FROM:<a@b> %s",
		    rows[i].params);
		is_str(parse(text, &c), rows[i].fault, "%s", text);
	}
	is_str(parse("RCPT TO:<a@b> SIZE=1", &c), SAY_BAD_PARAM,
	    "a parameter of MAIL in RCPT");
}

/* Texts of exactly n characters. */
static void
test_ceilings(void)
{
	struct lmtp_command c;
	char text[1024];

	snprintf(text, sizeof(text), "MAIL FROM:<> ENVID=%0100d", 0);
	is_str(parse(text, &c), NULL, "ENVID of 100 characters");
	snprintf(text, sizeof(text), "MAIL FROM:<> ENVID=%0101d", 0);
	is_str(parse(text, &c), SAY_BAD_ENVID, "ENVID of 101");
	snprintf(text, sizeof(text), "RCPT TO:<x@y> ORCPT=rfc822;%0493d", 0);
	is_str(parse(text, &c), NULL, "ORCPT of 500 characters");
	snprintf(text, sizeof(text), "RCPT TO:<x@y> ORCPT=rfc822;%0494d", 0);
	is_str(parse(text, &c), SAY_BAD_ORCPT, "ORCPT of 501");
}

static void
test_dsn(void)
{
	static const struct {
		const char	*params;
		const char	*fault;
		uint8_t		 notify;
	} rows[] = {
		{ "NOTIFY=NEVER", NULL, NOTIFY_NEVER },
		{ "NOTIFY=success,DELAY", NULL, NOTIFY_SUCCESS | NOTIFY_DELAY },
		{ "NOTIFY=SUCCESS,FAILURE,DELAY", NULL, NOTIFY_SUCCESS |
		    NOTIFY_FAILURE | NOTIFY_DELAY },
		{ "NOTIFY=", SAY_BAD_NOTIFY, 0 },
		{ "NOTIFY=SUCCESS,", SAY_BAD_NOTIFY, 0 },
		{ "NOTIFY=,SUCCESS", SAY_BAD_NOTIFY, 0 },
		{ "NOTIFY=NEVER,DELAY", SAY_BAD_NOTIFY, 0 },
		{ "NOTIFY=LATER", SAY_BAD_NOTIFY, 0 },
		{ "NOTIFY=DELAY NOTIFY=DELAY", SAY_TWICE, NOTIFY_DELAY },
		{ "ORCPT=rfc822", SAY_BAD_ORCPT, 0 },
		{ "ORCPT=;x", SAY_BAD_ORCPT, 0 },
		{ "ORCPT=rfc822;", SAY_BAD_ORCPT, 0 },
		{ "ORCPT=rfc822;a+zz", SAY_BAD_ORCPT, 0 },
		{ "ORCPT=rfc822;\xc3\xa9", SAY_BAD_ORCPT, 0 },
		{ "ORCPT=utf-8;\xc3\xa9", NULL, 0 },
		{ "ORCPT=utf-8;a+zz", SAY_BAD_ORCPT, 0 },
		{ "ORCPT", SAY_BAD_PARAM, 0 },
	};
	struct lmtp_command c;
	char text[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "RCPT TO:<x@y> %s",
		    rows[i].params);
		is_str(parse(text, &c), rows[i].fault, "%s", text);
		is_int(c.notify, rows[i].notify, "... notify");
	}
	parse("RCPT TO:<x@y> ORCPT=rfc822;q+40z", &c);
	is_str(c.orcpt, "rfc822;q+40z", "ORCPT stays xtext");
}

static void
test_bdat(void)
{
	static const struct {
		const char	*line;
		const char	*fault;
		intmax_t	 size;
		bool		 is_last;
	} rows[] = {
		{ "BDAT 0", NULL, 0, false },
		{ "BDAT 86 LAST", NULL, 86, true },
		{ "bdat 86 last", NULL, 86, true },
		{ "BDAT", SAY_BDAT_SYNTAX, 0, false },
		{ "BDAT LAST", SAY_BDAT_SYNTAX, 0, false },
		{ "BDAT 1 FIRST", SAY_BDAT_SYNTAX, 1, false },
		{ "BDAT 1 LAST x", SAY_BDAT_SYNTAX, 1, true },
		{ "BDAT -1", SAY_BDAT_SYNTAX, 0, false },
		{ "BDAT 0x10", SAY_BDAT_SYNTAX, 0, false },
		{ "BDAT 100000000000000000000", SAY_BDAT_SYNTAX, 0, false },
	};
	struct lmtp_command c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_str(parse(rows[i].line, &c), rows[i].fault, "%s",
		    rows[i].line);
		is_int((intmax_t)c.chunk, rows[i].size, "... size");
		ok(c.is_last == rows[i].is_last, "... LAST");
	}
}

static void
test_client(void)
{
	static const char *const bad[] = {
		"XCLIENT", "XCLIENT NAME", "XCLIENT COLOR=red",
		"XCLIENT ADDR=here", "XCLIENT ADDR=::1", "XCLIENT NAME=a+0Ab",
		"XCLIENT NAME=a+00", "XCLIENT NAME=a+4", "XCLIENT NAME=+FF",
		"XCLIENT IDENT=4XYZ", "XFORWARD LOGIN=joe",
	};
	struct lmtp_command c;
	char text[400];

	is_str(parse("XCLIENT NAME=spike.test ADDR=192.0.2.7 PORT=77 "
	    "PROTO=ESMTP HELO=a+20b LOGIN=joe", &c), NULL, "XCLIENT");
	is_str(c.client[CLIENT_NAME], "spike.test", "NAME");
	is_str(c.client[CLIENT_ADDR], "192.0.2.7", "ADDR");
	is_str(c.client[CLIENT_HELO], "a b", "HELO is decoded");
	is_str(c.client[CLIENT_LOGIN], "joe", "LOGIN");
	is_str(c.client[CLIENT_IDENT], NULL, "IDENT was not given");
	is_str(parse("XFORWARD ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE] "
	    "IDENT=4XYZ SOURCE=LOCAL", &c), NULL, "XFORWARD");
	is_str(c.client[CLIENT_ADDR], "2001:db8::1", "IPv6");
	is_str(c.client[CLIENT_NAME], "", "unavailable");
	is_str(c.client[CLIENT_IDENT], "4XYZ", "IDENT");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_str(parse(bad[i], &c), SAY_XCLIENT_SYNTAX, "%s", bad[i]);
	is_str(parse("XFORWARD ADDR=here NAME=x", &c), NULL,
	    "what is no address may be forwarded");
	is_str(c.client[CLIENT_ADDR], "", "... and is not used");
	snprintf(text, sizeof(text), "XFORWARD HELO=%0*d", 255, 0);
	is_str(parse(text, &c), NULL, "255 bytes");
	snprintf(text, sizeof(text), "XFORWARD HELO=%0*d", 256, 0);
	is_str(parse(text, &c), SAY_XCLIENT_SYNTAX, "256 bytes");
	snprintf(text, sizeof(text), "LHLO %0*d", 255, 0);
	is_str(parse(text, &c), NULL, "LHLO with 255 bytes");
	snprintf(text, sizeof(text), "LHLO %0*d", 256, 0);
	is_str(parse(text, &c), SAY_LHLO_NAME, "LHLO with 256 bytes");
}

int
main(void)
{
	test_verbs();
	test_paths();
	test_params();
	test_ceilings();
	test_dsn();
	test_bdat();
	test_client();
	free(line);
	return done_testing();
}
