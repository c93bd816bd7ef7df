"""A NextCRM database out of nothing: seeded, so that the same arguments give the same documents.

    sample = make(docs=5000, seed=1, dirt=0.01)
    sample.insert(pymongo_database)
    sample.documents   {collection: [document, ...]}
    sample.faults      [Fault(collection, id, field, fault), ...]: what was spoilt on purpose, one fault a document

Clean documents have every type, label and link that NextCRM's own code would write: ids that point to documents of
the sample, both sides of every many-to-many, optional fields present, null or missing. Built from the facts in
tests/data/nextcrm.
"""

import argparse
import collections
import csv
import datetime
import json
import pathlib
import random

import bson
import pymongo

FACTS = pathlib.Path(__file__).resolve().parents[1] / "data" / "nextcrm"
Fault = collections.namedtuple("Fault", "collection id field fault")

# Share of each collection in all documents; those not named get a handful.
SHARES = {
    "crm_Accounts": 12,
    "crm_Leads": 12,
    "crm_Opportunities": 10,
    "crm_Contacts": 16,
    "crm_Contracts": 4,
    "Boards": 2,
    "Sections": 5,
    "Tasks": 12,
    "crm_Accounts_Tasks": 6,
    "tasksComments": 8,
    "Documents": 8,
    "Invoices": 6,
    "Users": 3,
    "Employees": 1,
    "TodoList": 1,
}
HANDFUL = 6
PEOPLE = ["Ada", "Jiří", "Zoë", "Ólafur", "Наталія", "李雷", "Amélie", "Ümit", "José", "محمد", "Σοφία", "Łukasz"]
WORDS = (
    "offer contract renewal visit call budget quarter příjem Grüße façade договір 会議 résumé naïve Ærø straße "
    "invoice partner deadline sample order 🚀 ✅ 🧾 draft final".split()
)
CITIES = ["Praha", "Brno", "München", "Київ", "Kraków", "Þorlákshöfn", "São Paulo", "東京", "Nice", "Łódź"]
START = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)


class Field:
    """One stored field, as the facts describe it."""

    def __init__(self, row, labels):
        self.collection = row["collection"]
        self.name = row["mongo_field"]
        self.type = row["bson_type"]
        self.optional = row["optional"] == "yes"
        self.unique = row["unique"] == "yes"
        self.is_pair = row["m2m_array"] == "yes"
        target = row["relation"] or row["undeclared_target"]
        self.target = target.split()[0] if target else None
        self.labels = labels.get(f"{self.collection}.{self.name}")


def read_facts():
    """{collection: [Field]} in the order of the schema."""
    labels = collections.defaultdict(list)
    for row in _rows("source-enums.tsv"):
        for user in row["used_by"].split(", "):
            labels[user].append(row["value"])
    fields = collections.OrderedDict()
    for row in _rows("source-fields.tsv"):
        fields.setdefault(row["collection"], []).append(Field(row, labels))
    return fields


