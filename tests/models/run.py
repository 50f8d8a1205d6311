#!/usr/bin/env python3
"""run.py CC MODELS WORK: each model goes through all its states without a mistake; each mutant of it is found. TAP.

Needs spin (Debian package of that name) and a C compiler."""
import os
import re
import shutil
import subprocess
import sys

COMPILER, MODELS, WORK = sys.argv[1].split(), sys.argv[2], sys.argv[3]
MUTANTS = {'triple': 4, 'slots': 3, 'bell': 3}
DEPTH = 1000000


def explore(model, mutant):
    """(what spin found wrong or '', states), or raises."""
    folder = os.path.join(WORK, f'{model}-{mutant}')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    subprocess.run(['spin', f'-DMUTANT={mutant}', '-a', os.path.join(MODELS, model + '.pml')], cwd=folder, check=True, capture_output=True)
    subprocess.run(COMPILER + ['-w', '-O1', '-DSAFETY', '-DNOREDUCE', '-DVECTORSZ=512', '-o', 'pan', 'pan.c'], cwd=folder, check=True,
                   capture_output=True)
    said = subprocess.run(['./pan', f'-m{DEPTH}'], cwd=folder, check=False, capture_output=True, text=True, timeout=120).stdout
    errors = re.search(r'errors: (\d+)', said)
    states = re.search(r'(\d+) states, stored', said)
    if not errors or not states:
        raise RuntimeError('it said nothing of errors: ' + said[-300:])
    if int(errors[1]) == 0:
        for short in ('max search depth too small', 'Search not completed', 'out of memory', 'hash factor: 0'):
            if short in said:
                raise RuntimeError('not all states were seen: ' + short)
        return '', int(states[1])
    what = re.search(r'^pan:\d+: (.*?) \(at depth', said, re.M)
    return what[1] if what else 'an error', int(states[1])


def main():
    if not shutil.which('spin'):
        print('1..0 # SKIP spin is not installed (./dev setup)')
        return 0
    cases = [(model, mutant) for model, mutants in MUTANTS.items() for mutant in range(mutants + 1)]
    print(f'1..{len(cases)}')
    bad = 0
    for number, (model, mutant) in enumerate(cases, 1):
        try:
            wrong, states = explore(model, mutant)
            good = bool(wrong) == bool(mutant)
            told = wrong or f'{states} states, nothing wrong'
        except (RuntimeError, subprocess.SubprocessError, OSError) as error:
            good, told = False, getattr(error, 'stderr', None) or getattr(error, 'stdout', None) or str(error)
        bad += not good
        told = ' '.join(str(told).split())
        print(f'{"ok" if good else "not ok"} {number} - {model}{f", mutant {mutant}" if mutant else ""}: {told}', flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    return 1 if bad else 0


sys.exit(main())
