/* test_mx_choose.c - which MX records are tried, in which order (RFC 5321
 * §5.1, RFC 7505). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "route/mx.h"

#include "test.h"

static struct arena *arena;
static const char *const own[] = { "me.test", "mail.me.test", NULL };
static struct mx_choice how = { .port = 25, .own_names = own };
static unsigned npicked;

static uint32_t
pick_last(uint32_t n)
{
	npicked++;
	return n - 1;			/* leaves the order as it is */
}

static uint32_t
pick_first(uint32_t n)
{
	(void)n;
	npicked++;
	return 0;
}

/* A fixed sequence, good enough to see whether each order comes. */
static uint32_t
pick_any(uint32_t n)
{
	static uint32_t x = 1;

	x = x * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(x >> 8) * n >> 24);
}

/* The hosts chosen, "name/preference" each, or the enhanced code of why not. */
static const char *
chosen(const struct dns_mx *mx, size_t n, uint32_t (*pick)(uint32_t))
{
	static char text[8192];
	struct dns_answer a = { .type = DNS_MX, .status = DNS_OK, .n = n,
	    .mx = mx };
	struct route r = { .domain = "x.test" };
	size_t i, at = 0;

	how.pick = pick;
	mx_choose(&r, &a, &how, arena);
	if (r.n == 0)
		snprintf(text, sizeof(text), "%u %s", r.failure.code,
		    r.failure.text);
	for (i = 0; i < r.n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s%s/%u", i == 0 ? "" : " ", r.hosts[i].name,
		    r.hosts[i].preference);
	return text;
}

static void
test_order(void)
{
	static const struct dns_mx mx[] = { { 20, "c" }, { 10, "a" },
	    { 10, "b" }, { 0, "z" }, { 65535, "last" } };

	npicked = 0;
	is_str(chosen(mx, 5, pick_last), "z/0 a/10 b/10 c/20 last/65535",
	    "by preference");
	is_int(npicked, 1, "one choice for two equals, none for one");
	is_str(chosen(mx, 5, pick_first), "z/0 b/10 a/10 c/20 last/65535",
	    "equals change places");
	is_str(chosen(mx, 1, pick_last), "c/20", "a single one");
}

static void
test_shuffle(void)
{
	static const struct dns_mx mx[] = { { 10, "a" }, { 10, "b" },
	    { 10, "c" }, { 5, "z" } };
	static const char *const orders[] = { "abc", "acb", "bac", "bca",
	    "cab", "cba" };
	unsigned count[6] = { 0 }, i, j;
	char got[4];

	for (i = 0; i < 6000; i++) {
		const char *text = chosen(mx, 4, pick_any);

		snprintf(got, sizeof(got), "%c%c%c", text[4], text[9],
		    text[14]);
		for (j = 0; j < 6; j++)
			count[j] += strcmp(got, orders[j]) == 0;
	}
	for (j = 0; j < 6; j++)
		ok(count[j] > 850 && count[j] < 1150, "order %s: %u of 6000",
		    orders[j], count[j]);
}

static void
test_own(void)
{
	static const struct dns_mx best[] = { { 10, "me.test" },
	    { 20, "b" } };
	static const struct dns_mx second[] = { { 30, "d" },
	    { 20, "mail.me.test" }, { 20, "c" }, { 10, "a" },
	    { 25, "me.test" } };

	is_str(chosen(best, 2, pick_last),
	    "554 mail for x.test loops back to myself", "we are the best");
	is_str(chosen(best, 1, pick_last),
	    "554 mail for x.test loops back to myself", "we are the only one");
	is_str(chosen(second, 5, pick_last), "a/10",
	    "none that is not preferred to us");
	how.own_names = NULL;
	is_str(chosen(best, 2, pick_last), "me.test/10 b/20",
	    "without names of our own");
	how.own_names = own;
}

static void
test_null(void)
{
	static const struct dns_mx null[] = { { 0, "" } };
	static const struct dns_mx mixed[] = { { 0, "" }, { 10, "a" } };
	static const struct dns_mx nulls[] = { { 0, "" }, { 10, "" } };

	is_str(chosen(null, 1, pick_last), "556 Domain x.test does not accept "
	    "mail (null MX)", "a null MX");
	is_str(chosen(mixed, 2, pick_last), "a/10",
	    "one beside others is no host (RFC 7505 §3)");
	is_str(chosen(nulls, 2, pick_last), "550 No usable mail exchanger for "
	    "x.test: its MX records name no host", "nothing but roots");
}

static void
test_addresses(void)
{
	static const struct dns_mx mx[] = { { 10, "192.0.2.1" } };
	static const struct dns_mx mixed[] = { { 10, "192.0.2.1" },
	    { 20, "a" } };

	is_str(chosen(mx, 1, pick_last), "550 No usable mail exchanger for "
	    "x.test: its MX record is an address, not a host name",
	    "an address");
	is_str(chosen(mixed, 2, pick_last), "a/20", "an address and a name");
	how.mx_is_address = true;
	is_str(chosen(mixed, 2, pick_last), "192.0.2.1/10 a/20",
	    "an address, where that is allowed");
	how.mx_is_address = false;
}

static void
test_duplicates(void)
{
	static const struct dns_mx mx[] = { { 20, "a" }, { 10, "b" },
	    { 5, "a" }, { 10, "b" } };

	is_str(chosen(mx, 4, pick_last), "a/5 b/10",
	    "a host named twice: once, where it is preferred");
}

static void
test_ceiling(void)
{
	static char names[DNS_RECORDS_MAX][8];
	struct dns_mx mx[DNS_RECORDS_MAX];
	struct dns_answer a = { .type = DNS_MX, .n = DNS_RECORDS_MAX,
	    .mx = mx };
	struct route r = { .domain = "x.test" };
	size_t i;

	/* The best come last. */
	for (i = 0; i < DNS_RECORDS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "h%zu", i);
		mx[i] = (struct dns_mx){ (uint16_t)(DNS_RECORDS_MAX - i),
		    names[i] };
	}
	how.pick = pick_last;
	mx_choose(&r, &a, &how, arena);
	is_int(r.n, ROUTE_HOSTS_MAX, "no more than the ceiling");
	is_str(r.hosts[0].name, "h255", "the best is there");
	is_int(r.hosts[ROUTE_HOSTS_MAX - 1].preference, ROUTE_HOSTS_MAX,
	    "the least preferred are left out");
	is_int(r.hosts[0].port, 25, "the port");
}

int
main(void)
{
	arena = arena_new(4096);
	test_order();
	test_shuffle();
	test_own();
	test_null();
	test_addresses();
	test_duplicates();
	test_ceiling();
	arena_free(arena);
	return done_testing();
}
