/*
 * door.c - children that face the network in the master's place: intakes and
 * the server of figures.  The master makes their sockets and keeps them; a
 * door's process accepts, and asks the master over its channel: an intake is a
 * submitter, see submit.c.
 *
 * A change of options starts new processes on the same sockets.  The old ones
 * go on accepting until one of the new is ready, then they end their sessions.
 */
#include "master.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static const struct child_ops door_ops;

static const char *const kind_names[] = {
	[CONF_RELAY] = "relay",
	[CONF_INTAKE] = "intake",
	[CONF_METRICS] = "metrics",
};

const char *
conf_kind_name(enum conf_kind kind)
{
	return kind_names[kind];
}

static struct door *
door_of(const struct child *c)
{
	return c->gen->owner;
}

/* ---- sockets ---- */

struct listen_socket **
door_open_sockets(struct sockets *registry, const struct relay_conf *r,
    char *error, size_t size, int *status_r)
{
	const struct socket_look look = { config_mode(r->rows->listen_mode),
	    r->rows->listen_user, r->rows->listen_group };
	struct listen_socket **s = xcalloc(r->nlisten + 1,
	    sizeof(struct listen_socket *));
	size_t i;

	for (i = 0; i < r->nlisten; i++)
		if ((s[i] = sockets_open(registry, r->listen[i], &look, error,
		    size, status_r)) == NULL)
			break;
	if (i == r->nlisten)
		return s;
	while (i > 0)
		sockets_release(registry, s[--i]);
	free(s);
	return NULL;
}

/* ---- from the start to the end ---- */

static void
on_free(void *arg)
{
	struct door *d = arg;
	struct master *m = d->master;
	struct generation *g;

	TAILQ_REMOVE(&m->doors, d, next);
	while ((g = TAILQ_FIRST(&d->old)) != NULL) {
		TAILQ_REMOVE(&d->old, g, next);
		generation_free(g);
	}
	if (d->current != NULL)
		generation_free(d->current);
	tally_clear(&d->past);
	free(d->name);
	free(d->last_error);
	free(d);
	master_check_stopped(m);
}

struct door *
door_new(struct master *m, enum conf_kind kind, const char *name)
{
	struct door *d = xcalloc(1, sizeof(*d));

	d->master = m;
	d->kind = kind;
	d->name = xstrdup(name);
	d->past.part = metrics_part(d);
	TAILQ_INIT(&d->old);
	later_init(&d->free_later, on_free, d);
	TAILQ_INSERT_TAIL(&m->doors, d, next);
	return d;
}

void
door_free(struct door *d)
{
	loop_later(d->master->loop, &d->free_later);
}

static void
check_end(struct door *d)
{
	struct generation *g, *next;

	for (g = TAILQ_FIRST(&d->old); g != NULL; g = next) {
		next = TAILQ_NEXT(g, next);
		if (!g->is_draining || generation_alive(g) > 0)
			continue;
		TAILQ_REMOVE(&d->old, g, next);
		generation_free(g);
	}
	if (d->current == NULL && TAILQ_EMPTY(&d->old))
		door_free(d);
}

static void
drain_old(struct door *d)
{
	struct generation *g;

	TAILQ_FOREACH(g, &d->old, next) {
		generation_stop_listening(g);
		generation_drain(g, d->drain_limit_ms);
	}
	check_end(d);
}

static bool
has_ready(const struct generation *g)
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		if (g->children[i].state == CHILD_READY)
			return true;
	return false;
}

void
door_switch(struct door *d, struct relay_conf *r,
    struct listen_socket **sockets, int64_t drain_limit_ms)
{
	struct master *m = d->master;
	struct generation *g = generation_new(m->loop, m->reaper, r,
	    (unsigned)r->rows->processes, &door_ops, d), *was = d->current;

