/*
 * front_postfix.c - deliveries for Postfix's queue manager: an agent as a
 * service of master.cf.
 */
#include "agent/front_postfix.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "postfix/maillog.h"

#define SWEEP_MS	2000
#define STOP_MS		4000	/* after SIGTERM; postfix(1) kills after 5 s */
#define WATCHDOG_S	1000
#define FILES_KEPT	24	/* descriptors that are no delivery's */
#define FILES_PER_JOB	4
#define WINDOW_DEFAULT	1000
#define KEPT_BYTES	(16 * 1024 * 1024)
#define NLISTEN		(sizeof(((struct postfix_front *)0)->acceptors) / \
			    sizeof(struct acceptor *))

int64_t *
postfix_good(struct postfix_front *f, const char *nexthop)
{
	uint32_t h = 2166136261U;

	for (; *nexthop != '\0'; nexthop++)
		h = (h ^ (unsigned char)(*nexthop | 0x20)) * 16777619U;
	return &f->good_ms[h % GOOD_HOPS];
}

/* ---- the end ---- */

static void
on_idle(struct agent *a)
{
	loop_stop(a->loop, EX_OK);
}

static void
check_over(struct postfix_front *f)
{
	if (f->is_draining && f->njobs == 0)
		agent_drain(f->agent);
}

/*
 * No request will come any more: the master has closed the channel, or this
 * process has nothing to do.  What is under way goes on to its end; the
 * master's child is gone by then, and may have a successor.
 */
static void
drain(struct postfix_front *f)
{
	struct job *j, *next;
	int i;

	if (f->is_draining)
		return;
	f->is_draining = true;
	pf_service_leave(f->watch);
	for (i = 0; i < f->nlisten; i++) {
		acceptor_close(f->acceptors[i]);
		f->acceptors[i] = NULL;
	}
	event_del(&f->ev_status);
	event_del(&f->ev_watch);
	close(PF_STATUS_FD);
	for (j = TAILQ_FIRST(&f->jobs); j != NULL; j = next) {
		next = TAILQ_NEXT(j, next);
		if (j->state == JOB_READING)
			job_abandon(j);
	}
	check_over(f);
}

static void
on_channel_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drain(arg);
}

/* Postfix stops, or the service was removed: what is not past end-of-data is
 * given up, and it waits in the queue. */
static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	struct postfix_front *f = arg;

	(void)sig;
	(void)what;
	drain(f);
	if (f->stop_ms != 0)
		return;
	f->stop_ms = loop_now_ms(f->agent->loop) + STOP_MS;
	timer_set(&f->sweep, STOP_MS);
	agent_cancel_all(f->agent);
}

static void
on_sweep(void *arg)
{
	struct postfix_front *f = arg;
	int64_t now = loop_now_ms(f->agent->loop), stop = f->stop_ms;
	struct job *j, *next;

	alarm((unsigned)f->watchdog_s);
	if (stop != 0 && now >= stop) {
		loop_stop(f->agent->loop, EX_OK);
		return;
	}
	for (j = TAILQ_FIRST(&f->jobs); j != NULL; j = next) {
		next = TAILQ_NEXT(j, next);
		job_sweep(j, now);
	}
	if (f->njobs == 0 && !f->is_draining &&
	    now - f->idle_since_ms >= f->max_idle_ms)
		drain(f);
	timer_set(&f->sweep, stop != 0 && stop - now < SWEEP_MS ? stop - now :
	    SWEEP_MS);
}

/* Postfix starts another one with the next request. */
static void
on_outdated(struct agent *a)
{
	drain(a->front);
}

/* ---- connections ---- */

/* With the last place taken new connections wait in the backlog, or for another
 * process of the service. */
static void
set_full(struct postfix_front *f, bool is_full)
{
	int i;

	if (f->is_draining || f->is_full == is_full)
		return;
	f->is_full = is_full;
	for (i = 0; i < f->nlisten; i++)
		acceptor_pause(f->acceptors[i], is_full);
	if (!f->args.is_single)
		pf_service_status(!is_full);
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	struct postfix_front *f = arg;

	(void)from;
	job_new(f, fd);
	if (f->njobs >= f->jobs_max)
		set_full(f, true);
}

/* The master shall know of the first one: a crash after it does not hold the
 * service up for a minute. */
