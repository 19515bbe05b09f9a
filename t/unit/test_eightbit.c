/* test_eightbit.c - 8-bit messages made 7-bit: examples, refusals, and any. */
#include "mail/eightbit.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "eightbit_reference.h"
#include "message_reference.h"
#include "test.h"

#define OUT_MAX		(4 * 1024 * 1024)

/* A fixed sequence (Knuth's MMIX), so that a failure comes again. */
static uint32_t
draw(uint32_t below)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(state >> 33) % below;
}

/* All of the result; -1 where it is not as long as planned. */
static int64_t
write_all(const struct eightbit_plan *plan, const struct body *body, char *to,
    size_t room, bool is_random)
{
	struct eightbit_writer	*w = eightbit_writer_new(plan, body);
	uint64_t		 at = 0;
	int64_t			 n;
	size_t			 ask;

	do {
		ask = is_random ? 1 + draw((uint32_t)room) : room;
		if (ask > OUT_MAX - at)
			ask = OUT_MAX - at;
		n = eightbit_read(w, to + at, ask);
		if (n > (int64_t)ask)
			n = -1;
		at += n > 0 ? (uint64_t)n : 0;
	} while (n > 0);
	eightbit_writer_free(w);
	return n == 0 && at == plan->out_len ? (int64_t)at : -1;
}

/* ---- examples ---- */

static char out[OUT_MAX];

static void
is_made(const char *from, size_t n, const char *want, size_t want_n,
    const char *name)
{
	struct body		 body = { .mem = from, .fd = -1, .len = n };
	struct eightbit_plan	*plan;

	if (!is_int(eightbit_plan(&body, &plan), EIGHTBIT_CONVERT, "%s", name))
		diag("%s", plan->why);
	is_int(plan->out_len, want_n, "its length");
	write_all(plan, &body, out, OUT_MAX, false);
	is_mem(out, plan->out_len, want, want_n, "its bytes");
	write_all(plan, &body, out, 1, false);
	is_mem(out, plan->out_len, want, want_n, "one by one");
	eightbit_plan_free(plan);
}

#define MADE(from, want, name)						\
	is_made(from, sizeof(from) - 1, want, sizeof(want) - 1, name)

#define QP	"Content-Transfer-Encoding: quoted-printable\r\n"
#define B64	"Content-Transfer-Encoding: base64\r\n"
#define V	"MIME-Version: 1.0\r\n"
#define V7	V "Content-Transfer-Encoding: 7bit\r\n"
#define UNKNOWN	"Content-Type: text/plain; charset=unknown-8bit\r\n"
#define TEXT	V "Content-Type: text/plain\r\n" QP "\r\n"

static void
test_leaves(void)
{
	MADE("Subject: x\n\nh\xc3\xa4llo\n", "Subject: x\r\n" V UNKNOWN QP
	    "\r\nh=C3=A4llo\r\n", "a message without MIME");
	MADE("\n\xe4", V UNKNOWN QP "\r\n=E4\r\n", "one without a header");
	MADE(V "\n\xe4", V UNKNOWN QP "\r\n=E4\r\n", "one without a type");
	MADE("Content-Type: text/html; charset=utf-8\r\nA: b\r\n\r\n\xe4\r\n",
	    "Content-Type: text/html; charset=utf-8\r\nA: b\r\n" V QP
	    "\r\n=E4\r\n", "one without MIME-Version");
	MADE(V "content-transfer-encoding:\r\n 8bit (yes)\r\nContent-Type: "
	    "text/plain\r\n\r\n\xe4\r\n", V QP "Content-Type: text/plain\r\n"
	    "\r\n=E4\r\n", "one labelled 8bit");
	MADE(V "Content-Type: image/png\n\n\xe4\n\0\r", V
	    "Content-Type: image/png\r\n" B64 "\r\n5AoADQ==\r\n",
	    "one that is not text");
	MADE(V "Content-Transfer-Encoding: 7bit\nContent-Type: message/global"
	    "\n\na: \xe4\n\nb", V B64 "Content-Type: message/global\r\n\r\n"
	    "YTog5AoKYg==\r\n", "a message/global");
	MADE(V "Content-Type: text/plain\nContent-Transfer-Encoding: binary\n\n"
	    "\xe4\0\n\0", V "Content-Type: text/plain\r\n" B64
	    "\r\n5AAKAA==\r\n", "binary text with NUL");
}

