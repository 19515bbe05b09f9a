/*
 * body.h - the bytes of a request's body, made as they are needed: the message
 * as it is, or inside a JSON object.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/json.h"
#include "mail/message.h"

enum body_format { FORMAT_RFC822, FORMAT_JSON };

struct http_body {
	const struct body *message;	/* borrowed, as all of the facts */
	enum body_format format;
	uint64_t	 len;		/* of the whole, exactly */
	uint64_t	 at;		/* bytes given out */
	struct body_reader reader;
	struct buf	 begin;		/* JSON: what precedes the message */
	char		*piece;		/* base64 not given out yet */
	size_t		 piece_at, piece_len;
};

/*
 * For the message of an envelope.  -1 with errno where the header of the
 * message cannot be read.  What it holds goes with http_body_clear().
 */
int	http_body_init(struct http_body *, enum body_format,
	    const struct json_facts *);
void	http_body_clear(struct http_body *);

/* The next bytes, at most max; 0: the end; -1 with errno. */
int64_t	http_body_read(struct http_body *, char *to, size_t max);
/* From the start again. */
void	http_body_rewind(struct http_body *);

static inline uint64_t
http_body_left(const struct http_body *b)
{
	return b->len - b->at;
}

/* The whole where it lies in memory already, else NULL. */
const char *http_body_memory(const struct http_body *);

#endif
