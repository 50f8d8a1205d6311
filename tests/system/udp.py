#!/usr/bin/env python3
"""The element Udp in real runs: at full load each datagram is in the log or counted; multicast; its clock; its end."""
import json
import signal
import socket
import struct
import subprocess
import sys
import time

from harness import Daemon, Skip, check_identity, free_port, main, wait_for, yarder

TOPOLOGY = '''
rocket :: Udp(listen: "{listen}", name: "rocket"{more})
rocket -[full: drop_old]-> raw :: Log(stream: "raw")
'''
SENDER = r'''
import socket, struct, sys, time
port, first, count, size = map(int, sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('127.0.0.1', port))
rest = b'x' * (size - 8)
sent = 0
for i in range(first, first + count):
    s.send(struct.pack('>Q', i) + rest)
'''


def daemon_in(folder, port, more='', listen='127.0.0.1:{}'):
    return Daemon(folder, TOPOLOGY.replace('{listen}', listen.format(port)).replace('{more}', more), ports={'x': port})


def logged(folder):
    """(time in ns, bytes) of each record of the stream, by the command line."""
    out = yarder('log', 'cat', '--json', folder + '/data/streams/raw/0', check=0, timeout=120).stdout
    for line in out.splitlines():
        record = json.loads(line)
        assert record['kind'] == 'PACKET' and record['name'] == 'rocket', record
        yield record


def udp(daemon):
    e = daemon.element('rocket')
    dropped = {r['reason']: r['dropped'] + r['rejected'] for r in e['reasons']}
    return next(i for i in e['inputs'] if i['name'] == 'pump'), dropped


def at_full_load_received_is_logged_plus_counted(folder):
    """40,000 datagrams of each of three senders, a small buffer: by their numbers each is in the log once, or counted"""
    port, each = free_port(), 40000
    with daemon_in(folder, port, ', receive_buffer: 64KiB') as daemon:
        daemon.process.send_signal(signal.SIGSTOP)  # so that the kernel has to drop some
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for i in range(2000):
                s.sendto(struct.pack('>Q', 3 * each + i) + bytes(192), ('127.0.0.1', port))
        daemon.process.send_signal(signal.SIGCONT)
        senders = [subprocess.Popen([sys.executable, '-c', SENDER, str(port), str(i * each), str(each), '200']) for i in range(3)]
        daemon.children += senders
        for sender in senders:
            assert sender.wait(120) == 0
        total = 3 * each + 2000
        wait_for(lambda: udp(daemon)[0]['received'] == total, why='everything received or counted')
        wait_for(lambda: udp(daemon)[0]['queued'] == 0, why='everything passed on')
        counts, reasons = udp(daemon)
        status = daemon.status()
        check_identity(status)
        wire = sum(w['dropped'] for w in status['wires'])
        daemon.stop()
        numbers = [int(r['blob'][:16], 16) for r in logged(folder)]
        assert len(numbers) == len(set(numbers)), 'twice'
        lost = reasons['dropped by the kernel: not read in time']
        assert counts['dropped'] == lost > 0 and counts['rejected'] == 0
        assert len(numbers) + lost + wire == total, (len(numbers), lost, wire, total)
        for i in range(4):  # of each sender in its order
            mine = [n for n in numbers if i * each <= n < (i + 1) * each]
            assert mine == sorted(mine)


def what_arrived_before_the_stop_is_logged(folder):
    """SIGTERM behind a burst: what the kernel had is read first, and the times are the kernel's"""
    port = free_port()
    with daemon_in(folder, port) as daemon, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(('127.0.0.1', port))
        daemon.process.send_signal(signal.SIGSTOP)
        before = time.time_ns()
        for i in range(1000):
            s.send(struct.pack('>Q', i) + bytes(92))
        after = time.time_ns()
        time.sleep(0.3)  # the stamps must be of before it
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.process.wait(90) == 0, daemon.stderr()
        records = list(logged(folder))
        assert [int(r['blob'][:16], 16) for r in records] == list(range(1000)), len(records)
        first, last = (nanoseconds(records[i]['time']) for i in (0, -1))
        assert before <= first <= last <= after + 50_000_000, (before, first, last, after)


def nanoseconds(text):
    """of "2026-11-21T01:02:03.123456789Z"."""
    import calendar
    whole, _, fraction = text.rstrip('Z').partition('.')
    return calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) * 10**9 + int((fraction + '0' * 9)[:9])


def groups_are_joined(folder):
    """multicast at an interface, by two elements at one port"""
    port = free_port()
    topology = f'''
rocket :: Udp(listen: "239.255.77.7:{port}", interface: "lo", name: "rocket")
other :: Udp(listen: "239.255.77.8:{port}", interface: "lo", name: "other")
rocket -> raw :: Log(stream: "raw")
other -> Null()
'''
    with Daemon(folder, topology, ports={'x': port}) as daemon, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1'))
        try:
            for i in range(10):
                s.sendto(struct.pack('>Q', i), ('239.255.77.7', port))
                s.sendto(struct.pack('>Q', 100 + i), ('239.255.77.8', port))
        except OSError as error:
            raise Skip(f'no multicast here: {error}')
        wait_for(lambda: udp(daemon)[0]['received'] >= 10, why='ten of its own group')
        wait_for(lambda: daemon.element('other')['inputs'][0]['received'] >= 10, why='ten of the other group')
        assert udp(daemon)[0]['received'] == daemon.element('other')['inputs'][0]['received'] == 10
        daemon.stop()
        assert [int(r['blob'][:16], 16) for r in logged(folder)] == list(range(10))


def strangers_and_odd_sizes_are_rejected(folder):
    """by reason, with their peer; good ones beside them are logged"""
    port = free_port()
    with daemon_in(folder, port, ', sources: ["127.0.0.1"], min_size: 8B, max_size: 100B') as daemon:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as t:
            t.bind(('127.0.0.2', 0))
            for size in (0, 7, 8, 100, 101, 60000):
                s.sendto(bytes(size), ('127.0.0.1', port))
            t.sendto(bytes(50), ('127.0.0.1', port))
        want = {'smaller than min_size': 2, 'larger than max_size': 2, 'source not allowed': 1}
        wait_for(lambda: {k: v for k, v in udp(daemon)[1].items() if v} == want, why='the reasons')
        wait_for(lambda: udp(daemon)[0]['received'] == 7, why='all')
        check_identity(daemon.status())
        daemon.stop()
        assert [len(r['blob']) for r in logged(folder)] == [16, 200]


main(at_full_load_received_is_logged_plus_counted, what_arrived_before_the_stop_is_logged, groups_are_joined,
     strangers_and_odd_sizes_are_rejected)