static void
test_quoted_printable(void)
{
	char	from[400] = V "Content-Type: text/plain\n\n", want[600] = TEXT;

	MADE(V "Content-Type: text/plain\n\n\xe4 \n\t\n \t \r\n",
	    TEXT "=E4=20\r\n=09\r\n \t=20\r\n", "blanks at the end of lines");
	MADE(V "Content-Type: text/plain\n\n.\n..\xe4\n.x\n",
	    TEXT "=2E\r\n=2E.=E4\r\n=2Ex\r\n", "lines with a dot");
	MADE(V "Content-Type: text/plain\n\nFrom \xe4\nFrom\n From x\nFroma\n",
	    TEXT "From=20=E4\r\nFrom\r\n From x\r\nFroma\r\n",
	    "lines with From");
	MADE(V "Content-Type: text/plain\n\n-- \n--b\n-x\n\xe4=\x7f\0\n",
	    TEXT "-=2D=20\r\n-=2Db\r\n-x\r\n=E4=3D=7F=00\r\n",
	    "dashes and other bytes");
	MADE(V "Content-Type: text/plain\n\na\rb\r\rc\r\nd\n\r\xe4 ",
	    TEXT "a\r\nb\r\n\r\nc\r\nd\r\n\r\n=E4=20\r\n",
	    "all kinds of line ends");
	memset(from + strlen(from), 'x', 75);
	memset(want + strlen(want), 'x', 75);
	strlcat(from, "\n\xe4\n", sizeof(from));
	strlcat(want, "\r\n=E4\r\n", sizeof(want));
	is_made(from, strlen(from), want, strlen(want), "a line of 75");
	from[strlen(from) - 3] = '\0';
	want[strlen(want) - 7] = '\0';
	strlcat(from, ".- -\xe4\n", sizeof(from));
	strlcat(want, "=\r\n=2E- -=E4\r\n", sizeof(want));
	is_made(from, strlen(from), want, strlen(want), "one of 76 and more");
}

#define MIXED(encoding)	V "Content-Type: multipart/mixed; boundary=b\r\n" \
	encoding "\r\n"
#define ENCODED(e)	"Content-Transfer-Encoding: " e "\r\n"

static void
test_parts(void)
{
	MADE(MIXED(ENCODED("8bit")) "pre\r\n--b\r\n\r\nx\r\n--b\r\n"
	    ENCODED("8bit") "\r\n\xe4\r\n--b\r\n" ENCODED("8bit")
	    "\r\ny \r\n\r\n--b-- \r\nepi",
	    MIXED(ENCODED("7bit")) "pre\r\n--b\r\n\r\nx\r\n--b\r\n" QP
	    "\r\n=E4\r\n--b\r\n" ENCODED("8bit")
	    "\r\ny \r\n\r\n--b-- \r\nepi\r\n",
	    "one of three parts");
	MADE(MIXED("") "--b\r\nContent-Type: a/b\r\n\r\n\xe4\r\n\r\n--b--\r\n",
	    MIXED("") "--b\r\nContent-Type: a/b\r\n" B64
	    "\r\n5A0K\r\n--b--\r\n", "the line end of a delimiter");
	MADE(MIXED("") "--b\r\n\r\n\xe4\r\r\n--b--\r\n", MIXED("") "--b\r\n"
	    QP "\r\n=E4\r\n\r\n--b--\r\n", "behind a lone CR");
	MADE(MIXED("") "--b\r\n\r\n\xe4", MIXED("") "--b\r\n" QP
	    "\r\n=E4\r\n", "a last delimiter that is missing");
	MADE("Content-Type: multipart/digest; boundary=b\r\n"
	    ENCODED("binary") "\r\n--b\r\n" ENCODED("8bit") "\r\nA: b\r\n\r\n"
	    "\xe4\r\n--b--\r\n", "Content-Type: multipart/digest; boundary=b"
	    "\r\n" ENCODED("7bit") V "\r\n--b\r\n" ENCODED("7bit")
	    "\r\nA: b\r\n" V UNKNOWN QP "\r\n=E4\r\n--b--\r\n",
	    "a message in a digest");
	MADE(MIXED("") "--b\r\nContent-Type: multipart/signed; boundary=s\r\n"
	    ENCODED("8bit") "\r\n--s\r\n\r\nx\r\n--s--\r\n--b\r\n\r\n\xe4\r\n"
	    "--b--\r\n", MIXED("") "--b\r\nContent-Type: multipart/signed; "
	    "boundary=s\r\n" ENCODED("8bit") "\r\n--s\r\n\r\nx\r\n--s--\r\n"
	    "--b\r\n" QP "\r\n=E4\r\n--b--\r\n", "beside a signed part");
	MADE(MIXED("") "--b\r\nContent-Type: a/b\r\n" ENCODED("binary")
	    "\r\nx\ry\r\n--b\r\nContent-Type: a/b\r\n\r\n\0\r\n--b\r\n\r\n"
	    "\xe4\r\n--b--\r\n", MIXED("") "--b\r\nContent-Type: a/b\r\n" B64
	    "\r\neA15\r\n--b\r\nContent-Type: a/b\r\n" B64 "\r\nAA==\r\n--b"
	    "\r\n" QP "\r\n=E4\r\n--b--\r\n", "binary parts of 7 bits");
}

