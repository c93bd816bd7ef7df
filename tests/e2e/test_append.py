"""Rows are added to tables that hold some already: by three rules for keys that are there, each row counted and listed, with
a way back that takes away what docrow wrote and nothing else."""

import json
import uuid

import pytest

from lib import deployed, nextcrm_sample, program
from lib.deployed import SMALL, fill_small, oid
from lib.ids import uuid_of

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
APPEND = ["migrate", "--mapping", "./m.yaml", "--append"]
IN_FORCE = deployed.IN_FORCE
PEOPLE = "SELECT email, n, mood::text, boss, notes::text FROM people ORDER BY id"
PETS = "SELECT id, owner, name FROM pets ORDER BY id"


def write(docrow, mapping=SMALL):
    (docrow.folder / "m.yaml").write_text(mapping)


def ledger(pg, *kinds):
    return {
        (kind, table): n
        for kind, table, n in pg.query(
            "SELECT kind, object, n FROM docrow.ledger WHERE run = (SELECT max(id) FROM docrow.run) AND kind = ANY (%s)", list(kinds)
        )
    }


@pytest.fixture
def job(mongo, docrow, pg15):
    """People 20 to 24 are there already, with other values, and p30's address is taken by someone else; a pet, too, and an
    owner that no document has."""
    fill_small(mongo)
    mongo["pets"].insert_one({"_id": oid(2000), "owner": oid(7777), "name": "hers"})
    write(docrow)
    pg15.execute(IN_FORCE)
    for n in range(20, 25):
        pg15.execute("INSERT INTO people (id, email, n, mood) VALUES (%s, %s, %s, 'ugly')", uuid_of(oid(n)), f"old{n}@x", n)
    pg15.execute("INSERT INTO people (id, email, n) VALUES (%s, 'p30@x', 1)", uuid_of(oid(8888)))
    pg15.execute("INSERT INTO people (id, email, n) VALUES (%s, 'before@x', 2)", uuid_of(oid(7777)))
    pg15.execute("INSERT INTO pets (id, owner, name) VALUES (%s, %s, 'mine')", uuid_of(oid(1001)), uuid_of(oid(20)))
    pg15.execute("DELETE FROM log")
    pg15.before = state(pg15)
    pg15.catalog = deployed.catalog(pg15, ("public", "billing"))
    return docrow


def state(pg):
    return (pg.query("SELECT id, email, n, mood, boss, notes::text, since, made, number FROM people ORDER BY id"), pg.query(PETS))


def taken_back(job, pg):
    job.run("migrate", "--clean-only", status=0)
    assert state(pg) == pg.before
    assert deployed.differences(pg.catalog, deployed.catalog(pg, ("public", "billing"))) == {}


def test_rows_are_no_reason_to_begin_without(job, pg15):
    result = job.run("migrate", "--mapping", "./m.yaml", "--keep-indexes", status=4)
    assert "table people holds 7 rows already" in result.stderr
    result = job.run("migrate", "--mapping", "./m.yaml", "--on-conflict", "skip", status=2)
    assert "--on-conflict says what --append does" in result.stderr


