"""Ridge regression from sums over pairs of vectors, which are all that it needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RIDGES = tuple(10.0**power for power in range(-6, 2))
"""What is tried, as a share of the mean eigenvalue of the sum of x x^T."""


@dataclass(frozen=True)
class PairSums:
    """Sums over pairs of vectors x ``[D]`` and y ``[E]``, float64. Those of two sets of pairs add up to those of both.

    Attributes
    ----------
    count
        How many pairs.
    xx, xy
        Sums of x x^T ``[D, D]`` and of x y^T ``[D, E]``.
    y
        Sum of y ``[E]``.
    yy
        Sum of the squared lengths of y.
    """

    count: int
    xx: np.ndarray
    xy: np.ndarray
    y: np.ndarray
    yy: float

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> PairSums:
        """Take the sums over rows of x ``[n, D]`` and y ``[n, E]``."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        return cls(len(x), x.T @ x, x.T @ y, y.sum(axis=0), float(np.einsum("ne,ne->", y, y)))

    def __add__(self, other: PairSums) -> PairSums:
        return PairSums(
            self.count + other.count,
            self.xx + other.xx,
            self.xy + other.xy,
            self.y + other.y,
            self.yy + other.yy,
        )

    def fit(self, ridge: float) -> np.ndarray:
        """Find the W ``[D, E]`` that makes ``sum |W^T x - y|^2 + lambda |W|^2`` smallest (Hoerl and Kennard 1970).

        Nothing is centred and there is no intercept: W^T x is a sum over the parts of x, with nothing left over.

        Parameters
        ----------
        ridge
            lambda, as a share of the mean eigenvalue of the sum of x x^T.
        """
        size = len(self.xx)
        strength = ridge * float(np.trace(self.xx)) / size
        found: np.ndarray = np.linalg.solve(self.xx + strength * np.eye(size), self.xy)
        return found

    def explained(self, matrix: np.ndarray) -> float:
        """Return R^2 of ``W^T x`` for y: 1 - sum |W^T x - y|^2 / sum |y - mean y|^2, over all of its numbers together.

        0 is what the mean of y would have, so a W that only gets the mean right has no more.
        """
        lost = self.yy - 2 * float(np.sum(matrix * self.xy)) + float(np.sum(matrix * (self.xx @ matrix)))
        spread = self.yy - float(self.y @ self.y) / max(self.count, 1)
        return 1 - lost / spread if spread > 0 else 0.0
