"""Stands in for qmgr: SOCKET WHAT [QUEUE-ID OFFSET RCPT-OFFSET].  Prints what
the agent said, NULs as |, and its reply.

    whole     a request in one piece          bytes    one byte at a time
    silent    nothing, and hangs up           early    hangs up at once
    missing, extra, reordered, old, unmarked, badtime, badid, half"""
import base64
import socket
import struct
import sys
import time

path, what = sys.argv[1:3]
qid, offset, roffset = (sys.argv[3:] + ['40474AA095C', '697', '676'])[:3]
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
if what == 'early':
    sys.exit(0)
hello = s.recv(100)
print('hello', hello.replace(b'\0', b'|').decode())
if what == 'silent':
    sys.exit(0)
now = int(time.time())
times = struct.pack('@10qi4x', now, 0, now, 0, *[0] * 6, 0)
if what == 'badtime':
    times = times[:80]
head = [('flags', '3'), ('queue_name', 'active'), ('queue_id', '../x' if what == 'badid' else qid),
        ('offset', offset), ('size', '100'), ('nexthop', 'b.test'), ('encoding', '7bit'),
        ('sendopts' if what == 'new' else 'smtputf8', '0'), ('sender', 'a@sender.test'), ('envelope_id', ''),
        ('ret_flags', '0'), ('time', base64.b64encode(times).decode()), ('log_client_name', ''),
        ('log_client_address', ''), ('log_client_port', ''), ('log_protocol_name', ''), ('log_helo_name', ''),
        ('sasl_method', ''), ('sasl_username', ''), ('sasl_sender', ''), ('log_ident', ''),
        ('rewrite_context', 'local'), ('recipient_count', '1')]
if what == 'unmarked':
    roffset = '18446744073709551615'
rcpt = [('original_recipient', ''), ('recipient', 'b@b.test'), ('offset', roffset),
        ('dsn_orig_rcpt', 'rfc822;b@b.test'), ('notify_flags', '0')]
if what == 'missing':
    del head[5]
if what == 'extra':
    rcpt.append(('color', 'blue'))
if what == 'reordered':
    head[3], head[4] = head[4], head[3]


def one(attrs):
    return b''.join(k.encode() + b'\0' + v.encode() + b'\0' for k, v in attrs) + b'\0'


data = one(head) + one(rcpt)
if what == 'half':
    s.sendall(data[:200])
    sys.exit(0)
if what == 'bytes':
    for i in range(len(data)):
        s.sendall(data[i:i + 1])
else:
    s.sendall(data)
answer = b''
while piece := s.recv(1000):
    answer += piece
print('reply', answer.replace(b'\0', b'|').decode())
