#!/usr/bin/env python3
"""query: the same questions to the history and to victoria-metrics, over HTTP, about the same points.

Both are given the same seeded lines (bench-tsbs: a metric of many hosts, ten tags, integers that walk), then asked in
turns (ours, theirs, ours, theirs), one question at a time, over a connection that stays open. The clock runs from the
first byte sent to the last byte of the answer received; CPU seconds are the server's own, of all its threads.

The forms are chosen so that both read the same points and give the same numbers: OpenTSDB names a bucket by its start,
PromQL looks back from a time, so theirs is asked 1 ms before the ends of our buckets. One question of each kind is asked
before the clocks, and its answers compared number by number.
"""
import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import ingest

TSBS = os.path.join(ingest.ROOT, 'build/release/bench/bench-tsbs')
METRIC = 'cpu.usage_user'
STEP = 10  # seconds between points
HOUR = 3600
NOT_COMPARABLE = [
    'victoria-metrics is asked with nocache=1, because ours caches no answers; --cache lets it use its cache',
    'an answer of ours names the metric and all tags that a group has in common; theirs only what it was grouped by (but '
    'all tags where a series stands for itself)',
]


class Connection:
    """An HTTP connection that stays open, with as little of its own as can be."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def ask(self, path):
        """(seconds, body)"""
        for again in True, False:
            try:
                return self.try_to_ask(path)
            except ConnectionError:  # victoria-metrics closes connections of two minutes
                self.socket = None
                if not again:
                    raise

    def try_to_ask(self, path):
        if self.socket is None:
            self.socket = socket.create_connection(('127.0.0.1', self.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.settimeout(300)
        request = f'GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n'.encode()
        began = time.perf_counter()
        self.socket.sendall(request)
        parts, tail = [], b''
        head = None
        while True:
            part = self.socket.recv(1 << 20)
            if not part:
                raise ConnectionError(f'closed while it answered {path}')
            parts.append(part)
            if head is None:
                whole = b''.join(parts)
                end = whole.find(b'\r\n\r\n')
                if end < 0:
                    continue
                head = whole[:end].lower()
                sized = re.search(rb'content-length: *(\d+)', head)
                size = end + 4 + int(sized.group(1)) if sized else None
                have = len(whole)
            else:
                have += len(part)
            tail = (tail + part)[-5:]
            if have >= size if size is not None else tail == b'0\r\n\r\n':
                break
        took = time.perf_counter() - began
        whole = b''.join(parts)
        if not whole.startswith(b'HTTP/1.1 200'):
            raise SystemExit(f'query: {path}\n{whole[:600].decode(errors="replace")}')
        body = whole[end + 4:]
        return took, body if size is not None else unchunked(body)


def unchunked(body):
    parts, at = [], 0
    while True:
        end = body.index(b'\r\n', at)
        size = int(body[at:end], 16)
        if size == 0:
            return b''.join(parts)
        parts.append(body[end + 2:end + 2 + size])
        at = end + 2 + size + 2


def cpu_seconds(pid):
    """Of all threads, to the nanosecond where the kernel says it."""
    try:
        return sum(int(open(f'/proc/{pid}/task/{task}/schedstat').read().split()[0])
                   for task in os.listdir(f'/proc/{pid}/task')) / 1e9
    except OSError:
        return sum(ingest.cpu_seconds(pid))


# ---- the questions: (what, seconds asked for, ours, theirs); each a function of start, end and the chosen hosts ----

def ours(m):
    def path(start, end, hosts):
        text = m.replace('HOSTS', '|'.join(hosts))
        return '/api/query?' + urllib.parse.urlencode({'start': start, 'end': end - 1, 'arrays': 'true', 'm': text})
    return path


def theirs(query, step, instant=False):
    def path(start, end, hosts):
        text = query.replace('HOSTS', '|'.join(hosts)).replace('METRIC', f'__name__="{METRIC}"')
        if instant:
            fields = {'query': text, 'time': f'{end - 1}'}
            return '/api/v1/query?' + urllib.parse.urlencode(fields)
        # raw points stand at their time, buckets are looked at 1 ms before they end
        first, last = (start, end - step) if step == STEP else (start + step - 0.001, end - 0.001)
        fields = {'query': text, 'start': f'{first:.3f}', 'end': f'{last:.3f}', 'step': f'{step}s'}
        return '/api/v1/query_range?' + urllib.parse.urlencode(fields)
    return path


QUESTIONS = [
    ('1 series, 1 h, as it is', HOUR, 1, ours(f'none:{METRIC}{{host=literal_or(HOSTS)}}'),
     theirs('{METRIC,host=~"HOSTS"}', STEP)),
    ('1 series, 1 h, maxima of 1 min', HOUR, 1, ours(f'max:1m-max:{METRIC}{{host=literal_or(HOSTS)}}'),
     theirs('max(max_over_time({METRIC,host=~"HOSTS"}[1m])) by (host)', 60)),
    ('10 series, 1 h, maxima of 1 min', HOUR, 10, ours(f'max:1m-max:{METRIC}{{host=literal_or(HOSTS)}}'),
     theirs('max(max_over_time({METRIC,host=~"HOSTS"}[1m])) by (host)', 60)),
    ('all series by region, 1 h, averages of 1 min', HOUR, 0, ours(f'avg:1m-avg:{METRIC}{{region=*}}'),
     theirs('avg(avg_over_time({METRIC}[1m])) by (region)', 60)),
    ('last point of every series', 300, 0, ours(f'none:0all-last:{METRIC}{{host=*}}'),
     theirs('last_over_time({METRIC}[5m])', 0, instant=True)),
    ('max over all hosts, 1 h, maxima of 1 min', HOUR, 0, ours(f'max:1m-max:{METRIC}'),
     theirs('max(max_over_time({METRIC}[1m]))', 60)),
    ('1 series, 12 h, averages of 5 min', 12 * HOUR, 1, ours(f'avg:5m-avg:{METRIC}{{host=literal_or(HOSTS)}}'),
     theirs('avg(avg_over_time({METRIC,host=~"HOSTS"}[5m])) by (host)', 300)),
    ('all series by region, 12 h, averages of 1 h', 12 * HOUR, 0, ours(f'avg:1h-avg:{METRIC}{{region=*}}'),
     theirs('avg(avg_over_time({METRIC}[1h])) by (region)', 3600)),
]


def numbers_of(body, bucket):
    """{group: {time: value}} of either's answer; the group is its tag to group by, or nothing."""
    answer = json.loads(body)
    made = {}
    if isinstance(answer, list):
        for group in answer:
            tags = group['tags']
            made[tags.get('host') or tags.get('region') or ''] = {int(t): float(v) for t, v in group['dps']}
        return made
    for group in answer['data']['result']:
        tags = group['metric']
        points = group['values'] if 'values' in group else [group['value']]
        shift = 0 if bucket == STEP else bucket
        made[tags.get('host') or tags.get('region') or ''] = {round(t - shift + 0.001): float(v) for t, v in points}
    return made


