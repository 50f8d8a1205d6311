#!/usr/bin/env python3
"""Each call on a file fails once: no crash, no hang, what failed is said, and everything acknowledged is there, once.

strace injects the error into the k-th call of a kind, of a program that appends, rolls, compresses, saves a cursor,
reads and closes (append_helper.c). A second helper is preloaded to give short reads and writes, and EINTR.

    faults.py [all]    without `all`: a sample of the k, another one each day
"""
import os
import random
import re
import shutil
import subprocess
import sys
import time

from harness import Skip, main, yarder

HELPER = os.environ['APPEND_HELPER']
SHORT = os.environ['SHORT']
BATCHES, RECORDS = 40, 4
ALL = 'all' in sys.argv[1:]
SEED = int(os.environ.get('FAULTS_SEED', time.strftime('%Y%m%d')))
EACH = 2  # places sampled for each call and error
LEAKS = {'ASAN_OPTIONS': 'detect_leaks=0'}  # not under a tracer

CALLS = {
    'openat': ('EIO', 'ENOSPC', 'EINTR', 'EMFILE'),
    'pread64': ('EIO', 'EINTR'),
    'pwrite64': ('EIO', 'ENOSPC', 'EINTR'),
    'pwritev': ('EIO', 'ENOSPC', 'EINTR'),
    'pwritev2': ('EIO', 'ENOSPC', 'EINTR'),
    'write': ('EIO', 'ENOSPC'),
    'fdatasync': ('EIO', 'ENOSPC'),
    'fsync': ('EIO', 'ENOSPC'),
    'msync': ('EIO',),
    'fallocate': ('EIO', 'ENOSPC', 'EINTR', 'EOPNOTSUPP'),
    'ftruncate': ('EIO', 'ENOSPC', 'EINTR'),
    'renameat': ('EIO', 'ENOSPC'),
    'renameat2': ('EIO', 'ENOSPC'),
    'rename': ('EIO', 'ENOSPC'),
    'unlink': ('EIO', 'ENOSPC'),
    'unlinkat': ('EIO', 'ENOSPC'),
    'mkdir': ('EIO', 'ENOSPC'),
    'mmap': ('ENOMEM', 'ENODEV'),
    'getdents64': ('EIO',),
    'newfstatat': ('EIO',),
    'fstat': ('EIO',),
    'statfs': ('EIO',),
    'fstatfs': ('EIO',),
    'flock': ('EIO', 'EINTR'),
    'fcntl': ('EINTR', 'ENOLCK'),
}


def append(folder, prefix=(), env=None, timeout=30):
    return subprocess.run([*prefix, HELPER, 'append', folder, str(BATCHES)], capture_output=True, text=True,
                          timeout=timeout, env={**os.environ, **LEAKS, **(env or {})})


def stream(folder, name):
    data = os.path.join(folder, name)
    os.makedirs(data + '/streams/faults')
    return data, data + '/streams/faults/0'


def acknowledged(done):
    """What was printed before the end; a line may be all that is left when printing failed."""
    seqnos = [int(line) for line in done.stdout.split() if line.isdigit()]
    assert seqnos == [RECORDS * (i + 1) for i in range(len(seqnos))], seqnos
    return seqnos[-1] if seqnos else 0


