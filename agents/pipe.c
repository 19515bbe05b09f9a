/*
 * pipe - runs a program for each recipient, with the message on its stdin;
 * maildrop and dovecot-lda by presets.
 */
#include "agent/agent.h"
#include "pipe/relay.h"

static void *
pipe_start(struct agent *agent, void *values, char *error, size_t size)
{
	return pipe_relay_new(agent, values, error, size);
}

static uint32_t
pipe_window(const void *values)
{
	return (uint32_t)((const struct pipe_conf *)values)->window;
}

int
main(int argc, char **argv)
{
	static const struct opt_group groups[] = {
		{ pipe_conf_rows, 0 }, { NULL, 0 }
	};
	static const struct opt_table table = {
		"pipe", groups, sizeof(struct pipe_conf), pipe_conf_check
	};
	static const struct agent_ops ops = {
		.name = "pipe",
		.summary = "deliver to a program",
		.table = &table,
		.start = pipe_start,
		.deliver = pipe_relay_deliver,
		.cancel = pipe_relay_cancel,
		.is_busy = pipe_relay_is_busy,
		.stop = pipe_relay_free,
		.abandon = pipe_relay_abandon,
		.stats = pipe_relay_stats,
		.window = pipe_window,
	};

	return agent_main(&ops, argc, argv);
}
