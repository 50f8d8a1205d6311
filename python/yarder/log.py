"""Reads a stream of yarder straight from its files: no daemon is asked, none is disturbed. Standard library only.

    from yarder.log import Reader
    for record in Reader('data/streams/metrics/0', start='oldest', follow=True):
        print(record.seqno, record.time_ns, record.name, record.value)

    python3 -m yarder.log cat|tail FOLDER [--from oldest|tail|SEQNO] [--match GLOB] [--level written]

The same rules as the C reader's (docs/log-format.md): nothing beyond the control page's positions is looked at, every
header is checked against its checksum, a body too where a fast CRC32C is there (the modules crc32c or google_crc32c; else
only with check='all', at a few MB/s), what is damaged or retired is told as a Gap, and reading goes on behind it. It
follows rolls, retention, compression (twins need zstd: a module compression.zstd, zstandard or pyzstd, or the system's
libzstd.so.1 by way of ctypes) and a writer that is killed and comes back. While there is nothing it sleeps on the control
page's futex; where ctypes cannot do that it looks fifty times a second.
"""
import argparse
import ctypes
import fnmatch
import json
import mmap
import os
import re
import struct
import sys
import time
from collections import namedtuple
from decimal import Decimal

Record = namedtuple('Record', 'seqno time_ns name kind type flags value')
Gap = namedtuple('Gap', 'first next reason')  # records [first, next) are not there

KINDS = ('?', 'SAMPLE', 'TALLY', 'DELTA', 'STATE', 'EVENT', 'FACT', 'PACKET', 'ROW')
NIL, BOOL, I64, U64, F64, TEXT, BLOB, LIST, MAP = range(9)
CODES = ('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')
FLAGS = ((0x04, 'stale'), (0x08, 'transition'), (0x10, 'rollover'), (0x20, 'suspect'), (0x40, 'tombstone'))

BATCH_MAGIC, CONTROL_MAGIC, CHECKPOINT_MAGIC = 0x42445901, 0x54434459, 0x4b434459
SEGMENT_MAGIC, FOOTER_MAGIC, TWIN_MAGIC, TWIN_FOOTER_MAGIC = 0x47534459, 0x54464459, 0x57544459, 0x46544459
HEADER = struct.Struct('<IHBBIIQIIIIQIIQqqqQQIII12x')
LIVE = struct.Struct('<IHHQQQQQQIIqQ16sQ')
RECORD = struct.Struct('<qIBBHQ')
NAME = struct.Struct('<IIQ')
CELL = struct.Struct('<IB3xQ')
DEPTH_MAX = 32


class Damaged(Exception):
    """These bytes are not what their checksum says, or not what a batch may be."""


class NeedsZstd(Exception):
    """There is a segment that is only a compressed twin, and nothing here that decompresses it."""


# ---- CRC32C ----

_TABLE = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = _c >> 1 ^ (0x82f63b78 if _c & 1 else 0)
    _TABLE.append(_c)


def _crc32c_slow(data):
    crc, table = 0xffffffff, _TABLE
    for byte in bytes(data):
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


crc32c, FAST_CRC = _crc32c_slow, False
try:
    import crc32c as _module
    crc32c, FAST_CRC = (lambda data: _module.crc32c(bytes(data))), True
except ImportError:
    try:
        import google_crc32c as _module
        crc32c, FAST_CRC = (lambda data: _module.value(bytes(data))), True
    except ImportError:
        pass


# ---- zstd ----

def _system_zstd():
    library = ctypes.CDLL('libzstd.so.1')
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    def decompress(data, size):
        to = ctypes.create_string_buffer(size)
        if library.ZSTD_decompress(to, size, bytes(data), len(data)) != size:
            raise Damaged('a block of a twin does not decompress')
        return to.raw
    return decompress


def _find_zstd():
    try:
        from compression import zstd
        return lambda data, size: zstd.decompress(bytes(data))
    except ImportError:
        pass
    try:
        import zstandard
        return lambda data, size: zstandard.ZstdDecompressor().decompress(bytes(data), max_output_size=size)
    except ImportError:
        pass
    try:
        import pyzstd
        return lambda data, size: pyzstd.decompress(bytes(data))
    except ImportError:
        pass
    try:
        return _system_zstd()
    except OSError:
        return None


