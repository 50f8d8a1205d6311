#!/usr/bin/env python3
"""Live values of a real daemon: the commands, the C example, access, a daemon that dies, and readers that never read."""
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from harness import ROOT, YARDER, Daemon, Skip, check_identity, free_port, main, new_seed, wait_for, yarder
from native_client import MEMORY, Native, batch

sys.path.insert(0, os.path.join(ROOT, 'python'))
from yarder import live as reader  # noqa: E402

EXAMPLE = os.environ.get('EXAMPLE_LIVE', os.path.join(os.path.dirname(YARDER), 'live'))
TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> values :: Live(slots: 16)
'''
# Every type, as bits: what no text that is sent can have, too.
TYPES = '''
native :: Native(listen: "127.0.0.1:{native}")
raw :: Log(stream: "raw")
raw -> values :: Live(slots: 16)
'''
BITS = {  # names of 9 to 16 bytes
    'types.bool': (reader.BOOL, [0, 1]),
    'types.i64': (reader.I64, [0, 1, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 9007199254740993]),
    'types.u64': (reader.U64, [0, 1, (1 << 64) - 1, 1 << 63, 9007199254740993]),
    'types.f64': (reader.F64, [0, 1 << 63, 1, 0x3ff8000000000000, 0x3fb999999999999a, 0x7fefffffffffffff, 0x0010000000000000,
                               0x000fffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
                               0xfff8000000000001, 0x7ff0000000000001, 0xc008000000000000]),
}


class Watch:
    """A command whose lines are kept with the time at which they came."""

    def __init__(self, *args, program=None, **more):
        self.process = subprocess.Popen([*(program or [YARDER, 'live', *args])], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **more)
        self.out, self.err = [], []
        self.threads = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def read(pipe, to):
        for line in pipe:
            to.append((time.time(), line.rstrip('\n')))

    def said(self, text, since=0.0):
        return next((at for at, line in self.err if text in line and at >= since), None)

    def end(self, expect=0):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(90)
        for thread in self.threads:
            thread.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == expect, (code, self.err)
        return [line for _, line in self.out]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def live(daemon, *args, check=0):
    return yarder('live', *args, '--data', daemon.data, check=check)


def has(daemon, name, value):
    done = yarder('live', 'get', name, '--json', '--data', daemon.data)
    return done.returncode == 0 and json.loads(done.stdout)['value'] == value


def the_commands_show_what_is_there(folder):
    """ls, get, stat and watch: names, newest values, sequences; exit 1 for what never had a value; usage is 2"""
    with Daemon(folder, TOPOLOGY) as daemon:
        daemon.lines('a.load;host=web1 1.5 1700000000\na.count 7 1700000001\na.count 8 1700000002\n')
        wait_for(lambda: has(daemon, 'a.count', 8), why='the values')
        listed = [json.loads(line) for line in live(daemon, 'ls', '--json').stdout.splitlines()]
        assert [(x['name'], x['type'], x['seq']) for x in listed] == [('a.load host=web1', 'F64', 1), ('a.count', 'F64', 2)]
        assert '2 names' in live(daemon, 'ls').stdout
        assert live(daemon, 'ls', 'a.lo*').stdout.splitlines()[1].endswith('a.load host=web1')
        shown = live(daemon, 'get', 'a.load host=web1', 'a.count').stdout.splitlines()
        assert shown == ['a.load host=web1 1.5 2023-11-14T22:13:20Z seq 1', 'a.count 8 2023-11-14T22:13:22Z seq 2'], shown
        failed = live(daemon, 'get', 'nosuch', 'a.count', check=1)
        assert 'nosuch never had a value; `yarder live ls`' in failed.stderr and 'a.count 8' in failed.stdout
        assert "did you mean 'a.count'?" in live(daemon, 'get', 'count', check=1).stderr
        stat = json.loads(live(daemon, 'stat', '--json').stdout)
        assert stat['measurements'] == 2 and stat['writer_attached'] and stat['generation'] == listed[0]['generation']
        assert stat['writer_pid'] == daemon.process.pid
        assert stat['clients'] == 0 and stat['clients_welcomed'] > 1, stat
        assert 'clients        0 now, ' in live(daemon, 'stat').stdout
        live(daemon, 'get', check=2)
        live(daemon, 'get', ' =', check=2)
        live(daemon, 'watch', '--interval', '1ns', check=2)
        live(daemon, 'ls', '--live', 'other', check=1)
        daemon.lines('e\u009bvil.clear 1 1700000000\n')
        wait_for(lambda: has(daemon, 'e\u009bvil.clear', 1), why='the value of an odd name')
        assert "did you mean 'e\\xc2\\x9bvil.clear'?" in live(daemon, 'get', 'clear', check=1).stderr
        check_identity(daemon.status())
    gone = yarder('live', 'ls', '--data', folder + '/nothing')
    assert gone.returncode == 1 and 'is the daemon running' in gone.stderr, gone


def watching_gives_each_value_once_in_order(folder):
    """`watch --every` prints each value once, in order; --json lines; it ends at SIGINT with 0"""
    with Daemon(folder, TOPOLOGY) as daemon, Watch('watch', 'w.*', '--every', '--json', '--data', daemon.data) as every, \
            Watch('watch', 'w.*', '--data', daemon.data) as newest:
        for i in range(1, 31):
            daemon.lines(f'w.v {i} {1700000000 + i}\nother {i} {1700000000 + i}\n')
            wait_for(lambda: len(every.out) == i, pause=0.002, why=f'value {i}')
        wait_for(lambda: newest.out and newest.out[-1][1].endswith('w.v 30'), why='the newest value')
        lines = [json.loads(line) for line in every.end()]
        assert [x['value'] for x in lines] == list(range(1, 31)) and not any(x['missed'] for x in lines)
        assert [x['seq'] for x in lines] == list(range(1, 31)) and {x['name'] for x in lines} == {'w.v'}
        numbers = [int(line.split()[-1]) for line in newest.end()]
        assert numbers == sorted(set(numbers)), numbers


def on_a_terminal_a_table_redraws(folder):
    """a pseudo-terminal gets rows with rates and trends, fits its size, and is left as it was"""
    with Daemon(folder, TOPOLOGY) as daemon:
        daemon.lines(''.join(f't.v{i} {i} {int(time.time())}\n' for i in range(40)))
        wait_for(lambda: has(daemon, 't.v39', 39), why='the values')
        pid, fd = os.forkpty()
        if pid == 0:
            env = {**os.environ, 'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8'}
            env.pop('NO_COLOR', None)
            os.execvpe(YARDER, [YARDER, 'live', 'watch', '--interval', '20ms', '--data', daemon.data], env)
        import fcntl
        import termios
        seen = bytearray()

        def read_more():
            try:
                seen.extend(os.read(fd, 65536))
            except OSError:
                pass

        try:
            reader = threading.Thread(target=lambda: [read_more() for _ in iter(lambda: not closed.is_set(), False)], daemon=True)
            closed = threading.Event()
            reader.start()
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 12, 100, 0, 0))
            os.kill(pid, signal.SIGWINCH)
            wait_for(lambda: b'30 do not fit' in seen, why='the size')
            for i in range(3):
                daemon.lines(f't.v0 {i * 100} {int(time.time())}\n')
                wait_for(lambda: has(daemon, 't.v0', i * 100), why='the value')
                time.sleep(0.05)  # several pictures: that they differ is waited for below
            wait_for(lambda: '█' in seen.decode(errors='replace') and b' 200  ' in seen, why='a trend')
            os.kill(pid, signal.SIGINT)
            _, status = os.waitpid(pid, 0)
            assert status == 0, status
            wait_for(lambda: seen.endswith(b'\x1b[?25h\x1b[?1049l'), why='the terminal as it was')
        finally:
            closed.set()
            os.close(fd)


def a_killed_daemon_is_noticed_and_its_successor_gone_over_to(folder):
    """kill -9 and a restart under waiting readers: told, re-attached, values come again; the times are printed"""
    daemon = Daemon(folder, TOPOLOGY).start()
    socket_path = daemon.data + '/live/values.sock'
    told, attached = [], []
    try:
        with Watch('watch', '--every', '--json', '--data', daemon.data) as watch, \
                Watch(program=[EXAMPLE, socket_path, '*']) as example:
            daemon.lines('k.v 0 1700000000\n')
            wait_for(lambda: watch.out and example.out, why='the first value')
            for round_ in range(1, 6):
                killed = time.time()
                daemon.kill()
                wait_for(lambda: watch.said('is gone', killed) and example.said('is gone', killed), why='being told')
                told += [watch.said('is gone', killed) - killed, example.said('is gone', killed) - killed]
                daemon.start()
                wait_for(lambda: watch.said('a writer is there', killed), why='the successor')
                opened = os.stat(socket_path).st_ctime
                attached.append(watch.said('a writer is there', killed) - opened)
                daemon.lines(f'k.v {round_} 1700000000\n')
                wait_for(lambda: json.loads(watch.out[-1][1])['value'] == round_, why='its value')
                wait_for(lambda: example.out[-1][1].startswith(f'k.v = {round_},'), why='its value in the example')
            lines = [json.loads(line) for line in watch.end()]
            assert [x['value'] for x in lines] == list(range(6)), lines
            generations = [x['generation'] for x in lines]
            assert generations == sorted(set(generations)), generations
    finally:
        daemon.kill()
    print(f'# told after kill -9 within {max(told) * 1e3:.1f} ms, re-attached {max(attached) * 1e3:.1f} ms at most behind '
          f'the door\'s opening (its time is of the kernel\'s tick)')
    # It is milliseconds; whoever is not told looks by himself, half a minute later.
    assert max(told) < 15 and max(attached) < 15


def only_who_is_on_the_list_comes_in(folder):
    """another user is refused; one of the listed group and a listed user are let in"""
    if os.getuid():
        raise Skip('needs root')
    os.chmod(folder, 0o755)
    topology = TOPOLOGY.replace('slots: 16', 'slots: 16, access: ["group:4711", "user:4712"]')
    with Daemon(folder, topology) as daemon:
        daemon.lines('a.v 1 1700000000\n')
        wait_for(lambda: has(daemon, 'a.v', 1), why='the value')
        os.chmod(daemon.data, 0o755)
        os.chmod(daemon.data + '/live', 0o755)
        for user, groups, expect in ((4713, [], 1), (4712, [], 0), (4714, [4711], 0), (4714, [4710], 1)):
            more = ['--groups', ','.join(map(str, groups))] if groups else ['--clear-groups']
            done = subprocess.run(['setpriv', '--reuid', str(user), '--regid', str(user), *more, YARDER, 'live', 'get',
                                   'a.v', '--socket', daemon.data + '/live/values.sock'], capture_output=True, text=True,
                                  timeout=30)
            if 'execute' in done.stderr:
                raise Skip('the program cannot be run by others: ' + done.stderr.strip())
            assert done.returncode == expect, (user, groups, done)
            assert ('a.v 1' in done.stdout) == (expect == 0), done


LOOK = """
import os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
from yarder import live as reader
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(20)
s.connect(sys.argv[2])
s.send(struct.pack('=IHHQ64s', reader.DOOR_MAGIC, 1, reader.HELLO, 0, b'look'))
_, fds, _, _ = socket.recv_fds(s, 4096, 4)
for fd in fds:
    os.close(fd)
s.send(struct.pack('=IHHQdQIHH1024s', reader.DOOR_MAGIC, 1, 5, 9, 0.0, 0, 0, 0, 0, b'*'))
message, fds, _, _ = socket.recv_fds(s, 4096, 4)
assert reader.HEAD.unpack_from(message)[2] == 6, message
memory = reader._Memory(fds[0], fds[1])
memory.look()
print(*sorted(memory.names))
"""


def a_broker_shows_each_user_only_the_names_of_his_entry(folder):
    """access with patterns: the first entry that fits counts; who is on none of them is refused"""
    if os.getuid():
        raise Skip('needs root')
    os.chmod(folder, 0o755)
    topology = TOPOLOGY.replace('values :: Live(slots: 16)',
                                'broker :: Broker(access: ["user:4712 engine.*", "group:4711 cabin.*", "user:4715"])')
    with Daemon(folder, topology) as daemon:
        path = daemon.data + '/live/broker.sock'
        daemon.lines('engine.a 1 1700000000\ncabin.a 1 1700000000\n')
        look = [sys.executable, '-c', LOOK, os.path.join(ROOT, 'python'), path]
        wait_for(lambda: subprocess.run(look, capture_output=True, text=True, timeout=30).stdout == 'cabin.a engine.a\n',
                 why='both names')
        os.chmod(daemon.data, 0o755)
        os.chmod(daemon.data + '/live', 0o755)
        for user, groups, expect in ((4712, [], 'engine.a'), (4712, [4711], 'engine.a'), (4714, [4711], 'cabin.a'),
                                     (4715, [], 'cabin.a engine.a'), (4713, [], None)):
            more = ['--groups', ','.join(map(str, groups))] if groups else ['--clear-groups']
            done = subprocess.run(['setpriv', '--reuid', str(user), '--regid', str(user), *more, *look], capture_output=True,
                                  text=True, timeout=30)
            if 'execute' in done.stderr or 'No module named' in done.stderr:
                raise Skip('the program cannot be run by others: ' + done.stderr.strip())
            assert done.stdout.strip() == expect if expect else done.returncode, (user, groups, done)


HELLO = struct.pack('<IHHQ64s', 0x524f4459, 1, 1, 0, b'a test that never reads')


def attach_without_reading(path, count):
    sockets = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(60)
        s.connect(path)
        s.send(HELLO)
        sockets.append(s)
    return sockets


def cpu_of(process):
    return time.clock_gettime(~process.pid << 3 | 2)  # the kernel's clock of that process


def publish(daemon, first, lines=100000):
    text = ''.join(f'p.v{i % 50} {i} 1700000000\n' for i in range(first, first + lines))
    last = first + lines - 1
    began = cpu_of(daemon.process)
    daemon.lines(text)
    wait_for(lambda: has(daemon, f'p.v{last % 50}', last), pause=0.01, why='the last value')
    return cpu_of(daemon.process) - began


def a_thousand_readers_that_never_read_cost_nothing(folder):
    """1,000 attached programs that never read: values come as before, and the idle daemon's processor time is < 1 %"""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        raise Skip('not enough descriptors are allowed')
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096 if hard == resource.RLIM_INFINITY else hard, hard))
    try:
        with Daemon(folder, TOPOLOGY) as daemon:
            publish(daemon, 0)
            alone = min(publish(daemon, i * 100000) for i in (1, 2))
            sockets = attach_without_reading(daemon.data + '/live/values.sock', 1000)
            wait_for(lambda: has(daemon, 'p.v49', 299999), why='the door to answer behind them')
            watched = min(publish(daemon, i * 100000) for i in (3, 4))
            for _ in range(10):  # what is left to be done behind the values may fall into the first ones
                before, began = cpu_of(daemon.process), time.monotonic()
                time.sleep(2)  # idle: that is what is measured
                share = (cpu_of(daemon.process) - before) / (time.monotonic() - began)
                if share < 0.01:
                    break
            for s in sockets:
                s.close()
            wait_for(lambda: has(daemon, 'p.v49', 499999), why='the door to answer afterwards')
            check_identity(daemon.status())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f'# 100,000 values: {alone * 1e3:.0f} ms of CPU alone, {watched * 1e3:.0f} ms with 1,000 attached; idle {share * 100:.2f} % CPU')
    assert share < 0.01, share
    assert watched < 3 * alone + 0.5, (alone, watched)


def bells_rung(folder, daemon, name, reader):
    """Calls of futex on memory that is shared with others, while values are published."""
    trace = f'{folder}/{name}.strace'
    strace = subprocess.Popen(['strace', '-f', '-e', 'trace=futex', '-o', trace, '-p', str(daemon.process.pid)],
                              stderr=subprocess.PIPE, text=True)
    try:
        if 'attached' not in strace.stderr.readline():
            raise Skip('strace may not attach here')
        for i in range(20):
            daemon.lines(f's.v {i} 1700000000\n')
            wait_for(lambda: has(daemon, 's.v', i), pause=0.01, why='the value')
            if reader:
                wait_for(lambda: len(reader.out) > i, pause=0.01, why='the reader')
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(90)
        strace.stderr.close()
    return [line for line in open(trace) if 'futex(' in line and '_PRIVATE' not in line]


def own_proc():
    """Whether /proc shows our processes."""
    try:
        return os.readlink('/proc/self') == str(os.getpid())
    except OSError:
        return False


def publishing_makes_no_call_while_nobody_waits(folder):
    """strace: not one futex call on the shared bells while nobody sleeps; with a sleeping reader there are"""
    if not own_proc():
        raise Skip("/proc is another container's: strace cannot find the daemon's threads")
    with Daemon(folder, TOPOLOGY) as daemon:
        try:
            quiet = bells_rung(folder, daemon, 'quiet', None)
        except FileNotFoundError:
            raise Skip('no strace')
        with Watch('watch', 's.v', '--every', '--data', daemon.data) as watch:
            wait_for(lambda: watch.out, why='the reader')
            watch.out.clear()
            rung = bells_rung(folder, daemon, 'rung', watch)
    assert quiet == [], quiet
    assert rung, 'a sleeping reader was woken without a call?'


def bits_of(line):
    """A line of `yarder live … --json` or of Python's: (name, seq, type, bits or text), whatever its numbers look like."""
    x = json.loads(line, parse_int=str, parse_float=str)
    value = x['value'] if x['type'] == 'TEXT' else int(x['bits'], 0) if x.get('bits') else None
    if value is None and x['type'] == 'F64':
        value = struct.unpack('<Q', struct.pack('<d', float(x['value'])))[0]
    elif value is None:
        value = int(x['value']) & (1 << 64) - 1
    return x['name'], int(x['seq']), x['type'], value


def send_types(daemon):
    """All of BITS and some texts; what readers must show, by name."""
    expected, number = {}, 0
    with Native(daemon.ports['native']) as native:
        handle = native.open('raw')['handle']
        for name, (kind, values) in BITS.items():
            number += 1
            native.append(handle, [batch(values, name=name, type=kind, when=1_700_000_000_123_456_789)], level=MEMORY)
            expected[name] = [(name, i + 1, reader.TYPES[kind], bits) for i, bits in enumerate(values)]
    texts = ['plain', '', '\u00e4\u00f6\u00fc \U0001f680', 'quote " and \\ and \n and \x1b[31m', 'x' * 64]
    lines = ''.join(json.dumps({'name': 'types.text', 'time': '2026-11-21T01:02:03Z', 'kind': 'FACT', 'value': t}) + '\n'
                    for t in texts)
    subprocess.run([YARDER, 'log', 'append', 'raw', '--records', '--at', f'127.0.0.1:{daemon.ports["native"]}'], text=True,
                   input=lines, check=True, capture_output=True, timeout=120)
    expected['types.text'] = [('types.text', i + 1, 'TEXT', t) for i, t in enumerate(texts)]
    return expected


def every_type_is_read_alike_to_the_last_bit(folder):
    """the commands and Python give every type bit by bit: NaNs with payloads, -0, denormals, the ends of i64 and u64, text"""
    daemon = Daemon(folder, TYPES, ports={'native': free_port()})
    with daemon:
        expected = send_types(daemon)
        wait_for(lambda: has(daemon, 'types.text', 'x' * 64), why='the values')
        with reader.Live(daemon.data + '/live/values.sock') as values:
            items = [values.follow(name) for name in expected]
            seen = {item.name: [bits_of(reader.as_json(item.name, v)) for v in item.values()] for item in items}
            assert seen == expected, (seen, expected)
            assert items[0].last.time_ns == 1_700_000_000_123_456_790, items[0].last
            newest = [values.follow(name).get() for name in expected]
            assert [v.seq for v in newest] == [len(v) for v in expected.values()]
            assert sorted(values.names()) == sorted(expected) and values.names('types.?64') == ['types.i64', 'types.u64', 'types.f64']
        count = sum(len(v) for v in expected.values())
        lines = live(daemon, 'watch', '--every', '--json', '--count', str(count)).stdout.splitlines()
        shown = {}
        for one in map(bits_of, lines):
            shown.setdefault(one[0], []).append(one)
        assert shown == expected, (shown, expected)
        # The C example prints the newest of each; the log has each one in its files.
        with Watch(program=[EXAMPLE, daemon.data + '/live/values.sock', 'types.*']) as example:
            wait_for(lambda: len(example.out) == len(expected), why='the newest of each')
            printed = dict(line.rsplit(',', 1)[0].split(' = ', 1) for _, line in example.out)
        for name, values in expected.items():
            _, _, kind, value = values[-1]
            text = printed[name]
            mine = {'TEXT': lambda: text, 'BOOL': lambda: int(text == 'true'),
                    'F64': lambda: struct.unpack('<Q', struct.pack('<d', float(text)))[0]}.get(kind, lambda: int(text) & (1 << 64) - 1)()
            assert mine == value, (name, text, value)
        logged = {}
        for _, name, _, kind, _, value in raw_values(daemon.data + '/streams/raw/0'):
            bits = struct.unpack('<Q', value)[0] if kind == reader.F64 else value if kind == reader.TEXT else int(value) & (1 << 64) - 1
            logged.setdefault(name, []).append((name, len(logged.get(name, [])) + 1, reader.TYPES[kind], bits))
        assert logged == expected, (logged, expected)


def python_counts_what_it_missed(folder):
    """next: each value once and exactly how many were overwritten; get: the newest; wait: woken, timed out"""
    with Daemon(folder, TOPOLOGY) as daemon:
        daemon.lines('m.v 0 1700000000\n')
        wait_for(lambda: has(daemon, 'm.v', 0), why='the first value')
        with reader.Live(daemon.data + '/live/values.sock') as values:
            item, newest, later = values.follow('m.v'), values.follow('m.v'), values.follow('m.later host=b,arch=x')
            assert later.name == 'm.later arch=x,host=b' and later.get() is None and later.last is None
            assert item.next().value == 0 and item.next() is None and newest.get().value == 0
            daemon.lines(''.join(f'm.v {i} 1700000000\n' for i in range(1, 101)))
            wait_for(lambda: has(daemon, 'm.v', 100), why='a hundred values')
            got = list(item.values())
            assert got[0].missed == 100 - 16 and [v.value for v in got] == list(range(85, 101)), got
            assert not any(v.missed for v in got[1:])
            last = newest.get()
            assert last.value == 100 and last.missed == 99 and newest.get() is None and newest.last == last
            began = time.monotonic()
            try:
                values.wait(item, timeout=0.05)
                raise AssertionError('woken for nothing')
            except TimeoutError:
                assert time.monotonic() - began >= 0.05
            threading.Timer(0.05, lambda: daemon.lines('m.later;arch=x;host=b 7 1700000000\n')).start()
            assert values.wait(item, later, timeout=90) is later and later.get().value == 7
            for i in range(20):  # asleep, and woken each time
                threading.Timer(0.01, lambda: daemon.lines(f'm.v {i} 1700000000\n')).start()
                assert values.wait(item, timeout=90) is item and item.next().value == i


def python_lives_in_large_programs_and_in_those_that_fork(folder):
    """descriptors beyond 1023; a child that closes its copy takes nothing from its parent"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2048:
        raise Skip(f'no more than {hard} descriptors are allowed')
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    daemon = Daemon(folder, TOPOLOGY).start()
    many = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
        many = [os.open('/dev/null', os.O_RDONLY) for _ in range(1200)]
        daemon.lines('l.v 1 1700000000\n')
        wait_for(lambda: has(daemon, 'l.v', 1), why='the value')
        with reader.Live(daemon.data + '/live/values.sock') as values:
            item = values.follow('l.v')
            assert item.next().value == 1
            child = os.fork()
            if child == 0:
                values.close()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            daemon.process.kill()
            try:
                values.wait(item, timeout=90)
                raise AssertionError('something came')
            except reader.WriterGone:
                pass
            daemon.kill()
            daemon.start()
            daemon.lines('l.v 2 1700000000\n')
            assert values.wait(item, timeout=90) is item and item.next().value == 2
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        daemon.kill()


def memory_that_a_limit_forbids_is_refused_with_the_reason(folder):
    """ulimit -f counts shared memory, too: an error at the start, not the end of the daemon by a signal"""
    daemon = Daemon(folder, TOPOLOGY, prefix=('prlimit', '--fsize=1048576', '--'))
    try:
        daemon.start(wait=False)
        assert daemon.process.wait(90) == 1, daemon.process.returncode
        assert 'shared memory' in daemon.stderr(), daemon.stderr()
    finally:
        daemon.kill()


def python_goes_over_to_a_successor(folder):
    """kill -9: told once, the last value stays; the successor's values come; the times are printed"""
    daemon = Daemon(folder, TOPOLOGY).start()
    path = daemon.data + '/live/values.sock'
    told, attached = [], []
    try:
        daemon.lines('k.v 1 1700000000\n')
        wait_for(lambda: has(daemon, 'k.v', 1), why='the value')
        with reader.Live(path) as values:
            item = values.follow('k.v')
            assert item.next().value == 1
            for round_ in range(2, 5):
                killed = []
                threading.Timer(0.05, lambda: (killed.append(time.time()), daemon.process.kill())).start()
                try:
                    values.wait(item, timeout=90)
                    raise AssertionError('something came')
                except reader.WriterGone:
                    told.append(time.time() - killed[0])
                daemon.kill()
                assert not values.attached and item.last.value == round_ - 1 and item.get() is None
                starter = threading.Thread(target=lambda: (daemon.start(), daemon.lines(f'k.v {round_} 1700000000\n')))
                before = values.generation
                starter.start()
                while not values.attached:
                    time.sleep(0.001)
                attached.append(time.time() - os.stat(path).st_ctime)
                assert values.generation > before
                assert values.wait(item, timeout=90) is item and item.next().value == round_
                starter.join()
        absent = reader.Live(folder + '/none.sock', absent=True)
        assert not absent.attached and absent.names() == [] and absent.follow('x').get() is None
        absent.close()
    finally:
        daemon.kill()
    for address in (folder + '/none.sock', path):
        try:
            reader.Live(address)
            raise AssertionError('nobody is there')
        except OSError:
            pass
    print(f'# Python: told after kill -9 within {max(told) * 1e3:.1f} ms, re-attached within {max(attached) * 1e3:.1f} ms')
    assert max(told) < 15 and max(attached) < 15


GROWING = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> values :: Live(slots: 16, measurements: 16)
'''


