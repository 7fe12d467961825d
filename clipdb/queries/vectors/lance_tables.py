"""The vectors of an index: Lance tables at their committed versions, and how DuckDB reads them.

In SQL a model's vectors are ``vectors."ARCH/PRETRAINED".images`` and ``vectors."ARCH/PRETRAINED".texts``; where the
index has one model, or one was chosen, also ``image_vectors`` and ``text_vectors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from clipdb.errors import ClipdbError, require
from clipdb.schema.catalog import committed_versions
from clipdb.schema.names import vectors_file
from clipdb.schema.vectors import images_path, texts_path, vectors_path

if TYPE_CHECKING:
    import lance
    from lancedb.table import LanceTable

Kind = Literal["images", "texts"]
Key = tuple[str, Kind]

SHORT: dict[Kind, str] = {"images": "image_vectors", "texts": "text_vectors"}
"""What SQL calls the vectors of the one model."""

# Connections to one state share the names of its vectors, and threads may open them at once.
_REGISTERING = Lock()


class Table(Protocol):
    """A table of vectors: as much of `lance.LanceDataset` as is asked of one."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""

    def to_table(self, columns: list[str], *, offset: int | None = None, limit: int | None = None) -> pa.Table:
        """Read some columns of all rows, or of at most so many from a row on, in the table's order."""

    def take(self, indices: list[int], columns: list[str]) -> pa.Table:
        """Read some columns of some rows."""


@dataclass(frozen=True)
class Held:
    """How many ``rows`` a table has, and the ``newest`` run that wrote to it, where that is known."""

    rows: int
    newest: str | None


class Vectors(Protocol):
    """The tables of vectors of an index, or of an artefact."""

    @property
    def keys(self) -> Sequence[Key]:
        """Model and kind of each."""

    def open(self, model_id: str, kind: Kind) -> Table:
        """Open one of them.

        Raises
        ------
        ClipdbError
            If it is not as the index says.
        """

    def show(self, connection: duckdb.DuckDBPyConnection, name: str, model_id: str, kind: Kind) -> None:
        """Make one of them the relation ``temp.NAME`` of a connection, with lists that DuckDB can compute with.

        Raises
        ------
        ClipdbError
            If it is not as the index says.
        """

    def lancedb(self, model_id: str, kind: Kind) -> LanceTable:
        """Open one of them as LanceDB does.

        Raises
        ------
        ClipdbError
            If they are no Lance tables, or lancedb is not installed.
        """

    def held(self) -> dict[Key, Held]:
        """Count what each holds.

        Raises
        ------
        ClipdbError
            If one is not as the index says.
        """


class LanceVectors:
    """The Lance tables of an index, at the versions that its catalog vouches for.

    Parameters
    ----------
    index
        The index's directory.
    connection
        Its catalog, open.
    """

    def __init__(self, index: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._index = index
        self._connection = connection
        self._versions = committed_versions(connection.cursor())  # which another thread may be using

    @property
    def keys(self) -> Sequence[Key]:
        """See `Vectors`."""
        return list(self._versions)

    def open(self, model_id: str, kind: Kind) -> lance.LanceDataset:
        """See `Vectors`."""
        return open_vectors(self._index, model_id, kind, self._versions[model_id, kind])

    def show(self, connection: duckdb.DuckDBPyConnection, name: str, model_id: str, kind: Kind) -> None:
        """See `Vectors`."""
        connection.register(name, VectorTable(self.open(model_id, kind)))

    def lancedb(self, model_id: str, kind: Kind) -> LanceTable:
        """See `Vectors`."""
        table = (
            require("lancedb", "lancedb")
            .connect(vectors_path(self._index))
            .open_table(vectors_file(model_id, kind).removesuffix(".lance"))
        )
        table.checkout(self._versions[model_id, kind])
        return table

    def held(self) -> dict[Key, Held]:
        """See `Vectors`. Batches count what they wrote; an image that was run again for another layer is in two."""
        runs = self._connection.execute("select model_id, kind, max(run) from batches group by all").fetchall()
        newest = {(model, kind): run for model, kind, run in runs}
        return {key: Held(self.open(*key).count_rows(), newest[key]) for key in self.keys}


def open_vectors(index: Path, model_id: str, kind: Kind, version: int) -> lance.LanceDataset:
    """Open a Lance table at a committed version.

    Raises
    ------
    ClipdbError
        If the table, or that version of it, is not there.
    """
    import lance  # half a second, which a question to an artefact doesn't need

    path = images_path(index, model_id) if kind == "images" else texts_path(index, model_id)
    try:
        return lance.dataset(str(path), version=version)
    except (ValueError, OSError) as error:
        raise ClipdbError(
            f"the vectors {path} are not at version {version} as the catalog says: see `clipdb verify -i {index}`"
        ) from error


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


def register_vectors(connection: duckdb.DuckDBPyConnection, vectors: Vectors, model_id: str | None) -> None:
    """Make the vector views of this connection; they vanish with it.

    Parameters
    ----------
    connection
        An open catalog.
    vectors
        The index's vectors.
    model_id
        The model that ``image_vectors`` and ``text_vectors`` stand for; none of them where this is None.
    """
    with _REGISTERING:
        connection.execute("attach if not exists ':memory:' as vectors (read_write)")
    for number, (model, kind) in enumerate(vectors.keys):
        source = f"clipdb_vectors_{number}"
        vectors.show(connection, source, model, kind)
        schema = '"' + model.replace('"', '""') + '"'
        with _REGISTERING:
            connection.execute(f"create schema if not exists vectors.{schema}")
            connection.execute(f"create view if not exists vectors.{schema}.{kind} as select * from temp.{source}")
        if model == model_id:
            connection.execute(f"create or replace temp view {SHORT[kind]} as select * from temp.{source}")


def _is_half_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type)


def _widen(field: pa.Field) -> pa.Field:
    return field.with_type(pa.list_(pa.float32(), field.type.list_size)) if _is_half_list(field.type) else field


def _cast(field: pa.Field) -> str:
    if not _is_half_list(field.type):
        return str(field.name)
    return f"arrow_cast({field.name}, 'FixedSizeList({field.type.list_size}, Float32)')"
