"""Inputs that went wrong for other movers, by kind, with samples of our own: tests/cases/README.md lists the kinds and where
each is tested. Here is what needs several documents, relations or servers."""

import json
import struct

import bson
import gridfs
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from lib import raw_bson
from lib.ids import oid

KEY = {"name": "id", "from": "_id", "type": "uuid", "primary_key": True}


@pytest.fixture
def move(docrow, mongo, pg15):
    """move(mapping, {collection: [document, or its bytes]}, status, …): → {(kind, object, path): n} of the ledger"""

    def run(mapping, documents, status=0, *options):
        for name, list_of_them in documents.items():
            mongo.db.create_collection(name)
            if list_of_them:
                raw = [RawBSONDocument(d if isinstance(d, bytes) else bson.encode(d)) for d in list_of_them]
                mongo.db.command("insert", name, documents=raw)
        text = json.dumps({"docrow": 1, **mapping}, ensure_ascii=False)
        (docrow.folder / "m.yaml").write_text(text, encoding="utf-8")
        run.result = docrow.run("migrate", "--mapping", "./m.yaml", "--progress", "none", *options, status=status)
        return {(k, o, p): n for k, o, p, n in pg15.query("SELECT kind, object, path, n::int FROM docrow.ledger")}

    return run


def rejects(pg, *columns):
    what = ", ".join(columns or ("fault", "path"))
    return sorted(pg.query(f"SELECT {what} FROM docrow.reject"), key=str)


# --- values ---


def test_one_field_of_many_types(move, pg15):
    """Numbers in one column, texts that are numbers by request only; nothing turns NULL unasked."""
    values = [31, Int64(32), 33.0, Decimal128("34"), "35", "", "3x", None, [36], {"y": 37}, True, 38.5, 2**40]
    columns = [KEY, {"name": "n", "type": "integer"}, {"name": "age", "type": "integer", "accept": ["numeric-string"]}]
    documents = [{"_id": oid(i), "n": i, "age": v} for i, v in enumerate(values)] + [{"_id": oid(99), "n": 99}]
    counts = move({"collections": [{"collection": "people", "columns": columns}]}, {"people": documents}, 1)
    assert pg15.query("SELECT n, age FROM people ORDER BY n") == [(0, 31), (1, 32), (2, 33), (3, 34), (4, 35), (7, None), (99, None)]
    assert rejects(pg15, "fault", "bson_type") == [
        ("format", "string"), ("format", "string"), ("inexact", "double"), ("range", "long"), ("type", "array"), ("type", "bool"),
        ("type", "object")]  # fmt: skip
    assert counts["accepted", "people", "age"] == 1
    assert counts["null", "people", "age"] == counts["missing", "people", "age"] == 1


def test_null_missing_and_undefined_are_three_things(move, pg15):
    columns = [
        KEY,
        {"name": "plain", "from": "a", "type": "text"},
        {"name": "told", "from": "a", "type": "text", "if_missing": "was missing", "if_null": "was null"},
        {"name": "whole", "from": "sub", "type": "jsonb"},
        {"name": "inner", "from": "sub.a", "type": "integer", "if_missing": "0", "if_null": "-1"},
    ]
    undefined = raw_bson.document([(b"_id", ("objectid", oid(3).binary)), (b"a", ("undefined", None)),
                                   (b"sub", ("document", [(b"a", ("undefined", None))]))])  # fmt: skip
    documents = [{"_id": oid(1)}, {"_id": oid(2), "a": None, "sub": {"a": None}}, undefined, {"_id": oid(4), "sub": {}}]
    counts = move({"collections": [{"collection": "c", "columns": columns}]}, {"c": documents})
    assert pg15.query('SELECT plain, told, whole::text, "inner" FROM c ORDER BY id') == [
        (None, "was missing", None, 0),
        (None, "was null", '{"a": null}', -1),
        (None, "was null", '{"a": {"$undefined": true}}', -1),
        (None, "was missing", "{}", 0),
    ]
    assert [counts[k, "c", "plain"] for k in ("missing", "null", "undefined")] == [2, 1, 1]
    assert [counts[k, "c", "told"] for k in ("default_missing", "default_null", "default_undefined")] == [2, 1, 1]


