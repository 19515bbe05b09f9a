/* test_str.c - escapes, numbers, UTF-8. */
#include "base/str.h"

#include <stdlib.h>

#include "base/buf.h"
#include "test.h"

static void
test_escape(void)
{
	static const struct {
		const char	*from;
		size_t		 n;
		const char	*shown;
	} rows[] = {
		{ "", 0, "" },
		{ "plain text", 10, "plain text" },
		{ "a\tb\r\n", 5, "a\\tb\\r\\n" },
		{ "\\", 1, "\\\\" },
		{ "\0\x01\x1f\x7f", 4, "\\x00\\x01\\x1F\\x7F" },
		{ "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 9,
		    "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xff" "a\xc3", 3, "\\xFFa\\xC3" },
		{ "\xe2\x82", 2, "\\xE2\\x82" },
		/* U+0080..U+009F are controls, U+00A0 is not */
		{ "\xc2\x9b\xc2\xa0", 4, "\\xC2\\x9B\xc2\xa0" },
	};
	char		to[64];
	struct buf	b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = str_escape(to, sizeof(to), rows[i].from, rows[i].n);

		is_str(to, rows[i].shown, "escaped, %zu", i);
		is_int(n, strlen(rows[i].shown), "its length");
		buf_init(&b, 64);
		is_int(buf_escape(&b, rows[i].from, rows[i].n), 0,
		    "into a buffer");
		is_mem(buf_data(&b), buf_len(&b),
		    buf_len(&b) == 0 ? NULL : rows[i].shown,
		    strlen(rows[i].shown), "the same");
		buf_clear(&b);
	}
}

static void
test_escape_room(void)
{
	char		to[16];
	struct buf	b;

	memset(to, 'z', sizeof(to));
	is_int(str_escape(to, 0, "a", 1), 0, "no room at all");
	is_int(to[0], 'z', "nothing written");
	is_int(str_escape(to, 1, "a", 1), 0, "room for the NUL");
	is_str(to, "", "which is written");
	is_int(str_escape(to, 5, "\x01\x01", 2), 4, "one escape fits");
	is_str(to, "\\x01", "and is whole");
	is_int(str_escape(to, 4, "\x01", 1), 0, "one that does not");
	is_str(to, "", "is left out");
	is_int(str_escape(to, 4, "ab\xc3\xbc", 4), 2, "a character alike");
	is_str(to, "ab", "is left out");
	buf_init(&b, 5);
	is_int(buf_escape(&b, "\x01\x01", 2), -1, "a buffer's ceiling");
	is_mem(buf_data(&b), buf_len(&b), "\\x01", 4, "cuts no escape");
	buf_clear(&b);
}

static void
test_json(void)
{
	static const struct {
		const char	*from, *shown;
	} rows[] = {
		{ "", "\"\"" },
		{ "a \"b\" \\", "\"a \\\"b\\\" \\\\\"" },
		{ "\n\x1f\x7f", "\"\\u000a\\u001f\\u007f\"" },
		{ "\xc3\xbc \xe2\x82\xac", "\"\xc3\xbc \xe2\x82\xac\"" },
		{ "\xc2\x9b", "\"\\u009b\"" },
		/* No UTF-8: as it is shown elsewhere. */
		{ "\xff" "a\n", "\"\\\\xFFa\\\\n\"" },
	};
	struct buf b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_init(&b, 64);
		is_int(buf_json(&b, rows[i].from), 0, "JSON, %zu", i);
		is_mem(buf_data(&b), buf_len(&b), rows[i].shown,
		    strlen(rows[i].shown), "as it is to be");
		buf_clear(&b);
	}
	buf_init(&b, 4);
	is_int(buf_json(&b, "abc"), -1, "a buffer's ceiling");
	buf_clear(&b);
}

static void
test_numbers(void)
{
	static const struct {
		const char	*text;
		int64_t		 min, max, value;
		int		 result;
	} rows[] = {
		{ "0", 0, 9, 0, 0 },
		{ "9", 0, 9, 9, 0 },
		{ "10", 0, 9, -7, -1 },
		{ "007", 0, 9, 7, 0 },
		{ "-3", -3, 9, -3, 0 },
		{ "-4", -3, 9, -7, -1 },
		{ "9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, 0 },
		{ "-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, 0 },
		{ "9223372036854775808", INT64_MIN, INT64_MAX, -7, -1 },
		{ "99999999999999999999", INT64_MIN, INT64_MAX, -7, -1 },
		{ "", 0, 9, -7, -1 },
		{ "-", -9, 9, -7, -1 },
		{ "+1", 0, 9, -7, -1 },
		{ "--1", -9, 9, -7, -1 },
		{ "- 1", -9, 9, -7, -1 },
		{ " 1", 0, 9, -7, -1 },
		{ "1 ", 0, 9, -7, -1 },
		{ "1x", 0, 9, -7, -1 },
		{ "0x1", 0, 9, -7, -1 },
	};
	int64_t value;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		value = -7;
		is_int(str_to_int64(rows[i].text, rows[i].min, rows[i].max,
		    &value), rows[i].result, "\"%s\"", rows[i].text);
		is_int(value, rows[i].value, "its value");
	}
}

/* Whether the n bytes are UTF-8; in memory of their own. */
static bool
is_utf8(const char *s)
{
	size_t	 n = strlen(s);
	char	*exact = malloc(n + 1);
	bool	 yes;

	for (size_t i = 0; i < n; i++)
		exact[i + 1] = s[i];
	yes = str_is_utf8(exact + 1, n);
	free(exact);
	return yes;
}

/* RFC 3629 §4: the borders of each row of its table. */
static void
test_utf8(void)
{
	static const char *const good[] = { "", "a", "\x7f", "\xc2\x80",
		"\xdf\xbf", "\xe0\xa0\x80", "\xec\x80\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf", "z\xc3\xbcz" };
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xe0\xa0",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xef\xbf", "\xef\xbfz",
		"\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xff", "a\xc3\xbc\xc3" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(is_utf8(good[i]), "UTF-8, %zu", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!is_utf8(bad[i]), "not UTF-8, %zu", i);
}

static void
test_small(void)
{
	char all[256];

	ok(str_is_ascii(""), "nothing is ASCII");
	ok(str_is_ascii("a\x7f"), "0x7f too");
	ok(!str_is_ascii("a\x80"), "0x80 is not");
	ok(!str_has_control("a ~\x80"), "no control bytes");
	ok(str_has_control("a\x1f"), "0x1f is one");
	ok(str_has_control("\x7f"), "0x7f is one");
	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	str_lower(all);
	ok(memchr(all, 'A', 255) == NULL && memchr(all, 'Z', 255) == NULL &&
	    all['A' - 1] == 'a' && all['Z' - 1] == 'z', "A to Z are lowered");
	is_mem(all, 'A' - 1, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22"
	    "\23\24\25\26\27\30\31\32\33\34\35\36\37 !\"#$%&'()*+,-./"
	    "0123456789:;<=>?@", 64, "what is before stays");
	ok(all['[' - 1] == '[' && all[0xc4 - 1] == '\xc4',
	    "what is behind stays");
}

int
main(void)
{
	test_escape();
	test_escape_room();
	test_json();
	test_numbers();
	test_utf8();
	test_small();
	return done_testing();
}
