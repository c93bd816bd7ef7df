"""Property test of a whole migration: a random mapping and random documents go through docrow, what stands in PostgreSQL
afterwards is compared with what the manual promises (roundtrip_expect.py).

    Roundtrip(folder, postgres server, mongo server or None).check(seed) → [] or what differs, with the smallest example
    that still shows it.
"""

import collections
import decimal
import ipaddress
import json
import math
import random
import re
import shutil
import struct

import psycopg
from bson.raw_bson import RawBSONDocument

from . import raw_bson
from .databases import MongoDatabase, PostgresDatabase
from .made_keys import key_bytes, made_key
from .program import Docrow
from .roundtrip_expect import Mapping, expect, key_form, raw_documents
from .roundtrip_oracle import Fault, Json, Made, Name5, NumberText, Pairs, put
from .roundtrip_random import Maker

# What the server itself sends of a value x, as text: nothing of the client's or the server's own rounding is in it.
SHOWN = {
    "boolean": "x::int", "smallint": "x", "integer": "x", "bigint": "x", "real": "encode(float4send(x), 'hex')",
    "double precision": "encode(float8send(x), 'hex')", "numeric": "x::text", "text": "encode(textsend(x), 'hex')",
    "varchar": "encode(varcharsend(x), 'hex')", "char": "encode(bpcharsend(x), 'hex')", "name": "encode(namesend(x), 'hex')",
    "uuid": "x::text", "bytea": "encode(x, 'hex')", "date": "encode(date_send(x), 'hex')", "time": "encode(time_send(x), 'hex')",
    "timestamp": "encode(timestamp_send(x), 'hex')", "timestamptz": "encode(timestamptz_send(x), 'hex')",
    "interval": "encode(interval_send(x), 'hex')", "json": "x::text", "jsonb": "x::text", "inet": "x::text", "vector": "x::text",
}  # fmt: skip


def parse_json(text):
    return json.loads(
        text, object_pairs_hook=Pairs, parse_int=decimal.Decimal, parse_float=decimal.Decimal, parse_constant=str
    )


def signed(text, size=None):
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)


def floating(text):
    raw = bytes.fromhex(text)
    x = struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0]
    return "nan" if math.isnan(x) else text


def interval(text):
    return signed(text[:16]), signed(text[16:24]), signed(text[24:])


def network(text):
    return str(ipaddress.ip_interface(text))


def vector(text):
    return tuple(struct.unpack("<f", struct.pack("<f", float(x)))[0] for x in text[1:-1].split(","))


READ = {
    "boolean": lambda t: t == "1", "smallint": int, "integer": int, "bigint": int, "real": floating, "double precision": floating,
    **dict.fromkeys(["text", "varchar", "char", "name"], bytes.fromhex),
    **dict.fromkeys(["date", "time", "timestamp", "timestamptz"], signed),
    "interval": interval, "inet": network, "vector": vector,
    "json": lambda t: Json(parse_json(t), True), "jsonb": lambda t: Json(parse_json(t), False),
}  # fmt: skip


def base_and_dims(kind):
    return re.match(r"[^(\[]+", kind)[0].strip(), kind.count("[]")


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def select(name, kind):
    """SQL for one column, as text or as JSON {"d": dimensions, "e": [elements]}."""
    base, dims = base_and_dims(kind)
    shown = SHOWN.get(base, "x::text")
    column = "t." + quoted(name)
    if dims == 0:
        return f"(SELECT ({shown})::text FROM (SELECT {column} AS x) s)"
    return (
        f"CASE WHEN {column} IS NULL THEN NULL ELSE json_build_object('d', array_dims({column}), 'e', (SELECT"
        f" json_agg(({shown})::text ORDER BY o) FROM unnest({column}) WITH ORDINALITY u(x, o)))::text END"
    )


