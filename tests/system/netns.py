#!/usr/bin/env python3
"""A leader and three followers, each in a network namespace of its own, while the network goes wrong in every way.

    a (leads)   b   c   d        10.77.0.1 to .4, each on a veth of its own, with a file system as ever
     |__________|___|___|
          bridge                 in a namespace too: nothing of this machine's network is touched

Producers append with `replicated` all the time, over Unix sockets, so that they reach a node that nobody else reaches.
What an answer says is looked at when it comes: `replicated` when two of the control pages of the followers say that they
have it durably, `durable` and who is in the set when not. In the end the stream must hold what each answer promised, in
order, once; all copies are alike; what only a deposed leader had is in its quarantine/.

    netns.py [SECONDS [SEED]]    trouble at random for so long, instead of the test's own course
"""
import glob
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

from harness import Daemon, Skip, main, new_seed, wait_for, yarder
from native_client import DURABLE, REPLICATED, Native, Refused, batch

LEADER = '''
native :: Native(listen: "%(address)s:4280", unix: "native.sock", open: true)
Graphite(listen: "127.0.0.1:2003") -> metrics :: Log(stream: "metrics", segment: 1MiB, replicas: 2, replica_lag: 2s)
'''
FOLLOWER = '''
native :: Native(listen: "%(address)s:4280", unix: "native.sock", open: true)
metrics :: Replica(from: "%(from)s:4280", stream: "metrics") -> nowhere :: Null()
'''
MARK = 0x59 << 56  # values of ours: found again in quarantined bytes
FULL = ('replicated', 3)


SPACES = '/run/netns'


def inside(space):
    return 'nsenter', f'--net={SPACES}/{space}', '--'


class Network:
    """Namespaces joined by a bridge; each node's cable can be pulled, and each can be deaf or mute towards another."""

    def __init__(self, names):
        self.prefix = f'yd{os.getpid()}'
        self.names = names
        self.hub = self.prefix + 'hub'
        if not shutil.which('ip'):
            raise Skip('there is no ip (iproute2)')
        self.mounted = os.path.ismount(SPACES)  # `ip netns add` mounts it, and nobody takes it away again
        made = subprocess.run(['ip', 'netns', 'add', self.hub], capture_output=True, text=True)
        if made.returncode:
            raise Skip(f'network namespaces are not permitted here: {made.stderr.strip()}')
        try:
            self.build()
        except subprocess.CalledProcessError as error:
            self.close()
            raise Skip(f'no bridge or veth here: {error.stderr.strip()}') from None

    def build(self):
        self.ip(self.hub, 'link', 'add', 'name', 'switch', 'type', 'bridge')
        self.ip(self.hub, 'link', 'set', 'switch', 'up')
        for name in self.names:
            space = self.space(name)
            subprocess.run(['ip', 'netns', 'add', space], check=True, capture_output=True, text=True)
            self.ip(self.hub, 'link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
            self.ip(self.hub, 'link', 'set', 'dev', name, 'master', 'switch', 'up')
            self.ip(space, 'link', 'set', 'lo', 'up')
            self.ip(space, 'addr', 'add', self.address(name) + '/24', 'dev', 'eth0')
            self.ip(space, 'link', 'set', 'eth0', 'up')

    def ip(self, space, *args):
        # not `ip -n`: it wants to change mounts, which not every root may
        subprocess.run([*inside(space), 'ip', *args], check=True, capture_output=True, text=True)

    def space(self, name):
        return self.prefix + name

    def address(self, name):
        return f'10.77.0.{self.names.index(name) + 1}'

    def plug(self, name, there):
        self.ip(self.hub, 'link', 'set', 'dev', name, 'up' if there else 'down')

    def mute(self, name, other, on):
        """What `name` sends to `other` gets lost on the way; the other direction goes on."""
        change = ('replace', self.address(other), 'lladdr', '02:00:00:00:00:7f', 'nud', 'permanent') if on else \
            ('del', self.address(other))
        self.ip(self.space(name), 'neigh', *change, 'dev', 'eth0')

    def enter(self, name):
        return inside(self.space(name))

    def close(self):
        for name in (*map(self.space, self.names), self.hub):
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)
        if not self.mounted:
            subprocess.run(['umount', SPACES], capture_output=True)