void
postfix_served(struct postfix_front *f)
{
	if (f->has_served || f->is_draining)
		return;
	f->has_served = true;
	pf_service_status(false);
	pf_service_status(true);
}

void
postfix_job_over(struct postfix_front *f)
{
	f->idle_since_ms = loop_now_ms(f->agent->loop);
	if (f->njobs < f->jobs_max)
		set_full(f, false);
	check_over(f);
}

/* ---- the start ---- */

static void
service_log(const struct postfix_front *f, const char *facility,
    const char *tag)
{
	const char *socket = getenv("POSTLOG_SERVICE"), *host, *program;
	char *ident;

	host = getenv("POSTLOG_HOSTNAME");
	if (tag == NULL || *tag == '\0')
		tag = getenv("MAIL_LOGTAG");
	program = f->agent->ops->name;
	ident = xasprintf("%s/%s", tag == NULL ? "postfix" : tag, program);
	pf_maillog_open(ident, facility, socket, host == NULL ? "localhost" :
	    host, f->args.verbose > 0);
	free(ident);
}

/* Queue files are opened, marked and put aside where they lie; reports go to
 * other services of Postfix. */
static int
confine(struct agent *a, char *error, size_t size)
{
	static const char *const queues[] = { "active", "deferred", "incoming",
	    "hold" };
	struct cage *c = agent_cage(a);
	size_t i;

	if (c == NULL)
		return 0;
	cage_may(c, CAGE_UNIX | CAGE_ACCEPT);
	for (i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		cage_write(c, queues[i]);
	return agent_confine(a, false, error, size);
}

/* As many requests as the agent takes and as there are descriptors for. */
static uint32_t
jobs_max(const struct postfix_front *f)
{
	const struct agent_ops *ops = f->agent->ops;
	uint32_t max = ops->window == NULL ? WINDOW_DEFAULT :
	    ops->window(opts_values(f->agent->opts));
	int64_t kept = FILES_KEPT + 3 * f->conf->service_connections;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    (int64_t)r.rlim_cur >= kept + (int64_t)max * FILES_PER_JOB)
		return max;
	if ((int64_t)r.rlim_cur <= kept + FILES_PER_JOB)
		return 1;
	return (uint32_t)(((int64_t)r.rlim_cur - kept) / FILES_PER_JOB);
}

/* Where descriptors are few the services get fewer connections. */
static unsigned
service_connections(struct postfix_front *f)
{
	struct rlimit r;
	int64_t n = f->conf->service_connections;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && (int64_t)r.rlim_cur / 32 < n)
		n = (int64_t)r.rlim_cur / 32;
	return n < 1 ? 1 : (unsigned)n;
}

static void
make_reporter(struct postfix_front *f)
{
	const struct pf_settings *s = f->settings;

	f->reporter = pf_reporter_new(f->agent->loop,
	    &(struct pf_reporter_conf){
		.names = {
			[PF_BOUNCE] = pf_setting(s, "bounce_service_name"),
			[PF_DEFER] = pf_setting(s, "defer_service_name"),
			[PF_TRACE] = pf_setting(s, "trace_service_name"),
			[PF_VERIFY] = pf_setting(s,
			    "address_verify_service_name"),
		},
		.connections_max = service_connections(f),
		.timeout_ms = f->conf->service_timeout_ms,
		.is_old = f->is_old,
	});
}

/* One connection in a turn: other processes of the service listen, too.
 * -1 with errno. */
static int
listen_to_all(struct postfix_front *f)
{
	struct event_base *base = loop_base(f->agent->loop);
	int i;

	f->nlisten = f->args.nlisten;
	if (f->nlisten > (int)NLISTEN)
		f->nlisten = (int)NLISTEN;
	for (i = 0; i < f->nlisten; i++) {
		f->acceptors[i] = acceptor_new(f->agent->loop,
		    PF_LISTEN_FD + i, "Postfix", 1, on_accepted, f);
		if (f->acceptors[i] == NULL ||
		    fcntl(PF_LISTEN_FD + i, F_SETFD, FD_CLOEXEC) == -1)
			return -1;
	}
	event_assign(&f->ev_status, base, PF_STATUS_FD, EV_READ | EV_PERSIST,
	    on_channel_end, f);
	event_add(&f->ev_status, NULL);
	event_assign(&f->ev_watch, base, f->watch, EV_READ | EV_PERSIST,
	    on_channel_end, f);
	event_add(&f->ev_watch, NULL);
	event_assign(&f->ev_term, base, SIGTERM, EV_SIGNAL | EV_PERSIST,
	    on_term, f);
	event_add(&f->ev_term, NULL);
	return 0;
}

