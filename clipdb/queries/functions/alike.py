"""How much the heads of a model resemble each other, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_pairs import check_images, head_pairs, pair_rows
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import head_name, parse_head

COLUMNS = ("overlap", "cka", "explained", "images")


@table_function(head="VARCHAR", other="VARCHAR", overlap="DOUBLE", cka="DOUBLE", explained="DOUBLE", images="BIGINT")
def alike(context: Context, model: str | None, head: Sequence[str | None] = (None,), images: int = 10000) -> list[Rows]:
    """Compare heads, each with every other of its model.

    Parameters
    ----------
    head
        One head with all others, or every head where it is None.
    images
        Vectors are compared over so many images, those of the lowest ids, which are hashes: a fixed random sample. 0
        stands for all.

    Returns
    -------
    list
        For each head ``(head, other, overlap, cka, explained, images)``: explained is the share of head's variance
        that is linear in other's vectors. Images without a vector of both heads are left out.
    """
    model = context.model(model)
    keys = [None if one is None else parse_head(one) for one in head]
    for key in keys:
        if key is not None:
            context.store.require_head(model, key)
    wanted = None if None in keys else [key for key in keys if key is not None]
    pairs = head_pairs(context, model, model, check_images(images), wanted)
    rows = [row for row in pair_rows(pairs, COLUMNS) if row[0] != row[1]]
    names = [key and head_name(*key) for key in keys]
    return [[row for row in rows if name is None or row[0] == name] for name in names]


FUNCTION = alike
