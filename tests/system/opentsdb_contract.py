#!/usr/bin/env python3
"""OpenTSDB's HTTP API to the letter: each request with its exact answer. What Grafana itself sends, and the values that
come out, are in opentsdb.py; here are the endpoints and options that other clients use beside it."""
import json
import time
import urllib.parse

from harness import Daemon, check_identity, main, wait_for

T = int(time.time()) // 86400 * 86400 - 2 * 86400  # midnight, the day before yesterday, UTC
MS = T * 1000
HOSTS = {'a': 'eu', 'b': 'eu', 'c': 'us'}


def point(metric, at, value, **tags):
    return {'metric': metric, 'timestamp': at, 'value': value, 'tags': tags}


def store(daemon, points):
    """Durable, and to be seen by questions: the last one is asked for until it is there."""
    status, body = daemon.http('/api/put?sync&details', points)
    assert (status, body) == (200, {'success': len(points), 'failed': 0, 'errors': []}), (status, body)
    last = points[-1]
    def seen():
        status, found = daemon.http('/api/query/last?resolve&timeseries=' + last['metric'])
        return status == 200 and any(f['tags'] == last['tags'] and f['timestamp'] // 1000 >= last['timestamp'] // (
            1000 if last['timestamp'] > 9999999999 else 1) for f in found)
    wait_for(seen, why='the last point')


def same(got, expected):
    assert got == expected, f'\ngot      {json.dumps(got, sort_keys=True)}\nexpected {json.dumps(expected, sort_keys=True)}'


def is_error(answer, code, *words):
    status, body = answer
    assert status == code and isinstance(body, dict) and list(body) == ['error'], answer
    text = body['error']['message'] + ' ' + body['error'].get('details', '')
    assert body['error']['code'] == code and body['error']['message'], answer
    for word in words:
        assert word in text, f'{word!r} is not in {text!r}'


def url(path, *fields, **more):
    return path + '?' + urllib.parse.urlencode([*fields, *more.items()])


def get(daemon, *m, start=T, end=T + 86400, **more):
    return daemon.http(url('/api/query', ('start', start), ('end', end), *(('m', one) for one in m), **more))


def post(daemon, query, **more):
    return daemon.http('/api/query', {'start': T, 'end': T + 86400, 'queries': query if isinstance(query, list) else [query],
                                      **more})


def element(metric, tags, dps, aggregated=(), **more):
    return {'metric': metric, 'tags': tags, 'aggregateTags': list(aggregated),
            'dps': {str(T + at): value for at, value in dps}, **more}


class Cpus(Daemon):
    """Three hosts with three points each, and one series more; .tsuid by host."""
    def __enter__(self):
        super().__enter__()
        store(self, [point('sys.cpu', T + at, value + i, host=host, dc=dc)
                     for i, (host, dc) in enumerate(HOSTS.items()) for at, value in [(0, 10), (60, 20), (120, 30.5)]]
              + [point('one', T + 3600, 9007199254740993, host='a')])
        self.tsuid = {r['tags']['host']: r['tsuid'] for r in self.http('/api/search/lookup?m=sys.cpu')[1]['results']}
        self.one = self.http('/api/search/lookup?m=one')[1]['results'][0]['tsuid']
        return self


# ---- /api/query/last ----

def last(daemon, host, **more):
    i = list(HOSTS).index(host)
    value = {0: '30.5', 1: '31.5', 2: '32.5'}[i]
    return {'timestamp': MS + 120000, 'value': value, 'tsuid': daemon.tsuid[host], **more}


def resolved(daemon, host):
    return last(daemon, host, metric='sys.cpu', tags={'dc': HOSTS[host], 'host': host})


def the_last_point_of_each_series(folder):
    """query/last: by metric, by tags, by tsuid, resolved or not, GET and POST; 64-bit integers stay exact"""
    with Cpus(folder) as daemon:
        ask = lambda *fields: daemon.http(url('/api/query/last', *fields))
        tsuid = daemon.tsuid
        same(ask(('timeseries', 'sys.cpu')), (200, [last(daemon, h) for h in 'abc']))
        same(ask(('timeseries', 'sys.cpu'), ('resolve', 'true')), (200, [resolved(daemon, h) for h in 'abc']))
        same(ask(('timeseries', 'sys.cpu{host=b,dc=eu}'), ('resolve', '')), (200, [resolved(daemon, 'b')]))
        same(ask(('timeseries', 'sys.cpu{dc=eu}')), (200, [last(daemon, 'a'), last(daemon, 'b')]))
        same(ask(('timeseries', 'sys.cpu{host=nobody}')), (200, []))
        same(ask(('tsuids', tsuid['c'])), (200, [last(daemon, 'c')]))
        same(ask(('tsuids', f'{tsuid["c"]},{tsuid["a"].lower()}'), ('resolve', 'true')),
             (200, [resolved(daemon, 'a'), resolved(daemon, 'c')]))
        same(ask(('tsuids', '0000000000000000')), (200, []))
        same(ask(('timeseries', 'one'), ('timeseries', 'sys.cpu{host=a}')), (200, [
            {'timestamp': MS + 3600000, 'value': '9007199254740993', 'tsuid': daemon.one}, last(daemon, 'a')]))
        body = {'queries': [{'metric': 'sys.cpu', 'tags': {'host': 'a', 'dc': 'eu'}}, {'tsuids': [tsuid['c']]}],
                'resolveNames': True, 'backScan': 0}
        same(daemon.http('/api/query/last', body), (200, [resolved(daemon, 'a'), resolved(daemon, 'c')]))
        same(daemon.http('/api/v1/query/last', {'queries': [{'metric': 'sys.cpu', 'tags': None}]}),
             (200, [last(daemon, h) for h in 'abc']))
        check_identity(daemon.status())


