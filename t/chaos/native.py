"""The cell "native": a submitter, the master, its agents."""
import time

from client import Client
from common import Failed
from ledger import Ledger, settle
from lmtp import Intake
from world import RELAYS, World


class Native:
    name = "native"

    def __init__(self, args, folder):
        names = args.relays.split(",") if args.relays else list(RELAYS)
        self.world = World(folder, args.seed, names)
        self.ledger = Ledger(args.seed)
        self.client = Client(self.ledger, folder + "/s.sock",
                             self.world.relays, args.seed, args.rate)
        self.missing = []
        self.relays = set(self.world.relays)
        self.intake = None
        if self.world.has_intake:
            self.relays.add("intake")
            self.intake = Intake(self.ledger, self.client, folder + "/i.sock",
                                 "intake", args.seed, args.rate / 8)

        if args.gentle:
            self.calm()

    def start(self):
        self.world.start()
        self.world.wait_up()
        self.descriptors = self.world.descriptors()
        self.client.start()
        if self.intake is not None:
            self.intake.start()

    def submitters(self):
        return [s for s in (self.client, self.intake) if s is not None]

    def check(self):
        for s in self.submitters():
            if s.trouble is not None:
                raise Failed("a submitter: %r" % s.trouble)

    def watch(self, call):
        """Call with the seconds until each relay has delivered again."""
        self.ledger.watch(time.monotonic(), self.relays, call)

    def calm(self):
        for s in self.submitters():
            s.is_unkind = False

    def is_recovered(self):
        return not self.ledger.watches

    def end_input(self):
        for s in self.submitters():
            s.is_generating = False

    def is_settled(self):
        return not self.ledger.open

    def is_idle(self):
        """All rests, and has no more descriptors than at the start, but for
        the submitter's connections and what is opened once."""
        now = self.world.descriptors()
        return all(n <= self.descriptors.get(name, n) + len(
            self.client.links) + 2 for name, n in now.items())

    def finish(self):
        """Ends all; what did not end by itself."""
        if self.intake is not None:
            self.intake.join()
            self.missing = list(self.intake.missing)
        self.client.is_ending = True
        if self.client.ident is not None:
            self.client.join()
        still = [a for link in self.client.links
                 if link.sock is not None for a in link.open.values()]
        self.missing += [a.name for a in still]
        left = self.world.stop()
        rows = dict(self.ledger.rows)
        for a in still:
            rows[a.name] = (a.answers.count("delivered"), len(a.answers),
                            a.digest)
        self.totals = settle(rows, self.world.journals)
        return left

    def figures(self):
        books = self.ledger
        return ["messages %d, attempts %d" % (books.numbers, len(books.rows)),
                "answers: " + ", ".join("%s %d" % kv for kv in
                                        books.answered.items()),
                "memory: %s, killed for it %d" % (
                    self.world.memory.text, self.world.memory.kills)]

    def unsettled(self):
        """Messages that were never delivered."""
        return ["%d (%s)" % (m.number, m.relay)
                for m in self.ledger.open.values()]

    def unanswered(self):
        return self.missing

    def wrong(self):
        return self.ledger.wrong

    def crashes(self):
        return (self.world.crashes() + self.world.crashes_logged() +
                [c for s in self.submitters() for c in sorted(s.crashes)])

    def reasons(self):
        return {text: n for s in self.submitters()
                for text, n in s.reasons.items()}
