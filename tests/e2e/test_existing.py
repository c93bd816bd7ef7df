"""Targets whose tables are there already: keys, indexes and all that hangs on the tables is as before afterwards, the rows
are those of tables that docrow makes itself, and what does not fit is told before anything is changed."""

import json
import random
import re
import uuid

import bson
import psycopg
import pytest

from lib import deployed, nextcrm_sample, processes, program
from lib.databases import PostgresDatabase
from lib.deployed import EVERYTHING, PEOPLE, SMALL, account, fill_small, oid
from lib.pooler import PgBouncer

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"


# --- NextCRM's schema, deployed beforehand ---


@pytest.mark.parametrize("kind", ["debian", "16", "18"])
def test_nextcrm(kind, nextcrm_source, nextcrm_owned, postgres_servers, make_docrow):
    pg = PostgresDatabase(postgres_servers(kind))
    deployed.nextcrm(pg, task_nullable=True)
    before = deployed.catalog(pg)
    assert len([r for r in before["indexes"] if not r[3]]) == 121
    assert len([r for r in before["constraints"] if r[2] == "f"]) == 52
    result = make_docrow(nextcrm_source, pg).run("migrate", "--mapping", MAPPING, "--batch-size", "97", status=1)
    assert deployed.differences(before, deployed.catalog(pg)) == {}
    assert pg.contents() == nextcrm_owned.contents()
    assert account(pg) == account(nextcrm_owned)
    assert "39 of 39 tables are in schema public already" in result.stderr
    assert "14 indexes of the mapping are not in the target and are not made" in result.stderr
    assert dict(pg.query("SELECT kind, count(*) FROM docrow.ddl WHERE state IN ('restored', 'filled') GROUP BY 1")) == {
        "table": 39,
        "primary key": 39,
        "unique": 1,
        "index": 120,
        "foreign key": 52,
    }
    pg.drop()


def test_nextcrm_with_bigint_and_time_zones(mongo, docrow, pg15):
    """What Prisma's schema says and its first migration did not: wider types are taken as they are, and hold more."""
    assert len(deployed.big_integers()) == 12
    sample = nextcrm_sample.make(300, seed=3)
    opportunities = sample.documents["crm_Opportunities"]
    opportunities[0]["budget"] = bson.Int64(2**40 + 1)
    sample.insert(mongo.db)
    deployed.nextcrm(pg15, task_nullable=True, wide=True)
    before = deployed.catalog(pg15)
    result = docrow.run("migrate", "--mapping", MAPPING, status=0)
    assert re.search(r"\d+ columns are wider than in the mapping, and written as such: .*crm_Accounts.createdAt", result.stderr)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    got = pg15.query(
        "SELECT docrow.uuid_to_objectid(id), budget, \"createdAt\" AT TIME ZONE 'UTC' FROM \"crm_Opportunities\" ORDER BY id"
    )
    want = [(str(d["_id"]), d["budget"], d.get("createdAt")) for d in opportunities]
    assert [g[:2] for g in got] == sorted(w[:2] for w in want)
    times = {g[0]: g[2] for g in got}
    given = {w[0]: w[2].replace(tzinfo=None) for w in want if w[2]}
    assert given and all(times[key] == at for key, at in given.items())


def test_nextcrm_as_it_is_deployed(nextcrm_source, make_docrow, pg15):
    """tasksComments.task takes no NULL there: those comments are rejects, and the hint says how to keep them."""
    deployed.nextcrm(pg15)
    before = deployed.catalog(pg15)
    docrow = make_docrow(nextcrm_source, pg15)
    result = docrow.run("migrate", "--mapping", MAPPING, status=1)
    assert 'ALTER TABLE "tasksComments" ALTER COLUMN "task" DROP NOT NULL' in result.stderr
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    orphans = pg15.query("SELECT message FROM docrow.reject WHERE table_name = 'tasksComments' AND column_name = 'task' AND fault = 'orphan'")
    drop = 'ALTER TABLE "public"."tasksComments" ALTER COLUMN "task" DROP NOT NULL'
    assert len(orphans) > 0 and all(drop in message for (message,) in orphans)
    assert drop + ", then docrow retry" in docrow.run("rejects", status=0).stdout
    # and back: the catalog as before, no rows, nothing of the run
    docrow.run("migrate", "--clean-only", status=0)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    assert not any(pg15.contents().values())
    assert pg15.query("SELECT * FROM docrow.ddl") == []


def test_nextcrm_deployed_and_mended_before_the_move(nextcrm_source, nextcrm_owned, make_docrow, pg15):
    deployed.nextcrm(pg15)
    before = deployed.catalog(pg15)
    docrow = make_docrow(nextcrm_source, pg15)
    drop = 'ALTER TABLE "public"."tasksComments" ALTER COLUMN "task" DROP NOT NULL'
    page = json.loads(docrow.run("check", "--mapping", MAPPING, "--json", status=1).stdout)
    assert page["fixes"] == [{"sql": drop, "done": False}]
    text = docrow.run("check", "--mapping", MAPPING, status=1).stdout
    assert f"Fixes\n  {drop};\n  docrow check --apply-fixes runs them" in text
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    text = docrow.run("check", "--mapping", MAPPING, "--apply-fixes", status=0).stdout
    assert f"Fixes that were made\n  {drop};\n" in text and "takes no NULL" not in text
    after = deployed.catalog(pg15)
    assert [(row[0], row[2], row[4]) for row in deployed.differences(before, after)["columns"][1]] == [("\"tasksComments\"", "task", False)]
    assert list(deployed.differences(before, after)) == ["columns"]
    assert "nothing that --apply-fixes could mend" in docrow.run("check", "--mapping", MAPPING, "--apply-fixes", status=0).stdout
    docrow.run("migrate", "--mapping", MAPPING, status=1)
    assert account(pg15) == account(nextcrm_owned)


