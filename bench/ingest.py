#!/usr/bin/env python3
"""ingest: prebuilt points over loopback TCP into the durable log and history, beside victoria-metrics with the same bytes.

Each side is started fresh, given the same lines, and watched until it says that all of them are stored; runs alternate
(ours, theirs, ours, theirs). The clock starts with the sender's first connection, after it has built its lines, and
stops when the server has counted the last point; CPU seconds are the server's own (all its threads, user and system),
between the same two moments. The sender's cost is not in them, the answers to the watching (10 a second) are.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
YARDER = os.path.join(ROOT, 'build/release/yarder')
BLAST = os.path.join(ROOT, 'build/release/bench/bench-blast')
WATCH_S = 0.1
NOT_COMPARABLE = [
    'yarder has synced every point to the disk (fdatasync) and folded it into the columns that answer queries before it '
    'counts; victoria-metrics counts a point once it is taken, in memory: it does not sync, and what it does later (making '
    'points searchable, merging files) is not charged to it',
    'yarder keeps what came last in memory and writes it into blocks at checkpoints, its log uncompressed; '
    'victoria-metrics writes compressed files',
]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """User and system, of all threads."""
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    tick = os.sysconf('SC_CLK_TCK')
    return int(fields[11]) / tick, int(fields[12]) / tick


def resident_max(pid):
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmHWM'):
            return int(line.split()[1]) / 1024
    return 0


def get(url):
    return urllib.request.urlopen(url, timeout=60).read().decode()


def wait_for(what, seconds=120, pause=0.01):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(pause)
    raise SystemExit('ingest: the server did not get there in time')


# --format: what bench-blast sends, the port it goes to at each side, and how victoria-metrics counts it
FORMATS = {
    'graphite': ('graphite', 'graphiteListenAddr', 'graphite'),
    'put': ('tsdb', 'opentsdbListenAddr', 'opentsdb'),
    'tsdb': ('tsdb', 'opentsdbHTTPListenAddr', 'opentsdbhttp'),
    'influx': ('influx', 'httpListenAddr', 'influx'),
}


class Ours:
    name = 'yarder'

    def __init__(self, options):
        self.program = options.yarder or YARDER
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        ports = {name: free_port() for name in ('graphite', 'tsdb', 'influx')}
        self.port, self.web = ports[FORMATS[options.format][0]], ports['tsdb']
        topology = os.path.join(self.dir, 'ingest.yd')
        with open(topology, 'w') as f:
            f.write(f'''graphite :: Graphite(listen: "127.0.0.1:{ports['graphite']}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{self.web}")
influx :: Influx(listen: "127.0.0.1:{ports['influx']}")
graphite, tsdb, influx -> metrics :: Log(stream: "metrics") -> history :: History(memory: 4GiB)
tsdb => history
''')
        self.data = os.path.join(self.dir, 'data')
        self.process = subprocess.Popen([self.program, 'run', topology, '--data', self.data], stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: get(f'http://127.0.0.1:{self.web}/api/version'))

    @staticmethod
    def version(options):
        return subprocess.run([options.yarder or YARDER, 'version'], capture_output=True, text=True).stdout.split('\n')[0]

    settings = 'Log (fdatasync before a point counts) -> History(memory: 4GiB), all else by default'

    def status(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(self.data, 'status.sock'))
            parts = []
            while part := s.recv(1 << 16):
                parts.append(part)
        return json.loads(b''.join(parts))

    def stored(self):
        inputs = {e['name']: e['inputs'] for e in self.status()['elements']}
        # the log's input counts as consumed once durable; history reads only what is durable
        return min(sum(i['consumed'] for i in inputs[name]) for name in ('metrics', 'history'))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.dir)


class VictoriaMetrics:
    name = 'victoria-metrics'
    flags = ['-search.latencyOffset=0s', '-retentionPeriod=12']

    def __init__(self, options):
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        _, flag, self.counted = FORMATS[options.format]
        self.web = free_port()
        self.port = self.web if flag == 'httpListenAddr' else free_port()
        listen = {f'-{flag}=127.0.0.1:{self.port}', f'-httpListenAddr=127.0.0.1:{self.web}'}
        self.process = subprocess.Popen([self.program(), f'-storageDataPath={self.dir}', *listen, *self.flags],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: get(f'http://127.0.0.1:{self.web}/metrics'))

    @staticmethod
    def program():
        folder = subprocess.run([os.path.join(ROOT, 'tools/peer'), 'victoria-metrics'], capture_output=True, text=True,
                                check=True).stdout.strip()
        return f'{folder}/usr/bin/victoria-metrics'

    @staticmethod
    def version(options):
        # its own -version says nothing in this package
        return subprocess.run(['apt-cache', 'policy', 'victoria-metrics'], capture_output=True, text=True,
                              env={**os.environ, 'LC_ALL': 'C'}).stdout.split('Candidate:')[-1].split('\n')[0].strip()

    settings = ' '.join(flags) + ', all else by default'

    def stored(self):
        for line in get(f'http://127.0.0.1:{self.web}/metrics').splitlines():
            if line.startswith(f'vm_rows_inserted_total{{type="{self.counted}"}}'):
                return int(float(line.split()[1]))
        return 0

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.dir)


def run(side, options):
    server = side(options)
    try:
        series = options.series - options.series % (9 if options.format == 'influx' else 1)  # whole cores
        lines = series * options.rounds
        sender = subprocess.Popen([BLAST, '127.0.0.1', str(server.port), str(options.series), str(options.rounds),
                                   str(options.connections), options.format], stdout=subprocess.PIPE, text=True)
        words = []
        for line in sender.stdout:  # `ready` once its lines are built, then the object
            words.append(line)
            if len(words) == 1:
                before = cpu_seconds(server.pid)
                watch = threading.Thread(target=lambda: wait_for(lambda: server.stored() >= lines, pause=WATCH_S))
                watch.start()
        sent = json.loads(words[-1])
        watch.join()
        stored_at, after = time.monotonic(), cpu_seconds(server.pid)
        if server.stored() != lines:
            raise SystemExit(f'ingest: {side.name} has stored {server.stored()} of {lines} points')
        seconds = stored_at - sent['began']  # both of CLOCK_MONOTONIC
        user, system = after[0] - before[0], after[1] - before[1]
        return {'points_per_s': lines / seconds, 'points_per_cpu_s': lines / (user + system), 'us_per_point':
                1e6 * (user + system) / lines, 'user_s': user, 'system_s': system, 'seconds': seconds,
                'sending_s': sent['seconds'], 'sender_cpu_s': sent['cpu_seconds'],
                'resident_mib': resident_max(server.pid), 'bytes_per_point': sent['bytes'] / lines}
    finally:
        server.stop()


def summarise(runs):
    summary = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
    for key in ('points_per_s', 'points_per_cpu_s', 'us_per_point'):
        summary[f'{key}_spread'] = [min(r[key] for r in runs), max(r[key] for r in runs)]
    summary['runs'] = runs
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--format', choices=FORMATS, default='graphite',
                        help='graphite and put: lines; influx and tsdb: requests of 10,000 and 1,000 points')
    parser.add_argument('--series', type=int, default=100_000)
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--connections', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--dir', default=os.path.join(ROOT, 'build'), help='where the data goes (a real disk)')
    parser.add_argument('--alone', action='store_true', help='without the peer')
    parser.add_argument('--yarder', help='another program to measure as ours')
    parser.add_argument('--against', help='a second yarder instead of the peer: before and after in one run')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    sides = [Ours]
    if options.against:
        other = argparse.Namespace(**{**vars(options), 'yarder': options.against})
        sides.append(type('Against', (Ours,), {'name': 'against', '__init__': lambda self, _: Ours.__init__(self, other),
                                               'version': staticmethod(lambda _: Ours.version(other))}))
    elif not options.alone:
        sides.append(VictoriaMetrics)
        VictoriaMetrics.program()  # fetched before anything is measured
    results = {side.name: [] for side in sides}
    for _ in range(options.repeat):
        for side in sides:
            results[side.name].append(run(side, options))
    summary = {side.name: {'version': side.version(options), 'settings': side.settings, **summarise(results[side.name])}
               for side in sides}
    ours = summary['yarder']
    for name, theirs in summary.items():
        if name != 'yarder':
            theirs['ours_to_theirs'] = {key: ours[key] / theirs[key] for key in ('points_per_s', 'points_per_cpu_s')}
    if options.json:
        print(json.dumps({'series': options.series, 'rounds': options.rounds, 'connections': options.connections,
                          'repeat': options.repeat, 'sides': summary, 'not_comparable': NOT_COMPARABLE}, indent=2))
        return
    print(f'{options.format}: {options.series} series x {options.rounds} points, {options.connections} connections, '
          f'{ours["bytes_per_point"]:.0f} bytes a point, medians of {options.repeat} alternating runs (least to most)')
    for name, s in summary.items():
        low, high = s['points_per_s_spread']
        cheap, dear = s['us_per_point_spread']
        print(f'  {name:<17} {s["points_per_s"] / 1e6:6.2f} M points/s ({low / 1e6:.2f} to {high / 1e6:.2f})  '
              f'{s["us_per_point"]:.3f} us CPU a point ({cheap:.3f} to {dear:.3f}; {s["user_s"]:.2f} s user, '
              f'{s["system_s"]:.2f} s system)  {s["points_per_cpu_s"] / 1e6:.2f} M points per CPU second  '
              f'{s["resident_mib"]:.0f} MiB')
    for name, s in summary.items():
        print(f'  {name}: {s["version"]}; {s["settings"]}')
    for name, s in summary.items():
        if name == 'yarder':
            continue
        print(f'  ratio to {name}: {s["ours_to_theirs"]["points_per_s"]:.2f} of its points/s, '
              f'{s["ours_to_theirs"]["points_per_cpu_s"]:.2f} of its points per CPU second')
        if name == 'victoria-metrics':
            for text in NOT_COMPARABLE:
                print(f'  not comparable: {text}')


if __name__ == '__main__':
    sys.exit(main())