def test_one_bad_text_among_thousands(move, pg15):
    """NUL and bytes that are not UTF-8, in text, lists, keys and sub-documents: their documents only."""
    good = [{"_id": oid(n), "t": f"Größe {n}", "tags": ["a", "ü"], "doc": {"k": "🙂"}} for n in range(2000)]
    head = [(b"_id", ("objectid", oid(5000 + i).binary)) for i in range(7)]
    bad = [raw_bson.document([h, f]) for h, f in zip(head, [
        (b"t", ("string", b"a\0b")),
        (b"t", ("string", b"\xed\xb0\x80")),
        (b"tags", ("array", [("string", b"ok"), ("string", b"\0")])),
        (b"doc", ("document", [(b"k", ("string", b"\xc1\x81"))])),
        (b"doc", ("document", [(b"\x80key", ("int32", 1))])),
        (b"doc", ("document", [(b"l", ("array", [("document", [(b"deep", ("code", b"f(\0)"))])]))])),
        (b"doc", ("document", [(b"r", ("regex", (b"\xff", b"")))])),
    ], strict=True)]  # fmt: skip
    columns = [KEY, {"name": "t", "type": "text"}, {"name": "tags", "type": "text[]"}, {"name": "doc", "type": "jsonb"}]
    move({"collections": [{"collection": "c", "columns": columns}]}, {"c": good[:1000] + bad + good[1000:]}, 1)
    assert pg15.one("SELECT count(*) FROM c") == 2000
    assert rejects(pg15) == [("nul", "doc"), ("nul", "t"), ("nul", "tags"), *[("utf8", "doc")] * 3, ("utf8", "t")]


# --- names ---


NAMES = ["äöüß" * 7 + "1234567", "two words", 'quo"te', "select", "UPPER", "dot.ted", "a'b", "\\back", "$1", "1st", " blank ", "ctid_"]


ENUM = "an Enum's name, ü"


def test_names_of_any_sort(move, pg15):
    """Of 63 bytes, with quotes, blanks and dots: of collections, tables, columns, enums and their labels."""
    collections, documents = [], {}
    for i, name in enumerate(NAMES):
        column = {"name": name, "from": ["f.1", "$x"], "type": f'"{ENUM}"' if i == 4 else "text"}
        collections.append({"collection": f"c{i}.{name}".replace("$", "S"), "table": name, "columns": [KEY, column],
                            "primary_key_name": f"key {i}"})  # fmt: skip
        documents[collections[-1]["collection"]] = [{"_id": oid(i), "f.1": {"$x": NAMES[1] if i == 4 else name}}]
    move({"enums": [{"name": ENUM, "labels": NAMES[:4]}], "collections": collections}, documents)
    for i, name in enumerate(NAMES):
        quoted = '"' + name.replace('"', '""') + '"'
        assert pg15.one(f"SELECT {quoted}::text FROM {quoted}") == (NAMES[1] if i == 4 else name)


def test_names_that_every_table_has(docrow):
    for name in ("xmin", "ctid", "tableoid", "cmax"):
        mapping = {"docrow": 1, "collections": [{"collection": "c", "columns": [KEY, {"name": name, "type": "text"}]}]}
        (docrow.folder / "m.yaml").write_text(json.dumps(mapping))
        assert f'no column named "{name}"' in docrow.run("mapping", "check", "./m.yaml", status=2).stdout


# --- shapes ---


def test_elements_of_every_sort(move, pg15):
    """A list of sub-documents that also holds other things: those alone are rejects, in their places."""
    child = {"from": "items", "table": "items", "parent": "c", "ordinal": "pos",
             "columns": [{"name": "a", "type": "integer"}, {"name": "b", "type": "text"}]}  # fmt: skip
    documents = [
        {"_id": oid(1), "items": [{"a": 1}, {"a": 2, "b": "x"}, "str", None, [], {}, {"a": "no"}, {"a": None, "b": ""}]},
        {"_id": oid(2), "items": []},
        {"_id": oid(3), "items": None},
        {"_id": oid(4)},
    ]
    mapping = {"collections": [{"collection": "c", "columns": [KEY], "children": [child]}]}
    counts = move(mapping, {"c": documents}, 1)
    assert pg15.query("SELECT pos, a, b FROM items ORDER BY pos") == [(0, 1, None), (1, 2, "x"), (5, None, None), (7, None, "")]
    assert rejects(pg15, "ordinal", "fault") == [(2, "element_invalid"), (3, "element_null"), (4, "element_invalid"), (6, "type")]
    assert counts["elements", "items", "c"] == 8 and pg15.one("SELECT count(*) FROM c") == 4


