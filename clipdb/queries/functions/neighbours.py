"""The images nearest to an image in what a head writes."""

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


@table_function(Call, image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def neighbours(context: Context, calls: Sequence[Call]) -> list[Rows]:
    """Find the images nearest to an image in what a head writes, itself left out."""
    return search(context, calls, subject="images", target="images")


FUNCTION = neighbours
