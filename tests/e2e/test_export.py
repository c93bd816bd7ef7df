"""JSON of mongoexport as the source: what comes out equals the dump of the same documents, lines or arrays, canonical,
relaxed or version 1, compressed or not; several workers, killed and resumed."""

import bson
import pytest

from lib import dumps, program
from lib.program import account_of

MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"
MIGRATE = ["migrate", "--mapping", MAPPING, "--workers", "3", "--batch-size", "50"]


@pytest.fixture(scope="module")
def documents(dirty_nextcrm):
    """Those of the dirty sample that JSON can hold at all (not bytes that are no UTF-8, nor double keys)."""
    mongo, _ = dirty_nextcrm
    everything = dumps.raw_documents(mongo.db)
    kept = {name: [d for d in raw if dumps.survives(d)] for name, raw in everything.items()}
    lost = sum(map(len, everything.values())) - sum(map(len, kept.values()))
    assert lost < 30
    return kept


@pytest.fixture(scope="module")
def want(documents, postgres_servers, tmp_path_factory):
    from lib.databases import PostgresDatabase

    folder = tmp_path_factory.mktemp("want")
    pg = PostgresDatabase(postgres_servers("debian"))
    place = dumps.write_folder(documents, folder / "nextcrm")
    program.Docrow(folder, None, pg).run(*MIGRATE, "--source", place, status=1)
    yield account_of(pg)
    pg.drop()


def times_said(text, sentence):
    return " ".join(text.split()).count(sentence)


FORMS = [("canonical", False, "plain"), ("canonical", True, "gz"), ("relaxed", False, "plain"), ("version 1", True, "zst")]


@pytest.mark.parametrize("mode, array, kind", FORMS)
def test_an_export_equals_the_dump(documents, want, pg15, make_docrow, tmp_path, mode, array, kind):
    place = dumps.write_exports(documents, tmp_path / "nextcrm", mode, array, kind)
    result = make_docrow(None, pg15).run(*MIGRATE, "--source", place, status=1)
    got = account_of(pg15)
    # Relaxed and version 1 do not tell int64 from int32, so documents that were kept whole may differ in bytes.
    digests = slice(None) if mode == "canonical" else slice(4)
    assert got[0] == want[0]
    assert [r[digests] for r in got[2]] == [r[digests] for r in want[2]]
    assert got[3] == want[3]
    if mode == "canonical":
        assert got[1] == want[1]
    for text in (result.stdout, result.stderr):
        assert times_said(text, "an export is not a single point in time") == 1
        assert times_said(text, "the export holds bare numbers") == (mode != "canonical")


@pytest.mark.plain_only
def test_kill_and_resume(documents, want, pg15, make_docrow, tmp_path):
    place = dumps.write_exports(documents, tmp_path / "nextcrm", "canonical", True)
    job = make_docrow(None, pg15)

    def is_under_way():
        return pg15.one("SELECT to_regclass('docrow.chunk') IS NOT NULL") and pg15.one(
            "SELECT count(*) FILTER (WHERE state = 'done') BETWEEN 3 AND count(*) - 3 FROM docrow.chunk"
        )

    job.kill_when(is_under_way, *MIGRATE, "--source", place, "--lease", "2", "--max-rate", "150")
    job.run(*MIGRATE, "--source", place, "--resume", status=1)
    assert account_of(pg15) == want


SMALL = """
docrow: 1
target: { id: native }
collections:
  - collection: things
    table: things
    columns:
      - { name: id, from: _id, type: bigint, primary_key: true }
      - { name: n, type: numeric }
      - { name: t, type: timestamptz }
      - { name: j, type: jsonb, json: canonical }
"""


@pytest.fixture
def small(pg15, make_docrow, tmp_path):
    job = make_docrow(None, pg15)
    (tmp_path / "small.yaml").write_text(SMALL)

    def run(text, *arguments, status=0):
        (tmp_path / "things.json").write_text(text)
        return job.run("migrate", "--source", "things.json", "--mapping", "./small.yaml", *arguments, status=status)

    return run


def test_one_file_and_all_its_digits(small, pg15):
    small(
        '{"_id":{"$numberLong":"9007199254740993"},"n":{"$numberDecimal":"0.10"},"t":{"$date":"2024-02-29T12:00:00.5Z"}}\n'
        '{"_id":9007199254740995,"n":123456789012345678901234567890,"t":{"$date":1709208000123},"j":{"b":[1.0,-0.0],"a":null}}\n'
    )
    rows = pg15.query("SELECT id, n::text, t AT TIME ZONE 'UTC', j::text FROM things ORDER BY 1")
    assert [(r[0], r[1], str(r[2]), r[3]) for r in rows] == [
        (9007199254740993, "0.10", "2024-02-29 12:00:00.500000", None),
        (
            9007199254740995,
            "123456789012345678901234567890",
            "2024-02-29 12:00:00.123000",
            '{"a": null, "b": [{"$numberDouble": "1.0"}, {"$numberDouble": "-0.0"}]}',
        ),
    ]


def test_damage_is_told_with_its_place(small):
    result = small('{"_id":1}\n{"_id":2', status=3)
    assert "DR-3008" in result.stderr and "things.json is cut short" in result.stderr and "at byte 18" in result.stderr
    result = small('{"_id":1}\n{"_id":2,}\n', "--clean", status=3)
    assert "at byte 19: a key is due" in result.stderr


def test_a_malformed_wrapper_is_a_reject_not_a_guess(small, pg15):
    small('{"_id":1,"t":{"$date":"2024-02-30T00:00:00Z"}}\n{"_id":2}\n', status=1)
    assert pg15.query("SELECT id FROM things") == [(2,)]
    (document,) = [bson.decode(bytes(r[0])) for r in pg15.query("SELECT document FROM docrow.reject")]
    assert document == {"_id": 1, "t": {"$date": "2024-02-30T00:00:00Z"}}
