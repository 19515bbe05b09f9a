/*
 * config_door.c - the sections [intake NAME] and [metrics]: children of the
 * master that face the network.  As with relays, what is not the master's own
 * goes to the program as it stands.
 */
#include "config_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/option_name.h"

#define R(field)	offsetof(struct relay_rows, field)
#define SECONDS(n)	((int64_t)(n) * 1000)
#define LISTEN_MAX	32	/* addresses of a door */

enum { INTAKE_LMTP, INTAKE_CUSTOM };

static const struct opt_word intake_words[] = {
	{ "lmtp",	INTAKE_LMTP, "LMTP clients, by intake-lmtp" },
	{ "custom",	INTAKE_CUSTOM, "the operator's own program, exec" },
	{ NULL,		0, NULL }
};

static const char *
check_address(const char *value)
{
	char text[SOCKET_TEXT_MAX];
	struct addr a;

	return socket_address(value, &a, text);
}

static const struct opt_row intake_rows[] = {
	{ .name = "type", .type = OPT_ENUM, .offset = R(type), .def = "lmtp",
	    .words = intake_words,
	    .text = "Whom it takes messages from." },
	{ .name = "listen", .type = OPT_LIST, .offset = R(listen),
	    .flags = OPT_REQUIRED, .min = 1, .max = LISTEN_MAX,
	    .check = check_address,
	    .text = "Addresses it listens on: unix:/PATH, "
	    "inet:ADDRESS:PORT, inet:[ADDRESS]:PORT for IPv6.  0.0.0.0 and :: "
	    "are all addresses of their family." },
	{ .name = "processes", .type = OPT_INT, .offset = R(processes),
	    .def = "1", .min = 1, .max = 64,
	    .text = "Processes that take connections from the same "
	    "sockets." },
	{ .name = NULL }
};

static const struct opt_row metrics_rows[] = {
	{ .name = "listen", .type = OPT_LIST, .offset = R(listen),
	    .max = LISTEN_MAX, .check = check_address,
	    .text = "Addresses at which the figures are served, as those of "
	    "an intake; without one they are not." },
	{ .name = NULL }
};

static const struct opt_row door_rows[] = {
	{ .name = "listen_mode", .type = OPT_STRING, .offset = R(listen_mode),
	    .def = "0660", .check = config_check_mode,
	    .text = "Mode of UNIX sockets, octal." },
	{ .name = "listen_user", .type = OPT_STRING, .offset = R(listen_user),
	    .text = "Owner of UNIX sockets; without it the user that started "
	    "nexthop-master." },
	{ .name = "listen_group", .type = OPT_STRING,
	    .offset = R(listen_group), .text = "Group of UNIX sockets: who may "
	    "connect." },
	{ .name = "restart_delay_max", .type = OPT_TIME,
	    .offset = R(restart_delay_max_ms), .def = "60s",
	    .min = SECONDS(1), .max = SECONDS(3600),
	    .text = "Longest pause before a process that died is started "
	    "again; the first is one second, each further one twice the "
	    "last." },
	{ .name = "user", .type = OPT_STRING, .offset = R(user),
	    .text = "User that the processes run as; without it that of "
	    "[master]." },
	{ .name = "group", .type = OPT_STRING, .offset = R(group),
	    .text = "Group that the processes run as." },
	{ .name = NULL }
};

static const struct opt_group intake_groups[] = {
	{ intake_rows, 0 }, { door_rows, 0 }, { NULL, 0 }
};
static const struct opt_group metrics_groups[] = {
	{ metrics_rows, 0 }, { door_rows, 0 }, { NULL, 0 }
};
const struct opt_table config_intake_table = {
	"intake", intake_groups, sizeof(struct relay_rows), NULL
};
const struct opt_table config_metrics_table = {
	"metrics", metrics_groups, sizeof(struct relay_rows), NULL
};

/* ---- reading ---- */

/* The addresses in the one way to write them. */
static void
read_addresses(struct relay_conf *r)
{
	char text[SOCKET_TEXT_MAX];
	struct addr a;
	size_t i;

	r->listen = xcalloc(r->rows->listen.n + 1, sizeof(*r->listen));
	for (i = 0; i < r->rows->listen.n; i++)
		if (socket_address(r->rows->listen.v[i], &a, text) == NULL)
			r->listen[r->nlisten++] = xstrdup(text);
}

