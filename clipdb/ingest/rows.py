"""Put Python rows into a DuckDB table, in bulk and by column name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa


def put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    replace: bool = False,
) -> None:
    """Insert rows; one whose key is there already is kept as it is, or replaced.

    Parameters
    ----------
    table
        Name of a table of the catalog, from clipdb's own code.
    rows
        Mappings with the same keys, all of them columns of the table. Nothing happens where there are none.
    replace
        Overwrite rows of equal keys.
    """
    if not rows:
        return
    connection.register("clipdb_rows", pa.Table.from_pylist([dict(row) for row in rows]))
    try:
        verb = "insert or replace" if replace else "insert or ignore"
        connection.execute(f"{verb} into {table} by name select * from clipdb_rows")
    finally:
        connection.unregister("clipdb_rows")
