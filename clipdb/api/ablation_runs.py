"""Which images are classified rightly with all heads, without heads' contributions, and by the model without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.uri import read_known
from clipdb.models.ablation import Edit, begin
from clipdb.models.tower import Adapter
from clipdb.queries.functions.base.ablation import Removal
from clipdb.queries.functions.base.classification import Task
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head

_AT_ONCE = 32
_MOST_KEPT = 1_000_000_000  # bytes of decoded images; of more, each is decoded again when it is needed again


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
    pictures = _Images(context, _first(task, most))
    task = pictures.task
    means = _means(adapter, pictures, layers, how) if how.mean else {}
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


def _means(adapter: Adapter, pictures: _Images, layers: Sequence[int], how: Replacement) -> dict[int, torch.Tensor]:
    """Average heads' outputs over the images: ``[tokens, H, k]`` by layer, or ``[1, H, k]`` over all tokens."""
    sums: dict[int, torch.Tensor] = {}
    for _, images in pictures.batches():
        for layer, z in begin(adapter, images, layers, every_token=not how.by_token).outputs.items():
            z = z.to("cpu", torch.float64).sum(dim=0)
            sums[layer] = sums[layer] + z if layer in sums else z
    means = {layer: one / len(pictures.task.rows) for layer, one in sums.items()}
    return means if how.by_token else {layer: one.mean(dim=0, keepdim=True) for layer, one in means.items()}


def _edits(heads: Sequence[Head], means: dict[int, torch.Tensor], how: Replacement) -> dict[int, Edit]:
    edits = {}
    for layer in {layer for layer, _ in heads}:
        some = [head for at, head in heads if at == layer]
        edits[layer] = Edit(some, means[layer][:, some] if how.mean else None, how.class_token)
    return edits


def _first(task: Task, most: int | None) -> Task:
    return task if most is None else task.only(np.arange(min(most, len(task.rows))))


class _Images:
    """A task's images, those that can be read: decoded once, and kept where they take little room.

    Raises
    ------
    ClipdbError
        If none can be read.
    """

    def __init__(self, context: Context, task: Task) -> None:
        self._embedder = context.subjects.embedder
        known = context.rows("select image_id, coalesce(uri, '') from images")
        self._uris = {str(image_id): str(uri) for image_id, uri in known}
        self._ids = context.store.ids(task.model, "images").astype(str)
        model = self._embedder.model(task.model)
        keep = len(task.rows) * 3 * model.adapter.image_size**2 <= _MOST_KEPT
        self._kept: dict[int, np.ndarray] = {}
        places: list[int] = []
        reasons: list[ClipdbError] = []
        for place, row in enumerate(task.rows):
            try:
                pixels = self._decoded(task.model, int(row))
            except ClipdbError as error:
                reasons.append(error)
                continue
            places.append(place)
            if keep:
                self._kept[int(row)] = pixels
        if not places:
            raise ClipdbError(
                f"none of the {len(reasons)} images can be read; of the first: {reasons[0]}", kind="absent"
            )
        self.task, self.unread = task.only(np.array(places)), len(reasons)

    def batches(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield which images, and the network's input."""
        rows, name = self.task.rows, self.task.model
        for start in range(0, len(rows), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(rows)))
            pixels = np.stack([self._decoded(name, int(row)) for row in rows[part]])
            yield part, self._embedder.model(name).pixels_to_input(torch.from_numpy(pixels))

    def _decoded(self, model: str, row: int) -> np.ndarray:
        if row in self._kept:
            return self._kept[row]
        image_id = self._ids[row]
        uri = self._uris.get(image_id, "")
        return self._embedder.decode(model, read_known(image_id, uri), uri).pixels
