/* fixed.c - an agent that delivers to a configured list of hosts. */
#include "smtp/fixed.h"

#include <string.h>

#include "agent/agent.h"
#include "base/mem.h"
#include "route/fixed.h"

static const struct fixed_agent *self;	/* set once, by fixed_main() */

const char *
fixed_check_host(const char *value)
{
	struct arena *arena = arena_new(256);
	struct hostspec h;
	const char *error;
	int result = hostspec_parse(&h, value, 1, arena, &error);

	arena_free(arena);
	return result == 0 ? NULL : "is not a name, an address, host:port, "
	    "[host]:port or unix:/path";
}

static void *
fixed_start(struct agent *agent, void *values, char *error, size_t size)
{
	const struct fixed_conf *conf = values;
	struct smtp_relay_conf relay_conf = {
		.smtp = &conf->smtp,
		.tls = &conf->tls,
		.auth = &conf->auth,
		.is_lmtp = self->is_lmtp,
		.router = fixed_router(agent_loop(agent), &conf->host,
		    (uint16_t)conf->port, conf->smtp.dns_timeout_ms, error,
		    size),
	};

	return smtp_relay_new(agent, &relay_conf, error, size);
}

static int
fixed_check(void *values, opt_report *report, void *arg)
{
	const struct fixed_conf *conf = values;

	return tls_conf_check(&conf->tls, TLS_FOR_HOST, report, arg) +
	    auth_conf_check(&conf->auth, report, arg);
}

static void
fixed_warn(const void *values, opt_report *report, void *arg)
{
	const struct fixed_conf *conf = values;

	smtp_conf_warn(&conf->smtp, report, arg);
	tls_conf_warn(&conf->tls, TLS_FOR_HOST, report, arg);
	auth_conf_warn(&conf->auth, &conf->tls, &conf->host, report, arg);
}

static uint32_t
fixed_window(const void *values)
{
	return (uint32_t)((const struct fixed_conf *)values)->smtp.window;
}

/* LMTP servers are often UNIX sockets that come with the message; those of an
 * SMTP host only are where the options name one, or no host at all. */
static void
name_files(struct cage *c, const void *values)
{
	const struct fixed_conf *conf = values;
	size_t i;

	for (i = 0; i < conf->host.n; i++)
		if (strncmp(conf->host.v[i], "unix:", 5) == 0)
			break;
	if (self->is_lmtp || i < conf->host.n || conf->host.n == 0)
		cage_may(c, CAGE_UNIX);
	cage_names(c);
	cage_tls(c, &conf->tls);
	cage_read(c, conf->auth.password_file);
	cage_read(c, conf->auth.token_file);
}

int
fixed_main(const struct fixed_agent *agent, int argc, char **argv)
{
	const struct opt_group groups[] = {
		{ agent->rows, 0 },
		{ smtp_conf_rows, offsetof(struct fixed_conf, smtp) },
		{ tls_conf_rows, offsetof(struct fixed_conf, tls) },
		{ auth_conf_rows, offsetof(struct fixed_conf, auth) },
		{ cage_conf_rows, offsetof(struct fixed_conf, cage) },
		{ NULL, 0 }
	};
	const struct opt_table table = {
		agent->name, groups, sizeof(struct fixed_conf), fixed_check
	};
	const struct cage_policy cage = {
		.name = agent->name,
		.may = CAGE_NET,
		.conf_at = offsetof(struct fixed_conf, cage),
		.name_files = name_files,
	};
	const struct agent_ops ops = {
		.name = agent->name,
		.summary = agent->summary,
		.table = &table,
		.warn = fixed_warn,
		.start = fixed_start,
		.deliver = smtp_relay_deliver,
		.cancel = smtp_relay_cancel,
		.has_parts = true,
		.over = smtp_relay_over,
		.explain = smtp_relay_explain,
		.drain = smtp_relay_drain,
		.is_busy = smtp_relay_is_busy,
		.stop = smtp_relay_free,
		.stats = smtp_relay_stats,
		.window = fixed_window,
		.can_probe = true,
		.nexthop_option = "host",
		.cage = &cage,
	};

	self = agent;
	return agent_main(&ops, argc, argv);
}
