#!/usr/bin/env python3
"""The element Scrape in real runs: prometheus-node-exporter and prometheus of Debian, unmodified, as targets; a target that
comes and goes; hostile ones."""
import base64
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request

from harness import Daemon, ROOT, Skip, check_identity, free_port, main, wait_for

TOPOLOGY = '''
node :: Scrape(targets: [{targets}], every: {every}, timeout: {every}, job: "test"{more})
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
node -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
'''


def daemon_in(folder, *targets, more='', every='300ms'):
    text = TOPOLOGY.replace('{targets}', ', '.join(f'"{t}"' for t in targets)).replace('{more}', more).replace('{every}', every)
    return Daemon(folder, text, ports={'tsdb': free_port()})


def series(daemon, name, **more):
    """tags of each series of that name, by its last value"""
    answer = daemon.query(f'none:{name}', start='1h-ago', **more)
    return [(s['tags'], list(s['dps'].values())) for s in answer if isinstance(s, dict) and 'dps' in s]


def last(daemon, name):
    found = series(daemon, name)
    return found[0][1][-1] if found else None


def peer(package, program):
    unpacked = subprocess.run([ROOT + '/tools/peer', package], capture_output=True, text=True)
    if unpacked.returncode:
        raise Skip(package + ' cannot be downloaded')
    return shutil.which(program, path=unpacked.stdout.strip() + '/usr/bin')


def exposed(address):
    """what a target says just now, told apart by another reader than ours: {(name, labels): text of the value}"""
    with urllib.request.urlopen(f'http://{address}/metrics') as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith('#'):
            name, value = line.rsplit(' ', 1)
            found[name] = value
    return found


def program_is_scraped(folder, package, program, args, some):
    port = free_port()
    address = f'127.0.0.1:{port}'
    binary = peer(package, program)
    with open(folder + '/peer.log', 'w') as log:
        process = subprocess.Popen([binary, *[a.replace('{address}', address).replace('{folder}', folder) for a in args]],
                                   stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: exposed(address), why='the target')
        with daemon_in(folder, address, every='2s', more=', splay: false') as daemon:  # it may take a second on a busy machine
            wait_for(lambda: last(daemon, f'up{{instance={address}}}') == 1, why='up')
            names = exposed(address)
            # Every series that is there is found, with all its labels; and some values that do not change, equal.
            wait_for(lambda: abs(last(daemon, f'scrape_samples_scraped{{instance={address}}}') - len(names)) <= len(names) * 0.1,
                     why=f'about {len(names)} samples')
            for name, value in names.items():
                if not name.startswith(some):
                    continue
                metric, _, labels = name.partition('{')
                found = wait_for(lambda: series(daemon, metric), why=name)
                pairs = [l.split('=', 1) for l in labels.rstrip('}').split('",')] if labels else []
                want = {k: v.strip('"') for k, v in pairs} | {'job': 'test', 'instance': address}
                want = {k: v for k, v in want.items() if v}
                assert any(tags == want and values[-1] == float(value) for tags, values in found), (name, value, want, found)
            bad = {r['reason'] for r in daemon.element('node')['reasons'] if r['rejected']}
            assert bad <= {'value not finite'}, bad
            check_identity(daemon.status())
    finally:
        process.kill()
        process.wait()


def node_exporter_is_scraped(folder):
    """prometheus-node-exporter: its series with their labels, and the values that do not change"""
    program_is_scraped(folder, 'prometheus-node-exporter', 'prometheus-node-exporter',
                       ['--web.listen-address={address}'], ('node_exporter_build_info', 'node_uname_info', 'go_info'))


def prometheus_is_scraped(folder):
    """prometheus: its own metrics, histograms and summaries among them"""
    with open(folder + '/prometheus.yml', 'w') as f:
        f.write('global: {scrape_interval: 1s}\n')
    program_is_scraped(folder, 'prometheus', 'prometheus',
                       ['--config.file={folder}/prometheus.yml', '--storage.tsdb.path={folder}/tsdb',
                        '--web.listen-address={address}'],
                       ('prometheus_build_info', 'go_info', 'prometheus_tsdb_head_series{'))


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.body
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def target_on(port, body):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Target)
    server.body = body
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def a_target_comes_and_goes(folder):
    """up is 0, 1 and 0 again; what it exposed is kept; a daemon that was killed goes on"""
    port = free_port()
    up = f'up{{instance=localhost:{port}}}'
    with daemon_in(folder, f'localhost:{port}') as daemon:
        wait_for(lambda: last(daemon, up) == 0, why='down')
        server = target_on(port, b'# TYPE hits counter\nhits{x="1"} 7\n')
        wait_for(lambda: last(daemon, up) == 1 and last(daemon, 'hits{x=1}') == 7, why='up')
        daemon.kill()
        daemon.start()
        server.body = b'# TYPE hits counter\nhits{x="1"} 9\n'
        wait_for(lambda: last(daemon, 'hits{x=1}') == 9, why='the counter')
        server.shutdown()
        server.server_close()
        wait_for(lambda: last(daemon, up) == 0, why='down again')
        check_identity(daemon.status())
        daemon.stop()


