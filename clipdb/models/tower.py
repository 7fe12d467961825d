"""What clipdb needs to know of an image tower.

The embedding is the final LayerNorm at the pooled token x, projected: ``e = P^T (gamma (x - mean(x)) / sigma + beta)``.
x is a sum of what the stem, every head and every MLP write, and sigma apart, all that follows is linear. So e is a sum
(Gandelsman et al., arXiv 2310.05916, section 3):

- of every head ``B[l, h] z[l, h] / sigma``. z are the k numbers of the head at the pooled token before W_O, attention
  weights times values (with their bias), and ``B[l, h] = P^T diag(gamma) (I - 11^T/d) W_O[l][:, h]`` doesn't depend on
  the image;
- of the rest: the stem, the MLPs and the bias of each W_O, mapped as a head's output is, and ``P^T beta``.

That is a tower with a class token. What changes for others, and how all of it is read off a list of operations, is in
`clipdb.models.tracing`. A tower that pools by attention has heads there, too: with what follows the pooling they add up
to the embedding as well, which is a second partition of it. Their layer is called `POOL`.

`clipdb.models.proof.prove` adds up heads and rest on real images and compares with the model's own embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from clipdb.schema.names import POOL, Head, Partition

__all__ = ["POOL", "Adapter", "Captured", "CapturedTokens", "Partition", "partitions", "unread"]


@dataclass(frozen=True)
class Captured:
    """One forward pass with its heads.

    Attributes
    ----------
    embedding
        Image embeddings before normalisation, float32 ``[batch, D]``.
    heads
        What the maps of a layer's heads are applied to, ``z[l, h] / sigma`` for a class token: float32
        ``[batch, H, n]`` by layer.
    components
        What the maps of parts that are no heads are applied to: float32 ``[batch, n]``.
    """

    embedding: torch.Tensor
    heads: Mapping[int, torch.Tensor]
    components: Mapping[Head, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class CapturedTokens:
    """One forward pass with its heads, token by token.

    Attributes
    ----------
    embedding
        As in `Captured`.
    tokens
        What each token that a head looked at gives to its output: over tokens it adds up to `Captured.heads`. float32
        ``[batch, H, tokens, n]`` by layer, the tokens that are no patch first, then the patches row by row.
    """

    embedding: torch.Tensor
    tokens: Mapping[int, torch.Tensor]


class Adapter(Protocol):
    """A family of image towers: how to read heads and rest off any tower of the family.

    `clipdb.models.tracing.traced_tower.TracedTower` is one for all families that are described as a list of operations.

    Attributes
    ----------
    name
        Of the family.
    pooling
        What the index writes down about it: ``tok`` (a class token), ``avg`` or ``attention``.
    layers, heads
        How many layers the trunk has, and heads in each; 0 in a convolutional trunk.
    head_dim, width, embed_dim
        Sizes k of a head, d of the residual stream and D of the embedding.
    pool_heads, pool_head_dim
        How many heads the pooling has, and the size of one; 0 if it is no attention.
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
    pool_heads: int
    pool_head_dim: int
    patch_size: int
    image_size: int
    other_tokens: Sequence[str]

    def __init__(self, visual: Any) -> None:
        """Take the image tower of a model: ``model.visual`` of open_clip."""

    @staticmethod
    def misfit(visual: Any) -> str | None:
        """Return why the family doesn't fit this tower; None where it does."""

    def capture(self, images: torch.Tensor, layers: Sequence[int], components: Sequence[Head] = ()) -> Captured:
        """Embed images ``[batch, 3, S, S]`` and keep the heads of some layers, of which one may be `POOL`.

        It costs what a forward pass costs. ``components`` are those of the method `components` to keep.
        """

    def capture_tokens(self, images: torch.Tensor, layers: Sequence[int]) -> CapturedTokens:
        """Embed images and keep the heads of some layers token by token, at the cost of a forward pass."""

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h]`` of every head of a layer, float64 ``[H, D, n]``."""

    def rest(self, images: torch.Tensor, partition: Partition) -> torch.Tensor:
        """Sum what a partition has beside heads, float32 ``[batch, D]``.

        Each part comes from its own module's output, never as a difference.
        """

    def components(self) -> list[Head]:
        """List the parts of the embedding that are no heads, as `clipdb.schema.names.MLP` and ``REST`` name them.

        What a partition has beside heads is the sum of those that `clipdb.schema.names.belongs_to` it.
        """

    def component_map(self, component: Head) -> np.ndarray | None:
        """Return the map of such a part, float64 ``[D, n]``; None where what is captured is its contribution itself.

        What is left beside heads and MLPs is made of vectors that are the same for all images, each divided by a norm's
        sigma: then those are the columns, and the n numbers of an image are what they are divided by.
        """


def partitions(adapter: Adapter) -> dict[Partition, list[int]]:
    """Return the ways in which a tower's embedding splits into heads and a rest, each with all layers of its heads."""
    trunk: dict[Partition, list[int]] = {"trunk": list(range(adapter.layers))} if adapter.layers else {}
    return trunk | ({"pool": [POOL]} if adapter.pool_heads else {})


def unread(visual: Any) -> str:
    """Say that a tower is of a kind that a family doesn't read."""
    return f"its image tower is a {type(getattr(visual, 'trunk', visual)).__name__}, which no family reads"
