/*
 * lifecycle.c - the master from start to end: the first rollout, reloads, the
 * drain.  A configuration takes effect as a whole or not at all.
 */
#include "master.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/mem.h"
#include "paths.h"

#define FLUSH_LIMIT_MS	2000
#define REFUSE_MS	1000	/* before connections are cut */

static void	 on_started(void *);
static void	 on_reloaded(void *);
static void	 on_tick(void *);
static void	 on_flush_limit(void *);
static void	 on_drain_limit(void *);
static void	 on_replaced_limit(void *);

struct master *
master_new(struct loop *loop, const char *path)
{
	struct master *m = xcalloc(1, sizeof(*m));

	m->loop = loop;
	m->path = path;
	m->errors = stderr;
	m->reaper = reaper_new(loop);
	TAILQ_INIT(&m->services);
	TAILQ_INIT(&m->doors);
	sockets_init(&m->sockets);
	TAILQ_INIT(&m->submitters);
	TAILQ_INIT(&m->controls);
	timer_init(&m->tick, loop, on_tick, m);
	timer_init(&m->flush_limit, loop, on_flush_limit, m);
	timer_init(&m->drain_limit, loop, on_drain_limit, m);
	timer_init(&m->replaced_limit, loop, on_replaced_limit, m);
	m->ready_fd = -1;
	return m;
}

void
master_free(struct master *m)
{
	struct service *sv;
	struct submitter *s;
	struct door *d;

	rollout_free(m->rollout);
	TAILQ_FOREACH(d, &m->doors, next)
		door_free(d);
	TAILQ_FOREACH(sv, &m->services, next)
		service_free(sv);
	submit_stop_listening(m);
	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->door == NULL)
			submitter_drop(s, s->nrcpt_open > 0 ?
			    "nexthop has stopped" : NULL);
	control_close_all(m);
	timer_clear(&m->tick);
	timer_clear(&m->flush_limit);
	timer_clear(&m->drain_limit);
	timer_clear(&m->replaced_limit);
	loop_turn(m->loop, 0);
	sockets_clear(&m->sockets);
	reaper_free(m->reaper);
	config_unref(m->config);
	free(m->pid_file);
	free(m);
}

struct service *
master_service(const struct master *m, const char *name, size_t len)
{
	struct service *sv;

	TAILQ_FOREACH(sv, &m->services, next)
		if (!sv->is_ending && sv->name_len == len &&
		    memcmp(sv->name, name, len) == 0)
			return sv;
	return NULL;
}

struct door *
master_door(const struct master *m, enum conf_kind kind, const char *name)
{
	struct door *d;

	TAILQ_FOREACH(d, &m->doors, next)
		if (d->current != NULL && d->kind == kind &&
		    strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

/* ---- time ---- */

static void
on_tick(void *arg)
{
	struct master *m = arg;
	struct service *sv, *next;

	m->is_ticking = false;
	submit_tick(m);
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		dispatch_tick(sv);
	}
	/* A drain waits for more than one relay, see service_check_end(). */
	if (m->njobs > 0 || submit_has_output(m) ||
	    m->state >= MASTER_CLOSING)
		master_need_tick(m);
}

void
master_need_tick(struct master *m)
{
	if (m->is_ticking)
		return;
	m->is_ticking = true;
	timer_set(&m->tick, TICK_MS);
}

/* ---- taking over a configuration ---- */

static struct generation *
take_generation(struct rollout *ro, const struct relay_conf *r)
{
	struct generation *g;

	TAILQ_FOREACH(g, &ro->generations, next)
		if (g->conf == r) {
			TAILQ_REMOVE(&ro->generations, g, next);
			return g;
		}
	return NULL;
}

/* Whether the reload is about it. */
static bool
is_named(const struct master *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->nreload_names; i++)
		if (strcmp(m->reload_names[i], name) == 0)
			return true;
	return m->nreload_names == 0;
}