def read_value(kind, text):
    if text is None:
        return None
    base, dims = base_and_dims(kind)
    read = READ.get(base, str)
    if dims == 0:
        return read(text)
    found = json.loads(text)
    shape = tuple(int(n) for n in re.findall(r"\[1:(\d+)\]", found["d"] or ""))
    return shape, [None if x is None else read(x) for x in found["e"] or ()]


def plain(value):
    """Of an _id in jsonb."""
    kind, v = value or (None, None)
    if kind == "document":
        return {k.decode(): plain(x) for k, x in v}
    return v.decode() if kind == "string" else v


class Names:
    """UUIDv5s: the same for equal values, another for different ones."""

    def __init__(self):
        self.of_form, self.of_uuid = {}, {}

    def fits(self, expected, got, learn=True):
        if not isinstance(got, str) or got[14] != "5":
            return False
        if not learn:
            return self.of_form.get(expected.form, got) == got and self.of_uuid.get(got, expected.form) == expected.form
        return self.of_form.setdefault(expected.form, got) == got and self.of_uuid.setdefault(got, expected.form) == expected.form


class Check:
    """One mapping with its documents, once through docrow."""

    def __init__(self, spec, expected, postgres):
        self.spec, self.expected, self.pg = spec, expected, postgres
        self.mapping = expected.mapping
        self.problems, self.names = [], Names()

    def wrong(self, text):
        self.problems.append(text)

    def same(self, expected, got):
        if isinstance(expected, Name5):
            return self.names.fits(expected, got)
        if isinstance(expected, Made):
            return expected.key is not None and str(expected.key) == got
        if isinstance(expected, Json) and isinstance(got, bytes):
            got = Json(parse_json(got.decode()), True)
        if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == 2 and isinstance(expected[1], list):
            return (
                expected[0] == got[0]
                and len(expected[1]) == len(got[1])
                and all(self.same(a, b) for a, b in zip(expected[1], got[1], strict=True))
            )
        return type(expected) is type(got) and expected == got if not isinstance(expected, NumberText) else expected == got

    def read_table(self, name, columns):
        """[{column: value}]; columns: {name: type}."""
        what = ", ".join(select(n, kind) for n, kind in columns.items())
        rows = self.pg.query(f"SELECT {what} FROM {quoted(name)} AS t")
        return [dict(zip(columns, map(read_value, columns.values(), row), strict=True)) for row in rows]

    def compare_rows(self, table, wanted, got):
        for at in sorted(wanted.keys() | got.keys(), key=str):
            if at not in got or at not in wanted:
                self.wrong(f"{table} {at}: {'no row' if at not in got else 'a row too many: ' + repr(got[at])}")
                continue
            for column, value in wanted[at].items():
                if not self.same(value, got[at].get(column)):
                    self.wrong(f"{table} {at} {column}: expected {value!r}, got {got[at].get(column)!r}")

    def compare_collection(self, c):
        columns = {x.name: x.given["type"] for x in c.columns}
        if c.unmapped == "keep":
            columns[c.kept_in] = "jsonb"
        got = {row["n"]: row for row in self.read_table(c.table, columns)}
        self.compare_rows(c.table, self.expected.rows[c.table], got)
        places = {str(row[c.key.name]): (n,) for n, row in got.items()}
        for child in c.children:
            self.compare_child(c, child, c.key.given["type"], places)

    def make_keys(self, collection, table, parent_type, got):
        """The keys that docrow is to have made, of those that the rows say they hang on (which is looked at, too)."""
        for at, row in self.expected.rows[table.name].items():
            if at not in got:
                continue
            fields = dict(self.spec["documents"][collection.name][at[0]])
            above = key_bytes(base_and_dims(parent_type)[0], got[at][table.parent], plain(fields.get(b"_id")))
            row[table.made].key = made_key(table.path, above, at[-1])

    def compare_child(self, collection, table, parent_type, places):
        columns = {table.parent: parent_type, table.ordinal: "integer", **{x.name: x.given["type"] for x in table.columns}}
        if table.made:
            columns[table.made] = "uuid"
        if table.unmapped == "keep":
            columns[table.kept_in] = "jsonb"
        got = {}
        for row in self.read_table(table.name, columns):
            at = (*places.get(str(row[table.parent]), ("nowhere",)), row[table.ordinal])
            if at in got:
                self.wrong(f"{table.name} {at}: two rows")
            got[at] = row
        if table.made:
            self.make_keys(collection, table, parent_type, got)
        self.compare_rows(table.name, self.expected.rows[table.name], got)
        keys = {str(row[table.key]): at for at, row in got.items()} if table.key else {}
        for inner in table.inner:
            self.compare_child(collection, inner, "uuid", keys)

    def same_end(self, expected, got):
        """Of a pair that is one of several candidates: nothing is learned from it."""
        return self.names.fits(expected, got, learn=False) if isinstance(expected, Name5) else self.same(expected, got)

    def compare_junctions(self):
        for j in self.mapping.given.get("junctions", ()):
            types = {j[s]["column"]: self.mapping.collections[j[s]["collection"]].key.given["type"] for s in ("left", "right")}
            got = [tuple(row.values()) for row in self.read_table(j["table"], types)]
            wanted = self.expected.junctions[j["table"]]
            for pair in got:
                match = next((w for w in wanted if all(map(self.same_end, w, pair))), None)
                if match is None:
                    self.wrong(f"{j['table']}: a pair too many: {pair}")
                else:
                    wanted.remove(match)
            for pair in wanted:
                self.wrong(f"{j['table']}: no pair {pair}")

    def compare_rejects(self):
        place_of_id, place_of_document = {}, {}
        for name, list_of_them in self.spec["documents"].items():
            for n, fields in enumerate(list_of_them):
                place_of_document[name, raw_bson.document(fields)] = n
                for k, v in fields:
                    if k == b"_id":
                        place_of_id[name, raw_bson.document([(k, v)])] = n
        documents, elements = {}, collections.defaultdict(list)
        rows = self.pg.query("SELECT collection, table_name, ordinal, fault, doc_id, document, step, column_name FROM docrow.reject")
        for name, table, ordinal, fault, doc_id, document, step, column in rows:
            n = place_of_document.get((name, bytes(document or b"")), place_of_id.get((name, bytes(doc_id or b"")), "?"))
            if step is None and ordinal is not None and ordinal >= 0:
                elements[name, n, table, ordinal].append((fault, column))
            elif step is not None and any(table == j["table"] for j in self.mapping.given.get("junctions", ())):
                continue
            elif (name, n) in documents:
                self.wrong(f"{name} {n}: rejected twice")
            else:
                documents[name, n] = (fault, column)
                if (name, bytes(document or b"")) not in place_of_document:
                    self.wrong(f"{name} {n}: the reject's document is not the document")
        self.compare_faults({**self.expected.rejects, **self.expected.orphans}, documents)
        for at in self.expected.elements.keys() | elements.keys():
            wanted, got = self.expected.elements.get(at, []), elements.get(at, [])
            if len(wanted) != len(got) or any(f not in set().union(*wanted) for f, _ in got):
                self.wrong(f"{at}: elements rejected: expected {wanted}, got {got}")

    def compare_faults(self, wanted, got):
        for at in sorted(wanted.keys() | got.keys(), key=str):
            if at not in got:
                self.wrong(f"{at}: should be rejected: {wanted[at]}")
            elif at not in wanted:
                self.wrong(f"{at}: rejected for nothing: {got[at]}")
            elif got[at][0] not in wanted[at]:
                self.wrong(f"{at}: rejected by {got[at]}, expected one of {wanted[at]}")

    def compare_counts(self):
        got = collections.Counter()
        for kind, thing, path, n in self.pg.query("SELECT kind, object, path, n::bigint FROM docrow.ledger"):
            if kind in COUNTED:
                got[kind, thing, "" if kind in BY_PATH else path] += n
        wanted = collections.Counter()
        for (kind, thing, path), n in self.expected.counts.items():
            text = path.decode("utf-8", "replace") if isinstance(path, bytes) else path
            wanted[kind, thing, "" if kind in BY_PATH else text] += n
        for at in sorted(wanted.keys() | got.keys()):
            if wanted[at] != got[at]:
                self.wrong(f"ledger {at}: expected {wanted[at]}, got {got[at]}")

    def compare_findings(self):
        query = "SELECT table_name, column_name, count(*) FROM docrow.finding WHERE kind = 'invalid_replaced' GROUP BY 1, 2"
        got = {(t, c): n for t, c, n in self.pg.query(query)}
        if got != dict(self.expected.findings):
            self.wrong(f"findings: expected {dict(self.expected.findings)}, got {got}")

    def all(self):
        for c in self.mapping.collections.values():
            self.compare_collection(c)
        self.compare_junctions()
        self.compare_rejects()
        self.compare_counts()
        self.compare_findings()
        return self.problems


