#!/usr/bin/env python3
"""Adds up the results of all test runners: prints one line `N passed, N failed, N skipped`.

    tally.py [--failed STEP]... BUILD_FOLDER...

Reads, in each build folder, Meson's log of the unit tests (cmocka says how many tests each program ran; a program that
failed without saying so counts as one failure) and every *.junit.xml of pytest. Each --failed STEP counts as one failure:
a build or a check that did not get as far as having results. Exit status 1 if something failed or nothing ran.
"""

import argparse
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

CMOCKA = re.compile(r"\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test")


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.names = []

    def fail(self, name, n=1):
        self.failed += n
        self.names.append(name)


def add_unit(counts, folder):
    log = folder / "meson-logs" / "testlog.json"
    if not log.exists():
        return
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        test = json.loads(line)
        said = dict.fromkeys(("PASSED", "FAILED", "SKIPPED"), 0)
        for what, n in CMOCKA.findall(test.get("stdout", "") + test.get("stderr", "")):
            said[what] += int(n)
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        counts.passed += said["PASSED"] or (1 if good else 0)
        counts.skipped += said["SKIPPED"] or (1 if test["result"] == "SKIP" else 0)
        if not good and test["result"] != "SKIP":
            counts.fail(f"{folder.name}: {test['name']}", max(1, said["FAILED"]))


def add_junit(counts, path):
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            counts.fail(f"{path.parent.name}: {case.get('classname')}.{case.get('name')}")
        elif "skipped" in kinds:
            counts.skipped += 1
        else:
            counts.passed += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--failed", action="append", default=[], metavar="STEP")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    counts = Counts()
    for folder in arguments.folders:
        add_unit(counts, folder)
        for path in sorted(folder.glob("*.junit.xml")):
            add_junit(counts, path)
    for step in arguments.failed:
        counts.fail(step)
    for name in counts.names:
        print(f"failed: {name}")
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    sys.exit(0 if counts.passed and not counts.failed else 1)


if __name__ == "__main__":
    main()