def nothing_comes_twice_or_goes_uncounted_when_memory_changes(folder):
    """a table that grows under readers: each value once; one that dies with unread values: exactly so many missed"""
    daemon = Daemon(folder, GROWING).start()
    try:
        with Watch('watch', 'g.v', '--every', '--json', '--data', daemon.data) as watch, \
                reader.Live(daemon.data + '/live/values.sock') as values:
            item, slow = values.follow('g.v'), values.follow('g.v')
            sent = 0
            for names in (0, 20, 40, 80):
                for _ in range(3):
                    sent += 1
                    daemon.lines(f'g.v {sent} 1700000000\n')
                    wait_for(lambda: len(watch.out) >= sent, pause=0.002, why=f'value {sent}', seconds=25)
                    values.wait(item, timeout=90)
                    assert [v.value for v in item.values()] == [sent]
                    if sent == 1:
                        assert slow.next().value == 1
                if names:  # more than there is room for: two values are in the old table that slow has not read
                    before = values.generation
                    daemon.lines(''.join(f'n{i} 1 1700000000\n' for i in range(names)))
                    wait_for(lambda: values.generation > before, why='other memory')
                    wait_for(lambda: watch.said('other memory'), why='other memory')
            got = list(slow.values())  # of what was in memory that is gone it was given the newest
            assert sum(v.missed for v in got) + len(got) == sent - 1 and [v.value for v in got] == sorted({v.value for v in got}), got
            for i in range(5):  # nobody reads these: they die with the daemon
                daemon.lines(f'g.v {100 + i} 1700000000\n')
                wait_for(lambda: has(daemon, 'g.v', 100 + i), why='the value')
            daemon.kill()
            wait_for(lambda: not values.attached, why='being told')
            daemon.start()
            daemon.lines('g.v 200 1700000000\ng.v 201 1700000000\n')
            wait_for(lambda: has(daemon, 'g.v', 201), why='the value')
            values.wait(item, timeout=90)
            assert [(v.value, v.missed) for v in item.values()] == [(200, 5), (201, 0)]
            wait_for(lambda: json.loads(watch.out[-1][1])['value'] == 201, why='the last value')
            lines = [json.loads(line) for line in watch.end()]
        assert [x['value'] for x in lines] == [*range(1, sent + 1), *range(100, 105), 200, 201], lines
        assert not any(x['missed'] for x in lines), lines
    finally:
        daemon.kill()


