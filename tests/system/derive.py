#!/usr/bin/env python3
"""Derive and Limits in real runs: killed in the middle of windows, behind a Log: nothing lost, nothing counted twice."""
import json
import os
import random
import socket
import sys

from harness import Daemon, check_identity, free_port, main, new_seed, wait_for, yarder

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> raw :: Log(stream: "raw") -> derive :: Derive(rules: [
  "n = count(x)", "sum = rolling_sum(x, 7)", "highest = rolling_max(x, 20s)", "climb = rate(x)", "chain = n + sum"
]) -> Log(stream: "derived")
raw -> limits :: Limits(rules: ["x yellow ..500 red ..900 persist 3"]) -> Log(stream: "alarms")
'''


def cat(daemon, stream):
    shown = yarder('log', 'cat', stream, '--data', daemon.data, '--json')
    return [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []


def feed(daemon, lines):
    with socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) as s:
        s.sendall(''.join(lines).encode())


def expected(raw):
    """By the definition of each function, over what the raw stream holds."""
    said, values, state, run = [], [], None, []
    for i, (value, time) in enumerate(raw):
        values.append((value, time))
        window = [v for v, _ in values[-7:]]
        said += [('n', i + 1), ('sum', sum(window)), ('highest', max(v for v, t in values if t > time - 20))]
        if i:
            said.append(('climb', (value - values[-2][0]) / (time - values[-2][1])))
        said.append(('chain', i + 1 + sum(window)))
    return said


def severity(value):
    return 2 if value > 900 else 1 if value > 500 else 0


def expected_alarms(raw):
    said, state, run = [], None, []
    for value, _ in raw:
        now = severity(value)
        if state is None:
            said.append(now)
        elif now == state:
            run = []
            continue
        else:
            if run and (run[-1] > state) != (now > state):
                run = []
            run.append(now)
            if len(run) < 3:
                continue
            now = min(run) if now > state else max(run)
            said.append(now)
        state, run = now, []
    return said


def raw_of(daemon):
    return [(r['value'], int(r['time'][14:16]) * 60 + int(r['time'][17:19]) + int(r['time'][11:13]) * 3600)
            for r in cat(daemon, 'raw')]


def a_window_survives_kill_nine_at_any_moment(folder):
    """rolling windows, counts, rates and runs of limits after kill -9 are what the stream in front says, each once"""
    dice = random.Random(new_seed())
    daemon = Daemon(folder, TOPOLOGY, ports={'graphite': free_port()})
    time = 1_700_006_400  # midnight is far
    try:
        for round_number in range(6):
            daemon.start()
            for _ in range(dice.randrange(1, 4)):
                lines = []
                for _ in range(dice.randrange(1, 400)):
                    time += dice.randrange(1, 3)
                    lines.append(f'x {dice.randrange(0, 1000)} {time}\n')
                feed(daemon, lines)
                wait_for(lambda: len(cat(daemon, 'raw')) > 0, why='something in the raw stream')
            daemon.kill()
        daemon.start()
        time += 1
        feed(daemon, [f'x 1 {time}\n'])

        def all_there():
            raw = raw_of(daemon)
            return raw and raw[-1][0] == 1 and len(cat(daemon, 'derived')) >= len(raw) * 5 - 1
        wait_for(all_there, why='all derived values')
        raw = raw_of(daemon)
        derived = [(r['name'], r['value']) for r in cat(daemon, 'derived')]
        for i, (want, got) in enumerate(zip(expected(raw), derived)):
            assert want[0] == got[0] and abs(want[1] - got[1]) < 1e-9 * max(1, abs(want[1])), (i, want, got)
        assert len(derived) == len(expected(raw)), (len(derived), len(expected(raw)))
        codes = {'OK': 0, 'WARNING': 1, 'CRITICAL': 2, 'UNKNOWN': 3}
        wanted = expected_alarms(raw)
        # What was told since the last save may be told again, alike: the same time and state.
        wait_for(lambda: len({(r['time'], r['code']) for r in cat(daemon, 'alarms') if r.get('transition')}) >= len(wanted),
                 why='all alarms')
        seen, told = set(), []
        for r in cat(daemon, 'alarms'):
            if r.get('transition') and (r['time'], r['code']) not in seen:
                seen.add((r['time'], r['code']))
                told.append(codes[r['code']])
        assert told == wanted, (told, wanted)
        check_identity(daemon.status())
        daemon.stop()
    finally:
        daemon.kill()


def rules_come_from_files_and_mistakes_name_the_line(folder):
    """a file of rules is read at the start; a mistake in it stops the start, with path, line and column"""
    with open(folder + '/rules.txt', 'w') as f:
        f.write('# derived\ntwice = x * 2\n\nboth = twice +\n  x\n')
    topology = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> Derive(file: "rules.txt") -> Log(stream: "derived")
'''
    with Daemon(folder, topology, ports={'graphite': free_port()}) as daemon:
        feed(daemon, ['x 5 1700000000\n'])
        wait_for(lambda: [(r['name'], r['value']) for r in cat(daemon, 'derived')] == [('twice', 10), ('both', 15)],
                 why='what the rules make')
        daemon.stop()
    with open(folder + '/rules.txt', 'w') as f:
        f.write('twice = x * 2\nfour = twise(2) + x\n')
    daemon = Daemon(folder, topology, ports={'graphite': free_port()})
    daemon.start(wait=False)
    try:
        assert daemon.process.wait(90) != 0
        assert "rules.txt:2:8: no function is called 'twise'" in daemon.stderr(), daemon.stderr()
    finally:
        daemon.kill()


