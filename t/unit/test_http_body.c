/* test_http_body.c - bodies of requests: the message as it is, and as JSON,
 * which jansson must be able to read. */
#include "http/body.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "http/header_value.h"
#include "test.h"

static const char *const rcpts[] = { "a@x.test", "b\"\\@x.test" };

static char *
read_all(struct http_body *b, size_t step)
{
	char *all = xmalloc((size_t)b->len + 1);
	size_t at = 0;
	int64_t n;

	while ((n = http_body_read(b, all + at, b->len - at < step ?
	    (size_t)(b->len - at) : step)) > 0)
		at += (size_t)n;
	ok(n == 0 && at == b->len, "as long as was said, by %zu", step);
	all[at] = '\0';
	return all;
}

static struct json_facts
facts_of(struct envelope *env, const char *mem, size_t n)
{
	memset(env, 0, sizeof(*env));
	env->id = "q1";
	env->body = (struct body){ .mem = mem, .fd = -1, .len = n };
	return (struct json_facts){ .env = env, .ehlo = "me.test",
	    .sender = "s@x.test", .rcpts = rcpts, .nrcpt = 2 };
}

static int
file_of(const char *p, size_t n)
{
	int fd = memfd_create("m", MFD_CLOEXEC);

	if (fd == -1 || write(fd, p, n) != (ssize_t)n)
		abort();
	return fd;
}

static void
test_rfc822(void)
{
	static const char text[] = "A: b\r\n\r\nx\0y\377\n";
	struct envelope env;
	struct json_facts facts = facts_of(&env, text, sizeof(text) - 1);
	struct http_body b;
	char *all;

	is_int(http_body_init(&b, FORMAT_RFC822, &facts), 0, "in memory");
	ok(http_body_memory(&b) == text, "it is there already");
	http_body_clear(&b);
	env.body.mem = NULL;
	env.body.fd = file_of(text, sizeof(text) - 1);
	is_int(http_body_init(&b, FORMAT_RFC822, &facts), 0, "in a file");
	ok(http_body_memory(&b) == NULL, "not in memory");
	all = read_all(&b, 3);
	is_mem(all, (size_t)b.len, text, sizeof(text) - 1, "its bytes");
	free(all);
	http_body_rewind(&b);
	all = read_all(&b, 100);
	is_mem(all, (size_t)b.len, text, sizeof(text) - 1, "and again");
	free(all);
	http_body_clear(&b);
	close(env.body.fd);
}

static json_t *
parse(struct http_body *b, size_t step)
{
	char *all = read_all(b, step);
	json_error_t error;
	json_t *o = json_loadb(all, (size_t)b->len, JSON_REJECT_DUPLICATES |
	    JSON_ALLOW_NUL, &error);

	if (o == NULL)
		diag("%s", error.text);
	free(all);
	return o;
}

static void
has_message(json_t *o, const char *want, size_t n)
{
	const char *text = json_string_value(json_object_get(o, "message"));
	char *raw = xmalloc(strlen(text) + 1);
	size_t len = 0;

	is_int(base64_decode(raw, text, strlen(text), &len), 0, "is base64");
	is_mem(raw, len, want, n, "the message");
	is_int(json_integer_value(json_object_get(o, "size")), (long)n,
	    "size");
	free(raw);
}

static void
test_json(void)
{
	static const char text[] = "From: a\r\nSubject: one\r\n\ttwo \r\n"
	    "X-Odd:\377\"\\\177\001\0z\r\nNo-Blank:x\nEmpty:\r\n\r\nFrom: body";
	static const char *const want[][2] = {
		{ "From", "a" }, { "Subject", "one\ttwo" },
		{ "X-Odd", NULL }, { "No-Blank", "x" }, { "Empty", "" },
	};
	struct envelope env;
	struct json_facts facts = facts_of(&env, text, sizeof(text) - 1);
	json_t *o, *e, *h;
	struct http_body b;
	size_t i, step;

	for (step = 1; step < 5000; step = 7 * step + 1) {
		is_int(http_body_init(&b, FORMAT_JSON, &facts), 0, "begun");
		o = parse(&b, step);
		if (!ok(o != NULL, "jansson reads it"))
			return;
		has_message(o, text, sizeof(text) - 1);
		e = json_object_get(o, "envelope");
		is_str(json_string_value(json_object_get(e, "sender")),
		    "s@x.test", "sender");
		is_str(json_string_value(json_array_get(json_object_get(e,
		    "recipients"), 1)), rcpts[1], "recipient");
		h = json_object_get(o, "headers");
		is_int((long)json_array_size(h), 5, "five fields");
		for (i = 0; i < 5; i++) {
			is_str(json_string_value(json_array_get(
			    json_array_get(h, i), 0)), want[i][0], "name");
			if (want[i][1] != NULL)
				is_str(json_string_value(json_array_get(
				    json_array_get(h, i), 1)), want[i][1],
				    "value");
		}
		json_decref(o);
		http_body_clear(&b);
	}
}

