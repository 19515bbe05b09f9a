/*
 * config_relay.c - the sections [relay NAME]: a relay's program and rights, and
 * the options that go to it as they stand.
 */
#include "config_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/option_name.h"

#define R(field)	offsetof(struct relay_rows, field)
#define SECONDS(n)	((int64_t)(n) * 1000)

/* A type of relay: which agent, and a preset of it. */
static const struct {
	const char	*program;
	const char	*preset;
	bool		 runs_programs;
	bool		 gains;		/* by set-user-ID files, if not told */
} types[] = {
	{ "smtp-mx",	 NULL, false, false },
	{ "smtp-static", NULL, false, false },
	{ "lmtp",	 NULL, false, false },
	{ "pipe",	 NULL, true, false },
	{ "pipe",	 "maildrop", true, true },
	{ "pipe",	 "dovecot", true, false },
	{ "http",	 NULL, false, false },
	{ "blackhole",	 NULL, false, false },
	{ "custom",	 NULL, false, false },
};

enum { TYPE_CUSTOM = 8 };

static const struct opt_word type_words[] = {	/* indexes of types[] */
	{ "mx",		0, "SMTP to the hosts that the DNS names" },
	{ "static",	1, "SMTP to a fixed list of hosts" },
	{ "lmtp",	2, "LMTP to a mail store" },
	{ "pipe",	3, "a program run for each recipient" },
	{ "maildrop",	4, "the same with maildrop's arguments" },
	{ "dovecot",	5, "the same with dovecot-lda's arguments" },
	{ "http",	6, "a request to a web server" },
	{ "blackhole",	7, "accepts and forgets" },
	{ "custom",	TYPE_CUSTOM, "the operator's own code" },
	{ NULL,		0, NULL }
};

static const struct opt_word privs_words[] = {
	{ "auto",	PRIVS_AUTO, "they are, but not with type maildrop, "
	    "which is such a file" },
	{ "yes",	PRIVS_KEPT, "they are" },
	{ "no",		PRIVS_GAINED, "they are not" },
	{ NULL,		0, NULL }
};

static const struct opt_row relay_rows[] = {
	{ .name = "type", .type = OPT_ENUM, .offset = R(type),
	    .words = type_words, .flags = OPT_REQUIRED,
	    .text = "What kind of relay it is." },
	{ .name = "processes", .type = OPT_INT, .offset = R(processes),
	    .def = "1", .min = 1, .max = 64,
	    .text = "Agent processes that share the work." },
	{ .name = "backlog", .type = OPT_INT, .offset = R(backlog),
	    .def = "1000", .min = 0, .max = 1000000,
	    .text = "Deliveries that may wait in the master for this relay; "
	    "a submitter with one more is not read until there is room." },
	{ .name = "backlog_timeout", .type = OPT_TIME,
	    .offset = R(backlog_timeout_ms), .def = "60s", .min = 100,
	    .max = SECONDS(86400),
	    .text = "A delivery that waited in the master for so long fails "
	    "for now." },
	{ .name = "restart_delay_max", .type = OPT_TIME,
	    .offset = R(restart_delay_max_ms), .def = "60s",
	    .min = SECONDS(1), .max = SECONDS(3600),
	    .text = "Longest pause before an agent that died is started "
	    "again; the first is one second, each further one twice the "
	    "last." },
	{ .name = "user", .type = OPT_STRING, .offset = R(user),
	    .text = "User that this relay's agents run as; without it that "
	    "of [master]." },
	{ .name = "group", .type = OPT_STRING, .offset = R(group),
	    .text = "Group that this relay's agents run as." },
	{ .name = "no_new_privs", .type = OPT_ENUM, .offset = R(no_new_privs),
	    .def = "auto", .words = privs_words, .text = "Whether "
	    "set-user-ID and set-group-ID files are kept from giving rights to "
	    "this relay's agents and the programs they run." },
	{ .name = NULL }
};

/* Of type custom, besides those of every relay; also not the agent's. */
static const struct opt_row custom_rows[] = {
	{ .name = "timeout", .type = OPT_TIME, .offset = R(timeout_ms),
	    .def = "1000s", .min = 100, .max = SECONDS(86400),
	    .text = "An agent that has not answered a delivery after so long "
	    "gets CANCEL, and five seconds later the recipients without an "
	    "answer fail for now.  Such an agent gets no new deliveries, and "
	    "is started again once its others have ended.  The deadline of a "
	    "delivery counts likewise." },
	{ .name = NULL }
};