class Cluster:
    def __init__(self, folder, names='abcd'):
        self.folder = folder
        self.names = list(names)
        self.network = Network(self.names)
        self.daemons, self.dirs = {}, {}
        self.producers, self.stopping = [], False
        for name in self.names:
            os.makedirs(f'{folder}/{name}')
            self.dirs[name] = f'{folder}/{name}/data/streams/metrics/0'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        for daemon in self.daemons.values():
            daemon.kill()
        for producer in self.producers:
            producer.join(90)
        self.network.close()

    def start(self, name, leader, wait=True):
        where = f'{self.folder}/{name}'
        text = (LEADER if name == leader else FOLLOWER) % {'address': self.network.address(name),
                                                          'from': self.network.address(leader)}
        self.daemons[name] = Daemon(where, topology=text, ports={'none': 0}, data=where + '/data',
                                    prefix=self.network.enter(name))
        return self.daemons[name].start(wait)

    def socket(self, name):
        return os.path.relpath(f'{self.folder}/{name}/native.sock')

    def durable(self, name):
        """As its control page says it, this very moment."""
        try:
            with open(self.dirs[name] + '/control', 'rb') as control:
                return struct.unpack_from('<Q', control.read(104), 24)[0]
        except OSError:
            return 0

    def alike(self):
        ends = {self.durable(name) for name in self.names}
        return len(ends) == 1 and ends.pop()


class Producer(threading.Thread):
    """Appends marks to one node, one after the other, and keeps what was answered. `seen` is the last answer."""

    def __init__(self, cluster, number, node, first=1):
        super().__init__(daemon=True)
        self.cluster, self.number, self.node = cluster, number, node
        self.next = first
        self.answers = []  # (mark, level, first seqno)
        self.refused = self.broken = None
        self.slowest = 0
        self.seen = None
        cluster.producers.append(self)
        self.start()

    def mark(self, seq):
        return MARK | self.number << 48 | seq

    def run(self):
        while not self.cluster.stopping and not self.broken and not self.refused:
            try:
                with Native(self.cluster.socket(self.node), timeout=30) as native:
                    handle = native.open('metrics')['handle']
                    while not self.cluster.stopping:
                        self.append(native, handle)
            except Refused as why:
                self.refused = why
            except (OSError, EOFError):
                time.sleep(0.05)  # its node is not there: it sends the same again
            except Exception as why:
                self.broken = why

    def append(self, native, handle):
        sent = batch([self.mark(self.next)] * 40, name=f'producer.{self.number}', producer=self.number, epoch=1, seq=self.next)
        began = time.monotonic()
        answer = native.append(handle, [sent], level=REPLICATED, expect_prev=self.next - 1)
        self.slowest = max(self.slowest, time.monotonic() - began)
        level = {REPLICATED: 'replicated', DURABLE: 'durable'}[answer['level']]
        have = sum(self.cluster.durable(name) >= answer['next'] for name in self.cluster.names if name != self.node)
        if level == 'replicated' and have < 2:
            raise AssertionError(f"mark {self.next}: called replicated, and {have} followers have it")
        if self.cluster.durable(self.node) < answer['next']:
            raise AssertionError(f"mark {self.next}: not durable at the leader")
        self.answers.append((self.mark(self.next), level, answer['first']))
        self.seen = (level, answer['in_sync'])
        self.next += 1

    def until(self, *wanted, seconds=90):
        def look():
            if self.broken:
                raise AssertionError(f'producer {self.number}: {self.broken}') from self.broken
            return self.seen in wanted
        self.seen = None
        wait_for(look, seconds=seconds, why=f'an answer {wanted} (the last one is {self.seen})')


# ---- what must hold in the end ----

def marks_of(native):
    """(mark, first seqno) of each batch in the stream."""
    handle = native.open('metrics')['handle']
    values, gaps, end = native.to_end(native.subscribe(handle, flags=2))
    assert not gaps, gaps
    assert len(values) == end, (len(values), end)
    found = []
    for at in range(0, len(values), 40):
        assert values[at:at + 40] == [values[at]] * 40, f'a batch in pieces at {at}'
        found.append((values[at], at))
    return found


