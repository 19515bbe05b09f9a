/* test_frame_forward.c - FORWARD, and the DELIVER that becomes of another. */
#include "mail/frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "test.h"

static struct arena *arena;
static struct buf buf, made;

static struct frame
parsed(struct buf *b)
{
	const char *error = NULL;
	struct frame f;

	memset(&f, 0, sizeof(f));
	if (frame_parse(buf_data(b), buf_len(b), &f, &error) != 1)
		diag("no frame: %s", error);
	return f;
}

static void
test_round(void)
{
	const struct forward to = { "out", "[192.0.2.1]:25", "", NULL };
	const uint32_t set[] = { 0, 7, 999 };
	const char *error = NULL;
	struct forward got;
	struct attr a;
	struct frame f;

	is_int(frame_put_forward(&buf, 9, &to, set, 3), 0, "written");
	f = parsed(&buf);
	is_int(f.type, FRAME_FORWARD, "its type");
	is_int((int)f.id, 9, "its id");
	is_int(frame_get_forward(&f, arena, &got, &a, &error), 0, "read");
	is_str(got.relay, "out", "relay");
	is_str(got.nexthop, to.nexthop, "next hop");
	is_str(got.source, "", "an empty override is one");
	is_str(got.ehlo, NULL, "a missing one is none");
	is_int(a.len, 12, "the set");
	is_int(get_be32(a.data + 8), 999, "its last");

	buf_clear(&buf);
	is_int(frame_put_forward(&buf, 9, &to, NULL, 0), 0, "without a set");
	f = parsed(&buf);
	is_int(frame_get_forward(&f, arena, &got, &a, &error), 0, "read");
	ok(a.data == NULL, "all");

	buf_clear(&buf);
	is_int(frame_put_forward(&buf, 9, &to, set, 0), 0, "an empty set");
	f = parsed(&buf);
	is_int(frame_get_forward(&f, arena, &got, &a, &error), 0, "read");
	ok(a.data != NULL && a.len == 0, "is not all");
	buf_clear(&buf);
}

static void
refused(const char *want, const char *name, uint16_t tag1, size_t n1,
    const char *data1, uint16_t tag2, size_t n2, const char *data2)
{
	const char *error = NULL;
	struct frame_out o;
	struct forward got;
	struct attr a;
	struct frame f;

	frame_begin(&o, &buf, FRAME_FORWARD, 9, 0);
	if (tag1 != 0)
		frame_put(&o, tag1, data1, n1);
	if (tag2 != 0)
		frame_put(&o, tag2, data2, n2);
	frame_end(&o);
	f = parsed(&buf);
	if (want == NULL)
		is_int(frame_get_forward(&f, arena, &got, &a, &error), 0,
		    "%s: taken", name);
	else {
		is_int(frame_get_forward(&f, arena, &got, &a, &error), -1,
		    "%s: refused", name);
		is_str(error, want, "%s: why", name);
	}
	buf_clear(&buf);
}

static void
test_refused(void)
{
	const char *odd = "malformed attribute in FORWARD";
	const char *line = "control byte in a text of FORWARD";
	char *big = xcalloc(1, 4 * (ENVELOPE_RCPT_MAX + 1));

	refused("FORWARD without a relay", "nothing", 0, 0, "", 0, 0, "");
	refused("FORWARD without a relay", "an empty relay", ATTR_RELAY, 0,
	    "", 0, 0, "");
	refused(odd, "two relays", ATTR_RELAY, 1, "a", ATTR_RELAY, 1, "b");
	refused(odd, "two sets", ATTR_RCPT_SET, 4, "\0\0\0\1", ATTR_RCPT_SET,
	    4, "\0\0\0\2");
	refused(odd, "a set of odd length", ATTR_RELAY, 1, "a",
	    ATTR_RCPT_SET, 3, "abc");
	refused(NULL, "the longest set", ATTR_RELAY, 1, "a", ATTR_RCPT_SET,
	    4 * ENVELOPE_RCPT_MAX, big);
	refused(odd, "a longer one", ATTR_RELAY, 1, "a", ATTR_RCPT_SET,
	    4 * (ENVELOPE_RCPT_MAX + 1), big);
	refused(odd, "NUL", ATTR_RELAY, 3, "a\0b", 0, 0, "");
	refused(line, "CR", ATTR_RELAY, 3, "a\rb", 0, 0, "");
	refused(line, "LF", ATTR_RELAY, 1, "a", ATTR_EHLO, 2, "\nb");
	refused(odd, "what belongs elsewhere", ATTR_RELAY, 1, "a", ATTR_RCPT,
	    1, "b");
	refused(NULL, "what may be skipped", ATTR_RELAY, 1, "a",
	    ATTR_SKIPPABLE | 5, 1, "b");
	free(big);
}

