"""What can happen: one row each, and how it is undone."""
import os
import signal

from hands import Absent, of_process, signal_to

KILL, STOP, CONT, TERM = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT,
                          signal.SIGTERM)


class Event:
    """name: of the row. what: for people. seconds: shortest and longest time
    from its begin to its undoing. weight: how often, beside the others. do:
    called with the world and a random.Random of its own, returns what undoes
    it, or None. key: no two of the same at once. cells: where it can be."""

    def __init__(self, name, what, do, seconds=(0, 0), weight=1.0, key=None,
                 cells=("native",)):
        self.name, self.what, self.do = name, what, do
        self.seconds, self.weight = seconds, weight
        self.key = key or name
        self.cells = cells


# --- who it happens to ---

def some_agent(world, rng, names=None):
    found = sorted((name, pid) for pid, name in world.agents().items()
                   if names is None or name in names)
    if not found:
        raise Absent
    return rng.choice(found)[1]


def the(name):
    def find(world, rng):
        pid = world.pid(name)
        if pid is None:
            raise Absent
        return pid
    return find


def agent(*names):
    return lambda world, rng: some_agent(world, rng, names or None)


# --- what happens ---

def send(who, sig):
    def do(world, rng):
        signal_to(who(world, rng), sig)
    return do


def stop(who):
    def do(world, rng):
        pid = who(world, rng)
        signal_to(pid, STOP)
        return lambda: signal_to(pid, CONT)
    return do


def all_agents(sig):
    def do(world, rng):
        found = world.agents()
        if not found:
            raise Absent
        for pid in found:
            signal_to(pid, sig)
    return do


SEED_FLAG = {"web": "--seed"}


def flags(daemon, *given):
    """A server that is started again with other flags, and then as it was."""
    def do(world, rng):
        if daemon not in world.daemons:
            raise Absent
        argv = getattr(world, daemon + "_argv")
        world.restart(daemon, argv(SEED_FLAG.get(daemon, "-S"),
                                   str(rng.randrange(1, 1 << 30)), *given))
        return lambda: world.restart(daemon, argv())
    return do


def faults(*given):
    """Of the web server: kinds and percentages."""
    return flags("web", *["--fault=" + text for text in given])


def proxy(mode, delay_s=0.0, name="proxy"):
    def do(world, rng):
        it = getattr(world, name)
        it.set(mode, delay_s)
        return lambda: it.set("pass")
    return do


def few_files(who, most):
    """Its limit of descriptors becomes what it has, and a few more."""
    def do(world, rng):
        pid = who(world, rng)
        try:
            now = max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid)) + 1
        except (OSError, ValueError):
            raise Absent
        return world.limit(pid, "nofile", now + rng.randrange(most + 1))
    return do


def little_memory(who):
    """No more address space than it has, and up to 256 KiB."""
    def do(world, rng):
        pid = who(world, rng)
        pages = of_process(pid, "statm").split()
        if not pages:
            raise Absent
        size = int(pages[0]) * os.sysconf("SC_PAGE_SIZE")
        return world.limit(pid, "as",
                           size + rng.randrange(0, 1 << 18, 4096))
    return do


def scarce_memory(who):
    """A control group in which the kernel kills it soon."""
    def do(world, rng):
        return world.memory.starve(who(world, rng), rng.choice(
            (0, 0, 1 << 15, 1 << 17)))
    return do


def fail(who, calls, error, often=20):
    """System calls fail, each so-manieth on average."""
    def do(world, rng):
        when = "%d+%d" % (rng.randrange(1, often + 1),
                          rng.randrange(1, 2 * often))
        process = world.trace(who(world, rng), calls, error, when)
        return lambda: world.undo_trace(process)
    return do


def full_disk(world, rng):
    world.fill_disk(rng.choice((0, 4096, 20000)))
    return world.empty_disk


def reload(world, rng):
    if world.pid("master") is None:
        raise Absent
    world.reload()


def upgrade(world, rng):
    world.upgrade()


def crash(world, rng):
    world.crash()


BOTH, NATIVE, POSTFIX = ("native", "postfix"), ("native",), ("postfix",)
OURS = agent("smtp-static", "smtp-mx", "lmtp", "pipe", "http")
SMTP = agent("smtp-static", "smtp-mx", "lmtp")
PIPE = agent("pipe")
HTTP = agent("http")
MASTER = the("master")
DOOR = agent("intake-lmtp")