/* What a reload starts anew: what differs, or just what is named. */
static bool
is_wanted(void *arg, const struct relay_conf *r)
{
	struct master *m = arg;
	const struct generation *g = NULL;
	struct service *sv;
	struct door *d;

	if (m->nreload_names > 0)
		return is_named(m, r->name);
	if (r->kind != CONF_RELAY)
		g = (d = master_door(m, r->kind, r->name)) == NULL ? NULL :
		    d->current;
	else if ((sv = master_service(m, r->name, strlen(r->name))) != NULL)
		g = sv->current;
	return g == NULL || !relay_conf_is_same(g->conf, r);
}

static void
commit_relays(struct master *m, struct rollout *ro, int64_t limit_ms)
{
	struct service *sv, *next;
	struct generation *g;
	struct relay_conf *r;

	TAILQ_FOREACH(r, &ro->config->relays, next) {
		if (!is_named(m, r->name))
			continue;
		sv = master_service(m, r->name, strlen(r->name));
		if ((g = take_generation(ro, r)) == NULL) {
			generation_set_conf(sv->current, r);
			dispatch_pump(sv);
			continue;
		}
		if (sv == NULL)
			sv = service_new(m, r->name);
		service_switch(sv, g, limit_ms);
	}
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		if (!sv->is_ending && is_named(m, sv->name) &&
		    config_relay(ro->config, sv->name) == NULL)
			service_end(sv, limit_ms);
	}
}

static void
commit_doors(struct master *m, struct rollout *ro, int64_t limit_ms)
{
	struct relay_conf *r;
	struct door *d, *next;

	TAILQ_FOREACH(r, &ro->config->doors, next) {
		if (!is_named(m, r->name) || r->nlisten == 0)
			continue;
		d = master_door(m, r->kind, r->name);
		if (r->sockets == NULL) {
			generation_set_conf(d->current, r);
			continue;
		}
		if (d == NULL)
			d = door_new(m, r->kind, r->name);
		door_switch(d, r, r->sockets, limit_ms);
		r->sockets = NULL;
	}
	for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
		next = TAILQ_NEXT(d, next);
		if (d->current == NULL || !is_named(m, d->name))
			continue;
		r = config_door(ro->config, d->kind, d->name);
		if (r == NULL || r->nlisten == 0)
			door_end(d, limit_ms > 0 ? limit_ms : 1);
	}
}

/* Every relay and door of the rollout's configuration, and no other; of a
 * reload of some, just these. */
static void
commit(struct master *m, struct rollout *ro)
{
	int64_t limit_ms = ro->config->master->stop_timeout_ms;
	struct config *old = m->config;

	if (m->nreload_names == 0)
		m->config = config_ref(ro->config);
	commit_relays(m, ro, limit_ms);
	commit_doors(m, ro, limit_ms);
	if (m->nreload_names == 0)
		config_unref(old);
}

/* ---- the sockets of doors ---- */

static void
close_doors(struct master *m, struct config *config)
{
	struct relay_conf *r;
	size_t i;

	TAILQ_FOREACH(r, &config->doors, next) {
		for (i = 0; r->sockets != NULL && i < r->nlisten; i++)
			sockets_release(&m->sockets, r->sockets[i]);
		free(r->sockets);
		r->sockets = NULL;
	}
}

/* For those that commit() is going to start; 0, or a status with a text. */
static int
open_doors(struct master *m, struct config *config, char *error, size_t size)
{
	struct relay_conf *r;
	int status;

	TAILQ_FOREACH(r, &config->doors, next) {
		if (r->nlisten == 0 || !is_wanted(m, r))
			continue;
		r->sockets = door_open_sockets(&m->sockets, r, error, size,
		    &status);
		if (r->sockets != NULL)
			continue;
		close_doors(m, config);
		return status;
	}
	return 0;
}

/* ---- start ---- */

static void
give_up(struct master *m, int status)
{
	struct service *sv;

	TAILQ_FOREACH(sv, &m->services, next)
		service_end(sv, 1);
	reaper_kill_all(m->reaper, SIGKILL);
	rollout_free(m->rollout);
	m->rollout = NULL;
	reaper_wait(m->reaper);
	m->started(m->arg, status);
}

