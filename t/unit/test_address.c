/* test_address.c - addresses: taken apart, on the wire, for look-ups. */
#include "mail/address.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "test.h"

static struct arena *arena;

static const struct {
	const char *given, *local, *domain;
} accepted[] = {
	{ "user@example.org", "user", "example.org" },
	{ "<user@example.org>", "user", "example.org" },
	{ "user@example.org.", "user", "example.org" },
	{ "postmaster", "postmaster", NULL },
	{ "<postmaster>", "postmaster", NULL },
	{ "a!#$%&'*+-/=?^_`{|}~1@x", "a!#$%&'*+-/=?^_`{|}~1", "x" },
	{ "a.b@x", "a.b", "x" },
	{ "U@Example.ORG", "U", "Example.ORG" },
	{ "u@a_b.example", "u", "a_b.example" },
	{ "u@-a.b-", "u", "-a.b-" },
	/* quoting */
	{ "\"a b\"@x", "\"a b\"", "x" },
	{ "\"a\"@x", "\"a\"", "x" },
	{ "\"a@b\"@x", "\"a@b\"", "x" },
	{ "\"a\\\"@b\"@x", "\"a\\\"@b\"", "x" },
	{ "\"a\\\\\"@x", "\"a\\\\\"", "x" },
	{ "\"a>\"@x", "\"a>\"", "x" },
	{ "\"\"@x", "\"\"", "x" },
	{ "\"a b\"", "\"a b\"", NULL },
	{ "a b@x", "\"a b\"", "x" },
	{ "a@b@x", "\"a@b\"", "x" },
	{ "a\\b@x", "\"a\\\\b\"", "x" },
	{ "a>b@x", "\"a>b\"", "x" },
	{ ".a@x", "\".a\"", "x" },
	{ "a.@x", "\"a.\"", "x" },
	{ "a..b@x", "\"a..b\"", "x" },
	{ "a,b@x", "\"a,b\"", "x" },
	{ "a b", "\"a b\"", NULL },
	/* RFC 5321 Appendix C */
	{ "@a,@b:user@c", "user", "c" },
	{ "<@a:user@c>", "user", "c" },
	{ "@[IPv6:::1]:user@c", "user", "c" },
	{ "@a:\"b c\"@d", "\"b c\"", "d" },
	/* RFC 5321 §4.1.3 */
	{ "u@[127.0.0.1]", "u", "[127.0.0.1]" },
	{ "u@[IPv6:::1]", "u", "[IPv6:::1]" },
	{ "u@[ipv6:::ffff:127.0.0.1]", "u", "[ipv6:::ffff:127.0.0.1]" },
	/* RFC 6531 */
	{ "j\xc3\xb6rg@x", "j\xc3\xb6rg", "x" },
	{ "u@b\xc3\xbc" "cher.de", "u", "b\xc3\xbc" "cher.de" },
	{ "j \xc3\xb6@x", "\"j \xc3\xb6\"", "x" },
};

static void
test_accepted(void)
{
	struct address	 a;
	const char	*error;

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		const char *given = accepted[i].given;

		error = NULL;
		is_int(address_parse(given, arena, &a, &error), 0, "<%s>: %s",
		    given, error == NULL ? "taken" : error);
		is_str(a.local, accepted[i].local, "<%s>: local part", given);
		is_str(a.domain, accepted[i].domain, "<%s>: domain", given);
		is_int(a.is_literal, strchr(given, '[') != NULL &&
		    given[0] != '@', "<%s>: literal or not", given);
		is_int(a.is_utf8, !str_is_ascii(a.local),
		    "<%s>: UTF-8 or not", given);
		is_int(a.is_idn, a.domain != NULL && !str_is_ascii(a.domain),
		    "<%s>: IDN or not", given);
	}
}

