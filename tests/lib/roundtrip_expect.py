"""Whole documents and a whole mapping → the rows, rejects and counts that must come out. See roundtrip_oracle.py.

Every collection has a column `n`, the document's position in its list; so rows are found without their keys.
"""

import collections
import decimal
import json

from . import raw_bson
from .raw_bson import NOTHING
from .roundtrip_oracle import (
    UUID_RULES,
    Column,
    Fault,
    Json,
    Made,
    Name5,
    Pairs,
    float_bits,
    instant,
    json_tree,
    numeric_text,
    put,
    time_of_text,
)

MISSING = ("missing", None)
OF_IDS = {"hex-id", "uuid-string", "oid-document", "dbref", "any-id"}


def words_for(text, is_key=False):
    """Words of accept that mean something for a column of this type."""
    base = text.split("(")[0].split("[")[0]
    words = {
        **dict.fromkeys(["smallint", "integer", "bigint"], {"numeric-string", "bool-number"}),
        **dict.fromkeys(["real", "double precision", "numeric"], {"numeric-string", "bool-number"}),
        "boolean": {"bool-string", "bool-number"},
        **dict.fromkeys(["text", "varchar", "char", "name"], {"number-text", "json-text"}),
        "uuid": set(OF_IDS),
        **dict.fromkeys(["date", "timestamp", "timestamptz"], {"iso-string", "epoch-ms", "epoch-s", "timestamp"}),
        **dict.fromkeys(["time", "interval"], {"iso-string"}),
    }.get(base, set())
    if is_key and base in ("text", "varchar"):
        words = words | {"hex-id", "oid-document", "dbref"}
    if is_key and base == "bytea":
        words = words | {"hex-id", "oid-document", "dbref"}
    if is_key and base in ("smallint", "integer", "bigint", "numeric"):
        words = words | {"dbref"}
    return words | ({"scalar-array"} if "[]" in text or base == "vector" else set())


# --- finding a value ---


class Twice:
    """A key on the path stands twice."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def one(self, policy):
        return self if policy == "reject" else self.first if policy == "first" else self.last


def find_one(fields, path, policy):
    state = find(fields, path)
    return state.one(policy) if isinstance(state, Twice) else state


class Misplaced:
    """A value stands where the path needed a sub-document."""

    def __init__(self, value):
        self.value = value


def find(fields, path):
    found = [below(v, path[1:]) for k, v in fields if k == path[0].encode()]
    if all(x == MISSING for x in found):
        return MISSING
    if len(found) == 1:
        return found[0]
    first, last = found[0], found[-1]
    return Twice(first.first if isinstance(first, Twice) else first, last.last if isinstance(last, Twice) else last)


def below(value, rest):
    if not rest:
        return value
    if value[0] == "document":
        return find(value[1], rest)
    if value[0] in NOTHING:
        return MISSING
    if value[0] == "array" and rest[0].isdigit():
        return find([(str(i).encode(), v) for i, v in enumerate(value[1])], rest)
    return Misplaced(value)


# --- a column with its policies ---


class Counts(collections.Counter):
    def add(self, kind, object_name, path, n=1):
        self[kind, object_name, path] += n


class Row:
    """What one document or element gives one table; its counts and findings go with it."""

    def __init__(self, table):
        self.table, self.values, self.counts, self.findings = table, {}, Counts(), collections.Counter()
        self.faults = set()


def literal(column, text):
    if column.dims:
        return ((), [])
    base = column.base
    if base in ("smallint", "integer", "bigint"):
        return int(text)
    if base == "numeric":
        return numeric_text(column, decimal.Decimal(text), True, lambda kind: None)
    if base in ("real", "double precision"):
        return float_bits(column, float(text))
    if base == "boolean":
        return text == "true"
    if base in ("json", "jsonb"):
        tree = json.loads(text, object_pairs_hook=Pairs, parse_int=decimal.Decimal, parse_float=decimal.Decimal)
        return Json(tree, base == "json")
    if base in ("date", "time", "timestamp", "timestamptz"):
        return time_of_text(column, text.encode())
    if base == "bytea":
        return text[2:]
    if base in ("text", "varchar", "char", "name"):
        raw = text.encode()
        return raw + b" " * (column.length - len(text)) if base == "char" else raw
    return text


def choose(column, chain, place, row, if_null):
    """(True, value) of the first choice that gives one; (False, None): none does."""
    for choice in chain if isinstance(chain, list) else [chain]:
        if choice == "reject":
            return False, None
        if choice == "null":
            if column.nullable:
                return True, None
        elif choice == "$id_time":
            got = id_time(column, place)
            if got is not None:
                return True, got
        elif isinstance(choice, dict) and "path" in choice:
            got = other_field(column, find(place.fields, choice["path"].split(".")), row)
            if got is not None:
                return True, got
        else:
            return True, literal(column, choice["literal"] if isinstance(choice, dict) else choice)
    return if_null and column.nullable, None


def id_time(column, place):
    if place.id[0] != "objectid":
        return None
    try:
        return instant(column, int.from_bytes(place.id[1][:4], "big") * 1000)
    except Fault:
        return None


def other_field(column, state, row):
    was_twice = False
    if isinstance(state, Twice):
        state, was_twice = state.one(column.duplicate_keys), True
    if isinstance(state, (Twice, Misplaced)) or state[0] in NOTHING:
        return None
    try:
        got, counts = put(column, state)
    except Fault:
        return None
    count_column(row, column, counts)
    row.counts.add("duplicate_keys", row.table, column.name, int(was_twice))
    return got


def count_column(row, column, counts):
    for kind, n in counts.items():
        if kind != "id_mapped":
            row.counts.add(kind, row.table, column.name, n)


class Place:
    """The document or element whose fields feed a row, and the document's _id."""

    def __init__(self, fields, doc_id):
        self.fields, self.id = fields, doc_id


