"""Settling, on small databases: what is taken out, changed, kept or made when references, keys and pairs do not agree."""

import collections

import bson
import pytest

from lib.ids import oid


@pytest.fixture
def move(docrow, mongo, pg15):
    """move(mapping, {collection: [document]}, status) → {(kind, object, path): n} of the ledger"""

    def run(mapping, documents, status=0, *options):
        for name, list_of_them in documents.items():
            mongo.db.create_collection(name)
            if list_of_them:
                mongo[name].insert_many(list_of_them)
        (docrow.folder / "m.yaml").write_text("docrow: 1\n" + mapping)
        docrow.run("migrate", "--mapping", "./m.yaml", "--batch-size", "2", *options, status=status)
        return {(k, o, p): n for k, o, p, n in pg15.query("SELECT kind, object, path, n::int FROM docrow.ledger")}

    return run


def rejects(pg):
    found = collections.defaultdict(set)
    for table, fault, doc_id in pg.query("SELECT table_name, fault, doc_id FROM docrow.reject"):
        found[table, fault].add(bson.decode(bytes(doc_id))["_id"])
    return dict(found)


def ids(pg, table):
    return [bson.ObjectId(h) for (h,) in pg.query(f"SELECT docrow.uuid_to_objectid(id) FROM {table} ORDER BY id")]


KEY = "{ name: id, from: _id, type: uuid, primary_key: true }"

CHAIN = f"""
collections:
  - {{ collection: tasks, columns: [{KEY}, {{ name: up, type: uuid, not_null: true, references: sections }}] }}
  - {{ collection: sections, columns: [{KEY}, {{ name: up, type: uuid, not_null: true, references: boards }}] }}
  - {{ collection: boards, columns: [{KEY}, {{ name: up, type: uuid, not_null: true, references: users }}] }}
  - collection: users
    columns: [{KEY}, {{ name: email, type: text, not_null: true }}]
    indexes: [{{ columns: [email], unique: true, duplicates: reject }}]
"""


def test_a_chain_of_four(move, pg15):
    """A duplicate user goes, and in turn what hangs on it, four levels deep."""
    users = [{"_id": oid(n), "email": "same" if n in (2, 5) else str(n)} for n in range(1, 7)]
    below = [{"_id": oid(10 + n), "up": oid(n)} for n in range(1, 7)]
    move(
        CHAIN,
        {
            "users": users,
            "boards": below,
            "sections": [{"_id": oid(20 + n), "up": oid(10 + n)} for n in range(1, 7)],
            "tasks": [{"_id": oid(30 + n), "up": oid(20 + n)} for n in range(1, 7)],
        },
        1,
    )
    assert rejects(pg15) == {
        ("users", "duplicate"): {oid(5)},
        ("boards", "orphan"): {oid(15)},
        ("sections", "orphan"): {oid(25)},
        ("tasks", "orphan"): {oid(35)},
    }
    message = pg15.one("SELECT message FROM docrow.reject WHERE fault = 'duplicate'")
    assert str(oid(2)) in message and str(oid(5)) in message
    assert ids(pg15, "tasks") == [oid(30 + n) for n in (1, 2, 3, 4, 6)]
    # Taken out as rows, and kept whole as documents all the same.
    kept = {(name, bson.decode(doc)["_id"]): bson.decode(doc) for name, doc in pg15.query(
        "SELECT collection, document FROM docrow.reject WHERE step IS NOT NULL")}
    assert kept == {
        ("users", oid(5)): users[4],
        ("boards", oid(15)): below[4],
        ("sections", oid(25)): {"_id": oid(25), "up": oid(15)},
        ("tasks", oid(35)): {"_id": oid(35), "up": oid(25)},
    }


