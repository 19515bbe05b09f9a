/*
 * addr_range.h - ranges of IP addresses, as operators write them:
 *
 *	192.0.2.0/24  192.0.2.7  2001:db8::/32  ::1  loopback  private
 *
 * An IPv4 address inside IPv6 (::ffff:192.0.2.7) counts as the IPv4 address.
 */
#ifndef NET_ADDR_RANGE_H
#define NET_ADDR_RANGE_H

#include <stdbool.h>

#include "conf/option.h"
#include "net/addr.h"

/*
 * For option rows: NULL, or what is wrong.  `loopback`: 127.0.0.0/8, ::1, and
 * the unspecified addresses, which lead there.  `private`: what no route of
 * the Internet leads to: RFC 1918, RFC 4193, RFC 6598, link-local addresses.
 */
const char *addr_range_check(const char *);

/* Does a host as hostspec_parse() takes it lie on this machine, as far as can
 * be told without a look-up: a UNIX socket, localhost, a loopback address? */
bool	host_is_local(const char *spec);

/* Is the address in one of the ranges? Those must have passed the check. */
bool	addr_range_has(const struct opt_list *, const struct addr *);

#endif