def _rows(name):
    with open(FACTS / name, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


class Sample:
    def __init__(self, docs, seed, dirt):
        self.random = random.Random(f"{docs} {seed} {dirt}")
        self.fields = read_facts()
        self.ids = self._make_ids(docs)
        self.documents = {
            name: [self._document(name, i, key) for i, key in enumerate(self.ids[name])] for name in self.fields
        }
        self._link()
        self.faults = []
        if dirt:
            self._spoil(dirt)

    def insert(self, database):
        for name, documents in self.documents.items():
            database.create_collection(name)
            if documents:
                database[name].insert_many(documents, ordered=False)

    # --- clean documents ---

    def _make_ids(self, docs):
        """Ids in the order of their making: seconds grow, then 5 random bytes, then a counter, as drivers do it."""
        weight = sum(SHARES.values())
        ids = {}
        machine = self.random.randbytes(5)
        counter = self.random.randrange(1 << 23)
        for name in self.fields:
            n = max(1, docs * SHARES[name] // weight) if name in SHARES else min(HANDFUL, max(1, docs // 50))
            seconds = sorted(self.random.randrange(int(START.timestamp()), 1_790_000_000) for _ in range(n))
            ids[name] = []
            for s in seconds:
                counter = (counter + 1) % (1 << 24)
                ids[name].append(bson.ObjectId(s.to_bytes(4, "big") + machine + counter.to_bytes(3, "big")))
        return ids

    def _document(self, collection, ordinal, key):
        document = {"_id": key}
        for field in self.fields[collection][1:]:
            if field.optional and field.type[:5] != "array":
                chance = self.random.random()
                if chance < 0.12:
                    continue
                if chance < 0.22:
                    document[field.name] = None
                    continue
            document[field.name] = self._value(field, ordinal, key)
        return document

    def _value(self, field, ordinal, key):
        r = self.random
        if field.labels:
            return r.choice(field.labels)
        return {
            "ObjectId": lambda: r.choice(self.ids[field.target]) if field.target else bson.ObjectId(r.randbytes(12)),
            "string": lambda: self._text(field, ordinal, key),
            "int64": lambda: self._number(),
            "bool": lambda: r.random() < 0.5,
            "date": lambda: START + datetime.timedelta(milliseconds=r.randrange(0, 180_000_000_000)),
            "subdocument": lambda: self._json(),
            "array<string>": lambda: [r.choice(WORDS) for _ in range(r.randrange(4))],
            "array<ObjectId>": lambda: []
            if field.is_pair
            else r.sample(self.ids[field.target], min(r.randrange(3), len(self.ids[field.target]))),
        }[field.type]()

    def _text(self, field, ordinal, key):
        r = self.random
        name = field.name.lower()
        if field.unique or "email" in name:
            return f"{r.choice(PEOPLE).lower()}.{ordinal}@{key}.example"
        if field.target:
            return str(r.choice(self.ids[field.target]))
        if name in ("createdat",):
            return START.isoformat()
        if "url" in name or "website" in name or name == "avatar":
            return f"https://files.example/{key}?v={ordinal}"
        if "name" in name or name == "title":
            return f"{r.choice(PEOPLE)} {r.choice(WORDS)}"
        if "city" in name:
            return r.choice(CITIES)
        if "phone" in name or "mobile" in name or "fax" in name:
            return f"+420 {r.randrange(10**8, 10**9)}"
        if name in ("description", "content", "comment"):
            return " ".join(r.choice(WORDS) for _ in range(r.choice((0, 3, 12, 40))))
        return f"{r.choice(WORDS)} {r.randrange(1000)}"

    def _number(self):
        """Mostly 64-bit, as Prisma writes; some as older code left them: 32-bit, or a double without a fraction."""
        value = self.random.choice((0, 0, 1, 5, 100, 12_345, -1, 2**31 - 1, -(2**31)))
        return self.random.choice((bson.Int64(value), bson.Int64(value), bson.Int64(value), value, float(value)))

    def _json(self):
        r = self.random
        return r.choice(
            (
                {"color": r.choice(WORDS), "weight": r.random(), "order": bson.Int64(2**53 + r.randrange(100))},
                [{"label": r.choice(WORDS), "done": True}, None, "☃"],
                {"nested": {"deeper": [{"deepest": START}]}, "": "empty key", "a.b": 1},
                {},
            )
        )

    def _link(self):
        """Fills the arrays of many-to-many relations, each link on both sides where there are two."""
        sides = {(f.collection, f.target): f for fields in self.fields.values() for f in fields if f.is_pair}
        for (left, right), field in sides.items():
            other = sides.get((right, left))
            if other and (right, left) < (left, right):
                continue  # done from the other side
            by_key = {document["_id"]: document for document in self.documents[right]}
            for document in self.documents[left]:
                count = min(self.random.choice((0, 0, 1, 1, 2, 3)), len(by_key))
                for key in self.random.sample(self.ids[right], count):
                    document[field.name].append(key)
                    if other:
                        by_key[key][other.name].append(document["_id"])

    # --- dirt ---

    def _spoil(self, dirt):
        """Puts one fault into about `dirt` of the documents. Which faults: _spoilers, in turn."""
        everything = [d for name in self.fields for d in ((name, x) for x in self.documents[name])]
        victims = self.random.sample(everything, max(1, int(len(everything) * dirt)))
        for collection, document in victims:
            choices = [s for s in self._spoilers(collection, document)]
            fault, field, value = self.random.choice(choices)
            if value is MISSING:
                document.pop(field, None)
            else:
                document[field] = value
            self.faults.append(Fault(collection, document["_id"], field, fault))

    def _spoilers(self, collection, document):
        """(fault, field, bad value) that this document could have."""
        for field in self.fields[collection][1:]:
            name = field.name
            if field.labels:
                yield "label", name, "NO_SUCH_LABEL"
            elif field.type == "string":
                yield "nul", name, "a\0b"
                yield "type", name, {"not": "text"}
                if not field.optional:
                    yield "null", name, None
                    yield "missing", name, MISSING
            elif field.type == "int64":
                yield "range", name, bson.Int64(2**31)
                yield "inexact", name, 1.5
                yield "type", name, "seven"
            elif field.type == "date":
                yield "range", name, bson.DatetimeMS(2**62)
                yield "type", name, True
            elif field.type == "bool":
                yield "type", name, 3
            elif field.type == "ObjectId":
                yield "type", name, bson.Int64(7)
        if len(self.fields[collection]) == 1:  # ImageUpload has only an _id
            yield "unmapped", "extra", 1


MISSING = object()


def make(docs=5000, seed=1, dirt=0.0):
    return Sample(docs, seed, dirt)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uri", help="mongodb URI with the database's name")
    parser.add_argument("--docs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dirt", type=float, default=0.0)
    parser.add_argument("--faults", help="file that takes the list of what was spoilt, JSON lines")
    arguments = parser.parse_args()
    sample = make(arguments.docs, arguments.seed, arguments.dirt)
    with pymongo.MongoClient(arguments.uri) as client:
        sample.insert(client.get_default_database())
    if arguments.faults:
        with open(arguments.faults, "w", encoding="utf-8") as file:
            for fault in sample.faults:
                file.write(json.dumps(fault._replace(id=str(fault.id))._asdict()) + "\n")
    total = sum(len(documents) for documents in sample.documents.values())
    print(f"{total} documents in {len(sample.documents)} collections, {len(sample.faults)} of them spoilt on purpose")


if __name__ == "__main__":
    main()
