"""The tables of vectors of an index or an export, whatever holds them, and what SQL calls them.

In SQL a model's vectors are ``vectors."ARCH/PRETRAINED".images`` and ``vectors."ARCH/PRETRAINED".texts``; where the
index has one model, or one was chosen, also ``image_vectors`` and ``text_vectors``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, Protocol

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import LanceTable

    from clipdb.schema.names import Head
    from clipdb.schema.vector_indexes import VectorIndex

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

    def to_batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns of all rows, some rows at a time, in the table's order."""

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

    def indexes(self, model_id: str) -> dict[Head, tuple[VectorIndex, int]]:
        """Find the vector indexes over a model's images, with how many rows each covers, by head.

        Raises
        ------
        ClipdbError
            If the vectors are not as the index says.
        """

    def held(self) -> dict[Key, Held]:
        """Count what each holds.

        Raises
        ------
        ClipdbError
            If one is not as the index says.
        """


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
