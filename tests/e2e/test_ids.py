"""Every _id that MongoDB takes becomes one row, exactly once, however the collection is cut into chunks."""

import datetime
import uuid

import bson
import pytest

from lib import nextcrm_oracle

MAPPING = """
docrow: 1
policies: { accept: [hex-id] }
collections:
  - collection: things
    optional: true
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n, type: integer, not_null: true }
  - collection: metrics
    optional: true
    keyless: true
    columns:
      - { name: n, type: integer, not_null: true }
"""
HEX = "507f1f77bcf86cd799439011"
WHEN = datetime.datetime(2024, 2, 29, 1, 2, 3, 4000)
IDS = [
    bson.MinKey(),
    None,
    float("nan"),
    float("-inf"),
    -(2**31),
    bson.Int64(-(2**63)),
    0,
    1.5,
    bson.Decimal128("1.5000000000000000000001"),
    bson.Decimal128("1E+400"),
    2**31 - 1,
    bson.Int64(2**53),
    bson.Int64(2**53 + 1),
    bson.Int64(2**63 - 1),
    1e300,
    float("inf"),
    "",
    "1",
    "null",
    "é",
    "e\u0301",
    "a\0b",
    "x" * 900,
    {},
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {"a": {"b": None}},
    {"a": {"b": [1, "1"]}},
    bson.Binary(b"", 0),
    bson.Binary(b"\0", 0),
    bson.Binary(b"\0", 128),
    bson.Binary(uuid.UUID(int=7).bytes, 4),
    bson.Binary(b"0123456789abcdef", 5),
    bson.ObjectId("0" * 24),
    bson.ObjectId(HEX),
    bson.ObjectId("f" * 24),
    False,
    True,
    bson.DatetimeMS(-(2**62)),
    WHEN,
    bson.DatetimeMS(2**62),
    bson.Timestamp(0, 1),
    bson.Timestamp(2**32 - 1, 2**32 - 1),
    bson.DBRef("other", 1),
    bson.Code("f()"),
    bson.Code("f()", {"x": 1}),
    bson.MaxKey(),
]


@pytest.fixture
def job(docrow):
    (docrow.folder / "ids.yaml").write_text(MAPPING)
    return docrow


def migrate(job, *options, status=0):
    return job.run("migrate", "--mapping", "./ids.yaml", "--clean", *options, status=status)


def numbers(pg, table="things"):
    return sorted(n for (n,) in pg.query(f"SELECT n FROM {table}"))


def test_every_id_exactly_once_at_every_batch_size(job, mongo, pg15):
    mongo["things"].insert_many({"_id": _id, "n": n} for n, _id in enumerate(IDS))
    seen = set()
    for size in ("1", "2", "3", "7", None):
        migrate(job, *(["--batch-size", size] if size else []))
        rows = pg15.query("SELECT id, n FROM things ORDER BY n")
        assert [n for _, n in rows] == list(range(len(IDS)))
        seen.add(tuple(key for key, _ in rows))
    assert len(seen) == 1  # the same keys each time
    keys = seen.pop()
    for n, _id in enumerate(IDS):
        if isinstance(_id, bson.ObjectId):
            assert keys[n] == nextcrm_oracle.key_of(_id)
            assert pg15.one("SELECT docrow.uuid_to_objectid(id) FROM things WHERE n = %s", n) == str(_id)
    assert keys[IDS.index(bson.Binary(uuid.UUID(int=7).bytes, 4))] == uuid.UUID(int=7)
    listed = pg15.query("SELECT key FROM docrow.id_map m JOIN docrow.run r ON r.id = m.run WHERE r.status = 'done'")
    own = sum(isinstance(i, bson.ObjectId) or (isinstance(i, bson.Binary) and i.subtype == 4) for i in IDS)
    assert {key for (key,) in listed} <= set(keys) and len(listed) == len(IDS) - own


def test_many_ids_of_three_types(job, mongo, pg15):
    ids = [bson.ObjectId() for _ in range(1000)] + [f"key {n}" for n in range(1000)] + list(range(1000))
    mongo["things"].insert_many({"_id": _id, "n": n} for n, _id in enumerate(ids))
    for size in ("100", "333"):
        migrate(job, "--batch-size", size, "--workers", "3")
        assert numbers(pg15) == list(range(3000))


@pytest.mark.parametrize("kind", ["view", "capped", "clustered"])
def test_kinds_of_collections(job, mongo, pg15, kind):
    if kind == "view":
        mongo.db.create_collection("behind")
        mongo.db.create_collection("things", viewOn="behind", pipeline=[{"$match": {"n": {"$lt": 40}}}])
    elif kind == "capped":
        mongo.db.create_collection("things", capped=True, size=1 << 20)
    else:
        mongo.db.create_collection("things", clusteredIndex={"key": {"_id": 1}, "unique": True})
    mongo["behind" if kind == "view" else "things"].insert_many({"n": n} for n in range(50))
    migrate(job, "--batch-size", "7")
    assert numbers(pg15) == list(range(40 if kind == "view" else 50))


def test_time_series_with_equal_ids(job, mongo, pg15):
    mongo.db.create_collection("metrics", timeseries={"timeField": "at"})
    mongo["metrics"].insert_many({"_id": n % 5, "n": n, "at": WHEN} for n in range(50))
    migrate(job)
    assert numbers(pg15, "metrics") == list(range(50))


def test_a_string_beside_its_own_objectid(job, mongo, pg15):
    """One key: the lowest _id in MongoDB's order (a string) keeps it, whatever the chunks and the workers."""
    mongo["things"].insert_many([{"_id": HEX, "n": 1}, {"_id": bson.ObjectId(HEX), "n": 2}, {"_id": 5, "n": 3}])
    for size, workers in (("1", "3"), ("1", "1"), ("2", "2"), ("10", "1")):
        migrate(job, "--batch-size", size, "--workers", workers, status=1)
        assert numbers(pg15) == [1, 3]
        ((fault, doc_id, message, document),) = pg15.query(
            "SELECT fault, doc_id, message, document FROM docrow.reject j JOIN docrow.run r ON r.id = j.run"
            " WHERE r.status = 'done'"
        )
        assert fault == "duplicate" and bson.decode(bytes(doc_id))["_id"] == bson.ObjectId(HEX)
        assert bson.decode(bytes(document)) == {"_id": bson.ObjectId(HEX), "n": 2}
        assert HEX in message and str(nextcrm_oracle.key_of(HEX)) in message


def test_creation_time_in_the_uuid(make_docrow, mongo, pg18):
    job = make_docrow(mongo, pg18)
    (job.folder / "ids.yaml").write_text(MAPPING)
    ids = [bson.ObjectId(h) for h in ("0" * 24, HEX, "f" * 24)]
    mongo["things"].insert_many({"_id": _id, "n": n} for n, _id in enumerate(ids))
    migrate(job)
    for n, when in pg18.query("SELECT n, extract(epoch FROM uuid_extract_timestamp(id))::bigint FROM things"):
        assert when == int(str(ids[n])[:8], 16)