def test_nextcrm_deployed_and_mended_after_the_move(nextcrm_source, nextcrm_owned, make_docrow, pg15):
    """The comments that were rejects go in, and hang on the tasks of accounts."""
    deployed.nextcrm(pg15)
    docrow = make_docrow(nextcrm_source, pg15)
    docrow.run("migrate", "--mapping", MAPPING, status=1)
    pg15.execute('ALTER TABLE "tasksComments" ALTER COLUMN task DROP NOT NULL')
    docrow.run("retry", status=1)
    assert pg15.contents() == nextcrm_owned.contents()


# --- everything that can hang on a table ---


def write(docrow, mapping=SMALL):
    (docrow.folder / "m.yaml").write_text(mapping)


@pytest.mark.parametrize("kind", ["debian", "18"])
def test_everything_comes_back_to_the_letter(kind, mongo, postgres_servers, make_docrow):
    fill_small(mongo)
    pg = PostgresDatabase(postgres_servers(kind))
    docrow = make_docrow(mongo, pg)
    write(docrow)
    pg.execute(EVERYTHING + "CREATE UNIQUE INDEX pets_one ON pets (name) NULLS NOT DISTINCT;")
    before = deployed.catalog(pg, ("public", "billing"))
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    assert deployed.differences(before, deployed.catalog(pg, ("public", "billing"))) == {}
    # by the mapping's policy the last one stays
    assert pg.query("SELECT count(*), min(n), count(DISTINCT email) FROM people") == [(90, 10, 90)]
    assert pg.query("SELECT (SELECT count(*) FROM people WHERE boss IS NULL), (SELECT count(*) FROM pets)") == [(0, 68)]
    assert pg.one("SELECT string_agg(t, ' ' ORDER BY t) FROM (SELECT DISTINCT t FROM log) x") == "first second"
    assert "2 triggers are on while rows are loaded" in result.stderr
    assert pg.one("SELECT to_char(min(since) AT TIME ZONE 'UTC', 'HH24:MI:SS.MS') FROM people") == "04:05:06.789"
    # a key that was not valid before is no kept one
    assert "NOT VALID" not in result.stdout
    assert {s for (s,) in pg.query("SELECT DISTINCT state FROM docrow.ddl")} == {"filled", "restored"}
    docrow.run("migrate", "--clean", "--mapping", "./m.yaml", "--disable-triggers", status=1)
    assert deployed.differences(before, deployed.catalog(pg, ("public", "billing"))) == {}
    assert pg.one("SELECT count(*) FROM log WHERE t <> 'first'") == pg.one("SELECT count(*) FROM log WHERE t = 'first'")
    docrow.run("migrate", "--clean-only", status=0)
    assert deployed.differences(before, deployed.catalog(pg, ("public", "billing"))) == {}
    assert pg.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(0, 0)]
    pg.drop()


# --- what does not fit ---


def complaint(result):
    """(error, the lines told before it) without the settings' noise."""
    lines = [line.removeprefix("docrow: ") for line in result.stderr.splitlines()]
    at = next(i for i, line in enumerate(lines) if re.match(r"error DR-", line))
    return lines[at], lines[:at]


MISMATCHES = """
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE people (id uuid PRIMARY KEY, email varchar(10), n smallint, mood mood NOT NULL, boss integer,
  notes money, extra text NOT NULL, other text, since date GENERATED ALWAYS AS ('2020-01-01'::date) STORED);
CREATE TABLE pets (id uuid, name text, owner uuid NOT NULL, PRIMARY KEY (id, name));
CREATE VIEW grouped AS SELECT id, name, owner FROM pets GROUP BY id, name;
INSERT INTO people (id, n, mood, extra) VALUES (gen_random_uuid(), 1, 'good', '');
"""

GOLDEN = """\
2 of 2 tables are in schema public already: they are filled as they are; their keys and indexes are away while rows are loaded
error: column people.email is character varying(10), which does not hold every text of the mapping (ALTER TABLE "people" ALTER COLUMN "email" TYPE text, or say type: character varying(10) in the mapping, which rejects what does not fit)
error: column people.n is smallint, which does not hold every integer of the mapping (ALTER TABLE "people" ALTER COLUMN "n" TYPE integer, or say type: smallint in the mapping, which rejects what does not fit)
error: enum mood lacks label bad (ALTER TYPE "mood" ADD VALUE 'bad')
warning: column people.mood takes no NULL: documents without a value for it become rejects (ALTER TABLE "people" ALTER COLUMN "mood" DROP NOT NULL lets them in)
error: column people.boss is integer, which does not hold every uuid of the mapping (ALTER TABLE "people" ALTER COLUMN "boss" TYPE uuid, or say type: integer in the mapping, which rejects what does not fit)
error: column people.notes is money, a type that docrow does not write (leave it out of the mapping (from: null), or change its type)
error: column people.since is generated and takes no values (say from: null at the column in the mapping)
error: column people.extra is not in the mapping, takes no NULL and has no default (ALTER TABLE "people" ALTER COLUMN "extra" DROP NOT NULL (or SET DEFAULT), or name it in the mapping)
warning: column pets.owner takes no NULL: documents without a value for it become rejects (ALTER TABLE "pets" ALTER COLUMN "owner" DROP NOT NULL lets them in)
warning: column pets.name takes no NULL: documents without a value for it become rejects (ALTER TABLE "pets" ALTER COLUMN "name" DROP NOT NULL lets them in)
1 column is wider than in the mapping, and written as such: pets.name (text)
1 column is not in the mapping and keeps NULL or the default: people.other
error: the primary key of table pets is (id, name), the mapping has another (make the mapping's primary_key and the table's the same)
error: primary key pets_pkey of pets cannot be taken away and made again: rule _RETURN on view public.grouped needs it (it would have to be away while the rows are loaded; drop what stands in the way, or have the rights granted, and put it back afterwards)
1 index of the mapping is not in the target and is not made: people_email_key
warning: 2 foreign keys of the mapping are not in the target and are not made: people_boss_fkey, pets_owner_fkey
error: table people holds 1 row already (empty the tables: what an earlier run of docrow filled goes away with --clean)
docrow check --apply-fixes can make 5 changes to mend that
error DR-4015: the tables in schema public do not fit the mapping: 10 things to mend"""


