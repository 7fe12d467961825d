"""open_clip's own vision transformer, pooled at its class token (OpenAI, LAION, DataComp, MetaCLIP, DFN weights)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from clipdb.models.tower import Captured, CapturedTokens, Partition, unread
from clipdb.schema.names import MLP, REST, TRUNK, Head


class OpenClipClassToken:
    """Decompose ``open_clip.transformer.VisionTransformer`` with ``pool_type="tok"``.

    The decomposition is the one of Gandelsman et al. (arXiv 2310.05916, section 3), at the granularity of heads.
    """

    name = "open_clip_class_token"
    pooling = "tok"
    pool_heads, pool_head_dim = 0, 0
    other_tokens: Sequence[str] = ("class token",)

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

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

        if not isinstance(visual, VisionTransformer):
            return unread(visual)
        if visual.attn_pool is not None or visual.pool_type != cls.pooling:
            return "its image tower does not pool a class token"
        # A subclass would run another forward than the one written here.
        if any(type(block) is not ResidualAttentionBlock for block in visual.transformer.resblocks):
            return "its blocks normalise or scale inside the attention"
        return None

    @torch.inference_mode()
    def capture(self, images: torch.Tensor, layers: Sequence[int], components: Sequence[Head] = ()) -> Captured:
        """Embed images and keep the heads of some layers.

        Parameters
        ----------
        images
            Preprocessed images in the model's dtype and device, ``[batch, 3, S, S]``.
        layers
            Layers to keep, counted from 0.
        components
            Which of `components` to keep, too.
        """
        kept: dict[int, torch.Tensor] = {}
        mlps: dict[int, torch.Tensor] = {}
        x = self.visual._embeds(images)  # a tensor of our own: what follows adds to it in place
        for layer, block in enumerate(self.blocks):
            attend = self.attend if layer < self.layers - 1 else self._attend_from_class_token
            z = attend(block.attn, block.ln_1(x))
            if layer in layers:
                kept[layer] = z[:, 0].clone()  # a view would keep every token's
            x = x[:, : z.shape[1]].add_(self._write(block, z))
            mlp = block.ls_2(block.mlp(block.ln_2(x)))
            if (layer, MLP) in components:
                mlps[layer] = mlp[:, 0].clone()
            x.add_(mlp)
        token = x[:, 0]
        sigma = self.sigma(token)[:, None]
        found = {(layer, MLP): self._to_joint_space(wrote.double() / sigma).float() for layer, wrote in mlps.items()}
        if (TRUNK, REST) in components:
            found[TRUNK, REST] = torch.cat([1 / sigma, torch.ones_like(sigma)], dim=1)
        heads = {layer: kept[layer].float() / sigma[:, None] for layer in layers}
        return Captured(self._embed(token).float(), heads, found)

    @torch.inference_mode()
    def capture_tokens(self, images: torch.Tensor, layers: Sequence[int]) -> CapturedTokens:
        """Embed images and keep, of some layers' heads, what each token gives.

        A head's output is the sum over tokens of attention weight times value. The value's bias is in each of them:
        the weights add up to 1, so over all tokens it counts once.

        Parameters
        ----------
        images, layers
            As in `capture`.
        """
        kept: dict[int, torch.Tensor] = {}
        x = self.visual._embeds(images)
        for layer, block in enumerate(self.blocks):
            query, key, value = self.project_in(block.attn, block.ln_1(x))
            if layer in layers:
                scores = query[:, :, :1] @ key.transpose(2, 3) * self.head_dim**-0.5
                kept[layer] = scores.softmax(dim=-1).transpose(2, 3) * value
            if layer == self.layers - 1:
                query = query[:, :, :1]
            z = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
            x = x[:, : z.shape[1]].add_(self._write(block, z))
            x.add_(block.ls_2(block.mlp(block.ln_2(x))))
        token = x[:, 0]
        sigma = self.sigma(token)[:, None, None, None]
        return CapturedTokens(self._embed(token).float(), {layer: kept[layer].float() / sigma for layer in layers})

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h] = P^T diag(gamma) (I - 11^T/d) W_O[l][:, h]``, float64 ``[H, D, k]``."""
        block = self.blocks[layer]
        out = _scaled(block.ls_1, block.attn.out_proj.weight.detach().double().T).T  # d x (H k)
        mapped = self._to_joint_space(out.T)  # (H k) x D
        return mapped.view(self.heads, self.head_dim, self.embed_dim).transpose(1, 2).cpu().numpy()

    @torch.inference_mode()
    def rest(self, images: torch.Tensor, partition: Partition) -> torch.Tensor:
        """Sum the stem, the MLPs, the attention biases and LayerNorm's own bias, each from its own module.

        Returns
        -------
        torch.Tensor
            float32 ``[batch, D]``.
        """
        x = self.visual._embeds(images)
        written = x.double()
        for block in self.blocks:
            x = x + self._write(block, self.attend(block.attn, block.ln_1(x)))
            mlp = block.ls_2(block.mlp(block.ln_2(x)))
            written = written + mlp.double() + _scaled(block.ls_1, block.attn.out_proj.bias.double())
            x = x + mlp
        parts = self._to_joint_space(written[:, 0] / self.sigma(x[:, 0])[:, None])
        return (parts + self._project(self.visual.ln_post.bias.double())).float()

    def components(self) -> list[Head]:
        """List the MLPs, and what is left: the stem and all constants."""
        return [*((layer, MLP) for layer in range(self.layers)), (TRUNK, REST)]

    def component_map(self, component: Head) -> np.ndarray | None:
        """Return what is left, float64 ``[D, 2]``: what sigma divides, and LayerNorm's own bias, which it doesn't.

        The class token begins alike for all images, so an image has ``1 / sigma`` of the one and 1 of the other. Of an
        MLP it is None: it may write anything.
        """
        return self._constants.cpu().numpy() if component == (TRUNK, REST) else None

    @cached_property
    @torch.inference_mode()
    def _constants(self) -> torch.Tensor:
        like = self.visual.class_embedding
        black = torch.zeros(1, 3, self.image_size, self.image_size, dtype=like.dtype, device=like.device)
        written = self.visual._embeds(black)[0, :1].double()
        for block in self.blocks:
            written = written + _scaled(block.ls_1, block.attn.out_proj.bias.double())
        bias = self._project(self.visual.ln_post.bias.double())
        return torch.stack([self._to_joint_space(written)[0], bias], dim=1)

    def attend(self, attention: Any, normed: torch.Tensor) -> torch.Tensor:
        """Return all heads' outputs before W_O at every token, ``[batch, tokens, H, k]``."""
        query, key, value = self.project_in(attention, normed)
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)

    def project_in(self, attention: Any, normed: torch.Tensor) -> list[torch.Tensor]:
        """Return queries, keys and values, ``[batch, H, tokens, k]`` each."""
        qkv = functional.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
        return list(qkv.unflatten(-1, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4))

    def _attend_from_class_token(self, attention: Any, normed: torch.Tensor) -> torch.Tensor:
        """Return the same at the class token alone, ``[batch, 1, H, k]``, without other tokens' keys and values.

        Nothing reads the other tokens of the last layer. A head's scores ``q . (W_K x + b_K)`` are ``(W_K^T q) . x``
        up to a constant, which softmax drops, and its weights add up to 1, so ``W_V`` and its bias come after the sum.
        """
        shape = (3, self.heads, self.head_dim)
        to_query, to_key, to_value = attention.in_proj_weight.unflatten(0, shape)  # [H, k, d] each
        query_bias, _, value_bias = attention.in_proj_bias.unflatten(0, shape)
        query = torch.einsum("bd,hkd->bhk", normed[:, 0], to_query) + query_bias
        sought = torch.einsum("bhk,hkd->bhd", query, to_key) * self.head_dim**-0.5
        weights = (sought @ normed.transpose(1, 2)).softmax(dim=-1)
        return (torch.einsum("bhd,hkd->bhk", weights @ normed, to_value) + value_bias)[:, None]

    def _write(self, block: Any, z: torch.Tensor) -> torch.Tensor:
        """Return what attention adds to the residual stream, ``[batch, tokens, d]``."""
        return block.ls_1(block.attn.out_proj(z.flatten(2)))

    def _embed(self, token: torch.Tensor) -> torch.Tensor:
        normed = self.visual.ln_post(token)
        return normed if self.visual.proj is None else normed @ self.visual.proj

    def sigma(self, token: torch.Tensor) -> torch.Tensor:
        """Return what the final LayerNorm divides each token ``[..., d]`` by: float32 ``[...]``."""
        variance = token.float().var(dim=-1, correction=0)
        return (variance + self.visual.ln_post.eps).sqrt()

    def _to_joint_space(self, residual: torch.Tensor) -> torch.Tensor:
        """Map float64 residual vectors ``[n, d]`` to ``[n, D]``: all of ln_post and proj but sigma and beta."""
        centred = residual - residual.mean(dim=-1, keepdim=True)
        return self._project(centred * self.visual.ln_post.weight.detach().double())

    def _project(self, normed: torch.Tensor) -> torch.Tensor:
        return normed if self.visual.proj is None else normed @ self.visual.proj.detach().double()


def _scaled(layer_scale: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Apply a block's LayerScale, where it has one, to float64 vectors ``[..., d]``."""
    gamma = getattr(layer_scale, "gamma", None)
    return vectors if gamma is None else vectors * gamma.detach().double()


TOWER = OpenClipClassToken
