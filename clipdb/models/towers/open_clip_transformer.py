"""open_clip's own vision transformer, however it pools: the mean of its patches (CLIPA) or attention (CoCa)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch.nn import functional

from clipdb.models.tower import unread
from clipdb.models.tracing.families import multihead_pool, norm_or_none, norms, scales
from clipdb.models.tracing.operations import Heads, Linear, Mean, Operation, Own, Stem, Take
from clipdb.models.tracing.tower import Geometry, TracedTower


class OpenClipTransformer(TracedTower):
    """Describe ``open_clip.transformer.VisionTransformer``."""

    name = "open_clip_transformer"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock, VisionTransformer

        if type(visual) is not VisionTransformer:
            return unread(visual)
        blocks = {type(block) for block in visual.transformer.resblocks}
        if not blocks <= {ResidualAttentionBlock, CustomResidualAttentionBlock}:
            return "its blocks are not open_clip's own"
        if visual.attn_pool is not None and (visual.attn_pool_contrastive is not None or visual.pool_type != "tok"):
            return "it pools with more than one query"
        if visual.pool_type not in ("tok", "avg"):
            return "it doesn't pool its tokens"
        return None if visual.image_size[0] == visual.image_size[1] else "its images are not square"

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream."""
        visual = self.visual
        yield Stem(visual.transformer.resblocks[0])
        for block in visual.transformer.resblocks:
            inner = norm_or_none(getattr(block.attn, "ln_inner", None))
            after = norms(getattr(block, "ln_attn", None)) + scales(getattr(block.ls_1, "gamma", None))
            yield Heads(block.attn.out_proj, block.attn.num_heads, inner, after)
            yield Own(block.ls_2)
        if (pool := visual.attn_pool) is not None:
            yield from norms(pool.ln_k)
            yield multihead_pool(pool, pool.attn, pool.ln_q(pool.query)[0].detach(), pool.ln_k)
            yield from norms(visual.ln_post)
        else:
            tokens = Take(0) if visual.pool_type == "tok" else Mean(left_out=1)
            yield from (
                [tokens, *norms(visual.ln_post)] if visual.final_ln_after_pool else [*norms(visual.ln_post), tokens]
            )
        if visual.proj is not None:
            yield Linear(visual.proj.T)

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        visual = self.visual
        size = visual.ln_post.normalized_shape[0] if visual.proj is None else visual.proj.shape[1]
        pooling = visual.pool_type if visual.attn_pool is None else "attention"
        return Geometry(int(size), int(visual.image_size[0]), int(visual.patch_size[0]), pooling, ("class token",))

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Let blocks call their output projection, which ``torch.nn.MultiheadAttention`` goes past."""
        blocks = [block for block in self.visual.transformer.resblocks if hasattr(block, "attention")]
        for block in blocks:
            block.attention = MethodType(_attention, block)
        try:
            yield
        finally:
            for block in blocks:
                del block.attention


def _attention(block: Any, q_x: torch.Tensor, **absent: None) -> torch.Tensor:
    """Do what ``ResidualAttentionBlock.attention`` does, with ``out_proj`` called as a module."""
    attention = block.attn
    qkv = functional.linear(q_x, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = qkv.unflatten(-1, (3, attention.num_heads, attention.head_dim)).permute(2, 0, 3, 1, 4)
    return attention.out_proj(functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


TOWER = OpenClipTransformer
