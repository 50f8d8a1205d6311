#!/usr/bin/env python3
"""udp: datagrams over loopback into the durable log, one receiving thread, beside a bare recvmmsg loop with the same bytes.

    ./dev bench udp [--size 200] [--seconds 4] [--senders 2]

Senders (bench-udpfloor send: sendmmsg, a number in each datagram) run as fast as they can, in processes of their own; the
floor is bench-udpfloor receive: recvmmsg of 64 with the kernel's time stamps and drop counts, and nothing done with what
came. Ours is counted when the log has it; what the kernel dropped is counted by yarder itself, and all must add up.
Per second of wall clock, and per second of the receiving process' CPU time: on few cores senders and receiver share them,
and the kernel's work for a datagram on loopback is done by who sends it.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('BUILD', os.path.join(ROOT, 'build/release'))
YARDER, FLOOR = os.path.join(BUILD, 'yarder'), os.path.join(BUILD, 'bench/bench-udpfloor')


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def send(port, args):
    """Starts the senders, waits for them: datagrams sent, seconds."""
    began = time.monotonic()
    runs = [subprocess.Popen([FLOOR, 'send', str(port), str(args.size), str(args.seconds)], stdout=subprocess.PIPE)
            for _ in range(args.senders)]
    sent = sum(int(r.communicate(timeout=args.seconds + 60)[0]) for r in runs)
    return sent, time.monotonic() - began


def floor(args):
    port = free_udp_port()
    receiver = subprocess.Popen([FLOOR, 'receive', str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    receiver.stdout.readline()
    before = cpu_seconds(receiver.pid)
    sent, seconds = send(port, args)
    time.sleep(0.3)
    cpu = cpu_seconds(receiver.pid) - before
    got, dropped = map(int, receiver.communicate(b'\n', timeout=30)[0].split())
    return sent, got, dropped, seconds, cpu


def status(data):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.relpath(data + '/status.sock'))
        text = b''
        while chunk := s.recv(1 << 16):
            text += chunk
    return json.loads(text)


def ours(args):
    with tempfile.TemporaryDirectory(prefix='yarder-bench-', dir=args.folder) as folder:
        port, data = free_udp_port(), folder + '/data'
        with open(folder + '/bench.yd', 'w') as f:
            f.write(f'u :: Udp(listen: "127.0.0.1:{port}", receive_buffer: 32MiB)\n'
                    'u -[queue: 64MiB, full: drop_old]-> raw :: Log(stream: "raw")\n')
        daemon = subprocess.Popen([YARDER, 'run', folder + '/bench.yd', '--data', data], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 20
            while not os.path.exists(data + '/status.sock') and time.monotonic() < end:
                time.sleep(0.05)
            before = cpu_seconds(daemon.pid)
            sent, seconds = send(port, args)

            def counts():
                s = status(data)
                pump = next(e for e in s['elements'] if e['name'] == 'u')['inputs'][0]
                log = next(i for e in s['elements'] if e['name'] == 'raw' for i in e['inputs'] if i['name'] == 'input')
                return pump['received'], pump['dropped'], sum(w['dropped'] for w in s['wires']), log['consumed']
            end = time.monotonic() + 30
            while time.monotonic() < end:
                received, dropped, at_wire, logged = counts()
                if received == sent and logged + dropped + at_wire == sent:
                    break
                time.sleep(0.1)
            cpu = cpu_seconds(daemon.pid) - before
            return sent, received, dropped, at_wire, logged, seconds, cpu
        finally:
            daemon.terminate()
            daemon.wait(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=200)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--senders', type=int, default=2)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--folder', default=None)
    args = parser.parse_args()
    good = True
    for run in range(args.runs):
        sent, got, dropped, seconds, cpu = floor(args)
        print(f'floor: sent {sent / seconds / 1e3:7.0f} k/s, received {got / seconds / 1e3:7.0f} k/s, '
              f'{got / cpu / 1e3:7.0f} k per CPU second, dropped {dropped}, unaccounted {sent - got - dropped}')
        sent, received, dropped, at_wire, logged, seconds, cpu = ours(args)
        lost = sent - dropped - at_wire - logged
        print(f'ours:  sent {sent / seconds / 1e3:7.0f} k/s, logged   {logged / seconds / 1e3:7.0f} k/s, '
              f'{logged / cpu / 1e3:7.0f} k per CPU second, dropped {dropped} by the kernel, {at_wire} at the wire, '
              f'unaccounted {lost}')
        good &= lost == 0
    return 0 if good else 1


sys.exit(main())
