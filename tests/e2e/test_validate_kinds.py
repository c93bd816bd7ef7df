"""docrow validate knows what a run may be: retried, made of parts of collections, into tables that were there already,
into tables without a key. Each passes undamaged, and damage of its own kind is found."""

import datetime
import json

import bson
import pytest

from lib import deployed, nextcrm_dirt, nextcrm_sample, program
from test_retry import KEY, PARENTS, oid, states

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


def fill_parents(mongo):
    users = [
        {"_id": oid(n), "age": n if n % 3 else str(n), "email": f"u{n}", "watching": [oid(100 + n), str(oid(101))]}
        for n in range(1, 20)
    ]
    users[4].pop("age")
    boards = [
        {
            "_id": oid(100 + n),
            "owner": oid(n),
            "second": oid((n * 7) % 20 + 1),
            "notes": [{"stars": 1}, {"stars": "2"}, {"stars": 3}],
            "watchers": [oid(n), oid(n + 1), str(oid(3)), None],
        }
        for n in range(1, 20)
    ]
    mongo["users"].insert_many(users)
    mongo["boards"].insert_many(boards)


BROKEN = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE="", OWNER="reject", STARS="", ACCEPT="")
AGE = ", accept: [numeric-string], if_missing: '0'"
HALF = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE=AGE.replace(", if_missing: '0'", ""), OWNER="reject", STARS="", ACCEPT="")
WHOLE = "docrow: 1\n" + PARENTS.format(KEY=KEY, AGE=AGE, OWNER="reject", STARS=", accept: [numeric-string]", ACCEPT=", accept: [hex-id]")


def test_after_retry(mongo, docrow, pg15):
    fill_parents(mongo)
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


# --- tables without a primary key ---


def test_keyless(mongo, docrow, pg15):
    """Compared by the column that holds _id; without one they can only be counted, which is no proof."""
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
    assert found(validate(docrow, status=1)[1]) == {("not_compared", "logs", None)}


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