def put_nothing(column, kind, place, row):
    chain = column.given.get("if_missing" if kind == "missing" else "if_null", [])
    found, got = choose(column, chain, place, row, True)
    if not found:
        raise Fault("missing" if kind == "missing" else "null")
    default = f"default_{kind}"
    row.counts.add(default if got is not None else kind, row.table, column.name)
    return got


def put_state(column, state, place, row):
    if isinstance(state, Twice):
        if column.duplicate_keys == "reject" or column.is_id:
            raise Fault("duplicate_key")
        state = state.one(column.duplicate_keys)
        row.counts.add("duplicate_keys", row.table, column.name)
    if not isinstance(state, Misplaced):
        if state[0] in NOTHING and not (column.is_id and column.id_rule in UUID_RULES and state[0] != "missing"):
            return put_nothing(column, state[0], place, row)
        try:
            got, counts = put(column, state)
            count_column(row, column, counts)
            return got
        except Fault as fault:
            names = fault.names
    else:
        names = {"shape"}
    found, got = choose(column, column.given.get("if_invalid", "reject"), place, row, False)
    if not found:
        raise Fault(*names)
    row.counts.add("invalid" if got is None else "default_invalid", row.table, column.name)
    row.findings[row.table, column.name] += 1
    return got


def put_column(column, state, place, row):
    try:
        row.values[column.name] = put_state(column, state, place, row)
    except Fault as fault:
        row.faults |= fault.names


# --- the mapping ---


def inherited(given, policies, is_key, enums=()):
    """The column with the policies that it inherits, each only where it means something."""
    out = dict(given)
    nullable = not given.get("not_null") and not given.get("primary_key")
    base = given["type"].split("(")[0].split("[")[0]
    is_text = base in ("text", "varchar", "char", "name")
    for key, value in policies.items():
        if key in out:
            continue
        if key == "accept":
            out[key] = [w for w in value if w in words_for(given["type"], is_key)]
        elif key in ("if_missing", "if_null", "if_invalid"):
            if value == "reject" or nullable:
                out[key] = value
        elif key == "labels":
            if base in enums:
                out[key] = {k: v for k, v in value.items() if v in enums[base]}
        elif key == "fold_case":
            if base not in BASES or (is_text and given.get("labels")):
                out[key] = value
        elif key in ("encoding", "json", "duplicate_keys", "uuid_order"):
            out[key] = value
    return out


BASES = set(
    "boolean smallint integer bigint real numeric text varchar char name uuid bytea date time timestamp timestamptz interval json"
    " jsonb inet vector".split()
) | {"double precision"}


