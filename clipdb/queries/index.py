"""An index, open for questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from clipdb._util.text import without_login
from clipdb.errors import ClipdbError
from clipdb.queries.failures import reason
from clipdb.queries.named.methods import Queries
from clipdb.queries.named.parameters import require_utf8
from clipdb.queries.named.sql_files import NamedQuery
from clipdb.queries.needs import reads_one_model, reads_vector_tables, reads_vectors, with_vectors_listed
from clipdb.queries.place import OnDisk, Place
from clipdb.queries.resolve import SAME_SPELLING
from clipdb.schema.connections import settle
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.models.embedder import Embedder
    from clipdb.queries.functions.base.context import Context
    from clipdb.queries.vectors.cache import VectorStore
    from clipdb.queries.vectors.lance_tables import Vectors

_T = TypeVar("_T")


def no_embedder(_index: Index) -> Embedder:
    """Refuse what only a model could answer."""
    raise ClipdbError("this image or text is not in the index: open it with `clipdb.open`, which can run the model")


class Index:
    """An index on disk or an exported artefact, open for reading.

    Parameters
    ----------
    path
        The directory of an index or an artefact, or the URL of an artefact.
    queries
        Folders of named queries of your own.
    model
        The model that ``image_vectors`` and ``text_vectors`` stand for in SQL; not needed where there is one.
    embedder
        Makes what runs the model on images and texts that the index lacks; called only when one is asked about.
    place
        Where the relations and vectors are, if not in an index on disk; an artefact, for example.

    Raises
    ------
    ClipdbError
        If there is neither, or it can't be opened.

    Notes
    -----
    While an index is open for reading no command can write to it: close it, or use it in a ``with`` block.
    Nobody writes to an artefact.
    """

    def __init__(
        self,
        path: str | Path,
        queries: Sequence[str | Path] = (),
        model: str | None = None,
        embedder: Callable[[Index], Embedder] = no_embedder,
        place: Place | None = None,
        files: bool = True,
    ) -> None:
        self.path = path if is_url(path) else Path(path)
        self.folders = tuple(Path(folder) for folder in queries)
        self.files = files
        self._wanted = self._model = model
        self._embedder = embedder
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
        self._engine: Engine | None = None

    def __enter__(self) -> Index:
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
        newer = OnDisk(Path(self.path))
        self.close()
        self._store = None
        self._begin(newer)
        return True

    def cursor(self) -> Index:
        """Open the same state once more, for another thread, which has to close it: vectors are read only once."""
        other = Index(self.path, self.folders, self._wanted, self._embedder, self._place.again(), self.files)
        other._store = self.context.store
        return other

    def sql(self, query: str, **params: Any) -> duckdb.DuckDBPyRelation:
        """Ask in SQL.

        Parameters
        ----------
        query
            SQL with ``$name`` for each parameter.
        **params
            Their values.

        Returns
        -------
        duckdb.DuckDBPyRelation
            ``.df()``, ``.pl()``, ``.arrow()`` and ``.fetchall()`` give its rows.

        Raises
        ------
        duckdb.Error
            If DuckDB does not accept the SQL.
        ClipdbError
            If the SQL reads vectors that are not as the catalog says.
        """
        self.prepare(query, params)
        statement = with_vectors_listed(query)
        return self.explained(lambda: self.bare_connection.sql(statement, params=params or None))

    def execute(self, query: str, params: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run SQL as `sql` does and return the connection, to fetch rows from as they come."""
        self.prepare(query, params)
        statement = with_vectors_listed(query)
        return self.explained(lambda: self.bare_connection.execute(statement, dict(params) if params else None))

    def rows(self, function: str, **arguments: Any) -> list[dict[str, Any]]:
        """Call a table function without SQL: the quickest way to ask a question again and again.

        Parameters
        ----------
        function
            Its name in SQL, ``neighbours`` for example.
        **arguments
            Its arguments by name; ``model`` may be left out where the index has one.

        Returns
        -------
        list of dict
            The rows, by column.

        Raises
        ------
        ClipdbError
            If there is no such function, an argument is missing or unknown, or the question has no answer.
        """
        from clipdb.queries.functions import functions

        found = functions().get(function)
        if found is None:
            raise ClipdbError(f"no table function {function!r}: there are {', '.join(functions())}")
        context = self.context
        if self._model is not None and "model" in found.parameters:
            arguments = {"model": self._model} | arguments
        return self.explained(lambda: found.rows(context, arguments))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB's own connection, with vectors and table functions from the start.

        Its ``sql`` finds data frames by the names of your variables: ``db.connection.sql("from mine join heads ...")``.
        """
        self._show_vectors()
        return self.bare_connection

    def register(self, name: str, data: Any) -> None:
        """Let SQL read a data frame, an Arrow table or a relation of DuckDB's under a name.

        Parameters
        ----------
        name
            What SQL calls it.
        data
            A frame of pandas or polars, or an Arrow table.

        Raises
        ------
        ClipdbError
            If the catalog has a table or view of that name.
        """
        taken = "select 1 from (show all tables) where name = ? and not temporary"
        if self.bare_connection.execute(taken, [name]).fetchone():
            raise ClipdbError(f"the catalog has {name!r} already: choose another name")
        self.bare_connection.register(name, data)

    @property
    def query(self) -> Queries:
        """The named queries, each a method: ``index.query.property(property="colour")``."""
        return Queries(self)

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

    def bind(self, query: NamedQuery, given: Mapping[str, Any]) -> dict[str, Any]:
        """Work out the value of each of a named query's parameters: see `clipdb.queries.named.binding.bind`."""
        from clipdb.queries.named.binding import bind

        return bind(self.bare_connection, query, given, self._model, self.files)

    def prepare(self, query: str, params: Mapping[str, Any] | None = None) -> None:
        """Open the vectors before the first statement that may read them: Lance is slow to import."""
        require_utf8((query, *(params or {}).values()))
        if not reads_vectors(query):
            return
        self.context.begin()
        if reads_vector_tables(query):
            self._show_vectors()
        if reads_one_model(query) and self._model is None:
            self.context.model(None)

    def explained(self, run: Callable[[], _T]) -> _T:
        """Do something with the index's connection, and raise what is behind an error of DuckDB's, if that is known."""
        try:
            return run()
        except Exception as error:
            cause = reason(error, self._context, self._place)
            if cause is error:
                raise
            raise cause from error

    def _show_vectors(self) -> None:
        """Let SQL see the vectors as tables, and the table functions."""
        _ = self.context
        if not self._shown:
            from clipdb.queries.vectors.lance_tables import register_vectors

            register_vectors(self.bare_connection, self.vectors, self._model)
            self._shown = True

    def _open_vectors(self) -> Context:
        from clipdb.queries.functions import register
        from clipdb.queries.functions.base.context import Context

        embedder = partial(self._embedder, self)
        context = Context(self.bare_connection, self.vectors, embedder, self._place.unreadable, self._store, self.files)
        if self._model is not None or len(context.store.models("images")) == 1:
            self._model = context.model(self._model)
        register(self.bare_connection, context)
        return context
