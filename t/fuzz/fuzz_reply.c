/* fuzz_reply.c - what servers say; the first two bytes choose the code. */
#include "mail/reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_reply(const struct reply *r, unsigned code)
{
	static const enum reply_class classes[] = { 0, 0, REPLY_DELIVERED,
		REPLY_TRANSIENT, REPLY_TRANSIENT, REPLY_PERMANENT };

	if (r->code != code || r->cls != classes[code / 100] ||
	    r->by != BY_REMOTE || r->stage != STAGE_RCPT)
		abort();
	if (r->dsn[0] != (code / 100 == 3 ? 4 : code / 100))
		abort();
	if (strlen(r->text) > REPLY_TEXT_MAX || strstr(r->text, "\r\n"))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena	*arena;
	const char	*text;
	char		*copy;
	unsigned	 code;
	uint8_t		 dsn[3];
	struct reply	 r;

	if (n < 2)
		return 0;
	code = 200 + (data[0] << 8 | data[1]) % 400u;
	text = (const char *)data + 2;
	n -= 2;
	arena = arena_new(0);
	reply_from_server(&r, arena, code, text, n, STAGE_RCPT);
	check_reply(&r, code);
	if (strlen(r.text) > n)
		abort();
	if (str_is_utf8(text, n) && !str_is_utf8(r.text, strlen(r.text)))
		abort();
	if (dsn_parse(text, n, dsn) > n)
		abort();

	copy = arena_strndup(arena, text, n);
	reply_cause(&r, arena, STAGE_RCPT, CAUSE_MALFORMED, copy, copy, copy);
	if (r.code != 451 || strlen(r.text) > REPLY_TEXT_MAX)
		abort();
	arena_free(arena);
	return 0;
}
