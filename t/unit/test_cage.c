/* The cage: what becomes of calls, files and signals; what it tells the log. */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cage_inner.h"
#include "base/log.h"
#include "test.h"

struct values {
	struct cage_conf conf;
};

static const char *read_this, *write_this;
static bool is_unprivileged;	/* even where we are root */

static void
name_files(struct cage *c, const void *values)
{
	(void)values;
	cage_read(c, read_this);
	cage_write(c, write_this);
	cage_read(c, NULL);
	cage_read(c, "");
	cage_read(c, "/nonexistent/file");
}

static const struct cage_policy policy = {
	.name = "test",
	.name_files = name_files,
};

static char said[4096];

static void
keep(enum log_level level, const char *text)
{
	(void)level;
	strlcat(said, text, sizeof(said));
	strlcat(said, "\n", sizeof(said));
}

/* In a process of its own; its wait status. */
static int
in_cage(int sandbox, unsigned more, int (*what)(struct cage *, struct loop *))
{
	struct values values = { { sandbox } };
	struct loop *loop;
	struct cage *c;
	char error[512];
	int status, bad;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		loop = loop_new();
		log_set_sink(keep, LOG_LEVEL_INFO);
		if (is_unprivileged && getuid() == 0 &&
		    setresuid(65534, 65534, 65534) == -1)
			_exit(98);
		c = cage_new(&policy, &values);
		cage_may(c, more);
		if (cage_enter(c, loop, false, error, sizeof(error)) ==
		    CAGE_FAILED)
			_exit(99);
		bad = what(c, loop);
		cage_free(c);
		loop_free(loop);
		_exit(bad);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* ---- calls ---- */

/* Each is told once, and only those that nobody expects to fail. */
static int
be_refused(struct cage *c, struct loop *loop)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	const char *first;

	(void)c;
	if (fd == -1)
		return 1;
	if (listen(fd, 1) != -1 || errno != ENOSYS)
		return 2;
	if (listen(fd, 1) != -1 || socket(AF_NETLINK, SOCK_RAW, 0) != -1 ||
	    errno != EAFNOSUPPORT)
		return 3;
	if (socket(AF_PACKET, SOCK_RAW, 0) != -1 || errno != EPERM)
		return 4;
	if (*said != '\0')
		return 5;
	loop_turn(loop, 0);
	first = strstr(said, "system call listen refused");
	if (first == NULL || strstr(said, "system call socket refused") == NULL)
		return 6;
	if (strstr(first + 1, "system call listen") != NULL)
		return 7;
	*said = '\0';
	listen(fd, 1);
	loop_turn(loop, 0);
	return *said == '\0' ? 0 : 8;
}

static int
do_forbidden(struct cage *c, struct loop *loop)
{
	(void)c;
	(void)loop;
	signal(SIGALRM, SIG_DFL);
	return chroot("/") == -1 ? 1 : 2;
}

static int
do_forbidden_softly(struct cage *c, struct loop *loop)
{
	(void)c;
	(void)loop;
	return chroot("/") == -1 && errno == EPERM ? 0 : 1;
}

static int
still_run(struct cage *c, struct loop *loop)
{
	int fd = open("/etc/passwd", O_RDONLY);

	(void)c;
	(void)loop;
	/* Not bound: refused by itself. */
	return fd != -1 && listen(socket(AF_UNIX, SOCK_STREAM, 0), 1) == -1 &&
	    errno == EINVAL ? 0 : 1;
}

#ifdef __x86_64__
/* getpid(2) of i386: a negative errno where the kernel has no such calls, which
 * may also be a signal. */
static int
call_as_i386(struct cage *c, struct loop *loop)
{
	long result = 20;

	(void)c;
	(void)loop;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	return result == getpid() ? 0 : 1;
}
#endif

/* What would be signals to others, and protocols that nobody needs. */
static int
be_narrow(struct cage *c, struct loop *loop)
{
	int fds[2], fd;

	(void)c;
	(void)loop;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1 ||
	    (fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 0)) == -1 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return 1;
	if (fcntl(fd, F_SETOWN, getppid()) != -1 || errno != EPERM)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) == -1 ||
	    socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) == -1)
		return 3;
	if (socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) != -1 ||
	    errno != EPERM || socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6) !=
	    -1 || errno != EPERM)
		return 4;
	return 0;
}