def test_every_mismatch_is_told_at_once(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(MISMATCHES)
    before = deployed.catalog(pg15)
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=4)
    last, told = complaint(result)
    assert "\n".join([*told, last]) == GOLDEN
    # docrow check says the same
    check = docrow.run("check", "--mapping", "./m.yaml", status=4).stdout
    for line in [line for line in GOLDEN.splitlines()[1:-1] if "--apply-fixes" not in line]:
        text = line.removeprefix("error: ").removeprefix("warning: ").split(" (", 1)[0]
        assert text in re.sub(r"\s+", " ", check), (text, check)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    assert pg15.one("SELECT to_regnamespace('docrow') IS NULL")


FIXABLE = """
docrow: 1
enums:
  - { name: mood, labels: [calm, good, bad, sad] }
collections:
  - collection: people
    unmapped: { keep: rest }
    columns:
      - { name: id,     from: _id, type: uuid, primary_key: true }
      - { name: code,   type: varchar(40) }
      - { name: email,  type: text }
      - { name: words,  type: "text[]" }
      - { name: n,      type: bigint }
      - { name: share,  type: double precision }
      - { name: price,  type: "numeric(12,4)" }
      - { name: since,  type: timestamp(3) }
      - { name: mood,   type: mood }
      - { name: number, type: bigint }
      - { name: free,   type: text }
      - { name: boss,   type: uuid }
      - { name: day,    type: timestamp(3) }
"""

FIXABLE_TABLES = """
CREATE SCHEMA "odd ""types";
CREATE TYPE "odd ""types".mood AS ENUM ('good', 'sad');
CREATE DOMAIN short AS varchar(5) NOT NULL;
CREATE TABLE people (
  id uuid PRIMARY KEY, code varchar(10), email varchar(20) COLLATE "C" NOT NULL, words varchar(9)[], n integer, share real,
  price numeric(6,2), since timestamp(0), mood "odd ""types".mood NOT NULL, number bigint GENERATED BY DEFAULT AS IDENTITY,
  free short, boss integer, day date, extra text NOT NULL, made integer NOT NULL DEFAULT 7
);
CREATE INDEX people_email ON people (email);
INSERT INTO people (id, code, email, mood, boss, extra, free) VALUES (gen_random_uuid(), 'x', 'a@x', 'sad', 1, '', 'f');
"""

FIXES = [
    'ALTER TABLE "public"."people" ALTER COLUMN "code" TYPE varchar(40)',
    'ALTER TABLE "public"."people" ALTER COLUMN "email" TYPE text COLLATE pg_catalog."C"',
    'ALTER TABLE "public"."people" ALTER COLUMN "words" TYPE text[]',
    'ALTER TABLE "public"."people" ALTER COLUMN "n" TYPE bigint',
    'ALTER TABLE "public"."people" ALTER COLUMN "share" TYPE double precision',
    'ALTER TABLE "public"."people" ALTER COLUMN "price" TYPE numeric(12,4)',
    'ALTER TABLE "public"."people" ALTER COLUMN "since" TYPE timestamp(3)',
    """ALTER TYPE "odd ""types"."mood" ADD VALUE 'calm' BEFORE 'good'""",
    """ALTER TYPE "odd ""types"."mood" ADD VALUE 'bad' AFTER 'good'""",
    'ALTER TABLE "public"."people" ALTER COLUMN "mood" DROP NOT NULL',
    'ALTER TABLE "public"."people" ADD COLUMN "rest" jsonb',
]


def check_json(docrow, *options, status):
    return json.loads(docrow.run("check", "--mapping", "./m.yaml", "--json", *options, status=status).stdout)


def fixes(page, done):
    return [fix["sql"] for fix in page["fixes"] if fix["done"] == done]


