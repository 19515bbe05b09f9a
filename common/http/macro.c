/* macro.c - values of headers with facts of the delivery in them. */
#include "http/macro.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/json.h"

#define EXPANDED_MAX	(8 * 1024)	/* no server takes a longer line */
#define LOOKED_AT	(64 * 1024)	/* bytes, for the Message-Id */

enum macro { SENDER, RECIPIENT, MESSAGE_ID, QUEUE_ID, ENVID, SIZE, ATTEMPTS,
    CLIENT_IP, CLIENT_HOST, CLIENT_EHLO, CLIENT_PROTOCOL, CLIENT_AUTH,
    MACROS };

static const char *const names[MACROS] = {
	[SENDER] = "sender", [RECIPIENT] = "recipient",
	[MESSAGE_ID] = "message_id", [QUEUE_ID] = "queue_id",
	[ENVID] = "envid", [SIZE] = "size", [ATTEMPTS] = "attempts",
	[CLIENT_IP] = "client_ip", [CLIENT_HOST] = "client_host",
	[CLIENT_EHLO] = "client_ehlo", [CLIENT_PROTOCOL] = "client_protocol",
	[CLIENT_AUTH] = "client_auth",
};

/* The macro whose opening brace was passed, MACROS if there is none. */
static enum macro
find(const char *p, size_t *len_r)
{
	int i;

	for (i = 0; i < MACROS; i++) {
		*len_r = strlen(names[i]);
		if (strncmp(p, names[i], *len_r) == 0 && p[*len_r] == '}')
			return (enum macro)i;
	}
	return MACROS;
}

const char *
macro_check(const char *value)
{
	const char *p;
	size_t len;

	for (p = value; *p != '\0'; p++) {
		if (*p != '{' && *p != '}')
			continue;
		if (p[1] == *p)
			p++;
		else if (*p == '}')
			return "has a } that closes nothing (}} is a brace)";
		else if (find(p + 1, &len) == MACROS)
			return "has an unknown macro; there are {sender}, "
			    "{recipient}, {message_id}, {queue_id}, {envid}, "
			    "{size}, {attempts}, {client_ip}, {client_host}, "
			    "{client_ehlo}, {client_protocol}, {client_auth}";
		else
			p += len + 1;
	}
	return NULL;
}

static const char *
message_id(const struct envelope *env, struct arena *arena)
{
	size_t max = env->body.len < LOOKED_AT ? (size_t)env->body.len :
	    LOOKED_AT, len, n;
	char *scratch = env->body.mem != NULL ? NULL : xmalloc(max + 1);
	const char *header, *value, *id = "";

	header = json_header_read(&env->body, scratch, max, &len);
	if (header != NULL) {
		value = header_field(header, len, "Message-Id", &n);
		id = arena_strndup(arena, value, n);
	}
	free(scratch);
	return id;
}

static const char *
value_of(enum macro m, const struct envelope *env, const char *recipient,
    struct arena *arena)
{
	switch (m) {
	case SENDER:
		return env->sender;
	case RECIPIENT:
		return recipient;
	case MESSAGE_ID:
		return message_id(env, arena);
	case QUEUE_ID:
		return env->id;
	case ENVID:
		return env->envid;
	case SIZE:
		return arena_printf(arena, "%llu",
		    (unsigned long long)env->body.len);
	case ATTEMPTS:
		return arena_printf(arena, "%u", env->attempts);
	case CLIENT_IP:
		return env->client_ip;
	case CLIENT_HOST:
		return env->client_host;
	case CLIENT_EHLO:
		return env->client_helo;
	case CLIENT_PROTOCOL:
		return env->client_proto;
	case CLIENT_AUTH:
		return env->client_auth;
	default:
		return NULL;
	}
}

/* What a fact says; no control character of it may end the line. */
static void
add_fact(struct buf *b, const char *fact)
{
	char c;

	for (; fact != NULL && *fact != '\0'; fact++) {
		c = (unsigned char)*fact < 0x20 || *fact == 0x7f ? '?' : *fact;
		buf_add(b, &c, 1);
	}
}

const char *
macro_expand(const char *value, const struct envelope *env,
    const char *recipient, struct arena *arena)
{
	const char *p, *text;
	enum macro m;
	struct buf b;
	size_t len;

	if (strpbrk(value, "{}") == NULL)
		return value;
	buf_init(&b, EXPANDED_MAX);
	for (p = value; *p != '\0'; p++) {
		if (*p == '{' && (m = find(p + 1, &len)) != MACROS) {
			add_fact(&b, value_of(m, env, recipient, arena));
			p += len + 1;
			continue;
		}
		if ((*p == '{' || *p == '}') && p[1] == *p)
			p++;
		buf_add(&b, p, 1);
	}
	text = arena_strndup(arena, buf_len(&b) == 0 ? "" : buf_data(&b),
	    buf_len(&b));
	buf_clear(&b);
	return text;
}
