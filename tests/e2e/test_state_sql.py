"""Schema docrow on real servers: the id functions against the shared vectors and against an independent Python, and the
C tests of src/pg and src/state, which need a server."""

import csv
import datetime
import json
import os
import random
import socket
import subprocess
import uuid

import bson
import pytest
from bson.codec_options import CodecOptions
from lib.program import BINARY, ROOT

VECTORS = ROOT / "tests" / "data" / "id-vectors.tsv"
POSTGRES = ["pg15", "pg16", "pg18"]
pytestmark = pytest.mark.plain_only  # SQL; under sanitizers the C tests have a server among the unit tests


def run_c_test(name, uri, *arguments):
    """The C test `name` of the same build as the program, with DATABASE_URL."""
    return subprocess.run(
        [BINARY.parent / "tests" / f"test_{name}", *arguments],
        env=os.environ | {"DATABASE_URL": uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=300,
    )


@pytest.fixture(params=POSTGRES)
def pg(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def installed(pg):
    """A database whose schema docrow was made by its ordinary owner."""
    result = run_c_test("state", pg.uri, "install")
    assert result.returncode == 0, result.stdout
    return pg


@pytest.mark.parametrize("name", ["pg", "state"])
def test_c_tests_pass_on_the_server(pg, name):
    uri = pg.server.address(pg.name, "postgres", pg.server.admin_password)
    result = run_c_test(name, uri)
    assert result.returncode == 0, result.stdout
    assert "SKIPPED" not in result.stdout, result.stdout


def vectors():
    with VECTORS.open(newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def uuid_of(objectid):
    """Section "Ids", written anew: 48 bits of milliseconds, 7, 12 bits, 10, 52 bits, mark 0x0DC."""
    value = int(objectid, 16)
    seconds, rest = value >> 64, value & (1 << 64) - 1
    number = (seconds * 1000) << 80 | 7 << 76 | (rest >> 52) << 64 | 2 << 62 | (rest & (1 << 52) - 1) << 10 | 0x0DC
    return uuid.UUID(int=number)


def test_functions_give_the_vectors(installed):
    rows = vectors()
    assert len([r for r in rows if r["objectid"]]) > 10 and len([r for r in rows if not r["objectid"]]) > 10
    for row in rows:
        oid, expected = row["objectid"], uuid.UUID(row["uuid"])
        if not oid:  # a UUID that holds none
            assert installed.one("SELECT docrow.uuid_to_objectid(%s)", expected) is None, row
            continue
        assert uuid_of(oid) == expected, row
        assert installed.one("SELECT docrow.objectid_to_uuid(%s)", oid) == expected, row
        assert installed.one("SELECT docrow.objectid_to_uuid(upper(%s))", oid) == expected, row
        assert installed.one("SELECT docrow.uuid_to_objectid(%s)", expected) == oid.lower(), row


def test_many_ids_come_back_and_keep_their_order(installed):
    rng = random.Random(20261125)
    oids = sorted({f"{rng.getrandbits(96):024x}" for _ in range(5000)})
    got = installed.query(
        "SELECT o, docrow.objectid_to_uuid(o), docrow.uuid_to_objectid(docrow.objectid_to_uuid(o))"
        " FROM unnest(%s::text[]) o ORDER BY docrow.objectid_to_uuid(o)",
        oids,
    )
    assert [o for o, _, _ in got] == oids
    assert all(u == uuid_of(o) and back == o for o, u, back in got)


def near_misses():
    good = uuid_of("507f1f77bcf86cd799439011").int
    return {
        "version 4": good & ~(0xF << 76) | 4 << 76,
        "variant": good & ~(3 << 62) | 3 << 62,
        "variant 0": good & ~(3 << 62),
        "mark": good ^ 1,
        "mark's highest bit": good ^ 1 << 9,
        "milliseconds": good + (1 << 80),
        "seconds beyond 32 bits": good & (1 << 80) - 1 | ((1 << 32) * 1000) << 80,
        "all one": (1 << 128) - 1,
        "nil": 0,
    }


@pytest.mark.parametrize("miss", near_misses())
def test_a_uuid_that_holds_no_objectid_gives_null(installed, miss):
    value = uuid.UUID(int=near_misses()[miss])
    assert installed.one("SELECT docrow.uuid_to_objectid(%s)", value) is None
    assert installed.one("SELECT docrow.uuid_to_time(%s)", value) is None
    # and stays itself as an _id
    document = bytes(installed.one("SELECT docrow.uuid_to_id(%s)", value))
    options = CodecOptions(uuid_representation=bson.binary.UuidRepresentation.STANDARD)
    assert bson.decode(document, options) == {"_id": value}


@pytest.mark.parametrize("text", ["", "507f1f77bcf86cd79943901", "507f1f77bcf86cd7994390111", "507f1f77bcf86cd79943901g"])
def test_text_that_is_no_objectid_gives_null(installed, text):
    assert installed.one("SELECT docrow.objectid_to_uuid(%s)", text) is None


def test_null_gives_null(installed):
    assert installed.query(
        "SELECT docrow.objectid_to_uuid(NULL), docrow.uuid_to_objectid(NULL), docrow.uuid_to_id(NULL),"
        " docrow.uuid_to_id_text(NULL), docrow.uuid_to_time(NULL)"
    ) == [(None,) * 5]


def test_an_id_as_bson_and_as_text(installed):
    oid = bson.ObjectId("507f1f77bcf86cd799439011")
    value = uuid_of(str(oid))
    assert bytes(installed.one("SELECT docrow.uuid_to_id(%s)", value)) == bson.encode({"_id": oid})
    assert json.loads(installed.one("SELECT docrow.uuid_to_id_text(%s)", value)) == {"$oid": str(oid)}
    assert installed.one("SELECT docrow.uuid_to_time(%s)", value) == oid.generation_time
    other = uuid.UUID("01234567-89ab-4def-8123-456789abcdef")
    text = json.loads(installed.one("SELECT docrow.uuid_to_id_text(%s)", other))
    assert bson.json_util.object_hook(text) in (other, bson.Binary(other.bytes, 4))


def test_the_creation_time_is_in_the_uuid(pg18):
    result = run_c_test("state", pg18.uri, "install")
    assert result.returncode == 0, result.stdout
    got = pg18.one("SELECT uuid_extract_timestamp(docrow.objectid_to_uuid('507f1f77bcf86cd799439011'))")
    assert got == datetime.datetime(2012, 10, 17, 21, 13, 27, tzinfo=datetime.timezone.utc)
    assert pg18.one("SELECT uuid_extract_version(docrow.objectid_to_uuid('507f1f77bcf86cd799439011'))") == 7


def test_functions_may_be_indexed_and_run_in_parallel(installed):
    rows = installed.query(
        "SELECT proname, provolatile::text, proparallel::text FROM pg_proc WHERE pronamespace = 'docrow'::regnamespace"
    )
    assert len(rows) == 5
    assert {r[1:] for r in rows} == {("i", "s")}
    # plain SQL that the planner puts in line: the call is gone from the plan
    plan = installed.query("EXPLAIN (VERBOSE) SELECT docrow.uuid_to_objectid(u) FROM (VALUES (gen_random_uuid())) v(u)")
    assert not any("uuid_to_objectid" in line for (line,) in plan), plan


def test_names_do_not_depend_on_the_search_path(installed):
    with installed.connect() as c:
        c.execute("SET search_path TO ''")
        oid = "507f1f77bcf86cd799439011"
        assert c.execute("SELECT docrow.objectid_to_uuid(%s)", (oid,)).fetchone()[0] == uuid_of(oid)
        assert c.execute("SELECT count(*) FROM docrow.ledger").fetchone()[0] == 0


def test_installing_again_changes_nothing(installed):
    before = installed.query("SELECT oid, relname FROM pg_class WHERE relnamespace = 'docrow'::regnamespace ORDER BY 1")
    assert run_c_test("state", installed.uri, "install").returncode == 0
    after = installed.query("SELECT oid, relname FROM pg_class WHERE relnamespace = 'docrow'::regnamespace ORDER BY 1")
    assert before == after


def refused(uri):
    """What src/pg says when it cannot connect to `uri`, or may not install: code, message | detail | hint."""
    result = run_c_test("state", uri, "install")
    assert result.returncode == 1, result.stdout
    return result.stdout


def test_refused_connections_say_why(pg15):
    server, name = pg15.server, pg15.name
    secret = "wrong-password"
    text = refused(server.address(name, "docrow", secret))
    assert text.startswith("DR-4002 ") and "password is wrong" in text and name in text and "user docrow" in text
    assert secret not in text
    text = refused(server.address(name, "nobody_here", secret))
    assert text.startswith("DR-4002 ") and "user nobody_here" in text
    text = refused(server.address("no_such_db"))
    assert text.startswith("DR-4001 ") and "no_such_db" in text and "create the database" in text
    text = refused(pg15.uri + ("&" if "?" in pg15.uri else "?") + "sslmode=require")
    assert text.startswith("DR-4001 ") and "no TLS" in text
    text = refused("postgresql://docrow@host.invalid/db")
    assert text.startswith("DR-4001 ") and "host.invalid" in text and "host name is not known" in text


def test_a_host_that_does_not_answer_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        text = refused(f"postgresql://u@127.0.0.1:{port}/d?connect_timeout=1")
    assert text.startswith("DR-4001 ") and "timed out after 1 s" in text and f"port {port}" in text


def test_too_many_connections_can_be_waited_out(pg15):
    with pg15.admin() as admin:
        admin.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 0")
        try:
            text = refused(pg15.server.address(pg15.name, "narrow", "narrow"))
            assert text.startswith("DR-4001 ") and "CONNECTION LIMIT" in text
        finally:
            admin.execute("DROP ROLE narrow")


def test_a_role_without_create_gets_the_administrators_sql(pg15):
    with pg15.admin() as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            uri = pg15.server.address(pg15.name, "guest", "guest")
            text = refused(uri)
            assert text.startswith("DR-4006 ")
            assert "CREATE SCHEMA docrow AUTHORIZATION guest;" in text
            admin.execute("CREATE SCHEMA docrow AUTHORIZATION guest")
            assert run_c_test("state", uri, "install").returncode == 0
            assert pg15.one("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'docrow'") == "guest"
        finally:
            admin.execute("DROP SCHEMA IF EXISTS docrow CASCADE")
            admin.execute("DROP ROLE guest")
