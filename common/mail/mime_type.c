/*
 * mime_type.c - the values of MIME's header fields: RFC 2045 §5.1 and §6.1.
 *
 * Read as others do who get them: what cannot be read is passed over, and a
 * boundary may lack the quotes it needs.
 */
#include "mail/mime.h"

#include <string.h>

#include "base/str.h"

struct cursor {
	const char *p, *end;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A nested comment, RFC 5322 §3.2.2. */
static void
skip_comment(struct cursor *c)
{
	unsigned depth = 0;

	for (; c->p < c->end; c->p++) {
		if (*c->p == '\\' && c->p + 1 < c->end)
			c->p++;
		else if (*c->p == '(')
			depth++;
		else if (*c->p == ')' && --depth == 0)
			break;
	}
	if (c->p < c->end)
		c->p++;
}

static void
skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (is_blank(*c->p) || *c->p == '('))
		if (*c->p == '(')
			skip_comment(c);
		else
			c->p++;
}

static bool
skip_char(struct cursor *c, char want)
{
	skip_blanks(c);
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	skip_blanks(c);
	return true;
}

/* RFC 2045 §5.1 */
static bool
is_token_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* A token in lower case, cut to size; returns how long it really is. */
static size_t
token(struct cursor *c, char *to, size_t size)
{
	size_t n = 0;

	skip_blanks(c);
	for (; c->p < c->end && is_token_char(*c->p); c->p++, n++)
		if (n + 1 < size)
			to[n] = *c->p;
	to[n < size ? n : size - 1] = '\0';
	str_lower(to);
	return n;
}

/*
 * A value: quoted, or all up to a blank, comment or semicolon, for many a
 * boundary lacks the quotes it needs.  Length as above.
 */
static size_t
value(struct cursor *c, char *to, size_t size)
{
	bool	is_quoted = c->p < c->end && *c->p == '"';
	size_t	n = 0;

	for (c->p += is_quoted ? 1 : 0; c->p < c->end; c->p++) {
		if (is_quoted ? *c->p == '"' :
		    is_blank(*c->p) || *c->p == ';' || *c->p == '(')
			break;
		if (is_quoted && (*c->p == '\r' || *c->p == '\n'))
			continue;
		if (is_quoted && *c->p == '\\' && c->p + 1 < c->end)
			c->p++;
		if (n + 1 < size)
			to[n] = *c->p;
		n++;
	}
	if (is_quoted && c->p < c->end)
		c->p++;
	to[n < size ? n : size - 1] = '\0';
	return n;
}

/* To the next parameter, past what cannot be read. */
static void
skip_parameter(struct cursor *c)
{
	char none[1];

	while (c->p < c->end && *c->p != ';') {
		if (*c->p == '"')
			value(c, none, sizeof(none));
		else if (*c->p == '(')
			skip_comment(c);
		else
			c->p++;
	}
}

/* A boundary that can be compared with lines of 7-bit text. */
static bool
is_boundary(char *s, size_t n)
{
	if (n > MIME_BOUNDARY_MAX)
		return false;
	while (n > 0 && is_blank(s[n - 1]))
		s[--n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)s[i] < ' ' || (uint8_t)s[i] >= 0x7f)
			return false;
	return n > 0;
}

/* A boundary in pieces (RFC 2231 §3), which must come in order. */
struct sections {
	char	 text[MIME_BOUNDARY_MAX + 2];
	size_t	 len;
	unsigned n;
};

static void
add_section(struct sections *s, const char *number, const char *text,
    size_t n)
{
	if (number[0] != (char)('0' + s->n) || number[1] != '\0' || s->n > 9)
		return;
	s->n++;
	if (n < sizeof(s->text) - s->len)
		memcpy(s->text + s->len, text, n);
	s->len += n < sizeof(s->text) - s->len ? n :
	    sizeof(s->text) - 1 - s->len;
}

static void
parameter(struct mime_type *t, struct cursor *c, bool *has_boundary,
    struct sections *sections)
{
	char	name[16], text[MIME_BOUNDARY_MAX + 2];
	size_t	n;

	token(c, name, sizeof(name));
	if (!skip_char(c, '=')) {
		skip_parameter(c);
		return;
	}
	n = value(c, text, sizeof(text));
	if (strcmp(name, "boundary") == 0 && !*has_boundary) {
		*has_boundary = true;
		if (is_boundary(text, n))
			memcpy(t->boundary, text, strlen(text) + 1);
	} else if (strncmp(name, "boundary*", 9) == 0) {
		add_section(sections, name + 9, text, n);
	} else if (strcmp(name, "smime-type") == 0 && n < sizeof(t->smime)) {
		memcpy(t->smime, text, n + 1);
		str_lower(t->smime);
	}
	skip_parameter(c);
}

bool
mime_type_parse(struct mime_type *t, const char *p, size_t n)
{
	struct cursor	c = { .p = p, .end = p + n };
	struct sections	sections = { .n = 0 };
	char		sub[MIME_NAME_MAX + 1];
	bool		has_boundary = false;
	size_t		len, sub_len;

	*t = (struct mime_type){ .name = "text/plain" };
	len = token(&c, t->name, sizeof(t->name) / 2);
	if (len == 0 || !skip_char(&c, '/') ||
	    token(&c, sub, sizeof(sub)) == 0) {
		*t = (struct mime_type){ .name = "text/plain" };
		return false;
	}
	len = strlen(t->name);
	sub_len = strnlen(sub, MIME_NAME_MAX - 1 - len);
	t->name[len] = '/';
	memcpy(t->name + len + 1, sub, sub_len);
	t->name[len + 1 + sub_len] = '\0';
	skip_parameter(&c);
	while (skip_char(&c, ';'))
		parameter(t, &c, &has_boundary, &sections);
	sections.text[sections.len] = '\0';
	if (!has_boundary && is_boundary(sections.text, sections.len))
		memcpy(t->boundary, sections.text, sections.len + 1);
	return true;
}

enum mime_encoding
mime_encoding_parse(const char *p, size_t n)
{
	static const char *const names[] = {
		[MIME_UNSTATED] = "",
		[MIME_7BIT] = "7bit",
		[MIME_8BIT] = "8bit",
		[MIME_BINARY] = "binary",
		[MIME_QUOTED_PRINTABLE] = "quoted-printable",
		[MIME_BASE64] = "base64",
	};
	struct cursor	c = { .p = p, .end = p + n };
	char		word[32];

	token(&c, word, sizeof(word));
	skip_blanks(&c);
	if (c.p < c.end && *c.p != ';')
		return MIME_UNKNOWN;
	for (int e = 0; e < MIME_UNKNOWN; e++)
		if (strcmp(word, names[e]) == 0)
			return (enum mime_encoding)e;
	return MIME_UNKNOWN;
}
