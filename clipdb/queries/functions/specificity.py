"""Which attribute moves a head most, when it alone changes."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.pair_movement import movements
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import head_name, parse_head

_PAIRS = "select image_a, image_b, attribute from pairs order by attribute, image_a, image_b"


@table_function(
    head="VARCHAR",
    attribute="VARCHAR",
    rank="BIGINT",
    pairs="BIGINT",
    movement="DOUBLE",
    share="DOUBLE",
    low="DOUBLE",
    high="DOUBLE",
    margin="DOUBLE",
    chance="DOUBLE",
    p="DOUBLE",
)
def specificity(context: Context, model: str | None, head: str | None = None) -> Rows:
    """Measure how far each attribute of the minimal pairs moves each head.

    Parameters
    ----------
    head
        One head; every head of the model where it is None.

    Returns
    -------
    list
        A row per head and attribute, rank 1 the attribute that moves the head most. movement is the mean of
        |y_a - y_b|^2 over the pairs that differ in the attribute, share its part of the sum of all attributes'
        movements (each counts alike, however many pairs it has), low to high the 95 % interval of a bootstrap over
        pairs. margin is movement over that of the next attribute. p is the share of 1,000 permutations of the
        attributes over the pairs that have a largest share of at least this, and chance what 5 % of them exceed. Pairs
        without vectors of a head are left out.

    Raises
    ------
    ClipdbError
        If there is no such head, or the index has no pairs, pairs of one attribute only, or none that the model has
        seen.
    """
    model = context.model(model)
    store = context.store
    heads = store.heads(model)
    if head is not None:
        wanted = parse_head(head)
        store.require_head(model, wanted)
        heads = [wanted]
    pairs = [tuple(map(str, row)) for row in context.rows(_PAIRS)]
    if not pairs:
        raise ClipdbError("the index has no minimal pairs: run `clipdb ingest pairs FILE`", kind="absent")
    attributes = sorted({attribute for _, _, attribute in pairs})
    if len(attributes) < 2:
        raise ClipdbError(
            f"all pairs differ in {attributes[0]!r}: add pairs that differ in another attribute, to compare with"
        )
    places = [(store.position(model, "images", a), store.position(model, "images", b), c) for a, b, c in pairs]
    seen = [(a, b, attributes.index(attribute)) for a, b, attribute in places if a is not None and b is not None]
    if not seen:
        raise ClipdbError(f"{model} has no vectors of the images of pairs: ingest them with it", kind="absent")
    one, other, of_pair = np.array(seen).T
    rows = []
    for key in heads:
        vectors = store.head(model, "images", key)
        distances = np.square((vectors[one] - vectors[other]).astype(np.float64)).sum(axis=1)
        there = ~np.isnan(distances)
        found = movements(distances[there], attributes, of_pair[there])
        for place, this in enumerate(found):
            after = found[place + 1].movement if place + 1 < len(found) else 0
            margin = this.movement / after if after > 0 else None
            ends = (this.share, this.low, this.high, margin, this.chance, this.p)
            rows.append((head_name(*key), this.attribute, place + 1, this.pairs, this.movement, *ends))
    return rows


FUNCTION = specificity
