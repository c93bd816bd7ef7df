"""The program without servers: help, usage errors, exit statuses, settings, ids, generated pages."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from lib.program import BINARY, ROOT

COMMANDS = "check migrate validate status rejects retry mapping schema synth id config help".split()


@pytest.fixture
def docrow(make_docrow):
    return make_docrow()


@pytest.fixture
def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_alone_it_shows_what_to_do_first(docrow):
    result = docrow.run(status=0)
    for word in ["MONGODB_URI=", "DATABASE_URL=", "docrow config", "docrow mapping check", "docrow migrate --mapping"]:
        assert word in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"]])
def test_overview_lists_every_command(docrow, arguments):
    result = docrow.run(*arguments, status=0)
    assert docrow.run("help", "--names", status=0).stdout.split() == COMMANDS
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_starts_nothing(docrow, command):
    # A broken .env and unreachable servers don't matter: --help looks at nothing.
    (docrow.folder / ".env").write_text("DOCROW_WORKERS=many\nDATABASE_URL='open\n")
    by_option = docrow.run(command, "--help", status=0)
    assert by_option.stdout.startswith(f"Usage: docrow {command}")
    assert by_option.stderr == ""
    assert docrow.run("help", command, status=0).stdout == by_option.stdout
    assert docrow.run("--help", command, status=0).stdout == by_option.stdout
    if command in ("check", "migrate", "validate"):
        away = ["--source", "mongodb://127.0.0.1:1/x", "--target", "postgresql://127.0.0.1:1/x", "--mapping", "absent"]
        assert docrow.run(command, *away, "-h", status=0).stdout == by_option.stdout
    assert all(len(line) <= 100 for line in by_option.stdout.splitlines())


def test_options_may_stand_anywhere(docrow):
    assert docrow.run("--verbose", "config", "--json", status=0).stdout.startswith("[")
    assert "no option --phases" in docrow.run("--phases", "status", status=2).stderr


def test_version_names_the_libraries(docrow):
    result = docrow.run("--version", status=0)
    for name in ["docrow", "libpq", "libmongoc", "libbson", "libyaml", "jansson", "zlib", "libzstd", "OpenSSL"]:
        assert re.search(rf"^{name} \d+\.\d+", result.stdout, re.MULTILINE), name


USAGE_ERRORS = [
    (["migrat"], "DR-2001", 'there is no command "migrat"', "did you mean docrow migrate?"),
    (["frobnicate"], "DR-2001", 'there is no command "frobnicate"', "docrow help"),
    (["migrate", "--worksers", "3"], "DR-2001", "there is no option --worksers", "did you mean --workers?"),
    (["status", "--workers", "3"], "DR-2001", "docrow status has no option --workers", "docrow migrate"),
    (["migrate", "--workers"], "DR-2001", "--workers needs a value", ""),
    (["migrate", "--resume=1"], "DR-2001", "--resume takes no value", ""),
    (["migrate", "--workers", "x"], "DR-2002", '--workers: "x" is not a whole number from 1 to 256, or auto', ""),
    (["migrate", "extra"], "DR-2001", 'docrow migrate takes no "extra"', "docrow help migrate"),
    (["migrate", "--resume", "--clean"], "DR-2001", "--resume and --clean exclude each other", ""),
    (["migrate"], "DR-2003", "--source is needed", "MONGODB_URI"),
    (["migrate", "--source", "x"], "DR-2003", "--target is needed", "DATABASE_URL"),
    (["migrate", "--source", "x", "--target", "y"], "DR-2003", "--mapping is needed", "DOCROW_MAPPING"),
    (["status"], "DR-2003", "--target is needed", "DATABASE_URL"),
    (["status", "--env-file", "absent"], "DR-2004", "absent", "--env-file"),
    (["rejects", "--fault", "rang"], "DR-2001", 'there is no fault "rang"', "did you mean --fault range?"),
    (["rejects", "lst"], "DR-2001", "docrow rejects takes the word list", ""),
    (["mapping"], "DR-2001", "docrow mapping needs more", "docrow help mapping"),
    (["mapping", "shw", "x"], "DR-2001", "docrow mapping takes check, show or list", ""),
    (["mapping", "check", "no-such-mapping"], "DR-2102", "no-such-mapping", "./no-such-mapping.yaml"),
    (["schema"], "DR-2001", "needs --from-source", ""),
    (["schema", "--from-source"], "DR-2003", "--mapping is needed", ""),
    (["synth"], "DR-2003", "--mapping is needed", ""),
    (["synth", "--mapping", "x"], "DR-2003", "--to is needed", ""),
    (["synth", "--mapping", "x", "--to", "y", "--docs", "many"], "DR-2002", '--docs: "many" is not', ""),
    (["synth", "--mapping", "x", "--to", "y", "--dirt", "2"], "DR-2002", '--dirt: "2" is not a share', ""),
    (["help", "migrat"], "DR-2001", 'no message "migrat"', "did you mean docrow help migrate?"),
    (["help", "rang"], "DR-2001", 'no message "rang"', "did you mean docrow help range?"),
    (["validate", "--layers", "count"], "DR-2002", 'no layer "count"', "counts, values"),
    (["check", "--scan", "ful"], "DR-2002", "not one of: none sample full", ""),
    (["status", "--watch", "0.1"], "DR-2002", '--watch: "0.1" is not seconds from 0.2 to 86,400', ""),
    (["migrate", "-Z"], "DR-2001", "no option -Z", ""),
    (["help", "nothing"], "DR-2001", 'no message "nothing"', "docrow help"),
    (["id", "zz"], "DR-2001", '"zz" is neither an ObjectId', ""),
    (["id", "00000000-0000-4000-8000-000000000000"], "DR-2001", "holds no ObjectId", ""),
    (["migrate", "--target", "mongodb://u:topsecret@h"], "DR-4012", "--target is the address of a MongoDB", "PostgreSQL"),
    (["migrate", "--source", "postgres://u:topsecret@h"], "DR-3007", "--source is the address of a PostgreSQL", "MongoDB"),
]


@pytest.mark.parametrize("arguments, code, message, hint", USAGE_ERRORS, ids=[" ".join(e[0]) for e in USAGE_ERRORS])
def test_usage_errors(docrow, arguments, code, message, hint):
    result = docrow.run(*arguments)
    assert result.status == {"2": 2, "3": 3, "4": 4}[code[3]], result
    assert result.stdout == ""
    assert result.stderr.startswith(f"docrow: error {code}: "), result
    assert result.stderr.count("docrow: error") == 1
    assert message in result.stderr.splitlines()[0], result
    assert re.search(r"^  hint: .", result.stderr, re.MULTILINE), result
    assert hint in result.stderr, result
    assert "topsecret" not in result.stderr


def test_every_message_can_be_explained(docrow):
    header = (ROOT / "src/base/errcodes.h").read_text() + (ROOT / "src/base/fault.h").read_text()
    codes = re.findall(r'"(DR-[0-9F]\d+)"', header)
    assert len(codes) > 40
    page = docrow.run("help", "--messages", status=0).stdout
    for code in codes:
        text = docrow.run("help", code, status=0).stdout
        assert text.startswith(code)
        advice = text.split("\n\n", 1)[1].strip()
        assert len(advice) > 10 and "(null)" not in advice
        assert f"### {code}" in page


@pytest.mark.parametrize(
    "page, option",
    [("docs/options.md", "--markdown"), ("docs/messages.md", "--messages"), ("docs/matrix.md", "--matrix")],
)
def test_generated_pages_are_up_to_date(docrow, page, option):
    assert docrow.run("help", option, status=0).stdout == (ROOT / page).read_text(), f"docrow help {option} > {page}"


def test_commands_have_man_pages(docrow):
    names = docrow.run("help", "--names", status=0).stdout.split()
    assert sorted(names) == sorted(re.findall(r"'(\w+)'", _man_list()))
    for name in [None, *names]:
        page = docrow.run("help", "--man", *([name] if name else []), status=0).stdout
        assert page.startswith(".TH DOCROW")
        assert ".SH NAME" in page and ".SH SYNOPSIS" in page and ".SH DESCRIPTION" in page
        for line in page.splitlines():  # a line that starts with a dot is a request that roff knows
            assert not line.startswith(".") or re.match(r"\.(TH|SH|TP|PP|B|BR)\b", line), line


def test_the_mapping_has_a_man_page(docrow, tmp_path):
    page = docrow.run("help", "--man", "mapping.5", status=0).stdout
    assert page.startswith(".TH DOCROW-MAPPING 5")
    spec = (ROOT / "src/mapping/map_spec.c").read_text()
    for key in set(re.findall(r'\{"(\w+)", KIND_', spec)):
        entry = page.split(f".TP\n\\fB{key.replace('-', chr(92) + '-')}\\fR", 1)
        assert len(entry) == 2 and re.match(r"(: .+)?\n\w", entry[1]), key
    for line in page.splitlines():
        assert not line.startswith(".") or re.match(r"\.(TH|SH|SS|TP|PP|B|BR|nf|fi)\b", line), line
    example = page.split(".nf\n", 1)[1].split(".fi\n", 1)[0].replace("\\-", "-")
    (tmp_path / "example.yaml").write_text(example)
    assert "no errors" in docrow.run("mapping", "check", "./example.yaml", status=0).stdout
    if shutil.which("groff"):
        checked = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True)
        assert checked.stderr == "", checked.stderr


def _man_list():
    text = (ROOT / "docs/meson.build").read_text()
    return re.search(r"foreach name : \[(.*)\]", text)[1]


def test_ids_both_ways(docrow):
    rows = [line.split("\t") for line in (ROOT / "tests/data/id-vectors.tsv").read_text().splitlines()]
    pairs = [(r[0], r[1]) for r in rows if len(r) >= 2 and re.fullmatch(r"[0-9a-f]{24}", r[0])]
    assert len(pairs) >= 3
    assert docrow.run("id", *(o for o, _ in pairs), status=0).stdout.split() == [u for _, u in pairs]
    assert docrow.run("id", *(u for _, u in pairs), status=0).stdout.split() == [o for o, _ in pairs]
    assert docrow.run("id", "507F1F77BCF86CD799439011", 'ObjectId("507f1f77bcf86cd799439011")', status=0).stdout.split() == [
        "013a7092-e8d8-7bcf-a1b3-5e650e4044dc"
    ] * 2


def test_ids_from_standard_input():
    result = subprocess.run(
        [BINARY, "id"], input="507f1f77bcf86cd799439011\n\nbad\n", capture_output=True, text=True, check=False
    )
    assert result.stdout == "013a7092-e8d8-7bcf-a1b3-5e650e4044dc\n"
    assert '"bad" is neither' in result.stderr
    assert result.returncode == 2


def test_config_says_where_from_and_hides_passwords(docrow):
    (docrow.folder / ".env").write_text("# mine\nDOCROW_LEASE=20\nDATABASE_URL=postgres://u:topsecret@h/db\nDOCROW_WORKERS=9\n")
    result = docrow.run("config", "--json", env={"DOCROW_WORKERS": 3, "MONGODB_URI": "mongodb://u:topsecret@h/x"}, status=0)
    settings = {s["option"]: s for s in json.loads(result.stdout)}
    assert settings["workers"] == settings["workers"] | {"value": "3", "from": "DOCROW_WORKERS"}
    assert settings["lease"] == settings["lease"] | {"value": "20", "from": "DOCROW_LEASE in .env, line 2"}
    assert settings["target"]["value"] == "postgres://u:***@h/db"
    assert settings["source"]["value"] == "mongodb://u:***@h/x"
    assert settings["chunk-size"]["from"] == "default"
    text = docrow.run("config", env={"MONGODB_URI": "mongodb://u:topsecret@h/x"}, status=0)
    assert "topsecret" not in text.stdout + text.stderr + result.stdout + result.stderr
    assert re.search(r"^lease +20  \(DOCROW_LEASE in \.env, line 2\)$", text.stdout, re.MULTILINE)


def test_config_example_is_a_valid_env_file(docrow):
    example = docrow.run("config", "example", status=0).stdout
    (docrow.folder / ".env").write_text(re.sub(r"^#(\w+=\w)", r"\1", example, flags=re.MULTILINE))
    settings = json.loads(docrow.run("config", "--json", status=0).stdout)
    assert {s["option"]: s["from"] for s in settings}["lease"].startswith("DOCROW_LEASE in .env")


def test_database_url_of_mongodb_is_the_source(docrow):
    result = docrow.run("migrate", "--mapping", "x", env={"DATABASE_URL": "mongodb://u:topsecret@h/db"}, status=2)
    assert "DATABASE_URL is the address of a MongoDB server: taken as the source" in result.stderr
    assert "--target is needed" in result.stderr
    assert "topsecret" not in result.stderr


def test_misspelt_setting_is_told(docrow):
    result = docrow.run("config", env={"DOCROW_WORKRES": 3}, status=0)
    assert "DOCROW_WORKRES in the environment is no setting; did you mean DOCROW_WORKERS?" in result.stderr


def test_unreachable_target(docrow, closed_port):
    result = docrow.run("status", "--target", f"postgres://u:topsecret@127.0.0.1:{closed_port}/db", status=4)
    assert "docrow: error DR-4001: " in result.stderr
    assert "topsecret" not in result.stderr


def test_errors_are_coloured_only_where_wanted(docrow):
    assert "\033[" not in docrow.run("status", status=2).stderr
    assert "\033[" in docrow.run("status", env={"CLICOLOR_FORCE": 1}, status=2).stderr
    assert "\033[" not in docrow.run("status", env={"CLICOLOR_FORCE": 1, "NO_COLOR": 1}, status=2).stderr


def test_lost_results_are_a_failure(docrow):
    with open("/dev/full", "w") as full:
        process = docrow.start("help", stdout=full)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "docrow: error DR-2004: the results cannot be written" in stderr


def test_a_reader_that_goes_away_is_no_failure(docrow):
    read, write = os.pipe()
    os.close(read)
    process = docrow.start("help", stdout=write)
    os.close(write)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0 and stderr == ""


def test_password_on_the_command_line_is_blotted_out(docrow):
    # A listener that never answers keeps the program waiting while its command line is looked at.
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        process = docrow.start("status", "--target", f"postgres://u:topsecret@127.0.0.1:{port}/db?connect_timeout=60")
        try:
            silent.settimeout(30)
            connection, _ = silent.accept()
            command_line = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
            connection.close()
        finally:
            process.kill()
            process.communicate()
    assert b"postgres://u:" in command_line
    assert b"topsecret" not in command_line


def test_a_signal_before_the_start_leaves_at_once(docrow):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        process = docrow.start("migrate", "--resume", "--source", "dump", "--target", f"postgres://u@127.0.0.1:{port}/db")
        try:
            silent.settimeout(30)
            connection, _ = silent.accept()
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
            connection.close()
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert "stopped before anything was done" in stderr
    assert time.monotonic() - started < 15
