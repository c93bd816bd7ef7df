"""Damage done after a good move: `docrow validate --full` must find each kind, in the layer that should, and nothing on
the undamaged move, which has rejects, defaults, dropped duplicates and policies of every kind in use.

Damage is done to copies of the target (CREATE DATABASE ... TEMPLATE), or to the source and taken back. Kinds that touch
different columns, or different tables, share a copy: each must have a finding of its own kind at its own place. The table
that is printed is the one in docs/validation.md.
"""

import concurrent.futures
import dataclasses
import json

import pytest

from lib import program, proof
from lib.databases import MongoDatabase, PostgresDatabase, fresh_name

U = "(SELECT id FROM users ORDER BY id OFFSET 1 LIMIT 1)"  # an undamaged user
U2 = "(SELECT id FROM users ORDER BY id OFFSET 2 LIMIT 1)"


@dataclasses.dataclass
class Damage:
    name: str
    layer: str  # that must fail
    kind: str  # that must be found
    sql: str = ""
    source: object = None  # does it to the source, returns what takes it back
    at: tuple = ()  # table, and column or object, of the finding; without: nothing else may be done to the same copy

    def is_found_by(self, finding):
        names = {finding.get("column"), finding.get("object")}
        return (
            finding["kind"] == self.kind
            and finding["layer"] == self.layer
            and (not self.at or finding.get("table") == self.at[0])
            and (len(self.at) < 2 or self.at[1] in names)
        )


def users(column, expression, name, kind="value"):
    return Damage(name, "values", kind, f"UPDATE users SET {column} = {expression} WHERE id = {U}", at=("users", column))


