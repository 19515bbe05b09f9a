/*
 * cage_calls.c - the system calls of a cage (seccomp(2)).
 *
 * Most rules look at the number of a call alone: the kernel then remembers the
 * verdict and does not run the filter, so a call that is allowed costs nothing
 * worth measuring.  Where arguments decide, none is a pointer to memory, which
 * a filter cannot look at.
 *
 * The lists are for glibc, libevent, OpenSSL and libcurl as they are in Debian
 * 12 and after; calls that newer ones try first and do without (clone3,
 * faccessat2, openat2) fail with ENOSYS, which is what they take for "not in
 * this kernel".  Names that this library or machine does not know are passed
 * over.
 */
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent/cage_inner.h"
#include "base/log.h"

#define CALLS_MAX	1024	/* numbers that are told apart in the log */
#define PR_SET_VMA_	0x53564d41	/* names of memory, by newer glibc */

/* What a call that is refused becomes is up to the handler, where it can
 * answer in the call's place. */
#if defined(__x86_64__)
#define SET_RESULT(uc, value)	((uc)->uc_mcontext.gregs[REG_RAX] = (value))
#elif defined(__aarch64__)
#define SET_RESULT(uc, value)	\
	((uc)->uc_mcontext.regs[0] = (unsigned long long)(value))
#endif

/* ---- the lists ---- */

static const char *const basic[] = {
	/* descriptors */
	"read", "readv", "pread64", "preadv", "preadv2", "write", "writev",
	"pwrite64", "pwritev", "pwritev2", "close", "lseek", "_llseek", "dup",
	"dup2", "dup3", "pipe", "pipe2", "eventfd2", "sendfile", "sendfile64",
	"splice", "fadvise64", "fadvise64_64", "poll", "ppoll", "select",
	"pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"epoll_pwait2",
	/* files: which ones is landlock's; how they are opened see below */
	"fstat", "fstat64", "newfstatat", "fstatat64", "stat", "stat64",
	"lstat", "lstat64", "statx", "fstatfs", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "getcwd", "getdents",
	"getdents64",
	/* sockets that it has, and the log's */
	"connect", "send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom",
	"recvmsg", "recvmmsg", "getsockopt", "setsockopt", "getsockname",
	"getpeername", "shutdown", "socketpair",
	"memfd_create",		/* an entry of journald's that is long */
	/* memory and threads */
	"munmap", "mremap", "madvise", "brk", "mincore", "futex",
	"futex_waitv", "membarrier", "rseq", "set_robust_list",
	"set_tid_address", "sched_yield", "sched_getaffinity", "getcpu",
	"exit", "exit_group",
	/* signals and time */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
	"sigaltstack", "restart_syscall", "alarm", "setitimer", "getitimer",
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
	"gettimeofday", "time",
	/* facts */
	"getrandom", "getpid", "gettid", "getppid", "getuid", "geteuid",
	"getgid", "getegid", "getresuid", "getresgid", "getgroups", "uname",
	"sysinfo", "getrusage", "times", "getrlimit", "ugetrlimit", NULL
};

static const char *const writing[] = {
	"open", "openat", "unlink", "unlinkat", "rename", "renameat",
	"renameat2", "mkdir", "mkdirat", "ftruncate", "ftruncate64",
	"fallocate", "fsync", "fdatasync", "fchmod", "utimensat", "flock", NULL
};

static const char *const accepting[] = { "accept", "accept4", NULL };

/* For which no agent, and no program that delivers mail, has a use. */
static const char *const forbidden[] = {
	"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime",
	"clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount",
	"fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register",
	"io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
	"kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr",
	"move_mount", "nfsservctl", "open_by_handle_at", "open_tree",
	"perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise",
	"process_vm_readv", "process_vm_writev", "ptrace", "quotactl",
	"quotactl_fd", "reboot", "request_key", "setdomainname", "sethostname",
	"setns", "settimeofday", "stime", "swapoff", "swapon", "syslog",
	"umount", "umount2", "unshare", "uselib", "userfaultfd", "vhangup",
	"vm86", "vm86old", NULL
};

/* Nor an agent, without programs. */
static const char *const forbidden_alone[] = {
	"capset", "execve", "execveat", "fork", "vfork", "modify_ldt",
	"personality", "setfsgid", "setfsuid", "setgid", "setgroups",
	"setregid", "setresgid", "setresuid", "setreuid", "setuid", NULL
};

