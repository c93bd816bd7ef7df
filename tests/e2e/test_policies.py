"""Policies through real servers: every one at every level, fields that no column takes, keys that stand twice, limits of
rejects; what the ledger counts, what the summary says, and that the account balances.
"""

import json
import pathlib
import re
import struct

import bson
import bson.json_util
import pytest
from bson.raw_bson import RawBSONDocument
from lib.program import Docrow

TABLE = pathlib.Path(__file__).resolve().parents[1] / "cases" / "levels.table"
LEVELS = ["none", "column", "collection"]
OPTIONS = bson.json_util.JSONOptions(
    json_mode=bson.json_util.JSONMode.CANONICAL,
    datetime_conversion=bson.json_util.DatetimeConversion.DATETIME_MS,
    uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED,
)
CODEC = bson.CodecOptions(uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED)
UNDEFINED = object()


# --- documents whose keys may stand twice ---


def raw_field(key, value):
    if value is UNDEFINED:
        return b"\x06" + key.encode() + b"\0"
    return bson.encode({key: value}, codec_options=CODEC)[4:-1]


def raw_document(pairs):
    body = b"".join(raw_field(key, value) for key, value in pairs) + b"\0"
    return RawBSONDocument(struct.pack("<i", len(body) + 4) + body)


def from_pairs(pairs):
    if pairs == [("$undefined", True)]:
        return UNDEFINED
    if any(key.startswith("$") for key, _ in pairs):
        return bson.json_util.object_hook(dict(pairs), OPTIONS)
    return raw_document(pairs)


def document(fields, **more):
    """{"a": 1, "a": 2} as it stands, with an _id and more in front."""
    text = json.dumps(more)[1:-1]
    return json.loads("{" + ",".join(part for part in (text, fields) if part) + "}", object_pairs_hook=from_pairs)


def insert(mongo, collection, *documents):
    mongo.db.command("insert", collection, documents=list(documents))


# --- the table ---


def read_table():
    blocks = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        word = line.split(" ", 1)[0]
        if word in ("policy", "against", "column", "levels"):
            if word == "policy":
                blocks.append({"lines": []})
            blocks[-1][word] = line[len(word) :].strip()
        elif line and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            blocks[-1]["lines"].append(dict(zip(("state", "fields", "without", "with", "words"), [*cells, ""])))
    return blocks


BLOCKS = read_table()


def collection_yaml(name, block, level):
    policies = {"collection": block["policy"], "column": block["against"]}.get(level)
    return (
        f"  - collection: {name}\n"
        + (f"    policies: {{ {policies} }}\n" if policies else "")
        + "    columns:\n"
        + "      - { name: id, from: _id, type: integer, primary_key: true }\n"
        + f"      - {{ name: v, type: {block['column']}{', ' + block['policy'] if level == 'column' else ''} }}\n"
    )


def check_table(pg, name, block, level):
    got = {n: "NULL" if v is None else v for n, v in pg.query(f"SELECT id, v::text FROM {name}")}
    rejects = pg.query("SELECT doc_id, fault FROM docrow.reject WHERE collection = %s", name)
    got |= {bson.decode(bytes(key))["_id"]: "!" + fault for key, fault in rejects}
    expected = [line["without" if level == "none" else "with"] for line in block["lines"]]
    assert [got[n] for n in range(len(expected))] == expected, f"{block['policy']} at {level} level"
    counted = dict(pg.query("SELECT kind, sum(n)::bigint FROM docrow.ledger WHERE object = %s AND path = 'v' GROUP BY 1", name))
    if level != "none":
        words = " ".join(line["words"] for line in block["lines"]).split()
        assert counted == {word: words.count(word) for word in words}, f"{block['policy']} at {level} level"


def head(policies=""):
    return (
        "docrow: 1\ntarget: { id: native }\n"
        + (f"policies: {{ {policies} }}\n" if policies else "")
        + "enums: [{ name: mood, labels: [sad, ok, happy, Very Happy] }]\ncollections:\n"
    )


