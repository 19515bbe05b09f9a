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
#include "mail/header.h"

/* Room that json_begin() may need: every byte as \uXXXX, and the envelope. */
#define JSON_BEGIN_MAX	(6 * HEADER_BYTES_MAX + 16 * 1024 * 1024)

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

#endif
