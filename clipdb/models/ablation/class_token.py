"""Ablation in open_clip's own vision transformer, pooled at its class token."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from clipdb.models.ablation.edit import Edit
from clipdb.models.towers.open_clip_class_token import OpenClipClassToken


class ClassTokenRun:
    """A forward pass over images ``[batch, 3, S, S]`` that can be continued with other outputs of heads.

    Nothing reads the patches behind the last layer's attention, so there only the class token is computed.

    Parameters
    ----------
    tower
        The tower.
    images
        Preprocessed images.
    layers
        Layers whose heads are to be ablated.
    every_token
        Whether the last layer's heads are wanted at every token.

    Attributes
    ----------
    outputs
        Heads' outputs before the output projection by layer, ``[batch, tokens, H, k]``.
    embedding
        What the model gives with all its heads, float32 ``[batch, D]``.
    nbytes
        How much memory it takes to keep this for later, about.
    """

    @torch.inference_mode()
    def __init__(
        self, tower: OpenClipClassToken, images: torch.Tensor, layers: Collection[int], every_token: bool = False
    ) -> None:
        self._tower, self._every_token = tower, every_token
        self._before: dict[int, torch.Tensor] = {}
        self.outputs: dict[int, torch.Tensor] = {}
        x = tower.visual._embeds(images)
        for layer, block in enumerate(tower.blocks):
            z = self._attend(layer, x)
            if layer in layers:
                self._before[layer], self.outputs[layer] = x, z
            x = self._after(block, x, z)
        self.embedding = tower._embed(x[:, 0]).float()
        self.nbytes = sum(one.nbytes for kept in (self._before, self.outputs) for one in kept.values())

    @torch.inference_mode()
    def without(self, edits: Mapping[int, Edit]) -> torch.Tensor:
        """Run the model on from the first edited layer: its embedding, float32 ``[batch, D]``."""
        first = min(edits)
        x = self._before[first]
        for layer in range(first, self._tower.layers):
            z = self.outputs[layer] if layer == first else self._attend(layer, x)
            x = self._after(self._tower.blocks[layer], x, edits[layer](z) if layer in edits else z)
        return self._tower._embed(x[:, 0]).float()

    def _attend(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        block, whole = self._tower.blocks[layer], self._every_token or layer < self._tower.layers - 1
        attend = self._tower.attend if whole else self._tower._attend_from_class_token
        return attend(block.attn, block.ln_1(x))

    def _after(self, block: Any, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        x = x[:, : z.shape[1]] + self._tower._write(block, z)
        return x.add_(block.ls_2(block.mlp(block.ln_2(x))))