# Whose system calls fail: cells, who, calls, error.  Not brk: it fails by what
# it returns, and libc takes an error for an address.
FAILURES = [
    (BOTH, "agent", OURS, "epoll_wait", "EINTR"),
    (BOTH, "agent", OURS, "mmap,mremap", "ENOMEM"),
    (BOTH, "agent", OURS, "openat", "EMFILE"),
    (BOTH, "agent", SMTP, "pread64", "EIO"),
    (BOTH, "agent", SMTP, "pread64", "EINTR"),
    (BOTH, "agent", SMTP, "socket", "EMFILE"),
    (BOTH, "agent", SMTP, "socket", "ENFILE"),
    (BOTH, "agent", SMTP, "connect", "EADDRNOTAVAIL"),
    (BOTH, "agent", SMTP, "connect", "ENETUNREACH"),
    (BOTH, "agent", SMTP, "connect", "EAGAIN"),
    (BOTH, "agent", SMTP, "write,writev,sendto,sendmsg", "ENOBUFS"),
    (BOTH, "agent", SMTP, "write,writev,sendto,sendmsg", "EAGAIN"),
    (BOTH, "agent", SMTP, "write,writev,sendto,sendmsg", "ECONNRESET"),
    (BOTH, "agent", SMTP, "read,readv,recvfrom,recvmsg", "ECONNRESET"),
    (BOTH, "agent", SMTP, "read,readv,recvfrom,recvmsg", "EINTR"),
    (BOTH, "agent", SMTP, "sendfile", "EIO"),
    (BOTH, "agent", SMTP, "epoll_ctl", "ENOMEM"),
    (NATIVE, "agent", OURS, "sendmmsg", "ENOBUFS"),
    (NATIVE, "agent", OURS, "sendmmsg", "EAGAIN"),
    (NATIVE, "agent", OURS, "recvmmsg", "EINTR"),
    (NATIVE, "agent", OURS, "recvmmsg", "ENOMEM"),
    (NATIVE, "agent", PIPE, "clone,clone3,vfork,fork", "EAGAIN"),
    (NATIVE, "agent", PIPE, "pipe,pipe2", "EMFILE"),
    (NATIVE, "agent", HTTP, "socket", "EMFILE"),
    (NATIVE, "agent", HTTP, "connect", "EADDRNOTAVAIL"),
    (NATIVE, "agent", HTTP, "pread64", "EIO"),
    (NATIVE, "agent", HTTP, "write,writev,sendto,sendmsg", "EAGAIN"),
    (NATIVE, "agent", HTTP, "write,writev,sendto,sendmsg", "ECONNRESET"),
    (NATIVE, "agent", HTTP, "read,readv,recvfrom,recvmsg", "ECONNRESET"),
    (NATIVE, "agent", HTTP, "read,readv,recvfrom,recvmsg", "EINTR"),
    (NATIVE, "agent", HTTP, "epoll_ctl", "ENOMEM"),
    (NATIVE, "master", MASTER, "sendmmsg", "ENOBUFS"),
    (NATIVE, "master", MASTER, "sendmmsg", "ETOOMANYREFS"),
    (NATIVE, "master", MASTER, "sendmmsg", "EAGAIN"),
    (NATIVE, "master", MASTER, "recvmmsg", "EINTR"),
    (NATIVE, "master", MASTER, "recvmmsg", "ENOBUFS"),
    (NATIVE, "master", MASTER, "accept,accept4", "EMFILE"),
    (NATIVE, "master", MASTER, "accept,accept4", "ECONNABORTED"),
    (NATIVE, "master", MASTER, "epoll_wait", "EINTR"),
    (NATIVE, "master", MASTER, "epoll_ctl", "ENOMEM"),
    (NATIVE, "master", MASTER, "fcntl", "EMFILE"),
    (NATIVE, "master", MASTER, "socketpair", "EMFILE"),
    (NATIVE, "master", MASTER, "clone,clone3,vfork,fork", "EAGAIN"),
    (NATIVE, "master", MASTER, "open,openat", "EMFILE"),
    (NATIVE, "master", MASTER, "mmap,mremap", "ENOMEM"),
    (NATIVE, "master", MASTER, "write,writev", "ENOSPC"),
    (NATIVE, "intake", DOOR, "accept4", "EMFILE"),
    (NATIVE, "intake", DOOR, "accept4", "ECONNABORTED"),
    (NATIVE, "intake", DOOR, "memfd_create", "ENOMEM"),
    (NATIVE, "intake", DOOR, "openat,open", "ENOSPC"),
    (NATIVE, "intake", DOOR, "write,pwrite64,writev", "ENOSPC"),
    (NATIVE, "intake", DOOR, "recvfrom,read,recvmsg", "ECONNRESET"),
    (NATIVE, "intake", DOOR, "recvfrom,read,recvmsg", "EINTR"),
    (NATIVE, "intake", DOOR, "sendto,sendmsg", "EPIPE"),
    (NATIVE, "intake", DOOR, "sendto,sendmsg", "EAGAIN"),
    (NATIVE, "intake", DOOR, "sendmmsg", "ENOBUFS"),
    (NATIVE, "intake", DOOR, "recvmmsg", "EINTR"),
    (POSTFIX, "agent", SMTP, "pwrite64", "EIO"),
    (POSTFIX, "agent", SMTP, "flock,fcntl", "ENOLCK"),
    (POSTFIX, "agent", SMTP, "accept,accept4", "EMFILE"),
    (POSTFIX, "agent", SMTP, "accept,accept4", "ECONNABORTED"),
    (POSTFIX, "agent", SMTP, "open,openat", "EACCES"),
    (POSTFIX, "agent", SMTP, "open,openat", "EIO"),
]


