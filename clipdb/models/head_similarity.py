"""How alike heads are, of one model or of two, over images that all of them have seen: plain numpy, no model runs.

Linear CKA and the share of variance that is linear in another head's vectors are Kornblith et al., arXiv 1905.00414,
section 3: CKA = ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F) of centred X and Y, and R^2_LR = ||Q_X^T Y||_F^2 / ||Y||_F^2
with Q_X an orthonormal basis of X's columns. The second is adjusted for the number of predictors:
1 - (1 - R^2) (n - 1) / (n - 1 - rank), since noise alone explains rank / (n - 1).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clipdb._util.half_floats import blocks, widened
from clipdb.schema.names import Head

SAMPLE = 10_000
"""Over how many images heads are compared unless told otherwise."""

VECTOR_BYTES = 3 * 2**29
"""What the vectors take that are compared at one time, at most (one head of each side if that is more)."""

_MOST_HEADS = 64  # of a block: their cross-covariances are small beside their vectors
_NULL_VARIANCE = 1e-6  # of a head's largest: below, float32 sums hold rounding only


class Similarity(NamedTuple):
    """What a comparison says of each pair of heads, float64 ``[heads of one, heads of other]``, NaN where nothing.

    Attributes
    ----------
    overlap
        Of what they can write: ||Q1^T Q2||_F^2 / min(rank), the mean squared cosine of the principal angles between
        their subspaces. 1 where one holds the other, k / D on average for random ones. NaN where spaces differ.
    cka
        Linear CKA.
    explained, explained_other
        Share of the first head's variance that is linear in the second's vectors, and of the second's in the first's.
    distance
        Mean squared distance of their contributions in the joint space, each about its mean, as a share of the sum of
        their variances: 0 for the same, 1 for uncorrelated ones, 2 for opposite ones. NaN where spaces differ.
    images
        Over how many images.
    """

    overlap: np.ndarray
    cka: np.ndarray
    explained: np.ndarray
    explained_other: np.ndarray
    distance: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Side:
    """The heads of a model that are compared.

    Attributes
    ----------
    present
        Which of the images, in an order that both sides share, have a vector of the head: bool ``[n]`` by head.
    bases
        Q, ``[D, k]`` by head.
    read
        Reads the vectors of a head for rows of these images, float16 or float32 ``[rows, k]``; several threads ask.
    """

    present: Mapping[Head, np.ndarray]
    bases: Mapping[Head, np.ndarray]
    read: Callable[[Head, np.ndarray], np.ndarray]

    @property
    def heads(self) -> list[Head]:
        """The heads, in order."""
        return list(self.present)


def compare(one: Side, other: Side, images: int = SAMPLE, same_space: bool = True) -> Similarity:
    """Compare every head of one side with every head of the other.

    Parameters
    ----------
    one, other
        The heads; the same object twice costs half.
    images
        Each pair is compared over so many images at most, the first that have a vector of both; 0 stands for all.
    same_space
        Whether both write into the same joint space.
    """
    found = Similarity(*(np.full((len(one.present), len(other.present)), np.nan) for _ in Similarity._fields))
    rows, columns = _blocks(one, images), _blocks(other, images)
    recent = _Recent(one)
    for number, at in enumerate(rows):
        for place, to in enumerate(columns):
            if one is other and place < number:
                continue  # it came the other way round
            block = _compare_blocks(recent, at, other, to, images, same_space)
            _put(found, block, at, to)
            if one is other and place > number:
                turned = Similarity(*(values.T for values in block))
                _put(found, turned._replace(explained=turned[3], explained_other=turned[2]), to, at)
    return found


def _put(found: Similarity, block: Similarity, at: Sequence[int], to: Sequence[int]) -> None:
    for whole, part in zip(found, block, strict=True):
        whole[np.ix_(at, to)] = part


def _blocks(side: Side, images: int) -> list[list[int]]:
    """Split the heads, by their numbers, into blocks that have the same images and fit into the memory."""
    alike: dict[bytes, list[int]] = {}  # layers that were added later may have fewer images
    for number, present in enumerate(side.present.values()):
        alike.setdefault(present.tobytes(), []).append(number)
    blocks = []
    for numbers in alike.values():
        head = side.heads[numbers[0]]
        rows = int(np.count_nonzero(side.present[head]))
        size = 4 * (min(images, rows) if images else rows) * max(basis.shape[1] for basis in side.bases.values())
        step = max(1, min(_MOST_HEADS, VECTOR_BYTES // 2 // max(1, size)))
        blocks += [numbers[start : start + step] for start in range(0, len(numbers), step)]
    return blocks


def _compare_blocks(
    recent: _Recent, at: Sequence[int], other: Side, to: Sequence[int], images: int, same_space: bool
) -> Similarity:
    one = recent.side
    left, right = [one.heads[number] for number in at], [other.heads[number] for number in to]
    rows = np.flatnonzero(one.present[left[0]] & other.present[right[0]])
    rows = rows[:images] if images else rows
    nothing = np.full((len(left), len(right)), np.nan)
    spaces = _spaces(one, left, other, right) if same_space else None
    found = Similarity(nothing, nothing, nothing, nothing, nothing, np.full(nothing.shape, float(len(rows))))
    if spaces is not None:
        found = found._replace(overlap=_overlaps(spaces, one, left, other, right))
    if len(rows) < 2:
        return found
    x = recent.centred(left, rows)
    y = x if one is other and left == right else _Centred.of(other, right, rows)
    number, cross = len(rows), _covariance(x.vectors, y.vectors, x.means, y.means)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_other = np.stack(
            [
                x.sums((cross[:, place] @ whitening) ** 2, axis=0).sum(axis=1)
                for place, whitening in zip(y.places, y.whitening, strict=True)
            ],
            axis=1,
        )
        by_one = np.stack(
            [
                y.sums((whitening.T @ cross[place]) ** 2, axis=1).sum(axis=0)
                for place, whitening in zip(x.places, x.whitening, strict=True)
            ]
        )
        varied = (x.totals > 0)[:, None] & (y.totals > 0)
        found = found._replace(
            cka=np.where(varied, y.sums(x.sums(cross**2, axis=0), axis=1) / np.outer(x.norms, y.norms), np.nan),
            explained=np.where(varied, _adjusted(by_other / x.totals[:, None], number, y.ranks), np.nan),
            explained_other=np.where(varied, _adjusted(by_one / y.totals, number, x.ranks[:, None]), np.nan),
        )
        if spaces is not None:
            inner = y.sums(x.sums(spaces * cross, axis=0), axis=1)
            found = found._replace(distance=np.clip(1 - 2 * inner / (x.totals[:, None] + y.totals), 0, 2))
    return found


@dataclass(frozen=True)
class _Centred:
    """Heads over the same images.

    ``vectors`` are nearly centred ``[n, sum of k]``, each head's at its ``places``, and ``means`` are what they lack to
    be; ``whitening`` ``[k, rank]`` makes them white, ``norms`` are ||X^T X||_F and ``totals`` ||X||_F^2, both over n.
    """

    vectors: np.ndarray
    means: np.ndarray
    places: list[slice]
    whitening: list[np.ndarray]
    norms: np.ndarray
    totals: np.ndarray

    @classmethod
    def of(cls, side: Side, heads: Sequence[Head], rows: np.ndarray) -> _Centred:
        places = _places(side, heads)
        vectors = np.empty((len(rows), places[-1].stop), np.float32)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda head, at: _put_centred(side.read(head, rows), vectors[:, at]), heads, places))
        means = np.ones(len(rows), np.float32) @ vectors / len(rows)
        covariances = [_covariance(vectors[:, at], vectors[:, at], means[at], means[at]) for at in places]
        return cls(
            vectors,
            means,
            places,
            [_whitening(covariance) for covariance in covariances],
            np.array([np.linalg.norm(covariance) for covariance in covariances]),
            np.array([np.trace(covariance) for covariance in covariances]),
        )

    @property
    def ranks(self) -> np.ndarray:
        return np.array([whitening.shape[1] for whitening in self.whitening])

    def sums(self, matrix: np.ndarray, axis: int) -> np.ndarray:
        """Sum over each head's part of an axis."""
        return np.add.reduceat(matrix, [place.start for place in self.places], axis=axis)


