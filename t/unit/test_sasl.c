/* test_sasl.c - choosing a mechanism, and what it says. */
#include "smtp/sasl.h"

#include <stdlib.h>

#include "base/base64.h"
#include "test.h"

#define PASSWORD	"tanstaaftanstaaf"
#define TOKEN		"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="

static char error[SASL_ERROR_MAX];

/* ---- choice ---- */

enum {
	P = 0x01,		/* username and password */
	T = 0x02,		/* token */
	C = 0x04,		/* certificate */
	U = 0x08,		/* username */
	S = 0x10,		/* protected channel */
	B = 0x20,		/* binding */
	Y = 0x40		/* wanted: no_plus */
};

static const struct {
	const char	*offer;
	const char	*allowed;	/* NULL: default */
	const char	*want;		/* a mechanism, or NULL and why */
	unsigned	 have;
	enum sasl_choosing why;
} choices[] = {
	{ "PLAIN LOGIN", NULL, "PLAIN", P | S, 0 },
	{ "LOGIN PLAIN", NULL, "PLAIN", P | S, 0 },
	{ "login plain", NULL, "PLAIN", P | S, 0 },
	{ "=PLAIN LOGIN", NULL, "PLAIN", P | S, 0 },
	{ "=LOGIN", NULL, "LOGIN", P | S, 0 },
	{ "LOGIN =LOGIN PLAIN", NULL, "PLAIN", P | S, 0 },
	{ "  LOGIN\tCRAM-MD5  ", NULL, "LOGIN", P | S, 0 },
	{ "GSSAPI NTLM PLAIN", NULL, "PLAIN", P | S, 0 },
	{ "CRAM-MD5 PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", NULL,
	    "SCRAM-SHA-256", P | S, 0 },
	{ "CRAM-MD5 PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", NULL,
	    "SCRAM-SHA-256-PLUS", P | S | B, 0 },
	{ "PLAIN SCRAM-SHA-256", NULL, "SCRAM-SHA-256", P | S | B | Y, 0 },
	{ "PLAIN SCRAM-SHA-256", NULL, "SCRAM-SHA-256", P | S, 0 },
	{ "SCRAM-SHA-1 SCRAM-SHA-256x SCRAM-SHA PLAINX", NULL, NULL, P | S,
	    SASL_NONE_USABLE },
	/* protection */
	{ "PLAIN LOGIN", NULL, NULL, P, SASL_NOT_PROTECTED },
	{ "PLAIN LOGIN CRAM-MD5", NULL, "CRAM-MD5", P, 0 },
	{ "PLAIN SCRAM-SHA-256 CRAM-MD5", NULL, "SCRAM-SHA-256", P, 0 },
	{ "XOAUTH2 OAUTHBEARER", NULL, NULL, T | U, SASL_NOT_PROTECTED },
	{ "PLAIN GSSAPI", NULL, NULL, T | U, SASL_NONE_USABLE },
	/* credentials */
	{ "XOAUTH2 PLAIN OAUTHBEARER", NULL, "OAUTHBEARER", P | T | S, 0 },
	{ "XOAUTH2 PLAIN", NULL, "XOAUTH2", P | T | S, 0 },
	{ "XOAUTH2 PLAIN SCRAM-SHA-256", NULL, "SCRAM-SHA-256", P | T | S, 0 },
	{ "XOAUTH2 PLAIN", NULL, "PLAIN", P | S, 0 },
	{ "XOAUTH2 PLAIN", NULL, NULL, T | S, SASL_NONE_USABLE },
	{ "OAUTHBEARER PLAIN", NULL, "OAUTHBEARER", T | S, 0 },
	{ "PLAIN", NULL, NULL, U | S, SASL_NONE_USABLE },
	{ "PLAIN", NULL, NULL, S, SASL_NONE_USABLE },
	{ "EXTERNAL PLAIN", NULL, NULL, C | S, SASL_NONE_USABLE },
	{ "EXTERNAL PLAIN", NULL, "PLAIN", P | C | S, 0 },
	{ "EXTERNAL PLAIN", "external plain", "EXTERNAL", P | C | S, 0 },
	{ "EXTERNAL PLAIN", "external plain", "PLAIN", P | S, 0 },
	{ "EXTERNAL", "external", NULL, C, SASL_NOT_PROTECTED },
	/* the operator's order */
	{ "PLAIN LOGIN CRAM-MD5", "Login", "LOGIN", P | S, 0 },
	{ "PLAIN LOGIN CRAM-MD5", "cram-md5 plain", "CRAM-MD5", P | S, 0 },
	{ "PLAIN LOGIN", "gssapi nonsense login", "LOGIN", P | S, 0 },
	{ "PLAIN LOGIN", "cram-md5", NULL, P | S, SASL_NONE_USABLE },
	{ "SCRAM-SHA-256", "scram-sha-256", "SCRAM-SHA-256", P | S | B, 0 },
	{ "SCRAM-SHA-256", "scram-sha-256 scram-sha-256-plus", "SCRAM-SHA-256",
	    P | S | B | Y, 0 },
	{ "SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
	    "scram-sha-256 scram-sha-256-plus", "SCRAM-SHA-256", P | S | B, 0 },
	/* nothing */
	{ NULL, NULL, NULL, P | S, SASL_NOT_OFFERED },
	{ "", NULL, NULL, P | S, SASL_NOT_OFFERED },
	{ "  = ", NULL, NULL, P | S, SASL_NOT_OFFERED },
	{ "GSSAPI \x1b[2J\r\n\xff", NULL, NULL, P | S, SASL_NONE_USABLE },
};

