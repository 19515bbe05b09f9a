/*
 * cage_attempts.c - what is tried in a cage.
 *
 * All of it is harmless where it is allowed: what would change the system is
 * asked for with arguments that the kernel refuses after it has looked at the
 * rights.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cage_test.h"

/* Whether the kernel looked at the arguments, which made no sense. */
static int
reached(long result)
{
	return result != -1 || (errno != EPERM && errno != EACCES &&
	    errno != ENOSYS) ? 0 : -1;
}

/* ---- files ---- */

static int
can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

static int
read_shadow(const struct attempt_place *p)
{
	(void)p;
	return can_open("/etc/shadow", O_RDONLY);
}

static int
read_passwd(const struct attempt_place *p)
{
	(void)p;
	return can_open("/etc/passwd", O_RDONLY);
}

static int
read_memory(const struct attempt_place *p)
{
	(void)p;
	return can_open("/proc/self/mem", O_RDONLY);
}

static int
list_root(const struct attempt_place *p)
{
	(void)p;
	return can_open("/", O_RDONLY | O_DIRECTORY);
}

static int
make_file(const char *path)
{
	if (can_open(path, O_WRONLY | O_CREAT | O_EXCL) == -1)
		return -1;
	unlink(path);
	return 0;
}

static int
write_tmp(const struct attempt_place *p)
{
	char path[64];

	(void)p;
	snprintf(path, sizeof(path), "/tmp/nexthop-sandbox-test.%d",
	    (int)getpid());
	return make_file(path);
}

static int
write_here(const struct attempt_place *p)
{
	(void)p;
	return make_file("here");
}

static int
change_mode(const struct attempt_place *p)
{
	return chmod(p->folder, 0700);
}

static int
read_certificates(const struct attempt_place *p)
{
	(void)p;
	return can_open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY);
}

/* ---- programs and processes ---- */

static int
run_shell(const struct attempt_place *p)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
	    (char[]){ "exit 0" }, NULL };

	(void)p;
	return execve("/bin/sh", argv, argv + 3);
}

static int
run_memory(const struct attempt_place *p)
{
	static const char text[] = "#!/bin/sh\nexit 0\n";
	char *argv[] = { (char[]){ "x" }, NULL };
	int fd = memfd_create("x", 0);

	(void)p;
	if (fd == -1 || write(fd, text, sizeof(text) - 1) == -1)
		return -1;
	return execveat(fd, "", argv, argv + 1, AT_EMPTY_PATH);
}

static int
fork_one(const struct attempt_place *p)
{
	pid_t pid = fork();

	(void)p;
	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static int
run_written(const struct attempt_place *p)
{
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);

	(void)p;
	return m == MAP_FAILED ? -1 :
	    mprotect(m, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* Memory by another name. */
static int
run_mapped(const struct attempt_place *p)
{
	static const char text[] = "code";
	int fd = memfd_create("x", 0);
	void *m;

	(void)p;
	if (fd == -1 || write(fd, text, sizeof(text)) == -1)
		return -1;
	m = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	return m == MAP_FAILED ? -1 : 0;
}

static int
signal_other(const struct attempt_place *p)
{
	return kill(p->other, 0);
}

/* Input at it would be a signal to the other one. */
static int
signal_by_input(const struct attempt_place *p)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	return fcntl(fds[0], F_SETOWN, p->other);
}

/* The traced one goes on, and is let go when this process ends. */
static int
trace_other(const struct attempt_place *p)
{
	return ptrace(PTRACE_SEIZE, p->other, NULL, NULL) == -1 ? -1 : 0;
}

static int
gain_rights(const struct attempt_place *p)
{
	(void)p;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
		return 0;
	errno = EPERM;
	return -1;
}

static int
become_root(const struct attempt_place *p)
{
	(void)p;
	return setuid(0);
}

static int
change_personality(const struct attempt_place *p)
{
	(void)p;
	return personality(0xffffffff) == -1 ? -1 : 0;
}

/* ---- sockets ---- */

static int
connect_to(int fd, const void *to, socklen_t len)
{
	int result = fd == -1 ? -1 : connect(fd, to, len), saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
	return result;
}

static int
connect_tcp(const struct attempt_place *p)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(p->port),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };

	return connect_to(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), &sin,
	    sizeof(sin));
}

static int
find_host(const struct attempt_place *p)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;

	(void)p;
	if (getaddrinfo("localhost", NULL, &hints, &list) != 0) {
		errno = ENOENT;
		return -1;
	}
	freeaddrinfo(list);
	return 0;
}

static int
connect_unix(const struct attempt_place *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strlcpy(sun.sun_path, p->socket, sizeof(sun.sun_path));
	return connect_to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &sun,
	    sizeof(sun));
}

static int
connect_abstract(const struct attempt_place *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(p->abstract);

	memcpy(sun.sun_path + 1, p->abstract, n);
	return connect_to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static int
listen_at(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)(void *)&sin,
	    sizeof(sin)) == -1)
		return errno == EADDRINUSE ? 0 : -1;
	return listen(fd, 1);
}

static int
listen_any(const struct attempt_place *p)
{
	(void)p;
	return listen_at(0);
}

static int
listen_low(const struct attempt_place *p)
{
	(void)p;
	return listen_at(1001);
}

static int
open_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	return fd == -1 ? -1 : close(fd);
}

static int
open_netlink(const struct attempt_place *p)
{
	(void)p;
	return open_socket(AF_NETLINK, SOCK_RAW, 0);
}

