"""Table functions in SQL over the vectors: one module each, registered on every connection that reads vectors."""

from __future__ import annotations

from itertools import count

import duckdb

from clipdb.queries.functions import (
    ablate,
    activating,
    alike,
    contributions,
    embedding_neighbours,
    image_texts,
    neighbours,
    outliers,
    property_neighbours,
    reconstruct,
    text_heads,
    text_neighbours,
    text_texts,
)
from clipdb.queries.functions.base.context import Context

FUNCTIONS = (
    neighbours.NEIGHBOURS,
    text_neighbours.TEXT_NEIGHBOURS,
    image_texts.IMAGE_TEXTS,
    text_texts.TEXT_TEXTS,
    property_neighbours.PROPERTY_NEIGHBOURS,
    embedding_neighbours.EMBEDDING_NEIGHBOURS,
    contributions.CONTRIBUTIONS,
    ablate.ABLATE,
    reconstruct.RECONSTRUCT,
    alike.ALIKE,
    activating.ACTIVATING,
    outliers.OUTLIERS,
    text_heads.TEXT_HEADS,
)
NAMES = tuple(function.name for function in FUNCTIONS)

_openings = count()


def register(connection: duckdb.DuckDBPyConnection, context: Context) -> None:
    """Give a connection all table functions; they vanish with it."""
    opened = next(_openings)
    for function in FUNCTIONS:
        function.register(connection, context, opened)
