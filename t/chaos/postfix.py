"""The cell "postfix": a Postfix of our own, whose queue an agent of ours drains
as a service of master.cf. Postfix keeps the messages.

Clients submit to smtpd(8). A message it took must come, once, to each of its
recipients. More copies need a doubt each (maillog.py), and one that has no
other reason than that an agent died must have come over a connection on which
the agent said nothing more once it had the reply: it marks a recipient before
it goes on.
"""
import hashlib
import os
import random
import signal
import smtplib
import socket
import subprocess
import threading
import time

from common import BUILD, STATIC, Failed, free_port, need
from hands import Daemon, Hands, signal_to
from instance import DAEMONS, Instance, of_process
from ledger import excess, read_copies, settle
from maillog import Log, Upsets
from proxy import Proxy
from world import LATE_MS

CLIENTS = 6

MAIN = {
    "default_transport": "out:",
    "default_destination_concurrency_limit": "40",
    "initial_destination_concurrency": "20",
    "default_destination_concurrency_failed_cohort_limit": "0",
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "3s",
    "transport_retry_time": "1s",
    "service_throttle_time": "1s",
    "ipc_timeout": "30s",
    "enable_long_queue_ids": "yes",
    "notify_classes": "",
    # A log that stands still for longer stops all of Postfix, for good.
    "postlogd_watchdog_timeout": "300s",
}
SERVICES = ("out unix - - n - 1 %s -o host=127.0.0.1:%d,127.0.0.1:%d "
            "-o concurrent_connections=20 -o connect_timeout=2 "
            "-o command_timeout=4 -o data_timeout=6 -o queue_timeout=8 "
            "-o attempt_timeout=15 -o dead_host_time=1\n")


class Bench:
    """What t/bench/instance.py wants of a bench."""

    def __init__(self, folder, log):
        self.folder, self.log = folder, log

    def path(self, name):
        return os.path.join(self.folder, name)


