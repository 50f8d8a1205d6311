#!/usr/bin/env python3
"""The Python reader on what a daemon left: twins with and without their tables, a flipped byte, no zstd, and live tailing."""
import glob
import os
import shutil
import socket
import sys
import time
import urllib.request

from harness import ROOT, Daemon, free_port, main, wait_for, yarder

sys.path.insert(0, os.path.join(ROOT, 'python'))
from yarder import log as reader  # noqa: E402

TOPOLOGY = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
graphite -> metrics :: Log(stream: "metrics", segment: 1MiB, compress: 1ns)
'''
BESIDE = TOPOLOGY.replace('1ns', '1h')  # twins are made at once, and the raw files stay
LINES = 30000


def feed(daemon, round_):
    now = int(time.time())
    daemon.lines(''.join(f'py.m{i % 97};host=h{i % 500} {round_ * LINES + i} {now}\n' for i in range(LINES)))

KINDS = '''
influx :: Influx(listen: "127.0.0.1:{graphite}")
statsd :: Statsd(listen: "127.0.0.1:{statsd}", flush: 100ms)
host :: Host(every: 200ms)
influx, statsd, host -> metrics :: Log(stream: "metrics", segment: 1MiB)
metrics -> Window(every: 1s, outputs: [n, min, max, mean], percentiles: [50]) -> windows :: Log(stream: "windows")
'''


def every_kind_and_type_reads_as_the_command_prints_it(folder):
    """numbers of each type, texts, events and windows: the lines are those of `yarder log cat --json`"""
    daemon = Daemon(folder, KINDS, ports={'graphite': free_port(), 'statsd': free_port(), 'tsdb': 0}).start()
    line = 'm,host=a f=1.5,i=-9007199254740993i,u=18446744073709551615u,b=true,s="a \\"text\\" \u00fc"'
    for second in range(1_700_000_000, 1_700_000_004):
        request = urllib.request.Request(f'http://127.0.0.1:{daemon.ports["graphite"]}/write?precision=s',
                                         f'{line} {second}\n'.encode())
        assert urllib.request.urlopen(request, timeout=100).status == 204
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b'hits:1|c\nt:3|ms\nu:a|s\n_e{5,4}:title|text|t:error|#a:b\n_sc|check|2|m:down',
                 ('127.0.0.1', daemon.ports['statsd']))
    ours = lambda stream: [record for record in reader.Reader(f'{daemon.data}/streams/{stream}/0')]
    wait_for(lambda: len({record.kind for record in ours('metrics')}) > 2 and ours('windows'), why='all kinds')
    daemon.stop()
    for stream in ('metrics', 'windows'):
        theirs = yarder('log', 'cat', stream, '--data', daemon.data, '--json', check=0).stdout.splitlines()
        mine = [reader.record_json(record) for record in ours(stream)]
        assert mine and mine == theirs, [pair for pair in zip(mine, theirs) if pair[0] != pair[1]][:3]
    types = {type(record.value) for record in ours('metrics')}
    assert {int, float, str} <= types, types


def twins_only(stream):
    raw = {path[:-5] for path in glob.glob(stream + '/*.ylog')}
    return [path for path in sorted(glob.glob(stream + '/*.yzst')) if path[:-5] not in raw]


def filled(folder):
    """A daemon's stream with segments that are only twins; the daemon stopped."""
    daemon = Daemon(folder, TOPOLOGY, ports={'graphite': free_port(), 'tsdb': 0}).start()
    stream = daemon.data + '/streams/metrics/0'
    rounds = 0
    while rounds < 40 and len(twins_only(stream)) < 2:
        feed(daemon, rounds)
        rounds += 1
        time.sleep(0.2)
    wait_for(lambda: len(twins_only(stream)) >= 2, why='twins')
    daemon.stop()
    return stream


def read(stream, **options):
    gaps = []
    values = [record.value for record in reader.Reader(stream, on_gap=gaps.append, **options)]
    return values, gaps


def flip(path, at):
    with open(path, 'r+b') as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        at = file.tell()
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def twins_are_read_by_either_table_and_without_a_head(folder):
    """a damaged head, last footer or last table of a twin costs nothing; a damaged block is a gap"""
    stream = filled(folder)
    whole, gaps = read(stream)
    assert whole and not gaps, gaps
    twin = twins_only(stream)[0]
    for at in (0, 33, -1, -64, -40, -70):
        flip(twin, at)
        values, gaps = read(stream)
        assert values == whole and not gaps, (at, len(values), len(whole), gaps)
        flip(twin, at)
    flip(twin, 128 + 1000)
    values, gaps = read(stream, check='all')
    lost = sum(gap.next - gap.first for gap in gaps)
    assert gaps and len(values) + lost == len(whole), (len(values), lost, len(whole), gaps)


def without_zstd_it_says_so(folder):
    """without anything that decompresses, a twin is refused with what it needs"""
    stream = filled(folder)
    found, reader._find_zstd = reader._find_zstd, lambda: None
    try:
        read(stream)
        raise AssertionError('it was read')
    except reader.NeedsZstd as error:
        assert '.yzst' in str(error) and 'zstd' in str(error), error
    finally:
        reader._find_zstd = found


def a_flipped_byte_costs_its_batch(folder):
    """with every checksum looked at, a flipped byte in a body is exactly one batch, told as a gap"""
    stream = filled(folder)
    path = sorted(glob.glob(stream + '/*.ylog'))[-1]
    batches = []
    source = reader.Reader(stream)
    for batch in source.batches():
        batches.append((source.base, source.offset - batch.size, batch.base_seqno, batch.count))
    _, offset, seqno, count = [batch for batch in batches if batch[0] == int(os.path.basename(path)[:20])][0]
    before = sum(batch[3] for batch in batches)
    flip(path, offset + 128 + 8)
    values, gaps = read(stream, check='all', start=seqno)
    assert [(gap.first, gap.next) for gap in gaps] == [(seqno, seqno + count)], (gaps, seqno, count)
    assert len(values) == before - seqno - count, (len(values), before, seqno, count)


def what_rots_is_had_back_from_the_twin(folder):
    """a head, a header and a body that rot in a segment with a good twin cost nothing; in both, that batch alone"""
    daemon = Daemon(folder, BESIDE, ports={'graphite': free_port(), 'tsdb': 0}).start()
    stream = daemon.data + '/streams/metrics/0'
    for round_ in range(4):
        feed(daemon, round_)
    wait_for(lambda: len(glob.glob(stream + '/*.yzst')) >= 2, why='twins')
    daemon.stop()
    twin = sorted(glob.glob(stream + '/*.yzst'))[0]
    raw, base = twin[:-5] + '.ylog', int(os.path.basename(twin)[:20])
    source = reader.Reader(stream)
    batches = [(source.base, source.offset - batch.size, batch.base_seqno, batch.count) for batch in source.batches()]
    whole, gaps = read(stream, check='all')
    assert os.path.exists(raw) and whole and not gaps, gaps
    here = [batch for batch in batches if batch[0] == base]
    _, offset, seqno, count = here[len(here) // 2]
    for at in (1, offset + 40, offset + 128 + 8, here[-1][1]):
        flip(raw, at)
    values, gaps = read(stream, check='all')
    assert values == whole and not gaps, (len(values), len(whole), gaps)
    second = sorted(glob.glob(stream + '/*.yzst'))[1]
    os.rename(twin, twin + '.kept')
    shutil.copy(second, twin)  # of another history: its end is not this segment's
    values, gaps = read(stream, check='all')
    lost = sum(gap.next - gap.first for gap in gaps)
    assert gaps and len(values) + lost == len(whole), (gaps, len(values), len(whole))
    os.rename(twin + '.kept', twin)
    with open(raw, 'r+b') as file:
        file.truncate(offset + 64)
    values, gaps = read(stream, check='all')
    assert values == whole and not gaps, (len(values), len(whole), gaps)
    os.unlink(twin)
    values, gaps = read(stream, check='all')
    assert gaps and gaps[0].first == seqno and gaps[0].reason == 'rotten', gaps
    assert len(values) + sum(gap.next - gap.first for gap in gaps) == len(whole), gaps


def a_segment_that_is_sealed_under_a_reader_ends_no_program(folder):
    """what a seal cuts off behind a segment's end, mapped before, is not touched: with a twin beside it, nor when it rots"""
    daemon = Daemon(folder, BESIDE, ports={'graphite': free_port(), 'tsdb': 0}).start()
    stream = daemon.data + '/streams/metrics/0'
    for round_ in range(4):
        feed(daemon, round_)
    wait_for(lambda: len(glob.glob(stream + '/*.yzst')) >= 2, why='twins')
    daemon.stop()
    raw = sorted(glob.glob(stream + '/*.ylog'))[0]
    whole, gaps = read(stream)
    source, size = reader.Reader(stream), os.path.getsize(raw)
    last = [source.offset - batch.size for batch in source.batches() if source.base == int(os.path.basename(raw)[:20])][-1]
    for rotten in (False, True):
        os.truncate(raw, size + (1 << 20))  # the space ahead of a segment that is being written
        gaps = []
        source = reader.Reader(stream, on_gap=gaps.append)
        batches = source.batches()
        values = [record.value for record in next(batches).records()]
        os.truncate(raw, size)
        if rotten:
            os.unlink(raw[:-5] + '.yzst')
            flip(raw, last + 40)
        values += [record.value for batch in batches for record in batch.records()]
        lost = sum(gap.next - gap.first for gap in gaps)
        assert len(values) + lost == len(whole) and bool(gaps) == rotten, (len(values), lost, len(whole), gaps)


if __name__ == '__main__':
    main(every_kind_and_type_reads_as_the_command_prints_it, what_rots_is_had_back_from_the_twin,
         a_segment_that_is_sealed_under_a_reader_ends_no_program, twins_are_read_by_either_table_and_without_a_head,
         without_zstd_it_says_so, a_flipped_byte_costs_its_batch)
