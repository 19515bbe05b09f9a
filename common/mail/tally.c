/*
 * tally.c - STATS of agents as sums.  An agent may be anybody's code: names
 * and labels are looked at before they are shown, and how many there may be is
 * limited.
 */
#include "mail/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mail/frame.h"

#define NAME_BYTES_MAX	64
#define LABELS_MAX	4
#define ERROR_BYTES_MAX	512

/* Names of counters whose end is a label of the metric. */
static const struct {
	const char	*begin, *metric, *labels;
} families[] = {
	{ "tls_session_", "tls_sessions", "" },
	{ "tls_tlsa_", "tls_report_sessions", "policy=\"tlsa\"," },
	{ "tls_sts_", "tls_report_sessions", "policy=\"sts\"," },
	{ "tls_no_policy_found_", "tls_report_sessions",
	    "policy=\"no_policy_found\"," },
};

/* ---- keys ---- */

/* [a-z_][a-z0-9_]*; how many bytes. */
static size_t
name_length(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && s[i] != '_' &&
		    !(i > 0 && s[i] >= '0' && s[i] <= '9'))
			break;
	return i;
}

/* LABEL="VALUE" at s; its length, 0: it is none.  relay and le are ours. */
static size_t
label_length(const char *s, size_t n)
{
	size_t i = name_length(s, n);

	if (i == 0 || i > NAME_BYTES_MAX || i + 3 > n || s[i] != '=' ||
	    s[i + 1] != '"' || (i == 5 && memcmp(s, "relay", 5) == 0) ||
	    (i == 2 && memcmp(s, "le", 2) == 0))
		return 0;
	for (i += 2; i < n && s[i] != '"'; i++)
		if (s[i] < 0x20 || s[i] > 0x7e || s[i] == '\\')
			return 0;
	return i < n ? i + 1 : 0;
}

bool
tally_key_is_sound(const char *key, size_t n, size_t *name_len_r)
{
	size_t at, len, nlabels = 0;

	*name_len_r = at = name_length(key, n);
	if (at == 0 || at > NAME_BYTES_MAX || n >= TALLY_KEY_MAX)
		return false;
	if (at == n)
		return true;
	if (key[at++] != '{')
		return false;
	do {
		if ((len = label_length(key + at, n - at)) == 0 ||
		    ++nlabels > LABELS_MAX)
			return false;
		at += len;
	} while (at < n && key[at++] == ',');
	return at == n && key[at - 1] == '}';
}

/* As it is known here, into to[TALLY_KEY_MAX]; false: not sound. */
static bool
take_key(char *to, const struct attr *a, size_t *name_len_r)
{
	const char *s = (const char *)a->data;
	size_t i, len;

	if (!tally_key_is_sound(s, a->len, name_len_r))
		return false;
	memcpy(to, s, a->len);
	to[a->len] = '\0';
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		len = strlen(families[i].begin);
		if (strncmp(to, families[i].begin, len) != 0 ||
		    to[*name_len_r] != '\0')
			continue;
		*name_len_r = strlen(families[i].metric);
		snprintf(to, TALLY_KEY_MAX, "%s{%sresult=\"%.*s\"}",
		    families[i].metric, families[i].labels,
		    (int)(a->len - len), s + len);
		break;
	}
	return true;
}

/* ---- series ---- */

static enum metric_kind
kind_of(const char *key, size_t name_len, const struct metric_row *row,
    bool is_histogram)
{
	if (is_histogram)
		return METRIC_HISTOGRAM;
	if (row != NULL)
		return row->kind;
	return name_len > 6 && memcmp(key + name_len - 6, "_total", 6) == 0 ?
	    METRIC_COUNTER : METRIC_GAUGE;
}

static const struct metric_row *
row_of(const struct tally *t, const char *key, size_t name_len)
{
	return metric_find(t->part == NULL ? "agent" : t->part, key,
	    name_len);
}

/* NULL: there is no room, or it would be of another kind than it was. */
static struct series *
series_of(struct tally *t, const char *key, size_t name_len,
    bool is_histogram)
{
	const struct metric_row *row;
	enum metric_kind kind;
	struct series *s;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].key, key) == 0)
			return (t->v[i].kind == METRIC_HISTOGRAM) ==
			    is_histogram ? &t->v[i] : NULL;
	row = row_of(t, key, name_len);
	kind = kind_of(key, name_len, row, is_histogram);
	if (t->n == TALLY_SERIES_MAX || (row != NULL &&
	    (row->kind == METRIC_HISTOGRAM) != is_histogram))
		return NULL;
	if (t->n == t->size) {
		t->size = t->size == 0 ? 32 : 2 * t->size;
		t->v = xreallocarray(t->v, t->size, sizeof(*t->v));
	}
	s = &t->v[t->n++];
	*s = (struct series){ xstrdup(key), name_len, row, kind, 0, NULL };
	if (is_histogram)
		s->h = xcalloc(1, sizeof(*s->h));
	return s;
}

static void
add_value(struct tally *t, const struct attr *name, uint64_t value,
    enum tally_what what)
{
	char key[TALLY_KEY_MAX];
	struct series *s;
	size_t len;

	if (!take_key(key, name, &len) ||
	    (what == TALLY_PAST && kind_of(key, len, row_of(t, key, len),
	    false) == METRIC_GAUGE) ||
	    (s = series_of(t, key, len, false)) == NULL)
		return;
	s->value += value;
}

