"""What has to hold of every row of an artefact's relations, whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import duckdb

from clipdb.artefact.format import RELATIONS, relation_path
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.errors import ClipdbError
from clipdb.schema import tables
from clipdb.schema.names import (
    COMPONENT_NAME,
    COMPONENT_PARTITION,
    HEAD_NAME,
    MODEL_NAME,
    MOST_NAME,
    MOST_PROPERTY,
    PARTITION,
    STRAY,
)

_MODEL = f"length(model_id) <= {MOST_NAME} and {MODEL_NAME.format(column='model_id')}"
_HEX = "regexp_full_match({}, '[0-9a-f]{{64}}')"
_STATUS = "status in ('ok', 'rejected', 'error')"
_PROPERTY = f"coalesce(length(property), 0) <= {MOST_PROPERTY}"
_OF_HEAD = "(model_id, layer, head) in (select (model_id, layer, head) from their_heads)"
_OF_TEXT = "text_id in (select text_id from their_texts union all select text_id from texts)"
_OF_IMAGE = "{} in (select image_id from their_images union all select image_id from images)"
_OF_SET = (
    "list_has_all((select list(name) from their_heads h where h.model_id = t.model_id), string_split(ablated, ','))"
)
_SIZES = "width, embed_dim, image_size, coalesce(patch_size, 1), coalesce(pool_heads, 1)"

_ACCURACIES = (
    *("before", "direct", "causal", "causal_low", "causal_high"),
    *("control_direct", "control_causal", "control_low", "control_high"),
)


def _finite(*columns: str) -> str:
    return " and ".join(f"isfinite(coalesce({column}, 0))" for column in columns)


def _numbers(column: str, length: str) -> str:
    """A list that is null, or so long and of finite numbers."""
    return (
        f"({column} is null or (len({column}) = {length} and "
        f"list_bool_and(list_transform({column}, lambda x: coalesce(isfinite(x), false)))))"
    )


_BASIS = (
    _numbers("basis", "len(basis)") + " and (select size between 1 and embed_dim and size * embed_dim <= 100000000 "
    "and coalesce(len(basis), embed_dim * embed_dim) = size * embed_dim "
    "from their_models m where m.model_id = t.model_id)"
)

# What must be true, by what is said where it is not: also all that `clipdb verify` asks of relations.
_RULES: dict[str, dict[str, str]] = {
    "models": {
        "is no model name": _MODEL,
        "has sizes that no model has": f"least({_SIZES}) >= 1 and least(layers, heads, head_dim) >= 0 and "
        f"layers + coalesce(pool_heads, 0) >= 1 and greatest({_SIZES}, layers, heads, head_dim, pool_heads) <= 1000000",
        "has no SHA-256 of weights": f"coalesce({_HEX.format('weights_sha256')}, true)",
        "has numbers that are not finite": _finite(
            "logit_scale", "logit_bias", "reconstruction_error", "storage_error"
        ),
        "has a preprocess that is not JSON": "coalesce(json_valid(preprocess::varchar), true)",
        "has a config that is not JSON": "coalesce(json_valid(config::varchar), true)",
        "has no SHA-256 of tensors": f"coalesce({_HEX.format('tensors_sha256')}, true)",
        "has a base that is no model name": f"base is null or ({_MODEL.replace('model_id', 'base')})",
    },
    "heads": {
        # Heads that were only named may be of a model that nobody here has.
        "is of no model": _MODEL,
        "is a head that its model has not": f"""layer >= -1 and head >= 0 and not exists (
            select 1 from (from their_models union all by name from models) m
            where m.model_id = t.model_id and {STRAY.format(head="t")})""",
        "has another name": f"name = {HEAD_NAME} and partition = {PARTITION}",
        "is of a model that doesn't exist": "t.model_id in (select model_id from their_models) "
        "or (basis is null and coalesce(size, total_variance, effective_rank) is null)",
        "has a basis of another shape, or not of finite numbers": f"if(size is null, basis is null, {_BASIS})",
        "has a mean of another shape, or not of finite numbers": _numbers("mean", "size"),
        "has statistics that are not finite": _finite("total_variance", "effective_rank"),
        "has a tail that is no share": _finite("tail", "written") + " and coalesce(tail between 0 and 1, true)",
    },
    "components": {
        "is of a model that doesn't exist": "t.model_id in (select model_id from their_models)",
        "is a component that its model has not": "(head = -1 and layer >= -1 or head = -2 and layer in (-1, -2)) and "
        "layer < (select layers from their_models m where m.model_id = t.model_id)",
        "has another name": f"name = {COMPONENT_NAME} and partition = {COMPONENT_PARTITION}",
        "has a basis of another shape, or not of finite numbers": f"size is not null and {_BASIS}",
        "has a mean of another shape, or not of finite numbers": _numbers("mean", "size"),
        "has statistics that are not finite": _finite("total_variance", "effective_rank"),
    },
    "aligners": {
        "is of a model that doesn't exist": "t.model_id in (select model_id from their_models)",
        "has a target that is no model name": _MODEL.replace("model_id", "target"),
        "has a matrix of another shape, or not of finite numbers": _numbers("matrix", "len(matrix)")
        + " and len(matrix) between 1 and 100000000 and (select len(t.matrix) % embed_dim = 0 "
        "from their_models m where m.model_id = t.model_id)",
        "has numbers that are not finite": _finite("r2", "ridge") + " and r2 <= 1 and images >= 0",
    },
    "images": {
        "is no SHA-256": _HEX.format("image_id"),
        "has no size": "coalesce(width, 1) >= 1 and coalesce(height, 1) >= 1",
        "has metadata that are not JSON": "coalesce(json_valid(metadata::varchar), true)",
    },
    "pairs": {
        "is of an image that doesn't exist": f"{_OF_IMAGE.format('image_a')} and {_OF_IMAGE.format('image_b')}",
        "has an image twice, or the second first": "image_a < image_b",
        "has text that is empty or too long": " and ".join(
            f"length({name}) between 1 and {MOST_PROPERTY}" for name in ("attribute", "value_a", "value_b")
        ),
        "has one value twice": "value_a <> value_b",
    },
    "texts": {"is not the SHA-256 of its text": "text_id = sha256(text)"},
    "pool_texts": {
        "is no SHA-256": _HEX.format("text_id"),
        "is of a text that doesn't exist": _OF_TEXT,
        "is of a pool that doesn't exist": "pool in (select pool from their_pools union all select pool from pools)",
        "has no place": "position >= 0",
        "has a property that is too long": _PROPERTY,
    },
    "spans": {
        "is of a head that doesn't exist": _OF_HEAD,
        "has no rank": "rank >= 1",
        "is not the SHA-256 of its text": "text_id = sha256(text)",
        "is of a text that doesn't exist": _OF_TEXT,
        "has variances that are not finite": _finite("variance_explained", "cumulative_variance"),
        "has a stability that is not between 0 and 1": "coalesce(stability between 0 and 1, true)",
    },
    "directions": {
        "is of a head that doesn't exist": _OF_HEAD,
        "has no source": "source in ('weights', 'principal')",
        "has no place": "direction >= 1",
        "has a share, fit or stability that is not between 0 and 1": " and ".join(
            f"coalesce({name} between -1e-6 and 1 + 1e-6, true)"
            for name in ("share", "fit", "opposite_fit", "stability")
        ),
        "has a vector of no unit length": _numbers("vector", "len(vector)")
        + " and abs(list_sum(list_transform(vector, lambda x: x * x)) - 1) < 1e-3",
        "has texts that are not JSON": "json_valid(texts::varchar) and json_valid(opposite::varchar)",
    },
    "labels": {
        "is of a head that doesn't exist": _OF_HEAD,
        "has a property that is too long": _PROPERTY,
        "has no status": _STATUS,
        "has a confidence that is not between 0 and 1": "coalesce(confidence between 0 and 1, true)",
    },
    "label_scores": {
        "is of a head that doesn't exist": _OF_HEAD,
        "has a property that is too long": _PROPERTY,
        "has a share that is not finite or over 1": f"{_finite('share')} and share <= 1",
        "has a chance that is not finite": _finite("chance"),
    },
    "judgements": {
        "is of a head that doesn't exist": _OF_HEAD,
        "is no SHA-256": _HEX.format("text_id"),
        "is of a text that doesn't exist": _OF_TEXT,
        "has a property that is too long": _PROPERTY,
        "has no status": _STATUS,
    },
    "effects": {
        "is of a head that doesn't exist": _OF_SET,
        "is of no way to ablate": "(mode, mean) in (('mean', 'token'), ('mean', 'global'), ('zero', 'none')) "
        "and tokens in ('all', 'class-token')",
        "is of no part of the images": "part in ('all', 'class', 'worst group') and (part = 'all') = (class_name = '')",
        "has text that is empty or too long": " and ".join(
            f"length({name}) between 1 and {MOST_PROPERTY}" for name in ("target", "template")
        )
        + f" and length(class_name) <= {2 * MOST_PROPERTY} and {_PROPERTY}",
        "has accuracies that are not between 0 and 1": " and ".join(
            f"coalesce({name} between 0 and 1, true)" for name in _ACCURACIES
        ),
        "has differences that are not between -1 and 1": " and ".join(
            f"coalesce({name} between -1 and 1, true)" for name in ("difference", "difference_low", "difference_high")
        ),
        "has counts under 0": "images >= 1 and controls >= 0",
        "is no SHA-256": _HEX.format("images_sha256"),
    },
    "runs": {
        "has arguments or versions that are not JSON": "coalesce(json_valid(arguments::varchar), true) and "
        "coalesce(json_valid(versions::varchar), true)",
        "has counts under 0": "least(coalesce(added, 0), coalesce(skipped, 0), coalesce(failed, 0)) >= 0",
    },
}


def check_values(connection: duckdb.DuckDBPyConnection, artefact: Artefact) -> None:
    """Check the staged relations of an artefact.

    Raises
    ------
    ClipdbError
        Naming the table and the key of the first row that can't be.
    """
    for table in RELATIONS:
        relation = tables.metadata.tables[table]
        keys = [column.name for column in relation.primary_key]
        filled = [column.name for column in relation.columns if not column.nullable]
        listed = ", ".join(keys)
        rules = {"has a null where none may be": " and ".join(f"{name} is not null" for name in filled)}
        rules |= _RULES.get(table, {})
        kept = ", ".join(f"bool_and(({rule}) is true)" for rule in rules.values())
        once = f"count(distinct ({listed})) = count(*)"
        all_kept = connection.execute(f"select {kept}, {once} from their_{table} t").fetchone()
        assert all_kept is not None
        if False not in all_kept:
            continue
        for problem, rule in rules.items():
            query = f"select {listed} from their_{table} t where ({rule}) is not true order by all limit 1"
            _refuse_any(connection, artefact, table, query, problem)
        query = f"select {listed} from their_{table} group by all having count(*) > 1 order by all limit 1"
        _refuse_any(connection, artefact, table, query, "comes twice")


def key_text(connection: duckdb.DuckDBPyConnection, row: tuple[object, ...]) -> str:
    """Write the key that the last query gave, for a message."""
    names = [column[0] for column in connection.description or ()]
    return ", ".join(f"{name} {short(value)}" for name, value in zip(names, row, strict=True))


def short(value: object) -> str:
    """Write a value of an artefact on one line of a message."""
    text = repr(str(value))[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."


def parsed(text: str | None) -> Any:
    """Read JSON; what is nested too deeply for that stays text."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _refuse_any(
    connection: duckdb.DuckDBPyConnection, artefact: Artefact, table: str, query: str, problem: str
) -> None:
    row = connection.execute(query).fetchone()
    if row is not None:
        path = artefact.directory / relation_path(table)
        raise ClipdbError(f"{path}: {key_text(connection, row)} {problem}: get the artefact from whoever made it")
