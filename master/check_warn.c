/*
 * check_warn.c - what `nexthop check` has to say of a configuration that is
 * sound: settings that are legal but dangerous.  Of their own options agents
 * tell themselves (agent_ops.warn); here is what concerns the master, the file
 * and several sections at once.
 */
#include "master.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/option_name.h"
#include "net/addr_range.h"

#define STOP_TIMEOUT_LOW_MS	5000

struct warnings {
	const struct config *config;
	struct conf	*conf;		/* collects and sorts them */
};

static const struct conf_entry *
entry_of(const struct conf_section *s, const char *key)
{
	const struct conf_entry *e;

	if (s == NULL)
		return NULL;
	STAILQ_FOREACH(e, &s->entries, next)
		if (opt_name_is(e->key, key))
			return e;
	return NULL;
}

static void __attribute__((format(printf, 4, 5)))
warning(struct warnings *w, const struct conf_section *s, const char *key,
    const char *fmt, ...)
{
	const struct conf_entry *e = entry_of(s, key);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_fault(w->conf, e != NULL ? e->line : s != NULL ? s->line : 0,
	    NULL, NULL, "warning: [%s%s%s] %s: %s",
	    s != NULL ? s->type : "master",
	    s != NULL && *s->name != '\0' ? " " : "",
	    s != NULL ? s->name : "", key, text);
}

/* ---- [master] ---- */

static const struct conf_section *
section_of(const struct config *config, const char *type)
{
	const struct conf_section *s;

	STAILQ_FOREACH(s, &config->conf->sections, next)
		if (strcmp(s->type, type) == 0)
			return s;
	return NULL;
}

static bool
is_root(const char *user)
{
	const struct passwd *pw = user == NULL ? NULL : getpwnam(user);

	return pw != NULL && pw->pw_uid == 0;
}

/* Whether others than root and us can change the file, or put another in its
 * place. */
static bool
is_others(const char *path)
{
	char *folder = xstrdup(path), *slash;
	struct stat st;
	bool is_bad;
	int i;

	for (i = 0, is_bad = false; i < 2 && !is_bad && *folder != '\0'; i++) {
		is_bad = stat(folder, &st) == 0 &&
		    ((st.st_uid != 0 && st.st_uid != geteuid()) ||
		    (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)) ||
		    (st.st_mode & S_IWGRP && st.st_gid != 0));
		if ((slash = strrchr(folder, '/')) != NULL)
			*slash = '\0';
	}
	free(folder);
	return is_bad;
}

/* One level of a socket's folder is made by the master. */
static bool
has_folder(const char *path, int nmade)
{
	char *folder = xstrdup(path), *slash;
	bool is_there = false;
	struct stat st;

	for (; nmade >= 0 && !is_there; nmade--) {
		if ((slash = strrchr(folder, '/')) == NULL)
			break;
		*slash = '\0';
		is_there = stat(*folder == '\0' ? "/" : folder, &st) == 0 &&
		    S_ISDIR(st.st_mode);
	}
	free(folder);
	return is_there;
}

/* What would keep the master from starting, as far as it can be seen without
 * making anything. */
static void
warn_paths(struct warnings *w, const struct conf_section *s)
{
	const struct master_conf *m = w->config->master;
	const struct {
		const char *key, *path;
		int nmade;
	} rows[] = {
		{ "socket", m->socket, 1 }, { "control", m->control, 1 },
		{ "pid_file", m->pid_file, 0 },
		{ "log_file", m->logging.target == LOG_TO_FILE ?
		    m->logging.file : NULL, 0 },
	};
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].path != NULL && *rows[i].path == '/' &&
		    !has_folder(rows[i].path, rows[i].nmade))
			warning(w, s, rows[i].key, "there is no folder for "
			    "%s: nexthop-master cannot start", rows[i].path);
	if (rows[3].path != NULL && lstat(rows[3].path, &st) == 0 &&
	    !S_ISREG(st.st_mode))
		warning(w, s, "log_file", "%s is no file: nexthop-master "
		    "cannot start", rows[3].path);
}

static void
warn_master(struct warnings *w)
{
	const struct conf_section *s = section_of(w->config, "master");
	const struct master_conf *m = w->config->master;

	warn_paths(w, s);
	if ((config_mode(m->socket_mode) & S_IWOTH) != 0)
		warning(w, s, "socket_mode", "everybody on this machine may "
		    "submit, and so send as anybody; socket_group says who");
	if ((config_mode(m->control_mode) & S_IWOTH) != 0)
		warning(w, s, "control_mode", "everybody on this machine may "
		    "stop nexthop");
	if (is_root(m->user))
		warning(w, s, "user", "agents, which face the network, run as "
		    "root");
	if (m->stop_timeout_ms < STOP_TIMEOUT_LOW_MS)
		warning(w, s, "stop_timeout", "a reload or a stop cuts off "
		    "deliveries that need longer; their messages may arrive "
		    "twice");
	if (m->logging.target == LOG_TO_FILE &&
	    (config_mode(m->logging.file_mode) & (S_IROTH | S_IWOTH)) != 0)
		warning(w, s, "log_file_mode", "everybody on this machine %s "
		    "who writes to whom", (config_mode(m->logging.file_mode) &
		    S_IWOTH) != 0 ? "may change what the log says of" :
		    "can read");
	if (m->logging.level == LOG_LEVEL_DEBUG)
		warning(w, s, "log_level", "for the search of a fault: every "
		    "connection is in the log");
	if (is_others(m->agents))
		warning(w, s, "agents", "others than root can change programs "
		    "in %s, which nexthop runs", m->agents);
}

