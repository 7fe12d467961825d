"""Vectors read from their pages, against what pyarrow reads of the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vector_files import same, table, written

from clipdb.ingest.artefact.pages import read_column
from clipdb.schema.arrow import vectors_schema

ROWS = 5000


def read(path: Path, schema: pa.Schema) -> dict[str, pa.Array | None]:
    """Read the columns of the only row group."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    with path.open("rb") as opened:
        return {
            field.name: read_column(opened.fileno(), group.column(number), group.num_rows, field)
            for number, field in enumerate(schema)
        }


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_every_bit_of_every_page_is_read(tmp_path: Path, kind: str) -> None:
    """The first column of vectors takes three pages, the others one or two."""
    schema = vectors_schema(kind, 260, {(1, 0): 200, (1, 1): 7, (10, 2): 1})
    made = table(schema, ROWS, 1, 0)
    found = read(written(schema, [made], tmp_path), schema)
    names = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
    for name in names:
        same(pa.table({"v": found[name]}), pa.table({"v": made[name]}).cast(pa.schema([("v", found[name].type)])))
    assert {name for name, column in found.items() if column is None} == set(schema.names) - set(names)


def test_what_an_export_does_not_write_is_left_to_a_general_reader(tmp_path: Path) -> None:
    schema = vectors_schema("images", 8, {(1, 0): 4, (1, 1): 4})
    made = table(schema, 300, 2, 0)
    null = made.set_column(3, schema.field(3), made["l1h0"].combine_chunks().take(pa.array([None, *range(1, 300)])))
    assert [name for name, found in read(written(schema, [null], tmp_path), schema).items() if found] == [
        "embedding",
        "l1h1",
    ]
    path = tmp_path / "theirs.parquet"
    for options in ({"compression": "zstd"}, {"compression": "none"}, {"data_page_version": "2.0"}):
        pq.write_table(made, path, use_dictionary=False, **options)
        assert set(read(path, schema).values()) == {None}


def test_a_changed_byte_is_met_or_read_as_pyarrow_reads_it(tmp_path: Path) -> None:
    schema = vectors_schema("images", 300, {(1, 0): 6, (1, 1): 3})
    path = written(schema, [table(schema, 2000, 3, 0)], tmp_path)
    whole = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(0)
    starts = [group.column(number).data_page_offset for number in range(len(schema))]
    pages = starts[-1] + group.column(len(schema) - 1).total_compressed_size
    near = {start + step for start in starts for step in range(40)}
    anywhere = np.random.default_rng(4).integers(4, pages, 200)
    met = 0
    for place in sorted(near | set(anywhere.tolist())):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        for name, ours in read(path, schema).items():
            if ours is None:
                met += name not in ("image_id", "norm")
            else:
                theirs = pq.read_table(path, columns=[name])[name].combine_chunks()
                assert ours.flatten().to_numpy().tobytes() == theirs.flatten().to_numpy().tobytes(), place
    assert met > 50
