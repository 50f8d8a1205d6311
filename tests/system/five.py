#!/usr/bin/env python3
"""One stream, five ways of reading it at once, and everything that can happen to it meanwhile."""
import glob
import json
import os
import subprocess
import sys
import threading
import time

from harness import Daemon, ROOT, YARDER, free_port, main, wait_for, yarder

TAIL = os.environ.get('EXAMPLE_TAIL', os.path.join(ROOT, 'build/release/tests/unit/client/example_tail'))
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
LINES = 30000

LEADER = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> metrics :: Log(stream: "metrics", segment: 1MiB, compress: 1ns)
native :: Native(listen: "127.0.0.1:{native}")
'''
FOLLOWER = '''
native :: Native(listen: "127.0.0.1:{own}")
copy :: Replica(from: "127.0.0.1:{native}", stream: "metrics") -> Null()
'''


class Output:
    """A program whose standard output goes to a file."""

    def __init__(self, folder, name, command, env=None):
        self.name, self.path, self.command, self.env = name, os.path.join(folder, name), command, env
        self.out, self.err = open(self.path, 'wb'), open(self.path + '.err', 'wb')
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.err, env=env)

    def size(self):
        if self.process.poll() is not None:
            raise AssertionError(f'{self.name} has ended: {open(self.path + ".err").read()[-2000:]}')
        return os.path.getsize(self.path)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()


def feed(daemon, round_):
    now = int(time.time())
    text = ''.join(f'five.m{i % 97};round={round_};host=h{i % 500} {i}.{i % 10} {now}\n' for i in range(LINES))
    try:
        daemon.lines(text)
    except OSError:
        pass  # it was killed in the middle


def five_readers_see_the_same_bytes(folder):
    """the C example, the Python reader, log tail, a subscriber and a replica are byte-equal while segments roll and compress and daemons are killed"""
    ports = {'graphite': free_port(), 'native': free_port(), 'own': free_port(), 'tsdb': 0}
    os.makedirs(folder + '/leader')
    os.makedirs(folder + '/follower')
    leader = Daemon(folder + '/leader', LEADER, ports=ports).start()
    follower = Daemon(folder + '/follower', FOLLOWER, ports=ports).start()
    stream, copy = leader.data + '/streams/metrics/0', follower.data + '/streams/metrics/0'
    feed(leader, 0)
    wait_for(lambda: os.path.exists(copy + '/control'), why='the replica')
    python = {**os.environ, 'PYTHONPATH': os.path.join(ROOT, 'python')}
    outputs = [
        Output(folder, 'c', [TAIL, stream, 'all']),
        Output(folder, 'python', [sys.executable, '-m', 'yarder.log', 'tail', stream, '--from', 'oldest'], python),
        Output(folder, 'tail', [YARDER, 'log', 'tail', 'metrics', '--from', 'oldest', '--json', '--data', leader.data]),
        Output(folder, 'subscriber', [YARDER, 'log', 'subscribe', 'metrics', '--from', 'oldest', '--json', '--at',
                                      f'127.0.0.1:{ports["native"]}']),
        Output(folder, 'replica', [YARDER, 'log', 'tail', 'metrics', '--from', 'oldest', '--json', '--data',
                                   follower.data]),
    ]
    sizes = lambda: [output.size() for output in outputs]
    try:
        # All are there before anything happens: who asks a daemon for the first time while it is killed is told so.
        wait_for(lambda: all(sizes()), why='that each of the five reads')
        for round_ in range(1, ROUNDS + 1):
            feeding = threading.Thread(target=feed, args=(leader, round_))
            feeding.start()
            time.sleep(0.05 * round_)
            if round_ % 2:
                leader.kill()
                feeding.join()
                leader.start()
            else:
                follower.kill()
                feeding.join()
                follower.start()
        feed(leader, ROUNDS + 1)
        durable = wait_for(lambda: settled(leader.data), why='the last line on the disk')
        want = len(yarder('log', 'cat', 'metrics', '--json', '--data', leader.data, check=0, timeout=120).stdout.encode())
        try:
            wait_for(lambda: all(size >= want for size in sizes()), seconds=150, why=f'{want} bytes from each')
        except AssertionError as error:
            raise AssertionError(f'{error}: {dict(zip((o.name for o in outputs), sizes()))}') from None
        wait_for(lambda: glob.glob(stream + '/*.yzst') and glob.glob(copy + '/*.ylog'), why='twins')
        contents = [open(output.path, 'rb').read() for output in outputs]
        for output, content in zip(outputs, contents):
            assert content == contents[0], f'{output.name} differs from {outputs[0].name}: {place(content, contents[0])}'
        assert contents[0].count(b'\n') == durable, (contents[0].count(b'\n'), durable)
        assert len(glob.glob(stream + '/0*.y*')) >= 4, os.listdir(stream)
        for path in glob.glob(copy + '/*.ylog'):  # what both have whole is the same file
            other = stream + '/' + os.path.basename(path)
            if os.path.exists(other) and os.path.getsize(other) == os.path.getsize(path):
                assert open(path, 'rb').read() == open(other, 'rb').read(), path
    finally:
        for output in outputs:
            output.end()
        follower.kill()
        leader.kill()
    yarder('log', 'verify', 'metrics', '--data', leader.data, check=0)
    yarder('log', 'verify', 'metrics', '--data', follower.data, check=0)


def settled(data):
    """How many records are durable, once those of the last round are: nothing comes behind them."""
    last = yarder('log', 'cat', 'metrics', '--match', f'* round={ROUNDS + 1}', '--data', data, check=0).stdout
    stat = json.loads(yarder('log', 'stat', 'metrics', '--json', '--data', data, check=0).stdout)['stat']
    return stat['durable'] - stat['first'] if last.count('\n') == LINES else 0


def place(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f'at byte {at}: {a[max(at - 80, 0):at + 80]!r} and {b[max(at - 80, 0):at + 80]!r}'


if __name__ == '__main__':
    sys.argv = sys.argv[:1]
    main(five_readers_see_the_same_bytes)
