"""Bad input: each gets one clear message (what, why, what next), the right exit status, and leaves nothing half done."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import bson
import psycopg
import psycopg.sql
import pytest
from lib import processes, servers
from lib.databases import PostgresDatabase
from lib.program import Docrow, Result

MAPPING = """
docrow: 1
enums:
  - { name: mood, labels: [good, bad] }
collections:
  - collection: things
    table: things
    columns:
      - { name: id,   from: _id, type: uuid, primary_key: true }
      - { name: n,    type: integer }
      - { name: mood, type: mood }
  - collection: others
    table: others
    optional: true
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: t,  type: text }
"""
DOCUMENTS = 500
SECRET = "pass/word@%40"


class Complaint:
    """The one message of a failed run, taken apart."""

    def __init__(self, result):
        self.result = result
        text = result.stderr
        errors = re.findall(r"^docrow: error (DR-\d{4}): (.*)$", text, re.MULTILINE)
        assert len(errors) == 1, f"exactly one error is told: {result}"
        self.code, self.message = errors[0]
        self.detail = self._part(text, "detail")
        self.hint = self._part(text, "hint")
        assert self.message and not self.message.endswith("."), result
        assert self.hint, f"it says what to do next: {result}"
        assert SECRET not in result.stdout + text, result

    @staticmethod
    def _part(text, label):
        found = re.search(rf"^  {label}: (.*(?:\n    .*)*)", text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def text(self):
        return f"{self.message}\n{self.detail}\n{self.hint}"


def fails(docrow, status, code, *arguments, **options):
    """Runs it; it must end with this status and this one message."""
    result = docrow.run(*(arguments or ("migrate", "--mapping", "./m.yaml")), status=status, **options)
    complaint = Complaint(result)
    assert complaint.code == code, result
    return complaint


def untouched(pg):
    """Nothing of docrow's is on the target."""
    assert pg.tables() == [] and pg.query("SELECT 1 FROM pg_type WHERE typname = 'mood'") == []
    assert pg.query("SELECT nspname FROM pg_namespace WHERE nspname = 'docrow'") == []


def works(docrow, pg, *arguments):
    """The same job, once the trouble is mended, ends well."""
    docrow.run("migrate", "--mapping", "./m.yaml", *arguments, status=0)
    assert pg.one("SELECT count(*) FROM things") == DOCUMENTS


@pytest.fixture
def things(mongo):
    mongo["things"].insert_many([{"n": i, "mood": "good"} for i in range(DOCUMENTS)])
    return mongo


@pytest.fixture
def job(docrow, things):
    (docrow.folder / "m.yaml").write_text(MAPPING)
    return docrow


def at(job, mongo=None, pg=None):
    """The same job with another address."""
    other = Docrow(job.folder)
    other.environment = dict(job.environment)
    if mongo:
        other.environment["MONGODB_URI"] = mongo
    if pg:
        other.environment["DATABASE_URL"] = pg
    return other


# --- the command line and the settings ---


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["migrate", "--no-such-option"], "DR-2001"),
        (["migrat"], "DR-2001"),
        (["migrate", "--workers", "0"], "DR-2002"),
        (["migrate", "--workers", "many"], "DR-2002"),
    ],
)
def test_command_line(job, pg15, arguments, code):
    fails(job, 2, code, *arguments)
    untouched(pg15)


def test_no_target(job):
    job.environment.pop("DATABASE_URL")
    complaint = fails(job, 2, "DR-2003")
    assert "DATABASE_URL" in complaint.text


def test_no_source(job, pg15):
    job.environment.pop("MONGODB_URI")
    complaint = fails(job, 2, "DR-2003")
    assert "MONGODB_URI" in complaint.text
    untouched(pg15)


# --- the mapping ---


def test_unknown_mapping(job, pg15):
    complaint = fails(job, 2, "DR-2102", "migrate", "--mapping", "no-such-mapping")
    assert "no-such-mapping" in complaint.text
    untouched(pg15)


def test_all_errors_of_a_mapping_at_once(job, pg15):
    broken = MAPPING.replace("type: integer", "type: decimal(3,9)").replace("optional: true", "optional: perhaps")
    broken = broken.replace("{ name: t,  type: text }", "{ name: t, type: text, colour: red }")
    (job.folder / "m.yaml").write_text(broken)
    complaint = fails(job, 2, "DR-2101")
    lines = broken.splitlines()
    for word in ("decimal", "perhaps", "colour"):
        number = 1 + next(i for i, line in enumerate(lines) if word in line)
        assert re.search(rf"m\.yaml:{number}:\d+:", complaint.result.stderr), (word, complaint.result)
    untouched(pg15)


