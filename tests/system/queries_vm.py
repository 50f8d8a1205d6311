"""Generated queries over the same lines, asked of a history and of victoria-metrics: alike within float rounding.

    queries_vm.py [COUNT [SEED]]      60 by default; YD_TEST_SEED is the seed, else 1

A question is made once and said twice, in OpenTSDB's words and in MetricsQL's, which has a word for what OpenTSDB does
between a series' points: `interpolate`. What both have (avg, stddev, quantile ...) victoria-metrics works out; what only
OpenTSDB has (median as the upper of two, p50 to p999, ep...r3, mult) is worked out here from its answers to the series.
docs/history.md lists where the two differ, and how each difference is said here.
"""
import collections
import json
import math
import os
import random
import re
import socket
import subprocess
import sys
import urllib.parse
import urllib.request

from harness import ROOT, Daemon, Skip, check_identity, free_port, main, wait_for

T = 1_700_006_400  # a whole hour
HOURS = 3
HOUR = 3600
METRICS = {'reg': 10, 'gap': 10, 'cnt': 10, 'jit': 1}  # and what divides all times of it
KEYS = ['dc', 'host', 'os', 'rack']


# ---- the lines ----

def series_of(metric, rng):
    for n in range({'reg': 24, 'gap': 16, 'cnt': 12, 'jit': 10}[metric]):
        tags = {'host': f'{"Web" if n % 5 == 4 else "web"}{n:02}', 'dc': ['lga', 'sfo', 'Ams'][n % 3]}
        if n % 4:
            tags['rack'] = str(rng.randrange(4))
        if n % 7 == 3:
            tags['os'] = 'linux'
        yield tags


def times_of(metric, rng):
    at, end = T, T + HOURS * HOUR
    if metric in ('reg', 'cnt'):
        yield from range(at, end, 10)
        return
    at += rng.randrange(0, 600, 10)
    end -= rng.randrange(0, 600, 10)
    while at < end:
        yield at
        if metric == 'jit':
            at += rng.randrange(5, 40)
        else:
            at += 10 * (1 if rng.random() < 0.7 else rng.randrange(2, 5) if rng.random() < 0.97 else rng.randrange(20, 45))


def lines_of(seed):
    """In order of their series, but one in twenty comes after all others."""
    rng = random.Random(seed)
    late = []
    for line in in_order(rng):
        if rng.random() < 0.05:
            late.append(line)
        else:
            yield line
    rng.shuffle(late)
    yield from late


def in_order(rng):
    for metric in METRICS:
        for n, tags in enumerate(series_of(metric, rng)):
            value = rng.randrange(1000)
            words = ' '.join(f'{key}={word}' for key, word in tags.items())
            for at in times_of(metric, rng):
                if metric == 'cnt':
                    value = 0 if rng.random() < 0.003 else value + rng.randrange(200)
                else:
                    value += rng.randrange(-50, 51)
                text = value if n % 2 or metric == 'cnt' else f'{value + rng.random():.3f}'
                yield f'put {metric} {at} {text} {words}\n'


# ---- a question ----

# sum2_over_time gives the square of the value before where there is none
DOWN = {'avg': 'avg_over_time(%s)', 'sum': 'sum_over_time(%s)', 'min': 'min_over_time(%s)', 'max': 'max_over_time(%s)',
        'count': 'count_over_time(%s)', 'first': 'first_over_time(%s)', 'last': 'last_over_time(%s)',
        'dev': 'stddev_over_time(%s)', 'squareSum': '(sum2_over_time(%s) if count_over_time(%s))', 'zimsum': 'sum_over_time(%s)',
        'mimmin': 'min_over_time(%s)', 'mimmax': 'max_over_time(%s)', 'ep50r7': 'quantile_over_time(0.5, %s)',
        'ep90r7': 'quantile_over_time(0.9, %s)', 'ep99r7': 'quantile_over_time(0.99, %s)'}
# what a series without a point contributes; the same in MetricsQL; or what is done here with the values
LINE, ZERO, NOTHING, PREVIOUS = 'line', 'zero', 'nothing', 'previous'


