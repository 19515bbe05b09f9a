#!/usr/bin/env python3
"""A door for tests: as little of an LMTP intake as the master's side of doors
needs to be seen, and of a server of figures (option `figures`).  It speaks
frames with what contrib/agent-template has, and can break rules (`mode`)."""

import importlib.util
import os
import selectors
import signal
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
SPEC = importlib.util.spec_from_file_location(
    'agent', os.path.join(HERE, '../../contrib/agent-template/agent.py'))
agent = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(agent)

COMMAND, OUTPUT, EXIT, LISTEN, LOG = 12, 13, 14, 15, 16
ADDRESS, NO_WAIT, COMMAND_TEXT = 54, 39, 66


class Session:
    def __init__(self, door, sock):
        self.door, self.sock = door, sock
        sock.setblocking(False)
        self.input, self.body, self.heard = b'', None, time.monotonic()
        self.sender, self.rcpts, self.open = b'', [], None
        self.closing = False
        door.sel.register(sock, selectors.EVENT_READ, self.on_read)
        self.say('220 door LMTP')

    def say(self, *lines):
        data = ''.join(line + '\r\n' for line in lines).encode()
        self.sock.setblocking(True)
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()
            return
        self.sock.setblocking(False)

    def close(self):
        if self.sock.fileno() == -1:
            return
        self.door.sel.unregister(self.sock)
        self.sock.close()
        self.door.sessions.discard(self)
        if self.open is not None:
            self.door.cancel(self.open)

    def on_read(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.close()
            return
        self.input += data
        self.heard = time.monotonic()
        self.work()

    def work(self):
        """Commands that are whole, as long as no answer is awaited."""
        while self.open is None and self.sock.fileno() != -1:
            if self.body is not None:
                head, dot, rest = (b'\r\n' + self.input).partition(
                    b'\r\n.\r\n')
                if not dot:
                    return
                self.input, self.body = rest, None
                self.open = self.door.deliver(self, head[2:] + b'\r\n')
                continue
            line, end, rest = self.input.partition(b'\r\n')
            if not end:
                return
            self.input = rest
            self.command(line)

    def check_idle(self):
        """While the door drains: no command for a second."""
        if self.open is None and time.monotonic() - self.heard > 1:
            self.say('421 4.3.2 closing')
            self.close()

    def command(self, line):
        verb = line[:4].upper()
        if verb == b'LHLO':
            self.say('250-door', '250 PIPELINING')
        elif verb == b'MAIL':
            self.sender, self.rcpts = line.split(b'<')[1].split(b'>')[0], []
            self.say('250 2.1.0 ok')
        elif verb == b'RCPT':
            self.rcpts.append(line.split(b'<')[1].split(b'>')[0])
            self.say('250 2.1.5 ok')
        elif verb == b'DATA':
            self.body = b''
            self.say('354 go')
        elif verb == b'QUIT':
            self.say('221 2.0.0 bye')
            self.close()
        else:
            self.say('250 2.0.0 ok')

    def answered(self, lines):
        self.open = None
        self.say(*lines)
        self.work()


class Door(agent.Agent):
    OPTIONS = dict(
        agent.Agent.OPTIONS,
        no_wait=('1', int),
        figures=('0', int),             # asks for metrics for each client
        mode=('none', str),
        note=('', str))                 # a file that is told of the start

    def __init__(self, fd):
        super().__init__(fd)
        self.sel = selectors.DefaultSelector()
        self.listeners, self.sessions, self.waiting = [], set(), {}
        self.ident = 0
        self.is_ready = False

    def take_frame(self, kind, ident, body, fd):
        if kind == LISTEN:
            sock = socket.socket(fileno=fd)
            self.listeners.append((dict(agent.attributes(body))[ADDRESS],
                                   sock))
        elif kind == LOG:
            os.close(fd)
        elif kind == agent.CONFIG:
            self.take_config(body)
            self.begin()
        elif kind == agent.RESULT:
            self.take_result(ident, dict(agent.attributes(body)))
        elif kind == agent.DONE:
            session, replies, _ = self.waiting.pop(ident)
            if session.sock.fileno() != -1:
                session.answered(replies)
        elif kind == OUTPUT:
            self.waiting[ident][1].append(
                dict(agent.attributes(body))[agent.TEXT].decode())
        elif kind == EXIT:
            session, text, _ = self.waiting.pop(ident)
            session.say('%d %s' % (body[-1], ' '.join(text).strip()))
            session.close()
        elif kind == agent.DRAIN:
            self.drain()
        else:
            raise ValueError('unexpected frame of type %d' % kind)

    def configure(self, values):
        super().configure(values)
        if self.conf['mode'] == 'early' and self.listeners:
            self.listeners[0][1].setblocking(True)
            self.accept(self.listeners[0][1])
            while not os.path.exists(self.conf['note'] + '.go'):
                time.sleep(0.05)

    def begin(self):
        if self.conf['note']:
            with open(self.conf['note'], 'a') as f:
                f.write('%d %s\n' % (os.getpid(), b' '.join(
                    address for address, _ in self.listeners).decode()))
        if self.conf['mode'] == 'broken':
            sys.exit(5)
        for _, sock in self.listeners:
            sock.setblocking(False)
            self.sel.register(sock, selectors.EVENT_READ,
                              lambda sock=sock: self.accept(sock))
        if self.conf['mode'] == 'submit':
            self.send(agent.CANCEL, 1)
        if self.conf['mode'] == 'bad':
            self.send(agent.RESULT, 1)

    def accept(self, sock):
        try:
            client, _ = sock.accept()
        except BlockingIOError:         # another process was faster
            return
        session = Session(self, client)
        self.sessions.add(session)
        if self.conf['figures']:
            self.ident += 1
            self.waiting[self.ident] = [session, [], 0]
            self.send(COMMAND, self.ident, (COMMAND_TEXT, self.conf['text']
                                            .encode() or b'metrics'))

    def drain(self):
        if self.conf['mode'] == 'deaf':
            return
        self.draining = True
        for _, sock in self.listeners:
            self.sel.unregister(sock)
            sock.close()

    def deliver(self, session, message):
        if self.conf['mode'] == 'die':
            os.kill(os.getpid(), signal.SIGKILL)
        self.ident += 1
        rcpts = session.rcpts
        self.waiting[self.ident] = [session, [None] * len(rcpts), 0]
        attrs = [(agent.RELAY, self.conf['relay'].encode()),
                 (agent.SENDER, session.sender)]
        attrs += [(agent.RCPT, rcpt) for rcpt in rcpts]
        if self.conf['no_wait']:
            attrs.append((NO_WAIT, b''))
        self.send(agent.DELIVER, self.ident, *attrs, (agent.BODY, message))
        return self.ident

    def cancel(self, ident):
        self.send(agent.CANCEL, ident)

    def take_result(self, ident, attrs):
        _, _, code, *dsn = struct.unpack('>BBH3B', attrs[agent.REPLY][:7])
        index, = struct.unpack('>I', attrs[agent.INDEX])
        assert self.waiting[ident][1][index] is None, 'answered twice'
        self.waiting[ident][1][index] = '%d %d.%d.%d %s' % (
            code, *dsn, attrs[agent.TEXT].decode().replace('\n', ' '))

    def run(self):
        self.send(agent.HELO, 0, (agent.VERSION_MIN, b'\x01'),
                  (agent.VERSION_MAX, b'\x01'), (agent.AGENT, b'door.py'),
                  (agent.PROGRAM, b'door 1'))
        self.sel.register(self.sock, selectors.EVENT_READ, self.take_input)
        while not (self.draining and not self.sessions):
            while self.to_send:
                self.flush()
            for key, _ in self.sel.select(0.2):
                if key.fileobj.fileno() != -1:
                    key.data()
            if self.draining:
                for session in list(self.sessions):
                    session.check_idle()
        while self.to_send:
            self.flush()
            time.sleep(0.001)
        self.leave(0)


signal.signal(signal.SIGTERM, signal.SIG_DFL)
agent.main(Door)