# --- the source ---


def test_source_address(job, pg15):
    fails(at(job, mongo="mongodb://127.0.0.1:notaport/x"), 3, "DR-3007")
    untouched(pg15)


def test_source_unreachable(job, pg15):
    port = processes.free_port()
    complaint = fails(at(job, mongo=f"mongodb://someone:{'secret'}@127.0.0.1:{port}/nextcrm"), 3, "DR-3001")
    where = f"(host 127.0.0.1:{port}, database nextcrm, user someone of database nextcrm, no TLS)"
    assert where in " ".join(complaint.detail.split())
    assert "secret" not in complaint.result.stderr
    address = f"mongodb://127.0.0.1:{port},127.0.0.1:1/nextcrm?replicaSet=rs7&tls=true&serverSelectionTimeoutMS=500"
    complaint = fails(at(job, mongo=address), 3, "DR-3001")
    where = f"(host 127.0.0.1:{port}, 127.0.0.1:1, database nextcrm, replica set rs7, no user, TLS)"
    assert where in " ".join(complaint.detail.split()) and "allow-list" in complaint.hint
    untouched(pg15)


def test_source_host_unknown(job, pg15):
    complaint = fails(at(job, mongo="mongodb://no-such-host.invalid/nextcrm"), 3, "DR-3001")
    assert "no-such-host.invalid" in complaint.text
    untouched(pg15)


@pytest.fixture(scope="module")
def guarded(session_folder):
    """A mongod that checks users, shared by the tests of this file."""

    server = servers.Mongo(session_folder / "guarded-mongo", auth=True).start()
    server.client.shop.things.insert_many([{"n": i, "mood": "good"} for i in range(DOCUMENTS)])
    server.add_user("reader", SECRET, [{"role": "read", "db": "shop"}])
    server.add_user("stranger", SECRET, [{"role": "read", "db": "elsewhere"}])
    yield server
    server.stop()


def test_source_password(job, pg15, guarded):
    complaint = fails(at(job, mongo=guarded.address("shop", "reader", "wrong")), 3, "DR-3002")
    assert "reader" in complaint.text and f"host 127.0.0.1:{guarded.port}, database shop" in complaint.detail
    assert "authSource=admin" in complaint.hint
    untouched(pg15)
    works(at(job, mongo=guarded.address("shop", "reader", SECRET)), pg15)


def test_source_without_user(job, pg15, guarded):
    result = at(job, mongo=guarded.address("shop")).run("migrate", "--mapping", "./m.yaml", status=3)
    assert Complaint(result).code in ("DR-3002", "DR-3003")
    untouched(pg15)


def test_source_privileges(job, pg15, guarded):
    complaint = fails(at(job, mongo=guarded.address("shop", "stranger", SECRET)), 3, "DR-3003")
    assert "not authorized on shop" in complaint.detail
    assert "execute command" not in complaint.detail  # it would go on with the whole command, signatures and all
    assert "read" in complaint.hint
    untouched(pg15)


def test_source_that_may_not_be_listed(job, pg15, guarded):
    """A user with the right to read one collection, and none to list them."""
    things = {"resource": {"db": "shop", "collection": "things"}, "actions": ["find"]}
    guarded.client.shop.command("createRole", "things_only", privileges=[things], roles=[])
    guarded.client.shop.others.insert_one({"t": "not to be seen"})
    guarded.add_user("narrow", SECRET, [{"role": "things_only", "db": "shop"}])
    narrow = at(job, mongo=guarded.address("shop", "narrow", SECRET))
    result = narrow.run("migrate", "--mapping", "./m.yaml", status=0)
    assert pg15.one("SELECT count(*) FROM things") == DOCUMENTS
    for text in (result.stdout, result.stderr):
        assert " ".join(text.split()).count("the user may not list the database's collections") == 1
    (job.folder / "m.yaml").write_text(MAPPING.replace("    optional: true\n", ""))
    complaint = fails(narrow, 2, "DR-2103", "migrate", "--clean", "--mapping", "./m.yaml")
    assert "others" in complaint.detail