def insert_lines(mongo, name, block):
    insert(mongo, name, *(document(line["fields"], _id=n) for n, line in enumerate(block["lines"])))


def test_at_columns_and_collections(mongo, pg15, docrow, tmp_path):
    text, wanted = head(), []
    for i, block in enumerate(BLOCKS):
        for level in LEVELS:
            if level == "none" or level in block["levels"].split():
                name = f"c{i}_{level}"
                text += collection_yaml(name, block, level)
                wanted.append((name, block, level))
                insert_lines(mongo, name, block)
    (tmp_path / "levels.yaml").write_text(text, encoding="utf-8")
    docrow.run("migrate", "--mapping", "./levels.yaml", status=1)
    for name, block, level in wanted:
        check_table(pg15, name, block, level)


# Each needs a run of its own: there is one mapping to a run.
WHOLE = [block for block in BLOCKS if "mapping" in block["levels"].split()]
WHOLE_BY_KEY = {block["policy"].split(":")[0]: block for block in WHOLE}


@pytest.mark.plain_only
@pytest.mark.parametrize("key", WHOLE_BY_KEY)
def test_for_the_mapping(key, mongo, pg15, docrow, tmp_path):
    block = WHOLE_BY_KEY[key]
    (tmp_path / "levels.yaml").write_text(head(block["policy"]) + collection_yaml("c", block, "mapping"), encoding="utf-8")
    insert_lines(mongo, "c", block)
    docrow.run("migrate", "--mapping", "./levels.yaml", status={0, 1})
    check_table(pg15, "c", block, "mapping")


# --- fields that no column takes ---

ORDERS = """\
docrow: 1
target: {{ id: native }}
{mapping}
collections:
  - collection: orders
    {collection}
    columns:
      - {{ name: id, from: _id, type: integer, primary_key: true }}
      - {{ name: city, from: address.city, type: text }}
    children:
      - from: items
        table: items
        parent: order_id
        ordinal: n
        {child}
        columns:
          - {{ name: product, from: product.name, type: text }}
      - from: tags
        table: tags
        parent: order_id
        ordinal: n
        columns: [{{ name: tag, from: ., type: text }}]
"""
DOCUMENTS = [
    {"_id": 1, "address": {"city": "Brno", "zip": "60200"}, "odd": [1, {"a": None}], "tags": ["x"]},
    {"_id": 2, "address": {"city": "Oslo"}, "items": [{"product": {"name": "p", "size": 1}, "amount": 2}, {}]},
    {"_id": 3, "address": {}, "items": [{"product": {}, "more": True}], "when": bson.DatetimeMS(0)},
]


def migrate_orders(mongo, docrow, tmp_path, status, mapping="", collection="", child="", documents=DOCUMENTS):
    mongo["orders"].insert_many(documents)
    text = ORDERS.format(mapping=mapping, collection=collection, child=child)
    (tmp_path / "orders.yaml").write_text(text, encoding="utf-8")
    result = docrow.run("migrate", "--mapping", "./orders.yaml", status=status)
    assert "checks hold" in result.stdout, result
    return result


def test_kept_in_columns_of_their_own(mongo, pg15, docrow, tmp_path):
    result = migrate_orders(mongo, docrow, tmp_path, 0, "unmapped: keep", "policies: { json: plain }", "unmapped: { keep: rest }")
    assert pg15.query("SELECT id, city, unmapped FROM orders ORDER BY id") == [
        (1, "Brno", {"address": {"zip": "60200"}, "odd": [1, {"a": None}]}),
        (2, "Oslo", None),
        (3, None, {"when": "1970-01-01T00:00:00Z"}),
    ]
    assert pg15.query("SELECT order_id, n, product, rest FROM items ORDER BY 1, 2") == [
        (2, 0, "p", {"product": {"size": 1}, "amount": 2}),
        (2, 1, None, None),
        (3, 0, None, {"more": True}),
    ]
    assert pg15.query("SELECT * FROM tags") == [(1, 0, "x")]
    kept = "address.zip odd items.product.size items.amount items.more when".split()
    assert sorted(pg15.query("SELECT kind, path, n FROM docrow.ledger WHERE kind IN ('kept', 'unmapped')")) == [
        ("kept", path, 1) for path in sorted(kept)
    ]
    assert "Put into a column of their own: values of fields that the mapping does not name\n" in result.stdout
    assert "orders.items.product.size\n" in result.stdout
    shown = docrow.run("mapping", "show", "./orders.yaml", status=0).stdout
    assert "table orders from orders; unmapped fields: keep (mapping)\n" in shown
    assert "table items from orders, elements of items; unmapped fields: keep (child)\n" in shown
    assert "  rest                     jsonb <- the fields that are not mapped\n      json: plain (collection)\n" in shown


