/* test_postfix.c - Postfix's protocol as bytes: lists, requests, queue files,
 * log lines, settings. */
#include "postfix/maillog.h"
#include "postfix/queue_file.h"
#include "postfix/request.h"
#include "postfix/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "test.h"

static struct arena *arena;

/* ---- attribute lists ---- */

struct pair {
	int32_t		 number;
	int64_t		 large;
	const char	*text;
};

static const struct pf_field fields[] = {
	{ "number", NULL, PF_INT, offsetof(struct pair, number) },
	{ "large", "big", PF_LONG, offsetof(struct pair, large) },
	{ "text", NULL, PF_STRING, offsetof(struct pair, text) },
	{ .name = NULL }
};

#define LIST(s)	(s), sizeof(s)		/* the string's NUL ends the list */

static void
test_lists(void)
{
	static const struct {
		const char	*name, *bytes;
		size_t		 n;
		enum pf_scan	 result;
		const char	*at;
	} rows[] = {
		{ "all", LIST("number\0001\0large\0002\0text\0x\0"), PF_DONE, "" },
		{ "an alias", LIST("number\0001\0big\0002\0text\0x\0"), PF_DONE,
		    "" },
		{ "-1", LIST("number\0004294967295\0large\0"
		    "18446744073709551615\0text\0\0"), PF_DONE, "" },
		{ "one missing", LIST("number\0001\0text\0x\0"), PF_BAD,
		    "large" },
		{ "the end too early", LIST("number\0001\0"), PF_BAD, "large" },
		{ "one too many", LIST("number\0001\0large\0002\0text\0x\0"
		    "more\0x\0"), PF_BAD, "" },
		{ "another order", LIST("large\0002\0number\0001\0text\0x\0"),
		    PF_BAD, "number" },
		{ "33 bits", LIST("number\0004294967296\0large\0002\0text\0"
		    "x\0"), PF_BAD, "number" },
		{ "65 bits", LIST("number\0001\0large\000"
		    "18446744073709551616\0text\0x\0"), PF_BAD, "large" },
		{ "a sign", LIST("number\0-1\0large\0002\0text\0x\0"), PF_BAD,
		    "number" },
		{ "no digits", LIST("number\0\0large\0002\0text\0x\0"), PF_BAD,
		    "number" },
	};
	const char *error, *at;
	struct pair p;
	size_t i, n, took;
	bool is_more;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_int(pf_attr_scan(fields, rows[i].bytes, rows[i].n, &p,
		    arena, &took, &error, &at), rows[i].result, "%s",
		    rows[i].name);
		if (rows[i].result == PF_BAD) {
			is_str(at, rows[i].at, "%s: where", rows[i].name);
			continue;
		}
		is_int(took, rows[i].n, "%s: its length", rows[i].name);
		is_more = true;
		for (n = 0; n < rows[i].n; n++)
			is_more &= pf_attr_scan(fields, rows[i].bytes, n, &p,
			    arena, &took, &error, &at) == PF_MORE;
		ok(is_more, "%s: cut anywhere, there is more to come",
		    rows[i].name);
	}
	pf_attr_scan(fields, rows[2].bytes, rows[2].n, &p, arena, &took,
	    &error, &at);
	ok(p.number == -1 && p.large == -1, "unsigned -1 is read as -1");
}

static void
test_ceilings(void)
{
	size_t n = PF_VALUE_MAX + 100, took;
	const char *error, *at;
	char *p = xcalloc(1, n);
	struct pair out;

	memset(p, 'a', n);
	is_int(pf_attr_scan(fields, p, PF_NAME_MAX, &out, arena, &took, &error,
	    &at), PF_MORE, "a name as long as may be");
	is_int(pf_attr_scan(fields, p, PF_NAME_MAX + 1, &out, arena, &took,
	    &error, &at), PF_BAD, "a name that is longer");
	memcpy(p, "number", 7);
	is_int(pf_attr_scan(fields, p, 7 + PF_VALUE_MAX, &out, arena, &took,
	    &error, &at), PF_MORE, "a value as long as may be");
	is_int(pf_attr_scan(fields, p, 7 + PF_VALUE_MAX + 1, &out, arena,
	    &took, &error, &at), PF_BAD, "a value that is longer");
	free(p);
}

static void
test_writing(void)
{
	static const char reply[] = "status\0\0diag_type\0\0diag_text\0\0"
	    "mta_type\0\0mta_mname\0\0action\0\0reason\0\0status\0000\0";
	struct buf b;

	buf_init(&b, 4096);
	pf_announce(&b, false);
	is_mem(buf_data(&b), buf_len(&b),
	    "protocol\0delivery_request_protocol\0", (size_t)36,
	    "the announcement");
	buf_clear(&b);
	pf_announce(&b, true);
	is_mem(buf_data(&b), buf_len(&b), "status\0000\0", (size_t)10,
	    "that of Postfix 3.5");
	buf_clear(&b);
	pf_final_reply(&b, &pf_no_dsn, true);
	is_mem(buf_data(&b), buf_len(&b), reply, sizeof(reply),
	    "a reply without a word on the next hop");
	is_int(buf_len(&b), 77, "77 bytes");
	buf_clear(&b);
	pf_attr_long(&b, "offset", -1);
	pf_attr_int(&b, "status", -1);
	is_mem(buf_data(&b), buf_len(&b), "offset\00018446744073709551615\0"
	    "status\0004294967295", (size_t)46, "-1 is written unsigned");
	buf_clear(&b);
}

