"""What Postfix's log says of each message, as it says it: who was sent, who is
in doubt, and what of that has a reason.

From one moment when a message becomes active to the next one is a round. In
each round every recipient it still has gets a line with the outcome, unless
whoever had it died. So a recipient without one is in doubt if a delivery agent
died in that round, or its system calls failed, by which a line can be lost. If
it was only the queue manager, or a reload, nobody had it: no copy may come of
it. If nothing happened an answer is missing."""
import os
import re
import threading
import time

from hands import CRASH_TEXT

DOUBT = "may have been delivered"
ACTIVE = re.compile(r"qmgr\[\d+\]: (\w+): from=<.* nrcpt=(\d+) "
                    r"\(queue active\)")
TAKEN = re.compile(r"cleanup\[\d+\]: (\w+): message-id=<(.*)>")
OUTCOME = re.compile(r": (\w+): to=<([^>]*)>, .*status=(\w+) ")
UNMARKED = re.compile(r": error: (\w+): marking the recipient at offset")
DEATH = re.compile(r"master\[\d+\]: warning: process \S*/([\w-]+) pid \d+ "
                   r"(killed by|exit status)")
RELOAD = re.compile(r"master\[\d+\]: reload")
LATE_S = 5.0            # from a moment to its line, on a busy machine


class Round:
    """nrcpt: whom it is for. heard: those with an outcome."""

    def __init__(self, begin, nrcpt):
        self.begin, self.end = begin, None
        self.nrcpt, self.heard = nrcpt, set()


class Upsets:
    """When somebody died, or could not tell: [from, to, is it an agent]."""

    def __init__(self):
        self.rows = []

    def add(self, is_agent, begin=None, end=None):
        now = time.monotonic()
        row = [now if begin is None else begin,
               now if end is None else end, is_agent]
        self.rows.append(row)
        return row

    def of(self, turn):
        """What happened in a round: those flags."""
        end = turn.end or time.monotonic()
        return [is_agent for since, until, is_agent in self.rows
                if since <= end + LATE_S and until >= turn.begin - LATE_S]


class Log(threading.Thread):
    def __init__(self, path, agent, upsets):
        super().__init__(daemon=True)
        self.path, self.agent, self.upsets = path, agent, upsets
        self.names = {}         # by queue id
        self.rounds = {}        # lists, by queue id
        self.sent = {}          # how often, by queue id and recipient
        self.told = {}          # "may have been delivered", likewise
        self.unmarked = {}      # recipients that come again, by queue id
        self.other = []         # bounced, expired ...
        self.reasons = {}
        self.crashes = []
        self.lock = threading.Lock()
        self.watches = []
        self.times = {}         # by name: when it was submitted
        self.is_ending = False

    def run(self):
        while not os.path.exists(self.path):
            time.sleep(0.05)
        with open(self.path, errors="replace") as f:
            rest = ""
            while True:
                data = f.read(1 << 20)
                if not data:
                    if self.is_ending:
                        return
                    time.sleep(0.05)
                    continue
                *lines, rest = (rest + data).split("\n")
                for line in lines:
                    self.take(line)

    def take(self, line):
        if CRASH_TEXT.search(line):
            self.crashes.append(line)
        found = TAKEN.search(line)
        if found:
            self.names[found[1]] = found[2]
            return
        found = ACTIVE.search(line)
        if found:
            self.begin_round(found[1], int(found[2]))
            return
        found = OUTCOME.search(line)
        if found:
            self.take_outcome(line, *found.groups())
            return
        self.take_upset(line)

    def take_upset(self, line):
        found = DEATH.search(line)
        if found and found[1] in (self.agent, "qmgr"):
            self.upsets.add(found[1] == self.agent)
        elif RELOAD.search(line):
            self.upsets.add(False)
        found = UNMARKED.search(line)
        if found:
            count(self.unmarked, found[1])

    def take_outcome(self, line, qid, rcpt, status):
        self.rounds[qid][-1].heard.add(rcpt)
        if status == "sent":
            count(self.sent, (qid, rcpt))
            self.look(qid)
            return
        if DOUBT in line:
            count(self.told, (qid, rcpt))
        elif status != "deferred":
            self.other.append(line)
        count(self.reasons,
              re.sub(r"\d", "#", line.partition(" status=")[2]))

    def begin_round(self, qid, nrcpt):
        turns = self.rounds.setdefault(qid, [])
        now = time.monotonic()
        if turns:
            turns[-1].end = now
        turns.append(Round(now, nrcpt))

    def look(self, qid):
        now = time.monotonic()
        since = self.times.get(self.names.get(qid), 0)
        with self.lock:
            for watch in [w for w in self.watches if since > w[0]]:
                watch[1](now - watch[0])
                self.watches.remove(watch)

    # --- what it comes to ---

    def over(self, qid):
        """Rounds that another one followed."""
        return self.rounds.get(qid, [])[:-1]

    def missing(self):
        """Outcomes that nobody was prevented from telling."""
        found = []
        for qid in self.rounds:
            for turn in self.over(qid):
                if len(turn.heard) < turn.nrcpt and not self.upsets.of(turn):
                    found.append("%s: %d of %d outcomes" % (
                        qid, len(turn.heard), turn.nrcpt))
        return found

    def sent_twice(self):
        """Said of somebody whose mark was set."""
        return ["%s: %s sent %d times" % (qid, rcpt, n)
                for (qid, rcpt), n in self.sent.items()
                if n > 1 + self.unmarked.get(qid, 0)]

    def unheard(self, qid, rcpt):
        """In how many rounds an agent may have had it, and died."""
        return sum(rcpt not in turn.heard and any(self.upsets.of(turn))
                   for turn in self.over(qid))


def count(counts, key):
    counts[key] = counts.get(key, 0) + 1
