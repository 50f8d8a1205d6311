#!/usr/bin/env python3
"""A definition changed under running readers: `yarder ask DECOM reload` with packets flowing: none lost, none decoded twice,
readers go over; a wrong one leaves the old one running."""
import json
import os
import subprocess
import sys
import threading

from harness import ROOT, check_identity, free_port, main, wait_for, yarder
from rocket import DEFINITION, bits, by_name, cat, kernel_drops, live, logged, sim, vehicle, watch

sys.path.insert(0, os.path.join(ROOT, 'python'))
from yarder.live import Live  # noqa: E402

PYTHON = '''
import json, sys, threading, time
sys.path.insert(0, sys.argv[1])
from yarder.live import Live
goal = [None]
def hear():
    goal[0] = int(sys.stdin.readline())
threading.Thread(target=hear, daemon=True).start()
with Live(sys.argv[2]) as live:
    item = live.follow(sys.argv[3])
    got = missed = 0
    generations = set()
    print('ready', flush=True)
    until = time.monotonic() + 150
    while (goal[0] is None or got + missed < goal[0]) and time.monotonic() < until:
        try:
            live.wait(item, timeout=0.2)
        except TimeoutError:
            continue
        for value in item.values():
            got += 1
            missed += value.missed
            generations.add(value.generation)
    print(json.dumps({'got': got, 'missed': missed, 'generations': len(generations)}), flush=True)
'''


def start(folder):
    """The vehicle, by a definition of its own folder, and a door to ask at."""
    path = os.path.join(folder, 'vehicle.ydm')
    with open(DEFINITION) as f, open(path, 'w') as g:
        g.write(f.read())
    native = free_port()
    return vehicle(folder, definition=path, change=lambda text: text + f'\nnative :: Native(listen: "127.0.0.1:{native}")\n'
                   'self :: Self(every: 200ms) -> Log(stream: "self")\n'), path, native


def change(path, *pairs):
    """As an editor does it: beside, then renamed."""
    with open(path) as f:
        text = f.read()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)


def reload(native, check=0, element='decom'):
    return yarder('ask', element, 'reload', '--at', f'127.0.0.1:{native}', '--json', check=check)


def decoded(native):
    shown = yarder('ask', 'decom', 'packets', '--at', f'127.0.0.1:{native}', '--json', check=0).stdout
    return {row['name']: row['decoded'] for row in map(json.loads, shown.splitlines())}


CHANGES = [('  errors      u8\n', '  faults      u8\n'),                          # another name
           ('i16[3] scale 0.1 unit', 'i16[3] scale 0.2 unit'),                    # another scale
           ('current     i16 scale 0.001 unit "A"', 'current     i16 { 0 NONE, else SOME }'),  # a text that was a number
           ('limits yellow 7.0..8.6 red 6.6..9.0 persist 3', 'limits yellow 7.0..8.7 red 6.6..9.0 persist 3'),
           ('derive falling = held(climb.mean < -2 && flight.armed, 3s)', 'derive double = flight.altitude * 2')]


