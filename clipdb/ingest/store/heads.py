"""Heads in the catalog: each one's basis, and the statistics of its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from clipdb.ingest.store.moments import Moments
from clipdb.ingest.store.rows import put, registered
from clipdb.ingest.store.writer import Reader
from clipdb.schema.basis_matrix import is_identity, stored_basis
from clipdb.schema.names import Head

if TYPE_CHECKING:  # which imports torch
    from clipdb.models.rank_cut import Loss


def store_bases(connection: duckdb.DuckDBPyConnection, model_id: str, bases: Mapping[Head, np.ndarray]) -> None:
    """Store heads with their bases Q, ``{(layer, head): [D, r]}``; a head that has one keeps it."""
    keys = [{"model_id": model_id, "layer": layer, "head": head} for layer, head in bases]
    put(connection, "head_statistics", keys)
    put(
        connection,
        "bases",
        [
            key | {"size": q.shape[1], "basis": None if is_identity(q) else q.astype(np.float32).ravel()}
            for key, q in zip(keys, bases.values(), strict=True)
        ],
    )


def stored_bases(reader: Reader, model_id: str, components: bool = False) -> dict[Head, np.ndarray]:
    """Read the bases of a model's heads, or of its other components, from the catalog, ``[D, r]`` each."""
    rows = reader.read(
        f"select layer, head, basis, embed_dim from {'components' if components else 'heads'} "
        "join models using (model_id) where model_id = ? and size is not null order by layer, head",
        model_id,
    )
    return {(layer, head): stored_basis(basis, dim) for layer, head, basis, dim in rows}


def cut_heads(reader: Reader, model_id: str) -> set[Head]:
    """Return the heads of a model whose basis is cut."""
    found = reader.read("select layer, head from bases where model_id = ? and tail is not null", model_id)
    return {(layer, head) for layer, head in found}


def store_losses(connection: duckdb.DuckDBPyConnection, model_id: str, losses: Sequence[Loss]) -> None:
    """Add what the vectors of a batch lack to what is known of the images before it."""
    if not losses:
        return
    known = connection.execute(
        "select layer, head, coalesce(tail, 0), coalesce(written, 0) from bases where model_id = ?", [model_id]
    ).fetchall()
    rows = []
    for layer, head, tail, before in known:
        if (layer, head) in losses[0].written:
            written = before + sum(float(one.written[layer, head].sum()) for one in losses)
            lost = tail * before + sum(float(one.lost[layer, head].sum()) for one in losses)
            row = {"layer": layer, "head": head, "written": written, "tail": lost / written if written else 0.0}
            rows.append(row)
    with registered(connection, rows) as source:
        connection.execute(
            f"update bases set tail = t.tail, written = t.written from {source} t "
            "where bases.model_id = ? and (bases.layer, bases.head) = (t.layer, t.head)",
            [model_id],
        )
    connection.execute(
        "update models set storage_error = greatest(storage_error, ?) where model_id = ?",
        [max(float(one.apart.max(initial=0.0)) for one in losses), model_id],
    )


def store_statistics(connection: duckdb.DuckDBPyConnection, model_id: str, moments: Mapping[Head, Moments]) -> None:
    """Write heads' mean, total variance and effective rank."""
    rows = [
        {
            "model_id": model_id,
            "layer": layer,
            "head": head,
            "mean": m.mean.astype(np.float32),
            "total_variance": m.total_variance,
            "effective_rank": m.effective_rank,
        }
        for (layer, head), m in moments.items()
    ]
    put(connection, "head_statistics", rows, replace=True)
