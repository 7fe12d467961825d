"""Searches by the vector index of several heads together: it chooses the images, and all heads compare those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from clipdb._util.notes import note
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.property_scan import best_rows, exact_cosines
from clipdb.queries.functions.base.property_search import Question
from clipdb.queries.functions.base.table_function import Rows
from clipdb.queries.vectors.property_indexes import fits, known_property_indexes
from clipdb.schema.image_codes import turn
from clipdb.schema.names import Head
from clipdb.schema.property_index import Part, PropertyIndex, candidates
from clipdb.schema.vector_indexes import AT

_CENTRES = "select centre from property_index_parts where model_id = ? and heads = ? order by part"
_PART = (  # DuckDB reads of a list of parts all of the table
    "select centre, rows, codes, scales, offsets from property_index_parts "
    "where model_id = ? and heads = ? and part = ?"
)


@dataclass(frozen=True)
class Found:
    """The vector index over some heads together, or None, and the centres ``[P, embed_dim]`` of its parts."""

    index: PropertyIndex | None
    centres: np.ndarray

    @property
    def nbytes(self) -> int:
        """How much it takes in memory."""
        return self.centres.nbytes


def property_index(context: Context, model: str, heads: Sequence[Head]) -> Found:
    """Return the vector index over just these heads, if they have one that fits the table of vectors."""

    def find() -> Found:
        table = context.store.table(model, "images")
        for index in known_property_indexes(context.rows, table, model):
            if index.heads == tuple(heads) and fits(index, table):
                centres = [centre for (centre,) in context.rows(_CENTRES, model, index.name)]
                return Found(index, np.array(centres, np.float32))
        return Found(None, np.empty((0, 0), np.float32))

    return context.store.keep(("property index", model, tuple(heads)), find)


def nearest_of_index(
    context: Context, model: str, found: Found, query: Sequence[np.ndarray], row: int | None, k: int
) -> Rows:
    """Return the rows ``(id, score, rank)`` of the k images that are most like a query over the heads of an index.

    Parameters
    ----------
    found
        The index.
    query
        The query's vectors, ``[head_dim]`` by head.
    row
        The image that it is itself, which is left out.
    """
    index, centres = found.index, found.centres
    assert index is not None
    store, asked = context.store, Question.of(context, model, query, index.heads, "joint")
    size = np.linalg.norm(asked.whole)
    if not size > 0:
        return []

    def parts(numbers: list[int]) -> list[Part]:
        rows = (context.rows(_PART, model, index.name, number)[0] for number in numbers)
        return [Part.stored(*cast(Any, one)) for one in rows]

    by_table = store.by_table(model)
    chosen = candidates(index, centres, asked.whole / size @ turn(len(asked.whole)), k + 1, parts)
    rows = np.sort(by_table[np.concatenate([chosen, np.arange(index.images, len(by_table))])])
    return best_rows(context, model, rows, exact_cosines(context, model, asked, rows), k, row)


def note_property_index(context: Context, model: str, name: str, index: PropertyIndex) -> None:
    """Say once of each property that an index chose the images, and how many of them it finds."""
    if (model, index.heads) not in context.noted:
        context.noted.add((model, index.heads))
        note(
            f"note: a vector index of {name} chose the images, recall@{AT} {index.recall:.3f}; "
            "with exact, every image is compared",
            warns=False,
        )
