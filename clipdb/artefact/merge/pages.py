"""Read vectors from the pages that `clipdb export` writes, as fast as they can be unpacked.

Every byte of such a page but its numbers is known before it is read. What is not just so pyarrow reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.artefact.format import File
from clipdb.artefact.merge.bounded_parquet import most_unpacked, read_batches, refused
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.artefact.vector_pages import Chunk, full_levels, group_rows, page_header, page_rows, read_chunks, row_bytes

_MOST_FOOTER = 4 * 2**20  # bytes; parsed in Python, one takes a hundred times as many


def read_vectors(
    artefact: Artefact, file: File, parquet: pq.ParquetFile, schema: pa.Schema, rows: int
) -> Iterator[pa.RecordBatch]:
    """Read a file of vectors, in order: a row group at once, or fewer rows where it has larger ones than ours.

    Parameters
    ----------
    parquet
        The file, whose columns are those of `schema`.
    schema
        Of `clipdb.artefact.columns.vectors_schema`.
    rows
        How many rows of large row groups to hold.

    Raises
    ------
    ClipdbError
        As `clipdb.artefact.merge.bounded_parquet.read_batches`.
    """
    if file.rows * row_bytes(schema) > most_unpacked(file):
        raise refused(artefact, file, "it unpacks to more than it can hold")
    groups = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
    with artefact.path(file).open("rb") as opened, ThreadPoolExecutor(os.cpu_count()) as pool:
        chunks = find_chunks(opened, parquet, schema)
        large = not all(0 <= count <= group_rows(schema) for count in groups)
        if large or [len(one) for one in chunks] != [len(schema)] * len(groups):
            yield from read_batches(artefact, file, parquet, rows, schema.names)
            return
        for number, count in enumerate(groups):
            if not count:  # of which pyarrow makes no batch
                continue
            read = partial(read_column, opened.fileno(), count)
            columns = dict(zip(schema.names, pool.map(read, chunks[number], schema), strict=True))
            if others := [name for name, column in columns.items() if column is None]:
                batches = read_batches(artefact, file, parquet, group_rows(schema), others, number)
                table = pa.Table.from_batches(batches).combine_chunks()
                columns |= {name: table.column(name).chunk(0) for name in others}
            yield pa.record_batch(columns)


def find_chunks(opened: BinaryIO, parquet: pq.ParquetFile, schema: pa.Schema) -> list[list[Chunk | None]]:
    """Find where the columns of each row group lie; nothing of a file that is laid out in another way than ours."""
    columns = parquet.schema
    for number, field in enumerate(schema):  # levels mean something else where something else may be null
        most = field.nullable + pa.types.is_fixed_size_list(field.type)
        if columns.column(number).max_definition_level != most:
            return []
    opened.seek(-8, os.SEEK_END)
    size = int.from_bytes(opened.read(4), "little")
    if size > _MOST_FOOTER:
        return []
    opened.seek(-8 - size, os.SEEK_END)
    try:
        return read_chunks(opened.read(size))
    except (ValueError, IndexError, RecursionError):
        return []


def read_column(descriptor: int, rows: int, chunk: Chunk | None, field: pa.Field) -> pa.Array | None:
    """Read a column of vectors of one row group, none of which is null.

    Parameters
    ----------
    descriptor
        The open file.
    rows
        How many rows the group has.
    chunk
        Where the column lies, if that is known.
    field
        The column as it is laid out.

    Returns
    -------
    pyarrow.FixedSizeListArray or None
        None where the column is none of vectors, a vector is null, or a page is none that `clipdb export` writes.
    """
    if chunk is None or not pa.types.is_fixed_size_list(field.type):
        return None
    size, kind = field.type.list_size, np.dtype(field.type.value_type.to_pandas_dtype())
    numbers = np.empty(rows * size, kind)
    room = numbers.view(np.uint8)
    if chunk.levels != numbers.size or not 0 < chunk.packed <= 2 * room.size + 2**16:
        return None
    codec = pa.Codec("zstd")
    step = page_rows(field.type)
    try:
        pages = memoryview(os.pread(descriptor, chunk.packed, chunk.start))
        for first in range(0, rows, step):
            count, levels = full_levels(min(step, rows - first), size, field.nullable)
            unpacked = len(levels) + count * kind.itemsize
            body, pages = page_header(count, unpacked).split(pages)
            page = np.frombuffer(codec.decompress(body, unpacked), np.uint8)
            if page[: len(levels)].tobytes() != levels:
                return None
            room[first * size * kind.itemsize :][: count * kind.itemsize] = page[len(levels) :]
    except (pa.ArrowException, OSError, OverflowError, ValueError):
        return None
    return None if len(pages) else pa.FixedSizeListArray.from_arrays(pa.array(numbers), size)
