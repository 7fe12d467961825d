"""Which images are classified rightly with all heads, without heads' contributions, and by the model without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clipdb.api.index_images import IndexImages, head_means
from clipdb.errors import ClipdbError
from clipdb.models.ablation import Edit, begin
from clipdb.queries.functions.base.ablation import Removal
from clipdb.queries.functions.base.classification import Task
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head


@dataclass(frozen=True)
class Replacement:
    """What takes the place of a head's output: its mean, by token or over all, or nothing; at the class token only?"""

    mean: bool
    by_token: bool
    class_token: bool


@dataclass(frozen=True, eq=False)
class Measured:
    """Which images were classified rightly.

    Attributes
    ----------
    task
        The images that could be read.
    unread
        How many could not.
    before
        With all heads: bool ``[images]``.
    direct, causal
        Without each set: bool ``[sets, images]``.
    """

    task: Task
    unread: int
    before: np.ndarray
    direct: np.ndarray
    causal: np.ndarray


def measure(
    context: Context, task: Task, sets: Sequence[Sequence[Head]], how: Replacement, most: int | None
) -> Measured:
    """Run the model over a task's images, once for the means and once with all sets.

    Raises
    ------
    ClipdbError
        If no image can be read, the weights can't be had, or the tower's heads can't be replaced so.
    """
    adapter = context.subjects.embedder.model(task.model).adapter
    if how.class_token and "class token" not in adapter.other_tokens:
        raise ClipdbError(f"{task.model} has no class token: ablate its heads at all tokens")
    layers = sorted({layer for one in sets for layer, _ in one})
    task = _first(task, most)
    pictures = IndexImages(context, task.model, task.rows)
    task = task.only(pictures.places)
    means = head_means(adapter, pictures, layers, how.by_token) if how.mean else {}
    edits = [_edits(one, means, how) for one in sets]
    causal = np.zeros((len(sets), len(task.rows)), bool)
    before = np.zeros(len(task.rows), bool)
    texts = torch.from_numpy(task.texts)
    for part, images in pictures.batches():
        run = begin(adapter, images, layers)
        truth = torch.from_numpy(task.truth[part])
        before[part] = _right(run.embedding, texts, truth)
        for place, one in enumerate(edits):
            causal[place, part] = _right(run.without(one), texts, truth)
    return Measured(task, pictures.unread, before, _direct(context, task, sets, how.mean), causal)


def _right(embedding: torch.Tensor, texts: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    return (((embedding.cpu() @ texts.T).argmax(dim=1)) == truth).numpy()


def _direct(context: Context, task: Task, sets: Sequence[Sequence[Head]], mean: bool) -> np.ndarray:
    embeddings = context.store.embeddings(task.model, "images")
    removals = [Removal(context, task, one, mean) for one in sets]
    heads = sorted({head for one in sets for head in one})
    right = np.zeros((len(sets), len(task.rows)), bool)
    order = context.store.in_table_order(task.model, task.rows)
    ordered = task.only(order)
    for part, whole, without in ordered.chunks():
        vectors = context.store.block(task.model, heads, ordered.rows[part])
        np.matmul(embeddings[ordered.rows[part]], task.texts.T, out=whole)
        for place, removal in enumerate(removals):
            removal.subtract(vectors, whole, out=without)
            right[place, order[part]] = without.argmax(axis=1) == ordered.truth[part]
    return right


def _edits(heads: Sequence[Head], means: dict[int, torch.Tensor], how: Replacement) -> dict[int, Edit]:
    edits = {}
    for layer in {layer for layer, _ in heads}:
        some = [head for at, head in heads if at == layer]
        edits[layer] = Edit(some, means[layer][:, some] if how.mean else None, how.class_token)
    return edits


def _first(task: Task, most: int | None) -> Task:
    return task if most is None else task.only(np.arange(min(most, len(task.rows))))
