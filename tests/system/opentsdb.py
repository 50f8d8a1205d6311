#!/usr/bin/env python3
"""The OpenTSDB and Graphite surface from outside: what Grafana and command-line users send, byte for byte, and whole
answers compared with values computed by hand."""
import gzip
import http.client
import json
import socket
import time
import urllib.parse
import zlib

from harness import Daemon, check_identity, main, wait_for

T = int(time.time()) // 3600 * 3600 - 7200  # a whole hour, so that every bucket below begins where the comments say
MS = T * 1000

# Three hosts. a and b have points at the same times, c between theirs.
CPU = {
    'a': [(0, 1), (10, 3), (20, 5), (60, 7), (70, 9)],
    'b': [(0, 10), (10, 20), (20, 30), (60, 40), (70, 50)],
    'c': [(5, 100), (15, 200)],
}
DC = {'a': 'eu', 'b': 'eu', 'c': 'us'}
COUNTER = [(0, 10), (10, 20), (20, 5), (30, 15)]  # falls once


def point(metric, at, value, **tags):
    return {'metric': metric, 'timestamp': at, 'value': value, 'tags': tags}


def fill(daemon):
    """Series in a known order: results come in the order in which their series came first."""
    points = [point('sys.cpu', T + at, value, host=host, dc=DC[host]) for host in 'abc' for at, value in CPU[host]]
    points += [point('net.bytes', T + at, value, host='a') for at, value in COUNTER]
    points += [point('fine', MS + ms, value, host='a') for ms, value in [(100, 1.5), (600, 2.5), (1000, 8)]]
    status, body = daemon.http('/api/put?sync&details', points)
    assert (status, body) == (200, {'success': len(points), 'failed': 0, 'errors': []}), (status, body)
    wait_for(lambda: len(daemon.http('/api/suggest?type=metrics')[1]) == 3, why='the history')
    wait_for(lambda: daemon.query('none:fine', start=T)[0]['dps'], why='the last point')


class Filled(Daemon):
    def __enter__(self):
        super().__enter__()
        fill(self)
        return self


def get(daemon, *m, start=T, end=T + 120, **more):
    fields = [('start', start), ('end', end), *(('m', one) for one in m), *more.items()]
    return daemon.http('/api/query?' + urllib.parse.urlencode(fields))


def series(metric, tags, dps, aggregated=(), unit=1, **more):
    """What an element of an answer looks like: dps by seconds after T."""
    return {'metric': metric, 'tags': tags, 'aggregateTags': list(aggregated),
            'dps': {str((T + at) * unit) if unit == 1 else str(MS + int(at * 1000)): value for at, value in dps}, **more}


def cpu(host, dps, **more):
    return series('sys.cpu', {'dc': DC[host], 'host': host}, dps, **more)


def same(got, expected):
    assert got == expected, f'\ngot      {json.dumps(got, sort_keys=True)}\nexpected {json.dumps(expected, sort_keys=True)}'


def is_error(answer, code, *words):
    status, body = answer
    assert status == code and isinstance(body, dict) and list(body) == ['error'], answer
    error = body['error']
    assert error['code'] == code and error['message'], answer
    text = error['message'] + ' ' + error.get('details', '')
    for word in words:
        assert word in text, f'{word!r} is not in {text!r}'


# ---- what Grafana sends ----

def frontend(queries, version=1, **more):
    """The body of a panel's query: the keys that Grafana's frontend sets, in its order."""
    body = {'start': MS, 'queries': queries, 'msResolution': True, 'globalAnnotations': True}
    if version == 3:
        body['showQuery'] = True
    body['end'] = MS + 120000
    body.update(more)
    return body


def the_frontends_body_with_filters(folder):
    """Grafana's frontend body with filters: versions 2, 3 (query.index) and 4"""
    with Filled(folder) as daemon:
        query = {'metric': 'sys.cpu', 'aggregator': 'avg', 'downsample': '1m-avg-none',
                 'filters': [{'filter': '*', 'groupBy': True, 'tagk': 'host', 'type': 'wildcard'}], 'explicitTags': False}
        expected = [cpu('a', [(0, 3), (60, 8)], unit=1000), cpu('b', [(0, 20), (60, 45)], unit=1000),
                    cpu('c', [(0, 150)], unit=1000)]
        for version in 2, 4:
            same(daemon.http('/api/query', frontend([query], version)), (200, expected))
        # Version 3 maps answers to panels by query.index, doubles removed first.
        one = dict(query, filters=[{'filter': 'a', 'groupBy': False, 'tagk': 'host', 'type': 'literal_or'}])
        status, answer = daemon.http('/api/query', frontend([query, query, one], 3))
        assert status == 200
        same([(a['query']['index'], a['tags']['host']) for a in answer], [(0, 'a'), (0, 'b'), (0, 'c'), (1, 'a')])
        shown = answer[3]['query']
        same({k: shown[k] for k in ('metric', 'aggregator', 'downsample', 'rate', 'explicitTags', 'filters')},
             {'metric': 'sys.cpu', 'aggregator': 'avg', 'downsample': '1m-avg-none', 'rate': False, 'explicitTags': False,
              'filters': [{'tagk': 'host', 'filter': 'a', 'type': 'literal_or', 'groupBy': False}]})
        for answered, wanted in zip(answer, expected):
            answered.pop('query')
            same(answered, wanted)
        check_identity(daemon.status())


