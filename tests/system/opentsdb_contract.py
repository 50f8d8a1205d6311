#!/usr/bin/env python3
"""OpenTSDB's HTTP API to the letter: each request with its exact answer. What Grafana itself sends, and the values that
come out, are in opentsdb.py; here are the endpoints and options that other clients use beside it."""
import calendar
import json
import os
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


def the_last_points_of_many_series(folder):
    """query/last and lookup over 30,000 series: answered whole, in slices; more than can be meant is counted by lookup"""
    with Daemon(folder) as daemon:
        for part in range(0, 30000, 1000):
            store(daemon, [point('many', T + 60, i, host=f'h{i}') for i in range(part, part + 1000)])
        status, answer = daemon.http(url('/api/query/last', timeseries='many'))
        same((status, len(answer), len({one['tsuid'] for one in answer})), (200, 30000, 30000))
        same(sorted(int(one['value']) for one in answer), list(range(30000)))
        status, answer = daemon.http(url('/api/search/lookup', m='many{host=*}', limit=1000))
        same((status, len(answer['results']), answer['totalResults']), (200, 1000, 30000))
        status, answer = daemon.http(url('/api/search/lookup', m='many{host=regexp(^h1234.$)}', limit=1000))
        same((status, sorted(one['tags']['host'] for one in answer['results']), answer['totalResults']),
             (200, [f'h1234{i}' for i in range(10)], 10))
        check_identity(daemon.status())


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


# ---- annotations ----

def note(start, description='', notes='', end=0, **more):
    return {'description': description, 'notes': notes, 'endTime': end, 'startTime': start, **more}


def annotations_are_written_and_read(folder):
    """annotation: POST, GET, PUT, DELETE, of a series and global, as JSON and as arguments; the field names of OpenTSDB"""
    with Cpus(folder) as daemon:
        tsuid = daemon.tsuid['a']
        here = lambda **more: daemon.http(url('/api/annotation', start_time=T + 30, tsuid=tsuid, **more))
        is_error(here(), 404, 'Unable to locate annotation in storage')
        body = {'startTime': str(T + 30), 'endTime': T + 90, 'tsuid': tsuid, 'description': 'Deploy', 'notes': 'of web',
                'custom': {'owner': 'jdoe', 'build': 7}}
        whole = note(T + 30, 'Deploy', 'of web', T + 90, tsuid=tsuid, custom={'owner': 'jdoe', 'build': '7'})
        same(daemon.http('/api/annotation', body), (200, whole))
        same(here(), (200, whole))  # at once, wherever the history is
        same(daemon.http('/api/annotation', {'startTime': T + 30, 'tsuid': tsuid}, method='GET'), (200, whole))
        # POST changes what is given, PUT sets all.
        whole['notes'] = 'of "web" \u00fc'
        same(daemon.http('/api/annotation', {'startTime': T + 30, 'tsuid': tsuid, 'notes': whole['notes']}), (200, whole))
        same(here(), (200, whole))
        bare = note(T + 30, 'again', tsuid=tsuid)
        same(daemon.http('/api/annotation', {'startTime': T + 30, 'tsuid': tsuid, 'description': 'again'}, method='PUT'),
             (200, bare))
        same(here(), (200, bare))
        same(daemon.http('/api/annotation', {'startTime': T + 30, 'tsuid': tsuid}), (304, ''))  # nothing to change
        # By arguments, with the verb in one too, as clients do that know GET only.
        global_ = note(T + 60, 'All')
        same(daemon.http(url('/api/annotation', start_time=T + 60, description='All', method_override='post')), (200, global_))
        same(daemon.http(url('/api/annotation', start_time=T + 60)), (200, global_))
        wait_for(lambda: daemon.http(url('/api/annotations', start_time=T, end_time=T + 60)) == (200, [global_]), why='the list')
        same(daemon.http(url('/api/annotations', start_time=T, end_time=T + 59)), (200, []))
        same(daemon.http(url('/api/v1/annotations', start_time=time.strftime('%Y/%m/%d', time.gmtime(T)))), (200, [global_]))
        same(here(method_override='delete'), (204, ''))
        is_error(here(), 404)
        same(daemon.http('/api/annotation', {'startTime': T + 60}, method='DELETE'), (204, ''))
        wait_for(lambda: daemon.http(url('/api/annotations', start_time=T)) == (200, []), why='the other deletion')
        same(here(method_override='delete'), (204, ''))  # there is none any more
        check_identity(daemon.status())


