"""Pairs of heads, of one model or of two: as `clipdb span` stored them, or computed when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.models.head_similarity import Side, Similarity, compare
from clipdb.queries.functions.base.context import Context
from clipdb.queries.vectors.cache import VectorStore
from clipdb.schema.model_pairs import MODELS, MODELS_ALONE, Standing, standing
from clipdb.schema.names import Head, head_name

_BOOKS = "select count(*) from duckdb_tables() where table_name in ('head_pairs', 'batches')"
_STORED = f"""
select layer, head, other_layer, other_head, {", ".join(Similarity._fields)} from head_pairs
where model_id = ? and other_model = ? and sample = ? and vectors = ?
"""
_SAMPLES = "select max(sample) from head_pairs where model_id = ? and other_model = ? and vectors = ?"

PAIR_COLUMNS = {
    "a": "VARCHAR",
    "b": "VARCHAR",
    "head": "VARCHAR",
    "other": "VARCHAR",
    "overlap": "DOUBLE",
    "cka": "DOUBLE",
    "explained": "DOUBLE",
    "explained_other": "DOUBLE",
    "distance": "DOUBLE",
    "images": "BIGINT",
}
"""Of functions that give pairs of heads of two models: the models, then what `pair_rows` gives."""


@dataclass(frozen=True)
class Pairs:
    """Heads of one model, each with every head of another or of the same: ``found`` ``[heads, others]``."""

    heads: Sequence[Head]
    others: Sequence[Head]
    found: Similarity


def check_images(images: int) -> int:
    """Refuse a number of images below 0.

    Raises
    ------
    ClipdbError
        If it is.
    """
    if images < 0:
        raise ClipdbError(f"images is {images}: give the number of images to compare over, or 0 for all")
    return images


def models_standing(context: Context, one: str, other: str) -> Standing:
    """Return how two models stand to each other."""
    (books,) = context.rows(_BOOKS)[0]  # which an artefact lacks
    return standing(context.rows(MODELS if books == 2 else MODELS_ALONE), one, other)


def head_pairs(context: Context, one: str, other: str, images: int, wanted: Sequence[Head] | None = None) -> Pairs:
    """Compare the heads of two models, or of one with itself.

    Parameters
    ----------
    one, other
        The models.
    images
        Each pair is compared over so many images, those of the lowest ids, which are hashes: a fixed random sample. 0
        stands for all.
    wanted
        Heads of ``one``; None for all.
    """
    state = models_standing(context, one, other)
    heads, others = context.store.heads(one), context.store.heads(other)
    chosen = [head for head in heads if wanted is None or head in wanted]
    found = _stored(context, one, other, images, state)
    if found is None and len(chosen) < len(heads):
        left, right = _sides(context, one, other, chosen)
        return Pairs(chosen, others, compare(left, right, images, state.same_space))
    if found is None:
        left, right = _sides(context, one, other, heads)
        key = ("pairs", one, other, images)
        found = Similarity(*context.store.keep(key, lambda: np.stack(compare(left, right, images, state.same_space))))
    rows = [heads.index(head) for head in chosen]
    return Pairs(chosen, others, Similarity(*(values[rows] for values in found)))


def stored_sample(context: Context, one: str, other: str) -> int | None:
    """Return over how many images the heads of two models were compared, where that is stored of today's vectors."""
    vectors = models_standing(context, one, other).vectors
    return None if vectors is None else cast("int | None", context.rows(_SAMPLES, one, other, vectors)[0][0])


def _stored(context: Context, one: str, other: str, images: int, state: Standing) -> Similarity | None:
    """Read what is stored of the vectors as they are now; None where nothing is."""
    if state.vectors is None:
        return None
    asked = (one, other, images, state.vectors)
    packed = context.store.keep(("stored pairs", *asked), lambda: _read_stored(context, *asked))
    return Similarity(*packed) if len(packed) else None


def _read_stored(context: Context, one: str, other: str, images: int, vectors: str) -> np.ndarray:
    """Return what is stored as the fields of `Similarity`, or nothing."""
    rows = context.rows(_STORED, one, other, images, vectors)
    if not rows:
        return np.empty(0)
    left, right = ({head: place for place, head in enumerate(context.store.heads(model))} for model in (one, other))
    columns = np.array(rows, dtype=np.float64).T
    at = [left[int(layer), int(head)] for layer, head in zip(*columns[:2], strict=True)]
    to = [right[int(layer), int(head)] for layer, head in zip(*columns[2:4], strict=True)]
    found = np.full((len(Similarity._fields), len(left), len(right)), np.nan)
    found[:, at, to] = columns[4:]
    found[-1] = np.nan_to_num(found[-1])  # a head has no row with itself
    return found


def _sides(context: Context, one: str, other: str, chosen: Sequence[Head]) -> tuple[Side, Side]:
    store = context.store
    if one == other:
        rows = np.arange(len(store.ids(one, "images")))
        left = _side(context, one, rows, chosen)
        return left, left if len(chosen) == len(store.heads(one)) else _side(context, one, rows, store.heads(one))
    _, at, to = np.intersect1d(store.ids(one, "images"), store.ids(other, "images"), True, return_indices=True)
    return _side(context, one, at, chosen), _side(context, other, to, store.heads(other))


def _side(context: Context, model: str, rows: np.ndarray, heads: Sequence[Head]) -> Side:
    first = {layer: (layer, head) for layer, head in reversed(heads)}
    # An image has been through all heads of a layer or through none.
    present = {layer: context.store.present(model, head)[rows] for layer, head in first.items()}
    read = partial(_read, context.store, model, rows)
    return Side({head: present[head[0]] for head in heads}, context.heads(model).bases, read)


def _read(store: VectorStore, model: str, rows: np.ndarray, head: Head, some: np.ndarray) -> np.ndarray:
    return store.stored(model, [head], rows[some])[head]


def pair_rows(
    pairs: Pairs, columns: Sequence[str], places: Sequence[tuple[int, int]] | None = None
) -> list[tuple[Any, ...]]:
    """Return a row ``(head, other, ...)`` for each pair, with some of what was found, null where it is NaN.

    Parameters
    ----------
    pairs
        What was compared.
    columns
        Fields of `Similarity`.
    places
        The pairs, by the numbers of their heads; None for all.
    """
    every = np.indices((len(pairs.heads), len(pairs.others))).reshape(2, -1)
    at, to = every if places is None else np.array(places, int).reshape(-1, 2).T
    names, others = ([head_name(*head) for head in heads] for heads in (pairs.heads, pairs.others))
    found: list[list[Any]] = [[names[place] for place in at], [others[place] for place in to]]
    for column in columns:
        values = getattr(pairs.found, column)[at, to]
        if column == "images":
            found.append(values.astype(int).tolist())
        else:
            found.append([None if value != value else value for value in values.tolist()])
    return list(zip(*found, strict=True))
