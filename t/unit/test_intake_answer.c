/* test_intake_answer.c - answers as replies. */
#include "intake/answer.h"

#include "base/mem.h"
#include "base/str.h"
#include "mail/frame.h"
#include "test.h"

static struct arena *arena;

static const char *
format(const struct answer *a, bool utf8)
{
	const char *text;
	size_t n = answer_format(a, utf8, arena, &text);

	return arena_strndup(arena, text, n);
}

static void
test_rows(void)
{
	static const struct {
		uint16_t	 code;
		uint8_t		 cls, by, dsn[3];
		const char	*text, *host, *address;
		uint16_t	 port;
		const char	*want;
	} rows[] = {
		{ 250, REPLY_DELIVERED, BY_REMOTE, { 2, 0, 0 }, "ok", "mx.test",
		    "192.0.2.1", 25,
		    "250 2.0.0 ok (mx.test[192.0.2.1]:25)\r\n" },
		{ 250, REPLY_DELIVERED, BY_REMOTE, { 2, 0, 0 }, "ok",
		    "192.0.2.1", "192.0.2.1", 24,
		    "250 2.0.0 ok (192.0.2.1[192.0.2.1]:24)\r\n" },
		{ 250, REPLY_DELIVERED, BY_REMOTE, { 2, 1, 5 }, "a\nb\n\nc",
		    "/run/x", "", 0, "250-2.1.5 a\r\n250-2.1.5 b\r\n250-2.1.5\r\n"
		    "250 2.1.5 c (/run/x)\r\n" },
		{ 550, REPLY_PERMANENT, BY_REMOTE, { 5, 1, 1 }, "", "h", "", 0,
		    "550 5.1.1  (h)\r\n" },
		{ 421, REPLY_TRANSIENT, BY_AGENT, { 4, 4, 2 }, "lost", "h",
		    "192.0.2.1", 25, "451 4.4.2 lost\r\n" },
		{ 451, REPLY_TRANSIENT, BY_MASTER, { 4, 3, 0 }, "", "", "", 0,
		    "451 4.3.0\r\n" },
		{ 550, REPLY_PERMANENT, BY_REMOTE, { 5, 255, 255 },
		    "a\r\x1b[0m\tb\x7f", "", "", 0,
		    "550 5.255.255 a??[0m b?\r\n" },
		{ 550, REPLY_PERMANENT, BY_REMOTE, { 5, 0, 0 }, "p\xc3\xa9", "",
		    "", 0, "550 5.0.0 p??\r\n" },
	};
	struct answer a;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a = (struct answer){ .reply = { .code = rows[i].code,
		    .cls = rows[i].cls, .by = rows[i].by, .dsn = {
		    rows[i].dsn[0], rows[i].dsn[1], rows[i].dsn[2] },
		    .text = rows[i].text }, .host = rows[i].host,
		    .address = rows[i].address, .port = rows[i].port };
		is_str(format(&a, false), rows[i].want, "row %zu", i);
	}
	is_str(format(&a, true), "550 5.0.0 p\xc3\xa9\r\n",
	    "UTF-8 for who asked for it");
	a.reply.text = "p\xc3";
	is_str(format(&a, true), "550 5.0.0 p?\r\n", "what is no UTF-8");
}

/* Every line is whole and short, whatever is in it; their number. */
static unsigned
check_lines(const char *text, const char *name)
{
	unsigned n = 0;
	const char *end;
	bool good = true;

	for (; *text != '\0'; text = end + 2, n++) {
		if ((end = strstr(text, "\r\n")) == NULL)
			break;
		good &= end - text + 2 <= ANSWER_LINE_MAX &&
		    strncmp(text, "250", 3) == 0 &&
		    (text[3] == '-') == (end[2] != '\0');
		for (const char *p = text; p < end; p++)
			good &= *p != '\r' && *p != '\n';
	}
	ok(good && *text == '\0', "%s: lines are sound", name);
	return n;
}

static void
test_long(void)
{
	struct answer a = { .reply = { .code = 250, .cls = REPLY_DELIVERED,
	    .by = BY_REMOTE, .dsn = { 2, 123, 123 } }, .host = "h",
	    .address = "" };
	char text[REPLY_TEXT_MAX + 1];
	const char *got;
	size_t i;

	memset(text, 'x', REPLY_TEXT_MAX);
	text[REPLY_TEXT_MAX] = '\0';
	a.reply.text = text;
	is_int(check_lines(format(&a, false), "one word"), 5,
	    "2048 bytes without a space: five lines");
	for (i = 0; i < REPLY_TEXT_MAX; i += 7)
		text[i] = ' ';
	got = format(&a, false);
	check_lines(got, "many words");
	ok(strstr(got, " xxxxxx\r\n") != NULL, "cut between words");
	memset(text, '\n', REPLY_TEXT_MAX);
	is_int(check_lines(format(&a, false), "line feeds"), ANSWER_LINES_MAX,
	    "no more lines than allowed");
	for (i = 0; i < REPLY_TEXT_MAX; i++)
		text[i] = i % 2 == 0 ? '\xc3' : '\xa9';
	got = format(&a, true);
	check_lines(got, "two-byte characters");
	for (i = 0; got[i] != '\0'; i++)
		if (got[i] == '\r' && (unsigned char)got[i - 1] == 0xc3)
			break;
	is_int(got[i], '\0', "no character is cut");
	/* Hosts of any length. */
	memset(text, 'h', 1000);
	text[1000] = '\0';
	a.host = text;
	a.reply.text = "ok";
	check_lines(format(&a, false), "a long host name");
}

int
main(void)
{
	arena = arena_new(65536);
	test_rows();
	test_long();
	arena_free(arena);
	return done_testing();
}
