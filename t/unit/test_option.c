/* Options: setting from text, what is refused and how, and back to text. */
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/option_name.h"
#include "test.h"

enum { TLS_NONE, TLS_MAY, TLS_REQUIRE };

struct inner {
	int64_t		 port;
	char		*ca_certs;
};

struct values {
	char		*host;
	char		*ehlo;
	char		*password;
	char		*file;
	bool		 pipelining;
	int64_t		 connect_timeout;
	int64_t		 spool;
	int64_t		 free_number;
	int		 tls_mode;
	struct opt_list	 resolver;
	struct opt_list	 methods;
	struct opt_list	 args;
	struct opt_dict	 force_mx;
	struct opt_dict	 credentials;
	struct opt_dict	 tls;
	char		*trace;
	struct inner	 inner;
};

static const char *
no_space(const char *value)
{
	return strchr(value, ' ') == NULL ? NULL : "has a space in it";
}

static const struct opt_word tls_words[] = {
	{ "none",	TLS_NONE,	"Never." },
	{ "may",	TLS_MAY,	"Where it is offered, unverified." },
	{ "require",	TLS_REQUIRE,	"Or no delivery." },
	{ "encrypt",	TLS_REQUIRE,	NULL },
	{ NULL,		0,		NULL }
};

static const struct opt_word method_words[] = {
	{ "plain",	0, NULL },
	{ "login",	0, NULL },
	{ NULL,		0, NULL }
};

static const struct opt_word credential_words[] = {
	{ "username",	0, NULL },
	{ "password",	0, NULL },
	{ NULL,		0, NULL }
};

#define AT(field)	offsetof(struct values, field)

static const struct opt_row rows[] = {
	{ "host", OPT_STRING, AT(host), NULL, 0, 0, NULL, no_space,
	    OPT_REQUIRED, "The host." },
	{ "ehlo_name", OPT_STRING, AT(ehlo), "localhost", 0, 0, NULL, no_space,
	    0, "The name in EHLO. It is long enough to be wrapped, and has "
	    "'quotes', a \\ and .dots in it; -o is for the command line." },
	{ "password", OPT_STRING, AT(password), NULL, 0, 0, NULL, no_space,
	    OPT_SECRET, "A secret." },
	{ "file", OPT_STRING, AT(file), "/nonexistent/default", 0, 0, NULL,
	    NULL, OPT_FILE, "A file." },
	{ "pipelining", OPT_BOOL, AT(pipelining), "yes", 0, 0, NULL, NULL, 0,
	    "Whether." },
	{ "connect_timeout", OPT_TIME, AT(connect_timeout), "30s", 1000,
	    7200000, NULL, NULL, 0, "How long." },
	{ "spool", OPT_SIZE, AT(spool), "64k", 1, INT64_MAX, NULL, NULL, 0,
	    "How much." },
	{ "free_number", OPT_INT, AT(free_number), NULL, 0, 0, NULL, NULL, 0,
	    "Any." },
	{ "tls_mode", OPT_ENUM, AT(tls_mode), "may", 0, 0, tls_words, NULL, 0,
	    "Encryption." },
	{ "resolver", OPT_LIST, AT(resolver), "127.0.0.1, ::1", 0, 3, NULL,
	    no_space, 0, "Servers." },
	{ "methods", OPT_LIST, AT(methods), NULL, 1, 0, method_words, NULL, 0,
	    "Methods." },
	{ "args", OPT_ARGV, AT(args), NULL, 0, 5, NULL, NULL, 0, "Words." },
	{ "force_mx", OPT_DICT, AT(force_mx), "a = b\nc = d", 0, 3, NULL, NULL,
	    0, "Hosts by domain." },
	{ "credentials", OPT_DICT, AT(credentials), NULL, 0, 0,
	    credential_words, NULL, OPT_SECRET, "Who." },
	{ "tls", OPT_DICT, AT(tls), NULL, 0, 0, NULL, no_space, 0, "Rest." },
	{ "trace", OPT_STRING, AT(trace), NULL, 0, 0, NULL, NULL, OPT_CLI_ONLY,
	    "Only by hand." },
	{ .name = NULL }
};

