"""What docs/files.md says of the output for machines is what it has: every member of both is in the other."""

import json
import re

import bson
import pytest
from lib.program import ROOT

MAPPING = """
docrow: 1
collections:
  - collection: people
    table: people
    columns:
      - { name: id,   from: _id, type: uuid, primary_key: true }
      - { name: age,  type: integer }
      - { name: boss, type: uuid, references: { table: people, if_orphan: keep } }
"""


@pytest.fixture
def job(docrow, mongo):
    (docrow.folder / "m.yaml").write_text(MAPPING)
    mongo["people"].insert_many([{"age": 1}, {"age": "old"}, {"age": 3, "boss": bson.ObjectId()}])
    return docrow


def documented(title):
    """Members that the tables of a section name, the first column apart."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", (ROOT / "docs/files.md").read_text(), re.M | re.S)[1]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    first = {name for left, _ in rows for name in re.findall(r"`(\w+)`", left)}
    return first, first | {name for _, right in rows for name in re.findall(r"`(\w+)`", right)}


def members(value):
    if isinstance(value, dict):
        return set(value) | {m for v in value.values() for m in members(v)}
    return {m for v in value for m in members(v)} if isinstance(value, list) else set()


def agree(title, value):
    first, all_of_them = documented(title)
    assert set(value) == first, title
    assert members(value) <= all_of_them, title


def test_status(job, pg15):
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    agree("docrow status --json", json.loads(job.run("status", "--json", status=0).stdout))


def test_retry(job, pg15):
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    agree("docrow retry --json", json.loads(job.run("retry", "--json").stdout))


def test_rejects(job, pg15):
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    (pattern,) = map(json.loads, job.run("rejects", "--json", status=0).stdout.splitlines())
    agree("docrow rejects --json", pattern)
    (reject,) = map(json.loads, job.run("rejects", "list", "--json", status=0).stdout.splitlines())
    assert set(reject) == documented("migration-errors.log")[0] - {"kind"} | {"attempts"}


def test_config(job, pg15):
    values = json.loads(job.run("config", "--json", status=0).stdout)
    assert values
    for value in values:
        agree("docrow config --json", value)


def test_mapping_show(job):
    agree("docrow mapping show --json", json.loads(job.run("mapping", "show", "./m.yaml", "--json", status=0).stdout))


def test_progress(job, pg15):
    """Lines of a run that ends with rejects, and of one that is refused."""
    first, all_of_them = documented("--progress json")
    seen = set()
    for way, status in ((["migrate", "--mapping", "./m.yaml"], 1), (["migrate", "--resume"], 2)):
        for line in job.run(*way, "--progress", "json", status=status).stderr.splitlines():
            event = json.loads(line)
            seen.add(event["event"])
            assert members(event) <= all_of_them | {"event", "time"}, line
    assert {"phase", "collection", "progress", "end", "error"} <= seen <= first


def test_status_watch_reads_the_mapping_once(job, pg15):
    """A run's mapping never changes: looks after the first do without its text."""
    job.run("migrate", "--mapping", "./m.yaml", status=1)
    pg15.execute("UPDATE docrow.run SET phase = 'load', status = 'stopped'")
    process = job.start("status", "--json", "--watch", "0.2")
    try:
        def look():
            text = ""
            while not text.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                text += line
            return json.loads(text)["collections"][0]["load_phase"]

        phase = look()
        assert phase
        pg15.execute("UPDATE docrow.run SET mapping_text = 'docrow: 0'")
        assert [look() for _ in range(4)] == [phase] * 4
        pg15.execute("UPDATE docrow.run SET phase = 'done', status = 'done'")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
