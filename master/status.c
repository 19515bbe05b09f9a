/*
 * status.c - what `nexthop status` shows: a table for people and scripts, one
 * object for programs.
 */
#include "master.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "paths.h"

static const char *const master_states[] = {
	[MASTER_STARTING] = "starting",
	[MASTER_RUNNING] = "running",
	[MASTER_CLOSING] = "stopping",
	[MASTER_STOPPING] = "stopping",
};

static void
add_pid(struct relay_sum *sum, const struct child *c)
{
	size_t n = strlen(sum->pids);

	if (c->process.pid != 0)
		snprintf(sum->pids + n, sizeof(sum->pids) - n, "%s%d",
		    n > 0 ? "," : "", (int)c->process.pid);
}

void
status_sum_up(const struct service *sv, struct relay_sum *sum)
{
	const struct child *c;
	int64_t up;
	unsigned i;

	memset(sum, 0, sizeof(*sum));
	sum->gen = sv->current != NULL ? sv->current : TAILQ_FIRST(&sv->old);
	for (i = 0; sum->gen != NULL && i < sum->gen->nchildren; i++) {
		c = &sum->gen->children[i];
		add_pid(sum, c);
		sum->open += c->open;
		sum->alive += child_is_alive(c);
		if (c->state != CHILD_READY)
			continue;
		sum->ready++;
		sum->window += c->window;
		up = (loop_now_ms(sum->gen->loop) - c->started_ms) / 1000;
		if (sum->ready == 1 || up < sum->up_s)
			sum->up_s = up;
	}
	sum->state = sv->is_ending ? "draining" : sum->gen == NULL ? "down" :
	    sum->ready == sum->gen->nchildren ? "ready" :
	    sum->ready > 0 ? "partly" : sum->alive > 0 ? "starting" : "down";
}

/* The same of a door; open are the deliveries that it waits for. */
void
status_sum_up_door(const struct door *d, struct relay_sum *sum)
{
	const struct child *c;
	int64_t up;
	unsigned i;

	memset(sum, 0, sizeof(*sum));
	sum->gen = d->current != NULL ? d->current : TAILQ_FIRST(&d->old);
	for (i = 0; sum->gen != NULL && i < sum->gen->nchildren; i++) {
		c = &sum->gen->children[i];
		add_pid(sum, c);
		sum->alive += child_is_alive(c);
		if (c->submitter != NULL)
			sum->open += c->submitter->nopen;
		if (c->state != CHILD_READY)
			continue;
		sum->ready++;
		up = (loop_now_ms(sum->gen->loop) - c->started_ms) / 1000;
		if (sum->ready == 1 || up < sum->up_s)
			sum->up_s = up;
	}
	sum->state = d->current == NULL || sum->gen == NULL ? "draining" :
	    sum->ready == sum->gen->nchildren ? "ready" :
	    sum->ready > 0 ? "partly" : sum->alive > 0 ? "starting" : "down";
}

/* ---- text and tsv ---- */

static void
put_cell(struct buf *b, const char *s, bool is_tsv, int width, bool is_last)
{
	char shown[600];

	str_escape(shown, sizeof(shown), s, strlen(s));
	if (is_tsv)
		buf_printf(b, "%s%s", shown, is_last ? "\n" : "\t");
	else if (is_last)
		buf_printf(b, "%s\n", shown);
	else
		buf_printf(b, "%-*s ", width, *shown == '\0' ? "-" : shown);
}

static void
put_number(struct buf *b, uint64_t n, bool is_tsv, int width)
{
	if (is_tsv)
		buf_printf(b, "%ju\t", (uintmax_t)n);
	else
		buf_printf(b, "%*ju ", width, (uintmax_t)n);
}

