#!/usr/bin/env python3
"""The elements Tcp and Serial in real runs: framings in pieces, bad streams, connections and devices that come and go."""
import json
import os
import pty
import random
import signal
import socket
import struct
import tty

from harness import Daemon, check_identity, free_port, main, new_seed, wait_for, yarder


def daemon_in(folder, element, ports=None):
    return Daemon(folder, f'e :: {element}\ne -> raw :: Log(stream: "raw")\n', ports=ports or {'x': free_port()})


def logged(folder):
    out = yarder('log', 'cat', '--json', folder + '/data/streams/raw/0', check=0, timeout=120).stdout
    return [bytes.fromhex(json.loads(line)['blob']) for line in out.splitlines()]


def pump(daemon):
    return next(i for i in daemon.element('e')['inputs'] if i['name'] == 'pump')


def reasons(daemon):
    return {r['reason']: r['rejected'] + r['dropped'] for r in daemon.element('e')['reasons'] if r['rejected'] + r['dropped']}


def crc(data):
    value = 0xffff
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xffff
    return struct.pack('>H', value)


def slip(packet):
    return b'\xc0' + packet.replace(b'\xdb', b'\xdb\xdd').replace(b'\xc0', b'\xdb\xdc') + b'\xc0'


def cobs(packet):
    blocks = b''
    for part in (packet + b'\0').split(b'\0')[:-1]:
        while len(part) >= 254:
            blocks, part = blocks + b'\xff' + part[:254], part[254:]
            if not part:
                break
        blocks += bytes([len(part) + 1]) + part
    return blocks + b'\0'


def in_pieces(s, data, rng):
    while data:
        size = rng.randint(1, 3000)
        s.sendall(data[:size])
        data = data[size:]


def each_framing_gives_its_packets(folder):
    """length, sync with checksum, COBS, SLIP, space packets, TM frames, lines: 300 packets in random pieces, all in the log"""
    rng = random.Random(new_seed())
    packets = [bytes(rng.choice((0, 10, 0xc0, 0xdb, rng.randrange(256))) for _ in range(rng.randint(1, 120))) for _ in range(300)]
    text = [bytes(rng.randint(32, 126) for _ in range(rng.randint(1, 120))) for _ in range(300)]
    ccsds = [struct.pack('>HHH', 0x0801, 0xc000 | i, len(p) - 1) + p for i, p in enumerate(packets)]
    frames = [bytes([1]) + p.ljust(125, b'\x55')[:125] for p in packets]
    marker = b'\x1a\xcf\xfc\x1d'
    synced = [b'\xeb\x90' + bytes([len(p)]) + p + crc(bytes([len(p)]) + p) for p in packets]
    kinds = [
        ('framing: "length", length_size: 4, length_order: "little", strip: 4', packets, [struct.pack('<I', len(p)) + p for p in packets]),
        ('framing: "sync", sync: "eb90", length_offset: 2, length_size: 1, length_adjust: 2, checksum: "ccitt"', synced, synced),
        ('framing: "cobs"', packets, [cobs(p) for p in packets]),
        ('framing: "slip"', packets, [slip(p) for p in packets]),
        ('framing: "space_packet"', ccsds, ccsds),
        ('framing: "tm_frame", size: 128, checksum: "ccitt"', [f + crc(f) for f in frames], [marker + f + crc(f) for f in frames]),
        ('framing: "lines"', text, [t + b'\r\n' for t in text]),
    ]
    for number, (how, want, wire) in enumerate(kinds):
        at = f'{folder}/{number}'
        os.mkdir(at)
        port = free_port()
        with daemon_in(at, f'Tcp(listen: "127.0.0.1:{port}", {how})') as daemon:
            with socket.create_connection(('127.0.0.1', port)) as s:
                in_pieces(s, b''.join(wire), rng)
            wait_for(lambda: pump(daemon)['received'] >= len(want), why=f'all of {how}')
            assert not reasons(daemon), (how, reasons(daemon))
            daemon.stop()
            assert logged(at) == want, how


