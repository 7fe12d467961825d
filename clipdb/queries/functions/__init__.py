"""Table functions in SQL over the vectors: one module each, registered on the connections that call them.

A module has a Python function called ``FUNCTION``, which `clipdb.queries.functions.base.table_function.table_function`
decorates. Modules of other packages are found by their entry points ``clipdb.functions``; each entry is called as its
function is in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import count

import duckdb

from clipdb import plugins
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import TableFunction

_openings = count()


@cache
def functions() -> dict[str, TableFunction]:
    """Import every table function, by name."""
    return {function.name: function for function in plugins.members("functions", __name__, "FUNCTION").values()}


def register(connection: duckdb.DuckDBPyConnection, context: Context, names: Iterable[str]) -> None:
    """Register table functions on a connection; they vanish with it. Those that were left out stay unknown to it."""
    opened = next(_openings)
    for name in names:
        if name in functions():
            functions()[name].register(connection, context, opened)
