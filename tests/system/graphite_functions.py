#!/usr/bin/env python3
"""Targets drawn by yarder as graphite-web's own functions draw them over the same points.

graphite-web is unpacked from Debian, not installed; what of it needs Django or a store is put in place of. Generated from
a printed seed (SEED). What is different on purpose (docs/graphite.md) is not generated, or compared without: an empty
interval at the end."""
import datetime
import math
import os
import random
import subprocess
import sys
import time
import urllib.parse
from unittest.mock import MagicMock

from harness import ROOT, Daemon, Skip, main, wait_for

SEED = int(os.environ.get('SEED', '20261121'))
T = int(time.time()) // 3600 * 3600 - 7200
HOSTS = 'h1', 'h2', 'h3'
MINUTES = range(-90, 60)
PATHS = ['s.*.x', 's.h1.x', 's.{h1,h3}.y', 's.h2.y', 's.h[12].*']


def stored():
    """Three hosts, a gauge with gaps and a counter that falls now and then."""
    dice = random.Random(SEED)
    series = {}
    for host in HOSTS:
        series[f's.{host}.x'] = {m: dice.randint(-50, 500) / 4 for m in MINUTES if dice.random() > .15}
        counter = 0
        series[f's.{host}.y'] = {}
        for m in MINUTES:
            counter = counter + dice.randint(0, 60) * 8 if dice.random() > .05 else 0
            series[f's.{host}.y'][m] = counter
        for points in series.values():  # so that both know the step and the ends
            points.setdefault(MINUTES[0], 1.5)
            points.setdefault(MINUTES[-1], 2.5)
    return series


