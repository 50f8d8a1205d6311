#!/usr/bin/env python3
"""kill -9 during /api/put?sync load: what was acknowledged is there, once, and the stream is clean.

kill9.py [ROUNDS]    default 10; the long run is 200
"""
import http.client
import json
import random
import sys
import threading
import time

from harness import Daemon, main, wait_for, yarder

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)


class Writer(threading.Thread):
    """Puts points with a number of its own as value, one request after the other, and notes which were acknowledged."""

    def __init__(self, port, writer, first):
        super().__init__(daemon=True)
        self.port, self.writer, self.next = port, writer, first
        self.acknowledged, self.sent = [], 0

    def run(self):
        try:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
            while True:
                numbers = range(self.next, self.next + 5)
                self.next += 5
                self.sent = self.next
                body = json.dumps([{'metric': 'kill', 'timestamp': int(time.time()), 'value': n,
                                    'tags': {'writer': str(self.writer)}} for n in numbers])
                connection.request('POST', '/api/put?sync', body)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 204:
                    self.acknowledged.extend(numbers)
        except (OSError, http.client.HTTPException):
            pass


def acknowledged_points_survive(folder):
    """every acknowledged point is there once after each kill -9"""
    print(f'# seed {seed}, {rounds} rounds', flush=True)
    rng = random.Random(seed)
    daemon = Daemon(folder)
    acknowledged = {writer: set() for writer in range(4)}
    upto = dict.fromkeys(range(4), 0)
    try:
        for number in range(rounds):
            daemon.start()
            writers = [Writer(daemon.ports['tsdb'], w, upto[w]) for w in acknowledged]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.02, 0.25))
            daemon.kill()
            for writer in writers:
                writer.join()
                acknowledged[writer.writer].update(writer.acknowledged)
                upto[writer.writer] = writer.next
        daemon.start()
        total = sum(map(len, acknowledged.values()))
        seen = {}
        for line in yarder('log', 'cat', 'metrics', '--data', daemon.data, '--json', check=0).stdout.splitlines():
            record = json.loads(line)
            key = int(record['name'].split('writer=')[1]), record['value']
            seen[key] = seen.get(key, 0) + 1
        missing = [(w, n) for w, numbers in acknowledged.items() for n in numbers if (w, n) not in seen]
        twice = [key for key, count in seen.items() if count > 1]
        invented = [key for key in seen if key[1] >= upto[key[0]]]
        print(f'# {total} points acknowledged, {len(seen)} in the stream', flush=True)
        assert not missing, f'{len(missing)} acknowledged points are gone: {missing[:10]}'
        assert not twice, f'{len(twice)} points are there twice: {twice[:10]}'
        assert not invented, f'never sent: {invented[:10]}'
        assert total > rounds, 'hardly anything was acknowledged: the test tested nothing'
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
        count = wait_for(lambda: (a := daemon.query('count:0all-count:kill')) and sum(a[0]['dps'].values()) >= 1)
        assert count
        daemon.stop()
    finally:
        daemon.kill()


sys.argv = sys.argv[:1]
main(acknowledged_points_survive)
