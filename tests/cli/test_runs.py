"""docrow migrate as the one who runs it sees it: summary, files, status, exit statuses, progress, signals, the way on."""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import socket
import stat
import struct
import subprocess
import termios
import time

import bson
import pytest
from lib.databases import MongoDatabase
from lib.processes import wait_for
from lib.program import BINARY

MAPPING = """
docrow: 1
collections:
  - collection: people
    table: people
    columns:
      - { name: id,   from: _id, type: uuid, primary_key: true }
      - { name: name, type: text, not_null: true, if_missing: nobody }
      - { name: age,  type: integer }
      - { name: boss, type: uuid, references: { table: people, if_orphan: ORPHANS } }
  - collection: teams
    table: teams
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
junctions:
  - table: members
    left:  { collection: teams,  path: members, column: team_id }
    right: { collection: people, path: teams,   column: person_id }
"""
SECRET_VALUE = "a value that stays in the database"


def ids(n):
    return [bson.ObjectId() for _ in range(n)]


def fill(mongo, n=300, clean=True):
    """n people in ten teams; when not clean: one age too large, one boss who is nobody, one dangling member."""
    people, teams = ids(n), ids(10)
    documents = [
        {"_id": p, "name": SECRET_VALUE, "age": i, "boss": people[0], "teams": [teams[i % 10]], "hobby": SECRET_VALUE}
        for i, p in enumerate(people)
    ]
    members = [{"_id": t, "members": people[k::10]} for k, t in enumerate(teams)]
    del documents[5]["name"]
    if not clean:
        documents[7]["age"] = 2**40
        documents[9]["boss"] = bson.ObjectId()
        members[3]["members"].append(bson.ObjectId())
    mongo["people"].insert_many(documents)
    mongo["teams"].insert_many(members)


@pytest.fixture
def job(docrow):
    (docrow.folder / "m.yaml").write_text(MAPPING.replace("ORPHANS", '"null"'))
    return docrow


def migrate(job, *arguments, **options):
    return job.run("migrate", "--mapping", "./m.yaml", *arguments, **options)


def row_of(summary, name):
    """The numbers behind a name in a table of the summary."""
    line = re.search(rf"^{re.escape(name)} +(.*)$", summary, re.MULTILINE)
    assert line, summary
    return line[1].split()


def test_clean_run(job, mongo, pg15):
    fill(mongo)
    result = migrate(job, status=0)
    assert result.stdout.startswith("Run 1: done   310 documents;")
    assert row_of(result.stdout, "people")[:4] == ["300", "300", "-", "-"]
    assert row_of(result.stdout, "members") == ["300", "300", "300", "-", "-"]
    assert "300  people.hobby" in result.stdout
    assert "1  people.name  (missing fields filled by if_missing)" in result.stdout
    assert re.search(r"All \d+ checks hold", result.stdout)
    assert "Point the application at the target" in result.stdout
    assert pg15.one("SELECT count(*) FROM members") == 300
    assert SECRET_VALUE not in result.stdout + result.stderr


def test_dirty_run(job, mongo, pg15):
    fill(mongo, clean=False)
    result = migrate(job, status=1)
    assert row_of(result.stdout, "people")[:4] == ["300", "299", "1", "-"]
    # The rejected person's pairs and the dangling one go; both sides named 299 pairs, one side one more each.
    pairs, rows, *_, orphans = row_of(result.stdout, "members")
    assert (pairs, rows, orphans) == ("301", "299", "2")
    assert "1  people.boss  (orphan references set to NULL)" in result.stdout
    assert "1  range  people.age (long)" in result.stdout
    assert re.search(r"All \d+ checks hold", result.stdout)

    patterns = job.run("rejects", status=0).stdout
    assert re.search(r"^ +1  DR-F04 range  people\.age \(long\)$", patterns, re.MULTILINE)
    listed = [json.loads(line) for line in job.run("rejects", "list", "--json", status=0).stdout.splitlines()]
    assert [(r["collection"], r["path"], r["fault"], r["bson_type"]) for r in listed] == [("people", "age", "range", "long")]
    assert job.run("rejects", "list", "--collection", "teams", status=0).stdout == ""
    for text in [result.stdout, result.stderr, patterns, json.dumps(listed)]:
        assert SECRET_VALUE not in text and str(2**40) not in text


