"""Writers that note what was acknowledged to them, through any number of deaths of the daemon, and the check after."""
import http.client
import json
import threading
import time

from harness import wait_for, yarder

WRITERS = 4


class Writer(threading.Thread):
    """Puts points with a number of its own as value, one request after the other, and notes which were acknowledged."""

    def __init__(self, port, writer, first):
        super().__init__(daemon=True)
        self.port, self.writer, self.next = port, writer, first
        self.acknowledged = []

    def run(self):
        try:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=100)
            while True:
                numbers = range(self.next, self.next + 5)
                self.next += 5
                body = json.dumps([{'metric': 'kill', 'timestamp': int(time.time()), 'value': n,
                                    'tags': {'writer': str(self.writer)}} for n in numbers])
                connection.request('POST', '/api/put?sync', body)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 204:
                    self.acknowledged.extend(numbers)
        except (OSError, http.client.HTTPException):
            pass


class Ledger:
    """What was acknowledged to whom, over all rounds."""

    def __init__(self):
        self.acknowledged = {writer: set() for writer in range(WRITERS)}
        self.upto = dict.fromkeys(range(WRITERS), 0)
        self.rounds = 0

    def round(self, daemon, seconds, end):
        """Writes to a running daemon, after so many seconds calls end(), which must kill it."""
        writers = [Writer(daemon.ports['tsdb'], w, self.upto[w]) for w in self.acknowledged]
        for writer in writers:
            writer.start()
        self.rounds += 1
        if self.rounds % 2:  # on a busy machine hardly anything is acknowledged so soon: then each second round is about little
            wait_for(lambda: any(writer.acknowledged for writer in writers), why='an acknowledgement')
        time.sleep(seconds)
        end()
        for writer in writers:
            writer.join()
            self.acknowledged[writer.writer].update(writer.acknowledged)
            self.upto[writer.writer] = writer.next

    def check(self, daemon, at_least):
        """The running daemon's stream has each acknowledged point once, nothing that was never sent, and no damage."""
        total = sum(map(len, self.acknowledged.values()))
        seen = {}
        for line in yarder('log', 'cat', 'metrics', '--data', daemon.data, '--json', check=0).stdout.splitlines():
            record = json.loads(line)
            key = int(record['name'].split('writer=')[1]), record['value']
            seen[key] = seen.get(key, 0) + 1
        missing = [(w, n) for w, numbers in self.acknowledged.items() for n in numbers if (w, n) not in seen]
        twice = [key for key, count in seen.items() if count > 1]
        invented = [key for key in seen if key[1] >= self.upto[key[0]]]
        print(f'# {total} points acknowledged, {len(seen)} in the stream', flush=True)
        assert not missing, f'{len(missing)} acknowledged points are gone: {missing[:10]}'
        assert not twice, f'{len(twice)} points are there twice: {twice[:10]}'
        assert not invented, f'never sent: {invented[:10]}'
        assert total > at_least, 'hardly anything was acknowledged: the test tested nothing'
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
        assert wait_for(lambda: (a := daemon.query('count:0all-count:kill')) and sum(a[0]['dps'].values()) >= 1)
