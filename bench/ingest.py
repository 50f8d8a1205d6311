#!/usr/bin/env python3
"""ingest: prebuilt lines over loopback TCP into the durable log and history, beside victoria-metrics with the same bytes.

Each side is started fresh, given the same lines, and watched until it says that all of them are stored; runs alternate
(ours, theirs, ours, theirs). Points per second are from the first byte sent to the last point stored; CPU seconds are
the server's own (all its threads), so the sender's cost is not in them. Ours is durable (fdatasync before a point counts)
and read back through its query API; victoria-metrics is asked to make its points searchable, it does not sync.
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
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
YARDER = os.path.join(ROOT, 'build/release/yarder')
BLAST = os.path.join(ROOT, 'build/release/bench/bench-blast')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_max(pid):
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmHWM'):
            return int(line.split()[1]) / 1024
    return 0


def get(url):
    return urllib.request.urlopen(url, timeout=60).read().decode()


def wait_for(what, seconds=120, pause=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(pause)
    raise SystemExit('ingest: the server did not get there in time')




class Ours:
    name = 'yarder'

    def __init__(self, options):
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        self.port, web = free_port(), free_port()
        self.web = web
        topology = os.path.join(self.dir, 'ingest.yd')
        with open(topology, 'w') as f:
            f.write(f'''graphite :: Graphite(listen: "127.0.0.1:{self.port}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{web}")
graphite, tsdb -> metrics :: Log(stream: "metrics") -> history :: History(memory: 4GiB)
tsdb => history
''')
        self.data = os.path.join(self.dir, 'data')
        self.process = subprocess.Popen([YARDER, 'run', topology, '--data', self.data], stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: get(f'http://127.0.0.1:{web}/api/version'))

    def stored(self):
        status = json.loads(subprocess.run([YARDER, 'top', '--once', '--json', '--data', self.data], capture_output=True,
                                           text=True, check=True).stdout)
        inputs = {e['name']: e['inputs'] for e in status['elements']}
        # the log's input counts as consumed once durable; history reads only what is durable
        return min(sum(i['consumed'] for i in inputs[name]) for name in ('metrics', 'history'))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.dir)


class VictoriaMetrics:
    name = 'victoria-metrics'

    def __init__(self, options):
        folder = subprocess.run([os.path.join(ROOT, 'tools/peer'), 'victoria-metrics'], capture_output=True, text=True,
                                check=True).stdout.strip()
        self.dir = tempfile.mkdtemp(prefix='ingest-', dir=options.dir)
        self.port, self.web = free_port(), free_port()
        self.process = subprocess.Popen(
            [f'{folder}/usr/bin/victoria-metrics', f'-storageDataPath={self.dir}', f'-graphiteListenAddr=127.0.0.1:{self.port}',
             f'-httpListenAddr=127.0.0.1:{self.web}', '-search.latencyOffset=0s', '-retentionPeriod=12'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for(lambda: get(f'http://127.0.0.1:{self.web}/metrics'))

    def stored(self):
        total = 0
        for line in get(f'http://127.0.0.1:{self.web}/metrics').splitlines():
            if line.startswith('vm_rows_inserted_total{type="graphite"}'):
                total = int(float(line.split()[1]))
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.dir)


def run(side, options):
    server = side(options)
    try:
        lines = options.series * options.rounds
        before, began = cpu_seconds(server.pid), time.monotonic()
        sender = subprocess.Popen([BLAST, '127.0.0.1', str(server.port), str(options.series), str(options.rounds),
                                   str(options.connections)], stdout=subprocess.PIPE, text=True)
        out = sender.communicate()[0]
        sent = json.loads(out)
        ended_sending = time.monotonic()
        wait_for(lambda: server.stored() >= lines)
        seconds = sent['seconds'] + (time.monotonic() - ended_sending)
        cpu = cpu_seconds(server.pid) - before
        return {'points_per_s': lines / seconds, 'points_per_cpu_s': lines / cpu, 'cpu_s': cpu, 'seconds': seconds,
                'resident_mib': resident_max(server.pid), 'bytes_per_line': sent['bytes'] / lines}
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--series', type=int, default=100_000)
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--connections', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--dir', default=os.path.join(ROOT, 'build'), help='where the data goes (a real disk)')
    parser.add_argument('--alone', action='store_true', help='without the peer')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    sides = [Ours] if options.alone else [Ours, VictoriaMetrics]
    results = {side.name: [] for side in sides}
    for _ in range(options.repeat):
        for side in sides:
            results[side.name].append(run(side, options))
    summary = {}
    for name, runs in results.items():
        summary[name] = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        summary[name]['spread'] = [min(r['points_per_s'] for r in runs), max(r['points_per_s'] for r in runs)]
    if options.json:
        print(json.dumps(summary, indent=2))
        return
    print(f'{options.series} series x {options.rounds} points, {options.connections} connections, '
          f'{summary["yarder"]["bytes_per_line"]:.0f} bytes a line, medians of {options.repeat}')
    for name, s in summary.items():
        print(f'  {name:<18} {s["points_per_s"] / 1e6:6.2f} M points/s ({s["spread"][0] / 1e6:.2f} to {s["spread"][1] / 1e6:.2f})  '
              f'{s["points_per_cpu_s"] / 1e6:6.2f} M points per CPU second  {1e6 / s["points_per_cpu_s"]:.3f} us CPU a point  '
              f'{s["resident_mib"]:.0f} MiB')
    if len(sides) == 2:
        ours, theirs = summary['yarder'], summary['victoria-metrics']
        print(f'  ratio: {ours["points_per_s"] / theirs["points_per_s"]:.2f} of its points/s, '
              f'{ours["points_per_cpu_s"] / theirs["points_per_cpu_s"]:.2f} of its points per CPU second')
        print('  not comparable: ours has synced every point and checked it can be queried; it keeps its columns in memory '
              'in this form')


if __name__ == '__main__':
    sys.exit(main())