def test_left_behind_is_counted_by_path(mongo, pg15, docrow, tmp_path):
    result = migrate_orders(mongo, docrow, tmp_path, 0, "unmapped: reject", "unmapped: report")
    assert pg15.one("SELECT count(*) FROM orders") == 3
    assert pg15.one("SELECT sum(n)::int FROM docrow.ledger WHERE kind = 'unmapped'") == 6
    assert "Left behind: values of fields that the mapping does not name\n" in result.stdout


def test_refused_with_the_path(mongo, pg15, docrow, tmp_path):
    documents = [*DOCUMENTS, {"_id": 4, "items": [{}, {"x\n": 1}]}]
    migrate_orders(mongo, docrow, tmp_path, 1, "unmapped: reject", documents=documents)
    assert pg15.query("SELECT id FROM orders ORDER BY 1") == [(2,), (4,)]
    assert pg15.query("SELECT order_id, n FROM items ORDER BY 1, 2") == [(2, 1), (4, 0)]
    assert pg15.query("SELECT doc_id_text, path, fault, ordinal FROM docrow.reject ORDER BY 1, 2") == [
        ("1", "address.zip", "unmapped", None),
        ("2", "items.product.size", "unmapped", 0),
        ("3", "when", "unmapped", None),
        ("4", "items.x\\x0a", "unmapped", 1),
    ]
    assert pg15.one("SELECT count(*) FROM docrow.ledger WHERE kind = 'unmapped'") == 0


# --- keys that stand twice ---

TWICE = """\
docrow: 1
target: { id: native }
collections:
  - collection: c
    policies: { duplicate_keys: %s }
    columns:
      - { name: id, from: _id, type: integer, primary_key: true }
      - { name: a, type: integer }
      - { name: city, from: address.city, type: text }
      - { name: zip, from: address.zip, type: text }
    children:
      - { from: list, table: list, parent: c_id, ordinal: n, columns: [{ name: x, from: ., type: integer }] }
"""


@pytest.mark.parametrize(
    "policy, rows, elements, rejects",
    [
        ("reject", [], [], 3),
        ("first", [(1, 1, None, None), (2, None, "x", None), (3, None, None, None)], [1], 0),
        ("last", [(1, 2, None, None), (2, None, None, "z"), (3, None, None, None)], [2, 3], 0),
    ],
)
def test_keys_that_stand_twice(policy, rows, elements, rejects, mongo, pg15, docrow, tmp_path):
    insert(
        mongo,
        "c",
        document('"a":1,"a":2', _id=1),
        document('"address":{"city":"x"},"address":{"zip":"z"}', _id=2),
        document('"list":[1],"list":[2,3]', _id=3),
    )
    (tmp_path / "m.yaml").write_text(TWICE % policy)
    result = docrow.run("migrate", "--mapping", "./m.yaml", status=1 if rejects else 0)
    assert "checks hold" in result.stdout, result
    assert pg15.query("SELECT id, a, city, zip FROM c ORDER BY id") == rows
    assert [x for (x,) in pg15.query("SELECT x FROM list ORDER BY n")] == elements
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE fault = 'duplicate_key'") == rejects
    counted = pg15.query("SELECT object, path, n FROM docrow.ledger WHERE kind = 'duplicate_keys' ORDER BY 1, 2")
    assert counted == ([] if rejects else [("c", "a", 1), ("c", "city", 1), ("c", "zip", 1), ("list", "list", 1)])


