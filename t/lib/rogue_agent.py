#!/usr/bin/env python3
"""An agent that breaks one rule, named by the option `mode`; else it is that
of contrib/agent-template."""

import importlib.util
import os
import signal
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location(
    'agent', os.path.join(HERE, '../../contrib/agent-template/agent.py'))
agent = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(agent)


class Rogue(agent.Agent):
    OPTIONS = dict(agent.Agent.OPTIONS, mode=('none', str), note=('', str),
                   password=('', str))

    def start(self, mode):
        """What it does instead of getting ready."""
        if mode == 'exit':
            sys.exit(3)
        if mode == 'silent':
            time.sleep(600)
        if mode == 'fault':
            self.send(agent.READY, 0, (agent.ERROR, b'no luck today'))
            self.leave(78)
        if mode == 'window':
            self.send(agent.READY, 0)
            self.leave(0)
        if mode == 'early':
            self.send(agent.DONE, 7)
        if mode == 'deaf':
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if mode == 'once':
            flag = self.conf['note']
            if os.path.exists(flag):
                sys.exit(4)
            open(flag, 'w').close()

    def configure(self, values):
        super().configure(values)
        self.start(values.get('mode'))

    def take_frame(self, kind, ident, body, fd):
        if kind == agent.DRAIN and self.conf['mode'] == 'deaf':
            return
        super().take_frame(kind, ident, body, fd)

    def result(self, d, index=0, text='from a rogue'):
        self.answer(d, index, 1, 250, (2, 0, 0), text)

    def die(self):
        self.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def hand_on(self, d):
        act = getattr(self, 'hand_' + self.conf['mode'], super().hand_on)
        act(d)

    def hand_die(self, d):
        """Dead as soon as it has handed on: not a matter of its own."""
        self.forward(d, self.conf['relay'])
        self.die()

    def hand_half(self, d):
        """Hands the odd ones on, answers the first, forgets the others."""
        self.forward(d, self.conf['relay'], range(1, len(d.rcpts), 2))
        self.result(d)
        self.done(d)

    def hand_both(self, d):
        """An answer and a FORWARD for the same, in either order."""
        self.result(d)
        self.forward(d, self.conf['relay'], range(len(d.rcpts)))
        for index in range(len(d.rcpts)):
            self.result(d, index, 'a lie')
        self.forward(d, self.conf['relay'])
        self.done(d)

    def hand_odd(self, d):
        """Twice in one set, and some that are not there."""
        self.forward(d, self.conf['relay'], [0, 0, 1000, 2 ** 32 - 1])
        self.forward(d, self.conf['relay'], [])
        super().hand_on(d)

    def hand_mute(self, d):
        """Neither DONE nor anything else afterwards."""
        self.forward(d, self.conf['relay'])

    def hand_keep(self, d):
        """Hands the last one on, and keeps the others for ever."""
        self.forward(d, self.conf['relay'], [len(d.rcpts) - 1])

    def hand_oncancel(self, d):
        """Not before it is told to stop."""

    def hand_late(self, d):
        self.done(d)
        self.forward(d, self.conf['relay'])

    def hand_split(self, d):
        """Each one by itself."""
        for index in range(len(d.rcpts)):
            self.forward(d, self.conf['relay'], [index])
        self.done(d)

    def hand_norelay(self, d):
        self.send(agent.FORWARD, d.id)

    def hand_set(self, d):
        self.send(agent.FORWARD, d.id, (agent.RELAY, b'x'),
                  (agent.RCPT_SET, b'abc'))

    def hand_line(self, d):
        self.send(agent.FORWARD, d.id, (agent.RELAY, b'x'),
                  (agent.EHLO, b'a\r\nDATA'))

    def hand_double(self, d):
        self.send(agent.FORWARD, d.id, (agent.RELAY, b'x'),
                  (agent.RELAY, b'y'))

    def attempt(self, d):
        """`quiet` is done before it ever came to the end of data."""
        if self.conf['mode'] == 'quiet':
            self.result(d)
            self.done(d)
        else:
            super().attempt(d)

    def finish(self, d):
        act = getattr(self, 'do_' + self.conf['mode'], None)
        if act is None or d.id not in self.open:
            super().finish(d)
        else:
            act(d)

    def do_hang(self, d):
        pass

    def do_stats(self, d):
        """Statistics of which some are sound."""
        def value(n):
            return agent.STAT_VALUE, struct.pack('>Q', n)

        def named(name, n):
            return (agent.STAT_NAME, name), value(n)

        attrs = [value(1), *named(b'mine_total', 5), *named(b'mine', 6),
                 *named(b'mine{a="b"}', 7), *named(b'requests', 8),
                 *named(b'Evil', 1), *named(b'evil"} 1\nx', 1),
                 *named(b'evil{relay="other"}', 1), *named(b'phase', 1),
                 (agent.STAT_NAME, b'phase{phase="run"}'), (69, b'short'),
                 (agent.STAT_NAME, b'phase{phase="run"}'),
                 (69, struct.pack('>22Q', 1500000, *range(21)))]
        for host in b'a"b\\c\n:25', b'\xff\xfe:25', b'', b'h' * 300:
            attrs += [(70, host), (71, b'451 no\x1b[2J'),
                      *named(b'waiting', 3), *named(b'phase', 1)]
        self.send(agent.STATS, 0, *attrs)
        super().finish(d)

    def do_forget(self, d):
        """Those for forget@ are never answered, CANCEL or not."""
        if not d.rcpts[0].startswith(b'forget@'):
            super().finish(d)

    def do_wordy(self, d):
        for index in range(len(d.rcpts)):
            self.result(d, index, 'x' * 1500)
        self.done(d)

    def do_fewer(self, d):
        self.result(d)
        self.done(d)

    def do_twice(self, d):
        self.result(d)
        self.result(d, text='again')
        for index in range(1, len(d.rcpts)):
            self.result(d, index)
        self.done(d)

    def do_range(self, d):
        self.result(d, len(d.rcpts))
        super().finish(d)

    def do_late(self, d):
        super().finish(d)
        self.result(d)

    def do_unknown(self, d):
        self.send(agent.DONE, 99 << 32 | 77)

    def do_badresult(self, d):
        self.answer(d, 0, 9, 250, (2, 0, 0), 'x')

    def do_nul(self, d):
        self.result(d, text='a\0b')

    def do_forward(self, d):
        self.send(8, d.id, (agent.RELAY, b'other'))

    def do_garbage(self, d):
        self.to_send += b'\xff' * 64

    def do_type(self, d):
        self.send(200, d.id)

    def do_cut(self, d):
        """Half a frame, then the end."""
        self.to_send += agent.frame(agent.DONE, d.id)[:9]
        self.flush()
        sys.exit(0)

    def do_descriptor(self, d):
        self.flush()
        data = bytearray(agent.frame(agent.DONE, d.id))
        struct.pack_into('>H', data, 6, agent.HAS_FD)
        socket.send_fds(self.sock, [bytes(data)], [0])

    def do_partial(self, d):
        """One answer, then death: the answer counts."""
        self.result(d)
        self.die()

    def do_exit(self, d):
        self.flush()
        sys.exit(5)

    def do_show(self, d):
        """Its environment, rights and descriptors, as text."""
        with open('/proc/self/status') as f:
            status = dict(line.rstrip('\n').split(':\t', 1) for line in f)
        limit = [line.split()[3] for line in open('/proc/self/limits')
                 if line.startswith('Max open files')]
        seen = ['env=' + ','.join(sorted(os.environ)),
                'uid=' + status['Uid'].replace('\t', ','),
                'gid=' + status['Gid'].replace('\t', ','),
                'newprivs=' + status['NoNewPrivs'],
                'argv=' + ' '.join(sys.argv),
                'pgrp=%s' % (os.getpgrp() == os.getpid()),
                'stdin=' + os.readlink('/proc/self/fd/0'),
                'cwd=' + os.getcwd(),
                'files=' + limit[0],
                'fds=' + ','.join(sorted(os.listdir('/proc/self/fd'),
                                         key=int))]
        self.result(d, text=' '.join(seen))
        self.done(d)

    def do_body(self, d):
        import hashlib
        data = d.read()
        self.result(d, text='%s %d %s' % (
            'inline' if d.fd is None else 'fd', len(data),
            hashlib.sha256(data).hexdigest()))
        self.done(d)

    def cancel(self, d):
        """Leaves a trace."""
        if self.conf['mode'] in ('forget', 'keep') and \
                d.rcpts[0].startswith(b'forget@'):
            return
        if self.conf['mode'] == 'oncancel':
            self.forward(d, self.conf['relay'])
            self.done(d)
            return
        if self.conf['note']:
            with open(self.conf['note'], 'a') as f:
                f.write('cancel\n')
        super().cancel(d)


agent.main(Rogue)