def the_frontends_body_with_tags(folder):
    """Grafana's frontend body with tags: version 1, literals, several, globs, an empty list"""
    with Filled(folder) as daemon:
        def ask(tags, **more):
            query = {'metric': 'sys.cpu', 'aggregator': 'sum', 'rate': False, 'downsample': '1m-max', 'tags': tags, **more}
            status, answer = daemon.http('/api/query', frontend([query]))
            assert status == 200, answer
            return answer
        a, b, c = (cpu(h, d, unit=1000) for h, d in [('a', [(0, 5), (60, 9)]), ('b', [(0, 30), (60, 50)]), ('c', [(0, 200)])])
        same(ask({'host': 'a'}), [a])
        same(ask({'host': 'a|c'}), [a, c])
        same(ask({'host': '*'}), [a, b, c])
        same(ask({'host': 'A*'}), [a])  # globs in tags do not mind case
        same(ask({'host': 'A'}), [])
        same(ask({'host': 'not_literal_or(a)'}), [b, c])
        same(ask({'host': 'regexp([bc])'}), [b, c])
        whole = series('sys.cpu', {}, [(0, 235), (60, 59)], ['dc', 'host'], unit=1000)
        for none in [], {}, None:
            same(ask(none), [whole])
        same(ask({'dc': '*'}), [series('sys.cpu', {'dc': 'eu'}, [(0, 35), (60, 59)], ['host'], unit=1000), c])
        same(ask({'host': '*'}, explicitTags=True), [])
        same(ask({'host': '*', 'dc': '*'}, explicitTags=True), [a, b, c])
        same(ask({}, unknownKey={'deep': [1, {'er': None}]}), [whole])


def end_is_now_when_absent(folder):
    """no `end` means now; `end` before `start` is refused; start and end are included"""
    with Filled(folder) as daemon:
        body = frontend([{'metric': 'sys.cpu', 'aggregator': 'none', 'filters': [
            {'type': 'literal_or', 'tagk': 'host', 'filter': 'a', 'groupBy': True}]}])
        whole = cpu('a', CPU['a'], unit=1000)
        same(daemon.http('/api/query', body), (200, [whole]))
        del body['end']
        same(daemon.http('/api/query', body), (200, [whole]))
        body['start'], body['end'] = MS + 10000, MS + 60000
        same(daemon.http('/api/query', body), (200, [cpu('a', CPU['a'][1:4], unit=1000)]))
        body['end'] = MS
        is_error(daemon.http('/api/query', body), 400, 'start time')


def filters_and(folder):
    """every filter type; filters are ANDed; those that do not group leave their key to aggregateTags"""
    with Filled(folder) as daemon:
        def hosts(*filters):
            query = {'metric': 'sys.cpu', 'aggregator': 'none', 'filters': [
                {'type': t, 'tagk': k, 'filter': f, 'groupBy': False} for t, k, f in filters]}
            status, answer = daemon.http('/api/query', frontend([query]))
            assert status == 200, answer
            return ''.join(a['tags']['host'] for a in answer)
        for type, expression, expected in [
                ('literal_or', 'a|c', 'ac'), ('iliteral_or', 'A|C', 'ac'), ('not_literal_or', 'a|c', 'b'),
                ('not_iliteral_or', 'A', 'bc'), ('wildcard', '*', 'abc'), ('wildcard', 'A*', ''), ('iwildcard', 'A*', 'a'),
                ('regexp', '^[ab]$', 'ab'), ('regexp', '', 'abc'), ('not_key', '', '')]:
            same(hosts((type, 'host', expression)), expected)
        same(hosts(('wildcard', 'host', '*'), ('literal_or', 'dc', 'eu')), 'ab')
        same(hosts(('wildcard', 'host', '*'), ('not_literal_or', 'dc', 'eu')), 'c')
        same(hosts(('not_literal_or', 'rack', 'r1')), 'abc')  # a missing key matches
        same(hosts(('not_key', 'rack', '')), 'abc')
        same(hosts(('literal_or', 'rack', 'r1')), '')
        query = {'metric': 'sys.cpu', 'aggregator': 'max', 'downsample': '0all-max',
                 'filters': [{'type': 'literal_or', 'tagk': 'host', 'filter': 'a|b', 'groupBy': False}]}
        same(daemon.http('/api/query', frontend([query])),
             (200, [series('sys.cpu', {'dc': 'eu'}, [(0, 50)], ['host'], unit=1000)]))
        is_error(daemon.http('/api/query', frontend([dict(query, filters=[{'type': 'x', 'tagk': 'host', 'filter': 'a'}])])),
                 400, 'x')
        is_error(daemon.http('/api/query', frontend([dict(query, filters=[
            {'type': 'regexp', 'tagk': 'host', 'filter': '(a', 'groupBy': True}])])), 400, 'regular expression')


def several_metrics_in_one(folder):
    """a metric joined by | asks for each; unknown ones among them are left out"""
    with Filled(folder) as daemon:
        query = {'metric': 'net.bytes|no.such|fine', 'aggregator': 'sum', 'downsample': '1m-sum'}
        same(daemon.http('/api/query', frontend([query])),
             (200, [series('net.bytes', {'host': 'a'}, [(0, 50)], unit=1000),
                    series('fine', {'host': 'a'}, [(0, 12)], unit=1000)]))


