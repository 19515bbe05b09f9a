"""Hands that do things to processes, and a supervisor that starts again what
died. Everything goes by process id."""
import os
import re
import signal
import subprocess
import threading
import time

from common import program

DISK_BYTES = 64 << 20           # of the disk that gets full
STEADY_BYTES = 1 << 30          # of the one that does not
# Signals that nobody here sends.
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL,
           signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP)
# A process that ends while it is traced cannot be searched for leaks, and says
# so: that is no report.
CRASH_TEXT = re.compile(r"(agent|process) .*by signal (%s)\b|"
                        r"(ERROR|SUMMARY): (Address|UndefinedBehavior|Leak)"
                        r"Sanitizer|runtime error:" %
                        "|".join(str(int(s)) for s in CRASHES))


def of_process(pid, name):
    """A file of /proc; empty if the process has ended."""
    try:
        with open("/proc/%d/%s" % (pid, name)) as f:
            return f.read()
    except OSError:
        return ""


def children(pid):
    found = of_process(pid, "task/%d/children" % pid)
    return [int(p) for p in found.split()]


def command(pid):
    """The name of a program, that of a script where it is one."""
    words = of_process(pid, "cmdline").split("\0")
    for word in words[:2]:
        name = os.path.basename(word)
        if name and not name.startswith("python"):
            return name
    return ""


def is_alive(pid):
    """There, and not only waiting for its parent to ask."""
    state = of_process(int(pid), "stat").rpartition(") ")[2][:1]
    return state not in ("", "Z", "X")


def signal_to(pid, sig):
    try:
        os.kill(pid, sig)
        return True
    except ProcessLookupError:
        return False


LIMITS = {"nofile": "Max open files", "as": "Max address space"}


def set_limit(pid, name, value):
    """As the user of that process: without CAP_SYS_RESOURCE not even root may
    set the limits of others."""
    found = re.search(r"^Uid:\t(\d+).*\nGid:\t(\d+)",
                      of_process(pid, "status"), re.M)
    return found is not None and subprocess.run(
        [program("prlimit"), "--pid=%d" % pid, "--%s=%s:" % (name, value)],
        user=int(found[1]), group=int(found[2]), extra_groups=[],
        stderr=subprocess.DEVNULL).returncode == 0


class Absent(Exception):
    """What something should happen to is not there at the moment."""


class Daemon:
    """A program that is started again whenever it has ended."""

    def __init__(self, name, argv, stderr, delay_s=0.1):
        self.name, self.argv, self.stderr = name, argv, stderr
        self.delay_s = delay_s
        self.process = None
        self.is_wanted = True
        self.start_at = 0.0
        self.starts = 0
        self.crashes = []
        self.env = None
        self.former = []        # processes that we no longer follow

    def pid(self):
        p = self.process
        return p.pid if p is not None and p.poll() is None else None

    def leave(self, now):
        """Start another, whether or not it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.former.append(self.process)
            self.process = None
            self.start_at = now + self.delay_s
        self.former = [p for p in self.former if p.poll() is None]

    def look(self, now):
        if self.pid() is not None:
            return
        if self.process is not None:
            if -self.process.returncode in CRASHES:
                self.crashes.append("%s: signal %d" % (
                    self.name, -self.process.returncode))
            self.process = None
            self.start_at = now + self.delay_s
        if self.is_wanted and now >= self.start_at:
            self.starts += 1
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=self.stderr,
                env=self.env, start_new_session=True)


class Hands:
    """A world: programs that are kept running, in a folder with a disk."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.RLock()
        self.is_ending = False
        self.traces = []
        self.daemons = {}
        self.err = open(folder + "/err", "a")
        os.chmod(folder, 0o755)
        self.supervisor = threading.Thread(target=self.supervise, daemon=True)

    # --- programs that are kept running ---

    def supervise(self):
        while not self.is_ending:
            now = time.monotonic()
            with self.lock:
                for daemon in self.daemons.values():
                    daemon.look(now)
            self.look()
            time.sleep(0.03)

    def look(self):
        """What else is to be done now and then."""

    def crashes(self):
        return [c for d in self.daemons.values() for c in d.crashes]

    def end_supervision(self):
        self.is_ending = True
        if self.supervisor.ident is not None:
            self.supervisor.join()

    def want_nothing(self):
        with self.lock:
            for daemon in self.daemons.values():
                daemon.is_wanted = False

    def pid(self, name):
        return (self.daemons[name].pid() if name in self.daemons else None)

    def restart(self, name, argv=None, sig=signal.SIGTERM):
        daemon = self.daemons[name]
        with self.lock:
            if argv is not None:
                daemon.argv = argv
            pid = daemon.pid()
        if pid is not None:
            signal_to(pid, sig)

    def end(self, name, limit_s):
        process = self.daemons[name].process
        if process is None:
            return []
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return ["%d %s" % (process.pid, name)]
        return []

    # --- what can be done to a process ---

    def trace(self, pid, calls, error, when):
        """strace that has system calls fail; its end heals."""
        argv = [program("strace"), "-f", "-qq", "-o", "/dev/null", "-p",
                str(pid), "-e", "trace=" + calls, "-e",
                "inject=%s:error=%s:when=%s" % (calls, error, when)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                   stdout=self.err, stderr=self.err,
                                   start_new_session=True)
        self.traces.append(process)
        return process

    def undo_trace(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        try:        # a helper of its start may be left where that was cut
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if process in self.traces:
            self.traces.remove(process)

    def undo_traces(self):
        for process in list(self.traces):
            self.undo_trace(process)

    def limit(self, pid, name, value):
        """A soft limit (of prlimit(1)) from now on; what undoes it."""
        was = of_process(pid, "limits")
        if not set_limit(pid, name, value):
            raise Absent
        found = re.search(LIMITS[name] + r" +(\w+)", was)
        return lambda: set_limit(pid, name, found[1])

    def fill_disk(self, left):
        """All but so many octets of the disk that the log is on."""
        path = self.folder + "/disk/filler"
        with open(path, "wb", buffering=0) as f:
            try:
                while f.write(bytes(1 << 16)):
                    pass
            except OSError:
                pass
            f.truncate(max(0, f.tell() - left))

    def empty_disk(self):
        path = self.folder + "/disk/filler"
        if os.path.exists(path):
            os.unlink(path)
