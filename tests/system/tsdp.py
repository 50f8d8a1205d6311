#!/usr/bin/env python3
"""The element Tsdp in real runs: submissions over TCP and UDP, what heartbeats tell, hostile bytes."""
import os
import socket
import struct

from harness import Daemon, check_identity, free_port, main, wait_for

TOPOLOGY = '''
tsdp :: Tsdp(listen: "127.0.0.1:{tsdp}", udp: "127.0.0.1:{tsdp}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
tsdp -> metrics :: Log(stream: "metrics") -> history :: History()
tsdp.rejects -> File(path: "rejects.jsonl")
tsdb => history
'''
START = 1_700_000_000
SAMPLE, TALLY = 1, 2


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY, ports={'tsdp': free_port(), 'tsdb': free_port()})


def frame(kind, data, final=False):
    return struct.pack('>H', (final << 15) | kind << 12 | len(data)) + data


def message(opcode, payload, *frames, flags=0):
    body = b''.join(frame(kind, data, i == len(frames) - 1) for i, (kind, data) in enumerate(frames))
    return struct.pack('>BBH', 1 << 4 | opcode, flags, payload) + body


def sample(name, at, *values):
    return message(1, SAMPLE, (2, name.encode()), (6, struct.pack('>Q', at * 1000)), *[(1, struct.pack('>d', v)) for v in values])


def heartbeat(sent, flags=0):
    return message(0, 0, (6, struct.pack('>Q', START * 1000)), (0, struct.pack('>Q', sent)), flags=flags)


def points(daemon, name):
    answer = daemon.query(f'none:{name}', start=str(START - 10))
    return {int(k): v for s in answer if isinstance(s, dict) and 'dps' in s for k, v in s['dps'].items()}


def lost(daemon):
    return sum(r['dropped'] for r in daemon.element('tsdp')['reasons'] if 'heartbeats' in r['reason'])


def reasons(daemon):
    return {r['reason']: r['rejected'] for r in daemon.element('tsdp')['reasons'] if r['rejected']}


def closed(s):
    s.settimeout(60)
    try:
        return s.recv(1) == b''
    except ConnectionResetError:  # with bytes of ours unread
        return True


def submissions_are_stored(folder):
    """TCP in pieces, UDP several in a datagram: every value under its name"""
    with daemon_in(folder) as daemon:
        with socket.create_connection(('127.0.0.1', daemon.ports['tsdp'])) as s:
            for byte in sample('cpu host=web1', START, 1.5) + sample('host=web1,type=load', START + 1, 2.5):
                s.sendall(bytes([byte]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(sample('cpu host=web2', START, 3) + sample('cpu host=web2', START + 1, 4), ('127.0.0.1', daemon.ports['tsdp']))
        wait_for(lambda: points(daemon, 'cpu{host=web1}') == {START: 1.5}, why='the first')
        wait_for(lambda: points(daemon, 'tsdp{host=web1,type=load}') == {START + 1: 2.5}, why='the name of pairs alone')
        wait_for(lambda: points(daemon, 'cpu{host=web2}') == {START: 3, START + 1: 4}, why='the datagram')
        assert not reasons(daemon)
        check_identity(daemon.status())


def heartbeats_tell_what_was_lost(folder):
    """by sender: exactly what did not come, whether it counts its heartbeats or not; a count that begins again is no loss"""
    with daemon_in(folder) as daemon:
        for counts_itself in (1, 0):
            before = lost(daemon)
            with socket.create_connection(('127.0.0.1', daemon.ports['tsdp'])) as s:
                sent = 10

                def beat(came, missing, expect):
                    nonlocal sent
                    sent += came + missing + counts_itself
                    s.sendall(b''.join(sample('n', START + i, 1) for i in range(came)) + heartbeat(sent))
                    wait_for(lambda: lost(daemon) - before == expect, why=f'{expect} lost')
                s.sendall(sample('n', START, 1) + heartbeat(sent))
                beat(5, 0, 0)
                beat(5, 3, 3)
                beat(0, 0, 3)
                beat(7, 2, 5)
                sent = 0
                beat(4, 10, 5)  # begins again, as seen
                sent = 1_000_000
                s.sendall(heartbeat(sent, flags=0x80))  # as said
                beat(1, 1, 6)
                sent = 2**64 - 10
                beat(1, 0, 6)  # no sender makes such a jump: its counts begin anew
                beat(1, 1, 7)
        check_identity(daemon.status())


def hostile_bytes_cost_themselves(folder):
    """junk, half messages, HTTP: counted, given out; good ones beside them are stored"""
    with daemon_in(folder) as daemon:
        address = ('127.0.0.1', daemon.ports['tsdp'])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for bad in (b'x', sample('a', START, 1)[:-1], os.urandom(1200), struct.pack('>BBH', 0x21, 0, 1) + frame(2, b'a', True)):
                s.sendto(bad, address)
        with socket.create_connection(address) as s:
            s.sendall(sample('a', START, 1) + message(5, 0, (2, b'*')) + message(1, SAMPLE, (7, b'')) + sample('b', START, 2)[:-3])
        with socket.create_connection(address) as s:  # 20 frames of 4095 bytes and no end
            s.sendall(struct.pack('>BBH', 0x11, 0, 1) + frame(2, b'x' * 4095) * 20)
            assert closed(s)
        with socket.create_connection(address) as s:
            s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        wait_for(lambda: points(daemon, 'a') == {START: 1}, why='the good one')
        wait_for(lambda: {'unknown version', 'not a submission', 'wrong frames', 'message cut short',
                          'message larger than 64 KiB'} <= set(reasons(daemon)), why='the counts')
        wait_for(lambda: 'not a submission' in open(folder + '/rejects.jsonl').read(), why='the rejects as records')
        assert not points(daemon, 'b')
        check_identity(daemon.status())


main(submissions_are_stored, heartbeats_tell_what_was_lost, hostile_bytes_cost_themselves)
