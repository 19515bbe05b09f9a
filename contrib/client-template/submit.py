#!/usr/bin/env python3
"""Hands a message to nexthop-master from Python: the example to copy.

    submit.py [--socket=PATH] [--relay=NAME] [--from=ADDR] [--fd] RCPT... < MSG

Prints one line for each recipient (recipient, class, code, enhanced code,
text, separated by tabs).  Exit status: 0 all delivered, 75 at least one may
be tried again, 69 the rest.  The message is yours until its answers are
there: where the connection ends first, try again later.

The protocol is that of nexthop-agent(7); only the standard library is needed.
"""

import argparse
import os
import socket
import struct
import sys

# frame types
HELO, READY, DELIVER, RESULT, DONE, CANCEL, DRAIN = 1, 3, 4, 6, 7, 9, 11
RELAY, WINDOW, SENDER, RCPT, BODY, BODY_RANGE = 5, 9, 17, 18, 36, 37
INDEX, REPLY, TEXT = 50, 51, 52

HEADER = struct.Struct('>IBBHQ')        # length, version, type, flags, id
HAS_FD, INLINE_MAX, RCPT_MAX = 0x0001, 32 * 1024, 1000
CLASSES = {1: 'delivered', 2: 'transient', 3: 'permanent'}


def frame(kind, ident, *attrs, flags=0):
    """One frame; attrs are pairs of a tag and its bytes."""
    body = b''.join(struct.pack('>HI', tag, len(data)) + data
                    for tag, data in attrs)
    return HEADER.pack(HEADER.size + len(body), 1, kind, flags, ident) + body


def attributes(body):
    """The pairs of a frame's body."""
    at = 0
    while at < len(body):
        tag, length = struct.unpack_from('>HI', body, at)
        yield tag, body[at + 6:at + 6 + length]
        at += 6 + length


class Connection:
    """To the master's submission socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.received = b''
        self.window = None
        # Another master takes over: open a new Connection for what is to come.
        # What is open is still answered on this one; close it after that.
        self.draining = False

    def read_frame(self):
        """(type, id, body) of the next frame; None at the end."""
        while True:
            if len(self.received) >= HEADER.size:
                length, _, kind, _, ident = HEADER.unpack_from(self.received)
                if len(self.received) >= length:
                    body = self.received[HEADER.size:length]
                    self.received = self.received[length:]
                    if kind == DRAIN:
                        self.draining = True
                        continue
                    return kind, ident, body
            data = self.sock.recv(65536)
            if not data:
                return None
            self.received += data

    def greet(self):
        """The master says HELO, and READY with how many may be open."""
        while self.window is None:
            got = self.read_frame()
            if got is None:
                raise ConnectionError('the master closed the connection')
            for tag, data in attributes(got[2]):
                if got[0] == READY and tag == WINDOW:
                    self.window, = struct.unpack('>I', data)

    def deliver(self, ident, relay, sender, rcpts, message=None, fd=None):
        """ident: not 0, and of no delivery that is open.  The message goes
        inline, or as a descriptor of which the master reads its range."""
        attrs = [(RELAY, relay.encode())] if relay else []
        attrs += [(SENDER, sender.encode())]
        attrs += [(RCPT, rcpt.encode()) for rcpt in rcpts]
        if fd is None:
            self.sock.sendall(frame(DELIVER, ident, *attrs, (BODY, message)))
            return
        size = os.fstat(fd).st_size
        attrs += [(BODY_RANGE, struct.pack('>QQ', 0, size))]
        data = frame(DELIVER, ident, *attrs, flags=HAS_FD)
        # The descriptor travels with the first byte of its frame.
        sent = socket.send_fds(self.sock, [data], [fd])
        self.sock.sendall(data[sent:])

    def cancel(self, ident):
        """RESULTs and DONE still follow."""
        self.sock.sendall(frame(CANCEL, ident))

    def answers(self, ident):
        """Yields (index, class, code, enhanced code, text) until DONE."""
        while True:
            got = self.read_frame()
            if got is None:
                raise ConnectionError('connection lost before the answers')
            kind, whose, body = got
            if whose != ident:
                continue
            if kind == DONE:
                return
            if kind == RESULT:
                a = dict(attributes(body))
                cls, _, code, *dsn = struct.unpack('>BBH3B', a[REPLY][:7])
                yield (struct.unpack('>I', a[INDEX])[0], CLASSES[cls], code,
                       '%d.%d.%d' % tuple(dsn), a[TEXT].decode())


def descriptor(message):
    """A sealed memory file: no one can change it under the reader."""
    import fcntl
    fd = os.memfd_create('message', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, message)
    add_seals, all_seals = 1033, 0x000f
    fcntl.fcntl(fd, add_seals, all_seals)
    return fd


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--socket', default='/run/nexthop/submit.sock')
    p.add_argument('--relay', default='')
    p.add_argument('--from', dest='sender', default='')
    p.add_argument('--fd', action='store_true',
                   help='pass a descriptor, however small the message')
    p.add_argument('rcpts', nargs='+', metavar='RCPT')
    args = p.parse_args()
    if len(args.rcpts) > RCPT_MAX:
        sys.exit('more recipients than one envelope may have')

    message = sys.stdin.buffer.read()
    fd = descriptor(message) if args.fd or len(message) > INLINE_MAX else None
    c = Connection(args.socket)
    c.greet()
    c.deliver(1, args.relay, args.sender, args.rcpts, message, fd)
    classes = set()
    for index, cls, code, dsn, text in c.answers(1):
        classes.add(cls)
        print(args.rcpts[index], cls, code, dsn,
              text.encode('unicode_escape').decode(), sep='\t')
    sys.exit(75 if 'transient' in classes else
             69 if 'permanent' in classes else 0)


if __name__ == '__main__':
    try:
        main()
    except OSError as error:
        print('submit.py:', error, file=sys.stderr)
        sys.exit(75)
