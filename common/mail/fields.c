/* fields.c - the fields of a message's header that matter to a delivery. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mail/address.h"
#include "mail/message.h"
#include "mail/fields.h"

#define STEP_BYTES	(16 * 1024)

/* Where the header ends in the n bytes at p, or 0 if that is not there. */
static size_t
header_end(const char *p, size_t n, size_t seen)
{
	size_t at = seen < 3 ? 0 : seen - 3;
	const char *lf;

	if (n >= 1 && *p == '\n')
		return 1;
	if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		return 2;
	while ((lf = memchr(p + at, '\n', n - at)) != NULL) {
		at = (size_t)(lf - p) + 1;
		if (at < n && p[at] == '\n')
			return at;
		if (at + 1 < n && p[at] == '\r' && p[at + 1] == '\n')
			return at;
	}
	return 0;
}

/*
 * In place: each field becomes a string without line ends.  The byte behind
 * the text can be written.
 */
static size_t
unfold(char *text, size_t n)
{
	size_t from, to = 0;

	for (from = 0; from < n; from++) {
		if (text[from] == '\0')
			continue;	/* would end the field */
		if (text[from] == '\r' && from + 1 < n &&
		    text[from + 1] == '\n')
			continue;
		if (text[from] != '\n')
			text[to++] = text[from];
		else if (from + 1 < n && (text[from + 1] == ' ' ||
		    text[from + 1] == '\t'))
			continue;
		else
			text[to++] = '\0';
	}
	text[to] = '\0';
	return to;
}

/* No field ends in blanks. */
static void
trim(struct fields *h)
{
	size_t i;

	for (i = h->len; i-- > 0;)
		if ((h->text[i] == ' ' || h->text[i] == '\t') &&
		    h->text[i + 1] == '\0')
			h->text[i] = '\0';
}

int
fields_read(struct fields *h, const struct body *body, struct arena *arena)
{
	struct body_reader r;
	char scratch[STEP_BYTES];
	const char *data;
	struct buf b;
	size_t end = 0, seen;
	int64_t n;

	buf_init(&b, FIELDS_BYTES_MAX + STEP_BYTES);
	body_reader_init(&r, body);
	do {
		n = body_read(&r, scratch, sizeof(scratch), &data);
		if (n <= 0)
			break;
		seen = buf_len(&b);
		buf_add(&b, data, (size_t)n);
		end = header_end(buf_data(&b), buf_len(&b), seen);
	} while (end == 0 && buf_len(&b) < FIELDS_BYTES_MAX);
	if (n == -1) {
		buf_clear(&b);
		return -1;
	}
	if (end == 0)
		end = buf_len(&b);
	h->text = arena_alloc(arena, end + 1);
	if (end > 0)
		memcpy(h->text, buf_data(&b), end);
	h->len = unfold(h->text, end);
	trim(h);
	buf_clear(&b);
	return 0;
}

const char *
fields_find(const struct fields *h, const char *name, const char *after)
{
	size_t n = strlen(name), len;
	const char *at = h->text, *end = h->text + h->len;

	if (after != NULL)
		at = after + strlen(after) + 1;
	for (; at < end; at += strlen(at) + 1) {
		if (strncasecmp(at, name, n) != 0)
			continue;
		len = n + strspn(at + n, " \t");
		if (at[len] != ':')
			continue;
		at += len + 1;
		return at + strspn(at, " \t");
	}
	return NULL;
}

bool
fields_has_delivered_to(const struct fields *h, const char *addr,
    struct arena *arena)
{
	struct address here, there;
	const char *value = NULL, *error;

	if (address_parse(addr, arena, &here, &error) == -1)
		return false;
	while ((value = fields_find(h, "Delivered-To", value)) != NULL)
		if (address_parse(value, arena, &there, &error) == 0 &&
		    strcasecmp(here.local, there.local) == 0 &&
		    (here.domain == NULL) == (there.domain == NULL) &&
		    (here.domain == NULL ||
		    strcasecmp(here.domain, there.domain) == 0))
			return true;
	return false;
}
