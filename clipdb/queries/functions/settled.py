"""How many images spans and names need: how far two disjoint samples of the images agree on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clipdb._util.textspan import textspan
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_statistics import Moments
from clipdb.queries.functions.base.table_function import Rows, table_function

SMALLEST = 50
FIRST = 5
"""How many spans, and principal directions, are compared."""


class Pool(NamedTuple):
    """The texts of a pool in its order: their rows among the model's texts, and their normal properties."""

    rows: np.ndarray
    properties: list[str | None]


class Found(NamedTuple):
    """What a sample of images gives of a head: rows of its spans, its name, and its principal directions ``[k, r]``."""

    spans: list[int]
    name: str | None
    directions: np.ndarray


@table_function(
    images="BIGINT",
    pairs="INTEGER",
    labels="DOUBLE",
    first_span="DOUBLE",
    first_five="DOUBLE",
    subspace="DOUBLE",
    heads="INTEGER",
    settled="BOOLEAN",
)
def settled(
    context: Context, model: str | None, pool: str | None = None, spans: int = 20, pairs: int = 2, agree: float = 0.95
) -> Rows:
    """Span and name every head from two disjoint samples of n images, for growing n, and compare.

    Samples are taken in the order of the images' ids, which are hashes of their bytes and so in no order. Spans are
    TEXTSPAN's (arXiv 2310.05916, Algorithm 1) and names those of the labeller ``vote``.

    Parameters
    ----------
    pool
        Pool to span with; needed where the model has spans from several.
    spans
        How many spans vote.
    pairs
        How many pairs of samples of a size are averaged; fewer where there are too few images.
    agree
        The share of names from which they count as settled.

    Returns
    -------
    list
        One row per n = 50, 100, 200, ... and half of the images: shares of heads with one name and one first span in
        both samples, the mean share of the first five spans that are in both, the mean squared cosine between the two
        samples' first five principal directions (Krzanowski 1979, JASA 74), and whether this n and all larger ones have
        labels of at least agree.

    Raises
    ------
    ClipdbError
        If there are under 100 images that all heads have seen, no such pool, or a number out of range.
    """
    if spans < 1 or pairs < 1:
        raise ClipdbError("spans and pairs are counts: 1 or more")
    if not 0 < agree <= 1:
        raise ClipdbError("agree is a share: over 0, and at most 1")
    model = context.model(model)
    chosen = _read_pool(context, model, pool)
    store = context.store
    heads = [head for head in store.heads(model) if head in set(store.heads(model, "texts"))]
    seen = np.all([~np.isnan(store.head(model, "images", head)[:, 0]) for head in heads], axis=0)
    rows = np.flatnonzero(seen)
    if len(rows) < 2 * SMALLEST:
        raise ClipdbError(f"{model} has {len(rows)} images that all heads have seen: this takes {2 * SMALLEST}")
    sizes = _sizes(len(rows) // 2)
    agreement: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    counts = {size: min(pairs, len(rows) // (2 * size)) for size in sizes}
    for head in heads:
        vectors = store.head(model, "images", head)[rows]
        texts = store.head(model, "texts", head)[chosen.rows]
        for size in sizes:
            for pair in range(counts[size]):
                start = 2 * size * pair
                one, other = (
                    _find(vectors[begin : begin + size], texts, chosen.properties, spans)
                    for begin in (start, start + size)
                )
                agreement[size].append(_compare(one, other))
    named = any(chosen.properties)
    means = {size: np.mean(agreement[size], axis=0) for size in sizes}
    steady = {size: named and all(means[n][0] >= agree for n in sizes if n >= size) for size in sizes}
    return [
        (
            size,
            counts[size],
            float(means[size][0]) if named else None,
            *map(float, means[size][1:]),
            len(heads),
            steady[size] if named else None,
        )
        for size in sizes
    ]


def _sizes(most: int) -> list[int]:
    """Double from the smallest, and end at the most."""
    sizes = [SMALLEST]
    while sizes[-1] * 2 <= most:
        sizes.append(sizes[-1] * 2)
    return sizes if sizes[-1] == most else [*sizes, most]


def _find(vectors: np.ndarray, texts: np.ndarray, properties: Sequence[str | None], count: int) -> Found:
    """Span a head from some of its vectors, name it as the labeller vote does, and find its principal directions."""
    covariance = Moments.of(vectors).covariance.astype(np.float64)
    picked = textspan(covariance, texts, count)
    weights: dict[str, float] = {}
    for row, variance in zip(picked.rows.tolist(), picked.variance_explained.tolist(), strict=True):
        tag = properties[row]
        if tag is not None:
            weights[tag] = weights.get(tag, 0.0) + variance
    name = max(weights, key=lambda tag: weights[tag]) if weights else None  # of equal ones the first picked
    return Found(picked.rows.tolist(), name, np.linalg.eigh(covariance)[1][:, -FIRST:])


def _compare(one: Found, other: Found) -> tuple[float, float, float, float]:
    first = set(one.spans[:FIRST]), set(other.spans[:FIRST])
    shared = len(first[0] & first[1]) / max(len(first[0]), len(first[1]), 1)
    overlap = np.square(one.directions.T @ other.directions).sum() / one.directions.shape[1]
    return float(one.name == other.name), float(one.spans[:1] == other.spans[:1]), shared, float(overlap)


def _read_pool(context: Context, model: str, pool: str | None) -> Pool:
    """Read the texts of the pool that was asked for, or of the only one that the model has spans from."""
    pools = [
        str(one) for (one,) in context.rows("select distinct pool from spans where model_id = ? order by 1", model)
    ]
    if pool is None and len(pools) != 1:
        which = f"choose one with --pool ({', '.join(pools)})" if pools else "run `clipdb span`"
        raise ClipdbError(f"{model} has spans from {len(pools)} pools: {which}")
    found = context.rows(
        "select text_id, normal_property(property) from pool_texts where pool = ? order by position", pool or pools[0]
    )
    places = {text: context.store.position(model, "texts", str(text)) for text, _ in found}
    if not found or None in places.values():
        raise ClipdbError(
            f"{model} lacks texts of the pool {pool or pools[0]!r}: run `clipdb span --pool {pool or pools[0]}`",
            kind="absent",
        )
    return Pool(np.array([places[text] for text, _ in found]), [None if tag is None else str(tag) for _, tag in found])


FUNCTION = settled
