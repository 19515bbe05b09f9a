/* json.c - a message as a JSON object. */
#include "http/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/message.h"

/* ---- strings ---- */

/* Bytes of the UTF-8 character at p, 0 if there is none (RFC 3629 §4). */
static size_t
utf8_len(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return len <= n && str_is_utf8(p, len) ? len : 0;
}

/* A byte that cannot stand for itself. */
static int
put_escaped(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		return buf_add(b, "\\\"", 2);
	case '\\':
		return buf_add(b, "\\\\", 2);
	case '\n':
		return buf_add(b, "\\n", 2);
	case '\r':
		return buf_add(b, "\\r", 2);
	case '\t':
		return buf_add(b, "\\t", 2);
	default:
		return buf_printf(b, "\\u%04x", c);
	}
}

static bool
is_plain(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x20 && u < 0x7f && u != '"' && u != '\\';
}

int
json_put_string(struct buf *b, const char *p, size_t n)
{
	size_t len;
	int status = buf_add(b, "\"", 1);

	for (; n > 0 && status == 0; p += len, n -= len) {
		for (len = 0; len < n && is_plain(p[len]); len++)
			;
		if (len > 0)
			status = buf_add(b, p, len);
		else if ((len = utf8_len(p, n)) > 1)
			status = buf_add(b, p, len);
		else if (len == 1)
			status = put_escaped(b, (unsigned char)*p);
		else {
			len = 1;
			status = buf_puts(b, "\\ufffd");
		}
	}
	return status == 0 ? buf_add(b, "\"", 1) : -1;
}

/* ---- the header ---- */

struct field {
	const char	*name, *value;
	size_t		 name_len, value_len;
};

static const char *
line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf == NULL ? end : lf + 1;
}

/* The field at *p, with the lines that are folded behind it (RFC 5322
 * §2.2.3); false: the header is over. */
static bool
next_field(const char **p, const char *end, struct field *f)
{
	const char *line = *p, *colon, *at, *stop;

	if (line == end)
		return false;
	at = line_end(line, end);
	colon = memchr(line, ':', (size_t)(at - line));
	if (colon == NULL || colon == line)
		return false;
	f->name = line;
	f->name_len = (size_t)(colon - line);
	while (f->name_len > 0 && (line[f->name_len - 1] == ' ' ||
	    line[f->name_len - 1] == '\t'))
		f->name_len--;		/* RFC 5322 §4.5 */
	for (stop = line; stop < line + f->name_len; stop++)
		if ((unsigned char)*stop <= 0x20 || *stop == 0x7f)
			return false;
	if (f->name_len == 0)
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at = line_end(at, end);
	*p = at;
	for (colon++; colon < at && strchr(" \t\r\n", *colon) != NULL &&
	    *colon != '\0'; colon++)
		;
	while (at > colon && strchr(" \t\r\n", at[-1]) != NULL &&
	    at[-1] != '\0')
		at--;
	f->value = colon;
	f->value_len = (size_t)(at - colon);
	return true;
}

/* Without the line ends of folding. */
static int
put_unfolded(struct buf *b, const char *p, size_t n)
{
	char *flat;
	size_t i, at = 0;
	int status;

	if (memchr(p, '\n', n) == NULL)
		return json_put_string(b, p, n);
	if ((flat = malloc(n)) == NULL)
		return -1;
	for (i = 0; i < n; i++)
		if (p[i] != '\n' && !(p[i] == '\r' && i + 1 < n &&
		    p[i + 1] == '\n'))
			flat[at++] = p[i];
	status = json_put_string(b, flat, at);
	free(flat);
	return status;
}

int
json_put_fields(struct buf *b, const char *p, size_t n)
{
	const char *end = p + n;
	struct field f;
	bool is_first = true;

	if (buf_add(b, "[", 1) == -1)
		return -1;
	while (next_field(&p, end, &f)) {
		if (buf_puts(b, is_first ? "[" : ",[") == -1 ||
		    json_put_string(b, f.name, f.name_len) == -1 ||
		    buf_add(b, ",", 1) == -1 ||
		    put_unfolded(b, f.value, f.value_len) == -1 ||
		    buf_add(b, "]", 1) == -1)
			return -1;
		is_first = false;
	}
	return buf_add(b, "]", 1);
}

const char *
header_field(const char *header, size_t n, const char *name, size_t *len_r)
{
	const char *p = header, *end = header + n;
	struct field f;

	while (next_field(&p, end, &f))
		if (f.name_len == strlen(name) &&
		    strncasecmp(f.name, name, f.name_len) == 0) {
			*len_r = f.value_len;
			return f.value;
		}
	*len_r = 0;
	return header;
}

