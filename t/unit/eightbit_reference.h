/*
 * eightbit_reference.h - decoders, byte by byte, that look at the form as
 * well; for test_eightbit.c and fuzz_eightbit.c.
 */
#ifndef EIGHTBIT_REFERENCE_H
#define EIGHTBIT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline int
reference_digit(char c, const char *digits)
{
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* Whether the line is one that something else may be made of. */
static inline bool
reference_is_marker(const char *line, size_t n)
{
	return n > 76 || (n > 0 && (line[n - 1] == ' ' ||
	    line[n - 1] == '\t' || line[0] == '.')) ||
	    (n >= 2 && memcmp(line, "--", 2) == 0) ||
	    (n >= 5 && memcmp(line, "From ", 5) == 0);
}

static inline size_t
reference_line_len(const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n", 2);

	return end == NULL ? n : (size_t)(end - p);
}

/* Quoted-printable with CRLFs; to has n bytes.  -1 where it is made badly. */
static inline int64_t
reference_decode_qp(char *to, const char *p, size_t n)
{
	const char	*end = p + n;
	char		*t = to;
	size_t		 len;
	int		 high, low;

	while (p < end) {
		len = reference_line_len(p, (size_t)(end - p));
		if (reference_is_marker(p, len))
			return -1;
		for (const char *eol = p + len; p < eol; p++) {
			if ((*p < ' ' && *p != '\t') || *p >= 0x7f)
				return -1;
			if (*p != '=') {
				*t++ = *p;
				continue;
			}
			if (p + 1 == eol)
				break;
			if (eol - p < 3)
				return -1;
			high = reference_digit(p[1], "0123456789ABCDEF");
			low = reference_digit(p[2], "0123456789ABCDEF");
			if (high == -1 || low == -1)
				return -1;
			*t++ = (char)(high << 4 | low);
			p += 2;
		}
		if (p < end && *p == '=') {	/* a soft break */
			if (end - p < 3)
				return -1;
			p += 3;
		} else if (p < end) {
			*t++ = *p++;
			*t++ = *p++;
		}
	}
	return t - to;
}

/* Base64 in lines of 76; the same. */
static inline int64_t
reference_decode_base64(char *to, const char *p, size_t n)
{
	static const char	digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/=";
	const char	*end = p + n;
	char		*t = to;
	size_t		 len, pad = 0;
	uint32_t	 bits;
	int		 d;

	while (p < end) {
		len = reference_line_len(p, (size_t)(end - p));
		if (len % 4 != 0 || len == 0 || len > 76 || pad != 0 ||
		    (len < 76 && (size_t)(end - p) > len + 2))
			return -1;
		for (size_t i = 0; i < len; i += 4) {
			bits = 0;
			for (size_t k = 0; k < 4; k++) {
				if ((d = reference_digit(p[i + k], digits)) ==
				    -1 || (pad > 0 && d != 64))
					return -1;
				pad += d == 64 ? 1 : 0;
				bits = bits << 6 | ((uint32_t)d & 63);
			}
			if (pad > 2)
				return -1;
			*t++ = (char)(bits >> 16);
			if (pad < 2)
				*t++ = (char)(bits >> 8);
			if (pad < 1)
				*t++ = (char)bits;
		}
		p += len;
		if (p < end)
			p += 2;
	}
	return t - to;
}

static inline bool
reference_is_7bit(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((p[i] & 0x80) != 0)
			return false;
	return true;
}

#endif
