/* reply_parser.c - replies of an SMTP server (RFC 5321 §4.2.1). */
#include "smtp/reply_parser.h"

#include <string.h>

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The code at the start of a line, its end excluded; 0 if there is none. */
static uint16_t
line_code(const char *p, size_t n)
{
	uint16_t code;

	if (n < 3 || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2]))
		return 0;
	code = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 +
	    (p[2] - '0'));
	return code >= 200 && code <= 559 &&
	    (n == 3 || p[3] == ' ' || p[3] == '-') ? code : 0;
}

static size_t
without_cr(const char *p, size_t n)
{
	return n > 0 && p[n - 1] == '\r' ? n - 1 : n;
}

/* How long the line at p may be, its end excluded. */
static size_t
line_max(const char *p, size_t n)
{
	return n >= 3 && memcmp(p, "334", 3) == 0 ? SMTP_CHALLENGE_MAX :
	    SMTP_LINE_MAX;
}

/* Takes the line p[0..n), without LF, into account. */
static enum parse_result
take_line(struct reply_parser *rp, const char *p, size_t n)
{
	uint16_t code;

	n = without_cr(p, n);
	code = line_code(p, n);
	if (code == 0 || n > line_max(p, n) || rp->nlines == SMTP_LINES_MAX ||
	    (rp->nlines > 0 && code != rp->code))
		return PARSE_BAD;
	rp->code = code;
	rp->nlines++;
	return n > 3 && p[3] == '-' ? PARSE_MORE : PARSE_DONE;
}

enum parse_result
reply_parse(struct reply_parser *rp, const char *p, size_t n,
    struct raw_reply *r)
{
	enum parse_result result = PARSE_MORE;
	const char *lf;
	size_t len;

	while (result == PARSE_MORE) {
		if (rp->at == n)
			return PARSE_MORE;
		lf = memchr(p + rp->at, '\n', n - rp->at);
		if (lf == NULL) {
			if (n - rp->at <= line_max(p + rp->at, n - rp->at) + 1)
				return PARSE_MORE;
			result = PARSE_BAD;
			break;
		}
		len = (size_t)(lf - (p + rp->at));
		result = take_line(rp, p + rp->at, len);
		rp->at += len + 1;
	}
	r->code = rp->code;
	r->nlines = rp->nlines;
	r->lines = p;
	r->len = rp->at;
	memset(rp, 0, sizeof(*rp));
	return result;
}

const char *
raw_reply_line(const struct raw_reply *r, unsigned i, size_t *len_r)
{
	const char *p = r->lines, *end = p + r->len, *lf;
	size_t n;

	for (; p < end; p = lf + 1) {
		if ((lf = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return NULL;
		if (i-- > 0)
			continue;
		n = without_cr(p, (size_t)(lf - p));
		*len_r = n > 4 ? n - 4 : 0;
		return n > 4 ? p + 4 : "";
	}
	return NULL;
}

size_t
raw_reply_text(const struct raw_reply *r, char *to, size_t size)
{
	const char *p = r->lines, *end = p + r->len, *lf;
	size_t at = 0, n;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (p != r->lines && at < size)
			to[at++] = '\n';
		n = without_cr(p, (size_t)(lf - p));
		if (n > 4) {
			n -= 4;
			if (n > size - at)
				n = size - at;
			memcpy(to + at, p + 4, n);
			at += n;
		}
		p = lf + 1;
	}
	return at;
}
