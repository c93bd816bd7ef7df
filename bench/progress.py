#!/usr/bin/env python3
"""What the display costs: `migrate` with --progress none and with the table on a terminal of 160 columns and 50 rows.

    progress.py [--docs 200000] [--batch 200] [--runs 5]

The display is the work of docrow's first thread; the workers do the same in both. So its processor time is taken (from the
scheduler's own account) and that of --progress none, which does everything else that this thread does, is taken off.
Small chunks: what is shown changes all the time.
"""

import argparse
import fcntl
import os
import pathlib
import pty
import statistics
import struct
import subprocess
import termios
import threading
import time

import bench
from lib.databases import MongoDatabase, PostgresDatabase


def terminal():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    return ours, theirs


def drain(descriptor, amount):
    try:
        while data := os.read(descriptor, 1 << 16):
            amount[0] += len(data)
    except OSError:  # the other end is closed
        pass


def first_thread_seconds(pid):
    """Processor time of the thread that draws; None: it is over."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        return None


def move(options, mongo, pg, how):
    """(wall seconds, processor seconds of the first thread, bytes written to the terminal)"""
    command = [bench.DOCROW, "migrate", "--mapping", "nextcrm", "--clean", "--workers", "2", "--progress", how]
    command += ["--batch-size", options.batch, "--log-dir", options.folder]
    ours, theirs = terminal()
    amount = [0]
    reader = threading.Thread(target=drain, args=(ours, amount))
    reader.start()
    started = time.monotonic()
    environment = os.environ | {"MONGODB_URI": mongo.uri, "DATABASE_URL": pg.uri, "TERM": "xterm-256color"}
    process = subprocess.Popen([str(a) for a in command], env=environment, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    taken = 0.0
    while process.poll() is None:
        taken = first_thread_seconds(process.pid) or taken
        time.sleep(0.01)
    wall = time.monotonic() - started
    reader.join()
    os.close(ours)
    if process.returncode not in (0, 1):
        raise SystemExit(f"docrow ended with {process.returncode}")
    return wall, taken, amount[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with bench.private_servers() as (folder, mongo_server, pg_server):
        options.folder = folder
        mongo, pg = MongoDatabase(mongo_server), PostgresDatabase(pg_server)
        bench.fill(mongo, options.docs)
        found = {"none": [], "auto": []}
        for _ in range(options.runs):
            for how, list_ in found.items():
                list_.append(move(options, mongo, pg, how))
    middle = {how: [statistics.median(column) for column in zip(*runs)] for how, runs in found.items()}
    for how, (wall, taken, written) in middle.items():
        print(f"{how:5} {wall:8.2f} s   first thread {taken * 1000:7.1f} ms   written {written / 1e3:8.1f} kB")
    cost = middle["auto"][1] - middle["none"][1]
    print(f"the display costs {cost * 1000:.1f} ms of {middle['auto'][0]:.2f} s: {100 * cost / middle['auto'][0]:.3f} %")


if __name__ == "__main__":
    main()
