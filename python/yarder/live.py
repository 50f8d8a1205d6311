"""Reads the current values of a running yarder out of shared memory. Standard library only; Linux, Python 3.9 and later.

    from yarder.live import Live
    with Live('data/live/values.sock') as live:
        altitude = live.follow('altitude')
        print(altitude.get())                 # the newest value, or None when there is nothing newer than what was got
        while True:
            live.wait(altitude, timeout=10)   # asleep, until there is something newer
            while (value := altitude.next()) is not None:
                print(value.time_ns, value.value, value.missed)

    python3 -m yarder.live ls|get|watch SOCKET [NAME or PATTERN...]

The same rules as the C library's (<yarder/live.h>, docs/live-format.md). The writer never waits for a reader. `get` gives
the newest value and how many were passed over, `next` each one in order with exactly how many were overwritten before they
were read. When the writer dies its last values stay, `wait` raises WriterGone once, and when it or another is back at the
same address everything goes over to the new memory (`generation`) by itself. A Live, with its items, belongs to one thread
at a time; a small thread of this module sleeps on the door's socket.

How it sleeps without atomic operations in the language: the kernel does them. FUTEX_WAKE_OP sets the waiter's bit of a bell,
atomically, waking nobody; the word is read, the values are looked at once more, and the kernel compares the word when it
puts us to sleep. Machines other than x86 may reorder loads: there a futex operation in between keeps their order.
"""
import argparse
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import re
import select
import socket
import struct
import sys
import threading
import time
from collections import namedtuple

Value = namedtuple('Value', 'seq missed time_ns type flags value bits generation')
NIL, BOOL, I64, U64, F64, TEXT, BLOB = range(7)
TYPES = ('NIL', 'BOOL', 'I64', 'U64', 'F64', 'TEXT', 'BLOB')
LIMITS = ('', 'GREEN', 'YELLOW LOW', 'YELLOW HIGH', 'RED LOW', 'RED HIGH')

LIVE_MAGIC, DOOR_MAGIC, BYTE_ORDER = 0x564c4459, 0x524f4459, 0x0102030405060708
TABLE, BELL = 1, 4
HEADER = struct.Struct('=IHHQIIQIIQQQqQ16sq24xI')
PARAMETERS = struct.Struct('=I4xQQQQQQI')
ENTRY = struct.Struct('=QQIIIHBB')
HEAD = struct.Struct('=IHHQ')
HELLO, WELCOME, REFUSED, REPLACED = 1, 2, 3, 4
BELL_WORDS, BELL_NAMES = 64, 63  # word that is rung when names have come
F_GET_SEALS, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1034, 2, 4, 8, 16
ANSWER_S, AGAIN_S, SLEEP_S = 5.0, 1.0, 30.0


class LiveError(Exception):
    """Nobody is there, or not one of ours, or what it hands out is damaged."""


class WriterGone(Exception):
    """The writer has gone. Said once; its last values stay."""


# ---- the kernel ----

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_FUTEX = {'x86_64': 202, 'aarch64': 98, 'riscv64': 98, 'ppc64le': 221, 's390x': 238}.get(platform.machine())
_SYS_WAITV, _WAKE, _WAKE_OP, _WAIT_BITSET = 449, 1, 5, 9
_SET_BIT_0 = 2 << 28 | 1 << 12 | 0xfff  # OR 1; wakes where the old value was 0xffffffff: never
_scratch = ctypes.c_uint32(0)


class _Timespec(ctypes.Structure):
    _fields_ = [('s', ctypes.c_int64), ('ns', ctypes.c_int64)]


class _Waitv(ctypes.Structure):
    _fields_ = [('value', ctypes.c_uint64), ('address', ctypes.c_uint64), ('flags', ctypes.c_uint32),
                ('reserved', ctypes.c_uint32)]


def _futex(address, op, value, more=None, address2=None, value3=0):
    if _SYS_FUTEX is None:
        raise LiveError(f'futexes of {platform.machine()} are not known here')
    return _libc.syscall(_SYS_FUTEX, ctypes.c_void_p(address), op, ctypes.c_uint32(value), more,
                         ctypes.c_void_p(address2), ctypes.c_uint32(value3))


def _in_order():
    """What was loaded before was loaded before."""
    _futex(ctypes.addressof(_scratch), _WAKE_OP, 0, ctypes.c_void_p(0), ctypes.addressof(_scratch), _SET_BIT_0)


if platform.machine() in ('x86_64', 'AMD64', 'i686'):
    def _in_order():  # noqa: F811: loads are not reordered there
        pass


