"""Write Parquet files that come out the same for the same rows, hashed on the way to disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.artefact.format import File, Kind


class HashedFile:
    """A file that is hashed while it is written.

    Parameters
    ----------
    root
        Directory of the export.
    path, kind, name
        As in `clipdb.artefact.format.File`.

    Attributes
    ----------
    rows, bytes
        What has been written; who writes rows counts them.
    """

    def __init__(self, root: Path, path: str, kind: Kind, name: str = "") -> None:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        self.rows = self.bytes = 0
        self._path, self._kind, self._name = path, kind, name
        self._file = place.open("xb")
        self._hash = hashlib.sha256()

    @property
    def closed(self) -> bool:
        """Whether it is finished, as pyarrow asks."""
        return self._file.closed

    def write(self, data: bytes | pa.Buffer) -> int:
        """Write bytes."""
        self._hash.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def give_up(self) -> None:
        """Close it, whether what is left can be written or not; else an error that is kept would keep it open."""
        with suppress(OSError):
            self._file.close()

    def finished(self) -> File:
        """Have it written to disk and close it; say what it is."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return File(self._path, self._kind, self._name, self.rows, self.bytes, self._hash.hexdigest())


def write_parquet(file: HashedFile, schema: pa.Schema, groups: Iterable[pa.Table], **options: Any) -> HashedFile:
    """Write tables of a schema, a row group each.

    Parameters
    ----------
    file
        Where to; it is left open, for the caller to finish.
    schema
        Columns of every table.
    groups
        The rows.
    **options
        What else pyarrow's writer takes.

    Returns
    -------
    HashedFile
        The same.
    """
    try:
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False, **options) as writer:
            for group in groups:
                writer.write_table(group, row_group_size=len(group))
                file.rows += len(group)
    except BaseException:
        file.give_up()
        raise
    return file


def regroup(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Cut record batches of any lengths into tables of equal lengths, the last one shorter, with columns of a schema.

    Pages and row groups must not depend on how a reader happened to deliver its rows, so each is in one piece.
    """
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while count + len(batch) >= rows:
            yield _joined([*held, batch.slice(0, rows - count)], schema)
            batch, held, count = batch.slice(rows - count), [], 0
        if len(batch):
            held.append(batch)
            count += len(batch)
    if held:
        yield _joined(held, schema)


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches).combine_chunks().cast(schema)
