"""A SQLAlchemy engine over a catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
from duckdb_sqlalchemy import ConnectionWrapper
from sqlalchemy import Engine, NullPool, create_engine

from clipdb.schema.catalog import connect


def engine(index: Path) -> Engine:
    """Make an engine over the catalog of an index.

    Each connection has the state that is newest when it is opened.

    Raises
    ------
    ClipdbError
        As `clipdb.schema.catalog.connect` does, when a connection is opened.
    """
    return engine_on(lambda: connect(index))


def engine_on(connect: Callable[[], duckdb.DuckDBPyConnection]) -> Engine:
    """Make an engine over connections that a function opens."""
    return create_engine("duckdb://", creator=lambda: ConnectionWrapper(connect()), poolclass=NullPool)
