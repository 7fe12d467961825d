"""Aligners, which let a CLIP model's texts reach a model without a text tower: how one is read, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError

STORED = "select target, matrix, r2, embed_dim from aligners join models using (model_id) where model_id = ?"
"""SQL of what `stored_aligner` reads."""

WITHOUT_TEXTS = """
select model_id from models where logit_scale is null
and model_id not in (select model_id from aligners union all select model_id from batches where kind = 'texts')
"""
"""SQL of the models that no text reaches."""


@dataclass(frozen=True)
class Aligner:
    """A model's aligner.

    Attributes
    ----------
    target
        The CLIP model whose texts it maps.
    matrix
        W, float32 ``[D, E]``: a text t of the target is W t in the model's space.
    r2
        Share of the variance of the target's embeddings that it predicts, over held-out images.
    """

    target: str
    matrix: np.ndarray
    r2: float

    def __call__(self, texts: np.ndarray) -> np.ndarray:
        """Map directions of the target, a row each ``[n, E]``, to ``[n, D]``."""
        return texts @ self.matrix.T


def stored_aligner(rows: Sequence[tuple[Any, ...]]) -> Aligner | None:
    """Return a model's aligner, if it has one, from the rows of `STORED`."""
    if not rows:
        return None
    target, matrix, r2, size = rows[0]
    return Aligner(target, np.asarray(matrix, np.float32).reshape(size, -1), r2)


def no_text_tower(model_id: str) -> ClipdbError:
    """Make the error that says what lets texts reach a model without a text tower."""
    return ClipdbError(
        f"{model_id} has no text tower: `clipdb align --model {model_id} --to CLIP` lets the texts of a CLIP model of "
        "the same index reach it",
        kind="absent",
    )
