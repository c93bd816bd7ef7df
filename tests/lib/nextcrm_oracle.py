"""What must come out of a NextCRM database, told by the documents and by the facts alone.

    want = predict(documents)        {collection: [document, ...]} as pymongo reads them
    want.rows       {table: {row, ...}}       rows as tuples, values as psycopg reads them
    want.rejects    {(collection, _id): (fault, {column, ...})}
    want.elements   Counter of (junction, collection, _id, fault)
    want.findings   Counter of (kind, table, column, key, value)
    want.ledger     {(kind, object, path): n}

Written from the facts in tests/data/nextcrm and from the rules in the manual, without a look at how docrow works:
plain loops over Python objects, one rule after the other.
"""

import collections
import csv
import datetime
import json
import re
import uuid

import bson
import bson.codec_options
import bson.raw_bson
from bson import json_util

from .nextcrm_sample import FACTS

HEX_ID = re.compile(r"[0-9a-fA-F]{24}\Z")
RELAXED = json_util.RELAXED_JSON_OPTIONS
EPOCH = datetime.datetime(1970, 1, 1)
ID_TIMES = {
    ("crm_Accounts", "createdAt"),
    ("crm_Opportunities", "createdAt"),
    ("Invoices", "date_created"),
    ("Invoices", "last_updated"),
    ("tasksComments", "createdAt"),
    ("Users", "created_on"),
}


def facts(name):
    with open(FACTS / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def key_of(value):
    """ObjectId, or its 24 digits → uuid, as the design says: seconds, version 7, the other 64 bits, the mark."""
    raw = bson.ObjectId(value).binary
    milliseconds = int.from_bytes(raw[:4], "big") * 1000
    rest = int.from_bytes(raw[4:], "big")
    number = milliseconds << 80 | 0x7 << 76 | (rest >> 52) << 64
    number |= 0b10 << 62 | (rest & (1 << 52) - 1) << 10 | 0x0DC
    return uuid.UUID(int=number)


class Bad(Exception):
    """The value does not go into the column; the text is the fault's name."""


# --- one value: → (value, was it of another type that the mapping accepts?) ---


def _uuid(value, _):
    if isinstance(value, bson.ObjectId):
        return key_of(value), False
    if isinstance(value, str) and HEX_ID.match(value):
        return key_of(value), True
    raise Bad("format" if isinstance(value, str) else "type")


def _text(value, _):
    if not isinstance(value, str):
        raise Bad("type")
    if "\0" in value:
        raise Bad("nul")
    return value, False


def _integer(value, _):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Bad("type")
    if value != int(value):
        raise Bad("inexact")
    if not -(2**31) <= value < 2**31:
        raise Bad("range")
    return int(value), False


def _boolean(value, _):
    if not isinstance(value, bool):
        raise Bad("type")
    return value, False


def _timestamp(value, _):
    if isinstance(value, datetime.datetime):
        return value, False
    if isinstance(value, bson.DatetimeMS):
        raise Bad("range")
    if isinstance(value, bson.Timestamp):
        return EPOCH + datetime.timedelta(seconds=value.time), True
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value.removesuffix("Z")), True
        except ValueError:
            raise Bad("format") from None
    raise Bad("type")


def _json(value, _):
    return json.loads(json_util.dumps(value, json_options=RELAXED)), False


def _array(element):
    def convert(value, labels):
        if not isinstance(value, list):
            raise Bad("type")
        return [None if v is None else element(v, labels)[0] for v in value], False

    return convert


def _enum(value, labels):
    if not isinstance(value, str):
        raise Bad("type")
    if value not in labels:
        raise Bad("label")
    return value, False


TYPES = {
    "UUID": _uuid,
    "TEXT": _text,
    "INTEGER": _integer,
    "BOOLEAN": _boolean,
    "TIMESTAMP(3)": _timestamp,
    "JSONB": _json,
    "TEXT[]": _array(_text),
    "UUID[]": _array(_uuid),
}
CONSTANTS = {"true": True, "false": False}


