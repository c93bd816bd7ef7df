"""What a person sees: docrow in a real terminal (tmux) at several sizes, resized on the way, stopped with Ctrl-C once and
twice, piped to a file. Screens are compared with tests/cli/screens/*.txt, figures masked (UPDATE_SCREENS=1 writes them
anew: read them before committing)."""

import os
import pathlib
import re
import shutil
import subprocess
import time
import uuid

import pytest
from lib import nextcrm_sample, program
from lib.processes import wait_for

pytestmark = pytest.mark.plain_only
SCREENS = pathlib.Path(__file__).parent / "screens"
NEXTCRM = program.ROOT / "mappings" / "nextcrm.yaml"


class Terminal:
    def __init__(self, docrow, width, height):
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
        self.socket = f"docrow-test-{uuid.uuid4().hex}"
        self.width = width
        environment = docrow.environment | {"PS1": "$ ", "TERM": "screen-256color", "HISTFILE": "/dev/null"}
        environment["PATH"] = f"{program.BINARY.parent}:{environment['PATH']}"
        environment.pop("TMUX", None)
        subprocess.run(
            ["tmux", "-u", "-L", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height)]
            + ["bash", "--norc", "--noprofile"],
            env=environment,
            cwd=docrow.folder,
            check=True,
        )
        wait_for(lambda: "$" in self.screen(), 20, "the prompt")

    def tmux(self, *words):
        return subprocess.run(["tmux", "-L", self.socket, *words], check=True, capture_output=True, text=True).stdout

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def key(self, name):
        self.tmux("send-keys", name)

    def screen(self, history=False):
        return self.tmux("capture-pane", "-p", *(["-J", "-S", "-"] if history else []))

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))
        self.width = width

    def wait(self, text, seconds=40):
        wait_for(lambda: text in self.screen(), seconds, f"{text!r} on the screen")
        return self.screen()

    def close(self):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True)


@pytest.fixture
def terminal(docrow):
    opened = []

    def make(width=80, height=24):
        opened.append(Terminal(docrow, width, height))
        return opened[-1]

    yield make
    for t in opened:
        t.close()


@pytest.fixture
def sample(mongo):
    nextcrm_sample.make(1500, seed=2, dirt=0.03).insert(mongo.db)


def masked(text):
    """Figures, times, names of hosts and databases are not the same twice."""
    text = re.sub(r"MongoDB [0-9.]+", "MongoDB N", text)
    text = re.sub(r"127\.0\.0\.1:\d+/t_\w+", "HOST/DATABASE", text)
    text = re.sub(r"[█▉▊▋▌▍▎▏░#.]{5,}", "[BAR]", text)
    text = re.sub(r"\d[\d,.]*(?: ?ms| ?s)?(?:[mhd]\d\d[smh]?)?(?=\W|$)", "N", text)
    text = re.sub(r" +", " ", text)
    return re.sub(r"(?m)\s+$", "", text).strip("\n") + "\n"


