/*
 * service.c - a relay as the running master knows it: the generation that
 * takes deliveries, older ones that finish theirs, the queue, and the restarts
 * of agents that died.
 */
#include "master.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/mem.h"

static const struct child_ops service_ops;

struct service *
child_service(const struct child *c)
{
	return c->gen->owner;
}

static void
on_free(void *arg)
{
	struct service *sv = arg;
	struct master *m = sv->master;
	struct generation *g;
	struct submitter *s;

	loop_forget(m->loop, &sv->pump_later);
	TAILQ_REMOVE(&m->services, sv, next);
	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->last == sv)
			s->last = NULL;
	while ((g = TAILQ_FIRST(&sv->old)) != NULL) {
		TAILQ_REMOVE(&sv->old, g, next);
		generation_free(g);
	}
	if (sv->current != NULL)
		generation_free(sv->current);
	tally_clear(&sv->metrics.past);
	free(sv->name);
	free(sv->last_error);
	free(sv);
	master_check_stopped(m);
}

static void
on_pump(void *arg)
{
	dispatch_pump(arg);
}

struct service *
service_new(struct master *m, const char *name)
{
	struct service *sv = xcalloc(1, sizeof(*sv));

	sv->master = m;
	sv->name = xstrdup(name);
	sv->name_len = strlen(name);
	TAILQ_INIT(&sv->old);
	TAILQ_INIT(&sv->queue);
	TAILQ_INIT(&sv->blocked);
	TAILQ_INIT(&sv->watched);
	later_init(&sv->free_later, on_free, sv);
	later_init(&sv->pump_later, on_pump, sv);
	TAILQ_INSERT_TAIL(&m->services, sv, next);
	return sv;
}

void
service_free(struct service *sv)
{
	loop_later(sv->master->loop, &sv->free_later);
}

static void __attribute__((format(printf, 2, 3)))
set_error(struct service *sv, const char *fmt, ...)
{
	va_list ap;

	free(sv->last_error);
	va_start(ap, fmt);
	if (vasprintf(&sv->last_error, fmt, ap) == -1)
		sv->last_error = NULL;
	va_end(ap);
	sv->last_error_ms = clock_wall_ms();
}

void
service_answered(struct service *sv, const struct reply *r, int64_t since_us)
{
	sv->answers[r->cls]++;
	metrics_answered(sv, r, since_us);
}

/* ---- generations ---- */

static void
drain_old(struct service *sv, struct generation *g, int64_t limit_ms)
{
	TAILQ_INSERT_TAIL(&sv->old, g, next);
	generation_drain(g, limit_ms);
	service_check_end(sv);
}

void
service_switch(struct service *sv, struct generation *g,
    int64_t drain_limit_ms)
{
	struct generation *old = sv->current;
	unsigned i;

	g->ops = &service_ops;
	g->owner = sv;
	g->number = ++sv->ngenerations;
	sv->current = g;
	for (i = 0; i < g->nchildren; i++)
		if (g->children[i].state == CHILD_READY)
			child_tell_ready(&g->children[i]);
	if (old != NULL)
		drain_old(sv, old, drain_limit_ms > 0 ? drain_limit_ms : 1);
	dispatch_pump(sv);
}

void
service_end(struct service *sv, int64_t drain_limit_ms)
{
	struct generation *g;

	sv->is_ending = true;
	sv->end_limit_ms = drain_limit_ms;
	if (drain_limit_ms > 0)
		TAILQ_FOREACH(g, &sv->old, next)
			generation_drain(g, drain_limit_ms);
	service_check_end(sv);
}

/* Deliveries wait for agents that may forward them. */
static bool
will_forward(const struct service *sv)
{
	unsigned i;

	for (i = 0; sv->nqueued > 0 && sv->current != NULL &&
	    i < sv->current->nchildren; i++)
		if (sv->current->children[i].may_forward)
			return true;
	return false;
}

/* A drain without a limit is for what relays still forward to each other. */
static bool
is_awaited(const struct service *sv)
{
	const struct master *m = sv->master;
	const struct service *other;

	if (m->state != MASTER_STOPPING || sv->end_limit_ms > 0)
		return false;
	if (m->nforwarding > 0)
		return true;
	TAILQ_FOREACH(other, &m->services, next)
		if (will_forward(other))
			return true;
	return false;
}

