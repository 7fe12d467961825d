"""Views of a catalog that nobody keeps, each made when a statement first names it."""

from __future__ import annotations

import re
from threading import Lock

import duckdb

from clipdb.schema import views
from clipdb.schema.connections import closing

_WORD = re.compile(r"\w+")


class NamedViews:
    """The views of a catalog in memory: making all of them takes longer than most questions.

    Connections to the catalog share one of these, and may use it from any thread.
    """

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._making = Lock()

    def make(self, connection: duckdb.DuckDBPyConnection, statement: str | None) -> bool:
        """Make the views that a statement may read, with those that they stand on.

        Parameters
        ----------
        connection
            To the catalog; what it is running goes on.
        statement
            SQL, or None for all views.

        Returns
        -------
        bool
            Whether any were made.
        """
        all_of_them = {view.name for view in views.load()}
        named = all_of_them if statement is None else all_of_them.intersection(_WORD.findall(statement.lower()))
        with self._making:
            if named <= self._made:
                return False
            with closing(connection.cursor()) as cursor:
                self._made |= views.create(cursor, comments=False, only=named, there=self._made)
            return True
