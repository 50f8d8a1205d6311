"""What the system tests share: a daemon on free ports in a folder of its own, HTTP, and TAP.

A test file is a list of functions given to main(); each takes a fresh temporary folder. A docstring is the test's
sentence. Raising Skip(reason) skips; anything else that is raised fails. YARDER names the program under test.
"""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
YARDER = os.environ.get('YARDER', os.path.join(ROOT, 'build/release/yarder'))


class Skip(Exception):
    pass


PORTS = range(10_000, 30_000)  # below those that the kernel gives to whoever connects, which would come between
_taken = []


def new_seed():
    """YARDER_SEED, or one that is new each time; printed, so that a failure can be had again"""
    seed = int(os.environ.get('YARDER_SEED', random.SystemRandom().randrange(1 << 32)))
    print(f'# YARDER_SEED={seed}', flush=True)
    return seed


def free_port():
    """A port that nobody listens at, by TCP and by UDP, and that no other test, in whatever process, is given meanwhile."""
    for _ in range(1000):
        port = random.SystemRandom().choice(PORTS)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f'\0yarder-test-port-{port}')  # ours until this process ends
            for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(('127.0.0.1', port))
        except OSError:
            name.close()
            continue
        _taken.append(name)
        return port
    raise AssertionError('no port is free')


def wait_for(what, seconds=90, pause=0.02, why='it'):
    """Polls a condition that another process brings about; returns its first true value. What is looked at may not be there
    yet, or not whole. The time is to end a test that fails, and says nothing of how long anything takes: a machine with
    other work is slow."""
    end, last = time.monotonic() + seconds, None
    while True:
        value = None
        try:
            value = what()
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            last = error
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{why} did not happen within {seconds} s') from last
        time.sleep(pause)


def yarder(*args, check=None, cwd=None, timeout=200):
    done = subprocess.run([YARDER, *args], capture_output=True, text=True, cwd=cwd, timeout=timeout)
    if check is not None and done.returncode != check:
        raise AssertionError(f'yarder {" ".join(args)}: exit {done.returncode}, expected {check}\n{done.stdout}{done.stderr}')
    return done


QUICKSTART = '''
graphite :: Graphite(listen: "127.0.0.1:{graphite}", udp: "127.0.0.1:{graphite}")
tsdb :: OpenTsdb(listen: "127.0.0.1:{tsdb}")
graphite, tsdb -> metrics :: Log(stream: "metrics") -> history :: History()
tsdb => history
'''


class Daemon:
    """A `yarder run` of a topology text; {graphite} and {tsdb} in it become free ports."""

    def __init__(self, folder, topology=QUICKSTART, args=(), data=None, prefix=(), ports=None):
        self.folder = folder
        self.ports = ports or {'graphite': free_port(), 'tsdb': free_port()}
        self.data = data or os.path.join(folder, 'data')
        self.file = os.path.join(folder, 'test.yd')
        with open(self.file, 'w') as f:
            text = topology
            for name, port in self.ports.items():
                text = text.replace('{' + name + '}', str(port))
            f.write(text)
        self.args = list(args)
        self.prefix = list(prefix)
        self.process = None
        self.children = []  # helpers of a test that must not outlive it

    def start(self, wait=True):
        self.errors = open(os.path.join(self.folder, 'stderr.txt'), 'a+')
        self.process = subprocess.Popen([*self.prefix, YARDER, 'run', self.file, '--data', self.data, *self.args],
                                        stdout=subprocess.PIPE, stderr=self.errors, cwd=self.folder)
        if wait:
            wait_for(lambda: self.process.poll() is not None or os.path.exists(self.data + '/status.sock') and self.status(),
                     why='the start')
            if self.process.poll() is not None:
                raise AssertionError(f'the daemon exited with {self.process.returncode}:\n{self.stderr()}')
        return self

    def stderr(self):
        return open(os.path.join(self.folder, 'stderr.txt')).read()

    def stop(self, expect=0, seconds=90):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process.stdout.close()
        self.errors.close()
        if code != expect:
            raise AssertionError(f'SIGTERM: exit {code}, expected {expect}:\n{self.stderr()}')

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.process.stdout.close()
            self.errors.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        self.kill()

    # ---- asking ----
    def status(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(os.path.relpath(self.data + '/status.sock'))
            chunks = []
            while chunk := s.recv(1 << 16):
                chunks.append(chunk)
        return json.loads(b''.join(chunks))

    def element(self, name):
        return next(e for e in self.status()['elements'] if e['name'] == name)

    def http(self, path, body=None, headers=(), method=None, timeout=100):
        """(status, parsed JSON or text) of a request to the OpenTSDB port."""
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f'http://127.0.0.1:{self.ports["tsdb"]}{path}', data=data, headers=dict(headers),
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        except http.client.HTTPException as error:  # the daemon went in the middle of its answer
            raise ConnectionError(repr(error)) from error
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def query(self, m, start='1h-ago', **more):
        fields = urllib.parse.urlencode({'start': start, 'm': m, **more})
        return self.http(f'/api/query?{fields}')[1]

    # ---- sending ----
    def lines(self, text, port='graphite'):
        with socket.create_connection(('127.0.0.1', self.ports[port])) as s:
            s.sendall(text.encode() if isinstance(text, str) else text)
            s.shutdown(socket.SHUT_WR)
            answer = b''
            s.settimeout(60)
            while chunk := s.recv(4096):
                answer += chunk
        return answer.decode()


def check_identity(status):
    """received = consumed + rejected + dropped + queued at every input."""
    for element in status['elements']:
        for port in element['inputs']:
            total = port['consumed'] + port['rejected'] + port['dropped'] + port['queued']
            assert port['received'] == total, f"{element['name']}.{port['name']}: {port}"


def main(*tests):
    print(f'1..{len(tests)}', flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name = (test.__doc__ or test.__name__).strip().splitlines()[0]
        folder = tempfile.mkdtemp(prefix='yarder-test-')
        try:
            test(folder)
            print(f'ok {number} - {name}', flush=True)
        except Skip as reason:
            print(f'ok {number} - {name} # SKIP {reason}', flush=True)
        except Exception:
            failed += 1
            print(f'not ok {number} - {name}')
            # Also on stderr: a summary of failed tests shows that, and leaves comments out.
            for line in traceback.format_exc().splitlines():
                print(f'# {line}', flush=True)
                print(line[:4000], file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)
