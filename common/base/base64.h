/*
 * base64.h - base64 (RFC 4648 §4), as SASL and MIME write it.
 *
 * Strict both ways: the usual alphabet, padding always, no line ends and no
 * blanks, and the bits that padding leaves over must be zero (RFC 4648 §3.5),
 * so that a text has one value and a value one text.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

/* Bytes of text for n bytes, without the final NUL. */
#define BASE64_LEN(n)	(((n) + 2) / 3 * 4)
/* Bytes at most that n bytes of text stand for. */
#define BASE64_BYTES(n)	((n) / 4 * 3)

/* Writes BASE64_LEN(n) + 1 bytes, the last a NUL; returns the length. */
size_t	base64_encode(char *to, const void *from, size_t n);

/*
 * Writes at most BASE64_BYTES(n) bytes; to may be from.  0 with the number of
 * bytes, or -1 where the text is not base64.  No text is no bytes.
 */
int	base64_decode(void *to, const char *from, size_t n, size_t *len_r);

#endif
