#!/usr/bin/env python3
"""The whole NextCRM job into tables that are there already, against tables that docrow makes: same documents, same keys
and indexes, one server, each way in turn.

    existing.py [--docs 150000] [--sessions 2] [--runs 3] [--json FILE]

owned      docrow makes the tables, without its search indexes, which the deployed schema has not
existing   NextCRM's schema deployed beforehand: keys and indexes are taken away, and made again to the letter
in force   the same with --keep-indexes

Figures are the best of the runs. What is timed is `docrow migrate` alone; taking back the run before it is not.
"""

import json
import sys

import bench  # also makes tests/lib known
from lib import deployed
from lib.databases import MongoDatabase, PostgresDatabase

WAYS = {"owned": ["--no-search-indexes"], "existing": [], "in force": ["--keep-indexes"]}


class Target:
    def __init__(self, way, server):
        self.way = way
        self.pg = PostgresDatabase(server)
        self.ran = False
        self.seconds = []
        self.parts = []
        if way != "owned":
            deployed.nextcrm(self.pg, task_nullable=True)

    def move(self, options, mongo):
        environment = {"MONGODB_URI": mongo.uri, "DATABASE_URL": self.pg.uri}
        common = ["--progress", "none", "--log-dir", options.folder]
        if self.ran:
            bench.run([bench.DOCROW, "migrate", "--clean-only", *common], **environment)
        with self.pg.admin() as admin:
            admin.execute("CHECKPOINT")
        sessions = ["--workers", options.sessions, "--index-jobs", options.sessions]
        done = bench.run([bench.DOCROW, "migrate", "--mapping", "nextcrm", *sessions, *common, *WAYS[self.way]], **environment)
        self.ran = True
        status = json.loads(bench.run([bench.DOCROW, "status", "--json"], **environment)[3])
        self.seconds.append(done[0])
        self.parts.append((status["load_seconds"], status["settle_seconds"], done[1]))

    def best(self):
        at = self.seconds.index(min(self.seconds))
        return self.seconds[at], *self.parts[at]


def report(options, targets):
    lines = {"machine": bench.machine(), "documents": options.docs, "sessions": options.sessions, "runs": options.runs}
    for target in targets:
        seconds, load, settle, cpu = target.best()
        lines |= {
            f"{target.way} s": round(seconds, 2),
            f"{target.way}: rows s": round(load, 2),
            f"{target.way}: keys and indexes s": round(settle, 2),
            f"{target.way}: own cpu s": round(cpu, 2),
        }
    owned, *others = targets
    lines |= {f"{target.way} / owned": round(target.best()[0] / owned.best()[0], 3) for target in others}
    bench.tell(lines, options)


def main():
    options = bench.parser_of(__doc__, 150_000).parse_args()
    with bench.private_servers() as (folder, mongo_server, pg_server):
        options.folder = folder
        mongo = MongoDatabase(mongo_server)
        bench.fill(mongo, options.docs)
        targets = [Target(way, pg_server) for way in WAYS]
        for number in range(options.runs):
            for target in targets if number % 2 == 0 else reversed(targets):
                target.move(options, mongo)
        report(options, targets)


if __name__ == "__main__":
    sys.exit(main())
