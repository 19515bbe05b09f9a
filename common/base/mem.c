/* mem.c - allocation that ends the process on failure, and arenas. */
#include "base/mem.h"

#include <err.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN	alignof(max_align_t)
#define ARENA_BLOCK_MIN	512

struct block {
	struct block	*next;
	size_t		 size;		/* of data[] */
	alignas(max_align_t) char data[];
};

/* Sits at the start of the first block's data. */
struct arena {
	struct block	*blocks;	/* newest first */
	char		*free;
	char		*end;
	size_t		 total;
};

void *
xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (p == NULL)
		err(1, "malloc of %zu bytes", n);
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

	if (p == NULL)
		err(1, "calloc of %zu times %zu bytes", n, size);
	return p;
}

void *
xrealloc(void *old, size_t n)
{
	void *p = realloc(old, n == 0 ? 1 : n);

	if (p == NULL)
		err(1, "realloc to %zu bytes", n);
	return p;
}

void *
xreallocarray(void *old, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		errx(1, "reallocarray of %zu times %zu bytes", n, size);
	return xrealloc(old, n * size);
}

char *
xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}

char *
xasprintf(const char *fmt, ...)
{
	va_list	 ap;
	char	*s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) == -1)
		err(1, "vasprintf");
	va_end(ap);
	return s;
}

static size_t
align_up(size_t n)
{
	return (n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

static struct block *
block_new(size_t size)
{
	struct block *b;

	if (size > SIZE_MAX / 2)
		errx(1, "arena block of %zu bytes", size);
	b = xmalloc(sizeof(*b) + size);
	b->next = NULL;
	b->size = size;
	return b;
}

struct arena *
arena_new(size_t first_bytes)
{
	struct block	*b;
	struct arena	*a;

	b = block_new(align_up(sizeof(*a)) + align_up(first_bytes));
	a = (struct arena *)(void *)b->data;
	a->blocks = b;
	a->free = b->data + align_up(sizeof(*a));
	a->end = b->data + b->size;
	a->total = b->size;
	return a;
}

void
arena_free(struct arena *a)
{
	struct block *b, *next;

	if (a == NULL)
		return;
	for (b = a->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

/* A block for a request that the current one cannot hold. */
static void
arena_grow(struct arena *a, size_t n)
{
	struct block	*b;
	size_t		 size = a->total / 2;	/* grows by half */

	if (size < ARENA_BLOCK_MIN)
		size = ARENA_BLOCK_MIN;
	if (size > 64 * 1024)
		size = 64 * 1024;
	if (size < n)
		size = n;
	b = block_new(size);
	b->next = a->blocks;
	a->blocks = b;
	a->free = b->data;
	a->end = b->data + size;
	a->total += size;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	void *p;

	if (n > SIZE_MAX / 4)
		errx(1, "arena allocation of %zu bytes", n);
	n = align_up(n == 0 ? 1 : n);
	if ((size_t)(a->end - a->free) < n)
		arena_grow(a, n);
	p = a->free;
	a->free += n;
	return p;
}

void *
arena_calloc(struct arena *a, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		errx(1, "arena allocation of %zu times %zu bytes", n, size);
	return memset(arena_alloc(a, n * size), 0, n * size);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list	 ap;
	char	*p;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		err(1, "vsnprintf");
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t
arena_size(const struct arena *a)
{
	return a->total;
}
