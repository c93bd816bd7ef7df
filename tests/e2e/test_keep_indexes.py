"""Tables that are there already and are filled with all their keys, indexes and foreign keys in force: rows, rejects and
the account are those of tables that docrow makes itself, and nothing of the structure is ever away."""

import re

import pytest

from lib import deployed, program
from lib.databases import PostgresDatabase
from lib.deployed import IN_FORCE, SMALL, account, fill_small, oid
from lib.ids import uuid_of

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
KEEP = ["migrate", "--mapping", "./m.yaml", "--keep-indexes"]


def write(docrow, mapping=SMALL):
    (docrow.folder / "m.yaml").write_text(mapping)


def stages(pg):
    return pg.query("SELECT relname::text FROM pg_class WHERE relnamespace = 'docrow'::regnamespace AND relname LIKE 'rows%%'")


@pytest.mark.parametrize("kind", ["debian", "16", "18"])
def test_nextcrm(kind, nextcrm_source, nextcrm_owned, postgres_servers, make_docrow):
    pg = PostgresDatabase(postgres_servers(kind))
    deployed.nextcrm(pg, task_nullable=True)
    before = deployed.catalog(pg)
    # who takes a key or an index away is told on
    with pg.admin() as admin:
        admin.execute(
            "CREATE FUNCTION away() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN IF EXISTS (SELECT FROM"
            " pg_event_trigger_dropped_objects() WHERE schema_name = 'public') THEN RAISE 'something is away'; END IF; END$$;"
            " CREATE EVENT TRIGGER away ON sql_drop EXECUTE FUNCTION away()"
        )
    docrow = make_docrow(nextcrm_source, pg)
    result = docrow.run("migrate", "--mapping", MAPPING, "--keep-indexes", "--batch-size", "97", status=1)
    with pg.admin() as admin:
        admin.execute("DROP EVENT TRIGGER away; DROP FUNCTION away()")
    assert deployed.differences(before, deployed.catalog(pg)) == {}
    assert pg.contents() == nextcrm_owned.contents()
    assert account(pg) == account(nextcrm_owned)
    assert "with their keys and indexes in force" in result.stderr
    assert stages(pg) == []
    assert dict(pg.query("SELECT kind || ' ' || state, count(*) FROM docrow.ddl GROUP BY 1")) == {
        "table filled": 39,
        "primary key kept": 39,
        "unique kept": 1,
        "index kept": 120,
        "foreign key kept": 52,
    }
    pg.drop()


# --- two tables with everything ---

PEOPLE_ROWS = "SELECT id, email, n, mood, boss, notes::text, since FROM people ORDER BY id"
PETS_ROWS = "SELECT id, owner, name FROM pets ORDER BY id"


def test_everything(mongo, make_docrow, pg15, pg18):
    """Whatever hangs on the tables: the rows are those of a run that had it away."""
    fill_small(mongo)
    rows = []
    for pg, how in ((pg15, []), (pg18, ["--keep-indexes"])):
        docrow = make_docrow(mongo, pg)
        write(docrow)
        pg.execute(IN_FORCE)
        before = deployed.catalog(pg, ("public", "billing"))
        docrow.run("migrate", "--mapping", "./m.yaml", "--batch-size", "7", *how, status=1)
        assert deployed.differences(before, deployed.catalog(pg, ("public", "billing"))) == {}
        rows.append((pg.query(PEOPLE_ROWS), pg.query(PETS_ROWS), account(pg)))
        docrow.run("validate", status=0)
        assert pg.query("SELECT count(DISTINCT number), count(made), max(email_size) FROM people") == [(90, 90, 5)]
    assert rows[0] == rows[1]
    assert len(rows[0][0]) == 90 and len(rows[0][1]) == 68
    # triggers fire for rows that go in, and for no others
    assert pg18.query("SELECT t, count(*) FROM log GROUP BY t ORDER BY t") == [("first", 68), ("second", 68)]
    docrow.run("migrate", "--clean-only", status=0)
    assert deployed.differences(before, deployed.catalog(pg18, ("public", "billing"))) == {}
    assert pg18.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0, 0)]
    # and once more, with the triggers off meanwhile
    pg18.execute("DELETE FROM log")
    docrow.run(*KEEP, "--disable-triggers", status=1)
    assert deployed.differences(before, deployed.catalog(pg18, ("public", "billing"))) == {}
    assert pg18.one("SELECT count(*) FROM log") == 0
    assert pg18.query(PETS_ROWS) == rows[0][1]


