/*
 * inherit.c - what Postfix's own clients have in main.cf, as options of ours.
 *
 * A row is an option and the parameters it is made of; names begin with smtp_
 * or, for the agent lmtp, lmtp_, except where a dot says that they do not.
 */
#include "agent/inherit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/option_name.h"

#define NAMES_PER_ROW	6
#define NAMES_MAX	48
#define TEXT_BYTES	1024

/* How the values become one; false: there is nothing to set. */
typedef bool inherit_make(const char *const *values, char *to, size_t);

struct inherit_row {
	const char	*option;
	inherit_make	*make;
	const char	*names[NAMES_PER_ROW];
};

static bool
take_first(const char *const *v, char *to, size_t size)
{
	strlcpy(to, v[0], size);
	return *v[0] != '\0';
}

/* "none" means that there is none, as for certificates. */
static bool
take_file(const char *const *v, char *to, size_t size)
{
	return take_first(v, to, size) && strcmp(v[0], "none") != 0;
}

/* The longest of them; a part of weeks is written in days. */
static bool
take_longest(const char *const *v, char *to, size_t size)
{
	int64_t ms, max = -1;
	int64_t weeks;
	char *end;

	for (; *v != NULL; v++) {
		weeks = strtoll(*v, &end, 10);
		if (*end == 'w' && end[1] == '\0' && weeks >= 0 &&
		    weeks < 1000)
			ms = weeks * 7 * 86400 * 1000;
		else if (opt_parse_time(*v, &ms) == -1)
			continue;
		if (ms > max)
			max = ms;
	}
	snprintf(to, size, "%lldms", (long long)max);
	return max >= 0;
}

static bool
take_list(const char *const *v, char *to, size_t size)
{
	for (*to = '\0'; *v != NULL; v++)
		if (**v != '\0') {
			strlcat(to, *to == '\0' ? "" : ",", size);
			strlcat(to, *v, size);
		}
	return *to != '\0';
}

static bool
take_family(const char *const *v, char *to, size_t size)
{
	bool has_4 = strstr(v[0], "ipv4") != NULL;
	bool has_6 = strstr(v[0], "ipv6") != NULL;

	strlcpy(to, has_4 && !has_6 ? "ipv4" : has_6 && !has_4 ? "ipv6" :
	    "any", size);
	return true;
}

static bool
take_level(const char *const *v, char *to, size_t size)
{
	strlcpy(to, strcmp(v[1], "yes") == 0 ? "wrapper" : v[0], size);
	return *to != '\0';
}

/* "static:user:password", also in braces: the same for every host, without a
 * look-up. */
static bool
take_account(const char *const *v, bool is_user, char *to, size_t size)
{
	const char *account = v[1] + 7, *colon;

	if (strcmp(v[0], "yes") != 0 || strncmp(v[1], "static:", 7) != 0)
		return false;
	if (*account == '{')
		account += 1 + strspn(account + 1, " ");
	if ((colon = strchr(account, ':')) == NULL)
		return false;
	if (is_user)
		snprintf(to, size, "%.*s", (int)(colon - account), account);
	else {
		strlcpy(to, colon + 1, size);
		if (v[1][7] == '{')
			to[strcspn(to, "}")] = '\0';
		while (*to != '\0' && to[strlen(to) - 1] == ' ')
			to[strlen(to) - 1] = '\0';
	}
	return *to != '\0';
}

static bool
take_user(const char *const *v, char *to, size_t size)
{
	return take_account(v, true, to, size);
}

static bool
take_password(const char *const *v, char *to, size_t size)
{
	return take_account(v, false, to, size);
}

static const struct inherit_row rows[] = {
	{ "connect_timeout", take_longest, { "connect_timeout" } },
	{ "command_timeout", take_longest, { "helo_timeout", "mail_timeout",
	    "rcpt_timeout", "data_init_timeout" } },
	{ "data_timeout", take_longest, { "data_xfer_timeout",
	    "data_done_timeout" } },
	{ "idle_timeout", take_longest, { "connection_cache_time_limit" } },
	{ "max_connection_time", take_longest,
	    { "connection_reuse_time_limit" } },
	{ "max_messages_per_connection", take_first,
	    { "connection_reuse_count_limit" } },
	{ "source_addresses", take_list, { "bind_address", "bind_address6" } },
	{ "address_family", take_family, { ".inet_protocols" } },
	{ "tls_mode", take_level, { "tls_security_level", "tls_wrappermode" } },
	{ "tls.ca_certs", take_file, { "tls_CAfile" } },
	{ "tls.ca_path", take_file, { "tls_CApath" } },
	{ "tls.certfile", take_file, { "tls_cert_file" } },
	{ "tls.keyfile", take_file, { "tls_key_file" } },
	{ "tls.fingerprints", take_list, { "tls_fingerprint_cert_match" } },
	{ "credentials.username", take_user, { "sasl_auth_enable",
	    "sasl_password_maps" } },
	{ "credentials.password", take_password, { "sasl_auth_enable",
	    "sasl_password_maps" } },
};
static const struct inherit_row smtp_name = { "ehlo_as", take_first,
    { "helo_name" } };
