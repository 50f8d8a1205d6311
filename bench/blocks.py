"""blocks: bytes a sample on disk, beside victoria-metrics with the same points, both merged.

    python3 bench/blocks.py [--build build]
"""
import argparse
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POINTS = 100 * 8640


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def size(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def victoria(program, bench, kind, folder):
    port, web = free_port(), free_port()
    process = subprocess.Popen([program, f'-storageDataPath={folder}', f'-graphiteListenAddr=127.0.0.1:{port}',
                                f'-httpListenAddr=127.0.0.1:{web}', '-retentionPeriod=100y'],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                get(f'http://127.0.0.1:{web}/metrics')
                break
            except OSError:
                time.sleep(0.05)
        lines = subprocess.run([bench, '--lines', kind], capture_output=True, check=True).stdout
        with socket.create_connection(('127.0.0.1', port)) as s:
            s.sendall(lines)
        for _ in range(600):
            metrics = get(f'http://127.0.0.1:{web}/metrics')
            rows = [line for line in metrics.splitlines() if line.startswith('vm_rows_inserted_total{type="graphite"}')]
            if rows and int(float(rows[0].split()[1])) >= POINTS:
                break
            time.sleep(0.1)
        else:
            raise SystemExit('victoria-metrics has not taken all points')
        get(f'http://127.0.0.1:{web}/internal/force_flush')
        get(f'http://127.0.0.1:{web}/internal/force_merge')
        before = -1
        while before != (before := size(folder + '/data')):
            time.sleep(2)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return size(folder + '/data') / POINTS, size(folder) / POINTS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    bench = os.path.join(ROOT, parser.parse_args().build, 'bench/bench-blocks')
    peer = subprocess.run([os.path.join(ROOT, 'tools/peer'), 'victoria-metrics'], capture_output=True, text=True)
    folder = tempfile.mkdtemp(prefix='blocks-')
    try:
        print(subprocess.run([bench, folder + '/ours'] if os.mkdir(folder + '/ours') is None else [], capture_output=True,
                             text=True, check=True).stdout, end='')
        for kind in ('tsbs', 'counter', 'decimal', 'noise'):
            largest = max(os.path.getsize(path) for path in glob.glob(f'{folder}/ours/{kind}/*.block'))
            print(f'yarder           {kind:8} {largest / POINTS:.3f} bytes a sample in the merged block, its index included')
        if peer.returncode:
            print(peer.stderr, end='')
            return 0
        for kind in ('tsbs', 'counter', 'decimal', 'noise'):
            data, whole = victoria(peer.stdout.strip() + '/usr/bin/victoria-metrics', bench, kind, f'{folder}/{kind}')
            print(f'victoria-metrics {kind:8} {data:.3f} bytes a sample merged, {whole:.3f} with its index and metadata',
                  flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
