"""docrow check: what it says of servers, mapping and documents; and that a scan foretells the real run and leaves
nothing behind."""

import json
import os
import re
import time

import bson
import pytest
from lib import dumps, nextcrm_dirt, nextcrm_sample, program, servers
from lib.processes import wait_for

NEXTCRM = ["--mapping", program.ROOT / "mappings" / "nextcrm.yaml"]
MAPPING = """
docrow: 1
enums: [{ name: mood, labels: [happy, sad] }]
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer, not_null: true }
      - { name: mood, type: mood }
      - { name: note, type: text }
    indexes: [{ name: things_note, columns: [note] }, { name: things_n, columns: [n], unique: true }]
  - { collection: others, optional: true, columns: [{ name: id, from: _id, type: uuid, primary_key: true }] }
"""


@pytest.fixture
def things(mongo, docrow):
    mongo["things"].insert_many({"n": n, "mood": "happy", "note": "short"} for n in range(200))
    (docrow.folder / "m.yaml").write_text(MAPPING)
    return docrow


def check(docrow, *options, status):
    return json.loads(docrow.run("check", "--mapping", "./m.yaml", "--json", *options, status=status).stdout)


def texts(page, severity):
    return [f["text"] for f in page["findings"] if f["severity"] == severity]


def untouched(pg):
    assert pg.tables() == []
    assert pg.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'docrow%'") == []


def test_clean(things, pg15):
    page = check(things, "--scan", "full", status=0)
    assert page["errors"] == page["warnings"] == 0 and page["rejects"] == []
    labels = {(f["area"], f["label"]) for f in page["facts"]}
    assert {("source", "documents"), ("target", "server"), ("target", "connections"), ("estimate", "time")} <= labels
    assert {"collection": "things", "path": "n", "types": {"int": 200}} in page["paths"]
    assert any("others is not there" in t for t in texts(page, "note"))
    text = things.run("check", "--mapping", "./m.yaml", status=0).stdout
    assert "Nothing stands in the way" in text and "--scan full" in text
    untouched(pg15)


def test_workers_are_as_many_as_a_run_would_have(things):
    """Also when their number is left to the program."""

    def connections(*options):
        facts = check(things, *options, status=0)["facts"]
        return next(f["text"] for f in facts if f["label"] == "connections")

    processors = min(max(os.cpu_count(), 2), 8)
    assert f" {processors + 2} wanted" in connections("--workers", "auto")
    assert " 7 wanted" in connections("--workers", "5")


def fact(page, label):
    return next(f["text"] for f in page["facts"] if f["label"] == label)


def test_what_is_said_of_the_servers(things, mongo, pg15):
    page = check(things, status=0)
    port, version = mongo.server.port, pg15.one("SHOW server_version")
    assert fact(page, "replica set") == f"rs0: 127.0.0.1:{port} PRIMARY (read from)"
    assert fact(page, "read from") == f"the primary, 127.0.0.1:{port}"
    assert fact(page, "read concern").startswith("majority: ")
    assert re.match(r"\d+\.\d hours \(20.*UTC\), \d+ % full; for so long docrow validate", fact(page, "oplog"))
    assert fact(page, "server").startswith(f"PostgreSQL {version}, encoding UTF8, collation ")
    assert fact(page, "server").endswith("time zone UTC")
    assert re.match(r"\d+ of 100 free \(\d+ in use, 3 kept for administrators\), \d+ wanted", fact(page, "connections"))
    # docrow's role is an ordinary one
    assert "SQL does not tell" in fact(page, "disk") and "pg_read_all_settings" in fact(page, "disk")
    with pg15.admin() as admin:
        admin.execute("GRANT pg_read_all_settings TO docrow")
    try:
        folder = str(pg15.server.data)
        text = fact(check(things, status=0), "disk")
    finally:
        with pg15.admin() as admin:
            admin.execute("REVOKE pg_read_all_settings FROM docrow")
    assert text.endswith(f" free on this machine at {folder}")
    assert any(f["area"] == "estimate" and "--scan measures it" in f["text"] for f in page["facts"])


