/* top_sort.c - the orders in which rows are shown. */
#include "top.h"

#include <stdlib.h>
#include <string.h>

static double
failures(const struct top_item *i)
{
	return i->rate[TOP_TRANSIENT] + i->rate[TOP_PERMANENT];
}

static int
compare(double x, double y)
{
	return x < y ? 1 : x > y ? -1 : 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int c = x->name == NULL ? 0 : strcmp(x->name, y->name);

	return c != 0 ? c : strcmp(x->relay, y->relay);
}

static int
by_rate(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int c = compare(x->rate[TOP_DELIVERED] + failures(x),
	    y->rate[TOP_DELIVERED] + failures(y));

	return c != 0 ? c : by_name(a, b);
}

static int
by_waiting(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int c = compare((double)(x->waiting + x->queued),
	    (double)(y->waiting + y->queued));

	return c != 0 ? c : by_rate(a, b);
}

static int
by_failures(const void *a, const void *b)
{
	int c = compare(failures(a), failures(b));

	return c != 0 ? c : by_rate(a, b);
}

static int
by_error(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int c = compare((double)x->error_at, (double)y->error_at);

	return c != 0 ? c : by_name(a, b);
}

void
top_sort(struct top_list *list, const struct top_look *look)
{
	static int (*const orders[TOP_SORTS])(const void *, const void *) = {
		[TOP_BY_NAME] = by_name,
		[TOP_BY_RATE] = by_rate,
		[TOP_BY_WAITING] = by_waiting,
		[TOP_BY_FAILURES] = by_failures,
	};

	if (list->n > 1)
		qsort(list->v, list->n, sizeof(*list->v),
		    look->view == TOP_ERRORS ? by_error : orders[look->sort]);
}
