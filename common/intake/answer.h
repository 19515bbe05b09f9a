/* answer.h - what became of a recipient, as a reply of LMTP (RFC 2033 §4.2). */
#ifndef INTAKE_ANSWER_H
#define INTAKE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer;
struct arena;

#define ANSWER_LINE_MAX		512	/* with CRLF: RFC 5321 §4.5.3.1.5 */
#define ANSWER_LINES_MAX	50

/*
 * The whole reply, with its line ends, in the arena; its length.  A text of
 * several lines, or one that is too long for a line, makes several lines, the
 * last with the next hop's name[address]:port if that is who spoke.  Control
 * bytes become '?', and so does all that is no ASCII, unless the client may
 * get UTF-8 (RFC 6531 §3.5).
 *
 * The code is the next hop's, but for 421: here it would say that we close
 * (RFC 5321 §3.8), so it becomes 451 with the same enhanced code.
 */
size_t	answer_format(const struct answer *, bool utf8, struct arena *,
	    const char **text_r);

#endif
