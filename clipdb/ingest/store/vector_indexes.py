"""Make and drop vector indexes of heads, each under the commit protocol of the vector table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import lance
import numpy as np

from clipdb._util.half_floats import widened
from clipdb._util.stages import Stages, untold
from clipdb._util.text import counted
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.store.chosen_heads import chosen_heads, together_of
from clipdb.ingest.store.fewest import fewest
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.property_index import drop_together, index_together
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import Head, head_column, head_name
from clipdb.schema.property_index import PropertyIndex, property_indexes
from clipdb.schema.vector_indexes import (
    AT,
    TYPES,
    VectorIndex,
    candidates,
    config_key,
    described,
    index_name,
    vector_indexes,
)
from clipdb.stores.address import StoreAddress

LEAST = 1000
"""Vectors that an index takes at least; fewer are searched in a millisecond as they are."""

_ASKED = 256  # stored images, and as many texts, that recall is measured with: misses come together, in a few of them
_MULTIPLE = 8  # of the numbers in a vector: what RaBitQ takes


def index_vectors(
    index: Path,
    heads: str,
    model_id: str | None = None,
    kind: str = "ivf_flat",
    partitions: int | None = None,
    progress: Stages = untold,
) -> dict[str, VectorIndex | PropertyIndex]:
    """Make a vector index of each of some heads, and of the heads of a property together; others are replaced.

    Each head is committed when it is done, so that Ctrl-C and a full disk keep those that are.

    Parameters
    ----------
    index
        Directory of the index.
    heads
        See `clipdb.ingest.store.chosen_heads.chosen_heads`.
    model_id
        The model; may be None where the index has one.
    kind
        One of `clipdb.schema.vector_indexes.TYPES`.
    partitions
        How many; by default a quarter of the square root of the number of images.
    progress
        Is told of heads.

    Returns
    -------
    dict
        What there is now, by the head's name; of a property's heads together by ``property=NAME``.

    Raises
    ------
    ClipdbError
        If there is no such index, model or head, the type is unknown, or a head has too few vectors.
    Stopped
        On Ctrl-C.
    """
    if kind not in TYPES:
        raise ClipdbError(f"{kind!r} is no type of vector index: take {' or '.join(TYPES)}")
    writer = Writer(index, "index", {"heads": heads, "model": model_id, "type": kind, "partitions": partitions})
    found: dict[str, VectorIndex] = {}
    together: dict[str, PropertyIndex] = {}
    with stopped(lambda: f"{counted(len(found), 'head')} indexed" if found else ""), writer:
        if isinstance(writer.vectors, StoreAddress):
            raise ClipdbError(
                f"the vectors of {index} are in {writer.vectors}, and readers use no vector indexes in a store: every "
                "image is compared there"
            )
        tables = ModelTables(writer, _one_model(writer, model_id))
        chosen = chosen_heads(tables, heads)
        for head in chosen:  # before there is any work to lose
            _require_enough(tables, head, kind, partitions)
        number = partitions or max(8, round(_open(tables.images).count_rows() ** 0.5 / 4))
        groups = together_of(chosen, heads)
        for done, head in enumerate(chosen):
            progress("heads", done, len(chosen) + len(groups))
            found[head_name(*head)] = _there(tables, head, kind, number) or _make(tables, head, kind, number)
        for done, (name, several) in enumerate(groups.items(), start=len(chosen)):
            progress("heads", done, len(chosen) + len(groups))
            together[name] = index_together(tables, several, number)
    return found | together


def drop_vector_indexes(index: Path, heads: str, model_id: str | None = None) -> list[str]:
    """Drop the vector indexes of some heads, and those that are over several of them together.

    Returns
    -------
    list of str
        The heads of each, with commas.

    Raises
    ------
    ClipdbError
        If there is no such index, model or head, or none of the heads has a vector index.
    """
    with Writer(index, "index", {"heads": heads, "model": model_id, "drop": True}) as writer:
        tables = ModelTables(writer, _one_model(writer, model_id))
        table = tables.images
        chosen = chosen_heads(tables, heads)
        had = [head for head in chosen if head in vector_indexes(_open(table))]
        of_several = [one for one in property_indexes(writer.read, tables.model_id) if set(one.heads) <= set(chosen)]
        if not had and not of_several:
            raise ClipdbError(f"none of these heads of {tables.model_id} has a vector index", kind="absent")
        for head in had:
            with table.writing():
                _open(table).drop_index(index_name(head_column(*head)))
                _open(table).delete_config_keys([config_key(head_column(*head))])
        if had:
            table.move()
        with writer.transaction() as connection:
            for one in of_several:
                drop_together(connection, tables.model_id, one.name)
        return [*(head_name(*head) for head in had), *(one.name for one in of_several)]


def _one_model(writer: Writer, model_id: str | None) -> str:
    known = writer.models(model_id)
    if len(known) > 1:
        raise ClipdbError(f"{writer.index} has several models: choose one with --model ({', '.join(known)})")
    return known[0]


def _open(table: VectorTable) -> lance.LanceDataset:
    assert table.dataset is not None
    return table.dataset


def _require_enough(tables: ModelTables, head: Head, kind: str, partitions: int | None) -> None:
    dataset, column = _open(tables.images), head_column(*head)
    number = dataset.count_rows(f"{column} is not null")
    if number < LEAST:
        raise ClipdbError(
            f"{head_name(*head)} of {tables.model_id} has {number:,} vectors and a vector index takes at least "
            f"{LEAST:,}: exact search of so few is as quick"
        )
    if partitions is not None and partitions > number:
        raise ClipdbError(
            f"{head_name(*head)} of {tables.model_id} has {number:,} vectors, which can't be cut into {partitions:,} "
            "partitions: leave --partitions out, or take fewer"
        )
    size = dataset.schema.field(column).type.list_size
    if kind == "ivf_rq" and size % _MULTIPLE:
        raise ClipdbError(
            f"ivf_rq takes vectors whose size is a multiple of {_MULTIPLE}, and those of {head_name(*head)} have "
            f"{size} numbers: take ivf_flat"
        )


def _there(tables: ModelTables, head: Head, kind: str, number: int) -> VectorIndex | None:
    """Return the index that a head has, if it is of this kind and covers all images."""
    dataset = _open(tables.images)
    index, covered = vector_indexes(dataset).get(head, (None, 0))
    same = index is not None and (index.type, index.partitions) == (kind, number)
    return index if same and covered == dataset.count_rows() else None


def _make(tables: ModelTables, head: Head, kind: str, number: int) -> VectorIndex:
    table, column = tables.images, head_column(*head)
    with table.writing():
        _open(table).create_index(
            column, TYPES[kind], name=index_name(column), metric="cosine", replace=True, num_partitions=number
        )
        made = VectorIndex(kind, number, number, 1.0, None, None, table.writer.run)
        dataset = table.reopened()
        questions, texts = _questions(dataset, column), _text_questions(tables, head)
        best = _nearest(dataset, column, np.concatenate([questions, texts]))
        # A stored image is itself the nearest, and always found: it is left out.
        found = partial(_shares, dataset, column, made, questions, best[: len(questions), AT], 1)
        nprobes, recall = fewest(1, number, found)
        made = replace(made, nprobes=nprobes, recall=recall)
        if len(texts):
            found = partial(_shares, dataset, column, made, texts, best[len(questions) :, AT - 1], 0)
            text_nprobes, text_recall = fewest(1, number, found)
            made = replace(made, text_nprobes=text_nprobes, text_recall=text_recall)
        dataset.update_config(described(made, column))
    table.move()
    return made


def _questions(dataset: lance.LanceDataset, column: str) -> np.ndarray:
    """Take some of the stored vectors, always the same ones."""
    rows = np.random.default_rng(0).permutation(dataset.count_rows())[: 4 * _ASKED]
    vectors = widened(vector_matrix(dataset.take(np.sort(rows), columns=[column]).column(column)))
    return vectors[np.linalg.norm(vectors, axis=1) > 0][:_ASKED]


def _text_questions(tables: ModelTables, head: Head) -> np.ndarray:
    dataset, column = tables.texts.dataset, head_column(*head)
    size = _open(tables.images).schema.field(column).type.list_size
    if dataset is None or column not in dataset.schema.names or not dataset.count_rows():
        return np.empty((0, size), np.float32)
    return _questions(dataset, column)


def _nearest(dataset: lance.LanceDataset, column: str, questions: np.ndarray) -> np.ndarray:
    """Return the cosines of the eleven vectors nearest to each question, of all, descending."""
    unit = questions / np.linalg.norm(questions, axis=1, keepdims=True)
    best = np.full((len(unit), AT + 1), -2, np.float32)
    for batch in dataset.to_batches(columns=[column], batch_size=ROWS_AT_ONCE):
        found = _cosines(widened(vector_matrix(batch.column(column))), unit)
        best = -np.partition(-np.concatenate([best, found], axis=1), AT, axis=1)[:, : AT + 1]
    return -np.sort(-best, axis=1)


def _cosines(vectors: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the cosines of vectors with unit ones ``[questions, vectors]``, -2 where a vector is zero."""
    lengths = np.linalg.norm(vectors, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = unit @ vectors.T / lengths
    found[:, lengths == 0] = -2
    return found


def _shares(
    dataset: lance.LanceDataset,
    column: str,
    index: VectorIndex,
    questions: np.ndarray,
    last: np.ndarray,
    itself: int,
    nprobes: int,
) -> list[float]:
    return [_recall(dataset, column, index, *one, itself, nprobes) for one in zip(questions, last, strict=True)]


def _recall(
    dataset: lance.LanceDataset,
    column: str,
    index: VectorIndex,
    query: np.ndarray,
    last: float,
    itself: int,
    nprobes: int,
) -> float:
    """Return the share of the ten nearest that is found: vectors as near as the last of them, whichever they are."""
    most = AT + itself
    found = candidates(dataset, column, index, query, most, nprobes)
    unit = (query / np.linalg.norm(query))[None]
    near = _cosines(widened(vector_matrix(found.column(column))), unit)[0] >= last - 1e-6
    return (min(int(np.count_nonzero(near)), most) - itself) / AT