def bad_streams_cost_themselves(folder):
    """garbage between sync words is counted by the byte, bad checksums by the frame; an impossible length ends its connection"""
    port, other = free_port(), free_port()
    topology = f'''
e :: Tcp(listen: "127.0.0.1:{port}", framing: "sync", sync: "eb90", size: 12, checksum: "ccitt")
f :: Tcp(listen: "127.0.0.1:{other}", framing: "length", max_size: 1KiB)
e, f -> raw :: Log(stream: "raw")
'''
    with Daemon(folder, topology, ports={'x': port}) as daemon:
        good = [b'\xeb\x90' + struct.pack('>Q', i) + crc(struct.pack('>Q', i)) for i in range(50)]
        with socket.create_connection(('127.0.0.1', port)) as s:
            for i, frame in enumerate(good):
                s.sendall(b'garbage' + frame + (frame[:-1] + b'\0' if i % 10 == 0 else b''))
            s.sendall(good[0][:5])
        wait_for(lambda: pump(daemon)['consumed'] == 50, why='the good ones')
        want = {'bytes outside of frames, each of them counted': 50 * 7 + 5 * 11, 'checksum wrong': 5,
                'cut short: the stream ended inside': 1}
        wait_for(lambda: reasons(daemon) == want, why=f'{want}, not {reasons(daemon)}')
        with socket.create_connection(('127.0.0.1', other)) as s, socket.create_connection(('127.0.0.1', other)) as t:
            s.sendall(b'\0\2ab\xff\xff' + b'x' * 100)
            s.settimeout(60)
            try:
                assert s.recv(1) == b''
            except ConnectionResetError:
                pass
            t.sendall(b'\0\2cd')  # a neighbour is not touched
            wait_for(lambda: daemon.element('f')['inputs'][0]['consumed'] == 2, why='both')
        check_identity(daemon.status())
        daemon.stop()
        assert logged(folder) == good + [b'\0\2ab', b'\0\2cd']


def who_is_connected_to_may_come_and_go(folder):
    """connect: tried until somebody listens, and again when he has gone; what was begun is cut short"""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(('127.0.0.1', 0))
        port = listener.getsockname()[1]
        with daemon_in(folder, f'Tcp(connect: "127.0.0.1:{port}", framing: "slip", retry_max: 200ms)') as daemon:
            wait_for(lambda: 'again and again' in daemon.stderr(), why='the word that nobody is there')
            listener.listen()
            for i in range(3):
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(slip(b'hello %d' % i) + b'half')
                wait_for(lambda: pump(daemon)['consumed'] == i + 1, why='its packet')
                wait_for(lambda: reasons(daemon) == {'cut short: the stream ended inside': i + 1}, why='its half')
            check_identity(daemon.status())
            daemon.stop()
            assert logged(folder) == [b'hello 0', b'hello 1', b'hello 2']


def a_serial_device_may_come_and_go(folder):
    """a pty: raw bytes of all values; gone it is looked for, and found again"""
    link = folder + '/tty'
    packets = [bytes(range(256)), b'\3\4\x11\x13\r\n\x1a', b'last']

    def plug():
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.symlink(os.ttyname(slave), link + '.new')
        os.replace(link + '.new', link)
        return master, slave

    with daemon_in(folder, f'Serial(device: "{link}", baud: 9600, framing: "cobs", retry_max: 100ms)') as daemon:
        wait_for(lambda: 'again and again' in daemon.stderr(), why='the word that it is not there')
        for round in range(2):
            master, slave = plug()
            for packet in packets:
                os.write(master, cobs(packet))
            os.write(master, b'\5half')
            wait_for(lambda: pump(daemon)['consumed'] == 3 * (round + 1), why='the packets')
            os.close(slave)
            os.unlink(link)
            os.close(master)
            wait_for(lambda: reasons(daemon) == {'cut short: the stream ended inside': round + 1}, why='the half one')
        check_identity(daemon.status())
        daemon.stop()
        assert logged(folder) == packets * 2
    with open(link, 'w') as f:
        f.write('no device')
    os.mkdir(folder + '/2')
    daemon = daemon_in(folder + '/2', f'Serial(device: "{link}", framing: "cobs")').start(wait=False)
    assert daemon.process.wait(90) != 0 and 'not a serial device' in daemon.stderr(), daemon.stderr()
    daemon.kill()


def a_line_that_a_lost_device_cut_is_none(folder):
    """lines over a serial device that goes inside one: what was begun is counted as cut short, and not given out"""
    link = folder + '/tty'
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.symlink(os.ttyname(slave), link)
    with daemon_in(folder, f'Serial(device: "{link}", framing: "lines", retry_max: 100ms)') as daemon:
        os.write(master, b'altitude 1250\naltitude 12')
        wait_for(lambda: pump(daemon)['consumed'] == 1, why='the whole line')
        os.close(slave)
        os.unlink(link)
        os.close(master)
        wait_for(lambda: reasons(daemon) == {'cut short: the stream ended inside': 1}, why='the cut one')
        daemon.stop()
        assert logged(folder) == [b'altitude 1250'], logged(folder)


main(each_framing_gives_its_packets, bad_streams_cost_themselves, who_is_connected_to_may_come_and_go,
     a_serial_device_may_come_and_go, a_line_that_a_lost_device_cut_is_none)
