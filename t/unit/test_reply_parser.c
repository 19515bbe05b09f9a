/* test_reply_parser.c - replies in all forms and pieces. */
#include "smtp/reply_parser.h"

#include <stdlib.h>

#include "test.h"

struct row {
	const char	*name;
	const char	*bytes;
	enum parse_result result;
	unsigned	 code, nlines;
	size_t		 len;		/* taken */
	const char	*text;
};

static const struct row rows[] = {
	{ "one line", "250 ok\r\n", PARSE_DONE, 250, 1, 8, "ok" },
	{ "LF alone", "250 ok\n", PARSE_DONE, 250, 1, 7, "ok" },
	{ "code alone", "250\r\n", PARSE_DONE, 250, 1, 5, "" },
	{ "code and blank", "250 \r\n", PARSE_DONE, 250, 1, 6, "" },
	{ "two lines", "250-a\r\n250 b\r\n", PARSE_DONE, 250, 2, 14, "a\nb" },
	{ "empty lines", "250-\r\n250-\r\n250 \r\n", PARSE_DONE, 250, 3, 18,
	    "\n\n" },
	{ "code alone ends it", "250-a\n250\n", PARSE_DONE, 250, 2, 10,
	    "a\n" },
	{ "two replies", "250 a\r\n354 b\r\n", PARSE_DONE, 250, 1, 7, "a" },
	{ "8-bit text", "250 \303\244\377\r\n", PARSE_DONE, 250, 1, 9,
	    "\303\244\377" },
	{ "two CR", "250 a\r\r\n", PARSE_DONE, 250, 1, 8, "a\r" },
	{ "CR inside", "250 a\rb\r\n", PARSE_DONE, 250, 1, 9, "a\rb" },
	{ "lowest", "200 x\n", PARSE_DONE, 200, 1, 6, "x" },
	{ "highest", "559 x\n", PARSE_DONE, 559, 1, 6, "x" },
	{ "nothing", "", PARSE_MORE, 0, 0, 0, NULL },
	{ "no end", "250 ok\r", PARSE_MORE, 0, 0, 0, NULL },
	{ "no last line", "250-a\r\n250-b\r\n", PARSE_MORE, 0, 0, 0, NULL },
	{ "too low", "199 x\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "too high", "560 x\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "000", "000 x\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "short code", "25\r\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "long code", "2500 x\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "tab", "250\tx\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "empty line", "\r\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "leading blank", " 250 x\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "letters", "2x0 ok\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "HTTP", "HTTP/1.0 200 OK\r\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "other code", "250-a\n251 b\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "bad second line", "250-a\nb\n", PARSE_BAD, 0, 0, 0, NULL },
	{ "empty second line", "250-a\n\n", PARSE_BAD, 0, 0, 0, NULL },
};

static void
check(const struct row *row, const struct raw_reply *r,
    enum parse_result result, const char *how)
{
	char text[64];
	size_t n;

	is_int(result, row->result, "%s, %s", row->name, how);
	if (result != PARSE_DONE)
		return;
	is_int(r->code, row->code, "%s, %s: code", row->name, how);
	is_int(r->nlines, row->nlines, "%s, %s: lines", row->name, how);
	is_int((intmax_t)r->len, (intmax_t)row->len, "%s, %s: length",
	    row->name, how);
	n = raw_reply_text(r, text, sizeof(text));
	is_mem(text, n, row->text, strlen(row->text), "%s, %s: text",
	    row->name, how);
}

static void
test_rows(void)
{
	struct reply_parser rp;
	struct raw_reply r;
	enum parse_result result;
	const struct row *row;
	size_t i, n, len;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row = &rows[i];
		len = strlen(row->bytes);
		memset(&rp, 0, sizeof(rp));
		check(row, &r, reply_parse(&rp, row->bytes, len, &r),
		    "whole");
		memset(&rp, 0, sizeof(rp));
		result = PARSE_MORE;
		for (n = 0; n <= len && result == PARSE_MORE; n++)
			result = reply_parse(&rp, row->bytes, n, &r);
		check(row, &r, result, "byte by byte");
		if (result != PARSE_MORE)
			ok(rp.at == 0 && rp.code == 0 && rp.nlines == 0,
			    "%s: ready for the next", row->name);
	}
	memset(&rp, 0, sizeof(rp));
	is_int(reply_parse(&rp, NULL, 0, &r), PARSE_MORE, "no bytes at all");
}