BY_PATH = {"unmapped", "kept", "duplicate_keys"}  # paths hold any bytes, and are told for people
COUNTED = {
    "read", "missing", "null", "undefined", "accepted", "negative_zero", "encoding", "labelled", "default_missing", "default_null",
    "default_invalid", "id_mapped", "default_undefined", "invalid", "kept", "rounded", "folded",
    "duplicate_keys", "unmapped", "elements", "element_rejected_doc",
}  # fmt: skip


class Roundtrip:
    """`mongo` None: the documents are read from a dump folder."""

    def __init__(self, folder, postgres, mongo=None):
        self.folder, self.postgres, self.mongo = folder, postgres, mongo
        self.runs = 0

    def make(self, seed, collections=3, documents=40, wide=10):
        """A mapping and documents: {"mapping": ..., "documents": {collection: [fields]}}."""
        maker = Maker(random.Random(seed), self.mongo is not None)
        given = maker.mapping(collections, wide)
        mapping = Mapping(given)
        return {"mapping": given, "documents": maker.documents(given, lambda c, key: key_forms(mapping.collections[c], key), documents)}

    def source(self, spec):
        raw = raw_documents(spec["documents"])
        if self.mongo is None:
            place = self.folder / "dump" / "db"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            for name, documents in raw.items():
                (place / f"{name}.bson").write_bytes(b"".join(documents))
                (place / f"{name}.metadata.json").write_text('{"options":{},"indexes":[],"collectionName":"%s"}' % name)
            return None, ["--source", place]
        database = MongoDatabase(self.mongo)
        for name, documents in raw.items():
            database.db.create_collection(name)
            if documents:
                # as the command itself: the driver's own checks look at documents
                database.db.command("insert", name, documents=[RawBSONDocument(d) for d in documents], ordered=True)
        return database, []

    def run(self, spec):
        """What differs, as sentences."""
        self.runs += 1
        expected = expect(spec["mapping"], spec["documents"])
        text = json.dumps(spec["mapping"], ensure_ascii=False, indent=1)
        (self.folder / "m.yaml").write_text(text, encoding="utf-8")
        pg = PostgresDatabase(self.postgres)
        database, source = self.source(spec)
        try:
            docrow = Docrow(self.folder, database, pg)
            result = docrow.run("migrate", *source, "--mapping", "./m.yaml", "--progress", "none", "--workers", "2")
            if result.status not in (0, 1):
                return [str(result)]
            if "checks hold" not in result.stdout:
                return [str(result)]
            return Check(spec, expected, pg).all()
        except psycopg.Error as e:
            return [f"{type(e).__name__}: {e}"]
        finally:
            pg.drop()
            if database is not None:
                database.drop()

    def check(self, seed, **size):
        """[] or what a person needs to see: the smallest example found."""
        spec = self.make(seed, **size)
        problems = self.run(spec)
        if not problems:
            return []
        small = shrink(spec, self.run, tries=120)
        return [
            f"seed {seed}: {len(problems)} differences, the first: {problems[0]}",
            "smallest mapping: " + json.dumps({k: v for k, v in small["mapping"].items()}, ensure_ascii=False),
            "its documents: " + repr(small["documents"]),
            *self.run(small)[:5],
        ]


