"""The vector indexes of several heads together that an index has, and whether they fit its vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clipdb.queries.vectors.store_table import StoreTable
from clipdb.queries.vectors.vector_tables import Table
from clipdb.schema.property_index import ROW_COLUMNS, PropertyIndex, property_indexes, rows_sha256

_IS_INDEX = "select 1 from duckdb_tables() where table_name = 'property_indexes'"  # which an artefact lacks


def known_property_indexes(
    read: Callable[..., Sequence[tuple[Any, ...]]], table: Table, model_id: str
) -> list[PropertyIndex]:
    """List the vector indexes of several heads of a model together. In a store every image is compared.

    Parameters
    ----------
    read
        Runs SQL with parameters on the catalog.
    table
        The vectors of the model's images.
    model_id
        The model.
    """
    return [] if isinstance(table, StoreTable) or not read(_IS_INDEX) else property_indexes(read, model_id)


def fits(index: PropertyIndex, table: Table) -> bool:
    """Return whether the first rows of a table are those that an index was made over."""
    return rows_sha256(table.to_batches(columns=ROW_COLUMNS), index.images) == index.rows_sha256
