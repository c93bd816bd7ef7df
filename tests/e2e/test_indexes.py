"""docrow schema --from-source: a verdict on one index of every kind; every statement that it writes runs on a real
PostgreSQL beside the mapping's own tables; a dump and an archive give the verdicts of the server they come from."""

import datetime
import json
import subprocess

import bson
import bson.json_util
import pytest
from lib import dumps
from pymongo import IndexModel
from pymongo.collation import Collation

MAPPING = """
docrow: 1
enums: [{ name: mood, labels: [happy, sad] }]
collections:
  - collection: things
    unmapped: { keep: rest }
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer, not_null: true, if_missing: "0" }
      - { name: email, type: text }
      - { name: title, type: text }
      - { name: mood, type: mood }
      - { name: at, type: timestamp(3) }
      - { name: seen, from: seenAt, type: timestamptz }
      - { name: owner, type: uuid, references: { table: people, constraint: false } }
      - { name: tags, type: "text[]" }
      - { name: address, type: jsonb }
      - { name: place, type: jsonb }
      - { name: spot, type: "double precision[]" }
      - { name: city, from: home.city, type: text }
      - { name: code, type: text }
      - { name: slug, type: text }
    children:
      - { from: lines, table: lines, parent: thing_id, ordinal: position, columns: [{ name: sku, type: text }] }
    indexes:
      - { name: by_title, columns: [title, n] }
      - { name: one_code, columns: [code], unique: true }
      - { name: by_slug, columns: [slug] }
  - { collection: people, optional: true, columns: [{ name: id, from: _id, type: uuid, primary_key: true }] }
  - { collection: nobody, optional: true, columns: [{ name: id, from: _id, type: uuid, primary_key: true }] }
junctions:
  - table: watching
    left:  { collection: things, path: watchers, column: thing_id }
    right: { collection: people, column: person_id }
"""

OWNER = bson.ObjectId("65f000000000000000000001")
WHEN = datetime.datetime(2024, 1, 2, 3, 4, 5)
ICU = Collation(locale="en", strength=2)
# (keys, options, verdict, words of the page or statements)
INDEXES = {
    "n_1": ([("n", 1)], {}, "made", ['ON "public"."things" USING btree ("n")']),
    "n_-1": ([("n", -1)], {}, "there", ["proposed for another"]),
    "n_hashed": ([("n", "hashed")], {}, "made", ['USING hash ("n")']),
    "mixed": ([("mood", 1), ("at", -1)], {}, "made", ['("mood", "at" DESC)']),
    "title_1": ([("title", 1)], {}, "there", ["index by_title", "begins with the same column"]),
    "slug_-1": ([("slug", -1)], {}, "there", ["index by_slug"]),
    "slug_hashed": ([("slug", "hashed")], {}, "there", ["index by_slug"]),
    "code_sparse": ([("code", 1)], {"unique": True, "sparse": True}, "there", ["index one_code"]),
    "email_one": ([("email", 1)], {"unique": True}, "instead", ["NULLS NOT DISTINCT", '(("email" IS NULL)) WHERE "email" IS NULL']),
    "n_at_one": ([("n", 1), ("at", 1)], {"unique": True}, "instead", ["UNIQUE", '("n", "at") NULLS NOT DISTINCT']),
    "n_mood": ([("n", 1), ("_id", 1)], {"unique": True}, "made", ['CREATE UNIQUE INDEX "things_n_id_key"']),
    "owner_sparse": ([("owner", 1)], {"sparse": True}, "instead", ['WHERE "owner" IS NOT NULL']),
    "two_sparse": ([("owner", 1), ("at", 1)], {"sparse": True}, "instead", ['("owner" IS NOT NULL OR "at" IS NOT NULL)']),
    "email_ci": ([("email", 1)], {"collation": ICU}, "instead", ['(lower("email"))', "CREATE COLLATION"]),
    "email_ci_one": ([("email", 1)], {"unique": True, "collation": ICU}, "instead", ['(lower("email")) NULLS NOT DISTINCT']),
    "city_fr": ([("home.city", 1)], {"collation": Collation(locale="fr")}, "instead", ["locale fr", '("city")']),
    "tags_1": ([("tags", 1)], {}, "instead", ['USING gin ("tags")']),
    "tags_n": ([("n", 1), ("tags", 1)], {"unique": True}, "there", ["unique is not kept"]),
    "lines_sku": ([("lines.sku", 1)], {}, "instead", ['"public"."lines" USING btree ("sku")']),
    "watchers_1": ([("watchers", 1)], {}, "instead", ['"public"."watching" USING btree ("person_id")']),
    "address_1": ([("address", 1)], {}, "instead", ["jsonb_path_ops"]),
    "address.zip": ([("address.zip", 1)], {}, "suggested", ["""(("address" #>> '{"zip"}'))"""]),
    "extra": ([("extra.it's", 1)], {}, "suggested", ["""(("rest" #>> '{"extra","it''s"}'))"""]),
    "home_1": ([("home", 1)], {}, "not_made", ["taken apart"]),
    "wild": ([("$**", 1)], {}, "instead", ['("place" jsonb_path_ops)', '("rest" jsonb_path_ops)']),
    "wild_address": ([("address.$**", 1)], {}, "there", ["proposed for another"]),
    "search": ([("title", "text"), ("email", "text"), ("tags", "text")], {"weights": {"title": 10}}, "instead",
               ["setweight(to_tsvector('english'::regconfig, coalesce(\"title\", '')), 'A')", "'B')", "tags is no text"]),
    "globe": ([("place", "2dsphere")], {}, "suggested", ["ST_GeomFromGeoJSON"]),
    "flat": ([("spot", "2d")], {}, "suggested", ['point("spot"[1], "spot"[2])']),
    "ttl": ([("seenAt", 1)], {"expireAfterSeconds": 3600}, "made", ["cron.schedule", "interval ''3600 seconds''"]),
    "hidden": ([("seenAt", -1), ("n", 1)], {"hidden": True}, "made", ["hidden in MongoDB", '("seen" DESC, "n")']),
    "some": ([("email", 1), ("n", 1)], {"partialFilterExpression": {"n": {"$gt": 5}, "mood": "happy", "email": {"$exists": True}}},
             "made", ['''WHERE ("n" > 5 AND "mood" = 'happy' AND "email" IS NOT NULL)''']),
    "some_ids": ([("at", 1)], {"partialFilterExpression": {"owner": OWNER, "at": {"$gte": WHEN}, "title": {"$lt": "it's"}}},
                 "made", ["'2024-01-02T03:04:05.000Z'", "'018e3180", '''COLLATE "C" < 'it''s\'''']),
    "some_one": ([("title", 1)], {"unique": True, "partialFilterExpression": {"address.zip": "1"}}, "not_made", ["would refuse"]),
    "some_not": ([("mood", 1)], {"partialFilterExpression": {"mood": {"$type": "int"}}}, "instead", ["covers all rows"]),
}  # fmt: skip
LONG = "x" * 60


