"""Types that a mapping makes itself: domains, arrays of domains, columns that the server generates."""

import bson
import pytest

MAPPING = """
docrow: 1
enums:
  - { name: mood, labels: [sad, ok] }
domains:
  - { name: email, type: varchar(30), check: "VALUE LIKE '%@%'" }
  - { name: work_email, type: email, check: "VALUE LIKE '%@example.com'", not_null: true }
  - { name: price, type: "numeric(6,2)", not_null: true }
  - { name: tags, type: "text[]", check: "cardinality(VALUE) <= 3" }
  - { name: good_mood, type: mood, check: "VALUE <> 'sad'" }
collections:
  - collection: people
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer, not_null: true }
      - { name: mail, type: email }
      - { name: work, type: work_email }
      - { name: prices, type: "price[]" }
      - { name: grid, type: "price[][]" }
      - { name: tags, type: tags, if_invalid: "null" }
      - { name: mood, type: good_mood, fold_case: true }
      - { name: about, type: text }
      - { name: words, type: tsvector, generated: "to_tsvector('simple', coalesce(about, ''))" }
      - { name: loud, type: text, not_null: true, generated: "upper(coalesce(about, ''))" }
    indexes:
      - { columns: [words], method: gin, name: people_words_idx }
"""


def person(n, **fields):
    return {"_id": bson.ObjectId(f"{n:024x}"), "n": n, "work": f"p{n}@example.com", **fields}


PEOPLE = [
    person(1, mail="a@b", prices=[1, 2.5, bson.Decimal128("3.10")], grid=[[1, 2], [3, 4]], tags=["x", "y"], mood="OK", about="Red Fox"),
    person(2, mail=None, prices=[], tags=[]),
    # not what the type below the domain takes: found before it is sent
    person(3, mail="x" * 31),
    person(4, prices=[1, None]),
    person(5, prices=[1.005]),
    person(6, tags="x"),
    person(7, mood="angry"),
    {"_id": bson.ObjectId(f"{8:024x}"), "n": 8, "work": None},
    # what only the domain's CHECK refuses
    person(9, mail="nobody"),
    person(10, tags=list("abcd")),
    person(11, mood="sad"),
    {"_id": bson.ObjectId(f"{12:024x}"), "n": 12, "work": "p12@elsewhere.org"},
    person(13, about="blue fish"),
]
FAULTS = {3: "too_long", 4: "element_null", 5: "inexact", 7: "label", 8: "null", 9: "refused", 10: "refused", 11: "refused", 12: "refused"}


