"""Fixtures: servers for the whole session (started when first asked for), a database of its own for each test.

    mongo                    a database on a mongod 6.0 (replica set)           .uri .db .client .server
    pg15, pg16, pg18         a database on PostgreSQL (pg15: Debian's own)      .uri .query() .one() .admin() .server
    docrow                   the program with MONGODB_URI and DATABASE_URL of `mongo` and `pg15` → .run() .start()
    make_docrow              make_docrow(mongo, pg): the same for other databases
    make_mongo, make_postgres  servers of the test's own, to be killed, restarted or started with other settings
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import processes, program, servers  # noqa: E402
from lib.databases import MongoDatabase, PostgresDatabase  # noqa: E402


def pytest_collection_modifyitems(items):
    """Under sanitizers the oldest and the newest PostgreSQL are enough: on the one between, docrow does the same."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any(p in ("pg16", "16") for p in parameters if isinstance(p, str)):
            item.add_marker(pytest.mark.plain_only)


@pytest.fixture(scope="session")
def session_folder():
    folder = processes.temp_folder()
    yield folder
    processes.remove_folder(folder)


@pytest.fixture(scope="session")
def mongo_server(session_folder):
    server = servers.Mongo(session_folder / "mongo").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_servers(session_folder):
    """kind → running server, each started when first asked for."""
    running = {}

    def get(kind):
        if kind not in running:
            running[kind] = servers.Postgres(session_folder / f"postgres-{kind}", kind).start()
        return running[kind]

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture
def mongo(mongo_server):
    database = MongoDatabase(mongo_server)
    yield database
    database.drop()


def _postgres_fixture(kind):
    @pytest.fixture
    def postgres(postgres_servers):
        database = PostgresDatabase(postgres_servers(kind))
        yield database
        database.drop()

    return postgres


pg15 = _postgres_fixture("debian")
pg16 = _postgres_fixture("16")
pg18 = _postgres_fixture("18")


@pytest.fixture
def make_docrow(tmp_path):
    def make(mongo=None, postgres=None, **environment):
        return program.Docrow(tmp_path, mongo, postgres, **environment)

    return make


@pytest.fixture
def docrow(make_docrow, mongo, pg15):
    return make_docrow(mongo, pg15)


def _server_factory(make):
    """A fixture function whose value starts servers; all of them end with the test."""
    started = []
    folder = processes.temp_folder()

    def start(*arguments, **options):
        server = make(folder / str(len(started)), *arguments, **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.forget()
        server.kill()
    processes.remove_folder(folder)


@pytest.fixture
def make_mongo():
    yield from _server_factory(servers.Mongo)


@pytest.fixture
def make_postgres():
    yield from _server_factory(servers.Postgres)
