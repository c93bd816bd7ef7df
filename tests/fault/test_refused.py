"""What the server refuses although docrow found nothing wrong with it: constraints, triggers, domains and indexes that
the mapping does not know. The guilty documents become rejects, all others load, and finding them takes few tries."""

import math
import random

import bson
import pytest

MAPPING = """
docrow: 1
collections:
  - collection: things
    columns:
      - { name: id, from: _id, type: uuid, primary_key: true }
      - { name: n,  type: integer }
      - { name: t,  type: text }
"""

# What an event trigger does to public.things right after docrow has made it, and the SQLSTATE of a row with n in GUILTY.
GUILTY = (17, 4000, 9000)
KINDS = {
    "check": ("ALTER TABLE things ADD CONSTRAINT odd CHECK (n NOT IN (17, 4000, 9000))", "23514"),
    "trigger that raises": (
        "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN IF new.n IN (17, 4000, 9000) THEN RAISE 'no'; END IF;"
        " RETURN new; END $f$; CREATE TRIGGER odd BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION odd()",
        "P0001",
    ),
    "domain": (
        "CREATE DOMAIN odd AS integer CHECK (value NOT IN (17, 4000, 9000)); ALTER TABLE things ALTER n TYPE odd",
        "23514",
    ),
    "exclusion": (
        "ALTER TABLE things ADD CONSTRAINT odd EXCLUDE USING gist (int4range(n, n + 1) WITH &&) WHERE (n IN (17, 4000, 9000))",
        "23P01",
    ),
    "index row too long": ("CREATE INDEX odd ON things (t)", "54000"),
    "deferred trigger": (
        "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN IF new.n IN (17, 4000, 9000) THEN RAISE 'no'; END IF;"
        " RETURN new; END $f$; CREATE CONSTRAINT TRIGGER odd AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION odd()",
        "P0001",
    ),
}


def spoil_the_table(pg, change):
    """`change` right after docrow has made the table; and a sequence that counts the statements that fill it: it is
    not rolled back with them."""
    with pg.admin() as admin:
        admin.execute("CREATE SEQUENCE public.tries; GRANT ALL ON SEQUENCE public.tries TO public")
        admin.execute(
            "CREATE FUNCTION count_tries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.tries'); RETURN"
            " NULL; END $$"
        )
        admin.execute(
            "CREATE FUNCTION spoil() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM"
            " pg_event_trigger_ddl_commands() WHERE object_identity = 'public.things' AND command_tag = 'CREATE TABLE') THEN"
            f" SET LOCAL search_path = public; {change}; CREATE TRIGGER count_tries BEFORE INSERT ON things FOR EACH STATEMENT"
            " EXECUTE FUNCTION count_tries(); END IF; END $$"
        )
        admin.execute("CREATE EVENT TRIGGER spoil ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION spoil()")


def documents(kind, count):
    """The exclusion refuses the second of a pair, the index long texts; the others look at n."""
    noise = random.Random(7)
    made = [{"n": n, "t": "x"} for n in range(count)]
    for n in GUILTY:
        if n >= count:
            continue
        if kind == "exclusion":
            made[n + 1]["n"] = n
        elif kind == "index row too long":
            made[n]["t"] = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(3000))
    return made


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k == "trigger that raises" else pytest.mark.plain_only) for k in KINDS])
def test_three_of_ten_thousand(mongo, docrow, pg15, kind):
    count = 10_000 if kind == "check" else 9_100
    mongo["things"].insert_many(documents(kind, count))
    spoil_the_table(pg15, KINDS[kind][0])
    (docrow.folder / "m.yaml").write_text(MAPPING)
    docrow.run("migrate", "--mapping", "./m.yaml", "--workers", "1", status=1)
    assert pg15.one("SELECT count(*) FROM things") == count - 3
    rejects = pg15.query("SELECT fault, sqlstate, document FROM docrow.reject")
    assert {(fault, state) for fault, state, _ in rejects} == {("refused", KINDS[kind][1])}
    assert sorted(bson.decode(bytes(d))["n"] for *_, d in rejects) == sorted(GUILTY)
    # one straight try, one for each batch of 512 of the chunk, and for each guilty row the halves on the way down to it
    batches = math.ceil(count / 512)
    tries = pg15.one("SELECT last_value FROM public.tries")
    assert tries <= 1 + batches + 3 * 2 * math.ceil(math.log2(512)), tries
    assert tries <= 2 * 3 * math.ceil(math.log2(count)) + batches
