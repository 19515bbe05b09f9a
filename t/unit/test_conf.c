/* The configuration file: what becomes an entry, and what a fault. */
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "test.h"

static struct conf *
read_text(const char *text)
{
	return conf_read_mem("t.conf", text, strlen(text));
}

/* All faults as they are printed. */
static char *
faults_of(const struct conf *conf)
{
	char	*text;
	size_t	 n;
	FILE	*to;

	to = open_memstream(&text, &n);
	conf_print_faults(conf, to);
	fclose(to);
	return text;
}

/* All entries: `TYPE/NAME KEY<VALUE>` in each line, LF as `|`. */
static char *
entries_of(const struct conf *conf)
{
	const struct conf_section	*s;
	const struct conf_entry		*e;
	char				*text, *p;
	size_t				 n;
	FILE				*to;

	to = open_memstream(&text, &n);
	STAILQ_FOREACH(s, &conf->sections, next) {
		fprintf(to, "%s/%s", s->type, s->name);
		STAILQ_FOREACH(e, &s->entries, next)
			fprintf(to, " %s<%s>", e->key, e->value);
		fprintf(to, "@");
	}
	fclose(to);
	for (p = text; *p != '\0'; p++)
		if (*p == '\n')
			*p = '|';
	return text;
}

static void
reads_as(const char *text, const char *want, const char *name)
{
	struct conf	*conf = read_text(text);
	char		*entries = entries_of(conf), *faults = faults_of(conf);

	is_str(entries, want, "%s", name);
	is_str(faults, "", "%s: no fault", name);
	free(entries);
	free(faults);
	conf_free(conf);
}

static void
faulty(const char *text, const char *want_faults, const char *want_entries,
    const char *name)
{
	struct conf	*conf = read_text(text);
	char		*entries = entries_of(conf), *faults = faults_of(conf);

	is_str(faults, want_faults, "%s", name);
	is_str(entries, want_entries, "%s: the rest", name);
	free(entries);
	free(faults);
	conf_free(conf);
}

static void
test_entries(void)
{
	reads_as("", "", "empty file");
	reads_as("[master]\nuser = nexthop\n[relay a]\ntype=mx\n",
	    "master/ user<nexthop>@relay/a type<mx>@", "sections");
	reads_as("[relay]\n[ relay  b ]\n[x y]\n", "relay/@relay/b@x/y@",
	    "headers without entries");
	reads_as("[a]\nk = v", "a/ k<v>@", "no line end at the end");
	reads_as("[a]", "a/@", "header without a line end");
	reads_as("[a]\r\nk = v\r\n  w\r\n", "a/ k<v|w>@", "CR LF");
	reads_as("\xef\xbb\xbf[a]\nk=v\n", "a/ k<v>@", "byte order mark");
	reads_as("[a]\nk: v\nl: a=b\nm = a:b\n", "a/ k<v> l<a=b> m<a:b>@",
	    "colon");
	reads_as("[a]\nk=1\nk = 2\n", "a/ k<1> k<2>@", "repeated key");
	reads_as("[a]\nk =\n", "a/ k<>@", "empty value");
	reads_as("[a]\nk = a\tb  c \t\n", "a/ k<a\tb  c>@",
	    "white space inside");
	reads_as("[relay 0123456789012345678901234567890123456789"
	    "01234567890123456789]\n0123456789012345678901234567890123456789"
	    "01234567890123456789 = v\n w\n",
	    "relay/012345678901234567890123456789012345678901234567890123456"
	    "789 012345678901234567890123456789012345678901234567890123456789"
	    "<v|w>@", "long names");
	reads_as("[a]\nk = \xc3\xa4 \xff\n", "a/ k<\xc3\xa4 \xff>@",
	    "bytes beyond ASCII");
}

static void
test_comments(void)
{
	reads_as("# c\n; c\n  # c\n[a] # c\nk = v # c\nl = v ; c\n",
	    "a/ k<v> l<v>@", "comments");
	reads_as("[a]\nk = a#b;c\n", "a/ k<a#b;c>@", "inside a word");
	reads_as("[a]\nk = #c\nl = ;c\nm =#c\n", "a/ k<> l<> m<#c>@",
	    "at the start of a value");
	reads_as("[a]\nk = sh -c \"a ; b # c\" ; d\n",
	    "a/ k<sh -c \"a ; b # c\">@", "in double quotes");
	reads_as("[a]\nk = \"a \\\" ; b\" # c\n", "a/ k<\"a \\\" ; b\">@",
	    "escaped quote in quotes");
	reads_as("[a]\nk = \\\"a ; b\"\n", "a/ k<\\\"a>@",
	    "escaped quote outside");
	reads_as("[a]\nk = 5\" ; b\n", "a/ k<5\">@", "quote not closed");
	reads_as("[a]\nk = 'a ; b'\n", "a/ k<'a>@", "single quotes");
	reads_as("[a]\nk = a\n  b ; c\n  # d\n  \"e ; f\"\n",
	    "a/ k<a|b|\"e ; f\">@", "in continuation lines");
}

