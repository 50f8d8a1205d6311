#!/usr/bin/env python3
"""The native protocol against a real daemon, spoken by a client that shares no code with it."""
import os
import socket
import struct
import time

from harness import Daemon, check_identity, free_port, main, wait_for
from native_client import (APPEND, BATCHES, CREDIT, DURABLE, END, GOODBYE, HELLO, MEMORY, OPEN, PING, PONG, POSITION, SEQNO,
                           TAIL, WRITTEN, Native, Refused, batch, batches_of)

TOPOLOGY = '''
native :: Native(listen: "127.0.0.1:{native}", unix: "native.sock", create: true)
Graphite(listen: "127.0.0.1:{graphite}") -> metrics :: Log(stream: "metrics")
'''


def daemon(folder, topology=TOPOLOGY, **more):
    ports = {'graphite': free_port(), 'native': free_port()}
    return Daemon(folder, topology=topology, ports=ports, **more)


def refused(error, what):
    try:
        what()
    except Refused as why:
        assert why.error == error, why
        return why
    raise AssertionError(f'was not refused with {error}')


def appends_come_back_by_subscription(folder):
    """what was appended at durable comes back by a subscription, over TCP and over a Unix socket"""
    with daemon(folder) as d:
        for address in (d.ports['native'], folder + '/native.sock'):
            with Native(address) as n:
                assert n.server.startswith('yarder '), n.server
                opened = n.open('metrics')
                assert opened['partitions'] == 1 and opened['dir'].endswith('/streams/metrics/0'), opened
                at = opened['durable']
                done = n.append(opened['handle'], [batch([at, at + 1]), batch([at + 2])])
                assert (done['first'], done['next'], done['level']) == (at, at + 3, DURABLE), done
                values, gaps, seqno = n.to_end(n.subscribe(opened['handle'], flags=2))
                assert values == list(range(at + 3)) and not gaps and seqno == at + 3, (values, seqno)
        check_identity(d.status())
        d.stop()


def a_log_without_wires_into_it_stays_open(folder):
    """a Log that only programs append to has readers; one whose last wire has ended is still appended to; both drain"""
    def done(d, element):
        return d.element(element)['inputs'][0]['consumed']

    with open(folder + '/in.txt', 'w') as f:
        f.write('a line\n')
    topology = ('native :: Native(listen: "127.0.0.1:{native}")\n'
                'alone :: Log(stream: "alone") -> a :: Count() -> Null()\n'
                f'Lines(path: "{folder}/in.txt") -> after :: Log(stream: "after") -> b :: Count() -> Null()\n')
    with daemon(folder, topology) as d, Native(d.ports['native']) as n:
        wait_for(lambda: done(d, 'b') == 1, why='the line')
        wait_for(lambda: any(e['class'] == 'Lines' and e['life'] == 'ended' for e in d.status()['elements']),
                 why='the end of the file')
        for stream, element, count in (('alone', 'a', 3), ('after', 'b', 4)):
            n.append(n.open(stream)['handle'], [batch([1, 2, 3])])
            wait_for(lambda: done(d, element) == count, why=f'what was appended to {stream}')
        check_identity(d.status())
        d.stop()


def producers_are_idempotent(folder):
    """a range sent again is in the stream once; gaps and older incarnations are refused with what is expected"""
    with daemon(folder) as d, Native(d.ports['native']) as n:
        h = n.open('metrics')['handle']
        sent = batch([1, 2], producer=7, epoch=1, seq=2)
        assert n.append(h, [sent], expect_prev=0)['duplicates'] == 0
        again = n.append(h, [sent], expect_prev=0)
        assert again['duplicates'] == 1 and again['next'] == 2, again
        why = refused('EGAP', lambda: n.append(h, [batch([9], producer=7, epoch=1, seq=9)], expect_prev=8))
        assert why.detail == 2, why.detail
        n.append(h, [batch([3], producer=7, epoch=2, seq=3)], expect_prev=2)
        why = refused('EEPOCH', lambda: n.append(h, [batch([4], producer=7, epoch=1, seq=4)]))
        assert why.detail == 2, why.detail
        why = refused('EGAP', lambda: n.append(h, [batch([5])], expect_seqno=99))
        assert why.detail == 3, why.detail
        opened = n.open('metrics', producer=7)
        assert (opened['producer_seq'], opened['producer_epoch']) == (3, 2), opened
        assert n.to_end(n.subscribe(h, flags=2))[0] == [1, 2, 3]
        native = d.element('native')
        check_identity(d.status())
        assert native, native
        d.stop()


def pipelined_appends_are_answered_in_order(folder):
    """a thousand appends sent without waiting are answered in order, and all are there after a restart"""
    with daemon(folder) as d:
        with Native(d.ports['native']) as n:
            h = n.open('made.here', create=True)['handle']
            sent = [n.send_append(h, [batch([i])]) for i in range(1000)]
            for i, correlation in enumerate(sent):
                kind, mine, body = n.receive()
                assert mine == correlation, (mine, correlation)
                assert struct.unpack_from('<QQ', body) == (i, i + 1)
        d.stop()
        d.start()
        with Native(d.ports['native']) as n:
            h = n.open('made.here')['handle']
            assert n.to_end(n.subscribe(h, flags=2))[0] == list(range(1000))
        d.stop()


