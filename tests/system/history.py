"""A history that lasts: blocks on disk, the stream as its write-ahead log."""
import glob
import os
import random
import subprocess
import threading
import time

from harness import Daemon, Skip, check_identity, main, wait_for, yarder

TOPOLOGY = '''
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
tsdb -> metrics :: Log(stream: "metrics") -> history :: History(checkpoint: %s)
tsdb => history
'''
ALONE = '''
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
tsdb -> history :: History()
tsdb => history
'''


def put(daemon, points):
    """points: (series, time, value). True when they are acknowledged."""
    body = [{'metric': 'm', 'timestamp': at, 'value': value, 'tags': {'i': str(i)}} for i, at, value in points]
    return daemon.http('/api/put?sync', body)[0] == 204


def answer(daemon, start, end):
    """{series: {time: value}} of all points."""
    groups = daemon.query('none:m{i=*}', start=start, end=end)
    return {int(g['tags']['i']): {int(t): v for t, v in g['dps'].items()} for g in groups if 'tags' in g} if isinstance(
        groups, list) else {}


def killed_anywhere_it_answers_as_a_model(folder):
    """killed at random moments, again and again: every acknowledged point is there, once, and no other"""
    rng = random.Random(int(os.environ.get('YD_TEST_SEED', '7')))
    daemon = Daemon(folder, topology=TOPOLOGY % '150ms')
    began = int(time.time()) - 3000
    model, maybe, number, wrong = {}, {}, 0, []
    try:
        for _ in range(8):
            daemon.start()

            def agrees():
                wrong.clear()
                got = answer(daemon, began - 10, began + 100_000)
                for i in set(model) | set(got):
                    for at in set(model.get(i, {})) | set(got.get(i, {})):
                        value = got.get(i, {}).get(at)
                        if value != model.get(i, {}).get(at) and value not in maybe.get((i, at), ()):
                            wrong.append((i, at - began, value, model.get(i, {}).get(at), maybe.get((i, at))))
                            return False
                return True
            try:
                wait_for(agrees, why='the answer of the model')
            except AssertionError as error:
                raise AssertionError(f'{error}: {wrong}, {number} puts')
            killer = threading.Timer(rng.uniform(0.05, 0.9), lambda: daemon.process.kill())
            killer.start()
            while daemon.process.poll() is None:
                number += 1
                points = [(rng.randrange(20), began + (number if rng.random() < 0.9 else rng.randrange(number)), number)
                          for _ in range(rng.randrange(1, 30))]
                try:
                    known = put(daemon, points)
                except OSError:
                    known = False
                for i, at, value in points:
                    if known:
                        model.setdefault(i, {})[at] = value
                    maybe.setdefault((i, at), set()).add(value)  # two of one time in one request: either
                    if not known:
                        maybe[(i, at)].add(None)
            killer.join()
            daemon.kill()
        daemon.start()
        wait_for(agrees, why='the answer of the model at the end')
        wait_for(lambda: glob.glob(daemon.data + '/history/history/*.block'), why='a block')
        check_identity(daemon.status())
        daemon.stop()
    finally:
        daemon.kill()


def a_stop_leaves_nothing_to_read_again(folder):
    """after a clean stop the next start reads nothing of the stream and answers at once"""
    now = int(time.time())
    daemon = Daemon(folder, topology=TOPOLOGY % '1h').start()
    try:
        assert put(daemon, [(i, now - 5, i) for i in range(500)])
        daemon.stop()
        daemon.start()
        got = answer(daemon, now - 100, now)
        assert got == {i: {now - 5: i} for i in range(500)}, got
        assert daemon.element('history')['inputs'][0]['received'] == 0, daemon.element('history')
        daemon.stop()
    finally:
        daemon.kill()


