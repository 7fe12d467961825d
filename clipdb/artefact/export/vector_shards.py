"""The vectors of an export: a model's Lance table as Parquet files of so many rows each, written side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from clipdb.artefact.export.parquet_writer import HashedFile, regroup, write_parquet
from clipdb.artefact.format import SHARD_ROWS, File, vectors_path
from clipdb.artefact.parquet_columns import group_rows, vectors_schema
from clipdb.queries.vectors.store_table import StoreTable
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.schema import vectors
from clipdb.schema.names import TRUNK

if TYPE_CHECKING:
    import lance

_MOST_THREADS = 4


@dataclass(frozen=True)
class Source:
    """Vectors to write: a Lance table of a model, the layers that go in, and the ids of rows that don't."""

    model_id: str
    kind: Kind
    table: lance.LanceDataset | StoreTable
    layers: Sequence[int]
    without: Sequence[str]


@contextmanager
def writing_vectors(root: Path, sources: Sequence[Source]) -> Iterator[Iterator[File]]:
    """Write the vectors of models in threads of their own, in the order in which the index has the rows.

    Memory is bounded: each thread holds a few row groups, whatever the number of rows.

    Parameters
    ----------
    root
        Directory of the export.
    sources
        What to write.

    Yields
    ------
    iterator of File
        The shards in order, each when it is on disk. What was not begun when the block ends is not written.
    """
    shards = [partial(_write_shard, root, source, n) for source in sources for n in range(_shards(source))]
    # One thread more than there are processors: one of them waits for the disk.
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1) + 1)
    try:
        yield pool.map(lambda write: write(), shards)
    finally:
        pool.shutdown(cancel_futures=True)


def _shards(source: Source) -> int:
    return -(-(source.table.count_rows() - len(source.without)) // SHARD_ROWS)


def _write_shard(root: Path, source: Source, number: int) -> File:
    layout = source.table.schema
    kept = {TRUNK, *source.layers}  # what is of no single layer goes with any
    sizes = {part: size for part, size in vectors.part_dims(layout).items() if part[0] in kept}
    schema = vectors_schema(source.kind, vectors.embed_dim(layout), sizes)
    rows = group_rows(schema)
    scanner = source.table.scanner(
        columns=schema.names,
        filter=~pc.field(schema.names[0]).isin(list(source.without)) if source.without else None,
        offset=number * SHARD_ROWS,
        limit=SHARD_ROWS,
        batch_size=rows,
        batch_readahead=2,
        scan_in_order=True,
    )
    file = HashedFile(root, vectors_path(source.model_id, source.kind, number), source.kind, source.model_id)
    return write_vectors(file, schema, regroup(scanner.to_batches(), schema, rows)).finished()


def write_vectors(file: HashedFile, schema: pa.Schema, groups: Iterable[pa.Table]) -> HashedFile:
    """Write tables as `write_parquet` does; nobody looks for a vector by the least and largest of its numbers."""
    return write_parquet(file, schema, groups, compression_level=1, write_statistics=False)
