"""What the benches share: servers that count, runs, figures, the table."""
import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get("NH_ROOT") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("NH_BUILD") or
                        os.path.join(ROOT, "build/release"))
LIBEXEC = BUILD + "/libexec/nexthop"
DRIVE = BUILD + "/t/bench/drive"
STATIC = LIBEXEC + "/smtp-static"
LMTP = LIBEXEC + "/lmtp"
BLACKHOLE = LIBEXEC + "/blackhole"
HTTP = LIBEXEC + "/http"
PIPE = LIBEXEC + "/pipe"
LIMIT_S = 60           # for any one run
SENDER, RCPT = "a@src.example", "b@dst.example"


class Absent(Exception):
    """A program that a cell needs is not there."""


class Failed(Exception):
    """A run went wrong: mail lost or doubled, no end in time, bad exit."""


def need(path):
    if not os.access(path, os.X_OK):
        raise Absent(os.path.basename(path) + " is not there")
    return path


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        raise Absent(name + " is not there")
    return path


def wait_for(condition, what, limit_s=10):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise Failed(what + ": not in time")
        time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def stop(process, sig=signal.SIGTERM):
    """End a child of ours; whatever it wrote to a pipe."""
    if process.poll() is None:
        process.send_signal(sig)
    try:
        return process.communicate(timeout=20)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("%s did not end" % process.args[0])


class Sink:
    """Our counting server; checks at the end that all mail came once."""

    def __init__(self, bench, *args, enter=()):
        self.same = "-U" in args
        self.is_hashing = "-H" not in args
        self.digests = bench.digests
        port_file = bench.path("sink.port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        self.process = subprocess.Popen(
            [*enter, need(BUILD + "/t/tools/sink"), "-q", "-l", "127.0.0.1:0",
             "-P", port_file, "-t", str(2 * LIMIT_S), *args],
            stdout=subprocess.PIPE, stderr=bench.log, text=True)
        try:
            wait_for(lambda: os.path.exists(port_file) and
                     os.path.getsize(port_file) > 0, "sink")
        except Failed:
            stop(self.process)
            raise
        self.port = open(port_file).read().strip()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            stop(self.process)

    def report(self, what, count, size=None):
        """What came; size tells which of drive's messages they were."""
        report = json.loads(stop(self.process))
        came = report["messages" if self.same else "unique"]
        if came != count or report["duplicates"] != 0:
            raise Failed("%s: %d messages sent, %d arrived, %d twice" % (
                what, count, came, report["duplicates"]))
        if size is not None and self.is_hashing and self.digests.setdefault(
                (count, size), report["digest"]) != report["digest"]:
            raise Failed(what + ": not the messages that came earlier")
        return report


class Nginx:
    """A web server that takes everything; checks that all requests came."""

    CONF = """daemon off;
        worker_processes 1;
        pid %(folder)s/nginx.pid;
        error_log %(folder)s/nginx.err;
        events { worker_connections 1024; }
        http {
            log_format key '$http_idempotency_key';
            access_log %(folder)s/nginx.keys key;
            client_body_temp_path %(folder)s/nginx.tmp;
            proxy_temp_path %(folder)s/nginx.tmp;
            fastcgi_temp_path %(folder)s/nginx.tmp;
            uwsgi_temp_path %(folder)s/nginx.tmp;
            scgi_temp_path %(folder)s/nginx.tmp;
            keepalive_requests 1000000;
            server {
                listen 127.0.0.1:%(port)d;
                location / { return 204; }
            }
        }
        """

    def __init__(self, bench):
        self.keys = bench.path("nginx.keys")
        self.port = free_port()
        os.chmod(bench.folder, 0o755)
        conf = bench.path("nginx.conf")
        with open(conf, "w") as f:
            f.write(self.CONF % {"folder": bench.folder, "port": self.port})
        if os.path.exists(self.keys):
            os.unlink(self.keys)
        self.process = subprocess.Popen(
            [program("nginx"), "-e", bench.path("nginx.err"),
             "-p", bench.folder, "-c", conf],
            stdout=bench.log, stderr=bench.log)
        try:
            wait_for(lambda: listens(self.port), "nginx")
        except Failed:
            stop(self.process)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        stop(self.process)

    def report(self, what, count):
        """Each message has a key of its own."""
        stop(self.process)
        with open(self.keys) as f:
            keys = f.readlines()
        if len(keys) != count or len(set(keys)) != count:
            raise Failed("%s: %d messages sent, %d requests of %d keys" % (
                what, count, len(keys), len(set(keys))))


