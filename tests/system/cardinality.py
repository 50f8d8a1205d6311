"""Limits on new series by peer: one floods distinct names, the other keeps flowing; exact counts by peer."""
import json
import pickle
import socket
import struct
import time

from harness import Daemon, free_port, check_identity, main, wait_for, yarder

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}", udp: "127.0.0.1:{graphite}")
graphite -> relabel :: Relabel(rules: [{ match: "*", tags: {dc: "eu"} }])
         -> limit :: Cardinality(rules: [{ by: "peer", max: 100 }]) -> metrics :: Log(stream: "metrics") -> history :: History()
native :: Native(listen: "127.0.0.1:{native}")
'''


def send(daemon, source, text):
    with socket.create_connection(('127.0.0.1', daemon.ports['graphite']), source_address=(source, 0)) as s:
        s.sendall(text.encode())


def daemon_in(folder):
    return Daemon(folder, topology=TOPOLOGY, ports={'graphite': free_port(), 'native': free_port()})


def rows(daemon):
    """What `cardinality` answers: (by, value, known, refused) of each value that something was refused of."""
    text = yarder('ask', 'limit', 'cardinality', '--at', f'127.0.0.1:{daemon.ports["native"]}', '--json', check=0).stdout
    answer = [json.loads(line) for line in text.splitlines()]
    return {row['value']: (row['known'], row['refused']) for row in answer if 'value' in row}


def one_who_floods_stops_nobody_else(folder):
    """of a peer that floods, new series beyond its limit are refused and counted as its own; others and known ones flow"""
    with daemon_in(folder) as daemon:
        now = int(time.time())
        good = ''.join(f'good.{i} {i} {now}\n' for i in range(50))
        send(daemon, '127.0.0.2', good)
        wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == 50, why='the good ones')
        for part in range(10):  # many connections, one address: the port does not make a peer
            send(daemon, '127.0.0.3', ''.join(f'flood.{part}.{i} 1 {now}\n' for i in range(1000)))
            send(daemon, '127.0.0.2', good)
            # Connections are read on several executors: the first ones are to be those of the first part.
            wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == 50 + (part + 1) * 1050, why=f'part {part}')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # by datagrams it is the same peer
            s.bind(('127.0.0.3', 0))
            s.sendto(f'flood.udp 1 {now}\n'.encode(), ('127.0.0.1', daemon.ports['graphite']))
        send(daemon, '127.0.0.3', f'good.7 7 {now}\nflood.0.0 2 {now}\n')  # known names flow, whoever sends them
        total = 50 + 10 * (1000 + 50) + 1 + 2
        wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == total, why='all of it')
        limit = daemon.element('limit')
        reasons = {r['reason']: r['rejected'] for r in limit['reasons'] if r['rejected']}
        assert reasons == {'too many series': 10_000 - 100 + 1}, reasons
        assert limit['outputs'][0]['records'] == total - reasons['too many series'], limit
        assert rows(daemon) == {'127.0.0.3': (100, 10_000 - 100 + 1)}, rows(daemon)
        # The other one still has room for new series of its own, up to the same limit.
        send(daemon, '127.0.0.2', ''.join(f'more.{i} 1 {now}\n' for i in range(60)))
        wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == total + 60, why='more')
        assert rows(daemon)['127.0.0.2'] == (100, 10), rows(daemon)
        check_identity(daemon.status())
        daemon.stop()
    # What is known, and how many each has, is known after a restart.
    with daemon_in(folder) as daemon:
        send(daemon, '127.0.0.3', f'good.7 8 {now}\nflood.new 1 {now}\n')
        wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == 2, why='two')
        send(daemon, '127.0.0.4', f'flood.new 1 {now}\n')
        wait_for(lambda: daemon.element('limit')['inputs'][0]['received'] == 3, why='three')
        limit = daemon.element('limit')
        assert limit['outputs'][0]['records'] == 2 and rows(daemon) == {'127.0.0.3': (100, 1)}, (limit, rows(daemon))


def pickled(names, now):
    body = pickle.dumps([(name, (now, 1)) for name in names], 2)
    return struct.pack('!L', len(body)) + body


def collected(names, now):
    def part(kind, body):
        return struct.pack('>HH', kind, 4 + len(body)) + body

    def text(kind, value):
        return part(kind, value.encode() + b'\0')
    values = part(6, struct.pack('>HB', 1, 1) + struct.pack('<d', 1.0))
    return b''.join(text(0, 'h') + part(1, struct.pack('>Q', now)) + text(2, name) + text(4, 'gauge') + values for name in names)


def submitted(names, now):
    def frame(kind, data, final=False):
        return struct.pack('>H', final << 15 | kind << 12 | len(data)) + data
    return b''.join(struct.pack('>BBH', 1 << 4 | 1, 0, 1) + frame(2, name.encode()) + frame(6, struct.pack('>Q', now * 1000)) +
                    frame(1, struct.pack('>d', 1.0), True) for name in names)


def counted(names, now):
    return ''.join(f'{name}:1|c\n' for name in names).encode()


WAYS = {'GraphitePickle': (pickled, 'tcp'), 'Collectd': (collected, 'udp'), 'Tsdp': (submitted, 'udp'), 'Statsd': (counted, 'udp')}
EACH_WAY = '''
pickles :: GraphitePickle(listen: "127.0.0.1:{GraphitePickle}")
collectd :: Collectd(listen: "127.0.0.1:{Collectd}", types: ["types.db"])
tsdp :: Tsdp(listen: "", udp: "127.0.0.1:{Tsdp}")
statsd :: Statsd(listen: "127.0.0.1:{Statsd}", flush: 100ms, idle: "drop", forget: 0s)
pickles -> GraphitePickle_limit :: Cardinality(rules: [{ by: "peer", max: 4 }]) -> Null()
collectd -> Collectd_limit :: Cardinality(rules: [{ by: "peer", max: 4 }]) -> Null()
tsdp -> Tsdp_limit :: Cardinality(rules: [{ by: "peer", max: 4 }]) -> Null()
statsd -> Statsd_limit :: Cardinality(rules: [{ by: "peer", max: 4 }]) -> Null()
native :: Native(listen: "127.0.0.1:{native}")
'''


def every_way_in_knows_its_peers(folder):
    """pickles, collectd's packets, TSDP and StatsD's sums are told apart by who brought a name, too"""
    with open(f'{folder}/types.db', 'w') as f:
        f.write('gauge value:GAUGE:U:U\n')
    ports = {way: free_port() for way in WAYS} | {'native': free_port()}
    with Daemon(folder, topology=EACH_WAY, ports=ports) as daemon:
        now = int(time.time())
        for way, (bytes_of, kind) in WAYS.items():
            came = 0
            for source, names in (('127.0.0.2', ['a', 'b']), ('127.0.0.3', [f'n{i}' for i in range(10)]), ('127.0.0.2', ['c', 'd'])):
                per = 2 if way == 'Statsd' else 1  # a counter is said as its count and its rate
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM) as s:
                    s.bind((source, 0))
                    s.connect(('127.0.0.1', ports[way]))
                    s.sendall(bytes_of(names, now))
                came += len(names) * per
                wait_for(lambda: daemon.element(f'{way}_limit')['inputs'][0]['received'] >= came, why=f'{way}: {came}')
            text = yarder('ask', f'{way}_limit', 'cardinality', '--at', f'127.0.0.1:{ports["native"]}', '--json', check=0).stdout
            told = {row['value']: (row['known'], row['refused']) for row in map(json.loads, text.splitlines()) if 'value' in row}
            # Of StatsD's sums two a name: 127.0.0.2 has 8, 127.0.0.3 has 20, and each has room for 4.
            wanted = {'127.0.0.2': (4, 4), '127.0.0.3': (4, 16)} if way == 'Statsd' else {'127.0.0.3': (4, 6)}
            assert told == wanted, (way, told)
        check_identity(daemon.status())


main(one_who_floods_stops_nobody_else, every_way_in_knows_its_peers)