def changes_of_one_annotation_follow_each_other(folder):
    """annotation: POSTs to one, each as soon as the one before is answered, answer all that was said, wherever the history is"""
    with Cpus(folder) as daemon:
        for n in range(20):
            at, whole = T + n, note(T + n)
            for name, value in (('description', f'd{n}'), ('notes', 'n'), ('endTime', T + 500), ('notes', f'N{n}')):
                whole[name] = value
                same(daemon.http('/api/annotation', {'startTime': at, name: value}), (200, whole))
            same(daemon.http(url('/api/annotation', start_time=at)), (200, whole))
            same(daemon.http('/api/annotation', {'startTime': at}, method='DELETE'), (204, ''))
            same(daemon.http('/api/annotation', {'startTime': at, 'notes': 'anew'}), (200, note(at, notes='anew')))
        wait_for(lambda: daemon.http(url('/api/annotations', start_time=T)) == (200, [note(T + n, notes='anew') for n in range(20)]),
                 why='the history has them')


def annotations_in_bulk(folder):
    """annotation/bulk: an array of them, POST and PUT; DELETE of a time range says how many"""
    with Cpus(folder) as daemon:
        a, b = daemon.tsuid['a'], daemon.tsuid['b']
        written = [note(T + 10, 'one', tsuid=a), note(T + 20, 'two', tsuid=b), note(T + 30, 'three'), note(T + 40, 'four', tsuid=a)]
        same(daemon.http('/api/annotation/bulk', written), (200, written))
        def folded(n):  # what was written before this global one is in the history when it is
            same(daemon.http('/api/annotation', note(T + 100 + n, 'mark')), (200, note(T + 100 + n, 'mark')))
            wait_for(lambda: daemon.http(url('/api/annotations', start_time=T + 100 + n)) == (200, [note(T + 100 + n, 'mark')]))
        at = lambda n: daemon.http(url('/api/annotation', start_time=n['startTime'], **({'tsuid': n['tsuid']} if 'tsuid' in n else {})))
        assert all(at(n) == (200, n) for n in written)
        changed = [dict(written[0], description='1'), dict(written[2], description='3')]
        same(daemon.http('/api/annotations/bulk', changed, method='PUT'), (200, changed))
        assert all(at(n) == (200, n) for n in changed)
        folded(0)
        body = {'startTime': T + 10, 'endTime': T + 20, 'tsuids': [a, b]}
        same(daemon.http('/api/annotation/bulk', body, method='DELETE'),
             (200, {'tsuids': [a, b], 'global': False, 'startTime': MS + 10000, 'endTime': MS + 20000, 'totalDeleted': 2}))
        assert [at(n)[0] for n in written] == [404, 404, 200, 200]
        folded(1)
        same(daemon.http(url('/api/annotation/bulk', start_time=T, end_time=f'{MS + 40000}ms', tsuids=a, **{'global': 'true'}), method='DELETE'),
             (200, {'tsuids': [a], 'global': True, 'startTime': MS, 'endTime': MS + 40000, 'totalDeleted': 2}))
        assert [at(n)[0] for n in written] == [404] * 4