static const struct opt_row inner_rows[] = {
	{ "port", OPT_INT, offsetof(struct inner, port), "25", 1, 65535, NULL,
	    NULL, 0, "The port." },
	{ "tls.ca_certs", OPT_STRING, offsetof(struct inner, ca_certs), NULL,
	    0, 0, NULL, NULL, 0, "Roots." },
	{ .name = NULL }
};

static const struct opt_row no_rows[] = { { .name = NULL } };

static int
check_all(void *values, opt_report *report, void *arg)
{
	const struct values *v = values;

	if (v->free_number != 13)
		return 0;
	report(arg, "free_number", "brings bad luck");
	return 1;
}

static const struct opt_group groups[] = {
	{ no_rows, 0 },
	{ rows, 0 },
	{ no_rows, 0 },
	{ inner_rows, AT(inner) },
	{ NULL, 0 }
};

static const struct opt_table table = {
	"test", groups, sizeof(struct values), check_all
};

static struct opts	*o;
static struct values	*v;
static char		 error[1024];

static void
fresh(void)
{
	opts_free(o);
	o = opts_new(&table);
	v = opts_values(o);
}

static void
takes(const char *name, const char *value)
{
	error[0] = '\0';
	ok(opts_set(o, name, value, OPTS_ONCE, error, sizeof(error)) == 0,
	    "%s = %.60s", name, value);
	is_str(error, "", "no error");
}

static void
refuses(const char *name, const char *value, const char *want)
{
	error[0] = '\0';
	ok(opts_set(o, name, value, OPTS_ONCE, error, sizeof(error)) == -1,
	    "%.60s = %.60s is refused", name, value);
	is_str(error, want, "and why");
}

static void
test_defaults(void)
{
	fresh();
	is_str(v->host, NULL, "no default");
	is_str(v->ehlo, "localhost", "string");
	ok(v->pipelining, "bool");
	is_int(v->connect_timeout, 30000, "time");
	is_int(v->spool, 65536, "size");
	is_int(v->free_number, 0, "number without a default");
	is_int(v->tls_mode, TLS_MAY, "enum");
	is_int(v->resolver.n, 2, "list");
	is_str(v->resolver.v[1], "::1", "its element");
	ok(v->resolver.v[2] == NULL, "its end");
	is_int(v->force_mx.n, 2, "dictionary");
	is_str(v->force_mx.v[1].key, "c", "its key");
	is_str(v->force_mx.v[1].value, "d", "its value");
	is_int(v->inner.port, 25, "row of another group");
	ok(!opts_is_set(o, "port") && !opts_is_set(o, "force_mx.a") &&
	    !opts_is_set(o, "nonsense"), "none of them is set");
}

static void
test_names(void)
{
	fresh();
	takes("ehlo-name", "a");
	is_str(v->ehlo, "a", "- for _");
	ok(opts_is_set(o, "ehlo_name"), "is set");
	refuses("Port", "1", "Port: unknown option; did you mean port?");
	refuses("conect_timeout", "1s", "conect_timeout: unknown option; did "
	    "you mean connect_timeout?");
	refuses("prot", "1", "prot: unknown option; did you mean port?");
	refuses("forcemx.example.net", "1", "forcemx.example.net: unknown "
	    "option; did you mean force_mx.KEY?");
	refuses("tracee", "1", "tracee: unknown option");
	refuses("xyzzy\n\x01", "1", "xyzzy\\n\\x01: unknown option");
	refuses("", "1", ": unknown option");
	refuses("0123456789012345678901234567890123456789012345678901234567890"
	    "123456789", "1", "012345678901234567890123456789012345678901234567"
	    "890123456789...: unknown option");
	refuses("trace", "1", "trace: only for the command line");
	ok(opts_set(o, "trace", "1", OPTS_LAST, error, sizeof(error)) == 0,
	    "taken there");
	ok(opts_set(o, "tracee", "1", OPTS_LAST, error, sizeof(error)) == -1,
	    "misspelt there");
	is_str(error, "tracee: unknown option; did you mean trace?", "and why");
}

