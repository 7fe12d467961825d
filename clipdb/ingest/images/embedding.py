"""Run the model over decoded images, once it is proved exact on the first of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clipdb.ingest.images.embedded import Embedded
from clipdb.ingest.images.facts import facts_of
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.images.stream import Candidate, Chunk
from clipdb.models.decomposition import Decomposer
from clipdb.models.host_copies import finish_line, to_host
from clipdb.models.loading import out_of_memory
from clipdb.models.model import Model
from clipdb.models.proof import prove
from clipdb.models.rank_cut import RankCut
from clipdb.schema.names import Head

PROOF_IMAGES = 8
_EMBEDDING, _NORM = "embedding", "norm"


@dataclass(frozen=True)
class Started:
    """A batch that the device may still be at work on.

    Attributes
    ----------
    chunk
        The images.
    parts
        On their way to this machine's memory: the embedding and its norm by name, head vectors by layer, and other
        components by part.
    wait
        Waits until they are there.
    """

    chunk: Chunk
    parts: dict[str | int | Head, torch.Tensor]
    wait: Callable[[], None]


class Embedding:
    """Turn batches of images into rows and vectors.

    Parameters
    ----------
    model
        The model, loaded.
    decomposer
        Which of its heads are kept, in bases that hold all that they write.
    cut
        Which of them are stored with fewer numbers, and the bases of all.
    options
        How.

    Attributes
    ----------
    error
        Of the proof; None before the first images.
    """

    def __init__(self, model: Model, decomposer: Decomposer, cut: RankCut, options: ImageOptions) -> None:
        self.model, self.decomposer, self.cut, self.options = model, decomposer, cut, options
        self.error: float | None = None

    def __call__(self, chunk: Chunk) -> tuple[Embedded, list[tuple[str, str]]]:
        """Embed a batch: see `start` and `finish`."""
        return self.finish(self.start(chunk))

    def start(self, chunk: Chunk) -> Started:
        """Have the device embed a batch; a GPU is still at work when this returns.

        Raises
        ------
        ClipdbError
            If the components of the first images don't add up, or the device is out of memory.
        """
        images = self.model.pixels_to_input(torch.as_tensor(chunk.pixels))
        if self.error is None:
            self.error = self._prove(images[:PROOF_IMAGES])
        with out_of_memory(self.options.batch_on(self.model.device)):
            captured = self.decomposer.capture(images)
            embedding, norm, heads = self.decomposer.vectors(captured)
            parts = {_EMBEDDING: embedding, _NORM: norm} | heads | self.decomposer.component_vectors(captured)
            return Started(chunk, {part: to_host(y) for part, y in parts.items()}, finish_line(self.model.device))

    def finish(self, started: Started) -> tuple[Embedded, list[tuple[str, str]]]:
        """Wait for a batch; an image whose vectors are not finite is a failure, with the reason.

        Raises
        ------
        ClipdbError
            If the device is out of memory.
        """
        with out_of_memory(self.options.batch_on(self.model.device)):
            started.wait()
        chunk, found = started.chunk, {part: y.numpy() for part, y in started.parts.items()}
        good = np.ones(len(chunk.candidates), bool)
        for y in found.values():
            good &= np.isfinite(y).reshape(len(y), -1).all(axis=1)
        rows: list[dict[str, Any]] = []
        failures: list[tuple[str, str]] = []
        for candidate, facts, fine in zip(chunk.candidates, chunk.facts, good, strict=True):
            if fine:
                decoded = {"width": facts.width, "height": facts.height, "format": facts.format}
                rows.append(source_facts(candidate, self.options) | decoded)
            else:
                failures.append((candidate.item.uri, "the model's output is not finite: try --precision fp32"))
        ids = np.array([candidate.image_id for candidate in chunk.candidates])[good]
        whole = {part: y[good] for part, y in found.items()}
        embedding, norm = whole.pop(_EMBEDDING), whole.pop(_NORM)
        kept, loss = self.cut({layer: y for layer, y in whole.items() if isinstance(layer, int)})
        beside = {part: y for part, y in whole.items() if isinstance(part, tuple)}
        return Embedded(rows, ids, embedding, norm, kept, beside, loss), failures

    def _prove(self, images: torch.Tensor) -> float:
        with torch.inference_mode():
            reference = self.model.network.encode_image(images, normalize=False)
        return prove(self.decomposer, images, reference, self.model.precision, self.model.model_id)


def source_facts(candidate: Candidate, options: ImageOptions) -> dict[str, Any]:
    """Return what a source says of an image, as columns of ``images``."""
    item = candidate.item
    label = item.parent if options.label_from == "parent" else item.label
    return facts_of(candidate.image_id, item.uri, options.split or item.split, label, item.metadata)
