#!/usr/bin/env python3
"""A message on the wire, worked out apart from the program under test.

    wire.py want <MESSAGE       what a client must send, end of data included
    wire.py sent LOG [N]        what it sent, by the log of t/tools/fake: all
                                between DATA and QUIT (of the Nth connection)
    wire.py size <MESSAGE       octets without dots and end of data, for SIZE=
"""

import re
import sys


def lines(message):
    """Every line end is CRLF, the last line has one (RFC 5321 2.3.8)."""
    data = re.sub(rb'\r\n|\r|\n', b'\r\n', message)
    return data + b'\r\n' if data and not data.endswith(b'\r\n') else data


def want(message):
    return re.sub(rb'^\.', b'..', lines(message), flags=re.M) + b'.\r\n'


def sent(log, number):
    with open(log, 'rb') as f:
        parts = re.split(rb'^--- connection \d+\n', f.read(), flags=re.M)
    part = parts[number]
    start = part.index(b'\r\nDATA\r\n') + 8
    return part[start:part.rindex(b'QUIT\r\n')]


def main():
    verb = sys.argv[1]
    if verb == 'sent':
        data = sent(sys.argv[2], int((sys.argv + ['1'])[3]))
    elif verb == 'want':
        data = want(sys.stdin.buffer.read())
    else:
        data = b'%d\n' % len(lines(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(data)


main()