def test_circles_and_self_references(move, pg15):
    mapping = f"""
collections:
  - {{ collection: a, columns: [{KEY}, {{ name: b, type: uuid, references: b }}] }}
  - {{ collection: b, columns: [{KEY}, {{ name: a, type: uuid, references: a }}] }}
  - {{ collection: tree, columns: [{KEY}, {{ name: up, type: uuid, references: tree }}] }}
"""
    move(
        mapping,
        {
            # 1 ⇄ 11 stay; 4 → 14 → 3 → 13 → 2 → 12 → nothing go one after the other
            "a": [{"_id": oid(n), "b": oid(10 + n)} for n in range(1, 5)],
            "b": [{"_id": oid(11), "a": oid(1)}, {"_id": oid(12), "a": oid(99)}]
            + [{"_id": oid(13), "a": oid(2)}, {"_id": oid(14), "a": oid(3)}],
            # 1 its own parent; 2 → 1; 3 → nothing; 4 → 3; 5 → 4; 6 and 7 each other's
            "tree": [{"_id": oid(n), "up": oid(up)} for n, up in ((1, 1), (2, 1), (3, 99), (4, 3), (5, 4), (6, 7), (7, 6))]
            + [{"_id": oid(8), "up": None}],
        },
        1,
    )
    assert ids(pg15, "a") == [oid(1)] and ids(pg15, "b") == [oid(11)]
    assert ids(pg15, "tree") == [oid(n) for n in (1, 2, 6, 7, 8)]
    assert rejects(pg15) == {
        ("a", "orphan"): {oid(2), oid(3), oid(4)},
        ("b", "orphan"): {oid(12), oid(13), oid(14)},
        ("tree", "orphan"): {oid(3), oid(4), oid(5)},
    }
    assert pg15.query("SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated") == []


def test_each_policy(move, pg15):
    mapping = f"""
collections:
  - {{ collection: parents, columns: [{KEY}, {{ name: name, type: text }}] }}
  - {{ collection: others, columns: [{KEY}] }}
  - collection: kids
    columns:
      - {KEY}
      - {{ name: nulled, type: uuid, references: {{ table: parents, if_orphan: "null" }} }}
      - {{ name: kept, type: uuid, references: {{ table: parents, if_orphan: keep }} }}
      - {{ name: moved, type: uuid, references: {{ table: parents, if_orphan: {{ move_to: place, otherwise: reject }} }} }}
      - {{ name: place, type: uuid, references: others }}
      - {{ name: rejected, type: uuid, references: {{ table: parents, if_orphan: reject }} }}
  - collection: strays
    columns: [{KEY}, {{ name: up, type: uuid, references: {{ table: stubs, if_orphan: stub }} }}]
  - {{ collection: stubs, columns: [{KEY}, {{ name: name, type: text }}] }}
"""
    ledger = move(
        mapping,
        {
            "parents": [{"_id": oid(1)}],
            "others": [{"_id": oid(50)}],
            "kids": [
                {"_id": oid(11), "nulled": oid(1), "kept": oid(1), "moved": oid(1), "rejected": oid(1)},
                {"_id": oid(12), "nulled": oid(98)},
                {"_id": oid(13), "kept": oid(98)},
                {"_id": oid(14), "moved": oid(50)},
                {"_id": oid(15), "moved": oid(98)},
                {"_id": oid(16), "rejected": oid(98), "nulled": oid(98)},
                {"_id": oid(17), "moved": oid(50), "place": oid(50)},
            ],
            "strays": [{"_id": oid(21), "up": oid(77)}, {"_id": oid(22), "up": oid(77)}, {"_id": oid(23)}],
            "stubs": [{"_id": oid(70), "name": "real"}],
        },
        1,
    )
    assert rejects(pg15) == {("kids", "orphan"): {oid(15), oid(16), oid(17)}}
    assert ids(pg15, "kids") == [oid(n) for n in (11, 12, 13, 14)]
    assert pg15.query("SELECT count(nulled), count(kept), count(moved), count(place) FROM kids") == [(1, 2, 1, 1)]
    assert ids(pg15, "stubs") == [oid(70), oid(77)]
    findings = pg15.query("SELECT kind, column_name, value FROM docrow.finding ORDER BY kind, column_name")
    assert [(k, c, bson.decode(bytes(v))["v"]) for k, c, v in findings] == [
        ("orphan_kept", "kept", oid(98)),
        ("orphan_moved", "moved", oid(50)),
        ("orphan_null", "nulled", oid(98)),
        ("stub", "id", oid(77)),
    ]
    assert ledger["orphan_null", "kids", "nulled"] == ledger["orphan_kept", "kids", "kept"] == 1
    assert ledger["orphan_moved", "kids", "moved"] == 1 and ledger["reject_row", "kids", "orphan"] == 3
    assert ledger["stub", "stubs", "strays.up"] == 1
    assert pg15.query("SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND NOT convalidated") == [
        ("kids_kept_fkey",)
    ]


