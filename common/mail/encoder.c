/* encoder.c - 8-bit content as quoted-printable or base64. */
#include "mail/encoder.h"

#include <stdint.h>
#include <string.h>

#include "base/base64.h"

static char *
qp_escape(struct encoder *e, char *to, char c)
{
	static const char hex[] = "0123456789ABCDEF";

	to[0] = '=';
	to[1] = hex[(uint8_t)c >> 4];
	to[2] = hex[c & 15];
	e->column += 3;
	return to + 3;
}

static char *
put_break(struct encoder *e, char *to)
{
	to[0] = '\r';
	to[1] = '\n';
	e->column = 0;
	return to + 2;
}

/*
 * Whether a byte, plain by itself, would make the line one that others take
 * for something else: a lone dot, "From " of a mailbox file, or a delimiter,
 * which content may become when lines are broken and bytes escaped.
 */
static bool
qp_is_marker(const struct encoder *e, char c)
{
	switch (e->column) {
	case 0:
		return c == '.';
	case 1:
		return c == '-' && e->start[0] == '-';
	case 4:
		return c == ' ' && memcmp(e->start, "From", 4) == 0;
	default:
		return false;
	}
}

static char *
qp_put(struct encoder *e, char *to, char c, bool is_plain)
{
	if (e->column + (is_plain ? 1 : 3) > ENCODER_COLUMNS - 1) {
		*to++ = '=';
		to = put_break(e, to);
	}
	if (!is_plain || qp_is_marker(e, c))
		return qp_escape(e, to, c);
	if (e->column < sizeof(e->start))
		e->start[e->column] = c;
	e->column++;
	*to++ = c;
	return to;
}

/* A blank is plain but at the end of a line. */
static char *
qp_put_blank(struct encoder *e, char *to, bool is_plain)
{
	char c = e->blank;

	e->blank = '\0';
	return c == '\0' ? to : qp_put(e, to, c, is_plain);
}

static char *
qp_add(struct encoder *e, char *to, const char *p, size_t n)
{
	for (const char *end = p + n; p < end; p++) {
		if (*p == '\r' || *p == '\n') {
			if (*p == '\r' || !e->after_cr) {
				to = qp_put_blank(e, to, false);
				to = put_break(e, to);
			}
			e->after_cr = *p == '\r';
			continue;
		}
		e->after_cr = false;
		to = qp_put_blank(e, to, true);
		if (*p == ' ' || *p == '\t')
			e->blank = *p;
		else
			to = qp_put(e, to, *p, *p > ' ' && *p < 0x7f &&
			    *p != '=');
	}
	return to;
}

/* Bytes that fit into a line; all groups of 3 but the last of all. */
static char *
base64_put(struct encoder *e, char *to, const void *p, size_t n)
{
	size_t len;

	if (e->column == ENCODER_COLUMNS)
		to = put_break(e, to);
	len = base64_encode(to, p, n);
	e->column += (unsigned)len;
	return to + len;
}

static char *
base64_add(struct encoder *e, char *to, const char *p, size_t n)
{
	size_t len;

	for (; e->nrest > 0 && n > 0; p++, n--) {
		e->rest[e->nrest++] = *p;
		if (e->nrest == 3) {
			to = base64_put(e, to, e->rest, 3);
			e->nrest = 0;
		}
	}
	for (; n >= 3; p += len, n -= len) {
		len = (ENCODER_COLUMNS - e->column % ENCODER_COLUMNS) / 4 * 3;
		if (len > n)
			len = n / 3 * 3;
		to = base64_put(e, to, p, len);
	}
	while (n-- > 0)
		e->rest[e->nrest++] = *p++;
	return to;
}

size_t
encoder_add(struct encoder *e, char *to, const char *p, size_t n)
{
	return (size_t)((e->how == ENCODER_BASE64 ? base64_add : qp_add)(e, to, p, n) -
	    to);
}

size_t
encoder_finish(struct encoder *e, char *to, bool is_last)
{
	char *end = to;

	end = qp_put_blank(e, end, false);
	if (e->nrest > 0)
		end = base64_put(e, end, e->rest, e->nrest);
	e->nrest = 0;
	if (is_last && e->column > 0)
		end = put_break(e, end);
	return (size_t)(end - to);
}
