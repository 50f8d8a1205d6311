#!/usr/bin/env python3
"""mutate log: takes out each sync, each ordering and each checksum comparison of the log, one at a time: some test must fail.

Syncs and comparisons are found in the sources, so that new ones cannot be forgotten: a call of yd_file_sync,
yd_fs_sync_dir or yd_fs_sync_map becomes a success that does nothing; a comparison with a checksum on a side is always
satisfied. Orderings are the ones that the simulator knows by name (enum yd__skip); `sim_log --mutants` runs those.

Each mutant is built in a copy of the tree and meets the log's unit tests, then the simulator with more seeds. A mutant
that no test notices is a failure, but for those in HARMLESS, each with its reason.

    mutate/log.py [--only SUBSTRING] [--list] [--seeds N]
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, 'build', 'mutate')
TREE = os.path.join(WORK, 'tree')
BUILD = os.path.join(WORK, 'build')
SYNCS = ('yd_file_sync', 'yd_fs_sync_dir', 'yd_fs_sync_map')
FOLDERS = ('src/log',)
FILES = ('src/batch/header.c', 'src/batch/view.c', 'src/batch/batch.c', 'src/io/file.c')
SUITES = ('--suite', 'log', '--suite', 'batch', '--suite', 'io')

# Mutants that change nothing that is promised: 'file: the line' -> why.
HARMLESS = {
    'src/log/control.c: if (!error) error = yd_file_sync(log->control_file);':
        'these are zeros; the first checkpoint syncs the whole page, and a crash before it leaves a page that is new again',
    'src/log/recover.c: return error || !dropped ? error : yd_fs_sync_dir(log->fs, log->dir);':
        'make_durable syncs the same folder next; what is dropped behind it is empty, and goes again if it comes back',
    'src/log/recover.c: if (!error) error = yd_fs_sync_dir(log->fs, log->dir);':
        'the names found were synced when the control page was opened, and drop_segments syncs those it takes away',
    'src/log/space.c: if (!error) error = yd_file_sync(file);':
        'zeros, or ballast, in a file without a name that counts: synced ahead only so that a commit is fast',
    'src/log/space.c: error = yd_file_sync(file);':
        'space in a file without a name that counts: synced ahead only so that a commit is fast',
}


def balanced(text, start):
    """The index behind the parenthesis that closes the one at start."""
    depth = 0
    for at in range(start, len(text)):
        depth += {'(': 1, ')': -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError('unbalanced')


def sources():
    names = [name for folder in FOLDERS for name in sorted(os.listdir(os.path.join(ROOT, folder)))]
    paths = [os.path.join(FOLDERS[0], name) for name in names if name.endswith('.c')]
    return paths + [path for path in FILES if os.path.exists(os.path.join(ROOT, path))]


def line_of(text, at):
    start = text.rfind('\n', 0, at) + 1
    return text[start:text.find('\n', at)].strip()


def without_comments(text):
    """The same length, comments and strings blanked, so that nothing in them is taken for code."""
    blank = lambda match: re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def mutants():
    found = []
    for path in sources():
        text = open(os.path.join(ROOT, path)).read()
        code = without_comments(text)
        if not path.startswith('src/batch'):
            for match in re.finditer(r'\b(%s)(?=\()' % '|'.join(SYNCS), code):
                end = balanced(code, match.end())
                arguments = text[match.end() + 1:end - 1]
                found.append((path, match.start(), end, f'((void)({arguments}), 0)', 'sync', line_of(text, match.start())))
        operand = r'[A-Za-z_][\w.\->\[\]]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?'
        for match in re.finditer(rf'({operand}) (==|!=) ({operand})', code):
            if 'crc' not in match.group(1).lower() + match.group(3).lower():
                continue
            found.append((path, match.start(), match.end(), '(1)' if match.group(2) == '==' else '(0)', 'checksum',
                          line_of(text, match.start())))
    return found


def run(command, timeout):
    """False when it failed, or took too long, which is noticing, too."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def prepare():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(TREE)
    files = subprocess.check_output(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, text=True).split('\n')
    for name in filter(None, files):
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)
    subprocess.check_call(['meson', 'setup', BUILD, TREE, '--buildtype=debugoptimized', '-Dwerror=false'],
                          stdout=subprocess.DEVNULL)
    tests = subprocess.check_output(['meson', 'test', '-C', BUILD, '--list', *SUITES],
                                    text=True, stderr=subprocess.DEVNULL)
    print(f'# {len(tests.splitlines())} tests for each', flush=True)


def build():
    targets = subprocess.check_output(['ninja', '-C', BUILD, '-t', 'targets', 'all'], text=True)
    wanted = re.findall(r'^(tests/(?:unit/(?:log|batch|io)|sim/log)/(?:test_\w+|sim_\w+)): ', targets, flags=re.M)
    return run(['ninja', '-C', BUILD, *wanted], 900)


def noticed(seeds):
    """The name of what noticed, or None."""
    if not build():
        return 'the compiler'
    if not run(['meson', 'test', '-C', BUILD, '--no-rebuild', '--maxfail', '1', *SUITES], 900):
        return 'a test'
    sim = os.path.join(BUILD, 'tests/sim/log/sim_log')
    return None if run([sim, '--seeds', f'1..{seeds}'], 1800) else f'the simulator within {seeds} seeds'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default='', help='only mutants whose place or line has this')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--seeds', type=int, default=20000)
    options = parser.parse_args()
    chosen = [m for m in mutants() if options.only in f'{m[0]}: {m[5]} ({m[4]})']
    if options.list:
        for path, _, _, _, kind, line in chosen:
            print(f'{kind:9} {path}: {line}')
        return 0
    prepare()
    if noticed(100):
        sys.exit('mutate: the tests fail before anything was changed')
    missed = harmless = 0
    started = time.monotonic()
    print(f'1..{len(chosen)}')
    for number, (path, start, end, instead, kind, line) in enumerate(chosen, 1):
        target = os.path.join(TREE, path)
        text = open(os.path.join(ROOT, path)).read()
        with open(target, 'w') as f:
            f.write(text[:start] + instead + text[end:])
        by = noticed(options.seeds)
        shutil.copy2(os.path.join(ROOT, path), target)
        os.utime(target)
        place = f'{path}:{text.count(chr(10), 0, start) + 1}: {kind}: {line}'
        reason = HARMLESS.get(f'{path}: {line}')
        if by:
            print(f'ok {number} - {place}: noticed by {by}', flush=True)
        elif reason:
            harmless += 1
            print(f'ok {number} - {place}: not noticed, and harmless: {reason}', flush=True)
        else:
            missed += 1
            print(f'not ok {number} - {place}: nobody noticed', flush=True)
    print(f'# {len(chosen)} mutants: {len(chosen) - missed - harmless} noticed, {harmless} harmless, {missed} missed, '
          f'{time.monotonic() - started:.0f} s')
    print('# orderings:', flush=True)
    build()
    orderings = subprocess.run([os.path.join(BUILD, 'tests/sim/log/sim_log'), '--mutants', '3000'], check=False)
    return 1 if missed or orderings.returncode else 0


if __name__ == '__main__':
    sys.exit(main())
