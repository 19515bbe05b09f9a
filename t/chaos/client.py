"""A submitter as a queue is one: it keeps each message until its answers are
there, and submits again what failed for now or is in doubt.

One thread, several connections, by the frames of nexthop-agent(7), of which it
takes the numbers from contrib/client-template. It is not always kind: it drops
connections, cancels, and stops reading for a while.
"""
import heapq
import importlib.util
import os
import random
import selectors
import socket
import struct
import threading
import time

from common import ROOT
from hands import CRASH_TEXT
from ledger import BOUNCED, DELIVERED, DOUBT, LATER

BODY_MAX = 200000
RETRY_S = (0.1, 0.8)    # from an answer to the next attempt
DOUBT_TEXT = b"may have been delivered"
STAGE, DRAIN = 5, 11


def load_template():
    spec = importlib.util.spec_from_file_location(
        "submit", ROOT + "/contrib/client-template/submit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WIRE = load_template()
CLASSES = {1: DELIVERED, 2: LATER, 3: BOUNCED}


class Link:
    """One connection to the master."""

    def __init__(self, client):
        self.client = client
        self.sock = None
        self.again_at = 0.0
        self.is_deaf = False
        self.is_leaving = False         # another master takes over

    def connect(self, now):
        self.received, self.out = bytearray(), []
        self.queued = self.sent = 0     # octets of the stream
        self.window = 0
        self.open = {}                  # attempts by delivery id
        self.ids = 0
        self.is_deaf = self.is_leaving = False
        self.again_at = now + 0.05
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(self.client.path)
        except OSError:
            sock.close()
            return
        sock.setblocking(False)
        self.sock = sock
        self.client.selector.register(sock, selectors.EVENT_READ, self)

    def put(self, data, fd=None):
        self.out.append((data, fd))
        self.queued += len(data)

    def flush(self):
        """As much as the socket takes; a descriptor goes with the first octet
        of its frame, so no other call may send that."""
        try:
            while self.out:
                data, fd = self.out[0]
                if fd is None:
                    n = self.sock.send(data)
                else:
                    n = socket.send_fds(self.sock, [data], [fd])
                    os.close(fd)
                self.sent += n
                if n < len(data):
                    self.out[0] = (data[n:], None)
                    break
                self.out.pop(0)
        except BlockingIOError:
            pass
        except OSError as e:
            if e.errno not in (105, 109):       # ENOBUFS, ETOOMANYREFS
                self.lose()
                return
        self.watch()

    def watch(self):
        if self.sock is None:
            return
        events = 0 if self.is_deaf else selectors.EVENT_READ
        if self.out:
            events |= selectors.EVENT_WRITE
        selector = self.client.selector
        if events == 0:
            if self.sock in selector.get_map():
                selector.unregister(self.sock)
        elif self.sock in selector.get_map():
            selector.modify(self.sock, events, self)
        else:
            selector.register(self.sock, events, self)

    def lose(self):
        """The connection is gone: what has left it whole may have been
        delivered, what has not cannot have been."""
        if self.sock is None:
            return
        if self.sock in self.client.selector.get_map():
            self.client.selector.unregister(self.sock)
        self.sock.close()
        self.sock = None
        for _, fd in self.out:
            if fd is not None:
                os.close(fd)
        self.out = []
        lost, self.open = self.open, {}
        for attempt in lost.values():
            kind = DOUBT if self.sent >= attempt.end_at else LATER
            self.client.why(attempt, b"connection lost" + (
                b", in doubt" if kind == DOUBT else b""))
            for i, answer in enumerate(attempt.answers):
                if answer is None:
                    self.client.ledger.answer(attempt, i, kind,
                                              time.monotonic())
            self.client.ended(attempt)

    # --- frames in ---

    def read(self):
        try:
            data = self.sock.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        at = 0
        while len(self.received) - at >= WIRE.HEADER.size:
            length, _, kind, _, ident = WIRE.HEADER.unpack_from(
                self.received, at)
            if len(self.received) - at < length:
                break
            body = bytes(self.received[at + WIRE.HEADER.size:at + length])
            at += length
            self.take(kind, ident, body)
        del self.received[:at]
        if not data:
            self.lose()

    def take(self, kind, ident, body):
        if kind == WIRE.RESULT:
            self.take_result(ident, body)
        elif kind == WIRE.DONE:
            self.take_done(ident)
        elif kind == WIRE.READY:
            self.window = struct.unpack(
                ">I", dict(WIRE.attributes(body))[WIRE.WINDOW])[0]
        elif kind == DRAIN:
            self.client.replace(self)
        elif kind not in (WIRE.HELO, STAGE):
            self.client.ledger.blame("a frame of type %d" % kind)

    def take_result(self, ident, body):
        found = dict(WIRE.attributes(body))
        index = struct.unpack(">I", found[WIRE.INDEX])[0]
        attempt = self.open.get(ident)
        if attempt is None:
            self.client.ledger.blame("RESULT for an id that is not open")
            return
        if index >= len(attempt.answers) or attempt.answers[index]:
            self.client.ledger.blame("%s: second RESULT for recipient %d" %
                                     (attempt.name, index))
            return
        kind = CLASSES[found[WIRE.REPLY][0]]
        if kind != DELIVERED and DOUBT_TEXT in found[WIRE.TEXT]:
            kind = DOUBT
        if kind != DELIVERED:
            self.client.why(attempt, found[WIRE.TEXT])
        self.client.ledger.answer(attempt, index, kind, time.monotonic())

    def take_done(self, ident):
        attempt = self.open.pop(ident, None)
        if attempt is None:
            self.client.ledger.blame("DONE of an id that is not open")
            return
        for i, answer in enumerate(attempt.answers):
            if answer is None:
                self.client.ledger.blame("%s: DONE without RESULT %d" %
                                         (attempt.name, i))
                self.client.ledger.answer(attempt, i, DOUBT, 0)
        self.client.ended(attempt)

    # --- frames out ---

    def deliver(self, attempt):
        self.ids += 1
        text = message_text(attempt)
        fd, place = self.client.keep(text)
        attrs = [(WIRE.RELAY, attempt.message.relay.encode()),
                 (WIRE.SENDER, b"a@src.example")]
        attrs += [(WIRE.RCPT, r.encode()) for r in attempt.rcpts]
        attrs += [(WIRE.BODY, text)] if fd is None else [
            (WIRE.BODY_RANGE, struct.pack(">QQ", *place))]
        self.put(WIRE.frame(WIRE.DELIVER, self.ids, *attrs,
                            flags=0 if fd is None else WIRE.HAS_FD), fd)
        attempt.end_at = self.queued
        self.open[self.ids] = attempt

    def cancel(self, ident):
        self.put(WIRE.frame(WIRE.CANCEL, ident))


def message_text(attempt):
    return (b"Message-ID: <%s>\r\nFrom: a@src.example\r\n"
            b"Subject: chaos\r\n\r\n" % attempt.name.encode() +
            attempt.message.body)


class Client(threading.Thread):
    def __init__(self, ledger, path, relays, seed, rate):
        super().__init__(daemon=True)
        self.ledger = ledger
        self.path = path
        self.relays = relays            # name: (weight, open at most)
        self.random = random.Random(seed)
        self.rate = rate
        self.selector = selectors.DefaultSelector()
        self.links = [Link(self) for _ in range(4)]
        self.again = []                 # heap of (when, number, message)
        self.count = dict.fromkeys(relays, 0)   # open messages
        self.is_generating = True
        self.is_unkind = True
        self.is_ending = False
        self.reasons = {}               # text: how often
        self.crashes = set()            # texts
        self.trouble = None

    def run(self):
        try:
            self.loop()
        except BaseException as e:      # told by the main thread
            self.trouble = e
            raise

    def loop(self):
        last, credit, unkind_at = time.monotonic(), 0.0, 0.0
        while not self.is_ending:
            now = time.monotonic()
            credit = min(credit + (now - last) * self.rate, self.rate / 10)
            last = now
            for link in self.links:
                if (link.sock is None and now >= link.again_at and
                        not link.is_leaving):
                    link.connect(now)
            credit = self.submit(now, credit)
            if now >= unkind_at:
                unkind_at = now + self.random.uniform(0.2, 1)
                self.be_unkind() if self.is_unkind else self.hear()
            for link in list(self.links):
                if link.sock is not None:
                    link.flush()
                if link.is_leaving and not link.open:
                    link.lose()
                    self.links.remove(link)
            for key, events in self.selector.select(0.01):
                if key.data.sock is not None and events & 1:
                    key.data.read()

    # --- messages ---

    def submit(self, now, credit):
        ready = [k for k in self.links
                 if k.sock is not None and len(k.open) < k.window and
                 not k.is_leaving]
        while ready and self.again and self.again[0][0] <= now:
            message = heapq.heappop(self.again)[2]
            self.send(self.random.choice(ready), message, now)
        while ready and credit >= 1:
            credit -= 1
            message = self.new_message()
            if message is not None:
                self.send(self.random.choice(ready), message, now)
        return credit

    def send(self, link, message, now):
        link.deliver(self.ledger.new_attempt(message, now))

    def new_message(self):
        if not self.is_generating:
            return None
        free = [name for name, (_, most) in self.relays.items()
                if self.count[name] < most]
        if not free:
            return None
        name = self.random.choices(
            free, [self.relays[n][0] for n in free])[0]
        self.count[name] += 1
        nrcpt = self.random.choice((1, 1, 1, 1, 2, 5))
        domain = "d%d.test" % self.random.randrange(1000)
        return self.ledger.new_message(name, domain, nrcpt, self.body())

    def body(self):
        size = int(min(BODY_MAX, self.random.lognormvariate(7, 1.3)))
        line = b"%x\r\n" % self.random.getrandbits(288)
        if self.random.random() < 0.2:
            line = b"." + line
        return (line * (size // len(line) + 1))

    def ended(self, attempt):
        message = attempt.message
        if self.ledger.close(attempt):
            heapq.heappush(self.again, (
                time.monotonic() + self.random.uniform(*RETRY_S),
                message.number, message))
        else:
            self.count[message.relay] -= 1

    def keep(self, text):
        """Where the message is: a descriptor and its range in there, or none
        for one inline."""
        if len(text) <= WIRE.INLINE_MAX and self.random.random() < 0.5:
            return None, None
        before = self.random.choice((0, 0, 1, 5000))
        fd = os.memfd_create("message")
        try:
            os.pwrite(fd, text, before)
        except OSError:
            os.close(fd)
            raise
        return fd, (before, len(text))

    def why(self, attempt, text):
        words = text.decode(errors="replace").split("\n")[0]
        if CRASH_TEXT.search(words):
            self.crashes.add(words)
        for digit in "0123456789":
            words = words.replace(digit, "#")
        key = attempt.message.relay + ": " + words
        self.reasons[key] = self.reasons.get(key, 0) + 1

    def replace(self, link):
        """DRAIN: what is open will be answered there, the rest goes over a
        new connection."""
        if not link.is_leaving:
            link.is_leaving = True
            self.links.append(Link(self))

    # --- what submitters do to a master ---

    def be_unkind(self):
        link = self.random.choice(self.links)
        what = self.random.random()
        if link.sock is None:
            return
        if what < 0.05:
            link.lose()
        elif what < 0.3:
            some = list(link.open)
            for ident in self.random.sample(some, min(5, len(some))):
                link.cancel(ident)
        elif what < 0.6:
            link.is_deaf = not link.is_deaf
            link.watch()
        else:
            self.hear()

    def hear(self):
        for link in self.links:
            if link.is_deaf:
                link.is_deaf = False
                link.watch()
