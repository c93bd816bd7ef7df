"""docrow retry: rejects that a corrected mapping mends end as if the mapping had been right from the start."""

import collections
import datetime
import json
import re

import bson
import bson.raw_bson
import pytest
from bson import json_util

from lib import nextcrm_dirt, nextcrm_sample, program
from lib.databases import PostgresDatabase
from lib.ids import oid


KEY = "{ name: id, from: _id, type: uuid, primary_key: true }"


def ledger(pg):
    return {(k, o, p): n for k, o, p, n in pg.query("SELECT kind, object, path, n::int FROM docrow.ledger")}


def states(pg):
    return dict(pg.query("SELECT state, count(*)::int FROM docrow.reject GROUP BY 1"))


RETRIED = {"retried": "reject", "retried_row": "reject_row", "retried_element": "reject_element", "stub_filled": "stub"}


def settled(pg):
    """The ledger as it stands after retry: what was retried is no reject."""
    left = collections.Counter()
    for (kind, name, path), n in ledger(pg).items():
        if kind == "stub_filled":
            path = next(p for k, o, p in ledger(pg) if k == "stub" and o == name)
        if kind == "retried_row":  # rows that came and went
            left["rows of rejects", name, ""] -= n
        if kind == "reject_row":
            left["rows of rejects", name, ""] += n
        if kind in RETRIED:
            left[RETRIED[kind], name, path] -= n
        elif kind != "restored":
            left[kind, name, path] += n
    for key in [k for k in left if k[0] == "rows of rejects"]:
        left["rows", key[1], ""] -= left.pop(key)
    return {key: n for key, n in left.items() if n}


def findings(pg):
    return collections.Counter(
        pg.query(
            "SELECT kind, table_name, column_name, key, doc_id_text, ordinal, md5(value) FROM docrow.finding WHERE state = 'open'"
        )
    )


def open_rejects(pg):
    return collections.Counter(
        pg.query(
            "SELECT collection, table_name, column_name, path, fault, doc_id_text, ordinal, md5(document), bson_type FROM"
            " docrow.reject WHERE state = 'open'"
        )
    )


@pytest.fixture
def other(postgres_servers):
    """A second database, for the run with the right mapping from the start."""
    database = PostgresDatabase(postgres_servers("debian"))
    yield database
    database.drop()


@pytest.fixture
def mend(docrow, make_docrow, mongo, pg15, other):
    """mend(broken, mended, {collection: documents}, retried=0): a run with the broken mapping, retry with the mended
    one, and a run with the mended one from the start: all tables must be the same. → result of retry"""

    def run(broken, mended, documents, status=0, before_retry=None, want_same=True):
        for name, list_of_them in documents.items():
            mongo.db.create_collection(name)
            if list_of_them:
                mongo[name].insert_many(list_of_them)
        (docrow.folder / "m.yaml").write_text("docrow: 1\n" + broken)
        (docrow.folder / "n.yaml").write_text("docrow: 1\n" + mended)
        docrow.run("migrate", "--mapping", "./m.yaml", "--batch-size", "3", status=1)
        if before_retry:
            before_retry()
        result = docrow.run("retry", "--mapping", "./n.yaml", status=status)
        right = make_docrow(mongo, other)
        right.run("migrate", "--mapping", "./n.yaml", "--batch-size", "3", status={0, 1})
        if want_same:
            assert pg15.contents() == other.contents()
            assert settled(pg15) == settled(other)
            assert findings(pg15) == findings(other)
            assert open_rejects(pg15) == open_rejects(other)
        assert "all" in result.stdout and "checks hold" in result.stdout, result
        return result

    return run


PARENTS = """
collections:
  - collection: users
    columns:
      - {KEY}
      - {{ name: age, type: integer, not_null: true{AGE} }}
      - {{ name: email, type: text }}
    indexes: [{{ columns: [email], unique: true }}]
  - collection: boards
    columns:
      - {KEY}
      - {{ name: owner, type: uuid, references: {{ table: users, if_orphan: {OWNER} }} }}
      - {{ name: second, type: uuid, references: {{ table: users, if_orphan: "null" }} }}
    children:
      - {{ from: notes, table: notes, parent: board_id, ordinal: n, columns: [{{ name: stars, type: integer{STARS} }}] }}
junctions:
  - table: watchers
    left: {{ collection: boards, path: watchers, column: board_id{ACCEPT} }}
    right: {{ collection: users, path: watching, column: user_id{ACCEPT} }}
"""


def parents():
    """Documents for PARENTS with everything that it may reject."""
    users = [
        {"_id": oid(n), "age": n if n % 3 else str(n), "email": f"u{n}", "watching": [oid(100 + n), oid(100 + n), str(oid(101))]}
        for n in range(1, 20)
    ]
    users[4].pop("age")
    boards = [
        {
            "_id": oid(100 + n),
            "owner": oid(n),
            "second": oid((n * 7) % 20 + 1),
            "notes": [{"stars": 1}, {"stars": "2"}, {"stars": 3}],
            "watchers": [oid(n), oid(n + 1), str(oid(3)), None],
        }
        for n in range(1, 20)
    ]
    return {"users": users, "boards": boards}


def test_everything_at_once(mend, pg15, other):
    broken = PARENTS.format(KEY=KEY, AGE="", OWNER="reject", STARS="", ACCEPT="")
    mended = PARENTS.format(
        KEY=KEY, AGE=", accept: [numeric-string], if_missing: '0'", OWNER="reject", STARS=", accept: [numeric-string]",
        ACCEPT=", accept: [hex-id]",
    )
    result = mend(broken, mended, parents(), status=1)
    assert states(pg15) == {"retried": pg15.one("SELECT count(*)::int FROM docrow.reject WHERE state = 'retried'"), "open": 19}
    assert "element_null" in result.stdout


