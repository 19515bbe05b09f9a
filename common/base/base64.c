/* base64.c - base64 (RFC 4648 §4). */
#include "base/base64.h"

#include <stdint.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(char *to, const void *from, size_t n)
{
	const uint8_t	*p = from;
	char		*q = to;
	uint32_t	 v;

	for (; n >= 3; n -= 3, p += 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*q++ = alphabet[v >> 18];
		*q++ = alphabet[v >> 12 & 63];
		*q++ = alphabet[v >> 6 & 63];
		*q++ = alphabet[v & 63];
	}
	if (n > 0) {
		v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
		*q++ = alphabet[v >> 18];
		*q++ = alphabet[v >> 12 & 63];
		*q++ = '=';
		if (n == 2)
			q[-1] = alphabet[v >> 6 & 63];
		*q++ = '=';
	}
	*q = '\0';
	return (size_t)(q - to);
}

/* The value of a character, 64 if it has none. */
static uint32_t
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The bytes of one group of four, 0 where it is none; pad: its '='s. */
static size_t
decode_group(uint8_t *to, const char *p, size_t pad)
{
	uint32_t	v = 0, c;
	size_t		i;

	for (i = 0; i < 4; i++) {
		c = i < 4 - pad ? value(p[i]) : 0;
		if (c == 64)
			return 0;
		v = v << 6 | c;
	}
	/* What the padding cuts off must be nothing (RFC 4648 §3.5). */
	if ((pad == 1 && (v & 0xff) != 0) || (pad == 2 && (v & 0xffff) != 0))
		return 0;
	to[0] = (uint8_t)(v >> 16);
	if (pad < 2)
		to[1] = (uint8_t)(v >> 8);
	if (pad < 1)
		to[2] = (uint8_t)v;
	return 3 - pad;
}

int
base64_decode(void *to, const char *from, size_t n, size_t *len_r)
{
	uint8_t	*q = to;
	size_t	 pad, len;

	if (n % 4 != 0)
		return -1;
	for (; n > 0; n -= 4, from += 4) {
		pad = n > 4 || from[3] != '=' ? 0 : from[2] != '=' ? 1 : 2;
		if ((len = decode_group(q, from, pad)) == 0)
			return -1;
		q += len;
	}
	*len_r = (size_t)(q - (uint8_t *)to);
	return 0;
}
