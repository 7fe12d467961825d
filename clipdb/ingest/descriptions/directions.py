"""Describe heads by directions: those of their weights or of their vectors, each as a sum of a pool's texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clipdb._util.notes import note
from clipdb._util.sparse_code import SparseCode, centred, sparse_code
from clipdb._util.stages import LOADING, Stages, untold
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.descriptions.pool_ingest import ensure_pool
from clipdb.ingest.descriptions.principal_directions import principal_directions
from clipdb.ingest.descriptions.texts import (
    TEXTS_AT_ONCE,
    embed_missing,
    pool_members,
    reached_by_texts,
    text_embeddings,
)
from clipdb.ingest.store.known_models import load_for, reload
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.models.model import Model
from clipdb.models.model_config import Named
from clipdb.models.singular_directions import singular_directions
from clipdb.schema.names import Head

Source = Literal["weights", "principal"]
Found = tuple[Head, np.ndarray, np.ndarray, np.ndarray | None]

WORDS = 5
"""Texts at each end of a direction."""


@dataclass(frozen=True)
class Asked:
    """What is asked for: directions of which kind, how many of each head, and of which pool's texts."""

    source: Source
    pool: str
    count: int


def describe(
    index: Path,
    asked: Asked,
    model_id: str | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    progress: Stages = untold,
) -> dict[str, int]:
    """Describe the heads of one model's trunk, or of all models of an index, by directions.

    Earlier directions of the same model, source and pool are replaced in one transaction. Those of weights need no
    images: a model that has none in the index is described in all layers of its trunk, and the index is made if it
    doesn't exist.

    Parameters
    ----------
    index
        Directory of the index.
    asked
        What is asked for.
    model_id
        Only this model.
    checkpoint, device
        Where the weights are and where the model runs.
    progress
        Is told of texts that are embedded and heads that are described.

    Returns
    -------
    dict
        How many heads of each model have directions now.

    Raises
    ------
    ClipdbError
        If there is no such pool or model, the weights can't be had or have values that can't be read, or there are no
        images to take principal directions of.
    Stopped
        On Ctrl-C, which keeps the models that were described.
    """
    arguments = {"from": asked.source, "pool": asked.pool, "model": model_id, "count": asked.count}
    new = asked.source == "weights" and model_id is not None
    writer = Writer(index, "span", arguments, create=new)
    with stopped(lambda: f"{writer.added} texts are embedded" if writer.added else ""), writer:
        with_images = {name for (name,) in writer.read("select model_id from batches where kind = 'images'")}
        if model_id is not None and new and model_id not in with_images:
            chosen = [model_id]
        else:
            chosen = reached_by_texts(writer, writer.models(model_id), model_id)
        models = {name: _loading(writer, name, name in with_images, checkpoint, device, progress) for name in chosen}
        if not with_images.issuperset(models):
            models[next(iter(models))]()  # what can't be loaded leaves nothing behind
        ensure_pool(writer, asked.pool)
        members = pool_members(writer, asked.pool)
        described = {}
        for name, load in models.items():
            tables = ModelTables(writer, name)
            heads = _trunk_heads(tables, load, name in with_images)
            if not heads:
                problem = f"{name} has no heads of its trunk here: ingest images with --layers last4, too"
                if model_id is not None or len(models) == 1:
                    raise ClipdbError(problem, kind="absent")
                note(f"note: {problem}")
                continue
            texts = _embeddings(tables, members, load, name in with_images, progress)
            found = (
                _of_weights(load(), heads, asked.count)
                if asked.source == "weights"
                else principal_directions(tables, heads, asked.count)
            )
            described[name] = _store(writer, name, asked, heads, found, members, centred(texts), progress)
        return described


def _loading(
    writer: Writer, name: str, known: bool, checkpoint: Path | None, device: str, progress: Stages
) -> Callable[[], Model]:
    """Return what loads a model, once."""
    kept: list[Model] = []

    def load() -> Model:
        if not kept:
            progress(LOADING, 0, None)
            here = Named(name, None, checkpoint)
            kept.append(reload(writer, name, checkpoint, device) if known else load_for(writer, here, device, "fp32"))
        return kept[0]

    return load


def _trunk_heads(tables: ModelTables, load: Callable[[], Model], known: bool) -> list[Head]:
    """Return the heads of the trunk that the index has, or all of them if it has no images of the model."""
    if known:
        return [head for head in tables.bases() if head[0] >= 0]
    adapter = load().adapter
    return [(layer, head) for layer in range(adapter.layers) for head in range(adapter.heads)]


def _embeddings(
    tables: ModelTables,
    members: Sequence[tuple[str, str]],
    load: Callable[[], Model],
    known: bool,
    progress: Stages,
) -> np.ndarray:
    """Return the embeddings of a pool's texts, float64 ``[M, D]``; they aren't stored if the model has no images."""
    if not known:
        return load().embed_texts([text for _, text in members], TEXTS_AT_ONCE).astype(np.float64)
    embed_missing(tables, members, lambda _: load(), progress)
    return text_embeddings(tables.texts, [key for key, _ in members])


def _of_weights(model: Model, heads: Sequence[Head], count: int) -> Iterator[Found]:
    wanted = set(heads)
    for head, vectors, shares in singular_directions(model.adapter, sorted({layer for layer, _ in heads}), count):
        if head in wanted:
            yield head, vectors, shares, None


def _store(
    writer: Writer,
    model_id: str,
    asked: Asked,
    heads: Sequence[Head],
    found: Iterator[Found],
    members: Sequence[tuple[str, str]],
    texts: np.ndarray,
    progress: Stages,
) -> int:
    rows: list[dict[str, Any]] = []
    about = {"model_id": model_id, "source": asked.source, "pool": asked.pool, "run": writer.run}
    described = 0
    for described, ((layer, head), vectors, shares, stability) in enumerate(found, start=1):
        progress("heads", described - 1, len(heads))
        code = sparse_code(np.concatenate([vectors, -vectors]), texts, WORDS)
        for place, vector in enumerate(vectors):
            ends = [_texts(code, row, members) for row in (place, place + len(vectors))]
            rows.append(
                about
                | {"layer": layer, "head": head, "direction": place + 1, "share": float(shares[place])}
                | {"vector": vector.astype(np.float32), "texts": ends[0], "fit": float(code.fits[place])}
                | {"opposite": ends[1], "opposite_fit": float(code.fits[place + len(vectors)])}
                | {"stability": None if stability is None else float(stability[place])}
            )
    with writer.transaction() as connection:
        # A model that has no images is known by the names of its heads.
        put(connection, "head_statistics", [{"model_id": model_id, "layer": at, "head": head} for at, head in heads])
        connection.execute(
            "delete from directions where (model_id, source, pool) = (?, ?, ?)", [model_id, asked.source, asked.pool]
        )
        put(connection, "directions", rows)
    return described


def _texts(code: SparseCode, row: int, members: Sequence[tuple[str, str]]) -> str:
    picked = sorted(zip(code.weights[row], code.rows[row], strict=True), key=lambda one: -one[0])
    said = [{"text": members[at][1], "weight": round(float(weight), 4)} for weight, at in picked if weight > 0]
    return json.dumps(said, ensure_ascii=False)
