/* test_frame.c - frames as bytes: bounds, round trips, what is refused. */
#include "mail/frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "test.h"

static struct arena *arena;
static struct buf buf;		/* the frame under test */
static struct frame_out out;

static void
begin(enum frame_type type, uint64_t id, uint16_t flags)
{
	buf_clear(&buf);
	frame_begin(&out, &buf, type, id, flags);
}

/* The frame that was begun, as a reader sees it. */
static struct frame
finish(void)
{
	const char *error = NULL;
	struct frame f;

	memset(&f, 0, sizeof(f));
	if (frame_end(&out) == -1 || frame_parse(buf_data(&buf),
	    buf_len(&buf), &f, &error) != 1)
		diag("no frame: %s", error);
	return f;
}

/* ---- header ---- */

static int
parse_header(uint32_t len, uint8_t version, uint8_t type, uint16_t flags,
    size_t n, struct frame *f, const char **error)
{
	uint8_t h[FRAME_HEADER_BYTES];

	put_be32(h, len);
	h[4] = version;
	h[5] = type;
	put_be16(h + 6, flags);
	put_be64(h + 8, 0x0102030405060708);
	*error = NULL;
	return frame_parse(h, n, f, error);
}

static void
test_header(void)
{
	static const struct {
		uint32_t	 len;
		uint8_t		 version, type;
		uint16_t	 flags;
		size_t		 n;
		int		 result;
		const char	*error;
	} rows[] = {
		{ 16, 1, FRAME_DONE, 0, 16, 1, NULL },
		{ 16, 1, FRAME_DONE, 1, 16, 1, NULL },
		{ 16, 1, FRAME_LOG, 0, 16, 1, NULL },
		{ 17, 1, FRAME_DONE, 0, 16, 0, NULL },
		{ 1 << 20, 1, FRAME_DONE, 0, 16, 0, NULL },
		{ 16, 1, FRAME_DONE, 0, 0, 0, NULL },
		{ 15, 1, FRAME_DONE, 0, 3, 0, NULL },
		{ 16, 9, FRAME_DONE, 0, 15, 0, NULL },
		{ 15, 1, FRAME_DONE, 0, 4, -1, "frame length out of range" },
		{ 0, 1, FRAME_DONE, 0, 16, -1, "frame length out of range" },
		{ (1 << 20) + 1, 1, FRAME_DONE, 0, 4, -1,
		    "frame length out of range" },
		{ UINT32_MAX, 1, FRAME_DONE, 0, 16, -1,
		    "frame length out of range" },
		{ 16, 0, FRAME_DONE, 0, 16, -1, "unknown frame version" },
		{ 16, 2, FRAME_DONE, 0, 16, -1, "unknown frame version" },
		{ 16, 1, 0, 0, 16, -1, "unknown frame type" },
		{ 16, 1, FRAME_LOG + 1, 0, 16, -1, "unknown frame type" },
		{ 16, 1, 255, 0, 16, -1, "unknown frame type" },
		{ 16, 1, FRAME_DONE, 2, 16, -1, "unknown frame flag" },
		{ 16, 1, FRAME_DONE, 0x8001, 16, -1, "unknown frame flag" },
	};
	const char *error;
	struct frame f;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_int(parse_header(rows[i].len, rows[i].version, rows[i].type,
		    rows[i].flags, rows[i].n, &f, &error), rows[i].result,
		    "header %zu: result", i);
		is_str(error, rows[i].error, "header %zu: error", i);
	}
	parse_header(16, 1, FRAME_RESULT, 1, 16, &f, &error);
	is_int(f.type, FRAME_RESULT, "header: type");
	is_int(f.flags, FRAME_HAS_FD, "header: flags");
	is_int((intmax_t)f.id, 0x0102030405060708, "header: id");
	is_int((intmax_t)f.attrs_len, 0, "header: no attributes");
	parse_header(16, 1, FRAME_RESULT, 1, 3, &f, &error);
	is_int(f.len, 0, "header: no length known of three bytes");
	parse_header(99, 1, FRAME_RESULT, 1, 4, &f, &error);
	is_int(f.len, 99, "header: length known of four bytes");
	is_str(frame_type_name(FRAME_DELIVER), "DELIVER", "name of a type");
	is_str(frame_type_name(0), "?", "name of type 0");
	is_str(frame_type_name(FRAME_LOG + 1), "?", "name of no type");
	is_str(frame_type_name(UINT32_MAX), "?", "name of the largest type");
}

/* ---- attributes ---- */

static void
test_walk(void)
{
	static const uint8_t bytes[] = {
		0x00, 0x05, 0, 0, 0, 2, 'a', 'b',
		0x80, 0x01, 0, 0, 0, 0,
	};
	struct frame f = { .attrs = bytes };
	struct attr a;
	size_t at = 0, n;
	int last;

	f.attrs_len = sizeof(bytes);
	is_int(frame_next(&f, &at, &a), 1, "walk: first");
	is_int(a.tag, 5, "walk: tag");
	is_mem(a.data, a.len, "ab", 2, "walk: data");
	is_int(frame_next(&f, &at, &a), 1, "walk: second");
	is_int(a.tag, 0x8001, "walk: tag with the top bit");
	is_int(a.len, 0, "walk: empty");
	is_int(frame_next(&f, &at, &a), 0, "walk: end");
	is_int(frame_next(&f, &at, &a), 0, "walk: end again");
	/* Cut anywhere but between attributes it is a fault. */
	for (n = 0; n <= sizeof(bytes); n++) {
		f.attrs_len = n;
		at = 0;
		while ((last = frame_next(&f, &at, &a)) == 1)
			;
		is_int(last, n == 0 || n == 8 || n == 14 ? 0 : -1,
		    "walk: cut at %zu", n);
	}
}