/* ---- queue files ---- */

static void
is_path(const char *id, const char *hashed, int depth, const char *want)
{
	char path[PF_PATH_MAX];

	pf_queue_path(path, "active", id, hashed, depth);
	is_str(path, want, "%s, %s, %d", id, hashed, depth);
}

static void
test_paths(void)
{
	is_path("40474AA095C", "deferred, defer", 1, "active/40474AA095C");
	is_path("40474AA095C", "deferred ACTIVE", 1, "active/4/40474AA095C");
	is_path("40474AA095C", "active", 2, "active/4/0/40474AA095C");
	is_path("AB", "active", 4, "active/A/B/_/_/AB");
	is_path("4jX3t335sjz1cyrW", "active", 2,
	    "active/6/A/4jX3t335sjz1cyrW");
	is_path("4jX3t335sjz1cyrW", "inactive", 2, "active/4jX3t335sjz1cyrW");
}

/* Records of a file below the test's folder; what is read of it, or NULL. */
static const char *
content_of(const char *bytes, size_t n, size_t max)
{
	static char out[65536];
	struct pf_content c;
	size_t len = 0;
	int64_t did;
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	if (write(fd, bytes, n) != (ssize_t)n)
		abort();
	pf_content_init(&c, 0);
	while ((did = pf_content_read(&c, fd, out + len, max)) > 0)
		len += (size_t)did;
	close(fd);
	out[len] = '\0';
	return did == 0 ? out : NULL;
}

static void
test_content(void)
{
	static const struct {
		const char	*name, *bytes;
		size_t		 n;
		const char	*want;
	} rows[] = {
		{ "nothing", LIST("X"), "" },
		{ "lines", LIST("N\001aN\000N\002bcX"), "a\r\n\r\nbc\r\n" },
		{ "a long line", LIST("L\003abcL\002deN\001fN\001gX"),
		    "abcdef\r\ng\r\n" },
		{ "a long line of whole pieces", LIST("L\003abcN\000X"),
		    "abc\r\n" },
		{ "a long line at the end", LIST("N\001aL\003abcX"),
		    "a\r\nabc\r\n" },
		{ "padding", LIST("N\001aw\003xyzN\001bX"), "a\r\nb\r\n" },
		{ "a pointer to nowhere", LIST("N\001ap\0170              "
		    "N\001bX"), "a\r\nb\r\n" },
		{ "a pointer forwards", LIST("N\001ap\01723             zzz"
		    "N\001bX"), "a\r\nb\r\n" },
		{ "a pointer first", LIST("p\01720             zzzN\001bX"),
		    "b\r\n" },
		{ "no end", LIST("N\001aN\001"), NULL },
		{ "another record", LIST("N\001aR\001bX"), NULL },
		{ "a length of 35 bits", LIST("N\377\377\377\377\001aX"), NULL },
		{ "a pointer that is none", LIST("p\017x              X"),
		    NULL },
		{ "a pointer to itself", LIST("p\0170              N\001a"
		    "p\01717             X"), NULL },
		{ "a pointer behind the end", LIST("p\0179999           X"),
		    NULL },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_str(content_of(rows[i].bytes, rows[i].n, 4096),
		    rows[i].want, "content: %s", rows[i].name);
		is_str(content_of(rows[i].bytes, rows[i].n, 64), rows[i].want,
		    "content in pieces: %s", rows[i].name);
	}
}

/* Every size of a read against lines of every length around it. */
static void
test_pieces(void)
{
	char file[8192], want[8192], line[300];
	size_t n = 0, len = 0, i;
	bool is_well = true;
	const char *got;

	for (i = 0; i < 60; i++) {
		memset(line, 'a' + (int)(i % 26), i);
		file[n++] = i % 5 == 4 ? 'L' : 'N';
		file[n++] = (char)i;
		memcpy(file + n, line, i);
		n += i;
		memcpy(want + len, line, i);
		len += i;
		if (i % 5 == 4)
			continue;
		memcpy(want + len, "\r\n", 2);
		len += 2;
	}
	memcpy(want + len, "\r\n", 3);
	memcpy(file + n, "X", 2);
	for (i = 64; i < 400; i++) {
		got = content_of(file, n + 2, i);
		is_well &= got != NULL && strcmp(got, want) == 0;
	}
	ok(is_well, "reads of any size give the same");
}

