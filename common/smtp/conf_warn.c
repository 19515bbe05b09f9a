/* conf_warn.c - options of SMTP clients that are legal, but dangerous. */
#include <stdio.h>
#include <sys/resource.h>

#include "net/addr_range.h"
#include "smtp/auth.h"
#include "smtp/conf.h"

#define COMMAND_TIMEOUT_LOW_MS	10000
#define DATA_TIMEOUT_LOW_MS	60000	/* the default */
#define FILES_OTHER		64	/* descriptors that are no connections */

/* The default of data_timeout is less than the ten minutes of RFC 5321
 * §4.5.3.2.6 already: what is told is who goes below. */
void
smtp_conf_warn(const struct smtp_conf *conf, opt_report *report, void *arg)
{
	struct rlimit files;
	char text[160];

	if (conf->data_timeout_ms < DATA_TIMEOUT_LOW_MS)
		report(arg, "data_timeout", "a server that accepts after this "
		    "time has the message twice when it is sent again; RFC "
		    "5321 asks for ten minutes");
	if (conf->command_timeout_ms < COMMAND_TIMEOUT_LOW_MS)
		report(arg, "command_timeout", "servers that are slow on "
		    "purpose are given up; RFC 5321 asks for five minutes");
	if (getrlimit(RLIMIT_NOFILE, &files) == -1 ||
	    files.rlim_max == RLIM_INFINITY ||
	    (uint64_t)conf->concurrent_connections + FILES_OTHER <=
	    files.rlim_max)
		return;
	snprintf(text, sizeof(text), "%jd connections cannot be open with a "
	    "limit of %ju descriptors a process", (intmax_t)
	    conf->concurrent_connections, (uintmax_t)files.rlim_max);
	report(arg, "concurrent_connections", text);
}

static const char *
first_remote(const struct opt_list *hosts)
{
	size_t i;

	for (i = 0; i < hosts->n; i++)
		if (!host_is_local(hosts->v[i]))
			return hosts->v[i];
	return NULL;
}

static enum tls_level
level_of(const struct tls_conf *tls)
{
	struct addr a;

	/* Any that is no UNIX socket. */
	addr_parse(&a, "192.0.2.1", 25);
	return tls_policy_of(tls, TLS_FOR_HOST, &a).level;
}

void
auth_conf_warn(const struct auth_conf *conf, const struct tls_conf *tls,
    const struct opt_list *hosts, opt_report *report, void *arg)
{
	/* Without any, as a service of Postfix, each message names its own. */
	const char *host = hosts->n == 0 ? "the next hop" : first_remote(hosts);
	enum tls_level level = level_of(tls);
	char text[512];

	if (conf->username == NULL || *conf->username == '\0')
		return;
	if (host != NULL && level == TLS_NONE)
		report(arg, "tls_mode", "with credentials and without TLS: a "
		    "login fails, or shows who listens what the password can "
		    "be found from");
	else if (host != NULL && level != TLS_VERIFY) {
		snprintf(text, sizeof(text), "the password goes to whoever "
		    "answers for %.255s, since nothing asks for a verified "
		    "certificate; tls_mode = verify does", host);
		report(arg, "credentials.username", text);
	}
	if (conf->failure == AUTH_PERMANENT)
		report(arg, "auth_failure", "a wrong password here bounces "
		    "all mail of this relay");
	if (conf->retry_delay_ms == 0)
		report(arg, "auth_retry_delay", "each connection tries a "
		    "refused login again, until the account is locked");
}
