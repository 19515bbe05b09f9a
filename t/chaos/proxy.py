"""A TCP proxy that stands between an agent and a server, and fails to order.

    pass        what comes goes
    delay       ... after a while
    reset       all connections are reset, new ones as soon as they are there
    cut         each connection ends after so many octets of the client's
    still       nothing goes either way, connections are taken
    shut        nobody listens
"""
import heapq
import random
import selectors
import socket
import struct
import threading
import time

CHUNK = 65536


class Side:
    """One direction of a pair."""

    def __init__(self, source, sink, pair, is_client):
        self.source, self.sink, self.pair = source, sink, pair
        self.is_client = is_client
        self.passed = 0


class Pair:
    def __init__(self, client, server, limit):
        self.client, self.server, self.limit = client, server, limit
        self.is_open = True


class Proxy(threading.Thread):
    def __init__(self, port, to_port, seed):
        super().__init__(daemon=True)
        self.port, self.to_port = port, to_port
        self.random = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.listener = None
        self.mode, self.wanted = "pass", "pass"
        self.delay_s = 0.0
        self.pairs = set()
        self.late = []          # heap of (when, n, side, data)
        self.nlate = 0
        self.is_ending = False
        self.listen()

    def set(self, mode, delay_s=0.0):
        self.delay_s = delay_s
        self.wanted = mode

    def listen(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(128)
        s.setblocking(False)
        self.listener = s
        self.selector.register(s, selectors.EVENT_READ, None)

    def deafen(self):
        self.selector.unregister(self.listener)
        self.listener.close()
        self.listener = None

    def enter(self, mode):
        if mode == "shut" and self.listener is not None:
            self.deafen()
        elif mode != "shut" and self.listener is None:
            self.listen()
        if mode in ("reset", "shut"):
            for pair in list(self.pairs):
                self.end(pair, reset=True)
        # What stood still was not read: it is there now.
        self.mode = mode

    def run(self):
        while not self.is_ending:
            if self.wanted != self.mode:
                self.enter(self.wanted)
            now = time.monotonic()
            while self.late and self.late[0][0] <= now:
                _, _, side, data = heapq.heappop(self.late)
                self.forward(side, data)
            if self.mode == "still":
                time.sleep(0.02)
                continue
            for key, _ in self.selector.select(0.01):
                if key.data is None:
                    self.accept()
                elif key.data.pair.is_open:
                    self.read(key.data)
        for pair in list(self.pairs):
            self.end(pair)

    def accept(self):
        try:
            client = self.listener.accept()[0]
        except OSError:
            return
        if self.mode == "reset":
            self.close(client, True)
            return
        server = socket.socket()
        try:
            server.connect(("127.0.0.1", self.to_port))
        except OSError:
            server.close()
            client.close()
            return
        limit = (self.random.randrange(1, 6000) if self.mode == "cut"
                 else None)
        pair = Pair(client, server, limit)
        self.pairs.add(pair)
        for source, sink in ((client, server), (server, client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(source, selectors.EVENT_READ, Side(
                source, sink, pair, source is client))

    def read(self, side):
        try:
            data = side.source.recv(CHUNK)
        except OSError:
            self.end(side.pair, reset=True)
            return
        if not data:
            if self.delay_s and self.mode == "delay":
                self.selector.unregister(side.source)
                self.hold(side, b"")
            else:
                self.end(side.pair)
            return
        limit = side.pair.limit
        if limit is not None and side.is_client:
            data = data[:max(0, limit - side.passed)]
        side.passed += len(data)
        if self.mode == "delay":
            self.hold(side, data)
        else:
            self.forward(side, data)
        if limit is not None and side.is_client and side.passed >= limit:
            self.end(side.pair, reset=self.random.random() < 0.5)

    def hold(self, side, data):
        self.nlate += 1
        heapq.heappush(self.late, (time.monotonic() + self.delay_s,
                                   self.nlate, side, data))

    def forward(self, side, data):
        if not side.pair.is_open:
            return
        if not data:
            self.end(side.pair)
            return
        try:
            side.sink.settimeout(5)
            side.sink.sendall(data)
        except OSError:
            self.end(side.pair, reset=True)

    def close(self, s, reset):
        if reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
        s.close()

    def end(self, pair, reset=False):
        if not pair.is_open:
            return
        pair.is_open = False
        self.pairs.discard(pair)
        for s in (pair.client, pair.server):
            try:
                self.selector.unregister(s)
            except (KeyError, ValueError):
                pass
            self.close(s, reset)
