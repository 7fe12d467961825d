"""Searches by a head's vector index: it chooses the candidates, and they are compared as every search compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from clipdb._util.half_floats import widened
from clipdb._util.notes import note
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows
from clipdb.queries.vectors.vector_columns import dense
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.schema.names import Head, head_column, head_name
from clipdb.schema.vector_indexes import AT, VectorIndex, candidates

if TYPE_CHECKING:
    import lance


def indexed(
    context: Context,
    model: str,
    head: Head,
    index: VectorIndex,
    subject: Kind,
    query: np.ndarray | None,
    row: int | None,
    k: int,
) -> Rows:
    """Return the rows ``(id, score, rank)`` that are nearest to a vector by cosine, of those that the index finds.

    Parameters
    ----------
    subject
        What the vector is of.
    query
        The vector ``[head_dim]``; None where there is none.
    row
        The image that it is itself, which is left out.
    """
    size = 0.0 if query is None else float(np.linalg.norm(query))
    if query is None or not size > 0:
        return []
    nprobes = index.nprobes if subject == "images" or index.text_nprobes is None else index.text_nprobes
    table, column = cast("lance.LanceDataset", context.store.table(model, "images")), head_column(*head)
    found = candidates(table, column, index, query, k + 1, nprobes, ["image_id"])
    ids, vectors = found.column("image_id").to_pylist(), widened(dense(found.column(column)))
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = vectors @ query / np.linalg.norm(vectors, axis=1) / np.float32(size)
    itself = None if row is None or subject == "texts" else context.store.ids(model, "images")[row].decode()
    rows = sorted(
        (-score, one) for score, one in zip(scores.tolist(), ids, strict=True) if score == score and one != itself
    )
    return [(one, -score, rank) for rank, (score, one) in enumerate(rows[:k], start=1)]


def note_index(context: Context, model: str, head: Head, index: VectorIndex, subject: Kind) -> None:
    """Say once of each head that its neighbours come from an index, and how many of them it finds."""
    if (model, head) not in context.noted:
        context.noted.add((model, head))
        recall = index.recall if subject == "images" or index.text_recall is None else index.text_recall
        note(
            f"note: a vector index of {head_name(*head)} chose the images, recall@{AT} {recall:.3f}; "
            "with exact, every image is compared",
            warns=False,
        )