def a_reader_that_looks_after_two_generations_gets_what_came_between(folder):
    """a value of memory that came and went before a program looked is given; what did not change is not given twice"""
    with Daemon(folder, GROWING) as daemon, reader.Live(daemon.data + '/live/values.sock') as values:
        items = {name: values.follow(name) for name in ('g.state', 'g.same', 'g.behind', 'g.both')}
        daemon.lines(''.join(f'{name} 1 1700000000\n' for name in items))
        for name, item in items.items():
            values.wait(item, timeout=90)
            assert [v.value for v in item.values()] == [1]
        daemon.lines('g.behind 2 1700000000\ng.behind 3 1700000001\n')
        first = 0
        for generation, names in enumerate((20, 40)):  # the module's thread hears of them, the program does not look
            before = values._pending.generation if values._pending else values._memory.generation
            daemon.lines(''.join(f'n{first + i} 1 1700000000\n' for i in range(names)))
            first += names
            wait_for(lambda: values._pending and values._pending.generation > before, why='other memory')
            if generation == 0:
                daemon.lines('g.state 2 1700000002\ng.both 2 1700000002\n')
                wait_for(lambda: has(daemon, 'g.both', 2), why='the values between')
        daemon.lines('g.both 3 1700000003\n')
        wait_for(lambda: has(daemon, 'g.both', 3), why='the value behind')
        values.wait(items['g.state'], timeout=5)
        got = {name: [(v.value, v.missed) for v in item.values()] for name, item in items.items()}
        assert got == {'g.state': [(2, 0)], 'g.same': [], 'g.behind': [(3, 1)], 'g.both': [(2, 0), (3, 0)]}, got


