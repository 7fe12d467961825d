"""Open states of an index for the threads that answer requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from weakref import WeakKeyDictionary

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.schema import snapshots
from clipdb.schema.names import is_url

MOST_SECONDS = 30.0
"""After which a query is interrupted."""


_NUMBERS = count()


class _State:
    """One state of the index with its cursors: those that nobody uses, and how many somebody does."""

    def __init__(self, root: Index) -> None:
        self.root = root
        self.number = next(_NUMBERS)
        self.identity = _identity(root.path)
        self.idle: list[Index] = []
        self.used = 0

    def close(self) -> None:
        for cursor in self.idle:
            cursor.close()
        self.root.close()


class Readers:
    """Lends out cursors of the newest state; a state that was replaced is closed when its last reader is done.

    Parameters
    ----------
    open_index
        Opens the newest state.
    at_once
        How many may read at the same time; others wait.
    most_seconds
        After which a query is interrupted; None if it may take as long as it takes.

    Raises
    ------
    ClipdbError
        If there is no index, or it can't be opened.
    """

    def __init__(
        self, open_index: Callable[[], Index], at_once: int = 4, most_seconds: float | None = MOST_SECONDS
    ) -> None:
        self._open = open_index
        self._most_seconds = most_seconds
        self._turns = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._numbers: WeakKeyDictionary[Index, int] = WeakKeyDictionary()
        self._state: _State | None = _State(open_index())

    @contextmanager
    def reading(self, files: bool = False) -> Iterator[Index]:
        """Give a cursor of the newest state to this thread.

        Parameters
        ----------
        files
            Whether an image may be a file; only for questions whose image is a file of the explorer's own.

        Raises
        ------
        ClipdbError
            If the index is gone or can't be opened, or the block takes too long.
        """
        with self._turns:
            with self._lock:
                state = self._newest()
                cursor = state.idle.pop() if state.idle and not files else None
                state.used += 1
            try:
                if cursor is None:
                    cursor = state.root.cursor()
                    cursor.files = files
                    self._numbers[cursor] = state.number
                with _interrupted(cursor, self._most_seconds) if self._most_seconds else nullcontext():
                    yield cursor
            finally:
                with self._lock:
                    state.used -= 1
                    if cursor is not None:
                        cursor.close() if files or state is not self._state else state.idle.append(cursor)
                    if state is not self._state and not state.used:
                        state.close()

    def state(self, index: Index) -> int:
        """Return the number of the state that a cursor reads; all cursors of a number give the same answers."""
        return self._numbers[index]

    def close(self) -> None:
        """Close what is open; nobody reads any more."""
        with self._lock:
            if self._state is not None:
                self._state.close()

    def _newest(self) -> _State:
        state = self._state
        if state is None or state.root.stale or _identity(state.root.path) != state.identity:
            self._state = None
            if state is not None and not state.used:  # first: DuckDB opens a file only once, and goes by its path
                state.close()
            state = self._state = _State(self._open())
        return state


def _identity(path: str | Path) -> object:
    """Tell an index from one that was put into its place: their snapshots may have the same number."""
    if is_url(path):
        return None
    folder = snapshots.newest(Path(path))
    with suppress(OSError):
        return (folder or Path(path)).stat().st_ino
    return None


@contextmanager
def _interrupted(cursor: Index, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, cursor.bare_connection.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        raise ClipdbError(f"the query takes longer than {seconds:g} s", kind="busy") from error
    finally:
        timer.cancel()
