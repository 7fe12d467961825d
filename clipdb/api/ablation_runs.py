"""Which images are classified rightly with all heads, without heads' contributions, and by the model without them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from clipdb.api.index_images import IndexImages, head_means, mean_outputs
from clipdb.errors import ClipdbError
from clipdb.models.ablation import Edit, Run, begin
from clipdb.queries.functions.base.ablation import Removal
from clipdb.queries.functions.base.classification import Task
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head

_MOST_KEPT = 1_000_000_000  # bytes of runs to go on from; of more, each is made again
_Part = tuple[slice, Run]


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
        The images.
    before
        With all heads: bool ``[images]``.
    direct, causal
        Without each set: bool ``[sets, images]``.
    """

    task: Task
    before: np.ndarray
    direct: np.ndarray
    causal: np.ndarray


class Measuring:
    """A task's images, read, and the model that is run over them.

    Parameters
    ----------
    context
        The index.
    task
        What is classified.
    how
        How heads are replaced.
    most
        Take the first so many images; all if None.

    Attributes
    ----------
    task
        The images that could be read.
    unread
        How many could not.

    Raises
    ------
    ClipdbError
        If no image can be read, the weights can't be had, or the tower's heads can't be replaced so.
    """

    def __init__(self, context: Context, task: Task, how: Replacement, most: int | None) -> None:
        self._context, self._how = context, how
        self._adapter = context.subjects.embedder.model(task.model).adapter
        if how.class_token and "class token" not in self._adapter.other_tokens:
            raise ClipdbError(f"{task.model} has no class token: ablate its heads at all tokens")
        first = task if most is None else task.only(np.arange(min(most, len(task.rows))))
        self._pictures = IndexImages(context, task.model, first.rows)
        self.task, self.unread = first.only(self._pictures.places), self._pictures.unread

    def images_sha256(self) -> str:
        """Return what tells these images and their classes or groups from others: hex SHA-256, in order of id."""
        ids = self._context.store.ids(self.task.model, "images").astype(str)[self.task.rows]
        groups = (self.task.groups[one] for one in self.task.group)  # which are the classes where nothing is grouped
        lines = sorted(f"{image_id} {name}\n" for image_id, name in zip(ids, groups, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def measure(self, units: Sequence[Sequence[Sequence[Head]]]) -> Iterator[Measured]:
        """Yield what comes of each unit, in order: a set of heads and the random sets that it is compared with.

        The model is run with all heads once, if these runs can be kept to go on from. Else units that follow each other
        in the same layers go on from the same runs; they are kept, so that each unit is there as soon as it can be, or
        else all of these units are measured in one pass.
        """
        layers = sorted({head[0] for unit in units for one in unit for head in one})
        kept = self._kept(layers) if len(units) > 1 else None
        means = self._means(layers, kept) if self._how.mean else {}
        for some, group in groupby(units, lambda unit: sorted({head[0] for one in unit for head in one})):
            together = list(group)
            parts = kept or (self._kept(some) if len(together) > 1 else None)
            for batch in [together] if parts is None else [[unit] for unit in together]:
                yield from self._measured(batch, self._runs(some) if parts is None else parts, means)

    def _means(self, layers: Sequence[int], kept: Sequence[_Part] | None) -> dict[int, torch.Tensor]:
        if kept and self._how.by_token:
            return mean_outputs((run for _, run in kept), len(self.task.rows))
        return head_means(self._adapter, self._pictures, layers, self._how.by_token)

    def _runs(self, layers: Sequence[int]) -> Iterator[_Part]:
        for part, images in self._pictures.batches():
            yield part, begin(self._adapter, images, layers)

    def _kept(self, layers: Sequence[int]) -> list[_Part] | None:
        kept: list[_Part] = []
        for part, run in self._runs(layers):
            if run.nbytes / (part.stop - part.start) * len(self.task.rows) > _MOST_KEPT:
                return None
            kept.append((part, run))
        return kept

    def _measured(
        self, units: Sequence[Sequence[Sequence[Head]]], parts: Iterable[_Part], means: Mapping[int, torch.Tensor]
    ) -> list[Measured]:
        edits = [[_edits(one, means, self._how) for one in unit] for unit in units]
        causal = [np.zeros((len(unit), len(self.task.rows)), bool) for unit in units]
        before = np.zeros(len(self.task.rows), bool)
        texts = torch.from_numpy(self.task.texts)
        for part, run in parts:
            truth = torch.from_numpy(self.task.truth[part])
            before[part] = _right(run.embedding, texts, truth)
            for right, of_unit in zip(causal, edits, strict=True):
                for place, one in enumerate(of_unit):
                    right[place, part] = _right(run.without(one), texts, truth)
        return [
            Measured(self.task, before, _direct(self._context, self.task, unit, self._how.mean), right)
            for unit, right in zip(units, causal, strict=True)
        ]


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


def _edits(heads: Sequence[Head], means: Mapping[int, torch.Tensor], how: Replacement) -> dict[int, Edit]:
    edits = {}
    for layer in {layer for layer, _ in heads}:
        some = [head for at, head in heads if at == layer]
        edits[layer] = Edit(some, means[layer][:, some] if how.mean else None, how.class_token)
    return edits