def unmapped_of(given, *above):
    """(report, keep or reject; the column's name): both of the nearest place that says it."""
    words = [place["unmapped"] for place in (given, *above) if "unmapped" in place]
    word = words[0] if words else "report"
    names = [w["keep"] for w in words if isinstance(w, dict)]
    return "keep" if isinstance(word, dict) else word, names[0] if names else "unmapped"


class Node:
    """Tree of the paths that the mapping names."""

    def __init__(self):
        self.children, self.covered, self.inner = {}, False, None

    def at(self, path):
        node = self
        for key in path:
            node = node.children.setdefault(key.encode(), Node())
        return node


class Table:
    """A child table: array → rows."""

    def __init__(self, given, mapping, collection, above):
        self.name, self.parent, self.ordinal = given["table"], given["parent"], given.get("ordinal")
        self.path = given["from"].split(".")
        self.columns = [mapping.column(c, collection) for c in given["columns"]]
        self.inner = [Table(c, mapping, collection, [given, *above]) for c in given.get("children", ())]
        self.takes_element = any(c.path == ["."] for c in self.columns)
        self.made = given.get("key")
        self.key = self.made or next((c.name for c in self.columns if c.given.get("primary_key")), None)
        self.node = tree_of([c for c in self.columns if c.path != ["."]], self.inner)
        self.unmapped, self.kept_in = unmapped_of(given, *above)
        if self.takes_element:
            self.node.covered, self.unmapped = True, "report"


def tree_of(columns, arrays):
    root = Node()
    for column in columns:
        root.at(column.path).covered = True
        for key in ("if_missing", "if_null", "if_invalid"):
            chain = column.given.get(key, [])
            for choice in chain if isinstance(chain, list) else [chain]:
                if isinstance(choice, dict) and "path" in choice:
                    root.at(choice["path"].split(".")).covered = True
    for array in arrays:
        root.at(array.path).inner = array
    return root


class Side:
    """A list of ids in the documents of one collection."""

    def __init__(self, junction, given, other, mapping, collection, is_left):
        self.table = self.name = junction["table"]
        self.is_left = is_left
        self.path = given["path"].split(".")
        theirs = mapping.collections[other["collection"]]
        accept = set(given.get("accept", ())) | (theirs.key.accept & OF_IDS)
        self.scalar_array = "scalar-array" in accept
        self.column = Column(
            {"name": other["column"], "type": theirs.key.given["type"], "accept": sorted(accept - {"scalar-array"}),
             "uuid_order": theirs.key.uuid_order},
            theirs.rule,
            is_reference=True,
        )  # fmt: skip
        self.node = Node()
        self.node.covered = True


class Collection:
    def __init__(self, given, mapping):
        self.given, self.name = given, given["collection"]
        self.table = given.get("table", self.name)
        self.rule = given.get("id", mapping.given.get("target", {}).get("id", "uuidv7"))
        self.policies = {**mapping.given.get("policies", {}), **given.get("policies", {})}
        key = next(c for c in given["columns"] if c.get("primary_key"))
        key = inherited(key, {k: v for k, v in self.policies.items() if k == "accept"}, True)
        if "uuid_order" in given or "uuid_order" in self.policies:
            key["uuid_order"] = given.get("uuid_order", self.policies.get("uuid_order"))
        self.key = Column(key, self.rule, is_id=True)
        self.unmapped, self.kept_in = unmapped_of(given, mapping.given)

    def settle(self, mapping):
        """Once every collection's key is known."""
        self.columns = [self.key if c.get("primary_key") else mapping.column(c, self) for c in self.given["columns"]]
        self.children = [
            Table(c, mapping, self, [self.given, mapping.given]) for c in self.given.get("children", ())
        ]
        self.sides = []
        for j in mapping.given.get("junctions", ()):
            for side, other, is_left in ((j["left"], j["right"], True), (j["right"], j["left"], False)):
                if side["collection"] == self.name and "path" in side:
                    self.sides.append(Side(j, side, other, mapping, self, is_left))
        self.node = tree_of(self.columns, self.children + self.sides)


