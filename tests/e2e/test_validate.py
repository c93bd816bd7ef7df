"""docrow validate: good moves pass, by samples and in full, from a live server and from a dump, with the state and
without; drift, thresholds, stops, reports and exit statuses. Damage is in test_mutations.py."""

import json
import re
import signal
import xml.etree.ElementTree

import pytest

from lib import nextcrm_dirt, nextcrm_sample, program, proof
from lib.databases import MongoDatabase, PostgresDatabase
from lib.processes import wait_for

DOCUMENTS = 2000
NEXTCRM = program.ROOT / "mappings" / "nextcrm.yaml"


def report_of(job):
    return json.loads((job.folder / "migration-validation-report.json").read_text())


@pytest.fixture(scope="module", params=["clean", "dirty"])
def nextcrm(request, mongo_server, postgres_servers, tmp_path_factory):
    dirt = 0.04 if request.param == "dirty" else 0.0
    sample = nextcrm_sample.make(DOCUMENTS, seed=11, dirt=dirt)
    if dirt:
        nextcrm_dirt.spoil(sample, seed=11)
    mongo, pg = MongoDatabase(mongo_server), PostgresDatabase(postgres_servers("18"))
    sample.insert(mongo.db)
    job = program.Docrow(tmp_path_factory.mktemp(request.param), mongo, pg)
    job.run("migrate", "--mapping", NEXTCRM, status=1 if dirt else 0)
    yield job
    mongo.drop()
    pg.drop()


@pytest.mark.parametrize("how", [[], ["--full", "--workers", "3"]])
def test_a_good_move_passes(nextcrm, how):
    result = nextcrm.run("validate", *how, status=0)
    report = report_of(nextcrm)
    assert report["status"] == "PASS" and report["mode"] == ("full" if how else "sample")
    assert [layer["status"] for layer in report["layers"]] == ["PASS"] * 5
    assert report["documents"] > DOCUMENTS * 0.9 and report["findings"] == []
    if how:
        for table in report["tables"]:
            assert table["expected"] == table["rows"]
            assert table["collection"] is None or table["compared"] == table["rows"], table
    assert result.stdout.rstrip().splitlines()[-1] == "Everything that was found: migration-validation-report.json"


@pytest.fixture
def moved(mongo, pg18, tmp_path):
    """The small database that uses nearly everything."""
    proof.fill(mongo.db)
    (tmp_path / "proof.yaml").write_text(proof.MAPPING)
    job = program.Docrow(tmp_path, mongo, pg18)
    job.run("migrate", "--mapping", "./proof.yaml", status=1)
    job.mongo, job.pg = mongo, pg18
    return job


def test_changes_after_the_copy_are_told_apart(moved):
    db = moved.mongo.db
    db.things.update_one({"_id": 1}, {"$set": {"label": "other"}})
    db.things.insert_one({"_id": 77, "label": "new"})
    db.names.delete_one({"_id": "name 3"})
    db.users.update_one({"_id": proof.oid(101)}, {"$push": {"items": {"product": "new"}, "friend_ids": proof.oid(109)}})
    moved.run("validate", "--full", status=1)
    report = report_of(moved)
    assert report["status"] == "FAIL" and report["findings_total"] == 0 and report["drift"] >= 5, report
    assert all(f["drift"] for f in report["findings"])
    assert {layer["status"] for layer in report["layers"]} == {"PASS"}
    junit = moved.folder / "drift.xml"
    moved.run("validate", "--full", "--junit", junit, status=1)
    assert failures(junit) == {"counts": 0, "values": 0, "references": 0, "types": 0, "schema": 0, "drift": 1}
    moved.run("validate", "--full", "--allow-drift", "--junit", junit, status=0)
    assert failures(junit)["drift"] == 0
    # a fault of the copy stays one
    moved.pg.execute("UPDATE names SET count = count + 1 WHERE id = 'name 1'")
    moved.run("validate", "--full", "--allow-drift", status=1)
    report = report_of(moved)
    assert report["findings_total"] == 1
    assert [f["column"] for f in report["findings"] if not f.get("drift")] == ["count"]