def same(name, text):
    path = SCREENS / f"{name}.txt"
    found = masked(text)
    if os.environ.get("UPDATE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def migrate(rate=250):
    return f"docrow migrate --mapping {NEXTCRM} --max-rate {rate} --batch-size 100"


def picture(screen):
    """The lines of the progress picture."""
    lines = screen.rstrip("\n").split("\n")
    first = max(i for i, line in enumerate(lines) if line.startswith("collection "))
    return lines[first:]


def test_docrow_alone(terminal):
    t = terminal()
    t.type("clear; docrow")
    same("alone", re.sub(r"(?m)^\$ *$", "", t.wait("docrow help lists")))


@pytest.mark.parametrize("width, height", [(80, 24), (132, 43), (50, 12)])
def test_running_at_any_size(sample, terminal, width, height):
    t = terminal(width, height)
    t.type(migrate())
    wait_for(lambda: re.search(r"load .*\d%", t.screen()), 40, "the load line")
    lines = picture(t.screen())
    assert all(len(line) < width for line in lines) and len(lines) < height
    assert any("of 29 collections" in line for line in lines)
    t.resize(width - 12, height)
    time.sleep(1.2)  # a few pictures in the new width
    screen = t.screen()
    assert screen.count("of 29 collections loaded") == 1, screen
    t.wait("starts anew", 60)


def test_running(mongo, terminal):
    """One collection, slowly: what is drawn does not depend on the moment, but for the figures."""
    nextcrm_sample.make(1500, seed=2, dirt=0).insert(mongo.db)
    t = terminal(100, 30)
    t.type(f"docrow migrate --mapping {NEXTCRM} --only Tasks --max-rate 20 --batch-size 10")
    wait_for(lambda: re.search(r"/s .*s\nload .*/s .*s\n.* to the end", t.screen()), 40, "rates and the time that is left")
    same("running", "\n".join(picture(t.screen())))
    t.key("C-c")
    t.wait("migrate --resume")


def test_done_with_rejects(sample, terminal):
    t = terminal(100, 40)
    t.type(f"docrow migrate --mapping {NEXTCRM}; echo status $?")
    t.wait("status 1", 60)
    text = t.screen(history=True)
    text = text[text.index("Run 1: done") : text.index("status 1")]
    text = re.sub(r"(?<=Slowest steps\n)(?: .*\n)+", "", text)  # other ones each time
    text = re.sub(r"(?m)^(\w+(?: +[\d,-]+){4}) +(?:\d.*|-.*)$", r"\1 TIME RATE", text)
    same("done", text)


def test_ctrl_c_once_and_the_command_that_goes_on(sample, terminal, pg15):
    t = terminal()
    t.type(migrate(100))
    wait_for(lambda: re.search(r"load .*[1-9]\d*%", t.screen()), 40, "progress")
    t.key("C-c")
    t.wait("stopping:", 20)  # after three seconds it would leave with other words
    screen = t.wait("migrate --resume")
    assert "nothing is lost" in screen
    again = re.search(r"\S*docrow migrate --resume.*", t.screen(history=True)).group()  # broken lines are joined
    t.type("clear")
    t.type(" ".join(again.split()).replace("--max-rate 100", "") + "; echo status $?")
    t.wait("status 1", 60)
    assert pg15.one("SELECT status FROM docrow.run") == "done"


def test_ctrl_c_twice_leaves_at_once(sample, terminal, pg15):
    t = terminal()
    t.type(migrate(50) + "; echo status $?")
    wait_for(lambda: re.search(r"load .*%", t.screen()), 40, "progress")
    t.key("C-c")
    t.key("C-c")
    t.wait("status 130", 15)  # all of it would take half a minute


def test_no_colour_and_ascii(sample, docrow, terminal):
    t = terminal()
    t.type("export NO_COLOR=1 LC_ALL=C LANG=C; clear")
    t.type(migrate())
    wait_for(lambda: re.search(r"load .*\d%", t.screen()), 40, "the load line")
    screen = t.tmux("capture-pane", "-p", "-e")  # with its styles
    assert "\033[3" not in screen and not re.search("[█▏░]", screen)
    t.wait("starts anew", 60)


def test_piped_to_a_file(sample, docrow, terminal):
    t = terminal()
    t.type(f"docrow migrate --mapping {NEXTCRM} >out.txt 2>err.txt; echo status $?")
    t.wait("status 1", 60)
    out, err = ((docrow.folder / name).read_text() for name in ("out.txt", "err.txt"))
    assert "\033" not in out + err
    assert "Documents" in out and "crm_Accounts: " in err


def test_status_watch(sample, docrow, terminal):
    t = terminal(110, 45)
    t.type(migrate(400) + " >/dev/null 2>&1 &")
    wait_for(lambda: "Collections" in docrow.run("status").stdout, 30, "the run")
    t.type("clear; docrow status --watch 0.5; echo over")
    wait_for(lambda: "Collections" in t.screen(), 30, "the first look")
    t.wait("over", 60)
    assert "run       1: done" in t.screen(history=True)
