"""The whole NextCRM job on PostgreSQL 15, 16 (with pgvector) and 18: the catalog against the facts of the target, and
rows, rejects, findings and ledger of a clean and a dirty database against what lib/nextcrm_oracle.py says must come
out. Each server takes one migration of each; the tests look at it from several sides."""

import collections
import json
import types

import bson
import pytest

from lib import nextcrm_dirt, nextcrm_oracle, nextcrm_sample, program
from lib.databases import MongoDatabase, PostgresDatabase

DOCUMENTS = 3000
MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"


@pytest.fixture(scope="module")
def source(mongo_server):
    """The two databases and what must come out of them."""
    made = types.SimpleNamespace()
    for name, dirt in (("clean", 0.0), ("dirty", 0.04)):
        sample = nextcrm_sample.make(DOCUMENTS, seed=11, dirt=dirt)
        if dirt:
            made.spoilt = nextcrm_dirt.spoil(sample, seed=11)
        mongo = MongoDatabase(mongo_server)
        sample.insert(mongo.db)
        setattr(made, name, mongo)
        want = nextcrm_oracle.predict(nextcrm_oracle.read_all(mongo.db))
        want.raw = nextcrm_oracle.read_raw(mongo.db)
        setattr(made, f"{name}_want", want)
    yield made
    made.clean.drop()
    made.dirty.drop()


@pytest.fixture(scope="module", params=["debian", "16", "18"])
def moved(request, source, postgres_servers, tmp_path_factory):
    """Both databases, moved to one server."""
    done = types.SimpleNamespace(kind=request.param, source=source)
    for name, status, options in (("clean", 0, ["--no-search-indexes"]), ("dirty", 1, [])):
        pg = PostgresDatabase(postgres_servers(request.param))
        if request.param == "16":
            with pg.admin() as admin:
                admin.execute("CREATE EXTENSION vector")
        job = program.Docrow(tmp_path_factory.mktemp(name), getattr(source, name), pg)
        result = job.run("migrate", "--mapping", MAPPING, "--batch-size", "97", *options, status=status)
        setattr(done, name, pg)
        setattr(done, f"{name}_result", result)
    yield done
    done.clean.drop()
    done.dirty.drop()


# --- the order of loading ---

PHASES = {
    "lookups": "crm_Industry_Type crm_Opportunities_Type crm_Opportunities_Sales_Stages Documents_Types invoice_States"
    " system_Modules_Enabled modulStatus systemServices gpt_models",
    "core": "Users MyAccount Employees ImageUpload TodoList",
    "CRM": "crm_campaigns crm_Accounts crm_Contacts crm_Leads crm_Contracts crm_Opportunities",
    "tasks and boards": "Boards Sections Tasks crm_Accounts_Tasks tasksComments",
    "documents and invoices": "Documents Invoices",
    "integrations": "secondBrain_notions openAi_keys",
    "junctions": "DocumentsToInvoices DocumentsToOpportunities DocumentsToContacts DocumentsToTasks"
    " DocumentsToCrmAccountsTasks DocumentsToLeads DocumentsToAccounts AccountWatchers BoardWatchers"
    " ContactsToOpportunities",
}


def test_phases(docrow):
    shown = docrow.run("mapping", "show", MAPPING, "--phases", status=0).stdout
    assert shown.splitlines()[3].startswith("phase 4, tasks and boards: Boards, crm_Accounts_Tasks; then Sections; then Tasks")
    phases = json.loads(docrow.run("mapping", "show", MAPPING, "--phases", "--json", status=0).stdout)["phases"]
    assert [phase["name"] for phase in phases] == list(PHASES)
    for number, phase in enumerate(phases, 1):
        assert phase["phase"] == number
        assert sorted(sum(phase["steps"], [])) == sorted(PHASES[phase["name"]].split())
    step_of = {table: at for at, step in enumerate(step for phase in phases for step in phase["steps"]) for table in step}
    for key in nextcrm_oracle.facts("target-foreign-keys.tsv"):
        assert step_of[key["ref_table"]] < step_of[key["table"]]


def test_a_phase_that_a_foreign_key_forbids(docrow):
    text = MAPPING.read_text()
    wrong = docrow.folder / "wrong.yaml"
    wrong.write_text(text.replace("[Users, MyAccount,", "[MyAccount,").replace("[Documents, Invoices]", "[Documents, Invoices, Users]"))
    result = docrow.run("mapping", "check", wrong, status=2)
    assert "9 errors" in result.stderr
    assert (
        'table "Boards" cannot load in phase "tasks and boards": foreign key Boards_user_fkey of table "Boards" refers to'
        ' "Users", which loads in phase "documents and invoices"' in result.stdout
    )