class PostWorld(Hands):
    def __init__(self, folder, seed):
        super().__init__(folder)
        self.journals = [folder + "/steady/journal.sink"]
        self.ports = {"sink": free_port(), "proxy": free_port()}
        self.proxy = Proxy(self.ports["proxy"], self.ports["sink"], seed)
        self.daemons = {"sink": Daemon("sink", self.sink_argv(), self.err)}
        self.postfix = Instance(Bench(folder + "/disk", self.err))
        # What tells of doubts must not be lost where the queue has no room.
        self.postfix.maillog = folder + "/steady/maillog"
        self.upsets = Upsets()
        self.is_up = False
        self.wake_at = 0.0

    def sink_argv(self, *flags):
        return [need(BUILD + "/t/tools/sink"), "-q", "-l", "127.0.0.1:%d" %
                self.ports["sink"], "-j", self.journals[0], "-J", "-d",
                LATE_MS, *flags]

    def start(self):
        self.proxy.start()
        self.supervisor.start()
        os.chmod(self.folder + "/disk", 0o755)
        p = self.postfix
        p.start({**MAIN, "maillog_file_prefixes": self.folder},
                SERVICES % (p.agent(need(STATIC)), self.ports["proxy"],
                            self.ports["sink"]))
        self.is_up = True

    def look(self):
        """Postfix's master(8), where it has ended; and what wakes qmgr(8)."""
        p = self.postfix
        now = time.monotonic()
        if self.is_up and now >= self.wake_at:
            self.wake_at = now + 1
            self.wake()
        if self.is_up and p.master.poll() is not None:
            self.crash_rest()
            p.master = subprocess.Popen(
                [p.daemons + "/master", "-c", p.conf, "-d"],
                env={**os.environ, "MAIL_CONFIG": p.conf,
                     "MAIL_LOGTAG": "postfix"},
                preexec_fn=p.group.enter, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)

    def wake(self):
        """By itself it looks into incoming every 300 s."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(0.5)
            try:
                s.connect(self.postfix.queue + "/public/qmgr")
                s.send(b"I")
            except OSError:
                pass

    def crash_rest(self):
        self.upsets.add(True)
        for pid in self.postfix.group.pids():
            signal_to(pid, signal.SIGKILL)
        end = time.monotonic() + 5
        while self.postfix.group.pids() and time.monotonic() < end:
            time.sleep(0.01)

    def crash(self):
        """SIGKILL to all of Postfix, agents included."""
        self.upsets.add(True)
        for pid in self.postfix.group.pids():
            signal_to(pid, signal.SIGKILL)

    def trace(self, pid, calls, error, when):
        """What an agent cannot write is not in the log."""
        process = super().trace(pid, calls, error, when)
        process.upset = self.upsets.add(True, end=float("inf"))
        return process

    def undo_trace(self, process):
        super().undo_trace(process)
        process.upset[1] = time.monotonic()

    def files(self, *folders):
        """Messages. A file that is not executable was not complete when its
        writer died: no client was told that it is there."""
        found = []
        for folder in folders:
            for root, _, names in os.walk(self.postfix.queue + "/" + folder):
                found += [n for n in names if os.access(
                    os.path.join(root, n), os.X_OK)]
        return found

    def stop(self):
        self.undo_traces()
        self.want_nothing()
        self.is_up = False
        pids = self.postfix.group.pids() if self.postfix.group else []
        for pid in pids + [self.pid("sink")]:
            if pid is not None:
                signal_to(pid, signal.SIGCONT)
        left = []
        try:
            self.postfix.stop()
        except Failed as e:
            left = [str(e)]
        except subprocess.TimeoutExpired:
            self.crash_rest()
            self.postfix.group.remove()
            left = ["Postfix's master"]
        left += self.end("sink", 5)
        self.proxy.is_ending = True
        self.end_supervision()
        return left

    # --- who is there ---

    def agents(self):
        if not self.is_up:
            return {}
        found = {p: of_process(p, "comm") for p in self.postfix.group.pids()}
        return {p: name for p, name in found.items()
                if name and name not in DAEMONS and name != "strace"}

    def pid(self, name):
        if name in self.daemons:
            return super().pid(name)
        if not self.is_up:
            return None
        for pid in self.postfix.group.pids():
            if of_process(pid, "comm") == name:
                return pid
        return None

    def reload(self):
        """What `postfix reload` does."""
        pid = self.pid("master")
        if pid is not None:
            signal_to(pid, signal.SIGHUP)


class Submitters:
    """SMTP clients; rows: by name, to how many recipients Postfix owes it, to
    how many it may come, and its digest."""
    most = 1 << 30          # copies; settle() looks at bodies only

    def __init__(self, port, seed, rate, log):
        self.port, self.seed, self.rate, self.log = port, seed, rate, log
        self.lock = threading.Lock()
        self.rows = {}
        self.rcpts = {}         # by name
        self.count = {"taken": 0, "refused": 0, "unknown": 0}
        self.numbers = 0
        self.is_ending = False
        self.trouble = None
        self.threads = [threading.Thread(
            target=self.run, args=(i,), daemon=True) for i in range(CLIENTS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def run(self, index):
        try:
            rng = random.Random(self.seed * CLIENTS + index)
            while not self.is_ending:
                self.session(rng)
        except BaseException as e:
            self.trouble = e
            raise

    def session(self, rng):
        try:
            smtp = smtplib.SMTP("127.0.0.1", self.port, "src.example",
                                timeout=20)
        except (OSError, smtplib.SMTPException):
            time.sleep(0.1)
            return
        try:
            smtp.ehlo()
            while not self.is_ending:
                self.message(smtp, rng)
                time.sleep(rng.expovariate(self.rate / CLIENTS))
        except (OSError, smtplib.SMTPException):
            time.sleep(0.05)
        finally:
            smtp.close()

    def message(self, smtp, rng):
        with self.lock:
            self.numbers += 1
            name = "%d.%d.pf@chaos" % (self.seed, self.numbers)
        line = b"%x\r\n" % rng.getrandbits(256)
        body = line * int(min(3000, rng.lognormvariate(3, 1.3)) + 1)
        nrcpt = rng.choice((1, 1, 1, 3))
        digest = hashlib.sha256(body + name.encode()).digest()[:8]
        rcpts = ["r%d@d%d.test" % (i, rng.randrange(9)) for i in range(nrcpt)]
        self.log.times[name] = time.monotonic()
        outcome = "refused"
        try:
            if smtp.mail("a@src.example")[0] != 250:
                raise smtplib.SMTPException
            for rcpt in rcpts:
                if smtp.rcpt(rcpt)[0] != 250:
                    raise smtplib.SMTPException
            outcome = "unknown"
            code, _ = smtp.data(
                b"Message-ID: <%s>\r\nFrom: a@src.example\r\n\r\n" %
                name.encode() + body)
            outcome = "taken" if code == 250 else "refused"
        except smtplib.SMTPDataError:
            outcome = "refused"         # no 354
            raise
        finally:
            with self.lock:
                self.count[outcome] += 1
                self.rcpts[name] = rcpts
                self.rows[name] = (nrcpt if outcome == "taken" else 0,
                                   nrcpt if outcome == "unknown" else 0,
                                   digest)


class Postfix:
    name = "postfix"

    def __init__(self, args, folder):
        self.world = PostWorld(folder, args.seed)
        self.log = Log(self.world.postfix.maillog, os.path.basename(STATIC),
                       self.world.upsets)
        self.rate = min(args.rate, 150)
        self.seed = args.seed
        self.submitters = None

    def start(self):
        self.world.start()
        self.log.start()
        self.submitters = Submitters(self.world.postfix.port, self.seed,
                                     self.rate, self.log)
        self.submitters.start()

    def check(self):
        if self.submitters.trouble is not None:
            raise Failed("a client: %r" % self.submitters.trouble)

    def watch(self, call):
        with self.log.lock:
            self.log.watches.append((time.monotonic(), call))

    def calm(self):
        pass

    def is_recovered(self):
        return not self.log.watches

    def end_input(self):
        self.submitters.is_ending = True
        for thread in self.submitters.threads:
            thread.join()

    def is_settled(self):
        return not self.world.files("incoming", "active", "deferred",
                                    "maildrop")

    def is_idle(self):
        return True

    def finish(self):
        if self.submitters is not None:
            self.end_input()
        self.queue = self.world.files("incoming", "active", "deferred",
                                      "maildrop", "corrupt", "hold")
        left = self.world.stop()
        time.sleep(0.2)
        self.log.is_ending = True
        if self.log.ident is not None:
            self.log.join()
        self.settle()
        return left

    def settle(self):
        """By message whether what came is what was sent, then by recipient how
        often."""
        books = self.submitters
        rows = books.rows if books else {}
        self.totals = t = settle({
            name: (0, books.most, digest)
            for name, (_, _, digest) in rows.items()}, self.world.journals)
        t.in_doubt = t.inside = self.unheard = 0
        copies = read_copies(self.world.journals[0])
        qids = {name: qid for qid, name in self.log.names.items()}
        for name, (owed, may, _) in rows.items():
            for rcpt in books.rcpts[name]:
                self.settle_rcpt(qids.get(name), name, rcpt, owed, may,
                                 copies.get((name, rcpt), []))

    def settle_rcpt(self, qid, name, rcpt, owed, may, came):
        t, log = self.totals, self.log
        told = log.told.get((qid, rcpt), 0) + max(
            0, log.sent.get((qid, rcpt), 0) - 1)
        unheard = log.unheard(qid, rcpt)
        t.in_doubt += told + unheard
        t.inside += max(0, len(came) - 1)
        self.unheard += unheard
        if owed and not came:
            t.lost.append("%s %s" % (name, rcpt))
        if came and not owed and not may:
            t.outside.append("%s %s: it was refused" % (name, rcpt))
        elif excess(came, told, unheard) > 0:
            t.outside.append("%s %s: %d copies, %d told, %d unheard" % (
                name, rcpt, len(came), told, unheard))

    def figures(self):
        return ["submitted: " + ", ".join("%s %d" % kv for kv in
                                          self.submitters.count.items()),
                "recipients: sent %d, in doubt %d, of them unheard %d" % (
                    sum(self.log.sent.values()), self.totals.in_doubt,
                    self.unheard)]

    def unsettled(self):
        return ["%s in the queue" % qid for qid in self.queue]

    def unanswered(self):
        return self.log.missing()

    def wrong(self):
        return self.log.other + self.log.sent_twice()

    def crashes(self):
        return self.world.crashes() + self.log.crashes

    def reasons(self):
        return self.log.reasons