static void
have(unsigned bits, struct credentials *c, struct sasl_channel *channel)
{
	memset(c, 0, sizeof(*c));
	memset(channel, 0, sizeof(*channel));
	if ((bits & (P | U)) != 0)
		c->username = strdup("tim");
	if ((bits & P) != 0)
		secret_set(&c->password, PASSWORD);
	if ((bits & T) != 0)
		secret_set(&c->token, TOKEN);
	c->has_certificate = (bits & C) != 0;
	channel->is_protected = (bits & S) != 0;
	if ((bits & B) != 0) {
		channel->binding = SASL_BIND_TLS_EXPORTER;
		channel->binding_data = "0123456789abcdef0123456789abcdef";
		channel->binding_len = 32;
	}
}

static void
test_choice(size_t i)
{
	struct opt_list allowed = { .v = NULL };
	struct credentials c;
	struct sasl_channel channel;
	struct sasl_choice choice;
	enum sasl_choosing why;

	have(choices[i].have, &c, &channel);
	if (choices[i].allowed != NULL)
		opt_split_words(choices[i].allowed, &allowed);
	*error = '\0';
	why = sasl_choose(choices[i].offer, &allowed, &c, &channel, &choice,
	    error, sizeof(error));
	is_int(why, choices[i].want != NULL ? SASL_CHOSEN : choices[i].why,
	    "choice %zu: %s", i, error);
	is_str(choice.mech == NULL ? NULL : sasl_mech_name(choice.mech),
	    choices[i].want, "choice %zu: mechanism", i);
	if (why == SASL_CHOSEN)
		is_int(choice.no_plus, (choices[i].have & Y) != 0,
		    "choice %zu: binding is missed", i);
	else
		ok(strlen(error) > 0 && strchr(error, '\x1b') == NULL &&
		    strchr(error, '\r') == NULL &&
		    strchr(error, '\xff') == NULL, "choice %zu: a text", i);
	opt_list_clear(&allowed);
	credentials_clear(&c);
}

static void
test_choices(void)
{
	struct credentials c;
	struct sasl_channel channel;
	struct sasl_choice choice;
	char offer[4000];
	size_t i;

	for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		test_choice(i);
	have(P | S, &c, &channel);
	sasl_choose("GSSAPI \x1b", NULL, &c, &channel, &choice, error,
	    sizeof(error));
	is_str(error, "no usable SASL mechanism offered (offered: GSSAPI "
	    "\\x1B)", "what was offered is shown");
	memset(offer, 'A', sizeof(offer));
	offer[sizeof(offer) - 1] = '\0';
	is_int(sasl_choose(offer, NULL, &c, &channel, &choice, error,
	    sizeof(error)), SASL_NONE_USABLE, "a long offer");
	ok(strlen(error) < SASL_ERROR_MAX && strlen(error) > 200,
	    "is shown in part");
	credentials_clear(&c);
	ok(sasl_check_name("scram-sha-256") == NULL, "a name that is known");
	ok(sasl_check_name("scram") != NULL, "one that is not");
	ok(sasl_check_name("") != NULL, "no name");
}

