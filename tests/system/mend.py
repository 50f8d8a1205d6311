#!/usr/bin/env python3
"""Damage and mending with the real program on real files. With an argument: every position (the long suite)."""
import csv
import glob
import io
import json
import os
import random
import shutil
import struct
import sys
import time

from harness import Daemon, free_port, main, new_seed, wait_for, yarder

EVERY = len(sys.argv) > 1
TOPOLOGY = '''
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
native :: Native(listen: "127.0.0.1:{native}")
tsdb -> metrics :: Log(stream: "metrics", segment: 1MiB) -> history :: History()
tsdb => history
metrics -[cursor: "archive", from: oldest]-> File(path: "archive.jsonl")
'''


def daemon_in(folder):
    return Daemon(folder, topology=TOPOLOGY, ports={'tsdb': free_port(), 'native': free_port()})


def put(daemon, first, count, pad=''):
    now = int(time.time())
    status, answer = daemon.http('/api/put?sync', [
        {'metric': 'm', 'timestamp': now, 'value': i, 'tags': {'i': str(i), **({'pad': pad} if pad else {})}}
        for i in range(first, first + count)])
    assert status == 204, (status, answer)


def stream(data):
    return data + '/streams/metrics/0'


def small(folder, batches=8):
    """A stopped stream of a few batches, and a copy of its folder."""
    daemon = daemon_in(folder).start()
    try:
        for i in range(batches):
            put(daemon, i * 5, 5)
        wait_for(lambda: len(daemon.query('zimsum:m{i=*}')) == batches * 5)
        daemon.stop()
    finally:
        daemon.kill()
    copy = folder + '/copy'
    shutil.copytree(stream(daemon.data), copy)
    return daemon, copy


def cat(data, *more, check=0):
    done = yarder('log', 'cat', 'metrics', '--data', data, '--json', *more, check=check)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def same(one, other):
    with open(one, 'rb') as a, open(other, 'rb') as b:
        return a.read() == b.read()


def verify(data):
    done = yarder('log', 'verify', '--data', data, '--json')
    return done.returncode, json.loads(done.stdout)


def used(path):
    """Where its frames end."""
    with open(path, 'rb') as f:
        data = f.read()
    at = struct.unpack_from('<I', data, 44)[0]
    while data[at:at + 4] == b'\x01YDB':
        at += struct.unpack_from('<I', data, at + 8)[0]
    return at, data


def every_flipped_byte_is_found_and_comes_back(folder):
    """flipped bits of the small stream's files: found, neighbours served, the gap told, back byte for byte"""
    daemon, copy = small(folder)
    path = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[0]
    good = copy + '/' + os.path.basename(path)
    end, data = used(path)
    before, _ = cat(daemon.data)
    positions = range(end) if EVERY else [*range(0, 320, 37), *range(4096, end, 389)]
    for at in positions:
        if 400 < at < 4096 and at % 64:
            continue
        with open(path, 'r+b') as f:
            f.seek(at)
            f.write(bytes([data[at] ^ 1 << at % 8]))
        code, report = verify(daemon.data)
        assert code == 1 and report['faults'], (at, report)
        after, told = cat(daemon.data)
        assert len(after) >= len(before) - 5 and all(r in before for r in after), at
        assert len(after) == len(before) or 'gap' in told, (at, told)
        yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', copy, check=0)
        assert same(path, good), at
    assert verify(daemon.data)[0] == 0


def truncations_and_missing_files_come_back(folder):
    """cut anywhere, or gone: told, what is there is served, back from a copy"""
    daemon, copy = small(folder)
    path = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[0]
    end, data = used(path)
    before, _ = cat(daemon.data)
    for size in range(0, end, 64 if EVERY else 777):
        with open(path, 'r+b') as f:
            f.truncate(size)
        assert verify(daemon.data)[0] == 1, size
        assert all(r in before for r in cat(daemon.data)[0]), size
        yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', copy, check=0)
        with open(path, 'rb') as f:
            assert f.read()[:end] == data[:end], size
    os.unlink(path)
    assert verify(daemon.data)[0] == 1
    yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', copy, check=0)
    assert cat(daemon.data)[0] == before
    assert verify(daemon.data)[0] == 0


def a_daemon_opens_whatever_is_damaged(folder):
    """control page, cursor, index and head damaged at random: the daemon starts or says the file; nothing is invented"""
    daemon, copy = small(folder)
    before, _ = cat(daemon.data)
    rng = random.Random(new_seed())
    for _ in range(40 if EVERY else 6):
        shutil.rmtree(stream(daemon.data))
        shutil.copytree(copy, stream(daemon.data))
        files = [f for f in glob.glob(stream(daemon.data) + '/**', recursive=True) if os.path.isfile(f)]
        victim = rng.choice(files)
        size = max(1, min(os.path.getsize(victim), 16384))
        with open(victim, 'r+b') as f:
            f.seek(rng.randrange(size))
            f.write(rng.randbytes(rng.choice((1, 16, 600))))
        daemon.process = None
        try:
            daemon.start()
            daemon.stop()
            assert all(r in before for r in cat(daemon.data)[0]), victim
        except AssertionError:
            daemon.kill()
            assert os.path.basename(victim) in daemon.stderr() or 'cursor' in daemon.stderr(), (victim, daemon.stderr())
        finally:
            daemon.kill()


