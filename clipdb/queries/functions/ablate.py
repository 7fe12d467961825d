"""Zero-shot accuracy before and after heads' contributions are taken off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import (
    NOTE,
    Remainder,
    Removal,
    choose_heads,
    have_vectors,
    random_sets,
    require_means,
)
from clipdb.queries.functions.base.classification import LABEL, Task, note_weak, read_task
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import in_partition_of
from clipdb.queries.functions.base.table_function import Rows, table_function

MODES = ("zero", "mean")
REMAINDERS = ("keep", "mean")
ALL, CLASS, GROUP, WORST = "all", "class", "group", "worst group"


@table_function(
    part="VARCHAR",
    name="VARCHAR",
    images="BIGINT",
    before="DOUBLE",
    after="DOUBLE",
    control="DOUBLE",
    control_low="DOUBLE",
    control_high="DOUBLE",
    removed="INTEGER",
    note="VARCHAR",
)
def ablate(
    context: Context,
    model: str | None,
    heads: str | None = None,
    property: str | None = None,
    layers: str | None = None,
    labeller: str | None = None,
    mode: str = "zero",
    target: str = LABEL,
    template: str = "a photo of a {}",
    groups: str | None = None,
    control: int = 5,
    seed: int = 0,
    partition: str | None = None,
    ccs: str | None = None,
    judge: str | None = None,
    remainder: str = "keep",
) -> Rows:
    """Classify images with all contributions, less those of some heads, and less those of random sets of as many.

    A head's share is taken away from the scores (Gandelsman et al., arXiv 2310.05916, section 3.2): all of it, or, with
    mode ``mean``, down to that of the head's mean. The model doesn't run, and nothing is renormalised: these are direct
    effects, and what the heads do through later layers stays.

    Parameters
    ----------
    heads, property, layers, labeller, partition, ccs, judge
        The set: see `clipdb.queries.functions.base.ablation.choose_heads`.
    mode
        ``zero`` or ``mean``.
    remainder
        ``keep`` all that isn't a head with vectors, or replace it by its ``mean``, here and in the random sets: see
        `clipdb.queries.functions.base.ablation.Remainder`. Then the set may be empty.
    target, template, groups
        The task: see `clipdb.queries.functions.base.classification.read_task`.
    control
        How many random sets.
    seed
        Decides them.

    Returns
    -------
    list
        All images, then each class, each group where ``groups`` is given, and the group of the lowest accuracy.
        ``control`` is the mean of the random sets' accuracies, the next two the lowest and the highest.

    Raises
    ------
    ClipdbError
        If something asked for is not there, or no set of heads is given.
    """
    model = context.model(model)
    if mode not in MODES:
        raise ClipdbError(f"mode is {mode!r}: it is one of {', '.join(MODES)}")
    if control < 0:
        raise ClipdbError(f"control is {control}: 0 or more random sets can be drawn")
    if remainder not in REMAINDERS:
        raise ClipdbError(f"remainder is {remainder!r}: it is one of {', '.join(REMAINDERS)}")
    replaced = remainder == "mean"
    if any(one is not None for one in (heads, property, layers, labeller, ccs)):
        chosen = choose_heads(context, model, heads, property, layers, labeller, partition, ccs, judge)
        every = in_partition_of(context.store.heads(model), chosen)
    elif replaced:
        chosen, every = [], choose_heads(context, model, partition=partition)
    else:
        raise ClipdbError("no heads to drop: choose them by heads, property, layers, labeller or ccs")
    sets = [chosen, *random_sets(every, chosen, control, seed)]
    involved = sorted({head for one in sets for head in one} | set(every if replaced else ()))
    if mode == "mean" or replaced:
        require_means(context, model, involved)
    task = read_task(context, model, target, template, groups, have_vectors(context, model, involved))
    task = task.only(context.store.in_table_order(model, task.rows))
    removals = [Removal(context, task, one, mode == "mean") for one in sets]
    right = count_right(context, task, removals, Remainder(context, task, every) if replaced else None)
    note_weak(task, float(right[0].sum() / len(task.rows)))
    return [(*row, len(chosen), NOTE) for row in _rows(task, right, groups is not None)]


def count_right(
    context: Context, task: Task, removals: Sequence[Removal], remainder: Remainder | None = None
) -> np.ndarray:
    """Count the images classified rightly, as they are and after each removal: ``[1 + removals, groups]``.

    Where a remainder is given, the removals are made with it replaced.
    """
    embeddings = context.store.embeddings(task.model, "images")
    heads = sorted({head for removal in removals for head in removal.heads} | set(remainder.heads if remainder else ()))
    right = np.zeros((1 + len(removals), len(task.groups)))
    for part, whole, without in task.chunks():
        rows = task.rows[part]
        vectors = context.store.block(task.model, heads, rows)
        np.matmul(embeddings[rows], task.texts.T, out=whole)
        right[0] += task.correct(part, whole)
        if remainder is not None:
            whole = remainder.scores(vectors)
        for place, removal in enumerate(removals, start=1):
            removal.subtract(vectors, whole, out=without)
            right[place] += task.correct(part, without)
    return right


def _rows(task: Task, right: np.ndarray, grouped: bool) -> list[tuple[object, ...]]:
    sizes = np.bincount(task.group, minlength=len(task.groups))
    classes = np.zeros(len(task.groups), int)
    classes[task.group] = task.truth
    by_class = np.stack([np.bincount(classes, weights=one, minlength=len(task.classes)) for one in right])
    class_sizes = np.bincount(task.truth, minlength=len(task.classes))
    by_group = right / sizes
    rows = [_row(ALL, None, len(task.rows), right.sum(axis=1) / len(task.rows))]
    rows += [
        _row(CLASS, name, size, accuracy)
        for name, size, accuracy in zip(task.classes, class_sizes, (by_class / class_sizes).T, strict=True)
    ]
    if grouped:
        rows += [_row(GROUP, name, size, one) for name, size, one in zip(task.groups, sizes, by_group.T, strict=True)]
    worst = by_group.argmin(axis=1)[:2]
    name = " -> ".join(dict.fromkeys(task.groups[one] for one in worst))
    return [*rows, _row(WORST, name, sizes[worst[1]], by_group.min(axis=1))]


def _row(part: str, name: str | None, images: int, accuracy: np.ndarray) -> tuple[object, ...]:
    before, after, *control = (float(one) for one in accuracy)
    spread = (sum(control) / len(control), min(control), max(control)) if control else (None, None, None)
    return part, name, int(images), before, after, *spread


FUNCTION = ablate
