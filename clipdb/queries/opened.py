"""What is open of an index: one state of it, with its connection, its vectors and what computes from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from clipdb._util.text import without_login
from clipdb.errors import ClipdbError
from clipdb.queries.error_causes import reason
from clipdb.queries.named.parameters import require_utf8
from clipdb.queries.needs import functions_named, reads_all_views, reads_one_model, reads_vector_tables, reads_vectors
from clipdb.queries.place import OnDisk, Place
from clipdb.queries.resolve import SAME_SPELLING
from clipdb.schema.connections import settle
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy import Engine

    from clipdb.models.embedder import Embedder
    from clipdb.queries.functions.base.context import Context
    from clipdb.queries.vectors.cache import VectorStore
    from clipdb.queries.vectors.vector_tables import Vectors

_T = TypeVar("_T")


def no_embedder(_index: OpenIndex) -> Embedder:
    """Refuse what only a model could answer."""
    raise ClipdbError(
        "this image or text is not in the index: open it with `clipdb.open`, which can run the model", kind="absent"
    )


class OpenIndex:
    """A state of an index or artefact that is open for reading; `clipdb.queries.index.Index` asks it."""

    cache_bytes = 2 * 2**30
    """How much of the vectors is kept in memory; set it before the first question."""

    def __init__(
        self,
        path: str | Path,
        queries: Sequence[str | Path] = (),
        model: str | None = None,
        embedder: Callable[[Any], Embedder] = no_embedder,
        place: Place | None = None,
        files: bool = True,
    ) -> None:
        self.path = path if is_url(path) else Path(path)
        self.folders = tuple(Path(folder) for folder in queries)
        self.files = files
        self._wanted = self._model = model
        self._embedder = embedder
        self._opening = Lock()  # cursors may be made in the threads that use them
        self._store: VectorStore | None = None
        self._begin(OnDisk(Path(path)) if place is None else place)

    def _begin(self, place: Place) -> None:
        self._place: Place = place
        self.bare_connection = place.connection
        self.bare_connection.execute(SAME_SPELLING)
        self._model = self._wanted
        self._vectors: Vectors | None = None
        self._context: Context | None = None
        self._shown = False  # whether SQL sees the vectors as tables
        self._callable: set[str] = set()  # the table functions that SQL can call
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cause = None if error is None else reason(error, self._context, self._place)
        self.close()
        if cause is not None and cause is not error:
            raise cause from error

    def __repr__(self) -> str:
        return f"clipdb.open({without_login(str(self.path))!r})"

    def close(self) -> None:
        """Close the index; results that were not fetched are lost."""
        settle(self.bare_connection)
        self._place.close()
        if self._engine is not None:
            self._engine.dispose()

    @property
    def stale(self) -> bool:
        """Whether a writer has published a newer state of the index since this one was opened."""
        return self._place.stale

    def refresh(self) -> bool:
        """Open the newest state in place of this one; results that were not fetched are lost.

        Returns
        -------
        bool
            Whether there was a newer one.
        """
        if not self.stale:
            return False
        newer = self._place.newest()
        self.close()
        self._store = None
        self._begin(newer)
        return True

    def cursor(self) -> Self:
        """Open the same state once more, for another thread, which has to close it: vectors are read only once."""
        other = type(self)(self.path, self.folders, self._wanted, self._embedder, self._place.again(), self.files)
        other._store = self.store
        return other

    @property
    def store(self) -> VectorStore:
        """The vectors as they are in memory, shared with all cursors."""
        from clipdb.queries.vectors.cache import VectorStore

        with self._opening:
            if self._store is None:
                self._store = VectorStore(self.vectors, self.cache_bytes)
            return self._store

    @property
    def context(self) -> Context:
        """The vectors, heads and models behind the table functions; Lance is imported when it is first needed."""
        if self._context is None:
            self._context = self._open_vectors()
        return self._context

    @property
    def vectors(self) -> Vectors:
        """The tables of vectors."""
        if self._vectors is None:
            self._vectors = self._place.vectors()
        return self._vectors

    def thumbnails(self, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the small pictures that an export has of some images, by image_id; an index has none."""
        return self._place.thumbnails(image_ids)

    @property
    def engine(self) -> Engine:
        """A SQLAlchemy engine over the catalog; its tables are ``clipdb.schema.heads`` and so on."""
        if self._engine is None:
            self._engine = self._place.engine()
        return self._engine

    def ask(self, query: str, values: object = None) -> duckdb.DuckDBPyConnection:
        """Run SQL of clipdb's own, which reads relations and views alone."""
        self._place.make_views(query)
        return self.explained(lambda: self.bare_connection.execute(query, values))

    def prepare(self, query: str, params: Mapping[str, Any] | None = None) -> None:
        """Make the views that a statement may read, and open the vectors before the first that may read those."""
        require_utf8((query, *(params or {}).values()))
        self._place.make_views(None if reads_all_views(query) else query)
        if not reads_vectors(query):
            return
        self.context.begin()
        self._let_call(functions_named(query))
        if reads_vector_tables(query):
            self._show_vectors()
        if reads_one_model(query) and self._model is None:
            self.context.model(None)

    def _let_call(self, names: Collection[str]) -> None:
        """Let SQL call table functions: to register all of them takes longer than most questions."""
        from clipdb.queries.functions import register

        register(self.bare_connection, self.context, set(names) - self._callable)
        self._callable.update(names)

    def _show_vectors(self) -> None:
        """Let SQL see the vectors as tables."""
        if not self._shown:
            from clipdb.queries.vectors.vector_tables import register_vectors

            register_vectors(self.bare_connection, self.vectors, self._model)
            self._shown = True

    def _open_vectors(self) -> Context:
        from clipdb.queries.functions.base.context import Context

        embedder = partial(self._embedder, self)
        context = Context(self._place, self.store, embedder, self.files)
        if self._model is not None or len(context.store.models("images")) == 1:
            self._model = context.model(self._model)
        return context

    def explained(self, run: Callable[[], _T]) -> _T:
        """Do something with the index's connection, and raise what is behind an error of DuckDB's, if that is known."""
        try:
            return run()
        except Exception as error:
            cause = reason(error, self._context, self._place)
            if cause is error:
                raise
            raise cause from error
