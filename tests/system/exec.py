#!/usr/bin/env python3
"""The element Exec in real runs: a command's lines are stored; runs do not overlap; bad commands hurt nobody."""
import os
import time

from harness import Daemon, check_identity, free_port, main, wait_for

TOPOLOGY = '''
agent :: Exec(command: ["/bin/sh", "{script}"], every: 200ms, splay: {splay}{more})
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
agent -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
'''
START = 1_700_000_000


def daemon_in(folder, script, more='', splay='false', topology=TOPOLOGY):
    with open(folder + '/script', 'w') as f:
        f.write(script)
    text = topology.replace('{script}', folder + '/script').replace('{more}', more).replace('{splay}', splay)
    return Daemon(folder, text, ports={'tsdb': free_port()})


def points(daemon, name):
    answer = daemon.query(f'none:{name}', start=str(START - 10))
    return {int(k): v for s in answer if isinstance(s, dict) and 'dps' in s for k, v in s['dps'].items()}


def reasons(daemon):
    return {r['reason'] for r in daemon.element('agent')['reasons'] if r['rejected']}


def lines_are_stored_and_bad_ones_counted(folder):
    """each run's lines, its last without an end; bad lines beside them; what it says to its standard error"""
    with daemon_in(folder, f'echo "a;k=v 1.5 {START}"; echo bad; echo oops >&2; printf "b 2 {START}"; exit 3',
                   splay='true') as daemon:
        wait_for(lambda: points(daemon, 'a{k=v}') == {START: 1.5} and points(daemon, 'b') == {START: 2}, why='the lines')
        wait_for(lambda: reasons(daemon) == {'no value'}, why='the count')
        check_identity(daemon.status())


def put_lines_are_understood(folder):
    """format: opentsdb"""
    with daemon_in(folder, f'echo "put m {START} 7 k=v"', ', format: "opentsdb"') as daemon:
        wait_for(lambda: points(daemon, 'm{k=v}') == {START: 7}, why='the put')
        assert not reasons(daemon)


def other_grammars_are_understood(folder):
    """format: influx, bolo, prometheus; what is rejected comes out of the port rejects"""
    with daemon_in(folder, f'echo "m,k=v f=1.5 {START}000000000"', ', format: "influx"') as daemon:
        wait_for(lambda: points(daemon, 'm_f{k=v}') == {START: 1.5}, why='the field')
    with daemon_in(folder, f'echo "COUNTER {START} hits 3"; echo "STATE {START} s ok"', ', format: "bolo"') as daemon:
        wait_for(lambda: points(daemon, 'hits') == {START: 3}, why='the counter')
    with daemon_in(folder, f'echo "# TYPE c counter"; echo \'c{{k="w"}} 7 {START}000\'; echo "c{{k}} 1"',
                   ', format: "prometheus"') as daemon:
        wait_for(lambda: points(daemon, 'c{k=w}') == {START: 7}, why='the counter of an exporter')
        wait_for(lambda: reasons(daemon) == {'bad tag'}, why='the count')  # of the line behind it
    rejects = TOPOLOGY + f'agent.rejects -> File(path: "{folder}/rejects", format: "json")\n'
    with daemon_in(folder, 'echo good 1; echo "such a bad line"', topology=rejects) as daemon:
        wait_for(lambda: 'such a bad line' in open(folder + '/rejects').read(), why='the reject')
        check_identity(daemon.status())


def runs_do_not_overlap(folder):
    """a run of 500 ms every 200 ms: never two at once, and the next one begins at once"""
    begun = time.monotonic()
    with daemon_in(folder, f'mkdir {folder}/here || echo twice >> {folder}/twice; echo run >> {folder}/runs; sleep 0.5; '
                   f'rmdir {folder}/here') as daemon:
        wait_for(lambda: os.path.exists(folder + '/runs') and len(open(folder + '/runs').readlines()) >= 4, why='four runs')
        assert time.monotonic() - begun >= 1.2
        check_identity(daemon.status())
    assert not os.path.exists(folder + '/twice')


def endless_commands_are_ended(folder):
    """one that writes without end is killed and counted, one that takes too long is killed; what was whole is stored"""
    with daemon_in(folder, f'while true; do echo "loud 1 {START}"; done', ', max_output: 1KiB') as daemon:
        wait_for(lambda: points(daemon, 'loud') == {START: 1}, why='the lines')
        wait_for(lambda: 'more output than max_output' in reasons(daemon), why='the count')
    with daemon_in(folder, f'echo "slow 1 {START}"; exec sleep 600', ', timeout: 300ms') as daemon:
        wait_for(lambda: points(daemon, 'slow') == {START: 1}, why='the line of one that was killed')
        check_identity(daemon.status())


main(lines_are_stored_and_bad_ones_counted, put_lines_are_understood, other_grammars_are_understood, runs_do_not_overlap, endless_commands_are_ended)
