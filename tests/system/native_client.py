"""A tiny client of the native protocol, for tests: frames by struct, batches of U64 samples, nothing of our C."""
import socket
import struct
import time

(HELLO, WELCOME, REFUSED, GOODBYE, PING, PONG) = range(1, 7)
(OPEN, OPENED, APPEND, APPENDED, SUBSCRIBE, BATCHES, GAP, POSITION, CREDIT, CANCEL, END) = range(16, 27)
QUERY, REPLY = 32, 33
MEMORY, WRITTEN, DURABLE, REPLICATED = 1, 2, 3, 4
OLDEST, TAIL, SEQNO, TIME = 0, 1, 2, 3
NEVER = (1 << 64) - 1
ERRORS = {-2: 'EINVAL', -4: 'EFULL', -7: 'ENOENT', -12: 'EVERSION', -13: 'EFORMAT', -14: 'ETOOBIG', -15: 'ECLOSED',
          -16: 'ETIMEOUT', -18: 'EPERM', -22: 'ECONNRESET', -24: 'EGAP', -26: 'EEPOCH', -9: 'ENOSPC', -17: 'ECANCELED',
          -10: 'ENOSPC', -11: 'ECORRUPT', -3: 'ERANGE', -19: 'ENOTSUP', -28: 'EREADONLY'}


def _table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = _table()


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return crc ^ 0xffffffff


M = (1 << 64) - 1
def xxh3_9to16(data):
    """XXH3, 64 bits, seed 0, for 9 to 16 bytes: enough for a test's names."""
    assert 9 <= len(data) <= 16
    secret = SECRET_BYTES
    q = lambda b, at: struct.unpack_from('<Q', b, at)[0]
    flip1, flip2 = q(secret, 24) ^ q(secret, 32), q(secret, 40) ^ q(secret, 48)
    low, high = q(data, 0) ^ flip1, q(data, len(data) - 8) ^ flip2
    swapped = int.from_bytes(low.to_bytes(8, 'little'), 'big')
    product = low * high
    h = (len(data) + swapped + high + ((product & M) ^ (product >> 64))) & M
    h ^= h >> 37
    h = h * 0x165667919E3779F9 & M
    return h ^ (h >> 32)


SECRET_BYTES = bytes([
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d,
    0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0,
    0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0,
    0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c])


def pad(data, to):
    return data + bytes(-len(data) % to)


def batch(values, name='native.test', producer=0, epoch=0, seq=0, when=None, type=3):
    """One sealed batch of U64 samples of one name (9 to 16 bytes); type: of another scalar, as its bits."""
    raw = name.encode()
    when = time.time_ns() if when is None else when
    records = b''.join(struct.pack('<qIBBHQ', when + i, 0, 1, type, 0, value) for i, value in enumerate(values))
    body = records + struct.pack('<IIQ', 0, len(raw), xxh3_9to16(raw)) + pad(raw, 8)
    size = (128 + len(body) + 63) // 64 * 64
    head = lambda crc: struct.pack('<IHBBIIQIIIIQIIQqqqQQIII12x', 0x42445901, 1, 0, 1, size, crc, 0, len(values),
                                   crc32c(body), len(body), len(body), 0, 0, 0, 0, when, when + len(values) - 1, 0,
                                   producer, seq, epoch, 2, 1)
    return pad(head(crc32c(head(0))) + body, 64)


def batches_of(data):
    """(base_seqno, values) of each batch in the bytes."""
    at, out = 0, []
    while at < len(data):
        magic, _, _, _, size, _, base, count = struct.unpack_from('<IHBBIIQI', data, at)
        assert magic == 0x42445901, hex(magic)
        out.append((base, [struct.unpack_from('<qIBBHQ', data, at + 128 + 24 * i)[5] for i in range(count)]))
        at += size
    return out


class Refused(Exception):
    def __init__(self, body):
        error, self.retry, self.detail, self.detail2, size = struct.unpack_from('<iIQQH', body)
        self.error = ERRORS.get(error, error)
        self.text = body[32:32 + size].decode()
        super().__init__(f'{self.error}: {self.text}')