@pytest.mark.parametrize("kind", ["debian", "18"])
def test_what_is_safe_to_mend_is_mended(kind, mongo, postgres_servers, make_docrow):
    """Each kind of fix, and what is left to people: another kind of type, NOT NULL of a key, of an identity, of a domain and
    of a column that the mapping does not know. The row that is there stays."""
    mongo["people"].insert_one({"_id": oid(1)})
    pg = PostgresDatabase(postgres_servers(kind))
    docrow = make_docrow(mongo, pg)
    write(docrow, FIXABLE)
    pg.execute(FIXABLE_TABLES)
    before = deployed.catalog(pg, ("public", '"odd ""types"'))
    page = check_json(docrow, status=4)
    assert fixes(page, False) == FIXES and fixes(page, True) == []
    assert deployed.differences(before, deployed.catalog(pg, ("public", '"odd ""types"'))) == {}
    page = check_json(docrow, "--apply-fixes", status=4)
    # with the type right, whether NULL may stand is seen
    email = 'ALTER TABLE "public"."people" ALTER COLUMN "email" DROP NOT NULL'
    assert fixes(page, True) == FIXES and fixes(page, False) == [email]
    assert sorted(f["text"] for f in page["findings"] if f["severity"] == "error" and f["code"] is None) == [
        "column people.boss is integer, which does not hold every uuid of the mapping",
        "column people.day is date, which does not hold every timestamp(3) of the mapping",
        "column people.extra is not in the mapping, takes no NULL and has no default",
        "column people.free is public.short, which does not hold every text of the mapping",
        "table people holds 1 row already",
    ]
    assert [f["text"] for f in page["findings"] if "takes no NULL: " in f["text"]] == [
        "column people.email takes no NULL: documents without a value for it become rejects",
        "column people.number takes no NULL: documents without a value for it become rejects",
    ]
    assert pg.query("SELECT attcollation::regcollation::text FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname = 'email'") == [('"C"',)]
    assert pg.one("SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum") == ["calm", "good", "bad", "sad"]
    assert pg.query("SELECT code, email, mood::text, boss, rest FROM people") == [("x", "a@x", "sad", 1, None)]
    assert check_json(docrow, "--apply-fixes", status=4)["fixes"] == [{"sql": email, "done": True}]
    pg.drop()


@pytest.mark.parametrize(
    "obstacle, said",
    [
        ("CREATE VIEW names AS SELECT price FROM people", "rule _RETURN on view names depends on column"),
        ("CREATE TABLE sums (id int, twice numeric(6,2)); ALTER TABLE people ADD double numeric GENERATED ALWAYS AS (price * 2)"
         " STORED", "generated column"),
        ("ALTER TYPE \"odd \"\"types\".mood OWNER TO postgres", "must be owner of type"),
    ],
)
def test_a_fix_that_is_refused_undoes_the_others(mongo, docrow, pg15, obstacle, said):
    mongo["people"].insert_one({"_id": oid(1)})
    write(docrow, FIXABLE)
    pg15.execute(FIXABLE_TABLES)
    with pg15.admin() as admin:
        admin.execute(obstacle.replace("people", "public.people").replace("VIEW names", "VIEW public.names").replace("sums", "public.sums"))
    before = deployed.catalog(pg15, ("public", '"odd ""types"'))
    page = check_json(docrow, "--apply-fixes", status=4)
    assert deployed.differences(before, deployed.catalog(pg15, ("public", '"odd ""types"'))) == {}
    (refused,) = [f for f in page["findings"] if f["code"] and f["code"] != "DR-4015"]
    assert refused["text"].startswith("ALTER T") and "none of the fixes was made" in refused["hint"]
    assert said in refused["text"] + refused["detail"]
    assert fixes(page, True) == [] and fixes(page, False) == FIXES


def test_fixes_wait_for_locks_no_longer_than_asked(mongo, docrow, pg15):
    mongo["people"].insert_one({"_id": oid(1)})
    write(docrow, FIXABLE)
    pg15.execute(FIXABLE_TABLES)
    with psycopg.connect(pg15.uri) as busy:
        busy.execute("SELECT count(*) FROM people")
        page = check_json(docrow, "--apply-fixes", "--lock-timeout", "1", status=4)
    assert any("lock timeout" in f["text"] and "none of the fixes was made" in f["hint"] for f in page["findings"])
    assert fixes(page, True) == []