/* The bytes up to the empty line, or all that were read. */
static size_t
header_len(const char *p, size_t n)
{
	const char *at = p, *end = p + n;

	while (at < end && *at != '\n' && !(*at == '\r' && end - at > 1 &&
	    at[1] == '\n'))
		at = line_end(at, end);
	return (size_t)(at - p);
}

const char *
json_header_read(const struct body *body, char *to, size_t max, size_t *len_r)
{
	struct body_reader reader;
	const char *data, *start = to;
	size_t len = 0;
	int64_t n;

	if (body->mem != NULL) {
		*len_r = header_len(body->mem, body->len < max ?
		    (size_t)body->len : max);
		return body->mem;
	}
	body_reader_init(&reader, body);
	while (len < max && (n = body_read(&reader, to + len, max - len < 8192 ?
	    max - len : 8192, &data)) != 0) {
		if (n == -1)
			return NULL;
		if (data != to + len)
			memcpy(to + len, data, (size_t)n);
		len += (size_t)n;
		if (header_len(to, len) < len)
			break;
	}
	*len_r = header_len(to, len);
	return start;
}

/* ---- the object ---- */

static int
put_member(struct buf *b, const char *name, const char *value)
{
	if (buf_printf(b, ",\"%s\":", name) == -1)
		return -1;
	if (value == NULL)
		return buf_puts(b, "null");
	return json_put_string(b, value, strlen(value));
}

static int
put_rcpts(struct buf *b, const struct json_facts *facts)
{
	const char *addr;
	uint32_t i;

	for (i = 0; i < facts->nrcpt; i++) {
		addr = facts->rcpts[i];
		if (buf_puts(b, i == 0 ? "" : ",") == -1 ||
		    json_put_string(b, addr, strlen(addr)) == -1)
			return -1;
	}
	return buf_puts(b, "]");
}

static int
put_client(struct buf *b, const struct envelope *env)
{
	if (buf_puts(b, ",\"client\":{\"ip\":") == -1)
		return -1;
	if (env->client_ip == NULL ? buf_puts(b, "null") == -1 :
	    json_put_string(b, env->client_ip, strlen(env->client_ip)) == -1)
		return -1;
	if (put_member(b, "host", env->client_host) == -1 ||
	    put_member(b, "helo", env->client_helo) == -1 ||
	    put_member(b, "protocol", env->client_proto) == -1 ||
	    put_member(b, "auth", env->client_auth) == -1)
		return -1;
	return buf_puts(b, "}");
}

static int
put_envelope(struct buf *b, const struct json_facts *facts)
{
	const struct envelope *env = facts->env;

	if (buf_puts(b, "{\"version\":1,\"envelope\":{\"sender\":") == -1 ||
	    json_put_string(b, facts->sender, strlen(facts->sender)) == -1 ||
	    buf_puts(b, ",\"recipients\":[") == -1 ||
	    put_rcpts(b, facts) == -1 ||
	    put_member(b, "id", env->id) == -1 ||
	    put_member(b, "envid", env->envid) == -1 ||
	    put_member(b, "ehlo", facts->ehlo) == -1 ||
	    put_client(b, env) == -1)
		return -1;
	return buf_printf(b, ",\"attempts\":%u,\"arrival\":%lld.%03d}",
	    env->attempts, (long long)(env->arrival_ms / 1000),
	    (int)(env->arrival_ms % 1000));
}

int
json_begin(struct buf *b, const struct json_facts *facts)
{
	const struct body *body = &facts->env->body;
	size_t max = body->len < JSON_HEADER_MAX ? (size_t)body->len :
	    JSON_HEADER_MAX, len = 0;
	char *scratch = NULL;
	const char *header;
	int status = -1;

	if (body->mem == NULL)
		scratch = xmalloc(max + 1);
	if ((header = json_header_read(body, scratch, max, &len)) != NULL &&
	    put_envelope(b, facts) == 0 &&
	    buf_puts(b, ",\"headers\":") == 0 &&
	    json_put_fields(b, header, len) == 0 &&
	    buf_printf(b, ",\"headers_truncated\":%s,\"size\":%llu,"
	    "\"message\":\"", len == JSON_HEADER_MAX ? "true" : "false",
	    (unsigned long long)body->len) == 0)
		status = 0;
	free(scratch);
	return status;
}
