/*
 * metrics_count.c - what the master counts by itself, and sums of what its
 * children count.
 */
#include "master.h"

void
metrics_answered(struct service *sv, const struct reply *r, int64_t since_us)
{
	struct service_metrics *c = &sv->metrics;
	unsigned stage = r->stage <= STAGE_RUN ? r->stage : STAGE_NONE;

	if (r->cls > REPLY_PERMANENT)
		return;
	c->answers[r->cls][stage]++;
	histogram_observe(&c->delivery[r->cls],
	    loop_now_us(sv->master->loop) - since_us);
}

void
metrics_keep(struct tally *past, struct child *c)
{
	tally_add_stats(past, &c->stats, TALLY_PAST);
	buf_clear(&c->stats);
}

static void
tally_generation(struct tally *t, const struct generation *g)
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		tally_add_stats(t, &g->children[i].stats, TALLY_ALL);
}

const char *
metrics_part(const struct door *d)
{
	return d->kind == CONF_INTAKE ? "intake" : "metrics_http";
}

void
metrics_tally_door(const struct door *d, struct tally *t)
{
	const struct generation *g;

	t->part = metrics_part(d);
	tally_add(t, &d->past);
	if (d->current != NULL)
		tally_generation(t, d->current);
	TAILQ_FOREACH(g, &d->old, next)
		tally_generation(t, g);
}

void
metrics_tally(const struct service *sv, struct tally *t)
{
	const struct generation *g;

	tally_add(t, &sv->metrics.past);
	if (sv->current != NULL)
		tally_generation(t, sv->current);
	TAILQ_FOREACH(g, &sv->old, next)
		tally_generation(t, g);
	tally_sort_destinations(t);
}
