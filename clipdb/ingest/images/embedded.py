"""Images that the model has run over, as rows of the images table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.models.decomposition import Decomposer
from clipdb.models.rank_cut import Loss
from clipdb.schema.names import REST, Head, head_column
from clipdb.schema.vectors import images_schema


@dataclass(frozen=True)
class Embedded:
    """A batch that waits for its commit.

    Attributes
    ----------
    rows
        Of the table ``images``.
    ids
        Of the images, ``[n]``.
    embedding, norm, heads, components
        What `clipdb.models.decomposition.Decomposer` makes of them: ``[n, D]``, ``[n]``, ``[n, H, r]`` by layer, and
        ``[n, r]`` by part that is no head. Heads may be cut.
    loss
        What cut heads lack.
    """

    rows: list[dict[str, Any]]
    ids: np.ndarray
    embedding: np.ndarray
    norm: np.ndarray
    heads: dict[int, np.ndarray]
    components: dict[Head, np.ndarray]
    loss: Loss | None = None


def vector_schema(decomposer: Decomposer, bases: Mapping[Head, np.ndarray]) -> pa.Schema:
    """Lay out the images table of a model, with a column for each head and component, as large as its basis."""
    return images_schema(decomposer.adapter.embed_dim, {head: basis.shape[1] for head, basis in bases.items()})


def vector_rows(batches: Sequence[Embedded], decomposer: Decomposer, bases: Mapping[Head, np.ndarray]) -> pa.Table:
    """Lay out batches as rows of the images table."""
    columns = {
        "image_id": pa.array(np.concatenate([batch.ids for batch in batches]).tolist(), pa.utf8()),
        "embedding": vector_column(np.concatenate([batch.embedding for batch in batches])),
        "norm": pa.array(np.concatenate([batch.norm for batch in batches]), pa.float32()),
    }
    for layer in decomposer.layers:
        heads = np.concatenate([batch.heads[layer] for batch in batches])
        for head in range(heads.shape[1]):
            columns[head_column(layer, head)] = vector_column(heads[:, head])
    for part in decomposer.components:
        vectors = np.concatenate([batch.components[part] for batch in batches])
        columns[head_column(*part)] = vector_column(vectors, np.float32 if part[1] == REST else np.float16)
    schema = vector_schema(decomposer, bases)
    return pa.table(list(columns.values()), schema=pa.schema([schema.field(name) for name in columns]))
