"""The blocks of open_clip's transformers, of images and of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock
from torch.nn import functional

from clipdb.models.tracing.families import norm_or_none, norms, scales
from clipdb.models.tracing.operations import Heads, Operation, Own, Stem


def are_known(blocks: Iterable[Any]) -> bool:
    """Return whether blocks are open_clip's own."""
    return {type(block) for block in blocks} <= {ResidualAttentionBlock, CustomResidualAttentionBlock}


def block_operations(blocks: Iterable[Any]) -> Iterator[Operation]:
    """Yield what blocks do to their residual stream, from its beginning."""
    for place, block in enumerate(blocks):
        if place == 0:
            yield Stem(block)
        inner = norm_or_none(getattr(block.attn, "ln_inner", None))
        after = norms(getattr(block, "ln_attn", None)) + scales(getattr(block.ls_1, "gamma", None))
        yield Heads(block.attn.out_proj, block.attn.num_heads, inner, after)
        yield Own(block.ls_2)


@contextmanager
def exposed_blocks(blocks: Iterable[Any]) -> Iterator[None]:
    """Let blocks call their output projection, which ``torch.nn.MultiheadAttention`` goes past."""
    changed = [block for block in blocks if hasattr(block, "attention")]
    for block in changed:
        block.attention = MethodType(_attention, block)
    try:
        yield
    finally:
        for block in changed:
            del block.attention


def _attention(block: Any, q_x: torch.Tensor, attn_mask: torch.Tensor | None = None, **absent: None) -> torch.Tensor:
    """Do what ``ResidualAttentionBlock.attention`` does, with ``out_proj`` called as a module."""
    attention = block.attn
    qkv = functional.linear(q_x, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = qkv.unflatten(-1, (3, attention.num_heads, attention.head_dim)).permute(2, 0, 3, 1, 4)
    mask = None if attn_mask is None else attn_mask.to(q_x.dtype)
    seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attention.out_proj(seen.transpose(1, 2).flatten(2))
