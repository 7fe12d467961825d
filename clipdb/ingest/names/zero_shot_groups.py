"""Groups of images that a model's own text tower tells apart: for each property, by the description each is nearest to.

Descriptions of a property that mean the same count as one, so "red" in five templates is one group and not five.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.vector_arrays import vector_matrix

SAME_MEANING = 0.5  # mean cosine, once centred, over which descriptions mean the same
_SAME_TEXT = 1e-4  # a description this near to the mean of its property's says nothing


@dataclass(frozen=True)
class Groups:
    """The group of every image, for each property.

    Attributes
    ----------
    properties
        Their names; each has at least two kinds of descriptions.
    sizes
        How many kinds of descriptions each has: groups, empty ones among them.
    members
        ``[N, properties]``: the group of each image, counted from 0, in the order of the dataset.
    """

    properties: tuple[str, ...]
    sizes: tuple[int, ...]
    members: np.ndarray


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


def group_images(dataset: Any, directions: Mapping[str, np.ndarray]) -> Groups:
    """Find for every image, and each property, the description that its whole embedding is nearest to.

    Embeddings are centred over the images first. One pass takes their mean, a second one compares.

    Parameters
    ----------
    dataset
        A Lance dataset of a model's images.
    directions
        Of each property, the directions ``[g, D]`` of its kinds of descriptions: unit vectors, or what an aligner
        makes of such.
    """
    stacked = np.concatenate([*directions.values()]).astype(np.float32)
    sizes = [len(kinds) for kinds in directions.values()]
    starts = np.cumsum([0, *sizes[:-1]])
    mean = sum(chunk.sum(axis=0, dtype=np.float64) for chunk in _embeddings(dataset)) / dataset.count_rows()
    bias = stacked @ mean.astype(np.float32)
    members = np.empty((dataset.count_rows(), len(sizes)), np.min_scalar_type(max(sizes)))
    done = 0
    for chunk in _embeddings(dataset):
        cosines = chunk.astype(np.float32) @ stacked.T - bias
        for place, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            members[done : done + len(chunk), place] = cosines[:, start : start + size].argmax(axis=1)
        done += len(chunk)
    return Groups(tuple(directions), tuple(sizes), members)


def _embeddings(dataset: Any) -> Iterator[np.ndarray]:
    for batch in dataset.to_batches(columns=["embedding"], batch_size=ROWS_AT_ONCE):
        yield vector_matrix(batch.column("embedding"))