def test_source_in_no_working_replica_set(job, pg15, session_folder):

    server = servers.Mongo(session_folder / "uninitiated-mongo")
    server.data.mkdir(exist_ok=True)
    server.launch_on_free_port()
    try:
        complaint = fails(at(job, mongo=server.address("shop", serverSelectionTimeoutMS=1500)), 3, "DR-3001")
        assert "no working replica set" in complaint.hint
    finally:
        server.stop()
    untouched(pg15)


class Renamed:
    """A way to a replica set whose members go by names that mean nothing here: bytes are passed on, and in the answers the
    member's name is another one."""

    def __init__(self, server):
        inside = f"127.0.0.1:{server.port}".encode()
        self.name = f"db-in.bad:{server.port}".encode()
        assert len(inside) == len(self.name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server, self.inside = server, inside
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.server.port))
                for pair in ((here, there, None), (there, here, (self.inside, self.name))):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    @staticmethod
    def pump(source, sink, names):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data.replace(*names) if names else data)
            sink.shutdown(socket.SHUT_WR)


def test_members_that_cannot_be_reached_by_name(job, pg15, things):
    way = Renamed(things.server)
    address = f"mongodb://127.0.0.1:{way.port}/{things.name}?replicaSet=rs0&serverSelectionTimeoutMS=1500"
    complaint = fails(at(job, mongo=address), 3, "DR-3001")
    assert way.name.decode() in complaint.hint and "directConnection=true" in complaint.hint
    untouched(pg15)
    works(at(job, mongo=address.replace("replicaSet=rs0", "directConnection=true")), pg15)
    way.listener.close()


def test_wrong_database_name(job, pg15, mongo):
    complaint = fails(at(job, mongo=mongo.server.address("nextcmr")), 2, "DR-2104")
    assert "nextcmr" in complaint.text
    untouched(pg15)


def test_a_mapped_collection_is_missing(job, pg15):
    text = MAPPING.replace("    optional: true\n", "")
    (job.folder / "m.yaml").write_text(text)
    complaint = fails(job, 2, "DR-2103")
    assert "others" in complaint.text and "optional" in complaint.text
    untouched(pg15)


def test_one_shard_of_a_cluster(job, pg15, make_mongo):
    server = make_mongo(extra=["--shardsvr"])
    server.client.shop.things.insert_one({"n": 1})
    fails(at(job, mongo=server.address("shop")), 3, "DR-3006")
    untouched(pg15)


# --- the target ---


def test_target_address(job):
    fails(at(job, pg="postgresql://127.0.0.1:notaport/x"), 4, "DR-4012")


def test_target_unreachable(job):
    port = processes.free_port()
    complaint = fails(at(job, pg=f"postgresql://someone:secret@127.0.0.1:{port}/nextcrm"), 4, "DR-4001")
    assert str(port) in complaint.text
    assert "secret" not in complaint.result.stderr


def test_target_password(job, pg15):
    complaint = fails(at(job, pg=pg15.server.address(pg15.name, "docrow", "wrong-word")), 4, "DR-4002")
    assert "docrow" in complaint.text and "wrong-word" not in complaint.result.stderr
    untouched(pg15)


def test_target_database_missing(job, pg15):
    complaint = fails(at(job, pg=pg15.server.address("no_such_database")), 4, "DR-4001")
    assert "no_such_database" in complaint.text


@pytest.mark.skipif(not servers.POSTGRES_KINDS["12"]().exists(), reason="no PostgreSQL 12 (tests/servers-npm.txt)")
def test_target_too_old(job, make_postgres):
    server = make_postgres("12")
    complaint = fails(at(job, pg=server.address("postgres")), 4, "DR-4004")
    assert "PostgreSQL 12" in complaint.text and "13 or later" in complaint.hint
    complaint = at(job, pg=server.address("postgres")).run("check", "--mapping", "./m.yaml", status=4)
    assert "DR-4004" in complaint.stdout
    with server.connect() as admin:
        assert admin.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'docrow'").fetchall() == []


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_target_encoding(job, pg15, encoding):
    other = PostgresDatabase(pg15.server, options=f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        complaint = fails(at(job, pg=other.uri), 4, "DR-4005")
        assert encoding in complaint.text and "UTF8" in complaint.text
        untouched(other)
    finally:
        other.drop()


@pytest.fixture
def limited(pg15):
    """A role that may connect and nothing else; `uri` is its address."""
    name = f"limited_{pg15.name}"
    with pg15.admin() as admin:
        admin.execute(
            psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                psycopg.sql.Identifier(name), psycopg.sql.Literal(SECRET)
            )
        )
    yield name, pg15.server.address(pg15.name, name, SECRET)
    with pg15.admin() as admin:
        admin.execute(psycopg.sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(psycopg.sql.Identifier(name)))


