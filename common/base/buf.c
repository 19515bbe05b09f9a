/* buf.c - a growing byte buffer with a ceiling. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BUF_FIRST	256

void
buf_init(struct buf *b, size_t max_bytes)
{
	memset(b, 0, sizeof(*b));
	b->max = max_bytes;
}

void
buf_clear(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

void
buf_shrink(struct buf *b)
{
	if (buf_is_empty(b))
		buf_clear(b);
}

char *
buf_reserve(struct buf *b, size_t n)
{
	size_t len = buf_len(b), cap;

	if (n > b->max || len > b->max - n) {
		errno = ENOBUFS;
		return NULL;
	}
	if (b->cap - b->end >= n && b->mem != NULL)
		return b->mem + b->end;
	if (b->start > 0 && b->mem != NULL) {
		memmove(b->mem, b->mem + b->start, len);
		b->start = 0;
		b->end = len;
	}
	if (b->cap < len + n || b->mem == NULL) {
		cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
		while (cap < len + n)
			cap *= 2;
		if (cap > b->max)
			cap = b->max;
		/* One more for the NUL of buf_printf(), not counted. */
		b->mem = xrealloc(b->mem, cap + 1);
		b->cap = cap;
	}
	return b->mem + b->end;
}

void
buf_commit(struct buf *b, size_t n)
{
	b->end += n;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to;

	if (n == 0)
		return 0;
	if ((to = buf_reserve(b, n)) == NULL)
		return -1;
	memcpy(to, p, n);
	b->end += n;
	return 0;
}

int
buf_puts(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list	 ap;
	char	*to;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (to = buf_reserve(b, (size_t)n)) == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->end += (size_t)n;
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}
