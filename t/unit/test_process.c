/* Starting programs: descriptors, signals, limits, what went wrong. */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "test.h"

static char *const env[] = { (char *)(uintptr_t)"A=b", NULL };
static char output[4096];

/* What a shell says; its wait status. */
static int
run(const struct process_spec *base, const char *script)
{
	struct process_spec spec = *base;
	char *argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
	    (char *)(uintptr_t)script, NULL };
	struct process_error error;
	int ends[2], status = -1, pidfd = -1;
	ssize_t n, at = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	spec.path = "/bin/sh";
	spec.argv = argv;
	spec.env = env;
	spec.fds[0] = -1;
	spec.fds[1] = spec.fds[2] = ends[1];
	spec.nfds = 3;
	pid = process_spawn(&spec, &pidfd, &error);
	close(ends[1]);
	if (pid == -1) {
		snprintf(output, sizeof(output), "%s: %s", error.what == NULL ?
		    "-" : error.what, strerror(error.code));
		close(ends[0]);
		return -1;
	}
	while ((n = read(ends[0], output + at, sizeof(output) - 1 -
	    (size_t)at)) > 0)
		at += n;
	output[at] = '\0';
	close(ends[0]);
	ok(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 5000) ==
	    1, "its descriptor tells its end");
	ok((fcntl(pidfd, F_GETFD) & FD_CLOEXEC) != 0, "close-on-exec");
	close(pidfd);
	waitpid(pid, &status, 0);
	return status;
}

static struct process_spec
plain(void)
{
	return (struct process_spec){ .umask = -1 };
}

static void
test_surroundings(void)
{
	struct process_limit limits[] = { { RLIMIT_NOFILE, 33 },
	    { RLIMIT_CORE, 0 } };
	struct process_spec spec = plain();
	int stray = open("/dev/null", O_RDONLY);	/* not close-on-exec */

	is_int(run(&spec, "echo $A$HOME; exit 3"), W_EXITCODE(3, 0), "status");
	is_str(output, "b\n", "environment");
	run(&spec, "ls /proc/$$/fd");
	is_str(strstr(output, "3"), NULL, "no descriptor %d", stray);
	ok(strstr(output, "0") == NULL || strstr(output, "1\n2\n") != NULL,
	    "1 and 2");
	spec.directory = "/usr";
	spec.umask = 027;
	spec.limits = limits;
	spec.nlimits = 2;
	run(&spec, "pwd; umask; ulimit -n; ulimit -c");
	is_str(output, "/usr\n0027\n33\n0\n", "folder, umask, limits");
	spec = plain();
	spec.no_new_privs = spec.dies_with_us = true;
	run(&spec, "grep NoNewPrivs /proc/$$/status");
	is_str(output, "NoNewPrivs:\t1\n", "no new privileges");
	close(stray);
}

static void
test_groups(void)
{
	struct process_spec spec = plain();
	long pid, group, session;

	run(&spec, "cut -d' ' -f 1,5,6 /proc/$$/stat");
	sscanf(output, "%ld %ld %ld", &pid, &group, &session);
	ok(pid == group && session == getsid(0), "a group of its own");
	spec.is_session = true;
	run(&spec, "cut -d' ' -f 1,5,6 /proc/$$/stat");
	sscanf(output, "%ld %ld %ld", &pid, &group, &session);
	ok(pid == group && pid == session, "a session of its own");
}

static void
on_signal(int sig)
{
	(void)sig;
}

/* The set in that line of the output; all where it is not there. */
static unsigned long long
signals(const char *name)
{
	const char *line = strstr(output, name);

	return line == NULL ? ~0ULL : strtoull(line + strlen(name), NULL, 16);
}

static void
test_signals(void)
{
	struct process_spec spec = plain();
	sigset_t set, now;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run(&spec, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
	ok(signals("SigBlk:") == 0, "none blocked");
	/* 32 and 33 are the C library's: nobody else can set them. */
	ok((signals("SigIgn:") & ~0x180000000ULL) == 0, "none ignored");
	sigprocmask(SIG_SETMASK, NULL, &now);
	ok(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGTERM) == 0,
	    "ours are as they were");
	is_int(run(&spec, "kill -USR1 $$"), W_EXITCODE(0, SIGUSR1),
	    "no handler of ours");
}

static void
test_failures(void)
{
	char *argv[] = { (char *)(uintptr_t)"x", NULL };
	struct process_spec spec = plain();
	struct process_error error;

	spec.directory = "/nonexistent";
	is_int(run(&spec, "true"), -1, "no such folder");
	is_str(output, "chdir: No such file or directory", "why");
	spec = plain();
	spec.path = "/nonexistent";
	spec.argv = argv;
	spec.env = env;
	is_int(process_spawn(&spec, NULL, &error), -1, "no such program");
	ok(error.what == NULL && error.code == ENOENT, "why");
	spec.path = "true";
	spec.search = "/nonexistent::/usr/bin:/bin";
	ok(process_spawn(&spec, NULL, &error) > 0, "searched");
	wait(NULL);
	spec.path = "no-such-program";
	is_int(process_spawn(&spec, NULL, &error), -1, "searched in vain");
	ok(error.what == NULL && error.code == ENOENT, "why");
	spec.path = "/etc/passwd";
	is_int(process_spawn(&spec, NULL, &error), -1, "not executable");
	ok(error.code == EACCES, "why");
	is_int(waitpid(-1, NULL, WNOHANG), -1, "no process is left");
	ok(errno == ECHILD, "none at all");
}

static void
test_fds(void)
{
	struct process_spec spec = plain();
	char *argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
	    (char *)(uintptr_t)"read a <&0; read b <&3; read c <&4; "
	    "[ $a$b$c = 102 ]", NULL };
	struct process_error error;
	int ends[3][2], i, status, moved[3];

	for (i = 0; i < 3; i++) {
		if (pipe2(ends[i], O_CLOEXEC) == -1)
			return;
		dprintf(ends[i][1], "%d\n", i);
		close(ends[i][1]);
	}
	/* They stand on each other's places: 3 and 4 are to be crossed. */
	for (i = 0; i < 3; i++)
		moved[i] = fcntl(ends[i][0], F_DUPFD_CLOEXEC, 20);
	for (i = 0; i < 2; i++)
		dup2(moved[i], 3 + i);
	spec.path = "/bin/sh";
	spec.argv = argv;
	spec.env = env;
	spec.nfds = 5;
	spec.fds[0] = 4;
	spec.fds[1] = -1;
	spec.fds[2] = STDERR_FILENO;
	spec.fds[3] = 3;
	spec.fds[4] = moved[2];
	ok(process_spawn(&spec, NULL, &error) > 0, "crossed descriptors");
	wait(&status);
	is_int(status, 0, "each in its place");
}

int
main(void)
{
	test_surroundings();
	test_groups();
	test_signals();
	test_failures();
	test_fds();
	return done_testing();
}
