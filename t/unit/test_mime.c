/* test_mime.c - field values, the structure of messages, limits. */
#include "mail/mime.h"

#include <stdlib.h>

#include "test.h"

/* ---- field values ---- */

static void
test_types(void)
{
	static const struct {
		const char *value, *name, *boundary, *smime;
	} rows[] = {
		{ " text/plain", "text/plain", "", "" },
		{ "TEXT/Html; charset=utf-8", "text/html", "", "" },
		{ " multipart/mixed; boundary=abc", "multipart/mixed", "abc",
		    "" },
		{ " multipart/mixed;\r\n\tboundary=\"a b:c\"",
		    "multipart/mixed", "a b:c", "" },
		{ "multipart/mixed; Boundary = \"a\\\"b\"", "multipart/mixed",
		    "a\"b", "" },
		{ "multipart/mixed; boundary=\"ab  \"", "multipart/mixed",
		    "ab", "" },
		{ "multipart/mixed; boundary=----=_x=1", "multipart/mixed",
		    "----=_x=1", "" },
		{ "multipart/mixed; boundary=a; boundary=b",
		    "multipart/mixed", "a", "" },
		{ "multipart/mixed; x=\"; boundary=no\"; boundary=b",
		    "multipart/mixed", "b", "" },
		{ "(a (b) \\) ; boundary=c) multipart (x) / (y) mixed (z); "
		    "boundary (q) = (r) d (s)", "multipart/mixed", "d", "" },
		{ "multipart/mixed; boundary*0=ab; boundary*1=\"cd\"",
		    "multipart/mixed", "abcd", "" },
		{ "multipart/mixed; boundary*1=ab; boundary*0=cd",
		    "multipart/mixed", "cd", "" },
		{ "multipart/mixed; boundary*0=ab; boundary=c",
		    "multipart/mixed", "c", "" },
		{ "multipart/mixed junk; boundary=c", "multipart/mixed", "c",
		    "" },
		{ "multipart/mixed; junk; boundary=c;", "multipart/mixed", "c",
		    "" },
		{ "multipart/mixed; boundary=\"\"", "multipart/mixed", "",
		    "" },
		{ "multipart/mixed; boundary=\"a\tb\"", "multipart/mixed", "",
		    "" },
		{ "multipart/mixed; boundary=\"\xc3\xa4\"", "multipart/mixed",
		    "", "" },
		{ "multipart/mixed; boundary=\"abc", "multipart/mixed", "abc",
		    "" },
		{ "application/pkcs7-mime; smime-type=Signed-Data; name=x",
		    "application/pkcs7-mime", "", "signed-data" },
	};
	static const char	*const bad[] = { "", "text", "/plain", "text/",
	    "text plain", "(text/plain)", "\xc3\xa4/x", ";" };
	struct mime_type	 t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ok(mime_type_parse(&t, rows[i].value, strlen(rows[i].value)) &&
		    strcmp(t.name, rows[i].name) == 0 &&
		    strcmp(t.smime, rows[i].smime) == 0,
		    "type %s, row %zu", rows[i].name, i);
		is_str(t.boundary, rows[i].boundary, "its boundary");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!mime_type_parse(&t, bad[i], strlen(bad[i])) &&
		    strcmp(t.name, "text/plain") == 0, "no type \"%s\"",
		    bad[i]);
}

static void
test_lengths(void)
{
	char			value[2000], want[MIME_BOUNDARY_MAX + 2];
	struct mime_type	t;

	memset(want, 'x', sizeof(want));
	want[MIME_BOUNDARY_MAX] = '\0';
	snprintf(value, sizeof(value), "multipart/mixed; boundary=%s", want);
	mime_type_parse(&t, value, strlen(value));
	is_str(t.boundary, want, "a boundary of 70 bytes");
	strlcat(value, "x", sizeof(value));
	mime_type_parse(&t, value, strlen(value));
	is_str(t.boundary, "", "one of 71 is none");

	snprintf(value, sizeof(value), "multipart/mixed; boundary*0=%s;"
	    "boundary*1=%s", want, want);
	mime_type_parse(&t, value, strlen(value));
	is_str(t.boundary, "", "nor is one that becomes too long");
	memset(value, 'y', sizeof(value));
	value[900] = '/';
	ok(mime_type_parse(&t, value, sizeof(value)), "a long type");
	is_int(strlen(t.name), MIME_NAME_MAX, "is cut");
	memset(value, '(', sizeof(value));
	ok(!mime_type_parse(&t, value, sizeof(value)), "endless comments");
}

