"""Child processes that never outlive the runner, free ports and waiting without sleeping blindly."""

import ctypes
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import tempfile
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition, timeout=30.0, what="the condition"):
    """Polls until condition() is true; returns its value. Exceptions inside it count as 'not yet'."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except Exception as error:  # servers that come up refuse in many ways
            last = error
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout:g} s" + (f" ({last})" if last else ""))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def die_with_parent(with_signal=signal.SIGKILL):
    """For preexec_fn: the kernel sends with_signal to the child when the thread that started it ends. SIGHUP does what it
    does by default, also when the runner was started by nohup, which would be inherited.

    Popen changes the user before preexec_fn, so the setting is not lost by that. Start servers from the main thread.
    """
    parent = os.getpid()

    def set_it():
        _libc.prctl(PR_SET_PDEATHSIG, int(with_signal))
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if os.getppid() != parent:
            os._exit(1)

    return set_it


def free_port():
    """A port of 127.0.0.1 below the range of outgoing connections: nobody takes it while its server is down."""
    low = 20000
    try:
        high = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        high = 32768
    if high - low < 2000:
        low, high = 10000, 20000
    for _ in range(200):
        port = random.SystemRandom().randrange(low, high)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port on 127.0.0.1")


def children(pid):
    """Process ids of the direct children of pid."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry))
    return found


def is_alive(pid):
    """True while pid is a process that still runs (a zombie does not)."""
    try:
        stat = pathlib.Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def send(pid, with_signal):
    try:
        os.kill(pid, with_signal)
    except ProcessLookupError:
        pass


def unprivileged_user():
    """The passwd entry to run PostgreSQL as, since it refuses root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("no unprivileged user (postgres or nobody) to run PostgreSQL as")


def may_reach(user, path):
    """Whether user may walk to path and read it (execute it, for a folder)."""
    path = pathlib.Path(path).resolve()
    for part in [path, *path.parents]:
        st = part.stat()
        bits = st.st_mode
        mode = (bits >> 6) if st.st_uid == user.pw_uid else (bits >> 3) if st.st_gid == user.pw_gid else bits
        if not mode & 1 and part.is_dir() or (part == path and not mode & 4):
            return False
    return True


def temp_folder(prefix="docrow-test-"):
    """A new folder that other users may walk through (a server runs as another user) but not list."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o711)
    return path


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)
