"""TEXTSPAN from second moments: which descriptions span what a head writes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Below this share of the first variance what is left is rounding, and a further pick would be noise.
EXHAUSTED = 1e-10


class TextSpan(NamedTuple):
    """Picks of TEXTSPAN in order.

    Attributes
    ----------
    rows
        Row of the pool that each pick is, int64 ``[m]``.
    variance_explained
        Share of the head's first variance along each pick's deflated direction, float64 ``[m]``.
    """

    rows: np.ndarray
    variance_explained: np.ndarray


def textspan(covariance: np.ndarray, pool: np.ndarray, count: int) -> TextSpan:
    """Pick the descriptions along which a head's centred outputs vary most, one after the other.

    Algorithm 1 (TEXTSPAN) of Gandelsman et al., arXiv 2310.05916, which projects each pick out of the outputs and out
    of the pool before the next. Its only use of the outputs is their covariance C: the variance of projections on a is
    ``a^T C a``, and with ``P = I - a a^T / a^T a`` deflating the outputs is ``C <- P C P``. So the cost doesn't depend
    on the number of images. Rows are not renormalised after deflation, as in the published procedure.

    Parameters
    ----------
    covariance
        C of the head's vectors y in head space, ``[k, k]``.
    pool
        Unit text embeddings in head space, ``Q^T t``, ``[M, k]``.
    count
        How many picks at most; fewer where the pool or the variance is exhausted. Ties go to the first row.

    Returns
    -------
    TextSpan
        The picks and the share of variance that each explains: ``a^T C a / (a^T a trace C0)``.
    """
    c = np.array(covariance, dtype=np.float64)
    a = np.array(pool, dtype=np.float64)
    total = float(np.trace(c))
    rows: list[int] = []
    explained: list[float] = []
    while len(rows) < min(count, len(a)) and np.trace(c) > EXHAUSTED * total:
        variances = np.einsum("mk,mk->m", a @ c, a)
        row = int(variances.argmax())
        direction, length2 = a[row].copy(), float(a[row] @ a[row])
        if variances[row] <= EXHAUSTED * total * length2:
            break
        rows.append(row)
        explained.append(float(variances[row]) / (length2 * total))
        unit = direction / np.sqrt(length2)
        a -= np.outer(a @ unit, unit)
        a[row] = 0.0  # exactly, so that rounding can't pick it twice
        c_unit = c @ unit
        c -= np.outer(unit, c_unit) + np.outer(c_unit - unit * (unit @ c_unit), unit)
    return TextSpan(np.array(rows, dtype=np.int64), np.array(explained))
