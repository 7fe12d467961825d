"""A sandbox's process, as the process sees it that asks: nothing that comes from there is trusted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipdb._util.text import plain
from clipdb.errors import ClipdbError
from clipdb.sandbox.limits import BYTES, KILL_SECONDS, MEMORY, ROWS, TOO_LARGE, TOO_LONG, resident
from clipdb.schema import snapshots

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_LONGEST = 1000  # letters of a message

# Isolated: neither the environment nor the working directory nor a user's folder says what Python imports.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from clipdb.sandbox.child import main; main()"


@dataclass(frozen=True)
class Answer:
    """What SQL gave.

    Attributes
    ----------
    names, types
        Of the columns, in DuckDB's words.
    rows
        Their values as JSON has them: dates are text, blobs hexadecimal.
    cut
        Whether there were more rows than an answer may have.
    """

    names: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    cut: bool


class Worker:
    """A process that answers questions, started at once and open for them in a second or two.

    Parameters
    ----------
    path, model
        See `clipdb.api.opening.open`; an absolute path.
    """

    def __init__(self, path: Path, model: str | None) -> None:
        self._path = path
        self._state = snapshots.newest(path)  # or an older one, if a newer one is published while the process opens it
        program = _PROGRAM.format(path=[str(Path(folder).absolute()) for folder in sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # Ctrl-C is for those who ask
        )
        self._spent = self._open = False
        self._killed: str | None = None
        self._left = 2 * BYTES
        self._send({"path": str(path), "model": model})

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it may be asked: it is alive, no question left doubts, and the index has no newer state."""
        return not self._spent and self._process.poll() is None and snapshots.newest(self._path) == self._state

    def ask(self, sql: str) -> Answer:
        """Ask a question; one at a time.

        Raises
        ------
        ClipdbError
            If the SQL is refused, fails or takes too much.
        """
        self._spent = True  # until it has answered well
        try:
            if not self._open:
                with self._killed_after(_START_SECONDS):
                    _raise(self._read())
                self._open = True
            with self._killed_after(KILL_SECONDS):
                self._left = 2 * BYTES
                self._send(sql)
                return self._answer()
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            self._spent = True
            problem = self._killed or "the SQL ended the process that ran it"
            raise ClipdbError(problem if self._open else "no process for untrusted SQL could be started") from error

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        with suppress(OSError), self._process:  # which closes its pipes; one may be broken
            pass

    def _answer(self) -> Answer:
        names: list[str] = []
        types: list[str] = []
        rows: list[tuple[Any, ...]] = []
        while isinstance(message := self._read(), list) or "names" in message:
            if not isinstance(message, list):
                names, types = message["names"], message["types"]
            elif len(rows) < ROWS:
                rows.append(tuple(message))
            else:
                raise ValueError("these are too many rows")
        self._spent = message["spent"] is not False
        _raise(message)
        if {*map(type, names), *map(type, types)} - {str} or {*map(len, rows)} - {len(names)}:
            raise ValueError("this is no answer")
        return Answer(names, types, rows, bool(message["cut"]))

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> Any:
        """Read a message; an answer may have no more bytes than are left to it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline(self._left)
        self._left -= len(line)
        return json.loads(line)  # a process that has ended has sent nothing, which is no JSON

    @contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        """Kill the process if it takes too long or too much memory inside."""
        done = threading.Event()
        end = time.monotonic() + seconds

        def look() -> None:
            while not done.wait(_LOOK_SECONDS):
                late = time.monotonic() > end
                if late or resident(self._process.pid) > MEMORY:
                    self._killed = TOO_LONG if late else TOO_LARGE
                    self._process.kill()
                    return

        watching = threading.Thread(target=look, name="clipdb-sandbox", daemon=True)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()


def _raise(message: Any) -> None:
    """Raise what a message says went wrong, if anything, on one line."""
    if (error := message["error"]) is not None:
        raise ClipdbError(plain(str(error))[:_LONGEST])
