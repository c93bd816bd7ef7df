"""Promise 1, exactly once: whatever is killed, and whenever, `--resume` ends with the same tables as a run that was
never disturbed."""

import random
import signal
import time

import bson
import pytest

from lib.databases import MongoDatabase, PostgresDatabase
from lib.processes import wait_for
from lib.program import Docrow

MAPPING = """
docrow: 1
collections:
  - collection: items
    table: items
    columns:
      - { name: id,      from: _id, type: uuid, primary_key: true }
      - { name: n,       type: integer, not_null: true }
      - { name: name,    type: text }
      - { name: payload, type: jsonb }
      - { name: tags,    type: "text[]" }
"""
DOCUMENTS = 30_000
REJECTS = 30
# Small chunks and a short lease: many places to be killed at, and short waits for dead leases.
MIGRATE = ["migrate", "--mapping", "./items.yaml", "--batch-size", "200", "--lease", "2", "--workers", "3"]


# One worker, tiny chunks, and 15 s of work: a test that a busy machine keeps waiting still acts in the middle of the load.
TINY = ["migrate", "--mapping", "./items.yaml", "--batch-size", "40", "--workers", "1", "--clean", "--lease", "2"]
SLOWLY = [*TINY, "--max-rate", str(DOCUMENTS // 15)]
# Where the run itself has to come to its end.
LESS_SLOWLY = [*TINY, "--max-rate", str(DOCUMENTS // 5)]


def fill(mongo, documents=DOCUMENTS):
    """Documents of several kinds of _id; every 1,000th can't become a row."""
    rng = random.Random(7)
    batch = []
    for i in range(documents):
        oid = bson.ObjectId(rng.randbytes(12))
        _id = oid if i % 10 else [f"key {i}", i, {"a": i, "b": [i]}, bson.Int64(i + 2**40), i + 0.5][i // 10 % 5]
        batch.append(
            {
                "_id": _id,
                "n": "not a number" if i % 1000 == 999 else i,
                "name": f"name {i} é",
                "payload": {"x": i, "deep": [{"y": rng.random()}]},
                "tags": ["a", None, str(i)],
            }
        )
    mongo["items"].insert_many(batch)


def account(pg):
    """What must be the same after any disturbance: rows, rejects, and the ledger's sums."""
    ledger = pg.query("SELECT kind, object, path, n FROM docrow.ledger l JOIN docrow.run r ON r.id = l.run"
                      " WHERE r.status <> 'cleaned' ORDER BY 1, 2, 3")
    rejects = pg.query("SELECT collection, doc_id_text, fault, path, md5(document) FROM docrow.reject ORDER BY 1, 2")
    mapped = pg.query("SELECT key::text, doc_id_text FROM docrow.id_map ORDER BY 1")
    return pg.rows("items"), ledger, rejects, mapped


@pytest.fixture(scope="module")
def items(mongo_server):
    """A filled database, for all: docrow only reads it."""
    mongo = MongoDatabase(mongo_server)
    fill(mongo)
    yield mongo
    mongo.drop()


def with_mapping(docrow):
    (docrow.folder / "items.yaml").write_text(MAPPING)
    return docrow


@pytest.fixture
def job(items, make_docrow, pg15):
    return with_mapping(make_docrow(items, pg15))


@pytest.fixture(scope="module")
def undisturbed(items, postgres_servers, tmp_path_factory):
    """What a run that nothing disturbs leaves, and its seconds."""
    pg = PostgresDatabase(postgres_servers("debian"))
    job = with_mapping(Docrow(tmp_path_factory.mktemp("undisturbed"), items, pg))
    started = time.monotonic()
    result = job.run(*MIGRATE, status=1)  # 1: there are rejects
    seconds = time.monotonic() - started
    want = account(pg)
    assert len(want[0]) == DOCUMENTS - REJECTS and len(want[2]) == REJECTS, result
    yield want, seconds
    pg.drop()


def resume(job, pg, want):
    result = job.run("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", "--workers", "3", status=1)
    assert account(pg) == want, result
    return result


def status_of_run(pg):
    """None: there is none (or it was taken back)."""
    if pg.one("SELECT to_regclass('docrow.run') IS NULL"):
        return None
    return next((s for (s,) in pg.query("SELECT status FROM docrow.run WHERE status <> 'cleaned' ORDER BY id DESC LIMIT 1")), None)


def is_running(pg):
    """Some chunks of the run at work are done, and some are not."""
    done, all_of_them = pg.query(
        "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM docrow.chunk"
        " WHERE run = (SELECT max(id) FROM docrow.run WHERE status = 'running')"
    )[0]
    return 0 < done < all_of_them


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.plain_only) for n in (2, 3, 4))])
def test_kill_9_at_random_moments(job, pg15, undisturbed, seed):
    want, seconds = undisturbed
    rng = random.Random(seed)
    for _ in range(5):
        process = job.start(*MIGRATE, "--clean")
        time.sleep(rng.uniform(0, seconds))  # the moment itself is what is tested
        process.kill()
        process.communicate()
        if status_of_run(pg15) != "running":  # before the run began, or after its end: nothing to resume
            job.run(*MIGRATE, "--clean", status=1)
            assert account(pg15) == want
        else:
            resume(job, pg15, want)


def test_kill_9_again_and_again_on_one_run(job, pg15, undisturbed):
    want, seconds = undisturbed
    rng = random.Random(5)
    process = job.start(*MIGRATE)
    wait_for(lambda: status_of_run(pg15), 30, "the run")
    for _ in range(6):
        time.sleep(rng.uniform(0.1, seconds / 2))
        process.kill()
        process.communicate()
        if status_of_run(pg15) == "done":
            break
        process = job.start("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2")
    process.kill()
    process.communicate()
    if status_of_run(pg15) == "done":
        assert account(pg15) == want
    else:
        resume(job, pg15, want)


def test_stopped_past_the_lease(job, pg15, undisturbed):
    """A process that sleeps through its lease loses its chunks to another one, and wakes up to find them gone: the epoch
    fences it off."""
    want, _ = undisturbed
    sleeper = job.start(*SLOWLY)
    try:
        wait_for(lambda: is_running(pg15), 30, "the first chunks")
        sleeper.send_signal(signal.SIGSTOP)
        taker = resume(job, pg15, want)
        assert "waiting" in taker.stderr
        sleeper.send_signal(signal.SIGCONT)
        sleeper.communicate(timeout=60)
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert account(pg15) == want


def test_stopped_past_the_lease_and_woken_during_the_other_run(job, pg15, undisturbed):
    want, _ = undisturbed
    sleeper = job.start(*SLOWLY)
    try:
        wait_for(lambda: is_running(pg15), 30, "the first chunks")
        sleeper.send_signal(signal.SIGSTOP)
        done = pg15.one("SELECT count(*) FROM docrow.chunk WHERE state = 'done'")
        taker = job.start("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", "--workers", "1")
        wait_for(
            lambda: taker.poll() is not None
            or pg15.one("SELECT count(*) FROM docrow.chunk WHERE state = 'done'") > done + 3,
            30,
            "chunks of the second process",
        )
        sleeper.send_signal(signal.SIGCONT)
        _, taker_said = taker.communicate(timeout=120)
        sleeper.communicate(timeout=120)
        assert taker.returncode == 1, taker_said
    finally:
        for process in (sleeper, taker):
            process.kill()
            process.communicate()
    assert account(pg15) == want


@pytest.mark.threads
def test_postgresql_killed_and_restarted(make_postgres, make_docrow, items, undisturbed):
    want, _ = undisturbed
    server = make_postgres(settings={"fsync": "on"})
    pg = PostgresDatabase(server)
    job = with_mapping(make_docrow(items, pg))
    rng = random.Random(11)
    for _ in range(3):
        process = job.start(*LESS_SLOWLY, "--retry-for", "60")
        wait_for(lambda: process.poll() is not None or is_running(pg), 60, "the first chunks")
        time.sleep(rng.uniform(0, 0.5))
        server.kill()
        pg.forget()
        server.restart()
        stdout, stderr = process.communicate(timeout=120)
        if process.returncode != 1:
            assert process.returncode == 4, stderr
            job.run("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", status=1)
        assert account(pg) == want, stderr


def test_postgresql_gone_for_good_then_resumed(make_postgres, make_docrow, items, undisturbed):
    want, _ = undisturbed
    server = make_postgres()
    pg = PostgresDatabase(server)
    job = with_mapping(make_docrow(items, pg))
    process = job.start(*SLOWLY, "--retry-for", "1")
    wait_for(lambda: is_running(pg), 60, "the first chunks")
    server.kill()
    pg.forget()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 4, stderr
    assert "--resume" in stderr
    server.restart()
    job.run("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", status=1)
    assert account(pg) == want


@pytest.mark.threads
def test_mongod_killed_and_restarted(make_mongo, make_docrow, pg15, undisturbed):
    want, _ = undisturbed
    server = make_mongo()
    mongo = MongoDatabase(server)
    fill(mongo)
    job = with_mapping(make_docrow(mongo, pg15))
    for retry_for in ("60", "60", "1"):
        process = job.start(*LESS_SLOWLY, "--retry-for", retry_for)
        wait_for(lambda: process.poll() is not None or is_running(pg15), 60, "the first chunks")
        server.kill()
        server.restart()
        stdout, stderr = process.communicate(timeout=120)
        if process.returncode != 1:
            assert process.returncode == 3, stderr
            job.run("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", status=1)
        assert account(pg15) == want, stderr


@pytest.mark.threads
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_resume_goes_on_exactly_there(job, pg15, undisturbed, which):
    want, _ = undisturbed
    process = job.start(*SLOWLY)
    wait_for(lambda: is_running(pg15), 30, "the first chunks")
    process.send_signal(which)
    sent = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    assert time.monotonic() - sent < 10
    assert "docrow migrate" in stderr and "--resume" in stderr
    done = pg15.query("SELECT id, xid FROM docrow.chunk WHERE state = 'done' ORDER BY id")
    assert pg15.one("SELECT count(*) FROM docrow.chunk WHERE state = 'running'") == 0
    resumed = resume(job, pg15, want)
    assert "waiting" not in resumed.stderr  # an orderly stop leaves no lease behind
    again = dict(pg15.query("SELECT id, xid FROM docrow.chunk"))
    assert all(again[chunk] == xid for chunk, xid in done)  # what was done was not done again


def test_two_processes_share_one_run(job, pg15, undisturbed):
    want, _ = undisturbed
    first = job.start(*TINY[:-1], "10", "--max-rate", str(DOCUMENTS // 15))  # a lease that does not run out
    wait_for(lambda: is_running(pg15), 30, "the first chunks")
    refused = job.run("migrate", "--mapping", "./items.yaml", status=2)
    assert "--join" in refused.stderr
    refused = job.run("migrate", "--mapping", "./items.yaml", "--resume", "--lease", "2", status=2)
    assert "--join" in refused.stderr
    second = job.run("migrate", "--mapping", "./items.yaml", "--join", "--lease", "2")
    first.communicate(timeout=60)
    assert first.returncode == 1
    assert account(pg15) == want, second
