#!/usr/bin/env python3
"""Damage on the disk of a stopped daemon, and a plug-in that damages the running one: what it costs, and that it is said."""
import glob
import os
import shutil
import signal
import subprocess
import time

from harness import ROOT, Daemon, main, wait_for, yarder

CRASHES = r"""
#include <signal.h>
#include <yarder/element.h>
static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)out;
    for (uint32_t i = 0; input->type == YD_INPUT_BATCH && i < input->batch->view.count; i++)
        if (input->batch->view.records[i].time_ns == 1000000000) raise(SIGSEGV);
    return YD_DONE;
}
static const struct yd_port_class ports[] = {
    {.name = "input", .direction = YD_IN, .kinds = YD_KINDS_ALL, .doc = "Anything."}, {.name = NULL}};
static const struct yd_param_class params[] = {{.name = NULL}};
static const struct yd_element_class crashes = {
    .abi = YD_ELEMENT_ABI, .name = "Crashes", .summary = "dies of the second one after the epoch", .ports = ports,
    .params = params, .state_size = 8, .receive = receive};
const struct yd_element_class *const yd_element_classes[] = {&crashes, NULL};
"""


def points(daemon, first, count):
    now = int(time.time())
    status, _ = daemon.http('/api/put?sync', [{'metric': 'kept', 'timestamp': now, 'value': i, 'tags': {'i': str(i)}}
                                              for i in range(first, first + count)])
    assert status == 204, status


def segment(daemon):
    return sorted(glob.glob(daemon.data + '/streams/metrics/0/*.ylog'))[0]


def kept(daemon, count):
    wait_for(lambda: (a := daemon.query('zimsum:kept{i=*}')) and len(a) == count, why=f'{count} series')


def a_torn_tail_is_said(folder):
    """a torn tail is cut, kept in quarantine and said; what was acknowledged is there"""
    daemon = Daemon(folder).start()
    try:
        points(daemon, 0, 10)
        daemon.kill()
        with open(segment(daemon), 'r+b') as f:
            end = len(f.read().rstrip(b'\0'))
            f.seek((end + 4095) // 4096 * 4096)
            f.write(b'half of something' * 10)
            f.seek(end)
            f.write(b'YDBT' * 20)
        daemon.start()
        kept(daemon, 10)
        assert 'torn' in daemon.stderr() and 'quarantine' in daemon.stderr(), daemon.stderr()
        assert glob.glob(daemon.data + '/streams/metrics/0/quarantine/*torn*'), 'the torn bytes are kept'
        points(daemon, 10, 10)
        kept(daemon, 20)
        daemon.stop()
    finally:
        daemon.kill()


def rot_is_said(folder):
    """a flipped bit costs its batch: the readers are told, its neighbours answer"""
    daemon = Daemon(folder).start()
    try:
        for i in range(3):
            points(daemon, i * 10, 10)
        daemon.stop()
        with open(segment(daemon), 'r+b') as f:
            data = f.read()
            at = data.find(b'kept i=15') if b'kept i=15' in data else data.find(b'i=15')
            assert at > 0
            f.seek(at)
            f.write(bytes([data[at] ^ 1]))
        shutil.rmtree(daemon.data + '/history')  # it has the points in blocks of its own: made again from the stream
        daemon.start()
        kept(daemon, 20)
        assert '10 records (10 to 20) are missing for history' in daemon.stderr(), daemon.stderr()
        daemon.stop()
    finally:
        daemon.kill()


def a_plugin_that_crashes_takes_the_daemon_and_no_acknowledged_point(folder):
    """a segmentation fault in a plug-in is the daemon's end; acknowledged points are there once at the next start"""
    with open(folder + '/crashes.c', 'w') as f:
        f.write(CRASHES)
    so = folder + '/crashes.so'
    subprocess.run(['cc', '-shared', '-fPIC', '-I', ROOT + '/include', f.name, '-o', so], check=True)
    topology = 'tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")\ntsdb -> metrics :: Log(stream: "metrics") -> history :: History()\n' \
               'tsdb => history\n'
    daemon = Daemon(folder, topology=topology + 'metrics -> Crashes()\n', args=['--plugin', so])
    try:
        daemon.start()
        points(daemon, 0, 50)
        daemon.lines('put kept 1 1 i=poison\n', port='tsdb')
        assert daemon.process.wait(90) == -signal.SIGSEGV, daemon.process.returncode
        daemon.kill()
        with open(daemon.file) as f:
            without = f.read().replace('metrics -> Crashes()\n', '')
        with open(daemon.file, 'w') as f:
            f.write(without)
        daemon.start()
        wait_for(lambda: len(daemon.query('zimsum:kept{i=*}')) == 50)
        cat = yarder('log', 'cat', 'metrics', '--data', daemon.data, '--match', 'kept', check=0).stdout
        assert cat.count('\n') in (50, 51), cat
        daemon.stop()
    finally:
        daemon.kill()


main(a_torn_tail_is_said, rot_is_said, a_plugin_that_crashes_takes_the_daemon_and_no_acknowledged_point)
