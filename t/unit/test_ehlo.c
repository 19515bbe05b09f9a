/* test_ehlo.c - what a server offers. */
#include "smtp/ehlo.h"

#include <stdlib.h>

#include "test.h"

#define ALL	(EXT_PIPELINING | EXT_SIZE | EXT_8BITMIME | EXT_SMTPUTF8 | \
		EXT_DSN | EXT_CHUNKING | EXT_ENHANCED)

static const struct {
	const char	*reply;
	unsigned	 exts;
	uint64_t	 size;
} rows[] = {
	{ "250 me\n", 0, 0 },
	{ "250\n", 0, 0 },
	{ "250 PIPELINING\n", 0, 0 },		/* the greeting */
	{ "250-me\n250 PIPELINING\n", EXT_PIPELINING, 0 },
	{ "250-me\r\n250-pipelining\r\n250 dsn\r\n",
	    EXT_PIPELINING | EXT_DSN, 0 },
	{ "250-me\n250-PIPELINING\n250-SIZE 10240000\n250-8BITMIME\n"
	    "250-SMTPUTF8\n250-DSN\n250-CHUNKING\n250 ENHANCEDSTATUSCODES\n",
	    ALL, 10240000 },
	{ "250-me\n250-STARTTLS\n250-AUTH PLAIN DSN\n250 HELP\n",
	    EXT_STARTTLS | EXT_AUTH, 0 },
	{ "250-me\n250 REQUIRETLS\n", EXT_REQUIRETLS, 0 },
	{ "250-me\n250-STARTTLSX\n250 AUTHENTICATE\n", 0, 0 },
	{ "250-me\n250-XPIPELINING\n250 PIPELININGX\n", 0, 0 },
	{ "250-me\n250-DSN=1\n250 SIZE=5\n", 0, 0 },
	{ "250-me\n250-\n250- \n250\n", 0, 0 },
	{ "250-me\n250-  DSN\n250 CHUNKING \n", EXT_DSN | EXT_CHUNKING, 0 },
	{ "250-me\n250 DSN x\n", EXT_DSN, 0 },
	{ "250-me\n250 SIZE\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE \n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE 0\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE  35882577 \n", EXT_SIZE, 35882577 },
	{ "250-me\n250 SIZE\t7\n", EXT_SIZE, 7 },
	{ "250-me\n250 SIZE 100x\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE -1\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE 999999999999999999\n", EXT_SIZE,
	    999999999999999999 },
	{ "250-me\n250 SIZE 1000000000000000000\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE 18446744073709551616\n", EXT_SIZE, 0 },
	{ "250-me\n250 SIZE 99999999999999999999999999999999\n",
	    EXT_SIZE, 0 },
};

static const struct {
	const char	*reply, *auth;
} auths[] = {
	{ "250-me\n250 HELP\n", "" },
	{ "250-me\n250 AUTH PLAIN LOGIN\n", " PLAIN LOGIN" },
	{ "250-me\r\n250-auth=PLAIN\r\n250 AUTH LOGIN\r\n", " PLAIN LOGIN" },
	{ "250 AUTH PLAIN\n", "" },			/* the greeting */
	{ "250-me\n250-AUTHX PLAIN\n250 AUTH\n", "" },
	{ "250-me\n250 AUTH AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "" },
};

static void
test_auth(void)
{
	struct reply_parser rp;
	struct raw_reply r;
	char text[24];
	size_t i;

	for (i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		memset(&rp, 0, sizeof(rp));
		reply_parse(&rp, auths[i].reply, strlen(auths[i].reply), &r);
		ok(ehlo_auth(&r, text, sizeof(text)) == (*auths[i].auth != 0),
		    "AUTH %zu: found", i);
		is_str(text, auths[i].auth, "AUTH %zu: parameters", i);
	}
}

static const struct {
	const char	*reply;
	uint32_t	 rcpt_max, mail_max;
} limits[] = {
	{ "250-me\n250 LIMITS\n", 0, 0 },
	{ "250-me\n250 LIMITS RCPTMAX=20\n", 20, 0 },
	{ "250-me\n250 limits mailmax=5 X=1 rcptmax=7 \n", 7, 5 },
	{ "250-me\n250 LIMITS RCPTMAX=0 MAILMAX=x\n", 0, 0 },
	{ "250-me\n250 LIMITS RCPTMAX= MAILMAX=4294967296\n", 0, 0 },
	{ "250-me\n250 LIMITS RCPTMAX=4294967295\n", UINT32_MAX, 0 },
};

static void
test_limits(void)
{
	struct reply_parser rp;
	struct smtp_offer offer;
	struct raw_reply r;
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		memset(&rp, 0, sizeof(rp));
		reply_parse(&rp, limits[i].reply, strlen(limits[i].reply), &r);
		ehlo_parse(&r, &offer);
		is_int(offer.rcpt_max, limits[i].rcpt_max, "RCPTMAX %zu", i);
		is_int(offer.mail_max, limits[i].mail_max, "MAILMAX %zu", i);
	}
}

int
main(void)
{
	struct reply_parser rp;
	struct smtp_offer offer;
	struct raw_reply r;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&rp, 0, sizeof(rp));
		memset(&offer, 0xff, sizeof(offer));
		is_int(reply_parse(&rp, rows[i].reply, strlen(rows[i].reply),
		    &r), PARSE_DONE, "reply %zu", i);
		ehlo_parse(&r, &offer);
		is_int(offer.exts, rows[i].exts, "reply %zu: extensions", i);
		is_int((intmax_t)offer.size_limit, (intmax_t)rows[i].size,
		    "reply %zu: size", i);
	}
	test_auth();
	test_limits();
	return done_testing();
}
