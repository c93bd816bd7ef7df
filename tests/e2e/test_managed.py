"""Servers as people rent them: behind PgBouncer, with TLS and client certificates, with limits set on the role, with a
role that owns tables and nothing else, with replicas that must keep up."""

import os
import subprocess
import time
import urllib.parse

import bson
import psycopg
import pytest
from lib import nextcrm_dirt, nextcrm_sample, processes, program
from lib.databases import PostgresDatabase
from lib.pooler import PgBouncer
from lib.processes import wait_for

NEXTCRM = ["migrate", "--mapping", program.ROOT / "mappings" / "nextcrm.yaml"]
MAPPING = """
docrow: 1
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer, not_null: true }
      - { name: up, type: uuid, references: { table: things, if_orphan: "null" } }
    indexes: [{ name: things_n, columns: [n], unique: true }]
"""


@pytest.fixture
def dirty(mongo):
    sample = nextcrm_sample.make(600, seed=9, dirt=0.03)
    nextcrm_dirt.spoil(sample, seed=9)
    sample.insert(mongo.db)
    return mongo


@pytest.fixture
def things(mongo, make_docrow):
    mongo["things"].insert_many({"n": n} for n in range(3000))

    def job(uri):
        docrow = make_docrow(mongo, uri)
        (docrow.folder / "things.yaml").write_text(MAPPING)
        return docrow

    return job


@pytest.fixture
def another(pg15):
    """A second database on the same server."""
    database = PostgresDatabase(pg15.server)
    yield database
    database.drop()


def migrate(docrow, *options, status=0):
    return docrow.run("migrate", "--mapping", "./things.yaml", *options, status=status)


# --- PgBouncer ---


@pytest.fixture
def bouncer(pg15):
    folder = processes.temp_folder()
    pooler = PgBouncer(folder / "pool", pg15.server).start()
    yield pooler
    pooler.stop()
    processes.remove_folder(folder)


def test_pgbouncer_in_transaction_mode(dirty, make_docrow, bouncer, pg15, another):
    """The whole dirty NextCRM job, killed on the way, through few sessions that are shared: the same as without."""
    make_docrow(dirty, pg15).run(*NEXTCRM, status=1)
    through = make_docrow(dirty, bouncer.address(another.name) + "?pgbouncer=true&connection_limit=3")

    def is_under_way():
        return another.one("SELECT to_regclass('docrow.chunk') IS NOT NULL") and another.one(
            "SELECT count(*) > 10 FROM docrow.chunk WHERE state = 'done'"
        )

    through.kill_when(is_under_way, *NEXTCRM, "--lease", "2", "--batch-size", "20", "--max-rate", "150")
    through.run("migrate", "--resume", "--lease", "2", status=1)
    assert another.contents() == pg15.contents()
    assert through.run("status").stdout.count("done")
    assert "DR-" not in through.run("rejects").stderr


# --- TLS ---


def make_certificate(folder, name, subject, issuer=None, extension=""):
    """A key and a certificate signed by `issuer` (None: by itself, as a CA)."""
    key, request, cert = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    run = lambda *words: subprocess.run([str(w) for w in words], check=True, capture_output=True)
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", subject, "-out", request)
    more = folder / f"{name}.ext"
    more.write_text(extension or "basicConstraints=CA:TRUE\n")
    signer = ["-signkey", key] if issuer is None else [
        "-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key", "-CAcreateserial"]
    run("openssl", "x509", "-req", "-in", request, "-days", "2", *signer, "-extfile", more, "-out", cert)
    return cert