FIELDS = [
    users("age", "age + 1", "integer: one more"),
    users("small", "small - 1", "smallint: one less"),
    users("big", "big - 1", "bigint beyond 2^53: one less"),
    users("score", "score + 1e-15", "double: one in the last digit"),
    users("ratio", "ratio + 0.25", "real: another value"),
    users("price", "price + 0.01", "numeric(12,2): one cent"),
    users("exact", "1.1", "numeric: 1.10 becomes 1.1"),
    users("exact", "'NaN'", "numeric: NaN"),
    users("active", "NOT active", "boolean: the other one"),
    users("born", "born + interval '1 millisecond'", "timestamp: one millisecond"),
    users("seen", "seen + interval '1 microsecond'", "timestamptz: one microsecond"),
    users("seen", "seen AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Prague'", "timestamptz: read in another zone"),
    users("day", "day + 1", "date: one day"),
    users("at", "at + interval '1 second'", "time: one second"),
    users("span", "span + interval '1 day'", "interval: one day"),
    users("span", "justify_hours(span + interval '22 hours') - interval '22 hours'", "interval: hours as days"),
    users("name", "name || 'x'", "text: one character more"),
    users("name", "upper(name)", "text: upper case"),
    users("name", "name || ' '", "text: a blank at the end"),
    users("name", "normalize(name, NFD)", "text: NFD for NFC"),
    users("name", "replace(name, 'é', chr(65533))", "text: a character lost to U+FFFD"),
    users("nick", "NULL", "text: NULL for a value", "nulled"),
    users("nick", "''", "text: empty for a value"),
    Damage("text: empty for NULL", "values", "not_null", "UPDATE users SET nick = '' WHERE nick IS NULL", at=("users", "nick")),
    users("tags", "ARRAY['b', NULL, 't1', 'a']", "array: order"),
    users("tags", "array_remove(tags, NULL)", "array: a NULL element lost"),
    users("tags", "tags || 'more'::text", "array: one more"),
    Damage("array: NULL for empty", "values", "nulled", "UPDATE users SET tags = NULL WHERE tags = '{}'", at=("users", "tags")),
    users("tags", "'[0:3]={a,t1,NULL,b}'", "array: another lower bound"),
    users("grid", "'{{1,1,2,3}}'", "array: another shape"),
    users("data", """jsonb_set(data, '{five}', '5.0')""", "jsonb: 5 becomes 5.0"),
    users("data", """jsonb_set(data, '{five}', '"5"')""", "jsonb: 5 becomes a string"),
    users("data", """jsonb_set(data, '{list}', '[3,2,1]')""", "jsonb: order of a list"),
    users("data", """data - 'half'""", "jsonb: a key less"),
    users("data", """data || '{"more": null}'""", "jsonb: a key more"),
    users("data", """jsonb_set(data, '{deep,id,$oid}', '"5f5e1000000000000000ffff"')""", "jsonb: an id inside"),
    users("data", """jsonb_set(data, '{deep,when,$date}', '"2021-03-04T06:06:07.09Z"')""", "jsonb: a date inside"),
    users("whole", """jsonb_set(whole, '{l}', '{"$numberInt": "1"}')""", "jsonb, canonical: long becomes int"),
    users("plain", """jsonb_set(plain, '{n}', '1.5')""", "jsonb, plain: 1.50 becomes 1.5"),
    users("doc", """replace(doc::text, 'true', 'false')::json""", "json: a boolean inside"),
    users("raw", "raw || '\\x00'", "bytea: a byte more"),
    users("uid", "gen_random_uuid()", "uuid: another"),
    users("ip", "'10.0.0.1/25'", "inet: another mask"),
    users("mood", "'Odd'", "enum: another label"),
    users("city", "'Brno '", "field of a sub-document: a blank"),
    users("rest", "rest - 'note'", "kept fields: one lost"),
    users("created", "now()", "time of the run in place of a default"),
    users("counter", "counter + 1", "reference without a constraint: another id"),
    Damage("two references swapped", "values", "value", f"UPDATE users SET (team, second) = (second, team) WHERE id = {U}", at=("users", "team")),
    Damage("reference set to NULL, not listed", "values", "nulled", f"UPDATE users SET team = NULL WHERE id = {U}", at=("users", "team")),
    Damage("default that the mapping did not ask for", "values", "not_null", "UPDATE users SET age = 0 WHERE age IS NULL", at=("users", "age")),
    Damage(
        "values of two documents swapped",
        "values",
        "value",
        f"UPDATE users a SET name = b.name FROM users b WHERE a.id IN ({U}, {U2}) AND b.id IN ({U}, {U2}) AND a.id <> b.id", at=("users", "name")),
    Damage("all timestamps an hour later", "values", "value", "UPDATE users SET born = born + interval '1 hour'", at=("users", "born")),
    Damage("a column shifted by a row", "values", "value", "UPDATE counters SET value = value + 1", at=("counters", "value")),
    Damage("array element: another value", "values", "value", "UPDATE items SET amount = amount + 1 WHERE position = 1", at=("items", "amount")),
    Damage("array elements: order", "values", "value",
           "UPDATE items SET product = 'p' || (1 - position) WHERE position < 2"
           " AND user_id IN (SELECT user_id FROM items WHERE position = 2)", at=("items", "product")),
    Damage("array of arrays: a text", "values", "value", "UPDATE steps SET step = step || '.' WHERE n = 1", at=("steps", "step")),
]

