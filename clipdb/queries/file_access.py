"""SQL without files: what a statement may be, and how DuckDB is kept to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.schema import catalog
from clipdb.schema.names import is_url

REFUSED = "SQL may not read or write files unless --files is given"

_TO_FILES = {"COPY", "EXPORT", "ATTACH", "LOAD"}
_AROUND = {"EXPLAIN", "PREPARE"}  # statements that hold another, whose type DuckDB doesn't tell
_WORDS = re.compile("|".join(rf"\b{word}\b" for word in _TO_FILES), re.IGNORECASE)
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_ENDS_PYTHON = re.compile(r"\bpandas_scan\b", re.IGNORECASE)


@contextmanager
def files_as_allowed(index: Index, query: str, files: bool) -> Iterator[None]:
    """Run a statement inside, with or without DuckDB's own access to files and the network.

    Parameters
    ----------
    index
        An index or an artefact. Without files it can be asked only this statement afterwards.
    query
        The SQL that comes next: the vectors that it reads are opened first, which is not possible later.
    files
        Whether SQL may read and write files. Without it, DuckDB reads those of the artefact alone and writes none.

    Raises
    ------
    ClipdbError
        If the SQL would read or write files and may not, or would write into the index itself.
    """
    if _ENDS_PYTHON.search(query):
        raise ClipdbError("pandas_scan can't be called from SQL: name a table or a view instead")
    index.prepare(query)
    if not files:
        lock_files(index)
    try:
        for statement in index.bare_connection.extract_statements(query):
            if _is_of_files(statement, query):
                if not files:
                    raise ClipdbError(REFUSED)
                _require_elsewhere(index, query)
        yield
    except duckdb.PermissionException as error:
        if files:
            raise
        raise ClipdbError(REFUSED) from error


def lock_files(index: Index) -> None:
    """Turn DuckDB's access to anything but the open index off; it can't be turned on again."""
    connection = index.bare_connection
    if is_url(index.path):
        connection.execute("select count(*) from duckdb_secrets()").fetchall()  # which reads those that are stored
    if not catalog.exists(Path(index.path)):
        folder = str(index.path).rstrip("/").replace("'", "''")
        # Not bound: to look at a list, DuckDB imports pandas.
        connection.execute(f"set allowed_directories = ['{folder}/']")
    connection.execute("set enable_external_access = false")


def _is_of_files(statement: duckdb.Statement, query: str) -> bool:
    kind = statement.type.name
    return kind in _TO_FILES or (kind in _AROUND and _WORDS.search(query) is not None)


def _require_elsewhere(index: Index, query: str) -> None:
    """Refuse a path in the index or artefact, which DuckDB would write over though it has it open."""
    if is_url(index.path):
        return
    own = Path(index.path).resolve()
    for text in _TEXT.findall(query):
        if Path(text.replace("''", "'")).resolve().is_relative_to(own):
            raise ClipdbError(f"SQL may not copy to or attach files of {index.path}: name a place outside of it")
