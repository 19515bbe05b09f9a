/*
 * header.h - the header section of a message (RFC 5322 §2.2) and its fields.
 *
 * The section ends with the first empty line; no more than HEADER_BYTES_MAX of
 * it are looked at.  Case of a name does not count; blanks before the colon
 * (§4.5) are fine; a line that begins with a blank goes on with the field
 * before it.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"

struct arena;

#define HEADER_BYTES_MAX	(256 * 1024)

enum header_lines {
	HEADER_LF,		/* a line ends with LF or CRLF */
	HEADER_LONE_CR,		/* or with CR, as crlf_convert() sees it */
};

struct header {
	const char	*text;	/* in the body's own memory or the arena */
	size_t		 len;	/* up to the empty line */
	bool		 is_cut;	/* there is more of it */
	enum header_lines lines;
};

/* Both borrowed of the header, neither ends in NUL. */
struct header_field {
	const char	*name;		/* without blanks behind it */
	size_t		 name_len;	/* 0: the line is no field */
	const char	*value;		/* without blanks around it; folded */
	size_t		 value_len;

	/* private */
	const char	*next;		/* what follows */
	enum header_lines lines;
};

/* The header of a body; 0, or -1 with errno. */
int	header_read(struct header *, const struct body *, enum header_lines,
	    struct arena *);
/* The field behind *f, a zeroed *f: the first; false: there is none. */
bool	header_next(const struct header *, struct header_field *f);
/* ... of that name. */
bool	header_find(const struct header *, const char *name,
	    struct header_field *f);

/* The value in one line, of at most value_len bytes; returns how many. */
size_t	header_unfold(const struct header_field *, char *to);
/* The same as a string; '?' stands for a NUL. */
const char *header_value(const struct header_field *, struct arena *);
/* The first field of that name; NULL: there is none. */
const char *header_get(const struct header *, const char *name,
	    struct arena *);

/* A Delivered-To with this address (unquoted form): the message has been
 * here. */
bool	header_has_delivered_to(const struct header *, const char *addr,
	    struct arena *);
/*
 * "TLS-Required: No" (RFC 8689 §3): the sender would rather have the message
 * in clear than not at all.  One field with exactly that value; more of them,
 * or any other value, ask for nothing.  False too where the body cannot be
 * read, or not all of its header is looked at.
 */
bool	header_waives_tls(const struct body *);

#endif
