/*
 * metrics.c - what master and agents count, in Prometheus' text format.  The
 * rows are those of base/metric.h: a row that nobody fills is shown with its
 * HELP and TYPE alone.
 */
#include "master.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "base/str.h"
#include "paths.h"

#define LABEL_BYTES_MAX	512
#define LINE_BYTES_MAX	4096

struct page {			/* one answer under way */
	const struct master *m;
	struct buf	*b;
	struct source {
		const struct service *sv;	/* or */
		const struct door *door;
		struct relay_sum sum;
		struct tally tally;
		char	 label[LABEL_BYTES_MAX];	/* relay="...", or "" */
	}		*v;
	size_t		 n;
	size_t		 ndestinations;	/* of a relay */
};

/* ---- the format ---- */

/* NAME="VALUE" with what must be escaped there; bytes that are no UTF-8, as a
 * name of a host may hold, are shown as \xHH. */
static void
put_label(char *to, size_t size, const char *name, const char *value)
{
	char shown[LABEL_BYTES_MAX / 2];
	size_t at = (size_t)snprintf(to, size, "%s=\"", name);

	if (!str_is_utf8(value, strlen(value)) || str_has_control(value) ||
	    strlen(value) >= sizeof(shown)) {
		str_escape(shown, sizeof(shown), value, strlen(value));
		value = shown;
	}
	for (; *value != '\0' && at + 4 < size; value++) {
		if (*value == '"' || *value == '\\')
			to[at++] = '\\';
		to[at++] = *value;
	}
	to[at++] = '"';
	to[at] = '\0';
}

static void
put_head(struct page *p, const char *name, enum metric_kind kind,
    const char *text)
{
	buf_printf(p->b, "# HELP %s %s\n# TYPE %s %s\n", name, text, name,
	    metric_kind_name(kind));
}

/* labels: joined by commas, or "". */
static void
put_value(struct page *p, const char *name, const char *labels,
    uint64_t value)
{
	if (*labels == '\0')
		buf_printf(p->b, "%s %ju\n", name, (uintmax_t)value);
	else
		buf_printf(p->b, "%s{%s} %ju\n", name, labels,
		    (uintmax_t)value);
}

static void
put_histogram(struct page *p, const char *name, const char *labels,
    const struct histogram *h)
{
	const char *comma = *labels == '\0' ? "" : ",";
	uint64_t count = 0;
	unsigned i;

	for (i = 0; i < HISTOGRAM_BOUNDS; i++) {
		count += h->n[i];
		buf_printf(p->b, "%s_bucket{%s%sle=\"%.10g\"} %ju\n", name,
		    labels, comma, (double)histogram_bounds_us[i] / 1e6,
		    (uintmax_t)count);
	}
	count += h->n[i];
	buf_printf(p->b, "%s_bucket{%s%sle=\"+Inf\"} %ju\n", name, labels,
	    comma, (uintmax_t)count);
	buf_printf(p->b, "%s_sum{%s} %ju.%06ju\n%s_count{%s} %ju\n", name,
	    labels, (uintmax_t)(h->sum_us / 1000000),
	    (uintmax_t)(h->sum_us % 1000000), name, labels, (uintmax_t)count);
}

/* ---- of the master ---- */

static void
put_master(struct page *p, const struct metric_row *row, const char *full)
{
	const struct master *m = p->m;
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{ "start_time_seconds", (uint64_t)(m->started_ms / 1000) },
		{ "up", m->state == MASTER_RUNNING },
		{ "submitters", m->nsubmitters },
		{ "deliveries_open", m->njobs },
		{ "queued_bytes", m->queued_bytes },
		{ "recipients_refused", m->refused },
	};
	size_t i;

	if (strcmp(row->name, "info") == 0)
		put_value(p, full, "version=\"" NEXTHOP_VERSION "\"", 1);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(row->name, values[i].name) == 0)
			put_value(p, full, "", values[i].value);
}

