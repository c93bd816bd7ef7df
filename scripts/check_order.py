#!/usr/bin/env python3
"""Checks the order of the folders under src/ against the list in src/meson.build.

The build itself refuses an include of a folder that is not on a folder's list, because its include path does not carry
it. What the build cannot see is checked here: includes that climb with "../", a list that names a folder which comes
later (a cycle), a folder that is not on the list, and a quoted include that is satisfied by chance from elsewhere.
"""

import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parents[1] / "src"
ENTRY = re.compile(r"^  \['(\w+)',\s*\[([^\]]*)\],")
GENERATED = re.compile(r"output: '([^']+\.h)'")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def read_order():
    """{folder: folders it may use}, in the order of the list."""
    order = {}
    for line in (SRC / "meson.build").read_text().splitlines():
        match = ENTRY.match(line)
        if match:
            order[match[1]] = re.findall(r"'(\w+)'", match[2])
    return order


def has_header(place, name):
    """Whether the folder has this header, or its meson.build makes it."""
    return (SRC / place / name).exists() or name in GENERATED.findall((SRC / place / "meson.build").read_text())


def complaints(order):
    seen = set()
    for folder, uses in order.items():
        for used in uses:
            if used not in seen:
                yield f"src/meson.build: {folder} may not use {used}: it does not come before it"
        seen.add(folder)
    for path in SRC.iterdir():
        if path.is_dir() and path.name not in order:
            yield f"src/{path.name}: not in the list of src/meson.build"
    for folder, uses in order.items():
        for path in sorted((SRC / folder).glob("*.[ch]")):
            if path == SRC / "cli" / "main.c":
                uses = order["cli"]
            for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
                if "/" in name:
                    yield f"src/{folder}/{path.name}: include \"{name}\" names a folder"
                elif not any(has_header(place, name) for place in [folder, *uses]):
                    yield f"src/{folder}/{path.name}: {name} is in none of the folders that {folder} may use"


def main():
    order = read_order()
    if len(order) < 10:
        sys.exit("src/meson.build: the list of folders is not understood")
    found = list(complaints(order))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
