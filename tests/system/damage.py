#!/usr/bin/env python3
"""Damage on the disk of a stopped daemon is said at the next start, and costs what it hit and nothing else."""
import glob
import os
import time

from harness import Daemon, main, wait_for


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
        daemon.start()
        kept(daemon, 20)
        assert '10 records (10 to 20) are missing for history' in daemon.stderr(), daemon.stderr()
        daemon.stop()
    finally:
        daemon.kill()


main(a_torn_tail_is_said, rot_is_said)
