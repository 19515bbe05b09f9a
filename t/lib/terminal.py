#!/usr/bin/env python3
"""A terminal for a test: runs a command in one, sends it keys, and says what is
on its screen.

    terminal.py COLUMNSxROWS STEP... -- COMMAND...

Steps, in order:
    wait:TEXT        until the screen holds it, for 40 seconds
    match:REGEX      likewise
    gone:TEXT        until it does not
    key:KEYS         type them; \\e is escape
    size:COLUMNSxROWS  the window changes, and is drawn anew
    signal:NAME      to the command
    run:COMMAND      by a shell
    print            the screen, and how many lines the last picture scrolled
    end              until the command ends, for 40 seconds; prints its status
                     and whether the terminal is as it was

The screen knows what `nexthop top` writes: lines, ESC [ H, ESC [ K, ESC [ J,
ESC [ 2 J, the second screen; of others it complains.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

LIMIT = 40
IN_FLIGHT = 2           # pictures that may have been drawn for the size before


class Screen:
    def __init__(self, columns, rows):
        self.second = False
        self.hidden = False
        self.pictures = 0
        self.resize(columns, rows)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self):
        self.lines = [''] * self.rows
        self.x = self.y = 0
        self.scrolled = 0

    def text(self):
        return '\n'.join(line.rstrip() for line in self.lines)

    def put(self, c):
        if c == '\r':
            self.x = 0
        elif c == '\n':
            self.y += 1
            if self.y == self.rows:
                self.lines = self.lines[1:] + ['']
                self.y -= 1
                self.scrolled += 1
        else:
            if self.x == self.columns:      # it wraps
                self.x = 0
                self.put('\n')
            line = self.lines[self.y].ljust(self.columns)
            self.lines[self.y] = line[:self.x] + c + line[self.x + 1:]
            self.x += 1

    def escape(self, what):
        if what == '[H':
            self.x = self.y = self.scrolled = 0
            self.pictures += 1
        elif what == '[K':
            self.lines[self.y] = self.lines[self.y][:self.x]
        elif what == '[J':
            self.escape('[K')
            for y in range(self.y + 1, self.rows):
                self.lines[y] = ''
        elif what == '[2J':
            self.lines = [''] * self.rows
        elif what in ('[?1049h', '[?1049l'):
            self.second = what.endswith('h')
        elif what in ('[?25h', '[?25l'):
            self.hidden = what.endswith('l')
        elif not re.fullmatch(r'\[[0-9;]*m', what):
            raise SystemExit('unknown escape %r' % what)


class Terminal:
    def __init__(self, size, command):
        self.left = ''
        self.screen = Screen(*size)
        is_ready, tell = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.read(is_ready, 1)            # until it has its size
            os.close(is_ready)
            os.close(tell)
            os.execvp(command[0], command)
        self.set_size(*size)
        self.modes = termios.tcgetattr(self.fd)
        os.write(tell, b'x')
        os.close(is_ready)
        os.close(tell)

    def set_size(self, columns, rows):
        self.screen.resize(columns, rows)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def change_size(self, columns, rows):
        self.set_size(columns, rows)
        drawn = self.screen.pictures
        self.until('size', lambda: self.screen.pictures > drawn + IN_FLIGHT)

    def read(self, seconds):
        """False: the command has closed its side."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.left += data.decode(errors='replace')
        while self.left:
            m = re.match(r'\033(\[[0-9;?]*[A-Za-z])', self.left)
            if m:
                self.screen.escape(m.group(1))
                self.left = self.left[m.end():]
            elif self.left[0] == '\033' and len(self.left) < 12:
                break                       # the rest will come
            else:
                self.screen.put(self.left[0])
                self.left = self.left[1:]
        return bool(data)

    def until(self, what, is_so):
        end = time.monotonic() + LIMIT
        while not is_so():
            if time.monotonic() > end or not self.read(0.1):
                print(self.screen.text())
                raise SystemExit('%s: it was not so' % what)

    def end(self):
        end = time.monotonic() + LIMIT
        pid, is_open = 0, True
        while not pid and time.monotonic() < end:
            is_open = is_open and self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not is_open:
                time.sleep(0.02)
        if not pid:
            os.kill(self.pid, signal.SIGKILL)
            raise SystemExit('it does not end')
        self.pid = 0
        while select.select([self.fd], [], [], 0)[0] and self.read(0):
            pass
        print('status', os.waitstatus_to_exitcode(status))
        same = termios.tcgetattr(self.fd) == self.modes
        print('terminal', 'restored' if same and not self.screen.second and
              not self.screen.hidden else 'spoilt')


def size_of(text):
    return [int(n) for n in text.split('x')]


def main():
    split = sys.argv.index('--')
    steps, command = sys.argv[2:split], sys.argv[split + 1:]
    t = Terminal(size_of(sys.argv[1]), command)
    for step in steps:
        verb, _, what = step.partition(':')
        if verb == 'wait':
            t.until(step, lambda: what in t.screen.text())
        elif verb == 'match':
            t.until(step, lambda: re.search(what, t.screen.text()))
        elif verb == 'gone':
            t.until(step, lambda: what not in t.screen.text())
        elif verb == 'key':
            os.write(t.fd, what.replace('\\e', '\033').encode())
        elif verb == 'size':
            t.change_size(*size_of(what))
        elif verb == 'signal':
            os.kill(t.pid, getattr(signal, 'SIG' + what))
        elif verb == 'run':
            subprocess.run(what, shell=True, check=True)
        elif verb == 'print':
            print(t.screen.text())
            print('scrolled', t.screen.scrolled)
        elif verb == 'end':
            t.end()
        else:
            raise SystemExit('unknown step ' + step)
    if t.pid:
        os.kill(t.pid, signal.SIGKILL)
        os.waitpid(t.pid, 0)


main()