def the_backend_path(folder):
    """Grafana's backend: no msResolution answers in seconds; arrays=true; one query a request"""
    with Filled(folder) as daemon:
        body = {'start': T, 'end': T + 120, 'queries': [
            {'metric': 'fine', 'aggregator': 'sum', 'tags': {'host': 'a'}}]}
        same(daemon.http('/api/query', body), (200, [series('fine', {'host': 'a'}, [(0, 4), (1, 8)])]))
        same(daemon.http('/api/query?arrays=true', body)[1][0]['dps'], [[T, 4], [T + 1, 8]])
        same(daemon.http('/api/query?arrays=false', body)[1][0]['dps'], {str(T): 4, str(T + 1): 8})
        body['msResolution'] = True
        same(daemon.http('/api/query?arrays=true', body)[1][0]['dps'], [[MS + 100, 1.5], [MS + 600, 2.5], [MS + 1000, 8]])
        body['start'], body['end'] = MS, MS + 500
        same(daemon.http('/api/query', body)[1][0]['dps'], {str(MS + 100): 1.5})
        # Every dps value is a number: the backend reads map[string]float64.
        body = {'start': T, 'queries': [{'metric': 'sys.cpu', 'aggregator': 'avg', 'downsample': '1m-avg-'}]}
        for value in daemon.http('/api/query', body)[1][0]['dps'].values():
            assert isinstance(value, (int, float)), value


def annotations_find_nothing(folder):
    """an annotation query (aggregator sum, the target as metric) is answered; there are no annotations in it"""
    with Filled(folder) as daemon:
        status, answer = daemon.http('/api/query', {'start': MS, 'queries': [{'aggregator': 'sum', 'metric': 'fine'}],
                                                    'msResolution': False, 'globalAnnotations': True})
        assert status == 200 and 'annotations' not in answer[0] and 'globalAnnotations' not in answer[0], answer


def suggestions_and_lookups(folder):
    """suggest, aggregators, config/filters, search/lookup and version as Grafana's editor asks them"""
    with Filled(folder) as daemon:
        ask = lambda path: daemon.http(path)
        same(ask('/api/suggest?type=metrics&q=cpu&max=1000'), (200, []))  # the health check
        same(ask('/api/suggest?type=metrics&q=&max=1000'), (200, ['fine', 'net.bytes', 'sys.cpu']))
        same(ask('/api/suggest?type=metrics&q=&max=2'), (200, ['fine', 'net.bytes']))
        same(ask('/api/suggest?type=metrics&q=s'), (200, ['sys.cpu']))
        same(ask('/api/suggest?type=tagk&q=&max='), (200, ['dc', 'host']))
        same(ask('/api/suggest?type=tagv&q=u'), (200, ['us']))
        same(daemon.http('/api/suggest', {'type': 'metrics', 'q': 'n', 'max': 5}), (200, ['net.bytes']))
        is_error(ask('/api/suggest?q=x'), 400, 'type')
        is_error(ask('/api/suggest?type=metric'), 400, 'metric')
        aggregators = ask('/api/aggregators')[1]
        assert {'sum', 'min', 'max', 'avg', 'count', 'none'} <= set(aggregators), aggregators
        assert aggregators == sorted(set(aggregators), key=str.encode), aggregators
        assert set(ask('/api/config/filters')[1]) == {
            'literal_or', 'iliteral_or', 'not_literal_or', 'not_iliteral_or', 'wildcard', 'iwildcard', 'regexp', 'not_key'}
        version = ask('/api/version')
        assert version[0] == 200 and version[1]['version'], version

        status, found = ask('/api/search/lookup?m=sys.cpu&limit=1000')
        assert status == 200 and found['type'] == 'LOOKUP' and found['metric'] == 'sys.cpu' and found['limit'] == 1000, found
        same([r['tags'] for r in found['results']], [{'dc': DC[h], 'host': h} for h in 'abc'])
        same((found['totalResults'], found['tags']), (3, []))
        assert all(r['metric'] == 'sys.cpu' and r['tsuid'] for r in found['results']), found
        assert len({r['tsuid'] for r in found['results']}) == 3, found
        found = ask('/api/search/lookup?m=' + urllib.parse.quote('sys.cpu{host=*,dc=eu}') + '&limit=3000')[1]
        same([r['tags']['host'] for r in found['results']], ['a', 'b'])
        found = ask('/api/search/lookup?m=' + urllib.parse.quote('sys.cpu{host=*}') + '&limit=1')[1]
        same((len(found['results']), found['totalResults']), (1, 3))
        found = daemon.http('/api/search/lookup', {'metric': 'sys.cpu', 'tags': [{'key': 'dc', 'value': 'us'}], 'limit': 9})[1]
        same([r['tags'] for r in found['results']], [{'dc': 'us', 'host': 'c'}])
        same(found['tags'], [{'key': 'dc', 'value': 'us'}])
        is_error(ask('/api/search/lookup?m=no.such'), 404, 'no.such')
        is_error(ask('/api/search/lookup?m=' + urllib.parse.quote('sys.cpu{nokey=*}')), 404)
        is_error(ask('/api/search/lookup'), 400, "'m'")


# ---- what users write on a command line ----

