/* top_model.c - the status of a master as rows, and rates between two. */
#include "top.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ITEMS_MAX	200000

/* ---- JSON ---- */

static int64_t
number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* malloc'ed; NULL: there is none. */
static char *
text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL ? NULL : xstrdup(s);
}

static struct top_item *
add(struct top_list *list)
{
	if (list->n == list->size) {
		list->size = list->size == 0 ? 16 : 2 * list->size;
		list->v = xreallocarray(list->v, list->size,
		    sizeof(*list->v));
	}
	memset(&list->v[list->n], 0, sizeof(*list->v));
	return &list->v[list->n++];
}

static void
read_histogram(struct histogram *h, const json_t *times, const char *name)
{
	const json_t *o = json_object_get(times, name);
	const json_t *counts = json_object_get(o, "counts");
	size_t i;

	h->sum_us = (uint64_t)number(o, "sum_us");
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->n[i] = (uint64_t)json_integer_value(json_array_get(counts,
		    i));
}

static void
read_answers(struct top_item *to, const json_t *o)
{
	to->answers[TOP_DELIVERED] = (uint64_t)number(o, "delivered");
	to->answers[TOP_TRANSIENT] = (uint64_t)number(o, "transient");
	to->answers[TOP_PERMANENT] = (uint64_t)number(o, "permanent");
	to->error = text(o, "last_error");
	to->error_at = number(o, "last_error_at");
}

static char *
relay_name(const json_t *relay)
{
	char *s = text(relay, "relay");

	return s == NULL ? xstrdup("?") : s;
}

static void
read_destinations(struct top_model *m, const json_t *relay)
{
	const json_t *o;
	struct top_item *to;
	size_t i;

	json_array_foreach(json_object_get(relay, "destinations"), i, o) {
		if (m->destinations.n == ITEMS_MAX)
			return;
		to = add(&m->destinations);
		to->relay = relay_name(relay);
		if ((to->name = text(o, "destination")) == NULL)
			to->name = xstrdup("?");
		to->waiting = number(o, "waiting");
		to->connections = number(o, "connections");
		to->idle = number(o, "idle");
		read_answers(to, o);
	}
}

/* Its agents' gauges. */
static void
read_agents(struct top_item *to, const json_t *relay)
{
	const json_t *o, *stats;
	size_t i;

	json_array_foreach(json_object_get(relay, "agents"), i, o) {
		stats = json_object_get(o, "stats");
		to->connections += number(stats, "connections_now") +
		    number(stats, "runs_now");
		to->idle += number(stats, "connections_idle");
		to->waiting += number(stats, "deliveries_waiting");
	}
}

static void
read_relay(struct top_model *m, const json_t *o)
{
	struct top_item *to = add(&m->relays);

	to->relay = relay_name(o);
	to->type = text(o, "type");
	to->state = text(o, "state");
	to->open = number(o, "open");
	to->queued = number(o, "queued") + number(o, "held");
	to->restarts = number(o, "restarts");
	read_answers(to, o);
	read_agents(to, o);
	read_histogram(&to->delivery, json_object_get(o, "times"),
	    "delivery");
	read_destinations(m, o);
}

int
top_model_read(struct top_model *m, const char *json, size_t n,
    int64_t now_ms)
{
	json_t *root = json_loadb(json, n, 0, NULL);
	const json_t *o;
	size_t i;

	memset(m, 0, sizeof(*m));
	if (!json_is_object(root)) {
		json_decref(root);
		return -1;
	}
	m->taken_ms = now_ms;
	m->version = text(root, "version");
	m->state = text(root, "state");
	m->pid = number(root, "pid");
	m->started_at = number(root, "started_at");
	m->submitters = number(root, "submitters");
	m->queued_bytes = number(root, "queued_bytes");
	json_array_foreach(json_object_get(root, "relays"), i, o)
		if (m->relays.n < ITEMS_MAX)
			read_relay(m, o);
	json_decref(root);
	return 0;
}

/* ---- between two ---- */

static int
by_place(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int c = strcmp(x->relay, y->relay);

	return c != 0 || x->name == NULL ? c : strcmp(x->name, y->name);
}

/* What began again with its process has no rate: it only grows. */
static double
rate(uint64_t now, uint64_t was, double seconds)
{
	return now < was || seconds <= 0 ? 0 : (double)(now - was) / seconds;
}

static void
compare_item(struct top_item *now, const struct top_item *was,
    double seconds)
{
	unsigned i;

	for (i = 0; i < TOP_CLASSES; i++)
		now->rate[i] = rate(now->answers[i], was->answers[i],
		    seconds);
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		now->recent.n[i] = now->delivery.n[i] < was->delivery.n[i] ?
		    0 : now->delivery.n[i] - was->delivery.n[i];
}

static void
compare_list(struct top_list *now, const struct top_list *was,
    double seconds)
{
	const struct top_item *old;
	size_t i;

	/* Sorted when it was the newer one. */
	if (now->n > 1)
		qsort(now->v, now->n, sizeof(*now->v), by_place);
	for (i = 0; was->n > 0 && i < now->n; i++) {
		old = bsearch(&now->v[i], was->v, was->n, sizeof(*was->v),
		    by_place);
		if (old != NULL)
			compare_item(&now->v[i], old, seconds);
	}
}

void
top_model_compare(struct top_model *m, const struct top_model *was)
{
	double seconds = was->taken_ms == 0 || was->pid != m->pid ? 0 :
	    (double)(m->taken_ms - was->taken_ms) / 1000;
	struct top_item *total = &m->total, *r;
	size_t i;
	unsigned k;

	compare_list(&m->relays, &was->relays, seconds);
	compare_list(&m->destinations, &was->destinations, seconds);
	for (i = 0; i < m->relays.n; i++) {
		r = &m->relays.v[i];
		total->open += r->open;
		total->queued += r->queued;
		total->waiting += r->waiting;
		total->connections += r->connections;
		total->idle += r->idle;
		for (k = 0; k < TOP_CLASSES; k++) {
			total->rate[k] += r->rate[k];
			total->answers[k] += r->answers[k];
		}
		histogram_add(&total->recent, &r->recent);
	}
}

static void
clear_list(struct top_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		free(list->v[i].relay);
		free(list->v[i].name);
		free(list->v[i].type);
		free(list->v[i].state);
		free(list->v[i].error);
	}
	free(list->v);
}

void
top_model_clear(struct top_model *m)
{
	clear_list(&m->relays);
	clear_list(&m->destinations);
	free(m->version);
	free(m->state);
	memset(m, 0, sizeof(*m));
}
