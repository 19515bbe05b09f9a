/*
 * header.h - a field of a message's header section (RFC 5322 §2.2), found
 * without keeping any of the others.
 *
 * A line ends with CRLF, LF or CR, as crlf_convert() sees it; the section ends
 * with the first empty line, or beyond HEADER_BYTES_MAX.  Case of the name does
 * not count; blanks before the colon (§4.5) are fine; a folded value is one.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"

#define HEADER_BYTES_MAX	(256 * 1024)
#define HEADER_VALUE_MAX	256

struct header_scan {
	const char	*name;		/* lower case, borrowed */
	unsigned	 count;		/* of such fields */
	/* The first one's value, unfolded, without blanks around it; what is
	 * longer is cut, and is_cut tells. */
	char		 value[HEADER_VALUE_MAX + 1];
	bool		 is_cut;
	bool		 is_over;	/* the section */

	/* private */
	enum { HEADER_BOL, HEADER_NAME, HEADER_COLON, HEADER_VALUE,
	    HEADER_SKIP } at;
	size_t		 seen, matched, len;
	bool		 is_first, is_open, after_cr;
};

void	header_scan_init(struct header_scan *, const char *name);
/* A further piece of the message. */
void	header_scan_add(struct header_scan *, const char *, size_t);
/* After the last piece: the value is whole. */
void	header_scan_finish(struct header_scan *);

/* All of it for a body: 0, or -1 with errno. */
int	header_find(const struct body *, const char *name,
	    struct header_scan *);

/*
 * "TLS-Required: No" (RFC 8689 §3): the sender would rather have the message
 * in clear than not at all.  One field with exactly that value; more of them,
 * or any other value, ask for nothing.  False too where the body cannot be
 * read.
 */
bool	header_waives_tls(const struct body *);

#endif
