"""The images that activate a head most, and those that do least."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_statistics import head_moments
from clipdb.queries.functions.base.similarity import best, check_k, lengths
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import Head, head_name, parse_head


@table_function(side="VARCHAR", rank="INTEGER", image_id="VARCHAR", score="FLOAT")
def activating(
    context: Context, model: str | None, head: str, text: str | None = None, span: int | None = None, k: int = 10
) -> Rows:
    """Find the images that activate a head most and least.

    The score is ||y - m||, the length of what the head adds to its mean m; along a text or a span, it is
    <y - m, Q^T t>, the head's share of cos(image, text) less its mean share.

    Parameters
    ----------
    text
        Along this text; one that the index lacks goes through the model.
    span
        Along the head's span of this rank, counted from 1.
    k
        How many images of either kind.

    Returns
    -------
    list
        ``(side, rank, image_id, score)``, side ``most`` or ``least``, ranks from 1; equal scores in order of id.

    Raises
    ------
    ClipdbError
        If k is below 1, there is a text and a span, or no such head or span.
    """
    check_k(k)
    if text is not None and span is not None:
        raise ClipdbError("both a text and a span are given: choose one to look along")
    name, key = context.model(model), parse_head(head)
    context.store.require_head(name, key)
    vectors = context.store.head(name, "images", key)
    if span is not None:
        text = _span(context, name, key, span)
    centre = head_moments(context, name, key).mean
    if text is None:
        scores = lengths(vectors, centre.astype(np.float32))
    else:
        direction = context.heads(name).bases[key].T @ context.subjects.text(name, text).embedding
        scores = vectors @ direction - float(centre @ direction)
    ids = context.store.ids(name, "images")
    most = [("most", rank, image, score) for image, score, rank in best(ids, scores, k)]
    return most + [("least", rank, image, -score) for image, score, rank in best(ids, -scores, k)]


def _span(context: Context, model: str, head: Head, rank: int) -> str:
    query = "select rank, text from head_spans where (model_id, layer, head) = (?, ?, ?)"
    spans = {place: text for place, text in context.rows(query, model, *head)}
    if rank not in spans:
        raise ClipdbError(
            f"{head_name(*head)} has no span {rank}: it has spans 1 to {len(spans)}"
            if spans
            else f"{head_name(*head)} has no spans yet: run `clipdb span`",
            kind="absent",
        )
    return str(spans[rank])


FUNCTION = activating