def aggregates_by_hand(folder):
    """sum, min, max, avg, count and none over series whose times differ: lines between points, as computed by hand"""
    with Filled(folder) as daemon:
        # At 5 and 15 a and b are half way between their points, at 10 c is; c is there from 5 to 15 only.
        at = [0, 5, 10, 15, 20, 60, 70]
        values = [[1, 10], [2, 15, 100], [3, 20, 150], [4, 25, 200], [5, 30], [7, 40], [9, 50]]
        for name, of in [('sum', sum), ('min', min), ('max', max), ('avg', lambda v: sum(v) / len(v)), ('count', len)]:
            same(get(daemon, f'{name}:sys.cpu'), (200, [series('sys.cpu', {}, zip(at, map(of, values)), ['dc', 'host'])]))
        # zimsum: what is missing is zero. mimmin, mimmax: it is not there.
        own = [[1, 10], [100], [3, 20], [200], [5, 30], [7, 40], [9, 50]]
        for name, of in [('zimsum', sum), ('mimmin', min), ('mimmax', max)]:
            same(get(daemon, f'{name}:sys.cpu'), (200, [series('sys.cpu', {}, zip(at, map(of, own)), ['dc', 'host'])]))
        same(get(daemon, 'none:sys.cpu'), (200, [cpu(h, CPU[h]) for h in 'abc']))
        same(get(daemon, 'sum:sys.cpu{dc=*}'), (200, [
            series('sys.cpu', {'dc': 'eu'}, [(t, a + b) for (t, a), (_, b) in zip(CPU['a'], CPU['b'])], ['host']),
            cpu('c', CPU['c'])]))
        # A second pair of braces filters and does not group.
        same(get(daemon, 'max:sys.cpu{dc=*}{host=literal_or(a|c)}'), (200, [cpu('a', CPU['a']), cpu('c', CPU['c'])]))
        same(get(daemon, 'sum:sys.cpu{}{host=a}'), (200, [cpu('a', CPU['a'])]))
        same(get(daemon, 'sum:sys.cpu{host=a|b}{dc=eu}'), (200, [cpu('a', CPU['a']), cpu('b', CPU['b'])]))
        same(get(daemon, 'sum:explicit_tags:sys.cpu{host=*}'), (200, []))
        # Several questions at once: answers in their order.
        same([a['metric'] for a in get(daemon, 'sum:fine', 'sum:sys.cpu', 'sum:net.bytes')[1]], ['fine', 'sys.cpu', 'net.bytes'])


def downsampling_by_hand(folder):
    """buckets begin at whole multiples of their width; fill policies; the bucket of an unaligned start vanishes"""
    with Filled(folder) as daemon:
        def dps(m, **more):
            status, answer = get(daemon, m, **more)
            assert status == 200 and len(answer) == 1, answer
            return {int(t) - T: v for t, v in answer[0]['dps'].items()}
        for name, values in [('sum', (9, 16)), ('avg', (3, 8)), ('min', (1, 7)), ('max', (5, 9)), ('count', (3, 2))]:
            same(dps(f'sum:1m-{name}:sys.cpu{{host=a}}'), {0: values[0], 60: values[1]})
        for fill, gap in [('-none', ()), ('', ()), ('-', ()), ('-zero', 0), ('-nan', 'NaN'), ('-null', None)]:
            expected = {0: 3, 60: 8} if gap == () else {0: 3, 30: gap, 60: 8, 90: gap}
            same(dps(f'sum:30s-avg{fill}:sys.cpu{{host=a}}', end=T + 119), expected)
        same(dps('sum:1m-sum:sys.cpu{host=a}', start=T + 10), {60: 16})
        same(dps('sum:0all-sum:sys.cpu{host=a}'), {0: 25})
        same(dps('sum:0all-sum:sys.cpu{host=a}', start=T + 10, end=T + 60), {10: 15})
        same(dps('sum:1h-count:sys.cpu{host=a}'), {0: 5})
        same(dps('sum:1mc-sum:sys.cpu{host=a}'), {0: 9, 60: 16})
        same(dps('max:1m-sum:sys.cpu'), {0: 300, 60: 90})  # downsampled first, aggregated then
        same(get(daemon, 'sum:500ms-sum:fine', ms='true')[1][0]['dps'],
             {str(MS): 1.5, str(MS + 500): 2.5, str(MS + 1000): 8})
        for wrong in '1x-avg', 'm-avg', '1m-nope', '1m-avg-some', '1m', '0m-avg':
            is_error(get(daemon, f'sum:{wrong}:sys.cpu'), 400)
        is_error(daemon.http('/api/query', frontend([{'metric': 'fine', 'aggregator': 'sum', 'downsample': '1m-x'}])), 400, 'x')


