/* test_intake_data.c - the dots and the end of a message. */
#include "intake/data.h"

#include <stdlib.h>

#include "intake_data_reference.h"
#include "test.h"

#define BYTES	400

static char	 got[4 * BYTES];
static size_t	 ngot;

static void
put(void *arg, const char *p, size_t n)
{
	(void)arg;
	memcpy(got + ngot, p, n);
	ngot += n;
}

/* In pieces of `step`; the bytes taken. */
static size_t
decode(const char *p, size_t n, size_t step, bool *ended_r)
{
	struct lmtp_data d;
	size_t at = 0, some;
	char *piece;

	ngot = 0;
	lmtp_data_init(&d);
	while (at < n && d.at != DATA_END) {
		some = n - at < step ? n - at : step;
		piece = malloc(some);	/* for sanitizers */
		memcpy(piece, p + at, some);
		at += lmtp_data_add(&d, piece, some, put, NULL);
		free(piece);
	}
	*ended_r = d.at == DATA_END;
	return at;
}

static void
test_rows(void)
{
	static const struct {
		const char	*in;
		const char	*out;		/* NULL: it has no end */
		const char	*rest;
	} rows[] = {
		{ ".\r\n", "", "" },
		{ "a\r\n.\r\n", "a\r\n", "" },
		{ "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n" },
		{ "..\r\n.\r\n", ".\r\n", "" },
		{ ".a\r\n.\r\n", "a\r\n", "" },
		{ "a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n", "" },
		{ "\r\n.\r\n", "\r\n", "" },
		{ "a.\r\n.b.\r\n.\r\n", "a.\r\nb.\r\n", "" },
		/* Ends that are none: what smuggles does it with these. */
		{ "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", "" },
		{ "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", "" },
		{ "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "" },
		{ "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", "" },
		{ "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "" },
		{ "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", "" },
		{ "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", "" },
		{ "a\n\r.\r\nb\r\n.\r\n", "a\n\r.\r\nb\r\n", "" },
		{ "a\r\r\n.\r\n", "a\r\r\n", "" },
		{ "\n.\r\n.\r\n", "\n.\r\n", "" },
		{ ".\n.\r\n.\r\n", "\n.\r\n", "" },
		{ "a\r\n.", NULL, "" },
		{ "a\r\n.\r", NULL, "" },
		{ "a\n.\n", NULL, "" },
		{ ".", NULL, "" },
	};
	size_t i, step, n, took;
	bool ended, good;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = strlen(rows[i].in);
		good = true;
		for (step = 1; step <= n; step++) {
			took = decode(rows[i].in, n, step, &ended);
			good &= ended == (rows[i].out != NULL);
			good &= strcmp(rows[i].in + took, rows[i].rest) == 0;
			good &= !ended || (ngot == strlen(rows[i].out) &&
			    memcmp(got, rows[i].out, ngot) == 0);
		}
		ok(good, "row %zu, in pieces of any size", i);
		if (!good)
			test_show("got", got, ngot);
	}
}

/* The bytes that matter in any order, at any place of a block. */
static void
test_random(void)
{
	static const char bytes[] = { '\r', '\n', '.', 'x' };
	char in[BYTES], want[BYTES + 4];
	size_t round, i, n, len, took, used, bad = 0, ends = 0;
	bool ended, want_end;

	srand(1);
	for (round = 0; round < 20000; round++) {
		n = (size_t)rand() % BYTES + 1;
		for (i = 0; i < n; i++)
			in[i] = rand() % 4 == 0 ? 'y' : bytes[rand() % 4];
		if (n > 8 && round % 2 == 0)
			memcpy(in + (size_t)rand() % (n - 4), "\r\n.\r\n",
			    5);
		len = reference_data(in, n, want, &used, &want_end);
		took = decode(in, n, (size_t)rand() % n + 1, &ended);
		ends += want_end;
		bad += ended != want_end || took != used || ngot != len ||
		    memcmp(got, want, len) != 0;
	}
	is_int((intmax_t)bad, 0, "20000 random messages as the RFC has it");
	ok(ends > 5000, "many of them have an end");
}

int
main(void)
{
	test_rows();
	test_random();
	return done_testing();
}
