"""kill -9 over all phases of the NextCRM job, split, load and settle, with a dirty database: `--resume` ends with the
rows, rejects, findings and ledger of a run that was never disturbed. And a server that refuses documents."""

import random
import time

import bson
import pytest

from lib import nextcrm_dirt, nextcrm_sample, program

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
MIGRATE = ["migrate", "--mapping", MAPPING, "--batch-size", "60", "--lease", "2", "--workers", "2"]


def account(pg):
    of_run = "run = (SELECT max(id) FROM docrow.run)"
    return (
        pg.contents(),
        pg.query(f"SELECT kind, object, path, n FROM docrow.ledger WHERE {of_run} ORDER BY 1, 2, 3"),
        sorted(
            pg.query(
                "SELECT collection, table_name, column_name, doc_id_text, fault, ordinal, md5(document), row_text,"
                f" message FROM docrow.reject WHERE {of_run}"
            ),
            key=repr,
        ),
        sorted(
            pg.query(
                f"SELECT kind, table_name, column_name, key, doc_id_text, ordinal, md5(value) FROM docrow.finding WHERE {of_run}"
            ),
            key=repr,
        ),
    )


@pytest.mark.plain_only
def test_kill_9_over_all_phases(mongo, docrow, pg15):
    sample = nextcrm_sample.make(1200, seed=5, dirt=0.03)
    nextcrm_dirt.spoil(sample, seed=5)
    sample.insert(mongo.db)
    started = time.monotonic()
    docrow.run(*MIGRATE, status=1)
    seconds = time.monotonic() - started
    want = account(pg15)
    assert want[2] and want[3]
    rng = random.Random(3)
    phases = set()
    for kill in range(8):
        process = docrow.start(*MIGRATE, "--clean")
        time.sleep(seconds * (kill + rng.random()) / 8)  # the moment itself is what is tested
        process.kill()
        process.communicate()
        phase, status = pg15.query("SELECT phase, status FROM docrow.run ORDER BY id DESC LIMIT 1")[0]
        phases.add(phase)
        if status == "running":
            docrow.run("migrate", "--resume", "--lease", "2", status=1)
        else:  # before the run began, or after its end
            docrow.run(*MIGRATE, "--clean", status=1)
        assert account(pg15) == want, kill
    assert "settle" in phases


REFUSED = """
docrow: 1
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n,  type: integer }
"""


@pytest.mark.threads
def test_documents_that_the_server_refuses(mongo, docrow, pg15):
    """A CHECK that docrow knows nothing of refuses 3 of 10,000: those become rejects, the others load."""
    mongo["things"].insert_many({"n": n} for n in range(10_000))
    (docrow.folder / "things.yaml").write_text(REFUSED)
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION add_check() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM"
            " pg_event_trigger_ddl_commands() WHERE object_identity = 'public.things') THEN ALTER TABLE public.things"
            " ADD CONSTRAINT odd CHECK (n NOT IN (17, 18, 9000)); END IF; END $$"
        )
        admin.execute(
            "CREATE EVENT TRIGGER add_check ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION add_check()"
        )
    docrow.run("migrate", "--mapping", "./things.yaml", status=1)
    assert pg15.query("SELECT count(*), count(DISTINCT n) FROM things") == [(9997, 9997)]
    rejects = pg15.query("SELECT fault, sqlstate, document FROM docrow.reject")
    assert {(fault, sqlstate) for fault, sqlstate, _ in rejects} == {("refused", "23514")}
    assert sorted(bson.decode(bytes(document))["n"] for *_, document in rejects) == [17, 18, 9000]


@pytest.mark.threads
def test_too_many_rejects_stop_the_run(mongo, docrow, pg15):
    mongo["things"].insert_many({"n": "bad" if n % 2 else n} for n in range(1000))
    (docrow.folder / "things.yaml").write_text(REFUSED)
    result = docrow.run("migrate", "--mapping", "./things.yaml", "--batch-size", "50", "--max-rejects", "40", status=1)
    assert "40" in result.stderr and "--resume" in result.stderr
    docrow.run("migrate", "--resume", "--max-rejects", "1000", status=1)
    assert pg15.query("SELECT count(*), count(DISTINCT n) FROM things") == [(500, 500)]
    assert pg15.one("SELECT count(*) FROM docrow.reject") == 500