def test_loading_goes_by_the_phases(moved, docrow):
    steps = dict(moved.clean.query("SELECT collection, min(load_step) FROM docrow.chunk GROUP BY collection"))
    for key in nextcrm_oracle.facts("target-foreign-keys.tsv"):
        if key["table"] in steps:
            assert steps[key["ref_table"]] < steps[key["table"]]
    assert "order of loading: " + ", ".join(list(PHASES)[:-1]) + "\n" in moved.clean_result.stderr
    listed = json.loads(docrow.run("status", "--json", "--target", moved.clean.uri, status=0).stdout)["collections"]
    assert [c["load_phase"] for c in listed] == [name for name, tables in PHASES.items() for t in tables.split() if t in steps]
    assert all(c["collection"] in PHASES[c["load_phase"]].split() for c in listed)


# --- the catalog ---


def spelled(pg_type):
    """A type of the facts as format_type writes it."""
    known = {"TIMESTAMP(3)": "timestamp(3) without time zone"}
    base, array = pg_type.removesuffix("[]"), pg_type[-2:] == "[]"
    name = known.get(base, base.lower() if base.isupper() else base if base.islower() else f'"{base}"')
    return name + ("[]" if array else "")


def plain_default(text):
    """'ACTIVE'::"taskStatus" → 'ACTIVE'"""
    return (text or "").split("::")[0]


def test_columns_are_those_of_the_target(moved):
    want = collections.defaultdict(list)
    for row in nextcrm_oracle.facts("target-columns.tsv"):
        nullable = row["nullable"] == "yes" or (row["table"], row["column"]) == ("tasksComments", "task")
        want[row["table"]].append((row["column"], spelled(row["pg_type"]), nullable, row["default"]))
    got = collections.defaultdict(list)
    for table, column, pg_type, not_null, default in moved.clean.query(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) ="
        " (a.attrelid, a.attnum) WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
        " AND NOT a.attisdropped ORDER BY c.relname, a.attnum"
    ):
        got[table].append((column, pg_type, not not_null, plain_default(default)))
    assert sum(len(columns) for columns in want.values()) == 410
    assert dict(got) == dict(want)


def test_enums_and_their_labels(moved):
    want = collections.defaultdict(list)
    for row in nextcrm_oracle.facts("target-enums.tsv"):
        want[row["enum"]].append(row["value"])
    got = dict(
        moved.clean.query(
            "SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e JOIN pg_type t ON"
            " t.oid = e.enumtypid WHERE t.typnamespace = 'public'::regnamespace GROUP BY 1"
        )
    )
    assert len(got) == 10 and got == dict(want)


INDEXES = (
    "SELECT c.relname::text, t.relname::text, i.indisunique, am.amname::text, (SELECT array_agg(a.attname::text ORDER BY"
    " k.n) FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n) JOIN pg_attribute a ON (a.attrelid, a.attnum) ="
    " (i.indrelid, k.attnum)), i.indpred IS NOT NULL, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON"
    " c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am am ON am.oid = c.relam WHERE"
    " t.relnamespace = 'public'::regnamespace AND i.indisvalid AND i.indisprimary = %s"
)


def test_keys_and_indexes(moved):
    keys = moved.clean.query(INDEXES, True)
    tables = {row["table"]: [] for row in nextcrm_oracle.facts("target-columns.tsv")}
    for row in nextcrm_oracle.facts("target-columns.tsv"):
        if row["primary_key"] == "yes":
            tables[row["table"]].append(row["column"])
    assert len(keys) == 39
    assert {k[1]: k[4] for k in keys} == tables
    assert all(name == f"{table}_pkey" for name, table, *_ in keys)
    want = {
        (r["index_name"], r["table"], r["unique"] == "yes", r["method"], tuple(r["columns"].split(",")))
        for r in nextcrm_oracle.facts("target-indexes.tsv")
    }
    got = {(*row[:4], tuple(row[4])) for row in moved.clean.query(INDEXES, False)}
    assert len(want) == 121 and got == want  # this run had --no-search-indexes


