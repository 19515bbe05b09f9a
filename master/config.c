/*
 * config.c - the configuration file as structs: the master's own keys here,
 * relays and doors in config_relay.c and config_door.c.  What the options of
 * those mean is their programs' business; rollout.c asks them.
 */
#include "config_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

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

const char *
config_check_mode(const char *value)
{
	size_t n = strlen(value);

	return n >= 1 && n <= 4 && strspn(value, "01234567") == n &&
	    (n < 4 || *value == '0') ? NULL :
	    "must be an octal mode, as 0660";
}

#define M(field)	offsetof(struct master_conf, field)
#define SECONDS(n)	((int64_t)(n) * 1000)

static const struct opt_row master_rows[] = {
	{ .name = "socket", .type = OPT_STRING, .offset = M(socket),
	    .def = "/run/nexthop/submit.sock", .check = check_socket,
	    .text = "Path of the socket that submitters connect to." },
	{ .name = "socket_mode", .type = OPT_STRING, .offset = M(socket_mode),
	    .def = "0660", .check = config_check_mode,
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
	    .def = "0600", .check = config_check_mode,
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
	{ .name = "upgrade_timeout", .type = OPT_TIME,
	    .offset = M(upgrade_timeout_ms), .def = "30s",
	    .min = SECONDS(1), .max = SECONDS(3600),
	    .text = "How long the new nexthop-master of an upgrade may take "
	    "until it is ready; then the old one goes on." },
	{ .name = "submit_timeout", .type = OPT_TIME,
	    .offset = M(submit_timeout_ms), .def = "300s", .min = SECONDS(1),
	    .max = SECONDS(86400),
	    .text = "A submitter that takes none of its answers for so long "
	    "is disconnected." },
	{ .name = "max_submitters", .type = OPT_INT,
	    .offset = M(max_submitters), .def = "1000", .min = 1,
	    .max = 100000, .text = "Submitters connected at once." },
	{ .name = NULL }
};

static const struct opt_group master_groups[] = {
	{ master_rows, 0 }, { logging_rows, M(logging) }, { NULL, 0 }
};
static int
check_master(void *values, opt_report *report, void *arg)
{
	const struct master_conf *c = values;

	return logging_check(&c->logging, report, arg);
}

const struct opt_table config_master_table = {
	"master", master_groups, sizeof(struct master_conf), check_master
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

char *
config_agents_folder(void)
{
	char *at = prefix(), *folder = xasprintf("%s/libexec/nexthop", at);

	free(at);
	return folder;
}

static void
read_master(struct config *config, const struct conf_section *section)
{
	struct complaint complaint = { config, section, 0 };
	struct master_conf *m;
	struct conf_entry *e;

	if (section != NULL)
		STAILQ_FOREACH(e, &section->entries, next)
			config_set_row(config, config->opts, section, e);
	opts_finish(config->opts, config_on_complaint, &complaint);
	m = opts_values(config->opts);
	if (m->agents == NULL)
		m->agents = config_agents_folder();
	config->master = m;
}

/* The kinds of sections there are. */
static const struct {
	const char	*type;
	bool		 has_name;
	void		(*read)(struct config *, const struct conf_section *);
} kinds[] = {
	{ "master",	false, NULL },		/* read before the others */
	{ "relay",	true, config_read_relay },
	{ "intake",	true, config_read_intake },
	{ "metrics",	false, config_read_metrics },
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

static void
read_section(struct config *config, const struct conf_section *s)
{
	size_t n = strlen(s->name), i;

	for (i = 0; i < NKINDS; i++)
		if (strcmp(s->type, kinds[i].type) == 0)
			break;
	if (i == NKINDS)
		conf_fault(config->conf, s->line, s, NULL,
		    "unknown kind of section; known are [master], "
		    "[relay NAME], [intake NAME] and [metrics]");
	else if (!kinds[i].has_name && n > 0)
		conf_fault(config->conf, s->line, s, NULL,
		    "this section has no name");
	else if (kinds[i].has_name && n == 0)
		conf_fault(config->conf, s->line, s, NULL,
		    "a%s %s needs a name: [%s NAME]", *s->type == 'i' ? "n" :
		    "", s->type, s->type);
	else if (n > CONFIG_NAME_MAX || str_has_control(s->name))
		conf_fault(config->conf, s->line, s, NULL,
		    "the name is longer than %d bytes or has control bytes",
		    CONFIG_NAME_MAX);
	else if (kinds[i].read != NULL)
		kinds[i].read(config, s);
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
			conf_fault(config->conf, config_entry_line(section, key),
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
	TAILQ_INIT(&config->doors);
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
	config_check_doors(config);
	if (config->nrelays == 0 && config->conf->nfaults == 0)
		conf_fault(config->conf, 0, NULL, NULL,
		    "no relay: at least one section [relay NAME] is needed");
	return config;
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
	while ((r = TAILQ_FIRST(&config->doors)) != NULL) {
		TAILQ_REMOVE(&config->doors, r, next);
		relay_conf_free(r);
	}
	opts_free(config->opts);
	conf_free(config->conf);
	free(config);
}

struct relay_conf *
config_door(const struct config *config, enum conf_kind kind,
    const char *name)
{
	struct relay_conf *r;

	TAILQ_FOREACH(r, &config->doors, next)
		if (r->kind == kind && strcmp(r->name, name) == 0)
			return r;
	return NULL;
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
