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

/* Programs inherit the cage; a set-user-ID one would be nothing in it. */
static void
pipe_name_files(struct cage *c, const void *values)
{
	const struct pipe_conf *conf = values;

	if (conf->no_new_privs == PRIVS_GAINED ||
	    (conf->no_new_privs == PRIVS_AUTO &&
	    conf->preset == PRESET_MAILDROP))
		cage_refrain(c, "programs of this relay gain rights from their "
		    "set-user-ID files (no_new_privs)");
}

/*
 * What the agent may, its programs must be able to do, and a program can do
 * anything: hence no list of what is allowed.  A process that starts programs
 * for a confined agent would change little: who has taken over the agent would
 * have it start a shell.
 */
static const struct cage_policy cage = {
	.name = "pipe",
	.may = CAGE_PROGRAMS,
	.conf_at = offsetof(struct pipe_conf, cage),
	.name_files = pipe_name_files,
};

int
main(int argc, char **argv)
{
	static const struct opt_group groups[] = {
		{ pipe_conf_rows, 0 },
		{ cage_conf_rows, offsetof(struct pipe_conf, cage) },
		{ NULL, 0 }
	};
	static const struct opt_table table = {
		"pipe", groups, sizeof(struct pipe_conf), pipe_conf_check
	};
	static const struct agent_ops ops = {
		.name = "pipe",
		.summary = "deliver to a program",
		.table = &table,
		.warn = pipe_conf_warn,
		.start = pipe_start,
		.deliver = pipe_relay_deliver,
		.cancel = pipe_relay_cancel,
		.is_busy = pipe_relay_is_busy,
		.stop = pipe_relay_free,
		.abandon = pipe_relay_abandon,
		.stats = pipe_relay_stats,
		.window = pipe_window,
		.cage = &cage,
	};

	return agent_main(&ops, argc, argv);
}
