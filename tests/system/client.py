#!/usr/bin/env python3
"""The client library against the daemon, through `yarder log append|subscribe` and the examples: each record once,
whoever is killed.

client.py [ROUNDS]    kills in each test; default 6
"""
import json
import os
import random
import subprocess
import sys
import threading
import time

from harness import Daemon, Skip, YARDER, free_port, main, new_seed, wait_for, yarder

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 6
seed = int(sys.argv[2]) if len(sys.argv) > 2 else new_seed()
TOPOLOGY = 'native :: Native(listen: "127.0.0.1:{native}", unix: "FOLDER/y.sock", create: true)\n'


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY.replace('FOLDER', folder), ports={'native': free_port()})


def at(daemon):
    return ['--at', f'127.0.0.1:{daemon.ports["native"]}']


def appender(daemon, *args, unix=False):
    where = ['--at', f'unix:{daemon.folder}/y.sock'] if unix else at(daemon)
    return subprocess.Popen([YARDER, 'log', 'append', *args, *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def cat(daemon, stream):
    return yarder('log', 'cat', stream, '--data', daemon.data, check=0).stdout


def values(text):
    """The numbers that the lines end in."""
    return [int(line.rsplit(' ', 1)[1]) for line in text.splitlines()]


def feed(process, stop, counter):
    """Numbers, as fast as they are taken, until it is told to stop."""
    try:
        while not stop.is_set():
            process.stdin.write(''.join(f'{counter[0] + i}\n' for i in range(50)))
            counter[0] += 50
            process.stdin.flush()
            time.sleep(0.0005)
        process.stdin.close()
    except (BrokenPipeError, ValueError):
        pass


def killed_meanwhile(folder, level, unix):
    rng = random.Random(seed)
    daemon = daemon_in(folder).start()
    try:
        process = appender(daemon, 's', '--create', '--level', level, '--json', unix=unix)
        wait_for(lambda: os.path.exists(daemon.data + '/streams/s/0/control'), why='the stream')
        reader = subprocess.Popen([YARDER, 'log', 'subscribe', 's', '--from', 'oldest', *at(daemon)],
                                  stdout=open(folder + '/heard', 'w'), stderr=open(folder + '/gaps', 'w'))
        daemon.children += [process, reader]
        stop, counter = threading.Event(), [0]
        thread = threading.Thread(target=feed, args=(process, stop, counter))
        thread.start()
        # It reads before anything happens: who asks a daemon for the first time while it is killed is told so.
        wait_for(lambda: os.path.getsize(folder + '/heard') > 0, why='the first records being heard')
        for _ in range(rounds):
            time.sleep(rng.uniform(0.05, 0.25))
            daemon.kill()
            daemon.start()
        time.sleep(0.1)
        stop.set()
        thread.join()
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(120) == 0, err
        told = json.loads(out)
        if level == 'memory':  # what is in a living daemon's memory is on its way to the disk
            wait_for(lambda: values(cat(daemon, 's'))[-1] == counter[0] - 1, why='the last record being durable')
        written = cat(daemon, 's')
        heard = wait_for(lambda: (text := open(folder + '/heard').read()).count('\n') >= written.count('\n') and text,
                         why='all being heard')
        reader.kill()
        reader.wait()
        gaps = open(folder + '/gaps').read()
        daemon.stop()
        return counter[0], told, values(written), heard, written, gaps
    finally:
        daemon.kill()
        for child in daemon.children:
            child.kill()
            child.wait()


def once_durable(folder):
    """every record acknowledged durable is in the stream once and in order, the daemon killed at any moment"""
    print(f'# seed {seed}, {rounds} rounds', flush=True)
    count, told, numbers, heard, written, _ = killed_meanwhile(folder, 'durable', False)
    assert told['acknowledged'] + told['duplicates'] == count and told['refused'] == 0, told
    assert numbers == list(range(count)), (count, len(numbers), len(set(numbers)))
    assert heard == written, 'the subscriber heard something else'
    print(f'# {count} records, of {told["duplicates"]} only the acknowledgement was lost', flush=True)


def once_written(folder):
    """every record acknowledged written is there once after a kill -9, over a Unix socket"""
    count, told, numbers, heard, written, _ = killed_meanwhile(folder, 'written', True)
    assert told['acknowledged'] + told['duplicates'] == count and told['refused'] == 0, told
    assert numbers == list(range(count)), (count, len(numbers), len(set(numbers)))
    assert heard == written


def memory_loses_only_what_it_may(folder):
    """what was acknowledged only in memory may be lost to a kill -9, but nothing is there twice or out of order"""
    count, told, numbers, heard, written, _ = killed_meanwhile(folder, 'memory', False)
    assert told['refused'] == 0, told
    assert all(a < b for a, b in zip(numbers, numbers[1:])), 'out of order'
    assert numbers[-1] == count - 1
    assert heard == written
    print(f'# {count - len(numbers)} of {count} were lost in memory', flush=True)


def a_killed_producer_goes_on(folder):
    """a producer that is killed and given the same input again continues where the stream has it"""
    rng = random.Random(seed)
    count = 400000
    with open(folder + '/input', 'w') as f:
        f.writelines(f'{i}\n' for i in range(count))
    with daemon_in(folder) as daemon:
        command = [YARDER, 'log', 'append', 's', '--create', '--producer', '7', '--batch', '10', '--json', *at(daemon)]
        for _ in range(rounds):
            with open(folder + '/input') as f:
                process = subprocess.Popen(command, stdin=f, stdout=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.01, 0.03))
            process.kill()
            process.wait()
        with open(folder + '/input') as f:
            done = subprocess.run(command, stdin=f, capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told['already_there'] + told['acknowledged'] == count, told
        assert values(cat(daemon, 's')) == list(range(count))
        print(f'# {told["already_there"]} were there already', flush=True)
        daemon.stop()


def subscribe_and_cat_agree(folder):
    """subscribe prints what cat prints, to the byte: from, until, count, match, JSON"""
    with daemon_in(folder) as daemon:
        records = ''.join(json.dumps({'name': f'cpu.{"user" if i % 3 else "system"} host=web{i % 5}', 'value': i / 4}) + '\n'
                          for i in range(3000))
        done = subprocess.run([YARDER, 'log', 'append', 'm', '--create', '--records', '--batch', '37', *at(daemon)],
                              input=records, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        for more in ([], ['--json'], ['--from', '1234'], ['--until', '99'], ['--count', '17'],
                     ['--match', 'cpu.system host=web*'], ['--match', 'cpu.user host=web3', '--count', '5', '--json'],
                     ['--from', '500', '--until', '700', '--match', '* host=web1']):
            expected = yarder('log', 'cat', 'm', '--data', daemon.data, *more, check=0).stdout
            if '--from' not in more:
                more = [*more, '--from', 'oldest']
            got = yarder('log', 'subscribe', 'm', '--stop', *at(daemon), *more, check=0).stdout
            assert got == expected, (more, got[:300], expected[:300])
            assert got or '--match' in more
        none = yarder('log', 'subscribe', 'm', '--from', 'oldest', '--kinds', 'event', '--stop', *at(daemon), check=0).stdout
        assert none == '', none
        daemon.stop()


def a_cursor_keeps_the_place(folder):
    """a durable cursor goes on at the next record, also inside a batch, after a restart; it is listed with its lag"""
    with daemon_in(folder) as daemon:
        numbers = ''.join(f'{i}\n' for i in range(1000))
        subprocess.run([YARDER, 'log', 'append', 's', '--create', *at(daemon)], input=numbers, text=True, check=True,
                       capture_output=True, timeout=120)
        seen = []
        for count in ('5', '200', '1'):
            seen += values(yarder('log', 'subscribe', 's', '--cursor', 'c', '--count', count, *at(daemon), check=0).stdout)
        daemon.stop()
        daemon.start()
        listed = json.loads(yarder('log', 'cursors', 's', '--json', *at(daemon), check=0).stdout)
        assert listed['cursor'] == 'c' and listed['seqno'] == 206 and listed['lag'] == 794, listed
        seen += values(yarder('log', 'subscribe', 's', '--cursor', 'c', '--stop', *at(daemon), check=0).stdout)
        assert seen == list(range(1000)), seen[:300]
        yarder('log', 'cursors', 's', '--remove', 'c', *at(daemon), check=0)
        assert yarder('log', 'cursors', 's', '--json', *at(daemon), check=0).stdout == ''
        daemon.stop()


def streams_are_made_and_listed(folder):
    """streams are made with their partitions and listed from afar as they are from the files"""
    with daemon_in(folder) as daemon:
        made = yarder('log', 'create', 'orders', '--partitions', '3', '--by', 'name', *at(daemon), check=0).stdout
        assert made.split() == ['orders/0', 'orders/1', 'orders/2'], made
        again = yarder('log', 'create', 'orders', *at(daemon), check=1)
        assert 'exists' in again.stderr, again.stderr
        subprocess.run([YARDER, 'log', 'append', 'orders/1', *at(daemon)], input='a\nb\n', text=True, check=True,
                       capture_output=True, timeout=120)
        listed = {s['stream']: s for s in json.loads(yarder('log', 'ls', '--json', *at(daemon), check=0).stdout)}
        assert set(listed) == {'orders/0', 'orders/1', 'orders/2'}, listed
        assert listed['orders/1']['durable'] == 2 and listed['orders/0']['durable'] == 0, listed
        assert 'orders/2' in yarder('log', 'ls', *at(daemon), check=0).stdout
        daemon.stop()


def records_go_where_their_name_belongs(folder):
    """into a stream of several partitions each record goes where its name belongs, once, also when given again"""
    with daemon_in(folder) as daemon:
        yarder('log', 'create', 'orders', '--partitions', '4', '--by', 'name', *at(daemon), check=0)
        yarder('log', 'create', 'whole', '--partitions', '4', '--by', 'producer', *at(daemon), check=0)
        records = ''.join(json.dumps({'name': f'item.{i % 50}', 'value': i}) + '\n' for i in range(2000))
        for stream, length in (('orders', 1000), ('orders', 2000), ('whole', 2000)):
            given = ''.join(line + '\n' for line in records.splitlines()[:length])
            done = subprocess.run([YARDER, 'log', 'append', stream, '--records', '--producer', '9', '--json', *at(daemon)],
                                  input=given, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told['acknowledged'] == 2000, told
        where, count = {}, 0
        for partition in range(4):
            for line in cat(daemon, f'orders/{partition}').splitlines():
                _, _, name, value = line.split()
                assert where.setdefault(name, partition) == partition, (name, partition)
                count += 1
        assert count == 2000 and len(where) == 50 and set(where.values()) == {0, 1, 2, 3}, (count, where)
        full = [partition for partition in range(4) if cat(daemon, f'whole/{partition}')]
        assert len(full) == 1 and values(cat(daemon, f'whole/{full[0]}')) == list(range(2000)), full
        daemon.stop()


def wrong_turns_are_told(folder):
    """what cannot be done is told: no daemon, no stream, no level, bad input; exit codes"""
    nobody = yarder('log', 'append', 's', '--at', f'127.0.0.1:{free_port()}', check=1)
    assert 'refused' in nobody.stderr, nobody.stderr
    assert 'no address' in yarder('log', 'append', 's', '--at', 'tls:', check=2).stderr
    with daemon_in(folder) as daemon:
        assert 'no such stream' in yarder('log', 'subscribe', 'nope', *at(daemon), check=1).stderr
        assert '--level' in yarder('log', 'append', 's', '--level', 'high', *at(daemon), check=2).stderr
        assert '--packets' in yarder('log', 'append', 's', '--packets', '0', *at(daemon), check=2).stderr
        bad = subprocess.run([YARDER, 'log', 'append', 's', '--create', '--json', *at(daemon)], input=b'good\n\xff\xfe\nlate\n',
                             capture_output=True, timeout=120)
        assert bad.returncode == 1 and b'record 2' in bad.stderr, bad
        assert json.loads(bad.stdout)['acknowledged'] == 1
        assert '0 ' in cat(daemon, 's')
        daemon.stop()


def the_files_are_found(folder):
    """a program on the same machine is told where the files are, and reads the same records from them"""
    bench = os.path.join(os.path.dirname(os.path.abspath(YARDER)), 'bench', 'bench-client')
    if not os.path.exists(bench):
        raise Skip('bench-client is not built')
    with daemon_in(folder) as daemon:
        where = ['--address', f'127.0.0.1:{daemon.ports["native"]}', '--json']
        for mode in ('batch', 'replay', 'direct'):
            done = subprocess.run([bench, '--mode', mode, '--count', '10000', *where], capture_output=True, text=True,
                                  timeout=200, cwd='/')
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)['count'] == 10000, done.stdout
        daemon.stop()


def examples_work(folder):
    """the example programs: what produce reads, subscribe prints"""
    build = os.path.dirname(os.path.abspath(YARDER))
    with daemon_in(folder) as daemon:
        where = f'unix:{folder}/y.sock'
        lines = ''.join(f'line number {i}\n' for i in range(500))
        done = subprocess.run([f'{build}/tests/unit/client/example_produce', where, 'lines'], input=lines, text=True,
                              capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        with open(folder + '/out', 'w') as out:
            heard = subprocess.Popen([f'{build}/tests/unit/client/example_subscribe', where, 'lines'], stdout=out)
            daemon.children.append(heard)
            wait_for(lambda: open(folder + '/out').read() == lines, why='hearing all lines')
        heard.kill()
        heard.wait()
        daemon.stop()


sys.argv = sys.argv[:1]
main(once_durable, once_written, memory_loses_only_what_it_may, a_killed_producer_goes_on, subscribe_and_cat_agree,
     a_cursor_keeps_the_place, streams_are_made_and_listed, records_go_where_their_name_belongs,
     wrong_turns_are_told, the_files_are_found, examples_work)