# --- limits of rejects ---

LIMITED = """\
docrow: 1
target: { id: native }
%s
collections:
  - collection: c
    %s
    columns:
      - { name: id, from: _id, type: integer, primary_key: true }
      - { name: a, type: integer, not_null: true }
"""


def limited(mongo, docrow, tmp_path, *arguments, mapping="", collection="", rejects=20, status=1, **environment):
    mongo["c"].drop()
    mongo["c"].insert_many([{"_id": n} | ({} if n < rejects else {"a": n}) for n in range(400)])
    (tmp_path / "m.yaml").write_text(LIMITED % (mapping, collection))
    return docrow.run(
        "migrate", "--clean", "--mapping", "./m.yaml", "--workers", "1", "--batch-size", "50", *arguments, status=status,
        **environment,
    )


@pytest.mark.parametrize(
    "arguments, mapping, collection, limit, told",
    [
        ((), "max_rejects: 10", "", 10, "limit: 10, set by max_rejects of the mapping"),
        ((), "max_rejects: 1000", "max_rejects: 5", 5, "limit: 5, set by max_rejects of the collection in the mapping"),
        ((), "max_rejects: 2.5%", "", 10, "limit: 2.5 % of its documents, set by max_rejects of the mapping"),
        ((), "", "max_rejects: 0", 0, "limit: 0, set by max_rejects of the collection in the mapping"),
        (("--max-rejects", "7"), "max_rejects: 100", "max_rejects: 99", 7, "limit: 7, set by --max-rejects"),
        (("--max-rejects", "1%"), "max_rejects: 100", "", 4, "limit: 1 % of its documents, set by --max-rejects"),
    ],
)
def test_limits(arguments, mapping, collection, limit, told, mongo, docrow, tmp_path):
    stopped = limited(mongo, docrow, tmp_path, *arguments, mapping=mapping, collection=collection)
    assert f"more than {limit} documents of c were rejected" in stopped.stderr
    assert told in stopped.stderr
    assert "Go on with a higher limit in place of N:\n" in stopped.stderr
    way_on = stopped.stderr.splitlines()[-1]
    assert way_on.endswith("migrate --resume --mapping ./m.yaml --workers 1 --batch-size 50 --max-rejects N"), way_on
    assert json.loads((tmp_path / "migration-checkpoint.json").read_text())["resume"] == way_on.strip()
    if arguments != ("--max-rejects", "7"):
        return
    status = docrow.run("status", status=0).stdout
    assert re.search(r"^error +DR-1001: .*more than 7 documents of c were rejected$", status, re.MULTILINE), status
    assert "migrate --resume --max-rejects N   (with a higher limit in place of N)\n" in status
    # the command as it stands there, with a number in place of N
    words = way_on.replace("--max-rejects N", "--max-rejects 20").split()[1:]
    done = docrow.run(*words, status=1)
    assert "checks hold" in done.stdout, done


def test_a_limit_that_is_not_passed(mongo, pg15, docrow, tmp_path):
    limited(mongo, docrow, tmp_path, mapping="max_rejects: 5%")
    assert pg15.one("SELECT count(*) FROM c") == 380
    limited(mongo, docrow, tmp_path, "--max-rejects", "0", rejects=0, status=0)
    where = limited(mongo, docrow, tmp_path, mapping="max_rejects: 100", env={"DOCROW_MAX_REJECTS": "3"}).stderr
    assert "limit: 3, set by DOCROW_MAX_REJECTS" in where


@pytest.mark.parametrize("wrong", ["-1", "x", "101%", "0%", "%"])
def test_limits_that_are_none(wrong, docrow):
    refused = docrow.run("migrate", "--mapping", "nextcrm", f"--max-rejects={wrong}", status=2)
    assert "a whole number from 0 up, or a share such as 1%" in refused.stderr