@pytest.mark.parametrize("version", ["pg15", "pg16", "pg18"])
def test_domains_and_generated_columns(version, request, mongo, make_docrow):
    pg = request.getfixturevalue(version)
    docrow = make_docrow(mongo, pg)
    (docrow.folder / "m.yaml").write_text(MAPPING)
    mongo["people"].insert_many(PEOPLE)
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    rejects = {
        int(str(bson.decode(bytes(i))["_id"]), 16): fault
        for i, fault in pg.query("SELECT doc_id, fault FROM docrow.reject")
    }
    assert rejects == FAULTS
    assert [n for (n,) in pg.query("SELECT n FROM people ORDER BY n")] == [1, 2, 6, 13]
    assert pg.query("SELECT mail, prices::text, grid::text, tags::text, mood::text, loud FROM people ORDER BY n LIMIT 2") == [
        ("a@b", "{1.00,2.50,3.10}", "{{1.00,2.00},{3.00,4.00}}", "{x,y}", "ok", "RED FOX"),
        (None, "{}", None, "{}", None, ""),
    ]
    assert pg.query("SELECT n FROM people WHERE words @@ to_tsquery('simple', 'fox | fish') ORDER BY n") == [(1,), (13,)]
    domains = pg.query(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " WHERE attrelid = 'people'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert dict(domains)["prices"] == "price[]" and dict(domains)["work"] == "work_email"
    # the domains go with what the run made
    docrow.run("migrate", "--mapping", "./m.yaml", "--clean", status=1)
    assert pg.one("SELECT count(*) FROM people") == 4
    assert pg.one("SELECT count(*) FROM pg_type WHERE typtype = 'd' AND typnamespace = 'public'::regnamespace") == 5


def test_a_literal_that_is_no_value_stops_before_anything_is_made(mongo, pg15, make_docrow):
    docrow = make_docrow(mongo, pg15)
    mongo["things"].insert_one({"_id": bson.ObjectId()})
    (docrow.folder / "m.yaml").write_text(
        "docrow: 1\ncollections:\n  - collection: things\n    columns:\n"
        "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
        '      - { name: pause, type: interval, accept: [iso-string], if_missing: "two days" }\n'
        '      - { name: day, type: date, if_null: "2026-02-28T10:00Z" }\n'
    )
    for command in (["migrate", "--mapping"], ["mapping", "check"]):
        told = docrow.run(*command, "./m.yaml", status=2)
        text = told.stdout + told.stderr
        assert 'm.yaml:6:9: if_missing: "two days" is no value of column "pause" of type interval' in text
        assert 'm.yaml:7:9: if_null: "2026-02-28T10:00Z" is no value of column "day" of type date' in text
    assert pg15.one("SELECT count(*) FROM pg_namespace WHERE nspname = 'docrow'") == 0
    assert pg15.tables() == []


def test_check_warns_of_types_that_hold_less(mongo, pg15, make_docrow):
    docrow = make_docrow(mongo, pg15)
    (docrow.folder / "m.yaml").write_text(
        "docrow: 1\ncollections:\n  - collection: things\n    columns:\n"
        "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
        "      - { name: share, type: real }\n"
        "      - { name: at, type: timestamptz(0) }\n"
        "      - { name: clock, type: time }\n"
        "      - { name: fine, type: double precision }\n"
    )
    lines = docrow.run("mapping", "check", "./m.yaml", status=0).stdout.splitlines()
    places = [line.split(" warning: ")[0].rpartition("yaml:")[2] for line in lines[:-1]]
    assert places == ["6:30:", "7:27:", "8:30:"]
    assert "real" in lines[0] and "timestamptz(3)" in lines[1] and "iso-string" in lines[2]
    assert lines[-1].endswith("no errors, 3 warnings")


# Keys that are the _id itself: values that differ to MongoDB and are one to the column's type, or cannot be told apart in it.
NATIVE = {
    "citext": (["a", "A", "b"], ["a"]),  # the lowest key stays, the other is a duplicate
    "char(3)": (["a", "a ", "a  ", "b"], []),
    "varchar(3)": (["a", "a ", "A"], []),
    "jsonb": ([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": "1"}], ["same"]),
    "real": ([0.5, 0.1, 16777217], []),
    "numeric": ([bson.Decimal128("0.1"), 0.1, 1], ["0.1"]),
    "date": ([bson.DatetimeMS(0), bson.DatetimeMS(1)], []),
    "text": (["507f1f77bcf86cd799439011", bson.ObjectId("507f1f77bcf86cd799439011"), "x\0"], ["hex"]),
    "bytea": ([bson.Binary(b"a", 0), bson.Binary(b"a", 5), bson.Binary(b"", 0)], ["subtype"]),
}
LOST = {"char(3)": 2, "real": 2, "date": 1, "text": 1}  # refused before they are sent


def test_different_ids_never_share_a_row(mongo, pg15, make_docrow):
    """documents = rows + rejects, whatever the key's type holds equal."""
    with pg15.admin() as admin:
        admin.execute("CREATE EXTENSION citext")
    docrow = make_docrow(mongo, pg15)
    lines = ["docrow: 1", "collections:"]
    for i, (kind, (values, _)) in enumerate(NATIVE.items()):
        lines += [
            f"  - collection: c{i}",
            "    id: native",
            "    columns:",
            f"      - {{ name: id, from: _id, type: \"{kind}\", primary_key: true }}",
            "      - { name: n, type: integer }",
        ]
        mongo[f"c{i}"].insert_many({"_id": value, "n": n} for n, value in enumerate(values))
    (docrow.folder / "m.yaml").write_text("\n".join(lines) + "\n")
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    for i, (kind, (values, duplicates)) in enumerate(NATIVE.items()):
        faults = [f for (f,) in pg15.query("SELECT fault FROM docrow.reject WHERE collection = %s", f"c{i}")]
        rows = pg15.one(f"SELECT count(*) FROM c{i}")
        assert rows + len(faults) == len(values), (kind, rows, faults)
        assert faults.count("duplicate") == len(duplicates), (kind, faults)
        assert len(faults) - faults.count("duplicate") == LOST.get(kind, 0), (kind, faults)


# --- PostgreSQL's limits for a table ---


def wide(columns, kind, more=""):
    lines = [f"      - {{ name: c{n}, type: {kind}{more} }}" for n in range(columns)]
    return "\n".join(["docrow: 1", "collections:", "  - collection: wide", "    id: native", "    columns:",
                      "      - { name: id, from: _id, type: bigint, primary_key: true }", *lines, ""])


def test_rows_and_tables_as_large_as_postgresql_takes(mongo, docrow, pg15):
    """8,160 bytes and 1,600 columns go in; one more is told beforehand, and the server refuses it, too."""
    mapping = docrow.folder / "m.yaml"
    mongo["wide"].insert_one({"_id": 1} | {f"c{n}": n for n in range(1599)})
    mapping.write_text(wide(1016, "bigint", ", not_null: true"))
    assert "warning" not in docrow.run("mapping", "check", mapping, status=0).stdout
    docrow.run("migrate", "--mapping", mapping, "--clean", status={0, 1})
    assert pg15.one("SELECT count(*) FROM wide") == 1

    mapping.write_text(wide(1017, "bigint", ", not_null: true"))
    said = docrow.run("mapping", "check", mapping, status=2).stdout
    assert 'a row of table "wide" has 8168 bytes at least in its columns that take no NULL, PostgreSQL takes 8160' in said

    mapping.write_text(wide(1017, "bigint"))
    said = docrow.run("check", "--mapping", mapping, "--target", pg15.uri, status=1).stdout
    assert 'a row of table "wide" with a value in every column has 8168 bytes at least' in said
    docrow.run("migrate", "--mapping", mapping, "--clean", status=1)
    assert pg15.query("SELECT fault, sqlstate FROM docrow.reject") == [("refused", "54000")]

    mapping.write_text(wide(1599, "smallint"))
    docrow.run("mapping", "check", mapping, status=0)
    docrow.run("migrate", "--mapping", mapping, "--clean", status={0, 1})
    assert pg15.one("SELECT count(*) FROM wide") == 1
    mapping.write_text(wide(1600, "smallint"))
    assert 'table "wide" has 1601 columns, PostgreSQL takes 1600' in docrow.run("mapping", "check", mapping, status=2).stdout
