/*
 * fuzz_reply_parser.c - what a server says, in any pieces: the first byte
 * says how it is cut, which must not change what is understood.
 */
#include "smtp/reply_parser.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_reply(const struct raw_reply *r)
{
	char text[4096];
	const char *line;
	size_t n, len, total = 0;
	unsigned i;

	check(r->code >= 200 && r->code <= 559);
	check(r->nlines >= 1 && r->nlines <= SMTP_LINES_MAX);
	for (i = 0; (line = raw_reply_line(r, i, &len)) != NULL; i++) {
		check(len <= SMTP_LINE_MAX && (len == 0 ||
		    memchr(line, '\n', len) == NULL));
		total += len + (i > 0);
	}
	check(i == r->nlines);
	n = raw_reply_text(r, text, sizeof(text));
	check(n == (total < sizeof(text) ? total : sizeof(text)));
	for (len = 0; len < sizeof(text); len += 97)
		check(raw_reply_text(r, text, len) == (n < len ? n : len));
}

/* The replies at p one by one, each in pieces of `step` bytes. */
static size_t
read_all(const char *p, size_t n, size_t step, bool *is_bad)
{
	struct reply_parser rp;
	struct raw_reply r;
	enum parse_result result = PARSE_MORE;
	size_t have, count = 0;

	memset(&rp, 0, sizeof(rp));
	*is_bad = false;
	for (have = 0; have < n; have = have + step < n ? have + step : n) {
		while ((result = reply_parse(&rp, p, have, &r)) == PARSE_DONE) {
			check_reply(&r);
			check(r.len <= have);
			p += r.len;
			n -= r.len;
			have -= r.len;
			count++;
		}
		if (result == PARSE_BAD) {
			*is_bad = true;
			return count;
		}
	}
	while ((result = reply_parse(&rp, p, n, &r)) == PARSE_DONE) {
		check_reply(&r);
		p += r.len;
		n -= r.len;
		count++;
	}
	*is_bad = result == PARSE_BAD;
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool whole_bad, cut_bad;
	size_t whole;

	if (n == 0)
		return 0;
	whole = read_all((const char *)data + 1, n - 1, n, &whole_bad);
	check(read_all((const char *)data + 1, n - 1, 1 + data[0] % 97u,
	    &cut_bad) == whole);
	check(whole_bad == cut_bad);
	return 0;
}