static void
put_row(struct buf *b, const struct service *sv, bool is_tsv)
{
	struct relay_sum sum;

	status_sum_up(sv, &sum);
	put_cell(b, sv->name, is_tsv, 16, false);
	put_cell(b, sum.gen == NULL ? "" : sum.gen->conf->type, is_tsv, 9,
	    false);
	put_cell(b, sum.state, is_tsv, 8, false);
	put_cell(b, sum.pids, is_tsv, 15, false);
	put_number(b, sv->ngenerations, is_tsv, 3);
	put_number(b, sum.window, is_tsv, 6);
	put_number(b, sum.open, is_tsv, 6);
	put_number(b, sv->nqueued, is_tsv, 6);
	put_number(b, sv->answers[REPLY_DELIVERED], is_tsv, 9);
	put_number(b, sv->answers[REPLY_TRANSIENT], is_tsv, 9);
	put_number(b, sv->answers[REPLY_PERMANENT], is_tsv, 9);
	put_number(b, sv->forwarded, is_tsv, 9);
	put_number(b, sv->restarts, is_tsv, 8);
	put_number(b, (uint64_t)sum.up_s, is_tsv, 8);
	put_cell(b, sv->last_error == NULL ? "" : sv->last_error, is_tsv, 0,
	    true);
}

/* What a door has no number for is 0. */
static void
put_door_row(struct buf *b, const struct door *d, bool is_tsv)
{
	struct relay_sum sum;
	int i;

	status_sum_up_door(d, &sum);
	put_cell(b, d->name, is_tsv, 16, false);
	put_cell(b, d->kind == CONF_INTAKE ? "intake" : "metrics", is_tsv, 9,
	    false);
	put_cell(b, sum.state, is_tsv, 8, false);
	put_cell(b, sum.pids, is_tsv, 15, false);
	put_number(b, d->ngenerations, is_tsv, 3);
	put_number(b, 0, is_tsv, 6);
	put_number(b, sum.open, is_tsv, 6);
	put_number(b, 0, is_tsv, 6);
	for (i = 0; i < 4; i++)
		put_number(b, 0, is_tsv, 9);
	put_number(b, d->restarts, is_tsv, 8);
	put_number(b, (uint64_t)sum.up_s, is_tsv, 8);
	put_cell(b, d->last_error == NULL ? "" : d->last_error, is_tsv, 0,
	    true);
}

static void
print_table(const struct master *m, struct buf *b, bool is_tsv)
{
	const struct service *sv;
	const struct door *d;

	if (is_tsv)
		buf_puts(b, "relay\ttype\tstate\tpids\tgeneration\twindow\t"
		    "open\tqueued\tdelivered\ttransient\tpermanent\tforwarded\t"
		    "restarts\tuptime\tlast_error\n");
	else
		buf_printf(b, "nexthop-master %s, pid %d, %s, %u submitters\n"
		    "%-16s %-9s %-8s %-15s %3s %6s %6s %6s %9s %9s %9s %9s "
		    "%8s %8s %s\n", NEXTHOP_VERSION, (int)getpid(),
		    master_states[m->state], m->nsubmitters, "RELAY", "TYPE",
		    "STATE", "PIDS", "GEN", "WINDOW", "OPEN", "QUEUED",
		    "DELIVERED", "TRANSIENT", "PERMANENT", "FORWARDED",
		    "RESTARTS", "UPTIME", "LAST ERROR");
	TAILQ_FOREACH(sv, &m->services, next)
		put_row(b, sv, is_tsv);
	TAILQ_FOREACH(d, &m->doors, next)
		put_door_row(b, d, is_tsv);
}

/* ---- json ---- */

static void
put_text(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\":", name);
	if (value == NULL)
		buf_puts(b, "null");
	else
		buf_json(b, value);
	buf_puts(b, ",");
}

static void
put_integer(struct buf *b, const char *name, int64_t value)
{
	buf_printf(b, "\"%s\":%jd,", name, (intmax_t)value);
}

/* The comma behind the last member goes. */
static void
close_json(struct buf *b, const char *end)
{
	if (buf_data(b)[buf_len(b) - 1] == ',')
		b->end--;
	buf_puts(b, end);
}