class _Recent:
    """The block of a side that was read last: it is compared with one block of the other side after the other."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._key: tuple[object, ...] = ()
        self._read: _Centred | None = None

    def centred(self, heads: Sequence[Head], rows: np.ndarray) -> _Centred:
        key = (tuple(heads), rows.tobytes())
        if self._read is None or key != self._key:
            self._read = None  # before the next takes room
            self._key, self._read = key, _Centred.of(self.side, heads, rows)
        return self._read


def _put_centred(own: np.ndarray, into: np.ndarray) -> None:
    """Copy a head's vectors, less the mean of the first of them.

    That is enough: what is left of the mean is small, so taking it off the covariances loses nothing, which taking off
    a whole mean would, as it is often far larger than what varies about it.
    """
    middle: np.ndarray | None = None
    for some in blocks(own):
        values = widened(own[some])
        # Of what is the same everywhere, nothing may be left: float64 sums that exactly.
        middle = values.mean(axis=0, dtype=np.float64).astype(np.float32) if middle is None else middle
        np.subtract(values, middle, out=into[some])


def _covariance(x: np.ndarray, y: np.ndarray, x_mean: np.ndarray, y_mean: np.ndarray) -> np.ndarray:
    return (x.T @ y).astype(np.float64) / len(x) - np.outer(x_mean, y_mean)


def _whitening(covariance: np.ndarray) -> np.ndarray:
    values, directions = np.linalg.eigh(covariance)
    kept = values > _NULL_VARIANCE * max(values[-1], 0.0)
    return directions[:, kept] / np.sqrt(values[kept])


def _adjusted(share: np.ndarray, number: int, predictors: np.ndarray) -> np.ndarray:
    left = number - 1 - predictors
    return np.where(left > 0, 1 - (1 - share) * (number - 1) / np.maximum(left, 1), np.nan)


def _places(side: Side, heads: Sequence[Head]) -> list[slice]:
    ends = np.cumsum([side.bases[head].shape[1] for head in heads]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _spaces(one: Side, left: Sequence[Head], other: Side, right: Sequence[Head]) -> np.ndarray:
    """Return Q1^T Q2 of all pairs: ``[sum of k, sum of k]``."""
    return np.hstack([one.bases[head] for head in left]).T @ np.hstack([other.bases[head] for head in right])


def _overlaps(spaces: np.ndarray, one: Side, left: Sequence[Head], other: Side, right: Sequence[Head]) -> np.ndarray:
    squares = np.add.reduceat(spaces.astype(np.float64) ** 2, [at.start for at in _places(one, left)], axis=0)
    squares = np.add.reduceat(squares, [at.start for at in _places(other, right)], axis=1)
    ranks = np.minimum.outer([_rank(one.bases[head]) for head in left], [_rank(other.bases[head]) for head in right])
    return np.where(ranks > 0, squares / np.maximum(ranks, 1), np.nan)


def _rank(basis: np.ndarray) -> int:
    return int(np.count_nonzero(np.any(basis, axis=0)))
