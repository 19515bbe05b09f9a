/*
 * content.h - the message as a program gets it on its stdin: line ends, the
 * lines put before it, and the quoting that some programs need.
 *
 * The letters are those of the flags of Postfix's pipe(8).
 */
#ifndef PIPE_CONTENT_H
#define PIPE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"
#include "mail/message.h"

struct arena;

enum {
	CONTENT_BLANK = 0x01,		/* B: an empty line at the end */
	CONTENT_DELIVERED_TO = 0x02,	/* D */
	CONTENT_FROM_LINE = 0x04,	/* F: "From sender date" */
	CONTENT_ORIGINAL_TO = 0x08,	/* O: X-Original-To */
	CONTENT_RETURN_PATH = 0x10,	/* R */
	CONTENT_DOT = 0x20,		/* .: a dot before a line's first dot */
	CONTENT_QUOTE_FROM = 0x40,	/* >: before "From " at a line's start */
	CONTENT_CRLF = 0x80		/* lines end with CRLF, not LF */
};

/*
 * The lines before the message.  The sender and the recipient as macro.h
 * shows them with MACRO_QUOTE; original is what X-Original-To tells.
 */
const char *content_prefix(unsigned how, const char *sender,
	    const char *recipient, const char *original, int64_t now_s,
	    struct arena *);

/* Whether every byte of the body stays as it is; 0 or -1 with errno. */
int	content_is_as_is(const struct body *, uint32_t env_flags, unsigned how,
	    bool *as_is_r);

/* ---- the body in pieces ---- */

struct content {
	unsigned	 how;
	struct crlf	 crlf;		/* with CONTENT_CRLF */
	bool		 after_cr;	/* without: a CR is held back */
	bool		 at_bol;	/* of what was written */
	bool		 is_empty;	/* nothing was read yet */
	unsigned	 held;		/* bytes of "From " seen at its start */
};

void	content_init(struct content *, unsigned how);
/*
 * What n bytes become; to must have content_room(n) bytes and may not overlap.
 * Returns the bytes written; the end of the piece may be held back.
 */
size_t	content_convert(struct content *, char *to, const char *from,
	    size_t n);
/* The end: what was held back, the end of the last line, B's empty line; at
 * most CONTENT_END_MAX bytes. */
#define CONTENT_END_MAX	16
size_t	content_finish(struct content *, char *to);

static inline size_t
content_room(size_t n)
{
	return 4 * n + 16;	/* twice by line ends, and that by dots */
}

#endif