# ---- segments: a mapped file, or a twin: both give bytes by offset ----

class _Raw:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.size = os.fstat(self.file.fileno()).st_size
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b''

    def get(self, offset, size):
        if offset + size > self.size:  # a follower's files grow where they are
            now = os.fstat(self.file.fileno()).st_size
            if now > self.size:
                self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
                self.size = now
        return self.map[offset:offset + size]

    def beyond(self, offset, size):
        """As get, where no position vouches: a seal may cut the file there, and what is mapped behind its end is fatal."""
        return os.pread(self.file.fileno(), size, offset)

    def end(self):
        return os.fstat(self.file.fileno()).st_size

    def close(self):
        self.file.close()  # the mapping goes when nobody has it any more


class _Twin:
    def __init__(self, path):
        self.zstd = _find_zstd()
        if not self.zstd:
            raise NeedsZstd(f'{path}: a compressed twin; reading it needs zstd (a module, or libzstd.so.1)')
        self.file = open(path, 'rb')
        fd, end = self.file.fileno(), os.fstat(self.file.fileno()).st_size
        self.table = None
        for footer_end in self._ends(fd, end):
            if self._read_table(fd, end, footer_end):
                break
        if self.table is None:
            raise Damaged('neither table of a twin is whole')
        self.kept = {}

    @staticmethod
    def _ends(fd, end):
        """Where a footer may end: the last one at the end; the first before it, as far as head or last footer say."""
        yield end
        for at, where, size in ((0, 32, 128), (max(end - 64, 0), 24, 64)):
            data = os.pread(fd, size, at)
            if len(data) < size:
                raise Damaged('a twin is cut short')
            magic, version = struct.unpack_from('<IH', data)
            if at == 0 and magic == TWIN_MAGIC and version != 1:
                raise Damaged('a twin of an unknown version')
            before = end - struct.unpack_from('<I', data, where)[0] * 16 - 64
            if before > 128 + 64:
                yield before

    def _read_table(self, fd, end, footer_end):
        """The table before the footer that ends there; False when one of the two is not what its checksum says."""
        footer = os.pread(fd, 64, footer_end - 64)
        if len(footer) < 64:
            return False
        magic, crc, table, size, blocks, table_crc, _, block = struct.unpack_from('<IIQQIIII', footer)
        if magic != TWIN_FOOTER_MAGIC or crc32c(footer[:4] + bytes(4) + footer[8:]) != crc:
            return False
        if not block or table + blocks * 16 + 64 != footer_end or size > blocks * block:
            return False
        entries = os.pread(fd, blocks * 16, table)
        if crc32c(entries) != table_crc:
            return False
        rows = list(struct.iter_unpack('<QII', entries))
        if any(row[0] < 128 or row[0] + row[1] > end for row in rows):
            return False
        self.block, self.size, self.table = block, size, rows
        return True

    def _block(self, index):
        if index not in self.kept:
            offset, size, crc = self.table[index]
            raw = min(self.block, self.size - index * self.block)
            data = os.pread(self.file.fileno(), size, offset)
            if FAST_CRC and crc32c(data) != crc:
                raise Damaged('a block of a twin is damaged')
            if len(self.kept) > 2:
                self.kept.clear()
            self.kept[index] = data if size == raw else self.zstd(data, raw)
        return self.kept[index]

    def get(self, offset, size):
        parts = []
        size = max(0, min(size, self.size - offset))
        while size > 0:
            within = offset % self.block
            part = self._block(offset // self.block)[within:within + size]
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b''.join(parts)

    beyond = get

    def end(self):
        return self.size

    def close(self):
        self.file.close()


# ---- the control page ----

class _Control:
    """Positions of the writer, and the word that readers sleep on."""

    def __init__(self, folder):
        self.file = open(os.path.join(folder, 'control'), 'rb')
        if os.fstat(self.file.fileno()).st_size < 4096:
            raise Damaged(f'{folder}/control is cut short')
        self.map = mmap.mmap(self.file.fileno(), 4096, access=mmap.ACCESS_READ)
        self.address = None
        try:
            self.libc = ctypes.CDLL(None, use_errno=True)
            self.libc.mmap.restype = ctypes.c_void_p
            self.libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                                       ctypes.c_long]
            address = self.libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, self.file.fileno(), 0)
            self.address = None if address in (None, ctypes.c_void_p(-1).value) else address
        except (OSError, AttributeError):
            pass

    def event(self):
        return struct.unpack_from('<I', self.map, 56)[0]

    def sleep(self, seen, seconds):
        """Until the word is not `seen`, at most so long."""
        if self.address is None or not sys.platform.startswith('linux') or os.uname().machine not in ('x86_64', 'aarch64'):
            time.sleep(min(seconds, 0.02))
            return
        number = {'x86_64': 202, 'aarch64': 98}[os.uname().machine]
        span = (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9))
        self.libc.syscall(ctypes.c_long(number), ctypes.c_void_p(self.address + 56), ctypes.c_int(0),
                          ctypes.c_uint32(seen), span, None, ctypes.c_int(0))

    def checkpoint(self):
        """(log_id, durable_seqno, epoch) of the latest good slot."""
        best = None
        for at in (1024, 2048):
            slot = self.map[at:at + 1024]
            magic, version, _, crc, epoch, number, log_id, durable = struct.unpack_from('<IHHIIQQQ', slot)
            if magic == CHECKPOINT_MAGIC and version == 1 and crc32c(slot[:8] + bytes(4) + slot[12:]) == crc:
                if not best or number > best[0]:
                    best = (number, log_id, durable, epoch)
        if not best:
            raise Damaged('no good checkpoint in the control page')
        return best[1:]

    def positions(self):
        """(first, written, durable, live or closed: is the end known?)"""
        fields = LIVE.unpack_from(self.map)
        magic, _, state, _, written, durable = fields[:6]
        pid, start, boot, first = fields[11], fields[12], fields[13], fields[14]
        live = magic == CONTROL_MAGIC and state != 0 and _start_time(pid) == start and _boot_id() == boot
        return first, written, durable, live or state == 0


