"""Read vectors from the pages that `clipdb export` writes, as fast as they can be unpacked.

Every byte of such a page but its numbers is known before it is read. What is not just so pyarrow reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.ingest.artefact.files import Artefact
from clipdb.ingest.artefact.parquet import read_batches
from clipdb.schema.artefact import File
from clipdb.schema.vector_pages import full_levels, group_rows, page_header, page_rows


def read_vectors(
    artefact: Artefact, file: File, parquet: pq.ParquetFile, schema: pa.Schema, rows: int
) -> Iterator[pa.RecordBatch]:
    """Read a file of vectors, in order: a row group at once, or fewer rows where it has larger ones than ours.

    Parameters
    ----------
    parquet
        The file, whose columns are those of `schema`.
    schema
        Of `clipdb.schema.arrow.vectors_schema`.
    rows
        How many rows of large row groups to hold.

    Raises
    ------
    ClipdbError
        As `clipdb.ingest.artefact.parquet.read_batches`.
    """
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    if any(group.num_rows > group_rows(schema) for group in groups):
        yield from read_batches(artefact, file, parquet, rows, schema.names)
        return
    with artefact.path(file).open("rb") as opened, ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, group in enumerate(groups):

            def read(column: int, group: pq.RowGroupMetaData = group) -> pa.Array | None:
                return read_column(opened.fileno(), group.column(column), group.num_rows, schema.field(column))

            columns = dict(zip(schema.names, pool.map(read, range(len(schema))), strict=True))
            if others := [name for name, column in columns.items() if column is None]:
                batches = read_batches(artefact, file, parquet, group_rows(schema), others, number)
                table = pa.Table.from_batches(batches).combine_chunks()
                columns |= {name: table.column(name).chunk(0) for name in others}
            yield pa.record_batch(columns)


def read_column(descriptor: int, chunk: pq.ColumnChunkMetaData, rows: int, field: pa.Field) -> pa.Array | None:
    """Read a column of vectors of one row group, none of which is null.

    Parameters
    ----------
    descriptor
        The open file.
    chunk
        What its footer says of the column.
    rows
        How many rows the group has.
    field
        The column as it is laid out.

    Returns
    -------
    pyarrow.FixedSizeListArray or None
        None where the column is none of vectors, a vector is null, or a page is none that `clipdb export` writes.
    """
    if not pa.types.is_fixed_size_list(field.type) or chunk.compression != "ZSTD":
        return None
    size, kind = field.type.list_size, np.dtype(field.type.value_type.to_pandas_dtype())
    numbers = np.empty(rows * size, kind)
    room = numbers.view(np.uint8)
    if chunk.data_page_offset < 0 or not 0 < chunk.total_compressed_size <= 2 * room.size + 2**16:
        return None
    pages = memoryview(os.pread(descriptor, chunk.total_compressed_size, chunk.data_page_offset))
    codec = pa.Codec("zstd")
    step = page_rows(field.type)
    for first in range(0, rows, step):
        count, levels = full_levels(min(step, rows - first), size, field.nullable)
        unpacked = len(levels) + count * kind.itemsize
        header = page_header(count, unpacked)
        if (body := header.body(pages)) is None:
            return None
        try:
            page = np.frombuffer(codec.decompress(body, unpacked), np.uint8)
        except (pa.ArrowException, OSError):
            return None
        if page[: len(levels)].tobytes() != levels:
            return None
        room[first * size * kind.itemsize :][: count * kind.itemsize] = page[len(levels) :]
        pages = pages[len(header.with_length(len(body))) + len(body) :]
    return None if len(pages) else pa.FixedSizeListArray.from_arrays(pa.array(numbers), size)
