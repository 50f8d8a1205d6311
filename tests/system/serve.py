#!/usr/bin/env python3
"""The main job as a user sees it: lines and puts in, answers out, clean ends."""
import os
import signal
import subprocess
import time

from harness import QUICKSTART, Daemon, ROOT, check_identity, main, wait_for, yarder


def a_line_and_a_put_come_back(folder):
    """a Graphite line and an OpenTSDB put come back from /api/query within a second, tags and all"""
    with Daemon(folder) as daemon:
        for attempt in range(20):  # other work on this machine may make one of them late
            now = int(time.time())
            name, began = f'try.me{attempt}', time.monotonic()
            daemon.lines(f'{name};host=web1;dc=eu 1.5 {now}\n')
            daemon.lines(f'put {name} {now} 2.5 host=web2 dc=eu\n', port='tsdb')
            answer = wait_for(lambda: (a := daemon.query(f'sum:{name}{{host=*}}')) and len(a) == 2 and a, why='the answer')
            took = time.monotonic() - began
            if took < 1:
                break
        assert took < 1, 'it took longer than a second'
        by_host = {a['tags']['host']: a for a in answer}
        assert by_host['web1']['dps'] == {str(now): 1.5}, answer
        assert by_host['web2']['dps'] == {str(now): 2.5}, answer
        assert by_host['web1']['tags'] == {'host': 'web1', 'dc': 'eu'}, answer
        assert daemon.http(f'/api/suggest?type=metrics&q={name}')[1] == [name]
        check_identity(daemon.status())
        daemon.stop()


def a_restart_answers_from_the_stream(folder):
    """after SIGTERM and a new start the history is rebuilt from the stream"""
    now = int(time.time())
    daemon = Daemon(folder).start()
    try:
        status, _ = daemon.http('/api/put?sync', [{'metric': 'kept', 'timestamp': now, 'value': i, 'tags': {'i': str(i)}}
                                                  for i in range(100)])
        assert status == 204, status
        daemon.stop()
        daemon.start()
        answer = wait_for(lambda: (a := daemon.query('count:kept')) and list(a[0]['dps'].values()) == [100] and a)
        assert answer
        daemon.stop()
    finally:
        daemon.kill()


def put_and_query_find_the_daemon(folder):
    """`yarder put` and `yarder query` find the daemon through its data folder"""
    with Daemon(folder) as daemon:
        yarder('put', 'room.temperature room=lab', '-21.5', '--data', daemon.data, check=0)
        shown = wait_for(lambda: (q := yarder('query', 'room.temperature', '--data', daemon.data)).returncode == 0
                         and '-21.5' in q.stdout and q.stdout, why='the answer')
        assert 'room.temperature room=lab' in shown, shown
        to = f'127.0.0.1:{daemon.ports["tsdb"]}'
        yarder('put', '--to', to, 'room.temperature room=hall', '3', check=0)
        tagless = yarder('put', '--to', to, 'room.temperature', '3')
        assert tagless.returncode == 2 and 'at least one tag' in tagless.stderr, tagless
        assert yarder('query', 'no.such.metric', '--to', to).returncode == 1
        refused = yarder('put', 'x t=1', 'abc', '--to', to)
        assert refused.returncode == 2 and 'not a number' in refused.stderr
        daemon.stop()


def a_second_run_is_refused(folder):
    """a second run on the same data folder is refused and names the holder"""
    with Daemon(folder) as daemon:
        second = Daemon(folder, data=daemon.data)
        second.file = daemon.file
        done = yarder('run', daemon.file, '--data', daemon.data)
        assert done.returncode == 1, done
        assert str(daemon.process.pid) in done.stderr, done.stderr
        daemon.stop()


def a_taken_port_is_said(folder):
    """a listen address that is taken stops the start with a sentence that names it"""
    with Daemon(folder) as daemon:
        os.mkdir(folder + '/other')
        other = Daemon(folder + '/other', ports=daemon.ports)
        other.start(wait=False)
        assert other.process.wait(90) == 1
        assert str(daemon.ports['graphite']) in other.stderr(), other.stderr()
        other.kill()
        daemon.stop()


