#!/usr/bin/env python3
"""udp: datagrams over loopback into the durable log and into shared memory, one receiving thread, beside bare recvmmsg.

    ./dev bench udp [--size 200] [--seconds 4] [--senders 1] [--rates 250,300,400,0] [--nice -10]

Senders (bench-udpfloor send) are processes of their own on the last core; a datagram begins with its number and its
sender's. The kernel cuts their messages into datagrams (UDP_SEGMENT): otherwise it is the sender that is measured, since
on loopback it does the kernel's whole work for a datagram. At each rate, in thousands a second (0: as fast as it goes):

  floor     bench-udpfloor receive: recvmmsg of 64 with time stamps and drop counts, and nothing done with what came
  log       Udp -> Log, durable, `drop_old` in between
  log+live  the same, and Udp -> Decom -> Live: 8 measurements of each datagram in the receiving thread

Ours is counted when the log has it. What came is checked three ways: sent = logged + dropped by the kernel + dropped at
the wire, by yarder's own counters; the same number of different datagrams in the log's files, by the numbers in them
(bench-udpcheck); none twice and none out of order. Any difference fails. A rate is held when nothing was dropped.
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
YARDER, FLOOR, CHECK = (os.path.join(BUILD, p) for p in ('yarder', 'bench/bench-udpfloor', 'bench/bench-udpcheck'))
DEFINITION = """packet p
  number u64le
  sender u64le
  a u16[3]
  b i16[3] scale 0.1
  ...
"""


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def start(command, args, core=None, **more):
    def prepare():
        try:
            os.setpriority(os.PRIO_PROCESS, 0, args.nice)
        except PermissionError:
            pass
        if core is not None:
            os.sched_setaffinity(0, {core})
    return subprocess.Popen(command, preexec_fn=prepare, **more)


def send(port, args, rate):
    """Starts the senders, waits for them: datagrams sent, seconds."""
    cores = sorted(os.sched_getaffinity(0))
    began = time.monotonic()
    runs = [start([FLOOR, 'send', str(port), str(args.size), str(args.seconds), str(rate / args.senders), str(i)], args,
                  cores[-1], stdout=subprocess.PIPE) for i in range(args.senders)]
    sent = sum(int(r.communicate(timeout=args.seconds + 60)[0]) for r in runs)
    return sent, time.monotonic() - began


def floor(args, rate):
    port = free_udp_port()
    receiver = start([FLOOR, 'receive', str(port)], args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    receiver.stdout.readline()
    before = cpu_seconds(receiver.pid)
    sent, seconds = send(port, args, rate)
    time.sleep(0.3)
    cpu = cpu_seconds(receiver.pid) - before
    got, dropped = map(int, receiver.communicate(b'\n', timeout=30)[0].split())
    return {'sent': sent, 'got': got, 'kernel': dropped, 'wire': 0, 'seconds': seconds, 'cpu': cpu, 'wrong': []}


def status(data):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.relpath(data + '/status.sock'))
        text = b''
        while chunk := s.recv(1 << 16):
            text += chunk
    return json.loads(text)


def ours(args, rate, live):
    with tempfile.TemporaryDirectory(prefix='yarder-bench-', dir=args.folder) as folder:
        port, data = free_udp_port(), folder + '/data'
        with open(folder + '/bench.ydm', 'w') as f:
            f.write(DEFINITION)
        with open(folder + '/bench.yd', 'w') as f:
            f.write(f'u :: Udp(listen: "127.0.0.1:{port}", receive_buffer: 32MiB)\n'
                    'u -[queue: 64MiB, full: drop_old]-> raw :: Log(stream: "raw")\n')
            if live:
                f.write(f'u -> decom :: Decom(definition: "{folder}/bench.ydm") -> live :: Live()\n'
                        'decom.rejects -[full: drop_old]-> Log(stream: "rejects", size: 64MiB)\n')
        errors = open(folder + '/errors', 'w')
        daemon = start([YARDER, 'run', folder + '/bench.yd', '--data', data], args, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            end = time.monotonic() + 20
            while not os.path.exists(data + '/status.sock') and time.monotonic() < end:
                if daemon.poll() is not None:
                    raise SystemExit(open(folder + '/errors').read())
                time.sleep(0.05)
            before = cpu_seconds(daemon.pid)
            sent, seconds = send(port, args, rate)

            def counts():
                s = status(data)
                inputs = {e['name']: e['inputs'] for e in s['elements']}
                log = next(i for i in inputs['raw'] if i['name'] == 'input')
                pump = inputs['u'][0]
                decoded = inputs['decom'][0]['consumed'] if live else sent
                return pump['received'], pump['dropped'], sum(w['dropped'] for w in s['wires']), log['consumed'], decoded
            end = time.monotonic() + 30
            while time.monotonic() < end:
                received, dropped, at_wire, logged, decoded = counts()
                if received == sent and logged + dropped + at_wire == sent:
                    break
                time.sleep(0.1)
            cpu = cpu_seconds(daemon.pid) - before
        finally:
            daemon.terminate()
            daemon.wait(30)
        count, different, late = map(int, subprocess.run([CHECK, data + '/streams/raw/0', str(args.senders)], check=True,
                                                         capture_output=True, timeout=120).stdout.split())
        wrong = []
        if sent != logged + dropped + at_wire:
            wrong.append(f'{sent} sent, but {logged} logged + {dropped} + {at_wire} dropped')
        if not count == different == logged or late:
            wrong.append(f'{logged} logged, but {count} in the files, {different} different, {late} late')
        if live and decoded != sent - dropped:
            wrong.append(f'{sent - dropped} received, but {decoded} decoded')
        return {'sent': sent, 'got': logged, 'kernel': dropped, 'wire': at_wire, 'seconds': seconds, 'cpu': cpu,
                'wrong': wrong}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=200)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--senders', type=int, default=1)
    parser.add_argument('--rates', default='250,300,400,0', help='thousands a second; 0: as fast as it goes')
    parser.add_argument('--nice', type=int, default=0, help='of all that is measured, where that is allowed')
    parser.add_argument('--folder', default=None)
    args = parser.parse_args()
    good, held = True, {}
    if args.nice:  # where sessions are scheduled as groups, that of the whole group counts
        try:
            with open('/proc/self/autogroup', 'w') as f:
                f.write(str(args.nice))
        except OSError:
            pass
    print(f'load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores, datagrams of {args.size} bytes, '
          f'{args.seconds:g} s each')
    for rate in [float(r) * 1000 for r in args.rates.split(',')]:
        for name, run in (('floor', lambda: floor(args, rate)), ('log', lambda: ours(args, rate, False)),
                          ('log+live', lambda: ours(args, rate, True))):
            r = run()
            lost = r['sent'] - r['got'] - r['kernel'] - r['wire']
            print(f'{name:9} sent {r["sent"] / r["seconds"] / 1e3:5.0f} k/s, arrived {r["got"] / r["seconds"] / 1e3:5.0f} k/s, '
                  f'{r["got"] / max(r["cpu"], 0.01) / 1e3:5.0f} k per CPU second, dropped {r["kernel"]} by the kernel, '
                  f'{r["wire"]} at the wire, unaccounted {lost}', *r['wrong'], sep='; ' if r['wrong'] else '', flush=True)
            good &= lost == 0 and not r['wrong']
            if r['got'] == r['sent']:
                held[name] = max(held.get(name, 0), r['got'] / r['seconds'] / 1e3)
    print('held without any loss:', ', '.join(f'{name} {rate:.0f} k/s' for name, rate in held.items()) or 'none',
          '(goal: 250 k/s)')
    return 0 if good else 1


sys.exit(main())
