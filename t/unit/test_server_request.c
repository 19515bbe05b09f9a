/* test_server_request.c - heads of requests, good and odd. */
#include "http/server_request.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define H	"Host: x\r\n"

static void
good(void)
{
	struct http_asked a;
	static const char get[] = "GET /metrics HTTP/1.1\r\n" H "\r\nrest";
	size_t i, n = strlen(get) - 4;

	is_int(http_asked_parse(&a, get, strlen(get)), n, "GET: its length");
	is_int(a.fault, 0, "no fault");
	is_str(a.path, "/metrics", "its path");
	ok(a.is_get && !a.is_head && a.is_kept, "the connection stays");
	for (i = 0; i < n; i++)
		if (http_asked_parse(&a, get, i) != 0 || a.fault != 0)
			ok(false, "%zu bytes are not enough", i);

	http_asked_parse(&a, "HEAD /x?y=/z HTTP/1.1\r\n" H "\r\n", 34);
	ok(a.fault == 0 && a.is_get && a.is_head, "HEAD");
	is_str(a.path, "/x", "the query is not the path's");
	http_asked_parse(&a, "\r\n\nGET / HTTP/1.0\n\n", 19);
	ok(a.fault == 0 && !a.is_kept,
	    "HTTP/1.0, LF alone, empty lines before, no Host: closes");
	http_asked_parse(&a, "GET / HTTP/1.0\r\nconnection: Foo , keep-ALIVE"
	    "\r\n\r\n", 48);
	ok(a.fault == 0 && a.is_kept, "unless it asks to stay");
	http_asked_parse(&a, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
	    46);
	ok(a.fault == 0 && !a.is_kept, "Connection: close");
	http_asked_parse(&a, "GET http://h:1/m?q HTTP/1.1\r\n" H "\r\n", 40);
	is_str(a.path, "/m", "absolute form");
	http_asked_parse(&a, "POST /m HTTP/1.1\r\n" H
	    "Content-Length: 00\r\n\r\n", 49);
	ok(a.fault == 0 && !a.is_get, "another method, no body");
	is_str(a.method, "POST", "its name");
}

static void
bad(void)
{
	static const struct {
		const char *text;
		unsigned fault;
	} rows[] = {
		{ "GET /\r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n" H "\r\n", 400 },
		{ " GET / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n" H "\r\n", 400 },
		{ "GET / HTTQ/1.1\r\n" H "\r\n", 400 },
		{ "GET / HTTP/11\r\n" H "\r\n", 400 },
		{ "G\"T / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "GET /\x01 HTTP/1.1\r\n" H "\r\n", 400 },
		{ "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400 },
		{ "ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "GET / HTTP/2.0\r\n" H "\r\n", 505 },
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H H "\r\n", 400 },
		{ "GET / HTTP/1.0\r\n" H H "\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H " folded\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "A\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
		    501 },
		{ "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n", 413 },
		{ "GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" H "Content-Length: 0, 0\r\n\r\n", 400 },
		/* TLS where none is spoken */
		{ "\x16\x03\x01\x02\r\n\r\n", 400 },
	};
	struct http_asked a;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_asked_parse(&a, rows[i].text, strlen(rows[i].text));
		is_int(a.fault, rows[i].fault, "refused: row %zu", i);
		if (a.is_kept)
			ok(false, "row %zu keeps the connection", i);
	}
}

/* A head of n bytes in the first line, then a field of m, then k fields. */
static unsigned
limited(size_t n, size_t m, unsigned k, bool is_whole)
{
	static char text[64 * 1024];
	struct http_asked a;
	size_t at;

	memcpy(text, "GET /", 5);
	memset(text + 5, 'a', n - 5);
	memcpy(text + n - 9, " HTTP/1.1\r\n" H, 11 + strlen(H));
	at = n + 2 + strlen(H);
	if (m > 0) {
		text[at] = 'B';
		text[at + 1] = ':';
		memset(text + at + 2, 'b', m - 2);
		at += m;
		if (is_whole)
			memcpy(text + at, "\r\n", 2);
		at += 2;
	}
	while (k-- > 0) {
		memcpy(text + at, "C: d\r\n", 6);
		at += 6;
	}
	if (is_whole) {
		memcpy(text + at, "\r\n", 2);
		at += 2;
	}
	http_asked_parse(&a, text, at > HTTP_HEAD_MAX ? HTTP_HEAD_MAX : at);
	return a.fault;
}

static void
limits(void)
{
	char junk[HTTP_HEAD_MAX];
	struct http_asked a;

	is_int(limited(HTTP_LINE_MAX, 0, 0, true), 0, "the longest line");
	is_int(limited(HTTP_LINE_MAX + 1, 0, 0, true), 414, "one byte more");
	is_int(limited(20, 0, HTTP_FIELDS_MAX - 1, true), 0, "most fields");
	is_int(limited(20, 0, HTTP_FIELDS_MAX, true), 431, "one more");
	is_int(limited(20, HTTP_HEAD_MAX - 22 - strlen(H) - 4, 0, true), 0,
	    "the longest head");
	is_int(limited(20, HTTP_HEAD_MAX - 22 - strlen(H) - 3, 0, true), 431,
	    "one byte more");
	is_int(limited(20, 2 * HTTP_HEAD_MAX, 0, false), 431,
	    "a field without end");
	memset(junk, 'x', sizeof(junk));
	http_asked_parse(&a, junk, HTTP_LINE_MAX);
	is_int(a.fault, 0, "a line that may still end");
	http_asked_parse(&a, junk, HTTP_LINE_MAX + 1);
	is_int(a.fault, 414, "a line without end");
	memset(junk, '\n', sizeof(junk));
	http_asked_parse(&a, junk, sizeof(junk));
	is_int(a.fault, 431, "nothing but empty lines");
	http_asked_parse(&a, "GET /\0 HTTP/1.1\r\n" H "\r\n", 28);
	is_int(a.fault, 400, "NUL");
}

int
main(void)
{
	good();
	bad();
	limits();
	return done_testing();
}
