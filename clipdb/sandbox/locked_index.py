"""An index in a process of its own, after which neither SQL nor clipdb's functions reach anything else."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator, Iterator

import duckdb

from clipdb._util.json_values import as_json
from clipdb._util.text import first_line
from clipdb.api.opening import open as open_index
from clipdb.errors import ClipdbError
from clipdb.queries.file_access import lock_files
from clipdb.sandbox.limits import (
    BYTES,
    MEMORY,
    ROWS,
    SECONDS,
    TOO_LARGE,
    TOO_LONG,
    limit_process,
    limit_question,
    resident,
)
from clipdb.sandbox.statements import DEEPEST, Statements

_SETTINGS = (
    "autoload_known_extensions = false",
    "autoinstall_known_extensions = false",
    "allow_community_extensions = false",
    "python_enable_replacements = false",
    "memory_limit = '1GB'",
    "threads = 1",
    "temp_directory = ''",
    "max_temp_directory_size = '0KB'",
    "allow_persistent_secrets = false",
    f"max_expression_depth = {DEEPEST}",
)
# After these a database may not be as it was.
_LASTING = (duckdb.FatalException, duckdb.InternalException, duckdb.InterruptException)


class LockedIndex:
    """An index or an export that answers strangers; this process can do nothing else from now on.

    Parameters
    ----------
    path, model
        See `clipdb.api.opening.open`.

    Attributes
    ----------
    spent
        Whether a question has left doubts: no other may be asked.

    Raises
    ------
    ClipdbError
        If there is none, or it can't be opened.
    """

    def __init__(self, path: str, model: str | None) -> None:
        self.spent = False
        self._index = open_index(path, model=model, files=False, models=False)
        connection = self._index.connection  # with vectors and functions, which can't be registered later
        self._statements = Statements(connection)
        for setting in _SETTINGS:
            connection.execute(f"set {setting}")
        lock_files(self._index)
        connection.execute("set lock_configuration = true")
        limit_process()

    def answer(self, sql: str) -> Iterator[str]:
        """Answer in lines of JSON: names and types, each row, and how it ended."""
        limit_question()
        timer = threading.Timer(SECONDS, self._interrupt)
        timer.start()
        cut, problem = False, None
        try:
            self._statements.check(sql)
            cut = yield from self._rows(sql)
        except BaseException as error:
            problem = self._problem(error)
        timer.cancel()
        timer.join()
        self.spent |= resident(os.getpid()) > MEMORY // 2  # with vectors that it keeps, say: the next one needs room
        yield json.dumps({"cut": cut, "error": problem, "spent": self.spent})

    def _rows(self, sql: str) -> Generator[str, None, bool]:
        """Give names and types, then rows; return whether there were more than an answer may have."""
        result = self._index.execute(sql)
        columns = result.description or []
        line = json.dumps({"names": [column[0] for column in columns], "types": [str(column[1]) for column in columns]})
        rows, size = 0, len(line)
        while rows <= ROWS and size <= BYTES:
            yield line
            row = self._index.explained(result.fetchone)
            if row is None:
                return False
            line = json.dumps(as_json(row))
            rows, size = rows + 1, size + len(line)
        return True

    def _interrupt(self) -> None:
        self.spent = True
        self._index.bare_connection.interrupt()

    def _problem(self, error: BaseException) -> str:
        """Say in one line what went wrong."""
        if self.spent:
            return TOO_LONG
        if isinstance(error, ClipdbError):
            return str(error)
        text = first_line(error)
        # What a function of clipdb's raises, DuckDB passes on in words.
        large = isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "MemoryError:" in text
        self.spent = large or not isinstance(error, duckdb.Error) or isinstance(error, _LASTING)
        return TOO_LARGE if large else text
