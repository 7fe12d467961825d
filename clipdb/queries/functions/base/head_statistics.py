"""Mean and covariance of a head's vectors over the images, computed once and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clipdb.queries.functions.base.context import Context
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
    def of(cls, vectors: np.ndarray) -> Moments:
        """Take the moments of vectors ``[n, k]``, float32; rows of NaN don't count."""
        null = np.isnan(vectors[:, 0])
        vectors = vectors[~null] if null.any() else vectors
        size = vectors.shape[1]
        if not len(vectors):
            return cls(0, np.zeros(size), np.zeros((size, size)))
        # Centred before they are squared: a head's mean is often far larger than what varies about it.
        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean.astype(np.float32)
        return cls(len(vectors), mean, (centred.T @ centred).astype(np.float64) / len(vectors))


def head_moments(context: Context, model: str, head: Head) -> Moments:
    """Return a head's moments, computed when they are first asked for."""

    def pack() -> np.ndarray:
        moments = Moments.of(context.store.head(model, "images", head)[:])
        return np.vstack([np.full_like(moments.mean, moments.count), moments.mean, moments.covariance])

    packed = context.store.keep(("moments", model, head), pack)
    return Moments(int(packed[0, 0]), packed[1], packed[2:])