static void
test_long_lines(void)
{
	char			 from[1500] = MIXED("") "--b\r\n\r\n";
	struct body		 body = { .mem = from, .fd = -1 };
	struct eightbit_plan	*plan;

	memset(from + strlen(from), 'x', 999);
	strlcat(from, "\r\n--b\r\n\r\n\xe4\r\n--b--\r\n", sizeof(from));
	body.len = strlen(from);
	is_int(eightbit_plan(&body, &plan), EIGHTBIT_CONVERT, "a long line");
	is_int(plan->nconverted, 2, "is broken");
	eightbit_plan_free(plan);
	*strchr(from, '\xe4') = 'a';
	is_int(eightbit_plan(&body, &plan), EIGHTBIT_CLEAN,
	    "but alone is left");
	is_int(plan->out_len, body.len, "as it is");
	is_int(write_all(plan, &body, out, OUT_MAX, false), body.len,
	    "and can be written");
	is_mem(out, body.len, from, body.len, "byte for byte");
	eightbit_plan_free(plan);
}

/* ---- what is refused, and what is reported ---- */

static void
is_refused(const char *from, enum eightbit_result want, const char *why)
{
	struct body		 body = { .mem = from, .fd = -1,
	    .len = strlen(from) };
	struct eightbit_plan	*plan;

	is_int(eightbit_plan(&body, &plan), want, "refused: %s", why);
	is_str(plan->why, why, "the reason");
	ok(plan->out_len == 0 && plan->nedits == 0, "no result");
	eightbit_plan_free(plan);
}

#define PART(type)	MIXED("") "--b\r\n\r\n--b\r\nContent-Type: " type "\r\n"

static void
test_refusals(void)
{
	is_refused("Content-Type: multipart/signed; boundary=b\n\n--b\n\n\xe4",
	    EIGHTBIT_SIGNED,
	    "part 1 (text/plain): 8-bit text inside multipart/signed");
	is_refused(PART("multipart/signed; boundary=c") "\n--c\nContent-Type: "
	    "message/rfc822\n\nContent-Type: a/b\n\n\xe4", EIGHTBIT_SIGNED,
	    "part 2.1.1 (a/b): 8-bit text inside multipart/signed");
	is_refused(PART("multipart/signed; boundary=c") "\n\xe4\n--c",
	    EIGHTBIT_SIGNED, "part 2 (multipart/signed): 8-bit text inside "
	    "multipart/signed");
	is_refused(PART("multipart/encrypted; boundary=c") "\n--c\n\n\xe4",
	    EIGHTBIT_SIGNED,
	    "part 2.1 (text/plain): 8-bit text inside multipart/encrypted");
	is_refused(PART("application/pkcs7-mime; smime-type=enveloped-data")
	    "\n\xe4", EIGHTBIT_SIGNED,
	    "part 2 (application/pkcs7-mime): 8-bit bytes of S/MIME");
	is_refused(PART("text/plain") ENCODED("base64") "\n\xe4",
	    EIGHTBIT_CANNOT, "part 2 (text/plain): 8-bit text labelled base64");
	is_refused(ENCODED("quoted-printable") "\n\xe4", EIGHTBIT_CANNOT,
	    "message (text/plain): 8-bit text labelled quoted-printable");
	is_refused(ENCODED("x-uue") "\n\xe4", EIGHTBIT_CANNOT,
	    "message (text/plain): 8-bit text under an unknown encoding");
	is_refused(MIXED("") "\xe4\n--b\n\nx", EIGHTBIT_CANNOT,
	    "message (multipart/mixed): 8-bit text outside of parts");
	is_refused(MIXED("") "--b--\n\xe4\n", EIGHTBIT_CANNOT,
	    "message (multipart/mixed): 8-bit text outside of parts");
	is_refused(PART("multipart/mixed") "\n\xe4", EIGHTBIT_CANNOT,
	    "part 2 (multipart/mixed): 8-bit text in a multipart without a "
	    "boundary");
	is_refused(PART("message/partial") "\n\xe4", EIGHTBIT_CANNOT,
	    "part 2 (message/partial): 8-bit text in a type that may not be "
	    "encoded");
	is_refused(PART("message/external-body") "\n\xe4", EIGHTBIT_CANNOT,
	    "part 2 (message/external-body): 8-bit text in a type that may "
	    "not be encoded");
	is_refused(PART("a/b") "Content-Type: c/d\n\n\xe4", EIGHTBIT_CANNOT,
	    "part 2 (a/b): 8-bit text under more than one Content-Type");
	is_refused(PART("a/b") ENCODED("7bit") ENCODED("8bit") "\n\xe4",
	    EIGHTBIT_CANNOT, "part 2 (a/b): 8-bit text under more than one "
	    "Content-Transfer-Encoding");
}

