#!/usr/bin/env python3
"""A delivery agent for nexthop in Python: the example to copy.

Run by nexthop-master for a relay such as

    [relay example]
    type = custom
    exec = /usr/local/libexec/nexthop-example/agent.py
    answer = transient
    delay = 2

It answers every recipient as its options say and delivers nothing; or, with
the option `relay`, it is an intermediate relay:

    [relay front]
    type = custom
    exec = /usr/local/libexec/nexthop-example/agent.py
    relay = out
    reject = X-Spam-Flag: YES

It refuses messages with such a line in their header and hands all others on to
the relay `out` of the same nexthop-master, which delivers and answers for it.

The protocol is that of nexthop-agent(7); only the standard library is needed.
What a real agent changes: OPTIONS, configure(), and deliver().
"""

import collections
import heapq
import os
import select
import socket
import struct
import sys
import time

# frame types
HELO, CONFIG, READY, DELIVER, STAGE, RESULT, DONE, FORWARD = range(1, 9)
CANCEL, STATS, DRAIN = 9, 10, 11
# attributes
VERSION_MIN, VERSION_MAX, AGENT, PROGRAM, RELAY = 1, 2, 3, 4, 5
OPTION_NAME, OPTION_VALUE, WANT_OPTIONS, WINDOW, OPTION_INDEX, ERROR, \
    FORWARDS = 6, 7, 8, 9, 10, 11, 12
SENDER, RCPT, NEXTHOP, SOURCE, EHLO, BODY, BODY_RANGE = \
    17, 18, 21, 22, 23, 36, 37
STAGE_REACHED, RCPT_SET, INDEX, REPLY, TEXT = 48, 49, 50, 51, 52
STAT_NAME, STAT_VALUE = 64, 65

HEADER = struct.Struct('>IBBHQ')        # length, version, type, flags, id
HAS_FD, SKIPPABLE, FRAME_MAX = 0x0001, 0x8000, 1024 * 1024
STAGE_RUN, BY_AGENT = 11, 4

ANSWERS = {                             # class, code, enhanced code, text
    'delivered': (1, 250, (2, 0, 0), 'taken'),
    'transient': (2, 451, (4, 3, 0), 'not now'),
    'permanent': (3, 550, (5, 7, 1), 'not here'),
}


def frame(kind, ident, *attrs):
    """One frame; attrs are pairs of a tag and its bytes."""
    body = b''.join(struct.pack('>HI', tag, len(data)) + data
                    for tag, data in attrs)
    return HEADER.pack(HEADER.size + len(body), 1, kind, 0, ident) + body


def attributes(body):
    """The pairs of a frame's body; ValueError where it is malformed."""
    at = 0
    while at < len(body):
        if len(body) - at < 6:
            raise ValueError('attribute cut short')
        tag, length = struct.unpack_from('>HI', body, at)
        at += 6
        if length > len(body) - at:
            raise ValueError('attribute runs over the end of the frame')
        yield tag, body[at:at + length]
        at += length


class Delivery:
    """An envelope: sender and recipients as bytes, the body by read()."""

    def __init__(self, ident, body, fd):
        self.id, self.fd, self.rcpts = ident, fd, []
        self.inline, self.range = b'', (0, 0)
        for tag, data in attributes(body):
            if tag == SENDER:
                self.sender = data
            elif tag == RCPT:
                self.rcpts.append(data)
            elif tag == BODY:
                self.inline = data
            elif tag == BODY_RANGE:
                self.range = struct.unpack('>QQ', data)

    def read(self, limit=1 << 62):
        """The message.  A descriptor is read by pread(), never mapped."""
        if self.fd is None:
            return self.inline[:limit]
        return os.pread(self.fd, min(limit, self.range[1]), self.range[0])

    def header(self):
        """Lines of the header, as far as they are within 64 KiB."""
        lines = []
        for line in self.read(65536).splitlines():
            if not line:
                break
            lines.append(line)
        return lines

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None


