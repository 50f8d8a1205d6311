#!/usr/bin/env python3
"""Graphite's HTTP API from outside: what Grafana's Graphite datasource sends, path for path, and whole answers."""
import http.client
import json
import time
import urllib.parse

from harness import Daemon, check_identity, main, wait_for

T = int(time.time()) // 3600 * 3600 - 7200

PLAIN = ['servers.web1.cpu', 'servers.web2.cpu', 'servers.web1.load', 'servers.db1.cpu', 'servers.db1', 'top']
TAGGED = ['disk.used;dc=eu;host=a', 'disk.used;dc=eu;host=b', 'disk.used;dc=us;host=c', 'disk.free;dc=eu;host=a']


class Filled(Daemon):
    def __enter__(self):
        super().__enter__()
        self.lines(''.join(f'{name} {i} {T + 60 * i}\n' for i, name in enumerate(PLAIN + TAGGED)))
        wait_for(lambda: len(self.web('/metrics/find?query=*')[1]) == 3, why='the history')
        wait_for(lambda: len(self.web('/tags/findSeries?expr=dc=~.')[1]) == 4, why='the history')
        return self

    def web(self, path, form=None):
        """GET, or POST of a form; (status, JSON or text)."""
        body, headers = None, {}
        if form is not None:
            body = urllib.parse.urlencode(form, doseq=True).encode()
            headers = {'Content-Type': 'application/x-www-form-urlencoded'}
        return self.http(path, body, headers)


def same(got, expected):
    assert got == expected, f'\ngot      {json.dumps(got, sort_keys=True)}\nexpected {json.dumps(expected, sort_keys=True)}'


def refused(answer, status, *words):
    assert answer[0] == status and isinstance(answer[1], str), answer
    for word in words:
        assert word in answer[1], f'{word!r} is not in {answer[1]!r}'


def node(text, leaf, base=''):
    return {'text': text, 'id': base + text, 'leaf': int(leaf), 'expandable': int(not leaf), 'allowChildren': int(not leaf),
            'context': {}}


def the_tree_of_names(folder):
    """/metrics/find: treejson and completer, GET and POST, globs of every kind, a name that is leaf and branch"""
    with Filled(folder) as daemon:
        same(daemon.web('/metrics/find?query=*'), (200, [node('disk', 0), node('servers', 0), node('top', 1)]))
        same(daemon.web('/metrics/find', {'query': 'servers.*', 'from': T, 'until': T + 100}),
             (200, [node(n, 0, 'servers.') for n in ('db1', 'web1', 'web2')] + [node('db1', 1, 'servers.')]))
        same(daemon.web('/metrics/find/?query=servers.*.cpu'), (200, [node('cpu', 1, 'servers.*.')]))
        same(daemon.web('/metrics/find?query=disk.*'), (200, [node('free', 1, 'disk.'), node('used', 1, 'disk.')]))
        same(daemon.web('/graphite/metrics/find?query=no.such'), (200, []))
        for glob, names in [('servers.{web1,db1}', ['db1', 'web1', 'db1']), ('servers.web[2-9]', ['web2']), ('servers.web?', ['web1', 'web2']),
                            ('servers.{web[12],db*}', ['db1', 'web1', 'web2', 'db1']), ('s*.w*1', ['web1']), ('top', ['top']), ('t', [])]:
            same([n['text'] for n in daemon.web('/metrics/find?query=' + urllib.parse.quote(glob))[1]], names)
        same(daemon.web('/metrics/find?query=disk.*&wildcards=1')[1][0], node('*', 1, 'disk.'))
        complete = lambda query, **more: daemon.web('/metrics/find', {'query': query, 'format': 'completer', **more})[1]['metrics']
        same(complete(''), [{'path': 'disk.', 'name': 'disk', 'is_leaf': '0'}, {'path': 'servers.', 'name': 'servers', 'is_leaf': '0'},
                            {'path': 'top', 'name': 'top', 'is_leaf': '1'}])
        same(complete('servers.w'), [{'path': f'servers.web{i}.', 'name': f'web{i}', 'is_leaf': '0'} for i in (1, 2)])
        same(complete('servers.w..lo'), [{'path': 'servers.web1.load', 'name': 'load', 'is_leaf': '1'}])
        same(complete('disk.', wildcards=1)[-1], {'name': '*'})
        refused(daemon.web('/metrics/find'), 400, "'query'")
        refused(daemon.web('/metrics/find?query=*&format=pickle'), 400, 'treejson')
        refused(daemon.web('/metrics/find', {'query': '.'.join('a' * 65)}), 413, 'nodes')
        refused(daemon.web('/metrics/find', {'query': '*' * 70000}), 413, 'shorter')
        check_identity(daemon.status())


