/*
 * front_postfix_conf.c - where an agent in master.cf has its options from: -o
 * first, then a section of nexthop.conf, then what Postfix has set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/front_postfix.h"
#include "agent/inherit.h"
#include "base/log.h"
#include "conf/conf.h"
#include "conf/option_name.h"
#include "paths.h"

#define ERROR_BYTES	512
#define NAME_BYTES	128
#define SEC		1000LL
#define AT(field)	offsetof(struct postfix_conf, field)

static const struct opt_row rows[] = {
	{ "relay", OPT_STRING, AT(relay), NULL, 0, 0, NULL, NULL, 0,
	    "Take the options of this relay from the configuration file; those "
	    "given in master.cf win." },
	{ "config", OPT_STRING, AT(config), NEXTHOP_SYSCONFDIR
	    "/nexthop.conf", 0, 0, NULL, NULL, 0, "The configuration file, for "
	    "relay." },
	{ "inherit", OPT_BOOL, AT(inherit), "no", 0, 0, NULL, NULL, 0,
	    "Take what is not given from Postfix's own smtp_ or lmtp_ "
	    "parameters." },
	{ "postconf", OPT_STRING, AT(postconf), "/usr/sbin/postconf", 0, 0,
	    NULL, NULL, 0, "The command that tells Postfix's parameters." },
	{ "delivery_deadline", OPT_TIME, AT(deadline_ms), "900s", 10 * SEC,
	    7200 * SEC, NULL, NULL, 0, "Time for a delivery; what has not "
	    "begun to be sent by then is deferred." },
	{ "service_connections", OPT_INT, AT(service_connections), "20", 1,
	    100, NULL, NULL, 0, "Connections at once to each of the bounce, "
	    "defer, trace and verify services." },
	{ "service_timeout", OPT_TIME, AT(service_timeout_ms), "100s", 1 * SEC,
	    3600 * SEC, NULL, NULL, 0, "Wait for one of these services." },
	{ "assume_postfix", OPT_STRING, AT(assume_version), NULL, 0, 0, NULL,
	    NULL, 0, "Speak the protocol of this version of Postfix, where "
	    "the installed one is not known: 3.12." },
	{ .name = NULL }
};
static const struct opt_group groups[] = { { rows, 0 }, { NULL, 0 } };
const struct opt_table postfix_conf_table = {
	"postfix", groups, sizeof(struct postfix_conf), NULL
};

/* ---- options of master.cf ---- */

/* "name=value" taken apart; NULL: the name is too long for any option. */
static const char *
split(const char *option, char name[NAME_BYTES])
{
	size_t n = strcspn(option, "=");

	if (n >= NAME_BYTES)
		return NULL;
	memcpy(name, option, n);
	name[n] = '\0';
	return option + n + 1;
}

static bool
is_option(const struct opt_table *table, const char *name)
{
	struct opt_at at;
	const char *key;

	return opt_find(table, name, &at, &key);
}

/* Each option is the front's, the agent's or one of Postfix's; the last can
 * only be known once Postfix has been asked. */
static int
take_options(struct postfix_front *f)
{
	const struct opt_table *table = f->agent->ops->table;
	char name[NAME_BYTES], error[ERROR_BYTES];
	struct opts *to;
	const char *value;
	int nfaults = 0;
	size_t i;

	for (i = 0; i < f->args.noptions; i++) {
		if ((value = split(f->args.options[i], name)) == NULL)
			continue;
		to = is_option(&postfix_conf_table, name) ? f->opts :
		    is_option(table, name) ? f->agent->opts :
		    NULL;
		if (to == NULL || opts_set(to, name, value, OPTS_LAST, error,
		    sizeof(error)) == 0)
			continue;
		log_error("master.cf: %s", error);
		nfaults++;
	}
	return nfaults;
}

