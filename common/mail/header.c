/* header.c - a field of a message's header section. */
#include "mail/header.h"

#include <string.h>
#include <strings.h>

#include "mail/message.h"

#define READ_BYTES	4096

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

void
header_scan_init(struct header_scan *h, const char *name)
{
	*h = (struct header_scan){ .name = name, .at = HEADER_BOL };
}

static void
keep(struct header_scan *h, char c)
{
	if (!h->is_first || (h->len == 0 && is_blank(c)))
		return;
	if (h->len == HEADER_VALUE_MAX) {
		h->is_cut |= !is_blank(c);
		return;
	}
	h->value[h->len++] = c == '\0' ? '?' : c;
}

/* Behind the whole name. */
static void
at_colon(struct header_scan *h, char c)
{
	if (c == ':') {
		h->at = HEADER_VALUE;
		h->is_first = h->count++ == 0;
	} else
		h->at = is_blank(c) ? HEADER_COLON : HEADER_SKIP;
}

static void
in_name(struct header_scan *h, char c)
{
	if (h->name[h->matched] == '\0')
		at_colon(h, c);
	else if (lower(c) == h->name[h->matched])
		h->matched++;
	else
		h->at = HEADER_SKIP;
}

/* A line that begins with a blank goes on with the field before it. */
static void
at_bol(struct header_scan *h, char c)
{
	if (is_blank(c) && h->is_open) {
		h->at = HEADER_VALUE;
		keep(h, c);
		return;
	}
	h->at = HEADER_NAME;
	h->matched = 0;
	in_name(h, c);
}

static void
one(struct header_scan *h, char c)
{
	bool is_end = c == '\r' || c == '\n';

	if (c == '\n' && h->after_cr) {
		h->after_cr = false;
		return;
	}
	h->after_cr = c == '\r';
	if (is_end) {
		if (h->at == HEADER_BOL)
			h->is_over = true;
		h->is_open = h->at == HEADER_VALUE;
		h->at = HEADER_BOL;
		return;
	}
	switch (h->at) {
	case HEADER_BOL:
		at_bol(h, c);
		break;
	case HEADER_NAME:
		in_name(h, c);
		break;
	case HEADER_COLON:
		at_colon(h, c);
		break;
	case HEADER_VALUE:
		keep(h, c);
		break;
	case HEADER_SKIP:
		break;
	}
}

void
header_scan_add(struct header_scan *h, const char *p, size_t n)
{
	for (; n > 0 && !h->is_over; p++, n--) {
		one(h, *p);
		if (++h->seen == HEADER_BYTES_MAX)
			h->is_over = true;
	}
}

void
header_scan_finish(struct header_scan *h)
{
	h->is_over = true;
	while (h->len > 0 && is_blank(h->value[h->len - 1]))
		h->len--;
	h->value[h->len] = '\0';
}

int
header_find(const struct body *body, const char *name, struct header_scan *h)
{
	struct body_reader in;
	char scratch[READ_BYTES];
	const char *data;
	int64_t n = 0;

	header_scan_init(h, name);
	body_reader_init(&in, body);
	while (!h->is_over &&
	    (n = body_read(&in, scratch, sizeof(scratch), &data)) > 0)
		header_scan_add(h, data, (size_t)n);
	header_scan_finish(h);
	return n == -1 ? -1 : 0;
}

bool
header_waives_tls(const struct body *body)
{
	struct header_scan h;

	return header_find(body, "tls-required", &h) == 0 && h.count == 1 &&
	    !h.is_cut && strcasecmp(h.value, "no") == 0;
}