@pytest.mark.parametrize("rule", ["reject", "skip", "replace"])
def test_the_rules(job, pg15, rule):
    result = job.run(*APPEND, *([] if rule == "reject" else ["--on-conflict", rule]), "--batch-size", "9", status=1)
    assert deployed.differences(pg15.catalog, deployed.catalog(pg15, ("public", "billing"))) == {}
    # 100 people: 10 duplicated addresses (the last stays), p30 is taken, five are there
    assert pg15.one("SELECT count(*) FROM people") == 7 + 90 - 1 - 5
    old = pg15.query("SELECT email, mood::text FROM people WHERE n BETWEEN 20 AND 24 ORDER BY n")
    assert old == [(f"p{n}@x", "good") if rule == "replace" else (f"old{n}@x", "ugly") for n in range(20, 25)]
    taken = pg15.query(
        "SELECT table_name, column_name, message, document IS NOT NULL FROM docrow.reject WHERE fault = 'exists' ORDER BY id"
    )
    address = f"{oid(30)} has the same email as {oid(8888)}, which was there before the run (unique index people_email_key)"
    assert ("people", "email", address, True) in taken
    keys = [t for t in taken if "(primary key)" in t[2]]
    assert len(keys) == (6 if rule == "reject" else 0) and len(taken) == len(keys) + 1
    # pets of people who were there, and of one who is in no document, are no orphans
    assert pg15.one("SELECT owner FROM pets WHERE name = 'hers'") is not None
    assert pg15.one("SELECT name FROM pets WHERE id = %s", uuid_of(oid(1001))) == ("pet 1" if rule == "replace" else "mine")
    assert pg15.one("SELECT count(*) FROM pets p LEFT JOIN people o ON o.id = p.owner WHERE o.id IS NULL") == 0
    counts = ledger(pg15, "before", "skipped", "replaced")
    want = {("before", "people"): 7, ("before", "pets"): 1}
    if rule != "reject":
        word = "skipped" if rule == "skip" else "replaced"
        want |= {(word, "people"): 5, (word, "pets"): 1}
        kept = pg15.query("SELECT table_name, doc_id_text, value_text::json ->> 'name' FROM docrow.finding WHERE kind = %s", word)
        assert len(kept) == 6 and ("pets", json.dumps({"$oid": str(oid(1001))}).replace(" ", ""), "mine" if rule == "replace" else "pet 1") in kept
    assert counts == want
    assert f"tables   were there: append, on-conflict {rule}" in result.stdout
    assert "Rows that were there before the run" in result.stdout
    status = job.run("status").stdout
    assert f"tables    were there: append, on-conflict {rule}" in status and "8 rows were there before the run" in status
    page = json.loads(job.run("status", "--json").stdout)
    assert (page["before"], page["skipped"], page["replaced"]) == (8, 6 if rule == "skip" else 0, 6 if rule == "replace" else 0)
    written = json.loads((job.folder / "migration-checkpoint.json").read_text())["collections"]
    people = next(c for c in written if c["table"] == "people")
    assert people["documents"] == people["rows"] + people["rejects"] + people["dropped"] + people["skipped"] == 100
    assert [people[word] for word in ("dropped", "skipped", "replaced")] == [10, 5 * (rule == "skip"), 5 * (rule == "replace")]
    proof = job.run("validate", "--full", status=0).stdout
    assert "rows that the run did not write are left alone" in proof
    taken_back(job, pg15)


def test_taking_back_leaves_what_was_changed_since(job, pg15):
    job.run(*APPEND, "--on-conflict", "replace", status=1)
    pg15.execute("UPDATE people SET n = 77, boss = NULL WHERE id = %s", uuid_of(oid(21)))
    pg15.execute("DELETE FROM people WHERE id = %s", uuid_of(oid(24)))
    result = job.run("migrate", "--clean-only", status=0)
    assert "rows that docrow did not write, or that were changed since, stay" in result.stderr
    assert pg15.query("SELECT email, n FROM people WHERE n BETWEEN 20 AND 24 OR n = 77 ORDER BY n") == [
        ("old20@x", 20),
        ("old22@x", 22),
        ("old23@x", 23),
        ("p21@x", 77),
    ]


def test_what_validate_finds_after_it(job, pg15):
    """Others may do with their rows what they like; the run's own must be as they were made."""
    job.run(*APPEND, "--on-conflict", "skip", status=1)
    pg15.execute("UPDATE people SET n = 3 WHERE email IN ('before@x', 'old22@x')")
    pg15.execute("INSERT INTO people (id, email) VALUES (gen_random_uuid(), 'new@x')")
    job.run("validate", "--full", status=0)
    pg15.execute("DELETE FROM pets WHERE name = 'pet 3'")
    result = job.run("validate", "--full", status=1)
    assert "missing_row" in result.stdout and "1 findings" in result.stdout


