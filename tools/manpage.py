#!/usr/bin/env python3
"""Puts what `yarder COMMAND --help` says into the manual page: every line `%commands%` of the source becomes them."""
import re
import subprocess
import sys

yarder, source = sys.argv[1:]


def escape(text):
    return re.sub(r'([\\_*#<>\[\]])', r'\\\1', text)


def commands():
    listed = subprocess.run([yarder, '--help'], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        found = re.match(r'^  ((?:(?:log|live|decom) )?\w+) +\S', line)
        if found:
            yield found.group(1)


def section(command):
    text = subprocess.run([yarder, *command.split(), '--help'], capture_output=True, text=True, check=True).stdout
    lines = text.splitlines()
    out = [f'## {lines[0].removeprefix("usage: ")}', '']  # scdoc takes a heading as it stands
    for line in lines[2:]:
        option = re.match(r'^  (--\S+(?: \S+)*?)  +(.*)$', line)
        if line.startswith(('usage:', 'Exit codes')):
            continue
        if option:
            out += [f'*{escape(option.group(1))}*', f'\t{escape(option.group(2))}', '']
        elif line in ('Options:', 'Try:'):
            out += [line, '']
        elif line.startswith('  '):
            out += ['```', line.strip(), '```', '']
        else:
            out.append(('\\' if line.startswith('-') else '') + escape(line))  # no list
    return '\n'.join(out) + '\n'


for line in open(source):
    if line.strip() == '%commands%':
        print('\n'.join(section(c) for c in commands()))
    else:
        print(line, end='')
