"""Ingest images: run the model once over what is new, and commit heads and embeddings as it goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import torch

from clipdb._util.stages import Counts, Progress
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.descriptions.texts import refresh_text_heads
from clipdb.ingest.images.decoding.workers import DecodePool
from clipdb.ingest.images.facts import KnownImages, differences, facts_of
from clipdb.ingest.images.sources import open_sources
from clipdb.ingest.images.stream import Candidate, Chunk, ImageStream
from clipdb.ingest.store.heads import refresh_statistics, store_bases, stored_bases
from clipdb.ingest.store.known_models import remembered, require_same_model
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.models.decomposition import Decomposer, prove
from clipdb.models.loading import Model, device_name, load, out_of_memory
from clipdb.models.model_config import named
from clipdb.schema.layers import parse_layers
from clipdb.schema.names import head_column
from clipdb.schema.vectors import head_columns, images_schema

BATCH_ON_CPU, BATCH_ON_GPU = 32, 256
PROOF_IMAGES = 8
# Rows under way are lost to a kill, and a commit takes some 100 ms: a few seconds of work are a fair stake.
COMMIT_SECONDS = 5.0
COMMIT_BATCHES = 16


@dataclass(frozen=True)
class ImageOptions:
    """How to ingest images: the flags of ``clipdb ingest images``."""

    layers: str = "last4"
    checkpoint: Path | None = None
    config: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch_size: int | None = None
    workers: int = 2
    split: str | None = None
    label_from: str | None = None
    overwrite: bool = False


def ingest_images(
    index: Path,
    paths: Sequence[str],
    model: str | None,
    options: ImageOptions | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Run a model over images that the index lacks and store its heads' vectors.

    The same call finishes what an earlier one began, however that one ended: images are known by their content.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    paths
        Folders, file lists, tar shards, Parquet files, images.
    model
        ``ARCH/PRETRAINED``, or ``local-dir:FOLDER``; None takes the name from the configuration's and weights' files.
    options, progress
        How, and whom to tell.

    Raises
    ------
    ClipdbError
        One line that says what to do; nothing is half-written.
    Stopped
        On Ctrl-C, which keeps what was computed.
    """
    options, progress = options or ImageOptions(), progress or Progress()
    sources = open_sources(paths)
    wanted = named(model, options.config, options.checkpoint)
    # Commands that need the weights later may run elsewhere.
    checkpoint = wanted.checkpoint and wanted.checkpoint.absolute()
    arguments = {"sources": list(paths), "model": wanted.model_id, **asdict(options), "checkpoint": checkpoint}
    writer = Writer(index, "ingest images", arguments, create=True)
    with stopped(lambda: f"{writer.added + writer.skipped} images are in" if writer.added else ""), writer:
        known = remembered(writer, wanted)
        loaded = load(known.model_id, known.checkpoint, options.device, options.precision, known.config)
        writer.device = device_name(loaded.device)
        session = _Session(writer, loaded, options, progress)
        progress.total(sources.total)
        with (
            DecodePool(loaded.preprocess, options.workers) as decoders,
            ImageStream(sources, decoders, session.known, session.batch_size) as stream,
        ):
            session.run(stream)
        session.close()
        counts, links = session.counts, sources.left_out
        if not counts.added + counts.skipped + counts.failed:
            but = f", but {links} links, pipes or devices" if links else ""
            raise ClipdbError(f"no images in {', '.join(paths)}{but}: give files, or archives and tables of them")
        note = [f"left out {links} links, pipes or devices in tar shards: only files are read"] if links else []
        return replace(counts, notes=(*counts.notes, *note))


@dataclass(frozen=True)
class _Embedded:
    """A batch that waits for its commit."""

    rows: list[dict[str, Any]]
    ids: np.ndarray
    embedding: np.ndarray
    norm: np.ndarray
    heads: np.ndarray


