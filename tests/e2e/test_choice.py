"""--only and --skip: a part of a mapping is moved; what is left out is said, kept with the run, and taken back alone."""

import bson
import pytest


def oid(n):
    return bson.ObjectId(f"{n:024x}")


KEY = "{ name: id, from: _id, type: uuid, primary_key: true }"

MAPPING = f"""docrow: 1
collections:
  - {{ collection: Users, columns: [{KEY}, {{ name: email, type: text }}] }}
  - {{ collection: Accounts, columns: [{KEY}, {{ name: owner, type: uuid, references: Users }}] }}
  - collection: Tasks
    columns:
      - {KEY}
      - {{ name: account, type: uuid, references: Accounts }}
      - {{ name: maker, type: uuid, references: {{ table: Users, if_orphan: "null" }} }}
      - {{ name: subject, type: uuid,
          references: {{ table: Users, if_orphan: {{ move_to: account }} }} }}
    children:
      - {{ from: steps, table: Steps, parent: task_id, ordinal: n, columns: [{{ name: step, from: ., type: text }}] }}
  - {{ collection: crm_Notes, table: Notes, columns: [{KEY}] }}
  - {{ collection: crm_Old, table: Notes, columns: [{KEY}], optional: true }}
junctions:
  - table: Watchers
    left: {{ collection: Tasks, path: watchers, column: task_id }}
    right: {{ collection: Users, column: user_id }}
  - table: Links
    left: {{ collection: Accounts, path: links, column: a }}
    right: {{ collection: Accounts, column: b }}
"""


@pytest.fixture
def ready(docrow, mongo):
    (docrow.folder / "m.yaml").write_text(MAPPING)
    mongo["Users"].insert_many([{"_id": oid(n), "email": f"u{n}"} for n in range(1, 4)])
    mongo["Accounts"].insert_many([{"_id": oid(10 + n), "owner": oid(n), "links": [oid(11)]} for n in range(1, 4)])
    mongo["Tasks"].insert_many(
        [
            {"_id": oid(20 + n), "account": oid(10 + n), "maker": oid(9), "watchers": [oid(1)], "steps": ["a", "b"]}
            for n in range(1, 4)
        ]
    )
    mongo["crm_Notes"].insert_many([{"_id": oid(30)}, {"_id": oid(31)}])
    mongo["crm_Old"].insert_many([{"_id": oid(32)}])
    return docrow


def keys(pg):
    return {name for (name,) in pg.query("SELECT conname FROM pg_constraint WHERE contype = 'f'")}


def test_skip(ready, pg15):
    result = ready.run("migrate", "--mapping", "./m.yaml", "--skip", "Users, crm_O*", status=0)
    # Tables of what is left out are not made; a table that another collection feeds is.
    assert pg15.tables() == ["Accounts", "Links", "Notes", "Steps", "Tasks"]
    assert len(pg15.rows("Notes")) == 2
    assert keys(pg15) == {"Tasks_account_fkey", "Steps_task_id_fkey", "Links_a_fkey", "Links_b_fkey"}
    # The id is still the one that the user's row would have had.
    assert pg15.one('SELECT count(DISTINCT docrow.uuid_to_objectid(owner)) FROM "Accounts"') == 3
    for text in (result.stderr, result.stdout):
        for part in ("Users", "crm_Old", "Accounts.owner -> Users", "Tasks.maker -> Users", "Watchers (Users left out)"):
            assert part in text, part
    assert "Tasks.subject -> Users" in result.stdout


def test_only(ready, pg15):
    result = ready.run("migrate", "--mapping", "./m.yaml", env={"DOCROW_ONLY": "Use*"}, status=0)
    assert pg15.tables() == ["Users"]
    assert "4 of 5 collections are left out" in result.stderr
    # Another part goes to the same target only by a clean, which takes back no more than the run made.
    pg15.execute('CREATE TABLE public."Tasks" (mine int)')
    ready.run("migrate", "--clean-only", status=0)
    assert pg15.tables() == ["Tasks"]
    assert ready.run("migrate", "--mapping", "./m.yaml", "--only=Accounts", "--only=crm_[NO]*", status=0)
    assert pg15.tables() == ["Accounts", "Links", "Notes", "Tasks"]
    assert len(pg15.rows("Notes")) == 3


def test_a_resume_keeps_the_choice(ready, pg15, mongo):
    """The run stops at its limit; what goes on with it moves the same part."""
    mongo["Users"].insert_many([{"_id": oid(100 + n), "email": n} for n in range(5)])
    stopped = ready.run("migrate", "--mapping", "./m.yaml", "--only", "Users", "--max-rejects", "2", status=1)
    assert "DR-1001" in stopped.stderr
    assert "--only Users" in stopped.stderr  # the command that goes on
    other = ready.run("migrate", "--resume", "--skip", "Users", "--max-rejects", "9", status=2)
    assert "DR-2207" in other.stderr and "Accounts, Tasks, crm_Notes, crm_Old" in other.stderr
    more = ready.run("migrate", "--resume", "--only", "Users,Tasks", "--max-rejects", "9", status=2)
    assert "DR-2207" in more.stderr
    assert pg15.one("SELECT status FROM docrow.run") == "failed"
    done = ready.run("migrate", "--resume", "--max-rejects", "9", status=1)  # rejects
    assert "4 of 5 collections are left out" in done.stderr
    assert pg15.tables() == ["Users"] and len(pg15.rows("Users")) == 3
    assert ready.run("status", status={0, 1}).stdout


def test_what_matches_nothing(ready, pg15):
    for arguments, name, near in (
        (("--only", "Acounts"), "Acounts", "near to it: Accounts"),
        (("--skip", "Users,Takss"), "Takss", "near to it: Tasks"),
        (("--only", "Use*,crm_note*"), "crm_note*", "near to it: crm_Notes, crm_Old"),
        (("--skip", "zzz?"), "zzz?", "docrow mapping show"),
    ):
        result = ready.run("migrate", "--mapping", "./m.yaml", *arguments, status=2)
        assert "DR-2001" in result.stderr and name in result.stderr and near in result.stderr, result
        result = ready.run("mapping", "check", "./m.yaml", *arguments, status=2)
        assert near in result.stderr
    everything = ready.run("migrate", "--mapping", "./m.yaml", "--skip", "*", status=2)
    assert "leave no collection" in everything.stderr
    assert pg15.tables() == []


def test_mapping_show_of_a_part(ready):
    shown = ready.run("mapping", "show", "./m.yaml", "--only", "Tasks", status=0)
    assert "Tasks" in shown.stdout and "Steps" in shown.stdout and "Accounts  (" not in shown.stdout
    assert "Tasks.account -> Accounts" in shown.stderr
