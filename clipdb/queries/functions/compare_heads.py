"""Two models' heads side by side: each head of one with the head of the other that stands in its place."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.models.head_similarity import Similarity
from clipdb.queries.functions.base.assignment import assign
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_pairs import PAIR_COLUMNS, Pairs, check_images, head_pairs, pair_rows
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.two_models import require_shared, two_models
from clipdb.schema.names import head_name

ALIGNMENTS = ("auto", "position", "assignment")
_SHAPE = "select layers, heads, head_dim, width from models where model_id in (?, ?)"


@table_function(**PAIR_COLUMNS, aligned="VARCHAR")
def compare_heads(context: Context, a: str | None, b: str | None, by: str = "auto", images: int = 10000) -> Rows:
    """Compare two models head by head.

    Parameters
    ----------
    a, b
        The models; may be left out where the index has just two.
    by
        ``position`` pairs heads of the same layer and number, ``assignment`` those that resemble each other most: each
        head at most once, with the largest sum of linear CKA. ``auto`` is by position where both models have the
        same numbers of layers and heads and the same sizes, else by assignment.
    images
        Vectors are compared over so many images that both have, those of the lowest ids. 0 stands for all.

    Returns
    -------
    list
        For each pair ``(a, b, head, other, overlap, cka, explained, explained_other, distance, images, aligned)``, as
        the columns of the table head_pairs are described; then heads that are left over, of a with a null other, of b
        with a null head.
    """
    one, other = two_models(context, a, b)
    if by not in ALIGNMENTS:
        raise ClipdbError(f"{by!r} is no alignment: take {', '.join(ALIGNMENTS)}")
    if by == "auto":
        by = "position" if len(set(context.rows(_SHAPE, one, other))) == 1 else "assignment"
    pairs = head_pairs(context, one, other, check_images(images))
    if by == "assignment":
        require_shared(context, one, other, pairs.found.images)
    places = _by_position(pairs) if by == "position" else _by_assignment(pairs)
    nothing = (None,) * len(Similarity._fields)
    paired, taken = {at for at, _ in places}, {to for _, to in places}
    lone = [(head_name(*head), None) for at, head in enumerate(pairs.heads) if at not in paired]
    lone_others = [(None, head_name(*head)) for to, head in enumerate(pairs.others) if to not in taken]
    return [
        *((one, other, *row, by) for row in pair_rows(pairs, Similarity._fields, places)),
        *((one, other, *names, *nothing, by) for names in (*lone, *lone_others)),
    ]


def _by_position(pairs: Pairs) -> list[tuple[int, int]]:
    others = {head: place for place, head in enumerate(pairs.others)}
    return [(place, others[head]) for place, head in enumerate(pairs.heads) if head in others]


def _by_assignment(pairs: Pairs) -> list[tuple[int, int]]:
    """Pair heads by the largest sum of CKA; heads that don't vary, and so have none, are left over."""
    cka = pairs.found.cka
    return [(at, to) for at, to in assign(np.nan_to_num(cka)) if not np.isnan(cka[at, to])]


FUNCTION = compare_heads
