/*
 * buf.h - a growing byte buffer with a ceiling.
 *
 * Bytes are added at the end and consumed at the front.  Every buffer is born
 * with the most it may ever hold; adding beyond that fails and leaves the
 * buffer as it was.  An empty buffer holds no memory after buf_shrink().
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char	*mem;		/* owned */
	size_t	 start;		/* first byte not consumed */
	size_t	 end;		/* after the last byte */
	size_t	 cap;
	size_t	 max;		/* ceiling for end - start */
};

void	 buf_init(struct buf *, size_t max_bytes);
void	 buf_clear(struct buf *);		/* frees; the ceiling stays */
void	 buf_shrink(struct buf *);		/* frees if empty */

/* 0, or -1 with errno ENOBUFS where the ceiling would be passed. */
int	 buf_add(struct buf *, const void *, size_t);
int	 buf_puts(struct buf *, const char *);
int	 buf_printf(struct buf *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));

/*
 * Room for at least n bytes at the end, or NULL with errno ENOBUFS; what was
 * written there is made part of the buffer by buf_commit().
 */
char	*buf_reserve(struct buf *, size_t n);
void	 buf_commit(struct buf *, size_t n);

void	 buf_consume(struct buf *, size_t n);	/* n <= buf_len() */

static inline size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline bool
buf_is_empty(const struct buf *b)
{
	return b->end == b->start;
}

static inline char *
buf_data(const struct buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->start;
}

/* Big-endian numbers, as on the wire of frame.h. */
static inline void
put_be16(void *to, uint16_t v)
{
	uint8_t *p = to;

	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_be32(void *to, uint32_t v)
{
	put_be16(to, (uint16_t)(v >> 16));
	put_be16((uint8_t *)to + 2, (uint16_t)v);
}

static inline void
put_be64(void *to, uint64_t v)
{
	put_be32(to, (uint32_t)(v >> 32));
	put_be32((uint8_t *)to + 4, (uint32_t)v);
}

static inline uint16_t
get_be16(const void *from)
{
	const uint8_t *p = from;

	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_be32(const void *from)
{
	return (uint32_t)get_be16(from) << 16 |
	    get_be16((const uint8_t *)from + 2);
}

static inline uint64_t
get_be64(const void *from)
{
	return (uint64_t)get_be32(from) << 32 |
	    get_be32((const uint8_t *)from + 4);
}

#endif
