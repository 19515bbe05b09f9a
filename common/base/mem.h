/*
 * mem.h - memory: allocation that cannot fail for small fixed things, and
 * arenas for everything that lives and dies with one envelope.
 *
 * x*alloc end the process when memory is gone; use them only for sizes that
 * no peer chooses.  Sizes that come from outside have a ceiling checked by the
 * caller before they reach an arena.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void	*xmalloc(size_t);
void	*xcalloc(size_t, size_t);
void	*xrealloc(void *, size_t);
void	*xreallocarray(void *, size_t, size_t);
char	*xstrdup(const char *);
char	*xasprintf(const char *, ...) __attribute__((format(printf, 1, 2)));

/*
 * An arena: allocations are freed all at once, by arena_free() alone.  The
 * first block is given by the size asked of arena_new(), so that an object and
 * its strings often take one malloc.  Memory is aligned for any type and, but
 * for arena_calloc(), not cleared.  None of these fails: they end the process.
 */
struct arena;

struct arena	*arena_new(size_t first_bytes);
void		 arena_free(struct arena *);	/* NULL is fine */
void		*arena_alloc(struct arena *, size_t);
void		*arena_calloc(struct arena *, size_t n, size_t size);
char		*arena_strdup(struct arena *, const char *);
char		*arena_strndup(struct arena *, const char *, size_t);
char		*arena_printf(struct arena *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
size_t		 arena_size(const struct arena *);	/* bytes taken, all blocks */

#endif
