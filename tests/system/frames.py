#!/usr/bin/env python3
"""`yarder sim` to Udp and Tcp to Decom to a log: what was made is what was decoded, for commutated frames and for packets
with checksums; what was damaged or lost on the way is counted."""
import json
import os
import signal
import socket
import struct
import subprocess

from harness import YARDER, Daemon, check_identity, free_port, main, wait_for, yarder

PCM = '''
definition v
frame pcm
  sync  0xFE6B2840
  lock  check 2 flywheel 2 errors 2
  minor 32 words of 8
  major 8 by sfid
  rate  512000
  sfid  u8 word 5
  accel i16 word 6 + 7 scale 0.01
  temp  u12 word 8 + 9 frame 3 at bit 4 scale 0.1
  mode  u4 word 8 at bit 0 { 0 OFF, 1 ON, else ODD }
  bus   f32 word 10 + 11 + 12 + 13 frame 1 every 2
  vib   i8 word 14, 18, 22, 26
  name  text(4) word 27 + 28 + 29 + 30
  crc   u16 word 31 + 32 hidden check crc16_ccitt from 4
'''
PACKETS = '''
definition p
order little
container head
  sync u16be = 0xEB90 hidden
  size u8 hidden
  id   u8 hidden
packet a : head when id == 1 and size == 14
  seq  u16 sequence by id
  x    f32
  y    i24be
  crc  u32 check crc32 from 2
packet b : head when id == 2 and size == 7
  seq  u16 sequence by id
  z    u16
  crc  u16 check crc16_x25 from 2
'''


