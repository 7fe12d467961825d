"""The images of a model, or of two models, by id."""

from __future__ import annotations

import lance
import numpy as np

from clipdb.ingest.store.model_tables import ModelTables


def images_by_id(tables: ModelTables) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of a model's images, ascending, and the row of each."""
    column = images_of(tables).to_table(columns=["image_id"]).column(0)
    ids = np.array(column.to_pylist(), dtype=np.bytes_)
    order = np.argsort(ids, kind="stable")
    return ids[order], order


def shared_rows(one: ModelTables, other: ModelTables) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of two models that hold the images of both, in one order: by id."""
    ids, order = images_by_id(one)
    other_ids, other_order = images_by_id(other)
    _, at, to = np.intersect1d(ids, other_ids, assume_unique=True, return_indices=True)
    return order[at], other_order[to]


def images_of(tables: ModelTables) -> lance.LanceDataset:
    """Return the vectors of a model whose images the catalog counts on."""
    dataset = tables.images.dataset
    assert dataset is not None
    return dataset
