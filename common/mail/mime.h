/*
 * mime.h - the structure of a message, found in a stream: which bytes are
 * header, which are the content of a part, which lie outside of parts
 * (RFC 2045, RFC 2046).
 *
 * Fed with pieces of the message as it is stored.  A line ends with CRLF, LF
 * or CR, as crlf_convert() sees it, so that the structure is the one the next
 * server will see.  A header reaches to its first empty line, whatever its
 * lines look like.  Nothing is decoded and no part is kept: memory is bounded
 * by the limits below.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MIME_PARTS_MAX		1000
#define MIME_DEPTH_MAX		100		/* parts within each other */
#define MIME_HEADER_MAX		(64 * 1024)	/* bytes of one header */
#define MIME_BOUNDARY_MAX	70		/* RFC 2046 §5.1.1 */
#define MIME_NAME_MAX		63		/* of a type; the rest is cut */

enum mime_encoding {		/* Content-Transfer-Encoding, RFC 2045 §6.1 */
	MIME_UNSTATED,
	MIME_7BIT,
	MIME_8BIT,
	MIME_BINARY,
	MIME_QUOTED_PRINTABLE,
	MIME_BASE64,
	MIME_UNKNOWN		/* any other word */
};

static inline bool
mime_is_identity(enum mime_encoding e)	/* the content is as it stands */
{
	return e <= MIME_BINARY;
}

struct mime_type {		/* a Content-Type, RFC 2045 §5.1 */
	char	 name[MIME_NAME_MAX + 1];	/* "text/plain", lower case */
	char	 smime[32];	/* smime-type (RFC 8551 §3.2.2), or "" */
	char	 boundary[MIME_BOUNDARY_MAX + 1]; /* "": no good one */
};

/*
 * The value of a field, unfolded or not.  False: no type can be read from it,
 * and text/plain was filled in (RFC 2045 §5.2).
 */
bool	mime_type_parse(struct mime_type *, const char *, size_t);
enum mime_encoding mime_encoding_parse(const char *, size_t);

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART,		/* with a boundary */
	MIME_MESSAGE		/* message/rfc822: holds one part */
};

struct mime_part {
	enum mime_kind	 kind;
	enum mime_encoding encoding;
	struct mime_type type;		/* the default, if none is given */
	unsigned	 depth;		/* 0: the message itself */
	unsigned	 number;	/* among the parts beside it, from 1 */
	bool		 is_message;	/* the header is that of a message */
	bool		 has_dkim;	/* DKIM-Signature (RFC 6376 §3.5) */
	bool		 header_8bit;
	unsigned	 ntypes;	/* Content-Type; the first counts */
	unsigned	 nencodings;	/* Content-Transfer-Encoding, alike */
	unsigned	 nversions;	/* MIME-Version */

	/* Where the encoding field stands, and its length with CRLFs. */
	uint64_t	 encoding_start, encoding_end, encoding_len;
	uint64_t	 header_end;	/* where the empty line begins */
	uint64_t	 body_start;	/* behind it; if there is one */
	uint64_t	 body_end;	/* without the line end of a delimiter;
					 * known to end() only */
	/* private */
	unsigned	 nparts;
};

/*
 * Called in the order of the message: header() when a part's header is
 * complete, text() for its bytes as stored, in pieces, end() when it is over.
 * Text of a MIME_MULTIPART is what stands outside of its parts, without the
 * line end before a delimiter.
 */
struct mime_events {
	void	(*header)(void *, const struct mime_part *);
	void	(*text)(void *, const struct mime_part *, const char *, size_t);
	void	(*end)(void *, const struct mime_part *);
};

struct mime {			/* private but for error and at */
	const char	*error;		/* the limit that was passed */
	uint64_t	 at;		/* bytes seen */
	const struct mime_events *events;
	void		*arg;
	struct mime_part stack[MIME_DEPTH_MAX];
	char		 first[MIME_DEPTH_MAX];	/* byte of a boundary that may
						 * come, by depth; or NUL */
	unsigned	 depth, nparts;
	enum { MIME_IN_HEADER, MIME_IN_BODY, MIME_IN_LINE } mode;

	struct buf	 line;		/* a field and the line behind it, or a
					 * line that may be a delimiter */
	uint64_t	 line_at;	/* where the line began */
	char		 eol[2];	/* its end */
	uint8_t		 eol_len;
	bool		 after_cr;	/* ... of which LF may still come */

	size_t		 field_len;	/* 0: no field yet */
	uint64_t	 field_at;
	unsigned	 field_lines;
	size_t		 header_len;

	bool		 at_bol;	/* in a body: at the start of a line */
	char		 held[2];	/* the line end before it */
	uint8_t		 nheld;
};

void	mime_init(struct mime *, const struct mime_events *, void *arg);
void	mime_clear(struct mime *);
/* 0, or -1 with error where a limit is passed; then nothing more is read. */
int	mime_add(struct mime *, const char *, size_t);
int	mime_finish(struct mime *);	/* the end of the message */

#endif