static void
warn_user(const struct config *config)
{
	const struct relay_conf *r;
	const char *user = config->master->user;

	if (geteuid() == 0) {
		TAILQ_FOREACH(r, &config->relays, next)
			if (r->identity.is_set && r->identity.uid == 0)
				log_warning("relay %s: its agent runs as root",
				    r->name);
		return;
	}
	TAILQ_FOREACH(r, &config->relays, next)
		if (user == NULL)
			user = r->rows->user;
	if (user != NULL)
		log_warning("not started by root: user %s is ignored", user);
}

static int
open_sockets(struct master *m, char *error, size_t size)
{
	const char *pid_file = m->config->master->pid_file;
	int status;

	if ((status = control_listen(m, error, size)) != 0 ||
	    (status = submit_listen(m, error, size)) != 0 ||
	    (status = open_doors(m, m->config, error, size)) != 0)
		return status;
	if (pid_file == NULL)
		return 0;
	if (daemon_pid_file(pid_file, error, size) == -1)
		return EX_CANTCREAT;
	m->pid_file = xstrdup(pid_file);
	return 0;
}

static void
tell_start(const struct master *m)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_START, NULL))
		return;
	event_text(&e, "version", NEXTHOP_VERSION);
	event_text(&e, "file", m->path);
	event_end(&e);
}

static void
on_started(void *arg)
{
	struct master *m = arg;
	struct event_line e;
	char error[512];
	int status;

	if (!rollout_is_good(m->rollout)) {
		conf_print_faults(m->rollout->config->conf, m->errors);
		fflush(m->errors);
		give_up(m, EX_CONFIG);
		return;
	}
	tell_start(m);
	m->config = config_ref(m->rollout->config);
	if ((status = open_sockets(m, error, sizeof(error))) != 0) {
		fprintf(m->errors, "nexthop-master: %s\n", error);
		fflush(m->errors);
		give_up(m, status);
		return;
	}
	commit(m, m->rollout);
	rollout_free(m->rollout);
	m->rollout = NULL;
	sockets_keep(&m->sockets);
	sockets_drop_unused(&m->sockets);
	m->state = MASTER_RUNNING;
	m->started_ms = clock_wall_ms();
	warn_user(m->config);
	if (event_begin(&e, EVENT_READY, NULL)) {
		event_int(&e, "relays", m->config->nrelays);
		event_end(&e);
	}
	m->started(m->arg, 0);
}

void
master_start(struct master *m, void (*started)(void *, int), void *arg)
{
	struct config *config = config_load(m->path);
	char error[512];
	int status;

	m->started = started;
	m->arg = arg;
	status = logging_start(m, &config->master->logging, error,
	    sizeof(error));
	if (status != 0)
		conf_fault(config->conf, 0, NULL, NULL,
		    "[master] log_file: %s", error);
	upgrade_open_errors(m);
	m->rollout = rollout_start(m->loop, m->reaper, config, NULL, 0,
	    on_started, m);
	config_unref(config);
}

/* ---- reload ---- */

static bool
differ(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* What cannot change while we run. */
static void
tell_restart(struct master *m, const struct master_conf *was)
{
	const struct master_conf *is = m->config->master;
	const char *key = logging_needs_restart(&was->logging, &is->logging);
	const struct {
		const char *key, *was, *is;
	} fixed[] = {
		{ "socket", was->socket, is->socket },
		{ "socket_mode", was->socket_mode, is->socket_mode },
		{ "socket_user", was->socket_user, is->socket_user },
		{ "socket_group", was->socket_group, is->socket_group },
		{ "control", was->control, is->control },
		{ "control_mode", was->control_mode, is->control_mode },
		{ "pid_file", was->pid_file, is->pid_file },
	};
	size_t i;

	if (key != NULL) {
		log_warning("[master] %s: changing it needs a restart", key);
		control_printf(m->reload_asker,
		    "[master] %s: changing it needs a restart\n", key);
	}
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (!differ(fixed[i].was, fixed[i].is))
			continue;
		log_warning("[master] %s: changing it needs a restart",
		    fixed[i].key);
		control_printf(m->reload_asker,
		    "[master] %s: changing it needs a restart\n",
		    fixed[i].key);
	}
}

