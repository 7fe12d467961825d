"""What the catalog says of a model's heads: bases, means and properties."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np

from clipdb.schema.aligned_texts import STORED, Aligner, stored_aligner
from clipdb.schema.names import PARTS, Head

HEADS = (
    "select h.layer, h.head, h.basis, h.mean, m.embed_dim, p.property "
    f"from {PARTS} h join models m using (model_id) left join head_properties p using (model_id, layer, head) "
    "where model_id = ? and h.size is not null order by h.layer, h.head"
)


@dataclass(frozen=True)
class ModelHeads:
    """A model's heads.

    Attributes
    ----------
    bases
        Q, float32 ``[D, r]`` by head or other component; one array for all whose basis is the identity.
    means
        Mean of y over the model's images, float32 ``[r]`` likewise.
    properties
        Current property by head, of the heads that have one.
    aligner
        What maps a CLIP model's texts to the model, where it has no text tower.
    """

    bases: dict[Head, np.ndarray]
    means: dict[Head, np.ndarray]
    properties: dict[Head, str]
    aligner: Aligner | None


def read_model_heads(connection: duckdb.DuckDBPyConnection, model_id: str) -> ModelHeads:
    """Read them from the catalog; heads that were imported without vectors are left out."""
    rows = connection.execute(HEADS, [model_id]).fetchnumpy()
    bases, means, properties = {}, {}, {}
    eye: np.ndarray | None = None  # of all heads whose basis it is
    for layer, head, basis, mean, dim, name in zip(*(rows[column] for column in rows), strict=True):
        key = (int(layer), int(head))
        if isinstance(basis, np.ndarray) and basis.ndim:
            bases[key] = np.asarray(basis, np.float32).reshape(int(dim), -1)
        else:
            eye = np.eye(int(dim), dtype=np.float32) if eye is None else eye
            bases[key] = eye
        if isinstance(mean, np.ndarray) and mean.ndim:  # null is a masked array without axes
            means[key] = np.asarray(mean, np.float32)
        if isinstance(name, str):
            properties[key] = name
    aligner = stored_aligner(connection.execute(STORED, [model_id]).fetchall())
    return ModelHeads(bases, means, properties, aligner)
