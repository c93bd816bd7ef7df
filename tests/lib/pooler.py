"""A real PgBouncer in front of a PostgreSQL of lib.servers."""

import os
import urllib.parse

import psycopg

from . import processes
from .servers import Server


class PgBouncer(Server):
    """Transaction mode: each transaction may get another session. `size`: server connections a database."""

    kind = "pgbouncer"

    def __init__(self, folder, postgres, mode="transaction", size=3):
        super().__init__(folder)
        self.postgres = postgres
        self.mode = mode
        self.size = size
        self.user = processes.unprivileged_user()

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)
        users = self.folder / "users"
        users.write_text(f'"{self.postgres.role}" "{self.postgres.role_password}"\n')
        users.chmod(0o644)
        self.launch_on_free_port()
        return self

    def command(self):
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.postgres.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {self.folder / 'users'}\npool_mode = {self.mode}\n"
            f"default_pool_size = {self.size}\nmax_client_conn = 100\nserver_reset_query =\n"
        )
        settings.chmod(0o644)
        return ["/usr/sbin/pgbouncer", str(settings)]

    def address(self, database):
        password = urllib.parse.quote(self.postgres.role_password, safe="")
        return f"postgresql://{self.postgres.role}:{password}@127.0.0.1:{self.port}/{database}"

    def is_ready(self):
        try:
            psycopg.connect(self.address("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def is_installed():
    return os.access("/usr/sbin/pgbouncer", os.X_OK)