def _readable(fds, seconds):
    """Those of the descriptors that have something, or have ended. Not select: it knows the first 1024 only."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)]


def _sleep(words, until):
    """Until one of [(address, seen)] is not what was seen, is woken, or it is `until` (monotonic seconds)."""
    at = _Timespec(int(until), int((until - int(until)) * 1e9))
    if len(words) > 1:
        list_ = (_Waitv * len(words))(*(_Waitv(seen, address, 2, 0) for address, seen in words))
        if _libc.syscall(_SYS_WAITV, list_, len(words), 0, ctypes.byref(at), 1) >= 0 or \
                ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
            return
        soon = min(until, time.monotonic() + 0.01)  # before Linux 5.16, or where a sandbox does not know it: one at a time
        at = _Timespec(int(soon), int((soon - int(soon)) * 1e9))
    _futex(words[0][0], _WAIT_BITSET, words[0][1], ctypes.byref(at), None, 0xffffffff)


# ---- names ----

_WORD = re.compile(r'(?:\\.|[^\\])')


def _split(text, at):
    """At each of these that is not escaped."""
    out = ['']
    for piece in _WORD.findall(text):
        if piece == at:
            out.append('')
        else:
            out[-1] += piece
    return out


def canonical(name):
    """The metric, and its tags sorted by key."""
    metric, *tags = _split(name.strip(), ' ')
    tags = [tag.strip() for tag in _split(' '.join(tags), ',') if tag.strip()]
    return ' '.join([metric] + [','.join(sorted(tags, key=lambda tag: _split(tag, '=')[0].encode()))] * bool(tags))


def _glob(pattern):
    out = ''
    for piece in _WORD.findall(pattern):
        out += '.*' if piece == '*' else '.' if piece == '?' else re.escape(piece)
    return re.compile(out + r'\Z', re.S)


def compile_pattern(pattern):
    """`metric-glob [tag=glob,...]`, as the C library's: a function of a canonical name."""
    metric, *rest = _split(pattern.strip(), ' ')
    tags = [tag.strip() for tag in _split(' '.join(rest), ',') if tag.strip()]
    exactly = '!' in tags
    wanted = {key: _glob('='.join(value)) for key, *value in (_split(tag, '=') for tag in tags if tag != '!')}
    metric = _glob(metric)

    def matches(name):
        own, *rest = _split(name, ' ')
        have = {key: '='.join(value) for key, *value in (_split(tag, '=') for tag in _split(' '.join(rest), ',') if tag)}
        return bool(metric.match(own)) and (not exactly or len(have) == len(wanted)) and all(
            key in have and glob.match(have[key]) for key, glob in wanted.items())
    return matches


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


# ---- shared memory ----

def _map(fd, kind):
    """A region, its seals and its header checked. (mmap, header's fields)"""
    seals = fcntl.fcntl(fd, F_GET_SEALS)
    writable = kind == BELL
    needed = SEAL_SHRINK | SEAL_GROW | (0 if writable or seals & SEAL_WRITE else SEAL_FUTURE_WRITE)
    if seals & needed != needed:
        raise LiveError('the memory is not sealed')
    size = os.fstat(fd).st_size
    if not 4096 <= size <= 1 << 40 or size % 4096:
        raise LiveError('the memory is damaged')
    region = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
    head = HEADER.unpack_from(region, 0)
    magic, major, _, order, header_size, its_kind, its_size, line, pair = head[:9]
    if magic != LIVE_MAGIC or order != BYTE_ORDER:
        raise LiveError('the memory is not one of ours')
    if major != 2:
        raise LiveError(f'the memory is of version {major}')
    if header_size != 256 or its_kind != kind or its_size != size or line != 64 or pair != 128 or not 1 <= head[16] <= 3:
        raise LiveError('the memory is damaged')
    return region, head


