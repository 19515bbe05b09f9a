/*
 * fuzz_macro.c - words and addresses: a word, a sender, a recipient and its
 * ORCPT, parted by NUL, behind a byte that chooses how addresses are shown.
 */
#include "mail/macro.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* The next string; "" at the end. */
static const char *
next(const char **at, const char *end, struct arena *arena)
{
	size_t n = *at < end ? strnlen(*at, (size_t)(end - *at)) : 0;
	const char *text = arena_strndup(arena, n == 0 ? "" : *at, n);

	*at += n + 1;
	if (*at > end)
		*at = end;
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena;
	struct envelope env = { .id = "i" };
	struct macro_values v;
	struct macro_word w;
	struct rcpt r;
	const char *at, *end, *text, *error;
	char why[256];
	size_t i, most = 1;
	unsigned how;

	if (n < 1 || n > 8000)
		return 0;
	arena = arena_new(0);
	how = data[0] & 7;
	at = (const char *)data + 1;
	end = at + n - 1;
	text = next(&at, end, arena);
	env.sender = next(&at, end, arena);
	r = (struct rcpt){ .addr = next(&at, end, arena) };
	r.orcpt = next(&at, end, arena);
	if (macro_set_message(&v, &env, "", how, arena, &error) == 0 &&
	    macro_set_rcpt(&v, &r, data[0] & 8 ? "+" : "", how, arena,
	    &error) == 0) {
		for (i = 0; i < MACRO_COUNT; i++) {
			if (v.v[i] == NULL || strpbrk(v.v[i], "\r\n") != NULL)
				abort();
			most += strlen(v.v[i]);
		}
		if (strlen(v.v[MACRO_USER]) > strlen(v.v[MACRO_MAILBOX]))
			abort();
		if (macro_parse(&w, text, arena, why, sizeof(why)) == 0 &&
		    strlen(macro_expand(&w, &v, arena)) >
		    strlen(text) * most)
			abort();
	}
	arena_free(arena);
	return 0;
}