def subscribers_follow_the_tail(folder):
    """a subscriber at the tail is told at once where it begins, gets what comes, and no more than its credit"""
    with daemon(folder) as d, Native(d.ports['native']) as n, Native(d.ports['native']) as writer:
        h, w = n.open('metrics')['handle'], writer.open('metrics')['handle']
        writer.append(w, [batch([1])])
        live = n.subscribe(h, start=TAIL, credit=8 + 1)
        kind, body = n.answer(live)
        assert kind == BATCHES and body == struct.pack('<Q', 1), (kind, body)
        writer.append(w, [batch([2])])
        kind, body = n.answer(live)
        assert kind == BATCHES and batches_of(body[8:]) == [(1, [2])], body
        writer.append(w, [batch([3])])
        n.send(PING, b'12345678', 99)
        assert n.answer(99) == (PONG, b'12345678')
        assert not [k for k in n.kept if k[1] == live], 'beyond the credit'
        n.send(CREDIT, struct.pack('<Q', 4096), live)
        kind, body = n.answer(live)
        assert batches_of(body[8:]) == [(2, [3])], body
        told = n.subscribe(h, flags=1)
        kind, body = n.answer(told)
        assert kind == POSITION and struct.unpack_from('<QQQ', body) == (0, 3, 3), body
        writer.append(w, [batch([4])])
        wait_for(lambda: struct.unpack_from('<QQQ', n.answer(told)[1])[2] == 4)
        d.stop()


def hostile_peers_harm_nobody(folder):
    """nonsense, giants, silence and single bytes end or delay their own connections only"""
    with daemon(folder) as d, Native(d.ports['native']) as good:
        h = good.open('metrics')['handle']
        hello = struct.pack('<IHHQIHHHHI', 32, HELLO, 0, 1, 0x50434459, 1, 1, 0, 0, 0)
        giant = struct.pack('<IHHQ', 512 << 20, APPEND, 0, 2)
        for sent in (b'GET / HTTP/1.1\r\n\r\n', giant, hello + giant, hello + struct.pack('<IHHQ', 17, PING, 0, 2),
                     hello + struct.pack('<IHHQ', 32, OPEN, 0, 3) + struct.pack('<HHIQ', 60000, 0, 0, 0),
                     hello + hello):
            with socket.create_connection(('127.0.0.1', d.ports['native'])) as s:
                s.settimeout(60)
                s.sendall(sent)
                data = b''
                while chunk := s.recv(4096):
                    data += chunk
                last = data[-struct.unpack_from('<I', data, 40 if len(data) > 60 else 0)[0]:] if data else b''
                assert data and GOODBYE in (struct.unpack_from('<IHHQ', data)[1],
                                            struct.unpack_from('<IHHQ', data, struct.unpack_from('<I', data)[0])[1]
                                            if len(data) > struct.unpack_from('<I', data)[0] else 0), (sent, data, last)
        slow = Native(d.ports['native'], hello=False)
        for byte in hello:
            slow.socket.sendall(bytes([byte]))
        assert slow.receive()[0] == 2
        half = Native(d.ports['native'])
        half.socket.sendall(struct.pack('<IHHQ', 64 << 20, APPEND, 0, 2) + bytes(100000))
        assert good.append(h, [batch([1])])['next'] == 1
        refused('EINVAL', lambda: good.open('../../etc'))
        refused('EINVAL', lambda: good.open('a/b/c'))
        refused('ENOENT', lambda: good.open('nobody'))
        refused('EINVAL', lambda: good.append(77, [batch([1])]))
        bad = bytearray(batch([5]))
        bad[140] ^= 1
        refused('ECORRUPT', lambda: good.append(h, [bytes(bad)]))
        assert good.append(h, [batch([2])])['next'] == 2
        check_identity(d.status())
        d.stop()


def tokens_are_asked_for(folder):
    """with a token file TCP peers must know the token; beyond loopback without any the start is refused"""
    with open(folder + '/token', 'w') as f:
        f.write('a secret\n')
    with daemon(folder, topology=TOPOLOGY.replace('create: true', f'token_file: "{folder}/token"')) as d:
        refused('EPERM', lambda: Native(d.ports['native']))
        refused('EPERM', lambda: Native(d.ports['native'], token='a secreT'))
        Native(d.ports['native'], token='a secret').close()
        Native(folder + '/native.sock').close()
        d.stop()
    os.mkdir(folder + '/open')
    d = daemon(folder + '/open', topology=TOPOLOGY.replace('127.0.0.1:{native}', '0.0.0.0:{native}'))
    d.start(wait=False)
    assert d.process.wait(90) == 1
    assert 'token' in d.stderr(), d.stderr()
    d.kill()


if __name__ == '__main__':
    main(appends_come_back_by_subscription,
         a_log_without_wires_into_it_stays_open, producers_are_idempotent, pipelined_appends_are_answered_in_order,
          subscribers_follow_the_tail, hostile_peers_harm_nobody, tokens_are_asked_for)