/* What the system's resolver loads is not to be found after chroot. */
static void
warm_resolver(void)
{
	struct addrinfo *list;

	if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
		freeaddrinfo(list);
}

/* Everything that can fail, up to the loss of rights; -1: it is logged. */
static int
prepare(struct postfix_front *f, int argc, char **argv)
{
	struct agent *a = f->agent;
	char error[512];

	if (pf_args_parse(&f->args, argc, argv, error, sizeof(error)) == -1) {
		log_error("master.cf: %s", error);
		return -1;
	}
	if (pf_service_split(&f->watch) == -1) {
		log_error("making a process: %s", strerror(errno));
		return -1;
	}
	raise_files_limit();
	if (postfix_conf_load(f) == -1)
		return -1;
	service_log(f, pf_setting(f->settings, "syslog_facility"),
	    pf_setting(f->settings, "syslog_name"));
	if (agent_start(a, error, sizeof(error)) == -1) {
		log_error("%s", error);
		return -1;
	}
	if (f->args.want_chroot)
		warm_resolver();
	if (pf_service_drop(&f->args, pf_setting(f->settings,
	    "queue_directory"), pf_setting(f->settings, "mail_owner"), error,
	    sizeof(error)) == -1) {
		log_error("%s", error);
		return -1;
	}
	if (f->args.want_chroot)
		pf_maillog_chrooted();
	a->on_outdated = on_outdated;
	if (confine(a, error, sizeof(error)) == -1) {
		log_error("%s", error);
		return -1;
	}
	return 0;
}

static int
serve(struct postfix_front *f)
{
	struct agent *a = f->agent;
	int status;

	make_reporter(f);
	f->jobs_max = jobs_max(f);
	a->front = f;
	a->on_idle = on_idle;
	/* Memory of messages is used again; the agent gives it back when it
	 * rests. */
	mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	timer_init(&f->sweep, a->loop, on_sweep, f);
	if (listen_to_all(f) == -1) {
		log_error("listening: %s", strerror(errno));
		return EX_OSERR;
	}
	f->idle_since_ms = loop_now_ms(a->loop);
	on_sweep(f);
	status = loop_run(a->loop);
	alarm(0);
	agent_stop(a);
	if (a->is_abandoned || f->njobs > 0) {
		a->is_abandoned = true;
		return status;
	}
	event_del(&f->ev_term);
	timer_clear(&f->sweep);
	pf_reporter_free(f->reporter);
	return status;
}

static void
print_line(enum log_level level, const char *text)
{
	(void)level;
	puts(text);
}

static void
print_warning(void *arg, const char *name, const char *text)
{
	(void)arg;
	printf("%s%s: %s\n", FRONT_CHECK_WARNING, name, text);
}

int
front_postfix_check(struct agent *a, int argc, char **argv)
{
	static struct postfix_front f;
	char error[512];

	log_set_sink(print_line, LOG_LEVEL_WARNING);
	f.agent = a;
	f.opts = opts_new(&postfix_conf_table);
	f.conf = opts_values(f.opts);
	argv[1] = argv[0];
	if (pf_args_parse(&f.args, argc - 1, argv + 1, error,
	    sizeof(error)) == -1)
		puts(error);
	else if (postfix_conf_load(&f) == 0 && a->ops->warn != NULL)
		a->ops->warn(opts_values(a->opts), print_warning, NULL);
	pf_settings_free(f.settings);
	pf_args_clear(&f.args);
	opts_free(f.opts);
	return EX_OK;
}

int
front_postfix(struct agent *a, int argc, char **argv)
{
	static struct postfix_front f;	/* large; and abandoned jobs point here */
	int status = EX_CONFIG;

	f.agent = a;
	TAILQ_INIT(&f.jobs);
	service_log(&f, "mail", NULL);
	f.opts = opts_new(&postfix_conf_table);
	f.conf = opts_values(f.opts);
	if (prepare(&f, argc, argv) == 0)
		status = serve(&f);
	else
		agent_stop(a);
	if (a->is_abandoned)
		return status;
	pf_settings_free(f.settings);
	pf_args_clear(&f.args);
	opts_free(f.opts);
	return status;
}
