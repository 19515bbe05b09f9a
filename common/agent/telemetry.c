/*
 * telemetry.c - times by phase, and destinations: a bounded table of those
 * used last, joined with the connections of the agent's pool when it is told.
 * What is counted costs an increment or a look into a table; texts are made
 * once a second.
 */
#include "agent/telemetry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/front.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/pool.h"

#define NAME_BYTES_MAX	240	/* of a host */

struct phases *
agent_phases(struct agent *a)
{
	return &a->telemetry.phases;
}

void
agent_watch_pool(struct agent *a, const struct pool *pool)
{
	a->telemetry.pool = pool;
}

void
telemetry_init(struct telemetry *t)
{
	TAILQ_INIT(&t->used);
}

/* ---- the table ---- */

static void
forget(struct telemetry *t, struct destination *d)
{
	TAILQ_REMOVE(&t->used, d, used);
	LIST_REMOVE(d, in_bucket);
	t->ndestinations--;
	free(d->error);
	free(d);
}

void
telemetry_clear(struct telemetry *t)
{
	struct destination *d;

	while ((d = TAILQ_FIRST(&t->used)) != NULL)
		forget(t, d);
}

static uint32_t
hash_place(const char *host, uint16_t port)
{
	uint32_t h = 2166136261U ^ port;	/* FNV-1a */

	while (*host != '\0')
		h = (h ^ (uint8_t)*host++) * 16777619U;
	return h;
}

/* "192.0.2.1:25", "[2001:db8::1]:25"; without a port the path of a UNIX
 * socket, or a name. */
static struct destination *
add(struct telemetry *t, const char *host, uint16_t port, uint32_t hash)
{
	size_t n = strlen(host);
	struct destination *d = xmalloc(sizeof(*d) + n + sizeof("[]:65535"));
	bool has_colon = port != 0 && strchr(host, ':') != NULL;

	memset(d, 0, sizeof(*d));
	d->hash = hash;
	d->port = port;
	d->host_at = has_colon;
	d->host_len = (uint16_t)n;
	if (port == 0)
		memcpy(d->name, host, n + 1);
	else
		snprintf(d->name, n + sizeof("[]:65535"), has_colon ?
		    "[%s]:%u" : "%s:%u", host, port);
	LIST_INSERT_HEAD(&t->buckets[hash % TELEMETRY_BUCKETS], d, in_bucket);
	TAILQ_INSERT_HEAD(&t->used, d, used);
	t->ndestinations++;
	return d;
}

static bool
is_of(const struct destination *d, const char *host, uint16_t port,
    uint32_t hash)
{
	return d->hash == hash && d->port == port &&
	    strncmp(d->name + d->host_at, host, d->host_len) == 0 &&
	    host[d->host_len] == '\0';
}

/* The one of this place, as used last; a new one takes the place of the one
 * that was not used for longest. */
static struct destination *
find(struct telemetry *t, const char *host, uint16_t port)
{
	uint32_t hash = hash_place(host, port);
	struct destination *d;

	LIST_FOREACH(d, &t->buckets[hash % TELEMETRY_BUCKETS], in_bucket)
		if (is_of(d, host, port, hash))
			break;
	if (d == NULL) {
		if (t->ndestinations >= DESTINATIONS_KEPT)
			forget(t, TAILQ_LAST(&t->used, destination_list));
		return add(t, host, port, hash);
	}
	if (d != TAILQ_FIRST(&t->used)) {
		TAILQ_REMOVE(&t->used, d, used);
		TAILQ_INSERT_HEAD(&t->used, d, used);
	}
	return d;
}

/* ---- answers ---- */

static void
keep_error(struct destination *d, const struct reply *r)
{
	char text[DESTINATION_ERROR_MAX + 1];

	d->error_s = clock_wall_ms() / 1000;
	snprintf(text, sizeof(text), "%03u ", r->code % 1000U);
	str_escape(text + 4, sizeof(text) - 4, r->text, strlen(r->text));
	if (d->error != NULL && strcmp(d->error, text) == 0)
		return;			/* mostly */
	free(d->error);
	d->error = xstrdup(text);
}

