#!/usr/bin/env python3
"""collectd from Debian, unmodified, with write_graphite and write_tsdb pointed at us."""
import os
import shutil
import subprocess

from harness import Daemon, ROOT, Skip, check_identity, main, wait_for

CONFIG = '''
Hostname "testhost"
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "{plugins}"
TypesDB "{types}"
Interval 1
LoadPlugin cpu
LoadPlugin load
LoadPlugin write_graphite
LoadPlugin write_tsdb
<Plugin write_graphite>
  <Node "ours">
    Host "127.0.0.1"
    Port "{graphite}"
    Protocol "tcp"
    Prefix "graphite."
  </Node>
</Plugin>
<Plugin write_tsdb>
  <Node>
    Host "127.0.0.1"
    Port "{tsdb}"
    HostTags "from=collectd"
    StoreRates false
  </Node>
</Plugin>
'''


def collectd_shows_its_cpu(folder):
    """collectd's CPU figures, by write_graphite and by write_tsdb, come back through query and suggest"""
    unpacked = subprocess.run([ROOT + '/tools/peer', 'collectd-core'], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip('collectd-core cannot be downloaded')
    peer = unpacked.stdout.strip()
    binary = shutil.which('collectd', path=f'{peer}/usr/sbin:{peer}/usr/bin')
    with Daemon(folder) as daemon:
        with open(folder + '/collectd.conf', 'w') as f:
            f.write(CONFIG.format(folder=folder, plugins=f'{peer}/usr/lib/collectd', types=f'{peer}/usr/share/collectd/types.db',
                                  **daemon.ports))
        # the plug-ins may need libraries beside them
        collectd = subprocess.Popen([binary, '-f', '-C', folder + '/collectd.conf'], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, env=dict(os.environ, LC_ALL='C'))
        try:
            names = wait_for(lambda: (n := daemon.http('/api/suggest?type=metrics&max=1000')[1])
                             and any(x.startswith('graphite.testhost.cpu-0') for x in n)
                             and any(x.startswith('cpu.') for x in n) and n, why='collectd writing')
            graphite = next(n for n in names if n.startswith('graphite.testhost.cpu-0'))
            tsdb = next(n for n in names if n.startswith('cpu.'))
            wait_for(lambda: daemon.query(f'sum:{graphite}', start='5m-ago'), why=f'an answer for {graphite}')
            answer = wait_for(lambda: daemon.query(f'sum:{tsdb}{{fqdn=*}}', start='5m-ago'), why=f'an answer for {tsdb}')
            assert answer and answer[0]['tags']['fqdn'] == 'testhost', answer
            wait_for(lambda: 'collectd' in daemon.http('/api/suggest?type=tagv&q=coll')[1], why='the tag')
            status = daemon.status()
            check_identity(status)
            for element in status['elements']:
                # a rate's first value is nan in collectd: that is the one thing to refuse
                assert all(r['rejected'] == 0 or r['reason'] == 'value not finite' for r in element['reasons']), element
        except AssertionError:
            collectd.kill()
            print('# ' + collectd.communicate()[0].replace('\n', '\n# '))
            raise
        finally:
            collectd.kill()
            collectd.wait()
            collectd.stdout.close()
        daemon.stop()


main(collectd_shows_its_cpu)
