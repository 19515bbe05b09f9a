/*
 * spawn.c - starting agents and seeing them end.
 *
 * A child gets a socket at descriptor 3, /dev/null as stdin, our stderr as
 * stdout and stderr, an environment of its own, a process group of its own
 * (Ctrl-C is for the master), the rights of its user and no way to regain
 * others.  Nothing secret is in its arguments.  Between fork and exec nothing
 * is called that may block or look up names.
 */
#include "master.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/mem.h"
#include "base/process.h"
#include "net/share.h"

#define CHANNEL_FD	3
#define EXEC_ERROR_FD	4
#define SHARE_FD	5
#define WAIT_TURNS	200

struct reaper {
	struct loop	*loop;
	struct event	 sigchld;
	LIST_HEAD(, process) processes;
};

/* ---- ends ---- */

void
wait_status_text(int status, char *text, size_t size)
{
	int sig;

	if (WIFSIGNALED(status)) {
		sig = WTERMSIG(status);
		snprintf(text, size, "ended by signal %d (%s)", sig,
		    sigdescr_np(sig) != NULL ? sigdescr_np(sig) : "unknown");
	} else
		snprintf(text, size, "exited with status %d",
		    WEXITSTATUS(status));
}

static void
on_sigchld(evutil_socket_t sig, short what, void *arg)
{
	struct reaper *reaper = arg;
	struct process *p;
	int status;
	pid_t pid;

	(void)sig;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_FOREACH(p, &reaper->processes, next)
			if (p->pid == pid)
				break;
		if (p == NULL)
			continue;
		LIST_REMOVE(p, next);
		p->pid = 0;
		p->ended(p->arg, status);
	}
}

struct reaper *
reaper_new(struct loop *loop)
{
	struct reaper *reaper = xcalloc(1, sizeof(*reaper));

	reaper->loop = loop;
	LIST_INIT(&reaper->processes);
	event_assign(&reaper->sigchld, loop_base(loop), SIGCHLD,
	    EV_SIGNAL | EV_PERSIST, on_sigchld, reaper);
	event_add(&reaper->sigchld, NULL);
	return reaper;
}

void
reaper_free(struct reaper *reaper)
{
	if (reaper == NULL)
		return;
	event_del(&reaper->sigchld);
	free(reaper);
}

void
reaper_kill_all(struct reaper *reaper, int sig)
{
	struct process *p;

	LIST_FOREACH(p, &reaper->processes, next)
		kill(sig == SIGKILL ? -p->pid : p->pid, sig);
}

void
reaper_wait(struct reaper *reaper)
{
	struct process *p;
	int i;

	for (i = 0; i < WAIT_TURNS && waitpid(-1, NULL, WNOHANG) != -1; i++)
		usleep(10000);
	while ((p = LIST_FIRST(&reaper->processes)) != NULL) {
		LIST_REMOVE(p, next);
		p->pid = 0;
	}
}

/* ---- starts: the child's side ---- */

static _Noreturn void
child_fail(const char *what)
{
	dprintf(EXEC_ERROR_FD, "%s: %s", what, strerror(errno));
	_exit(127);
}

