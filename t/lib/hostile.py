#!/usr/bin/env python3
"""A submitter that breaks one rule.  Usage: hostile.py SOCKET MODE [RELAY]

Prints "closed" if the master ends the connection, else the types of the
frames that come back within two seconds.
"""

import importlib.util
import os
import socket
import struct
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location(
    'submit', os.path.join(HERE, '../../contrib/client-template/submit.py'))
s = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(s)

path, mode = sys.argv[1:3]
relay = sys.argv[3].encode() if len(sys.argv) > 3 else b'bh'
c = s.Connection(path)
c.greet()


def deliver(ident=1, attrs=(), flags=0, rcpts=(b'a@x.test',), body=b'hi',
            sender=b's@x.test'):
    head = [(s.RELAY, relay), (s.SENDER, sender)]
    head += [(s.RCPT, rcpt) for rcpt in rcpts]
    if body is not None:
        head += [(s.BODY, body)]
    return s.frame(s.DELIVER, ident, *head, *attrs, flags=flags)


def header(length, kind=s.DELIVER, version=1, flags=0, ident=1):
    return s.HEADER.pack(length, version, kind, flags, ident)


RANGE = (s.BODY_RANGE, struct.pack('>QQ', 0, 4))
FRAMES = {
    'good': lambda: deliver(),
    'long': lambda: header(0xffffffff) + b'x' * 1000,
    'million': lambda: header(1024 * 1024 + 1),
    'short': lambda: header(15),
    'zero': lambda: header(0),
    'version': lambda: header(16, version=2),
    'type': lambda: header(16, kind=200),
    'type0': lambda: header(16, kind=0),
    'result': lambda: header(16, kind=s.RESULT),
    'config': lambda: header(16, kind=2),
    'flag': lambda: deliver(flags=0x8000),
    'tag': lambda: deliver(attrs=[(999, b'x')]),
    'skippable': lambda: deliver(attrs=[(0x8000 | 999, b'x')]),
    'overrun': lambda: header(16 + 6) + struct.pack('>HI', s.RCPT, 4000),
    'half': lambda: header(16 + 3) + b'\0\0\0',
    'id0': lambda: deliver(0),
    'same': lambda: deliver(5) + deliver(5),
    'rcpts': lambda: deliver(rcpts=[b'a@x.test'] * 1001),
    'norcpt': lambda: deliver(rcpts=[]),
    'crlf': lambda: deliver(rcpts=[b'a@x.test\r\nRCPT TO:<b@x.test>']),
    'lfsender': lambda: deliver(sender=b's@x.test\nDATA'),
    'nul': lambda: deliver(rcpts=[b'a\0@x.test']),
    'longtext': lambda: deliver(rcpts=[b'a' * 5000]),
    'bigbody': lambda: deliver(body=b'x' * 32769),
    'nobody': lambda: deliver(body=None),
    'nofd': lambda: deliver(body=None, attrs=[RANGE], flags=s.HAS_FD),
    'cancelattr': lambda: s.frame(s.CANCEL, 1, (s.RCPT, b'x')),
    'cancelnone': lambda: s.frame(s.CANCEL, 12345),
    'window': lambda: b''.join(deliver(i) for i in range(1, 4200)),
}

try:
    if mode == 'cut':                   # half a frame, then the end
        c.sock.sendall(deliver()[:30])
        c.sock.shutdown(socket.SHUT_WR)
    elif mode == 'fdplain':             # a descriptor no flag tells of
        socket.send_fds(c.sock, [deliver()], [0])
    elif mode == 'fdcancel':
        data = s.frame(s.CANCEL, 1, flags=s.HAS_FD)
        socket.send_fds(c.sock, [data], [0])
    elif mode == 'fds':                 # three where one is told of
        with open('/dev/null') as f:
            socket.send_fds(c.sock, [deliver(body=None, attrs=[RANGE],
                                             flags=s.HAS_FD)], [f.fileno()] * 3)
    elif mode == 'fdflood':             # more than the frames they belong to
        for _ in range(100):
            socket.send_fds(c.sock, [b'\0'], [0])
    elif mode == 'directory':           # a descriptor that cannot be read
        fd = os.open('/', os.O_RDONLY)
        socket.send_fds(c.sock, [deliver(body=None, attrs=[RANGE],
                                         flags=s.HAS_FD)], [fd])
    else:
        c.sock.sendall(FRAMES[mode]())
except BrokenPipeError:
    pass

c.sock.settimeout(2)
kinds = []
try:
    while True:
        got = c.read_frame()
        if got is None:
            print('closed', *kinds)
            break
        kinds.append(got[0])
        if got[0] == s.DONE and mode != 'same':
            print(*kinds)
            break
except ConnectionResetError:
    print('closed', *kinds)
except socket.timeout:
    print('open', *kinds)
