"""docrow synth on a real MongoDB, read back with PyMongo: the server gets what the folder gets, byte for byte."""

import collections
import csv
import gzip
import pathlib
import re

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from lib.program import ROOT

RAW = CodecOptions(document_class=RawBSONDocument)
# Dates beyond Python's years stay numbers.
ANY_DATE = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
EVERYTHING = ROOT / "tests" / "data" / "everything.yaml"


@pytest.fixture
def synth(make_docrow):
    docrow = make_docrow()

    def run(*arguments, mapping="nextcrm", status=0):
        return docrow.run("synth", "--mapping", mapping, *arguments, status=status)

    run.folder = docrow.folder
    return run


def folder_bytes(folder):
    """{collection: bytes of its documents}"""
    (database,) = pathlib.Path(folder).iterdir()
    return {path.stem: path.read_bytes() for path in database.glob("*.bson")}


def server_bytes(mongo):
    """The same out of the server, in order of insertion."""
    found = {}
    for name in mongo.db.list_collection_names():
        documents = mongo.db.get_collection(name, codec_options=RAW).find()
        found[name] = collections.Counter(d.raw for d in documents)
    return found


def split(data):
    """The documents of a .bson file, raw."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield data[at : at + size]
        at += size


def faults(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("mapping", ["nextcrm", EVERYTHING])
def test_server_and_folder_get_the_same(synth, mongo, mapping):
    arguments = ["--docs", 6000, "--seed", 9, "--dirt", "5%"]
    synth(*arguments, "--to", synth.folder / "dump", "--dirt-list", synth.folder / "a.tsv", mapping=mapping)
    synth(*arguments, "--to", mongo.uri, "--dirt-list", synth.folder / "b.tsv", mapping=mapping)
    in_folder = folder_bytes(synth.folder / "dump")
    in_server = server_bytes(mongo)
    assert sum(len(list(split(data))) for data in in_folder.values()) == 6000
    for name, data in in_folder.items():
        assert in_server.pop(name, collections.Counter()) == collections.Counter(split(data)), name
    assert not in_server
    listed = faults(synth.folder / "a.tsv")
    assert listed == faults(synth.folder / "b.tsv")
    assert 200 < len(listed) < 400


def test_many_to_many_and_references(synth, mongo):
    synth("--docs", 8000, "--to", mongo.uri)
    db = mongo.db
    ids = {name: set(db[name].distinct("_id")) for name in ("Users", "crm_Accounts", "Tasks", "crm_Accounts_Tasks")}

    def pairs(name, field):
        found = [(d["_id"], other) for d in db[name].find({field: {"$ne": []}}, {field: 1}) for other in d.get(field) or []]
        assert len(found) == len(set(found))
        return {(own, bson.ObjectId(other)) for own, other in found}

    watched = pairs("crm_Accounts", "watchers")
    assert watched and watched == {(account, user) for user, account in pairs("Users", "watching_accountsIDs")}
    owners = {bson.ObjectId(i) for i in db["Boards"].distinct("user")}
    assert owners and owners <= ids["Users"]
    tasks = {bson.ObjectId(i) for i in db["tasksComments"].distinct("task")}
    assert tasks & ids["Tasks"] and tasks & ids["crm_Accounts_Tasks"]
    assert tasks <= ids["Tasks"] | ids["crm_Accounts_Tasks"]
    emails = [d["email"] for d in db["Users"].find({}, {"email": 1})]
    assert len(emails) == len(set(emails)) > 50


def test_dirt_is_what_the_list_says(synth, mongo):
    """A few kinds, looked up without docrow."""
    listed = synth.folder / "faults.tsv"
    synth("--docs", 20000, "--dirt", "2%", "--dirt-list", listed, "--to", mongo.uri)
    by_kind = collections.defaultdict(list)
    for line in faults(listed):
        by_kind[line["fault"]].append(line)

    def document(line):
        return mongo.db.get_collection(line["collection"], codec_options=RAW).find_one(bson.ObjectId(line["_id"]))

    for line in by_kind["null"]:
        assert document(line)[line["path"]] is None
    for line in by_kind["missing"]:
        assert line["path"] not in document(line)
    for line in by_kind["duplicate_key"]:
        keys = re.findall(rb"[\x01-\x13]" + re.escape(line["path"].encode()) + rb"\0", document(line).raw)
        assert len(keys) >= 2
    for line in by_kind["unmapped"]:
        assert line["path"] in document(line)
    for line in by_kind["duplicate"]:
        value = document(line)[line["path"]]
        assert mongo.db[line["collection"]].count_documents({line["path"]: value}) > 1
    for line in by_kind["utf8"]:
        with pytest.raises(bson.errors.InvalidBSON):
            bson.decode(document(line).raw, codec_options=ANY_DATE)
    assert all(by_kind[k] for k in ("null", "missing", "duplicate_key", "unmapped", "duplicate", "utf8"))


def test_what_is_there_is_not_overwritten(synth, mongo):
    target = synth.folder / "dump"
    synth("--docs", 200, "--to", mongo.uri)
    synth("--docs", 200, "--to", target)
    before = server_bytes(mongo), folder_bytes(target)
    for to in (mongo.uri, target):
        result = synth("--docs", 300, "--to", to, status=2)
        assert "already" in result.stderr
    assert before == (server_bytes(mongo), folder_bytes(target))
    synth("--docs", 300, "--to", mongo.uri, "--replace")
    assert sum(mongo.db[n].count_documents({}) for n in mongo.db.list_collection_names()) == 300


def test_packed_files(synth):
    synth("--docs", 9000, "--to", synth.folder / "plain")
    synth("--docs", 9000, "--to", synth.folder / "packed", "--gzip")
    (database,) = (synth.folder / "packed").iterdir()
    for name, data in folder_bytes(synth.folder / "plain").items():
        assert gzip.decompress((database / f"{name}.bson.gz").read_bytes()) == data
    assert b'"collectionName":"Users"' in gzip.decompress((database / "Users.metadata.json.gz").read_bytes())


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--docs", "Nobody=3", "--to", "x"], 2, "no collection Nobody"),
        (["--docs", "100", "--docs", "Users=0", "--to", "x"], 2, "needs documents of Users"),
        (["--docs", "100", "--to", "no/such/folder"], 2, "cannot make the folder"),
        (["--docs", "100", "--to", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"], 3, "cannot be reached"),
        (["--docs", "100", "--to", "mongodb://"], 3, "not understood"),
    ],
)
def test_refusals(synth, arguments, status, words):
    result = synth(*arguments, status=status)
    assert words in result.stderr


def test_a_clean_sample_moves_without_a_reject(docrow, mongo, pg15):
    docrow.run("synth", "--mapping", "nextcrm", "--to", mongo.uri, "--docs", 6000, status=0)
    docrow.run("migrate", "--mapping", "nextcrm", status=0)
    assert pg15.one("SELECT count(*) FROM docrow.reject") == 0
    moved = pg15.query("SELECT DISTINCT kind FROM docrow.finding")
    assert moved == [("orphan_moved",)]  # tasksComments.task, whose ids are of two collections
    assert pg15.one("""SELECT sum(n) FROM docrow.ledger WHERE kind = 'read'""") == 6000


def test_every_listed_fault_is_found(docrow, mongo, pg15):
    """Each line of the list has its reject or finding in the target, or its count in the ledger."""
    listed = docrow.folder / "faults.tsv"
    arguments = ["--docs", 20000, "--dirt", "2%", "--dirt-list", listed]
    docrow.run("synth", "--mapping", "nextcrm", "--to", mongo.uri, *arguments, status=0)
    docrow.run("migrate", "--mapping", "nextcrm", status=1)

    def by_document(rows):
        found = collections.defaultdict(set)
        for collection, document, what in rows:
            found[collection, re.sub(r'^\{"\$oid":"(.*)"\}$', r"\1", document)].add(what)
        return found

    rejects = by_document(pg15.query("SELECT collection, doc_id_text, fault FROM docrow.reject"))
    findings = by_document(pg15.query("SELECT collection, doc_id_text, kind FROM docrow.finding"))
    counted = dict(pg15.query("SELECT kind, sum(n)::int FROM docrow.ledger GROUP BY kind"))
    lines = faults(listed)
    kinds = collections.Counter(line["fault"] for line in lines)
    on_reading = {"type", "label", "nul", "utf8", "missing", "null", "range", "inexact", "format", "shape"}
    on_reading |= {"duplicate_key", "element_null", "element_invalid", "duplicate"}
    in_findings = {"pair_one_sided": {"one_sided", "orphan_pair"}, "pair_dangling": {"orphan_pair"}}
    in_findings["orphan"] = {"orphan_null", "orphan_moved"}
    for line in lines:
        where, kind = (line["collection"], line["_id"]), line["fault"]
        if kind in on_reading:
            assert kind in rejects[where], line
        elif kind in in_findings:
            # A document that went with its parent takes its links along.
            assert "orphan" in rejects[where] or in_findings[kind] & findings[where], line
    assert counted["unmapped"] == kinds["unmapped"] > 0
    assert counted["pair_repeat"] == kinds["pair_repeat"] > 0
    assert on_reading | set(in_findings) <= set(kinds)