class Column:
    def __init__(self, row, field, labels, reference):
        self.name = row["column"]
        self.field = field["mongo_field"]
        self.nullable = row["nullable"] == "yes"
        self.convert = TYPES.get(row["pg_type"], _enum)
        self.labels = labels.get(row["pg_type"], ())
        self.parent = reference
        self.default = None
        text = field["default"]
        if field["optional"] == "no" and text and "(" not in text and "update" not in text:
            self.default = CONSTANTS.get(text, int(text) if text.lstrip("-").isdigit() else text.strip('"'))
        self.id_time = (row["table"], self.name) in ID_TIMES


class Side:
    """A list of ids that feeds a junction."""

    def __init__(self, junction, collection, field, is_left):
        self.junction, self.collection, self.field, self.is_left = junction, collection, field, is_left


def _read_model():
    labels = collections.defaultdict(list)
    for row in facts("target-enums.tsv"):
        labels[row["enum"]].append(row["value"])
    parents = {(r["table"], r["columns"]): r["ref_table"] for r in facts("target-foreign-keys.tsv")}
    fields = {(r["collection"], r["mongo_field"]): r for r in facts("source-fields.tsv")}
    junctions = {r["target_table"] for r in facts("entity-map.tsv") if r["row_kind"] == "junction"}
    tables = collections.OrderedDict()
    for row in facts("target-columns.tsv"):
        table, column = row["table"], row["column"]
        if table not in junctions:
            field = fields[(table, "_id" if column == "id" else column)]
            tables.setdefault(table, []).append(Column(row, field, labels, parents.get((table, column))))
    order = {}  # junction → its two columns, in their order
    for row in facts("target-columns.tsv"):
        if row["table"] in junctions:
            order.setdefault(row["table"], []).append(row["column"])
    sides = collections.defaultdict(list)
    for row in facts("entity-map.tsv"):
        if row["row_kind"] == "junction":
            junction = row["target_table"]
            is_left = order[junction][0] == row["target_column"]
            sides[junction].append(Side(junction, row["source_collection"], row["source_field"], is_left))
    ends = {j: tuple(parents[(j, c)] for c in columns) for j, columns in order.items()}
    return tables, sides, order, ends


