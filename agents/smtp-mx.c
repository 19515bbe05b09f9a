/*
 * smtp-mx - delivers to the mail exchangers of the recipients' domains (RFC
 * 5321 §5.1), under DANE, MTA-STS and the operator's own TLS policies.
 */
#include "agent/agent.h"
#include "agent/cage.h"
#include "net/ehlo_name.h"
#include "route/dns.h"
#include "route/mx.h"
#include "route/sts.h"
#include "smtp/conf.h"
#include "smtp/relay.h"

struct mx_agent_conf {
	struct mx_conf	 mx;
	struct dns_conf	 dns;
	struct sts_conf	 sts;
	struct smtp_conf smtp;
	struct tls_conf	 tls;
	struct cage_conf cage;
};

static struct router
make_router(struct loop *loop, const struct mx_agent_conf *conf,
    const char *ehlo, char *error, size_t size)
{
	const struct smtp_conf *smtp = &conf->smtp;
	const struct router none = { .state = NULL };
	struct mx_router_conf router_conf = {
		.mx = &conf->mx,
		.tls = &conf->tls,
		.ehlo = ehlo,
		.want_ipv4 = smtp->address_family != FAMILY_IPV6,
		.want_ipv6 = smtp->address_family != FAMILY_IPV4 &&
		    !smtp->ipv4_only,
	};

	router_conf.dns = dns_new(loop, &conf->dns, error, size);
	if (router_conf.dns == NULL)
		return none;
	if (conf->sts.mta_sts) {
		router_conf.sts = sts_new(loop, router_conf.dns, &conf->sts,
		    error, size);
		if (router_conf.sts == NULL) {
			dns_free(router_conf.dns);
			return none;
		}
	}
	return mx_router(loop, &router_conf, error, size);
}

static void *
mx_start(struct agent *agent, void *values, char *error, size_t size)
{
	/* Nobody is told a password who is found by DNS alone. */
	static const struct auth_conf no_auth;
	struct mx_agent_conf *conf = values;
	struct smtp_relay_conf relay_conf = {
		.smtp = &conf->smtp,
		.tls = &conf->tls,
		.auth = &no_auth,
		.ehlo = ehlo_name(conf->smtp.ehlo_as, error, size),
	};

	if (relay_conf.ehlo == NULL)
		return NULL;
	conf->dns.dns_timeout_ms = conf->smtp.dns_timeout_ms;
	relay_conf.router = make_router(agent_loop(agent), conf,
	    relay_conf.ehlo, error, size);
	return smtp_relay_new(agent, &relay_conf, error, size);
}

static int
mx_check(void *values, opt_report *report, void *arg)
{
	const struct mx_agent_conf *conf = values;

	return tls_conf_check(&conf->tls, TLS_FOR_MX, report, arg) +
	    mx_conf_check(&conf->mx, report, arg);
}

static void
mx_warn(const void *values, opt_report *report, void *arg)
{
	const struct mx_agent_conf *conf = values;

	smtp_conf_warn(&conf->smtp, report, arg);
	dns_conf_warn(&conf->dns, report, arg);
	tls_conf_warn(&conf->tls, TLS_FOR_MX, report, arg);
	if (conf->tls.mode == TLS_MODE_NONE)
		report(arg, "tls_mode", "all mail goes in clear text, though "
		    "nearly every server offers TLS");
}

static uint32_t
mx_window(const void *values)
{
	const struct mx_agent_conf *conf = values;

	return (uint32_t)conf->smtp.window;
}

static void
mx_name_files(struct cage *c, const void *values)
{
	const struct mx_agent_conf *conf = values;

	cage_names(c);
	cage_tls(c, &conf->tls);
	cage_read(c, conf->dns.resolv_conf);
	cage_read(c, conf->dns.hosts_file);
	cage_read(c, conf->sts.mta_sts_ca_certs);
	cage_write(c, conf->sts.mta_sts_cache);
}

static const struct cage_policy cage = {
	.name = "smtp-mx",
	.may = CAGE_NET,
	.conf_at = offsetof(struct mx_agent_conf, cage),
	.name_files = mx_name_files,
};

int
main(int argc, char **argv)
{
	static const struct opt_group groups[] = {
		{ mx_conf_rows, offsetof(struct mx_agent_conf, mx) },
		{ dns_conf_rows, offsetof(struct mx_agent_conf, dns) },
		{ sts_conf_rows, offsetof(struct mx_agent_conf, sts) },
		{ smtp_conf_rows, offsetof(struct mx_agent_conf, smtp) },
		{ tls_conf_rows, offsetof(struct mx_agent_conf, tls) },
		{ cage_conf_rows, offsetof(struct mx_agent_conf, cage) },
		{ NULL, 0 }
	};
	static const struct opt_table table = {
		"smtp-mx", groups, sizeof(struct mx_agent_conf), mx_check
	};
	static const struct agent_ops ops = {
		.name = "smtp-mx",
		.summary = "deliver to the mail exchangers of domains",
		.table = &table,
		.warn = mx_warn,
		.start = mx_start,
		.deliver = smtp_relay_deliver,
		.cancel = smtp_relay_cancel,
		.has_parts = true,
		.over = smtp_relay_over,
		.can_probe = true,
		.explain = smtp_relay_explain,
		.drain = smtp_relay_drain,
		.is_busy = smtp_relay_is_busy,
		.stop = smtp_relay_free,
		.stats = smtp_relay_stats,
		.window = mx_window,
		.cage = &cage,
	};

	return agent_main(&ops, argc, argv);
}
