"""Vectors read from their pages, against what pyarrow reads of the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vector_files import same, table, written

from clipdb.artefact.columns import vectors_schema
from clipdb.artefact.format import File, Manifest
from clipdb.artefact.merge.bounded_parquet import open_parquet, plain
from clipdb.artefact.merge.pages import find_chunks, read_column, read_vectors
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.artefact.thrift import varint, zigzag
from clipdb.errors import ClipdbError

ROWS = 5000


def read(path: Path, schema: pa.Schema) -> dict[str, pa.Array | None]:
    """Read the columns of the only row group."""
    parquet = pq.ParquetFile(path)
    with path.open("rb") as opened:
        chunks = find_chunks(opened, parquet, schema) or [[None] * len(schema)]
        return {
            field.name: read_column(opened.fileno(), parquet.metadata.num_rows, chunk, field)
            for field, chunk in zip(schema, chunks[0], strict=True)
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


def refooted(path: Path, old: bytes, new: bytes) -> None:
    """Change the footer of a file."""
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:-8].replace(old, new)
    assert footer != content[start:-8]
    path.write_bytes(content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def number(value: int) -> bytes:
    return varint(zigzag(value))


@pytest.mark.parametrize("lie", ["codec", "levels", "start", "two starts", "dictionary", "element", "column"])
def test_a_footer_that_says_something_else_is_not_believed(lie: str, tmp_path: Path) -> None:
    """pyarrow's own reader has to say what such a file holds; asked for its footer it may end the process."""
    schema = vectors_schema("images", 8, {(1, 0): 4})
    path = written(schema, [table(schema, 300, 5, 0)], tmp_path)
    assert read(path, schema)["l1h0"] is not None
    start = pq.ParquetFile(path).metadata.row_group(0).column(3).data_page_offset
    codec, levels, place = b"element\x15\x0c", b"\x16" + number(1200), b"\x26" + number(start) + b"\0"
    old, new = {
        "codec": (codec, codec[:-1] + number(51)),
        "levels": (codec + levels, codec + b"\x16" + number(1196)),
        "start": (place, b"\x26" + number(2**63 - 1) + b"\0"),
        "two starts": (place, place[:-1] + b"\x05" + number(9) + number(start) + b"\0"),
        "dictionary": (place, place[:-1] + b"\x26" + number(4) + b"\0"),
        "element": (b"\x15\0\x18\x07element", b"\x15\x02\x18\x07element"),
        "column": (b"\x35\x02\x18\x04l1h0", b"\x35\0\x18\x04l1h0"),
    }[lie]
    refooted(path, old, new)
    assert read(path, schema)["l1h0"] is None


def opened(path: Path, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """Read a file as an import does."""
    manifest = Manifest("", 1, "all", (), ())
    file = File(path.name, "images", "tiny/one", rows, path.stat().st_size, "")
    artefact = Artefact(path.parent, manifest, "", (), {})
    return read_vectors(artefact, file, open_parquet(artefact, file, len(schema)), schema, 64)


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("sizes", [[0], [5, 0, 300, 1], [9000]])
def test_row_groups_of_any_size(sizes: list[int], ours: bool, tmp_path: Path) -> None:
    schema = vectors_schema("images", 8, {(1, 0): 4, (1, 1): 1})
    groups = [table(schema, size, seed, 0.3).combine_chunks() for seed, size in enumerate(sizes)]
    if ours:
        path = written(schema, [group for group in groups if len(group)], tmp_path)
    else:
        path = tmp_path / "theirs.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for group in groups:
                writer.write_table(group, row_group_size=10_000)
        assert pq.ParquetFile(path).num_row_groups == len(sizes)
    bare = pa.schema([(field.name, plain(field.type)) for field in schema])
    batches = [pa.table(batch).cast(bare) for batch in opened(path, schema, sum(sizes))]
    same(pa.concat_tables([bare.empty_table(), *batches]), pa.concat_tables(groups).cast(bare))


def test_pages_that_unpack_to_far_more_than_they_are(tmp_path: Path) -> None:
    """261 MB in 80 kB, of any number of rows, whatever the footer says."""
    schema = vectors_schema("images", 8, {(1, 0): 60_000})
    group = table(schema, 256, 6, 0)
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(256 * 60_000, np.float16)), type=schema.field(3).type)
    path = written(schema, [group.set_column(3, schema.field(3), zeros)] * 8, tmp_path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ClipdbError, match=r"it would unpack to 261\d{6} bytes"):
        opened(path, schema, 8 * 256)
    footer = pq.ParquetFile(path).metadata
    for number in range(8):  # say that nothing would be unpacked, in as many bytes
        said = varint(zigzag(footer.row_group(number).total_byte_size))
        path.write_bytes(path.read_bytes().replace(b"\x16" + said, b"\x16" + b"\x80" * (len(said) - 1) + b"\0"))
        assert pq.ParquetFile(path).metadata.row_group(number).total_byte_size == 0
    with pytest.raises(ClipdbError, match="it unpacks to more than it can hold"):
        next(opened(path, schema, 8 * 256))