static void
test_walk_overflow(void)
{
	static const uint32_t lens[] = { 1, 0x7fffffff, 0x80000000,
		UINT32_MAX - FRAME_ATTR_BYTES, UINT32_MAX };
	uint8_t bytes[FRAME_ATTR_BYTES] = { 0, 1 };
	struct frame f = { .attrs = bytes, .attrs_len = sizeof(bytes) };
	struct attr a;
	size_t i, at;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		put_be32(bytes + 2, lens[i]);
		at = 0;
		is_int(frame_next(&f, &at, &a), -1, "walk: %u bytes claimed",
		    lens[i]);
	}
}

static void
test_typed(void)
{
	static const uint8_t bytes[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct attr a = { .data = bytes };
	uint8_t v8 = 0;
	uint16_t v16 = 0;
	uint32_t v32 = 0;
	uint64_t v64 = 0;

	for (a.len = 0; a.len <= 9; a.len++) {
		is_int(attr_u8(&a, &v8), a.len == 1 ? 0 : -1, "u8 of %u",
		    a.len);
		is_int(attr_u16(&a, &v16), a.len == 2 ? 0 : -1, "u16 of %u",
		    a.len);
		is_int(attr_u32(&a, &v32), a.len == 4 ? 0 : -1, "u32 of %u",
		    a.len);
		is_int(attr_u64(&a, &v64), a.len == 8 ? 0 : -1, "u64 of %u",
		    a.len);
	}
	is_int(v8, 1, "u8: value");
	is_int(v16, 0x0102, "u16: value");
	is_int(v32, 0x01020304, "u32: value");
	is_int((intmax_t)v64, 0x0102030405060708, "u64: value");
}

static void
test_text(void)
{
	char text[FRAME_TEXT_MAX + 1];
	struct attr a = { .data = (const uint8_t *)text };
	const char *copy;

	memset(text, 'x', sizeof(text));
	a.len = FRAME_TEXT_MAX;
	copy = attr_text(&a, arena);
	ok(copy != NULL && strlen(copy) == FRAME_TEXT_MAX,
	    "text: as long as it may be");
	a.len = FRAME_TEXT_MAX + 1;
	ok(attr_text(&a, arena) == NULL, "text: one too long");
	a.len = 0;
	is_str(attr_text(&a, arena), "", "text: empty");
	a.len = 3;
	text[2] = '\0';
	ok(attr_text(&a, arena) == NULL, "text: NUL at its end");
}

/* ---- writing ---- */

static void
test_write(void)
{
	static const uint8_t want[] = {
		0, 0, 0, 16 + 7 + 8 + 10 + 14 + 8, 1, FRAME_STATS, 0, 1,
		0, 0, 0, 0, 0, 0, 0, 42,
		0, 68, 0, 0, 0, 1, 0xab,
		0, 55, 0, 0, 0, 2, 0x12, 0x34,
		0, 9, 0, 0, 0, 4, 0xde, 0xad, 0xbe, 0xef,
		0, 65, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8,
		0, 64, 0, 0, 0, 2, 'h', 'i',
	};

	begin(FRAME_STATS, 42, FRAME_HAS_FD);
	frame_put_u8(&out, ATTR_STATUS, 0xab);
	frame_put_u16(&out, ATTR_PORT, 0x1234);
	frame_put_u32(&out, ATTR_WINDOW, 0xdeadbeef);
	frame_put_u64(&out, ATTR_STAT_VALUE, 0x0102030405060708);
	frame_put_text(&out, ATTR_STAT_NAME, "hi");
	is_int(frame_end(&out), 0, "write: taken");
	is_mem(buf_data(&buf), buf_len(&buf), want, sizeof(want),
	    "write: bytes");
	frame_set_id(buf_data(&buf), 0x1122334455667788);
	is_int((intmax_t)get_be64(buf_data(&buf) + 8), 0x1122334455667788,
	    "write: another id");
}

/* What does not fit leaves the buffer as it was. */
static void
test_write_full(void)
{
	char text[FRAME_TEXT_MAX + 2];
	struct buf small;
	size_t max;

	memset(text, 'x', sizeof(text));
	text[FRAME_TEXT_MAX + 1] = '\0';
	for (max = 16; max < 16 + 16 + 7; max++) {
		buf_init(&small, max);
		is_int(frame_put_bare(&small, FRAME_DRAIN, 0), 0,
		    "buffer of %zu: one frame", max);
		frame_begin(&out, &small, FRAME_STAGE, 1, 0);
		frame_put_u8(&out, ATTR_STAGE, 1);
		is_int(frame_end(&out), -1, "buffer of %zu: no other", max);
		is_int((intmax_t)buf_len(&small), 16,
		    "buffer of %zu: the first is left", max);
		buf_clear(&small);
	}
	begin(FRAME_STATS, 0, 0);
	frame_put_text(&out, ATTR_STAT_NAME, text);
	frame_put_u8(&out, ATTR_STATUS, 1);
	is_int(frame_end(&out), -1, "text too long: refused");
	is_int((intmax_t)buf_len(&buf), 0, "text too long: nothing is left");
	text[FRAME_TEXT_MAX] = '\0';
	begin(FRAME_STATS, 0, 0);
	frame_put_text(&out, ATTR_STAT_NAME, text);
	is_int(frame_end(&out), 0, "text as long as it may be");
}

static void
test_write_ceiling(void)
{
	static char big[FRAME_BYTES_MAX];
	size_t fits = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - FRAME_ATTR_BYTES;

	begin(FRAME_STATS, 0, 0);
	frame_put(&out, ATTR_STAT_NAME, big, fits);
	is_int(frame_end(&out), 0, "frame as long as it may be");
	is_int((intmax_t)buf_len(&buf), FRAME_BYTES_MAX, "its length");
	begin(FRAME_STATS, 0, 0);
	frame_put(&out, ATTR_STAT_NAME, big, fits + 1);
	is_int(frame_end(&out), -1, "frame of one byte more");
	is_int((intmax_t)buf_len(&buf), 0, "nothing is left of it");
	begin(FRAME_STATS, 0, 0);
	frame_put(&out, ATTR_STAT_NAME, big, SIZE_MAX);
	is_int(frame_end(&out), -1, "an attribute of all memory");
}

/* ---- DELIVER ---- */

static void
fill(struct envelope *e, struct rcpt *rcpts)
{
	memset(e, 0, sizeof(*e));
	rcpts[0] = (struct rcpt){ "a@x.example", "rfc822;a@x", NOTIFY_NEVER };
	rcpts[1] = (struct rcpt){ "b@x.example", NULL, 0 };
	rcpts[2] = (struct rcpt){ "c@x.example", NULL,
		NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY };
	e->id = "Q1";
	e->relay = "out";
	e->sender = "s@y.example";
	e->rcpts = rcpts;
	e->nrcpt = 3;
	e->nexthop = "[192.0.2.1]:25";
	e->source = "192.0.2.2";
	e->ehlo = "me.example";
	e->envid = "E1";
	e->ret = RET_HDRS;
	e->body_type = BODY_8BITMIME;
	e->flags = ENV_SMTPUTF8 | ENV_REQUIRETLS | ENV_PROBE;
	e->client_ip = "192.0.2.3";
	e->client_host = "client.example";
	e->client_helo = "helo";
	e->client_proto = "ESMTP";
	e->client_auth = "user";
	e->arrival_ms = 1234567890123;
	e->attempts = 7;
	e->deadline_s = 300;
	e->body.mem = "body";
	e->body.len = 4;
	e->body.fd = -1;
}

static void
check_names(const struct frame *f, const struct deliver_facts *facts)
{
	static const char all[] = "Q1\0s@y.example\0a@x.example\0b@x.example\0"
	    "c@x.example";
	char got[sizeof(all) + 1] = "";

	is_int(facts->names_len, sizeof(all), "names: bytes");
	if (facts->names_len != sizeof(all))
		return;
	got[sizeof(all)] = 'x';
	frame_deliver_names(f, facts, got);
	is_mem(got, sizeof(all), all, sizeof(all), "names: in their order");
	is_int(got[sizeof(all)], 'x', "names: nothing behind them");
}

static void
test_deliver(void)
{
	struct envelope e, got;
	struct deliver_facts facts;
	struct rcpt rcpts[3];
	struct frame f;
	const char *error = NULL;

	fill(&e, rcpts);
	buf_clear(&buf);
	is_int(frame_put_deliver(&buf, 9, &e), 0, "deliver: written");
	is_int(frame_parse(buf_data(&buf), buf_len(&buf), &f, &error), 1,
	    "deliver: parsed");
	is_int(f.flags, 0, "deliver: no descriptor");
	is_int(frame_get_deliver(&f, -1, arena, &got, &error), 0,
	    "deliver: read");
	memset(buf_data(&buf), 'X', buf_len(&buf));	/* all was copied */
	is_str(got.id, e.id, "deliver: id");
	is_str(got.relay, e.relay, "deliver: relay");
	is_str(got.sender, e.sender, "deliver: sender");
	is_int(got.nrcpt, 3, "deliver: recipients");
	is_str(got.rcpts[0].addr, rcpts[0].addr, "deliver: first");
	is_str(got.rcpts[0].orcpt, rcpts[0].orcpt, "deliver: its ORCPT");
	is_int(got.rcpts[0].notify, NOTIFY_NEVER, "deliver: its NOTIFY");
	is_str(got.rcpts[1].addr, rcpts[1].addr, "deliver: second");
	is_str(got.rcpts[1].orcpt, NULL, "deliver: it has no ORCPT");
	is_int(got.rcpts[1].notify, 0, "deliver: it has no NOTIFY");
	is_int(got.rcpts[2].notify, 14, "deliver: NOTIFY of the third");
	is_str(got.nexthop, e.nexthop, "deliver: next hop");
	is_str(got.source, e.source, "deliver: source");
	is_str(got.ehlo, e.ehlo, "deliver: EHLO");
	is_str(got.envid, e.envid, "deliver: ENVID");
	is_int(got.ret, e.ret, "deliver: RET");
	is_int(got.body_type, e.body_type, "deliver: body type");
	is_int(got.flags, e.flags & ~(uint32_t)ENV_PROBE,
	    "deliver: flags, but no probe");
	is_str(got.client_ip, e.client_ip, "deliver: client's IP");
	is_str(got.client_host, e.client_host, "deliver: client's host");
	is_str(got.client_helo, e.client_helo, "deliver: client's HELO");
	is_str(got.client_proto, e.client_proto, "deliver: its protocol");
	is_str(got.client_auth, e.client_auth, "deliver: its user");
	is_int(got.arrival_ms, e.arrival_ms, "deliver: arrival");
	is_int(got.attempts, e.attempts, "deliver: attempts");
	is_int(got.deadline_s, e.deadline_s, "deliver: deadline");
	is_mem(got.body.mem, got.body.len, "body", 4, "deliver: body");
	is_int(got.body.fd, -1, "deliver: no descriptor");

	frame_put_deliver(&buf, 9, &e);
	buf_consume(&buf, f.len);	/* offsets count from the data */
	frame_parse(buf_data(&buf), buf_len(&buf), &f, &error);
	is_int(frame_deliver_facts(&f, &facts, &error), 0, "facts: read");
	is_mem(facts.relay, facts.relay_len, "out", 3, "facts: relay");
	is_int(facts.nrcpt, 3, "facts: recipients");
	is_int(facts.deadline_s, 300, "facts: deadline");
	is_int((intmax_t)facts.body_len, 4, "facts: bytes of the body");
	check_names(&f, &facts);
}

static void
test_deliver_range(void)
{
	struct envelope e, got;
	struct rcpt rcpts[3];
	struct frame f;
	const char *error = NULL;

	fill(&e, rcpts);
	e.id = e.relay = e.sender = "";
	e.body = (struct body){ NULL, 5, 1ULL << 40, 1ULL << 41 };
	buf_clear(&buf);
	frame_put_deliver(&buf, 1, &e);
	frame_parse(buf_data(&buf), buf_len(&buf), &f, &error);
	is_int(f.flags, FRAME_HAS_FD, "range: says that it has one");
	is_int(frame_get_deliver(&f, 77, arena, &got, &error), 0,
	    "range: read");
	is_int(got.body.fd, 77, "range: descriptor");
	ok(got.body.mem == NULL, "range: no memory");
	is_int((intmax_t)got.body.offset, (intmax_t)1 << 40, "range: offset");
	is_int((intmax_t)got.body.len, (intmax_t)1 << 41, "range: length");
	is_str(got.sender, "", "range: null sender");
	is_str(got.id, "", "range: no id");
	is_str(got.relay, "", "range: no relay");
	f.id = 0;
	is_int(frame_get_deliver(&f, 78, arena, &got, &error), -1,
	    "range: id 0");
	is_int(got.body.fd, 78, "range: the descriptor is the envelope's");
}

/* A frame with all that must be there, less and more as the row says. */
struct deliver_row {
	const char	*name;
	const char	*error;		/* NULL = taken */
	bool		 no_sender, no_rcpt, no_body;
	uint16_t	 flags;
	struct {
		uint16_t	 tag;
		uint32_t	 len;
		const char	*data;
	} extra[3];
};

#define BIG	"\x7f\xff\xff\xff\xff\xff\xff\xff"
#define ONE	"\0\0\0\0\0\0\0\1"
#define NIL	"\0\0\0\0\0\0\0\0"
#define NEG	"\x80\0\0\0\0\0\0\0"
#define LEN	"attribute of wrong length"
#define RANGE	"attribute value out of range"
#define BYTE	"control byte in a text"
#define TWICE	"attribute given twice"
#define UNKNOWN	"unknown attribute"
#define EARLY	"recipient attribute before a recipient"
#define AGREE	"descriptor and body range do not agree"
#define BODY	"not exactly one body"

static const struct deliver_row deliver_rows[] = {
	{ .name = "least" },
	{ .name = "no sender", .error = "no sender", .no_sender = true },
	{ .name = "no recipient", .error = "no recipient", .no_rcpt = true },
	{ .name = "no body", .error = BODY, .no_body = true },
	{ "two bodies", BODY, .extra = {
	    { ATTR_BODY_RANGE, 16, NIL NIL } } },
	{ "body twice", TWICE, .extra = { { ATTR_BODY, 0, "" } } },
	{ "flag alone", AGREE, .flags = FRAME_HAS_FD },
	{ "range alone", AGREE, .no_body = true, .extra = {
	    { ATTR_BODY_RANGE, 16, NIL NIL } } },
	{ "range", NULL, .no_body = true, .flags = FRAME_HAS_FD, .extra = {
	    { ATTR_BODY_RANGE, 16, NIL NIL } } },
	{ "range to the end", NULL, .no_body = true, .flags = FRAME_HAS_FD,
	    .extra = { { ATTR_BODY_RANGE, 16, NIL BIG } } },
	{ "range over the end", RANGE, .no_body = true,
	    .flags = FRAME_HAS_FD, .extra = {
	    { ATTR_BODY_RANGE, 16, ONE BIG } } },
	{ "negative offset", RANGE, .no_body = true, .flags = FRAME_HAS_FD,
	    .extra = { { ATTR_BODY_RANGE, 16, NEG NIL } } },
	{ "negative length", RANGE, .no_body = true, .flags = FRAME_HAS_FD,
	    .extra = { { ATTR_BODY_RANGE, 16, NIL NEG } } },
	{ "short range", LEN, .no_body = true, .flags = FRAME_HAS_FD,
	    .extra = { { ATTR_BODY_RANGE, 15, NIL NIL } } },
	{ "sender twice", TWICE, .extra = { { ATTR_SENDER, 0, "" } } },
	{ "relay twice", TWICE, .extra = { { ATTR_RELAY, 1, "a" },
	    { ATTR_RELAY, 1, "a" } } },
	{ "deadline twice", TWICE, .extra = { { ATTR_DEADLINE, 4, NIL },
	    { ATTR_DEADLINE, 4, NIL } } },
	{ "unknown below", UNKNOWN, .extra = { { 15, 0, "" } } },
	{ "unknown above", UNKNOWN, .extra = { { ATTR_NO_WAIT + 1, 0, "" } } },
	{ "tag 0", UNKNOWN, .extra = { { 0, 0, "" } } },
	{ "tag of RESULT", UNKNOWN, .extra = { { ATTR_TEXT, 0, "" } } },
	{ "tag 69", UNKNOWN, .extra = { { 69, 0, "" } } },
	{ "skippable", NULL, .extra = { { 0x8000, 3, "a\0b" },
	    { 0x8011, 1, "x" }, { 0xffff, 0, "" } } },
	{ "relay and sender with NUL", BYTE, .extra = {
	    { ATTR_RELAY, 3, "a\0b" } } },
	{ "CR", BYTE, .extra = { { ATTR_RCPT, 3, "a\rb" } } },
	{ "LF", BYTE, .extra = { { ATTR_RCPT, 2, "a\n" } } },
	{ "LF in ENVID", BYTE, .extra = { { ATTR_ENVID, 1, "\n" } } },
	{ "LF in EHLO", BYTE, .extra = { { ATTR_EHLO, 1, "\n" } } },
	{ "RET", NULL, .extra = { { ATTR_RET, 1, "\2" } } },
	{ "RET too high", RANGE, .extra = { { ATTR_RET, 1, "\3" } } },
	{ "RET empty", LEN, .extra = { { ATTR_RET, 0, "" } } },
	{ "body type", NULL, .extra = { { ATTR_BODY_TYPE, 1, "\3" } } },
	{ "body type too high", RANGE, .extra = {
	    { ATTR_BODY_TYPE, 1, "\4" } } },
	{ "flags short", LEN, .extra = { { ATTR_ENV_FLAGS, 3, NIL } } },
	{ "arrival long", LEN, .extra = { { ATTR_ARRIVAL, 9, NIL NIL } } },
	{ "hops", NULL, .extra = { { ATTR_HOPS, 1, "\4" } } },
	{ "ORCPT early", EARLY, .no_rcpt = true, .extra = {
	    { ATTR_ORCPT, 1, "x" } } },
	{ "NOTIFY early", EARLY, .no_rcpt = true, .extra = {
	    { ATTR_NOTIFY, 1, "\1" } } },
	{ "ORCPT twice", TWICE, .extra = { { ATTR_ORCPT, 1, "x" },
	    { ATTR_ORCPT, 1, "y" } } },
	{ "NOTIFY twice", TWICE, .extra = { { ATTR_NOTIFY, 1, "\1" },
	    { ATTR_ORCPT, 1, "y" }, { ATTR_NOTIFY, 1, "\1" } } },
	{ "ORCPT of each", NULL, .extra = { { ATTR_ORCPT, 1, "x" },
	    { ATTR_RCPT, 1, "b" }, { ATTR_ORCPT, 1, "y" } } },
	{ "NOTIFY all but NEVER", NULL, .extra = {
	    { ATTR_NOTIFY, 1, "\16" } } },
	{ "NEVER with others", RANGE, .extra = {
	    { ATTR_NOTIFY, 1, "\3" } } },
	{ "NOTIFY unknown", RANGE, .extra = { { ATTR_NOTIFY, 1, "\20" } } },
};

static struct frame
deliver_frame(const struct deliver_row *row)
{
	size_t i;

	begin(FRAME_DELIVER, 1, row->flags);
	if (!row->no_sender)
		frame_put_text(&out, ATTR_SENDER, "");
	if (!row->no_body)
		frame_put(&out, ATTR_BODY, "", 0);
	if (!row->no_rcpt)
		frame_put_text(&out, ATTR_RCPT, "a@b");
	for (i = 0; i < 3 && row->extra[i].data != NULL; i++)
		frame_put(&out, row->extra[i].tag, row->extra[i].data,
		    row->extra[i].len);
	return finish();
}

static void
test_deliver_faults(void)
{
	struct deliver_facts facts;
	struct envelope e;
	const char *error;
	struct frame f;
	size_t i;

	for (i = 0; i < sizeof(deliver_rows) / sizeof(deliver_rows[0]); i++) {
		f = deliver_frame(&deliver_rows[i]);
		error = NULL;
		is_int(frame_get_deliver(&f, -1, arena, &e, &error),
		    deliver_rows[i].error == NULL ? 0 : -1, "%s: result",
		    deliver_rows[i].name);
		is_str(error, deliver_rows[i].error, "%s: error",
		    deliver_rows[i].name);
		error = NULL;
		frame_deliver_facts(&f, &facts, &error);
		is_str(error, deliver_rows[i].error, "%s: the router agrees",
		    deliver_rows[i].name);
	}
	begin(FRAME_DELIVER, 0, 0);
	frame_put_text(&out, ATTR_SENDER, "");
	frame_put_text(&out, ATTR_RCPT, "a");
	frame_put(&out, ATTR_BODY, "", 0);
	f = finish();
	is_int(frame_get_deliver(&f, -1, arena, &e, &error), -1, "id 0");
	is_str(error, "delivery id is 0", "id 0: error");
	f.id = 1;
	f.attrs_len--;
	is_int(frame_get_deliver(&f, -1, arena, &e, &error), -1, "cut");
	is_str(error, "attribute runs over the end of the frame",
	    "cut: error");
}

/* Writes n recipients; whether a reader takes them. */
static bool
takes_rcpts(uint32_t n)
{
	struct envelope e;
	const char *error;
	struct frame f;
	uint32_t i;

	begin(FRAME_DELIVER, 1, 0);
	frame_put_text(&out, ATTR_SENDER, "");
	frame_put(&out, ATTR_BODY, "", 0);
	for (i = 0; i < n; i++)
		frame_put_text(&out, ATTR_RCPT, "a@b");
	f = finish();
	return frame_get_deliver(&f, -1, arena, &e, &error) == 0 &&
	    e.nrcpt == n && strcmp(e.rcpts[n - 1].addr, "a@b") == 0;
}

static bool
takes_text(size_t n)
{
	static char text[FRAME_TEXT_MAX + 1];
	struct envelope e;
	const char *error;
	struct frame f;

	memset(text, 'x', sizeof(text));
	begin(FRAME_DELIVER, 1, 0);
	frame_put(&out, ATTR_SENDER, text, n);
	frame_put(&out, ATTR_BODY, "", 0);
	frame_put_text(&out, ATTR_RCPT, "a@b");
	f = finish();
	return frame_get_deliver(&f, -1, arena, &e, &error) == 0 &&
	    strlen(e.sender) == n;
}

static bool
takes_body(size_t n)
{
	static char bytes[FRAME_INLINE_BODY_MAX + 1];
	struct envelope e, got;
	struct rcpt rcpts[3];
	const char *error;
	struct frame f;
	bool is_written;

	fill(&e, rcpts);
	e.body.mem = bytes;
	e.body.len = n;
	buf_clear(&buf);
	is_written = frame_put_deliver(&buf, 1, &e) == 0;
	begin(FRAME_DELIVER, 1, 0);
	frame_put_text(&out, ATTR_SENDER, "");
	frame_put_text(&out, ATTR_RCPT, "a@b");
	frame_put(&out, ATTR_BODY, bytes, n);
	f = finish();
	if ((frame_get_deliver(&f, -1, arena, &got, &error) == 0) !=
	    is_written)
		diag("writer and reader differ at %zu", n);
	return is_written && got.body.len == n;
}

static void
test_deliver_ceilings(void)
{
	ok(takes_rcpts(ENVELOPE_RCPT_MAX), "1,000 recipients");
	ok(!takes_rcpts(ENVELOPE_RCPT_MAX + 1), "1,001 recipients");
	ok(takes_text(FRAME_TEXT_MAX), "text of 4,096");
	ok(!takes_text(FRAME_TEXT_MAX + 1), "text of 4,097");
	ok(takes_body(FRAME_INLINE_BODY_MAX), "body of 32 KiB");
	ok(!takes_body(FRAME_INLINE_BODY_MAX + 1), "body of 32 KiB and 1");
	ok(takes_body(0), "empty body");
}

/* ---- RESULT ---- */

static void
test_answer(void)
{
	struct answer a = { .reply = {
		.code = 550, .cls = REPLY_PERMANENT, .by = BY_REMOTE,
		.dsn = { 5, 1, 255 }, .stage = STAGE_RCPT,
		.text = "no\nsuch user", .retry_after_s = 60 },
		.host = "mx.example", .address = "192.0.2.1", .port = 25,
		.tls = "TLSv1.3", .wait_ms = 1, .connect_ms = 2,
		.transaction_ms = 3, .total_ms = UINT32_MAX
	}, got;
	const char *error = NULL;
	struct frame f;
	uint32_t index = 0;

	buf_clear(&buf);
	is_int(frame_put_result(&buf, 7, 999, &a), 0, "result: written");
	frame_parse(buf_data(&buf), buf_len(&buf), &f, &error);
	is_int(frame_result_index(&f, &index), 0, "result: index alone");
	is_int(index, 999, "result: that index");
	is_int(frame_get_result(&f, NULL, &index, &got, &error), 0,
	    "result: checked");
	is_str(got.reply.text, "", "result: nothing copied");
	is_int(frame_get_result(&f, arena, &index, &got, &error), 0,
	    "result: read");
	is_int(index, 999, "result: index");
	is_int(got.reply.code, 550, "result: code");
	is_int(got.reply.cls, REPLY_PERMANENT, "result: class");
	is_int(got.reply.by, BY_REMOTE, "result: by");
	is_int(got.reply.stage, STAGE_RCPT, "result: stage");
	is_mem(got.reply.dsn, 3, "\5\1\377", 3, "result: enhanced code");
	is_str(got.reply.text, a.reply.text, "result: text");
	is_int(got.reply.retry_after_s, 60, "result: retry after");
	is_str(got.host, a.host, "result: host");
	is_str(got.address, a.address, "result: address");
	is_int(got.port, 25, "result: port");
	is_str(got.tls, a.tls, "result: TLS");
	is_int(got.wait_ms, 1, "result: waiting");
	is_int(got.connect_ms, 2, "result: connecting");
	is_int(got.transaction_ms, 3, "result: transaction");
	is_int(got.total_ms, UINT32_MAX, "result: all");

	a = (struct answer){ .reply = { .code = 250, .cls = REPLY_DELIVERED,
		.by = BY_AGENT, .dsn = { 2, 0, 0 }, .text = "" } };
	buf_clear(&buf);
	frame_put_result(&buf, 7, 0, &a);
	frame_parse(buf_data(&buf), buf_len(&buf), &f, &error);
	is_int(frame_get_result(&f, arena, &index, &got, &error), 0,
	    "least result: read");
	is_str(got.host, "", "least result: no host");
	is_str(got.tls, NULL, "least result: no TLS");
	is_int(got.total_ms, 0, "least result: no times");
}

#define MALFORMED	"malformed attribute in RESULT"
#define NO_INDEX	"RESULT without index"
#define UNSOUND		"RESULT without a sound reply"

struct result_row {
	const char	*name;
	const char	*error;
	const char	*reply;		/* 8 bytes; NULL = none */
	bool		 no_index, no_text;
	struct {
		uint16_t	 tag;
		uint32_t	 len;
		const char	*data;
	} extra;
};

#define GOOD	"\1\1\0\372\2\0\0\12"	/* delivered, remote, 250, 2.0.0 */

static const struct result_row result_rows[] = {
	{ .name = "good", .reply = GOOD },
	{ "no index", NO_INDEX, .reply = GOOD, .no_index = true },
	{ "no text", UNSOUND, .reply = GOOD, .no_text = true },
	{ "no reply", UNSOUND, .reply = NULL },
	{ "class 0", UNSOUND, .reply = "\0\1\0\372\2\0\0\12" },
	{ "class 4", UNSOUND, .reply = "\4\1\0\372\2\0\0\12" },
	{ "class of another code", UNSOUND, .reply = "\1\1\1\302\2\0\0\12" },
	{ "class of another dsn", UNSOUND, .reply = "\1\1\0\372\4\0\0\12" },
	{ "transient", NULL, .reply = "\2\1\1\302\4\0\0\12" },
	{ "354", UNSOUND, .reply = "\2\1\1\142\4\0\0\12" },
	{ "by nobody", UNSOUND, .reply = "\1\0\0\372\2\0\0\12" },
	{ "by unknown", UNSOUND, .reply = "\1\6\0\372\2\0\0\12" },
	{ "last stage", NULL, .reply = "\1\1\0\372\2\0\0\13" },
	{ "stage unknown", UNSOUND, .reply = "\1\1\0\372\2\0\0\14" },
	{ "index twice", MALFORMED, .reply = GOOD, .extra = {
	    ATTR_INDEX, 4, "\0\0\0\1" } },
	{ "reply twice", MALFORMED, .reply = GOOD, .extra = {
	    ATTR_REPLY, 8, GOOD } },
	{ "short reply", MALFORMED, .reply = NULL, .extra = {
	    ATTR_REPLY, 7, GOOD } },
	{ "text with NUL", MALFORMED, .reply = GOOD, .no_text = true, .extra = {
	    ATTR_TEXT, 1, "\0" } },
	{ "short index", MALFORMED, .reply = GOOD, .no_index = true, .extra = {
	    ATTR_INDEX, 3, "\0\0\0" } },
	{ "index too high", NO_INDEX, .reply = GOOD, .no_index = true,
	    .extra = { ATTR_INDEX, 4, "\377\377\377\377" } },
	{ "port long", MALFORMED, .reply = GOOD, .extra = {
	    ATTR_PORT, 4, NIL } },
	{ "times short", MALFORMED, .reply = GOOD, .extra = {
	    ATTR_TIMES, 12, NIL NIL } },
	{ "unknown", MALFORMED, .reply = GOOD, .extra = { 59, 0, "" } },
	{ "skippable", NULL, .reply = GOOD, .extra = { 0x803b, 0, "" } },
};

static void
test_answer_faults(void)
{
	const struct result_row *row;
	struct answer a;
	const char *error;
	struct frame f;
	uint32_t index;
	size_t i;

	for (i = 0; i < sizeof(result_rows) / sizeof(result_rows[0]); i++) {
		row = &result_rows[i];
		begin(FRAME_RESULT, 1, 0);
		if (!row->no_index)
			frame_put_u32(&out, ATTR_INDEX, 0);
		if (row->reply != NULL)
			frame_put(&out, ATTR_REPLY, row->reply, 8);
		if (!row->no_text)
			frame_put_text(&out, ATTR_TEXT, "ok");
		if (row->extra.data != NULL)
			frame_put(&out, row->extra.tag, row->extra.data,
			    row->extra.len);
		f = finish();
		error = NULL;
		is_int(frame_get_result(&f, NULL, &index, &a, &error),
		    row->error == NULL ? 0 : -1, "result, %s", row->name);
		is_str(error, row->error, "result, %s: error", row->name);
	}
	begin(FRAME_RESULT, 1, 0);
	f = finish();
	is_int(frame_result_index(&f, &index), -1, "no index alone");
	begin(FRAME_RESULT, 1, 0);
	frame_put_u32(&out, ATTR_INDEX, 0);
	frame_put_u32(&out, ATTR_INDEX, 0);
	f = finish();
	is_int(frame_result_index(&f, &index), -1, "two indexes");
}

/* ---- STAGE ---- */

static void
test_stage(void)
{
	static const uint32_t set[] = { 0, 258 };
	static const uint8_t all[] = { 0, 48, 0, 0, 0, 1, STAGE_DOT };
	static const uint8_t some[] = { 0, 48, 0, 0, 0, 1, STAGE_DOT,
		0, 49, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2 };

	buf_clear(&buf);
	is_int(frame_put_stage(&buf, 1, STAGE_DOT, NULL, 0), 0, "stage: all");
	is_mem(buf_data(&buf) + 16, buf_len(&buf) - 16, all, sizeof(all),
	    "stage: bytes");
	buf_clear(&buf);
	is_int(frame_put_stage(&buf, 1, STAGE_DOT, set, 2), 0, "stage: set");
	is_mem(buf_data(&buf) + 16, buf_len(&buf) - 16, some, sizeof(some),
	    "stage: bytes of a set");
}

static void
test_no_wait(void)
{
	struct rcpt rcpt = { .addr = "r@x" };
	struct envelope e = { .id = "", .relay = "", .sender = "", .nrcpt = 1,
		.rcpts = &rcpt, .no_wait = true,
		.body = { .mem = "x", .fd = -1, .len = 1 } }, got;
	struct deliver_facts facts;
	const char *error = NULL;
	struct frame f;
	int i;

	for (i = 1; i >= 0; i--) {
		e.no_wait = i;
		buf_clear(&buf);
		is_int(frame_put_deliver(&buf, 3, &e), 0, "no_wait: put");
		is_int(frame_parse(buf_data(&buf), buf_len(&buf), &f, &error),
		    1, "no_wait: a frame");
		is_int(frame_deliver_facts(&f, &facts, &error), 0,
		    "no_wait: facts");
		is_int(facts.no_wait, i, "no_wait: for the router");
		is_int(frame_get_deliver(&f, -1, arena, &got, &error), 0,
		    "no_wait: got");
		is_int(got.no_wait, i, "no_wait: for the agent");
	}
	begin(FRAME_DELIVER, 1, 0);
	frame_put_text(&out, ATTR_SENDER, "");
	frame_put_text(&out, ATTR_RCPT, "r@x");
	frame_put_u8(&out, ATTR_NO_WAIT, 1);
	frame_put(&out, ATTR_BODY, "x", 1);
	f = finish();
	is_int(frame_deliver_facts(&f, &facts, &error), -1,
	    "no_wait: with data is a fault");
}

static void
test_listen(void)
{
	static const struct {
		const char	*address;
		unsigned	 times;
		uint16_t	 flags;
		const char	*error;
	} rows[] = {
		{ "unix:/run/x", 1, FRAME_HAS_FD, NULL },
		{ "inet:[::1]:24", 1, 0, "LISTEN without a socket" },
		{ "", 1, FRAME_HAS_FD, "LISTEN without an address" },
		{ "x", 0, FRAME_HAS_FD, "LISTEN without an address" },
		{ "x", 2, FRAME_HAS_FD, "malformed attribute in LISTEN" },
	};
	const char *address, *error;
	struct frame f;
	size_t i;
	unsigned n;

	buf_clear(&buf);
	is_int(frame_put_listen(&buf, "unix:/a"), 0, "listen: put");
	is_int(frame_parse(buf_data(&buf), buf_len(&buf), &f, &error), 1,
	    "listen: a frame");
	is_int(frame_get_listen(&f, arena, &address, &error), 0,
	    "listen: got");
	is_str(address, "unix:/a", "listen: the address");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		error = NULL;
		begin(FRAME_LISTEN, 0, rows[i].flags);
		for (n = 0; n < rows[i].times; n++)
			frame_put_text(&out, ATTR_ADDRESS, rows[i].address);
		f = finish();
		is_int(frame_get_listen(&f, arena, &address, &error),
		    rows[i].error == NULL ? 0 : -1, "listen: row");
		is_str(error, rows[i].error, "listen: error");
	}
	begin(FRAME_LISTEN, 0, FRAME_HAS_FD);
	frame_put_u8(&out, ATTR_STAGE, 1);
	f = finish();
	is_int(frame_get_listen(&f, arena, &address, &error), -1,
	    "listen: what does not belong there");
}

int
main(void)
{
	arena = arena_new(4096);
	buf_init(&buf, 2 * FRAME_BYTES_MAX);
	test_header();
	test_walk();
	test_walk_overflow();
	test_typed();
	test_text();
	test_write();
	test_write_full();
	test_write_ceiling();
	test_deliver();
	test_deliver_range();
	test_deliver_faults();
	test_deliver_ceilings();
	test_answer();
	test_answer_faults();
	test_stage();
	test_no_wait();
	test_listen();
	buf_clear(&buf);
	arena_free(arena);
	return done_testing();
}
