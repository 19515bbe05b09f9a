/* test_response.c - what a web server's response means for recipients. */
#include "http/response.h"

#include <string.h>

#include "base/mem.h"
#include "test.h"

static struct arena *arena;
static struct response r;
static const char *const words[] = { "YUB4LnRlc3Q=", "YkB4LnRlc3Q=" };

static void
hear(const char *lines)
{
	const char *lf;

	response_init(&r, arena, words, 2);
	for (; (lf = strchr(lines, '\n')) != NULL; lines = lf + 1)
		response_line(&r, lines, (size_t)(lf - lines) + 1);
}

static void
is_reply(uint32_t index, bool is_auth_transient, int cls, int code,
    const char *text, const char *name)
{
	struct reply reply;

	response_reply(&r, index, is_auth_transient, "h[a]:1", &reply);
	is_int(reply.cls, cls, "%s: class", name);
	is_int(reply.code, code, "%s: code", name);
	is_str(reply.text, text, "%s: text", name);
}

static void
test_status(void)
{
	static const struct {
		int	status, cls, auth_cls, code;
	} rows[] = {
		{ 200, REPLY_DELIVERED, REPLY_DELIVERED, 250 },
		{ 299, REPLY_DELIVERED, REPLY_DELIVERED, 250 },
		{ 300, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 304, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 400, REPLY_PERMANENT, REPLY_PERMANENT, 550 },
		{ 401, REPLY_PERMANENT, REPLY_TRANSIENT, 550 },
		{ 403, REPLY_PERMANENT, REPLY_TRANSIENT, 550 },
		{ 407, REPLY_PERMANENT, REPLY_TRANSIENT, 550 },
		{ 404, REPLY_PERMANENT, REPLY_PERMANENT, 550 },
		{ 408, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 413, REPLY_PERMANENT, REPLY_PERMANENT, 552 },
		{ 425, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 429, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 499, REPLY_PERMANENT, REPLY_PERMANENT, 550 },
		{ 500, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 501, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
		{ 999, REPLY_TRANSIENT, REPLY_TRANSIENT, 450 },
	};
	char lines[64], text[64];
	struct reply reply;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(lines, sizeof(lines), "HTTP/2 %d\r\n\r\n",
		    rows[i].status);
		snprintf(text, sizeof(text), "HTTP %d", rows[i].status);
		hear(lines);
		ok(r.is_complete, "%s is complete", text);
		is_reply(0, false, rows[i].cls, rows[i].code, text, text);
		response_reply(&r, 0, true, "", &reply);
		is_int(reply.cls, rows[i].auth_cls, "%s, auth_failure", text);
	}
}

static void
test_headers(void)
{
	hear("HTTP/1.1 500 Not  Good\r\nx-smtp-reply:550; message=\"5.1.1 a\""
	    "\r\n\r\n");
	is_reply(0, false, REPLY_PERMANENT, 550, "a", "the header decides");
	is_str(r.reason, "Not  Good", "reason");
	hear("HTTP/1.1 200 OK\nX-Smtp-Reply: 450\n\n");
	is_reply(1, false, REPLY_TRANSIENT, 450, "HTTP 200 OK",
	    "without a message");
	hear("HTTP/1.1 500 x\r\nX-Smtp-Reply: 250; message=y\r\n\r\n");
	is_reply(0, false, REPLY_TRANSIENT, 451,
	    "contradiction from h[a]:1: HTTP 500 x, but X-Smtp-Reply 250",
	    "a contradiction");
	hear("HTTP/1.1 200 OK\r\nX-Smtp-Reply: bad\r\n\r\n");
	ok(r.is_bad_reply && !r.has_reply, "a bad one is noted");
	is_reply(0, false, REPLY_DELIVERED, 250, "HTTP 200 OK", "and ignored");
	hear("HTTP/1.1 100 Continue\r\nX-Smtp-Reply: 550\r\n\r\n");
	ok(!r.is_complete, "1xx is not the answer");
	hear("HTTP/1.1 103 Hints\r\nX-Smtp-Reply: 550\r\n\r\n"
	    "HTTP/1.1 200 OK\r\n\r\nX-Smtp-Reply: 550\r\n");
	is_reply(0, false, REPLY_DELIVERED, 250, "HTTP 200 OK",
	    "neither hints nor trailers count");
	hear("HTTP/1.1 2x0 OK\r\n\r\n");
	is_int((int)r.status, 0, "no status");
	hear("X-Smtp-Reply: 550\r\n\r\n");
	ok(!r.has_reply && !r.is_complete, "no status line");
}

static void
test_recipients(void)
{
	hear("HTTP/1.1 200 OK\r\n"
	    "X-Smtp-Recipient-Reply: 1; 550; message=\"5.2.2 full\"\r\n"
	    "X-Smtp-Reply: 250; message=fine\r\n\r\n");
	is_reply(0, false, REPLY_DELIVERED, 250, "fine", "for all");
	is_reply(1, false, REPLY_PERMANENT, 550, "full", "for one");
	hear("HTTP/1.1 200 OK\r\n"
	    "X-Smtp-Recipient-Reply: YUB4LnRlc3Q= ; 451\r\n\r\n");
	is_reply(0, false, REPLY_TRANSIENT, 451, "HTTP 200 OK", "by base64");
	is_reply(1, false, REPLY_DELIVERED, 250, "HTTP 200 OK", "the other");
	hear("HTTP/1.1 200 OK\r\nX-Smtp-Recipient-Reply: 2; 550\r\n\r\n");
	ok(r.is_bad_reply && r.nper_rcpt == 0, "no such recipient");
	hear("HTTP/1.1 200 OK\r\nX-Smtp-Recipient-Reply: -1; 550\r\n\r\n");
	ok(r.is_bad_reply && r.nper_rcpt == 0, "no index");
}

static void
test_body(void)
{
	static char big[RESPONSE_BODY_MAX];

	hear("HTTP/1.1 500 Oops\r\n\r\n");
	ok(response_body(&r, " a\r\n\t b\001", 8), "taken");
	ok(response_body(&r, "\377c ", 3), "taken too");
	is_reply(0, false, REPLY_TRANSIENT, 450, "HTTP 500 Oops: a b ?c",
	    "what can be shown");
	memset(big, 'y', sizeof(big));
	ok(!response_body(&r, big, sizeof(big)), "64 KiB are enough");
	is_int((long)r.shown_len, RESPONSE_SHOWN_MAX, "little of it is kept");
	hear("HTTP/1.1 413 No\r\n\r\n");
	is_reply(0, false, REPLY_PERMANENT, 552, "HTTP 413 No", "too large");
}

static void
test_ceilings(void)
{
	static char line[9000];
	int i;

	memset(line, 'a', sizeof(line));
	memcpy(line, "HTTP/1.1 200 ", 13);
	response_init(&r, arena, words, 2);
	response_line(&r, line, sizeof(line));
	is_int((int)r.status, 200, "a long reason");
	memcpy(line, "Location: aaa", 13);
	response_line(&r, line, sizeof(line));
	is_str(r.location, "", "a long location is none");
	for (i = 0; i < RESPONSE_RCPTS_MAX + 5; i++)
		response_line(&r, "X-Smtp-Recipient-Reply: 0; 550", 30);
	is_int((int)r.nper_rcpt, RESPONSE_RCPTS_MAX, "so many are kept");
}

int
main(void)
{
	arena = arena_new(4096);
	test_status();
	test_headers();
	test_recipients();
	test_body();
	test_ceilings();
	arena_free(arena);
	return done_testing();
}
