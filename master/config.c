/*
 * config.c - the configuration file as structs: the master's own keys, and for
 * each relay its program and the options that go to it as they stand.  What
 * those options mean is the agent's business; rollout.c asks it.
 */
#include "master.h"

#include <sys/stat.h>

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_BYTES	255

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

static const struct opt_word level_words[] = {
	{ "error",	LOG_LEVEL_ERROR, "what needs an operator" },
	{ "warning",	LOG_LEVEL_WARNING, "also what may need one" },
	{ "info",	LOG_LEVEL_INFO, "also starts, ends and answers" },
	{ "debug",	LOG_LEVEL_DEBUG, "also connections" },
	{ NULL,		0, NULL }
};

static const struct opt_word privs_words[] = {
	{ "auto",	PRIVS_AUTO, "they are, but not with type maildrop, "
	    "which is such a file" },
	{ "yes",	PRIVS_KEPT, "they are" },
	{ "no",		PRIVS_GAINED, "they are not" },
	{ NULL,		0, NULL }
};

static const struct opt_word log_words[] = {
	{ "auto",	LOG_TO_AUTO, "stderr in the foreground, else syslog" },
	{ "stderr",	LOG_TO_STDERR, "stderr" },
	{ "syslog",	LOG_TO_SYSLOG, "syslog, facility mail" },
	{ NULL,		0, NULL }
};

static const char *
check_absolute(const char *value)
{
	return *value == '/' ? NULL : "must be an absolute path";
}

static const char *
check_socket(const char *value)
{
	struct sockaddr_un sun;

	if (strlen(value) >= sizeof(sun.sun_path))
		return "is too long for the path of a socket";
	return check_absolute(value);
}

static const char *
check_mode(const char *value)
{
	size_t n = strlen(value);

	return n >= 1 && n <= 4 && strspn(value, "01234567") == n &&
	    (n < 4 || *value == '0') ? NULL :
	    "must be an octal mode, as 0660";
}

#define M(field)	offsetof(struct master_conf, field)
#define R(field)	offsetof(struct relay_rows, field)
#define SECONDS(n)	((int64_t)(n) * 1000)

