#!/usr/bin/env python3
"""The examples do what they say."""
import collections
import os
import shutil
import subprocess

from harness import ROOT, main, yarder


def expected(tree):
    table = {'c': 'C', 'h': 'C header', 'py': 'Python', 'sh': 'shell', 'md': 'text', 'txt': 'text', 'yd': 'topology'}
    find = subprocess.run(['find', tree, '(', '-name', '.git', '-o', '-name', 'build', '-o', '-name', 'data', ')', '-prune',
                           '-o', '!', '-type', 'd', '-printf', '%f\\n'], capture_output=True, text=True, check=True).stdout
    counts = collections.Counter()
    for name in find.splitlines():
        dot = name.rfind('.')
        counts[table.get(name[dot + 1:] if dot > 0 else '', 'other')] += 1
    return dict(counts)


def categorize_counts_as_find_does(folder):
    """categorize.yd over this repository gives the same counts as find and exits 0 by itself"""
    for attempt in range(20):  # other tests may leave files there meanwhile: until it was the same before and behind
        before = expected(ROOT)
        done = yarder('run', os.path.join(ROOT, 'examples/categorize.yd'), '--set', f'tree={ROOT}', '--data',
                      f'{folder}/data{attempt}', check=0)
        if expected(ROOT) == before:
            break
    counts = {}
    for line in done.stdout.splitlines():
        name, value = line.split(' ', 1)[1].rsplit(' ', 1)
        assert name.startswith('files category='), line
        counts[name.removeprefix('files category=').replace('\\ ', ' ')] = int(value)
    assert counts == before, (counts, before)


def the_examples_tests_pass(folder):
    """the tests written in the examples pass"""
    for name in sorted(os.listdir(ROOT + '/examples')):
        if name.endswith('.yd'):
            yarder('check', f'{ROOT}/examples/{name}', check=0)
            yarder('test', f'{ROOT}/examples/{name}', check=0, cwd=folder)


def a_plugin_is_the_equal_of_ours(folder):
    """the plug-in of examples/plugin.c is built, shown, checked and run"""
    so = folder + '/threshold.so'
    subprocess.run(['cc', '-shared', '-fPIC', '-I', ROOT + '/include', ROOT + '/examples/plugin.c', '-o', so], check=True)
    assert 'above' in yarder('elements', 'Threshold', '--plugin', so, check=0).stdout
    with open(folder + '/lines.txt', 'w') as f:
        f.write('x\n')
    with open(folder + '/plugin.yd', 'w') as f:
        f.write('host :: Lines(path: "lines.txt")\n'
                'host -> Count(metric: "n") -> Threshold(above: 0.5) -> Print(format: "value")\n')
    assert yarder('run', 'plugin.yd', '--plugin', so, cwd=folder, check=0).stdout == '1 is above 0.5\n'
    assert yarder('check', 'plugin.yd', cwd=folder).returncode == 1
    shutil.rmtree(folder + '/data')


def lines_from_standard_input_end_by_themselves(folder):
    """lines piped in are printed, and END ends the run with exit 0"""
    with open(folder + '/cat.yd', 'w') as f:
        f.write('Lines() -> Print(format: "value")\n')
    done = subprocess.run([os.environ.get('YARDER', ROOT + '/build/release/yarder'), 'run', 'cat.yd'], cwd=folder, text=True,
                          input='one\ntwo\nthree', capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, 'one\ntwo\nthree\n'), done


main(categorize_counts_as_find_does, the_examples_tests_pass, a_plugin_is_the_equal_of_ours,
     lines_from_standard_input_end_by_themselves)