static void
test_limits(void)
{
	static char	s[70000] = MIXED("");

	for (int i = 0; i < 1000; i++)
		strlcat(s, "--b\n\n\n", sizeof(s));
	strlcat(s, "\xe4", sizeof(s));
	is_refused(s, EIGHTBIT_CANNOT, "message: more than 1000 parts");
	memset(s, 'x', sizeof(s) - 1);
	is_refused(s, EIGHTBIT_CANNOT, "message: a header of over 64 KiB");
	s[0] = '\0';
	for (int i = 0; i < 99; i++)
		strlcat(s, "Content-Type: message/rfc822\n\n", sizeof(s));
	strlcat(s, "Content-Type: text/x-a-type-with-a-name-that-is-too-long-"
	    "to-be-kept-for-anybody\n" ENCODED("base64") "\n\xe4", sizeof(s));
	is_refused(s, EIGHTBIT_CANNOT, "part 1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1."
	    "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1... (text/x-a-type-with-a-name-"
	    "that-is-too-long-to-be-kept-for-anybo): 8-bit text labelled "
	    "base64");
}

static void
test_reports(void)
{
	static const char	s[] = "DKIM-Signature: v=1\r\nA: \xe4\r\n\r\nx";
	struct body		body = { .mem = s, .fd = -1,
	    .len = sizeof(s) - 1 };
	struct eightbit_plan	*plan;

	is_int(eightbit_plan(&body, &plan), EIGHTBIT_CLEAN, "an 8-bit header");
	ok(plan->has_header_8bit && plan->is_signed_dkim, "is reported");
	is_int(write_all(plan, &body, out, OUT_MAX, false), body.len + 2,
	    "and stays");
	eightbit_plan_free(plan);
	body.len = 0;
	is_int(eightbit_plan(&body, &plan), EIGHTBIT_CLEAN, "no message");
	ok(!plan->has_header_8bit && !plan->is_signed_dkim, "has nothing");
	is_int(write_all(plan, &body, out, OUT_MAX, false), 0, "and is empty");
	eightbit_plan_free(plan);
	eightbit_plan_free(NULL);
	eightbit_writer_free(NULL);
}

static void
test_errors(void)
{
	FILE			*tmp = tmpfile();
	struct body		 body = { .fd = fileno(tmp), .offset = 1,
	    .len = 5 };
	struct eightbit_plan	*plan;
	struct eightbit_writer	*w;

	fputs("x\n\xe4 \n.", tmp);
	fflush(tmp);
	is_int(eightbit_plan(&body, &plan), EIGHTBIT_CONVERT, "a file");
	is_int(write_all(plan, &body, out, 7, true), strlen(V UNKNOWN QP) + 15,
	    "is written");
	is_mem(out, plan->out_len, V UNKNOWN QP "\r\n=E4=20\r\n=2E\r\n",
	    strlen(V UNKNOWN QP) + 15, "from its offset");
	if (ftruncate(body.fd, 3) == -1)
		diag("ftruncate: %s", strerror(errno));
	w = eightbit_writer_new(plan, &body);
	while (eightbit_read(w, out, 10) > 0)
		continue;
	is_int(errno, EIO, "a file cut short is an error");
	eightbit_writer_free(w);
	eightbit_plan_free(plan);
	is_int(eightbit_plan(&body, &plan), EIGHTBIT_ERROR,
	    "for the plan, too");
	ok(errno == EIO && plan == NULL, "which is none");
	fclose(tmp);
}

