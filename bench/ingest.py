#!/usr/bin/env python3
"""ingest: prebuilt points over loopback TCP into the durable log and history, beside its peers with the same bytes.

Each side is started fresh, given the same lines, and watched until it says that all of them are stored; runs alternate
(ours, theirs, ours, theirs). Peers: victoria-metrics and influxdb (Debian's, unpacked), and for StatsD lines npm's
statsd. The clock starts with the sender's first connection, after it has built its lines, and
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
BLAST = os.environ.get('BLAST', os.path.join(ROOT, 'build/release/bench/bench-blast'))
WATCH_S = 0.1
NOT_COMPARABLE = {
    'victoria-metrics': [
        'yarder has synced every point to the disk (fdatasync) and folded it into the columns that answer queries before '
        'it counts; victoria-metrics counts a point once it is taken, in memory: it does not sync, and what it does later '
        '(making points searchable, merging files) is not charged to it',
        'yarder keeps what came last in memory and writes it into blocks at checkpoints, its log uncompressed; '
        'victoria-metrics writes compressed files',
    ],
    'influxdb': [
        'both sync before a point counts: influxdb its compressed write-ahead log, with each request by HTTP; lines it '
        'takes first and writes in batches of 5,000, and a full queue of those holds up the sender',
        'graphite: influxdb 1.6 knows no tags in a path and takes all of it for the name of a measurement',
        'influx: nine fields are one point of influxdb and nine of yarder; both are counted as nine',
    ],
    'statsd': [
        'statsd keeps sums in memory and sends them to a Graphite server (a socket that throws away what it gets) at each '
        'flush; yarder flushes as often, into the durable log and the history, and its own cost of that is in its figures',
        'names without tags, over TCP, since datagrams that a slow side loses would make it look fast',
        'done is: statsd has closed the connections that the sender ended, which it does behind the last line; yarder '
        'counts the lines that it has summed up',
    ],
}


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
    'statsd': ('statsd', None, None),
}
STATSD_FLUSH_S = 2


class Ours:
    name = 'yarder'

    def __init__(self, options):
        self.program = options.yarder or YARDER
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        ports = {name: free_port() for name in ('graphite', 'tsdb', 'influx', 'statsd')}
        self.port, self.web = ports[FORMATS[options.format][0]], ports['tsdb']
        topology = os.path.join(self.dir, 'ingest.yd')
        with open(topology, 'w') as f:
            spread = f'spread: {options.spread}'
            f.write(f'''graphite :: Graphite(listen: "127.0.0.1:{ports['graphite']}", {spread})
tsdb :: OpenTsdb(listen: "127.0.0.1:{self.web}", {spread})
influx :: Influx(listen: "127.0.0.1:{ports['influx']}")
statsd :: Statsd(listen: "", tcp: "127.0.0.1:{ports['statsd']}", flush: {STATSD_FLUSH_S}s, {spread})
graphite, tsdb, influx, statsd -> metrics :: Log(stream: "metrics") -> history :: History(memory: 4GiB)
tsdb => history
''')
        # sums are fewer than what they are made of: lines count when they are in them
        self.element = FORMATS[options.format][0]
        self.counting = ('statsd',) if options.format == 'statsd' else ('metrics', 'history')
        self.data = os.path.join(self.dir, 'data')
        self.process = subprocess.Popen([self.program, 'run', topology, '--data', self.data], stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: get(f'http://127.0.0.1:{self.web}/api/version'))

    @staticmethod
    def version(options):
        return subprocess.run([options.yarder or YARDER, 'version'], capture_output=True, text=True).stdout.split('\n')[0]

    settings = (f'Log (fdatasync before a point counts) -> History(memory: 4GiB), Statsd(flush: {STATSD_FLUSH_S}s), '
                'all else by default')

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
        return min(sum(i['consumed'] for i in inputs[name]) for name in self.counting)

    def shares(self):
        """What each executor has read and parsed: records, and seconds in sockets."""
        status = self.status()
        pumps = next(e['pumps'] for e in status['elements'] if e['name'] == self.element)
        return [(p['records'], status['executors'][p['executor']]['sockets_ns'] / 1e9) for p in pumps]

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
        return f'{unpacked("victoria-metrics")}/usr/bin/victoria-metrics'

    @staticmethod
    def version(options):
        return debian_version('victoria-metrics')  # its own -version says nothing in this package

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


def unpacked(*packages):
    return subprocess.run([os.path.join(ROOT, 'tools/peer'), *packages], capture_output=True, text=True,
                          check=True).stdout.strip()


def debian_version(package):
    return subprocess.run(['apt-cache', 'policy', package], capture_output=True, text=True,
                          env={**os.environ, 'LC_ALL': 'C'}).stdout.split('Candidate:')[-1].split('\n')[0].strip()


class InfluxDb:
    """1.6, its own settings but for where it listens and writes; no statistics of its own into a database of its own."""
    name = 'influxdb'
    settings = 'max-concurrent-compactions, index, WAL (fsync at each write) by default; [monitor] store-enabled = false'

    def __init__(self, options):
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        self.web = free_port()
        self.port = self.web if options.format == 'influx' else free_port()
        self.fields = 9 if options.format == 'influx' else 1
        config = os.path.join(self.dir, 'influxdb.conf')
        with open(config, 'w') as f:
            f.write(f'''reporting-enabled = false
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{self.dir}/meta"
[data]
  dir = "{self.dir}/data"
  wal-dir = "{self.dir}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{self.web}"
  log-enabled = false
[ifql]
  bind-address = "127.0.0.1:{free_port()}"
[[graphite]]
  enabled = {str(options.format == 'graphite').lower()}
  bind-address = "127.0.0.1:{self.port}"
  database = "bench"
[[opentsdb]]
  enabled = {str(options.format in ('put', 'tsdb')).lower()}
  bind-address = "127.0.0.1:{self.port}"
  database = "bench"
''')
        self.process = subprocess.Popen([self.program(), '-config', config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        url = f'http://127.0.0.1:{self.web}/query?q=CREATE+DATABASE+bench'
        wait_for(lambda: urllib.request.urlopen(urllib.request.Request(url, method='POST'), timeout=60).read())

    @staticmethod
    def program():
        return f'{unpacked("influxdb")}/usr/bin/influxd'

    @staticmethod
    def version(options):
        return debian_version('influxdb')

    def stored(self):
        """What it has given up counts as done; it is said as `lost`."""
        said = json.loads(get(f'http://127.0.0.1:{self.web}/debug/vars'))
        shards = [v for k, v in said.items() if k.startswith('shard:')]
        kept = self.fields * sum(int(s['values']['writePointsOk']) for s in shards if s['tags']['database'] == 'bench')
        self.lost = 0
        for name, batch in (('graphite:', 5000), ('opentsdb:', 1000)):
            self.lost += batch * sum(int(v['values'].get('batchesTxFail', 0)) for k, v in said.items() if k.startswith(name))
        return kept + self.lost

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.dir)


class StatsD:
    """npm's, on Debian's or any other node; it sends its sums to a socket here that throws them away."""
    name = 'statsd'
    settings = f'./servers/tcp, ./backends/graphite, flushInterval {STATSD_FLUSH_S} s, all else by default'

    def __init__(self, options):
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        self.port, self.web = free_port(), free_port()
        self.sink = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self.throw_away, daemon=True).start()
        config = os.path.join(self.dir, 'config.js')
        with open(config, 'w') as f:
            f.write(f'''{{ server: "./servers/tcp", address: "127.0.0.1", port: {self.port}, mgmt_address: "127.0.0.1",
  mgmt_port: {self.web}, backends: ["./backends/graphite"], graphiteHost: "127.0.0.1",
  graphitePort: {self.sink.getsockname()[1]}, flushInterval: {STATSD_FLUSH_S * 1000}, automaticConfigReload: false }}
''')
        self.process = subprocess.Popen(['node', self.program(), config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: socket.create_connection(('127.0.0.1', self.port)).close() or True)

    def throw_away(self):
        while True:
            try:
                connection, _ = self.sink.accept()
                while connection.recv(1 << 20):
                    pass
            except OSError:
                return

    @staticmethod
    def program():
        """Fetched once, by npm, into the build folder."""
        folder = os.path.join(ROOT, 'build/peers/statsd-npm')
        program = os.path.join(folder, 'node_modules/statsd/stats.js')
        if not os.path.exists(program):
            if not shutil.which('npm') or not shutil.which('node'):
                raise SystemExit('ingest: statsd needs node and npm (Debian: nodejs npm)')
            subprocess.run(['npm', 'install', '--silent', '--omit=optional', '--ignore-scripts', '--prefix', folder,
                            'statsd@0.9.0'], check=True, stdout=subprocess.DEVNULL)
        return program

    @staticmethod
    def version(options):
        package = os.path.join(os.path.dirname(StatsD.program()), 'package.json')
        node = subprocess.run(['node', '--version'], capture_output=True, text=True).stdout.strip()
        return f'{json.load(open(package))["version"]}, node {node}'

    sent = 0  # by the sender, which has seen its connections closed

    def stored(self):
        return self.sent

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.sink.close()
        shutil.rmtree(self.dir)


shares = {}  # by side: of each run, of each pump


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
        if sent['failed']:
            raise SystemExit(f'ingest: {side.name} did not take all')
        server.sent = sent['points']
        watch.join()
        stored_at, after = time.monotonic(), cpu_seconds(server.pid)
        if server.stored() != lines:
            raise SystemExit(f'ingest: {side.name} has stored {server.stored()} of {lines} points')
        seconds = stored_at - sent['began']  # both of CLOCK_MONOTONIC
        user, system = after[0] - before[0], after[1] - before[1]
        if isinstance(server, Ours):
            shares.setdefault(side.name, []).append(server.shares())
        return {'points_per_s': lines / seconds, 'points_per_cpu_s': lines / (user + system), 'us_per_point':
                1e6 * (user + system) / lines, 'user_s': user, 'system_s': system, 'seconds': seconds,
                'sending_s': sent['seconds'], 'sender_cpu_s': sent['cpu_seconds'],
                'lost': getattr(server, 'lost', 0), 'resident_mib': resident_max(server.pid), 'bytes_per_point': sent['bytes'] / lines}
    finally:
        server.stop()


def summarise(runs):
    summary = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
    for key in ('points_per_s', 'points_per_cpu_s', 'us_per_point'):
        summary[f'{key}_spread'] = [min(r[key] for r in runs), max(r[key] for r in runs)]
    summary['runs'] = runs
    return summary


PEERS = {name: [StatsD] if name == 'statsd' else [VictoriaMetrics, InfluxDb] for name in FORMATS}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--format', choices=FORMATS, default='graphite',
                        help='graphite, put and statsd: lines; influx and tsdb: requests of 10,000 and 1,000 points')
    parser.add_argument('--series', type=int, default=100_000)
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--connections', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--dir', default=os.path.join(ROOT, 'build'), help='where the data goes (a real disk)')
    parser.add_argument('--peer', action='append', choices=['victoria-metrics', 'influxdb', 'statsd'],
                        help='only this one; may be said again')
    parser.add_argument('--alone', action='store_true', help='without the peer')
    parser.add_argument('--yarder', help='another program to measure as ours')
    parser.add_argument('--against', help='a second yarder instead of the peer: before and after in one run')
    parser.add_argument('--spread', type=int, default=0, help='on how many executors ours reads and parses; 0: on all')
    parser.add_argument('--against-spread', type=int, help='ours once more, on so many, instead of the peer')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    sides = [Ours]
    if options.against or options.against_spread is not None:
        other = argparse.Namespace(**vars(options))
        other.yarder = options.against or options.yarder
        other.spread = options.spread if options.against_spread is None else options.against_spread
        sides.append(type('Against', (Ours,), {'name': 'against', '__init__': lambda self, _: Ours.__init__(self, other),
                                               'version': staticmethod(lambda _: Ours.version(other))}))
    elif not options.alone:
        sides += [side for side in PEERS[options.format] if not options.peer or side.name in options.peer]
        for side in sides[1:]:
            side.program()  # fetched before anything is measured
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
                          'repeat': options.repeat, 'sides': summary,
                          'not_comparable': {side.name: NOT_COMPARABLE.get(side.name, []) for side in sides[1:]}}, indent=2))
        return
    print(f'{options.format}: {options.series} series x {options.rounds} points, {options.connections} connections, '
          f'{ours["bytes_per_point"]:.0f} bytes a point, medians of {options.repeat} alternating runs (least to most)')
    for name, s in summary.items():
        low, high = s['points_per_s_spread']
        cheap, dear = s['us_per_point_spread']
        print(f'  {name:<17} {s["points_per_s"] / 1e6:6.2f} M points/s ({low / 1e6:.2f} to {high / 1e6:.2f})  '
              f'{s["us_per_point"]:.3f} us CPU a point ({cheap:.3f} to {dear:.3f}; {s["user_s"]:.2f} s user, '
              f'{s["system_s"]:.2f} s system)  {s["points_per_cpu_s"] / 1e6:.2f} M points per CPU second  '
              f'{s["resident_mib"]:.0f} MiB' + (f', {s["lost"]:.0f} points lost' if s['lost'] else ''))
    for name, runs in shares.items():
        print(f'  {name}: records and seconds in sockets by executor: ' +
              '; '.join(', '.join(f'{records / 1e6:.2f} M {seconds:.2f} s' for records, seconds in of) for of in runs))
    for name, s in summary.items():
        print(f'  {name}: {s["version"]}; {s["settings"]}')
    for name, s in summary.items():
        if name == 'yarder':
            continue
        print(f'  ratio to {name}: {s["ours_to_theirs"]["points_per_s"]:.2f} of its points/s, '
              f'{s["ours_to_theirs"]["points_per_cpu_s"]:.2f} of its points per CPU second')
        for text in NOT_COMPARABLE.get(name, []):
            print(f'  not comparable: {text}')


if __name__ == '__main__':
    sys.exit(main())