def test_connections_are_limited(things, pg15):
    with pg15.admin() as admin:
        admin.execute(f'ALTER DATABASE "{pg15.name}" CONNECTION LIMIT 4')
    page = check(things, "--workers", "4", status=1)
    assert f"by the limit of database {pg15.name}" in fact(page, "connections")
    assert any("6 are wanted" in t for t in texts(page, "warning"))
    assert check(things, "--workers", "1", status=0)["warnings"] == 0


def test_a_user_who_may_read_one_database_only(make_mongo, make_docrow, mongo, pg15):
    server = make_mongo(auth=True)
    server.client["shop"]["things"].insert_one({"n": 1, "mood": "happy"})
    server.add_user("reader", "secret", [{"role": "read", "db": "shop"}])
    docrow = make_docrow(mongo, pg15)
    (docrow.folder / "m.yaml").write_text(MAPPING)
    page = check(docrow, "--source", server.address("shop", "reader", "secret"), status=0)
    assert "role clusterMonitor" in fact(page, "replica set") and f"127.0.0.1:{server.port}" in fact(page, "replica set")
    assert "role read on database local" in fact(page, "oplog")
    assert fact(page, "read concern").startswith("majority: ")


def test_members_of_a_set(make_mongo, make_docrow, mongo, pg15):
    """A hidden secondary: read by direct connection, then dead."""
    first = make_mongo()
    second = servers.Mongo(first.folder / "second")
    second.data.mkdir()
    second.launch_on_free_port()
    try:
        config = first.client.admin.command("replSetGetConfig")["config"]
        member = {"_id": 1, "host": f"127.0.0.1:{second.port}", "priority": 0, "votes": 0, "hidden": True}
        config |= {"version": config["version"] + 1, "members": [*config["members"], member]}
        first.client.admin.command("replSetReconfig", config)
        first.client["shop"]["things"].insert_one({"n": 1, "mood": "happy"})

        def state():
            return first.client.admin.command("replSetGetStatus")["members"][1]["stateStr"]

        wait_for(lambda: state() == "SECONDARY", 60, "the second member")
        docrow = make_docrow(mongo, pg15)
        (docrow.folder / "m.yaml").write_text(MAPPING)
        alone = f"mongodb://127.0.0.1:{second.port}/shop?directConnection=true"
        page = check(docrow, "--source", alone, status=1)
        assert fact(page, "read from") == f"a secondary, 127.0.0.1:{second.port}, a hidden member"
        assert [t for t in texts(page, "warning") if "read from a secondary" in t]
        docrow.run("migrate", "--mapping", "./m.yaml", "--source", alone, status=0)
        assert pg15.one("SELECT count(*) FROM things") == 1
        docrow.run("validate", "--full", "--source", alone, status=0)
        docrow.run("migrate", "--clean-only", status=0)
    finally:
        second.kill()
    wait_for(lambda: state() not in ("SECONDARY", "RECOVERING"), 60, "the second member's end to be seen")
    page = check(docrow, "--source", first.address("shop"), status=1)
    assert any(f"127.0.0.1:{second.port} is " in t for t in texts(page, "warning"))


def test_a_standalone_server_and_an_archive(make_mongo, make_docrow, mongo, pg15, tmp_path):
    server = make_mongo(replica_set=None)
    server.client["shop"]["things"].insert_one({"n": 1, "mood": "happy"})
    docrow = make_docrow(mongo, pg15)
    (docrow.folder / "m.yaml").write_text(MAPPING)
    page = check(docrow, "--source", server.address("shop"), status=0)
    assert "standalone server" in fact(page, "replica set")
    archive = dumps.Archive([("shop", "things")])
    archive.block("shop", "things", [bson.encode({"_id": bson.ObjectId(), "n": 1, "mood": "happy"})])
    archive.end("shop", "things")
    read, write = os.pipe()
    os.write(write, archive.data)
    os.close(write)
    command = ["check", "--mapping", "./m.yaml", "--json", "--source", "-"]
    result = docrow.run(*command, status=0, stdin=read, env={"TMPDIR": tmp_path})
    os.close(read)
    assert f"in {tmp_path} (TMPDIR) for the archive" in fact(json.loads(result.stdout), "temporary")


