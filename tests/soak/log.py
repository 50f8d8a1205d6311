#!/usr/bin/env python3
"""log.py MINUTES [--seed N]: random trouble for a daemon's log on a real disk, until the time is over or a promise is broken.

Each round: writers put points and note what was acknowledged; tails read along; then one kind of trouble: kill -9, a full
disk (a file system of its own when we may mount one), flipped bits that are repaired from a backup, a backup and its
restoring, an orderly stop, a leader and three followers whose network goes wrong (system/netns.py). After each round the folder is verified, and the stream must hold every acknowledged point
once and nothing that was never sent. Prints its seed; the same seed makes the same choices.
"""
import argparse
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))

from acknowledged import Ledger  # noqa: E402
from harness import YARDER, Daemon, free_port, wait_for, yarder  # noqa: E402

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
graphite, tsdb -> metrics :: Log(stream: "metrics", segment: 1MiB%s) -> history :: History()
tsdb => history
metrics -[cursor: "archive", from: oldest]-> Null()
'''


class Soak:
    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        self.data = folder + '/data'
        self.ports = {'graphite': free_port(), 'tsdb': free_port()}
        self.ledger = Ledger()
        self.counts = {}
        self.mounted = self.mount()
        # Twins where this build has them.
        self.more = ', compress: 1s' if '`compress' in yarder('elements', 'Log').stdout else ''
        self.daemon = None

    def mount(self):
        """A small file system of its own for the data, so that filling it fills nothing else."""
        image = self.folder + '/disk'
        os.makedirs(self.data)
        with open(image, 'wb') as f:
            f.truncate(192 << 20)
        try:
            for command in (['mkfs.ext4', '-q', '-F', image], ['mount', '-o', 'loop', image, self.data]):
                subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            print('no file system of our own can be mounted here: no full disks this time', flush=True)
            return False
        return True

    def start(self):
        os.makedirs(self.folder + '/run', exist_ok=True)
        self.daemon = Daemon(self.folder + '/run', topology=TOPOLOGY % self.more, ports=self.ports,
                             data=self.data + '/yarder').start()

    def stream(self):
        return self.data + '/yarder/streams/metrics/0'

    def noise(self):
        """Lines that nobody acknowledges, so that segments roll."""
        pad = 'x' * 100
        for _ in range(self.rng.randrange(4)):
            first = self.rng.randrange(1 << 30)
            try:
                self.daemon.lines(''.join(f'noise.{pad}.{first + i} 1 {int(time.time())}\n' for i in range(3000)), 'graphite')
            except OSError:
                return

    # ---- trouble: each ends with no daemon running ----
    def kill(self):
        """kill -9 while everybody writes"""
        self.ledger.round(self.daemon, self.rng.uniform(0.1, 1.5), self.daemon.kill)

    def stop(self):
        """an orderly stop while everybody writes"""
        self.ledger.round(self.daemon, self.rng.uniform(0.1, 1.5), self.daemon.stop)

    def full(self):
        """the disk is full for a while"""
        def fill():
            hog = self.data + '/hog'
            free = os.statvfs(self.data)
            subprocess.run(['fallocate', '-l', str(max(free.f_bavail * free.f_frsize - self.rng.randrange(1 << 20), 4096)), hog])
            self.noise()
            time.sleep(self.rng.uniform(0.2, 1))
            if self.rng.randrange(2):
                self.daemon.kill()
            os.unlink(hog)
            time.sleep(0.2)
            self.daemon.kill()
        self.ledger.round(self.daemon, 0.3, fill)

    def rot(self):
        """bits flip in a copy-backed stream, live or stopped; found, repaired, byte for byte"""
        backup = self.folder + '/backup'
        shutil.rmtree(backup, ignore_errors=True)
        live = self.rng.randrange(2)
        self.ledger.round(self.daemon, 0.5, self.daemon.stop)
        yarder('log', 'backup', '--all', backup, '--data', self.data + '/yarder', check=0)
        if live:
            self.start()
        segments = sorted(glob.glob(self.stream() + '/*.ylog'))
        victim = self.rng.choice(segments[:-1] if live and len(segments) > 1 else segments)
        copy = backup + '/streams/metrics/0'
        saved = os.path.join(copy, os.path.basename(victim))
        size = os.path.getsize(saved)
        if not live or len(segments) > 1:
            with open(victim, 'r+b') as f:
                for _ in range(self.rng.choice((1, 1, 5))):
                    at = self.rng.randrange(4096, size)
                    f.seek(at)
                    byte = f.read(1)[0]
                    f.seek(at)
                    f.write(bytes([byte ^ 1 << self.rng.randrange(8)]))
            found = yarder('log', 'verify', 'metrics', '--data', self.data + '/yarder')
            assert found.returncode == 1, f'{victim}: flipped bits were not found'
            yarder('log', 'repair', 'metrics', '--from-dir', copy, '--data', self.data + '/yarder',
                   check=None if live else 0)
            with open(victim, 'rb') as a, open(saved, 'rb') as b:
                ours, theirs = a.read(size), b.read(size)
            footer = 256 + 32 * (size >> 16) + 8192  # of a live one the index is made anew by its next opening
            assert ours == theirs or (live and ours[:-footer] == theirs[:-footer]), f'{victim} is not what it was'
        if live:
            self.daemon.stop()

    def restored(self):
        """a backup while it is written, restored elsewhere"""
        backup, elsewhere = self.folder + '/backup2', self.folder + '/elsewhere'
        shutil.rmtree(elsewhere, ignore_errors=True)

        def copy():
            yarder('log', 'backup', '--all', backup, '--data', self.data + '/yarder', check=0)
            self.daemon.kill()
        self.ledger.round(self.daemon, self.rng.uniform(0.2, 1), copy)
        yarder('log', 'restore', backup, '--data', elsewhere, check=0)
        yarder('log', 'verify', '--data', elsewhere, check=0)

    def network(self):
        """four nodes in network namespaces, and trouble between them"""
        seed = self.rng.randrange(1 << 32)
        done = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system/netns.py'),
                               '30', str(seed)], capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise AssertionError(f'netns.py 30 {seed}:\n{done.stdout}{done.stderr}')
        self.daemon.stop()

    def check(self):
        """Every acknowledged point once, nothing invented, no damage."""
        total = sum(map(len, self.ledger.acknowledged.values()))
        seen = {}
        out = yarder('log', 'cat', 'metrics', '--match', 'kill', '--data', self.data + '/yarder', check=0, timeout=300).stdout
        for line in out.splitlines():
            words = line.split()
            key = int(words[3].split('writer=')[1]), int(float(words[-1]))
            seen[key] = seen.get(key, 0) + 1
        missing = [(w, n) for w, numbers in self.ledger.acknowledged.items() for n in numbers if (w, n) not in seen]
        assert not missing, f'{len(missing)} acknowledged points are gone: {missing[:10]}'
        twice = [key for key, count in seen.items() if count > 1]
        assert not twice, f'there twice: {twice[:10]}'
        invented = [key for key in seen if key[1] >= self.ledger.upto[key[0]]]
        assert not invented, f'never sent: {invented[:10]}'
        return total

    def round(self, number):
        kinds = [self.kill, self.kill, self.stop, self.rot, self.restored, self.network] + ([self.full] if self.mounted else [])
        trouble = self.rng.choice(kinds)
        self.start()
        tail = subprocess.Popen([YARDER, 'log', 'tail', 'metrics', '--from', 'oldest', '--data', self.data + '/yarder'],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.noise()
            trouble()
            self.start()  # recovers
            wait_for(lambda: self.daemon.status())
            total = self.check()
            self.daemon.stop()
            yarder('log', 'verify', '--data', self.data + '/yarder', check=0, timeout=300)
        finally:
            tail.kill()
            tail.wait()
        self.counts[trouble.__name__] = self.counts.get(trouble.__name__, 0) + 1
        files = len(glob.glob(self.stream() + '/*.ylog'))
        print(f'round {number}: {trouble.__doc__}: {total} points acknowledged so far, {files} files: all there', flush=True)

    def end(self):
        if self.daemon:
            self.daemon.kill()
        if self.mounted:
            subprocess.run(['umount', self.data], check=False)


def main():
    parser = argparse.ArgumentParser(prog='./dev soak log')
    parser.add_argument('minutes', type=float)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print(f'seed {args.seed}', flush=True)
    folder = tempfile.mkdtemp(prefix='yarder-soak-')
    soak = Soak(folder, random.Random(args.seed))
    end, number = time.monotonic() + args.minutes * 60, 0
    try:
        while time.monotonic() < end:
            number += 1
            soak.round(number)
    except Exception as broken:  # whatever it is: the place is kept to be looked at
        print(f'round {number} broke: {broken}\nseed {args.seed}; the folder is kept: {folder}', flush=True)
        if soak.daemon:
            soak.daemon.kill()
        sys.exit(1)
    soak.end()
    shutil.rmtree(folder, ignore_errors=True)
    print(f'{number} rounds, no promise broken: ' + ', '.join(f'{count} {name}' for name, count in soak.counts.items()))


main()
