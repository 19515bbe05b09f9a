/*
 * spool.h - the body of a message being taken in: in memory as long as it fits
 * into a frame, then in a memfd, which is sealed in the end, and over
 * memory_limit in a temporary file that has no name.  What there is to know of
 * the bytes is found on the way (message.h).
 */
#ifndef INTAKE_SPOOL_H
#define INTAKE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/message.h"

struct spool_store {		/* shared by all of a process */
	int		 folder;	/* descriptor; for temporary files */
	uint64_t	 memory_limit;	/* bytes of one message, in memfds */
	uint64_t	 memory_total;	/* ... of all */
	uint64_t	 memory_used;	/* in memfds now */
	uint64_t	 files;		/* made so far */
};

struct spool {
	struct spool_store *store;
	struct buf	 buf;		/* all of it, or what is not written */
	int		 fd;		/* -1: all is in buf */
	bool		 is_file;
	bool		 normalize;	/* bare CR and LF become CRLF */
	uint64_t	 written;	/* bytes in fd */
	uint64_t	 len;		/* bytes taken, as they came */
	uint64_t	 max;		/* 0: no limit; else bytes beyond are
					 * counted, not kept */
	struct crlf	 crlf;
	struct body_scan scan;		/* of what is kept */
	bool		 has_bare;	/* a CR or LF that is not of a CRLF */
	int		 error;		/* errno: it cannot be kept */
};

/* The folder is opened here, so that it may lie outside a cage that is put
 * round the process later; -1 with a text. */
int	spool_store_open(struct spool_store *, const char *folder,
	    char *error, size_t size);
void	spool_store_close(struct spool_store *);

void	spool_init(struct spool *, struct spool_store *, uint64_t max,
	    bool normalize);
void	spool_clear(struct spool *);
/* As many bytes will come, says the client: a hint for where to keep them. */
void	spool_expect(struct spool *, uint64_t len);
/* Adds bytes.  Faults are kept in the spool: `error`, is_too_large(). */
void	spool_add(void *spool, const char *, size_t);
static inline bool
spool_is_too_large(const struct spool *s)
{
	return s->max != 0 && s->len > s->max;
}
/* All is there: the body, which lives as long as the spool does (`fd` too, of
 * which frames take duplicates); -1 with the error of the spool. */
int	spool_finish(struct spool *, struct body *);

#endif