def test_rows_that_the_server_refuses(mongo, docrow, pg15):
    """By a CHECK, while they are loaded; by triggers and keys that the mapping does not know, when they go in: they become
    rejects with the server's reason, and what refers to them is settled by its rule."""
    fill_small(mongo)
    write(docrow)
    pg15.execute(
        IN_FORCE + "ALTER TABLE people ADD CONSTRAINT no_fifty CHECK (n <> 50);"
        "CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF NEW.email IN ('p15@x', 'p60@x') THEN RAISE 'not this one'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER choose BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION choose();"
        "CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF NEW.name = 'pet 29' THEN RETURN NULL; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER drop_some BEFORE INSERT ON pets FOR EACH ROW EXECUTE FUNCTION drop_some();"
        "CREATE TABLE names (owner uuid, name text COLLATE \"C\", UNIQUE (owner, name));"
        "ALTER TABLE pets ADD CONSTRAINT pets_known FOREIGN KEY (owner, name) REFERENCES names (owner, name);"
    )
    for n in range(80):
        if n % 7 and n != 31:
            pg15.execute("INSERT INTO names VALUES (%s, %s)", uuid_of(oid(20 + n % 70)), f"pet {n}")
    before = deployed.catalog(pg15, ("public", "billing"))
    docrow.run(*KEEP, status=1)
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}
    refused = pg15.query(
        "SELECT table_name, sqlstate, document_text::json ->> 'email', row_text::json ->> 'name' FROM docrow.reject"
        " WHERE fault = 'refused' ORDER BY 1, 2, 3, 4"
    )
    assert refused == [
        ("people", "23514", "p50@x", None),
        ("people", "P0001", "p15@x", None),
        ("people", "P0001", "p60@x", None),
        ("pets", "23503", None, "pet 31"),
        ("pets", None, None, "pet 29"),
    ]
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE document IS NULL") == 0
    # p15 was the boss of nine, whose reference became NULL; p60, p50 and p15 may have had pets
    assert pg15.one("SELECT count(*) FROM people WHERE boss IS NULL AND n >= 10") == pg15.one(
        "SELECT count(*) FROM docrow.finding WHERE kind = 'orphan_null'"
    )
    assert pg15.one("SELECT count(*) FROM docrow.finding WHERE kind = 'orphan_null' AND column_name = 'boss'") >= 8
    orphans = pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'orphan'")
    assert pg15.one("SELECT count(*) FROM pets") == 80 - orphans - 2
    assert orphans > 12
    # too many of them stop the run, which goes on when it may
    docrow.run("migrate", "--clean-only", status=0)
    result = docrow.run(*KEEP, "--max-rejects", "1", status=1)
    assert "the server refuses more than 1 rows of people" in result.stderr
    docrow.run("migrate", "--resume", "--max-rejects", "100", status=1)
    assert stages(pg15) == []
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'refused'") == 5
    # once that is mended they are loaded after all, and what had waited for them
    pg15.execute(
        "ALTER TABLE people DROP CONSTRAINT no_fifty; DROP TRIGGER choose ON people; DROP TRIGGER drop_some ON pets"
    )
    pg15.execute("INSERT INTO names VALUES (%s, 'pet 31')", uuid_of(oid(51)))
    docrow.run("retry", status=1)
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(90, 68)]
    assert dict(pg15.query("SELECT fault, count(*) FROM docrow.reject WHERE state = 'open' GROUP BY 1")) == {"orphan": 12}
    docrow.run("validate", status=0)


CIRCLE = """
docrow: 1
collections:
  - collection: teams
    columns:
      - { name: id,     from: _id, type: uuid, primary_key: true }
      - { name: leader, type: uuid, references: { table: members, if_orphan: reject } }
  - collection: members
    columns:
      - { name: id,     from: _id, type: uuid, primary_key: true }
      - { name: team,   type: uuid, references: { table: teams, if_orphan: reject } }
      - { name: above,  type: uuid, references: { table: members, if_orphan: "null" } }
"""


def fill_circle(mongo, teams=20):
    """Every team has a leader who is a member of it; one leader does not exist, nor do the teams that hang on that."""
    mongo["teams"].insert_many({"_id": oid(n), "leader": oid(100 + n if n else 999)} for n in range(teams))
    mongo["members"].insert_many(
        {"_id": oid(100 + n), "team": oid(n % teams), "above": oid(100 + (n * 7 + 1) % 60)} for n in range(60)
    )


