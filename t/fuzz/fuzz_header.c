/*
 * fuzz_header.c - any header section: what is found does not depend on the
 * pieces it comes in, nor on the kind of line ends; and a second such field
 * ahead counts one more.
 */
#include "mail/header.h"

#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
scan(struct header_scan *h, const char *p, size_t n, size_t piece)
{
	size_t at, len;

	header_scan_init(h, "tls-required");
	for (at = 0; at < n; at += len) {
		len = n - at < piece ? n - at : piece;
		header_scan_add(h, p + at, len);
	}
	header_scan_finish(h);
	if (strlen(h->value) > HEADER_VALUE_MAX ||
	    (h->count == 0 && *h->value != '\0'))
		abort();
}

static void
same(const struct header_scan *a, const struct header_scan *b)
{
	if (a->count != b->count || a->is_cut != b->is_cut ||
	    strcmp(a->value, b->value) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char first[] = "TLS-Required: x\r\n";
	const char *p = (const char *)data;
	struct header_scan whole, other;
	char *copy;
	size_t i, k;

	if (n > HEADER_BYTES_MAX / 4)
		return 0;
	scan(&whole, p, n, SIZE_MAX);
	scan(&other, p, n, 1);
	same(&whole, &other);
	scan(&other, p, n, 7);
	same(&whole, &other);

	if ((copy = malloc(2 * n + sizeof(first))) == NULL)
		abort();
	for (i = k = 0; i < n; i++)	/* every line end becomes one LF */
		if (p[i] != '\r')
			copy[k++] = p[i];
		else if (i + 1 == n || p[i + 1] != '\n')
			copy[k++] = '\n';
	scan(&other, copy, k, SIZE_MAX);
	same(&whole, &other);

	memcpy(copy, first, sizeof(first) - 1);
	memcpy(copy + sizeof(first) - 1, p, n);
	scan(&other, copy, n + sizeof(first) - 1, SIZE_MAX);
	if (other.count != whole.count + 1)
		abort();
	free(copy);
	return 0;
}