def records_of(where, *more):
    """What `log cat --json` prints, without seqnos, numbers as they are written."""
    out = yarder('log', 'cat', where, '--json', *more, check=0).stdout
    lines = [json.loads(line, parse_int=str, parse_float=str) for line in out.splitlines()]
    for line in lines:
        del line['seqno']
    return lines


def raw_values(folder):
    """(time, name, type, flags, bits or bytes) of each record of a stream's files: Python's reader of files."""
    from yarder import log
    out = []
    for record in log.Reader(folder, start='oldest'):
        value = record.value
        if isinstance(value, float):
            value = struct.pack('<d', value)
        out.append((record.time_ns, record.name, record.kind, record.type, record.flags, value))
    return out


def what_is_recorded_is_replayed_to_the_last_bit(folder):
    """live record, then replay into a stream of a daemon: the same values in the same order, every bit; times as they were, or shifted"""
    daemon = Daemon(folder, TYPES + 'again :: Log(stream: "again") -> Null()\nother :: Log(stream: "other") -> Null()\n', ports={'native': free_port()})
    with daemon:
        at = ['--at', f'127.0.0.1:{daemon.ports["native"]}']
        with Watch('record', '--to', folder + '/flight', '--json', '--data', daemon.data) as record:
            wait_for(lambda: record.said('recording 0 measurements'), why='the beginning')
            expected = send_types(daemon)
            wait_for(lambda: has(daemon, 'types.text', 'x' * 64), why='the values')
            summary = json.loads(record.end()[0])
        count = sum(len(v) for v in expected.values())
        assert summary == {'values': count, 'missed': 0, 'first': 0, 'next': count}, summary
        recorded = raw_values(folder + '/flight')
        assert len(recorded) == count, recorded
        for name, values in expected.items():
            mine = [r for r in recorded if r[1] == name]
            for (_, _, kind, value), (_, _, _, its_type, _, its) in zip(values, mine):
                if kind == 'F64':
                    its = struct.unpack('<Q', its)[0]
                assert reader.TYPES[its_type] == kind and (its == value if kind in ('TEXT', 'F64') else its & (1 << 64) - 1 == value)
        done = json.loads(yarder('replay', folder + '/flight', '--as-fast', '--into', 'again', '--json', *at, check=0).stdout)
        assert done == {'replayed': count, 'acknowledged': count, 'refused': 0, 'missed_in_recording': 0}, done
        assert raw_values(daemon.data + '/streams/again/0') == recorded
        began = time.time_ns()
        yarder('replay', folder + '/flight', '--as-fast', '--shift', '--match', 'types.i64', '--into', 'other', *at, check=0)
        shifted = raw_values(daemon.data + '/streams/other/0')
        mine = [r for r in recorded if r[1] == 'types.i64']
        assert [r[1:] for r in shifted] == [r[1:] for r in mine]
        away = {new[0] - old[0] for new, old in zip(shifted, mine)}
        assert len(away) == 1 and began <= shifted[0][0] <= time.time_ns(), away
        assert records_of(folder + '/flight') == [
            {k: v for k, v in json.loads(line, parse_int=str, parse_float=str).items() if k != 'seqno'}
            for line in yarder('replay', folder + '/flight', '--as-fast', '--json', check=0).stdout.splitlines()]
    assert yarder('replay', folder + '/nothing').returncode == 1
    assert yarder('replay', folder + '/flight', '--speed', '0').returncode == 2