/* What the sanitizers do at the end and for their reports. */
static const char *const sanitizing[] = {
	"clone", "prctl", "ptrace", "wait4", "open", "openat", "prlimit64",
	"kill", "tgkill", "process_vm_readv", "mkdir", "mmap", "mprotect",
	"set_thread_area", "personality", "ioctl", NULL
};

struct rule {
	const char	*name;
	unsigned	 n;
	struct scmp_arg_cmp cmp[3];
};

/* An int argument: what lies above its 32 bits is not the kernel's business. */
#define IS(arg, value)	{ arg, SCMP_CMP_MASKED_EQ, 0xffffffff, value }
#define HAS(arg, mask, value) { arg, SCMP_CMP_MASKED_EQ, mask, value }
#define READS		(O_ACCMODE | O_CREAT | O_TRUNC)
#define CMD(name, cmd)	{ name, 1, { IS(1, cmd) } }
#define FCNTL(name)							\
	CMD(name, F_DUPFD), CMD(name, F_DUPFD_CLOEXEC),			\
	CMD(name, F_GETFD), CMD(name, F_SETFD), CMD(name, F_GETFL),	\
	CMD(name, F_SETFL), CMD(name, F_ADD_SEALS), CMD(name, F_GET_SEALS)

static const struct rule by_argument[] = {
	{ "open", 1, { HAS(1, READS, O_RDONLY) } },
	{ "openat", 1, { HAS(2, READS, O_RDONLY) } },
	{ "socket", 2, { IS(0, AF_UNIX), HAS(1, 0xf, SOCK_DGRAM) } },
	/* Memory that can be written does not become code. */
	{ "mmap", 1, { HAS(2, PROT_EXEC, 0) } },
	{ "mmap2", 1, { HAS(2, PROT_EXEC, 0) } },
	{ "mprotect", 1, { HAS(2, PROT_EXEC, 0) } },
	/* Not those that send signals to an owner. */
	FCNTL("fcntl"),
	FCNTL("fcntl64"),
	{ "prctl", 1, { IS(0, PR_SET_NAME) } },
	{ "prctl", 1, { IS(0, PR_GET_NAME) } },
	{ "prctl", 1, { IS(0, PR_GET_NO_NEW_PRIVS) } },
	{ "prctl", 1, { IS(0, PR_SET_VMA_) } },
	{ "prlimit64", 1, { { 2, SCMP_CMP_EQ, 0, 0 } } },	/* asks */
	{ "ioctl", 1, { IS(1, 0x541b) } },	/* FIONREAD */
	{ "ioctl", 1, { IS(1, 0x5421) } },	/* FIONBIO */
	{ "ioctl", 1, { IS(1, 0x5401) } },	/* TCGETS: isatty(3) */
	{ .name = NULL }
};

/* TCP and UDP, and no other protocol of IP. */
#define SOCKETS(family)							\
	{ "socket", 3, { IS(0, family), HAS(1, 0xf, SOCK_STREAM),	\
	    IS(2, IPPROTO_IP) } },					\
	{ "socket", 3, { IS(0, family), HAS(1, 0xf, SOCK_STREAM),	\
	    IS(2, IPPROTO_TCP) } },					\
	{ "socket", 3, { IS(0, family), HAS(1, 0xf, SOCK_DGRAM),	\
	    IS(2, IPPROTO_IP) } },					\
	{ "socket", 3, { IS(0, family), HAS(1, 0xf, SOCK_DGRAM),	\
	    IS(2, IPPROTO_UDP) } }

static const struct rule networking[] = {
	SOCKETS(AF_INET),
	SOCKETS(AF_INET6),
	{ "bind", 0, { { 0 } } },	/* source addresses */
	/* For names: threads, and modules, which are not written to. */
	{ "clone", 1, { HAS(0, CLONE_THREAD, CLONE_THREAD) } },
	{ "mmap", 1, { HAS(2, PROT_WRITE | PROT_EXEC, PROT_EXEC) } },
	{ "mmap2", 1, { HAS(2, PROT_WRITE | PROT_EXEC, PROT_EXEC) } },
	{ .name = NULL }
};

static const struct rule unix_stream = { "socket", 2,
    { IS(0, AF_UNIX), HAS(1, 0xf, SOCK_STREAM) } };

/* ---- what was refused ---- */

static struct {
	volatile sig_atomic_t refused[CALLS_MAX];
	bool		 is_told[CALLS_MAX];
	bool		 is_deadly[CALLS_MAX];
	bool		 has_rule[CALLS_MAX];
	int		 fd;		/* an eventfd; -1: nobody listens */
	struct event	 ev;
	bool		 is_on;
} watch = { .fd = -1 };

