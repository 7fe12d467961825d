"""A model's Lance table, under the index's commit protocol.

Rows are appended to Lance first and become part of the index with the DuckDB transaction that records their version:
readers open the recorded version. A version that a kill left unrecorded is rolled back by the next writer, who ingests
those images again; so nothing is lost or doubled, whenever the kill comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import lance
import pyarrow as pa

from clipdb.errors import ClipdbError
from clipdb.ingest.store.durable import Durable
from clipdb.ingest.store.id_index import index_ids
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.table_folder import (
    append_fragments,
    delete_table,
    delete_unfinished,
    delete_unreadable_versions,
    explain_store,
    fragment_files,
    open_table,
    require_rows,
    write_rows,
    writing,
)
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import head_column
from clipdb.schema.vector_indexes import index_name, vector_indexes
from clipdb.schema.vectors_place import table_in

COMPACT_EVERY = 64
FRAGMENT_ROWS = 2**15  # of a fragment that is never written again: larger ones would be, at every compaction

Record = Callable[[duckdb.DuckDBPyConnection], None]
"""Writes what belongs to rows, inside the transaction that records them."""


class VectorTable:
    """Rows of one model and kind.

    Parameters
    ----------
    writer
        The writer that holds the index.
    model_id
        The model.
    kind
        ``"images"`` or ``"texts"``.

    Raises
    ------
    ClipdbError
        If the table is not at the version that the catalog counts on.
    """

    def __init__(self, writer: Writer, model_id: str, kind: str) -> None:
        self.writer = writer
        self.model_id = model_id
        self.kind = kind
        self.run = writer.run  # that rows are recorded under
        self.path = table_in(writer.vectors, model_id, kind)
        self.key = {"images": "image_id", "texts": "text_id"}[kind]
        self._batch = 0
        self._committed = False  # whether this run has
        self._since_compaction = 0
        # Ids are looked up in another thread, and Lance refuses to read through a handle that is being written through.
        self._handle = threading.Lock()
        self._durable = Durable(self.path)
        self.dataset: lance.LanceDataset | None = self._recover()

    @property
    def schema(self) -> pa.Schema | None:
        """Columns of the table; None before its first row."""
        return None if self.dataset is None else self.dataset.schema

    def known(self, ids: Sequence[str], columns: Sequence[str] = ()) -> set[str]:
        """Return which ids are in, with a vector in each of some head columns."""
        listed = ", ".join(f"'{i}'" for i in ids)  # ids are hexadecimal digests of clipdb's own making
        complete = "".join(f" and {column} is not null" for column in columns)
        with self._handle:
            if self.dataset is None or not ids or not set(columns) <= set(self.dataset.schema.names):
                return set()
            found = self.dataset.to_table(columns=[self.key], filter=f"{self.key} in ({listed}){complete}")
        return set(found.column(self.key).to_pylist())

    def writing(self) -> AbstractContextManager[None]:
        """Say in one line why the table can't be written."""
        return writing(self.writer.index, self.path)

    def add_columns(self, schema: pa.Schema) -> None:
        """Widen the table by the columns of a schema that it lacks, null in the rows that are there."""
        if self.dataset is not None:
            missing = [field for field in schema if field.name not in self.dataset.schema.names]
            if missing:
                with self.writing():
                    self.dataset.add_columns(pa.schema(missing))

    def commit(
        self,
        rows: pa.Table,
        record: Record,
        merge: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Append rows, then record them together with their relations.

        Parameters
        ----------
        rows
            All columns but ``_run`` and ``_batch``; ids unique, and not in the table unless merged.
        record
            Writes what belongs to the rows, inside the same transaction.
        merge
            Replace rows whose id is in the table already.
        overwrite
            Replace the whole table, whose columns may be others then.
        """
        batch = self.next_batch()
        rows = with_batch(rows, self.run, batch)
        if self.dataset is not None and not overwrite:
            rows = rows.select(self.dataset.schema.names)
        before = 0 if self.dataset is None or overwrite else self.dataset.count_rows()
        with self.writing(), self._handle:
            if merge and self.dataset is not None:
                upsert = self.dataset.merge_insert(self.key)
                upsert.when_matched_update_all().when_not_matched_insert_all().execute(rows)
                self.dataset = open_table(self.path)
            else:
                mode = "create" if self.dataset is None else "overwrite" if overwrite else "append"
                self.dataset = write_rows(self.path, rows, mode)
                require_rows(self.dataset, before + len(rows))
        self._record(record, {batch: len(rows)})

    def begin(self, schema: pa.Schema) -> None:
        """Make the table, empty, if it doesn't exist: fragments can be written beside it from then on."""
        if self.dataset is None:
            with self.writing():
                self.dataset = write_rows(self.path, schema.empty_table(), "create")

    def drop_if_empty(self) -> None:
        """Delete a table of which nothing was committed, as if it had not begun."""
        if self.dataset is not None and self.dataset.count_rows() == 0:
            delete_table(self.path)
            self.dataset = None

    def next_batch(self) -> int:
        """Return a number for a batch of this run that no other has."""
        self._batch += 1
        return self._batch - 1

    def commit_fragments(
        self, fragments: Sequence[lance.FragmentMetadata], record: Record, added: Mapping[int, int]
    ) -> None:
        """Make rows that are on the disk already part of the table, then record them together with their relations.

        Parameters
        ----------
        fragments
            Written and synced by other processes, in the columns of the table; ids unique, and not in the table.
        record
            Writes what belongs to the rows, inside the same transaction.
        added
            Rows of each batch that the fragments hold.

        Raises
        ------
        ClipdbError
            If a fragment's file can't be seen from here.
        """
        assert self.dataset is not None
        for path in fragment_files(self.path, fragments) if isinstance(self.path, Path) else ():
            if not path.is_file():  # Lance would count its rows, and fail to read them later
                raise ClipdbError(f"{path}, which another machine wrote, can't be seen from here: share {path.parent}")
        before = self.dataset.count_rows()
        with self.writing(), self._handle:
            self.dataset = append_fragments(self.dataset, self.path, fragments)
            require_rows(self.dataset, before + sum(added.values()))
        self._record(record, added)

    def _record(self, record: Record, added: Mapping[int, int]) -> None:
        with self.writer.transaction() as connection:
            record(connection)
            self._record_version(connection, added)
        self._since_compaction += 1
        if self._since_compaction >= COMPACT_EVERY:
            self.compact()

    @property
    def settled(self) -> bool:
        """Whether the run that committed last came to its end, where what depends on the rows is brought up to date."""
        last = self.writer.read(
            "select finished_at is not null from batches join runs using (run) where model_id = ? and kind = ? "
            "order by lance_version desc, run desc limit 1",
            self.model_id,
            self.kind,
        )
        return not last or last[0][0]

    def compact(self) -> None:
        """Merge small files and index the ids."""
        if self.dataset is None:
            return
        with self.writing(), self._handle:
            self.dataset.optimize.compact_files(target_rows_per_fragment=FRAGMENT_ROWS)
            self.dataset = open_table(self.path)
            index_ids(self.dataset, self.key)
            self.dataset = open_table(self.path)
            if covered := [index_name(head_column(*head)) for head in vector_indexes(self.dataset)]:
                self.dataset.optimize.optimize_indices(index_names=covered)  # they take in the rows that are new
                self.dataset = open_table(self.path)
        if self._committed:
            self._move_version(self.dataset.version)
        else:  # this run finishes what another began
            with self.writer.transaction() as connection:
                self._record_version(connection, {self.next_batch(): 0})
        self._since_compaction = 0

    def reopened(self) -> lance.LanceDataset:
        """Open the newest version, which this writer made."""
        with self._handle:
            self.dataset = open_table(self.path)
        return self.dataset

    def move(self) -> None:
        """Commit the newest version, which has the same rows as the one before."""
        self._move_version(self.reopened().version)

    def _record_version(self, connection: duckdb.DuckDBPyConnection, added: Mapping[int, int]) -> None:
        assert self.dataset is not None
        self._durable.keep()
        rows = [
            {
                "model_id": self.model_id,
                "kind": self.kind,
                "run": self.run,
                "batch": batch,
                "lance_version": self.dataset.version,
                "added": count,
                "committed_at": datetime.now(UTC),
            }
            for batch, count in added.items()
        ]
        put(connection, "batches", rows)
        self._committed = True

    def _recover(self) -> Any:
        """Open the table at its committed version, dropping what a killed run left after it."""
        committed = self.writer.read(
            "select max(lance_version) from batches where model_id = ? and kind = ?", self.model_id, self.kind
        )[0][0]
        if committed is None:
            delete_table(self.path)
            return None
        try:
            delete_unfinished(self.path)
            dataset = open_table(self.path, committed)
            if dataset.latest_version != committed:
                delete_unreadable_versions(self.path, committed)
                dataset.restore()
                dataset = open_table(self.path)
                self._move_version(dataset.version)
        except (OSError, ValueError) as error:
            explain_store(self.path, error)
            raise ClipdbError(
                f"the vectors {self.path} are not at version {committed} as the catalog says: restore them from a "
                f"copy, or ingest into a new index"
            ) from error
        return dataset

    def _move_version(self, version: int) -> None:
        """Record that the rows committed last are now found at another version."""
        self._durable.keep()
        with self.writer.transaction() as connection:
            connection.execute(
                "update batches set lance_version = $version where model_id = $model and kind = $kind "
                "and lance_version = (select max(lance_version) from batches where model_id = $model and kind = $kind)",
                {"version": version, "model": self.model_id, "kind": self.kind},
            )


def with_batch(rows: pa.Table, run: str, batch: int) -> pa.Table:
    """Add the columns that say which run and batch rows are of."""
    with_run = rows.append_column("_run", pa.array([run] * len(rows)))
    return with_run.append_column("_batch", pa.array([batch] * len(rows), pa.int32()))
