/* fuzz_smtp_reply.c - the headers and the body of a web server's response; the
 * lines of the input are the header, what follows an empty one is the body. */
#include "http/response.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_text(const char *text, size_t max, bool was_utf8)
{
	const char *p;

	if (strlen(text) > max)
		abort();
	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			abort();
	if (was_utf8 && !str_is_utf8(text, strlen(text)))
		abort();
}

static void
check_value(const char *value, size_t n)
{
	struct smtp_reply r;
	const char *who, *rest;
	size_t len;

	if (smtp_reply_parse(&r, value, n) == 0) {
		if (r.code < 200 || r.code > 559 || r.code / 100 == 3)
			abort();
		check_text(r.message, SMTP_REPLY_MESSAGE_MAX,
		    str_is_utf8(value, n));
		check_text(r.command, SMTP_REPLY_COMMAND_MAX, false);
		smtp_reply_stage(&r);
	}
	if (smtp_reply_whose(value, n, &who, &rest, &len) > 0 &&
	    (who < value || rest + len != value + n))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const words[] = { "YUB4LnRlc3Q=", "YkB4" };
	const char *p = (const char *)data, *end = p + n, *lf;
	struct arena *arena = arena_new(0);
	struct response *r = arena_alloc(arena, sizeof(*r));
	struct reply reply;
	uint32_t i;

	check_value(p, n);
	response_init(r, arena, words, 2);
	for (; p < end && !r->is_complete; p = lf) {
		lf = memchr(p, '\n', (size_t)(end - p));
		lf = lf == NULL ? end : lf + 1;
		response_line(r, p, (size_t)(lf - p));
	}
	if (p < end)
		response_body(r, p, (size_t)(end - p));
	for (i = 0; i < 2; i++) {
		response_reply(r, i, n % 2 == 0, "h[a]:1", &reply);
		if (reply.code < 200 || reply.code > 559 ||
		    (reply.cls == REPLY_DELIVERED) != (reply.code / 100 == 2))
			abort();
		/* Nothing is delivered but by a 2xx, and a 2dd if any. */
		if (reply.cls == REPLY_DELIVERED && r->status / 100 != 2)
			abort();
		if (strlen(reply.text) > REPLY_TEXT_MAX)
			abort();
	}
	arena_free(arena);
	return 0;
}
