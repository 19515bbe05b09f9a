/* cage_test.c - a cage tried out: --sandbox-test of every program. */
#include "agent/cage_test.h"

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"

#define LIMIT_S		10	/* for one attempt */
#define NO_CAGE		255	/* exit status: it could not be entered */

struct outcome {
	bool		 is_allowed;
	char		 how[64];
};

/* ---- the place ---- */

static int
listening(const void *to, socklen_t len, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, to, len) == -1 || listen(fd, 128) == -1)
		err(EX_OSERR, "a socket for the test");
	return fd;
}

static void
listen_unix(const char *name, bool is_abstract)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strlcpy(sun.sun_path + is_abstract, name,
	    sizeof(sun.sun_path) - is_abstract);
	listening(&sun, is_abstract ? (socklen_t)(offsetof(struct sockaddr_un,
	    sun_path) + 1 + strlen(name)) : sizeof(sun), AF_UNIX);
}

static void
listen_tcp(struct attempt_place *p)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int fd = listening(&sin, sizeof(sin), AF_INET);

	if (getsockname(fd, (struct sockaddr *)(void *)&sin, &len) == -1)
		err(EX_OSERR, "a socket for the test");
	p->port = ntohs(sin.sin_port);
}

static void
make_place(struct attempt_place *p)
{
	strlcpy(p->folder, "/tmp/nexthop-sandbox.XXXXXX", sizeof(p->folder));
	if (mkdtemp(p->folder) == NULL || chdir(p->folder) == -1)
		err(EX_CANTCREAT, "%s", p->folder);
	snprintf(p->socket, sizeof(p->socket), "%s/socket", p->folder);
	snprintf(p->abstract, sizeof(p->abstract), "%s", p->folder);
	listen_unix(p->socket, false);
	listen_unix(p->abstract, true);
	listen_tcp(p);
	if ((p->other = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (p->other == -1)
		err(EX_OSERR, "fork");
}

static void
clear_place(const struct attempt_place *p)
{
	kill(p->other, SIGKILL);
	waitpid(p->other, NULL, 0);
	unlink(p->socket);
	if (chdir("/") == -1 || rmdir(p->folder) == -1)
		warn("%s", p->folder);
}

/* ---- attempts ---- */

static void
say_nothing(enum log_level level, const char *text)
{
	(void)level;
	(void)text;
}

/* In the child: the errno of the attempt, 0 where it was allowed. */
static int
try(const struct attempt *a, const struct attempt_place *p, struct cage *c)
{
	const struct rlimit none = { 0, 0 };
	char error[512];

	alarm(LIMIT_S);
	setrlimit(RLIMIT_CORE, &none);
	log_set_sink(say_nothing, LOG_LEVEL_ERROR);
	if (c != NULL && cage_enter(c, NULL, true, error, sizeof(error)) ==
	    CAGE_FAILED) {
		warnx("%s", error);
		return NO_CAGE;
	}
	errno = 0;
	return a->try(p) == 0 ? 0 : errno > 0 && errno < NO_CAGE ? errno :
	    EPERM;
}

static struct outcome
outcome_of(const struct attempt *a, const struct attempt_place *p,
    struct cage *c)
{
	struct outcome o = { .how = "-" };
	int status = 0;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0)
		_exit(try(a, p, c));
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		err(EX_OSERR, "fork");
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_CAGE)
		errx(EX_OSERR, "there is no cage to be tested");
	if (WIFSIGNALED(status))
		snprintf(o.how, sizeof(o.how), "ended by signal %d",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(o.how, sizeof(o.how), "%s",
		    strerrorname_np(WEXITSTATUS(status)));
	else
		o.is_allowed = true;
	return o;
}

static const char *
word(bool is_allowed)
{
	return is_allowed ? "allowed" : "denied";
}

static void
test_one(const struct attempt *a, const struct attempt_place *p,
    struct cage *c)
{
	bool is_due = a->with == CAGE_ALL || (a->with & cage_may_what(c)) != 0;
	struct outcome in = outcome_of(a, p, c), out = outcome_of(a, p, NULL);

	printf("%s\t%s\t%s\t%s\t%s\n", a->name, word(is_due),
	    word(in.is_allowed), in.how, word(out.is_allowed));}

int
cage_test(const struct cage_policy *policy, const void *values)
{
	struct cage *c = cage_new(policy, values);
	const struct attempt *a;
	struct attempt_place p;

	ignore_write_signals();
	make_place(&p);
	for (a = cage_attempts; a->try != NULL; a++)
		if (!CAGE_SANITIZED || !a->is_sanitizers)
			test_one(a, &p, c);
	clear_place(&p);
	cage_free(c);
	return EX_OK;
}
