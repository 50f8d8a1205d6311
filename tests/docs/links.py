#!/usr/bin/env python3
"""What the documentation points at is there: links to files and headings, and the tests that docs/guarantees.md names.

In the last column of a table of guarantees.md a `name` belongs to the link before it, and is a test in that file.
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
FENCE = re.compile(r'^```.*?^```', re.M | re.S)


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def anchors(text):
    """Headings, as GitHub makes anchors of them."""
    return {re.sub(r'[^\w\- ]', '', line.lstrip('#').strip().lower()).replace(' ', '-')
            for line in FENCE.sub('', text).splitlines() if line.startswith('#')}


def broken_links(path):
    text = read(path)
    for target in LINK.findall(FENCE.sub('', text)):
        if re.match(r'[a-z]+:', target):
            continue
        file, _, anchor = target.partition('#')
        at = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(at):
            yield f'{os.path.relpath(path, ROOT)}: {target} is not there'
        elif anchor and at.endswith('.md') and anchor not in anchors(read(at)):
            yield f'{os.path.relpath(path, ROOT)}: {target}: no such heading'


def missing_tests(path):
    """A row without a test says so in words; a row that names one names it as it is."""
    rows = 0
    for number, line in enumerate(read(path).splitlines(), 1):
        cells = [c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]]
        if not line.startswith('|') or set(cells[-1]) <= set('-: ') or cells[-1] == 'proved by':
            continue
        rows += 1
        file = None
        for link, name in re.findall(r'\]\(([^)\s]+)\)|`([^`]+)`', cells[-1]):
            if link:
                file = os.path.normpath(os.path.join(os.path.dirname(path), link))
            elif not file:
                yield f'line {number}: {name} has no file before it'
            elif os.path.exists(file) and not re.search(rf'((void|int|def) |TEST\(){re.escape(name)}\b', read(file)):
                yield f'line {number}: no test {name} in {os.path.relpath(file, ROOT)}'
        if not file and 'not tested yet' not in cells[-1]:
            yield f'line {number}: neither a test nor a word that there is none'
    if not rows:
        yield 'there are no rows'


def main():
    pages = [os.path.join(ROOT, 'README.md'), *sorted(glob.glob(os.path.join(ROOT, 'docs/*.md'))),
             *sorted(glob.glob(os.path.join(ROOT, 'src/*/README.md')))]
    tests = [('every_link_in_the_documentation_resolves', [fault for page in pages for fault in broken_links(page)]),
             ('every_guarantee_names_tests_that_exist', list(missing_tests(os.path.join(ROOT, 'docs/guarantees.md'))))]
    print(f'1..{len(tests)}')
    for number, (name, faults) in enumerate(tests, 1):
        print(f'{"not ok" if faults else "ok"} {number} - {name}')
        for fault in faults:
            print(f'# {fault}')
    sys.exit(any(faults for _, faults in tests))


main()