static void
test_marks(void)
{
	char name[] = "/tmp/nh-queue.XXXXXX", c;
	int fd = mkstemp(name), other, error;

	if (write(fd, "xRx", 3) != 3)
		abort();
	errno = 0;
	ok(pf_queue_open(name) == -1 && errno == EPERM,
	    "a file that is not complete is not opened");
	fchmod(fd, 0700);
	other = pf_queue_open(name);
	ok(other != -1, "one that is, is");
	ok(flock(fd, LOCK_EX | LOCK_NB) == -1, "and is locked");
	is_int(pf_queue_mark(other, 1), 0, "marked");
	ok(pread(fd, &c, 1, 1) == 1 && c == 'D', "R is D");
	is_int(pf_queue_mark(other, -1), 0, "no mark is wanted");
	ok(pf_queue_mark(other, 0) == -1, "no recipient is there");
	ok(pread(fd, &c, 1, 0) == 1 && c == 'x', "nothing was written");
	is_int(pf_queue_corrupt(other), 0, "put aside");
	close(other);
	errno = 0;
	other = pf_queue_open(name);
	error = errno;
	ok(other == -1 && (error == EPERM || error == EACCES),
	    "it is not opened again");
	close(fd);
	unlink(name);
	ok(pf_queue_open(name) == -1 && errno == ENOENT, "gone");
}

/* ---- the log ---- */

static void
is_delay(int64_t us, int limit, const char *want)
{
	char text[32];

	pf_format_delay(text, sizeof(text), us, limit);
	is_str(text, want, "%lld us, %d decimals", (long long)us, limit);
}

static void
test_log(void)
{
	static const struct pf_rcpt rcpt = { .original = "B@x.test",
	    .address = "a \"b@x.test", .orcpt = "" };
	struct pf_times t = { .arrival = { 100, 0 }, .active = { 100, 500000 },
	    .handoff = { 101, 0 }, .setup = { 103, 0 }, .done = { 115, 0 } };
	struct pf_line l = { .queue_id = "ABC", .rcpt = &rcpt,
	    .relay = "h[1.2.3.4]:25", .conn_use = 2, .times = &t,
	    .dsn = "2.0.0", .status = "sent", .reason = "250 x\n\001y",
	    .is_external = true, .resolution = 2 };
	char line[512];

	is_delay(4000, 2, "0");
	is_delay(6000, 2, "0.01");
	is_delay(100000, 2, "0.1");
	is_delay(1260000, 2, "1.3");
	is_delay(12400000, 2, "12");
	is_delay(12500000, 2, "13");
	is_delay(9960000, 2, "10");
	is_delay(-5, 2, "0");
	is_delay(1200, 6, "0.0012");
	is_delay(1700000, 0, "2");
	pf_format_line(line, sizeof(line), &l);
	is_str(line, "ABC: to=<\"a \\\"b\"@x.test>, orig_to=<B@x.test>, "
	    "relay=h[1.2.3.4]:25, conn_use=2, delay=15, delays=0.5/0.5/2/12, "
	    "dsn=2.0.0, status=sent (250 x ?y)", "a line");
	l.is_external = false;
	l.conn_use = 1;
	pf_format_line(line, sizeof(line), &l);
	ok(strstr(line, "to=<a \"b@x.test>") != NULL &&
	    strstr(line, "conn_use") == NULL, "internal form, first use");
}

/* ---- settings ---- */

static void
test_settings(void)
{
	struct pf_settings *s = pf_settings_parse("a = 1\nempty = \nnone =\n"
	    "t = 2m\nlist = a, b = c\nyes = Yes\nweek = 1w\n");

	is_str(pf_setting(s, "a"), "1", "a value");
	is_str(pf_setting(s, "empty"), "", "an empty one");
	is_str(pf_setting(s, "none"), "", "one without a blank");
	is_str(pf_setting(s, "list"), "a, b = c", "one with an equals sign");
	is_str(pf_setting(s, "other"), "", "one that is not there");
	ok(pf_setting_yes(s, "yes") && !pf_setting_yes(s, "a"), "yes and no");
	is_int(pf_setting_ms(s, "t", 7), 120000, "a time");
	is_int(pf_setting_ms(s, "week", 7), 604800000, "a week");
	is_int(pf_setting_ms(s, "list", 7), 7, "no time");
	is_int(pf_setting_int(s, "a", 7), 1, "a number");
	is_int(pf_setting_set(s, "a", "2"), 0, "another value");
	is_str(pf_setting(s, "a"), "2", "it is that");
	is_int(pf_setting_set(s, "other", "2"), -1, "none that was not asked");
	pf_settings_free(s);
	is_int(pf_version("3.7.11"), 3007, "3.7");
	ok(pf_version("3.10.1") > pf_version("3.9.10"), "3.10 is later");
	is_int(pf_version("3.12-20260821"), 3012, "a snapshot");
	is_int(pf_version("postfix"), -1, "no version");
}

int
main(void)
{
	arena = arena_new(4096);
	test_lists();
	test_ceilings();
	test_writing();
	test_paths();
	test_content();
	test_pieces();
	test_marks();
	test_log();
	test_settings();
	arena_free(arena);
	return done_testing();
}
