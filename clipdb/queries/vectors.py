"""The vectors of an index as DuckDB reads them: Lance tables at their committed versions.

In SQL a model's vectors are ``vectors."ARCH/PRETRAINED".images`` and ``vectors."ARCH/PRETRAINED".texts``; where the
index has one model, or one was chosen, also ``image_vectors`` and ``text_vectors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import duckdb
import lance
import pyarrow as pa
import pyarrow.dataset as ds

from clipdb.errors import ClipdbError
from clipdb.schema.vectors import images_path, texts_path

Kind = Literal["images", "texts"]
Versions = Mapping[tuple[str, Kind], int]

_SHORT: dict[Kind, str] = {"images": "image_vectors", "texts": "text_vectors"}


def committed_versions(connection: duckdb.DuckDBPyConnection) -> Versions:
    """Read which version of each Lance table the catalog vouches for."""
    rows = connection.execute(
        "select model_id, kind, max(lance_version) from batches group by model_id, kind order by model_id, kind"
    ).fetchall()
    return {(model_id, kind): version for model_id, kind, version in rows}


def open_vectors(index: Path, model_id: str, kind: Kind, version: int) -> lance.LanceDataset:
    """Open a Lance table at a committed version.

    Raises
    ------
    ClipdbError
        If the table, or that version of it, is not there.
    """
    path = images_path(index, model_id) if kind == "images" else texts_path(index, model_id)
    try:
        return lance.dataset(str(path), version=version)
    except (ValueError, OSError) as error:
        raise ClipdbError(
            f"the vectors {path} are not at version {version} as the catalog says: see `clipdb verify -i {index}`"
        ) from error


def row_counts(connection: duckdb.DuckDBPyConnection, index: Path) -> dict[tuple[str, Kind], int]:
    """Count the rows of each Lance table.

    Raises
    ------
    ClipdbError
        If the vectors are not as the catalog says.
    """
    versions = committed_versions(connection)
    return {
        (model, kind): open_vectors(index, model, kind, version).count_rows()
        for (model, kind), version in versions.items()
    }


class VectorTable(ds.Dataset):
    """A Lance table with its float16 lists as float32, which is what DuckDB can read.

    DuckDB asks for the columns and rows that a statement needs; both go down to Lance, which casts what it returns.

    Parameters
    ----------
    table
        The Lance table, opened at a committed version.
    """

    def __init__(self, table: lance.LanceDataset) -> None:
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


def register_vectors(
    connection: duckdb.DuckDBPyConnection, index: Path, versions: Versions, model_id: str | None
) -> None:
    """Make the vector views of this connection; they vanish with it.

    Parameters
    ----------
    connection
        An open catalog.
    index
        The index's directory.
    versions
        What `committed_versions` gives.
    model_id
        The model that ``image_vectors`` and ``text_vectors`` stand for; none of them where this is None.
    """
    connection.execute("attach if not exists ':memory:' as vectors (read_write)")
    for number, ((model, kind), version) in enumerate(versions.items()):
        source = f"clipdb_vectors_{number}"
        connection.register(source, VectorTable(open_vectors(index, model, kind, version)))
        schema = '"' + model.replace('"', '""') + '"'
        connection.execute(f"create schema if not exists vectors.{schema}")
        connection.execute(f"create or replace view vectors.{schema}.{kind} as select * from temp.{source}")
        if model == model_id:
            connection.execute(f"create or replace temp view {_SHORT[kind]} as select * from temp.{source}")


def _is_half_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type)


def _widen(field: pa.Field) -> pa.Field:
    return field.with_type(pa.list_(pa.float32(), field.type.list_size)) if _is_half_list(field.type) else field


def _cast(field: pa.Field) -> str:
    if not _is_half_list(field.type):
        return str(field.name)
    return f"arrow_cast({field.name}, 'FixedSizeList({field.type.list_size}, Float32)')"