@pytest.fixture
def things(mongo, docrow):
    (docrow.folder / "m.yaml").write_text(MAPPING)
    mongo["things"].insert_one({"n": 1, "email": "a@b", "title": "t", "tags": ["x"], "address": {"zip": "1"}})
    mongo["things"].create_indexes(
        [IndexModel(keys, name=name, **options) for name, (keys, options, _, _) in INDEXES.items()]
    )
    mongo["people"].insert_one({})
    mongo["stranger"].insert_one({})
    return docrow


def verdicts(docrow, *options):
    command = ["schema", "--from-source", "--mapping", "./m.yaml", "--json"]
    return json.loads(docrow.run(*command, *options, status=0).stdout)


def test_one_of_each_kind(things, pg15):
    page = verdicts(things, "--sql", "i.sql")
    by_name = {v["name"]: v for v in page["indexes"] if v["collection"] == "things"}
    assert by_name.keys() == INDEXES.keys() | {"_id_"}
    assert (by_name["_id_"]["verdict"], by_name["_id_"]["there"]) == ("there", "primary key things_pkey")
    wrong = {}
    for name, (_, _, verdict, parts) in INDEXES.items():
        text = json.dumps(by_name[name], ensure_ascii=False).replace('\\"', '"')
        if by_name[name]["verdict"] != verdict or any(p not in text for p in parts):
            wrong[name] = (verdict, parts, by_name[name])
    assert not wrong
    assert page["remarks"] == [
        "not in the source: nobody",
        "in no mapping entry, so their indexes stay behind: stranger",
    ]
    assert sum(page["totals"].values()) == len(page["indexes"])
    assert pg15.tables() == []  # nothing was touched

    things.run("migrate", "--mapping", "./m.yaml", status=0)
    statements = [s for v in page["indexes"] for s in v["statements"]]
    for s in statements:
        if "ST_Geom" in s["sql"] or "cron." in s["sql"]:
            continue  # extensions that are not at hand
        if s["when"] == "before 15":
            pg15.connection.execute("DROP INDEX IF EXISTS " + s["sql"].split(" ON ")[0].split("INDEX ")[1])
        pg15.connection.execute(s["sql"])
    assert len(statements) > 30