def a_damaged_block_costs_itself(folder):
    """flipped bytes in a block: the file is named, what is not in the damaged places is served"""
    now = int(time.time())
    daemon = Daemon(folder, topology=TOPOLOGY % '1h')
    try:
        for i in range(4):
            daemon.start()
            assert put(daemon, [(series, now - 100 + i, series * 10 + i) for series in range(50)])
            daemon.stop()
        blocks = sorted(glob.glob(daemon.data + '/history/history/*.block'))
        assert len(blocks) == 4, blocks
        with open(blocks[1], 'r+b') as f:  # a chunk
            f.seek(4096 + 40)
            byte = f.read(1)
            f.seek(4096 + 40)
            f.write(bytes([byte[0] ^ 0x40]))
        with open(blocks[2], 'r+b') as f:  # the header
            f.seek(33)
            f.write(b'?')
        report = yarder('log', 'verify', '--data', daemon.data, check=1).stdout
        assert '1 points of series' in report and os.path.basename(blocks[2]) in report, report
        daemon.start()
        got = answer(daemon, now - 200, now)
        for series in range(50):
            assert {now - 100, now - 97} <= set(got[series]), (series, got[series])
            assert now - 98 not in got[series], got[series]
        missing = [series for series in range(50) if now - 99 not in got[series]]
        assert len(missing) == 1, missing
        errors = wait_for(lambda: blocks[1] in (e := daemon.stderr()) and e, why='the chunk said')
        assert os.path.basename(blocks[2]) in errors and 'cannot be read' in errors, errors
        daemon.stop()
    finally:
        daemon.kill()


def a_full_disk_costs_nothing(folder):
    """the history's disk is full: it is said, answers go on, and when there is room the points get into blocks"""
    disk = folder + '/data/history'
    os.makedirs(disk)
    if os.geteuid() != 0 or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', disk],
                                           capture_output=True).returncode:
        raise Skip('mounting a small file system needs root')
    daemon = Daemon(folder, topology=TOPOLOGY % '100ms')
    now = int(time.time())
    try:
        daemon.start()
        assert put(daemon, [(i, now - 5, i) for i in range(3000)])
        wait_for(lambda: 'cannot write' in daemon.stderr(), why='the full disk said')
        assert len(answer(daemon, now - 100, now)) == 3000
        subprocess.run(['mount', '-o', 'remount,size=32m', disk], check=True)
        wait_for(lambda: glob.glob(disk + '/history/*.block'), why='a block')
        daemon.stop()
        daemon.start()
        assert answer(daemon, now - 100, now) == {i: {now - 5: i} for i in range(3000)}
        daemon.stop()
    finally:
        daemon.kill()
        subprocess.run(['umount', '-l', disk], capture_output=True)


def without_a_log_a_clean_stop_keeps_all(folder):
    """a history behind no log stores what it has when it is stopped"""
    now = int(time.time())
    daemon = Daemon(folder, topology=ALONE).start()
    try:
        body = [{'metric': 'm', 'timestamp': now - 10, 'value': i, 'tags': {'i': str(i)}} for i in range(300)]
        assert daemon.http('/api/put', body)[0] == 204
        wait_for(lambda: len(answer(daemon, now - 100, now)) == 300)
        daemon.stop()
        daemon.start()
        assert answer(daemon, now - 100, now) == {i: {now - 10: i} for i in range(300)}
        daemon.stop()
    finally:
        daemon.kill()


def a_small_memory_holds_more_than_it(folder):
    """with a megabyte of memory nothing is dropped: points go into blocks and come back in answers"""
    topology = (TOPOLOGY % '1h').replace('checkpoint: 1h', 'checkpoint: 1h, memory: 1MiB')
    topology = 'graphite :: Graphite(listen: "127.0.0.1:{graphite}")\ngraphite -> metrics\n' + topology
    daemon = Daemon(folder, topology=topology).start()
    began = int(time.time()) - 4000
    rng = random.Random(5)
    try:
        lines = ''.join(f'm;i={i} {rng.random()} {began + at}\n' for at in range(3000) for i in range(200))
        daemon.lines(lines)
        wait_for(lambda: daemon.element('history')['inputs'][0]['consumed'] == 600_000, seconds=200, why='the last line')
        (got,) = daemon.query('zimsum:1h-count:m', start=began - 7200, end=began + 7200)
        assert sum(got['dps'].values()) == 600_000, got
        wait_for(lambda: glob.glob(daemon.data + '/history/history/*.block'), why='a block')
        check_identity(daemon.status())
        daemon.stop()
    finally:
        daemon.kill()


main(killed_anywhere_it_answers_as_a_model, a_stop_leaves_nothing_to_read_again, a_damaged_block_costs_itself,
     a_full_disk_costs_nothing, without_a_log_a_clean_stop_keeps_all, a_small_memory_holds_more_than_it)
