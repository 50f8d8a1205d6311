#!/usr/bin/env python3
"""The native protocol over TLS: certificates of both sides, refusals, much data, a slow reader, a kill in the middle."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

from harness import Daemon, Skip, YARDER, free_port, main, wait_for, yarder

TOPOLOGY = 'native :: Native(listen: "127.0.0.1:{native}", create: true, tls_cert: "%s/server.pem", tls_key: "%s/server.key"%s)\n'


def openssl(*args, cwd):
    done = subprocess.run(['openssl', *args], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)


def authority(folder, name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
            f'/CN={name}', '-keyout', f'{name}.key', '-out', f'{name}.pem', cwd=folder)


def certificate(folder, ca, name, hosts='DNS:localhost,IP:127.0.0.1'):
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', f'/CN={name}', '-keyout',
            f'{name}.key', '-out', f'{name}.csr', cwd=folder)
    with open(f'{folder}/{name}.ext', 'w') as f:
        f.write(f'subjectAltName={hosts}\n')
    openssl('x509', '-req', '-in', f'{name}.csr', '-CA', f'{ca}.pem', '-CAkey', f'{ca}.key', '-CAcreateserial', '-days', '2',
            '-extfile', f'{name}.ext', '-out', f'{name}.pem', cwd=folder)


def world(folder):
    if not shutil.which('openssl'):
        raise Skip('openssl is not there to make certificates')
    authority(folder, 'ca')
    authority(folder, 'stranger')
    certificate(folder, 'ca', 'server')
    certificate(folder, 'ca', 'client')
    certificate(folder, 'stranger', 'intruder')


def daemon(folder, more=''):
    ports = {'native': free_port(), 'graphite': 0, 'tsdb': 0}
    return Daemon(folder, TOPOLOGY % (folder, folder, more), ports=ports)


def at(d, host='localhost'):
    return f'tls:{host}:{d.ports["native"]}'


def records_go_both_ways(folder):
    """records are appended and read back over TLS"""
    world(folder)
    with daemon(folder) as d:
        text = ''.join(f'line {i} of many\n' for i in range(50000))
        done = subprocess.run([YARDER, 'log', 'append', 's', '--create', '--at', at(d), '--ca', f'{folder}/ca.pem'],
                              input=text, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        read = yarder('log', 'subscribe', 's', '--from', 'oldest', '--stop', '--json', '--at', at(d, '127.0.0.1'), '--ca',
                      f'{folder}/ca.pem', check=0)
        values = [json.loads(line)['value'] for line in read.stdout.splitlines()]
        assert values == text.splitlines(), (len(values), values[:2])
        status = d.status()
        assert any('TLS' in listen['what'] for listen in status['listens']), status['listens']


def strangers_are_refused(folder):
    """a certificate of another authority, of another host and no TLS at all are refused with a reason"""
    world(folder)
    with daemon(folder) as d:
        wrong = yarder('log', 'ls', '--at', at(d), '--ca', f'{folder}/stranger.pem', '--timeout', '30s')
        assert wrong.returncode == 1 and 'certificate' in wrong.stderr.lower(), wrong.stderr
        plain = yarder('log', 'ls', '--at', f'127.0.0.1:{d.ports["native"]}', '--timeout', '2s')
        assert plain.returncode == 1, plain.stderr
        with socket.create_connection(('127.0.0.1', d.ports['native'])) as s:
            s.sendall(b'GET / HTTP/1.1\r\n\r\n' * 100)
            s.settimeout(60)
            while s.recv(4096):
                pass
        good = yarder('log', 'ls', '--at', at(d), '--ca', f'{folder}/ca.pem', check=0)
        assert 'STREAM' in good.stdout


def client_certificates_are_asked_for(folder):
    """with tls_ca a peer without a certificate, or with a stranger's, does not get in"""
    world(folder)
    with daemon(folder, f', tls_ca: "{folder}/ca.pem"') as d:
        base = ['log', 'ls', '--at', at(d), '--ca', f'{folder}/ca.pem', '--timeout', '3s']
        assert yarder(*base).returncode == 1
        assert yarder(*base, '--cert', f'{folder}/intruder.pem', '--key', f'{folder}/intruder.key').returncode == 1
        good = yarder(*base, '--cert', f'{folder}/client.pem', '--key', f'{folder}/client.key')
        assert good.returncode == 0, good.stderr


def beyond_this_machine_certificates_are_enough(folder):
    """beyond loopback TLS alone is refused at the start, TLS with client certificates is not"""
    world(folder)
    for more, good in (('', False), (f', tls_ca: "{folder}/ca.pem"', True)):
        with open(folder + '/open.yd', 'w') as f:
            f.write((TOPOLOGY % (folder, folder, more)).replace('127.0.0.1:{native}', ':0'))
        with open(folder + '/said', 'w') as err:
            process = subprocess.Popen([YARDER, 'run', folder + '/open.yd', '--data', folder + '/open'], stderr=err,
                                       stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: process.poll() is not None or os.path.exists(folder + '/open/status.sock'), why='the start or its end')
            if good:
                assert process.poll() is None, open(folder + '/said').read()
            else:
                assert process.wait(90) == 1 and 'client certificates' in open(folder + '/said').read(), open(folder + '/said').read()
        finally:
            process.kill()
            process.wait()