static int
take_overrides(struct postfix_front *f)
{
	const struct opt_table *table = f->agent->ops->table;
	char name[NAME_BYTES], error[ERROR_BYTES];
	const char *value;
	int nfaults = 0;
	size_t i;

	for (i = 0; i < f->args.noptions; i++) {
		value = split(f->args.options[i], name);
		if (value != NULL &&
		    (is_option(&postfix_conf_table, name) ||
		    is_option(table, name) ||
		    pf_setting_set(f->settings, name, value) == 0))
			continue;
		opt_unknown(table, name, true, error, sizeof(error));
		log_error("master.cf: %s", error);
		nfaults++;
	}
	return nfaults;
}

/* ---- a section of nexthop.conf ---- */

/* Of a relay, but of the master's, not the agent's. */
static bool
is_masters(const char *key)
{
	static const char *const keys[] = { "type", "processes", "backlog",
	    "backlog_timeout", "restart_delay_max", "user", "group" };
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* A relay of another type would be something else altogether. */
static bool
fits_agent(const char *type, const char *program, const char **preset_r)
{
	static const struct { const char *type, *program, *preset; } others[] = {
		{ "mx", "smtp-mx", NULL },
		{ "static", "smtp-static", NULL },
		{ "maildrop", "pipe", "maildrop" },
		{ "dovecot", "pipe", "dovecot" },
	};
	size_t i;

	*preset_r = NULL;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i].type, type) == 0) {
			*preset_r = others[i].preset;
			return strcmp(others[i].program, program) == 0;
		}
	return strcmp(type, program) == 0;
}

static const char *
value_of(const struct conf_section *s, const char *key)
{
	const struct conf_entry *e;

	STAILQ_FOREACH(e, &s->entries, next)
		if (strcmp(e->key, key) == 0)
			return e->value;
	return NULL;
}

/* Names set in master.cf, which the section shall not touch. */
static bool
is_given(const struct postfix_front *f, const char *key)
{
	char name[NAME_BYTES];
	struct opt_at given, asked;
	const char *k;
	size_t i;

	if (!opt_find(f->agent->ops->table, key, &asked, &k))
		return false;
	for (i = 0; i < f->args.noptions; i++)
		if (split(f->args.options[i], name) != NULL &&
		    opt_find(f->agent->ops->table, name, &given, &k) &&
		    given.row == asked.row && (given.row->type != OPT_DICT ||
		    strcmp(name, key) == 0))
			return true;
	return false;
}

static int
take_section(struct postfix_front *f, struct conf *conf,
    const struct conf_section *s)
{
	const struct opt_table *table = f->agent->ops->table;
	const char *type = value_of(s, "type"), *preset;
	const struct conf_entry *e;
	char error[ERROR_BYTES];

	if (type == NULL ||
	    !fits_agent(type, f->agent->ops->name, &preset)) {
		conf_fault(conf, s->line, s, "type", "%s is not for %s",
		    type == NULL ? "none" : type, f->agent->ops->name);
		return -1;
	}
	if (preset != NULL && !is_given(f, "preset") &&
	    opts_set(f->agent->opts, "preset", preset, OPTS_LAST, error,
	    sizeof(error)) == -1)
		conf_fault(conf, s->line, s, NULL, "%s", error);
	STAILQ_FOREACH(e, &s->entries, next) {
		if (is_given(f, e->key) || (is_masters(e->key) &&
		    !is_option(table, e->key)) ||
		    strcmp(e->key, "type") == 0)
			continue;
		if (opts_set(f->agent->opts, e->key, e->value, OPTS_ONCE, error,
		    sizeof(error)) == -1)
			conf_fault(conf, e->line, s, NULL, "%s", error);
	}
	return 0;
}

static int
take_relay(struct postfix_front *f)
{
	struct conf *conf;
	const struct conf_section *s, *found = NULL;
	const struct conf_fault *fault;
	int nfaults;

	if (f->conf->relay == NULL)
		return 0;
	conf = conf_read(f->conf->config);
	STAILQ_FOREACH(s, &conf->sections, next)
		if (strcmp(s->type, "relay") == 0 &&
		    strcmp(s->name, f->conf->relay) == 0)
			found = s;
	if (found != NULL)
		take_section(f, conf, found);
	else if (conf->nfaults == 0)
		conf_fault(conf, 0, NULL, NULL, "no [relay %s]",
		    f->conf->relay);
	STAILQ_FOREACH(fault, &conf->faults, next)
		log_error("%s:%u: %s", conf->path, fault->line, fault->text);
	nfaults = (int)conf->nfaults;
	conf_free(conf);
	return nfaults;
}