def hostile_targets_hurt_nobody(folder):
    """nonsense, endless bodies, silence: the target beside them is scraped all the same, and a stop is quick"""
    good, nonsense, endless, silent = (free_port() for _ in range(4))
    server = target_on(good, b'good 1\n')
    sockets = []

    def serve(port, data, again):
        listener = socket.create_server(('127.0.0.1', port))
        sockets.append(listener)

        def loop():
            while True:
                try:
                    peer, _ = listener.accept()
                    sockets.append(peer)
                    while data:
                        peer.sendall(data)
                        if not again:
                            break
                except OSError:
                    if listener.fileno() < 0:
                        return
        threading.Thread(target=loop, daemon=True).start()

    serve(nonsense, os.urandom(3000), False)
    serve(endless, b'HTTP/1.1 200 OK\r\n\r\n' + b'x' * 65536, True)
    serve(silent, b'', False)
    targets = [f'127.0.0.1:{p}' for p in (nonsense, endless, silent, good)]
    with daemon_in(folder, *targets, more=', max_body: 1MiB') as daemon:
        wait_for(lambda: last(daemon, 'good') == 1, why='the good one')
        for target in targets[:3]:
            wait_for(lambda: last(daemon, f'up{{instance={target}}}') == 0, why=target)
        wait_for(lambda: last(daemon, f'up{{instance={targets[3]}}}') == 1, why='the good one beside them')
        wait_for(lambda: {r['reason'] for r in daemon.element('node')['reasons'] if r['rejected']} == {'answer not understood'},
                 why='the count')
        check_identity(daemon.status())
        daemon.stop()
    server.shutdown()
    for s in sockets:
        s.close()


class Guarded(http.server.BaseHTTPRequestHandler):
    """answers who says the right thing only; /moved sends elsewhere, /chain/5 five times, /away to another server"""
    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get('Authorization')))
        places = {'/moved': '/metrics', **{f'/chain/{n}': f'/chain/{n - 1}' for n in range(1, 9)}, '/away': f'http://127.0.0.1:{self.server.other}/metrics',
                  '/slashes': f'//127.0.0.1:{self.server.other}/metrics',
                  '/whole': f'http://127.0.0.1:{self.server.server_port}/metrics'}
        body, status = b'guarded 1\n', 200
        if self.path in places:
            status, body = 302, b'elsewhere'
        elif self.server.wants and self.headers.get('Authorization') != self.server.wants:
            status, body = 401, b'no'
        self.send_response(status)
        if status == 302:
            self.send_header('Location', places[self.path])
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def guarded(wants='', context=None, other=0):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Guarded)
    server.wants, server.seen, server.other = wants, [], other
    server.handle_error = lambda *_: None  # a handshake that was given up
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write(path, text):
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)


def up_of(daemon, port):
    return last(daemon, f'up{{instance=127.0.0.1:{port}}}')


def tokens_and_passwords_are_sent(folder):
    """a token of a file, renewed while it runs; user and password, of the environment; what cannot be read is said"""
    server = guarded('Bearer first')
    port = server.server_port
    write(folder + '/token', 'first\n')
    with daemon_in(folder, f'127.0.0.1:{port}', more=f', token_file: "{folder}/token"') as daemon:
        wait_for(lambda: up_of(daemon, port) == 1 and last(daemon, 'guarded') == 1, why='the first token')
        server.wants = 'Bearer second'
        wait_for(lambda: up_of(daemon, port) == 0, why='refused')
        wait_for(lambda: 'answers with status 401' in daemon.stderr(), why='its words')
        write(folder + '/token', 'second\nother lines do not count\n')
        wait_for(lambda: up_of(daemon, port) == 1, why='the second token')
        for text, words in [('', 'its first line is empty'), ('a b\n', 'bytes that no header can have'), (None, 'token: ')]:
            os.unlink(folder + '/token') if text is None else write(folder + '/token', text)
            wait_for(lambda: up_of(daemon, port) == 0 and words in daemon.stderr(), why=words)
            write(folder + '/token', 'second')
            wait_for(lambda: up_of(daemon, port) == 1, why='again')
        check_identity(daemon.status())
    os.makedirs(folder + '/basic')
    server.wants = 'Basic ' + base64.b64encode(b'me:p:\xc3\xa4ss word').decode()
    os.environ['YARDER_TEST_PASSWORD'] = 'p:\xe4ss word'
    try:
        with daemon_in(folder + '/basic', f'127.0.0.1:{port}', more=', user: "me", password_file: "env:YARDER_TEST_PASSWORD"') as daemon:
            wait_for(lambda: up_of(daemon, port) == 1, why='the password')
    finally:
        del os.environ['YARDER_TEST_PASSWORD']
    server.shutdown()