def _start_time(pid):
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return int(file.read().rsplit(b')', 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _boot_id():
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            return bytes.fromhex(file.read().strip().replace('-', ''))
    except (OSError, ValueError):
        return None


# ---- batches ----

class Batch:
    """One frame: header fields, and records on demand."""

    def __init__(self, header, body):
        self.size, self.base_seqno, self.count = header[4], header[6], header[7]
        self.header_crc, self.log_id, self.epoch, self.prev_crc = header[5], header[11], header[12], header[13]
        self.time_min, self.time_max, self.kinds, self.names = header[15], header[16], header[21], header[22]
        self.body = body
        self.heap = self.count * 24 + self.names * 16

    def _bytes(self, offset, size):
        at = self.heap + offset
        if at + size > len(self.body):
            raise Damaged('a value lies outside its batch')
        return self.body[at:at + size]

    def _name(self, index):
        if index >= self.names:
            raise Damaged("a name outside its batch's table")
        offset, size, _ = NAME.unpack_from(self.body, self.count * 24 + index * 16)
        return self._bytes(offset, size).decode()

    def _value(self, type_, bits, depth=0):
        if type_ == NIL:
            return None
        if type_ == BOOL:
            return bits != 0
        if type_ == U64:
            return bits
        if type_ == I64:
            return bits - (1 << 64) if bits >> 63 else bits
        if type_ == F64:
            return struct.unpack('<d', struct.pack('<Q', bits))[0]
        data = self._bytes(bits & 0xffffffff, bits >> 32)
        if type_ == TEXT:
            return data.decode()
        if type_ == BLOB:
            return bytes(data)
        if type_ not in (LIST, MAP) or depth > DEPTH_MAX:
            raise Damaged('a value of no known type')
        count = struct.unpack_from('<I', data)[0]
        cells = [CELL.unpack_from(data, 8 + i * 16) for i in range(count)]
        if type_ == LIST:
            return [self._value(cell[1], cell[2], depth + 1) for cell in cells]
        return {self._name(cell[0]): self._value(cell[1], cell[2], depth + 1) for cell in cells}

    def records(self):
        names = {}
        for i in range(self.count):
            time_ns, name, kind, type_, flags, bits = RECORD.unpack_from(self.body, i * 24)
            if name not in names:
                names[name] = self._name(name)
            yield Record(self.base_seqno + i, time_ns, names[name], KINDS[kind], type_, flags, self._value(type_, bits))


class Reader:
    """An iterator over the records of a stream's folder; gaps go to on_gap(Gap), or to standard error.

    start: 'oldest', 'tail', or a seqno. follow: sleeps for more instead of ending; timeout: at most so many seconds.
    level: 'durable' or 'written'. check: 'auto', 'all' or 'headers'. batches(): the same in whole batches."""

    def __init__(self, folder, start='oldest', follow=False, timeout=None, level='durable', check='auto', on_gap=None):
        self.folder, self.follow, self.timeout, self.level = folder, follow, timeout, level
        self.check_bodies = check == 'all' or (check == 'auto' and FAST_CRC)
        self.on_gap = on_gap or (lambda gap: print(f'gap: {gap.first} to {gap.next} ({gap.reason})', file=sys.stderr))
        self.control = _Control(folder)
        self.log_id, self.checked, self.epoch = self.control.checkpoint()
        self.file, self.base, self.offset, self.place = None, None, 0, 0
        self.twin, self.twin_base = None, None
        first, written, durable, known = self.control.positions()
        bases = self._bases()
        end = (written if level == 'written' else durable) if known else self.checked
        self.seqno = (end if start == 'tail' else bases[0] if start == 'oldest' and bases else
                      self.checked if start == 'oldest' else int(start))

    def _bases(self):
        found = {int(name[:20]) for name in os.listdir(self.folder) if re.fullmatch(r'\d{20}\.(ylog|yzst)', name)}
        return sorted(found)

    def _open(self, base):
        path = os.path.join(self.folder, f'{base:020}')
        if self.file:
            self.file.close()
        self.file = None
        try:
            self.file = _Raw(path + '.ylog')
        except FileNotFoundError:
            self.file = _Twin(path + '.yzst')
        self.base, self.place = base, base
        self.offset = self._data_start(self.file) or self._data_start(self._twin()) or 4096

    @staticmethod
    def _data_start(file):
        """Where frames begin, as the head says; 0: it is damaged."""
        try:
            head = file.get(0, 48) if file else b''
        except Damaged:
            return 0
        good = len(head) == 48 and struct.unpack_from('<I', head)[0] == SEGMENT_MAGIC
        return struct.unpack_from('<I', head, 44)[0] if good else 0

    def _twin(self):
        """The twin beside the raw file that is open, or None."""
        if self.twin_base != self.base and isinstance(self.file, _Raw):
            self.twin, self.twin_base = None, self.base
            try:
                twin = _Twin(os.path.join(self.folder, f'{self.base:020}.yzst'))
                self.twin = twin if self._same_history(self.file, twin) else None
            except (FileNotFoundError, NeedsZstd, Damaged):
                pass
        return self.twin if isinstance(self.file, _Raw) else None

    def _header(self, offset, get=None):
        """The header at an offset when it is a good one of this log, else None."""
        data = (get or self.file.get)(offset, 128)
        if len(data) < 128 or struct.unpack_from('<I', data)[0] != BATCH_MAGIC:
            return None
        header = HEADER.unpack(data)
        if header[11] != self.log_id or crc32c(data[:12] + bytes(4) + data[16:]) != header[5]:
            return None
        return header if header[4] % 64 == 0 and header[9] + 128 <= header[4] and header[7] > 0 else None

    def _batch(self, header):
        body = self.file.get(self.offset + 128, header[9])
        if len(body) < header[9] or (self.check_bodies and crc32c(body) != header[8]):
            return None
        return Batch(header, body)

    def _end_of(self, file):
        """What the footer says of a sealed file's end: (next seqno, checksum of the last batch); None: no good footer."""
        footer = file.beyond(max(file.end() - 256, 0), 256)
        if len(footer) < 256 or struct.unpack_from('<I', footer)[0] != FOOTER_MAGIC:
            return None
        if struct.unpack_from('<I', footer, 8)[0] != crc32c(footer[:8] + bytes(4) + footer[12:]):
            return None
        same = struct.unpack_from('<Q', footer, 24)[0] == self.log_id
        return (*struct.unpack_from('<Q', footer, 40), *struct.unpack_from('<I', footer, 96)) if same else None

    def _same_history(self, raw, twin):
        """Not a twin of what was cut: their ends are alike; or, where one has rotted, their heads."""
        try:
            ours, theirs = self._end_of(raw), self._end_of(twin)
            if ours and theirs:
                return ours == theirs
            head, other = raw.get(0, 4096), twin.get(0, 4096)
            return head == other or not self._data_start(raw)
        except Damaged:
            return False

    def _from_twin(self):
        """The batch that should be here, out of the segment's twin, when there is one and it is good there."""
        raw, twin = self.file, self._twin()
        if not twin:
            return None
        self.file = twin
        try:
            header = self._header(self.offset)
            return self._batch(header) if header and self.place == header[6] <= self.seqno else None
        except Damaged:
            return None
        finally:
            self.file = raw

    def _gap(self, to, reason):
        if to > self.seqno:
            self.on_gap(Gap(self.seqno, to, reason))
        self.seqno = to

    def _resync(self, end):
        """Behind damage: the next good frame of this segment, or its end."""
        for offset in range(self.offset + 64, self.file.end() - 127, 64):
            header = self._header(offset, self.file.beyond)
            if header and self.place < header[6] < end:
                self.offset, self.place = offset, header[6]
                return True
        return False

    def _next(self, end):
        """A batch; None: nothing more below `end` now."""
        for _ in range(1 << 20):
            if end is not None and self.seqno >= end:
                return None  # a gap went up to it
            bases = None
            if not self.file or self.place > self.seqno:
                bases = self._bases()
                here = [base for base in bases if base <= self.seqno]
                if not here:
                    if not bases:
                        return None
                    self._gap(bases[0], 'retention')
                    here = bases[:1]
                try:
                    self._open(here[-1])
                except FileNotFoundError:
                    continue  # retention was sooner
                except Damaged:
                    behind = [base for base in bases if base > here[-1]]
                    if not behind:
                        raise
                    self._gap(behind[0], 'rotten')
                    continue
            try:
                header = self._header(self.offset)
                if header and header[6] + header[7] <= self.seqno and header[6] >= self.place:
                    self.offset, self.place = self.offset + header[4], header[6] + header[7]
                    continue
                batch = self._batch(header) if header and header[6] <= self.seqno else None
            except Damaged:
                header = batch = None
            batch = batch or self._from_twin()
            if batch:
                self.offset += batch.size
                self.seqno = self.place = batch.base_seqno + batch.count
                return batch
            bases = self._bases()
            if self.seqno in bases and self.seqno != self.base:
                self.file.close()
                self.file = None
                continue
            if self.base not in bases:
                self.file.close()
                self.file = None
                continue
            behind = [base for base in bases if base > self.base]
            if end is None and not behind:
                return None  # of a writer that was killed: its end
            bound = min([base for base in behind] + [end if end is not None else 1 << 64])
            if not self._resync(bound):
                self._gap(bound, 'rotten')
                self.file.close()
                self.file = None
            elif self.place > self.seqno:
                self._gap(self.place, 'rotten')
        raise Damaged('this folder makes no sense')

    def batches(self):
        deadline = time.monotonic() + self.timeout if self.timeout is not None else None
        while True:
            seen = self.control.event()
            first, written, durable, known = self.control.positions()
            end = (written if self.level == 'written' else durable) if known else None
            if end is None or self.seqno < end:
                if self.seqno < first:
                    self._gap(first, 'retention')
                    if self.file:
                        self.file.close()
                        self.file = None
                batch = self._next(end)
                if batch:
                    self.epoch = max(self.epoch, batch.epoch)
                    yield batch
                    continue
            elif self.seqno > end and self.control.checkpoint()[2] > self.epoch:
                log_id, _, self.epoch = self.control.checkpoint()
                self.on_gap(Gap(self.seqno, end, 'cut back'))
                self.seqno, self.file = end, None
                continue
            left = 30 if deadline is None else deadline - time.monotonic()
            if not self.follow or left <= 0:
                return
            self.control.sleep(seen, min(left, 30))

    def __iter__(self):
        for batch in self.batches():
            skip = self.seqno - batch.count > batch.base_seqno
            for record in batch.records():
                if not skip or record.seqno >= self.seqno - batch.count:
                    yield record


# ---- as text: the very lines of `yarder log cat --json` ----

def time_text(time_ns):
    seconds, ns = divmod(time_ns, 1000000000)
    moment = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))
    if ns == 0:
        return moment + 'Z'
    digits = f'{ns:09}'
    for size in (3, 6, 9):
        if not digits[size:].strip('0'):
            return f'{moment}.{digits[:size]}Z'
    return f'{moment}.{digits}Z'


