#!/usr/bin/env python3
"""The element Pcap in real runs: captures of several forms into the log, at their pace or at once, whole, cut and damaged."""
import json
import os
import struct
import time

from harness import Daemon, check_identity, main, wait_for, yarder

START = 1_700_000_000 * 10**9


def frame(payload, port=5000, protocol=17, fragment=0):
    udp = struct.pack('>HHHH', 4711, port, 8 + len(payload), 0) + payload
    ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, fragment, 64, protocol, 0, bytes(4), bytes(4))
    return b'\2' * 6 + b'\3' * 6 + b'\x08\0' + ip + udp


def capture(packets, order='<'):
    """[(ns, frame), …] as classic pcap in nanoseconds."""
    out = struct.pack(order + 'IHHiIII', 0xa1b23c4d, 2, 4, 0, 0, 65535, 1)
    for at, data in packets:
        out += struct.pack(order + 'IIII', at // 10**9, at % 10**9, len(data), len(data)) + data
    return out


def replay(folder, data, more='', expect=0):
    """The records of the log, the daemon's words and how long it took; it ends by itself at the capture's end."""
    os.makedirs(folder)
    with open(folder + '/a.pcap', 'wb') as f:
        f.write(data)
    daemon = Daemon(folder, f'e :: Pcap(path: "a.pcap"{more})\ne -> raw :: Log(stream: "raw")\n', ports={'x': 1})
    began = time.monotonic()
    daemon.start(wait=False)
    try:
        assert daemon.process.wait(60) == expect, daemon.stderr()
    finally:
        daemon.kill()
    seconds = time.monotonic() - began
    out = yarder('log', 'cat', '--json', folder + '/data/streams/raw/0', check=0).stdout
    return [json.loads(line) for line in out.splitlines()], daemon.stderr(), seconds


def at_once_everything_is_logged_in_its_order_and_time(folder):
    """20,000 datagrams at speed 0: each once, with the capture's time; both byte orders"""
    for order in '<>':
        packets = [(START + i * 1000, frame(struct.pack('>Q', i))) for i in range(20000)]
        records, _, _ = replay(f'{folder}/{ord(order)}', capture(packets, order), ', speed: 0.0')
        assert [int(r['blob'], 16) for r in records] == list(range(20000))
        assert records[0]['time'].startswith('2023-11-14T22:13:20') and records[1]['time'] == '2023-11-14T22:13:20.000001Z'


def its_pace_is_kept(folder):
    """a second of capture takes a second, four take two at twice the speed; times as captured, or as replayed"""
    packets = [(START + i * 100_000_000, frame(bytes([i]))) for i in range(11)]
    records, _, seconds = replay(folder + '/1', capture(packets))
    assert len(records) == 11 and seconds >= 1.0, seconds
    assert records[-1]['time'].startswith('2023-11-14T22:13:21')
    # Long enough that a machine may stall for a second of it.
    packets = [(START + i * 100_000_000, frame(bytes([i]))) for i in range(41)]
    records, _, seconds = replay(folder + '/2', capture(packets), ', speed: 2.0, times: "now"')
    assert len(records) == 41 and seconds >= 2.0, seconds
    assert not records[0]['time'].startswith('2023-11-14')
    assert len({r['time'] for r in records}) > 5, 'they are spread over the time of the replay'


def what_is_no_datagram_is_counted_and_a_broken_file_said(folder):
    """other protocols, fragments, other ports by reason; a cut file up to there; no capture at all"""
    packets = [(START, frame(b'good')), (START, frame(b'tcp', protocol=6)), (START, frame(b'half', fragment=0x2000)),
               (START, frame(b'other', port=1)), (START + 2 * 10**9, frame(b'late'))]
    os.makedirs(folder + '/0')
    with open(folder + '/0/a.pcap', 'wb') as f:
        f.write(capture(packets))
    with Daemon(folder + '/0', 'e :: Pcap(path: "a.pcap", port: 5000, speed: 0.2)\ne -> raw :: Log(stream: "raw")\n',
                ports={'x': 1}) as daemon:  # while it waits for the last one, ten seconds ahead
        def reasons():
            return {r['reason']: r['rejected'] for r in daemon.element('e')['reasons'] if r['rejected']}
        want = {'not UDP over IP': 1, 'fragment of an IP packet': 1, 'to another port': 1}
        wait_for(lambda: reasons() == want, why='the reasons')
        check_identity(daemon.status())
        daemon.stop()
    whole = capture(packets[:1] * 3)
    records, said, _ = replay(folder + '/1', whole[:-10], ', speed: 0.0')
    assert len(records) == 2 and 'cut short' in said, said
    records, said, _ = replay(folder + '/2', whole + b'\xff' * 100, ', speed: 0.0')
    assert len(records) == 3 and f'damaged at byte {len(whole)}' in said, said
    records, said, _ = replay(folder + '/3', b'this is no capture at all', ', speed: 0.0')
    assert not records and 'no capture' in said, said
    records, said, _ = replay(folder + '/4', b'', ', speed: 0.0')
    assert not records and 'is empty' in said, said


main(at_once_everything_is_logged_in_its_order_and_time, its_pace_is_kept,
     what_is_no_datagram_is_counted_and_a_broken_file_said)
