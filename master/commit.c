/*
 * commit.c - a configuration whose agents are ready takes effect: as a whole or,
 * by a reload of some, for just these.
 */
#include "master.h"

#include <stdlib.h>
#include <string.h>

static struct generation *
take_generation(struct rollout *ro, const struct relay_conf *r)
{
	struct generation *g;

	TAILQ_FOREACH(g, &ro->generations, next)
		if (g->conf == r) {
			TAILQ_REMOVE(&ro->generations, g, next);
			return g;
		}
	return NULL;
}

/* Whether the reload is about it. */
static bool
is_named(const struct master *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->nreload_names; i++)
		if (strcmp(m->reload_names[i], name) == 0)
			return true;
	return m->nreload_names == 0;
}

/* What a reload starts anew: what differs, or just what is named. */
bool
commit_wants(void *arg, const struct relay_conf *r)
{
	struct master *m = arg;
	const struct generation *g = NULL;
	struct service *sv;
	struct door *d;

	if (m->nreload_names > 0)
		return is_named(m, r->name);
	if (r->kind != CONF_RELAY)
		g = (d = master_door(m, r->kind, r->name)) == NULL ? NULL :
		    d->current;
	else if ((sv = master_service(m, r->name, strlen(r->name))) != NULL)
		g = sv->current;
	return g == NULL || !relay_conf_is_same(g->conf, r);
}

static void
commit_relays(struct master *m, struct rollout *ro, int64_t limit_ms)
{
	struct service *sv, *next;
	struct generation *g;
	struct relay_conf *r;

	TAILQ_FOREACH(r, &ro->config->relays, next) {
		if (!is_named(m, r->name))
			continue;
		sv = master_service(m, r->name, strlen(r->name));
		if ((g = take_generation(ro, r)) == NULL) {
			generation_set_conf(sv->current, r);
			dispatch_pump(sv);
			continue;
		}
		if (sv == NULL)
			sv = service_new(m, r->name);
		service_switch(sv, g, limit_ms);
	}
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		if (!sv->is_ending && is_named(m, sv->name) &&
		    config_relay(ro->config, sv->name) == NULL)
			service_end(sv, limit_ms);
	}
}

static void
commit_doors(struct master *m, struct rollout *ro, int64_t limit_ms)
{
	struct relay_conf *r;
	struct door *d, *next;

	TAILQ_FOREACH(r, &ro->config->doors, next) {
		if (!is_named(m, r->name) || r->nlisten == 0)
			continue;
		d = master_door(m, r->kind, r->name);
		if (r->sockets == NULL) {
			generation_set_conf(d->current, r);
			continue;
		}
		if (d == NULL)
			d = door_new(m, r->kind, r->name);
		door_switch(d, r, r->sockets, limit_ms);
		r->sockets = NULL;
	}
	for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
		next = TAILQ_NEXT(d, next);
		if (d->current == NULL || !is_named(m, d->name))
			continue;
		r = config_door(ro->config, d->kind, d->name);
		if (r == NULL || r->nlisten == 0)
			door_end(d, limit_ms > 0 ? limit_ms : 1);
	}
}

/* Every relay and door of the rollout's configuration, and no other; of a
 * reload of some, just these. */
void
commit_config(struct master *m, struct rollout *ro)
{
	int64_t limit_ms = ro->config->master->stop_timeout_ms + 1;
	struct config *old = m->config;

	if (m->nreload_names == 0)
		m->config = config_ref(ro->config);
	commit_relays(m, ro, limit_ms);
	commit_doors(m, ro, limit_ms);
	if (m->nreload_names == 0)
		config_unref(old);
}

/* ---- the sockets of doors ---- */

static void
close_doors(struct master *m, struct config *config)
{
	struct relay_conf *r;
	size_t i;

	TAILQ_FOREACH(r, &config->doors, next) {
		for (i = 0; r->sockets != NULL && i < r->nlisten; i++)
			sockets_release(&m->sockets, r->sockets[i]);
		free(r->sockets);
		r->sockets = NULL;
	}
}

/* For those that commit_config() is going to start; 0, or a status with a text. */
int
commit_open_doors(struct master *m, struct config *config, char *error, size_t size)
{
	struct relay_conf *r;
	int status;

	TAILQ_FOREACH(r, &config->doors, next) {
		if (r->nlisten == 0 || !commit_wants(m, r))
			continue;
		r->sockets = door_open_sockets(&m->sockets, r, error, size,
		    &status);
		if (r->sockets != NULL)
			continue;
		close_doors(m, config);
		return status;
	}
	return 0;
}