/* ---- relays ---- */

static void
warn_secrets(struct warnings *w, const struct relay_conf *r)
{
	size_t i, n;
	struct stat st;

	if (stat(w->config->conf->path, &st) == -1 ||
	    (st.st_mode & S_IROTH) == 0)
		return;
	for (i = 0; i < r->noptions; i++) {
		n = strlen(r->options[i].name);
		if (*r->options[i].value == '\0' ||
		    !probe_sounds_secret(r->options[i].name) || (n > 5 &&
		    opt_name_is(r->options[i].name + n - 5, "_file")))
			continue;
		warning(w, r->section, r->options[i].name, "everybody can read "
		    "it here; chmod o= the file, or give a file of its own "
		    "for it");
	}
}

static void
warn_groups(struct warnings *w, const struct relay_conf *r)
{
	static const char *const mighty[] = { "root", "disk", "kmem", "shadow",
	    "sudo", "wheel", "docker", "lxd" };
	const struct group *gr;
	size_t k;
	int i;

	for (i = 0; i < r->identity.ngroups; i++) {
		if ((gr = getgrgid(r->identity.groups[i])) == NULL)
			continue;
		for (k = 0; k < sizeof(mighty) / sizeof(mighty[0]); k++)
			if (strcmp(gr->gr_name, mighty[k]) == 0)
				warning(w, r->section, "user", "its agents "
				    "are in the group %s, which is nearly "
				    "root", mighty[k]);
	}
}

static void
warn_identity(struct warnings *w, const struct relay_conf *r)
{
	if (is_root(r->rows->user))
		warning(w, r->section, "user", "its agents, which face the "
		    "network, run as root");
	else if (r->identity.is_set && r->identity.uid != 0)
		warn_groups(w, r);
}

static void
warn_processes(struct warnings *w, const struct relay_conf *r)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n > 0 && r->rows->processes > n && r->rows->processes > 1)
		warning(w, r->section, "processes", "%jd processes on %ld "
		    "processor%s wait for each other",
		    (intmax_t)r->rows->processes, n, n == 1 ? "" : "s");
}

/* The operator's own code. */
static void
warn_code(struct warnings *w, const struct relay_conf *r)
{
	static const char *const keys[] = { "exec", "factory" };
	const struct conf_entry *e;
	char *path;
	int i;

	for (i = 0; i < 2; i++) {
		if (strcmp(r->type, "custom") != 0 ||
		    (e = entry_of(r->section, keys[i])) == NULL)
			continue;
		path = xstrdup(e->value);
		if (i == 1 && strrchr(path, ':') != NULL)
			*strrchr(path, ':') = '\0';
		if (is_others(path))
			warning(w, r->section, keys[i], "others than root can "
			    "change %s, and so what runs here", path);
		free(path);
	}
}

/* Who submits may name the next hop of a message. */
static void
warn_reach(struct warnings *w, const struct relay_conf *r)
{
	const struct master_conf *m = w->config->master;
	mode_t mode = config_mode(m->socket_mode);

	if (strcmp(r->type, "http") == 0 && (mode & S_IWOTH ||
	    (mode & S_IWGRP && m->socket_group != NULL)) &&
	    entry_of(r->section, "target_allow") == NULL)
		warning(w, r->section, "target_allow", "whoever may submit can "
		    "name any address of your own network as next hop; give "
		    "those that may be");
}

static bool
attr_is(const struct attr *a, const char *text)
{
	return opt_name_is_bytes(text, a->data, a->len);
}

/* Options of several agents that mean the same in all. */
static void
warn_value(struct warnings *w, const struct relay_conf *r,
    const struct attr *name, const struct attr *value)
{
	if (attr_is(name, "transcript") && value->len > 0 &&
	    !attr_is(value, "off") && !attr_is(value, "no"))
		warning(w, r->section, "transcript", "for the search of a "
		    "fault: whole dialogues, with addresses, are in the log");
	if (attr_is(name, "sandbox") && entry_of(r->section, "sandbox") &&
	    (attr_is(value, "no") || attr_is(value, "log")))
		warning(w, r->section, "sandbox", "%san agent that is taken "
		    "over by what it reads can do all that its user can",
		    attr_is(value, "log") ? "for the search of a fault: " : "");
}

