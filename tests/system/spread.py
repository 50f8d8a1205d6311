#!/usr/bin/env python3
"""Inputs that are spread over executors: who parses, what stays in order, limits, refusals, and what the kernel drops."""
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import threading

from harness import YARDER, Daemon, Skip, check_identity, free_port, main, wait_for

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}", udp: "127.0.0.1:{graphite}", MORE)
graphite -> File(path: "out.jsonl")
'''
HISTORY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
graphite -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
'''


def daemon_in(folder, more='idle: 1h', topology=TOPOLOGY):
    os.makedirs(folder, exist_ok=True)
    return Daemon(folder, topology.replace('MORE', more), args=['--executors', '2'],
                  ports={'graphite': free_port(), 'tsdb': free_port()})


def pump_of(daemon):
    return next(p for p in daemon.element('graphite')['inputs'] if p['name'] == 'pump')


def records_of_pumps(daemon):
    return [p['records'] for p in daemon.element('graphite')['pumps']]


def connect(daemon, count):
    return [socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) for _ in range(count)]


def sequences(folder):
    """The values of each name in the order in which they were written."""
    found = {}
    for line in open(folder + '/out.jsonl'):
        record = json.loads(line)
        found.setdefault(record['name'], []).append(int(record['value']))
    return found


def in_parallel(tasks):
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def connections_are_parsed_by_all_executors_in_order(folder):
    """40 connections: both executors read and parse, what each sent is there in its order, the counters add up"""
    with daemon_in(folder) as daemon:
        peers, count = connect(daemon, 40), 500
        bad = b'this is no line at all\n'

        def send(i):
            for at in range(0, count, 50):
                peers[i].sendall(b''.join(b'c.%d %d 1700000000\n' % (i, n) for n in range(at, at + 50)) + bad)

        in_parallel([lambda i=i: send(i) for i in range(len(peers))])
        sent, wrong = len(peers) * count, len(peers) * 10
        wait_for(lambda: pump_of(daemon)['received'] == sent + wrong, why='the lines')
        pumps = daemon.element('graphite')['pumps']
        assert len(pumps) == 2 and {p['executor'] for p in pumps} == {0, 1}, pumps
        assert all(p['records'] == sent / 2 for p in pumps), pumps  # none has gone, the fewest gets the next: half each
        status = daemon.status()
        assert all(e['sockets_ns'] > 0 for e in status['executors']), status['executors']
        check_identity(status)
        assert pump_of(daemon)['rejected'] == wrong
        peer = daemon.element('graphite')['peers']
        assert sum(p['rejected'] for p in peer) == wrong and len(peer) == 1, peer  # of one host, over both pumps
        for peer in peers:
            peer.close()
        daemon.stop()
    assert sequences(folder) == {'c.%d' % i: list(range(count)) for i in range(40)}


def one_executor_is_enough_if_so_said(folder):
    """spread: 1: all is parsed by one executor"""
    with daemon_in(folder, 'spread: 1') as daemon:
        for peer in connect(daemon, 10):
            peer.sendall(b'a 1 1700000000\n')
            peer.close()
        wait_for(lambda: records_of_pumps(daemon) == [10], why='the lines')


def the_limit_is_of_all_executors_together(folder):
    """max_connections: 10: of 16 connections exactly 6 are refused; one that goes makes room for another"""
    with daemon_in(folder, 'max_connections: 10') as daemon:
        peers = connect(daemon, 16)
        for peer in peers:
            try:
                peer.sendall(b'a 1 1700000000\n')
            except OSError:
                pass
        wait_for(lambda: pump_of(daemon)['consumed'] == 10, why='the ten')

        def is_closed(peer):
            try:
                return peer.recv(1) == b''
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        for peer in peers:
            peer.setblocking(False)
        wait_for(lambda: sum(is_closed(peer) for peer in peers) >= 6, why='that six are closed')
        open_ones = [peer for peer in peers if not is_closed(peer)]
        assert len(open_ones) == 10, len(open_ones)
        assert sorted(records_of_pumps(daemon)) == [5, 5]
        open_ones[3].close()

        def again():
            with socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) as s:
                s.settimeout(60)
                s.sendall(b'a 2 1700000000\n')
                s.shutdown(socket.SHUT_WR)
                s.recv(1)  # until it is closed, be it refused or read to its end
            return pump_of(daemon)['consumed'] >= 11

        wait_for(again, why='room for another')
        check_identity(daemon.status())