def redirections_stay_at_the_server(folder):
    """another path of the same server is followed, up to five times; another server is not, and never hears our token"""
    other = guarded()
    server = guarded('Bearer t', other=other.server_port)
    write(folder + '/token', 't')
    paths = ['moved', 'whole', 'chain/5', 'chain/6', 'away', 'slashes']
    targets = [f'http://127.0.0.1:{server.server_port}/{path}' for path in paths]
    for path, target in zip(paths, targets):
        os.makedirs(f'{folder}/{path}')
        with daemon_in(f'{folder}/{path}', target, more=f', token_file: "{folder}/token"') as daemon:
            good = path in ('moved', 'whole', 'chain/5')
            wait_for(lambda: up_of(daemon, server.server_port) == good, why=path)
            if not good:
                wait_for(lambda: 'answers with status 302' in daemon.stderr(), why='its words')
            check_identity(daemon.status())
        seen, server.seen = server.seen, []
        assert all(token == 'Bearer t' for _, token in seen), seen
        assert path != 'chain/6' or '/chain/0' not in [path for path, _ in seen], seen
    assert other.seen == [], other.seen
    server.shutdown()
    other.shutdown()


def https_targets_prove_who_they_are(folder):
    """https: a certificate of ours, of a stranger, for another name, a target that wants ours, and one that is no TLS"""
    if not shutil.which('openssl'):
        raise Skip('openssl is not there to make certificates')
    make = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    for name, host in ('good', 'IP:127.0.0.1'), ('wrong', 'DNS:elsewhere.example'), ('stranger', 'IP:127.0.0.1'), ('client', 'DNS:client'):
        subprocess.run([*make, '-subj', f'/CN={name}', '-addext', f'subjectAltName={host}', '-keyout', f'{folder}/{name}.key',
                        '-out', f'{folder}/{name}.pem'], check=True, capture_output=True)
    with open(folder + '/ca.pem', 'w') as f:
        f.write(''.join(open(f'{folder}/{name}.pem').read() for name in ('good', 'wrong')))

    def context(name, asks=False):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(f'{folder}/{name}.pem', f'{folder}/{name}.key')
        if asks:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(f'{folder}/client.pem')
        return made

    write(folder + '/token', 't')
    servers = {name: guarded('Bearer t', context(name)) for name in ('good', 'wrong', 'stranger')}
    servers['asks'] = guarded('Bearer t', context('good', True))
    servers['plain'] = guarded('Bearer t')
    urls = [f'https://127.0.0.1:{server.server_port}/metrics' for server in servers.values()]
    keys = f', tls_ca: "{folder}/ca.pem", tls_cert: "{folder}/client.pem", tls_key: "{folder}/client.key", token_file: "{folder}/token"'
    with daemon_in(folder, *urls, more=keys) as daemon:
        for name, server in servers.items():
            wait_for(lambda: up_of(daemon, server.server_port) == (name in ('good', 'asks')), why=name)
        for name in 'wrong', 'stranger':
            wait_for(lambda: any(str(servers[name].server_port) in line and 'certificate' in line
                                 for line in daemon.stderr().splitlines()), why=f'what is wrong with {name}')
        check_identity(daemon.status())
    for name in 'wrong', 'stranger', 'plain':
        assert servers[name].seen == [], name  # nobody but who is trusted hears the token
    os.makedirs(folder + '/bare')
    with daemon_in(folder + '/bare', urls[3], more=f', tls_ca: "{folder}/ca.pem"') as daemon:
        wait_for(lambda: up_of(daemon, servers['asks'].server_port) == 0, why='refused without our certificate')
    for server in servers.values():
        server.shutdown()


main(tokens_and_passwords_are_sent, redirections_stay_at_the_server, https_targets_prove_who_they_are, node_exporter_is_scraped, prometheus_is_scraped, a_target_comes_and_goes, hostile_targets_hurt_nobody)
