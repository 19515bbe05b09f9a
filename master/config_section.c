/*
 * config_section.c - what reading any section of the configuration takes, and
 * what the sections of relays and doors have in common.
 */
#include "config_inner.h"

#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/option_name.h"

void
config_on_complaint(void *arg, const char *name, const char *text)
{
	struct complaint *c = arg;

	c->faults++;
	conf_fault(c->config->conf, c->section != NULL ? c->section->line : 0,
	    c->section, name, "%s", text);
}

/* Whether it is the master's own, of a relay of this type. */
bool
config_is_row(const struct opt_table *table, const char *key)
{
	const struct opt_group *group;
	const struct opt_row *row;

	for (group = table->groups; group->rows != NULL; group++)
		for (row = group->rows; row->name != NULL; row++)
			if (opt_name_is(row->name, key))
				return true;
	return false;
}

int
config_set_row(struct config *config, struct opts *opts,
    const struct conf_section *section, const struct conf_entry *e)
{
	char error[512];

	if (opts_set(opts, e->key, e->value, OPTS_ONCE, error,
	    sizeof(error)) == 0)
		return 0;
	conf_fault(config->conf, e->line, section, NULL, "%s", error);
	return -1;
}

bool
config_is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0111) != 0;
}

const char *
config_entry_value(const struct conf_section *section, const char *key)
{
	struct conf_entry *e;

	STAILQ_FOREACH(e, &section->entries, next)
		if (opt_name_is(e->key, key))
			return e->value;
	return NULL;
}

unsigned
config_entry_line(const struct conf_section *section, const char *key)
{
	struct conf_entry *e;

	STAILQ_FOREACH(e, &section->entries, next)
		if (opt_name_is(e->key, key))
			return e->line;
	return section->line;
}

/* ---- relays and doors ---- */

struct relay_conf *
relay_conf_new(struct config *config, const struct conf_section *section,
    enum conf_kind kind, const struct opt_table *table)
{
	struct relay_conf *r = xcalloc(1, sizeof(*r));

	r->config = config;
	r->kind = kind;
	r->section = section;
	r->name = section->name;
	r->opts = opts_new(table);
	r->rows = opts_values(r->opts);
	return r;
}

void
relay_conf_free(struct relay_conf *r)
{
	size_t i;

	opts_free(r->opts);
	identity_clear(&r->identity);
	for (i = 0; i < r->nlisten; i++)
		free(r->listen[i]);
	free(r->listen);
	free(r->sockets);	/* the registry has what they point to */
	free(r->program);
	free(r->options);
	free(r);
}

void
relay_conf_fault(struct relay_conf *r, const char *key, const char *text)
{
	conf_fault(r->config->conf, config_entry_line(r->section, key), r->section,
	    key, "%s", text);
	r->is_faulty = true;
}

void
relay_conf_identity(struct relay_conf *r)
{
	const struct master_conf *m = r->config->master;
	const char *user = r->rows->user != NULL ? r->rows->user : m->user;
	const char *group = r->rows->group != NULL ? r->rows->group :
	    r->rows->user != NULL ? NULL : m->group;
	const char *key;
	char error[512];

	if (geteuid() != 0)
		return;
	if (identity_resolve(&r->identity, user != NULL ? user : "nobody",
	    group, error, sizeof(error)) == 0)
		return;
	key = strncmp(error, "no group", 8) == 0 ? "group" : "user";
	if (config_entry_value(r->section, key) == NULL)
		r->is_faulty = true;	/* [master] has it, told once there */
	else
		relay_conf_fault(r, key, error);
}

void
relay_conf_option(struct relay_conf *r, const char *name, const char *value,
    unsigned line)
{
	r->options = xreallocarray(r->options, r->noptions + 1,
	    sizeof(*r->options));
	r->options[r->noptions++] = (struct relay_option){ name, value, line };
}

static bool
text_is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
listen_is_same(const struct relay_conf *a, const struct relay_conf *b)
{
	size_t i;

	if (a->kind == CONF_RELAY)
		return true;
	if (a->nlisten != b->nlisten ||
	    strcmp(a->rows->listen_mode, b->rows->listen_mode) != 0 ||
	    !text_is_same(a->rows->listen_user, b->rows->listen_user) ||
	    !text_is_same(a->rows->listen_group, b->rows->listen_group))
		return false;
	for (i = 0; i < a->nlisten; i++)
		if (strcmp(a->listen[i], b->listen[i]) != 0)
			return false;
	return true;
}

bool
relay_conf_is_same(const struct relay_conf *a, const struct relay_conf *b)
{
	size_t i;

	if (a->kind != b->kind || a->rows->type != b->rows->type ||
	    a->noptions != b->noptions ||
	    a->rows->processes != b->rows->processes ||
	    strcmp(a->program, b->program) != 0 || !listen_is_same(a, b) ||
	    !identity_is_same(&a->identity, &b->identity))
		return false;
	for (i = 0; i < a->noptions; i++)
		if (strcmp(a->options[i].name, b->options[i].name) != 0 ||
		    strcmp(a->options[i].value, b->options[i].value) != 0)
			return false;
	return true;
}

unsigned
relay_conf_line(const struct relay_conf *r, int64_t n, const char *text)
{
	const char *colon = strchr(text, ':');
	size_t i, len = colon == NULL ? 0 : (size_t)(colon - text);

	if (n >= 0 && (uint64_t)n < r->noptions)
		return r->options[n].line;
	for (i = 0; i < r->noptions; i++)
		if (len > 0 && strlen(r->options[i].name) == len &&
		    memcmp(r->options[i].name, text, len) == 0)
			return r->options[i].line;
	return r->section->line;
}
