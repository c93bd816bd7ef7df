"""The value cases of tests/cases through real servers: what convert does in process, PostgreSQL must show.

Cases of one type and policy share a column; columns that mind no document without their field share a table. The
position of a case is in the document's `n`. Values are written as raw BSON, since pymongo itself refuses some of them.
"""

import bisect
import itertools
import json
import pathlib
import struct

import bson
import bson.json_util
import pytest
from bson.raw_bson import RawBSONDocument

CASES = pathlib.Path(__file__).resolve().parents[1] / "cases"
FIRST_ID = bson.ObjectId("507f1f77bcf86cd799439011")


class Case:
    def __init__(self, file, line, head, value, expected, words):
        self.file, self.line, self.head, self.value, self.expected, self.words = file, line, head, value, expected, words
        self.type = head.split(" {")[0].strip('"')

    def field(self, name):
        """The field as it stands in a document: type byte, name, payload; nothing when it is missing."""
        field = self.field_v()
        return field and field[:1] + name.encode() + field[2:]

    def field_v(self):
        if self.value == "missing":
            return b""
        if self.value.startswith("raw "):
            kind, *payload = bytes.fromhex(self.value[4:])
            return bytes([kind]) + b"v\0" + bytes(payload)
        return special_field(json.loads(self.value))

    def document(self, ordinal, name):
        head = bson.encode(
            {
                "_id": bson.ObjectId(FIRST_ID.binary[:4] + struct.pack(">Q", ordinal)),
                "n": ordinal,
                "other": 7,
                "when": bson.DatetimeMS(1_000_000_000_123),
                "text": "x",
            }
        )
        body = head[4:-1] + self.field(name) + b"\0"
        return RawBSONDocument(struct.pack("<i", len(body) + 4) + body)

    def __repr__(self):
        return f"{self.file}:{self.line}: {self.head} | {self.value}"


def special_field(value):
    """pymongo has no class for these; the rest it encodes."""
    if value == {"$undefined": True}:
        return b"\x06v\0"
    if isinstance(value, dict) and "$symbol" in value:
        text = value["$symbol"].encode()
        return b"\x0ev\0" + struct.pack("<i", len(text) + 1) + text + b"\0"
    if isinstance(value, dict) and "$dbPointer" in value:
        name = value["$dbPointer"]["$ref"].encode()
        key = bytes.fromhex(value["$dbPointer"]["$id"]["$oid"])
        return b"\x0cv\0" + struct.pack("<i", len(name) + 1) + name + b"\0" + key
    return bson.encode({"v": plain(value)}, codec_options=CODEC)[4:-1]


OPTIONS = bson.json_util.JSONOptions(
    json_mode=bson.json_util.JSONMode.CANONICAL,
    datetime_conversion=bson.json_util.DatetimeConversion.DATETIME_MS,
    uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED,
)
CODEC = bson.CodecOptions(uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED)


def plain(value):
    """Extended JSON to Python values; a document stays a document though it looks like a DBRef."""
    if isinstance(value, list):
        return [plain(x) for x in value]
    if not isinstance(value, dict):
        return value
    value = {k: plain(v) for k, v in value.items()}
    if "$ref" not in value and any(k.startswith("$") for k in value):
        return bson.json_util.object_hook(value, OPTIONS)
    return value


def read_cases():
    for path in sorted(CASES.glob("*.case")):
        lines = path.read_text(encoding="utf-8").split("\n")
        at = 0
        while at < len(lines):
            if not lines[at] or lines[at].startswith("#"):
                at += 1
                continue
            head, value, expected = lines[at : at + 3]
            words = list(itertools.takewhile(lambda line: line.startswith("+"), lines[at + 3 :]))
            yield Case(path.name, at + 1, head, value, expected, [w[1:] for w in words])
            at += 3 + len(words)


def unescape(text):
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


class Group:
    """Cases of one type and policy: a column of a table."""

    def __init__(self, head, cases):
        self.head, self.cases = head, cases
        self.table, self.column, self.first = 0, 0, 0  # first: number of the first case in its table

    def name(self):
        return f"v{self.column}"

    def spec(self):
        """The column's line in the mapping: type [policies] → one flow mapping."""
        kind, _, policies = self.head.partition(" {")
        kind = kind if kind.startswith('"') else f'"{kind}"'
        return f"{{ name: {self.name()}, type: {kind}" + (f", {policies}" if policies else " }")


MOST_COLUMNS = 24


def group_cases(skip):
    heads = {}
    for case in read_cases():
        # mongod itself refuses what is no BSON
        if case.expected != "!corrupt" and not any(word in case.head for word in skip):
            heads.setdefault(case.head, []).append(case)
    groups = [Group(head, cases) for head, cases in heads.items()]
    # A policy for missing fields would speak up in every document of another column.
    alone = [g for g in groups if "if_" in g.head or "not_null" in g.head or any(c.value == "missing" for c in g.cases)]
    shared = [g for g in groups if g not in alone]
    tables = [[g] for g in alone] + [shared[i : i + MOST_COLUMNS] for i in range(0, len(shared), MOST_COLUMNS)]
    for i, table in enumerate(tables):
        first = 0
        for k, group in enumerate(table):
            group.table, group.column, group.first = i, k, first
            first += len(group.cases)
    return tables


