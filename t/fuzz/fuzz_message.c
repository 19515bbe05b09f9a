/*
 * fuzz_message.c - any message, cut into any pieces, against the reference.
 * The first two bytes say whether dots are stuffed and how long pieces are,
 * which for runs of blocks must be some KiB.
 */
#include "mail/message.h"

#include <stdlib.h>

#include "../unit/message_reference.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_convert(const char *from, size_t n, bool stuff, size_t piece)
{
	char		*got = malloc(crlf_room(n));
	char		*want = malloc(crlf_room(n));
	char		*one;
	size_t		 out = 0, at, len, made, want_len;
	struct crlf	 c;

	crlf_init(&c, stuff);
	for (at = 0; at < n; at += len) {
		len = n - at < piece ? n - at : piece;
		/* Room of its own: a byte over crlf_room() is an error. */
		one = malloc(crlf_room(len));
		made = crlf_convert(&c, one, from + at, len);
		memcpy(got + out, one, made);
		out += made;
		free(one);
	}
	out += crlf_finish(&c, got + out);
	want_len = reference_convert(want, from, n, stuff);
	if (out != want_len || memcmp(got, want, out) != 0)
		abort();
	free(got);
	free(want);
}

static void
check_scan(const char *from, size_t n, size_t piece)
{
	struct body		 body = { .mem = from, .fd = -1, .len = n };
	struct body_facts	 whole, want = reference_facts(from, n);
	struct body_scan	 s;
	size_t			 at, len;

	body_scan_init(&s);
	for (at = 0; at < n; at += len) {
		len = n - at < piece ? n - at : piece;
		body_scan_add(&s, from + at, len);
	}
	body_scan_finish(&s);
	if (!facts_are_equal(&s.facts, &want))
		abort();
	if (body_look(&body, &whole) == -1 || !facts_are_equal(&whole, &want))
		abort();
}

static void
check_runs(const char *from, size_t n)
{
	struct run	want;

	for (const char *p = from + 1; n >= RUN_BYTES + 2;
	    p += RUN_BYTES, n -= RUN_BYTES) {
		want = reference_run(p);
		if (!runs_are_equal(run_look(p), want) ||
		    !runs_are_equal(run_look_word(p), want))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char	*from;
	size_t		 piece;

	if (n < 2)
		return 0;
	piece = ((size_t)data[1] + 1) * (data[0] & 2 ? 32 : 1);
	from = (const char *)data + 2;
	check_convert(from, n - 2, data[0] & 1, piece);
	check_scan(from, n - 2, piece);
	check_runs(from, n - 2);
	return 0;
}
