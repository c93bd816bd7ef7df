"""Child tables with a key that docrow makes: arrays of sub-documents without ids, nested to any depth. The keys are
computed anew here, from what the manual says of them (lib/made_keys.py)."""

import json
import uuid

import bson
import pytest

from lib.ids import oid
from lib.made_keys import key_bytes, made_key


def validate(docrow, status=0):
    docrow.run("validate", "--full", status=status)
    report = json.loads((docrow.folder / "migration-validation-report.json").read_text())
    return {(f["kind"], f["table"], f.get("column")) for f in report["findings"]}


def ledger(pg):
    return {(k, o, p): n for k, o, p, n in pg.query("SELECT kind, object, path, n::int FROM docrow.ledger")}


def last_ledger(pg):
    """Of the run that was not cleaned."""
    return pg.query("SELECT kind, object, path, n FROM docrow.ledger l JOIN docrow.run r ON r.id = l.run WHERE r.status <> 'cleaned' ORDER BY 1, 2, 3")


# --- case B21 ---

B21 = """docrow: 1
collections:
  - collection: authors
    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]
    children:
      - from: posts
        table: posts
        parent: author_id
        ordinal: position
        key: id
        columns: [{ name: t, type: text }]
        children:
          - from: tags
            table: posts_tags
            parent: post_id
            ordinal: position
            columns: [{ name: tag, from: ., type: text }]
"""


def test_b21(mongo, docrow, pg15):
    (docrow.folder / "m.yaml").write_text(B21)
    author = bson.ObjectId("65a0000000000000000000aa")
    mongo["authors"].insert_one({"_id": author, "posts": [{"t": "x", "tags": ["p", "q"]}, {"t": "y"}]})
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    row = pg15.one("SELECT docrow.objectid_to_uuid('65a0000000000000000000aa')")
    keys = [made_key("posts", row.bytes, n) for n in (0, 1)]
    assert pg15.query("SELECT id, author_id, position, t FROM posts ORDER BY position") == [(keys[0], row, 0, "x"), (keys[1], row, 1, "y")]
    assert pg15.query("SELECT post_id, position, tag FROM posts_tags ORDER BY position") == [(keys[0], 0, "p"), (keys[0], 1, "q")]
    assert [str(k) for k in keys] == ["a52fd71d-0095-5d50-a11a-3d5abafed49c", "d7b09978-f076-524b-8cd9-a694796c013e"]  # for ever
    assert pg15.query("SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1") == [
        (name,) for name in ("authors_pkey", "posts_author_id_fkey", "posts_pkey", "posts_tags_pkey", "posts_tags_post_id_fkey")
    ]
    assert validate(docrow) == set()
    before = pg15.contents()
    docrow.run("migrate", "--mapping", "./m.yaml", "--clean", status=0)
    assert pg15.contents() == before
    shown = docrow.run("mapping", "show", "./m.yaml", status=0).stdout
    assert "uuid primary key <- made of the key of the row above and the position" in shown


# --- any key, any depth ---

DEEP = """docrow: 1
target: {{ id_namespace: 1b671a64-40d5-491e-99b0-da01ff1f3341 }}
collections:
  - collection: things
    id: {rule}
    where: {{ gone: {{ $exists: false }} }}
    columns: [{{ name: id, from: _id, type: {type}, primary_key: true }}]
    children:
      - from: a.list
        table: one
        parent: thing
        ordinal: n
        key: made
        columns: [{{ name: v, type: integer, not_null: true }}]
        children:
          - from: ["in.ner"]
            table: two
            parent: one_id
            key: made
            columns: [{{ name: v, type: integer, not_null: true }}]
            children:
              - from: last
                table: three
                parent: two_id
                key: made
                ordinal: n
                columns: [{{ name: v, from: ., type: integer, not_null: true }}]
      - from: other
        table: beside
        parent: thing
        ordinal: n
        key: made
        columns: []
"""
NAMESPACE = uuid.UUID("1b671a64-40d5-491e-99b0-da01ff1f3341")
ROOTS = {
    "uuid": ("uuidv7", lambda n: oid(n + 1)),
    "text": ("native", lambda n: f'"k{n}\\ é'),
    "bigint": ("native", lambda n: n * 2**40 - 10**12),
    "smallint": ("native", lambda n: n - 9),
    "jsonb": ("native", lambda n: {"x": 10 * n, "b": ["é", 0.75]}),
    "bytea": ("bytea", lambda n: oid(n + 1)),
}


def element(n, inner):
    """Some are null, some are rejected, with all that they hold."""
    return None if n % 5 == 3 else {"v": "no number" if n % 5 == 4 else n, **inner}