/* ---- any message ---- */

/* What was made, so that it can be found again in the result. */
struct node {
	enum { TEXT_LEAF, OTHER_LEAF, SIGNED, MULTI, MESSAGE } kind;
	char		 header[512];	/* as it is in the result, but ... */
	char		 boundary[40];
	size_t		 start, end;	/* of a leaf's content */
	unsigned	 nchildren;
	struct node	*child[4];
};

struct maker {
	struct buf	 buf;
	int		 style;		/* of line ends */
	bool		 has_8bit;
	unsigned	 nboundaries;
};

static void
put(struct maker *m, const char *s)
{
	buf_puts(&m->buf, s);
}

static void
put_eol(struct maker *m)
{
	int style = m->style == 2 ? (int)draw(2) : m->style;

	put(m, style == 0 ? "\r\n" : "\n");
}

static void
put_field(struct maker *m, struct node *node, const char *field)
{
	put(m, field);
	put_eol(m);
	if (strncmp(field, "Content-Transfer", 16) == 0)
		return;
	strlcat(node->header, field, sizeof(node->header));
	strlcat(node->header, "\r\n", sizeof(node->header));
}

static void
put_header(struct maker *m, struct node *node, bool is_message,
    const char *type, const char *encoding)
{
	char line[200];

	node->header[0] = '\0';
	put_field(m, node, is_message ? "Subject: test" : "Content-ID: <x@y>");
	if (is_message)
		put_field(m, node, "MIME-Version: 1.0");
	snprintf(line, sizeof(line), "Content-Type: %s", type);
	put_field(m, node, line);
	if (encoding[0] != '\0') {
		snprintf(line, sizeof(line), "Content-Transfer-Encoding: %s",
		    encoding);
		put_field(m, node, line);
	}
	put_field(m, node, "X-Last: y");
	put_eol(m);
}

/* Lines that try the encoder: trailing blanks, dots, delimiters, ... */
static void
put_text(struct maker *m, const char *boundary, bool is_8bit)
{
	static const char *const words[] = { "From ", ".", "..", " ", "\t",
	    "--", "=", "a", "word", "\x7f", "=20", "-", "  " };
	uint32_t	lines = draw(30), n;

	for (uint32_t i = 0; i < lines; i++) {
		if (draw(9) == 0) {
			put(m, "--");
			put(m, boundary);
			put(m, "x");
		}
		n = draw(8) == 0 ? draw(300) : draw(12);
		for (uint32_t k = 0; k < n; k++)
			put(m, is_8bit && draw(6) == 0 ? "\xc3\xa4" :
			    words[draw(sizeof(words) / sizeof(words[0]))]);
		put_eol(m);
	}
	put(m, is_8bit ? "\xe4" : "end");
	if (draw(20) == 0)
		for (int i = 0; i < 1200; i++)
			put(m, "l");
}

static void
put_bytes(struct maker *m, bool is_8bit)
{
	uint32_t	n = draw(20) == 0 ? draw(20000) : draw(300);
	char		c;

	for (uint32_t i = 0; i < n; i++) {
		c = (char)draw(is_8bit ? 256 : 128);
		/* No delimiter by chance. */
		buf_add(&m->buf, c == '-' ? "x" : &c, 1);
	}
	/* No CR before the line end of a delimiter. */
	put(m, is_8bit ? "\xff" : "x");
}

static void
put_leaf(struct maker *m, struct node *node, bool is_message, bool is_8bit,
    const char *boundary)
{
	static const char *const labels[] = { "", "7bit", "8bit", "binary" };

	put_header(m, node, is_message, node->kind == TEXT_LEAF ?
	    "text/plain; charset=utf-8" : "application/octet-stream",
	    labels[draw(4)]);
	node->start = buf_len(&m->buf);
	if (node->kind == TEXT_LEAF)
		put_text(m, boundary, is_8bit);
	else
		put_bytes(m, is_8bit);
	node->end = buf_len(&m->buf);
	m->has_8bit |= is_8bit;
}

