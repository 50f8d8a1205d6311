#!/usr/bin/env python3
"""Counts what meson's test log says, TAP line by TAP line, and adds it up over several runs.

test-summary.py LOG.json --name NAME --totals FILE   one run: prints its failures and skips, adds to the totals
test-summary.py --final FILE                         prints the one closing line: N passed, N failed, N skipped
Exits 1 when anything failed or when nothing ran.
"""
import argparse
import json
import os
import re
import sys

OK = re.compile(r'^ok\b')
NOT_OK = re.compile(r'^not ok\b')
NOTE = re.compile(r'^# skipped: (.*)$')  # in a test that ends as passed: tests/unit/skip.h
SKIP = re.compile(r'#\s*skip\s*(.*)$', re.IGNORECASE)


def count(entry):
    """(passed, failed, skipped with reasons) of one test program."""
    passed, failed, skips = 0, 0, []
    for line in (entry.get('stdout') or '').splitlines():
        skip = SKIP.search(line)
        if (OK.match(line) and skip) or (line.startswith('1..0') and skip):
            skips.append(f"{entry['name']}: {skip.group(1)}")
        elif OK.match(line):
            passed += 1
        elif note := NOTE.match(line):
            skips.append(f"{entry['name']}: {note.group(1)}")
            passed -= 1
        elif NOT_OK.match(line):
            failed += 1
    result = entry['result']
    if result in ('OK', 'EXPECTEDFAIL') and not (passed or skips):
        passed = 1
    elif result == 'SKIP' and not skips:
        reason = (entry.get('stdout') or entry.get('stderr') or '').strip().splitlines()
        skips.append(f"{entry['name']}: {reason[-1] if reason else 'no reason given'}")
    elif result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and not failed:
        failed = 1
    return passed, failed, skips


def one_run(options):
    passed, failed, skips = 0, 0, []
    with open(options.log) as log:
        for line in log:
            entry = json.loads(line)
            p, f, s = count(entry)
            passed, failed, skips = passed + p, failed + f, skips + s
            if f:
                print(f"  FAILED {entry['name']} ({entry['result']})")
    for skip in skips:
        print(f"  skipped {skip}")
    print(f"  {options.name}: {passed} passed, {failed} failed, {len(skips)} skipped in {options.seconds} s", flush=True)
    totals = [0, 0, 0]
    if os.path.exists(options.totals):
        totals = json.load(open(options.totals))
    json.dump([totals[0] + passed, totals[1] + failed, totals[2] + len(skips)], open(options.totals, 'w'))
    return 1 if failed or not (passed or skips) else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('log', nargs='?')
    parser.add_argument('--name', default='tests')
    parser.add_argument('--seconds', default='?')
    parser.add_argument('--totals')
    parser.add_argument('--final')
    options = parser.parse_args()
    if not options.final:
        return one_run(options)
    passed, failed, skipped = json.load(open(options.final)) if os.path.exists(options.final) else (0, 0, 0)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