/* What the agent listed: its options, and its own warnings. */
static void
warn_agent(struct warnings *w, const struct child *c)
{
	const struct relay_conf *r = c->gen->conf;
	const struct frame f = {
		.attrs = (const uint8_t *)buf_data(&c->effective),
		.attrs_len = buf_len(&c->effective)
	};
	struct attr a, name = { 0, 0, NULL };
	char text[1024], *colon;
	size_t at = 0;

	while (frame_next(&f, &at, &a) == 1)
		if (a.tag == ATTR_OPTION_NAME)
			name = a;
		else if (a.tag == ATTR_OPTION_VALUE && name.data != NULL)
			warn_value(w, r, &name, &a);
		else if (a.tag == ATTR_WARNING) {
			str_escape(text, sizeof(text), a.data, a.len);
			if ((colon = strstr(text, ": ")) == NULL)
				continue;
			*colon = '\0';
			warning(w, r->section, text, "%s", colon + 2);
		}
}

/* ---- doors ---- */

/* Whether others than this machine can reach it. */
static bool
is_reachable(const char *spec)
{
	struct arena *arena = arena_new(256);
	struct hostspec h;
	const char *error;
	bool is_any;

	/* Any address: 0.0.0.0 leads to this machine, but is no limit. */
	is_any = hostspec_parse(&h, spec, 1, arena, &error) == 0 &&
	    (strcmp(h.host, "0.0.0.0") == 0 || strcmp(h.host, "::") == 0);
	arena_free(arena);
	return is_any || !host_is_local(spec);
}

static void
warn_listen(struct warnings *w, const struct conf_section *s,
    const char *danger)
{
	const struct conf_entry *e;
	char *copy, *p, *spec;

	STAILQ_FOREACH(e, &s->entries, next) {
		if (!opt_name_is(e->key, "listen"))
			continue;
		p = copy = xstrdup(e->value);
		while ((spec = strsep(&p, ", \t\n")) != NULL)
			if (*spec != '\0' && is_reachable(spec))
				warning(w, s, "listen", "%s is reached from "
				    "other machines, and %s", spec, danger);
		free(copy);
	}
}

/* A range of all addresses among others. */
static bool
has_everybody(const char *list)
{
	const char *p, *end;

	for (p = list; (p = strstr(p, "/0")) != NULL; p = end) {
		end = p + 2;
		if (*end == '\0' || strchr(", \t\n", *end) != NULL)
			return true;
	}
	return false;
}

static void
warn_intake(struct warnings *w, const struct conf_section *s)
{
	const struct conf_entry *e;
	const struct relay_conf *r;

	warn_listen(w, s, "LMTP knows no password: who reaches it may send "
	    "as anybody");
	if ((e = entry_of(s, "listen_mode")) != NULL &&
	    (config_mode(e->value) & S_IWOTH) != 0)
		warning(w, s, "listen_mode", "everybody on this machine may "
		    "submit, and so send as anybody; listen_group says who");
	STAILQ_FOREACH(e, &s->entries, next) {
		if (opt_name_is(e->key, "xclient_hosts") &&
		    has_everybody(e->value))
			warning(w, s, e->key, "whoever connects may say which "
			    "client a message is from");
		if (strcmp(e->key, "relay") != 0 &&
		    strncmp(e->key, "relay.", 6) != 0)
			continue;
		r = config_relay(w->config, e->value);
		if (r != NULL && r->type != NULL &&
		    strcmp(r->type, "blackhole") == 0)
			warning(w, s, e->key, "relay %s accepts mail and "
			    "forgets it", r->name);
	}
}

/* ---- all ---- */

static void
warn_sections(struct warnings *w)
{
	const struct conf_section *s;
	const struct relay_conf *r;

	warn_master(w);
	TAILQ_FOREACH(r, &w->config->relays, next) {
		warn_secrets(w, r);
		warn_identity(w, r);
		warn_processes(w, r);
		warn_code(w, r);
		warn_reach(w, r);
	}
	STAILQ_FOREACH(s, &w->config->conf->sections, next)
		if (strcmp(s->type, "intake") == 0)
			warn_intake(w, s);
		else if (strcmp(s->type, "metrics") == 0)
			warn_listen(w, s, "everybody there sees whom mail "
			    "goes to");
}

unsigned
check_warn(const struct rollout *ro, FILE *to)
{
	struct warnings w = {
		.config = ro->config,
		.conf = conf_read_mem(ro->config->conf->path, "", 0)
	};
	const struct generation *g;
	const struct conf_section *s = section_of(w.config, "master");
	struct stat st;
	unsigned n;

	if (stat(w.conf->path, &st) == 0 && (st.st_mode & S_IWOTH) != 0)
		warning(&w, s, "user", "everybody can write to this file, "
		    "and so run programs as any user");
	warn_sections(&w);
	TAILQ_FOREACH(g, &ro->generations, next)
		warn_agent(&w, &g->children[0]);
	n = conf_print_faults(w.conf, to);
	conf_free(w.conf);
	return n;
}