def number_text(value):
    if value == 0:
        return '-0' if str(value).startswith('-') else '0'
    if value == int(value) and abs(value) < 9007199254740992:
        return str(int(value))
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = ''.join(map(str, digits)).rstrip('0')
    point = len(digits) + exponent
    if point > 21 or point < -5:
        out = text[0] + ('.' + text[1:] if len(text) > 1 else '') + f'e{point - 1}'
    elif point <= 0:
        out = '0.' + '0' * -point + text
    else:
        out = text[:point].ljust(point, '0') + ('.' + text[point:] if len(text) > point else '')
    return '-' * sign + out


def value_json(value):
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return json.dumps(value)
    if isinstance(value, float):
        return number_text(value) if value - value == 0 else 'null'
    if isinstance(value, bytes):
        return f'"{value.hex()}"'
    if isinstance(value, list):
        return '[' + ','.join(map(value_json, value)) + ']'
    if isinstance(value, dict):
        return '{' + ','.join(f'{value_json(key)}:{value_json(item)}' for key, item in value.items()) + '}'
    return json.dumps(value, ensure_ascii=False)


def record_json(record):
    parts = [f'"seqno":{record.seqno}', f'"time":"{time_text(record.time_ns)}"', f'"name":{value_json(record.name)}',
             f'"kind":"{record.kind}"']
    if record.kind == 'STATE':
        parts.append(f'"code":"{CODES[record.flags & 3]}"')
    parts += [f'"{name}":true' for flag, name in FLAGS if record.flags & flag]
    parts.append(f'"{"blob" if record.type == BLOB else "value"}":{value_json(record.value)}')
    return '{' + ','.join(parts) + '}'


