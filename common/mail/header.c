/* header.c - the header section of a message and its fields. */
#include "mail/header.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mail/address.h"
#include "mail/message.h"

#define STEP_BYTES	4096

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

/* ---- the section ---- */

/* Behind the end of the line at p; end, if it has none. */
static const char *
line_end(const char *p, const char *end, enum header_lines lines)
{
	if (lines == HEADER_LF) {
		p = memchr(p, '\n', (size_t)(end - p));
		return p == NULL ? end : p + 1;
	}
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	if (end - p > 1 && p[0] == '\r' && p[1] == '\n')
		p++;
	return p == end ? end : p + 1;
}

static bool
is_empty_line(const char *p, const char *end, enum header_lines lines)
{
	return *p == '\n' || (*p == '\r' && (lines == HEADER_LONE_CR ||
	    (end - p > 1 && p[1] == '\n')));
}

/*
 * Goes on at *at, the start of a line, to the empty line, or else to the last
 * line, which may not be whole yet.
 */
static bool
find_end(const char *text, size_t n, size_t *at, enum header_lines lines)
{
	const char *p = text + *at, *end = text + n, *next;
	bool is_found = false;

	while (p < end && !(is_found = is_empty_line(p, end, lines)) &&
	    (next = line_end(p, end, lines)) < end)
		p = next;
	*at = (size_t)(p - text);
	return is_found;
}

/* Reads as far as the empty line, or max bytes, which are there. */
static int
load(struct buf *b, size_t max, const struct body *body,
    enum header_lines lines)
{
	struct body_reader in;
	char scratch[STEP_BYTES];
	size_t at = 0, left = max;
	const char *data;
	int64_t n;

	body_reader_init(&in, body);
	do {
		n = body_read(&in, scratch, left < STEP_BYTES ? left :
		    STEP_BYTES, &data);
		if (n == -1 || buf_add(b, data, (size_t)n) == -1)
			return -1;
		left = max - buf_len(b);
	} while (!find_end(buf_data(b), buf_len(b), &at, lines) && left > 0);
	return 0;
}

int
header_read(struct header *h, const struct body *body,
    enum header_lines lines, struct arena *arena)
{
	size_t max = body->len < HEADER_BYTES_MAX ? (size_t)body->len :
	    HEADER_BYTES_MAX, at = 0;
	struct buf b;
	int status = 0;

	*h = (struct header){ .text = "", .lines = lines };
	if (max == 0)
		return 0;
	if (body->mem != NULL) {
		h->text = body->mem;
		h->len = max;
	} else {
		buf_init(&b, HEADER_BYTES_MAX);
		if ((status = load(&b, max, body, lines)) == 0) {
			h->len = buf_len(&b);
			h->text = arena_strndup(arena, buf_data(&b), h->len);
		}
		buf_clear(&b);
	}
	if (find_end(h->text, h->len, &at, lines))
		h->len = at;
	else
		h->is_cut = h->len < body->len;
	return status;
}

/* ---- fields ---- */

/* The name before the colon; 0: that is none. */
static size_t
name_len(const char *name, const char *colon)
{
	const char *p;

	while (colon > name && is_blank(colon[-1]))
		colon--;
	for (p = name; p < colon; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return 0;
	return (size_t)(colon - name);
}

bool
header_next(const struct header *h, struct header_field *f)
{
	const char *end = h->text + h->len, *p, *colon, *stop;

	p = f->next == NULL ? h->text : f->next;
	if (p == end)
		return false;
	stop = line_end(p, end, h->lines);
	colon = memchr(p, ':', (size_t)(stop - p));
	while (stop < end && is_blank(*stop))
		stop = line_end(stop, end, h->lines);
	*f = (struct header_field){ .name = p, .value = p, .next = stop,
	    .lines = h->lines };
	if (colon == NULL)
		return true;
	f->name_len = name_len(p, colon);
	for (p = colon + 1; p < stop && is_space(*p); p++)
		;
	while (stop > p && is_space(stop[-1]))
		stop--;
	f->value = p;
	f->value_len = (size_t)(stop - p);
	return true;
}

bool
header_find(const struct header *h, const char *name, struct header_field *f)
{
	size_t n = strlen(name);

	while (header_next(h, f))
		if (f->name_len == n && strncasecmp(f->name, name, n) == 0)
			return true;
	return false;
}

size_t
header_unfold(const struct header_field *f, char *to)
{
	const char *p = f->value, *end = p + f->value_len;
	size_t n = 0;

	for (; p < end; p++)
		if (*p != '\n' && !(*p == '\r' &&
		    (f->lines == HEADER_LONE_CR || p[1] == '\n')))
			to[n++] = *p;
	return n;
}

const char *
header_value(const struct header_field *f, struct arena *arena)
{
	char *text = arena_alloc(arena, f->value_len + 1), *nul;
	size_t n = header_unfold(f, text);

	text[n] = '\0';
	while ((nul = memchr(text, '\0', n)) != NULL)
		*nul = '?';
	return text;
}

const char *
header_get(const struct header *h, const char *name, struct arena *arena)
{
	struct header_field f = { .next = NULL };

	return header_find(h, name, &f) ? header_value(&f, arena) : NULL;
}

/* ---- what fields say ---- */

bool
header_has_delivered_to(const struct header *h, const char *addr,
    struct arena *arena)
{
	struct header_field f = { .next = NULL };
	struct address here, there;
	const char *error;

	if (address_parse(addr, arena, &here, &error) == -1)
		return false;
	while (header_find(h, "Delivered-To", &f))
		if (address_parse(header_value(&f, arena), arena, &there,
		    &error) == 0 &&
		    strcasecmp(here.local, there.local) == 0 &&
		    (here.domain == NULL) == (there.domain == NULL) &&
		    (here.domain == NULL ||
		    strcasecmp(here.domain, there.domain) == 0))
			return true;
	return false;
}

bool
header_waives_tls(const struct body *body)
{
	struct header_field f = { .next = NULL }, other;
	struct arena *arena = arena_new(0);
	bool is_waived = false;
	struct header h;

	if (header_read(&h, body, HEADER_LONE_CR, arena) == 0 && !h.is_cut &&
	    header_find(&h, "TLS-Required", &f)) {
		other = f;
		is_waived = f.value_len == 2 &&
		    strncasecmp(f.value, "no", 2) == 0 &&
		    !header_find(&h, "TLS-Required", &other);
	}
	arena_free(arena);
	return is_waived;
}