static int
open_packet(const struct attempt_place *p)
{
	(void)p;
	return open_socket(AF_PACKET, SOCK_RAW, 0);
}

static int
open_raw(const struct attempt_place *p)
{
	(void)p;
	return open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

/* As any user may, where the system lets him. */
static int
open_ping(const struct attempt_place *p)
{
	(void)p;
	return reached(open_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static int
open_sctp(const struct attempt_place *p)
{
	(void)p;
	return reached(open_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
}

static int
open_log(const struct attempt_place *p)
{
	(void)p;
	return open_socket(AF_UNIX, SOCK_DGRAM, 0);
}

/* ---- the kernel ---- */

static int
mount_one(const struct attempt_place *p)
{
	(void)p;
	return reached(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}

static int
change_root(const struct attempt_place *p)
{
	return chroot(p->folder);
}

static int
new_namespace(const struct attempt_place *p)
{
	(void)p;
	return unshare(CLONE_NEWUSER);
}

static int
enter_namespace(const struct attempt_place *p)
{
	(void)p;
	return reached(setns(-1, 0));
}

#ifdef __x86_64__
/* By the numbers of another machine: getpid(2). */
static int
call_as_i386(const struct attempt_place *p)
{
	long result = 20;

	(void)p;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	return reached(result < 0 ? (errno = (int)-result, -1) : 0);
}

static int
call_as_x32(const struct attempt_place *p)
{
	(void)p;
	return reached(syscall(0x40000000 + SYS_getpid));
}
#endif

/* The arguments of one make no sense to any of the others either. */
#define CALL(function, number)						\
static int								\
function(const struct attempt_place *p)					\
{									\
	(void)p;							\
	return reached(syscall(number, -1, -1, -1, -1, -1));		\
}

CALL(load_module, SYS_init_module)
CALL(load_kernel, SYS_kexec_load)
CALL(load_bpf, SYS_bpf)
CALL(use_io_uring, SYS_io_uring_setup)
CALL(use_userfaultfd, SYS_userfaultfd)
CALL(use_perf, SYS_perf_event_open)
CALL(use_keyring, SYS_keyctl)
CALL(use_handle, SYS_open_by_handle_at)
CALL(read_other, SYS_process_vm_readv)
CALL(restart, SYS_reboot)
CALL(set_clock, SYS_settimeofday)

#define ANY	CAGE_PROGRAMS

const struct attempt cage_attempts[] = {
	{ "read /etc/shadow", ANY, false, read_shadow },
	{ "read /etc/passwd", ANY, false, read_passwd },
	{ "read /proc/self/mem", ANY, true, read_memory },
	{ "list /", ANY, false, list_root },
	{ "make a file in /tmp", ANY, true, write_tmp },
	{ "make a file in its folder", ANY, false, write_here },
	{ "change a file's mode", ANY, false, change_mode },
	{ "run /bin/sh", ANY, false, run_shell },
	{ "run a file in memory", ANY, false, run_memory },
	{ "fork", ANY, true, fork_one },
	{ "run memory it writes", ANY, true, run_written },
	{ "run a file it wrote", CAGE_NET | ANY, true, run_mapped },
	{ "signal a process", ANY, true, signal_other },
	{ "signal a process by input", ANY, false, signal_by_input },
	{ "become root", ANY, false, become_root },
	{ "change its personality", ANY, true, change_personality },
	{ "connect by TCP", CAGE_NET | ANY, false, connect_tcp },
	{ "listen on a TCP port", ANY, false, listen_any },
	{ "listen on TCP port 1001", ANY, false, listen_low },
	{ "connect to a UNIX socket", CAGE_UNIX | ANY, false, connect_unix },
	{ "connect to an abstract socket", ANY, false, connect_abstract },
	{ "netlink socket", ANY, false, open_netlink },
	{ "packet socket", ANY, false, open_packet },
	{ "raw IP socket", ANY, false, open_raw },
	{ "ping socket", ANY, false, open_ping },
	{ "SCTP socket", ANY, false, open_sctp },
	{ "gain rights by a program", 0, false, gain_rights },
	{ "trace a process", 0, true, trace_other },
	{ "read a process's memory", 0, true, read_other },
	{ "mount", 0, false, mount_one },
	{ "chroot", 0, false, change_root },
	{ "make a user namespace", 0, false, new_namespace },
	{ "enter a namespace", 0, false, enter_namespace },
	{ "load a kernel module", 0, false, load_module },
	{ "load a kernel", 0, false, load_kernel },
#ifdef __x86_64__
	{ "call the kernel as i386 does", 0, false, call_as_i386 },
	{ "call the kernel as x32 does", 0, false, call_as_x32 },
#endif
	{ "bpf", 0, false, load_bpf },
	{ "io_uring", 0, false, use_io_uring },
	{ "userfaultfd", 0, false, use_userfaultfd },
	{ "perf events", 0, false, use_perf },
	{ "keyring", 0, false, use_keyring },
	{ "open a file by its handle", 0, false, use_handle },
	{ "set the clock", 0, false, set_clock },
	{ "reboot", 0, false, restart },
	{ "write to a log socket", CAGE_ALL, false, open_log },
	{ "find the address of localhost", CAGE_NET | ANY, true, find_host },
	{ "list certificates", CAGE_NET | ANY, false, read_certificates },
	{ .try = NULL }
};
