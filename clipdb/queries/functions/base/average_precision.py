"""How well a ranking of images finds those of each value: average precision, and what chance would make of it."""

from __future__ import annotations

import numpy as np

DRAWS = 199
"""Rankings at random, with the measured one: p is at least 1 / 200."""


def best_first(scores: np.ndarray) -> np.ndarray:
    """Return the places of scores, the highest first, equal ones in their own order, without those that are NaN."""
    order = np.argsort(-scores)  # not stable, and several times faster than a sort that is
    ranked = scores[order]
    groups = np.cumsum(np.append(False, ranked[1:] != ranked[:-1]))
    order = np.sort(groups * len(scores) + order) % len(scores)  # so equal ones are put in order
    return order[: len(order) - int(np.isnan(scores).sum())]  # NaN comes last


def average_precisions(ranked: np.ndarray, values: int) -> np.ndarray:
    """Return the area under the precision-recall curve of each value, float64 ``[values]``, NaN where it has no images.

    It is the mean, over a value's images, of the share that the value has among the images up to each (average
    precision; no interpolation between the steps of the curve).

    Parameters
    ----------
    ranked
        Number of each image's value, the best image first, ``[n]``.
    values
        How many values there are.
    """
    small = ranked.astype(np.uint16) if values <= 2**16 else ranked  # which numpy sorts by radix
    places = np.argsort(small, kind="stable")  # of each value in turn, the best first
    sizes = np.bincount(ranked, minlength=values)
    found = np.arange(len(ranked)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    precision = found / (places + 1)
    with np.errstate(invalid="ignore"):
        return np.bincount(ranked[places], precision, values) / sizes


def best_value(areas: np.ndarray, sizes: np.ndarray, least: int) -> tuple[int, float] | None:
    """Return the value that a ranking finds best and its lift, None where no value has enough images.

    The lift is (area - share) / (1 - share), where share is the value's among the images: what a ranking at random
    has on average. So it is about 0 for one at random and 1 for a perfect one, however frequent the value is.
    """
    shares = sizes / sizes.sum()
    usable = (sizes >= least) & (shares < 1)
    if not usable.any():
        return None
    lifts = np.full(len(sizes), -np.inf)
    lifts[usable] = (areas[usable] - shares[usable]) / (1 - shares[usable])
    best = int(lifts.argmax())
    return best, float(lifts[best])


def chance_lifts(members: np.ndarray, values: int, least: int) -> np.ndarray:
    """Return the lift of the best value in rankings at random, from a fixed seed: float64 ``[DRAWS]``.

    The best of many values is found well by chance, too: this is the null of the best, not of one.
    """
    rng = np.random.default_rng(0)
    sizes = np.bincount(members, minlength=values)
    drawn = (best_value(average_precisions(rng.permutation(members), values), sizes, least) for _ in range(DRAWS))
    return np.array([best[1] for best in drawn if best is not None])
