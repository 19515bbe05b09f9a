/*
 * message_reference.h - what message.c does, byte by byte and without thought
 * of speed; for test_message.c and fuzz_message.c.
 */
#ifndef MESSAGE_REFERENCE_H
#define MESSAGE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "mail/block.h"
#include "mail/message.h"

/* How many bytes end a line at p: 2 for CRLF, 1 for a lone CR or LF, or 0. */
static inline size_t
reference_line_end(const char *p, const char *end)
{
	if (p < end && *p == '\n')
		return 1;
	if (p < end && *p == '\r')
		return p + 1 < end && p[1] == '\n' ? 2 : 1;
	return 0;
}

/* The whole message with its end; to has crlf_room(n) bytes. */
static inline size_t
reference_convert(char *to, const char *from, size_t n, bool stuff)
{
	const char	*p = from, *end = from + n;
	char		*t = to;

	while (p < end) {
		if (stuff && *p == '.')
			*t++ = '.';
		while (p < end && reference_line_end(p, end) == 0)
			*t++ = *p++;
		p += reference_line_end(p, end);
		*t++ = '\r';
		*t++ = '\n';
	}
	return (size_t)(t - to);
}

static inline struct body_facts
reference_facts(const char *from, size_t n)
{
	struct body_facts	 f = { .is_clean = true };
	const char		*p = from, *end = from + n, *line;
	bool			 in_body = false;

	while (p < end) {
		f.has_dot_line |= *p == '.';
		for (line = p; reference_line_end(p, end) == 0; p++) {
			if (p == end)
				break;
			f.has_8bit |= (*p & 0x80) != 0;
			f.header_8bit |= !in_body && (*p & 0x80) != 0;
			f.has_nul |= *p == '\0';
		}
		in_body |= p == line;
		f.has_long_line |= p - line > 998;
		f.is_clean &= reference_line_end(p, end) == 2;
		f.wire_len += (uint64_t)(p - line) + 2;
		p += reference_line_end(p, end);
	}
	return f;
}

/* With the byte on either side of p. */
static inline struct run
reference_run(const char *p)
{
	struct run	 r = { .has_dot_line = p[-1] == '\n' && p[0] == '.' };

	for (int i = 0; i < RUN_BYTES; i++) {
		r.lf += p[i] == '\n';
		r.after_cr += p[i - 1] == '\r';
		r.odd += (p[i] == '\n') != (p[i - 1] == '\r');
		r.has_8bit |= (p[i] & 0x80) != 0;
		r.has_nul |= p[i] == '\0';
		r.has_dot_line |= p[i] == '\n' && p[i + 1] == '.';
	}
	return r;
}

static inline bool
runs_are_equal(struct run a, struct run b)
{
	return a.lf == b.lf && a.after_cr == b.after_cr && a.odd == b.odd &&
	    a.has_8bit == b.has_8bit && a.has_nul == b.has_nul &&
	    a.has_dot_line == b.has_dot_line;
}

static inline bool
facts_are_equal(const struct body_facts *a, const struct body_facts *b)
{
	return a->has_8bit == b->has_8bit &&
	    a->header_8bit == b->header_8bit && a->has_nul == b->has_nul &&
	    a->has_long_line == b->has_long_line &&
	    a->is_clean == b->is_clean &&
	    a->has_dot_line == b->has_dot_line && a->wire_len == b->wire_len;
}

#endif
