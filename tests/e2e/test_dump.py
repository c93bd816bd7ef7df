"""A mongodump folder as the source: what comes out equals the live server's, plain, .gz and .zst, without any MongoDB;
a file that ends early or is damaged is told with the byte where it happened."""

import struct

import pytest

from lib import dumps, program
from lib.dumps import SUFFIXES
from lib.program import account_of

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"


def dump(database, folder, kind="plain"):
    return dumps.write_folder(dumps.raw_documents(database), folder / database.name, kind)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_dump_equals_the_live_server(dirty_nextcrm, pg15, make_docrow, tmp_path, kind):
    mongo, want = dirty_nextcrm
    place = dump(mongo.db, tmp_path / "dump", kind)
    job = make_docrow(None, pg15)  # no address of a MongoDB at all
    job.run("migrate", "--source", place, "--mapping", MAPPING, "--workers", "3", "--batch-size", "64", status=1)
    for got, expected in zip(account_of(pg15), want):
        assert got == expected


SMALL = """
docrow: 1
collections:
  - collection: a/b c
    table: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer }
"""


@pytest.fixture
def small(mongo, pg15, make_docrow, tmp_path):
    mongo["a/b c"].insert_many({"n": n, "pad": "x" * 50} for n in range(500))
    job = make_docrow(None, pg15)
    (job.folder / "small.yaml").write_text(SMALL)
    place = dump(mongo.db, tmp_path / "dump")
    (file,) = place.glob("*.bson")
    return job, place, file


def test_names_are_percent_decoded(small, pg15):
    job, place, file = small
    assert file.name == "a%2Fb%20c.bson"
    job.run("migrate", "--source", place, "--mapping", "./small.yaml", status=0)
    assert pg15.query("SELECT count(*), count(DISTINCT n) FROM things") == [(500, 500)]


def starts(data):
    at = 0
    while at < len(data):
        yield at
        at += struct.unpack_from("<i", data, at)[0]


@pytest.mark.parametrize("damage", ["cut", "cut in a length", "length"])
def test_damage_is_told_with_its_place(small, damage):
    job, place, file = small
    data = file.read_bytes()
    at = list(starts(data))[321]
    file.write_bytes(
        {
            "cut": data[: at + 20],
            "cut in a length": data[: at + 2],
            "length": data[:at] + struct.pack("<i", 3) + data[at + 4 :],
        }[damage]
    )
    result = job.run("migrate", "--source", place, "--mapping", "./small.yaml", status=3)
    digits = result.stderr.replace(",", "")
    assert str(at) in digits and file.name in result.stderr, result
