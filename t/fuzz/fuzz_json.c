/* fuzz_json.c - a message of any bytes as JSON, which jansson must be able to
 * read, and which must hold the message; the first byte chooses the pieces. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "http/body.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_message(json_t *o, const uint8_t *data, size_t n)
{
	const char *text = json_string_value(json_object_get(o, "message"));
	json_t *headers = json_object_get(o, "headers"), *field;
	char *raw;
	size_t len, i;

	if (text == NULL || !json_is_array(headers))
		abort();
	raw = xmalloc(strlen(text) + 1);
	if (base64_decode(raw, text, strlen(text), &len) == -1 || len != n ||
	    memcmp(raw, data, n) != 0)
		abort();
	free(raw);
	json_array_foreach(headers, i, field)
		if (json_array_size(field) != 2 ||
		    json_string_length(json_array_get(field, 0)) == 0)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena;
	struct envelope env = { .id = "", .body = { .fd = -1 } };
	struct json_facts facts = { .env = &env, .ehlo = "e", .nrcpt = 1 };
	const char *rcpt;
	struct http_body b;
	json_error_t error;
	size_t step, at = 0;
	int64_t got;
	json_t *o;
	char *all;

	if (n < 2)
		return 0;
	arena = arena_new(0);
	step = data[0] % 64 + 1u;
	data++;
	n--;
	env.body.mem = (const char *)data;
	env.body.len = n;
	facts.sender = rcpt = env.envid = arena_strndup(arena,
	    (const char *)data, n / 2);
	facts.rcpts = &rcpt;
	if (http_body_init(&b, FORMAT_JSON, &facts) == -1)
		abort();
	all = xmalloc((size_t)b.len + step);
	while ((got = http_body_read(&b, all + at, step)) > 0)
		at += (size_t)got;
	if (got != 0 || at != b.len)
		abort();
	if ((o = json_loadb(all, at, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
	    &error)) == NULL)
		abort();
	check_message(o, data, n);
	json_decref(o);
	free(all);
	http_body_clear(&b);
	arena_free(arena);
	return 0;
}