def a_replay_keeps_the_pace(folder):
    """a second between ten values takes a second, and a tenth at ten times the speed"""
    with Daemon(folder, TYPES, ports={'native': free_port()}) as daemon:
        with Watch('record', '--to', folder + '/flight', '--count', '11', '--data', daemon.data) as record:
            wait_for(lambda: record.said('recording 0 measurements'), why='the beginning')
            lines = ''.join(json.dumps({'name': 'pace', 'time': 1_700_000_000 + i / 10, 'value': i}) + '\n' for i in range(11))
            subprocess.run([YARDER, 'log', 'append', 'raw', '--records', '--at', f'127.0.0.1:{daemon.ports["native"]}'],
                           text=True, input=lines, check=True, capture_output=True, timeout=120)
            assert record.process.wait(90) == 0, record.err

    def took(speed):
        began = time.monotonic()
        out = yarder('replay', folder + '/flight', '--speed', speed, '--json', check=0).stdout
        assert [json.loads(line)['value'] for line in out.splitlines()] == list(range(11))
        return time.monotonic() - began

    assert took('1') >= 1.0
    fast = [took('10')]
    while min(fast) >= 1.0 and len(fast) < 20:  # other work on this machine may hold it up
        fast.append(took('10'))
    assert 0.1 <= min(fast) < 1.0, fast