static void
test_encodings(void)
{
	static const struct {
		const char *value;
		enum mime_encoding want;
	} rows[] = {
		{ "", MIME_UNSTATED },
		{ " \t", MIME_UNSTATED },
		{ " 7bit", MIME_7BIT },
		{ " 8BIT ", MIME_8BIT },
		{ "binary", MIME_BINARY },
		{ " Quoted-Printable", MIME_QUOTED_PRINTABLE },
		{ " base64\r\n (really)", MIME_BASE64 },
		{ " base64; x=y", MIME_BASE64 },
		{ " base64 base64", MIME_UNKNOWN },
		{ " x-uuencode", MIME_UNKNOWN },
		{ " 8-bit", MIME_UNKNOWN },
		{ " \xff", MIME_UNKNOWN },
		{ " base64base64base64base64base64base64", MIME_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_int(mime_encoding_parse(rows[i].value,
		    strlen(rows[i].value)), rows[i].want, "encoding %zu", i);
}

/* ---- structure ---- */

/* What was told, one line a thing; text in pieces is put together. */
struct tale {
	char	 text[4096];
	size_t	 n;
	bool	 is_open;	/* inside a line of text */
};

static void
tell(struct tale *t, const char *s, size_t n)
{
	for (size_t i = 0; i < n && t->n + 3 < sizeof(t->text); i++) {
		if (s[i] == '\r' || s[i] == '\n')
			t->text[t->n++] = '\\';
		t->text[t->n++] = s[i] == '\r' ? 'r' : s[i] == '\n' ? 'n' :
		    s[i];
	}
	t->text[t->n] = '\0';
}

static void
tell_line(struct tale *t, const struct mime_part *p, const char *s)
{
	char	head[128];
	int	n;

	n = snprintf(head, sizeof(head), "%s%u.%u %s", t->is_open ? "|" : "",
	    p->depth, p->number, s);
	tell(t, head, (size_t)n);
	t->is_open = true;
}

static void
on_header(void *arg, const struct mime_part *p)
{
	struct tale	*t = arg;
	char		 line[300];

	snprintf(line, sizeof(line), "%s%s%s", p->type.name,
	    p->is_message ? " m" : "", p->header_8bit ? " 8" : "");
	tell_line(t, p, line);
}

static void
on_text(void *arg, const struct mime_part *p, const char *s, size_t n)
{
	struct tale	*t = arg;
	char		 mark[16];
	int		 len;

	/* Text goes on where the last thing told was text of this part. */
	len = snprintf(mark, sizeof(mark), "|%u:", p->depth);
	for (size_t i = t->n; i-- > 0 && t->text[i] != '|';)
		if (t->text[i] == ':' && i > 0 && t->text[i - 1] >= '0' &&
		    t->text[i - 1] <= '9' && t->text[i - 2] == '|') {
			tell(t, s, n);
			return;
		}
	tell(t, mark, (size_t)len);
	tell(t, s, n);
}

static void
on_end(void *arg, const struct mime_part *p)
{
	tell_line(arg, p, "end");
}

static const struct mime_events events = { on_header, on_text, on_end };

static void
read_in_pieces(const char *s, size_t n, size_t piece, struct tale *t)
{
	struct mime	*m = malloc(sizeof(*m));
	size_t		 len;

	*t = (struct tale){ .n = 0 };
	mime_init(m, &events, t);
	for (size_t at = 0; at < n; at += len) {
		len = n - at < piece ? n - at : piece;
		mime_add(m, s + at, len);
	}
	if (mime_finish(m) == -1)
		snprintf(t->text, sizeof(t->text), "%s", m->error);
	mime_clear(m);
	free(m);
}

static void
is_told(const char *message, const char *want, const char *name)
{
	struct tale	t, other;
	bool		held = true;
	size_t		n = strlen(message);

	read_in_pieces(message, n, n + 1, &t);
	is_str(t.text, want, "%s", name);
	for (size_t piece = 1; piece < 20; piece++) {
		read_in_pieces(message, n, piece, &other);
		held &= strcmp(t.text, other.text) == 0;
	}
	ok(held, "%s, in pieces", name);
}

#define MIXED	"Content-Type: multipart/mixed; boundary=b\n\n"

static void
test_leaves(void)
{
	is_told("", "0.1 text/plain m|0.1 end", "nothing");
	is_told("a: b\r\n\r\nx\r\ny", "0.1 text/plain m|0:x\\r\\ny|0.1 end",
	    "a plain message");
	is_told("a: b\n\n", "0.1 text/plain m|0.1 end", "without a body");
	is_told("a: b\n", "0.1 text/plain m|0.1 end", "with a header only");
	is_told("a: b", "0.1 text/plain m|0.1 end", "that is cut");
	is_told("\r\nx", "0.1 text/plain m|0:x|0.1 end", "without a header");
	is_told("a\rb\r\rx\r", "0.1 text/plain m|0:x\\r|0.1 end",
	    "of lone CRs");
	is_told("a\n\rx\r\r\n", "0.1 text/plain m|0:x\\r\\r\\n|0.1 end",
	    "with all ends");
	is_told("a: \xff\n\nx", "0.1 text/plain m 8|0:x|0.1 end",
	    "an 8-bit header");
	is_told("Content-Type:\n image/png\n\nx",
	    "0.1 image/png m|0:x|0.1 end", "a folded field");
	is_told("content-type : image/png\nContent-Type: a/b\n\nx",
	    "0.1 image/png m|0:x|0.1 end", "the first of two fields");
	is_told("Content-Type: nonsense\n\nx", "0.1 text/plain m|0:x|0.1 end",
	    "a type that is none");
	is_told("Content-Types: a/b\nX-Content-Type: a/b\n\nx",
	    "0.1 text/plain m|0:x|0.1 end", "other fields");
	is_told("a: b\n\n--b\n\n--b--\n",
	    "0.1 text/plain m|0:--b\\n\\n--b--\\n|0.1 end",
	    "delimiters of nothing");
}

static void
test_multiparts(void)
{
	is_told(MIXED "pre\n--b\nContent-Type: a/b\n\nx\n--b\n\ny\r\n--b--\n"
	    "epi\n",
	    "0.1 multipart/mixed m|0:pre|1.1 a/b|1:x|1.1 end|1.2 text/plain"
	    "|1:y|1.2 end|0:epi\\n|0.1 end", "two parts");
	is_told(MIXED "--b\n\nx\n\n--b--",
	    "0.1 multipart/mixed m|1.1 text/plain|1:x\\n|1.1 end|0.1 end",
	    "one line end belongs to the delimiter");
	is_told(MIXED "--b\n\n--b\n\n\n--b\n--b--\n",
	    "0.1 multipart/mixed m|1.1 text/plain|1.1 end|1.2 text/plain"
	    "|1.2 end|1.3 text/plain|1.3 end|0.1 end", "empty parts");
	is_told(MIXED "--b\n\nx\n--b \t\r\n\ny\r--b-- \r",
	    "0.1 multipart/mixed m|1.1 text/plain|1:x|1.1 end|1.2 text/plain"
	    "|1:y|1.2 end|0.1 end", "blanks behind delimiters");
	is_told(MIXED "--b\n\nx\n--bc\n--b-\n-\n--\n -- b\n--b---\n",
	    "0.1 multipart/mixed m|1.1 text/plain|1:x\\n--bc\\n--b-\\n-\\n--"
	    "\\n -- b\\n--b---\\n|1.1 end|0.1 end", "lines like delimiters");
	is_told(MIXED "--b\nContent-Type: a/b\n--b\n\ny\n",
	    "0.1 multipart/mixed m|1.1 a/b|1.1 end|1.2 text/plain|1:y\\n"
	    "|1.2 end|0.1 end", "a header that a delimiter ends");
	is_told(MIXED "pre\n", "0.1 multipart/mixed m|0:pre\\n|0.1 end",
	    "no delimiter at all");
	is_told("Content-Type: multipart/mixed\n\n--b\n",
	    "0.1 multipart/mixed m|0:--b\\n|0.1 end", "no boundary");
	is_told("Content-Transfer-Encoding: base64\n" MIXED "--b\n",
	    "0.1 multipart/mixed m|0:--b\\n|0.1 end", "an encoded multipart");
	is_told(MIXED "--b--\n--b\n\nx\n--b--\n",
	    "0.1 multipart/mixed m|0:--b\\n\\nx\\n--b--\\n|0.1 end",
	    "nothing behind the last delimiter");
}

#define INNER	"Content-Type: multipart/x; boundary=\"b c\"\n\n"

static void
test_nested(void)
{
	is_told(MIXED "--b\n" INNER "--b c\n\nx\n--b c--\ne\n--b\n\ny\n--b--\n",
	    "0.1 multipart/mixed m|1.1 multipart/x|2.1 text/plain|2:x|2.1 end"
	    "|1:e|1.1 end|1.2 text/plain|1:y|1.2 end|0.1 end",
	    "a multipart in another");
	is_told(MIXED "--b\n" INNER "--b c\n\nx\n--b--\n",
	    "0.1 multipart/mixed m|1.1 multipart/x|2.1 text/plain|2:x|2.1 end"
	    "|1.1 end|0.1 end", "one that its parent ends");
	is_told(MIXED "--b\nContent-Type: message/rfc822\n\nA: b\n\nx\n--b--\n",
	    "0.1 multipart/mixed m|1.1 message/rfc822|2.1 text/plain m|2:x"
	    "|2.1 end|1.1 end|0.1 end", "a message in a part");
	is_told("Content-Type: message/rfc822\n\n" MIXED "--b\n\nx\n",
	    "0.1 message/rfc822 m|1.1 multipart/mixed m|2.1 text/plain|2:x\\n"
	    "|2.1 end|1.1 end|0.1 end", "parts in a message");
	is_told("Content-Type: message/rfc822\n",
	    "0.1 message/rfc822 m|0.1 end", "a message that is missing");
	is_told("Content-Type: message/rfc822\n\n",
	    "0.1 message/rfc822 m|1.1 text/plain m|1.1 end|0.1 end",
	    "or empty");
	is_told("Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\n"
	    "x\n--b\nContent-Type: text/plain\n\ny\n--b--\n",
	    "0.1 multipart/digest m|1.1 message/rfc822|2.1 text/plain m|2:x"
	    "|2.1 end|1.1 end|1.2 text/plain|1:y|1.2 end|0.1 end",
	    "a digest");
	is_told("Content-Type: message/rfc822\nContent-Transfer-Encoding: "
	    "base64\n\nA: b\n\n", "0.1 message/rfc822 m|0:A: b\\n\\n|0.1 end",
	    "an encoded message");
}

/* ---- places ---- */

static struct mime_part last;

static void
note_header(void *arg, const struct mime_part *p)
{
	(void)arg;
	(void)p;
}

static void
note_text(void *arg, const struct mime_part *p, const char *s, size_t n)
{
	(void)arg;
	(void)p;
	(void)s;
	(void)n;
}

static void
note_end(void *arg, const struct mime_part *p)
{
	unsigned *depth = arg;

	if (p->depth == *depth)
		last = *p;
}

/* The last part of that depth. */
static int
note(const char *s, size_t n, unsigned depth, const char **error_r)
{
	static const struct mime_events notes = { note_header, note_text,
	    note_end };
	struct mime	*m = malloc(sizeof(*m));
	int		 result;

	last = (struct mime_part){ .depth = 0 };
	mime_init(m, &notes, &depth);
	result = mime_add(m, s, n);
	if (result == 0)
		result = mime_finish(m);
	*error_r = m->error;
	mime_clear(m);
	free(m);
	return result;
}

static void
test_places(void)
{
	static const char	s[] = "DKIM-Signature: v=1\r\n"
	    "content-transfer-ENCODING:\r\n 8bit\nMIME-Version: 1.0\r\n"
	    "Content-Transfer-Encoding: 7bit\n\r\nx";
	const char		*error;

	note(s, sizeof(s) - 1, 0, &error);
	is_int(last.encoding, MIME_8BIT, "the first encoding");
	is_int(last.encoding_start, 21, "where it stands");
	is_int(last.encoding_end, 21 + 28 + 6, "to where");
	is_int(last.encoding_len, 28 + 7, "how long that is with CRLF");
	is_int(last.header_end, sizeof(s) - 4, "where the header ends");
	is_int(last.body_start, sizeof(s) - 2, "where the body begins");
	is_int(last.body_end, sizeof(s) - 1, "and where it ends");
	ok(last.has_dkim && last.is_message && !last.header_8bit,
	    "what else there is");
	ok(last.nencodings == 2 && last.nversions == 1 && last.ntypes == 0,
	    "how many of each");
	note("a: b\nContent-Transfer-Encoding: 8bit", 36, 0, &error);
	is_int(last.encoding_end, 36, "a field at the end of all");
	note(MIXED "--b\n\nx\r\n--b", strlen(MIXED) + 11, 1, &error);
	is_int(last.body_end, strlen(MIXED) + 11,
	    "the last part begins at the very end");
	is_int(last.number, 2, "it is the second");
}

/* ---- limits ---- */

static char *
repeat(char *to, const char *s, unsigned n)
{
	while (n-- > 0)
		to = stpcpy(to, s);
	return to;
}

static void
test_limits(void)
{
	char		*s = malloc(200 * 1024), *end;
	const char	*error;

	end = repeat(stpcpy(s, MIXED), "--b\n\n", MIME_PARTS_MAX - 1);
	is_int(note(s, (size_t)(end - s), 0, &error), 0, "1000 parts");
	end = repeat(end, "--b\n\n", 1);
	is_int(note(s, (size_t)(end - s), 0, &error), -1, "1001 parts");
	is_str(error, "more than 1000 parts", "are too many");

	end = repeat(s, "Content-Type: message/rfc822\n\n", MIME_DEPTH_MAX - 1);
	end = repeat(end, "x: y\n\nz", 1);
	is_int(note(s, (size_t)(end - s), MIME_DEPTH_MAX - 1, &error), 0,
	    "100 levels");
	is_int(last.depth, MIME_DEPTH_MAX - 1, "are counted");
	end = repeat(s, "Content-Type: message/rfc822\n\n", MIME_DEPTH_MAX);
	is_int(note(s, (size_t)(end - s), 0, &error), -1, "101 levels");
	is_str(error, "parts nested in over 100 levels", "are too many");

	end = repeat(s, "a: b\n", 13000);
	is_int(note(s, (size_t)(end - s), 0, &error), 0, "a header of 65000");
	end = repeat(end, "c: d\n", 200);
	is_int(note(s, (size_t)(end - s), 0, &error), -1, "one of 66000");
	is_str(error, "a header of over 64 KiB", "is too long");
	memset(s, 'x', MIME_HEADER_MAX + 1);
	is_int(note(s, MIME_HEADER_MAX - 1, 0, &error), 0, "in one line, too");
	is_int(note(s, MIME_HEADER_MAX, 0, &error), -1, "one byte more");

	end = stpcpy(s, MIXED "--b\n\nx\n--b");
	end = repeat(end, " ", 998 - 3);
	is_int(note(s, (size_t)(end - s), 1, &error), 0, "a long delimiter");
	is_int(last.number, 2, "is one");
	end = repeat(end, " ", 1);
	note(s, (size_t)(end - s), 1, &error);
	is_int(last.number, 1, "a longer one is text");
	free(s);
}

int
main(void)
{
	test_types();
	test_lengths();
	test_encodings();
	test_leaves();
	test_multiparts();
	test_nested();
	test_places();
	test_limits();
	return done_testing();
}
