#!/usr/bin/env python3
"""How fast docrow is, as ratios in one run on one machine, both servers on it.

    bench.py [--docs 300000] [--sessions 2] [--runs 3] [--whole] [--json FILE]

yardstick   raw read of all documents (bench/raw_read) + COPY BINARY of the very same rows from ready files, with as many
            sessions; with --whole also the same keys, indexes and foreign keys by hand, as many at a time
docrow      `migrate` (without --whole: --load-only, rows into bare tables); with --whole then `validate`, by sample and --full

Figures are medians of the runs; every run takes its turn at both, so that a drift of the machine hits both.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lib import processes, servers  # noqa: E402
from lib.databases import MongoDatabase, PostgresDatabase  # noqa: E402

BUILD = pathlib.Path(os.environ.get("DOCROW_BUILD", ROOT / "build"))
DOCROW = pathlib.Path(os.environ.get("DOCROW_BIN", BUILD / "docrow"))
RAW_READ = BUILD / "bench" / "raw_read"
POSTGRES_SETTINGS = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "256MB",
    "autovacuum": "off",
}
COPY_BLOCK = 1 << 20


def run(arguments, **environment):
    """Runs a program; returns (seconds, CPU seconds, peak resident bytes, stdout)."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(a) for a in arguments],
        env=os.environ | {k: str(v) for k, v in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, complaints = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, arguments))} ended with {process.returncode}:\n{out}{complaints}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, out


def in_parallel(sessions, jobs, work):
    """Runs work(job) for all jobs, largest first, on so many threads; returns the seconds."""
    queue = list(jobs)
    lock = threading.Lock()
    failures = []

    def loop():
        while not failures:
            with lock:
                if not queue:
                    return
                job = queue.pop(0)
            try:
                work(job)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    started = time.monotonic()
    threads = [threading.Thread(target=loop) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.monotonic() - started


class Yardstick:
    """COPY BINARY of the rows that docrow loaded, from files, and the structure by hand."""

    def __init__(self, pg, folder):
        self.pg = pg
        self.folder = folder
        self.parts = []  # (bytes, table, file)
        self.definitions = {"key": [], "index": [], "fkey": []}

    def take_rows(self):
        """Writes each table into two files (halves by block), so that sessions can share a large one."""
        for schema, table in self.pg.query(
            "SELECT n.nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r'"
            " AND (n.nspname = 'public' OR (n.nspname = 'docrow' AND relname LIKE 'pairs%'))"
        ):
            name = f'"{schema}"."{table}"'
            blocks = self.pg.one(f"SELECT pg_relation_size('{name}') / 8192")
            for half, where in enumerate((f"ctid < '({blocks // 2},0)'", f"ctid >= '({blocks // 2},0)'")):
                path = self.folder / f"{schema}.{table}.{half}"
                with self.pg.connect() as c, c.cursor().copy(
                    f"COPY (SELECT * FROM {name} WHERE {where}) TO STDOUT (FORMAT binary)"
                ) as copy, open(path, "wb") as file:
                    for block in copy:
                        file.write(block)
                self.parts.append((path.stat().st_size, name, path))
        self.parts.sort(key=lambda p: p[0], reverse=True)

    def take_structure(self):
        q = self.pg.query
        self.definitions["key"] = [
            f"ALTER TABLE {t} ADD CONSTRAINT {n} {d}"
            for t, n, d in q(
                "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE contype = 'p' AND connamespace = 'public'::regnamespace"
                " ORDER BY pg_relation_size(conrelid) DESC"
            )
        ]
        self.definitions["index"] = [
            d
            for (d,) in q(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid"
                " WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary ORDER BY pg_relation_size(indrelid) DESC"
            )
        ]
        self.definitions["fkey"] = [
            f"ALTER TABLE {t} ADD CONSTRAINT {n} {d}"
            for t, n, d in q(
                "SELECT conrelid::regclass::text, quote_ident(conname), replace(pg_get_constraintdef(oid), ' NOT VALID', '')"
                " FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
                " ORDER BY pg_relation_size(conrelid) DESC"
            )
        ]

    def strip(self):
        """Bare, empty tables."""
        for table, name in self.pg.query(
            "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND contype IN ('f','p') ORDER BY contype"
        ):
            self.pg.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for (name,) in self.pg.query(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indrelid"
            " WHERE relnamespace = 'public'::regnamespace"
        ):
            self.pg.execute(f"DROP INDEX {name}")
        for _, table, _ in self.parts:
            self.pg.execute(f"TRUNCATE {table}")

    def copy_rows(self, sessions):
        def load(part):
            _, table, path = part
            with self.pg.connect() as c, c.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                with open(path, "rb") as file:
                    while block := file.read(COPY_BLOCK):
                        copy.write(block)

        return in_parallel(sessions, self.parts, load)

    def build_structure(self, sessions):
        def statement(sql):
            with self.pg.connect() as c:
                c.execute("SET maintenance_work_mem = '256MB'")
                c.execute(sql)

        seconds = in_parallel(sessions, self.definitions["key"], statement)
        seconds += in_parallel(sessions, self.definitions["index"], statement)
        # Two foreign keys to one parent at a time would wait for each other or deadlock: by hand, one after the other.
        seconds += in_parallel(1, self.definitions["fkey"], statement)
        return seconds


def fill(mongo, docs):
    done = run([DOCROW, "synth", "--mapping", "nextcrm", "--docs", docs, "--seed", 1, "--to", mongo.uri])
    return done[0]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 30} GiB"


