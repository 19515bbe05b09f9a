/*
 * upgrade.c - another nexthop-master, perhaps of a newer version, takes this
 * one's place without a connection being refused.
 *
 * The running master starts the executable of its own path with its listening
 * sockets and a pipe.  The new one starts its agents, then says on the pipe
 * that it is ready, or what is wrong; then it goes, and nothing has changed.
 * Once it is ready the old one accepts nothing more, tells its submitters and
 * doors (DRAIN), finishes what they have, and ends.
 *
 * What the new one is told by its environment: UPGRADE_ENV is the letters of
 * its sockets, which begin at descriptor UPGRADE_FIRST_FD: "o" is the old
 * master's own, "g" was given to that by systemd.  The pipe is UPGRADE_PIPE_FD.
 * On it come texts for the operator, then a NUL and the exit status.
 */
#include "master.h"

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

#define UPGRADE_ENV		"NEXTHOP_UPGRADE"
#define UPGRADE_PIPE_FD		3
#define UPGRADE_FIRST_FD	4
#define UPGRADE_SOCKETS_MAX	(PROCESS_FDS_MAX - UPGRADE_FIRST_FD)
#define UPGRADE_TEXT_MAX	(64 * 1024)
#define UPGRADE_LIMIT_MS	(START_LIMIT_MS + 10000)

struct upgrade {		/* under way, in the old master */
	struct master	*master;
	struct control	*asker;		/* or NULL */
	struct process	 process;
	pid_t		 pid;
	int		 fd;		/* where it says what came of it */
	struct event	 ev;
	struct timer	 limit;
	struct later	 free_later;
	struct buf	 text;
	bool		 is_over;
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
upgrade_end(struct upgrade *u, int status)
{
	struct control *asker = u->asker;

	u->is_over = true;
	u->master->upgrade = NULL;
	event_del(&u->ev);
	close(u->fd);
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

static void
upgrade_failed(struct upgrade *u, int status, const char *why)
{
	struct master *m = u->master;
	char error[512];

	tell_text(u);
	tell_failure(why);
	control_printf(u->asker, "upgrade: %s; nothing was changed\n", why);
	if (u->process.pid != 0)
		kill(u->process.pid, SIGKILL);
	/* The new one may have written its own. */
	if (m->pid_file != NULL &&
	    daemon_pid_file(m->pid_file, error, sizeof(error)) == -1)
		log_warning("%s", error);
	upgrade_end(u, status);
	master_reload_again(m);
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
	upgrade_failed(arg, EX_TEMPFAIL, "the new process took too long");
}

/* Its last words may still be in the pipe, which then ends. */
static void
on_ended(void *arg, int status)
{
	(void)arg;
	(void)status;
}

void
upgrade_cancel(struct upgrade *u)
{
	if (u != NULL)
		upgrade_failed(u, EX_TEMPFAIL, "nexthop-master is stopping");
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
start(struct master *m, int pipe_fd, char *error, size_t size)
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
	spec.fds[UPGRADE_PIPE_FD] = pipe_fd;
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
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
		refuse(asker, EX_OSERR, strerror(errno));
		return;
	}
	fcntl(ends[1], F_SETFL, 0);
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
	timer_set(&u->limit, UPGRADE_LIMIT_MS);
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

/* ---- the new master ---- */

unsigned
upgrade_inherited(void)
{
	const char *letters = getenv(UPGRADE_ENV);
	size_t n = letters == NULL ? 0 : strlen(letters);

	return letters == NULL || n > UPGRADE_SOCKETS_MAX ||
	    strspn(letters, "og") != n ||
	    fcntl(UPGRADE_PIPE_FD, F_GETFD) == -1 ? 0 : 1 + (unsigned)n;
}

void
upgrade_adopt(struct master *m)
{
	const char *letters = getenv(UPGRADE_ENV);
	char error[512];
	size_t i;

	for (i = 0; letters != NULL && letters[i] != '\0'; i++)
		if (sockets_adopt(&m->sockets, UPGRADE_FIRST_FD + (int)i,
		    letters[i] == 'g' ? SOCKET_GIVEN : SOCKET_LENT, error,
		    sizeof(error)) == -1)
			log_warning("%s; closed", error);
	fcntl(UPGRADE_PIPE_FD, F_SETFD, FD_CLOEXEC);
	m->ready_fd = UPGRADE_PIPE_FD;
	unsetenv(UPGRADE_ENV);
}

void
upgrade_open_errors(struct master *m)
{
	FILE *f;

	if (m->ready_fd != -1 && (f = fdopen(m->ready_fd, "w")) != NULL) {
		master_close_errors(m);
		m->errors = f;
	}
}

void
upgrade_started(struct master *m, int status)
{
	if (m->ready_fd == -1)
		return;
	fputc('\0', m->errors);
	fputc(status, m->errors);
	master_close_errors(m);
	m->ready_fd = -1;
}