def inject_rows():
    """One tracer at a time: a process can have one."""
    return [Event("inject-%s-%s-%s" % ("http" if find is HTTP else who,
                                       calls.split(",")[0], error),
                  "system calls fail", fail(find, calls, error), (1, 4), 0.4,
                  key="trace-" + who, cells=cells)
            for cells, who, find, calls, error in FAILURES]


EVENTS = [
    Event("kill-agent", "SIGKILL to an agent", send(agent(), KILL),
          weight=4, cells=BOTH),
    Event("kill-agents", "SIGKILL to all agents", all_agents(KILL),
          cells=BOTH),
    Event("kill-master", "SIGKILL to the master", send(the("master"), KILL),
          weight=2),
    Event("kill-intake", "SIGKILL to the intake", send(DOOR, KILL),
          weight=2),
    Event("kill-sink", "SIGKILL to the SMTP server",
          send(the("sink"), KILL), weight=2, cells=BOTH),
    Event("kill-store", "SIGKILL to the LMTP server",
          send(the("store"), KILL), weight=2),
    Event("kill-tls", "SIGKILL to the SMTP server with TLS",
          send(the("tls"), KILL)),
    Event("kill-web", "SIGKILL to the web server", send(the("web"), KILL),
          weight=2),
    Event("kill-dns", "SIGKILL to the name server", send(the("dns"), KILL)),
    Event("term-agent", "SIGTERM to an agent", send(agent(), TERM),
          weight=2, cells=BOTH),
    Event("term-master", "SIGTERM to the master", send(the("master"), TERM)),
    Event("crash", "SIGKILL to all of Postfix at once", crash,
          cells=POSTFIX),
    Event("kill-qmgr", "SIGKILL to Postfix's queue manager",
          send(the("qmgr"), KILL), cells=POSTFIX),
    Event("kill-smtpd", "SIGKILL to one that takes mail",
          send(the("smtpd"), KILL), cells=POSTFIX),
    Event("stop-qmgr", "SIGSTOP, SIGCONT", stop(the("qmgr")), (0.5, 4),
          cells=POSTFIX),
    Event("reload", "nexthop reload", reload, weight=3, cells=BOTH),
    Event("upgrade", "nexthop upgrade", upgrade, weight=2),
    Event("stop-agent", "SIGSTOP, SIGCONT", stop(agent()), (0.5, 5), 2,
          cells=BOTH),
    Event("stop-master", "SIGSTOP, SIGCONT", stop(the("master")), (0.5, 4)),
    Event("stop-intake", "SIGSTOP, SIGCONT", stop(DOOR), (0.5, 4)),
    Event("stop-sink", "SIGSTOP, SIGCONT", stop(the("sink")), (0.5, 9),
          cells=BOTH),
    Event("stop-store", "SIGSTOP, SIGCONT", stop(the("store")), (0.5, 9)),
    Event("stop-web", "SIGSTOP, SIGCONT", stop(the("web")), (0.5, 9)),
    Event("stop-dns", "SIGSTOP, SIGCONT", stop(the("dns")), (0.5, 5)),
    Event("sink-slow", "each reply late", flags("sink", "-d", "300"),
          (1, 5), key="sink", cells=BOTH),
    Event("sink-tarpit", "replies to messages later than the client waits",
          flags("sink", "-D", "7000"), (3, 9), key="sink", cells=BOTH),
    Event("sink-mute", "hangs up instead of the last reply",
          flags("sink", "-r", "dot:30:0"), (1, 4), key="sink", cells=BOTH),
    Event("sink-refuses", "4xx at each stage", flags(
        "sink", "-r", "connect:10:421", "-r", "mail:10:451", "-r",
        "rcpt:20:450", "-r", "data:10:451", "-r", "dot:20:452"),
        (1, 4), key="sink", cells=BOTH),
    Event("sink-hangs-up", "in the middle of it", flags(
        "sink", "-r", "helo:5:0", "-r", "mail:5:0", "-r", "rcpt:5:0", "-r",
        "data:10:0"), (1, 4), key="sink", cells=BOTH),
    Event("sink-narrow", "2 connections, 3 messages each",
          flags("sink", "-c", "2", "-n", "3"), (1, 5), key="sink", cells=BOTH),
    Event("tls-mute", "hangs up instead of the last reply",
          flags("tls", "-r", "dot:30:0"), (1, 4), key="tls"),
    Event("tls-hangs-up", "in the middle of it", flags(
        "tls", "-r", "helo:10:0", "-r", "rcpt:10:0", "-r", "data:10:0"),
        (1, 4), key="tls"),
    Event("store-mute", "hangs up instead of the last replies",
          flags("store", "-r", "dot:20:0"), (1, 4), key="store"),
    Event("store-refuses", "4xx for some recipients", flags(
        "store", "-r", "rcpt:20:450", "-r", "dot:20:452"), (1, 4),
        key="store"),
    Event("web-slow", "each response late", flags("web", "--delay=400"),
          (1, 5), key="web"),
    Event("web-tarpit", "responses to what is taken later than the client "
          "waits", flags("web", "--late=8000"), (3, 9), key="web"),
    Event("web-refuses", "429 and 5xx, by status, by reply, for some "
          "recipients, before it has read all", faults(
              "429:10", "500:5", "503:10", "reply:10", "some:20", "early:10"),
          (1, 4), key="web"),
    Event("web-cut", "responses cut in the middle", faults(
        "head:15", "body:15", "noise:5"), (1, 4), key="web"),
    Event("web-mute", "hangs up in place of the response",
          faults("mute:15", "reset:15"), (1, 4), key="web"),
    Event("web-hangs-up", "in the middle of the request", faults("leave:30"),
          (1, 4), key="web"),
    Event("web-narrow", "3 requests a connection, which it does not say",
          flags("web", "--requests=3"), (1, 5), key="web"),
    Event("proxy-reset", "connections are reset", proxy("reset"), (0.3, 2),
          key="proxy", cells=BOTH),
    Event("proxy-cut", "... after so many octets", proxy("cut"), (1, 4),
          key="proxy", cells=BOTH),
    Event("proxy-delay", "each way 200 ms late", proxy("delay", 0.2),
          (1, 5), key="proxy", cells=BOTH),
    Event("proxy-still", "nothing goes through", proxy("still"), (1, 9),
          key="proxy", cells=BOTH),
    Event("proxy-shut", "nobody listens", proxy("shut"), (0.3, 4),
          key="proxy", cells=BOTH),
    Event("webproxy-reset", "connections are reset", proxy(
        "reset", name="webproxy"), (0.3, 2), 0.5, key="webproxy"),
    Event("webproxy-cut", "... after so many octets", proxy(
        "cut", name="webproxy"), (1, 4), key="webproxy"),
    Event("webproxy-still", "nothing goes through", proxy(
        "still", name="webproxy"), (1, 9), key="webproxy"),
    Event("webproxy-shut", "nobody listens", proxy(
        "shut", name="webproxy"), (0.3, 4), 0.5, key="webproxy"),
    Event("files-agent", "descriptors used up", few_files(agent(), 4),
          (1, 5), 2, cells=BOTH),
    Event("files-master", "descriptors used up", few_files(
        the("master"), 4), (1, 5), 2),
    Event("files-intake", "descriptors used up", few_files(DOOR, 4),
          (1, 5)),
    Event("memory-agent", "address space used up", little_memory(agent()),
          (1, 4), cells=BOTH),
    Event("memory-master", "address space used up", little_memory(
        the("master")), (1, 4)),
    Event("oom-agent", "the memory of its control group used up",
          scarce_memory(agent()), (1, 4), 2),
    Event("oom-master", "the memory of its control group used up",
          scarce_memory(the("master")), (1, 4)),
    Event("oom-intake", "the memory of its control group used up",
          scarce_memory(DOOR), (1, 4)),
    Event("disk", "the disk of the log is full", full_disk, (1, 5), 2,
          cells=BOTH),
] + inject_rows()
