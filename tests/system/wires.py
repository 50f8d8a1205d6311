#!/usr/bin/env python3
"""What a full wire does, in real runs: Print writes into a pipe that nobody reads until the test does."""
import os
import signal
import socket
import subprocess
import threading
import time

from harness import ROOT, Daemon, YARDER, check_identity, main, wait_for, yarder

NOW = int(time.time())


def lines(first, end):
    return b''.join(b'wire.test %d %d\n' % (i, NOW) for i in range(first, end))


class Stopped(Daemon):
    """Its standard output is not read until read_all()."""
    printed = b''

    def start(self, wait=True):
        super().start(wait)
        self.stdout = self.process.stdout
        return self

    def read_on(self):
        """Reads in the background from now on."""
        def read():
            while chunk := os.read(self.stdout.fileno(), 1 << 16):
                self.printed += chunk
        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()

    def numbers(self):
        """What was printed, once the daemon has drained and exited 0."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(90) == 0, self.stderr()
        self.reader.join(90)
        return [int(float(n)) for n in self.printed.split()]

    def input_of(self, name):
        return next(p for p in self.element(name)['inputs'] if p['name'] == 'input')

    def wire(self, to='out.input'):
        return next(w for w in self.status()['wires'] if w['to'] == to)

    def check_wire(self, sent, to='out'):
        """sent = dropped + queued + given on, and what was given on is what the input received: nothing is uncounted."""
        status = self.status()
        check_identity(status)
        wire = next(w for w in status['wires'] if w['to'] == to + '.input')
        assert wire['records'] + wire['dropped'] + wire['queued_records'] == sent, wire
        assert self.input_of(to)['received'] >= wire['records'], (self.input_of(to), wire)
        return wire

    def taken(self):
        return next(p for p in self.element('graphite')['inputs'] if p['name'] == 'pump')['received']


def topology(options):
    return f'''
graphite :: Graphite(listen: "127.0.0.1:{{graphite}}")
graphite -[queue: 64KiB{options}]-> out :: Print(format: "value")
'''


def fill(daemon, count):
    """Sends in pieces, each taken before the next one goes, so that the wire sees many batches."""
    for first in range(0, count, 2000):
        daemon.lines(lines(first, first + 2000))
    wait_for(lambda: daemon.taken() == count, why='the last line')


def a_wire_that_drops_new(folder):
    """full: drop_new keeps what was there first, drops what comes, holds up nobody, and counts exactly"""
    with Stopped(folder, topology(', full: drop_new')) as daemon:
        fill(daemon, 100_000)
        wire = daemon.check_wire(100_000)
        assert wire['dropped'] > 10_000 and wire['queued_records'] > 0, wire
        shown = yarder('top', '--once', '--data', daemon.data, check=0).stdout
        assert f"graphite.output -> out.input has dropped {wire['dropped']} records." in shown, shown
        daemon.read_on()
        wait_for(lambda: daemon.wire()['queued_records'] == 0 and daemon.input_of('out')['queued'] == 0, why='an empty queue')
        kept = 100_000 - daemon.check_wire(100_000)['dropped']
        assert daemon.input_of('out')['consumed'] == kept
        printed = daemon.numbers()
        # a small batch may still fit where a larger one before it did not, so what is kept need not be one piece
        assert len(printed) == kept and printed == sorted(set(printed)), (len(printed), kept)
        assert printed[:1000] == list(range(1000)), 'the first ones are kept'


def a_wire_that_drops_old(folder):
    """full: drop_old keeps the newest, drops what waited longest, and counts exactly"""
    with Stopped(folder, topology(', full: drop_old')) as daemon:
        fill(daemon, 100_000)
        assert daemon.check_wire(100_000)['dropped'] > 10_000
        daemon.read_on()
        wait_for(lambda: daemon.wire()['queued_records'] == 0 and daemon.input_of('out')['queued'] == 0, why='an empty queue')
        kept = 100_000 - daemon.check_wire(100_000)['dropped']
        printed = daemon.numbers()
        assert len(printed) == kept and printed == sorted(set(printed)), (len(printed), kept)
        assert printed[-1] == 99_999, 'the newest is there'


def a_wire_that_blocks(folder):
    """full: block stops the socket behind it, the daemon goes on, and nothing is lost once there is room"""
    with Stopped(folder, topology('')) as daemon:
        # The sockets' own buffers take what the machine lets them: up to 36 MiB have been seen.
        pad = b'x' * 400
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            peer.connect(('127.0.0.1', daemon.ports['graphite']))
            peer.settimeout(1)
            rest, sent = b'', 0

            def push():
                """Whether all of the rest went before it was the daemon that took no more."""
                nonlocal rest
                while rest:
                    try:
                        rest = rest[peer.send(rest):]
                    except TimeoutError:
                        if daemon.element('graphite')['blocked']:
                            return False
                return True

            while True:
                assert sent < 400_000, 'nothing pushed back'
                rest = b''.join(b'wire.test;pad=%s %d %d\n' % (pad, i, NOW) for i in range(sent, sent + 500))
                sent += 500
                if not push():
                    break
            status = daemon.status()
            check_identity(status)
            out = daemon.input_of('out')
            assert out['queued'] > 0 and out['dropped'] == 0 and out['received'] < sent, (out, sent)
            daemon.read_on()
            peer.settimeout(90)
            peer.sendall(rest)
        wait_for(lambda: daemon.input_of('out')['consumed'] == sent, why='all of it')
        check_identity(daemon.status())
        assert daemon.numbers() == list(range(sent))


def a_wire_that_spills(folder):
    """full: spill takes everything while nobody reads, by the disk, and gives it on in order and once"""
    with Stopped(folder, topology(', full: spill')) as daemon:
        fill(daemon, 100_000)
        check_identity(daemon.status())
        assert daemon.input_of('out')['consumed'] < 100_000
        held = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(daemon.data + '/spill') for f in fs)
        assert held > 1_000_000, held
        daemon.read_on()
        port = wait_for(lambda: (p := daemon.input_of('out'))['consumed'] == 100_000 and p, why='all of it')
        assert port['dropped'] == 0, port
        check_identity(daemon.status())
        assert daemon.numbers() == list(range(100_000))


def a_spill_outlives_its_daemon(folder):
    """what was acknowledged into a spill comes out of it after kill -9 and a restart"""
    text = '''
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
tsdb -[queue: 64KiB, full: spill]-> out :: Print(format: "value")
'''
    with Stopped(folder, text) as daemon:
        for first in range(0, 40_000, 2000):
            points = [{'metric': 'm', 'timestamp': NOW, 'value': i, 'tags': {'t': 'x'}} for i in range(first, first + 2000)]
            if first < 38_000:
                daemon.http('/api/put', points)
            else:  # only what is behind the full wire can be acknowledged: by the spill, while nobody reads
                assert daemon.http('/api/put?sync', points) == (204, '')
        daemon.kill()
        daemon.start()
        daemon.read_on()
        wait_for(lambda: daemon.input_of('out')['queued'] == 0 and b'39999' in daemon.printed, why='the rest')
        printed = daemon.numbers()
        assert set(range(38_000, 40_000)) <= set(printed), 'acknowledged, and gone'
        assert printed == sorted(printed), 'in order'


def a_blocked_element_still_answers(folder):
    """while what it sends is blocked, an element answers queries; its puts wait and come through later"""
    text = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
graphite -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb -[queue: 64KiB]-> out :: Print(format: "value")
tsdb => history
'''
    with Stopped(folder, text) as daemon:
        daemon.lines(f'asked;host=a 7 {NOW}\n')
        expected = [{'metric': 'asked', 'tags': {'host': 'a'}, 'aggregateTags': [], 'dps': {str(NOW): 7}}]
        wait_for(lambda: daemon.query('sum:asked{host=*}') == expected, why='the point')
        waiting = []

        def put(first):
            points = [{'metric': 'm', 'timestamp': NOW, 'value': i, 'tags': {'t': 'x'}} for i in range(first, first + 5000)]
            waiting.append(daemon.http('/api/put', points, timeout=200))
        threads = [threading.Thread(target=put, args=(first,), daemon=True) for first in range(0, 100_000, 5000)]
        for thread in threads:
            thread.start()
        wait_for(lambda: daemon.input_of('out')['queued'] > 0, why='a full wire')
        # The wire stays full, and the answers come.
        for _ in range(20):
            assert daemon.query('sum:asked{host=*}') == expected
            assert daemon.http('/api/suggest?type=metrics&q=asked')[1] == ['asked']
        assert len(waiting) < len(threads), 'nothing waited'
        check_identity(daemon.status())
        daemon.read_on()
        for thread in threads:
            thread.join(200)
        assert waiting == [(204, '')] * len(threads), waiting
        wait_for(lambda: daemon.input_of('out')['consumed'] == 100_000, why='all puts')
        assert sorted(daemon.numbers()) == list(range(100_000))


def sync_means_durable(folder):
    """a put with sync is 204 behind a Log or File(sync: true), whatever prints beside it; 503 behind File(sync: false)"""
    for name, wires, status in [
            ('log', 'tsdb -> metrics :: Log(stream: "metrics") -> Null()\ntsdb -> Print()', 204),
            ('synced', 'tsdb -> File(path: "synced.txt", sync: true)', 204),
            ('written', 'tsdb -> File(path: "written.txt", sync: false)', 503),
            ('beside', 'tsdb -> metrics :: Log(stream: "metrics") -> Null()\ntsdb -> File(path: "b.txt", sync: false)', 503)]:
        os.mkdir(f'{folder}/{name}')
        with Daemon(f'{folder}/{name}', 'tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")\n' + wires) as daemon:
            point = {'metric': 'm', 'timestamp': NOW, 'value': 1, 'tags': {'t': 'x'}}
            got, body = daemon.http('/api/put?sync', point)
            assert got == status, (name, got, body)
            if status == 503:
                assert 'durably' in body['error']['message'] and 'File(sync: true)' in body['error']['details'], body
                counted = daemon.http('/api/put?sync&summary', point)
                assert counted == (503, {'success': 0, 'failed': 1}), counted
            assert daemon.http('/api/put', point) == (204, '')


PLUGIN = r'''
#include <yarder/element.h>
/* Passes records on, and fails at a number below zero. */
static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    for (uint32_t i = 0; i < input->batch->view.count; i++) {
        double value;
        const struct yd_record *record = &input->batch->view.records[i];
        if (yd_value_number(record->type, record->value, &value) && value < 0) return YD_FAIL;
    }
    return yd_emit(out, 1, yd_batch_ref(input->batch)) == 0 ? YD_DONE : YD_FAIL;
}
static const struct yd_port_class ports[] = {
    {.name = "input", .direction = YD_IN, .kinds = YD_KINDS_ALL, .flags = YD_PORT_REQUIRED, .doc = "Records."},
    {.name = "output", .direction = YD_OUT, .kinds = YD_KINDS_ALL, .doc = "The same."},
    {.name = NULL}};
static const struct yd_param_class params[] = {{.name = NULL}};
static const struct yd_element_class fussy = {.abi = YD_ELEMENT_ABI, .flags = YD_CLASS_REPEATS, .name = "Fussy",
    .summary = "fails at numbers below zero", .ports = ports, .params = params, .receive = receive};
const struct yd_element_class *const yd_element_classes[] = {&fussy, NULL};
'''


def with_plugin(folder):
    os.makedirs(folder + '/plugins', exist_ok=True)
    with open(folder + '/plugins/fussy.c', 'w') as f:
        f.write(PLUGIN)
    so = folder + '/plugins/fussy.so'
    subprocess.run(['cc', '-shared', '-fPIC', '-I', ROOT + '/include', folder + '/plugins/fussy.c', '-o', so], check=True)
    return so


def fussy(options):
    return f'''
graphite :: Graphite(listen: "127.0.0.1:{{graphite}}")
graphite -> fussy :: Fussy() with {{ restart: 2 in 1m, on_crash: {options} }}
fussy -> out :: Print(format: "value")
'''


def a_poison_batch_is_parked(folder):
    """on_crash: park keeps the batch that crashed its element, restarts it, and goes on with the next"""
    with Stopped(folder, fussy('park'), args=['--plugin', with_plugin(folder)]) as daemon:
        daemon.read_on()
        for value in 1, 2, -5, 3, 4:
            before = daemon.taken()
            daemon.lines(f'wire.test {value} {NOW}\n')
            wait_for(lambda: daemon.taken() == before + 1)
        wait_for(lambda: daemon.printed.split() == [b'1', b'2', b'3', b'4'], why='the good ones')
        wait_for(lambda: [daemon.element('fussy')[key] for key in ('crashes', 'parked')] == [3, 1], why='the counts')
        shown = yarder('top', '--once', '--data', daemon.data, check=0).stdout
        assert 'fussy has crashed 3 times.' in shown and 'yarder log cat parked/fussy' in shown, shown
        check_identity(daemon.status())
        assert 'fussy' in daemon.stderr() and 'crashed' in daemon.stderr(), daemon.stderr()
        daemon.process.send_signal(signal.SIGTERM)
        code = daemon.process.wait(90)
        shown = yarder('log', 'cat', 'parked/fussy', '--data', daemon.data)
        assert shown.returncode == 0 and 'wire.test' in shown.stdout and '-5' in shown.stdout, shown
        assert code == 1, f'records were parked: exit {code}'


def a_crashing_element_is_stopped(folder):
    """on_crash: stop leaves the element down, counts what is sent to it as dropped, and the others go on"""
    text = fussy('stop') + 'graphite -> metrics :: Log(stream: "metrics") -> Null()\n'
    with Stopped(folder, text, args=['--plugin', with_plugin(folder)]) as daemon:
        daemon.read_on()
        daemon.lines(f'wire.test 1 {NOW}\n')
        wait_for(lambda: daemon.printed.split() == [b'1'])
        daemon.lines(f'wire.test -1 {NOW}\n')
        wait_for(lambda: daemon.element('fussy')['life'] == 'stopped', why='the stop')
        daemon.lines(f'wire.test 2 {NOW}\n')
        port = wait_for(lambda: (p := daemon.input_of('fussy'))['dropped'] == 2 and p, why='the drop')
        assert (port['received'], port['consumed']) == (3, 1), port
        wait_for(lambda: daemon.input_of('metrics')['consumed'] == 3, why='the neighbour')
        check_identity(daemon.status())
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(90) == 1, daemon.stderr()


def a_crashing_element_ends_the_run(folder):
    """on_crash: exit ends the run with exit 1"""
    with Stopped(folder, fussy('exit'), args=['--plugin', with_plugin(folder)]) as daemon:
        daemon.read_on()
        daemon.lines(f'wire.test 1 {NOW}\n')
        wait_for(lambda: daemon.printed.split() == [b'1'])
        daemon.lines(f'wire.test -1 {NOW}\n')
        assert daemon.process.wait(90) == 1, daemon.stderr()
        assert 'fussy' in daemon.stderr(), daemon.stderr()


STUCK = 'graphite :: Graphite(listen: "127.0.0.1:{graphite}")\ngraphite -> out :: Print(format: "value")\n'


def asked_to_stop(daemon, *signals):
    for number in signals:
        daemon.process.send_signal(number)
    wait_for(lambda: 'finishing what is in hand' in daemon.stderr(), why='being told')


def a_signal_that_comes_twice_at_once_is_one(folder):
    """timeout(1) and a shell tell the process and its group: what is in hand is finished all the same"""
    with Stopped(folder, STUCK) as daemon:
        fill(daemon, 20_000)  # more than a pipe holds
        asked_to_stop(daemon, signal.SIGTERM, signal.SIGINT)
        daemon.read_on()
        assert daemon.process.wait(90) == 0, daemon.stderr()
        daemon.reader.join(90)
        assert [int(float(n)) for n in daemon.printed.split()] == list(range(20_000)), len(daemon.printed)


def a_second_signal_ends_what_does_not_finish(folder):
    """a second after the first one, and long before the 15 s of a drain are over"""
    with Stopped(folder, STUCK) as daemon:
        fill(daemon, 20_000)
        asked_to_stop(daemon, signal.SIGTERM)
        begun = time.monotonic()
        time.sleep(1)  # it is about that second
        assert 'did not finish' not in daemon.stderr() and daemon.process.poll() is None, daemon.stderr()
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: 'did not finish in time' in daemon.stderr(), why='the end')
        assert time.monotonic() - begun < 14, daemon.stderr()
        daemon.read_on()  # Print is in a write, which nothing can end
        assert daemon.process.wait(90) == 1, daemon.stderr()


main(a_wire_that_drops_new, a_wire_that_drops_old, a_wire_that_blocks, a_wire_that_spills, a_spill_outlives_its_daemon,
     a_blocked_element_still_answers, sync_means_durable, a_poison_batch_is_parked, a_crashing_element_is_stopped,
     a_crashing_element_ends_the_run, a_signal_that_comes_twice_at_once_is_one, a_second_signal_ends_what_does_not_finish)