static void
test_refused(void)
{
	static const struct {
		const char *given, *error;
	} rows[] = {
		{ "", "empty local part" },
		{ "<>", "empty local part" },
		{ "@x", "empty local part" },
		{ "@a:@x", "empty local part" },
		{ "@a:", "empty local part" },
		{ "<", "unbalanced angle brackets" },
		{ ">", "unbalanced angle brackets" },
		{ "<a@b", "unbalanced angle brackets" },
		{ "a@b>", "unbalanced angle brackets" },
		{ "a\r\nRCPT TO:<b@c>@x", "control character in the address" },
		{ "a\n@x", "control character in the address" },
		{ "\"a\tb\"@x", "control character in the address" },
		{ "a@x\x7f", "control character in the address" },
		{ "a\xff@x", "address is not UTF-8" },
		{ "a@\xc3", "address is not UTF-8" },
		{ "\"", "unbalanced quotes" },
		{ "\"a@x", "unbalanced quotes" },
		{ "\"a\\\"@x", "unbalanced quotes" },
		{ "\"a\"b@x", "text after the quoted local part" },
		{ "\"a\".b@x", "text after the quoted local part" },
		{ "a\"b@x", "quote inside the local part" },
		{ "a@", "empty domain" },
		{ "a@.", "empty domain" },
		{ "a@x..", "empty label in the domain" },
		{ "a@.x", "empty label in the domain" },
		{ "a@x..y", "empty label in the domain" },
		{ "a@x y", "bad character in the domain" },
		{ "a@x>y", "bad character in the domain" },
		{ "a@<x", "bad character in the domain" },
		{ "a@x[1]", "bad character in the domain" },
		{ "\"a\"@x@y", "bad character in the domain" },
		{ "a@[127.0.0.1", "bad address literal" },
		{ "a@[", "bad address literal" },
		{ "a@[]", "bad address literal" },
		{ "a@[x]", "bad address literal" },
		{ "a@[127.0.0.1].x", "bad address literal" },
		{ "a@[127.0.0.256]", "bad address literal" },
		{ "a@[IPv6:]", "bad address literal" },
		{ "a@[IPv6:127.0.0.1]", "bad address literal" },
		{ "a@[::1]", "bad address literal" },
	};
	struct address	 a;
	const char	*error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		error = NULL;
		is_int(address_parse(rows[i].given, arena, &a, &error), -1,
		    "refused, %zu", i);
		is_str(error, rows[i].error, "because");
	}
}

/* n times x, then the rest; true if it is taken. */
static bool
is_taken(const char *before, size_t n, const char *after)
{
	char		 given[3000];
	struct address	 a;
	const char	*error;
	size_t		 at = strlen(before);

	memcpy(given, before, at);
	memset(given + at, 'x', n);
	strlcpy(given + at + n, after, sizeof(given) - at - n);
	return address_parse(given, arena, &a, &error) == 0;
}

static void
test_ceilings(void)
{
	char	labels[DOMAIN_MAX + 10] = "u@", *p = labels + 2;

	ok(is_taken("", ADDRESS_MAX - 2, "@y"), "as long as can be");
	ok(!is_taken("", ADDRESS_MAX - 1, "@y"), "one byte longer");
	ok(is_taken("<", ADDRESS_MAX - 2, "@y>"), "brackets do not count");
	ok(!is_taken(" ", ADDRESS_MAX - 3, "@y"), "quotes do");
	ok(!is_taken("", 2900, ""), "much longer");
	ok(is_taken("u@", 63, ".y"), "a label of 63 bytes");
	ok(!is_taken("u@", 64, ".y"), "a label of 64 bytes");
	ok(!is_taken("u@y.", 64, ""), "a last label of 64 bytes");
	for (int i = 0; i < 4; i++, p += 64) {
		memset(p, 'a', 63);
		p[63] = '.';
	}
	p[-1] = '\0';
	ok(is_taken(labels, 0, ""), "a domain of 255 bytes");
	ok(!is_taken(labels, 0, ".b"), "a longer one");
	is_str(address_domain_ascii(labels + 2, arena), NULL,
	    "DNS ends at 253");
	p[-3] = '\0';
	ok(address_domain_ascii(labels + 2, arena) != NULL, "253 it takes");
}

static void
test_wire(void)
{
	static const struct {
		const char *given, *ascii, *utf8;
	} rows[] = {
		{ "u@Example.org", "u@Example.org", "u@Example.org" },
		{ "a b@x", "\"a b\"@x", "\"a b\"@x" },
		{ "root", "root", "root" },
		{ "u@[127.0.0.1]", "u@[127.0.0.1]", "u@[127.0.0.1]" },
		{ "u@B\xc3\x9c" "cher.example", "u@xn--bcher-kva.example",
		    "u@B\xc3\x9c" "cher.example" },
		/* decomposed: normalized first */
		{ "u@bu\xcc\x88" "cher.example", "u@xn--bcher-kva.example",
		    "u@bu\xcc\x88" "cher.example" },
		/* nontransitional: the sharp s is a letter of its own */
		{ "u@fa\xc3\x9f.de", "u@xn--fa-hia.de", "u@fa\xc3\x9f.de" },
		{ "u@_a.b\xc3\xbc.de", "u@_a.xn--b-eha.de",
		    "u@_a.b\xc3\xbc.de" },
		{ "\xc3\xb6@x", NULL, "\xc3\xb6@x" },
		/* full-width '@' and '>' become ASCII ones */
		{ "u@a\xef\xbc\xa0" "b.de", NULL, "u@a\xef\xbc\xa0" "b.de" },
		{ "u@a\xef\xbc\x9e" "b.de", NULL, "u@a\xef\xbc\x9e" "b.de" },
		/* a lone combining mark */
		{ "u@\xcc\x88.de", NULL, "u@\xcc\x88.de" },
	};
	struct address	 a;
	const char	*error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *given = rows[i].given;

		address_parse(given, arena, &a, &error);
		is_str(address_wire(&a, false, arena, &error), rows[i].ascii,
		    "<%s> in ASCII", given);
		ok((error == NULL) == (rows[i].ascii != NULL),
		    "<%s>: an error or not", given);
		is_str(address_wire(&a, true, arena, &error), rows[i].utf8,
		    "<%s> with SMTPUTF8", given);
	}
	address_parse("\xc3\xb6@x", arena, &a, &error);
	address_wire(&a, false, arena, &error);
	is_str(error, "SMTPUTF8", "what is missing");
}

