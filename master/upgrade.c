/*
 * upgrade.c - another nexthop-master, perhaps of a newer version, takes this
 * one's place without a connection being refused; the old one's side, see
 * upgrade.h.
 */
#include "upgrade.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/process.h"

#define UPGRADE_TEXT_MAX	(64 * 1024)
#define UPGRADE_KILL_MS		5000	/* from SIGTERM to SIGKILL */

struct upgrade {		/* under way, in the old master */
	struct master	*master;
	struct control	*asker;		/* or NULL */
	struct process	 process;
	pid_t		 pid;
	int		 fd;		/* where it says what came of it */
	struct event	 ev;
	struct timer	 limit;
	int64_t		 limit_ms;
	struct later	 free_later;
	struct buf	 text;
	bool		 is_ending;	/* it failed: its end is awaited */
	int		 status;	/* for the asker then */
};

/* ---- the old master: the end ---- */

static void
on_free(void *arg)
{
	struct upgrade *u = arg;

	buf_clear(&u->text);
	free(u);
}

static void
close_line(struct upgrade *u)
{
	if (u->fd == -1)
		return;
	event_del(&u->ev);
	close(u->fd);
	u->fd = -1;
}

static void
upgrade_end(struct upgrade *u, int status)
{
	struct control *asker = u->asker;

	u->master->upgrade = NULL;
	close_line(u);
	timer_clear(&u->limit);
	if (u->process.pid != 0)
		LIST_REMOVE(&u->process, next);
	u->process.pid = 0;
	control_exit(asker, status);
	loop_later(u->master->loop, &u->free_later);
}

static void
tell_failure(const char *why)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_UPGRADE_FAILED, NULL))
		return;
	event_message(&e, "upgrade: %s; nothing was changed", why);
	event_end(&e);
}

/* Each line of what the new one said. */
static void
tell_text(struct upgrade *u)
{
	char *text = xasprintf("%.*s", (int)buf_len(&u->text),
	    buf_data(&u->text)), *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0') {
			tell_failure(line);
			control_printf(u->asker, "%s\n", line);
		}
	free(text);
}

/* The new one is gone. */
static void
end_failed(struct upgrade *u)
{
	struct master *m = u->master;
	char error[512];

	/* It may have written its own. */
	if (m->pid_file != NULL &&
	    daemon_pid_file(m->pid_file, error, sizeof(error)) == -1)
		log_warning("%s", error);
	upgrade_end(u, u->status);
	master_reload_again(m);
	master_check_stopped(m);
}

static void
upgrade_failed(struct upgrade *u, int status, const char *why)
{
	tell_text(u);
	tell_failure(why);
	control_printf(u->asker, "upgrade: %s; nothing was changed\n", why);
	u->is_ending = true;
	u->status = status;
	close_line(u);
	if (u->process.pid == 0)
		end_failed(u);
	else {
		/* Its agents end with it, hear they or not. */
		kill(u->process.pid, SIGTERM);
		timer_set(&u->limit, UPGRADE_KILL_MS);
	}
}

static void
upgrade_done(struct upgrade *u)
{
	struct master *m = u->master;
	struct event_line e;
	char state[64];

	if (event_begin(&e, EVENT_UPGRADED, NULL)) {
		event_int(&e, "new_pid", u->pid);
		event_message(&e, "upgraded: process %d takes over",
		    (int)u->pid);
		event_end(&e);
	}
	control_printf(u->asker, "upgraded: process %d takes over from %d\n",
	    (int)u->pid, (int)getpid());
	snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)u->pid);
	daemon_notify(state);
	if (send(u->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		log_warning("upgrade: the new process: %s", strerror(errno));
	upgrade_end(u, EX_OK);
	master_hand_over(m);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct upgrade *u = arg;
	char piece[1024], *end;
	ssize_t n;

	(void)what;
	n = read(fd, piece, sizeof(piece));
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		upgrade_failed(u, EX_SOFTWARE, "the new process died");
		return;
	}
	if (buf_add(&u->text, piece, (size_t)n) == -1) {
		upgrade_failed(u, EX_SOFTWARE, "the new process says too "
		    "much");
		return;
	}
	end = memchr(buf_data(&u->text), '\0', buf_len(&u->text));
	if (end == NULL || end + 1 == buf_data(&u->text) + buf_len(&u->text))
		return;
	if (end[1] == EX_OK)
		upgrade_done(u);
	else
		upgrade_failed(u, end[1], "the new process cannot start");
}

static void
on_limit(void *arg)
{
	struct upgrade *u = arg;
	char why[64];

	if (u->is_ending) {
		kill(u->process.pid, SIGKILL);
		return;
	}
	snprintf(why, sizeof(why), "the new process is not ready after %jd s",
	    (intmax_t)(u->limit_ms / 1000));
	upgrade_failed(u, EX_TEMPFAIL, why);
}

static void
on_ended(void *arg, int status)
{
	struct upgrade *u = arg;

	(void)status;
	if (u->is_ending)
		end_failed(u);
	/* Else its last words may still be on the line, which then ends. */
}

void
upgrade_cancel(struct upgrade *u)
{
	if (u != NULL && !u->is_ending)
		upgrade_failed(u, EX_TEMPFAIL, "nexthop-master is stopping");
}

void
upgrade_abort(struct upgrade *u)
{
	if (u == NULL)
		return;
	if (u->process.pid != 0)
		kill(u->process.pid, SIGKILL);
	upgrade_end(u, EX_TEMPFAIL);
}

/* ---- the old master: the start ---- */

/* Where our program was started: what is installed there by then is the next
 * one, whatever this one's file is called now. */
static char *program;

