"""How vectors are compared: three measures of similarity, exactly, over every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.vectors.halves import Matrix, each_block
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.schema.names import Head

MEASURES = ("cosine", "dot", "centred")
_SCORES_AT_ONCE = 8_000_000  # 32 MB


@dataclass(frozen=True)
class Candidates:
    """Rows that are compared with a query, in one space.

    Attributes
    ----------
    ids
        Their ids, ascending, ASCII bytes ``[n]``.
    vectors
        ``[n, d]``; NaN where a row has no vector.
    mean
        What is taken off every vector before it is compared, ``[d]``; None for nothing.
    lengths
        Of the vectors after that, ``[n]``; None where lengths count, as in an inner product.
    """

    ids: np.ndarray
    vectors: Matrix
    mean: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Compare queries ``[b, d]`` with every row: ``[b, n]``, NaN where there is no vector or it has no length."""
        scores = (self.vectors @ queries[0])[None] if len(queries) == 1 else (self.vectors @ queries.T).T
        if self.mean is not None:
            scores -= (queries @ self.mean)[:, None]
        if self.lengths is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                scores /= self.lengths
                scores /= np.linalg.norm(queries, axis=1, keepdims=True)
        return scores

    def nearest(
        self, queries: Sequence[np.ndarray], itself: Sequence[int | None], k: int, among: np.ndarray | None = None
    ) -> list[list[tuple[Any, ...]]]:
        """Return the k best rows ``(id, score, rank)`` of each query.

        Parameters
        ----------
        queries
            Vectors ``[d]``, with their own mean taken off where one has to be.
        itself
            For each query the row that it is itself, which is left out.
        among
            Rows that may be found, ascending; None for all.
        """
        found = []
        step = max(1, _SCORES_AT_ONCE // max(1, len(self.ids)))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            for scores, row in zip(self.scores(np.stack(queries[some])), itself[some], strict=True):
                found.append(best(self.ids, scores, k, row, among))
        return found


def best(
    ids: np.ndarray, scores: np.ndarray, k: int, itself: int | None = None, among: np.ndarray | None = None
) -> list[tuple[Any, ...]]:
    """Return the k best rows ``(id, score, rank)``, ranks from 1; equal scores in order of id.

    Parameters
    ----------
    ids
        Ascending, ``[n]``.
    scores
        ``[n]``; rows that are NaN are left out. It is written to.
    itself
        A row to leave out.
    among
        Rows that may be found, ascending; None for all.
    """
    if itself is not None:
        scores[itself] = np.nan
    if among is not None:
        ids, scores = ids[among], scores[among]
    if not len(scores):
        return []
    top = near_best(scores, k)  # with every row that ties at the k-th place, so that ties go by id
    top = top[np.argsort(-scores[top], kind="stable")][:k]
    return [(ids[row].decode(), float(scores[row]), rank) for rank, row in enumerate(top, start=1)]


def near_best(scores: np.ndarray, k: int, within: float = 0.0) -> np.ndarray:
    """Return the rows of scores ``[n]``, of which there are some, that are the k-th best or at most so much worse."""
    k = min(k, len(scores))
    worst = -np.partition(-scores, k - 1)[k - 1]  # NaN goes last
    return np.flatnonzero(scores == scores if np.isnan(worst) else scores >= worst - within)


def check_measure(measure: str) -> str:
    """Refuse what is no measure.

    Raises
    ------
    ClipdbError
        With those that there are.
    """
    if measure not in MEASURES:
        raise ClipdbError(f"{measure!r} is no measure: take {', '.join(MEASURES)}")
    return measure


def check_k(k: int) -> int:
    """Refuse a number of neighbours below 1.

    Raises
    ------
    ClipdbError
        If it is.
    """
    if k < 1:
        raise ClipdbError(f"k is {k}: ask for at least 1 neighbour")
    return k


def mean_of(context: Context, model: str, kind: Kind, head: Head) -> np.ndarray:
    """Return the mean of a head's vectors over the images, as the catalog has it, or over the texts: ``[head_dim]``."""
    mean = context.heads(model).means.get(head) if kind == "images" else None
    if mean is not None:
        return mean
    store = context.store
    return store.keep(("mean", model, kind, head), lambda: np.nanmean(store.head(model, kind, head)[:], axis=0))


def head_candidates(context: Context, model: str, kind: Kind, head: Head, measure: str, centre: bool) -> Candidates:
    """Return all rows in a head's space.

    Parameters
    ----------
    measure
        One of `MEASURES`: inner product, cosine, or the cosine after ``centre``.
    centre
        Whether ``centred`` takes the mean of these rows off them.
    """
    store = context.store
    ids, vectors = store.ids(model, kind), store.head(model, kind, head)
    if measure == "dot":
        return Candidates(ids, vectors)
    mean = mean_of(context, model, kind, head) if measure == "centred" and centre else None
    key = ("lengths", model, kind, head, mean is not None)
    return Candidates(ids, vectors, mean, store.keep(key, lambda: lengths(vectors, mean)))


def embedding_candidates(context: Context, model: str) -> Candidates:
    """Return all images by their embeddings, which are compared by cosine."""
    store = context.store
    vectors = store.embeddings(model, "images")
    # Stored in float16, they have length 1 to about 1e-3 only.
    sizes = store.keep(("lengths", model, "images", "embedding"), lambda: lengths(vectors))
    return Candidates(store.ids(model, "images"), vectors, lengths=sizes)


def lengths(vectors: Matrix, mean: np.ndarray | None = None) -> np.ndarray:
    """Return the lengths of vectors ``[n, d]``, after a mean is taken off: float32 ``[n]``."""
    found = np.empty(len(vectors), np.float32)

    def put(rows: slice, blocks: Iterator[np.ndarray]) -> None:
        some = next(blocks)
        found[rows] = np.linalg.norm(some if mean is None else some - mean, axis=1)

    each_block([vectors], put)
    return found
