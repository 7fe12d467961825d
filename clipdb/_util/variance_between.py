"""How much of the variance of vectors lies between groups of them, and how much would by chance."""

from __future__ import annotations

import math

import numpy as np

_QUANTILE = 1.6448536269514722  # of the normal distribution, at 95 %


class Moments:
    """Sums over vectors, less an offset that keeps them small; float64.

    Parameters
    ----------
    width
        k, the length of the vectors.

    Attributes
    ----------
    count
        Vectors.
    total, outer, cubes, fourth
        Sums of d ``[k]``, d d' ``[k, k]``, |d|^2 d ``[k]`` and |d|^4.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.total, self.cubes = np.zeros(width), np.zeros(width)
        self.outer = np.zeros((width, width))
        self.fourth = 0.0

    def add(self, vectors: np.ndarray) -> None:
        """Count vectors ``[n, k]``."""
        wide = vectors.astype(np.float64)
        squares = np.square(wide).sum(axis=1)
        self.count += len(wide)
        self.total += wide.sum(axis=0)
        self.outer += wide.T @ wide
        self.cubes += squares @ wide
        self.fourth += float(squares @ squares)

    def __add__(self, other: Moments) -> Moments:
        """Return the sums over both, which have one offset."""
        both = Moments(len(self.total))
        both.count = self.count + other.count
        both.total, both.cubes = self.total + other.total, self.cubes + other.cubes
        both.outer = self.outer + other.outer
        both.fourth = self.fourth + other.fourth
        return both

    @property
    def spread(self) -> tuple[float, float, float]:
        """With X the vectors less their mean: tr XX', tr (XX')^2 and the sum of the squared diagonal of XX'."""
        mean = self.total / self.count
        length = float(mean @ mean)
        covariance = self.outer - np.outer(mean, self.total)
        fourth = (
            self.fourth - 4 * (self.cubes @ mean) + 4 * (mean @ self.outer @ mean)
            + 2 * length * np.trace(self.outer) - 3 * self.count * length**2
        )  # fmt: skip
        return float(np.trace(covariance)), float(np.square(covariance).sum()), float(fourth)


class Chance:
    """The eta squared of random groups of the same sizes: a gamma distribution with the exact mean and variance.

    Both are over all permutations of the images (Kazi-Aoual, Hitier, Sabatier and Lebreton 1995, Computational
    Statistics & Data Analysis 20, for the trace of a product of two centred matrices, here XX' and the projection onto
    the groups); quantiles and tails of the gamma distribution are by Wilson and Hilferty's approximation.

    Parameters
    ----------
    n
        Images, at least 4.
    sizes
        Images in each group, none of them empty.
    spread
        `Moments.spread`.

    Attributes
    ----------
    mean
        Of eta squared, (groups - 1) / (n - 1).
    """

    def __init__(self, n: int, sizes: np.ndarray, spread: tuple[float, float, float]) -> None:
        total, squared, fourth = spread
        rank = len(sizes) - 1
        self.mean = rank / (n - 1)
        self._ninth = 0.0  # 1 / (9 x the shape)
        if not rank:
            return
        diagonal = float((sizes * np.square(1 / sizes - 1 / n)).sum())
        variance = 2 * ((n - 1) * squared - total**2) * ((n - 1) * rank - rank**2) / ((n - 1) ** 2 * (n + 1) * (n - 2))
        variance += (
            (n * (n + 1) * fourth - (n - 1) * (total**2 + 2 * squared))
            * (n * (n + 1) * diagonal - (n - 1) * (rank**2 + 2 * rank))
            / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
        )
        self._ninth = max(variance, 0.0) / total**2 / self.mean**2 / 9

    @property
    def exceeded(self) -> float:
        """The eta squared that 5 % of all permutations exceed."""
        return float(min(self.mean * (1 - self._ninth + _QUANTILE * np.sqrt(self._ninth)) ** 3, 1.0))

    def p(self, eta_squared: float) -> float:
        """Return the share of all permutations with at least this eta squared."""
        if self._ninth <= 0:
            return 1.0
        normal = (np.cbrt(max(eta_squared, 0.0) / self.mean) - 1 + self._ninth) / np.sqrt(self._ninth)
        return upper_tail(float(normal))


def upper_tail(normal: float) -> float:
    """Return the chance that a standard normal number is at least this."""
    return 0.5 * math.erfc(normal / math.sqrt(2))


def adjusted(eta_squared: float, count: int, groups: int) -> float:
    """Take off what as many random groups would explain on average (Fisher's adjusted R squared)."""
    return 1 - (1 - eta_squared) * (count - 1) / (count - groups)
