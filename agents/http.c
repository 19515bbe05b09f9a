/* http - delivers to a web server: a POST request for each message. */
#include "http/relay.h"

static const struct opt_group groups[] = {
	{ http_conf_rows, offsetof(struct http_relay_conf, http) },
	{ tls_conf_rows, offsetof(struct http_relay_conf, tls) },
	{ NULL, 0 }
};

static int
check(void *values, opt_report *report, void *arg)
{
	const struct http_relay_conf *conf = values;

	return http_conf_check(&conf->http, &conf->tls, report, arg);
}

static uint32_t
window(const void *values)
{
	return (uint32_t)((const struct http_relay_conf *)values)->http.window;
}

int
main(int argc, char **argv)
{
	static const struct opt_table table = {
		"http", groups, sizeof(struct http_relay_conf), check
	};
	static const struct agent_ops ops = {
		.name = "http",
		.summary = "deliver to a web server",
		.nexthop_option = "url",
		.table = &table,
		.start = http_relay_start,
		.deliver = http_relay_deliver,
		.cancel = http_relay_cancel,
		.drain = http_relay_drain,
		.is_busy = http_relay_is_busy,
		.stop = http_relay_free,
		.stats = http_relay_stats,
		.window = window,
	};

	return agent_main(&ops, argc, argv);
}
