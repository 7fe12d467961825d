"""Descriptions of a property that mean the same count as one, so "red" in five templates is one kind and not five."""

from __future__ import annotations

import numpy as np

SAME_MEANING = 0.5  # mean cosine, once centred, over which descriptions mean the same
_SAME_TEXT = 1e-4  # a description this near to the mean of its property's says nothing


def kinds_of_descriptions(embeddings: np.ndarray) -> np.ndarray:
    """Merge the descriptions of a property that mean the same.

    Average linkage (Sokal and Michener 1958): the two groups of the highest mean cosine become one, until none is over
    `SAME_MEANING`. Cosines are between embeddings less their mean, which is what all texts of a property share.

    Parameters
    ----------
    embeddings
        Unit text embeddings ``[n, D]``.

    Returns
    -------
    numpy.ndarray
        Unit directions ``[g, D]``, in the order in which their first descriptions come.
    """
    centred = embeddings - embeddings.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1)
    differ = lengths > _SAME_TEXT
    sums = centred[differ] / lengths[differ, None]
    counts = np.ones(len(sums))
    cosines = sums @ sums.T
    np.fill_diagonal(cosines, -np.inf)
    kept = np.ones(len(sums), bool)
    while len(sums) and cosines.max() > SAME_MEANING:
        one, other = sorted(divmod(int(cosines.argmax()), len(sums)))
        joint = counts[one] * cosines[one] + counts[other] * cosines[other]
        cosines[one] = cosines[:, one] = joint / (counts[one] + counts[other])
        cosines[other] = cosines[:, other] = cosines[one, one] = -np.inf
        sums[one] += sums[other]
        counts[one] += counts[other]
        kept[other] = False
    return sums[kept] / np.linalg.norm(sums[kept], axis=1, keepdims=True)
