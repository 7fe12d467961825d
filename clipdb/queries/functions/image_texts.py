"""The texts nearest to an image in what a head writes."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_search import search
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(text_id="VARCHAR", score="FLOAT", rank="INTEGER")
def image_texts(
    context: Context,
    model: str | None,
    head: str,
    image: Sequence[str],
    k: int = 10,
    measure: str = "cosine",
    pool: str | None = None,
) -> list[Rows]:
    """Find the texts nearest to an image in what a head writes, all or those of a pool."""
    return search(context, model, head, image, k, measure, pool, subject="images", target="texts")


FUNCTION = image_texts