def annotations_refused(folder):
    """annotation: what is missing or not understood is said, and nothing of it is written"""
    with Cpus(folder) as daemon:
        good = note(T, 'x')
        for body in [b'{', b'[]', b'7', b'{}', {'startTime': 0}, {'startTime': 'soon'}, dict(good, tsuid='xyz'), dict(good, endTime=T - 1),
                     dict(good, custom=[1]), dict(good, custom={'a': {'b': 1}})]:
            is_error(daemon.http('/api/annotation', body, method='POST'), 400)
        is_error(daemon.http('/api/annotation', dict(good, notes='x' * 70000)), 413, 'shorten')
        for body in [b'{', b'{}', b'[]', b'[1]', [good, {}]]:
            is_error(daemon.http('/api/annotation/bulk', body, method='POST'), 400)
        is_error(daemon.http('/api/annotation/bulk', [good] * 1001), 413, 'fewer')
        for body in [{}, {'startTime': T}, {'tsuids': ['x'], 'startTime': T}, {'global': False, 'startTime': T},
                     {'global': True}, {'global': True, 'startTime': T, 'endTime': T - 1}]:
            is_error(daemon.http('/api/annotation/bulk', body, method='DELETE'), 400)
        is_error(daemon.http('/api/annotation'), 400, 'start time')
        is_error(daemon.http('/api/annotations'), 400, 'start time')
        is_error(daemon.http('/api/annotation/bulk'), 405)
        is_error(daemon.http('/api/annotation', b'', method='PATCH'), 405)
        is_error(daemon.http('/api/annotation/bulky'), 404)
        same(daemon.http(url('/api/annotations', start_time=1)), (200, []))
        check_identity(daemon.status())


def annotations_in_answers(folder):
    """query: annotations of a group's series by start, global ones with every element, and neither when not wanted"""
    with Cpus(folder) as daemon:
        a, b, c = (daemon.tsuid[h] for h in 'abc')
        notes = {'b': note(T + 10, 'b', tsuid=b), 'a': note(T + 20, 'a', 'of a', T + 30, tsuid=a, custom={'k': 'v'}),
                 'late': note(T + 90000, 'late', tsuid=a), 'c': note(T + 5, 'c', tsuid=c)}
        everywhere = [note(T, 'begin'), note(T + 60, 'all')]
        daemon.http('/api/annotation/bulk', [*notes.values(), *everywhere, note(T - 1, 'before')])
        wait_for(lambda: len(daemon.http(url('/api/annotations', start_time=1))[1]) == 3, why='the annotations')
        dps = [(0, 21), (60, 41), (120, 62)]
        eu, us = {'dc': 'eu'}, {'dc': 'us', 'host': 'c'}
        plain = element('sys.cpu', eu, dps, ['host'])
        m = 'sum:sys.cpu{dc=*}'
        c_dps = [(0, 12), (60, 22), (120, 32.5)]
        same(get(daemon, m), (200, [dict(plain, annotations=[notes['b'], notes['a']]),
                                    element('sys.cpu', us, c_dps, annotations=[notes['c']])]))
        same(get(daemon, m, no_annotations='true'), (200, [plain, element('sys.cpu', us, c_dps)]))
        same(get(daemon, m, no_annotations='', global_annotations='true'),
             (200, [dict(plain, globalAnnotations=everywhere), element('sys.cpu', us, c_dps, globalAnnotations=everywhere)]))
        # As Grafana asks for annotations: the first element's are taken.
        status, answer = daemon.http('/api/query', {'start': MS, 'end': MS + 86400000, 'msResolution': False, 'globalAnnotations': True,
                                                    'queries': [{'aggregator': 'sum', 'metric': 'sys.cpu'}]})
        same((status, answer[0]['annotations'], answer[0]['globalAnnotations']),
             (200, [notes['c'], notes['b'], notes['a']], everywhere))
        same(post(daemon, {'aggregator': 'sum', 'tsuids': [a]}, arrays=True, showTSUIDs=True, noAnnotations=False, globalAnnotations=True),
             (200, [{'metric': 'sys.cpu', 'tags': {'dc': 'eu', 'host': 'a'}, 'aggregateTags': [], 'tsuids': [a],
                     'annotations': [notes['a']], 'globalAnnotations': everywhere,
                     'dps': [[T, 10], [T + 60, 20], [T + 120, 30.5]]}]))
        # No series, no annotations, even global ones.
        same(get(daemon, 'sum:sys.cpu{host=nobody}', global_annotations='true'), (200, []))


