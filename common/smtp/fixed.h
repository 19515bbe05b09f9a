/*
 * fixed.h - an agent that delivers to a configured list of hosts: smtp-static
 * and lmtp are this with their own rows for the options host and port.
 */
#ifndef SMTP_FIXED_H
#define SMTP_FIXED_H

#include "agent/cage.h"
#include "conf/option.h"
#include "net/tls_conf.h"
#include "smtp/auth.h"
#include "smtp/conf.h"
#include "smtp/relay.h"

struct fixed_conf {
	struct smtp_conf smtp;
	struct opt_list	 host;
	int64_t		 port;
	struct tls_conf	 tls;
	struct auth_conf auth;
	struct cage_conf cage;
};

struct fixed_agent {
	const char	*name;
	const char	*summary;
	const struct opt_row *rows;	/* of struct fixed_conf */
	bool		 is_lmtp;
};

#define FIXED_HOST_TEXT	"The hosts to deliver to, tried in this order: a " \
	"name or an address, host:port, [host]:port, or unix:/path."
#define FIXED_PORT_TEXT	"Port of a host that is given without one."

/* For the option row of hosts: NULL, or what is wrong. */
const char *fixed_check_host(const char *);

/* The main() of such an agent. */
int	fixed_main(const struct fixed_agent *, int argc, char **argv);

#endif