void
upgrade_keep_path(const char *argv0)
{
	char path[PATH_MAX], *real;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len == -1)
		return;
	path[len] = '\0';
	/* By a symbolic link, perhaps, that will lead elsewhere. */
	real = *argv0 == '/' ? realpath(argv0, NULL) : NULL;
	program = xstrdup(real != NULL && strcmp(real, path) == 0 ? argv0 :
	    path);
	free(real);
}

/* Our own environment, but for what was for us alone. */
static char **
make_environment(const struct sockets *sockets)
{
	/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma) */
	static const char *const ours[] = { UPGRADE_ENV "=", "LISTEN_PID=",
		"LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID=" };
	const struct listen_socket *l;
	char letters[UPGRADE_SOCKETS_MAX + 1], **env;
	size_t i, j, n = 0, count = 0;

	for (i = 0; environ[i] != NULL; i++)
		continue;
	env = xcalloc(i + 2, sizeof(*env));
	for (i = 0; environ[i] != NULL; i++) {
		for (j = 0; j < sizeof(ours) / sizeof(ours[0]); j++)
			if (strncmp(environ[i], ours[j], strlen(ours[j])) == 0)
				break;
		if (j == sizeof(ours) / sizeof(ours[0]))
			env[n++] = xstrdup(environ[i]);
	}
	TAILQ_FOREACH(l, &sockets->all, next)
		letters[count++] = l->whose == SOCKET_GIVEN ? 'g' : 'o';
	letters[count] = '\0';
	env[n] = xasprintf(UPGRADE_ENV "=%s", letters);
	return env;
}

static void
env_free(char **env)
{
	size_t i;

	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

static int
count_sockets(const struct sockets *s)
{
	const struct listen_socket *l;
	int n = 0;

	TAILQ_FOREACH(l, &s->all, next)
		n++;
	return n;
}

/* The new process, told of its sockets; -1 with a text. */
static pid_t
start(struct master *m, int line_fd, char *error, size_t size)
{
	struct process_spec spec = { .umask = -1, .want_files = true,
		.is_session = m->is_background, .nfds = UPGRADE_FIRST_FD };
	char *path = program, **env, *argv[5];
	struct process_error why = { NULL, 0 };
	const struct listen_socket *l;
	pid_t pid = -1;

	if (path == NULL || count_sockets(&m->sockets) > UPGRADE_SOCKETS_MAX) {
		snprintf(error, size, path == NULL ? "/proc/self/exe cannot be "
		    "read" : "more than %d sockets", UPGRADE_SOCKETS_MAX);
		return -1;
	}
	env = make_environment(&m->sockets);
	argv[0] = path;
	argv[1] = (char *)(uintptr_t)"-c";
	argv[2] = (char *)(uintptr_t)m->path;
	argv[3] = m->is_background ? NULL :
	    (char *)(uintptr_t)"--foreground";
	argv[4] = NULL;
	spec.path = path;
	spec.argv = argv;
	spec.env = env;
	spec.fds[0] = STDIN_FILENO;
	spec.fds[1] = STDOUT_FILENO;
	spec.fds[2] = STDERR_FILENO;
	spec.fds[UPGRADE_LINE_FD] = line_fd;
	TAILQ_FOREACH(l, &m->sockets.all, next)
		spec.fds[spec.nfds++] = l->fd;
	log_flush();
	if ((pid = process_spawn(&spec, NULL, &why)) == -1)
		snprintf(error, size, "%s: %s", why.what == NULL ? path :
		    why.what, strerror(why.code));
	env_free(env);
	return pid;
}

static void
refuse(struct control *asker, int status, const char *why)
{
	tell_failure(why);
	control_printf(asker, "upgrade: %s; nothing was changed\n", why);
	control_exit(asker, status);
}

void
master_upgrade(struct master *m, struct control *asker)
{
	struct event_line e;
	struct upgrade *u;
	char error[512];
	int ends[2];

	if (m->state != MASTER_RUNNING || m->rollout != NULL ||
	    m->upgrade != NULL) {
		refuse(asker, EX_TEMPFAIL, m->upgrade != NULL ?
		    "another one is under way" : m->rollout != NULL ?
		    "a reload is under way" : "nexthop-master is stopping");
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		refuse(asker, EX_OSERR, strerror(errno));
		return;
	}
	fcntl(ends[0], F_SETFL, O_RDWR | O_NONBLOCK);
	u = xcalloc(1, sizeof(*u));
	u->master = m;
	u->asker = asker;
	u->fd = ends[0];
	u->process.ended = on_ended;
	u->process.arg = u;
	if (event_begin(&e, EVENT_UPGRADING, NULL))
		event_end(&e);
	u->pid = start(m, ends[1], error, sizeof(error));
	close(ends[1]);
	if (u->pid == -1) {
		close(ends[0]);
		free(u);
		refuse(asker, EX_OSFILE, error);
		return;
	}
	m->upgrade = u;
	reaper_add(m->reaper, &u->process, u->pid);
	buf_init(&u->text, UPGRADE_TEXT_MAX);
	later_init(&u->free_later, on_free, u);
	timer_init(&u->limit, m->loop, on_limit, u);
	u->limit_ms = m->config->master->upgrade_timeout_ms;
	timer_set(&u->limit, u->limit_ms);
	event_assign(&u->ev, loop_base(m->loop), u->fd, EV_READ | EV_PERSIST,
	    on_readable, u);
	event_add(&u->ev, NULL);
}

void
upgrade_forget_asker(struct master *m, const struct control *asker)
{
	if (m->upgrade != NULL && m->upgrade->asker == asker)
		m->upgrade->asker = NULL;
}