/* ---- exchanges ---- */

struct setup {
	const char	*mech;
	const char	*username, *authzid, *secret;
	const char	*host;
	uint16_t	 port;
	enum sasl_binding binding;
	const char	*binding_data;
	bool		 no_plus;
	const char	*nonce;
	struct scram_cache *cache;
};

static bool
is_token_mech(const char *mech)
{
	return strstr(mech, "OAUTH") != NULL;
}

static void
choose_one(const char *mech, const struct credentials *c,
    const struct sasl_channel *channel, struct sasl_choice *choice)
{
	char *names[] = { (char *)(uintptr_t)mech, NULL };
	struct opt_list allowed = { .v = names, .n = 1 };

	if (sasl_choose(mech, &allowed, c, channel, choice, error,
	    sizeof(error)) != SASL_CHOSEN) {
		diag("%s: %s", mech, error);
		abort();
	}
}

/* NULL with error where sasl_new() refuses. */
static struct sasl *
set_up(const struct setup *u)
{
	struct credentials c = { .has_certificate = true };
	struct sasl_channel channel = { .is_protected = true,
	    .binding = u->binding, .binding_data = u->binding_data,
	    .binding_len = u->binding_data == NULL ? 0 :
	    strlen(u->binding_data), .host = u->host, .port = u->port };
	struct sasl_choice choice;
	struct sasl *s;

	if (u->username != NULL)
		c.username = strdup(u->username);
	if (u->authzid != NULL)
		c.authzid = strdup(u->authzid);
	if (u->secret != NULL)
		secret_set(is_token_mech(u->mech) ? &c.token : &c.password,
		    u->secret);
	choose_one(u->mech, &c, &channel, &choice);
	choice.no_plus = u->no_plus;
	s = sasl_new(&choice, &c, &channel, u->cache, error, sizeof(error));
	credentials_clear(&c);
	if (s != NULL && u->nonce != NULL)
		memcpy(s->scram.nonce, u->nonce, strlen(u->nonce) + 1);
	return s;
}

static const char *
say(struct sasl *s, const char *challenge)
{
	return sasl_continue(s, challenge, strlen(challenge));
}

/* A challenge that is not encoded yet. */
static const char *
say_raw(struct sasl *s, const char *challenge)
{
	static char text[BASE64_LEN(10000) + 1];

	return sasl_continue(s, text, base64_encode(text, challenge,
	    strlen(challenge)));
}

/* What base64 of a line stands for, control bytes shown. */
static const char *
shown(const char *line)
{
	static char text[2 * SASL_LINE_MAX];
	uint8_t bytes[SASL_LINE_MAX];
	size_t i, n, at = 0;

	if (base64_decode(bytes, line, strlen(line), &n) == -1)
		return "not base64";
	for (i = 0; i < n; i++)
		at += (size_t)sprintf(text + at, bytes[i] < 0x20 ? "<%u>" :
		    "%c", bytes[i]);
	text[at] = '\0';
	return text;
}

static const char *
initial(struct sasl *s)
{
	const char *line = sasl_start(s), *last = strrchr(line, ' ');

	return shown(last == NULL ? line : last + 1);
}

static void
is_cancelled(struct sasl *s, const char *line, const char *text)
{
	is_str(line, "*", "cancelled: %s", text);
	is_str(sasl_trace(s), "*", "and traced");
	ok(sasl_error(s) != NULL && strstr(sasl_error(s), text) != NULL,
	    "%s", sasl_error(s));
	ok(!sasl_is_complete(s), "not complete");
	is_str(say(s, ""), "*", "and stays so");
	sasl_free(s);
}

