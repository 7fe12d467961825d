"""How much the heads of one model resemble those of another."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.models.head_similarity import Similarity
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_pairs import PAIR_COLUMNS, check_images, head_pairs, pair_rows
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.two_models import require_shared, two_models
from clipdb.schema.names import head_name, parse_head


@table_function(**PAIR_COLUMNS)
def match_heads(
    context: Context, a: str | None, b: str | None, head: Sequence[str | None] = (None,), images: int = 10000
) -> list[Rows]:
    """Compare heads of a model with all heads of another.

    Parameters
    ----------
    a, b
        The models; may be left out where the index has just two.
    head
        One head of a, or every head where it is None.
    images
        Vectors are compared over so many images that both have, those of the lowest ids. 0 stands for all.

    Returns
    -------
    list
        For each head of a and other of b ``(a, b, head, other, overlap, cka, explained, explained_other, distance,
        images)``, as the columns of the table head_pairs are described.
    """
    one, other = two_models(context, a, b)
    keys = [None if name is None else parse_head(name) for name in head]
    for key in keys:
        if key is not None:
            context.store.require_head(one, key)
    wanted = None if None in keys else [key for key in keys if key is not None]
    pairs = head_pairs(context, one, other, check_images(images), wanted)
    require_shared(context, one, other, pairs.found.images)
    rows = [(one, other, *row) for row in pair_rows(pairs, Similarity._fields)]
    names = [key and head_name(*key) for key in keys]
    return [[row for row in rows if name is None or row[2] == name] for name in names]


FUNCTION = match_heads
