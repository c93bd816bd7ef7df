#!/usr/bin/env python3
"""Kill and resume, and random round trips, over and over. Each round moves a new sample once undisturbed and once with
random disturbances, and compares what came out; then ROUNDTRIPS random mappings and documents (tests/lib/roundtrip.py) are
moved, by turns from a dump and from the server, and compared with what the manual promises.

    soak.py [--minutes 30] [--docs 20000] [--seed N | --roundtrip N]

Disturbances: kill -9, SIGTERM and SIGSTOP past the lease of docrow; kill -9 and restart of PostgreSQL and of mongod.
Ends at the first difference with status 1, naming the seed that shows it again.
"""

import argparse
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lib import nextcrm_sample, processes, servers  # noqa: E402
from lib.databases import MongoDatabase, PostgresDatabase  # noqa: E402
from lib.program import Docrow  # noqa: E402
from lib.roundtrip import Roundtrip  # noqa: E402

LEASE = 2
ROUNDTRIPS = 30
MIGRATE = ["migrate", "--mapping", "nextcrm", "--batch-size", "500", "--lease", LEASE, "--progress", "none"]


class Round:
    """One sample, one undisturbed and one disturbed move of it."""

    def __init__(self, soak, seed):
        self.soak = soak
        self.random = random.Random(seed)
        self.mongo = MongoDatabase(soak.mongo)
        self.log = []
        nextcrm_sample.make(soak.docs, seed, 0.02).insert(self.mongo.db)

    def migrate(self, disturbed):
        self.pg = pg = PostgresDatabase(self.soak.postgres)
        docrow = Docrow(self.soak.folder, self.mongo, pg)
        try:
            if disturbed:
                self.disturb(docrow)
            else:
                started = time.monotonic()
                docrow.run(*MIGRATE, status={0, 1}, timeout=600)
                self.seconds = time.monotonic() - started
            return account(pg)
        finally:
            pg.drop()

    def disturb(self, docrow):
        process = docrow.start(*MIGRATE)
        for _ in range(self.random.randrange(1, 5)):
            time.sleep(self.random.uniform(0, self.seconds))  # the moment is what is tried
            if process.poll() is not None:
                break
            trick = self.random.choice((self.kill, self.stop, self.sleep, self.kill_postgres, self.kill_mongo))
            self.log.append(trick.__name__)
            trick(process)
            if process.poll() is not None:
                process.communicate()
                process = self.go_on(docrow)
                if process is None:
                    return
        while process is not None:
            _, complaints = process.communicate(timeout=600)
            if process.returncode not in (0, 1, 3, 4, 130, -signal.SIGKILL):
                raise AssertionError(f"status {process.returncode}: {complaints}")
            process = self.go_on(docrow)

    def go_on(self, docrow):
        """What a person would do now: resume, begin anew where there is no run yet, or nothing (None) when it is done."""
        if self.pg.one("SELECT to_regclass('docrow.run') IS NULL"):
            return docrow.start(*MIGRATE)
        status = self.pg.query("SELECT status FROM docrow.run ORDER BY id DESC LIMIT 1")
        if not status:
            return docrow.start(*MIGRATE)
        return None if status[0][0] == "done" else docrow.start(*MIGRATE, "--resume")

    @staticmethod
    def kill(process):
        process.kill()
        process.wait()

    @staticmethod
    def stop(process):
        process.terminate()
        process.wait(60)

    @staticmethod
    def sleep(process):
        process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE * 1.5)
        process.send_signal(signal.SIGCONT)

    def kill_postgres(self, process):
        self.pg.forget()
        self.soak.postgres.kill()
        self.soak.postgres.restart()

    def kill_mongo(self, process):
        self.soak.mongo.kill()
        self.soak.mongo.restart()


def account(pg):
    """All that must be the same after any disturbance."""
    return {
        "tables": pg.contents(),
        "ledger": pg.query(
            "SELECT kind, object, path, sum(n) FROM docrow.ledger GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ),
        "rejects": pg.query("SELECT collection, doc_id_text, fault, path, md5(document) FROM docrow.reject ORDER BY 1, 2, 4"),
        "findings": pg.query(
            "SELECT table_name, column_name, doc_id_text, path, kind, ordinal FROM docrow.finding ORDER BY 1, 2, 3, 4, 5, 6"
        ),
    }


class Soak:
    def __init__(self, docs):
        self.docs = docs
        self.folder = processes.temp_folder("docrow-soak-")
        self.mongo = servers.Mongo(self.folder / "mongo").start()
        self.postgres = servers.Postgres(self.folder / "postgres").start()

    def round(self, seed):
        job = Round(self, seed)
        want, got = job.migrate(False), job.migrate(True)
        job.mongo.drop()
        different = [name for name in want if want[name] != got[name]]
        said = ", ".join(job.log) or "over before it could be disturbed"
        print(f"seed {seed}: {said}: {'DIFFERENT ' + str(different) if different else 'same'}", flush=True)
        return not different

    def roundtrip(self, seed):
        """True when a random mapping and its documents come out as promised."""
        different = Roundtrip(self.folder, self.postgres, self.mongo if seed % 2 else None).check(seed)
        if different:
            print("\n".join(different), flush=True)
        return not different

    def close(self):
        self.mongo.stop()
        self.postgres.stop()
        processes.remove_folder(self.folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, help="only this round")
    parser.add_argument("--roundtrip", type=int, metavar="SEED", help="only this round trip, and its smallest example")
    options = parser.parse_args()
    soak = Soak(options.docs)
    try:
        if options.seed is not None:
            sys.exit(0 if soak.round(options.seed) else 1)
        if options.roundtrip is not None:
            sys.exit(0 if soak.roundtrip(options.roundtrip) else 1)
        ends = time.monotonic() + options.minutes * 60
        seed = rounds = 0
        while time.monotonic() < ends:
            seed = random.SystemRandom().randrange(1 << 32)
            if not soak.round(seed):
                sys.exit(f"seed {seed} shows a difference: soak.py --docs {options.docs} --seed {seed}")
            rounds += 1
            for trip in range(ROUNDTRIPS):
                if not soak.roundtrip(seed + trip):
                    sys.exit(f"a round trip differs: soak.py --roundtrip {seed + trip}")
        print(f"{rounds} rounds with {rounds * ROUNDTRIPS} round trips, all as they should be")
    finally:
        soak.close()


if __name__ == "__main__":
    main()
