"""Models that an index has already: the same name must stay the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.ingest.store.writer import Reader
from clipdb.models.hugging_face.description import checked, is_description
from clipdb.models.loading import load
from clipdb.models.model import Model
from clipdb.models.model_config import Named, check
from clipdb.schema.layer_choice import heads_there_are


def _difference(reader: Reader, model: Model) -> str | None:
    """Return in which way the index has another model of the same name."""
    rows = reader.read(
        "select embed_dim, weights_sha256, tensors_sha256, preprocess::varchar, config::varchar from models "
        "where model_id = ?",
        model.model_id,
    )
    for embed_dim, weights, tensors, preprocess, config in rows:
        ours, has = model.adapter.embed_dim, f"{reader.index} has a {model.model_id} with"
        if embed_dim != ours:
            return f"{has} embeddings of size {embed_dim}, not {ours}"
        if weights not in (None, model.weights_sha256) and tensors != model.tensors_sha256:
            return f"{has} other weights (sha256 {weights[:12]}..., not {model.weights_sha256[:12]}...)"
        if preprocess is not None and _parsed(preprocess) != json.loads(model.preprocess.to_json()):
            return f"{has} another preprocessing"
        if config is not None and _lasting(_parsed(config)) != _lasting(model.config):
            return f"{has} another configuration"
    return None


def _stray(reader: Reader, model: Model) -> str | None:
    """Return which head the model has not that an import has named, before the index had the model."""
    tower = model.adapter
    stray = reader.read(
        "select name from heads where model_id = ? "
        "and (layer >= ? or head >= if(partition = 'pool', ?, ?)) order by layer, head limit 1",
        model.model_id,
        tower.layers,
        tower.pool_heads,
        tower.heads,
    )
    if not stray:
        return None
    named = f"{reader.index} names {stray[0][0]} of {model.model_id}"
    return f"{named}, which has {heads_there_are(tower.layers, tower.heads, tower.pool_heads)}"


def _lasting(config: Any) -> Any:
    """Leave out the commit of a repository: another one may have the same model, whose weights are compared anyway."""
    return {name: value for name, value in config.items() if name != "commit"} if isinstance(config, dict) else config


def _parsed(text: str) -> Any:
    """Read JSON that somebody else may have written into an artefact: None if it can't be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def remembered(reader: Reader, named: Named) -> Named:
    """Add what the index knows of a model and the user left out: its configuration, and where its weights were.

    A run that was imported doesn't say where (`clipdb.artefact.format.RUN_ARGUMENTS`), and so hides no run that does.

    Raises
    ------
    ClipdbError
        If the index has a configuration that can't be used: it may be from a stranger's export.
    """
    config, checkpoint = named.config, named.checkpoint
    if config is None:
        rows = reader.read("select config::varchar from models where model_id = ?", named.model_id)
        if rows and rows[0][0] is not None:
            stored, where = _parsed(rows[0][0]), f"the configuration of {named.model_id} in {reader.index}"
            config = checked(stored, where) if is_description(stored) else check(stored, where)
    if checkpoint is None:
        runs = reader.read(
            "select arguments->>'$.checkpoint' as checkpoint from runs where checkpoint is not null "
            "and command = 'ingest images' and (arguments->>'$.model') = ? order by run desc limit 1",
            named.model_id,
        )
        checkpoint = Path(runs[0][0]) if runs else None
    return Named(named.model_id, config, checkpoint)


def load_for(reader: Reader, named: Named, device: str, precision: str) -> Model:
    """Load a model for an ingest into an index, which may have it already.

    Raises
    ------
    ClipdbError
        If the weights can't be had, or the index has the name with other weights, preprocessing, embedding size or
        heads; it says which.
    """
    known = remembered(reader, named)
    model = load(known.model_id, known.checkpoint, device, precision, known.config)
    if difference := _difference(reader, model) or _stray(reader, model):
        raise ClipdbError(
            f"{difference}: give this one another name (--model ARCH/NAME --checkpoint FILE) or another index"
        )
    return model


def reload(reader: Reader, model_id: str, checkpoint: Path | None, device: str) -> Model:
    """Load a model of the index again, from where its ingest had the weights unless another file is given.

    Raises
    ------
    ClipdbError
        If the weights can't be had or are not those of the index.
    """
    known = remembered(reader, Named(model_id, None, checkpoint))
    model = load(model_id, known.checkpoint, device, config=known.config)
    if difference := _difference(reader, model):
        raise ClipdbError(f"{difference}: give the file that it was ingested with, --checkpoint FILE")
    return model