static void
test_plain(void)
{
	struct setup u = { "PLAIN", .username = "tim", .secret = PASSWORD };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm",
	    "RFC 4616 §4, first example");
	is_str(sasl_trace(s), "AUTH PLAIN [secret]", "hidden");
	ok(sasl_is_complete(s), "complete");
	ok(sasl_error(s) == NULL, "no error");
	is_cancelled(s, say(s, ""), "has none");

	u = (struct setup){ "PLAIN", .username = "Kurt", .authzid = "Ursel",
	    .secret = "xipj3plmq" };
	s = set_up(&u);
	is_str(initial(s), "Ursel<0>Kurt<0>xipj3plmq",
	    "RFC 4616 §4, second example");
	sasl_free(s);
	u = (struct setup){ "PLAIN", .username = "test", .secret = "1234" };
	s = set_up(&u);
	is_str(sasl_start(s), "AUTH PLAIN AHRlc3QAMTIzNA==",
	    "RFC 4954 §4.1, first example");
	sasl_free(s);
	u.secret = "p\xc3\xa4ss w\xc3\xb6rd";
	s = set_up(&u);
	is_str(initial(s), "<0>test<0>p\xc3\xa4ss w\xc3\xb6rd", "UTF-8");
	sasl_free(s);
}

/* The longest initial response that fits, and one more. */
static void
test_initial_response(void)
{
	char secret[SASL_SECRET_MAX + 1];
	struct setup u = { "PLAIN", .username = "tim", .secret = secret };
	struct sasl *s;

	memset(secret, 'x', sizeof(secret));
	secret[372 - 5] = '\0';		/* 496 of base64 */
	s = set_up(&u);
	is_int((intmax_t)strlen(sasl_start(s)), 507, "fits into 512 bytes");
	sasl_free(s);
	secret[372 - 5] = 'x';
	secret[373 - 5] = '\0';
	s = set_up(&u);
	is_str(sasl_start(s), "AUTH PLAIN", "too long for AUTH");
	is_str(sasl_trace(s), "AUTH PLAIN", "nothing to hide");
	ok(!sasl_is_complete(s), "not complete");
	is_int((intmax_t)strlen(say(s, "")), 500, "sent upon 334");
	is_str(sasl_trace(s), "[secret]", "hidden");
	ok(sasl_is_complete(s), "complete");
	sasl_free(s);
	s = set_up(&u);
	sasl_start(s);
	is_cancelled(s, say_raw(s, "go"), "has none");
	s = set_up(&u);
	sasl_start(s);
	is_cancelled(s, say(s, "go ahead"), "not base64");

	memset(secret, 'x', sizeof(secret));
	secret[SASL_SECRET_MAX] = '\0';
	s = set_up(&u);
	sasl_start(s);
	ok(strlen(say(s, "  ")) > SASL_SECRET_MAX, "the longest password");
	ok(sasl_is_complete(s), "complete");
	sasl_free(s);
}

static void
test_login(void)
{
	struct setup u = { "LOGIN", .username = "tim", .secret = "a\x01\xff" };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH LOGIN", "no initial response");
	is_str(sasl_trace(s), "AUTH LOGIN", "nothing to hide");
	ok(!sasl_is_complete(s), "not complete");
	is_str(say(s, "VXNlcm5hbWU6"), "dGlt", "username");
	is_str(sasl_trace(s), "[secret]", "hidden");
	ok(!sasl_is_complete(s), "not complete");
	is_str(sasl_error(s), "the server accepts before the exchange is over",
	    "said early");
	is_str(say(s, "UGFzc3dvcmQ6"), "YQH/", "password, any octets");
	ok(sasl_is_complete(s), "complete");
	is_cancelled(s, say(s, "VXNlcm5hbWU6"), "has none");
	s = set_up(&u);
	sasl_start(s);
	is_cancelled(s, say(s, "Username:"), "not base64");
}

static void
test_cram_md5(void)
{
	struct setup u = { "CRAM-MD5", .username = "tim", .secret = PASSWORD };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH CRAM-MD5", "no initial response");
	is_str(say(s, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZX"
	    "Q+"), "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
	    "RFC 2195 §2");
	is_str(sasl_trace(s), "[secret]", "hidden");
	ok(sasl_is_complete(s), "complete");
	is_cancelled(s, say(s, "AAAA"), "has none");
	s = set_up(&u);
	sasl_start(s);
	is_cancelled(s, say(s, ""), "empty challenge");
}

