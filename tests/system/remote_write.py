#!/usr/bin/env python3
"""The element RemoteWrite in real runs: prometheus of Debian, unmodified, as the sender; answers, kill -9, hostile bodies."""
import http.client
import os
import shutil
import struct
import subprocess

from harness import Daemon, ROOT, Skip, check_identity, free_port, main, wait_for

TOPOLOGY = '''
remote :: RemoteWrite(listen: "127.0.0.1:{remote}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
remote -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
remote.rejects -> File(path: "rejects.jsonl")
'''
START = 1_700_000_000


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY, ports={'remote': free_port(), 'tsdb': free_port()})


def varint(number):
    out = b''
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def series(labels, samples):
    body = b''.join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels.items())
    body += b''.join(field(2, b'\x09' + struct.pack('<d', v) + b'\x10' + varint(t)) for t, v in samples)
    return field(1, body)


def snappy(data):
    """literals only: a block all the same"""
    out = varint(len(data))
    for i in range(0, len(data), 60):
        part = data[i:i + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return out


def write(daemon, body, method='POST', path='/api/v1/write', encoding='snappy', type='application/x-protobuf', version='0.1.0'):
    connection = http.client.HTTPConnection('127.0.0.1', daemon.ports['remote'], timeout=100)
    try:
        connection.request(method, path, body, {'Content-Encoding': encoding, 'Content-Type': type,
                                                'X-Prometheus-Remote-Write-Version': version})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def points(daemon, name):
    answer = daemon.query(f'none:{name}', start=str(START - 10))
    return {int(k): v for s in answer if isinstance(s, dict) and 'dps' in s for k, v in s['dps'].items()}


def writes_are_stored_before_they_are_answered(folder):
    """answered 204 when durable: kill -9 loses nothing"""
    with daemon_in(folder) as daemon:
        for i in range(5):
            status, text = write(daemon, snappy(series({'__name__': 'up', 'job': 'a'}, [((START + i) * 1000, i + 0.5)])))
            assert status == 204, (status, text)
        daemon.kill()
        daemon.start()
        wait_for(lambda: points(daemon, 'up{job=a}') == {START + i: i + 0.5 for i in range(5)}, why='the samples')
        check_identity(daemon.status())


def bad_series_are_named_and_their_neighbours_stored(folder):
    """400 with how many and why; what is not finite is no mistake; bodies that are none store nothing"""
    with daemon_in(folder) as daemon:
        at = START * 1000
        good = series({'__name__': 'good'}, [(at, 1)])
        status, text = write(daemon, snappy(series({'job': 'x'}, [(at, 1), (at, 2)]) + good))
        assert status == 400 and text == '2 not taken, the first one: series without a name\n', (status, text)
        wait_for(lambda: points(daemon, 'good') == {START: 1}, why='the good one')
        assert write(daemon, snappy(series({'__name__': 'n'}, [(at, float('nan')), (at, float('inf'))])))[0] == 204
        for body in (b'', b'junk', snappy(good[:-1]), snappy(good)[:-1], b'\xff\xff\xff\xff\x0f' + b'x' * 100, os.urandom(5000)):
            assert write(daemon, body)[0] == 400, body
        wait_for(lambda: (text := open(folder + '/rejects.jsonl').read()) and 'series without a name' in text and
                 'not a Snappy block' in text and 'value not finite' in text, why='the rejects as records')
        assert write(daemon, snappy(good), encoding='zstd')[0] == 415
        assert write(daemon, snappy(good), path='/write')[0] == 404
        assert write(daemon, b'', method='GET')[0] == 405
        check_identity(daemon.status())


def version_2_is_refused_by_its_name(folder):
    """remote write 2.0, however it is spelled: 415, named, counted, nothing stored; 1.0 by its full name is taken"""
    with daemon_in(folder) as daemon:
        good = snappy(series({'__name__': 'good'}, [(START * 1000, 1)]))
        protobuf, v2 = 'application/x-protobuf', 'io.prometheus.write.v2.Request'
        for type in (f'{protobuf};proto={v2}', f'{protobuf}; proto={v2}', f'{protobuf} ;PROTO="{v2}" ', f'{protobuf};q=1; proto={v2}',
                     f'{protobuf};proto=some.Other'):
            status, text = write(daemon, good, type=type, version='2.0.0')
            assert status == 415 and v2 in text and 'protobuf_message' in text, (type, status, text)
        assert write(daemon, good, version='2.0.0')[0] == 415
        assert points(daemon, 'good') == {}
        refused = [r for r in daemon.element('remote')['reasons'] if 'remote write 2.0' in r['reason']]
        assert [r['rejected'] for r in refused] == [6], refused
        assert write(daemon, good, type=f'{protobuf}; proto="prometheus.WriteRequest"', version='0.1.0')[0] == 204
        wait_for(lambda: points(daemon, 'good') == {START: 1}, why='the good one')
        stale = struct.unpack('<d', struct.pack('<Q', 0x7ff0000000000002))[0]
        status, text = write(daemon, snappy(series({'__name__': 'good'}, [((START + 1) * 1000, stale), ((START + 2) * 1000, 2)])))
        assert status == 204, (status, text)
        wait_for(lambda: points(daemon, 'good') == {START: 1, START + 2: 2}, why='no point where the marker was')
        assert {r['reason']: r['rejected'] for r in daemon.element('remote')['reasons']}['staleness marker'] == 1
        check_identity(daemon.status())


def prometheus_writes(folder):
    """prometheus scrapes itself and writes by remote write; its series are found with their labels"""
    unpacked = subprocess.run([ROOT + '/tools/peer', 'prometheus'], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip('prometheus cannot be downloaded')
    binary = shutil.which('prometheus', path=unpacked.stdout.strip() + '/usr/bin')
    port = free_port()
    with daemon_in(folder) as daemon:
        with open(folder + '/prometheus.yml', 'w') as f:
            f.write(f'''
global: {{scrape_interval: 1s}}
remote_write:
  - url: http://127.0.0.1:{daemon.ports["remote"]}/api/v1/write
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
''')
        with open(folder + '/prometheus.log', 'w') as log:
            prometheus = subprocess.Popen([binary, '--config.file', folder + '/prometheus.yml', '--storage.tsdb.path', folder + '/tsdb',
                                           '--web.listen-address', f'127.0.0.1:{port}'], stdout=log, stderr=log)
        try:
            wait_for(lambda: 1 in points(daemon, f'up{{job=self,instance=127.0.0.1:{port}}}').values(), why='up')
            wait_for(lambda: points(daemon, 'prometheus_build_info{job=self}'), why='its build')
            bad = {r['reason'] for r in daemon.element('remote')['reasons'] if r['rejected']}
            assert bad <= {'value not finite', 'staleness marker'}, bad
            check_identity(daemon.status())
        except AssertionError:
            print('# ' + open(folder + '/prometheus.log').read().replace('\n', '\n# '))
            raise
        finally:
            prometheus.kill()
            prometheus.wait()


main(writes_are_stored_before_they_are_answered, bad_series_are_named_and_their_neighbours_stored, version_2_is_refused_by_its_name,
     prometheus_writes)
