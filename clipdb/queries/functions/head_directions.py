"""The directions of heads, with the texts that they are made of and the images at both ends."""

from __future__ import annotations

import json

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.resolve import one_model
from clipdb.schema.names import head_name, parse_head

_MODELS = "select distinct model_id from directions order by model_id"
_DIRECTIONS = """
select layer, head, source, pool, direction, share, stability, texts::varchar, fit, opposite::varchar, opposite_fit,
    vector
from directions
where model_id = ? and ? in (layer * 100000 + head, -1) and coalesce(source = ?, true) and coalesce(pool = ?, true)
order by layer, head, source desc, pool, direction
"""


@table_function(
    layer="INTEGER",
    head="VARCHAR",
    source="VARCHAR",
    pool="VARCHAR",
    direction="INTEGER",
    share="DOUBLE",
    stability="DOUBLE",
    texts="VARCHAR",
    fit="DOUBLE",
    highest="VARCHAR",
    opposite="VARCHAR",
    opposite_fit="DOUBLE",
    lowest="VARCHAR",
)
def head_directions(
    context: Context, model: str | None, head: str | None = None, source: str | None = None, pool: str | None = None
) -> Rows:
    """List the directions of heads, as the relation directions has them, with an image at either end.

    Parameters
    ----------
    head
        One head; all of the model where it is None.
    source
        ``weights`` or ``principal``; both where it is None.
    pool
        Only those made of this pool's texts.

    Returns
    -------
    list
        texts and opposite are the texts of the two ends with their weights, in words. highest and lowest are the images
        whose head vectors y have the largest and the smallest ``<Q y, v>`` with the direction v; null where the head
        has no vectors of images.

    Raises
    ------
    ClipdbError
        If there are no directions, or none of this model, or source is none.
    """
    if source not in (None, "weights", "principal"):
        raise ClipdbError(f"source is {source!r}: it is weights or principal")
    known = [str(name) for (name,) in context.rows(_MODELS)]
    if not known:
        raise ClipdbError("this index has no directions yet: run `clipdb span --from weights`", kind="absent")
    model, key = one_model(known, model), parse_head(head) if head is not None else None
    store = context.store
    stored = set(store.heads(model)) if model in store.models("images") else set()
    number = -1 if key is None else key[0] * 100000 + key[1]
    rows = []
    for row in context.rows(_DIRECTIONS, model, number, source, pool):
        layer, at, kind, of_pool, place, share, stability, texts, fit, opposite, opposite_fit, vector = row
        this = (int(str(layer)), int(str(at)))
        highest = lowest = None
        if this in stored:
            along = context.heads(model).bases[this].T @ np.asarray(vector, np.float32)
            scores = store.head(model, "images", this) @ along
            if not np.isnan(scores).all():
                ids = store.ids(model, "images")
                highest, lowest = (ids[pick(scores)].decode() for pick in (np.nanargmax, np.nanargmin))
        ends = (_words(str(texts)), fit, highest, _words(str(opposite)), opposite_fit, lowest)
        rows.append((this[0], head_name(*this), kind, of_pool, place, share, stability, *ends))
    return rows


def _words(texts: str) -> str:
    return ", ".join(f"{one['text']} {one['weight']:.2f}" for one in json.loads(texts))


FUNCTION = head_directions