def check_stream(cluster, leader, old=()):
    """Promises kept: `old` are the producers of a leader that was deposed."""
    for producer in cluster.producers:
        assert not producer.broken, producer.broken
    with Native(cluster.socket(leader)) as native:
        found = marks_of(native)
    places = dict(found)
    assert len(places) == len(found), 'there is a mark twice'
    for producer in cluster.producers:
        mine = [mark for mark, _ in found if mark >> 48 & 0xff == producer.number]
        assert mine == [producer.mark(i + 1) for i in range(len(mine))], f'producer {producer.number} is out of order'
        assert len(mine) < producer.next + 1, 'what was never sent is there'
        for mark, level, seqno in producer.answers:
            if level == 'durable' and producer in old and mark not in places:
                continue
            assert places.get(mark) == seqno, f'{mark:x} was {level} at {seqno}, and is at {places.get(mark)}'
    return places


def check_copies(cluster):
    """Byte for byte; zeros behind the last batch may be more or fewer."""
    files = [sorted(os.path.basename(p) for p in glob.glob(cluster.dirs[name] + '/*.ylog')) for name in cluster.names]
    assert all(f == files[0] for f in files), files
    for file in files[0]:
        copies = [open(f'{cluster.dirs[name]}/{file}', 'rb').read().rstrip(b'\0') for name in cluster.names]
        assert all(copy == copies[0] for copy in copies), f'{file} differs'
    for name in cluster.names:
        yarder('log', 'verify', 'metrics', '--data', f'{cluster.folder}/{name}/data', check=0)
    return len(files[0])


def in_quarantine(cluster, name):
    """The marks in what a node has cut."""
    kept = b''.join(open(path, 'rb').read() for path in sorted(glob.glob(cluster.dirs[name] + '/quarantine/*')))
    return {struct.unpack('<Q', mark)[0] for mark in set(re.findall(rb'...\0\0\0[\1-\3]\x59', kept, re.DOTALL))}


def promote(cluster, candidates, peers, lost):
    """The one of the candidates that is furthest, by trying: the others are refused."""
    at = lambda name: f'{cluster.network.address(name)}:4280'
    for member, name in enumerate(candidates, 1):
        cluster.daemons[name].stop()
        args = ['log', 'promote', 'metrics', '--data', f'{cluster.folder}/{name}/data', '--member', str(member),
                '--peers', ','.join(at(p) for p in peers if p != name), '--without', ','.join(at(p) for p in lost)]
        done = subprocess.run([*cluster.network.enter(name), os.environ['YARDER'], *args], capture_output=True, text=True,
                              timeout=60)
        if done.returncode == 0:
            return name
        cluster.start(name, 'a')
    raise AssertionError(f'nobody can be promoted: {done.stderr}')


# ---- the course of the test ----

def links_are_cut_and_flap(cluster, producer, rng):
    for name in 'bc':
        cluster.network.plug(name, False)
        producer.until(('replicated', 2) if name == 'b' else ('durable', 1))
    assert producer.slowest < 25, f'an append waited {producer.slowest:.1f} s for followers that were gone'
    for name in 'bc':
        cluster.network.plug(name, True)
    producer.until(FULL)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        name = rng.choice('abcd')
        cluster.network.plug(name, False)
        time.sleep(rng.uniform(0.02, 0.3))
        cluster.network.plug(name, True)
        time.sleep(rng.uniform(0, 0.2))
    producer.until(FULL)


def one_way_loss(cluster, producer):
    for mute, deaf in (('b', 'a'), ('a', 'c')):
        cluster.network.mute(mute, deaf, True)
        producer.until(('replicated', 2))
        cluster.network.mute(mute, deaf, False)
        producer.until(FULL)


def replica_killed(cluster, producer):
    cluster.daemons['c'].kill()
    producer.until(('replicated', 2))
    cluster.start('c', 'a')
    producer.until(FULL)


