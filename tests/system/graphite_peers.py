#!/usr/bin/env python3
"""netdata and carbon-c-relay of Debian, unmodified, writing Graphite lines: what they sent is read back, all of it, equal."""
import collections
import contextlib
import datetime
import json
import os
import random
import shutil
import socket
import subprocess
import threading

from harness import Daemon, ROOT, Skip, YARDER, check_identity, free_port, main, wait_for

START = 1_700_000_000
NETDATA = '''
[global]
    run as user = root
    hostname = testhost
    update every = 1
[directories]
    config = {folder}/etc
    stock config = {folder}/etc
    cache = {folder}/cache
    lib = {folder}/lib
    log = {folder}/log
    web = {folder}/web
    plugins = "{folder}/plugins"
[db]
    mode = ram
[web]
    mode = none
[ml]
    enabled = no
[health]
    enabled = no
[plugins]
    diskspace = no
    cgroups = no
    tc = no
    idlejitter = no
    timex = no
    statsd = no
'''
EXPORTING = '''
[exporting:global]
    enabled = yes
    update every = 1
[graphite:ours]
    enabled = yes
    destination = 127.0.0.1:{port}
    data source = as collected
    prefix = nd
    hostname = testhost
    update every = 1
'''
RELAY = '''
cluster ours forward 127.0.0.1:{graphite} ;
match * send to ours stop ;
'''