def check(where, data, path, done):
    """Everything acknowledged, once, in order; what follows is a prefix of what was sent; verify agrees."""
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1), f'{where}: exit {done.returncode}: {said}'
    assert done.returncode == 0 or ' EINTR ' not in where, f'{where}: an interrupted call is none: {said}'
    assert done.returncode == 0 or 'append_helper: ' in done.stderr, f'{where}: exit 1 without a word'
    if done.returncode == 0:
        assert acknowledged(done) == BATCHES * RECORDS, f'{where}: {said}'
    if not os.path.isdir(path) or not os.path.exists(path + '/control'):
        assert acknowledged(done) == 0, f'{where}: acknowledged, and no stream'
        return
    verified = yarder('log', 'verify', 'faults', '--data', data)
    report = verified.stdout + verified.stderr
    assert verified.returncode in (0, 1), f'{where}: verify: exit {verified.returncode}: {report}'
    assert verified.returncode == 0 or 'faults' in report or '.ylog' in report or 'control' in report, f'{where}: {report}'
    again = subprocess.run([HELPER, 'check', path], capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 0, f'{where}: opened again: exit {again.returncode}: {again.stderr}\nfirst: {said}'
    rows = [line.split() for line in again.stdout.splitlines()]
    expected = [[str(RECORDS * i), str(i)] for i in range(len(rows))]
    assert rows == expected, f'{where}: {rows[:50]}'
    assert len(rows) * RECORDS >= acknowledged(done), f'{where}: {len(rows)} batches of {acknowledged(done)} records: {said}'


def needs_strace():
    if not shutil.which('strace') or subprocess.run(['strace', '-o', '/dev/null', 'true'], check=False).returncode:
        raise Skip('strace is not there, or may not trace')


def count_calls(folder):
    """Of each kind, how many come before the stream is opened, and how many there are."""
    _, path = stream(folder, 'counted')
    trace = folder + '/trace'
    done = append(path, ['strace', '-o', trace])
    assert done.returncode == 0, done.stderr
    before, total, begun = {}, {}, False
    for line in open(trace, errors='replace'):
        begun = begun or '/append_helper/begins' in line
        name = re.match(r'(\w+)\(', line)
        if name:
            total[name.group(1)] = total.get(name.group(1), 0) + 1
            if not begun:
                before[name.group(1)] = total[name.group(1)]
    return {call: (before.get(call, 0) + 1, total[call]) for call in total}


def each_call_on_a_file_fails_once(folder):
    """each call on a file fails once: nothing acknowledged is lost, and what failed is said"""
    needs_strace()
    print(f'# FAULTS_SEED={SEED}', flush=True)
    rng = random.Random(SEED)
    counts = count_calls(folder)
    tried, failures, told = 0, [], {}
    for call, errors in CALLS.items():
        first, last = counts.get(call, (1, 0))
        for error in errors:
            places = range(first, last + 1)
            if not ALL and len(places) > EACH:
                places = sorted(rng.sample(places, EACH))
            for place in places:
                where = f'{call} {error} at {place} of {first}..{last}'
                data, path = stream(folder, f'{call}-{error}-{place}')
                try:
                    done = append(path, ['strace', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                                         f'inject={call}:error={error}:when={place}'])
                    told[done.returncode] = told.get(done.returncode, 0) + 1
                    check(where, data, path, done)
                except (AssertionError, subprocess.TimeoutExpired) as failure:
                    failures.append(f'{where}: {failure}')
                tried += 1
                shutil.rmtree(data, ignore_errors=True)
    print(f'# {tried} faults: {told.get(0, 0)} survived, {told.get(1, 0)} said', flush=True)
    assert tried > 50, counts
    assert not failures, f'{len(failures)} failures\n' + '\n'.join(failures)


def each_call_fails_from_some_moment_on(folder):
    """calls of a kind fail from some moment on, as on a device that is gone or full: as above"""
    needs_strace()
    rng = random.Random(SEED)
    counts = count_calls(folder)
    failures = []
    for call, errors in CALLS.items():
        first, last = counts.get(call, (1, 0))
        for error in errors:
            if last < first or error == 'EINTR' or call in ('write', 'mmap'):
                continue
            for place in range(first, last + 1) if ALL else [rng.randint(first, last)]:
                data, path = stream(folder, f'{call}-{error}-{place}-on')
                where = f'{call} {error} from {place} on'
                try:
                    done = append(path, ['strace', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                                         f'inject={call}:error={error}:when={place}+'])
                    check(where, data, path, done)
                except (AssertionError, subprocess.TimeoutExpired) as failure:
                    failures.append(f'{where}: {failure}')
                shutil.rmtree(data, ignore_errors=True)
    assert not failures, f'{len(failures)} failures\n' + '\n'.join(failures)


def short_reads_and_writes_are_finished(folder):
    """reads and writes that are cut short or interrupted are finished: nothing is lost, nothing is said"""
    if '-fsanitize' in os.environ.get('CFLAGS', ''):
        raise Skip('sanitizers want to be preloaded first')
    for seed in range(SEED, SEED + (200 if ALL else 8)):
        data, path = stream(folder, f'short-{seed}')
        stingy = {'LD_PRELOAD': SHORT, 'SHORT_SEED': str(seed)}
        done = append(path, env=stingy)
        where = f'SHORT_SEED={seed}'
        assert done.returncode == 0 and done.stdout.endswith('done\n'), f'{where}: {done.stdout}{done.stderr}'
        again = subprocess.run([HELPER, 'check', path], capture_output=True, text=True, timeout=30, check=False,
                               env={**os.environ, **stingy})
        assert again.returncode == 0 and len(again.stdout.splitlines()) == BATCHES, f'{where}: {again.stdout}{again.stderr}'
        check(where, data, path, done)
        shutil.rmtree(data)


main(each_call_on_a_file_fails_once, each_call_fails_from_some_moment_on, short_reads_and_writes_are_finished)