def test_pages_are_coloured_only_where_wanted(job, mongo, pg15):
    """The results, too: CLICOLOR_FORCE is for those who page them."""
    fill(mongo)
    commands = (["check", "--mapping", "./m.yaml"], ["migrate", "--mapping", "./m.yaml"], ["validate"])
    for arguments in commands:
        assert "\033[1m" in job.run(*arguments, status=0, env={"CLICOLOR_FORCE": 1}).stdout, arguments
        if arguments[0] == "migrate":
            arguments = [*arguments, "--clean"]
        assert "\033" not in job.run(*arguments, status=0, env={"CLICOLOR_FORCE": 1, "NO_COLOR": 1}).stdout
        assert "\033" not in job.run(*arguments, status=0).stdout


def test_kept_orphans_are_not_clean(job, mongo, pg15):
    fill(mongo, clean=False)
    mongo["people"].update_many({"age": 2**40}, {"$set": {"age": 1}})
    mongo["teams"].update_many({}, {"$pull": {"members": {"$nin": [d["_id"] for d in mongo["people"].find({}, {"_id": 1})]}}})
    (job.folder / "m.yaml").write_text(MAPPING.replace("ORPHANS", "keep"))
    result = migrate(job, status=1)
    assert "FOREIGN KEYS LEFT NOT VALID" in result.stdout
    assert "people_boss_fkey on people" in result.stdout
    assert "1  people.boss  (orphan references kept)" in result.stdout


