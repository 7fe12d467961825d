"""Make and drop the vector index of several heads together: two passes over their vectors, a block of rows at a time.

What is held for all images at once is what is stored of them, 140 bytes an image where embed_dim is 512.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

import duckdb
import lance
import numpy as np

from clipdb._util.half_floats import widened
from clipdb.errors import ClipdbError
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.property_recall import QUESTIONS, Nearest, measured
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.schema.image_codes import code_bytes, encoded, turn
from clipdb.schema.names import Head, head_column, head_name
from clipdb.schema.property_index import (
    PROPERTY_HEADS,
    ROW_COLUMNS,
    Part,
    PropertyIndex,
    property_indexes,
    rows_sha256,
)

_SAMPLED = 64  # images that k-means is trained on, for each partition
_ROUNDS = 20  # of k-means

# Of heads that were a property's until labels changed.
_ORPHANS = (
    f"select heads from property_indexes where model_id = ? and heads not in (select heads from ({PROPERTY_HEADS}))"
)

_MEANS = "select layer, head, mean from heads where model_id = ? and mean is not null"


class _Units:
    """The images' directions over some heads together, turned: see `clipdb.schema.property_index`."""

    def __init__(self, tables: ModelTables, heads: Sequence[Head]) -> None:
        assert tables.images.dataset is not None
        self.dataset: lance.LanceDataset = tables.images.dataset
        bases = tables.bases()
        means = {(layer, head): mean for layer, head, mean in tables.writer.read(_MEANS, tables.model_id)}
        if lacking := [head_name(*head) for head in heads if head not in means]:
            raise ClipdbError(
                f"{', '.join(lacking)} of {tables.model_id} has no mean yet: let an ingest of images come to its end",
                kind="absent",
            )
        joint = np.concatenate([bases[head] for head in heads], axis=1).T.astype(np.float32)
        self.size = joint.shape[1]
        self._joint = joint @ turn(self.size)
        self._mean = np.concatenate([np.asarray(means[head], np.float32) for head in heads])
        self._columns = [head_column(*head) for head in heads]

    def blocks(self, among: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows ``[m]`` of the table, or of some of them (ascending), and unit vectors ``[m, embed_dim]``.

        Images that haven't been through all heads are left out, and those that are where the means are.
        """
        start = 0
        for batch in self.dataset.to_batches(columns=self._columns, batch_size=ROWS_AT_ONCE):
            rows = np.arange(start, start + len(batch))
            start += len(batch)
            kept = np.logical_and.reduce([np.asarray(column.is_valid()) for column in batch.columns])
            if among is not None:
                kept &= np.isin(rows, among)
            if not kept.all():
                rows, batch = rows[kept], batch.filter(kept)
            vectors = np.concatenate([widened(vector_matrix(column)) for column in batch.columns], axis=1)
            together = (vectors - self._mean) @ self._joint
            lengths = np.linalg.norm(together, axis=1)
            some = lengths > 0
            if some.any():
                yield rows[some], together[some] / lengths[some, None]


def index_together(tables: ModelTables, heads: Sequence[Head], partitions: int) -> PropertyIndex:
    """Make the vector index of heads together, unless they have one of all images and as many partitions.

    Parameters
    ----------
    tables
        The model, whose images have vectors of these heads.
    heads
        The heads, in order of layer, then head.
    partitions
        How many parts k-means cuts the images into.

    Raises
    ------
    ClipdbError
        If a head has no mean, or the disk is full.
    """
    units = _Units(tables, heads)
    images = units.dataset.count_rows()
    digest = rows_sha256(units.dataset.to_batches(columns=ROW_COLUMNS), images)
    blank = PropertyIndex(tuple(heads), images, digest, partitions, 1, 1, 0.0, tables.writer.run)
    for there in property_indexes(tables.writer.read, tables.model_id):
        if replace(there, nprobes=1, compared=1, recall=0.0, run=blank.run) == blank:
            return there
    nearest, parts = _read(units, blank)
    made = measured(blank, parts.centres, parts, nearest)
    key = {"model_id": tables.model_id, "heads": made.name}
    about = {name: value for name, value in vars(made).items() if name != "heads"}
    with tables.writer.transaction() as connection:
        drop_together(connection, tables.model_id, made.name)
        for (name,) in connection.execute(_ORPHANS, [tables.model_id] * 2).fetchall():
            drop_together(connection, tables.model_id, name)
        put(connection, "property_indexes", [key | about | {"created_at": datetime.now(UTC)}], new=True)
        for number in range(partitions):
            (part,) = parts([number])
            put(connection, "property_index_parts", [key | {"part": number} | part.columns()], new=True)
    return made


def drop_together(connection: duckdb.DuckDBPyConnection, model_id: str, name: str) -> None:
    """Drop the vector index of heads together, where they have one, by their names with commas."""
    for table in ("property_indexes", "property_index_parts"):
        connection.execute(f"delete from {table} where model_id = ? and heads = ?", [model_id, name])


def _read(units: _Units, blank: PropertyIndex) -> tuple[Nearest, _Parts]:
    random = np.random.default_rng(0)
    rows = random.permutation(blank.images)[: _SAMPLED * blank.partitions + QUESTIONS]
    sample = np.concatenate([np.empty((0, units.size), np.float32), *(some for _, some in units.blocks(np.sort(rows)))])
    if len(sample) < blank.partitions + QUESTIONS:
        raise ClipdbError(
            f"{len(sample):,} of {len(rows):,} images have a direction in {blank.name} together, which are too few for "
            f"{blank.partitions:,} partitions"
        )
    sample = random.permutation(sample)
    nearest, centres = Nearest(sample[:QUESTIONS]), _centres(sample[QUESTIONS:], blank.partitions)
    parts = _Parts(centres, blank.images)
    for some_rows, some in units.blocks():
        nearest.add(some_rows, some)
        parts.add(some_rows, some)
    return nearest, parts


class _Parts:
    """Collects the parts of all images, and gives them by their numbers."""

    def __init__(self, centres: np.ndarray, images: int) -> None:
        self.centres = centres
        self._of_part = np.full(images, len(centres))  # which none is that isn't added
        self._codes = np.empty((images, code_bytes(centres.shape[1])), np.uint8)
        self._scales, self._offsets = np.empty(images, np.float32), np.empty(images, np.float32)

    def add(self, rows: np.ndarray, units: np.ndarray) -> None:
        self._of_part[rows] = of_part = _nearest(units, self.centres)
        self._codes[rows], self._scales[rows], self._offsets[rows] = encoded(units, self.centres[of_part])

    @cached_property
    def _rows(self) -> list[np.ndarray]:
        order = np.argsort(self._of_part, kind="stable")
        ends = np.searchsorted(self._of_part[order], np.arange(len(self.centres)), side="right")
        return np.split(order.astype(np.uint32), ends)

    def __call__(self, numbers: list[int]) -> list[Part]:
        columns = (self._codes, self._scales, self._offsets)
        return [
            Part(self.centres[number], rows, *(column[rows] for column in columns))
            for number in numbers
            for rows in [self._rows[number]]
        ]


def _centres(sample: np.ndarray, partitions: int) -> np.ndarray:
    """Return the centres ``[P, embed_dim]`` of a sample by k-means, from its first points on, always the same ones."""
    centres = sample[:partitions].copy()
    for _ in range(_ROUNDS):
        of_part = _nearest(sample, centres)
        order = np.argsort(of_part, kind="stable")
        taken, starts, counts = np.unique(of_part[order], return_index=True, return_counts=True)
        centres[taken] = np.add.reduceat(sample[order], starts) / counts[:, None]  # one that has no points stays
    return centres


def _nearest(units: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the number of the centre that is nearest to each vector ``[m, embed_dim]``."""
    nearest: np.ndarray = np.argmax(units @ centres.T - (centres**2).sum(axis=1) / 2, axis=1)
    return nearest
