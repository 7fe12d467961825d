"""The images nearest to a text in what a head writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_search import search
from clipdb.queries.functions.base.table_function import Rows, table_function


class Call(NamedTuple):
    """A text and a head."""

    model: str | None
    head: str
    text: str
    k: int = 10
    measure: str = "cosine"


@table_function(Call, image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def text_neighbours(context: Context, calls: Sequence[Call]) -> list[Rows]:
    """Find the images nearest to a text in what a head writes."""
    return search(context, calls, subject="texts", target="images")


FUNCTION = text_neighbours