def main():
    parser = argparse.ArgumentParser(prog='python3 -m yarder.log', description='Reads a stream straight from its files.')
    parser.add_argument('command', choices=('cat', 'tail'), help='cat: what is there; tail: new records as they come')
    parser.add_argument('folder', help='a partition: DATA/streams/NAME/0')
    parser.add_argument('--from', dest='start', help='oldest, tail or a seqno')
    parser.add_argument('--count', type=int, help='stop after so many records')
    parser.add_argument('--timeout', type=float, help='tail: stop after so many seconds')
    parser.add_argument('--match', help='only names that match this shell pattern')
    parser.add_argument('--level', choices=('durable', 'written'), default='durable')
    parser.add_argument('--check', choices=('auto', 'all', 'headers'), default='auto', help='which checksums')
    options = parser.parse_args()
    tail = options.command == 'tail'
    left = options.count if options.count is not None else -1
    try:
        reader = Reader(options.folder, options.start or ('tail' if tail else 'oldest'), follow=tail,
                        timeout=options.timeout, level=options.level, check=options.check)
        for batch in reader.batches():
            if left == 0:
                break
            for record in batch.records():
                if left == 0:
                    break
                if options.match and not fnmatch.fnmatchcase(record.name, options.match):
                    continue
                sys.stdout.write(record_json(record) + '\n')
                left -= 1
            sys.stdout.flush()
    except (OSError, Damaged, NeedsZstd) as error:
        print(f'{options.folder}: {error}', file=sys.stderr)
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    return 0


if __name__ == '__main__':
    sys.exit(main())