def annotations_survive_a_kill(folder):
    """annotations acknowledged before a kill -9 are there after it: from the stream, and from the history's own file"""
    checkpoint = """metrics :: Log(stream: "metrics")
history :: History(checkpoint: 0.2s)
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
tsdb -> metrics -> history
tsdb => history
"""
    with Daemon(folder, topology=checkpoint) as daemon:
        store(daemon, [point('m', T, 1, host='a')])
        tsuid = daemon.http('/api/search/lookup?m=m')[1]['results'][0]['tsuid']
        first, second = note(T + 10, 'first', tsuid=tsuid), note(T + 20, 'second')
        same(daemon.http('/api/annotation', first), (200, first))
        wait_for(lambda: first['description'].encode() in read(daemon.data + '/history/history/annotations'), why='the file')
        same(daemon.http('/api/annotation', second), (200, second))
        daemon.kill()
        daemon.start()
        wait_for(lambda: daemon.http(url('/api/annotation', start_time=T + 20)) == (200, second), why='what is in the stream')
        same(daemon.http(url('/api/annotation', start_time=T + 10, tsuid=tsuid)), (200, first))
        same(daemon.http('/api/annotation', {'startTime': T + 10, 'tsuid': tsuid}, method='DELETE'), (204, ''))
        wait_for(lambda: b'first' not in read(daemon.data + '/history/history/annotations'), why='the file without it')
        daemon.kill()
        # A damaged byte costs what it is in, is said, and is set aside.
        path = daemon.data + '/history/history/annotations'
        data = bytearray(read(path))
        data[data.index(b'second')] ^= 1
        open(path, 'wb').write(data)
        daemon.start()
        # What the cursor has not passed comes again, the deletion behind it.
        wait_for(lambda: daemon.http(url('/api/annotation', start_time=T + 10, tsuid=tsuid))[0] == 404, why='the deletion')
        wait_for(lambda: 'annotations is damaged: 1 annotations are missing' in daemon.stderr(), why='its words')
        assert b'second' not in read(path + '.damaged') and len(read(path + '.damaged')) == len(data)
        same(daemon.http('/api/annotation', first), (200, first))
        wait_for(lambda: daemon.http(url('/api/annotation', start_time=T + 10, tsuid=tsuid))[0] == 200, why='it goes on')


# ---- calendars, and the rest ----

HOURS = 3600


def days(year, month, day, hour=0):
    return calendar.timegm((year, month, day, hour, 0, 0))


class Year(Daemon):
    """A point of 1 every six hours of 2025 and the first of 2026, UTC."""
    def __enter__(self):
        super().__enter__()
        store(self, [point('y', at, 1, host='a') for at in range(days(2025, 1, 1), days(2026, 1, 1) + 1, 6 * HOURS)])
        return self


