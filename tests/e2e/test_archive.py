"""A mongodump archive as the source: what comes out equals the live server's, plain, gzip, zstd, from a file or standard
input, however collections are interleaved; killed and resumed; damaged in all its parts."""

import subprocess

import bson
import pytest

from lib import dumps, program
from lib.program import account_of

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
SMALL = """
docrow: 1
target: { id: native }
source: { database: shop }
collections:
  - collection: things
    table: things
    columns:
      - { name: id, from: _id, type: bigint, primary_key: true }
      - { name: text, type: text }
  - collection: others
    table: others
    optional: true
    columns:
      - { name: id, from: _id, type: bigint, primary_key: true }
"""


@pytest.fixture(scope="module")
def archive(dirty_nextcrm):
    mongo, want = dirty_nextcrm
    others = {"elsewhere": {"things": [bson.encode({"_id": n}) for n in range(50)]}}
    return dumps.archive({"nextcrm": dumps.raw_documents(mongo.db)} | others, seed=3, oplog=True), want


MIGRATE = ["migrate", "--mapping", MAPPING, "--workers", "3", "--batch-size", "64"]


@pytest.mark.parametrize("kind", dumps.SUFFIXES)
def test_an_archive_equals_the_live_server(archive, pg15, make_docrow, tmp_path, kind):
    data, want = archive
    path = tmp_path / "dump.archive"  # the name says nothing about the compression
    path.write_bytes(dumps.pack(data, kind))
    job = make_docrow(None, pg15)
    result = job.run(*MIGRATE, "--source", path, status=1)
    for got, expected in zip(account_of(pg15), want):
        assert got == expected
    for text in (result.stdout, result.stderr):
        words = " ".join(text.split())
        assert words.count("a dump is not a single point in time") == 1
        assert words.count("the dump has an oplog, whose entries are not applied yet") == 1


def test_a_piped_archive_equals_the_live_server(archive, pg15, make_docrow, tmp_path):
    """Through a pipe, killed, and resumed by piping the same archive again; another one is refused."""
    data, want = archive
    path = tmp_path / "dump.archive.gz"
    path.write_bytes(dumps.pack(data, "gz"))
    other = tmp_path / "other.archive.gz"
    other.write_bytes(dumps.pack(data, "plain"))
    job = make_docrow(None, pg15)
    command = [*MIGRATE, "--source", "-", "--lease", "2"]

    def is_under_way():
        return pg15.one("SELECT to_regclass('docrow.chunk') IS NOT NULL") and pg15.one(
            "SELECT count(*) FILTER (WHERE state = 'done') BETWEEN 3 AND count(*) - 3 FROM docrow.chunk"
        )

    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        job.kill_when(is_under_way, *command, "--max-rate", "150", stdin=cat.stdout)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        result = job.run(*command, "--resume", "--max-rejects", "1", stdin=cat.stdout, status=1)
    assert "< ARCHIVE   (the same one again)" in result.stderr
    with subprocess.Popen(["cat", other], stdout=subprocess.PIPE) as cat:
        result = job.run(*command, "--resume", stdin=cat.stdout, status=2)
    assert "DR-2205" in result.stderr
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        job.run(*command, "--resume", stdin=cat.stdout, status=1)
    for got, expected in zip(account_of(pg15), want):
        assert got == expected


def raw(n, size=30):
    return [bson.encode({"_id": i, "text": "x" * size}) for i in range(n)]


@pytest.fixture
def small(pg15, make_docrow, tmp_path):
    job = make_docrow(None, pg15)
    (tmp_path / "small.yaml").write_text(SMALL)
    path = tmp_path / "small.archive"

    def run(data, *arguments, status=0, **options):
        path.write_bytes(data)
        return job.run("migrate", "--source", path, "--mapping", "./small.yaml", *arguments, status=status, **options)

    run.pg = pg15
    return run


def test_check_tells_how_much_there_is(small, tmp_path):
    small(dumps.archive({"shop": {"things": raw(123)}}))
    job = program.Docrow(tmp_path, None, small.pg)
    assert "about 123 in" in job.run("check", "--source", tmp_path / "small.archive", "--mapping", "./small.yaml").stdout


def test_the_database_of_the_mapping_is_chosen(small, pg15):
    small(dumps.archive({"a": {"things": raw(3)}, "shop": {"things": raw(5)}, "z": {"things": raw(7)}}))
    assert pg15.one("SELECT count(*) FROM things") == 5