def test_texts_of_enum_columns(mongo, docrow):
    """Which labels documents have; texts that are none are values, and shown on request only."""
    (docrow.folder / "m.yaml").write_text("""
docrow: 1
enums: [{ name: mood, labels: [happy, sad, grim] }]
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: mood, type: mood, labels: { glad: happy }, fold_case: true, if_invalid: null }
      - { name: moods, from: all.moods, type: "mood[]", if_invalid: null }
    children:
      - { from: lines, table: lines, parent: thing_id, ordinal: n, columns: [{ name: mood, from: at.mood, type: mood }] }
""")
    line = {"at": {"mood": "sad"}}
    mongo["things"].insert_many({"mood": m, "all": {"moods": ["grim"]}} for m in ("happy", "happy", "glad", "SAD", "zornig"))
    mongo["things"].insert_many([{"mood": None, "lines": [line, line]}, {"mood": 5, "all": {"moods": ["sad", "wild"]}}, {}])
    command = ["check", "--mapping", "./m.yaml", "--scan", "full"]
    page = json.loads(docrow.run(*command, "--json").stdout)
    found = {
        (e["table"], e["column"]): [(t.get("text"), t["label"], t["n"], t["bytes"]) for t in e["texts"]] for e in page["enums"]
    }
    assert found == {
        ("things", "mood"): [
            ("happy", "happy", 2, 5),
            ("SAD", "sad", 1, 3),
            ("glad", "happy", 1, 4),
            (None, None, 1, 6),
        ],
        ("things", "moods"): [("grim", "grim", 5, 4), ("sad", "sad", 1, 3), (None, None, 1, 4)],
        ("lines", "mood"): [("sad", "sad", 2, 3)],
    }
    text = docrow.run(*command).stdout
    assert "things.mood: happy 2, SAD (as sad) 1, glad (as happy) 1" in text
    assert "no label: 1 values, 1 texts of 6 to 6 bytes; --log-values shows them" in text
    assert "never: happy, grim" in text and "zornig" not in text
    text = docrow.run(*command, "--log-values").stdout
    assert 'no label: "zornig" 1' in text
    page = json.loads(docrow.run(*command, "--json", "--log-values").stdout)
    assert "wild" in [t["text"] for e in page["enums"] for t in e["texts"]]


def test_parts_of_a_collection(mongo, docrow, pg15):
    """What falls between the entries, and what several take: the counts of the real run."""
    key = "{ name: id, from: _id, type: uuid, primary_key: true }"
    (docrow.folder / "m.yaml").write_text(
        "docrow: 1\ncollections:\n"
        f"  - {{ collection: events, name: low, table: low, where: {{ n: {{ $lt: 6 }} }}, columns: [{key}] }}\n"
        f"  - {{ collection: events, name: mid, table: mid, where: {{ n: {{ $gt: 3, $lt: 8 }} }}, columns: [{key}] }}\n"
        f"  - {{ collection: gone, name: gone, optional: true, where: {{ n: 1 }}, columns: [{key}] }}\n"
    )
    mongo["events"].insert_many({"n": n} for n in range(10))
    page = json.loads(docrow.run("check", "--mapping", "./m.yaml", "--scan", "full", "--json", status=0).stdout)
    told = [t for t in texts(page, "note") if t.startswith("events: ")]
    assert told == [
        "events: no where takes 2 of the documents, and they would stay behind",
        "events: documents are taken by more than one entry, 2 times beyond the first",
    ]
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    kinds = ("whole", "left_out", "shared")
    real = pg15.query("SELECT kind, object, path, n::int FROM docrow.ledger WHERE kind = ANY(%s)", list(kinds))
    assert sorted(real) == sorted((e["kind"], e["object"], e["path"], e["n"]) for e in page["ledger"] if e["kind"] in kinds)


def test_progress_of_a_scan(things):
    result = things.run("check", "--mapping", "./m.yaml", "--scan", "full", "--progress", "json", status=0)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines[-1]["event"] == "end" and lines[-1]["status"] == "done"
    result = things.run("check", "--mapping", "./m.yaml", "--scan", "full", "--progress", "none", status=0)
    assert result.stderr == ""


