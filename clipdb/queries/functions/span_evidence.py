"""Which images the spans of a head find: each span's score as a ranking, against what is true of the images."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.average_precision import (
    average_precisions,
    best_first,
    best_value,
    chance_lifts,
)
from clipdb.queries.functions.base.classification import text_embeddings
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.truths import Truth, read_truths
from clipdb.schema.names import head_name, parse_head

_LEAST = 5  # images of a value: fewer are found first by chance too easily
_SPANS = "select layer, head, rank, text from head_spans where model_id = ? and rank <= ? order by layer, head, rank"


@table_function(
    head="VARCHAR",
    rank="INTEGER",
    span="VARCHAR",
    key="VARCHAR",
    value="VARCHAR",
    images="BIGINT",
    frequency="DOUBLE",
    auprc="DOUBLE",
    lift="DOUBLE",
    chance="DOUBLE",
    p="DOUBLE",
)
def span_evidence(
    context: Context, model: str | None, head: str | None = None, key: str | None = None, spans: int = 5
) -> Rows:
    """Rank images by each span's score in its head, and measure which true value the ranking finds.

    The score is <y, Q^T t>, the head's share of the image's similarity to the text.

    Parameters
    ----------
    head
        One head; every head of the model that has spans where it is None.
    key
        A key of the metadata, or ``label``; every one that groups images where it is None.
    spans
        So many first spans of each head.

    Returns
    -------
    list
        A row per span and key: of the values that five images or more have, the one that is found best, with auprc its
        area under the precision-recall curve, as average precision. frequency is the value's share of the images,
        which is also the area that a ranking at random has on average; lift is (auprc - frequency) / (1 - frequency),
        by which the best is chosen. chance is the lift that the best value exceeds in 5 % of rankings at random, and p
        the share of 200 rankings, 199 at random and this one, with a lift like this. Images with equal scores are in
        the order of their ids, which are hashes.

    Raises
    ------
    ClipdbError
        If spans is below 1, there is no such head, no such key, nothing that groups images, or no spans.

    Notes
    -----
    Images of minimal pairs (`specificity`) don't count, as in `evidence`.
    """
    if spans < 1:
        raise ClipdbError(f"spans is {spans}: measure at least 1")
    model = context.model(model)
    store, bases = context.store, context.heads(model).bases
    wanted = None if head is None else parse_head(head)
    if wanted is not None:
        store.require_head(model, wanted)
    picked = [
        ((int(str(layer)), int(str(number))), int(str(rank)), str(text))
        for layer, number, rank, text in context.rows(_SPANS, model, spans)
        if wanted in (None, (layer, number))
    ]
    known = set(store.heads(model))
    picked = [one for one in picked if one[0] in known]
    if not picked:
        raise ClipdbError(f"{head or model} has no spans yet: run `clipdb span`", kind="absent")
    truths = read_truths(context, model, key)
    chances: dict[tuple[str, bytes], np.ndarray] = {}
    rows = []
    context.subjects.note_aligner(model)
    for this, spans_of in groupby(picked, key=itemgetter(0)):
        some = list(spans_of)
        texts = text_embeddings(context, model, [text for _, _, text in some])
        scores = store.head(model, "images", this) @ (bases[this].T @ texts.T)
        for (_, rank, text), along in zip(some, np.ascontiguousarray(scores.T), strict=True):
            order = best_first(along)
            for truth in truths:
                found = _measure(truth, order, chances)
                if found is not None:
                    rows.append((head_name(*this), rank, text, truth.key, *found))
    return rows


def _measure(
    truth: Truth, order: np.ndarray, chances: dict[tuple[str, bytes], np.ndarray]
) -> tuple[str | float | int, ...] | None:
    """Return the end of a row, from its value on; None where no value has enough images."""
    ranked = truth.members[order]
    ranked = ranked[ranked >= 0]
    sizes = np.bincount(ranked, minlength=truth.values)
    areas = average_precisions(ranked, truth.values)
    best = best_value(areas, sizes, _LEAST)
    if best is None:
        return None
    value, lift = best
    drawn = (truth.key, sizes.tobytes())
    if drawn not in chances:
        chances[drawn] = chance_lifts(np.repeat(np.arange(truth.values), sizes), truth.values, _LEAST)
    by_chance = chances[drawn]
    p = (1 + int((by_chance >= lift).sum())) / (1 + len(by_chance))
    share = float(sizes[value] / sizes.sum())
    return truth.names[value], len(ranked), share, float(areas[value]), lift, float(np.quantile(by_chance, 0.95)), p


FUNCTION = span_evidence