def test_the_only_database_need_not_be_named(small, pg15):
    small(dumps.archive({"admin": {"system.version": raw(1)}, "shop_copy": {"things": raw(4), "others": []}}))
    assert pg15.one("SELECT count(*) FROM things") == 4
    assert pg15.one("SELECT count(*) FROM others") == 0


def test_several_databases_of_which_none_is_named(small):
    result = small(dumps.archive({"a": {"things": raw(3)}, "b": {"things": raw(5)}}), status=3)
    assert "several databases" in result.stderr and "a, b" in result.stderr


def test_a_file_as_standard_input_is_read_in_place(small, pg15, tmp_path):
    small(b"", status=3)
    (tmp_path / "x").write_bytes(dumps.archive({"shop": {"things": raw(9)}}))
    with open(tmp_path / "x", "rb") as stdin:
        result = small(b"", "--source", "-", stdin=stdin)
    assert pg15.one("SELECT count(*) FROM things") == 9
    assert "temporary file" not in result.stderr


def written(documents, before=b"", types=None):
    a = dumps.Archive([("shop", "things"), ("shop", "others")], types=types)
    a.data += before
    a.block("shop", "things", documents)
    return a


def finished(a):
    a.end("shop", "others")
    a.end("shop", "things")
    return bytes(a.data)


def damages():
    """name → (archive, offset that the message names, words of it)"""
    good = finished(written(raw(20)))
    begins = good.index(raw(20)[0])
    eighth = begins + sum(map(len, raw(7)))
    a = written(raw(20))
    a.end("shop", "things", crc=5)
    crc_at = good.rindex(b"\x02db\0") - 4
    twice = dumps.Archive([("shop", "things"), ("shop", "others")])
    twice.block("shop", "things", raw(3))
    twice.end("shop", "things")
    again = len(twice.data)
    twice.block("shop", "things", raw(3))
    stranger = written(raw(3))
    strange_at = len(stranger.data)
    stranger.block("shop", "nameless", raw(1))
    no_header = written(raw(3))
    headless_at = len(no_header.data)
    no_header.data += dumps.TERMINATOR
    return {
        "cut in a document": (good[: eighth + 9], eighth, "is cut short"),
        "cut in a length": (good[: eighth + 2], eighth, "2 bytes are left"),
        "cut behind a document": (good[:eighth], eighth, "ends inside a block"),
        "no ends": (good[:crc_at], None, "without that collection's end"),
        "bad length": (good[:eighth] + b"\xfe\xff\xff\xff" + good[eighth + 4 :], eighth, "the length there is -2"),
        "huge length": (good[:eighth] + b"\xff\xff\xff\x7f" + good[eighth + 4 :], eighth, "2147483647"),
        "a changed byte": (good.replace(b"xxx", b"xyx", 1), crc_at, "the check sum of things"),
        "wrong sum": (finished(a), None, "the check sum of things is 0000000000000005"),
        "documents after the end": (finished(twice), again, "come after its end"),
        "unknown collection": (finished(stranger), strange_at, "does not name"),
        "no header": (finished(no_header), headless_at, "a terminator stands"),
        "cut in the prelude": (good[:100], None, "cut short"),
    }


def test_damage_is_told_with_its_place(small, pg15):
    for name, (data, at, words) in damages().items():
        result = small(data, "--clean", status=3)
        assert "DR-3008" in result.stderr and words in result.stderr, (name, result)
        assert at is None or f"at byte {at}" in result.stderr, (name, at, result)
        assert not pg15.one("SELECT to_regclass('things') IS NOT NULL") or pg15.one("SELECT count(*) FROM things") == 0


def test_damage_under_gzip(small):
    data = dumps.pack(dumps.archive({"shop": {"things": raw(3000)}}), "gz")
    assert "cut short" in small(data[:-20], status=3).stderr
    assert "DR-3008" in small(data[:300] + bytes(30) + data[330:], status=3).stderr


def test_kinds_without_documents_are_refused(small):
    a = dumps.Archive([("shop", "things")], types={("shop", "things"): "timeseries"})
    a.block("shop", "system.buckets.things", raw(2))
    a.end("shop", "system.buckets.things")
    assert "time-series" in small(bytes(a.data), status=3).stderr
    a = dumps.Archive([("shop", "things")], types={("shop", "things"): "view"})
    a.end("shop", "things")
    assert "is a view" in small(bytes(a.data), status=3).stderr