def much_data_and_a_slow_reader(folder):
    """a reader that stops costs the others nothing, and gets all of it when it goes on"""
    world(folder)
    with daemon(folder) as d:
        packets = os.urandom(1 << 20) * 50
        done = subprocess.run([YARDER, 'log', 'append', 's', '--create', '--packets', '1024', '--at', at(d), '--ca',
                               f'{folder}/ca.pem'], input=packets, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        command = [YARDER, 'log', 'subscribe', 's', '--from', 'oldest', '--stop', '--json', '--at', at(d), '--ca',
                   f'{folder}/ca.pem']
        slow = subprocess.Popen(command, stdout=subprocess.PIPE)
        time.sleep(0.3)
        other = subprocess.run(command, capture_output=True, timeout=250)
        assert other.returncode == 0 and other.stdout.count(b'\n') == 50 * 1024, other.stderr
        assert slow.stdout.read().count(b'\n') == 50 * 1024
        assert slow.wait(200) == 0
        slow.stdout.close()


def a_kill_in_the_middle_is_survived(folder):
    """appends over TLS go on after kill -9: each acknowledged line once"""
    world(folder)
    d = daemon(folder).start()
    try:
        source = subprocess.Popen([YARDER, 'log', 'append', 's', '--create', '--at', at(d), '--ca', f'{folder}/ca.pem',
                                   '--timeout', '30s'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(20000):
            source.stdin.write(f'{i}\n')
            if i == 9000:
                source.stdin.flush()
                wait_for(lambda: os.path.exists(d.data + '/streams/s/0/control'), why='the first lines')
                d.kill()
                d.start()
        source.stdin.close()
        assert source.wait(200) == 0
        source.stdout.close()
        out = yarder('log', 'cat', 's', '--json', '--data', d.data, check=0).stdout
        assert [json.loads(line)['value'] for line in out.splitlines()] == [str(i) for i in range(20000)]
    finally:
        d.kill()


LEADER = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}")
native :: Native(listen: "127.0.0.1:{native}", tls_cert: "%s/server.pem", tls_key: "%s/server.key", tls_ca: "%s/ca.pem")
graphite -> metrics :: Log(stream: "metrics", segment: 1MiB) -> nowhere :: Null()
'''


def follower(folder, name, *options):
    """A process that follows, and the file of what it says."""
    out = open(f'{folder}/{name}.log', 'w')
    process = subprocess.Popen([YARDER, 'log', 'follow', '--stream', 'metrics', '--data', f'{folder}/{name}', *options],
                               stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    out.close()
    return process


def said(folder, name):
    with open(f'{folder}/{name}.log') as f:
        return f.read()


def durable(data):
    out = yarder('log', 'stat', 'metrics', '--data', data, '--json', check=None).stdout
    found = re.search(r'"durable":\s*(\d+)', out)
    return int(found.group(1)) if found else None


def a_replica_follows_over_tls(folder):
    """a replica follows over TLS by its leader's name, with a certificate of its own, also after kill -9 of the leader"""
    world(folder)
    ports = {'native': free_port(), 'graphite': free_port(), 'tsdb': 0}
    d = Daemon(folder, LEADER % (folder, folder, folder), ports=ports).start()
    one = None
    try:
        d.lines(''.join(f'load.{i % 40} {i} 1700000000\n' for i in range(20000)))
        one = follower(folder, 'copy', '--from', at(d), '--ca', f'{folder}/ca.pem', '--cert', f'{folder}/client.pem',
                       '--key', f'{folder}/client.key')
        wait_for(lambda: durable(f'{folder}/copy') == 20000, why='the copy')
        d.kill()
        d.start()
        d.lines(''.join(f'load.{i % 40} {i} 1700000000\n' for i in range(5000)))
        wait_for(lambda: durable(f'{folder}/copy') == 25000, why='the copy after the crash')
    finally:
        if one:
            one.kill()
            one.wait()
        d.kill()
    yarder('log', 'verify', 'metrics', '--data', f'{folder}/copy', check=0)


def followers_that_are_refused_say_why(folder):
    """a wrong authority, a wrong name, no certificate, no TLS at either end, no such host: each follower says it"""
    world(folder)
    ports = {'native': free_port(), 'graphite': free_port(), 'tsdb': 0}
    plain = free_port()
    topology = LEADER % (folder, folder, folder) + 'plain :: Native(listen: "127.0.0.1:%d")\n' % plain
    ours = ('--cert', f'{folder}/client.pem', '--key', f'{folder}/client.key')
    good = ('--ca', f'{folder}/ca.pem')
    with Daemon(folder, topology, ports=ports) as d:
        cases = {
            'stranger': (('--from', at(d), '--ca', f'{folder}/stranger.pem', *ours), 'issuer is unknown'),
            'name': (('--from', at(d), *good, *ours, '--tls-name', 'other.example'), 'does not match the expected'),
            'nobody': (('--from', at(d), *good), 'ertificate'),
            'plain': (('--from', f'127.0.0.1:{ports["native"]}',), 'speaks TLS'),
            'leader': (('--from', f'tls:localhost:{plain}', *good, *ours), 'does not speak TLS'),
            'host': (('--from', 'nobody.invalid:4280',), 'looking up nobody.invalid'),
        }
        processes = {name: follower(folder, name, *options) for name, (options, _) in cases.items()}
        try:
            for name, (_, text) in cases.items():
                try:
                    wait_for(lambda n=name, t=text: t in said(folder, n))  # `host` asks name servers, if there are any
                except AssertionError:
                    raise AssertionError(f'{name}: {text!r} is not in: {said(folder, name)}')
                assert processes[name].poll() is None, name + ' gave up'
                assert durable(f'{folder}/{name}') in (0, None)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


if __name__ == '__main__':
    main(records_go_both_ways, strangers_are_refused, client_certificates_are_asked_for,
         beyond_this_machine_certificates_are_enough, much_data_and_a_slow_reader, a_kill_in_the_middle_is_survived,
         a_replica_follows_over_tls, followers_that_are_refused_say_why)
