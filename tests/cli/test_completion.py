"""Completions: what each shell offers, asked of the shell itself."""

import re
import shutil
import subprocess

import pytest

from lib.program import BINARY

pytestmark = pytest.mark.plain_only  # the shells are what is tested

@pytest.fixture
def script(docrow, tmp_path):
    def make(shell):
        path = tmp_path / f"completion.{shell}"
        path.write_text(docrow.run("help", "--completion", shell).stdout)
        return path

    return make


def offered_by_help(docrow, command):
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", docrow.run("help", command).stdout, re.MULTILINE))


def shell(name):
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def ask_bash(path, docrow, line):
    words = line.split(" ")
    code = (
        'PATH="$2:$PATH"; . "$1"; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _docrow;'
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", code, "bash", path, BINARY.parent, *words]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=docrow.folder, env=docrow.environment).stdout.split())


def ask_fish(path, docrow, line):
    code = f"set -x PATH {BINARY.parent} $PATH; source {path}; complete -C '{line}'"
    result = subprocess.run(
        [shell("fish"), "--no-config", "-c", code], capture_output=True, text=True, check=True, cwd=docrow.folder, env=docrow.environment
    )
    return {entry.split("\t")[0] for entry in result.stdout.splitlines()}


@pytest.mark.parametrize("ask", [ask_bash, ask_fish])
def test_what_is_offered(docrow, script, ask):
    path = script(ask.__name__.removeprefix("ask_"))
    names = set(docrow.run("help", "--names").stdout.split())
    assert ask(path, docrow, "docrow ") >= names
    assert ask(path, docrow, "docrow mig") == {"migrate"}
    assert ask(path, docrow, "docrow migrate --res") == {"--resume"}
    assert ask(path, docrow, "docrow migrate --progress ") == {"auto", "plain", "json", "none"}
    assert "nextcrm" in ask(path, docrow, "docrow migrate --mapping ")
    assert ask(path, docrow, "docrow mapping sh") == {"show"}
    (docrow.folder / "mine.yaml").touch()
    assert "mine.yaml" in {name.removeprefix("./") for name in ask(path, docrow, "docrow migrate --mapping mi")}


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_every_option_of_every_command(docrow, script, name):
    path = script(name)
    subprocess.run([shell(name), "-n", path], check=True)
    text = path.read_text()
    for command in docrow.run("help", "--names").stdout.split():
        options = offered_by_help(docrow, command)
        assert "--help" in options
        if name == "bash":
            assert ask_bash(path, docrow, f"docrow {command} --") == options
        elif name == "fish":
            assert ask_fish(path, docrow, f"docrow {command} --") == options
        else:
            part = re.search(rf"^\t{command}\)$(.*?)^\t\t;;$", text, re.MULTILINE | re.DOTALL).group(1)
            assert set(re.findall(r"(?:'|,|\*)(--[a-z-]+)[\[}]", part)) == options


def test_unknown_shell(docrow):
    result = docrow.run("help", "--completion", "tcsh", status=2)
    assert "bash zsh fish" in result.stderr