class Agent:
    """Options, the loop, and the rules of the protocol."""

    # name: (default, function that makes a value of the text)
    OPTIONS = {
        'type': ('custom', str),
        'exec': ('', str),
        'answer': ('delivered', lambda text: ANSWERS[text]),
        'text': ('', str),              # replaces that of the answer
        'delay': ('0', float),          # seconds until the attempt
        'work': ('0', float),           # seconds that the attempt takes
        'window': ('1000', int),        # deliveries open at once
        'relay': ('', str),             # hand everything on to this relay
        'nexthop': ('', str),           # ... with these overrides
        'source': ('', str),
        'ehlo': ('', str),
        'reject': ('', str),            # but not with such a header line
    }

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(False)
        self.received, self.fds = b'', collections.deque()
        self.to_send = bytearray()
        self.timers, self.count = [], 0  # heap of (time, number, function)
        self.open = {}                  # deliveries by id
        self.draining = False
        self.answered = 0

    # ---- what an agent does ----

    def configure(self, values):
        """values: option texts by name.  Raises ValueError with a text."""
        self.conf = {}
        for name, (default, convert) in self.OPTIONS.items():
            text = values.get(name, default)
            try:
                self.conf[name] = convert(text)
            except (ValueError, KeyError):
                raise ValueError('%s: %s makes no sense' % (name, text)) \
                    from None

    def deliver(self, d):
        """Called for each envelope; answers now or later."""
        self.after(self.conf['delay'], lambda: self.attempt(d))

    def attempt(self, d):
        """From here on an outcome is in doubt without an answer: say so."""
        if d.id not in self.open:       # it was cancelled
            return
        reject = self.conf['reject'].lower().encode()
        if reject and any(line.lower().startswith(reject)
                          for line in d.header()):
            for index in range(len(d.rcpts)):
                self.answer(d, index, 3, 550, (5, 7, 1), 'not this message')
            self.done(d)
        elif self.conf['relay']:
            self.hand_on(d)
        else:
            self.send(STAGE, d.id, (STAGE_REACHED, bytes([STAGE_RUN])))
            self.after(self.conf['work'], lambda: self.finish(d))

    def hand_on(self, d):
        """No answers from us: those of the other relay are what counts."""
        self.forward(d, self.conf['relay'])
        self.done(d)

    def finish(self, d):
        if d.id in self.open:
            cls, code, dsn, text = self.conf['answer']
            for index in range(len(d.rcpts)):
                self.answer(d, index, cls, code, dsn,
                            self.conf['text'] or text)
            self.done(d)

    def cancel(self, d):
        """Nobody waits any more; every recipient is answered all the same."""
        for index in range(len(d.rcpts)):
            self.answer(d, index, 2, 451, (4, 3, 0), 'delivery cancelled')
        self.done(d)

    # ---- how it says so ----

    def send(self, kind, ident, *attrs):
        self.to_send += frame(kind, ident, *attrs)

    def answer(self, d, index, cls, code, dsn, text, stage=STAGE_RUN):
        """Exactly once for each recipient, in any order."""
        reply = struct.pack('>BBH3BB', cls, BY_AGENT, code, *dsn, stage)
        self.send(RESULT, d.id, (INDEX, struct.pack('>I', index)),
                  (REPLY, reply), (TEXT, text.encode()[:2048]))
        self.answered += 1

    def forward(self, d, relay, indexes=None):
        """Instead of an answer; indexes None are all that have none."""
        attrs = [(RELAY, relay.encode())]
        for tag, name in (NEXTHOP, 'nexthop'), (SOURCE, 'source'), \
                (EHLO, 'ehlo'):
            if self.conf[name]:         # else as the envelope has it
                attrs.append((tag, self.conf[name].encode()))
        if indexes is not None:
            attrs.append((RCPT_SET, b''.join(struct.pack('>I', index)
                                             for index in indexes)))
        self.send(FORWARD, d.id, *attrs)

    def done(self, d):
        """After the last answer."""
        self.send(DONE, d.id)
        del self.open[d.id]
        d.close()

    def after(self, seconds, function):
        self.count += 1
        heapq.heappush(self.timers,
                       (time.monotonic() + seconds, self.count, function))

    # ---- frames in ----

    def take_config(self, body):
        values, name, errors = {}, None, []
        names, want_options = [], False
        for tag, data in attributes(body):
            if tag == OPTION_NAME:
                name = data.decode()
            elif tag == OPTION_VALUE:
                if name not in self.OPTIONS:
                    errors.append((len(names), name + ': unknown option'))
                values[name] = data.decode()
                names.append(name)
            elif tag == WANT_OPTIONS:
                want_options = True
        try:
            self.configure(values)
        except ValueError as error:
            bad = str(error).split(':')[0]
            errors.append((names.index(bad) if bad in names else None,
                           str(error)))
        if errors:
            attrs = []
            for index, text in errors:
                if index is not None:
                    attrs.append((OPTION_INDEX, struct.pack('>I', index)))
                attrs.append((ERROR, text.encode()))
            self.send(READY, 0, *attrs)
            self.leave(78)
        attrs = [(WINDOW, struct.pack('>I', self.conf['window']))]
        if self.conf['relay']:          # the master keeps what that takes
            attrs.append((FORWARDS, b''))
        if want_options:
            for name, (default, _) in self.OPTIONS.items():
                if name not in ('type', 'exec'):
                    attrs += [(OPTION_NAME, name.encode()),
                              (OPTION_VALUE,
                               values.get(name, default).encode())]
        self.send(READY, 0, *attrs)
        if want_options:
            self.leave(0)

    def take_frame(self, kind, ident, body, fd):
        if kind == CONFIG:
            self.take_config(body)
        elif kind == DELIVER:
            d = self.open[ident] = Delivery(ident, body, fd)
            self.deliver(d)
        elif kind == CANCEL:
            if ident in self.open:      # else it crossed our DONE
                self.cancel(self.open[ident])
        elif kind == DRAIN:
            self.draining = True
        else:
            raise ValueError('unexpected frame of type %d' % kind)

    def take_input(self):
        data, fds, _, _ = socket.recv_fds(self.sock, 65536, 16)
        if not data:
            sys.exit(0)                 # the master is gone
        self.received += data
        self.fds.extend(fds)
        while len(self.received) >= HEADER.size:
            length, version, kind, flags, ident = HEADER.unpack_from(
                self.received)
            if version != 1 or not HEADER.size <= length <= FRAME_MAX:
                raise ValueError('no frame')
            if len(self.received) < length:
                break
            body = self.received[HEADER.size:length]
            self.received = self.received[length:]
            self.take_frame(kind, ident, body,
                            self.fds.popleft() if flags & HAS_FD else None)

    # ---- the loop ----

    def flush(self):
        try:
            del self.to_send[:self.sock.send(self.to_send)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            sys.exit(0)

    def leave(self, status):
        """Say what there is to say, and go."""
        self.sock.setblocking(True)
        self.sock.sendall(self.to_send)
        sys.exit(status)

    def run(self):
        self.send(HELO, 0, (VERSION_MIN, b'\x01'), (VERSION_MAX, b'\x01'),
                  (AGENT, b'agent.py'), (PROGRAM, b'agent-template 1'))
        while not (self.draining and not self.open):
            self.flush()
            wait = max(0, self.timers[0][0] - time.monotonic()) \
                if self.timers else None
            readable, _, _ = select.select(
                [self.sock], [self.sock] if self.to_send else [], [], wait)
            if readable:
                self.take_input()
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
        self.leave(0)


def main(kind=Agent):
    channel = os.environ.get('NEXTHOP_CHANNEL')
    if channel is None:
        sys.exit('agent.py is started by nexthop-master')
    kind(int(channel)).run()


if __name__ == '__main__':
    main()
