#!/usr/bin/env python3
"""Any bytes on any port, peers that never read or never end, a full disk: nobody else notices, everything is counted."""
import json
import os
import random
import resource
import socket
import subprocess
import time

from harness import Daemon, Skip, check_identity, main, wait_for, yarder


def one_percent_garbage_is_counted(folder):
    """with 1 % garbage lines received = consumed + rejected + dropped + queued at every input, and good ones all arrive"""
    rng = random.Random(7)
    with Daemon(folder) as daemon:
        now, good, bad, lines = int(time.time()), 0, 0, []
        for i in range(200_000):
            if rng.random() < 0.01:
                bad += 1
                lines.append(bytes(rng.choice(b'abc!~ \xff\x01{}=;') for _ in range(rng.randrange(1, 40))) + b'\n')
                if not lines[-1].strip():
                    lines[-1] = b'junk\n'
            else:
                good += 1
                lines.append(b'g.%d;host=h%d %d.5 %d\n' % (i % 50, i % 100, i, now))
        daemon.lines(b''.join(lines))
        wait_for(lambda: daemon.element('history')['inputs'][0]['consumed'] >= good, why='the last record')
        status = daemon.status()
        check_identity(status)
        pump = next(p for p in daemon.element('graphite')['inputs'] if p['name'] == 'pump')
        assert pump['received'] == good + bad, (pump, good, bad)
        assert pump['rejected'] == bad and pump['consumed'] == good, (pump, good, bad)
        assert daemon.element('graphite')['samples'], 'rejects are sampled'
        assert yarder('log', 'stat', 'metrics', '--data', daemon.data, '--json', check=0).stdout.count(f'"records": {good},')
        daemon.stop()


def rejects_are_told_by_reason_and_peer(folder):
    """who sends much of what is wrong is named with its count among three hundred others; samples harm no terminal"""
    with Daemon(folder) as daemon:
        def send(source, text):
            with socket.create_connection(('127.0.0.1', daemon.ports['graphite']), source_address=(source, 0)) as s:
                s.sendall(text)

        assert 'Nothing has been' in yarder('top', '--rejects', '--data', daemon.data, check=0).stdout
        for _ in range(5):
            send('127.9.9.9', b'no.value\n' * 200 + b'bad.value x\n')
        for i in range(300):
            send(f'127.0.{i // 250}.{i % 250 + 1}', b'no.value\n')

        def pump():
            return next(p for p in daemon.element('graphite')['inputs'] if p['name'] == 'pump')

        # Connections are read on several executors: what is to be the last is sent when the others have been counted.
        wait_for(lambda: pump()['rejected'] == 5 * 201 + 300, why='the rejects')
        send('127.9.9.9', b'\x1b[31m\0red\x07\n')
        wait_for(lambda: pump()['rejected'] == 5 * 201 + 300 + 1, why='the last one')
        element = daemon.element('graphite')
        reasons = {r['reason']: r['rejected'] for r in element['reasons'] if r['rejected']}
        peers = element['peers']
        assert 100 <= len(peers) <= 128, len(peers)
        assert peers[0]['peer'] == '127.9.9.9' and 1000 <= peers[0]['rejected'] <= 1001, peers[:2]
        assert {p['reason'] for p in peers if p['peer'] == '127.9.9.9'} >= {peers[0]['reason']}
        for reason in {p['reason'] for p in peers}:
            assert sum(p['rejected'] for p in peers if p['reason'] == reason) <= reasons[reason], (reasons, peers)
        assert sum(reasons.values()) == 5 * 201 + 300 + 1, reasons
        text = yarder('top', '--rejects', '--data', daemon.data, check=0).stdout
        assert 'graphite (Graphite)' in text and 'from 127.9.9.9' in text and 'from others' in text and text.count('from 127') == 11, text
        assert '\\x1b[31m\\x00red\\x07' in text and '\x1b' not in text and '\x07' not in text, text
        assert text.count('EXECUTOR') == 0 and 'EXECUTOR' in yarder('top', '--data', daemon.data, check=0).stdout
        for executor in daemon.status()['executors']:
            assert executor['asleep_ns'] > 0 and executor['turns_ns'] >= 0 and executor['sockets_ns'] > 0, executor
        assert any(executor['turns'] for executor in daemon.status()['executors'])
        daemon.lines('good.one 1\n')
        wait_for(lambda: daemon.element('history')['inputs'][0]['consumed'] == 1, why='the good one')
        check_identity(daemon.status())
        samples = daemon.element('graphite')['samples']
        assert len(samples) == 100 and 'red' in samples[-1]['text'] and samples[-1]['peer'].startswith('127.9.9.9'), samples[-1]
        daemon.stop()
        # A restart forgets rejects: what is to last of them goes by the wire `rejects`, as rows into a Log.
        with Daemon(folder, ports=daemon.ports) as after:
            assert 'Nothing has been' in yarder('top', '--rejects', '--data', after.data, check=0).stdout
            assert not after.element('graphite')['samples'] and not after.element('graphite')['peers']


