/*
 * fixed.h - the router of a relay whose hosts are configured: one route for
 * all domains, or the hosts that an envelope asks for.
 */
#ifndef ROUTE_FIXED_H
#define ROUTE_FIXED_H

#include <stdint.h>

#include "conf/option.h"
#include "net/loop.h"
#include "route/route.h"

/*
 * The list: name, address, host:port, [host]:port, unix:/path; a port that is
 * not given is default_port.  The router's state is NULL with a text if an
 * element is none of these.
 */
struct router	fixed_router(struct loop *, const struct opt_list *hosts,
		    uint16_t default_port, int64_t dns_timeout_ms, char *error,
		    size_t);

/*
 * "host, [host]:port, unix:/path" as hosts in the arena; -1 with a static text:
 * none, more than ROUTE_HOSTS_MAX, one that is no host.
 */
int	route_hosts_parse(const char *text, uint16_t default_port,
	    struct arena *, struct route_host **hosts_r, size_t *n_r,
	    const char **error_r);

#endif
