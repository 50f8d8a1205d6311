#!/usr/bin/env python3
"""bench live: publishing, reading and handing over in shared memory, beside a cache line, a futex and ZeroMQ (libzmq5 4.3.4
of Debian 12, unpacked below build/peers, high-water marks as they are, 1,000) in the same run.

    bench/live.py [--rounds N]
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.environ.get('BENCH_LIVERUN', os.path.join(ROOT, 'build/release/bench/bench-liverun'))
PACKAGES = ('libzmq5', 'libsodium23', 'libpgm-5.3-0', 'libnorm1', 'libgssapi-krb5-2', 'libkrb5-3', 'libk5crypto3', 'libkrb5support0',
            'libcom-err2', 'libkeyutils1', 'libbsd0', 'libmd0', 'libstdc++6', 'libprotokit0')


def main():
    env = dict(os.environ)
    peers = [os.path.join(ROOT, 'build/peers', package) for package in PACKAGES]
    for package in PACKAGES:
        got = subprocess.run([os.path.join(ROOT, 'tools/peer'), package], capture_output=True, text=True)
        if got.returncode and package == 'libzmq5':
            print('libzmq5 cannot be had: without ZeroMQ', file=sys.stderr)
    folders = [os.path.join(peer, folder) for peer in peers for folder in ('usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu')]
    folders = [folder for folder in folders if os.path.isdir(folder)]
    library = os.path.join(peers[0], 'usr/lib/x86_64-linux-gnu/libzmq.so.5')
    if os.path.exists(library):
        env['LIBZMQ'] = library
        env['LD_LIBRARY_PATH'] = ':'.join(folders)
    print(f'load average {os.getloadavg()[0]:.1f}')
    sys.stdout.flush()
    return subprocess.run([PROGRAM] + sys.argv[1:], env=env).returncode


sys.exit(main())