/* Frees generations whose children are gone, and an ending service that has
 * nothing left. */
void
service_check_end(struct service *sv)
{
	struct generation *g, *next;

	if (sv->is_ending && sv->current != NULL && sv->nqueued == 0 &&
	    sv->nheld == 0 && !is_awaited(sv)) {
		g = sv->current;
		sv->current = NULL;
		TAILQ_INSERT_TAIL(&sv->old, g, next);
		generation_drain(g, sv->end_limit_ms);
	}
	for (g = TAILQ_FIRST(&sv->old); g != NULL; g = next) {
		next = TAILQ_NEXT(g, next);
		if (generation_alive(g) > 0)
			continue;
		TAILQ_REMOVE(&sv->old, g, next);
		generation_free(g);
	}
	if (sv->is_ending && sv->current == NULL && TAILQ_EMPTY(&sv->old) &&
	    sv->njobs == 0 && sv->ncrowding == 0)
		service_free(sv);
}

/* ---- children ---- */

struct child *
service_pick(const struct service *sv)
{
	struct child *c, *best = NULL;
	unsigned i;

	if (sv->current == NULL || sv->ncrowding > 0 ||
	    sv->names_bytes >= SERVICE_NAMES_MAX)
		return NULL;
	for (i = 0; i < sv->current->nchildren; i++) {
		c = &sv->current->children[i];
		if (c->state != CHILD_READY || c->open >= c->window ||
		    c->owed > 0 ||
		    channel_pending(c->channel) > CHILD_OUT_SLOW)
			continue;
		if (best == NULL || c->open < best->open)
			best = c;
	}
	return best;
}

/* Why no child of it is ready, or NULL if one is. */
const char *
service_trouble(const struct service *sv)
{
	unsigned i;

	if (sv->current == NULL)
		return "stopping";
	for (i = 0; i < sv->current->nchildren; i++)
		if (sv->current->children[i].state == CHILD_READY)
			return NULL;
	return sv->last_error != NULL ? sv->last_error : "starting";
}

static void
on_ready(struct child *c)
{
	child_tell_ready(c);
	dispatch_pump(child_service(c));
}

static void
on_refused(struct child *c, int64_t index, const char *text)
{
	struct service *sv = child_service(c);
	struct event_line e;

	(void)index;
	set_error(sv, "%s", text);
	if (child_event(&e, EVENT_AGENT_REFUSED, c)) {
		event_message(&e, "%s", text);
		event_end(&e);
	}
}

static void
on_drained(struct child *c)
{
	struct service *sv = child_service(c);

	if (sv->nqueued > 0)
		dispatch_pump(sv);
}

static void
restart(struct child *c, const char *text, uint32_t open)
{
	struct service *sv = child_service(c);
	int64_t delay_ms = child_next_delay(c);
	struct event_line e;

	sv->restarts++;
	if (child_event(&e, EVENT_AGENT_DIED, c)) {
		event_int(&e, "open", open);
		event_seconds(&e, "delay", delay_ms);
		event_message(&e, "%s; deliveries open: %u; next start in "
		    "%jd s", text, open, (intmax_t)(delay_ms + 500) / 1000);
		event_end(&e);
	}
	child_start_after(c, delay_ms);
}

static void
on_gone(struct child *c, const char *text)
{
	struct service *sv = child_service(c);
	bool is_expected = c->gen->is_draining && c->why == NULL &&
	    c->wait_status == 0;
	uint32_t open = c->open;
	struct event_line e;

	metrics_keep(&sv->metrics.past, c);
	if (!is_expected && !c->is_refused)
		set_error(sv, "%s", text);
	dispatch_child_gone(c, text);
	if (!c->gen->is_draining)
		restart(c, text, open);
	else if (!is_expected && child_event(&e, EVENT_AGENT_FAILED, c)) {
		event_int(&e, "open", open);
		event_message(&e, "%s while stopping; deliveries open: %u",
		    text, open);
		event_end(&e);
	}
	service_check_end(sv);
}

static const struct child_ops service_ops = {
	.ready = on_ready, .refused = on_refused,
	.frame = dispatch_child_frame, .drained = on_drained, .gone = on_gone
};