static void
put_stats(struct buf *b, const struct buf *stats)
{
	const struct frame f = {
		.attrs = (const uint8_t *)buf_data(stats),
		.attrs_len = buf_len(stats)
	};
	struct attr a, name = { 0, 0, NULL };
	char shown[256];
	size_t at = 0;
	uint64_t value;

	buf_puts(b, "\"stats\":{");
	while (f.attrs_len > 0 && frame_next(&f, &at, &a) == 1) {
		if (a.tag == ATTR_STAT_DESTINATION)
			break;		/* they are told by the relay */
		if (a.tag == ATTR_STAT_NAME)
			name = a;
		else if (a.tag == ATTR_STAT_VALUE && name.data != NULL &&
		    attr_u64(&a, &value) == 0) {
			str_escape(shown, sizeof(shown), name.data, name.len);
			buf_json(b, shown);
			buf_printf(b, ":%ju,", (uintmax_t)value);
		}
	}
	close_json(b, "}");
}

static void
put_generation(struct buf *b, const struct generation *g)
{
	const struct child *c;
	unsigned i;

	for (i = 0; i < g->nchildren; i++) {
		c = &g->children[i];
		buf_puts(b, "{");
		put_integer(b, "pid", c->process.pid);
		put_integer(b, "generation", g->number);
		put_text(b, "state", child_state_name(c));
		put_text(b, "program", g->conf->program);
		put_text(b, "agent", c->agent);
		put_text(b, "version", c->program);
		put_integer(b, "window", c->window);
		put_integer(b, "open", c->open);
		put_integer(b, "uptime_s", child_is_alive(c) ?
		    (loop_now_ms(g->loop) - c->started_ms) / 1000 : 0);
		put_stats(b, &c->stats);
		close_json(b, "},");
	}
}

/* How often each time occurred, by the bounds told at the top. */
static void
put_histogram(struct buf *b, const char *name, const struct histogram *h)
{
	unsigned i;

	buf_printf(b, "\"%s\":{\"sum_us\":%ju,\"counts\":[", name,
	    (uintmax_t)h->sum_us);
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		buf_printf(b, "%s%ju", i > 0 ? "," : "",
		    (uintmax_t)h->n[i]);
	buf_puts(b, "]},");
}

static void
put_times(struct buf *b, const struct service *sv, const struct tally *t)
{
	static const char begin[] = "phase{phase=\"";
	struct histogram all = { .sum_us = 0 };
	char name[64];
	size_t i, n;

	for (i = REPLY_DELIVERED; i <= REPLY_PERMANENT; i++)
		histogram_add(&all, &sv->metrics.delivery[i]);
	buf_puts(b, "\"times\":{");
	put_histogram(b, "delivery", &all);
	put_histogram(b, "queue", &sv->metrics.queue);
	for (i = 0; i < t->n; i++) {
		n = strlen(t->v[i].key);
		if (t->v[i].h == NULL || n > sizeof(name) ||
		    strncmp(t->v[i].key, begin, sizeof(begin) - 1) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s",
		    (int)(n - sizeof(begin) - 1),
		    t->v[i].key + sizeof(begin) - 1);
		put_histogram(b, name, t->v[i].h);
	}
	close_json(b, "},");
}

static void
put_destinations(struct buf *b, const struct tally *t)
{
	const struct tally_destination *d;
	size_t i;

	buf_puts(b, "\"destinations\":[");
	for (i = 0; i < t->ndestinations; i++) {
		d = &t->destinations[i];
		buf_puts(b, "{");
		put_text(b, "destination", d->name);
		put_integer(b, "waiting", (int64_t)d->waiting);
		put_integer(b, "connections", (int64_t)d->connections);
		put_integer(b, "idle", (int64_t)d->idle);
		put_integer(b, "delivered", (int64_t)d->delivered);
		put_integer(b, "transient", (int64_t)d->transient);
		put_integer(b, "permanent", (int64_t)d->permanent);
		put_text(b, "last_error", d->error);
		put_integer(b, "last_error_at", (int64_t)d->error_s);
		close_json(b, "},");
	}
	close_json(b, "],");
}

