"""Every command line that help and manual show is run as it stands there, against private servers.

Gathered are fenced and indented blocks and quoted commands of the Markdown pages, and the examples of --help. RULES says
in which world each is run, or why it is not; an example that no rule fits fails.
"""

import re
import shutil
import subprocess

import pytest
from lib import deployed, dumps, nextcrm_sample
from lib.databases import MongoDatabase, PostgresDatabase
from lib.processes import wait_for
from lib.program import BINARY, ROOT, Docrow

COMMANDS = "check migrate validate status rejects retry mapping schema synth id config help".split()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [page for folder in ("docs", "packaging", "examples", "bench", "tests") for page in (ROOT / folder).rglob("*.md")]
PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ +)*(?:docrow(?![.\w])|mongodump|make|npm|jq|psql|docker|sudo|apt|apt-get|scripts/\S+)(?: |$)")

# (the example, where it runs)
#   source   a source and an empty target; nothing is written to the target
#   run      a finished run with rejects, shared by all that only look at it
#   fresh    an empty target of its own      own run   a finished run of its own
#   there    a target that has the tables
#   stopped  a run that stopped on the way   half      a validation that was interrupted
#   name     only names a command or an option: it is looked up in the help
#   dry      make -n: the targets are there
#   anything else: why it is not run
RULES = [
    (r"docrow \w+ .*\[(OPTIONS|ID)", "name"),
    (r"docrow (migrate|retry|check|synth|schema)$|docrow mapping (check|show)$|docrow.* --fault$", "name"),
    (r"docrow schema --from-source$|docrow check --append$", "name"),
    (r"docrow( --help| --version)?$|docrow (help|id|mapping|config|check|schema|synth)\b", "source"),
    (r"docrow migrate .*--dry-run", "source"),
    (r"docrow migrate .*(--append|--keep-indexes)", "there"),
    (r"docrow migrate .*--resume", "stopped"),
    (r"docrow migrate .*--clean", "own run"),
    (r"(mongodump --archive \| )?docrow migrate ", "fresh"),
    (r"docrow validate .*--resume", "half"),
    (r"docrow (status|rejects|validate)\b|docrow retry .*--dry-run|jq ", "run"),
    (r"docrow retry ", "own run"),
    (r"npm run migrate:resume", "stopped"),
    (r"npm run .*--clean|npm run validate", "own run"),
    (r"npm run ", "fresh"),
    (r"(sudo )?make( |$)", "dry"),
    (r"mongodump$|apt-get$|psql$|jq$|sudo$", "a program's name"),
    (r"docker ", "docker is not at hand; packaging/README.md says that the Dockerfile was not built"),
    (r"sudo apt install ", "test_install.py unpacks the package and runs what is in it"),
    (r"scripts/", "these run this test, or take as long as one asks them to; that they are there is tested"),
]
# What stands for something of yours.
PLACEHOLDERS = {"NAME": "nextcrm", "FILE": "./mine.yaml", "COMMAND": "migrate", "--to …": "--to sample/"}
# What would take long or go elsewhere: the options are the same.
SMALLER = {"--docs 1000000": "--docs 2000", "mongodb://127.0.0.1/sample": "$SAMPLE"}


def of_page(text):
    """Command lines of a Markdown page."""
    fence = r"^```(\w*)\n(.*?)^```"
    lines = []
    for kind, block in re.findall(fence, text, re.MULTILINE | re.DOTALL):
        if kind in ("", "sh", "bash"):
            lines += block.splitlines()
    rest = re.sub(fence, "", text, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"^(?: {4}|\t)(.*)$", rest, re.MULTILINE)
    lines += [re.sub(r"\s+", " ", quoted) for quoted in re.findall(r"`([^`]+)`", rest)]
    stripped = (re.sub(r"\s+#.*", "", line).strip() for line in lines)
    return {line for line in stripped if PROGRAM.match(line)}


def shown(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=True).stdout


def of_help():
    """Command lines of the help: two blanks before them in a list of examples, several in the first steps."""
    examples = {m[1] for c in COMMANDS for m in re.finditer(r"^  (\S.*)$", shown(c, "--help").partition("Examples:\n")[2], re.M)}
    steps = {m[1] for m in re.finditer(r"  +(docrow .*)$", shown(), re.M)}
    overview = {re.split("  +", m[0])[0] for m in re.finditer(r"^docrow .*", shown("help"), re.M)}
    return examples, steps | overview


EXAMPLES, STEPS = of_help() if BINARY.exists() else (set(), set())
ALL = sorted({e for page in PAGES for e in of_page(page.read_text(encoding="utf-8"))} | EXAMPLES | STEPS)


def world_of(example):
    return next((world for pattern, world in RULES if re.match(pattern, example)), None)


def test_enough_was_gathered():
    assert len(EXAMPLES) > 30 and len(STEPS) > 8 and len(ALL) > 80


