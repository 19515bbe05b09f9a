/*
 * rollout.c - starts the agents that a configuration asks for and collects
 * what they find wrong with their options.  Used by the start of the master,
 * by a reload, and by `nexthop check` and `nexthop config`.
 */
#include "master.h"

#include <stdlib.h>

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

static void
on_refused(struct child *c, int64_t index, const char *text)
{
	const struct relay_conf *r = c->gen->conf;
	unsigned line;
	const char *key;

	/* Each process of a relay finds the same. */
	if (c != &c->gen->children[0])
		return;
	line = relay_conf_line(r, index, &key);
	conf_fault(r->config->conf, line, r->section, NULL, "%s", text);
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

	if (!c->is_refused && (!c->was_ready || !c->gen->want_options) &&
	    c == &c->gen->children[0])
		conf_fault(r->config->conf, r->section->line, r->section,
		    NULL, "agent %s %s%s", r->program, c->is_broken ?
		    "broke the protocol: " : "", text);
	if (!c->was_ready)
		decided(ro);
}

static const struct child_ops rollout_ops = {
	on_ready, on_refused, on_frame, on_drained, on_gone
};

static void
on_done(void *arg)
{
	struct rollout *ro = arg;

	ro->is_over = true;
	ro->done(ro->arg);
}

struct rollout *
rollout_start(struct loop *loop, struct reaper *reaper, struct config *config,
    bool (*wanted)(void *, const struct relay_conf *), int flags,
    loop_cb *done, void *arg)
{
	struct rollout *ro = xcalloc(1, sizeof(*ro));
	struct generation *g;
	struct relay_conf *r;

	ro->loop = loop;
	ro->reaper = reaper;
	ro->config = config_ref(config);
	ro->done = done;
	ro->arg = arg;
	TAILQ_INIT(&ro->generations);
	later_init(&ro->done_later, on_done, ro);
	TAILQ_FOREACH(r, &config->relays, next) {
		if (r->is_faulty || (wanted != NULL && !wanted(arg, r)))
			continue;
		g = generation_new(loop, reaper, r,
		    (flags & ROLLOUT_ONE_EACH) != 0 ? 1 :
		    (unsigned)r->rows->processes, &rollout_ops, ro);
		g->want_options = (flags & ROLLOUT_OPTIONS) != 0;
		TAILQ_INSERT_TAIL(&ro->generations, g, next);
		ro->waiting += g->nchildren;
		generation_start(g);
	}
	if (ro->waiting == 0)
		loop_later(loop, &ro->done_later);
	return ro;
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
