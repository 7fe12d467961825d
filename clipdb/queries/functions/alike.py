"""How much the heads of a model resemble each other, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_statistics import Moments
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import Head, head_name, parse_head

_NULL_VARIANCE = 1e-6  # of a head's largest: below, float32 sums hold rounding only


@dataclass(frozen=True)
class _Head:
    """A head over the images of a comparison: centred vectors ``[n, k]``, what whitens them ``[k, rank]``, and norms.

    ``norm`` is ||X^T X||_F and ``total`` is ||X||_F^2, both over n.
    """

    centred: np.ndarray
    whitening: np.ndarray
    norm: float
    total: float

    @classmethod
    def of(cls, vectors: np.ndarray) -> _Head:
        moments = Moments.of(vectors)
        centred = vectors - moments.mean.astype(np.float32)
        values, directions = np.linalg.eigh(moments.covariance)
        kept = values > _NULL_VARIANCE * max(values[-1], 0.0)
        whitening = directions[:, kept] / np.sqrt(values[kept])
        return cls(centred, whitening, float(np.linalg.norm(moments.covariance)), moments.total)


def overlap(one: np.ndarray, other: np.ndarray) -> float | None:
    """Measure how much of the smaller of two subspaces lies in the other: ``||Q1^T Q2||_F^2 / min(rank)``.

    It is the mean squared cosine of their principal angles: 1 where one holds the other, 0 where they are orthogonal.
    Two random subspaces of k of D dimensions overlap by k / D on average.

    Parameters
    ----------
    one, other
        Bases ``[D, k]``: orthonormal columns, or zero ones, which don't count.
    """
    rank = min(int(np.count_nonzero(np.any(basis, axis=0))) for basis in (one, other))
    return float(np.linalg.norm(one.T @ other) ** 2 / rank) if rank else None


def _compared(one: _Head, other: _Head) -> tuple[float | None, float | None, float | None]:
    """Return linear CKA, and the share of each head's variance that a linear function of the other's vectors explains.

    Kornblith et al., arXiv 1905.00414, section 3: CKA = ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F) of centred X and Y,
    and R^2_LR = ||Q_X^T Y||_F^2 / ||Y||_F^2 with Q_X an orthonormal basis of X's columns. The second is adjusted for
    the number of predictors: 1 - (1 - R^2) (n - 1) / (n - 1 - rank), since noise alone explains rank / (n - 1).
    """
    if not (one.total > 0 and other.total > 0):
        return None, None, None
    number = len(one.centred)
    cross = (one.centred.T @ other.centred).astype(np.float64) / number
    cka = float(np.linalg.norm(cross) ** 2 / (one.norm * other.norm))
    by_other = float(np.linalg.norm(cross @ other.whitening) ** 2 / one.total)
    by_one = float(np.linalg.norm(one.whitening.T @ cross) ** 2 / other.total)
    return cka, _adjusted(by_other, number, other), _adjusted(by_one, number, one)


def _adjusted(share: float, number: int, predictor: _Head) -> float | None:
    left = number - 1 - predictor.whitening.shape[1]
    return 1 - (1 - share) * (number - 1) / left if left > 0 else None


@table_function(head="VARCHAR", other="VARCHAR", overlap="DOUBLE", cka="DOUBLE", explained="DOUBLE", images="BIGINT")
def alike(context: Context, model: str | None, head: Sequence[str | None] = (None,), images: int = 10000) -> list[Rows]:
    """Compare heads, each with every other of its model.

    Parameters
    ----------
    head
        One head with all others, or every head where it is None.
    images
        Vectors are compared over so many images, those of the lowest ids, which are hashes: a fixed random sample. 0
        stands for all.

    Returns
    -------
    list
        For each head ``(head, other, overlap, cka, explained, images)``: explained is the share of head's variance
        that is linear in other's vectors. Images without a vector of both heads are left out.
    """
    if images < 0:
        raise ClipdbError(f"images is {images}: give the number of images to compare over, or 0 for all")
    model = context.model(model)
    keys = [None if one is None else parse_head(one) for one in head]
    chosen = {key for key in keys if key is not None}
    for key in chosen:
        context.store.require_head(model, key)
    pairs = _pairs(context, model, images, set(context.store.heads(model)) if None in keys else chosen)
    return [
        [
            (head_name(*one), head_name(*other), *values)
            for (one, other), values in pairs.items()
            if key is None or one == key
        ]
        for key in keys
    ]


def _pairs(context: Context, model: str, images: int, wanted: set[Head]) -> dict[tuple[Head, Head], tuple[object, ...]]:
    heads, bases = context.store.heads(model), context.heads(model).bases
    present = {head: ~np.isnan(context.store.head(model, "images", head)[:, 0]) for head in heads}
    prepared: dict[tuple[Head, bytes], _Head] = {}

    def head_over(head: Head, rows: np.ndarray) -> _Head:
        # Layers that were added later may have fewer images, so a head can take part over several sets of them.
        key = (head, rows.tobytes())
        if key not in prepared:
            prepared[key] = _Head.of(context.store.head(model, "images", head)[rows])
        return prepared[key]

    pairs: dict[tuple[Head, Head], tuple[object, ...]] = {}
    for place, one in enumerate(heads):
        for other in heads[place + 1 :]:
            if not wanted & {one, other}:
                continue
            rows = np.flatnonzero(present[one] & present[other])
            rows = rows[:images] if images else rows
            cka, by_other, by_one = (None,) * 3
            if len(rows) > 1:
                cka, by_other, by_one = _compared(head_over(one, rows), head_over(other, rows))
            shared = overlap(bases[one], bases[other])
            pairs[one, other] = shared, cka, by_other, len(rows)
            pairs[other, one] = shared, cka, by_one, len(rows)
    return pairs


FUNCTION = alike