def key_forms(collection, key):
    """Forms of a key that no two documents may share: in MongoDB, and as it becomes one in PostgreSQL."""
    forms = {("mongo", raw_bson.equal_form(key))}
    try:
        forms.add(("postgres", key_form(put(collection.key, key)[0])))
    except Fault:
        pass
    return forms


# --- the smallest example ---


def smaller(spec):
    """Specifications with one thing less, the big steps first."""
    mapping = spec["mapping"]
    if mapping.get("junctions"):
        yield with_mapping(spec, {k: v for k, v in mapping.items() if k != "junctions"})
    for c in mapping["collections"]:
        if len(mapping["collections"]) > 1:
            rest = [x for x in mapping["collections"] if x is not c]
            yield without_collection(spec, c["collection"], rest)
    for name, documents in spec["documents"].items():
        size = len(documents)
        while size > 1:
            size //= 2
            for at in range(0, len(documents), size):
                kept = documents[:at] + documents[at + size :]
                yield {**spec, "documents": {**spec["documents"], name: renumbered(kept)}}
        if size == 1:
            yield {**spec, "documents": {**spec["documents"], name: []}}
    yield from smaller_mappings(spec)
    yield from smaller_documents(spec)


def smaller_mappings(spec):
    mapping = spec["mapping"]
    for i, c in enumerate(mapping["collections"]):
        for key in ("children", "policies", "unmapped"):
            if key in c:
                yield with_collection(spec, i, {k: v for k, v in c.items() if k != key})
        for at in range(2, len(c["columns"])):
            yield with_collection(spec, i, {**c, "columns": c["columns"][:at] + c["columns"][at + 1 :]})
        for at in range(2, len(c["columns"])):
            for key in c["columns"][at].keys() - {"name", "type", "from"}:
                column = {k: v for k, v in c["columns"][at].items() if k != key}
                yield with_collection(spec, i, {**c, "columns": c["columns"][:at] + [column] + c["columns"][at + 1 :]})
    if "policies" in mapping:
        yield with_mapping(spec, {k: v for k, v in mapping.items() if k != "policies"})


