"""Do the stored parts of an embedding add up to it, where an index has all of them?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from clipdb.queries.index import Index
from clipdb.queries.vectors.model_heads import read_model_heads
from clipdb.schema.names import MLP, POOL, REST, TRUNK, Head, Partition, belongs_to
from clipdb.schema.vectors import part_columns

_IMAGES = 256
# How far sum and embedding may be apart: each vector is a float16, off by at most 2^-11 of its length.
_ROUNDING = 5e-3


def is_whole(parts: Collection[Head], partition: Partition, layers: int, heads: int, pool_heads: int) -> bool:
    """Return whether all parts of a partition are there.

    Parameters
    ----------
    parts
        What is there.
    layers, heads, pool_heads
        Of the model. An attention pooling behind a trunk is taken for one with an MLP, which not every one has; then
        this says no.
    """
    if partition == "trunk":
        wanted = {(layer, head) for layer in range(layers) for head in (MLP, *range(heads))}
        wanted.add((TRUNK, REST))
    else:
        wanted = {(POOL, REST), *((POOL, head) for head in range(pool_heads))}
    if layers and pool_heads:
        wanted.add((POOL, MLP))
    return wanted <= set(parts)


def sums_apart(index: Index, model: str) -> dict[Partition, float]:
    """Compare, for the first images of a model, the sum of all parts with the embedding.

    Returns
    -------
    dict
        The largest distance, by each partition of which all parts are stored; the embedding has length 1.
    """
    connection = index.bare_connection
    sizes = connection.execute("select layers, heads, coalesce(pool_heads, 0) from models where model_id = ?", [model])
    layers, heads, pool_heads = sizes.fetchall()[0]
    table = index.vectors.open(model, "images")
    columns = part_columns(table.schema)
    partitions: tuple[Partition, ...] = ("trunk", "pool") if pool_heads else ("trunk",)
    cut = connection.execute("select count(tail) from heads where model_id = ?", [model]).fetchall()[0][0]
    whole = [
        one for one in partitions if is_whole(columns, one, layers, heads, pool_heads) and not (cut and one == "trunk")
    ]
    if not whole:
        return {}
    bases = read_model_heads(connection, model).bases
    rows = table.to_table(columns=["embedding", *columns.values()], limit=_IMAGES).drop_null()
    read = {
        name: rows.column(name).combine_chunks().flatten().to_numpy().reshape(len(rows), -1).astype(np.float32)
        for name in rows.column_names
    }
    found: dict[Partition, float] = {}
    for partition in whole:
        total = sum(read[name] @ bases[part].T for part, name in columns.items() if belongs_to(part, partition))
        found[partition] = float(np.linalg.norm(total - read["embedding"], axis=1).max(initial=0.0))
    return found


def sum_problem(index: Index, model: str) -> str | None:
    """Say where the parts don't add up; None where they do, or where some are not stored."""
    wrong = [f"{by} by {apart:.1e}" for by, apart in sums_apart(index, model).items() if not apart <= _ROUNDING]
    return f"the sum is off: {', '.join(wrong)}" if wrong else None
