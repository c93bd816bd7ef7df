"""docrow validate knows what a run may be: retried, made of parts of collections, into tables that were there already,
into tables without a key. Each passes undamaged, and damage of its own kind is found."""

import datetime
import json
import uuid

import bson
import pytest

from lib import databases, deployed, nextcrm_dirt, nextcrm_sample, program
from test_retry import KEY, PARENTS, oid, parents, states

NEXTCRM = program.ROOT / "mappings" / "nextcrm.yaml"


def validate(docrow, *options, status=0):
    result = docrow.run("validate", "--full", *options, status=status)
    report = json.loads((docrow.folder / "migration-validation-report.json").read_text())
    return result, report


def found(report):
    return {(f["kind"], f["table"], f.get("column") or f.get("object")) for f in report["findings"]}


def write(docrow, **mappings):
    for name, text in mappings.items():
        (docrow.folder / f"{name}.yaml").write_text(text)


# --- after docrow retry ---


BROKEN = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE="", OWNER="reject", STARS="", ACCEPT="")
AGE = ", accept: [numeric-string], if_missing: '0'"
HALF = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE=AGE.replace(", if_missing: '0'", ""), OWNER="reject", STARS="", ACCEPT="")
WHOLE = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE=AGE, OWNER="reject", STARS=", accept: [numeric-string]", ACCEPT=", accept: [hex-id]")


def test_after_retry(mongo, docrow, pg15):
    for name, documents in parents().items():
        mongo[name].insert_many(documents)
    write(docrow, broken=BROKEN, half=HALF, whole=WHOLE)
    docrow.run("migrate", "--mapping", "./broken.yaml", status=1)
    validate(docrow)
    docrow.run("retry", "--mapping", "./half.yaml", status=1)
    assert states(pg15)["retried"] > 5 and states(pg15)["open"] > 19
    result, report = validate(docrow)
    assert report["mapping"] == "half" and "another version" not in result.stdout
    docrow.run("retry", "--mapping", "./whole.yaml", status=1)
    assert states(pg15)["open"] == 19  # lists hold null
    result, report = validate(docrow)
    assert report["mapping"] == "whole" and sum(t["explained"] for t in report["tables"]) < 60
    # what was given back is no longer explained
    again = "SELECT doc_id_text FROM docrow.finding WHERE state = 'restored' AND kind = 'orphan_null' LIMIT 1"
    given_back = json.loads(pg15.one(again))["$oid"]
    pg15.execute(f"UPDATE boards SET second = NULL WHERE id = docrow.objectid_to_uuid('{given_back}')")
    assert ("nulled", "boards", "second") in found(validate(docrow, status=1)[1])
    pg15.execute("DELETE FROM watchers; DELETE FROM boards; DELETE FROM users WHERE email = 'u3'")
    _, report = validate(docrow, "--mapping", "./broken.yaml", status=1)
    assert "another version of the mapping" in " ".join(report["notes"])
    assert ("missing_row", "users", None) in found(report)


# --- parts of collections ---

PARTS = f"""docrow: 1
target: {{ names: snake_case }}
enums: [{{ name: kind, labels: [CUSTOMER, STAFF] }}]
collections:
  - collection: people
    table: customers
    where: {{ type: customer }}
    unmapped: {{ keep: rest }}
    columns:
      - {KEY}
      - {{ name: kind, type: kind, value: CUSTOMER }}
      - {{ name: since, type: timestamp(3), value: "2024-01-02T03:04:05Z" }}
      - {{ name: level, type: "numeric(6,2)", value: "1.50" }}
      - {{ name: tags, type: "text[]", value: "{{a,b}}" }}
      - {{ from: firstName, type: text }}
    children:
      - from: orderLines
        table: order_lines
        parent: person
        ordinal: n
        unmapped: {{ keep: rest }}
        columns: [{{ from: productCode, type: text }}, {{ name: unit, type: text, value: piece }}]
  - collection: people
    table: staff
    where: {{ type: {{ $in: [staff, boss] }} }}
    columns: [{KEY}, {{ name: kind, type: kind, value: STAFF }}, {{ name: first_name, from: firstName, type: text }}]
  - collection: others
    table: staff
    columns: [{KEY}, {{ name: kind, type: kind, value: CUSTOMER }}, {{ name: first_name, from: label, type: text }}]
"""