def test_the_rule_of_a_run_is_kept(job, pg15):
    pg15.execute("ALTER TABLE people ADD CHECK (n < 60)")
    job.run(*APPEND, "--on-conflict", "skip", "--max-rejects", "1", status=1)
    result = job.run("migrate", "--resume", "--append", "--max-rejects", "100", status=2)
    assert "fills its tables in another way" in result.stderr and "append, on-conflict skip" in result.stderr
    job.run("migrate", "--resume", "--max-rejects", "100", status=1)
    assert ledger(pg15, "skipped") == {("skipped", "people"): 5, ("skipped", "pets"): 1}


def test_nextcrm_twice(mongo, docrow, pg15):
    """The second time nothing is new, and all of it is counted."""
    nextcrm_sample.make(400, seed=5).insert(mongo.db)
    docrow.run("migrate", "--mapping", MAPPING, status=0)
    once = pg15.contents()
    first = ledger(pg15, "rows")
    assert "to add to it: docrow migrate --append" in docrow.run("migrate", "--mapping", MAPPING, status=2).stderr
    docrow.run("check", "--mapping", MAPPING, "--append", "--on-conflict", "skip", status=0)
    docrow.run("migrate", "--mapping", MAPPING, "--append", "--on-conflict", "skip", status=0)
    assert pg15.contents() == once
    second = ledger(pg15, "rows", "skipped")
    assert {t: n for (kind, t), n in second.items() if kind == "skipped"} == {t: n for (_, t), n in first.items()}
    assert pg15.one("SELECT count(*) FROM docrow.finding WHERE kind = 'skipped' AND run = 2") == sum(first.values())
    docrow.run("validate", status=0)
    # back to the first
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == once
    docrow.run("validate", status=0)
    # replaced by themselves they are the same, too
    docrow.run("migrate", "--mapping", MAPPING, "--append", "--on-conflict", "replace", status=0)
    assert pg15.contents() == once
    docrow.run("validate", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == once
    # rows that were put back are no longer those of the first run, as if somebody had changed them
    assert "DR-4014" in docrow.run("migrate", "--clean-only", status=4).stderr


CHILDREN = """
docrow: 1
collections:
  - collection: orders
    columns:
      - { name: id,   from: _id, type: uuid, primary_key: true }
      - { name: name, type: text }
    children:
      - { from: lines, table: lines, parent: order_id, ordinal: place, columns: [{ name: what, from: what, type: text }] }
"""


@pytest.mark.parametrize("rule", ["reject", "skip", "replace"])
def test_child_rows_go_with_their_document(mongo, docrow, pg15, rule):
    mongo["orders"].insert_many(
        {"_id": oid(n), "name": f"order {n}", "lines": [{"what": f"{n}.{i}"} for i in range(2)]} for n in range(3)
    )
    write(docrow, CHILDREN)
    pg15.execute(
        "CREATE TABLE orders (id uuid PRIMARY KEY, name text);"
        "CREATE TABLE lines (order_id uuid REFERENCES orders, place integer, what text, PRIMARY KEY (order_id, place));"
    )
    there = uuid_of(oid(1))
    pg15.execute("INSERT INTO orders VALUES (%s, 'old')", there)
    for i in range(4):
        pg15.execute("INSERT INTO lines VALUES (%s, %s, %s)", there, i, f"old.{i}")
    before = pg15.contents()
    docrow.run(*APPEND, "--on-conflict", rule, status=1 if rule == "reject" else 0)
    lines = [r[0] for r in pg15.query("SELECT what FROM lines WHERE order_id = %s ORDER BY place", there)]
    assert lines == (["1.0", "1.1"] if rule == "replace" else [f"old.{i}" for i in range(4)])
    assert pg15.one("SELECT count(*) FROM lines") == len(lines) + 4
    counts = ledger(pg15, "skipped", "replaced", "child_of_reject")
    assert counts == {
        "reject": {("child_of_reject", "lines"): 2},
        "skip": {("skipped", "orders"): 1, ("skipped", "lines"): 2},
        "replace": {("replaced", "orders"): 1, ("replaced", "lines"): 4},
    }[rule]
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before


PAIRS = """
docrow: 1
collections:
  - collection: posts
    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]
  - collection: tags
    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]
junctions:
  - table: posts_tags
    left: { collection: posts, path: tags, column: post }
    right: { collection: tags, column: tag }
"""


def test_a_pair_that_is_there(mongo, docrow, pg15):
    """Pairs are rows of their own: one that is there is skipped with each rule, one that is not goes in, though the document
    that names it is left out."""
    mongo["posts"].insert_many({"_id": oid(n), "tags": [oid(100 + i) for i in range(3)]} for n in range(3))
    mongo["tags"].insert_many({"_id": oid(100 + n)} for n in range(3))
    write(docrow, PAIRS)
    pg15.execute(
        "CREATE TABLE posts (id uuid PRIMARY KEY); CREATE TABLE tags (id uuid PRIMARY KEY);"
        "CREATE TABLE posts_tags (post uuid REFERENCES posts, tag uuid REFERENCES tags, PRIMARY KEY (post, tag))"
    )
    pg15.execute("INSERT INTO posts VALUES (%s)", uuid_of(oid(1)))
    pg15.execute("INSERT INTO tags VALUES (%s)", uuid_of(oid(100)))
    pg15.execute("INSERT INTO posts_tags VALUES (%s, %s)", uuid_of(oid(1)), uuid_of(oid(100)))
    before = pg15.contents()
    docrow.run(*APPEND, "--on-conflict", "skip", status=0)
    assert pg15.one("SELECT count(*) FROM posts_tags") == 9
    assert ledger(pg15, "skipped", "pairs", "before") == {
        ("before", "posts"): 1,
        ("before", "posts_tags"): 1,
        ("before", "tags"): 1,
        ("pairs", "posts_tags"): 9,
        ("skipped", "posts"): 1,
        ("skipped", "posts_tags"): 1,
        ("skipped", "tags"): 1,
    }
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before
    # one post a tag, the lowest: what the target's index minds becomes a reject, be it of a pair that was there or not
    pg15.execute("CREATE UNIQUE INDEX one_post ON posts_tags (tag)")
    docrow.run(*APPEND, "--on-conflict", "skip", status=1)
    assert pg15.query("SELECT post, tag FROM posts_tags ORDER BY tag") == [
        (uuid.UUID(uuid_of(oid(1))), uuid.UUID(uuid_of(oid(100)))),
        (uuid.UUID(uuid_of(oid(0))), uuid.UUID(uuid_of(oid(101)))),
        (uuid.UUID(uuid_of(oid(0))), uuid.UUID(uuid_of(oid(102)))),
    ]
    assert pg15.query("SELECT fault, count(*) FROM docrow.reject GROUP BY 1 ORDER BY 1") == [("duplicate", 4), ("exists", 2)]
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before


def test_circles_with_rows_that_are_there(mongo, docrow, pg15):
    """References go to rows that wait and to rows that are there, in one statement."""
    mongo["members"].insert_many({"_id": oid(n), "above": oid((n * 7 + 1) % 40) if n else oid(5555)} for n in range(30))
    write(
        docrow,
        """
docrow: 1
collections:
  - collection: members
    columns:
      - { name: id,    from: _id, type: uuid, primary_key: true }
      - { name: above, type: uuid, references: { table: members, if_orphan: reject } }
""",
    )
    pg15.execute("CREATE TABLE members (id uuid PRIMARY KEY, above uuid NOT NULL REFERENCES members)")
    for n in (3, 35, 36, 5555):
        pg15.execute("INSERT INTO members VALUES (%s, %s)", uuid_of(oid(n)), uuid_of(oid(n)))
    before = pg15.contents()
    docrow.run(*APPEND, "--on-conflict", "replace", status=1)
    have = {3, 35, 36, 5555} | set(range(30))
    gone = set()
    while True:  # what refers to nothing goes, and what refers to that
        more = {n for n in set(range(30)) - gone if ((n * 7 + 1) % 40 if n else 5555) not in have - gone}
        if not more:
            break
        gone |= more
    assert 0 < len(gone) < 29
    assert pg15.one("SELECT count(*) FROM members") == len(have - gone)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before


def test_rejects_are_loaded_once_the_old_rows_are_gone(job, pg15):
    """And with them what was an orphan without them: p30 has a pet."""
    job.run(*APPEND, status=1)
    pg15.execute("DELETE FROM people WHERE id = %s", uuid_of(oid(8888)))
    pg15.execute("DELETE FROM pets WHERE id = %s", uuid_of(oid(1001)))
    job.run("retry", status=1)
    assert pg15.query("SELECT email FROM people WHERE n = 30") == [("p30@x",)]
    assert pg15.query("SELECT name FROM pets WHERE name IN ('pet 1', 'pet 10', 'mine') ORDER BY name") == [("pet 1",), ("pet 10",)]
    assert pg15.query("SELECT table_name, fault FROM docrow.reject WHERE state = 'retried' ORDER BY 1, 2") == [
        ("people", "exists"),
        ("pets", "exists"),
        ("pets", "orphan"),
    ]
    job.run("validate", "--full", status=0)


def test_replaced_rows_of_a_unique_index(mongo, docrow, pg15):
    """One that frees a value for a new row; two that trade theirs, which no order of single rows can do."""
    mongo["users"].insert_many({"_id": oid(n), "email": email} for n, email in enumerate(["new@x", "a@x", "c@x", "b@x"]))
    write(
        docrow,
        """
docrow: 1
collections:
  - collection: users
    columns:
      - { name: id,    from: _id, type: uuid, primary_key: true }
      - { name: email, type: text }
""",
    )
    pg15.execute("CREATE TABLE users (id uuid PRIMARY KEY, email text UNIQUE, note text)")
    for n, email in ((0, "a@x"), (2, "b@x"), (3, "c@x")):
        pg15.execute("INSERT INTO users VALUES (%s, %s, 'old')", uuid_of(oid(n)), email)
    before = pg15.contents()
    docrow.run(*APPEND, "--on-conflict", "replace", status=1)
    assert pg15.query("SELECT email, note FROM users ORDER BY id") == [
        ("new@x", "old"),
        ("a@x", None),
        ("b@x", "old"),
        ("c@x", "old"),
    ]
    assert pg15.query("SELECT fault, sqlstate, document_text::json ->> 'email' FROM docrow.reject ORDER BY 3") == [
        ("refused", "23505", "b@x"),
        ("refused", "23505", "c@x"),
    ]
    assert ledger(pg15, "replaced") == {("replaced", "users"): 1}
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before


NESTED = """
docrow: 1
collections:
  - collection: orders
    columns: [{ name: id, from: _id, type: uuid, primary_key: true }, { name: best, type: uuid, REFERENCE }]
    children:
      - from: lines
        table: lines
        parent: order_id
        ordinal: place
        key: id
        columns: [{ name: what, type: text }]
        CHILDREN
"""


PARTS = """children:
          - from: parts
            table: parts
            parent: line_id
            ordinal: n
            key: id
            columns: [{ name: p, from: p, type: text }]
            children: [{ from: bits, table: bits, parent: part_id, ordinal: n, columns: [{ name: bit, from: ., type: text }] }]
"""


def order(n, word, *lines):
    return {"_id": oid(n), "lines": [{"what": f"{word}{i}", "parts": [{"p": f"{word}{i}", "bits": [word] * k} for k in parts]} for i, parts in enumerate(lines)]}


@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", "RESTRICT"])
def test_nested_child_rows_are_replaced(mongo, docrow, pg15, action):
    """Whatever the foreign keys do, what the new document no longer has is taken out row by row, and comes back."""
    mongo["orders"].insert_many([order(1, "old", [2, 1], [1], [1, 3, 0]), order(2, "other", [1, 2])])
    write(docrow, NESTED.replace("REFERENCE", "").replace("CHILDREN", PARTS))
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    pg15.execute("DROP SCHEMA docrow CASCADE")
    for table, column, above in (("lines", "order_id", "orders"), ("parts", "line_id", "lines"), ("bits", "part_id", "parts")):
        pg15.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_fkey, ADD CONSTRAINT {table}_{column}_fkey"
            f" FOREIGN KEY ({column}) REFERENCES {above} ON DELETE {action}"
        )
    before = pg15.contents()
    mongo["orders"].delete_many({})
    mongo["orders"].insert_many([order(1, "new", [1], [2, 1]), order(3, "third", [1])])
    docrow.run(*APPEND, "--on-conflict", "replace", status=0)
    assert pg15.query(
        "SELECT what, (SELECT count(*) FROM parts WHERE line_id = l.id), (SELECT count(*) FROM bits b JOIN parts p ON p.id = part_id"
        " WHERE line_id = l.id) FROM lines l ORDER BY what"
    ) == [("new0", 1, 1), ("new1", 2, 3), ("other0", 2, 3), ("third0", 1, 1)]
    assert pg15.query("SELECT kind, table_name, count(*), count(doc_id_text) FROM docrow.finding GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("removed", "bits", 6, 6),  # one of the first part, one of the second, four below the third line
        ("removed", "lines", 1, 1),
        ("removed", "parts", 4, 4),  # the second of the first line, three of the third
        ("replaced", "bits", 2, 2),
        ("replaced", "lines", 2, 2),
        ("replaced", "orders", 1, 1),
        ("replaced", "parts", 2, 2),
    ]
    assert ledger(pg15, "replaced") == {("replaced", t): n for t, n in (("orders", 1), ("lines", 3), ("parts", 6), ("bits", 8))}
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--clean-only", status=0)
    assert pg15.contents() == before


