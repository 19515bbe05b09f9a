/*
 * frame_forward.c - FORWARD as bytes, and the DELIVER that becomes of the one
 * it is about.
 */
#include "mail/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* What a DELIVER takes as well: the target's agent must not be harmed. */
static bool
text_fits(const char *s)
{
	return s == NULL || (strlen(s) <= FRAME_TEXT_MAX &&
	    strpbrk(s, "\r\n") == NULL);
}

bool
frame_forward_fits(const struct forward *to)
{
	return to->relay != NULL && *to->relay != '\0' &&
	    text_fits(to->relay) && text_fits(to->nexthop) &&
	    text_fits(to->source) && text_fits(to->ehlo);
}

int
frame_put_forward(struct buf *b, uint64_t id, const struct forward *to,
    const uint32_t *set, size_t n)
{
	struct frame_out o;
	uint8_t *p;
	size_t i;

	frame_begin(&o, b, FRAME_FORWARD, id, 0);
	frame_put_text(&o, ATTR_RELAY, to->relay);
	if (to->nexthop != NULL)
		frame_put_text(&o, ATTR_NEXTHOP, to->nexthop);
	if (to->source != NULL)
		frame_put_text(&o, ATTR_SOURCE, to->source);
	if (to->ehlo != NULL)
		frame_put_text(&o, ATTR_EHLO, to->ehlo);
	if (set != NULL) {
		p = xmalloc(4 * n + 1);
		for (i = 0; i < n; i++)
			put_be32(p + 4 * i, set[i]);
		frame_put(&o, ATTR_RCPT_SET, p, 4 * n);
		free(p);
	}
	return frame_end(&o);
}

/* 0, or -1 where the attribute cannot stand there. */
static int
forward_attr(const struct attr *a, struct arena *arena, struct forward *to,
    struct attr *set)
{
	const char **text = a->tag == ATTR_RELAY ? &to->relay :
	    a->tag == ATTR_NEXTHOP ? &to->nexthop :
	    a->tag == ATTR_SOURCE ? &to->source :
	    a->tag == ATTR_EHLO ? &to->ehlo : NULL;

	if (text != NULL) {
		if (*text != NULL)
			return -1;
		*text = attr_text(a, arena);
		return *text == NULL ? -1 : 0;
	}
	if (a->tag == ATTR_RCPT_SET) {
		if (set->data != NULL || a->len % 4 != 0 ||
		    a->len / 4 > ENVELOPE_RCPT_MAX)
			return -1;
		*set = *a;
		return 0;
	}
	return (a->tag & ATTR_SKIPPABLE) != 0 ? 0 : -1;
}

int
frame_get_forward(const struct frame *f, struct arena *arena,
    struct forward *to, struct attr *set_r, const char **error_r)
{
	struct attr a;
	size_t at = 0;
	int n;

	memset(to, 0, sizeof(*to));
	memset(set_r, 0, sizeof(*set_r));
	while ((n = frame_next(f, &at, &a)) == 1)
		if (forward_attr(&a, arena, to, set_r) == -1)
			break;
	if (n != 0)
		*error_r = "malformed attribute in FORWARD";
	else if (to->relay == NULL || *to->relay == '\0')
		*error_r = "FORWARD without a relay";
	else if (!frame_forward_fits(to))
		*error_r = "control byte in a text of FORWARD";
	else
		return 0;
	return -1;
}

/* ---- the DELIVER that is made of it ---- */

/* Which text of the FORWARD stands in this attribute's place; NULL: none. */
static const char *
override(const struct forward *to, unsigned tag)
{
	switch (tag) {
	case ATTR_RELAY:	return to->relay;
	case ATTR_NEXTHOP:	return to->nexthop;
	case ATTR_SOURCE:	return to->source;
	case ATTR_EHLO:		return to->ehlo;
	default:		return NULL;
	}
}

/* Attributes of a recipient go where their recipient does. */
static bool
is_kept(const struct attr *a, const struct forward *to, bool with_rcpt)
{
	switch (a->tag) {
	case ATTR_RCPT:
	case ATTR_ORCPT:
	case ATTR_NOTIFY:
		return with_rcpt;
	case ATTR_HOPS:
	case ATTR_DEADLINE:
		return false;		/* written anew */
	default:
		return override(to, a->tag) == NULL;
	}
}

int
frame_put_forwarded(struct buf *b, const struct frame *f,
    const uint8_t *chosen, const struct forward *to, uint8_t hops,
    uint32_t deadline_s)
{
	static const enum frame_attr overrides[] = {
		ATTR_RELAY, ATTR_NEXTHOP, ATTR_SOURCE, ATTR_EHLO
	};
	struct frame_out o;
	struct attr a;
	const char *text;
	bool with_rcpt = false;
	size_t at = 0, i;

	frame_begin(&o, b, FRAME_DELIVER, f->id, f->flags);
	for (i = 0; i < sizeof(overrides) / sizeof(overrides[0]); i++)
		if ((text = override(to, overrides[i])) != NULL &&
		    *text != '\0')
			frame_put_text(&o, overrides[i], text);
	frame_put_u8(&o, ATTR_HOPS, hops);
	if (deadline_s != 0)
		frame_put_u32(&o, ATTR_DEADLINE, deadline_s);
	while (frame_next(f, &at, &a) == 1) {
		if (a.tag == ATTR_RCPT)
			with_rcpt = *chosen++ != 0;
		if (is_kept(&a, to, with_rcpt))
			frame_put(&o, a.tag, a.data, a.len);
	}
	return frame_end(&o);
}

/* frame_get_result() found nothing wrong with it. */
void
frame_set_index(void *result, uint32_t index)
{
	uint8_t *p = result;
	const struct frame f = {
		.attrs = p + FRAME_HEADER_BYTES,
		.attrs_len = get_be32(p) - FRAME_HEADER_BYTES
	};
	struct attr a;
	size_t at = 0;

	while (frame_next(&f, &at, &a) == 1)
		if (a.tag == ATTR_INDEX)
			put_be32(p + (a.data - p), index);
}