def test_a_table_is_missing_or_of_another_kind(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(PEOPLE)
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert any(line.startswith("error: table pets is not in schema public") for line in told)
    pg15.execute("CREATE TABLE pets (id uuid, name text, owner uuid) PARTITION BY HASH (id)")
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert any(line.startswith("error: pets is a partitioned table") for line in told)
    pg15.execute("DROP TABLE pets; CREATE VIEW pets AS SELECT 1")
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert any(line.startswith("error: pets is a view") for line in told)


def test_which_way_can_be_said(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    last, _ = complaint(docrow.run("migrate", "--mapping", "./m.yaml", "--target-tables", "existing", status=4))
    assert "DR-4015" in last
    pg15.execute(EVERYTHING)
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--target-tables", "owned", status=4)
    assert "DR-4007" in result.stderr and "--target-tables" not in result.stdout
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--load-only", status=2)
    assert "--load-only" in complaint(result)[0]
    assert pg15.one("SELECT count(*) FROM people") == 0


# --- who may do it ---


def test_a_role_that_owns_nothing_but_the_tables(mongo, make_docrow, pg15):
    """Neither the database nor the schema: an administrator made schema docrow beforehand."""
    fill_small(mongo)
    name = f"plain_{pg15.name}"
    with pg15.admin() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
        admin.execute(f"REVOKE ALL ON DATABASE {pg15.name} FROM PUBLIC; GRANT CONNECT ON DATABASE {pg15.name} TO {name}")
        admin.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
    pg15.execute(PEOPLE + "CREATE TABLE pets (id uuid PRIMARY KEY, name text, owner uuid);"
                 "CREATE INDEX pets_name ON pets (name)")
    uri = re.sub(r"//[^@]*@", f"//{name}:x@", pg15.uri)
    docrow = make_docrow(mongo, uri)
    write(docrow)
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=4)
    assert "DR-4003" in result.stderr and f"GRANT CREATE, USAGE ON SCHEMA public TO {name}" in result.stderr
    with pg15.admin() as admin:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert sum("the role has not its rights" in line for line in told) == 2
    with pg15.admin() as admin:
        admin.execute(f"ALTER TABLE people OWNER TO {name}; ALTER TABLE pets OWNER TO {name}")
        admin.execute("ALTER TABLE pets ENABLE ROW LEVEL SECURITY; ALTER TABLE pets FORCE ROW LEVEL SECURITY")
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert any("row security of table pets holds for the role" in line for line in told)
    page = check_json(docrow, status=4)
    (forced,) = [f for f in page["findings"] if "row security of table pets holds" in f["text"]]
    assert forced["severity"] == "error" and "NO FORCE ROW LEVEL SECURITY" in forced["hint"] and page["fixes"]
    with pg15.admin() as admin:
        admin.execute("ALTER TABLE pets NO FORCE ROW LEVEL SECURITY")
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=4)
    assert "DR-4006" in result.stderr and f"CREATE SCHEMA docrow AUTHORIZATION {name}" in result.stderr
    page = check_json(docrow, status=4)
    assert [f["code"] for f in page["findings"] if f["severity"] == "error"] == ["DR-4006"]
    assert f"CREATE SCHEMA docrow AUTHORIZATION {name};" in next(f["hint"] for f in page["findings"] if f["code"] == "DR-4006")
    with pg15.admin() as admin:
        admin.execute(f"CREATE SCHEMA docrow AUTHORIZATION {name}")
    assert check_json(docrow, status=1)["errors"] == 0
    before = deployed.catalog(pg15)
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}
    with pg15.admin() as admin:
        assert admin.execute("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)").fetchall() == [(100, 68)]
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def neighbour(pg15):
    """Another role, with a table of its own beside ours."""
    name = f"neighbour_{pg15.name}"
    with pg15.admin() as admin:
        admin.execute(f"CREATE ROLE {name}; CREATE SCHEMA next AUTHORIZATION {name}; GRANT USAGE ON SCHEMA next TO docrow")
    yield name
    with pg15.admin() as admin:
        admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@pytest.mark.parametrize(
    "there, said",
    [
        ("CREATE TABLE next.bills (who uuid CONSTRAINT bills_who REFERENCES public.people); ALTER TABLE next.bills OWNER TO {name}",
         "foreign key bills_who of next.bills cannot be taken away and made again: it belongs to table next.bills, whose owner is"
         " {name}"),
        ("CREATE TABLE next.kinds (name text PRIMARY KEY); ALTER TABLE next.kinds OWNER TO {name}; ALTER TABLE public.pets ADD"
         " CONSTRAINT pets_kind FOREIGN KEY (name) REFERENCES next.kinds",
         "foreign key pets_kind of pets cannot be taken away and made again: the role has no privilege REFERENCES on table"
         " next.kinds"),
        ("CREATE VIEW next.all_people AS SELECT id, email, n FROM public.people GROUP BY id",
         "primary key people pk of people cannot be taken away and made again: rule _RETURN on view next.all_people needs it"),
        ("CREATE FUNCTION next.low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'; REVOKE EXECUTE ON FUNCTION"
         " next.low(text) FROM PUBLIC; CREATE INDEX people_low ON public.people (next.low(email))",
         "index people_low of people cannot be taken away and made again: the role may not execute next.low(text)"),
    ],
    ids=["key of another's table", "key to another's table", "view", "function"],
)
def test_what_cannot_be_taken_away_is_left_alone(mongo, docrow, pg15, neighbour, there, said):
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING)
    with pg15.admin() as admin:
        admin.execute(there.format(name=neighbour))
    before = deployed.catalog(pg15, ("public", "billing", "next"))
    last, told = complaint(docrow.run("migrate", "--mapping", "./m.yaml", status=4))
    assert "DR-4015" in last and any(line.startswith("error: " + said.format(name=neighbour)) for line in told), told
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing", "next"))) == {}


def test_tables_in_a_publication(mongo, docrow, pg15):
    """Without their key the server lets nobody delete duplicates: the run stops, and goes on when they are out of it."""
    fill_small(mongo)
    key = uuid.UUID(re.search(r"[0-9a-f]{8}-[-0-9a-f]{27}", docrow.run("id", str(oid(20)), status=0).stdout)[0])
    mongo["people"].insert_one({"_id": bson.Binary.from_uuid(key), "email": "twin@x", "n": 1})
    write(docrow)
    pg15.execute(EVERYTHING.replace("ALTER TABLE people REPLICA IDENTITY USING INDEX people_replica;", ""))
    pg15.execute("CREATE PUBLICATION news FOR TABLE people")
    before = deployed.catalog(pg15, ("public", "billing"))
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--retry-for", "1", status=4)
    assert "table in a publication: people" in result.stderr and "take the tables out of it until the end" in result.stderr
    assert "does not have a replica identity and publishes" in result.stderr
    pg15.execute("ALTER PUBLICATION news DROP TABLE people")
    docrow.run("migrate", "--resume", status=1)
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM pets)") == [(90, 68)]
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}