def test_search_indexes(moved):
    """The 14 of the third tier, beside the 121."""
    ordinary = {r["index_name"] for r in nextcrm_oracle.facts("target-indexes.tsv")}
    got = {row[0]: row for row in moved.dirty.query(INDEXES, False) if row[0] not in ordinary}
    assert len(moved.dirty.query(INDEXES, False)) == 121 + 14
    for row in nextcrm_oracle.facts("spec-only-indexes.tsv"):
        names = row["columns"].split(",")
        suffix = {"full-text": "fts", "array": "gin", "jsonb": "gin"}.get(row["kind"], "active")
        _, table, unique, method, columns, partial, definition = got.pop("_".join([row["table"], *names, suffix, "idx"]))
        assert (table, unique, method) == (row["table"], False, row["method"])
        assert partial == (suffix == "active")
        if suffix == "fts":
            assert "to_tsvector('simple'::regconfig" in definition and all(name in definition for name in names)
        else:
            assert columns == names
    assert not got


def test_foreign_keys(moved):
    actions = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
    want = {
        (r["constraint_name"], r["table"], r["columns"], r["ref_table"], r["ref_columns"], r["on_delete"], r["on_update"])
        for r in nextcrm_oracle.facts("target-foreign-keys.tsv")
    }
    assert len(want) == 52
    for pg in (moved.clean, moved.dirty):
        rows = pg.query(
            "SELECT k.conname::text, c.relname::text, a.attname::text, p.relname::text, b.attname::text,"
            " k.confdeltype::text, k.confupdtype::text, k.convalidated FROM pg_constraint k JOIN pg_class c ON"
            " c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid JOIN pg_attribute a ON (a.attrelid, a.attnum) ="
            " (k.conrelid, k.conkey[1]) JOIN pg_attribute b ON (b.attrelid, b.attnum) = (k.confrelid, k.confkey[1])"
            " WHERE k.contype = 'f'"
        )
        assert {(*r[:5], actions[r[5]], actions[r[6]]) for r in rows} == want
        assert all(r[7] for r in rows)


# --- rows, rejects, findings, ledger ---


def differences(got, want):
    """Short and readable, of two sets or counters."""
    got, want = collections.Counter(got), collections.Counter(want)
    return {"only docrow": list((got - want).items())[:20], "only expected": list((want - got).items())[:20]}


def same(got, want):
    assert collections.Counter(got) == collections.Counter(want), differences(got, want)


@pytest.fixture(params=["clean", "dirty"])
def database(request, moved):
    pg, want = getattr(moved, request.param), getattr(moved.source, f"{request.param}_want")
    return pg, want, request.param


def test_rows(database):
    pg, want, _ = database
    assert set(pg.tables()) == set(want.rows)
    for table, rows in want.rows.items():
        got = pg.query(f'SELECT * FROM "{table}"')
        same((nextcrm_oracle.frozen_row(row) for row in got), rows)


def value_in(document, name):
    return bson.decode(bytes(document))[name]


def test_rejects_are_whole_and_say_why(database):
    pg, want, kind = database
    got, elements = {}, collections.Counter()
    for collection, table, column, fault, doc_id, document, ordinal, row_text, message in pg.query(
        "SELECT collection, table_name, column_name, fault, doc_id, document, ordinal, row_text, message FROM docrow.reject"
    ):
        _id = value_in(doc_id, "_id")
        if ordinal is not None and ordinal >= 0:
            elements[table, collection, _id, fault] += 1
            continue
        assert (collection, _id) not in got
        got[collection, _id] = (fault, column)
        if document is not None:
            assert bytes(document) == want.raw[collection, _id]  # byte for byte as MongoDB has it
        else:
            assert row_text and message
    assert bool(got) == (kind == "dirty")
    same(((key, fault) for key, (fault, _) in got.items()), ((key, fault) for key, (fault, _) in want.rejects.items()))
    for key, (_, column) in got.items():
        assert column in want.rejects[key][1], key
    same(elements, want.elements)


def test_findings(database):
    pg, want, _ = database
    got = collections.Counter(
        (kind, table, column, key, value_in(value, "v"))
        for kind, table, column, key, value in pg.query(
            "SELECT kind, table_name, column_name, key, value FROM docrow.finding"
        )
    )
    same(got, want.findings)


def ledger_of(pg):
    return {(kind, object_, path): n for kind, object_, path, n in pg.query(
        "SELECT kind, object, path, n::bigint FROM docrow.ledger WHERE kind <> 'bytes'")}


def test_ledger_is_what_was_counted_independently(database):
    pg, want, _ = database
    same(ledger_of(pg), want.ledger)