def validate(options, environment, figures):
    """The proof of what was just moved."""
    command = [DOCROW, "validate", "--workers", options.sessions, "--progress", "none", "--log-dir", options.folder]
    for name, more in (("sample", []), ("full", ["--full"])):
        seconds, _, peak, _ = run(command + more, **environment)
        figures[name].append(seconds)
        figures[name + " peak"].append(peak)


def one_round(options, mongo, pg, yard, figures):
    environment = {"MONGODB_URI": mongo.uri, "DATABASE_URL": pg.uri}
    migrate = [DOCROW, "migrate", "--mapping", "nextcrm", "--clean", "--workers", options.sessions]
    migrate += ["--progress", "none", "--index-jobs", options.sessions] + ([] if options.whole else ["--load-only"])
    seconds, cpu, peak, _ = run(migrate, **environment)
    figures["docrow"].append(seconds)
    figures["cpu"].append(cpu)
    figures["peak"].append(peak)
    if options.whole:
        validate(options, environment, figures)
    if not yard.parts:
        if options.whole:
            yard.take_structure()
        # The rows as they come out of the load: a whole job's junctions hold what the pairs became.
        yard.take_rows()
    read, _, _, out = run([RAW_READ, mongo.uri, mongo.name, options.sessions])
    figures["documents"] = int(out.split()[0])
    figures["bytes"] = int(out.split()[1])
    figures["read"].append(read)
    yard.strip()
    figures["copy"].append(yard.copy_rows(options.sessions))
    figures["structure"].append(yard.build_structure(options.sessions) if options.whole else 0.0)


def report(options, figures):
    middle = {k: statistics.median(v) for k, v in figures.items() if isinstance(v, list)}
    by_hand = middle["read"] + middle["copy"] + middle["structure"]
    documents = figures["documents"]
    lines = {
        "machine": machine(),
        "documents": documents,
        "megabytes": round(figures["bytes"] / 1e6, 1),
        "sessions": options.sessions,
        "runs": options.runs,
        "raw read s": round(middle["read"], 2),
        "copy binary s": round(middle["copy"], 2),
        "keys and indexes by hand s": round(middle["structure"], 2),
        "docrow s": round(middle["docrow"], 2),
        "docrow / by hand": round(middle["docrow"] / by_hand, 2),
        "documents per second": round(documents / middle["docrow"]),
        "own cpu us per document": round(middle["cpu"] / documents * 1e6, 2),
        "peak memory MB": round(middle["peak"] / 1e6, 1),
    }
    if options.whole:
        lines |= {
            "validate s": round(middle["sample"], 2),
            "validate --full s": round(middle["full"], 2),
            "validate --full / docrow": round(middle["full"] / middle["docrow"], 2),
            "validate --full peak MB": round(middle["full peak"] / 1e6, 1),
        }
    tell(lines, options)


def tell(lines, options):
    for name, value in lines.items():
        print(f"{name:30} {value}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(lines, indent=2) + "\n")


def parser_of(text, documents):
    """The options that every bench of whole runs has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=documents)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json")
    return parser


@contextlib.contextmanager
def private_servers():
    """(folder, mongod, PostgreSQL), gone afterwards."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    folder = processes.temp_folder()
    mongo = servers.Mongo(folder / "mongo").start()
    pg = servers.Postgres(folder / "postgres", settings=POSTGRES_SETTINGS).start()
    try:
        yield folder, mongo, pg
    finally:
        mongo.stop()
        pg.stop()
        processes.remove_folder(folder)


def main():
    parser = parser_of(__doc__, 300_000)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    with private_servers() as (folder, mongo_server, pg_server):
        options.folder = folder
        mongo, pg = MongoDatabase(mongo_server), PostgresDatabase(pg_server)
        fill(mongo, options.docs)
        figures = {"docrow": [], "cpu": [], "peak": [], "read": [], "copy": [], "structure": []}
        if options.whole:
            figures |= {"sample": [], "sample peak": [], "full": [], "full peak": []}
        (folder / "rows").mkdir()
        yard = Yardstick(pg, folder / "rows")
        for _ in range(options.runs):
            one_round(options, mongo, pg, yard, figures)
        report(options, figures)


if __name__ == "__main__":
    main()
