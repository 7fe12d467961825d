"""Groups of images that a model's own text tower tells apart: of each property, by the nearest description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.vector_arrays import vector_matrix


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
