#!/usr/bin/env python3
"""Many messages over one connection to the master, many at once.

    bulk.py TEMPLATE SOCKET RELAY COUNT WINDOW RCPT... >ROWS

TEMPLATE is the folder of submit.py, whose frames this uses.  Each message has
its own Message-ID, N@bulk, and body.  A row is N, index, class, code, enhanced
code and text, separated by tabs, in the order the answers came; what was not
answered when the connection ended is a row of class "lost".
"""

import importlib.util
import select
import struct
import sys


def load(folder):
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location(
        'submit', folder + '/submit.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frames(received, header):
    """The whole frames at the front of received, which they leave."""
    while len(received) >= header.size:
        length, _, kind, _, ident = header.unpack_from(received)
        if len(received) < length:
            return
        body = bytes(received[header.size:length])
        del received[:length]
        yield kind, ident, body


def row(s, ident, body):
    a = dict(s.attributes(body))
    cls, _, code, *dsn = struct.unpack('>BBH3B', a[s.REPLY][:7])
    return (ident, struct.unpack('>I', a[s.INDEX])[0], s.CLASSES[cls], code,
            '%d.%d.%d' % tuple(dsn), a[s.TEXT].decode())


def main():
    s = load(sys.argv[1])
    path, relay, count, window, *rcpts = sys.argv[2:]
    count, window = int(count), int(window)
    c = s.Connection(path)
    c.greet()
    window = min(window, c.window)
    received, out, nsent, still = bytearray(c.received), bytearray(), 0, set()
    while nsent < count or still:
        while nsent < count and len(still) < window and len(out) < 65536:
            nsent += 1
            still.add(nsent)
            text = b'Message-Id: <%d@bulk>\r\n\r\n%s\r\n' % (
                nsent, b'.%d\r\n' % nsent * (nsent % 50))
            out += s.frame(s.DELIVER, nsent, (s.RELAY, relay.encode()),
                           (s.SENDER, b's@x.test'),
                           *((s.RCPT, r.encode()) for r in rcpts),
                           (s.BODY, text))
        ready = select.select([c.sock], [c.sock] if out else [], [])
        if ready[1]:
            del out[:c.sock.send(out)]
        if ready[0]:
            data = c.sock.recv(1 << 16)
            if not data:
                break
            received += data
        for kind, ident, body in frames(received, s.HEADER):
            if kind == s.RESULT:
                print(*row(s, ident, body), sep='\t')
            elif kind == s.DONE:
                still.remove(ident)
    for ident in sorted(still):
        print(ident, '', 'lost', '', '', '', sep='\t')


main()
