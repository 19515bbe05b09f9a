/*
 * fields.h - the fields of a message's header that matter to a delivery.
 */
#ifndef MAIL_FIELDS_H
#define MAIL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"

struct arena;

#define FIELDS_BYTES_MAX	(256 * 1024)	/* looked at */

struct fields {			/* in an arena */
	char		*text;		/* folded lines joined, each ends in NUL */
	size_t		 len;
};

/* The header of a body; 0 or -1 with errno. */
int	fields_read(struct fields *, const struct body *, struct arena *);
/* The value of the next field of that name behind `after` (NULL: the first),
 * without the blanks around it; NULL: no more. */
const char *fields_find(const struct fields *, const char *name,
	    const char *after);
/* A Delivered-To with this address (unquoted form): the message has been
 * here. */
bool	fields_has_delivered_to(const struct fields *, const char *addr,
	    struct arena *);

#endif
