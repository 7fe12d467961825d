"""What clipdb needs to know of an image tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch


@dataclass(frozen=True)
class Captured:
    """One forward pass with its heads.

    Attributes
    ----------
    embedding
        Image embeddings before normalisation, float32 ``[batch, D]``.
    heads
        Head outputs at the pooled token over the final LayerNorm's sigma, ``z[l, h] / sigma``: float32
        ``[batch, layer, H, k]``, layers in the order that was asked for.
    """

    embedding: torch.Tensor
    heads: torch.Tensor


@dataclass(frozen=True)
class CapturedTokens:
    """One forward pass with its heads, token by token.

    Attributes
    ----------
    embedding
        As in `Captured`.
    tokens
        What each token gives to the head's output: over tokens it adds up to `Captured.heads`. float32
        ``[batch, layer, H, tokens, k]``, the tokens that are no patch first, then the patches row by row.
    """

    embedding: torch.Tensor
    tokens: torch.Tensor


class Adapter(Protocol):
    """A family of image towers, all of whose heads write linearly into the embedding once sigma is known."""

    name: str
    pooling: str
    layers: int
    heads: int
    head_dim: int
    width: int
    embed_dim: int
    patch_size: int
    image_size: int
    other_tokens: Sequence[str]
    """Names of the tokens that are no patch, which come before the patches."""

    def __init__(self, visual: Any) -> None: ...

    @staticmethod
    def misfit(visual: Any) -> str | None:
        """Return why the family doesn't fit this tower; None where it does."""

    def capture(self, images: torch.Tensor, layers: Sequence[int]) -> Captured:
        """Embed images ``[batch, 3, S, S]`` and keep the heads of some layers, at the cost of a forward pass."""

    def capture_tokens(self, images: torch.Tensor, layers: Sequence[int]) -> CapturedTokens:
        """Embed images and keep the heads of some layers token by token, at the cost of a forward pass."""

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h]`` of every head of a layer, float64 ``[H, D, k]``: c = B z / sigma."""

    def rest(self, images: torch.Tensor) -> torch.Tensor:
        """Sum all components that are not heads, each from its own module output: float32 ``[batch, D]``."""