ROWS = [
    Damage("row deleted", "counts", "missing_row", "DELETE FROM things WHERE label = 'thing 1'", at=("things",)),
    Damage("row added", "counts", "extra_row", "INSERT INTO things VALUES (gen_random_uuid(), 'new')", at=("things",)),
    Damage("row deleted and another added", "counts", "missing_row",
           "DELETE FROM names WHERE id = 'name 1'; INSERT INTO names VALUES ('name 9', 9)", at=("names",)),
    Damage("row duplicated", "counts", "duplicate_row",
           "ALTER TABLE things DROP CONSTRAINT things_pkey; INSERT INTO things SELECT * FROM things LIMIT 1", at=("things",)),
    Damage("key: UUID of another collection", "counts", "extra_row",
           "UPDATE things SET id = (SELECT id FROM teams LIMIT 1) WHERE label = 'thing 2'", at=("things",)),
    Damage("key: a UUIDv5 of another name", "counts", "missing_row",
           "UPDATE things SET id = '6b1f0a94-3c5e-5d7a-9f21-d0c72077e805' WHERE label = 'document'", at=("things",)),
    Damage("key: a bigint of another document", "counts", "missing_row", "UPDATE counters SET id = 100 WHERE id = 11", at=("counters",)),
    Damage("key: a text in upper case", "counts", "missing_row", "UPDATE names SET id = upper(id) WHERE id = 'name 2'", at=("names",)),
    Damage("table emptied", "counts", "missing_row", "TRUNCATE sessions", at=("sessions",)),
    Damage("child row deleted", "counts", "missing_element", "DELETE FROM items WHERE position = 2", at=("items",)),
    Damage("child row added", "counts", "extra_element", f"INSERT INTO items VALUES ({U}, 77, 'new', 1)", at=("items",)),
    Damage("child row moved to another parent", "counts", "missing_element",
           f"UPDATE items SET user_id = {U}, position = 50 WHERE ctid = (SELECT ctid FROM items WHERE position = 2 LIMIT 1)", at=("items",)),
    Damage("child rows renumbered from 1", "counts", "extra_element", "UPDATE steps SET n = n + 10; UPDATE steps SET n = n - 9", at=("steps",)),
    Damage("row of an array in an array deleted", "counts", "missing_element", "DELETE FROM steps WHERE n = 1", at=("steps",)),
    Damage("pair deleted", "counts", "missing_pair", "DELETE FROM members WHERE (team_id, user_id) = (SELECT team_id, user_id FROM members LIMIT 1)", at=("members",)),
    Damage("pair added", "counts", "extra_pair",
           "INSERT INTO members SELECT t.id, u.id FROM teams t, users u WHERE (t.id, u.id) NOT IN (TABLE members) LIMIT 1", at=("members",)),
    Damage("pair reversed", "counts", "extra_pair",
           "UPDATE friends SET a = b, b = a WHERE (a, b) = (SELECT a, b FROM friends f WHERE (b, a) NOT IN (TABLE friends) LIMIT 1)", at=("friends",)),
    Damage("pairs all deleted", "counts", "missing_pair", "TRUNCATE friends", at=("friends",)),
    Damage("rejected document has a row", "counts", "extra_row",
           f"INSERT INTO users (id, name, created) VALUES (docrow.objectid_to_uuid('{proof.oid(120)}'), 'x', now())", at=("users",)),
    Damage("reject taken off the list", "counts", "missing_row", "DELETE FROM docrow.reject WHERE fault = 'inexact'"),
    Damage("rejected element taken off the list", "counts", "missing_element",
           "DELETE FROM docrow.reject WHERE fault = 'missing' AND table_name = 'items'"),
    Damage("orphan pair taken off the list", "counts", "missing_pair", "DELETE FROM docrow.finding WHERE kind = 'orphan_pair'"),
    Damage("nulled reference taken off the list", "values", "nulled", "DELETE FROM docrow.finding WHERE kind = 'orphan_null'"),
    Damage("replaced value taken off the list", "values", "unlisted", "DELETE FROM docrow.finding WHERE kind = 'invalid_replaced'"),
    Damage("row deleted and listed as rejected for its values", "values", "unfounded_reject",
           "DELETE FROM names WHERE id = 'name 1';"
           "INSERT INTO docrow.reject (run, collection, table_name, fault, doc_id, ordinal) VALUES (1, 'names', 'names',"
           " 'range', '\\x15000000025f696400070000006e616d6520310000', -1)"),
    Damage("schema docrow dropped", "counts", "missing_row", "DROP SCHEMA docrow CASCADE"),
]

REFERENCES = [
    Damage("orphan", "references", "orphan",
           "ALTER TABLE teams DROP CONSTRAINT teams_boss_fkey; UPDATE teams SET boss = gen_random_uuid() WHERE title = 'Team 1'", at=("teams", "boss")),
    Damage("orphan in a many-to-many table", "references", "orphan",
           "ALTER TABLE members DROP CONSTRAINT members_user_id_fkey; INSERT INTO members SELECT id, gen_random_uuid() FROM teams LIMIT 1", at=("members", "user_id")),
    Damage("orphan child row", "references", "orphan",
           "ALTER TABLE items DROP CONSTRAINT items_user_id_fkey; INSERT INTO items VALUES (gen_random_uuid(), 0, 'x', 1)", at=("items", "user_id")),
    Damage("kept orphan taken off the list", "references", "orphan", "DELETE FROM docrow.finding WHERE kind = 'orphan_kept'"),
    Damage("foreign key dropped", "references", "fkey_missing", "ALTER TABLE users DROP CONSTRAINT users_team_fkey", at=("users", "users_team_fkey")),
    Damage("foreign key NOT VALID", "references", "fkey_not_valid",
           "ALTER TABLE users DROP CONSTRAINT users_team_fkey, ADD CONSTRAINT users_team_fkey FOREIGN KEY (team)"
           " REFERENCES teams ON DELETE SET NULL NOT VALID", at=("users", "users_team_fkey")),
    Damage("foreign key: other action on delete", "references", "fkey_differs",
           "ALTER TABLE users DROP CONSTRAINT users_team_fkey, ADD CONSTRAINT users_team_fkey FOREIGN KEY (team)"
           " REFERENCES teams ON DELETE CASCADE", at=("users", "users_team_fkey")),
    Damage("foreign key to another table", "references", "fkey_differs",
           "UPDATE users SET second = NULL; ALTER TABLE users DROP CONSTRAINT users_second_fkey, ADD CONSTRAINT users_second_fkey"
           " FOREIGN KEY (second) REFERENCES users"),
]

