/*
 * fuzz_http_request.c - any request to our HTTP server: what is found does not
 * depend on the pieces it comes in, a head is never longer than its limit, and
 * what was understood is text.
 */
#include "http/server_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_text(const char *s, size_t size)
{
	if (strnlen(s, size) == size)
		abort();
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_asked whole, part;
	const char *p = (const char *)data;
	size_t used, got, i;
	char *copy;

	if (n > HTTP_HEAD_MAX)
		n = HTTP_HEAD_MAX;
	used = http_asked_parse(&whole, p, n);
	if (used > n || used > HTTP_HEAD_MAX ||
	    (n == HTTP_HEAD_MAX && used == 0 && whole.fault == 0))
		abort();
	if (whole.fault != 0)
		return 0;
	if (used > 0) {
		check_text(whole.method, sizeof(whole.method));
		check_text(whole.path, sizeof(whole.path));
		if (whole.is_head && !whole.is_get)
			abort();
	}
	/* Byte by byte, each time in memory of its own: nothing behind it is
	 * looked at, and the answer comes with the last byte. */
	for (i = 0; i < used && i < 600; i++) {
		if ((copy = malloc(i + 1)) == NULL)
			abort();
		memcpy(copy, p, i);
		got = http_asked_parse(&part, copy, i);
		free(copy);
		if (got != 0 || part.fault != 0)
			abort();
	}
	if (used > 0 && (http_asked_parse(&part, p, used) != used ||
	    memcmp(&part, &whole, sizeof(part)) != 0))
		abort();
	return 0;
}
