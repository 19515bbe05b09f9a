/*
 * fuzz_header.c - any header section: what is found does not depend on the
 * steps it is read in, nor on the kind of line ends; a further field ahead is
 * the first, and nothing reaches beyond the section.
 */
#include "mail/header.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct arena *arena;

static struct header
read_header(const struct body *body, enum header_lines lines)
{
	struct header h;

	if (header_read(&h, body, lines, arena) == -1 || h.len > body->len)
		abort();
	return h;
}

static struct header
header_of(const char *p, size_t n, enum header_lines lines)
{
	return read_header(&(struct body){ .mem = p, .fd = -1, .len = n },
	    lines);
}

/* The same from a file. */
static struct header
header_in_steps(const char *p, size_t n)
{
	static int fd = -1;

	if (fd == -1 && (fd = memfd_create("m", 0)) == -1)
		err(1, "memfd");
	if (ftruncate(fd, 0) == -1 || pwrite(fd, p, n, 0) != (ssize_t)n)
		err(1, "write");
	return read_header(&(struct body){ .fd = fd, .len = n },
	    HEADER_LONE_CR);
}

/* Name and value of each field. */
static size_t
same(const struct header *a, const struct header *b)
{
	struct header_field f = { .next = NULL }, g = { .next = NULL };
	size_t n;

	for (n = 0; header_next(a, &f); n++)
		if (!header_next(b, &g) || f.name_len != g.name_len ||
		    memcmp(f.name, g.name, f.name_len) != 0 ||
		    strcmp(header_value(&f, arena),
		    header_value(&g, arena)) != 0)
			abort();
	if (header_next(b, &g))
		abort();
	return n;
}

static void
check(const struct header *h)
{
	const char *end = h->text + h->len;
	struct header_field f = { .next = NULL };

	while (header_next(h, &f))
		if (f.name < h->text || f.name + f.name_len > end ||
		    f.value < f.name || f.value + f.value_len > end ||
		    strpbrk(header_value(&f, arena), "\n") != NULL)
			abort();
	header_has_delivered_to(h, "r@x.test", arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char first[] = "TLS-Required: x\r\n";
	const char *p = (const char *)data;
	struct header whole, other;
	struct header_field f = { .next = NULL };
	char *copy;
	size_t i, k;

	if (n > HEADER_BYTES_MAX / 4)
		return 0;
	arena = arena_new(1024);
	other = header_of(p, n, HEADER_LF);
	check(&other);
	whole = header_of(p, n, HEADER_LONE_CR);
	check(&whole);
	other = header_in_steps(p, n);
	same(&whole, &other);

	copy = xmalloc(2 * n + sizeof(first));
	for (i = k = 0; i < n; i++)	/* every line end becomes one LF */
		if (p[i] != '\r')
			copy[k++] = p[i];
		else if (i + 1 == n || p[i + 1] != '\n')
			copy[k++] = '\n';
	other = header_of(copy, k, HEADER_LF);
	same(&whole, &other);

	memcpy(copy, first, sizeof(first) - 1);
	memcpy(copy + sizeof(first) - 1, p, n);
	other = header_of(copy, n + sizeof(first) - 1, HEADER_LONE_CR);
	if (!header_find(&other, "tls-required", &f) ||
	    f.value_len == 0 || *f.value != 'x')
		abort();
	free(copy);
	arena_free(arena);
	return 0;
}
