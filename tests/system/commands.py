#!/usr/bin/env python3
"""The commands as a person or a script meets them: parameters, includes, tests in files, plug-ins, JSON, exit codes."""
import json
import os
import signal
import subprocess
import urllib.request

from harness import QUICKSTART, ROOT, YARDER, Daemon, free_port, main, wait_for, yarder

ALL = ('run', 'check', 'fmt', 'graph', 'route', 'elements', 'test', 'put', 'send', 'query', 'top', 'state', 'ask', 'log ls', 'log stat', 'log cat',
       'log tail', 'log verify', 'log get', 'log dump', 'log repair', 'log salvage', 'log backup',
       'live ls', 'live get', 'live watch', 'live stat', 'live record', 'replay',
       'log restore', 'log tombstone', 'log append', 'log subscribe', 'log create', 'log cursors', 'log follow', 'log promote',
       'decom check', 'decom convert', 'decom explain',
       'sim',
       'completion', 'version')


def write(folder, **files):
    for name, text in files.items():
        path = os.path.join(folder, name.replace('__', '/') + '.yd')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)


def run(folder, *args, env=None, text='', expect=0):
    done = subprocess.run([YARDER, *args], cwd=folder, input=text, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    assert done.returncode == expect, (args, done)
    return done


def parameters_come_from_set_and_env(folder):
    """--set beats the default, env() reads the environment, a value never becomes syntax, a wrong one is said"""
    write(folder, p='param every: duration = 2s\nLines(every: $every) -> Print()\n',
          q='param shown: text = env("SHOWN", "value")\nparam path: text\nLines(path: $path) -> Print(format: $shown)\n')
    with open(folder + '/in.txt', 'w') as f:
        f.write('one\n')
    assert run(folder, 'run', 'q.yd', '--set', 'path=in.txt').stdout == 'one\n'
    shown = run(folder, 'run', 'q.yd', '--set', 'path=in.txt', env={'SHOWN': 'json'}).stdout
    assert json.loads(shown)['value'] == 'one', shown
    assert run(folder, 'run', 'q.yd', '--set', 'path=in.txt', '--set', 'shown=value', env={'SHOWN': 'json'}).stdout == 'one\n'
    assert 'path' in run(folder, 'check', 'q.yd', expect=1).stderr
    assert 'nosuch' in run(folder, 'check', 'q.yd', '--set', 'path=x', '--set', 'nosuch=1', expect=1).stderr
    assert 'xml' in run(folder, 'check', 'q.yd', '--set', 'path=x', env={'SHOWN': 'xml'}, expect=1).stderr
    run(folder, 'check', 'p.yd', '--set', 'every=3s')
    assert 'evrey' in run(folder, 'check', 'p.yd', '--set', 'evrey=3s', expect=1).stderr
    assert 'every' in run(folder, 'check', 'p.yd', '--set', 'every=three', expect=1).stderr
    run(folder, 'check', 'q.yd', '--set', 'path', expect=2)
    # Neither quotes nor arrows in a value are read as language.
    hostile = 'x") -> Null() # "'
    failed = run(folder, 'run', 'q.yd', '--set', f'path={hostile}', expect=1)
    assert hostile in failed.stderr, failed


def includes_are_relative_and_once(folder):
    """include is relative to its file, read once however often, and a missing one is said at its place"""
    write(folder, main='include "parts/a.yd"\ninclude "parts/b.yd"\nLines() -> tail\n', parts__a='include "b.yd"\n',
          parts__b='tail :: Print(format: "value")\n', broken='include "parts/none.yd"\nLines() -> Print()\n')
    assert run(folder, 'run', 'main.yd', text='x\n').stdout == 'x\n'
    broken = run(folder, 'check', 'broken.yd', '--json', expect=1)
    (found,) = json.loads(broken.stdout)['diagnostics']
    assert 'none.yd' in json.dumps(found) and found['line'] == 1, found


TESTED = '''
graphite :: Graphite(listen: "127.0.0.1:2003")
graphite -> Null()
test "a good line passes" {
  feed graphite "cpu.load 1.5 1700000000\\n"
  expect graphite == [ { name: "cpu.load", value: 1.5 } ]
}
test "two lines are three" {
  feed graphite "a 1 1700000000\\nb 2 1700000000\\n"
  expect graphite count %d
}
'''


def tests_in_files_run(folder):
    """`yarder test` runs a file's tests: 0 when all pass, 1 when one fails or none has the name; --only, --seed, --json"""
    write(folder, good=TESTED % 2, bad=TESTED % 3)
    assert '2 passed, 0 failed' in run(folder, 'test', 'good.yd').stdout
    failed = run(folder, 'test', 'bad.yd', expect=1).stdout
    assert '1 passed, 1 failed' in failed and 'FAILED  two lines are three' in failed, failed
    assert '1 passed, 0 failed' in run(folder, 'test', 'bad.yd', '--only', 'a good*').stdout
    run(folder, 'test', 'bad.yd', '--only', 'no such', expect=1)
    results = json.loads(run(folder, 'test', 'bad.yd', '--json', '--seed', '7', expect=1).stdout)
    assert [(r['name'], r['passed']) for r in results] == [('a good line passes', True), ('two lines are three', False)]
    assert results[1]['report'], results
    run(folder, 'test', 'bad.yd', '--seed', 'x', expect=2)
    run(folder, 'test', 'none.yd', expect=1)
    assert not os.path.exists(folder + '/data'), 'a test leaves nothing behind'


def plugins_are_found_in_folders(folder):
    """YARDER_PLUGINS names folders of plug-ins; --plugin one; a file that is none is refused with a reason"""
    os.mkdir(folder + '/plugins')
    subprocess.run(['cc', '-shared', '-fPIC', '-I', ROOT + '/include', ROOT + '/examples/plugin.c', '-o',
                    folder + '/plugins/threshold.so'], check=True)
    write(folder, p='Lines() -> Count(metric: "n") -> Threshold(above: 1.5) -> Print(format: "value")\n')
    run(folder, 'check', 'p.yd', expect=1)
    env = {'YARDER_PLUGINS': folder + '/plugins'}
    run(folder, 'check', 'p.yd', env=env)
    assert 'Threshold' in run(folder, 'elements', env=env).stdout
    assert run(folder, 'run', 'p.yd', env=env, text='a\nb\n').stdout == '2 is above 1.5\n'
    with open(folder + '/plugins/not.so', 'w') as f:
        f.write('not a library')
    for command in ['check', 'p.yd', '--plugin', 'plugins/not.so'], ['check', 'p.yd', '--plugin', 'nowhere.so']:
        refused = run(folder, *command, expect=1)
        assert '.so' in refused.stderr, refused


def colour_is_for_terminals(folder):
    """errors have colours on a terminal only, and not with NO_COLOR"""
    write(folder, bad='a :: Nope()\n')

    def on_terminal(env):
        master, slave = os.openpty()
        child = subprocess.Popen([YARDER, 'check', 'bad.yd'], cwd=folder, stderr=slave, stdout=slave, stdin=slave, env=env)
        os.close(slave)
        text = b''
        try:
            while chunk := os.read(master, 4096):
                text += chunk
        except OSError:
            pass
        os.close(master)
        assert child.wait(90) == 1
        return text
    plain = {k: v for k, v in os.environ.items() if k != 'NO_COLOR'}
    assert b'\x1b[' in on_terminal(plain)
    assert b'\x1b[' not in on_terminal({**plain, 'NO_COLOR': '1'})
    assert '\x1b' not in run(folder, 'check', 'bad.yd', expect=1).stderr


def every_command_teaches_and_refuses(folder):
    """--help of every command exits 0 and names --json and its exit codes; what is not understood exits 2"""
    for command in ALL:
        shown = yarder(*command.split(), '--help', check=0).stdout
        assert shown.startswith(f'usage: yarder {command} ') or shown.startswith(f'usage: yarder {command}\n'), shown
        assert '--json' in shown and 'Exit codes' in shown, shown
        if command not in ('version',):
            assert 'Try:' in shown, shown
        refused = yarder(*command.split(), '--no-such-option')
        assert refused.returncode == 2 and '--no-such-option' in refused.stderr, refused
    for words in [], ['nope'], ['log'], ['log', 'nope'], ['run', 'a', 'b'], ['put', 'x'], ['run', 'x', '--data'], \
            ['run', 'x.yd', '--executors', 'many'], ['run', 'x.yd', '--executors', '0'], ['completion', 'tcsh'], \
            ['fmt', 'x', '--check', '--write']:
        assert yarder(*words, cwd=folder).returncode == 2, words
    for words in ['run', 'none.yd'], ['check', 'none.yd'], ['fmt', 'none.yd'], ['elements', 'Nope'], ['top'], ['log', 'ls'], \
            ['log', 'cat', 'x'], ['query', 'x'], ['put', 'a b=c', '1']:
        failed = yarder(*words, cwd=folder)
        assert failed.returncode == 1 and failed.stderr, (words, failed)


def every_command_speaks_json(folder):
    """with --json every command writes JSON and nothing else"""
    write(folder, a='Lines()->Print()\n')
    with Daemon(folder, QUICKSTART, args=['--json']) as daemon:
        lines = wait_for(lambda: 'serving' in daemon.stderr() and [json.loads(l) for l in daemon.stderr().splitlines()])
        assert {l['element'] for l in lines if l['event'] == 'listens'} == {'graphite', 'tsdb'}, lines
        data = ['--data', daemon.data, '--json']
        at = lambda *words: json.loads(yarder(*words, *data, check=0).stdout)
        put = at('put', 'm t=x', '9007199254740993')
        assert put['success'] == 1, put
        answer = wait_for(lambda: json.loads(yarder('query', 'm', *data).stdout), why='the point')
        assert list(answer[0]['dps'].values()) == [9007199254740993], answer
        assert ' 9007199254740993\n' in yarder('query', 'm', '--data', daemon.data, check=0).stdout
        assert at('top', '--once')['elements'] and at('log', 'ls')[0]['stream'] and at('log', 'stat', 'metrics')['stat']
        assert at('log', 'verify', 'metrics')['clean'] is True
        assert at('log', 'cat', 'metrics')['value'] == 9007199254740993
        assert at('log', 'tail', 'metrics', '--from', 'oldest', '--count', '1')['value'] == 9007199254740993
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(90) == 0
        for line in daemon.stderr().splitlines():
            json.loads(line)
    plain = lambda *words: json.loads(run(folder, *words, '--json').stdout)
    assert plain('check', 'a.yd')['errors'] == 0 and plain('graph', 'a.yd')['elements']
    assert plain('fmt', 'a.yd') == [{'file': 'a.yd', 'differs': True, 'text': 'Lines() -> Print()\n'}]
    assert json.loads(run(folder, 'fmt', '--check', 'a.yd', '--json', expect=1).stdout)[0]['differs'] is True
    assert len(plain('elements')) >= 14 and plain('elements', 'Log')[0]['name'] == 'Log'
    assert plain('test', 'a.yd') == [] and plain('version')['version']
    assert {c['command'] for c in plain('completion', 'bash')} == set(ALL)
    subprocess.run(['bash', '-n'], input=run(folder, 'completion', 'bash').stdout, text=True, check=True)


def what_a_start_says_to_try_works(folder):
    """a line for nc is said for listeners of lines only, not for pickles; `ask` says when nothing can be asked"""
    topology = ('graphite :: Graphite(listen: "127.0.0.1:{graphite}")\npickles :: GraphitePickle(listen: "127.0.0.1:{pickles}")\n'
                'native :: Native(listen: "127.0.0.1:{native}")\ngraphite, pickles -> Null()\n')
    with Daemon(folder, topology, ports={name: free_port() for name in ('graphite', 'pickles', 'native')}) as daemon:
        wait_for(lambda: 'yarder top' in daemon.stderr(), why='the end of what the start says')
        tries = [line.split()[-1] for line in daemon.stderr().splitlines() if '| nc ' in line]
        assert tries == [str(daemon.ports['graphite'])], daemon.stderr()
        asked = run(folder, 'ask', '--at', f'127.0.0.1:{daemon.ports["native"]}')
        assert asked.stdout == '' and 'no element of this topology' in asked.stderr, asked
        daemon.stop()


def definitions_are_judged_for_machines(folder):
    """check --json counts what it lists; explain and sim --json write nothing else to standard output than what was asked for"""
    with open(folder + '/bad.ydm', 'w') as f:
        f.write('definition d\npacket p\n  m u8 { 0 A }\n  z u8 if m == Q\n')
    with open(folder + '/good.ydm', 'w') as f:
        f.write('container nobody\n  b u8 = 1\npacket p\n  a u16\n')
    bad = json.loads(run(folder, 'decom', 'check', 'bad.ydm', '--json', expect=1).stdout)
    assert (bad['errors'], bad['warnings'], len(bad['diagnostics'])) == (1, 0, 1), bad
    good = json.loads(run(folder, 'decom', 'check', 'good.ydm', '--json').stdout)
    assert (good['errors'], good['warnings']) == (0, 1) and good['diagnostics'][0]['severity'] == 'warning', good
    explained = run(folder, 'decom', 'explain', 'good.ydm', '--packet', '0202', '--json')
    assert json.loads(explained.stdout)['fields'][0]['value'] == 514 and 'nobody' in explained.stderr, explained
    assert json.loads(run(folder, 'decom', 'explain', 'bad.ydm', '--packet', '0102', '--json', expect=1).stdout)['errors'] == 1


def write_line(daemon, line):
    with urllib.request.urlopen(f'http://127.0.0.1:{daemon.ports["influx"]}/write', line.encode()) as answer:
        assert answer.status == 204, answer


def query_and_put_find_the_daemon_beside_other_listeners(folder):
    """the OpenTSDB port is found where others speak HTTP, too; what cannot be asked is told with what to write instead"""
    topology = ('influx :: Influx(listen: "127.0.0.1:{influx}")\ntsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")\n'
                'influx, tsdb -> metrics :: Log(stream: "metrics") -> history :: History()\ntsdb => history\n')
    with Daemon(folder, topology, ports={name: free_port() for name in ('influx', 'tsdb')}) as daemon:
        run(folder, 'put', 'try.me host=a', '1.5', '--data', daemon.data)
        # Before the History has folded it there is no such metric yet: an answer of 1, asked again.
        wait_for(lambda: 'try.me host=a' in yarder('query', 'try.me', '--data', daemon.data).stdout, why='the point')
        told = run(folder, 'query', 'try.me host=a', '--data', daemon.data, expect=1).stderr
        assert 'braces' in told, told
        told = run(folder, 'query', 'try.me', '--from', '2h', '--data', daemon.data, expect=1).stderr
        assert '2h-ago' in told, told
        # Counters beyond 2^63-1 are shown, too, as the doubles that they are nearest to.
        write_line(daemon, 'most,host=a value=18446744073709551615u')
        told = wait_for(lambda: yarder('query', 'most_value', '--data', daemon.data).stdout, why='the large number')
        assert float(told.split()[-1]) == 2.0 ** 64, told
        daemon.stop()


main(parameters_come_from_set_and_env, includes_are_relative_and_once, tests_in_files_run, plugins_are_found_in_folders,
     colour_is_for_terminals, every_command_teaches_and_refuses, every_command_speaks_json,
     what_a_start_says_to_try_works, definitions_are_judged_for_machines,
     query_and_put_find_the_daemon_beside_other_listeners)
