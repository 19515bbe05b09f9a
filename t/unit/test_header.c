/* test_header.c - a field is found in the header section, and only there. */
#include "mail/header.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "test.h"

#define STEP	4096		/* what header.c reads at once */

static struct arena *arena;

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

static int
file_of(const char *text, size_t n)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	if (fd == -1 || write(fd, text, n) != (ssize_t)n)
		perror("memfd");
	return fd;
}

/* From a descriptor, which is read in steps: behind a field that makes the
 * first one end after so many bytes of the text. */
static bool
waives_in_steps(const char *text, size_t n, size_t cut)
{
	char *all = xmalloc(STEP + n);
	struct body body = { .len = STEP - cut + n };
	bool waived;

	memset(all, 'p', STEP);
	memcpy(all, "P: ", 3);
	all[STEP - cut - 1] = '\n';
	memcpy(all + STEP - cut, text, n);
	body.fd = file_of(all, (size_t)body.len);
	waived = header_waives_tls(&body);
	close(body.fd);
	free(all);
	return waived;
}

static void
test_rows(void)
{
	size_t i, k, n, same;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = strlen(rows[i].text);
		is_int(waives(rows[i].text, n), rows[i].waives, "%s",
		    rows[i].what);
		if (*rows[i].text == ' ')
			continue;	/* would go on with what is before */
		for (k = 0, same = 0; k <= n; k++)
			same += waives_in_steps(rows[i].text, n, k) ==
			    rows[i].waives;
		is_int(same, n + 1, "%s: cut anywhere", rows[i].what);
	}
}

static struct header
header_of(const char *text, enum header_lines lines)
{
	struct body body = { .mem = text, .fd = -1, .len = strlen(text) };
	struct header h;

	is_int(header_read(&h, &body, lines, arena), 0, "a header");
	return h;
}

static void
test_fields(void)
{
	struct header h = header_of("A: 1\r\nMessage-ID :\r\n  <a@b> \r\n"
	    "no field: at all\nmessage-id: <c\n\t@\r\n d>\nX: y\n\n"
	    "Message-Id: <e@f>\n", HEADER_LF);
	struct header_field f = { .next = NULL };

	is_str(header_get(&h, "Message-Id", arena), "<a@b>",
	    "folded, blanks, other case");
	header_find(&h, "Message-Id", &f);
	ok(header_next(&h, &f) && f.name_len == 0, "a line that is no field");
	ok(header_find(&h, "Message-Id", &f), "the next of that name");
	is_str(header_value(&f, arena), "<c\t@ d>", "in one line");
	ok(!header_find(&h, "Message-Id", &f), "the body is none of it");
	is_str(header_get(&h, "Message", arena), NULL, "the whole name");
	h = header_of("", HEADER_LF);
	is_str(header_get(&h, "A", arena), NULL, "empty message");
	h = header_of("\nA: b\n", HEADER_LF);
	is_str(header_get(&h, "A", arena), NULL, "no header");
	h = header_of("A: b", HEADER_LF);
	is_str(header_get(&h, "A", arena), "b", "no line end");
	h = header_of("A: b\r c\r\rD: e\n", HEADER_LF);
	is_str(header_get(&h, "A", arena), "b\r c\r\rD: e", "a lone CR stays");
	h = header_of("A: b\r c\r\rD: e\n", HEADER_LONE_CR);
	is_str(header_get(&h, "A", arena), "b c", "or ends a line");
	h = header_of("Delivered-To: \"a b\"@X.test\nDelivered-To: <c@x>\n"
	    "Delivered-To: rubbish here@@\n\n", HEADER_LF);
	ok(header_has_delivered_to(&h, "A b@x.test", arena), "quoted, case");
	ok(header_has_delivered_to(&h, "c@x", arena), "angle brackets");
	ok(!header_has_delivered_to(&h, "d@x", arena), "not there");
}

static void
test_nul(void)
{
	static const char text[] = "A: b\0c\nTLS-Required: N\0o\n";
	struct body body = { .mem = text, .fd = -1, .len = sizeof(text) - 1 };
	struct header h;

	header_read(&h, &body, HEADER_LF, arena);
	is_str(header_get(&h, "A", arena), "b?c", "NUL in a value");
	ok(!header_waives_tls(&body), "is not left out");
}

static void
test_bounds(void)
{
	const char field[] = "TLS-Required: No\r\n";
	const size_t len = sizeof(field) - 1;
	char *text = malloc(HEADER_BYTES_MAX + 100);
	struct header h;
	struct body body = { .mem = text, .fd = -1, .len = HEADER_BYTES_MAX };
	size_t room = HEADER_BYTES_MAX - len;

	memset(text, 'a', HEADER_BYTES_MAX + 100);
	memcpy(text, "A: ", 3);
	text[room - 1] = '\n';
	memcpy(text + room, field, len);
	ok(waives(text, HEADER_BYTES_MAX), "the last line that is looked at");
	header_read(&h, &body, HEADER_LF, arena);
	ok(h.len == HEADER_BYTES_MAX && !h.is_cut, "... all of it");
	ok(!waives(text, HEADER_BYTES_MAX + 1), "not all of a header");
	body.len++;
	header_read(&h, &body, HEADER_LF, arena);
	ok(h.len == HEADER_BYTES_MAX && h.is_cut, "... is cut");
	is_int(strlen(header_get(&h, "A", arena)), room - 4, "its beginning");

	body = (struct body){ .fd = file_of(text, HEADER_BYTES_MAX + 100),
	    .len = HEADER_BYTES_MAX + 100 };
	is_int(header_read(&h, &body, HEADER_LF, arena), 0, "from a file");
	ok(h.len == HEADER_BYTES_MAX && h.is_cut, "... no more than that");
	close(body.fd);
	free(text);

	body = (struct body){ .fd = -1, .len = 10 };
	is_int(header_read(&h, &body, HEADER_LF, arena), -1,
	    "no descriptor: an error");
	ok(!header_waives_tls(&body), "asks for nothing then");
}

int
main(void)
{
	arena = arena_new(4096);
	test_rows();
	test_fields();
	test_nul();
	test_bounds();
	arena_free(arena);
	return done_testing();
}