static const char *
call_name(int nr)
{
	static char number[32];
	static char *name;

	free(name);
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
	if (name != NULL)
		return name;
	snprintf(number, sizeof(number), "number %d", nr);
	return number;
}

static void
on_refused(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;
	int nr;

	(void)what;
	(void)arg;
	if (read(fd, &n, sizeof(n)) == -1)
		return;
	for (nr = 0; nr < CALLS_MAX; nr++)
		if (watch.refused[nr] && !watch.is_told[nr]) {
			watch.is_told[nr] = true;
			log_warning("sandbox: system call %s refused; if this "
			    "agent needs it, report it, and set sandbox = no "
			    "meanwhile", call_name(nr));
		}
}

#ifdef SET_RESULT
/*
 * In the thread that made the call, instead of the call.  What is deadly is
 * never made inside malloc(3) or stdio, hence the log may be used.
 */
static void
on_sigsys(int sig, siginfo_t *info, void *context)
{
	const uint64_t one = 1;
	int nr = info->si_syscall, at, saved = errno;
	bool has_rule;

	at = nr >= 0 && nr < CALLS_MAX ? nr : CALLS_MAX - 1;
	if (watch.is_deadly[at]) {
		log_error("sandbox: forbidden system call %s; the process "
		    "ends", call_name(nr));
		log_flush();
		signal(sig, SIG_DFL);
		raise(sig);
		_exit(EX_SOFTWARE);
	}
	has_rule = watch.has_rule[at];
	if (!watch.refused[at] && watch.fd != -1) {
		watch.refused[at] = 1;
		if (write(watch.fd, &one, sizeof(one)) == -1)
			watch.refused[at] = 0;
	}
	SET_RESULT((ucontext_t *)context, has_rule ? -EPERM : -ENOSYS);
	errno = saved;
}

#define REFUSE		SCMP_ACT_TRAP
#define END		SCMP_ACT_TRAP

static int
take_sigsys(void)
{
	struct sigaction act = { .sa_sigaction = on_sigsys,
	    .sa_flags = SA_SIGINFO | SA_NODEFER };

	return sigaction(SIGSYS, &act, NULL);
}
#else
#define REFUSE		SCMP_ACT_ERRNO(ENOSYS)
#define END		SCMP_ACT_KILL_PROCESS

static int
take_sigsys(void)
{
	return 0;
}
#endif

static void
listen_to(struct loop *loop)
{
	if (loop == NULL || watch.is_on ||
	    (watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1)
		return;
	event_assign(&watch.ev, loop_base(loop), watch.fd, EV_READ |
	    EV_PERSIST, on_refused, NULL);
	event_add(&watch.ev, NULL);
	watch.is_on = true;
}

void
cage_calls_leave(void)
{
	if (!watch.is_on)
		return;
	event_del(&watch.ev);
	close(watch.fd);
	watch.fd = -1;
	watch.is_on = false;
}

/* ---- the filter ---- */

/* The first error of a filter in the making; 0: none yet. */
struct making {
	scmp_filter_ctx	 ctx;
	int		 error;
};

static int
number_of(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr < 0 ? -1 : nr;
}

static void
add_rule(struct making *m, uint32_t action, const struct rule *r)
{
	int nr = number_of(r->name), error;

	if (nr == -1 || m->error != 0)
		return;
	error = seccomp_rule_add_array(m->ctx, action, nr, r->n, r->cmp);
	if (error != 0 && error != -EEXIST)
		m->error = -error;
}

static void
add_rules(struct making *m, const struct rule *r)
{
	int nr;

	for (; r->name != NULL; r++) {
		add_rule(m, SCMP_ACT_ALLOW, r);
		if ((nr = number_of(r->name)) != -1 && nr < CALLS_MAX)
			watch.has_rule[nr] = true;
	}
}

static void
add_names(struct making *m, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++)
		add_rule(m, action, &(struct rule){ .name = *names });
}