@pytest.mark.parametrize("null", ["", " NOT NULL"])
def test_tables_in_a_circle(mongo, make_docrow, pg15, pg18, null):
    """With NOT NULL references, too: the circle goes in by one statement."""
    fill_circle(mongo)
    owned = make_docrow(mongo, pg18)
    write(owned, CIRCLE)
    owned.run("migrate", "--mapping", "./m.yaml", status=1)
    docrow = make_docrow(mongo, pg15)
    write(docrow, CIRCLE)
    pg15.execute(
        f"CREATE TABLE teams (id uuid PRIMARY KEY, leader uuid{null});"
        f"CREATE TABLE members (id uuid PRIMARY KEY, team uuid{null} REFERENCES teams ON DELETE CASCADE,"
        " above uuid REFERENCES members ON DELETE CASCADE);"
        "ALTER TABLE teams ADD FOREIGN KEY (leader) REFERENCES members ON DELETE CASCADE"
    )
    before = deployed.catalog(pg15)
    docrow.run(*KEEP, "--batch-size", "3", status=1)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    assert pg15.contents() == pg18.contents()
    assert account(pg15) == account(pg18)
    assert pg15.query("SELECT (SELECT count(*) FROM teams), (SELECT count(*) FROM members)") == [(19, 57)]


@pytest.mark.parametrize("null", ["", " NOT NULL"])
def test_a_row_refused_in_a_circle(mongo, docrow, pg15, null):
    fill_circle(mongo)
    write(docrow, CIRCLE)
    pg15.execute(
        f"CREATE TABLE teams (id uuid PRIMARY KEY, leader uuid{null});"
        f"CREATE TABLE members (id uuid PRIMARY KEY, team uuid{null} REFERENCES teams, above uuid REFERENCES members);"
        "ALTER TABLE teams ADD FOREIGN KEY (leader) REFERENCES members;"
        "CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        f" IF NEW.id = '{uuid_of(oid(107))}' THEN RAISE 'not this one'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER choose BEFORE INSERT ON members FOR EACH ROW EXECUTE FUNCTION choose();"
    )
    if null:
        result = docrow.run(*KEEP, status=4)
        assert "in a circle" in result.stderr and ("teams.leader" in result.stderr or "members.team" in result.stderr)
        pg15.execute("DROP TRIGGER choose ON members")
        docrow.run("migrate", "--resume", status=1)
        assert pg15.one("SELECT count(*) FROM members") == 57
        return
    docrow.run(*KEEP, status=1)
    # with the leader his team goes, and all of it
    assert pg15.query("SELECT (SELECT count(*) FROM teams), (SELECT count(*) FROM members)") == [(18, 54)]
    assert pg15.query("SELECT table_name, fault, count(*) FROM docrow.reject GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("members", "orphan", 5),
        ("members", "refused", 1),
        ("teams", "orphan", 2),
    ]


def test_a_stage_of_many_blocks(mongo, docrow, pg15):
    """It goes in by several statements, be rows refused or not; every row is there once."""
    mongo["people"].insert_one({"_id": oid(1), "email": "a@x"})
    mongo["pets"].insert_many({"_id": oid(100 + n), "owner": oid(1), "name": f"{n:05d}" + "x" * 1900} for n in range(10500))
    write(docrow, SMALL.replace("varchar(20)", "text"))
    pg15.execute(
        IN_FORCE.split("CREATE TABLE pets")[0] + "CREATE TABLE pets (id uuid PRIMARY KEY, owner uuid REFERENCES people, name text);"
        "CREATE UNIQUE INDEX people_email_key ON people (email); ALTER TABLE people ADD FOREIGN KEY (boss) REFERENCES people"
    )
    docrow.run(*KEEP, status=0)
    assert pg15.one("SELECT pg_relation_size('pets') / 8192") > 2 * 1024
    assert pg15.query("SELECT count(*), count(DISTINCT left(name, 5)) FROM pets") == [(10500, 10500)]
    docrow.run("migrate", "--clean-only", status=0)
    pg15.execute(
        "CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF left(NEW.name, 5) IN ('00000', '10400') THEN RAISE 'not this one'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER choose BEFORE INSERT ON pets FOR EACH ROW EXECUTE FUNCTION choose();"
    )
    docrow.run(*KEEP, status=1)
    assert pg15.query("SELECT count(*), count(DISTINCT left(name, 5)) FROM pets") == [(10498, 10498)]
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'refused'") == 2