def rates_by_hand(folder):
    """rate per second of each series before they are aggregated; counters that fall, in both spellings"""
    with Filled(folder) as daemon:
        def dps(m, **more):
            status, answer = get(daemon, m, **more)
            assert status == 200 and len(answer) == 1, answer
            return {int(t) - T: v for t, v in answer[0]['dps'].items()}
        same(dps('sum:rate:sys.cpu{host=a}'), {10: .2, 20: .2, 60: .05, 70: .2})
        same(dps('sum:1m-avg:rate:sys.cpu{host=a}'), {60: 5 / 60})
        same(dps('sum:rate:1m-avg:sys.cpu{host=a}'), {60: 5 / 60})
        same(dps('sum:rate:sys.cpu{host=a}', start=T + 20), {20: .2, 60: .05, 70: .2})  # its predecessor is read
        same(dps('sum:rate:net.bytes'), {10: 1, 20: -1.5, 30: 1})
        same(dps('sum:rate{counter,100}:net.bytes'), {10: 1, 20: 8.5, 30: 1})
        same(dps('sum:rate{counter,100,5}:net.bytes'), {10: 1, 20: 0, 30: 1})
        same(dps('sum:rate{dropcounter}:net.bytes'), {10: 1, 30: 1})
        same(dps('sum:rate{counter,,5}:net.bytes'), {10: 1, 20: 0, 30: 1})
        for options, expected in [({}, -1.5), ({'counter': False}, -1.5), ({'counter': True, 'counterMax': 100.0}, 8.5),
                                  ({'counter': True, 'counterMax': '100', 'resetValue': 5}, 0),
                                  ({'counter': True, 'dropResets': True}, None),
                                  ({'counter': True, 'counterMax': None, 'resetValue': 1}, 0)]:
            query = {'metric': 'net.bytes', 'aggregator': 'sum', 'rate': True, 'rateOptions': options, 'tags': {'host': 'a'}}
            status, answer = daemon.http('/api/query', {'start': T, 'queries': [query]})
            same(answer[0]['dps'].get(str(T + 20)), expected)
        # The lines of a group: a rate holds until the next one.
        same(dps('sum:rate:sys.cpu{dc=*}{host=a|b}'), {10: 1.2, 20: 1.2, 60: .3, 70: 1.2})


def time_forms(folder):
    """start and end in every form: seconds, milliseconds, fractions, dates, `…-ago`, now"""
    with Filled(folder) as daemon:
        expected = [series('net.bytes', {'host': 'a'}, COUNTER)]
        date = lambda form: time.strftime(form, time.gmtime(T))
        for start in (T, MS, f'{T}.000', f'{MS}ms', date('%Y/%m/%d-%H:%M:%S'), date('%Y/%m/%d-%H:%M'), date('%Y/%m/%d %H:%M:%S'),
                      date('%Y/%m/%d'), '3h-ago', '180m-ago', '10800s-ago', '10800000ms-ago', '1d-ago', '1w-ago', '1n-ago',
                      '1y-ago', 0, 1):
            same(get(daemon, 'sum:net.bytes', start=start, end='now'), (200, expected))
            body = {'start': start, 'end': 'now', 'queries': [{'metric': 'net.bytes', 'aggregator': 'sum'}]}
            same(daemon.http('/api/query', body), (200, expected))
        for wrong in 'yesterday', '1q-ago', '-ago', '', '2024/13/01', '1h', '99999999999999999999':
            is_error(get(daemon, 'sum:net.bytes', start=wrong), 400, 'start time')
        is_error(get(daemon, 'sum:net.bytes', end='later'), 400, 'end time')


def what_cannot_be_answered(folder):
    """errors: one envelope, the status in it, the words that a panel shows"""
    with Filled(folder) as daemon:
        is_error(get(daemon, 'sum:no.such.metric'), 400, "No such name for 'metrics': 'no.such.metric'")
        is_error(daemon.http('/api/query', frontend([{'metric': 'nope', 'aggregator': 'sum'}])), 400, "'metrics': 'nope'")
        same(get(daemon, 'sum:sys.cpu{host=nobody}'), (200, []))
        same(get(daemon, 'sum:sys.cpu', start=T + 3000, end=T + 3100), (200, []))
        for m in 'sys.cpu', 'sum', 'nope:sys.cpu', 'sum:sys.cpu{host=a', 'sum:sys.cpu{host}', 'sum:x:sys.cpu', 'sum:', \
                'sum:sys.cpu{host=x(a)}', 'sum:rate{counter,x}:net.bytes':
            is_error(get(daemon, m), 400)
        is_error(get(daemon), 400, 'm=')
        is_error(daemon.http('/api/query?m=sum:fine'), 400, 'start')
        for body in (b'', b'{', b'[]', b'null', b'"x"', b'{"start":1}', b'{"start":1,"queries":[]}', b'{"start":1,"queries":{}}',
                     b'{"start":1,"queries":[1]}', b'{"start":1,"queries":[{}]}', b'{"start":1,"queries":[{"metric":"fine"}]}',
                     b'{"start":1,"queries":[{"aggregator":"sum"}]}', b'{"queries":[{"aggregator":"sum","metric":"fine"}]}'):
            is_error(daemon.http('/api/query', body, method='POST'), 400)
        for path in '/', '/api', '/api/', '/api/nope', '/api/query/nope', '/q', '/favicon.ico', '/api/put/x':
            is_error(daemon.http(path), 404)
        is_error(daemon.http('/api/put'), 405, 'GET')
        for path in '/api/query', '/api/suggest', '/api/put', '/api/version':
            for method in 'DELETE', 'PUT':
                is_error(daemon.http(path, method=method), 405, method)
        # The port still takes what is right.
        assert get(daemon, 'sum:fine')[0] == 200
        check_identity(daemon.status())