static void
tell_faults(struct master *m, const struct conf *conf)
{
	char *text = NULL, *line, *rest;
	struct event_line e;
	size_t size = 0;
	FILE *f;

	if ((f = open_memstream(&text, &size)) == NULL)
		return;
	conf_print_faults(conf, f);
	fclose(f);
	control_printf(m->reload_asker, "%s", text);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (*line != '\0' &&
		    event_begin(&e, EVENT_RELOAD_REFUSED, NULL)) {
			event_message(&e, "%s; nothing was changed", line);
			event_end(&e);
		}
	free(text);
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

static void
reload_over(struct master *m, int status)
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

/* What became of one of some that were named. */
static void
tell_name(struct master *m, const struct config *config, const char *name)
{
	bool is_there = config_relay(config, name) != NULL ||
	    config_door(config, CONF_INTAKE, name) != NULL ||
	    config_door(config, CONF_METRICS, name) != NULL;
	const char *text = is_there ? "reloaded" : "no longer there, ending";

	log_info("%s: %s", name, text);
	control_printf(m->reload_asker, "%s: %s\n", name, text);
}

static void
tell_reloaded(struct master *m, const struct config *config, unsigned nnew)
{
	struct event_line e;
	size_t i;

	for (i = 0; i < m->nreload_names; i++)
		tell_name(m, config, m->reload_names[i]);
	if (m->nreload_names > 0)
		return;
	if (event_begin(&e, EVENT_RELOADED, NULL)) {
		event_int(&e, "relays", config->nrelays);
		event_int(&e, "changed", nnew);
		event_message(&e, "reloaded: %u relays, %u of them new or "
		    "changed", config->nrelays, nnew);
		event_end(&e);
	}
	control_printf(m->reload_asker,
	    "reloaded: %u relays, %u of them new or changed\n",
	    config->nrelays, nnew);
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
	reload_over(m, status);
}

static void
on_reloaded(void *arg)
{
	struct master *m = arg;
	struct config *was, *config = m->rollout->config;
	struct generation *g;
	unsigned nnew = 0;
	char error[512];
	int status;

	if (!rollout_is_good(m->rollout)) {
		tell_faults(m, config->conf);
		reload_over(m, EX_CONFIG);
		return;
	}
	if ((status = open_doors(m, config, error, sizeof(error))) != 0) {
		reload_failed(m, status, error);
		return;
	}
	TAILQ_FOREACH(g, &m->rollout->generations, next)
		nnew += g->conf->kind == CONF_RELAY;
	was = config_ref(m->config);
	commit(m, m->rollout);
	if (m->nreload_names == 0)
		logging_reloaded(m);
	warn_user(m->config);
	tell_reloaded(m, config, nnew);
	if (m->nreload_names == 0)
		tell_restart(m, was->master);
	config_unref(was);
	reload_over(m, EX_OK);
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
		    is_wanted, 0, on_reloaded, m);
	config_unref(config);
}

/* ---- stop ---- */

/* Doors are over: nothing more comes in. */
static void
stop_services(struct master *m, int64_t limit_ms)
{
	struct service *sv, *next;

	m->state = MASTER_STOPPING;
	if (limit_ms > 0)
		dispatch_refuse_waiting(m);
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		service_end(sv, limit_ms);
	}
}

static void
begin_stop(struct master *m)
{
	m->state = MASTER_CLOSING;
	systemd_status("STOPPING=1", "stopping");
	submit_stop_listening(m);
	master_need_tick(m);
	upgrade_cancel(m->upgrade);
	if (m->rollout != NULL) {
		control_printf(m->reload_asker,
		    "nexthop-master is stopping\n");
		reload_over(m, EX_TEMPFAIL);
	}
}

void
master_stop(struct master *m, int64_t limit_ms)
{
	struct door *d, *next;

	if (m->state == MASTER_STARTING) {
		give_up(m, EX_TEMPFAIL);
		return;
	}
	if (m->state == MASTER_RUNNING)
		begin_stop(m);
	m->is_replaced = false;		/* no longer just that */
	if (m->state == MASTER_CLOSING && !TAILQ_EMPTY(&m->doors)) {
		m->stop_at_ms = limit_ms == 0 ? 0 : loop_now_ms(m->loop) +
		    limit_ms;
		if (limit_ms > 0)
			dispatch_refuse_waiting(m);
		for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
			next = TAILQ_NEXT(d, next);
			door_end(d, limit_ms);
		}
	} else
		stop_services(m, limit_ms);
}