def test_identities(database):
    """Promise 2, of the ledger alone and of the tables beside it."""
    pg, want, _ = database
    sums = collections.Counter()
    for (kind, object_, _), n in ledger_of(pg).items():
        sums[kind, object_] += n
    for collection in want.tables:
        assert sums["read", collection] == sums["rows", collection] + sums["reject", collection]
        assert sums["read", collection] == len(want.documents[collection]) == sums["source", collection]
        assert pg.one(f'SELECT count(*) FROM "{collection}"') == sums["rows", collection] - sums["reject_row", collection]
    for junction in want.sides:
        assert sums["elements", junction] == sum(
            sums[kind, junction]
            for kind in ("pairs", "pair_repeat", "pair_mirrored", "pair_sides", "reject_element", "element_rejected_doc")
        )
        assert sums["pairs", junction] == sums["rows", junction] + sums["pair_orphan", junction]
        assert pg.one(f'SELECT count(*) FROM "{junction}"') == sums["rows", junction]


def test_the_dirty_database_holds_every_fault(source):
    """What the oracle expects is worth something only if it expects a lot."""
    want = source.dirty_want
    kinds = {kind for kind, _, _ in want.ledger}
    assert kinds >= set(
        "reject reject_row reject_element default_missing missing null accepted unmapped orphan_null orphan_moved"
        " element_rejected_doc pair_repeat pair_mirrored pair_one_sided pair_orphan".split()
    )
    faults = {fault for fault, _ in want.rejects.values()}
    assert faults >= set("missing null type range inexact label nul duplicate orphan".split())
    assert len(want.rejects) > 100 and len(want.findings) > 100
    chain = {c for (c, _), (fault, _) in want.rejects.items() if fault == "orphan"}
    assert chain >= {"Boards", "Sections", "tasksComments"}


def test_defaults_only_where_the_application_had_one(source):
    """The oracle takes its defaults from the facts: those of the issue, no others."""
    constants = {(t, c.name) for t, columns in source.clean_want.tables.items() for c in columns if c.default is not None}
    assert constants == {(t, f) for t, fields in nextcrm_dirt.DEFAULTS.items() for f in fields}
    assert len(nextcrm_oracle.ID_TIMES) == 6


def test_duplicates_name_both_ids(moved):
    rows = moved.dirty.query("SELECT table_name, message, doc_id_text, doc_id FROM docrow.reject WHERE fault = 'duplicate'")
    assert len(rows) >= 4 and {table for table, *_ in rows} == {"Users", "Tasks"}
    emails = {d["_id"]: d["email"] for d in moved.source.dirty_want.documents["Users"]}
    for table, message, _, doc_id in rows:
        own = value_in(doc_id, "_id")
        if table == "Tasks":  # an ObjectId beside its own text, which is the lower _id
            assert str(own) in message and str(nextcrm_oracle.key_of(own)) in message
            continue
        both = [bson.ObjectId(word.strip(",")) for word in message.split() if bson.ObjectId.is_valid(word.strip(","))]
        assert "which stays" in message and "Users_email_key" in message
        assert both[0] == own and len(both) == 2 and both[1] < own and emails[both[0]] == emails[both[1]]


def test_ids_read_back(moved):
    with_task = moved.clean.query('SELECT docrow.uuid_to_objectid(id), id FROM "Tasks"')
    assert {a for a, _ in with_task} == {str(d["_id"]) for d in moved.source.clean_want.documents["Tasks"]}
    if moved.kind == "18":
        for objectid, when in moved.clean.query(
            'SELECT docrow.uuid_to_objectid(id), uuid_extract_timestamp(id) FROM "Tasks"'
        ):
            assert bson.ObjectId(objectid).generation_time == when


def test_uuids_without_a_constraint_keep_their_id(moved):
    """22 single ones and one array; test_rows compared the values: here, that some of them point to nothing."""
    free = [r for r in nextcrm_oracle.facts("target-columns.tsv") if "uuid without a foreign key" in r["notes"]]
    free += [r for r in nextcrm_oracle.facts("target-columns.tsv") if r["pg_type"] == "UUID[]" and r not in free]
    assert len({(r["table"], r["column"]) for r in free}) == 23
    dangling = 0
    for row in free:
        if row["pg_type"] == "UUID":
            dangling += moved.dirty.one(
                f'SELECT count(*) FROM "{row["table"]}" WHERE NOT EXISTS (SELECT FROM "Users" u WHERE'
                f' u.id = "{row["column"]}") AND "{row["column"]}" IS NOT NULL'
            )
    assert dangling > 20


def test_the_summary_balances(moved):
    for result in (moved.clean_result, moved.dirty_result):
        assert "does not balance" not in result.stdout + result.stderr
