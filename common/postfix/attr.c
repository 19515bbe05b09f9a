/* attr.c - attribute lists, read and written. */
#include "postfix/attr.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* ---- reading ---- */

/* A decimal number up to max; -1: it is none. */
static int
parse_number(const char *s, uint64_t max, uint64_t *value_r)
{
	uint64_t v = 0;
	unsigned digit;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		digit = (unsigned)(*s - '0');
		if (v > (max - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	*value_r = v;
	return 0;
}

static const char *
take_value(const struct pf_field *f, const char *value, size_t len, void *to,
    struct arena *arena)
{
	char *field = (char *)to + f->offset;
	uint64_t v;

	switch (f->type) {
	case PF_STRING:
		*(const char **)(void *)field =
		    arena_strndup(arena, value, len);
		return NULL;
	case PF_INT:
		if (parse_number(value, UINT32_MAX, &v) == -1)
			return "is no 32-bit number";
		*(int32_t *)(void *)field = (int32_t)(uint32_t)v;
		return NULL;
	case PF_LONG:
		if (parse_number(value, UINT64_MAX, &v) == -1)
			return "is no 64-bit number";
		*(int64_t *)(void *)field = (int64_t)v;
		return NULL;
	}
	return "has no type";
}

/* A string with its NUL: its length; PF_MORE or PF_BAD where there is none. */
static enum pf_scan
scan_string(const char *p, size_t n, size_t max, size_t *len_r)
{
	const char *end = memchr(p, '\0', n > max + 1 ? max + 1 : n);

	if (end == NULL)
		return n > max ? PF_BAD : PF_MORE;
	*len_r = (size_t)(end - p);
	return PF_DONE;
}

static enum pf_scan
bad(const char *error, const struct pf_field *f, const char **error_r,
    const char **at_r)
{
	*error_r = error;
	*at_r = f->name == NULL ? "" : f->name;
	return PF_BAD;
}

enum pf_scan
pf_attr_scan(const struct pf_field *f, const char *p, size_t n, void *to,
    struct arena *arena, size_t *took_r, const char **error_r,
    const char **at_r)
{
	size_t at = 0, len, vlen;
	const char *error;
	enum pf_scan s;

	for (;; f++, at += len + vlen + 2) {
		s = scan_string(p + at, n - at, PF_NAME_MAX, &len);
		if (s == PF_BAD)
			return bad("a name is too long", f, error_r, at_r);
		if (s == PF_MORE)
			return s;
		if (len == 0 && f->name == NULL) {
			*took_r = at + 1;
			return PF_DONE;
		}
		if (len == 0)
			return bad("is missing", f, error_r, at_r);
		if (f->name == NULL)
			return bad("an attribute too many", f, error_r, at_r);
		if (strcmp(p + at, f->name) != 0 &&
		    (f->alias == NULL || strcmp(p + at, f->alias) != 0))
			return bad("another attribute stands in the place of",
			    f, error_r, at_r);
		s = scan_string(p + at + len + 1, n - at - len - 1,
		    PF_VALUE_MAX, &vlen);
		if (s == PF_BAD)
			return bad("is too long", f, error_r, at_r);
		if (s == PF_MORE)
			return s;
		error = take_value(f, p + at + len + 1, vlen, to, arena);
		if (error != NULL)
			return bad(error, f, error_r, at_r);
	}
}

/* ---- writing ---- */

static void
put(struct buf *b, const char *s)
{
	if (buf_add(b, s, strlen(s) + 1) == -1)
		abort();
}

void
pf_attr_string(struct buf *b, const char *name, const char *value)
{
	put(b, name);
	put(b, value);
}

void
pf_attr_int(struct buf *b, const char *name, int32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%" PRIu32, (uint32_t)value);
	pf_attr_string(b, name, text);
}

void
pf_attr_long(struct buf *b, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)value);
	pf_attr_string(b, name, text);
}

void
pf_attr_end(struct buf *b)
{
	put(b, "");
}
