"""Mean and covariance of a head's vectors over the images, computed once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.vectors.halves import Matrix, each_block
from clipdb.schema.names import Head


@dataclass(frozen=True)
class Moments:
    """Moments over the images that have a vector: their ``count``, ``mean`` [k] and ``covariance`` [k, k], float64.

    The covariance is divided by the count, as in `clipdb span`.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def total(self) -> float:
        """The head's variance: the trace of the covariance."""
        return float(np.trace(self.covariance))

    @classmethod
    def of(cls, vectors: Matrix) -> Moments:
        """Take the moments of vectors ``[n, k]``, float32; rows of NaN don't count."""
        size = vectors.shape[1]
        count, total, outer = 0, np.zeros(size), np.zeros((size, size))
        adding = Lock()

        def add(_rows: slice, blocks: Iterator[np.ndarray]) -> None:
            nonlocal count, total
            some = without_nan(next(blocks))
            sums = some.sum(axis=0, dtype=np.float64)
            with adding:
                count += len(some)
                total += sums

        def square(_rows: slice, blocks: Iterator[np.ndarray]) -> None:
            nonlocal outer
            centred = without_nan(next(blocks)) - middle
            outer += centred.T @ centred

        each_block([vectors], add)
        mean = total / max(count, 1)
        # Centred before they are squared: a head's mean is often far larger than what varies about it.
        middle = mean.astype(np.float32)
        each_block([vectors], square, threads=False)
        return cls(count, mean, outer / max(count, 1))


def without_nan(vectors: np.ndarray) -> np.ndarray:
    """Leave out rows of NaN."""
    null = np.isnan(vectors[:, 0])
    return vectors[~null] if null.any() else vectors


def head_moments(context: Context, model: str, head: Head) -> Moments:
    """Return a head's moments, computed when they are first asked for."""

    def pack() -> np.ndarray:
        moments = Moments.of(context.store.head(model, "images", head))
        return np.vstack([np.full_like(moments.mean, moments.count), moments.mean, moments.covariance])

    packed = context.store.keep(("moments", model, head), pack)
    return Moments(int(packed[0, 0]), packed[1], packed[2:])
