/* answer.c - what became of a recipient, as a reply of LMTP. */
#include "intake/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/frame.h"

#define HOST_SHOWN_MAX	300

/* Room for what stands around a text: "250-2.123.123 " and CRLF. */
#define AROUND		16

/* The bytes of the next line: up to an LF or the limit, not inside a character
 * and, where that can be, not inside a word. */
static size_t
piece_len(const char *p, size_t max)
{
	size_t n = strcspn(p, "\n"), cut;

	if (n <= max)
		return n;
	n = max;
	for (cut = n; cut > max / 2 && p[cut] != ' '; cut--)
		;
	if (p[cut] == ' ')
		return cut;
	while (n > max / 2 && ((unsigned char)p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static char
clean(char c, bool utf8)
{
	unsigned char u = (unsigned char)c;

	if (c == '\t' || c == '\n')
		return ' ';
	return u < 0x20 || u == 0x7f || (u >= 0x80 && !utf8) ? '?' : c;
}

/* " (name[address]:port)" of a next hop that spoke; a UNIX socket is its path. */
static void
host_text(char *to, size_t size, const struct answer *a)
{
	*to = '\0';
	if (a->reply.by != BY_REMOTE || *a->host == '\0')
		return;
	if (a->port == 0)
		snprintf(to, size, " (%.*s)", HOST_SHOWN_MAX / 2, a->host);
	else
		snprintf(to, size, " (%.*s[%.*s]:%u)", HOST_SHOWN_MAX / 2,
		    a->host, HOST_SHOWN_MAX / 4, a->address, a->port);
}

/* At least half of a line is text, or an LF is taken. */
static size_t
room_for(const char *all, size_t text_max)
{
	size_t len = strlen(all), n = len / (text_max / 2) + 2;

	for (const char *p = all; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return len + n * (AROUND + 1);
}

size_t
answer_format(const struct answer *a, bool utf8, struct arena *arena,
    const char **text_r)
{
	const struct reply *r = &a->reply;
	unsigned code = r->code == 421 ? 451 : r->code, lines = 0;
	const size_t text_max = ANSWER_LINE_MAX - AROUND;
	char host[HOST_SHOWN_MAX], *to, *start, *line;
	const char *p;
	size_t n;

	host_text(host, sizeof(host), a);
	p = arena_printf(arena, "%s%s", r->text, host);
	utf8 = utf8 && str_is_utf8(p, strlen(p));
	start = to = arena_alloc(arena, room_for(p, text_max));
	do {
		line = to;
		to += sprintf(to, "%u-" DSN_FMT " ", code, DSN_ARG(r));
		for (n = piece_len(p, text_max); n > 0; n--)
			*to++ = clean(*p++, utf8);
		while (to[-1] == ' ')	/* none at the end of a line */
			to--;
		if (*p == ' ' || *p == '\n')
			p++;
		*to++ = '\r';
		*to++ = '\n';
	} while (*p != '\0' && ++lines < ANSWER_LINES_MAX);
	line[3] = ' ';
	*text_r = start;
	return (size_t)(to - start);
}
