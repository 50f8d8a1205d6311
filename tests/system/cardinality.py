"""Limits on new series by peer: one floods distinct names, the other keeps flowing; exact counts by peer."""
import json
import socket
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


main(one_who_floods_stops_nobody_else)
