#!/usr/bin/env python3
"""An LMTP client that says what its script says, and nothing more.

usage: lmtp.py ADDRESS [STEP...]

ADDRESS is a path or host:port. Steps, one argument each:

    LINE        send it with CRLF, print the reply; C escapes are understood
    -LINE       send it, read nothing
    =TEXT       send the text as it is, read nothing
    <FILE       send the bytes of a file
    *TEXT N     send the text N times
    ?           read a reply and print it
    ?N          read N replies
    ??          read until the other side closes, print what comes
    pause S     wait
    close       close at once (the end of the script does it, too)
    reset       close with RST
    half        close the sending side
    deaf S      wait, then go on; the kernel keeps what comes
    login       LHLO, its reply not printed
    mail F T... MAIL and RCPTs, replies not printed unless they are refusals
    data FILE   DATA, the file with dots stuffed, and the dot; no replies read

Replies are printed as they come, one line each; "(closed)" is the end.
"""
import socket
import struct
import sys
import time


class Gone(Exception):
    pass


def say(text):
    """One write: others may append to the same file."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


def unescape(text):
    return text.encode('utf-8', 'surrogateescape').decode(
        'unicode_escape').encode('latin-1')


class Client:
    def __init__(self, address):
        if address.startswith('/'):
            self.s = socket.socket(socket.AF_UNIX)
            self.s.settimeout(60)
            self.s.connect(address)
        else:
            host, port = address.rsplit(':', 1)
            self.s = socket.create_connection((host, int(port)), 60)
        self.f = self.s.makefile('rb')

    def send(self, data):
        try:
            self.s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def line(self):
        try:
            line = self.f.readline()
        except ConnectionResetError:
            line = b''
        if not line:
            say('(closed)')
            raise Gone
        return line

    def reply(self, show=True):
        while True:
            line = self.line()
            if show is True or (show == 'bad' and line[:1] not in b'23'):
                say(line.rstrip(b'\r\n').decode('utf-8', 'replace'))
            if line[3:4] != b'-':
                return

    def step(self, step):
        word, _, rest = step.partition(' ')
        if step == '??':
            while True:
                say(self.line().rstrip(b'\r\n').decode())
        elif step[:1] == '?':
            for _ in range(int(step[1:] or 1)):
                self.reply()
        elif step[:1] == '-':
            self.send(unescape(step[1:]) + b'\r\n')
        elif step[:1] == '=':
            self.send(unescape(step[1:]))
        elif step[:1] == '<':
            self.send(open(step[1:], 'rb').read())
        elif step[:1] == '*':
            text, n = step[1:].rsplit(' ', 1)
            self.send(unescape(text) * int(n))
        elif word in ('pause', 'deaf'):
            time.sleep(float(rest))
        elif word == 'close':
            raise Gone
        elif word == 'half':
            self.s.shutdown(socket.SHUT_WR)
        elif word == 'reset':
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack('ii', 1, 0))
            raise Gone
        elif word == 'login':
            self.send(b'LHLO client.test\r\n')
            self.reply(False)
        elif word == 'mail':
            for i, address in enumerate(rest.split()):
                self.send(b'%s:<%s>\r\n' % (
                    b'RCPT TO' if i else b'MAIL FROM',
                    address.encode() if address != '-' else b''))
                self.reply('bad')
        elif word == 'data':
            self.send(b'DATA\r\n')
            self.reply('bad')
            body = open(rest, 'rb').read().replace(b'\r\n.', b'\r\n..')
            if body[:1] == b'.':
                body = b'.' + body
            self.send(body + b'.\r\n')
        else:
            self.send(unescape(step) + b'\r\n')
            self.reply()


def main():
    client = Client(sys.argv[1])
    try:
        client.reply(False)
        for step in sys.argv[2:]:
            client.step(step)
    except Gone:
        pass
    client.f.close()
    client.s.close()


main()
