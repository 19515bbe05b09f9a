/*
 * memo.h - what was found of some hosts lately: a bounded memory by address
 * and port, each row with an end of its own.  For hosts whose TLS is broken,
 * that do not answer, that refused the login.
 *
 * Times are the caller's, in milliseconds.  A row beyond its end stays until
 * its room is needed, so that a caller can tell "no longer" from "never".
 */
#ifndef SMTP_MEMO_H
#define SMTP_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

#define MEMO_MAX	4096	/* rows; a power of 2 */
#define MEMO_CHAINS	1024

struct memo_row {
	struct addr	 addr;
	int64_t		 since_ms, until_ms;
	unsigned	 code;		/* of the server's reply, or 0 */
	char		*text;		/* owned; or NULL */
	uint16_t	 next;		/* memo.c's */
};

struct memo {			/* all zero is an empty one */
	struct memo_row	*rows;
	uint32_t	 n, cap;
	uint16_t	*chains;
};

/* Also one beyond its end; NULL: none.  Good until the next note. */
struct memo_row *memo_find(const struct memo *, const struct addr *);

static inline bool
memo_is_live(const struct memo_row *row, int64_t now_ms)
{
	return row != NULL && row->until_ms > now_ms;
}

/* Instead of what was known of the host; of a full memory the row goes whose
 * end is nearest.  text is copied and may be NULL. */
void	 memo_note(struct memo *, const struct addr *, int64_t now_ms,
	    int64_t wait_ms, unsigned code, const char *text);
void	 memo_forget(struct memo *, const struct addr *);
void	 memo_clear(struct memo *);

#endif