REFERENCES += [
    Damage("foreign key made DEFERRABLE", "references", "fkey_differs",
           "ALTER TABLE users ALTER CONSTRAINT users_team_fkey DEFERRABLE INITIALLY DEFERRED", at=("users", "users_team_fkey")),
    Damage("foreign key: its triggers disabled", "references", "fkey_differs", "ALTER TABLE teams DISABLE TRIGGER ALL"),
]

TYPES = [
    Damage("dates at infinity", "types", "infinity", f"UPDATE users SET seen = 'infinity' WHERE id = {U}", at=("users", "seen")),
    Damage("NaN where none was", "types", "nan", "UPDATE users SET ratio = 'NaN'", at=("users", "ratio")),
    Damage("a column all NULL", "types", "all_null", "UPDATE users SET city = NULL", at=("users", "city")),
    Damage("some values of a column NULL", "types", "nulls", f"UPDATE users SET uid = NULL WHERE id IN ({U}, {U2})", at=("users", "uid")),
    Damage("all dates are the time of the run", "types", "run_time",
           "UPDATE users SET born = (SELECT started FROM docrow.run) WHERE born IS NOT NULL", at=("users", "born")),
]

SCHEMA = [
    Damage("table dropped", "schema", "table_missing", "DROP TABLE names"),
    Damage("column dropped", "schema", "column_missing", "ALTER TABLE counters DROP COLUMN value"),
    Damage("column of another type", "schema", "column_type", "ALTER TABLE counters ALTER value TYPE numeric", at=("counters", "value")),
    Damage("integer made bigint", "schema", "column_type", "ALTER TABLE users ALTER age TYPE bigint", at=("users", "age")),
    Damage("varchar of another length", "schema", "column_type", "ALTER TABLE users ALTER nick TYPE varchar(13)", at=("users", "nick")),
    Damage("timestamp of another precision", "schema", "column_type", "ALTER TABLE users ALTER born TYPE timestamp(6)", at=("users", "born")),
    Damage("NOT NULL dropped", "schema", "column_null", "ALTER TABLE teams ALTER title DROP NOT NULL", at=("teams", "title")),
    Damage("default added", "schema", "column_default", "ALTER TABLE teams ALTER title SET DEFAULT 'x'", at=("teams", "title")),
    Damage("default: another constant", "schema", "column_default", "ALTER TABLE names ALTER count SET DEFAULT 6", at=("names", "count")),
    Damage("table made UNLOGGED", "schema", "table_unlogged", "ALTER TABLE names SET UNLOGGED", at=("names",)),
    Damage("primary key dropped", "schema", "key_missing", "ALTER TABLE names DROP CONSTRAINT names_pkey", at=("names",)),
    Damage("index dropped", "schema", "index_missing", "DROP INDEX users_team_idx", at=("users", "users_team_idx")),
    Damage("unique index made plain", "schema", "index_differs",
           "DROP INDEX users_email_key; CREATE INDEX users_email_key ON users (email)", at=("users", "users_email_key")),
    Damage("index of another column", "schema", "index_differs", "DROP INDEX teams_title_idx; CREATE INDEX teams_title_idx ON teams (boss)", at=("teams", "teams_title_idx")),
    Damage("index in another order", "schema", "index_differs", "DROP INDEX teams_title_idx; CREATE INDEX teams_title_idx ON teams (title DESC)", at=("teams", "teams_title_idx")),
    Damage("index by another collation", "schema", "index_differs",
           "DROP INDEX teams_title_idx; CREATE INDEX teams_title_idx ON teams (title COLLATE \"C\")", at=("teams", "teams_title_idx")),
    Damage("index INVALID", "schema", "index_invalid",
           "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_team_idx'::regclass", at=("users", "users_team_idx")),
    Damage("enum: a label more", "schema", "enum", "ALTER TYPE mood ADD VALUE 'New'"),
    Damage("enum: a label renamed", "schema", "enum", "ALTER TYPE mood RENAME VALUE 'Odd' TO 'ODD'"),
]


