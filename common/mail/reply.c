/*
 * reply.c - replies: made here from the rows of causes.h, or read from what a
 * server said (RFC 5321 §4.2, RFC 2034, RFC 3463).
 */
#include "mail/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct cause_row {
	uint16_t	 code;
	uint8_t		 dsn[3];
	uint8_t		 by;
	const char	*format;
};

static const struct cause_row rows[CAUSE_COUNT] = {
#define CAUSE(name, code, c, s, d, by, fmt)				\
	[CAUSE_##name] = { code, { c, s, d }, by, fmt },
#include "mail/causes.h"
#undef CAUSE
};

#define CAUSE(name, code, c, s, d, by, fmt)				\
	_Static_assert((code) / 100 == (c) && ((c) == 4 || (c) == 5),	\
	    "class of cause " #name);
#include "mail/causes.h"
#undef CAUSE

/* 3yz ends no delivery, so it is never taken for a success. */
static enum reply_class
class_of(unsigned code)
{
	switch (code / 100) {
	case 2:
		return REPLY_DELIVERED;
	case 5:
		return REPLY_PERMANENT;
	default:
		return REPLY_TRANSIENT;
	}
}

/*
 * How many of n bytes to keep so that they are at most REPLY_TEXT_MAX and end
 * no UTF-8 sequence early.  Bytes that are not UTF-8 are cut anywhere.
 */
static size_t
text_cut(const char *s, size_t n)
{
	size_t at = REPLY_TEXT_MAX;

	if (n <= REPLY_TEXT_MAX)
		return n;
	while (at > REPLY_TEXT_MAX - 3 && (s[at] & 0xc0) == 0x80)
		at--;
	return (s[at] & 0xc0) == 0xc0 ? at : REPLY_TEXT_MAX;
}

void
reply_cause(struct reply *r, struct arena *arena, enum stage stage,
    enum cause cause, ...)
{
	const struct cause_row	*row = &rows[cause];
	char			 text[REPLY_TEXT_MAX + 2];
	va_list			 ap;
	size_t			 n;

	va_start(ap, cause);
	vsnprintf(text, sizeof(text), row->format, ap);
	va_end(ap);
	n = text_cut(text, strlen(text));
	*r = (struct reply){
		.code = row->code,
		.cls = (uint8_t)class_of(row->code),
		.by = row->by,
		.dsn = { row->dsn[0], row->dsn[1], row->dsn[2] },
		.stage = (uint8_t)stage,
		.text = arena_strndup(arena, text, n),
	};
}

size_t
dsn_parse(const char *s, size_t n, uint8_t dsn_r[3])
{
	unsigned	number[3];
	size_t		at = 0, first;

	for (int i = 0; i < 3; i++) {
		if (i > 0 && (at == n || s[at++] != '.'))
			return 0;
		number[i] = 0;
		first = at;
		for (; at < n && s[at] >= '0' && s[at] <= '9'; at++) {
			if (at - first == 3)
				return 0;
			number[i] = number[i] * 10 + (unsigned)(s[at] - '0');
		}
		if (at == first)
			return 0;
	}
	if (number[0] != 2 && number[0] != 4 && number[0] != 5)
		return 0;
	for (int i = 0; i < 3; i++)
		dsn_r[i] = number[i] <= UINT8_MAX ? (uint8_t)number[i] : 0;
	return at;
}

/* The enhanced code at the start of a line, RFC 2034 §4; 0 if none. */
static size_t
line_dsn(const char *s, size_t n, uint8_t dsn_r[3])
{
	uint8_t	dsn[3];
	size_t	len = dsn_parse(s, n, dsn);

	if (len == 0 || (len < n && s[len] != ' ' && s[len] != '\t'))
		return 0;
	memcpy(dsn_r, dsn, sizeof(dsn));
	return len;
}

struct text {
	char	bytes[REPLY_TEXT_MAX + 1];
	size_t	len;
};

static void
text_add(struct text *t, const char *s, size_t n)
{
	if (n > sizeof(t->bytes) - t->len)
		n = sizeof(t->bytes) - t->len;
	memcpy(t->bytes + t->len, s, n);
	t->len += n;
}

/*
 * One line without its CRs and without the enhanced code, if that is the first
 * of the reply: whoever repeats it (RFC 2034 §4) says it no second time.
 */
static void
add_line(struct text *t, const char *s, const char *end, uint8_t dsn[3])
{
	uint8_t	own[3];
	size_t	skip;

	while (end > s && end[-1] == '\r')
		end--;
	skip = line_dsn(s, (size_t)(end - s), own);
	if (skip > 0 && dsn[0] == 0)
		memcpy(dsn, own, sizeof(own));
	if (skip > 0 && memcmp(dsn, own, sizeof(own)) == 0) {
		s += skip;
		if (s < end)
			s++;
	}
	text_add(t, s, (size_t)(end - s));
}

void
reply_from_server(struct reply *r, struct arena *arena, unsigned code,
    const char *text, size_t text_len, enum stage stage)
{
	const char	*line, *end, *lf;
	struct text	 t;
	uint8_t		 dsn[3] = { 0, 0, 0 };

	t.len = 0;
	for (size_t at = 0; at < text_len && t.len < sizeof(t.bytes);
	    at = (size_t)(end - text) + 1) {
		line = text + at;
		lf = memchr(line, '\n', text_len - at);
		end = lf == NULL ? text + text_len : lf;
		add_line(&t, line, end, dsn);
		if (lf != NULL)
			text_add(&t, "\n", 1);
	}
	t.len = text_cut(t.bytes, t.len);
	for (size_t i = 0; i < t.len; i++)
		if (t.bytes[i] == '\0')
			t.bytes[i] = '?';
	*r = (struct reply){
		.code = (uint16_t)code,
		.cls = (uint8_t)class_of(code),
		.by = BY_REMOTE,
		.dsn = { code / 100 == 3 ? 4 : (uint8_t)(code / 100),
		    dsn[1], dsn[2] },
		.stage = (uint8_t)stage,
		.text = arena_strndup(arena, t.bytes, t.len),
	};
}

const char *
reply_class_name(enum reply_class cls)
{
	static const char *const names[] = {
		[REPLY_DELIVERED] = "delivered",
		[REPLY_TRANSIENT] = "transient",
		[REPLY_PERMANENT] = "permanent",
	};

	if (cls < REPLY_DELIVERED || cls > REPLY_PERMANENT)
		return "?";
	return names[cls];
}

const char *
stage_name(enum stage stage)
{
	static const char *const names[] = {
		[STAGE_NONE] = "",
		[STAGE_CONNECT] = "connect",
		[STAGE_GREETING] = "greeting",
		[STAGE_EHLO] = "EHLO",
		[STAGE_TLS] = "STARTTLS",
		[STAGE_AUTH] = "AUTH",
		[STAGE_MAIL] = "MAIL FROM",
		[STAGE_RCPT] = "RCPT TO",
		[STAGE_DATA] = "DATA",
		[STAGE_BODY] = "body",
		[STAGE_DOT] = "end of data",
		[STAGE_RUN] = "run",
	};

	if ((unsigned)stage > STAGE_RUN)
		return "?";
	return names[stage];
}

const char *
reply_by_name(enum reply_by by)
{
	static const char *const names[] = {
		[BY_REMOTE] = "remote",
		[BY_DNS] = "dns",
		[BY_TLS] = "tls",
		[BY_AGENT] = "agent",
		[BY_MASTER] = "master",
	};

	if (by < BY_REMOTE || by > BY_MASTER)
		return "?";
	return names[by];
}

bool
reply_blames_host(const struct reply *r)
{
	if (r->cls == REPLY_DELIVERED)
		return false;
	switch (r->stage) {
	case STAGE_NONE:
		return r->by == BY_DNS;
	case STAGE_CONNECT:
	case STAGE_GREETING:
	case STAGE_EHLO:
	case STAGE_TLS:
	case STAGE_AUTH:
		return true;
	case STAGE_RUN:
		return r->dsn[1] == 4 || (r->dsn[1] == 3 && r->dsn[2] == 2);
	default:
		return r->code == 421 && r->by == BY_REMOTE;
	}
}