class Mapping:
    def __init__(self, given):
        self.given = given
        self.enums = {e["name"]: e["labels"] for e in given.get("enums", ())}
        self.collections = {}
        for c in given["collections"]:
            self.collections[c["collection"]] = Collection(c, self)
        for c in self.collections.values():
            c.settle(self)

    def column(self, given, collection):
        rule, is_reference, accept = None, False, set()
        reference = given.get("references")
        if reference:
            theirs = next(c for c in self.collections.values() if c.table == reference["table"])
            rule, is_reference, accept = theirs.rule, True, theirs.key.accept & OF_IDS
        full = inherited(given, collection.policies, is_reference, self.enums)
        full["accept"] = sorted(set(full.get("accept", ())) | (accept & words_for(given["type"], is_reference)))
        if is_reference:
            full["uuid_order"] = theirs.key.uuid_order
        full["enum"] = self.enums.get(given["type"].split("[")[0])
        return Column(full, rule, is_reference=is_reference)


# --- documents ---


class Expected:
    def __init__(self, mapping):
        self.mapping = mapping
        self.counts, self.findings = Counts(), collections.Counter()
        self.rows = collections.defaultdict(dict)  # table → {n, or (n, ordinal, ...): values}
        self.rejects = {}  # (collection, n) → faults
        self.elements = collections.defaultdict(list)  # (collection, n, table, ordinal) → [faults]
        self.pairs = collections.defaultdict(lambda: {True: [], False: []})  # junction → side → [(left, right)]


