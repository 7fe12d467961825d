"""The texts nearest to an image in what a head writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_search import search
from clipdb.queries.functions.base.table_function import Rows, table_function


class Call(NamedTuple):
    """An image and a head."""

    model: str | None
    head: str
    image: str
    k: int = 10
    measure: str = "cosine"
    pool: str | None = None


@table_function(Call, text_id="VARCHAR", score="FLOAT", rank="INTEGER")
def image_texts(context: Context, calls: Sequence[Call]) -> list[Rows]:
    """Find the texts nearest to an image in what a head writes, all or those of a pool."""
    return search(context, calls, subject="images", target="texts")


FUNCTION = image_texts
