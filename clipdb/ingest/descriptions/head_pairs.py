"""Compare heads in pairs, within a model and with those of the index's other models, and store what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product

import duckdb
import lance
import numpy as np
import pyarrow as pa

from clipdb._util.stages import Stages
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import ROWS_AT_ONCE
from clipdb.ingest.store.shared_images import images_by_id, images_of, shared_rows
from clipdb.ingest.store.vector_arrays import vector_matrix
from clipdb.ingest.store.writer import Writer
from clipdb.models.head_similarity import SAMPLE, Side, Similarity, compare
from clipdb.schema.model_pairs import MODELS, standing
from clipdb.schema.names import Head, head_column
from clipdb.schema.vectors import head_columns

_KEY = ("model_id", "layer", "head", "other_model", "other_layer", "other_head")
_STORED = "select vectors from head_pairs where model_id = ? and other_model = ? and sample = ? limit 1"
_DROP = "delete from head_pairs where (model_id, other_model) in (($one, $other), ($other, $one))"


def refresh_pairs(writer: Writer, chosen: Sequence[str], progress: Stages) -> None:
    """Compare the heads of some models with each other and with those of all other models of the index.

    Pairs are stored both ways. What was computed from the vectors as they are now is kept.

    Parameters
    ----------
    writer
        The writer that holds the index.
    chosen
        The models.
    progress
        Is told of pairs of models.
    """
    models = writer.read(MODELS)
    every = writer.models()
    asked = list(dict.fromkeys(tuple(sorted(pair)) for pair in product(chosen, every)))
    stale = {}
    for one, other in asked:
        state = standing(models, one, other)
        if writer.read(_STORED, one, other, SAMPLE) != [(state.vectors,)]:
            stale[one, other] = state
    for done, ((one, other), state) in enumerate(stale.items()):
        progress("pairs of models", done, len(stale))
        left, right = _sides(writer, one, other)
        found = compare(left, right, SAMPLE, state.same_space)
        about = {"sample": SAMPLE, "vectors": state.vectors, "run": writer.run}
        with writer.transaction() as connection:
            connection.execute(_DROP, {"one": one, "other": other})
            _insert(connection, (one, left.heads), (other, right.heads), found, about)
            if one != other:
                turned = Similarity(*(values.T for values in found))
                turned = turned._replace(explained=found.explained_other.T, explained_other=found.explained.T)
                _insert(connection, (other, right.heads), (one, left.heads), turned, about)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    one: tuple[str, Sequence[Head]],
    other: tuple[str, Sequence[Head]],
    found: Similarity,
    about: Mapping[str, object],
) -> None:
    (model, heads), (other_model, others) = one, other
    keys = [(model, *head, other_model, *to) for head, to in product(heads, others)]
    columns = dict(zip(_KEY, zip(*keys, strict=True), strict=True)) if keys else {}
    table = pa.table(
        {name: pa.array(values) for name, values in columns.items()}
        | {name: pa.array(values.ravel(), from_pandas=True) for name, values in found._asdict().items()}
        | {name: pa.array([value] * len(keys)) for name, value in about.items()}
    )
    connection.register("clipdb_pairs", table)
    itself = "not (model_id = other_model and layer = other_layer and head = other_head)"
    connection.execute(f"insert into head_pairs by name select * from clipdb_pairs where {itself}")
    connection.unregister("clipdb_pairs")


def _sides(writer: Writer, one: str, other: str) -> tuple[Side, Side]:
    """Return two models over the images that they share, ordered by id; the same side twice where it is one model."""
    tables = ModelTables(writer, one)
    if one == other:
        side = _side(tables, images_by_id(tables)[1])
        return side, side
    others = ModelTables(writer, other)
    rows, other_rows = shared_rows(tables, others)
    return _side(tables, rows), _side(others, other_rows)


def _side(tables: ModelTables, rows: np.ndarray) -> Side:
    dataset = images_of(tables)
    heads = list(head_columns(dataset.schema))
    # An image has been through all heads of a layer or through none.
    first = {layer: head_column(layer, head) for layer, head in reversed(heads)}
    there: dict[int, list[np.ndarray]] = {layer: [] for layer in first}
    for batch in dataset.to_batches(columns=list(first.values()), batch_size=ROWS_AT_ONCE):
        for layer, name in first.items():
            there[layer].append(np.asarray(batch.column(name).is_valid()))
    present = {layer: np.concatenate(parts)[rows] for layer, parts in there.items()}
    bases = {head: basis.astype(np.float32) for head, basis in tables.bases().items()}
    return Side({head: present[head[0]] for head in heads}, bases, partial(_read, dataset, rows))


def _read(dataset: lance.LanceDataset, rows: np.ndarray, head: Head, some: np.ndarray) -> np.ndarray:
    name = head_column(*head)
    return vector_matrix(dataset.take(rows[some], columns=[name]).column(name))
