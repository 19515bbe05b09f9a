/*
 * smtp-static - delivers to a fixed list of SMTP hosts, in their order.
 */
#include "agent/agent.h"
#include "smtp/relay.h"

struct static_conf {
	struct smtp_conf smtp;
	struct opt_list	 host;
	int64_t		 port;
};

static const struct opt_row rows[] = {
	{ "host", OPT_LIST, offsetof(struct static_conf, host), NULL, 1,
	    RELAY_HOSTS_MAX, NULL, smtp_relay_check_host, OPT_REQUIRED, "The hosts to "
	    "deliver to, tried in this order: a name or an address, "
	    "host:port, [host]:port, or unix:/path." },
	{ "port", OPT_INT, offsetof(struct static_conf, port), "25", 1, 65535,
	    NULL, NULL, 0, "Port of a host that is given without one." },
	{ .name = NULL }
};

static const struct opt_group groups[] = {
	{ rows, 0 },
	{ smtp_conf_rows, offsetof(struct static_conf, smtp) },
	{ NULL, 0 }
};

static const struct opt_table table = {
	"smtp-static", groups, sizeof(struct static_conf), NULL
};

static void *
static_start(struct agent *agent, void *values, char *error, size_t size)
{
	const struct static_conf *conf = values;
	struct smtp_relay_conf relay_conf = {
		.smtp = &conf->smtp,
		.hosts = &conf->host,
		.default_port = (uint16_t)conf->port,
	};

	return smtp_relay_new(agent, &relay_conf, error, size);
}

static uint32_t
static_window(const void *values)
{
	return (uint32_t)((const struct static_conf *)values)->smtp.window;
}

int
main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.name = "smtp-static",
		.summary = "deliver to a fixed list of SMTP hosts",
		.table = &table,
		.start = static_start,
		.deliver = smtp_relay_deliver,
		.cancel = smtp_relay_cancel,
		.drain = smtp_relay_drain,
		.is_busy = smtp_relay_is_busy,
		.stop = smtp_relay_free,
		.stats = smtp_relay_stats,
		.window = static_window,
	};

	return agent_main(&ops, argc, argv);
}
