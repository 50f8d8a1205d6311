#!/usr/bin/env python3
"""mutate log: takes out each sync, each ordering and each checksum comparison of the log, one at a time: some test must fail.

Syncs and comparisons are found in the sources, so that new ones cannot be forgotten: a call of yd_file_sync,
yd_fs_sync_dir or yd_fs_sync_map becomes a success that does nothing; a comparison with a checksum on a side is always
satisfied. Orderings are the ones that the simulator knows by name (enum yd__skip); `sim_log --mutants` runs those.

Each mutant is built in a copy of the tree and meets the unit tests, then both simulators, then they with more seeds, until
one notices: its name is printed. A mutant that no test notices is a failure, but for those in HARMLESS, each with its
reason. The whole takes an hour or two; --part does every Nth, in a tree of its own.

    mutate/log.py [--only SUBSTRING] [--list] [--seeds N] [--part K/N]
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
# In turn, the quick ones first: what is built, and the tests of it.
UNITS = ('log', 'batch', 'io', 'serve')
SIMS = ('sim_log', 'sim_replica')
COMPILER = 'the compiler'

# Mutants that change nothing that is promised: 'file: the line' -> why.
HARMLESS = {
    'src/log/control.c: if (!error) error = yd_file_sync(log->control_file);':
        'these are zeros; the first checkpoint syncs the whole page, and a crash before it leaves a page that is new again',
    'src/log/recover.c: if (!error) error = yd_fs_sync_dir(log->fs, log->dir);':
        'the names found were synced when the control page was opened; a dropped segment that comes back goes again',
    'src/log/space.c: if (!error) error = yd_file_sync(file);':
        'zeros, or ballast, in a file without a name that counts: synced ahead only so that a commit is fast',
    'src/log/space.c: (void)yd_fs_sync_dir(log->fs, log->dir); /* only so that the room is there at once */':
        'as it says: without it the room comes with the next sync',
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
        operand = r'(?:[A-Za-z_][\w.\->\[\]]*)?(?:\([^()]*(?:\([^()]*\)[^()]*)*\))|[A-Za-z_][\w.\->\[\]]*'
        for match in re.finditer(rf'({operand}) (==|!=) ({operand}|0\b)', code):
            left, sign, right = match.groups()
            content = right == '0' and left.startswith('memcmp(') and path.startswith('src/log/')
            if not content and ('crc' not in left.lower() + right.lower() or right in ('NULL', '0')):
                continue
            found.append((path, match.start(), match.end(), '(1)' if sign == '==' else '(0)',
                          'content' if content else 'checksum', line_of(text, match.start())))
    return found


def run(command, timeout):
    """(whether it went well, what it printed). Taking too long is not well: that is noticing, too."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True,
                              errors='replace')
        return done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired:
        return False, ''


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


def build(pattern):
    targets = subprocess.check_output(['ninja', '-C', BUILD, '-t', 'targets', 'all'], text=True)
    wanted = re.findall(rf'^({pattern}): ', targets, flags=re.M)
    good, output = run(['ninja', '-C', BUILD, *wanted], 900)
    if not good and re.search(r'error: (?!.*never be executed)', output):
        return False
    if not good:
        raise SystemExit(f'mutate: ninja does not end well:\n{output[-2000:]}')
    return True


def noticed(seeds):
    """The name of what noticed, or None. A mutant that does not compile has shown nothing: COMPILER."""
    if not build(r'tests/unit/(?:%s)/test_\w+' % '|'.join(UNITS)):
        return COMPILER
    for unit in UNITS:
        good, output = run(['meson', 'test', '-C', BUILD, '--no-rebuild', '--maxfail', '1', '--suite', unit,
                            '--no-suite', 'sim'], 900)
        failed = re.search(r'/ ([\w ]+?) +(?:FAIL|ERROR|TIMEOUT)', output)
        if not good:
            return f'tests/unit/{unit}/{failed.group(1) if failed else "?"}.c'
    build('tests/sim/log/(?:%s)' % '|'.join(SIMS))
    for count in (2000, seeds):
        for sim in SIMS:
            good, output = run([os.path.join(BUILD, 'tests/sim/log', sim), '--seeds', f'1..{count}'], 1800)
            if not good:
                failed = re.search(r'^seed (\d+)', output, flags=re.M)
                return f'{sim}, seed {failed.group(1) if failed else f"1..{count}"}'
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default='', help='only mutants whose place or line has this')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--seeds', type=int, default=20000)
    parser.add_argument('--part', default='1/1', help='K/N: every Nth from the Kth on, in a tree of its own')
    options = parser.parse_args()
    part, parts = map(int, options.part.split('/'))
    if parts > 1:
        global WORK, TREE, BUILD
        WORK = f'{WORK}-{part}'
        TREE, BUILD = os.path.join(WORK, 'tree'), os.path.join(WORK, 'build')
    chosen = [m for m in mutants() if options.only in f'{m[0]}: {m[5]} ({m[4]})'][part - 1::parts]
    stale = set(HARMLESS) - {f'{m[0]}: {m[5]}' for m in mutants()}
    if stale:
        sys.exit(f'mutate: named as harmless, and not there: {sorted(stale)}')
    if options.list:
        for path, _, _, _, kind, line in chosen:
            print(f'{kind:9} {path}: {line}')
        return 0
    prepare()
    by = noticed(options.seeds)
    if by:
        sys.exit(f'mutate: {by} fails before anything was changed')
    missed = harmless = 0
    started = time.monotonic()
    print(f'1..{len(chosen)}')
    for number, (path, start, end, instead, kind, line) in enumerate(chosen, 1):
        target = os.path.join(TREE, path)
        text = open(target).read()
        with open(target, 'w') as f:
            f.write(text[:start] + instead + text[end:])
        by = noticed(options.seeds)
        with open(target, 'w') as f:
            f.write(text)
        place = f'{path}:{text.count(chr(10), 0, start) + 1}: {kind}: {line}'
        reason = HARMLESS.get(f'{path}: {line}')
        if by == COMPILER:
            missed += 1
            print(f'not ok {number} - {place}: does not compile, so that nobody was asked', flush=True)
        elif by:
            print(f'ok {number} - {place}: noticed by {by}', flush=True)
        elif reason:
            harmless += 1
            print(f'ok {number} - {place}: not noticed, and harmless: {reason}', flush=True)
        else:
            missed += 1
            print(f'not ok {number} - {place}: nobody noticed', flush=True)
    print(f'# {len(chosen)} mutants: {len(chosen) - missed - harmless} noticed, {harmless} harmless, {missed} missed, '
          f'{time.monotonic() - started:.0f} s')
    if part < parts:
        return 1 if missed else 0
    print('# orderings:', flush=True)
    build('tests/sim/log/(?:%s)' % '|'.join(SIMS))
    for sim in SIMS:
        done = subprocess.run([os.path.join(BUILD, 'tests/sim/log', sim), '--mutants', '3000'], check=False)
        missed += done.returncode != 0
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
