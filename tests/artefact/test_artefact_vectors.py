"""Vectors read from Parquet files that anybody may have written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vector_files import same, table, written

from clipdb.artefact.format import File, Manifest
from clipdb.artefact.merge.bounded_parquet import plain
from clipdb.artefact.merge.checked_vectors import TheirVectors
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.artefact.parquet_columns import vectors_schema
from clipdb.errors import ClipdbError

HEADS = {(1, 0): 4, (1, 1): 1}


def opened(path: Path, rows: int, heads: dict[tuple[int, int], int] = HEADS) -> Iterator[pa.RecordBatch]:
    """Read a file as an import does."""
    file = File(path.name, "images", "tiny/one", rows, path.stat().st_size, "")
    artefact = Artefact(path.parent, Manifest("", 1, "all", (), (file,)), "", (), {})
    return TheirVectors(artefact, "tiny/one", "images", 8, heads).batches()


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("sizes", [[0], [5, 0, 300, 1], [9000]])
def test_row_groups_of_any_size(sizes: list[int], ours: bool, tmp_path: Path) -> None:
    schema = vectors_schema("images", 8, HEADS)
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
    batches = [pa.table(batch).cast(bare) for batch in opened(path, sum(sizes))]
    same(pa.concat_tables([bare.empty_table(), *batches]), pa.concat_tables(groups).cast(bare))


def varint(number: int) -> bytes:
    """Write a number as Thrift's compact protocol does, after zigzag."""
    left, written = number << 1, b""
    while left > 0x7F:
        left, written = left >> 7, written + bytes([left & 0x7F | 0x80])
    return written + bytes([left])


def test_pages_that_unpack_to_far_more_than_they_are(tmp_path: Path) -> None:
    """261 MB in 100 kB, of any number of rows, whatever the footer says."""
    heads = {(1, 0): 60_000}
    schema = vectors_schema("images", 8, heads)
    group = table(schema, 256, 6, 0)
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(256 * 60_000, np.float16)), type=schema.field(3).type)
    path = written(schema, [group.set_column(3, schema.field(3), zeros)] * 8, tmp_path)
    assert path.stat().st_size < 150_000
    with pytest.raises(ClipdbError, match=r"it would unpack to 2[46]\d{7} bytes"):
        next(opened(path, 8 * 256, heads))
    footer = pq.ParquetFile(path).metadata
    for number in range(8):  # say that nothing would be unpacked, in as many bytes
        said = varint(footer.row_group(number).total_byte_size)
        path.write_bytes(path.read_bytes().replace(b"\x16" + said, b"\x16" + b"\x80" * (len(said) - 1) + b"\0"))
        assert pq.ParquetFile(path).metadata.row_group(number).total_byte_size == 0
    with pytest.raises(ClipdbError, match="it unpacks to more than it can hold"):
        next(opened(path, 8 * 256, heads))


MUTATE = """
import sys
from pathlib import Path
import numpy as np
from test_artefact_vectors import HEADS, opened
from clipdb.errors import ClipdbError
path = Path(sys.argv[1])
whole, rows = path.read_bytes(), 300
rng = np.random.default_rng(int(sys.argv[2]))
footer = int.from_bytes(whole[-8:-4], "little") + 8
refused = 0
for tried in range(int(sys.argv[3])):
    changed = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        place = rng.integers(len(whole) - footer, len(whole)) if tried % 2 else rng.integers(len(whole))
        changed[place] = rng.integers(256)
    path.write_bytes(changed)
    try:
        for batch in opened(path, rows): pass
    except ClipdbError:
        refused += 1
print(refused)
"""


def test_changed_bytes_end_no_process(tmp_path: Path) -> None:
    """Each is refused with one line or read, in a process that is still there at the end."""
    path = written(vectors_schema("images", 8, HEADS), [table(vectors_schema("images", 8, HEADS), 300, 5, 0)], tmp_path)
    folders = [str(Path(__file__).parent), *sys.path]
    script = f"import sys; sys.path[:0] = {folders!r}\n{MUTATE}"
    ran = subprocess.run([sys.executable, "-c", script, path, "7", "1500"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 500