static struct node *put_node(struct maker *, bool, unsigned, bool,
    const char *);

static void
put_children(struct maker *m, struct node *node, unsigned depth, bool may_8bit)
{
	node->nchildren = 1 + draw(3);
	put(m, "preamble");
	put_eol(m);
	for (unsigned i = 0; i < node->nchildren; i++) {
		put(m, "--");
		put(m, node->boundary);
		put_eol(m);
		node->child[i] = put_node(m, false, depth + 1, may_8bit,
		    node->boundary);
		put_eol(m);
	}
	put(m, "--");
	put(m, node->boundary);
	put(m, "--");
	put_eol(m);
	put(m, "epilogue");
}

static struct node *
put_node(struct maker *m, bool is_message, unsigned depth, bool may_8bit,
    const char *boundary)
{
	static const char *const labels[] = { "", "7bit", "8bit", "binary" };
	struct node	*node = calloc(1, sizeof(*node));
	char		 type[100];

	node->kind = draw(depth > 5 ? 2 : 5);
	snprintf(node->boundary, sizeof(node->boundary), "=_%s%u",
	    draw(2) == 0 ? "b" : "bound-", m->nboundaries++);
	switch ((int)node->kind) {
	case SIGNED:
	case MULTI:
		snprintf(type, sizeof(type), "multipart/%s; boundary=\"%s\"",
		    node->kind == SIGNED ? "signed" : "mixed",
		    node->boundary);
		put_header(m, node, is_message, type, labels[draw(4)]);
		put_children(m, node, depth, may_8bit && node->kind == MULTI);
		break;
	case MESSAGE:
		put_header(m, node, is_message, "message/rfc822",
		    labels[draw(4)]);
		node->nchildren = 1;
		node->child[0] = put_node(m, true, depth + 1, may_8bit,
		    boundary);
		break;
	default:
		put_leaf(m, node, is_message, may_8bit && draw(3) == 0,
		    boundary);
	}
	return node;
}

static void
free_node(struct node *node)
{
	for (unsigned i = 0; i < node->nchildren; i++)
		free_node(node->child[i]);
	free(node);
}

/* The result, read from its start. */
struct reader {
	const char	*p, *end;
	const char	*from;		/* what it was made of */
	bool		 is_ok;
};

static void
expect(struct reader *r, const char *want, size_t n)
{
	if ((size_t)(r->end - r->p) < n || memcmp(r->p, want, n) != 0)
		r->is_ok = false;
	else
		r->p += n;
}

static void
expect_line(struct reader *r, const char *before, const char *want,
    const char *behind)
{
	char	line[200];

	snprintf(line, sizeof(line), "%s%s%s\r\n", before, want, behind);
	expect(r, line, strlen(line));
}

/* A header but for the encoding, of which the label is taken. */
static void
expect_header(struct reader *r, const char *want, char *label, size_t size)
{
	const char	*name = "Content-Transfer-Encoding: ";
	size_t		 len, n;

	label[0] = '\0';
	while (r->is_ok && (len = reference_line_len(r->p,
	    (size_t)(r->end - r->p))) > 0) {
		n = strlen(name);
		if (len > n && memcmp(r->p, name, n) == 0) {
			snprintf(label, size, "%.*s", (int)(len - n),
			    r->p + n);
			r->p += len + 2;
			continue;
		}
		len += 2;
		if (strncmp(r->p, want, len) != 0)
			r->is_ok = false;
		want += r->is_ok ? len : 0;
		r->p += len;
	}
	r->is_ok &= *want == '\0';
	expect(r, "\r\n", 2);
}

/* Whether content has anything that is not 7bit (RFC 2045 §2.7). */
static bool
wants_change(const struct node *node, const char *raw, size_t n)
{
	struct body_facts f = reference_facts(raw, n);

	return f.has_8bit || f.has_nul || f.has_long_line ||
	    node->kind == OTHER_LEAF;
}

