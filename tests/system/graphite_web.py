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


def what_never_changes(folder):
    """/version and /events/get_data; other paths and methods are refused as before"""
    with Daemon(folder) as daemon:
        same(daemon.http('/version'), (200, '1.1.10'))
        same(daemon.http('/events/get_data?from=-1h&until=now&tags=deploy'), (200, []))
        status, answer = daemon.http('/metrics')
        assert status == 404 and answer['error']['code'] == 404, answer
        assert daemon.http('/version', method='DELETE')[0] == 405


main(the_tree_of_names, patterns_expand, tags_and_their_values, what_never_changes)