/* Lengths around the pieces of base64, in a file and in memory. */
static void
test_lengths(void)
{
	static char text[40000];
	static const size_t lengths[] = { 0, 1, 2, 3, 4, 12287, 12288, 12289,
	    24576, 40000 };
	struct envelope env;
	struct json_facts facts;
	struct http_body b;
	json_t *o;
	size_t i;

	for (i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 + i / 256);
	for (i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		facts = facts_of(&env, text, lengths[i / 2]);
		if (i % 2 == 1) {
			env.body.mem = NULL;
			env.body.fd = file_of(text, lengths[i / 2]);
		}
		is_int(http_body_init(&b, FORMAT_JSON, &facts), 0, "begun");
		o = parse(&b, 1000);
		if (ok(o != NULL, "%zu bytes are read", lengths[i / 2]))
			has_message(o, text, lengths[i / 2]);
		json_decref(o);
		http_body_clear(&b);
		if (i % 2 == 1)
			close(env.body.fd);
	}
}

static void
test_short(void)
{
	struct envelope env;
	struct json_facts facts = facts_of(&env, NULL, 1000);
	struct http_body b;
	char to[100];

	env.body.fd = file_of("A: b\n\nshort", 11);
	is_int(http_body_init(&b, FORMAT_RFC822, &facts), 0, "begun");
	while (http_body_read(&b, to, sizeof(to)) > 0)
		;
	is_int(errno, EIO, "a file that is too short");
	http_body_clear(&b);
	close(env.body.fd);
}

static void
test_long_header(void)
{
	size_t n = HEADER_BYTES_MAX + 1000, i;
	char *text = xmalloc(n);
	struct envelope env;
	struct json_facts facts = facts_of(&env, text, n);
	struct http_body b;
	json_t *o;

	for (i = 0; i < n; i++)
		text[i] = "A: b\n"[i % 5];
	is_int(http_body_init(&b, FORMAT_JSON, &facts), 0, "a long header");
	o = parse(&b, 65536);
	ok(json_is_true(json_object_get(o, "headers_truncated")), "is cut");
	has_message(o, text, n);
	json_decref(o);
	http_body_clear(&b);
	free(text);
}

static void
test_macros(void)
{
	static const char text[] = "Subject: x\nMessage-ID: <i@x>\n\nMessage-ID: no";
	struct arena *arena = arena_new(1024);
	const struct rcpt rcpt = { .addr = "r@x" };
	struct envelope env;

	facts_of(&env, text, sizeof(text) - 1);
	env.sender = "s@x";
	env.client_helo = "h\001";
	is_str(header_value_expand("plain", &env, &rcpt, arena), "plain",
	    "none");
	is_str(header_value_expand("{recipient} {sender}{{x}} {size} "
	    "{message_id}{client_ip} {client_ehlo}", &env, &rcpt, arena),
	    "r@x s@x{x} 44 <i@x> h?", "some");
	ok(header_value_check("{sender}{{}}") == NULL, "good");
	ok(header_value_check("{nosuch}") != NULL, "unknown");
	ok(header_value_check("{sender") != NULL, "open");
	ok(header_value_check("a}b") != NULL, "closes nothing");
	arena_free(arena);
}

int
main(void)
{
	test_rfc822();
	test_json();
	test_lengths();
	test_short();
	test_long_header();
	test_macros();
	return done_testing();
}
