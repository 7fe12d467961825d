"""Similarity of images in the heads of a property together, in two spaces.

``joint`` is the published one (CLIP-InterpreT): the sum over the heads of what they write into the joint space, where
one head's contribution may cancel another's. ``heads`` sets the heads' vectors side by side, where nothing cancels.
Both are sums over heads of one product of a matrix and a vector, so that a property costs what its heads cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import one_partition
from clipdb.queries.functions.base.property_weights import normal_property
from clipdb.queries.functions.base.similarity import mean_of
from clipdb.queries.resolve import no_names
from clipdb.queries.vectors.halves import product
from clipdb.schema.names import Head

SPACES = ("joint", "heads")


def check_space(space: str) -> None:
    """Refuse what is no space.

    Raises
    ------
    ClipdbError
        With those that there are.
    """
    if space not in SPACES:
        raise ClipdbError(f"{space!r} is no space: take {' or '.join(SPACES)}")


def carriers_of(context: Context, model: str, partition: str | None) -> dict[str, list[Head]]:
    """List the heads that have vectors, by the normal name of the property that they carry.

    Raises
    ------
    ClipdbError
        If no head of the model has a name, or they are of both partitions and none is asked for.
    """
    properties = context.heads(model).properties
    if not properties:
        raise no_names(context.rows, model)
    carriers: dict[str, list[Head]] = {}
    for head in sorted(one_partition(set(context.store.heads(model)) & properties.keys(), partition)):
        carriers.setdefault(normal_property(properties[head]), []).append(head)
    return carriers


def similarities(
    context: Context, model: str, query: Sequence[np.ndarray], heads: Sequence[Head], space: str
) -> np.ndarray:
    """Return the cosine of every image with a query, over some heads together, after the heads' means are taken off.

    Parameters
    ----------
    query
        The query's vectors, ``[head_dim]`` by head.
    heads
        The heads, in the same order.
    space
        One of `SPACES`.

    Returns
    -------
    numpy.ndarray
        Float32 ``[n]``; NaN for images that have not been through all of these heads.
    """
    store = context.store
    means = [mean_of(context, model, "images", head) for head in heads]
    parts = [vector - mean for vector, mean in zip(query, means, strict=True)]
    if space == "joint":
        bases = [context.heads(model).bases[head] for head in heads]
        whole = sum(basis @ part for basis, part in zip(bases, parts, strict=True))
        parts = [basis.T @ whole for basis in bases]  # <Q y, whole> = <y, Q^T whole>
        size = float(np.linalg.norm(whole))
    else:
        size = float(np.sqrt(sum(part @ part for part in parts)))
    scores = np.empty(len(store.ids(model, "images")), np.float32)

    def add(rows: slice | np.ndarray, vectors: Iterator[np.ndarray]) -> None:
        scores[rows] = sum(product(some, part) for some, part in zip(vectors, parts, strict=True))

    store.each_block(model, heads, add)
    scores -= np.float32(sum(mean @ part for mean, part in zip(means, parts, strict=True)))
    with np.errstate(invalid="ignore", divide="ignore"):
        scores /= _lengths(context, model, heads, space, means)
        scores /= np.float32(size)
    return scores


def _lengths(
    context: Context, model: str, heads: Sequence[Head], space: str, means: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the lengths of all images' vectors over some heads together, kept between calls: float32 ``[n]``."""

    bases = [context.heads(model).bases[head] for head in heads]
    joint = np.concatenate(bases, axis=1).T if space == "joint" else None

    def make() -> np.ndarray:
        lengths = np.empty(len(context.store.ids(model, "images")), np.float32)

        def put(rows: slice | np.ndarray, vectors: Iterator[np.ndarray]) -> None:
            together = np.concatenate([some - mean for some, mean in zip(vectors, means, strict=True)], axis=1)
            lengths[rows] = np.linalg.norm(together if joint is None else together @ joint, axis=1)

        context.store.each_block(model, heads, put, threads=joint is None)
        return lengths

    return context.store.keep(("lengths", model, tuple(heads), space), make)
