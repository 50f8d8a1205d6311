#!/usr/bin/env python3
"""logpeers: our log beside JetStream, Redis Streams and SQLite: publish, end to end, replay; same payloads, one machine.

Ours twice: in this process (beside SQLite), and a daemon over loopback TCP with the client library (beside the servers).
Each figure is the median of ROUNDS fresh runs, all sides taking turns. Peers come from Debian, unpacked below build/.

    logpeers.py [--sizes 100,1024,65536] [--rounds 3] [--scale 1.0] [--json]
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get('BUILD', 'build/release'))
PEERS = os.path.join(ROOT, 'build/peers')
LIBRARIES = ['liblzf1', 'libjemalloc2', 'libsqlite3-0', 'libhiredis0.14']
DURABILITY = {
    'yarder in process': 'every acknowledged message synced (fdatasync)',
    'yarder server': 'every acknowledged message synced (fdatasync)',
    'JetStream': 'file store; acknowledged before any sync (it syncs every two minutes)',
    'Redis always': 'appendfsync always: synced before the answer',
    'Redis everysec': 'appendfsync everysec: up to a second is lost',
    'SQLite': 'WAL, synchronous=FULL: each transaction synced; batch: 1,000 a transaction',
}
# messages of a run, by mode and size
COUNTS = {
    'single': {100: 3000, 1024: 3000, 65536: 1000},
    'pipelined': {100: 300000, 1024: 100000, 65536: 4000},
    'batch': {100: 1000000, 1024: 200000, 65536: 4000},
    'latency': {100: 2000, 1024: 2000, 65536: 500},
    'replay': {},  # what batch (or pipelined) has left
}


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def library_path():
    return ':'.join(os.path.join(PEERS, name, 'usr/lib', os.uname().machine + '-linux-gnu') for name in LIBRARIES)


def wait_port(port):
    for _ in range(500):
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit('logpeers: a server did not start')


def cpu(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Side:
    """One fresh instance: a server, or nothing but a folder."""
    command = None
    modes = ('single', 'pipelined', 'batch', 'latency', 'replay')

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='logpeers-', dir=os.path.join(ROOT, 'build'))
        self.port = free_port()
        self.process = None
        command = self.server()
        if command:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir,
                                            env={**os.environ, 'LD_LIBRARY_PATH': library_path()})
            wait_port(self.port)
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def server(self):
        return None

    def run(self, mode, size, count):
        before = cpu(self.process.pid) if self.process else 0
        done = subprocess.run([*self.client(), '--mode', mode, '--size', str(size), '--count', str(count), *self.more()],
                              capture_output=True, text=True, timeout=600,
                              env={**os.environ, 'LD_LIBRARY_PATH': library_path()})
        if done.returncode:
            raise SystemExit(f'logpeers: {self.name}, {mode}: {done.stderr.strip()}')
        result = json.loads(done.stdout.strip().splitlines()[-1])
        if 'per_s' not in result:
            result['per_s'] = result.get('msgs_per_s', 0)
        result['server_cpu_s'] = cpu(self.process.pid) - before if self.process else None
        return result

    def more(self):
        return []


class OursInProcess(Side):
    name = 'yarder in process'

    def client(self):
        return [f'{BUILD}/bench/bench-logrun', self.dir + '/stream']


class OursServer(Side):
    name = 'yarder server'

    def server(self):
        with open(self.dir + '/bench.yd', 'w') as f:
            f.write(f'native :: Native(listen: "127.0.0.1:{self.port}", create: true)\n')
        return [f'{BUILD}/yarder', 'run', self.dir + '/bench.yd', '--data', self.dir + '/data']

    def client(self):
        return [f'{BUILD}/bench/bench-client', '--address', f'127.0.0.1:{self.port}']

    def more(self):
        return ['--json']


class JetStream(Side):
    name = 'JetStream'
    modes = ('single', 'pipelined', 'latency', 'replay')

    def server(self):
        return [f'{PEERS}/nats-server/usr/sbin/nats-server', '-js', '-sd', self.dir + '/store', '-a', '127.0.0.1', '-p',
                str(self.port)]

    def client(self):
        return [f'{BUILD}/bench/bench-logpeer', 'nats', '127.0.0.1', str(self.port)]


class Redis(Side):
    fsync = 'always'
    name = 'Redis always'

    def server(self):
        # One program by several names: which it is, its name says.
        link = self.dir + '/redis-server'
        os.symlink(f'{PEERS}/redis-tools/usr/bin/redis-check-rdb', link)
        return [link, '--port', str(self.port), '--bind', '127.0.0.1', '--dir', self.dir, '--appendonly', 'yes',
                '--appendfsync', self.fsync, '--save', '']

    def client(self):
        return [f'{BUILD}/bench/bench-logpeer', 'redis', '127.0.0.1', str(self.port)]


class RedisEverysec(Redis):
    fsync = 'everysec'
    name = 'Redis everysec'


class SQLite(Side):
    name = 'SQLite'
    modes = ('single', 'batch', 'replay')

    def client(self):
        return [f'{BUILD}/bench/bench-logpeer', 'sqlite', self.dir + '/log.db']


SIDES = (OursInProcess, SQLite, OursServer, JetStream, Redis, RedisEverysec)


def measure(options):
    results = {}
    for _ in range(options.rounds):
        for size in options.sizes:
            for side_class in SIDES:
                for mode in ('single', 'pipelined', 'batch', 'latency'):
                    if mode not in side_class.modes:
                        continue
                    count = max(int(COUNTS[mode][size] * options.scale), 200)
                    with side_class() as side:  # fresh: no mode pays for what another has left
                        results.setdefault((size, mode, side.name), []).append(side.run(mode, size, count))
                        last = 'batch' if 'batch' in side.modes else 'pipelined'
                        if mode == last:
                            side.run('replay', size, count)  # once, so that all of them read a warm cache
                            results.setdefault((size, 'replay', side.name), []).append(side.run('replay', size, count))
                    print('.', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sizes', default='100,1024,65536', type=lambda text: [int(part) for part in text.split(',')])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--scale', type=float, default=1.0, help='times as many messages')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    for package in ['nats-server', 'redis-tools', *LIBRARIES]:
        code = subprocess.run([f'{ROOT}/tools/peer', package], stdout=subprocess.DEVNULL).returncode
        if code:
            return code
    results = measure(options)
    rows = []
    for (size, mode, name), runs in results.items():
        rates = [run['per_s'] for run in runs]
        row = {'size': size, 'mode': mode, 'side': name, 'per_s': statistics.median(rates),
               'spread': (max(rates) - min(rates)) / statistics.median(rates)}
        for key in ('p50_us', 'p99_us', 'server_cpu_s'):
            values = [run[key] for run in runs if run.get(key) is not None]
            if values:
                row[key] = statistics.median(values)
        rows.append(row)
    rows.sort(key=lambda row: (row['size'], list(COUNTS).index(row['mode'])))
    if options.json:
        print(json.dumps(rows))
        return 0
    print('durability of each side:')
    for name, text in DURABILITY.items():
        print(f'  {name:18} {text}')
    before = None
    for row in rows:
        if (row['size'], row['mode']) != before:
            before = row['size'], row['mode']
            print(f'\n{row["mode"]}, {row["size"]} bytes')
        times = f'  p50 {row["p50_us"]:9.1f} us  p99 {row["p99_us"]:9.1f} us' if 'p50_us' in row else ''
        spent = f'  server {row["server_cpu_s"]:.2f} CPU-s' if 'server_cpu_s' in row else ''
        print(f'  {row["side"]:18} {row["per_s"]:12,.0f} messages/s  spread {row["spread"]:4.0%}{times}{spent}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