def what_a_recording_missed_is_in_it(folder):
    """a hundred values in one batch, sixteen slots: 84 are missed, and it says so before the first one it has"""
    with Daemon(folder, TOPOLOGY) as daemon:
        with Watch('record', 'm.*', '--to', folder + '/flight', '--json', '--data', daemon.data) as record:
            wait_for(lambda: record.said('recording 0 measurements'), why='the beginning')
            record.process.send_signal(signal.SIGSTOP)
            daemon.lines(''.join(f'm.v {i} 1700000000\n' for i in range(100)))
            wait_for(lambda: has(daemon, 'm.v', 99), why='the values')
            record.process.send_signal(signal.SIGCONT)
            # Until it has woken and read; the signal then ends it behind its last look.
            time.sleep(0.1)
            summary = json.loads(record.end()[0])
        assert summary['values'] + summary['missed'] == 100 and summary['missed'] == 84, summary
        first, *rest = records_of(folder + '/flight')
        assert first['name'] == 'yarder.live.missed' and first['value']['missed'] == '84' and first['value']['name'] == 'm.v', first
        assert [r['value'] for r in rest] == [str(i) for i in range(84, 100)]
        done = yarder('replay', folder + '/flight', '--as-fast', check=0)
        assert '84 values were missed' in done.stderr and len(done.stdout.splitlines()) == 16, done


