"""First and second moments of head vectors, in one pass over the stored columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import add
from typing import Any, NamedTuple, Protocol

import numpy as np

from clipdb._util.half_floats import widened
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.schema.vectors_place import VectorsPlace

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Moments:
    """Sums over a head's vectors, float64. They are sums, so those of two shards add up to those of both.

    Attributes
    ----------
    count
        Number of vectors.
    total
        Their sum, ``[k]``.
    outer
        The sum of their outer products, ``[k, k]``.
    """

    count: int
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> Moments:
        """Take the moments of vectors ``[n, k]``."""
        # Float16 by way of float32, which is much quicker.
        wide = (widened(vectors) if vectors.dtype == np.float16 else vectors).astype(np.float64)
        return cls(len(wide), wide.sum(axis=0), wide.T @ wide)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> np.ndarray:
        """Mean vector ``[k]``."""
        return self.total / max(self.count, 1)

    @property
    def covariance(self) -> np.ndarray:
        """Covariance ``[k, k]`` over the images at hand (divided by their number, as the published std is)."""
        return self.outer / max(self.count, 1) - np.outer(self.mean, self.mean)

    @property
    def total_variance(self) -> float:
        """Trace of the covariance: the mean squared distance to the mean, in shares of the embedding's squared norm."""
        return float(np.trace(self.covariance))

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the covariance's normalised eigenvalues (Roy and Vetterli, EUSIPCO 2007)."""
        eigenvalues = np.clip(np.linalg.eigvalsh(self.covariance), 0.0, None)
        if not eigenvalues.sum() > 0.0:
            return 0.0
        p = eigenvalues[eigenvalues > 0.0] / eigenvalues.sum()
        return float(np.exp(-(p * np.log(p)).sum()))


class Halves(NamedTuple):
    """Moments over two halves of the images, every other one of a batch in each: they tell how stable a finding is."""

    one: Moments
    other: Moments

    @property
    def whole(self) -> Moments:
        """Moments over all images."""
        return self.one + self.other


class TakeHalves(Protocol):
    """Takes the moments of columns of a Lance dataset, which is that of a table; here, or on a cluster."""

    def __call__(self, dataset: Any, columns: Sequence[str], table: VectorsPlace) -> Mapping[str, Halves]:
        """Return them by column. Images that a head has not seen yet (null) don't count."""


def head_halves(dataset: Any, columns: Sequence[str], table: VectorsPlace | None = None) -> Mapping[str, Halves]:
    """Take the moments of head columns of a Lance dataset in one pass, in this process.

    Images that a head has not seen yet (null) don't count. `TakeHalves` says what the ``table`` is for.
    """
    threads = os.cpu_count() or 1
    return summed(fragment_halves(fragment, columns, threads) for fragment in dataset.get_fragments())


def fragment_halves(fragment: Any, columns: Sequence[str], threads: int) -> dict[str, Halves]:
    """Take the moments of head columns in a fragment of a Lance dataset, several columns at once."""
    with ThreadPoolExecutor(threads) as pool:

        def batches() -> Iterator[dict[str, Halves]]:
            for batch in fragment.to_batches(columns=list(columns), batch_size=ROWS_AT_ONCE):
                vectors = (vector_matrix(batch.column(name)) for name in columns)
                yield dict(zip(columns, pool.map(_halves, vectors), strict=True))

        return summed(batches())


def summed(parts: Iterable[Mapping[str, Halves]]) -> dict[str, Halves]:
    """Add up moments of the same columns over different images."""
    sums: dict[str, Halves] = {}
    for part in parts:
        for name, halves in part.items():
            sums[name] = Halves(*map(add, sums[name], halves)) if name in sums else halves
    return sums


def _halves(vectors: np.ndarray) -> Halves:
    return Halves(Moments.of(vectors[::2]), Moments.of(vectors[1::2]))
