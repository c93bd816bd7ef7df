"""Parts of collections: where, several entries of one collection, constants, several collections in one table; from a
live server and from a dump."""

import datetime
import subprocess

import bson
import bson.json_util
import pytest

from lib.ids import oid

KEY = "{ name: id, from: _id, type: uuid, primary_key: true }"

EVENTS = f"""docrow: 1
collections:
  - collection: events
    table: clicks
    where: {{ type: click, at: {{ $gte: {{ $date: 2024-01-01T00:00:00Z }} }} }}
    columns:
      - {KEY}
      - {{ name: x, type: integer }}
  - collection: events
    table: views
    where: {{ type: {{ $in: [view, peek] }} }}
    columns:
      - {KEY}
      - {{ name: type, type: jsonb }}
    children:
      - {{ from: tags, table: view_tags, parent: view_id, ordinal: n, columns: [{{ name: tag, from: ., type: text }}] }}
  - collection: plain
    columns: [{KEY}]
"""


def events():
    old, new = datetime.datetime(2023, 5, 1), datetime.datetime(2024, 5, 1)
    made = [{"_id": oid(n), "type": "click", "at": new, "x": n} for n in range(1, 41)]
    made += [{"_id": oid(n), "type": "click", "at": old} for n in range(41, 51)]
    made += [{"_id": oid(n), "type": "view", "tags": ["a", "b"]} for n in range(51, 71)]
    made += [{"_id": oid(n), "type": ["peek", "other"]} for n in range(71, 76)]
    made += [{"_id": bson.MaxKey(), "type": "view"}, {"_id": bson.MinKey(), "type": "peek"}, {"_id": "text", "type": "view"}]
    made += [{"_id": oid(90), "type": None}, {"_id": oid(91)}]
    return made


def ledger(pg):
    return {(k, o, p): n for k, o, p, n in pg.query("SELECT kind, object, path, n::int FROM docrow.ledger")}


def dump(folder, documents):
    (folder / "shop").mkdir(parents=True)
    for name, list_of_them in documents.items():
        (folder / "shop" / f"{name}.bson").write_bytes(b"".join(bson.encode(d) for d in list_of_them))
    return folder


@pytest.fixture(params=["live", "dump.gz", "json"])
def source(request, mongo, tmp_path):
    """source({collection: documents}) → what --source takes"""

    def put(documents):
        if request.param == "live":
            for name, list_of_them in documents.items():
                mongo[name].insert_many(list_of_them)
            return mongo.uri
        if request.param == "json":
            (tmp_path / "export").mkdir()
            for name, list_of_them in documents.items():
                lines = [bson.json_util.dumps(d, json_options=bson.json_util.CANONICAL_JSON_OPTIONS) for d in list_of_them]
                (tmp_path / "export" / f"{name}.json").write_text("\n".join(lines) + "\n")
            return str(tmp_path / "export")
        folder = dump(tmp_path / "dump", documents)
        if request.param == "dump.gz":
            subprocess.run(["gzip", *(str(f) for f in (folder / "shop").iterdir())], check=True)
        return str(folder)

    return put


def test_entries_of_one_collection(source, docrow, pg15):
    (docrow.folder / "m.yaml").write_text(EVENTS)
    where = source({"events": events(), "plain": [{"_id": oid(1)}]})
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--source", where, "--batch-size", "7", status=0)
    assert pg15.one("SELECT count(*) FROM clicks") == 40
    assert pg15.one("SELECT count(*) FROM views") == 28
    assert pg15.one("SELECT count(*) FROM view_tags") == 40
    counts = ledger(pg15)
    assert counts["read", "events/clicks", ""] == counts["source", "events/clicks", ""] == 40
    assert counts["read", "events/views", ""] == counts["source", "events/views", ""] == 28
    assert counts["whole", "events", ""] == 80 and counts["left_out", "events", ""] == 12
    assert ("shared", "events", "") not in counts and ("whole", "plain", "") not in counts
    lines = result.stdout.splitlines()
    title = lines.index("Collections taken in parts")
    assert lines[title + 2].split() == ["events", "80", "68", "12", "-"]
    assert pg15.query("SELECT status FROM docrow.run") == [("done",)]
    assert "DR-" not in docrow.run("validate", "--source", where, status=0).stderr


def test_synth_makes_whole_collections(docrow, tmp_path):
    (docrow.folder / "m.yaml").write_text(EVENTS)
    result = docrow.run("synth", "--mapping", "./m.yaml", "--to", tmp_path / "out", status=2)
    assert "DR-2105" in result.stderr and "events/clicks" in result.stderr


def test_overlap_and_everything(source, docrow, pg15):
    """A document that two entries take is read by both, and told; {} takes all."""
    (docrow.folder / "m.yaml").write_text(f"""docrow: 1
collections:
  - {{ collection: people, table: a, where: {{}}, columns: [{KEY}] }}
  - {{ collection: people, table: b, where: {{ n: {{ $gt: 5 }} }}, columns: [{KEY}, {{ from: n, type: integer }}] }}
  - {{ collection: people, name: late, table: c, where: {{ n: {{ $gt: 8 }} }}, columns: [{KEY}] }}
""")
    where = source({"people": [{"_id": oid(n), "n": n} for n in range(1, 11)]})
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--source", where, status=0)
    counts = ledger(pg15)
    assert counts["whole", "people", ""] == 10 and counts["shared", "people", ""] == 7
    assert ("left_out", "people", "") not in counts
    assert [counts["read", name, ""] for name in ("people/a", "people/b", "late")] == [10, 5, 2]
    assert pg15.query("SELECT n FROM b ORDER BY n") == [(n,) for n in range(6, 11)]
    assert "people" in result.stdout.split("Collections taken in parts")[1]
    # An entry is chosen by its name, all of them by the collection's.
    docrow.run("migrate", "--clean", "--mapping", "./m.yaml", "--source", where, "--only", "late", status=0)
    assert pg15.tables() == ["c"] and ledger(pg15)["left_out", "people", ""] == 8
    docrow.run("migrate", "--clean", "--mapping", "./m.yaml", "--source", where, "--skip", "people/*", status=0)
    assert pg15.tables() == ["c"]
    docrow.run("migrate", "--clean", "--mapping", "./m.yaml", "--source", where, "--only", "people", status=0)
    assert pg15.tables() == ["a", "b", "c"]