static void
on_drain_limit(void *arg)
{
	struct master *m = arg;

	log_warning("the time to drain is over");
	master_stop(m, 1);
}

void
master_drain(struct master *m, int64_t limit_ms)
{
	master_stop(m, 0);
	if (limit_ms > 0)
		timer_set(&m->drain_limit, limit_ms);
}

/* ---- another master took over ---- */

static void
on_replaced_limit(void *arg)
{
	struct master *m = arg;

	if (m->state != MASTER_CLOSING)
		return;
	if (!m->is_refusing && m->nsubmitters > 0) {
		log_warning("%u submitters did not leave in time",
		    m->nsubmitters);
		m->is_refusing = true;
		timer_set(&m->replaced_limit, REFUSE_MS);
		return;
	}
	master_stop(m, m->config->master->stop_timeout_ms + 1);
}

/* "Connect anew for what is to come": those who are there. */
static void
drain_submitters(struct master *m)
{
	struct submitter *s;
	struct buf *out;
	size_t start;

	TAILQ_FOREACH(s, &m->submitters, next) {
		if (s->door != NULL || s->channel == NULL)
			continue;
		out = channel_out(s->channel);
		start = buf_len(out);
		if (frame_put_bare(out, FRAME_DRAIN, 0) == 0)
			channel_queued(s->channel, start, -1);
	}
}

void
master_hand_over(struct master *m)
{
	int64_t limit_ms = m->config->master->stop_timeout_ms + 1;
	struct door *d, *next;

	m->state = MASTER_CLOSING;
	m->is_replaced = true;
	m->sockets.is_handed_over = true;
	unsetenv("NOTIFY_SOCKET");	/* systemd listens to the new one */
	free(m->pid_file);
	m->pid_file = NULL;
	submit_stop_listening(m);
	control_stop_listening(m);
	drain_submitters(m);
	for (d = TAILQ_FIRST(&m->doors); d != NULL; d = next) {
		next = TAILQ_NEXT(d, next);
		door_end(d, limit_ms);
	}
	m->stop_at_ms = 0;
	timer_set(&m->replaced_limit, limit_ms);
	master_need_tick(m);
	master_check_stopped(m);
}

/* CLOSING: whether anything may still come in. */
static bool
is_closed(const struct master *m)
{
	return TAILQ_EMPTY(&m->doors) &&
	    (!m->is_replaced || TAILQ_EMPTY(&m->submitters));
}

void
master_tell_stopping(const char *how)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_STOPPING, NULL))
		return;
	event_text(&e, "how", how);
	event_end(&e);
}

void
master_stop_now(struct master *m)
{
	master_tell_stopping("at once");
	master_stop(m, 1);
	reaper_kill_all(m->reaper, SIGKILL);
}

static void
finish(struct master *m)
{
	struct event_line e;

	if (m->is_finished)
		return;
	m->is_finished = true;
	timer_stop(&m->flush_limit);
	if (m->pid_file != NULL)
		unlink(m->pid_file);
	if (event_begin(&e, EVENT_STOPPED, NULL))
		event_end(&e);
	loop_stop(m->loop, 0);
}

static void
on_flush_limit(void *arg)
{
	finish(arg);
}

void
master_check_stopped(struct master *m)
{
	struct submitter *s;

	int64_t left_ms = 0;

	if (m->state == MASTER_CLOSING && is_closed(m)) {
		if (m->stop_at_ms != 0 && (left_ms = m->stop_at_ms -
		    loop_now_ms(m->loop)) < 1)
			left_ms = 1;
		stop_services(m, left_ms);
	}
	if (m->state != MASTER_STOPPING || !TAILQ_EMPTY(&m->services) ||
	    !TAILQ_EMPTY(&m->doors))
		return;
	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->channel != NULL && channel_pending(s->channel) > 0) {
			if (m->flush_limit.due_ms == 0)
				timer_set(&m->flush_limit, FLUSH_LIMIT_MS);
			return;
		}
	finish(m);
}
