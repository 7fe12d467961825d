"""Columns that several relations have, and how one is declared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, REAL, BigInteger, Column, Double, Integer, Text


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


def cut() -> list[Column[Any]]:
    """Declare what the vectors of a head lack whose basis is cut."""
    return [
        may(
            "tail",
            Double,
            "Share of the squared norm of what the head writes that its vectors lack (--rank-factor), over the images "
            "ingested; null where they hold all of it",
        ),
        may(
            "written",
            Double,
            "Sum over these images of the squared norm of what the head writes, relative to the embedding's; null "
            "where tail is",
        ),
    ]


def statistics() -> list[Column[Any]]:
    """Declare the statistics of a head's vectors."""
    return [
        may("mean", ARRAY(REAL), "Mean of the head's vectors over the model's images, shape [size]"),
        may("total_variance", Double, "Trace of the covariance of the head's vectors over the model's images"),
        may("effective_rank", Double, "exp(entropy of the covariance's normalised eigenvalues), 1..size"),
    ]


def aligner() -> list[Column[Any]]:
    """Declare what an aligner is, and how good."""
    return [
        need("target", Text, "The CLIP model whose texts are mapped"),
        need(
            "matrix",
            ARRAY(REAL),
            "W, flattened row-major, shape [embed_dim of the model, that of the target]: W^T e predicts the target's "
            "unit embedding of an image from the model's own, e",
        ),
        need(
            "r2", Double, "Share of the variance of the target's embeddings that W^T e predicts, over held-out images"
        ),
        need("ridge", Double, "Ridge that W was fitted with, as a share of the mean eigenvalue of the sum of e e^T"),
        need("images", BigInteger, "Images that both models share; every fifth by id was held out"),
    ]


def similarity() -> list[Column[Any]]:
    """Declare how alike two heads are."""
    return [
        may("overlap", Double, "||Q1^T Q2||^2 / rank of what both can write, 0..1; null if in different joint spaces"),
        may("cka", Double, "Linear CKA of their vectors, 0..1; null under 2 shared images or where one does not vary"),
        may("explained", Double, "Share of the head's variance that is linear in the other's vectors, adjusted R^2"),
        may("explained_other", Double, "Share of the other's variance that is linear in the head's vectors, likewise"),
        may(
            "distance",
            Double,
            "Mean squared distance of their contributions, each about its mean, as a share of the sum of variances: "
            "0 the same, 1 uncorrelated, 2 opposite; null if in different joint spaces",
        ),
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