def things(make):
    made = []
    for k in range(20):
        two = [element(i, {"last": [i, None, "x", 7][: i + 1]}) for i in range(6)]
        one = [element(i, {"in.ner": two[: i + 1]}) for i in range(8)]
        made.append({"_id": make(k), "a": {"list": one[: k % 9]}, "other": [{}] * (k % 3), **({"gone": True} if k == 19 else {})})
    return made


def good(x):
    return isinstance(x, dict) and isinstance(x["v"], int)


def expected(documents, kind, keys):
    """{table: [(key, key above, value)]}; keys: what PostgreSQL holds for each document."""
    rows = {"one": [], "two": [], "three": [], "beside": []}
    for document in documents:
        root = key_bytes(kind, keys[repr(document["_id"])], document["_id"])
        for n in range(len(document["other"])):
            rows["beside"].append((made_key("other", root, n, NAMESPACE), root, None))
        for i, x in enumerate(document["a"]["list"]):
            if not good(x):
                continue
            key1 = made_key("a.list", root, i, NAMESPACE)
            rows["one"].append((key1, root, x["v"]))
            for j, y in enumerate(x["in.ner"]):
                if not good(y):
                    continue
                key2 = made_key(["in.ner"], key1.bytes, j, NAMESPACE)
                rows["two"].append((key2, key1.bytes, y["v"]))
                rows["three"] += [(made_key("last", key2.bytes, n, NAMESPACE), key2.bytes, z) for n, z in enumerate(y["last"]) if isinstance(z, int)]
    return rows


@pytest.mark.parametrize("kind", ROOTS)
def test_any_key_any_depth(kind, mongo, docrow, pg15):
    rule, make = ROOTS[kind]
    (docrow.folder / "m.yaml").write_text(DEEP.format(rule=rule, type=kind))
    documents = things(make)
    mongo["things"].insert_many(documents)
    assert "things" in docrow.run("check", "--mapping", "./m.yaml", "--scan", "full", status={0, 1}).stdout
    docrow.run("migrate", "--mapping", "./m.yaml", "--batch-size", "3", status=1)
    in_order = pg15.query("SELECT id FROM things" + (" ORDER BY id" if kind != "jsonb" else ""))
    keys = dict(zip((repr(d["_id"]) for d in documents), (k for (k,) in in_order), strict=False))
    if kind == "text":
        keys = {repr(d["_id"]): d["_id"] for d in documents}
    want = expected(documents[:19], kind, keys)
    above = {"one": "thing", "two": "one_id", "three": "two_id", "beside": "thing"}
    for table, rows in want.items():
        value = "NULL::integer" if table == "beside" else "v"
        got = pg15.query(f"SELECT made, {above[table]}, {value} FROM {table}")
        if kind == "jsonb" and table in ("one", "beside"):
            assert {(k, v) for k, _, v in got} == {(k, v) for k, _, v in rows}
        else:
            form = kind if table in ("one", "beside") else "uuid"
            assert {(k, key_bytes(form, p), v) for k, p, v in got} == set(rows)
        assert len(got) == len(rows) > 0
    assert len({k for rows in want.values() for k, _, _ in rows}) == sum(map(len, want.values()))
    counts = ledger(pg15)
    for table in want:
        left = sum(n for (k, o, _), n in counts.items() if o == table and k in ("reject_element", "element_rejected_doc"))
        assert counts["elements", table, "things"] == pg15.one(f"SELECT count(*) FROM {table}") + left
    assert validate(docrow) == set()


# --- disturbed, into tables that are there, damaged ---

PLAIN = DEEP.format(rule="uuidv7", type="uuid")
TABLES = ("things", "one", "two", "three", "beside")


@pytest.fixture
def job(mongo, docrow):
    (docrow.folder / "m.yaml").write_text(PLAIN)
    mongo["things"].insert_many([{**t, "_id": oid(1000 * k + n)} for k in range(1, 31) for n, t in enumerate(things(oid))])
    return docrow


def test_resume_after_kill(job, pg15):
    options = ["--mapping", "./m.yaml", "--batch-size", "5", "--workers", "1", "--lease", "2"]
    job.run("migrate", *options, status=1)
    want = pg15.contents(), last_ledger(pg15)

    def is_running():
        done, all_of_them = pg15.query(
            "SELECT count(*) FILTER (WHERE c.state = 'done'), count(*) FROM docrow.chunk c JOIN docrow.run r ON r.id = c.run"
            " WHERE r.status = 'running'"
        )[0]
        return 0 < done < all_of_them

    job.kill_when(is_running, "migrate", *options, "--clean", "--max-rate", "40")
    assert pg15.query("SELECT status FROM docrow.run WHERE status <> 'cleaned'") == [("running",)]
    job.run("migrate", *options, "--resume", status=1)
    assert (pg15.contents(), last_ledger(pg15)) == want
    assert validate(job) == set()


