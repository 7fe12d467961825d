"""``neighbours(model, head, image, k := 10)``: the images nearest to an image in a head's space, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.context import Context
from clipdb.queries.table_function import Arguments, Rows, TableFunction
from clipdb.schema.names import parse_head

_SCORES_AT_ONCE = 8_000_000  # 32 MB


def nearest(context: Context, calls: Sequence[Arguments]) -> list[Rows]:
    """Find neighbours by the cosine of the head's vectors, the image itself left out.

    Parameters
    ----------
    calls
        ``(model, head, image, k)`` each.

    Returns
    -------
    list
        For each call ``(image_id, score, rank)``, best first, ranks from 1; equal scores in order of id.
    """
    found: dict[int, Rows] = {}
    groups: dict[tuple[str, str, int], list[int]] = {}
    for place, (model, head, _, k) in enumerate(calls):
        if k < 1:
            raise ClipdbError(f"k is {k}: ask for at least 1 neighbour")
        groups.setdefault((context.model(model), head, k), []).append(place)
    for (model, head, k), places in groups.items():
        key = parse_head(head)
        context.store.require_head(model, key)
        ids, vectors = context.store.ids(model, "images"), context.store.head(model, "images", key)
        norms = np.linalg.norm(vectors, axis=1)
        asked = [context.subjects.image(model, calls[place][2]) for place in places]
        step = max(1, _SCORES_AT_ONCE // len(ids))
        for start in range(0, len(places), step):
            some = slice(start, start + step)
            queries = np.stack([image.heads[key] for _, image in asked[some]])
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = queries @ vectors.T / norms / np.linalg.norm(queries, axis=1, keepdims=True)
            for place, (image_id, _), row in zip(places[some], asked[some], scores, strict=True):
                found[place] = best(ids, row, k, image_id)
    return [found[place] for place in range(len(calls))]


def best(ids: np.ndarray, scores: np.ndarray, k: int, itself: str | None = None) -> list[tuple[Any, ...]]:
    """Give the k best ``(id, score, rank)``; NaN (no vector) and the subject itself are left out."""
    scores = np.where(np.isnan(scores) | (ids == (itself or "").encode()), -np.inf, scores)
    k = min(k, int(np.isfinite(scores).sum()))
    if not k:
        return []
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    top = np.flatnonzero(scores >= kth)  # all that tie at the k-th place, so that ties go by id
    top = top[np.lexsort((top, -scores[top]))][:k]
    return [(ids[row].decode(), float(scores[row]), rank) for rank, row in enumerate(top, start=1)]


NEIGHBOURS = TableFunction(
    name="neighbours",
    parameters={"model": "VARCHAR", "head": "VARCHAR", "image": "VARCHAR", "k": "BIGINT"},
    defaults={"k": "10"},
    columns={"image_id": "VARCHAR", "score": "FLOAT", "rank": "INTEGER"},
    compute=nearest,
    needed=("head", "image", "k"),
)
