"""Put Python rows into a DuckDB table, in bulk and by column name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from clipdb.schema import tables


def put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    replace: bool = False,
    new: bool = False,
) -> None:
    """Insert rows; one whose key is already in the table is kept as it is, or replaced.

    Parameters
    ----------
    table
        Name of a table of the catalog, from clipdb's own code.
    rows
        Mappings with the same columns of the table, no key twice. Nothing happens if there are none.
    replace
        Overwrite rows of equal keys.
    new
        No row's key is in the table: nothing needs to be compared.
    """
    with registered(connection, rows) as source:
        if source and new:
            connection.execute(f"insert into {table} by name from {source}")
        elif source:
            put_from(connection, table, source, replace)


def put_from(connection: duckdb.DuckDBPyConnection, table: str, source: str, replace: bool = False) -> None:
    """Insert the rows of another relation, as `put` does.

    Parameters
    ----------
    source
        Name of a table, view or registered relation with columns of the table, no key twice.
    """
    relation = tables.metadata.tables[table]
    if relation.info["indexed"]:
        connection.execute(f"insert or {'replace' if replace else 'ignore'} into {table} by name from {source}")
        return
    keys = [column.name for column in relation.primary_key]
    if replace:
        same = " and ".join(f"{table}.{key} = {source}.{key}" for key in keys)
        connection.execute(f"delete from {table} using {source} where {same}")
        connection.execute(f"insert into {table} by name from {source}")
    else:
        connection.execute(f"insert into {table} by name from {source} anti join {table} using ({', '.join(keys)})")


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> Iterator[str | None]:
    """Let SQL read rows under the name that is yielded; None if there are none."""
    if not rows:
        yield None
        return
    connection.register("clipdb_rows", pa.Table.from_pylist([dict(row) for row in rows]))
    try:
        yield "clipdb_rows"
    finally:
        connection.unregister("clipdb_rows")
