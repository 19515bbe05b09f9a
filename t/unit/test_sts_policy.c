/* test_sts_policy.c - policy files and hosts (RFC 8461 §3.2, §4.1). */
#include "route/sts_policy.h"

#include <stdlib.h>

#include "base/mem.h"
#include "test.h"

#define HEAD	"version: STSv1\nmode: enforce\nmax_age: 86400\n"
#define PLAIN	HEAD "mx: mail.example.com\n"

static char error[256];

static struct sts_policy *
parse(const char *text)
{
	error[0] = '\0';
	return sts_policy_parse(text, strlen(text), "1", error,
	    sizeof(error));
}

static void
good(const char *name, const char *text)
{
	struct sts_policy *p = parse(text);

	ok(p != NULL, "%s", name);
	if (p == NULL)
		diag("%s", error);
	sts_policy_free(p);
}

static void
bad(const char *why, const char *text)
{
	struct sts_policy *p = parse(text);

	is_str(p == NULL ? error : "accepted", why, "refused");
	sts_policy_free(p);
}

static void
test_whole(void)
{
	struct sts_policy *p = parse("version: STSv1\r\nmode: testing\r\n"
	    "mx: mail.example.com\r\nmx: *.Example.NET.\r\n"
	    "mx:\tbackupmx.example.com \r\nmax_age: 604800\r\n");
	char text[512];
	struct buf b;

	ok(p != NULL, "the example of RFC 8461");
	is_int(p->mode, STS_MODE_TESTING, "its mode");
	is_int(p->max_age_s, 604800, "its max_age");
	is_str(p->id, "1", "its id");
	is_int((int)p->nmx, 3, "its mx");
	is_str(p->mx[1], "*.example.net", "in lower case, without the dot");
	is_str(p->mx[2], "backupmx.example.com", "without white space");
	buf_init(&b, 500);
	sts_policy_format(p, &b);
	snprintf(text, sizeof(text), "%.*s", (int)buf_len(&b), buf_data(&b));
	is_str(text, "version: STSv1\nmode: testing\nmax_age: 604800\n"
	    "mx: mail.example.com\nmx: *.example.net\n"
	    "mx: backupmx.example.com\n", "as text");
	buf_clear(&b);
	buf_init(&b, 60);
	is_int(sts_policy_format(p, &b), -1, "too long for that buffer");
	buf_clear(&b);
	sts_policy_free(p);
	sts_policy_free(NULL);
}

static void
test_lenient(void)
{
	struct sts_policy *p;

	good("LF", PLAIN);
	good("no end of the last line", HEAD "mx: a.example");
	good("empty lines", "\n\r\n" PLAIN "\n\n");
	good("any order", "mx: a.example\nmax_age: 1\nmode: none\n"
	    "version: STSv1\n");
	good("fields that are not known", PLAIN "x-later: \xc3\xa9 !:;\n"
	    "z:\n");
	good("mode none without mx", "version: STSv1\nmode: none\n"
	    "max_age: 86400\n");
	p = parse(PLAIN "mode: none\nmax_age: 7\nversion: STSv2\n");
	ok(p != NULL && p->mode == STS_MODE_ENFORCE && p->max_age_s == 86400,
	    "of fields that may be there once the first counts");
	sts_policy_free(p);
	p = parse("version: STSv1\nmode: none\nmax_age: 9999999999\n");
	ok(p != NULL && p->max_age_s == STS_MAX_AGE_MAX, "a year at most");
	sts_policy_free(p);
	p = parse("version: STSv1\nmode: none\nmax_age: 0\n");
	ok(p != NULL && p->max_age_s == 0, "max_age 0");
	sts_policy_free(p);
}

