/* {name} in the words of a command. */
#include <string.h>

#include "base/mem.h"
#include "mail/macro.h"
#include "test.h"

static struct arena *arena;

static const char *
expand(const char *text, const struct macro_values *v)
{
	struct macro_word w;
	char error[256];

	if (macro_parse(&w, text, arena, error, sizeof(error)) == -1)
		return arena_strdup(arena, error);
	return macro_expand(&w, v, arena);
}

static struct macro_values
values(const char *sender, const char *rcpt, const char *orcpt,
    const char *delimiter, unsigned how)
{
	struct rcpt r = { .addr = rcpt, .orcpt = orcpt };
	struct envelope env = { .id = "q1", .sender = sender,
	    .nexthop = "Hop.test" };
	struct macro_values v;
	const char *error;

	memset(&v, 0, sizeof(v));
	ok(macro_set_message(&v, &env, "NULL", how, arena, &error) == 0 &&
	    macro_set_rcpt(&v, &r, delimiter, how, arena, &error) == 0,
	    "%s to %s", sender, rcpt);
	return v;
}

static void
test_words(void)
{
	struct macro_values v = values("s@x", "a+b@y", NULL, "+", 0);
	struct macro_word w;
	char error[256];

	is_str(expand("", &v), "", "empty");
	is_str(expand("{sender}", &v), "s@x", "alone");
	is_str(expand("-f{sender}/{user}.", &v), "-fs@x/a.", "among text");
	is_str(expand("{{{user}}}", &v), "{a}", "braces");
	is_str(expand("{{user}}", &v), "{user}", "doubled");
	is_str(expand("{client_ip}", &v), "", "not known");
	ok(strstr(expand("{User}", &v), "no macro {User}") != NULL, "case");
	ok(strstr(expand("{}", &v), "no macro {}") != NULL, "nothing");
	ok(strstr(expand("{user", &v), "has no }") != NULL, "not closed");
	ok(strstr(expand("user}", &v), "has no {") != NULL, "not opened");
	ok(strstr(expand("{us{er}", &v), "has no }") != NULL, "nested");
	macro_parse(&w, "x{user}{size}", arena, error, sizeof(error));
	is_int(w.uses, 1U << MACRO_USER | 1U << MACRO_SIZE, "what it uses");
	ok(!macro_adds_slash(&w, &v), "no slash");
	v.v[MACRO_SIZE] = "1/2";
	ok(macro_adds_slash(&w, &v), "a slash from a macro");
	macro_parse(&w, "/x/", arena, error, sizeof(error));
	ok(!macro_adds_slash(&w, &v), "a slash of the operator's");
}

static void
test_addresses(void)
{
	struct macro_values v;

	v = values("", "\"a \\\"b\"@Y.test", NULL, "+", 0);
	is_str(v.v[MACRO_SENDER], "NULL", "null sender");
	is_str(v.v[MACRO_RECIPIENT], "a \"b@Y.test", "unquoted");
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], v.v[MACRO_RECIPIENT],
	    "no original one");
	v = values("A b@x", "A b@Y", NULL, "+",
	    MACRO_QUOTE | MACRO_FOLD_USER | MACRO_FOLD_DOMAIN);
	is_str(v.v[MACRO_SENDER], "\"A b\"@x", "sender: quoted, not folded");
	is_str(v.v[MACRO_RECIPIENT], "\"a b\"@y", "quoted and folded");
	is_str(v.v[MACRO_USER], "a b", "user: not quoted");
	is_str(v.v[MACRO_NEXTHOP], "hop.test", "next hop folded");
	v = values("s@x", "a+b+c@y", "rfc822;Or+2Big+20@z", "+", 0);
	is_str(v.v[MACRO_USER], "a", "user");
	is_str(v.v[MACRO_EXTENSION], "b+c", "extension");
	is_str(v.v[MACRO_MAILBOX], "a+b+c", "mailbox");
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], "Or+ig @z", "xtext");
	v = values("s@x", "a@y", "utf-8;q\\x{E9}+2B@z", "+", 0);
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], "q\xc3\xa9+@z", "type utf-8");
	v = values("s@x", "a@y", "utf-8;q\\x{0A}@z", "+", 0);
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], "a@y", "a line end in that");
	v = values("s@x", "a+b@y", "rfc822;a+0Ab@z", "", 0);
	is_str(v.v[MACRO_USER], "a+b", "no delimiter");
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], "a+b@y", "a line end in it");
	v = values("s@x", "postmaster", "x400;a", "+", 0);
	is_str(v.v[MACRO_DOMAIN], "", "no domain");
	is_str(v.v[MACRO_ORIGINAL_RECIPIENT], "postmaster", "of other type");
	v = values("s@x", "+b@y", "rfc822;a+0", "+", 0);
	is_str(v.v[MACRO_USER], "+b", "delimiter first");
	v = values("s@x", "mailer-daemon@y", NULL, "-", 0);
	is_str(v.v[MACRO_USER], "mailer-daemon", "a name with the delimiter");
}

int
main(void)
{
	arena = arena_new(4096);
	test_words();
	test_addresses();
	arena_free(arena);
	return done_testing();
}
