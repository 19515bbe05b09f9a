/* dns_conf.c - the options of the resolver. */
#include <stdio.h>

#include "base/mem.h"
#include "net/addr_range.h"
#include "route/dns_servers.h"

#define AT(field)	offsetof(struct dns_conf, field)
#define DAY		86400000LL

static const char *
check_server(const char *value)
{
	struct arena *arena = arena_new(256);
	struct hostspec h;
	const char *error;
	bool is_sound = hostspec_parse(&h, value, DNS_PORT, arena,
	    &error) == 0 && h.is_literal;

	arena_free(arena);
	return is_sound ? NULL : "is not an address of a name server, with or "
	    "without a port";
}

const struct opt_row dns_conf_rows[] = {
	{ "resolver", OPT_LIST, AT(resolver), NULL, 0, DNS_SERVERS_MAX,
	    NULL, check_server, 0, "Name servers that look names up for us: "
	    "addresses, [IPv6 address]:port or address:port (53), asked in "
	    "this order where one does not answer. They should be alike: all "
	    "validate DNSSEC, or none. Without any: those of resolv_conf." },
	{ "resolv_conf", OPT_STRING, AT(resolv_conf), "/etc/resolv.conf", 0,
	    0, NULL, NULL, 0, "The file that names the servers, read again "
	    "when it has changed. Of its options these count: timeout, "
	    "attempts, rotate, trust-ad, use-vc. Names are never completed "
	    "from its search list." },
	{ "hosts_file", OPT_STRING, AT(hosts_file), NULL, 0, 0, NULL, NULL,
	    OPT_FILE, "A file of addresses and names, as /etc/hosts, that is "
	    "looked at before any server is asked for an address; read again "
	    "when it has changed. A name that stands there has no other "
	    "addresses, and they are not secure in the sense of DNSSEC." },
	{ "resolver_trusted", OPT_BOOL, AT(resolver_trusted), "no", 0, 0,
	    NULL, NULL, 0, "Believe the servers where they say that an answer "
	    "was validated with DNSSEC, as DANE needs. Only for servers that "
	    "validate, over a path where nobody can change answers. A server "
	    "on a loopback address is always believed." },
	{ "dns_cache_size", OPT_INT, AT(dns_cache_size), "10000", 0, 1000000,
	    NULL, NULL, 0, "DNS answers kept in memory, each of 2 KB at most "
	    "on average. 0: none." },
	{ "dns_ttl_min", OPT_TIME, AT(dns_ttl_min_ms), "0", 0, DAY, NULL,
	    NULL, 0, "Keep an answer at least so long, whatever its TTL. One "
	    "with a TTL of 0 is never kept." },
	{ "dns_ttl_max", OPT_TIME, AT(dns_ttl_max_ms), "1d", 1000, 7 * DAY,
	    NULL, NULL, 0, "Keep an answer so long at most." },
	{ "dns_negative_ttl_max", OPT_TIME, AT(dns_negative_ttl_max_ms), "5m",
	    0, DAY, NULL, NULL, 0, "Keep the answer that there is no such "
	    "name or record so long at most." },
	{ .name = NULL }
};

void
dns_conf_warn(const struct dns_conf *conf, opt_report *report, void *arg)
{
	char text[256];
	size_t i;

	for (i = 0; conf->resolver_trusted && i < conf->resolver.n; i++) {
		if (host_is_local(conf->resolver.v[i]))
			continue;
		snprintf(text, sizeof(text), "%.128s is not on this machine: "
		    "who can change its answers on their way decides by DANE "
		    "which certificates are right", conf->resolver.v[i]);
		report(arg, "resolver_trusted", text);
		return;
	}
}