def definition(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def sim(folder, path, *args):
    values = os.path.join(folder, 'values.json')
    done = subprocess.run([YARDER, 'sim', path, '--values', values, '--json', '--pattern', '*=random', *args],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with open(values) as f:
        return json.loads(done.stdout), [json.loads(line) for line in f]


def records(daemon):
    shown = yarder('log', 'cat', 'metrics', '--data', daemon.data, '--json', timeout=60)
    return [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []


def bits(value):
    return struct.pack('<d', value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def made(values):
    by_name = {}
    for packet in values:
        for name, value in packet['values'].items() if packet['sent'] else ():
            by_name.setdefault(name, []).extend(map(bits, value if isinstance(value, list) else [value]))
    return by_name


def logged(daemon):
    by_name = {}
    for r in records(daemon):
        if r['kind'] == 'SAMPLE':
            by_name.setdefault(r['name'], []).append(bits(r['value']))
    return by_name


def tallies(daemon, name):
    """What was told of that name, by its tag `what` (or all of it)."""
    sums = {}
    for r in records(daemon):
        if r['kind'] == 'TALLY' and r['name'].split(' ')[0] == name:
            what = [t[5:] for t in r['name'].split(' ') if t.startswith('what=')]
            sums[what[0] if what else ''] = sums.get(what[0] if what else '', 0) + r['value']
    return sums


def same(daemon, wanted):
    wait_for(lambda: {n: len(v) for n, v in logged(daemon).items()} == {n: len(v) for n, v in wanted.items()},
             why='all values in the log')
    got = logged(daemon)
    for name, values in wanted.items():
        assert got[name] == values, (name, got[name][:5], values[:5])


def topology(folder, source, port, path, **kinds):
    text = f'in :: {source} -> decom :: Decom(definition: "{path}") -> metrics :: Log(stream: "metrics")\n'
    return Daemon(folder, text.replace('PORT', '{x}'), ports={'x': port})


def frames_over_udp_are_what_was_made(folder):
    """minor frames over UDP, each a datagram, and some lost: each value of the others, to the last bit; the losses told"""
    path = definition(folder, 'pcm.ydm', PCM)
    with topology(folder, 'Udp(listen: "127.0.0.1:PORT")', free_port(), path) as daemon:
        summary, values = sim(folder, path, '--to', f'udp:127.0.0.1:{daemon.ports["x"]}', '--count', '400', '--rate', '1000',
                              '--loss', '0.05', '--seed', '4')
        assert summary['dropped'] > 5 and summary['sent'] + summary['dropped'] == 400, summary
        same(daemon, made(values))
        sent = [v['number'] for v in values if v['sent']]
        missing = sent[-1] - sent[0] + 1 - len(sent)
        assert tallies(daemon, 'v.lost') == {'': missing}, (tallies(daemon, 'v.lost'), missing)
        told = tallies(daemon, 'v.frames')
        assert set(told) == {'counter_jump', 'major_partial'}, told
        check_identity(daemon.status())
        daemon.stop()


def frames_over_tcp_are_what_was_made(folder):
    """the same as one stream over TCP, cut where it is cut; then damage: a checksum, patterns, a piece that is missing"""
    path = definition(folder, 'pcm.ydm', PCM)
    source = 'Tcp(listen: "127.0.0.1:PORT", framing: "fixed", size: 10)'
    with topology(folder, source, free_port(), path) as daemon:
        summary, values = sim(folder, path, '--to', f'tcp:127.0.0.1:{daemon.ports["x"]}', '--count', '400', '--rate', '2000')
        assert summary['sent'] == 400, summary
        same(daemon, made(values))
        assert tallies(daemon, 'v.frames') == {} and tallies(daemon, 'v.lost') == {}

        shown = subprocess.run([YARDER, 'sim', path, '--count', '80', '--hex'], capture_output=True, text=True, timeout=60)
        frames = [bytearray.fromhex(line.split()[2]) for line in shown.stdout.splitlines() if ' pcm ' in line]
        assert len(frames) == 80
        frames[10][20] ^= 1          # its checksum
        frames[20][:4] = b'\0\0\0\0'  # two patterns: the flywheel
        frames[21][:4] = b'\0\0\0\0'
        frames[30][0] ^= 0x80        # a bit of a pattern
        frames[40] = frames[40][:-3]  # bytes that are missing
        frames[50:52] = []
        stream = b''.join(frames)
        with socket.create_connection(('127.0.0.1', daemon.ports['x'])) as s:
            s.sendall(stream + bytes(-len(stream) % 10))
        wait_for(lambda: len(logged(daemon)['v.pcm.sfid']) == 400 + 80 - 5, why='all frames but those that are missing')
        wait_for(lambda: tallies(daemon, 'v.frames').get('flown') == 2, why='the flywheel')
        told = tallies(daemon, 'v.frames')
        assert told['checksum'] == 2 and told['sync_lost'] == 1 and told['skipped_bits'] == 29 * 8, told
        assert tallies(daemon, 'v.lost') == {'': 3}, tallies(daemon, 'v.lost')
        suspect = [r for r in records(daemon) if r['name'] == 'v.pcm.sfid' and r.get('quality')]
        assert len(suspect) == 2 or not suspect, suspect
        check_identity(daemon.status())
        daemon.stop()


def what_a_peer_does_not_take_is_not_called_sent(folder):
    """a peer that does not read: its close, and a stop, end `sim --to tcp:` with exit code 1 and the bytes that never left"""
    path = definition(folder, 'big.ydm', 'definition b\npacket a\n  seq u16 sequence\n  x text(1000)\n')

    def run(count, lines, end):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(('127.0.0.1', 0))
            listener.listen()
            process = subprocess.Popen([YARDER, 'sim', path, '--to', f'tcp:127.0.0.1:{listener.getsockname()[1]}', '--count',
                                        str(count), '--rate', '1000000', '--values', '-', '--json'],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                peer, _ = listener.accept()
                for _ in range(lines):
                    assert process.stdout.readline()
                end(process, peer)
                out, errors = process.communicate(timeout=60)
                peer.close()
            finally:
                process.kill()
                process.wait()
        assert process.returncode == 1, (process.returncode, errors)
        return json.loads(out.splitlines()[-1]), errors

    # All but what may be in its buffer are made: it waits for the rest to leave when the peer goes.
    summary, errors = run(8000, 7990, lambda process, peer: peer.close())
    assert 'the connection ended' in errors and summary['sent'] + summary['failed'] > 7900, (summary, errors)
    summary, errors = run(100_000, 12_000, lambda process, peer: process.send_signal(signal.SIGINT))
    assert 'does not read' in errors and summary['unsent_bytes'] > 0 and summary['failed'] == 0, (summary, errors)
    assert 12_000 <= summary['sent'] == summary['packets'][0]['made'] < 100_000, summary


def packets_with_checksums_over_tcp(folder):
    """packets with CRCs that framing and definition both check; one with a wrong one is counted, its neighbours come"""
    path = definition(folder, 'p.ydm', PACKETS)
    source = ('Tcp(listen: "127.0.0.1:PORT", framing: "sync", sync: "eb90", length_offset: 2, length_size: 1, '
              'length_counts: "rest", length_adjust: 0)')
    with topology(folder, source, free_port(), path) as daemon:
        summary, values = sim(folder, path, '--to', f'tcp:127.0.0.1:{daemon.ports["x"]}', '--count', '300', '--rate', '1000')
        assert summary['sent'] == 300 and summary['saturated'] == 0, summary
        same(daemon, made(values))
        shown = subprocess.run([YARDER, 'sim', path, '--count', '9', '--hex', '--seed', '2'], capture_output=True, text=True,
                               timeout=60)
        packets = [bytearray.fromhex(line.split()[2]) for line in shown.stdout.splitlines() if len(line.split()) == 3]
        assert len(packets) == 9, shown.stdout
        packets[4][8] ^= 4
        with socket.create_connection(('127.0.0.1', daemon.ports['x'])) as s:
            s.sendall(b''.join(packets))

        def wrong():
            return sum(r['rejected'] for r in daemon.element('decom')['reasons'] if 'checksum' in r['reason'])
        wait_for(lambda: wrong() == 1, why='the damaged one')
        wait_for(lambda: sum(len(v) for n, v in logged(daemon).items() if n.endswith('seq')) == 308, why='the others')
        check_identity(daemon.status())
        daemon.stop()


if __name__ == '__main__':
    main(frames_over_udp_are_what_was_made, frames_over_tcp_are_what_was_made, packets_with_checksums_over_tcp,
         what_a_peer_does_not_take_is_not_called_sent)