def paths_and_wrapping(folder):
    """a prefix before /api, /api/v1, a trailing slash, jsonp, HEAD"""
    with Filled(folder) as daemon:
        expected = daemon.http('/api/aggregators')
        for path in '/api/v1/aggregators', '/tsdb/api/aggregators', '/a/b/api/v1/aggregators', '//api/aggregators', \
                '/api/aggregators/', '/api/x/api/aggregators':
            same(daemon.http(path), expected)
        body = frontend([{'metric': 'fine', 'aggregator': 'sum', 'downsample': '1m-sum'}])
        same(daemon.http('/grafana/api/v1/query', body), (200, [series('fine', {'host': 'a'}, [(0, 12)], unit=1000)]))
        same(daemon.http('/api/v1/put', point('v1', T, 1, t='x')), (204, ''))
        status, text = daemon.http('/api/suggest?type=metrics&q=f&jsonp=done')
        same((status, text), (200, 'done(["fine"])'))
        is_error(daemon.http('/api/suggest?type=metrics&jsonp=alert(1)'), 400, 'jsonp')
        connection = http.client.HTTPConnection('127.0.0.1', daemon.ports['tsdb'], timeout=100)
        connection.request('HEAD', '/api/version')
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() == b'', answer.status
        connection.request('GET', '/api/version')  # on the same connection
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader('Content-Type').startswith('application/json'), answer.headers
        connection.close()


# ---- put ----

def puts_say_what_became_of_them(folder):
    """put: 204 when silent; summary, details, sync, sync_timeout; OpenTSDB's words for each mistake"""
    with Daemon(folder) as daemon:
        good = point('p', T, 1, t='x')
        same(daemon.http('/api/put', good), (204, ''))
        same(daemon.http('/api/put', [good, point('p', T + 1, 2, t='x')]), (204, ''))
        same(daemon.http('/api/put?summary', good), (200, {'success': 1, 'failed': 0}))
        same(daemon.http('/api/put?summary=true', [good, good]), (200, {'success': 2, 'failed': 0}))
        same(daemon.http('/api/put?details', good), (200, {'success': 1, 'failed': 0, 'errors': []}))
        same(daemon.http('/api/put?sync', good), (204, ''))
        same(daemon.http('/api/put?sync&sync_timeout=20000', good), (204, ''))
        same(daemon.http('/api/put?sync&summary', good), (200, {'success': 1, 'failed': 0}))
        same(daemon.http('/api/put?sync&sync_timeout=20000&details', good),
             (200, {'success': 1, 'failed': 0, 'timeouts': 0, 'errors': []}))
        mistakes = [
            ('Metric name was empty', dict(good, metric='')),
            ('Metric name was empty', {k: v for k, v in good.items() if k != 'metric'}),
            ('Invalid timestamp', dict(good, timestamp=0)),
            ('Invalid timestamp', dict(good, timestamp=-5)),
            ('Invalid timestamp', dict(good, timestamp='soon')),
            ('Invalid timestamp', {k: v for k, v in good.items() if k != 'timestamp'}),
            ('Empty value', dict(good, value='')),
            ('Empty value', dict(good, value=None)),
            ('Empty value', {k: v for k, v in good.items() if k != 'value'}),
            ('Missing tags', dict(good, tags={})),
            ('Missing tags', {k: v for k, v in good.items() if k != 'tags'}),
            ('Unable to parse value to a number', dict(good, value='1x')),
            ('Unable to parse value to a number', dict(good, value='NaN')),
            ('Unable to parse value to a number', dict(good, value='9223372036854775808')),
        ]
        for words, bad in mistakes:
            is_error(daemon.http('/api/put', bad), 400, 'One or more data points had errors')
            same(daemon.http('/api/put?summary', [bad, good]), (400, {'success': 1, 'failed': 1}))
            status, body = daemon.http('/api/put?details', [bad, good])
            same((status, body['success'], body['failed'], len(body['errors'])), (400, 1, 1, 1))
            same(body['errors'][0]['error'], words)
            assert set(body['errors'][0]['datapoint']) == {'metric', 'timestamp', 'value', 'tags'}, body
        # Bare NaN is no JSON, but sent; the point is refused, its neighbours stay.
        raw = json.dumps([dict(good, metric='beside'), dict(good, value=float('nan')), dict(good, value=float('inf'))]).encode()
        status, body = daemon.http('/api/put?details', raw)
        same((status, body['success'], body['failed']), (400, 1, 2))
        wait_for(lambda: daemon.http('/api/suggest?type=metrics&q=beside')[1] == ['beside'], why='the good neighbour')
        for body in b'[]', b'', b'nonsense', b'{"metric":', b'null', b'7', b'[', b'{}x':
            is_error(daemon.http('/api/put', body, method='POST'), 400)
        same(daemon.http('/api/put?details', b'[1, "x", null, []]')[1]['failed'], 4)
        wait_for(lambda: check_identity(daemon.status()) is None, why='the sums')


