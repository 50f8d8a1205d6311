#!/usr/bin/env python3
"""The element Broker in real runs: a thousand applications, most of which never read, some stopped or killed."""
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import time

from harness import YARDER, Daemon, check_identity, free_port, main, new_seed, wait_for, yarder

HELPER = os.environ['BROKER_HELPER']
TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> broker :: Broker(ring: 16MiB)
native :: Native(listen: "127.0.0.1:{native}")
'''


class Helper:
    """A process of applications that have subscribed."""

    def __init__(self, daemon, *args):
        self.process = subprocess.Popen([HELPER, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        daemon.children.append(self.process)

    def ready(self):
        assert self.process.stdout.readline() == 'ready\n'
        return self

    def reports(self, seconds=120):
        """(got, lost, passed, paced, overrun, unplaced, broken) of each application, at its end."""
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, self.process.returncode
        return [tuple(map(int, line.split())) for line in out.splitlines()]


def daemon_in(folder, **more):
    return Daemon(folder, TOPOLOGY, ports={name: free_port() for name in ('native', 'graphite')}, **more)


def applications(daemon):
    out = yarder('ask', 'broker', 'applications', '--at', f'127.0.0.1:{daemon.ports["native"]}', '--json', check=0).stdout
    return [json.loads(line) for line in out.splitlines()]


def settled(daemon, total):
    """Each application that is there has been served everything."""
    wait_for(lambda: all(r['passed'] + r['paced'] + r['overrun'] == total for r in applications(daemon) if r['name'] != 'ended'),
             why='everything served', pause=0.1)


def address(daemon):
    return daemon.data + '/live/broker.sock'


def send(daemon, name, first, last, at_once=500):
    """name = first … last, each value its own sequence number."""
    with socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) as s:
        for start in range(first, last + 1, at_once):
            s.sendall(b''.join(b'%s %d %d\n' % (name, i, 1700000000 + i) for i in range(start, min(start + at_once, last + 1))))


def taken(daemon):
    return sum(i['consumed'] for i in daemon.element('broker')['inputs'])


def resident(daemon):
    """KiB of its own memory; None where /proc is not of these processes."""
    try:
        if open(f'/proc/{daemon.process.pid}/comm').read().strip() != 'yarder':
            return None
        with open(f'/proc/{daemon.process.pid}/smaps_rollup') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('Pss:'))
    except OSError:
        return None


def a_thousand_that_never_read_cost_the_healthy_ones_nothing(folder):
    """1,000 applications that do not read, one stopped, one killed: others get every value in order, and all counts are exact"""
    last = 20000
    with daemon_in(folder) as daemon:
        where = address(daemon)
        idle = [Helper(daemon, 'idle', where, 'n', 4096, 0, 250) for _ in range(4)]
        stopped = Helper(daemon, 'idle', where, 'n', 8 << 20, 0, 1)
        killed = Helper(daemon, 'read', where, 'n', 65536, 0, last)
        healthy = [Helper(daemon, 'read', where, 'n', 8 << 20, 0, last) for _ in range(2)]
        for helper in [*idle, stopped, killed, *healthy]:
            helper.ready()
        stopped.process.send_signal(signal.SIGSTOP)
        send(daemon, b'n', 1, last // 2)
        killed.process.kill()
        send(daemon, b'n', last // 2 + 1, last)
        for helper in healthy:
            (got, lost, passed, paced, overrun, unplaced, broken), = helper.reports()
            assert (got, lost, broken) == (last, 0, 0), (got, lost, broken)
            assert (passed, paced, overrun, unplaced) == (last, 0, 0, 0)
        wait_for(lambda: taken(daemon) == last, why='everything taken')
        settled(daemon, last)
        stopped.process.send_signal(signal.SIGCONT)
        (got, lost, passed, _, overrun, _, broken), = stopped.reports()
        assert (got, lost, passed, overrun, broken) == (last, 0, last, 0, 0), (got, lost, passed, overrun, broken)
        reports = [r for helper in idle for r in helper.reports()]
        assert len(reports) == 1000
        for got, lost, passed, paced, overrun, unplaced, broken in reports:
            assert got + lost == passed and passed + overrun == last and broken == 0, (got, lost, passed, overrun, broken)
            assert 0 < got < 200 and paced == unplaced == 0, got
        check_identity(daemon.status())
        daemon.stop()


def who_comes_and_goes_leaves_nothing_behind(folder):
    """1,000 applications come and go, a third of them killed: no descriptor and no memory of theirs stays"""
    # So few descriptors that one left behind by each would be noticed: 100 take 300 of them.
    prefix = ['sh', '-c', 'ulimit -n 700; exec "$@"', 'sh']
    with daemon_in(folder, prefix=prefix) as daemon:
        where = address(daemon)

        def all_gone():
            return [r['name'] for r in applications(daemon)] == ['ended']

        def round_of(kill):
            helper = Helper(daemon, 'idle', where, 'n', 4096, 0, 100).ready()
            send(daemon, b'n', 1, 500)
            if kill:
                helper.process.kill()
                helper.process.wait()
            else:
                assert len(helper.reports()) == 100
            wait_for(all_gone, why='everybody gone')

        round_of(False)
        round_of(True)
        memory = resident(daemon)
        for i in range(10):
            round_of(i % 3 == 0)
        if memory is not None:
            wait_for(lambda: resident(daemon) < memory + 4096, why='memory back')
        daemon.stop()


def at_most_so_many_a_second(folder):
    """A rate of 10 a second: no more come, and those held back are counted exactly"""
    with daemon_in(folder) as daemon:
        began = time.monotonic()
        helper = Helper(daemon, 'idle', address(daemon), 'n', 65536, 10, 3).ready()
        send(daemon, b'n', 1, 5000)
        wait_for(lambda: taken(daemon) == 5000, why='everything taken')
        settled(daemon, 5000)
        most = 20 + 10 * (time.monotonic() - began)
        for got, lost, passed, paced, overrun, _, broken in helper.reports():
            assert got == passed and lost == 0 and broken == 0
            assert passed + paced + overrun == 5000 and overrun == 0 and 10 <= passed <= most, (passed, paced, overrun, most)
        daemon.stop()


def each_application_is_told_of(folder):
    """`yarder ask` tells of each application what it got and where it lost, and of those who left their sum"""
    with daemon_in(folder) as daemon:
        helper = Helper(daemon, 'idle', address(daemon), 'n', 65536, 10, 2).ready()

        send(daemon, b'n', 1, 1000)
        wait_for(lambda: taken(daemon) == 1000, why='everything taken')
        settled(daemon, 1000)
        there = applications(daemon)
        assert len(there) == 3 and there[2]['name'] == 'ended', there
        for row in there[:2]:
            assert row['name'] == f'process.{helper.process.pid}' and row['application'] == 'broker_helper', row
            assert (row['subscriptions'], row['names'], row['overrun'], row['unplaced']) == (1, 1, 0, 0), row
        assert len(helper.reports()) == 2
        wait_for(lambda: len(applications(daemon)) == 1, why='both gone')
        ended, = applications(daemon)
        assert ended['passed'] + ended['paced'] == 2000, ended
        daemon.stop()


def top_shows_who_subscribed_and_how_they_fare(folder):
    """`yarder top` has a line for each application: what it was given, read and missed, and whether it is slow, silent, stopped or gone"""
    with daemon_in(folder) as daemon:
        def shown(*args):
            return json.loads(yarder('top', '--data', daemon.data, '--json', *args).stdout)

        def the(helper, *args):
            return next(a for a in shown(*args)['applications'] if a['process'] == helper.process.pid)

        small = Helper(daemon, 'idle', address(daemon), 'n', 4096, 0, 1).ready()
        large = Helper(daemon, 'idle', address(daemon), 'n', 1 << 20, 0, 1).ready()

        def read(helper):
            helper.process.stdin.write('r')
            helper.process.stdin.flush()
            assert helper.process.stdout.readline() == 'read\n'

        send(daemon, b'n', 1, 1000)
        settled(daemon, 1000)
        for helper in (small, large):
            a = the(helper, '--over', '100ms')
            assert (a['element'], a['name'], a['subscriptions'], a['names']) == ('broker', 'broker_helper', 1, 1), a
            assert (a['passed'], a['got'], a['unread'], a['missed'], a['state']) == (1000, 0, 1000, 0, 'silent'), a
            read(helper)
        a = the(small, '--once')
        assert a['state'] == 'slow' and a['unread'] == 0 and a['got'] + a['lost'] == 1000 and a['missed'] == a['lost'] > 800, a
        a = the(large, '--once')
        assert (a['state'], a['got'], a['unread'], a['missed'], a['lost']) == ('reads', 1000, 0, 0, 0), a
        told = next(r for r in applications(daemon) if r['name'] == f'process.{small.process.pid}')
        assert told['got'] + told['lost'] == 1000 and told['unread'] == 0, told
        if resident(daemon) is not None:  # /proc is of these processes
            large.process.send_signal(signal.SIGSTOP)
            wait_for(lambda: the(large, '--once')['state'] == 'stopped', why='stopped is shown')
            large.process.send_signal(signal.SIGCONT)
        text = yarder('top', '--data', daemon.data, '--once').stdout
        rows = [line.split() for line in text.splitlines() if line.startswith('broker_helper')]
        assert [row[2] for row in rows] == [str(small.process.pid), str(large.process.pid)], text  # who misses most, first
        large.process.kill()
        large.process.wait()
        wait_for(lambda: len(applications(daemon)) == 2, why='it has gone')
        ended, = shown('--once')['applications_ended']
        assert (ended['count'], ended['passed'], ended['got'], ended['lost']) == (1, 1000, 1000, 0), ended
        assert '1 have left; they were given 1000 values, and missed 0.' in yarder('top', '--data', daemon.data, '--once').stdout

        def seen_gone():  # between two pictures, of which the first may come too late
            helper = Helper(daemon, 'idle', address(daemon), 'n', 4096, 0, 1).ready()
            over = subprocess.Popen([YARDER, 'top', '--data', daemon.data, '--json', '--over', '500ms'], stdout=subprocess.PIPE, text=True)
            daemon.children.append(over)
            time.sleep(0.25)
            helper.process.kill()
            out, _ = over.communicate(timeout=30)
            return [a for a in json.loads(out)['applications'] if (a['process'], a['state']) == (helper.process.pid, 'gone')]
        wait_for(seen_gone, seconds=40, why='one that left is shown as gone')
        daemon.stop()


def who_lies_about_what_it_read_harms_no_picture(folder):
    """An application says of itself the greatest numbers there are: the status document stays readable, its numbers bounded, also after it left"""
    def head(kind):
        return struct.pack('=IHHQ', 0x524f4459, 1, kind, 7)

    with daemon_in(folder) as daemon:
        def shown():
            return json.loads(yarder('top', '--data', daemon.data, '--json', '--once').stdout)

        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60)
            s.connect(address(daemon))
            s.send(head(1) + b'liar'.ljust(64, b'\0'))
            for fd in socket.recv_fds(s, 4096, 3)[1]:
                os.close(fd)
            s.send(head(5) + struct.pack('=dQIHH', 0.0, 0, 0, 1, 0) + b'n'.ljust(1024, b'\0'))
            _, fds, _, _ = socket.recv_fds(s, 4096, 3)  # table, bell, ring
            assert len(fds) == 3, fds
            with mmap.mmap(fds[1], 4096) as page:
                page[1024:2048] = b'\xff' * 1024
                send(daemon, b'n', 1, 100)
                settled(daemon, 100)
                liar, = shown()['applications']
                assert (liar['name'], liar['passed'], liar['unread']) == ('liar', 100, 0), liar
                assert (liar['got'], liar['lost'], liar['missed']) == (2**53, 2**53, 2**53), liar
                assert 'liar' in yarder('top', '--data', daemon.data, '--once').stdout
                there = next(r for r in applications(daemon) if r['name'] != 'ended')
                assert (there['got'], there['lost'], there['unread']) == (2**53, 2**53, 0), there
            for fd in fds:
                os.close(fd)
        wait_for(lambda: len(applications(daemon)) == 1, why='it has gone')
        ended, = shown()['applications_ended']
        assert (ended['count'], ended['passed'], ended['got'], ended['lost']) == (1, 100, 100, 100), ended
        daemon.stop()


def nonsense_at_the_door_harms_nobody(folder):
    """Wrong sizes, unknown types, a pattern that does not end, rates that are none: refused or shown out, others go on"""
    with daemon_in(folder) as daemon:
        helper = Helper(daemon, 'read', address(daemon), 'n', 65536, 0, 100).ready()

        def come():
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.settimeout(60)
            s.connect(address(daemon))
            s.send(head(1) + b'x'.ljust(64, b'\0'))
            s.recv(4096)
            return s

        def head(kind, correlation=7):
            return struct.pack('=IHHQ', 0x524f4459, 1, kind, correlation)

        def subscribe(rate=0.0, ring=0, names=0, mode=1, priority=0, pattern=b'n'):
            return head(5) + struct.pack('=dQIHH', rate, ring, names, mode, priority) + pattern.ljust(1024, b'\0')

        for bad in [subscribe(rate=float('nan')), subscribe(rate=-1.0), subscribe(rate=1e-300), subscribe(priority=10),
                    subscribe(pattern=b'x' * 1024), subscribe(pattern=b'a b=c=d,,'), head(8) + bytes(8), head(8) + b'\xff' * 8]:
            with come() as s:
                s.send(bad)
                answer = s.recv(4096)
                assert struct.unpack_from('=IHH', answer)[2] == 3, answer[:16]
        for bad in [subscribe()[:-1], head(5), head(7), head(8) + bytes(9), b'x' * 300]:
            with come() as s:
                s.send(bad)
                assert s.recv(4096) == b'', bad[:16]
        with come() as s:  # unknown ones are passed over; the greatest sizes are bounded
            s.send(head(99) + bytes(100))
            s.send(head(7) + bytes(8))
            s.send(subscribe(ring=2**64 - 1, names=2**32 - 1, rate=1e300))
            assert struct.unpack_from('=IHH', s.recv(4096))[2] == 6
            for _ in range(5):
                s.send(head(7) + struct.pack('=Q', 1))
        send(daemon, b'n', 1, 100)
        (got, lost, _, _, _, _, broken), = helper.reports()
        assert (got, lost, broken) == (100, 0, 0)
        daemon.stop()


def more_than_there_is_room_for_is_refused_by_check(folder):
    """Measurements and value_size that together need more memory than a table has: said by `yarder check`, with the reason"""
    for measurements, size, fits in [(3_000_000, '8KiB', False), (2_000_000, '8KiB', True), (16_777_216, '64B', True)]:
        path = os.path.join(folder, 'x.yd')
        with open(path, 'w') as f:
            f.write(f'g :: Graphite(listen: "127.0.0.1:1") -> b :: Broker(measurements: {measurements}, value_size: {size})\n')
        done = subprocess.run([YARDER, 'check', path], capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == fits, (measurements, done)
        assert ('take more than the 32 GiB' in done.stderr + done.stdout) != fits, done


def commands_of_live_values_do_not_take_it_for_a_live(folder):
    """beside a Broker the only Live is found without its name; asked for the Broker, they say what it is, and exit with 1"""
    with Daemon(folder, TOPOLOGY + 'graphite -> values :: Live()\n', ports={name: free_port() for name in ('native', 'graphite')}) as daemon:
        wait_for(lambda: os.path.exists(address(daemon)) and os.path.exists(daemon.data + '/live/values.sock'), why='both doors')
        assert yarder('live', 'ls', '--data', daemon.data, check=0).stdout.startswith('0 names'), 'before there is any value'
        daemon.lines('b.x 1.5 1700000000\n')
        wait_for(lambda: yarder('live', 'get', 'b.x', '--data', daemon.data).returncode == 0, why='the value')
        for words in (('ls',), ('stat',), ('get', 'b.x'), ('watch', '--count', '1')):
            refused = yarder('live', *words, '--live', 'broker', '--data', daemon.data, check=1)
            assert 'a Broker' in refused.stderr and 'wire a Live' in refused.stderr and not refused.stdout, refused


def subscriptions_are_made_again_by_themselves(folder):
    """The daemon is killed and comes back: an application goes on reading, without a word to it"""
    with daemon_in(folder) as daemon:
        helper = Helper(daemon, 'read', address(daemon), 'n', 1 << 20, 0, 100).ready()
        daemon.kill()
        daemon.start()
        # It comes in by itself: sent until it has it.
        def done():
            send(daemon, b'n', 100, 100)
            return helper.process.poll() is not None
        try:
            wait_for(done, why='the value of the successor', pause=0.1)
        finally:
            out = helper.process.stdout.read() if helper.process.poll() is not None else ''
        assert helper.process.returncode == 0, helper.process.returncode
        assert out.split()[0] == '1', out
        daemon.stop()


def killed_and_stopped_at_random(folder):
    """Applications and the daemon are stopped and killed at random: no value comes twice, torn or out of order, and all go on"""
    chance, last, kills, sent = random.Random(new_seed()), 10**9, 0, 0
    with daemon_in(folder) as daemon:
        def comer():
            return Helper(daemon, 'follow', address(daemon), 'n', chance.choice([4096, 65536, 1 << 20]), chance.choice([0, 0, 50]), last).ready()

        def more():
            nonlocal sent, line
            for _ in range(3):  # by one connection: so they come in their order
                sent += 100
                line.sendall(b''.join(b'n %d %d\n' % (i, 1700000000 + i) for i in range(sent - 99, sent + 1)))
        line = socket.create_connection(('127.0.0.1', daemon.ports['graphite']))
        helpers = [comer() for _ in range(4)]
        for _ in range(60):
            more()
            what, helper = chance.randrange(10), chance.choice(helpers)
            if what < 3:
                helper.process.send_signal(signal.SIGSTOP)
                more()
                helper.process.send_signal(signal.SIGCONT)
            elif what < 5:
                helper.process.kill()
                helper.process.wait()
                helpers[helpers.index(helper)] = comer()
            elif what < 7:
                daemon.process.send_signal(signal.SIGSTOP)
                time.sleep(chance.random() * 0.02)
                daemon.process.send_signal(signal.SIGCONT)
            elif what == 7 and kills < 8:
                daemon.kill()
                line.close()
                daemon.start()
                line = socket.create_connection(('127.0.0.1', daemon.ports['graphite']))
                kills += 1

        def done():
            line.sendall(b'n %d 1800000000\n' % last)
            return all(helper.process.poll() is not None for helper in helpers)
        wait_for(done, why='the last value everywhere', seconds=60, pause=0.1)
        for helper in helpers:
            (got, daemons, broken), = helper.reports()
            assert broken == 0 and daemons <= kills, (got, daemons, kills, broken)
        line.close()
        check_identity(daemon.status())
        daemon.stop()


if __name__ == '__main__':
    main(a_thousand_that_never_read_cost_the_healthy_ones_nothing, who_comes_and_goes_leaves_nothing_behind,
         at_most_so_many_a_second, each_application_is_told_of, top_shows_who_subscribed_and_how_they_fare,
         who_lies_about_what_it_read_harms_no_picture, nonsense_at_the_door_harms_nobody, subscriptions_are_made_again_by_themselves,
         more_than_there_is_room_for_is_refused_by_check, commands_of_live_values_do_not_take_it_for_a_live,
         killed_and_stopped_at_random)
