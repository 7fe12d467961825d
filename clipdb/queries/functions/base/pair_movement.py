"""How far a head's vectors move between the images of minimal pairs, by attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
_AT_ONCE = 2_000_000  # movements that permutations gather at a time
_SEED = 0


@dataclass(frozen=True)
class Movement:
    """How far an attribute moves a head.

    Attributes
    ----------
    attribute, pairs
        The attribute and how many pairs differ in it.
    movement
        Mean of |y_a - y_b|^2 over its pairs.
    share
        Of the sum of all attributes' movements.
    low, high
        95 % interval of the share: percentiles of a bootstrap over each attribute's pairs.
    chance, p
        The largest share that 5 % of all permutations of the attributes over the pairs exceed, and how many reach this.
    """

    attribute: str
    pairs: int
    movement: float
    share: float
    low: float
    high: float
    chance: float
    p: float


def movements(distances: np.ndarray, attributes: Sequence[str], of_pair: np.ndarray) -> list[Movement]:
    """Compare the attributes, the one that moves the head most first.

    Each attribute counts alike, however many pairs it has: the share of attribute q is d_q / sum_r d_r, with d_r the
    mean of |y_a - y_b|^2 over the pairs that differ in r.

    Parameters
    ----------
    distances
        |y_a - y_b|^2 of each pair ``[n]``.
    attributes
        Their names.
    of_pair
        The attribute of each pair, by its place ``[n]``.

    Returns
    -------
    list
        Empty where fewer than two attributes have pairs, or nothing moves.
    """
    counts = np.bincount(of_pair, minlength=len(attributes))
    present = np.flatnonzero(counts)
    if len(present) < 2 or not distances.sum() > 0:
        return []
    order = np.argsort(of_pair, kind="stable")
    distances, sizes = distances[order], counts[present]
    starts = np.cumsum([0, *sizes[:-1]])
    means = np.add.reduceat(distances, starts) / sizes
    shares = means / means.sum()
    rng = np.random.default_rng(_SEED)
    drawn = np.stack(
        [_resampled(rng, part) for part in np.split(distances, starts[1:])],
        axis=1,
    )
    total = drawn.sum(axis=1, keepdims=True)
    low, high = np.quantile(np.divide(drawn, total, out=np.zeros_like(drawn), where=total > 0), (0.025, 0.975), axis=0)
    largest = _largest_by_chance(rng, distances, starts, sizes)
    p = (1 + (largest[:, None] >= shares - 1e-12).sum(axis=0)) / (1 + DRAWS)
    chance = float(np.quantile(largest, 0.95))
    ranked = np.argsort(-shares, kind="stable")
    return [
        Movement(
            attribute=attributes[present[q]],
            pairs=int(sizes[q]),
            movement=float(means[q]),
            share=float(shares[q]),
            low=float(low[q]),
            high=float(high[q]),
            chance=chance,
            p=float(p[q]),
        )
        for q in ranked
    ]


def _blocks(width: int) -> list[int]:
    """Cut the draws so that not too many numbers are held."""
    step = max(1, min(DRAWS, _AT_ONCE // width))
    return [min(step, DRAWS - start) for start in range(0, DRAWS, step)]


def _resampled(rng: np.random.Generator, part: np.ndarray) -> np.ndarray:
    """Return the mean of each bootstrap sample ``[DRAWS]``."""
    n = len(part)
    return np.concatenate([part[rng.integers(n, size=(size, n))].mean(axis=1) for size in _blocks(n)])


def _largest_by_chance(
    rng: np.random.Generator, distances: np.ndarray, starts: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Return the largest share of each permutation ``[DRAWS]``."""
    found = []
    for size in _blocks(len(distances)):
        mixed = rng.permuted(np.tile(distances, (size, 1)), axis=1)
        means = np.add.reduceat(mixed, starts, axis=1) / sizes
        found.append(means.max(axis=1) / means.sum(axis=1))
    return np.concatenate(found)