class Document:
    """One document on its way: everything is kept apart until it is sure that it goes through."""

    def __init__(self, expected, collection, n, fields):
        self.expected, self.collection, self.n, self.fields = expected, collection, n, fields
        self.counts, self.findings, self.rows, self.faults = Counts(), collections.Counter(), [], set()
        self.elements, self.pairs = [], []
        self.of_rejected = Counts()
        self.duplicate_keys = collection.policies.get("duplicate_keys", "reject")

    def convert(self):
        doc_id = find(self.fields, ["_id"])
        self.place = Place(self.fields, doc_id if not isinstance(doc_id, Twice) else doc_id.first)
        if doc_id == MISSING:
            self.faults.add("no_id")
        row = self.fill(self.collection.table, self.collection.columns, self.place)
        self.walk_unmapped(row)
        if row.faults:
            self.faults |= row.faults
        else:
            self.keep(row, self.n)
        self.key = row.values.get(self.collection.key.name)
        self.arrays(self.collection.children, self.fields, self.key, (self.n,))
        for side in self.collection.sides:
            self.side(side)
        self.finish()

    def fill(self, table, columns, place, element=None):
        row = Row(table)
        for column in columns:
            state = element if column.path == ["."] else find(place.fields, column.path) if place.fields is not None else None
            if state is None:
                state = MISSING if element[0] in NOTHING else misplaced_or_position(element, column.path)
            put_column(column, state, place, row)
        return row

    def keep(self, row, at):
        self.rows.append((row.table, at, row.values))
        self.counts.update(row.counts)
        self.findings.update(row.findings)

    # unmapped fields

    def walk_unmapped(self, row):
        self.leave(self.collection, self.fields, b"", row)
        if self.place.id[0] != "missing" and self.collection.rule in UUID_RULES:
            try:
                got, counts = put(self.collection.key, self.place.id)
                self.counts.add("id_mapped", self.collection.name, b"", counts["id_mapped"])
            except Fault:
                pass

    def leave(self, place, fields, prefix, row):
        """What no column of a collection or child table takes."""
        paths = collections.Counter()
        rest = self.unmapped_of(place.node, fields, prefix, paths)
        if paths and place.unmapped == "reject":
            row.faults.add("unmapped")
        if place.unmapped == "keep":
            column = Column({"name": place.kept_in, "type": "jsonb", **leftover_policies(self.collection.policies)})
            try:
                got, counts = put(column, ("document", rest)) if rest else (None, {"missing": 1})
                row.values[column.name] = got
                count_column(row, column, counts)
            except Fault as fault:
                row.faults |= fault.names
        kind = "kept" if place.unmapped == "keep" else "unmapped"
        row.counts.update({(kind, self.collection.name, path): n for path, n in paths.items()})

    def unmapped_of(self, node, fields, prefix, paths, elements_of=None):
        """Fields (or, of an array, elements) that no path names, counted in paths; those to be kept are returned."""
        left = []
        for key, value in fields:
            child = node.children.get(key)
            if child is None:
                if not node.covered:
                    paths[prefix + key if elements_of is None else elements_of] += 1
                    left.append((key, value))
                continue
            child_covered = node.covered or child.covered
            if child.children and value[0] in ("document", "array") and not child_covered:
                if value[0] == "array" and not any(k.isdigit() for k in child.children):
                    continue
                is_list = value[0] == "array"
                inner = [(str(i).encode(), v) for i, v in enumerate(value[1])] if is_list else value[1]
                rest = self.unmapped_of(child, inner, prefix + key + b".", paths, prefix + key if is_list else None)
                if rest:
                    left.append((key, ("document", rest)))
        return left

    # arrays

    def arrays(self, tables, fields, key, at):
        for table in tables:
            state = self.array_at(fields, table)
            if isinstance(state, (Twice, Misplaced)) or state[0] not in NOTHING | {"array"}:
                self.faults |= {"shape", "duplicate_key"} if isinstance(state, Twice) else {"shape"}
                continue
            if state[0] == "array":
                self.counts.add("elements", table.name, self.collection.name, len(state[1]))
                for i, element in enumerate(state[1]):
                    self.element(table, element, i, key, at)

    def element(self, table, element, i, key, at):
        if not table.takes_element and element[0] != "document" and table.node.children:
            row = Row(table.name)
            row.faults.add("element_null" if element[0] in NOTHING else "element_invalid")
        else:
            place = Place(element[1] if element[0] == "document" else None, self.place.id)
            row = self.fill(table.name, table.columns, place, element)
            if element[0] == "document":
                self.leave(table, element[1], ".".join(self.path_of(table)).encode() + b".", row)
            else:
                self.leave(table, [], b"", row)
        if row.faults:
            self.elements.append((table.name, i, row.faults))
            self.count_lost(table.inner, element)
            return
        own = {table.parent: key, **({table.ordinal: i} if table.ordinal else {}), **({table.made: Made(table.path, i)} if table.made else {})}
        row.values = {**own, **row.values}
        self.keep(row, (*at, i))
        if element[0] == "document":
            self.arrays(table.inner, element[1], row.values.get(table.key), (*at, i))

    def path_of(self, table):
        def search(tables, before):
            for t in tables:
                if t is table:
                    return [*before, *t.path]
                found = search(t.inner, [*before, *t.path])
                if found:
                    return found
            return None

        return search(self.collection.children, [])

    def count_lost(self, tables, element):
        """Arrays inside an element that was rejected."""
        for table in tables:
            state = find_one(element[1], table.path, self.duplicate_keys) if element[0] == "document" else MISSING
            if not isinstance(state, (Twice, Misplaced)) and state[0] == "array":
                self.of_rejected.add("elements", table.name, self.collection.name, len(state[1]))
                self.of_rejected.add("element_rejected_doc", table.name, self.collection.name, len(state[1]))
                for inner in state[1]:
                    self.count_lost(table.inner, inner)

    def array_at(self, fields, array):
        state = find(fields, array.path)
        if isinstance(state, Twice) and self.duplicate_keys != "reject":
            self.counts.add("duplicate_keys", array.name, "")
            state = state.one(self.duplicate_keys)
        return state

    def side(self, side):
        state = self.array_at(self.fields, side)
        if isinstance(state, Twice):
            self.faults.add("duplicate_key")
            return
        if isinstance(state, Misplaced):
            self.faults.add("shape")
            return
        if state[0] in NOTHING:
            return
        if state[0] != "array" and not side.scalar_array:
            self.faults.add("shape")
            return
        if state[0] != "array":
            self.counts.add("accepted", side.table, side.column.name)
        items = state[1] if state[0] == "array" else [state]
        self.counts.add("elements", side.table, self.collection.name, len(items))
        for i, item in enumerate(items):
            self.pair(side, item, i)

    def pair(self, side, item, i):
        if item[0] in NOTHING:
            self.elements.append((side.table, i, {"element_null"}))
            return
        try:
            got, counts = put(side.column, item)
        except Fault:
            self.elements.append((side.table, i, {"element_invalid"}))
            return
        for kind, n in counts.items():
            self.counts.add(kind, side.table, side.column.name, n)
        self.pairs.append((side.table, side.is_left, got))

    # the end

    def finish(self):
        e = self.expected
        e.counts.add("read", self.collection.name, b"")
        if self.faults:
            e.rejects[self.collection.name, self.n] = self.faults
            self.lose_elements()
            return
        for kind in (self.counts, self.of_rejected):
            e.counts.update(kind)
        e.findings.update(self.findings)
        for table, at, values in self.rows:
            e.rows[table][at] = values
        for table, i, faults in self.elements:
            e.elements[self.collection.name, self.n, table, i].append(faults)
        for table, is_left, got in self.pairs:
            e.pairs[table][is_left].append((self.key, got) if is_left else (got, self.key))

    def lose_elements(self):
        self.of_rejected = Counts()
        self.count_lost(self.collection.children, ("document", self.fields))
        for side in self.collection.sides:
            state = find_one(self.fields, side.path, self.duplicate_keys)
            n = 0
            if not isinstance(state, (Twice, Misplaced)) and state[0] not in NOTHING:
                n = len(state[1]) if state[0] == "array" else int(side.scalar_array)
            self.of_rejected.add("elements", side.table, self.collection.name, n)
            self.of_rejected.add("element_rejected_doc", side.table, self.collection.name, n)
        self.expected.counts.update(self.of_rejected)