/* A line of n bytes, its end not counted. */
static enum parse_result
line_of(size_t n, const char *end, struct raw_reply *r)
{
	static char bytes[SMTP_LINE_MAX + 16];
	struct reply_parser rp = { .at = 0 };

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "250 ", 4);
	memcpy(bytes + n, end, strlen(end));
	return reply_parse(&rp, bytes, n + strlen(end), r);
}

static void
test_line_ceiling(void)
{
	struct raw_reply r;

	is_int(line_of(SMTP_LINE_MAX, "\r\n", &r), PARSE_DONE, "2,048, CRLF");
	is_int((intmax_t)r.len, SMTP_LINE_MAX + 2, "its length");
	is_int(line_of(SMTP_LINE_MAX, "\n", &r), PARSE_DONE, "2,048, LF");
	is_int(line_of(SMTP_LINE_MAX, "\r", &r), PARSE_MORE, "2,048, CR");
	is_int(line_of(SMTP_LINE_MAX + 1, "\r\n", &r), PARSE_BAD,
	    "2,049, CRLF");
	is_int(line_of(SMTP_LINE_MAX + 1, "\n", &r), PARSE_BAD, "2,049, LF");
	is_int(line_of(SMTP_LINE_MAX + 2, "", &r), PARSE_BAD,
	    "2,050 without an end");
	is_int((intmax_t)r.len, 0, "of it nothing is taken");
}

static enum parse_result
lines_of(unsigned n)
{
	static char bytes[(SMTP_LINES_MAX + 2) * 5 + 1];
	struct reply_parser rp = { .at = 0 };
	struct raw_reply r;
	unsigned i;

	for (i = 0; i < n; i++)
		memcpy(bytes + 5 * i, i + 1 < n ? "250-\n" : "250 \n", 5);
	return reply_parse(&rp, bytes, (size_t)n * 5, &r);
}

static void
test_lines_ceiling(void)
{
	is_int(lines_of(SMTP_LINES_MAX), PARSE_DONE, "100 lines");
	is_int(lines_of(SMTP_LINES_MAX + 1), PARSE_BAD, "101 lines");
}

static void
test_text(void)
{
	static const char bytes[] = "250-one\r\n250-\r\n250-three\n250\n";
	struct reply_parser rp = { .at = 0 };
	struct raw_reply r;
	const char *line;
	char text[16];
	size_t n, len;

	is_int(reply_parse(&rp, bytes, sizeof(bytes) - 1, &r), PARSE_DONE,
	    "lines");
	line = raw_reply_line(&r, 0, &len);
	is_mem(line, len, "one", 3, "first line");
	line = raw_reply_line(&r, 1, &len);
	is_mem(line, len, "", 0, "empty line");
	line = raw_reply_line(&r, 2, &len);
	is_mem(line, len, "three", 5, "third line");
	line = raw_reply_line(&r, 3, &len);
	is_mem(line, len, "", 0, "line of a code alone");
	ok(raw_reply_line(&r, 4, &len) == NULL, "no fifth line");
	for (n = 0; n <= sizeof(text); n++) {
		memset(text, '!', sizeof(text));
		len = raw_reply_text(&r, text, n);
		ok(len == (n < 11 ? n : 11) &&
		    memcmp(text, "one\n\nthree\n", len) == 0 &&
		    (len == sizeof(text) || text[len] == '!'),
		    "text into %zu bytes", n);
	}
}

int
main(void)
{
	test_rows();
	test_line_ceiling();
	test_lines_ceiling();
	test_text();
	return done_testing();
}
