"""A Postfix of our own that drains the same queue again and again.

The queue is filled once by smtpd(8), while no queue manager runs. The files are
then kept aside by a second link; before each drain they are linked back, with
the contents they had, since agents mark recipients in them as done. The name of
a queue file goes by its inode, so a message has the same queue id each time.

Only the drain is measured: from the moment qmgr(8) is told to look until
incoming and active are empty.
"""
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

from common import (LIMIT_S, RCPT, SENDER, Absent, Failed, free_port, listens,
                    program, wait_for)

FOLDERS = ("active bounce corrupt defer deferred flush hold incoming private "
           "saved trace").split()
DRAINED = ("incoming", "active")
MARKS = 4096            # the envelope comes first: marks are no further

MAIN_CF = {
    "compatibility_level": "3.6",
    "myhostname": "src.example",
    "myorigin": "src.example",
    "mydestination": "",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_client_connection_count_limit": "0",
    "local_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "message_size_limit": "0",
    "mailbox_size_limit": "0",
    "queue_minfree": "0",
    "in_flow_delay": "0",
    "smtp_dns_support_level": "disabled",
    "enable_long_queue_ids": "no",
}

MASTER_CF = """127.0.0.1:%(port)d inet n - n - 60 smtpd
cleanup unix n - n - 0 cleanup
%(qmgr)sqmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsproxy unix - - n - 0 tlsproxy
postlog unix-dgram n - n - 1 postlogd
"""

# Whoever is none of these delivers.
DAEMONS = {"master", "qmgr", "postlogd", "trivial-rewrite", "scache", "tlsmgr",
           "tlsproxy", "anvil", "bounce", "cleanup", "flush", "proxymap",
           "smtpd", "verify"}


class Group:
    """A control group: the CPU time of all that was started in it, ended
    processes included."""

    def __init__(self):
        version_1 = "/sys/fs/cgroup/cpuacct"
        self.is_old = os.path.isdir(version_1)
        self.folder = os.path.join(
            version_1 if self.is_old else "/sys/fs/cgroup",
            "nexthop-bench.%d" % os.getpid())
        try:
            os.mkdir(self.folder)
        except OSError as e:
            raise Absent("no control group can be made: %s" % e)

    def file(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return f.read()

    def enter(self):
        with open(self.folder + "/cgroup.procs", "w") as f:
            f.write("0")

    def pids(self):
        return [int(p) for p in self.file("cgroup.procs").split()]

    def cpu_us(self):
        if self.is_old:
            return int(self.file("cpuacct.usage")) / 1e3
        return int(re.search(r"usage_usec (\d+)",
                             self.file("cpu.stat"))[1])

    def remove(self):
        """When its processes are gone; those that stay are killed."""
        try:
            wait_for(lambda: not self.pids(), "the end of Postfix")
        except Failed:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not self.pids(), "the end of Postfix")
            raise
        finally:
            os.rmdir(self.folder)


def of_process(pid, name):
    """A file of /proc; empty if the process has just ended."""
    try:
        with open("/proc/%d/%s" % (pid, name)) as f:
            return f.read().strip()
    except OSError:
        return ""


def cpu_us(pid):
    return int((of_process(pid, "schedstat") or "0").split()[0]) / 1e3


def pss_kib(pid):
    found = re.search(r"^Pss: +(\d+)", of_process(pid, "smaps_rollup"), re.M)
    return int(found[1]) if found else 0