def nothing_that_was_answered_is_lost(folder):
    """Replicas in namespaces: cuts, flapping, one-way loss, kill -9, a deposed leader: every answer's promise holds"""
    with Cluster(folder) as cluster:
        for name in cluster.names:
            cluster.start(name, 'a')
        producers = [Producer(cluster, number, 'a') for number in (1, 2)]
        producers[0].until(FULL)
        links_are_cut_and_flap(cluster, producers[0], random.Random(1))
        one_way_loss(cluster, producers[0])
        replica_killed(cluster, producers[0])

        # The leader is alone, does not know that it is deposed, and goes on: it says `durable`, never more.
        cluster.network.plug('a', False)
        producers[0].until(('durable', 0))
        assert producers[0].slowest < 25, f'an append waited {producers[0].slowest:.1f} s for followers that were gone'
        alone = len(producers[0].answers)
        leader = promote(cluster, 'bcd', 'abcd', 'a')
        late = [name for name in 'bcd' if name != leader]
        cluster.start(leader, leader)
        newcomer = Producer(cluster, 3, leader)
        newcomer.until(('durable', 0))
        cluster.daemons[late[0]].stop()
        cluster.start(late[0], leader)
        assert all(level == 'durable' for _, level, _ in producers[0].answers[alone:]), 'alone, and replicated'

        # One that was fenced asks it: it hears that it was deposed, and its producers hear that, too.
        cluster.network.plug('a', True)
        for producer in producers:
            wait_for(lambda p=producer: p.refused or p.broken, why='the refusal of a late batch')
            assert not producer.broken, producer.broken
            assert producer.refused.error == 'EEPOCH', producer.refused
        cluster.daemons['a'].stop()
        again = cluster.start('a', 'a', wait=False)
        assert again.process.wait(90) == 1 and 'deposed' in again.stderr(), again.stderr()
        again.kill()
        cluster.start('a', leader)
        cluster.daemons[late[1]].stop()
        cluster.start(late[1], leader)
        newcomer.until(FULL)
        cluster.stopping = True
        newcomer.join(90)
        wait_for(cluster.alike, why='all copies ending alike')

        places = check_stream(cluster, leader, old=producers)
        kept = in_quarantine(cluster, 'a')
        gone = [mark for p in producers for mark, _, _ in p.answers if mark not in places]
        assert gone, 'the old leader had nothing of its own'
        assert not set(gone) - kept, 'what was cut was not kept'
        for name in cluster.names:
            cluster.daemons[name].stop()
        check_copies(cluster)


def trouble_at_random(folder, seconds, rng):
    with Cluster(folder) as cluster:
        for name in cluster.names:
            cluster.start(name, 'a')
        producers = [Producer(cluster, number, 'a') for number in (1, 2, 3)]
        producers[0].until(FULL)
        end, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            kind, name = rng.randrange(4), rng.choice('bcd')
            if kind == 0:
                name = rng.choice('abcd')
                cluster.network.plug(name, False)
                time.sleep(rng.uniform(0, 5))
                cluster.network.plug(name, True)
            elif kind == 1:
                pair = rng.choice((('a', name), (name, 'a')))
                cluster.network.mute(*pair, True)
                time.sleep(rng.uniform(0, 5))
                cluster.network.mute(*pair, False)
            elif kind == 2:
                cluster.daemons[name].kill()
                time.sleep(rng.uniform(0, 3))
                cluster.start(name, 'a')
            else:
                cluster.daemons['a'].kill()
                cluster.start('a', 'a')
            if rng.randrange(2):
                producers[0].until(FULL)
            rounds += 1
        producers[0].until(FULL)
        cluster.stopping = True
        for producer in producers:
            producer.join(90)
        wait_for(cluster.alike, why='all copies ending alike')
        found = check_stream(cluster, 'a')
        for name in cluster.names:
            cluster.daemons[name].stop()
        files = check_copies(cluster)
        print(f'# {rounds} troubles, {len(found)} batches, {files} files: all there, all alike', flush=True)


if __name__ == '__main__':
    if len(sys.argv) > 1:
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else new_seed()
        print(f'# seed {seed}', flush=True)

        def trouble(folder):
            """Replicas in namespaces, and trouble at random: every answer's promise holds"""
            trouble_at_random(folder, float(sys.argv[1]), random.Random(seed))
        main(trouble)
    main(nothing_that_was_answered_is_lost)
