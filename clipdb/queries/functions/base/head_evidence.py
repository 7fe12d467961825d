"""How a head's vectors go with what is true of images: one pass over them for all keys, in blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clipdb._util.variance_between import Chance, Moments, adjusted
from clipdb.queries.functions.base.linear_probe import Hits, Probe, count_hits, fit
from clipdb.queries.functions.base.truths import Truth
from clipdb.queries.vectors.halves import Matrix

_AT_ONCE = 4096
_DENSE = 512  # values of all keys, up to which a product with a matrix of zeros and ones is the quickest sum by group
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


@dataclass(frozen=True)
class Together:
    """Keys that the same images have, which are summed together: mostly all keys.

    Attributes
    ----------
    truths
        The keys.
    known
        Which images have them ``[n]``.
    members
        The value of each image, numbered over all keys ``[n, keys]``.
    ends
        Where each key's numbers end.
    """

    truths: list[Truth]
    known: np.ndarray
    members: np.ndarray
    ends: np.ndarray


def together(truths: Sequence[Truth]) -> list[Together]:
    """Put keys together that the same images have."""
    made = []
    for _, alike in itertools.groupby(sorted(truths, key=_known), key=_known):
        keys = list(alike)
        ends = np.cumsum([truth.values for truth in keys])
        members = np.stack([t.members + end - t.values for t, end in zip(keys, ends, strict=True)], axis=1)
        made.append(Together(keys, keys[0].members >= 0, members, ends))
    return made


def _known(truth: Truth) -> bytes:
    return np.packbits(truth.members >= 0).tobytes()


def head_evidence(vectors: Matrix, keys: Together, train: np.ndarray, test: np.ndarray) -> dict[str, Evidence]:
    """Measure keys in a head.

    Parameters
    ----------
    vectors
        ``[n, k]``, NaN where an image has none.
    keys
        Of the same images.
    train, test
        Which images a probe is fitted to, and which it is tried on ``[n]``.
    """
    rows = np.flatnonzero(~np.isnan(vectors[:, 0]) & keys.known)
    if len(rows) < 4:
        return {truth.key: Evidence(len(rows), None, None, None, None) for truth in keys.truths}
    parts = [rows[train[rows]], rows[~train[rows]]]
    width, total = vectors.shape[1], keys.ends[-1]
    offset = vectors[rows[:_AT_ONCE]].mean(axis=0)
    moments = [Moments(width), Moments(width)]
    sums = np.zeros((2, total, width))
    for place, part in enumerate(parts):
        for some in _blocks(part):
            block = vectors[some] - offset
            moments[place].add(block)
            _add_by_group(sums[place], block, keys.members[some])
    sizes = np.array([np.bincount(keys.members[part].ravel(), minlength=total) for part in parts])
    whole, tested = moments[0] + moments[1], rows[test[rows]]
    spread = whole.spread
    found, probes = {}, {}
    for truth, end in zip(keys.truths, keys.ends, strict=True):
        own = slice(end - truth.values, end)
        share = _share(sums[:, own].sum(axis=0), sizes[:, own].sum(axis=0), whole, spread)
        found[truth.key] = Evidence(len(rows), *share, None)
        seen = (sizes[0, own] > 0).sum()
        if share[0] is not None and len(tested) > 1 and seen < moments[0].count and truth.values <= _MOST_CLASSES:
            probe = fit(sums[0, own], sizes[0, own], moments[0].outer)
            if probe is not None:
                probes[truth.key] = probe
    hits = _try(vectors, offset, tested, probes, {truth.key: truth for truth in keys.truths})
    return {key: replace(one, probe=hits.get(key)) for key, one in found.items()}


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def _add_by_group(sums: np.ndarray, block: np.ndarray, members: np.ndarray) -> None:
    """Add rows ``[n, k]`` to the sums of their groups, of which each is in one for every key ``[n, keys]``."""
    if len(sums) <= _DENSE:
        one_hot = np.zeros((len(block), len(sums)), np.float32)
        np.put_along_axis(one_hot, members, 1, axis=1)
        sums += one_hot.T @ block
        return
    for of_key in members.T:
        order = np.argsort(of_key, kind="stable")
        numbers, starts = np.unique(of_key[order], return_index=True)
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
    if not probes:
        return {}
    weights = np.concatenate([probe.weights for probe in probes.values()], axis=1).astype(np.float32)
    bias = np.concatenate([probe.bias for probe in probes.values()])
    edges = np.cumsum([len(probe.bias) for probe in probes.values()])[:-1]
    predicted: dict[str, list[np.ndarray]] = {key: [] for key in probes}
    for some in _blocks(rows):
        scores = (vectors[some] - offset) @ weights + bias
        for key, own in zip(probes, np.split(scores, edges, axis=1), strict=True):
            predicted[key].append(own.argmax(axis=1))
    return {
        key: count_hits(np.concatenate(predicted[key]), truths[key].members[rows], truths[key].values, probe.majority)
        for key, probe in probes.items()
    }