class Prediction:
    def __init__(self, documents):
        self.documents = documents
        self.tables, self.sides, self.columns, self.ends = _read_model()
        self.ledger = collections.Counter()
        self.rejects = {}
        self.findings = collections.Counter()
        self.elements = collections.Counter()
        self.kept = {}  # table → {key: (document, [value, ...])}
        self.lists = {
            collection: [s for sides in self.sides.values() for s in sides if s.collection == collection]
            for collection in self.tables
        }
        for collection in self.tables:
            self._read(collection)
        self._unique_emails()
        self._orphans()
        self.rows = {t: {tuple(_frozen(v) for v in values) for _, values in rows.values()} for t, rows in self.kept.items()}
        for junction in self.sides:
            self._pairs(junction)
        self.ledger = {k: n for k, n in self.ledger.items() if n}

    # --- documents one by one ---

    def _read(self, collection):
        self.kept[collection] = {}
        for document in self.documents.get(collection, []):
            self.ledger["read", collection, ""] += 1
            self.ledger["source", collection, ""] += 1
            self._read_document(collection, document)
        self.ledger["rows", collection, ""] += len(self.kept[collection])

    def _read_document(self, collection, document):
        counts = collections.Counter()
        values, bad = [], None
        for column in self.tables[collection]:
            try:
                values.append(self._value(collection, column, document, counts))
            except Bad as fault:
                bad = bad or (str(fault), column.name)
        known = {c.field for c in self.tables[collection]} | {s.field for s in self.lists[collection]}
        unmapped = [name for name in document if name not in known]
        for side in self.lists[collection]:
            self._count_elements(side, document, rejected=bad is not None)
        if bad:
            self.ledger["reject", collection, bad[0]] += 1
            self.rejects[collection, document["_id"]] = (bad[0], {bad[1]})
            return
        self.ledger.update(counts)
        self.ledger.update(("unmapped", collection, name) for name in unmapped)
        self._keep(collection, document, values)

    def _value(self, collection, column, document, counts):
        if column.field not in document:
            return self._missing(collection, column, document, counts)
        value = document[column.field]
        if value is None:
            if not column.nullable:
                raise Bad("null")
            counts["null", collection, column.name] += 1
            return None
        value, accepted = column.convert(value, column.labels)
        if accepted:  # an _id, too; it is listed in docrow.id_map besides
            counts["accepted", collection, column.name] += 1
        return value

    def _missing(self, collection, column, document, counts):
        if column.nullable:
            counts["missing", collection, column.name] += 1
            return None
        value = column.default
        if value is None and column.id_time:
            value = bson.ObjectId(document["_id"]).generation_time.replace(tzinfo=None)
            if column.name == "last_updated" and document.get("date_created") is not None:
                value = _timestamp(document["date_created"], ())[0]
        if value is None:
            raise Bad("missing")
        counts["default_missing", collection, column.name] += 1
        return value

    def _keep(self, collection, document, values):
        """Of two documents with one key the lower _id stays; in MongoDB's order a string is below any ObjectId."""
        rows, key = self.kept[collection], values[0]
        if key in rows:
            self.ledger["reject_row", collection, "duplicate"] += 1
            self.ledger["rows", collection, ""] += 1
            loser = document
            if isinstance(document["_id"], str):
                loser = rows[key][0]
                rows[key] = (document, values)
            self.rejects[collection, loser["_id"]] = ("duplicate", {"id"})
            for side in self.lists[collection]:
                taken = sum(_is_id(v) for v in loser.get(side.field) or [])
                self.ledger["element_rejected_doc", side.junction, collection] += taken
            return
        rows[key] = (document, values)

    # --- duplicates and orphans ---

    def _value_of(self, table, row, name):
        return row[1][[c.name for c in self.tables[table]].index(name)]

    def _reject_row(self, table, key, fault, columns):
        document, _ = self.kept[table].pop(key)
        self.ledger["reject_row", table, fault] += 1
        self.rejects[table, document["_id"]] = (fault, set(columns))

    def _unique_emails(self):
        seen = set()
        for key in sorted(self.kept["Users"]):
            email = self._value_of("Users", self.kept["Users"][key], "email")
            if email in seen:
                self._reject_row("Users", key, "duplicate", ["email"])
            seen.add(email)

    def _is_orphan(self, column, value):
        return column.parent and value is not None and value not in self.kept[column.parent]

    def _must_go(self, table, row):
        """Columns whose orphan makes the row a reject."""
        columns = []
        for column, value in zip(self.tables[table], row[1]):
            if not self._is_orphan(column, value):
                continue
            if (table, column.name) == ("tasksComments", "task"):
                if not self._can_move(row, value):
                    columns.append(column.name)
            elif not column.nullable:
                columns.append(column.name)
        return columns

    def _can_move(self, row, value):
        other = self._value_of("tasksComments", row, "assigned_crm_account_task")
        return other is None and value in self.kept["crm_Accounts_Tasks"]

    def _orphans(self):
        went = True
        while went:  # a row that goes may leave others without a parent
            went = False
            for table, rows in self.kept.items():
                for key, columns in [(k, self._must_go(table, row)) for k, row in rows.items()]:
                    if columns:
                        self._reject_row(table, key, "orphan", columns)
                        went = True
        for table, rows in self.kept.items():
            for key, (_, values) in rows.items():
                self._mend(table, key, values)

    def _mend(self, table, key, values):
        names = [c.name for c in self.tables[table]]
        orphans = [i for i, column in enumerate(self.tables[table]) if self._is_orphan(column, values[i])]
        moved = None
        for i in orphans:
            kind = "orphan_null"
            if (table, names[i]) == ("tasksComments", "task"):
                kind, moved = "orphan_moved", values[i]
            self.ledger[kind, table, names[i]] += 1
            self.findings[kind, table, names[i], str(key), _id_in(values[i])] += 1
            values[i] = None
        if moved is not None:
            values[names.index("assigned_crm_account_task")] = moved

    # --- many-to-many ---

    def _count_elements(self, side, document, rejected):
        elements = document.get(side.field)
        if not isinstance(elements, list):
            return
        self.ledger["elements", side.junction, side.collection] += len(elements)
        if rejected:
            self.ledger["element_rejected_doc", side.junction, side.collection] += len(elements)
            return
        for element in elements:
            if not _is_id(element):
                fault = "element_null" if element is None else "element_invalid"
                self.ledger["reject_element", side.junction, fault] += 1
                self.elements[side.junction, side.collection, document["_id"], fault] += 1
            elif isinstance(element, str):
                self.ledger["accepted", side.junction, self._other_column(side)] += 1

    def _other_column(self, side):
        return self.columns[side.junction][1 if side.is_left else 0]

    def _named(self, side):
        """(left, right) of every element of the documents that were read and kept their key."""
        for document in self.documents.get(side.collection, []):
            fault, columns = self.rejects.get((side.collection, document["_id"]), (None, set()))
            if fault and (fault not in ("duplicate", "orphan") or columns == {"id"}):
                continue
            for element in document.get(side.field) or []:
                if _is_id(element):
                    owner, other = key_of(document["_id"]), key_of(element)
                    yield (owner, other) if side.is_left else (other, owner)

    def _pairs(self, junction):
        sides = {s.is_left: s for s in self.sides[junction]}
        named = {is_left: collections.Counter(self._named(side)) for is_left, side in sides.items()}
        pairs = set().union(*named.values())
        self.rows[junction] = set()
        self.ledger["pairs", junction, ""] = len(pairs)
        if len(sides) == 2:
            self.ledger["pair_mirrored", junction, ""] = len(set(named[True]) & set(named[False]))
        for is_left, side in sides.items():
            repeats = sum(n - 1 for n in named[is_left].values())
            self.ledger["pair_repeat", junction, side.collection] += repeats
        for pair in pairs:
            self._pair(junction, sides, named, pair)
        self.ledger["rows", junction, ""] = len(self.rows[junction])

    def _pair(self, junction, sides, named, pair):
        columns = self.columns[junction]
        by_left = pair in named.get(True, ())
        value = _id_in(pair[1] if by_left else pair[0])
        key = f"({pair[0]},{pair[1]})"
        missing = [c for c, end, k in zip(columns, self.ends[junction], pair) if k not in self.kept[end]]
        if missing:
            self.ledger["pair_orphan", junction, ",".join(missing)] += 1
            self.findings["orphan_pair", junction, ",".join(missing), key, value] += 1
        else:
            self.rows[junction].add(pair)
        if len(sides) == 2 and not (by_left and pair in named[False]):
            silent = columns[1] if by_left else columns[0]  # the end that did not name it
            self.findings["one_sided", junction, silent, key, value] += 1
            self.ledger["pair_one_sided", junction, sides[by_left].collection] += 1