def calendar_intervals(folder):
    """downsampling by days, weeks, months and years of a time zone; useCalendar; dates in the zone; fill policies"""
    with Year(folder) as daemon:
        def dps(down, start, end, **more):
            status, answer = daemon.http(url('/api/query', start=start, end=end, m=f'sum:{down}:y', **more))
            assert status == 200, answer
            return {int(at): value for at, value in answer[0]['dps'].items()}
        end = days(2025, 12, 31, 23)
        months = {days(2025, m, 1): (31 if m in (1, 3, 5, 7, 8, 10, 12) else 30 if m != 2 else 28) * 4 for m in range(1, 13)}
        same(dps('1nc-sum', days(2025, 1, 1), end), months)
        same(dps('3nc-sum', days(2025, 1, 1), end), {days(2025, m, 1): sum(months[days(2025, k, 1)] for k in range(m, m + 3)) for m in (1, 4, 7, 10)})
        same(dps('1yc-sum', days(2025, 1, 1), end), {days(2025, 1, 1): 365 * 4})
        same(dps('1dc-sum', days(2025, 1, 1), days(2025, 1, 2, 23)), {days(2025, 1, 1): 4, days(2025, 1, 2): 4})
        same(dps('1wc-sum', days(2025, 1, 5), days(2025, 1, 18)), {days(2025, 1, 5): 28, days(2025, 1, 12): 28})  # Sundays
        same(dps('1wc-sum', days(2025, 1, 2), days(2025, 1, 11)), {days(2025, 1, 5): 28})  # that of the start vanishes
        # Berlin: an hour east, from 2025-03-30 01:00 UTC two. A day of 23 hours has one point of six hours fewer or not.
        berlin = dict(tz='Europe/Berlin')
        first = days(2025, 3, 28, 23)
        same(dps('1dc-count', first, days(2025, 3, 31, 21), **berlin),
             {first: 4, first + 24 * HOURS: 4, first + 47 * HOURS: 4})
        same(dps('1nc-sum', days(2025, 2, 28, 23), days(2025, 4, 30, 20), **berlin),
             {days(2025, 2, 28, 23): 31 * 4, days(2025, 3, 31, 22): 30 * 4})
        same(dps('1dc-sum', '2025/03/31', '2025/04/01', **berlin), {days(2025, 3, 30, 22): 4, days(2025, 3, 31, 22): 4})
        same(dps('1n-sum', days(2025, 1, 1), end, use_calendar='true'), months)
        body = {'start': days(2025, 2, 28, 23), 'end': days(2025, 4, 30, 20), 'timezone': 'Europe/Berlin', 'useCalendar': True,
                'queries': [{'metric': 'y', 'aggregator': 'sum', 'downsample': '1n-sum'}]}
        same(daemon.http('/api/query', body), (200, [
            {'metric': 'y', 'tags': {'host': 'a'}, 'aggregateTags': [],
             'dps': {str(days(2025, 2, 28, 23)): 31 * 4, str(days(2025, 3, 31, 22)): 30 * 4}}]))
        same(dps('1nc-sum-zero', days(2025, 12, 1), days(2026, 3, 5)),
             {days(2025, 12, 1): 124, days(2026, 1, 1): 1, days(2026, 2, 1): 0, days(2026, 3, 1): 0})
        for wrong in '0nc-sum', '1qc-sum', 'nc-sum', '1001dc-sum':
            is_error(daemon.http(url('/api/query', start=T, m=f'sum:{wrong}:y')), 400)
        for zone in 'Europe/Nowhere', '../../etc/passwd', '/etc/passwd', 'Europe':
            is_error(daemon.http(url('/api/query', start=T, m='sum:1dc-sum:y', tz=zone)), 400, 'time zone')
        is_error(daemon.http(url('/api/query', start=1, m='sum:1hc-sum:y', tz='Europe/Berlin')), 413, 'shorten')


def numbers_that_json_does_not_know(folder):
    """`nan`: string, null or omit: what stands for a gap that is filled with no number"""
    expected = {'string': {'-nan': ['NaN', 7], '-null': [None, 7]}, 'null': {'-nan': [None, 7], '-null': [None, 7]},
                'omit': {'-nan': [7], '-null': [7]}}
    for word, fills in expected.items():
        topology = f"""tsdb :: OpenTsdb(listen: "127.0.0.1:{{tsdb}}", nan: "{word}", suggest: "substring")
tsdb -> Log(stream: "metrics") -> history :: History()
tsdb => history
"""
        os.makedirs(os.path.join(folder, word))
        with Daemon(os.path.join(folder, word), topology=topology) as daemon:
            store(daemon, [point('gap.one', T, 7, host='a'), point('gap.one', T + 600, 7, host='a')])
            for fill, values in fills.items():
                status, answer = get(daemon, f'sum:5m-sum{fill}:gap.one', start=T + 300, end=T + 600)
                same((status, list(answer[0]['dps'].values())), (200, values))
                status, answer = get(daemon, f'sum:5m-sum{fill}:gap.one', start=T + 300, end=T + 600, arrays='true')
                same([value for _, value in answer[0]['dps']], values)
            same(daemon.http('/api/suggest?type=metrics&q=one'), (200, ['gap.one']))
            same(daemon.http('/api/suggest?type=metrics&q=two'), (200, []))


