/*
 * blackhole - takes every message and delivers it nowhere.  The smallest
 * agent, and the one to copy.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "agent/cage.h"
#include "mail/reply.h"

struct blackhole_conf {
	int64_t		 delay_ms;
	int64_t		 window;
	struct cage_conf cage;
};

struct blackhole {
	struct agent	*agent;
	const struct blackhole_conf *conf;
	uint64_t	 delivered;	/* recipients */
};

struct blackhole_work {		/* a delivery that waits */
	struct blackhole *hole;
	struct delivery	*d;
	struct timer	 timer;
};

static const struct opt_row rows[] = {
	{ "delay", OPT_TIME, offsetof(struct blackhole_conf, delay_ms), "0",
	    0, 3600000, NULL, NULL, 0, "Wait so long before the answer, for "
	    "load tests." },
	{ "window", OPT_INT, offsetof(struct blackhole_conf, window), "10000",
	    1, FRAME_WINDOW_MAX, NULL, NULL, 0, "Deliveries accepted at "
	    "once." },
	{ .name = NULL }
};
static const struct opt_group groups[] = {
	{ rows, 0 },
	{ cage_conf_rows, offsetof(struct blackhole_conf, cage) },
	{ NULL, 0 }
};
static const struct opt_table table = {
	"blackhole", groups, sizeof(struct blackhole_conf), NULL
};

static void
answer(struct blackhole *hole, struct delivery *d)
{
	struct answer a = { .reply = {
		.code = 250, .cls = REPLY_DELIVERED, .by = BY_AGENT,
		.dsn = { 2, 0, 0 },
	} };
	uint32_t r[4];

	/* A version 4 UUID (RFC 9562 §5.4). */
	arc4random_buf(r, sizeof(r));
	a.reply.text = arena_printf(d->arena,
	    "Message Delivered; %08x-%04x-4%03x-%04x-%04x%08x", r[0],
	    r[1] >> 16, r[1] & 0xfff, 0x8000 | (r[2] >> 16 & 0x3fff),
	    r[2] & 0xffff, r[3]);
	hole->delivered += d->open;
	delivery_answer_rest(d, &a);
	agent_touch_stats(hole->agent);
}

static void
on_delay(void *arg)
{
	struct blackhole_work *w = arg;

	answer(w->hole, w->d);
}

static void
blackhole_deliver(void *state, struct delivery *d)
{
	struct blackhole *hole = state;
	struct blackhole_work *w;

	if (hole->conf->delay_ms == 0) {
		answer(hole, d);
		return;
	}
	w = arena_alloc(d->arena, sizeof(*w));
	w->hole = hole;
	w->d = d;
	d->work = w;
	timer_init(&w->timer, agent_loop(hole->agent), on_delay, w);
	timer_set(&w->timer, hole->conf->delay_ms);
}

static void
blackhole_cancel(void *state, struct delivery *d)
{
	struct blackhole_work *w = d->work;
	struct answer a = { .host = "" };

	(void)state;
	timer_clear(&w->timer);
	reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_CANCELLED);
	delivery_answer_rest(d, &a);
}

static void *
blackhole_start(struct agent *agent, void *values, char *error, size_t size)
{
	struct blackhole *hole = xcalloc(1, sizeof(*hole));

	(void)error;
	(void)size;
	hole->agent = agent;
	hole->conf = values;
	return hole;
}

static void
blackhole_stats(void *state, agent_stat *put, void *arg)
{
	const struct blackhole *hole = state;

	put(arg, "recipients_delivered", hole->delivered);
}

static uint32_t
blackhole_window(const void *values)
{
	return (uint32_t)((const struct blackhole_conf *)values)->window;
}

static const struct cage_policy cage = {
	.name = "blackhole",
	.conf_at = offsetof(struct blackhole_conf, cage),
};

int
main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.name = "blackhole",
		.summary = "accept every message and deliver it nowhere",
		.table = &table,
		.start = blackhole_start,
		.deliver = blackhole_deliver,
		.cancel = blackhole_cancel,
		.stop = free,
		.stats = blackhole_stats,
		.window = blackhole_window,
		.cage = &cage,
	};

	return agent_main(&ops, argc, argv);
}
