/*
 * content.c - line ends and quoting of a message for a program's stdin.
 *
 * Two steps: line ends first (message.h for CRLF, here for LF), then what is
 * put at the start of lines.  With LF a CR before an LF goes; any other CR is
 * left alone, for it ends no line where lines end with LF.
 */
#include "pipe/content.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"

#define LOOK_BYTES	(32 * 1024)

static const char from_[5] = "From ";

/* ---- before the message ---- */

const char *
content_prefix(unsigned how, const char *sender, const char *recipient,
    const char *original, int64_t now_s, struct arena *arena)
{
	const char *eol = how & CONTENT_CRLF ? "\r\n" : "\n";
	const char *text = "";
	char date[32];
	struct tm tm;
	time_t t = (time_t)now_s;

	if (how & CONTENT_FROM_LINE) {
		strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y",
		    localtime_r(&t, &tm));
		text = arena_printf(arena, "From %s  %s%s", *sender == '\0' ?
		    "MAILER-DAEMON" : sender, date, eol);
	}
	if (how & CONTENT_RETURN_PATH)
		text = arena_printf(arena, "%sReturn-Path: <%s>%s", text,
		    sender, eol);
	if (how & CONTENT_ORIGINAL_TO)
		text = arena_printf(arena, "%sX-Original-To: %s%s", text,
		    original, eol);
	if (how & CONTENT_DELIVERED_TO)
		text = arena_printf(arena, "%sDelivered-To: %s%s", text,
		    recipient, eol);
	return text;
}

/* ---- a look ---- */

/* No CR, and an LF at the end. */
static int
look_lf(const struct body *body, bool *as_is_r)
{
	struct body_reader r;
	char scratch[LOOK_BYTES];
	const char *data;
	int64_t n;
	char last = '\n';

	body_reader_init(&r, body);
	*as_is_r = false;
	while ((n = body_read(&r, scratch, sizeof(scratch), &data)) > 0) {
		if (memchr(data, '\r', (size_t)n) != NULL)
			return 0;
		last = data[n - 1];
	}
	*as_is_r = last == '\n';
	return n == -1 ? -1 : 0;
}

int
content_is_as_is(const struct body *body, uint32_t env_flags, unsigned how,
    bool *as_is_r)
{
	struct body_facts facts;

	*as_is_r = false;
	if (how & (CONTENT_BLANK | CONTENT_DOT | CONTENT_QUOTE_FROM))
		return 0;
	if (!(how & CONTENT_CRLF))
		return env_flags & ENV_WIRE_FORM && body->len > 0 ? 0 :
		    look_lf(body, as_is_r);
	*as_is_r = true;
	if (env_flags & ENV_WIRE_FORM)
		return 0;
	if (body_look(body, &facts) == -1)
		return -1;
	*as_is_r = facts.is_clean;
	return 0;
}

/* ---- line ends ---- */

static size_t
drop_cr(struct content *c, char *to, const char *from, size_t n)
{
	const char *end = from + n, *cr;
	char *out = to;
	size_t len;

	if (c->after_cr && *from != '\n')
		*out++ = '\r';
	c->after_cr = false;
	while (from < end) {
		cr = memchr(from, '\r', (size_t)(end - from));
		len = (size_t)((cr == NULL ? end : cr) - from);
		memcpy(out, from, len);
		out += len;
		from += len;
		if (cr == NULL)
			break;
		from++;
		if (from == end)
			c->after_cr = true;
		else if (*from != '\n')
			*out++ = '\r';
	}
	return (size_t)(out - to);
}

/* ---- starts of lines ---- */

/* Goes on with a line that may begin with "From "; the bytes taken. */
static size_t
match_from(struct content *c, char **out, const char *from, size_t n)
{
	size_t i = 0;

	while (i < n && c->held < sizeof(from_) && from[i] == from_[c->held]) {
		c->held++;
		i++;
	}
	if (i == n && c->held < sizeof(from_))
		return i;		/* not known yet */
	if (c->held == sizeof(from_))
		*(*out)++ = '>';
	memcpy(*out, from_, c->held);
	*out += c->held;
	c->at_bol = c->held == 0;
	c->held = 0;
	return i;
}

/* The input may lie behind the output in the same memory: less is put in than
 * lies between (see content_convert()). */
static size_t
mark_lines(struct content *c, char *to, const char *from, size_t n)
{
	const char *end = from + n, *lf;
	char *out = to;
	size_t len;

	while (from < end) {
		if (c->at_bol && c->how & CONTENT_QUOTE_FROM) {
			from += match_from(c, &out, from,
			    (size_t)(end - from));
			if (from == end)
				break;
		}
		if (c->at_bol && c->how & CONTENT_DOT && *from == '.')
			*out++ = '.';
		lf = memchr(from, '\n', (size_t)(end - from));
		len = (size_t)((lf == NULL ? end : lf + 1) - from);
		memmove(out, from, len);
		out += len;
		from += len;
		c->at_bol = lf != NULL;
	}
	return (size_t)(out - to);
}

static bool
marks_lines(const struct content *c)
{
	return (c->how & CONTENT_QUOTE_FROM) ||
	    (c->how & (CONTENT_DOT | CONTENT_CRLF)) == CONTENT_DOT;
}

/* ---- the whole ---- */

void
content_init(struct content *c, unsigned how)
{
	*c = (struct content){ .how = how, .at_bol = true, .is_empty = true };
	crlf_init(&c->crlf, (how & CONTENT_DOT) != 0 &&
	    (how & CONTENT_CRLF) != 0);
	/* The first step has done them. */
	if (how & CONTENT_CRLF)
		c->how &= ~(unsigned)CONTENT_DOT;
}

size_t
content_convert(struct content *c, char *to, const char *from, size_t n)
{
	size_t room = content_room(n) / 2, len;
	char *first = marks_lines(c) ? to + room : to;

	if (n == 0)
		return 0;
	c->is_empty = false;
	/* Of a line's two bytes or more, one more is made. */
	len = c->how & CONTENT_CRLF ? crlf_convert(&c->crlf, first, from, n) :
	    drop_cr(c, first, from, n);
	if (first != to)
		return mark_lines(c, to, first, len);
	if (len > 0)
		c->at_bol = to[len - 1] == '\n';
	return len;
}

size_t
content_finish(struct content *c, char *to)
{
	char *out = to;

	if (c->is_empty)
		return 0;
	if (c->held > 0) {		/* a last line that is cut in "From " */
		memcpy(out, from_, c->held);
		out += c->held;
		c->at_bol = false;
		c->held = 0;
	}
	if (c->how & CONTENT_CRLF)
		out += crlf_finish(&c->crlf, out);
	else if (c->after_cr || !c->at_bol)
		*out++ = '\n';
	if (c->how & CONTENT_BLANK) {
		if (c->how & CONTENT_CRLF)
			*out++ = '\r';
		*out++ = '\n';
	}
	return (size_t)(out - to);
}
