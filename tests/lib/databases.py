"""One database of a private server, as a test sees it."""

import itertools
import os

import psycopg
import psycopg.sql

_numbers = itertools.count(1)


def fresh_name():
    return f"t_{os.getpid()}_{next(_numbers)}"


class MongoDatabase:
    """`uri` for docrow, `db` (pymongo) for the test."""

    def __init__(self, server, name=None):
        self.server = server
        self.name = name or fresh_name()
        self.uri = server.address(self.name)
        self.client = server.client
        self.db = self.client[self.name]

    def __getitem__(self, collection):
        return self.db[collection]

    def drop(self):
        self.client.drop_database(self.name)


class PostgresDatabase:
    """`uri` for docrow (as the ordinary role that owns the database), `query` for the test."""

    def __init__(self, server, name=None, options=""):
        self.server = server
        self.name = name or fresh_name()
        server.create_database(self.name, options=options)
        self.uri = server.address(self.name)
        self._connection = None

    def connect(self, **options):
        """A new connection as the owner, autocommit."""
        options.setdefault("autocommit", True)
        return psycopg.connect(self.uri, **options)

    @property
    def connection(self):
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = self.connect()
        return self._connection

    def forget(self):
        """Drops the test's own connection, which a killed server took with it."""
        self._connection = None

    def query(self, statement, *parameters):
        """Rows as tuples."""
        return self.connection.execute(statement, parameters or None).fetchall()

    def one(self, statement, *parameters):
        """The only value of the only row."""
        rows = self.query(statement, *parameters)
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return rows[0][0]

    def execute(self, statement, *parameters):
        self.connection.execute(statement, parameters or None)

    def admin(self):
        """A connection of the administrator to this database."""
        return self.server.connect(self.name)

    def tables(self, schema="public"):
        return [
            name
            for (name,) in self.query(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s)) AND relkind IN ('r','p')"
                " ORDER BY relname COLLATE \"C\"",
                schema,
            )
        ]

    def rows(self, table, schema="public"):
        """All rows of a table as text, sorted: two tables are the same when these are."""
        name = psycopg.sql.Identifier(schema, table)
        with self.connect() as c:
            return sorted(
                r[0] for r in c.execute(psycopg.sql.SQL("SELECT t::text FROM {} AS t").format(name)).fetchall()
            )

    def contents(self, schema="public"):
        """{table: rows} of the whole schema."""
        return {table: self.rows(table, schema) for table in self.tables(schema)}

    def drop(self):
        self.forget()
        self.server.drop_database(self.name)
