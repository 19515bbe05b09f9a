/* http - delivers to a web server: a POST request for each message. */
#include <strings.h>

#include "agent/cage.h"
#include "http/relay.h"

static const struct opt_group groups[] = {
	{ http_conf_rows, offsetof(struct http_relay_conf, http) },
	{ tls_conf_rows, offsetof(struct http_relay_conf, tls) },
	{ cage_conf_rows, offsetof(struct http_relay_conf, cage) },
	{ NULL, 0 }
};

static int
check(void *values, opt_report *report, void *arg)
{
	const struct http_relay_conf *conf = values;

	return http_conf_check(&conf->http, &conf->tls, report, arg);
}

static void
warn(const void *values, opt_report *report, void *arg)
{
	const struct http_relay_conf *conf = values;

	http_conf_warn(&conf->http, &conf->tls, report, arg);
}

static uint32_t
window(const void *values)
{
	return (uint32_t)((const struct http_relay_conf *)values)->http.window;
}

static void
name_files(struct cage *c, const void *values)
{
	const struct http_relay_conf *conf = values;

	if (!http_is_given(conf->http.url) ||
	    http_is_given(conf->http.socket) ||
	    strncasecmp(conf->http.url, "unix:", 5) == 0)
		cage_may(c, CAGE_UNIX);
	cage_names(c);
	cage_tls(c, &conf->tls);
	cage_read(c, conf->http.password_file);
	cage_read(c, conf->http.token_file);
	cage_read(c, conf->http.hmac_secret_file);
}

static const struct cage_policy cage = {
	.name = "http",
	.may = CAGE_NET,
	.conf_at = offsetof(struct http_relay_conf, cage),
	.name_files = name_files,
};

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
		.warn = warn,
		.start = http_relay_start,
		.deliver = http_relay_deliver,
		.cancel = http_relay_cancel,
		.drain = http_relay_drain,
		.is_busy = http_relay_is_busy,
		.stop = http_relay_free,
		.stats = http_relay_stats,
		.window = window,
		.cage = &cage,
	};

	return agent_main(&ops, argc, argv);
}
