"""The images on which a head's output is most unusual."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_statistics import head_moments
from clipdb.queries.functions.base.similarity import best, check_k, lengths
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.vectors.halves import each_block
from clipdb.schema.names import parse_head

_NULL_VARIANCE = 1e-6  # of the largest: below, float32 sums hold rounding only


def shrunk(covariance: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Shrink a covariance towards a sphere, so that it can be inverted however few the vectors.

    It becomes (1 - d) C + d (tr C / k) I with C the covariance and the d of Ledoit and Wolf (A well-conditioned
    estimator for large-dimensional covariance matrices, Journal of Multivariate Analysis 88, 2004): the less sure the
    entries of C, the more of the sphere.

    Parameters
    ----------
    covariance
        Of the vectors, ``[k, k]``.
    squares
        Squared lengths of the vectors less their mean ``[n]``.

    Returns
    -------
    numpy.ndarray
        float64 ``[k, k]``; zero where nothing varies.
    """
    number, size = len(squares), len(covariance)
    target = np.trace(covariance) / size * np.eye(size)
    # The mean over vectors of ||x x^T - C||^2 is that of ||x||^4, less ||C||^2.
    uncertain = (np.square(squares).mean() - np.square(covariance).sum()) / number
    apart = np.square(covariance - target).sum()
    d = min(uncertain / apart, 1.0) if apart > 0 else 1.0
    return (1 - d) * covariance + d * target


@table_function(image_id="VARCHAR", distance="FLOAT", ratio="FLOAT", rank="INTEGER")
def outliers(context: Context, model: str | None, head: str, k: int = 10) -> Rows:
    """Find the images whose vectors are farthest from the head's mean, in Mahalanobis distance.

    Parameters
    ----------
    k
        How many to find.

    Returns
    -------
    list
        ``(image_id, distance, ratio, rank)``, farthest first: distance is sqrt((y - m)^T S^-1 (y - m)) with S from
        `shrunk`, and ratio is the distance over the median distance of all images.

    Raises
    ------
    ClipdbError
        If k is below 1, or there is no such head.
    """
    check_k(k)
    name, key = context.model(model), parse_head(head)
    context.store.require_head(name, key)
    vectors = context.store.head(name, "images", key)
    moments = head_moments(context, name, key)
    if not moments.total > 0:
        return []
    centre = moments.mean.astype(np.float32)
    squares = np.square(lengths(vectors, centre), dtype=np.float64)
    present = ~np.isnan(squares)
    values, directions = np.linalg.eigh(shrunk(moments.covariance, squares[present]))
    kept = values > _NULL_VARIANCE * values[-1]
    whitening = (directions[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    distances = np.empty(len(vectors), np.float32)

    def put(rows: slice, blocks: Iterator[np.ndarray]) -> None:
        distances[rows] = np.linalg.norm((next(blocks) - centre) @ whitening, axis=1)

    each_block([vectors], put, threads=False)
    distances = distances[present]
    median = float(np.median(distances))
    found = best(context.store.ids(name, "images")[present], distances, k)
    return [(image, distance, distance / median if median else None, rank) for image, distance, rank in found]


FUNCTION = outliers