def test_samples_are_random_and_repeatable_and_have_a_threshold(moved):
    moved.mongo.db.counters.insert_many({"_id": 1000 + n, "value": n} for n in range(500))
    moved.run("migrate", "--clean", "--mapping", "./proof.yaml", status=1)
    moved.pg.execute("UPDATE counters SET value = -1 WHERE id = 1007")

    def found(*options):
        moved.run("validate", "--layers", "values", *options, status={0, 1})
        counters = next(t for t in report_of(moved)["tables"] if t["table"] == "counters")
        return counters["compared"], counters["mismatched"]

    seen = {found("--sample", "20", "--seed", seed) for seed in range(12)}
    assert found("--sample", "20", "--seed", 3) == found("--sample", "20", "--seed", 3)
    assert all(20 <= compared < 120 for compared, _ in seen)
    assert {mismatched for _, mismatched in seen} == {0, 1}, "some samples have the damaged row, some do not"
    assert found("--sample", "100%") == (512, 1)
    moved.run("validate", "--sample", "100%", status=1)
    junit = moved.folder / "threshold.xml"
    moved.run("validate", "--sample", "100%", "--threshold", "99%", "--junit", junit, status=0)
    report = report_of(moved)
    assert {t["status"] for t in report["tables"]} == {"PASS"} and report["mismatched"] == 1
    assert set(failures(junit).values()) == {0}, "what passes fails in no report"
    moved.run("validate", "--full", "--threshold", "99%", status=1)
    # a mapping can say it, too
    (moved.folder / "lenient.yaml").write_text(proof.MAPPING + "\nvalidate: { threshold: 99% }\n")
    moved.run("validate", "--mapping", "./lenient.yaml", "--sample", "100%", status=0)
    assert report_of(moved)["threshold"] == 0.99
    moved.run("validate", "--mapping", "./lenient.yaml", "--sample", "100%", "--threshold", "100%", status=1)


def test_values_are_shown_on_request_only(moved):
    moved.pg.execute("UPDATE things SET label = 'SECRET OF THE ROW' WHERE label = 'thing 1'")
    moved.mongo.db.things.update_one({"_id": 1}, {"$set": {"label": "SECRET OF THE DOCUMENT"}})
    junit = moved.folder / "validation.xml"
    for options in ([], ["--log-values"]):
        result = moved.run("validate", "--full", "--junit", junit, "--json", *options, status=1)
        assert json.loads(result.stdout) == report_of(moved)
        everything = result.stdout + result.stderr + junit.read_text()
        assert ("SECRET" in everything) == bool(options)
    suites = xml.etree.ElementTree.parse(junit).getroot()
    assert [s.get("name") for s in suites] == ["counts", "values", "references", "types", "schema", "drift"]
    for name in ("migration-validation-report.json", "validation.xml"):
        assert (moved.folder / name).stat().st_mode & 0o777 == 0o600


def failures(junit):
    return {s.get("name"): int(s.get("failures")) for s in xml.etree.ElementTree.parse(junit).getroot()}


def test_the_report_is_as_documented(moved):
    """Every member that docs/validation.md names is there, and no other."""
    moved.pg.execute("UPDATE things SET label = 'x'; ALTER TABLE teams DROP CONSTRAINT teams_boss_fkey; UPDATE users SET price = 'NaN';"
                     " DELETE FROM docrow.reject WHERE fault = 'inexact'; DELETE FROM items WHERE position = 2")
    moved.mongo.db.users.update_one({"_id": proof.oid(102)}, {"$set": {"name": None}})
    moved.run("validate", "--full", "--log-values", status=1)
    report = report_of(moved)
    page = (program.ROOT / "docs" / "validation.md").read_text()
    section = page.split("## migration-validation-report.json")[1].split("\n## ")[0]
    members, of_lists = [], {}
    for row in re.findall(r"^\| (`.*?) \| (.*) \|$", section, re.M):
        names = re.findall(r"`(\w+)`", row[0])
        members += names
        if names[-1] in ("layers", "tables", "findings"):
            of_lists[names[-1]] = set(re.findall(r"`([_a-z]+)`", row[1]))
    assert set(members) == set(report)
    assert set(of_lists) == {"layers", "tables", "findings"}
    for name, documented in of_lists.items():
        actual = set().union(*(set(one) for one in report[name]))
        assert actual <= documented, (name, actual - documented)
        if name != "findings":
            assert documented - {"types", "values", "path"} <= actual | {"column"}, (name, documented - actual)
    kinds = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page.split("## Findings")[1].split("\n## ")[0], re.M))
    assert len(kinds) > 30 and all(kinds[f["kind"]] == f["layer"] for f in report["findings"])
    unfit = [f for f in report["findings"] if f["kind"] == "unfit"]
    assert [f["fault"] for f in unfit] == ["null"]


