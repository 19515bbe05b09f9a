/* test_metric.c - names of metrics, histograms and their quantiles. */
#include "base/metric.h"

#include <stdlib.h>

#include "test.h"

static void
names(void)
{
	const struct metric_row *r, *other;
	char name[METRIC_NAME_MAX];

	r = metric_find("agent", "connections_opened{x", 18);
	is_str(metric_full_name(r, name),
	    "nexthop_agent_connections_opened_total", "a counter's name");
	r = metric_find("agent", "phase", 5);
	is_str(metric_full_name(r, name), "nexthop_agent_phase_seconds",
	    "a histogram's");
	r = metric_find("agent", "hosts_now", 9);
	is_str(metric_full_name(r, name), "nexthop_agent_hosts_now",
	    "a gauge's");
	ok(metric_find("agent", "connections", 11) == NULL,
	    "the begin of a name is no name");
	ok(metric_find("relay", "hosts_now", 9) == NULL,
	    "a name belongs to its part");
	for (r = metric_rows; r->part != NULL; r++)
		for (other = metric_rows; other != r; other++)
			if (strcmp(r->part, other->part) == 0 &&
			    strcmp(r->name, other->name) == 0)
				ok(false, "%s twice", r->name);
	for (r = metric_rows; r->part != NULL; r++)
		if (strchr(r->text, '\n') != NULL ||
		    strchr(r->text, '\\') != NULL)
			ok(false, "%s: its text needs escapes", r->name);
}

static void
bounds(void)
{
	struct histogram h = { .sum_us = 0 }, sum = { .sum_us = 0 };
	unsigned i;

	for (i = 1; i < HISTOGRAM_BOUNDS; i++)
		if (histogram_bounds_us[i] <= histogram_bounds_us[i - 1])
			ok(false, "bound %u does not grow", i);
	histogram_observe(&h, -5);
	histogram_observe(&h, 0);
	histogram_observe(&h, 500);
	is_int(h.n[0], 3, "a bound belongs to its bucket; no time is 0");
	histogram_observe(&h, 501);
	is_int(h.n[1], 1, "one more is the next");
	histogram_observe(&h, 1000000000);
	is_int(h.n[HISTOGRAM_BOUNDS - 1], 1, "the last bound");
	histogram_observe(&h, 1000000001);
	is_int(h.n[HISTOGRAM_BOUNDS], 1, "beyond it");
	is_int(h.sum_us, 2000001002, "the sum");
	is_int(histogram_count(&h), 6, "the count");
	histogram_add(&sum, &h);
	histogram_add(&sum, &h);
	is_int(histogram_count(&sum), 12, "two added: the count");
	is_int(sum.sum_us, 4000002004, "and the sum");
}

static void
quantiles(void)
{
	struct histogram h = { .sum_us = 0 };
	int i;

	is_int(histogram_quantile_us(&h, 0.5), 0, "nothing observed");
	for (i = 0; i < 100; i++)
		histogram_observe(&h, 2000);
	is_int(histogram_quantile_us(&h, 0.5), 1750,
	    "by rule of three within its bucket");
	is_int(histogram_quantile_us(&h, 1), 2500, "its upper bound");
	for (i = 0; i < 100; i++)
		histogram_observe(&h, 40000);
	is_int(histogram_quantile_us(&h, 0.5), 2500, "half of two buckets");
	is_int(histogram_quantile_us(&h, 0.75), 37500, "three quarters");
	for (i = 0; i < 1000; i++)
		histogram_observe(&h, INT64_C(5000000000));
	is_int(histogram_quantile_us(&h, 0.99), 1000000000,
	    "beyond the last bound: that");
}

static void
manual(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);

	metric_mdoc(fp);
	fclose(fp);
	ok(strstr(text, "\n.It Ic nexthop_relay_recipients_total\n"
	    "(counter; relay, class, stage)\n") != NULL,
	    "rows of the manual page");
	free(text);
}

int
main(void)
{
	phase_observe(NULL, PHASE_DNS, 1);
	is_str(phase_name(PHASE_RUN), "run", "phases have names");
	names();
	bounds();
	quantiles();
	manual();
	return done_testing();
}
