"""Searches in one head's space: of an image or a text, among images or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.similarity import check_k, check_measure, head_candidates, mean_of
from clipdb.queries.functions.base.table_function import Arguments, Rows
from clipdb.queries.vectors.lance_tables import Kind
from clipdb.schema.names import Head, parse_head

_Group = tuple[str, str, int, str, str | None]  # model, head, k, measure, pool


def search(context: Context, calls: Sequence[Arguments], subject: Kind, target: Kind) -> list[Rows]:
    """Return the rows ``(id, score, rank)`` nearest to a subject, of each call.

    Parameters
    ----------
    calls
        ``(model, head, SUBJECT, k, measure)`` each; over texts, also the ``pool`` to which they are limited.
    subject, target
        Whose neighbours, and what they are.
    """
    groups: dict[_Group, list[int]] = {}
    for place, (model, head, _, k, measure, *pool) in enumerate(calls):
        key = (context.model(model), head, check_k(k), check_measure(measure), pool[0] if pool else None)
        groups.setdefault(key, []).append(place)
    found: dict[int, Rows] = {}
    for group, places in groups.items():
        subjects = [calls[place][2] for place in places]
        found.update(zip(places, _search_group(context, group, subjects, subject, target), strict=True))
    return [found[place] for place in range(len(calls))]


def _search_group(context: Context, group: _Group, subjects: list[str], subject: Kind, target: Kind) -> list[Rows]:
    """Answer calls that differ in their subject only."""
    model, head_name, k, measure, pool = group
    head = parse_head(head_name)
    context.store.require_head(model, head, "images")
    context.store.require_head(model, head, target)
    # Images stand off the origin by the head's mean, texts by another mean, so that `centred` takes the mean off
    # images, and off texts only where they are compared with each other (measured in docs/decisions.md).
    centre_target = target == "images" or subject == "texts"
    centre_subject = subject == "images" or target == "texts"
    rows = head_candidates(context, model, target, head, measure, centre_target)
    among = None if pool is None else _pool_rows(context, model, pool)
    offset = mean_of(context, model, subject, head) if measure == "centred" and centre_subject else None
    asked = [_vector(context, model, head, one, subject) for one in subjects]
    queries: list[tuple[int, np.ndarray, int | None]] = [
        (place, vector if offset is None else vector - offset, row if subject == target else None)
        for place, (row, vector) in enumerate(asked)
        if vector is not None
    ]
    nearest = rows.nearest([query for _, query, _ in queries], [row for *_, row in queries], k, among)
    answers: list[Rows] = [[] for _ in subjects]
    for (place, *_), answer in zip(queries, nearest, strict=True):
        answers[place] = answer
    return answers


def _vector(context: Context, model: str, head: Head, subject: str, kind: Kind) -> tuple[int | None, Any]:
    if kind == "texts":
        return context.subjects.text_head(model, subject, head)
    row, vectors = context.subjects.image_heads(model, subject, [head])
    return row, None if vectors is None else vectors[0]


def _pool_rows(context: Context, model: str, pool: str) -> np.ndarray:
    """Find the rows of a pool's texts, ascending."""
    return context.store.keep(("pool", model, pool), lambda: _read_pool_rows(context, model, pool))


def _read_pool_rows(context: Context, model: str, pool: str) -> np.ndarray:
    wanted = [text for (text,) in context.rows("select text_id from pool_texts where pool = ?", pool)]
    if not wanted:
        known = [str(one) for (one,) in context.rows("select pool from pools order by pool")]
        raise ClipdbError(f"no pool {pool!r} in this index: it has {', '.join(known) or 'none'}")
    ids = context.store.ids(model, "texts")
    return np.flatnonzero(np.isin(ids, np.array(wanted, dtype=np.bytes_)))