def numbers_are_kept_exactly(folder):
    """integers of 64 bits to the last digit, numeric strings, exponents, milliseconds"""
    with Daemon(folder) as daemon:
        values = {'max': 2**63 - 1, 'min': -2**63, 'odd': 2**53 + 1, 'zero': 0, 'minus': -1}
        texts = {'sint': ('9223372036854775807', 2**63 - 1), 'sfloat': ('1.5', 1.5), 'sexp': ('1e-3', .001),
                 'splus': ('+4', 4), 'spoint': ('-.5', -.5), 'stime': ('7', 7)}
        points = [point('n', T, v, name=k) for k, v in values.items()]
        points += [point('n', str(T), v, name=k) for k, (v, _) in texts.items()]
        points += [point('n', T, .1, name='tenth'), point('n', T, 1e300, name='huge'), point('n', T, 5e-324, name='tiny'),
                   point('n', MS, 1, name='ms'), point('n', f'{T}.000', 1, name='dotted'), point('n', T, 1, name=7)]
        same(daemon.http('/api/put?sync&details', points), (200, {'success': len(points), 'failed': 0, 'errors': []}))
        expected = {**values, **{k: v for k, (_, v) in texts.items()}, 'tenth': .1, 'huge': 1e300, 'tiny': 5e-324, 'ms': 1,
                    'dotted': 1, '7': 1}
        answer = wait_for(lambda: (a := get(daemon, 'sum:n{name=*}')[1]) and len(a) == len(points) and a, why='all of them')
        same({a['tags']['name']: a['dps'] for a in answer}, {k: {str(T): v} for k, v in expected.items()})
        # The integers as text: no digits lost, no decimal point.
        with socket.create_connection(('127.0.0.1', daemon.ports['tsdb'])) as s:
            s.sendall(f'GET /api/query?start={T}&m=sum:n%7Bname=max%7D HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
            text = b''
            while chunk := s.recv(65536):
                text += chunk
        assert b':9223372036854775807}' in text, text


def names_are_any_utf8(folder):
    """metrics and tags with spaces, quotes, slashes and letters of any alphabet come back as they were sent"""
    with Daemon(folder) as daemon:
        tags = {'Ort': 'Köln / Süd', 'k"q': 'a\\b', 'e=q': 'x=y,z;w', 'star': '*', 'emoji': '🚀'}
        same(daemon.http('/api/put?sync&summary', point('größe {m}', T, 1, **tags))[1], {'success': 1, 'failed': 0})
        wait_for(lambda: daemon.http('/api/suggest?type=metrics')[1] == ['größe {m}'], why='the name')
        body = {'start': T, 'queries': [{'metric': 'größe {m}', 'aggregator': 'sum', 'filters': [
            {'type': 'literal_or', 'tagk': 'Ort', 'filter': 'Köln / Süd', 'groupBy': True}]}]}
        answer = wait_for(lambda: daemon.http('/api/query', body)[1], why='the point')
        same(answer, [series('größe {m}', tags, [(0, 1)])])


def bodies_of_every_shape(folder):
    """gzip, deflate and chunked bodies; damaged and unknown encodings; deep and huge JSON"""
    with Daemon(folder) as daemon:
        def ask(name, body, **headers):
            return daemon.http('/api/put?summary', body, {k.replace('_', '-'): v for k, v in headers.items()})
        data = lambda name: json.dumps(point(name, T, 1, t='x')).encode()
        done = (200, {'success': 1, 'failed': 0})
        same(ask('gz', gzip.compress(data('gz')), Content_Encoding='gzip', Content_Type='application/json'), done)
        same(ask('de', zlib.compress(data('de')), Content_Encoding='deflate'), done)
        same(ask('id', data('id'), Content_Encoding='identity'), done)
        is_error(ask('', gzip.compress(data('bad'))[:-9], Content_Encoding='gzip'), 400)
        is_error(ask('', b'not gzip', Content_Encoding='gzip'), 400)
        is_error(ask('', data('br'), Content_Encoding='br'), 415)
        bomb = gzip.compress(b' ' * (64 << 20))
        is_error(ask('', bomb, Content_Encoding='gzip'), 413)
        connection = http.client.HTTPConnection('127.0.0.1', daemon.ports['tsdb'], timeout=100)
        text = data('chunked')
        connection.request('POST', '/api/put?summary', iter([text[i:i + 7] for i in range(0, len(text), 7)]),
                           encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
        answer = connection.getresponse()
        same((answer.status, json.loads(answer.read())), done)
        connection.close()
        # Deep: refused, not followed. A value that is not looked at may nest within reason.
        deep = b'[' * 100000 + b']' * 100000
        for path in '/api/put', '/api/query', '/api/suggest', '/api/search/lookup':
            is_error(daemon.http(path, deep), 400)
        is_error(daemon.http('/api/query', b'{"start":1,"queries":' + b'{"a":' * 100000 + b'1' + b'}' * 100000 + b'}'), 400)
        same(ask('', b'{"x":[[[[{"y":[1]}]]]],' + data('nested')[1:]), done)
        many = [point('many', MS + i, i, t='x') for i in range(50000)]
        same(daemon.http('/api/put?summary&sync', many), (200, {'success': 50000, 'failed': 0}))
        is_error(daemon.http('/api/put', b'[' + b' ' * (17 << 20) + b']'), 413)
        wait_for(lambda: get(daemon, 'sum:0all-count:many', end='now')[1][0]['dps'] == {str(T): 50000}, why='all of them')
        for name in 'gz', 'de', 'id', 'chunked', 'nested':
            assert get(daemon, f'sum:{name}')[0] == 200, name
        wait_for(lambda: check_identity(daemon.status()) is None, why='the sums')


# ---- telnet and Graphite ----

def telnet_in_opentsdbs_words(folder):
    """telnet: silent puts, mistakes in OpenTSDB's words, version, stats, help, status, unknown commands"""
    with Daemon(folder) as daemon:
        say = lambda text: daemon.lines(text, port='tsdb')
        same(say(f'put t {T} 1 a=b\r\nput t {T + 1} 2.5 a=b c=d\nput t {MS + 2000} -3 a=b\nput t {T}.250 1e-3 a=ms\n'), '')
        for line, words in [('put', 'put: illegal argument: not enough arguments'),
                            (f'put t {T}', 'put: illegal argument: not enough arguments'),
                            ('put t 0 1 a=b', 'put: illegal argument: invalid timestamp: 0'),
                            ('put t x 1 a=b', 'put: illegal argument: invalid timestamp: x'),
                            (f'put t {T} x a=b', 'put: invalid value: '),
                            (f'put t {T} NaN a=b', 'put: invalid value: '),
                            (f'put t {T} 9223372036854775808 a=b', 'put: invalid value: '),
                            (f'put t {T} 1 ab', 'put: illegal argument: '),
                            (f'put t {T} 1 a=b a=c', 'put: illegal argument: '),
                            ('rollup x', 'rollup: '), ('histogram x', 'histogram: '),
                            ('frobnicate now', "unknown command: frobnicate.  Try `help'.")]:
            answer = say(line + '\n')
            assert answer.startswith(words) and answer.count('\n') == 1, (line, answer)
        assert 'net.opentsdb' in say('version\n')
        assert 'put' in say('help\n') and 'tsd.' in say('stats\n') and say('status\n')
        same(say('exit\nput t 1 1 a=after\n'), '')
        # A mistake leaves its neighbours alone.
        assert say(f'put t {T} 5 a=n1\nput t {T} bad a=n2\nput t {T} 6 a=n3\n').count('\n') == 1
        answer = wait_for(lambda: (a := get(daemon, 'none:t', ms='true')[1]) and len(a) == 5 and a, why='five series')
        same([(a['tags'], a['dps']) for a in answer], [
            ({'a': 'b'}, {str(MS): 1, str(MS + 2000): -3}), ({'a': 'b', 'c': 'd'}, {str(MS + 1000): 2.5}),
            ({'a': 'ms'}, {str(MS + 250): .001}), ({'a': 'n1'}, {str(MS): 5}), ({'a': 'n3'}, {str(MS): 6})])
        rejects = daemon.element('tsdb')
        wait_for(lambda: check_identity(daemon.status()) is None, why='the sums')
        assert rejects, rejects


def graphite_as_it_is_sent(folder):
    """Graphite: tags in any order, spaces and tabs, missing and odd times, UDP, bad lines between good ones"""
    with Daemon(folder) as daemon:
        before = int(time.time())
        daemon.lines(f'g.plain 1 {T}\ng.tags;b=2;a=1 2 {T}\ng.tags;a=1;b=2 3 {T + 1}\ng.float 4 {T}.9\ng.crlf 5 {T}\r\n'
                     f'g.wide  \t 6   {T}  \ng.empty;x=;=y;z=1 7 {T}\ng.eq;k=a=b 8 {T}\ng.none 9\ng.minus 10 -1\ng.zero 11 0\n'
                     f'g.om{{host="h1",dc="d 1"}} 12 {T}\ng.exp 1.5e3 {T}\n'
                     f'g.nan nan {T}\nnot\ng.bad x {T}\ng.tag;a 1 {T}\n\n\ng.last 13 {T}')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(f'u.first 1 {T}\nare 3 4x\nnot\nu.last 2 {T}'.encode(), ('127.0.0.1', daemon.ports['graphite']))
        expected = {'g.plain': ({}, 1), 'g.float': ({}, 4), 'g.crlf': ({}, 5), 'g.wide': ({}, 6), 'g.empty': ({'z': '1'}, 7),
                    'g.eq': ({'k': 'a=b'}, 8), 'g.om': ({'host': 'h1', 'dc': 'd 1'}, 12), 'g.exp': ({}, 1500),
                    'g.last': ({}, 13), 'u.first': ({}, 1), 'u.last': ({}, 2)}
        now = {'g.none': 9, 'g.minus': 10, 'g.zero': 11}
        names = sorted([*expected, *now, 'g.tags'])
        wait_for(lambda: daemon.http('/api/suggest?type=metrics&max=99')[1] == names, why='all names')
        for metric, (tags, value) in expected.items():
            same(get(daemon, f'sum:{metric}'), (200, [series(metric, tags, [(0, value)])]))
        same(get(daemon, 'sum:g.tags'), (200, [series('g.tags', {'a': '1', 'b': '2'}, [(0, 2), (1, 3)])]))
        for metric, value in now.items():
            (at, got), = get(daemon, f'sum:{metric}', end='now')[1][0]['dps'].items()
            assert before <= int(at) <= time.time() and got == value, (metric, at, got)
        status = daemon.status()
        check_identity(status)
        rejected = sum(p['rejected'] for e in status['elements'] if e['name'] == 'graphite' for p in e['inputs'])
        same(rejected, 4 + 2)


main(the_frontends_body_with_filters, the_frontends_body_with_tags, end_is_now_when_absent, filters_and,
     several_metrics_in_one, the_backend_path, annotations_find_nothing, suggestions_and_lookups, aggregates_by_hand,
     downsampling_by_hand, rates_by_hand, time_forms, what_cannot_be_answered, paths_and_wrapping,
     puts_say_what_became_of_them, numbers_are_kept_exactly, names_are_any_utf8, bodies_of_every_shape,
     telnet_in_opentsdbs_words, graphite_as_it_is_sent)
