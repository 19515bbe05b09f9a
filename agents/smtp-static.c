/* smtp-static - delivers to a fixed list of SMTP hosts, in their order. */
#include "smtp/fixed.h"

static const struct opt_row rows[] = {
	{ "host", OPT_LIST, offsetof(struct fixed_conf, host), NULL, 1,
	    ROUTE_HOSTS_MAX, NULL, fixed_check_host, OPT_REQUIRED,
	    FIXED_HOST_TEXT },
	{ "port", OPT_INT, offsetof(struct fixed_conf, port), "25", 1, 65535,
	    NULL, NULL, 0, FIXED_PORT_TEXT },
	{ .name = NULL }
};

int
main(int argc, char **argv)
{
	static const struct fixed_agent agent = {
		.name = "smtp-static",
		.summary = "deliver to a fixed list of SMTP hosts",
		.rows = rows,
	};

	return fixed_main(&agent, argc, argv);
}