def random_bytes_on_every_port(folder):
    """random bytes on every port, TCP and UDP, are rejected and counted, and the next good line is served"""
    rng = random.Random(11)
    with Daemon(folder) as daemon:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(60):
            noise = rng.randbytes(rng.randrange(1, 20000))
            for port in daemon.ports:
                with socket.create_connection(('127.0.0.1', daemon.ports[port])) as s:
                    try:
                        s.sendall(noise)
                    except OSError:
                        pass
            udp.sendto(noise[:1400], ('127.0.0.1', daemon.ports['graphite']))
        udp.close()
        daemon.lines(f'after.noise 1 {int(time.time())}\n')
        wait_for(lambda: daemon.query('sum:after.noise'))
        wait_for(lambda: check_identity(daemon.status()) is None)
        daemon.stop()


def an_overlong_line_costs_itself_only(folder):
    """a line over the limit is one reject, its neighbours are kept"""
    with Daemon(folder) as daemon:
        now = int(time.time())
        daemon.lines(f'a 1 {now}\n' + 'x' * (10 << 20) + f'\nb 2 {now}\n')
        wait_for(lambda: daemon.query('sum:b'))
        assert daemon.query('sum:a')
        pump = next(p for p in daemon.element('graphite')['inputs'] if p['name'] == 'pump')
        assert (pump['received'], pump['consumed'], pump['rejected']) == (3, 2, 1), pump
        daemon.stop()


def a_peer_that_never_reads(folder):
    """a peer that asks and never reads holds nobody else up"""
    with Daemon(folder) as daemon:
        now = int(time.time())
        silent = socket.create_connection(('127.0.0.1', daemon.ports['tsdb']))
        silent.setblocking(False)
        try:
            for _ in range(20000):
                silent.send(b'version\n' * 100)
        except OSError:
            pass
        daemon.lines(f'others 1 {now}\n')
        wait_for(lambda: daemon.query('sum:others'), why='an answer to somebody else')
        silent.close()
        daemon.stop()


def ten_thousand_idle_connections(folder):
    """10,000 idle connections cost little, and the next one is served"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_500:
        raise Skip(f'the limit of open files is {hard}, this needs 10500')
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Daemon(folder) as daemon:
        before = resident(daemon)
        idle = []
        for i in range(10_000):
            s = socket.socket()
            s.bind((f'127.0.{i // 5000 + 1}.1', 0))
            s.connect(('127.0.0.1', daemon.ports['graphite' if i % 2 else 'tsdb']))
            idle.append(s)
        daemon.lines(f'still.here 1 {int(time.time())}\n')
        wait_for(lambda: daemon.query('sum:still.here'), why='an answer to the next one')
        grown = resident(daemon) - before
        print(f'# {grown / 10_000 * 1024:.0f} bytes a connection', flush=True)
        assert grown < 400 * 1024, f'{grown} KiB for 10,000 idle connections'
        for s in idle:
            s.close()
        daemon.stop()


def resident(daemon):
    # the number that /proc knows the daemon by: in a container it may be another than ours
    pid = json.loads(yarder('log', 'stat', 'metrics', '--data', daemon.data, '--json', check=0).stdout)['stat']['writer_pid']
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmRSS'):
            return int(line.split()[1])


def a_full_disk_stops_acknowledging_and_recovers(folder):
    """a full disk: syncs are not acknowledged, queries still answer, and it goes on when there is room again"""
    disk = os.path.join(folder, 'disk')
    os.mkdir(disk)
    if os.geteuid() != 0 or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk],
                                           capture_output=True).returncode:
        raise Skip('mounting a small file system needs root')
    daemon = Daemon(folder, data=disk + '/data')
    try:
        daemon.start()
        now = int(time.time())
        assert daemon.http('/api/put?sync', {'metric': 'early', 'timestamp': now, 'value': 1, 'tags': {'t': 'x'}})[0] == 204
        ballast = os.path.join(disk, 'ballast')
        with open(ballast, 'wb') as f:
            try:
                while True:
                    f.write(b'x' * 65536)
                    f.flush()
            except OSError:
                pass
        refused = False
        for i in range(2000):  # a sync that is late on a slow machine is refused, too: until the disk is said to be full
            status, answer = daemon.http('/api/put?sync&sync_timeout=500&details',
                                         [{'metric': 'fill', 'timestamp': now, 'value': n, 'tags': {'t': str(n), 'pad': 'y' * 200}}
                                          for n in range(i * 100, i * 100 + 100)])
            if status not in (200, 204) or (isinstance(answer, dict) and answer.get('timeouts')):
                refused = True
            if refused and 'space' in daemon.stderr():
                break
        assert refused and 'space' in daemon.stderr(), f'a full disk went unnoticed: {daemon.stderr()}'
        wait_for(lambda: daemon.query('sum:early'), why='an answer while the disk is full')
        os.unlink(ballast)
        wait_for(lambda: daemon.http('/api/put?sync&sync_timeout=2000', {'metric': 'later', 'timestamp': now, 'value': 1,
                                                                        'tags': {'t': 'x'}})[0] == 204, why='recovery')
        wait_for(lambda: daemon.query('sum:later'))
        daemon.stop()
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
    finally:
        daemon.kill()
        subprocess.run(['umount', '-l', disk], capture_output=True)


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* The wall clock stands as many seconds off as the file says. */
static long offset(void)
{
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_OFFSET"), "r");
    if (!file) return 0;
    if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    fclose(file);
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *to)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(clock, to);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) to->tv_sec += offset();
    return r;
}
"""