def test_parts_and_constants(mongo, docrow, pg15):
    mongo["people"].insert_many(
        {
            "_id": oid(n),
            "type": ("customer", "staff", "boss", "guest")[n % 4],
            "firstName": f"n{n}",
            "more": {"n": n},
            "orderLines": [{"productCode": f"p{i}", "note": i} for i in range(n % 3)],
        }
        for n in range(1, 41)
    )
    mongo["others"].insert_many({"_id": oid(n), "label": f"o{n}"} for n in [*range(100, 110), 1])
    write(docrow, m=PARTS)
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)  # staff has the key 1 twice
    _, report = validate(docrow)
    rows = {t["table"]: (t["compared"], t["rows"]) for t in report["tables"]}
    assert rows["customers"] == (10, 10) and rows["staff"] == (30, 30) and rows["order_lines"] == (10, 10), rows
    lines = "UPDATE order_lines SET"
    damage = [
        ("UPDATE customers SET kind = 'STAFF' WHERE first_name = 'n4'", ("value", "customers", "kind")),
        ("UPDATE customers SET since = since + interval '1 ms' WHERE first_name = 'n4'", ("value", "customers", "since")),
        ("UPDATE customers SET level = 1.51 WHERE first_name = 'n4'", ("value", "customers", "level")),
        ("UPDATE customers SET tags = '{a}' WHERE first_name = 'n4'", ("value", "customers", "tags")),
        ("UPDATE customers SET rest = rest - 'more' WHERE first_name = 'n4'", ("value", "customers", "rest")),
        (f"{lines} unit = 'pair' WHERE n = 0", ("value", "order_lines", "unit")),
        (f"{lines} unit = NULL WHERE n = 1", ("nulled", "order_lines", "unit")),
        (f"{lines} rest = NULL WHERE n = 0", ("nulled", "order_lines", "rest")),
        ("UPDATE staff SET kind = 'STAFF' WHERE first_name = 'o105'", ("value", "staff", "kind")),
        ("DELETE FROM staff WHERE first_name = 'n1'", ("missing_row", "staff", None)),
    ]
    pg15.execute(";".join(sql for sql, _ in damage))
    _, report = validate(docrow, status=1)
    assert {want for _, want in damage} <= found(report), found(report)
    assert not any(f.get("drift") for f in report["findings"])


def test_drift_in_parts(mongo, docrow, pg15):
    mongo["people"].insert_many({"_id": oid(n), "type": "customer", "firstName": f"n{n}"} for n in range(1, 9))
    mongo["people"].insert_one({"_id": oid(20), "type": "boss"})
    mongo["others"].insert_one({"_id": oid(100), "label": "o"})
    write(docrow, m=PARTS)
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    mongo["people"].update_one({"_id": oid(1)}, {"$set": {"firstName": "x"}})
    mongo["people"].update_one({"_id": oid(2)}, {"$set": {"type": "boss"}})  # from one part into the other
    mongo["people"].insert_one({"_id": oid(9), "type": "customer"})
    _, report = validate(docrow, "--allow-drift", status=0)
    assert report["drift"] >= 4 and report["changed_documents"] == 3, report


# --- tables that were there already ---


def deployed_nextcrm(mongo, docrow, pg, wide):
    sample = nextcrm_sample.make(400, seed=5, dirt=0.03)
    nextcrm_dirt.spoil(sample, seed=5)
    sample.insert(mongo.db)
    deployed.nextcrm(pg, task_nullable=True, wide=wide)
    pg.execute('ALTER TABLE "Users" ADD COLUMN mood text DEFAULT \'x\'; CREATE INDEX only_here ON "Users" (lower(name)) WHERE mood IS NULL')
    docrow.run("migrate", "--mapping", NEXTCRM, "--max-rejects", "1000", status=1)


