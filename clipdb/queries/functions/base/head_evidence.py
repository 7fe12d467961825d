"""How a head's vectors go with what is true of images: one pass over them for all keys, in blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipdb._util.variance_between import Chance, Moments, adjusted
from clipdb.queries.functions.base.linear_probe import Hits, Probe, count_hits, fit
from clipdb.queries.functions.base.truths import Truth
from clipdb.queries.vectors.halves import Matrix

_AT_ONCE = 4096
_DENSE = 64  # values up to which a product with a matrix of zeros and ones is the quickest sum by group
_MOST_CLASSES = 1000  # of a probe
_NO_VARIANCE = 1e-20  # what rounding leaves of vectors that are all the same


@dataclass(frozen=True)
class Evidence:
    """What a key explains of a head.

    Attributes
    ----------
    images
        With a value and a vector.
    share
        Adjusted eta squared; None where vectors don't vary or there are too few.
    chance, p
        The share that 5 % of all permutations of the images exceed, and how many of them reach `share`.
    probe
        What a linear probe that was fitted to one part of the images says of the other; None where there is none.
    """

    images: int
    share: float | None
    chance: float | None
    p: float | None
    probe: Hits | None


def head_evidence(vectors: Matrix, truths: Sequence[Truth], train: np.ndarray, test: np.ndarray) -> list[Evidence]:
    """Measure every key in a head.

    Parameters
    ----------
    vectors
        ``[n, k]``, NaN where an image has none.
    truths
        With members ``[n]``.
    train, test
        Which images a probe is fitted to, and which it is tried on ``[n]``.
    """
    present = ~np.isnan(vectors[:, 0])
    found: dict[str, Evidence] = {}
    # Keys that the same images have are summed together: mostly all of them.
    for _, alike in itertools.groupby(sorted(truths, key=_known), key=_known):
        keys = list(alike)
        rows = np.flatnonzero(present & (keys[0].members >= 0))
        parts = [rows[train[rows]], rows[~train[rows]]]
        found |= _together(vectors, keys, parts, rows[test[rows]])
    return [found[truth.key] for truth in truths]


def _known(truth: Truth) -> bytes:
    return np.packbits(truth.members >= 0).tobytes()


def _together(
    vectors: Matrix, truths: Sequence[Truth], parts: Sequence[np.ndarray], tested: np.ndarray
) -> dict[str, Evidence]:
    """Measure keys that the same images have, which are fitted and other images."""
    count = sum(map(len, parts))
    if count < 4:
        return {truth.key: Evidence(count, None, None, None, None) for truth in truths}
    width = vectors.shape[1]
    offset = vectors[np.concatenate(parts)[:_AT_ONCE]].mean(axis=0)
    moments = [Moments(width), Moments(width)]
    sums = {truth.key: np.zeros((2, truth.values, width)) for truth in truths}
    sizes = {t.key: np.array([np.bincount(t.members[rows], minlength=t.values) for rows in parts]) for t in truths}
    for place, rows in enumerate(parts):
        for some in _blocks(rows):
            block = vectors[some] - offset
            moments[place].add(block)
            for truth in truths:
                _add_by_group(sums[truth.key][place], block, truth.members[some])
    fitted, whole = moments[0], moments[0] + moments[1]
    spread = whole.spread
    found, probes = {}, {}
    for truth in truths:
        key = truth.key
        share = _share(sums[key].sum(axis=0), sizes[key].sum(axis=0), whole, spread)
        found[key] = Evidence(count, *share, None)
        if len(tested) > 1 and truth.values <= _MOST_CLASSES and (sizes[key][0] > 0).sum() < fitted.count:
            probe = fit(sums[key][0], sizes[key][0], fitted.outer)
            if probe is not None and share[0] is not None:
                probes[key] = probe
    hits = _try(vectors, offset, tested, probes, {truth.key: truth for truth in truths})
    return {key: Evidence(one.images, one.share, one.chance, one.p, hits.get(key)) for key, one in found.items()}


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def _add_by_group(sums: np.ndarray, block: np.ndarray, members: np.ndarray) -> None:
    """Add rows to the sums of their groups."""
    if len(sums) <= _DENSE:
        one_hot = (np.arange(len(sums))[:, None] == members).astype(np.float32)
        sums += one_hot @ block
        return
    order = np.argsort(members, kind="stable")
    numbers, starts = np.unique(members[order], return_index=True)
    sums[numbers] += np.add.reduceat(block[order], starts, axis=0)


def _share(
    sums: np.ndarray, sizes: np.ndarray, moments: Moments, spread: tuple[float, float, float]
) -> tuple[float | None, float | None, float | None]:
    """Return the adjusted eta squared, what chance would exceed, and its p."""
    filled = sizes > 0
    groups, count = int(filled.sum()), moments.count
    if spread[0] <= _NO_VARIANCE * count or not 2 <= groups < count:
        return None, None, None
    means = sums[filled] / sizes[filled, None] - moments.total / count
    eta_squared = float(sizes[filled] @ np.square(means).sum(axis=1)) / spread[0]
    chance = Chance(count, sizes[filled], spread)
    return (
        adjusted(eta_squared, count, groups),
        adjusted(chance.exceeded, count, groups),
        chance.p(eta_squared),
    )


def _try(
    vectors: Matrix, offset: np.ndarray, rows: np.ndarray, probes: dict[str, Probe], truths: dict[str, Truth]
) -> dict[str, Hits]:
    """Classify images that the probes have not seen."""
    predicted: dict[str, list[np.ndarray]] = {key: [] for key in probes}
    weights = {key: probe.weights.astype(np.float32) for key, probe in probes.items()}
    for some in _blocks(rows):
        block = vectors[some] - offset
        for key, probe in probes.items():
            predicted[key].append((block @ weights[key] + probe.bias).argmax(axis=1))
    return {
        key: count_hits(np.concatenate(predicted[key]), truths[key].members[rows], truths[key].values, probe.majority)
        for key, probe in probes.items()
    }
