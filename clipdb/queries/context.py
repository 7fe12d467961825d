"""What a table function computes from: the vectors, the heads, and whoever can embed what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.model_heads import ModelHeads, read_model_heads
from clipdb.queries.resolve import one_model
from clipdb.queries.store import VectorStore
from clipdb.queries.subjects import Embedder, Subjects
from clipdb.queries.vectors import Versions


class Context:
    """An index as the table functions see it.

    Parameters
    ----------
    index
        The index's directory.
    connection
        An open catalog. Functions run inside its statements, so what they read comes from a cursor of their own.
    versions
        What `clipdb.queries.vectors.committed_versions` gives.
    embedder
        Makes the embedder of new images and texts.

    Attributes
    ----------
    store, subjects
        The vectors, and images and texts by name.
    error
        What a function raised last: DuckDB wraps it in a traceback, and the caller shows this instead.
    """

    def __init__(
        self,
        index: Path,
        connection: duckdb.DuckDBPyConnection,
        versions: Versions,
        embedder: Callable[[], Embedder],
    ) -> None:
        self.index = index
        self.store = VectorStore(index, versions)
        self.subjects = Subjects(self.store, self.heads, embedder)
        self.error: ClipdbError | None = None
        self._cursor = connection.cursor()
        self._lock = threading.RLock()  # DuckDB calls a function from several threads, and a cursor holds one result
        self._heads: dict[str, ModelHeads] = {}

    def model(self, wanted: str | None) -> str:
        """Choose a model that has images: the one asked for, or the only one."""
        return one_model(self.store.models("images"), wanted)

    def heads(self, model: str) -> ModelHeads:
        """Give a model's heads, read once."""
        with self._lock:
            if model not in self._heads:
                self._heads[model] = read_model_heads(self._cursor, model)
            return self._heads[model]

    def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run SQL on the catalog."""
        with self._lock:
            return self._cursor.execute(sql, list(parameters)).fetchall()
