#!/usr/bin/env python3
"""access: which way of reading a stream wins when: its files, the server over loopback, the same folder over sshfs.

One daemon takes the stream, a second one follows it; on both, 1 and 8 consumers read all of it at the same time, warm,
in each of the ways. sshfs is the real one, joined to an sftp-server by a pipe: what ssh's encryption and a network would
cost comes on top. Debian's sshfs and sftp-server, unpacked below build/, not installed.

    access.py [--count 2000000] [--size 100] [--rounds 3]
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
FUSE = os.path.join(PEERS, 'libfuse3-3/lib', os.uname().machine + '-linux-gnu')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for(what, why, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return
        except (OSError, ValueError, subprocess.CalledProcessError):
            pass
        time.sleep(0.05)
    raise SystemExit(f'access: {why} did not happen')


def daemon(dir_, name, text):
    path = f'{dir_}/{name}.yd'
    with open(path, 'w') as f:
        f.write(text)
    return subprocess.Popen([f'{BUILD}/yarder', 'run', path, '--data', f'{dir_}/{name}'], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, cwd=dir_)


def durable(data):
    return json.loads(subprocess.check_output([f'{BUILD}/yarder', 'log', 'stat', 'bench', '--json', '--data', data],
                                              stderr=subprocess.DEVNULL))['stat']['durable']


def connectable(port):
    socket.create_connection(('127.0.0.1', port), 1).close()
    return True


def mount(dir_, folder, name):
    """The folder over sshfs, or None where that cannot be."""
    script, point = f'{dir_}/sftp-{name}', f'{dir_}/mount-{name}'
    with open(script, 'w') as f:
        f.write(f'#!/bin/sh\nexec {PEERS}/openssh-sftp-server/usr/lib/openssh/sftp-server\n')
    os.chmod(script, 0o755)
    os.makedirs(point)
    done = subprocess.run([f'{PEERS}/sshfs/usr/bin/sshfs', '-o', f'ssh_command={script}', f'here:{folder}', point],
                          env={**os.environ, 'LD_LIBRARY_PATH': FUSE}, capture_output=True, text=True)
    if done.returncode:
        print(f'access: no sshfs here: {done.stderr.strip()}', file=sys.stderr)
        return None
    return point


def read(commands, count):
    """All at once; messages a second in all."""
    started = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    messages = 0
    for process in running:
        out = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f'access: {process.args[0]} failed')
        found = json.loads(out.strip().splitlines()[-1])
        messages += found.get('messages', count)
    return messages / (time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--count', type=int, default=2000000)
    parser.add_argument('--size', type=int, default=100)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    for package in ('sshfs', 'openssh-sftp-server', 'libfuse3-3'):
        subprocess.run([f'{ROOT}/tools/peer', package], stdout=subprocess.DEVNULL, check=True)
    dir_ = tempfile.mkdtemp(prefix='access-', dir=os.path.join(ROOT, 'build'))
    ports = {'leader': free_port(), 'follower': free_port()}
    processes, points = [], []
    try:
        processes.append(daemon(dir_, 'leader', f'native :: Native(listen: "127.0.0.1:{ports["leader"]}", create: true)\n'))
        wait_for(lambda: connectable(ports['leader']), 'the leader')
        shape = ['--size', str(options.size), '--count', str(options.count)]
        subprocess.check_output([f'{BUILD}/bench/bench-client', '--address', f'127.0.0.1:{ports["leader"]}', '--stream',
                                 'bench', '--mode', 'batch', *shape])
        processes.append(daemon(dir_, 'follower', f'native :: Native(listen: "127.0.0.1:{ports["follower"]}")\n'
                                                  f'copy :: Replica(from: "127.0.0.1:{ports["leader"]}", '
                                                  'stream: "bench")\nnull :: Null()\ncopy -> null\n'))
        wait_for(lambda: durable(f'{dir_}/follower') == options.count, 'the follower', 120)
        ways = []
        for name in ('leader', 'follower'):
            folder = f'{dir_}/{name}/streams/bench/0'
            ways.append((name, 'files, mapped', [f'{BUILD}/bench/bench-logrun', folder, '--mode', 'replay', *shape]))
            ways.append((name, 'files, copied', [f'{BUILD}/bench/bench-logrun', folder, '--mode', 'replay', '--read',
                                                 'copy', *shape]))
            ways.append((name, 'server', [f'{BUILD}/bench/bench-client', '--address', f'127.0.0.1:{ports[name]}',
                                          '--stream', 'bench', '--mode', 'replay', '--json', *shape]))
            point = mount(dir_, folder, name)
            if point:
                points.append(point)
                ways.append((name, 'sshfs', [f'{BUILD}/bench/bench-logrun', point, '--mode', 'replay', *shape]))
        results = {}
        for round_ in range(options.rounds + 1):
            for name, way, command in ways:
                for consumers in (1, 8):
                    rate = read([command] * consumers, options.count)
                    if round_:  # the first one warms the cache
                        results.setdefault((name, way, consumers), []).append(rate)
        print(f'{options.count:,} messages of {options.size} bytes, {os.cpu_count()} cores; messages/s, all consumers '
              f'together, median of {options.rounds}')
        print(f'  {"on":9} {"way":14} {"1 consumer":>14} {"8 consumers":>14}')
        for name, way, _ in ways:
            one, eight = (statistics.median(results[name, way, consumers]) for consumers in (1, 8))
            print(f'  {name:9} {way:14} {one:14,.0f} {eight:14,.0f}')
    finally:
        for point in points:
            subprocess.run(['umount', point])
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(dir_, ignore_errors=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