static void
test_again(void)
{
	fresh();
	takes("port", "26");
	refuses("port", "27", "port: given twice");
	is_int(v->inner.port, 26, "the first one stays");
	ok(opts_set(o, "port", "28", OPTS_LAST, error, sizeof(error)) == 0,
	    "the last one on a command line");
	is_int(v->inner.port, 28, "wins");
	refuses("host", "a b", "host: \"a b\" has a space in it");
	takes("host", "a");
	memset(error, 'x', sizeof(error));
	ok(opts_set(o, "host", "b", OPTS_ONCE, error, 8) == -1,
	    "little room for an error");
	is_str(error, "host: g", "is kept to");
}

static void
test_strings(void)
{
	fresh();
	takes("host", "");
	is_str(v->host, "", "empty is not unset");
	takes("ehlo_name", "a\n  b\n\t c");
	is_str(v->ehlo, "abc", "lines put together");
	refuses("password", "my secret", "password: the value has a space in "
	    "it");
	refuses("password", "a\x01", "password: the value has a control "
	    "character in it");
	takes("tls.ca-certs", "/x");
	is_str(v->inner.ca_certs, "/x", "name with a dot");
	is_int(v->tls.n, 0, "wins over the dictionary");
}

static void
test_long_value(void)
{
	char *text = malloc(65538);

	memset(text, 'x', 65537);
	text[65537] = '\0';
	fresh();
	refuses("host", text, "host: longer than 65536 bytes");
	text[65536] = '\0';
	takes("host", text);
	is_int(strlen(v->host), 65536, "64 KiB");
	text[0] = ' ';
	refuses("ehlo_name", text, "ehlo_name: \" xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" has a space in it");
	free(text);
	refuses("ehlo_name", "\t \xff\"", "ehlo_name: \"\\t \\xFF\"\" has a "
	    "space in it");
}

static void
test_files(void)
{
	char path[] = "/tmp/test_option.XXXXXX";
	int  fd = mkstemp(path);

	fresh();
	is_str(v->file, "/nonexistent/default", "a default is not looked for");
	refuses("file", "/nonexistent", "file: \"/nonexistent\" cannot be "
	    "read: No such file or directory");
	refuses("file", "/", "file: \"/\" cannot be read: Is a "
	    "directory");
	takes("file", path);
	fresh();
	takes("file", "");
	close(fd);
	unlink(path);
}

static void
test_numbers(void)
{
	fresh();
	refuses("port", "70000", "port: 70000 is out of range (1..65535)");
	refuses("port", "0", "port: 0 is out of range (1..65535)");
	refuses("port", "x", "port: \"x\" is not a number");
	refuses("port", "", "port: \"\" is not a number");
	refuses("port", "0x19", "port: \"0x19\" is not a number");
	refuses("port", "+25", "port: \"+25\" is not a number");
	refuses("port", "25 ", "port: \"25 \" is not a number");
	refuses("port", "99999999999999999999",
	    "port: \"99999999999999999999\" is not a number");
	takes("port", "65535");
	takes("free_number", "-9223372036854775808");
	is_int(v->free_number, INT64_MIN, "no bound but the type's");
	refuses("connect_timeout", "abc", "connect_timeout: \"abc\" is not a "
	    "time (a number with ms, s, m, h or d)");
	refuses("connect_timeout", "2d", "connect_timeout: 2d is out of range "
	    "(1s..2h)");
	refuses("connect_timeout", "999ms", "connect_timeout: 999ms is out of "
	    "range (1s..2h)");
	takes("connect_timeout", "1.5");
	is_int(v->connect_timeout, 1500, "fraction");
	refuses("spool", "1T", "spool: \"1T\" is not a size (a number of "
	    "bytes, or with k, M or G)");
	refuses("spool", "0", "spool: 0 is out of range (at least 1)");
	takes("spool", "2G");
	is_int(v->spool, 2LL << 30, "size");
}

static void
test_words(void)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "YES" };
	static const char *const no[] = { "no", "false", "off", "0", "Off" };

	for (size_t i = 0; i < 5; i++) {
		fresh();
		takes("pipelining", no[i]);
		ok(!v->pipelining, "is no");
		fresh();
		takes("pipelining", yes[i]);
		ok(v->pipelining, "is yes");
	}
	fresh();
	refuses("pipelining", "2", "pipelining: \"2\" is neither yes nor no");
	refuses("pipelining", "", "pipelining: \"\" is neither yes nor no");
	refuses("tls_mode", "foo", "tls_mode: \"foo\" is none of none, may, "
	    "require");
	refuses("tls_mode", "", "tls_mode: \"\" is none of none, may, require");
	takes("tls_mode", "Encrypt");
	is_int(v->tls_mode, TLS_REQUIRE, "an alias");
}