@pytest.fixture
def tls_server(make_postgres, tmp_path):
    """A server that lets in only who has a certificate of our authority, over TLS."""
    make_certificate(tmp_path, "ca", "/CN=test authority")
    make_certificate(tmp_path, "server", "/CN=localhost", "ca", "subjectAltName=DNS:localhost\n")
    make_certificate(tmp_path, "client", "/CN=docrow", "ca", "basicConstraints=CA:FALSE\n")
    make_certificate(tmp_path, "other-ca", "/CN=somebody else")
    server = make_postgres()
    user = processes.unprivileged_user()
    for name in ("ca.crt", "server.crt", "server.key"):
        copy = server.data / name
        copy.write_bytes((tmp_path / name).read_bytes())
        copy.chmod(0o600)
        if user:
            os.chown(copy, user.pw_uid, user.pw_gid)
    server.create_database("t")
    server.settings |= {"ssl": "on", "ssl_ca_file": "ca.crt", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
    server.stop()
    rules = server.data / "pg_hba.conf"
    rules.write_text("hostssl all docrow all cert\nhost all postgres all scram-sha-256\n")
    server.restart()
    return server


def test_verify_full_and_client_certificate(things, tls_server, tmp_path):
    (tmp_path / "client.key").chmod(0o600)

    def uri(host="localhost", **options):
        options = {
            "sslmode": "verify-full",
            "sslrootcert": tmp_path / "ca.crt",
            "sslcert": tmp_path / "client.crt",
            "sslkey": tmp_path / "client.key",
        } | options
        query = urllib.parse.urlencode({k: v for k, v in options.items() if v is not None})
        return f"postgresql://docrow@{host}:{tls_server.port}/t?{query}"

    migrate(things(uri()))
    with tls_server.connect("t") as admin:
        assert admin.execute("SELECT count(*) FROM things").fetchone() == (3000,)
    # Without the certificate, with a server that somebody else vouches for, under another name, without TLS: refused.
    for wrong, said in [
        ({"sslcert": None, "sslkey": None}, "certificate"),
        ({"sslrootcert": tmp_path / "other-ca.crt"}, "certificate"),
        ({"host": "127.0.0.1"}, "127.0.0.1"),
        ({"sslmode": "disable"}, "pg_hba"),
    ]:
        result = migrate(things(uri(**wrong)), "--clean", "--retry-for", "1", status=4)
        assert said in result.stderr and "DR-40" in result.stderr, (wrong, result)


# --- limits and rights of the role ---


def test_limits_set_for_the_role(things, pg15):
    """What an operator sets against runaway statements must not end a load or an index build."""
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.6); END$$;"
            " CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION slow()"
        )
    for name, value in [
        ("statement_timeout", "500ms"),
        ("lock_timeout", "10ms"),
        ("idle_in_transaction_session_timeout", "1ms"),
        ("default_transaction_isolation", "serializable"),
        ("search_path", "nowhere"),
        ("synchronous_commit", "off"),
        ("datestyle", "German"),
        ("intervalstyle", "iso_8601"),
        ("bytea_output", "escape"),
        ("timezone", "Asia/Tokyo"),
        ("extra_float_digits", "-15"),
        ("work_mem", "64kB"),
    ]:
        pg15.execute(f'ALTER ROLE docrow IN DATABASE "{pg15.name}" SET {name} = \'{value}\'')
    migrate(things(pg15))
    with pg15.admin() as admin:
        assert admin.execute("SELECT count(*) FROM public.things").fetchone() == (3000,)


def test_prisma_parameters(things, pg15):
    options = "?schema=crm&connection_limit=5&pool_timeout=10&connect_timeout=5&sslaccept=strict&sslmode=disable"
    migrate(things(pg15.uri + options + "&statement_cache_size=0&socket_timeout=30&pgbouncer=true"))
    assert pg15.one("SELECT count(*) FROM crm.things") == 3000
    assert pg15.tables() == []
    # The run knows where its tables are.
    things(pg15.uri + "?schema=other").run("migrate", "--clean-only", status=0)
    assert pg15.tables("crm") == []


def test_status_knows_where_the_tables_are(mongo, things, pg15):
    mongo["things"].insert_one({"n": -1, "up": bson.ObjectId()})
    docrow = things(pg15.uri + "?schema=crm")
    (docrow.folder / "things.yaml").write_text(MAPPING.replace('if_orphan: "null"', "if_orphan: keep"))
    migrate(docrow, status=1)
    assert "Foreign keys left NOT VALID (orphans were kept)\n  things_up_fkey" in docrow.run("status", "--target", pg15.uri, status=0).stdout


def test_variables_of_postgresql_and_pgpass(things, pg15, tmp_path):
    server = pg15.server
    words = tmp_path / "pgpass"
    password = server.role_password.replace("\\", "\\\\").replace(":", "\\:")
    words.write_text(f"127.0.0.1:{server.port}:*:docrow:{password}\n")
    words.chmod(0o600)
    docrow = things(None)
    docrow.environment |= {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGDATABASE": pg15.name,
        "PGUSER": "docrow",
        "PGPASSFILE": str(words),
    }
    result = migrate(docrow)
    assert "PGDATABASE is set" in result.stderr
    assert pg15.one("SELECT count(*) FROM things") == 3000
    assert "PGDATABASE" in docrow.run("config", status=0).stdout