def test_orphans_cannot_be_kept_under_a_key(mongo, docrow, pg15):
    fill_circle(mongo)
    write(docrow, CIRCLE.replace("table: teams, if_orphan: reject", "table: teams, if_orphan: keep"))
    pg15.execute(
        "CREATE TABLE teams (id uuid PRIMARY KEY, leader uuid);"
        "CREATE TABLE members (id uuid PRIMARY KEY, team uuid CONSTRAINT in_team REFERENCES teams, above uuid);"
    )
    result = docrow.run(*KEEP, status=4)
    assert "orphans of members.team cannot be kept (if_orphan: keep): foreign key in_team is in force" in result.stderr
    assert pg15.one("SELECT to_regclass('docrow.run')") is None
    assert "in_team is in force" in docrow.run("check", "--mapping", "./m.yaml", "--keep-indexes", status=4).stdout
    # without the key they are
    pg15.execute("ALTER TABLE members DROP CONSTRAINT in_team")
    docrow.run(*KEEP, status=1)
    assert pg15.one("SELECT count(*) FROM docrow.finding WHERE kind = 'orphan_kept'") > 0


def test_partitioned_tables(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    parts = "".join(f"CREATE TABLE pets_{i} PARTITION OF pets FOR VALUES WITH (MODULUS 3, REMAINDER {i});" for i in range(2))
    pg15.execute(
        IN_FORCE.split("CREATE TABLE pets")[0] + "CREATE UNIQUE INDEX people_email_key ON people (email);"
        "CREATE TABLE pets (id uuid PRIMARY KEY, owner uuid REFERENCES people, name text) PARTITION BY HASH (id);" + parts
    )
    before = deployed.catalog(pg15)
    assert "pets is a partitioned table (fill it with its keys in force: --keep-indexes)" in docrow.run(
        "migrate", "--mapping", "./m.yaml", status=4
    ).stderr
    docrow.run(*KEEP, status=1)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    # there is no partition for the rest
    refused = pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'refused' AND sqlstate = '23514'")
    assert refused > 0 and pg15.one("SELECT count(*) FROM pets") == 68 - refused
    docrow.run("migrate", "--clean-only", status=0)
    pg15.execute("CREATE TABLE pets_2 PARTITION OF pets FOR VALUES WITH (MODULUS 3, REMAINDER 2)")
    docrow.run(*KEEP, status=1)
    assert pg15.one("SELECT count(*) FROM pets") == 68
    docrow.run("validate", status=0)


def test_a_role_that_owns_nothing(mongo, make_docrow, pg15):
    """The right to read and write the tables is enough, and a schema docrow of its own."""
    fill_small(mongo)
    name = f"guest_{pg15.name}"
    pg15.execute(
        IN_FORCE.split("CREATE TABLE pets")[0] + "CREATE TABLE pets (id uuid PRIMARY KEY, owner uuid REFERENCES people, name text)"
    )
    before = deployed.catalog(pg15)
    with pg15.admin() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
        admin.execute(f"GRANT USAGE ON SCHEMA public TO {name}; CREATE SCHEMA docrow AUTHORIZATION {name}")
    docrow = make_docrow(mongo, re.sub(r"//[^@]*@", f"//{name}:x@", pg15.uri))
    write(docrow)
    result = docrow.run(*KEEP, status=4)
    assert "the role may not read, write and empty table people" in result.stderr
    with pg15.admin() as admin:
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON people, pets TO {name}")
        admin.execute(f"GRANT SELECT, UPDATE ON SEQUENCE people_number_seq TO {name}")
        granted = {"relations": deployed.catalog(pg15)["relations"]}
    docrow.run(*KEEP, status={0, 1})
    assert deployed.differences(before | granted, deployed.catalog(pg15)) == {}
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(100, 68)]
    with pg15.admin() as admin:
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_only_for_tables_that_are_there(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    assert "are for tables that are there" in docrow.run(*KEEP, "--target-tables", "owned", status=2).stderr
    assert "table people is not in schema public" in docrow.run(*KEEP, status=4).stderr


def test_the_way_of_a_run_is_kept(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(IN_FORCE + "ALTER TABLE people ADD CONSTRAINT no_fifty CHECK (n < 50)")
    docrow.run("migrate", "--mapping", "./m.yaml", "--max-rejects", "1", status=1)
    result = docrow.run("migrate", "--resume", "--keep-indexes", "--max-rejects", "100", status=2)
    assert "DR-2" in result.stderr and "fills its tables in another way" in result.stderr
    docrow.run("migrate", "--clean-only", status=0)
    docrow.run(*KEEP, "--max-rejects", "1", status=1)
    docrow.run("migrate", "--resume", "--max-rejects", "100", status=1)
    assert dict(pg15.query("SELECT state, count(*) FROM docrow.ddl WHERE kind <> 'table' GROUP BY 1")).keys() == {"kept"}
    assert pg15.one("SELECT count(*) FROM docrow.step WHERE kind = 'move' AND state = 'done'") == 2