def peer(package, program):
    unpacked = subprocess.run([ROOT + '/tools/peer', package], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip(package + ' cannot be downloaded')
    binary = shutil.which(program, path=f'{unpacked.stdout.strip()}/usr/sbin:{unpacked.stdout.strip()}/usr/bin')
    if 'not found' in subprocess.run(['ldd', binary], capture_output=True, text=True).stdout:
        raise Skip(program + ' wants libraries that are not here')
    return binary


class Tee:
    """Stands between a sender and the daemon: passes whole lines on, and keeps them."""

    def __init__(self, to):
        self.to, self.kept, self.ended = to, b'', False
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, socket.create_connection(('127.0.0.1', self.to)) as on:
                rest = b''
                try:
                    while data := peer.recv(65536):
                        whole, _, rest = (rest + data).rpartition(b'\n')
                        if whole:
                            on.sendall(whole + b'\n')
                            self.kept += whole + b'\n'
                except OSError:
                    pass
            self.ended = True


def parsed(lines):
    """{(name as ours, seconds or None for now): [values]} of Graphite lines, by another reader than the daemon's"""
    found = collections.defaultdict(list)
    for line in lines:
        path, value, at = line.rsplit(' ', 2)
        metric, *tags = path.split(';')
        tags = sorted(t.split('=', 1) for t in tags)
        name = metric + (' ' + ','.join(f'{k}={v}' for k, v in tags) if tags else '')
        found[name, int(at) if float(at) > 0 else None].append(float(value))
    return found


def stored(daemon):
    done = subprocess.run([YARDER, 'log', 'cat', 'metrics', '--data', daemon.data, '--json'], capture_output=True, text=True,
                          timeout=120, check=True)
    found = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        at = datetime.datetime.fromisoformat(record['time'].replace('Z', '+00:00')).timestamp()
        if record['name'] != 'probe':
            found[record['name'], int(at) if at == int(at) else None].append(float(record['value']))
    return found


def consumed(daemon):
    return next(i['consumed'] for i in daemon.element('metrics')['inputs'] if i['name'] == 'input')


def read_back_equal(daemon, lines, names):
    """in the stream each line once, in its order; in the history of some names the last value of each second"""
    want = parsed(lines)
    wait_for(lambda: consumed(daemon) >= len(lines) and sum(map(len, stored(daemon).values())) >= len(lines),
             pause=0.2, why=f'{len(lines)} lines')
    got = stored(daemon)
    for key, values in want.items():
        if key[1]:
            assert got[key] == values, (key, values, got[key])
    assert sum(map(len, got.values())) == len(lines)
    everything = collections.defaultdict(dict)
    for (name, at), values in want.items():
        if at and (name, None) not in want:  # what is of now may fall into the same second
            everything[name][at] = values[-1]
    for name in names(sorted(everything)):
        metric, _, tags = name.partition(' ')

        def answered():
            answer = daemon.query(f'none:{metric}{{{tags}}}', start=str(min(everything[name]) - 1))
            return {int(k): v for s in answer if isinstance(s, dict) and 'dps' in s for k, v in s['dps'].items()}
        wait_for(lambda: everything[name].items() <= answered().items(), why=f'{name} in the history')
    bad = {r['reason'] for r in daemon.element('graphite')['reasons'] if r['rejected']}
    assert not bad, bad
    check_identity(daemon.status())


def netdata_writes(folder):
    """netdata's exporting engine, several seconds of all its charts, tags and all"""
    binary = peer('netdata-core', 'netdata')
    for name in ('etc', 'cache', 'lib', 'log', 'web', 'plugins'):
        os.mkdir(f'{folder}/{name}')
    with Daemon(folder) as daemon:
        tee = Tee(daemon.ports['graphite'])
        with open(folder + '/etc/netdata.conf', 'w') as f:
            f.write(NETDATA.format(folder=folder))
        with open(folder + '/etc/exporting.conf', 'w') as f:
            f.write(EXPORTING.format(port=tee.port))
        with open(folder + '/netdata.log', 'w') as log:
            netdata = subprocess.Popen([binary, '-D', '-c', folder + '/etc/netdata.conf'], stdout=log, stderr=log)
        try:
            wait_for(lambda: tee.kept.count(b'\n') > 2000, why='netdata writing')
        except AssertionError:
            print('# ' + open(folder + '/netdata.log').read()[-2000:].replace('\n', '\n# '))
            raise
        finally:
            netdata.kill()
            netdata.wait()
            tee.listener.close()
        wait_for(lambda: tee.ended, why="netdata's end")
        read_back_equal(daemon, [line for line in tee.kept.decode().split('\n') if line], lambda names: names[::max(1, len(names) // 40)])


def passes_on(daemon, port):
    """A relay that has just begun to listen loses what comes: lines that nobody counts, until one has arrived."""
    with socket.create_connection(('127.0.0.1', port)) as s:
        if s.getsockname() == s.getpeername():  # while nobody listens there it can meet itself
            return False
        s.sendall(f'probe 1 {START}\n'.encode())
        try:
            return wait_for(lambda: consumed(daemon) > 0, seconds=10, why='a line')
        except AssertionError:
            return False


def start_relay(folder, binary, daemon):
    """Once in a while a relay that begins never reads from anybody: then another one."""
    for attempt in range(5):
        port = free_port()
        with open(folder + '/relay.log', 'w') as log:
            relay = subprocess.Popen([binary, '-s', '-f', folder + '/relay.conf', '-p', str(port)], stdout=log, stderr=log)
        daemon.children.append(relay)
        try:
            wait_for(lambda: 'listening on UNIX' in open(folder + '/relay.log').read(), seconds=30, why='the relay')
            if passes_on(daemon, port):
                return relay, port
        except (AssertionError, OSError):
            pass
        relay.kill()
        relay.wait()
    raise AssertionError('no relay passes anything on:\n' + open(folder + '/relay.log').read())


def carbon_c_relay_relays(folder):
    """carbon-c-relay between a sender and us: what it was given comes out of us"""
    binary = peer('carbon-c-relay', 'carbon-c-relay')
    with Daemon(folder) as daemon:
        with open(folder + '/relay.conf', 'w') as f:
            f.write(RELAY.format(**daemon.ports))
        relay, port = start_relay(folder, binary, daemon)
        try:
            rng = random.Random(7)
            lines = [f'relay.host{i % 50}.m{i % 7};dc=eu;k=v{i % 3} {rng.choice([i, -i, i / 8, 1e-3 * i, 1e300])} {START + i // 350}'
                     for i in range(20000)]
            with socket.create_connection(('127.0.0.1', port)) as s:
                s.sendall(('\n'.join(lines) + '\n').encode())
                read_back_equal(daemon, lines, lambda names: names[::max(1, len(names) // 20)])
        finally:
            relay.kill()
            relay.wait()
            with contextlib.suppress(OSError):
                os.unlink(f'/tmp/.s.carbon-c-relay.{port}')


main(netdata_writes, carbon_c_relay_relays)
