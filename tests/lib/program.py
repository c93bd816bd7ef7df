"""Runs the program under test: DOCROW_BIN, or build/docrow."""

import os
import pathlib
import signal
import subprocess

from .processes import die_with_parent, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("DOCROW_BIN", ROOT / "build" / "docrow"))


class Result:
    """What a finished run left: status, stdout, stderr (texts)."""

    def __init__(self, arguments, status, stdout, stderr):
        self.arguments = arguments
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self):
        words = " ".join(str(a) for a in self.arguments)
        return f"docrow {words}: status {self.status}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"

    __repr__ = __str__


class Docrow:
    """One caller of the program: its working folder, and the settings that it finds in its environment."""

    def __init__(self, folder, mongo=None, postgres=None, **environment):
        self.folder = pathlib.Path(folder)
        self.environment = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("DOCROW_", "PG", "MONGODB_", "DATABASE_URL")) and k != "NO_COLOR"
        }
        self.environment["LC_ALL"] = "C.UTF-8"
        if mongo is not None:
            self.environment["MONGODB_URI"] = mongo if isinstance(mongo, str) else mongo.uri
        if postgres is not None:
            self.environment["DATABASE_URL"] = postgres if isinstance(postgres, str) else postgres.uri
        self.environment |= environment

    def start(self, *arguments, **options):
        """A running docrow (Popen, text pipes) for tests that kill or stop it."""
        environment = self.environment | {k: str(v) for k, v in options.pop("env", {}).items() if v is not None}
        for name in [k for k, v in options.pop("without", {}).items() if v]:
            environment.pop(name, None)
        return subprocess.Popen(
            [str(BINARY), *(str(a) for a in arguments)],
            cwd=self.folder,
            env=environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            errors="replace",
            preexec_fn=die_with_parent(signal.SIGKILL),
            **options,
        )

    def run(self, *arguments, status=None, timeout=120, **options):
        """Runs it to its end. `status`: the exit status that it must have (an int or a set)."""
        process = self.start(*arguments, **options)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # a sanitizer or a core shows where it hung
            stdout, stderr = process.communicate(timeout=30)
            raise AssertionError(f"not finished after {timeout} s: {Result(arguments, None, stdout, stderr)}") from None
        except BaseException:
            process.kill()
            process.wait()
            raise
        result = Result(arguments, process.returncode, stdout, stderr)
        if "Sanitizer" in stderr or "runtime error:" in stderr:
            raise AssertionError(f"a sanitizer spoke: {result}")
        if status is not None:
            allowed = {status} if isinstance(status, int) else set(status)
            assert result.status in allowed, f"expected status {sorted(allowed)}: {result}"
        return result

    def kill_when(self, condition, *arguments, with_signal=signal.SIGKILL, timeout=60, **options):
        """Starts it, sends the signal once condition() is true, returns the Result. A run that is over before the
        condition came true fails the test: it showed nothing."""
        process = self.start(*arguments, **options)
        try:
            wait_for(lambda: process.poll() is not None or condition(), timeout, "the moment to kill")
            assert process.poll() is None, f"over too early: {Result(arguments, process.returncode, *process.communicate())}"
            process.send_signal(with_signal)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Result(arguments, process.returncode, stdout, stderr)


def account_of(pg):
    """All that a run leaves on the target and that must not depend on how the documents came."""
    return (
        pg.contents(),
        pg.query("SELECT kind, object, path, n FROM docrow.ledger ORDER BY 1, 2, 3"),
        pg.query("SELECT collection, doc_id_text, fault, column_name, md5(document) FROM docrow.reject ORDER BY 1, 2, 3, 4, 5"),
        pg.query("SELECT kind, table_name, column_name, key, value_text FROM docrow.finding ORDER BY 1, 2, 3, 4, 5"),
    )
