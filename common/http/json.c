/* json.c - a message as a JSON object. */
#include "http/json.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

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

/* Bytes that are not UTF-8 become U+FFFD. */
static int
put_string(struct buf *b, const char *p, size_t n)
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

/* A list of [name, value] pairs, which ends at the first line that is no
 * field. */
static int
put_header(struct buf *b, const struct header *h, struct arena *arena)
{
	struct header_field f = { .next = NULL };
	const char *sep = "[";
	char *value;

	if (buf_add(b, "[", 1) == -1)
		return -1;
	for (; header_next(h, &f) && f.name_len > 0; sep = ",[") {
		value = arena_alloc(arena, f.value_len + 1);
		if (buf_puts(b, sep) == -1 ||
		    put_string(b, f.name, f.name_len) == -1 ||
		    buf_add(b, ",", 1) == -1 ||
		    put_string(b, value, header_unfold(&f, value)) == -1 ||
		    buf_add(b, "]", 1) == -1)
			return -1;
	}
	return buf_add(b, "]", 1);
}

/* ---- the object ---- */

static int
put_member(struct buf *b, const char *name, const char *value)
{
	if (buf_printf(b, ",\"%s\":", name) == -1)
		return -1;
	if (value == NULL)
		return buf_puts(b, "null");
	return put_string(b, value, strlen(value));
}

static int
put_rcpts(struct buf *b, const struct json_facts *facts)
{
	const char *addr;
	uint32_t i;

	for (i = 0; i < facts->nrcpt; i++) {
		addr = facts->rcpts[i];
		if (buf_puts(b, i == 0 ? "" : ",") == -1 ||
		    put_string(b, addr, strlen(addr)) == -1)
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
	    put_string(b, env->client_ip, strlen(env->client_ip)) == -1)
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
	    put_string(b, facts->sender, strlen(facts->sender)) == -1 ||
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
	struct arena *arena = arena_new(0);
	struct header h;
	int status = -1;

	if (header_read(&h, body, HEADER_LF, arena) == 0 &&
	    put_envelope(b, facts) == 0 &&
	    buf_puts(b, ",\"headers\":") == 0 &&
	    put_header(b, &h, arena) == 0 &&
	    buf_printf(b, ",\"headers_truncated\":%s,\"size\":%llu,"
	    "\"message\":\"", h.is_cut ? "true" : "false",
	    (unsigned long long)body->len) == 0)
		status = 0;
	arena_free(arena);
	return status;
}
