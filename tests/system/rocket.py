#!/usr/bin/env python3
"""examples/rocket.yd with `yarder sim`: what was sent, logged, published and stored are the same values to the last bit;
whatever is missing is counted; kill -9, another definition and a full disk."""
import calendar
import json
import os
import re
import signal
import struct
import subprocess
import time

from harness import ROOT, YARDER, Daemon, check_identity, free_port, main, wait_for, yarder
from rawlog import Small

EXAMPLES = os.path.join(ROOT, 'examples')
DEFINITION = os.path.join(EXAMPLES, 'rocket.ydm')
SIM = os.path.join(EXAMPLES, 'rocket.sim')


def vehicle(folder, data=None, definition=DEFINITION, change=lambda text: text):
    """The example, on free ports."""
    with open(os.path.join(EXAMPLES, 'rocket.yd')) as f:
        text = change(f.read())
    ports = {'udp': free_port(), 'tsdb': free_port()}
    text = text.replace('127.0.0.1:5000', '127.0.0.1:{udp}', 2).replace('127.0.0.1:4242', '127.0.0.1:{tsdb}')
    return Daemon(folder, text, ports=ports, data=data, args=['--set', f'definition={definition}'])


def sim(daemon, *args, definition=DEFINITION, wait=True, rates='flight=200,housekeeping=20', patterns=SIM, keep=True):
    """Runs the simulator; (its summary, what it made). With wait=False a function that gives them, if told so stopping it."""
    values = os.path.join(daemon.folder, f'values-{time.monotonic_ns()}.json') if keep else os.devnull
    process = subprocess.Popen([YARDER, 'sim', definition, '--patterns', patterns, '--rate', rates, '--to',
                                f'udp:127.0.0.1:{daemon.ports["udp"]}', '--values', values, '--json', *args],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    daemon.children.append(process)

    def finish(stop=False):
        if stop:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        with open(values) as f:
            return json.loads(out), [json.loads(line) for line in f]
    return finish() if wait else finish


def cat(daemon, stream):
    shown = yarder('log', 'cat', stream, '--data', daemon.data, '--json', timeout=120)
    return [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []


def packets(daemon):
    """(id, sequence) of each packet in the raw log, straight from its bytes."""
    return [struct.unpack('<xxBH', bytes.fromhex(r['blob'])[:5]) for r in cat(daemon, 'raw')]


def made_of(values, sent=True):
    ids = {'flight': 1, 'housekeeping': 2}
    return [(ids[v['packet']], v['number'] & 0xffff) for v in values if v['sent'] or not sent]


def wire(daemon, to):
    return next(w for w in daemon.status()['wires'] if w['to'] == to)


def kernel_drops(daemon):
    return sum(r['rejected'] + r['dropped'] for r in daemon.element('rocket')['reasons'] if 'kernel' in r['reason'])


def bits(value):
    """A number by its bits; anything else as it is. The simulator tells doubles as numbers that read back the same."""
    return struct.pack('<d', value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def by_name(values):
    sent = {}
    for packet in values:
        for name, value in packet['values'].items() if packet['sent'] else ():
            sent.setdefault(name, []).append(bits(value))
    return sent


def logged(daemon, stream='metrics'):
    got = {}
    for r in cat(daemon, stream):
        if r['kind'] == 'SAMPLE':
            got.setdefault(r['name'], []).append(bits(r['value']))
    return got


def all_logged(daemon, count):
    wait_for(lambda: wire(daemon, 'raw.input')['queued_records'] == 0 and len(cat(daemon, 'raw')) >= count,
             why=f'that {count} packets are in the raw log')


def watch(daemon, pattern, *args):
    process = subprocess.Popen([YARDER, 'live', 'watch', pattern, '--every', '--json', '--data', daemon.data, *args],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    daemon.children.append(process)
    return process


def live(daemon, name):
    shown = yarder('live', 'get', name, '--data', daemon.data, '--json')
    return json.loads(shown.stdout.splitlines()[0]) if shown.returncode == 0 and shown.stdout else {}


def the_same_values_everywhere(folder):
    """what the simulator sent is in the metrics log, in its replay, behind Grafana's port, in shared memory, in the C example:
    equal to the last bit; raw packets logged + counted drops = sent, and the losses made on purpose are told"""
    with vehicle(folder) as daemon:
        summary, values = sim(daemon, '--duration', '3s', '--loss', '0.03', '--seed', '7')
        assert summary['sent'] > 500 and summary['dropped'] > 5 and summary['saturated'] == 0, summary
        lost_in_kernel = kernel_drops(daemon)
        all_logged(daemon, summary['sent'] - lost_in_kernel - wire(daemon, 'raw.input')['dropped'])
        raw = packets(daemon)
        sent = made_of(values)
        assert len(raw) + wire(daemon, 'raw.input')['dropped'] + lost_in_kernel == len(sent) == summary['sent']
        assert lost_in_kernel == 0 and raw == sent, 'the same packets in the same order'

        names = by_name(values)
        assert len(names) == 40, sorted(names)
        wait_for(lambda: all(len(v) == len(names[n]) for n, v in logged(daemon).items() if n in names) and
                 len(set(names) - set(logged(daemon))) == 0, why='all values in the metrics log')
        got = logged(daemon)
        for name, wanted in names.items():
            assert got[name] == wanted, (name, len(got[name]), len(wanted))

        # Losses: between the first and the last packet of each kind that came.
        missing = 0
        for kind in (1, 2):
            made = [n for i, n in made_of(values, sent=False) if i == kind]
            came = [n for i, n in sent if i == kind]
            missing += sum(1 for n in made if came[0] < n < came[-1]) - (len(came) - 2)
        told = sum(r['value'] for r in cat(daemon, 'metrics') if r['kind'] == 'TALLY')
        assert told == missing and missing >= summary['dropped'] - 4, (told, missing, summary)

        # Grafana's port, by the millisecond.
        name = 'rocket.flight.altitude'
        records = [r for r in cat(daemon, 'metrics') if r['name'] == name]
        wanted, twice = {}, set()
        for r in records:
            whole, _, part = r['time'].rstrip('Z').partition('.')
            ms = calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) * 1000 + int((part + '000')[:3])
            (twice.add if ms in wanted else lambda _: None)(ms)
            wanted[ms] = r['value']

        def asked():
            answer = daemon.query(f'max:{name}', msResolution='true')
            return answer[0]['dps'] if answer and len(answer[0]['dps']) == len(wanted) else None
        dps = {int(k): v for k, v in wait_for(asked, why='all points behind Grafana\'s port').items()}
        assert set(dps) == set(wanted)
        assert len(set(wanted) - twice) > 20  # a simulator that was held up sends many within a millisecond
        for ms in set(wanted) - twice:
            assert bits(dps[ms]) == bits(wanted[ms]), (ms, dps[ms], wanted[ms])

        # Shared memory: by the command, and by the C example with the library.
        last = {}
        for packet in values:
            last.update(packet['values'] if packet['sent'] else {})
        for name, value in last.items():
            assert bits(live(daemon, name)['value']) == bits(value), (name, live(daemon, name), value)
        example = os.environ.get('EXAMPLE_LIVE')
        assert example, 'EXAMPLE_LIVE names the program of examples/live.c'
        process = subprocess.Popen([example, daemon.data + '/live/live.sock', 'rocket.*'], stdout=subprocess.PIPE, text=True)
        daemon.children.append(process)
        shown = {}
        while set(last) - set(shown):
            line = process.stdout.readline()
            assert line, 'the C example ended'
            found = re.fullmatch(r'(\S+) = (.*), \d+ missed\n', line)
            shown[found.group(1)] = found.group(2)
        for name, value in last.items():
            if isinstance(value, bool) or isinstance(value, str):
                assert shown[name] == (str(value).lower() if isinstance(value, bool) else value), (name, shown[name], value)
            else:
                assert bits(float(shown[name])) == bits(value), (name, shown[name], value)
        # Replayed: the same values in the same order.
        replayed = yarder('replay', 'metrics', '--as-fast', '--json', '--data', daemon.data, check=0).stdout
        again = {}
        for r in map(json.loads, replayed.splitlines()):
            if r['kind'] == 'SAMPLE':
                again.setdefault(r['name'], []).append(bits(r['value']))
        for name, wanted in names.items():
            assert again[name] == wanted, (name, len(again[name]), len(wanted))
        check_identity(daemon.status())
        daemon.stop()


def every_value_comes_in_order_or_is_counted(folder):
    """a program that takes each value gets them in the order in which they were sent; what it missed is counted exactly"""
    with vehicle(folder) as daemon:
        sim(daemon, '--count', '2', '--seed', '3')  # the names are there
        wait_for(lambda: live(daemon, 'rocket.flight.altitude'), why='a first value')
        watching = watch(daemon, 'rocket.flight.altitude')
        first = json.loads(watching.stdout.readline())
        summary, values = sim(daemon, '--duration', '2s', '--seed', '3', patterns=SIM)
        wanted = by_name(values)['rocket.flight.altitude']
        sent, got, missed = next(p['sent'] for p in summary['packets'] if p['packet'] == 'flight'), [], first.get('missed', 0)
        while len(got) + missed < sent:
            line = json.loads(watching.stdout.readline())
            missed += line.get('missed', 0)
            got.append(bits(line['value']))
        assert len(got) + missed == sent and len(got) > sent / 10, (len(got), missed, sent)
        at = 0
        for value in got:
            at = wanted.index(value, at) + 1
        daemon.stop()


def limits_turn_red_and_back_once(folder):
    """each crossing of a limit is one transition and one state, for a range, a text and a derived rate; and logged"""
    with vehicle(folder) as daemon:
        rules = 'rocket.flight.altitude=square:100..4050:2s fuel=square:2..3:2s'
        summary, values = sim(daemon, '--duration', '3s', '--pattern', rules, '--seed', '5')
        all_logged(daemon, summary['sent'])

        def states(name):
            return [(r['code'], bool(r.get('transition'))) for r in cat(daemon, 'states') if r['name'] == name]
        wanted = [(code, first) for code in ('OK', 'CRITICAL', 'OK') for first in (True, False)]
        for name in 'rocket.flight.altitude', 'rocket.housekeeping.fuel':
            wait_for(lambda: len(states(name)) >= len(wanted), why=f'the states of {name}')
            assert states(name) == wanted, (name, states(name))
        # 3950 m within one packet: far over 350 m/s, and back with the next one.
        climbs = [c for c, first in states('rocket.climb') if first]
        assert climbs == ['OK', 'CRITICAL', 'OK', 'CRITICAL', 'OK'], climbs
        assert all(r['kind'] == 'STATE' for r in cat(daemon, 'states'))
        assert not [r for r in cat(daemon, 'metrics') if r['kind'] == 'STATE']
        daemon.stop()


def what_was_logged_survives_kill_nine(folder):
    """kill -9 while packets come: what was in the logs is there, once and in order, and it goes on; readers go over"""
    daemon = vehicle(folder)
    try:
        daemon.start()
        finish = sim(daemon, '--duration', '1h', '--seed', '11', wait=False, rates='flight=500,housekeeping=50')
        wait_for(lambda: len(cat(daemon, 'raw')) > 300 and len(cat(daemon, 'metrics')) > 3000, why='packets in the log')
        watching = watch(daemon, 'rocket.flight.altitude')
        generation = json.loads(watching.stdout.readline())['generation']
        before, metrics = packets(daemon), cat(daemon, 'metrics')
        daemon.kill()
        assert packets(daemon)[:len(before)] == before, 'what was logged is there, also with nobody running'
        daemon.start()
        wait_for(lambda: len(packets(daemon)) > len(before) + 300, why='packets after the kill')
        summary, values = finish(stop=True)
        sent = made_of(values)
        wait_for(lambda: packets(daemon)[-1] == sent[-1], why='the last packet in the raw log')
        after = packets(daemon)
        assert after[:len(before)] == before
        # Once, in order, nothing that was not sent; what is missing lies in one stretch: while nobody listened.
        where = {packet: i for i, packet in enumerate(sent)}
        places = [where[p] for p in after]
        assert places == sorted(set(places))
        gaps = [i for i in range(1, len(places)) if places[i] != places[i - 1] + 1]
        assert len(gaps) <= 1, gaps
        assert len(after) < len(sent) or not gaps
        now = cat(daemon, 'metrics')
        assert now[:len(metrics)] == metrics
        values_sent = set(by_name(values)['rocket.flight.altitude'])
        assert set(logged(daemon)['rocket.flight.altitude']) <= values_sent
        for line in watching.stdout:
            if json.loads(line)['generation'] != generation:
                break
        else:
            raise AssertionError('the reader did not go over')
        check_identity(daemon.status())
        daemon.stop()
    finally:
        for child in daemon.children:
            child.kill()
            child.wait()
        daemon.kill()


def a_changed_definition_takes_readers_along(folder):
    """restarted with another definition: a new generation, running readers go over to it, get new measurements and keep
    the old ones' last values"""
    changed = os.path.join(folder, 'changed.ydm')
    with open(DEFINITION) as f:
        text = f.read()
    with open(changed, 'w') as f:
        f.write(text.replace('  errors      u8\n', '  faults      u8\n').replace('i16[3] scale 0.1 unit', 'i16[3] scale 0.2 unit'))
    daemon = vehicle(folder)
    try:
        daemon.start()
        sim(daemon, '--count', '20', '--seed', '2')
        wait_for(lambda: live(daemon, 'rocket.housekeeping.errors'), why='values')
        watching = watch(daemon, 'rocket.*')
        first = json.loads(watching.stdout.readline())
        daemon.stop()
        daemon.args = ['--set', f'definition={changed}']
        daemon.start()
        patterns = os.path.join(folder, 'changed.sim')
        with open(SIM) as f, open(patterns, 'w') as g:
            g.write(f.read().replace('errors=', 'faults='))
        _, values = sim(daemon, '--count', '20', '--seed', '2', definition=changed, patterns=patterns)
        last = {}
        for packet in values:
            last.update(packet['values'])
        seen = {}
        for line in watching.stdout:
            value = json.loads(line)
            if value['generation'] != first['generation']:
                seen[value['name']] = value.get('value')
            if bits(seen.get('rocket.housekeeping.faults')) == bits(last['rocket.housekeeping.faults']) and \
                    bits(seen.get('rocket.flight.mag.0')) == bits(last['rocket.flight.mag.0']):
                break
        else:
            raise AssertionError('the reader did not see the new definition')
        assert 'rocket.housekeeping.errors' not in seen, seen
        assert yarder('live', 'get', 'rocket.housekeeping.errors', '--data', daemon.data).returncode == 1
        # The log has both, each under its name.
        wait_for(lambda: 'rocket.housekeeping.faults' in logged(daemon), why='the new measurement in the log')
        assert 'rocket.housekeeping.errors' in logged(daemon)
        daemon.stop()
    finally:
        for child in daemon.children:
            child.kill()
            child.wait()
        daemon.kill()


def a_full_disk_never_stops_publishing(folder):
    """the disk of all logs is full: each packet's values are published all the same; logged + dropped = received"""
    def small(text):
        text = re.sub(r'queue: (64|16)MiB', 'queue: 256KiB', text)
        return re.sub(r'(Log\(stream: "\w+")', r'\1, queue: 1MiB, tail: 1MiB', text)
    with Small(folder, '64m') as disk:
        with vehicle(folder, data=disk.path + '/data', change=small) as daemon:
            total = 0
            rates = 'flight=20000,housekeeping=100'
            disk.fill()
            for seed in range(40):
                summary, _ = sim(daemon, '--duration', '500ms', '--pattern', f'errors=const:{seed}', rates=rates, keep=False)
                total += summary['sent']
                wait_for(lambda: live(daemon, 'rocket.housekeeping.errors').get('value') == seed,
                         why='that values are published while the disk is full')
                dropped = wire(daemon, 'raw.input')['dropped']
                if dropped and wire(daemon, 'metrics.input')['dropped'] and 'space' in daemon.stderr():
                    break
            assert dropped > 0 and 'space' in daemon.stderr(), (dropped, daemon.stderr()[-500:])
            disk.free()
            wait_for(lambda: len(cat(daemon, 'raw')) + wire(daemon, 'raw.input')['dropped'] + kernel_drops(daemon) == total,
                     why=f'that {total} packets are accounted for')
            check_identity(daemon.status())
            daemon.stop()


def a_program_in_python_reads_the_same(folder):
    """the Python reader of live values gets the last values, equal to the last bit"""
    with vehicle(folder) as daemon:
        _, values = sim(daemon, '--duration', '1s', '--seed', '9')
        last = {}
        for packet in values:
            last.update(packet['values'])
        wait_for(lambda: bits(live(daemon, 'rocket.flight.uptime').get('value')) == bits(last['rocket.flight.uptime']),
                 why='the last packet')
        program = '''
import json, sys
sys.path.insert(0, sys.argv[1])
from yarder.live import Live
with Live(sys.argv[2]) as live:
    print(json.dumps({name: live.follow(name).get().value for name in json.load(sys.stdin)}))
'''
        shown = subprocess.run(['python3', '-c', program, ROOT + '/python', daemon.data + '/live/live.sock'], text=True,
                               input=json.dumps(sorted(last)), capture_output=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        got = json.loads(shown.stdout)
        assert {n: bits(v) for n, v in got.items()} == {n: bits(v) for n, v in last.items()}
        daemon.stop()


if __name__ == '__main__':
    main(the_same_values_everywhere, every_value_comes_in_order_or_is_counted, limits_turn_red_and_back_once,
         what_was_logged_survives_kill_nine, a_changed_definition_takes_readers_along, a_full_disk_never_stops_publishing,
         a_program_in_python_reads_the_same)