def test_files(job, mongo, pg15):
    fill(mongo, clean=False)
    (job.folder / "logs").mkdir()
    migrate(job, "--log-dir", "logs", status=1)
    files = sorted((job.folder / "logs").iterdir())
    assert [f.name for f in files] == ["migration-checkpoint.json", "migration-errors.log"]
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)
    checkpoint = json.loads(files[0].read_text())
    assert checkpoint["format"] == 1 and checkpoint["phase"] == "done" and checkpoint["status"] == "done"
    assert checkpoint["documents"] == 310 and checkpoint["rejects"] == 1 and checkpoint["resume"] is None
    people = next(c for c in checkpoint["collections"] if c["collection"] == "people")
    assert people["rows"] == 299 and people["rejects"] == 1 and people["chunks"] == people["chunks_done"]
    lines = [json.loads(line) for line in files[1].read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["reject", "pattern", "end"]
    assert lines[0]["reject"] == pg15.one("SELECT id FROM docrow.reject")
    assert lines[2] == {"kind": "end", "rejects": 1, "open": 1, "not_listed": 0, "patterns": 1}
    assert SECRET_VALUE not in files[0].read_text() + files[1].read_text()


def test_files_that_cannot_be_written_do_not_fail_the_run(job, mongo, pg15):
    fill(mongo)
    result = migrate(job, "--log-dir", "no/such/folder", status=0)
    assert result.stderr.count("docrow: warning: cannot write no/such/folder/migration-") == 2


def test_status(job, mongo, pg15):
    assert "there is no run" in job.run("status", status=0).stdout
    assert json.loads(job.run("status", "--json", status=0).stdout) == {"run": None}
    assert "DR-2203" in job.run("rejects", status=2).stderr
    fill(mongo, clean=False)
    migrate(job, status=1)
    text = job.run("status", status=0).stdout
    assert re.search(r"^run +1: done, phase done$", text, re.MULTILINE)
    assert re.search(r"^documents 310 of about 310$", text, re.MULTILINE)
    assert "Go on with" not in text
    facts = json.loads(job.run("status", "--json", status=0).stdout)
    assert facts["status"] == "done" and facts["documents"] == 310 and facts["resume"] is None
    assert facts["steps"] == facts["steps_done"] > 5


def test_finished_run_is_not_run_again(job, mongo, pg15):
    fill(mongo)
    migrate(job, status=0)
    assert "DR-2206" in migrate(job, status=2).stderr
    assert "DR-2206" in job.run("migrate", "--resume", status=2).stderr
    result = migrate(job, "--clean", status=0)
    assert result.stdout.startswith("Run 2: done")
    result = job.run("migrate", "--clean-only", status=0)
    assert "taken back" in result.stderr and "documents" not in result.stderr
    assert pg15.tables() == []
    assert "nothing to take back" in job.run("migrate", "--clean-only", status=0).stderr


# --- progress ---


def test_progress_json(job, mongo, pg15):
    fill(mongo, clean=False)
    result = migrate(job, "--progress", "json", status=1)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [e["phase"] for e in events if e["event"] == "phase"][-1] == "done"
    assert {e["collection"]["collection"] for e in events if e["event"] == "collection"} == {"people", "teams"}
    last = [e for e in events if e["event"] == "progress"][-1]
    assert last["documents"] == 310 and last["rejects"] == 1 and last["steps"] == last["steps_done"]
    assert events[-1]["event"] == "end" and events[-1]["status"] == "done"
    assert all(e["time"].endswith("Z") for e in events)


def test_errors_as_json(job, pg15, mongo):
    result = migrate(job, "--progress", "json", status=2)
    (event,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert event["event"] == "error" and event["code"] == "DR-2104" and event["exit_status"] == 2


def test_progress_plain_and_none(job, mongo, pg15):
    fill(mongo)
    lines = migrate(job, "--progress", "plain", status=0).stderr.splitlines()
    assert any(re.match(r"people: 300 documents, .*s$", line) for line in lines)
    assert re.match(r"done: \d+ of \d+ steps$", lines[-1])
    for option in ["--progress=none", "--quiet"]:
        assert migrate(job, "--clean", option, status=0).stderr == ""


def on_terminal(job, *arguments, columns=80, rows=24):
    """Runs docrow with stderr on a terminal of this size; returns exit status, stdout and what the terminal got."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = job.start(*arguments, env={"TERM": "xterm"}, stderr=terminal)
    os.close(terminal)
    seen = b""
    try:
        while part := os.read(controller, 65536):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(controller)
    stdout, _ = process.communicate(timeout=60)
    return process.returncode, stdout, seen.decode()


@pytest.mark.parametrize("columns, rows", [(80, 24), (40, 10), (132, 50)])
def test_progress_on_a_terminal(job, mongo, pg15, columns, rows):
    fill(mongo)
    status, stdout, seen = on_terminal(job, "migrate", "--mapping", "./m.yaml", columns=columns, rows=rows)
    assert status == 0 and stdout.startswith("Run 1: done")
    assert "2 of 2 collections loaded" in seen and "\033[" in seen and "█" in seen
    plain = re.sub(r"\033\[[0-9;]*[A-Za-z]", "", seen)
    assert max(len(line.strip("\r")) for line in plain.split("\n")) < columns


# --- stopping and going on ---


def loaded(pg):
    """Documents in chunks that are done; -1 while there is no state yet."""
    try:
        return pg.one("SELECT coalesce(sum(docs), 0)::int FROM docrow.chunk WHERE state = 'done'")
    except Exception:  # noqa: BLE001 - schema docrow is on its way
        return -1


SLOW = ["--batch-size", "1", "--workers", "2"]  # a transaction for each document
# Of a run that is to be stopped under way: 15 s of work, so that a test which a busy machine keeps waiting is not too late.
# The way on has no need of it.
PACE = {"DOCROW_MAX_RATE": "100"}


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_and_the_way_on(job, mongo, pg15, with_signal):
    fill(mongo, 1500)
    result = job.kill_when(
        lambda: loaded(pg15) > 20, "migrate", "--mapping", "./m.yaml", *SLOW, with_signal=with_signal, env=PACE
    )
    assert result.status == 130, result
    assert "docrow: stopping: the work in hand is finished or rolled back" in result.stderr
    assert "chunks are left for later" in result.stderr
    way_on = re.search(r"Go on with:\n  (.*)$", result.stderr, re.MULTILINE)[1]
    assert way_on == f"{BINARY} migrate --resume --mapping ./m.yaml --workers 2 --batch-size 1"
    checkpoint = json.loads((job.folder / "migration-checkpoint.json").read_text())
    assert checkpoint["status"] == "stopped" and checkpoint["resume"] == way_on
    assert 0 < checkpoint["documents"] == loaded(pg15) < 1510
    status = job.run("status", status=0).stdout
    assert re.search(r"^run +1: stopped, phase load$", status, re.MULTILINE)
    assert f"Go on with: {BINARY} migrate --resume" in status

    resumed = subprocess.run(
        shlex.split(way_on), cwd=job.folder, env=job.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert row_of(resumed.stdout, "people")[:2] == ["1,500", "1,500"]
    assert pg15.one("SELECT count(*) FROM people") == 1500


@pytest.mark.parametrize(
    "command, answer",
    [
        (["migrate", *SLOW], "the work in hand is finished"),
        (["check", "--scan", "full"], "nothing is left behind"),
        (["validate", "--full"], "kept for --resume"),
    ],
    ids=["migrate", "check", "validate"],
)
def test_a_stop_is_answered_within_a_second(job, mongo, pg15, command, answer):
    fill(mongo, 1500)
    if command[0] == "validate":
        migrate(job, status=0)

    def answered_after():
        process = job.start(*command, "--mapping", "./m.yaml", "--progress", "json", "--max-rate", "100")
        for line in process.stderr:
            if '"documents":' in line and '"documents":0,' not in line:
                break
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "stopping: " in line:
                break
        answered = time.monotonic() - asked
        process.communicate(timeout=60)
        assert process.returncode == 130 and answer in line
        return answered

    # A busy machine may make it later, but not each time.
    for _ in range(3):
        if answered_after() < 1:
            return
        if command[0] == "migrate":
            job.run("migrate", "--clean-only", status=0)
    pytest.fail("three times it took longer than a second")


def test_status_of_a_run_that_another_process_does(job, mongo, pg15):
    """While it runs, after it was killed, and after it stopped at a limit."""
    fill(mongo, 1500)
    process = job.start("migrate", "--mapping", "./m.yaml", "--lease", "5", *SLOW, env=PACE)
    try:
        wait_for(lambda: loaded(pg15) > 20, 60, "rows")
        facts = json.loads(job.run("status", "--json", status=0).stdout)
        assert (facts["status"], facts["phase"], facts["resume"]) == ("running", "load", None)
        assert 20 < facts["documents"] < facts["expected"] == 1510
        people = next(c for c in facts["collections"] if c["collection"] == "people")
        assert 0 < people["chunks_done"] < people["chunks"] and people["rows"] > 0
        assert len(facts["workers"]) == 2
        for worker in facts["workers"]:
            assert (worker["process"], worker["host"], worker["alive"]) == (process.pid, socket.gethostname(), True)
            assert 0 <= worker["heartbeat_age"] < 5
        assert re.search(rf"{socket.gethostname()}.*{process.pid}", job.run("status", status=0).stdout)
    finally:
        process.kill()
        process.communicate()

    def seen():
        return json.loads(job.run("status", "--json", status=0).stdout)

    wait_for(lambda: seen()["status"] == "interrupted", 60, "the end of the leases")
    facts = seen()
    assert not any(w["alive"] for w in facts["workers"]) and facts["rate"] == 0
    assert facts["resume"].endswith("migrate --resume")
    mongo["people"].update_many({}, {"$set": {"age": "old"}})
    job.run("migrate", "--resume", "--max-rejects", "3", status=1)
    facts = seen()
    assert facts["error"].startswith("DR-1001") and "--max-rejects N" in facts["resume"]
    assert re.search(r"^error +DR-1001", job.run("status", status=0).stdout, re.MULTILINE)


def test_resume_needs_no_mapping_and_refuses_another(job, mongo, pg15):
    fill(mongo, 1500)
    job.kill_when(
        lambda: loaded(pg15) > 20, "migrate", "--mapping", "./m.yaml", *SLOW, with_signal=signal.SIGINT, env=PACE
    )
    (job.folder / "other.yaml").write_text(MAPPING.replace("ORPHANS", "reject"))
    assert "DR-2204" in job.run("migrate", "--resume", "--mapping", "./other.yaml", status=2).stderr
    assert "DR-2202" in migrate(job, status=2).stderr
    assert job.run("migrate", "--resume", status=0).stdout.startswith("Run 1: done")


class StuckRun:
    """A run whose source has stopped answering in the middle."""

    def __init__(self, docrow, mongo, pg):
        fill(mongo, 1500)
        (docrow.folder / "m.yaml").write_text(MAPPING.replace("ORPHANS", '"null"'))
        self.log = docrow.folder / "stderr"
        with open(self.log, "w") as log:
            self.process = docrow.start("migrate", "--mapping", "./m.yaml", *SLOW, "--lease", "2", stderr=log, env=PACE)
        self.wait_until(lambda: loaded(pg) > 20, "the first chunks")
        assert self.process.poll() is None, self.stderr()
        mongo.server.pause()

    def stderr(self):
        return self.log.read_text()

    def wait_until(self, condition, what):
        wait_for(lambda: self.process.poll() is not None or condition(), 60, what)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def ends_with_the_way_on(self, within, at_once=False):
        started = time.monotonic()
        self.process.wait(timeout=30)
        seconds = time.monotonic() - started
        assert self.process.returncode == 130, self.stderr()
        assert seconds < within, f"{seconds:.1f} s: {self.stderr()}"
        if at_once:
            assert "did not end in time" not in self.stderr()
        assert "migrate --resume --mapping ./m.yaml" in self.stderr()


@pytest.fixture
def own_mongo(make_mongo):
    return MongoDatabase(make_mongo())


def goes_on(docrow, mongo, pg):
    mongo.server.proceed()
    docrow.run("migrate", "--resume", status=0)
    assert pg.one("SELECT count(*) FROM people") == 1500


def test_stop_while_the_source_does_not_answer(make_docrow, own_mongo, pg15):
    docrow = make_docrow(own_mongo, pg15)
    run = StuckRun(docrow, own_mongo, pg15)
    run.interrupt()
    run.ends_with_the_way_on(within=12)
    goes_on(docrow, own_mongo, pg15)


def test_second_signal_leaves_at_once(make_docrow, own_mongo, pg15):
    docrow = make_docrow(own_mongo, pg15)
    run = StuckRun(docrow, own_mongo, pg15)
    run.interrupt()
    run.wait_until(lambda: "docrow: stopping" in run.stderr(), "the answer to the first signal")
    run.interrupt()
    run.ends_with_the_way_on(within=12, at_once=True)
    assert "left at once; that is safe" in run.stderr() or "docrow: stopped; nothing is lost" in run.stderr()
    goes_on(docrow, own_mongo, pg15)


# --- secrets ---


def test_no_password_anywhere(make_docrow, mongo, pg15):
    """The servers need none; what counts is that one in the address goes nowhere."""
    fill(mongo, clean=False)
    user, secret, rest = re.match(r"postgresql://([^:@/]+)(?::([^@]*))?@(.*)", pg15.uri).groups()
    secret = secret or "top%2Fsecret"
    docrow = make_docrow(mongo, pg15)
    (docrow.folder / "m.yaml").write_text(MAPPING.replace("ORPHANS", '"null"'))
    target = f"postgresql://{user}:{secret}@{rest}"
    texts = []
    for arguments in [["migrate", "--mapping", "./m.yaml", "--verbose"], ["status"], ["status", "--json"], ["rejects"]]:
        result = docrow.run(*arguments, "--target", target, status={0, 1})
        texts += [result.stdout, result.stderr]
    texts += [f.read_text() for f in docrow.folder.glob("migration-*")]
    texts += [str(row) for table in ["run", "worker", "chunk", "step"] for row in pg15.query(f"SELECT * FROM docrow.{table}")]
    assert len(texts) > 10
    for text in texts:
        assert secret not in text