SCRIPT = '''
state.last = state.last or {}
state.sum = state.sum or 0.0
on("x", function(x, time)
    local last = state.last
    last[#last + 1] = x / 3
    if #last > 7 then table.remove(last, 1) end
    state.sum = state.sum * 0.9 + x
    if x % 50 == 7 then error("seven") end
    local sum = 0
    for _, value in ipairs(last) do sum = sum + value end
    return { window = sum, decayed = state.sum, n = #last }
end)
'''
SCRIPTED = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> raw :: Log(stream: "raw") -> derive :: Derive(lua: "window.lua") -> Log(stream: "derived")
'''


def scripted(raw):
    said, last, decayed = [], [], 0.0
    for value, _ in raw:
        last = (last + [value / 3])[-7:]
        decayed = decayed * 0.9 + value
        if value % 50 != 7:
            total = 0
            for v in last:
                total += v
            said += [('decayed', decayed), ('n', len(last)), ('window', total)]
    return said


def a_script_survives_kill_nine_at_any_moment(folder):
    """what a script keeps in `state` is, after kill -9, what the stream in front says, to the last bit; errors cost their calls"""
    dice = random.Random(new_seed())
    with open(folder + '/window.lua', 'w') as f:
        f.write(SCRIPT)
    daemon = Daemon(folder, SCRIPTED, ports={'graphite': free_port()})
    time = 1_700_006_400
    try:
        for _ in range(4):
            daemon.start()
            lines = []
            for _ in range(dice.randrange(1, 300)):
                time += 1
                lines.append(f'x {dice.randrange(0, 1000)} {time}\n')
            feed(daemon, lines)
            wait_for(lambda: len(cat(daemon, 'raw')) > 0, why='something in the raw stream')
            daemon.kill()
        daemon.start()
        feed(daemon, [f'x 1 {time + 1}\n'])

        def all_there():
            raw = raw_of(daemon)
            return raw and raw[-1][0] == 1 and len(cat(daemon, 'derived')) >= len(scripted(raw))
        wait_for(all_there, why='all that the script makes')
        wanted = scripted(raw_of(daemon))
        derived = [(r['name'], r['value']) for r in cat(daemon, 'derived')]
        assert derived == wanted, next((i, a, b) for i, (a, b) in enumerate(zip(derived + [None], wanted + [None])) if a != b)
        check_identity(daemon.status())
        daemon.stop()
    finally:
        daemon.kill()


def check_finds_mistakes_in_files_and_changes_nothing(folder):
    """yarder check reads files of rules and scripts: mistakes with path, line and column; nothing is made; a pipe is not opened"""
    def put(name, text):
        with open(f'{folder}/{name}', 'w') as f:
            f.write(text)

    put('t.yd', '''in :: Graphite(listen: "127.0.0.1:2003")
in -> Derive(file: "rules.txt") -> Null()
in -> Derive(lua: "script.lua") -> Null()
in -> Limits(file: "limits.txt", set: "ascent") -> Null()
in -> Limits(file: "not-there.txt") -> Null()
in -> Derive(file: "pipe") -> Null()
''')
    put('rules.txt', 'twice = x * 2\nfour = twise(2)\n')
    put('script.lua', 'on("x", function(x)\n  return { y = = x }\nend)\n')
    put('limits.txt', 'x yellow 10..\nx yelow 3\n')
    os.mkfifo(f'{folder}/pipe')

    def check():
        before = sorted(os.listdir(folder))
        ran = yarder('check', 't.yd', cwd=folder)
        assert sorted(os.listdir(folder)) == before
        return ran

    ran = check()
    said = ran.stdout + ran.stderr
    assert ran.returncode != 0
    for part in ["rules.txt:2:8: no function is called 'twise'", "script.lua:2: unexpected symbol near '='", 'limits.txt:2:3: ',
                 't.yd:2:20', 't.yd:3:19', 't.yd:4:20']:
        assert part in said, (part, said)
    assert said.count('error[Y176]') == 3, said
    put('rules.txt', 'twice = x * 2\n')
    put('script.lua', 'while true do end\n')
    put('limits.txt', 'x yellow 10..\n')
    ran = check()
    said = ran.stdout + ran.stderr
    assert 'script.lua:1: more than 1000000 steps in one call' in said, said
    assert "limits.txt: no rule has limits of a set 'ascent'" in said, said
    put('script.lua', 'on("x", function(x) return { y = x } end)\n')
    put('limits.txt', 'x set ascent yellow 10..\n')
    ran = check()
    assert ran.returncode == 0, ran.stdout + ran.stderr


if __name__ == '__main__':
    sys.exit(main(a_window_survives_kill_nine_at_any_moment, rules_come_from_files_and_mistakes_name_the_line,
                  a_script_survives_kill_nine_at_any_moment, check_finds_mistakes_in_files_and_changes_nothing))