static int
map_code(struct cage *c, struct loop *loop)
{
	int fd = memfd_create("x", 0);

	(void)c;
	(void)loop;
	return ftruncate(fd, 4096) == -1 && write(fd, "x", 1) == 1 &&
	    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
	    MAP_FAILED && errno == EPERM && mmap(NULL, 4096, PROT_READ,
	    MAP_PRIVATE, fd, 0) != MAP_FAILED ? 0 : 1;
}

static int
fork_one(struct cage *c, struct loop *loop)
{
	pid_t pid = fork();

	(void)c;
	(void)loop;
	if (pid == 0)
		_exit(0);
	return pid > 0 ? 0 : 1;
}

static void
test_calls(void)
{
	int status;

	is_int(in_cage(SANDBOX_YES, 0, be_refused), 0, "a call that is not on "
	    "the list fails, the log names it once");
	status = in_cage(SANDBOX_YES, 0, do_forbidden);
	if (!CAGE_SANITIZED)
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		    "a forbidden one ends the process");
	is_int(in_cage(SANDBOX_YES, CAGE_NET, be_narrow), 0, "sockets are of "
	    "TCP and UDP, no descriptor has an owner");
	if (!CAGE_SANITIZED)
		is_int(in_cage(SANDBOX_YES, 0, map_code), 0, "without names "
		    "to find, a file is no code");
#ifdef __x86_64__
	if (in_cage(SANDBOX_NO, 0, call_as_i386) == 0) {
		status = in_cage(SANDBOX_YES, CAGE_PROGRAMS, call_as_i386);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		    "calls by other numbers end the process");
		is_int(in_cage(SANDBOX_LOG, CAGE_PROGRAMS, call_as_i386), 0,
		    "but for sandbox = log");
	}
#endif
	is_int(in_cage(SANDBOX_YES, CAGE_PROGRAMS, do_forbidden_softly), 0,
	    "and fails in a cage with programs");
	is_int(in_cage(SANDBOX_YES, CAGE_PROGRAMS, fork_one), 0,
	    "which may start them");
	is_int(in_cage(SANDBOX_NO, 0, still_run), 0, "sandbox = no: none");
	is_int(in_cage(SANDBOX_LOG, 0, still_run), 0,
	    "sandbox = log: nothing is refused");
}

/* ---- files ---- */

static char folder[] = "/tmp/nh-cage.XXXXXX";
static char broad[] = "/tmp/nh-cage-file.XXXXXX";

static int
can(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd != -1)
		close(fd);
	return fd != -1;
}