static void
test_lengths(void)
{
	char *text = xcalloc(1, FRAME_TEXT_MAX + 2);
	struct forward to = { .relay = text };

	ok(!frame_forward_fits(&to), "an empty relay does not fit");
	memset(text, 'r', FRAME_TEXT_MAX);
	ok(frame_forward_fits(&to), "the longest text fits");
	is_int(frame_put_forward(&buf, 1, &to, NULL, 0), 0, "and is written");
	buf_clear(&buf);
	text[FRAME_TEXT_MAX] = 'r';
	ok(!frame_forward_fits(&to), "a longer one does not");
	is_int(frame_put_forward(&buf, 1, &to, NULL, 0), -1, "nor is written");
	is_int((int)buf_len(&buf), 0, "nothing is left of it");
	to.relay = "a\nb";
	ok(!frame_forward_fits(&to), "nor one with a line end");
	to.relay = NULL;
	ok(!frame_forward_fits(&to), "nor none");
	free(text);
}

/* ---- the DELIVER that is made of it ---- */

static void
envelope(struct envelope *e, struct rcpt *rcpts)
{
	static const struct rcpt three[] = {
		{ "a@x.test", "rfc822;A", NOTIFY_NEVER },
		{ "b@x.test", NULL, 0 },
		{ "c@x.test", "rfc822;C", NOTIFY_DELAY },
	};

	memcpy(rcpts, three, sizeof(three));
	memset(e, 0, sizeof(*e));
	e->id = "id";
	e->relay = "front";
	e->sender = "s@x.test";
	e->rcpts = rcpts;
	e->nrcpt = 3;
	e->nexthop = "old.test";
	e->source = "192.0.2.1";
	e->ehlo = "old.ehlo";
	e->envid = "E";
	e->attempts = 3;
	e->deadline_s = 300;
	e->body.mem = "body";
	e->body.len = 4;
	e->body.fd = -1;
}

static void
test_readdress(void)
{
	const struct forward to = { "out", "new.test", "", NULL };
	const uint8_t chosen[] = { 1, 0, 1 };
	const char *error = NULL;
	struct envelope e, got;
	struct rcpt rcpts[3];
	struct frame f;

	envelope(&e, rcpts);
	frame_put_deliver(&buf, 9, &e);
	f = parsed(&buf);
	is_int(frame_put_forwarded(&made, &f, chosen, &to, 2, 17), 0, "made");
	f = parsed(&made);
	is_int(frame_get_deliver(&f, -1, arena, &got, &error), 0, "sound");
	is_str(got.relay, "out", "the other relay");
	is_str(got.nexthop, "new.test", "next hop replaced");
	is_str(got.source, NULL, "source taken away");
	is_str(got.ehlo, "old.ehlo", "EHLO name kept");
	is_int(got.hops, 2, "hops");
	is_int(got.deadline_s, 17, "deadline");
	is_int(got.nrcpt, 2, "the chosen ones");
	is_str(got.rcpts[0].addr, "a@x.test", "first");
	is_str(got.rcpts[0].orcpt, "rfc822;A", "its ORCPT");
	is_int(got.rcpts[0].notify, NOTIFY_NEVER, "its NOTIFY");
	is_str(got.rcpts[1].addr, "c@x.test", "last");
	is_str(got.rcpts[1].orcpt, "rfc822;C", "its ORCPT");
	is_int(got.rcpts[1].notify, NOTIFY_DELAY, "its NOTIFY");
	is_str(got.id, "id", "id");
	is_str(got.sender, "s@x.test", "sender");
	is_str(got.envid, "E", "ENVID");
	is_int(got.attempts, 3, "attempts");
	is_mem(got.body.mem, got.body.len, "body", 4, "body");

	/* Once more, of what came out: hops are written anew. */
	buf_clear(&buf);
	is_int(frame_put_forwarded(&buf, &f, chosen + 1, &to, 3, 0), 0,
	    "again");
	f = parsed(&buf);
	is_int(frame_get_deliver(&f, -1, arena, &got, &error), 0, "sound");
	is_int(got.nrcpt, 1, "one is left");
	is_str(got.rcpts[0].addr, "c@x.test", "it is the last");
	is_str(got.rcpts[0].orcpt, "rfc822;C", "with what is its own");
	is_int(got.hops, 3, "one more hop");
	is_int(got.deadline_s, 0, "no deadline");
	buf_clear(&buf);
	buf_clear(&made);
}