def test_resume_into_another_schema_is_refused(things, mongo, pg15):
    mongo["things"].insert_many({"n": f"no {n}"} for n in range(50))
    migrate(things(pg15.uri + "?schema=crm"), "--max-rejects", "5", "--batch-size", "100", status=1)
    result = things(pg15.uri).run("migrate", "--resume", status=2)
    assert "DR-2207" in result.stderr and "schema=crm" in result.stderr
    things(pg15.uri + "?schema=crm").run("migrate", "--resume", "--max-rejects", "100", status=1)
    assert pg15.one("SELECT count(*) FROM crm.things") == 3000


def test_role_that_owns_its_schema_only(things, pg15):
    """No CREATE on the database, no superuser: an administrator has made schema docrow and the schema of the tables."""
    with pg15.admin() as admin:
        admin.execute(f'REVOKE CREATE, TEMPORARY ON DATABASE "{pg15.name}" FROM PUBLIC')
        admin.execute(f'ALTER DATABASE "{pg15.name}" OWNER TO postgres')
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, docrow")
        admin.execute("CREATE SCHEMA docrow AUTHORIZATION docrow; CREATE SCHEMA crm AUTHORIZATION docrow")
    docrow = things(pg15.uri + "?schema=crm")
    migrate(docrow)
    assert pg15.one("SELECT count(*) FROM crm.things") == 3000
    docrow.run("migrate", "--clean-only")
    assert pg15.tables("crm") == []


# --- not too fast ---


def test_max_rate(things, pg15):
    docrow = things(pg15)
    # Batches below a look at the clock (75 documents) count as well as those above.
    for batch in ("500", "20"):
        started = time.monotonic()
        migrate(docrow, "--clean", "--max-rate", "1500", "--workers", "3", "--batch-size", batch)
        assert 1.8 < time.monotonic() - started < 60, batch
        assert pg15.one("SELECT count(*) FROM things") == 3000
    # A stop is answered at once, however slow the rate.
    process = docrow.start("migrate", "--mapping", "./things.yaml", "--clean", "--max-rate", "1", "--batch-size", "500")
    wait_for(lambda: pg15.query("SELECT 1 FROM docrow.chunk WHERE state = 'running'"), 30)
    stopped = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - stopped < 15  # of 3,000 s


@pytest.fixture
def standby(make_postgres):
    """(primary, standby): the standby replays only when told to."""
    primary = make_postgres(settings={"wal_level": "replica"})
    with open(primary.data / "pg_hba.conf", "a") as rules:
        rules.write("host replication postgres 127.0.0.1/32 scram-sha-256\n")
    primary.execute("SELECT pg_reload_conf()")
    folder = processes.temp_folder()
    user = processes.unprivileged_user()
    data = folder / "standby"
    data.mkdir(mode=0o700)
    folder.chmod(0o711)
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
    source = primary.address("postgres", "postgres", primary.admin_password)
    primary._run([primary.bin / "pg_basebackup", "-D", data, "-d", source, "-R", "--no-sync", "-c", "fast"])
    yield primary, data
    processes.remove_folder(folder)


def test_waits_for_replicas(standby, things, make_postgres):
    from lib import servers

    primary, data = standby
    folder = processes.temp_folder()
    replica = servers.Postgres(folder / "replica", data=data)
    replica.admin_password = primary.admin_password
    replica.folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    replica.launch_on_free_port()
    try:
        primary.create_database("t")
        primary.execute("GRANT pg_monitor TO docrow")
        wait_for(lambda: replica_sees(primary), 30)
        with psycopg.connect(replica.address("postgres", "postgres", primary.admin_password), autocommit=True) as r:
            r.execute("SELECT pg_wal_replay_pause()")
            primary.execute("CREATE TABLE noise AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)", "t")
            docrow = things(primary.address("t"))
            process = docrow.start("migrate", "--mapping", "./things.yaml", "--max-lag", "64KB", "--progress", "plain")
            said = next(line for line in process.stderr if "behind" in line)
            with primary.connect("t") as admin:  # nothing begins before the first look
                assert admin.execute("SELECT count(*) FROM things").fetchone() == (0,), said
            r.execute("SELECT pg_wal_replay_resume()")
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, said + rest
    finally:
        replica.stop()
        processes.remove_folder(folder)
    with primary.connect("t") as admin:
        assert admin.execute("SELECT count(*) FROM things").fetchone() == (3000,)


def replica_sees(primary):
    with primary.connect() as admin:
        return admin.execute("SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL").fetchone()
