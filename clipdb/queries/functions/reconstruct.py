"""Zero-shot accuracy with heads replaced by what their spans hold of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import NOTE, Removal, choose_heads, have_vectors, require_means
from clipdb.queries.functions.base.classification import LABEL, Task, read_task, text_embeddings
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import Head

_DEPENDENT = 1e-6  # of a direction's length: what is left under this is rounding, and the direction adds nothing


@table_function(
    spans="INTEGER",
    accuracy="DOUBLE",
    worst="DOUBLE",
    whole="DOUBLE",
    whole_worst="DOUBLE",
    variance="DOUBLE",
    images="BIGINT",
    replaced="INTEGER",
    note="VARCHAR",
)
def reconstruct(
    context: Context,
    model: str | None,
    heads: str | None = None,
    property: str | None = None,
    layers: str | None = None,
    labeller: str | None = None,
    pool: str | None = None,
    target: str = LABEL,
    template: str = "a photo of a {}",
    groups: str | None = None,
    partition: str | None = None,
) -> Rows:
    """Classify images with heads replaced by their projection on their first m spans, for every m.

    A head's vector y becomes ``mean + P_m (y - mean)``, with P_m the projection on the first m texts that TEXTSPAN
    picked for it (arXiv 2310.05916, section 4.2 and Algorithm 1): at m = 0 its mean, with spans that fill its space y
    itself. The other heads and the rest stay as they are, and the model doesn't run.

    Parameters
    ----------
    heads, property, layers, labeller, partition
        Whose vectors are replaced, by default all heads that have spans: see
        `clipdb.queries.functions.base.ablation.choose_heads`.
    pool
        Whose spans; needed where the model has spans from several.
    target, template, groups
        The task: see `clipdb.queries.functions.base.classification.read_task`.

    Returns
    -------
    list
        One row per m = 0, 1, ...: ``worst`` is the accuracy of the worst group, ``whole`` and ``whole_worst`` what the
        two are with the heads as they are, and ``variance`` the share of the heads' variance that m spans explain, on
        average.

    Raises
    ------
    ClipdbError
        If something asked for is not there, or the model has no spans.
    """
    model = context.model(model)
    spans = _read_spans(context, model, pool)
    everything = heads is None and property is None and layers is None and labeller is None
    chosen = choose_heads(context, model, heads, property, layers, labeller, partition)
    if everything:
        chosen = [head for head in chosen if head in spans]
    if without := [head for head in chosen if head not in spans]:
        raise ClipdbError(f"{len(without)} of these heads have no spans: run `clipdb span`", kind="absent")
    require_means(context, model, chosen)
    task = read_task(context, model, target, template, groups, have_vectors(context, model, chosen))
    task = task.only(context.store.in_table_order(model, task.rows))
    right = _count_right(context, task, chosen, spans)
    sizes = np.bincount(task.group, minlength=len(task.groups))
    accuracy, worst = right.sum(axis=1) / len(task.rows), (right / sizes).min(axis=1)
    variance = _variance(chosen, spans, len(right) - 2)
    return [
        (
            m,
            *map(float, (accuracy[m + 1], worst[m + 1], accuracy[0], worst[0])),
            variance[m],
            len(task.rows),
            len(chosen),
            NOTE,
        )
        for m in range(len(right) - 1)
    ]


Spans = dict[Head, list[tuple[str, float | None]]]


def _read_spans(context: Context, model: str, pool: str | None) -> Spans:
    """Read each head's spans by rank: text, and the variance explained so far."""
    pools = [
        str(one) for (one,) in context.rows("select distinct pool from spans where model_id = ? order by 1", model)
    ]
    if not pools:
        raise ClipdbError(f"{model} has no spans yet: run `clipdb span`")
    if pool is None and len(pools) > 1:
        raise ClipdbError(f"{model} has spans from several pools: choose one with --pool ({', '.join(pools)})")
    if pool is not None and pool not in pools:
        raise ClipdbError(f"{model} has no spans from the pool {pool!r}: it has {', '.join(pools)}")
    rows: list[tuple[Any, ...]] = context.rows(
        "select layer, head, text, cumulative_variance from spans where model_id = ? and pool = ? "
        "order by layer, head, rank",
        model,
        pool or pools[0],
    )
    spans: Spans = {}
    for layer, head, text, cumulative in rows:
        spans.setdefault((layer, head), []).append((text, cumulative))
    return spans


def _count_right(context: Context, task: Task, heads: Sequence[Head], spans: Spans) -> np.ndarray:
    """Count right answers ``[2 + most spans, groups]``: of whole heads, then with 0, 1, ... spans of each."""
    known, store = context.heads(task.model), context.store
    texts = sorted({text for head in heads for text, _ in spans[head]})
    directions = dict(zip(texts, text_embeddings(context, task.model, texts), strict=True))
    most = max(len(spans[head]) for head in heads)
    bases = []
    for head in heads:
        picked = np.stack([directions[text] for text, _ in spans[head]]) @ known.bases[head]
        bases.append(orthonormal(picked, most).astype(np.float32))
    # Each further span adds, for each head, one coordinate of an image times one of a class.
    by_class = np.stack([u @ (task.texts @ known.bases[head]).T for head, u in zip(heads, bases, strict=True)], axis=1)
    embeddings = store.embeddings(task.model, "images")
    removal = Removal(context, task, heads, mean=True)
    right = np.zeros((2 + most, len(task.groups)))
    for part, whole, scores in task.chunks():
        rows = task.rows[part]
        np.matmul(embeddings[rows], task.texts.T, out=whole)
        right[0] += task.correct(part, whole)
        vectors = store.block(task.model, heads, rows)
        removal.subtract(vectors, whole, out=scores)
        right[1] += task.correct(part, scores)
        by_image = np.stack([(vectors[head] - known.means[head]) @ u.T for head, u in zip(heads, bases, strict=True)])
        for m in range(most):
            scores += by_image[:, :, m].T @ by_class[m]
            right[2 + m] += task.correct(part, scores)
    return right


def orthonormal(directions: np.ndarray, count: int) -> np.ndarray:
    """Make directions orthonormal in their order, so that the first m span what the first m did.

    Parameters
    ----------
    directions
        ``[m, k]``; one that depends on those before it becomes zero.
    count
        How many rows to return; zeros follow the last direction.

    Returns
    -------
    numpy.ndarray
        float64 ``[count, k]``.
    """
    basis = np.zeros((count, directions.shape[1]))
    for place, direction in enumerate(directions.astype(np.float64)):
        left = direction
        for _ in range(2):  # once more, since the first pass leaves its rounding behind
            left = left - basis.T @ (basis @ left)
        length = np.linalg.norm(left)
        if length > _DEPENDENT * np.linalg.norm(direction):
            basis[place] = left / length
    return basis


def _variance(heads: Sequence[Head], spans: Spans, most: int) -> list[float | None]:
    """Average the share of variance explained by the first 0, 1, ... spans; None where spans were imported without."""
    means: list[float | None] = [0.0]
    for m in range(most):
        shares = [spans[head][min(m, len(spans[head]) - 1)][1] for head in heads]
        known = [share for share in shares if share is not None]
        means.append(sum(known) / len(known) if len(known) == len(shares) else None)
    return means


FUNCTION = reconstruct
