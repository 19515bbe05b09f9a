"""Control groups in which memory gets scarce: one for each time, made below the
top of the hierarchy and removed again.

What a process had before it came in stays with where it came from. It may have
so many octets more, whatever it takes them for: its own pages, buffers of its
sockets, what it writes to a disk in memory. Then the kernel kills it."""
import glob
import os
import re
import subprocess
import time

from hands import Absent

TIME_TO_LEAVE_S = 30    # of one that is dying, on a busy machine


def read(path):
    with open(path) as f:
        return f.read()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


class Version1:
    """What it says, and names of files."""
    text = "control groups (version 1)"
    limits = (("memory.limit_in_bytes", "%d"),
              ("memory.memsw.limit_in_bytes", "%d"))      # with swap
    kills = "memory.oom_control"

    def __init__(self):
        self.top = mount("cgroup", "memory")
        self.home = self.top + re.search(r"^\d+:(?:\S*,)?memory(?:,\S*)?:(.*)",
                                         read("/proc/self/cgroup"), re.M)[1]

    def close(self):
        pass


class Version2:
    text = "control groups"
    limits = (("memory.max", "%d"), ("memory.swap.max", "0"))
    kills = "memory.events"

    def __init__(self):
        self.top = mount("cgroup2", "")
        self.home = self.top + re.search(r"^0::(.*)", read(
            "/proc/self/cgroup"), re.M)[1]
        if "memory" not in read(self.top + "/cgroup.controllers").split():
            raise OSError
        control = self.top + "/cgroup.subtree_control"
        self.is_ours = "memory" not in read(control).split()
        if self.is_ours:
            write(control, "+memory")

    def close(self):
        """As it was."""
        if self.is_ours:
            try:
                write(self.top + "/cgroup.subtree_control", "-memory")
            except OSError:
                pass            # somebody else has groups there by now


def mount(kind, option):
    for line in read("/proc/self/mounts").splitlines():
        _, folder, its_kind, options = line.split()[:4]
        if its_kind == kind and option in ["", *options.split(",")]:
            return folder
    raise OSError


class Memory:
    def __init__(self):
        self.version = None
        self.text = "limits of address space; there are no control groups"
        self.groups = []
        self.numbers = self.kills = 0
        for version in Version2, Version1:
            try:
                self.version = version()
                self.try_out()
                self.text = self.version.text
                return
            except OSError:
                self.close()

    def try_out(self):
        """Whether a process can go in and come back."""
        folder = self.make()
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                self.move(process.pid, folder)
                self.move(process.pid, self.version.home)
            finally:
                process.kill()
        self.remove(folder)

    @staticmethod
    def move(pid, folder):
        write(folder + "/cgroup.procs", str(pid))

    def close(self):
        """Nothing is scarce any more, and no group is left."""
        if self.version is None:
            return
        for folder in list(self.groups):
            self.remove(folder)
        self.version.close()
        self.version = None

    def make(self):
        self.numbers += 1
        folder = "%s/nexthop-chaos.%d.%d" % (
            self.version.top, os.getpid(), self.numbers)
        os.mkdir(folder)
        self.groups.append(folder)
        if not os.path.exists(folder + "/" + self.version.limits[0][0]):
            raise OSError
        return folder

    def limit(self, folder, octets):
        """Those of swap are only there where the kernel counts it."""
        for name, value in self.version.limits:
            if os.path.exists(folder + "/" + name):
                write(folder + "/" + name, value.replace("%d", str(octets)))

    def starve(self, pid, octets):
        """May have so many more; what undoes it."""
        if self.version is None:
            raise Absent
        folder = self.make()
        try:
            self.limit(folder, octets)
            self.move(pid, folder)
        except OSError:         # it has ended
            self.remove(folder)
            raise Absent
        return lambda: self.remove(folder)

    def remove(self, folder):
        """All that is in there goes home first."""
        if folder not in self.groups:
            return
        self.groups.remove(folder)
        for path in glob.glob(folder + "/" + self.version.kills):
            found = re.search(r"^oom_kill (\d+)", read(path), re.M)
            self.kills += int(found[1]) if found else 0
        end = time.monotonic() + TIME_TO_LEAVE_S
        while True:
            for pid in read(folder + "/cgroup.procs").split():
                try:
                    self.move(pid, self.version.home)
                except OSError:
                    pass        # it has just ended
            try:
                os.rmdir(folder)
                return
            except OSError:     # one of them has forked, or is just dying
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
