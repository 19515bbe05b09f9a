/*
 * json.h - a message as a JSON object (RFC 8259), for those who write web
 * hooks: envelope, header fields, and the whole message as base64.  The
 * members are told in http(8).
 */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/envelope.h"

#define JSON_HEADER_MAX	(256 * 1024)	/* bytes of a header that are looked at */

/* Room that json_begin() may need: every byte as \uXXXX, and the envelope. */
#define JSON_BEGIN_MAX	(6 * JSON_HEADER_MAX + 16 * 1024 * 1024)

/* What is told of a message; its addresses as they are written in SMTP. */
struct json_facts {
	const struct envelope *env;
	const char	*ehlo, *sender;
	const char *const *rcpts;	/* of this request */
	uint32_t	 nrcpt;
};

/*
 * Everything up to the base64 of the message, which JSON_END ends.  -1 with
 * errno: the header could not be read, or the ceiling of the buffer.
 */
int	json_begin(struct buf *, const struct json_facts *);
#define JSON_END	"\"}\n"

/*
 * A string; bytes that are not UTF-8 become U+FFFD.  -1: the ceiling of the
 * buffer.
 */
int	json_put_string(struct buf *, const char *, size_t n);

/*
 * The header fields at the start of a message, as a list of [name, value]
 * pairs: folded lines joined, values without blanks around them.  It ends at
 * the first empty line, or the first that is no field.
 */
int	json_put_fields(struct buf *, const char *, size_t n);

/*
 * The value of a field of that name, the first; its length is 0 where there is
 * none.  Borrowed, folded lines as they are.
 */
const char *header_field(const char *header, size_t n, const char *name,
	    size_t *len_r);

/*
 * The start of a message, at most max bytes of it: where they are, in the
 * body's own memory or in to.  NULL with errno.
 */
const char *json_header_read(const struct body *, char *to, size_t max,
	    size_t *len_r);

#endif
