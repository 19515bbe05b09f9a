#!/usr/bin/env python3
"""A web server that takes mail as http(8) sends it, and fails to order.

    web.py --port=N --journal=FILE [option...]

A line as that of t/tools/sink -j, and behind it the Idempotency-Key of the
request and the recipients that were refused, by number, is in the journal
before the response leaves. With --keys a request whose key is there already
gets the response of the first one again, and counts for nobody: a line with 0
recipients.

--fault=KIND:PERCENT, once or more, of the requests. Not taken are

    STATUS  answered with it
    early   answered 503 before the body was read, and closed
    reply   answered X-Smtp-Reply: 451
    leave   closed within the body
    some    X-Smtp-Recipient-Reply: 451 for some recipients, taken for the rest

and what is taken, but badly answered:

    mute    closed in place of the response
    reset   the same with a reset
    head    closed within the header of the response
    body    closed within its body
    noise   no HTTP
"""
import argparse
import base64
import hashlib
import json
import os
import random
import re
import socket
import struct
import threading
import time

HEAD_MAX = 65536
BODY_MAX = 64 << 20
NOT_TAKEN = ("early", "reply", "leave")
BADLY = ("mute", "reset", "head", "body", "noise")
TEXT = b"taken, thank you\n"


class Gone(Exception):
    """The client has, or shall see that we have."""


class Journal:
    """The copies that were taken, and the keys they came with."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.seen = {}          # key: refused, as in the line
        with open(path) as f:
            for line in f:
                words = line.split()
                if line.endswith("\n") and len(words) == 6:
                    self.seen.setdefault(words[4], words[5])
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND)

    def add(self, request, refused):
        """What was refused: of the first with that key, if keys count."""
        with self.lock:
            is_known = request.key in self.seen
            if is_known:
                refused = self.seen[request.key]
            elif request.key is not None:
                self.seen[request.key] = refused
            copies = 0 if is_known else request.nrcpt - len(
                numbers_of(refused))
            line = "%s %d %d %s %s %s\n" % (
                request.name, len(request.body), copies, request.digest,
                request.key or "-", refused)
            os.write(self.fd, line.encode())
        return refused


def numbers_of(refused):
    return [] if refused == "-" else refused.split(",")


class Request:
    """The head of one, then the whole."""

    def __init__(self, head, has_keys):
        self.head = head
        self.length = int(self.field(b"Content-Length"))
        if self.length > BODY_MAX:
            raise Gone
        key = self.field(b"Idempotency-Key") if has_keys else None
        self.key = key and hashlib.sha256(key).hexdigest()[:24]

    def field(self, name):
        found = re.search(rb"^%s: *(.*?) *\r$" % name, self.head,
                          re.M | re.I)
        return found and found[1]

    def take(self, data):
        if (self.field(b"Content-Type") or b"").startswith(
                b"application/json"):
            members = json.loads(data)
            data = base64.b64decode(members["message"], validate=True)
            self.nrcpt = len(members["envelope"]["recipients"])
        else:
            self.nrcpt = len(re.findall(rb"^X-Envelope-Recipient:", self.head,
                                        re.M | re.I))
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.name = re.search(rb"^Message-ID: <(.*)>", head, re.M)[1].decode()
        self.digest = hashlib.sha256(
            self.body + self.name.encode()).hexdigest()


class Connection(threading.Thread):
    def __init__(self, server, sock):
        super().__init__(daemon=True)
        self.server, self.sock = server, sock
        self.data = b""

    def run(self):
        try:
            for _ in range(self.server.args.requests):
                self.serve()
        except (Gone, OSError):
            pass
        self.sock.close()

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.data += data

    def read_head(self):
        while b"\r\n\r\n" not in self.data:
            if len(self.data) > HEAD_MAX:
                raise Gone
            self.more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head + b"\r\n"

    def read_body(self, length):
        while len(self.data) < length:
            self.more()
        body, self.data = self.data[:length], self.data[length:]
        return body

    # --- one request ---

    def serve(self):
        request = Request(self.read_head(), self.server.args.keys)
        kind = self.server.fault()
        if kind == "early":
            self.answer(503, close=True)
        if kind == "leave":
            self.read_body(random.randrange(request.length))
            raise Gone
        if request.field(b"Expect"):
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.take(self.read_body(request.length))
        if kind == "reply":
            self.answer(500, b'X-Smtp-Reply: 451; message="4.3.0 not now"')
        elif kind is not None and kind.isdigit():
            self.answer(int(kind), b"Retry-After: 1")
        else:
            self.accept(request, kind)

    def accept(self, request, kind):
        some = [str(i) for i in range(request.nrcpt)
                if kind == "some" and random.random() < 0.5]
        refused = numbers_of(self.server.journal.add(
            request, ",".join(some) or "-"))
        if kind in BADLY:
            self.answer_badly(kind)
        self.answer(200, *[b'X-Smtp-Recipient-Reply: %s; 451; '
                           b'message="4.2.1 not yet"' % i.encode()
                           for i in refused])

    def response(self, status, *lines):
        return b"\r\n".join([b"HTTP/1.1 %d Chaos" % status, *lines,
                             b"Content-Length: %d" % len(TEXT), b"", TEXT])

    def answer(self, status, *lines, close=False):
        args = self.server.args
        time.sleep((args.delay + (args.late if status == 200 else 0)) / 1e3)
        self.sock.sendall(self.response(status, *lines))
        if close:
            raise Gone

    def answer_badly(self, kind):
        text = self.response(200)
        head = len(text) - len(TEXT)
        if kind == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        elif kind == "head":
            self.sock.sendall(text[:random.randrange(1, head - 2)])
        elif kind == "body":
            self.sock.sendall(text[:random.randrange(head, len(text))])
        elif kind == "noise":
            self.sock.sendall(b"2.0.0 I do not speak HTTP\r\n\r\n")
        raise Gone


class Server:
    def __init__(self, args):
        self.args = args
        self.journal = Journal(args.journal)
        self.faults = []
        for text in args.fault:
            kind, _, percent = text.partition(":")
            if kind not in NOT_TAKEN + BADLY + ("some",):
                int(kind)
            self.faults.append((kind, float(percent)))

    def fault(self):
        drawn = random.uniform(0, 100)
        for kind, percent in self.faults:
            if drawn < percent:
                return kind
            drawn -= percent
        return None

    def run(self):
        listener = socket.create_server(("127.0.0.1", self.args.port),
                                        backlog=128)
        while True:
            sock = listener.accept()[0]
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Connection(self, sock).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--delay", type=float, default=0, metavar="MS",
                        help="of each response")
    parser.add_argument("--late", type=float, default=0, metavar="MS",
                        help="more, of those of what is taken")
    parser.add_argument("--requests", type=int, default=1 << 30,
                        help="a connection, which then closes")
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--seed", type=int)
    args = parser.parse_args()
    random.seed(args.seed)
    Server(args).run()


main()