static void
test_bad(void)
{
	bad("no version", "");
	bad("no version", "mode: enforce\nmax_age: 1\nmx: a.example\n");
	bad("no mode", "version: STSv1\nmax_age: 1\nmx: a.example\n");
	bad("no max_age", "version: STSv1\nmode: enforce\nmx: a.example\n");
	bad("no mx", HEAD);
	bad("line 1: a version that is not STSv1", "version: STSv2\n");
	bad("line 1: a version that is not STSv1", "version: stsv1\n");
	bad("line 2: a mode that is not enforce, testing or none",
	    "version: STSv1\nmode: Enforce\n");
	bad("line 1: a max_age that is not of 1 to 10 digits",
	    "max_age: -1\n");
	bad("line 1: a max_age that is not of 1 to 10 digits",
	    "max_age: 12345678901\n");
	bad("line 1: a max_age that is not of 1 to 10 digits", "max_age:\n");
	bad("line 1: not a name, a colon and a value", "<html>\n");
	bad("line 1: not a name, a colon and a value", ": x\n");
	bad("line 1: not a name, a colon and a value", " version: STSv1\n");
	bad("line 1: a control character", "version: \x1b[2J\n");
	bad("line 1: a control character", "version: STSv1\rmode: none\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: mail.*.example\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: *\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: *.\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: .example.com\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: a..b\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx: 10 mail.example.com\n");
	bad("line 4: an mx that is not a host name or *. and one",
	    HEAD "mx:\n");
}

static void
test_bounds(void)
{
	char *big = xmalloc(STS_BODY_MAX + 2), line[64];
	struct sts_policy *p;
	struct buf b;
	size_t n;
	int i;

	n = strlcpy(big, PLAIN, STS_BODY_MAX);
	memset(big + n, '\n', STS_BODY_MAX + 1 - n);
	big[STS_BODY_MAX + 1] = '\0';
	big[STS_BODY_MAX] = '\0';
	good("64 KiB", big);
	big[STS_BODY_MAX] = '\n';
	bad("more than 65536 bytes", big);
	free(big);

	buf_init(&b, STS_BODY_MAX);
	buf_puts(&b, HEAD);
	for (i = 0; i < STS_MX_MAX; i++) {
		snprintf(line, sizeof(line), "mx: m%d.example\n", i);
		buf_puts(&b, line);
	}
	buf_add(&b, "", 1);
	p = parse(buf_data(&b));
	ok(p != NULL && p->nmx == STS_MX_MAX, "%d mx", STS_MX_MAX);
	sts_policy_free(p);
	b.end--;
	buf_puts(&b, "mx: q.example\n");
	buf_add(&b, "", 1);
	bad("line 104: too many mx", buf_data(&b));
	buf_clear(&b);

	buf_init(&b, 8192);
	buf_puts(&b, HEAD "x-long: ");
	for (i = 0; i < 4000; i++)
		buf_puts(&b, "q");
	buf_puts(&b, "\nmx: a.example\n");
	buf_add(&b, "", 1);
	good("a long value of somebody else", buf_data(&b));
	b.end = b.start + strlen(HEAD);
	buf_puts(&b, "mx: a");
	for (i = 0; i < 600; i++)
		buf_puts(&b, ".a");
	buf_add(&b, "", 1);
	bad("line 4: an mx that is not a host name or *. and one",
	    buf_data(&b));
	buf_clear(&b);
}

static void
test_matches(void)
{
	static const struct {
		const char *host;
		bool does;
	} cases[] = {
		{ "mail.example.com", true }, { "MAIL.Example.com", true },
		{ "mail.example.com.", true }, { "mail.example.co", false },
		{ "amail.example.com", false }, { "a.example.net", true },
		{ "example.net", false }, { "a.b.example.net", false },
		{ ".example.net", false }, { "a.example.net.", true },
		{ "xexample.net", false }, { "", false }, { ".", false },
	};
	struct sts_policy *p = parse(PLAIN "mx: *.example.net\n");
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(sts_mx_matches(p, cases[i].host) == cases[i].does,
		    "%s %s", cases[i].host, cases[i].does ? "matches" :
		    "does not match");
	sts_policy_free(p);
}

int
main(void)
{
	test_whole();
	test_lenient();
	test_bad();
	test_bounds();
	test_matches();
	return done_testing();
}
