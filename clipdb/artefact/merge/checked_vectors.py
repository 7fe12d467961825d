"""The vectors of an artefact: their columns, checked as they stream, and turned into the bases of an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa

from clipdb.artefact.format import File, VectorKind
from clipdb.artefact.merge.bounded_parquet import (
    arrow_schema,
    most_unpacked,
    open_parquet,
    read_batches,
    refused,
    require_schema,
)
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.artefact.parquet_columns import row_bytes, vectors_schema
from clipdb.errors import ClipdbError
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.schema.names import Head, head_name
from clipdb.schema.vectors import images_schema, part_columns, texts_schema

BYTES_AT_ONCE = 32 * 2**20
_UNIT = 5e-3  # how far from 1 a length may be that was stored in float16


@dataclass(frozen=True)
class TheirVectors:
    """A model's vectors of one kind in an artefact.

    Attributes
    ----------
    artefact, model_id, kind
        Which.
    embed_dim
        Size of the joint embedding, D.
    sizes
        ``{(layer, head): r}`` of the artefact's heads that have a basis, and of images its other components. What is
        not among them has no vectors.
    unit
        Whether embeddings have length 1: those of texts that an aligner maps have any.
    """

    artefact: Artefact
    model_id: str
    kind: VectorKind
    embed_dim: int
    sizes: Mapping[Head, int]
    unit: bool = True

    @property
    def key(self) -> str:
        """Name the column of ids."""
        return f"{self.kind[:-1]}_id"

    @cached_property
    def files(self) -> list[File]:
        """List the shards in order."""
        return self.artefact.manifest.of(self.kind, self.model_id)

    @cached_property
    def count(self) -> int:
        """Count the rows."""
        return sum(file.rows for file in self.files)

    @cached_property
    def heads(self) -> dict[Head, int]:
        """Read which heads have a column, with the size of each, off the first shard."""
        if not self.files:
            return {}
        parquet = open_parquet(self.artefact, self.files[0], len(self.sizes) + 3)
        columns = part_columns(arrow_schema(self.artefact, self.files[0], parquet))
        if unknown := sorted(set(columns) - set(self.sizes)):
            raise self.wrong(f"there are vectors of {head_name(*unknown[0])}, whose basis is not in the artefact")
        return {head: self.sizes[head] for head in columns}

    @cached_property
    def layout(self) -> pa.Schema:
        """Lay out the Lance table that takes these vectors."""
        return {"images": images_schema, "texts": texts_schema}[self.kind](self.embed_dim, self.heads)

    @property
    def rows_at_once(self) -> int:
        """Choose how many rows to hold, by what a row takes."""
        width = 4 * self.embed_dim + 2 * sum(self.heads.values())
        return max(64, min(8192, BYTES_AT_ONCE // max(width, 1)))

    def batches(self, keys_only: bool = False) -> Iterator[pa.RecordBatch]:
        """Read the rows in order, as Lance stores them but for ``_run`` and ``_batch``."""
        expected = vectors_schema(self.kind, self.embed_dim, self.heads)
        names = [self.key] if keys_only else expected.names
        fields = pa.schema([self.layout.field(name) for name in names])
        for file in self.files:
            parquet = open_parquet(self.artefact, file, len(expected))
            require_schema(self.artefact, file, parquet, expected)
            if file.rows * row_bytes(expected) > most_unpacked(file):
                raise refused(self.artefact, file, "it unpacks to more than it can hold")
            rows = 65_536 if keys_only else self.rows_at_once
            for batch in read_batches(self.artefact, file, parquet, rows, names):
                if keys_only and batch.column(0).null_count:
                    raise self.wrong(f"a row has no {self.key}")
                columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
                yield pa.record_batch(columns, schema=fields)

    def checked(self) -> Iterator[pa.RecordBatch]:
        """Read the rows in order, and check every number.

        Raises
        ------
        ClipdbError
            Where a vector is not finite, an embedding not of length 1, or one of them missing.
        """
        for batch in self.batches():
            if problem := _problem(batch, self.unit):
                row, what = problem
                raise self.wrong(f"{self.key} {batch.column(0)[row].as_py()} has {what}")
            yield batch

    def wrong(self, problem: str) -> ClipdbError:
        """Make the error that says what is wrong with the vectors."""
        folder = self.artefact.path(self.files[0]).parent
        return ClipdbError(f"{folder}: {problem}: get the artefact from whoever made it")


def their_vectors(
    connection: duckdb.DuckDBPyConnection, artefact: Artefact, model_id: str, kind: VectorKind
) -> TheirVectors:
    """Find a model's vectors of one kind, with the artefact's relations staged."""
    ((embed_dim,),) = connection.execute("select embed_dim from their_models where model_id = ?", [model_id]).fetchall()
    sizes = connection.execute(
        f"select layer, head, size from their_{'parts' if kind == 'images' else 'heads'} "
        "where model_id = ? and size is not null order by all",
        [model_id],
    ).fetchall()
    mapped = connection.execute("select 1 from their_aligners where model_id = ?", [model_id]).fetchall()
    heads = {(layer, head): size for layer, head, size in sizes}
    return TheirVectors(artefact, model_id, kind, embed_dim, heads, unit=not (kind == "texts" and mapped))


def rotate(batch: pa.RecordBatch, rotations: Mapping[str, np.ndarray]) -> pa.RecordBatch:
    """Turn head vectors into another basis.

    Parameters
    ----------
    rotations
        ``{column: R [k, k]}``: y becomes R y, in float32, and is then rounded to the column's numbers.
    """
    columns = list(batch.columns)
    for number, name in enumerate(batch.schema.names):
        if name in rotations and len(batch):
            column = columns[number]
            dense = vector_matrix(column).astype(np.float32) @ rotations[name].T.astype(np.float32)
            null, dtype = column.is_null().to_numpy(zero_copy_only=False), column.type.value_type.to_pandas_dtype()
            columns[number] = with_nulls(dense, null, dtype)
    return pa.record_batch(columns, schema=batch.schema)


def with_nulls(vectors: np.ndarray, null: np.ndarray, dtype: type[np.floating] = np.float16) -> pa.FixedSizeListArray:
    """Make a column of the vectors ``[valid, k]`` of those rows that are not null ``[n]``."""
    matrix = np.zeros((len(null), vectors.shape[1]), dtype)
    matrix[~null] = vectors
    return pa.FixedSizeListArray.from_arrays(
        pa.array(matrix.ravel()), vectors.shape[1], mask=pa.array(null) if null.any() else None
    )


def _all_finite(matrix: np.ndarray) -> bool:
    """Return whether all numbers of a float16 matrix are finite, by their bits, which is much faster than to ask."""
    return bool((matrix.view(np.uint16) & 0x7FFF).max(initial=0) < 0x7C00)


def _problem(batch: pa.RecordBatch, unit: bool) -> tuple[int, str] | None:
    """Find the first thing that no row of vectors may have: its row, and what."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name.endswith("_id"):
            continue
        if not batch.schema.field(name).nullable and column.null_count:
            return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))), f"no {name}"
        if not pa.types.is_fixed_size_list(column.type):
            norm = column.to_numpy()
            good = np.isfinite(norm) & (norm > 0)
            what = f"a {name} that is not finite and positive"
        else:
            numbers = column.flatten()
            valid = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            if numbers.null_count:
                first = np.argmax(numbers.is_null().to_numpy(zero_copy_only=False)) // column.type.list_size
                return int(valid[first]), f"a null in {name}"
            matrix = numbers.to_numpy().reshape(-1, column.type.list_size)
            if name == "embedding" and unit:
                wide = matrix.astype(np.float32)
                good = np.abs(np.sqrt(np.einsum("nd,nd->n", wide, wide)) - 1) <= _UNIT
                what = "an embedding whose length is not 1"
            elif matrix.dtype == np.float16 and _all_finite(matrix):
                continue
            else:
                good = np.ones(len(batch), bool)
                good[valid] = np.isfinite(matrix).all(axis=1)
                what = f"a vector {name} that is not finite"
        if not good.all():
            return int(np.argmin(good)), what
    return None