def test_no_right_to_create_schema_docrow(job, pg15, limited):
    """The message has the SQL for the administrator, and once that is run, the move goes through."""
    name, uri = limited
    with pg15.admin() as admin:
        admin.execute(psycopg.sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(psycopg.sql.Identifier(name)))
    complaint = fails(at(job, pg=uri), 4, "DR-4006")
    untouched(pg15)
    statements = re.findall(r"((?:CREATE SCHEMA|GRANT|ALTER)\b[^;]*;)", complaint.hint)
    assert any(s.startswith("CREATE SCHEMA") for s in statements), complaint.result
    with pg15.admin() as admin:
        for statement in statements:
            admin.execute(statement)
    at(job, pg=uri).run("migrate", "--mapping", "./m.yaml", status=0)
    with psycopg.connect(uri) as c:
        assert c.execute("SELECT count(*) FROM things").fetchone() == (DOCUMENTS,)


def test_no_right_to_create_tables(job, pg15, limited):
    name, uri = limited
    with pg15.admin() as admin:
        admin.execute(
            psycopg.sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                psycopg.sql.Identifier(pg15.name), psycopg.sql.Identifier(name)
            )
        )
    complaint = fails(at(job, pg=uri), 4, "DR-4003")
    assert "public" in complaint.text
    untouched(pg15)


def test_target_is_read_only(job, pg15):
    pg15.execute(f'ALTER DATABASE "{pg15.name}" SET default_transaction_read_only = on')
    complaint = fails(job, 4, "DR-4010")
    assert "default_transaction_read_only" in complaint.text and "ALTER DATABASE" in complaint.hint
    pg15.execute("SET default_transaction_read_only = off")
    pg15.execute(f'ALTER DATABASE "{pg15.name}" RESET default_transaction_read_only')
    untouched(pg15)
    works(job, pg15)


def test_patience_ends_while_others_find_nothing_to_do(job, pg15):
    """A statement that fails again and again in a way that may pass: workers that only ask for work meanwhile do not
    make it wait anew each time."""
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.4);"
            " RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END$$;"
            " CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN TAG IN ('ALTER TABLE')"
            " EXECUTE FUNCTION full_disk()"
        )
    options = ("--retry-for", "2", "--workers", "3", "--index-jobs", "3")
    started = time.monotonic()
    complaint = fails(job, 4, "DR-4008", "migrate", "--mapping", "./m.yaml", *options)
    assert time.monotonic() - started < 20
    assert "room" in complaint.hint
    with pg15.admin() as admin:
        admin.execute("DROP EVENT TRIGGER full_disk")
    job.run("migrate", "--mapping", "./m.yaml", "--resume")


def test_existing_tables_all_named_with_their_rows(job, pg15):
    pg15.execute("CREATE TABLE things (mine text)")
    pg15.execute("INSERT INTO things SELECT 'precious' FROM generate_series(1, 7)")
    pg15.execute("CREATE TABLE others (mine text)")
    complaint = fails(job, 4, "DR-4015")
    assert "table things has no column id" in complaint.text and "table others has no column id" in complaint.text
    assert "table things holds 7 rows already" in complaint.result.stderr
    # Said to be docrow's own, it is the tables themselves that stand in the way.
    complaint = fails(job, 4, "DR-4007", "migrate", "--mapping", "./m.yaml", "--target-tables", "owned")
    assert "things" in complaint.text and "others" in complaint.text and "7" in complaint.text
    assert pg15.one("SELECT count(*) FROM things WHERE mine = 'precious'") == 7
    assert pg15.tables() == ["others", "things"]
    # --clean takes back what docrow made; this it did not make.
    fails(job, 4, "DR-4015", "migrate", "--mapping", "./m.yaml", "--clean")
    assert pg15.one("SELECT count(*) FROM things") == 7
    pg15.execute("DROP TABLE things, others")
    works(job, pg15)


