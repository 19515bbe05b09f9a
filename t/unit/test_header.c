/* test_header.c - a field is found in the header section, and only there. */
#include "mail/header.h"

#include <stdlib.h>

#include "test.h"

static const struct {
	const char	*text;
	bool		 waives;
	const char	*what;
} rows[] = {
	{ "TLS-Required: No\r\n\r\nx", true, "as RFC 8689 writes it" },
	{ "tls-required:no\n\nx", true, "case, no blank, LF" },
	{ "TLS-REQUIRED: NO\r\rx", true, "CR ends a line too" },
	{ "From: a\r\nTLS-Required:\t No \t\r\nTo: b\r\n\r\n", true,
	    "blanks, between others" },
	{ "TLS-Required:\r\n No\r\n\r\n", true, "folded" },
	{ "TLS-Required:\r\n \r\n\tNo\r\n \r\n\r\n", true, "folded often" },
	{ "TLS-Required : No\r\n\r\n", true, "a blank before the colon" },
	{ "TLS-Required: No", true, "the message ends with it" },
	{ "", false, "an empty message" },
	{ "\r\nTLS-Required: No\r\n", false, "in the body" },
	{ "A: b\r\n\r\nTLS-Required: No\r\n", false, "behind the header" },
	{ "A: b\n\nTLS-Required: No\n", false, "... with LF" },
	{ "A: b\r\rTLS-Required: No\r", false, "... with CR" },
	{ "TLS-Required: Yes\r\n\r\n", false, "another value" },
	{ "TLS-Required: No way\r\n\r\n", false, "more than the value" },
	{ "TLS-Required: N o\r\n\r\n", false, "a blank inside" },
	{ "TLS-Required: N\r\n o\r\n\r\n", false, "folded inside" },
	{ "TLS-Required:\r\n\r\nNo", false, "no value" },
	{ "TLS-Required: No\r\nTLS-Required: No\r\n\r\n", false, "twice" },
	{ "TLS-Required: No\r\nA: b\r\ntls-required: yes\r\n\r\n", false,
	    "twice, and differing" },
	{ "TLS-Required: No\r\nTLS-Required: No\r\n", false,
	    "twice, no body" },
	{ "X-TLS-Required: No\r\n\r\n", false, "a longer name" },
	{ "TLS-Required-X: No\r\n\r\n", false, "... at its end" },
	{ "TLS-Require: No\r\n\r\n", false, "a shorter name" },
	{ "TLS-Required No\r\n\r\n", false, "no colon" },
	{ "TLS-Required x: No\r\n\r\n", false, "two words" },
	{ " TLS-Required: No\r\n\r\n", false, "not at the line's start" },
	{ "A: b\r\n TLS-Required: No\r\n\r\n", false, "in a folded line" },
	{ "From x\r\nTLS-Required: No\r\n\r\n", true, "mbox line before" },
};

static bool
waives(const char *text, size_t n)
{
	struct body body = { .mem = text, .fd = -1, .len = n };

	return header_waives_tls(&body);
}

static void
test_rows(void)
{
	struct header_scan whole, parts;
	size_t i, k, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = strlen(rows[i].text);
		is_int(waives(rows[i].text, n), rows[i].waives, "%s",
		    rows[i].what);
		header_scan_init(&whole, "tls-required");
		header_scan_init(&parts, "tls-required");
		header_scan_add(&whole, rows[i].text, n);
		for (k = 0; k < n; k++)
			header_scan_add(&parts, rows[i].text + k, 1);
		header_scan_finish(&whole);
		header_scan_finish(&parts);
		ok(whole.count == parts.count &&
		    strcmp(whole.value, parts.value) == 0,
		    "%s: the same in single bytes", rows[i].what);
	}
}

static void
test_bounds(void)
{
	const char field[] = "TLS-Required: No\r\n";
	const size_t len = sizeof(field) - 1;
	char *text = malloc(HEADER_BYTES_MAX + 100);
	struct header_scan h;
	struct body body = { .mem = text, .fd = -1 };
	size_t room = HEADER_BYTES_MAX - len;

	memset(text, 'a', HEADER_BYTES_MAX + 100);
	memcpy(text, "A: ", 3);
	text[room - 1] = '\n';
	memcpy(text + room, field, len);
	ok(waives(text, HEADER_BYTES_MAX), "the last line that is looked at");
	text[room - 1] = 'a';
	text[room + 4] = '\n';
	memcpy(text + room + 5, field, len);
	ok(!waives(text, HEADER_BYTES_MAX + 100), "one that is not");

	memset(text, 'v', 1000);
	memcpy(text, "X: ", 3);
	text[3 + HEADER_VALUE_MAX] = '\n';
	body.len = 4 + HEADER_VALUE_MAX;
	is_int(header_find(&body, "x", &h), 0, "a long value");
	ok(!h.is_cut && strlen(h.value) == HEADER_VALUE_MAX, "is whole");
	text[3 + HEADER_VALUE_MAX] = 'v';
	text[4 + HEADER_VALUE_MAX] = '\n';
	body.len++;
	header_find(&body, "x", &h);
	ok(h.is_cut && strlen(h.value) == HEADER_VALUE_MAX,
	    "a longer one is cut");
	free(text);

	text = NULL;
	body = (struct body){ .fd = -1, .len = 10 };
	is_int(header_find(&body, "x", &h), -1, "no descriptor: an error");
	ok(!header_waives_tls(&body), "asks for nothing then");
}

int
main(void)
{
	test_rows();
	test_bounds();
	return done_testing();
}
