/*
 * fuzz_content.c - messages on their way to a program: the first byte chooses
 * how, the second where they are cut.  In pieces and in one they must become
 * the same, and no line end may be left that was not asked for.
 */
#include "pipe/content.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* malloc()ed; step: bytes a piece. */
static char *
convert(unsigned how, const char *from, size_t n, size_t step, size_t *len_r)
{
	char *all = malloc(content_room(n) + n * 16 + CONTENT_END_MAX), *to;
	struct content c;
	size_t at, len = 0, part, got;

	if (all == NULL)
		abort();
	content_init(&c, how);
	for (at = 0; at < n; at += part) {
		part = n - at < step ? n - at : step;
		if ((to = malloc(content_room(part))) == NULL)
			abort();
		got = content_convert(&c, to, from + at, part);
		memcpy(all + len, to, got);
		len += got;
		free(to);
	}
	if ((to = malloc(CONTENT_END_MAX)) == NULL)
		abort();
	got = content_finish(&c, to);
	memcpy(all + len, to, got);
	free(to);
	*len_r = len + got;
	return all;
}

static void
check_lines(unsigned how, const char *p, size_t n)
{
	size_t i;

	if (n > 0 && p[n - 1] != '\n')
		abort();
	for (i = 0; i < n; i++) {
		if (p[i] == '\n' && (i > 0 && p[i - 1] == '\r') !=
		    ((how & CONTENT_CRLF) != 0) && (how & CONTENT_CRLF))
			abort();
		if ((i == 0 || p[i - 1] == '\n') &&
		    (how & CONTENT_QUOTE_FROM) && n - i >= 5 &&
		    memcmp(p + i, "From ", 5) == 0)
			abort();
		if ((i == 0 || p[i - 1] == '\n') && (how & CONTENT_DOT) &&
		    p[i] == '.' && (i + 1 == n || p[i + 1] != '.'))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct body body;
	size_t whole_len, parts_len;
	char *whole, *parts;
	const char *from;
	unsigned how;
	bool as_is;

	if (n < 2 || n > 20000)
		return 0;
	how = data[0] & (CONTENT_BLANK | CONTENT_DOT | CONTENT_QUOTE_FROM |
	    CONTENT_CRLF);
	from = (const char *)data + 2;
	n -= 2;
	whole = convert(how, from, n, n + 1, &whole_len);
	parts = convert(how, from, n, data[1] % 16u + 1u, &parts_len);
	if (whole_len != parts_len || memcmp(whole, parts, whole_len) != 0)
		abort();
	check_lines(how, whole, whole_len);
	body = (struct body){ .mem = from, .fd = -1, .len = n };
	if (content_is_as_is(&body, 0, how, &as_is) == -1 || (as_is &&
	    (whole_len != n || (n > 0 && memcmp(whole, from, n) != 0))))
		abort();
	free(whole);
	free(parts);
	return 0;
}
