#!/usr/bin/env python3
"""collectd from Debian, unmodified, its network plug-in pointed at an element Collectd: plain, signed, encrypted."""
import os
import shutil
import socket
import struct
import subprocess

from harness import Daemon, ROOT, Skip, check_identity, free_port, main, wait_for

TOPOLOGY = '''
collectd :: Collectd(listen: "127.0.0.1:{collectd}", types: ["{types}"]{more})
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
collectd -> metrics :: Log(stream: "metrics") -> history :: History()
metrics -> File(path: "records.jsonl")
tsdb => history
collectd.rejects -> File(path: "rejects.jsonl")
'''
CONFIG = '''
Hostname "testhost"
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "{plugins}"
TypesDB "{types}"
Interval 1
LoadPlugin cpu
LoadPlugin load
LoadPlugin interface
LoadPlugin threshold
LoadPlugin network
<Plugin network>
  <Server "127.0.0.1" "{port}">
    {security}
  </Server>
</Plugin>
<Plugin threshold>
  <Plugin "load">
    <Type "load">
      DataSource "shortterm"
      FailureMin 100000
      Persist true
    </Type>
  </Plugin>
</Plugin>
'''


def peer():
    unpacked = subprocess.run([ROOT + '/tools/peer', 'collectd-core'], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip('collectd-core cannot be downloaded')
    return unpacked.stdout.strip()


def daemon_in(folder, unpacked, more=''):
    text = TOPOLOGY.replace('{types}', unpacked + '/usr/share/collectd/types.db').replace('{more}', more)
    return Daemon(folder, text, ports={'collectd': free_port(), 'tsdb': free_port()})


class Collectd:
    def __init__(self, folder, unpacked, port, security=''):
        with open(folder + '/collectd.conf', 'w') as f:
            f.write(CONFIG.format(folder=folder, plugins=unpacked + '/usr/lib/collectd', port=port, security=security,
                                  types=unpacked + '/usr/share/collectd/types.db'))
        binary = shutil.which('collectd', path=f'{unpacked}/usr/sbin:{unpacked}/usr/bin')
        self.process = subprocess.Popen([binary, '-f', '-C', folder + '/collectd.conf'], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=dict(os.environ, LC_ALL='C'))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.kill()
        said = self.process.communicate()[0]
        if kind:
            print('# ' + said.replace('\n', '\n# '))


def reasons(daemon):
    found = {}
    for reason in daemon.element('collectd')['reasons']:
        if reason['rejected'] + reason.get('dropped', 0):
            found[reason['reason']] = reason['rejected'] + reason.get('dropped', 0)
    return found


def arrive(daemon):
    wait_for(lambda: (a := daemon.query('sum:cpu{host=testhost,plugin_instance=0,type_instance=idle}', start='5m-ago'))
             and a[0].get('dps'), why='cpu')
    for name in ('load.shortterm', 'load.longterm', 'interface.if_octets.rx'):
        wait_for(lambda: (a := daemon.query(f'sum:{name}{{host=testhost}}', start='5m-ago')) and a[0].get('dps'),
                 why=name)
    check_identity(daemon.status())


def collectd_writes_in(folder):
    """values of one and of several sources come under their names, and a notification as an EVENT; nothing is refused"""
    unpacked = peer()
    with daemon_in(folder, unpacked) as daemon:
        with Collectd(folder, unpacked, daemon.ports['collectd']):
            arrive(daemon)
            event = wait_for(lambda: [line for line in open(folder + '/records.jsonl') if '"EVENT"' in line],
                             why='a notification')[0]
            assert 'severity=failure' in event and 'load' in event, event
        assert set(reasons(daemon)) <= {'value not finite'}, reasons(daemon)


def secured(folder, level):
    unpacked = peer()
    with open(folder + '/users', 'w') as f:
        f.write('# who may\nalice: secret\n')
    word = {'Sign': 'sign', 'Encrypt': 'encrypt'}[level]
    with daemon_in(folder, unpacked, f', auth_file: "{folder}/users", security: "{word}"') as daemon:
        for user, password, why in (('alice', 'guess', 'signature or password wrong'), ('bob', 'secret', 'unknown user')):
            with Collectd(folder, unpacked, daemon.ports['collectd'],
                          f'SecurityLevel "{level}"\nUsername "{user}"\nPassword "{password}"'):
                wait_for(lambda: reasons(daemon).get(why, 0) > 0, why=why)
        with Collectd(folder, unpacked, daemon.ports['collectd']):
            wait_for(lambda: reasons(daemon).get('not signed as demanded', 0) > 0, why='plain ones refused')
        assert not daemon.query('sum:load.shortterm{host=testhost}', start='5m-ago') or \
            'error' in daemon.query('sum:load.shortterm{host=testhost}', start='5m-ago')
        with Collectd(folder, unpacked, daemon.ports['collectd'],
                      f'SecurityLevel "{level}"\nUsername "alice"\nPassword "secret"'):
            arrive(daemon)


def signed_packets_are_checked(folder):
    """signed by who is known: taken; by a stranger, with a wrong password, or not at all: refused and counted"""
    secured(folder, 'Sign')


def encrypted_packets_are_checked(folder):
    """encrypted likewise"""
    secured(folder, 'Encrypt')


def junk_costs_itself_only(folder):
    """packets that are none are counted; a good one behind them is stored"""
    def text(kind, words):
        return struct.pack('>HH', kind, len(words) + 5) + words.encode() + b'\0'

    with daemon_in(folder, peer()) as daemon:
        good = (text(0, 'h') + struct.pack('>HHQ', 8, 12, 1_700_000_000 << 30) + text(2, 'load') + text(4, 'load')
                + struct.pack('>HHHBBB', 6, 33, 3, 1, 1, 1) + struct.pack('<ddd', 1, 2, 3))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for bad in (b'x', b'\0\0\0\0', b'\0\0\xff\xff' + b'y' * 100, good[:-1], os.urandom(1400)):
                s.sendto(bad, ('127.0.0.1', daemon.ports['collectd']))
            s.sendto(good, ('127.0.0.1', daemon.ports['collectd']))
        answer = wait_for(lambda: (a := daemon.query('none:load.midterm{host=h}', start='1699999990')) and a[0].get('dps') and a,
                          why='the good one')
        assert answer[0]['dps'] == {'1700000000': 2}, answer
        wait_for(lambda: reasons(daemon).get('bad part', 0) >= 4, why='the counts')
        wait_for(lambda: 'bad part' in open(folder + '/rejects.jsonl').read(), why='the rejects as records')
        check_identity(daemon.status())


main(collectd_writes_in, signed_packets_are_checked, encrypted_packets_are_checked, junk_costs_itself_only)