def test_one_bad_document_does_not_take_its_batch_along(move, pg15):
    tasks = [{"_id": oid(n)} for n in range(1, 9)]
    comments = [{"_id": oid(100 + n), "task": oid(n % 8 + 1 if n != 17 else 999)} for n in range(38)]
    mapping = {"collections": [
        {"collection": "tasks", "columns": [KEY]},
        {"collection": "comments", "columns": [KEY, {"name": "task", "type": "uuid", "not_null": True, "references": "tasks"}]},
    ]}  # fmt: skip
    move(mapping, {"tasks": tasks, "comments": comments}, 1)
    assert pg15.one("SELECT count(*) FROM comments") == 37
    assert rejects(pg15, "fault", "doc_id") == [("orphan", bson.encode({"_id": oid(117)}))]


def test_rows_that_are_too_wide(move, pg15):
    """1,200 UUIDs fit a table but not a page: the documents that have them all are rejects, the others load."""
    columns = [KEY, *({"name": f"u{i}", "type": "uuid"} for i in range(1200))]
    wide = {f"u{i}": oid(i) for i in range(1200)}
    documents = [{"_id": oid(1), **wide}, {"_id": oid(2), "u7": oid(7)}, {"_id": oid(3), **wide}, {"_id": oid(4)}]
    move({"collections": [{"collection": "c", "columns": columns}]}, {"c": documents}, 1)
    assert pg15.one("SELECT count(*) FROM c") == 2
    assert rejects(pg15, "fault", "sqlstate") == [("refused", "54000")] * 2


def test_more_columns_than_a_table_takes(docrow):
    columns = [KEY, *({"name": f"c{i}", "type": "text"} for i in range(1700))]
    (docrow.folder / "m.yaml").write_text(json.dumps({"docrow": 1, "collections": [{"collection": "c", "columns": columns}]}))
    assert "1600" in docrow.run("mapping", "check", "./m.yaml", status=2).stdout.replace(",", "")


# --- ids and references ---


def test_spellings_of_one_id(move, pg15):
    """ObjectId, hex in either case, {$oid}, {_str}, DBRef: what accept names; every other class is told, not nulled."""
    spellings = [
        oid(0xAB), f"{0xAB:024x}", f"{0xAB:024X}", {"$oid": f"{0xAB:024x}"}, {"_str": f"{0xAB:024x}"}, bson.DBRef("users", oid(0xAB)),
        "null", "", "a-slug", 0, {"_str": "x"}, oid(0xCD),
    ]  # fmt: skip
    posts = [{"_id": oid(1000 + i), "n": i, "user": s} for i, s in enumerate(spellings)]
    columns = [KEY, {"name": "n", "type": "integer"},
               {"name": "user", "type": "uuid", "accept": ["hex-id", "oid-document", "dbref"], "references": "users"}]  # fmt: skip
    mapping = {"collections": [{"collection": "users", "columns": [KEY]}, {"collection": "posts", "columns": columns}]}
    counts = move(mapping, {"users": [{"_id": oid(0xAB)}], "posts": posts}, 1)
    assert pg15.query('SELECT n, docrow.uuid_to_objectid("user") FROM posts ORDER BY n') == [(i, f"{0xAB:024x}") for i in range(6)]
    assert rejects(pg15, "fault", "bson_type") == [
        ("format", "object"), *[("format", "string")] * 3, ("orphan", None), ("type", "int")]  # fmt: skip
    assert counts["accepted", "posts", "user"] == 5


