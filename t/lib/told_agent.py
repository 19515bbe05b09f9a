#!/usr/bin/env python3
"""An agent that answers each recipient as the words of its local part say, and
writes down what it was given; else it is that of contrib/agent-template.

Words, with '-' between: ok temp perm lines long utf8 421: the answer;
slowN: after N tenths of a second; die: the agent dies at end of data; hold:
only after the file `go` is there, or CANCEL.

`note` is a folder: N.env is the envelope, one NAME=VALUE a line, N.body the
message, for the N-th delivery of the process.
"""

import importlib.util
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location(
    'agent', os.path.join(HERE, '../../contrib/agent-template/agent.py'))
agent = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(agent)

ANSWERS = {
    'ok': (1, 250, (2, 0, 0), 'stored'),
    'temp': (2, 450, (4, 2, 1), 'try later'),
    'perm': (3, 550, (5, 1, 1), 'no such user'),
    'lines': (1, 250, (2, 6, 0), 'one\ntwo\nthree'),
    'long': (1, 250, (2, 6, 0), 'word ' * 400),
    'utf8': (3, 550, (5, 1, 1), 'gr\u00fcn'),
    '421': (2, 421, (4, 4, 2), 'lost connection'),
}
NAMES = {5: 'relay', 16: 'id', 17: 'sender', 18: 'rcpt', 19: 'orcpt',
         20: 'notify', 24: 'envid', 25: 'ret', 26: 'body', 27: 'flags',
         28: 'ip', 29: 'host', 30: 'helo', 31: 'proto', 32: 'auth',
         33: 'arrival', 35: 'deadline', 39: 'no_wait'}


class Told(agent.Agent):
    OPTIONS = dict(agent.Agent.OPTIONS, note=('', str))
    count_seen = 0

    def take_frame(self, kind, ident, body, fd):
        if kind == agent.DELIVER:
            self.count_seen += 1
            self.keep(agent.Delivery(ident, body, fd), body)
        super().take_frame(kind, ident, body, fd)

    def keep(self, d, body):
        base = '%s/%d.%d' % (self.conf['note'], os.getpid(), self.count_seen)
        with open(base + '.body', 'wb') as f:
            f.write(d.read())
        with open(base + '.tmp', 'wb') as f:
            for tag, data in agent.attributes(body):
                if tag in (20, 25, 26):
                    data = b'%d' % data[0]
                elif tag in (27, 33, 35):
                    data = b'%d' % int.from_bytes(data, 'big')
                if tag in NAMES:
                    f.write(b'%s=%s\n' % (NAMES[tag].encode(), data))
            f.write(b'where=%s\n' % (
                b'frame' if d.fd is None else
                os.readlink('/proc/self/fd/%d' % d.fd).split(' ')[0]
                .encode()))
        os.rename(base + '.tmp', base + '.env')

    def deliver(self, d):
        d.left = len(d.rcpts)
        words = [set(r.decode().split('@')[0].split('-')) for r in d.rcpts]
        self.send(agent.STAGE, d.id, (agent.STAGE_REACHED, b'\x0a'))
        if any('die' in w for w in words):
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        for i, w in enumerate(words):
            wait = [int(x[4:]) for x in w if re.match(r'slow\d', x)]
            self.after(sum(wait) / 10, lambda i=i, w=w: self.told(d, i, w))

    def told(self, d, i, words):
        if d.id not in self.open:
            return
        if 'hold' in words and not os.path.exists(self.conf['note'] + '/go'):
            self.after(0.05, lambda: self.told(d, i, words))
            return
        for word in words:
            if word in ANSWERS:
                self.answer(d, i, *ANSWERS[word])
                break
        else:
            self.answer(d, i, *ANSWERS['ok'])
        d.left -= 1
        if d.left == 0:
            self.done(d)

    def cancel(self, d):
        open(self.conf['note'] + '/cancelled', 'a').write('%d\n' % d.id)
        super().cancel(d)


Told(int(os.environ['NEXTHOP_CHANNEL'])).run()