static void
is_list(const struct opt_list *list, const char *want, const char *name)
{
	char got[256] = "";

	for (size_t i = 0; i < list->n; i++) {
		strlcat(got, list->v[i], sizeof(got));
		strlcat(got, "|", sizeof(got));
	}
	is_str(got, want, "%s", name);
	ok(list->v == NULL || list->v[list->n] == NULL, "ends in NULL");
}

static void
test_lists(void)
{
	fresh();
	refuses("resolver", "a,,b", "resolver: empty element");
	refuses("resolver", "a,", "resolver: empty element");
	refuses("resolver", ",a", "resolver: empty element");
	refuses("resolver", "a\n,", "resolver: empty element");
	refuses("resolver", "a, b c", "resolver: \"b c\" has a space in it");
	refuses("resolver", "a,b,c,d", "resolver: more than 3 given");
	is_list(&v->resolver, "127.0.0.1|::1|", "the default stays");
	takes("resolver", " a ,\n\tb");
	is_list(&v->resolver, "a|b|", "lines, commas");
	takes("resolver", "c");
	is_list(&v->resolver, "a|b|c|", "further ones add");
	refuses("resolver", "d", "resolver: more than 3 given");
	is_list(&v->resolver, "a|b|c|", "and not too many");
	fresh();
	takes("resolver", "");
	is_int(v->resolver.n, 0, "emptied");
	ok(opts_is_set(o, "resolver"), "which is set");
	refuses("methods", "plain, foo", "methods: \"foo\" is none of plain, "
	    "login");
	takes("methods", "plain\nlogin");
	is_list(&v->methods, "plain|login|", "words");
}

static void
test_argv(void)
{
	fresh();
	takes("args", "sh -c \"a ; b\"");
	is_list(&v->args, "sh|-c|a ; b|", "quotes");
	refuses("args", "'a", "args: \"'a\" has a quote that is not closed");
	refuses("args", "c d e", "args: more than 5 given");
	takes("args", "d");
	is_list(&v->args, "sh|-c|a ; b|d|", "added");
	fresh();
	takes("args", "a\nb\tc");
	is_list(&v->args, "a|b|c|", "lines");
}

static void
is_dict(const struct opt_dict *dict, const char *want, const char *name)
{
	char got[256] = "";

	for (size_t i = 0; i < dict->n; i++) {
		strlcat(got, dict->v[i].key, sizeof(got));
		strlcat(got, "=", sizeof(got));
		strlcat(got, dict->v[i].value, sizeof(got));
		strlcat(got, "|", sizeof(got));
	}
	is_str(got, want, "%s", name);
}