def test_the_file_runs_in_psql(things, pg15):
    things.run("migrate", "--mapping", "./m.yaml", status=0)
    before = pg15.query("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'")[0][0]
    page = verdicts(things, "--sql", "i.sql")
    done = subprocess.run(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-f", things.folder / "i.sql", pg15.uri], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    made = sum(s["when"] in ("always", "from 15 on") for v in page["indexes"] for s in v["statements"])
    assert pg15.query("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'")[0][0] == before + made
    text = things.run("schema", "--from-source", "--mapping", "./m.yaml", status=0).stdout
    assert "there already: primary key things_pkey" in text and "made as something else" in text


def metadata(mongo, name):
    indexes = [dict(i) for i in mongo[name].list_indexes()]
    options = bson.json_util.CANONICAL_JSON_OPTIONS
    return bson.json_util.dumps(
        {"options": {}, "indexes": indexes, "uuid": "", "collectionName": name, "type": "collection"}, json_options=options
    ).encode()


def test_dumps_tell_the_same(things, mongo, tmp_path, monkeypatch):
    want = verdicts(things)["indexes"]
    monkeypatch.setattr(dumps, "metadata_of", lambda name: metadata(mongo, name))
    raw = dumps.raw_documents(mongo.db)
    folder = dumps.write_folder(raw, tmp_path / "dump" / mongo.db.name, "gz")
    assert verdicts(things, "--source", folder)["indexes"] == want
    namespaces = [(mongo.db.name, name) for name in raw]
    archive = dumps.Archive(namespaces, metadata=lambda name: metadata(mongo, name))
    for space in namespaces:
        archive.end(*space)
    (tmp_path / "a.archive").write_bytes(archive.data)
    assert verdicts(things, "--source", tmp_path / "a.archive")["indexes"] == want


def test_an_export_has_no_record(things, tmp_path):
    (tmp_path / "things.json").write_text('{"n": 1}\n')
    page = verdicts(things, "--source", tmp_path / "things.json")
    assert page["indexes"] == [] and "things: the source keeps no record of its indexes" in page["remarks"]


def test_long_names_stay_apart(mongo, docrow, pg15):
    """Names of over 63 bytes are cut to different ones, and names that are taken get a number."""
    columns = "".join(f"      - {{ name: {LONG}{c}, type: text }}\n" for c in "ab")
    (docrow.folder / "m.yaml").write_text(
        "docrow: 1\ncollections:\n  - collection: t\n    columns:\n"
        f"      - {{ name: id, from: _id, type: uuid, primary_key: true }}\n{columns}"
    )
    mongo["t"].insert_one({})
    for keys in ([LONG + "a"], [LONG + "b"], [LONG + "a", LONG + "b"], [LONG + "b", LONG + "a"]):
        mongo["t"].create_index([(k, 1) for k in keys])
    mongo["t"].create_index([(LONG + "a", 1)], name="again", sparse=True)
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    names = set()
    for s in (s for v in verdicts(docrow)["indexes"] for s in v["statements"]):
        name = s["sql"].split('"')[1]
        assert len(name.encode()) <= 63
        names.add(name)
        pg15.connection.execute(s["sql"])
    assert len(names) == 5


def test_parts_of_a_collection(mongo, docrow):
    """The source knows collections, not the mapping's entries: each entry gets the indexes of its collection."""
    entries = "".join(
        f"  - {{ collection: {source}, name: {name}, table: {name}, where: {{ kind: {name} }}, columns: [{{ name: id, "
        f"from: _id, type: uuid, primary_key: true }}, {{ name: n, type: integer }}] }}\n"
        for source, name in (("events", "clicks"), ("events", "views"), ("gone", "a"), ("gone", "b"))
    )
    (docrow.folder / "m.yaml").write_text(f"docrow: 1\ncollections:\n{entries}")
    mongo["events"].insert_one({"kind": "clicks"})
    mongo["events"].create_index([("n", 1)])
    page = verdicts(docrow)
    found = {(v["collection"], v["name"]): v["verdict"] for v in page["indexes"]}
    wanted = {(c, i): v for c in ("clicks", "views") for i, v in (("_id_", "there"), ("n_1", "made"))}
    assert (found, page["remarks"]) == (wanted, ["not in the source: gone"])


def test_views_and_a_name_that_cannot_be_written(mongo, docrow):
    (docrow.folder / "m.yaml").write_text(MAPPING)
    mongo.db.create_collection("things", viewOn="people", pipeline=[])
    assert verdicts(docrow)["indexes"] == []
    result = docrow.run("schema", "--from-source", "--mapping", "./m.yaml", "--sql", "no/such/folder/x", status=2)
    assert "DR-2004" in result.stderr
