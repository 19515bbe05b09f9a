/* header_value.c - values of headers with facts of the delivery in them. */
#include "http/header_value.h"

#include <string.h>

#include "base/mem.h"
#include "mail/header.h"
#include "mail/macro.h"

#define VALUE_MAX	(8 * 1024)	/* no server takes a longer line */

const char *
header_value_check(const char *value)
{
	struct arena *arena = arena_new(1024);
	struct macro_word w;
	static char error[256];
	int result = macro_parse(&w, value, arena, error, sizeof(error));

	arena_free(arena);
	return result == 0 ? NULL : error;
}

static const char *
message_id(const struct envelope *env, struct arena *arena)
{
	const char *id = NULL;
	struct header h;

	if (header_read(&h, &env->body, HEADER_LF, arena) == 0)
		id = header_get(&h, "Message-Id", arena);
	return id == NULL ? "" : id;
}

/* No control character of a fact may end the line. */
static const char *
made_plain(const char *text, struct arena *arena)
{
	char *copy = arena_strndup(arena, text, strnlen(text, VALUE_MAX)), *p;

	for (p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return copy;
}

const char *
header_value_expand(const char *value, const struct envelope *env,
    const struct rcpt *rcpt, struct arena *arena)
{
	struct macro_values v;
	struct macro_word w;
	const char *error;
	char why[256];

	if (strpbrk(value, "{}") == NULL)
		return value;
	/* The options were checked, and so were the addresses. */
	if (macro_parse(&w, value, arena, why, sizeof(why)) == -1 ||
	    macro_set_message(&v, env, "", 0, arena, &error) == -1 ||
	    macro_set_rcpt(&v, rcpt, "", 0, arena, &error) == -1)
		return "";
	if ((w.uses & 1U << MACRO_MESSAGE_ID) != 0)
		v.v[MACRO_MESSAGE_ID] = message_id(env, arena);
	v.v[MACRO_SIZE] = arena_printf(arena, "%llu",
	    (unsigned long long)env->body.len);
	return made_plain(macro_expand(&w, &v, arena), arena);
}