static const struct opt_row master_rows[] = {
	{ .name = "socket", .type = OPT_STRING, .offset = M(socket),
	    .def = "/run/nexthop/submit.sock", .check = check_socket,
	    .text = "Path of the socket that submitters connect to." },
	{ .name = "socket_mode", .type = OPT_STRING, .offset = M(socket_mode),
	    .def = "0660", .check = check_mode,
	    .text = "Mode of the submission socket, octal." },
	{ .name = "socket_user", .type = OPT_STRING, .offset = M(socket_user),
	    .text = "Owner of the submission socket; without it the user "
	    "that started nexthop-master." },
	{ .name = "socket_group", .type = OPT_STRING, .offset = M(socket_group),
	    .text = "Group of the submission socket." },
	{ .name = "control", .type = OPT_STRING, .offset = M(control),
	    .def = "/run/nexthop/control.sock", .check = check_socket,
	    .text = "Path of the socket that the nexthop command talks to." },
	{ .name = "control_mode", .type = OPT_STRING, .offset = M(control_mode),
	    .def = "0600", .check = check_mode,
	    .text = "Mode of the control socket, octal." },
	{ .name = "agents", .type = OPT_STRING, .offset = M(agents),
	    .check = check_absolute,
	    .text = "Folder of the agents' executables; without it "
	    "../libexec/nexthop beside the running program." },
	{ .name = "user", .type = OPT_STRING, .offset = M(user),
	    .text = "User that agents run as when nexthop-master was started "
	    "by root; without it nobody.  Ignored otherwise." },
	{ .name = "group", .type = OPT_STRING, .offset = M(group),
	    .text = "Group that agents run as; without it that of the user." },
	{ .name = "pid_file", .type = OPT_STRING, .offset = M(pid_file),
	    .check = check_absolute,
	    .text = "File that holds the master's process id while it runs." },
	{ .name = "stop_timeout", .type = OPT_TIME,
	    .offset = M(stop_timeout_ms), .def = "30s", .min = 0,
	    .max = SECONDS(3600),
	    .text = "How long running deliveries may take at SIGTERM, at "
	    "'nexthop stop', and in agents replaced by a reload." },
	{ .name = "submit_timeout", .type = OPT_TIME,
	    .offset = M(submit_timeout_ms), .def = "300s", .min = SECONDS(1),
	    .max = SECONDS(86400),
	    .text = "A submitter that takes none of its answers for so long "
	    "is disconnected." },
	{ .name = "max_submitters", .type = OPT_INT,
	    .offset = M(max_submitters), .def = "1000", .min = 1,
	    .max = 100000, .text = "Submitters connected at once." },
	{ .name = "log", .type = OPT_ENUM, .offset = M(log), .def = "auto",
	    .words = log_words, .text = "Where the master and its agents "
	    "log." },
	{ .name = "log_level", .type = OPT_ENUM, .offset = M(log_level),
	    .def = "info", .words = level_words,
	    .text = "How much they log." },
	{ .name = NULL }
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

static const struct opt_group master_groups[] = {
	{ master_rows, 0 }, { NULL, 0 }
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
const struct opt_table config_master_table = {
	"master", master_groups, sizeof(struct master_conf), NULL
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

/* ---- places ---- */

/* The folder above that of the running program: /usr for /usr/sbin/x. */
static char *
prefix(void)
{
	char path[PATH_MAX], *slash;
	ssize_t n;
	int i;

	if ((n = readlink("/proc/self/exe", path, sizeof(path) - 1)) == -1)
		return xstrdup("/usr/local");
	path[n] = '\0';
	for (i = 0; i < 2; i++)
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
	return xstrdup(path);
}

char *
config_default_path(void)
{
	char *at = prefix(), *path;

	path = xasprintf("%s/etc/nexthop/nexthop.conf",
	    strcmp(at, "/usr") == 0 ? "" : at);
	free(at);
	return path;
}

char *
config_absolute_path(const char *path)
{
	char here[PATH_MAX];

	if (*path == '/' || getcwd(here, sizeof(here)) == NULL)
		return xstrdup(path);
	return xasprintf("%s/%s", here, path);
}

mode_t
config_mode(const char *octal)
{
	return (mode_t)strtoul(octal, NULL, 8);
}

/* ---- reading ---- */

/* A table's complaint about a section, without a line of its own. */
struct complaint {
	struct config	*config;
	const struct conf_section *section;
	unsigned	 faults;
};

static void
on_complaint(void *arg, const char *name, const char *text)
{
	struct complaint *c = arg;

	c->faults++;
	conf_fault(c->config->conf, c->section != NULL ? c->section->line : 0,
	    c->section, name, "%s", text);
}

static bool
name_is_alike(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
		if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
			return false;
	return *a == *b;
}

/* Whether it is the master's own, of a relay of this type. */
static bool
is_row(const struct opt_table *table, const char *key)
{
	const struct opt_group *group;
	const struct opt_row *row;

	for (group = table->groups; group->rows != NULL; group++)
		for (row = group->rows; row->name != NULL; row++)
			if (name_is_alike(row->name, key))
				return true;
	return false;
}

static int
set_row(struct config *config, struct opts *opts,
    const struct conf_section *section, const struct conf_entry *e)
{
	char error[512];

	if (opts_set(opts, e->key, e->value, OPTS_ONCE, error,
	    sizeof(error)) == 0)
		return 0;
	conf_fault(config->conf, e->line, section, NULL, "%s", error);
	return -1;
}

char *
config_agents_folder(void)
{
	char *at = prefix(), *folder = xasprintf("%s/libexec/nexthop", at);

	free(at);
	return folder;
}

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

static void
read_master(struct config *config, const struct conf_section *section)
{
	struct complaint complaint = { config, section, 0 };
	struct master_conf *m;
	struct conf_entry *e;

	if (section != NULL)
		STAILQ_FOREACH(e, &section->entries, next)
			set_row(config, config->opts, section, e);
	opts_finish(config->opts, on_complaint, &complaint);
	m = opts_values(config->opts);
	if (m->agents == NULL)
		m->agents = config_agents_folder();
	config->master = m;
}

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0111) != 0;
}

static const char *
entry_value(const struct conf_section *section, const char *key)
{
	struct conf_entry *e;

	STAILQ_FOREACH(e, &section->entries, next)
		if (name_is_alike(e->key, key))
			return e->value;
	return NULL;
}

static unsigned
entry_line(const struct conf_section *section, const char *key)
{
	struct conf_entry *e;

	STAILQ_FOREACH(e, &section->entries, next)
		if (name_is_alike(e->key, key))
			return e->line;
	return section->line;
}

static void
relay_fault(struct relay_conf *r, const char *key, const char *text)
{
	conf_fault(r->config->conf, entry_line(r->section, key), r->section,
	    key, "%s", text);
	r->is_faulty = true;
}

static const struct opt_table *
relay_table(const struct conf_section *section)
{
	const char *type = entry_value(section, "type");

	return type != NULL && strcasecmp(type, "custom") == 0 ?
	    &config_custom_table : &config_relay_table;
}

/* The executable of the relay's type, or the operator's own. */
static void
find_program(struct relay_conf *r)
{
	const char *exec = entry_value(r->section, "exec");
	const char *factory = entry_value(r->section, "factory");
	char text[PATH_MAX + 64];
	bool is_custom = r->rows->type == TYPE_CUSTOM;
	bool is_own = is_custom && exec != NULL;

	if (is_custom && exec == NULL && factory == NULL) {
		relay_fault(r, "factory", "required for this type "
		    "(FILE:SYMBOL), or exec");
		return;
	}
	if (is_own && factory != NULL) {
		relay_fault(r, "factory", "excludes exec");
		return;
	}
	if (is_custom && factory != NULL && *factory != '/')
		relay_fault(r, "factory", "must be an absolute path and a "
		    "symbol: /FILE:SYMBOL");
	r->program = is_own ? xstrdup(exec) : xasprintf("%s/%s",
	    r->config->master->agents, types[r->rows->type].program);
	if (is_own && *exec != '/')
		relay_fault(r, "exec", "must be an absolute path");
	else if (!is_program(r->program)) {
		snprintf(text, sizeof(text), "%s is no executable file",
		    r->program);
		relay_fault(r, is_own ? "exec" : "type", text);
	}
}

static void
find_identity(struct relay_conf *r)
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
	if (entry_value(r->section, key) == NULL)
		r->is_faulty = true;	/* [master] has it, told once there */
	else
		relay_fault(r, key, error);
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
		relay_fault(r, "user", "programs are never run by root");
}

