/*
 * lifecycle.c - the master as a whole, its clock and its start; the rest of its
 * life is in commit.c, reload.c, stop.c and upgrade.c.
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

static void	 on_started(void *);
static void	 on_tick(void *);

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
	stop_init(m);
	upgrade_init(m);
	return m;
}

void
master_free(struct master *m)
{
	struct service *sv;
	struct submitter *s;
	struct door *d;

	upgrade_clear(m);
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
	stop_clear(m);
	loop_turn(m->loop, 0);
	sockets_clear(&m->sockets);
	reaper_free(m->reaper);
	config_unref(m->config);
	config_unref(m->began);
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

/* ---- start ---- */

/* Who started us may wait for the end of what we have to say. */
void
master_close_errors(struct master *m)
{
	if (m->errors != stderr)
		fclose(m->errors);
	m->errors = stderr;
}

void
master_give_up(struct master *m, int status)
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

void
master_warn_user(const struct config *config)
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
	    (status = commit_open_doors(m, m->config, error, size)) != 0)
		return status;
	if (pid_file == NULL)
		return 0;
	if (daemon_pid_file(pid_file, error, size) == -1)
		return EX_CANTCREAT;
	m->pid_file = xstrdup(pid_file);
	return 0;
}

void
master_log_faults(enum event_name name, const struct conf *conf,
    const char *end, struct control *asker)
{
	char *text = NULL, *line, *rest;
	struct event_line e;
	size_t size = 0;
	FILE *f;

	if ((f = open_memstream(&text, &size)) == NULL)
		return;
	conf_print_faults(conf, f);
	fclose(f);
	control_printf(asker, "%s", text);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (*line != '\0' && event_begin(&e, name, NULL)) {
			event_message(&e, "%s%s", line, end);
			event_end(&e);
		}
	free(text);
}

/* Whether the log has not the same from stderr, or from the old master. */
static bool
is_log_apart(const struct master *m)
{
	return m->log.target != LOG_TO_STDERR && m->ready_fd == -1;
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
		if (is_log_apart(m))
			master_log_faults(EVENT_START_REFUSED,
			    m->rollout->config->conf, "", NULL);
		master_give_up(m, EX_CONFIG);
		return;
	}
	tell_start(m);
	m->config = config_ref(m->rollout->config);
	m->began = config_ref(m->rollout->config);
	if ((status = open_sockets(m, error, sizeof(error))) != 0) {
		fprintf(m->errors, "nexthop-master: %s\n", error);
		fflush(m->errors);
		if (is_log_apart(m) &&
		    event_begin(&e, EVENT_START_REFUSED, NULL)) {
			event_message(&e, "%s", error);
			event_end(&e);
		}
		master_give_up(m, status);
		return;
	}
	commit_config(m, m->rollout);
	rollout_free(m->rollout);
	m->rollout = NULL;
	if (m->ready_fd == -1)
		sockets_drop_unused(&m->sockets);
	m->state = MASTER_RUNNING;
	m->started_ms = clock_wall_ms();
	master_warn_user(m->config);
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