def datagrams_of_many_senders_are_parsed_by_all_executors(folder):
    """32 senders over UDP: both executors parse, each sender's stay in order, sent = received + dropped by the kernel"""
    with daemon_in(folder) as daemon:
        senders, count = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(32)], 400

        def send(i):
            for n in range(count):
                senders[i].sendto(b'u.%d %d 1700000000\n' % (i, n), ('127.0.0.1', daemon.ports['graphite']))
            senders[i].sendto(b'this is no line\n', ('127.0.0.1', daemon.ports['graphite']))

        in_parallel([lambda i=i: send(i) for i in range(len(senders))])
        wait_for(lambda: pump_of(daemon)['received'] == len(senders) * (count + 1), why='all of it')
        element = daemon.element('graphite')
        assert sum(p['rejected'] for p in element['peers']) == pump_of(daemon)['rejected'] > 0, element['peers']
        assert all(sample['peer'].startswith('127.0.0.1:') for sample in element['samples']), element['samples']
        assert all(n > 0 for n in records_of_pumps(daemon)), records_of_pumps(daemon)
        check_identity(daemon.status())
        lost = pump_of(daemon)['dropped'] + pump_of(daemon)['rejected']
        daemon.stop()
    found = sequences(folder)
    assert all(values == sorted(values) for values in found.values())
    assert sum(len(values) for values in found.values()) == len(senders) * (count + 1) - lost


def a_full_wire_stops_all_connections(folder):
    """while what it sends is blocked no connection is read by any executor; then all goes on, in order, nothing lost"""
    blocked = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -[queue: 64KiB]-> out :: Print(format: "value")