def the_last_point_not_too_long_ago(folder):
    """query/last: back_scan leaves out what is older than so many hours"""
    with Cpus(folder) as daemon:
        for hours, expected in [(1, []), (23, []), (80, [last(daemon, 'a')]), (0, [last(daemon, 'a')]), ('', [last(daemon, 'a')])]:
            same(daemon.http(url('/api/query/last', timeseries='sys.cpu{host=a}', back_scan=hours)), (200, expected))
            if hours != '':
                same(daemon.http('/api/query/last', {'backScan': hours, 'queries': [{'metric': 'sys.cpu', 'tags': {'host': 'a'}}]}),
                     (200, expected))


def the_last_point_refused(folder):
    """query/last: what is not understood, and names that nobody has"""
    with Cpus(folder) as daemon:
        for fields in [(), (('timeseries', ''),), (('timeseries', 'sys.cpu{host'),), (('timeseries', 'sys.cpu{host}'),),
                       (('tsuids', ''),), (('tsuids', '12'),), (('tsuids', 'ZZZZZZZZZZZZZZZZ'),),
                       (('timeseries', 'sys.cpu'), ('back_scan', 'x')), (('timeseries', 'sys.cpu'), ('back_scan', -1))]:
            is_error(daemon.http(url('/api/query/last', *fields)), 400)
        is_error(daemon.http(url('/api/query/last', timeseries='no.such')), 400, "No such name for 'metrics': 'no.such'")
        for body in b'{', b'[]', b'{}', b'{"queries":[]}', b'{"queries":[{}]}', b'{"queries":[1]}', \
                b'{"queries":[{"tsuids":["x"]}]}', b'{"queries":[{"metric":"one"}],"backScan":-1}':
            is_error(daemon.http('/api/query/last', body, method='POST'), 400)
        is_error(daemon.http('/api/query/last', method='DELETE'), 405, 'DELETE')
        is_error(daemon.http('/api/query/lost'), 404)


# ---- tsuids ----

def sub_queries_by_tsuid(folder):
    """tsuids in place of metric and tags: one group of those series, GET and POST; showTSUIDs gives them"""
    with Cpus(folder) as daemon:
        tsuid = daemon.tsuid
        a = element('sys.cpu', {'dc': 'eu', 'host': 'a'}, [(0, 10), (60, 20), (120, 30.5)])
        ab = element('sys.cpu', {'dc': 'eu'}, [(0, 21), (60, 41), (120, 62)], ['host'])
        query = {'aggregator': 'sum', 'tsuids': [tsuid['a']]}
        same(post(daemon, query), (200, [a]))
        same(post(daemon, {'aggregator': 'sum', 'tsuids': [tsuid['b'], tsuid['a'], tsuid['b']]}), (200, [ab]))
        same(post(daemon, {'aggregator': 'none', 'tsuids': [tsuid['b'], tsuid['a']]})[1][0], a)
        same(post(daemon, dict(query, metric='one', tags={'host': 'x'})), (200, [a]))  # the tsuids count
        same(post(daemon, {'aggregator': 'sum', 'metric': 'one', 'tsuids': []})[1][0]['metric'], 'one')
        by = lambda *m, **more: daemon.http(url('/api/query', ('start', T), ('end', T + 86400), *(('tsuid', x) for x in m), **more))
        same(by(f'sum:{tsuid["a"]},{tsuid["b"]}'), (200, [ab]))
        same(by(f'sum:1m-max:rate:{tsuid["a"]}'), (200, [dict(a, dps={str(T + 60): 10 / 60, str(T + 120): 10.5 / 60})]))
        same(by(f'sum:{tsuid["a"]}', f'sum:{tsuid["a"]}'), (200, [a]))  # the same one twice is one
        # They are told where they are asked for, of those series that have points in the time asked for.
        same(get(daemon, 'sum:sys.cpu{dc=eu}', show_tsuids='true'), (200, [dict(ab, tsuids=[tsuid['a'], tsuid['b']])]))
        same(post(daemon, {'aggregator': 'none', 'metric': 'sys.cpu'}, showTSUIDs=True, arrays=True)[1][2],
             {'metric': 'sys.cpu', 'tags': {'dc': 'us', 'host': 'c'}, 'aggregateTags': [], 'tsuids': [tsuid['c']],
              'dps': [[T, 12], [T + 60, 22], [T + 120, 32.5]]})
        shown = post(daemon, query, showQuery=True)[1][0]['query']
        same((shown['metric'], shown['tsuids'], shown['index']), (None, [tsuid['a']], 0))
        for wrong in ['x'], ['12'], [1], [tsuid['a'], None]:
            is_error(post(daemon, {'aggregator': 'sum', 'tsuids': wrong}), 400, 'TSUID')
        is_error(post(daemon, {'aggregator': 'sum', 'tsuids': ['00000000000000AB']}), 400, "'00000000000000AB'")
        is_error(post(daemon, {'aggregator': 'sum', 'tsuids': [tsuid['a'], daemon.one]}), 400, 'different metric')
        for wrong in 'sum', 'sum:', f'{tsuid["a"]}', 'sum:x', f'nope:{tsuid["a"]}', f'sum:x:{tsuid["a"]}':
            is_error(by(wrong), 400)


main(the_last_point_of_each_series, the_last_point_not_too_long_ago, the_last_point_refused, sub_queries_by_tsuid)