/* Socket 3, error pipe 4, shared memory 5, whatever their numbers were. */
static void
arrange_fds(int channel, int exec_error, int share)
{
	int fd;

	/* All out of the way of 0..5 first. */
	channel = fcntl(channel, F_DUPFD, 10);
	exec_error = fcntl(exec_error, F_DUPFD, 10);
	if (share != -1)
		share = fcntl(share, F_DUPFD, 10);
	if (channel == -1 || exec_error == -1 ||
	    dup2(exec_error, EXEC_ERROR_FD) == -1)
		_exit(127);
	if (dup2(channel, CHANNEL_FD) == -1)
		child_fail("dup2");
	if ((fd = open("/dev/null", O_RDWR)) == -1)
		child_fail("/dev/null");
	dup2(fd, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	fcntl(EXEC_ERROR_FD, F_SETFD, FD_CLOEXEC);
	if (share != -1 && dup2(share, SHARE_FD) == -1)
		child_fail("dup2");
	closefrom(share == -1 ? SHARE_FD : SHARE_FD + 1);
}

static void
reset_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
become(const struct identity *id)
{
	raise_files_limit();
	if (id->is_set) {
		if (setgroups((size_t)id->ngroups, id->groups) == -1)
			child_fail("setgroups");
		if (setresgid(id->gid, id->gid, id->gid) == -1)
			child_fail("setgid");
		if (setresuid(id->uid, id->uid, id->uid) == -1)
			child_fail("setuid");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		child_fail("no_new_privs");
}

/* NAME=value of our own environment, if it is there. */
static char *
inherited(const char *name)
{
	const char *value = getenv(name);

	return value == NULL ? NULL : xasprintf("%s=%s", name, value);
}

/*
 * What an agent sees.  The sanitizers' options pass, or their reports from an
 * agent would be lost.
 */
static char **
clean_environment(const struct spawn_share *share)
{
	static const char *const kept[] = {
		"TZ", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"
	};
	char **env = xcalloc(5 + sizeof(kept) / sizeof(kept[0]), sizeof(*env));
	size_t i, n = 0;

	env[n] = inherited("PATH");
	if (env[n++] == NULL)
		env[n - 1] = xstrdup("PATH=/usr/local/sbin:/usr/local/bin:"
		    "/usr/sbin:/usr/bin:/sbin:/bin");
	env[n++] = xasprintf("%s=%d", CHANNEL_ENV, CHANNEL_FD);
	env[n++] = xasprintf("%s=%s", LOG_ENV, log_text());
	if (share->fd != -1)
		env[n++] = xasprintf("%s=%d:%u", SHARE_ENV, SHARE_FD,
		    share->index);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if ((env[n] = inherited(kept[i])) != NULL)
			n++;
	return env;
}

static _Noreturn void
run(const char *program, const struct identity *id, char **env, int channel,
    int exec_error, int share)
{
	char *argv[] = { (char *)(uintptr_t)program, NULL };

	setpgid(0, 0);
	reset_signals();
	arrange_fds(channel, exec_error, share);
	become(id);
	execve(program, argv, env);
	child_fail("cannot execute");
}

/* ---- starts: our side ---- */

/* Waits until the child runs its program; what went wrong if it cannot. */
static int
exec_outcome(int fd, char *error, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len + 1 < size) {
		n = read(fd, error + len, size - 1 - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	error[len] = '\0';
	return len == 0 ? 0 : -1;
}

static void
env_free(char **env)
{
	size_t i;

	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* The child's pid, or -1 with a text. */
static pid_t
fork_exec(const char *program, const struct identity *id,
    const struct spawn_share *share, int channel, char *error, size_t size)
{
	char **env;
	int outcome[2];
	pid_t pid;

	if (pipe2(outcome, O_CLOEXEC) == -1) {
		snprintf(error, size, "pipe: %s", strerror(errno));
		return -1;
	}
	env = clean_environment(share);
	if ((pid = fork()) == 0)
		run(program, id, env, channel, outcome[1], share->fd);
	if (pid == -1)
		snprintf(error, size, "fork: %s", strerror(errno));
	close(outcome[1]);
	env_free(env);
	if (pid != -1 && exec_outcome(outcome[0], error, size) == -1) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(outcome[0]);
	return pid;
}

int
spawn(struct reaper *reaper, struct process *p, const char *program,
    const struct identity *id, const struct spawn_share *share, char *error,
    size_t size)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		snprintf(error, size, "socketpair: %s", strerror(errno));
		return -1;
	}
	p->pid = fork_exec(program, id, share, ends[1], error, size);
	close(ends[1]);
	if (p->pid == -1) {
		p->pid = 0;
		close(ends[0]);
		return -1;
	}
	LIST_INSERT_HEAD(&reaper->processes, p, next);
	return ends[0];
}