PEOPLE = f"""docrow: 1
enums: [{{ name: kind, labels: [CUSTOMER, STAFF] }}]
collections:
  - collection: customers
    table: people
    columns: [{KEY}, {{ name: kind, type: kind, value: CUSTOMER }}, {{ name: mail, type: text }},
              {{ name: boss, type: uuid, references: {{ table: people, if_orphan: "null" }} }},
              {{ name: firm, type: uuid, references: firms }}]
    indexes: [{{ columns: [mail], unique: true }}]
  - collection: staff
    table: people
    columns: [{KEY}, {{ name: kind, type: kind, value: STAFF }}, {{ name: mail, from: email, type: text }},
              {{ name: boss, type: uuid, references: {{ table: people, if_orphan: "null" }} }},
              {{ name: firm, type: uuid, references: firms }}]
  - {{ collection: firms, columns: [{KEY}] }}
"""


def test_several_collections_one_table(source, docrow, pg15):
    (docrow.folder / "m.yaml").write_text(PEOPLE)
    where = source(
        {
            "customers": [
                {"_id": oid(1), "mail": "a"},
                {"_id": oid(2), "mail": "b", "boss": oid(99)},
                {"_id": oid(3), "mail": "c", "firm": oid(98)},
                {"_id": oid(4), "mail": "d"},
                {"_id": oid(5), "mail": 5},
            ],
            "staff": [
                {"_id": oid(4), "email": "e", "firm": oid(98)},  # the key of a customer
                {"_id": oid(6), "email": "a"},  # the mail of a customer
                {"_id": oid(7), "email": "f", "boss": oid(97)},
                {"_id": oid(8), "email": "g", "firm": oid(96)},
                {"_id": oid(9), "email": "h", "firm": oid(50), "boss": oid(1)},
            ],
            "firms": [{"_id": oid(50)}],
        }
    )
    docrow.run("migrate", "--mapping", "./m.yaml", "--source", where, "--batch-size", "2", status=1)
    rows = pg15.query("SELECT docrow.uuid_to_objectid(id), kind::text, mail, boss IS NULL FROM people ORDER BY id")
    assert rows == [
        (str(oid(1)), "CUSTOMER", "a", True),
        (str(oid(2)), "CUSTOMER", "b", True),
        (str(oid(4)), "CUSTOMER", "d", True),
        (str(oid(7)), "STAFF", "f", True),
        (str(oid(9)), "STAFF", "h", False),
    ]
    rejects = pg15.query("SELECT collection, fault, doc_id, document FROM docrow.reject")
    found = {(c, f, bson.decode(i)["_id"]) for c, f, i, _ in rejects}
    assert found == {
        ("customers", "type", oid(5)),
        ("staff", "duplicate", oid(4)),
        ("staff", "duplicate", oid(6)),
        ("customers", "orphan", oid(3)),
        ("staff", "orphan", oid(8)),
    }
    assert {bson.decode(d)["_id"] for _, _, _, d in rejects} == {i for _, _, i in found}  # kept whole
    findings = pg15.query("SELECT collection, kind, doc_id FROM docrow.finding")
    assert {(c, k, bson.decode(i)["_id"]) for c, k, i in findings} == {
        ("customers", "orphan_null", oid(2)),
        ("staff", "orphan_null", oid(7)),
    }


def test_what_the_source_does_not_know(docrow, mongo, pg15, tmp_path):
    mapping = docrow.folder / "m.yaml"
    text = f"docrow: 1\ncollections:\n  - {{ collection: t, where: %s, columns: [{KEY}] }}\n"
    mongo["t"].insert_many([{"_id": oid(n), "n": n, "name": f"n{n}"} for n in range(1, 5)])
    folder = dump(tmp_path / "dump", {"t": []})
    # A live server takes all that its find takes ...
    mapping.write_text(text % '{ name: { $regex: "^n[12]$" }, $expr: { $lt: [$n, 3] } }')
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    assert pg15.one("SELECT count(*) FROM t") == 2
    docrow.run("migrate", "--clean-only", status=0)
    # ... a dump names what it does not know; either says so before anything is made.
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--source", folder, status=2)
    assert "DR-2105" in result.stderr and "$regex" in result.stderr and "hint" in result.stderr
    mapping.write_text(text % "{ n: { $gtt: 3 } }")
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=2)
    assert "DR-2105" in result.stderr and "$gtt" in result.stderr
    result = docrow.run("migrate", "--mapping", "./m.yaml", "--source", folder, status=2)
    assert "DR-2105" in result.stderr and "$gtt" in result.stderr
    mapping.write_text(text % '{ $text: { $search: "x" } }')
    assert "DR-2105" in docrow.run("migrate", "--mapping", "./m.yaml", status=2).stderr
    assert pg15.tables() == []
