/* service.c - life under Postfix's master(8). */
#include "postfix/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define GENERATION_ENV	"GENERATION"
#define LEAVE		'L'

struct status {			/* master_proto.h's, in native form */
	int		 pid;
	unsigned	 generation;
	int		 avail;
};

static pid_t	 front_pid;	/* the master's child */
static pid_t	 worker_pid;

/* ---- who started us ---- */

static bool
is_unix_socket(int fd, bool is_listening)
{
	int domain, accepting;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    domain == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN,
	    &accepting, &len) == 0 && (accepting != 0) == is_listening;
}

bool
pf_is_service(void)
{
	return getenv(GENERATION_ENV) != NULL &&
	    is_unix_socket(PF_STATUS_FD, false) &&
	    is_unix_socket(PF_LISTEN_FD, true);
}

/* ---- arguments ---- */

/* "name = value" and "{ name = value }" as "name=value". */
static char *
trim_option(const char *s)
{
	size_t n = strlen(s), name_len;
	const char *eq;

	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	if (n > 1 && s[0] == '{' && s[n - 1] == '}') {
		s++;
		n -= 2;
	}
	while (n > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	if ((eq = memchr(s, '=', n)) == NULL)
		return NULL;
	for (name_len = (size_t)(eq - s); name_len > 0 &&
	    (s[name_len - 1] == ' ' || s[name_len - 1] == '\t'); name_len--)
		;
	n -= (size_t)(eq - s) + 1;
	for (eq++; n > 0 && (*eq == ' ' || *eq == '\t'); eq++)
		n--;
	return name_len == 0 ? NULL :
	    xasprintf("%.*s=%.*s", (int)name_len, s, (int)n, eq);
}

static int
add_option(struct pf_args *a, const char *text, char *error, size_t size)
{
	if (a->noptions == PF_OPTIONS_MAX) {
		snprintf(error, size, "more than %d options", PF_OPTIONS_MAX);
		return -1;
	}
	if ((a->options[a->noptions] = trim_option(text)) == NULL) {
		snprintf(error, size, "\"%.100s\": name=value expected", text);
		return -1;
	}
	a->noptions++;
	return 0;
}

static int
take_letter(struct pf_args *a, int c, const char *value, char *error,
    size_t size)
{
	int64_t n;

	switch (c) {
	case 'l':
		a->is_single = true;
		return 0;
	case 'n':
		a->name = value;
		return 0;
	case 'u':
		a->want_unpriv = true;
		return 0;
	case 'c':
		a->want_chroot = true;
		return 0;
	case 'v':
		a->verbose++;
		return 0;
	case 'i':
		a->max_idle = value;
		return 0;
	case 'o':
		return add_option(a, value, error, size);
	case 's':
		if (str_to_int64(value, 1, 100, &n) == -1) {
			snprintf(error, size, "-s %.20s: no number of sockets",
			    value);
			return -1;
		}
		a->nlisten = (int)n;
		return 0;
	case 't':
		if (strcmp(value, "unix") == 0)
			return 0;
		snprintf(error, size, "a service of type %.20s; only unix can "
		    "be served", value);
		return -1;
	case '?':
	case ':':
		snprintf(error, size, "an option of Postfix's daemons that is "
		    "not known, or without its value: -%c", optopt);
		return -1;
	default:		/* -d -D -m -r -S -V -z: nothing to do here */
		return 0;
	}
}

int
pf_args_parse(struct pf_args *a, int argc, char **argv, char *error,
    size_t size)
{
	const char *slash = strrchr(argv[0], '/');
	int c;

	*a = (struct pf_args){ .nlisten = 1 };
	a->name = slash == NULL ? argv[0] : slash + 1;
	opterr = 0;
	optind = 1;
	while (optind < argc && strncmp(argv[optind], "--", 2) != 0 &&
	    (c = getopt(argc, argv, "+:cdDi:lm:n:o:r:s:St:uvVz")) != -1)
		if (take_letter(a, c, optarg, error, size) == -1)
			return -1;
	for (; optind < argc; optind++) {
		if (strcmp(argv[optind], "--") == 0)
			continue;
		if (strcmp(argv[optind], "-o") == 0 && optind + 1 < argc)
			optind++;
		if (add_option(a, argv[optind] +
		    (strncmp(argv[optind], "--", 2) == 0 ? 2 : 0), error,
		    size) == -1)
			return -1;
	}
	return 0;
}

void
pf_args_clear(struct pf_args *a)
{
	while (a->noptions > 0)
		free(a->options[--a->noptions]);
}

/* ---- two processes ---- */

static void
on_term(int sig)
{
	kill(worker_pid, sig);
	_exit(0);
}

/* The worker ended: this process ends alike, for the master's log. */
static void
end_alike(void)
{
	struct rlimit no_core = { 0, 0 };
	int status, sig;

	while (waitpid(worker_pid, &status, 0) == -1)
		if (errno != EINTR)
			_exit(1);
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	raise(sig);
	_exit(1);
}

/* The master's child: it ends when the master closes the status channel, when
 * the worker asks for it, when the worker ends, and at SIGTERM. */
static void __attribute__((noreturn))
wait_for_end(int to_worker)
{
	struct pollfd fds[2] = {
		{ .fd = PF_STATUS_FD, .events = POLLIN },
		{ .fd = to_worker, .events = POLLIN },
	};
	char c;

	for (;;) {
		if (poll(fds, 2, -1) == -1)
			continue;
		if (fds[1].revents != 0) {
			if (read(to_worker, &c, 1) == 1)
				_exit(0);
			end_alike();
		}
		if (fds[0].revents != 0)
			_exit(0);
	}
}

/* Nothing of the worker's, nor of the master's, stays open here. */
static void
keep_only(int fd)
{
	int i;

	if (fd != PF_LISTEN_FD)
		dup2(fd, PF_LISTEN_FD);
	closefrom(PF_LISTEN_FD + 1);
	for (i = 3; i < PF_STATUS_FD; i++)
		close(i);
}

int
pf_service_split(int *watch_r)
{
	struct sigaction act = { .sa_handler = on_term };
	sigset_t term, before;
	int sv[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		return -1;
	for (fd = 3; fd <= PF_LISTEN_FD; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	front_pid = getpid();
	worker_pid = fork();
	if (worker_pid == -1)
		return -1;
	if (worker_pid > 0) {
		close(sv[1]);
		keep_only(sv[0]);
		sigaction(SIGTERM, &act, NULL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		wait_for_end(PF_LISTEN_FD);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(sv[0]);
	*watch_r = sv[1];
	return 0;
}

void
pf_service_leave(int watch)
{
	char c = LEAVE;
	ssize_t n = send(watch, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)n;		/* it is gone: that is what was wanted */
}

void
pf_service_status(bool is_idle)
{
	const char *text = getenv(GENERATION_ENV);
	struct status s;
	ssize_t n;

	memset(&s, 0, sizeof(s));
	s.pid = front_pid;
	s.generation = text == NULL ? 0 : (unsigned)strtoul(text, NULL, 8);
	s.avail = is_idle;
	do
		n = write(PF_STATUS_FD, &s, sizeof(s));
	while (n == -1 && errno == EINTR);
}

/* ---- rights ---- */

int
pf_service_drop(const struct pf_args *a, const char *queue_directory,
    const char *owner, char *error, size_t size)
{
	struct passwd *pw = a->want_unpriv ? getpwnam(owner) : NULL;

	if (a->want_unpriv && pw == NULL) {
		snprintf(error, size, "mail_owner %s: no such user", owner);
		return -1;
	}
	if (chdir(queue_directory) == -1) {
		snprintf(error, size, "%s: %s", queue_directory,
		    strerror(errno));
		return -1;
	}
	if (pw != NULL && (setgid(pw->pw_gid) == -1 ||
	    initgroups(owner, pw->pw_gid) == -1)) {
		snprintf(error, size, "groups of %s: %s", owner,
		    strerror(errno));
		return -1;
	}
	if (a->want_chroot && (chroot(queue_directory) == -1 ||
	    chdir("/") == -1)) {
		snprintf(error, size, "chroot to %s: %s", queue_directory,
		    strerror(errno));
		return -1;
	}
	if (pw != NULL && setuid(pw->pw_uid) == -1) {
		snprintf(error, size, "user %s: %s", owner, strerror(errno));
		return -1;
	}
	return 0;
}
