"""The servers that the other tests lean on: start, kill, restart, pause, users; and that nothing outlives its runner."""

import os
import signal
import subprocess
import sys

import psycopg
import pymongo
import pymongo.errors
import pytest
from lib import processes
from lib.databases import MongoDatabase, PostgresDatabase
from lib.processes import wait_for

pytestmark = pytest.mark.plain_only  # no docrow in it

def test_mongo_is_a_replica_set(mongo):
    mongo["c"].insert_one({"_id": 1})
    assert mongo.client.admin.command("hello")["setName"] == "rs0"
    with mongo["c"].watch(max_await_time_ms=1) as stream:
        assert stream.resume_token


@pytest.mark.parametrize("fixture, major", [("pg15", None), ("pg16", 16), ("pg18", 18)])
def test_postgres(request, fixture, major):
    pg = request.getfixturevalue(fixture)
    version = int(pg.one("SHOW server_version_num")) // 10000
    assert version == major if major else version >= 15
    assert pg.one("SHOW server_encoding") == "UTF8"
    assert pg.one("SELECT current_user") == "docrow"
    assert pg.one("SELECT usesuper FROM pg_user WHERE usename = current_user") is False


def test_databases_are_fresh(pg15, postgres_servers, mongo, mongo_server):
    assert pg15.tables() == [] and mongo.db.list_collection_names() == []
    other = PostgresDatabase(postgres_servers("debian"))
    assert other.name != pg15.name
    other.drop()
    assert MongoDatabase(mongo_server).name != mongo.name


def test_mongo_killed_and_back(make_mongo):
    server = make_mongo()
    server.client.t.c.insert_one({"_id": 1}, comment="majority by default")
    port, pid = server.port, server.pid
    server.kill()
    assert not processes.is_alive(pid)
    with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
        server.connect(serverSelectionTimeoutMS=200).t.c.find_one()
    server.restart()
    assert server.port == port
    assert wait_for(lambda: server.client.t.c.find_one(), 30) == {"_id": 1}


def test_postgres_killed_and_back(make_postgres):
    server = make_postgres()
    server.create_database("t")
    server.execute("CREATE TABLE a AS SELECT 1 AS x", "t")
    port = server.port
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        server.connect("t")
    server.restart()
    assert server.port == port
    with server.connect("t") as c:
        assert c.execute("SELECT x FROM a").fetchall() == [(1,)]


def test_postgres_paused(make_postgres):
    server = make_postgres()
    server.pause()
    with pytest.raises(psycopg.OperationalError):
        server.connect(connect_timeout=2)
    server.proceed()
    with server.connect() as c:
        assert c.execute("SELECT 1").fetchall() == [(1,)]


def test_mongo_with_users(make_mongo):
    server = make_mongo(auth=True)
    server.add_user("reader", "s3cret/@", [{"role": "read", "db": "t"}])
    server.client.t.c.insert_one({"_id": 1})
    with pymongo.MongoClient(server.address("t", "reader", "s3cret/@")) as client:
        assert client.get_default_database().c.find_one() == {"_id": 1}
        with pytest.raises(pymongo.errors.OperationFailure):
            client.t.c.insert_one({"_id": 2})
    with pytest.raises(pymongo.errors.OperationFailure):
        pymongo.MongoClient(server.address("t", "reader", "wrong")).t.c.find_one()


def test_mongo_fail_point(make_mongo):
    server = make_mongo()
    server.fail_command(["find"], times=1, errorCode=13)
    client = server.connect(retryReads=False)
    with pytest.raises(pymongo.errors.OperationFailure):
        client.t.c.find_one()
    assert client.t.c.find_one() is None


def test_wrong_password_is_refused(pg15):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(pg15.server.address(pg15.name, "docrow", "wrong"))


STARTER = """
import sys, os
sys.path.insert(0, sys.argv[1])
from lib import servers
m = servers.Mongo(sys.argv[2] + "/m").start()
p = servers.Postgres(sys.argv[2] + "/p").start()
print(m.pid, p.pid, flush=True)
sys.stdin.read()
"""


def test_servers_end_with_a_killed_runner():
    folder = processes.temp_folder()
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    runner = subprocess.Popen(
        [sys.executable, "-c", STARTER, tests, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [int(word) for word in runner.stdout.readline().split()]
    assert len(pids) == 2 and all(processes.is_alive(p) for p in pids)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdin.close()
    runner.stdout.close()
    wait_for(lambda: not any(processes.is_alive(p) for p in pids), 20, "end of the servers")
    processes.remove_folder(folder)