def test_distinct_ids_stay_distinct(move, pg15):
    """Whatever MongoDB tells apart is told apart, also 1 and "1", {a, b} and {b, a}."""
    ids = [None, "", "1", 1, 1.5, Decimal128("1.25"), {"a": 1, "b": 2}, {"b": 2, "a": 1}, {}, {"a": []}, True, False, "true", b"1",
           bson.Binary(b"1", 5), bson.Timestamp(1, 1), bson.Code("1"), bson.MinKey(), bson.MaxKey(), bson.DatetimeMS(1), oid(1),
           f"{2:024x}", float("nan"), float("inf")]  # fmt: skip
    mapping = {"collections": [
        {"collection": "c", "columns": [KEY, {"name": "n", "type": "integer"}]},
        {"collection": "d", "id": "native", "columns": [{**KEY, "type": "jsonb"}, {"name": "n", "type": "integer"}]},
    ]}  # fmt: skip
    documents = [{"_id": x, "n": n} for n, x in enumerate(ids)]
    native = [d for d in documents if d["_id"] is not None]
    move(mapping, {"c": documents, "d": native}, 1)
    assert pg15.query("SELECT count(*), count(DISTINCT id) FROM c") == [(len(ids), len(ids))]
    # jsonb knows no order of keys: the second of {a, b} and {b, a} is told, and kept
    assert rejects(pg15, "collection", "fault", "doc_id") == [("d", "duplicate", bson.encode({"_id": {"b": 2, "a": 1}}))]
    assert pg15.one("SELECT count(*) FROM d") == len(native) - 1


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_ids_of_mixed_types_in_chunks_of_any_size(batch, move, pg15):
    kinds = [lambda n: oid(n), lambda n: f"s{n}", lambda n: n, lambda n: n + 0.5, lambda n: bson.Binary(struct.pack(">QQ", 1, n), 4),
             lambda n: bson.DatetimeMS(n), lambda n: {"n": n}]  # fmt: skip
    documents = [{"_id": kind(n)} for kind in kinds for n in range(30)]
    mapping = {"collections": [{"collection": "c", "columns": [KEY]}]}
    counts = move(mapping, {"c": documents}, 0, "--batch-size", batch)
    assert counts["read", "c", ""] == counts["rows", "c", ""] == len(documents) == pg15.one("SELECT count(DISTINCT id) FROM c")


def test_documents_of_rejects_are_found_by_any_key(move, pg15):
    """What settling takes out is kept whole, whichever way its _id became a key."""
    legacy = bson.Binary(bytes(range(16)), 3)
    samples = {
        "uuidv7": ("uuid", [oid(1), "text", 5, bson.Binary(bytes(16), 4), legacy, {"a": 1}]),
        "bytea": ("bytea", [oid(1), bson.Binary(b"abc", 0), bson.Binary(b"abcd", 5), bson.Binary(bytes(12), 0)]),
        "text": ("text", [oid(1), "text", bson.Binary(bytes(16), 4), {"_str": f"{5:024x}"}]),
        "bigint": ("bigint", [1, Int64(2**40), 3.0, Decimal128("4.00")]),
        "numeric": ("numeric", [1, 1.5, Decimal128("1.10"), Decimal128("1E+3")]),
        "timestamptz": ("timestamptz", [bson.DatetimeMS(0), bson.DatetimeMS(-1), bson.DatetimeMS(1700000000123)]),
        "jsonb": ("jsonb", ["text", 5, {"b": 1, "aa": [1.5, None]}, True]),
    }
    collections, documents = [{"collection": "users", "columns": [KEY]}], {"users": []}
    for name, (kind, ids) in samples.items():
        key = {"name": "id", "from": "_id", "type": kind, "primary_key": True}
        if name == "text":
            key["accept"] = ["oid-document", "dbref"]
        rule = name if name in ("uuidv7", "bytea", "text") else "native"
        up = {"name": "up", "type": "uuid", "not_null": True, "references": "users"}
        collections.append({"collection": name, "id": rule, "uuid_order": "java", "columns": [key, up]})
        documents[name] = [{"_id": x, "up": oid(9), "more": "kept"} for x in ids]
    move({"collections": collections}, documents, 1)
    for name, sent in documents.items():
        kept = [bytes(d) for (d,) in pg15.query("SELECT document FROM docrow.reject WHERE collection = %s", name) if d]
        assert sorted(kept) == sorted(map(bson.encode, sent)), name


# --- relations ---


def test_uniqueness_of_what_is_not_there(move, pg15):
    """For MongoDB a missing part of a unique key is null, and two nulls are one."""
    index = {"columns": ["name", "deleted"], "unique": True, "nulls_not_distinct": True}
    columns = [KEY, {"name": "name", "type": "text"}, {"name": "deleted", "type": "integer"}, {"name": "email", "type": "text"}]
    sparse = {"columns": ["email"], "unique": True, "where": "email IS NOT NULL"}
    documents = [{"_id": oid(1), "name": "x"}, {"_id": oid(2), "name": "x", "deleted": 5}, {"_id": oid(3), "name": "y", "email": None},
                 {"_id": oid(4), "name": "x", "deleted": None}]  # fmt: skip
    move({"collections": [{"collection": "c", "columns": columns, "indexes": [index, sparse]}]}, {"c": documents}, 1)
    assert rejects(pg15, "fault", "doc_id") == [("duplicate", bson.encode({"_id": oid(4)}))]
    assert pg15.one("SELECT count(*) FROM c") == 3