class Instance:
    def __init__(self, bench):
        if os.geteuid() != 0:
            raise Absent("Postfix needs root")
        self.bench = bench
        self.folder = bench.path("postfix")
        self.conf = self.folder + "/conf"
        self.queue = self.folder + "/queue"
        self.maillog = self.folder + "/maillog"
        self.daemons = self.postconf("daemon_directory")
        self.names = {}         # queue files by kind, and how each began
        self.group = self.master = None
        os.chmod(bench.folder, 0o755)
        self.make_folders()

    def postconf(self, name):
        return subprocess.run([program("postconf"), "-dh", name], check=True,
                              stdout=subprocess.PIPE, text=True
                              ).stdout.strip()

    def make_folders(self):
        owner = pwd.getpwnam("postfix").pw_uid
        drop = grp.getgrnam("postdrop").gr_gid
        for folder in (self.folder, self.conf, self.queue,
                       self.queue + "/pid", self.folder + "/saved"):
            os.mkdir(folder, 0o755)
        rest = [(self.folder + "/data", 0o700, -1)]
        rest += [(self.queue + "/" + f, 0o700, -1) for f in FOLDERS]
        rest += [(self.queue + "/public", 0o710, drop),
                 (self.queue + "/maildrop", 0o730, drop)]
        for folder, mode, group in rest:
            os.mkdir(folder)
            os.chown(folder, owner, group)
            os.chmod(folder, mode)
        for name in ("dynamicmaps.cf", "postfix-files"):
            if os.path.exists("/etc/postfix/" + name):
                shutil.copy("/etc/postfix/" + name, self.conf)
        if os.path.isdir("/etc/postfix/dynamicmaps.cf.d"):
            shutil.copytree("/etc/postfix/dynamicmaps.cf.d",
                            self.conf + "/dynamicmaps.cf.d")

    def agent(self, path):
        """The command of a service: relative to daemon_directory."""
        return os.path.relpath(os.path.realpath(path),
                               os.path.realpath(self.daemons))

    # --- the processes ---

    def start(self, main, services="", with_qmgr=True):
        self.port = free_port()
        settings = {**MAIN_CF, "queue_directory": self.queue,
                    "data_directory": self.folder + "/data",
                    "maillog_file": self.maillog,
                    "maillog_file_prefixes": self.folder, **main}
        with open(self.conf + "/main.cf", "w") as f:
            f.writelines("%s = %s\n" % kv for kv in settings.items())
        with open(self.conf + "/master.cf", "w") as f:
            f.write(MASTER_CF % {"port": self.port,
                                 "qmgr": "" if with_qmgr else "#"} + services)
        if os.path.exists(self.maillog):
            os.unlink(self.maillog)
        self.group = Group()
        # A session of its own: master(8) ends its process group with itself.
        self.master = subprocess.Popen(
            [self.daemons + "/master", "-c", self.conf, "-d"],
            env={**os.environ, "MAIL_CONFIG": self.conf,
                 "MAIL_LOGTAG": "postfix"},
            preexec_fn=self.group.enter, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.bench.log,
            stderr=self.bench.log)
        if with_qmgr:
            self.wait_for(lambda: "qmgr" in self.running())
            time.sleep(0.3)     # its first look, at an empty queue
        else:
            self.wait_for(lambda: listens(self.port))

    def wait_for(self, condition):
        def is_ready():
            if self.master.poll() is not None:
                raise Failed("Postfix's master has ended; see its log")
            return condition()
        try:
            wait_for(is_ready, "Postfix")
        except Failed:
            self.stop()
            raise

    def stop(self):
        if self.master is None:
            return
        self.master.terminate()
        self.master.wait(LIMIT_S)
        self.master = None
        self.group.remove()

    def running(self):
        return [of_process(p, "comm") for p in self.group.pids()]

    def agents(self):
        return [p for p in self.group.pids()
                if of_process(p, "comm") not in DAEMONS]

    # --- the queue ---

    def load(self, kind, count, sizes):
        """Fill incoming, and put what is there aside."""
        incoming, saved = self.queue + "/incoming", self.saved(kind)
        os.mkdir(saved)
        files = []
        self.start({}, with_qmgr=False)
        try:
            for size in sizes:
                before = set(os.listdir(incoming))
                self.bench.finish(
                    [program("smtp-source"), "-s", "30", "-d", "-l", str(size),
                     "-m", str(count // len(sizes)), "-f", SENDER, "-t", RCPT,
                     "127.0.0.1:%d" % self.port])
                files.append(sorted(set(os.listdir(incoming)) - before))
        finally:
            self.stop()
        # Any part of the queue has as many of each size.
        self.names[kind] = {}
        for name in (n for row in zip(*files) for n in row):
            with open(os.path.join(incoming, name), "rb") as f:
                self.names[kind][name] = f.read(MARKS)
            os.rename(os.path.join(incoming, name), os.path.join(saved, name))
        if len(self.names[kind]) != count:
            raise Failed("%d of %d messages in the queue" % (
                len(self.names[kind]), count))

    def saved(self, kind):
        return os.path.join(self.folder, "saved", kind)

    def fill(self, kind, first, count):
        """Put messages of a kind into incoming."""
        for folder in FOLDERS:
            if folder != "private":
                self.clear(folder)
        for name in list(self.names[kind])[first:first + count]:
            path = os.path.join(self.saved(kind), name)
            with open(path, "r+b") as f:
                f.write(self.names[kind][name])
            os.link(path, os.path.join(self.queue, "incoming", name))
        os.sync()

    def clear(self, folder):
        for root, _, names in os.walk(os.path.join(self.queue, folder)):
            for name in names:
                os.unlink(os.path.join(root, name))

    def is_empty(self):
        for folder in DRAINED:
            with os.scandir(os.path.join(self.queue, folder)) as entries:
                if any(entries):
                    return False
        return True

    # --- the drain ---

    def drain(self, kind, first, count):
        """Figures a message; memory in KiB. Postfix has been started."""
        self.fill(kind, first, count)
        before = {p: cpu_us(p) for p in self.group.pids()}
        all_before, start = self.group.cpu_us(), time.monotonic()
        wait_for(lambda: subprocess.run(
            [program("postkick"), "-c", self.conf, "public", "qmgr", "I"],
            stderr=self.bench.log).returncode == 0, "qmgr")
        memory, look_at = 0, start + 0.25
        while not self.is_empty():
            time.sleep(0.01)
            now = time.monotonic()
            if now > start + LIMIT_S:
                self.show_log()
                raise Failed("the queue was not empty in time")
            if now > look_at:
                memory = max(memory, self.memory_kib(of_few=True))
                look_at = now + 0.5
        seconds = time.monotonic() - start
        total = self.group.cpu_us() - all_before
        found = {"rate": count / seconds, "all": total / count}
        for pid in self.group.pids():
            name = of_process(pid, "comm")
            if name in DAEMONS:
                spent = cpu_us(pid) - before.get(pid, 0)
                found[name] = found.get(name, 0) + spent / count
        found["agent"] = found["all"] - sum(
            us for name, us in found.items() if name in DAEMONS)
        found["memory"] = max(memory, self.memory_kib())
        found["processes"] = len(self.agents())
        return found

    def memory_kib(self, of_few=False):
        """Of the agents. A look at hundreds takes time from what is measured,
        and costs nothing once they are done: their memory stays."""
        pids = self.agents()
        if of_few and len(pids) > 30:
            return 0
        return sum(pss_kib(p) for p in pids)

    def check_log(self, count):
        """Each message has one line, and was sent."""
        try:
            wait_for(lambda: len(self.outcomes()) >= count, "log")
        except Failed:
            pass
        outcomes = self.outcomes()
        sent = {name for name, outcome in outcomes if outcome == "sent"}
        if len(sent) != count or len(outcomes) != count:
            self.show_log()
            raise Failed("%d messages, %d of them sent, %d lines in the log" %
                         (count, len(sent), len(outcomes)))

    def outcomes(self):
        with open(self.maillog, errors="replace") as f:
            return re.findall(r": (\w+): to=<.*status=(\w+)", f.read())

    def show_log(self):
        """The end of Postfix's log, for people."""
        with open(self.maillog, errors="replace") as f:
            self.bench.log.writelines(
                line for line in f.readlines()[-2000:]
                if not re.search(r"status=sent|: removed|from=<", line))
