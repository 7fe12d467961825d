"""A few texts whose weighted sum comes close to a direction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_SWEEPS, _SAME = 200, 1e-8


class SparseCode(NamedTuple):
    """Sums of texts, one for each direction.

    Attributes
    ----------
    rows
        Rows of the pool, in the order in which they were picked, int64 ``[n, words]``.
    weights
        Their weights, float64 ``[n, words]``: 0 or more.
    fits
        Cosine between each direction and its sum, ``[n]``; 0 where no text points its way.
    """

    rows: np.ndarray
    weights: np.ndarray
    fits: np.ndarray


def sparse_code(directions: np.ndarray, pool: np.ndarray, words: int) -> SparseCode:
    """Write unit vectors as sums of a few vectors of a pool, with weights that aren't negative.

    Non-negative orthogonal matching pursuit: the vector of the pool with the largest inner product with what is left
    is picked, and the weights of all that were picked are fitted anew (non-negative least squares, here by coordinate
    descent), ``words`` times. Ties go to the first row.

    Parameters
    ----------
    directions
        Unit vectors ``[n, D]``.
    pool
        Unit vectors ``[M, D]``.
    words
        How many to pick at most.
    """
    words = min(words, len(pool))
    rows = np.zeros((len(directions), words), np.int64)
    weights = np.zeros(rows.shape)
    left = directions
    for step in range(words):
        scores = left @ pool.T
        np.put_along_axis(scores, rows[:, :step], -np.inf, axis=1)
        rows[:, step] = scores.argmax(axis=1)
        picked = pool[rows[:, : step + 1]]  # n, step + 1, D
        gram = picked @ picked.transpose(0, 2, 1)
        target = np.einsum("nsd,nd->ns", picked, directions)
        found = weights[:, : step + 1]
        for _ in range(_SWEEPS):
            before = found.copy()
            for place in range(step + 1):
                gradient = target[:, place] - np.einsum("ns,ns->n", gram[:, place], found)
                found[:, place] = np.maximum(0, found[:, place] + gradient / np.maximum(gram[:, place, place], _SAME))
            if np.abs(found - before).max(initial=0) < _SAME:
                break
        left = directions - np.einsum("ns,nsd->nd", found, picked)
    sums = directions - left
    lengths = np.linalg.norm(sums, axis=1)
    fits = np.einsum("nd,nd->n", sums, directions) / np.where(lengths > 0, lengths, 1)
    return SparseCode(rows, weights, fits)


def centred(texts: np.ndarray) -> np.ndarray:
    """Take off what all texts ``[M, D]`` have in common, their mean, and bring them to unit length; a zero stays."""
    apart = texts - texts.mean(axis=0)
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    return apart / np.where(lengths > 1e-9, lengths, np.inf)
