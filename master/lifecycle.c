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
#include "base/mem.h"

#define FLUSH_LIMIT_MS	2000

static void	 on_started(void *);
static void	 on_reloaded(void *);
static void	 on_tick(void *);
static void	 on_flush_limit(void *);

struct master *
master_new(struct loop *loop, const char *path)
{
	struct master *m = xcalloc(1, sizeof(*m));

	m->loop = loop;
	m->path = path;
	m->errors = stderr;
	m->reaper = reaper_new(loop);
	TAILQ_INIT(&m->services);
	TAILQ_INIT(&m->submitters);
	TAILQ_INIT(&m->controls);
	timer_init(&m->tick, loop, on_tick, m);
	timer_init(&m->flush_limit, loop, on_flush_limit, m);
	return m;
}

void
master_free(struct master *m)
{
	struct service *sv;
	struct submitter *s;

	rollout_free(m->rollout);
	TAILQ_FOREACH(sv, &m->services, next)
		service_free(sv);
	submit_stop_listening(m);
	TAILQ_FOREACH(s, &m->submitters, next)
		submitter_drop(s, s->nrcpt_open > 0 ?
		    "nexthop has stopped" : NULL);
	control_close_all(m);
	timer_clear(&m->tick);
	timer_clear(&m->flush_limit);
	loop_turn(m->loop, 0);
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
	    m->state == MASTER_STOPPING)
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

/* Where to log is settled at the start; agents hold on to it as well. */
static void
open_log(struct master *m, const struct master_conf *c)
{
	m->is_syslog = c->log == LOG_TO_SYSLOG ||
	    (c->log == LOG_TO_AUTO && m->is_background);
	log_set(m->is_syslog ? LOG_TO_SYSLOG : LOG_TO_STDERR, (enum log_level)c->log_level);
	if (m->is_background && m->is_syslog)
		m->errors = daemon_stderr_to_log(m->loop);
}

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

/* Every relay of the rollout's configuration, and no other. */
static void
commit(struct master *m, struct rollout *ro)
{
	int64_t limit_ms = ro->config->master->stop_timeout_ms;
	struct config *old = m->config;
	struct service *sv, *next;
	struct generation *g;
	struct relay_conf *r;

	m->config = config_ref(ro->config);
	TAILQ_FOREACH(r, &ro->config->relays, next) {
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
		if (!sv->is_ending && config_relay(m->config, sv->name) == NULL)
			service_end(sv, limit_ms);
	}
	config_unref(old);
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
	    (status = submit_listen(m, error, size)) != 0)
		return status;
	if (pid_file == NULL)
		return 0;
	if (daemon_pid_file(pid_file, error, size) == -1)
		return EX_CANTCREAT;
	m->pid_file = xstrdup(pid_file);
	return 0;
}

static void
on_started(void *arg)
{
	struct master *m = arg;
	char error[512];
	int status;

	if (!rollout_is_good(m->rollout)) {
		conf_print_faults(m->rollout->config->conf, m->errors);
		fflush(m->errors);
		give_up(m, EX_CONFIG);
		return;
	}
	commit(m, m->rollout);
	rollout_free(m->rollout);
	m->rollout = NULL;
	if ((status = open_sockets(m, error, sizeof(error))) != 0) {
		fprintf(m->errors, "nexthop-master: %s\n", error);
		fflush(m->errors);
		give_up(m, status);
		return;
	}
	m->state = MASTER_RUNNING;
	m->started_ms = clock_wall_ms();
	warn_user(m->config);
	log_info("ready, %u relays", m->config->nrelays);
	m->started(m->arg, 0);
}

void
master_start(struct master *m, void (*started)(void *, int), void *arg)
{
	struct config *config = config_load(m->path);

	m->started = started;
	m->arg = arg;
	open_log(m, config->master);
	m->rollout = rollout_start(m->loop, m->reaper, config, NULL, 0,
	    on_started, m);
	config_unref(config);
}

/* ---- reload ---- */