@pytest.mark.parametrize("wide", [False, pytest.param(True, marks=pytest.mark.plain_only)])
def test_existing_tables(wide, mongo, docrow, pg15):
    deployed_nextcrm(mongo, docrow, pg15, wide)
    _, report = validate(docrow)
    assert report["findings"] == [] and sum(t["compared"] for t in report["tables"]) > 250
    taken = pg15.query("SELECT object, table_name FROM docrow.ddl WHERE kind = 'index' AND table_name IN ('crm_Accounts', 'Boards') ORDER BY id LIMIT 2")
    (gone, _), (other, of_other) = taken
    unique = pg15.one("SELECT object FROM docrow.ddl WHERE kind = 'unique'")
    key, of_key = pg15.query("SELECT object, table_name FROM docrow.ddl WHERE kind = 'foreign key' ORDER BY id LIMIT 1")[0]
    pg15.execute(
        f'DROP INDEX "{gone}"; DROP INDEX only_here; CREATE INDEX only_here ON "Users" (upper(name)) WHERE mood IS NULL;'
        f'DROP INDEX "{other}"; CREATE INDEX "{other}" ON "{of_other}" (id); DROP INDEX "{unique}";'
        f'ALTER TABLE "{of_key}" DROP CONSTRAINT "{key}"'
    )
    _, report = validate(docrow, status=1)
    objects = {(f["kind"], f.get("object")) for f in report["findings"]}
    assert objects == {
        ("index_missing", gone),
        ("index_differs", "only_here"),
        ("index_differs", other),
        ("index_missing", unique),
        ("fkey_missing", key),
    }
    pg15.execute('ALTER TABLE "crm_Opportunities" DROP COLUMN budget')
    assert ("column_missing", "crm_Opportunities", "budget") in found(validate(docrow, status=1)[1])


WIDER = """
docrow: 1
collections:
  - collection: goods
    columns:
      - { name: id,    from: _id, type: uuid, primary_key: true }
      - { name: n,     type: integer }
      - { name: name,  type: varchar(10) }
      - { name: price, type: "numeric(8,2)" }
      - { name: at,    type: timestamp(3) }
      - { name: small, type: smallint }
"""
CHANGES = {
    "n": ("ALTER n TYPE bigint", "column_type"),
    "name": ("ALTER name TYPE varchar(20)", "column_type"),
    "price": ("ALTER price TYPE numeric(10,2)", "column_type"),
    "at": ("ALTER at TYPE timestamp(6)", "column_type"),
    "small": ("ALTER small TYPE bigint", "column_type"),
    "name ": ("ALTER name SET NOT NULL", "column_null"),
    "price ": ("ALTER price SET DEFAULT 0", "column_default"),
}


def test_columns_changed_after_the_run(mongo, docrow, pg15):
    """Wider than the mapping's when the run began is fine; made wider since is a finding, though every value is there."""
    when = datetime.datetime(2024, 1, 2, 3, 4, 5, 6000)
    mongo["goods"].insert_many(
        {"_id": oid(n), "n": n, "name": f"n{n}", "price": n / 4, "at": when, "small": n} for n in range(1, 9))
    write(docrow, goods=WIDER)
    pg15.execute("CREATE TABLE goods (id uuid PRIMARY KEY, n integer, name varchar(10), price numeric(8,2), at timestamp(3),"
                 " small integer, more text)")
    docrow.run("migrate", "--mapping", "./goods.yaml", status=0)
    assert validate(docrow)[1]["notes"] == []
    for column, (change, kind) in CHANGES.items():
        pg15.execute(f"ALTER TABLE goods {change}")
        assert (kind, "goods", column.strip()) in found(validate(docrow, status=1)[1]), change
    _, report = validate(docrow, "--layers", "schema", status=1)
    assert found(report) == {(kind, "goods", column.strip()) for column, (_, kind) in CHANGES.items()}
    assert {f["detail"] for f in report["findings"] if f["column"] == "n"} == {"it was integer when the run began, and is bigint"}
    pg15.execute("UPDATE docrow.ddl SET facts = NULL WHERE kind = 'table'")  # as an older docrow left it
    _, report = validate(docrow)
    assert "did not write down its tables' columns" in report["notes"][0]


