"""An index, open for questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.failures import reason
from clipdb.queries.methods import Queries
from clipdb.queries.named import NamedQuery
from clipdb.queries.parameters import convert
from clipdb.queries.resolve import SAME_SPELLING, require_rows, resolve
from clipdb.schema import catalog
from clipdb.schema.connections import settle
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.queries.context import Context
    from clipdb.queries.exported import Artefact
    from clipdb.queries.subjects import Embedder
    from clipdb.queries.vectors import Vectors

# The vectors' schema, and every name in clipdb.queries.functions, which only a statement that needs them may import.
_VECTORS = re.compile(
    r"vectors|neighbours|contributions|ablate|reconstruct|image_texts|text_texts|alike|activating|"
    r"outliers|text_heads",
    re.IGNORECASE,
)
_VECTORS_IN_SQL = re.compile("vectors", re.IGNORECASE)
_SHORT_NAMES = re.compile(r"\b(image|text)_vectors\b", re.IGNORECASE)
_T = TypeVar("_T")


def no_embedder() -> Embedder:
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
        embedder: Callable[[], Embedder] = no_embedder,
    ) -> None:
        self.path = path if is_url(path) else Path(path)
        self.folders = tuple(Path(folder) for folder in queries)
        self._artefact = _artefact(self.path)
        self.connection = catalog.connect(Path(path)) if self._artefact is None else self._artefact.connection
        self.connection.execute(SAME_SPELLING)
        self._model = model
        self._embedder = embedder
        self._vectors: Vectors | None = None
        self._context: Context | None = None
        self._shown = False  # whether SQL sees the vectors as tables
        self._engine: Engine | None = None

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cause = None if error is None else reason(error, self._context, self._artefact)
        self.close()
        if cause is not None and cause is not error:
            raise cause from error

    def __repr__(self) -> str:
        return f"clipdb.open({str(self.path)!r})"

    def close(self) -> None:
        """Close the index; results that were not fetched are lost."""
        settle(self.connection)
        self.connection.close()
        if self._engine is not None:
            self._engine.dispose()

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
        self._prepare(query, params)
        return self._explained(lambda: self.connection.sql(query, params=params or None))

    def execute(self, query: str, params: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run SQL and return the connection, to fetch rows from as they come.

        Raises
        ------
        duckdb.Error
            If DuckDB does not accept the SQL.
        ClipdbError
            If the SQL reads vectors that are not as the catalog says.
        """
        self._prepare(query, params or {})
        return self._explained(lambda: self.connection.execute(query, dict(params) if params else None))

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
        from clipdb.queries.functions import FUNCTIONS

        found = next((one for one in FUNCTIONS if one.name == function), None)
        if found is None:
            raise ClipdbError(f"no table function {function!r}: there are {', '.join(one.name for one in FUNCTIONS)}")
        context = self.context
        if self._model is not None and "model" in found.parameters:
            arguments = {"model": self._model} | arguments
        return found.rows(context, arguments)

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
            from clipdb.queries.vectors import LanceVectors

            artefact = self._artefact
            self._vectors = LanceVectors(Path(self.path), self.connection) if artefact is None else artefact.vectors()
        return self._vectors

    @property
    def engine(self) -> Engine:
        """A SQLAlchemy engine over the catalog; its tables are ``clipdb.schema.heads`` and so on."""
        if self._engine is None:
            from clipdb.schema.engine import engine, engine_on

            artefact = self._artefact
            self._engine = engine(Path(self.path)) if artefact is None else engine_on(self.connection.cursor)
        return self._engine

    def bind(self, query: NamedQuery, given: Mapping[str, Any]) -> dict[str, Any]:
        """Work out the value of each of a named query's parameters.

        Parameters
        ----------
        query
            The query.
        given
            Values by parameter name; None counts as left out.

        Raises
        ------
        ClipdbError
            If a value is missing, unknown, of the wrong type or not in the index, or a table is still empty.
        """
        names = [parameter.name for parameter in query.parameters]
        if unknown := sorted(set(given) - set(names)):
            raise ClipdbError(f"{query.command} has no parameter {unknown[0]!r}: it takes {', '.join(names) or 'none'}")
        values = {parameter.name: convert(parameter, given.get(parameter.name)) for parameter in query.parameters}
        for parameter in query.parameters:
            if values[parameter.name] is None:
                values[parameter.name] = self._model if parameter.type == "model" else parameter.default
            if values[parameter.name] is None and parameter.required and parameter.type != "model":
                raise ClipdbError(f"{query.command} needs {parameter.option}: {parameter.help}")
        _require_utf8(values.values())
        require_rows(self.connection, query.needs)
        # The model comes first: heads and properties are looked up in it.
        for parameter in sorted(query.parameters, key=lambda parameter: parameter.type != "model"):
            value = values[parameter.name]
            if value is not None or parameter.required:
                values[parameter.name] = resolve(self.connection, parameter.type, value, values.get("model"))
        return values

    def _prepare(self, query: str, params: Mapping[str, Any]) -> None:
        """Open the vectors before the first statement that may read them: Lance is slow to import."""
        _require_utf8((query, *params.values()))
        if not reads_vectors(query):
            return
        self.context.begin()
        if not self._shown and _VECTORS_IN_SQL.search(query):
            from clipdb.queries.vectors import register_vectors

            register_vectors(self.connection, self.vectors, self._model)
            self._shown = True
        if _SHORT_NAMES.search(query) and self._model is None:
            self.context.model(None)

    def _open_vectors(self) -> Context:
        from clipdb.queries.context import Context
        from clipdb.queries.functions import register

        unreadable = self._artefact.unreadable if self._artefact else partial(catalog.unreadable, Path(self.path))
        context = Context(self.connection, self.vectors, self._embedder, unreadable)
        if self._model is not None or len(context.store.models("images")) == 1:
            self._model = context.model(self._model)
        register(self.connection, context)
        return context

    def _explained(self, run: Callable[[], _T]) -> _T:
        try:
            return run()
        except (duckdb.Error, RuntimeError) as error:
            cause = reason(error, self._context, self._artefact)
            if cause is error:
                raise
            raise cause from error


def _artefact(path: str | Path) -> Artefact | None:
    """Open an artefact; give None where this is a path, and of something else."""
    if isinstance(path, Path) and not catalog.is_artefact(path):
        return None
    from clipdb.queries.exported import Artefact

    return Artefact(path)


def _require_utf8(values: Iterable[Any]) -> None:
    """Raise UnicodeEncodeError where DuckDB's own error would not say what is wrong."""
    for value in values:
        if isinstance(value, str):
            value.encode()


def reads_vectors(sql: str) -> bool:
    """Whether a statement may read vectors, so that they have to be opened before it runs."""
    return _VECTORS.search(sql) is not None
