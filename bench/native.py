#!/usr/bin/env python3
"""The native server end to end: appends at durable, one at a time, pipelined and batched, over loopback TCP and over a
Unix socket; then reading what was written beside a bare sendfile loop. A daemon of its own in a temporary folder."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('BUILD', os.path.join(ROOT, 'build/release'))


def main():
    folder = tempfile.mkdtemp(prefix='yarder-bench-', dir=sys.argv[1] if len(sys.argv) > 1 else None)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    path = folder + '/native.sock'
    with open(folder + '/t.yd', 'w') as f:
        f.write(f'native :: Native(listen: "127.0.0.1:{port}", unix: "{path}", create: true)\n')
    daemon = subprocess.Popen([BUILD + '/yarder', 'run', folder + '/t.yd', '--data', folder + '/data'],
                              stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(path):
            time.sleep(0.01)
        for name, address in (('tcp', f'127.0.0.1:{port}'), ('unix', 'unix:' + path)):
            def client(*more):
                print(f'{name:5}', end='', flush=True)
                subprocess.run([BUILD + '/bench/bench-client', '--address', address, *more], check=True)
            client('--mode', 'single', '--count', '1000', '--stream', 'single.' + name)
            client('--mode', 'pipelined', '--count', '500000', '--stream', 'pipelined.' + name)
            client('--mode', 'batch', '--batch', '1000', '--count', '5000000', '--stream', 'batch.' + name)
            client('--mode', 'batch', '--batch', '100', '--size', '1000', '--count', '500000', '--stream', 'large.' + name)
            client('--mode', 'latency', '--count', '1000', '--stream', 'latency.' + name)
            subprocess.run([BUILD + '/bench/bench-native', '--address', address, '--stream', 'batch.' + name,
                            '--dir', f'{folder}/data/streams/batch.{name}/0'], check=True)
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


main()