# --- NextCRM ---

NEXTCRM = program.ROOT / "mappings" / "nextcrm.yaml"
MENDED = {
    "integer": {"if_missing": '"0"', "if_null": '"0"', "if_invalid": '"0"'},
    "text": {"if_missing": '"?"', "if_null": '"?"'},
    "boolean": {"if_missing": '"false"', "if_null": '"false"', "if_invalid": '"false"'},
    "timestamp(3)": {"if_missing": "$id_time", "if_null": "$id_time", "if_invalid": "$id_time"},
}


def mended_nextcrm():
    """The bundled mapping with more policies for columns that take no NULL, and more spellings of ids."""
    lines = []
    for line in NEXTCRM.read_text().splitlines():
        column = re.match(r"^(\s+- \{ name: .* type: ([a-z]+(?:\(3\))?),? .*not_null: true.*[^ ]) \}$", line)
        if column:
            more = [f"{k}: {v}" for k, v in MENDED.get(column[2], {}).items() if k not in line]
            line = f"{column[1]}{', ' if more else ''}{', '.join(more)} }}"
        lines.append(line.replace("[hex-id, iso-string, timestamp]", "[hex-id, iso-string, timestamp, numeric-string, any-id]"))
    return "\n".join(lines) + "\n"


def whole(counts):
    """Without what documents count that are no rows. One that could not be read, and could now but for an orphan, stays
    what it was: not read; from the start it would have been a row that is taken out."""
    kept = collections.Counter()
    for (kind, name, path), n in counts.items():
        if kind in ("reject", "reject_row"):
            kept["rejected", name, path] += n
        elif re.match("read|bytes|source|dropped|stub|element|pair|orphan|child_of|reject_element", kind):
            kept[kind, name, path] += n
    return kept


def documents(pg):
    return collections.Counter(
        pg.query("SELECT collection, table_name, fault, doc_id_text, ordinal, md5(document) FROM docrow.reject WHERE state = 'open'")
    )


@pytest.mark.plain_only
def test_nextcrm_mended_is_nextcrm_right_from_the_start(mongo, docrow, make_docrow, pg15, other):
    sample = nextcrm_sample.make(900, seed=5, dirt=0.05)
    nextcrm_dirt.spoil(sample, seed=5)
    sample.insert(mongo.db)
    (docrow.folder / "mended.yaml").write_text(mended_nextcrm())
    docrow.run("migrate", "--mapping", NEXTCRM, "--batch-size", "60", status=1)
    before = states(pg15)["open"]
    docrow.run("retry", "--mapping", "./mended.yaml", status=1)
    assert states(pg15)["retried"] > before / 4
    make_docrow(mongo, other).run("migrate", "--mapping", "./mended.yaml", "--batch-size", "60", status=1)
    assert pg15.contents() == other.contents()
    assert whole(settled(pg15)) == whole(settled(other))
    assert findings(pg15) == findings(other)
    assert documents(pg15) == documents(other)


# --- what comes late ---

LATE = f"""
collections:
  - {{ collection: parents, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - {{ collection: others, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - collection: kids
    columns:
      - {KEY}
      - {{ name: nulled, type: uuid, references: {{ table: parents, if_orphan: "null" }} }}
      - {{ name: kept, type: uuid, references: {{ table: parents, if_orphan: keep }} }}
      - {{ name: moved, type: uuid, references: {{ table: parents, if_orphan: {{ move_to: place, otherwise: "null" }} }} }}
      - {{ name: place, type: uuid, references: others }}
      - {{ name: rejected, type: uuid, references: {{ table: parents, if_orphan: reject }} }}
  - collection: grandkids
    columns: [{KEY}, {{ name: up, type: uuid, not_null: true, references: {{ table: kids, if_orphan: reject }} }}]
  - collection: strays
    columns: [{KEY}, {{ name: up, type: uuid, references: {{ table: stubs, if_orphan: stub }} }}]
  - {{ collection: stubs, columns: [{KEY}, {{ name: n, type: integer{{FIX}} }}] }}
  - collection: tree
    columns:
      - {KEY}
      - {{ name: n, type: integer, not_null: true{{FIX}} }}
      - {{ name: up, type: uuid, references: {{ table: tree, if_orphan: reject }} }}
junctions:
  - table: friends
    left: {{ collection: kids, path: friends, column: kid }}
    right: {{ collection: parents, path: friends, column: parent }}
  - table: pals
    left: {{ collection: tree, path: pals, column: a }}
    right: {{ collection: tree, path: back, column: b }}
    sides: intersect
""".replace("{{", "{").replace("}}", "}")


