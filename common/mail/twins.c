/* twins.c - equal recipients of an envelope. */
#include "mail/twins.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

static uint32_t
text_hash(const char *s)
{
	uint32_t h = 2166136261U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619U;
	return h;
}

static bool
is_equal(const struct rcpt *a, const struct rcpt *b)
{
	return strcmp(a->addr, b->addr) == 0 && a->notify == b->notify &&
	    (a->orcpt == NULL) == (b->orcpt == NULL) &&
	    (a->orcpt == NULL || strcmp(a->orcpt, b->orcpt) == 0);
}

/* A table of twice their number, open addressing. */
uint32_t
twins_join(const struct rcpt *rcpts, uint32_t nrcpt, uint32_t *todo,
    uint32_t n, struct arena *arena, uint32_t **twin_r)
{
	uint32_t i, left = 0, who, at, size = 2 * n, *table, *twin;

	if (n < 2)
		return n;
	table = arena_alloc(arena, size * sizeof(*table));
	twin = arena_alloc(arena, nrcpt * sizeof(*twin));
	memset(table, 0xff, size * sizeof(*table));
	memset(twin, 0xff, nrcpt * sizeof(*twin));
	for (i = 0; i < n; i++) {
		who = todo[i];
		at = text_hash(rcpts[who].addr) % size;
		while (table[at] != NO_TWIN &&
		    !is_equal(&rcpts[table[at]], &rcpts[who]))
			at = (at + 1) % size;
		if (table[at] == NO_TWIN)
			todo[left++] = table[at] = who;
		else {
			twin[who] = twin[table[at]];
			twin[table[at]] = who;
			*twin_r = twin;
		}
	}
	return left;
}