/* ---- of relays ---- */

static void
put_relay_value(struct page *p, const struct metric_row *row,
    const char *full, const struct source *s)
{
	const struct service *sv = s->sv;
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{ "up", s->sum.ready > 0 },
		{ "agents", s->sum.gen == NULL ? 0 : s->sum.gen->nchildren },
		{ "agents_ready", s->sum.ready },
		{ "generation", sv->ngenerations },
		{ "restarts", sv->restarts },
		{ "last_error_timestamp_seconds",
		    (uint64_t)(sv->last_error_ms / 1000) },
		{ "window", s->sum.window },
		{ "deliveries_open", s->sum.open },
		{ "deliveries_queued", sv->nqueued },
		{ "deliveries_held", sv->nheld },
		{ "recipients_forwarded", sv->forwarded },
	};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(row->name, values[i].name) == 0)
			put_value(p, full, s->label, values[i].value);
}

/* All classes at all stages where there was an answer; the sum of a class is
 * there from the start, as its first is an event to alert on. */
static void
put_recipients(struct page *p, const char *full, const struct source *s)
{
	char labels[LABEL_BYTES_MAX + 64], step[64];
	unsigned cls, stage;
	uint64_t n;

	for (cls = REPLY_DELIVERED; cls <= REPLY_PERMANENT; cls++)
		for (stage = 0; stage <= STAGE_RUN; stage++) {
			n = s->sv->metrics.answers[cls][stage];
			if (n == 0 && stage != STAGE_NONE)
				continue;
			put_label(step, sizeof(step), "stage",
			    stage == STAGE_NONE ? "none" :
			    stage_name((enum stage)stage));
			snprintf(labels, sizeof(labels), "%s,class=\"%s\",%s",
			    s->label, reply_class_name((enum reply_class)cls),
			    step);
			put_value(p, full, labels, n);
		}
}

static void
put_delivery(struct page *p, const char *full, const struct source *s)
{
	char labels[LABEL_BYTES_MAX + 64];
	unsigned cls;

	for (cls = REPLY_DELIVERED; cls <= REPLY_PERMANENT; cls++) {
		snprintf(labels, sizeof(labels), "%s,class=\"%s\"", s->label,
		    reply_class_name((enum reply_class)cls));
		put_histogram(p, full, labels,
		    &s->sv->metrics.delivery[cls]);
	}
}

static void
put_relay(struct page *p, const struct metric_row *row, const char *full)
{
	const struct source *s;

	for (s = p->v; s < p->v + p->n; s++)
		if (s->sv == NULL)
			continue;
		else if (strcmp(row->name, "recipients") == 0)
			put_recipients(p, full, s);
		else if (strcmp(row->name, "delivery") == 0)
			put_delivery(p, full, s);
		else if (strcmp(row->name, "queue") == 0)
			put_histogram(p, full, s->label,
			    &s->sv->metrics.queue);
		else
			put_relay_value(p, row, full, s);
}

/* ---- of doors ---- */

static void
put_door(struct page *p, const struct metric_row *row, const char *full)
{
	char labels[LABEL_BYTES_MAX + 32];
	const struct source *s;
	const struct door *d;
	uint64_t value;

	for (s = p->v; s < p->v + p->n; s++) {
		if ((d = s->door) == NULL)
			continue;
		value = strcmp(row->name, "up") == 0 ? s->sum.ready > 0 :
		    strcmp(row->name, "processes") == 0 ?
		    (s->sum.gen == NULL ? 0 : s->sum.gen->nchildren) :
		    strcmp(row->name, "processes_ready") == 0 ? s->sum.ready :
		    strcmp(row->name, "restarts") == 0 ? d->restarts :
		    strcmp(row->name, "deliveries") == 0 ? d->deliveries :
		    s->sum.open;
		put_label(labels, LABEL_BYTES_MAX, "door", d->name);
		snprintf(labels + strlen(labels), 32, ",kind=\"%s\"",
		    conf_kind_name(d->kind));
		put_value(p, full, labels, value);
	}
}

