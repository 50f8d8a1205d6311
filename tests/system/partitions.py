#!/usr/bin/env python3
"""Streams of several partitions, from a topology, a client and the command line: each record once, in the partition of
its name, in the name's order, whoever is killed.

partitions.py [ROUNDS]    kills; default 5
"""
import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from harness import Daemon, YARDER, check_identity, free_port, main, new_seed, wait_for, yarder

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
native :: Native(listen: "127.0.0.1:{native}", create: true)
graphite, tsdb -> metrics :: Log(stream: "metrics", partitions: 4, by: name) -> history :: History()
tsdb => history
metrics -[cursor: "copy"]-> Filter() -> copy :: Log(stream: "copy", partitions: 3)
'''


def daemon_in(folder, topology=TOPOLOGY):
    return Daemon(folder, topology, ports={name: free_port() for name in ('graphite', 'tsdb', 'native')})


def at(daemon):
    return ['--at', f'127.0.0.1:{daemon.ports["native"]}']


def cat(daemon, stream, *args):
    return yarder('log', 'cat', stream, '--data', daemon.data, *args, check=0).stdout


def read(daemon, stream, partitions):
    """{name: [values]} and {name: partition} of all partitions, read one by one."""
    values, where = {}, {}
    for partition in range(partitions):
        for line in cat(daemon, f'{stream}/{partition}', '--json').splitlines():
            record = json.loads(line)
            values.setdefault(record['name'], []).append(record['value'])
            assert where.setdefault(record['name'], partition) == partition, (record['name'], partition)
    return values, where


def durable(daemon, stream):
    listed = json.loads(yarder('log', 'ls', '--json', '--data', daemon.data, check=0).stdout)
    return {s['stream']: s['durable'] for s in listed if s['stream'].startswith(stream + '/')}


def killed_between(folder):
    """behind kill -9 nothing acknowledged is missing and nothing is there twice, also in a second log behind the first"""
    rng = random.Random(new_seed())
    daemon = daemon_in(folder).start()
    acknowledged, number = {}, 0
    for kill in range(rounds + 1):
        end = time.monotonic() + rng.uniform(0.1, 0.5)
        killer = threading.Timer(end - time.monotonic(), daemon.process.kill) if kill < rounds else None
        if killer:
            killer.start()
        while time.monotonic() < end or killer:
            points = [{'metric': f'm{(number + i) % 40}', 'timestamp': 1700000000 + number + i, 'value': number + i,
                       'tags': {'host': 'a'}} for i in range(rng.randrange(1, 60))]
            number += len(points)
            try:
                status, _ = daemon.http('/api/put?sync', points)
            except OSError:
                break  # not acknowledged: it may be there or not
            assert status == 204, status
            for point in points:
                acknowledged.setdefault(f'{point["metric"]} host=a', []).append(point['value'])
        if killer:
            killer.join()
            daemon.kill()
            daemon.start()
    wait_for(lambda: sum(durable(daemon, 'copy').values()) == sum(durable(daemon, 'metrics').values()),
             why='the second log has what the first has')
    # What a History took in at the start is everything, of each partition.
    name, points = next(iter(acknowledged.items()))

    def shown():
        answer = daemon.query(f'none:{name.split()[0]}{{host=a}}', start='1600000000')
        return {round(value) for series in answer if isinstance(answer, list) for value in series['dps'].values()}
    # It answers while it still takes in what came behind its last checkpoint.
    wait_for(lambda: set(points) <= shown(), why='all of it in the history')
    check_identity(daemon.status())
    daemon.stop()
    first, where = read(daemon, 'metrics', 4)
    second, _ = read(daemon, 'copy', 3)
    assert set(where.values()) == {0, 1, 2, 3}, where
    for name, values in first.items():
        assert values == sorted(set(values)), f'{name}: not in order, or doubled'
        missing = set(acknowledged.get(name, [])) - set(values)
        assert not missing, f'{name}: {len(missing)} acknowledged are missing'
    assert set(acknowledged) <= set(first)
    assert second == first, 'the second log differs'
    assert 'clean' in yarder('log', 'verify', 'metrics', 'copy', '--data', daemon.data, check=0).stdout


def one_hash(folder):
    """a name is in the same partition whether a topology, `log append` or the client library put it there"""
    names = [f'some.name.{i}' for i in range(100)]
    with daemon_in(folder) as daemon:
        daemon.lines(''.join(f'{name} 1 1700000000\n' for name in names))
        wait_for(lambda: sum(durable(daemon, 'metrics').values()) == 100, why='all are durable')
        yarder('log', 'create', 'made', '--partitions', '4', '--by', 'name', *at(daemon), check=0)
        given = ''.join(json.dumps({'name': name, 'value': 1}) + '\n' for name in names)
        for stream in ('made', 'metrics'):
            subprocess.run([YARDER, 'log', 'append', stream, '--records', *at(daemon)], input=given, text=True, check=True,
                           capture_output=True, timeout=120)
        _, by_client = read(daemon, 'made', 4)
        both, where = read(daemon, 'metrics', 4)  # fails by itself if a name is in two
        assert by_client == where and len(where) == 100, (by_client, where)
        assert all(len(values) == 2 for values in both.values()), both
        # To the name alone nobody appends by mistake.
        refused = yarder('log', 'repair', 'metrics', '--data', daemon.data, check=1)
        assert 'metrics has 4 partitions: name one, like metrics/0' in refused.stderr, refused.stderr
        daemon.stop()


def the_name_is_all_of_them(folder):
    """`log cat, tail, subscribe, dump, get, stat, ls, verify, cursors, tombstone NAME` are of all partitions"""
    with daemon_in(folder) as daemon:
        data = ['--data', daemon.data]
        tail = subprocess.Popen([YARDER, 'log', 'tail', 'metrics', '--from', 'oldest', '--count', '80', *data],
                                stdout=subprocess.PIPE, text=True)
        daemon.children.append(tail)
        for round_ in range(2):
            daemon.lines(''.join(f'n{i % 10} {i} 1700000000\n' for i in range(round_ * 40, round_ * 40 + 40)))
            wait_for(lambda: sum(durable(daemon, 'metrics').values()) == round_ * 40 + 40, why='all are durable')
        followed, _ = tail.communicate(timeout=120)
        printed = yarder('log', 'cat', 'metrics', *data, check=0).stdout
        assert sorted(followed.splitlines()) == sorted(printed.splitlines()) and len(printed.splitlines()) == 80, followed
        assert {line.split('/')[0] for line in printed.splitlines()} == {'0', '1', '2', '3'}, printed
        again = yarder('log', 'subscribe', 'metrics', '--cursor', 'mine', '--stop', *at(daemon), check=0).stdout
        assert sorted(again.splitlines()) == sorted(printed.splitlines()), again
        daemon.lines('n3 80 1700000000\n')
        more = wait_for(lambda: yarder('log', 'subscribe', 'metrics', '--cursor', 'mine', '--stop', '--json', *at(daemon),
                                       check=0).stdout, why='the new one comes')
        assert json.loads(more)['value'] == 80 and 'partition' in json.loads(more), more
        cursors = yarder('log', 'cursors', 'metrics', *at(daemon), check=0).stdout
        assert cursors.count('mine') == 4 and ' 3/' in cursors, cursors
        yarder('log', 'cursors', 'metrics', '--remove', 'mine', *at(daemon), check=0)
        assert 'mine' not in yarder('log', 'cursors', 'metrics', *at(daemon), check=0).stdout
        rows = list(csv.DictReader(io.StringIO(yarder('log', 'dump', 'metrics', '--format', 'csv', *data, check=0).stdout)))
        assert len(rows) == 81 and {row['partition'] for row in rows} == {'0', '1', '2', '3'}, rows[:3]
        got = yarder('log', 'get', 'metrics', '--key', 'n3', *data, check=0).stdout.splitlines()
        assert [int(line.split()[-1]) for line in got] == [*range(3, 81, 10), 80], got
        listed = yarder('log', 'ls', *data, check=0).stdout
        assert all(f'metrics/{i}' in listed for i in range(4)), listed
        stats = yarder('log', 'stat', 'metrics', *data, check=0).stdout
        assert all(f'metrics/{i}\n' in stats for i in range(4)), stats
        seqno = yarder('log', 'cat', 'metrics', '--from', '3', *data, check=2)
        assert 'a seqno is of one partition: name it, like metrics/0' in seqno.stderr, seqno.stderr
        assert '--from' in yarder('log', 'subscribe', 'metrics', '--from', '3', *at(daemon), check=2).stderr
        one = yarder('log', 'cat', 'metrics/2', '--from', '1', '--count', '1', *data, check=0).stdout
        assert one.startswith('1 '), one
        yarder('log', 'tombstone', 'metrics', '--match', 'n3', *data, *at(daemon), check=0)
        left = yarder('log', 'cat', 'metrics', '--match', 'n*', *data, check=0).stdout
        assert len(left.splitlines()) == 81 - 9, left
        daemon.stop()
        backup = os.path.join(folder, 'backup')
        yarder('log', 'backup', 'metrics', backup, *data, check=0)
        yarder('log', 'restore', backup, '--data', os.path.join(folder, 'restored'), check=0)
        assert yarder('log', 'cat', 'metrics', '--match', 'n*', '--data', os.path.join(folder, 'restored'),
                      check=0).stdout == left


def refusals(folder):
    """a topology that disagrees with the stream does not start, and says what to write"""
    with daemon_in(folder) as daemon:
        daemon.stop()
    wrong = daemon_in(folder, TOPOLOGY.replace('partitions: 4', 'partitions: 5'))
    try:
        wrong.start()
    except AssertionError as refused:
        assert 'stream metrics was made with 4 partitions, not 5' in str(refused), refused
        assert 'Write partitions: 4 or leave it out' in str(refused), refused
    else:
        raise AssertionError('it started')
    with daemon_in(folder, TOPOLOGY.replace(', partitions: 4, by: name', '')) as daemon:  # as it was made
        daemon.stop()


def retention(folder):
    """size: is of all partitions together, and each lets go of its own old segments"""
    topology = TOPOLOGY.split('tsdb =>')[0].replace(' -> history :: History()', '').replace(
        'by: name', 'by: name, size: 8MiB, segment: 1MiB, compress: 1ns')
    with daemon_in(folder, topology) as daemon:
        sent = 0

        def retired():
            nonlocal sent
            daemon.lines(''.join(f'r{i % 100} {i} 1700000000\n' for i in range(sent, sent + 50000)))
            sent += 50000
            listed = json.loads(yarder('log', 'ls', '--json', '--data', daemon.data, check=0).stdout)
            return all(s['first'] > 0 for s in listed)

        wait_for(retired, seconds=60, why='each partition lets go')
        wait_for(lambda: sum(durable(daemon, 'metrics').values()) == sent, why='all are durable')
        check_identity(daemon.status())
        daemon.stop()
    for line in cat(daemon, 'metrics').splitlines()[-1:]:
        assert line
    values, _ = read(daemon, 'metrics', 4)
    for name, seen in values.items():
        assert seen == list(range(seen[0], sent, 100)), name
    assert 'clean' in yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0).stdout


def replicas(folder):
    """each partition is followed by a Replica of its own; the copy becomes the stream, with the same partitions"""
    leader_folder, copy_folder = os.path.join(folder, 'leader'), os.path.join(folder, 'copy')
    os.mkdir(leader_folder)
    os.mkdir(copy_folder)
    topology = TOPOLOGY.split('tsdb =>')[0].replace(' -> history :: History()', '').replace('by: name',
                                                                                            'by: name, replicas: 1')
    with daemon_in(leader_folder, topology) as leader:
        followers = ''.join(f'r{i} :: Replica(from: "127.0.0.1:{leader.ports["native"]}", stream: "metrics", partition: {i}) '
                            '-> Null()\n' for i in range(4))
        with Daemon(copy_folder, followers, ports={}) as copy:
            leader.lines(''.join(f'n{i % 20} {i} 1700000000\n' for i in range(2000)))
            wait_for(lambda: sum(durable(copy, 'metrics').values()) == 2000, why='the copy has all')
            leader.process.send_signal(signal.SIGKILL)
            leader.process.wait()
            copy.stop()
    assert [cat(copy, f'metrics/{i}') for i in range(4)] == [cat(leader, f'metrics/{i}') for i in range(4)]
    for i in range(4):
        yarder('log', 'promote', f'metrics/{i}', '--data', copy.data, check=0)
    # The copy knows what it is: nothing needs to be said about its partitions.
    with daemon_in(copy_folder, topology.replace(', partitions: 4, by: name, replicas: 1', '')) as promoted:
        promoted.lines(''.join(f'n{i % 20} {i} 1700000000\n' for i in range(2000, 2100)))
        wait_for(lambda: sum(durable(promoted, 'metrics').values()) == 2100, why='it takes more')
        promoted.stop()
    values, where = read(promoted, 'metrics', 4)
    assert all(seen == list(range(seen[0], 2100, 20)) for seen in values.values()), values
    assert len(where) == 20


def one_replica_of_four(folder):
    """who follows one partition of several is told; `log follow NAME` follows them all"""
    leader_folder, copy_folder, other = (os.path.join(folder, name) for name in ('leader', 'copy', 'other'))
    for path in (leader_folder, copy_folder, other):
        os.mkdir(path)
    with daemon_in(leader_folder) as leader:
        leader.lines(''.join(f'n{i % 20} {i} 1700000000\n' for i in range(100)))
        wait_for(lambda: sum(durable(leader, 'metrics').values()) == 100, why='all are durable')
        follower = (f'r :: Replica(from: "127.0.0.1:{leader.ports["native"]}", stream: "metrics", partition: 1) -> Null()\n')
        with Daemon(copy_folder, follower, ports={}) as copy:
            wait_for(lambda: 'metrics has 4 partitions at its leader and 3 of them are not followed here' in copy.stderr(),
                     why='it is told')
            copy.stop()
        data = os.path.join(other, 'data')
        follow = subprocess.Popen([YARDER, 'log', 'follow', '--from', f'127.0.0.1:{leader.ports["native"]}', '--stream',
                                   'metrics', '--data', data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        leader.children.append(follow)

        def followed():
            listed = json.loads(yarder('log', 'ls', '--json', '--data', data).stdout or '[]')
            return sum(s['durable'] for s in listed) == 100 and len(listed) == 4

        wait_for(followed, why='all four are followed')
        follow.terminate()
        assert follow.wait(90) == 0
        assert yarder('log', 'cat', 'metrics', '--data', data, check=0).stdout == cat(leader, 'metrics')
        leader.stop()


if __name__ == '__main__':
    main(killed_between, one_hash, the_name_is_all_of_them, refusals, retention, replicas,
         one_replica_of_four)
