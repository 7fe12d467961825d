"""Parquet files of vectors, as an export writes them, of any numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute

from clipdb.artefact.export.parquet_writer import HashedFile
from clipdb.artefact.export.vector_shards import write_vectors


def written(schema: pa.Schema, groups: list[pa.Table], folder: Path) -> Path:
    file = write_vectors(HashedFile(folder, "a.parquet", "images"), schema, groups).finished()
    assert file.rows == sum(len(group) for group in groups)
    assert file.bytes == (folder / "a.parquet").stat().st_size
    return folder / "a.parquet"


def table(schema: pa.Schema, rows: int, seed: int, nulls: float) -> pa.Table:
    """Make rows of any bits that a float may have, and of ids of several lengths."""
    rng = np.random.default_rng(seed)
    columns = []
    for field in schema:
        if pa.types.is_string(field.type):
            columns.append(pa.array([f"{'é' * (n % 5)}{n}" for n in range(rows)]))
        elif pa.types.is_floating(field.type):
            columns.append(pa.array(rng.standard_normal(rows), field.type))
        else:
            size, kind = field.type.list_size, field.type.value_type
            numbers = np.frombuffer(rng.bytes(rows * size * kind.bit_width // 8), f"f{kind.bit_width // 8}")
            lists = pa.FixedSizeListArray.from_arrays(pa.array(numbers), size)
            null = pa.array(rng.random(rows) < nulls)
            columns.append(pa.compute.if_else(null, None, lists) if field.nullable else lists)
    return pa.table(columns, names=schema.names).cast(schema)


def same(one: pa.Table, other: pa.Table) -> None:
    """Compare bits: a NaN equals itself, and 0 is not -0."""
    assert one.schema.equals(other.schema, check_metadata=True) and len(one) == len(other)
    for name in one.column_names:
        left, right = one[name].combine_chunks(), other[name].combine_chunks()
        assert left.is_valid().equals(right.is_valid())
        if pa.types.is_fixed_size_list(left.type):
            left, right = left.flatten(), right.flatten()
        if pa.types.is_string(left.type):
            assert left.equals(right)
        else:
            assert left.to_numpy().tobytes() == right.to_numpy().tobytes(), name