static void
test_dicts(void)
{
	fresh();
	takes("force-mx.Ex-am_ple.net", "x\n  y");
	is_dict(&v->force_mx, "Ex-am_ple.net=x y|", "in place of the default");
	ok(opts_is_set(o, "force_mx.Ex-am_ple.net") &&
	    !opts_is_set(o, "force_mx.a"), "set by key");
	refuses("force_mx.Ex-am_ple.net", "z", "force_mx.Ex-am_ple.net: given "
	    "twice");
	takes("force_mx", "k = v = w\n\n l=");
	is_dict(&v->force_mx, "Ex-am_ple.net=x y|k=v = w|l=|", "by lines");
	refuses("force_mx.m", "z", "force_mx: more than 3 given");
	ok(opts_set(o, "force_mx.k", "z", OPTS_LAST, error,
	    sizeof(error)) == 0, "a key again on a command line");
	is_dict(&v->force_mx, "Ex-am_ple.net=x y|k=z|l=|", "is replaced");
	fresh();
	refuses("force_mx", "k = v\nw", "force_mx: the key is missing: "
	    "force_mx.KEY");
	refuses("force_mx", "k = v\nk = w", "force_mx.k: given twice");
	refuses("force_mx.", "v", "force_mx: the key is missing: force_mx.KEY");
	refuses("force_mx.a\nb", "v", "force_mx.a\\nb: the key is too long or "
	    "has a control character in it");
	is_dict(&v->force_mx, "a=b|c=d|", "the default stays");
	refuses("credentials.usernam", "x", "credentials: key usernam is none "
	    "of username, password");
	takes("credentials.username", "x");
	refuses("tls.a", "b c", "tls.a: \"b c\" has a space in it");
	refuses("tls", "a = b\nca-certs = /x", "tls: tls.ca_certs is an option "
	    "by itself");
	takes("tls", "");
	ok(opts_is_set(o, "tls") && v->tls.n == 0, "empty, but set");
}

static void
on_fault(void *arg, const char *name, const char *text)
{
	strlcat(arg, name, 256);
	strlcat(arg, ": ", 256);
	strlcat(arg, text, 256);
	strlcat(arg, "\n", 256);
}

static void
test_finish(void)
{
	char text[256] = "";

	fresh();
	takes("methods", "");
	takes("free_number", "13");
	is_int(opts_finish(o, on_fault, text), 3, "faults");
	is_str(text, "host: required, but not given\n"
	    "methods: at least 1 needed\nfree_number: brings bad luck\n",
	    "what they are");
	fresh();
	takes("host", "a");
	is_int(opts_finish(o, on_fault, text), 0, "no fault");
}

static void
parses_time(const char *text, int64_t want)
{
	int64_t ms = -1;

	opt_parse_time(text, &ms);
	is_int(ms, want, "time %s", text);
}

static void
parses_size(const char *text, int64_t want)
{
	int64_t bytes = -1;

	opt_parse_size(text, &bytes);
	is_int(bytes, want, "size %s", text);
}

static void
test_parsers(void)
{
	static const char *const bad_times[] = { "", "s", "-1", "1.", ".5",
	    "1.5.5", "1 s", "1w", "1S", "9223372036854775807s",
	    "99999999999999999999", "1.0000000001", "106751991168d", "+1" };
	static const char *const bad_sizes[] = { "", "k", "-1", "1.5k", "1kk",
	    "1T", "9223372036854775808", "9007199254740992k" };

	parses_time("30", 30000);
	parses_time("1.5", 1500);
	parses_time("500ms", 500);
	parses_time("10s", 10000);
	parses_time("5m", 300000);
	parses_time("2h", 7200000);
	parses_time("1d", 86400000);
	parses_time("0.5d", 43200000);
	parses_time("0.0001", 1);
	parses_time("0", 0);
	parses_time("9223372036854775807ms", INT64_MAX);
	for (size_t i = 0; i < sizeof(bad_times) / sizeof(*bad_times); i++)
		parses_time(bad_times[i], -1);
	parses_size("0", 0);
	parses_size("64k", 65536);
	parses_size("64K", 65536);
	parses_size("10M", 10485760);
	parses_size("1G", 1073741824);
	parses_size("9223372036854775807", INT64_MAX);
	for (size_t i = 0; i < sizeof(bad_sizes) / sizeof(*bad_sizes); i++)
		parses_size(bad_sizes[i], -1);
}