static void
test_oauthbearer(void)
{
	struct setup u = { "OAUTHBEARER", .username = "user@example.com",
	    .secret = TOKEN, .host = "server.example.com", .port = 587 };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH OAUTHBEARER bixhPXVzZXJAZXhhbXBsZS5jb20sA"
	    "Whvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHZGO"
	    "WRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
	    "RFC 7628 §4");
	is_str(sasl_trace(s), "AUTH OAUTHBEARER [secret]", "hidden");
	ok(sasl_is_complete(s), "complete");
	is_str(say_raw(s, "{\"status\":\"invalid_token\"}"), "AQ==",
	    "RFC 7628 §3.2.3");
	is_str(sasl_error(s), "the server refuses the token: "
	    "{\"status\":\"invalid_token\"}", "why");
	ok(!sasl_is_complete(s), "not complete");
	is_cancelled(s, say(s, ""), "has none");

	u = (struct setup){ "OAUTHBEARER", .username = "a=b,c@d",
	    .secret = "t" };
	s = set_up(&u);
	is_str(initial(s), "n,a=a=3Db=2Cc@d,<1>auth=Bearer t<1><1>",
	    "a name with = and ,");
	is_str(say_raw(s, "you said t"), "AQ==", "a server that repeats");
	is_str(sasl_error(s), "the server refuses the token",
	    "what we said is not quoted");
	sasl_free(s);
	u.username = NULL;
	s = set_up(&u);
	is_str(initial(s), "n,,<1>auth=Bearer t<1><1>", "no name");
	sasl_free(s);
}

static void
test_xoauth2(void)
{
	char token[2001];
	struct setup u = { "XOAUTH2", .username = "someuser@example.com",
	    .secret = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg" };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvb"
	    "QFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1se"
	    "mRHRXVZMjl0Q2cBAQ==", "the example of its document");
	is_str(sasl_trace(s), "AUTH XOAUTH2 [secret]", "hidden");
	is_str(say_raw(s, "{\"status\":\"401\",\n\"scope\":\"x\"}"), "",
	    "an empty line");
	is_str(sasl_trace(s), "", "as it is");
	is_str(sasl_error(s), "the server refuses the token: "
	    "{\"status\":\"401\",\\n\"scope\":\"x\"}", "why, escaped");
	ok(!sasl_is_complete(s), "not complete");
	sasl_free(s);

	memset(token, 'x', sizeof(token));
	token[2000] = '\0';
	u.secret = token;
	s = set_up(&u);
	is_str(sasl_start(s), "AUTH XOAUTH2", "a long token");
	ok(strlen(say(s, "")) > 2700, "upon 334");
	ok(sasl_is_complete(s), "complete");
	is_str(say_raw(s, "{}"), "", "refused");
	ok(!sasl_is_complete(s), "not complete");
	sasl_free(s);
}

static void
test_external(void)
{
	struct setup u = { "EXTERNAL", .username = NULL };
	struct sasl *s = set_up(&u);

	is_str(sasl_start(s), "AUTH EXTERNAL =", "an empty response");
	is_str(sasl_trace(s), "AUTH EXTERNAL =", "nothing to hide");
	ok(sasl_is_complete(s), "complete");
	is_cancelled(s, say(s, ""), "has none");
	u.authzid = "fred@example.com";
	s = set_up(&u);
	is_str(sasl_start(s), "AUTH EXTERNAL ZnJlZEBleGFtcGxlLmNvbQ==",
	    "a name to act for");
	sasl_free(s);
}

/* ---- SCRAM ---- */

#define NONCE		"rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE	"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT		"W22ZaJ0SNY7soEsUEjb6gQ=="
#define FIRST		"r=" SERVER_NONCE ",s=" SALT ",i=4096"

static const struct setup scram = { "SCRAM-SHA-256", .username = "user",
	.secret = "pencil", .nonce = NONCE };

static void
test_scram_example(void)
{
	struct scram_cache cache = { .is_set = false };
	struct setup u = scram;
	struct sasl *s;
	int i;

	u.cache = &cache;
	for (i = 0; i < 2; i++) {	/* the second time from the cache */
		s = set_up(&u);
		is_str(initial(s), "n,,n=user,r=" NONCE,
		    "RFC 7677 §3: first");
		is_str(sasl_trace(s), "AUTH SCRAM-SHA-256 [secret]", "hidden");
		is_str(shown(say_raw(s, FIRST)), "c=biws,r=" SERVER_NONCE
		    ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		    "RFC 7677 §3: proof");
		is_str(sasl_trace(s), "[secret]", "hidden");
		ok(!sasl_is_complete(s), "not complete yet");
		is_str(say_raw(s, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl"
		    "95G4="), "", "RFC 7677 §3: the server's signature");
		ok(sasl_is_complete(s), "complete");
		is_cancelled(s, say(s, ""), "has none");
		ok(cache.is_set, "the hash is kept");
	}
	scram_cache_clear(&cache);
	ok(!cache.is_set, "and forgotten");
}

