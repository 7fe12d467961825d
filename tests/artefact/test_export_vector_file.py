"""Parquet files of vectors, as other people's readers find them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_files import same, table, written

from clipdb.artefact.format import VectorKind
from clipdb.artefact.parquet_columns import vectors_schema


@given(
    kind=st.sampled_from(["images", "texts"]),
    embed=st.integers(1, 70),
    heads=st.lists(st.integers(1, 70), max_size=17),
    groups=st.lists(st.integers(1, 40), max_size=3),
    nulls=st.sampled_from([0, 0.3, 1]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=60)
def test_pyarrow_reads_back_every_bit(
    kind: VectorKind, embed: int, heads: list[int], groups: list[int], nulls: float, seed: int
) -> None:
    schema = vectors_schema(kind, embed, {(3, head): size for head, size in enumerate(heads)})
    tables = [table(schema, rows, seed + n, nulls) for n, rows in enumerate(groups)]
    with tempfile.TemporaryDirectory() as folder:
        file = pq.ParquetFile(written(schema, tables, Path(folder)))
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == groups
        same(file.read(), pa.concat_tables([schema.empty_table(), *tables]).combine_chunks())


@pytest.mark.parametrize("nulls", [0, 0.2, 1])
@pytest.mark.parametrize("rows", [1, 5000])
def test_every_reader_agrees_with_what_pyarrow_writes(tmp_path: Path, rows: int, nulls: float) -> None:
    """Thousands of long vectors take several pages."""
    schema = vectors_schema("images", 48, {(1, 0): 300, (1, 1): 7, (10, 2): 1})
    made = table(schema, rows, 1, nulls)
    ours, theirs = written(schema, [made], tmp_path), tmp_path / "theirs.parquet"
    pq.write_table(made, theirs, compression="zstd", use_dictionary=False, write_statistics=False)
    same(pq.read_table(ours), pq.read_table(theirs))
    assert pl.read_parquet(ours).equals(pl.read_parquet(theirs), null_equal=True)

    def duck(file: Path) -> tuple[Any, Any]:
        rows = duckdb.sql(f"from '{file}'").fetchall()
        return duckdb.sql(f"describe from '{file}'").fetchall(), repr(rows)

    assert duck(ours) == duck(theirs)
    described = "select name, type, type_length, repetition_type, num_children, converted_type, logical_type "
    layouts = [duckdb.sql(f"{described} from parquet_schema('{file}')").fetchall() for file in (ours, theirs)]
    assert [row[:3] + row[4:] for row in layouts[0][1:]] == [row[:3] + row[4:] for row in layouts[1][1:]]
    assert [row[3] for row in layouts[0][1:]] == [row[3] for row in layouts[1][1:]]
    assert abs(ours.stat().st_size / theirs.stat().st_size - 1) < 0.1 or rows == 1


def test_a_column_is_read_alone(tmp_path: Path) -> None:
    schema = vectors_schema("images", 48, {(1, head): 64 for head in range(20)})
    made = table(schema, 3000, 2, 0.1)
    path = written(schema, [made.slice(0, 2048).combine_chunks(), made.slice(2048).combine_chunks()], tmp_path)
    found = pq.ParquetFile(path).read_row_group(1, columns=["l1h7"])["l1h7"]
    same(pa.table({"v": found}), pa.table({"v": made["l1h7"].slice(2048)}))
    counted = pq.ParquetFile(path).metadata
    for group in range(2):
        chunks = [counted.row_group(group).column(column) for column in range(counted.num_columns)]
        assert counted.row_group(group).total_byte_size == sum(chunk.total_uncompressed_size for chunk in chunks)
        for column in range(counted.num_columns):
            one = counted.row_group(group).column(column)
            assert one.total_compressed_size < path.stat().st_size and one.compression == "ZSTD"
