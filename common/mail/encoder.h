/*
 * encoder.h - 8-bit content as quoted-printable or base64 (RFC 2045 §6.7,
 * §6.8), in lines of at most 76 columns that end with CRLF.
 */
#ifndef MAIL_ENCODER_H
#define MAIL_ENCODER_H

#include <stdbool.h>
#include <stddef.h>

#define ENCODER_COLUMNS	76	/* RFC 2045 §6.7, §6.8 */

enum encoder_how { ENCODER_NONE, ENCODER_QP, ENCODER_BASE64 };

/* Content in pieces; all zero but for how at its start. */
struct encoder {
	enum encoder_how how;
	unsigned	 column;
	/* quoted-printable */
	bool		 after_cr;	/* whose line end is written */
	char		 blank;		/* not yet written, or NUL */
	char		 start[5];	/* of the line, as written */
	/* base64 */
	char		 rest[3];
	unsigned	 nrest;
};

/*
 * Each byte makes at most 3, and after 73 of them or more there are 3 for a
 * line break; a byte may be left from before, and the last line needs an end.
 */
#define ENCODER_ROOM(n)		(4 * (n) + 16)
#define ENCODER_PIECE(room)	(((room) - 16) / 4)

/*
 * The next n bytes; to must have ENCODER_ROOM(n) bytes.  Returns how many were
 * written.
 */
size_t	encoder_add(struct encoder *, char *to, const char *, size_t n);
/*
 * What is left, ENCODER_ROOM(0) bytes at most.  The last line gets an end only
 * where the message ends with it (is_last).
 */
size_t	encoder_finish(struct encoder *, char *to, bool is_last);

#endif