def mapping(tables):
    lines = ["docrow: 1", "enums:", "  - { name: mood, labels: [sad, ok, happy, Very Happy] }", "collections:"]
    for i, table in enumerate(tables):
        lines += [
            f"  - collection: c{i}",
            f"    table: t{i}",
            "    columns:",
            "      - { name: id, from: _id, type: uuid, primary_key: true }",
            "      - { name: n, from: n, type: integer, not_null: true }",
            *(f"      - {group.spec()}" for group in table),
        ]
    return "\n".join(lines) + "\n"


def insert(database, tables):
    for i, table in enumerate(tables):
        # Sent as the command itself: the driver's own checks look at documents.
        documents = [case.document(g.first + n, g.name()) for g in table for n, case in enumerate(g.cases)]
        for at in range(0, len(documents), 500):
            database.command("insert", f"c{i}", documents=documents[at : at + 500])


def expected_of(case):
    if case.expected == "NULL" or case.expected.startswith("!"):
        return case.expected
    return unescape(case.expected)


def shown(pg, tables):
    """{(table, n): text, NULL or !fault} as the target has it."""
    got = {}
    for i, table in enumerate(tables):
        columns = ", ".join(f"v{k}::text" for k in range(len(table)))
        starts = [g.first for g in table]
        for n, *texts in pg.query(f"SELECT n, {columns} FROM t{i}"):
            text = texts[bisect.bisect(starts, n) - 1]
            got[i, n] = "NULL" if text is None else text
            assert sum(t is not None for t in texts) <= 1 or len(table) == 1
    for collection, doc_id, fault in pg.query("SELECT collection, doc_id, fault FROM docrow.reject"):
        key = bson.decode(bytes(doc_id))["_id"]
        assert (int(collection[1:]), struct.unpack(">Q", key.binary[4:])[0]) not in got
        got[int(collection[1:]), struct.unpack(">Q", key.binary[4:])[0]] = "!" + fault
    return got


def same(case, expected, got):
    if got is None or expected.startswith("!") or not case.type.startswith("json"):
        return expected == got
    if case.type == "json":
        return expected.replace(" ", "") == got.replace(" ", "")
    return expected == got


def check_ledger(pg, tables):
    """Every word of every group is counted as often as its cases say (an array may count more than once)."""
    counts = {
        (table, column, kind): n
        for kind, table, column, n in pg.query(
            "SELECT kind, object, path, sum(n)::bigint FROM docrow.ledger GROUP BY 1, 2, 3"
        )
    }
    wrong = []
    for group in itertools.chain(*tables):
        for word in sorted({w for case in group.cases for w in case.words}):
            wanted = sum(word in case.words for case in group.cases)
            got = counts.get((f"t{group.table}", group.name(), word), 0)
            if got < wanted:
                wrong.append(f"{group.head}: {word} counted {got} times, expected {wanted}")
    return wrong


def install_extensions(pg):
    """Those of the cases' types; returns the ones that this server has not."""
    missing = []
    for name in ["vector", "citext"]:
        if pg.one(f"SELECT count(*) FROM pg_available_extensions WHERE name = '{name}'") == 0:
            missing.append(name)
            continue
        with pg.admin() as admin:
            admin.execute(f"CREATE EXTENSION {name}")
    return missing


@pytest.mark.parametrize("version", ["pg15", "pg16", "pg18"])
def test_cases(version, request, mongo, make_docrow, tmp_path):
    pg = request.getfixturevalue(version)
    missing = install_extensions(pg)
    tables = group_cases(skip=missing)
    (tmp_path / "cases.yaml").write_text(mapping(tables), encoding="utf-8")
    insert(mongo.db, tables)
    job = make_docrow(mongo, pg)
    job.run("migrate", "--mapping", "./cases.yaml", status=1)
    got = shown(pg, tables)
    wrong = []
    for group in itertools.chain(*tables):
        for n, case in enumerate(group.cases):
            # the time inside the ObjectId is the same in all of them
            text = got.get((group.table, group.first + n))
            if not same(case, expected_of(case), text):
                wrong.append(f"{case}\n    expected {expected_of(case)!r}\n    got      {text!r}")
    wrong += check_ledger(pg, tables)
    assert not wrong, "\n".join(wrong)
    assert len(got) == sum(len(group.cases) for group in itertools.chain(*tables))
    # the independent reading of every case: what fits, what is rejected, and what each field means
    job.run("validate", "--full", "--log-values", "--findings", "100", status=0)
