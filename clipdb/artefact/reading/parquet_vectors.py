"""The vectors of an artefact: Parquet files that DuckDB reads, a column and a row group at a time."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NoReturn, Protocol

import duckdb
import pyarrow as pa

from clipdb.artefact.format import File, Manifest
from clipdb.artefact.reading.parquet_sql import parquet
from clipdb.errors import ClipdbError
from clipdb.queries.vectors.vector_tables import Held, Key, Kind
from clipdb.schema.names import Head
from clipdb.schema.vector_indexes import VectorIndex
from clipdb.schema.vectors import embed_dim, images_schema, part_dims, texts_schema

# DuckDB allocates an Arrow batch before it fills it: by default one of a million rows, gigabytes of wide columns.
_ROWS = 2048
_LAYOUTS: dict[Kind, Callable[..., pa.Schema]] = {"images": images_schema, "texts": texts_schema}


class Files(Protocol):
    """The files of an artefact, as DuckDB reads them: see `clipdb.artefact.reading.in_place.Artefact`."""

    connection: duckdb.DuckDBPyConnection
    manifest: Manifest
    where: str

    def path(self, file: str) -> str:
        """Return where a file of the artefact is."""

    def check_rows(self, files: Sequence[File]) -> None:
        """Hold the rows that files have against the manifest."""

    def unreadable(self, error: duckdb.Error) -> ClipdbError:
        """Return, in one line, why DuckDB could not read it."""


class ParquetTable:
    """A model's vectors of one kind, in shards.

    Its lists are float32 wherever they are read: DuckDB gives float16 so, and each is the same number.

    Parameters
    ----------
    artefact
        What they belong to.
    kind
        Vectors of images or of texts.
    files
        The shards, in order.

    Raises
    ------
    ClipdbError
        If they are not as the manifest says, or hold something other than vectors.
    """

    def __init__(self, artefact: Files, kind: Kind, files: Sequence[File]) -> None:
        self._artefact = artefact
        self._paths = [artefact.path(file.path) for file in files]
        self._ends = list(accumulate(file.rows for file in files))
        try:
            artefact.check_rows(files)
            self._schema = self._read_schema(kind)
        except duckdb.Error as error:
            raise artefact.unreadable(error) from error

    @property
    def schema(self) -> pa.Schema:
        """The columns, as DuckDB sees them."""
        return self._schema

    @property
    def sql(self) -> str:
        """A select of all of it."""
        return f"select {self._columns(self._schema.names)} from {parquet(self._paths)}"

    def to_table(self, columns: list[str], *, offset: int | None = None, limit: int | None = None) -> pa.Table:
        """Read some columns of all rows, or of at most so many from a row on, in the files' order."""
        if limit is None:
            return self._run(f"select {self._columns(columns)} from {parquet(self._paths)}")
        first = offset or 0
        found = []
        for path, start, end in zip(self._paths, [0, *self._ends], self._ends, strict=False):
            if start < first + limit and first < end:
                source = parquet([path], ", file_row_number := true")
                these = f"file_row_number between {first - start} and {first + limit - start - 1}"
                found.append(self._run(f"select {self._columns(columns)} from {source} where {these}"))
        return pa.concat_tables(found)

    def to_batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns of all rows, some rows at a time, in the files' order."""
        sql = f"select {self._columns(columns)} from {parquet(self._paths)}"
        try:
            yield from self._artefact.connection.cursor().execute(sql).to_arrow_reader(_ROWS)
        except duckdb.Error as error:
            raise self._artefact.unreadable(error) from error

    def take(self, indices: list[int], columns: list[str]) -> pa.Table:
        """Read some columns of some rows: of each, these columns of its row group are read."""
        found = []
        for index in indices:
            shard = bisect_right(self._ends, index)
            row = index - (self._ends[shard - 1] if shard else 0)
            source = parquet([self._paths[shard]], ", file_row_number := true")
            found.append(self._run(f"select {self._columns(columns)} from {source} where file_row_number = {row}"))
        return pa.concat_tables(found)

    def _columns(self, names: Sequence[str]) -> str:
        kinds = {name: self._schema.field(name).type for name in names}
        return ", ".join(
            f"{name}::FLOAT[{kind.list_size}] as {name}" if pa.types.is_fixed_size_list(kind) else name
            for name, kind in kinds.items()
        )

    def _run(self, sql: str) -> pa.Table:
        # A cursor of its own: this runs inside functions that DuckDB calls, and from several threads.
        try:
            return self._artefact.connection.cursor().execute(sql).to_arrow_table(_ROWS)
        except duckdb.Error as error:
            raise self._artefact.unreadable(error) from error

    def _read_schema(self, kind: Kind) -> pa.Schema:
        """Read the sizes of lists, which Parquet doesn't know and pyarrow notes beside its columns."""
        noted = "select value from parquet_kv_metadata(?) where key = 'ARROW:schema'::blob"
        rows = self._artefact.connection.cursor().execute(noted, [self._paths[0]]).fetchall()
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(rows[0][0])))
            layout = _LAYOUTS[kind](embed_dim(schema), part_dims(schema))
        except (IndexError, KeyError, AttributeError, ValueError, OSError):
            layout = None
        if layout is None or _as_read(schema) != _as_read(layout):
            raise ClipdbError(f"{self._paths[0]} has not the columns of vectors of {kind}: get the artefact again")
        return _as_read(schema)


class ParquetVectors:
    """The tables of vectors of an artefact."""

    def __init__(self, artefact: Files) -> None:
        self._artefact = artefact
        self._files: dict[Key, list[File]] = {}
        self._tables: dict[Key, ParquetTable] = {}
        for kind in _LAYOUTS:
            for file in artefact.manifest.of(kind):
                self._files.setdefault((file.name, kind), []).append(file)

    @property
    def keys(self) -> Sequence[Key]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        return sorted(self._files)

    def open(self, model_id: str, kind: Kind) -> ParquetTable:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        key = (model_id, kind)
        if key not in self._tables:
            self._tables[key] = ParquetTable(self._artefact, kind, self._files[key])
        return self._tables[key]

    def show(self, connection: duckdb.DuckDBPyConnection, name: str, model_id: str, kind: Kind) -> None:
        """See `clipdb.queries.vectors.vector_tables.Vectors`."""
        connection.execute(f"create or replace temp view {name} as {self.open(model_id, kind).sql}")

    def lancedb(self, model_id: str, kind: Kind) -> NoReturn:
        """Refuse: an artefact's vectors are Parquet.

        Raises
        ------
        ClipdbError
            Always.
        """
        raise ClipdbError(
            f"the vectors of {self._artefact.where} are Parquet files, which LanceDB doesn't open: "
            f"`clipdb import {self._artefact.where} -i INDEX` makes an index of them"
        )

    def indexes(self, model_id: str) -> dict[Head, tuple[VectorIndex, int]]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`; an artefact has none."""
        return {}

    def held(self) -> dict[Key, Held]:
        """See `clipdb.queries.vectors.vector_tables.Vectors`; an artefact doesn't tell which run wrote them."""
        return {key: Held(sum(file.rows for file in files), None) for key, files in self._files.items()}


def _as_read(schema: pa.Schema) -> pa.Schema:
    """Return the columns as DuckDB reads them, without an index's book-keeping."""
    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_fixed_size_list(kind):
            kind = pa.list_(pa.float32(), kind.list_size)
        if not field.name.startswith("_"):
            fields.append(pa.field(field.name, kind))
    return pa.schema(fields)