class GraphiteWeb:
    """graphite-web's grammar, evaluator and functions, over a dictionary of points."""

    def __init__(self, series):
        folders = []
        for package in 'graphite-web', 'python3-six', 'python3-pyparsing':
            unpacked = subprocess.run([ROOT + '/tools/peer', package], capture_output=True, text=True)
            if unpacked.returncode == 77:
                raise Skip(f'{package} cannot be downloaded')
            assert unpacked.returncode == 0, unpacked.stderr
            folders.append(unpacked.stdout.strip() + '/usr/lib/python3/dist-packages')
        sys.path[:0] = folders
        for module in ['django', 'django.conf', 'django.utils', 'django.utils.timezone', 'django.core', 'django.core.cache',
                       'django.core.exceptions', 'django.db', 'django.http', 'django.urls', 'django.utils.html', 'pytz', 'graphite.storage', 'graphite.logger', 'graphite.events',
                       'graphite.events.models', 'graphite.util', 'graphite.render.glyph']:
            sys.modules[module] = MagicMock()
        settings = sys.modules['django.conf'].settings
        settings.DEFAULT_XFILES_FACTOR = 0
        settings.RENDER_TRIM_RECENT_IN_AGGREGATE = settings.ENFORCE_INPUT_VALIDATION = False
        settings.FUNCTION_PLUGINS = []
        util = sys.modules['graphite.util']
        util.epoch = util.timestamp = lambda when: int(when.timestamp())
        util.epoch_to_dt = lambda at: datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        util.deltaseconds = lambda delta: int(delta.total_seconds())
        util.logtime = lambda function: function
        import graphite.functions
        from graphite.render import datalib, evaluator, functions
        graphite.functions._SeriesFunctions.update(functions.SeriesFunctions)
        evaluator.fetchData = self.fetch
        evaluator.prefetchData = lambda *_: None
        self.series, self.evaluator, self.datalib = series, evaluator, datalib

    def fetch(self, context, path):
        start, end = (int(context[key].timestamp()) // 60 * 60 + 60 for key in ('startTime', 'endTime'))
        found = []
        for name in self.expand(path):
            points = self.series[name]
            values = [points.get((at - T) // 60) for at in range(start, end, 60)]
            one = self.datalib.TimeSeries(name, start, end, 60, values, tags={'name': name})
            one.pathExpression = path
            found.append(one)
        return found

    def expand(self, path):
        import fnmatch
        alternatives = [path]
        if '{' in path:
            head, rest = path.split('{')
            words, tail = rest.split('}')
            alternatives = [head + word + tail for word in words.split(',')]
        return [name for name in sorted(self.series) if any(fnmatch.fnmatchcase(name, one) for one in alternatives)]

    def draw(self, target, start, end):
        at = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        context = {'startTime': at(start), 'endTime': at(end), 'data': [], 'xFilesFactor': 0, 'prefetch': {}, 'localOnly': False}
        return [(one.name, {int(one.start) + i * int(one.step): value for i, value in enumerate(one)})
                for one in self.evaluator.evaluateTarget(context, target)]


def generate(dice, depth, top=True):
    path = lambda: dice.choice(PATHS)
    if depth == 0:
        return path()
    inner = generate(dice, depth - 1, False)
    minutes = f"'{dice.randint(1, 12)}min'"
    fold = "'%s'" % dice.choice(['average', 'sum', 'min', 'max', 'median', 'last'])
    kinds = ['scale({0},{1})', 'offset({0},{1})', 'absolute({0})', 'derivative({0})', 'nonNegativeDerivative({0})', 'perSecond({0})',
             'keepLastValue({0})', 'keepLastValue({0},1)', 'transformNull({0},{1})', 'aliasByNode({0},1,2)', "aliasSub({0},'h([0-9])','<\\\\1>')",
             'sumSeries({0})', 'sumSeries({0},{2})', 'averageSeries({0},{2})', 'maxSeries({0})', 'minSeries({2},{0})', 'countSeries({0})',
             'diffSeries({2},{0})', 'multiplySeries({0},{2})', 'rangeOfSeries({0})', 'stddevSeries({0})', 'groupByNode({0},1,{4})',
             'groupByNodes({0},{4},2)', 'asPercent({0})', 'asPercent({0},250)', 'divideSeries({0},s.h1.x)', 'limit(sortByName({0}),2)',
             'highestMax({0},2)', 'highestAverage({0},1)', "grep({0},'h[12]')", "exclude({0},'h2')", 'group({0},{2})', 'consolidateBy({0},{4})']
    if depth == 1:
        kinds += ['movingAverage({0},{5})', 'movingAverage({0},{3})', 'movingMax({0},{3})', 'movingMin({0},{3})', 'movingMedian({0},{3})',
                  'movingSum({0},{5})', 'integral({0})']
    if top:  # its empty interval at the end would be seen by what is around it
        kinds += ['summarize({0},{3},{4})', 'summarize({0},{3})'] * 3
    return dice.choice(kinds).format(inner, dice.choice([2, -.5, 10, .125]), path(), minutes, fold, dice.randint(1, 9))


def cut(points, target):
    """Without what lies before T, nor gaps at the end; of summarize without the first interval, which is whole with us."""
    first = T + 720 if 'summarize' in target else T
    kept = sorted((at - T, value) for at, value in points.items() if at >= first)
    while kept and kept[-1][1] is None:
        kept.pop()
    return kept


def alike(ours, theirs, near):
    if [at for at, _ in ours] != [at for at, _ in theirs]:
        return False
    return all((a is None) == (b is None) and (a is None or math.isclose(a, b, rel_tol=near, abs_tol=near))
               for (_, a), (_, b) in zip(ours, theirs))


def generated_targets_are_drawn_as_graphite_web_draws_them(folder):
    """four hundred generated targets: the same names, times and values"""
    print(f'# seed {SEED}')
    series = stored()
    peer = GraphiteWeb(series)
    with Daemon(folder) as daemon:
        daemon.lines(''.join(f'{name} {value!r} {T + 60 * m}\n' for name, points in series.items() for m, value in points.items()))

        def draw(target, start, end):
            form = urllib.parse.urlencode({'target': target, 'from': start, 'until': end, 'format': 'json'}).encode()
            return daemon.http('/render', form, {'Content-Type': 'application/x-www-form-urlencoded'})
        count = sum(len(points) for points in series.values())
        drawn = lambda: sum(v is not None for one in draw('s.*.*', T - 90 * 60 - 1, T + 3599)[1] for v, _ in one['datapoints'])
        wait_for(lambda: drawn() == count, why='the history')
        dice, refused = random.Random(SEED + 1), 0
        for _ in range(400):
            target = generate(dice, dice.choice([1, 1, 2, 3]))
            try:
                theirs = [(name, cut(points, target)) for name, points in peer.draw(target, T - 1, T + 3599)]
            except Exception as error:  # what its functions make of odd arguments
                refused += 1
                print(f'# {target}: {type(error).__name__}: {error}')
                continue
            by_name = lambda one: one[0]
            status, answer = draw(target, T - 1, T + 3599)
            assert status == 200, (target, answer)
            ours = [(one['target'], cut({at: value for value, at in one['datapoints']}, target)) for one in answer]
            ours.sort(key=by_name), theirs.sort(key=by_name)
            assert [name for name, _ in ours] == [name for name, _ in theirs], (target, [n for n, _ in ours], [n for n, _ in theirs])
            for (name, a), (_, b) in zip(ours, theirs):
                # perSecond rounds to six digits there.
                assert alike(a, b, 1e-3 if 'perSecond' in target else 1e-9), f'{target}: {name}\nyarder   {a}\ngraphite {b}'
        assert refused < 20, refused


main(generated_targets_are_drawn_as_graphite_web_draws_them)
