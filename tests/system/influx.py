#!/usr/bin/env python3
"""The element Influx in real runs: curl-like requests, the influx command of Debian, datagrams, kill -9."""
import gzip
import http.client
import json
import os
import shutil
import socket
import subprocess

from harness import Daemon, ROOT, Skip, check_identity, free_port, main, wait_for, yarder

TOPOLOGY = '''
influx :: Influx(listen: "127.0.0.1:{influx}", udp: "127.0.0.1:{influx}", precision: "ns")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
influx -> metrics :: Log(stream: "metrics") -> history :: History()
influx.rejects -> File(path: "rejects.jsonl")
tsdb => history
'''
START = 1_700_000_000


def daemon_in(folder):
    return Daemon(folder, TOPOLOGY, ports={'influx': free_port(), 'tsdb': free_port()})


def ask(daemon, method, path, body=b'', headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', daemon.ports['influx'], timeout=100)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def points(daemon, name, tags='', start=START - 10):
    answer = daemon.query(f'none:{name}{tags}', start=str(start))
    return {k: v for series in answer if isinstance(answer, list) for k, v in series['dps'].items()}


def writes_are_stored_before_they_are_answered(folder):
    """1.x and 2.x writes, plain, gzip and chunked, are answered 204 when durable, and outlive kill -9"""
    with daemon_in(folder) as daemon:
        assert ask(daemon, 'POST', '/write?db=x&precision=s', b'cpu,host=a user=1.5,n=9007199254740993i %d\n' % START)[0] == 204
        packed = gzip.compress(b'cpu,host=a user=2 %d\n' % ((START + 1) * 1000))
        assert ask(daemon, 'POST', '/api/v2/write?org=o&bucket=b&precision=ms', packed, {'Content-Encoding': 'gzip'})[0] == 204
        connection = http.client.HTTPConnection('127.0.0.1', daemon.ports['influx'], timeout=100)
        connection.request('POST', '/write', (b'cpu,host=a user=%d %d\n' % (i, (START + i) * 10**9) for i in range(3, 6)),
                           encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
        assert connection.getresponse().status == 204
        connection.close()
        daemon.kill()
        daemon.start()
        got = wait_for(lambda: len(p := points(daemon, 'cpu_user', '{host=a}')) == 5 and p, why='the points')
        assert got == {str(START): 1.5, str(START + 1): 2, str(START + 3): 3, str(START + 4): 4, str(START + 5): 5}, got
        assert points(daemon, 'cpu_n') == {str(START): 9007199254740993}
        check_identity(daemon.status())


def bad_lines_are_named_and_their_neighbours_stored(folder):
    """bad lines: 400 or 422 with the first of them and how many, counted and kept in rejects; the good ones are there"""
    with daemon_in(folder) as daemon:
        body = b'ok v=1 1700000000\njunk\nok v=2 1700000001\nok v=x 1700000002\n'
        status, text, headers = ask(daemon, 'POST', '/write?precision=s', body)
        assert status == 400 and json.loads(text)['error'] == "partial write: unable to parse 'junk': no fields dropped=2", text
        assert 'partial write' in headers['X-Influxdb-Error']
        status, text, _ = ask(daemon, 'POST', '/api/v2/write?precision=s', body)
        assert status == 422 and 'dropped=2' in json.loads(text)['message'], text
        assert ask(daemon, 'POST', '/write', b'junk\n')[0] == 400
        assert ask(daemon, 'POST', '/write?precision=w', b'ok v=1\n')[0] == 400
        assert ask(daemon, 'POST', '/write', b'x v=1 1\n', {'Content-Encoding': 'br'})[0] == 415
        assert ask(daemon, 'POST', '/write', b'\x1f\x8bjunk', {'Content-Encoding': 'gzip'})[0] == 400
        assert ask(daemon, 'GET', '/write')[0] == 405
        assert ask(daemon, 'POST', '/elsewhere')[0] == 404
        assert points(daemon, 'ok_v') == {'1700000000': 1, '1700000001': 2}
        status = daemon.status()
        check_identity(status)
        rejected = next(p for p in daemon.element('influx')['inputs'] if p['name'] == 'pump')['rejected']
        assert rejected == 5, rejected
        wait_for(lambda: len(open(folder + '/rejects.jsonl').readlines()) == 5, why='the rejects')


def datagrams_are_lines_too(folder):
    """UDP: several lines a datagram, the last without an end, a bad one between them"""
    with daemon_in(folder) as daemon:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b'u a=1 1700000000000000000\nbad\nu b=2i 1700000000000000000', ('127.0.0.1', daemon.ports['influx']))
        wait_for(lambda: points(daemon, 'u_a') == {'1700000000': 1} and points(daemon, 'u_b') == {'1700000000': 2}, why='both')
        check_identity(daemon.status())


def hostile_bodies_hurt_nobody(folder):
    """a gzip bomb, an endless line and a slow peer: refused or waited for, while others are served"""
    with daemon_in(folder) as daemon:
        bomb = gzip.compress(b'm v=1 1\n' * (8 << 20))
        assert len(bomb) < 200_000
        assert ask(daemon, 'POST', '/write', bomb, {'Content-Encoding': 'gzip'})[0] == 413
        slow = socket.create_connection(('127.0.0.1', daemon.ports['influx']))
        slow.sendall(b'POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nm v')
        assert ask(daemon, 'POST', '/write', b'x' * (10 << 20))[0] == 400
        assert ask(daemon, 'POST', '/write', b'm v=1 1700000000000000000\n')[0] == 204
        slow.close()
        assert points(daemon, 'm_v') == {'1700000000': 1}
        check_identity(daemon.status())


def texts_do_nothing_to_a_terminal(folder):
    """texts and names with control characters are one line of `log cat`, and they are shown as \\x1b; as JSON they are what they were"""
    with daemon_in(folder) as daemon:
        text = 'st\x1b[31m\nfake 1\tend\u009b'
        assert ask(daemon, 'POST', '/write?precision=s', f'cpu,host=a y="{text}" {START}\n'.encode())[0] == 204
        shown = yarder('log', 'cat', 'metrics', '--data', daemon.data, check=0).stdout
        assert shown.count('\n') == 1 and 'st\\x1b[31m\\x0afake 1\\x09end\\xc2\\x9b' in shown and '\x1b' not in shown, shown
        assert json.loads(yarder('log', 'cat', 'metrics', '--json', '--data', daemon.data, check=0).stdout)['value'] == text
        assert ask(daemon, 'POST', '/write?precision=s', f'c\u009bpu\x7f v=1 {START}\n'.encode())[0] == 204  # of a number, too
        shown = yarder('log', 'cat', 'metrics', '--data', daemon.data, check=0).stdout.splitlines()
        assert len(shown) == 2 and 'c\\xc2\\x9bpu\\x7f' in shown[1] and '\u009b' not in shown[1] and '\x7f' not in shown[1], shown


def the_influx_command_writes(folder):
    """the influx command of Debian, unmodified: connects, lists databases, inserts; what it wrote is read back"""
    unpacked = subprocess.run([ROOT + '/tools/peer', 'influxdb-client'], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip('influxdb-client cannot be downloaded')
    influx = shutil.which('influx', path=unpacked.stdout.strip() + '/usr/bin')
    with daemon_in(folder) as daemon:
        base = [influx, '-host', '127.0.0.1', '-port', str(daemon.ports['influx'])]
        env = dict(os.environ, HOME=folder)
        shown = subprocess.run([*base, '-execute', 'SHOW DATABASES'], capture_output=True, text=True, timeout=120, env=env)
        assert shown.returncode == 0 and 'yarder' in shown.stdout, shown
        for i in range(3):
            done = subprocess.run([*base, '-database', 'yarder', '-execute',
                                   f'INSERT room,wing=east temp={20 + i}.5,name="a b" {START + i}000000000'],
                                  capture_output=True, text=True, timeout=120, env=env)
            assert done.returncode == 0, done
        got = points(daemon, 'room_temp', '{wing=east}')
        assert got == {str(START + i): 20.5 + i for i in range(3)}, got


if __name__ == '__main__':
    main(texts_do_nothing_to_a_terminal, writes_are_stored_before_they_are_answered, bad_lines_are_named_and_their_neighbours_stored,
          datagrams_are_lines_too, hostile_bodies_hurt_nobody, the_influx_command_writes)