static void
test_continuation(void)
{
	reads_as("[a]\nk = a\n b\n\tc\nl = d\n", "a/ k<a|b|c> l<d>@",
	    "continuation");
	reads_as("[a]\nk =\n a\n b\n", "a/ k<a|b>@", "from an empty value");
	reads_as("[a]\nk = a\n\n  # c\n b\n", "a/ k<a|b>@",
	    "over empty lines and comments");
	reads_as("[a]\nk = a\n l = b\n", "a/ k<a|l = b>@",
	    "what looks like an entry");
	reads_as("[a]\nk = a\n [::1]:25\n", "a/ k<a|[::1]:25>@",
	    "what looks like a header");
	reads_as("[a]\n  k = a\n  l = b\n    c\n  [b]\n  m = d\n",
	    "a/ k<a> l<b|c>@b/ m<d>@", "indented sections");
	reads_as("[a]\n\tk = a\n        l = b\n\t  c\n", "a/ k<a> l<b|c>@",
	    "tabs have 8 columns");
	reads_as("[a]\nk = a\n[b]\n  l = b\n", "a/ k<a>@b/ l<b>@",
	    "not over a header");
}

static void
test_faults(void)
{
	faulty("k = v\n[a]\n", "t.conf:1: key = value before the first "
	    "[section]\n", "a/@", "key outside a section");
	faulty("[a]\nfoo\nk = v\nbar\n",
	    "t.conf:2: [a] \"foo\" is neither [section] nor key = value\n"
	    "t.conf:4: [a] \"bar\" is neither [section] nor key = value\n",
	    "a/ k<v>@", "no equals sign");
	faulty("[a]\n= v\n", "t.conf:2: [a] no key before \"=\"\n", "a/@",
	    "no key");
	faulty("[a\nk = v\n[b]\nl = w\n", "t.conf:1: \"[\" without \"]\"\n",
	    "b/ l<w>@", "header not closed");
	faulty("[]\nk = v\n", "t.conf:1: section without a type\n", "",
	    "empty header");
	faulty("[a] b\n", "t.conf:1: text behind \"]\"\n", "",
	    "text behind a header");
	faulty("[relay x]\nk = 1\n[relay y]\n[relay x]\nk = 2\n",
	    "t.conf:4: [relay x] given twice, first in line 1\n",
	    "relay/x k<1>@relay/y@relay/x k<2>@", "section twice");
	faulty("[a]\nk = a\x01z\nl = b\n",
	    "t.conf:2: [a] control character \\x01\n", "a/ l<b>@",
	    "control character");
	faulty("[a]\rk = v\n", "t.conf:1: control character \\x0D\n", "",
	    "CR alone");
	faulty("[a\x02]\nk = v\n", "t.conf:1: control character \\x02\n", "",
	    "control character in a header");
}

static void
test_nul(void)
{
	static const char	 text[] = "[a]\nk = a\0b\n  c\nl = d\n";
	struct conf		*conf;
	char			*entries, *faults;

	conf = conf_read_mem("t.conf", text, sizeof(text) - 1);
	faults = faults_of(conf);
	entries = entries_of(conf);
	is_str(faults, "t.conf:2: [a] control character \\x00\n", "NUL");
	is_str(entries, "a/ l<d>@", "NUL: not half of it");
	free(entries);
	free(faults);
	conf_free(conf);
}

