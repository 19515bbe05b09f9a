/* test_http_target.c - where requests go. */
#include "http/target.h"

#include "base/mem.h"
#include "test.h"

static struct arena *arena;

static void
test_urls(void)
{
	static const struct {
		const char	*url, *want, *origin, *host;	/* want NULL: refused */
	} rows[] = {
		{ "http://h/p?q#f", "http://h/p?q", "http://h:80", "h" },
		{ "http://h", "http://h/", "http://h:80", "h" },
		{ "HTTPS://H.Example:8443/A", "https://h.example:8443/A",
		    "https://h.example:8443", "h.example" },
		{ "http://h/a/../b%20c", "http://h/a/../b%20c", "http://h:80",
		    "h" },
		{ "http://[::1]:81/", "http://[::1]:81/", "http://::1:81",
		    "::1" },
		{ "http://b\303\274cher.example/", "http://xn--bcher-kva.example/",
		    "http://xn--bcher-kva.example:80", "xn--bcher-kva.example" },
		{ "unix:/run/a.sock:/x?y", "http://localhost/x?y",
		    "unix:/run/a.sock http://localhost", "localhost" },
		{ "unix:/run/a.sock", "http://localhost/",
		    "unix:/run/a.sock http://localhost", "localhost" },
		{ "h/p", NULL, NULL, NULL }, { "", NULL, NULL, NULL },
		{ "ftp://h/", NULL, NULL, NULL },
		{ "http://", NULL, NULL, NULL },
		{ "http://u@h/", NULL, NULL, NULL },
		{ "http://u:p@h/", NULL, NULL, NULL },
		{ "http://h:0/", NULL, NULL, NULL },
		{ "http://h:99999/", NULL, NULL, NULL },
		{ "http://h/a b", NULL, NULL, NULL },
		{ "http://h/\r\nX", NULL, NULL, NULL },
		{ "http://h..x/", NULL, NULL, NULL },
		{ "unix:a.sock:/", NULL, NULL, NULL },
	};
	struct target_hints hints = { .socket = NULL };
	struct target t;
	char error[512];
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = target_parse(&t, rows[i].url, &hints, arena, error,
		    sizeof(error));
		if (!is_int(rc, rows[i].want == NULL ? -1 : 0, "%s",
		    rows[i].url) || rc == -1)
			continue;
		is_str(t.url, rows[i].want, "its URL");
		is_str(t.origin, rows[i].origin, "its origin");
		is_str(t.host, rows[i].host, "its host");
	}
}

static void
test_hints(void)
{
	struct target_hints hints = { .want_tls = true };
	struct target t, u;
	char error[512];

	target_parse(&t, "http://h/", &hints, arena, error, sizeof(error));
	is_str(t.origin, "https://h:443", "TLS is wanted");
	is_str(t.url, "https://h/", "and asked for");
	hints = (struct target_hints){ .socket = "/run/s" };
	is_int(target_parse(&u, "https://h/x", &hints, arena, error,
	    sizeof(error)), 0, "a socket beside the URL");
	is_str(u.socket, "/run/s", "is the socket");
	ok(!addr_equal(&t.place, &u.place), "another place in the pool");
	target_parse(&u, "http://me:secret@h/a@b", &hints, arena, error,
	    sizeof(error));
	is_str(error, "\"http://****@h/a@b\" has user information; use "
	    "credentials.username", "a password is not told");
	is_int(target_parse(&u, "unix:/a:/", &hints, arena, error,
	    sizeof(error)), -1, "two sockets");
}

static void
test_follow(void)
{
	struct target_hints hints = { .want_tls = false };
	struct target t, u;
	char error[512];

	target_parse(&t, "http://h:81/a/b?c", &hints, arena, error,
	    sizeof(error));
	is_int(target_follow(&u, &t, "/x?y", arena), 0, "a path");
	is_str(u.url, "http://h:81/x?y", "on the same host");
	is_int(target_follow(&u, &t, "z", arena), 0, "a relative one");
	is_str(u.url, "http://h:81/a/z", "beside the first");
	is_int(target_follow(&u, &t, "http://h:81/", arena), 0, "a whole URL");
	is_int(target_follow(&u, &t, "http://h/", arena), -1, "another port");
	is_int(target_follow(&u, &t, "https://h:81/", arena), -1,
	    "another scheme");
	is_int(target_follow(&u, &t, "//i:81/", arena), -1, "another host");
	is_int(target_follow(&u, &t, "http://u@h:81/", arena), -1,
	    "user information");
}

static void
test_exposed(void)
{
	static const struct {
		const char	*url;
		bool		 is_exposed;
	} rows[] = {
		{ "http://h/", true }, { "https://h/", false },
		{ "http://localhost/", false }, { "http://127.0.0.2/", false },
		{ "http://[::1]/", false }, { "http://192.0.2.1/", true },
		{ "unix:/a:/", false },
	};
	struct target_hints hints = { .want_tls = false };
	struct target t;
	char error[512];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		target_parse(&t, rows[i].url, &hints, arena, error,
		    sizeof(error));
		is_int(target_is_exposed(&t), rows[i].is_exposed, "%s",
		    rows[i].url);
	}
}

int
main(void)
{
	arena = arena_new(4096);
	test_urls();
	test_hints();
	test_follow();
	test_exposed();
	arena_free(arena);
	return done_testing();
}
