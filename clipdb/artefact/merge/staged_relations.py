"""Lay an artefact's relations beside those of an index, in temporary tables ``their_TABLE``."""

from __future__ import annotations

import duckdb

from clipdb._util.text import first_line
from clipdb.artefact.format import RELATIONS, RUN_ARGUMENTS, File, columns_since, derived
from clipdb.artefact.merge.bounded_parquet import open_parquet, read_batches, require_schema
from clipdb.artefact.merge.row_values import short
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.artefact.parquet_columns import relation_schema
from clipdb.errors import ClipdbError

ROWS_AT_ONCE = 8192
_WIDE = {"heads": 128, "components": 128}  # rows at once where one is large


def stage(connection: duckdb.DuckDBPyConnection, artefact: Artefact) -> None:
    """Read every relation of an artefact into a temporary table; one that it lacks is empty.

    ``their_parts`` is what has vectors: heads and other components.

    Parameters
    ----------
    connection
        A catalog. It may be open for reading only: temporary tables are no part of it.

    Raises
    ------
    ClipdbError
        If a file is not the Parquet that it should be.
    """
    for table in RELATIONS:
        connection.execute(f"create or replace temp table their_{table} as from {table} limit 0")
        for file in artefact.manifest.of("relation", table):
            _fill(connection, artefact, file)
    for column in columns_since("heads", artefact.manifest.schema_version):
        connection.execute(f"update their_heads set {column} = {derived('heads', column, 'their_')}")
    both = "from their_heads union all by name from their_components"
    connection.execute(f"create or replace temp view their_parts as {both}")
    connection.execute(f"update their_runs set arguments = {RUN_ARGUMENTS} where json_valid(arguments::varchar)")


def _fill(connection: duckdb.DuckDBPyConnection, artefact: Artefact, file: File) -> None:
    schema = relation_schema(file.name, columns_since(file.name, artefact.manifest.schema_version))
    parquet = open_parquet(artefact, file, len(schema))
    require_schema(artefact, file, parquet, schema)
    for batch in read_batches(artefact, file, parquet, _WIDE.get(file.name, ROWS_AT_ONCE), schema.names):
        connection.register("clipdb_rows", batch)
        try:
            connection.execute(f"insert into their_{file.name} by name select * from clipdb_rows")
        except duckdb.Error as error:
            reason = short(first_line(error))
            raise ClipdbError(f"{artefact.path(file)} has a value that an index can't hold: {reason}") from error
        finally:
            connection.unregister("clipdb_rows")
