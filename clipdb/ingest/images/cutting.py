"""Choose the cut bases of an ingest with ``--rank-factor``, from the first images of its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.images.sources import SourceItem
from clipdb.ingest.images.stream import ImageStream
from clipdb.ingest.store.heads import cut_heads
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import out_of_memory
from clipdb.models.model import Model
from clipdb.models.rank_cut import RankCut, choose_bases
from clipdb.schema.names import POOL, Head

FIRST = 256
"""Images that bases are chosen from; twice as many as a head has numbers, if that is more."""


def rank_cut(
    tables: ModelTables, model: Model, decomposer: Decomposer, options: ImageOptions, sources: Iterable[SourceItem]
) -> RankCut:
    """Find out which heads are cut, and how.

    Bases that the index has stay, and a later ingest follows them. Those of further layers are chosen from the source's
    first images, which the model runs over one more time for that.

    Raises
    ------
    ClipdbError
        If there is nothing to cut, the index has the same heads otherwise, or the source has too few images.
    """
    tower, asked = decomposer.adapter, options.rank_factor
    stored = {head: q for head, q in tables.bases().items() if head[0] != POOL and head in decomposer.bases}
    known = {head: stored[head] for head in cut_heads(tables.writer, model.model_id) if head in stored}
    before = next((q.shape[1] // tower.head_dim for q in known.values()), None)
    if asked is None and before is None:
        return RankCut(decomposer.bases, {})
    if not tower.pool_heads or not tower.layers:
        raise ClipdbError(
            f"--rank-factor: {model.model_id} has no heads in front of an attention pooling, and only those can be "
            "cut: leave it out"
        )
    if stored.keys() - known.keys():
        raise ClipdbError(f"{tables.writer.index} has exact vectors of these heads: leave --rank-factor out")
    if asked not in (None, before) and before is not None:
        raise ClipdbError(
            f"{tables.writer.index} has these heads with --rank-factor {before}: give that, or use another index"
        )
    trunk = [head for head in decomposer.bases if head[0] != POOL and head[1] >= 0]
    if not trunk:
        raise ClipdbError("--rank-factor is for heads of the trunk: choose layers, too: --layers last4")
    size = (before or asked or 0) * tower.head_dim
    exact = min(decomposer.bases[head].shape[1] for head in trunk)
    if size >= exact:
        raise ClipdbError(
            f"--rank-factor {before or asked} keeps {size} numbers a head, and {exact} hold all: leave it out"
        )
    lacking = [head for head in trunk if head not in known]
    if lacking:
        known |= _chosen(model, decomposer, options, sources, lacking, size)
    return RankCut(decomposer.bases, known)


def _chosen(
    model: Model,
    decomposer: Decomposer,
    options: ImageOptions,
    sources: Iterable[SourceItem],
    heads: list[Head],
    size: int,
) -> dict[Head, np.ndarray]:
    layers, wanted = sorted({layer for layer, _ in heads}), max(FIRST, 2 * size)
    vectors: dict[int, list[np.ndarray]] = {layer: [] for layer in layers}
    batch_size, count = options.batch_on(model.device), 0
    by_pillow = replace(options, gpu_decode=False)  # few images, and a cluster's driver has no GPU
    with (
        by_pillow.decoders(model.preprocess, model.device) as decoders,
        ImageStream(sources, decoders, lambda _: set(), min(batch_size, wanted)) as stream,
    ):
        for chunk in stream:
            if chunk.candidates:
                with out_of_memory(batch_size):
                    images = model.pixels_to_input(torch.from_numpy(chunk.pixels[: wanted - count]))
                    found = decomposer.vectors(decomposer.adapter.capture(images, layers))[2]
                arrays = {layer: y.cpu().numpy() for layer, y in found.items()}
                good = np.logical_and.reduce([np.isfinite(y).all(axis=(1, 2)) for y in arrays.values()])
                for layer, y in arrays.items():
                    vectors[layer].append(y[good])
                count += int(good.sum())
            if count >= wanted:
                break
    if count < size:
        raise ClipdbError(
            f"--rank-factor {size // decomposer.adapter.head_dim} takes at least {size} images to choose from, and "
            f"{count} can be read: give more images or a smaller number, or leave it out"
        )
    joined = {layer: np.concatenate(vectors.pop(layer)) for layer in layers}
    return choose_bases(decomposer.bases, (((layer, head), joined[layer][:, head]) for layer, head in heads), size)