@pytest.mark.parametrize("policy,left", [("first", [1, 3]), ("last", [2, 4]), ("reject", [1, 3])])
def test_unique_duplicates(move, pg15, policy, left):
    mapping = f"""
collections:
  - collection: things
    columns: [{KEY}, {{ name: code, type: text }}]
    indexes: [{{ columns: [code], unique: true, duplicates: {policy} }}]
"""
    things = [{"_id": oid(n), "code": code} for n, code in ((4, "b"), (3, "b"), (2, "a"), (1, "a"), (5, None), (6, None))]
    ledger = move(mapping, {"things": things}, 1 if policy == "reject" else 0)
    assert ids(pg15, "things") == [oid(n) for n in (*left, 5, 6)]
    assert sum(n for (kind, *_), n in ledger.items() if kind == ("reject_row" if policy == "reject" else "dropped")) == 2


def test_child_tables_in_order_and_nested(move, pg15):
    mapping = f"""
collections:
  - {{ collection: owners, columns: [{KEY}] }}
  - collection: orders
    columns: [{KEY}, {{ name: owner, type: uuid, not_null: true, references: owners }}]
    children:
      - from: items
        table: items
        parent: order_id
        ordinal: position
        columns: [{{ name: what, type: text, not_null: true }}]
      - from: visits
        table: visits
        parent: order_id
        columns: [{{ name: id, from: _id, type: uuid, primary_key: true }}]
        children:
          - {{ from: steps, table: steps, parent: visit_id, ordinal: n, columns: [{{ name: step, from: ., type: text }}] }}
"""
    orders = [
        {
            "_id": oid(n),
            "owner": oid(1) if n != 12 else oid(99),
            "items": [{"what": f"{n}-{i}"} for i in range(n - 10)],
            "visits": [{"_id": oid(100 + n), "steps": ["a", "b", "c"]}],
        }
        for n in range(10, 15)
    ]
    ledger = move(mapping, {"owners": [{"_id": oid(1)}], "orders": orders}, 1)
    assert rejects(pg15) == {("orders", "orphan"): {oid(12)}}
    got = pg15.query("SELECT docrow.uuid_to_objectid(order_id), position, what FROM items ORDER BY 1, 2")
    assert got == [(str(oid(n)), i, f"{n}-{i}") for n in (11, 13, 14) for i in range(n - 10)]
    got = pg15.query("SELECT docrow.uuid_to_objectid(visit_id), n, step FROM steps ORDER BY 1, 2")
    assert got == [(str(oid(100 + n)), i, step) for n in (10, 11, 13, 14) for i, step in enumerate("abc")]
    for table, loaded, gone in (("items", 10, 2), ("visits", 5, 1), ("steps", 15, 3)):
        assert ledger["rows", table, ""] == ledger["elements", table, "orders"] == loaded
        assert ledger["child_of_reject", table, ""] == gone
        assert pg15.one(f"SELECT count(*) FROM {table}") == loaded - gone


SIDES = """
collections:
  - {{ collection: a, columns: [{key}] }}
  - {{ collection: b, columns: [{key}] }}
junctions:
  - table: ab
    left:  {{ collection: a, path: bs, column: a_id }}
    right: {{ collection: b, path: "as", column: b_id }}
    sides: {sides}
  - table: half
    left:  {{ collection: a, path: halves, column: a_id }}
    right: {{ collection: b, column: b_id }}
  - table: friends
    left:  {{ collection: a, path: friends, column: from_id }}
    right: {{ collection: a, column: to_id }}
"""
BOTH, LEFT, RIGHT = (1, 11), (1, 12), (2, 12)


@pytest.mark.parametrize(
    "sides,pairs", [("union", {BOTH, LEFT, RIGHT}), ("intersect", {BOTH}), ("left", {BOTH, LEFT}), ("right", {BOTH, RIGHT})]
)
def test_junctions(move, pg15, sides, pairs):
    a = [
        {"_id": oid(1), "bs": [oid(11), oid(11), oid(12), None], "halves": [oid(12), oid(99)], "friends": [oid(2), oid(1)]},
        {"_id": oid(2), "bs": [], "halves": None, "friends": [oid(1)]},
    ]
    b = [{"_id": oid(11), "as": [oid(1)]}, {"_id": oid(12), "as": [oid(2)]}]
    ledger = move(SIDES.format(key=KEY, sides=sides), {"a": a, "b": b}, 1)

    def of(table, left, right):
        function = "docrow.uuid_to_objectid"
        rows = pg15.query(f"SELECT {function}({left}), {function}({right}) FROM {table}")
        return {(bson.ObjectId(x), bson.ObjectId(y)) for x, y in rows}

    assert of("ab", "a_id", "b_id") == {(oid(x), oid(y)) for x, y in pairs}
    assert of("half", "a_id", "b_id") == {(oid(1), oid(12))}
    assert of("friends", "from_id", "to_id") == {(oid(1), oid(2)), (oid(1), oid(1)), (oid(2), oid(1))}
    count = collections.Counter()
    for (kind, table, _), n in ledger.items():
        count[kind, table] += n
    assert (count["pairs", "ab"], count["pair_sides", "ab"]) == (len(pairs), 3 - len(pairs))
    assert (count["elements", "ab"], count["reject_element", "ab"], count["pair_repeat", "ab"]) == (6, 1, 1)
    assert (count["pair_mirrored", "ab"], count["pair_one_sided", "ab"]) == (1, 2)
    assert (count["pair_orphan", "half"], count["pair_one_sided", "half"]) == (1, 0)


