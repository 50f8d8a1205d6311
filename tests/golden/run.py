#!/usr/bin/env python3
"""Runs a checker over every tests/golden/check/NNN-name.yd and holds what it prints against NNN-name.expected.

    run.py COMMAND [ARG …]             e.g. build/tests/golden/golden_checker, or build/yarder check
    run.py --update COMMAND [ARG …]    writes the expected files: read the difference before it is committed
    run.py --folder DIR …              another folder (default: check, beside this file)
    run.py --kind .ydm D …             files of another ending, whose codes begin with another letter
    run.py --codes CODES.H             also: every code of that table is in some expected file
    run.py --page ERRORS.MD            also: the reference page is what `COMMAND --codes` prints

It prints TAP. A file named *-fine… must exit with 0, one with an error in its output with 1.
"""
import os
import pathlib
import re
import subprocess
import sys


def main():
    here = pathlib.Path(__file__).resolve().parent
    args = sys.argv[1:]
    update, folder, codes, page, ending, letter = False, here / "check", None, None, ".yd", "Y"
    while args and args[0].startswith("--"):
        option = args.pop(0)
        if option == "--update":
            update = True
        elif option == "--folder":
            folder = pathlib.Path(args.pop(0))
        elif option == "--kind":
            ending, letter = args.pop(0), args.pop(0)
        elif option == "--codes":
            codes = pathlib.Path(args.pop(0))
        elif option == "--page":
            page = pathlib.Path(args.pop(0))
        else:
            sys.exit(__doc__)
    if not args:
        sys.exit(__doc__)
    command = [os.path.abspath(args[0])] + args[1:]
    files = sorted(folder.glob("*" + ending))
    print(f"1..{len(files) + (codes is not None) + (page is not None)}")
    failed, seen = 0, set()
    for number, path in enumerate(files, 1):
        ran = subprocess.run(command + [path.name], cwd=folder, capture_output=True, timeout=60)
        expected = path.with_suffix(".expected")
        if update:
            expected.write_bytes(ran.stdout)
        want = expected.read_bytes() if expected.exists() else b""
        seen.update(re.findall(rb"^(?:error|warning)\[(" + letter.encode() + rb"\d+)\]", ran.stdout, re.M))
        code = 1 if re.search(rb"^error\[", want, re.M) else 0
        good = ran.stdout == want and ran.returncode == code and not ran.stderr
        print(f"{'ok' if good else 'not ok'} {number} - {path.stem}")
        if good:
            continue
        failed += 1
        print(f"# exit code {ran.returncode}, expected {code}")
        for title, text in (("expected", want), ("printed", ran.stdout), ("stderr", ran.stderr)):
            for line in text.decode(errors="replace").splitlines():
                print(f"# {title}: {line}")
    if codes is not None:
        known = {f"{letter}{int(number):03d}".encode() for number in re.findall(r"X\((\d+),", codes.read_text())}
        missing = sorted(known - seen)
        print(f"{'ok' if not missing else 'not ok'} {len(files) + 1} - every code has a golden file")
        for code in missing:
            print(f"# never seen: {code.decode()}")
        failed += bool(missing)
    if page is not None:
        text = subprocess.run(command + ["--codes"], capture_output=True, timeout=60).stdout
        if update:
            page.write_bytes(text)
        good = page.exists() and page.read_bytes() == text
        print(f"{'ok' if good else 'not ok'} {len(files) + 2} - {page.name} is the table of codes")
        failed += not good
    return 1 if failed else 0


sys.exit(main())
