"""The vectors of an index: Lance tables at their committed versions, and how DuckDB reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from clipdb.errors import ClipdbError, require
from clipdb.queries.vectors.store_table import StoreTable
from clipdb.queries.vectors.vector_tables import Held, Key, Kind
from clipdb.schema.catalog import committed_versions
from clipdb.schema.names import Head, vectors_file
from clipdb.schema.vector_indexes import VectorIndex, vector_indexes
from clipdb.schema.vectors_place import VectorsPlace, table_in, vectors_place
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options

if TYPE_CHECKING:
    import lance
    from lancedb.table import LanceTable


_REMEDY = "see `clipdb verify -i {}`"
_COPY_REMEDY = (
    "this state of the index was superseded and deleted, so open it again; if that doesn't help, export the index again"
)


class LanceVectors:
    """The Lance tables of an index, at the versions that its catalog vouches for.

    Parameters
    ----------
    index
        The index's directory, or where it is in a store.
    connection
        Its catalog, open.
    options
        What opens the store that the vectors of an index on a disk are in, if any.
    """

    def __init__(
        self,
        index: Path | StoreAddress,
        connection: duckdb.DuckDBPyConnection,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._index = index
        self._connection = connection
        self._place = vectors_place(index, connection, options)
        self._versions = committed_versions(connection.cursor())  # which another thread may be using

    @property
    def keys(self) -> Sequence[Key]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        return list(self._versions)

    def open(self, model_id: str, kind: Kind) -> lance.LanceDataset | StoreTable:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        return open_vectors(self._index, table_in(self._place, model_id, kind), self._versions[model_id, kind])

    def show(self, connection: duckdb.DuckDBPyConnection, name: str, model_id: str, kind: Kind) -> None:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        connection.register(name, VectorTable(self.open(model_id, kind)))

    def lancedb(self, model_id: str, kind: Kind) -> LanceTable:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        table = (
            require("lancedb", "lancedb")
            .connect(str(self._place), storage_options=lance_options(self._place))
            .open_table(vectors_file(model_id, kind).removesuffix(".lance"))
        )
        table.checkout(self._versions[model_id, kind])
        return table

    def indexes(self, model_id: str) -> dict[Head, tuple[VectorIndex, int]]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`. In a store every image is compared."""
        table = self.open(model_id, "images")
        return {} if isinstance(table, StoreTable) else vector_indexes(table)

    def held(self) -> dict[Key, Held]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`.

        Batches count what they wrote; an image that was run again for another layer is in two.
        """
        runs = self._connection.execute("select model_id, kind, max(run) from batches group by all").fetchall()
        newest = {(model, kind): run for model, kind, run in runs}
        return {key: Held(self.open(*key).count_rows(), newest[key]) for key in self.keys}


def open_vectors(index: Path | StoreAddress, table: VectorsPlace, version: int) -> lance.LanceDataset | StoreTable:
    """Open a Lance table of an index at a committed version.

    Raises
    ------
    ClipdbError
        If the table, or that version of it, is not there, or a store refuses or fails.
    """
    if isinstance(table, StoreAddress):
        return StoreTable(table, version, _COPY_REMEDY if isinstance(index, StoreAddress) else _REMEDY.format(index))
    import lance  # half a second, which a question to an artefact doesn't need

    try:
        return lance.dataset(str(table), version=version)
    except (ValueError, OSError) as error:
        raise ClipdbError(
            f"the vectors {table} are not at version {version} as the catalog says: {_REMEDY.format(index)}"
        ) from error


class VectorTable(ds.Dataset):
    """A Lance table with its float16 lists as float32, which is what DuckDB can read.

    DuckDB asks for the columns and rows that a statement needs; both go down to Lance, which casts what it returns.

    Parameters
    ----------
    table
        The Lance table, opened at a committed version.
    """

    def __init__(self, table: lance.LanceDataset | StoreTable) -> None:
        self._table = table
        self._columns = {field.name: _cast(field) for field in table.schema}
        self._schema = pa.schema([_widen(field) for field in table.schema])

    @property
    def schema(self) -> pa.Schema:
        """The columns as DuckDB sees them."""
        return self._schema

    def scanner(
        self, columns: Sequence[str] | None = None, filter: ds.Expression | None = None, **_: Any
    ) -> lance.LanceScanner:
        """Scan some columns of the rows that pass a filter."""
        names = self._schema.names if columns is None else columns
        return self._table.scanner(columns={name: self._columns[name] for name in names}, filter=filter)


def _is_half_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type)


def _widen(field: pa.Field) -> pa.Field:
    return field.with_type(pa.list_(pa.float32(), field.type.list_size)) if _is_half_list(field.type) else field


def _cast(field: pa.Field) -> str:
    if not _is_half_list(field.type):
        return str(field.name)
    return f"arrow_cast({field.name}, 'FixedSizeList({field.type.list_size}, Float32)')"