def patterns_expand(folder):
    """/metrics/expand: one list, leaves only, or by query"""
    with Filled(folder) as daemon:
        same(daemon.web('/metrics/expand?query=servers.*'),
             (200, {'results': ['servers.db1', 'servers.web1', 'servers.web2']}))
        same(daemon.web('/metrics/expand?query=servers.*&leavesOnly=1'), (200, {'results': ['servers.db1']}))
        same(daemon.web('/metrics/expand?query=servers.*.cpu&query=top&query=top'),
             (200, {'results': ['servers.db1.cpu', 'servers.web1.cpu', 'servers.web2.cpu', 'top']}))
        same(daemon.web('/metrics/expand', {'query': ['*.w*1', 'top', 'x'], 'groupByExpr': 1}),
             (200, {'results': {'*.w*1': ['servers.web1'], 'top': ['top'], 'x': []}}))
        refused(daemon.web('/metrics/expand'), 400, "'query'")
        refused(daemon.web('/metrics/expand', {'query': ['a'] * 65}), 413, '64')


def tags_and_their_values(folder):
    """/tags, /tags/NAME, autoComplete and findSeries: every kind of expression, prefixes, limits"""
    with Filled(folder) as daemon:
        same(daemon.web('/tags'), (200, [{'tag': 'dc'}, {'tag': 'host'}, {'tag': 'name'}]))
        same(daemon.web('/tags?filter=^h'), (200, [{'tag': 'host'}]))
        same(daemon.web('/tags/dc'), (200, {'tag': 'dc', 'values': [{'count': 3, 'value': 'eu'}, {'count': 1, 'value': 'us'}]}))
        same(daemon.web('/tags/name?filter=disk')[1]['values'], [{'count': 1, 'value': 'disk.free'}, {'count': 3, 'value': 'disk.used'}])
        same(daemon.web('/tags/no.such'), (200, {'tag': 'no.such', 'values': []}))
        complete = lambda what, **fields: daemon.web(f'/tags/autoComplete/{what}?' + urllib.parse.urlencode(fields, doseq=True))[1]
        same(complete('tags'), ['dc', 'host', 'name'])
        same(complete('tags', tagPrefix='n'), ['name'])
        same(complete('tags', expr='dc=eu'), ['host', 'name'])
        same(complete('tags', expr=['dc=eu', 'name=disk.used'], limit=1), ['host'])
        same(complete('values', tag='host'), ['a', 'b', 'c'])
        same(complete('values', tag='host', limit=2), ['a', 'b'])
        same(complete('values', tag='host', expr=['dc=eu', 'name=disk.used']), ['a', 'b'])
        same(complete('values', tag='name', valuePrefix='disk'), ['disk.free', 'disk.used'])
        same(complete('values', tag='name', expr='host=b'), ['disk.used'])
        same(daemon.web('/tags/autoComplete/values', {'tag': 'dc', 'valuePrefix': 'u'}), (200, ['us']))
        find = lambda *expr: daemon.web('/tags/findSeries', {'expr': expr})[1]
        used = TAGGED[:3]
        for expr, expected in [(['name=disk.used'], used), (['name=disk.used', 'dc!=eu'], used[2:]), (['name=~disk', 'host=a'], [TAGGED[3], used[0]]),
                               (['name=disk.used', 'host=~[ab]'], used[:2]), (['name=disk.used', 'host!=~[ab]'], used[2:]),
                               (['name=~.*', 'dc='], sorted(PLAIN)), (['name=~.*', 'dc!=', 'host=c'], used[2:]),
                               (['name=disk.used', 'rack!=r1'], used), (['name=disk.used', 'host=a|b'], []), (['dc=~u'], used[2:]),
                               (['name=top'], ['top'])]:
            same(find(*expr), expected)
        refused(daemon.web('/tags/findSeries?expr=dc!=eu'), 400, 'non-empty')
        refused(daemon.web('/tags/findSeries'), 400, 'non-empty')
        refused(daemon.web('/tags/findSeries?expr=dc'), 400, 'tagspec', 'dc')
        refused(daemon.web('/tags/findSeries', {'expr': 'dc=~(a'}), 400, 'regular expression')
        refused(daemon.web('/tags/autoComplete/values'), 400, "'tag'")