def changed(db, collection, _id, **fields):
    old = db[collection].find_one({"_id": _id})
    db[collection].update_one({"_id": _id}, {"$set": fields})
    return lambda: db[collection].replace_one({"_id": _id}, old)


def added(db, collection, document):
    db[collection].insert_one(document)
    return lambda: db[collection].delete_one({"_id": document["_id"]})


def removed(db, collection, _id):
    old = db[collection].find_one({"_id": _id})
    db[collection].delete_one({"_id": _id})
    return lambda: db[collection].insert_one(old)


SOURCE = [
    Damage("source: a document changed", "values", "value", source=lambda db: changed(db, "things", 1, label="other")),
    Damage("source: a value that does not go into the column", "types", "misfit",
           source=lambda db: changed(db, "users", proof.oid(101), price="no price"), at=("users", "price")),
    Damage("source: a document added", "counts", "missing_row", source=lambda db: added(db, "things", {"_id": 99, "label": "x"})),
    Damage("source: a document removed", "counts", "extra_row", source=lambda db: removed(db, "things", 2)),
    Damage("source: an array element added", "counts", "missing_element",
           source=lambda db: changed(db, "users", proof.oid(101), items=[{"product": "p0", "amount": 0}, {"product": "new"}])),
    Damage("source: a pair added", "counts", "missing_pair",
           source=lambda db: changed(db, "users", proof.oid(101), team_ids=[proof.oid(1), proof.oid(2)])),
]

DAMAGES = [d for d in FIELDS + ROWS + REFERENCES + TYPES + SCHEMA + SOURCE if d.sql or d.source]


def move(mongo_server, postgres_servers, folder):
    mongo, pg = MongoDatabase(mongo_server), PostgresDatabase(postgres_servers("18"))
    proof.fill(mongo.db)
    (folder / "proof.yaml").write_text(proof.MAPPING)
    program.Docrow(folder, mongo, pg).run("migrate", "--mapping", "./proof.yaml", status=1)
    yield mongo, pg, folder
    pg.drop()
    mongo.drop()


@pytest.fixture(scope="module")
def moved(mongo_server, postgres_servers, tmp_path_factory):
    yield from move(mongo_server, postgres_servers, tmp_path_factory.mktemp("mutations"))


@pytest.fixture
def apart(mongo_server, postgres_servers, tmp_path):
    """Another move, for damage to the source: what changed there is drift from then on, also when it was taken back."""
    yield from move(mongo_server, postgres_servers, tmp_path)


def copy_of(pg):
    """A database like pg's, made of its files."""
    name = fresh_name()
    pg.server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{pg.name}" OWNER "{pg.server.role}"')
    return name


def validate(mongo, pg, name, folder, *options):
    own = folder / name
    own.mkdir()
    job = program.Docrow(own, mongo, pg.server.address(name))
    result = job.run("validate", "--full", "--workers", "2", "--mapping", "../proof.yaml", *options)
    report = own / "migration-validation-report.json"
    return result, json.loads(report.read_text()) if report.exists() else None


def test_the_undamaged_move_passes(moved):
    mongo, pg, folder = moved
    result, report = validate(mongo, pg, pg.name, folder, "--log-values")
    assert result.status == 0, result
    assert report["status"] == "PASS" and report["findings"] == [] and report["compared"] > 100
    assert {layer["status"] for layer in report["layers"]} == {"PASS"}
    # what is in use: a passing proof of nothing would pass, too
    explained = {t["table"]: t["explained"] for t in report["tables"]}
    assert explained["users"] == 6 and explained["items"] > 0 and explained["members"] > 0


def groups(damages):
    """Lists of kinds that can share a copy: no two at one place, and those without a place alone."""
    made = []
    for damage in damages:
        for group in made:
            if damage.at and all(o.at and o.at != damage.at and (o.layer == damage.layer or o.at[0] != damage.at[0]) for o in group):
                if damage.layer != "counts" and all(o.layer != "counts" for o in group) or (
                    damage.layer == "counts" and all(o.layer == "counts" and o.at[0] != damage.at[0] for o in group)
                ):
                    group.append(damage)
                    break
        else:
            made.append([damage])
    return made


