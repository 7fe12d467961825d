"""Let the texts of a CLIP model reach a model without a text tower: fit its aligner, and store it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import duckdb
import numpy as np

from clipdb.errors import ClipdbError
from clipdb.ingest.descriptions.ridge import RIDGES, PairSums
from clipdb.ingest.descriptions.texts import laid_out, text_embeddings
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.shared_images import images_of, shared_rows
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.ingest.store.writer import Reader, Writer
from clipdb.schema.aligned_texts import Aligner

FLOOR = 0.3
"""The least R^2: under it, names through an aligner agree with the model's own too rarely (docs/decisions.md)."""
LEAST_IMAGES = 50
"""So that ten are held out."""

_HELD_OUT = 5  # one image in so many tells how good the aligner is, another one which ridge is best


@dataclass(frozen=True)
class Aligned:
    """What came of an alignment.

    Attributes
    ----------
    model, target
        The model, and the CLIP model whose texts reach it.
    r2
        Share of the variance of the target's embeddings that is predicted, over held-out images.
    ridge
        The ridge that was chosen.
    images
        Images that both share.
    texts
        Texts that the model had from an earlier aligner, and that were mapped anew.
    """

    model: str
    target: str
    r2: float
    ridge: float
    images: int
    texts: int


def align(index: Path, model_id: str, target: str) -> Aligned:
    """Fit a model's aligner over the images that it shares with a CLIP model, and store it.

    ``W^T e`` predicts the target's embedding, both of unit length. Of the shared images, by id, one in five chooses
    the ridge and another one measures R^2; W is then fitted to all but the latter. An aligner that the model had is
    replaced, the model's texts are mapped anew, and its spans are deleted: they were picked along other directions.

    Parameters
    ----------
    index
        Directory of the index.
    model_id, target
        The model without a text tower, and the CLIP model.

    Raises
    ------
    ClipdbError
        If there is no index or no such model, the model has a text tower or the target none, they share too few images,
        or R^2 is under `FLOOR`; nothing is written then.
    """
    with Writer(index, "align", {"model": model_id, "to": target}, empty_run=False) as writer:
        for name in (model_id, target):
            writer.models(name)
        _check_texts(writer, model_id, target)
        one, other = ModelTables(writer, model_id), ModelTables(writer, target)
        matrix, r2, ridge, images = _fitted(one, other)
        row = {
            "model_id": model_id,
            "target": target,
            "matrix": matrix.astype(np.float32).ravel(),
            "r2": r2,
            "ridge": ridge,
            "images": images,
            "run": writer.run,
        }

        def record(connection: duckdb.DuckDBPyConnection) -> None:
            put(connection, "aligners", [row], replace=True)
            connection.execute("delete from spans where model_id = ?", [model_id])

        texts = one.texts.dataset
        ids = [] if texts is None else texts.to_table(columns=["text_id"]).column(0).to_pylist()
        writer.added = 1
        if ids:
            mapped = Aligner(target, matrix, r2)(text_embeddings(other.texts, ids))
            one.texts.commit(laid_out(ids, mapped, one.bases()), record, overwrite=True)
            one.texts.compact()
        else:
            with writer.transaction() as connection:
                record(connection)
        return Aligned(model_id, target, r2, ridge, images, len(ids))


def _check_texts(reader: Reader, model_id: str, target: str) -> None:
    facts = "select model_id, logit_scale is not null from models where model_id in (?, ?)"
    has_texts = dict(reader.read(facts, model_id, target))
    if has_texts[model_id]:
        raise ClipdbError(f"{model_id} has a text tower of its own, and needs no aligner")
    if not has_texts[target]:
        raise ClipdbError(
            f"{target} has no text tower whose texts could reach {model_id}: give a CLIP model, --to CLIP"
        )


def _fitted(one: ModelTables, other: ModelTables) -> tuple[np.ndarray, float, float, int]:
    """Return W ``[D, E]``, its R^2, the ridge, and over how many images that is."""
    rows, other_rows = shared_rows(one, other)
    names = f"{one.model_id} and {other.model_id}"
    if len(rows) < LEAST_IMAGES:
        raise ClipdbError(
            f"{names} share {len(rows)} images, too few for an aligner, which needs {LEAST_IMAGES}, better thousands: "
            f"run `clipdb ingest images SRC` for both with the same SRC"
        )
    held_out, choosing, *fitting = [
        _sums(one, other, rows[at::_HELD_OUT], other_rows[at::_HELD_OUT]) for at in range(_HELD_OUT)
    ]
    first = reduce(add, fitting)
    scores = {ridge: choosing.explained(first.fit(ridge)) for ridge in RIDGES}
    ridge = max(scores, key=scores.__getitem__)
    matrix = (first + choosing).fit(ridge).astype(np.float32).astype(np.float64)  # as it is stored
    r2 = held_out.explained(matrix)
    if not r2 >= FLOOR:
        raise ClipdbError(
            f"{names} don't go together well enough for an aligner: over held-out images of the {len(rows)} that they "
            f"share, R^2 is {r2:.2f}, and {FLOOR} is the least that is taken: ingest more images for both"
        )
    return matrix, r2, ridge, len(rows)


def _sums(one: ModelTables, other: ModelTables, rows: np.ndarray, other_rows: np.ndarray) -> PairSums:
    parts = (PairSums.of(x, y) for x, y in zip(_read(one, rows), _read(other, other_rows), strict=True))
    return reduce(add, parts)


def _read(tables: ModelTables, rows: np.ndarray) -> Iterator[np.ndarray]:
    dataset = images_of(tables)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = dataset.take(rows[start : start + ROWS_AT_ONCE], columns=["embedding"])
        yield vector_matrix(some.column("embedding"))