# ---- /render ----

class Drawn(Daemon):
    """Two hosts by path, a counter with tags, all a minute apart from T on; one series a point in ten seconds."""

    def __enter__(self):
        super().__enter__()
        text = ''
        for i in range(60):
            text += f'servers.web1.cpu {i % 10} {T + 60 * i + 7}\nservers.web2.cpu {i % 10 * 10} {T + 60 * i + 7}\n'
            if i not in (3, 4):
                text += f'net.bytes;dc=eu;host=a {(i if i < 6 else i - 6) * 600} {T + 60 * i}\n'
            text += f'net.bytes;dc=us;host=b {i * 60} {T + 60 * i}\n'
        text += ''.join(f'fast.one {i} {T + 10 * i}\n' for i in range(360))
        self.lines(text)
        newest = lambda path: [v for one in self.render(path, start=0, end=3599)[1] for v, _ in one['datapoints'] if v is not None][-1:]
        wait_for(lambda: newest('fast.one') == [359] and newest('net.bytes;host=b') == [3540], why='the history')
        return self

    def render(self, *targets, start=-1, end=599, method='POST', path='/render', **more):
        """start and end by seconds from T on, or as Graphite has them."""
        fields = [*(('target', t) for t in targets), ('from', T + start if isinstance(start, int) else start),
                  ('until', T + end if isinstance(end, int) else end), ('format', 'json'), *more.items()]
        text = urllib.parse.urlencode(fields)
        if method == 'GET':
            return self.http(f'{path}?{text}')
        return self.http(path, text.encode(), {'Content-Type': 'application/x-www-form-urlencoded'})

    def points(self, target, **more):
        """Those that are not null, as (seconds after T, value), of the one series."""
        status, answer = self.render(target, **more)
        assert status == 200 and len(answer) == 1, answer
        return [(at - T, value) for value, at in answer[0]['datapoints'] if value is not None]


def drawn(name, values, tags, start=0, step=60):
    return {'target': name, 'tags': tags, 'datapoints': [[v, T + start + step * i] for i, v in enumerate(values)]}