def usage_mistakes_exit_2(folder):
    """usage mistakes exit 2 and say what to do, a wrong topology exits 1"""
    assert yarder('run').returncode == 2
    assert yarder('frobnicate').returncode == 2
    assert yarder('chekc', 'x').stderr.count("check")
    assert yarder('run', '--bogus', 'x').returncode == 2
    assert yarder('top', '--data', folder).returncode == 1
    with open(folder + '/bad.yd', 'w') as f:
        f.write('a :: Grafite(listen: "127.0.0.1:1")\n')
    bad = yarder('check', folder + '/bad.yd')
    assert bad.returncode == 1 and 'Graphite' in bad.stderr, bad.stderr
    for command in ('run', 'check', 'fmt', 'graph', 'route', 'elements', 'test', 'put', 'query', 'top', 'log ls', 'log stat',
                    'log cat', 'log tail', 'log verify', 'version'):
        shown = yarder(*command.split(), '--help', check=0)
        assert shown.stdout.startswith(f'usage: yarder {command}'), shown.stdout


def the_log_is_read_from_its_files(folder):
    """log ls, stat, cat, tail and verify read a live stream and a stopped one"""
    with Daemon(folder) as daemon:
        now = int(time.time())
        daemon.http('/api/put?sync', [{'metric': 'm', 'timestamp': now, 'value': i, 'tags': {'t': 'x'}} for i in range(10)])
        tail = subprocess.Popen([os.environ.get('YARDER', ROOT + '/build/release/yarder'), 'log', 'tail', 'metrics', '--data',
                                 daemon.data, '--from', 'oldest', '--count', '11'], stdout=subprocess.PIPE, text=True)
        # in the background: whatever fails below, it must not outlive the test
        daemon.children.append(tail)
        assert yarder('log', 'cat', 'metrics', '--data', daemon.data, check=0).stdout.count('\n') == 10
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)
        assert 'live' in yarder('log', 'ls', '--data', daemon.data, check=0).stdout
        daemon.http('/api/put?sync', {'metric': 'last', 'timestamp': now, 'value': 1, 'tags': {'t': 'x'}})
        try:
            out = tail.communicate(timeout=120)[0]
        finally:
            tail.kill()
        assert len(out.splitlines()) == 11 and 'last t=x 1' in out.splitlines()[-1], out
        daemon.stop()
        assert yarder('log', 'cat', 'metrics', '--data', daemon.data, '--match', 'last', check=0).stdout.count('\n') == 1
        assert 'none' in yarder('log', 'stat', 'metrics', '--data', daemon.data, check=0).stdout
        yarder('log', 'verify', 'metrics', '--data', daemon.data, check=0)


SELF = QUICKSTART.replace('graphite, tsdb ->', 'graphite, tsdb, self ->') + 'self :: Self(every: 200ms)\n'


def time_from_socket_to_durable_and_to_queries_is_told(folder):
    """status, top and Self say how long it took until records were durable and seen by queries, every record once"""
    with Daemon(folder, topology=SELF) as daemon:
        now = int(time.time())
        for second in range(5):
            daemon.lines(''.join(f'lat.{i} {i} {now - 5 + second}\n' for i in range(1000)))

        def told():
            log, history = [daemon.element(name)['inputs'][0] for name in ('metrics', 'history')]
            ours = log.get('latency', {}), history.get('latency', {})
            return ours if all(o.get('count', 0) >= 5000 for o in ours) else None
        durable, seen = wait_for(told, why='all 5,000 in both histograms')
        for spread in (durable, seen):
            assert 0 < spread['p50_ns'] <= spread['p90_ns'] <= spread['p99_ns'] <= spread['max_ns'] < 20e9, spread
            assert sum(count for _, count in spread['buckets']) == spread['count'], spread
        # A sync is in it: nothing is durable within a few microseconds.
        assert durable['p50_ns'] > 10_000, durable
        consumed = daemon.element('history')['inputs'][0]
        assert consumed['latency']['count'] <= consumed['consumed'], consumed
        top = yarder('top', '--once', '--data', daemon.data, check=0).stdout
        assert 'metrics.input' in top and 'durable' in top and 'queries see it' in top, top
        wait_for(lambda: daemon.query('none:yarder.input.latency_p99_us{element=metrics,input=input}', start='1m-ago'),
                 why='what Self says of it')


def an_interrupt_drains(folder):
    """SIGINT drains and exits 0"""
    with Daemon(folder) as daemon:
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(90) == 0, daemon.stderr()


main(a_line_and_a_put_come_back, a_restart_answers_from_the_stream, time_from_socket_to_durable_and_to_queries_is_told,
     put_and_query_find_the_daemon, a_second_run_is_refused,
     a_taken_port_is_said, usage_mistakes_exit_2, the_log_is_read_from_its_files, an_interrupt_drains)
