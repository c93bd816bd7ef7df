"""Servers that go away while docrow validate reads: it waits, reads the chunk once more, and counts nothing twice. The report is
that of a validation that nobody disturbed, findings included."""

import json
import random

import pytest

from lib import proof
from lib.databases import MongoDatabase, PostgresDatabase
from lib.processes import wait_for

DOCUMENTS = 12000
DAMAGE = """
    UPDATE counters SET value = value + 1 WHERE id IN (10005, 17000, 21000);
    DELETE FROM counters WHERE id IN (10100, 20100);
    INSERT INTO counters VALUES (5, 5) ON CONFLICT DO NOTHING; INSERT INTO counters VALUES (-5, 5);
    DELETE FROM items WHERE position = 2; TRUNCATE friends;
    ALTER TABLE teams DROP CONSTRAINT teams_boss_fkey; UPDATE teams SET boss = gen_random_uuid();
"""
OPTIONS = ["--full", "--workers", "3", "--mapping", "./proof.yaml", "--progress", "none"]
SLOWLY = ["validate", *OPTIONS, "--max-rate", "2000"]


def prepared(mongo, pg, job):
    proof.fill(mongo.db)
    mongo["counters"].insert_many({"_id": 10000 + n, "value": n, "pad": "x" * 6000} for n in range(DOCUMENTS))
    (job.folder / "proof.yaml").write_text(proof.MAPPING)
    job.run("migrate", "--mapping", "./proof.yaml", status=1)
    pg.execute(DAMAGE)
    job.run("validate", *OPTIONS, status=1)
    want = report_of(job)
    assert want["findings_total"] > 20 and len(want["layers"]) == 5
    return want


def report_of(job):
    """What must be the same: all but times and, since a lost snapshot is said, notes. Findings come in no order."""
    report = json.loads((job.folder / "migration-validation-report.json").read_text())
    for name in ("timestamp", "started", "seconds", "notes"):
        report.pop(name)
    for layer in report["layers"]:
        layer.pop("seconds")
    report["findings"].sort(key=json.dumps)
    return report


def is_comparing(job, process, chunks):
    progress = job.folder / "migration-validation-progress"
    return process.poll() is not None or (progress.exists() and len(progress.read_text().splitlines()) > chunks)


def victims(pg):
    return [r[0] for r in pg.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'docrow validate' ORDER BY backend_start")]


def test_backends_that_are_terminated(mongo, pg15, docrow):
    want = prepared(mongo, pg15, docrow)
    rng = random.Random(3)
    for victim in ("all", "keeper", "a worker"):
        process = docrow.start(*SLOWLY, "--retry-for", "60")
        wait_for(lambda: is_comparing(docrow, process, 1 + rng.randrange(3)), 60, "the first chunks")
        pids = victims(pg15)
        assert len(pids) >= 2, "the keeper and a worker"
        chosen = pids if victim == "all" else pids[:1] if victim == "keeper" else pids[-1:]
        for pid in chosen:
            pg15.query("SELECT pg_terminate_backend(%s)", pid)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 1, (victim, stderr)
        assert ("trying again" in stderr) or victim == "keeper", (victim, stderr)
        assert report_of(docrow) == want, (victim, stderr)


@pytest.mark.threads
def test_postgresql_killed_and_restarted(make_postgres, make_docrow, mongo):
    server = make_postgres(settings={"fsync": "on"})
    pg = PostgresDatabase(server)
    job = make_docrow(mongo, pg)
    want = prepared(mongo, pg, job)
    for chunks in (0, 2):
        process = job.start(*SLOWLY, "--retry-for", "60")
        wait_for(lambda: is_comparing(job, process, chunks), 60, "the first chunks")
        server.kill()
        pg.forget()
        server.restart()
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 1 and "trying again" in stderr, stderr
        assert report_of(job) == want, stderr
    # gone for good: it stops, and can be taken up
    process = job.start(*SLOWLY, "--retry-for", "1")
    wait_for(lambda: is_comparing(job, process, 2), 60, "the first chunks")
    server.kill()
    pg.forget()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 4, stderr
    server.restart()
    resumed = job.run("validate", *OPTIONS, "--resume", status=1)
    assert "compared before the interruption" in resumed.stdout
    assert report_of(job)["findings"] == want["findings"]


@pytest.mark.threads
def test_mongod_killed_and_restarted(make_mongo, make_docrow, pg15):
    server = make_mongo()
    mongo = MongoDatabase(server)
    job = make_docrow(mongo.uri + "&serverSelectionTimeoutMS=1500", pg15)
    want = prepared(mongo, pg15, job)
    for chunks in (0, 2):
        process = job.start(*SLOWLY, "--retry-for", "60")
        wait_for(lambda: is_comparing(job, process, chunks), 60, "the first chunks")
        server.kill()
        # A server that is back at once may be missed by nobody: the driver connects anew between two reads.
        said = next((line for line in process.stderr if "trying again" in line), None)
        server.restart()
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 1, stderr
        assert said, f"nobody missed the server: {stderr}"
        assert report_of(job) == want, stderr
