/*
 * event_out.h - bytes, numbers and times into the room of a record; what does
 * not fit is cut.  Private to event.c; inline, for a line has many of them.
 */
#ifndef BASE_EVENT_OUT_H
#define BASE_EVENT_OUT_H

#include <string.h>

#include "base/event.h"

static inline size_t
room(const struct event_out *o)
{
	return (size_t)(o->end - o->at);
}

static inline void
put(struct event_out *o, const char *p, size_t n)
{
	if (n > room(o))
		n = room(o);
	memcpy(o->at, p, n);
	o->at += n;
}

static inline void
put_str(struct event_out *o, const char *s)
{
	put(o, s, strlen(s));
}

#define put_lit(o, literal) put(o, literal, sizeof(literal) - 1)

static inline void
put_char(struct event_out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static inline void
put_int(struct event_out *o, int64_t value)
{
	uint64_t v = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[24];
	size_t at = sizeof(digits);

	if (value >= 0 && value < 10) {
		put_char(o, (char)('0' + value));
		return;
	}
	do
		digits[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	if (value < 0)
		digits[--at] = '-';
	put(o, digits + at, sizeof(digits) - at);
}

static inline void
put_seconds(struct event_out *o, int64_t ms)
{
	char tail[4];

	if (ms < 0)
		ms = 0;
	put_int(o, ms / 1000);
	ms %= 1000;
	tail[0] = '.';
	tail[1] = (char)('0' + ms / 100);
	tail[2] = (char)('0' + ms / 10 % 10);
	tail[3] = (char)('0' + ms % 10);
	put(o, tail, sizeof(tail));
}

#endif