/* ---- of agents ---- */

/* Behind the relay's label those of the series itself. */
static void
put_series(struct page *p, const char *full, const struct source *s,
    const struct series *series)
{
	char labels[LABEL_BYTES_MAX + TALLY_KEY_MAX];
	const char *own = series->key + series->name_len;
	size_t n = strlen(own);

	snprintf(labels, sizeof(labels), "%s%s%.*s", s->label,
	    n > 2 && *s->label != '\0' ? "," : "", n > 2 ? (int)n - 2 : 0,
	    own + (n > 0));
	if (series->h != NULL)
		put_histogram(p, full, labels, series->h);
	else
		put_value(p, full, labels, series->value);
}

static void
put_agent(struct page *p, const struct metric_row *row, const char *full)
{
	const struct source *s;
	size_t i;

	for (s = p->v; s < p->v + p->n; s++)
		for (i = 0; i < s->tally.n; i++)
			if (s->tally.v[i].row == row)
				put_series(p, full, s, &s->tally.v[i]);
}

static bool
is_same_name(const struct series *a, const struct series *b)
{
	return b->row == NULL && a->name_len == b->name_len &&
	    memcmp(a->key, b->key, a->name_len) == 0;
}

/* Was it shown with an earlier one of its name? */
static bool
is_shown(const struct page *p, const struct source *of,
    const struct series *series)
{
	const struct source *s;
	size_t i;

	for (s = p->v; s <= of; s++)
		for (i = 0; i < s->tally.n && &s->tally.v[i] != series; i++)
			if (is_same_name(series, &s->tally.v[i]))
				return true;
	return false;
}

/* What agents of the operator's own count: nobody knows what it means. */
static void
put_custom(struct page *p, const struct source *of,
    const struct series *series)
{
	char full[METRIC_NAME_MAX];
	const struct source *s;
	size_t i;

	if (series->row != NULL || is_shown(p, of, series))
		return;
	snprintf(full, sizeof(full), "nexthop_custom_%.*s%s",
	    (int)series->name_len, series->key,
	    series->kind == METRIC_HISTOGRAM ? "_seconds" : "");
	put_head(p, full, series->kind, "Counted by an agent of the "
	    "operator's own.");
	for (s = of; s < p->v + p->n; s++)
		for (i = 0; i < s->tally.n; i++)
			if (is_same_name(series, &s->tally.v[i]) &&
			    s->tally.v[i].kind == series->kind)
				put_series(p, full, s, &s->tally.v[i]);
}

/* ---- of destinations ---- */

static uint64_t
destination_value(const struct metric_row *row,
    const struct tally_destination *d)
{
	return strcmp(row->name, "waiting") == 0 ? d->waiting :
	    strcmp(row->name, "connections") == 0 ? d->connections :
	    strcmp(row->name, "connections_idle") == 0 ? d->idle :
	    d->error_s;
}

static void
put_destination(struct page *p, const struct metric_row *row,
    const char *full)
{
	char labels[2 * LABEL_BYTES_MAX], host[LABEL_BYTES_MAX];
	const struct source *s;
	size_t i;

	for (s = p->v; s < p->v + p->n; s++)
		for (i = 0; i < s->tally.ndestinations &&
		    i < p->ndestinations; i++) {
			put_label(host, sizeof(host), "destination",
			    s->tally.destinations[i].name);
			snprintf(labels, sizeof(labels), "%s,%s", s->label,
			    host);
			put_value(p, full, labels, destination_value(row,
			    &s->tally.destinations[i]));
		}
}

/* ---- the whole ---- */