def upper(values):
    return sorted(values)[len(values) // 2]


def classic(percent):
    def of(values):
        values, place = sorted(values), percent / 100 * (len(values) + 1)
        below = math.floor(place)
        if place < 1:
            return values[0]
        if place >= len(values):
            return values[-1]
        return values[below - 1] + (place - below) * (values[below] - values[below - 1])
    return of


def r3(percent):
    def of(values):
        values, p = sorted(values), percent / 100
        place = 0 if p <= 0.5 / len(values) else round(len(values) * p)  # halves to even, as rint
        return values[min(max(place, 1), len(values)) - 1]
    return of


GROUP = {'sum': (LINE, 'sum(%s)'), 'avg': (LINE, 'avg(%s)'), 'min': (LINE, 'min(%s)'), 'max': (LINE, 'max(%s)'),
         'dev': (LINE, 'stddev(%s)'), 'count': (ZERO, 'count(%s)'), 'squareSum': (ZERO, 'sum2(%s)'),
         'zimsum': (ZERO, 'sum(%s)'), 'mimmin': (NOTHING, 'min(%s)'), 'mimmax': (NOTHING, 'max(%s)'),
         'pfsum': (PREVIOUS, 'sum(%s)'), 'ep50r7': (LINE, 'quantile(0.5, %s)'), 'ep95r7': (LINE, 'quantile(0.95, %s)'),
         'median': (LINE, upper), 'p50': (LINE, classic(50)), 'p90': (LINE, classic(90)), 'p999': (LINE, classic(99.9)),
         'ep75r3': (LINE, r3(75)), 'mult': (LINE, math.prod), 'none': (None, None)}


def escaped(text):
    return re.sub(r'([\\.+*?()|\[\]{}^$])', r'\\\\\1', text)


FILTERS = {  # type: (expressions by key, matchers)
    'literal_or': lambda e: [('=~', '|'.join(escaped(w) for w in e.split('|')))],
    'iliteral_or': lambda e: [('=~', '(?i)(' + '|'.join(escaped(w) for w in e.split('|')) + ')')],
    'not_literal_or': lambda e: [('!~', '|'.join(escaped(w) for w in e.split('|')))],
    'not_iliteral_or': lambda e: [('!~', '(?i)(' + '|'.join(escaped(w) for w in e.split('|')) + ')')],
    'wildcard': lambda e: [('=~', '.*'.join(escaped(w) for w in e.split('*'))), ('!=', '')],
    'iwildcard': lambda e: [('=~', '(?i)' + '.*'.join(escaped(w) for w in e.split('*'))), ('!=', '')],
    'regexp': lambda e: [('=~', f'.*({e}).*'.replace('\\', '\\\\')), ('!=', '')],
    'not_key': lambda e: [('=', '')],
}
VALUES = {'host': ['web01', 'web02', 'Web04', 'WEB04', 'web11', 'web3', 'nobody'], 'dc': ['lga', 'sfo', 'Ams', 'ams', 'x'],
          'rack': ['0', '1', '2', '9'], 'os': ['linux', 'bsd']}
PATTERNS = {'host': ['*', 'web*', '*1', 'w*0*', 'WEB*'], 'dc': ['*', 'l*', 'a*'], 'rack': ['*', '1*'], 'os': ['*', 'li*x']}
REGEXPS = {'host': ['0[1-5]', '^web', 'b1', '[02468]$'], 'dc': ['^(lga|sfo)$', 's'], 'rack': ['[12]'], 'os': ['linux']}


class Question:
    def __init__(self, rng):
        self.metric = rng.choice(list(METRICS))
        self.step = METRICS[self.metric]
        self.filters = [self.filter(rng, key) for key in rng.sample(KEYS, rng.choice([0, 1, 1, 1, 2, 2, 3]))]
        self.explicit = rng.random() < 0.08
        self.down = self.fill = None
        self.all = False
        if rng.random() < 0.8:
            self.down = (rng.choice([30, 60, 60, 120, 300, 600, 1800, 3600]), rng.choice(list(DOWN)))
            self.fill = rng.choice([None, None, None, None, 'none', 'zero', 'nan', 'null'])
            self.all = rng.random() < 0.08
        if self.all:
            self.fill = None
        self.agg = rng.choice(list(GROUP))
        self.rate = None
        if not self.all and self.fill not in ('zero', 'nan', 'null') and rng.random() < (0.7 if self.metric == 'cnt' else 0.15):
            self.rate = 'drop' if self.metric == 'cnt' else 'plain'
        longest = 20 * 60 if self.step == 1 and not self.down else (HOURS - 1) * HOUR
        # the first rate looks back to the whole hour, so there must be points between
        self.start = T + rng.randrange(HOUR) + (0 if not self.rate else HOUR)
        if self.rate:
            self.start = max(self.start, self.start // HOUR * HOUR + 1200)
        self.end = min(self.start + rng.randrange(1, longest), T + HOURS * HOUR - 1)
        self.post, self.arrays, self.ms = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.3

    @staticmethod
    def filter(rng, key):
        kind = rng.choice(list(FILTERS))
        if kind == 'not_key':
            return key, kind, '', False
        words = VALUES if 'literal' in kind else PATTERNS if 'wildcard' in kind else REGEXPS
        expression = rng.choice(words[key])
        if 'literal' in kind:
            expression = '|'.join(rng.sample(words[key], rng.randrange(1, min(4, len(words[key]) + 1))))
        return key, kind, expression, rng.random() < 0.6

    def kind(self):
        """Its class, for the summary."""
        return ' '.join(filter(None, ['0all' if self.all else 'buckets' if self.down else 'raw',
                                      f'fill-{self.fill}' if self.fill else '', f'rate-{self.rate}' if self.rate else '',
                                      'none' if self.agg == 'none' else 'grouped' if self.group_keys() else 'all']))

    def group_keys(self):
        return sorted({key for key, kind, _, group in self.filters if group and kind != 'not_key'})

    # ---- said to OpenTSDB ----

    def downsample(self):
        if not self.down:
            return None
        text = f'{"0all" if self.all else f"{self.down[0]}s"}-{self.down[1]}'
        return text + (f'-{self.fill}' if self.fill else '')

    def ask_ours(self, daemon):
        if self.post:
            query = {'metric': self.metric, 'aggregator': self.agg, 'explicitTags': self.explicit,
                     'filters': [{'tagk': k, 'type': t, 'filter': e, 'groupBy': g} for k, t, e, g in self.filters]}
            if self.down:
                query['downsample'] = self.downsample()
            if self.rate:
                query['rate'] = True
                query['rateOptions'] = {'counter': True, 'dropResets': True} if self.rate == 'drop' else {}
            said = {'start': self.start, 'end': self.end, 'msResolution': self.ms, 'arrays': self.arrays, 'queries': [query]}
            status, answer = daemon.http('/api/query', said)
        else:
            parts = [self.agg, self.downsample() or '', {'drop': 'rate{dropcounter}', 'plain': 'rate', None: ''}[self.rate],
                     'explicit_tags' if self.explicit else '']
            braces = ['{' + ','.join(f'{k}={t}({e})' for k, t, e, g in self.filters if g == group) + '}'
                      for group in (True, False)]
            m = ':'.join(filter(None, parts)) + ':' + self.metric + (''.join(braces) if self.filters else '')
            said = '/api/query?' + urllib.parse.urlencode({'start': self.start, 'end': self.end, 'm': m,
                                                           'ms': str(self.ms).lower(), **({'arrays': 1} if self.arrays else {})})
            status, answer = daemon.http(said)
        assert status == 200, (status, answer, said)
        made = {}
        for group in answer:
            dps = group['dps'] if self.arrays else group['dps'].items()
            unit = 1000 if self.ms else 1
            points = {int(t) / unit: float('nan') if v is None or v == 'NaN' else v for t, v in dps}
            key = self.key(group['tags'])
            assert key not in made, (key, said)
            made[key] = points
        return made, said

    def key(self, tags):
        keys = KEYS if self.agg == 'none' else self.group_keys()
        return tuple(tags.get(key, '') for key in keys)

    # ---- said to victoria-metrics ----

    def selector(self):
        matchers = [f'__name__="{self.metric}"']
        for key, kind, expression, _ in self.filters:
            matchers += [f'{key}{op}"{value}"' for op, value in FILTERS[kind](expression)]
        if self.explicit:
            named = {key for key, *_ in self.filters}
            matchers += [f'{key}=""' for key in KEYS if key not in named]
            matchers += [f'{key}!=""' for key in named]
        return '{' + ','.join(matchers) + '}'

    def read_range(self):
        """First and last time that OpenTSDB reads: whole hours around."""
        first, last = self.start, self.end + 1
        if self.down:
            first, last = self.start // self.down[0] * self.down[0], self.end // self.down[0] * self.down[0] + self.down[0]
        return first // HOUR * HOUR, (last - 1) // HOUR * HOUR + HOUR

    def ask_peer(self, peer):
        selector, keys = self.selector(), self.group_keys()
        between, how = GROUP[self.agg]
        first, last = self.read_range()
        if self.all:
            x = self.reduced(f'{selector}[{(self.end - self.start) * 1000 + 1}ms]')
            times, step, shift = (self.end, self.end), 1, self.end - self.start
        elif self.down:
            step = shift = self.down[0]
            x = self.reduced(f'{selector}[{step}s] offset 1ms')
            times = (first + step, last)
        else:
            step, shift = self.step, 0
            x = f'last_over_time({selector}[{step}s])'
            times = (first, last - step)
        if self.fill == 'zero':
            if not self.fetch(peer, x, times, step, shift, whole=True):
                return {}  # of nothing, `default` makes a series
            x = f'({x}) default 0'
        if self.rate:
            times = (times[0] + step, times[1])  # OpenTSDB does not look back beyond the hour for the first one
            x = f'(ideriv(({x})[2h:{step}s]) if ({x}))'
            x = f'({x} >= 0)' if self.rate == 'drop' else x
            between = PREVIOUS
        if how is None:
            return self.fetch(peer, x, times, step, shift)
        # interpolate goes on behind the last point; OpenTSDB ends there
        ends = ' if (range_max(({x}) * 0 + time()) >= time())'
        y = {LINE: '(interpolate({x}))' + ends, NOTHING: '{x}', ZERO: '((({x}) default 0) if interpolate({x}))' + ends,
             PREVIOUS: '(keep_last_value({x}))' + ends}[between]
        if self.fill in ('zero', 'nan', 'null'):
            y = '{x}'  # every bucket has a point of each series, be it NaN
        y, by = y.replace('{x}', x), f' by ({",".join(keys)})' if keys else ''
        if isinstance(how, str):
            return self.fetch(peer, f'({how % y}{by}) if (count({x}){by})', times, step, shift)
        values, members = collections.defaultdict(lambda: collections.defaultdict(list)), collections.Counter()
        touched = self.fetch(peer, f'count({x}){by}', times, step, shift)
        for tags, points in self.fetch(peer, y, times, step, shift, whole=True):
            members[self.key(tags)] += 1
            for at, value in points.items():
                values[self.key(tags)][at].append(value)
        if self.agg == 'mult' and self.fill in ('nan', 'null'):  # which is not passed over
            touched = {key: {at: n for at, n in points.items() if n == members[key]} for key, points in touched.items()}
        return {key: {at: how(values[key][at]) for at in points} for key, points in touched.items() if points}

    def reduced(self, what):
        return DOWN[self.down[1]].replace('%s', what)

    def fetch(self, peer, query, times, step, shift, whole=False):
        made = []
        if times[0] > times[1]:
            return [] if whole else {}
        for series in peer.range(query, *times, step):
            points = {round(t - shift): float(v) for t, v in series['values']}
            made.append((series['metric'], {t: v for t, v in points.items() if self.start <= t <= self.end}))
        return made if whole else {self.key(tags): points for tags, points in made if points}


class Peer:
    """victoria-metrics, unpacked, on a folder of its own."""

    def __init__(self, folder):
        unpacked = subprocess.run([ROOT + '/tools/peer', 'victoria-metrics'], capture_output=True, text=True)
        if unpacked.returncode == 77:
            raise Skip(unpacked.stderr.strip())
        self.web, self.put = free_port(), free_port()
        self.process = subprocess.Popen([unpacked.stdout.strip() + '/usr/bin/victoria-metrics',
                                         f'-storageDataPath={folder}/peer', f'-httpListenAddr=127.0.0.1:{self.web}',
                                         f'-opentsdbListenAddr=127.0.0.1:{self.put}', '-search.latencyOffset=0s',
                                         '-retentionPeriod=100y', '-memory.allowedBytes=268435456'],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.get('/metrics'), why="the peer's start")

    def get(self, path, fields=None):
        data = urllib.parse.urlencode(fields).encode() if fields else None
        with urllib.request.urlopen(f'http://127.0.0.1:{self.web}{path}', data=data, timeout=60) as answer:
            return answer.read().decode()

    def load(self, text, count):
        with socket.create_connection(('127.0.0.1', self.put)) as s:
            s.sendall(text)
        wait_for(lambda: f'vm_rows_inserted_total{{type="opentsdb"}} {count}\n' in self.get('/metrics'), seconds=60,
                 why='the last line')
        self.get('/internal/force_flush')

    def range(self, query, start, end, step):
        fields = {'query': query, 'start': start, 'end': end, 'step': f'{step}s', 'nocache': 1}
        try:
            return json.loads(self.get('/api/v1/query_range', fields))['data']['result']
        except urllib.error.HTTPError as error:
            raise AssertionError(f'{query}: {error.read().decode()}')

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- comparing ----

def without_nan(groups):
    made = {key: {at: v for at, v in points.items() if v == v} for key, points in groups.items()}
    return {key: points for key, points in made.items() if points}


def difference(question, mine, theirs):
    """What differs first, or None."""
    if question.fill in ('nan', 'null', 'zero'):
        step = question.down[0]
        grid = list(range(-(-question.start // step) * step, question.end + 1, step))
        for key, points in mine.items():
            if sorted(points) != grid:
                return f'{key}: the grid is not whole: {sorted(points)}'
        if question.agg == 'count':  # where nobody has a point OpenTSDB counts to 0
            theirs = {key: {at: theirs[key].get(at, 0) for at in grid} for key in theirs}
        mine = without_nan(mine)
    if set(mine) != set(theirs):
        return f'groups {sorted(set(mine) - set(theirs))} only here, {sorted(set(theirs) - set(mine))} only there'
    for key in sorted(mine):
        a, b = mine[key], theirs[key]
        if set(a) != set(b):
            return f'{key}: times {sorted(set(a) - set(b))[:5]} only here, {sorted(set(b) - set(a))[:5]} only there'
        # of what came from differences of large numbers the rounding is theirs
        scale = max(map(abs, b.values())) * (1e-9 if question.agg != 'mult' else 0)
        if 'dev' in (question.agg, question.down and question.down[1]) or question.rate:
            scale += 1e-6
        for at in sorted(a):
            if not abs(a[at] - b[at]) <= scale + 1e-9 * abs(b[at]):
                return f'{key} at {at}: {a[at]!r} here, {b[at]!r} there'
    return None


COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 60
SEED = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get('YD_TEST_SEED', '1'))


def generated_queries_are_answered_alike(folder):
    """generated queries over the same lines are answered as victoria-metrics answers them, within float rounding"""
    lines = list(lines_of(SEED))
    text = ''.join(lines).encode()
    print(f'# seed {SEED}, {len(lines)} points, {COUNT} queries', flush=True)
    peer = Peer(folder)
    try:
        peer.load(text, len(lines))
        with Daemon(folder) as daemon:
            daemon.lines(text, 'tsdb')
            wait_for(lambda: daemon.element('history')['inputs'][0]['consumed'] == len(lines), seconds=60,
                     why='the last line')
            kinds, wrong, empty = collections.Counter(), [], 0
            for number in range(COUNT):
                if number == COUNT // 2:  # from here on from blocks
                    daemon.stop()
                    daemon.start()
                question = Question(random.Random(SEED * 1_000_003 + number))
                mine, said = question.ask_ours(daemon)
                theirs = question.ask_peer(peer)
                found = difference(question, mine, theirs)
                kinds[question.kind()] += 1
                empty += not theirs
                if found:
                    wrong.append(f'{number}: {json.dumps(said)}: {found}')
            for kind, count in sorted(kinds.items()):
                print(f'# {count:4} {kind}')
            assert not wrong, '\n'.join([f'{len(wrong)} of {COUNT} differ', *wrong[:20]])
            assert empty <= COUNT // 2, f'{empty} of {COUNT} answers are empty: they compare nothing'
            check_identity(daemon.status())
            daemon.stop()
    finally:
        peer.close()


sys.argv = sys.argv[:1]
main(generated_queries_are_answered_alike)