def a_live_stream_is_repaired_but_its_last_segment(folder):
    """of a stream that is being written, sealed segments come back from a backup; the last one is left alone"""
    daemon = daemon_in(folder).start()
    try:
        for i in range(40):
            put(daemon, i * 400, 400, 'x' * 120)
        wait_for(lambda: len(glob.glob(stream(daemon.data) + '/*.ylog')) >= 3, why='a third segment')
        first, second = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[:2]
        wait_for(lambda: open(first, 'rb').read()[-256:-252] == b'YDFT', why='sealing')
        backup = folder + '/backup'
        yarder('log', 'backup', '--all', backup, '--data', daemon.data, check=0)
        with open(first, 'r+b') as f:
            f.seek(9000)
            f.write(b'damage')
        failed = yarder('log', 'verify', 'metrics', '--data', daemon.data, check=1)
        assert 'repair' in failed.stdout and os.path.basename(first) in failed.stdout, failed.stdout
        dry = yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', backup + '/streams/metrics/0',
                     '--dry-run', check=0)
        assert 'would be mended' in dry.stdout, dry.stdout
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=1)
        yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', backup + '/streams/metrics/0', check=0)
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
        assert same(first, backup + '/streams/metrics/0/' + os.path.basename(first))
        assert glob.glob(stream(daemon.data) + '/quarantine/*replaced*')
        put(daemon, 16000, 10)
        daemon.stop()
    finally:
        daemon.kill()


def a_replica_mends_what_is_damaged(folder):
    """another daemon that has the same batches mends a damaged one by the native protocol"""
    daemon, copy = small(folder)
    os.makedirs(folder + '/second')
    second = daemon_in(folder + '/second')
    os.makedirs(os.path.dirname(stream(second.data)))
    shutil.copytree(copy, stream(second.data))
    path = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[0]
    second.start()
    try:
        with open(path, 'r+b') as f:
            f.seek(4096 + 200)
            f.write(b'damage')
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=1)
        yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-replica',
               f'127.0.0.1:{second.ports["native"]}', check=0)
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
        assert same(path, copy + '/' + os.path.basename(path))
        second.stop()
    finally:
        second.kill()


def a_backup_while_running_restores(folder):
    """backup of a running daemon, twice; restored elsewhere: verified, the same records, and a daemon goes on from it"""
    daemon = daemon_in(folder).start()
    backup = folder + '/backup'
    try:
        for i in range(5):
            put(daemon, i * 10, 10)
        yarder('log', 'backup', '--all', backup, '--data', daemon.data, check=0)
        for i in range(5, 10):
            put(daemon, i * 10, 10)
        yarder('log', 'backup', 'metrics', backup, '--data', daemon.data, check=0)
        put(daemon, 100, 10)
        daemon.stop()
    finally:
        daemon.kill()
    restored = folder + '/restored'
    if os.path.exists(daemon.data + '/streams/metrics/stream.json'):
        assert os.path.exists(backup + '/streams/metrics/stream.json')
    yarder('log', 'restore', backup, '--data', restored, check=0)
    yarder('log', 'verify', '--data', restored, check=0)
    assert cat(restored)[0] == cat(daemon.data)[0][:100]
    assert 'already' in yarder('log', 'restore', backup, '--data', restored, check=1).stderr
    segment = sorted(glob.glob(backup + '/streams/metrics/0/*.ylog'))[0]
    with open(segment, 'r+b') as f:
        f.seek(5000)
        f.write(b'x')
    assert 'damaged' in yarder('log', 'restore', backup, '--data', folder + '/other', check=1).stderr
    assert not os.path.exists(stream(folder + '/other'))
    again = Daemon(folder, topology=TOPOLOGY, ports=daemon.ports, data=restored).start()
    try:
        wait_for(lambda: len(again.query('zimsum:m{i=*}')) == 100)
        put(again, 200, 10)
        again.stop()
    finally:
        again.kill()