static const struct opt_group relay_groups[] = {
	{ relay_rows, 0 }, { NULL, 0 }
};
static const struct opt_group custom_groups[] = {
	{ relay_rows, 0 }, { custom_rows, 0 }, { NULL, 0 }
};
static const struct opt_group timeout_groups[] = {	/* for manuals */
	{ custom_rows, 0 }, { NULL, 0 }
};
const struct opt_table config_relay_table = {
	"relay", relay_groups, sizeof(struct relay_rows), NULL
};
const struct opt_table config_custom_table = {
	"relay", custom_groups, sizeof(struct relay_rows), NULL
};
const struct opt_table config_timeout_table = {
	"relay", timeout_groups, sizeof(struct relay_rows), NULL
};

/* ---- reading ---- */

const char *
config_type_program(const char *type, const char **preset_r)
{
	const struct opt_word *w;

	for (w = type_words; w->word != NULL; w++)
		if (strcmp(w->word, type) == 0) {
			*preset_r = types[w->value].preset;
			return types[w->value].program;
		}
	return NULL;
}

static const struct opt_table *
relay_table(const struct conf_section *section)
{
	const char *type = config_entry_value(section, "type");

	return type != NULL && strcasecmp(type, "custom") == 0 ?
	    &config_custom_table : &config_relay_table;
}

/* The executable of the relay's type, or the operator's own. */
static void
find_program(struct relay_conf *r)
{
	const char *exec = config_entry_value(r->section, "exec");
	const char *factory = config_entry_value(r->section, "factory");
	char text[PATH_MAX + 64];
	bool is_custom = r->rows->type == TYPE_CUSTOM;
	bool is_own = is_custom && exec != NULL;

	if (is_custom && exec == NULL && factory == NULL) {
		relay_conf_fault(r, "factory", "required for this type "
		    "(FILE:SYMBOL), or exec");
		return;
	}
	if (is_own && factory != NULL) {
		relay_conf_fault(r, "factory", "excludes exec");
		return;
	}
	if (is_custom && factory != NULL && *factory != '/')
		relay_conf_fault(r, "factory", "must be an absolute path and a "
		    "symbol: /FILE:SYMBOL");
	r->program = is_own ? xstrdup(exec) : xasprintf("%s/%s",
	    r->config->master->agents, types[r->rows->type].program);
	if (is_own && *exec != '/')
		relay_conf_fault(r, "exec", "must be an absolute path");
	else if (!config_is_program(r->program)) {
		snprintf(text, sizeof(text), "%s is no executable file",
		    r->program);
		relay_conf_fault(r, is_own ? "exec" : "type", text);
	}
}

/* What it may be allowed to gain, and that it has not got everything. */
static void
find_rights(struct relay_conf *r)
{
	r->identity.may_gain = r->rows->no_new_privs == PRIVS_GAINED ||
	    (r->rows->no_new_privs == PRIVS_AUTO &&
	    types[r->rows->type].gains);
	if (!types[r->rows->type].runs_programs || !r->identity.is_set)
		return;
	/* As Postfix's pipe(8): programs get the one group. */
	r->identity.groups[0] = r->identity.gid;
	r->identity.ngroups = 1;
	if (r->identity.uid == 0)
		relay_conf_fault(r, "user", "programs are never run by root");
}

/* type and exec are the agent's to know where it is the operator's code. */
static bool
goes_to_agent(const struct relay_conf *r, const char *key)
{
	if (opt_name_is(key, "type"))
		return r->rows->type == TYPE_CUSTOM;
	return !config_is_row(relay_table(r->section), key);
}

void
config_read_relay(struct config *config, const struct conf_section *section)
{
	struct complaint complaint = { config, section, 0 };
	struct relay_conf *r = relay_conf_new(config, section, CONF_RELAY,
	    relay_table(section));
	struct conf_entry *e;

	TAILQ_INSERT_TAIL(&config->relays, r, next);
	config->nrelays++;

	STAILQ_FOREACH(e, &section->entries, next)
		if (config_is_row(relay_table(section), e->key) &&
		    config_set_row(config, r->opts, section, e) == -1)
			r->is_faulty = true;
	/* A type that was refused is not missing as well. */
	if (config_entry_value(section, "type") == NULL || !r->is_faulty)
		opts_finish(r->opts, config_on_complaint, &complaint);
	if (complaint.faults > 0)
		r->is_faulty = true;
	if (!opts_is_set(r->opts, "type"))
		return;
	r->type = type_words[r->rows->type].word;
	find_program(r);
	relay_conf_identity(r);
	find_rights(r);
	if (types[r->rows->type].preset != NULL)
		relay_conf_option(r, "preset", types[r->rows->type].preset,
		    config_entry_line(section, "type"));
	if (types[r->rows->type].runs_programs)
		relay_conf_option(r, "no_new_privs", r->identity.may_gain ? "no" :
		    "yes", config_entry_line(section, "no_new_privs"));
	STAILQ_FOREACH(e, &section->entries, next)
		if (goes_to_agent(r, e->key))
			relay_conf_option(r, e->key, e->value, e->line);
}
