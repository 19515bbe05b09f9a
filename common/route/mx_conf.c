/* mx_conf.c - the options of routing by DNS. */
#include <string.h>

#include "base/mem.h"
#include "mail/address.h"
#include "route/domain_map.h"
#include "route/fixed.h"
#include "route/mx.h"
#include "route/mx_router.h"

#define AT(field)	offsetof(struct mx_conf, field)

static const struct opt_word private_words[] = {
	{ "allow", MX_PRIVATE_ALLOWED, "as any other" },
	{ "refuse", MX_PRIVATE_REFUSED, "not connected to" },
	{ .word = NULL }
};

static const char *
check_hosts(const char *value)
{
	struct arena *arena = arena_new(8192);
	struct route_host *hosts;
	const char *error;
	size_t n;
	int result = route_hosts_parse(value, 25, arena, &hosts, &n, &error);

	arena_free(arena);
	return result == 0 ? NULL : "is not a name, an address, host:port or "
	    "[host]:port, or a list of them";
}

static const char *
check_name(const char *value)
{
	struct arena *arena = arena_new(512);
	bool is_name = address_domain_ascii(value, arena) != NULL;

	arena_free(arena);
	return is_name ? NULL : "is no host name";
}

static const char *
check_address(const char *value)
{
	struct addr a;

	return addr_parse(&a, value, 0) == 0 ? NULL :
	    "is not an IPv4 or IPv6 address";
}

static const char *
check_policy(const char *value)
{
	struct tls_policy p;

	return mx_policy_parse(value, &p) == 0 ? NULL : "is none of none, "
	    "may, require, verify, dane, dane-only";
}

const struct opt_row mx_conf_rows[] = {
	{ "port", OPT_INT, AT(port), "25", 1, 65535, NULL, NULL, 0,
	    "Port of mail exchangers." },
	{ "force_mx", OPT_DICT, AT(force_mx), NULL, 0, 10000, NULL,
	    check_hosts, 0, "Hosts for a domain (force_mx.DOMAIN = HOST, "
	    "HOST:PORT, ...), for those below it (force_mx..DOMAIN) or for all "
	    "(force_mx.*): DNS is not asked for MX records." },
	{ "fallback_hosts", OPT_LIST, AT(fallback_hosts), NULL, 0, 16, NULL,
	    check_hosts, 0, "Hosts that are tried when no mail exchanger of a "
	    "domain could be reached, or DNS failed for now." },
	{ "own_names", OPT_LIST, AT(own_names), NULL, 0, 1000, NULL,
	    check_name, 0, "Names of this mail system, beside ehlo_as: a "
	    "domain's mail exchangers that are not preferred to one of them "
	    "are not tried (RFC 5321 section 5.1)." },
	{ "own_addresses", OPT_LIST, AT(own_addresses), NULL, 0, 1000, NULL,
	    check_address, 0, "Addresses at which this mail system listens: "
	    "never connected to." },
	{ "tls_policy", OPT_DICT, AT(tls_policy), NULL, 0, 10000, NULL,
	    check_policy, 0, "A word of tls_mode for a recipient domain "
	    "(tls_policy.DOMAIN), for those below it (tls_policy..DOMAIN) or "
	    "all (tls_policy.*), whatever its DANE records or MTA-STS policy "
	    "say." },
	{ "dane", OPT_BOOL, AT(dane), "yes", 0, 0, NULL, NULL, 0,
	    "Heed the TLSA records of mail exchangers (RFC 7672). It needs a "
	    "validating resolver on this machine, or resolver_trusted." },
	{ "address_literals", OPT_BOOL, AT(address_literals), "yes", 0, 0,
	    NULL, NULL, 0, "Deliver to user@[192.0.2.1]." },
	{ "mx_is_address", OPT_BOOL, AT(mx_is_address), "no", 0, 0, NULL,
	    NULL, 0, "Connect to an MX record that is an address, against the "
	    "standard." },
	{ "private_targets", OPT_ENUM, AT(private_targets), "allow", 0, 0,
	    private_words, NULL, 0, "Loopback, link-local, private and "
	    "multicast addresses that DNS or an address literal gives." },
	{ .name = NULL }
};

static int
check_map(const struct opt_dict *dict, const char *name, opt_report *report,
    void *arg)
{
	struct domain_map m;
	const char *bad = domain_map_init(&m, dict);

	if (bad == NULL) {
		domain_map_clear(&m);
		return 0;
	}
	report(arg, name, "a key is no domain, .domain or *");
	return 1;
}

int
mx_conf_check(const struct mx_conf *conf, opt_report *report, void *arg)
{
	return check_map(&conf->force_mx, "force_mx", report, arg) +
	    check_map(&conf->tls_policy, "tls_policy", report, arg);
}

int
mx_policy_parse(const char *word, struct tls_policy *p)
{
	static const struct {
		const char *word;
		struct tls_policy policy;
	} words[] = {
		{ "none", { .level = TLS_NONE } },
		{ "may", { .level = TLS_MAY } },
		{ "require", { .level = TLS_REQUIRE } },
		{ "encrypt", { .level = TLS_REQUIRE } },
		{ "verify", { .level = TLS_VERIFY } },
		{ "secure", { .level = TLS_VERIFY } },
		{ "dane", { .level = TLS_MAY, .dane = TLS_DANE_MAY } },
		{ "dane-only", { .level = TLS_VERIFY,
		    .dane = TLS_DANE_MUST } },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i].word) == 0) {
			*p = words[i].policy;
			return 0;
		}
	return -1;
}
