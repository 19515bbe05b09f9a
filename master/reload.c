/*
 * reload.c - the configuration read again: of all, or of some relays and doors.
 * If anything is wrong nothing changes.
 */
#include "master.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/event.h"
#include "base/mem.h"

static void	 on_reloaded(void *);

static bool
differ(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* What cannot change while we run: another master begins with it.  Told until
 * one has. */
static void
tell_upgrade(struct master *m)
{
	const struct master_conf *was = m->began->master,
	    *is = m->config->master;
	const struct logging_conf *old = &was->logging, *new = &is->logging;
	const struct {
		const char *key;
		bool is_changed;
	} keys[] = {
		{ "socket", differ(was->socket, is->socket) },
		{ "socket_mode", differ(was->socket_mode, is->socket_mode) },
		{ "socket_user", differ(was->socket_user, is->socket_user) },
		{ "socket_group", differ(was->socket_group, is->socket_group) },
		{ "control", differ(was->control, is->control) },
		{ "control_mode", differ(was->control_mode, is->control_mode) },
		{ "pid_file", differ(was->pid_file, is->pid_file) },
		{ "log", old->target != new->target },
		{ "log_format", old->format != new->format },
		{ "syslog_facility", differ(old->facility, new->facility) },
		{ "syslog_tag", differ(old->tag, new->tag) },
	};
	bool has_moved = differ(was->control, is->control);
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!keys[i].is_changed)
			continue;
		log_warning("[master] %s: takes effect by an upgrade",
		    keys[i].key);
		control_printf(m->reload_asker, "[master] %s: takes effect by "
		    "nexthop upgrade%s%s\n", keys[i].key,
		    has_moved ? " --control=" : "",
		    has_moved ? was->control : "");
	}
}

static void
forget_names(struct master *m)
{
	size_t i;

	for (i = 0; i < m->nreload_names; i++)
		free(m->reload_names[i]);
	free(m->reload_names);
	m->reload_names = NULL;
	m->nreload_names = 0;
}

void
reload_end(struct master *m, int status)
{
	struct control *asker = m->reload_asker;

	m->reload_asker = NULL;
	forget_names(m);
	if (m->state == MASTER_RUNNING)
		systemd_status("READY=1", status == EX_OK ? "running, %u "
		    "relays" : "running, %u relays; the last reload was "
		    "refused", m->config->nrelays);
	control_exit(asker, status);
	rollout_free(m->rollout);
	m->rollout = NULL;
	master_reload_again(m);
}

void
master_reload_again(struct master *m)
{
	if (!m->reload_again || m->state != MASTER_RUNNING)
		return;
	m->reload_again = false;
	master_reload(m, NULL, NULL, 0);
}

static void __attribute__((format(printf, 4, 5)))
tell_effect(struct master *m, const struct config *config, unsigned nnew,
    const char *fmt, ...)
{
	struct event_line e;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_printf(m->reload_asker, "%s\n", text);
	if (!event_begin(&e, EVENT_RELOADED, NULL))
		return;
	event_int(&e, "relays", config->nrelays);
	event_int(&e, "changed", nnew);
	event_message(&e, "%s", text);
	event_end(&e);
}

static void
tell_reloaded(struct master *m, const struct config *config, unsigned nnew)
{
	const char *name;
	size_t i;

	for (i = 0; i < m->nreload_names; i++) {
		name = m->reload_names[i];
		tell_effect(m, config, nnew, config_relay(config, name) ||
		    config_door(config, CONF_INTAKE, name) ||
		    config_door(config, CONF_METRICS, name) ?
		    "%s: reloaded" : "%s: no longer there, ending", name);
	}
	if (m->nreload_names == 0)
		tell_effect(m, config, nnew, "reloaded: %u relays, %u of them "
		    "new or changed", config->nrelays, nnew);
}

static void
reload_failed(struct master *m, int status, const char *text)
{
	struct event_line e;

	control_printf(m->reload_asker, "%s\n", text);
	if (event_begin(&e, EVENT_RELOAD_REFUSED, NULL)) {
		event_message(&e, "%s; nothing was changed", text);
		event_end(&e);
	}
	reload_end(m, status);
}

static void
on_reloaded(void *arg)
{
	struct master *m = arg;
	struct config *config = m->rollout->config;
	struct generation *g;
	unsigned nnew = 0;
	char error[512];
	int status;

	if (!rollout_is_good(m->rollout)) {
		master_log_faults(EVENT_RELOAD_REFUSED, config->conf,
		    "; nothing was changed", m->reload_asker);
		reload_end(m, EX_CONFIG);
		return;
	}
	if ((status = commit_open_doors(m, config, error, sizeof(error))) != 0) {
		reload_failed(m, status, error);
		return;
	}
	TAILQ_FOREACH(g, &m->rollout->generations, next)
		nnew += g->conf->kind == CONF_RELAY;
	commit_config(m, m->rollout);
	if (m->nreload_names == 0)
		logging_reloaded(m);
	master_warn_user(m->config);
	tell_reloaded(m, config, nnew);
	if (m->nreload_names == 0)
		tell_upgrade(m);
	reload_end(m, EX_OK);
}

/* The first name that is neither in the file nor running, or NULL. */
static const char *
unknown_name(const struct master *m, const struct config *config)
{
	const char *name;
	size_t i;

	for (i = 0; i < m->nreload_names; i++) {
		name = m->reload_names[i];
		if (config_relay(config, name) == NULL &&
		    config_door(config, CONF_INTAKE, name) == NULL &&
		    config_door(config, CONF_METRICS, name) == NULL &&
		    master_service(m, name, strlen(name)) == NULL &&
		    master_door(m, CONF_INTAKE, name) == NULL &&
		    master_door(m, CONF_METRICS, name) == NULL)
			return name;
	}
	return NULL;
}

static void
keep_names(struct master *m, const char *const *names, size_t n)
{
	size_t i;

	m->reload_names = n == 0 ? NULL : xcalloc(n, sizeof(*m->reload_names));
	for (i = 0; i < n; i++)
		m->reload_names[i] = xstrdup(names[i]);
	m->nreload_names = n;
}

void
master_reload(struct master *m, struct control *asker,
    const char *const *names, size_t n)
{
	struct config *config;
	const char *unknown;
	char text[512];
	struct event_line e;

	if (m->state != MASTER_RUNNING || m->rollout != NULL ||
	    m->upgrade != NULL) {
		if (asker == NULL) {
			m->reload_again = m->state < MASTER_CLOSING;
			return;
		}
		control_printf(asker, "%s\n", m->state >= MASTER_CLOSING ?
		    "nexthop-master is stopping" : m->upgrade != NULL ?
		    "an upgrade is under way" : "a reload is under way");
		control_exit(asker, EX_TEMPFAIL);
		return;
	}
	m->reload_asker = asker;
	keep_names(m, names, n);
	systemd_reloading();
	if (event_begin(&e, EVENT_RELOADING, NULL)) {
		event_text(&e, "file", m->path);
		event_end(&e);
	}
	config = config_load(m->path);
	if (config->conf->nfaults == 0 &&
	    (unknown = unknown_name(m, config)) != NULL) {
		snprintf(text, sizeof(text), "no relay or intake is named %s",
		    unknown);
		reload_failed(m, EX_CONFIG, text);
	} else
		m->rollout = rollout_start(m->loop, m->reaper, config,
		    commit_wants, 0, on_reloaded, m);
	config_unref(config);
}