THERE = """
CREATE TABLE things (id uuid PRIMARY KEY);
CREATE TABLE one (thing uuid NOT NULL REFERENCES things ON DELETE CASCADE, n int NOT NULL, made {type} PRIMARY KEY, v int NOT NULL);
CREATE TABLE two (one_id {type} NOT NULL REFERENCES one ON DELETE CASCADE, made uuid PRIMARY KEY, v int NOT NULL);
CREATE TABLE three (two_id uuid NOT NULL REFERENCES two ON DELETE CASCADE, n bigint NOT NULL, made uuid PRIMARY KEY, v int NOT NULL);
CREATE TABLE beside (thing uuid NOT NULL REFERENCES things ON DELETE CASCADE, n int NOT NULL, made uuid PRIMARY KEY);
"""


def test_tables_that_are_there(job, pg15, postgres_servers, make_docrow, mongo):
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    want = {t: sorted(map(str, pg15.query(f"SELECT to_jsonb(t) FROM {t} t"))) for t in TABLES}
    pg15.execute("DROP TABLE IF EXISTS things, one, two, three, beside CASCADE; DROP SCHEMA IF EXISTS docrow CASCADE")
    pg15.execute(THERE.format(type="text"))
    result = job.run("migrate", "--mapping", "./m.yaml", status=4)
    assert "column one.made is text" in result.stderr
    pg15.execute("DROP TABLE things, one, two, three, beside; DROP SCHEMA IF EXISTS docrow CASCADE")
    pg15.execute(THERE.format(type="uuid"))
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    assert {t: sorted(map(str, pg15.query(f"SELECT to_jsonb(t) FROM {t} t"))) for t in TABLES} == want
    assert validate(job) == set()


DAMAGE = {
    "another key": ("UPDATE beside SET made = gen_random_uuid() WHERE (thing, n) IN (SELECT thing, n FROM beside LIMIT 1)", {("value", "beside", "made")}),
    "keys changed places": (
        "WITH x AS (SELECT array_agg(made) AS k FROM (SELECT made FROM beside LIMIT 2) q) UPDATE beside SET made ="
        " CASE made WHEN k[1] THEN k[2] ELSE k[1] END FROM x WHERE made = ANY (k)",
        {("value", "beside", "made")},
    ),
    "with all that hangs on it": (
        "UPDATE one SET made = gen_random_uuid() WHERE made = (SELECT one_id FROM two LIMIT 1)",
        {("value", "one", "made"), ("missing_element", "two", None), ("extra_element", "two", None)},
    ),
    "without an ordinal": (
        "UPDATE two SET made = gen_random_uuid() WHERE made = (SELECT made FROM two LIMIT 1)",
        {("missing_element", "two", None), ("extra_element", "two", None)},
    ),
    "another row above": (
        "UPDATE two SET one_id = (SELECT made FROM one ORDER BY made LIMIT 1) WHERE made = (SELECT made FROM two WHERE one_id <>"
        " (SELECT made FROM one ORDER BY made LIMIT 1) LIMIT 1)",
        {("missing_element", "two", None), ("extra_element", "two", None)},
    ),
    "row gone": ("DELETE FROM three WHERE made = (SELECT made FROM three LIMIT 1)", {("missing_element", "three", None)}),
}


def test_damage_is_found(job, pg15):
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    pg15.execute("ALTER TABLE beside DROP CONSTRAINT beside_pkey")
    pg15.execute("ALTER TABLE beside ADD CONSTRAINT beside_pkey PRIMARY KEY (made) DEFERRABLE")
    for name, (statement, kinds) in DAMAGE.items():
        with pg15.connect() as connection:
            connection.execute("CREATE TEMP TABLE t1 AS TABLE one; CREATE TEMP TABLE t2 AS TABLE two; CREATE TEMP TABLE t3 AS TABLE three; CREATE TEMP TABLE t4 AS TABLE beside")
            connection.execute(statement)
            connection.commit()
            assert {f for f in validate(job, status=1) if f[1] in TABLES and f[0] != "schema"} >= kinds, name
            connection.execute("DELETE FROM beside; DELETE FROM three; DELETE FROM two; DELETE FROM one")
            connection.execute("INSERT INTO one TABLE t1; INSERT INTO two TABLE t2; INSERT INTO three TABLE t3; INSERT INTO beside TABLE t4")
            connection.commit()


def test_synthetic_documents(docrow, pg15, tmp_path):
    (docrow.folder / "m.yaml").write_text(B21)
    docrow.run("synth", "--mapping", "./m.yaml", "--to", tmp_path / "out", "--docs", "50", status=0)
    docrow.run("migrate", "--mapping", "./m.yaml", "--source", tmp_path / "out", status=0)
    assert pg15.one("SELECT count(*) FROM posts_tags t JOIN posts p ON p.id = t.post_id") > 10
    assert "DR-" not in docrow.run("validate", "--full", "--source", tmp_path / "out", status=0).stderr