void
telemetry_answer(struct telemetry *t, const struct answer *a)
{
	const char *host = *a->address != '\0' ? a->address : a->host;
	struct destination *d;

	if (*host == '\0' || strlen(host) > NAME_BYTES_MAX)
		return;			/* it came to no host */
	d = find(t, host, a->port);
	d->answers[a->reply.cls <= REPLY_PERMANENT ? a->reply.cls : 0]++;
	if (a->reply.cls != REPLY_DELIVERED)
		keep_error(d, &a->reply);
}

/* ---- telling ---- */

static void
take_any(void *arg, const struct addr *addr, uint32_t places, uint32_t idle,
    uint32_t waiting)
{
	struct telemetry *t = arg;
	char text[ADDR_TEXT_MAX];
	struct destination *d;

	d = find(t, addr_format(addr, text, sizeof(text)), addr_port(addr));
	d->waiting = waiting;
	d->connections = places;
	d->idle = idle;
}

/* Behind the others: with more hosts than are kept these stay. */
static void
take_waiting(void *arg, const struct addr *addr, uint32_t places,
    uint32_t idle, uint32_t waiting)
{
	if (waiting > 0)
		take_any(arg, addr, places, idle, waiting);
}

/* Whoever keeps others waiting first. */
static int
by_size(const void *a, const void *b)
{
	const struct destination *x = *(struct destination *const *)a;
	const struct destination *y = *(struct destination *const *)b;

	if (x->waiting != y->waiting)
		return x->waiting < y->waiting ? 1 : -1;
	if (x->connections != y->connections)
		return x->connections < y->connections ? 1 : -1;
	if (x->error_s != y->error_s)
		return x->error_s < y->error_s ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void
put_destination(struct frame_out *o, const struct destination *d)
{
	frame_put_text(o, ATTR_STAT_DESTINATION, d->name);
	if (d->error != NULL)
		frame_put_text(o, ATTR_STAT_ERROR, d->error);
	frame_put_stat(o, "waiting", d->waiting);
	frame_put_stat(o, "connections", d->connections);
	frame_put_stat(o, "connections_idle", d->idle);
	frame_put_stat(o, "delivered", d->answers[REPLY_DELIVERED]);
	frame_put_stat(o, "transient", d->answers[REPLY_TRANSIENT]);
	frame_put_stat(o, "permanent", d->answers[REPLY_PERMANENT]);
	frame_put_stat(o, "last_error_timestamp_seconds", (uint64_t)d->error_s);
}

static void
put_destinations(struct telemetry *t, struct frame_out *o)
{
	struct destination *d, **all;
	unsigned i, n = 0;

	TAILQ_FOREACH(d, &t->used, used)
		d->waiting = d->connections = d->idle = 0;
	if (t->pool != NULL) {
		pool_each(t->pool, take_any, t);
		pool_each(t->pool, take_waiting, t);
	}
	if (t->ndestinations == 0)
		return;
	all = xcalloc(t->ndestinations, sizeof(struct destination *));
	TAILQ_FOREACH(d, &t->used, used)
		all[n++] = d;
	qsort(all, n, sizeof(struct destination *), by_size);
	for (i = 0; i < n && i < DESTINATIONS_SENT; i++)
		put_destination(o, all[i]);
	free(all);
}

static void
put_histogram(struct frame_out *o, enum phase phase,
    const struct histogram *h)
{
	uint8_t bytes[(1 + HISTOGRAM_BUCKETS) * 8];
	char name[64];
	unsigned i;

	snprintf(name, sizeof(name), "phase{phase=\"%s\"}",
	    phase_name(phase));
	put_be64(bytes, h->sum_us);
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		put_be64(bytes + 8 + (size_t)i * 8, h->n[i]);
	frame_put_text(o, ATTR_STAT_NAME, name);
	frame_put(o, ATTR_STAT_HISTOGRAM, bytes, sizeof(bytes));
}

void
telemetry_put(struct telemetry *t, struct frame_out *o)
{
	unsigned i;

	for (i = 0; i < PHASES; i++)
		if (histogram_count(&t->phases.h[i]) > 0)
			put_histogram(o, (enum phase)i, &t->phases.h[i]);
	put_destinations(t, o);
}
