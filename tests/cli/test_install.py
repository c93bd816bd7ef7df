"""Installing: make install, the Debian package, the example for Node projects."""

import fcntl
import gzip
import json
import os
import re
import shutil
import subprocess

import pytest

from lib.program import ROOT

pytestmark = pytest.mark.plain_only
BUILD = "build-deb"


@pytest.fixture
def release_build():
    """One release build for all, one after the other: the second only links anew."""
    with open(ROOT / "build" / "install-test.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DOCROW_")}
    result = subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def look_at(prefix, commands):
    """What has to be there, whoever put it there."""
    share = prefix / "share"
    for page in ["docrow", *(f"docrow-{name}" for name in commands)]:
        found = [p for p in (share / "man" / "man1").iterdir() if p.name.removesuffix(".gz") == f"{page}.1"]
        text = gzip.decompress(found[0].read_bytes()) if found[0].suffix == ".gz" else found[0].read_bytes()
        assert text.startswith(b".TH")
    assert [p.name.removesuffix(".gz") for p in (share / "man" / "man5").iterdir()] == ["docrow-mapping.5"]
    for place in ("bash-completion/completions/docrow", "zsh/site-functions/_docrow", "fish/vendor_completions.d/docrow.fish"):
        assert "made by docrow help --completion" in (share / place).read_text()
    assert (share / "docrow" / "mappings" / "nextcrm.yaml").read_bytes() == (ROOT / "mappings" / "nextcrm.yaml").read_bytes()
    return run(str(prefix / "bin" / "docrow"), "--version")


@pytest.fixture
def commands(docrow):
    return docrow.run("help", "--names").stdout.split()


def test_make_install(tmp_path, commands, release_build):
    if not (ROOT / BUILD).exists():
        run("meson", "setup", BUILD, "--buildtype=release", "-Dtests=false")
    run("make", "install", f"BUILD={BUILD}", f"PREFIX={tmp_path / 'here'}")
    look_at(tmp_path / "here", commands)
    # It finds its mappings where they were put, from any working folder.
    assert run(str(tmp_path / "here" / "bin" / "docrow"), "mapping", "list").split() == ["nextcrm"]
    run("make", "install", f"BUILD={BUILD}", f"PREFIX={tmp_path / 'there'}", f"DESTDIR={tmp_path / 'stage'}")
    look_at(tmp_path / "stage" / str(tmp_path / "there").lstrip("/"), commands)
    assert not (tmp_path / "there").exists()


def test_debian_package(tmp_path, commands, release_build):
    if shutil.which("dpkg-shlibdeps") is None:
        pytest.skip("dpkg-shlibdeps is not installed")
    package = ROOT / run("packaging/deb.sh", DEBEMAIL="Some One <some.one@example.org>").split()[-1]
    run("dpkg-deb", "-x", str(package), str(tmp_path))
    version = look_at(tmp_path / "usr", commands).splitlines()[0].split()[1]
    fields = dict(re.findall(r"^(\S+): (.*)$", run("dpkg-deb", "-f", str(package)), re.MULTILINE))
    assert fields["Version"] == version and fields["Maintainer"] == "Some One <some.one@example.org>"
    for library in ("libmongoc", "libpq5", "libyaml", "libjansson", "libzstd", "libc6"):
        assert library in fields["Depends"]
    assert (tmp_path / "usr/share/doc/docrow/copyright").is_file()
    if shutil.which("lintian"):
        assert "E: " not in run("lintian", "--allow-root", "--no-cfg", "--fail-on", "none", str(package))


def test_node_scripts_call_what_there_is(docrow, commands):
    """Each npm script is a docrow command with options that it has."""
    package = json.loads((ROOT / "examples" / "node" / "package.json").read_text())
    readme = (ROOT / "examples" / "node" / "README.md").read_text()
    for name, line in package["scripts"].items():
        for command in line.split(" && "):
            program, word, *arguments = command.split()
            assert program == "docrow" and word in commands, command
            for option in (a for a in arguments if a.startswith("--")):
                assert option in docrow.run("help", word).stdout
    for name in re.findall(r"^npm run ([a-z:-]+)", readme, re.MULTILINE):
        assert name in package["scripts"]