static void
put_relay(struct buf *b, const struct service *sv)
{
	struct tally tally = { .n = 0 };
	const struct generation *g;
	struct relay_sum sum;

	status_sum_up(sv, &sum);
	buf_puts(b, "{");
	put_text(b, "relay", sv->name);
	put_text(b, "type", sum.gen == NULL ? NULL : sum.gen->conf->type);
	put_text(b, "state", sum.state);
	put_integer(b, "generation", sv->ngenerations);
	put_integer(b, "window", (int64_t)sum.window);
	put_integer(b, "open", (int64_t)sum.open);
	put_integer(b, "queued", sv->nqueued);
	put_integer(b, "held", sv->nheld);
	put_integer(b, "delivered", (int64_t)sv->answers[REPLY_DELIVERED]);
	put_integer(b, "transient", (int64_t)sv->answers[REPLY_TRANSIENT]);
	put_integer(b, "permanent", (int64_t)sv->answers[REPLY_PERMANENT]);
	put_integer(b, "forwarded", (int64_t)sv->forwarded);
	put_integer(b, "restarts", (int64_t)sv->restarts);
	put_integer(b, "uptime_s", sum.up_s);
	put_text(b, "last_error", sv->last_error);
	put_integer(b, "last_error_at", sv->last_error_ms / 1000);
	metrics_tally(sv, &tally);
	put_times(b, sv, &tally);
	put_destinations(b, &tally);
	tally_clear(&tally);
	buf_puts(b, "\"agents\":[");
	if (sv->current != NULL)
		put_generation(b, sv->current);
	TAILQ_FOREACH(g, &sv->old, next)
		put_generation(b, g);
	close_json(b, "]},");
}

static void
put_door(struct buf *b, const struct door *d)
{
	const struct generation *g;
	struct relay_sum sum;
	size_t i;

	status_sum_up_door(d, &sum);
	buf_puts(b, "{");
	put_text(b, "name", d->name);
	put_text(b, "kind", conf_kind_name(d->kind));
	put_text(b, "type", sum.gen == NULL ? NULL : sum.gen->conf->type);
	put_text(b, "state", sum.state);
	put_integer(b, "generation", d->ngenerations);
	put_integer(b, "open", (int64_t)sum.open);
	put_integer(b, "deliveries", (int64_t)d->deliveries);
	put_integer(b, "restarts", (int64_t)d->restarts);
	put_integer(b, "uptime_s", sum.up_s);
	put_text(b, "last_error", d->last_error);
	put_integer(b, "last_error_at", d->last_error_ms / 1000);
	buf_puts(b, "\"listen\":[");
	for (i = 0; sum.gen != NULL && i < sum.gen->conf->nlisten; i++) {
		buf_json(b, sum.gen->conf->listen[i]);
		buf_puts(b, ",");
	}
	close_json(b, "],\"processes\":[");
	if (d->current != NULL)
		put_generation(b, d->current);
	TAILQ_FOREACH(g, &d->old, next)
		put_generation(b, g);
	close_json(b, "]},");
}

static void
print_json(const struct master *m, struct buf *b)
{
	const struct service *sv;
	const struct door *d;
	unsigned i;

	buf_puts(b, "{");
	put_text(b, "version", NEXTHOP_VERSION);
	put_integer(b, "pid", getpid());
	put_text(b, "state", master_states[m->state]);
	put_text(b, "config", m->path);
	put_integer(b, "started_at", m->started_ms / 1000);
	put_integer(b, "submitters", m->nsubmitters);
	put_integer(b, "queued_bytes", (int64_t)m->queued_bytes);
	buf_puts(b, "\"bounds_us\":[");
	for (i = 0; i < HISTOGRAM_BOUNDS; i++)
		buf_printf(b, "%jd,", (intmax_t)histogram_bounds_us[i]);
	close_json(b, "],\"relays\":[");
	TAILQ_FOREACH(sv, &m->services, next)
		put_relay(b, sv);
	close_json(b, "],\"doors\":[");
	TAILQ_FOREACH(d, &m->doors, next)
		put_door(b, d);
	close_json(b, "]}\n");
}

void
status_print(const struct master *m, enum status_form form, struct buf *b)
{
	if (form == STATUS_JSON)
		print_json(m, b);
	else
		print_table(m, b, form == STATUS_TSV);
}
