"""What clipdb needs to know of an image tower.

The embedding is the final LayerNorm at the pooled token x, projected: ``e = P^T (gamma (x - mean(x)) / sigma + beta)``.
x is a sum of what the stem, every head and every MLP write, and sigma apart, all that follows is linear. So e is a sum
(Gandelsman et al., arXiv 2310.05916, section 3):

- of every head ``B[l, h] z[l, h] / sigma``. z are the k numbers of the head at the pooled token before W_O, attention
  weights times values (with their bias), and ``B[l, h] = P^T diag(gamma) (I - 11^T/d) W_O[l][:, h]`` doesn't depend on
  the image;
- of the rest: the stem, the MLPs and the bias of each W_O, mapped as a head's output is, and ``P^T beta``.

If the tower averages tokens, ``z[l, h] / sigma`` is the mean over these tokens, each divided by its own sigma if the
LayerNorm comes before the mean, and by the sigma of the mean if it comes after.

`clipdb.models.decomposition.prove` adds up heads and rest on real images and compares with the model's own embedding.
"""

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
        ``z[l, h] / sigma``: float32 ``[batch, layer, H, k]``, layers in the order that was asked for.
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
    """A family of image towers: how to read heads and rest off any tower of the family.

    `clipdb.models.towers.open_clip_class_token` is one for open_clip's own transformer. A family that differs from it
    in its pooling can inherit all but ``pooled`` and the two captures.

    Attributes
    ----------
    name
        Of the family.
    pooling
        What the index writes down about it: open_clip's ``pool_type``.
    layers, heads
        How many layers, and heads in each.
    head_dim, width, embed_dim
        Sizes k of a head, d of the residual stream and D of the embedding.
    patch_size, image_size
        Sides in pixels.
    other_tokens
        Names of the tokens that are no patch, which come before the patches.
    """

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

    def __init__(self, visual: Any) -> None:
        """Take the image tower of a model: ``model.visual`` of open_clip."""

    @staticmethod
    def misfit(visual: Any) -> str | None:
        """Return why the family doesn't fit this tower; None where it does."""

    def capture(self, images: torch.Tensor, layers: Sequence[int]) -> Captured:
        """Embed images ``[batch, 3, S, S]`` and keep the heads of some layers, at the cost of a forward pass."""

    def capture_tokens(self, images: torch.Tensor, layers: Sequence[int]) -> CapturedTokens:
        """Embed images and keep the heads of some layers token by token, at the cost of a forward pass."""

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h]`` of every head of a layer, float64 ``[H, D, k]``."""

    def rest(self, images: torch.Tensor) -> torch.Tensor:
        """Sum the rest, each part from its own module's output, never as a difference: float32 ``[batch, D]``."""