def what_goes_with_an_answer(folder):
    """showQuery with rate options, showStats, showSummary; the same sub-query twice is one"""
    with Cpus(folder) as daemon:
        query = {'metric': 'one', 'aggregator': 'sum', 'rate': True, 'rateOptions': {'counter': True, 'counterMax': 100, 'resetValue': 5}}
        plain = {'metric': 'one', 'aggregator': 'sum', 'tags': {'host': 'a'}}
        status, answer = post(daemon, [plain, plain, dict(plain, downsample='1h-sum')], showQuery=True, showStats=True, showSummary=True)
        one = element('one', {'host': 'a'}, [(3600, 9007199254740993)], stats={'emittedDPs': 1},
                      query={'index': 0, 'aggregator': 'sum', 'metric': 'one', 'tsuids': None, 'downsample': None, 'rate': False,
                             'explicitTags': False, 'tags': {'host': 'a'},
                             'filters': [{'tagk': 'host', 'filter': 'a', 'type': 'literal_or', 'groupBy': True}]})
        two = dict(one, dps={str(T + 3600): 9007199254740992.0}, query=dict(one['query'], index=1, downsample='1h-sum'))
        same((status, answer), (200, [one, two, {'statsSummary': {'emittedDPs': 2, 'queriedSeries': 2}}]))
        store(daemon, [point('one', T + 3660, 9007199254741113, host='a')])
        same(post(daemon, query, showQuery=True)[1][0]['query']['rateOptions'],
             {'counter': True, 'counterMax': 100, 'resetValue': 5, 'dropResets': False})
        check_identity(daemon.status())


def what_is_too_much(folder):
    """regular expressions that explode, buckets without number, deletion by query: refused with what to do instead"""
    with Cpus(folder) as daemon:
        store(daemon, [point('slow', T, 1, host='a' * 60 + 'b')])
        query = {'metric': 'slow', 'aggregator': 'sum', 'filters': [{'type': 'regexp', 'tagk': 'host', 'filter': '^(a+)+$', 'groupBy': True}]}
        is_error(post(daemon, query), 413, 'simplify it')  # it would take years
        is_error(get(daemon, 'sum:slow{host=regexp(^(a|aa)+$)}'), 413, 'simplify it')
        is_error(get(daemon, 'sum:1ms-sum-zero:slow', start=1, ms='true'), 413, 'downsample more coarsely')
        is_error(get(daemon, 'sum:1s-sum-zero:sys.cpu', start=1), 413, 'downsample more coarsely')
        is_error(post(daemon, [{'metric': f'm{i}', 'aggregator': 'sum'} for i in range(257)]), 400, 'Too many sub queries')
        is_error(post(daemon, {'metric': 'slow', 'aggregator': 'sum'}, delete=True), 400, 'Deleting data is not enabled')
        same(post(daemon, {'metric': 'slow', 'aggregator': 'sum'}, delete=False)[0], 200)
        check_identity(daemon.status())


def read(path):
    try:
        return open(path, 'rb').read()
    except FileNotFoundError:
        return b''


main(the_last_point_of_each_series, the_last_point_not_too_long_ago, the_last_points_of_many_series, the_last_point_refused, sub_queries_by_tsuid,
     annotations_are_written_and_read, changes_of_one_annotation_follow_each_other, annotations_in_bulk, annotations_refused, annotations_in_answers,
     annotations_survive_a_kill, calendar_intervals, numbers_that_json_does_not_know, what_goes_with_an_answer, what_is_too_much)