def test_existing_type(job, pg15):
    pg15.execute("CREATE TYPE mood AS ENUM ('mine')")
    complaint = fails(job, 4, "DR-4007")
    assert "mood" in complaint.text
    assert pg15.tables() == []
    pg15.execute("DROP TYPE mood")
    works(job, pg15)


# --- runs ---


def test_resume_without_a_run(job, pg15):
    fails(job, 2, "DR-2203", "migrate", "--mapping", "./m.yaml", "--resume")
    untouched(pg15)


def test_finished_run(job, pg15):
    works(job, pg15)
    before = pg15.contents()
    fails(job, 2, "DR-2206", "migrate", "--mapping", "./m.yaml", "--resume")
    result = job.run("migrate", "--mapping", "./m.yaml", status={2, 4})
    assert "--clean" in Complaint(result).hint
    assert pg15.contents() == before
    works(job, pg15, "--clean")


def stop_in_the_middle(job, mongo, pg):
    """A run that stopped because of too many rejects; returns its complaint."""
    mongo["things"].update_many({"n": {"$gte": DOCUMENTS - 50}}, {"$set": {"mood": "indifferent"}})
    return fails(job, 1, "DR-1001", "migrate", "--mapping", "./m.yaml", "--max-rejects", "10", "--batch-size", "50")


def test_too_many_rejects_stop_the_run_resumable(job, things, pg15):
    complaint = stop_in_the_middle(job, things, pg15)
    assert "things" in complaint.text and "10" in complaint.text and "--resume" in complaint.result.stderr
    job.run("migrate", "--mapping", "./m.yaml", "--resume", "--max-rejects", "1000", status=1)
    assert pg15.one("SELECT count(*) FROM things") == DOCUMENTS - 50
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'label'") == 50


def test_unfinished_run_is_not_overrun(job, things, pg15):
    stop_in_the_middle(job, things, pg15)
    complaint = fails(job, 2, "DR-2202")
    assert "--resume" in complaint.hint and "--clean" in complaint.hint


def test_resume_refuses_another_mapping(job, things, pg15):
    stop_in_the_middle(job, things, pg15)
    (job.folder / "m.yaml").write_text(MAPPING + "# changed\n")
    fails(job, 2, "DR-2204", "migrate", "--mapping", "./m.yaml", "--resume")


def test_resume_refuses_another_source(job, things, pg15):
    stop_in_the_middle(job, things, pg15)
    other = things.server.client[things.name + "_other"]
    other["things"].insert_one({"n": 1})
    try:
        fails(at(job, mongo=things.server.address(other.name)), 2, "DR-2205", "migrate", "--resume")
    finally:
        things.client.drop_database(other.name)


def test_a_bad_document_is_a_reject_and_its_neighbours_load(job, things, pg15):
    things["things"].insert_many([{"_id": "bad 1", "n": "seven"}, {"_id": "bad 2", "mood": "sad"}])
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM things") == DOCUMENTS
    assert pg15.query("SELECT doc_id_text, fault, path FROM docrow.reject ORDER BY doc_id_text") == [
        ('"bad 1"', "type", "n"),
        ('"bad 2"', "label", "mood"),
    ]


# --- a full disk ---