def nonsense_in_the_bells_harms_no_value(folder):
    """a reader that writes into its bells all the time: values come, whole and in order, the daemon answers and counts right"""
    import random
    chance = random.Random(new_seed())
    with Daemon(folder, TOPOLOGY) as daemon, reader.Live(daemon.data + '/live/values.sock') as vandal, \
            Watch('watch', 'b.v', '--every', '--json', '--interval', '20ms', '--data', daemon.data) as watch:
        done = threading.Event()

        def scribble():
            bells = vandal._memory.bells
            while not done.is_set():
                for _ in range(200):
                    bells[512 + 8 * chance.randrange(64)] = chance.randrange(1 << 32)
                time.sleep(0.001)

        thread = threading.Thread(target=scribble)
        thread.start()
        try:
            for i in range(1, 101):
                daemon.lines(f'b.v {i} 1700000000\n')
                wait_for(lambda: has(daemon, 'b.v', i), pause=0.001, why='the value')
        finally:
            done.set()
            thread.join()
        daemon.lines('b.v 101 1700000000\n')
        # Its waiter's bit may have been wiped away while a reader of the same group slept: then it sleeps 30 s at most.
        wait_for(lambda: watch.out and json.loads(watch.out[-1][1])['value'] == 101, seconds=45, why='the last value')
        lines = [json.loads(line) for line in watch.end()]
        values = [x['value'] for x in lines]
        assert values == sorted(set(values)) and len(values) + sum(x['missed'] for x in lines) == values[-1] - values[0] + 1
        check_identity(daemon.status())


main(the_commands_show_what_is_there, watching_gives_each_value_once_in_order, on_a_terminal_a_table_redraws,
     a_killed_daemon_is_noticed_and_its_successor_gone_over_to, only_who_is_on_the_list_comes_in,
     a_broker_shows_each_user_only_the_names_of_his_entry,
     a_thousand_readers_that_never_read_cost_nothing, publishing_makes_no_call_while_nobody_waits,
     every_type_is_read_alike_to_the_last_bit, python_counts_what_it_missed, python_goes_over_to_a_successor,
     python_lives_in_large_programs_and_in_those_that_fork, memory_that_a_limit_forbids_is_refused_with_the_reason,
     nothing_comes_twice_or_goes_uncounted_when_memory_changes,
     a_reader_that_looks_after_two_generations_gets_what_came_between, what_is_recorded_is_replayed_to_the_last_bit,
     a_replay_keeps_the_pace, what_a_recording_missed_is_in_it, nonsense_in_the_bells_harms_no_value)
