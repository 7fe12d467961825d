"""Which images are classified rightly with all heads, without heads' contributions, and by the model without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from clipdb.api.segmenting import read_image
from clipdb.errors import ClipdbError
from clipdb.models.ablation import Edit, begin
from clipdb.queries.functions.base.ablation import Removal
from clipdb.queries.functions.base.classification import Task
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head

_AT_ONCE = 32


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
    task, unread = _readable(context, _first(task, most))
    means = _means(context, task, layers, how) if how.mean else {}
    edits = [_edits(one, means, how) for one in sets]
    causal = np.zeros((len(sets), len(task.rows)), bool)
    before = np.zeros(len(task.rows), bool)
    texts = torch.from_numpy(task.texts)
    for part, images in _batches(context, task):
        run = begin(adapter, images, layers)
        truth = torch.from_numpy(task.truth[part])
        before[part] = _right(run.embedding, texts, truth)
        for place, one in enumerate(edits):
            causal[place, part] = _right(run.without(one), texts, truth)
    return Measured(task, unread, before, _direct(context, task, sets, how.mean), causal)


def _right(embedding: torch.Tensor, texts: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    return (((embedding.cpu() @ texts.T).argmax(dim=1)) == truth).numpy()


def _direct(context: Context, task: Task, sets: Sequence[Sequence[Head]], mean: bool) -> np.ndarray:
    embeddings = context.store.embeddings(task.model, "images")
    removals = [Removal(context, task, one, mean) for one in sets]
    right = np.zeros((len(sets), len(task.rows)), bool)
    for part, whole, without in task.chunks():
        np.matmul(embeddings[task.rows[part]], task.texts.T, out=whole)
        for place, removal in enumerate(removals):
            removal.subtract(part, whole, out=without)
            right[place, part] = without.argmax(axis=1) == task.truth[part]
    return right


def _means(context: Context, task: Task, layers: Sequence[int], how: Replacement) -> dict[int, torch.Tensor]:
    """Average the outputs of the layers' heads over the images: ``[tokens, H, k]``, or ``[1, H, k]`` over all tokens."""
    adapter = context.subjects.embedder.model(task.model).adapter
    sums: dict[int, torch.Tensor] = {}
    for _, images in _batches(context, task):
        for layer, z in begin(adapter, images, layers, every_token=not how.by_token).outputs.items():
            z = z.to("cpu", torch.float64).sum(dim=0)
            sums[layer] = sums[layer] + z if layer in sums else z
    means = {layer: one / len(task.rows) for layer, one in sums.items()}
    return means if how.by_token else {layer: one.mean(dim=0, keepdim=True) for layer, one in means.items()}


def _edits(heads: Sequence[Head], means: dict[int, torch.Tensor], how: Replacement) -> dict[int, Edit]:
    edits = {}
    for layer in {layer for layer, _ in heads}:
        some = [head for at, head in heads if at == layer]
        edits[layer] = Edit(some, means[layer][:, some] if how.mean else None, how.class_token)
    return edits


def _first(task: Task, most: int | None) -> Task:
    return task if most is None else _only(task, np.arange(min(most, len(task.rows))))


def _only(task: Task, places: np.ndarray) -> Task:
    return replace(task, rows=task.rows[places], truth=task.truth[places], group=task.group[places])


def _readable(context: Context, task: Task) -> tuple[Task, int]:
    """Leave out the images that can't be read."""
    ids = context.store.ids(task.model, "images").astype(str)
    places, reasons = [], []
    for place, row in enumerate(task.rows):
        try:
            _decoded(context, task.model, ids[row])
            places.append(place)
        except ClipdbError as error:
            reasons.append(error)
    if not places:
        raise ClipdbError(f"none of the {len(reasons)} images can be read; of the first: {reasons[0]}", kind="absent")
    return _only(task, np.array(places)), len(reasons)


def _decoded(context: Context, model: str, image_id: str) -> np.ndarray:
    return context.subjects.embedder.decode(model, read_image(context, model, image_id), image_id[:12]).pixels


def _batches(context: Context, task: Task) -> Iterator[tuple[slice, torch.Tensor]]:
    model = context.subjects.embedder.model(task.model)
    ids = context.store.ids(task.model, "images").astype(str)
    for start in range(0, len(task.rows), _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, len(task.rows)))
        pixels = np.stack([_decoded(context, task.model, ids[row]) for row in task.rows[part]])
        yield part, model.pixels_to_input(torch.from_numpy(pixels))
