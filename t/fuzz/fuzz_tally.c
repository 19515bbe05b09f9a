/*
 * fuzz_tally.c - any attributes of STATS: names that are kept can be shown as
 * they stand, limits hold, and the past of an agent is never more than all of
 * it.
 */
#include "mail/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct tally *t)
{
	const struct series *s;
	size_t i, len;

	if (t->n > TALLY_SERIES_MAX ||
	    t->ndestinations > TALLY_DESTINATIONS_MAX)
		abort();
	for (i = 0; i < t->n; i++) {
		s = &t->v[i];
		if (!tally_key_is_sound(s->key, strlen(s->key), &len) ||
		    len != s->name_len ||
		    (s->kind == METRIC_HISTOGRAM) != (s->h != NULL))
			abort();
	}
	for (i = 0; i < t->ndestinations; i++)
		if (strlen(t->destinations[i].name) > 255)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tally all = { .n = 0 }, past = { .n = 0 };
	struct buf stats;

	buf_init(&stats, n + 1);
	buf_add(&stats, data, n);
	tally_add_stats(&all, &stats, TALLY_ALL);
	check(&all);
	tally_add_stats(&past, &stats, TALLY_PAST);
	check(&past);
	if (past.ndestinations != 0 || past.n > all.n)
		abort();
	tally_add(&all, &past);
	check(&all);
	tally_sort_destinations(&all);
	tally_clear(&all);
	tally_clear(&past);
	buf_clear(&stats);
	return 0;
}