def same(mine, peer, times=True):
    """The first difference, or None."""
    if set(mine) != set(peer):
        return f'{len(mine)} and {len(peer)} groups: {sorted(set(mine) ^ set(peer))[:3]}'
    for group, points in mine.items():
        if times and set(points) != set(peer[group]):
            return f'{group}: {len(points)} and {len(peer[group])} points'
        for (at, value), other in zip(sorted(points.items()), (v for _, v in sorted(peer[group].items()))):
            if abs(value - other) > 1e-9 * max(1, abs(value)):
                return f'{group} at {at}: {value} and {other}'
    return None


# ---- the sides ----

class Ours(ingest.Ours):
    def settle(self):
        """Into blocks, as it is after a while: stopped and started again."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self.process = subprocess.Popen([self.program, 'run', os.path.join(self.dir, 'ingest.yd'), '--data', self.data],
                                        stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        ingest.wait_for(lambda: ingest.get(f'http://127.0.0.1:{self.web}/api/version'))


class VictoriaMetrics(ingest.VictoriaMetrics):
    def settle(self):
        ingest.get(f'http://127.0.0.1:{self.web}/internal/force_flush')
        ingest.get(f'http://127.0.0.1:{self.web}/internal/force_merge')
        time.sleep(1)

        def quiet():
            text = ingest.get(f'http://127.0.0.1:{self.web}/metrics')
            return not re.search(r'^vm_active_force_merges [1-9]|^vm_active_merges\{.*\} [1-9]', text, re.M)
        ingest.wait_for(quiet, seconds=600, pause=0.2)


def load(server, options, end):
    points = options.hours * HOUR // STEP
    done = subprocess.run([TSBS, '127.0.0.1', str(server.port), str(options.series), str(points), str(STEP), str(end),
                           str(options.seed), '2'], capture_output=True, text=True, check=True)
    sent = json.loads(done.stdout)
    ingest.wait_for(lambda: server.stored() >= sent['points'], seconds=1200, pause=0.2)
    server.settle()


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


def questions_of(options):
    for question in QUESTIONS:
        seconds = question[1]
        if seconds <= options.hours * HOUR and re.search(options.only, question[0]):
            yield question


def bucket_of(question):
    found = re.search(r'step=(\d+)s', question[4](0, 1, ['x']))
    return int(found.group(1)) if found else 0


def requests_of(question, options, end, rng):
    """Endless (path of ours, path of theirs), over random whole minutes and hosts."""
    _, seconds, hosts, mine, peer = question
    begin = end - options.hours * HOUR
    while True:
        align = 3600 if 'averages of 1 h' in question[0] else 300
        start = begin + rng.randrange((options.hours * HOUR - seconds) // align + 1) * align
        if seconds < HOUR:
            start = end - seconds  # the last point is at the end
        chosen = [f'host_{n}' for n in rng.sample(range(options.series), hosts)]
        suffix = '' if options.cache else '&nocache=1'
        yield mine(start, start + seconds, chosen), peer(start, start + seconds, chosen) + suffix


def run(question, servers, options, end):
    rng = random.Random(options.seed)
    requests = requests_of(question, options, end, rng)
    bucket, sides = bucket_of(question), list(servers)
    checked = next(requests)
    answers = [servers[side].connection.ask(path)[1] for side, path in zip(sides, checked)]
    if len(sides) > 1:
        difference = same(*[numbers_of(body, bucket) for body in answers], times=bucket != 0)
        if difference and not options.cache:
            raise SystemExit(f'query: {question[0]}: answers differ: {difference}')
    result = {side: {'seconds': [], 'cpu': 0.0, 'bytes': len(body)} for side, body in zip(sides, answers)}
    began = time.monotonic()
    while len(result[sides[0]]['seconds']) < options.count or time.monotonic() - began < options.seconds / 2:
        batch = [next(requests) for _ in range(10)]
        for at, side in enumerate(sides):
            before = cpu_seconds(servers[side].pid)
            for paths in batch:
                result[side]['seconds'].append(servers[side].connection.ask(paths[at])[0])
            result[side]['cpu'] += cpu_seconds(servers[side].pid) - before
        if time.monotonic() - began > options.seconds:
            break
    made = {}
    for side in sides:
        seconds = result[side]['seconds']
        made[side] = {'count': len(seconds), 'p50_ms': 1e3 * percentile(seconds, 0.5),
                      'p99_ms': 1e3 * percentile(seconds, 0.99), 'cpu_ms': 1e3 * result[side]['cpu'] / len(seconds),
                      'cpu_s': result[side]['cpu'], 'bytes': result[side]['bytes']}
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--series', type=int, default=10_000)
    parser.add_argument('--hours', type=int, default=12)
    parser.add_argument('--short', action='store_true', help='1,000 series, 3 hours')
    parser.add_argument('--count', type=int, default=200, help='questions of each kind, at least (within --seconds)')
    parser.add_argument('--seconds', type=float, default=60, help='for a kind, at most')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', default='', help='kinds whose name matches')
    parser.add_argument('--cache', action='store_true', help='let victoria-metrics use its cache of answers')
    parser.add_argument('--memory', action='store_true', help='ours from memory, too: without the restart')
    parser.add_argument('--dir', default=os.path.join(ingest.ROOT, 'build'), help='where the data goes (a real disk)')
    parser.add_argument('--alone', action='store_true', help='without the peer')
    parser.add_argument('--yarder', help='another program to measure as ours')
    parser.add_argument('--profile', help='perf record of ours into this file')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    if options.short:
        options.series, options.hours = 1000, 3
    options.format, options.spread = 'put', 0  # ours is started as it is for ingest
    end = int(time.time()) // HOUR * HOUR
    sides = [Ours] if options.alone else [Ours, VictoriaMetrics]
    if not options.alone:
        VictoriaMetrics.program()  # fetched before anything is measured
    servers, results, profile = {}, {}, None
    try:
        for side in sides:
            began = time.monotonic()
            servers[side.name] = server = side(options)
            if side is Ours and options.memory:
                server.settle = lambda: None
            load(server, options, end)
            server.connection = Connection(server.web)
            print(f'query: {side.name} has {options.series * options.hours * HOUR // STEP:,} points '
                  f'after {time.monotonic() - began:.0f} s', file=sys.stderr, flush=True)
        if options.profile:
            profile = subprocess.Popen(['perf', 'record', '-q', '-g', '-p', str(servers['yarder'].pid), '-o',
                                        options.profile], stderr=subprocess.DEVNULL)
            time.sleep(0.5)
        for question in questions_of(options):
            results[question[0]] = made = run(question, servers, options, end)
            if not options.json:
                show(question[0], made)
        for server in servers.values():
            server.resident = ingest.resident_max(server.pid)
    finally:
        if profile:
            profile.send_signal(signal.SIGINT)
            profile.wait(60)
        for server in servers.values():
            server.stop()
    if options.json:
        print(json.dumps({'series': options.series, 'hours': options.hours, 'results': results,
                          'not_comparable': NOT_COMPARABLE}, indent=2))
        return
    for side in sides:
        print(f'{side.name}: {side.version(options)}; {side.settings}; {servers[side.name].resident:.0f} MiB resident')
    if len(sides) > 1:
        for text in NOT_COMPARABLE:
            print(f'not comparable: {text}')


def show(what, made):
    print(what)
    for side, s in made.items():
        print(f'  {side:<17} p50 {s["p50_ms"]:9.3f} ms  p99 {s["p99_ms"]:9.3f} ms  CPU {s["cpu_ms"]:9.3f} ms a question '
              f'({s["cpu_s"]:.3f} s of {s["count"]})  {s["bytes"]} bytes')
    if len(made) > 1:
        mine, peer = made['yarder'], made['victoria-metrics']
        ratios = ', '.join(f'{name} {peer[key] / mine[key]:.1f}' for name, key in
                           (('p50', 'p50_ms'), ('p99', 'p99_ms'), ('CPU', 'cpu_ms')) if mine[key])
        print(f'  theirs to ours    {ratios}', flush=True)


if __name__ == '__main__':
    sys.exit(main())
