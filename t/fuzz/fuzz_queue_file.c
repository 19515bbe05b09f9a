/*
 * fuzz_queue_file.c - the content of a queue file, decoded whole and in pieces
 * of a size that the first byte tells; the second one is the offset.
 */
#include "postfix/queue_file.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX	((size_t)256 * 1024)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* As pf_content_read() does, but over memory; -1: no content. */
static int64_t
decode(const char *file, size_t n, int64_t offset, size_t step, char *out)
{
	struct pf_content c;
	size_t at, len, total = 0;
	int64_t before, did;
	char *piece;
	int turns = 0;

	pf_content_init(&c, offset);
	while (!c.is_over && total < OUT_MAX - step - 2 && turns++ < 20000) {
		at = c.at < (int64_t)n ? (size_t)c.at : n;
		len = n - at < step ? n - at : step;
		before = c.at;
		/* Exactly as much room as is promised to be enough. */
		piece = malloc(len + 2);
		check(piece != NULL);
		memcpy(piece + 2, file + at, len);
		did = pf_content_decode(&c, piece + 2, len, piece);
		check(did <= (int64_t)len + 2);
		if (did > 0)
			memcpy(out + total, piece, (size_t)did);
		free(piece);
		if (did == -1 || (did == 0 && c.at == before && !c.is_over))
			return -1;
		total += (size_t)did;
	}
	return (int64_t)total;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char a[OUT_MAX], b[OUT_MAX];
	const char *file = (const char *)data + 2;
	size_t size = n - 2;
	int64_t whole, cut;
	char path[PF_PATH_MAX], id[101];

	if (n < 2 || n > 32768)
		return 0;
	whole = decode(file, size, data[1], 65536, a);
	cut = decode(file, size, data[1], 64 + data[0], b);
	if (whole >= 0 && cut >= 0 && whole < (int64_t)OUT_MAX / 2 &&
	    cut < (int64_t)OUT_MAX / 2) {
		check(whole == cut);
		check(memcmp(a, b, (size_t)whole) == 0);
	}
	memcpy(id, file, size < 100 ? size : 100);
	id[size < 100 ? size : 100] = '\0';
	pf_queue_path(path, "active", id, "deferred, active", data[0] % 20);
	check(strlen(path) < sizeof(path));
	return 0;
}
