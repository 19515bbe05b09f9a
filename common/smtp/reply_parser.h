/*
 * reply_parser.h - replies of an SMTP server (RFC 5321 §4.2.1), as they come.
 *
 * Lines end with LF, a CR before it is dropped; "250" alone is a whole line;
 * bytes >= 0x80 are taken as they are.  A line over 2,048 bytes, more than 100
 * lines, a code outside 200..559 and codes that change within a reply are
 * protocol errors.
 */
#ifndef SMTP_REPLY_PARSER_H
#define SMTP_REPLY_PARSER_H

#include <stddef.h>
#include <stdint.h>

#define SMTP_LINE_MAX	2048
#define SMTP_LINES_MAX	100
#define SMTP_CHALLENGE_MAX 12288	/* a 334 line (RFC 4954 §4) */

struct raw_reply {
	uint16_t	 code;
	uint16_t	 nlines;
	const char	*lines;		/* as received, borrowed */
	size_t		 len;		/* of all lines, with their ends */
};

/* What is known of a reply that has not come whole. */
struct reply_parser {
	size_t		 at;		/* start of the first unfinished line */
	uint16_t	 code;
	uint16_t	 nlines;
};

enum parse_result { PARSE_MORE, PARSE_DONE, PARSE_BAD };

/*
 * The reply at the start of the n bytes at p, which are the same (and perhaps
 * more) bytes on each call until DONE or BAD; both reset the parser.
 */
enum parse_result reply_parse(struct reply_parser *, const char *p, size_t n,
		    struct raw_reply *);

/*
 * The text of a reply: without codes, lines joined by LF.  Returns the length
 * written, at most size.
 */
size_t	raw_reply_text(const struct raw_reply *, char *to, size_t size);

/* One line of it, from 0: its text and length; NULL beyond the last. */
const char *raw_reply_line(const struct raw_reply *, unsigned i,
	    size_t *len_r);

#endif
