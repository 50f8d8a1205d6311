#!/usr/bin/env python3
"""The element GraphitePickle in real runs: Python's own pickles in all protocols, in pieces, and hostile ones."""
import os
import pickle
import socket
import struct

from harness import Daemon, check_identity, free_port, main, wait_for

TOPOLOGY = '''
pickles :: GraphitePickle(listen: "127.0.0.1:{pickle}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
pickles -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
pickles.rejects -> File(path: "rejects.jsonl", format: "json")
'''
START = 1_700_000_000


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY, ports={'pickle': free_port(), 'tsdb': free_port()})


def frame(value, protocol=2):
    body = pickle.dumps(value, protocol)
    return struct.pack('!L', len(body)) + body


def connect(daemon):
    return socket.create_connection(('127.0.0.1', daemon.ports['pickle']), timeout=100)


def points(daemon, name):
    answer = daemon.query(f'none:{name}', start=str(START - 10))
    return {int(k): v for series in answer if isinstance(series, dict) and 'dps' in series for k, v in series['dps'].items()}


def reasons(daemon):
    return {r['reason']: r['rejected'] for r in daemon.element('pickles')['reasons'] if r['rejected']}


def all_protocols_arrive(folder):
    """each protocol, one connection, a byte at a time and in one piece: every point is stored"""
    with daemon_in(folder) as daemon:
        with connect(daemon) as s:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                for byte in frame([('slow', (START + protocol, protocol))], protocol):
                    s.sendall(bytes([byte]))
            s.sendall(b''.join(frame([(f'quick.{i % 100};by=ten', (START + i, i / 2)) for i in range(p * 1000, p * 1000 + 1000)], p)
                               for p in range(pickle.HIGHEST_PROTOCOL + 1)))
        wait_for(lambda: points(daemon, 'slow') == {START + i: i for i in range(pickle.HIGHEST_PROTOCOL + 1)}, why='the slow ones')
        last = 1000 * (pickle.HIGHEST_PROTOCOL + 1)
        wait_for(lambda: len(points(daemon, 'quick.7')) == last // 100, why='the quick ones')
        assert points(daemon, 'quick.7') == {START + i: i / 2 for i in range(7, last, 100)}
        assert not reasons(daemon), reasons(daemon)
        check_identity(daemon.status())


class Call:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def hostile_pickles_run_nothing(folder):
    """calls are refused, junk is counted, a frame too large ends its connection; good frames beside them are stored"""
    with daemon_in(folder) as daemon:
        owned = folder + '/owned'
        with connect(daemon) as s:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                s.sendall(frame([('a', (START, 1)), Call(owned)], protocol))
            s.sendall(struct.pack('!L', 5) + b'junk.' + frame({'a': 1}) + frame([('good', (START, 1)), ('bad', 7)]))
            wait_for(lambda: points(daemon, 'good') == {START: 1}, why='the good one')
            s.sendall(struct.pack('!L', (1 << 20) + 1))
            assert s.recv(1) == b''
        with connect(daemon) as s:
            s.sendall(frame([('next', (START, 2))]) + frame([('lost', (START, 2))])[:-3])
        wait_for(lambda: points(daemon, 'next') == {START: 2}, why='who comes later')
        wait_for(lambda: 'connection lost inside a frame' in reasons(daemon), why='the cut one')
        assert reasons(daemon) == {'pickle with code refused': pickle.HIGHEST_PROTOCOL + 1, 'bad pickle': 2, 'not a point': 1,
                                   'frame larger than 1 MiB': 1, 'connection lost inside a frame': 1}, reasons(daemon)
        assert not os.path.exists(owned) and not points(daemon, 'a')
        wait_for(lambda: len(open(folder + '/rejects.jsonl').readlines()) == pickle.HIGHEST_PROTOCOL + 6, why='the rejects as records')
        assert 'connection lost inside a frame' in open(folder + '/rejects.jsonl').read()
        check_identity(daemon.status())


main(all_protocols_arrive, hostile_pickles_run_nothing)