static void
gather(struct page *p)
{
	const struct service *sv;
	const struct door *d;
	struct source *s;

	TAILQ_FOREACH(sv, &p->m->services, next)
		p->n++;
	TAILQ_FOREACH(d, &p->m->doors, next)
		p->n++;
	p->v = xcalloc(p->n + 1, sizeof(*p->v));
	s = p->v;
	TAILQ_FOREACH(sv, &p->m->services, next) {
		s->sv = sv;
		status_sum_up(sv, &s->sum);
		metrics_tally(sv, &s->tally);
		put_label(s->label, sizeof(s->label), "relay", sv->name);
		s++;
	}
	TAILQ_FOREACH(d, &p->m->doors, next) {
		s->door = d;
		status_sum_up_door(d, &s->sum);
		metrics_tally_door(d, &s->tally);
		if (d->kind == CONF_INTAKE)
			put_label(s->label, sizeof(s->label), "intake",
			    d->name);
		s++;
	}
}

static void
put_row(struct page *p, const struct metric_row *row)
{
	char full[METRIC_NAME_MAX];

	metric_full_name(row, full);
	put_head(p, full, row->kind, row->text);
	if (strcmp(row->part, "master") == 0)
		put_master(p, row, full);
	else if (strcmp(row->part, "relay") == 0)
		put_relay(p, row, full);
	else if (strcmp(row->part, "destination") == 0)
		put_destination(p, row, full);
	else if (strcmp(row->part, "door") == 0)
		put_door(p, row, full);
	else
		put_agent(p, row, full);
}

void
metrics_print(const struct master *m, unsigned ndestinations, struct buf *b)
{
	struct page p = { .m = m, .b = b, .ndestinations = ndestinations };
	const struct metric_row *row;
	struct source *s;
	size_t i;

	gather(&p);
	for (row = metric_rows; row->part != NULL; row++)
		put_row(&p, row);
	for (s = p.v; s < p.v + p.n; s++)
		for (i = 0; i < s->tally.n; i++)
			put_custom(&p, s, &s->tally.v[i]);
	for (s = p.v; s < p.v + p.n; s++)
		tally_clear(&s->tally);
	free(p.v);
}

/* ---- the command ---- */

/* The relays that have no ready agent, a line each; 0 where all have one. */
static int
put_health(const struct master *m, struct buf *b)
{
	const struct service *sv;
	struct relay_sum sum;
	int status = m->state == MASTER_RUNNING ? EX_OK : EX_TEMPFAIL;
	char shown[LABEL_BYTES_MAX];

	if (status != EX_OK)
		buf_puts(b, "the master is not running yet, or stopping\n");
	TAILQ_FOREACH(sv, &m->services, next) {
		status_sum_up(sv, &sum);
		if (sum.ready > 0)
			continue;
		str_escape(shown, sizeof(shown), sv->name, sv->name_len);
		buf_printf(b, "relay %s has no ready agent\n", shown);
		status = EX_TEMPFAIL;
	}
	if (status == EX_OK)
		buf_puts(b, "ok\n");
	return status;
}

int
metrics_command(const struct master *m, const char *const *args,
    size_t nargs, struct buf *out)
{
	static const char option[] = "--destinations=";
	int64_t ndestinations = METRICS_DESTINATIONS;
	bool is_health = false;
	size_t i;

	for (i = 0; i < nargs; i++)
		if (strcmp(args[i], "--health") == 0)
			is_health = true;
		else if (strncmp(args[i], option, sizeof(option) - 1) != 0 ||
		    str_to_int64(args[i] + sizeof(option) - 1, 0,
		    TALLY_DESTINATIONS_MAX, &ndestinations) == -1) {
			buf_printf(out, "metrics: wrong argument %s\n",
			    args[i]);
			return EX_USAGE;
		}
	if (is_health)
		return put_health(m, out);
	metrics_print(m, (unsigned)ndestinations, out);
	if (out->max - buf_len(out) > LINE_BYTES_MAX)
		return EX_OK;
	buf_clear(out);			/* half of it would mislead */
	buf_puts(out, "metrics: too much for one answer; fewer destinations "
	    "make it shorter\n");
	return EX_UNAVAILABLE;
}
