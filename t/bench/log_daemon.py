"""A log daemon beside a run, in a mount namespace with its own /dev and /run:
our agents find it where syslogd or the journal would be, and nobody else does.
"""
import os
import subprocess

from common import BUILD, Absent, Failed, need, program, stop, wait_for

LOGD = BUILD + "/t/bench/logd"
SOCKETS = {
    "syslog": "/dev/log",
    "journald": "/run/systemd/journal/socket",
    "journald-text": "/run/systemd/journal/stdout",
}

# The queue of a datagram socket is as long as systemd makes it at its start; it
# goes by the network in which the socket is made.
SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
mount -t tmpfs none /mnt
for f in null zero random urandom tty; do
    cp -a /dev/$f /mnt
done
ln -s /proc/self/fd /mnt/fd
mkdir /mnt/shm
mount --move /mnt /dev
echo 512 >/proc/sys/net/unix/max_dgram_qlen
exec "$0" "$1"
"""


class LogDaemon:
    def __init__(self, bench, target):
        if os.geteuid() != 0:
            raise Absent("the namespace of a log daemon needs root")
        self.bench = bench
        self.socket = SOCKETS[target]
        self.process = subprocess.Popen(
            [program("unshare"), "-m", "-n", "sh", "-c", SCRIPT, need(LOGD),
             self.socket],
            stdout=subprocess.PIPE, stderr=bench.log, text=True)
        self.enter = [program("nsenter"), "-t", str(self.process.pid), "-m"]
        try:
            wait_for(self.is_ready, "logd")
        except Failed:
            stop(self.process)
            raise

    def is_ready(self):
        if self.process.poll() is not None:
            raise Absent("no log daemon in a namespace of its own: see the log")
        return subprocess.run([*self.enter, "test", "-S", self.socket],
                              stderr=subprocess.DEVNULL).returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            stop(self.process)

    def floor(self, count, size):
        """CPU of a datagram of that size, in us, if nothing else is done."""
        out, _ = self.bench.finish(
            [*self.enter, LOGD, "--send=%d" % count, "--size=%d" % size,
             self.socket])
        return float(out.split()[1])

    def report(self, least):
        """Bytes a record; there must be so many at least."""
        found = {name: int(value) for name, value, _ in
                 (line.split() for line in stop(self.process).splitlines())}
        if found["records"] < least:
            raise Failed("logd: %d records, not %d" % (found["records"],
                                                       least))
        return found["bytes"] / found["records"]
