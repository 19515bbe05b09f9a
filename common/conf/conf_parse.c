/*
 * conf_parse.c - the lines of a configuration file.
 *
 * inih tells names from values.  What it would do silently is kept from it by
 * the line reader here: it cuts lines at its buffer's size and section names
 * at 49 bytes, drops sections without entries, knows no quotes when it looks
 * for comments, takes every indented line for a continuation, and names only
 * the first line it did not understand.  So the reader removes comments and
 * indentation, takes section headers for itself, and keeps track of the line
 * it has fed, for which inih then calls on_entry() or does not.
 */
#include "conf/conf_parse.h"

#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"

/*
 * Stand for `;` and `#` on their way through inih, so that it sees no comment
 * where there is none.  They cannot be in the file: control characters are
 * faults.
 */
#define MASK_SEMICOLON	'\001'
#define MASK_HASH	'\002'

#define TAB_COLUMNS	8

enum fed {
	FED_NOTHING,	/* nothing that on_entry() would be called for */
	FED_KEY,
	FED_MORE	/* a continuation */
};

struct reader {
	struct conf		*conf;
	const char		*at, *end;	/* not yet read */
	unsigned		 line;
	struct conf_section	*section;
	bool			 is_lost;	/* below a faulty header */
	struct conf_entry	*entry;		/* NULL: none, or faulty */
	int			 key_indent;	/* -1: no key yet */
	enum fed		 fed;		/* and on_entry() not yet called */
	const char		*text;		/* what was fed: comment and */
	size_t			 len;		/* white space removed */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Behind the closing quote of the one at s, or NULL. */
static const char *
quote_end(const char *s, const char *end)
{
	for (s++; s < end; s++) {
		if (*s == '\\')
			s++;
		else if (*s == '"')
			return s + 1;
	}
	return NULL;
}

/*
 * Where the comment of a line begins, or its end.  A quote that is not closed
 * in the same line is a character like any other.
 */
static const char *
comment_start(const char *s, const char *end)
{
	const char *start = s, *closed;

	while (s < end) {
		if ((*s == '#' || *s == ';') &&
		    (s == start || is_blank(s[-1])))
			break;
		if (*s == '\\' && end - s > 1)
			s += 2;
		else if (*s == '"' && (closed = quote_end(s, end)) != NULL)
			s = closed;
		else
			s++;
	}
	return s;
}

static const char *
find_control(const char *s, const char *end)
{
	for (; s < end; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == '\x7f')
			return s;
	return NULL;
}

/* The next line without its end, or false. */
static bool
next_line(struct reader *r, const char **start_r, const char **end_r)
{
	const char *lf;

	if (r->at == r->end)
		return false;
	if (r->line == CONF_LINES_MAX) {
		conf_fault(r->conf, r->line + 1, NULL, NULL,
		    "more than %d lines", CONF_LINES_MAX);
		r->at = r->end;
		return false;
	}
	r->line++;
	lf = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*start_r = r->at;
	*end_r = lf == NULL ? r->end : lf;
	r->at = lf == NULL ? r->end : lf + 1;
	if (*end_r > *start_r && (*end_r)[-1] == '\r')
		(*end_r)--;
	return true;
}

/* The entry that inih did not find in the line it was fed. */
static void
settle(struct reader *r)
{
	char shown[64];

	if (r->fed != FED_NOTHING) {
		str_escape(shown, sizeof(shown), r->text, r->len);
		conf_fault(r->conf, r->line, r->section, NULL,
		    "\"%s\" is neither [section] nor key = value", shown);
	}
	r->fed = FED_NOTHING;
}

/* What is below a header that was not understood belongs to no section. */
static void
lose_section(struct reader *r)
{
	r->section = NULL;
	r->is_lost = true;
	r->entry = NULL;
	r->key_indent = -1;
}

static void
add_section(struct reader *r, char *type, char *name)
{
	struct conf_section *s;

	STAILQ_FOREACH(s, &r->conf->sections, next)
		if (strcmp(s->type, type) == 0 && strcmp(s->name, name) == 0)
			break;
	if (s != NULL)
		conf_fault(r->conf, r->line, s, NULL,
		    "given twice, first in line %u", s->line);
	s = xcalloc(1, sizeof(*s));
	s->type = type;
	s->name = name;
	s->line = r->line;
	STAILQ_INIT(&s->entries);
	STAILQ_INSERT_TAIL(&r->conf->sections, s, next);
	r->section = s;
	r->is_lost = false;
	r->entry = NULL;
	r->key_indent = -1;
}

/* The next word of a header; NULL at its end. */
static char *
header_word(const char **s, const char *end)
{
	const char	*start;
	char		*word;

	while (*s < end && is_blank(**s))
		(*s)++;
	for (start = *s; *s < end && !is_blank(**s); (*s)++)
		continue;
	if (*s == start)
		return NULL;
	word = xcalloc(1, (size_t)(*s - start) + 1);
	memcpy(word, start, (size_t)(*s - start));
	return word;
}

/* The rest of a header without blanks around it: names are free-form. */
static char *
header_rest(const char *s, const char *end)
{
	char *rest;

	while (s < end && is_blank(*s))
		s++;
	while (end > s && is_blank(end[-1]))
		end--;
	rest = xcalloc(1, (size_t)(end - s) + 1);
	memcpy(rest, s, (size_t)(end - s));
	return rest;
}

/* `[type]` or `[type name]`. */
static void
take_header(struct reader *r)
{
	const char	*s = r->text + 1, *end = r->text + r->len, *close;
	char		*type;

	close = memchr(s, ']', (size_t)(end - s));
	if (close == NULL || close + 1 != end) {
		conf_fault(r->conf, r->line, NULL, NULL, close == NULL ?
		    "\"[\" without \"]\"" : "text behind \"]\"");
		lose_section(r);
		return;
	}
	if ((type = header_word(&s, close)) == NULL) {
		conf_fault(r->conf, r->line, NULL, NULL,
		    "section without a type");
		lose_section(r);
	} else
		add_section(r, type, header_rest(s, close));
}

/* False, and a fault: the line must not reach inih. */
static bool
is_fit(struct reader *r, const char *control, size_t len_max)
{
	if (control != NULL)
		conf_fault(r->conf, r->line, r->section, NULL,
		    "control character \\x%02X", (unsigned char)*control);
	else if (r->len > len_max)
		conf_fault(r->conf, r->line, r->section, NULL,
		    "line longer than %zu bytes; go on in the next line with "
		    "leading white space", len_max);
	else
		return true;
	return false;
}

/*
 * Finds out what the line in r->text is: fed says whether and as what inih
 * gets it.
 */
static void
take_line(struct reader *r, int indent, const char *control, size_t len_max)
{
	bool is_more, fits;

	if (r->len == 0 && control == NULL)
		return;
	is_more = r->key_indent >= 0 && indent > r->key_indent;
	fits = is_fit(r, control, len_max);
	if (is_more) {
		if (fits && r->entry != NULL)
			r->fed = FED_MORE;
	} else if (r->len > 0 && r->text[0] == '[') {
		if (fits)
			take_header(r);
		else
			lose_section(r);
	} else {
		r->entry = NULL;
		r->key_indent = indent;
		if (fits)
			r->fed = FED_KEY;
	}
}

/* The line in the form that inih takes as what it is, into its buffer. */
static void
feed(const struct reader *r, char *to)
{
	size_t i;

	if (r->fed == FED_MORE)
		*to++ = '\t';
	for (i = 0; r->fed != FED_NOTHING && i < r->len; i++)
		*to++ = r->text[i] == ';' ? MASK_SEMICOLON :
		    r->text[i] == '#' ? MASK_HASH : r->text[i];
	*to++ = '\n';
	*to = '\0';
}

/* ini_parse_stream()'s reader: like fgets(). */
static char *
read_line(char *to, int size, void *arg)
{
	struct reader	*r = arg;
	const char	*s, *end, *control;
	int		 indent = 0;

	settle(r);
	if (!next_line(r, &s, &end))
		return NULL;
	if (r->line == 1 && end - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		s += 3;
	control = find_control(s, end);
	for (; s < end && is_blank(*s); s++)
		indent = *s == ' ' ? indent + 1 :
		    (indent / TAB_COLUMNS + 1) * TAB_COLUMNS;
	end = comment_start(s, end);
	while (end > s && is_blank(end[-1]))
		end--;
	r->text = s;
	r->len = (size_t)(end - s);
	/* Room for the mark of a continuation, LF and NUL. */
	take_line(r, indent, control, (size_t)size - 3);
	feed(r, to);
	return to;
}

static char *
unmasked(const char *s)
{
	char *copy, *p;

	copy = xstrdup(s);
	for (p = copy; *p != '\0'; p++)
		*p = *p == MASK_SEMICOLON ? ';' : *p == MASK_HASH ? '#' : *p;
	return copy;
}

static void
add_entry(struct reader *r, const char *key, const char *value)
{
	struct conf_entry *e;

	e = xcalloc(1, sizeof(*e));
	e->key = unmasked(key);
	e->value = unmasked(value);
	e->line = r->line;
	STAILQ_INSERT_TAIL(&r->section->entries, e, next);
	r->entry = e;
}

static void
add_value(struct reader *r, const char *value)
{
	struct conf_entry	*e = r->entry;
	size_t			 len = strlen(e->value), n = strlen(value);
	char			*more;

	if (len + n + 1 > CONF_VALUE_MAX) {
		conf_fault(r->conf, r->line, r->section, e->key,
		    "longer than %d bytes", CONF_VALUE_MAX);
		r->entry = NULL;
		return;
	}
	more = unmasked(value);
	e->value = xrealloc(e->value, len + n + 2);
	if (len > 0)
		e->value[len++] = '\n';
	memcpy(e->value + len, more, n + 1);
	free(more);
}

/* ini_parse_stream()'s handler; it knows the section already. */
static int
on_entry(void *arg, const char *section, const char *key, const char *value)
{
	struct reader	*r = arg;
	enum fed	 fed = r->fed;

	(void)section;
	/* An inih built to allow keys alone says so; settle() does the rest. */
	if (key == NULL || value == NULL)
		return 1;
	r->fed = FED_NOTHING;
	if (fed == FED_MORE)
		add_value(r, value);
	else if (r->section == NULL && !r->is_lost)
		conf_fault(r->conf, r->line, NULL, NULL,
		    "key = value before the first [section]");
	else if (*key == '\0')
		conf_fault(r->conf, r->line, r->section, NULL,
		    "no key before \"=\"");
	else if (r->section != NULL)
		add_entry(r, key, value);
	return 1;
}

void
conf_parse(struct conf *conf, const void *data, size_t n)
{
	struct reader r = {
		.conf = conf,
		.at = data,
		.key_indent = -1,
	};

	if (n == 0)
		return;
	r.end = r.at + n;
	/* Every line it refuses has its fault by settle(). */
	(void)ini_parse_stream(read_line, &r, on_entry, &r);
	settle(&r);
}