def a_changed_definition_is_taken_over_between_two_packets(folder):
    """reload with packets flowing: every packet is decoded once, by the old definition up to one place and by the new one
    from there on; Derive and Limits follow; readers in C and Python go over, get the new measurement and miss nothing"""
    daemon, path, native = start(folder)
    with daemon:
        sim(daemon, '--count', '2', '--seed', '3')
        wait_for(lambda: live(daemon, 'rocket.housekeeping.errors'), why='values')
        before = decoded(native)
        watching = watch(daemon, 'rocket.*')
        first = json.loads(watching.stdout.readline())
        reader = subprocess.Popen(['python3', '-c', PYTHON, ROOT + '/python', daemon.data + '/live/live.sock',
                                   'rocket.flight.altitude'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        daemon.children.append(reader)
        assert reader.stdout.readline() == 'ready\n'
        finish = sim(daemon, '--duration', '120s', '--seed', '5', wait=False, rates='flight=100,housekeeping=10')
        wait_for(lambda: decoded(native)['flight'] > before['flight'] + 150, why='packets by the old definition')
        change(path, *CHANGES)
        row = json.loads(reload(native).stdout)
        assert (row['packets'], row['new'], row['gone'], row['others']) == (2, 1, 1, 2), row
        at = decoded(native)['flight']
        wait_for(lambda: decoded(native)['flight'] > at + 100, why='packets by the new definition')
        summary, values = finish(stop=True)
        made = {p['packet']: p['sent'] for p in summary['packets']}
        assert at < before['flight'] + made['flight'], 'packets came after it'
        assert kernel_drops(daemon) == 0
        wait_for(lambda: decoded(native) == {n: before[n] + made[n] for n in made}, why='that all are decoded')
        parts = daemon.element('decom')['parts']
        assert parts['of'] == 'packet' and {p['name']: p['count'] for p in parts['counts']} == decoded(native), parts
        shown = yarder('top', '--once', '--data', daemon.data, check=0).stdout
        assert [line.split() for line in shown.splitlines() if line.startswith('decom ') and ' packet ' in line] == [
            ['decom', 'packet', name, str(count)] for name, count in decoded(native).items()], shown
        check_identity(wait_for(lambda: all(w['queued_records'] == 0 for w in daemon.status()['wires']) and daemon.status(),
                                why='rest'))

        # In the log: each value once, in order; the parts before and behind the one place, by their names and scales.
        sent = by_name(values)
        flights, others = before['flight'], before['housekeeping']
        wait_for(lambda: len(logged(daemon)['rocket.flight.altitude']) == flights + made['flight'], why='all in the log')
        got = logged(daemon)
        assert got['rocket.flight.altitude'][flights:] == sent['rocket.flight.altitude']
        old, new = got['rocket.housekeeping.errors'][others:], got['rocket.housekeeping.faults']
        assert old and new and old + new == sent['rocket.housekeeping.errors'], (len(old), len(new))
        texts = [v for v in got['rocket.housekeeping.current'] if isinstance(v, str)]
        assert len(texts) == len(new) and set(texts) <= {'NONE', 'SOME'}
        mags, wanted = got['rocket.flight.mag.0'][flights:], sent['rocket.flight.mag.0']
        where = [a == b for a, b in zip(mags, wanted)]
        assert len(mags) == len(wanted) and where.count(True) >= 150 and where.count(False) > 20, (len(mags), where.count(True))
        last = max(i for i, same in enumerate(where) if same)
        assert where[:last].count(False) == 0, 'not by turns'
        assert not [r for r in cat(daemon, 'metrics') if r['kind'] == 'TALLY'], 'no packet is missing'
        marks = [r for r in cat(daemon, 'metrics') if r['name'] == 'yarder.definition']
        assert len(marks) == 1 and marks[0]['kind'] == 'ROW', marks
        assert 'rocket.double' in got and 'vehicle.ydm: read again: 2 packets' in daemon.stderr()

        # Derive goes on with what it remembers: one climb for each packet, over the change, too.
        assert len(got['rocket.climb']) == flights + made['flight'] - 1, (len(got['rocket.climb']), flights, made)

        # Readers.
        seen, altitudes = set(), 1 if first['name'] == 'rocket.flight.altitude' else 0
        deadline = threading.Timer(200, watching.kill)
        deadline.start()
        for line in watching.stdout:
            value = json.loads(line)
            if value['generation'] != first['generation']:
                seen.add(value['name'])
            if value['name'] == 'rocket.flight.altitude':
                altitudes += 1 + value.get('missed', 0)
            if altitudes >= made['flight'] + 1 and {'rocket.housekeeping.faults', 'rocket.double'} <= seen:
                break
        else:
            raise AssertionError(f'the reader has {altitudes} altitudes, and since the change {sorted(seen)}')
        assert altitudes == made['flight'] + 1, (altitudes, made)
        assert 'rocket.housekeeping.errors' not in seen and 'rocket.falling' not in seen, seen
        deadline.cancel()
        reader.stdin.write(f'{made["flight"] + 1}\n')
        reader.stdin.flush()
        told = json.loads(reader.stdout.readline())
        assert told['got'] + told['missed'] == made['flight'] + 1 and told['generations'] >= 2, (told, made)
        assert yarder('live', 'get', 'rocket.housekeeping.errors', '--data', daemon.data).returncode == 1
        assert live(daemon, 'rocket.housekeeping.current')['value'] in ('NONE', 'SOME')
        daemon.stop()


def a_wrong_definition_leaves_the_old_one_running(folder):
    """a mistake in packets, in what is derived, or nothing left to limit: refused with its place, whoever would stumble over
    it; packets go on by the old definition; when it is mended it is taken"""
    daemon, path, native = start(folder)
    with daemon:
        sim(daemon, '--count', '10', '--seed', '3')
        wait_for(lambda: live(daemon, 'rocket.housekeeping.errors'), why='values')
        with open(path) as f:
            good = f.read()
        for old, new, why in (('  errors      u8\n', '  errors      u99\n', 'vehicle.ydm:53:15: unsigned has 1 to 64 bits'),
                              ('derive climb = rate(flight.altitude)', 'derive climb = rate(flight.altitud)', "'flight.altitud'"),
                              ('derive climb.mean = rolling_avg(climb, 1s)', 'derive climb.mean = flight.phase + 1', 'wants a number'),
                              ('derive climb.mean = rolling_avg(climb, 1s)', 'derive climb.mean = held(falling, 1s)', 'in a circle')):
            change(path, (old, new))
            refused = reload(native, check=1)
            assert why in refused.stderr and 'the definition in use goes on' in refused.stderr, refused.stderr
            with open(path, 'w') as f:
                f.write(good)
        with open(path, 'w') as f:
            f.write('\n'.join(line.split(' limits')[0] for line in good.split('\n')))
        assert 'it limits nothing' in reload(native, check=1).stderr, 'Limits would not start with it'
        os.rename(path, path + '.away')
        assert 'vehicle.ydm' in reload(native, check=1).stderr
        assert 'goes on' in daemon.stderr()
        before = decoded(native)
        _, values = sim(daemon, '--count', '40', '--seed', '4')
        wait_for(lambda: sum(decoded(native).values()) == sum(before.values()) + 40, why='packets by the old definition')
        wanted = by_name(values)['rocket.flight.altitude'][-1]
        wait_for(lambda: bits(live(daemon, 'rocket.flight.altitude')['value']) == wanted, why='their values')
        with open(path, 'w') as f:
            f.write(good)
        row = json.loads(reload(native).stdout)
        assert row['new'] == row['gone'] == 0, row
        counts = {f'yarder.packets element=decom,packet={name}': count for name, count in decoded(native).items()}
        wait_for(lambda: {r['name']: r['value'] for r in cat(daemon, 'self') if r['name'] in counts} == counts,
                 why='the counts of packets as Self tells them')
        check_identity(daemon.status())
        assert daemon.element('decom')['crashes'] == 0
        daemon.stop()


def nobody_outside_hands_a_definition_in(folder):
    """`redefine` is a question between elements: the native door refuses it, for whomever it is, and all go on; a reload
    is told by each element that takes it"""
    daemon, path, native = start(folder)
    with daemon:
        for element in 'decom', 'derive', 'limits':
            refused = yarder('ask', element, 'redefine', 'text="definition x"', '--at', f'127.0.0.1:{native}', check=1)
            assert 'never from outside' in refused.stderr and 'not permitted' in refused.stderr, refused.stderr
            assert 'another definition' not in daemon.stderr()
        reload(native)
        wait_for(lambda: daemon.stderr().count('vehicle.ydm: another definition: ') == 2, why='that both say it')
        daemon.stop()


def a_measurement_that_is_dropped_and_comes_back_is_read_from_its_first_value(folder):
    """a reload without a name, then one with it: who follows it gets or counts each of its values, also the first"""
    daemon, path, native = start(folder)
    name = 'rocket.housekeeping.errors'
    with daemon:
        sim(daemon, '--count', '2', '--seed', '3')
        wait_for(lambda: live(daemon, name), why='values')
        with Live(daemon.data + '/live/live.sock') as values:
            item = values.follow(name)
            assert [v.seq for v in item.values()] == [decoded(native)['housekeeping']]
            for old, new in ('errors', 'faults'), ('faults', 'errors'):
                before, generation = decoded(native)['housekeeping'], values.generation
                change(path, (f'  {old}      u8\n', f'  {new}      u8\n'))
                row = json.loads(reload(native).stdout)
                assert (row['new'], row['gone']) == (1, 1), row
                if new == 'faults':
                    wait_for(lambda: values.generation > generation, why='other memory')
                    assert not item.changed()
            sim(daemon, '--count', '2', '--seed', '4')
            come = decoded(native)['housekeeping'] - before
            wait_for(lambda: (live(daemon, name) or {}).get('seq') == come > 0, why='its values')
            got = list(item.values())
            assert len(got) + sum(v.missed for v in got) == come and got[0].seq == 1 + got[0].missed, (got, come)
        daemon.stop()


def limits_that_are_gone_do_not_stay_red(folder):
    """what was red, and has no limits in the new definition, is told to be unknown; the others keep their states"""
    daemon, path, native = start(folder)
    with daemon:
        sim(daemon, '--count', '20', '--seed', '3', '--pattern', 'chamber=const:60 fuel=const:FAULT *=ramp')

        def states(name):
            return [r['code'] for r in cat(daemon, 'states') if r['name'] == name]
        for name in 'rocket.flight.chamber', 'rocket.housekeeping.fuel':
            wait_for(lambda: states(name)[-1:] == ['CRITICAL'], why=f'that {name} is red')
        change(path, ('limits red ..45 persist 3', ''))
        reload(native)
        wait_for(lambda: states('rocket.flight.chamber')[-2:] == ['UNKNOWN', 'UNKNOWN'], why='that it is not red any more')
        assert states('rocket.housekeeping.fuel')[-1] == 'CRITICAL'
        told = len(states('rocket.housekeeping.fuel'))
        sim(daemon, '--count', '20', '--seed', '3', '--pattern', 'chamber=const:60 fuel=const:FAULT *=ramp')
        wait_for(lambda: sum(decoded(native).values()) == 40, why='more packets')
        assert states('rocket.flight.chamber')[-1] == 'UNKNOWN' and len(states('rocket.housekeeping.fuel')) == told
        daemon.stop()


if __name__ == '__main__':
    main(a_changed_definition_is_taken_over_between_two_packets, a_wrong_definition_leaves_the_old_one_running,
         nobody_outside_hands_a_definition_in,
         a_measurement_that_is_dropped_and_comes_back_is_read_from_its_first_value,
         limits_that_are_gone_do_not_stay_red)