'''
    with daemon_in(folder, topology=blocked) as daemon:
        peers, each, pad = [], 60_000, b'x' * 300
        for _ in range(6):
            peers.append(socket.socket())
            peers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            peers[-1].connect(('127.0.0.1', daemon.ports['graphite']))
        sent = [0] * len(peers)

        def send(i):
            for n in range(0, each, 100):
                peers[i].sendall(b''.join(b'w;pad=%s %d 1700000000\n' % (pad, i * 1_000_000 + k) for k in range(n, n + 100)))
                sent[i] = n + 100
            peers[i].close()

        threads = [threading.Thread(target=send, args=[i]) for i in range(len(peers))]
        for thread in threads:
            thread.start()
        last = []

        def stands_still():
            element = daemon.element('graphite')
            last.append((list(sent), pump_of(daemon)['received'], element['blocked']))
            return len(last) > 5 and element['blocked'] and last[-1] == last[-6]

        wait_for(stands_still, pause=0.1, why='a standstill')
        status = daemon.status()
        check_identity(status)
        assert daemon.element('graphite')['blocked'] and min(sent) < each, sent  # of some the sockets may hold all
        printed = []

        def read():
            while chunk := os.read(daemon.process.stdout.fileno(), 1 << 16):
                printed.append(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: pump_of(daemon)['received'] == each * len(peers), why='all of it')
        assert all(n > 0 for n in records_of_pumps(daemon)), records_of_pumps(daemon)
        check_identity(daemon.status())
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(90) == 0, daemon.stderr()
        reader.join()
        values = [int(float(v)) for v in b''.join(printed).split()]
        for i in range(len(peers)):
            assert [v % 1_000_000 for v in values if v // 1_000_000 == i] == list(range(each)), i


def what_the_kernel_drops_is_told_though_nothing_follows(folder):
    """a stopped daemon with a small receive buffer: what did not fit is counted, without another datagram"""
    with daemon_in(folder, 'receive_buffer: 8KiB') as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
        for n in range(100):
            for i, sender in enumerate(senders):
                sender.sendto(b'd.%d %d 1700000000\n' % (i, n), ('127.0.0.1', daemon.ports['graphite']))
        daemon.process.send_signal(signal.SIGCONT)
        wait_for(lambda: pump_of(daemon)['received'] == 1600, why='the account of all of it')
        reasons = {r['reason']: r['dropped'] for r in daemon.element('graphite')['reasons'] if r['dropped']}
        assert list(reasons) == ['datagram dropped by the kernel'] and 0 < reasons['datagram dropped by the kernel'] < 1600
        check_identity(daemon.status())


EVERY = '''
statsd :: Statsd(listen: "127.0.0.1:{statsd}", tcp: "127.0.0.1:{statsd}", aggregate: false)
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
influx :: Influx(listen: "", udp: "127.0.0.1:{influx}")
pickle :: GraphitePickle(listen: "127.0.0.1:{pickle}")
tsdp :: Tsdp(listen: "127.0.0.1:{tsdp}", udp: "127.0.0.1:{tsdp}")
statsd, tsdb, influx, pickle, tsdp -> File(path: "out.jsonl")
'''


def every_way_in_is_spread(folder):
    """StatsD (UDP, TCP), OpenTSDB's telnet, Influx over UDP, pickles and TSDP: both executors take part, nothing is lost"""
    ports = {name: free_port() for name in ('statsd', 'tsdb', 'influx', 'pickle', 'tsdp')}
    with Daemon(folder, EVERY, args=['--executors', '2'], ports=ports) as daemon:

        def each_over(kind, name, what, times=10):
            for i in range(24):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.connect(('127.0.0.1', ports[name]))
                    for _ in range(times):
                        s.sendall(what)
                    if kind == socket.SOCK_STREAM:
                        kept.append(s.dup())  # stays open: the next one goes elsewhere

        kept = []
        each_over(socket.SOCK_DGRAM, 'statsd', b's:1|g\n')
        each_over(socket.SOCK_STREAM, 'statsd', b's:1|g\n')
        each_over(socket.SOCK_STREAM, 'tsdb', b'put t 1700000000 1 a=b\n')
        each_over(socket.SOCK_DGRAM, 'influx', b'i v=1 1700000000000000000\n')
        body = pickle.dumps([('p', (1700000000, 1.0))], protocol=2)
        each_over(socket.SOCK_STREAM, 'pickle', struct.pack('!I', len(body)) + body)

        def takes(name, count):
            element = daemon.element(name)
            port = next(p for p in element['inputs'] if p['name'] == 'pump')
            return port['received'] == count and all(p['records'] > 0 for p in element['pumps']) and len(element['pumps']) == 2

        for name, count in (('statsd', 480), ('tsdb', 240), ('influx', 240), ('pickle', 240)):
            wait_for(lambda: takes(name, count), why=f'{count} at {name}')
        with socket.create_connection(('127.0.0.1', ports['tsdb'])) as s:  # on whichever executor: of all
            s.settimeout(60)
            s.sendall(b'stats\nexit\n')
            told = s.makefile().read()
        found = {line.split()[-1]: line.split()[2] for line in told.splitlines()}
        assert found['type=telnet'] == '241' and found['type=open'] == '25', told
        check_identity(daemon.status())
        for s in kept:
            s.close()
        daemon.stop()
    names = [json.loads(line)['name'].split()[0] for line in open(folder + '/out.jsonl')]
    found = {name: names.count(name) for name in set(names)}
    assert found == {'s': 480, 't': 240, 'i_v': 240, 'p': 240}, found


def another_daemon_cannot_have_half_of_it(folder):
    """a second daemon at the same UDP address is refused, and the first goes on to get everything"""
    with daemon_in(folder + '/one', topology=TOPOLOGY.replace('listen: "127.0.0.1:{graphite}"', 'listen: ""')) as daemon:
        other = folder + '/two'
        os.makedirs(other)
        done = subprocess.run([YARDER, 'run', daemon.file, '--data', other + '/data', '--executors', '2'], cwd=other,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode != 0 and f'cannot listen on 127.0.0.1:{daemon.ports["graphite"]}' in done.stderr, done
        for n in range(64):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b'a %d 1700000000\n' % n, ('127.0.0.1', daemon.ports['graphite']))
        wait_for(lambda: pump_of(daemon)['consumed'] == 64, why='all of it')


def a_granted_buffer_that_is_smaller_is_said(folder):
    """without the right to more than rmem_max the granted receive buffer is said, with what to do"""
    limit = int(open('/proc/sys/net/core/rmem_max').read())
    if limit >= 1 << 29:
        raise Skip(f'net.core.rmem_max is {limit}')
    daemon = daemon_in(folder, 'receive_buffer: 1GiB')
    if os.geteuid() == 0:
        daemon.prefix = ['setpriv', '--bounding-set', '-net_admin']
    with daemon:
        wait_for(lambda: 'raise net.core.rmem_max' in daemon.stderr(), why='the line')


def a_stop_takes_all_that_was_accepted(folder):
    """connections come and go while it stops: it ends in order and the counters of its last words add up"""
    with daemon_in(folder) as daemon:
        going = True

        def knock():
            while going:
                try:
                    with socket.create_connection(('127.0.0.1', daemon.ports['graphite']), timeout=60) as s:
                        s.sendall(b'k 1 1700000000\n')
                except OSError:
                    return

        threads = [threading.Thread(target=knock) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: min(records_of_pumps(daemon) + [1000]) > 0 and pump_of(daemon)['consumed'] > 200, why='a lot')
        finally:
            daemon.process.send_signal(signal.SIGTERM)
            going = False
            for thread in threads:
                thread.join()
        assert daemon.process.wait(90) == 0, daemon.stderr()


def after_kill_9_each_connection_has_a_prefix(folder):
    """kill -9 under 8 connections: of each what is kept is the beginning of what it sent, none twice; then it goes on"""
    with daemon_in(folder, topology=HISTORY) as daemon:
        peers = connect(daemon, 8)

        def send(i):
            try:
                for n in range(20000):
                    peers[i].sendall(b'k.%d %d %d\n' % (i, n, 1700000000 + n))
            except OSError:
                pass

        threads = [threading.Thread(target=send, args=[i]) for i in range(len(peers))]
        for thread in threads:
            thread.start()

        def kept(i):
            answer = daemon.query(f'none:k.{i}', start='1700000000', end='1700100000')
            return [int(v) for _, v in sorted(answer[0]['dps'].items())] if isinstance(answer, list) and answer else []

        wait_for(lambda: all(kept(i) for i in range(8)), why='a part of each')
        daemon.kill()
        for thread in threads:
            thread.join()
        daemon.start()
        daemon.lines('after 1 1700000000\n')
        # It stands in the stream behind all that was kept.
        wait_for(lambda: daemon.query('none:after', start='1700000000', end='1700100000')[0]['dps'], why='the line after')
        found = [kept(i) for i in range(8)]
        assert all(values == list(range(len(values))) for values in found), [values[:10] for values in found]
        assert sum(len(values) for values in found) > 0
        check_identity(daemon.status())


main(connections_are_parsed_by_all_executors_in_order, one_executor_is_enough_if_so_said,
     the_limit_is_of_all_executors_together, datagrams_of_many_senders_are_parsed_by_all_executors,
     a_full_wire_stops_all_connections, what_the_kernel_drops_is_told_though_nothing_follows, another_daemon_cannot_have_half_of_it, every_way_in_is_spread,
     a_granted_buffer_that_is_smaller_is_said, a_stop_takes_all_that_was_accepted, after_kill_9_each_connection_has_a_prefix)
