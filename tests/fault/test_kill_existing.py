"""kill -9 while keys and indexes of tables that were there before are taken away, while rows are loaded, and while all of
it is made again: `--resume`, or `--clean`, ends with the catalog to the letter and the rows of an undisturbed run."""

import random
import time

import pytest

from lib import deployed, nextcrm_dirt, nextcrm_sample, program
from lib.processes import wait_for

MIGRATE = ["migrate", "--mapping", "./m.yaml", "--batch-size", "10", "--workers", "2", "--lease", "2"]
BOTH = ("public", "billing")


@pytest.fixture
def job(mongo, docrow, pg15):
    deployed.fill_small(mongo)
    (docrow.folder / "m.yaml").write_text(deployed.SMALL)
    pg15.execute(deployed.EVERYTHING)
    pg15.before = deployed.catalog(pg15, BOTH)
    docrow.run(*MIGRATE, status=1)
    pg15.rows_wanted = rows(pg15)
    docrow.run("migrate", "--clean-only", status=0)
    return docrow


def rows(pg):
    """Without what the server numbers and dates."""
    return (
        pg.query("SELECT id, email, n, mood, boss, notes::text, since FROM people ORDER BY id"),
        pg.query("SELECT id, owner, name FROM pets ORDER BY id"),
        pg.query(
            "SELECT kind, object, path, n FROM docrow.ledger WHERE run = (SELECT max(id) FROM docrow.run) ORDER BY 1, 2, 3"
        ),
    )


def slow(pg, seconds, *tags):
    """Every statement of these kinds takes so long."""
    with pg.admin() as admin:
        admin.execute(
            f"CREATE OR REPLACE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep({seconds}); END$$;"
            f" DROP EVENT TRIGGER IF EXISTS slow; CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ({', '.join(repr(t) for t in tags)})"
            " EXECUTE FUNCTION slow()"
        )


def quick(pg):
    with pg.admin() as admin:
        admin.execute("DROP EVENT TRIGGER slow")
        admin.execute("DROP FUNCTION slow()")


def nobody_is_left(pg):
    """What a killed docrow began is rolled back."""
    return pg.one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'docrow%'") == 0


def as_undisturbed(pg):
    assert deployed.differences(pg.before, deployed.catalog(pg, BOTH)) == {}
    assert rows(pg) == pg.rows_wanted


def test_while_taking_away(job, pg15):
    slow(pg15, 1, "DROP INDEX")

    def is_dropping():
        return pg15.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'docrow' AND query LIKE '%%DROP INDEX%%'")

    job.kill_when(is_dropping, *MIGRATE)
    wait_for(lambda: nobody_is_left(pg15), 30, "the rollback")
    quick(pg15)
    assert deployed.differences(pg15.before, deployed.catalog(pg15, BOTH)) == {}
    assert pg15.one("SELECT count(*) FROM docrow.run WHERE status <> 'cleaned'") == 0
    job.run(*MIGRATE, status=1)
    as_undisturbed(pg15)


def test_while_loading(job, mongo, pg15):
    def is_loading():
        return pg15.query("SELECT 1 FROM docrow.chunk WHERE state = 'done'")

    note = "CREATE OR REPLACE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN %s RETURN NEW; END$$"
    pg15.execute(note % "PERFORM pg_sleep(0.1);")
    job.kill_when(is_loading, *MIGRATE)
    pg15.execute(note % "")
    assert deployed.differences(pg15.before, deployed.catalog(pg15, BOTH)) != {}
    job.run("migrate", "--resume", "--lease", "2", status=1)
    as_undisturbed(pg15)


@pytest.mark.parametrize("end", ["resume", "clean"])
def test_while_making_again(job, pg15, end):
    slow(pg15, 0.5, "CREATE INDEX", "ALTER TABLE")

    def is_making():
        return pg15.one("SELECT count(*) FILTER (WHERE state = 'restored') BETWEEN 3 AND count(*) - 3 FROM docrow.ddl")

    job.kill_when(is_making, *MIGRATE)
    quick(pg15)
    if end == "resume":
        job.run("migrate", "--resume", "--lease", "2", status=1)
        as_undisturbed(pg15)
    else:
        job.run("migrate", "--clean-only", "--lease", "2", status=0)
        assert deployed.differences(pg15.before, deployed.catalog(pg15, BOTH)) == {}
        assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0, 0)]


# --- with all of it in force ---

KEEP = [*MIGRATE, "--keep-indexes"]


@pytest.fixture
def in_force(mongo, docrow, pg15):
    deployed.fill_small(mongo)
    (docrow.folder / "m.yaml").write_text(deployed.SMALL)
    pg15.execute(deployed.IN_FORCE)
    pg15.before = deployed.catalog(pg15, BOTH)
    docrow.run(*MIGRATE, status=1)  # the usual way: it ends with the same rows and account
    pg15.rows_wanted = rows(pg15)
    docrow.run("migrate", "--clean-only", status=0)
    return docrow