class _Session:
    """One run over one model's table."""

    def __init__(self, writer: Writer, model: Model, options: ImageOptions, progress: Progress) -> None:
        self.writer, self.model, self.options, self.progress = writer, model, options, progress
        require_same_model(writer, model)
        self.table = VectorTable(writer, model.model_id, "images")
        stored = {layer for layer, _ in head_columns(self.table.schema)} if self.table.schema else set()
        layers = sorted(stored | set(parse_layers(options.layers, model.adapter.layers)))
        self.decomposer = Decomposer(model.adapter, layers, stored_bases(writer, model.model_id))
        self.schema = images_schema(
            model.adapter.embed_dim, dict.fromkeys(self.decomposer.bases, model.adapter.head_dim)
        )
        self.table.add_columns(self.schema)
        self.batch_size = options.batch_size or (BATCH_ON_CPU if model.device.type == "cpu" else BATCH_ON_GPU)
        self.error: float | None = None
        self.described = False  # whether this run has recorded the model and its heads
        self.waiting: list[_Embedded] = []
        self.failures: dict[str, str] = {}
        self.failed_before = {row[0] for row in writer.read("select uri from image_failures")}
        self.mended: list[str] = []
        self.known_images = KnownImages(writer, options.overwrite)
        self.committed_at = time.monotonic()

    @property
    def counts(self) -> Counts:
        known, writer = self.known_images, self.writer
        return Counts(writer.added, writer.skipped, writer.failed, known.updated, tuple(differences(known)))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which images have a vector in every layer."""
        first_heads = [head_column(layer, 0) for layer in self.decomposer.layers]
        return self.table.known(ids, first_heads)

    def run(self, stream: ImageStream) -> None:
        try:
            for chunk in stream:
                self._take(chunk)
                full = len(self.waiting) >= COMMIT_BATCHES
                if full or time.monotonic() - self.committed_at > COMMIT_SECONDS:
                    self._commit(stream)
        finally:  # Ctrl-C keeps what was computed
            self._commit(stream)

    def _take(self, chunk: Chunk) -> None:
        self.failures |= dict(chunk.failures)
        self.writer.failed += len(chunk.failures)
        self.writer.skipped += len(chunk.skipped)
        self.mended += self.failed_before.intersection(one.item.uri for one in chunk.skipped)
        for one in chunk.skipped:
            self.known_images.offer(self._facts(one))
        if chunk.candidates:
            self._embed(chunk)
        waiting = sum(len(embedded.rows) for embedded in self.waiting)
        self.progress.counts(replace(self.counts, added=self.writer.added + waiting))

    def _embed(self, chunk: Chunk) -> None:
        images = self.model.pixels_to_input(torch.from_numpy(chunk.pixels))
        if self.error is None:
            self.error = self._prove(images[:PROOF_IMAGES])
        embedding, norm, heads = (part.cpu().numpy() for part in self._decompose(images))
        rows: list[dict[str, Any]] = []
        good = np.isfinite(heads).all(axis=(1, 2, 3)) & np.isfinite(embedding).all(axis=1) & np.isfinite(norm)
        for candidate, facts, fine in zip(chunk.candidates, chunk.facts, good, strict=True):
            if fine:
                decoded = {"width": facts.width, "height": facts.height, "format": facts.format}
                rows.append(self._facts(candidate) | decoded)
            else:
                self.failures[candidate.item.uri] = "the model's output is not finite: try --precision fp32"
                self.writer.failed += 1
        ids = np.array([candidate.image_id for candidate in chunk.candidates])
        # Rows and vectors in one step: Ctrl-C may come between any two.
        self.waiting.append(_Embedded(rows, ids[good], embedding[good], norm[good], heads[good]))

    def _facts(self, candidate: Candidate) -> dict[str, Any]:
        item, options = candidate.item, self.options
        label = item.parent if options.label_from == "parent" else item.label
        return facts_of(candidate.image_id, item.uri, options.split or item.split, label, item.metadata)

    def _decompose(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with out_of_memory(self.batch_size):
            return self.decomposer(images)

    def _prove(self, images: torch.Tensor) -> float:
        with torch.inference_mode():
            reference = self.model.network.encode_image(images)
        return prove(self.model.adapter, images, reference, self.model.precision, self.model.model_id)

    def _commit(self, stream: ImageStream) -> None:
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            rows = [row for embedded in waiting for row in embedded.rows]
            ids = [row["image_id"] for row in rows]
            # Images that are in already come again for a layer that was added later.
            again = self.table.known(ids)
            all_known = self._has_no_others()
            self.table.commit(
                self._arrow(waiting), partial(self._record, rows, all_known and not again), merge=bool(again)
            )
            self.described = True
            stream.committed(ids)
            for row in rows:
                if row["image_id"] in again:
                    self.known_images.offer(row)
        self.known_images.settle()
        self.committed_at = time.monotonic()

    def _has_no_others(self) -> bool:
        """Return whether the catalog has just the images of this table, so that what the table lacks is new to both."""
        held = self.table.dataset.count_rows() if self.table.dataset is not None else 0
        return bool(self.writer.read("select count(*) from images")[0][0] == held)

    def _record(self, rows: list[dict[str, Any]], new: bool, connection: duckdb.DuckDBPyConnection) -> None:
        assert self.error is not None
        self.writer.added += len(rows)
        if not self.described:  # bases are large, and a run's never change
            put(connection, "models", [self.model.row(self.error)], replace=True)
            store_bases(connection, self.model.model_id, self.decomposer.bases)
        put(connection, "images", rows, new=new)
        self.mended += self.failed_before.intersection(row["uri"] for row in rows)
        self._record_failures(connection)

    def _record_failures(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("delete from image_failures where uri in (select unnest(?::text[]))", [self.mended])
        failures = [{"uri": uri, "error": e, "run": self.writer.run} for uri, e in self.failures.items()]
        put(connection, "image_failures", failures, replace=True)
        self.failures, self.mended = {}, []

    def _arrow(self, waiting: list[_Embedded]) -> pa.Table:
        heads = np.concatenate([embedded.heads for embedded in waiting])
        columns = {
            "image_id": pa.array(np.concatenate([embedded.ids for embedded in waiting]).tolist(), pa.utf8()),
            "embedding": vector_column(np.concatenate([embedded.embedding for embedded in waiting])),
            "norm": pa.array(np.concatenate([embedded.norm for embedded in waiting]), pa.float32()),
        }
        for row, layer in enumerate(self.decomposer.layers):
            for head in range(self.model.adapter.heads):
                columns[head_column(layer, head)] = vector_column(heads[:, row, head])
        fields = [self.schema.field(name) for name in columns]
        return pa.table(list(columns.values()), schema=pa.schema(fields))

    def close(self) -> None:
        """Record failures, leave the table compact, and bring what depends on the vectors up to date.

        Raises
        ------
        ClipdbError
            If there were files and none of them could be read; a new index is not made for that.
        """
        nothing = self.writer.failed and not self.writer.added and not self.writer.skipped
        if nothing:
            uri, reason = next(iter(self.failures.items()))
        if (self.failures or self.mended) and not (nothing and self.writer.made):
            with self.writer.transaction() as connection:
                self._record_failures(connection)
        if nothing:
            raise ClipdbError(f"none of the {self.writer.failed} files could be read: {uri}: {reason}")
        self.known_images.settle(everything=True)
        if not self.table.settled:
            self.table.compact()
            refresh_statistics(self.writer, self.table)
            refresh_text_heads(self.writer, self.model.model_id)
