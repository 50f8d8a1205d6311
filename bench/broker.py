#!/usr/bin/env python3
"""bench broker: 100,000 measurements and 1,000 applications that have subscribed to 100 names each and do not read: what they
take and cost while nothing comes, and what a value costs the daemon with nobody, and with all of them, subscribed.

Memory is the whole daemon's: RssAnon + RssFile (libraries and all) + the pages of all shared memory it made. Values come out of
a Log there, which keeps no names; those whose CPU time is taken come as Graphite lines, whose listener knows 18 MiB of names for
each of its two executors.

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

LOGGED = '''
native :: Native(listen: "127.0.0.1:{native}")
Log(stream: "m") -> broker :: Broker()
'''
NAMES = 100  # of each group of subscriptions


def cpu(daemon):
    fields = open(f'/proc/{daemon.process.pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory(daemon):
    """MiB: own pages, those of files, and of shared memory by what it takes, whoever touched it first; and of page tables."""
    pid = daemon.process.pid
    fields = dict(line.split(':', 1) for line in open(f'/proc/{pid}/status').read().splitlines() if ':' in line)
    kib = {name: int(fields[name].split()[0]) for name in ('RssAnon', 'RssFile', 'VmPTE')}
    shared, seen = 0, set()
    for name in os.listdir(f'/proc/{pid}/map_files'):
        at = f'/proc/{pid}/map_files/{name}'
        if not os.readlink(at).startswith('/memfd:'):
            continue
        stat = os.stat(at)
        shared += 0 if stat.st_ino in seen else stat.st_blocks // 2
        seen.add(stat.st_ino)
    return ((kib['RssAnon'] + kib['RssFile'] + shared) / 1024, kib['RssAnon'] / 1024, kib['RssFile'] / 1024, shared / 1024,
            kib['VmPTE'] / 1024)


def say_memory(what, daemon):
    print(f'{what:30}' + '{:8.1f} MiB: {:.1f} own, {:.1f} of files, {:.1f} shared; page tables {:.1f}'.format(*memory(daemon)))
    sys.stdout.flush()


def append(daemon, measurements, value):
    lines = ''.join('{"time_ns":%d,"kind":"SAMPLE","name":"m.%d.%d","type":"F64","value":%d}\n' %
                    (1700000000000000000 + value, i // NAMES, i % NAMES, value) for i in range(measurements))
    subprocess.run([os.environ['YARDER'], 'log', 'append', 'm', '--records', '--at', f'127.0.0.1:{daemon.ports["native"]}'],
                   input=lines, text=True, check=True, capture_output=True)


def subscribe(daemon, subscriptions):
    helpers = [Helper(daemon, 'idle', address(daemon), f'm.{i}.*', 4096, 0, subscriptions // 10) for i in range(10)]
    for helper in helpers:
        helper.ready()


def take_and_stay(folder, args):
    with Daemon(folder, LOGGED, ports={'native': free_port()}) as daemon:
        say_memory('empty', daemon)
        append(daemon, args.measurements, 0)
        wait_for(lambda: taken(daemon) == args.measurements, seconds=120, why='everything taken')
        say_memory(f'{args.measurements} measurements', daemon)
        subscribe(daemon, args.subscriptions)
        time.sleep(2)
        say_memory(f'{args.subscriptions} subscriptions', daemon)
        start = cpu(daemon)
        time.sleep(args.seconds)
        print(f'idle                          {(cpu(daemon) - start) / args.seconds * 100:8.3f} % of a core')
        for i in range(1, 6):
            append(daemon, args.measurements, i)
        wait_for(lambda: taken(daemon) == args.measurements * 6, seconds=120, why='everything taken')
        time.sleep(2)
        say_memory('each ring full and unread', daemon)
        daemon.stop()


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
    os.mkdir(os.path.join(folder, 'logged'))
    take_and_stay(os.path.join(folder, 'logged'), args)
    with Daemon(folder, TOPOLOGY, ports={name: free_port() for name in ('native', 'graphite')}) as daemon:
        send(daemon, args.measurements, 0)
        wait_for(lambda: taken(daemon) == args.measurements, seconds=120, why='everything taken')
        alone = publish(daemon, args.measurements, 5, args.measurements)
        subscribe(daemon, args.subscriptions)
        time.sleep(2)
        served = publish(daemon, args.measurements, 5, args.measurements * 6)
        print(f'a value, nobody subscribed   {alone:8.3f} us CPU (parsing and all)')
        print(f'a value, all subscribed      {served:8.3f} us CPU: {args.subscriptions} walks past it')
        daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)


main()
