"""yarder top names the bottleneck, whatever it is, and tells where work waits. Each topology here has one place that is
slower than everything else by a lot; the right one must be named."""
import contextlib
import json
import os
import socket
import subprocess
import threading
import time

from harness import ROOT, Daemon, check_identity, main, wait_for, yarder

# Sleeps in receive: whatever a class does there keeps the thread, be it computing or waiting for somebody.
SLOW = '''
#include <yarder/element.h>
#include <time.h>
static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    long us = 5 * (long)input->batch->header.count;
    const struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&pause, 0);
    return yd_emit(out, 1, yd_batch_ref(input->batch)) < 0 ? YD_FAIL : YD_DONE;
}
static const struct yd_port_class ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .flags = YD_PORT_REQUIRED},
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .flags = YD_PORT_REQUIRED | YD_PORT_PASSES},
    {0}};
static const struct yd_element_class slow = {
    .abi = YD_ELEMENT_ABI, .name = "Slow", .summary = "takes its time", .ports = ports, .state_size = 1, .receive = receive};
const struct yd_element_class *const yd_element_classes[] = {&slow, 0};
'''

SLOW_DISK = '''
#include <dlfcn.h>
#include <time.h>
int fdatasync(int fd)
{
    static int (*real)(int);
    const struct timespec pause = {.tv_nsec = 100000000};
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    nanosleep(&pause, 0);
    return real(fd);
}
'''


def shared_object(folder, name, text):
    with open(f'{folder}/{name}.c', 'w') as f:
        f.write(text)
    subprocess.run(['cc', '-shared', '-fPIC', '-D_GNU_SOURCE', '-I', ROOT + '/include', f'{folder}/{name}.c', '-o',
                    f'{folder}/{name}.so', '-ldl'], check=True)
    return f'{folder}/{name}.so'


@contextlib.contextmanager
def flood(daemon, connections=3):
    """As many lines as the daemon takes, until the end of the block."""
    now = int(time.time())
    lines = ''.join(f'flood.{i % 1000} {i} {now}\n' for i in range(40_000)).encode()
    stop = threading.Event()

    def send():
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', daemon.ports['graphite'])) as s:
            s.settimeout(0.2)
            left = memoryview(lines)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    left = left[s.send(left):] or memoryview(lines)
    threads = [threading.Thread(target=send, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


def top(daemon, *args):
    return yarder('top', '--data', daemon.data, *args, check=0).stdout


def named(daemon, what, name=None):
    """What is named over half a second, once it is the right thing."""
    last = [None]

    def is_it():
        last[0] = json.loads(top(daemon, '--over', '500ms', '--json'))['bottleneck']
        return last[0]['what'] == what and (name is None or last[0]['name'] == name) and last[0]
    try:
        return wait_for(is_it, why=f'that {what} {name} is named')
    except AssertionError as error:
        raise AssertionError(f'{error}; last: {last[0]}\n{top(daemon, "--over", "500ms")}') from None


def parsing_is_named(folder):
    """where nothing is slow but parsing, reading and parsing is the bottleneck"""
    with Daemon(folder, topology='graphite :: Graphite(listen: "127.0.0.1:{graphite}") -> Null()\n') as daemon, flood(daemon):
        assert 'reading and parsing' in named(daemon, 'sockets')['text']
        # Other work on this machine may slow the senders down for a while: asked until it shows.
        wait_for(lambda: 'Bottleneck: reading and parsing' in top(daemon, '--over', '500ms'), why='the same for people')


def a_slow_element_in_the_middle_is_named(folder):
    """a slow element is the bottleneck; those that it holds up are not, nor is the disk behind it"""
    slow = shared_object(folder, 'slow', SLOW)
    topology = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}") -> first :: Filter(match: "*") -> slow :: Slow() -> last :: Filter(match: "*")
last -> metrics :: Log(stream: "metrics")
'''
    with Daemon(folder, topology=topology, args=['--plugin', slow]) as daemon, flood(daemon):
        assert 'slow, busy' in named(daemon, 'element', 'slow')['text']
        # The element may be named before the queue in front of it is full: asked until the one before it is held up. And the
        # disk may be the slower one for a while, with other work on this machine: until it was not, on the whole.
        def shares():
            elements = {e['name']: e for e in daemon.status()['elements']}
            slow = elements['slow']
            return elements['first']['waiting_output_ns'] > 0 and slow['waiting_output_ns'] < slow['busy_ns']
        wait_for(shares, why='that the element before it waits for room, and it hardly for the disk')
        # What stood in the queue before it is told with its size.
        waits = top(daemon, '--waits')
        line = next(line for line in waits.splitlines() if line.strip().startswith('slow.input'))
        assert 'BEFORE AN ELEMENT LOOKED AT IT' in waits and ('ms' in line or 's' in line.split()[-1]), waits
        check_identity(daemon.status())


def the_disk_of_a_log_is_named(folder):
    """where syncs are slow and the queue is short, the stream's disk is the bottleneck, with what a sync takes"""
    shim = shared_object(folder, 'disk', SLOW_DISK)
    topology = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}") -> metrics :: Log(stream: "metrics", queue: 1MiB)
self :: Self(every: 1s) -> counts :: Log(stream: "counts") -> history :: History()
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}") -> counts
tsdb => history
'''
    with Daemon(folder, topology=topology, prefix=['env', 'LD_PRELOAD=' + shim]) as daemon, flood(daemon):
        assert 'element metrics' in named(daemon, 'disk', 'stream metrics/0')['text']
        status = json.loads(top(daemon, '--once', '--json'))
        syncs = [w for w in status['waits'] if w['what'] == 'sync' and w['element'] == 'metrics']
        assert len(syncs) == 1 and syncs[0]['spent']['p50_ns'] >= 100e6 and syncs[0]['of'] == 'stream metrics/0', syncs
        assert syncs[0]['spent']['sum_ns'] >= syncs[0]['spent']['count'] * 100e6, syncs
        waits = top(daemon, '--waits')
        assert 'stream metrics/0: fdatasync' in waits and 'stream metrics/0: writing' in waits and 'FILE THREADS' in waits, waits
        # What waits for a lock that this holds says so, or nobody did: the section is there either way.
        assert 'WAITED FOR A LOCK THAT WAS TAKEN' in waits, waits
        wait_for(lambda: daemon.query('none:yarder.wait_max_us{of=stream_metrics/0,what=sync}', start='1m-ago')[0]['dps'],
                 why='what Self says of the syncs')
        wait_for(lambda: max(daemon.query('none:yarder.input.waited_count{element=metrics,input=input}', start='1m-ago')[0]['dps'].values()) > 0,
                 why='how many batches waited before the Log')


def nothing_is_named_when_nothing_is_slow(folder):
    """an idle daemon has no bottleneck, and mistakes in --over are usage mistakes"""
    with Daemon(folder) as daemon:
        daemon.lines('a 1\n')
        wait_for(lambda: json.loads(top(daemon, '--over', '300ms', '--json'))['bottleneck']['what'] == 'none', why='no bottleneck')
        assert yarder('top', '--over', 'soon', '--data', daemon.data).returncode == 2
        assert yarder('top', '--over', '-1s', '--data', daemon.data).returncode == 2
        daemon.stop()


main(parsing_is_named, a_slow_element_in_the_middle_is_named, the_disk_of_a_log_is_named, nothing_is_named_when_nothing_is_slow)