static void
splits(const char *text, const char *want)
{
	struct opt_list list;

	ok(opt_split_words(text, &list) == 0, "splits %s", text);
	is_list(&list, want, "words");
	opt_list_clear(&list);
}

static void
test_split(void)
{
	struct opt_list list;

	splits("", "");
	splits(" \t\n", "");
	splits("a  b", "a|b|");
	splits("a'b c'd\"e f\"", "ab cde f|");
	splits("'' \"\"", "||");
	splits("'a\\b' \"a\\b\" \"\\\\ \\\"\" a\\ b", "a\\b|a\\b|\\ \"|a b|");
	splits("\"it's\" '\"'", "it's|\"|");
	ok(opt_split_words("a \"b", &list) == -1 && list.v == NULL, "open");
	ok(opt_split_words("a 'b", &list) == -1, "open");
	ok(opt_split_words("a \\", &list) == -1, "backslash at the end");
}

static void
on_value(void *arg, const char *name, const char *value, bool is_default)
{
	fprintf(arg, "%s%s=%s\n", is_default ? "" : "*", name,
	    value == NULL ? "(null)" : value);
}

static char *
each_text(void)
{
	char	*text;
	size_t	 n;
	FILE	*to = open_memstream(&text, &n);

	opts_each(o, on_value, to);
	fclose(to);
	return text;
}

static void
test_each(void)
{
	char *text;

	fresh();
	text = each_text();
	is_str(text, "host=(null)\nehlo_name=localhost\npassword=(null)\n"
	    "file=/nonexistent/default\npipelining=yes\n"
	    "connect_timeout=30s\nspool=64k\nfree_number=(null)\n"
	    "tls_mode=may\nresolver=127.0.0.1\nresolver=::1\n"
	    "methods=(null)\nargs=(null)\nforce_mx.a=b\nforce_mx.c=d\n"
	    "credentials=(null)\ntls=(null)\ntrace=(null)\nport=25\n"
	    "tls.ca_certs=(null)\n", "defaults");
	free(text);
	takes("password", "x");
	takes("connect_timeout", "5400");
	takes("free_number", "0");
	takes("tls_mode", "encrypt");
	takes("resolver", "");
	takes("args", "sh -c 'a \"b\\' \"\" c#d");
	takes("credentials.username", "u");
	text = each_text();
	is_str(text, "host=(null)\nehlo_name=localhost\n*password=(hidden)\n"
	    "file=/nonexistent/default\npipelining=yes\n"
	    "*connect_timeout=90m\nspool=64k\n*free_number=0\n"
	    "*tls_mode=require\n*resolver=\nmethods=(null)\n"
	    "*args=sh -c \"a \\\"b\\\\\" \"\" \"c#d\"\nforce_mx.a=b\n"
	    "force_mx.c=d\n*credentials.username=(hidden)\ntls=(null)\n"
	    "trace=(null)\nport=25\ntls.ca_certs=(null)\n", "what is set");
	free(text);
}

static char *
capture(const struct opt_table *of,
    void (*print)(const struct opt_table *, FILE *))
{
	char	*text;
	size_t	 n;
	FILE	*to = open_memstream(&text, &n);

	print(of, to);
	fclose(to);
	return text;
}

static char *
table_text(void (*print)(const struct opt_table *, FILE *))
{
	return capture(&table, print);
}

static void
has(const char *text, const char *part)
{
	if (!ok(strstr(text, part) != NULL, "has %.60s", part))
		printf("# %s\n", part);
}

