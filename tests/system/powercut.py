#!/usr/bin/env python3
"""The file system stops in the middle of /api/put?sync load, as when the power goes: acknowledged points are there after
the next mount.

An ext4 on a loop device is shut down without flushing its journal (FS_IOC_SHUTDOWN): from that moment nothing reaches the
device, and what only the page cache had is gone with the unmount. A real device's own cache is not part of it.

powercut.py [ROUNDS]    default 5
"""
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys

from acknowledged import Ledger
from harness import Daemon, Skip, main, new_seed

FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
seed = int(sys.argv[2]) if len(sys.argv) > 2 else new_seed()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def shut_down(place):
    at = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(at, FS_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
    finally:
        os.close(at)


def acknowledged_points_survive_a_power_cut(folder):
    """every acknowledged point is there once after the file system was shut down under it and mounted again"""
    disk, image = os.path.join(folder, 'disk'), os.path.join(folder, 'image')
    os.mkdir(disk)
    if os.geteuid() != 0:
        raise Skip('mounting a file system needs root')
    if not shutil.which('mkfs.ext4'):
        raise Skip('there is no mkfs.ext4')
    with open(image, 'wb') as f:
        f.truncate(256 << 20)
    made = run('mkfs.ext4', '-q', '-F', image)
    assert made.returncode == 0, made.stderr
    mounted = run('mount', '-o', 'loop', image, disk)
    if mounted.returncode:
        raise Skip(f'no loop device: {mounted.stderr.strip()}')
    print(f'# seed {seed}, {rounds} rounds', flush=True)
    rng = random.Random(seed)
    daemon, ledger = Daemon(folder, data=disk + '/data'), Ledger()

    def cut():
        shut_down(disk)
        daemon.kill()

    try:
        for number in range(rounds):
            daemon.start()
            try:
                ledger.round(daemon, rng.uniform(0.05, 0.4), cut)
            except OSError as error:
                if number == 0:
                    raise Skip(f'this kernel does not shut a file system down: {error}') from error
                raise
            assert run('umount', disk).returncode == 0
            again = run('mount', '-o', 'loop', image, disk)
            assert again.returncode == 0, again.stderr
        daemon.start()
        ledger.check(daemon, rounds)
        daemon.stop()
    finally:
        daemon.kill()
        run('umount', '-l', disk)


sys.argv = sys.argv[:1]
main(acknowledged_points_survive_a_power_cut)