def test_man_pages_have_the_examples_of_the_help():
    for command in COMMANDS:
        page = shown("help", "--man", command).replace("\\-", "-").replace("\\(aq", "'").replace("\\&", "").replace("\\e", "\\")
        for m in re.finditer(r"^  (\S.*)$", shown(command, "--help").partition("Examples:\n")[2], re.M):
            assert m[1] in page, (command, m[1])


# --- the worlds ---


class World:
    """A source with a little of NextCRM, a target, and a folder with what the examples name."""

    def __init__(self, mongo, pg, folder):
        self.mongo, self.pg, self.folder = mongo, pg, folder
        self.docrow = Docrow(folder, mongo, pg, DOCROW_MAPPINGS=str(ROOT / "mappings"))
        text = (ROOT / "mappings" / "nextcrm.yaml").read_text()
        for name in ("mine.yaml", "mended.yaml"):
            (folder / name).write_text(text)
        dumps.write_folder(dumps.raw_documents(mongo.db), folder / "dump" / mongo.db.name)
        shutil.copy(ROOT / "examples" / "node" / "package.json", folder)
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "docrow").symlink_to(BINARY)
        archive = dumps.archive({mongo.db.name: dumps.raw_documents(mongo.db)})
        (folder / "a.archive").write_bytes(archive)
        self.program("mongodump", f'[ "$*" = --archive ] && exec cat "{folder}/a.archive"')

    def program(self, name, text):
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def shell(self, line):
        for there, here in (PLACEHOLDERS | SMALLER).items():
            line = re.sub(rf"(?<!\w){re.escape(there)}(?!\w)", here, line)
        environment = self.docrow.environment | {
            "PATH": f"{self.programs}:{self.docrow.environment['PATH']}",
            "SAMPLE": self.mongo.server.address(self.mongo.name + "_synth"),
        }
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip

    def migrate(self, *options, status):
        self.docrow.run("migrate", "--mapping", "nextcrm", *options, status=status)
        return self


@pytest.fixture(scope="module")
def sample(mongo_server):
    database = MongoDatabase(mongo_server)
    documents = nextcrm_sample.make(150, seed=3, dirt=0.0)
    documents.documents["Users"][0]["__v"] = 2**40  # out of range: a reject
    documents.insert(database.db)
    yield database
    database.client.drop_database(database.name + "_synth")
    database.drop()


@pytest.fixture
def make_world(sample, postgres_servers, tmp_path):
    made = []

    def make():
        made.append(PostgresDatabase(postgres_servers("debian")))
        return World(sample, made[-1], tmp_path)

    yield make
    for pg in made:
        pg.drop()


@pytest.fixture(scope="module")
def shared_run(sample, postgres_servers, tmp_path_factory):
    pg = PostgresDatabase(postgres_servers("debian"))
    yield World(sample, pg, tmp_path_factory.mktemp("run")).migrate(status=1)
    pg.drop()


def interrupt_validation(world):
    process = world.docrow.start("validate", "--full", "--max-rate", "20")
    wait_for(lambda: (world.folder / "migration-validation-progress").exists(), 60, "the file of the validation")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130


def prepare(kind, make_world, request):
    if kind == "run":
        return request.getfixturevalue("shared_run")
    world = make_world()
    if kind in ("own run", "half"):
        world.migrate(status=1)
    if kind == "there":
        deployed.nextcrm(world.pg, task_nullable=True)
    if kind == "half":
        interrupt_validation(world)
    if kind == "stopped":
        world.migrate("--max-rejects", "0", status=1)
        assert world.pg.one("SELECT phase FROM docrow.run") != "done"
    return world


# --- the examples ---


def look_up(example):
    """A command's name or an option: the help knows it."""
    command, *words = example.split()[1:]
    page = shown("help", command)
    for option in (w for w in words if w.startswith("--")):
        assert re.search(rf"^  .*{option}\b", page, re.MULTILINE), example


@pytest.mark.parametrize("example", ALL)
def test_example(example, make_world, request):
    kind = world_of(example)
    assert kind is not None, f"no rule of this test says how to run: {example}"
    if kind == "name":
        look_up(example)
    elif kind == "dry":
        line = re.sub(r"(sudo )?make\b", "make -n", example)
        subprocess.run(["bash", "-c", line], cwd=ROOT, check=True, capture_output=True)
    elif kind in ("source", "run", "fresh", "there", "own run", "stopped", "half"):
        program = re.match(r"(npm|jq)\b", example)
        if program and shutil.which(program[0]) is None:
            pytest.skip(f"{program[0]} is not installed")
        result = prepare(kind, make_world, request).shell(example)
        assert result.returncode in (0, 1) and "DR-2" not in result.stderr, f"{result.stdout}\n{result.stderr}"
        if example.startswith("docrow migrate --resume"):
            assert "account" in result.stdout.lower()
    elif example.startswith("scripts/"):
        assert (ROOT / example.split()[0]).exists()
