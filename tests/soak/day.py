#!/usr/bin/env python3
"""day.py [--hours N] [--series N] [--seed N]: a day of one-second data in minutes, through trouble; then all of it is asked.

A feeder (day_feed.c) sends each second of all series until it is answered 204, which is said when it is durable. Meanwhile
the daemon is killed at random moments and started again, and its disk is filled up once (when a file system of our own can
be mounted). Then: the count and the sum of every series and hour, every point of some series, and the number of points of
each minute must be exactly what was sent, once; again after a restart; and with a flipped byte in a block, what is missing
must be said and the rest be right. Prints its seed; the same seed makes the same choices.
"""
import argparse
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))

from harness import Daemon, free_port, wait_for, yarder  # noqa: E402

FEED = os.environ.get('DAY_FEED') or os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                  '../../build/release/tests/soak/day_feed')
TOPOLOGY = '''
influx :: Influx(listen: "127.0.0.1:{influx}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
influx -> metrics :: Log(stream: "metrics", size: 2GiB) -> history :: History(memory: 1GiB)
tsdb => history
'''
START = 1_700_002_800  # a whole hour


def value(series, second):
    return (31 * series + 7 * (second % 3600) + 13 * (second // 3600)) % 1000


class Day:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.rng = random.Random(options.seed)
        self.seconds = int(options.hours * 3600)
        self.data = folder + '/data'
        self.mounted = self.mount()
        self.daemon = Daemon(folder, topology=TOPOLOGY, ports={'influx': free_port(), 'tsdb': free_port()},
                             data=self.data + '/yarder')
        self.done, self.again = 0, 0

    def mount(self):
        """A file system of its own for the data, so that filling it fills nothing else."""
        image = self.folder + '/disk'
        os.makedirs(self.data)
        with open(image, 'wb') as f:
            f.truncate(8 << 30)
        try:
            for command in (['mkfs.ext4', '-q', '-F', image], ['mount', '-o', 'loop', image, self.data]):
                subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            print('no file system of our own can be mounted here: the disk is not filled', flush=True)
            return False
        return True

    def close(self):
        self.daemon.kill()
        if self.mounted:
            subprocess.run(['umount', '-l', self.data], check=False)

    # ---- writing ----
    def read_progress(self, feeder):
        for line in feeder.stdout:
            self.done, self.again = map(int, line.split())

    def fill(self):
        """No room at all for some seconds: senders wait, nothing that was acknowledged goes."""
        hog = self.data + '/hog'
        free = os.statvfs(self.data)
        subprocess.run(['fallocate', '-l', str(free.f_bavail * free.f_frsize - 4096), hog], check=False)
        time.sleep(3)
        os.unlink(hog)

    def write(self):
        began, kills, filled = time.monotonic(), 0, not self.mounted
        feeder = subprocess.Popen([FEED, str(self.daemon.ports['influx']), str(self.options.series), str(START),
                                   str(self.seconds), str(self.options.connections)], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read_progress, args=(feeder,), daemon=True).start()
        next_kill = time.monotonic() + self.rng.uniform(1, 20)
        try:
            while feeder.poll() is None:
                time.sleep(0.02)
                if self.daemon.process.poll() is not None:
                    raise AssertionError(f'the daemon died by itself:\n{self.daemon.stderr()[-2000:]}')
                if not filled and self.done > self.seconds // 2:
                    self.fill()
                    filled = True
                if time.monotonic() > next_kill and self.done < self.seconds:
                    self.daemon.kill()
                    kills += 1
                    self.daemon.start()
                    print(f'{self.done} of {self.seconds} seconds, killed {kills} times, {self.again} requests again',
                          flush=True)
                    next_kill = time.monotonic() + self.rng.uniform(1, 40)
        finally:
            feeder.kill()
            feeder.wait()
        took = time.monotonic() - began
        points = self.seconds * self.options.series
        print(f'{points / 1e6:.1f} M points acknowledged in {took:.0f} s, {points / took / 1e6:.2f} M a second, '
              f'killed {kills} times', flush=True)

    # ---- reading ----
    def ask(self, query, start, end):
        """{tags or '': {second: value}} of an inclusive range."""
        status, answer = self.daemon.http(f'/api/query?start={START + start}&end={START + end}&m={query}&arrays=false',
                                          timeout=300)
        assert status == 200, (status, query, str(answer)[:500])
        return {group['tags'].get('s', ''): {int(t) - START: v for t, v in group['dps'].items()} for group in answer}

    def settled(self):
        """Everything that was acknowledged has been taken by the history."""
        def caught_up():
            answer = self.ask('zimsum:1m-count:day_v', self.seconds - 60, self.seconds - 1)
            return answer and list(answer[''].values()) == [60 * self.options.series]
        wait_for(caught_up, seconds=300, pause=0.5, why='the history catching up')

    def check(self, why):
        began = time.monotonic()
        sums = [sum((a + 7 * k) % 1000 for k in range(3600)) for a in range(1000)]
        hours = self.seconds // 3600
        for hundred in range(0, self.options.series, 100):
            tags = f'{{s={hundred // 100:03}*}}'
            counts = self.ask('none:1h-count:day_v' + tags, 0, self.seconds - 1)
            totals = self.ask('none:1h-sum:day_v' + tags, 0, self.seconds - 1)
            for series in range(hundred, hundred + 100):
                for hour in range(hours):
                    got = [answer.get(f'{series:05}', {}).get(hour * 3600, 0) for answer in (counts, totals)]
                    want = [3600, sums[(31 * series + 13 * hour) % 1000]]
                    assert got == want, f'{why}: series {series} hour {hour}: count and sum {got}, wanted {want}'
        minutes = self.ask('zimsum:1m-count:day_v', 0, self.seconds - 1).get('', {})
        assert set(minutes.values()) == {60 * self.options.series} and len(minutes) == self.seconds // 60, (why, minutes)
        for _ in range(50):
            series, hour = self.rng.randrange(self.options.series), self.rng.randrange(hours)
            points = self.ask(f'none:day_v{{s={series:05}}}', hour * 3600, hour * 3600 + 3599).get(f'{series:05}')
            want = {second: value(series, second) for second in range(hour * 3600, hour * 3600 + 3600)}
            assert points == want, (why, series, hour, points)
        print(f'{why}: each series and hour asked for count and sum, {time.monotonic() - began:.0f} s', flush=True)

    def damage(self):
        """A flipped byte in a block costs what is in that place, which is named, and nothing else."""
        blocks = sorted(glob.glob(self.data + '/yarder/history/history/*.block'), key=os.path.getsize)
        victim = blocks[-1]
        with open(victim, 'r+b') as f:
            f.seek(os.path.getsize(victim) // 3)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 0x20]))
        verify = yarder('log', 'verify', '--data', self.data + '/yarder', timeout=600)
        named = re.findall(re.escape(os.path.basename(victim)) + r': (\d+) points of series', verify.stdout)
        assert verify.returncode == 1 and len(named) == 1, verify.stdout[-2000:]
        self.daemon.start()
        there = sum(n for hour in range(self.seconds // 3600)  # by 10 s: no rollup knows that
                    for n in self.ask('zimsum:10s-count:day_v', hour * 3600, hour * 3600 + 3599).get('', {}).values())
        lost = self.seconds * self.options.series - there
        assert lost == int(named[0]), f'{lost} points are missing, {named[0]} were named'
        wait_for(lambda: os.path.basename(victim) in self.daemon.stderr(), why='the block named by the daemon')
        print(f'a flipped byte of {os.path.getsize(victim) >> 20} MiB cost {lost} points, as verify had said', flush=True)

    def run(self):
        self.daemon.start()
        self.write()
        self.settled()
        self.check('after writing')
        self.daemon.stop(seconds=120)
        size = sum(os.path.getsize(p) for p in glob.glob(self.data + '/yarder/history/history/*.block'))
        print(f'{size / (self.seconds * self.options.series):.2f} bytes a point in blocks', flush=True)
        began = time.monotonic()
        self.daemon.start()
        print(f'started again in {time.monotonic() - began:.2f} s', flush=True)
        self.check('after a restart')
        self.daemon.stop(seconds=120)
        self.damage()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--hours', type=float, default=24)
    parser.add_argument('--series', type=int, default=10000, help='a multiple of 100, at most 100,000')
    parser.add_argument('--connections', type=int, default=2)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument('--dir', default=None, help='where the data goes (a real disk)')
    options = parser.parse_args()
    print(f'seed {options.seed}', flush=True)
    folder = tempfile.mkdtemp(prefix='yarder-day-', dir=options.dir)
    day = Day(folder, options)
    try:
        day.run()
    except AssertionError as error:
        print(f'failed: {error}\nthe data is kept in {folder}; again: --seed {options.seed}')
        day.daemon.kill()
        return 1
    day.close()
    shutil.rmtree(folder, ignore_errors=True)
    print('all there, once')
    return 0


if __name__ == '__main__':
    sys.exit(main())