class Native:
    def __init__(self, address, token='', hello=True, timeout=20):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(('127.0.0.1', address), timeout=timeout)
        self.correlation = 0
        self.kept = []
        if hello:
            self.hello(token)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def hello(self, token='', versions=(1, 1), magic=0x50434459):
        text = b'test'
        self.send(HELLO, struct.pack('<IHHHHI', magic, *versions, len(text), len(token), 0) + text + token.encode())
        kind, _, body = self.receive()
        if kind == GOODBYE:
            raise Refused(body)
        assert kind == WELCOME, kind
        self.version, _, self.frame_max, self.server_id, size = struct.unpack_from('<HHIQH', body)
        self.server = body[24:24 + size].decode()

    def send(self, kind, body=b'', correlation=None, flags=0):
        if correlation is None:
            self.correlation += 1
            correlation = self.correlation
        body = pad(body, 8)
        self.socket.sendall(struct.pack('<IHHQ', 16 + len(body), kind, flags, correlation) + body)
        return correlation

    def exactly(self, size):
        chunks = []
        while size:
            chunk = self.socket.recv(min(size, 1 << 20))
            if not chunk:
                raise EOFError('the server closed')
            chunks.append(chunk)
            size -= len(chunk)
        return b''.join(chunks)

    def receive(self):
        size, kind, _, correlation = struct.unpack('<IHHQ', self.exactly(16))
        return kind, correlation, self.exactly(size - 16)

    def answer(self, correlation):
        """The next frame of this correlation; others are kept for their own askers."""
        while True:
            for i, (kind, mine, body) in enumerate(self.kept):
                if mine == correlation:
                    del self.kept[i]
                    break
            else:
                kind, mine, body = self.receive()
                if kind == PING:
                    self.send(PONG, body, mine)
                    continue
                if kind == GOODBYE:
                    raise Refused(body)
                if mine != correlation:
                    self.kept.append((kind, mine, body))
                    continue
            if kind == REFUSED:
                raise Refused(body)
            return kind, body

    def open(self, stream, create=False, producer=0):
        raw = stream.encode()
        c = self.send(OPEN, struct.pack('<HHIQ', len(raw), 0, int(create), producer) + raw)
        kind, body = self.answer(c)
        assert kind == OPENED, kind
        names = ('handle', 'partitions', 'log_id', 'epoch', 'flags', 'first', 'written', 'durable', 'replicated',
                 'producer_seq', 'producer_epoch', '_', 'dir_size')
        opened = dict(zip(names, struct.unpack_from('<IIQIIQQQQQIIH', body)))
        opened['dir'] = body[80:80 + opened['dir_size']].decode()
        return opened

    def send_append(self, handle, batches, level=DURABLE, expect_seqno=None, expect_prev=None):
        flags = (expect_seqno is not None) | (expect_prev is not None) << 1
        return self.send(APPEND, struct.pack('<IBBHQQII', handle, level, flags, len(batches), expect_seqno or 0,
                                             expect_prev or 0, 0, 0) + b''.join(batches))

    def appended(self, correlation):
        kind, body = self.answer(correlation)
        assert kind == APPENDED, kind
        return dict(zip(('first', 'next', 'level', 'flags', 'in_sync', 'duplicates'),
                        struct.unpack_from('<QQBBHI', body)))

    def append(self, handle, batches, **how):
        return self.appended(self.send_append(handle, batches, **how))

    def subscribe(self, handle, start=OLDEST, level=DURABLE, flags=0, seqno=0, time_ns=0, epoch=0, kinds=0, until=NEVER,
                  count=NEVER, credit=1 << 40, interval_ms=0, names='', cursor=''):
        return self.send(SUBSCRIBE, struct.pack('<IBBHQqIIQQQIHH', handle, start, level, flags, seqno, time_ns, epoch,
                                                kinds, until, count, credit, interval_ms, len(names), len(cursor)) +
                         names.encode() + cursor.encode())

    def to_end(self, correlation):
        """(values, gaps, next) of a subscription up to its END."""
        values, gaps = [], []
        while True:
            kind, body = self.answer(correlation)
            if kind == BATCHES:
                for _, some in batches_of(body[8:]):
                    values += some
            elif kind == GAP:
                gaps.append(struct.unpack_from('<QQ', body))
            else:
                assert kind == END, kind
                error, _, _, seqno = struct.unpack_from('<iHHQ', body)
                assert error == 0, error
                return values, gaps, seqno
