"""All that a run through the master consists of: the master and its agents, and
the servers they deliver to."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from common import BUILD, ROOT, Failed, free_port, need
from hands import (CRASH_TEXT, Absent, Daemon, Hands, children, command,
                   is_alive, signal_to)
from memory import Memory
from proxy import Proxy

DNSD = BUILD + "/t/bench/dnsd"
LOG_MAX = 12 << 20
LATE_MS = "15"                  # replies: so that deliveries are open
AGENTS = ("smtp-static", "smtp-mx", "lmtp", "pipe", "http", "agent.py",
          "intake-lmtp")

# name: weight, messages that may be open; what follows "type =".
RELAYS = {
    "direct": (4, 100, """static
        host = 127.0.0.1:%(sink)d
        concurrent_connections = 10"""),
    "proxied": (4, 100, """static
        host = 127.0.0.1:%(proxy)d
        concurrent_connections = 10"""),
    "pair": (2, 60, """static
        host = 127.0.0.1:%(proxy)d, 127.0.0.1:%(sink)d
        processes = 2
        chunking = no
        concurrent_connections = 6"""),
    "mx": (3, 80, """mx
        resolver = 127.0.0.1:%(dns)d
        port = %(sink)d
        mta_sts = no
        ipv4_only = yes"""),
    "store": (3, 80, """lmtp
        host = unix:%(folder)s/store.sock
        concurrent_connections = 8"""),
    "secure": (1, 40, """static
        host = 127.0.0.1:%(tls)d
        tls_mode = require
        concurrent_connections = 5"""),
    "front": (2, 60, """custom
        exec = %(root)s/contrib/agent-template/agent.py
        timeout = 20
        relay = direct"""),
    "run": (0.3, 10, """pipe
        args = %(root)s/t/chaos/keep %(folder)s/steady/journal.run
        timeout = 10
        max_processes = 4"""),
    "hook": (1.5, 40, """http
        url = http://127.0.0.1:%(web)d/in
        timeout = 6
        queue_timeout = 8
        idle_timeout = 2
        concurrent_connections = 6"""),
    "keyless": (1.5, 40, """http
        url = http://127.0.0.1:%(webproxy)d/in
        format = json
        idempotency_key = no
        timeout = 6
        queue_timeout = 8
        idle_timeout = 2
        concurrent_connections = 6"""),
}
NOT_SMTP = ("front", "run", "hook", "keyless", "liar")

# A door to the relay direct; what is large goes to the disk that gets full.
INTAKE = """
[intake door]
listen = unix:%(folder)s/i.sock
relay = direct
memory_limit = 64k
spool_directory = %(folder)s/disk/spool
restart_delay_max = 2
"""

# Not among those of a run unless it is asked for: says that it delivered.
LIAR = """custom
        exec = %(root)s/contrib/agent-template/agent.py
        answer = delivered"""

TIMES = """        restart_delay_max = 2
        backlog_timeout = 5"""
SMTP_TIMES = """        connect_timeout = 2
        command_timeout = 4
        data_timeout = 6
        queue_timeout = 8
        attempt_timeout = 15
        dead_host_time = 1
        idle_timeout = 2"""

MASTER = """[master]
socket = %(folder)s/s.sock
control = %(folder)s/c.sock
pid_file = %(folder)s/disk/pid
stop_timeout = 5
submit_timeout = 10
"""


class Master(Daemon):
    """The master; like systemd it follows MAINPID after an upgrade."""

    def __init__(self, name, argv, stderr, path):
        super().__init__(name, argv, stderr)
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(path)
        self.told.setblocking(False)
        self.env = {**os.environ, "NOTIFY_SOCKET": path}
        self.heir = None

    def pid(self):
        return super().pid() if self.heir is None else self.heir

    def look(self, now):
        self.listen()
        if self.heir is not None and not is_alive(self.heir):
            self.heir = None
            # The one before, if it is still about, serves nobody new.
            self.leave(now)
        super().look(now)

    def listen(self):
        try:
            while True:
                found = re.search(rb"^MAINPID=(\d+)$", self.told.recv(4096),
                                  re.M)
                if found:
                    self.heir = int(found[1])
        except BlockingIOError:
            pass


class World(Hands):
    def __init__(self, folder, seed, relays):
        super().__init__(folder)
        self.log_path = folder + "/disk/log"
        self.old_log = folder + "/log.old"
        self.make_journals()
        self.ports = {"sink": free_port(), "proxy": free_port(),
                      "dns": free_port(), "tls": free_port(),
                      "web": free_port(), "webproxy": free_port(),
                      "folder": folder, "root": ROOT}
        known = {**RELAYS, "liar": (1, 50, LIAR)}
        if not os.access(DNSD, os.X_OK) and "mx" in relays:
            print("no mx: %s is not there" % DNSD)
            relays = [name for name in relays if name != "mx"]
        for name in relays:
            if name not in known:
                raise Failed("there is no relay " + name)
        self.relays = {name: known[name][:2] for name in relays}
        self.has_intake = "direct" in relays and os.access(
            BUILD + "/libexec/nexthop/intake-lmtp", os.X_OK)
        self.write_conf({name: known[name][2] for name in relays})
        self.log = open(self.log_path, "a")
        self.proxy = Proxy(self.ports["proxy"], self.ports["sink"], seed)
        self.webproxy = Proxy(self.ports["webproxy"], self.ports["web"],
                              seed + 1)
        self.memory = Memory()
        self.daemons = {
            "sink": Daemon("sink", self.sink_argv(), self.err),
            "store": Daemon("store", self.store_argv(), self.err),
            "master": Master("master", [
                need(BUILD + "/sbin/nexthop-master"), "-c", self.conf,
                "--foreground"], self.log, folder + "/notify"),
        }
        if "secure" in relays:
            self.daemons["tls"] = Daemon("tls", self.tls_argv(), self.err)
        if "hook" in relays or "keyless" in relays:
            self.daemons["web"] = Daemon("web", self.web_argv(), self.err)
        if "mx" in relays:
            self.daemons["dns"] = Daemon("dns", [
                DNSD, "--port-file=" + folder + "/dns.port", "--port=%d" %
                self.ports["dns"]], self.err)

    def make_journals(self):
        self.journals = [self.folder + "/steady/journal." + name
                         for name in ("sink", "store", "run", "tls",
                                      "web")]
        for path in self.journals:
            with open(path, "w"):
                pass
            os.chmod(path, 0o666)

    def write_conf(self, relays):
        self.conf = self.folder + "/c.conf"
        text = MASTER % self.ports
        for name in relays:
            lines = "[relay %s]\ntype = %s\n%s\n" % (
                name, relays[name] % self.ports, TIMES)
            if name not in NOT_SMTP:
                lines += SMTP_TIMES + "\n"
            text += "\n".join(line.strip() for line in lines.split("\n"))
        if self.has_intake:
            text += INTAKE % self.ports
            os.mkdir(self.folder + "/disk/spool")
            os.chmod(self.folder + "/disk/spool", 0o1777)
        with open(self.conf, "w") as f:
            f.write(text)

    def sink_argv(self, *flags):
        return [need(BUILD + "/t/tools/sink"), "-q", "-l", "127.0.0.1:%d" %
                self.ports["sink"], "-j", self.journals[0], "-d", LATE_MS,
                *flags]

    def store_argv(self, *flags):
        return [need(BUILD + "/t/tools/sink"), "-q", "-m", "lmtp", "-l",
                "unix:" + self.folder + "/store.sock", "-j", self.journals[1],
                "-d", LATE_MS,
                *flags]

    def tls_argv(self, *flags):
        return [need(BUILD + "/t/tools/sink"), "-q", "-T", "-l",
                "127.0.0.1:%d" % self.ports["tls"], "-j", self.journals[3],
                "-d", LATE_MS, *flags]

    def web_argv(self, *flags):
        return [sys.executable, "-B", os.path.join(ROOT, "t/chaos/web.py"),
                "--port=%d" % self.ports["web"], "--keys",
                "--journal=" + self.journals[4], "--delay=" + LATE_MS, *flags]

    # --- start and end ---

    def start(self):
        self.proxy.start()
        self.webproxy.start()
        self.supervisor.start()

    def look(self):
        # Agents are not root's, and the server is.
        try:
            os.chmod(self.folder + "/store.sock", 0o777)
        except OSError:
            pass
        self.keep_log_small()

    def keep_log_small(self):
        if os.path.getsize(self.log_path) > LOG_MAX:
            shutil.copy(self.log_path, self.old_log)
            os.truncate(self.log_path, 0)

    def stop(self):
        """All of it; the names of processes that did not end."""
        self.undo_traces()
        self.memory.close()
        self.want_nothing()
        for pid in self.ours():
            signal_to(pid, signal.SIGCONT)
        for pid in self.with_our_log():
            if command(pid) == "nexthop-master":
                signal_to(pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while self.with_our_log() and time.monotonic() < end:
            time.sleep(0.05)
        left = ["%d %s" % (p, command(p)) for p in self.with_our_log()]
        for name in self.daemons:
            left += self.end(name, 5)
        self.proxy.is_ending = self.webproxy.is_ending = True
        self.end_supervision()
        for pid in self.with_our_log():
            signal_to(pid, signal.SIGKILL)
        return left

    # --- who is there ---

    def is_up(self):
        return subprocess.run(
            [BUILD + "/bin/nexthop", "-c", self.conf, "status"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=20).returncode == 0

    def wait_up(self, limit_s=20):
        end = time.monotonic() + limit_s
        while not self.is_up():
            if time.monotonic() > end:
                raise Failed("the master is not ready in time")
            time.sleep(0.1)

    def agents(self):
        """Children of the master now, by pid."""
        master = self.pid("master")
        if master is None:
            return {}
        found = {p: command(p) for p in children(master)}
        return {p: name for p, name in found.items() if name in AGENTS}

    def with_our_log(self):
        """Master and agents, whoever is their parent."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or not is_alive(entry):
                continue
            try:
                if os.readlink("/proc/%s/fd/2" % entry) == self.log_path:
                    found.append(int(entry))
            except OSError:
                pass
        return found

    def ours(self):
        return self.with_our_log() + [
            d.pid() for d in self.daemons.values() if d.pid() is not None]

    def upgrade(self):
        if self.pid("master") is None:
            raise Absent
        subprocess.Popen(
            [BUILD + "/bin/nexthop", "-c", self.conf, "upgrade"],
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)

    def descriptors(self):
        """How many the master has, and of each kind of agent the one with
        most."""
        found = {}
        for pid, name in [(self.pid("master"), "master"),
                          *self.agents().items()]:
            try:
                n = len(os.listdir("/proc/%s/fd" % pid))
            except OSError:
                continue
            found[name] = max(found.get(name, 0), n)
        return found

    def crashes_logged(self):
        found = []
        for path in (self.old_log, self.log_path):
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    found += [ln.strip() for ln in f if CRASH_TEXT.search(ln)]
        return found

    def reload(self):
        subprocess.Popen(
            [BUILD + "/bin/nexthop", "-c", self.conf, "reload"],
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)