def test_types_of_what_the_documents_hold(moved):
    moved.run("validate", "--full", status=0)
    full = {t["table"]: {c["column"]: c for c in t["columns"]} for t in report_of(moved)["tables"]}
    assert full["users"]["age"]["types"] == {"int": 19, "string": 1} and full["users"]["age"]["values"] == 19
    assert full["users"]["small"]["types"] == {"int": 19, "missing": 1} and full["users"]["small"]["values"] == 20
    assert full["users"]["data"]["types"] == {"object": 19, "null": 1} and full["users"]["data"]["path"] == "data"
    assert full["counters"]["id"]["types"] == {"int": 6, "long": 6}
    assert full["items"]["product"]["types"]["string"] == full["items"]["product"]["values"] > 20
    assert full["steps"]["step"]["path"] == "visits.steps"
    # a sample looks at every document of the main tables, too
    moved.run("validate", "--sample", "3", status=0)
    sample = {t["table"]: {c["column"]: c for c in t["columns"]} for t in report_of(moved)["tables"]}
    assert sample["users"] == full["users"] and sample["things"] == full["things"]
    # so a value that goes in nowhere is seen, whether or not it is in the sample
    moved.pg.execute("DELETE FROM docrow.reject WHERE fault = 'inexact'")
    moved.run("validate", "--sample", "1", "--layers", "types", status=1)
    (misfit,) = [f for f in report_of(moved)["findings"] if f["kind"] == "misfit"]
    assert (misfit["table"], misfit["column"], misfit["detail"]) == ("users", "price", "1 of double")


def test_nothing_compared_is_no_pass(mongo, docrow, pg18):
    (docrow.folder / "proof.yaml").write_text(proof.MAPPING)
    for name in ("users", "teams", "counters", "sessions", "things", "names"):
        mongo.db.create_collection(name)
    to = ["--target", pg18.uri, "--mapping", "./proof.yaml"]
    docrow.run("migrate", *to, status=0)
    docrow.run("validate", "--full", *to, status=1)
    report = report_of(docrow)
    assert [f["kind"] for f in report["findings"]] == ["nothing_compared"] and report["match_percent"] is None
    docrow.run("validate", "--layers", "values", *to, status=1)
    docrow.run("validate", "--layers", "schema", *to, status=0)  # that much is compared
    # documents and rows are there, but they are not each other's
    mongo["names"].insert_one({"_id": "a", "count": 1})
    pg18.execute("INSERT INTO names VALUES ('b', 1)")
    docrow.run("validate", "--full", *to, status=1)
    assert {"missing_row", "extra_row", "nothing_compared"} <= {f["kind"] for f in report_of(docrow)["findings"]}


def test_missing_state_is_said_and_rejects_are_findings(moved):
    moved.pg.execute("DROP SCHEMA docrow CASCADE")
    result = moved.run("validate", "--full", "--mapping", "./proof.yaml", status=1)
    report = report_of(moved)
    assert report["has_state"] is False and report["run"] is None
    assert "there is no schema docrow on the target" in result.stdout
    kinds = {f["kind"] for f in report["findings"]}
    assert {"missing_row", "missing_element", "missing_pair", "nulled", "orphan"} <= kinds
    moved.run("validate", status=2)  # no mapping is named, and no run knows one


def test_exit_status_says_who_is_at_fault(moved):
    dead = "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300"
    moved.run("validate", "--source", dead, status=3)
    moved.run("validate", "--target", "postgresql://127.0.0.1:1/x", status=4)
    moved.run("validate", "--layers", "counts,guesses", status=2)
    moved.run("validate", "--mapping", "no-such-mapping", status=2)
    moved.mongo.db.drop_collection("things")
    moved.run("validate", status=2)


def test_a_table_that_cannot_be_read_is_an_error(moved):
    role = f"less_{moved.pg.name}"
    moved.pg.server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    with moved.pg.admin() as admin:
        admin.execute(f"GRANT USAGE ON SCHEMA docrow TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA docrow TO {role}")
    try:
        address = moved.pg.server.address(moved.pg.name, role, "x")
        assert "DR-4003" in moved.run("validate", "--target", address, status=4).stderr
    finally:
        with moved.pg.admin() as admin:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_stop_is_heard(moved):
    moved.mongo.db.counters.insert_many({"_id": 10000 + n, "value": n} for n in range(3000))
    process = moved.start("validate", "--max-rate", "100", "--progress", "json", "--layers", "counts")
    for line in process.stderr:
        if '"counters"' in line:
            break
    process.send_signal(signal.SIGINT)
    _, _ = process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_stop_while_the_target_is_away_is_a_stop(moved):
    """Whoever waits for a server and is told to stop did not lose it: 130, not 4."""
    moved.mongo.db.counters.insert_many({"_id": 10000 + n, "value": n} for n in range(3000))
    process = moved.start("validate", "--full", "--workers", "1", "--max-rate", "100", "--progress", "json")
    for line in process.stderr:
        if '"counters"' in line:
            break
    moved.pg.forget()
    with moved.pg.admin() as admin:
        admin.execute(f'ALTER DATABASE "{moved.pg.name}" CONNECTION LIMIT 0')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    for line in process.stderr:
        if "trying again for up to" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest


