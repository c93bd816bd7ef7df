"""A mongodump folder as the source: what comes out equals the live server's, plain, .gz and .zst, without any MongoDB;
a file that ends early or is damaged is told with the byte where it happened."""

import ctypes
import gzip
import struct
import urllib.parse

import bson
import bson.raw_bson
import pytest

from lib import nextcrm_dirt, nextcrm_sample, program
from lib.databases import MongoDatabase, PostgresDatabase

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
SUFFIXES = {"plain": "", "gz": ".gz", "zst": ".zst"}


def zstd(data):
    """With the library that docrow itself is linked to: Python 3.11 has none."""
    library = ctypes.CDLL("libzstd.so.1")
    for function in (library.ZSTD_compressBound, library.ZSTD_compress):
        function.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


def pack(data, kind):
    if kind == "gz":
        return gzip.compress(data, 1)
    if kind == "zst":
        return zstd(data)
    return data


def dump(database, folder, kind="plain"):
    """As mongodump lays it out: <database>/<collection>.bson and .metadata.json, compressed or not."""
    place = folder / database.name
    place.mkdir(parents=True)
    codec = bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
    for name in database.list_collection_names():
        documents = database.get_collection(name, codec_options=codec).find()
        file = urllib.parse.quote(name, safe="")
        (place / f"{file}.bson{SUFFIXES[kind]}").write_bytes(pack(b"".join(d.raw for d in documents), kind))
        metadata = b'{"options":{},"indexes":[],"uuid":"","collectionName":"%s","type":"collection"}' % name.encode()
        (place / f"{file}.metadata.json{SUFFIXES[kind]}").write_bytes(pack(metadata, kind))
    return place


def account(pg):
    return (
        pg.contents(),
        pg.query("SELECT kind, object, path, n FROM docrow.ledger ORDER BY 1, 2, 3"),
        pg.query("SELECT collection, doc_id_text, fault, column_name, md5(document) FROM docrow.reject ORDER BY 1, 2, 3, 4, 5"),
        pg.query("SELECT kind, table_name, column_name, key, value_text FROM docrow.finding ORDER BY 1, 2, 3, 4, 5"),
    )


@pytest.fixture(scope="module")
def live(mongo_server, postgres_servers, tmp_path_factory):
    """A dirty NextCRM database, and what came of it from the live server."""
    sample = nextcrm_sample.make(1500, seed=8, dirt=0.03)
    nextcrm_dirt.spoil(sample, seed=8)
    mongo = MongoDatabase(mongo_server)
    sample.insert(mongo.db)
    pg = PostgresDatabase(postgres_servers("debian"))
    job = program.Docrow(tmp_path_factory.mktemp("live"), mongo, pg)
    job.run("migrate", "--mapping", MAPPING, "--batch-size", "100", status=1)
    yield mongo, account(pg)
    pg.drop()
    mongo.drop()


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_dump_equals_the_live_server(live, pg15, make_docrow, tmp_path, kind):
    mongo, want = live
    place = dump(mongo.db, tmp_path / "dump", kind)
    job = make_docrow(None, pg15)  # no address of a MongoDB at all
    job.run("migrate", "--source", place, "--mapping", MAPPING, "--workers", "3", "--batch-size", "64", status=1)
    for got, expected in zip(account(pg15), want):
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