static size_t
longest_line(const char *text)
{
	size_t n, max = 0;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		max = n > max ? n : max;
	}
	return max;
}

static void
test_help(void)
{
	char *text = table_text(opt_table_help);

	has(text, "  host=TEXT\n        The host. Required.\n");
	has(text, "  pipelining=yes|no\n        Whether. Default yes.\n");
	has(text, "  connect_timeout=TIME\n        How long. Range 1s..2h. "
	    "Default 30s.\n");
	has(text, "  spool=SIZE\n        How much. Must be at least 1. "
	    "Default 64k.\n");
	has(text, "  tls_mode=none|may|require\n        Encryption. Default "
	    "may.\n          none: Never.\n");
	has(text, "  resolver=LIST\n        Servers. At most 3. Default "
	    "127.0.0.1, ::1.\n");
	has(text, "  methods=LIST\n        Methods. At least 1. Elements: "
	    "plain, login.\n");
	has(text, "  args=COMMAND\n");
	has(text, "  credentials.KEY=TEXT\n        Who. Keys: username, "
	    "password.\n");
	has(text, "  force_mx.KEY=TEXT\n");
	has(text, "  file=FILE\n");
	ok(longest_line(text) < 80, "at most 79 columns");
	free(text);
}

static void
test_sample(void)
{
	char *text = table_text(opt_table_sample);

	has(text, "# The host. Required.\n#host =\n\n# The name");
	has(text, "\n#connect_timeout = 30s\n");
	has(text, "# The port. Range 1..65535.\n#port = 25\n");
	has(text, "# Encryption.\n#   none: Never.\n");
	has(text, "\n#force_mx = a = b\n#\tc = d\n");
	has(text, "\n#credentials.KEY =\n");
	ok(strstr(text, "trace") == NULL, "nothing for the command line alone");
	ok(longest_line(text) < 80, "at most 79 columns");
	free(text);
}

/* Defaults, taken from the sample into the file, are the defaults. */
static void
test_sample_back(void)
{
	char			*text = table_text(opt_table_sample), *p;
	char			*before, *after;
	struct conf		*conf;
	struct conf_entry	*e;
	FILE			*to;
	size_t			 n;

	to = open_memstream(&after, &n);
	fputs("[a]\n", to);
	for (p = strtok(text, "\n"); p != NULL; p = strtok(NULL, "\n"))
		fprintf(to, "%s\n", p + (p[1] != ' '));
	fclose(to);
	conf = conf_read_mem("sample", after, n);
	free(after);
	is_int(conf->nfaults, 0, "the sample is a configuration");

	fresh();
	before = each_text();
	STAILQ_FOREACH(e, &STAILQ_FIRST(&conf->sections)->entries, next)
		/* Not looked for as a default, but as a file given. */
		if (*e->value != '\0' && strcmp(e->key, "file") != 0)
			takes(e->key, e->value);
	after = each_text();
	for (p = after; (p = strchr(p, '*')) != NULL; )
		memmove(p, p + 1, strlen(p));
	is_str(after, before, "of the defaults");
	free(text);
	free(before);
	free(after);
	conf_free(conf);
}

static void
test_mdoc(void)
{
	char *text = table_text(opt_table_mdoc);

	has(text, ".It Cm host Ns = Ns Ar text\nThe host.\nRequired.\n");
	has(text, "It is long enough to be wrapped, and has 'quotes', a \\e "
	    "and .dots in it; \\-o\nis for");
	has(text, ".It Cm tls_mode Ns = Ns Cm \\&none | \\&may | \\&require\n"
	    "Encryption.\nDefault may.\n.Bl -tag -width Ds -compact\n"
	    ".It Cm \\&none\nNever.\n");
	has(text, ".It Cm force_mx.\\& Ns Ar key Ns = Ns Ar text\n");
	has(text, ".It Cm pipelining Ns = Ns Cm \\&yes | \\&no\n");
	free(text);
}