def test_in_force_while_loading(in_force, pg15):
    with pg15.admin() as admin:
        admin.execute("ALTER TABLE people ADD CONSTRAINT slow CHECK (pg_sleep(0.1) IS NOT NULL)")

    def is_loading():
        return pg15.query("SELECT 1 FROM docrow.chunk WHERE state = 'done'")

    in_force.kill_when(is_loading, *KEEP)
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0, 0)]
    pg15.execute("ALTER TABLE people DROP CONSTRAINT slow")
    in_force.run("migrate", "--resume", "--lease", "2", status=1)
    as_undisturbed(pg15)


@pytest.mark.parametrize("table", ["people", "pets"])
@pytest.mark.parametrize("end", ["resume", "clean"])
def test_in_force_while_moving(in_force, pg15, table, end):
    pg15.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END$$;"
        f"CREATE TRIGGER wait BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION wait()"
    )

    def is_moving():
        return pg15.query(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'docrow%%' AND state = 'active' AND query LIKE"
            f" 'INSERT INTO \"public\".\"{table}\"%%' AND clock_timestamp() - query_start > interval '0.2 s'"
        )

    in_force.kill_when(is_moving, *KEEP)
    wait_for(lambda: nobody_is_left(pg15), 30, "the rollback")
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0 if table == "people" else 90, 0)]
    pg15.execute(f"DROP TRIGGER wait ON {table}; DROP FUNCTION wait()")
    if end == "resume":
        in_force.run("migrate", "--resume", "--lease", "2", status=1)
        as_undisturbed(pg15)
    else:
        in_force.run("migrate", "--clean-only", "--lease", "2", status=0)
        assert deployed.differences(pg15.before, deployed.catalog(pg15, BOTH)) == {}
        assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0, 0)]


def test_while_replacing(in_force, pg15):
    """Old rows and what they were are changed and kept in one transaction."""
    pg15.execute(
        "INSERT INTO people (id, email, n) SELECT docrow.objectid_to_uuid(lpad(to_hex(n + x'65000000'::int), 8, '0') ||"
        " lpad(to_hex(n), 16, '0')), 'old' || n, n FROM generate_series(10, 19) n;"
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(1); RETURN NEW; END$$;"
        "CREATE TRIGGER wait BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    before = pg15.query("SELECT * FROM people ORDER BY id")

    def is_replacing():
        return pg15.query(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'docrow%%' AND state = 'active' AND query LIKE"
            " 'WITH docrow_o0 AS%%' AND clock_timestamp() - query_start > interval '0.2 s' AND pid <> pg_backend_pid()"
        )

    in_force.kill_when(is_replacing, *MIGRATE, "--append", "--on-conflict", "replace")
    wait_for(lambda: nobody_is_left(pg15), 30, "the rollback")
    pg15.execute("CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$")
    assert pg15.query("SELECT * FROM people ORDER BY id") == before
    in_force.run("migrate", "--resume", "--lease", "2", status=1)
    assert rows(pg15)[:2] == pg15.rows_wanted[:2]
    assert pg15.one("SELECT count(*) FROM docrow.finding WHERE kind = 'replaced'") == 10
    in_force.run("migrate", "--clean-only", status=0)
    assert pg15.query("SELECT * FROM people ORDER BY id") == before


@pytest.mark.plain_only
@pytest.mark.parametrize("how", [[], ["--keep-indexes"]])
def test_nextcrm_at_random_moments(mongo, docrow, pg15, how):
    sample = nextcrm_sample.make(600, seed=9, dirt=0.04)
    nextcrm_dirt.spoil(sample, seed=9)
    sample.insert(mongo.db)
    deployed.nextcrm(pg15)
    before = deployed.catalog(pg15)
    mapping = program.ROOT / "mappings" / "nextcrm.yaml"
    migrate = ["migrate", "--mapping", mapping, "--batch-size", "40", "--lease", "2", "--workers", "2", *how]
    started = time.monotonic()
    docrow.run(*migrate, status=1)
    seconds = time.monotonic() - started
    want = pg15.contents()
    rng = random.Random(5)
    for kill in range(4):
        process = docrow.start(*migrate, "--clean")
        time.sleep(seconds * (kill + rng.random()) / 4)  # the moment itself is what is tested
        process.kill()
        process.communicate()
        wait_for(lambda: nobody_is_left(pg15), 30, "the rollback")
        if pg15.query("SELECT 1 FROM docrow.run WHERE status = 'running'"):
            docrow.run("migrate", "--resume", "--lease", "2", status=1)
        else:  # while the old run was taken back, or after the end of the new one
            docrow.run(*migrate, "--clean", status=1)
        assert deployed.differences(before, deployed.catalog(pg15)) == {}, kill
        assert pg15.contents() == want, kill