def test_what_cannot_be_replaced_is_told_before(mongo, docrow, pg15):
    """A child table and the one above it that refer to each other."""
    mongo["orders"].insert_one({"_id": oid(1), "lines": [{"what": "new"}]})
    write(docrow, NESTED.replace("REFERENCE", 'references: { table: lines, if_orphan: "null" }').replace("CHILDREN", ""))
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    before = pg15.contents()
    pg15.execute("DROP SCHEMA docrow CASCADE")
    result = docrow.run(*APPEND, "--on-conflict", "replace", status=4)
    assert "rows of lines cannot replace those that are there: it and the table that it hangs on refer to each other" in result.stderr
    assert pg15.contents() == before
    docrow.run(*APPEND, "--on-conflict", "skip", status=0)
    assert pg15.contents() == before


def test_a_pair_that_an_index_minds_comes_back(mongo, docrow, pg15):
    """A row of a many-to-many table that another unique index has already: a reject, which retry loads once there is room."""
    mongo["posts"].insert_many({"_id": oid(n), "tags": [oid(100 + n)]} for n in range(3))
    mongo["tags"].insert_many({"_id": oid(100 + n)} for n in range(4))
    write(docrow, PAIRS)
    pg15.execute(
        "CREATE TABLE posts (id uuid PRIMARY KEY); CREATE TABLE tags (id uuid PRIMARY KEY);"
        "CREATE TABLE posts_tags (post uuid REFERENCES posts, tag uuid REFERENCES tags, PRIMARY KEY (post, tag), UNIQUE (post))"
    )
    pg15.execute("INSERT INTO posts VALUES (%s)", uuid_of(oid(1)))
    pg15.execute("INSERT INTO tags VALUES (%s)", uuid_of(oid(103)))
    pg15.execute("INSERT INTO posts_tags VALUES (%s, %s)", uuid_of(oid(1)), uuid_of(oid(103)))
    docrow.run(*APPEND, "--on-conflict", "skip", status=1)
    assert pg15.query("SELECT table_name, fault FROM docrow.reject") == [("posts_tags", "exists")]
    assert "checks hold" in docrow.run("retry", status=1).stdout  # there is none yet
    pg15.execute("DELETE FROM posts_tags WHERE tag = %s", uuid_of(oid(103)))
    assert "checks hold" in docrow.run("retry", status=0).stdout
    assert pg15.one("SELECT tag FROM posts_tags WHERE post = %s", uuid_of(oid(1))).hex == uuid_of(oid(101))
    assert ledger(pg15, "retried_row") == {("retried_row", "posts_tags"): 1}
    docrow.run("validate", "--full", status=0)
