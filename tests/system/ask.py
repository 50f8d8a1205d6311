#!/usr/bin/env python3
"""`yarder ask` and `yarder state`: what elements know, asked from outside, also after a restart and by many."""
import json
import socket
import subprocess
import threading
import time

from harness import YARDER, Daemon, free_port, main, wait_for, yarder

TOPOLOGY = '''
native :: Native(listen: "127.0.0.1:{native}")
statsd :: Statsd(listen: "127.0.0.1:{statsd}", flush: 100ms)
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
stream :: Log(stream: "x")
states :: State(classes: [{ match: "brief.*", fresh: 1s, summary: "silent" }])
facts :: Facts()
events :: Events()
window :: Window(every: 1h, grace: 1h)
graphite, statsd -> stream
stream -> states -> Null()
stream -> facts -> Null()
stream -> events -> Null()
stream -> window -> Null()
'''


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY, ports={name: free_port() for name in ('native', 'statsd', 'graphite')})


def datagram(daemon, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), ('127.0.0.1', daemon.ports['statsd']))


def ask(daemon, *args, check=0):
    return yarder('ask', *args, '--at', f'127.0.0.1:{daemon.ports["native"]}', '--json', check=check)


def rows(daemon, *args):
    return [json.loads(line) for line in ask(daemon, *args).stdout.splitlines()]


def state(daemon, *args, check=None):
    return yarder('state', *args, '--at', f'127.0.0.1:{daemon.ports["native"]}', check=check)


def what_elements_know_is_told_and_outlives_a_restart(folder):
    """states, facts, events and windows are asked by the element's name; states and facts again after kill -9"""
    with daemon_in(folder) as daemon:
        assert {row['name']: row['class'] for row in rows(daemon)} == {
            'states': 'State', 'facts': 'Facts', 'events': 'Events', 'window': 'Window'}
        datagram(daemon, '_sc|db.one|2|m:disk full\n_sc|db.two|0|m:fine\n_sc|brief.x|0|m:here')
        datagram(daemon, '_e{5,4}:title|text')
        daemon.lines('a.b 1\n')
        known = wait_for(lambda: len(found := rows(daemon, 'states', 'states')) == 3 and found, why='three states')
        assert {(row['name'], row['code']) for row in known} >= {('db.one', 'CRITICAL'), ('db.two', 'OK')}, known
        assert rows(daemon, 'facts', 'fact_set', 'name=site.owner', 'value=ops')[0]['value'] == 'ops'
        assert rows(daemon, 'facts', 'fact_set', 'name=site.size', 'value=17')[0]['value'] == 17
        assert rows(daemon, 'facts', 'facts', 'match=site.s*') == [row for row in rows(daemon, 'facts', 'facts')
                                                                   if row['name'] == 'site.size']
        assert wait_for(lambda: rows(daemon, 'events', 'events'), why='the event')[0]['value'] == 'text'
        assert wait_for(lambda: rows(daemon, 'window', 'windows'), why='the window')[0]['n'] == 1
        table = state(daemon, check=0).stdout
        assert table.splitlines()[1].startswith('db.one') and 'disk full' in table, table
        wait_for(lambda: '(stale) silent' in state(daemon, '--bad').stdout, why='silence')
        assert state(daemon, '--check', 'db.two').returncode == 0
        assert state(daemon, '--check', 'db.*').returncode == 1
        wait_for(lambda: all(daemon.element(name)['saves'] > 0 for name in ('states', 'facts')), why='the saves')
        saves = daemon.element('facts')['saves']
        rows(daemon, 'facts', 'fact_set', 'name=late', 'value=1.5')
        wait_for(lambda: daemon.element('facts')['saves'] > saves, why='the last save')
        daemon.kill()
        daemon.start()
        again = {row['name']: row for row in rows(daemon, 'states', 'states')}
        assert again['db.one']['summary'] == 'disk full' and again['brief.x']['stale'], again
        assert {row['name'] for row in rows(daemon, 'facts', 'facts')} == {'site.owner', 'site.size', 'late'}


def refusals_say_what_there_is(folder):
    """an unknown element, one that answers nothing, a question it does not know, too many answers"""
    with daemon_in(folder) as daemon:
        assert 'no element' in ask(daemon, 'nobody', 'states', check=1).stderr
        assert 'answers no questions' in ask(daemon, 'graphite', 'states', check=1).stderr
        assert 'there is states' in ask(daemon, 'states', 'nonsense', check=1).stderr
        assert 'KEY=VALUE' in ask(daemon, 'states', 'states', 'match', check=2).stderr
        assert 'match=PATTERN' in ask(daemon, 'facts', 'fact_delete', 'name=x', check=1).stderr
        assert 'name=NAME' in ask(daemon, 'facts', 'fact_get', check=1).stderr
        assert 'no such fact' in ask(daemon, 'facts', 'fact_get', 'name=x', check=1).stderr
        assert 'value=VALUE' in ask(daemon, 'facts', 'fact_set', 'name=x', check=1).stderr
        assert 'what is asked' in ask(daemon, 'states', check=2).stderr
        for i in range(300):
            datagram(daemon, f'_sc|many.{i}|0')
        wait_for(lambda: len(rows(daemon, 'states', 'states')) == 300, why='300 states')
        assert 'narrow' in ask(daemon, 'states', 'states', 'max=299', check=1).stderr
        assert len(rows(daemon, 'states', 'states', 'match=many.1*')) == 111


def nobody_there_is_said_with_what_to_look_for(folder):
    """a daemon that is not there, or has no Native, is the first thing that goes wrong: it says so"""
    for address in (f'127.0.0.1:{free_port()}', f'unix:{folder}/nothing.sock'):
        for words in (('state',), ('ask', 'x', 'states'), ('log', 'create', 'x')):
            refused = yarder(*words, '--at', address, check=1)
            assert 'is the daemon running, and has its topology a Native?' in refused.stderr, refused


def many_ask_at_once_and_some_leave(folder):
    """askers side by side get whole answers, also while others hang up in the middle of theirs"""
    with daemon_in(folder) as daemon:
        for part in range(20):
            datagram(daemon, '\n'.join(f'_sc|many.{part}.{i}|1|m:{"x" * 40}' for i in range(100)))
        wait_for(lambda: len(rows(daemon, 'states', 'states')) == 2000, why='2000 states')
        got, lock = [], threading.Lock()

        def asker():
            found = len(rows(daemon, 'states', 'states'))
            with lock:
                got.append(found)

        def leaver():
            for i in range(20):
                one = subprocess.Popen([YARDER, 'ask', 'states', 'states', '--at', f'127.0.0.1:{daemon.ports["native"]}'],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.002 * i)
                one.kill()
                one.wait()
        threads = [threading.Thread(target=asker) for _ in range(8)] + [threading.Thread(target=leaver)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [2000] * 8, got


if __name__ == '__main__':
    main(what_elements_know_is_told_and_outlives_a_restart, nobody_there_is_said_with_what_to_look_for, refusals_say_what_there_is,
         many_ask_at_once_and_some_leave)
