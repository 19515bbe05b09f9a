/*
 * generation.c - the children of a relay or door that share one set of
 * options.  A reload that changes the options makes a new generation; the old
 * one drains.
 */
#include "master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/share.h"

static void
on_free(void *arg)
{
	struct generation *g = arg;
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		child_clear(&g->children[i]);
	generation_stop_listening(g);
	config_unref(g->conf->config);
	share_free(g->share);
	if (g->share_fd != -1)
		close(g->share_fd);
	free(g->children);
	free(g);
}

struct generation *
generation_new(struct loop *loop, struct reaper *reaper,
    struct relay_conf *conf, unsigned nchildren, const struct child_ops *ops,
    void *owner)
{
	struct generation *g = xcalloc(1, sizeof(*g));
	unsigned i;

	g->loop = loop;
	g->reaper = reaper;
	g->conf = conf;
	config_ref(conf->config);
	g->ops = ops;
	g->owner = owner;
	g->nchildren = nchildren;
	g->share_fd = -1;
	if (nchildren > 1 && conf->kind == CONF_RELAY &&
	    (g->share = share_new(nchildren, &g->share_fd)) == NULL)
		log_warning("relay %s: processes count connections each for "
		    "itself: %s", conf->name, strerror(errno));
	g->children = xcalloc(nchildren, sizeof(*g->children));
	for (i = 0; i < nchildren; i++)
		child_init(&g->children[i], g);
	later_init(&g->free_later, on_free, g);
	return g;
}

void
generation_listen(struct generation *g, struct sockets *registry,
    struct listen_socket **sockets, size_t n)
{
	g->registry = registry;
	g->sockets = sockets;
	g->nsockets = n;
}

void
generation_stop_listening(struct generation *g)
{
	size_t i;

	for (i = 0; i < g->nsockets; i++)
		sockets_release(g->registry, g->sockets[i]);
	free(g->sockets);
	g->sockets = NULL;
	g->nsockets = 0;
}

void
generation_start(struct generation *g)
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		child_start(&g->children[i]);
}

void
generation_drain(struct generation *g, int64_t limit_ms)
{
	unsigned i;

	g->is_draining = true;
	g->drain_limit_ms = limit_ms;
	for (i = 0; i < g->nchildren; i++)
		child_drain(&g->children[i], limit_ms);
}

unsigned
generation_alive(const struct generation *g)
{
	unsigned i, n = 0;

	for (i = 0; i < g->nchildren; i++)
		n += child_is_alive(&g->children[i]);
	return n;
}

/* The same options, read anew: limits of the master's may differ. */
void
generation_set_conf(struct generation *g, struct relay_conf *conf)
{
	struct config *old = g->conf->config;

	g->conf = conf;
	config_ref(conf->config);
	config_unref(old);
}

void
generation_free(struct generation *g)
{
	loop_later(g->loop, &g->free_later);
}
