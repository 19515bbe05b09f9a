/* str.c - text: escaping, numbers, UTF-8. */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

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

/*
 * One character of p as it is shown: the number of bytes taken; the shown
 * form, at most 5 bytes with its NUL, in out.
 */
static size_t
escape_one(const unsigned char *p, size_t n, char out[8])
{
	size_t len;

	switch (*p) {
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
	    (p[0] == 0xc2 && len == 2 && p[1] < 0xa0)) {
		snprintf(out, 8, "\\x%02X", *p);
		return 1;
	}
	memcpy(out, p, len);
	out[len] = '\0';
	return len;
}

size_t
str_escape(char *to, size_t size, const void *from, size_t n)
{
	const unsigned char	*p = from, *end = p + n;
	size_t			 at = 0, len;
	char			 one[8];

	if (size == 0)
		return 0;
	while (p < end) {
		p += escape_one(p, (size_t)(end - p), one);
		len = strlen(one);
		if (at + len >= size)
			break;
		memcpy(to + at, one, len);
		at += len;
	}
	to[at] = '\0';
	return at;
}

int
buf_escape(struct buf *b, const void *from, size_t n)
{
	const unsigned char	*p = from, *end = p + n;
	char			 one[8];

	while (p < end) {
		p += escape_one(p, (size_t)(end - p), one);
		if (buf_puts(b, one) == -1)
			return -1;
	}
	return 0;
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
