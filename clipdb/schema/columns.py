"""Columns that several relations have, and how one is declared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, REAL, Column, Double, Integer, Text


def key(name: str, kind: Any, comment: str) -> Column[Any]:
    """Declare a column of the primary key."""
    return Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def need(name: str, kind: Any, comment: str) -> Column[Any]:
    """Declare a column that is never null."""
    return Column(name, kind, nullable=False, comment=comment)


def may(name: str, kind: Any, comment: str) -> Column[Any]:
    """Declare a column that may be null."""
    return Column(name, kind, nullable=True, comment=comment)


def basis() -> Column[Any]:
    """Declare a head's basis."""
    return may(
        "basis",
        ARRAY(REAL),
        "Q, orthonormal columns (zero in null directions), flattened row-major, shape [embed_dim, size]: "
        "a vector y stands for the contribution Q y in joint space, relative to the embedding's norm; null where "
        "Q is the identity, or the head is known by name only",
    )


def size() -> Column[Any]:
    """Declare the size of a head's vectors."""
    return may(
        "size",
        Integer,
        "Numbers in a vector of the head: head_dim as a rule, up to embed_dim in the layers in front of an attention "
        "pooling; null for a head known by name only",
    )


def statistics() -> list[Column[Any]]:
    """Declare the statistics of a head's vectors."""
    return [
        may("mean", ARRAY(REAL), "Mean of the head's vectors over the model's images, shape [size]"),
        may("total_variance", Double, "Trace of the covariance of the head's vectors over the model's images"),
        may("effective_rank", Double, "exp(entropy of the covariance's normalised eigenvalues), 1..size"),
    ]


def model() -> Column[Any]:
    """Declare the key of a model."""
    return key("model_id", Text, "Model with weights: ARCH/PRETRAINED, as open_clip names them, or hf:ORG/NAME")


def layer() -> Column[Any]:
    """Declare the key of a layer."""
    return key("layer", Integer, "Layer of the image tower, counted from 0; -1 for the heads of an attention pooling")


def head() -> Column[Any]:
    """Declare the key of a head within its layer."""
    return key("head", Integer, "Head within its layer, counted from 0")


def run() -> Column[Any]:
    """Declare the run that wrote a row."""
    return need("run", Text, "Run that wrote the row (runs.run)")


def run_key() -> Column[Any]:
    """Declare the run that wrote a row, as part of its key."""
    return key("run", Text, "Run that wrote the row (runs.run); run ids sort by time")


def error() -> Column[Any]:
    """Declare what went wrong."""
    return may("error", Text, "What went wrong, in one line; null where status is ok")


def prompt() -> Column[Any]:
    """Declare the hash of a prompt."""
    return may("prompt_sha256", Text, "Hex SHA-256 of the prompt; null where none was sent")