def a_file_is_salvaged(folder):
    """good batches out of a segment inside an image of something else, dumped and as a new stream"""
    daemon, copy = small(folder)
    path = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[0]
    end, data = used(path)
    image = bytearray(b'any old disk' * 1000 + data[:end] + os.urandom(5000))
    image[12000 + 4096 + 150] ^= 4
    with open(folder + '/image', 'wb') as f:
        f.write(image)
    dumped = yarder('log', 'salvage', folder + '/image', '--dump', check=0)
    records = [json.loads(line) for line in dumped.stdout.splitlines()]
    before, _ = cat(daemon.data)
    assert len(records) == len(before) - 5 and all(r in before for r in records), dumped.stderr
    assert 'no good batch' in dumped.stderr
    yarder('log', 'salvage', folder + '/image', '--out', folder + '/out/0', check=0)
    made = yarder('log', 'cat', folder + '/out/0', '--json', check=0)
    assert [json.loads(line) for line in made.stdout.splitlines()] == records
    yarder('log', 'salvage', __file__, check=1)


def a_tombstone_hides_and_says_that_it_does_not_erase(folder):
    """a tombstone hides from cat, dump and get, stopped and live; --forgotten shows; nothing else is hidden"""
    daemon, copy = small(folder)
    before, _ = cat(daemon.data)
    said = yarder('log', 'tombstone', 'metrics', '--match', 'm i=3', '--reason', 'asked for', '--data', daemon.data, check=0)
    assert 'retention' in said.stdout
    after, _ = cat(daemon.data)
    assert [r for r in before if r['name'] != 'm i=3'] == [r for r in after if r['name'] != 'yarder.tombstone']
    assert any(r['name'] == 'm i=3' for r in cat(daemon.data, '--forgotten')[0])
    assert not yarder('log', 'get', 'metrics', '--key', 'm i=3', '--data', daemon.data, check=0).stdout
    assert yarder('log', 'get', 'metrics', '--key', 'm i=3', '--forgotten', '--data', daemon.data, check=0).stdout
    assert 'm i=3,' not in yarder('log', 'dump', 'metrics', '--format', 'csv', '--data', daemon.data, check=0).stdout
    daemon.process = None
    daemon.start()
    try:
        at = f'127.0.0.1:{daemon.ports["native"]}'
        yarder('log', 'tombstone', 'metrics', '--match', 'm i=4', '--at', at, '--data', daemon.data, check=0)
        assert not any(r['name'] in ('m i=3', 'm i=4') for r in cat(daemon.data)[0])
        put(daemon, 4, 1)  # later than the tombstone
        assert [r['value'] for r in cat(daemon.data)[0] if r['name'] == 'm i=4'] == [4]
        daemon.stop()
    finally:
        daemon.kill()
    yarder('log', 'tombstone', 'metrics', '--data', daemon.data, check=2)
    yarder('log', 'verify', '--data', daemon.data, check=0)


def subscribe(at, *more):
    done = yarder('log', 'subscribe', 'metrics', '--at', at, '--from', 'oldest', '--stop', '--json', *more, check=0)
    assert not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f.read().splitlines()]


def a_tombstone_holds_for_subscribers_and_wires_after_a_restart(folder):
    """a remote subscriber and a new wire are not given what is covered, live and after a restart; --forgotten gives all"""
    daemon, copy = small(folder)
    at = f'127.0.0.1:{daemon.ports["native"]}'
    daemon.process = None
    daemon.start()
    try:
        yarder('log', 'tombstone', 'metrics', '--match', 'm i=4', '--at', at, '--data', daemon.data, check=0)
        put(daemon, 4, 1)  # later than the tombstone
        all_of_it = cat(daemon.data, '--forgotten')[0]
        for turn in range(2):
            shown = cat(daemon.data)[0]
            assert len(shown) == len(all_of_it) - 1, (len(shown), len(all_of_it))
            assert subscribe(at) == shown
            assert subscribe(at, '--forgotten') == all_of_it
            assert [r['value'] for r in subscribe(at, '--match', 'm i=4')] == [4]
            assert [r['seqno'] for r in subscribe(at, '--match', 'm i=4', '--forgotten')] == [4, 41]
            if turn == 0:
                daemon.stop()
                with open(daemon.file, 'a') as f:
                    f.write('metrics -[cursor: "late", from: oldest]-> late :: File(path: "late.jsonl")\n')
                daemon.process = None
                daemon.start()
        wait_for(lambda: os.path.exists(folder + '/late.jsonl') and len(lines(folder + '/late.jsonl')) == len(shown))
        assert [r['name'] for r in lines(folder + '/late.jsonl')] == [r['name'] for r in shown]
        late = lambda: [w['forgotten'] for w in daemon.status()['wires'] if 'late' in str(w['to'])]
        wait_for(lambda: late() == [1], why='the count of the wire')
        daemon.stop()
    finally:
        daemon.kill()