@pytest.mark.parametrize("seed", [4, 11])
def test_a_full_scan_foretells_the_real_run(mongo, docrow, pg15, seed):
    """A dirty NextCRM database: the scan's whole account is that of the run after it, but for what only a real run has."""
    sample = nextcrm_sample.make(700, seed=seed, dirt=0.04)
    nextcrm_dirt.spoil(sample, seed=seed)
    sample.insert(mongo.db)
    page = json.loads(docrow.run("check", *NEXTCRM, "--scan", "full", "--json", status=1).stdout)
    untouched(pg15)
    docrow.run("migrate", *NEXTCRM, status=1)
    only_real = {"source"}
    want = {
        (kind, object_, path): n
        for kind, object_, path, n in pg15.query("SELECT kind, object, path, n::int FROM docrow.ledger")
        if kind not in only_real
    }
    found = {(e["kind"], e["object"], e["path"]): e["n"] for e in page["ledger"]}
    # Lists of documents whose _ids give one key: a real run reads those anew, a scan counts their pairs as repeats.
    moved = [k for k in want if found.get(k) != want[k] and k[0] in ("pair_repeat", "element_rejected_doc")]
    assert {(k[1], k[2]) for k in moved} <= {("DocumentsToTasks", "Tasks")}
    assert sum(found[k] for k in moved) == sum(want[k] for k in moved)
    assert {k: n for k, n in found.items() if k not in moved} == {k: n for k, n in want.items() if k not in moved}
    # (of a duplicate key only a real run knows which document it was, and so its path and type)
    patterns = pg15.query(
        "SELECT count(*)::int, fault, collection, table_name, column_name, nullif(path, '_id'),"
        " CASE WHEN fault <> 'duplicate' THEN bson_type END FROM docrow.reject GROUP BY 2, 3, 4, 5, 6, 7"
    )
    keys = ("n", "fault", "collection", "table", "column", "path", "bson_type")
    assert sorted(map(repr, patterns)) == sorted(repr(tuple(r[k] for k in keys)) for r in page["rejects"])


def test_duplicates_are_told_by_index(mongo, docrow, pg15):
    """By which index and how many, whatever the names are; a few ids of many."""
    (docrow.folder / "m.yaml").write_text("""
docrow: 1
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: a, type: integer }
      - { name: b, type: integer }
      - { name: c, type: integer }
    indexes:
      - { name: ab, columns: [a, b], unique: true, duplicates: first }
      - { name: bc, columns: [b, c], unique: true, duplicates: first }
      - { name: "odd (unique index x)", columns: [c], unique: true }
""")
    rows = [(0, 0, i) for i in range(20)] + [(1, 7, 90), (2, 7, 90), (3, 3, 90)]
    mongo["things"].insert_many({"a": a, "b": b, "c": c} for a, b, c in rows)
    page = check(docrow, "--scan", "full", status=1)
    said = [t for t in texts(page, "note") + texts(page, "warning") if "a row that stays has" in t]
    assert any(t.startswith("things: 19 rows") and "(unique index ab), would be dropped" in t and t.count("$oid") == 5 and t.endswith(" ...") for t in said), said
    assert any(t.startswith("things: 1 row ") and "(unique index bc), would be dropped" in t for t in said), said
    assert any(t.startswith("things.c: 1 row ") and " (unique index odd (unique index x)), would be rejected" in t for t in said), said


def test_what_documents_hold(things, mongo, pg15):
    mongo["things"].insert_many(
        [
            {"n": "seven", "mood": "sad"},
            {"n": 1, "mood": "angry", "extra": {"deep": [1, "x", None]}},
            {"n": 5, "note": "".join(f"{i:x}" for i in range(3000))},
        ]
    )
    page = check(things, "--scan", "full", status=1)
    found = {(r["fault"], r["column"]): r["n"] for r in page["rejects"]}
    assert found == {("type", "n"): 1, ("label", "mood"): 1, ("duplicate", "n"): 1}
    paths = {p["path"]: p["types"] for p in page["paths"]}
    assert paths["n"] == {"int": 202, "string": 1}
    assert paths["extra.deep[]"] == {"int": 1, "string": 1, "null": 1}
    assert any("things_note" in t and "note" in t for t in texts(page, "warning"))
    text = things.run("check", "--mapping", "./m.yaml", "--scan", "full", status=1).stdout
    assert "things.n: 1 string, 202 int" in text
    assert "angry" not in text and "seven" not in text
    # A sample says so, and has no duplicates.
    page = check(things, "--scan", "sample", status=1)
    assert page["sample"] > 0 and {r["fault"] for r in page["rejects"]} == {"type", "label"}
    untouched(pg15)


