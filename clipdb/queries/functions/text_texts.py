"""The texts nearest to a text in what a head writes."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_search import search
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(text_id="VARCHAR", score="FLOAT", rank="INTEGER")
def text_texts(
    context: Context,
    model: str | None,
    head: str,
    text: Sequence[str],
    k: int = 10,
    measure: str = "cosine",
    pool: str | None = None,
) -> list[Rows]:
    """Find the texts nearest to a text in what a head writes, all or those of a pool, itself left out."""
    return search(context, model, head, text, k, measure, pool, subject="texts", target="texts")


FUNCTION = text_texts
