"""How much each head's output varies along a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_statistics import head_moments
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import head_name


@table_function(head="VARCHAR", explained="DOUBLE", spread="DOUBLE", mean="DOUBLE", images="BIGINT")
def text_heads(context: Context, model: str | None, text: Sequence[str]) -> list[Rows]:
    """Measure, for every head, how its shares of the cosine with a text vary over the images.

    With a = Q^T t and C the covariance of the head's vectors y, the share <y, a> has the variance a^T C a, by which
    TEXTSPAN picks its descriptions (Gandelsman et al., arXiv 2310.05916, algorithm 1); and a^T C a / (a^T a tr C) is
    the part of the head's variance that lies along the text: the variance that it would explain as a first span.

    Returns
    -------
    list
        For each text one row per head, in order: ``(head, explained, spread, mean, images)``. explained is null if the
        text has no part in the head's space, or the head does not vary.
    """
    model = context.model(model)
    embeddings = _embeddings(context, model, text).T
    rows: list[list[tuple[object, ...]]] = [[] for _ in text]
    for head in context.store.heads(model):
        directions = context.heads(model).bases[head].T.astype(np.float64) @ embeddings
        moments = head_moments(context, model, head)
        if not moments.count:
            continue
        variances = np.einsum("kt,kl,lt->t", directions, moments.covariance, directions, optimize=True)
        lengths = np.square(directions).sum(axis=0)
        means = moments.mean @ directions
        for row, variance, length, mean in zip(rows, variances, lengths, means, strict=True):
            explained = float(variance / (length * moments.total)) if length > 0 and moments.total > 0 else None
            row.append((head_name(*head), explained, float(np.sqrt(variance)), float(mean), moments.count))
    return list(rows)


def _embeddings(context: Context, model: str, texts: Sequence[str]) -> np.ndarray:
    """Return unit embeddings ``[t, D]``; known ones come from one matrix, since a whole pool may be asked for."""
    store = context.store
    rows = [context.subjects.text_row(model, text) for text in texts]
    new = [text for text, row in zip(texts, rows, strict=True) if row is None]
    embedded = {text: one.embedding for text, one in zip(new, context.subjects.texts(model, new), strict=True)}
    return np.stack(
        [
            embedded[text] if row is None else store.embeddings(model, "texts")[row]
            for text, row in zip(texts, rows, strict=True)
        ]
    )


FUNCTION = text_heads