static void
test_domain(void)
{
	static const struct {
		const char *given, *ascii;
	} rows[] = {
		{ "Example.ORG", "example.org" },
		{ "example.org.", "example.org" },
		{ "x", "x" },
		{ "B\xc3\xbc" "CHER.Example.", "xn--bcher-kva.example" },
		{ "\xe4\xbe\x8b\xe3\x81\x88.jp", "xn--r8jz45g.jp" },
		{ "XN--R8JZ45G.jp", "xn--r8jz45g.jp" },
		{ "", NULL },
		{ ".", NULL },
		{ "a..b", NULL },
		{ "a b", NULL },
		{ "a\n", NULL },
		{ "[127.0.0.1]", NULL },
		{ "\xc3", NULL },
		{ "\xc3\xbc..de", NULL },
	};
	char	many[DOMAIN_MAX + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_str(address_domain_ascii(rows[i].given, arena),
		    rows[i].ascii, "\"%s\" for DNS", rows[i].given);
	for (size_t i = 0; i < DOMAIN_MAX - 1; i += 2)
		memcpy(many + i, "\xc3\xbc", 2);
	many[DOMAIN_MAX - 1] = '\0';
	is_str(address_domain_ascii(many, arena), NULL, "an A-label too long");
	many[40] = '\0';
	ok(address_domain_ascii(many, arena) != NULL, "a shorter one");
}

static void
test_utf8_type(void)
{
	static const struct {
		const char	*text, *encoded;	/* NULL: it is none */
	} rows[] = {
		{ "q@x.test", "q@x.test" },
		{ "q\xc3\xa9@b\xc3\xbc.test", "q\\x{E9}@b\\x{FC}.test" },
		{ "\xe2\x82\xac\xf0\x9f\x93\xa7@x", "\\x{20AC}\\x{1F4E7}@x" },
		{ "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbd",
		    "\\x{7FF}\\x{800}\\x{FFFD}" },
		{ "\xf4\x8f\xbf\xbf", "\\x{10FFFF}" },
		{ "a+b@x", NULL }, { "a=b@x", NULL }, { "a b@x", NULL },
		{ "a\xff@x", NULL }, { "a\xed\xa0\x80", NULL },
	};
	static const char *const bad[] = { "\\x{}", "\\x{9}", "\\x{E9",
	    "\\x{0A}", "\\x{7F}", "\\x{D800}", "\\x{110000}",
	    "\\x{1000000}", "\\x{e9}", "\\x{" };
	const char *text;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text = utf8_address_encode(rows[i].text, arena);
		is_str(text, rows[i].encoded, "as \\x{}: row %zu", i);
		if (text != NULL)
			is_str(utf8_address_decode(text, arena), rows[i].text,
			    "... and back");
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_str(utf8_address_decode(bad[i], arena), NULL, "%s",
		    bad[i]);
	is_str(utf8_address_decode("\\x{E9}\\x", arena), "\xc3\xa9\\x",
	    "a \\x that is none");
}

static void
test_xtext(void)
{
	is_str(xtext_encode("rfc822;a@b", arena), "rfc822;a@b", "plain");
	is_str(xtext_encode("a+b=c d\x7f\xc3\xbc", arena),
	    "a+2Bb+3Dc+20d+7F+C3+BC", "encoded");
	is_str(xtext_encode("", arena), "", "nothing");
	ok(xtext_is_valid(""), "empty");
	ok(xtext_is_valid("a+2Bb!~"), "valid");
	ok(!xtext_is_valid("a+2b"), "lower case digits");
	ok(!xtext_is_valid("a+"), "cut short");
	ok(!xtext_is_valid("a+2"), "cut in the middle");
	ok(!xtext_is_valid("a=b"), "an equals sign");
	ok(!xtext_is_valid("a b"), "a blank");
	ok(!xtext_is_valid("a\xc3\xbc"), "8 bit");
}

int
main(void)
{
	arena = arena_new(0);
	test_accepted();
	test_refused();
	test_ceilings();
	test_wire();
	test_domain();
	test_xtext();
	test_utf8_type();
	arena_free(arena);
	return done_testing();
}
