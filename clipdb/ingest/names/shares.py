"""How much of what a head writes goes with a property: the share of its variance that lies between groups of images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipdb.ingest.names.zero_shot_groups import Groups
from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.schema.names import Head
from clipdb.schema.vectors import head_columns

_QUANTILE = 1.6448536269514722  # of the normal distribution, at 95 %
_NO_VARIANCE = 1e-20  # what rounding leaves of vectors that are all the same


@dataclass(frozen=True)
class Share:
    """What a property explains of a head.

    Attributes
    ----------
    share
        Adjusted eta squared: at most 1, and 0 on average where groups are random.
    chance
        What one in twenty random groupings of the same sizes exceeds; None for fewer than four images.
    """

    property: str
    share: float
    chance: float | None


class HeadSums:
    """Sums over a head's vectors, less an offset that keeps them small; float64.

    Attributes
    ----------
    count
        Images with a vector.
    total, outer, cubes, fourth
        Sums of d ``[k]``, d d' ``[k, k]``, |d|^2 d ``[k]`` and |d|^4.
    groups, sizes
        Of each group of each property, one after another: the sum of d ``[G, k]`` and the number of images ``[G]``.
    """

    def __init__(self, groups: np.ndarray) -> None:
        width = groups.shape[1]
        self.count = 0
        self.total, self.cubes = np.zeros(width), np.zeros(width)
        self.outer = np.zeros((width, width))
        self.fourth = 0.0
        self.groups, self.sizes = groups, np.zeros(len(groups), np.int64)

    def add(self, vectors: np.ndarray) -> None:
        """Count vectors ``[n, k]`` in all sums but those of groups."""
        wide = vectors.astype(np.float64)
        squares = np.square(wide).sum(axis=1)
        self.count += len(wide)
        self.total += wide.sum(axis=0)
        self.outer += wide.T @ wide
        self.cubes += squares @ wide
        self.fourth += float(squares @ squares)

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


def head_shares(dataset: Any, groups: Groups) -> dict[Head, list[Share]]:
    """Measure every property in every head: one pass over the heads of each layer, with one layer's sums in memory.

    Parameters
    ----------
    dataset
        A Lance dataset of a model's images.
    groups
        Of its images, in its order.

    Returns
    -------
    dict
        Of each head that has vectors, the properties in their order. One that can't be measured is left out: where the
        head has no more images than groups, or its vectors don't vary.
    """
    found: dict[Head, list[Share]] = {}
    columns = head_columns(dataset.schema)
    for _, layer in itertools.groupby(sorted(columns), key=lambda head: head[0]):
        heads = list(layer)
        sums = _sums(dataset, [columns[head] for head in heads], groups)
        found |= {head: _shares(one, groups) for head, one in zip(heads, sums, strict=True) if one.count}
    return found


def _sums(dataset: Any, columns: list[str], groups: Groups) -> list[HeadSums]:
    """Sum the vectors of some heads by group."""
    widths = [dataset.schema.field(column).type.list_size for column in columns]
    ends = np.cumsum(widths)
    by_group = np.zeros((sum(groups.sizes), ends[-1]))
    sums = [HeadSums(part) for part in np.split(by_group, ends[:-1], axis=1)]
    starts = np.cumsum([0, *groups.sizes[:-1]])
    offset: np.ndarray | None = None
    done = 0
    for batch in dataset.to_batches(columns=columns, batch_size=ROWS_AT_ONCE):
        members = groups.members[done : done + len(batch)] + starts
        done += len(batch)
        vectors = np.zeros((len(batch), ends[-1]), np.float32)
        seen = []
        for column, width, end in zip(columns, widths, ends, strict=True):
            there = batch.column(column).is_valid().to_numpy(zero_copy_only=False)
            vectors[there, end - width : end] = vector_matrix(batch.column(column).drop_null())
            seen.append(there)
        if offset is None:
            offset = vectors.mean(axis=0)
        vectors -= offset
        for one, there, width, end in zip(sums, seen, widths, ends, strict=True):
            vectors[~there, end - width : end] = 0  # adds nothing to any group
            one.add(vectors[there, end - width : end])
            one.sizes += np.bincount(members[there].ravel(), minlength=len(one.sizes))
        for of_property in members.T:
            _add_by_group(by_group, vectors, of_property)
    return sums


def _add_by_group(sums: np.ndarray, vectors: np.ndarray, members: np.ndarray) -> None:
    """Add rows to the sums of their groups: three times as fast as a product with a one-hot matrix."""
    order = np.argsort(members, kind="stable")
    members, vectors = members[order], vectors[order]
    edges = [0, *np.flatnonzero(np.diff(members)) + 1, len(members)]
    for start, end in itertools.pairwise(edges):
        sums[members[start]] += vectors[start:end].sum(axis=0, dtype=np.float64)


def _shares(head: HeadSums, groups: Groups) -> list[Share]:
    found = []
    total, squared, fourth = head.spread
    mean = head.total / head.count
    ends = np.cumsum(groups.sizes)
    for name, start, end in zip(groups.properties, ends - groups.sizes, ends, strict=True):
        filled = head.sizes[start:end] > 0
        sizes = head.sizes[start:end][filled]
        if total <= _NO_VARIANCE * head.count or head.count <= len(sizes):
            continue
        means = head.groups[start:end][filled] / sizes[:, None] - mean
        between = float(sizes @ np.square(means).sum(axis=1))
        chance = _chance(head.count, sizes, total, squared, fourth)
        adjusted = None if chance is None else _adjusted(chance, head.count, len(sizes))
        found.append(Share(name, _adjusted(between / total, head.count, len(sizes)), adjusted))
    return found


def _adjusted(eta_squared: float, count: int, groups: int) -> float:
    """Take off what as many random groups would explain on average (Fisher's adjusted R squared)."""
    return 1 - (1 - eta_squared) * (count - 1) / (count - groups)


def _chance(n: int, sizes: np.ndarray, total: float, squared: float, fourth: float) -> float | None:
    """Return the eta squared that 5 % of all permutations of the images exceed.

    Mean and variance over the permutations are exact (Kazi-Aoual, Hitier, Sabatier and Lebreton 1995, Computational
    Statistics & Data Analysis 20, for the trace of a product of two centred matrices, here XX' and the projection onto
    the groups); the quantile is that of the gamma distribution with both, by Wilson and Hilferty's approximation.

    Parameters
    ----------
    n
        Images.
    sizes
        Images in each group, none of them empty.
    total, squared, fourth
        `HeadSums.spread`.
    """
    if n < 4:
        return None
    rank = len(sizes) - 1
    if not rank:
        return 0.0
    diagonal = float((sizes * np.square(1 / sizes - 1 / n)).sum())
    variance = 2 * ((n - 1) * squared - total**2) * ((n - 1) * rank - rank**2) / ((n - 1) ** 2 * (n + 1) * (n - 2))
    variance += (
        (n * (n + 1) * fourth - (n - 1) * (total**2 + 2 * squared))
        * (n * (n + 1) * diagonal - (n - 1) * (rank**2 + 2 * rank))
        / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    )
    mean = rank / (n - 1)
    ninth = max(variance, 0.0) / total**2 / mean**2 / 9  # 1 / (9 x the shape)
    return float(min(mean * (1 - ninth + _QUANTILE * np.sqrt(ninth)) ** 3, 1.0))