	generation_listen(g, &m->sockets, sockets, r->nlisten);
	g->number = ++d->ngenerations;
	d->current = g;
	d->drain_limit_ms = drain_limit_ms > 0 ? drain_limit_ms : 1;
	generation_start(g);
	if (was == NULL)
		return;
	TAILQ_INSERT_TAIL(&d->old, was, next);
	if (has_ready(was))	/* until the new ones are */
		return;
	generation_stop_listening(was);
	generation_drain(was, d->drain_limit_ms);
	check_end(d);
}

void
door_end(struct door *d, int64_t drain_limit_ms)
{
	d->drain_limit_ms = drain_limit_ms;
	if (d->current != NULL) {
		TAILQ_INSERT_TAIL(&d->old, d->current, next);
		d->current = NULL;
	}
	drain_old(d);
}

/* ---- children ---- */

static void __attribute__((format(printf, 2, 3)))
set_error(struct door *d, const char *fmt, ...)
{
	va_list ap;

	free(d->last_error);
	va_start(ap, fmt);
	if (vasprintf(&d->last_error, fmt, ap) == -1)
		d->last_error = NULL;
	va_end(ap);
	d->last_error_ms = clock_wall_ms();
}

static void
on_ready(struct child *c)
{
	struct door *d = door_of(c);

	child_tell_ready(c);
	if (d->kind == CONF_INTAKE)
		c->submitter = submitter_of_door(d->master, c);
	if (c->gen == d->current)
		drain_old(d);
}

static void
on_refused(struct child *c, int64_t index, const char *text)
{
	struct door *d = door_of(c);
	struct event_line e;

	(void)index;
	set_error(d, "%s", text);
	if (child_event(&e, EVENT_AGENT_REFUSED, c)) {
		event_message(&e, "%s", text);
		event_end(&e);
	}
}

static void
on_frame(struct child *c, const struct frame *f, const void *bytes)
{
	(void)bytes;
	child_break(c, "unexpected %s frame", frame_type_name(f->type));
}

static void
on_asked(struct child *c, const struct frame *f, const void *bytes, int fd)
{
	struct door *d = door_of(c);

	if (f->type == FRAME_COMMAND && d->kind == CONF_METRICS)
		control_door_command(d->master, c, f);
	else if (f->type == FRAME_DELIVER && d->kind == CONF_INTAKE) {
		c->has_delivered = true;
		d->deliveries++;
		dispatch_deliver(c->submitter, f, bytes, fd);
		return;
	} else if (f->type == FRAME_CANCEL && d->kind == CONF_INTAKE &&
	    f->attrs_len == 0)
		dispatch_cancel(c->submitter, f->id);
	else
		child_break(c, "unexpected %s frame",
		    frame_type_name(f->type));
	if (fd != -1)
		close(fd);
}

static void
on_closing(struct child *c)
{
	if (c->submitter != NULL)
		submitter_lost(c->submitter);
	c->submitter = NULL;
}

static void
on_drained(struct child *c)
{
	if (c->submitter != NULL)
		submitter_update(c->submitter);
}

static void
on_gone(struct child *c, const char *text)
{
	struct door *d = door_of(c);
	bool is_expected = c->gen->is_draining && c->why == NULL &&
	    c->wait_status == 0;
	struct event_line e;
	int64_t delay_ms;

	metrics_keep(&d->past, c);
	if (!is_expected && !c->is_refused)
		set_error(d, "%s", text);
	if (!c->gen->is_draining) {
		delay_ms = child_next_delay(c);
		d->restarts++;
		if (child_event(&e, EVENT_AGENT_DIED, c)) {
			event_seconds(&e, "delay", delay_ms);
			event_message(&e, "%s; next start in %jd s", text,
			    (intmax_t)(delay_ms + 500) / 1000);
			event_end(&e);
		}
		child_start_after(c, delay_ms);
	} else if (!is_expected && child_event(&e, EVENT_AGENT_FAILED, c)) {
		event_message(&e, "%s while stopping", text);
		event_end(&e);
	}
	check_end(d);
}

static const struct child_ops door_ops = {
	.ready = on_ready, .refused = on_refused, .frame = on_frame,
	.asked = on_asked, .closing = on_closing, .drained = on_drained,
	.gone = on_gone
};
