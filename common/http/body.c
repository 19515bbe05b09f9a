/* body.c - the bytes of a request's body, made as they are needed. */
#include "http/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"

#define RAW_PIECE	(12 * 1024)	/* a multiple of 3 */

int
http_body_init(struct http_body *b, enum body_format format,
    const struct json_facts *facts)
{
	memset(b, 0, sizeof(*b));
	b->message = &facts->env->body;
	b->format = format;
	buf_init(&b->begin, JSON_BEGIN_MAX);
	body_reader_init(&b->reader, b->message);
	if (format == FORMAT_RFC822) {
		b->len = b->message->len;
		return 0;
	}
	if (json_begin(&b->begin, facts) == -1) {
		buf_clear(&b->begin);
		return -1;
	}
	b->len = buf_len(&b->begin) + BASE64_LEN(b->message->len) +
	    strlen(JSON_END);
	return 0;
}

void
http_body_clear(struct http_body *b)
{
	buf_clear(&b->begin);
	free(b->piece);
	b->piece = NULL;
}

void
http_body_rewind(struct http_body *b)
{
	b->at = 0;
	b->piece_at = b->piece_len = 0;
	body_reader_init(&b->reader, b->message);
}

const char *
http_body_memory(const struct http_body *b)
{
	return b->format == FORMAT_RFC822 ? b->message->mem : NULL;
}

static int64_t
read_raw(struct http_body *b, char *to, size_t max)
{
	const char *data;
	int64_t n = body_read(&b->reader, to, max, &data);

	if (n > 0 && data != to)
		memcpy(to, data, (size_t)n);
	return n;
}

/* Whole groups of three bytes but at the end, else padding would stand in the
 * middle (RFC 4648 §4). */
static int
fill_piece(struct http_body *b)
{
	char raw[RAW_PIECE];
	size_t len = 0;
	int64_t n = 0;

	while (len < sizeof(raw) &&
	    (n = read_raw(b, raw + len, sizeof(raw) - len)) > 0)
		len += (size_t)n;
	if (n == -1)
		return -1;
	if (b->piece == NULL)
		b->piece = xmalloc(BASE64_LEN(RAW_PIECE) + 1);
	b->piece_len = base64_encode(b->piece, raw, len);
	b->piece_at = 0;
	return 0;
}

static size_t
copy(char *to, size_t max, const char *from, size_t n)
{
	if (n > max)
		n = max;
	memcpy(to, from, n);
	return n;
}

static int64_t
read_json(struct http_body *b, char *to, size_t max)
{
	uint64_t begin = buf_len(&b->begin), end = b->len - strlen(JSON_END);
	size_t n;

	if (b->at < begin)
		return (int64_t)copy(to, max, buf_data(&b->begin) + b->at,
		    (size_t)(begin - b->at));
	if (b->at >= end)
		return (int64_t)copy(to, max, &JSON_END[b->at - end],
		    (size_t)(b->len - b->at));
	if (b->piece_at == b->piece_len && fill_piece(b) == -1)
		return -1;
	n = copy(to, max, b->piece + b->piece_at, b->piece_len - b->piece_at);
	b->piece_at += n;
	return (int64_t)n;
}

int64_t
http_body_read(struct http_body *b, char *to, size_t max)
{
	int64_t n = b->format == FORMAT_JSON ? read_json(b, to, max) :
	    read_raw(b, to, max);

	if (n > 0)
		b->at += (uint64_t)n;
	return n;
}
