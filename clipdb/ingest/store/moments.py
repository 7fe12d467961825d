"""First and second moments of head vectors, in one pass over the stored columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clipdb._util.half_floats import widened
from clipdb.ingest.store.vector_arrays import vector_matrix

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


def head_halves(dataset: Any, columns: Iterable[str]) -> Mapping[str, Halves]:
    """Take the moments of head columns in one pass.

    Parameters
    ----------
    dataset
        A Lance dataset of a model's images.
    columns
        Names of its head columns. Images that a head has not seen yet (null) don't count.
    """
    names = list(columns)
    sums: dict[str, Halves] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in dataset.to_batches(columns=names, batch_size=ROWS_AT_ONCE):
            vectors = (vector_matrix(batch.column(name)) for name in names)
            for name, (one, other) in zip(names, pool.map(_halves, vectors), strict=True):
                sums[name] = (
                    Halves(sums[name].one + one, sums[name].other + other) if name in sums else Halves(one, other)
                )
    return sums


def _halves(vectors: np.ndarray) -> tuple[Moments, Moments]:
    return Moments.of(vectors[::2]), Moments.of(vectors[1::2])