# --- what is counted is shown ---

COUNTED = """\
docrow: 1
policies: { accept: [hex-id, oid-document], encoding: strip, fold_case: true, duplicate_keys: last, labels: { glad: happy } }
enums: [{ name: mood, labels: [sad, happy] }]
collections:
  - collection: people
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: boss, type: uuid, references: people }
      - { name: n, type: integer, if_missing: 1, if_null: 2, if_invalid: 3 }
      - { name: i, type: integer, if_invalid: "null" }
      - { name: d, type: numeric }
      - { name: t, type: text }
      - { name: m, type: mood }
      - { name: j, type: jsonb }
    children:
      - { from: kids, table: kids, parent: person_id, ordinal: n, columns: [{ name: id, type: uuid, references: people }] }
junctions:
  - table: friends
    left: { collection: people, path: friends, column: a }
    right: { collection: people, column: b }
"""


def test_what_is_counted_is_shown(mongo, pg15, docrow, tmp_path):
    a, b = "507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012"
    undefined = '{"$undefined":true}'
    insert(
        mongo,
        "people",
        document(f'"boss":"{b}","n":{undefined},"i":"x","d":-0.0,"t":"\\u0000","m":"glad","kids":[{{"id":"{a}"}}]', _id=a),
        document(f'"friends":["{a}","{b}"],"n":null,"i":{undefined},"m":"HAPPY","j":{{"k":1,"k":-0.0}},"d":1,"d":2', _id={"$oid": b}),
        document('"n":"x"', _id="507f1f77bcf86cd799439013"),
        document('"n":1', _id={"$oid": "507f1f77bcf86cd799439014"}),
        document('"t":"ok"', _id={"_str": "507F1F77BCF86CD799439015"}),
    )
    (tmp_path / "m.yaml").write_text(COUNTED)
    summary = docrow.run("migrate", "--mapping", "./m.yaml", status=0).stdout
    expected = {
        ("accepted", "people", "id"): 3,
        ("accepted", "people", "boss"): 1,
        ("accepted", "kids", "id"): 1,
        ("accepted", "friends", "b"): 2,
        ("default_missing", "people", "n"): 1,
        ("default_null", "people", "n"): 1,
        ("default_undefined", "people", "n"): 1,
        ("default_invalid", "people", "n"): 1,
        ("invalid", "people", "i"): 1,
        ("undefined", "people", "i"): 1,
        ("negative_zero", "people", "d"): 1,
        ("negative_zero", "people", "j"): 1,
        ("encoding", "people", "t"): 1,
        ("labelled", "people", "m"): 1,
        ("folded", "people", "m"): 1,
        ("duplicate_keys", "people", "d"): 1,
        ("duplicate_keys", "people", "j"): 1,
    }
    kinds = sorted({kind for kind, _, _ in expected})
    got = pg15.query("SELECT kind, object, path, n FROM docrow.ledger WHERE kind = ANY(%s)", kinds)
    assert {tuple(row[:3]): row[3] for row in got} == expected
    for (kind, table, column), n in expected.items():
        assert f"{n}  {table}.{column}  (" in summary, (kind, summary)
    # an accepted _id cannot be read back out of its key
    assert pg15.one("SELECT count(*) FROM docrow.id_map") == 3
    assert "checks hold" in summary
    rows = pg15.query("SELECT n, i, d, t, m, j FROM people ORDER BY id")
    assert rows[0] == (2, None, 0, "", "happy", None)
    assert rows[1] == (2, None, 2, None, "happy", {"k": 0})


def test_a_name_that_is_taken(tmp_path):
    (tmp_path / "m.yaml").write_text(LIMITED % ("unmapped: { keep: a }", ""))
    refused = Docrow(tmp_path).run("mapping", "check", "./m.yaml", status=2)
    assert './m.yaml:3:19: the column of unmapped: keep "a": the name is taken by column in line 9' in refused.stdout