def test_what_the_role_could_not_make_again_is_told_before_the_load(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING)
    with pg15.admin() as admin:
        admin.execute(
            "CREATE SCHEMA closed; CREATE FUNCTION closed.low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';"
            " CREATE INDEX people_low ON public.people (closed.low(email))"
        )
    before = deployed.catalog(pg15, ("public", "billing"))
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=4)
    assert "DR-4015: index people_low of people cannot be made again after the load" in result.stderr
    assert "permission denied for schema closed" in result.stderr and "nothing was changed" in result.stderr
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}
    assert pg15.query("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM docrow.run)") == [(0, 0)]


@pytest.mark.parametrize("way", [[], ["--keep-indexes"]], ids=["away", "keep"])
def test_unlogged_tables_are_refused(mongo, docrow, pg15, way):
    """A crash of PostgreSQL would empty them, and the marks of what is loaded would stay."""
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING + "ALTER TABLE pets SET UNLOGGED")
    for command in ("check", "migrate"):
        result = docrow.run(command, "--mapping", "./m.yaml", *way, status=4)
        said = " ".join((result.stdout + result.stderr).split())
        assert "table pets is UNLOGGED" in said and 'ALTER TABLE "public"."pets" SET LOGGED' in said
    assert pg15.one("SELECT count(*) FROM people") == 0
    pg15.execute("ALTER TABLE pets SET LOGGED")
    docrow.run("migrate", "--mapping", "./m.yaml", *way, status={0, 1})
    assert pg15.one("SELECT count(*) FROM people") > 0


def test_rows_that_a_trigger_drops_are_rejects(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(
        EVERYTHING + "CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.n IN (33, 44) THEN RETURN NULL; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER drops BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION drops()"
    )
    before = deployed.catalog(pg15, ("public", "billing"))
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    refused = pg15.query("SELECT doc_id_text, message FROM docrow.reject WHERE fault = 'refused' ORDER BY 1")
    assert [str(oid(33)) in refused[0][0], str(oid(44)) in refused[1][0], len(refused)] == [True, True, 2]
    assert all("a trigger drops rows" in message for _, message in refused)
    assert pg15.one("SELECT count(*) FROM people") == 88
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}
    docrow.run("validate", "--full", status={0, 1})


@pytest.mark.parametrize("way", [[], ["--keep-indexes"]], ids=["away", "keep"])
def test_a_rule_is_told_before_the_load(mongo, docrow, pg15, way):
    """What takes a duplicate out would only mark it, and its unique index could not be made again."""
    fill_small(mongo)
    write(docrow)
    pg15.execute(
        deployed.IN_FORCE + 'ALTER TABLE people ADD gone boolean; CREATE RULE "so ft" AS ON DELETE TO people DO INSTEAD'
        " UPDATE people SET gone = true WHERE id = OLD.id"
    )
    off = 'ALTER TABLE public.people DISABLE RULE "so ft"'
    for command in ("check", "migrate"):
        result = docrow.run(command, "--mapping", "./m.yaml", *way, status=4)
        said = " ".join((result.stdout + result.stderr).split())
        assert "rule so ft of table people would change what is done to its rows" in said and off in said
    pg15.execute(off)
    before = deployed.catalog(pg15, ("public", "billing"))
    docrow.run("migrate", "--mapping", "./m.yaml", *way, status=1)
    assert pg15.query("SELECT count(*), count(gone) FROM people") == [(90, 0)]
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}


# --- what cannot be made again ---


def test_a_refused_rebuild_is_kept_and_told(mongo, docrow, pg15):
    """A text too long for a B-tree, and a foreign key that the mapping knows nothing of: the rows stay, both are named with
    their definitions, and made by hand they are as before."""
    fill_small(mongo)
    mongo["pets"].insert_one({"_id": oid(1), "owner": oid(20), "name": random.Random(1).randbytes(4500).hex()})
    write(docrow, SMALL.replace("varchar(20)", "text"))
    pg15.execute(
        PEOPLE + "CREATE TABLE pets (id uuid PRIMARY KEY, name text, owner uuid);"
        "CREATE UNIQUE INDEX pets_name ON pets (name);"
        "CREATE TABLE shelters (name text PRIMARY KEY REFERENCES pets (name))"
    )
    before = deployed.catalog(pg15)
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM pets") == 69
    refused = pg15.query(
        "SELECT kind, object, table_name, sqlstate, definition FROM docrow.ddl WHERE state = 'refused' ORDER BY id"
    )
    assert [r[:4] for r in refused] == [
        ("unique", "pets_name", "pets", "54000"),
        ("foreign key", "shelters_name_fkey", "shelters", "42830"),
    ]
    for text in (result.stdout, docrow.run("status").stdout):
        assert all(f"{definition};" in text for *_, definition in refused)
    pg15.execute("DELETE FROM pets WHERE length(name) > 1000")
    for *_, definition in refused:
        pg15.execute(definition)
    assert deployed.differences(before, deployed.catalog(pg15)) == {}


def test_foreign_keys_that_only_the_target_has(mongo, docrow, pg15):
    """Those that the rows break stay NOT VALID, and are told; whether they are plain, or of several columns to a table that
    the mapping does not know."""
    fill_small(mongo)
    write(docrow)
    pg15.execute(
        EVERYTHING + "CREATE TABLE names (id uuid, name text, UNIQUE (id, name));"
        "ALTER TABLE pets ADD CONSTRAINT pets_twin FOREIGN KEY (owner, name) REFERENCES names (id, name);"
        "ALTER TABLE pets ADD CONSTRAINT pets_person FOREIGN KEY (id) REFERENCES people"
    )
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM pets") == 68
    assert pg15.query("SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND NOT convalidated ORDER BY 1") == [
        ("pets_old",),
        ("pets_person",),
        ("pets_twin",),
    ]
    status = docrow.run("status").stdout
    assert "pets_person on pets" in status and "pets_twin on pets" in status and "pets_old" not in status