def test_rows_only_leaves_pairs_raw_and_says_nothing_about_them(move, pg15):
    """--load-only (for measuring) stops before the pairs: the account has nothing to compare them with."""
    a = [{"_id": oid(1), "bs": [oid(11)], "halves": [], "friends": []}]
    b = [{"_id": oid(11), "as": [oid(1)]}]
    move(SIDES.format(key=KEY, sides="union"), {"a": a, "b": b}, 0, "--load-only")
    assert pg15.one("SELECT count(*) FROM ab") == 0
    assert pg15.one("SELECT count(*) FROM docrow.pairs_0") == 2


REFUSED = f"""
collections:
  - collection: notes
    columns: [{KEY}, {{ name: body, type: text }}, {{ name: words, type: "text[]" }}, {{ name: n, type: integer }}]
    indexes:
      - {{ name: notes_words, columns: [words], method: gin }}
      - {{ name: notes_body, columns: [body], unique: true }}
      - {{ name: notes_inverse, expression: "(100 / n)" }}
      - {{ name: notes_nonsense, expression: "no_such_function(n)" }}
      - {{ name: notes_n, columns: [n] }}
"""


def test_indexes_that_the_server_refuses(move, docrow, pg15):
    """A row too long for GIN and for a B-tree, an expression that fails on a row and one that cannot be: the rows are
    all there, what can be built is, and the summary and status name the rest."""
    long = "".join(f"{n:x}" for n in range(1500))
    notes = [{"_id": oid(n), "body": f"b{n}", "words": ["w"], "n": n + 1} for n in range(10)]
    notes += [{"_id": oid(100), "body": long, "words": ["w", long], "n": 0}, {"_id": oid(101), "body": "b1", "n": 5}]
    counts = move(REFUSED, {"notes": notes}, 1)
    assert pg15.one("SELECT count(*) FROM notes") == 12
    assert rejects(pg15) == {}  # the duplicate of b1 went back when its index was refused
    refused = {"notes_words": "54000", "notes_body": "54000", "notes_inverse": "22012", "notes_nonsense": "42883"}
    assert dict(pg15.query("SELECT object, sqlstate FROM docrow.ddl WHERE state = 'refused'")) == refused
    assert {o: p for (k, o, p) in counts if k == "index_refused" for o, p in [(p, o)]} == dict.fromkeys(refused, "notes")
    there = {name for (name,) in pg15.query("SELECT indexname FROM pg_indexes WHERE tablename = 'notes'")}
    assert there == {"notes_pkey", "notes_n"}
    status = docrow.run("status").stdout
    for name in refused:
        assert name in status
    # the definition is what it takes to build it once the rows allow it
    pg15.execute("UPDATE notes SET words = NULL WHERE length(body) > 1000")
    pg15.execute(pg15.one("SELECT definition FROM docrow.ddl WHERE object = 'notes_words'"))


def test_text_keys_that_are_too_long_for_a_primary_key(move, pg15):
    """mongod takes an _id of megabytes; a B-tree does not."""
    long = "".join(f"{n:x}" for n in range(2000))
    mapping = """
target: { id: text }
collections:
  - { collection: notes, columns: [{ name: id, from: _id, type: text, primary_key: true }, { name: n, type: integer }] }
"""
    move(mapping, {"notes": [{"_id": "short", "n": 1}, {"_id": long, "n": 2}, {"_id": "x" * 2600, "n": 3}]}, 1)
    assert pg15.query("SELECT length(id), n FROM notes ORDER BY n") == [(5, 1), (2600, 3)]
    assert rejects(pg15) == {("notes", "too_large"): {long}}
