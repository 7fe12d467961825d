"""A SQLAlchemy engine over a catalog."""

from __future__ import annotations

from pathlib import Path

from duckdb_sqlalchemy import ConnectionWrapper
from sqlalchemy import Engine, NullPool, create_engine

from clipdb.schema.catalog import connect


def engine(index: Path, read_only: bool = True) -> Engine:
    """Make an engine over the catalog of an index.

    Connections are closed when they are given back, so an idle engine keeps no other process from writing.

    Raises
    ------
    ClipdbError
        As `clipdb.schema.catalog.connect` does, when a connection is opened.
    """
    return create_engine(
        "duckdb://",
        creator=lambda: ConnectionWrapper(connect(index, read_only=read_only)),
        poolclass=NullPool,
    )