def test_check_scans_with_the_columns_as_they_are(mongo, docrow, pg15):
    """bigint where the mapping says integer: no reject is foretold, and none comes."""
    mongo["people"].insert_one({"_id": oid(1), "email": "a@x", "n": bson.Int64(2**40), "mood": "ugly"})
    mongo.db.create_collection("pets")
    write(docrow)
    pg15.execute(EVERYTHING.replace("CHECK (VALUE < 1000000)", ""))
    page = json.loads(docrow.run("check", "--mapping", "./m.yaml", "--scan", "full", "--json", status=1).stdout)
    assert page["errors"] == 0
    assert not [f for f in page["findings"] if f["area"] == "data" and ("people.n:" in f["text"] or "mood" in f["text"])]
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    assert pg15.query("SELECT n, mood::text FROM people") == [(2**40, "ugly")]


def test_check_scans_with_the_indexes_as_they_are(mongo, docrow, pg15):
    """Unique indexes that only the target has take rows out, one of the mapping that it lacks does not; a B-tree that a long
    value breaks is named; what cannot be foretold is said."""
    fill_small(mongo)
    mongo["pets"].insert_one({"_id": oid(1), "owner": oid(20), "name": random.Random(1).randbytes(4500).hex()})
    write(docrow, SMALL.replace("varchar(20)", "text"))
    pg15.execute(
        PEOPLE + "CREATE TABLE pets (id uuid PRIMARY KEY, name text, owner uuid); CREATE UNIQUE INDEX pets_one ON pets (owner);"
        "CREATE UNIQUE INDEX people_lower ON people (lower(email)) WHERE n > 5; CREATE INDEX pets_name ON pets (name);"
        "CREATE UNIQUE INDEX people_number ON people (n) WHERE number > 3; CREATE UNIQUE INDEX people_id ON people (number)"
    )
    page = check_json(docrow, "--scan", "full", status=1)
    said = [f["text"] for f in page["findings"] if f["area"] == "data"]
    assert any("people: 4 rows with a key that a row that stays has, too (unique index people_lower), would be rejected: " in t for t in said)
    assert any(t.startswith("pets.owner: ") and "(unique index pets_one)" in t and '{"$oid":"650003' in t and t.endswith(" ...") for t in said)
    assert any("pets.name has a value of 9" in t and "index pets_name may refuse it" in t for t in said)
    assert [t for t in said if "not looked for" in t] == [
        "what unique index people_number of people would refuse was not looked for: it needs columns or types that are only in"
        " the target"
    ]
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    got = pg15.query("SELECT fault, table_name, column_name, count(*) FROM docrow.reject GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
    assert sorted((r["fault"], r["table"], r["column"], r["n"]) for r in page["rejects"]) == got and len(got) == 3
    assert pg15.one("SELECT object FROM docrow.ddl WHERE state = 'refused'") == "pets_name"


# --- taking back ---


def test_clean_leaves_what_others_wrote(mongo, docrow, pg15):
    """Rows of halved chunks are the run's own; a row of someone else, and one that was changed since, stay."""
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING + "ALTER TABLE people ADD CHECK (n <> 50)")
    before = deployed.catalog(pg15, ("public", "billing"))
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'refused'") == 1
    assert pg15.one("SELECT count(*) FROM docrow.savepoint") > 0
    pg15.execute("INSERT INTO people (id, email, n) VALUES (gen_random_uuid(), 'other@x', 8)")
    pg15.execute("UPDATE people SET n = 9, boss = NULL WHERE email = 'p20@x'")
    result = docrow.run("migrate", "--clean-only", status=0)
    assert "2 rows that docrow did not write" in result.stderr
    assert sorted(pg15.query("SELECT email FROM people")) == [("other@x",), ("p20@x",)]
    assert pg15.one("SELECT count(*) FROM pets") == 0
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}
    # what is left is not loaded over
    assert "holds 2 rows already" in docrow.run("migrate", "--mapping", "./m.yaml", status=4).stderr


def test_clean_that_would_break_a_key_changes_nothing(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING)
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    pg15.execute("INSERT INTO billing.bills (id, who) SELECT 1, id FROM people LIMIT 1")
    before = deployed.catalog(pg15, ("public", "billing"))
    last, _ = complaint(docrow.run("migrate", "--clean-only", status=4))
    assert "DR-4014" in last and "bills_who_fkey" in last
    assert pg15.one("SELECT count(*) FROM people") == 90
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}