static void
add_histogram(struct tally *t, const struct attr *name, const struct attr *a)
{
	char key[TALLY_KEY_MAX];
	struct histogram h;
	struct series *s;
	size_t len, i;

	if (a->len != (1 + HISTOGRAM_BUCKETS) * 8 ||
	    !take_key(key, name, &len) ||
	    (s = series_of(t, key, len, true)) == NULL)
		return;
	h.sum_us = get_be64(a->data);
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		h.n[i] = get_be64(a->data + 8 + i * 8);
	histogram_add(s->h, &h);
}

/* ---- destinations ---- */

static struct tally_destination *
destination_of(struct tally *t, const char *name, size_t n)
{
	struct tally_destination *d;
	size_t i;

	for (i = 0; i < t->ndestinations; i++) {
		d = &t->destinations[i];
		if (strlen(d->name) == n && memcmp(d->name, name, n) == 0)
			return d;
	}
	if (n == 0 || n > 255 || memchr(name, '\0', n) != NULL || t->ndestinations == TALLY_DESTINATIONS_MAX)
		return NULL;
	if (t->ndestinations == t->destinations_size) {
		t->destinations_size = t->destinations_size == 0 ? 16 :
		    2 * t->destinations_size;
		t->destinations = xreallocarray(t->destinations,
		    t->destinations_size, sizeof(*t->destinations));
	}
	d = &t->destinations[t->ndestinations++];
	memset(d, 0, sizeof(*d));
	d->name = xasprintf("%.*s", (int)n, name);
	return d;
}

static void
set_error(struct tally_destination *d, const char *text, size_t n,
    uint64_t error_s)
{
	if (error_s == 0 || error_s < d->error_s)
		return;
	free(d->error);
	d->error = text == NULL ? NULL : xasprintf("%.*s",
	    (int)(n < ERROR_BYTES_MAX ? n : ERROR_BYTES_MAX), text);
	d->error_s = error_s;
}

static void
add_to_destination(struct tally_destination *d, const struct attr *name,
    uint64_t value, const struct attr *error)
{
	const struct {
		const char *name;
		uint64_t *to;
	} rows[] = {
		{ "waiting", &d->waiting },
		{ "connections", &d->connections },
		{ "connections_idle", &d->idle },
		{ "delivered", &d->delivered },
		{ "transient", &d->transient },
		{ "permanent", &d->permanent },
	};
	static const char when[] = "last_error_timestamp_seconds";
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == name->len &&
		    memcmp(rows[i].name, name->data, name->len) == 0)
			*rows[i].to += value;
	if (name->len == sizeof(when) - 1 &&
	    memcmp(when, name->data, name->len) == 0)
		set_error(d, (const char *)error->data, error->len, value);
}

/* ---- the whole ---- */

void
tally_add_stats(struct tally *t, const struct buf *stats,
    enum tally_what what)
{
	const struct frame f = {
		.attrs = (const uint8_t *)buf_data(stats),
		.attrs_len = buf_len(stats)
	};
	struct attr a, name = { 0, 0, NULL }, error = { 0, 0, NULL };
	struct tally_destination *d = NULL;
	bool is_host = false;
	size_t at = 0;
	uint64_t value;

	while (f.attrs_len > 0 && frame_next(&f, &at, &a) == 1)
		if (a.tag == ATTR_STAT_DESTINATION) {
			if (what == TALLY_PAST)
				break;		/* nothing else follows */
			is_host = true;
			d = destination_of(t, (const char *)a.data, a.len);
			error.data = NULL;
		} else if (a.tag == ATTR_STAT_ERROR)
			error = a;
		else if (a.tag == ATTR_STAT_NAME)
			name = a;
		else if (name.data == NULL)
			continue;
		else if (a.tag == ATTR_STAT_HISTOGRAM && !is_host)
			add_histogram(t, &name, &a);
		else if (a.tag == ATTR_STAT_VALUE &&
		    attr_u64(&a, &value) == 0) {
			if (d != NULL)
				add_to_destination(d, &name, value, &error);
			else if (!is_host)
				add_value(t, &name, value, what);
		}
}

void
tally_add(struct tally *t, const struct tally *other)
{
	const struct series *from;
	struct series *to;
	size_t i;

	for (i = 0; i < other->n; i++) {
		from = &other->v[i];
		to = series_of(t, from->key, from->name_len, from->h != NULL);
		if (to == NULL)
			continue;
		to->value += from->value;
		if (from->h != NULL)
			histogram_add(to->h, from->h);
	}
}

static int
by_size(const void *a, const void *b)
{
	const struct tally_destination *x = a, *y = b;

	if (x->waiting != y->waiting)
		return x->waiting < y->waiting ? 1 : -1;
	if (x->connections != y->connections)
		return x->connections < y->connections ? 1 : -1;
	if (x->error_s != y->error_s)
		return x->error_s < y->error_s ? 1 : -1;
	return strcmp(x->name, y->name);
}

void
tally_sort_destinations(struct tally *t)
{
	if (t->ndestinations > 1)
		qsort(t->destinations, t->ndestinations,
		    sizeof(*t->destinations), by_size);
}

void
tally_clear(struct tally *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->v[i].key);
		free(t->v[i].h);
	}
	for (i = 0; i < t->ndestinations; i++) {
		free(t->destinations[i].name);
		free(t->destinations[i].error);
	}
	free(t->v);
	free(t->destinations);
	memset(t, 0, sizeof(*t));
}
