/* Messages as programs get them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipe/content.h"
#include "test.h"

static struct arena *arena;

static size_t
convert(unsigned how, const char *from, size_t step, char *to)
{
	size_t n = strlen(from), at, part, len = 0;
	struct content c;

	content_init(&c, how);
	for (at = 0; at < n; at += part) {
		part = n - at < step ? n - at : step;
		len += content_convert(&c, to + len, from + at, part);
	}
	return len + content_finish(&c, to + len);
}

/* In one piece and in pieces of every size. */
static void
test_one(unsigned how, const char *from, const char *want)
{
	size_t step, len, same = 0, n = strlen(want);
	char got[1024];

	len = convert(how, from, 1000, got);
	is_mem(got, len, want, n, "how %#x: %.20s", how, from);
	for (step = 1; step <= 8; step++)
		same += convert(how, from, step, got) == n &&
		    memcmp(got, want, n) == 0;
	is_int(same, 8, "in pieces");
}

static void
test_content(void)
{
	test_one(0, "", "");
	test_one(CONTENT_BLANK, "", "");
	test_one(0, "a\r\nb\n\rc\r\r\nd", "a\nb\n\rc\r\nd\n");
	test_one(0, "a\r", "a\n");
	test_one(CONTENT_CRLF, "a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd\r\n");
	test_one(CONTENT_BLANK, "a", "a\n\n");
	test_one(CONTENT_BLANK | CONTENT_CRLF, "a\n", "a\r\n\r\n");
	test_one(CONTENT_DOT, ".\n..\r\na.\n.", "..\n...\na.\n..\n");
	test_one(CONTENT_DOT | CONTENT_CRLF, ".\n.", "..\r\n..\r\n");
	test_one(CONTENT_QUOTE_FROM, "From a\nFromage\nFro\nFrom b\n>From \nFr",
	    ">From a\nFromage\nFro\n>From b\n>From \nFr\n");
	test_one(CONTENT_QUOTE_FROM | CONTENT_CRLF, "a\rFrom b",
	    "a\r\n>From b\r\n");
}

static void
test_prefix(void)
{
	setenv("TZ", "UTC", 1);
	is_str(content_prefix(CONTENT_FROM_LINE | CONTENT_RETURN_PATH |
	    CONTENT_ORIGINAL_TO | CONTENT_DELIVERED_TO, "s@x", "r@y", "o@z",
	    0, arena), "From s@x  Thu Jan  1 00:00:00 1970\n"
	    "Return-Path: <s@x>\nX-Original-To: o@z\nDelivered-To: r@y\n",
	    "all of them");
	is_str(content_prefix(CONTENT_FROM_LINE | CONTENT_RETURN_PATH |
	    CONTENT_CRLF, "", "r@y", "o@z", 0, arena),
	    "From MAILER-DAEMON  Thu Jan  1 00:00:00 1970\r\n"
	    "Return-Path: <>\r\n", "null sender, CRLF");
	is_str(content_prefix(0, "s@x", "r@y", "o@z", 0, arena), "", "none");
}

static void
test_as_is(unsigned how, uint32_t flags, const char *text, bool want)
{
	struct body body = { .mem = text, .fd = -1, .len = strlen(text) };
	bool as_is = !want;

	content_is_as_is(&body, flags, how, &as_is);
	ok(as_is == want, "how %#x: %.10s stays: %d", how, text, want);
}

int
main(void)
{
	arena = arena_new(4096);
	test_content();
	test_prefix();
	test_as_is(0, 0, "a\nb\n", true);
	test_as_is(0, 0, "", true);
	test_as_is(0, 0, "a\r\n", false);
	test_as_is(0, 0, "a\nb", false);
	test_as_is(0, ENV_WIRE_FORM, "a\r\n", false);
	test_as_is(CONTENT_CRLF, 0, "a\r\n", true);
	test_as_is(CONTENT_CRLF, 0, "a\n", false);
	test_as_is(CONTENT_CRLF, ENV_WIRE_FORM, "a\r\n", true);
	test_as_is(CONTENT_BLANK, 0, "a\n", false);
	arena_free(arena);
	return done_testing();
}
