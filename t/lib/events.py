"""events.py LOG...: checks the lines of JSON logs, prints "EVENT KEY=VALUE..."
of each.  Ends with 1 at a line that is no object of its own, that has a key
twice, or that holds a control byte."""
import json
import sys

ALWAYS = ("time", "level", "program", "pid", "event")


def once(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError("a key is there twice: %s" % keys)
    return dict(pairs)


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as log:
            for line in log.read().split(b"\n")[:-1]:
                if any(byte < 0x20 or byte == 0x7f for byte in line):
                    sys.exit("control byte: %r" % line)
                event = json.loads(line.decode("utf-8"),
                                   object_pairs_hook=once)
                missing = [key for key in ALWAYS if key not in event]
                if missing:
                    sys.exit("no %s: %r" % (missing, line))
                print(event["event"], " ".join(
                    "%s=%r" % pair for pair in event.items()
                    if pair[0] not in ALWAYS))


main()