def smaller_documents(spec):
    for name, documents in spec["documents"].items():
        for n, fields in enumerate(documents):
            for at, (key, _) in enumerate(fields):
                if key not in (b"_id", b"n"):
                    kept = fields[:at] + fields[at + 1 :]
                    yield {**spec, "documents": {**spec["documents"], name: documents[:n] + [kept] + documents[n + 1 :]}}


def renumbered(documents):
    return [[(k, ("int32", n) if k == b"n" else v) for k, v in fields] for n, fields in enumerate(documents)]


def with_mapping(spec, mapping):
    return {**spec, "mapping": mapping}


def with_collection(spec, i, collection):
    list_of_them = list(spec["mapping"]["collections"])
    list_of_them[i] = collection
    return with_mapping(spec, {**spec["mapping"], "collections": list_of_them})


def without_collection(spec, name, rest):
    tables = {c["table"] for c in rest}
    kept = [
        {**c, "columns": [x for x in c["columns"] if "references" not in x or x["references"]["table"] in tables]} for c in rest
    ]
    mapping = {k: v for k, v in spec["mapping"].items() if k != "junctions"}
    documents = {k: v for k, v in spec["documents"].items() if k != name}
    return {**spec, "mapping": {**mapping, "collections": kept}, "documents": documents}


def shrink(spec, run, tries):
    again = True
    while again and tries > 0:
        again = False
        for candidate in smaller(spec):
            tries -= 1
            if tries < 0:
                break
            if run(candidate):
                spec, again = candidate, True
                break
    return spec
