"""One run over one model's images: embed what the stream brings, and commit as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import duckdb

from clipdb._util.stages import Counts, Progress
from clipdb.errors import ClipdbError
from clipdb.ingest.descriptions.texts import refresh_text_heads
from clipdb.ingest.images.embedded import Embedded, vector_rows
from clipdb.ingest.images.embedding import Embedding, Started, source_facts
from clipdb.ingest.images.facts import KnownImages, differences
from clipdb.ingest.images.image_failures import Failures
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.images.stream import Chunk, ImageStream
from clipdb.ingest.store.heads import store_bases, store_losses
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import TakeHalves, head_halves
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_table import Record
from clipdb.models.decomposition import Decomposer
from clipdb.models.model import Model
from clipdb.models.rank_cut import Loss, RankCut
from clipdb.schema.names import head_column

# Rows under way are lost to a kill, and a commit takes some 100 ms: a few seconds of work are a fair stake.
COMMIT_SECONDS = 5.0
COMMIT_BATCHES = 16


class Session:
    """Take what a stream brings into a model's table.

    Parameters
    ----------
    tables
        What the index holds of the model; its images have a column for each head of the decomposer.
    model
        The model, loaded.
    decomposer
        Which of its heads are kept, in bases that hold all that they write.
    cut
        Which of them are stored with fewer numbers, and the bases of all.
    options, progress
        How, and whom to tell.
    """

    def __init__(
        self,
        tables: ModelTables,
        model: Model,
        decomposer: Decomposer,
        cut: RankCut,
        options: ImageOptions,
        progress: Progress,
    ) -> None:
        self.tables, self.model, self.decomposer, self.cut = tables, model, decomposer, cut
        self.embedding = Embedding(model, decomposer, cut, options)
        self.options, self.progress = options, progress
        self.writer, self.table = tables.writer, tables.images
        known = self.writer.read("select base, storage_error from models where model_id = ?", model.model_id)
        self.stored_base: str | None = known[0][0] if known else None
        self.storage_error: float | None = known[0][1] if known else None  # the largest so far
        self.known_images = KnownImages(self.writer, options.overwrite)
        self.failures = Failures(self.writer)
        self.started: Started | None = None
        self.waiting: list[Embedded] = []
        self.cut_short = False  # whether a commit was
        self.recorded_error = 0.0
        self.described = False  # whether this run has recorded the model and its heads
        self.committed_at = time.monotonic()

    @property
    def counts(self) -> Counts:
        """How many images were added, skipped, not readable and updated so far."""
        known, writer = self.known_images, self.writer
        return Counts(writer.added, writer.skipped, writer.failed, known.updated, tuple(differences(known)))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which images have a vector in every layer, and of every other component."""
        first = [(layer, 0) for layer in self.decomposer.layers]
        return self.table.known(ids, [head_column(*part) for part in (*first, *self.decomposer.components)])

    def run(self, stream: ImageStream) -> None:
        """Embed all that a stream brings; what was embedded when it breaks off is committed too."""
        try:
            for chunk in stream:
                self._take(chunk)
                full = len(self.waiting) >= COMMIT_BATCHES
                if full or time.monotonic() - self.committed_at > COMMIT_SECONDS:
                    self._commit(stream)
        finally:  # Ctrl-C keeps what was computed
            if not self.cut_short:
                self._finish()
                self._commit(stream)

    def _take(self, chunk: Chunk) -> None:
        for uri, reason in chunk.failures:
            self.failures.add(uri, reason)
        self.writer.skipped += len(chunk.skipped)
        self.failures.mend(one.item.uri for one in chunk.skipped)
        for one in chunk.skipped:
            self.known_images.offer(source_facts(one, self.options))
        if chunk.candidates:
            self._embed(chunk)
        self.tell(sum(len(embedded.rows) for embedded in self.waiting))

    def tell(self, waiting: int) -> None:
        """Tell how it goes; what a kill would lose isn't told as added."""
        self.progress.counts(self.counts, waiting)

    def _embed(self, chunk: Chunk) -> None:
        """Give the device a batch before the one before it is dealt with, so that a GPU never waits for that."""
        started = self.embedding.start(chunk)
        self._finish()
        self.started = started

    def _finish(self) -> None:
        started, self.started = self.started, None
        if started is not None:
            embedded, failures = self.embedding.finish(started)
            for uri, reason in failures:
                self.failures.add(uri, reason)
            self.waiting.append(embedded)  # rows and vectors in one step: Ctrl-C may come between any two

    def _commit(self, stream: ImageStream) -> None:
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            rows = [row for embedded in waiting for row in embedded.rows]
            ids = [row["image_id"] for row in rows]
            # Images that are in already come again for a layer that was added later.
            again = self.table.known(ids)
            vectors = vector_rows(waiting, self.decomposer, self.cut.bases)
            losses = [embedded.loss for embedded in waiting if embedded.loss is not None]
            self.commit(rows, losses, again, partial(self.table.commit, vectors, merge=bool(again)))
            stream.committed(ids)
            self.tell(0)
        self.known_images.settle()
        self.committed_at = time.monotonic()

    def commit(
        self, rows: list[dict[str, Any]], losses: list[Loss], again: set[str], store: Callable[[Record], None]
    ) -> None:
        """Commit vectors together with their images.

        Parameters
        ----------
        rows, losses
            Rows of the table ``images``, and what the vectors lack.
        again
            Which of the images are in the table already.
        store
            Stores the vectors, and calls what it is given in the transaction that records them.
        """
        all_new = not again and self._has_no_others()
        # A commit that is cut short may leave vectors that no row belongs to: another one would let them in.
        self.cut_short = True
        store(partial(self._record, rows, all_new, losses))
        self.cut_short = False
        self.described = True
        for row in rows:
            if row["image_id"] in again:
                self.known_images.offer(row)

    def _has_no_others(self) -> bool:
        """Return whether the catalog has just the images of this table, so that what the table lacks is new to both."""
        held = self.table.dataset.count_rows() if self.table.dataset is not None else 0
        return bool(self.writer.read("select count(*) from images")[0][0] == held)

    def _record(
        self, rows: list[dict[str, Any]], new: bool, losses: list[Loss], connection: duckdb.DuckDBPyConnection
    ) -> None:
        assert self.embedding.error is not None
        self.writer.added += len(rows)
        if not self.described:  # bases are large, and a run's never change
            base = self.options.base or self.stored_base
            own = {"base": base, "storage_error": self.storage_error}
            put(connection, "models", [self.model.row(self.embedding.error) | own], replace=True)
            store_bases(connection, self.model.model_id, self.cut.bases)
        elif self.embedding.error > self.recorded_error:  # each process of a cluster has a proof of its own
            changed = "update models set reconstruction_error = ? where model_id = ?"
            connection.execute(changed, [self.embedding.error, self.model.model_id])
        self.recorded_error = self.embedding.error
        store_losses(connection, self.model.model_id, losses)
        put(connection, "images", rows, new=new)
        self.failures.mend(row["uri"] for row in rows)
        self.failures.record(connection)

    def close(self, take: TakeHalves = head_halves) -> None:
        """Record failures, leave the table compact, and bring what depends on the vectors up to date.

        Parameters
        ----------
        take
            Takes the moments of the vectors.

        Raises
        ------
        ClipdbError
            If there were files and none of them could be read; a new index is not made for that.
        """
        nothing = self.writer.failed and not self.writer.added and not self.writer.skipped
        if nothing:
            uri, reason = next(iter(self.failures.reasons.items()))
        if self.failures.waiting and not (nothing and self.writer.made):
            with self.writer.transaction() as connection:
                self.failures.record(connection)
        if nothing:
            raise ClipdbError(f"none of the {self.writer.failed} files could be read: {uri}: {reason}")
        self.known_images.settle(everything=True)
        self._record_base()
        if not self.table.settled:
            self.table.compact()
            self.tables.refresh_statistics(take)
            refresh_text_heads(self.tables)

    def _record_base(self) -> None:
        """Record what the model was fine-tuned from, where the images were in already."""
        if not self.described and self.options.base not in (None, self.stored_base):
            with self.writer.transaction() as connection:
                changed = "update models set base = ? where model_id = ?"
                connection.execute(changed, [self.options.base, self.model.model_id])