def clock_steps(folder):
    """the wall clock steps two hours back and a day ahead: nothing is lost, held up or out of order, and a restart agrees"""
    with open(folder + '/shim.c', 'w') as f:
        f.write(SHIM)
    subprocess.run(['cc', '-shared', '-fPIC', folder + '/shim.c', '-o', folder + '/shim.so', '-ldl'], check=True)

    def step(seconds):
        with open(folder + '/offset.new', 'w') as f:
            f.write(str(seconds))
        os.replace(folder + '/offset.new', folder + '/offset')
    step(0)
    began = int(time.time())
    daemon = Daemon(folder, prefix=['env', f'LD_PRELOAD={folder}/shim.so', f'CLOCK_OFFSET={folder}/offset'])
    steps = [0, -7200, 86400, -60, 0]
    try:
        daemon.start()
        for number, seconds in enumerate(steps):
            step(seconds)
            put = {'metric': 'put', 'timestamp': began - 100 + number, 'value': number, 'tags': {'t': 'x'}}
            assert daemon.http('/api/put?sync', put) == (204, ''), seconds
            daemon.lines(f'line.now;step={number} {number}\n')
            # Who waited for the clock to come to where it was would wait for a minute or more.
            wait_for(lambda: daemon.query(f'sum:line.now{{step={number}}}', start=began - 10_000, end=began + 100_000), seconds=50,
                     why=f'going on behind the step to {seconds} s')
        check_identity(daemon.status())

        def agrees():
            (answer,) = daemon.query('sum:put', start=began - 200, end=began + 100)
            assert list(answer['dps'].values()) == list(range(len(steps))), answer
            for number, seconds in enumerate(steps):  # a line without a time got the clock's, as it stood
                (answer,) = daemon.query(f'sum:line.now{{step={number}}}', start=began - 10_000, end=began + 100_000)
                (at,) = answer['dps']
                assert began + seconds <= int(at) <= time.time() + seconds, (seconds, at)
        agrees()
        daemon.stop()
        step(-3600)
        daemon.start()
        wait_for(lambda: daemon.element('history'), why='the restart')
        agrees()
        daemon.stop()
    finally:
        daemon.kill()
    shown = yarder('log', 'cat', 'metrics', '--data', daemon.data, check=0).stdout.splitlines()
    assert [int(line.split(' ', 1)[0]) for line in shown] == list(range(2 * len(steps))), shown
    yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)


main(one_percent_garbage_is_counted, rejects_are_told_by_reason_and_peer, random_bytes_on_every_port,
     an_overlong_line_costs_itself_only, a_peer_that_never_reads, ten_thousand_idle_connections,
     a_full_disk_stops_acknowledging_and_recovers, clock_steps)
