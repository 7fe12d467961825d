"""Table functions in SQL over the vectors: one module each, registered on every connection that reads vectors."""

from __future__ import annotations

import duckdb

from clipdb.queries.context import Context
from clipdb.queries.functions import neighbours

FUNCTIONS = (neighbours.NEIGHBOURS,)
NAMES = tuple(function.name for function in FUNCTIONS)


def register(connection: duckdb.DuckDBPyConnection, context: Context) -> None:
    """Give a connection all table functions; they vanish with it."""
    for function in FUNCTIONS:
        function.register(connection, context)