static void
add_option(struct relay_conf *r, const char *name, const char *value,
    unsigned line)
{
	r->options = xreallocarray(r->options, r->noptions + 1,
	    sizeof(*r->options));
	r->options[r->noptions++] = (struct relay_option){ name, value, line };
}

/* type and exec are the agent's to know where it is the operator's code. */
static bool
goes_to_agent(const struct relay_conf *r, const char *key)
{
	if (name_is_alike(key, "type"))
		return r->rows->type == TYPE_CUSTOM;
	return !is_row(relay_table(r->section), key);
}

static void
read_relay(struct config *config, const struct conf_section *section)
{
	struct complaint complaint = { config, section, 0 };
	struct relay_conf *r = xcalloc(1, sizeof(*r));
	struct conf_entry *e;

	r->config = config;
	r->section = section;
	r->name = section->name;
	r->opts = opts_new(relay_table(section));
	r->rows = opts_values(r->opts);
	TAILQ_INSERT_TAIL(&config->relays, r, next);
	config->nrelays++;

	STAILQ_FOREACH(e, &section->entries, next)
		if (is_row(relay_table(section), e->key) &&
		    set_row(config, r->opts, section, e) == -1)
			r->is_faulty = true;
	/* A type that was refused is not missing as well. */
	if (entry_value(section, "type") == NULL || !r->is_faulty)
		opts_finish(r->opts, on_complaint, &complaint);
	if (complaint.faults > 0)
		r->is_faulty = true;
	if (!opts_is_set(r->opts, "type"))
		return;
	r->type = type_words[r->rows->type].word;
	find_program(r);
	find_identity(r);
	find_rights(r);
	if (types[r->rows->type].preset != NULL)
		add_option(r, "preset", types[r->rows->type].preset,
		    entry_line(section, "type"));
	if (types[r->rows->type].runs_programs)
		add_option(r, "no_new_privs", r->identity.may_gain ? "no" :
		    "yes", entry_line(section, "no_new_privs"));
	STAILQ_FOREACH(e, &section->entries, next)
		if (goes_to_agent(r, e->key))
			add_option(r, e->key, e->value, e->line);
}