static void
test_long_lines(void)
{
	char text[1024], want[1024];

	snprintf(text, sizeof(text), "[a]\nk = %0193d\n", 1);
	snprintf(want, sizeof(want), "a/ k<%0193d>@", 1);
	reads_as(text, want, "197 bytes");
	snprintf(text, sizeof(text), "[a]\nk = a\n %0197d\n", 1);
	snprintf(want, sizeof(want), "a/ k<a|%0197d>@", 1);
	reads_as(text, want, "197 bytes of continuation");
	snprintf(text, sizeof(text), "[a]\n%20s = v # %0300d\n", "k", 1);
	reads_as(text, "a/ k<v>@", "comment and indentation do not count");
	snprintf(text, sizeof(text), "[a]\nk = %0194d\n  x\nl = v\n", 1);
	faulty(text, "t.conf:2: [a] line longer than 197 bytes; go on in the "
	    "next line with leading white space\n", "a/ l<v>@", "198 bytes");
	snprintf(text, sizeof(text), "[a]\nk = a\n  %0198d\n  b\n", 1);
	faulty(text, "t.conf:3: [a] line longer than 197 bytes; go on in the "
	    "next line with leading white space\n", "a/ k<a|b>@",
	    "198 bytes of continuation");
	snprintf(text, sizeof(text), "[a]\n[b %0198d]\nk = v\n", 1);
	faulty(text, "t.conf:2: [a] line longer than 197 bytes; go on in the "
	    "next line with leading white space\n", "a/@", "long header");
}

/* head, then n times line. */
static struct conf *
read_many(const char *head, const char *line, size_t n)
{
	struct conf	*conf;
	char		*text;
	size_t		 len;
	FILE		*to;

	to = open_memstream(&text, &len);
	fputs(head, to);
	while (n-- > 0)
		fputs(line, to);
	fclose(to);
	conf = conf_read_mem("t.conf", text, len);
	free(text);
	return conf;
}

static void
one_fault(struct conf *conf, const char *want, const char *name)
{
	char *faults = faults_of(conf);

	is_str(faults, want, "%s", name);
	free(faults);
	conf_free(conf);
}

static void
test_ceilings(void)
{
	char line[256];

	one_fault(read_many("[a]\n", "k = v\n", 9999), "", "10,000 lines");
	one_fault(read_many("[a]\n", "k = v\n", 20000),
	    "t.conf:10001: more than 10000 lines\n", "one line more");
	snprintf(line, sizeof(line), "# %0125d\n", 1);
	one_fault(read_many("", line, 8192), "", "1 MiB");
	one_fault(read_many("#", line, 8192),
	    "t.conf: larger than 1048576 bytes\n", "one byte more");
	snprintf(line, sizeof(line), "\t%0127d\n", 1);
	one_fault(read_many("[a]\nk =\n", line, 512), "", "64 KiB of value");
	one_fault(read_many("[a]\nk = x\n", line, 1000),
	    "t.conf:514: [a] k: longer than 65536 bytes\n", "beyond");
}

static void
test_fault_order(void)
{
	struct conf *conf = read_text("[a]\nk = v\nfoo\n");
	const struct conf_section *s = STAILQ_FIRST(&conf->sections);

	conf_fault(conf, 2, s, "k", "first %d", 1);
	conf_fault(conf, 0, NULL, NULL, "whole");
	conf_fault(conf, 2, s, NULL, "second");
	conf_fault(conf, 9, NULL, "z\x01", "last");
	is_int(conf->nfaults, 5, "faults counted");
	one_fault(conf, "t.conf: whole\n"
	    "t.conf:2: [a] k: first 1\n"
	    "t.conf:2: [a] second\n"
	    "t.conf:3: [a] \"foo\" is neither [section] nor key = value\n"
	    "t.conf:9: z\\x01: last\n", "by line, then as they came");
}

static void
test_files(void)
{
	char		 path[] = "/tmp/test_conf.XXXXXX";
	struct conf	*conf;
	char		*entries;
	int		 fd;

	one_fault(conf_read("/nonexistent/x.conf"),
	    "/nonexistent/x.conf: No such file or directory\n", "no file");
	one_fault(conf_read("/"), "/: Is a directory\n", "a directory");
	one_fault(conf_read("/dev/null"), "", "an empty file");
	one_fault(conf_read("/dev/zero"),
	    "/dev/zero: larger than 1048576 bytes\n", "a file without end");

	fd = mkstemp(path);
	ok(fd != -1 && write(fd, "[a]\nk = v\n", 10) == 10, "a file is made");
	close(fd);
	conf = conf_read(path);
	entries = entries_of(conf);
	is_str(entries, "a/ k<v>@", "a file is read");
	is_str(conf->path, path, "it keeps its name");
	free(entries);
	conf_free(conf);
	unlink(path);
	conf_free(NULL);
}

int
main(void)
{
	test_entries();
	test_comments();
	test_continuation();
	test_faults();
	test_nul();
	test_long_lines();
	test_ceilings();
	test_fault_order();
	test_files();
	return done_testing();
}