static void
find_program(struct relay_conf *r, const char *name, const char *key)
{
	const char *exec = config_entry_value(r->section, "exec");
	char text[PATH_MAX + 64];

	if (name == NULL && (exec == NULL || *exec != '/')) {
		relay_conf_fault(r, "exec", exec == NULL ? "required for this "
		    "type" : "must be an absolute path");
		return;
	}
	r->program = name == NULL ? xstrdup(exec) : xasprintf("%s/%s",
	    r->config->master->agents, name);
	if (config_is_program(r->program))
		return;
	snprintf(text, sizeof(text), "%s is no executable file", r->program);
	relay_conf_fault(r, key, text);
}

static void
check_owner(struct relay_conf *r)
{
	struct identity id = { .is_set = false };
	char error[512];

	if (identity_resolve(&id, r->rows->listen_user != NULL ?
	    r->rows->listen_user : "root", r->rows->listen_group, error,
	    sizeof(error)) == -1)
		relay_conf_fault(r, strncmp(error, "no group", 8) == 0 ?
		    "listen_group" : "listen_user", error);
	identity_clear(&id);
}

/* What all of them have. */
static struct relay_conf *
read_door(struct config *config, const struct conf_section *section,
    enum conf_kind kind, const struct opt_table *table)
{
	struct complaint complaint = { config, section, 0 };
	struct relay_conf *r = relay_conf_new(config, section, kind, table);
	struct conf_entry *e;

	TAILQ_INSERT_TAIL(&config->doors, r, next);
	STAILQ_FOREACH(e, &section->entries, next)
		if (config_is_row(table, e->key) &&
		    config_set_row(config, r->opts, section, e) == -1)
			r->is_faulty = true;
	if (config_entry_value(section, "listen") == NULL || !r->is_faulty)
		opts_finish(r->opts, config_on_complaint, &complaint);
	if (complaint.faults > 0)
		r->is_faulty = true;
	read_addresses(r);
	relay_conf_identity(r);
	check_owner(r);
	return r;
}

/* type goes to a program of the operator's, as that of a relay does. */
static bool
goes_to_program(const struct relay_conf *r, const struct opt_table *table,
    const char *key)
{
	if (r->kind == CONF_INTAKE && opt_name_is(key, "type"))
		return r->rows->type == INTAKE_CUSTOM;
	return !config_is_row(table, key);
}

static void
add_options(struct relay_conf *r, const struct opt_table *table)
{
	const struct conf_entry *e;

	STAILQ_FOREACH(e, &r->section->entries, next)
		if (goes_to_program(r, table, e->key))
			relay_conf_option(r, e->key, e->value, e->line);
}

void
config_read_intake(struct config *config, const struct conf_section *section)
{
	struct relay_conf *r = read_door(config, section, CONF_INTAKE,
	    &config_intake_table);

	r->type = intake_words[r->rows->type].word;
	find_program(r, r->rows->type == INTAKE_LMTP ? "intake-lmtp" : NULL,
	    r->rows->type == INTAKE_LMTP ? "type" : "exec");
	add_options(r, &config_intake_table);
}

/* Without an address there is none, but its options are judged. */
void
config_read_metrics(struct config *config, const struct conf_section *section)
{
	struct relay_conf *r = read_door(config, section, CONF_METRICS,
	    &config_metrics_table);

	((struct relay_rows *)opts_values(r->opts))->processes = 1;
	r->name = r->type = "metrics";
	find_program(r, "metrics-http", "listen");
	add_options(r, &config_metrics_table);
}

/* ---- what a section cannot see alone ---- */

static bool
is_master_socket(const struct config *config, const char *address)
{
	return strncmp(address, "unix:", 5) == 0 &&
	    (strcmp(address + 5, config->master->socket) == 0 ||
	    strcmp(address + 5, config->master->control) == 0);
}

/* Whether another address that comes before it is the same. */
static bool
is_taken(const struct relay_conf *r, size_t n)
{
	const struct relay_conf *other;
	size_t i;

	TAILQ_FOREACH(other, &r->config->doors, next) {
		for (i = 0; i < other->nlisten; i++) {
			if (other == r && i == n)
				return false;
			if (strcmp(other->listen[i], r->listen[n]) == 0)
				return true;
		}
	}
	return false;
}

void
config_check_doors(struct config *config)
{
	char text[SOCKET_TEXT_MAX + 64];
	struct relay_conf *r;
	size_t i;

	TAILQ_FOREACH(r, &config->doors, next)
		for (i = 0; i < r->nlisten; i++) {
			if (!is_master_socket(config, r->listen[i]) &&
			    !is_taken(r, i))
				continue;
			snprintf(text, sizeof(text), "%s is listened on "
			    "already, by this or another section",
			    r->listen[i]);
			relay_conf_fault(r, "listen", text);
		}
}