def test_two_sides_that_do_not_agree(move, pg15):
    """Repeats, one-sided and dangling ids, ids as text; what a side lacks the other has."""
    a = [{"_id": oid(1), "bs": [oid(11), oid(11), oid(12), oid(19)]}, {"_id": oid(2), "bs": None}, {"_id": oid(3)}]
    b = [{"_id": oid(11), "as": []}, {"_id": oid(12), "as": [oid(1), oid(2), oid(9)]}, {"_id": oid(13), "as": [f"{3:024x}", None]}]
    junction = {"table": "ab", "left": {"collection": "a", "path": "bs", "column": "a"},
                "right": {"collection": "b", "path": "as", "column": "b", "accept": ["hex-id"]}}  # fmt: skip
    mapping = {"collections": [{"collection": n, "columns": [KEY]} for n in "ab"], "junctions": [junction]}
    counts = move(mapping, {"a": a, "b": b}, 1)
    pairs = pg15.query("SELECT docrow.uuid_to_objectid(a), docrow.uuid_to_objectid(b) FROM ab ORDER BY 1, 2")
    assert [(int(x, 16), int(y, 16)) for x, y in pairs] == [(1, 11), (1, 12), (2, 12), (3, 13)]
    assert counts["pair_repeat", "ab", "a"] == 1 and counts["pair_mirrored", "ab", ""] == 1
    assert sum(n for (k, _, _), n in counts.items() if k == "pair_orphan") == 2


def test_a_mapped_path_that_no_document_has(move, pg15):
    """The reader of a list looks where nothing is, and the list lies beside it: both are told."""
    junction = {"table": "ab", "left": {"collection": "a", "path": "invoices", "column": "a"},
                "right": {"collection": "b", "column": "b"}}  # fmt: skip
    mapping = {"collections": [
        {"collection": "a", "columns": [KEY, {"name": "titel", "type": "text"}, {"name": "seldom", "type": "text"}]},
        {"collection": "b", "columns": [KEY]},
    ], "junctions": [junction]}  # fmt: skip
    documents = [{"_id": oid(n), "invoiceIDs": [oid(1)], "title": "t", **({"seldom": "x"} if n == 2 else {})} for n in (1, 2, 3)]
    counts = move(mapping, {"a": documents, "b": [{"_id": oid(1)}]})
    assert counts["unmapped", "a", "invoiceIDs"] == 3
    said = move.result.stdout
    assert "Paths that no document has" in said and "a.titel" in said and "a.invoices" in said
    assert "seldom" not in said.split("Paths that no document has")[1].split("\n\n")[0]
    assert "b." not in said.split("Paths that no document has")[1].split("\n\n")[0]


# --- reading ---


def test_gridfs(move, mongo, pg15):
    files = gridfs.GridFS(mongo.db)
    contents = {name: name.encode() * 100_000 for name in ("a.txt", "ü 2.bin")}
    for name, content in contents.items():
        files.put(content, filename=name, chunk_size=65536, metadata={"kind": name[-3:]})
    mapping = {"collections": [
        {"collection": "fs.files", "table": "files", "columns": [KEY, {"name": "filename", "type": "text"},
            {"name": "length", "type": "bigint"}, {"name": "metadata", "type": "jsonb"}]},
        {"collection": "fs.chunks", "table": "chunks", "columns": [KEY, {"name": "file", "from": "files_id", "type": "uuid",
            "not_null": True, "references": "files"}, {"name": "n", "type": "integer"}, {"name": "data", "type": "bytea"}]},
    ]}  # fmt: skip
    move(mapping, {})
    got = pg15.query("SELECT filename, string_agg(data, '' ORDER BY n) FROM files f JOIN chunks c ON c.file = f.id GROUP BY 1")
    assert {name: bytes(data) for name, data in got} == contents


def test_the_same_ids_every_time(move, pg15, docrow):
    """Begun anew, a move gives the same keys: no key is drawn at random."""
    documents = [{"_id": x, "l": [oid(1), "x"]} for x in (oid(1), "s", 5, {"a": 1}, None)]
    mapping = {"collections": [{"collection": "c", "columns": [KEY, {"name": "l", "type": "jsonb"}]}]}
    move(mapping, {"c": documents})
    before = pg15.rows("c")
    docrow.run("migrate", "--mapping", "./m.yaml", "--clean", "--progress", "none", status=0)
    assert pg15.rows("c") == before
