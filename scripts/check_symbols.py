#!/usr/bin/env python3
"""Names of functions and data that two folders' libraries define: the linker takes the first it meets, without a word,
and the other folder calls the wrong one.

    check_symbols.py BUILD-FOLDER
"""

import pathlib
import subprocess
import sys


def defined(archive):
    out = subprocess.run(["nm", "--defined-only", "--extern-only", archive], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "TDBR" and not words[2].startswith(("__asan", "__odr_asan", "_")):
            yield words[2]


def main():
    owners = {}
    for archive in sorted(pathlib.Path(sys.argv[1], "src").glob("libdocrow_*.a")):
        for name in set(defined(archive)):
            owners.setdefault(name, []).append(archive.stem.removeprefix("libdocrow_"))
    twice = {name: where for name, where in owners.items() if len(where) > 1}
    for name, where in sorted(twice.items()):
        print(f"{name} is defined in {' and in '.join(where)}")
    if not owners:
        print("no libraries found")
    return 1 if twice or not owners else 0


if __name__ == "__main__":
    sys.exit(main())
