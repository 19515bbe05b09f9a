/*
 * spawn.c - starting agents and seeing them end.
 *
 * A child gets a socket at descriptor 3, /dev/null as stdin, our stderr as
 * stdout and stderr, an environment of its own, a process group of its own
 * (Ctrl-C is for the master), the rights of its user and, unless it has to
 * start set-user-ID programs, no way to gain others.  Nothing secret is in its
 * arguments.
 */
#include "master.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/mem.h"
#include "base/process.h"
#include "net/share.h"

#define CHANNEL_FD	3
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
reaper_add(struct reaper *reaper, struct process *p, pid_t pid)
{
	p->pid = pid;
	LIST_INSERT_HEAD(&reaper->processes, p, next);
}

void
reaper_kill_all(struct reaper *reaper, int sig)
{
	struct process *p;

	LIST_FOREACH(p, &reaper->processes, next)
		kill(sig == SIGKILL ? -p->pid : p->pid, sig);
}

void
reaper_each(struct reaper *reaper, void (*visit)(struct process *))
{
	struct process *p;

	LIST_FOREACH(p, &reaper->processes, next)
		visit(p);
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

/* ---- starts ---- */

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

static void
env_free(char **env)
{
	size_t i;

	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* Socket 3, shared memory 5; our stderr is stdout, too. */
static struct process_spec
spec_of(const char *program, const struct identity *id,
    const struct spawn_share *share, int channel, int null)
{
	return (struct process_spec){
		.path = program,
		.fds = { null, STDERR_FILENO, STDERR_FILENO, channel, -1,
		    share->fd },
		.nfds = share->fd == -1 ? SHARE_FD : SHARE_FD + 1,
		.has_identity = id->is_set,
		.uid = id->uid,
		.gid = id->gid,
		.groups = id->groups,
		.ngroups = (size_t)id->ngroups,
		.no_new_privs = !id->may_gain,
		.want_files = true,
		.umask = -1,
	};
}

/* The child's pid, or -1 with a text. */
static pid_t
start(const char *program, const struct identity *id,
    const struct spawn_share *share, int channel, char *error, size_t size)
{
	char *argv[] = { (char *)(uintptr_t)program, NULL };
	struct process_error why;
	struct process_spec spec;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char **env;
	pid_t pid;

	if (null == -1) {
		snprintf(error, size, "/dev/null: %s", strerror(errno));
		return -1;
	}
	env = clean_environment(share);
	spec = spec_of(program, id, share, channel, null);
	spec.argv = argv;
	spec.env = env;
	if ((pid = process_spawn(&spec, NULL, &why)) == -1)
		snprintf(error, size, "%s: %s", why.what == NULL ?
		    "cannot execute" : why.what, strerror(why.code));
	env_free(env);
	close(null);
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
	p->pid = start(program, id, share, ends[1], error, size);
	close(ends[1]);
	if (p->pid == -1) {
		p->pid = 0;
		close(ends[0]);
		return -1;
	}
	LIST_INSERT_HEAD(&reaper->processes, p, next);
	return ends[0];
}
