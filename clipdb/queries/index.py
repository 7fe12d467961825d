"""An index, open for questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.named.methods import Queries
from clipdb.queries.named.sql_files import NamedQuery
from clipdb.queries.needs import with_vectors_listed
from clipdb.queries.opened import OpenIndex

if TYPE_CHECKING:
    from lancedb.table import LanceTable

    from clipdb.queries.vectors.vector_tables import Kind

_T = TypeVar("_T")


class Index(OpenIndex):
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
    files
        Whether an image in a question may be a file.

    Raises
    ------
    ClipdbError
        If there is neither, or it can't be opened.

    Notes
    -----
    An index that is open has one state for as long as it is open, whatever is written meanwhile, and keeps nobody from
    writing: `stale` says whether there is a newer state, and `refresh` opens it. Connections are for one thread at a
    time: give each thread a `cursor` of its own.

    Examples
    --------
    >>> with clipdb.open("mine.clipdb") as db:
    ...     db.sql("select count(*) from heads where model_id = $model", model="clipdb-tiny/scenes").fetchone()
    ...     len(db.query.neighbours(image="scene-00000.png", head="L3.H1", k=2).fetchall())
    (24,)
    2
    """

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
        statement = with_vectors_listed(query)
        return self._with_views(lambda: self.bare_connection.sql(statement, params=params or None), query, params)

    def execute(self, query: str, params: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run SQL as `sql` does and return the connection, to fetch rows from as they come."""
        statement, values = with_vectors_listed(query), dict(params) if params else None
        return self._with_views(lambda: self.bare_connection.execute(statement, values), query, params)

    def _with_views(self, run: Callable[[], _T], query: str, params: Mapping[str, Any] | None) -> _T:
        """Run a statement, again with all views if it reads one by a name that it puts together, or a misspelt one."""
        self.prepare(query, params)
        try:
            return self.explained(run)
        except duckdb.CatalogException:
            if not self._place.make_views(None):
                raise
            return self.explained(run)

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
            raise ClipdbError(f"no table function {function!r}: there are {', '.join(functions())}", kind="absent")
        context = self.context
        if self._model is not None and "model" in found.parameters:
            arguments = {"model": self._model} | arguments
        return self.explained(lambda: found.rows(context, arguments))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB's own connection, with views, vectors and table functions from the start.

        Its ``sql`` finds data frames by the names of your variables: ``db.connection.sql("from mine join heads ...")``.
        """
        from clipdb.queries.functions import functions

        self._place.make_views(None)
        self._let_call(functions())
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
        self._place.make_views(name)
        if self.bare_connection.execute(taken, [name]).fetchone():
            raise ClipdbError(f"the catalog has {name!r} already: choose another name")
        self.bare_connection.register(name, data)

    @property
    def query(self) -> Queries:
        """The named queries, each a method: ``index.query.property(property="colour")``."""
        return Queries(self)

    def lancedb(self, kind: Kind = "images", model: str | None = None) -> LanceTable:
        """Open the vectors of a model as LanceDB's own table, at this state's version.

        LanceDB searches with filters and gives pandas, polars and Arrow. The columns are ``image_id`` or ``text_id``,
        ``embedding``, and one per head: ``l11h3``.

        Parameters
        ----------
        kind
            ``images`` or ``texts``.
        model
            Model name; not needed where there is one.

        Raises
        ------
        ClipdbError
            If lancedb is not installed, the model has no such vectors, or this is an artefact.

        Examples
        --------
        >>> with clipdb.open("mine.clipdb") as db:
        ...     table = db.lancedb()
        ...     found = table.search(table.head(1)["l3h0"][0].as_py(), vector_column_name="l3h0").limit(3).to_arrow()
        ...     table.count_rows(), found.num_rows
        (12, 3)
        """
        name = self.context.model(model or self._model)
        self.context.store.table(name, kind)  # which says what is missing
        return self.vectors.lancedb(name, kind)

    def bind(self, query: NamedQuery, given: Mapping[str, Any]) -> dict[str, Any]:
        """Work out the value of each of a named query's parameters: see `clipdb.queries.named.binding.bind`."""
        from clipdb.queries.named.binding import bind

        return bind(self.ask, query, given, self._model, self.files)
