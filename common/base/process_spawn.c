/*
 * process_spawn.c - starting a program.
 *
 * The new process shares our memory and we sleep until it has called exec or
 * ended (clone(2) with CLONE_VM and CLONE_VFORK, as posix_spawn(3) has it), so
 * it writes straight into our struct what went wrong.  It has a stack of its
 * own, and all signals are blocked until it has no handler of ours any more.
 * Nothing is called in it that allocates, locks or looks up names.
 */
#include "base/process.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

#define STACK_BYTES	(64 * 1024)
#define SIGNALS_END	32		/* real-time ones are nobody's here */

/* The sanitizer takes the other stack for a broken one. */
#define ON_OWN_STACK	__attribute__((no_sanitize("address")))

struct start {
	const struct process_spec *spec;
	struct process_error *error;
	pid_t		 parent;
};

static alignas(64) char stack[STACK_BYTES];

ON_OWN_STACK static int
fail(const struct start *s, const char *what)
{
	s->error->what = what;
	s->error->code = errno;
	return -1;
}

ON_OWN_STACK static int
reset_signals(const struct start *s)
{
	struct sigaction dfl;
	int sig;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	for (sig = 1; sig < SIGNALS_END; sig++)
		if (sig != SIGKILL && sig != SIGSTOP &&
		    sigaction(sig, &dfl, NULL) == -1)
			return fail(s, "sigaction");
	return 0;
}

/* Those that stand where another belongs go out of the way first. */
ON_OWN_STACK static int
arrange_fds(const struct start *s)
{
	int n = (int)s->spec->nfds, fds[PROCESS_FDS_MAX], i;

	for (i = 0; i < n; i++) {
		fds[i] = s->spec->fds[i];
		if (fds[i] != -1 && fds[i] < n &&
		    (fds[i] = fcntl(fds[i], F_DUPFD, n)) == -1)
			return fail(s, "dup");
	}
	for (i = 0; i < n; i++)
		if (fds[i] == -1)
			close(i);
		else if (dup2(fds[i], i) == -1)
			return fail(s, "dup2");
	closefrom(n);
	return 0;
}

ON_OWN_STACK static int
set_limits(const struct start *s)
{
	const struct process_spec *spec = s->spec;
	struct rlimit r;
	size_t i;

	if (spec->want_files)
		raise_files_limit();
	for (i = 0; i < spec->nlimits; i++) {
		if (getrlimit((unsigned)spec->limits[i].resource, &r) == -1)
			return fail(s, "getrlimit");
		/* Never above what we may have ourselves. */
		if (spec->limits[i].value < r.rlim_max)
			r.rlim_max = spec->limits[i].value;
		r.rlim_cur = r.rlim_max;
		if (setrlimit((unsigned)spec->limits[i].resource, &r) == -1)
			return fail(s, "setrlimit");
	}
	return 0;
}

ON_OWN_STACK static int
become(const struct start *s)
{
	const struct process_spec *spec = s->spec;

	if (spec->has_identity) {
		if (setgroups(spec->ngroups, spec->groups) == -1)
			return fail(s, "setgroups");
		if (setresgid(spec->gid, spec->gid, spec->gid) == -1)
			return fail(s, "setgid");
		if (setresuid(spec->uid, spec->uid, spec->uid) == -1)
			return fail(s, "setuid");
	}
	if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return fail(s, "no_new_privs");
	if (!spec->dies_with_us)
		return 0;
	/* After the change of user, which takes it back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		return fail(s, "parent-death signal");
	if (getppid() == s->parent)
		return 0;
	errno = ESRCH;
	return fail(s, "parent");
}

ON_OWN_STACK static void
run(const struct start *s)
{
	const struct process_spec *spec = s->spec;

	execve(spec->path, spec->argv, spec->env);
	fail(s, NULL);
}

/* As execvp(3): a folder that is not there, or not for us, is passed over. */
ON_OWN_STACK static void
search(const struct start *s)
{
	const struct process_spec *spec = s->spec;
	const char *at = spec->search;
	size_t name = strlen(spec->path), len;
	char path[PATH_MAX];
	int code = ENOENT;

	for (;; at += len + 1) {
		len = strcspn(at, ":");
		if (len > 0 && len + 1 + name < sizeof(path)) {
			memcpy(path, at, len);
			path[len] = '/';
			memcpy(path + len + 1, spec->path, name + 1);
			execve(path, spec->argv, spec->env);
			if (errno != ENOENT && errno != ENOTDIR &&
			    errno != EACCES) {
				fail(s, NULL);
				return;
			}
			/* A folder that is closed to us may have none. */
			if (errno == EACCES) {
				path[len] = '\0';
				if (access(path, X_OK) == 0)
					code = EACCES;
			}
		}
		if (at[len] == '\0')
			break;
	}
	errno = code;
	fail(s, NULL);
}

ON_OWN_STACK static int
child_main(void *arg)
{
	const struct start *s = arg;
	const struct process_spec *spec = s->spec;
	sigset_t none;

	if (spec->is_session ? setsid() == -1 : setpgid(0, 0) == -1)
		fail(s, "setsid");
	else if (reset_signals(s) == 0 && arrange_fds(s) == 0 &&
	    set_limits(s) == 0 && become(s) == 0) {
		if (spec->umask != -1)
			umask((mode_t)spec->umask);
		if (spec->directory != NULL && chdir(spec->directory) == -1)
			fail(s, "chdir");
		else {
			sigemptyset(&none);
			sigprocmask(SIG_SETMASK, &none, NULL);
			if (spec->search != NULL &&
			    strchr(spec->path, '/') == NULL)
				search(s);
			else
				run(s);
		}
	}
	_exit(127);
}

pid_t
process_spawn(const struct process_spec *spec, int *pidfd_r,
    struct process_error *error)
{
	struct start s = { spec, error, getpid() };
	int flags = CLONE_VM | CLONE_VFORK | SIGCHLD, pidfd = -1;
	sigset_t all, before;
	pid_t pid;

	*error = (struct process_error){ NULL, 0 };
	if (pidfd_r != NULL)
		flags |= CLONE_PIDFD;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(child_main, stack + sizeof(stack), flags, &s, &pidfd);
	if (pid == -1)
		*error = (struct process_error){ "clone", errno };
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid == -1)
		return -1;
	if (error->code == 0) {
		if (pidfd_r != NULL)
			*pidfd_r = pidfd;
		return pid;
	}
	if (pidfd != -1)
		close(pidfd);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	return -1;
}
