"""Documents made to hurt: very large, very deep, very many. The run ends, what does not fit is a reject, and memory stays
within bounds."""

import json
import os
import resource
import struct
import subprocess

import pytest

from lib import raw_bson

KEY = {"name": "id", "from": "_id", "type": "uuid", "primary_key": True}
MEGABYTE = 1 << 20

pytestmark = pytest.mark.plain_only  # it measures memory


def oid(n):
    return struct.pack(">QI", 1, n)


def raw(n, *fields):
    """A document of _id n and fields (BSON type byte, key, payload)."""
    body = b"\x07_id\0" + oid(n) + b"".join(bytes([kind]) + key + b"\0" + payload for kind, key, payload in fields)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def nested(levels, kind, key):
    """A value of that many sub-documents or lists, one inside the other."""
    head = bytes([kind]) + key + b"\0"
    each = len(head) + 5
    return b"".join(struct.pack("<i", 5 + each * n) + head for n in range(levels, 0, -1)) + b"\5\0\0\0\0" + b"\0" * levels


def text(n, character=b"x"):
    return struct.pack("<i", n + 1) + character * n + b"\0"


def numbers(n):
    """0, 0, 0, 1, 1, 1, 2 …"""
    return raw_bson.document([(str(i).encode(), ("int32", i // 3)) for i in range(n)])


@pytest.fixture
def load(make_docrow, pg15, tmp_path):
    """load(documents, collection of the mapping) → megabytes that docrow took at most"""

    def run(documents, collection, status):
        place = tmp_path / "dump" / "d"
        place.mkdir(parents=True)
        (place / "c.bson").write_bytes(b"".join(documents))
        (tmp_path / "m.yaml").write_text(json.dumps({"docrow": 1, "collections": [{"collection": "c", **collection}]}))
        docrow = make_docrow(None, pg15)
        arguments = ("migrate", "--source", place, "--mapping", "./m.yaml", "--workers", "2", "--progress", "none")
        docrow.run(*arguments, status=status)
        # of all children so far, which are these runs: the largest
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

    return run


def rejects(pg):
    return dict(pg.query("SELECT fault, count(*) FROM docrow.reject GROUP BY 1"))


def test_depth(load, pg15):
    """What the server's own stack cannot take is refused alone."""
    sizes = [(10, 3, b"k"), (5000, 3, b"k"), (5000, 4, b"0"), (500_000, 3, b"k"), (500_000, 4, b"0"), (1, 3, b"k")]
    documents = [raw(n, (kind, b"v", nested(levels, kind, key))) for n, (levels, kind, key) in enumerate(sizes)]
    assert load(documents, {"columns": [KEY, {"name": "v", "type": "jsonb"}]}, 1) < 256
    assert rejects(pg15) == {"refused": 2}
    assert pg15.one("SELECT count(*) FROM c") == 4
    assert pg15.one("SELECT length(replace(v::text, ' ', '')) FROM c WHERE id = docrow.objectid_to_uuid(%s)", oid(1).hex()) == 5000 * 6 + 2


def test_names(load, pg15):
    """Ten thousand names are counted by name, what comes after as others; keys of a megabyte do not fill the memory."""
    many = [raw(n, *[(0x10, b"n%d_%d" % (n, i), b"\1\0\0\0") for i in range(100)]) for n in range(120)]
    large = [raw(1000 + n, (0x10, b"%03d" % n + b"k" * MEGABYTE, b"\1\0\0\0")) for n in range(30)]
    assert load(many + large, {"columns": [KEY]}, 0) < 256
    counted = dict(pg15.query("SELECT path, n::int FROM docrow.ledger WHERE kind = 'unmapped'"))
    assert sum(counted.values()) == 120 * 100 + 30 and len(counted) <= 2 * 10_001 and counted["(other)"] >= 25


def test_lists(load, pg15):
    """A hundred thousand elements into an array and into a child table that does not take the last of them."""
    child = {"table": "items", "from": "v", "parent": "up", "ordinal": "n",
             "columns": [{"name": "x", "from": ".", "type": "smallint", "not_null": True}]}  # fmt: skip
    columns = [KEY, {"name": "v", "type": "integer[]"}]
    documents = [raw(n, (4, b"v", numbers(100_000))) for n in range(2)]
    assert load(documents, {"columns": columns, "children": [child]}, 1) < 512
    assert pg15.query("SELECT array_length(v, 1) FROM c") == [(100_000,)] * 2
    assert pg15.one("SELECT count(*) FROM items") == 2 * 3 * 32768
    assert rejects(pg15) == {"range": 2 * (100_000 - 3 * 32768)}


def test_size(load, pg15):
    """Documents of nearly 16 MB: text, a list, bad text; more of them than fit into memory at once."""
    most = 16 * MEGABYTE - 1000
    documents = [raw(n, (2, b"v", text(most))) for n in range(6)] + [raw(90, (4, b"v", numbers(500_000)))]
    assert load(documents + [raw(91, (2, b"v", text(most, b"\xff")))], {"columns": [KEY, {"name": "v", "type": "jsonb"}]}, 1) < 512
    assert pg15.one("SELECT count(*) FROM c") == 7 and rejects(pg15) == {"utf8": 1}


def peak(docrow, *arguments):
    """Megabytes that this run of docrow took at most; it ends with status 0."""
    process = docrow.start(*arguments, "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss / 1024


@pytest.fixture
def four_workers(make_docrow, pg15, tmp_path):
    """four_workers(documents) → megabytes of migrate, of validate"""

    def run(documents):
        place = tmp_path / "dump" / "d"
        place.mkdir(parents=True)
        (place / "c.bson").write_bytes(b"".join(documents))
        columns = [KEY, {"name": "v", "type": "jsonb"}]
        (tmp_path / "m.yaml").write_text(json.dumps({"docrow": 1, "collections": [{"collection": "c", "columns": columns}]}))
        docrow = make_docrow(None, pg15)
        moved = peak(docrow, "migrate", "--source", place, "--mapping", "./m.yaml", "--workers", "4")
        return moved, peak(docrow, "validate", "--full", "--source", place, "--workers", "4")

    return run


def test_size_of_what_is_escaped(four_workers, pg15):
    """Each of these characters takes six bytes as JSON: 96 MB a row, and more of them than there are workers."""
    moved, validated = four_workers([raw(n, (2, b"v", text(16 * MEGABYTE - 1000, b"\1"))) for n in range(6)])
    assert pg15.one("SELECT count(*) FROM c") == 6
    assert moved < 300 and validated < 512


def test_many_escapes(four_workers):
    """A text with escapes takes its own length, not that of all that follows."""
    lines = raw_bson.document([(str(i).encode(), ("string", b"line\n%d" % i)) for i in range(20_000)])
    moved, validated = four_workers([raw(n, (4, b"v", lines)) for n in range(3)])
    assert moved < 100 and validated < 100
