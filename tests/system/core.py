#!/usr/bin/env python3
"""The core on a real disk: states and windows through kill -9."""
import json
import os
import subprocess
import time

from harness import YARDER, Daemon, check_identity, free_port, main, wait_for, yarder

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
native :: Native(listen: "127.0.0.1:{native}")
graphite -> stream :: Log(stream: "core")
stream -> states :: State(fresh: 6s, summary: "silent") -> told :: Log(stream: "states")
stream -> window :: Window(every: 5s, grace: 20s) -> summed :: Log(stream: "windows")
'''


def daemon(folder):
    return Daemon(folder, TOPOLOGY, ports={'graphite': free_port(), 'native': free_port()})


def stamp(seconds):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


def append(d, records):
    """Durable when it returns."""
    lines = ''.join(json.dumps(r) + '\n' for r in records)
    done = subprocess.run([YARDER, 'log', 'append', 'core', '--records', '--at', f'127.0.0.1:{d.ports["native"]}'],
                          input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done


def cat(d, stream):
    done = yarder('log', 'cat', stream, '--json', '--data', d.data)
    return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []


def saved(d, element, part):
    with open(f'{d.data}/state/{element}.state', 'rb') as f:
        return part in f.read()


def told(d):
    return [(r['code'], r.get('transition', False), r.get('stale', False)) for r in cat(d, 'states') if r['name'] == 'db']


def transitions_before_states_and_one_stale_pair_over_kills(folder):
    """OK, CRITICAL, OK: three transitions, each before its state; silence: one stale pair, also over kill -9"""
    said = [('OK', True, False), ('OK', False, False), ('CRITICAL', True, False), ('CRITICAL', False, False),
            ('OK', True, False), ('OK', False, False)]
    d = daemon(folder).start()
    try:
        for code, text in (('OK', 'up'), ('CRITICAL', 'down'), ('OK', 'up again')):
            append(d, [{'time': stamp(time.time()), 'name': 'db', 'kind': 'STATE', 'code': code, 'value': text}])
        wait_for(lambda: told(d) == said, why='three transitions')
        wait_for(lambda: saved(d, 'states', b'up again'), why='the save')
        d.kill()
        d.start()
        stale = [('WARNING', True, True), ('WARNING', False, True)]
        wait_for(lambda: told(d) == said + stale, why='the stale pair')
        wait_for(lambda: saved(d, 'states', b'silent'), why='the save')
        d.kill()
        d.start()
        # Another name goes stale after the restart: by then this one would have been told again.
        append(d, [{'time': stamp(time.time()), 'name': 'web', 'kind': 'STATE', 'code': 'OK', 'value': 'up'}])
        wait_for(lambda: any(r['name'] == 'web' and r.get('stale') for r in cat(d, 'states')), why='the other silence')
        assert told(d) == said + stale, told(d)
        check_identity(d.status())
        d.stop()
    finally:
        d.kill()


def kills_in_the_middle_of_a_window_lose_and_double_nothing(folder):
    """2, 3 and 3 with a kill -9 after each, behind a Log: one 8"""
    d = daemon(folder).start()
    try:
        at = stamp(time.time() // 5 * 5)
        for number in (2, 3, 3):
            append(d, [{'time': at, 'name': 'hits', 'kind': 'TALLY', 'value': number}])
            d.kill()
            d.start()
        sums = wait_for(lambda: [r for r in cat(d, 'windows') if r['name'] == 'hits'], seconds=60, why='the window')
        assert [(r['value'], r['kind'], r['time']) for r in sums] == [(8, 'TALLY', at)], sums
        wait_for(lambda: not saved(d, 'window', b'hits'), why='the save')
        d.kill()
        d.start()
        # What comes for it now is late, and counted: the window is not told twice.
        append(d, [{'time': at, 'name': 'hits', 'kind': 'TALLY', 'value': 100}])
        late = wait_for(lambda: sum(p['dropped'] for p in d.element('window')['inputs']), why='the late record')
        assert late == 1, late
        assert len([r for r in cat(d, 'windows') if r['name'] == 'hits']) == 1
        check_identity(d.status())
        d.stop()
    finally:
        d.kill()


def a_name_is_told_where_it_would_go(folder):
    """yarder route: renamed by Relabel, through the door of Route that it matches, dropped where it ends"""
    path = folder + '/route.yd'
    with open(path, 'w') as f:
        f.write('graphite :: Graphite(listen: "127.0.0.1:1")\n'
                'names :: Relabel(rules: [{ match: "debug.*", drop: true }, { match: "site.*", tags: { dc: "eu" } }])\n'
                'doors :: Route(routes: ["* dc=eu", "cpu.*"])\n'
                'graphite -> names -> doors\ndoors.out0 -> Print()\ndoors.out1 -> Filter(match: "cpu.load") -> Null()\n')

    def route(name):
        steps = json.loads(yarder('route', path, name, '--json', check=0).stdout)
        return [(s['class'], s['name'], s['fate']) for s in steps]

    assert route('site.a host=x') == [('Graphite', 'site.a host=x', ''), ('Relabel', 'site.a dc=eu,host=x', ''),
                                      ('Route', 'site.a dc=eu,host=x', ''), ('Print', 'site.a dc=eu,host=x', '')]
    assert route('debug.x')[-1] == ('Relabel', 'debug.x', 'dropped')
    assert route('other')[-1] == ('Route', 'other', 'dropped')
    assert route('cpu.load')[-1][0] == 'Null'
    assert route('cpu.idle')[-1] == ('Filter', 'cpu.idle', 'dropped')
    text = yarder('route', path, 'site.a', check=0).stdout
    assert 'names (Relabel)  site.a dc=eu' in text, text
    yarder('route', path, 'a =b', check=2)


if __name__ == '__main__':
    assert os.path.exists(YARDER), YARDER
    main(transitions_before_states_and_one_stale_pair_over_kills,
         kills_in_the_middle_of_a_window_lose_and_double_nothing,
         a_name_is_told_where_it_would_go)