def test_parents_that_come_late(mend, pg15):
    """Each policy of an orphan, pairs of both sides, stand-ins, a chain of four and a tree: all as if they had been there."""
    documents = {
        "parents": [{"_id": oid(n), "n": n if n % 2 else str(n), "friends": [oid(100 + n), oid(100 + n)]} for n in range(1, 9)],
        "others": [{"_id": oid(50 + n), "n": n if n % 2 else str(n)} for n in range(1, 5)],
        "kids": [
            {
                "_id": oid(100 + n),
                "nulled": oid(n),
                "kept": oid(9 - n),
                "moved": oid(50 + n) if n < 5 else oid(n),
                "rejected": oid(n) if n % 4 else oid(77),
                "friends": [oid(n), oid(n + 1), oid(99)],
            }
            for n in range(1, 9)
        ],
        "grandkids": [{"_id": oid(200 + n), "up": oid(100 + n)} for n in range(1, 9)],
        "strays": [{"_id": oid(300 + n), "up": oid(400 + n)} for n in range(1, 4)],
        "stubs": [{"_id": oid(400 + n), "n": str(n)} for n in range(1, 3)],
        "tree": [
            {"_id": oid(500 + n), "n": str(n) if n in (1, 6) else n, "up": oid(500 + n // 2) if n > 1 else None,
             "pals": [oid(500 + n % 7 + 1)], "back": [oid(500 + (n + 5) % 7 + 1), oid(501)]}
            for n in range(1, 8)
        ],
    }
    result = mend(LATE.replace("{FIX}", ""), LATE.replace("{FIX}", ", accept: [numeric-string]"), documents, status=1)
    assert "references and pairs got back what they named" in result.stdout
    assert pg15.one("SELECT count(*) FROM docrow.finding WHERE state = 'restored'") > 10
    assert pg15.one("SELECT count(*) FROM docrow.reject WHERE state = 'retried' AND fault = 'orphan'") > 5


@pytest.mark.plain_only
def test_keys_that_kept_orphans_are_validated(mend, pg15):
    mapping = f"""
collections:
  - {{ collection: parents, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - collection: kids
    columns: [{KEY}, {{ name: up, type: uuid, references: {{ table: parents, if_orphan: keep }} }}]
""".replace("{{", "{").replace("}}", "}")
    valid = "SELECT convalidated FROM pg_constraint WHERE contype = 'f'"
    mend(
        mapping.replace("{FIX}", ""),
        mapping.replace("{FIX}", ", if_missing: '0'"),
        {"parents": [{"_id": oid(1)}], "kids": [{"_id": oid(2), "up": oid(1)}]},
        before_retry=lambda: pg15.one(valid) is False or pytest.fail("valid too early"),
    )
    assert pg15.one(valid) is True


NESTED = f"""
collections:
  - collection: trips
    columns: [{KEY}]
    children:
      - from: visits
        table: visits
        parent: trip
        ordinal: n
        columns: [{{ name: id, from: id, type: uuid, primary_key: true }}, {{ name: days, type: integer, not_null: true{{FIX}} }}]
        children:
          - {{ from: steps, table: steps, parent: visit, ordinal: n, columns: [{{ name: step, from: ., type: integer{{FIX}} }}] }}
""".replace("{{", "{").replace("}}", "}")


def test_elements_inside_elements(mend, pg15):
    visits = [
        {"id": oid(1000 + n), "days": str(n) if n % 4 == 3 else n, "steps": [n, str(n), n + 1, "no", str(n + 2)]} for n in range(24)
    ]
    trips = [{"_id": oid(n), "visits": visits[6 * n - 6 : 6 * n]} for n in range(1, 5)]
    mend(NESTED.replace("{FIX}", ""), NESTED.replace("{FIX}", ", accept: [numeric-string]"), {"trips": trips}, status=1)
    assert states(pg15)["open"] == 24  # "no" is no number
    assert pg15.query("SELECT step FROM steps WHERE visit = (SELECT id FROM visits WHERE days = 3) ORDER BY n") == [(3,), (3,), (4,), (5,)]


MADE_KEYS = NESTED.replace("ordinal: n\n", "ordinal: n\n        key: id\n").replace("{ name: id, from: id, type: uuid, primary_key: true }, ", "")


def test_elements_inside_elements_without_ids(mend, pg15):
    visits = [{"days": str(n) if n % 4 == 3 else n, "steps": [n, str(n), n + 1, "no", str(n + 2)]} for n in range(24)]
    trips = [{"_id": oid(n), "visits": [None, *visits[6 * n - 6 : 6 * n]]} for n in range(1, 5)]
    mend(MADE_KEYS.replace("{FIX}", ""), MADE_KEYS.replace("{FIX}", ", accept: [numeric-string]"), {"trips": trips}, status=1)
    assert states(pg15)["open"] == 28  # null is no visit, "no" is no number
    assert pg15.query("SELECT step FROM steps WHERE visit = (SELECT id FROM visits WHERE days = 3) ORDER BY n") == [(3,), (3,), (4,), (5,)]


CHILD_ROWS = f"""
collections:
  - {{ collection: parents, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - collection: lists
    columns: [{KEY}]
    children:
      - from: items
        table: items
        parent: list
        ordinal: n
        columns:
          - {{ name: what, type: uuid, references: {{ table: parents, if_orphan: reject }} }}
          - {{ name: code, type: text }}
        indexes: [{{ columns: [code], unique: true }}]
""".replace("{{", "{").replace("}}", "}")


def test_rows_of_child_tables_that_were_taken_out(mend, pg15):
    parents = [{"_id": oid(n), "n": str(n) if n == 2 else n} for n in range(1, 4)]
    lists = [
        {"_id": oid(10 + k), "items": [{"what": oid(n), "code": f"{k}-{n}" if n != 3 else "same"} for n in (1, 2, 3, 9)]} for k in (1, 2)
    ]
    mend(CHILD_ROWS.replace("{FIX}", ""), CHILD_ROWS.replace("{FIX}", ", accept: [numeric-string]"), {"parents": parents, "lists": lists}, status=1)
    assert pg15.query("SELECT fault, state, count(*)::int FROM docrow.reject WHERE table_name = 'items' GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("duplicate", "open", 1), ("orphan", "open", 2), ("orphan", "retried", 2)
    ]


HANGING = f"""
collections:
  - {{ collection: parents, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - collection: lists
    columns: [{KEY}]
    children:
      - from: items
        table: items
        parent: list
        ordinal: n
        key: id
        columns:
          - {{ name: what, type: uuid, references: {{ table: parents, if_orphan: reject }} }}
          - {{ name: code, type: text }}
        children:
          - from: parts
            table: parts
            parent: item
            key: id
            columns:
              - {{ name: p, type: integer{{FIX}} }}
              - {{ name: ref, type: uuid, references: {{ table: parents, if_orphan: reject }} }}
              - {{ name: soft, type: uuid, references: {{ table: parents, if_orphan: "null" }} }}
            children: [{{ from: bits, table: bits, parent: part, ordinal: n, columns: [{{ name: b, from: ., type: integer{{FIX}} }}] }}]
""".replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("order", ["as it was", "turned round"])
def test_what_hung_on_a_row_of_a_child_table(mend, pg15, order):
    """Rows of nested child tables come back with the row that they hung on, whatever became of them since."""
    parents = [{"_id": oid(n), "n": str(n) if n == 2 else n} for n in range(1, 4)]
    whole = [{"p": 1, "bits": [1, 2]}, {"p": 2}]
    parts = [
        *whole, {"p": "2", "bits": [3]}, {"p": 3, "bits": [4, "5"]}, {"p": 4, "ref": oid(2), "bits": [6]},
        {"p": 5, "ref": oid(9), "bits": [7]}, {"p": 6, "ref": oid(1), "soft": oid(2)},
    ]  # fmt: skip
    lists = [
        {"_id": oid(10 + k), "items": [{"what": oid(n), "code": f"{k}-{n}", "parts": whole if n == 9 else parts} for n in (1, 2, 3, 9)]}
        for k in (1, 2)
    ]
    mended = HANGING.replace("{FIX}", ", accept: [numeric-string]")
    if order == "turned round":
        head, one, two = mended.split("  - ", 1)[0], *mended.split("\n  - ", 2)[1:]
        mended = head + "  - " + two + "  - " + one + "\n"
    mend(HANGING.replace("{FIX}", ""), mended, {"parents": parents, "lists": lists}, status=1)
    assert pg15.one("SELECT count(*) FROM parts JOIN items i ON i.id = item JOIN parents p ON p.id = what WHERE p.n = 2") == 12
    assert pg15.query("SELECT table_name, fault, count(*)::int FROM docrow.reject WHERE state = 'open' GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("items", "orphan", 2), ("parts", "orphan", 6)
    ]  # fmt: skip


LONELY = f"""
collections:
  - {{ collection: users, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
  - {{ collection: boards, columns: [{KEY}] }}
junctions:
  - table: owners
    left: {{ collection: boards, path: owners, column: board }}
    right: {{ collection: users, column: usr }}
    indexes: [{{ columns: [usr], unique: true }}]
""".replace("{{", "{").replace("}}", "}")


def test_rows_of_a_junction_that_were_taken_out(docrow, mongo, pg15):
    """A junction may have a unique index: one board for each user. What it minds is a reject, whether the pair comes
    with the run or waits for a user, and goes in when what stood in its way is gone."""
    mongo["users"].insert_many([{"_id": oid(n), "n": n if n != 3 else "3"} for n in range(1, 6)])
    mongo["boards"].insert_many([{"_id": oid(10 + n), "owners": [oid(1), oid(n), oid(3)]} for n in range(1, 6)])
    (docrow.folder / "m.yaml").write_text("docrow: 1\n" + LONELY.replace("{FIX}", ""))
    (docrow.folder / "n.yaml").write_text("docrow: 1\n" + LONELY.replace("{FIX}", ", accept: [numeric-string]"))
    docrow.run("migrate", "--mapping", "./m.yaml", status=1)
    pairs = "SELECT docrow.uuid_to_objectid(board), docrow.uuid_to_objectid(usr) FROM owners ORDER BY 2"

    def owners():
        return [(int(board, 16), int(user, 16)) for board, user in pg15.query(pairs)]

    assert owners() == [(11, 1), (12, 2), (14, 4), (15, 5)]
    assert states(pg15) == {"open": 5}
    docrow.run("retry", "--mapping", "./n.yaml", status=1)
    assert owners() == [(11, 1), (12, 2), (11, 3), (14, 4), (15, 5)]
    assert states(pg15) == {"open": 8, "retried": 1}
    docrow.run("validate", "--full", status=0)
    pg15.execute("DELETE FROM owners WHERE board = docrow.objectid_to_uuid(lpad(to_hex(11), 24, '0'))")
    docrow.run("retry", status=5)  # rows of the run are gone, which is told
    assert owners() == [(12, 1), (12, 2), (12, 3), (14, 4), (15, 5)]
    assert states(pg15) == {"open": 6, "retried": 3}


ENTRY = """
  - collection: {source}
    name: {name}{where}
    table: people
    columns: [{KEY}, {{ name: n, type: integer }}]
    children:
      - from: {array}
        table: orders
        parent: person
        ordinal: position
        key: id
        columns:
          - {{ name: shop, type: uuid, references: {{ table: shops, if_orphan: reject }} }}
          - {{ name: code, type: text }}
        indexes: [{{ columns: [code], unique: true }}]
        children: [{{ from: lines, table: lines, parent: an_order, ordinal: n, columns: [{{ name: l, from: ., type: integer{{FIX}} }}] }}]
"""
SHARED = f"""
collections:
  - {{ collection: shops, columns: [{KEY}, {{ name: n, type: integer, not_null: true{{FIX}} }}] }}
""".replace("{{", "{").replace("}}", "}") + "".join(
    ENTRY.format(source=s, name=n, array=a, KEY=KEY, where=w).replace("{{", "{").replace("}}", "}").rstrip()
    for s, n, a, w in (
        ("people", "young", "orders", "\n    where: { n: { $lt: 20 } }"),
        ("people", "grown", "purchases", "\n    where: { n: { $gte: 20 } }"),
        ("former", "former", "orders", ""),
    )
)


def some_orders(k):
    """One is null, one points to no shop, one has a code that others have, too."""
    return [None] + [{"shop": oid(900 + s), "code": f"{k}-{s}" if s != 4 else f"same-{k % 3}", "lines": [1, 2, 3]} for s in (1, 2, 4, 9)]


def test_a_child_table_of_several_collections(mend, docrow, pg15):
    """Parts of a collection and another one, whose arrays have other names, fill one table and its children."""
    people = [{"_id": oid(k), "n": k, "orders" if k < 20 else "purchases": some_orders(k)} for k in range(12, 28)]
    former = [{"_id": oid(k), "n": k, "orders": some_orders(100 + k)} for k in (10, 11, 40)]
    shops = [{"_id": oid(900 + n), "n": str(n) if n == 2 else n} for n in range(1, 6)]
    mend(
        SHARED.replace("{FIX}", ""), SHARED.replace("{FIX}", ", accept: [numeric-string]"),
        {"shops": shops, "people": people, "former": former}, status=1,
    )  # fmt: skip
    docrow.run("validate", "--full", status=0)
    taken = "SELECT collection, state, count(*)::int, count(document)::int FROM docrow.reject WHERE fault = 'orphan' GROUP BY 1, 2"
    assert sorted(pg15.query(taken)) == [
        ("former", "open", 3, 3), ("former", "retried", 3, 3), ("grown", "open", 8, 8), ("grown", "retried", 8, 8),
        ("young", "open", 8, 8), ("young", "retried", 8, 8),
    ]  # fmt: skip
    assert pg15.query("SELECT count(*)::int, count(document)::int FROM docrow.reject WHERE fault = 'duplicate'") == [(16, 16)]


def test_equal_keys_of_collections_with_a_child_table(docrow, mongo, pg15):
    """The document that gives its key up gives its child rows up, whichever collection filled the table."""
    mongo["people"].insert_many([{"_id": oid(k), "n": k, "orders" if k < 20 else "purchases": some_orders(k)} for k in range(12, 28)])
    mongo["former"].insert_many([{"_id": oid(k), "n": 100 + k, "orders": some_orders(100 + k)[:3]} for k in (10, 11, 12, 25, 40)])
    mongo["shops"].insert_many([{"_id": oid(900 + n), "n": n} for n in range(1, 6)])
    (docrow.folder / "m.yaml").write_text("docrow: 1\n" + SHARED.replace("{FIX}", ""))
    docrow.run("check", "--mapping", "./m.yaml", "--scan", "full", status=1)
    docrow.run("migrate", "--mapping", "./m.yaml", "--batch-size", "3", status=1)
    got = pg15.query("SELECT n, code FROM people JOIN orders ON person = people.id WHERE n % 100 IN (12, 25) ORDER BY 1, 2")
    assert got == [(12, "12-1"), (12, "12-2"), (25, "25-1"), (25, "25-2")]
    docrow.run("validate", "--full", status=0)
    docrow.run("migrate", "--mapping", "./m.yaml", "--clean", "--only", "former,shops", status=1)
    assert pg15.one("SELECT count(*) FROM orders") == 10
    docrow.run("validate", "--full", status=0)


USERS = f"""
collections:
  - collection: users
    columns: [{KEY}, {{ name: email, type: text }}, {{ name: n, type: integer, not_null: true{{FIX}} }}]
    indexes: [{{ columns: [email], unique: true }}]
""".replace("{{", "{").replace("}}", "}")


def migrated(docrow, mongo, documents, mapping=USERS, fix=", accept: [numeric-string]", status=1):
    for name, list_of_them in documents.items():
        mongo[name].insert_many(list_of_them)
    (docrow.folder / "m.yaml").write_text("docrow: 1\n" + mapping.replace("{FIX}", ""))
    (docrow.folder / "n.yaml").write_text("docrow: 1\n" + mapping.replace("{FIX}", fix))
    docrow.run("migrate", "--mapping", "./m.yaml", status=status)


def test_a_key_that_is_taken(docrow, mongo, pg15):
    """A duplicate stays open while the owner of its key is there, and loads once it is gone; nothing is pushed out."""
    migrated(docrow, mongo, {"users": [{"_id": oid(n), "email": "same" if n in (2, 3) else str(n), "n": 1} for n in range(1, 5)]})
    result = docrow.run("retry", status=1)
    assert "stay" in result.stdout and states(pg15) == {"open": 1}
    assert pg15.query("SELECT attempts, fault FROM docrow.reject") == [(1, "duplicate")]
    assert str(oid(2)) in pg15.one("SELECT message FROM docrow.reject")
    pg15.execute("DELETE FROM users WHERE email = 'same'")
    result = docrow.run("retry", status=5)  # the account tells that somebody changed the table
    assert "DOES NOT BALANCE" in result.stdout and states(pg15) == {"retried": 1}
    assert pg15.one("SELECT docrow.uuid_to_objectid(id) FROM users WHERE email = 'same'") == str(oid(3))


@pytest.mark.plain_only
def test_of_two_that_come_the_lowest_stays(mend, pg15):
    users = [{"_id": oid(n), "email": "same", "n": str(n)} for n in (5, 3, 4)]
    users += [{"_id": str(oid(9)), "email": "twin", "n": "9"}, {"_id": oid(9), "email": "twin too", "n": "9"}]
    mend(USERS.replace("{FIX}", "").replace("from: _id", "from: _id, accept: [hex-id]"),
         USERS.replace("{FIX}", ", accept: [numeric-string]").replace("from: _id", "from: _id, accept: [hex-id]"),
         {"users": users}, status=1, want_same=False)
    assert pg15.query("SELECT docrow.uuid_to_objectid(id), email FROM users ORDER BY id") == [(str(oid(3)), "same"), (str(oid(9)), "twin")]


# --- which mapping, which rejects ---


@pytest.mark.plain_only
def test_another_structure_is_refused(docrow, mongo, pg15):
    migrated(docrow, mongo, {"users": [{"_id": oid(1), "n": "1"}]})
    for old, new, told in [
        ("type: text", "type: varchar(9)", "+ column users.email varchar(9)"),
        ("name: email,", "name: email, from: mail,", "+ users.email is fed by users mail"),
        ("unique: true", "unique: false", "- CREATE UNIQUE INDEX"),
        ("not_null: true", "not_null: false", "- column users.n integer NOT NULL"),
        ("collection: users", "collection: users\n    where: { n: { $gt: 1 } }", "where (filter "),
    ]:
        (docrow.folder / "x.yaml").write_text("docrow: 1\n" + USERS.replace("{FIX}", "").replace(old, new))
        result = docrow.run("retry", "--mapping", "./x.yaml", status=2)
        assert "DR-2204" in result.stderr and told in " ".join(result.stderr.split()), result
    assert pg15.query("SELECT attempts FROM docrow.reject") == [(0,)]


@pytest.mark.plain_only
def test_revisions_are_kept_and_used_again(docrow, mongo, pg15):
    migrated(docrow, mongo, {"users": [{"_id": oid(1), "n": "1"}, {"_id": oid(2), "n": "two"}]})
    docrow.run("retry", status=1)
    assert pg15.query("SELECT count(*) FROM docrow.revision") == [(0,)]
    docrow.run("retry", "--mapping", "./n.yaml", "--id", pg15.one("SELECT max(id) FROM docrow.reject"), status=1)
    assert states(pg15) == {"open": 2}
    docrow.run("retry", status=1)  # by the revision
    assert states(pg15) == {"open": 1, "retried": 1}
    assert pg15.query("SELECT number, mapping_name, mapping_text = %s FROM docrow.revision", (docrow.folder / "n.yaml").read_text()) == [
        (1, "n", True)
    ]
    assert pg15.query("SELECT fault, first_fault, attempts FROM docrow.reject WHERE state = 'open'") == [("format", "type", 3)]


def test_dry_run_changes_nothing(docrow, mongo, pg15):
    migrated(docrow, mongo, {"users": [{"_id": oid(n), "n": str(n) if n < 4 else "x"} for n in range(1, 6)]})
    tables = ["run", "step", "reject", "finding", "revision"]
    before = {t: pg15.rows(t, "docrow") for t in tables}
    files = sorted(docrow.folder.iterdir())
    result = docrow.run("retry", "--dry-run", "--mapping", "./n.yaml", status=1)
    assert "5 tried, 3 would load" in result.stdout and "format  users.n (string)" in result.stdout
    assert {t: pg15.rows(t, "docrow") for t in tables} == before and pg15.rows("users") == []
    assert sorted(docrow.folder.iterdir()) == files
    told = json.loads(docrow.run("retry", "--json", "--mapping", "./n.yaml", status=1).stdout)
    assert (told["tried"], told["loaded"], told["open"], told["account_breaks"]) == (5, 3, 2, 0)
    status = docrow.run("status", status=0).stdout
    assert "rejects   5, of them retried 3, open 2" in status


@pytest.mark.plain_only
def test_filters_choose(docrow, mongo, pg15):
    migrated(docrow, mongo, {"users": [{"_id": oid(1), "n": "1"}, {"_id": oid(2)}, {"_id": oid(3), "n": 2**40}]},
             fix=", accept: [numeric-string], if_missing: '0', if_invalid: '9'")
    for options, left in [(["--fault", "missing"], 2), (["--path", "n", "--collection", "users", "--fault", "range"], 1), (["--table", "users"], 0)]:
        docrow.run("retry", "--mapping", "./n.yaml", *options, status=1 if left else 0)
        assert states(pg15).get("open", 0) == left
    assert "no rejects" in docrow.run("rejects", status=0).stdout
    assert len(docrow.run("rejects", "list", "--state", "retried", status=0).stdout.splitlines()) == 3


def test_a_run_that_is_not_done_is_refused(docrow, mongo, pg15):
    assert "DR-2203" in docrow.run("retry", status=2).stderr
    mongo["users"].insert_many({"_id": oid(n), "n": "x"} for n in range(1, 9))
    (docrow.folder / "m.yaml").write_text("docrow: 1\n" + USERS.replace("{FIX}", ""))
    docrow.run("migrate", "--mapping", "./m.yaml", "--max-rejects", "2", status=1)
    assert "DR-2202" in docrow.run("retry", status=2).stderr


# --- killed, and two at once ---


def many(mongo, n):
    return {"users": [{"_id": oid(k), "email": str(k), "n": str(k) if k % 5 else "no"} for k in range(1, n + 1)]}


def same_end(pg, n):
    assert states(pg) == {"open": n // 5, "retried": n - n // 5}
    assert pg.query("SELECT count(*)::int, count(DISTINCT id)::int FROM users") == [(n - n // 5, n - n // 5)]
    counts = ledger(pg)
    assert counts["rows", "users", ""] == counts["retried", "users", "type"] == n - n // 5
    assert pg.one("SELECT count(*) FROM docrow.step WHERE kind = 'retry' AND state <> 'done'") == 0


@pytest.mark.plain_only
def test_kill_9_while_it_retries(docrow, mongo, pg15):
    migrated(docrow, mongo, many(mongo, 6000), fix=", accept: [numeric-string]")
    pg15.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END$$;"
        " CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    )
    steps = "SELECT count(*) FROM docrow.step WHERE kind = 'retry' AND state = 'done'"
    working = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'docrow worker' AND query ~ '%s' AND datname = current_database()"
    for moment in (
        lambda: pg15.one("SELECT count(*) FROM docrow.worker") > 0,
        lambda: pg15.one(working % "docrow_t0") > 0,
        lambda: pg15.one(steps) > 0,
        lambda: pg15.one(steps) > 2,
    ):
        docrow.kill_when(moment, "retry", "--mapping", "./n.yaml", "--lease", "2")
        retried = states(pg15).get("retried", 0)
        assert pg15.one("SELECT count(*) FROM users") == retried == pg15.one(
            "SELECT coalesce(sum(n), 0) FROM docrow.ledger WHERE kind = 'retried'")
    pg15.execute("DROP TRIGGER slow ON users")
    result = docrow.run("retry", "--mapping", "./n.yaml", "--lease", "2", status=1)
    same_end(pg15, 6000)
    assert "checks hold" in result.stdout


@pytest.mark.plain_only
def test_two_at_once_take_turns(docrow, mongo, pg15):
    migrated(docrow, mongo, many(mongo, 4000))
    two = [docrow.start("retry", "--mapping", "./n.yaml") for _ in range(2)]
    for process in two:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 1, stderr
    same_end(pg15, 4000)


# --- the server refuses ---


@pytest.mark.plain_only
def test_what_the_server_refuses_stays_open(docrow, mongo, pg15):
    """A CHECK that docrow knows nothing of refuses 2 of 900 that would load."""
    documents = {"users": [{"_id": oid(k), "n": str(k)} for k in range(1, 901)]}
    migrated(docrow, mongo, documents)
    pg15.execute("ALTER TABLE users ADD CONSTRAINT odd CHECK (n NOT IN (17, 800))")
    docrow.run("retry", "--mapping", "./n.yaml", status=1)
    assert pg15.one("SELECT count(*) FROM users") == 898
    assert pg15.query("SELECT fault, sqlstate, first_fault, count(*)::int FROM docrow.reject WHERE state = 'open' GROUP BY 1, 2, 3") == [
        ("refused", "23514", "type", 2)
    ]
    pg15.execute("ALTER TABLE users DROP CONSTRAINT odd")
    docrow.run("retry", status=0)
    assert pg15.one("SELECT count(*) FROM users") == 900


# --- docrow rejects ---


def test_export_loads_again(docrow, mongo, pg15):
    documents = [
        {"_id": oid(1), "n": "1", "when": datetime.datetime(2020, 1, 2, 3, 4, 5, 678000), "big": bson.Int64(2**60), "d": 0.1, "x": [None, {}]},
        {"_id": "text", "n": "2", "dec": bson.Decimal128("1.10"), "bin": b"\\x00\\xff", "re": bson.Regex("a", "i")},
        {"_id": oid(3), "n": 3},
    ]
    migrated(docrow, mongo, {"users": documents})
    out = docrow.folder / "out.json"
    result = docrow.run("rejects", "--collection", "users", "--export", out, status=0)
    assert "2 documents written" in result.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    read = [json_util.loads(line, json_options=json_util.CANONICAL_JSON_OPTIONS) for line in out.read_text().splitlines()]
    stored = list(mongo["users"].find({"n": {"$type": "string"}}, sort=[("n", 1)]))
    assert [json_util.dumps(d, json_options=json_util.CANONICAL_JSON_OPTIONS) for d in sorted(read, key=lambda d: d["n"])] == [
        json_util.dumps(d, json_options=json_util.CANONICAL_JSON_OPTIONS) for d in stored
    ]
    docrow.run("rejects", "--export", docrow.folder / "out.bson", "--format", "bson", status=0)
    raw = mongo.db.get_collection("users", codec_options=bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
    wanted = sorted(d.raw for d in raw.find({"n": {"$type": "string"}}))
    data, got = (docrow.folder / "out.bson").read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "little")
        got.append(data[:size])
        data = data[size:]
    assert sorted(got) == wanted
    assert not [p for p in docrow.folder.iterdir() if re.search(r"out\.(json|bson)\.", p.name)]
    failed = docrow.run("rejects", "--export", docrow.folder / "no" / "such", status=2)
    assert "DR-2004" in failed.stderr


@pytest.mark.plain_only
def test_export_of_several_collections_is_refused(docrow, mongo, pg15):
    mapping = USERS + f"  - {{ collection: pets, columns: [{KEY}, {{ name: n, type: integer }}] }}\n"
    migrated(docrow, mongo, {"users": [{"n": "1"}], "pets": [{"n": "1"}]}, mapping=mapping)
    result = docrow.run("rejects", "--export", docrow.folder / "x", status=2)
    assert "pets, users" in result.stderr and "--collection" in result.stderr


def test_nothing_tells_a_value(docrow, mongo, pg15):
    """Secrets in every kind of reject: none in a file, a message, a table of texts for people, or on the terminal."""
    secret = "s3cr3t"
    mapping = f"""
collections:
  - collection: users
    columns:
      - {KEY}
      - {{ name: n, type: integer }}
      - {{ name: email, type: text }}
      - {{ name: short, type: varchar(3) }}
      - {{ name: kind, type: Kind }}
    indexes: [{{ columns: [email], unique: true }}]
    children: [{{ from: tags, table: tags, parent: u, ordinal: k, columns: [{{ name: tag, from: ., type: integer }}] }}]
    unmapped: reject
junctions: [{{ table: peers, left: {{ collection: users, path: peers, column: a }}, right: {{ collection: users, column: b }} }}]
enums: [{{ name: Kind, labels: [A] }}]
"""
    with pg15.admin() as admin:
        admin.execute(
            "CREATE FUNCTION add_check() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM"
            " pg_event_trigger_ddl_commands() WHERE object_identity = 'public.users') THEN ALTER TABLE public.users"
            " ADD CONSTRAINT odd CHECK (email NOT LIKE 'refused%'); END IF; END $$"
        )
        admin.execute("CREATE EVENT TRIGGER add_check ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION add_check()")
    documents = [
        {"n": secret}, {"short": secret}, {"kind": secret}, {"email": secret + "\0"}, {"email": f"refused {secret}"},
        {"email": secret}, {"email": secret}, {"tags": [secret]}, {"peers": [secret, None]}, {"extra": secret}, {"n": {"deep": secret}},
    ]
    migrated(docrow, mongo, {"users": documents}, mapping=mapping)
    told = [docrow.run("migrate", "--clean", "--mapping", "./m.yaml", "--verbose", status=1), docrow.run("status", status=0)]
    told += [docrow.run("rejects", *o, status=0) for o in ([], ["list"], ["list", "--json"], ["--json"])]
    told += [docrow.run("retry", *o, status=1) for o in ([], ["--json"], ["--dry-run"])]
    for result in told:
        assert secret not in result.stdout + result.stderr, result
    for path in docrow.folder.iterdir():
        if path.suffix in (".log", ".json"):
            assert secret not in path.read_text(), path
    columns = "collection, table_name, column_name, path, fault, code, sqlstate, message, bson_type, doc_id_text, key, state"
    assert pg15.one(f"SELECT count(*) FROM docrow.reject r WHERE (SELECT ROW({columns}))::text LIKE '%{secret}%'") == 0
    assert pg15.one("SELECT count(DISTINCT fault) FROM docrow.reject") >= 8
    log = [json.loads(line) for line in (docrow.folder / "migration-errors.log").read_text().splitlines()]
    kinds = [line["kind"] for line in log]
    assert kinds == sorted(kinds, key=["reject", "pattern", "end"].index)
    assert log[-1]["rejects"] == log[-1]["open"] == kinds.count("reject") == sum(l["rejects"] for l in log if l["kind"] == "pattern")


# --- one list of faults ---


def test_faults_come_from_one_list(docrow, mongo, pg15):
    """Name, code and sentence of src/base/fault.h are those of the manual, the help, the table, the log and rejects."""
    source = (program.ROOT / "src" / "base" / "fault.h").read_text()
    faults = re.findall(r'X\(\w+, "(\w+)", "(DR-F\d+)", "([^"]+)"\)', source)
    assert len(faults) >= 21 and len({code for _, code, _ in faults}) == len(faults)
    manual = (program.ROOT / "docs" / "messages.md").read_text()
    for name, code, sentence in faults:
        assert f"{code}" in manual and name in manual and sentence in manual, name
        shown = docrow.run("help", name, status=0).stdout
        assert code in shown and sentence in " ".join(shown.split())
    migrated(docrow, mongo, {"users": [{"_id": oid(1), "n": "1"}, {"_id": oid(2)}, {"_id": oid(3), "n": 2**40}, {"_id": oid(4), "n": None}]})
    by_name = {name: (code, sentence) for name, code, sentence in faults}
    rows = pg15.query("SELECT fault, code, message FROM docrow.reject ORDER BY id")
    log = [json.loads(line) for line in (docrow.folder / "migration-errors.log").read_text().splitlines()]
    listed = [json.loads(line) for line in docrow.run("rejects", "list", "--json", status=0).stdout.splitlines()]
    assert [(r["fault"], r["code"], r["message"]) for r in log if r["kind"] == "reject"] == rows
    assert [(r["fault"], r["code"], r["message"]) for r in listed] == rows and len(rows) == 4
    for fault, code, message in rows:
        assert by_name[fault][0] == code and message.startswith(by_name[fault][1])


@pytest.mark.plain_only
def test_the_state_of_an_older_version_is_brought_up_to_date(docrow, mongo, pg15):
    migrated(docrow, mongo, {"users": [{"_id": oid(1), "n": "1"}, {"_id": oid(2), "n": 2}]})
    pg15.execute(
        "ALTER TABLE docrow.reject DROP attempts, DROP first_fault, DROP retried, DROP retry_step; ALTER TABLE docrow.finding DROP"
        " state, DROP retry_step; DROP TABLE docrow.revision, docrow.savepoint; ALTER TABLE docrow.ddl DROP facts, DROP step,"
        " DROP table_name, DROP sqlstate, DROP reason; UPDATE docrow.reject SET ordinal = -1 WHERE ordinal IS NULL;"
        " UPDATE docrow.meta SET value = '1' WHERE key = 'docrow.version'"
    )
    docrow.run("retry", "--mapping", "./n.yaml", status=0)
    assert pg15.query("SELECT state, ordinal, attempts FROM docrow.reject") == [("retried", None, 1)]
    docrow.run("migrate", "--clean-only", status=0)  # the retried row is the run's, too
    assert pg15.tables() == []


def test_errors_as_json_where_progress_is(docrow, pg15):
    result = docrow.run("retry", "--progress", "json", status=2)
    assert json.loads(result.stderr)["message"] == "there is no run on this target"
