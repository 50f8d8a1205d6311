#!/usr/bin/env python3
"""bench broker: 100,000 measurements and 1,000 subscriptions of 100 names each: what they cost while nothing comes, and what a
value costs the daemon with nobody, and with all of them, subscribed.

    bench/broker.py [--measurements N] [--subscriptions N] [--seconds N]
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests/system'))
BUILD = os.environ.get('BENCH_BUILD', os.path.join(ROOT, 'build/release'))
os.environ.setdefault('YARDER', os.path.join(BUILD, 'yarder'))
os.environ.setdefault('BROKER_HELPER', os.path.join(BUILD, 'tests/system/broker_helper'))

from broker import Helper, TOPOLOGY, address, taken  # noqa: E402
from harness import Daemon, free_port, wait_for  # noqa: E402

NAMES = 100  # of each group of subscriptions


def cpu(daemon):
    fields = open(f'/proc/{daemon.process.pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory(daemon):
    """MiB that are there because of this process: its own, and shared memory by halves with who maps it."""
    lines = open(f'/proc/{daemon.process.pid}/smaps_rollup').read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024


def send(daemon, measurements, value):
    with socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) as s:
        for first in range(0, measurements, 1000):
            s.sendall(b''.join(b'm.%d.%d %d %d\n' % (i // NAMES, i % NAMES, value, 1700000000 + value)
                               for i in range(first, min(first + 1000, measurements))))


def publish(daemon, measurements, rounds, before):
    """us of the daemon's CPU time for each value."""
    start = cpu(daemon)
    for i in range(rounds):
        send(daemon, measurements, i)
    wait_for(lambda: taken(daemon) == before + measurements * rounds, seconds=120, why='everything taken')
    time.sleep(1)  # the applications, too
    return (cpu(daemon) - start) / (measurements * rounds) * 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--measurements', type=int, default=100000)
    parser.add_argument('--subscriptions', type=int, default=1000)
    parser.add_argument('--seconds', type=int, default=20)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix='yarder-bench-')
    print(f'load average {os.getloadavg()[0]:.1f}')
    with Daemon(folder, TOPOLOGY, ports={name: free_port() for name in ('native', 'graphite')}) as daemon:
        print(f'empty                        {memory(daemon):8.1f} MiB')
        send(daemon, args.measurements, 0)
        wait_for(lambda: taken(daemon) == args.measurements, seconds=120, why='everything taken')
        print(f'{args.measurements} measurements          {memory(daemon):8.1f} MiB')
        alone = publish(daemon, args.measurements, 5, args.measurements)
        groups = 10
        helpers = [Helper(daemon, 'idle', address(daemon), f'm.{i}.*', 4096, 0, args.subscriptions // groups) for i in range(groups)]
        for helper in helpers:
            helper.ready()
        print(f'{args.subscriptions} subscriptions           {memory(daemon):8.1f} MiB')
        time.sleep(2)
        start = cpu(daemon)
        time.sleep(args.seconds)
        print(f'idle                         {(cpu(daemon) - start) / args.seconds * 100:8.3f} % of a core')
        served = publish(daemon, args.measurements, 5, args.measurements * 6)
        print(f'a value, nobody subscribed   {alone:8.3f} us CPU (parsing and all)')
        print(f'a value, all subscribed      {served:8.3f} us CPU: {args.subscriptions} walks past it')
        daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)


main()
