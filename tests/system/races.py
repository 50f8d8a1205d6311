#!/usr/bin/env python3
"""The whole daemon under a race detector: lines on two connections, puts that wait for the disk, and queries, all at once,
then SIGTERM; not one report.

    YARDER=build/tsan/yarder races.py tsan [SERIES ROUNDS]     ThreadSanitizer (./dev build tsan); default 20000 x 20
    YARDER=build/drd/yarder races.py drd [SERIES ROUNDS]       valgrind's DRD (./dev build drd); default 2000 x 10

`./dev test long` does both. bench-blast of the same build sends the lines. RACES_KEEP names a file for the reports.
DRD reports signals sent without the mutex; they are allowed, and meant (one wake-up less): it is told not to.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import harness
from harness import Daemon, Skip, check_identity, main, wait_for

detector = sys.argv[1] if len(sys.argv) > 1 else 'tsan'
series, rounds = (int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 3 else (20000, 20) if detector == 'tsan' else (2000, 10)
SUPPRESSIONS = os.path.join(harness.ROOT, 'tests/drd.supp')


def under(folder):
    """The command in front of the daemon, and where its reports come to lie."""
    reports = os.path.join(folder, 'report')
    if detector == 'tsan':
        return ['env', f'TSAN_OPTIONS=log_path={reports}:second_deadlock_stack=1:exitcode=66'], reports
    if not shutil.which('valgrind'):
        raise Skip('there is no valgrind')
    return ['valgrind', '--tool=drd', '--quiet', f'--log-file={reports}.%p', f'--suppressions={SUPPRESSIONS}',
            '--gen-suppressions=all', '--num-callers=24', '--fair-sched=try', '--report-signal-unlocked=no',
            '--error-exitcode=66'], reports


def all_at_once(folder):
    """ingest, puts, queries and the end of the daemon have no race"""
    prefix, reports = under(folder)
    if not os.path.exists(blast := os.path.join(os.path.dirname(harness.YARDER), 'bench/bench-blast')):
        raise Skip(f'there is no {blast}')
    daemon = Daemon(folder, prefix=prefix)
    over = threading.Event()
    counts = {'puts': 0, 'queries': 0}
    failures = []

    def until_over(name, what):
        try:
            while not over.is_set():
                what(counts[name])
                counts[name] += 1
        except Exception as error:
            failures.append(f'{name}: {error}')

    def put(number):
        now = int(time.time())
        status, answer = daemon.http('/api/put?sync&summary', [{'metric': 'beside', 'timestamp': now, 'value': number * 10 + i,
                                                               'tags': {'i': str(i)}} for i in range(10)], timeout=120)
        assert status == 200, (status, answer)

    def query(number):
        path = ['/api/query?start=1h-ago&m=sum:cpu.usage_user%7Bdc=eu%7D', '/api/query?start=1h-ago&m=max:beside%7Bi=*%7D',
                '/api/suggest?type=metrics&q=cpu', '/api/query/last?timeseries=beside'][number % 4]
        status, answer = daemon.http(path, timeout=120)
        assert status in (200, 400, 404), (status, answer)
        daemon.status()

    try:
        daemon.start()
        threads = [threading.Thread(target=until_over, args=a) for a in (('puts', put), ('puts', put), ('queries', query))]
        for thread in threads:
            thread.start()
        sent = json.loads(subprocess.run([blast, '127.0.0.1', str(daemon.ports['graphite']), str(series), str(rounds), '2'],
                                         capture_output=True, text=True, check=True, timeout=600).stdout.splitlines()[-1])
        wait_for(lambda: counts['puts'] >= 4 and counts['queries'] >= 8 or failures, seconds=300, why='puts and queries')
        over.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: daemon.element('history')['inputs'][0]['consumed'] >= series * rounds, seconds=300, pause=0.5,
                 why='the last line in the history')
        check_identity(daemon.status())
        print(f'# {detector}: {series * rounds} lines in {sent["seconds"]:.1f} s, {counts["puts"]} puts, '
              f'{counts["queries"]} queries', flush=True)
        assert not failures, failures
        daemon.process.terminate()
        code = daemon.process.wait(300)
        found = ''.join(open(path).read() for path in glob.glob(reports + '*'))
        keep = os.environ.get('RACES_KEEP')
        if keep and found:
            with open(keep, 'w') as f:
                f.write(found)
        assert not found, f'{len(found)} bytes of reports:\n{found[:6000]}'
        assert code == 0, f'exit {code}:\n{daemon.stderr()}'
    finally:
        over.set()
        daemon.kill()


sys.argv = sys.argv[:1]
main(all_at_once)
