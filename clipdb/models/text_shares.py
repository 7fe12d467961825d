"""What the heads of a text tower give to a cosine; apart from what computes it, which needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TextShares:
    """A cosine with a text's embedding, split by the heads of the text tower and by the tokens that they read.

    Attributes
    ----------
    tokens
        The text's tokens, ``T`` of them, with start and end mark and what padding is run.
    heads
        Share of each head by token, float64 ``[layers, H, T]``.
    rest
        Share of all that is no head: MLPs, biases, and the token's own embedding.
    cosine
        Of the text's embedding, as the tower itself gives it.
    """

    tokens: Sequence[str]
    heads: np.ndarray
    rest: float
    cosine: float
