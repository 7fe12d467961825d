"""Similarity of images in the heads of a property together, in two spaces.

``joint`` is the published one (CLIP-InterpreT): the sum over the heads of what they write into the joint space, where
one head's contribution may cancel another's. ``heads`` sets the heads' vectors side by side, where nothing cancels.
Both are sums over heads of one product of a matrix and a vector, so that a property costs what its heads cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

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


@dataclass(frozen=True)
class Question:
    """What an image is compared by, over some heads together.

    Attributes
    ----------
    heads, means
        The heads, and the mean of each ``[k]``.
    joint
        The heads' bases, one below the other ``[sum of k, D]``; None where heads are set side by side.
    parts
        What the vectors of each head are multiplied by ``[k]``.
    whole
        The vector over all heads, ``[D]`` in the joint space, else ``[sum of k]``.
    """

    heads: Sequence[Head]
    means: Sequence[np.ndarray]
    joint: np.ndarray | None
    parts: Sequence[np.ndarray]
    whole: np.ndarray

    @classmethod
    def of(cls, context: Context, model: str, query: Sequence[np.ndarray], heads: Sequence[Head], space: str) -> Self:
        """Ask about vectors, ``[k]`` by head, in one of `SPACES`."""
        means = [mean_of(context, model, "images", head) for head in heads]
        parts = [vector - mean for vector, mean in zip(query, means, strict=True)]
        if space == "heads":
            return cls(heads, means, None, parts, np.concatenate(parts))
        bases = [context.heads(model).bases[head] for head in heads]
        whole = np.sum([basis @ part for basis, part in zip(bases, parts, strict=True)], axis=0)
        parts = [basis.T @ whole for basis in bases]  # <Q y, whole> = <y, Q^T whole>
        return cls(heads, means, np.concatenate(bases, axis=1).T, parts, whole)

    def products(self, vectors: Iterable[np.ndarray]) -> np.ndarray:
        """Return the inner products with images, by their vectors ``[m, k]`` of each head, whose means stay on."""
        found: np.ndarray = sum(product(some, part) for some, part in zip(vectors, self.parts, strict=True))  # type: ignore[assignment]
        return found

    def together(self, vectors: Iterable[np.ndarray]) -> np.ndarray:
        """Return what images' vectors of each head come to over the heads, as `whole` is."""
        found = np.concatenate([some - mean for some, mean in zip(vectors, self.means, strict=True)], axis=1)
        return found if self.joint is None else found @ self.joint

    def lengths(self, vectors: Iterable[np.ndarray]) -> np.ndarray:
        """Return the lengths of images over the heads together, float32 ``[m]``."""
        found: np.ndarray = np.linalg.norm(self.together(vectors), axis=1)
        return found

    def cosines(self, products: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the cosines that products and lengths come to; the products are written to."""
        products -= np.float32(sum(mean @ part for mean, part in zip(self.means, self.parts, strict=True)))
        with np.errstate(invalid="ignore", divide="ignore"):
            products /= lengths
            products /= np.linalg.norm(self.whole)
        return products


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
    return all_cosines(context, model, Question.of(context, model, query, heads, space))


def all_cosines(context: Context, model: str, asked: Question) -> np.ndarray:
    """Return the cosine of every image with a question, float32 ``[n]``, NaN as in `similarities`."""
    store, heads, joint = context.store, asked.heads, asked.joint is not None
    scores = np.empty(len(store.ids(model, "images")), np.float32)

    def add(rows: slice | np.ndarray, vectors: Iterator[np.ndarray]) -> None:
        scores[rows] = asked.products(vectors)

    def make_lengths() -> np.ndarray:
        lengths = np.empty(len(scores), np.float32)

        def put(rows: slice | np.ndarray, vectors: Iterator[np.ndarray]) -> None:
            lengths[rows] = asked.lengths(vectors)

        store.each_block(model, heads, put, threads=not joint)
        return lengths

    store.each_block(model, heads, add)
    return asked.cosines(scores, store.keep(("lengths", model, tuple(heads), joint), make_lengths))