@pytest.fixture
def small_disk():
    """A file system of 160 MB; only root may mount one."""
    folder = processes.temp_folder("docrow-disk-")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m,mode=711", "docrow-test", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        processes.remove_folder(folder)
        pytest.skip(f"no file system of a chosen size can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    processes.remove_folder(folder)


def test_full_disk(small_disk, make_postgres, make_docrow, mongo):
    mongo["others"].insert_many([{"t": "x" * 10_000} for _ in range(3000)])
    mongo["things"].insert_many([{"n": i} for i in range(DOCUMENTS)])
    server = make_postgres(
        data=small_disk / "data", settings={"max_wal_size": "64MB", "min_wal_size": "32MB", "wal_recycle": "off"}
    )
    pg = PostgresDatabase(server)
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        try:
            while True:  # leave next to nothing
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    filler.open("r+b").truncate(filler.stat().st_size - (8 << 20))
    job = make_docrow(mongo, pg)
    # Text that does not compress away: the row is as large on disk as in the document.
    (job.folder / "m.yaml").write_text(MAPPING)
    mongo["others"].delete_many({})
    mongo["others"].insert_many([{"t": os.urandom(5000).hex()} for _ in range(3000)])
    complaint = fails(job, 4, "DR-4008", "migrate", "--mapping", "./m.yaml", "--retry-for", "1", "--batch-size", "200")
    assert "--resume" in complaint.result.stderr
    filler.unlink()
    if server.process.poll() is not None:  # without room for WAL, PostgreSQL itself stops
        server.restart()
    job.run("migrate", "--mapping", "./m.yaml", "--resume", status=0)
    assert pg.one("SELECT count(*) FROM others") == 3000
    assert pg.one("SELECT count(*) FROM things") == DOCUMENTS


def test_nothing_is_left_in_shared_memory(job):
    """The driver's counters would stay there after kill -9."""
    process = job.start("migrate", "--mapping", "./m.yaml", "--batch-size", "1")
    processes.wait_for(lambda: os.path.exists(f"/proc/{process.pid}/task") and len(os.listdir(f"/proc/{process.pid}/task")) > 2, 30)
    process.kill()
    process.communicate()
    assert not os.path.exists(f"/dev/shm/mongoc-{process.pid}")


# --- what goes wrong while it runs ---


def start_and_wait(job, pg, *options):
    process = job.start("migrate", "--mapping", "./m.yaml", "--batch-size", "20", "--max-rate", "25", *options)
    processes.wait_for(lambda: pg.query("SELECT to_regclass('docrow.chunk')")[0][0], 30)
    processes.wait_for(lambda: pg.query("SELECT 1 FROM docrow.chunk WHERE state = 'done'"), 30)
    return process


def ended(process, job):
    stdout, stderr = process.communicate(timeout=60)
    return Result(["migrate"], process.returncode, stdout, stderr)


def test_another_process_is_at_work(job, pg15):
    process = start_and_wait(job, pg15)
    complaint = fails(job, 2, "DR-2201")
    assert "--join" in complaint.hint and "process" in complaint.detail
    fails(job, 2, "DR-2201", "migrate", "--resume")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130
    job.run("migrate", "--resume", status=0)


def test_stopped_is_a_message_for_machines_too(job, pg15):
    process = start_and_wait(job, pg15, "--progress", "json")
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    codes = [json.loads(line).get("code") for line in said.splitlines() if line.startswith("{")]
    assert "DR-1300" in codes


def test_reading_fails_for_good(job, make_mongo, pg15):
    """A server that answers a read with an error that trying again does not mend."""
    own = make_mongo()
    own.client.own.things.insert_many([{"n": i, "mood": "good"} for i in range(DOCUMENTS)])
    own.fail_command(["find"], times=1000, errorCode=2)
    mine = at(job, mongo=own.address("own"))
    complaint = fails(mine, 3, "DR-3005")
    assert "things" in complaint.text
    own.fail_command(["find"], times=0)
    mine.run("migrate", "--resume", status=0)


def test_a_dump_that_changes(job, pg15, tmp_path):
    folder = tmp_path / "dump" / "d"
    folder.mkdir(parents=True)
    fields = {"mood": "good", "more": "x" * 20000}  # more than a reader holds at a time
    documents = [bson.encode({"_id": bson.ObjectId(), "n": i} | fields) for i in range(DOCUMENTS)]
    (folder / "things.bson").write_bytes(b"".join(documents))
    mine = at(job, mongo=str(tmp_path / "dump"))
    process = start_and_wait(mine, pg15)
    (folder / "things.bson").write_bytes(b"".join(documents[: DOCUMENTS // 4]))
    result = ended(process, mine)
    assert result.status == 3 and Complaint(result).code == "DR-3009", result


def test_a_document_without_an_id(job, pg15, tmp_path):
    """mongod gives each one; a file need not."""
    folder = tmp_path / "dump" / "d"
    folder.mkdir(parents=True)
    (folder / "things.bson").write_bytes(bson.encode({"n": 1}) + bson.encode({"_id": bson.ObjectId(), "n": 2}))
    at(job, mongo=str(tmp_path / "dump")).run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.query("SELECT n FROM things") == [(2,)]
    assert pg15.query("SELECT fault, doc_id FROM docrow.reject") == [("no_id", None)]


def test_the_target_goes_away_for_good(job, make_postgres):
    own = make_postgres()
    own.create_database("t")
    mine = at(job, pg=own.address("t"))
    process = mine.start("migrate", "--mapping", "./m.yaml", "--batch-size", "20", "--max-rate", "25", "--retry-for", "1", "--lease", "2")
    busy = "SELECT 1 FROM docrow.chunk WHERE state = 'done'"
    with own.connect("t") as admin:
        processes.wait_for(lambda: admin.execute("SELECT to_regclass('docrow.chunk')").fetchone()[0], 30)
        processes.wait_for(lambda: admin.execute(busy).fetchone(), 30)
    own.kill()
    result = ended(process, mine)
    complaint = Complaint(result)
    assert result.status == 4 and complaint.code in ("DR-4009", "DR-4001") and "--resume" in result.stderr, result
    own.restart()
    mine.run("migrate", "--resume", "--lease", "2", status=0)


def with_trigger(pg, when, body):
    """Table things gets a trigger for document 7 as soon as docrow makes it."""
    with pg.admin() as admin:
        admin.execute(
            f"CREATE FUNCTION for_row() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} END$$;"
            " CREATE FUNCTION add_trigger() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
            " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.things') THEN"
            f" CREATE TRIGGER t {when} INSERT ON things FOR EACH ROW WHEN (NEW.n = 7) EXECUTE FUNCTION for_row();"
            " END IF; END$$;"
            " CREATE EVENT TRIGGER add_trigger ON ddl_command_end WHEN TAG IN ('CREATE TABLE')"
            " EXECUTE FUNCTION add_trigger()"
        )


def test_a_trigger_that_drops_rows(job, pg15):
    """Rows that the server takes and does not keep: halving finds their documents."""
    with_trigger(pg15, "BEFORE", "RETURN NULL;")
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM things WHERE n <> 7") == pg15.one("SELECT count(*) FROM things") == 499
    assert "trigger" in job.run("rejects", "list").stdout


def test_a_trigger_that_takes_rows_away(job, pg15):
    """Rows that the server took, and that are gone before the end: the account does not balance, and docrow says so."""
    with_trigger(pg15, "AFTER", "DELETE FROM public.things WHERE n = 7; RETURN NULL;")
    complaint = fails(job, 5, "DR-5001")
    assert "500 rows by the ledger, but 499 are in the table" in complaint.text


def test_a_unique_index_that_others_break(job, pg15):
    """Data that the server refuses where no document is to blame."""
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION no_key() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
            " RAISE EXCEPTION 'not today'; END$$;"
            " CREATE EVENT TRIGGER no_key ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION no_key()"
        )
    complaint = fails(job, 4, "DR-4011")
    assert "P0001" in complaint.text and "not today" not in complaint.text


def test_state_of_another_version(job, pg15):
    works(job, pg15)
    pg15.execute("UPDATE docrow.meta SET value = '99' WHERE key = 'docrow.version'")
    complaint = fails(job, 4, "DR-4013", "migrate", "--mapping", "./m.yaml", "--clean")
    assert "99" in complaint.detail


def test_tables_that_are_gone(job, things, pg15):
    stop_in_the_middle(job, things, pg15)
    pg15.execute("DROP TABLE things")
    complaint = fails(job, 4, "DR-4014", "migrate", "--mapping", "./m.yaml", "--resume")
    assert "--clean" in complaint.hint


# Codes that no server here can provoke, and why.
UNPROVOKED = {
    "DR-3004": "needs a mongod older than 4.0; the oldest that a package brings is 4.2",
}


def test_every_code_is_provoked_somewhere():
    """By its code in a test, or, a fault, by its name in a value case."""
    root = pathlib.Path(__file__).parents[2]
    files = [p for p in (root / "tests").rglob("*.py") if p.parent.name in ("cli", "e2e", "fault")]
    tests = "".join(p.read_text().split("# Codes that no server")[0] for p in files)
    cases = "".join(p.read_text() for p in (root / "tests" / "cases").glob("*.case"))
    codes = re.findall(r'"(DR-\d{4})"', (root / "src" / "base" / "errcodes.h").read_text())
    assert len(codes) > 30
    assert {code for code in codes if code not in tests} == set(UNPROVOKED)
    faults = re.findall(r'X\(\w+, "(\w+)", "DR-F\d\d"', (root / "src" / "base" / "fault.h").read_text())
    assert len(faults) > 20
    assert [name for name in faults if not re.search(rf"\b{name}\b", cases) and f'"{name}"' not in tests] == []
