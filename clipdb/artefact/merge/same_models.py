"""Are the models of an artefact those of an index: the same weights, seen in the same bases?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from clipdb.artefact.format import relation_path
from clipdb.artefact.merge.row_values import parsed
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.errors import ClipdbError
from clipdb.schema.names import MANIFEST, PARTS, STRAY, Head, head_name

# How far Q^T Q may be from the identity, and how far a basis may lie outside the span of another of the same head.
_ORTHONORMAL = 1e-3
_SAME_SPAN = 1e-4
_HEADS_AT_ONCE = 32
_SAME_SCALE = 1e-4  # relative; the scale's exponential is taken in float32

_KEY = "model_id, layer, head"
_STATISTICS = "mean, total_variance, effective_rank"
_GEOMETRY = ("layers", "heads", "head_dim", "width", "embed_dim", "patch_size", "image_size", "pooling", "pool_heads")

_STRAY = f"""
select model_id, layer, head from heads h join their_models m using (model_id)
where {STRAY.format(head="h")} order by all limit 1
"""

Rotations = dict[str, dict[Head, np.ndarray]]


def check_models(connection: duckdb.DuckDBPyConnection, artefact: Artefact, index: Path) -> None:
    """Check that models which index and artefact share are the same model.

    Raises
    ------
    ClipdbError
        Naming what differs: weights, preprocessing or geometry. No choice of whose row to take mends that. Or where
        the manifest says something else of a model than the relations.
    """
    ours, theirs = _models(connection, "models"), _models(connection, "their_models")
    with_vectors = {row[0] for row in connection.execute("select distinct model_id from batches").fetchall()}
    has_vectors = {entry.model_id: bool(entry.images or entry.texts) for entry in artefact.manifest.models}
    if lacking := sorted(set(has_vectors) - set(theirs)):
        path = artefact.directory / relation_path("models")
        raise ClipdbError(f"{path} lacks {lacking[0]}, which the manifest names: get the artefact again")
    layers = dict(
        connection.execute(
            "select model_id, list(distinct layer order by layer) from their_heads group by model_id"
        ).fetchall()
    )
    for entry in artefact.manifest.models:
        row = theirs[entry.model_id]
        facts = {
            "weights_sha256": row["weights_sha256"],
            "preprocess": parsed(row["preprocess"]),
            "layers": tuple(layers.get(entry.model_id, ())),
        }
        for name, fact in facts.items():
            if getattr(entry, name) != fact:
                raise ClipdbError(
                    f"{artefact.directory}: {MANIFEST} and the relations differ in the {name} of {entry.model_id}: "
                    "get the artefact again"
                )
    stray = connection.execute(_STRAY).fetchone()  # which was only named, before the index had the model
    if stray is not None:
        model, layer, head = stray
        raise ClipdbError(
            f"{index} names {head_name(layer, head)} of {model}, a head that the model in {artefact.directory} has not"
            ": import it into another index"
        )
    for model in sorted(set(ours) & set(theirs)):
        both = model in with_vectors and has_vectors.get(model, False)
        if difference := _difference(ours[model], theirs[model], strict=both):
            raise ClipdbError(
                f"{artefact.directory} has a {model} with {difference} than that of {index}: "
                "import it into another index"
            )


def _models(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, dict[str, Any]]:
    found = connection.execute(f"select * replace (preprocess::varchar as preprocess) from {table}")
    names = [column[0] for column in found.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["model_id"]: row for row in rows}


def _difference(ours: dict[str, Any], theirs: dict[str, Any], strict: bool) -> str | None:
    """Return how two rows are of different models; what one side doesn't know is no difference unless strict."""

    def differs(name: str) -> bool:
        one, other = ours[name], theirs[name]
        if one is None or other is None:
            return strict and one is not other
        if name == "preprocess":
            return bool(parsed(one) != parsed(other))
        if name == "logit_scale":
            return not math.isclose(one, other, rel_tol=_SAME_SCALE)
        return bool(one != other)

    same_tensors = ours["tensors_sha256"] is not None and ours["tensors_sha256"] == theirs["tensors_sha256"]
    if differs("weights_sha256") and not same_tensors:
        return "other weights"
    if differs("preprocess"):
        return "another preprocessing"
    return next((f"another {name}" for name in (*_GEOMETRY, "logit_scale") if differs(name)), None)


