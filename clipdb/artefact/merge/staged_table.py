"""A Lance table that takes an artefact's rows: all of them become part of the index in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb
import numpy as np
import pyarrow as pa

from clipdb.artefact.merge.checked_vectors import with_nulls
from clipdb.ingest.store.moments import Moments, head_halves
from clipdb.ingest.store.table_folder import open_table, write_rows
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.ingest.store.vector_table import VectorTable, with_batch
from clipdb.ingest.store.writer import Writer
from clipdb.schema.basis_matrix import in_head_space
from clipdb.schema.names import Head, head_column
from clipdb.schema.vectors import part_columns


class StagedTable(VectorTable):
    """A vector table whose new rows are recorded later, with the relations that belong to them.

    Until then no reader sees them, and the next writer rolls them back if a kill or a failure comes first.

    Parameters
    ----------
    writer, model_id, kind
        As a `VectorTable` takes them.
    run
        The run that the rows are recorded under.
    """

    def __init__(self, writer: Writer, model_id: str, kind: str, run: str) -> None:
        super().__init__(writer, model_id, kind)
        self.run = run
        ((self._batch,),) = writer.read(
            "select coalesce(max(batch) + 1, 0) from batches where model_id = ? and kind = ? and run = ?",
            model_id,
            kind,
            run,
        )
        self.rows_added = 0

    def add_text_heads(self, bases: dict[Head, np.ndarray]) -> None:
        """Add to every text its vectors in more heads: ``Q^T t``, which takes its embedding alone."""
        assert self.dataset is not None
        fields = [pa.field(head_column(*head), pa.list_(pa.float16(), q.shape[1])) for head, q in bases.items()]
        stored = self.dataset.to_batches(columns=["embedding"])
        batches = (text_heads(batch.column(0), bases) for batch in stored)
        with self.writing():
            self.dataset.add_columns(pa.RecordBatchReader.from_batches(pa.schema(fields), batches))

    def append(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Append rows as they come, in one version.

        Parameters
        ----------
        batches
            All columns but ``_run`` and ``_batch``.
        schema
            All columns, in the order of the table.

        What came up while a batch was read is raised as it was.
        """
        failed: list[BaseException] = []

        def stamped() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    self.rows_added += len(batch)
                    yield self._laid_out(pa.Table.from_batches([batch]), schema).combine_chunks().to_batches()[0]
            except BaseException as error:
                failed.append(error)
                raise

        with self.writing():
            mode = "create" if self.dataset is None else "append"
            reader = pa.RecordBatchReader.from_batches(schema, stamped())
            try:
                self.dataset = write_rows(self.path, reader, mode)
            except (OSError, RuntimeError, ValueError):
                if failed:  # Lance would tell of it in a page of text
                    raise failed[0] from None
                raise

    def replace(self, rows: pa.Table, schema: pa.Schema) -> None:
        """Put rows in the place of those with their ids."""
        assert self.dataset is not None
        self.rows_added += len(rows)
        with self.writing():
            upsert = self.dataset.merge_insert(self.key).when_matched_update_all()
            upsert.execute(self._laid_out(rows, schema))
            self.dataset = open_table(self.path)

    def record(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make what was written part of the index, with the transaction that a connection is in."""
        self._record_version(connection, {self.next_batch(): self.rows_added})

    def _laid_out(self, rows: pa.Table, schema: pa.Schema) -> pa.Table:
        return with_batch(rows, self.run, self._batch).select(schema.names).cast(schema)


def text_heads(embeddings: pa.Array, bases: dict[Head, np.ndarray]) -> pa.RecordBatch:
    """Compute ``Q^T t`` of unit text embeddings, a column a head."""
    matrix = vector_matrix(embeddings)
    present = np.zeros(len(matrix), bool)
    return pa.record_batch(
        {head_column(*head): with_nulls(in_head_space(matrix, q), present) for head, q in bases.items()}
    )


def table_moments(table: StagedTable) -> dict[Head, Moments]:
    """Take the moments of the heads and components that have vectors, the rows that are not recorded yet among them."""
    assert table.dataset is not None
    columns = part_columns(table.dataset.schema)
    by_column = head_halves(table.dataset, list(columns.values()))
    return {head: by_column[column].whole for head, column in columns.items() if by_column[column].one.count}