def test_many_rows_between(mongo, docrow, pg15):
    """Rows are asked for by ranges of keys where few others stand between, else key by key: either way all are compared."""
    mongo["goods"].insert_many({"_id": oid(2 * n), "part": n % 3, "name": f"n{n}"} for n in range(3000))
    part = "  - { collection: goods, name: p%d, where: { part: %d }, table: goods, columns: [{ name: id, from: _id, type: uuid, primary_key: true }, { name: name, type: text }] }\n"
    write(docrow, goods="docrow: 1\ncollections:\n" + "".join(part % (n, n) for n in range(3)))
    docrow.run("migrate", "--mapping", "./goods.yaml", status=0)
    _, report = validate(docrow)
    assert compared(report) == {"goods": 3000} and report["findings"] == []
    pg15.execute("UPDATE goods SET name = 'x' WHERE name IN ('n5', 'n2999'); DELETE FROM goods WHERE name = 'n7'")
    assert found(validate(docrow, status=1)[1]) == {("value", "goods", "name"), ("missing_row", "goods", None)}
    write(docrow, goods="docrow: 1\ncollections:\n" + (part % (0, 0)).replace("where: { part: 0 }, ", ""))
    pg15.execute("TRUNCATE goods")
    docrow.run("migrate", "--clean", "--mapping", "./goods.yaml", status=0)
    # as many rows that no document explains, each between two that one does
    pg15.execute("INSERT INTO goods SELECT overlay(id::text PLACING '1' FROM 36)::uuid, 'more' FROM goods; UPDATE goods SET name = 'x' WHERE name = 'n1500'")
    _, report = validate(docrow, status=1)
    assert compared(report) == {"goods": 3000} and report["mismatched"] == 1
    (goods,) = report["tables"]
    assert goods["findings"] == {"extra_row": 3000, "value": 1}


# --- tables without a primary key ---


def test_keyless(mongo, docrow, pg15):
    """Compared by the column that holds _id; without one as multisets of rows."""
    mongo["logs"].insert_many({"_id": oid(n), "n": n} for n in range(1, 50))
    columns = "{ name: id, from: _id, type: uuid }, "
    text = "docrow: 1\ncollections: [{{ collection: logs, keyless: true, columns: [{}{{ from: n, type: integer }}] }}]\n"
    write(docrow, m=text.format(columns), n=text.format(""))
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    validate(docrow)
    pg15.execute("UPDATE logs SET n = 0 WHERE n = 7")
    assert found(validate(docrow, status=1)[1]) == {("value", "logs", "n")}
    pg15.execute("TRUNCATE logs")
    docrow.run("migrate", "--clean", "--mapping", "./n.yaml", status=0)
    assert compared(validate(docrow)[1]) == {"logs": 49}
    pg15.execute("UPDATE logs SET n = 0 WHERE n = 7")
    assert found(validate(docrow, status=1)[1]) == {("missing_row", "logs", None), ("extra_row", "logs", None)}


def compared(report):
    return {t["table"]: t["compared"] for t in report["tables"]}


KEYLESS = """
docrow: 1
enums: [{ name: level, labels: [LOW, HIGH] }]
collections:
  - collection: logs
    keyless: true
    unmapped: { keep: rest }
    columns:
      - { name: source, type: uuid, accept: [uuid-string], not_null: true, if_missing: 11111111-1111-1111-1111-111111111111 }
      - { name: at,     type: timestamp(3) }
      - { name: seen,   type: timestamptz, accept: [iso-string] }
      - { name: text,   type: text, if_missing: none }
      - { name: code,   type: varchar(8) }
      - { name: n,      type: integer, if_invalid: null }
      - { name: big,    type: bigint }
      - { name: ok,     type: boolean }
      - { name: day,    type: date }
      - { name: price,  type: "numeric(8,2)" }
      - { name: share,  type: double precision }
      - { name: level,  type: level }
      - { name: data,   type: jsonb }
      - { name: tags,   type: "text[]" }
      - { name: always, value: x, type: text }
      - { name: team,   type: bigint, references: { table: teams, if_orphan: "null" } }
  - collection: other
    table: logs2
    keyless: true
    columns: [{ name: data, type: jsonb }, { name: tags, type: "text[]" }]
  - collection: teams
    id: native
    columns: [{ name: id, from: _id, type: bigint, primary_key: true }]
    children:
      - { from: items, table: items, parent: team, columns: [{ name: label, type: text }, { name: data, type: jsonb }] }
"""