def what_grafana_draws(folder):
    """/render as Grafana's Graphite datasource posts it: aliasSub around the target, several targets, nulls for gaps"""
    with Drawn(folder) as daemon:
        cpu = list(range(10))
        wrap = lambda target, letter: f'aliasSub({target},"(^.*$)","\\1 {letter}")'
        same(daemon.render(wrap('servers.*.cpu', 'A'), wrap('sumSeries(servers.*.cpu)', 'B'), maxDataPoints=955),
             (200, [drawn(f'servers.web{n}.cpu A', [v * (1, 10)[n - 1] for v in cpu], {'name': f'servers.web{n}.cpu'}) for n in (1, 2)] +
              [drawn('sumSeries(servers.*.cpu) B', [v * 11 for v in cpu], {'name': 'sumSeries(servers.*.cpu)', 'aggregatedBy': 'sum'})]))
        # The health check.
        same(daemon.render('constantLine(100)', start='-1h', end='now', maxDataPoints=300)[0], 200)
        same([v for v, _ in daemon.render('constantLine(100)', start='-1h', end='now')[1][0]['datapoints']], [100, 100, 100])
        # Tags: by path with a name, by seriesByTag; a gap is null.
        eu = drawn('net.bytes;dc=eu;host=a', [0, 600, 1200, None, None, 3000, 0, 600, 1200, 1800], {'dc': 'eu', 'host': 'a', 'name': 'net.bytes'})
        us = drawn('net.bytes;dc=us;host=b', [60 * i for i in range(10)], {'dc': 'us', 'host': 'b', 'name': 'net.bytes'})
        for target, expected in [('net.bytes', [eu, us]), ('net.bytes;dc=eu', [eu]), ("seriesByTag('name=net.bytes')", [eu, us]),
                                 ("seriesByTag('name=~net','host!=b')", [eu]), ("seriesByTag('host=~a|b')", [eu, us]), ('net.byte?;host=b', [us]),
                                 ("seriesByTag('name=none')", []), ('no.such.name', []), ('no.such.*', [])]:
            same(daemon.render(target), (200, expected))
        same(daemon.render('net.bytes;dc=eu', noNullPoints='true')[1][0]['datapoints'], [p for p in eu['datapoints'] if p[0] is not None])
        same(daemon.render("groupByTags(seriesByTag('name=net.bytes'),'max','dc')", end=60),
             (200, [drawn('net.bytes;dc=eu', [0, 600], {**eu['tags'], 'aggregatedBy': 'max'}), drawn('net.bytes;dc=us', [0, 60], {**us['tags'], 'aggregatedBy': 'max'})]))
        same(daemon.render(), (200, []))
        check_identity(daemon.status())


def the_ten_functions(folder):
    """the functions every dashboard needs, over stored points, as computed by hand"""
    with Drawn(folder) as daemon:
        cases = [
            ("alias(servers.web1.cpu,'one')", 'one', [0, 1, 2, 3]),
            ('aliasByNode(servers.web1.cpu,1,2)', 'web1.cpu', [0, 1, 2, 3]),
            ("aliasByNode(net.bytes;host=b,0,'host')", 'net.b', [0, 60, 120, 180]),
            ('sumSeries(servers.*.cpu)', 'sumSeries(servers.*.cpu)', [0, 11, 22, 33]),
            ('averageSeries(servers.*.cpu)', 'averageSeries(servers.*.cpu)', [0, 5.5, 11, 16.5]),
            ('maxSeries(servers.*.cpu)', 'maxSeries(servers.*.cpu)', [0, 10, 20, 30]),
            ('scale(servers.web1.cpu,0.5)', 'scale(servers.web1.cpu,0.5)', [0, .5, 1, 1.5]),
            ('perSecond(net.bytes;host=b)', 'perSecond(net.bytes;dc=us;host=b)', [None, 1, 1, 1]),
            ('nonNegativeDerivative(net.bytes;host=a)', 'nonNegativeDerivative(net.bytes;dc=eu;host=a)', [None, 600, 600, None]),
            ('keepLastValue(net.bytes;host=a)', 'keepLastValue(net.bytes;dc=eu;host=a)', [0, 600, 1200, 1200]),
            ("movingAverage(servers.web1.cpu,'2min')", 'movingAverage(servers.web1.cpu,"2min")', [None, 0, .5, 1.5]),
            ("groupByNode(servers.*.cpu,2,'sum')", 'cpu', [0, 11, 22, 33]),
        ]
        for target, name, values in cases:
            status, answer = daemon.render(target, end=190)
            assert status == 200 and len(answer) == 1, (target, answer)
            same((answer[0]['target'], answer[0]['datapoints']), (name, [[v, T + 60 * i] for i, v in enumerate(values)]))
        # In the middle a moving average has what came before.
        same(daemon.points("movingAverage(servers.web1.cpu,'2min')", start=600, end=700), [(660, 4.5)])
        same(daemon.points('movingAverage(servers.web1.cpu,10)', start=1200, end=1330), [(1260, 4.5), (1320, 4.5)])
        # summarize right over a path, and over what is computed: the same sums.
        sums = [(at, 10 if at % 600 == 0 else 35) for at in range(0, 3600, 300)]
        for target in "summarize(servers.web1.cpu,'5min','sum')", "summarize(scale(servers.web1.cpu,1),'5min')":
            same(daemon.points(target, end=3599), sums)
        same(daemon.points("summarize(alias(servers.web1.cpu,'x'),'10min','count')", end=3599), [(at, 10) for at in range(0, 3600, 600)])
        same(daemon.points("summarize(servers.web1.cpu,'10min','max',true)", start=30, end=1229), [(60, 9), (660, 9)])
        same(daemon.points("servers.web1.cpu|scale(2)|alias('x')", start=0, end=130), [(60, 2), (120, 4)])


