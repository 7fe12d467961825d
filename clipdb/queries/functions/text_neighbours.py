"""The images nearest to a text in what a head writes."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_search import search
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def text_neighbours(
    context: Context,
    model: str | None,
    head: str,
    text: Sequence[str],
    k: int = 10,
    measure: str = "cosine",
    exact: bool = False,
) -> list[Rows]:
    """Find the images nearest to a text in what a head writes.

    A vector index of the head is used where there is one, for cosines, unless `exact` is true: then every image is
    compared. Scores are exact either way.
    """
    return search(context, model, head, text, k, measure, exact=exact, subject="texts", target="images")


FUNCTION = text_neighbours