static bool
is_among(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static void
mark_deadly(const char *const *names, bool is_deadly)
{
	int nr;

	for (; *names != NULL; names++)
		if ((nr = number_of(*names)) != -1 && nr < CALLS_MAX)
			watch.is_deadly[nr] = is_deadly;
}

/* Some calls that are tried and done without: the log need not tell. */
static void
add_silent(struct making *m, unsigned may)
{
	const struct rule netlink = { "socket", 1, { IS(0, AF_NETLINK) } };

	if ((may & CAGE_UNIX) == 0)
		add_rule(m, SCMP_ACT_ERRNO(EACCES), &unix_stream);
	add_rule(m, SCMP_ACT_ERRNO(EAFNOSUPPORT), &netlink);
	add_names(m, SCMP_ACT_ERRNO(ENOSYS),
	    (const char *const[]){ "clone3", "openat2", NULL });
}

static void
allow_signals_to_self(struct making *m)
{
	static const char *const names[] = { "kill", "tgkill" };
	struct rule r = { NULL, 1, { IS(0, (scmp_datum_t)getpid()) } };
	size_t i;

	for (i = 0; i < 2; i++) {
		r.name = names[i];
		add_rules(m, (const struct rule[]){ r, { .name = NULL } });
	}
}

static void
add_allowed(struct making *m, unsigned may)
{
	/* Before the others: a rule without arguments makes any further one
	 * of the same call superfluous. */
	if (CAGE_SANITIZED)
		add_names(m, SCMP_ACT_ALLOW, sanitizing);
	if ((may & CAGE_WRITE) != 0)
		add_names(m, SCMP_ACT_ALLOW, writing);
	if ((may & CAGE_ACCEPT) != 0)
		add_names(m, SCMP_ACT_ALLOW, accepting);
	if ((may & CAGE_NET) != 0)
		add_rules(m, networking);
	if ((may & CAGE_UNIX) != 0)
		add_rule(m, SCMP_ACT_ALLOW, &unix_stream);
	add_names(m, SCMP_ACT_ALLOW, basic);
	add_rules(m, by_argument);
	allow_signals_to_self(m);
}

/* Programs know what to do with EPERM, and have handlers of their own. */
static void
add_refused(struct making *m)
{
	const struct rule user = { "clone", 1,
	    { HAS(0, CLONE_NEWUSER, CLONE_NEWUSER) } };
	const struct rule tiocsti = { "ioctl", 1, { IS(1, 0x5412) } };
	const char *const *name;

	for (name = forbidden; *name != NULL; name++)
		if (!CAGE_SANITIZED || !is_among(*name, sanitizing))
			add_rule(m, SCMP_ACT_ERRNO(EPERM),
			    &(struct rule){ .name = *name });
	add_rule(m, SCMP_ACT_ERRNO(EPERM), &user);
	add_rule(m, SCMP_ACT_ERRNO(EPERM), &tiocsti);
	add_names(m, SCMP_ACT_ERRNO(ENOSYS), (const char *const[]){ "clone3",
	    NULL });
}

static void
add_forbidden(struct making *m)
{
	if (CAGE_SANITIZED)
		return;
	mark_deadly(forbidden, true);
	mark_deadly(forbidden_alone, true);
	if (END == REFUSE)
		return;
	add_names(m, END, forbidden);
	add_names(m, END, forbidden_alone);
}

static void
fill(struct making *m, unsigned may, bool is_logged)
{
	bool has_programs = (may & CAGE_PROGRAMS) != 0;

	seccomp_attr_set(m->ctx, SCMP_FLTATR_CTL_NNP, 0);	/* is set */
	seccomp_attr_set(m->ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	seccomp_attr_set(m->ctx, SCMP_FLTATR_CTL_SSB, 1);
	seccomp_attr_set(m->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	seccomp_attr_set(m->ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
	/* Calls by the numbers of another machine, which no list is for. */
	seccomp_attr_set(m->ctx, SCMP_FLTATR_ACT_BADARCH, is_logged ?
	    SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
	if (has_programs && is_logged)
		add_names(m, SCMP_ACT_LOG, forbidden);
	else if (has_programs)
		add_refused(m);
	else {
		add_allowed(m, may);
		if (is_logged)
			return;
		add_silent(m, may);
		add_forbidden(m);
	}
}

int
cage_calls_enter(unsigned may, int sandbox, struct loop *loop)
{
	bool has_programs = (may & CAGE_PROGRAMS) != 0;
	bool is_logged = sandbox == SANDBOX_LOG;
	struct making m = { .error = 0 };

	m.ctx = seccomp_init(has_programs ? SCMP_ACT_ALLOW : is_logged ?
	    SCMP_ACT_LOG : REFUSE);
	if (m.ctx == NULL) {
		errno = ENOMEM;
		return -1;
	}
	fill(&m, may, is_logged);
	if (m.error == 0 && !has_programs && !is_logged) {
		listen_to(loop);
		if (take_sigsys() == -1)
			m.error = errno;
	}
	if (m.error == 0)
		m.error = -seccomp_load(m.ctx);
	seccomp_release(m.ctx);
	errno = m.error;
	return m.error == 0 ? 0 : -1;
}