static void
read_section(struct config *config, const struct conf_section *s)
{
	size_t n = strlen(s->name);

	if (strcmp(s->type, "master") == 0) {
		if (n > 0)
			conf_fault(config->conf, s->line, s, NULL,
			    "this section has no name");
	} else if (strcmp(s->type, "relay") != 0)
		conf_fault(config->conf, s->line, s, NULL,
		    "unknown kind of section; known are [master] and "
		    "[relay NAME]");
	else if (n == 0)
		conf_fault(config->conf, s->line, s, NULL,
		    "a relay needs a name: [relay NAME]");
	else if (n > NAME_MAX_BYTES || str_has_control(s->name))
		conf_fault(config->conf, s->line, s, NULL,
		    "the name is longer than %d bytes or has control bytes",
		    NAME_MAX_BYTES);
	else
		read_relay(config, s);
}

/* Users and groups that [master] names. */
static void
check_users(struct config *config, const struct conf_section *section)
{
	const struct master_conf *m = config->master;
	struct identity id;
	const char *keys[] = { "user", "socket_user" };
	const char *users[] = { m->user, m->socket_user };
	const char *groups[] = { m->group, m->socket_group };
	const char *group_keys[] = { "group", "socket_group" };
	const char *key;
	char error[512];
	size_t i;

	for (i = 0; i < 2; i++) {
		if (identity_resolve(&id, users[i] != NULL ? users[i] : "root",
		    groups[i], error, sizeof(error)) == -1) {
			key = strncmp(error, "no group", 8) == 0 ?
			    group_keys[i] : keys[i];
			conf_fault(config->conf, entry_line(section, key),
			    section, key, "%s", error);
		}
		identity_clear(&id);
	}
}

struct config *
config_load(const char *path)
{
	struct config *config = xcalloc(1, sizeof(*config));
	const struct conf_section *s, *master = NULL;

	config->refs = 1;
	TAILQ_INIT(&config->relays);
	config->conf = conf_read(path);
	config->opts = opts_new(&config_master_table);
	STAILQ_FOREACH(s, &config->conf->sections, next)
		if (strcmp(s->type, "master") == 0 && master == NULL)
			master = s;
	read_master(config, master);
	if (master != NULL)
		check_users(config, master);
	STAILQ_FOREACH(s, &config->conf->sections, next)
		read_section(config, s);
	if (config->nrelays == 0 && config->conf->nfaults == 0)
		conf_fault(config->conf, 0, NULL, NULL,
		    "no relay: at least one section [relay NAME] is needed");
	return config;
}

static void
relay_conf_free(struct relay_conf *r)
{
	opts_free(r->opts);
	identity_clear(&r->identity);
	free(r->program);
	free(r->options);
	free(r);
}

struct config *
config_ref(struct config *config)
{
	config->refs++;
	return config;
}

void
config_unref(struct config *config)
{
	struct relay_conf *r;

	if (config == NULL || --config->refs > 0)
		return;
	while ((r = TAILQ_FIRST(&config->relays)) != NULL) {
		TAILQ_REMOVE(&config->relays, r, next);
		relay_conf_free(r);
	}
	opts_free(config->opts);
	conf_free(config->conf);
	free(config);
}

struct relay_conf *
config_relay(const struct config *config, const char *name)
{
	struct relay_conf *r;

	TAILQ_FOREACH(r, &config->relays, next)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}

bool
relay_conf_is_same(const struct relay_conf *a, const struct relay_conf *b)
{
	size_t i;

	if (a->rows->type != b->rows->type || a->noptions != b->noptions ||
	    a->rows->processes != b->rows->processes ||
	    strcmp(a->program, b->program) != 0 ||
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
