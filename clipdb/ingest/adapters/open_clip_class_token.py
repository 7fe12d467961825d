"""open_clip's own vision transformer, pooled at its class token (OpenAI, LAION, DataComp, MetaCLIP, DFN ... weights)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from clipdb.ingest.adapters.base import Captured


class OpenClipClassToken:
    """Decompose ``open_clip.transformer.VisionTransformer`` with ``pool_type="tok"``.

    The decomposition is the one of Gandelsman et al. (arXiv 2310.05916, section 3), at the granularity of heads.
    """

    name = "open_clip_class_token"
    pooling = "tok"

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self.blocks = list(visual.transformer.resblocks)
        attention = self.blocks[0].attn
        self.layers = len(self.blocks)
        self.heads = int(attention.num_heads)
        self.head_dim = int(attention.head_dim)
        self.width = int(attention.embed_dim)
        self.embed_dim = int(self.width if visual.proj is None else visual.proj.shape[1])
        self.patch_size = int(visual.patch_size[0])
        self.image_size = int(visual.image_size[0])

    @staticmethod
    def misfit(visual: Any) -> str | None:
        """Say why this family doesn't fit a tower; None where it does."""
        from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

        if not isinstance(visual, VisionTransformer):
            return f"its image tower is a {type(visual).__name__}, not open_clip's VisionTransformer"
        if visual.attn_pool is not None or visual.pool_type != "tok":
            return "its image tower does not pool a class token"
        # A subclass would run another forward than the one written here.
        if any(type(block) is not ResidualAttentionBlock for block in visual.transformer.resblocks):
            return "its blocks normalise or scale inside the attention"
        return None

    @torch.inference_mode()
    def capture(self, images: torch.Tensor, layers: Sequence[int]) -> Captured:
        """Embed images and keep the heads of some layers.

        Parameters
        ----------
        images
            Preprocessed images in the model's dtype and device, ``[batch, 3, S, S]``.
        layers
            Layers to keep, counted from 0.
        """
        kept: dict[int, torch.Tensor] = {}
        x = self.visual._embeds(images)
        for layer, block in enumerate(self.blocks):
            attended, pooled = self._attention(block, x, class_token_only=layer == self.layers - 1)
            if layer in layers:
                kept[layer] = pooled
            x = self._residual(block, x, attended)
        token = x[:, 0]
        heads = torch.stack([kept[layer] for layer in layers], dim=1).float()
        return Captured(self._embed(token).float(), heads / self._sigma(token)[:, None, None, None])

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h] = P^T diag(gamma) (I - 11^T/d) W_O[l][:, h]``, float64 ``[H, D, k]``."""
        block = self.blocks[layer]
        out = _scaled(block.ls_1, block.attn.out_proj.weight.detach().double().T).T  # d x (H k)
        mapped = self._to_joint_space(out.T)  # (H k) x D
        return mapped.view(self.heads, self.head_dim, self.embed_dim).transpose(1, 2).cpu().numpy()

    @torch.inference_mode()
    def rest(self, images: torch.Tensor) -> torch.Tensor:
        """Sum the stem, the MLPs, the attention biases and LayerNorm's own bias, each from its own module.

        Returns
        -------
        torch.Tensor
            float32 ``[batch, D]``.
        """
        x = self.visual._embeds(images)
        written = x[:, 0].double()
        for block in self.blocks:
            attended, _ = self._attention(block, x)
            x = x + block.ls_1(attended)
            mlp = block.ls_2(block.mlp(block.ln_2(x)))
            written = written + mlp[:, 0].double() + _scaled(block.ls_1, block.attn.out_proj.bias.double())
            x = x + mlp
        parts = self._to_joint_space(written) / self._sigma(x[:, 0]).double()[:, None]
        return (parts + self._project(self.visual.ln_post.bias.double())).float()

    def _attention(
        self, block: Any, x: torch.Tensor, class_token_only: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a block's attention; return its output and the heads at the class token before W_O, ``[batch, H, k]``."""
        attention = block.attn
        normed = block.ln_1(x)
        batch, tokens, _ = normed.shape
        qkv = functional.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = qkv.view(batch, tokens, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        if class_token_only:  # nothing reads the other tokens of the last layer
            query = query[:, :, :1]
        z = functional.scaled_dot_product_attention(query, key, value)
        merged = z.transpose(1, 2).reshape(batch, z.shape[2], self.width)
        return attention.out_proj(merged), z[:, :, 0]

    def _residual(self, block: Any, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x[:, : attended.shape[1]] + block.ls_1(attended)
        return x + block.ls_2(block.mlp(block.ln_2(x)))

    def _embed(self, token: torch.Tensor) -> torch.Tensor:
        normed = self.visual.ln_post(token)
        return normed if self.visual.proj is None else normed @ self.visual.proj

    def _sigma(self, token: torch.Tensor) -> torch.Tensor:
        variance = token.float().var(dim=-1, correction=0)
        return (variance + self.visual.ln_post.eps).sqrt()

    def _to_joint_space(self, residual: torch.Tensor) -> torch.Tensor:
        """Map float64 vectors of the residual stream, ``[n, d]``, to ``[n, D]``: all of ln_post and proj but sigma, beta."""
        centred = residual - residual.mean(dim=-1, keepdim=True)
        return self._project(centred * self.visual.ln_post.weight.detach().double())

    def _project(self, normed: torch.Tensor) -> torch.Tensor:
        return normed if self.visual.proj is None else normed @ self.visual.proj.detach().double()


def _scaled(layer_scale: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Apply a block's LayerScale, where it has one, to float64 vectors ``[..., d]``."""
    gamma = getattr(layer_scale, "gamma", None)
    return vectors if gamma is None else vectors * gamma.detach().double()