def log(n):
    doc = {
        "source": str(uuid.UUID(int=n // 3)),
        "at": datetime.datetime(2024, 1, 1, n % 24),
        "seen": f"2024-02-03T04:05:{n % 60:02d}Z",
        "text": f"text {n // 2}",
        "code": f"c{n % 5}",
        "n": n,
        "big": bson.Int64(2**40 + n),
        "ok": n % 2 == 0,
        "day": datetime.datetime(2020, 1, 1 + n % 28),
        "price": n / 4,
        "share": n / 7,
        "level": ["LOW", "HIGH"][n % 2],
        "data": {"a": n % 4, "b": [1, n]},
        "tags": [f"t{n}", None],
        "team": n % 3,
        "note": f"kept {n}",
    }
    for field in list(doc)[n % 17 : n % 17 + 1]:
        doc.pop(field)
    return doc


def fill_keyless(mongo):
    same = [dict(log(500)) for _ in range(3)]
    alike = [log(501) | {"data": {"only": n}} for n in range(4)]
    bad = [log(600) | {"n": "no number"}, log(601) | {"team": 99}, log(602) | {"price": 1.001}]
    mongo["logs"].insert_many([log(n) for n in range(200)] + same + alike + bad)
    mongo["other"].insert_many({"data": {"n": n}, "tags": ["x"] * (n % 3)} for n in range(300))
    items = [{"label": f"i{n % 2}", "data": {"n": n}} for n in range(6)] + [{"label": "same", "data": {}}] * 2
    mongo["teams"].insert_many({"_id": n, "items": items} for n in range(3))


ONE = "ctid = (SELECT ctid FROM logs WHERE n = 100)"
KEYLESS_DAMAGE = [
    ("row deleted", f"DELETE FROM logs WHERE {ONE}", {("missing_row", "logs")}),
    ("row duplicated", f"INSERT INTO logs SELECT * FROM logs WHERE {ONE}", {("duplicate_row", "logs")}),
    ("row added", "INSERT INTO logs (source, text) VALUES (gen_random_uuid(), 'new')", {("extra_row", "logs")}),
    ("one of three that are the same", "DELETE FROM logs WHERE ctid = (SELECT ctid FROM logs WHERE n = 500 LIMIT 1)", {("missing_row", "logs")}),
    ("a fourth that is the same", "INSERT INTO logs SELECT * FROM logs WHERE n = 500 LIMIT 1", {("duplicate_row", "logs")}),
    ("one of those that are alike", "UPDATE logs SET data = '{\"only\": 1}' WHERE data = '{\"only\": 2}'", {("value", "logs")}),
    ("two of three rows are one", "UPDATE logs SET data = '{\"b\": 1}' WHERE ctid = (SELECT ctid FROM logs WHERE n = 500 LIMIT 1)", {("value", "logs")}),
    ("deleted and another duplicated", f"DELETE FROM logs WHERE {ONE}; INSERT INTO logs SELECT * FROM logs WHERE n = 101",
     {("missing_row", "logs"), ("duplicate_row", "logs")}),
    ("reference set to NULL, not listed", "DELETE FROM docrow.finding WHERE kind = 'orphan_null'", {("nulled", "logs")}),
    ("replaced value taken off the list", "DELETE FROM docrow.finding WHERE kind = 'invalid_replaced'", {("unlisted", "logs")}),
    ("rejected document taken off the list", "DELETE FROM docrow.reject", {("missing_row", "logs"), ("misfit", "logs")}),
    ("two rows exchange a value", "UPDATE logs a SET data = b.data FROM logs b WHERE a.n IN (100, 104) AND b.n IN (100, 104) AND a.n <> b.n", {("value", "logs")}),
    ("nothing can be foretold: changed", "UPDATE logs2 SET data = '{\"n\": 5.0}' WHERE data = '{\"n\": 5}'", {("value", "logs2")}),
    ("nothing can be foretold: deleted", "DELETE FROM logs2 WHERE data = '{\"n\": 5}'", {("missing_row", "logs2")}),
    ("nothing can be foretold: duplicated", "INSERT INTO logs2 SELECT * FROM logs2 WHERE data = '{\"n\": 5}'", {("duplicate_row", "logs2")}),
    ("child row deleted", "DELETE FROM items WHERE team = 1 AND label = 'i1' AND data = '{\"n\": 1}'", {("missing_element", "items")}),
    ("child row duplicated", "INSERT INTO items SELECT * FROM items WHERE team = 1 AND data = '{\"n\": 1}'", {("extra_element", "items")}),
    ("child row changed", "UPDATE items SET label = 'x' WHERE team = 1 AND data = '{\"n\": 1}'", {("value", "items")}),
    ("child row of another parent", "UPDATE items SET team = 2 WHERE team = 1 AND data = '{\"n\": 1}'", {("missing_element", "items"), ("extra_element", "items")}),
    ("a field of a child row is another row's", "UPDATE items SET data = '{\"n\": 3}' WHERE team = 1 AND data = '{\"n\": 1}'", {("value", "items")}),
] + [
    (f"{column} changed", f"UPDATE logs SET {column} = {value} WHERE {ONE}", None)
    for column, value in {
        "source": "gen_random_uuid()", "at": "at + interval '1 ms'", "seen": "seen + interval '1 s'", "text": "text || ' '", "code": "'other'",
        "n": "n + 1", "big": "NULL", "ok": "NOT ok", "day": "day + 1", "price": "price + 0.01", "share": "share + 1e-12", "level": "'HIGH'",
        "data": "data || '{\"more\": null}'", "tags": "tags || 'x'::text", "always": "'y'", "team": "2", "rest": "'{}'",
    }.items()
]


@pytest.mark.plain_only
def test_keyless_damage(mongo, docrow, pg15):
    """Every kind of damage to tables that no key tells apart is found, and none where there is none."""
    fill_keyless(mongo)
    write(docrow, keyless=KEYLESS)
    docrow.run("migrate", "--mapping", "./keyless.yaml", status=1)
    _, report = validate(docrow)
    assert report["findings"] == [] and report["notes"] == []
    assert compared(report) == {"logs": 209, "logs2": 300, "teams": 3, "items": 24}
    validate(docrow, "--workers", "1")
    docrow.run("validate", "--sample", "10", status=0)

    def kinds(change):
        name = databases.fresh_name()
        pg15.forget()
        pg15.server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{pg15.name}" OWNER "{pg15.server.role}"')
        try:
            pg15.server.execute(change, name)
            _, report = validate(docrow, "--target", pg15.server.address(name), "--log-values", status={0, 1})
            return {(f["kind"], f["table"]) for f in report["findings"]}, report
        finally:
            pg15.server.drop_database(name)

    wrong = []
    for name, change, want in KEYLESS_DAMAGE:
        got, report = kinds(change)
        if want is None and (not got or not got <= {("value", "logs"), ("nulled", "logs"), ("not_null", "logs"), ("missing_row", "logs"), ("extra_row", "logs"), ("nulls", "logs")}):
            wrong.append((name, got))
        elif want is not None and not (got - {("nulls", "logs")} == want and len(report["findings"]) <= 3):
            wrong.append((name, got, len(report["findings"]), report["findings"][:4]))
    assert not wrong, "\n".join(str(w) for w in wrong)
    # later changes of the source are told apart by their number: nobody can say whose row it was
    mongo["logs"].update_one({"n": 100}, {"$set": {"big": 5}})
    mongo["logs"].delete_one({"n": 101})
    _, report = validate(docrow, status=1)
    assert report["findings_total"] == 0 and report["drift"] > 0


def test_references_that_are_listed_by_number(mongo, docrow, pg15):
    """One NULL is listed, nobody can say whose: no second one passes for it, whichever layers run."""
    fill_keyless(mongo)
    write(docrow, keyless=KEYLESS)
    docrow.run("migrate", "--mapping", "./keyless.yaml", status=1)
    validate(docrow, "--layers", "values")
    pg15.execute(f"UPDATE logs SET team = NULL WHERE {ONE}")
    for layers in ("values", "counts,values", "counts,values,references,types,schema"):
        _, report = validate(docrow, "--layers", layers, status=1)
        (finding,) = [f for f in report["findings"] if f["kind"] == "nulled"]
        assert (finding["table"], finding["column"]) == ("logs", "team")
        assert finding["detail"] == "2 references of documents are NULL, 1 of them are listed"


TWO_KEYS = """docrow: 1
collections:
  - collection: a
    table: t
    columns: [{ name: id, from: _id, type: uuid, primary_key: true }, { name: n, type: integer }]
    children:
      - { from: tags, table: tags, parent: t_id, ordinal: position, columns: [{ name: tag, from: ., type: text }] }
  - collection: b
    table: t
    columns: [{ name: id, from: key, type: uuid, accept: [uuid-string], primary_key: true }, { name: n, type: integer }]
"""


def test_one_table_of_two_kinds_of_keys(mongo, docrow, pg15):
    """_id is the key of one collection's rows, another field that of the other's."""
    mongo["a"].insert_many({"_id": oid(n), "n": n, "tags": ["x", f"y{n}"]} for n in range(1, 50))
    mongo["b"].insert_many({"_id": oid(n), "n": n, "key": str(uuid.UUID(int=n))} for n in range(1, 50))
    write(docrow, m=TWO_KEYS)
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    _, report = validate(docrow)
    assert report["findings"] == [] and compared(report) == {"t": 98, "tags": 98}
    docrow.run("validate", "--sample", "5", status=0)
    pg15.execute("UPDATE t SET n = 0 WHERE n = 7; UPDATE tags SET tag = 'other' WHERE tag = 'y5'; DELETE FROM tags WHERE tag = 'y7'")
    _, report = validate(docrow, status=1)
    assert found(report) == {("missing_row", "t", None), ("extra_row", "t", None), ("value", "tags", "tag"), ("missing_element", "tags", None)}


def test_too_many_rows_are_alike(mongo, docrow, pg15):
    """What cannot be compared is said with its reason, and fails."""
    mongo["other"].insert_many({"tags": [f"{n}"]} for n in range(5000))
    write(docrow, keyless="docrow: 1\ncollections: [{ collection: other, keyless: true, columns: [{ name: tags, type: 'text[]' }] }]\n")
    docrow.run("migrate", "--mapping", "./keyless.yaml", status=0)
    pg15.execute("CREATE TABLE turned AS SELECT * FROM other ORDER BY ctid DESC; TRUNCATE other; INSERT INTO other SELECT * FROM turned")
    _, report = validate(docrow, status=1)
    assert {f["kind"] for f in report["findings"]} == {"not_compared"}
    assert "5000 rows are alike in whatever can be foretold; the first 2000" in report["findings"][0]["detail"]


# --- rows that hang on keys of other types ---

HANGING = """docrow: 1
collections:
  - collection: things
    id: {rule}
    columns: [{{ name: id, from: _id, type: {type}, primary_key: true }}]
    children:
      - {{ from: tags, table: tags, parent: thing, ordinal: n, columns: [{{ name: tag, from: ., type: text }}] }}
"""
KEYS = {
    "jsonb": ("native", "jsonb", lambda n: {"x": n, "a": [1.0, "é\"\n"], "b": {}}),
    "text": ("native", "text", lambda n: f'k"{n}\\'),
    "bigint": ("native", "bigint", lambda n: n - 25),
    "numeric": ("native", "numeric", lambda n: n + 0.5),
}


@pytest.mark.parametrize("kind", KEYS)
def test_children_of_keys_of_any_type(kind, mongo, docrow, pg15):
    rule, sql, make = KEYS[kind]
    write(docrow, m=HANGING.format(rule=rule, type=sql))
    mongo["things"].insert_many([{"_id": make(n), "tags": ["a", f"b{n}"]} for n in range(50)])
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    validate(docrow)
    pg15.execute("UPDATE tags SET tag = 'other' WHERE tag = 'b5'; DELETE FROM tags WHERE tag = 'b7'")
    assert found(validate(docrow, status=1)[1]) == {("value", "tags", "tag"), ("missing_element", "tags", None)}