def points_and_steps(folder):
    """maxDataPoints folds evenly and aligned; consolidateBy says how; steps are those of the data; from is not included"""
    with Drawn(folder) as daemon:
        same(daemon.points('fast.one', start=0, end=40), [(at, at // 10) for at in (10, 20, 30, 40)])
        same(daemon.points('fast.one', start=-1, end=39), [(at, at // 10) for at in (0, 10, 20, 30)])
        for points, step in (1000, 10), (300, 15), (120, 30), (60, 60):
            status, answer = daemon.render('fast.one', end=3599, maxDataPoints=points)
            data = answer[0]['datapoints']
            assert len(data) <= points and data[-1][0] is not None, (points, data)
            if step != 15:
                assert all(b[1] - a[1] == step for a, b in zip(data, data[1:])) and all(p[1] % step == 0 for p in data), (step, data[:5])
        at = lambda f, points: daemon.points(f"consolidateBy(fast.one,'{f}')", end=3599, maxDataPoints=points)
        same(at('sum', 120)[:2], [(0, 0 + 1 + 2), (30, 3 + 4 + 5)])
        same(at('max', 120)[:2], [(0, 2), (30, 5)])
        same(at('min', 120)[:2], [(0, 0), (30, 3)])
        same(daemon.points('fast.one', end=3599, maxDataPoints=120)[:2], [(0, 1), (30, 4)])
        # Ten and one: folded once more, all points counted.
        few = at('sum', 10)
        assert len(few) <= 10 and all(a % few[0][0] == 0 for a, _ in few if few[0][0]), few
        same(at('sum', 1), [(0, sum(range(360)))])
        same(len(daemon.points('sumSeries(fast.one,servers.web1.cpu)', end=599)), 10)  # 10 s and 60 s go together at 60
        # Rates see the points themselves, however few are shown.
        same([v for _, v in daemon.points('perSecond(fast.one)', end=3599, maxDataPoints=100)][1:], [.1] * 89)  # 40 s each


def what_is_not_drawn(folder):
    """what cannot be answered is said as text with its place; GET and other prefixes work as well"""
    with Drawn(folder) as daemon:
        same(daemon.render('top', 'servers.web1.cpu', method='GET', path='/graphite/render/', end=70)[1],
             [drawn('servers.web1.cpu', [0, 1], {'name': 'servers.web1.cpu'})])
        for target, *words in [('sumSeries(a', 'character 12'), ('frobnicate(a)', "'frobnicate'", '/functions'), ('scale(a)', 'factor'),
                               ("aliasSub(fast.one,'(','')", 'regular expression'), ('scale(3,4)', "'3'"), ("seriesByTag('a!=b')", 'non-empty'),
                               ('seriesByTag(a)', 'texts'), ('a;b', 'KEY=VALUE')]:
            refused(daemon.render(target), 400, *words)
        refused(daemon.render('a', start='yesteryear'), 400, 'from', 'yesteryear')
        refused(daemon.render('a', end='x'), 400, 'until')
        refused(daemon.render('a', start=10, end=10), 400, 'empty time range')
        refused(daemon.render('a', format='png'), 400, 'format')
        refused(daemon.render('f(' * 100 + 'a' + ')' * 100), 413, '32')
        refused(daemon.render('a' * 70000), 413, '65536')
        refused(daemon.render(*['a'] * 129), 413, '128')
        refused(daemon.render('sum(' + ','.join(['fast.one'] * 129) + ')'), 413, 'paths')
        # More than there is room for: what to narrow is said, and the next one is answered.
        wide = 'group(' + ','.join(['perSecond(fast.one)'] * 100) + ')'
        refused(daemon.render(wide, start=-3600 * 24 * 11, end=3600), 413, 'shorten the time range')
        same(daemon.points('fast.one', end=9), [(0, 0)])


def annotations_are_events(folder):
    """/events/get_data: global annotations as events, by time and by tags"""
    with Daemon(folder) as daemon:
        same(daemon.http('/events/get_data?from=-1h&until=now&tags=deploy'), (200, []))
        for at, description, tags in [(10, 'one', 'deploy web'), (20, 'two', 'deploy,db'), (30, 'three', None)]:
            note = {'startTime': T + at, 'description': description, 'notes': 'more of ' + description}
            if tags:
                note['custom'] = {'tags': tags}
            assert daemon.http('/api/annotation', note)[0] == 200
        events = lambda **fields: [(e['when'] - T, e['what'], e['tags'], e['data']) for e in daemon.http(
            '/events/get_data?' + urllib.parse.urlencode({'from': T, 'until': T + 60, **fields}))[1]]
        all = [(10, 'one', ['deploy', 'web'], 'more of one'), (20, 'two', ['deploy', 'db'], 'more of two'), (30, 'three', [], 'more of three')]
        wait_for(lambda: len(events()) == 3, why='the history')
        same(events(), all)
        same(events(tags='deploy'), all[:2])
        same(events(tags='db deploy'), all[1:2])
        same(events(tags='dep'), [])
        same(events(until=T + 20), all[:2])
        same(events(**{'from': T + 11}), all[1:])
        same(daemon.http(f'/events/get_data?from={T}')[1][2]['id'], 3)
        refused(daemon.http('/events/get_data?from=x'), 400, 'from')
        check_identity(daemon.status())


def what_never_changes(folder):
    """/version and /functions; other paths and methods are refused as before"""
    with Daemon(folder) as daemon:
        same(daemon.http('/version'), (200, '1.1.10'))
        functions = daemon.http('/functions?pretty=1')[1]
        need = {'alias', 'aliasByNode', 'aliasSub', 'sumSeries', 'averageSeries', 'maxSeries', 'scale', 'perSecond', 'nonNegativeDerivative',
                'movingAverage', 'summarize', 'groupByNode', 'keepLastValue', 'constantLine', 'seriesByTag'}
        assert need <= set(functions), need - set(functions)
        for name, function in functions.items():
            assert function['name'] == name and function['group'] and function['description'] and function['params'], function
            assert all(p['name'] and p['type'] and isinstance(p['required'], bool) for p in function['params']), function
        same(daemon.http('/functions/scale'), (200, functions['scale']))
        refused(daemon.http('/functions/frobnicate'), 404, '/functions')
        status, answer = daemon.http('/metrics')
        assert status == 404 and answer['error']['code'] == 404, answer
        assert daemon.http('/version', method='DELETE')[0] == 405


main(the_tree_of_names, patterns_expand, tags_and_their_values, what_grafana_draws, the_ten_functions, points_and_steps,
     what_is_not_drawn, annotations_are_events, what_never_changes)