def test_rows_that_an_index_lost_are_not_taken_for_compared(moved):
    """Counted by a scan, but not found by their key, as after a change of collations: nobody compared them."""
    with moved.pg.admin() as admin:
        for table, key, where in (("names", "id", "count <> 2"), ("items", "user_id", "position <> 2")):
            admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey; CREATE INDEX lossy_{table} ON {table} ({key}) WHERE {where}")
            admin.execute(f"UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'lossy_{table}'::regclass")
        for setting in ("seqscan", "indexonlyscan", "bitmapscan"):
            admin.execute(f'ALTER DATABASE "{moved.pg.name}" SET enable_{setting} = off')
    moved.run("validate", "--full", "--layers", "counts,values", status=1)
    report = report_of(moved)
    assert {(f["kind"], f["table"]) for f in report["findings"]} - {("key_missing", "names"), ("key_missing", "items")} == {
        ("not_compared", "names"), ("not_compared", "items")}
    assert all("REINDEX" in f["detail"] for f in report["findings"] if f["kind"] == "not_compared")


def test_an_interrupted_validation_goes_on(moved):
    counters = moved.mongo.db.counters
    counters.insert_many({"_id": 10000 + n, "value": n, "pad": "x" * 2000} for n in range(20000))
    moved.run("migrate", "--clean", "--mapping", "./proof.yaml", status=1)
    process = moved.start("validate", "--full", "--workers", "1", "--max-rate", "3000", "--progress", "none")
    progress = moved.folder / "migration-validation-progress"
    wait_for(lambda: progress.exists() and len(progress.read_text().splitlines()) > 4, what="a chunk that is proved")
    assert progress.stat().st_mode & 0o777 == 0o600
    process.kill()
    process.communicate(timeout=30)
    lines = len(progress.read_text().splitlines())
    result = moved.run("validate", "--full", "--resume", status=0)
    assert f"{lines - 1} chunks were compared before the interruption" in result.stdout
    table = next(t for t in report_of(moved)["tables"] if t["table"] == "counters")
    assert table["compared"] == table["rows"] == 20012
    assert not progress.exists()
    moved.run("validate", "--full", "--resume", status=0)  # nothing to go on with: everything anew


def test_a_target_that_was_written_to_meanwhile(moved):
    """What was compared before an interruption counts as long as nobody wrote to the table since."""
    moved.mongo.db.counters.insert_many({"_id": 10000 + n, "value": n, "pad": "x" * 2000} for n in range(20000))
    moved.run("migrate", "--clean", "--mapping", "./proof.yaml", status=1)
    process = moved.start("validate", "--full", "--workers", "1", "--max-rate", "9000", "--progress", "none")
    progress = moved.folder / "migration-validation-progress"
    wait_for(lambda: progress.exists() and len(progress.read_text().splitlines()) > 4, what="a chunk that is proved")
    process.kill()
    process.communicate(timeout=30)
    moved.pg.execute("UPDATE counters SET value = -1 WHERE id = 10001")  # of the first chunk
    result = moved.run("validate", "--full", "--resume", status=1)
    assert "counters was written to since the interrupted validation" in result.stdout
    report = report_of(moved)
    assert [(f["kind"], f["key"]) for f in report["findings"]] == [("value", "10001")]


@pytest.mark.plain_only
def test_all_findings_are_counted(moved):
    """However many: the report lists some, and counts all."""
    moved.mongo.db.counters.insert_many({"_id": 100000 + n} for n in range(215000))
    moved.run("migrate", "--clean", "--mapping", "./proof.yaml", status=1)
    moved.pg.execute("TRUNCATE counters")
    result = moved.run("validate", "--layers", "counts", status=1)
    assert "    and 215,007 more\n    next: docrow migrate --clean moves everything anew" in result.stdout
    report = report_of(moved)
    counters = next(t for t in report["tables"] if t["table"] == "counters")
    assert counters["findings"] == {"missing_row": 215012} and report["findings_total"] == 215012
    assert len(report["findings"]) == report["findings_limit"] == 1000


def test_a_source_can_be_spared(moved):
    """--max-rate is documents a second, of all threads together."""
    moved.mongo.db.counters.insert_many({"_id": 10000 + n} for n in range(3000))
    moved.run("migrate", "--clean", "--mapping", "./proof.yaml", status=1)
    moved.run("validate", "--full", "--workers", "4", "--max-rate", "1500", status=0)
    assert report_of(moved)["seconds"] > 1.8


@pytest.mark.plain_only
def test_from_a_dump(moved):
    dump = moved.folder / "dump"
    moved.run("synth", "--mapping", NEXTCRM, "--to", dump, "--docs", "600", "--dirt", "2%", status=0)
    moved.run("migrate", "--clean", "--mapping", NEXTCRM, "--source", dump, "--max-rejects", "1000", status={0, 1})
    moved.run("validate", "--source", dump, status=0)
    moved.run("validate", "--source", dump, "--full", status=0)
