/* test_addr.c - addresses and the ways to write a host. */
#include "net/addr.h"

#include <stdlib.h>

#include "base/mem.h"
#include "test.h"

static struct arena *arena;

static void
test_parse(void)
{
	static const struct {
		const char	*text;
		int		 family;	/* 0 = none */
		const char	*shown;
	} rows[] = {
		{ "192.0.2.1", AF_INET, "192.0.2.1" },
		{ "255.255.255.255", AF_INET, "255.255.255.255" },
		{ "2001:DB8::1", AF_INET6, "2001:db8::1" },
		{ "::", AF_INET6, "::" },
		{ "::ffff:192.0.2.1", AF_INET6, "::ffff:192.0.2.1" },
		{ "", 0, NULL }, { "192.0.2", 0, NULL },
		{ "192.0.2.256", 0, NULL }, { "192.0.2.1 ", 0, NULL },
		{ " 192.0.2.1", 0, NULL }, { "[::1]", 0, NULL },
		{ "0x7f.0.0.1", 0, NULL }, { "mail.example", 0, NULL },
		{ "::1%lo", 0, NULL }, { "1::2::3", 0, NULL },
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_int(addr_parse(&a, rows[i].text, 2525),
		    rows[i].family == 0 ? -1 : 0, "parse \"%s\"",
		    rows[i].text);
		if (rows[i].family == 0)
			continue;
		is_int(addr_family(&a), rows[i].family, "family of %s",
		    rows[i].text);
		is_int(addr_port(&a), 2525, "port of %s", rows[i].text);
		is_str(addr_format(&a, text, sizeof(text)), rows[i].shown,
		    "%s as text", rows[i].text);
	}
}

static void
test_unix(void)
{
	char path[200], text[ADDR_TEXT_MAX];
	size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	struct addr a;

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[most] = '\0';
	is_int(addr_unix(&a, path), 0, "path as long as it may be");
	is_str(addr_format(&a, text, sizeof(text)), path, "path as text");
	is_int(addr_port(&a), 0, "a path has no port");
	addr_set_port(&a, 25);
	is_str(addr_format(&a, text, sizeof(text)), path, "nor takes one");
	path[most] = 'p';
	path[most + 1] = '\0';
	is_int(addr_unix(&a, path), -1, "path of one more");
	is_int(addr_unix(&a, ""), -1, "empty path");
}

static bool
same(const char *x, uint16_t xport, const char *y, uint16_t yport)
{
	struct addr a, b;

	addr_parse(&a, x, xport);
	addr_parse(&b, y, yport);
	if (addr_equal(&a, &b) && addr_hash(&a) != addr_hash(&b))
		diag("equal, but of other hashes");
	return addr_equal(&a, &b);
}

static void
test_equal(void)
{
	struct addr a, b;

	ok(same("192.0.2.1", 25, "192.0.2.1", 25), "equal");
	ok(!same("192.0.2.1", 25, "192.0.2.1", 26), "other port");
	ok(!same("192.0.2.1", 25, "192.0.2.2", 25), "other address");
	ok(!same("192.0.2.1", 25, "::ffff:192.0.2.1", 25), "other family");
	ok(same("2001:db8::1", 25, "2001:DB8:0::1", 25), "equal, IPv6");
	addr_unix(&a, "/a");
	addr_unix(&b, "/a");
	ok(addr_equal(&a, &b), "equal paths");
	addr_unix(&b, "/b");
	ok(!addr_equal(&a, &b), "other path");
}

static void
test_hostspec(void)
{
	static const struct {
		const char	*text, *host;	/* NULL = refused */
		uint16_t	 port;
		bool		 is_literal, is_unix;
	} rows[] = {
		{ "mail.example", "mail.example", 25, false, false },
		{ "mail.example:2525", "mail.example", 2525, false, false },
		{ "[mail.example]", "mail.example", 25, false, false },
		{ "[mail.example]:2525", "mail.example", 2525, false, false },
		{ "192.0.2.1", "192.0.2.1", 25, true, false },
		{ "192.0.2.1:26", "192.0.2.1", 26, true, false },
		{ "[192.0.2.1]:26", "192.0.2.1", 26, true, false },
		{ "2001:db8::1", "2001:db8::1", 25, true, false },
		{ "::1", "::1", 25, true, false },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535, true, false },
		{ "[IPv6:2001:db8::1]", "2001:db8::1", 25, true, false },
		{ "unix:/run/x", "/run/x", 0, false, true },
		{ "unix:x:1", "x:1", 0, false, true },
		{ "inet:mail.example:24", "mail.example", 24, false, false },
		{ "a_b-c.", "a_b-c.", 25, false, false },
		{ .text = "" }, { .text = ":25" }, { .text = "a:" },
		{ .text = "a:0" }, { .text = "a:65536" }, { .text = "a:-1" },
		{ .text = "a:25x" }, { .text = "a:b:25" }, { .text = "[]" },
		{ .text = "[a" }, { .text = "[a]25" }, { .text = "[a]:" },
		{ .text = "a b" }, { .text = ".a" }, { .text = "-a" },
		{ .text = "a/b" }, { .text = "unix:" }, { .text = "[::1" },
		{ .text = "a\nb" }, { .text = "user@host" },
		{ .text = "m\303\274ller.example" },
	};
	const char *error;
	struct hostspec h;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		error = NULL;
		if (rows[i].host == NULL) {
			is_int(hostspec_parse(&h, rows[i].text, 25, arena,
			    &error), -1, "host %zu refused", i);
			ok(error != NULL, "with a reason");
			continue;
		}
		is_int(hostspec_parse(&h, rows[i].text, 25, arena, &error), 0,
		    "host \"%s\"", rows[i].text);
		is_str(h.host, rows[i].host, "its name");
		is_int(h.port, rows[i].port, "its port");
		is_int(h.is_literal, rows[i].is_literal, "a literal?");
		is_int(h.is_unix, rows[i].is_unix, "a path?");
	}
}

static void
test_host_ceiling(void)
{
	char name[300];
	const char *error;
	struct hostspec h;

	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	is_int(hostspec_parse(&h, name, 25, arena, &error), 0,
	    "name of 255 bytes");
	name[255] = 'a';
	name[256] = '\0';
	is_int(hostspec_parse(&h, name, 25, arena, &error), -1,
	    "name of 256 bytes");
}

int
main(void)
{
	arena = arena_new(1024);
	test_parse();
	test_unix();
	test_equal();
	test_hostspec();
	test_host_ceiling();
	arena_free(arena);
	return done_testing();
}
