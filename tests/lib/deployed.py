"""Targets whose tables are there before docrow comes: NextCRM's schema as plain SQL from the facts in tests/data, and a
catalog as it can be compared before and after.

    deployed.nextcrm(pg, wide=False, comments=True)   the 39 tables with all keys, indexes, foreign keys
    deployed.catalog(pg)                              {what: rows} of everything that a load must leave as it was

    SMALL, PEOPLE, EVERYTHING, fill_small(mongo)      a mapping of two collections, tables with all that can hang on them
"""

import csv
import datetime
import pathlib

import bson

FACTS = pathlib.Path(__file__).resolve().parents[1] / "data" / "nextcrm"


def facts(name):
    with open(FACTS / name, newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def _type(pg_type):
    base, array = pg_type.removesuffix("[]"), pg_type[-2:] == "[]"
    known = base.isupper() or base.startswith("TIMESTAMP") or base.islower()
    return (base if known else f'"{base}"') + ("[]" if array else "")


def _columns(names):
    return ", ".join(f'"{n}"' for n in names.split(","))


def big_integers():
    """Columns whose Prisma type is BigInt, though the baseline says integer."""
    return {(row["table"], row["column"]) for row in facts("target-columns.tsv") if "says BigInt" in row["notes"]}


def nextcrm_sql(wide=False, task_nullable=False):
    """Statements in the order of Prisma's migration. `wide`: bigint where the facts say BigInt, and a few other types that
    hold more than the mapping asks for."""
    big = big_integers() if wide else set()
    out, labels, tables = [], {}, {}
    for row in facts("target-enums.tsv"):
        labels.setdefault(row["enum"], []).append(row["value"])
    for name, values in labels.items():
        out.append(f'CREATE TYPE "{name}" AS ENUM (' + ", ".join(f"'{v}'" for v in values) + ")")
    for row in facts("target-columns.tsv"):
        tables.setdefault(row["table"], []).append(row)
    for table, columns in tables.items():
        lines = []
        for c in columns:
            nullable = c["nullable"] == "yes" or (task_nullable and (table, c["column"]) == ("tasksComments", "task"))
            pg_type = _type(c["pg_type"])
            if (table, c["column"]) in big and pg_type == "INTEGER":
                pg_type = "BIGINT"
            if wide and pg_type == "TIMESTAMP(3)" and c["column"] == "createdAt":
                pg_type = "TIMESTAMPTZ"
            default = f" DEFAULT {c['default']}" if c["default"] else ""
            lines.append(f'"{c["column"]}" {pg_type}{"" if nullable else " NOT NULL"}{default}')
        key = ", ".join(f'"{c["column"]}"' for c in columns if c["primary_key"] == "yes")
        lines.append(f'CONSTRAINT "{table}_pkey" PRIMARY KEY ({key})')
        out.append(f'CREATE TABLE "{table}" (' + ", ".join(lines) + ")")
    for row in facts("target-indexes.tsv"):
        unique = "UNIQUE " if row["unique"] == "yes" else ""
        out.append(f'CREATE {unique}INDEX "{row["index_name"]}" ON "{row["table"]}" USING {row["method"]} ({_columns(row["columns"])})')
    for row in facts("target-foreign-keys.tsv"):
        out.append(
            f'ALTER TABLE "{row["table"]}" ADD CONSTRAINT "{row["constraint_name"]}" FOREIGN KEY ({_columns(row["columns"])})'
            f' REFERENCES "{row["ref_table"]}" ({_columns(row["ref_columns"])}) ON DELETE {row["on_delete"]} ON UPDATE'
            f' {row["on_update"]}'
        )
    return out


def nextcrm(pg, **how):
    with pg.connect() as c:
        for statement in nextcrm_sql(**how):
            c.execute(statement)


QUERIES = {
    "columns": "SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
    " attgenerated, attstorage, attstattarget, (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef d WHERE (d.adrelid,"
    " d.adnum) = (a.attrelid, a.attnum)) FROM pg_attribute a WHERE attrelid IN (SELECT oid FROM pg_class WHERE"
    " relnamespace IN ({schemas}) AND relkind IN ('r', 'i', 'p', 'v', 'S')) AND attnum > 0",
    "relations": "SELECT oid::regclass::text, relkind, relpersistence, reloptions, relreplident, relrowsecurity,"
    " relforcerowsecurity, relacl::text, pg_get_userbyid(relowner), (SELECT spcname FROM pg_tablespace t WHERE t.oid ="
    " reltablespace), obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace IN ({schemas})",
    "indexes": "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisunique, indisprimary, indisexclusion,"
    " indimmediate, indisclustered, indisvalid, indisreplident, (SELECT array_agg(attstattarget ORDER BY attnum) FROM"
    " pg_attribute WHERE attrelid = indexrelid), (SELECT array_agg(refobjid ORDER BY refobjid) FROM pg_depend WHERE objid ="
    " indexrelid AND deptype = 'x') FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE"
    " relnamespace IN ({schemas}))",
    "constraints": "SELECT conrelid::regclass::text, conname, contype, condeferrable, condeferred, convalidated,"
    " pg_get_constraintdef(oid), conindid::regclass::text, obj_description(oid, 'pg_constraint') FROM pg_constraint"
    " WHERE connamespace IN ({schemas})",
    "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT"
    " tgisinternal",
    "types": "SELECT oid::regtype::text, typtype, (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum"
    " WHERE enumtypid = t.oid) FROM pg_type t WHERE typnamespace IN ({schemas}) AND typtype IN ('e', 'd')",
}


def catalog(pg, schemas=("public",)):
    names = ", ".join(f"'{s}'::regnamespace" for s in schemas)
    return {what: sorted(pg.query(sql.format(schemas=names)), key=repr) for what, sql in QUERIES.items()}


def account(pg):
    """What a run says of its work and that must not depend on where the tables came from."""
    return (
        pg.query("SELECT kind, object, path, n FROM docrow.ledger ORDER BY 1, 2, 3"),
        sorted(pg.query("SELECT collection, table_name, column_name, doc_id_text, fault, ordinal, md5(document) FROM docrow.reject"), key=repr),
        sorted(pg.query("SELECT kind, table_name, column_name, key, doc_id_text, ordinal FROM docrow.finding"), key=repr),
    )


def differences(before, after):
    """Short and readable."""
    return {
        what: ([r for r in before[what] if r not in after[what]][:5], [r for r in after[what] if r not in before[what]][:5])
        for what in before
        if before[what] != after[what]
    }


# --- two tables with everything ---

SMALL = """
docrow: 1
enums:
  - { name: mood, labels: [good, bad] }
collections:
  - collection: people
    columns:
      - { name: id,     from: _id, type: uuid, primary_key: true }
      - { name: email,  type: text }
      - { name: n,      type: integer }
      - { name: mood,   type: mood }
      - { name: boss,   type: uuid, references: { table: people, if_orphan: "null" } }
      - { name: notes,  type: jsonb }
      - { name: since,  type: timestamp(3) }
    indexes:
      - { columns: [email], unique: true, duplicates: last }
  - collection: pets
    columns:
      - { name: id,     from: _id, type: uuid, primary_key: true }
      - { name: owner,  type: uuid, references: { table: people, if_orphan: reject } }
      - { name: name,   type: varchar(20) }
"""

PEOPLE = """
CREATE TYPE mood AS ENUM ('good', 'bad', 'ugly');
CREATE DOMAIN small AS bigint CHECK (VALUE < 1000000);
CREATE TABLE people (
  id uuid NOT NULL, email varchar NOT NULL, n small DEFAULT 7, mood mood, boss uuid, notes json, since timestamptz(6),
  made timestamptz NOT NULL DEFAULT now(), number bigint GENERATED ALWAYS AS IDENTITY,
  email_size integer GENERATED ALWAYS AS (length(email)) STORED,
  CONSTRAINT "people pk" PRIMARY KEY (id) INCLUDE (n) WITH (fillfactor = 70)
);
"""

EVERYTHING = PEOPLE + """
CREATE TABLE pets (
  id uuid NOT NULL PRIMARY KEY, owner uuid, name text COLLATE "C", CONSTRAINT named CHECK (name <> 'nobody')
);
COMMENT ON TABLE people IS 'those who matter';
COMMENT ON CONSTRAINT "people pk" ON people IS 'the key';
COMMENT ON INDEX "people pk" IS 'its index';
CREATE UNIQUE INDEX people_email_key ON people (email) INCLUDE (n);
ALTER TABLE people ALTER COLUMN id SET STATISTICS 500;
CREATE INDEX people_lower ON people (lower(email) text_pattern_ops DESC NULLS LAST, n) WITH (fillfactor = 80) WHERE n > 3;
ALTER INDEX people_lower ALTER COLUMN 1 SET STATISTICS 300;
COMMENT ON INDEX people_lower IS 'for logins; it''s \\ odd';
CREATE INDEX people_collated ON people (email COLLATE "C");
CREATE INDEX people_hash ON people USING hash (boss);
CREATE INDEX people_brin ON people USING brin (since);
ALTER TABLE people CLUSTER ON people_collated;
CREATE UNIQUE INDEX people_replica ON people (id, email);
ALTER TABLE people REPLICA IDENTITY USING INDEX people_replica;
ALTER TABLE people ADD CONSTRAINT people_later UNIQUE (number) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE people ADD CONSTRAINT people_once EXCLUDE USING btree (number WITH =) WHERE (n > 0);
ALTER TABLE people ADD CONSTRAINT "boss of" FOREIGN KEY (boss) REFERENCES people ON DELETE SET NULL DEFERRABLE;
COMMENT ON CONSTRAINT "boss of" ON people IS 'who decides';
ALTER TABLE pets ADD CONSTRAINT pets_owner_fkey FOREIGN KEY (owner) REFERENCES people ON DELETE CASCADE;
ALTER TABLE pets ADD CONSTRAINT pets_old FOREIGN KEY (id) REFERENCES people NOT VALID;
CREATE SCHEMA billing;
CREATE TABLE billing.bills (id int PRIMARY KEY, who uuid REFERENCES people, mail varchar, number bigint,
  FOREIGN KEY (who, mail) REFERENCES people (id, email));
CREATE TABLE billing.kinds (name text PRIMARY KEY);
INSERT INTO billing.kinds VALUES ('dog');
CREATE TABLE log (t text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO public.log VALUES (TG_NAME); RETURN NEW; END$$;
CREATE TRIGGER first AFTER INSERT ON pets FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER second AFTER INSERT ON pets FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE pets ENABLE ALWAYS TRIGGER second;
CREATE TRIGGER third AFTER INSERT ON pets FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE pets DISABLE TRIGGER third;
CREATE POLICY mine ON pets USING (true);
ALTER TABLE pets ENABLE ROW LEVEL SECURITY;
"""


# The same without the key that no pet can satisfy, for runs that leave all keys in force.
IN_FORCE = EVERYTHING.replace("ALTER TABLE pets ADD CONSTRAINT pets_old FOREIGN KEY (id) REFERENCES people NOT VALID;\n", "")


def oid(n):
    return bson.ObjectId(f"{n + 0x65000000:08x}{n:016x}")


def fill_small(mongo):
    """100 people, ten pairs of whom share an address; 80 pets, 12 of whom have nobody."""
    when = datetime.datetime(2024, 2, 3, 4, 5, 6, 789000)
    people = [{"email": f"p{n % 90}@x", "n": n, "mood": "good", "notes": {"k": n}, "since": when} for n in range(100)]
    for n, person in enumerate(people):
        person["_id"] = oid(n)
        person["boss"] = None if n < 10 else oid(10 + n % 10)
    mongo["people"].insert_many(people)
    mongo["pets"].insert_many(
        {"_id": oid(1000 + n), "owner": oid(20 + n % 70 if n % 7 else 5555), "name": f"pet {n}"} for n in range(80)
    )
