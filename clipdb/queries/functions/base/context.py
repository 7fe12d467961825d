"""What a table function computes from: the vectors, the heads, and whoever can embed what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.find_image import FIND, written
from clipdb.queries.functions.base.subjects import Subjects
from clipdb.queries.resolve import one_model
from clipdb.queries.vectors.cache import VectorStore
from clipdb.queries.vectors.model_heads import HEADS, ModelHeads, read_model_heads
from clipdb.schema.connections import was_interrupted

if TYPE_CHECKING:
    from clipdb.models.embedder import Embedder
    from clipdb.queries.place import Place

_STOPPED_SECONDS = 10.0  # from planning to running a statement, on a busy machine


class Context:
    """An index as the table functions see it.

    Parameters
    ----------
    place
        The relations. Functions run inside statements of its connection, so they read by a cursor of their own.
    store
        The vectors of the index.
    embedder
        Makes the embedder of new images and texts.
    files
        Whether an image may be a file.

    Attributes
    ----------
    store, subjects
        The vectors, and images and texts by name.
    noted
        What was said already that is to be said once.
    error
        What a function raised last: DuckDB wraps it in a traceback, and the caller raises this instead.
    """

    def __init__(
        self,
        place: Place,
        store: VectorStore,
        embedder: Callable[[], Embedder],
        files: bool,
    ) -> None:
        self.store = store
        self.subjects = Subjects(self.store, self.heads, self._images_named, embedder, files)
        self.noted: set[Hashable] = set()
        self.error: ClipdbError | KeyboardInterrupt | None = None
        self._stopped_at: float | None = None
        self._place = place
        self._cursor = place.connection.cursor()
        self._lock = threading.RLock()  # DuckDB calls a function from several threads, and a cursor holds one result
        self._heads: dict[str, ModelHeads] = {}

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Remember what a function raises, and refuse to start one again that was just stopped.

        DuckDB swallows what a function of constants raises while it plans, KeyboardInterrupt too, and calls it again.
        """
        try:
            if self._stopped_at is not None and time.monotonic() - self._stopped_at < _STOPPED_SECONDS:
                raise KeyboardInterrupt
            yield
        except (ClipdbError, KeyboardInterrupt) as error:
            self.error = error
            if isinstance(error, KeyboardInterrupt):
                self._stopped_at = time.monotonic()
            raise

    def begin(self) -> None:
        """Forget what the statement before has left: a relation that was fetched late may have failed."""
        self.error = self._stopped_at = None

    def model(self, wanted: str | None) -> str:
        """Choose a model that has images: the one asked for, or the only one."""
        known = self.store.models("images")
        if not known and self.rows("select 1 from models limit 1"):
            raise ClipdbError(
                "there are relations here, but no vectors of images: `clipdb ingest images` makes them, "
                "and `clipdb export --what all` takes them along",
                kind="absent",
            )
        if wanted not in known and self.rows("select 1 from heads where model_id = ? limit 1", wanted):
            raise ClipdbError(
                f"{wanted} has no images in this index, where its heads were only named: run `clipdb ingest images SRC "
                f"--model {wanted}`",
                kind="absent",
            )
        return one_model(known, wanted)

    def heads(self, model: str) -> ModelHeads:
        """Return a model's heads, read once."""
        with self._reading() as cursor:
            if model not in self._heads:
                self._place.make_views(HEADS)
                self._heads[model] = read_model_heads(cursor, model)
            return self._heads[model]

    def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run SQL on the catalog."""
        with self._reading() as cursor:
            self._place.make_views(sql)
            return cursor.execute(sql, list(parameters)).fetchall()

    def _images_named(self, name: str) -> list[tuple[str, str | None]]:
        return cast("list[tuple[str, str | None]]", self.rows(FIND, written(name)))

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            try:
                yield self._cursor
            except duckdb.Error as error:
                raise self._place.unreadable(error) from error  # anybody may have written an artefact
            except RuntimeError as error:
                if was_interrupted(error):  # else DuckDB would pass Ctrl-C on in words to the statement outside
                    raise KeyboardInterrupt from error
                raise
