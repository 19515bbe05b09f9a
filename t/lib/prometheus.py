#!/usr/bin/env python3
"""Prometheus' text format (version 0.0.4), read apart from what writes it.

    prometheus.py check <TEXT       what is wrong with it, and exit status 1
    prometheus.py get NAME [LABEL=VALUE]... <TEXT     the sum of such samples
    prometheus.py families <TEXT    "NAME TYPE", a line each
    prometheus.py grown OLD <TEXT   counters of the file OLD that are gone or
                                    have become less
    prometheus.py used FILE...      names of nexthop's metrics in rules (YAML)
                                    and dashboards (JSON)
"""

import json
import math
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SAMPLE = re.compile(r'(%s)(?:\{(.*)\})? (\S+)' % NAME)


class Wrong(Exception):
    pass


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        if not m or m.group(1) in found:
            raise Wrong('labels %r' % text)
        found[m.group(1)] = m.group(2)
        at = m.end()
    return found


def read(text):
    """[(family, type, name, labels, value)], types by family."""
    types, samples, seen, done = {}, [], set(), set()
    family, helped = None, set()
    if not text.endswith('\n'):
        raise Wrong('the last line has no end')
    for line in text[:-1].split('\n'):
        if line.startswith('# HELP '):
            name = line.split(' ')[2]
            if name in helped:
                raise Wrong('second HELP of ' + name)
            helped.add(name)
            continue
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            if name in types or name not in helped or \
                    kind not in ('counter', 'gauge', 'histogram'):
                raise Wrong(line)
            types[name] = kind
            done.add(family)
            family = name
            continue
        m = SAMPLE.fullmatch(line)
        if not m:
            raise Wrong('line %r' % line)
        name, labels = m.group(1), labels_of(m.group(2) or '')
        whole = re.sub('_(bucket|sum|count)$', '', name) \
            if types.get(family) == 'histogram' else name
        if whole != family or family in done:
            raise Wrong('not in its family: ' + line)
        key = name, tuple(sorted(labels.items()))
        if key in seen:
            raise Wrong('twice: ' + line)
        seen.add(key)
        samples.append((family, types[family], name, labels,
                        float(m.group(3))))
    return samples, types


def check_histograms(samples):
    series = {}
    for family, kind, name, labels, value in samples:
        if kind == 'counter' and not family.endswith('_total'):
            raise Wrong('a counter without _total: ' + family)
        if kind != 'histogram':
            continue
        rest = tuple(sorted((k, v) for k, v in labels.items() if k != 'le'))
        s = series.setdefault((family, rest), {'buckets': []})
        if name.endswith('_bucket'):
            s['buckets'].append((float(labels['le']), value))
        else:
            s[name[len(family) + 1:]] = value
    for key, s in series.items():
        bounds = [b for b, _ in s['buckets']]
        counts = [c for _, c in s['buckets']]
        if bounds != sorted(bounds) or bounds[-1] != math.inf or \
                counts != sorted(counts) or counts[-1] != s['count'] or \
                s['sum'] < 0:
            raise Wrong('histogram %s: %s' % (key, s))


def total(samples, name, wanted):
    found = [v for _, _, n, labels, v in samples if n == name and
             all(labels.get(k) == w for k, w in wanted)]
    return '%g' % sum(found) if found else 'none'


def check_grown(old, new):
    now = {(n, tuple(sorted(x.items()))): v for _, _, n, x, v in new}
    bad = 0
    for _, kind, name, labels, value in old:
        if kind == 'gauge':
            continue
        later = now.get((name, tuple(sorted(labels.items()))))
        if later is None or later < value:
            print(name, labels, value, '->', later)
            bad = 1
    return bad


def strings(x):
    if isinstance(x, str):
        yield x
    elif isinstance(x, dict):
        for v in x.values():
            yield from strings(v)
    elif isinstance(x, list):
        for v in x:
            yield from strings(v)


def used(paths):
    names = set()
    for path in paths:
        with open(path) as f:
            text = f.read()
        if path.endswith('.json'):
            text = '\n'.join(strings(json.loads(text)))
        names |= set(re.findall(r'(?<![a-zA-Z0-9_:])nexthop_[a-z0-9_]+\b',
                                text))
    return sorted(names)


def main():
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == 'used':
        print('\n'.join(used(args)))
        return 0
    samples, types = read(sys.stdin.read())
    check_histograms(samples)
    if verb == 'get':
        print(total(samples, args[0], [a.split('=', 1) for a in args[1:]]))
    elif verb == 'families':
        for name, kind in types.items():
            print(name, kind)
    elif verb == 'grown':
        with open(args[0]) as f:
            return check_grown(read(f.read())[0], samples)
    return 0


try:
    sys.exit(main())
except Wrong as error:
    print(error)
    sys.exit(1)