static bool
is_wanted(void *arg, const struct relay_conf *r)
{
	struct master *m = arg;
	struct service *sv = master_service(m, r->name, strlen(r->name));

	return sv == NULL || sv->current == NULL ||
	    !relay_conf_is_same(sv->current->conf, r);
}

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

	if (was->log != is->log) {
		log_warning("[master] log: changing it needs a restart");
		control_printf(m->reload_asker,
		    "[master] log: changing it needs a restart\n");
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
	size_t size = 0;
	FILE *f;

	if ((f = open_memstream(&text, &size)) == NULL)
		return;
	conf_print_faults(conf, f);
	fclose(f);
	control_printf(m->reload_asker, "%s", text);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (*line != '\0')
			log_error("reload: %s", line);
	free(text);
	log_error("reload: nothing was changed");
}

static void
reload_over(struct master *m, int status)
{
	struct control *asker = m->reload_asker;

	m->reload_asker = NULL;
	control_exit(asker, status);
	rollout_free(m->rollout);
	m->rollout = NULL;
	if (m->reload_again && m->state == MASTER_RUNNING) {
		m->reload_again = false;
		master_reload(m, NULL);
	}
}

static void
on_reloaded(void *arg)
{
	struct master *m = arg;
	struct config *was;
	unsigned nnew = 0;
	struct generation *g;

	if (!rollout_is_good(m->rollout)) {
		tell_faults(m, m->rollout->config->conf);
		reload_over(m, EX_CONFIG);
		return;
	}
	TAILQ_FOREACH(g, &m->rollout->generations, next)
		nnew++;
	was = config_ref(m->config);
	log_set(m->is_syslog ? LOG_TO_SYSLOG : LOG_TO_STDERR,
	    (enum log_level)m->rollout->config->master->log_level);
	commit(m, m->rollout);
	warn_user(m->config);
	log_info("reloaded: %u relays, %u of them new or changed",
	    m->config->nrelays, nnew);
	control_printf(m->reload_asker,
	    "reloaded: %u relays, %u of them new or changed\n",
	    m->config->nrelays, nnew);
	tell_restart(m, was->master);
	config_unref(was);
	reload_over(m, EX_OK);
}

void
master_reload(struct master *m, struct control *asker)
{
	struct config *config;

	if (m->state != MASTER_RUNNING || m->rollout != NULL) {
		if (asker == NULL) {
			m->reload_again = m->state != MASTER_STOPPING;
			return;
		}
		control_printf(asker, "%s\n", m->state == MASTER_STOPPING ?
		    "nexthop-master is stopping" : "a reload is under way");
		control_exit(asker, EX_TEMPFAIL);
		return;
	}
	m->reload_asker = asker;
	log_info("reloading %s", m->path);
	config = config_load(m->path);
	m->rollout = rollout_start(m->loop, m->reaper, config, is_wanted, 0,
	    on_reloaded, m);
	config_unref(config);
}

/* ---- stop ---- */

void
master_stop(struct master *m, int64_t limit_ms)
{
	struct service *sv, *next;

	if (m->state == MASTER_STARTING) {
		give_up(m, EX_TEMPFAIL);
		return;
	}
	if (m->state != MASTER_STOPPING) {
		m->state = MASTER_STOPPING;
		daemon_notify("STOPPING=1");
		submit_stop_listening(m);
		master_need_tick(m);
		if (m->rollout != NULL) {
			control_printf(m->reload_asker,
			    "nexthop-master is stopping\n");
			reload_over(m, EX_TEMPFAIL);
		}
	}
	if (limit_ms > 0)
		dispatch_refuse_waiting(m);
	for (sv = TAILQ_FIRST(&m->services); sv != NULL; sv = next) {
		next = TAILQ_NEXT(sv, next);
		service_end(sv, limit_ms);
	}
}

void
master_stop_now(struct master *m)
{
	log_warning("stopping at once");
	master_stop(m, 1);
	reaper_kill_all(m->reaper, SIGKILL);
}

static void
finish(struct master *m)
{
	timer_stop(&m->flush_limit);
	if (m->pid_file != NULL)
		unlink(m->pid_file);
	log_info("stopped");
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

	if (m->state != MASTER_STOPPING || !TAILQ_EMPTY(&m->services))
		return;
	TAILQ_FOREACH(s, &m->submitters, next)
		if (s->channel != NULL && channel_pending(s->channel) > 0) {
			if (m->flush_limit.due_ms == 0)
				timer_set(&m->flush_limit, FLUSH_LIMIT_MS);
			return;
		}
	finish(m);
}