class _Memory:
    """The memory of one generation: the table, read-only, and the page of bells."""

    def __init__(self, table_fd, bell_fd):
        self.table, head = _map(table_fd, TABLE)
        self.generation, self.writer, self.writer_pid, self.created_ns = head[9], head[11:14], head[12], head[15]
        self.bell, _ = _map(bell_fd, BELL)
        if len(self.bell) < 2048 + BELL_WORDS * 32:
            raise LiveError('the bells are damaged')
        self.bell_address = ctypes.addressof(ctypes.c_char.from_buffer(self.bell))
        self.bells = memoryview(self.bell).cast('I')
        self.bytes = memoryview(self.table)
        self.words = self.bytes[:len(self.table) // 8 * 8].cast('Q')
        self.counts = self.bytes.cast('I') if len(self.table) % 4 == 0 else None
        self.capacity, self.directory, self.names_at, self.names_size, self.cells_at, self.cells_size, \
            self.copied_from, self.copied = PARAMETERS.unpack_from(self.table, 256)
        if not 0 < self.capacity <= 1 << 24 or not self.inside(self.directory, self.capacity * 32, 64) or \
                not self.inside(self.names_at, self.names_size, 1) or not self.inside(self.cells_at, self.cells_size, 64):
            raise LiveError('the table is damaged')
        self.names = {}  # index of each, as far as they were looked at
        self.known = 0

    def inside(self, offset, size, alignment):
        return offset % alignment == 0 and 512 <= offset <= len(self.table) and size <= len(self.table) - offset

    def count(self):
        count = min(self.counts[96], self.capacity)  # at byte 384
        _in_order()
        return count

    def look(self):
        """Names that have come; those damaged are passed over."""
        count = self.count()
        for index in range(self.known, count):
            entry = ENTRY.unpack_from(self.table, self.directory + index * 32)
            offset, size = self.names_at + entry[2], entry[5]
            if size <= 4095 and entry[2] + size <= self.names_size:
                self.names[bytes(self.bytes[offset:offset + size]).decode(errors='replace')] = index
        self.known = count

    def cell(self, index):
        """(head, first slot, words of a slot, slots, room) in words, checked once."""
        entry = ENTRY.unpack_from(self.table, self.directory + index * 32)
        slots_log2, unit, value_size = entry[7] & 15, 8 if entry[7] & 128 else 64, entry[4]
        slot_size = 24 + (value_size + 7) // 8 * 8
        if unit == 64:
            slot_size = 32 if slot_size <= 32 else (slot_size + 63) // 64 * 64
        offset = entry[3] * unit
        if not 1 <= slots_log2 <= 10 or not 8 <= value_size <= 1 << 20 or \
                offset + unit + (slot_size << slots_log2) > self.cells_size:
            raise LiveError('an entry of the table is damaged')
        cell = (self.cells_at + offset) // 8
        return cell, cell + unit // 8, slot_size // 8, 1 << slots_log2, value_size

    def arm(self, word):
        """Says that somebody waits; what to sleep on."""
        address = self.bell_address + 2048 + word * 32
        while True:
            _futex(ctypes.addressof(_scratch), _WAKE_OP, 0, ctypes.c_void_p(0), address, _SET_BIT_0)
            seen = self.bells[512 + word * 8]
            if seen & 1:
                return address, seen


# ---- measurements ----

class Item:
    """A measurement that is followed. It need not exist yet."""

    def __init__(self, live, name):
        self.live, self.name = live, name
        self.bell = fnv(name.encode()) % BELL_NAMES
        self.last = None  # the value got last
        self._cell = None
        self._seq = 0  # of the value got last, of this generation
        self._looked = -1
        self._before, self._left = False, 0  # of earlier generations: values not got

    def _find(self):
        memory = self.live._memory
        if memory is None:
            return False
        count = memory.count()
        if count != self._looked:
            memory.look()
            self._looked = count
            index = memory.names.get(self.name)
            if index is not None:
                self._cell = memory.cell(index)
        return self._cell is not None

    def changed(self):
        """Is there something newer?"""
        return (self._cell is not None or self._find()) and self.live._memory.words[self._cell[0]] != self._seq

    def _copy(self, seq, missed, memory=None, cell=None):
        memory, (_, first, step, slots, room) = memory or self.live._memory, cell or self._cell
        at, words = first + (seq & slots - 1) * step, memory.words
        if words[at] != seq:
            return None
        _in_order()
        time_ns, meta, bits = words[at + 1], words[at + 2], words[at + 3]
        size = meta & 0xffffffff
        data = bytes(memory.bytes[(at + 3) * 8:(at + 3) * 8 + min(size, room)])
        _in_order()
        if words[at] != seq:
            return None
        if size > room:
            raise LiveError('a value is damaged')
        kind = meta >> 32 & 255
        return Value(seq, missed, time_ns - (time_ns >> 63 << 64), kind, meta >> 48, _decode(kind, bits, data),
                     bits if size and kind < TEXT else 0, memory.generation)

    def _leave(self, memory, copied):
        """Other memory is used from now on. `copied`: a later table of the same writer, whose first entries began with the
        newest values of the table before it. If that is `memory`, value 1 is the newest that was there. If tables came and
        went in between nobody knows but by looking at it. A name that was left out begins anew. Who was shown out and came
        back may also be given the same table once more."""
        cell, seq = self._cell, self._seq
        self._cell, self._seq, self._looked = None, 0, -1
        if cell is None or self.last is None:
            return
        head, now = memory.words[cell[0]], self.live._memory
        again = copied and now.generation == memory.generation
        self._before, self._left = self._before or not again, self._left + (0 if again else head - seq & 0xffffffffffffffff)
        try:
            if not copied or head == 0 or not self._find():
                return
            if again:
                self._seq = seq
                return
            if now.names[self.name] >= now.copied:
                return
            if now.copied_from != memory.generation and not _same(self._copy(head, 0, memory, cell), self._copy(1, 0)):
                return
        except LiveError:
            self._looked = -1  # told when it is read
            return
        if head == seq:
            self._seq = 1  # was got
        else:
            self._left -= 1  # comes again, as the first one there

    def _got(self, value):
        if self._before:
            value = value._replace(missed=value.missed + self._left + (0 if self._seq else value.seq - 1))
            self._before, self._left = False, 0
        self._seq = value.seq
        self.last = value
        return value

    def get(self):
        """The newest value; None: nothing newer than what was got (`last`), or there never was one."""
        self.live._look()
        while self.changed():
            head = self.live._memory.words[self._cell[0]]
            _in_order()
            value = self._copy(head, head - self._seq - 1 & 0xffffffffffffffff if self._seq else 0)
            if value is not None:
                return self._got(value)
        return None

    def next(self):
        """The value after the one got last, at first the oldest there is; `missed` says exactly how many went unread."""
        self.live._look()
        tries = 0
        while self.changed():
            ahead = self.live._memory.words[self._cell[0]] - self._seq & 0xffffffffffffffff
            _in_order()
            # If the oldest goes under our hands again and again, the newest.
            lost = ahead - 1 if tries >= 8 else max(ahead - self._cell[3], 0)
            value = self._copy(self._seq + 1 + lost, lost if self._seq else 0)
            if value is not None:
                return self._got(value)
            tries += 1
        return None

    def values(self):
        """Those that are there, in order."""
        while (value := self.next()) is not None:
            yield value


def _same(one, other):
    """Are these the same value, time and flags with it? None: it is not there."""
    return one is not None and other is not None and (one.time_ns, one.type, one.flags, one.bits) == (
        other.time_ns, other.type, other.flags, other.bits) and (one.type < TEXT or one.value == other.value)


def _decode(kind, bits, data):
    if kind == F64:
        return struct.unpack('=d', struct.pack('=Q', bits))[0]
    if kind == I64:
        return bits - (bits >> 63 << 64)
    if kind == U64:
        return bits
    if kind == BOOL:
        return bits != 0
    if kind == TEXT:
        return data.decode(errors='replace')
    return data if kind == BLOB else None


class Matching:
    """All measurements that match, those too that come later."""

    def __init__(self, live, pattern):
        self.live, self.matches = live, compile_pattern(pattern)
        self.items, self._names, self._memory, self._seen = [], set(), None, 0

    def _refresh(self):
        memory = self.live._memory
        if memory is None or (memory is self._memory and memory.count() == self._seen):
            return False
        before = len(self.items)
        memory.look()
        for name in memory.names:
            if name not in self._names and self.matches(name):
                self._names.add(name)
                self.items.append(Item(self.live, name))
                self.live._items.append(self.items[-1])
        self._memory, self._seen = memory, memory.known
        return len(self.items) != before

    def ready(self):
        """Those that have something newer: then get or next them."""
        self.live._look()
        self._refresh()
        return [item for item in self.items if item.changed()]

    def wait(self, timeout=None):
        """As Live.wait; names that come count, too."""
        self.live._look()
        self._refresh()
        return self.live._wait(lambda: self._refresh() or any(item.changed() for item in self.items),
                               lambda: {BELL_NAMES, *(item.bell for item in self.items)}, timeout)


# ---- the attachment ----

class Live:
    """An attachment to a Live element, by the path of its socket. absent: nobody there yet is no error."""

    def __init__(self, address, application=None, absent=False):
        self.address = os.fspath(address)
        self.application = (application or os.path.basename(sys.argv[0]) or 'python')[:63]
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._memory = self._pending = None
        self._items = []
        self._news = ctypes.c_uint32(0)
        self._gone, self._told = True, False
        self._door = self._bell_fd = None
        self._stop = os.eventfd(0) if hasattr(os, 'eventfd') else None
        self._stop_read, self._stop_write = (self._stop, self._stop) if self._stop is not None else os.pipe()
        try:
            self._attach()
        except (FileNotFoundError, ConnectionRefusedError):
            if not absent:
                self._put_away()
                raise
            self._told = True
        except BaseException:
            self._put_away()
            raise
        self._thread = threading.Thread(target=self._help, name='yarder.live', daemon=True)
        self._thread.start()
        self._look()

    def close(self):
        if self._stop_read is None:
            return
        if self._process != os.getpid():  # a child of who opened it: the thread and what it listens to are the parent's
            self._put_away()
            return
        os.write(self._stop_write, (1).to_bytes(8, sys.byteorder))
        self._thread.join()
        self._put_away()

    def _put_away(self):
        for fd in {self._stop_read, self._stop_write, self._bell_fd} - {None}:
            os.close(fd)
        if self._door is not None:
            self._door.close()
        self._stop_read = self._stop_write = self._bell_fd = self._door = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def attached(self):
        self._look()
        return not self._gone

    @property
    def generation(self):
        """Of the memory in use; 0: none ever."""
        self._look()
        return self._memory.generation if self._memory else 0

    @property
    def writer_pid(self):
        self._look()
        return self._memory.writer_pid if self._memory else 0

    def names(self, pattern=None):
        self._look()
        if self._memory is None:
            return []
        self._memory.look()
        matches = compile_pattern(pattern) if pattern else None
        return [name for name in self._memory.names if not matches or matches(name)]

    def follow(self, name):
        self._look()
        item = Item(self, canonical(name))
        self._items.append(item)
        return item

    def match(self, pattern='*'):
        self._look()
        return Matching(self, pattern)

    def wait(self, *items, timeout=None):
        """Sleeps until one of the items has something newer, and gives it. TimeoutError; WriterGone, once."""
        self._wait(lambda: any(item.changed() for item in items), lambda: {item.bell for item in items}, timeout)
        return next(item for item in items if item.changed())

    def _wait(self, ready, bells, timeout):
        until = float('inf') if timeout is None else time.monotonic() + timeout
        while True:
            news = self._news.value
            self._look()
            if ready():
                return
            if self._gone and not self._told:
                self._told = True
                raise WriterGone(f'{self.address}: the writer is gone')
            if time.monotonic() >= until:
                raise TimeoutError
            words = [(ctypes.addressof(self._news), news)]
            memory = self._memory
            if memory is not None and not self._gone:
                words += [memory.arm(word) for word in sorted(bells())]
            if ready() or self._news.value != news:
                continue
            _sleep(words, min(until, time.monotonic() + SLEEP_S))

    # ---- the door ----

    def _look(self):
        """Takes over what the thread has found."""
        if self._pending is None:
            return
        for item in self._items:
            if item._cell is None and item.last is not None:
                item._find()
        with self._lock:
            before, self._memory, self._pending = self._memory, self._pending, None
        self._told = False
        for item in self._items:
            item._leave(before, before is not None and before.writer == self._memory.writer)

    def _offer(self, memory):
        with self._lock:
            if memory is not None:
                self._pending = memory
            self._gone = memory is None
            self._news.value = self._news.value + 1 & 0xffffffff  # under the lock: nobody else writes it
        _futex(ctypes.addressof(self._news), _WAKE, 0x7fffffff)

    def _hear(self, door, until):
        """(type, message, descriptors), None: it hung up; False: we are to end."""
        while True:
            left = None if until is None else max(until - time.monotonic(), 0)
            readable = _readable([door.fileno(), self._stop_read], left)
            if self._stop_read in readable:
                return False
            if not readable:
                raise LiveError(f'{self.address}: does not answer')
            try:
                message, fds, _, _ = socket.recv_fds(door, 4096, 2, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                continue  # he did not hear us out; what he said lies behind that
            except OSError:
                return None
            if not message:
                return None
            if len(message) >= HEAD.size and HEAD.unpack_from(message)[0] == DOOR_MAGIC:
                return HEAD.unpack_from(message)[2], message, fds
            for fd in fds:
                os.close(fd)

    def _connect(self):
        """When many come at once the door's queue may be full for a moment."""
        until = time.monotonic() + ANSWER_S
        while True:
            door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            door.setblocking(False)
            try:
                door.connect(self.address)
                return door
            except BlockingIOError:
                door.close()
                if time.monotonic() >= until:
                    raise LiveError(f'{self.address}: does not answer') from None
                time.sleep(0.002)
            except OSError:
                door.close()
                raise

    def _attach(self):
        door = self._connect()
        fds = []
        try:
            try:
                door.send(struct.pack('=IHHQ64s', DOOR_MAGIC, 1, HELLO, 0, self.application.encode()[:63]))
            except BrokenPipeError:
                pass  # refused before we spoke: the reason lies there
            heard = self._hear(door, time.monotonic() + ANSWER_S)
            if not heard:
                raise LiveError(f'{self.address}: hung up')
            kind, message, fds = heard
            if kind == REFUSED and len(message) >= 24:
                text = message[24:].split(b'\0')[0].decode(errors='replace')
                raise PermissionError(errno.EPERM, text, self.address)
            if kind != WELCOME or len(fds) != 2:
                raise LiveError(f'{self.address}: an answer that no door of ours gives')
            memory = _Memory(*fds)
        except BaseException:
            door.close()
            for fd in fds:
                os.close(fd)
            raise
        os.close(fds[0])
        if self._bell_fd is not None:
            os.close(self._bell_fd)
        self._bell_fd, self._door = fds[1], door
        self._offer(memory)

    def _stay(self):
        """Until the writer hangs up (True), or we are to end."""
        while True:
            heard = self._hear(self._door, None)
            if not heard:
                return heard is None
            kind, _, fds = heard
            if kind == REPLACED and len(fds) == 1:
                try:
                    self._offer(_Memory(fds[0], self._bell_fd))
                except (LiveError, OSError, ValueError, struct.error):
                    pass  # what we have stays
            for fd in fds:
                os.close(fd)

    def _seek(self):
        """Until somebody is there again (True), or we are to end."""
        folder = os.path.dirname(self.address) or '.'
        while True:
            watch = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if watch >= 0 and _libc.inotify_add_watch(watch, os.fsencode(folder), 0x01000000 | 0x80 | 0x100 | 0x400 | 0x800) < 0:
                os.close(watch)
                watch = -1
            try:
                try:
                    self._attach()  # behind the watch: nobody comes unnoticed in between
                    return True
                except (OSError, LiveError, ValueError, struct.error):
                    pass
                if self._stop_read in _readable([self._stop_read] + [watch] * (watch >= 0), AGAIN_S):
                    return False
            finally:
                if watch >= 0:
                    os.close(watch)

    def _help(self):
        while True:
            if self._door is not None:
                if not self._stay():
                    return
                self._door.close()
                self._door = None
                self._offer(None)
            if not self._seek():
                return


# ---- a command, for a look and for tests ----

def as_json(name, value):
    shown = value.value
    if isinstance(shown, bytes):
        shown = shown.hex()
    if isinstance(shown, float) and shown - shown != 0:
        shown = None
    return json.dumps({'name': name, 'time_ns': value.time_ns, 'seq': value.seq, 'missed': value.missed,
                       'generation': value.generation, 'type': TYPES[value.type], 'value': shown, 'bits': value.bits})


def main():
    parser = argparse.ArgumentParser(prog='python3 -m yarder.live', description=__doc__.split('\n\n')[0])
    parser.add_argument('command', choices=('ls', 'get', 'watch'))
    parser.add_argument('socket')
    parser.add_argument('names', nargs='*', help='get: names; ls and watch: a pattern')
    args = parser.parse_args()
    try:
        with Live(args.socket) as live:
            if args.command == 'ls':
                print('\n'.join(live.names(args.names[0] if args.names else None)))
                return 0
            if args.command == 'get':
                values = [(name, live.follow(name).get()) for name in args.names]
                for name, value in values:
                    print(as_json(name, value) if value else f'{name} never had a value', file=sys.stdout if value else sys.stderr)
                return 0 if all(value for _, value in values) else 1
            matching = live.match(args.names[0] if args.names else '*')
            while True:
                for item in matching.ready():
                    for value in item.values():
                        print(as_json(item.name, value), flush=True)
                try:
                    matching.wait()
                except WriterGone as gone:
                    print(gone, file=sys.stderr, flush=True)
    except (ConnectionRefusedError, FileNotFoundError):
        print(f'{args.socket}: nobody is there; is the daemon running, and has it a Live element?', file=sys.stderr)
        return 1
    except (OSError, LiveError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == '__main__':
    sys.exit(main())
