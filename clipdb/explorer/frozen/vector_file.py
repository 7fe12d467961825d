"""The vectors that a frozen page compares in the browser: one Parquet file per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.explorer.templating import file_name
from clipdb.queries.index import Index
from clipdb.schema.names import head_column


def write_vectors(
    file: Path, index: Index, model: str, images: Sequence[Mapping[str, Any]], picture: Callable[[str], str]
) -> int:
    """Write what a model's heads, and the whole embedding, say of images.

    Columns are ``image_id``, ``name``, ``label`` and ``picture``, then ``embedding`` [D] and a column ``l11h3`` [size]
    a head, as in an export: float16, null where an image has not been through the head. All rows are one group
    without compression, so that a browser reads a head with one request, and needs no decoder.

    Parameters
    ----------
    file
        Where to.
    index, model
        Whose vectors.
    images
        ``image_id``, ``uri`` and ``label`` of each, in the order of their ids; all have an embedding.
    picture
        Returns the file of an image's picture, relative to the folder.

    Returns
    -------
    int
        The length of the file's footer, with which a browser begins.
    """
    store = index.store
    positions = np.searchsorted(store.ids(model, "images"), [row["image_id"].encode() for row in images])
    columns: dict[str, pa.Array] = {
        "image_id": pa.array([row["image_id"] for row in images], pa.string()),
        "name": pa.array([file_name(row["uri"]) for row in images], pa.string()),
        "label": pa.array([row["label"] for row in images], pa.string()),
        "picture": pa.array([picture(row["image_id"]) for row in images], pa.string()),
        "embedding": _halves(store.embeddings(model, "images")[positions]),
    }
    for head in store.heads(model):
        columns[head_column(*head)] = _halves(store.head(model, "images", head)[positions])
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    pq.write_table(
        table, file, row_group_size=max(1, len(table)), compression="none", use_dictionary=False, write_statistics=False
    )
    return int(pq.read_metadata(file).serialized_size) + 8  # the length of the footer, and PAR1, stand after it


def _halves(matrix: np.ndarray) -> pa.Array:
    """Make a column of vectors; a row of NaN is null."""
    kind = pa.field("element", pa.float16(), nullable=False)
    values = pa.array(np.nan_to_num(matrix).astype(np.float16).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(
        values, type=pa.list_(kind, matrix.shape[1]), mask=pa.array(np.isnan(matrix).any(axis=1))
    )
