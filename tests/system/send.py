#!/usr/bin/env python3
"""`yarder send` in real runs: bolo's stream from standard input, and words; exit codes; partitions; a daemon that dies."""
import json
import subprocess

from harness import YARDER, Daemon, check_identity, free_port, main, wait_for

TOPOLOGY = '''
native :: Native(listen: "127.0.0.1:{native}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
bolo :: Log(stream: "bolo"{more})
history :: History()
states :: State()
bolo -> history
bolo -> states -> told :: Log(stream: "told")
tsdb => history
'''
START = 1_700_000_000


def daemon_in(folder, more=''):
    return Daemon(folder, TOPOLOGY.replace('{more}', more), ports={'native': free_port(), 'tsdb': free_port()})


def send(daemon, *args, text=None, expect=0, stream='bolo'):
    done = subprocess.run([YARDER, 'send', stream, '--at', f'127.0.0.1:{daemon.ports["native"]}', *args], input=text,
                          stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True, timeout=200)
    assert done.returncode == expect, (args, done)
    return done


def records(daemon, stream='bolo'):
    done = subprocess.run([YARDER, 'log', 'cat', stream, '--data', daemon.data, '--json'], capture_output=True, text=True,
                          timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def points(daemon, name):
    answer = daemon.query(f'none:{name}', start=str(START - 10))
    return {int(k): v for s in answer if isinstance(s, dict) and 'dps' in s for k, v in s['dps'].items()}


def lines_are_durable_when_it_ends(folder):
    """all six kinds from standard input; silent, exit 0; durable when it ends: kill -9 loses nothing"""
    text = (f'STATE {START} web1:disk critical it is full\nCOUNTER {START} hits 3\nSAMPLE {START} load;host=web1 1.5\n'
            f'RATE {START} bytes 12345678901234567890\nEVENT {START} deploy version 2\nKEY owner=ops')
    with daemon_in(folder) as daemon:
        done = send(daemon, text=text)
        assert done.stdout == '' and done.stderr == '', done
        daemon.kill()
        daemon.start()
        found = [(r['kind'], r['name'], r.get('value')) for r in records(daemon)]
        assert found == [('STATE', 'web1:disk', 'it is full'), ('TALLY', 'hits', 3), ('SAMPLE', 'load host=web1', 1.5),
                         ('DELTA', 'bytes', 12345678901234567890), ('EVENT', 'deploy', 'version 2'), ('FACT', 'owner', 'ops')], found
        wait_for(lambda: points(daemon, 'load{host=web1}') == {START: 1.5}, why='the history')
        # What was told right before the kill may be told again.
        told = wait_for(lambda: len(r := [r for r in records(daemon, 'told') if r['name'] == 'web1:disk']) >= 2 and r,
                        why='the state and its transition')
        assert all(r['code'] == 'CRITICAL' for r in told) and [r.get('transition', False) for r in told[:2]] == [True, False], told
        check_identity(daemon.status())


def words_are_a_line(folder):
    """the words given are one line; a value may be negative; --format; --json says what was done"""
    with daemon_in(folder) as daemon:
        send(daemon, 'STATE', 'now', 'web1', 'ok', 'all is', 'well')
        send(daemon, '--', 'SAMPLE', str(START), 'cold', '-5', '-6.5')
        send(daemon, '--format', 'graphite', f'path 7 {START}')
        done = send(daemon, '--json', 'COUNTER', 'now', 'hits')
        assert json.loads(done.stdout) == {'acknowledged': 1, 'rejected': 0, 'refused': 0, 'level': 'durable'}, done
        found = [(r['kind'], r['name'], r.get('value')) for r in records(daemon)]
        assert found == [('STATE', 'web1', 'all is well'), ('SAMPLE', 'cold', -5), ('SAMPLE', 'cold', -6.5), ('SAMPLE', 'path', 7),
                         ('TALLY', 'hits', 1)], found


def bad_lines_are_said_with_their_number(folder):
    """exit 1; line number, reason and line; the good ones are stored"""
    with daemon_in(folder) as daemon:
        done = send(daemon, text=f'SAMPLE {START} a 1\n\nNONSENSE\nSAMPLE {START} b x\nSAMPLE {START} c 3\n', expect=1)
        assert 'line 3: unknown command: NONSENSE' in done.stderr and f'line 4: bad value: SAMPLE {START} b x' in done.stderr, done
        assert [r['name'] for r in records(daemon)] == ['a', 'c']
        many = send(daemon, '--json', text='bad\n' * 1000 + f'SAMPLE {START} d 4\n', expect=1)
        assert many.stderr.count('unknown command') == 10 and '1000 lines were not understood' in many.stderr, many
        assert json.loads(many.stdout)['rejected'] == 1000 and json.loads(many.stdout)['acknowledged'] == 1
        send(daemon, text='SAMPLE now ' + 'x' * 2_000_000, expect=1)


def who_cannot_send_is_told(folder):
    """no daemon, no stream: 1; wrong options: 2"""
    with daemon_in(folder) as daemon:
        told = send(daemon, 'SAMPLE', 'now', 'a', '1', stream='nosuch', expect=1).stderr
        assert 'nosuch' in told and '--create' in told, told
        send(daemon, '--format', 'xml', text='', expect=2)
        send(daemon, '--level', 'high', text='', expect=2)
        assert subprocess.run([YARDER, 'send'], capture_output=True).returncode == 2
        daemon.stop()
        send(daemon, 'SAMPLE', 'now', 'a', '1', expect=1)


def partitions_get_what_belongs_to_them(folder):
    """a stream of several partitions: each name in its own, nothing twice, nothing lost"""
    with daemon_in(folder, ', partitions: 4, by: name') as daemon:
        send(daemon, text=''.join(f'SAMPLE {START + i} m{i % 50} {i}\n' for i in range(5000)))
        found = records(daemon)
        assert sorted(r['value'] for r in found) == list(range(5000))
        places = {}
        for r in found:
            places.setdefault(r['name'], set()).add(r['partition'])
        assert all(len(p) == 1 for p in places.values()) and len(set.union(*places.values())) == 4, places


def lines_go_as_they_come(folder):
    """a collector that writes now and then has each line stored while it runs; the daemon's death in between is waited for"""
    with daemon_in(folder) as daemon:
        sender = subprocess.Popen([YARDER, 'send', 'bolo', '--at', f'127.0.0.1:{daemon.ports["native"]}'], stdin=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        daemon.children.append(sender)
        for i in range(3):
            sender.stdin.write(f'SAMPLE {START + i} slow {i}\n')
            sender.stdin.flush()
            wait_for(lambda: len(records(daemon)) == i + 1, why=f'line {i}')
            if i == 1:
                daemon.kill()
                daemon.start()
        sender.stdin.close()
        assert sender.wait(90) == 0, sender.stderr.read()
        sender.stderr.close()
        assert [r['value'] for r in records(daemon)] == [0, 1, 2]
        check_identity(daemon.status())


main(lines_are_durable_when_it_ends, words_are_a_line, bad_lines_are_said_with_their_number, who_cannot_send_is_told,
     partitions_get_what_belongs_to_them, lines_go_as_they_come)