def misplaced_or_position(element, path):
    return below(element, path)


def leftover_policies(policies):
    return {k: v for k, v in policies.items() if k in ("encoding", "json", "duplicate_keys")}


# --- what settling does ---


def settle_orphans(expected):
    """Until nothing changes: rows whose reference points to no row go or give the reference up; children go along."""
    mapping = expected.mapping
    references = [
        (c, column, next(t for t in mapping.collections.values() if t.table == column.given["references"]["table"]))
        for c in mapping.collections.values()
        for column in c.columns
        if column.given.get("references")
    ]
    expected.orphans = {}
    changed = True
    while changed:
        changed = False
        keys = {c.name: {key_form(r[c.key.name]) for r in expected.rows[c.table].values()} for c in mapping.collections.values()}
        for c, column, theirs in references:
            for n, values in list(expected.rows[c.table].items()):
                got = values[column.name]
                if got is None or key_form(got) in keys[theirs.name]:
                    continue
                policy = column.given["references"].get("if_orphan", "reject")
                if policy == "null":
                    values[column.name] = None
                    changed = True
                elif policy == "reject":
                    expected.orphans[c.name, n] = {"orphan"}
                    remove_row(expected, c.children, c.table, n)
                    changed = True


def key_form(value):
    return ("name", value.form) if isinstance(value, Name5) else ("json", repr(value)) if isinstance(value, Json) else value


def remove_row(expected, children, table, n):
    del expected.rows[table][n]
    below_it = n if isinstance(n, tuple) else (n,)
    for child in children:
        for at in [at for at in expected.rows[child.name] if at[: len(below_it)] == below_it]:
            if len(at) == len(below_it) + 1:
                remove_row(expected, child.inner, child.name, at)


def settle_pairs(expected):
    mapping = expected.mapping
    expected.junctions = {}
    for j in mapping.given.get("junctions", ()):
        left, right = (mapping.collections[j[s]["collection"]] for s in ("left", "right"))
        keys = [{key_form(r[c.key.name]) for r in expected.rows[c.table].values()} for c in (left, right)]
        sides = expected.pairs[j["table"]]
        found = [{(key_form(a), key_form(b)): (a, b) for a, b in sides[s]} for s in (True, False)]
        how = j.get("sides", "union")
        wanted = {
            "union": found[0].keys() | found[1].keys(),
            "intersect": found[0].keys() & found[1].keys(),
            "left": found[0].keys(),
            "right": found[1].keys(),
        }[how]
        both = {**found[0], **found[1]}
        keep = j.get("if_orphan") == "keep"
        expected.junctions[j["table"]] = [
            both[p] for p in wanted if keep or (p[0] in keys[0] and p[1] in keys[1])
        ]


def expect(mapping_given, documents):
    """documents: {collection: [fields]}; `n` stands in each of them."""
    expected = Expected(Mapping(mapping_given))
    for name, list_of_them in documents.items():
        for n, fields in enumerate(list_of_them):
            Document(expected, expected.mapping.collections[name], n, fields).convert()
    settle_orphans(expected)
    settle_pairs(expected)
    return expected


def raw_documents(documents):
    return {name: [raw_bson.document(fields) for fields in list_of_them] for name, list_of_them in documents.items()}
