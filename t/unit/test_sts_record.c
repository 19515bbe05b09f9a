/* test_sts_record.c - the TXT record of MTA-STS (RFC 8461 §3.1). */
#include "route/sts_record.h"

#include "test.h"

static void
try_one(const char *text, const char *want)
{
	struct dns_txt txt = { text, strlen(text) };
	char id[STS_ID_MAX];
	const char *why;
	enum sts_record_result result = sts_record_parse(&txt, 1, id, &why);

	if (want != NULL && *want != '\0')
		is_str(id, want, "\"%s\"", text);
	else
		ok(result == (want == NULL ? STS_RECORD_NONE :
		    STS_RECORD_BAD) && id[0] == '\0', "%s: \"%s\"",
		    why != NULL ? why : "not ours", text);
}

static void
test_good(void)
{
	try_one("v=STSv1; id=20160831085700Z;", "20160831085700Z");
	try_one("v=STSv1; id=20160831085700Z", "20160831085700Z");
	try_one("v=STSv1;id=1", "1");
	try_one("v=STSv1 ;\tid=1 ; ", "1");
	try_one("v=STSv1; id=12345678901234567890123456789012",
	    "12345678901234567890123456789012");
	try_one("v=STSv1; x.y-z_1=<&>!; id=7;", "7");
	try_one("v=STSv1; id=7; later=1", "7");
}

static void
test_not_ours(void)
{
	try_one("", NULL);
	try_one("v=spf1 -all", NULL);
	try_one("V=STSv1; id=1", NULL);
	try_one("v=STSv10; id=1", NULL);
	try_one("v=STSv2; id=1", NULL);
	try_one(" v=STSv1; id=1", NULL);
	try_one("v=STSv", NULL);
}

static void
test_bad(void)
{
	static const char with_nul[] = "v=STSv1; id=1\0002";
	struct dns_txt txt = { with_nul, sizeof(with_nul) - 1 };
	char id[STS_ID_MAX];
	const char *why;

	try_one("v=STSv1", "");
	try_one("v=STSv1;", "");
	try_one("v=STSv1; ;id=1", "");
	try_one("v=STSv1; id=", "");
	try_one("v=STSv1; id", "");
	try_one("v=STSv1; id=1-2", "");
	try_one("v=STSv1; id=123456789012345678901234567890123", "");
	try_one("v=STSv1; id=1; id=2", "");
	try_one("v=STSv1; id=1 x=2", "");
	try_one("v=STSv1; =1; id=2", "");
	try_one("v=STSv1; x=; id=2", "");
	try_one("v=STSv1; x=a=b; id=2", "");
	try_one("v=STSv1; id=\xc3\xa9", "");
	try_one("v=STSv1; x2345678901234567890123456789012345=1; id=2", "");
	ok(sts_record_parse(&txt, 1, id, &why) == STS_RECORD_BAD,
	    "a NUL inside: %s", why);
}

static void
test_several(void)
{
	struct dns_txt txt[3] = { { "v=spf1 -all", 11 },
	    { "v=STSv1; id=5", 13 }, { "hello", 5 } };
	char id[STS_ID_MAX];
	const char *why;

	ok(sts_record_parse(txt, 3, id, &why) == STS_RECORD_FOUND,
	    "records of others are left out");
	is_str(id, "5", "... and ours is read");
	txt[2] = txt[1];
	ok(sts_record_parse(txt, 3, id, &why) == STS_RECORD_BAD,
	    "two of ours are none: %s", why);
	txt[2] = (struct dns_txt){ "v=STSv1;", 8 };
	ok(sts_record_parse(txt, 3, id, &why) == STS_RECORD_BAD,
	    "also where one is malformed");
	ok(sts_record_parse(txt, 0, id, &why) == STS_RECORD_NONE, "nothing");
}

int
main(void)
{
	test_good();
	test_not_ours();
	test_bad();
	test_several();
	return done_testing();
}