class Bench:
    def __init__(self, folder, quick):
        self.folder = folder
        self.quick = quick
        self.log = open(self.path("log"), "a")
        self.notes = {}
        self.digests = {}       # by number and size of messages

    def path(self, name):
        return os.path.join(self.folder, name)

    def count(self, full, quick):
        return quick if self.quick else full

    def message(self, size):
        """A file with a message."""
        path = self.path("message.%d" % size)
        head = ("From: <a@src.example>\r\nTo: <b@dst.example>\r\n"
                "Subject: bench\r\nMessage-ID: <bench@src.example>\r\n\r\n")
        if not os.path.exists(path):
            with open(path, "w", newline="") as f:
                f.write((head + ("x" * 76 + "\r\n") * size)[:size - 2]
                        .rstrip("\r\n") + "\r\n")
        return path

    def finish(self, command, **streams):
        """Run to a good end, in time; its output and its CPU seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        streams.setdefault("stdout", subprocess.PIPE)
        try:
            done = subprocess.run(command, stderr=self.log, text=True,
                                  timeout=LIMIT_S, **streams)
        except subprocess.TimeoutExpired:
            raise Failed(command[0] + ": no end in time")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise Failed("%s: exit status %d" % (command[0],
                                                 done.returncode))
        return done.stdout, (after.ru_utime - before.ru_utime +
                             after.ru_stime - before.ru_stime)

    def drive(self, count, *args, enter=()):
        """The figures that drive prints, by name."""
        out, _ = self.finish([*enter, need(DRIVE), "--count=%d" % count,
                              "--timeout=%d" % (LIMIT_S * 900), *args])
        found = {}
        for line in out.splitlines():
            name, value, _ = line.split()
            found[name] = float(value)
        if found["lost"] or found["delivered"] != count:
            raise Failed("drive: %d of %d delivered" % (
                found["delivered"], count))
        return found

    def close(self):
        self.log.close()


# --- counting system calls --------------------------------------------------

def perf_counter(bench):
    return [program("perf"), "stat", "-x,", "-e", "raw_syscalls:sys_enter",
            "-o", bench.path("calls")]


def perf_total(bench):
    with open(bench.path("calls")) as f:
        for line in f:
            if "raw_syscalls" in line and line[0].isdigit():
                return int(line.split(",")[0])
    raise Absent("perf cannot count here")


def strace_counter(bench):
    return [program("strace"), "-c", "-o", bench.path("calls")]


def strace_total(bench, name, count):
    """The number of calls; which they were becomes a note."""
    calls = []
    with open(bench.path("calls")) as f:
        for line in f:
            row = re.match(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$",
                           line)
            if row and row[2] != "total":
                calls.append((int(row[1]), row[2]))
    calls.sort(reverse=True)
    bench.notes[name] = ", ".join("%s %.2f" % (call, n / count)
                                  for n, call in calls[:10])
    return sum(n for n, _ in calls)


# --- rounds and the table ---------------------------------------------------

def run_round(bench, ways, cells, values, troubles):
    done = {}

    def run(way):
        if way not in done:
            bench.log.truncate(0)   # a line a message
            done[way] = way(bench)
        return done[way]

    for cell in cells:
        if cell in troubles:
            continue
        try:
            for name, value in ways[cell](run).items():
                values.setdefault(name, []).append(value)
        except (Absent, Failed) as e:
            troubles[cell] = e
            if isinstance(e, Failed):
                print_log(bench)


def print_log(bench):
    bench.log.flush()
    with open(bench.log.name, errors="replace") as f:
        sys.stderr.writelines(f.readlines()[-10:])


def mark(value, sense, must, aim):
    if sense is None:
        return ""
    better = (lambda a, b: a >= b) if sense == ">=" else (
        lambda a, b: a <= b)
    if not better(value, must):
        return "short"
    return "OK" if aim is None or not better(value, aim) else "OK, aim"


def number(value):
    return "%.0f" % value if abs(value) >= 1000 else "%.2f" % value


def print_table(bench, figures, cells, values, troubles, out):
    line = "%-5s %-28s %10s %-7s %8s %8s  %-8s %s"
    print(line % ("cell", "figure", "median", "unit", "must", "aim", "",
                  "lowest - highest"))
    for cell, name, unit, sense, must, aim in figures:
        if cell not in cells or name not in values:
            continue
        got = values[name]
        median = statistics.median(got)
        bound = [("" if x is None else "%s %g" % (sense, x))
                 for x in (must, aim)]
        print(line % (cell, name, number(median), unit, *bound,
                      "" if bench.quick else mark(median, sense, must, aim),
                      "%s - %s" % (number(min(got)), number(max(got)))))
        if out:
            out.write("%s %.3f %s\n" % (name, median, unit))
    for cell, why in sorted(troubles.items()):
        print("cell %s: %s: %s" % (
            cell, "left out" if isinstance(why, Absent) else "FAILED", why))
    for name, note in bench.notes.items():
        print("%s: %s" % (name, note))


def raise_limits():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 20000 and os.geteuid() == 0:
        hard = 20000
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def on_alarm(*unused):
    raise TimeoutError


def measure(doc, figures, ways, bench_class=Bench):
    """The whole of a bench: options, rounds, the table; its exit status.
    ways: by cell, what yields its figures, given run()."""
    names = {str(cell): cell for cell in ways}
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", default=",".join(names),
                        help="some of %(default)s")
    parser.add_argument("--quick", action="store_true",
                        help="little mail, one round: does it work at all")
    parser.add_argument("--out", type=argparse.FileType("w"),
                        help="the medians as lines of name value unit")
    args = parser.parse_args()
    try:
        cells = [names[c] for c in args.cells.split(",")]
    except KeyError as e:
        parser.error("--cells: there is no cell %s" % e)
    raise_limits()
    signal.signal(signal.SIGALRM, on_alarm)
    values, troubles = {}, {}
    with tempfile.TemporaryDirectory(prefix="nexthop-bench.") as folder:
        bench = bench_class(folder, args.quick)
        try:
            for n in range(1 if args.quick else args.rounds):
                if sys.stderr.isatty():
                    print("round %d" % (n + 1), file=sys.stderr)
                run_round(bench, ways, cells, values, troubles)
        finally:
            bench.close()
        print_table(bench, figures, cells, values, troubles, args.out)
    return 1 if any(isinstance(e, Failed) for e in troubles.values()) else 0
