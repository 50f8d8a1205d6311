#!/usr/bin/env python3
"""Three daemons, one stream: kill -9 of each under load, promotion, the old leader comes back; files byte for byte."""
import glob
import os
import re
import threading
import time

from harness import Daemon, free_port, main, wait_for, yarder

LEADER = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
native :: Native(listen: "127.0.0.1:{native}")
graphite -> metrics :: Log(stream: "metrics", segment: 1MiB, replicas: 1) -> nowhere :: Null()
'''
FOLLOWER = '''
native :: Native(listen: "127.0.0.1:{native}")
metrics :: Replica(from: "127.0.0.1:{leader}", stream: "metrics") -> nowhere :: Null()
'''


def node(folder, name, topology, ports):
    where = os.path.join(folder, name)
    os.makedirs(where, exist_ok=True)
    return Daemon(where, topology=topology, ports=ports, data=os.path.join(where, 'data'))


def stat(data):
    """Where the copy in this folder ends, durably."""
    out = yarder('log', 'stat', 'metrics', '--data', data, '--json').stdout
    return int(re.search(r'"durable":\s*(\d+)', out).group(1))


def end_of(data, name, count):
    """Where the copy in this folder ends, once all of a load is durable there: nothing comes behind it."""
    shown = yarder('log', 'cat', 'metrics', '--match', name + '.*', '--data', data, check=0).stdout
    return stat(data) if shown.count('\n') == count else 0


def load(daemon, name, count):
    text = ''.join(f'{name}.{i % 40} {i} 1700000000\n' for i in range(count))
    try:
        daemon.lines(text)
    except OSError:
        pass  # it was killed meanwhile


def same_files(one, other):
    """Sealed files are equal; returns how many were compared."""
    compared = 0
    for path in sorted(glob.glob(one + '/streams/metrics/0/*.ylog'))[:-1]:
        theirs = path.replace(one, other)
        if not os.path.exists(theirs):
            continue
        with open(path, 'rb') as a, open(theirs, 'rb') as b:
            assert a.read() == b.read(), f'{path} differs from {theirs}'
        compared += 1
    return compared


def longer_but_older(folder, data, ports, graphite, b, c):
    """The leader of the past is back and has not cut yet what it had alone: it has more records, of an older epoch."""
    b.kill()
    a = node(folder, 'a', FOLLOWER, {'native': ports['a'], 'leader': ports['b']})
    a.start()
    assert stat(data['a']) > stat(data['c']), 'it is not longer'
    at = {n: f'127.0.0.1:{port}' for n, port in ports.items()}
    a.stop()
    refused = yarder('log', 'promote', 'metrics', '--data', data['a'], '--peers', f'{at["b"]},{at["c"]}', '--without',
                     at['b'], check=1)
    assert 'is further' in refused.stderr, refused.stderr
    a.start()
    c.kill()
    yarder('log', 'promote', 'metrics', '--data', data['c'], '--peers', f'{at["a"]},{at["b"]}', '--without', at['b'],
           '--member', '2', check=0)
    c = node(folder, 'c', LEADER, {'graphite': graphite, 'native': ports['c']})
    c.start()
    a.stop()
    a = node(folder, 'a', FOLLOWER, {'native': ports['a'], 'leader': ports['c']})
    b = node(folder, 'b', FOLLOWER, {'native': ports['b'], 'leader': ports['c']})
    a.start()
    b.start()
    wait_for(lambda: stat(data['a']) == stat(data['c']) == stat(data['b']), why='cutting back to the third leader')
    return a, c, b


def kill_promote_and_come_back(folder):
    """Kill -9 of leader and followers under load; a follower is promoted, the old leader follows; all are alike"""
    ports = {n: free_port() for n in ('a', 'b', 'c')}
    graphite = free_port()
    a = node(folder, 'a', LEADER, {'graphite': graphite, 'native': ports['a']})
    b = node(folder, 'b', FOLLOWER, {'native': ports['b'], 'leader': ports['a']})
    c = node(folder, 'c', FOLLOWER, {'native': ports['c'], 'leader': ports['a']})
    data = {n: os.path.join(folder, n, 'data') for n in ('a', 'b', 'c')}
    for daemon in (a, b, c):
        daemon.start()
    for turn, victim in enumerate((b, c, a, b)):
        sender = threading.Thread(target=load, args=(a, f'load{turn}', 40000))
        sender.start()
        time.sleep(0.15)
        victim.kill()
        sender.join()
        victim.start()
    load(a, 'last', 20000)
    end = wait_for(lambda: end_of(data['a'], 'last', 20000), why='the last line being durable')
    wait_for(lambda: stat(data['a']) == stat(data['b']) == stat(data['c']) == end, why='catching up')
    assert same_files(data['a'], data['b']) > 0
    assert same_files(data['a'], data['c']) > 0

    # The leader goes on alone, and dies: what it has then nobody else has.
    b.stop()
    c.stop()
    load(a, 'alone', 20000)
    wait_for(lambda: stat(data['a']) == end + 20000, why='being ahead')
    a.kill()
    lost = f'127.0.0.1:{ports["a"]}'
    refused = yarder('log', 'promote', 'metrics', '--data', data['b'], '--peers', lost, check=1)
    assert '--without' in refused.stderr, refused.stderr
    yarder('log', 'promote', 'metrics', '--data', data['b'], '--peers', lost, '--without', lost, '--member', '1', check=0)
    b = node(folder, 'b', LEADER, {'graphite': graphite, 'native': ports['b']})
    b.start()
    c = node(folder, 'c', FOLLOWER, {'native': ports['c'], 'leader': ports['b']})
    c.start()
    load(b, 'short', 500)
    wait_for(lambda: stat(data['c']) == stat(data['b']) == end + 500, why='following the new leader')
    a, c, b = longer_but_older(folder, data, ports, graphite, b, c)
    load(c, 'new', 30000)
    wait_for(lambda: stat(data['a']) == stat(data['b']) == stat(data['c']) == end + 500 + 30000,
             why='catching up with the new leader')
    assert glob.glob(data['a'] + '/streams/metrics/0/quarantine/*'), 'what was cut was not kept'
    for daemon in (a, b, c):
        daemon.stop()
    assert same_files(data['b'], data['a']) > 0
    assert same_files(data['b'], data['c']) > 0
    yarder('log', 'verify', 'metrics', '--data', data['a'], check=0)


if __name__ == '__main__':
    main(kill_promote_and_come_back)
