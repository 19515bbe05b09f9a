/*
 * rollout.c - starts the agents that a configuration asks for and collects
 * what they find wrong with their options.  A door's program is only asked
 * about its options: it must not take connections before all is settled.  Used
 * by the start of the master, by a reload, and by `nexthop check` and `nexthop
 * config`.
 */
#include "master.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct rollout *
rollout_of(const struct child *c)
{
	return c->gen->owner;
}

/* One child less to wait for. */
static void
decided(struct rollout *ro)
{
	if (--ro->waiting == 0)
		loop_later(ro->loop, &ro->done_later);
}

static void
on_ready(struct child *c)
{
	decided(rollout_of(c));
}

/* Each process of a relay finds the same; it is told once. */
static bool
is_known(const struct relay_conf *r, unsigned line, const char *text)
{
	const struct conf_fault *fault;
	size_t n = strlen(text), len;

	STAILQ_FOREACH(fault, &r->config->conf->faults, next) {
		len = strlen(fault->text);
		if (fault->line == line && len >= n &&
		    strcmp(fault->text + len - n, text) == 0)
			return true;
	}
	return false;
}

static void
on_refused(struct child *c, int64_t index, const char *text)
{
	const struct relay_conf *r = c->gen->conf;
	unsigned line = relay_conf_line(r, index, text);

	if (!is_known(r, line, text))
		conf_fault(r->config->conf, line, r->section, NULL, "%s",
		    text);
}

static void
on_frame(struct child *c, const struct frame *f, const void *bytes)
{
	(void)bytes;
	child_break(c, "%s frame before a delivery", frame_type_name(f->type));
}

static void
on_drained(struct child *c)
{
	(void)c;
}

static void
on_gone(struct child *c, const char *text)
{
	struct rollout *ro = rollout_of(c);
	const struct relay_conf *r = c->gen->conf;
	char fault[1024];

	/* One that was only asked for its options ends by itself. */
	snprintf(fault, sizeof(fault), "agent %s %s%s", r->program,
	    c->is_broken ? "broke the protocol: " : "", text);
	if (!c->is_refused && (!c->was_ready || !c->gen->want_options) &&
	    !is_known(r, r->section->line, fault))
		conf_fault(r->config->conf, r->section->line, r->section,
		    NULL, "%s", fault);
	if (!c->was_ready)
		decided(ro);
}

static const struct child_ops rollout_ops = {
	.ready = on_ready, .refused = on_refused, .frame = on_frame,
	.drained = on_drained, .gone = on_gone
};

static void
on_done(void *arg)
{
	struct rollout *ro = arg;

	ro->is_over = true;
	ro->done(ro->arg);
}

static void
start(struct rollout *ro, struct relay_conf *r, int flags)
{
	bool is_door = r->kind != CONF_RELAY;
	struct generation *g = generation_new(ro->loop, ro->reaper, r,
	    is_door || (flags & ROLLOUT_ONE_EACH) != 0 ? 1 :
	    (unsigned)r->rows->processes, &rollout_ops, ro);

	g->want_options = is_door || (flags & ROLLOUT_OPTIONS) != 0;
	TAILQ_INSERT_TAIL(&ro->generations, g, next);
	ro->waiting += g->nchildren;
	generation_start(g);
}

struct rollout *
rollout_start(struct loop *loop, struct reaper *reaper, struct config *config,
    bool (*wanted)(void *, const struct relay_conf *), int flags,
    loop_cb *done, void *arg)
{
	struct rollout *ro = xcalloc(1, sizeof(*ro));
	struct relay_conf *r;

	ro->loop = loop;
	ro->reaper = reaper;
	ro->config = config_ref(config);
	ro->done = done;
	ro->arg = arg;
	TAILQ_INIT(&ro->generations);
	later_init(&ro->done_later, on_done, ro);
	TAILQ_FOREACH(r, &config->relays, next)
		if (!r->is_faulty && (wanted == NULL || wanted(arg, r)))
			start(ro, r, flags);
	TAILQ_FOREACH(r, &config->doors, next)
		if (!r->is_faulty && (wanted == NULL || wanted(arg, r)))
			start(ro, r, flags);
	if (ro->waiting == 0)
		loop_later(loop, &ro->done_later);
	return ro;
}

bool
rollout_is_good(const struct rollout *ro)
{
	const struct generation *g;
	unsigned i;

	if (ro->config->conf->nfaults > 0)
		return false;
	TAILQ_FOREACH(g, &ro->generations, next)
		for (i = 0; i < g->nchildren; i++)
			if (!g->children[i].was_ready)
				return false;
	return true;
}

void
rollout_free(struct rollout *ro)
{
	struct generation *g;

	if (ro == NULL)
		return;
	loop_forget(ro->loop, &ro->done_later);
	while ((g = TAILQ_FIRST(&ro->generations)) != NULL) {
		TAILQ_REMOVE(&ro->generations, g, next);
		generation_free(g);
	}
	config_unref(ro->config);
	free(ro);
}
