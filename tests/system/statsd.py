#!/usr/bin/env python3
"""The element Statsd in real runs: datagrams, Debian's python3-statsd unmodified, what a stop and a burst leave."""
import socket
import subprocess
import sys

from harness import Daemon, ROOT, Skip, check_identity, free_port, main, wait_for

TOPOLOGY = '''
statsd :: Statsd(listen: "127.0.0.1:{statsd}", tcp: "127.0.0.1:{statsd}", flush: FLUSH, idle: "drop")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
statsd -> metrics :: Log(stream: "metrics") -> history :: History()
statsd.rejects -> File(path: "rejects.jsonl")
tsdb => history
'''


def daemon_in(folder, flush='1s'):
    return Daemon(folder, TOPOLOGY.replace('FLUSH', flush), ports={'statsd': free_port(), 'tsdb': free_port()})


def send(daemon, *datagrams):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for datagram in datagrams:
            s.sendto(datagram, ('127.0.0.1', daemon.ports['statsd']))


def values(daemon, name, tags=''):
    answer = daemon.query(f'none:{name}{tags}', start='10m-ago')
    return [v for series in answer if isinstance(answer, list) for v in series['dps'].values()]


def total(daemon, name, tags=''):
    return sum(values(daemon, name, tags))


def values_are_summed_up_and_said_once_a_flush(folder):
    """counters, gauges, timers, sets and their tags come to what they should; bad lines are counted by reason"""
    with daemon_in(folder) as daemon:
        send(daemon, b'hits:1|c|#h:a\nhits:4|c|@0.5|#h:a\njunk\n', b'temp:21.5|g', b't:10:20:30|ms', b'u:a|s\nu:b|s\nu:a|s')
        wait_for(lambda: total(daemon, 'hits.count', '{h=a}') == 9, why='the counter')
        wait_for(lambda: values(daemon, 'temp') == [21.5] and values(daemon, 't.mean') == [20] and
                 values(daemon, 't.upper_90') == [30] and values(daemon, 'u.count') == [2], why='the rest')
        wait_for(lambda: len(open(folder + '/rejects.jsonl').readlines()) == 1, why='the reject')
        status = daemon.status()
        check_identity(status)
        pump = next(p for p in daemon.element('statsd')['inputs'] if p['name'] == 'pump')
        assert pump['rejected'] == 1, pump


def values_come_over_tcp(folder):
    """TCP: lines in pieces, the last without an end; bad ones are counted; a line too long costs itself"""
    with daemon_in(folder) as daemon:
        with socket.create_connection(('127.0.0.1', daemon.ports['statsd'])) as s:
            for piece in (b'hi', b'ts:1|c|#h:a\nhits', b':4|c|#h:a\njunk\n', b'x' * 200000, b'\nlast:2|c'):
                s.sendall(piece)
        wait_for(lambda: total(daemon, 'hits.count', '{h=a}') == 5 and total(daemon, 'last.count') == 2, why='the counters')
        found = {r['reason']: r['rejected'] for r in daemon.element('statsd')['reasons'] if r['rejected']}
        assert found == {'no value': 1, 'line too long': 1}, found
        check_identity(daemon.status())


def what_is_not_said_yet_is_said_at_a_stop(folder):
    """an orderly stop says what has come since the last flush; it is there after the restart"""
    with daemon_in(folder, '1h') as daemon:
        send(daemon, *[b'n:1|c' for _ in range(100)])
        wait_for(lambda: next(p for p in daemon.element('statsd')['inputs'] if p['name'] == 'pump')['consumed'] == 100,
                 why='the values')
        daemon.stop()
        daemon.start()
        wait_for(lambda: values(daemon, 'n.count') == [100], why='the sum')


def every_datagram_of_a_burst_is_counted(folder):
    """200,000 values in a burst: said + dropped by the kernel = sent"""
    with daemon_in(folder) as daemon:
        count = 2000
        send(daemon, *[b'\n'.join(b'b:1|c|#i:%d' % (i % 10) for i in range(100)) for _ in range(count)])

        def all_of_it():
            pump = next(p for p in daemon.element('statsd')['inputs'] if p['name'] == 'pump')
            dropped = pump['dropped']  # datagrams
            return pump['consumed'] + 100 * dropped >= 100 * count and (pump, dropped)
        # the kernel tells its drops with the next datagram
        wait_for(lambda: send(daemon, b'last:1|c') or all_of_it(), why='all of it', pause=0.2)
        check_identity(daemon.status())


def python_statsd_writes(folder):
    """python3-statsd of Debian, unmodified: incr, timing, gauge, set, a pipeline; what it sent is read back"""
    unpacked = subprocess.run([ROOT + '/tools/peer', 'python3-statsd'], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip('python3-statsd cannot be downloaded')
    sys.path.insert(0, unpacked.stdout.strip() + '/usr/lib/python3/dist-packages')
    import statsd
    with daemon_in(folder) as daemon:
        client = statsd.StatsClient('127.0.0.1', daemon.ports['statsd'], prefix='py')
        for _ in range(10):
            client.incr('requests')
        client.decr('requests', 3)
        client.gauge('level', 7)
        client.gauge('level', -2, delta=True)
        client.set('users', 'ann')
        client.set('users', 'bob')
        with client.pipeline() as pipe:
            pipe.timing('took', 10)
            pipe.timing('took', 30)
        wait_for(lambda: total(daemon, 'py.requests.count') == 7, why='the counter')
        wait_for(lambda: values(daemon, 'py.level')[-1:] == [5], why='the gauge')
        wait_for(lambda: total(daemon, 'py.users.count') == 2, why='the set')
        wait_for(lambda: total(daemon, 'py.took.count') == 2 and total(daemon, 'py.took.sum') == 40, why='the timer')
        check_identity(daemon.status())


if __name__ == '__main__':
    main(values_are_summed_up_and_said_once_a_flush, values_come_over_tcp, what_is_not_said_yet_is_said_at_a_stop,
         every_datagram_of_a_burst_is_counted, python_statsd_writes)