def inflict(group, moved):
    """[(damage, layers that found it, kinds, result)]"""
    mongo, pg, folder = moved
    name = copy_of(pg)
    undo = None
    try:
        for damage in group:
            if damage.sql:
                pg.server.execute("SET allow_system_table_mods = on; " + damage.sql, name)
            else:
                undo = damage.source(mongo.db)
        result, report = validate(mongo, pg, name, folder)
    finally:
        if undo:
            undo()
        pg.server.drop_database(name)
    return [(damage, result, report) for damage in group]


# damage, and the layers that cannot but see it when they run alone
SEEN_ALONE = [
    ("DELETE FROM things WHERE label = 'thing 1'", {"counts", "values", "types"}),
    ("INSERT INTO things VALUES (gen_random_uuid(), 'new')", {"counts", "values", "types"}),
    ("DELETE FROM items WHERE position = 2", {"counts", "values", "types"}),
    ("TRUNCATE friends", {"counts", "values", "types"}),
    ("DROP TABLE names", {"counts", "values", "references", "types", "schema"}),
    ("ALTER TABLE counters DROP COLUMN value", {"counts", "values", "references", "types", "schema"}),
    (f"UPDATE users SET age = age + 1 WHERE id = {U}", {"values"}),
    ("UPDATE users SET city = NULL", {"values", "types"}),
    ("ALTER TABLE users DROP CONSTRAINT users_team_fkey", {"references"}),
    ("DROP SCHEMA docrow CASCADE", {"counts", "values", "references", "types"}),
]


@pytest.mark.plain_only
def test_one_layer_does_not_pass_what_it_saw(moved):
    """A finding of a layer that nobody asked for fails that layer and the validation. (Stands before the test that changes the
    source: after it findings are drift.)"""
    mongo, pg, folder = moved

    def judge(case):
        number, (sql, seen_by) = case
        name = copy_of(pg)
        wrong = []
        try:
            pg.server.execute(sql, name)
            for layer in ("counts", "values", "references", "types", "schema"):
                own = folder / f"alone{number}{layer}"
                own.mkdir()
                job = program.Docrow(own, mongo, pg.server.address(name))
                result = job.run("validate", "--full", "--layers", layer, "--mapping", "../proof.yaml", status={0, 1})
                report = json.loads((own / "migration-validation-report.json").read_text())
                layers = {one["layer"]: one["status"] for one in report["layers"]}
                found_in = {f["layer"] for f in report["findings"]}
                failed = {one for one, status in layers.items() if status == "FAIL"}
                if failed != found_in or result.status != bool(found_in) or (layer in seen_by and not found_in):
                    wrong.append((sql, layer, result.status, layers, found_in))
                if report["status"] != ("FAIL" if found_in else "PASS") or layers[layer] == "SKIPPED":
                    wrong.append((sql, layer, report["status"], layers))
        finally:
            pg.server.drop_database(name)
        return wrong

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [w for one in pool.map(judge, enumerate(SEEN_ALONE)) for w in one]
    assert not wrong, "\n".join(str(w) for w in wrong)


@pytest.mark.plain_only
def test_every_damage_is_found(moved, apart):
    in_source = [d for d in DAMAGES if d.source]
    work = groups([d for d in DAMAGES if not d.source])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rows = [row for group in pool.map(lambda g: inflict(g, moved), work) for row in group]
    rows += [row for d in in_source for row in inflict([d], apart)]
    wrong = []
    for damage, result, report in rows:
        hits = [f for f in report["findings"] if damage.is_found_by(f)] if report and result.status == 1 else []
        print(f"| {damage.name} | {damage.layer if hits else 'NOT FOUND'} | {damage.kind} |")
        if not hits:
            found = [(f["kind"], f.get("table"), f.get("column")) for f in report["findings"]] if report else None
            wrong.append((damage.name, damage.kind, damage.at, result.status, result.stderr, found))
    print(len(rows), "kinds of damage,", len(in_source), "of them in the source;", len(work) + len(in_source), "validations")
    assert len(rows) >= 60
    assert not wrong, "\n".join(str(w) for w in wrong)
