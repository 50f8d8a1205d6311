#!/usr/bin/env python3
"""Raw packets go to their Log first and to whoever works with them, from one output: a log whose disk is full, or that does
not take them, stops nobody, and what it missed is counted. `full: drop_old` and `full: spill`, on a small file system."""
import os
import signal
import socket
import struct
import subprocess
import time

from harness import Daemon, Skip, free_port, check_identity, main, wait_for, yarder

TOPOLOGY = '''
rocket :: Udp(listen: "127.0.0.1:{port}", name: "rocket", receive_buffer: 32MiB)
rocket -[queue: 256KiB, full: FULL]-> raw :: Log(stream: "raw")
rocket -> decom :: Null()
'''
SIZE = 1000


class Small:
    """A folder with so much room."""

    def __init__(self, folder, size):
        self.path = os.path.join(folder, 'disk')
        os.mkdir(self.path)
        if os.geteuid() != 0 or subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', self.path],
                                               capture_output=True).returncode:
            raise Skip('mounting a small file system needs root')

    def fill(self):
        with open(self.path + '/ballast', 'wb') as f:
            try:
                while True:
                    os.write(f.fileno(), b'x' * 65536)
            except OSError:
                pass

    def free(self):
        os.unlink(self.path + '/ballast')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', self.path], capture_output=True)


class Sender:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(('127.0.0.1', port))
        self.sent = 0

    def send(self, count):
        for i in range(count):
            self.socket.send(struct.pack('>Q', self.sent) + bytes(SIZE - 8))
            self.sent += 1
            if i % 200 == 199:
                time.sleep(0.002)


def taken(daemon, element='decom', port='input'):
    return next(i for i in daemon.element(element)['inputs'] if i['name'] == port)['received']


def wire(daemon):
    return next(w for w in daemon.status()['wires'] if w['to'] == 'raw.input')


def all_is_published(daemon, sender):
    wait_for(lambda: taken(daemon) == sender.sent, why=f'that all {sender.sent} are published, not {taken(daemon)}')


def all_is_in_the_log(daemon, sender):
    """But for what was dropped; then nothing is on its way any more."""
    way = wire(daemon)
    return taken(daemon, 'raw') + way['dropped'] == sender.sent and way['queued_records'] + way['in_flight_records'] == 0


def numbers(data):
    import json
    out = yarder('log', 'cat', '--json', data + '/streams/raw/0', check=0, timeout=120).stdout
    return [int(json.loads(line)['blob'][:16], 16) for line in out.splitlines()]


def run(folder, full):
    port = free_port()
    with Small(folder, '300m') as disk:
        text = TOPOLOGY.replace('{port}', str(port)).replace('FULL', full)
        with Daemon(folder, text, ports={'x': port}, data=disk.path + '/data') as daemon:
            sender = Sender(port)

            def calmly():
                """A thousand, no more at once than the queue has room for."""
                for _ in range(10):
                    sender.send(100)
                    all_is_published(daemon, sender)
                    wait_for(lambda: all_is_in_the_log(daemon, sender), why='that it is in the log')

            calmly()
            assert wire(daemon)['dropped'] == 0
            disk.fill()
            for more in range(400):  # the log keeps some 64 MiB in memory
                sender.send(1000)
                all_is_published(daemon, sender)
                if wire(daemon)['dropped'] > 0 and 'space' in daemon.stderr():
                    break
            assert 'space' in daemon.stderr(), daemon.stderr()
            assert wire(daemon)['dropped'] > 0, 'nothing was dropped in 400 MB'
            disk.free()
            wait_for(lambda: all_is_in_the_log(daemon, sender), why='that the log goes on')
            calmly()
            last = sender.sent - 1
            check_identity(daemon.status())
            dropped = wire(daemon)['dropped']
            daemon.stop()
            got = numbers(daemon.data)
            assert len(got) == len(set(got)) and got == sorted(got)
            assert len(got) + dropped == sender.sent, (len(got), dropped, sender.sent)
            assert got[:1000] == list(range(1000)) and got[-1] == last


def a_log_on_a_full_disk_stops_nobody_when_its_wire_drops(folder):
    """full: drop_old: each packet is published at once; logged + dropped at the wire = sent, and the log goes on later"""
    run(folder, 'drop_old')


def a_log_on_a_full_disk_stops_nobody_when_its_wire_spills(folder):
    """full: spill_drop: the same when the spill's disk is full, too"""
    run(folder, 'spill_drop')


if __name__ == '__main__':
    main(a_log_on_a_full_disk_stops_nobody_when_its_wire_drops, a_log_on_a_full_disk_stops_nobody_when_its_wire_spills)