static void
expect_leaf(struct reader *r, const struct node *node, const char *label,
    bool may_change)
{
	size_t		 n = node->end - node->start, len, want_n;
	const char	*raw = r->from + node->start, *stop;
	char		*want = malloc(crlf_room(n) + 2), *got;
	int64_t		 got_n;

	stop = memmem(r->p, (size_t)(r->end - r->p), "\r\n--=_b", 7);
	/* Lines like delimiters follow in text that was left alone. */
	want_n = reference_convert(want, raw, n, false) - (n > 0 ? 2 : 0);
	if (strcmp(label, "quoted-printable") != 0 &&
	    strcmp(label, "base64") != 0) {
		expect(r, want, want_n);
		free(want);
		return;
	}
	len = (size_t)((stop == NULL ? r->end - 2 : stop) - r->p);
	got = malloc(len + 1);
	r->is_ok &= may_change && wants_change(node, raw, n);
	if (strcmp(label, "base64") == 0) {
		got_n = reference_decode_base64(got, r->p, len);
		r->is_ok &= got_n == (int64_t)n && memcmp(got, raw, n) == 0;
	} else {
		got_n = reference_decode_qp(got, r->p, len);
		r->is_ok &= node->kind == TEXT_LEAF &&
		    got_n == (int64_t)want_n &&
		    memcmp(got, want, want_n) == 0;
	}
	r->p += len;
	free(want);
	free(got);
}

static void
expect_node(struct reader *r, const struct node *node, bool may_change)
{
	char label[40];

	expect_header(r, node->header, label, sizeof(label));
	if (node->kind == TEXT_LEAF || node->kind == OTHER_LEAF) {
		expect_leaf(r, node, label, may_change);
		return;
	}
	may_change &= node->kind != SIGNED;
	if (node->kind == MESSAGE) {
		expect_node(r, node->child[0], may_change);
		return;
	}
	expect_line(r, "preamble", "", "");
	for (unsigned i = 0; i < node->nchildren && r->is_ok; i++) {
		expect_line(r, "--", node->boundary, "");
		expect_node(r, node->child[i], may_change);
		expect_line(r, "", "", "");
	}
	expect_line(r, "--", node->boundary, "--");
	expect(r, "epilogue", 8);
}

static bool
holds_for(const struct maker *m, const struct node *root)
{
	struct body		 body = { .mem = buf_data(&m->buf), .fd = -1,
	    .len = buf_len(&m->buf) };
	struct reader		 r = { .from = body.mem, .is_ok = true };
	struct eightbit_plan	*plan;
	enum eightbit_result	 result = eightbit_plan(&body, &plan);
	static char		 other[OUT_MAX];
	int64_t			 n = -1;

	if (result == (m->has_8bit ? EIGHTBIT_CONVERT : EIGHTBIT_CLEAN))
		n = write_all(plan, &body, out, OUT_MAX, false);
	if (n == -1) {
		eightbit_plan_free(plan);
		return false;
	}
	r.p = out;
	r.end = out + n;
	expect_node(&r, root, m->has_8bit);
	expect(&r, "\r\n", 2);
	r.is_ok &= r.p == r.end && reference_is_7bit(out, (size_t)n);
	write_all(plan, &body, other, 40, true);
	r.is_ok &= memcmp(out, other, (size_t)n) == 0;
	write_all(plan, &body, other, 4000, true);
	r.is_ok &= memcmp(out, other, (size_t)n) == 0;
	eightbit_plan_free(plan);
	return r.is_ok;
}

static void
test_any(void)
{
	static const char *const styles[] = { "CRLF", "LF", "both" };
	struct maker	 m = { .nboundaries = 0 };
	struct node	*root;
	unsigned	 converted;
	bool		 held;

	for (int style = 0; style < 3; style++) {
		held = true;
		converted = 0;
		for (int i = 0; i < 1500; i++) {
			buf_init(&m.buf, OUT_MAX / 4);
			m.style = style;
			m.has_8bit = false;
			root = put_node(&m, true, 0, true, "=_b0");
			held &= holds_for(&m, root);
			converted += m.has_8bit;
			free_node(root);
			buf_clear(&m.buf);
		}
		ok(held && converted > 300, "any message, line ends %s: "
		    "%u of 1500 converted", styles[style], converted);
	}
}

int
main(void)
{
	test_leaves();
	test_quoted_printable();
	test_parts();
	test_long_lines();
	test_refusals();
	test_limits();
	test_reports();
	test_errors();
	test_any();
	return done_testing();
}
