/*
 * nexthop-master.c - runs the relays' agents and carries deliveries to them.
 */
#include <sys/stat.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"
#include "base/process.h"
#include "master.h"
#include "paths.h"

struct process_state {
	struct loop	*loop;
	struct master	*master;
	struct watchdog	*watchdog;
	int		 ready_fd;	/* of the waiting parent, or -1 */
	unsigned	 nterm;
};

struct inherited {		/* descriptors from 3 on */
	unsigned	 upgrade;	/* from the master before us */
	unsigned	 systemd;
};

static void
on_started(void *arg, int status)
{
	struct process_state *p = arg;

	struct master *m = p->master;
	/* Before it names us systemd's main process is the old one. */
	bool is_upgrade = m->ready_fd != -1;

	daemon_ready(p->ready_fd, status);
	p->ready_fd = -1;
	upgrade_started(m, status);
	master_close_errors(m);
	if (status != 0) {
		loop_stop(p->loop, status);
		return;
	}
	if (!is_upgrade)
		systemd_status("READY=1", "running, %u relays",
		    m->config->nrelays);
	p->watchdog = systemd_watchdog(p->loop);
	master_reload_again(m);		/* a SIGHUP during the start */
}

static void
on_hup(evutil_socket_t sig, short what, void *arg)
{
	struct process_state *p = arg;

	(void)sig;
	(void)what;
	master_reload(p->master, NULL, NULL, 0);
}

static void
on_usr1(evutil_socket_t sig, short what, void *arg)
{
	struct process_state *p = arg;

	(void)sig;
	(void)what;
	logging_reopen(p->master, NULL);
}

static void
on_usr2(evutil_socket_t sig, short what, void *arg)
{
	struct process_state *p = arg;

	(void)sig;
	(void)what;
	master_upgrade(p->master, NULL);
}

static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	struct process_state *p = arg;
	char how[64];

	(void)what;
	snprintf(how, sizeof(how), "signal %d (%s)", (int)sig,
	    sigdescr_np((int)sig));
	master_tell_stopping(how);
	if (p->nterm++ > 0)
		master_stop_now(p->master);
	else
		master_stop(p->master, p->master->config == NULL ? 1 :
		    p->master->config->master->stop_timeout_ms + 1);
}

static int
run(const char *path, bool is_background, const struct inherited *in)
{
	struct process_state p = { .ready_fd = -1 };
	struct event ev_hup, ev_usr1, ev_usr2, ev_term, ev_int;
	int status;

	if (is_background && in->upgrade == 0)
		p.ready_fd = daemon_fork();
	p.loop = loop_new();
	p.master = master_new(p.loop, path);
	p.master->is_background = is_background;
	if (in->upgrade > 0)
		upgrade_adopt(p.master);
	else
		systemd_adopt(&p.master->sockets, in->systemd);
	event_assign(&ev_usr2, loop_base(p.loop), SIGUSR2,
	    EV_SIGNAL | EV_PERSIST, on_usr2, &p);
	event_add(&ev_usr2, NULL);
	event_assign(&ev_hup, loop_base(p.loop), SIGHUP,
	    EV_SIGNAL | EV_PERSIST, on_hup, &p);
	event_assign(&ev_usr1, loop_base(p.loop), SIGUSR1,
	    EV_SIGNAL | EV_PERSIST, on_usr1, &p);
	event_assign(&ev_term, loop_base(p.loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_term, &p);
	event_assign(&ev_int, loop_base(p.loop), SIGINT,
	    EV_SIGNAL | EV_PERSIST, on_term, &p);
	event_add(&ev_hup, NULL);
	event_add(&ev_usr1, NULL);
	event_add(&ev_term, NULL);
	event_add(&ev_int, NULL);
	master_start(p.master, on_started, &p);
	status = loop_run(p.loop);
	systemd_watchdog_stop(p.watchdog);
	master_free(p.master);
	event_del(&ev_usr2);
	event_del(&ev_hup);
	event_del(&ev_usr1);
	event_del(&ev_term);
	event_del(&ev_int);
	loop_free(p.loop);
	return status;
}

/* Descriptors 0 to 2 exist, and hold nothing that was meant for others. */
static void
settle(const struct inherited *in)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
	ignore_write_signals();
	closefrom(STDERR_FILENO + 1 + (int)(in->upgrade + in->systemd));
	umask(022);
	raise_files_limit();
	if (chdir("/") == -1)
		err(EX_OSERR, "chdir");
}

static int
usage(FILE *fp, int status)
{
	char *path;

	fprintf(fp, "usage: nexthop-master [-c FILE] [--foreground]\n");
	if (status != EX_OK)
		return status;
	path = config_default_path();
	fprintf(fp, "\n  -c FILE       the configuration, without it %s\n"
	    "  --foreground  stay in the foreground and log to stderr\n"
	    "  --version     say so and end\n\n"
	    "`nexthop check` finds the faults of a configuration, `nexthop "
	    "status` shows what\na running master does.\n", path);
	free(path);
	return status;
}

/* For the manual and the sample configuration; -1: no such form. */
static int
print_options(const char *form)
{
	if (strcmp(form, "mdoc") == 0)
		opt_table_mdoc(&config_master_table, stdout);
	else if (strcmp(form, "sample") == 0)
		opt_table_sample(&config_master_table, stdout);
	else if (strcmp(form, "relaymdoc") == 0)
		opt_table_mdoc(&config_relay_table, stdout);
	else if (strcmp(form, "relay") == 0)
		opt_table_sample(&config_relay_table, stdout);
	else if (strcmp(form, "custommdoc") == 0)
		opt_table_mdoc(&config_timeout_table, stdout);
	else if (strcmp(form, "custom") == 0)
		opt_table_sample(&config_timeout_table, stdout);
	else if (strcmp(form, "intakemdoc") == 0)
		opt_table_mdoc(&config_intake_table, stdout);
	else if (strcmp(form, "intake") == 0)
		opt_table_sample(&config_intake_table, stdout);
	else if (strcmp(form, "metricsmdoc") == 0)
		opt_table_mdoc(&config_metrics_table, stdout);
	else if (strcmp(form, "metrics") == 0)
		opt_table_sample(&config_metrics_table, stdout);
	else if (strcmp(form, "events") == 0)
		event_table_mdoc(stdout);
	else
		return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	bool is_background = true;
	struct inherited in;
	char *path = NULL;
	int i, status;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, EX_OK);
		if (strcmp(argv[i], "--version") == 0) {
			printf("nexthop-master %s\n", NEXTHOP_VERSION);
			return EX_OK;
		}
		if (strncmp(argv[i], "--options=", 10) == 0 &&
		    print_options(argv[i] + 10) == 0)
			return EX_OK;
		if (strcmp(argv[i], "--foreground") == 0)
			is_background = false;
		else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			free(path);
			path = config_absolute_path(argv[++i]);
		} else {
			warnx("unknown argument %s", argv[i]);
			free(path);
			return usage(stderr, EX_USAGE);
		}
	}
	if (path == NULL)
		path = config_default_path();
	upgrade_keep_path(argv[0]);
	log_open("nexthop-master");
	in.upgrade = upgrade_inherited();
	in.systemd = in.upgrade > 0 ? 0 : systemd_inherited();
	settle(&in);
	status = run(path, is_background, &in);
	free(path);
	return status;
}