static const struct inherit_row lmtp_name = { "ehlo_as", take_first,
    { "lhlo_name" } };
#define NROWS	(sizeof(rows) / sizeof(rows[0]))

static bool
is_lmtp(const struct agent_ops *ops)
{
	return strcmp(ops->name, "lmtp") == 0;
}

static const struct inherit_row *
row_at(const struct agent_ops *ops, size_t i)
{
	return i < NROWS ? &rows[i] : is_lmtp(ops) ? &lmtp_name : &smtp_name;
}

static char *
full_name(const struct agent_ops *ops, const char *name)
{
	return *name == '.' ? xstrdup(name + 1) :
	    xasprintf("%s_%s", is_lmtp(ops) ? "lmtp" : "smtp", name);
}

/* Made once: a process is one agent. */
const char *const *
inherit_names(const struct agent_ops *ops)
{
	static const char *names[NAMES_MAX];
	const struct inherit_row *row;
	size_t i, k, n = 0;

	if (names[0] != NULL)
		return names;
	for (i = 0; i <= NROWS; i++)
		for (row = row_at(ops, i), k = 0; k < NAMES_PER_ROW &&
		    row->names[k] != NULL && n < NAMES_MAX - 1; k++)
			names[n++] = full_name(ops, row->names[k]);
	return names;
}

static void
take_row(const struct agent_ops *ops, const struct inherit_row *row,
    struct opts *opts, const struct pf_settings *s)
{
	const char *values[NAMES_PER_ROW + 1] = { NULL };
	char text[TEXT_BYTES] = "", error[TEXT_BYTES];
	struct opt_at at;
	const char *key;
	char *name;
	size_t k;

	if (!opt_find(ops->table, row->option, &at, &key) ||
	    opts_is_set(opts, row->option))
		return;
	for (k = 0; k < NAMES_PER_ROW && row->names[k] != NULL; k++) {
		name = full_name(ops, row->names[k]);
		values[k] = pf_setting(s, name);
		free(name);
	}
	if (row->make(values, text, sizeof(text)) && opts_set(opts,
	    row->option, text, OPTS_LAST, error, sizeof(error)) == -1)
		log_warning("inherit: %s", error);
	explicit_bzero(text, sizeof(text));
}

/* ---- what is left ---- */

struct others {
	const struct agent_ops *ops;
	char		 text[TEXT_BYTES];
};

static bool
is_known(const struct agent_ops *ops, const char *name)
{
	const char *const *names = inherit_names(ops);

	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static void
on_explicit(void *arg, const char *name, const char *value)
{
	struct others *o = arg;
	const char *prefix = is_lmtp(o->ops) ? "lmtp_" : "smtp_";

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return;
	if (is_known(o->ops, name) && (strstr(name, "_sasl_password_maps") ==
	    NULL || strncmp(value, "static:", 7) == 0))
		return;
	strlcat(o->text, " ", sizeof(o->text));
	strlcat(o->text, name, sizeof(o->text));
}

void
inherit_take(const struct agent_ops *ops, struct opts *opts,
    const struct pf_settings *s, const char *postconf)
{
	struct others others = { .ops = ops };
	struct pf_settings *set;
	char error[TEXT_BYTES];
	size_t i;

	for (i = 0; i <= NROWS; i++)
		take_row(ops, row_at(ops, i), opts, s);
	set = pf_settings_explicit(postconf, error, sizeof(error));
	if (set == NULL) {
		log_warning("inherit: %s", error);
		return;
	}
	pf_settings_each(set, on_explicit, &others);
	pf_settings_free(set);
	if (*others.text != '\0')
		log_warning("inherit: set in main.cf, but not for this "
		    "agent:%s", others.text);
}