static void
test_scram_cache(void)
{
	struct scram_cache cache = { .is_set = false };
	struct setup u = scram;
	char kept[4][32];
	struct sasl *s;
	int i;

	u.cache = &cache;
	for (i = 0; i < 4; i++) {
		u.secret = i == 1 ? "pen" : "pencil";
		s = set_up(&u);
		sasl_start(s);
		say_raw(s, i == 2 ? "r=" SERVER_NONCE ",s=AAAA,i=4096" :
		    i == 3 ? "r=" SERVER_NONCE ",s=" SALT ",i=4097" : FIRST);
		memcpy(kept[i], cache.client_key, 32);
		ok(sasl_error(s) == NULL, "no error");
		sasl_free(s);
	}
	ok(memcmp(kept[0], kept[1], 32) != 0 &&
	    memcmp(kept[1], kept[2], 32) != 0 &&
	    memcmp(kept[2], kept[3], 32) != 0,
	    "password, salt and rounds make the hash");
}

static const struct {
	const char	*first;
	const char	*error;
} firsts[] = {
	{ "", "no nonce" },
	{ "r=", "does not go with ours" },
	{ "r=" NONCE, "does not go with ours" },
	{ "r=" NONCE ",s=" SALT ",i=4096", "does not go with ours" },
	{ "r=x" NONCE "x,s=" SALT ",i=4096", "does not go with ours" },
	{ "r=rOprNGfwEbeRWgbNEkqPx,s=" SALT ",i=4096",
	    "does not go with ours" },
	{ "r=" NONCE " ,s=" SALT ",i=4096", "does not go with ours" },
	{ "r=" NONCE "\x7f,s=" SALT ",i=4096", "does not go with ours" },
	{ "r=" NONCE "\xc3\xa4,s=" SALT ",i=4096", "does not go with ours" },
	{ "m=ext,r=" SERVER_NONCE ",s=" SALT ",i=4096", "extension" },
	{ "e=invalid-proof", "the server refuses: invalid-proof" },
	{ "e=\x1b[2J\n", "the server refuses: \\x1B[2J\\n" },
	{ "e=", "the server refuses" },
	{ "e=pencil", "the server refuses" },
	{ "r=" SERVER_NONCE, "no salt" },
	{ "r=" SERVER_NONCE ",i=4096,s=" SALT, "no salt" },
	{ "r=" SERVER_NONCE ",s=,i=4096", "salt" },
	{ "r=" SERVER_NONCE ",s=x,i=4096", "salt" },
	{ "r=" SERVER_NONCE ",s=" SALT, "no count" },
	{ "r=" SERVER_NONCE ",s=" SALT ",", "no count" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i", "no count" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=0", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=-4096", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=+4096", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=04096", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=4096x", "no number" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=4095", "too few rounds: 4095" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=600001", "too many rounds" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=4294971392", "too many rounds" },
	{ "r=" SERVER_NONCE ",s=" SALT ",i=99999999999999999999999999",
	    "too many rounds" },
};

static const struct {
	const char	*final;
	const char	*error;
} finals[] = {
	{ "", "no signature" },
	{ "v=", "no signature" },
	{ "v=AAAA", "no signature" },
	{ "x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "no signature" },
	{ "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4A", "no signature" },
	{ "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "no signature" },
	{ "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	    "signature is wrong" },
	{ "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	    "signature is wrong" },
	{ "e=other-error", "the server refuses: other-error" },
};

static void
test_scram_bad(void)
{
	struct setup u = scram;
	char big[BASE64_LEN(1026) + 100];
	struct sasl *s;
	size_t i;

	for (i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		s = set_up(&scram);
		sasl_start(s);
		is_cancelled(s, say_raw(s, firsts[i].first), firsts[i].error);
	}
	for (i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
		s = set_up(&scram);
		sasl_start(s);
		say_raw(s, FIRST);
		is_cancelled(s, say_raw(s, finals[i].final), finals[i].error);
	}
	s = set_up(&scram);
	sasl_start(s);
	is_cancelled(s, say(s, "cj0AAA=="), "NUL byte");
	s = set_up(&scram);
	sasl_start(s);
	say_raw(s, FIRST);
	is_cancelled(s, say(s, "dj0AAA=="), "NUL byte");
	s = set_up(&scram);
	sasl_start(s);
	sprintf(big, "r=%s,s=%0*d,i=4096", SERVER_NONCE, 1028 / 3 * 4, 0);
	is_cancelled(s, say_raw(s, big), "salt");
	s = set_up(&u);
	sasl_start(s);
	say_raw(s, FIRST);
	ok(!sasl_is_complete(s), "235 without the server's signature");
	ok(strstr(sasl_error(s), "without having shown") != NULL, "%s",
	    sasl_error(s));
	sasl_free(s);
}

static void
test_scram_limits(void)
{
	char text[9300];
	struct sasl *s = set_up(&scram);

	sasl_start(s);
	ok(strcmp(say_raw(s, FIRST ",x=any,y=thing"), "*") != 0,
	    "extensions are passed over");
	sasl_free(s);
	s = set_up(&scram);
	sasl_start(s);
	ok(strcmp(say_raw(s, "r=" SERVER_NONCE ",s=" SALT ",i=600000"),
	    "*") != 0, "the most rounds");
	sasl_free(s);
	s = set_up(&scram);
	sasl_start(s);
	sprintf(text, "r=%s%09000d,s=%s,i=4096", NONCE, 0, SALT);
	ok(strlen(say_raw(s, text)) > 12000, "a nonce that just fits");
	sasl_free(s);
	s = set_up(&scram);
	sasl_start(s);
	sprintf(text, "r=%s%09150d,s=%s,i=4096", NONCE, 0, SALT);
	is_cancelled(s, say_raw(s, text), "does not fit");
}

static void
test_scram_binding(void)
{
	struct setup u = scram;
	struct sasl *s;

	u.mech = "SCRAM-SHA-256-PLUS";
	u.authzid = "a,b=c";
	u.username = "x=,y";
	u.binding = SASL_BIND_TLS_EXPORTER;
	u.binding_data = "bytes";
	s = set_up(&u);
	is_str(initial(s), "p=tls-exporter,a=a=2Cb=3Dc,n=x=3D=2Cy,r=" NONCE,
	    "RFC 9266, and names that are quoted");
	is_str(shown(strtok((char *)(uintptr_t)shown(say_raw(s, FIRST)) + 2,
	    ",")), "p=tls-exporter,a=a=2Cb=3Dc,bytes",
	    "header and binding in the final message");
	sasl_free(s);
	u.authzid = NULL;
	u.binding = SASL_BIND_TLS_SERVER_END_POINT;
	s = set_up(&u);
	is_str(initial(s), "p=tls-server-end-point,,n=x=3D=2Cy,r=" NONCE,
	    "RFC 5929");
	sasl_free(s);

	u = scram;
	u.no_plus = true;
	u.binding = SASL_BIND_TLS_EXPORTER;
	u.binding_data = "bytes";
	s = set_up(&u);
	is_str(initial(s), "y,,n=user,r=" NONCE, "the server does not bind");
	ok(strstr(shown(say_raw(s, FIRST)), "c=eSws,") != NULL,
	    "and is told so");
	sasl_free(s);

	u.mech = "SCRAM-SHA-256-PLUS";
	u.binding_data = "";
	ok(set_up(&u) == NULL, "%s", error);
	u.binding_data = "01234567890123456789012345678901234567890123456789"
	    "012345678901234";
	ok(set_up(&u) == NULL, "%s", error);
}

static void
test_scram_nonce(void)
{
	struct setup u = scram;
	struct sasl *a, *b;

	u.nonce = NULL;
	a = set_up(&u);
	b = set_up(&u);
	is_int((intmax_t)strlen(a->scram.nonce), SCRAM_NONCE_LEN, "a nonce");
	ok(strcmp(a->scram.nonce, b->scram.nonce) != 0, "is another each time");
	ok(strpbrk(a->scram.nonce, ",=") == NULL, "and has no comma");
	sasl_free(a);
	sasl_free(b);
}

/* ---- what cannot be said ---- */

static void
refused(const char *mech, const char *username, const char *secret,
    const char *text)
{
	struct setup u = { mech, .username = username, .secret = secret,
	    .binding = SASL_BIND_TLS_EXPORTER, .binding_data = "x" };
	struct sasl *s = set_up(&u);

	if (!ok(s == NULL, "%s: refused", mech)) {
		sasl_free(s);
		return;
	}
	ok(strstr(error, text) != NULL && strstr(error, mech) != NULL,
	    "%s", error);
	ok(*secret == '\0' || strstr(error, secret) == NULL, "not shown");
}

static void
test_refused(void)
{
	char big[SASL_SECRET_MAX + 2];
	static const char *const mechs[] = { "PLAIN", "SCRAM-SHA-256",
	    "SCRAM-SHA-256-PLUS" };
	size_t i;

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	for (i = 0; i < sizeof(mechs) / sizeof(mechs[0]); i++) {
		refused(mechs[i], "u", "se\tcret", "password has control");
		refused(mechs[i], "u", "se\xc2\x85yz", "password has control");
		refused(mechs[i], "u", "se\xe4yz", "password is not UTF-8");
		refused(mechs[i], "u\n", "secret", "username has control");
		refused(mechs[i], "u\xff", "secret", "username is not UTF-8");
		refused(mechs[i], "", "secret", "username is empty");
		refused(mechs[i], "u", "", "password is empty");
		refused(mechs[i], "u", big, "longer than 7000");
		refused(mechs[i], big, "secret", "longer than 500");
	}
	refused("LOGIN", "", "secret", "username is empty");
	refused("CRAM-MD5", "u", "", "password is empty");
	refused("XOAUTH2", "u\001auth=x", "token", "username has control");
	refused("XOAUTH2", "u", "to\001ken", "token has characters");
	refused("XOAUTH2", "u", "to ken", "token has characters");
	refused("OAUTHBEARER", "u", "token\n", "token has characters");
	refused("OAUTHBEARER", "u", "t\xc3\xb6ken", "token has characters");
	refused("OAUTHBEARER", "u", "", "token is empty");
}

/* A file that was not read is no password. */
static void
test_unread(void)
{
	struct credentials c = { .username = strdup("u") };
	struct sasl_channel channel = { .is_protected = true };
	struct sasl_choice choice;

	secret_set_file(&c.password, "/nonexistent");
	choose_one("PLAIN", &c, &channel, &choice);
	ok(sasl_new(&choice, &c, &channel, NULL, error, sizeof(error)) ==
	    NULL, "%s", error);
	credentials_clear(&c);
	sasl_free(NULL);
}

static void
test_challenges(void)
{
	static const char *const bad[] = { "x", "xxx", "a b=", "\xff\xff",
	    "VXNl\ncm5h", "=", "VXNlcm5hbWU6\r" };
	struct setup u = { "LOGIN", .username = "tim", .secret = PASSWORD };
	char *big = malloc(SASL_LINE_MAX + 5);
	struct sasl *s;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s = set_up(&u);
		sasl_start(s);
		is_cancelled(s, say(s, bad[i]), "not base64");
	}
	memset(big, 'A', SASL_LINE_MAX + 4);
	s = set_up(&u);
	sasl_start(s);
	is_str(sasl_continue(s, big, SASL_LINE_MAX), "dGlt",
	    "a challenge of 12288 bytes");
	is_cancelled(s, sasl_continue(s, big, SASL_LINE_MAX + 4),
	    "longer than 12288");
	s = set_up(&u);
	sasl_start(s);
	is_str(say(s, "VXNlcm5hbWU6 \t "), "dGlt", "blanks behind it");
	sasl_free(s);
	free(big);
}

int
main(void)
{
	test_choices();
	test_plain();
	test_initial_response();
	test_login();
	test_cram_md5();
	test_oauthbearer();
	test_xoauth2();
	test_external();
	test_scram_example();
	test_scram_cache();
	test_scram_bad();
	test_scram_limits();
	test_scram_binding();
	test_scram_nonce();
	test_refused();
	test_unread();
	test_challenges();
	return done_testing();
}
