/* test_addr_range.c - ranges of IP addresses. */
#include "net/addr_range.h"

#include "test.h"

static void
test_ranges(void)
{
	static const struct {
		const char	*range, *addr;
		bool		 is_in;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.6", false },
		{ "0.0.0.0/0", "8.8.8.8", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "192.0.2.0/24", "::ffff:192.0.2.9", true },
		{ "loopback", "127.9.9.9", true },
		{ "Loopback", "::1", true },
		{ "loopback", "0.0.0.0", true },
		{ "loopback", "::", true },
		{ "loopback", "::ffff:127.0.0.1", true },
		{ "loopback", "128.0.0.1", false },
		{ "private", "10.1.2.3", true },
		{ "private", "172.31.0.1", true },
		{ "private", "172.32.0.1", false },
		{ "private", "169.254.169.254", true },
		{ "private", "fd00::1", true },
		{ "private", "fe80::1", true },
		{ "private", "2001:db8::1", false },
	};
	struct addr a;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *words[] = { (char *)(uintptr_t)rows[i].range, NULL };
		struct opt_list list = { words, 1 };

		addr_parse(&a, rows[i].addr, 0);
		is_int(addr_range_has(&list, &a), rows[i].is_in, "%s in %s",
		    rows[i].addr, rows[i].range);
		ok(addr_range_check(rows[i].range) == NULL, "%s is one",
		    rows[i].range);
	}
}

static void
test_bad(void)
{
	static const char *const bad[] = { "", "/", "1.2.3", "1.2.3.4/",
	    "1.2.3.4/33", "1.2.3.4/-1", "::/129", "1.2.3.4/2x", "host",
	    "1.2.3.4/24/8", "[::1]", NULL };
	struct opt_list none = { NULL, 0 };
	struct addr a;
	size_t i;

	for (i = 0; bad[i] != NULL; i++)
		ok(addr_range_check(bad[i]) != NULL, "\"%s\" is none", bad[i]);
	addr_parse(&a, "127.0.0.1", 0);
	ok(!addr_range_has(&none, &a), "an empty list");
	addr_unix(&a, "/x");
	ok(!addr_range_has(&none, &a), "a UNIX socket");
}

int
main(void)
{
	test_ranges();
	test_bad();
	return done_testing();
}
