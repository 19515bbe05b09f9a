/* test_memo.c - what is remembered of hosts: how long, and how many. */
#include "smtp/memo.h"

#include "test.h"

static struct addr
host(unsigned n)
{
	struct addr a;
	char text[64];

	snprintf(text, sizeof(text), "192.0.%u.%u", n / 256, n % 256);
	addr_parse(&a, text, 25);
	return a;
}

static bool
knows(const struct memo *m, unsigned n, int64_t now_ms)
{
	struct addr a = host(n);

	return memo_is_live(memo_find(m, &a), now_ms);
}

static void
note(struct memo *m, unsigned n, int64_t now_ms, int64_t wait_ms)
{
	struct addr a = host(n);

	memo_note(m, &a, now_ms, wait_ms, 0, NULL);
}

static void
test_end(void)
{
	struct memo m = { .n = 0 };
	struct addr a = host(1), b = a;

	ok(!knows(&m, 1, 0), "an empty memory knows nobody");
	memo_forget(&m, &a);
	note(&m, 1, 1000, 500);
	ok(knows(&m, 1, 1000) && knows(&m, 1, 1499), "known up to its end");
	ok(!knows(&m, 1, 1500), "not at its end");
	ok(memo_find(&m, &a) != NULL, "still found then");
	addr_set_port(&b, 26);
	ok(memo_find(&m, &b) == NULL, "another port is another host");
	note(&m, 1, 2000, 500);
	ok(knows(&m, 1, 2499) && !knows(&m, 1, 2500), "noted anew");
	is_int(m.n, 1, "in the same row");
	note(&m, 1, 2600, 0);
	ok(!knows(&m, 1, 2600), "for no time at all");
	memo_clear(&m);
	ok(memo_find(&m, &a) == NULL, "cleared");
}

static void
test_full(void)
{
	struct memo m = { .n = 0 };
	unsigned i, known = 0;

	/* 7 is to end first, though it was not noted first. */
	for (i = 0; i < MEMO_MAX; i++)
		note(&m, i, i, i == 7 ? 1000 : 10000);
	is_int(m.n, MEMO_MAX, "full");
	for (i = 0; i < MEMO_MAX; i++)
		known += knows(&m, i, 500);
	is_int(known, MEMO_MAX, "all are known");
	note(&m, 5000, 500, 10000);
	ok(knows(&m, 5000, 500) && !knows(&m, 7, 500),
	    "one more takes the room of the one that ends first");
	note(&m, 5001, 501, 10000);
	ok(knows(&m, 5001, 501) && !knows(&m, 0, 501) && knows(&m, 1, 501),
	    "then of the oldest");
	is_int(m.n, MEMO_MAX, "no room was added");
	note(&m, 1, 20000, 10000);
	ok(knows(&m, 1, 20000) && !knows(&m, 2, 20000),
	    "who is known needs no more room");
	memo_clear(&m);
}

static void
test_text(void)
{
	struct memo m = { .n = 0 };
	struct addr a = host(1), b = host(2);
	char text[] = "5.7.8 no";

	memo_note(&m, &a, 5, 10, 535, text);
	text[0] = 'x';
	is_str(memo_find(&m, &a)->text, "5.7.8 no", "text is copied");
	is_int(memo_find(&m, &a)->code, 535, "code");
	is_int(memo_find(&m, &a)->since_ms, 5, "since when");
	memo_note(&m, &b, 6, 10, 534, "weak");
	memo_note(&m, &a, 7, 10, 0, NULL);
	is_str(memo_find(&m, &a)->text, NULL, "replaced by none");
	memo_forget(&m, &a);
	ok(memo_find(&m, &a) == NULL, "forgotten");
	is_str(memo_find(&m, &b)->text, "weak", "the other is not");
	memo_forget(&m, &a);
	memo_forget(&m, &b);
	is_int(m.n, 0, "empty");
	memo_clear(&m);
}

int
main(void)
{
	test_end();
	test_full();
	test_text();
	return done_testing();
}
