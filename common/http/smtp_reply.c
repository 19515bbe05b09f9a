/* smtp_reply.c - the response headers that carry a delivery's reply. */
#include "http/smtp_reply.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

struct scan {
	const char	*p, *end;
};

/* A value being copied to where only so much of it fits. */
struct copy {
	char		*to;		/* NULL: nobody wants it */
	size_t		 len, max;
	bool		 is_cut;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 §5.6.2 */
static bool
is_tchar(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void
skip_ows(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

static bool
take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static size_t
take_token(struct scan *s, const char **token_r)
{
	*token_r = s->p;
	while (s->p < s->end && is_tchar(*s->p))
		s->p++;
	return (size_t)(s->p - *token_r);
}

/* ---- values ---- */

static void
copy_byte(struct copy *c, char byte)
{
	if (byte == '\t')
		byte = ' ';
	if (c->to == NULL || (unsigned char)byte < 0x20 || byte == 0x7f)
		return;
	if (c->len == c->max)
		c->is_cut = true;
	else
		c->to[c->len++] = byte;
}

/* A character that was cut in two at the end goes as a whole. */
static void
copy_finish(struct copy *c)
{
	size_t at = c->len, n;

	if (c->to == NULL)
		return;
	if (c->is_cut) {
		while (at > 0 && c->len - at < 4 && (c->to[at - 1] & 0xc0) ==
		    0x80)
			at--;
		n = c->len - at + 1;
		if (at > 0 && (c->to[at - 1] & 0xc0) == 0xc0 &&
		    !str_is_utf8(c->to + at - 1, n))
			c->len = at - 1;
	}
	c->to[c->len] = '\0';
}

/* RFC 9110 §5.6.4; the first quote is taken. */
static int
copy_quoted(struct scan *s, struct copy *c)
{
	char byte;

	while (s->p < s->end) {
		byte = *s->p++;
		if (byte == '"')
			return 0;
		if (byte == '\\') {
			if (s->p == s->end)
				return -1;
			byte = *s->p++;
		}
		copy_byte(c, byte);
	}
	return -1;
}

static int
copy_value(struct scan *s, struct copy *c)
{
	const char *token;
	size_t i, n;

	if (take(s, '"'))
		return copy_quoted(s, c);
	if ((n = take_token(s, &token)) == 0)
		return -1;
	for (i = 0; i < n; i++)
		copy_byte(c, token[i]);
	return 0;
}

static bool
is_name(const char *name, size_t n, const char *want)
{
	return strlen(want) == n && strncasecmp(name, want, n) == 0;
}

struct seen {
	bool		 message, command;
};

static int
take_parameter(struct scan *s, struct smtp_reply *r, struct seen *seen)
{
	struct copy c = { .to = NULL };
	const char *name;
	size_t n = take_token(s, &name);

	if (n == 0 || !take(s, '='))
		return -1;
	if (is_name(name, n, "message") && !seen->message) {
		seen->message = true;
		c.to = r->message;
		c.max = SMTP_REPLY_MESSAGE_MAX;
	} else if (is_name(name, n, "command") && !seen->command) {
		seen->command = true;
		c.to = r->command;
		c.max = SMTP_REPLY_COMMAND_MAX;
	}
	if (copy_value(s, &c) == -1)
		return -1;
	copy_finish(&c);
	return 0;
}

/* ---- the headers ---- */

static int
take_code(struct scan *s, uint16_t *code_r)
{
	if (s->end - s->p < 3 || !is_digit(s->p[0]) || !is_digit(s->p[1]) ||
	    !is_digit(s->p[2]) || strchr("245", s->p[0]) == NULL)
		return -1;
	*code_r = (uint16_t)((s->p[0] - '0') * 100 + (s->p[1] - '0') * 10 +
	    s->p[2] - '0');
	s->p += 3;
	/* 560 and beyond is no reply code of any dialogue. */
	return *code_r < 560 ? 0 : -1;
}

int
smtp_reply_parse(struct smtp_reply *r, const char *value, size_t n)
{
	struct scan s = { value, value + n };
	struct seen seen = { .message = false };

	r->message[0] = r->command[0] = '\0';
	skip_ows(&s);
	if (take_code(&s, &r->code) == -1)
		return -1;
	for (;;) {
		skip_ows(&s);
		if (s.p == s.end)
			return 0;
		if (!take(&s, ';'))
			return -1;
		skip_ows(&s);
		if (s.p < s.end && *s.p != ';' &&
		    take_parameter(&s, r, &seen) == -1)
			return -1;
	}
}

size_t
smtp_reply_whose(const char *value, size_t n, const char **who_r,
    const char **rest_r, size_t *rest_len_r)
{
	struct scan s = { value, value + n };
	const char *semicolon, *end;

	skip_ows(&s);
	if ((semicolon = memchr(s.p, ';', (size_t)(s.end - s.p))) == NULL)
		return 0;
	for (end = semicolon; end > s.p && (end[-1] == ' ' ||
	    end[-1] == '\t'); end--)
		;
	*who_r = s.p;
	*rest_r = semicolon + 1;
	*rest_len_r = (size_t)(s.end - semicolon) - 1;
	return (size_t)(end - s.p);
}

enum stage
smtp_reply_stage(const struct smtp_reply *r)
{
	static const struct {
		const char	*command;
		enum stage	 stage;
	} rows[] = {
		{ "[CONNECT]", STAGE_CONNECT }, { "[BANNER]", STAGE_GREETING },
		{ "EHLO", STAGE_EHLO }, { "HELO", STAGE_EHLO },
		{ "LHLO", STAGE_EHLO }, { "STARTTLS", STAGE_TLS },
		{ "AUTH", STAGE_AUTH }, { "MAIL", STAGE_MAIL },
		{ "RCPT", STAGE_RCPT }, { "DATA", STAGE_DATA },
		{ "[SEND_DATA]", STAGE_DOT },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcasecmp(r->command, rows[i].command) == 0)
			return rows[i].stage;
	return STAGE_RUN;
}