/* A descriptor's range goes along; the longest frame finds no room. */
static void
test_bounds(void)
{
	struct forward to = { .relay = "out" };
	const uint8_t chosen[ENVELOPE_RCPT_MAX] = { 1 };
	char *text = xcalloc(1, FRAME_TEXT_MAX + 1);
	const char *error = NULL;
	struct envelope e, got;
	struct rcpt rcpts[3];
	struct frame_out o;
	struct frame f;

	envelope(&e, rcpts);
	e.body = (struct body){ NULL, 0, 5, 1 << 20 };
	frame_put_deliver(&buf, 9, &e);
	f = parsed(&buf);
	is_int(frame_put_forwarded(&made, &f, chosen, &to, 1, 0), 0, "range");
	f = parsed(&made);
	is_int(f.flags, FRAME_HAS_FD, "a descriptor travels");
	is_int(frame_get_deliver(&f, 0, arena, &got, &error), 0, "sound");
	is_int((int)got.body.offset, 5, "offset");
	is_int((int)got.body.len, 1 << 20, "length");
	buf_clear(&buf);
	buf_clear(&made);

	memset(text, 'x', FRAME_TEXT_MAX);
	frame_begin(&o, &buf, FRAME_DELIVER, 9, 0);
	frame_put_text(&o, ATTR_SENDER, "s");
	frame_put_text(&o, ATTR_RCPT, "r");
	frame_put(&o, ATTR_BODY, "b", 1);
	while (buf_len(&buf) < FRAME_BYTES_MAX - 5000)
		frame_put_text(&o, ATTR_SKIPPABLE | 1, text);
	is_int(frame_end(&o), 0, "a long frame");
	f = parsed(&buf);
	is_int(frame_put_forwarded(&made, &f, chosen, &to, 1, 0), 0,
	    "has room for a relay");
	buf_clear(&made);
	to.nexthop = to.ehlo = text;
	is_int(frame_put_forwarded(&made, &f, chosen, &to, 1, 0), -1,
	    "not for long overrides");
	is_int((int)buf_len(&made), 0, "nothing is left of it");
	buf_clear(&buf);
	free(text);
}

static void
test_index(void)
{
	struct answer a = { .reply = { .code = 250, .cls = REPLY_DELIVERED,
	    .by = BY_AGENT, .dsn = { 2, 0, 0 }, .text = "ok" } }, got;
	const char *error = NULL;
	struct frame f;
	uint32_t i;

	frame_put_result(&buf, 9, 3, &a);
	frame_set_index(buf_data(&buf), 700);
	f = parsed(&buf);
	is_int(frame_get_result(&f, arena, &i, &got, &error), 0, "a RESULT");
	is_int(i, 700, "of another recipient");
	is_str(got.reply.text, "ok", "and nothing else");
	buf_clear(&buf);
}

int
main(void)
{
	arena = arena_new(0);
	buf_init(&buf, 2 * FRAME_BYTES_MAX);
	buf_init(&made, 2 * FRAME_BYTES_MAX);
	test_round();
	test_refused();
	test_lengths();
	test_readdress();
	test_bounds();
	test_index();
	arena_free(arena);
	return done_testing();
}
