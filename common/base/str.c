/* str.c - text: escaping, numbers, UTF-8. */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* Length of the UTF-8 sequence at p, 0 if there is none (RFC 3629 §4). */
static size_t
utf8_sequence(const unsigned char *p, size_t n)
{
	size_t len, i;

	if (p[0] < 0x80)
		return 1;
	len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 :
	    p[0] >= 0xe0 && p[0] <= 0xef ? 3 :
	    p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (len == 0 || len > n)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

#define BARE	8
#define JSON	16
#define MOST	(SHOWN_LINE | SHOWN_QUOTED | JSON)

/* In which form a byte stands for itself. */
static const uint8_t plain[256] = {
	[' '] = MOST,
	['!'] = MOST | SHOWN_FIELD | BARE,
	['"'] = SHOWN_LINE | SHOWN_FIELD,
	['#' ... ';'] = MOST | SHOWN_FIELD | BARE,
	['<'] = MOST,
	['='] = MOST | SHOWN_FIELD,
	['>'] = MOST,
	['?' ... '['] = MOST | SHOWN_FIELD | BARE,
	[']' ... '~'] = MOST | SHOWN_FIELD | BARE,
};

/* How many bytes at p stand for themselves. */
static size_t
plain_span(const unsigned char *p, size_t n, uint8_t form)
{
	size_t i;

	for (i = 0; i < n && (plain[p[i]] & form) != 0; i++)
		;
	return i;
}

bool
str_is_bare(const char *s, size_t n)
{
	return n > 0 && plain_span((const unsigned char *)s, n, BARE) == n;
}

bool
str_is_json(const char *s, size_t n)
{
	return plain_span((const unsigned char *)s, n, JSON) == n;
}

static size_t
show_hex(char out[8], unsigned char byte)
{
	static const char hex[] = "0123456789ABCDEF";

	memcpy(out, "\\x", 2);
	out[2] = hex[byte >> 4];
	out[3] = hex[byte & 15];
	out[4] = '\0';
	return 1;
}

/*
 * One character of p that is not plain as it is shown: the number of bytes
 * taken; the shown form, at most 5 bytes with its NUL, in out.
 */
static size_t
escape_one(const unsigned char *p, size_t n, char out[8])
{
	size_t len;

	switch (*p) {
	case ' ':
	case '<':
	case '>':
		return show_hex(out, *p);
	case '"':
		memcpy(out, "\\\"", 3);
		return 1;
	case '\t':
		memcpy(out, "\\t", 3);
		return 1;
	case '\r':
		memcpy(out, "\\r", 3);
		return 1;
	case '\n':
		memcpy(out, "\\n", 3);
		return 1;
	case '\\':
		memcpy(out, "\\\\", 3);
		return 1;
	default:
		break;
	}
	len = utf8_sequence(p, n);
	/* U+0080..U+009F are control characters too. */
	if (*p < 0x20 || *p == 0x7f || len == 0 ||
	    (p[0] == 0xc2 && len == 2 && p[1] < 0xa0))
		return show_hex(out, *p);
	memcpy(out, p, len);
	out[len] = '\0';
	return len;
}

/* A character that is not plain, as in escape_one(). */
static size_t
json_one(const unsigned char *p, size_t n, char out[8])
{
	size_t len = utf8_sequence(p, n);

	if (*p == '"' || *p == '\\') {
		out[0] = '\\';
		out[1] = (char)*p;
		out[2] = '\0';
	} else if (*p < 0x80 || len == 0)
		snprintf(out, 8, "\\u%04x", *p);
	else if (p[0] == 0xc2 && p[1] < 0xa0)	/* U+0080..U+009F */
		snprintf(out, 8, "\\u%04x", p[1]);
	else {
		memcpy(out, p, len);
		out[len] = '\0';
	}
	return len == 0 ? 1 : len;
}

/* What is plain as it is, the rest as show_one() says. */
static inline size_t
show(char *to, size_t size, const void *from, size_t n, uint8_t kind,
    size_t (*show_one)(const unsigned char *, size_t, char[8]))
{
	const unsigned char	*p = from, *end = p + n;
	size_t			 at = 0, len;
	char			 one[8];

	if (size == 0)
		return 0;
	while (p < end) {
		len = plain_span(p, (size_t)(end - p), kind);
		if (len >= size - at)
			len = size - at - 1;
		memcpy(to + at, p, len);
		at += len;
		p += len;
		if (p == end || at == size - 1)
			break;
		p += show_one(p, (size_t)(end - p), one);
		len = strlen(one);
		if (at + len >= size)
			break;
		memcpy(to + at, one, len);
		at += len;
	}
	to[at] = '\0';
	return at;
}

size_t
str_escape_as(enum str_shown how, char *to, size_t size, const void *from,
    size_t n)
{
	return show(to, size, from, n, (uint8_t)how, escape_one);
}

size_t
str_escape(char *to, size_t size, const void *from, size_t n)
{
	return str_escape_as(SHOWN_LINE, to, size, from, n);
}

size_t
str_json(char *to, size_t size, const void *from, size_t n)
{
	return show(to, size, from, n, JSON, json_one);
}

/* The same into a buffer. */
static int
show_in(struct buf *b, const void *from, size_t n, uint8_t kind,
    size_t (*show_one)(const unsigned char *, size_t, char[8]))
{
	const unsigned char	*p = from, *end = p + n;
	size_t			 len;
	char			 one[8];

	while (p < end) {
		len = plain_span(p, (size_t)(end - p), kind);
		if (buf_add(b, p, len) == -1)
			return -1;
		p += len;
		if (p == end)
			break;
		p += show_one(p, (size_t)(end - p), one);
		if (buf_puts(b, one) == -1)
			return -1;
	}
	return 0;
}

int
buf_escape(struct buf *b, const void *from, size_t n)
{
	return show_in(b, from, n, SHOWN_LINE, escape_one);
}

int
buf_json(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	char *shown = NULL;
	int status = -1;

	if (!str_is_utf8(text, n)) {	/* RFC 8259 §8.1 */
		shown = xmalloc(4 * n + 1);
		n = str_escape(shown, 4 * n + 1, text, n);
		text = shown;
	}
	if (buf_puts(b, "\"") == 0 &&
	    show_in(b, text, n, JSON, json_one) == 0 &&
	    buf_puts(b, "\"") == 0)
		status = 0;
	free(shown);
	return status;
}

int
str_to_int64(const char *s, int64_t min, int64_t max, int64_t *value_r)
{
	char		*end;
	long long	 v;

	if ((*s < '0' || *s > '9') && *s != '-')
		return -1;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || end == s || *end != '\0' || v < min || v > max)
		return -1;
	*value_r = v;
	return 0;
}

bool
str_is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

bool
str_is_utf8(const void *from, size_t n)
{
	const unsigned char	*p = from, *end = p + n;
	size_t			 len;

	for (; p < end; p += len)
		if ((len = utf8_sequence(p, (size_t)(end - p))) == 0)
			return false;
	return true;
}

bool
str_has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

void
str_lower(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}