def test_a_field_that_no_document_has(things, mongo):
    mongo["things"].update_many({}, {"$rename": {"note": "nota"}})
    page = check(things, "--scan", "full", status=1)
    assert any("things.note" in t and "no document" in t for t in texts(page, "warning"))


def test_dry_run_is_a_full_scan(things, mongo, pg15):
    mongo["things"].insert_one({"n": "seven"})
    result = things.run("migrate", "--mapping", "./m.yaml", "--dry-run", status=1)
    assert "Check" in result.stdout and "1 document, rows and array elements would be rejected" in result.stdout
    untouched(pg15)


def test_everything_at_once(things, mongo, pg15, make_docrow):
    mongo["things"].drop()
    mongo["stray"].insert_one({})
    pg15.execute("CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
    page = check(things, status=4)
    errors = texts(page, "error")
    assert any("things of the mapping is not in database" in t for t in errors)
    assert any(f["code"] == "DR-4015" for f in page["findings"])
    assert "table things has no column n" in errors and "table things holds 1 row already" in errors
    assert any("stray" in t for t in texts(page, "note"))
    pg15.execute("DROP TABLE things")
    page = check(things, "--scan", "full", status=1)
    assert any("not scanned: mend the errors" in t for t in texts(page, "note"))


def test_servers_that_are_away(things, pg15, mongo):
    nowhere = {"MONGODB_URI": "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300"}
    page = json.loads(things.run("check", "--mapping", "./m.yaml", "--json", env=nowhere, status=3).stdout)
    assert any(f["code"] == "DR-3001" for f in page["findings"])
    assert any(f["area"] == "target" and f["label"] == "server" for f in page["facts"])  # the other was looked at
    nowhere = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
    page = json.loads(things.run("check", "--mapping", "./m.yaml", "--json", env=nowhere, status=4).stdout)
    assert any(f["code"] == "DR-4001" for f in page["findings"])


def test_a_run_is_there(things, pg15):
    things.run("migrate", "--mapping", "./m.yaml", status=0)
    before = pg15.contents("docrow")
    page = check(things, "--scan", "full", status=1)
    assert any("is on this target already" in t for t in texts(page, "warning"))
    assert any("not scanned" in t for t in texts(page, "warning"))
    assert pg15.contents("docrow") == before


def test_killed_while_scanning(things, mongo, pg15):
    mongo["things"].insert_many({"_id": bson.ObjectId(), "n": n, "note": "x" * 200} for n in range(200, 6000))
    scan = ["check", "--mapping", "./m.yaml", "--scan", "full", "--max-rate", "400"]
    process = things.start(*scan)
    busy = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'docrow check' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
    wait_for(lambda: pg15.query(busy), 30)
    time.sleep(0.3)  # somewhere in the middle
    assert process.poll() is None
    process.kill()
    process.communicate()
    wait_for(lambda: not pg15.query(busy), 30)
    untouched(pg15)
    # Ctrl-C is answered at once.
    process = things.start(*scan)
    wait_for(lambda: pg15.query(busy), 30)
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 130
    untouched(pg15)


def test_a_long_settling_is_not_told_line_by_line(docrow, dirty_nextcrm, pg15):
    """Once a second, also when everything is read and keys and references are looked at."""
    docrow.environment["MONGODB_URI"] = dirty_nextcrm[0].uri
    started = time.monotonic()
    result = docrow.run("check", "--mapping", "nextcrm", "--scan", "full", "--progress", "json", status=1)
    told = [json.loads(line) for line in result.stderr.splitlines() if line.startswith('{"event":"progress"')]
    assert 1 <= len(told) <= 3 + (time.monotonic() - started)
    assert told[-1]["documents"] > 1500
