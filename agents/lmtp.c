/*
 * lmtp - delivers to LMTP servers (RFC 2033): after the message each recipient
 * gets an answer of its own.
 */
#include "smtp/fixed.h"

static const struct opt_row rows[] = {
	{ "host", OPT_LIST, offsetof(struct fixed_conf, host), "localhost", 1,
	    ROUTE_HOSTS_MAX, NULL, fixed_check_host, 0,
	    FIXED_HOST_TEXT },
	{ "port", OPT_INT, offsetof(struct fixed_conf, port), "24", 1, 65535,
	    NULL, NULL, 0, FIXED_PORT_TEXT },
	{ .name = NULL }
};

int
main(int argc, char **argv)
{
	static const struct fixed_agent agent = {
		.name = "lmtp",
		.summary = "deliver to a mail store by LMTP",
		.rows = rows,
		.is_lmtp = true,
	};

	return fixed_main(&agent, argc, argv);
}