def check_bases(connection: duckdb.DuckDBPyConnection, artefact: Artefact, index: Path) -> Rotations:
    """Check the bases of an artefact's heads, and find how to turn vectors of theirs into ours.

    An SVD may give two machines different bases of one and the same space. With theirs Q_t and ours Q_o, a head's
    contribution is Q_t y = Q_o (Q_o^T Q_t) y where the span is the same, so its vector in our basis is Q_o^T Q_t y.

    Returns
    -------
    dict
        By model and head, Q_o^T Q_t ``[k, k]`` of the heads whose basis is not bitwise ours.

    Raises
    ------
    ClipdbError
        If a basis is not orthonormal, or spans something else than ours.
    """
    rotations: Rotations = {}
    rows = connection.execute(
        "select t.model_id, t.layer, t.head, m.embed_dim, t.basis, "
        "case when o.basis is distinct from t.basis then o.basis end, "
        "o.size is not null and (o.basis is null) != (t.basis is null) "
        f"from their_parts t join their_models m using (model_id) left join {PARTS} o using (model_id, layer, head) "
        "where t.size is not null and coalesce(t.basis, o.basis) is not null order by t.model_id, t.layer, t.head"
    ).to_arrow_reader(_HEADS_AT_ONCE)
    for *key, theirs, ours, one_whole in (row for batch in rows for row in zip(*batch.columns, strict=True)):
        model, layer, head, size = (value.as_py() for value in key)
        elsewhere = ClipdbError(
            f"{artefact.directory} has {head_name(layer, head)} of {model} in another space than {index} has: "
            "import it into another index"
        )
        if one_whole.as_py():  # one of the two is the identity
            raise elsewhere
        q_theirs = _matrix(theirs, size)
        product = q_theirs.T @ q_theirs
        expected = np.diag((np.diag(product) > 0.5).astype(np.float64))
        if not np.abs(product - expected).max(initial=0.0) <= _ORTHONORMAL:
            path = artefact.directory / relation_path("heads")
            raise ClipdbError(f"{path}: the basis of {head_name(layer, head)} of {model} is not orthonormal")
        if not ours.is_valid:
            continue
        q_ours = _matrix(ours, size)
        if q_ours.shape != q_theirs.shape or not _same_span(q_ours, q_theirs):
            raise elsewhere
        rotations.setdefault(model, {})[layer, head] = q_ours.T @ q_theirs
    return rotations


def _matrix(basis: pa.ListScalar, size: int) -> np.ndarray:
    return basis.values.to_numpy(zero_copy_only=False).astype(np.float64).reshape(size, -1)


def _same_span(one: np.ndarray, other: np.ndarray) -> bool:
    def outside(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a @ (a.T @ b) - b))

    return max(outside(one, other), outside(other, one)) <= _SAME_SPAN


def merge_models(connection: duckdb.DuckDBPyConnection, theirs_first: bool) -> None:
    """Write models, heads and components: what is not there, and what our rows don't know.

    Statistics of heads that are there already are kept: they are of the index's own images.
    """
    connection.execute("insert or ignore into models by name from their_models")
    known = ", ".join(
        f"{name} = coalesce(models.{name}, t.{name})"
        for name in (
            *_GEOMETRY,
            "preprocess",
            "config",
            "weights_sha256",
            "tensors_sha256",
            "logit_scale",
            "logit_bias",
            "base",
        )
    )
    adapter = "coalesce(t.adapter, models.adapter)" if theirs_first else "coalesce(models.adapter, t.adapter)"
    connection.execute(
        f"update models set {known}, adapter = {adapter}, "
        "reconstruction_error = greatest(models.reconstruction_error, t.reconstruction_error), "
        "storage_error = greatest(models.storage_error, t.storage_error) "
        "from their_models t where t.model_id = models.model_id"
    )
    connection.execute(
        f"insert into bases by name select {_KEY}, basis, size, tail, written from their_parts "
        f"anti join bases using ({_KEY}) where size is not null"
    )
    connection.execute(
        f"insert into head_statistics by name select {_KEY}, {_STATISTICS} from their_parts "
        f"anti join head_statistics using ({_KEY})"
    )
    filled = ", ".join(f"{name} = coalesce(ours.{name}, t.{name})" for name in _STATISTICS.split(", "))
    connection.execute(
        f"update head_statistics ours set {filled} from their_parts t where (t.model_id, t.layer, t.head) = "
        "(ours.model_id, ours.layer, ours.head) and ours.mean is null and t.mean is not null"
    )


def take_statistics(connection: duckdb.DuckDBPyConnection, model_id: str) -> None:
    """Take the artefact's statistics of a model's heads, as when its images are all that the index has."""
    connection.execute(
        "update head_statistics ours "
        "set mean = t.mean, total_variance = t.total_variance, effective_rank = t.effective_rank "
        "from their_parts t where t.model_id = ? and (t.model_id, t.layer, t.head) = "
        "(ours.model_id, ours.layer, ours.head) and (t.mean, t.total_variance, t.effective_rank) is distinct from "
        "(ours.mean, ours.total_variance, ours.effective_rank)",
        [model_id],
    )