static const char *
at(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void
put(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	fputs(text, fp);
	fclose(fp);
}

/* Somebody outside replaces it while we are in the cage. */
static int
see_replaced(struct cage *c, struct loop *loop)
{
	(void)loop;
	if (!can(at("secret"), O_RDONLY) || cage_outdated(c) != NULL)
		return 1;
	return can("/etc/passwd", O_RDONLY) ? 2 :
	    can(at("other"), O_RDONLY) ? 0 : 3;
}

static pid_t
outside_replaces(const char *path, const char *by)
{
	pid_t pid = fork();

	if (pid == 0) {
		usleep(300000);
		_exit(rename(by, path) == 0 ? 0 : 1);
	}
	return pid;
}

static int
see_outdated(struct cage *c, struct loop *loop)
{
	int i;

	(void)loop;
	if (!can(broad, O_RDONLY) || cage_outdated(c) != NULL)
		return 1;
	for (i = 0; i < 500 && cage_outdated(c) == NULL; i++)
		usleep(20000);
	return cage_outdated(c) == NULL ? 2 :
	    strcmp(cage_outdated(c), broad) == 0 && !can(broad, O_RDONLY) ?
	    0 : 3;
}

/* A link in a folder that is open, which comes to lead out of it. */
static int
see_led_away(struct cage *c, struct loop *loop)
{
	int i;

	(void)loop;
	if (!can(at("link"), O_RDONLY) || cage_outdated(c) != NULL)
		return 1;
	for (i = 0; i < 500 && cage_outdated(c) == NULL; i++)
		usleep(20000);
	return cage_outdated(c) == NULL ? 2 : can(at("link"), O_RDONLY) ? 3 :
	    0;
}

/* As one of root's, which was read before. */
static int
see_roots(struct cage *c, struct loop *loop)
{
	int i;

	(void)loop;
	if (can(broad, O_RDONLY) || cage_outdated(c) != NULL)
		return 1;
	for (i = 0; i < 500 && cage_outdated(c) == NULL; i++)
		usleep(20000);
	return cage_outdated(c) == NULL ? 2 : 0;
}

static int
see_forbidden(struct cage *c, struct loop *loop)
{
	struct stat st;
	ino_t was = 0;
	int i;

	(void)loop;
	if (!can(broad, O_RDONLY) || stat(broad, &st) == -1)
		return 1;
	was = st.st_ino;
	for (i = 0; i < 500 && st.st_ino == was; i++) {
		usleep(20000);
		if (stat(broad, &st) == -1)
			return 2;
	}
	return st.st_ino == was ? 3 : cage_outdated(c) != NULL ? 4 : 0;
}

static void
test_links(void)
{
	char link[128], new[128];
	pid_t pid;

	strlcpy(link, at("link"), sizeof(link));
	strlcpy(new, at("link.new"), sizeof(new));
	ok(symlink(at("secret"), link) == 0 && symlink(broad, new) == 0,
	    "a link");
	read_this = link;
	pid = outside_replaces(link, new);
	is_int(in_cage(SANDBOX_YES, 0, see_led_away), 0, "a link that leads "
	    "elsewhere is outdated");
	waitpid(pid, NULL, 0);
	unlink(link);

	snprintf(new, sizeof(new), "%s.new", broad);
	put(new, "z");
	chmod(new, 0);
	chmod(broad, 0644);
	read_this = broad;
	is_unprivileged = true;
	pid = outside_replaces(broad, new);
	is_int(in_cage(SANDBOX_YES, 0, see_forbidden), 0, "what the user may "
	    "not read is not worth a new process");
	waitpid(pid, NULL, 0);
	put(new, "z");
	chmod(new, 0);
	pid = outside_replaces(broad, new);
	is_int(in_cage(SANDBOX_YES, 0, see_roots), 0, "unless he could not "
	    "read the one before either");
	waitpid(pid, NULL, 0);
	is_unprivileged = false;
}

static int
write_there(struct cage *c, struct loop *loop)
{
	char to[128];

	(void)c;
	(void)loop;
	strlcpy(to, at("to"), sizeof(to));
	if (!can(at("from"), O_WRONLY | O_CREAT) ||
	    rename(at("from"), to) == -1 || unlink(to) == -1)
		return 1;
	return can("/tmp/nh-cage-not-there", O_WRONLY | O_CREAT) ? 2 : 0;
}

static int
not_write_there(struct cage *c, struct loop *loop)
{
	(void)c;
	(void)loop;
	return can(at("from"), O_WRONLY | O_CREAT) ||
	    can(at("secret"), O_RDWR);
}

static void
test_files(void)
{
	char secret[128], link[128], new[128];
	pid_t pid;

	if (cage_landlock_abi() == 0) {
		printf("# this kernel has no Landlock\n");
		return;
	}
	strlcpy(secret, at("secret"), sizeof(secret));
	put(secret, "x");
	put(at("other"), "y");
	read_this = secret;
	is_int(in_cage(SANDBOX_YES, 0, see_replaced), 0, "a named file, and "
	    "what may take its place in its folder, and no other");
	is_int(in_cage(SANDBOX_YES, 0, not_write_there), 0, "to read");
	strlcpy(link, broad, sizeof(link));
	strlcat(link, ".link", sizeof(link));
	ok(symlink(secret, link) == 0, "a link to it in a broad folder");
	read_this = link;
	is_int(in_cage(SANDBOX_YES, 0, see_replaced), 0, "opens the folder it "
	    "points into");
	unlink(link);

	read_this = broad;
	strlcpy(new, broad, sizeof(new));
	strlcat(new, ".new", sizeof(new));
	put(new, "z");
	pid = outside_replaces(broad, new);
	is_int(in_cage(SANDBOX_YES, 0, see_outdated), 0, "a file of a broad "
	    "folder is one alone, and outdated once replaced");
	waitpid(pid, NULL, 0);

	test_links();
	read_this = NULL;
	write_this = folder;
	is_int(in_cage(SANDBOX_YES, 0, write_there), 0,
	    "files are made, renamed and removed where it may write");
	write_this = NULL;
	unlink(at("other"));
	unlink(secret);
}

int
main(void)
{
	int fd = mkstemp(broad);

	if (mkdtemp(folder) == NULL || fd == -1)
		return 1;
	close(fd);
	test_calls();
	test_files();
	unlink(broad);
	rmdir(folder);
	return done_testing();
}