def test_tables_of_docrow_with_rows_of_others_are_not_dropped(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    docrow.run("migrate", "--mapping", "./m.yaml", status={0, 1})
    pg15.execute("INSERT INTO pets (id, name) VALUES (gen_random_uuid(), 'mine')")
    last, _ = complaint(docrow.run("migrate", "--clean-only", status=4))
    assert "DR-4014" in last and "table pets" in last
    pg15.execute("DELETE FROM pets WHERE name = 'mine'")
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.tables() == []


def test_tables_in_use_are_waited_for_and_then_left_alone(mongo, docrow, pg15):
    fill_small(mongo)
    write(docrow)
    pg15.execute(EVERYTHING)
    before = deployed.catalog(pg15, ("public", "billing"))
    with psycopg.connect(pg15.uri) as busy:
        busy.execute("SELECT count(*) FROM people")
        last, _ = complaint(docrow.run("migrate", "--mapping", "./m.yaml", "--lock-timeout", "1", status=4))
        assert "DR-4010" in last and "lock" in last
    assert deployed.differences(before, deployed.catalog(pg15, ("public", "billing"))) == {}
    assert pg15.one("SELECT count(*) FROM docrow.run") == 0


# --- the ways to the server ---


def test_nextcrm_through_a_pooler_with_a_limit_on_statements(nextcrm_source, nextcrm_owned, make_docrow, pg15):
    """PgBouncer in transaction mode, and a statement_timeout that the operator set: the catalog and the rows all the same."""
    deployed.nextcrm(pg15, task_nullable=True)
    before = deployed.catalog(pg15)
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.02); END$$;"
            " CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE INDEX', 'DROP INDEX') EXECUTE FUNCTION slow()"
        )
    pg15.execute(f'ALTER ROLE docrow IN DATABASE "{pg15.name}" SET statement_timeout = \'700ms\'')
    folder = processes.temp_folder()
    pooler = PgBouncer(folder / "pool", pg15.server).start()
    try:
        docrow = make_docrow(nextcrm_source, pooler.address(pg15.name) + "?pgbouncer=true")
        docrow.run("migrate", "--mapping", MAPPING, "--batch-size", "97", status=1)
        with pg15.admin() as admin:
            admin.execute("DROP EVENT TRIGGER slow; DROP FUNCTION slow()")
        assert deployed.differences(before, deployed.catalog(pg15)) == {}
        assert account(pg15) == account(nextcrm_owned)
        docrow.run("migrate", "--clean-only", status=0)
        assert deployed.differences(before, deployed.catalog(pg15)) == {}
    finally:
        pooler.stop()
        processes.remove_folder(folder)


# --- types of extensions, keys that the server numbers ---

EXTENSIONS = """
docrow: 1
collections:
  - collection: people
    id: native
    columns:
      - { name: id,    from: _id, type: integer, primary_key: true }
      - { name: email, type: text }
      - { name: place, type: vector(3), from: place }
    indexes: [{ columns: [email], unique: true, duplicates: first }]
"""


def test_types_of_extensions_and_identities(mongo, make_docrow, pg18):
    docrow = make_docrow(mongo, pg18)
    with pg18.admin() as admin:
        admin.execute("CREATE EXTENSION citext; CREATE EXTENSION vector")
    mongo["people"].insert_many({"_id": n, "email": f"{'P' if n % 2 else 'p'}{n // 2}@x", "place": [n, 0.5, 1]} for n in range(10))
    mongo["people"].insert_one({"_id": 20, "place": [1, 2, 3]})  # without the email that the target wants
    write(docrow, EXTENSIONS)
    pg18.execute(
        "CREATE TABLE people (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email citext NOT NULL UNIQUE, place vector(3));"
        "CREATE INDEX people_place ON people USING hnsw (place vector_l2_ops) WITH (m = 8)"
    )
    before = deployed.catalog(pg18)
    docrow.run("migrate", "--mapping", "./m.yaml", status={0, 1})
    assert deployed.differences(before, deployed.catalog(pg18)) == {}
    assert pg18.query("SELECT id, email::text, place::text FROM people ORDER BY 1") == [
        (n, f"p{n // 2}@x", f"[{n},0.5,1]") for n in range(0, 10, 2)
    ]
    # the server goes on behind the largest key
    assert pg18.one("INSERT INTO people (email) VALUES ('new') RETURNING id") == 9
    # a retried row has its document's key, too
    pg18.execute("DELETE FROM people WHERE email = 'new'; ALTER TABLE people ALTER COLUMN email DROP NOT NULL")
    docrow.run("retry", status={0, 1})
    assert pg18.query("SELECT id, place::text FROM people WHERE email IS NULL") == [(20, "[1,2,3]")]


@pytest.mark.parametrize("way", [[], ["--keep-indexes"], ["--append"]], ids=["away", "keep", "append"])
def test_unique_indexes_over_columns_that_only_the_target_has(mongo, docrow, pg15, way):
    """Plain ones, expressions and partial ones: they are the server's business, and retry does not ask for what it has not."""
    fill_small(mongo)
    (docrow.folder / "m.yaml").write_text(SMALL)
    pg15.execute(
        deployed.IN_FORCE + "ALTER TABLE people ADD COLUMN slug text DEFAULT gen_random_uuid()::text, ADD COLUMN live boolean DEFAULT true;"
        "CREATE UNIQUE INDEX people_slug ON people (slug, n); CREATE UNIQUE INDEX people_lower_slug ON people (lower(slug));"
        "CREATE UNIQUE INDEX people_live ON people (id) WHERE live; ALTER TABLE people ADD CONSTRAINT no_fifty CHECK (n <> 50);"
    )
    docrow.run("migrate", "--mapping", "./m.yaml", *way, status=1)
    assert pg15.one("SELECT count(*) FROM people WHERE n = 50") == 0
    pg15.execute("ALTER TABLE people DROP CONSTRAINT no_fifty")
    docrow.run("retry", status=1)
    assert pg15.query("SELECT count(*), count(DISTINCT slug) FROM people WHERE live") == [(90, 90)]
    docrow.run("validate", "--full", status=0)