/* ---- Postfix's settings ---- */

static int
ask_postfix(struct postfix_front *f)
{
	const char *const *more = f->conf->inherit ?
	    inherit_names(f->agent->ops) : NULL;
	char error[ERROR_BYTES];

	f->settings = pf_settings_ask(f->conf->postconf, more, error,
	    sizeof(error));
	if (f->settings == NULL)
		log_error("%s", error);
	return f->settings == NULL ? 1 : 0;
}

/* Interfaces between Postfix's programs are its own business and may change:
 * nothing is guessed of a version that is not known. */
static int
check_version(struct postfix_front *f)
{
	const char *text = f->conf->assume_version != NULL ?
	    f->conf->assume_version : pf_setting(f->settings, "mail_version");
	int version = pf_version(text);

	if (version < PF_VERSION_MIN || version > PF_VERSION_MAX) {
		log_error("Postfix %s is not known to nexthop %s, which knows "
		    "3.4 to 3.12; with -o assume_postfix=3.12 it is tried",
		    text, NEXTHOP_VERSION);
		return 1;
	}
	f->is_old = version < 3006;
	return 0;
}

static void
take_settings(struct postfix_front *f)
{
	const struct pf_settings *s = f->settings;
	int64_t daemon_ms = pf_setting_ms(s, "daemon_timeout", 18000 * SEC);

	f->hashed = pf_setting(s, "hash_queue_names");
	f->hash_depth = (int)pf_setting_int(s, "hash_queue_depth", 1);
	f->soft_bounce = pf_setting_yes(s, "soft_bounce");
	f->negative_cache = strcasecmp(pf_setting(s,
	    "address_verify_negative_cache"), "no") != 0;
	f->is_external = strcasecmp(pf_setting(s, "info_log_address_format"),
	    "external") == 0;
	f->resolution = (int)pf_setting_int(s,
	    "delay_logging_resolution_limit", 2);
	f->myhostname = pf_setting(s, "myhostname");
	f->max_idle_ms = pf_setting_ms(s, "max_idle", 100 * SEC);
	if (f->args.max_idle != NULL)
		opt_parse_time(f->args.max_idle, &f->max_idle_ms);
	/* qmgr gives up, and itself, after daemon_timeout. */
	f->hard_ms = daemon_ms / 2;
	f->watchdog_s = daemon_ms / SEC < 1000 ? daemon_ms / SEC : 1000;
	if (f->watchdog_s < 10)
		f->watchdog_s = 10;
}

struct finish {
	const struct postfix_front *front;
	int		 nfaults;
};

/* Where the next hop comes with each message, its option may be missing. */
static void
on_fault(void *arg, const char *name, const char *text)
{
	struct finish *fin = arg;
	const struct postfix_front *f = fin->front;

	if (f->wants_nexthop && name != NULL &&
	    strcmp(name, f->agent->ops->nexthop_option) == 0)
		return;
	log_error("%s%s%s", name == NULL ? "" : name, name == NULL ? "" : ": ",
	    text);
	fin->nfaults++;
}

int
postfix_conf_load(struct postfix_front *f)
{
	struct agent *a = f->agent;
	const char *option = a->ops->nexthop_option;
	struct finish fin = { .front = f };
	int nfaults = take_options(f);

	if (nfaults > 0 || ask_postfix(f) > 0)
		return -1;
	nfaults = take_overrides(f) + check_version(f) + take_relay(f);
	if (nfaults > 0)
		return -1;
	if (f->conf->inherit)
		inherit_take(a->ops, a->opts, f->settings, f->conf->postconf);
	take_settings(f);
	f->wants_nexthop = option != NULL && !opts_is_set(a->opts, option);
	opts_finish(a->opts, on_fault, &fin);
	return fin.nfaults > 0 ? -1 : 0;
}
