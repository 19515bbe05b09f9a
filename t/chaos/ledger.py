"""The books of a run: what was submitted, what was answered, what came.

A message is submitted as often as its answers ask for, each time under an id
of its own, that of the attempt. So the sinks' journals tell attempts apart, and
each is held against its answers:

    delivered           one copy
    in doubt            a copy or none ("may have been delivered", or the
                        connection ended before the answer)
    anything else       no copy
"""
import hashlib
import threading

DELIVERED, DOUBT, LATER, BOUNCED = "delivered", "doubt", "later", "bounced"


class Message:
    __slots__ = ("number", "relay", "rcpts", "body", "tries")

    def __init__(self, number, relay, rcpts, body):
        self.number = number
        self.relay = relay
        self.rcpts = rcpts      # still without a final answer
        self.body = body
        self.tries = 0


class Attempt:
    __slots__ = ("name", "message", "rcpts", "answers", "since", "end_at",
                 "digest")

    def __init__(self, name, message, since):
        self.name = name
        self.message = message
        self.rcpts = message.rcpts
        self.answers = [None] * len(message.rcpts)
        self.since = since
        self.end_at = None      # of the stream, where its frame ends
        self.digest = hashlib.sha256(
            message.body + name.encode()).digest()[:8]


class Ledger:
    """Written by the submitters' threads, read by the others."""

    def __init__(self, seed):
        self.seed = seed
        self.lock = threading.Lock()
        self.rows = {}          # attempt: delivered, in doubt, digest
        self.open = {}          # messages without their final answers
        self.numbers = 0
        self.answered = {kind: 0 for kind in (DELIVERED, DOUBT, LATER,
                                              BOUNCED)}
        self.wrong = []         # answers that must not be
        self.watches = []       # [since, relays that have not delivered, call]

    def new_message(self, relay, domain, nrcpt, body):
        with self.lock:
            self.numbers += 1
            n = self.numbers
            message = Message(n, relay, ["r%d.%d@%s" % (n, i, domain)
                                         for i in range(nrcpt)], body)
            self.open[n] = message
        return message

    def new_attempt(self, message, now):
        message.tries += 1
        name = "%d.%d.%d.%s@chaos" % (self.seed, message.number,
                                      message.tries, message.relay)
        return Attempt(name, message, now)

    def answer(self, attempt, index, kind, now):
        attempt.answers[index] = kind
        with self.lock:
            self.answered[kind] += 1
            if kind == DELIVERED and self.watches:
                self.look(attempt, now)

    def look(self, attempt, now):
        for watch in self.watches:
            if attempt.since > watch[0]:
                watch[1].discard(attempt.message.relay)
                if not watch[1]:
                    watch[2](now - watch[0])
        self.watches = [w for w in self.watches if w[1]]

    def watch(self, now, relays, call):
        """Call with the seconds from now until each relay has delivered a
        message that was submitted after now."""
        with self.lock:
            self.watches.append([now, set(relays), call])

    def blame(self, text):
        self.wrong.append(text)

    def close(self, attempt):
        """All its answers are there. True: the message must go again."""
        answers, message = attempt.answers, attempt.message
        for rcpt, kind in zip(attempt.rcpts, answers):
            if kind == BOUNCED:
                self.blame("%s: %s failed for good" % (attempt.name, rcpt))
        with self.lock:
            self.rows[attempt.name] = (answers.count(DELIVERED),
                                       answers.count(DOUBT), attempt.digest)
            message.rcpts = [r for r, kind in zip(attempt.rcpts, answers)
                             if kind in (DOUBT, LATER)]
            if not message.rcpts:
                del self.open[message.number]
        return bool(message.rcpts)


class Totals:
    """What the journals say of the books."""

    def __init__(self):
        self.lost = []          # delivered, without a copy
        self.outside = []       # a copy too many, or where none may be
        self.damaged = []       # not the message that was sent
        self.strange = []       # of no attempt
        self.in_doubt = 0       # recipients
        self.inside = 0         # of them, those that had been delivered
        self.copies = 0


def read_journal(path):
    """Copies by attempt, and the digests they had, from lines of t/tools/sink
    -j: id, octets, recipients, SHA-256 of body and id."""
    copies, digests = {}, {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if not line.endswith("\n") or len(words) < 4:
                continue        # cut short: no reply had left
            name = words[0]
            copies[name] = copies.get(name, 0) + int(words[2])
            digests.setdefault(name, set()).add(bytes.fromhex(words[3])[:8])
    return copies, digests


def settle(rows, journals):
    """Holds attempts (name: delivered, in doubt, digest) against journals."""
    totals = Totals()
    copies, digests = {}, {}
    for path in journals:
        some, had = read_journal(path)
        for name, n in some.items():
            copies[name] = copies.get(name, 0) + n
            digests.setdefault(name, set()).update(had[name])
    totals.copies = sum(copies.values())
    for name, (delivered, in_doubt, digest) in rows.items():
        came = copies.pop(name, 0)
        totals.in_doubt += in_doubt
        totals.inside += min(in_doubt, max(0, came - delivered))
        if came < delivered:
            totals.lost.append(name)
        if came > delivered + in_doubt:
            totals.outside.append(name)
        if digest is not None and digests.get(name, {digest}) != {digest}:
            totals.damaged.append(name)
    totals.strange = list(copies)
    return totals


class Copy:
    """One for a recipient; is_heard: the client went on after our reply."""
    __slots__ = ("is_heard",)

    def __init__(self):
        self.is_heard = False


def read_copies(path):
    """Lists of Copy, as they came, by message and recipient, from lines of
    t/tools/sink -J -j."""
    found, over = {}, {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if not line.endswith("\n"):
                continue
            if words[0] == "heard":
                for copy in over.pop(words[1], []):
                    copy.is_heard = True
            elif len(words) >= 6:
                for rcpt in words[5].split(","):
                    copy = Copy()
                    found.setdefault((words[0], rcpt), []).append(copy)
                    over.setdefault(words[4], []).append(copy)
    return found


def excess(copies, told, unheard):
    """How many are too many for one recipient: each but the last one needs a
    doubt. told: attempts of which the client said so. unheard: those it may
    have died in; of these only copies whose reply it cannot have had count."""
    early = copies[:-1]
    return len(early) - told - min(
        unheard, sum(not copy.is_heard for copy in early))
