/*
 * message.h - the bytes of a message on their way out: read from memory or a
 * descriptor, line ends made CRLF, dots stuffed.
 *
 * RFC 5321 §2.3.8: a line ends with CRLF and CR and LF stand nowhere else, so
 * a lone LF and a lone CR (also a run of them: CR CR LF is a lone CR and a
 * CRLF) each become CRLF; nothing a message holds can be taken for the
 * end of data (§4.5.2), whoever reads it.  All other bytes pass unchanged.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/envelope.h"

/* State of the conversion between two pieces of the input. */
struct crlf {
	bool	 stuff;		/* double a dot at the start of a line */
	bool	 at_bol;	/* at the start of a line; not while after_cr */
	bool	 after_cr;	/* the input ended in CR, not yet written */
};

void	crlf_init(struct crlf *, bool stuff);
/*
 * Convert n bytes; to must have room for crlf_room(n) bytes.  Returns the
 * bytes written.  A CR at the very end is held back until the next call.
 */
size_t	crlf_convert(struct crlf *, char *to, const char *from, size_t n);
/*
 * The end of the input: writes what is held back, and CRLF where the last line
 * has no end.  An empty message stays empty.  At most 2 bytes.
 */
size_t	crlf_finish(struct crlf *, char *to);

static inline size_t
crlf_room(size_t n)
{
	return 2 * n + 4;	/* every byte a lone LF, or a dot stuffed */
}

/* A body being read from its start, in order. */
struct body_reader {
	const struct body *body;	/* borrowed */
	uint64_t	 at;		/* bytes read so far */
};

void	body_reader_init(struct body_reader *, const struct body *);
/*
 * The next bytes, at most max: sets *data_r to memory of the body itself or to
 * scratch (max bytes, filled by pread()).  Returns how many; 0 at the end;
 * -1 with errno (EIO where the descriptor ends before the body's length).
 */
int64_t	body_read(struct body_reader *, char *scratch, size_t max,
	    const char **data_r);
static inline uint64_t
body_left(const struct body_reader *r)
{
	return r->body->len - r->at;
}

/* What a look over the whole body finds; one pass, at the speed of memory. */
struct body_facts {		/* lines as crlf_convert() sees them */
	bool	 has_8bit;	/* a byte >= 0x80 anywhere */
	bool	 header_8bit;	/* ... before the first empty line */
	bool	 has_nul;
	bool	 has_long_line;	/* over 998 bytes without its end
				 * (RFC 5321 §4.5.3.1.6) */
	bool	 is_clean;	/* every line ends CRLF, also the last, no lone
				 * CR or LF: wire_len is the body's own */
	bool	 has_dot_line;	/* a line that starts with a dot */
	uint64_t wire_len;	/* once converted and finished, not stuffed */
};

/* The same in pieces; facts are right after body_scan_finish(). */
struct body_scan {
	struct body_facts facts;
	uint64_t	 line_len;
	bool		 in_body, at_bol, after_cr;
};

void	body_scan_init(struct body_scan *);
void	body_scan_add(struct body_scan *, const char *, size_t);
void	body_scan_finish(struct body_scan *);

/*
 * Its bytes cannot change any more: a memfd sealed against writing and
 * shrinking.  False for memory, files, and where the system does not tell.
 */
bool	body_is_sealed(const struct body *);

/* The whole body; 0, or -1 with errno. */
int	body_look(const struct body *, struct body_facts *);

#endif