def a_tombstone_with_a_time_reaches_the_history_and_stays(folder):
    """before its time the history has nothing of what it names, after kill -9 and a restart neither; what is put later counts"""
    daemon = daemon_in(folder).start()
    at = f'127.0.0.1:{daemon.ports["native"]}'
    began = int(time.time()) - 1000

    def points(i, times):
        body = [{'metric': 'h', 'timestamp': t, 'value': t - began, 'tags': {'i': str(i)}} for t in times]
        assert daemon.http('/api/put?sync', body)[0] == 204  # durable in the history: in a block

    def seen(i):
        groups = daemon.query('none:h{i=*}', start=began - 100, end=began + 2000)
        return sorted(v for g in groups if g['tags']['i'] == str(i) for v in g['dps'].values())

    try:
        points(1, range(began, began + 100))
        points(2, range(began, began + 100))
        until = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(began + 60))
        yarder('log', 'tombstone', 'metrics', '--match', 'h i=1', '--until', until, '--at', at, '--data', daemon.data, check=0)
        wait_for(lambda: seen(1) == list(range(60, 100)), why='forgetting')
        assert seen(2) == list(range(100))
        points(1, [began + 5])  # older, and later: it counts
        daemon.process.kill()
        daemon.process.wait()
        for turn in range(2):
            daemon.process = None
            daemon.start()
            wait_for(lambda: seen(1) == [5] + list(range(60, 100)), why='the same after a restart')
            assert seen(2) == list(range(100))
            daemon.stop()
    finally:
        daemon.kill()


def a_dump_is_what_is_there(folder):
    """JSON lines, CSV with a header line, headers with every field, hex with notes; of a stream or a file"""
    daemon, copy = small(folder)
    before, _ = cat(daemon.data)
    dump = lambda *args: yarder('log', 'dump', *args, '--data', daemon.data, check=0).stdout
    assert [json.loads(line) for line in dump('metrics').splitlines()] == before
    rows = list(csv.DictReader(io.StringIO(dump('metrics', '--format', 'csv', '--from', '5', '--until', '15'))))
    assert [(int(r['seqno']), r['name'], float(r['value'])) for r in rows] == \
        [(r['seqno'], r['name'], r['value']) for r in before[5:15]]
    batches = [json.loads(line) for line in dump('metrics', '--what', 'batches').splitlines()]
    assert sum(b['count'] for b in batches) == len(before) and batches[0]['offset'] == 4096, batches[0]
    table = list(csv.DictReader(io.StringIO(dump('metrics', '--what', 'batches', '--format', 'csv'))))
    assert [{k: int(v) for k, v in row.items()} for row in table] == batches
    path = sorted(glob.glob(stream(daemon.data) + '/*.ylog'))[0]
    text = dump('--segment', path, '--what', 'hex')
    raw = b''.join(bytes.fromhex(line[12:59]) for line in text.splitlines() if not line.startswith('#'))
    end, data = used(path)
    assert raw == data[4096:end]
    yarder('log', 'dump', 'metrics', '--what', 'nothing', '--data', daemon.data, check=2)


def the_whole_folder_is_verified(folder):
    """verify without a stream: streams, cursors and saved states; each damage is told with its place and what helps"""
    daemon, copy = small(folder)
    code, report = verify(daemon.data)
    assert code == 0 and report['clean'] and report['streams'] == 1 and report['cursors'] >= 1, report
    for cursor in glob.glob(stream(daemon.data) + '/cursors/*'):
        with open(cursor, 'r+b') as f:
            f.seek(20)
            f.write(b'\xff')
    code, report = verify(daemon.data)
    assert code == 1 and 'cursors/' in report['faults'][0]['file'] and report['faults'][0]['advice'], report
    yarder('log', 'repair', 'metrics', '--data', daemon.data, '--from-dir', copy, check=0)
    assert verify(daemon.data)[0] == 0
    yarder('log', 'verify', '--data', folder + '/nothing', check=1)
    os.unlink(stream(daemon.data) + '/control')
    code, report = verify(daemon.data)
    assert code == 1 and report['faults'][0]['file'] == 'control' and 'anew' in report['faults'][0]['advice'], report
    assert 'later: the control page' in yarder('log', 'repair', 'metrics', '--data', daemon.data, check=1).stdout
    daemon.process = None
    daemon.start()
    daemon.stop()
    assert verify(daemon.data)[0] == 0
    listed = yarder('log', 'ls', '--data', daemon.data, check=0).stdout
    assert 'CURSORS: LAG' in listed and '2: ' in listed, listed


main(every_flipped_byte_is_found_and_comes_back, truncations_and_missing_files_come_back,
     a_daemon_opens_whatever_is_damaged, a_live_stream_is_repaired_but_its_last_segment, a_replica_mends_what_is_damaged,
     a_backup_while_running_restores, a_file_is_salvaged, a_tombstone_hides_and_says_that_it_does_not_erase,
     a_tombstone_holds_for_subscribers_and_wires_after_a_restart,
     a_tombstone_with_a_time_reaches_the_history_and_stays,
     a_dump_is_what_is_there, the_whole_folder_is_verified)
