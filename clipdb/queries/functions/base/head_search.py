"""Searches in one head's space: of an image or a text, among images or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.indexed_search import indexed, note_index
from clipdb.queries.functions.base.similarity import check_k, check_measure, head_candidates, mean_of
from clipdb.queries.functions.base.table_function import Rows
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.schema.names import Head, parse_head


def search(
    context: Context,
    model: str | None,
    head: str,
    subjects: Sequence[str],
    k: int,
    measure: str,
    pool: str | None = None,
    *,
    exact: bool = False,
    subject: Kind,
    target: Kind,
) -> list[Rows]:
    """Return the rows ``(id, score, rank)`` nearest to each subject.

    Parameters
    ----------
    pool
        Only texts of this pool.
    exact
        Whether every row is compared, even where the head has a vector index.
    subject, target
        Whose neighbours, and what they are.

    Raises
    ------
    ClipdbError
        If something asked for is not there.
    """
    model, key = context.model(model), parse_head(head)
    check_k(k)
    check_measure(measure)
    context.store.require_head(model, key, "images")
    context.store.require_head(model, key, target)
    index = context.store.vector_index(model, key) if target == "images" and measure == "cosine" and not exact else None
    if index is not None:
        note_index(context, model, key, index, subject)
        found = [_vector(context, model, key, one, subject) for one in subjects]
        return [indexed(context, model, key, index, subject, vector, row, k) for row, vector in found]
    # Images stand off the origin by the head's mean, texts by another mean, so that `centred` takes the mean off
    # images, and off texts only where they are compared with each other (measured in docs/decisions.md).
    centre_target = target == "images" or subject == "texts"
    centre_subject = subject == "images" or target == "texts"
    rows = head_candidates(context, model, target, key, measure, centre_target)
    among = None if pool is None else _pool_rows(context, model, pool)
    offset = mean_of(context, model, subject, key) if measure == "centred" and centre_subject else None
    asked = [_vector(context, model, key, one, subject) for one in subjects]
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
        raise ClipdbError(f"no pool {pool!r} in this index: it has {', '.join(known) or 'none'}", kind="absent")
    ids = context.store.ids(model, "texts")
    return np.flatnonzero(np.isin(ids, np.array(wanted, dtype=np.bytes_)))
