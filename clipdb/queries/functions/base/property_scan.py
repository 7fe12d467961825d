"""Exact search by heads together that compares rounded unit vectors first, and then those that rounding may hide.

The heads of a property have more numbers together than the joint space: twelve of 64 against 512. So what an image's
heads write there is kept as a unit vector in float16, and only the images that could be among the nearest are compared
by the heads' own vectors. Nothing that belongs to the nearest is missed, for the error of the rounding has a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.property_search import Question, all_cosines
from clipdb.queries.functions.base.similarity import best, near_best
from clipdb.queries.functions.base.table_function import Rows
from clipdb.queries.vectors.halves import Halves

ROUNDING = 2.0**-11 + 1e-4
"""How far a cosine may be off: each number of a unit vector by half a step of float16, each sum by float32's."""

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Rounded:
    """What all images' heads write together.

    Attributes
    ----------
    units
        The directions, float16 ``[n, D]``; zero where there is none.
    empty
        Where there is none: images that have not been through all heads, or without a length. Bool ``[n]``.
    """

    units: Halves
    empty: np.ndarray

    @property
    def nbytes(self) -> int:
        """How much it takes in memory."""
        return self.units.nbytes + self.empty.nbytes


def near_cosines(context: Context, model: str, asked: Question) -> tuple[np.ndarray, float]:
    """Return the cosines of all images with a query, float32 ``[n]``, and how far they may be off."""
    if asked.joint is None or len(asked.joint) <= len(asked.whole):
        return all_cosines(context, model, asked), 0.0
    store = context.store

    def make() -> Rounded:
        number, size = len(store.ids(model, "images")), len(asked.whole)
        units, empty = np.zeros((number, size), np.float16), np.ones(number, bool)

        def put(rows: slice | np.ndarray, vectors: Iterator[np.ndarray]) -> None:
            together = asked.together(vectors)
            lengths = np.linalg.norm(together, axis=1, keepdims=True)
            np.divide(together, lengths, out=together, where=lengths > 0)
            empty[rows] = ~(lengths[:, 0] > 0)
            together[empty[rows]] = 0
            units[rows] = together

        store.each_block(model, asked.heads, put, threads=False, keep=False)
        return Rounded(Halves(units), empty)

    rounded = store.keep(("rounded", model, tuple(asked.heads)), make)
    size = np.linalg.norm(asked.whole)
    if not size > 0:
        return np.full(len(rounded.empty), np.nan, np.float32), 0.0
    found = rounded.units.near_products(asked.whole / size)
    found[rounded.empty] = np.nan
    return found, ROUNDING


def exact_cosines(context: Context, model: str, asked: Question, rows: np.ndarray) -> np.ndarray:
    """Return the cosines of some images with a query, by the heads' own vectors, float32 ``[m]``."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        vectors = context.store.of_rows(model, asked.heads, rows[some])
        scores[some] = asked.cosines(asked.products(vectors), asked.lengths(vectors))
    return scores


def nearest_rows(
    context: Context, model: str, asked: Sequence[tuple[Question, float]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows ``[m]`` that the k nearest are among, ascending, and their scores, exactly, float32 ``[m]``.

    Parameters
    ----------
    asked
        Questions with weights. The score is the sum of the cosines by their weights, over the sum of those above 0. Of
        a question with a weight below 0, a cosine below 0 counts as 0.
    k
        How many are wanted.
    """
    weights = np.array([weight for _, weight in asked], np.float32)

    def total(cosines: Sequence[np.ndarray]) -> np.ndarray:
        parts = (one if weight > 0 else np.maximum(one, 0) for one, weight in zip(cosines, weights, strict=True))
        found: np.ndarray = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        found /= weights[weights > 0].sum()
        return found

    near, errors = zip(*(near_cosines(context, model, one) for one, _ in asked), strict=True)
    scores = total(near)
    off = float(np.abs(weights) @ np.array(errors)) / float(weights[weights > 0].sum())
    if off == 0 or not len(scores):
        return np.arange(len(scores)), scores
    rows = near_best(scores, k, 2 * off)
    return rows, total([exact_cosines(context, model, one, rows) for one, _ in asked])


def best_rows(context: Context, model: str, rows: np.ndarray, scores: np.ndarray, k: int, itself: int | None) -> Rows:
    """Return the k best ``(id, score, rank)`` of some rows ``[m]``, ascending, with scores ``[m]``, but for itself."""
    place = None if itself is None else next(iter(np.flatnonzero(rows == itself).tolist()), None)
    return best(context.store.ids(model, "images")[rows], scores, k, place)