/* ---- a table that takes any name ---- */

struct any {
	char		*factory;
	struct opt_dict	 rest;
};

static const struct opt_row any_rows[] = {
	{ .name = "NAME", .type = OPT_DICT, .flags = OPT_REST,
	    .offset = offsetof(struct any, rest), .text = "Whatever." },
	{ .name = "factory", .type = OPT_STRING, .flags = OPT_REQUIRED,
	    .offset = offsetof(struct any, factory), .text = "What." },
	{ .name = NULL }
};
static const struct opt_group any_groups[] = { { any_rows, 0 }, { NULL, 0 } };
static const struct opt_table any_table = {
	"any", any_groups, sizeof(struct any), NULL
};

static void
test_rest(void)
{
	struct opts *was = o;
	struct any *any;
	char *text;

	o = opts_new(&any_table);
	any = opts_values(o);
	takes("foo", "bar");
	takes("factory", "f");
	takes("tls.ca", "x\n\ty");
	takes("NAME", "z");
	is_str(any->factory, "f", "a row has its own");
	is_int(any->rest.n, 3, "the others are kept");
	is_str(any->rest.v[0].key, "foo", "in their order");
	is_str(any->rest.v[0].value, "bar", "as they stand");
	is_str(any->rest.v[1].key, "tls.ca", "dots and all");
	is_str(any->rest.v[1].value, "x y", "lines joined");
	is_str(any->rest.v[2].key, "NAME", "the row's name is none");
	refuses("foo", "2", "foo: given twice");
	refuses("a\nb", "2", "a\\nb: the key is too long or has a control "
	    "character in it");
	refuses("bar", "\x01", "bar: \"\\x01\" has a control character in "
	    "it");
	ok(opts_set(o, "foo", "3", OPTS_LAST, error, sizeof(error)) == 0 &&
	    strcmp(any->rest.v[0].value, "3") == 0, "the last wins by hand");
	text = each_text();
	is_str(text, "*foo=3\n*tls.ca=x y\n*NAME=z\n*factory=f\n",
	    "shown by their own names");
	free(text);
	opts_free(o);
	o = was;
	text = capture(&any_table, opt_table_sample);
	ok(strstr(text, "NAME") == NULL, "not in the sample");
	free(text);
	text = capture(&any_table, opt_table_mdoc);
	has(text, ".It Ar NAME Ns = Ns Ar text\nWhatever.\n");
	free(text);
	text = capture(&any_table, opt_table_help);
	has(text, "  NAME=TEXT\n");
	free(text);
}

static void
test_name_is(void)
{
	ok(opt_name_is("mail-timeout", "mail_timeout") &&
	    opt_name_is("mail_timeout", "mail-timeout") &&
	    opt_name_is("", ""), "- and _ are alike");
	ok(!opt_name_is("mail_timeout", "mail.timeout") &&
	    !opt_name_is("mail", "mail_timeout") &&
	    !opt_name_is("mail_timeout", "mail") && !opt_name_is("a", "A"),
	    "nothing else is");
	ok(opt_name_is_bytes("mail-timeout", "mail_timeouts", 12) &&
	    !opt_name_is_bytes("mail-timeout", "mail_timeouts", 13) &&
	    !opt_name_is_bytes("mail-timeout", "mail_timeouts", 11) &&
	    !opt_name_is_bytes("mail", "mail\0s", 6), "bytes of a length");
}

int
main(void)
{
	test_defaults();
	test_names();
	test_name_is();
	test_again();
	test_strings();
	test_long_value();
	test_files();
	test_numbers();
	test_words();
	test_lists();
	test_argv();
	test_dicts();
	test_rest();
	test_finish();
	test_parsers();
	test_split();
	test_each();
	test_help();
	test_sample();
	test_sample_back();
	test_mdoc();
	opts_free(o);
	opts_free(NULL);
	return done_testing();
}
