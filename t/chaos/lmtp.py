"""Submitters that speak LMTP (RFC 2033) to an intake, and keep each message
until every recipient has its reply, as an MTA's queue does."""
import heapq
import random
import re
import socket
import threading
import time

from client import DOUBT_TEXT, RETRY_S, message_text
from hands import CRASH_TEXT
from ledger import BOUNCED, DELIVERED, DOUBT, LATER

THREADS = 6
REPLY_S = 60            # an answer that is not there by then is missing
LEAVES = 0.02           # of messages, those whose client hangs up before the end


class Ended(Exception):
    """The server closed, or said that it does."""


class Missing(Exception):
    """A reply did not come."""


class Session:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(REPLY_S)
        try:
            self.sock.connect(path)
            self.file = self.sock.makefile("rb")
            self.want(b"2")
            self.say(b"LHLO chaos.test\r\n")
            self.want(b"2")
        except BaseException:
            self.sock.close()
            raise

    def say(self, data):
        self.sock.sendall(data)

    def reply(self):
        """(code, text) of the next one."""
        text = []
        while True:
            try:
                line = self.file.readline()
            except TimeoutError:
                raise Missing
            if len(line) < 4:
                raise Ended
            text.append(line[4:].strip())
            if line[3:4] != b"-":
                return line[:3], b" ".join(text)

    def want(self, first):
        code, _ = self.reply()
        if not code.startswith(first):
            raise Ended

    def close(self):
        self.sock.close()


class Intake:
    """Several threads with a session each."""

    def __init__(self, ledger, client, path, relay, seed, rate):
        self.ledger, self.path, self.relay = ledger, path, relay
        self.client = client            # makes the bodies
        self.seed, self.rate = seed, rate
        self.lock = threading.Lock()
        self.again = []
        self.missing = []
        self.reasons = {}
        self.crashes = set()
        self.is_generating = True
        self.is_unkind = True
        self.is_ending = False
        self.trouble = None
        self.threads = [threading.Thread(target=self.run, args=(i,),
                                         daemon=True) for i in range(THREADS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        self.is_ending = True
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def run(self, index):
        rng = random.Random("%d lmtp %d" % (self.seed, index))
        session = None
        try:
            while not self.is_ending:
                session = self.turn(session, rng)
        except BaseException as e:
            self.trouble = e
            raise

    def turn(self, session, rng):
        """One message, if there is one; the session, if it lives."""
        if session is None:
            try:
                session = Session(self.path)
            except (OSError, Ended, Missing):
                time.sleep(0.05)
                return None
        message = self.next_message(rng)
        if message is None:
            time.sleep(0.02)
            return session
        attempt = self.ledger.new_attempt(message, time.monotonic())
        is_alive = False
        try:
            is_alive = self.deliver(session, attempt, rng)
        except (OSError, Ended):
            pass
        except Missing:
            self.missing.append(attempt.name)
        if None in attempt.answers:
            self.why("session lost" + (", in doubt" if attempt.end_at
                                       else ""))
        for i, kind in enumerate(attempt.answers):
            if kind is None:
                self.ledger.answer(attempt, i, DOUBT if attempt.end_at
                                   else LATER, time.monotonic())
        if self.ledger.close(attempt):
            with self.lock:
                heapq.heappush(self.again, (
                    time.monotonic() + rng.uniform(*RETRY_S), message.number,
                    message))
        if not is_alive:
            session.close()
            return None
        return session

    def next_message(self, rng):
        with self.lock:
            if self.again and self.again[0][0] <= time.monotonic():
                return heapq.heappop(self.again)[2]
        if not self.is_generating:
            return None
        time.sleep(rng.expovariate(self.rate / THREADS))
        return self.ledger.new_message(
            self.relay, "d%d.test" % rng.randrange(1000),
            rng.choice((1, 1, 1, 3)), self.client.body())

    # --- one message ---

    def deliver(self, session, attempt, rng):
        """Whether the session lives on."""
        session.say(b"MAIL FROM:<a@src.example>\r\n" + b"".join(
            b"RCPT TO:<%s>\r\n" % r.encode() for r in attempt.rcpts))
        code, text = session.reply()
        if not code.startswith(b"2"):
            raise Ended
        accepted = []
        for i in range(len(attempt.rcpts)):
            code, text = session.reply()
            if code.startswith(b"2"):
                accepted.append(i)
            else:
                self.answer(attempt, i, code, text)
        if not accepted:
            return False
        data = message_text(attempt)
        if rng.random() < 0.3:
            head = b"BDAT %d LAST\r\n" % len(data)
        else:
            session.say(b"DATA\r\n")
            session.want(b"3")
            head, data = b"", data.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        if self.is_unkind and rng.random() < LEAVES:
            session.say(head + data[:rng.randrange(len(data) - 3)])
            return False
        attempt.end_at = 1      # from here on it may be delivered
        session.say(head + data)
        for i in accepted:
            self.answer(attempt, i, *session.reply())
        return True

    def answer(self, attempt, index, code, text):
        kind = {b"2": DELIVERED, b"4": LATER, b"5": BOUNCED}.get(code[:1])
        if kind is None:
            raise Ended
        if kind != DELIVERED:
            if DOUBT_TEXT in text:
                kind = DOUBT
            words = text.decode(errors="replace")
            if CRASH_TEXT.search(words):
                self.crashes.add(words)
            self.why(words.split("> ")[-1])
        self.ledger.answer(attempt, index, kind, time.monotonic())

    def why(self, words):
        words = self.relay + ": " + re.sub(r"\d", "#", words)
        self.reasons[words] = self.reasons.get(words, 0) + 1