def _is_id(value):
    return isinstance(value, bson.ObjectId) or (isinstance(value, str) and bool(HEX_ID.match(value)))


def _id_in(key):
    """The ObjectId inside a key."""
    n = key.int
    rest = ((n >> 64) & 0xFFF) << 52 | (n >> 10) & (1 << 52) - 1
    return bson.ObjectId(((n >> 80) // 1000).to_bytes(4, "big") + rest.to_bytes(8, "big"))


def _frozen(value):
    """Something that a set takes; JSON as text, where 1 and 1.0 and the order of keys are no difference."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value)):
        return json.dumps(value, sort_keys=True)
    return tuple(value) if isinstance(value, list) else value


def frozen_row(row):
    return tuple(_frozen(value) for value in row)


def predict(documents):
    return Prediction(documents)


def read_all(database):
    """{collection: [document, ...]}; dates that Python cannot hold stay numbers."""
    codec = bson.CodecOptions(datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO)
    return {
        name: list(database.get_collection(name, codec_options=codec).find())
        for name in database.list_collection_names()
    }


def read_raw(database):
    """{(collection, _id): the document's bytes}"""
    any_date = bson.codec_options.DatetimeConversion.DATETIME_AUTO
    codec = bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument, datetime_conversion=any_date)
    return {
        (name, document["_id"]): document.raw
        for name in database.list_collection_names()
        for document in database.get_collection(name, codec_options=codec).find()
    }
