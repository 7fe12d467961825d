"""A linear probe from sums over groups, and how often it is right beside chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clipdb._util.variance_between import upper_tail

_SHRINKAGE = 0.01  # of the covariance towards a sphere, so that it can be inverted


@dataclass(frozen=True)
class Probe:
    """A linear classifier: the class of a vector y is the column with the largest y W + b.

    Attributes
    ----------
    weights, bias
        W ``[k, classes]`` and b ``[classes]``; -inf for a class without images.
    majority
        The class of most images.
    """

    weights: np.ndarray
    bias: np.ndarray
    majority: int


@dataclass(frozen=True)
class Hits:
    """How often a classifier is right.

    Attributes
    ----------
    accuracy, majority
        Share of images that it gets right, and that its majority class gets right.
    chance, p
        The mean accuracy where true classes are permuted over these images, and the share of permutations that are as
        accurate.
    images
        Images that were classified.
    """

    accuracy: float
    majority: float
    chance: float
    p: float
    images: int


def fit(sums: np.ndarray, sizes: np.ndarray, outer: np.ndarray) -> Probe | None:
    """Fit linear discriminant analysis (Fisher 1936; Hastie, Tibshirani and Friedman, section 4.3).

    Classes have one covariance, S, that of vectors less their class's mean, shrunk to (1 - s) S + s (tr S / k) I with
    s = .01. The scores are y S^-1 m - m S^-1 m / 2 + log(n_g / n).

    Parameters
    ----------
    sums
        Sum of the vectors of each class ``[classes, k]``.
    sizes
        Images of each class ``[classes]``.
    outer
        Sum of y y' over all of them ``[k, k]``.

    Returns
    -------
    Probe or None
        None if fewer than two classes have images, or vectors don't vary within classes.
    """
    filled, count = sizes > 0, int(sizes.sum())
    if filled.sum() < 2:
        return None
    means = sums[filled] / sizes[filled, None]
    within = (outer - (means * sizes[filled, None]).T @ means) / count
    sphere = float(np.trace(within)) / len(within)
    if not sphere > 0:
        return None
    weights = np.zeros((sums.shape[1], len(sizes)))
    bias = np.full(len(sizes), -np.inf)
    shrunk = (1 - _SHRINKAGE) * within + _SHRINKAGE * sphere * np.eye(len(within))
    weights[:, filled] = np.linalg.solve(shrunk, means.T)
    bias[filled] = np.log(sizes[filled] / count) - np.einsum("gk,kg->g", means, weights[:, filled]) / 2
    return Probe(weights, bias, int(sizes.argmax()))


def count_hits(predicted: np.ndarray, true: np.ndarray, classes: int, majority: int) -> Hits:
    """Compare predictions with the truth, and with the truth permuted over the images.

    With a_g images predicted to be g, b_g that are, and n images, the number of matches has over all permutations the
    mean m n = sum_g a_g b_g / n and the variance (n^2 m + n^2 m^2 - sum_g a_g b_g (a_g + b_g) / n) / (n - 1), both
    exact (Hoeffding 1951, Annals of Mathematical Statistics 22). p is the normal distribution's with both, continuity
    corrected.
    """
    n = len(true)
    a, b = np.bincount(predicted, minlength=classes), np.bincount(true, minlength=classes)
    a, b = a.astype(np.float64), b.astype(np.float64)
    matches, mean = int((predicted == true).sum()), float(a @ b) / n
    variance = (n * mean + mean**2 - float((a * b) @ (a + b)) / n) / (n - 1)
    p = upper_tail((matches - 0.5 - mean) / math.sqrt(variance)) if variance > 1e-9 else 1.0
    return Hits(matches / n, float(b[majority]) / n, mean / n, p, n)
